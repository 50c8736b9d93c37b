"""Conversion of everything that a user may pass as ``X`` to pixels."""

import logging
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._progress import progress
from melanoma_tl.errors import CacheError, DatasetError, ImageError
from melanoma_tl.images.array_store import Make, StoredArrays, StoreReplacedError
from melanoma_tl.images.decoding import SkippedRow, hold, load_image
from melanoma_tl.images.fingerprints import (
    GROUP_KINDS,
    Fingerprint,
    Fingerprints,
    IdentifiedImages,
    content_of,
    fingerprint_images,
)
from melanoma_tl.images.image_lists import (
    has_name,
    is_stream,
    is_table,
    list_images,
    name_error,
    name_item,
    refuse_swapped,
)
from melanoma_tl.images.parallel import batched, map_threaded
from melanoma_tl.images.prepared import PreparedStore
from melanoma_tl.images.streams import Stream
from melanoma_tl.labels.classes import as_labels

logger = logging.getLogger(__name__)

_MOST_AT_ONCE, _BYTES_AT_ONCE = 256, 2**26
"""Number of images decoded before they are written; limits the memory, and the work lost by an interruption."""

_N_LOOKED_AT_AGAIN = 4
"""Number of images of a tf.data.Dataset that are read again as a check: all must occur in the first pass."""


@dataclass(frozen=True)
class ImageSource:
    """Images that are not yet decoded, with their names and labels.

    Attributes
    ----------
    items : iterable
        Paths, bytes, `ImageFile`, PIL images or uint8 arrays; any other item is a bad image.
    names : iterable of str
        Id or position of each image.
    given_labels : ndarray of shape (n_images,) or None
        Labels, if they are known in advance.
    length : int or None
        Number of images, if it is known in advance.
    """

    items: Iterable[Any]
    names: Iterable[str]
    given_labels: NDArray[Any] | None = None
    length: int | None = None

    @property
    def is_stream(self) -> bool:
        """Whether the order of images may differ between passes, so that labels belong to the last pass only."""
        return isinstance(self.items, Stream)

    def known_labels(self) -> NDArray[Any]:
        """Return the labels of the images.

        Returns
        -------
        ndarray of shape (n_images,)
            Labels as given by the user; for a stream, those of the images read so far.

        Raises
        ------
        DatasetError
            If no labels are given, and the images have none.
        """
        if isinstance(self.items, Stream) and self.items.labelled:
            return self.items.labels()
        if self.given_labels is None:
            raise DatasetError(
                "there are no labels: "
                + (
                    "zip them in, tf.data.Dataset.zip((images, labels))"
                    if self.is_stream
                    else "pass y, or an X that has them, such as an ISBIDataset"
                )
            )
        return self.given_labels

    def parts(self, n: int) -> Iterator["ImageSource"]:
        """Split the source into sources of a few images, which can be iterated repeatedly.

        Parameters
        ----------
        n : int
            Number of images in each part.

        Yields
        ------
        ImageSource
            The parts, in the order of one pass.
        """
        for part in batched(zip(self.items, self.names, strict=False), n):
            items, names = zip(*part, strict=True)
            yield ImageSource(items, names, None, len(items))


@dataclass(frozen=True)
class _Names:
    """Names of images; each iteration starts with the first."""

    items: Iterable[Any] | None

    def __iter__(self) -> Iterator[str]:
        if self.items is None:
            return (f"image {position}" for position in count())
        positions = getattr(self.items, "positions", count())
        return (name_item(item, position) for item, position in zip(self.items, positions, strict=False))


def open_source(X: Any, y: ArrayLike | None = None) -> ImageSource:
    """Open the images that a user passed.

    Parameters
    ----------
    X : object
        The images, in any form that `melanoma_tl.images.image_lists.list_images` accepts, or an ImageSource.
    y : array-like of shape (n_images,), optional
        Their labels; by default those of `X`, if it has any.

    Returns
    -------
    ImageSource
        The images, not yet decoded.

    Raises
    ------
    DatasetError
        If `X` has the wrong type, is empty or infinite, or differs in length from `y`; if a label is missing.
    """
    if isinstance(X, ImageSource):
        return X
    if is_stream(X):
        stream = Stream(X)
        if y is not None:
            own = (
                "brings its own labels: pass no y" if stream.labelled else "takes its labels in: zip((images, labels))"
            )
            raise DatasetError(
                f"a tf.data.Dataset {own}. Its order may differ in each pass, so that separate labels "
                "would be assigned to other images"
            )
        return ImageSource(stream, _Names(None), None, stream.length)
    refuse_swapped(X, y)
    items = list_images(X)
    _check_no_data(X, y)
    given = getattr(X, "labels", None) if y is None and is_table(X) else y
    labels = None if given is None else as_labels(given)
    if labels is not None and len(labels) != len(items):
        raise DatasetError(f"y must have one class an image: {len(items)} images, y of shape {labels.shape}")
    names = X.image_ids if is_table(X) else _Names(items)
    return ImageSource(items, names, labels, len(items))


def _check_no_data(X: Any, y: Any) -> None:
    """Stop at what is often passed as labels and is none: validation images, or the name of a column."""
    if hasattr(y, "image_ids"):
        raise DatasetError("y holds images, where labels are expected: fit takes validation images as validation_data=")
    if isinstance(y, str):
        column = f"X.metadata[{y!r}]" if is_table(X) else "a column of a table"
        raise DatasetError(f"y must be a sequence of labels, one an image, got str: pass {column}")


@dataclass(frozen=True)
class ImageBatch:
    """Some decoded images and the rows that could not be decoded.

    Attributes
    ----------
    pixels : ndarray of shape (n_readable, height, width, 3) and dtype uint8
        Raw RGB, 0 to 255.
    readable : ndarray of bool of shape (n_images,)
        Which images could be decoded.
    skipped : tuple of SkippedRow
        The images that could not be decoded, with the reasons.
    """

    pixels: NDArray[np.uint8]
    readable: NDArray[np.bool_]
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
        Images per batch.
    on_error : {"raise", "skip"}
        Raise an error for a bad image, or list it.
    desc : str
        Label of the progress bar.
    verbose : int
        0 shows no progress bar.

    Yields
    ------
    ImageBatch
        The batches, in order.

    Raises
    ------
    ImageError
        At the first bad image, if `on_error` is "raise".
    """

    def read(named: tuple[Any, str]) -> NDArray[np.uint8] | SkippedRow:
        image, name = named
        try:
            return load_image(image, size)
        except ImageError as error:
            return _skip(image, name, error, on_error)

    rows = map_threaded(read, zip(source.items, source.names, strict=False), window=2 * batch_size)
    for rows_of_batch in batched(progress(rows, desc, total=source.length, verbose=verbose), batch_size):
        images = [image for image in rows_of_batch if not isinstance(image, SkippedRow)]
        yield ImageBatch(
            np.stack(images) if images else np.empty((0, *size, 3), np.uint8),
            np.array([not isinstance(image, SkippedRow) for image in rows_of_batch]),
            tuple(image for image in rows_of_batch if isinstance(image, SkippedRow)),
        )


def _skip(image: Any, name: str, error: ImageError, on_error: str) -> SkippedRow:
    """Return a bad image as a skipped row, or raise its error."""
    if on_error == "raise":
        raise name_error(error, image, name) from None
    path = error.source if has_name(image) else ""
    return SkippedRow(str(name), path, error.reason)


def identify(X: Any, *, verbose: int) -> IdentifiedImages:
    """Compute the fingerprints of images.

    Parameters
    ----------
    X : object
        As for `open_source`, or an ISBIDataset that was loaded without images.
    verbose : int
        0 shows no progress bar.

    Returns
    -------
    IdentifiedImages
        The images with their fingerprints.
    """
    if hasattr(X, "identify"):
        return X.identify(verbose=verbose)
    source = open_source(X)
    bar = progress(source.items, "Fingerprint images", total=source.length, verbose=verbose)
    found = list(fingerprint_images(bar))
    names = _tell_apart([str(name) for name, _ in zip(source.names, found, strict=False)], range(len(found)))
    bad = [(name, image) for name, image in zip(names, found, strict=True) if isinstance(image, ImageError)]
    _warn_if_drawn_anew(source, found, "they are taken as they came once")
    return IdentifiedImages(
        name_of(X),
        names,
        None,
        Fingerprints.from_keys_and_hashes({}, found),
        tuple(SkippedRow(name, "", error.reason) for name, error in bad),
    )


def _tell_apart(names: Sequence[str], positions: Iterable[int]) -> tuple[str, ...]:
    """Add the position to a name that several images have, as files in several folders do: images are counted by it."""
    counts = Counter(names)
    pairs = zip(names, positions, strict=True)
    return tuple(name if counts[name] == 1 else f"{name} (image {position})" for name, position in pairs)


def _warn_if_drawn_anew(source: ImageSource, found: Iterable[Fingerprint | ImageError], so: str) -> None:
    """Warn if a tf.data.Dataset yields different images in each pass, such as by random augmentation."""
    if not isinstance(source.items, Stream):
        return
    known = {one.content for one in found if isinstance(one, Fingerprint)}
    again = fingerprint_images(source.items.peek(_N_LOOKED_AT_AGAIN))
    if any(isinstance(one, Fingerprint) and one.content not in known for one in again):
        warnings.warn(
            "this tf.data.Dataset yields different images in each pass, such as by random augmentation in its maps: "
            + so,
            stacklevel=4,
        )


def name_of(X: Any) -> str:
    """Return the name of a collection of images for messages.

    Parameters
    ----------
    X : object
        As for `open_source`.

    Returns
    -------
    str
        The name of a dataset; anything else is "the images".
    """
    name = getattr(X, "name", None)
    return name if isinstance(name, str) else "the images"


@dataclass(frozen=True)
class PreparedImages:
    """Decoded images on disk, which can be read repeatedly in any order.

    Attributes
    ----------
    pixels : StoredArrays of shape (n_images, height, width, 3) and dtype uint8
        Raw RGB, 0 to 255, in the store that all runs share.
    contents : tuple of bytes
        SHA-256 of each image file.
    recipe : str
        Everything that determines decoding and resizing.
    labels : ndarray of shape (n_images,)
        Labels as given by the user.
    identity : IdentifiedImages
        Name, ids and fingerprints of the images, and the skipped images.
    positions : ndarray of int of shape (n_images,)
        Positions of the images among all that the user gave.
    """

    pixels: StoredArrays
    contents: tuple[bytes, ...]
    recipe: str
    labels: NDArray[Any]
    identity: IdentifiedImages
    positions: NDArray[np.intp]

    @property
    def skipped(self) -> tuple[SkippedRow, ...]:
        """Images that were left out."""
        return self.identity.skipped


def prepare(
    X: Any, y: ArrayLike | None, size: tuple[int, int], *, on_error: str, desc: str, verbose: int
) -> PreparedImages:
    """Decode and resize all images that are not yet stored at this size.

    Training reads its images many times. Preparing them first finds bad images before
    training starts, and keeps memory use constant for any number of images.

    Parameters
    ----------
    X, y : object
        As for `open_source`; labels are needed.
    size : tuple of int
        (height, width) in pixels.
    on_error : {"raise", "skip"}
        Raise an error for a bad image, or skip and list it.
    desc : str
        Label of the progress bar.
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
    source.known_labels()  # raises if there are none
    for is_last in (False, False, True):
        try:
            return _prepare(X, source, size, on_error=on_error, desc=desc, verbose=verbose)
        except StoreReplacedError:
            if is_last:
                raise
            logger.warning("%s: the cache was cleared meanwhile: starting again", desc)
    raise AssertionError


def _prepare(
    X: Any, source: ImageSource, size: tuple[int, int], *, on_error: str, desc: str, verbose: int
) -> PreparedImages:
    store = PreparedStore(size)
    at_once = max(1, min(_MOST_AT_ONCE, _BYTES_AT_ONCE // (size[0] * size[1] * 3)))
    kept: list[tuple[int, str, tuple[Any, Fingerprint]]] = []
    skipped: list[SkippedRow] = []
    with progress(work=desc, total=source.length, verbose=verbose) as bar:
        for batch in batched(zip(source.items, source.names, strict=False), at_once):
            results_of_batch = store.prepare([image for image, _ in batch])
            for (image, name), result in zip(batch, results_of_batch, strict=True):
                position = len(kept) + len(skipped)
                if isinstance(result, ImageError):
                    skipped.append(_skip(image, name, result, on_error))
                else:
                    kept.append((position, str(name), result))
            bar.update(len(batch))
    if skipped:
        n_images = len(kept) + len(skipped)
        logger.warning("%s: %d of %d images left out, such as %s: %s", desc, len(skipped), n_images, *skipped[0][::2])
    if not kept:
        raise DatasetError(f"{desc}: none of the {len(skipped)} images can be read")
    logger.info("%s: %d images of %dx%d pixels are stored in %s", desc, len(kept), *size, store.folder)
    positions, names, results = zip(*kept, strict=True)
    places, found = zip(*results, strict=True)
    contents = tuple(fingerprint.content for fingerprint in found)
    _warn_if_drawn_anew(
        source,
        found,
        "each image was drawn once, and training uses it unchanged in every epoch; remove the random map and pass "
        "augmenter=Augmenter(...)",
    )
    fingerprints = Fingerprints.from_keys_and_hashes(_known_keys(X, np.array(positions)), found)
    return PreparedImages(
        store.open(np.array(places), _decoder(source, size, positions, contents)),
        contents,
        store.recipe,
        source.known_labels()[np.array(positions)],
        IdentifiedImages(name_of(X), _tell_apart(names, positions), None, fingerprints, tuple(skipped)),
        np.array(positions),
    )


def _decoder(
    source: ImageSource, size: tuple[int, int], positions: Sequence[int], contents: Sequence[bytes]
) -> Make | None:
    """Return the function that decodes prepared images again; None for a stream, which cannot be read again."""
    items: Any = source.items
    if isinstance(items, Stream):
        return None

    def decode(row: int) -> NDArray[np.uint8]:
        image = items[positions[row]]
        try:
            held = hold(image)
            pixels = load_image(held, size)
            is_same = content_of(held) == contents[row]
        except ImageError as error:
            raise CacheError(f"{error}: it is needed again, because its stored copy is damaged") from error
        if not is_same:
            raise CacheError(f"{name_item(image, positions[row])}: was changed since it was prepared; start again")
        return pixels

    def make(rows: NDArray[np.intp]) -> tuple[list[bytes], NDArray[np.uint8]]:
        return [contents[row] for row in rows], np.stack(list(map_threaded(decode, rows.tolist())))

    return make


def _known_keys(X: Any, rows: NDArray[np.intp]) -> dict[str, NDArray[np.uint64]]:
    """Return ids, lesions and patients of some rows, if X is a dataset that has them."""
    if not hasattr(X, "identify"):
        return {}
    return dict(X.identify(("id", *GROUP_KINDS)).fingerprints[rows].keys)
