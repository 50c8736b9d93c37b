"""Score images with any classifier and read their true labels."""

import logging
from collections.abc import Callable, Mapping, Sized
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.errors import DatasetError, MelanomaTLError, ParameterError
from melanoma_tl.images.image_lists import is_stream, is_table
from melanoma_tl.images.loading import open_source
from melanoma_tl.images.one_image import refuse_one_image
from melanoma_tl.images.own_labels import count_differing
from melanoma_tl.labels.checks import LABELS_THAT_DIFFER, finds_melanoma
from melanoma_tl.labels.classes import Classes, as_binary, find_melanoma
from melanoma_tl.labels.meanings import normalise
from melanoma_tl.labels.together import as_read
from melanoma_tl.metrics.validation import check_classes, check_column_order, check_lengths, not_binary

logger = logging.getLogger(__name__)


def score_labelled(
    estimator: Any,
    score: Callable[[Any], NDArray[Any]],
    read: Callable[[ArrayLike], NDArray[np.int64]],
    X: Any,
    y: ArrayLike | None,
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Score images and read their labels, in one pass where `X` yields both.

    Parameters
    ----------
    estimator : object
        Any classifier.
    score : callable
        Function of it that scores `X`, or an ImageSource in its place.
    read : callable
        Function that turns labels into codes.
    X : object
        The images.
    y : array-like of shape (n,) or None
        The labels, where `X` has none.

    Returns
    -------
    truth : ndarray of int64 of shape (n,)
        The codes that `read` returns.
    scores : ndarray of shape (n, ...)
        The scores that `score` returns.

    Raises
    ------
    DatasetError
        If `X` is a tf.data.Dataset and `y` is given too, or it yields no labels; or as `check_dataset_labels`.
    ParameterError
        If there are no labels, or their number is not that of the scores.
    """
    check_dataset_labels(estimator, X, y)
    if is_stream(X):
        source = open_source(X, y)
        source.known_labels()  # raises at once if the stream has no labels
        scores = score(source)
        return read(source.known_labels()), scores
    truth = read(take_labels(X, y))  # first: scoring takes longer
    n_images = _count(X)
    if n_images not in (None, len(truth)):
        raise ParameterError(f"X has {n_images} images, but y has {len(truth)} labels; give one per image")
    _warn_of_differing(estimator, X, y)
    scores = score(X)
    check_lengths(len(scores), y=truth)
    return truth, scores


def check_dataset_labels(estimator: Any, X: Any, y: ArrayLike | None) -> None:
    """Stop where the labels of a dataset, which say melanoma or not, are taken for others that a classifier learned.

    Parameters
    ----------
    estimator : object
        Any classifier; one of this library remembers what it learned.
    X : object
        What it scores.
    y : array-like or None
        The labels, if they were given.

    Raises
    ------
    DatasetError
        If there are two classes of which none is melanoma, or training labels differed from those of their dataset.
    """
    names = np.asarray(getattr(estimator, "classes_", ())).tolist()
    if y is not None or not is_table(X) or len(names) != 2:
        return
    words, pos_label = as_read(names), getattr(estimator, "pos_label_", None)
    if pos_label is not None and not finds_melanoma(words, words[names.index(pos_label)]):
        raise DatasetError(
            f"this classifier was fitted with {names[0]!r} and {names[1]!r}, not with the labels of the dataset, which "
            "say melanoma or not: pass y="
        )
    n_other = _count_learned(estimator)
    if n_other:
        raise DatasetError(
            f"this classifier was fitted with a y that differs from the labels of its dataset for {n_other} images"
            ": pass y= here too (the labels attribute of the dataset, where those are meant)"
        )


def _count_learned(estimator: Any) -> int:
    """Count the training images, as a classifier or its members remember, whose labels were not their dataset's."""
    for member in getattr(estimator, "members_", [estimator]):
        known = getattr(member, "provenance_", None)
        data = known.get("training_data") if isinstance(known, Mapping) else None
        n_other = data.get(LABELS_THAT_DIFFER, 0) if isinstance(data, Mapping) else 0
        if n_other:
            return int(n_other)
    return 0


def _warn_of_differing(estimator: Any, X: Any, y: ArrayLike | None) -> None:
    """Warn of a `y` that contradicts the dataset, unless the classifier was fitted with such labels on purpose."""
    if y is None or not is_table(X) or _count_learned(estimator):
        return
    try:
        n = count_differing(X, y, classes_of(estimator))
    except MelanomaTLError:  # labels that only `pos_label` explains are not those of the dataset
        return
    if n:
        logger.warning(
            "y differs from the labels of %s for %d of %d images: y is what counts here; leave it out to take the "
            "labels of the dataset",
            X.name,
            n,
            len(X),
        )


def of_both(read: Callable[[ArrayLike], NDArray[np.int64]]) -> Callable[[ArrayLike], NDArray[np.int64]]:
    """Let a function that reads labels of two classes stop where one of them does not occur.

    Parameters
    ----------
    read : callable
        Function that turns labels into 0 and 1.

    Returns
    -------
    callable
        The same, with a DatasetError where a class has no image.
    """

    def read_both(labels: ArrayLike) -> NDArray[np.int64]:
        truth = read(labels)
        check_classes(int(truth.sum()), int((truth == 0).sum()))
        return truth

    return read_both


def _count(X: Any) -> int | None:
    """Count the rows of a classifier's input; None where that is not known."""
    shape: Any = getattr(X, "shape", ())
    if len(shape):
        return None if shape[0] is None else int(shape[0])
    return len(X) if isinstance(X, Sized) and not isinstance(X, Mapping) else None


def take_labels(X: Any, y: ArrayLike | None) -> ArrayLike:
    """Return the labels of images, from `y` or else from ``X.labels``.

    Parameters
    ----------
    X : ISBIDataset or anything else
        Its `labels` are taken where `y` is None.
    y : array-like of shape (n,) or None
        The labels.

    Returns
    -------
    array-like of shape (n,)
        The labels, unchanged.

    Raises
    ------
    ParameterError
        If there are none.
    DatasetError
        If there are none, and X is a folder, a table or one image.
    """
    labels = getattr(X, "labels", None) if y is None else y
    if labels is None:
        refuse_one_image(X)
        raise ParameterError(f"X is a {type(X).__name__} without labels; pass them as y")
    return labels


def classes_of(estimator: Any, pos_label: object = None) -> Classes:
    """Return the classes of a classifier, and which of them it scores as melanoma.

    Parameters
    ----------
    estimator : object
        A classifier, with `classes_` (0 and 1 if it has none) and optionally `pos_label_`.
    pos_label : object, optional
        The class that means melanoma, where neither the classifier nor the names of its classes determine it.

    Returns
    -------
    Classes
        In the order of the columns of its `predict_proba`.

    Raises
    ------
    DatasetError
        If it is not known which of two classes is melanoma.
    ParameterError
        If `pos_label` is none of the classes, or the classifier was trained for another one.
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
    """Score images with any binary classifier, and encode their labels with its classes.

    Parameters
    ----------
    estimator : object
        As `classes_of`.
    X : object
        Input of the classifier.
    y : array-like of shape (n,), optional
        Labels, as the classes of the classifier or as 0 and 1; ``X.labels`` by default.
    pos_label : object, optional
        The label of melanoma, one of the classes of the classifier or else one in `y`, where the names do not
        determine it.

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

    return score_labelled(estimator, lambda images: score_melanoma(estimator, images, known), of_both(read), X, y)


def check_reads_streams(estimator: Any, X: Any) -> None:
    """Raise an error if a tf.data.Dataset is given to a classifier of another library, which would need two passes.

    Parameters
    ----------
    estimator : object
        Any classifier.
    X : object
        Input of the classifier.

    Raises
    ------
    ParameterError
        If `X` is a tf.data.Dataset and the classifier is not one of this library.
    """
    if is_stream(X) and not hasattr(estimator, "seen_images"):
        raise ParameterError(
            f"{type(estimator).__name__} cannot read images and labels of a tf.data.Dataset in one pass, and in two "
            "their order may differ: pass its scores and labels to from_scores or from_predictions, or arrays"
        )


def score_melanoma(estimator: Any, X: Any, known: Classes | None = None, **options: Any) -> NDArray[np.float64]:
    """Score images with any binary classifier.

    Parameters
    ----------
    estimator : object
        A classifier with ``predict_proba(X)`` of shape (n, 2), in the order of its `classes_`.
    X : object
        Input of the classifier.
    known : Classes, optional
        Its classes; read from it by default.
    **options : dict
        Passed on to its `predict_proba`.

    Returns
    -------
    ndarray of shape (n,)
        Probabilities of melanoma.

    Raises
    ------
    DatasetError, ParameterError
        As `classes_of`; also if the scores are of another shape, or their columns are called otherwise.
    """
    known = classes_of(estimator) if known is None else known
    given = estimator.predict_proba(X, **options)
    probabilities = np.asarray(given)
    if known.melanoma is None or probabilities.ndim != 2 or probabilities.shape[1] != 2:
        raise ParameterError(not_binary(str(probabilities.shape)))
    check_column_order(given, known.labels.tolist(), "predict_proba(X)")
    return probabilities[:, known.melanoma]


def threshold_of(estimator: Any) -> float:
    """Return the tuned threshold of a classifier, or else its parameter `threshold`.

    Parameters
    ----------
    estimator : object
        A classifier, with `threshold_`, `threshold`, or neither; or a pipeline or search of scikit-learn around one.

    Returns
    -------
    float
        0.5 where it has neither.

    Raises
    ------
    ParameterError
        If scikit-learn tuned its threshold.
    """
    if hasattr(estimator, "best_threshold_"):  # it may be one of the other class, or of a decision function
        raise ParameterError(
            f"{type(estimator).__name__} predicts by best_threshold_ {estimator.best_threshold_:.4g}, which need not "
            "be a probability of melanoma: pass threshold=, with the same number if it is one"
        )
    steps = list(getattr(estimator, "named_steps", {}).values())
    within = getattr(estimator, "best_estimator_", steps[-1] if steps else None)
    if within is not None:
        return threshold_of(within)
    threshold = getattr(estimator, "threshold_", getattr(estimator, "threshold", 0.5))
    return 0.5 if isinstance(threshold, str) else threshold  # scikit-learn's "auto"


def patients_of(X: Any) -> list[Any] | None:
    """Return the patient of each image, or else its lesion, if at least one of them has several images.

    Many archives (HAM10000, ISIC 2018 and 2019, BCN20000) name the lesion alone. Its images are no more independent
    than those of a patient.

    Parameters
    ----------
    X : object
        Images; an `ISBIDataset` has a table.

    Returns
    -------
    list of length n_images, or None
        The patients; where one is missing, that of another image of the lesion, or else the lesion; or nothing.
    """
    table = getattr(X, "metadata", None)
    if table is None:
        return None
    missing = pd.Series(None, range(len(table)), dtype=object)
    patients, lesions = (table.reset_index(drop=True).get(name, missing) for name in ("patient_id", "lesion_id"))
    of_lesion = patients.groupby(lesions).first().dropna()
    names = patients.fillna(lesions.map(of_lesion)).fillna(lesions.dropna().map("lesion {}".format))
    known = names.dropna()
    several = known.duplicated().any() and len(set(known)) + names.isna().sum() > 1
    return names.where(names.notna(), None).tolist() if several else None
