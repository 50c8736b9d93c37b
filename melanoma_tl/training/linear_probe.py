"""Logistic regression on features that may not fit into memory."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from melanoma_tl.training.views import InputSource

_BATCH = 4096
"""Number of rows in memory at a time."""


class LinearScore(NamedTuple):
    """Weights of an output layer: the logits are ``features @ kernel + bias``.

    Attributes
    ----------
    kernel : ndarray of shape (n_features, n_scores)
        Weights for features that are not standardised.
    bias : ndarray of shape (n_scores,)
        One bias per score.
    """

    kernel: NDArray[np.float64]
    bias: NDArray[np.float64]


def fit_logistic(
    inputs: InputSource,
    targets: NDArray[np.float32],
    rows: NDArray[np.intp],
    *,
    n_views: int,
    weights: NDArray[np.float64],
    sample_weight: NDArray[np.float64] | None = None,
    C: float,
) -> LinearScore:
    """Fit an L2-penalised logistic regression on standardised features, in constant memory.

    The result is that of scikit-learn's ``make_pipeline(StandardScaler(), LogisticRegression(C=C, class_weight=...))``
    on all views of all rows, which needs all features in memory. As in scikit-learn, sample weights enter the
    standardisation and class weights do not.

    Parameters
    ----------
    inputs : InputSource
        Features of shape (n_features,) per image; each reading must return the same values.
    targets : ndarray of shape (n_images, 1) or (n_images, n_classes)
        0 or 1, for melanoma or for each of several diagnoses.
    rows : ndarray of int of shape (n_rows,)
        The images, including repeated ones.
    n_views : int
        Number of views of each image.
    weights : ndarray of shape (n_images,)
        Weight of each image in the loss.
    sample_weight : ndarray of shape (n_images,), optional
        Weight of each image in the means and standard deviations.
    C : float
        Inverse strength of the penalty, above 0.

    Returns
    -------
    LinearScore
        Weights for features that are not standardised.
    """

    def read() -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
        for view in range(n_views):
            for start in range(0, len(rows), _BATCH):
                chosen = rows[start : start + _BATCH]
                features = inputs.batch(chosen, np.full(len(chosen), view), 0).astype(np.float64)
                yield chosen, features, targets[chosen].astype(np.float64), weights[chosen]

    mean, scale = _standardisation(
        (features, None if sample_weight is None else sample_weight[chosen]) for chosen, features, *_ in read()
    )
    n_scores = targets.shape[1]
    loss = _loss_of_one if n_scores == 1 else _loss_of_several

    def objective(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        kernel, bias = _split(parameters, n_scores)
        value, by_kernel, by_bias = float((kernel**2).sum() / 2), kernel.copy(), np.zeros(n_scores)
        for _, features, y, weight in read():
            standardised = (features - mean) / scale
            losses, slopes = loss(standardised @ kernel + bias, y)
            value += C * float(weight @ losses)
            slopes *= C * weight[:, np.newaxis]
            by_kernel += standardised.T @ slopes
            by_bias += slopes.sum(axis=0)
        return value, np.concatenate([by_kernel.ravel(), by_bias])

    start = np.zeros((len(mean) + 1) * n_scores)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000, "gtol": 1e-6}).x
    kernel, bias = _split(found, n_scores)
    kernel = kernel / scale[:, np.newaxis]
    return LinearScore(kernel, bias - mean @ kernel)


def _split(parameters: NDArray[np.float64], n_scores: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return parameters[:-n_scores].reshape(-1, n_scores), parameters[-n_scores:]


def _loss_of_one(
    logits: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the log loss of a sigmoid for each image, and its derivative with respect to the logit."""
    return (np.logaddexp(0.0, logits) - y * logits)[:, 0], expit(logits) - y


def _loss_of_several(
    logits: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the log loss of a softmax for each image, and its gradient with respect to the logits."""
    log_probability = log_softmax(logits, axis=1)
    return -(y * log_probability).sum(axis=1), np.exp(log_probability) - y


def _standardisation(
    batches: Iterator[tuple[NDArray[np.float64], NDArray[np.float64] | None]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation of each feature; the latter is 1 if the feature is constant."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for features, weights in batches:
        scaler.partial_fit(features, sample_weight=weights)
    return scaler.mean_, scaler.scale_
