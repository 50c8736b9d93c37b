"""Turn whatever a user may pass as ``X`` into pixels, one way for all."""

import errno
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from tqdm.auto import tqdm

from melanoma_tl.errors import DatasetError, ImageError
from melanoma_tl.images import SkippedRow, load_image, map_threaded

logger = logging.getLogger(__name__)

_WHAT_X_MAY_BE = (
    "an ISBIDataset, a list or array of paths, a list of PIL images, a uint8 array of shape (n, height, width, 3), "
    "or a tf.data.Dataset of images or of (image, label)"
)


@dataclass(frozen=True)
class ImageSource:
    """Images that are not yet decoded, with what is known of them.

    Attributes
    ----------
    items : iterable
        Paths, PIL images or uint8 arrays; with its label beside it where `labelled_items` is true.
    names : iterable of str
        Id or position of each.
    labels : ndarray of shape (n_images,) or None
        Classes, where they are known beforehand.
    length : int or None
        Number of images, where it is known beforehand.
    labelled_items : bool
        Whether the items are pairs of image and label.
    """

    items: Iterable[Any]
    names: Iterable[str]
    labels: NDArray[Any] | None = None
    length: int | None = None
    labelled_items: bool = False


def open_source(X: Any, y: ArrayLike | None = None) -> ImageSource:
    """Recognise what the user passed.

    Parameters
    ----------
    X : ISBIDataset, sequence of paths or PIL images, uint8 array, or tf.data.Dataset
        The images.
    y : array-like of shape (n_images,), optional
        Their classes; taken from `X` where that has them.

    Returns
    -------
    ImageSource
        Still undecoded.

    Raises
    ------
    DatasetError
        If `X` is none of these, is empty, or has another length than `y`.
    """
    if hasattr(X, "as_numpy_iterator"):
        if y is not None:
            raise DatasetError("a tf.data.Dataset brings its own labels: pass no y")
        return _open_tf_data(X)
    if isinstance(X, str | os.PathLike | Image.Image) or not (hasattr(X, "__len__") and hasattr(X, "__getitem__")):
        raise DatasetError(f"X must be {_WHAT_X_MAY_BE}; got {_shown(X)}")
    is_table = hasattr(X, "image_ids") and hasattr(X, "paths")
    labels = np.asarray(y) if y is not None else X.labels if is_table else None
    items = X.paths if is_table else X
    if len(items) == 0:
        raise DatasetError("X holds no image")
    first = items[0] if not hasattr(items, "iloc") else items.iloc[0]
    is_row_of_a_table = isinstance(first, np.ndarray) and first.ndim < 2
    if is_row_of_a_table or not isinstance(first, str | os.PathLike | Image.Image | np.ndarray):
        raise DatasetError(f"X must be {_WHAT_X_MAY_BE}; got {_shown(X)} of {_shown(first)}")
    if labels is not None and (labels.ndim != 1 or len(labels) != len(items)):
        raise DatasetError(f"y must have one class an image: {len(items)} images, y of shape {labels.shape}")
    names = X.image_ids if is_table else _names(items)
    return ImageSource(items, names, labels, len(items))


def _open_tf_data(dataset: Any) -> ImageSource:
    spec = dataset.element_spec
    labelled = isinstance(spec, tuple)
    rank = (spec[0] if labelled else spec).shape.rank
    if rank not in (3, 4):
        raise DatasetError(f"a tf.data.Dataset must give images (height, width, 3) or batches of them, got {spec}")
    items = (dataset.unbatch() if rank == 4 else dataset).as_numpy_iterator()
    return ImageSource(items, (f"image {i}" for i in count()), labelled_items=labelled)


def _names(items: Any) -> Iterator[str]:
    return (
        os.path.basename(item) if isinstance(item, str | os.PathLike) else f"image {position}"  # noqa: PTH119
        for position, item in enumerate(items)
    )


def _shown(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ + (f" of shape {shape} and dtype {value.dtype}" if shape is not None else "")


@dataclass(frozen=True)
class ImageBatch:
    """Some decoded images and the rows that could not be decoded.

    Attributes
    ----------
    pixels : ndarray of shape (n_readable, height, width, 3) and dtype uint8
        Raw RGB, 0 to 255.
    readable : ndarray of bool of shape (n_images,)
        Which images could be decoded.
    labels : list
        Class of each image, of those that could not be decoded too; empty where unknown.
    skipped : tuple of SkippedRow
        The images that could not be decoded, with the reasons.
    """

    pixels: NDArray[np.uint8]
    readable: NDArray[np.bool_]
    labels: list[Any]
    skipped: tuple[SkippedRow, ...]


def read_batches(
    source: ImageSource, size: tuple[int, int], *, batch_size: int, on_error: str, desc: str, verbose: int
) -> Iterator[ImageBatch]:
    """Decode and resize a source in threads, batch by batch, in constant memory.

    Parameters
    ----------
    source : ImageSource
        The images.
    size : tuple of int
        (height, width) in pixels.
    batch_size : int
        Number of images a batch.
    on_error : {"raise", "skip"}
        Stop at a bad image, or list it.
    desc : str
        What the progress bar says.
    verbose : int
        0 shows no progress bar.

    Yields
    ------
    ImageBatch
        In order.

    Raises
    ------
    ImageError
        At the first bad image, if `on_error` is "raise".
    """

    def read(named: tuple[Any, str]) -> tuple[NDArray[np.uint8] | SkippedRow, Any]:
        item, name = named
        image, label = item if source.labelled_items else (item, None)
        try:
            return load_image(image, size), label
        except ImageError as error:
            path = os.fspath(image) if isinstance(image, str | os.PathLike) else ""
            error = error if path else ImageError(name, error.reason)
            if on_error == "raise":
                raise error from None
            return SkippedRow(str(name), path, error.reason), label

    rows = map_threaded(read, zip(source.items, source.names, strict=False), window=2 * batch_size)
    progress = tqdm(rows, total=source.length, desc=desc, unit="image", disable=not verbose, leave=False)
    iterator = iter(progress)
    while rows_of_batch := list(islice(iterator, batch_size)):
        images = [image for image, _ in rows_of_batch if not isinstance(image, SkippedRow)]
        yield ImageBatch(
            np.stack(images) if images else np.empty((0, *size, 3), np.uint8),
            np.array([not isinstance(image, SkippedRow) for image, _ in rows_of_batch]),
            [label for _, label in rows_of_batch] if source.labelled_items else [],
            tuple(image for image, _ in rows_of_batch if isinstance(image, SkippedRow)),
        )


@dataclass(frozen=True)
class PreparedImages:
    """Decoded images on disk, to be read again and again in any order.

    Attributes
    ----------
    pixels : numpy.memmap of shape (n_images, height, width, 3) and dtype uint8
        Raw RGB, 0 to 255, in a temporary file that vanishes with this object.
    labels : ndarray of shape (n_images,)
        As the user gave them.
    skipped : tuple of SkippedRow
        Images that were left out.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[Any]
    skipped: tuple[SkippedRow, ...]


def prepare(
    X: Any, y: ArrayLike | None, size: tuple[int, int], *, on_error: str, desc: str, verbose: int
) -> PreparedImages:
    """Decode and resize every image once, into a temporary file on disk.

    Training passes over its images many times: this finds the bad ones before it
    starts, and keeps memory constant however many there are.

    Parameters
    ----------
    X, y : object
        As for `open_source`; labels are needed.
    size : tuple of int
        (height, width) in pixels.
    on_error : {"raise", "skip"}
        Stop at a bad image, or leave it out and list it.
    desc : str
        What the progress bar says.
    verbose : int
        0 shows no progress bar.

    Returns
    -------
    PreparedImages
        Images and labels in the order of `X`.

    Raises
    ------
    DatasetError
        If there are no labels or no readable images, or the disk is full.
    ImageError
        At the first bad image, if `on_error` is "raise".
    """
    source = open_source(X, y)
    if source.labels is None and not source.labelled_items:
        raise DatasetError("there are no labels: pass y, or an X that has them, such as an ISBIDataset")
    labels: list[Any] = []
    skipped: list[SkippedRow] = []
    done = n_kept = 0
    file = tempfile.TemporaryFile(prefix="melanoma_tl_")  # noqa: SIM115 -- lives as long as the array on it
    for batch in read_batches(source, size, batch_size=64, on_error=on_error, desc=desc, verbose=verbose):
        of_batch = batch.labels if source.labels is None else source.labels[done : done + len(batch.readable)]
        labels += [label for label, readable in zip(of_batch, batch.readable, strict=True) if readable]
        skipped += batch.skipped
        done, n_kept = done + len(batch.readable), n_kept + len(batch.pixels)
        _write(file, batch.pixels)
    if skipped:
        logger.warning("%s: %d of %d images left out, such as %s: %s", desc, len(skipped), done, *skipped[0][::2])
    if not n_kept:
        raise DatasetError(f"{desc}: none of the {done} images can be read")
    file.flush()
    pixels = np.memmap(file, dtype=np.uint8, mode="r", shape=(n_kept, *size, 3))
    return PreparedImages(pixels, np.array(labels), tuple(skipped))


def _write(file: Any, pixels: NDArray[np.uint8]) -> None:
    try:
        file.write(pixels.tobytes())
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DatasetError(
            f"the disk of {tempfile.gettempdir()} is full: decoded images are kept there during training; "
            "free some space, or set TMPDIR to a folder on a larger disk"
        ) from error
