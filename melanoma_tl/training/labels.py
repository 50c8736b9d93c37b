"""Labels and weights of classes, checked before any image is read."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._parameters import NUMBERS, check
from melanoma_tl.datasets.splitting import number_own_groups
from melanoma_tl.errors import DatasetError, ParameterError, UnknownNameError
from melanoma_tl.images.image_lists import is_stream, is_table
from melanoma_tl.images.loading import open_source
from melanoma_tl.images.own_labels import count_differing
from melanoma_tl.labels.checks import finds_melanoma
from melanoma_tl.labels.classes import Classes
from melanoma_tl.labels.together import as_read

logger = logging.getLogger(__name__)

_FEW = 5

VALIDATION_LABELS = "the validation data"


def check_labels(
    X: Any,
    y: ArrayLike | None,
    validation_data: Any,
    *,
    resolve_classes: Callable[[NDArray[Any]], Classes],
    class_weight: Any,
) -> Classes | None:
    """Find the classes before images are read, and stop at labels that cannot be used.

    Parameters
    ----------
    X, y : object
        Training images and their labels, as for `TransferClassifier.fit`.
    validation_data : object
        As for `TransferClassifier.fit`.
    resolve_classes : callable
        From labels to the classes.
    class_weight : object
        The parameter of the classifier.

    Returns
    -------
    Classes or None
        None where labels come with the images one by one.

    Raises
    ------
    DatasetError, ParameterError, UnknownNameError
        If a label or a weight cannot be used.
    """
    training = open_source(X, y)
    labels = training.known_labels()
    if training.is_stream:
        return None
    classes = resolve_classes(labels)
    weights_of_classes(class_weight, classes)
    if validation_data is not None:
        validation = open_source(*as_pair(validation_data))
        labels = validation.known_labels()
        if not validation.is_stream:
            classes.encode(labels, name=VALIDATION_LABELS)
        images, own = as_pair(validation_data)
        if own is None and is_table(images) and is_table(X) and not follows_dataset(X, y, classes):
            raise DatasetError(
                "y are other labels than those of the dataset: pass validation_data=(X, y) with such labels too"
            )
    return classes


def follows_dataset(X: Any, y: ArrayLike | None, classes: Classes) -> bool:
    """Return whether labels say what those of the dataset say: melanoma or not, for the same images.

    Parameters
    ----------
    X, y : object
        Training images and their labels.
    classes : Classes
        What these are.

    Returns
    -------
    bool
        True where they are not of two classes: then the dataset's are refused by their words.
    """
    if y is None or len(classes.labels) != 2 or not is_table(X):
        return True
    words = as_read(classes.labels.tolist())
    return finds_melanoma(words, words[classes.melanoma or 0]) and not count_differing(X, y, classes)


def warn_of_differing(n: int, X: Any) -> None:
    """Warn where `y` contradicts the dataset.

    Parameters
    ----------
    n : int
        As `count_differing` returns it.
    X : ISBIDataset
        The training images.
    """
    if n:
        logger.warning(
            "y differs from the labels of %s for %d of %d images: the classifier learns y, and reports, calibrate and "
            "tune_threshold need y= too",
            X.name,
            n,
            len(X),
        )


def warn_of_few(codes: NDArray[np.int64], classes: Classes) -> None:
    """Warn of classes with fewer than five training images.

    Parameters
    ----------
    codes : ndarray of shape (n_images,)
        The classes of the training images, as the network numbers them.
    classes : Classes
        What they are called.
    """
    counts = np.bincount(codes, minlength=len(classes.labels))[classes.codes].tolist()
    for label, n in zip(classes.labels.tolist(), counts, strict=True):
        if n < _FEW:
            logger.warning("%d image%s of %r: too few to learn from", n, "" if n == 1 else "s", label)


def read_sample_weight(sample_weight: ArrayLike | None, X: Any, y: ArrayLike | None) -> NDArray[np.float64] | None:
    """Check the weights of images, before any is read.

    Parameters
    ----------
    sample_weight : array-like of shape (n_images,) or None
        As for `TransferClassifier.fit`.
    X, y : object
        Training images and their labels.

    Returns
    -------
    ndarray of shape (n_images,), or None
        None where there are none.

    Raises
    ------
    ParameterError
        If they are not one number of at least 0 for each image, or leave less than two classes.
    """
    if sample_weight is None:
        return None
    source = open_source(X, y)
    if source.is_stream:
        raise ParameterError(
            "sample_weight belongs to the places of images, which a tf.data.Dataset may give in another order each "
            "time: pass paths or an array"
        )
    weights = check({"sample_weight": sample_weight}, {"sample_weight": NUMBERS})["sample_weight"]
    if weights.shape != (source.length,):
        raise ParameterError(
            f"sample_weight must be one number for each of {source.length} images, got {weights.shape}"
        )
    unfit = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(unfit):
        raise ParameterError(
            f"sample_weight must be numbers of at least 0, got {weights[unfit[0]]} for image {unfit[0]} "
            f"({len(unfit)} in all)"
        )
    labels = source.known_labels()
    gone = np.setdiff1d(labels, labels[weights > 0])
    if len(gone):
        raise ParameterError(f"sample_weight is 0 for all images of {', '.join(map(repr, gone.tolist()))}")
    return weights


def read_groups(groups: ArrayLike | None, X: Any, y: ArrayLike | None) -> NDArray[np.uint64] | None:
    """Check the groups of images, before any is read.

    Parameters
    ----------
    groups : array-like of shape (n_images,) or None
        As for `TransferClassifier.fit`.
    X, y : object
        Training images and their labels.

    Returns
    -------
    ndarray of shape (n_images,) and dtype uint64, or None
        A number for each group, 0 where nothing is known; None where there are none.

    Raises
    ------
    DatasetError
        If there is not one entry an image.
    ParameterError
        If the order of the images is not fixed.
    """
    if groups is None:
        return None
    source = open_source(X, y)
    if source.is_stream:
        raise ParameterError(
            "groups belong to the places of images, which a tf.data.Dataset may give in another order each time: pass "
            "paths or an array"
        )
    return number_own_groups(groups, len(source.known_labels()))


def balanced_weights(labels: NDArray[np.int64], sample_weight: NDArray[np.float64]) -> dict[int, float]:
    """Compute weights that balance the classes of weighted images, as `Balancer.class_weight` does of images.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,)
        Classes, from 0.
    sample_weight : ndarray of shape (n_rows,)
        How much each row counts.

    Returns
    -------
    dict of int to float
        Sum of all weights / (number of classes * sum of those of the class).
    """
    sums = np.bincount(labels, weights=sample_weight)
    return dict(enumerate((sums.sum() / (len(sums) * sums)).tolist()))


def weights_of_classes(class_weight: Any, classes: Classes) -> dict[int, float] | None:
    """Return weights that are given by label as those of the classes in the network.

    Parameters
    ----------
    class_weight : "balanced", mapping or None
        The parameter of the classifier.
    classes : Classes
        What the labels are.

    Returns
    -------
    dict of int to float, or None
        None where there are none, or they are to be counted from the rows.

    Raises
    ------
    ParameterError
        If it is no weight for each class.
    """
    if class_weight is None or class_weight == "balanced":
        return None
    if isinstance(class_weight, Mapping):
        try:
            codes = classes.encode(list(class_weight), name="class_weight").tolist()
        except (DatasetError, UnknownNameError):
            codes = []
        if sorted(codes) == list(range(len(classes.labels))):
            return {code: float(weight) for code, weight in zip(codes, class_weight.values(), strict=True)}
    raise ParameterError(
        f"class_weight must be None, 'balanced' or a weight for each of {classes.labels.tolist()}, got {class_weight!r}"
    )


def as_pair(validation_data: Any) -> tuple[Any, Any]:
    """Return images and labels of validation data.

    Parameters
    ----------
    validation_data : dataset or (X, y)
        As for `TransferClassifier.fit`.

    Returns
    -------
    tuple
        Images and labels; None for labels that come with the images.

    Raises
    ------
    DatasetError
        If it is a tuple of another length, or has no labels.
    """
    pair = validation_data if isinstance(validation_data, tuple) else (validation_data, None)
    if len(pair) != 2:
        raise DatasetError(f"validation_data must be a dataset or (X, y), got a tuple of {len(pair)}")
    if pair[1] is None and not (is_table(pair[0]) or is_stream(pair[0])):
        given = type(pair[0]).__name__
        raise DatasetError(f"validation_data must be a dataset with labels or (X, y), got {given}: pass its labels too")
    return pair
