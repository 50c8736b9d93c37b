"""Write to a disk that may be full."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from melanoma_tl.errors import DownloadError

CHUNK = 2**16  # bytes; what a broken connection loses at most


def check_free(folder: Path, n_bytes: int, what: str) -> None:
    """Raise a DownloadError where the disk has no room."""
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise DownloadError(f"{what} needs {n_bytes:,} bytes in {folder}, only {free:,} are free: free some space")


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Raise what the disk complains of as a DownloadError."""
    try:
        yield
    except DownloadError:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = "the disk is full: free some space" if full else "choose a folder that can be written"
        raise DownloadError(f"{folder}: {error}; {reason}, and call again to go on") from error
