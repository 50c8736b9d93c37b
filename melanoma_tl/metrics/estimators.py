"""Ask an estimator what it says of images, beside the labels that they have."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.errors import ParameterError
from melanoma_tl.images.loading import open_source
from melanoma_tl.images.streams import is_stream
from melanoma_tl.labels.classes import Classes, as_binary, find_melanoma
from melanoma_tl.labels.meanings import normalise
from melanoma_tl.metrics.validation import check_lengths, not_binary


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
    """Return the classes of a classifier, and which of them it scores as melanoma.

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
        raise ParameterError(not_binary(f"{len(names)} classes"))

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
        raise ParameterError(not_binary(str(probabilities.shape)))
    return probabilities[:, known.melanoma]


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
