"""Write a file whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside a path, and move it into place if nothing went wrong.

    Nobody ever sees half a file under the true name, and what stood there before
    stays until the new file is complete. Missing folders are made.

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
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
