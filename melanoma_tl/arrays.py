"""Arrays of one shape on disk, each found by what it was made from."""

import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from melanoma_tl import cache
from melanoma_tl.errors import CacheError
from melanoma_tl.images import batched

logger = logging.getLogger(__name__)

_TABLE = "arrays_v1.sqlite"
"""The number is that of the layout: files of another layout are never taken for ours."""

_SCHEMA = "CREATE TABLE IF NOT EXISTS arrays (key BLOB PRIMARY KEY, slot INTEGER NOT NULL UNIQUE) WITHOUT ROWID"
_NEXT_SLOT = "SELECT COALESCE(MAX(slot) + 1, 0) FROM arrays"


class StoredArrays:
    """Arrays on disk in an order of one's choice, read where they are asked for.

    Indexes like one array; what is read is a copy, so that memory does not grow with what was read before.

    Parameters
    ----------
    file : path
        The arrays, one after the other.
    slots : ndarray of int of shape (n_arrays,)
        Which array of the file stands at each position.
    shape : tuple of int
        Shape of each array.
    dtype : numpy.dtype
        Its data type.

    Attributes
    ----------
    shape : tuple of int
        (n_arrays, ...).
    dtype : numpy.dtype
        Of the arrays; for images uint8, raw RGB, 0 to 255.
    """

    def __init__(self, file: Path, slots: NDArray[np.int64], shape: tuple[int, ...], dtype: DTypeLike) -> None:
        try:
            self._file = file.open("rb")  # kept open: the arrays stay readable if the cache is cleared meanwhile
        except OSError as error:
            raise CacheError(f"{error}; start again: the cache was cleared meanwhile") from error
        self._slots = slots
        self._n_slots = int(slots.max(initial=-1)) + 1  # the file may go on, and end within an array, after a kill
        self.shape = (len(slots), *shape)
        self.dtype = np.dtype(dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (Path(self._file.name), self._slots, self.shape[1:], self.dtype)

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        # Mapped anew each time: pages that stay mapped would count as memory of this process.
        if not len(self):
            return np.empty(self.shape, dtype=self.dtype)[key]
        try:
            arrays = np.memmap(self._file, dtype=self.dtype, mode="r", shape=(self._n_slots, *self.shape[1:]))
        except ValueError as error:
            raise CacheError(f"{self._file.name}: was cut short meanwhile ({error}); start again") from error
        return np.array(arrays[self._slots[key]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("the arrays lie on disk: reading them makes a copy")
        return self[:].astype(dtype or self.dtype, copy=False)


class ArrayStore:
    """Arrays of one shape: a file that only grows, and a table of what lies where.

    Writers add under the lock of the table: first the arrays, then the entries. A process
    that is killed in between leaves arrays without entries, which the next writer overwrites.
    A slot means the same array for as long as the store object lives.

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

    def find(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Look up where arrays lie.

        Parameters
        ----------
        keys : sequence of bytes of length n_arrays
            What they were made from.

        Returns
        -------
        ndarray of shape (n_arrays,) and dtype int64
            The slot of each; -1 where it is not there.

        Raises
        ------
        CacheError
            If the folder cannot be used, or was cleared since this object first looked into it.
        """
        found: dict[bytes, int] = {}
        with self._table() as table:
            for batch in batched(set(keys), 500):
                marks = ",".join("?" * len(batch))
                found.update(table.execute(f"SELECT * FROM arrays WHERE key IN ({marks})", batch))  # noqa: S608
        return np.array([found.get(key, -1) for key in keys], dtype=np.int64)

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
        """
        with self._table() as table:
            # Another process may have added some of them since they were looked up.
            new = {
                key: array
                for key, array in arrays.items()
                if not table.execute("SELECT 1 FROM arrays WHERE key = ?", [key]).fetchone()
            }
            (first,) = table.execute(_NEXT_SLOT).fetchone()
            path = self._path()
            with path.open("r+b" if path.exists() else "w+b") as file:
                file.seek(first * self.bytes_each)
                file.writelines(self._to_bytes(array) for array in new.values())
                file.flush()
                os.fsync(file.fileno())  # no entry may survive a power cut that its array does not
            table.executemany("INSERT INTO arrays VALUES (?, ?)", zip(new, count(first)))

    def _to_bytes(self, array: NDArray[Any]) -> bytes:
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError(
                f"arrays of shape {self.shape} and dtype {self.dtype} are kept here, got {array.shape}, {array.dtype}"
            )
        return array.tobytes()

    def open(self, slots: NDArray[np.int64]) -> StoredArrays:
        """Open some of the arrays.

        Parameters
        ----------
        slots : ndarray of shape (n_arrays,) and dtype int64
            From `find`.

        Returns
        -------
        StoredArrays
            In the order of the slots.

        Raises
        ------
        CacheError
            If the store was cleared meanwhile.
        """
        return StoredArrays(self._path(), slots, self.shape, self.dtype)

    def forget(self) -> None:
        """Drop every array, because they are found to be wrong; who reads them goes on reading the old file."""
        with self._table() as table:
            self._start_anew(table)

    def _path(self) -> Path:
        return self.folder / f"arrays_{self._generation:08x}.bin"

    @contextmanager
    def _table(self) -> Iterator[sqlite3.Connection]:
        known = self._generation
        try:
            with cache.database(self.folder / _TABLE, _SCHEMA) as table:
                self._recognise(table)
                yield table
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
            logger.warning("%s is shorter than its table says: its contents are made again", self._path())
            self._start_anew(table)
        if known not in (None, self._generation) or self._is_cut_short(table):
            raise CacheError(f"{self.folder}: was cleared, replaced or cut short meanwhile; start again")

    def _is_cut_short(self, table: sqlite3.Connection) -> bool:
        (n_slots,) = table.execute(_NEXT_SLOT).fetchone()
        n_bytes = self._path().stat().st_size if self._path().exists() else 0
        return n_bytes < n_slots * self.bytes_each

    def _start_anew(self, table: sqlite3.Connection) -> None:
        """Begin another file: no slot of the old one may ever mean another array."""
        self._path().unlink(missing_ok=True)
        table.execute("DELETE FROM arrays")
        self._generation = 1 + secrets.randbelow(2**31 - 1)
        table.execute(f"PRAGMA user_version = {self._generation}")
