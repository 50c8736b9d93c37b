"""Images in HDF5 files, one dataset of bytes per image, as in ISIC 2024 on Kaggle.

Such an image has the path ``train-image.hdf5::ISIC_0015670``, which is accepted wherever the path of an image is.
"""

import os
import re
import threading
from pathlib import Path
from typing import Any

import h5py

from melanoma_tl.images.pixels import check_bytes

_MEMBER = re.compile(r"(?P<file>.+\.(?:hdf5|h5))::(?P<key>.+)", re.IGNORECASE | re.DOTALL)
_SUFFIXES = (".hdf5", ".h5")

_MOST_OPEN = 4
_files: dict[tuple[int, int, int], tuple[tuple[int, int, int], Any]] = {}
"""Open files with their state at the time of opening, by process, device and inode."""

_reading = threading.RLock()
"""Guards the open files: no thread may close a file that another one reads."""


def split_member(path: str) -> tuple[str, str] | None:
    """Split the path of an image in an HDF5 file.

    Parameters
    ----------
    path : str
        Any path.

    Returns
    -------
    tuple of (str, str) or None
        The file and the name in it; None for any other path.

    Examples
    --------
    >>> split_member("data/train-image.hdf5::ISIC_0015670")
    ('data/train-image.hdf5', 'ISIC_0015670')
    """
    match = _MEMBER.fullmatch(path) if "::" in path else None
    return (match["file"], match["key"]) if match else None


def is_hdf5(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is that of an HDF5 file.

    Parameters
    ----------
    path : path
        Any path.

    Returns
    -------
    bool
        True if such a file exists and has a suffix of HDF5.
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
    with _reading:
        return [f"{file}::{key}" for key in sorted(_open(file))]


def read_member(file: str, key: str) -> bytes:
    """Read the file of one image.

    Parameters
    ----------
    file : str
        The HDF5 file.
    key : str
        Name of the image in it.

    Returns
    -------
    bytes
        Content of the image file, such as a JPEG.

    Raises
    ------
    OSError
        If there is no such file, name or content.
    ImageError
        If the content is larger than an image can be.
    """
    with _reading:
        opened = _open(file)
        try:
            link = opened.get(key, getlink=True)
            if link is not None and (not isinstance(link, h5py.HardLink) or _lies_elsewhere(opened[key])):
                raise OSError(f"{key!r} in it lies in another file, which is not read")
            item = opened[key]
            check_bytes(item.nbytes, f"{file}::{key}")
            content = item[()]
        except KeyError as error:
            raise OSError(f"{file} holds no {key!r}") from error
        except (TypeError, AttributeError) as error:
            raise OSError(f"{key!r} in it is a group, not an image") from error
    return content if isinstance(content, bytes) else bytes(content.tobytes())


def _lies_elsewhere(item: Any) -> bool:
    """Return whether a dataset refers to other files, which a downloaded archive must not read."""
    return bool(item.external or item.is_virtual)


def _open(file: str) -> Any:
    """Return a file, opened or still open: opening a file of 100,000 images takes ten times as long as reading one.

    HDF5 identifies open files by their inode and reuses what it has read, so that a file that was changed in place must
    be closed first. Open files must not be shared with forked processes.
    """
    status = Path(file).stat()
    place = os.getpid(), status.st_dev, status.st_ino
    state = status.st_mtime_ns, status.st_ctime_ns, status.st_size
    known, opened = _files.pop(place, (state, None))
    if opened is not None and known != state:
        opened.close()
        opened = None
    if opened is None:
        opened = h5py.File(file, "r", locking=False)
    _files[place] = state, opened  # moved to the end: most recently used
    while len(_files) > _MOST_OPEN:
        _files.pop(next(iter(_files)))
    return opened
