"""Return whether the files of a folder are as they were written."""

import json
import zlib
from pathlib import Path

_SEAL = "checksums.json"
_CHUNK = 2**20


def seal(folder: Path) -> None:
    """Write down what is in a folder.

    Parameters
    ----------
    folder : Path
        Complete; a file is added to it.
    """
    (folder / _SEAL).write_text(json.dumps(_look(folder)), encoding="utf-8")


def is_sealed(folder: Path) -> bool:
    """Compare what is in a folder with what was written down.

    Parameters
    ----------
    folder : Path
        Anything.

    Returns
    -------
    bool
        False where a file is missing, is one too many, or is another, and where nothing was written down.
    """
    try:
        return bool(json.loads((folder / _SEAL).read_bytes()) == _look(folder))
    except (OSError, ValueError, RecursionError):
        return False


def _look(folder: Path) -> dict[str, list[int]]:
    """Return size and CRC-32 of each file."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != _SEAL)
    return {path.relative_to(folder).as_posix(): [path.stat().st_size, _checksum(path)] for path in files}


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum
