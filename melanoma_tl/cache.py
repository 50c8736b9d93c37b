"""The folder of what is computed once and kept: fingerprints, prepared images, features and unfinished training."""

import logging
import os
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

import platformdirs

from melanoma_tl._atomic import how_to_write, locked, make_folder, workplace
from melanoma_tl.errors import CacheError, UnknownNameError

__all__ = ["clear", "folder", "size"]

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

VARIABLE = "MELANOMA_TL_CACHE"

PARTS = {
    "fingerprints": ("fingerprints.sqlite-journal", "fingerprints.sqlite"),
    "prepared": ("prepared",),
    "features": ("features",),
    "runs": ("runs",),
}
"""What lies in the folder: the names of its files and folders by kind; a journal is never left without its table."""

_PATIENCE = 600.0
"""Seconds to wait for another process that is writing."""

_AT_A_TIME = 0.5
"""Seconds of it within SQLite, which does not hear Ctrl-C while it waits."""

_SIGNS_OF_DAMAGE = (
    *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_CONSTRAINT),
    *(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG),
)
"""What SQLite says of a table that is not as it was written: columns and rows of our statements that are not there."""


_ADVICE = {
    sqlite3.SQLITE_FULL: "free some space",
    sqlite3.SQLITE_READONLY: "make the folder writable",
    sqlite3.SQLITE_CANTOPEN: "make the folder writable",
    sqlite3.SQLITE_PERM: "make the folder writable",
    sqlite3.SQLITE_IOERR: "see that the disk works and is not full, and that nobody deletes the folder meanwhile",
    sqlite3.SQLITE_BUSY: "wait for the other process that is writing, or end it",
    sqlite3.SQLITE_LOCKED: "wait for the other process that is writing, or end it",
}
"""What can be done about what SQLite says."""


def folder() -> Path:
    """Return where computed things are kept.

    Returns
    -------
    Path
        The folder that the environment variable ``MELANOMA_TL_CACHE`` names, or the
        user's cache folder of the operating system. It need not exist yet.

    Notes
    -----
    Prepared images are small copies of the photographs, and images can be restored from features
    in part: treat the folder as you treat the photographs.
    """
    return Path(os.environ.get(VARIABLE) or platformdirs.user_cache_dir("melanoma_tl"))


def lock_of_run(key: str) -> Path:
    """Name the file by which a training that can be resumed is alone.

    Parameters
    ----------
    key : str
        Name of its folder in "runs".

    Returns
    -------
    Path
        Not in "runs": whoever clears that must not take the lock away from a training that goes on.
    """
    return folder() / f".run_{key}.lock"


def size(part: str | None = None) -> int:
    """Return how much is kept.

    Parameters
    ----------
    part : {"fingerprints", "prepared", "features", "runs"}, optional
        One kind of what is kept; all by default.

    Returns
    -------
    int
        Bytes on disk.

    Raises
    ------
    UnknownNameError
        If there is no such part.
    """
    return sum(_count(path) for path in _paths(part))


def _count(path: Path) -> int:
    """Add up the bytes of a file, or of those in a folder and below it; what vanishes meanwhile counts nothing."""
    n_bytes = 0
    for file in (path, *(Path(where, name) for where, _, names in os.walk(path) for name in names)):
        with suppress(OSError):
            state = file.stat()
            n_bytes += state.st_size if stat.S_ISREG(state.st_mode) else 0
    return n_bytes


def clear(part: str | None = None) -> None:
    """Delete what is kept; it is computed again when it is needed.

    "runs" is what ``fit(resume=True)`` needs to go on; it deletes that itself when it has finished.

    Processes that are reading go on with what they opened; those that are writing start over, or say that
    the cache was cleared.

    Parameters
    ----------
    part : {"fingerprints", "prepared", "features", "runs"}, optional
        One kind of what is kept; all by default.

    Raises
    ------
    CacheError
        If a file cannot be deleted.
    UnknownNameError
        If there is no such part.
    """
    where = folder()
    paths = sorted(where.glob("[!.]*"), reverse=True) if part is None else _paths(part)
    try:
        if any(path.exists() for path in paths):
            with workplace(where) as place:
                for path in paths:
                    with suppress(FileNotFoundError):  # somebody else clears, too
                        path.rename(place / path.name)  # in one step: nobody ever finds half of it
    except OSError as error:
        raise CacheError(f"{where}: cannot be cleared ({error}); is another process using it?") from error
    if part in (None, "runs"):
        for lock in where.glob(lock_of_run("*").name):
            with suppress(OSError), locked(lock, patience=0):  # of a training that was killed: it goes with this
                pass
    if part is None:
        with suppress(OSError):  # there is none, or it is being filled again
            where.rmdir()


def _paths(part: str | None) -> list[Path]:
    if part is None:
        return [folder()]
    if part not in PARTS:
        raise UnknownNameError("part of the cache", part, PARTS)
    return [folder() / name for name in PARTS[part]]


def transact(path: Path, schema: str, work: Callable[[sqlite3.Connection], _T]) -> _T:
    """Do something with a small table on disk, alone among all processes.

    A damaged table is removed and created again.

    Parameters
    ----------
    path : Path
        The SQLite file; made with its folder if it does not exist.
    schema : str
        ``CREATE TABLE IF NOT EXISTS`` statement.
    work : callable
        Gets the connection. What it writes is kept if it ends without an error, and undone otherwise; it
        is called again where the table was cleared or damaged, and raises DatabaseError itself where it finds
        what it cannot have written.

    Returns
    -------
    object
        What `work` returned.

    Raises
    ------
    CacheError
        If the file cannot be made, read or written.
    """
    for is_last in (False, False, True):
        inode = _inode(path)
        try:
            make_folder(path.parent)
            with closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as connection:
                _begin(connection, path)
                with connection:
                    connection.execute(schema)
                    return work(connection)
        except (OSError, sqlite3.Error, UnicodeError) as error:
            if isinstance(error, CacheError):
                raise
            was_moved = inode not in (None, _inode(path)) or not path.parent.is_dir()
            if not is_last and was_moved:  # cleared by somebody else
                continue
            if not is_last and _is_damaged(error, path):
                logger.warning("%s is damaged (%s): what it lists is made again", path, error)
                _take_away(path)
                continue
            raise CacheError(
                f"{path}: {error}. Fingerprints, images and features are kept there: {_what_to_do(error)}, or set "
                f"{VARIABLE} to another folder"
            ) from error
    raise AssertionError


def _begin(connection: sqlite3.Connection, path: Path) -> None:
    """Begin to write when no other process does."""
    end, has_said = time.monotonic() + _PATIENCE, False
    connection.execute(f"PRAGMA busy_timeout = {int(1000 * min(_AT_A_TIME, _PATIENCE))}")
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= end:
                raise
            if not has_said:
                logger.info("%s: another process is writing there: waiting for it", path)
                has_said = True
    connection.execute(f"PRAGMA busy_timeout = {int(1000 * _PATIENCE)}")


def _what_to_do(error: Exception) -> str:
    """Return the advice that fits what SQLite or the operating system says."""
    if isinstance(error, OSError):
        return how_to_write(error)
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return _ADVICE.get(code, "delete it, for it is damaged")


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _is_damaged(error: Exception, path: Path) -> bool:
    """Return whether the content of a table is to blame, not the disk, the folder or another process."""
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, UnicodeError)  # SQLite quotes a statement of the file that is no text
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code == sqlite3.SQLITE_READONLY:  # says a file of an unknown version, too
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return code in _SIGNS_OF_DAMAGE


def _take_away(path: Path) -> None:
    for file in (path.with_name(f"{path.name}-journal"), path):  # a journal must not be taken for that of a new table
        file.unlink(missing_ok=True)
