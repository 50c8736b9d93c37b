"""Turn whatever a user may pass as ``X`` into pixels, one way for all."""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from tqdm.auto import tqdm

from melanoma_tl.arrays import StoredArrays
from melanoma_tl.datasets.leakage import Side
from melanoma_tl.errors import DatasetError, ImageError
from melanoma_tl.fingerprints import GROUP_KINDS, Fingerprint, Fingerprints, fingerprint_images
from melanoma_tl.images import ImageFile, SkippedRow, batched, load_image, map_threaded
from melanoma_tl.labels import as_labels
from melanoma_tl.prepared import PreparedStore

logger = logging.getLogger(__name__)

_MOST_AT_ONCE, _BYTES_AT_ONCE = 256, 2**26
"""Images decoded before they are written: bounds the memory, and what an interruption loses."""

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

    def known_labels(self) -> NDArray[Any]:
        """Give the classes of the images, which must be known before any of them is decoded.

        Returns
        -------
        ndarray of shape (n_images,)
            As the user gave them.

        Raises
        ------
        DatasetError
            If there are none, or they come with the images one by one.
        """
        if self.labels is not None:
            return self.labels
        if self.labelled_items:
            raise DatasetError(
                "the labels of a tf.data.Dataset are not known beforehand: pass an ISBIDataset, paths, PIL images or "
                "an array, and y"
            )
        raise DatasetError("there are no labels: pass y, or an X that has them, such as an ISBIDataset")


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
        If `X` is none of these, is empty, or has another length than `y`, or a label is missing.
    """
    if hasattr(X, "as_numpy_iterator"):
        if y is not None:
            raise DatasetError("a tf.data.Dataset brings its own labels: pass no y")
        return _open_tf_data(X)
    if isinstance(X, str | os.PathLike | Image.Image) or not (hasattr(X, "__len__") and hasattr(X, "__getitem__")):
        raise DatasetError(f"X must be {_WHAT_X_MAY_BE}; got {_shown(X)}")
    is_table = hasattr(X, "image_ids") and hasattr(X, "paths")
    given = X.labels if y is None and is_table else y
    labels = None if given is None else as_labels(given)
    items = X.paths if is_table else X
    if len(items) == 0:
        raise DatasetError("X holds no image")
    first = items[0] if not hasattr(items, "iloc") else items.iloc[0]
    is_row_of_a_table = isinstance(first, np.ndarray) and first.ndim < 2
    if is_row_of_a_table or not isinstance(first, str | os.PathLike | ImageFile | Image.Image | np.ndarray):
        raise DatasetError(f"X must be {_WHAT_X_MAY_BE}; got {_shown(X)} of {_shown(first)}")
    if labels is not None and len(labels) != len(items):
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
    facts = [f"{name} {getattr(value, name)}" for name in ("shape", "dtype") if hasattr(value, name)]
    return type(value).__name__ + (f" of {' and '.join(facts)}" if facts else "")


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
            return _skip(image, name, error, on_error), label

    rows = map_threaded(read, zip(source.items, source.names, strict=False), window=2 * batch_size)
    progress = tqdm(rows, total=source.length, desc=desc, unit="image", disable=not verbose, leave=False)
    for rows_of_batch in batched(progress, batch_size):
        images = [image for image, _ in rows_of_batch if not isinstance(image, SkippedRow)]
        yield ImageBatch(
            np.stack(images) if images else np.empty((0, *size, 3), np.uint8),
            np.array([not isinstance(image, SkippedRow) for image, _ in rows_of_batch]),
            [label for _, label in rows_of_batch] if source.labelled_items else [],
            tuple(image for image, _ in rows_of_batch if isinstance(image, SkippedRow)),
        )


def _skip(image: Any, name: str, error: ImageError, on_error: str) -> SkippedRow:
    """List a bad image, or stop at it."""
    path = (
        os.fspath(image) if isinstance(image, str | os.PathLike) else image.name if isinstance(image, ImageFile) else ""
    )
    if on_error == "raise":
        raise (error if path else ImageError(name, error.reason)) from None
    return SkippedRow(str(name), path, error.reason)


def identify(X: Any, *, verbose: int) -> Side:
    """Compute what images can be recognised by, whatever they are given as.

    Parameters
    ----------
    X : object
        As for `open_source`, or an ISBIDataset that was read without images.
    verbose : int
        0 shows no progress bar.

    Returns
    -------
    Side
        Ready to be compared.
    """
    if hasattr(X, "identify"):
        return X.identify(verbose=verbose)
    source = open_source(X)
    images = (item[0] for item in source.items) if source.labelled_items else source.items
    progress = tqdm(images, total=source.length, desc="Fingerprint images", disable=not verbose, leave=False)
    found = list(fingerprint_images(progress))
    names = tuple(str(name) for name, _ in zip(source.names, found, strict=False))
    bad = [(name, image) for name, image in zip(names, found, strict=True) if isinstance(image, ImageError)]
    return Side(
        name_of(X),
        names,
        None,
        Fingerprints.join({}, found),
        tuple(SkippedRow(name, "", error.reason) for name, error in bad),
    )


def name_of(X: Any) -> str:
    """Name images for people.

    Parameters
    ----------
    X : object
        As for `open_source`.

    Returns
    -------
    str
        The name of a dataset; the type of anything else.
    """
    return getattr(X, "name", type(X).__name__)


@dataclass(frozen=True)
class PreparedImages:
    """Decoded images on disk, to be read again and again in any order.

    Attributes
    ----------
    pixels : StoredArrays of shape (n_images, height, width, 3) and dtype uint8
        Raw RGB, 0 to 255, in the store that all runs share.
    contents : tuple of bytes
        SHA-256 of each image, as it was before it was decoded.
    recipe : str
        How it was decoded and resized.
    labels : ndarray of shape (n_images,)
        As the user gave them.
    identity : Side
        Name, ids and fingerprints of the images, and those that were left out.
    """

    pixels: StoredArrays
    contents: tuple[bytes, ...]
    recipe: str
    labels: NDArray[Any]
    identity: Side

    @property
    def skipped(self) -> tuple[SkippedRow, ...]:
        """Images that were left out."""
        return self.identity.skipped


def prepare(
    X: Any, y: ArrayLike | None, size: tuple[int, int], *, on_error: str, desc: str, verbose: int
) -> PreparedImages:
    """Decode and resize every image that was never prepared at this size before.

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
    CacheError
        If the disk is full or the cache folder cannot be written.
    DatasetError
        If there are no labels or no readable images.
    ImageError
        At the first bad image, if `on_error` is "raise".
    """
    source = open_source(X, y)
    if not source.labelled_items:
        source.known_labels()
    store = PreparedStore(size)
    at_once = max(1, min(_MOST_AT_ONCE, _BYTES_AT_ONCE // (size[0] * size[1] * 3)))
    labels: list[Any] = []
    kept: list[tuple[int, str, tuple[int, Fingerprint]]] = []
    skipped: list[SkippedRow] = []
    with tqdm(total=source.length, desc=desc, unit="image", disable=not verbose, leave=False) as progress:
        for batch in batched(zip(source.items, source.names, strict=False), at_once):
            items = [item for item, _ in batch]
            images = [image for image, _ in items] if source.labelled_items else items
            for image, (item, name), result in zip(images, batch, store.prepare(images), strict=True):
                position = len(kept) + len(skipped)
                if isinstance(result, ImageError):
                    skipped.append(_skip(image, name, result, on_error))
                else:
                    kept.append((position, str(name), result))
                    labels.append(item[1] if source.labels is None else source.labels[position])
            progress.update(len(batch))
    if skipped:
        n_images = len(kept) + len(skipped)
        logger.warning("%s: %d of %d images left out, such as %s: %s", desc, len(skipped), n_images, *skipped[0][::2])
    if not kept:
        raise DatasetError(f"{desc}: none of the {len(skipped)} images can be read")
    logger.info("%s: %d images of %dx%d pixels lie in %s", desc, len(kept), *size, store.folder)
    positions, names, results = zip(*kept, strict=True)
    slots, found = zip(*results, strict=True)
    fingerprints = Fingerprints.join(_known_keys(X, np.array(positions)), found)
    return PreparedImages(
        store.open(np.array(slots)),
        tuple(fingerprint.content for fingerprint in found),
        store.recipe,
        as_labels(labels),
        Side(name_of(X), names, None, fingerprints, tuple(skipped)),
    )


def _known_keys(X: Any, rows: NDArray[np.intp]) -> dict[str, NDArray[np.uint64]]:
    """Ids, lesions and patients of those rows, where X is a dataset that knows them."""
    if not hasattr(X, "identify"):
        return {}
    return dict(X.identify(("id", *GROUP_KINDS)).fingerprints[rows].keys)
