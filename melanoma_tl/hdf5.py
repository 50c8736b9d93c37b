"""Images that lie in an HDF5 file, one dataset of bytes each, as Kaggle lays out ISIC 2024.

Such an image has the path ``train-image.hdf5::ISIC_0015670``: wherever the path of an image is taken, so is this.
"""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py

_MEMBER = re.compile(r"(?P<file>.+\.(?:hdf5|h5))::(?P<key>.+)", re.IGNORECASE | re.DOTALL)
_SUFFIXES = (".hdf5", ".h5")


def split_member(path: str) -> tuple[str, str] | None:
    """Part the path of an image in an HDF5 file.

    Parameters
    ----------
    path : str
        Any path.

    Returns
    -------
    tuple of (str, str) or None
        The file and the name in it; None if it is the path of a file of its own.

    Examples
    --------
    >>> split_member("data/train-image.hdf5::ISIC_0015670")
    ('data/train-image.hdf5', 'ISIC_0015670')
    """
    match = _MEMBER.fullmatch(path) if "::" in path else None
    return (match["file"], match["key"]) if match else None


def is_hdf5(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is that of an HDF5 file.

    Parameters
    ----------
    path : path
        Any path.

    Returns
    -------
    bool
        By its suffix, if there is such a file.
    """
    return os.fspath(path).lower().endswith(_SUFFIXES) and Path(path).is_file()


def list_members(file: str) -> list[str]:
    """List the paths of the images in an HDF5 file.

    Parameters
    ----------
    file : str
        The file.

    Returns
    -------
    list of str
        Sorted by name.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    return [f"{file}::{key}" for key in sorted(_open(file))]


def read_member(file: str, key: str) -> bytes:
    """Read one image, as the file that it was.

    Parameters
    ----------
    file : str
        The HDF5 file.
    key : str
        Name in it.

    Returns
    -------
    bytes
        Such as a JPEG file.

    Raises
    ------
    OSError
        If there is no such file, name or content.
    """
    opened = _open(file)
    try:
        link = opened.get(key, getlink=True)
        if link is not None and (not isinstance(link, h5py.HardLink) or _lies_elsewhere(opened[key])):
            raise OSError(f"{key!r} in it lies in another file, which is not read")
        content = opened[key][()]
    except KeyError as error:
        raise OSError(f"{file} holds no {key!r}") from error
    except (TypeError, AttributeError) as error:
        raise OSError(f"{key!r} in it is a group, not an image") from error
    return content if isinstance(content, bytes) else bytes(content.tobytes())


def _lies_elsewhere(item: Any) -> bool:
    """Tell whether a dataset is only a view of other files: an archive that was fetched must not reach them."""
    return bool(item.external or item.is_virtual)


def _open(file: str) -> Any:
    state = Path(file).stat()
    return _opened(file, state.st_ino, state.st_mtime_ns, state.st_ctime_ns, state.st_size, os.getpid())


@lru_cache(maxsize=4)
def _opened(file: str, *_state: int) -> Any:
    """Keep a file open, for to open one of 100,000 images takes ten times as long as to read one.

    The state is that of the file and of the process: HDF5 must not share what it has open with a fork. Threads may:
    h5py lets one at a time into the library.
    """
    return h5py.File(file, "r", locking=False)
