"""Arrays of one shape on disk, each found by what it was made from, and compared with its checksum when it is read."""

import logging
import os
import secrets
import sqlite3
import threading
import weakref
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from melanoma_tl import cache
from melanoma_tl.errors import CacheError
from melanoma_tl.images.parallel import batched

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

PLACE = np.dtype([("slot", np.int64), ("seed", np.uint32), ("checksum", np.uint32)])
"""Where an array lies, -1 if nowhere; what its checksum begins with, from its key and its store; and the checksum."""

_NOWHERE = -1

_TABLE = "arrays_v2.sqlite"
"""The number is that of the layout: files of another layout are never taken for ours."""

_SCHEMA = """CREATE TABLE IF NOT EXISTS arrays (
    key BLOB PRIMARY KEY, slot INTEGER NOT NULL UNIQUE, checksum INTEGER NOT NULL
) WITHOUT ROWID"""

_MOST_KEPT = 2**25
"""Bytes up to which the arrays are kept in memory after the first reading: many small ones take long to read."""

Make = Callable[[NDArray[np.intp]], tuple[Sequence[bytes], NDArray[Any]]]
"""Makes the arrays at some positions again: returns their keys and themselves."""


class StoreReplacedError(CacheError):
    """A store was cleared or begun anew since it was first looked into: what was looked up there means nothing."""


class StoredArrays:
    """Arrays on disk in an order of one's choice, read where they are asked for.

    Indexes like one array; what is read is a copy, so that memory does not grow with what was read before.
    Few small ones are kept, up to 32 MiB. What is not as it was written is made again, where it is known how, and
    the log says so.

    Parameters
    ----------
    store : ArrayStore
        Where they lie.
    places : ndarray of dtype PLACE and shape (n_arrays,)
        From its `find`.
    make : callable, optional
        Makes arrays again.

    Attributes
    ----------
    shape : tuple of int
        (n_arrays, ...).
    dtype : numpy.dtype
        Of the arrays; for images uint8, raw RGB, 0 to 255.

    Raises
    ------
    CacheError
        Also when arrays are read: if one is damaged and cannot be made again.
    """

    def __init__(self, store: "ArrayStore", places: NDArray[Any], make: Make | None = None) -> None:
        self._store, self._places, self._make = store, places, make
        self._file = _OpenFile(store.path)
        self._positions = np.arange(len(places))
        self._kept: NDArray[np.uint8] | None = None
        self.shape = (len(places), *store.shape)
        self.dtype = store.dtype

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._store, self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        positions = self._positions[key]
        rows = self._rows(positions.ravel())
        return rows.view(self.dtype).reshape(*positions.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("the arrays lie on disk: reading them makes a copy")
        return self[:].astype(dtype or self.dtype, copy=False)

    def _rows(self, positions: NDArray[np.intp]) -> NDArray[np.uint8]:
        if len(self) * self._store.bytes_each > _MOST_KEPT:
            return self._read(positions)
        if self._kept is None:
            self._kept = self._read(self._positions)
        return self._kept[positions]

    def _read(self, positions: NDArray[np.intp]) -> NDArray[np.uint8]:
        n_bytes = self._store.bytes_each
        rows = np.empty((len(positions), n_bytes), np.uint8)
        damaged = []
        for number, (row, (slot, seed, checksum)) in enumerate(
            zip(rows, self._places[positions].tolist(), strict=True)
        ):
            is_whole = slot >= 0 and self._file.read_into(row, slot * n_bytes) == n_bytes
            if not is_whole or zlib.crc32(row.data, seed) != checksum:
                damaged.append(number)
        if damaged:
            arrays = np.ascontiguousarray(self._make_again(positions[damaged]), dtype=self.dtype)
            rows[damaged] = arrays.reshape(len(damaged), -1).view(np.uint8)
        return rows

    def _make_again(self, positions: NDArray[np.intp]) -> NDArray[Any]:
        folder, n = self._store.folder, len(positions)
        try:
            self._store.drop(self._places[positions])
        except CacheError as error:
            logger.warning("%s", error)
        if self._make is None:
            raise CacheError(
                f"{folder}: {n} of its arrays were damaged and are taken out; start again, and they are made anew"
            )
        logger.warning("%s: %d of its arrays are damaged and are made again", folder, n)
        keys, arrays = self._make(positions)
        try:
            self._store.add(dict(zip(keys, arrays, strict=True)))
            self._places[positions] = self._store.find(keys)
        except CacheError as error:
            logger.warning("what was made again cannot be kept: %s", error)
        return arrays


class ArrayStore:
    """Arrays of one shape: a file that only grows, and a table of what lies where.

    Writers add under the lock of the table: first the arrays, then the entries. A process
    that is killed in between leaves arrays without entries, which the next writer overwrites.

    Parameters
    ----------
    folder : path
        Where the files lie; its name must say all that the key of an array does not.
    shape : tuple of int
        Shape of each array.
    dtype : numpy.dtype
        Its data type.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.folder = folder
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.bytes_each = int(np.prod(shape)) * self.dtype.itemsize
        self._generation: int | None = None

    @property
    def path(self) -> Path:
        """The file of the arrays, from the first time on that something was looked up."""
        return self.folder / f"arrays_{self._generation:08x}.bin"

    def find(self, keys: Sequence[bytes]) -> NDArray[Any]:
        """Look up where arrays lie.

        Parameters
        ----------
        keys : sequence of bytes of length n_arrays
            What they were made from.

        Returns
        -------
        ndarray of shape (n_arrays,) and dtype PLACE
            The place of each; its slot is -1 where it is not there.

        Raises
        ------
        CacheError
            If the folder cannot be used.
        StoreReplacedError
            If the store was cleared since this object first looked into it.
        """

        def look(table: sqlite3.Connection) -> dict[bytes, tuple[int, int]]:
            found: dict[bytes, tuple[int, int]] = {}
            for batch in batched(set(keys), 500):
                marks = ",".join("?" * len(batch))
                rows = table.execute(f"SELECT key, slot, checksum FROM arrays WHERE key IN ({marks})", batch)  # noqa: S608
                found.update((key, (slot, checksum)) for key, slot, checksum in rows if _can_be(slot, checksum))
            return found

        found = self._transact(look)
        places = [(*found.get(key, (_NOWHERE, 0)), self._seed(key)) for key in keys]
        return np.array([(slot, seed, checksum) for slot, checksum, seed in places], dtype=PLACE)

    def add(self, arrays: Mapping[bytes, NDArray[Any]]) -> None:
        """Keep arrays; those that are there already stay as they are.

        Parameters
        ----------
        arrays : mapping of bytes to ndarray
            What they were made from, and they themselves.

        Raises
        ------
        CacheError
            If the disk is full or the folder cannot be written; what was there before stays.
        StoreReplacedError
            If the store was cleared since this object first looked into it.
        """

        def keep(table: sqlite3.Connection) -> None:
            # Another process may have added some of them since they were looked up.
            known = "SELECT slot, checksum FROM arrays WHERE key = ?"
            is_there = {key: _can_be(*(table.execute(known, [key]).fetchone() or (None, None))) for key in arrays}
            new = {key: self._to_bytes(array) for key, array in arrays.items() if not is_there[key]}
            first = _next_slot(table)
            with self.path.open("r+b" if self.path.exists() else "w+b") as file:
                file.seek(first * self.bytes_each)
                file.writelines(new.values())
                file.flush()
                os.fsync(file.fileno())  # no entry may survive a power cut that its array does not
            checksums = [zlib.crc32(array, self._seed(key)) for key, array in new.items()]
            table.executemany("INSERT OR REPLACE INTO arrays VALUES (?, ?, ?)", zip(new, count(first), checksums))

        self._transact(keep)

    def drop(self, places: NDArray[Any]) -> None:
        """Forget arrays that are damaged, so that they are made again.

        Parameters
        ----------
        places : ndarray of dtype PLACE
            From `find`.

        Raises
        ------
        CacheError
            If the folder cannot be used.
        StoreReplacedError
            If the store was cleared since this object first looked into it.
        """
        gone = places[["slot", "checksum"]].tolist()
        self._transact(lambda table: table.executemany("DELETE FROM arrays WHERE slot = ? AND checksum = ?", gone))

    def open(self, places: NDArray[Any], make: Make | None = None) -> StoredArrays:
        """Open some of the arrays.

        Parameters
        ----------
        places : ndarray of shape (n_arrays,) and dtype PLACE
            From `find`.
        make : callable, optional
            Makes those again that turn out to be damaged.

        Returns
        -------
        StoredArrays
            In the order of the places.

        Raises
        ------
        StoreReplacedError
            If the store was cleared meanwhile.
        """
        return StoredArrays(self, places, make)

    def forget(self) -> None:
        """Drop every array, because they are found to be wrong; who reads them goes on reading the old file."""
        self._transact(self._start_anew)

    def reopen(self) -> None:
        """Take the store as it is now, where it was cleared since this object first looked into it."""
        self._generation = None

    def _seed(self, key: bytes) -> int:
        """Begin the checksum with what the array is, so that one in the place of another is noticed."""
        return zlib.crc32(key, zlib.crc32(os.fsencode(self.folder.name)))

    def _to_bytes(self, array: NDArray[Any]) -> bytes:
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError(
                f"arrays of shape {self.shape} and dtype {self.dtype} are kept here, got {array.shape}, {array.dtype}"
            )
        return array.tobytes()

    def _transact(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        known = self._generation

        def work_on_ours(table: sqlite3.Connection) -> _T:
            self._generation = known
            self._recognise(table)
            return work(table)

        try:
            return cache.transact(self.folder / _TABLE, _SCHEMA, work_on_ours)
        except BaseException:
            self._generation = known  # what was written is undone
            raise

    def _recognise(self, table: sqlite3.Connection) -> None:
        """See that the file is there and is the one that this object knows."""
        known = self._generation
        (self._generation,) = table.execute("PRAGMA user_version").fetchone()
        if self._generation == 0:
            self._start_anew(table)
        elif self._is_cut_short(table) and known is None:
            logger.warning("%s is shorter than its table says: its contents are made again", self.path)
            self._start_anew(table)
        if known not in (None, self._generation) or self._is_cut_short(table):
            raise StoreReplacedError(f"{self.folder}: was cleared, replaced or cut short meanwhile; start again")

    def _is_cut_short(self, table: sqlite3.Connection) -> bool:
        n_bytes = self.path.stat().st_size if self.path.exists() else 0
        return n_bytes < _next_slot(table) * self.bytes_each

    def _start_anew(self, table: sqlite3.Connection) -> None:
        """Begin another file: no slot of the old one may ever mean another array."""
        for file in self.folder.glob("arrays_*.bin"):
            file.unlink(missing_ok=True)
        table.execute("DELETE FROM arrays")
        self._generation = 1 + secrets.randbelow(2**31 - 1)
        table.execute(f"PRAGMA user_version = {self._generation}")


def _next_slot(table: sqlite3.Connection) -> int:
    (last,) = table.execute("SELECT MAX(slot) FROM arrays").fetchone()
    if not (last is None or _can_be(last, 0)):
        raise sqlite3.DatabaseError(f"a slot is called {last!r:.40}")
    return 0 if last is None else last + 1


def _can_be(slot: Any, checksum: Any) -> bool:
    """Return whether a row holds numbers that are written there: a column may hold anything after damage."""
    return all(isinstance(value, int) and 0 <= value < 2**bits for value, bits in ((slot, 40), (checksum, 32)))


class _OpenFile:
    """A file that stays readable while this object lives, at any place and from any thread, even if it is deleted.

    It is read, not mapped: mapped pages count as memory of the process, and a mapped file that is cut short ends it.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise StoreReplacedError(f"{error}; start again: the cache was cleared meanwhile") from error
        weakref.finalize(self, os.close, self._descriptor)
        self._path = path
        self._lock = threading.Lock()

    def read_into(self, row: NDArray[np.uint8], offset: int) -> int:
        """Read bytes; return how many there were."""
        try:
            if hasattr(os, "preadv"):
                return os.preadv(self._descriptor, [row.data], offset)
            with self._lock, os.fdopen(self._descriptor, "rb", buffering=0, closefd=False) as file:  # Windows
                file.seek(offset)
                return file.readinto(row.data) or 0
        except OSError as error:
            logger.warning("%s: cannot be read at %d (%s)", self._path, offset, error)
            return 0
