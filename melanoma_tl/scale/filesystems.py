"""Files on this machine, or on any filesystem of PyArrow or fsspec."""

import os
from functools import partial
from typing import Any

from pyarrow import ArrowException
from pyarrow.fs import FileSystem, FSSpecHandler, LocalFileSystem, PyFileSystem

from melanoma_tl.errors import ParameterError
from melanoma_tl.images.decoding import ImageFile

_MOST_BYTES = 2**28
"""Size limit of files on other filesystems, which are read into memory; large photographs take a tenth of it."""


def resolve(path: str | os.PathLike[str], filesystem: Any = None) -> tuple[FileSystem, str]:
    """Find the filesystem of a path.

    Parameters
    ----------
    path : str or path
        A path on `filesystem`; without one, a path on this machine or a URI such as ``s3://bucket/folder``.
    filesystem : pyarrow.fs.FileSystem or fsspec.AbstractFileSystem, optional
        The filesystem of the path.

    Returns
    -------
    filesystem : pyarrow.fs.FileSystem
        The filesystem, which can be pickled.
    path : str
        The path on it; absolute on this machine.

    Raises
    ------
    ParameterError
        If the scheme of a URI is unknown, or `filesystem` has the wrong type.
    """
    name = os.fspath(path)
    if filesystem is None:
        filesystem, name = _from_uri(name) if "://" in name else (LocalFileSystem(), name)
    elif not isinstance(filesystem, FileSystem):
        filesystem = _wrap(filesystem)
    return filesystem, os.path.abspath(name) if is_local(filesystem) else name.rstrip("/")  # noqa: PTH100


def _from_uri(uri: str) -> tuple[FileSystem, str]:
    import fsspec

    try:
        return FileSystem.from_uri(uri)
    except ArrowException:  # a scheme unknown to PyArrow
        pass
    try:
        filesystem, name = fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError) as error:
        raise ParameterError(f"{uri}: neither PyArrow nor fsspec can open it ({error})") from error
    return _wrap(filesystem), name


def _wrap(filesystem: Any) -> FileSystem:
    try:
        return PyFileSystem(FSSpecHandler(filesystem))
    except (AttributeError, TypeError) as error:
        raise ParameterError(
            f"filesystem must be a pyarrow.fs.FileSystem or an fsspec filesystem, got {type(filesystem).__name__}"
        ) from error


def is_local(filesystem: FileSystem) -> bool:
    """Return whether a filesystem is that of this machine."""
    return isinstance(filesystem, LocalFileSystem)


def as_image(filesystem: FileSystem, path: str) -> str | ImageFile:
    """Return an image in the form that the decoder accepts.

    Parameters
    ----------
    filesystem : pyarrow.fs.FileSystem
        The filesystem of the image.
    path : str
        Its path.

    Returns
    -------
    str or ImageFile
        The path if it is on this machine, otherwise an ImageFile.
    """
    return path if is_local(filesystem) else ImageFile(path, partial(_read, filesystem, path))


def _read(filesystem: FileSystem, path: str) -> bytes:
    with filesystem.open_input_file(path) as file:
        if file.size() > _MOST_BYTES:
            raise OSError(f"{file.size():,} bytes; on other filesystems files may have at most {_MOST_BYTES:,}")
        return file.readall()
