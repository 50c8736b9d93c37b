"""Logistic regression on features that need not fit into memory."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from melanoma_tl.views import Inputs

_BATCH = 4096
"""Rows that are in memory at once."""


class LinearScore(NamedTuple):
    """Weights of a layer that scores: the logit is ``features @ kernel + bias``.

    Attributes
    ----------
    kernel : ndarray of shape (n_features,)
        For features as they are.
    bias : float
        What is added.
    """

    kernel: NDArray[np.float64]
    bias: float


def fit_logistic(
    inputs: Inputs,
    labels: NDArray[np.int64],
    rows: NDArray[np.intp],
    *,
    n_views: int,
    class_weight: dict[int, float] | None,
    C: float,
) -> LinearScore:
    """Solve an L2-penalised logistic regression on standardised features, in constant memory.

    The same as ``make_pipeline(StandardScaler(), LogisticRegression(C=C, class_weight=...))``
    of scikit-learn on all views of all rows, which needs them in memory at once.

    Parameters
    ----------
    inputs : Inputs
        Features, of shape (n_features,) each, the same whenever they are asked for.
    labels : ndarray of shape (n_images,)
        0 or 1.
    rows : ndarray of int of shape (n_rows,)
        Which images, repeated ones included.
    n_views : int
        How many views of each count.
    class_weight : dict or None
        Weight of each class.
    C : float
        Inverse strength of the penalty.

    Returns
    -------
    LinearScore
        For features that are not standardised.
    """

    def read() -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
        for view in range(n_views):
            for start in range(0, len(rows), _BATCH):
                chosen = rows[start : start + _BATCH]
                features = inputs.draw(chosen, np.full(len(chosen), view), 0).astype(np.float64)
                yield features, labels[chosen].astype(np.float64), weights[chosen]

    weights = np.ones(len(labels)) if class_weight is None else np.vectorize(class_weight.__getitem__)(labels)
    mean, scale = _standardisation(features for features, *_ in read())

    def objective(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        kernel, bias = parameters[:-1], parameters[-1]
        value, gradient = float(kernel @ kernel / 2), np.append(kernel, 0.0)
        for features, y, weight in read():
            standardised = (features - mean) / scale
            logits = standardised @ kernel + bias
            value += C * float(weight @ (np.logaddexp(0.0, logits) - y * logits))
            slope = C * weight * (expit(logits) - y)
            gradient += np.append(slope @ standardised, slope.sum())
        return value, gradient

    start = np.zeros(len(mean) + 1)
    solution = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000, "gtol": 1e-6}).x
    kernel = solution[:-1] / scale
    return LinearScore(kernel, float(solution[-1] - mean @ kernel))


def _standardisation(batches: Iterator[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute mean and standard deviation of each feature, 1 where a feature is constant."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for features in batches:
        scaler.partial_fit(features)
    return scaler.mean_, scaler.scale_
