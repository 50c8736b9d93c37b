"""Checksums of all files of a folder, by which damaged, missing and additional files are detected."""

import json
from pathlib import Path

from melanoma_tl._checksums import crc32_of

_SEAL = "checksums.json"


def seal(folder: Path) -> None:
    """Write the checksums of all files of a folder into the folder.

    Parameters
    ----------
    folder : Path
        A folder whose files are complete.
    """
    (folder / _SEAL).write_text(json.dumps(_look(folder)), encoding="utf-8")


def is_sealed(folder: Path) -> bool:
    """Compare the files of a folder with the checksums written by `seal`.

    Parameters
    ----------
    folder : Path
        Any path.

    Returns
    -------
    bool
        False if a file has changed, is missing or was added, or if there are no checksums.
    """
    try:
        return bool(json.loads((folder / _SEAL).read_bytes()) == _look(folder))
    except (OSError, ValueError, RecursionError):
        return False


def _look(folder: Path) -> dict[str, list[int]]:
    """Return the size in bytes and the CRC-32 of each file."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != _SEAL)
    return {path.relative_to(folder).as_posix(): [path.stat().st_size, crc32_of(path)] for path in files}
