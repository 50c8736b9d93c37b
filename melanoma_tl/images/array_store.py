"""A store of equally shaped arrays on disk, found by keys and verified by checksums."""

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
"""Slot of an array (-1 if missing), seed of its checksum (from its key and its store), and the checksum."""

_NOWHERE = -1

_TABLE = "arrays_v2.sqlite"
"""The number is the version of the file layout; files of other versions are ignored."""

_SCHEMA = """CREATE TABLE IF NOT EXISTS arrays (
    key BLOB PRIMARY KEY, slot INTEGER NOT NULL UNIQUE, checksum INTEGER NOT NULL
) WITHOUT ROWID"""

_MOST_KEPT = 2**25
"""Size limit in bytes up to which arrays stay in memory after the first reading; many small ones are slow to read."""

Make = Callable[[NDArray[np.intp]], tuple[Sequence[bytes], NDArray[Any]]]
"""A function that recomputes the arrays at some positions; it returns their keys and the arrays."""


class StoreReplacedError(CacheError):
    """Raised if a store was cleared or replaced after its first use, so that earlier look-ups are invalid."""


class StoredArrays:
    """Arrays on disk in any order, read on demand.

    It is indexed like one array. Reading returns a copy, so that memory use does not grow; only small sets, up to
    32 MiB, stay in memory. Damaged arrays are recomputed if `make` is given, with a warning in the log.

    Parameters
    ----------
    store : ArrayStore
        The store of the arrays.
    places : ndarray of dtype PLACE and shape (n_arrays,)
        Places from its `find`.
    make : callable, optional
        Function that recomputes arrays.

    Attributes
    ----------
    shape : tuple of int
        (n_arrays, ...).
    dtype : numpy.dtype
        Dtype of the arrays; for images uint8, raw RGB, 0 to 255.

    Raises
    ------
    CacheError
        Also on reading: if an array is damaged and cannot be recomputed.
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
                f"{folder}: {n} of its arrays were damaged and have been removed; start again to compute them anew"
            )
        logger.warning("%s: %d of its arrays are damaged and are computed again", folder, n)
        keys, arrays = self._make(positions)
        try:
            self._store.add(dict(zip(keys, arrays, strict=True)))
            self._places[positions] = self._store.find(keys)
        except CacheError as error:
            logger.warning("arrays that were computed again cannot be stored: %s", error)
        return arrays


class ArrayStore:
    """Equally shaped arrays in an append-only file, with a table of their positions.

    Writers lock the table, then write first the arrays and then the entries. A process that
    is killed in between leaves arrays without entries, which the next writer overwrites.

    Parameters
    ----------
    folder : path
        The folder of the files. Its name must determine everything that the key of an array does not.
    shape : tuple of int
        Shape of each array.
    dtype : numpy.dtype
        Dtype of the arrays.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.folder = folder
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.bytes_each = int(np.prod(shape)) * self.dtype.itemsize
        self._generation: int | None = None

    @property
    def path(self) -> Path:
        """The file of the arrays; known after the first look-up."""
        return self.folder / f"arrays_{self._generation:08x}.bin"

    def find(self, keys: Sequence[bytes]) -> NDArray[Any]:
        """Look up the places of arrays.

        Parameters
        ----------
        keys : sequence of bytes of length n_arrays
            Keys of the arrays.

        Returns
        -------
        ndarray of shape (n_arrays,) and dtype PLACE
            The place of each array; the slot of a missing one is -1.

        Raises
        ------
        CacheError
            If the folder cannot be used.
        StoreReplacedError
            If the store was cleared after its first use by this object.
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
        """Add arrays; those that are already stored stay unchanged.

        Parameters
        ----------
        arrays : mapping of bytes to ndarray
            The arrays by their keys.

        Raises
        ------
        CacheError
            If the disk is full or the folder cannot be written; earlier arrays are kept.
        StoreReplacedError
            If the store was cleared after its first use by this object.
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
                os.fsync(file.fileno())  # after a power cut there must be no entry without its array
            checksums = [zlib.crc32(array, self._seed(key)) for key, array in new.items()]
            table.executemany("INSERT OR REPLACE INTO arrays VALUES (?, ?, ?)", zip(new, count(first), checksums))

        self._transact(keep)

    def drop(self, places: NDArray[Any]) -> None:
        """Remove damaged arrays, so that they are computed again.

        Parameters
        ----------
        places : ndarray of dtype PLACE
            Places from `find`.

        Raises
        ------
        CacheError
            If the folder cannot be used.
        StoreReplacedError
            If the store was cleared after its first use by this object.
        """
        gone = places[["slot", "checksum"]].tolist()
        self._transact(lambda table: table.executemany("DELETE FROM arrays WHERE slot = ? AND checksum = ?", gone))

    def open(self, places: NDArray[Any], make: Make | None = None) -> StoredArrays:
        """Open some of the arrays.

        Parameters
        ----------
        places : ndarray of shape (n_arrays,) and dtype PLACE
            Places from `find`.
        make : callable, optional
            Function that recomputes damaged arrays.

        Returns
        -------
        StoredArrays
            The arrays, in the order of the places.

        Raises
        ------
        StoreReplacedError
            If the store was cleared meanwhile.
        """
        return StoredArrays(self, places, make)

    def forget(self) -> None:
        """Remove all arrays, because they are wrong; open readers continue to read the old file."""
        self._transact(self._start_anew)

    def reopen(self) -> None:
        """Accept the current state of the store after it was cleared."""
        self._generation = None

    def _seed(self, key: bytes) -> int:
        """Return the seed of a checksum, from store and key, so that swapped arrays are detected."""
        return zlib.crc32(key, zlib.crc32(os.fsencode(self.folder.name)))

    def _to_bytes(self, array: NDArray[Any]) -> bytes:
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError(
                f"arrays must have the shape {self.shape} and dtype {self.dtype}, got {array.shape}, {array.dtype}"
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
            self._generation = known  # the transaction was rolled back
            raise

    def _recognise(self, table: sqlite3.Connection) -> None:
        """Check that the file exists and is the one that this object has used."""
        known = self._generation
        (self._generation,) = table.execute("PRAGMA user_version").fetchone()
        if self._generation == 0:
            self._start_anew(table)
        elif self._is_cut_short(table) and known is None:
            logger.warning("%s is shorter than its table says: its contents are computed again", self.path)
            self._start_anew(table)
        if known not in (None, self._generation) or self._is_cut_short(table):
            raise StoreReplacedError(f"{self.folder}: was cleared, replaced or cut short meanwhile; start again")

    def _is_cut_short(self, table: sqlite3.Connection) -> bool:
        n_bytes = self.path.stat().st_size if self.path.exists() else 0
        return n_bytes < _next_slot(table) * self.bytes_each

    def _start_anew(self, table: sqlite3.Connection) -> None:
        """Start a new file, so that no slot of the old file can refer to a different array."""
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
    """Return whether the values of a row are valid; after damage a column may hold anything."""
    return all(isinstance(value, int) and 0 <= value < 2**bits for value, bits in ((slot, 40), (checksum, 32)))


class _OpenFile:
    """An open file that can be read at any offset from any thread, even after it was deleted.

    It is not memory-mapped: mapped pages count as memory of the process, and a truncated mapped file crashes it.
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
        """Read bytes into a row; return their number."""
        try:
            if hasattr(os, "preadv"):
                return os.preadv(self._descriptor, [row.data], offset)
            with self._lock, os.fdopen(self._descriptor, "rb", buffering=0, closefd=False) as file:  # Windows
                file.seek(offset)
                return file.readinto(row.data) or 0
        except OSError as error:
            logger.warning("%s: cannot be read at %d (%s)", self._path, offset, error)
            return 0
