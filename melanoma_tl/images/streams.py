"""Images and labels from a `tf.data.Dataset`, whose order may differ in each pass."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.errors import DatasetError, MelanomaTLError
from melanoma_tl.images.parallel import take
from melanoma_tl.labels.classes import as_labels

_INFINITE, _UNKNOWN = -1, -2
"""Values of `cardinality()` for an infinite dataset, and for one of unknown length."""

_FEWEST_REPEATS = 1000
"""Number of repeated images in a row after which a dataset of unknown length may count as infinite."""

_MOST_UNFORESEEN = 50_000
"""Number of images after which a dataset of unknown length counts as infinite, before it fills memory and disk.
The largest set of dermoscopic images with labels, ISIC 2020, has 33,126."""


class Stream:
    """The images of a `tf.data.Dataset`, batched or not; labels are recorded while images are read.

    Labels and images must come from the same pass: a dataset that shuffles, as those of Keras do, has a different
    order in the next.

    Parameters
    ----------
    dataset : tf.data.Dataset
        A dataset of uint8 images (height, width, 3) or batches of them, alone or as (image, label).

    Attributes
    ----------
    labelled : bool
        Whether the dataset yields labels.
    length : int or None
        Number of images, if it is known in advance.

    Raises
    ------
    DatasetError
        If the dataset yields anything else, is empty or infinite.
    """

    def __init__(self, dataset: Any) -> None:
        image, self.labelled = _read_spec(dataset)
        self._dataset = dataset
        self._labels: list[Any] = []
        self._n_elements = int(dataset.cardinality())
        if self._n_elements == _INFINITE:
            raise DatasetError(
                "this tf.data.Dataset never ends (repeat() without a number): leave repeat out, or end it with take(n)"
            )
        if self._n_elements == 0:
            raise DatasetError("X holds no image: the tf.data.Dataset is empty")
        is_known = self._n_elements > 0 and image.shape.rank == 3
        self.length = self._n_elements if is_known else None

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Yield all images of a new pass."""
        self._labels = []
        pairs = self._pairs() if self._n_elements >= 0 else _ending(self._pairs())
        for image, label in pairs:
            if self.labelled:
                self._labels.append(_one_label(label))
            yield image

    def _pairs(self) -> Iterator[tuple[NDArray[Any], Any]]:
        n_images = 0
        try:
            for element in self._dataset.as_numpy_iterator():
                images, *labels = element if isinstance(element, tuple) else (element,)
                for image, label in _take_apart(images, labels[0] if labels else None):
                    n_images += 1
                    yield image, label
        except MelanomaTLError:
            raise
        except Exception as error:  # whatever the functions of the user do inside of it
            raise DatasetError(
                f"the tf.data.Dataset broke off after {n_images} images: {_first_line(error)}; "
                "dataset.ignore_errors() leaves out what cannot be read"
            ) from error
        if not n_images:
            raise DatasetError("X holds no image: the tf.data.Dataset is empty")

    def labels(self) -> NDArray[Any]:
        """Return the labels of the images read in the last pass.

        Returns
        -------
        ndarray of shape (n_images,)
            Labels in the order of the images; one-hot labels become the index of the 1.

        Raises
        ------
        DatasetError
            If a label is missing or invalid.
        """
        return as_labels(self._labels, name="the labels of the tf.data.Dataset")

    def peek(self, n: int) -> list[NDArray[Any]]:
        """Read the first images of another pass.

        Parameters
        ----------
        n : int
            Number of images.

        Returns
        -------
        list of ndarray
            The images, in the order of that pass; no labels are recorded.
        """
        return [image for image, _ in take(self._pairs(), n)]


def _first_line(error: Exception) -> str:
    """Return the first line of an error, without the name of TensorFlow's own operation."""
    return re.sub(r"^\{\{.*?\}\}+ ?", "", str(error)).strip().splitlines()[0][:300]


def _take_apart(images: NDArray[Any], labels: Any) -> Iterator[tuple[NDArray[Any], Any]]:
    """Yield the images of an element, a batch or one image, each with its label."""
    if images.ndim == 3:
        yield images, labels
    elif labels is None:
        yield from ((image, None) for image in images)
    elif np.shape(labels)[:1] != images.shape[:1]:
        raise DatasetError(
            f"a tf.data.Dataset must give one label per image, got a batch of {len(images)} images, labels of shape "
            f"{np.shape(labels)}"
        )
    else:
        yield from zip(images, labels, strict=True)


def _read_spec(dataset: Any) -> tuple[Any, bool]:
    """Return the specification of the images, and whether the dataset yields labels."""
    spec = dataset.element_spec
    if isinstance(spec, Mapping):
        raise DatasetError(_of_a_mapping(spec))
    parts = spec if isinstance(spec, tuple) else (spec,)
    if len(parts) == 3:
        raise DatasetError(
            "a tf.data.Dataset of (image, label, weight) is given, and weights of single images are not used: take "
            "dataset.map(lambda image, label, weight: (image, label)), and class_weight= or a Balancer"
        )
    if len(parts) > 3 or not parts:
        raise DatasetError(f"a tf.data.Dataset must give images or (image, label), got tuples of {len(parts)}")
    for what, part in zip(("the image", "the label"), parts, strict=False):
        if isinstance(part, Mapping | tuple | list):
            raise DatasetError(
                f"a tf.data.Dataset must give one image and one label, but {what} is a {type(part).__name__}: "
                "choose one with dataset.map(lambda image, label: ...)"
            )
        if type(part).__name__ != "TensorSpec":
            raise DatasetError(
                f"a tf.data.Dataset must give dense tensors, but {what} is a {type(part).__name__}: take "
                "dataset.unbatch(), and batches of images of one size or none"
            )
    _check_images(dataset, parts[0], labelled=len(parts) == 2)
    return parts[0], len(parts) == 2


def _check_images(dataset: Any, image: Any, *, labelled: bool) -> None:
    shape = tuple(image.shape) if image.shape.rank is not None else None
    if shape is not None and (len(shape) not in (3, 4) or shape[-1] not in (3, None)):
        raise DatasetError(
            f"a tf.data.Dataset must give images (height, width, 3) or batches of them, got {image.dtype.name} of "
            f"shape {shape}"
        )
    if image.dtype.name == "uint8":
        return
    names = getattr(dataset, "class_names", None)
    label = f"tf.gather({list(names)!r}, {_number_of(dataset.element_spec[1])})" if names and labelled else "label"
    lambda_ = f"image, label: (tf.cast(image, tf.uint8), {label})" if labelled else "image: tf.cast(image, tf.uint8)"
    raise DatasetError(
        f"expected raw RGB of dtype uint8, 0 to 255, got a tf.data.Dataset of {image.dtype.name}: where it holds 0 to "
        f"255, as Keras gives them, take dataset.map(lambda {lambda_}); undo any other scaling first"
        + ("" if names or not labelled else _WHAT_NUMBERS_MEAN)
    )


_WHAT_NUMBERS_MEAN = (
    ". Labels 0 and 1 are read as benign and melanoma; Keras numbers folders by the alphabet, so that melanoma may be 0"
)


def _number_of(label: Any) -> str:
    """Return the expression that converts a label of Keras (integer, column or one-hot) to a class index."""
    width = label.shape[-1] if label.shape.rank else None
    batched = label.shape.rank == 2
    if batched and width != 1:
        return "tf.argmax(label, -1)"
    return "tf.cast(label[..., 0], tf.int32)" if batched else "tf.cast(label, tf.int32)"


def _of_a_mapping(spec: Mapping[str, Any]) -> str:
    names = list(spec)
    image = next((name for name in names if "im" in str(name).lower()), "image")
    label = next((name for name in names if str(name).lower() in ("label", "labels", "target", "y")), "label")
    return (
        f"a tf.data.Dataset of dictionaries ({', '.join(map(repr, names))}) is given: say which is the image and which "
        f"the label, dataset.map(lambda row: (row[{image!r}], row[{label!r}]))"
    )


def _one_label(label: Any) -> Any:
    """Return the label of an image from a scalar, an array of one element, or a one-hot array."""
    array = np.asarray(label)
    if array.size == 1:
        return array.item()
    if array.ndim == 1 and array.dtype.kind in "biuf" and np.isin(array, (0, 1)).all() and array.sum() == 1:
        return int(array.argmax())
    raise DatasetError(
        f"a tf.data.Dataset must give one label per image, or one-hot labels, got {array.dtype} of shape {array.shape}"
        + (f" ({array.tolist()})" if array.size < 9 else "")
    )


def _ending(pairs: Iterator[tuple[NDArray[Any], Any]]) -> Iterator[tuple[NDArray[Any], Any]]:
    """Raise an error if a dataset of unknown length seems to be infinite."""
    seen: set[bytes] = set()
    n_repeats = 0
    for n_before, (image, label) in enumerate(pairs):
        content = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        n_repeats = n_repeats + 1 if content in seen else 0
        seen.add(content)
        if n_repeats > max(_FEWEST_REPEATS, len(seen)):
            raise _no_end(f"repeats its {len(seen)} images and may never end")
        if n_before == _MOST_UNFORESEEN:
            raise _no_end(f"gave {n_before:,} images, and nothing says whether it ends")
        yield image, label


def _no_end(what: str) -> DatasetError:
    return DatasetError(
        f"this tf.data.Dataset {what}: end it with take(n), or say its length with "
        "dataset.apply(tf.data.experimental.assert_cardinality(n))"
    )
