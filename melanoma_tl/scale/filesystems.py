"""Where files lie: on this machine, or on any filesystem that PyArrow or fsspec knows."""

import os
from functools import partial
from typing import Any

from pyarrow import ArrowException
from pyarrow.fs import FileSystem, FSSpecHandler, LocalFileSystem, PyFileSystem

from melanoma_tl.errors import ParameterError
from melanoma_tl.images.decoding import ImageFile

_MOST_BYTES = 2**28
"""A file elsewhere is read whole; the largest photographs take a tenth of this, and a whole slide fills the memory."""


def resolve(path: str | os.PathLike[str], filesystem: Any = None) -> tuple[FileSystem, str]:
    """Find the filesystem of a path.

    Parameters
    ----------
    path : str or path
        A path on `filesystem`; without one, a path on this machine or a URI such as ``s3://bucket/folder``.
    filesystem : pyarrow.fs.FileSystem or fsspec.AbstractFileSystem, optional
        Where the path is.

    Returns
    -------
    filesystem : pyarrow.fs.FileSystem
        Can be sent to other machines.
    path : str
        The path on it, absolute where it is on this machine.

    Raises
    ------
    ParameterError
        If the scheme of a URI is not known, or `filesystem` is something else.
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
    except ArrowException:  # a scheme that PyArrow does not know
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
    """Return whether paths are those of this machine."""
    return isinstance(filesystem, LocalFileSystem)


def as_image(filesystem: FileSystem, path: str) -> str | ImageFile:
    """Return an image as the decoder takes it.

    Parameters
    ----------
    filesystem : pyarrow.fs.FileSystem
        Where it is.
    path : str
        Its path there.

    Returns
    -------
    str or ImageFile
        The path itself where it is one of this machine.
    """
    return path if is_local(filesystem) else ImageFile(path, partial(_read, filesystem, path))


def _read(filesystem: FileSystem, path: str) -> bytes:
    with filesystem.open_input_file(path) as file:
        if file.size() > _MOST_BYTES:
            raise OSError(f"{file.size():,} bytes; files elsewhere are read up to {_MOST_BYTES:,}")
        return file.readall()
