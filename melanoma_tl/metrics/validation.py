"""Labels and scores as they come from outside, checked once for everything that counts with them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._parameters import BOOTSTRAP, check
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.images.loading import open_source
from melanoma_tl.images.streams import is_stream
from melanoma_tl.labels.classes import Classes, as_binary, find_melanoma
from melanoma_tl.labels.meanings import normalise

_ROUNDING = 8 * float(np.finfo(np.float32).eps)
"""How far a probability may lie outside 0 to 1: by the rounding of a network that computes in float32."""


_NO_NUMBERS = "USmMc"
"""Kinds of arrays that NumPy would turn into floats: text, times, complex numbers."""


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
        If they are no numbers, the shape is another one, or one is no probability or infinite.
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
    """Stop at scores that are no probabilities.

    Parameters
    ----------
    scores : ndarray of any shape
        NaN may stand among them.

    Returns
    -------
    ndarray of float64 of the same shape
        0 to 1: what lies outside by no more than float32 rounds is 0 or 1.

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
    """Check the labels and scores of one set of images, of which each has both and both classes occur.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma, or words that say so; both must occur.
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


def score_labelled(
    score: Callable[[Any], NDArray[Any]], read: Callable[[ArrayLike], NDArray[np.int64]], X: Any, y: ArrayLike | None
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Score images and read their labels, in one pass where both come together.

    Parameters
    ----------
    score : callable
        Scores `X`, or an ImageSource in its place.
    read : callable
        Turns labels into codes, or objects.
    X : object
        What is scored.
    y : array-like of shape (n,) or None
        The labels, where `X` has none.

    Returns
    -------
    truth : ndarray of int64 of shape (n,)
        What `read` makes of the labels.
    scores : ndarray of shape (n, ...)
        What `score` gives.

    Raises
    ------
    DatasetError
        If `X` is a tf.data.Dataset and labels are beside it, or there are none in it.
    ParameterError
        If there are no labels, or not one a score.
    """
    if is_stream(X):
        source = open_source(X, y)
        source.known_labels()  # stops where none will come
        scores = score(source)
        return read(source.known_labels()), scores
    truth = read(take_labels(X, y))  # first: scoring takes longer
    scores = score(X)
    check_lengths(len(scores), y=truth)
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


def classes_of(estimator: Any, pos_label: object = None) -> Classes:
    """Tell which classes a classifier knows, and which of them it scores as melanoma.

    Parameters
    ----------
    estimator : object
        Anything with `classes_`, and perhaps `pos_label_`; what has no `classes_` has 0 and 1.
    pos_label : object, optional
        The class that means melanoma, where neither the classifier nor the words say so.

    Returns
    -------
    Classes
        In the order of the columns of its `predict_proba`.

    Raises
    ------
    DatasetError
        If nothing says which of two classes is melanoma.
    ParameterError
        If `pos_label` is none of the classes, or another one is melanoma.
    """
    labels = np.asarray(getattr(estimator, "classes_", (0, 1)))
    known = getattr(estimator, "pos_label_", None)
    if None not in (known, pos_label) and normalise(pos_label) != normalise(known):
        raise ParameterError(f"pos_label={pos_label!r}, but this classifier was trained to find {known!r}")
    chosen = known if pos_label is None else pos_label
    name = f"classes_ of this {type(estimator).__name__}"
    return Classes(labels, find_melanoma(labels.tolist(), pos_label=chosen, name=name))


def score_with_truth(
    estimator: Any, X: Any, y: ArrayLike | None = None, pos_label: object = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Let any classifier of two classes score images, and read their labels as it does.

    Parameters
    ----------
    estimator : object
        As `classes_of`.
    X : object
        Whatever it takes.
    y : array-like of shape (n,), optional
        Labels, in the words of the classifier or as 0 and 1; ``X.labels`` by default.
    pos_label : object, optional
        The label of melanoma, among the classes of the classifier or else in `y`, where the words do not say so.

    Returns
    -------
    truth : ndarray of int64 of shape (n,)
        1 melanoma, 0 the other class.
    scores : ndarray of float64 of shape (n,)
        Probabilities of melanoma.

    Raises
    ------
    DatasetError, ParameterError, UnknownNameError
        As `classes_of`, `score_labelled`, `score_melanoma` and `Classes.encode`; also if there are more than two
        classes.
    """
    check_reads_streams(estimator, X)
    names = np.asarray(getattr(estimator, "classes_", (0, 1))).tolist()
    is_class = pos_label is not None and normalise(pos_label) in map(normalise, names)
    known = classes_of(estimator, pos_label if is_class else None)
    if len(names) != 2:
        raise ParameterError(_not_binary(f"{len(names)} classes"))

    def read(labels: ArrayLike) -> NDArray[np.int64]:
        if pos_label is not None and not is_class:
            return as_binary(labels, pos_label=pos_label, name="y")
        return known.encode(labels, name="y")

    return score_labelled(lambda images: score_melanoma(estimator, images, known), read, X, y)


def check_reads_streams(estimator: Any, X: Any) -> None:
    """Stop where a tf.data.Dataset is given to a classifier of others, which cannot note labels while it scores.

    Parameters
    ----------
    estimator : object
        Any classifier.
    X : object
        What it shall score.

    Raises
    ------
    ParameterError
        If it is not one of this library's.
    """
    if is_stream(X) and not hasattr(estimator, "seen_images"):
        raise ParameterError(
            f"{type(estimator).__name__} cannot read images and labels of a tf.data.Dataset in one pass, and in two "
            "their order may differ: pass its scores and labels to from_scores or from_predictions, or arrays"
        )


def score_melanoma(estimator: Any, X: Any, known: Classes | None = None, **options: Any) -> NDArray[np.float64]:
    """Let any classifier of two classes score images.

    Parameters
    ----------
    estimator : object
        Anything with ``predict_proba(X)`` of shape (n, 2), in the order of its `classes_`.
    X : object
        Whatever it takes.
    known : Classes, optional
        Its classes, if they are at hand.
    **options : dict
        Of its `predict_proba`.

    Returns
    -------
    ndarray of shape (n,)
        Probabilities of melanoma.

    Raises
    ------
    DatasetError, ParameterError
        As `classes_of`; also if the scores are of another shape.
    """
    known = classes_of(estimator) if known is None else known
    probabilities = np.asarray(estimator.predict_proba(X, **options))
    if known.melanoma is None or probabilities.ndim != 2 or probabilities.shape[1] != 2:
        raise ParameterError(_not_binary(str(probabilities.shape)))
    return probabilities[:, known.melanoma]


def _not_binary(got: str) -> str:
    return (
        f"predict_proba must return the shape (n, 2), benign and melanoma, got {got}; "
        "for several diagnoses there is MulticlassReport"
    )


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
    good = (
        isinstance(value, int | float | np.number)
        and not isinstance(value, bool)
        and (0 <= value <= 1 if ends else 0 < value < 1)
    )
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


def patients_of(X: Any) -> list[Any] | None:
    """Take the patient of each image, where the table knows patients and one of them has several images.

    Parameters
    ----------
    X : object
        Images; an `ISBIDataset` has a table.

    Returns
    -------
    list of length n_images, or None
        Patients, of which some may be missing.
    """
    known = getattr(X, "metadata", None)
    if known is None or "patient_id" not in known:
        return None
    patients = known["patient_id"]
    known_ones = patients.dropna()
    several = known_ones.duplicated().any() and len(set(known_ones)) + patients.isna().sum() > 1
    return patients.tolist() if several else None
