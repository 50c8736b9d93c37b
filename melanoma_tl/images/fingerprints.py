"""Fingerprints, by which images are recognised without storing them: bytes, perceptual hashes, id, lesion, patient.

The perceptual hash is that of ImageHash (``phash``: the signs of the lowest frequencies of the cosine transform
against their median; Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions"), once with 64
bits and once with 256.
"""

import base64
import hashlib
import json
import logging
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from melanoma_tl import cache
from melanoma_tl.errors import ImageError
from melanoma_tl.images.decoding import (
    ImageFile,
    ImageLike,
    SkippedRow,
    decode,
    hold,
    load_image,
    open_image,
    read_content,
)
from melanoma_tl.images.hdf5 import split_member
from melanoma_tl.images.parallel import batched, map_threaded
from melanoma_tl.images.pixels import as_stored, read_orientation
from melanoma_tl.labels.distinct import once_each
from melanoma_tl.labels.ids import fold_id

logger = logging.getLogger(__name__)

COARSE_WORDS, FINE_WORDS = 1, 4
"""Length of the two perceptual hashes in words of 64 bits."""

HASH_WORDS = COARSE_WORDS + FINE_WORDS

_LOOKS = 2
"""The image as shown, and, if its EXIF orientation differs, as stored in the file."""

_HASHED_SIZE = (64, 64)  # what a 256-bit hash is computed from: 16 frequencies each way, times ImageHash's factor of 4

_SCHEMA = """CREATE TABLE IF NOT EXISTS looked_at (
    path BLOB PRIMARY KEY, state BLOB, content BLOB, look BLOB, checksum INTEGER
) WITHOUT ROWID"""

_SECOND = 1_000_000_000
_FINE_TICK, _COARSE_TICK = _SECOND // 50, 2 * _SECOND
"""Nanoseconds within which two changes may have the same time: Linux has ticks of 1 to 10 ms, FAT of 2 s."""

IMAGE_KINDS = ("id", "bytes", "near-duplicate")
"""Relations that identify two copies of the same image."""

GROUP_KINDS = ("lesion", "patient")
"""Relations that identify two images of the same lesion or patient."""

KINDS = IMAGE_KINDS + GROUP_KINDS


class Fingerprint(NamedTuple):
    """The fingerprint of one image.

    Attributes
    ----------
    content : bytes of length 32
        SHA-256 of the file, or of shape and pixels of an image in memory.
    look : bytes of length 80
        The perceptual hashes, 64 and 256 bits, of the image as shown. If an EXIF orientation changes it, they are
        followed by the hashes of the pixels as stored, because a copy may have lost the tag; otherwise by zeros.
    """

    content: bytes
    look: bytes


def fingerprint_image(image: ImageLike) -> Fingerprint:
    """Compute the fingerprint of one image.

    Parameters
    ----------
    image : path, PIL.Image.Image or ndarray of shape (height, width, 3) and dtype uint8
        The image.

    Returns
    -------
    Fingerprint
        Its content hash and perceptual hashes.

    Raises
    ------
    ImageError
        If it cannot be decoded.
    """
    held = hold(image)
    shown = Image.fromarray(load_image(held, _HASHED_SIZE))
    orientation = _orientation(held)
    stored = bytes(8 * HASH_WORDS) if orientation == 1 else _look(as_stored(shown, orientation))
    return Fingerprint(content_of(held), _look(shown) + stored)


def _look(picture: Image.Image) -> bytes:
    import imagehash

    bits = [imagehash.phash(picture, hash_size=size).hash for size in (8, 16)]
    return b"".join(np.packbits(hash_bits).tobytes() for hash_bits in bits)


def _orientation(image: ImageLike) -> int:
    if isinstance(image, np.ndarray):
        return 1
    with open_image(image) as opened:
        return read_orientation(opened)


def content_of(image: ImageLike) -> bytes:
    """Compute the content hash of an image.

    Parameters
    ----------
    image : path, bytes, ImageFile, PIL.Image.Image or ndarray of shape (height, width, 3) and dtype uint8
        The image.

    Returns
    -------
    bytes of length 32
        SHA-256 of the file, or of shape and pixels of an image in memory.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    if isinstance(image, str | os.PathLike | bytes | ImageFile):
        return hashlib.sha256(read_content(image)).digest()
    pixels = np.asarray(decode(image))
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()


def fingerprint_images(images: Iterable[ImageLike], *, batch_size: int = 256) -> Iterator[Fingerprint | ImageError]:
    """Compute the fingerprints of many images, in threads.

    Fingerprints of files are stored in the cache folder. They are computed again only if the size, the inode, or the
    time of the last change (mtime, ctime) of the file differs.

    Parameters
    ----------
    images : iterable of path, PIL.Image.Image or ndarray
        The images.
    batch_size : int, default=256
        Number of images that are looked up and stored at once.

    Yields
    ------
    Fingerprint or ImageError
        The fingerprint of each image in order, or the error if it cannot be decoded.

    Raises
    ------
    CacheError
        If the cache folder cannot be used.
    """
    for batch in batched(images, batch_size):
        states = [_file_state(image) for image in batch]
        known = _recall([state.path for state in states if state])
        found = [known.get(state) if state else None for state in states]
        missing = [position for position, fingerprint in enumerate(found) if fingerprint is None]
        computed = dict(zip(missing, map_threaded(_try, [batch[position] for position in missing]), strict=True))
        _remember(
            (state, fingerprint)
            for position, fingerprint in computed.items()
            if (state := states[position]) and isinstance(fingerprint, Fingerprint)
            # If the file changed while it was read, the fingerprint may belong to either state.
            if state.is_settled and _file_state(batch[position]) == state
        )
        yield from (computed[position] if known is None else known for position, known in enumerate(found))


def _try(image: ImageLike) -> Fingerprint | ImageError:
    try:
        return fingerprint_image(image)
    except ImageError as error:
        return error


class _FileState(NamedTuple):
    """The state of a file, by which changes are detected."""

    path: bytes
    size: int
    modified: int
    changed: int
    inode: int

    @property
    def is_settled(self) -> bool:
        """Whether a further change would alter the times, whose resolution is seconds on some file systems."""
        last = max(self.modified, self.changed)
        tick = _FINE_TICK if self.changed % _SECOND else _COARSE_TICK
        return not 0 <= time.time_ns() - last <= tick


def _file_state(image: ImageLike) -> _FileState | None:
    if not isinstance(image, str | os.PathLike):
        return None
    try:
        file, key = split_member(os.fsdecode(image)) or (image, "")
        path = Path(file).resolve()
        state = path.stat()
    except (OSError, RuntimeError, ValueError):  # decoding will report the error
        return None
    name = os.fsencode(f"{path}::{key}" if key else path)
    return _FileState(name, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)


def _recall(paths: Sequence[bytes]) -> dict[_FileState, Fingerprint]:
    if not paths:
        return {}
    select = f"SELECT * FROM looked_at WHERE path IN ({','.join('?' * len(paths))})"  # noqa: S608
    rows = cache.transact(_table(), _SCHEMA, lambda table: table.execute(select, paths).fetchall())
    whole = [row for row in rows if _checksum(row[:-1]) == row[-1]]
    if len(whole) < len(rows):
        logger.warning("%s: %d fingerprints are damaged and are computed again", _table(), len(rows) - len(whole))
    return {_FileState(path, *json.loads(state)): Fingerprint(content, look) for path, state, content, look, _ in whole}


def _remember(found: Iterable[tuple[_FileState, Fingerprint]]) -> None:
    rows = [(state.path, json.dumps(state[1:]).encode(), *fingerprint) for state, fingerprint in found]
    if rows:
        sealed = [(*row, _checksum(row)) for row in rows]
        insert = "INSERT OR REPLACE INTO looked_at VALUES (?, ?, ?, ?, ?)"
        cache.transact(_table(), _SCHEMA, lambda table: table.executemany(insert, sealed))


def _table() -> Path:
    return cache.folder() / "fingerprints.sqlite"


def _checksum(row: tuple[Any, ...]) -> int:
    return zlib.crc32(repr(row).encode())


@dataclass(frozen=True)
class Fingerprints:
    """Anonymous fingerprints of the images of a dataset.

    They identify the images but do not reveal them. Ids and contents are truncated to the first 64 bits
    of their SHA-256: comparing 400,000 with 400,000 images gives a false match with a probability of 1e-8.
    Whoever can guess an id can verify the guess.

    Attributes
    ----------
    keys : mapping of str to ndarray of shape (n_images,) and dtype uint64
        For each known relation ("id", "bytes", "lesion", "patient"), equal numbers for equal
        values, and 0 for unknown ones.
    perceptual_hashes : ndarray of shape (n_images, 10) and dtype uint64, or None
        The perceptual hashes, 64 and 256 bits, as in `Fingerprint`; zeros for unknown or blank images.
    """

    keys: Mapping[str, NDArray[np.uint64]]
    perceptual_hashes: NDArray[np.uint64] | None

    def __len__(self) -> int:
        return len(next(iter(self.keys.values()))) if self.perceptual_hashes is None else len(self.perceptual_hashes)

    @classmethod
    def from_keys_and_hashes(
        cls, keys: Mapping[str, NDArray[np.uint64]], images: Sequence[Fingerprint | ImageError] | None
    ) -> Self:
        """Combine keys from the table with the fingerprints of the images.

        Parameters
        ----------
        keys : mapping of str to ndarray of shape (n_images,) and dtype uint64
            Numbers by relation, from `number_values`.
        images : sequence of Fingerprint or ImageError of length n_images, or None
            From `fingerprint_images`; None if the images were not read.

        Returns
        -------
        Fingerprints
            The combined fingerprints.
        """
        if images is None:
            return cls(dict(keys), None)
        unknown = Fingerprint(bytes(32), bytes(8 * HASH_WORDS * _LOOKS))
        known = [image if isinstance(image, Fingerprint) else unknown for image in images]
        contents = np.frombuffer(b"".join(image.content[:8] for image in known), dtype="<u8")
        looks = np.frombuffer(b"".join(image.look for image in known), dtype="<u8").reshape(-1, HASH_WORDS * _LOOKS)
        return cls({**keys, "bytes": contents.astype(np.uint64)}, looks.astype(np.uint64))

    def __getitem__(self, rows: Any) -> Self:
        """Return the fingerprints of some images, by slice, mask or positions."""
        keys = {kind: numbers[rows] for kind, numbers in self.keys.items()}
        return type(self)(keys, None if self.perceptual_hashes is None else self.perceptual_hashes[rows])

    def select(self, kinds: Iterable[str]) -> Self:
        """Keep some of the relations only.

        Parameters
        ----------
        kinds : iterable of str
            The relations to keep.

        Returns
        -------
        Fingerprints
            The fingerprints with these relations.
        """
        keys = {kind: numbers for kind, numbers in self.keys.items() if kind in kinds}
        return type(self)(keys, self.perceptual_hashes if "near-duplicate" in kinds else None)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The relations that are known."""
        known = {*self.keys, *(() if self.perceptual_hashes is None else ("near-duplicate",))}
        return tuple(kind for kind in KINDS if kind in known)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Concatenate the fingerprints of several datasets.

        Parameters
        ----------
        parts : sequence of Fingerprints
            At least one part.

        Returns
        -------
        Fingerprints
            The concatenation; relations that a part lacks, perceptual hashes among them, are 0 for its images.
        """
        kinds = {kind for part in parts for kind in part.keys}
        empty = [np.zeros(len(part), dtype=np.uint64) for part in parts]
        keys = {
            kind: np.concatenate([part.keys.get(kind, zeros) for part, zeros in zip(parts, empty, strict=True)])
            for kind in kinds
        }
        if all(part.perceptual_hashes is None for part in parts):
            return cls(keys, None)
        unknown = [np.zeros((len(part), HASH_WORDS * _LOOKS), dtype=np.uint64) for part in parts]
        looks = [
            zeros if part.perceptual_hashes is None else part.perceptual_hashes
            for part, zeros in zip(parts, unknown, strict=True)
        ]
        return cls(keys, np.concatenate(looks))

    def unique(self) -> Self:
        """Remove duplicates.

        Returns
        -------
        Fingerprints
            The first of each set of equal fingerprints, in the same order.
        """
        columns = [*self.keys.values(), *(() if self.perceptual_hashes is None else self.perceptual_hashes.T)]
        first = np.unique(np.column_stack(columns), axis=0, return_index=True)[1]
        return self[np.sort(first)]

    def to_state(self) -> dict[str, Any]:
        """Convert the fingerprints to values that can be serialised as JSON.

        Returns
        -------
        dict
            The arrays as Base64, little-endian.
        """
        arrays = dict(self.keys)
        if self.perceptual_hashes is not None:
            arrays["looks"], stored = self.perceptual_hashes[:, :HASH_WORDS], self.perceptual_hashes[:, HASH_WORDS:]
            arrays |= {"stored_looks": stored} if stored.any() else {}
        return {name: base64.b64encode(array.astype("<u8").tobytes()).decode() for name, array in arrays.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, str]) -> Self:
        """Restore fingerprints from the output of `to_state`.

        Parameters
        ----------
        state : mapping of str to str
            The arrays as Base64.

        Returns
        -------
        Fingerprints
            The same fingerprints.

        Raises
        ------
        ValueError
            If the state is invalid.
        """
        arrays = {
            name: np.frombuffer(base64.b64decode(text, validate=True), dtype="<u8") for name, text in state.items()
        }
        unknown = arrays.keys() - {*KINDS, "looks", "stored_looks"}
        numbers = {len(array) / (HASH_WORDS if name.endswith("looks") else 1) for name, array in arrays.items()}
        if unknown or len(numbers) != 1:
            raise ValueError("the arrays are not fingerprints of the same number of images")
        if "looks" not in arrays:
            return cls(arrays, None)
        shown = arrays.pop("looks").reshape(-1, HASH_WORDS)
        stored = arrays.pop("stored_looks", np.zeros_like(shown)).reshape(-1, HASH_WORDS)
        return cls(arrays, np.hstack([shown, stored]))


def number_values(values: Iterable[Any]) -> NDArray[np.uint64]:
    """Hash ids to integers, the same in every process and for every spelling of an id.

    Parameters
    ----------
    values : iterable of shape (n,)
        Ids of any kind; missing ones become 0.

    Returns
    -------
    ndarray of shape (n,) and dtype uint64
        The first 64 bits of the SHA-256 of each, as `melanoma_tl.labels.ids.fold_id` writes it.
    """
    return np.frombuffer(b"".join(once_each(_number_value, values)), dtype="<u8").astype(np.uint64)


def _number_value(value: Any) -> bytes:
    if not isinstance(value, str) and pd.isna(value):
        return bytes(8)
    return hashlib.sha256(fold_id(str(value)).encode(errors="surrogatepass")).digest()[:8]


def normalise_id(image_id: str) -> str:
    """Normalise an id, so that its spellings in different challenges are equal.

    ISIC 2019 lists images of earlier years under their id followed by ``_downsampled``.

    Parameters
    ----------
    image_id : str
        The id.

    Returns
    -------
    str
        As `melanoma_tl.labels.ids.fold_id` writes it, without that suffix.

    Examples
    --------
    >>> normalise_id("ISIC_0000013_downsampled")
    'isic_0000013'
    """
    return fold_id(image_id).removesuffix("_downsampled")


class IdentifiedImages(NamedTuple):
    """Images with their fingerprints.

    Attributes
    ----------
    name : str
        Name of the images for messages.
    image_ids : sequence of str of length n_images
        Id or position of each image.
    paths : sequence of str of length n_images, or None
        Their files, if they are known.
    fingerprints : Fingerprints
        Their fingerprints.
    skipped : tuple of SkippedRow
        Images that could not be read.
    """

    name: str
    image_ids: Sequence[str] | NDArray[np.str_]
    paths: Sequence[str] | NDArray[np.str_] | None
    fingerprints: Fingerprints
    skipped: tuple[SkippedRow, ...] = ()
