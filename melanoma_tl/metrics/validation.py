"""Checks of labels and scores that users pass."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._parameters import BOOTSTRAP, check
from melanoma_tl._row_order import check_row_order
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.labels.classes import as_binary

_ROUNDING = 8 * float(np.finfo(np.float32).eps)
"""Tolerance for probabilities outside 0 to 1: the rounding error of a network that computes in float32."""


_NO_NUMBERS = "USmMc"
"""Kinds of arrays that NumPy would convert to floats without an error: text, times, complex numbers."""


def check_scores(y_score: ArrayLike, *, probabilities: bool = True) -> NDArray[np.float64]:
    """Convert scores to float64; NaN marks an image without a score.

    Parameters
    ----------
    y_score : array-like of shape (n,)
        Probabilities of melanoma.
    probabilities : bool, default=True
        Whether they must lie between 0 and 1. Use False where only the order of the scores matters.

    Returns
    -------
    ndarray of float64 of shape (n,)
        The scores.

    Raises
    ------
    ParameterError
        If they are not numeric, the shape is wrong, or a score is infinite or not a probability.
    """
    try:
        given = np.asarray(y_score)
        scores = given if given.dtype.kind in _NO_NUMBERS else given.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"y_score must hold numbers, the probability of melanoma: {error}") from error
    if scores.dtype.kind in _NO_NUMBERS:
        raise ParameterError(f"y_score must hold numbers, the probability of melanoma; got {scores.dtype}")
    if isinstance(y_score, np.ma.MaskedArray):
        scores = np.where(np.ma.getmaskarray(y_score), np.nan, scores)
    if scores.ndim != 1:
        raise ParameterError(f"y_score must have the shape (n,), the probability of melanoma, got {scores.shape}")
    if probabilities:
        return check_probabilities(scores)
    infinite = int(np.isinf(scores).sum())
    if infinite:
        raise ParameterError(f"y_score must hold finite numbers, got {infinite} that are infinite")
    return scores


def check_probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raise an error for scores that are no probabilities.

    Parameters
    ----------
    scores : ndarray of any shape
        Scores; NaN is allowed.

    Returns
    -------
    ndarray of float64 of the same shape
        The scores, clipped to 0 and 1: values outside by a rounding error of float32 are accepted.

    Raises
    ------
    ParameterError
        If one lies outside 0 to 1.
    """
    outside = scores[(scores < -_ROUNDING) | (scores > 1 + _ROUNDING)]
    if outside.size:
        raise ParameterError(
            f"y_score must hold probabilities, 0 to 1, got {outside.size} outside, such as {float(outside[0])!r}; "
            "pass predict_proba(X), the column of melanoma, not logits, per cents or decision_function"
        )
    return np.clip(scores, 0, 1)


def check_scored(
    y_true: ArrayLike, y_score: ArrayLike, *, probabilities: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Check labels and scores of one set of images; none may be missing, and both classes must occur.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma, or names of the classes; both must occur.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, without NaN.
    probabilities : bool, default=True
        As `check_scores`.

    Returns
    -------
    truth : ndarray of int64 of shape (n,)
        0 or 1.
    scores : ndarray of float64 of shape (n,)
        The scores.

    Raises
    ------
    DatasetError
        If there is no image, only one class, or as `melanoma_tl.labels.classes.as_binary`.
    ParameterError
        If lengths differ, a score is NaN, or as `check_scores`.
    """
    check_row_order({"y_true": y_true, "y_score": y_score})
    truth, scores = as_binary(y_true), check_scores(y_score, probabilities=probabilities)
    check_lengths(len(scores), y_true=truth)
    n_missing = int(np.isnan(scores).sum())
    if n_missing:
        raise ParameterError(
            f"y_score is NaN for {n_missing} of {len(scores)} images; leave these out, "
            "or use MetricsReport.from_scores, which leaves them out and lists them"
        )
    check_classes(int(truth.sum()), int(len(truth) - truth.sum()))
    return truth, scores


def check_predictions(y_pred: ArrayLike | None, n_scores: int) -> NDArray[np.bool_] | None:
    """Check which images are predicted melanoma, if that is given.

    Parameters
    ----------
    y_pred : array-like of shape (n_scores,) or None
        0 or False benign, 1 or True melanoma.
    n_scores : int
        Number of scores.

    Returns
    -------
    ndarray of bool of shape (n_scores,) or None
        None where nothing was given.

    Raises
    ------
    DatasetError, ParameterError
        If the length differs, or there are other values.
    """
    if y_pred is None:
        return None
    check_lengths(n_scores, y_pred=y_pred)
    return as_binary(y_pred, name="y_pred").astype(bool)


def not_binary(got: str) -> str:
    """Return the error message for probabilities that are not those of two classes."""
    return (
        f"predict_proba must return the shape (n, 2), benign and melanoma, got {got}; "
        "for several diagnoses there is MulticlassReport"
    )


def check_lengths(n_scores: int, **columns: Any) -> None:
    """Raise an error unless each column has one entry per score.

    Parameters
    ----------
    n_scores : int
        Number of scores.
    **columns : sequence or None
        The columns, by the names that the user knows; None is ignored.

    Raises
    ------
    ParameterError
        If a length differs.
    """
    for name, column in columns.items():
        if column is not None and len(column) != n_scores:
            raise ParameterError(f"y_score has {n_scores} rows, but {name} has {len(column)}; give one per image")


def check_classes(n_melanoma: int, n_benign: int) -> None:
    """Raise an error if one of the classes has no image.

    Parameters
    ----------
    n_melanoma, n_benign : int
        Number of images of each class.

    Raises
    ------
    DatasetError
        If one of them is 0.
    """
    if not n_melanoma or not n_benign:
        raise DatasetError(
            f"Metrics need images of both classes, got {n_melanoma} melanoma and {n_benign} benign; "
            "add images of the missing class (AUC, sensitivity and specificity do not exist without them)"
        )


def check_fraction(name: str, value: object, *, ends: bool = False) -> None:
    """Raise an error unless a parameter is a fraction.

    Parameters
    ----------
    name : str
        The parameter.
    value : object
        The given value.
    ends : bool, default=False
        Whether 0 and 1 are allowed.

    Raises
    ------
    ParameterError
        If it is not a number, or not between 0 and 1.

    Examples
    --------
    >>> check_fraction("confidence", 95)
    Traceback (most recent call last):
    ...
    melanoma_tl.errors.ParameterError: confidence must lie between 0 and 1 (both excluded), got 95
    """
    good = (
        isinstance(value, int | float | np.number)
        and not isinstance(value, bool)
        and (0 <= value <= 1 if ends else 0 < value < 1)
    )
    if not good:
        which = "included" if ends else "excluded"
        raise ParameterError(f"{name} must lie between 0 and 1 (both {which}), got {value!r}")


def check_bootstrap(confidence: object, n_resamples: object) -> None:
    """Check the parameters of the bootstrap.

    Parameters
    ----------
    confidence : object
        Must lie between 0 and 1.
    n_resamples : object
        Must be at least 100: with fewer the ends of an interval are too noisy.

    Raises
    ------
    ParameterError
        If one of them is out of its range.
    """
    check_fraction("confidence", confidence)
    check({"n_resamples": n_resamples}, BOOTSTRAP)
