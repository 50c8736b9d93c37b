"""Images decoded and resized once, on disk, for every run that needs them at that size."""

import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from melanoma_tl import cache
from melanoma_tl.errors import CacheError, ImageError
from melanoma_tl.fingerprints import Fingerprint, fingerprint_images
from melanoma_tl.images import REDUCING_GAP, ImageLike, batched, load_image, map_threaded

logger = logging.getLogger(__name__)

_SCHEMA = "CREATE TABLE IF NOT EXISTS images (content BLOB PRIMARY KEY, slot INTEGER NOT NULL UNIQUE) WITHOUT ROWID"

_IS_THERE = "SELECT 1 FROM images WHERE content = ?"
_NEXT_SLOT = "SELECT COALESCE(MAX(slot) + 1, 0) FROM images"


class StoredImages:
    """Images on disk in an order of one's choice, read where they are asked for.

    Indexes like an array of shape (n_images, height, width, 3); what is read is a copy,
    so that memory does not grow with what was read before.

    Parameters
    ----------
    file : path
        Raw RGB bytes, image after image.
    slots : ndarray of int of shape (n_images,)
        Which image of the file stands at each position.
    size : tuple of int
        (height, width) in pixels.

    Attributes
    ----------
    shape : tuple of int
        (n_images, height, width, 3).
    dtype : numpy.dtype
        uint8.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, file: Path, slots: NDArray[np.int64], size: tuple[int, int]) -> None:
        try:
            self._file = file.open("rb")  # kept open: the images stay readable if the cache is cleared meanwhile
        except OSError as error:
            raise CacheError(f"{error}; prepare the images again: the cache was cleared meanwhile") from error
        self._slots = slots
        self._n_slots = int(slots.max(initial=-1)) + 1  # the file may go on, and end within an image, after a kill
        self.shape = (len(slots), *size, 3)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (Path(self._file.name), self._slots, self.shape[1:3])

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        # Mapped anew each time: pages that stay mapped would count as memory of this process.
        if not len(self):
            return np.empty(self.shape, dtype=np.uint8)[key]
        pixels = np.memmap(self._file, dtype=np.uint8, mode="r", shape=(self._n_slots, *self.shape[1:]))
        return np.array(pixels[self._slots[key]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("the images lie on disk: reading them makes a copy")
        return self[:].astype(dtype or np.uint8, copy=False)


class PreparedStore:
    """All images of one size: a file of pixels that only grows, and a table of what lies where.

    Writers add under the lock of the table: first the pixels, then the entries. A process
    that is killed in between leaves pixels without entries, which the next writer overwrites.

    Parameters
    ----------
    size : tuple of int
        (height, width) in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        height, width = size
        self.size = size
        # Whatever changes a pixel is part of the name, so that it never meets pixels made otherwise.
        name = f"{height}x{width}_lanczos_gap{REDUCING_GAP}_pillow{PIL.__version__}"
        self.folder = cache.folder() / "prepared" / name
        self._pixels = self.folder / "pixels.uint8"
        self._bytes = height * width * 3

    def prepare(self, images: Sequence[ImageLike]) -> list[tuple[int, Fingerprint] | ImageError]:
        """Decode and resize those of a few images that are not there yet, in threads.

        Parameters
        ----------
        images : sequence of path, PIL.Image.Image or ndarray
            As many as fit into memory.

        Returns
        -------
        list of (int, Fingerprint) or ImageError
            Slot and fingerprint of each; what is wrong, where one cannot be decoded.

        Raises
        ------
        CacheError
            If the disk is full or the folder cannot be written.
        """
        fingerprints = dict(enumerate(fingerprint_images(images)))
        results: dict[int, Any] = {row: found for row, found in fingerprints.items() if isinstance(found, ImageError)}
        known = {row: found for row, found in fingerprints.items() if isinstance(found, Fingerprint)}
        slots = self._slots(known)
        missing = {known[row].content: row for row, slot in slots.items() if slot < 0}
        decoded = dict(zip(missing, map_threaded(self._decode, [images[row] for row in missing.values()]), strict=True))
        self._add({content: pixels for content, pixels in decoded.items() if not isinstance(pixels, ImageError)})
        for row, slot in (self._slots(known) if missing else slots).items():
            results[row] = decoded[known[row].content] if slot < 0 else (slot, known[row])
        return [results[row] for row in range(len(images))]

    def _decode(self, image: ImageLike) -> NDArray[np.uint8] | ImageError:
        try:
            return load_image(image, self.size)
        except ImageError as error:
            return error

    def _slots(self, known: Mapping[int, Fingerprint]) -> dict[int, int]:
        """Look up where images lie; -1 where they are not there."""
        found: dict[bytes, int] = {}
        with self._table() as table:
            for batch in batched((fingerprint.content for fingerprint in known.values()), 500):
                marks = ",".join("?" * len(batch))
                found.update(table.execute(f"SELECT * FROM images WHERE content IN ({marks})", batch))  # noqa: S608
        return {row: found.get(fingerprint.content, -1) for row, fingerprint in known.items()}

    def _add(self, images: Mapping[bytes, NDArray[np.uint8]]) -> None:
        with self._table() as table:
            # Another process may have added some of them since they were looked up.
            new = {
                content: image
                for content, image in images.items()
                if not table.execute(_IS_THERE, [content]).fetchone()
            }
            (first,) = table.execute(_NEXT_SLOT).fetchone()
            with self._pixels.open("r+b" if self._pixels.exists() else "w+b") as file:
                file.seek(first * self._bytes)
                file.writelines(image.tobytes() for image in new.values())
                file.flush()
                os.fsync(file.fileno())  # no entry may survive a power cut that its pixels do not
            table.executemany("INSERT INTO images VALUES (?, ?)", zip(new, count(first)))

    def open(self, slots: NDArray[np.int64]) -> StoredImages:
        """Open some of the images.

        Parameters
        ----------
        slots : ndarray of shape (n_images,) and dtype int64
            From `prepare`.

        Returns
        -------
        StoredImages
            In the order of the slots.
        """
        return StoredImages(self._pixels, slots, self.size)

    @contextmanager
    def _table(self) -> Iterator[sqlite3.Connection]:
        with cache.database(self.folder / "index.sqlite", _SCHEMA) as table:
            (n_slots,) = table.execute(_NEXT_SLOT).fetchone()
            n_bytes = self._pixels.stat().st_size if self._pixels.exists() else 0
            if n_bytes < n_slots * self._bytes:
                logger.warning("%s is shorter than its table says: the images are prepared again", self._pixels)
                self._pixels.unlink(missing_ok=True)  # whoever reads the old file goes on reading it
                table.execute("DELETE FROM images")
            yield table
