"""Labels and weights of classes, checked before any image is read."""

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import ArrayLike, NDArray

from melanoma_tl.errors import DatasetError, ParameterError, UnknownNameError
from melanoma_tl.images.loading import open_source
from melanoma_tl.labels.classes import Classes

VALIDATION_LABELS = "the validation data"


def check_labels(
    X: Any,
    y: ArrayLike | None,
    validation_data: Any,
    *,
    tell_classes: Callable[[NDArray[Any]], Classes],
    class_weight: Any,
) -> Classes | None:
    """Find the classes before images are read, and stop at labels that cannot be used.

    Parameters
    ----------
    X, y : object
        Training images and their labels, as for `TransferClassifier.fit`.
    validation_data : object
        As for `TransferClassifier.fit`.
    tell_classes : callable
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
    classes = tell_classes(labels)
    weights_of_classes(class_weight, classes)
    if validation_data is not None:
        validation = open_source(*as_pair(validation_data))
        labels = validation.known_labels()
        if not validation.is_stream:
            classes.encode(labels, name=VALIDATION_LABELS)
    return classes


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
        If it is a tuple of another length.
    """
    pair = validation_data if isinstance(validation_data, tuple) else (validation_data, None)
    if len(pair) != 2:
        raise DatasetError(f"validation_data must be a dataset or (X, y), got a tuple of {len(pair)}")
    return pair
