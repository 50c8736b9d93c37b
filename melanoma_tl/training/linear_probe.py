"""Logistic regression on features that need not fit into memory."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from melanoma_tl.training.views import InputSource

_BATCH = 4096
"""Rows that are in memory at once."""


class LinearScore(NamedTuple):
    """Weights of a layer that scores: the logits are ``features @ kernel + bias``.

    Attributes
    ----------
    kernel : ndarray of shape (n_features, n_scores)
        For features as they are.
    bias : ndarray of shape (n_scores,)
        What is added.
    """

    kernel: NDArray[np.float64]
    bias: NDArray[np.float64]


class ProbeBatch(NamedTuple):
    """Some images, as a logistic regression sees them.

    Attributes
    ----------
    features : ndarray of shape (n, n_features)
        Standardised.
    targets : ndarray of shape (n, n_scores)
        0 or 1.
    weights : ndarray of shape (n,)
        How much each image counts in the loss.
    """

    features: NDArray[np.float64]
    targets: NDArray[np.float64]
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class ProbeData:
    """Features, and what a logistic regression learns of them.

    Attributes
    ----------
    inputs : InputSource
        Features, of shape (n_features,) each, the same whenever they are asked for.
    targets : ndarray of shape (n_images, 1) or (n_images, n_classes)
        0 or 1, for melanoma or for each of several diagnoses.
    n_views : int
        How many views of each image count.
    weights : ndarray of shape (n_images,)
        How much each image counts in the loss.
    sample_weight : ndarray of shape (n_images,), optional
        How much each image counts in mean and standard deviation.
    """

    inputs: InputSource
    targets: NDArray[np.float32]
    n_views: int
    weights: NDArray[np.float64]
    sample_weight: NDArray[np.float64] | None = None

    def standardisation(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute mean and standard deviation of each feature, 1 where a feature is constant.

        Parameters
        ----------
        rows : ndarray of int of shape (n_rows,)
            Which images, repeated ones included.

        Returns
        -------
        tuple of ndarray of shape (n_features,)
            Mean and standard deviation.
        """
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler()
        for chosen, features in self._features(rows, self.n_views):
            weights = None if self.sample_weight is None else self.sample_weight[chosen]
            scaler.partial_fit(features, sample_weight=weights)
        return scaler.mean_, scaler.scale_

    def standardised(
        self, rows: NDArray[np.intp], mean: NDArray[np.float64], scale: NDArray[np.float64], *, n_views: int
    ) -> Iterator[ProbeBatch]:
        """Read some images, a batch at a time.

        Parameters
        ----------
        rows : ndarray of int of shape (n_rows,)
            Which, repeated ones included.
        mean, scale : ndarray of shape (n_features,)
            From `standardisation`.
        n_views : int
            How many views of each.

        Yields
        ------
        ProbeBatch
            Up to 4096 rows.
        """
        for chosen, features in self._features(rows, n_views):
            yield ProbeBatch((features - mean) / scale, self.targets[chosen].astype(np.float64), self.weights[chosen])

    def _features(self, rows: NDArray[np.intp], n_views: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
        for view in range(n_views):
            for start in range(0, len(rows), _BATCH):
                chosen = rows[start : start + _BATCH]
                yield chosen, self.inputs.batch(chosen, np.full(len(chosen), view), 0).astype(np.float64)


def fit_logistic(data: ProbeData, rows: NDArray[np.intp], C: float) -> LinearScore:
    """Solve an L2-penalised logistic regression on standardised features, in constant memory.

    The same as ``make_pipeline(StandardScaler(), LogisticRegression(C=C, class_weight=...))``
    of scikit-learn on all views of all rows, which needs them in memory at once. There, too, weights of images
    count in the standardisation, and those of classes do not.

    Parameters
    ----------
    data : ProbeData
        Features and targets.
    rows : ndarray of int of shape (n_rows,)
        Which images, repeated ones included.
    C : float
        Inverse strength of the penalty.

    Returns
    -------
    LinearScore
        For features that are not standardised.
    """
    mean, scale = data.standardisation(rows)
    read = partial(data.standardised, rows, mean, scale, n_views=data.n_views)
    kernel, bias = minimise(read, np.zeros((len(mean) + 1, data.targets.shape[1])), C)
    kernel = kernel / scale[:, np.newaxis]
    return LinearScore(kernel, bias - mean @ kernel)


def minimise(read: Callable[[], Iterable[ProbeBatch]], start: NDArray[np.float64], C: float) -> LinearScore:
    """Minimise the penalised loss over features that are standardised already.

    Parameters
    ----------
    read : callable
        Gives all batches, the same whenever it is called.
    start : ndarray of shape (n_features + 1, n_scores)
        Kernel and, in the last row, bias to start from.
    C : float
        Inverse strength of the penalty.

    Returns
    -------
    LinearScore
        For standardised features.
    """
    loss = loss_of_one if start.shape[1] == 1 else loss_of_several

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        kernel, bias = _split(flat.reshape(start.shape))
        value, slope = float((kernel**2).sum() / 2), np.concatenate([kernel, np.zeros_like(start[-1:])])
        for features, y, weight in read():
            losses, slopes = loss(features @ kernel + bias, y)
            value += C * float(weight @ losses)
            slopes *= C * weight[:, np.newaxis]
            slope[:-1] += features.T @ slopes
            slope[-1] += slopes.sum(axis=0)
        return value, slope.ravel()

    found = minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 1000, "gtol": 1e-6})
    return _split(found.x.reshape(start.shape))


def _split(parameters: NDArray[np.float64]) -> LinearScore:
    return LinearScore(parameters[:-1], parameters[-1])


def loss_of_one(logits: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the log loss of a sigmoid for each image, and its slope by the logit.

    Parameters
    ----------
    logits, y : ndarray of shape (n, 1)
        Log odds, and 0 or 1.

    Returns
    -------
    tuple of ndarray
        Losses, of shape (n,), and slopes, of shape (n, 1).
    """
    return (np.logaddexp(0.0, logits) - y * logits)[:, 0], expit(logits) - y


def loss_of_several(
    logits: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the log loss of a softmax for each image, and its slopes by the logits.

    Parameters
    ----------
    logits, y : ndarray of shape (n, n_classes)
        Unnormalised log probabilities, and 1 in the column of each image's class.

    Returns
    -------
    tuple of ndarray
        Losses, of shape (n,), and slopes, of shape (n, n_classes).
    """
    log_probability = log_softmax(logits, axis=1)
    return -(y * log_probability).sum(axis=1), np.exp(log_probability) - y
