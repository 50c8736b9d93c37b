"""Labels and scores as they come from outside, checked once for everything that counts with them."""

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.parameters import BOOTSTRAP, check


def check_labels(y_true: ArrayLike, pos_label: object = None) -> NDArray[np.int64]:
    """Turn labels into 0 for benign and 1 for melanoma.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; other labels need `pos_label`.
    pos_label : object, optional
        The label that means melanoma; every other label is then benign.

    Returns
    -------
    ndarray of int64 of shape (n,)
        0 or 1.

    Raises
    ------
    ParameterError
        If the shape is another one, a label is missing, or labels are not understood.

    Examples
    --------
    >>> check_labels(["nevus", "mel"], pos_label="mel").tolist()
    [0, 1]
    """
    # As objects: NumPy would turn a NaN among words into the word "nan".
    labels = y_true if isinstance(y_true, np.ndarray) else np.array(y_true, dtype=object)
    if labels.ndim != 1:
        raise ParameterError(f"y_true must have the shape (n,), got {labels.shape}")
    found = list(dict.fromkeys(labels.tolist()))
    if pos_label is not None and not any(pd.isna(label) for label in found):
        return (labels == pos_label).astype(np.int64)
    if not set(found) <= {0, 1}:
        raise ParameterError(
            f"y_true must hold 0 for benign and 1 for melanoma, got {found[:5]}; leave out images without a label, "
            "and for other labels say which one is melanoma, such as pos_label='melanoma'"
        )
    return labels.astype(np.int64)


def check_scores(y_score: ArrayLike, *, probabilities: bool = True) -> NDArray[np.float64]:
    """Turn scores into float64; NaN marks an image without a score.

    Parameters
    ----------
    y_score : array-like of shape (n,)
        Probabilities of melanoma.
    probabilities : bool, default=True
        Whether they must lie between 0 and 1. False takes any number, where only the order counts.

    Returns
    -------
    ndarray of float64 of shape (n,)
        The scores.

    Raises
    ------
    ParameterError
        If they are no numbers, the shape is another one, or one lies outside 0 to 1.
    """
    try:
        scores = np.asarray(y_score, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"y_score must hold numbers, the probability of melanoma: {error}") from error
    if scores.ndim != 1:
        raise ParameterError(f"y_score must have the shape (n,), the probability of melanoma, got {scores.shape}")
    outside = scores[(scores < 0) | (scores > 1)] if probabilities else scores[np.isinf(scores)]
    if outside.size:
        raise ParameterError(
            f"y_score must hold {'probabilities, 0 to 1' if probabilities else 'finite numbers'}, "
            f"got {outside.size} outside, such as {outside[0]:g}; "
            "pass predict_proba(X)[:, 1], not logits, per cents or decision_function"
        )
    return scores


def check_scored(
    y_true: ArrayLike, y_score: ArrayLike, *, probabilities: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Check the labels and scores of one set of images, of which each has both and both classes occur.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
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
        If there is no image, or only one class.
    ParameterError
        If lengths differ, a score is NaN, or `check_labels` or `check_scores` object.
    """
    truth, scores = check_labels(y_true), check_scores(y_score, probabilities=probabilities)
    check_lengths(len(scores), y_true=truth)
    n_missing = int(np.isnan(scores).sum())
    if n_missing:
        raise ParameterError(
            f"y_score is NaN for {n_missing} of {len(scores)} images; leave these out, "
            "or use MetricsReport.from_scores, which leaves them out and lists them"
        )
    check_classes(int(truth.sum()), int(len(truth) - truth.sum()))
    return truth, scores


def take_labels(X: Any, y: ArrayLike | None) -> ArrayLike:
    """Take the labels of images, from beside them or from what holds both.

    Parameters
    ----------
    X : ISBIDataset or anything else
        Its `labels` are taken where `y` is None.
    y : array-like of shape (n,) or None
        The labels.

    Returns
    -------
    array-like of shape (n,)
        As they are given.

    Raises
    ------
    ParameterError
        If there are none.
    """
    labels = getattr(X, "labels", None) if y is None else y
    if labels is None:
        raise ParameterError(f"X is a {type(X).__name__} without labels; pass them as y")
    return labels


def score_melanoma(estimator: Any, X: Any, pos_label: object = None) -> NDArray[np.float64]:
    """Let any classifier of two classes score images.

    Parameters
    ----------
    estimator : object
        Anything with ``predict_proba(X)`` of shape (n, 2), melanoma second.
    X : object
        Whatever it takes.
    pos_label : object, optional
        The label that means melanoma, when its classes are not 0 and 1.

    Returns
    -------
    ndarray of shape (n,)
        Probabilities of melanoma.

    Raises
    ------
    ParameterError
        If melanoma is its first class, or the scores are of another shape.
    """
    classes = getattr(estimator, "classes_", None)
    melanoma = 1 if pos_label is None else pos_label
    if classes is not None and classes[0] == melanoma:
        raise ParameterError(
            f"Melanoma ({melanoma!r}) must be the estimator's second class, got classes_ {list(classes)}; "
            "pass predict_proba(X)[:, 0] as the scores instead"
        )
    probabilities = np.asarray(estimator.predict_proba(X))
    if probabilities.ndim != 2 or probabilities.shape[1] != 2:
        raise ParameterError(
            f"predict_proba must return the shape (n, 2), benign and melanoma, got {probabilities.shape}; "
            "for several diagnoses there is MulticlassReport"
        )
    return probabilities[:, 1]


def threshold_of(estimator: Any) -> float:
    """Take the threshold that a classifier has tuned, else the one it was made with.

    Parameters
    ----------
    estimator : object
        With `threshold_` or `threshold`, or neither.

    Returns
    -------
    float
        0.5 where it has neither.
    """
    return getattr(estimator, "threshold_", getattr(estimator, "threshold", 0.5))


def check_lengths(n_scores: int, **columns: Any) -> None:
    """Stop when a column has not one entry a score.

    Parameters
    ----------
    n_scores : int
        Number of scores.
    **columns : sequence or None
        By the name under which the user knows them; None is passed over.

    Raises
    ------
    ParameterError
        If a length differs.
    """
    for name, column in columns.items():
        if column is not None and len(column) != n_scores:
            raise ParameterError(f"y_score has {n_scores} rows, but {name} has {len(column)}; give one an image")


def check_classes(n_melanoma: int, n_benign: int) -> None:
    """Stop when one of the classes has no image.

    Parameters
    ----------
    n_melanoma, n_benign : int
        Images of each class.

    Raises
    ------
    DatasetError
        If one of them is 0.
    """
    if not n_melanoma or not n_benign:
        raise DatasetError(
            f"Figures need images of both classes, got {n_melanoma} melanoma and {n_benign} benign; "
            "add images of the missing class (AUC, sensitivity and specificity do not exist without them)"
        )


def check_fraction(name: str, value: object, *, ends: bool = False) -> None:
    """Stop when a parameter is no fraction.

    Parameters
    ----------
    name : str
        The parameter.
    value : object
        What was given.
    ends : bool, default=False
        Whether 0 and 1 themselves will do.

    Raises
    ------
    ParameterError
        If it is no number, or not between 0 and 1.

    Examples
    --------
    >>> check_fraction("confidence", 95)
    Traceback (most recent call last):
    ...
    melanoma_tl.errors.ParameterError: confidence must lie between 0 and 1 (both excluded), got 95
    """
    good = isinstance(value, Real) and not isinstance(value, bool) and (0 <= value <= 1 if ends else 0 < value < 1)
    if not good:
        which = "included" if ends else "excluded"
        raise ParameterError(f"{name} must lie between 0 and 1 (both {which}), got {value!r}")


def check_bootstrap(confidence: object, n_resamples: object) -> None:
    """Stop when an interval cannot be made as asked.

    Parameters
    ----------
    confidence : object
        Must lie between 0 and 1.
    n_resamples : object
        Must be a number of at least 100, without which the ends of an interval are noise.

    Raises
    ------
    ParameterError
        If one of them is out of its range.
    """
    check_fraction("confidence", confidence)
    check({"n_resamples": n_resamples}, BOOTSTRAP)
