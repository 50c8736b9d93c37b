"""The folder of what is computed once and kept: fingerprints, prepared images, features and unfinished training."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from melanoma_tl.errors import CacheError, UnknownNameError

__all__ = ["clear", "folder", "size"]

VARIABLE = "MELANOMA_TL_CACHE"

PARTS = {
    "fingerprints": ("fingerprints.sqlite", "fingerprints.sqlite-journal"),
    "prepared": ("prepared",),
    "features": ("features",),
    "runs": ("runs",),
}
"""What lies in the folder: the names of its files and folders by kind."""

_PATIENCE = 600.0
"""Seconds to wait for another process that is writing."""


def folder() -> Path:
    """Tell where computed things are kept.

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
    import pooch

    return Path(os.environ.get(VARIABLE) or pooch.os_cache("melanoma_tl"))


def size(part: str | None = None) -> int:
    """Tell how much is kept.

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
    return sum(file.stat().st_size for path in _paths(part) for file in (path, *path.rglob("*")) if file.is_file())


def clear(part: str | None = None) -> None:
    """Delete what is kept; it is computed again when it is needed.

    "runs" is what ``fit(resume=True)`` needs to go on; it deletes that itself when it has finished.

    Processes that are reading go on with what they opened.

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
    for path in _paths(part):
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        except OSError as error:
            raise CacheError(f"{path}: cannot be deleted ({error}); is another process using it?") from error


def _paths(part: str | None) -> list[Path]:
    if part is None:
        return [folder()]
    if part not in PARTS:
        raise UnknownNameError("part of the cache", part, PARTS)
    return [folder() / name for name in PARTS[part]]


@contextmanager
def database(path: Path, schema: str) -> Iterator[sqlite3.Connection]:
    """Open a small table on disk for one transaction, alone among all processes.

    Parameters
    ----------
    path : Path
        The SQLite file; made with its folder if it does not exist.
    schema : str
        ``CREATE TABLE IF NOT EXISTS`` statement.

    Yields
    ------
    sqlite3.Connection
        What is written through it is kept if the block ends without an error, and undone otherwise.

    Raises
    ------
    CacheError
        If the file cannot be made, read or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                connection.execute(schema)
                yield connection
    except (OSError, sqlite3.Error) as error:
        raise CacheError(
            f"{path}: {error}. Fingerprints, images and features are kept there: free some space, make the folder "
            f"writable, delete it if it is damaged, or set {VARIABLE} to another folder"
        ) from error
