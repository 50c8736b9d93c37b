"""The folder of what is computed once and kept: fingerprints and prepared images."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from melanoma_tl.errors import CacheError

__all__ = ["clear", "folder", "size"]

VARIABLE = "MELANOMA_TL_CACHE"

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
    Prepared images are small copies of the photographs: treat the folder as you treat them.
    """
    import pooch

    return Path(os.environ.get(VARIABLE) or pooch.os_cache("melanoma_tl"))


def size() -> int:
    """Tell how much is kept.

    Returns
    -------
    int
        Bytes on disk.
    """
    return sum(path.stat().st_size for path in folder().rglob("*") if path.is_file())


def clear() -> None:
    """Delete everything that is kept; it is computed again when it is needed.

    Processes that are training go on; do not call it while one is still reading its images.

    Raises
    ------
    CacheError
        If a file cannot be deleted.
    """
    try:
        if folder().exists():
            shutil.rmtree(folder())
    except OSError as error:
        raise CacheError(f"{folder()}: cannot be deleted ({error}); is another process using it?") from error


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
            f"{path}: {error}. Computed fingerprints and images are kept there: free some space, make the folder "
            f"writable, delete it if it is damaged, or set {VARIABLE} to another folder"
        ) from error
