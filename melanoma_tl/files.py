"""Write a file or a folder whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from melanoma_tl.distribution import is_first_process


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside a path, and move it into place if nothing went wrong.

    Nobody ever sees half a file under the true name, and what stood there before
    stays until the new file is complete. Missing folders are made. It may be a folder that is
    written: it takes the place of a folder, and never that of a file, nor a file that of a folder.

    Parameters
    ----------
    path : Path
        The true name.

    Yields
    ------
    Path
        The temporary name, with the same suffix; another one in every process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield unfinished
        if unfinished.is_dir() and path.is_dir():
            _replace_folder(path, unfinished)
        else:
            unfinished.replace(path)
    finally:
        _remove(unfinished)


@contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """Replace a file as `replacing` does, once where several processes write the same: only that of the first stays.

    Parameters
    ----------
    path : Path
        The true name.

    Yields
    ------
    Path
        A temporary name, with the same suffix.
    """
    if is_first_process():
        with replacing(path) as unfinished:
            yield unfinished
        return
    with tempfile.TemporaryDirectory(prefix="melanoma_tl_") as folder:
        yield Path(folder) / path.name


def _replace_folder(path: Path, new: Path) -> None:
    """Put a folder in the place of another, in two steps: only an empty folder can be replaced in one."""
    old = new.with_suffix(".old")
    path.rename(old)
    new.rename(path)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
