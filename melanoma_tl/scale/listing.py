"""The list of the images of a job, stored as a Parquet file so that millions of paths are never in memory at once."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileSystem, FileType

from melanoma_tl.datasets.image_files import is_junk
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.images.decoding import IMAGE_SUFFIXES
from melanoma_tl.images.parallel import batched
from melanoma_tl.scale.filesystems import is_local, resolve

_WILDCARD = re.compile(r"[*?\[]")
_SCHEMA = pa.schema([("path", pa.string())])


@dataclass(frozen=True)
class Names:
    """Images that are listed lazily.

    Attributes
    ----------
    filesystem : pyarrow.fs.FileSystem
        Their filesystem.
    paths : iterable of str
        Their paths, listed on iteration.
    pattern : str or None
        The glob, folder or file that they come from; None for a list of paths.
    """

    filesystem: FileSystem
    paths: Iterable[str]
    pattern: str | None


def find(images: str | os.PathLike[str] | Iterable[Any], filesystem: Any = None) -> Names:
    """Find images from a glob, a folder, a file or a list.

    Parameters
    ----------
    images : str, path, ISBIDataset, or iterable of str or path
        A glob, in which ``**`` matches any number of folders; a folder, for all images in it and its
        subfolders; one file; or a list of files.
    filesystem : pyarrow.fs.FileSystem or fsspec.AbstractFileSystem, optional
        Their filesystem; by default paths are on this machine or URIs.

    Returns
    -------
    Names
        The images, not yet listed.

    Raises
    ------
    DatasetError
        If the folder or file does not exist.
    ParameterError
        If paths are on several filesystems.
    """
    if not isinstance(images, str | os.PathLike):
        return _given(getattr(images, "paths", images), filesystem)
    pattern = os.fspath(images)
    wildcard = _WILDCARD.search(pattern)
    if wildcard is None:
        where, path = resolve(pattern, filesystem)
        kind = where.get_file_info(path).type
        if kind == FileType.NotFound:
            raise DatasetError(f"{pattern}: no such file or folder; give a glob, a folder, a file or a list of paths")
        paths = [path] if kind == FileType.File else _walk(where, path, None)
        return Names(where, paths, path)
    folder, rest = _split(pattern, wildcard.start())
    where, folder = resolve(folder, filesystem)
    return Names(where, _match(where, folder, rest), f"{folder}/{rest}")


def _split(pattern: str, wildcard: int) -> tuple[str, str]:
    """Split a glob into its leading folder without wildcards and the remaining pattern."""
    end = pattern.rfind("/", 0, wildcard) + 1
    return pattern[:end], pattern[end:]


def _given(images: Iterable[Any], filesystem: Any) -> Names:
    if not isinstance(images, Iterable):
        raise ParameterError(
            "images, which come first, must be a glob, a folder, a file or a list of paths, got "
            f"{type(images).__name__}"
        )
    names = map(os.fspath, images)
    first = next(names, None)
    if first is None:
        raise DatasetError("there are no images: the list is empty")
    where, path = resolve(first, filesystem)
    root = first.removesuffix(path) if "://" in first else ""
    return Names(where, (_without_root(name, root, where) for name in chain([first], names)), None)


def _without_root(name: str, root: str, filesystem: FileSystem) -> str:
    """Convert a URI to a path on its filesystem, and a path on this machine to an absolute path."""
    path = name.removeprefix(root)
    if not name.startswith(root) or "://" in path:
        raise ParameterError(f"{name}: all images of a job must be on one filesystem; the first is not on this one")
    return os.path.abspath(path) if is_local(filesystem) else path  # noqa: PTH100 -- faster than a million Paths


def _match(filesystem: FileSystem, folder: str, pattern: str) -> Iterator[str]:
    """List the files of a folder that match a glob."""
    from fsspec.utils import glob_translate

    matches = re.compile(glob_translate(pattern)).match
    depth = None if "**" in pattern else pattern.count("/")
    paths = _walk(filesystem, folder, depth, suffixes=("",))
    return (path for path in paths if matches(path.removeprefix(folder).lstrip("/")))


def _walk(
    filesystem: FileSystem, folder: str, depth: int | None, suffixes: tuple[str, ...] = IMAGE_SUFFIXES
) -> Iterator[str]:
    """List files folder by folder, sorted; only the names of one folder per level are in memory."""
    for path, is_folder in sorted(_entries(filesystem, folder)):
        if is_folder and depth != 0:
            yield from _walk(filesystem, path, None if depth is None else depth - 1, suffixes)
        elif not is_folder and path.lower().endswith(suffixes):
            yield path


def _entries(filesystem: FileSystem, folder: str) -> Iterator[tuple[str, bool]]:
    """Return the entries of a folder without junk files, and whether each is a folder."""
    if is_local(filesystem):  # PyArrow takes six times the memory, and reads the size of each file
        try:
            with os.scandir(folder) as entries:
                yield from ((entry.path, entry.is_dir()) for entry in entries if not is_junk(entry.name))
        except FileNotFoundError:
            return
        return
    for info in filesystem.get_file_info(FileSelector(folder, allow_not_found=True)):
        if not is_junk(info.base_name):
            yield info.path, info.type == FileType.Directory


def write(paths: Iterable[str], filesystem: FileSystem, file: str, per_shard: int) -> tuple[int, str]:
    """Write a list of images.

    Parameters
    ----------
    paths : iterable of str
        Paths of the images, consumed lazily.
    filesystem : pyarrow.fs.FileSystem
        Filesystem of the file.
    file : str
        The Parquet file to write, with one row group per shard.
    per_shard : int
        Images per shard.

    Returns
    -------
    n_images : int
        Number of images.
    digest : str
        Digest of the paths.
    """
    digest, n_images = hashlib.sha256(), 0
    with (
        filesystem.open_output_stream(file) as sink,
        pq.ParquetWriter(sink, _SCHEMA, compression="zstd", write_statistics=False) as writer,
    ):
        for names in batched(paths, per_shard):
            writer.write_table(pa.table({"path": names}, schema=_SCHEMA), row_group_size=per_shard)
            n_images += len(names)
            _add(digest, names)
    return n_images, digest.hexdigest()


def digest_of(paths: Iterable[str]) -> str:
    """Return the digest of a list of paths, as `write` does."""
    digest = hashlib.sha256()
    for names in batched(paths, 4096):
        _add(digest, names)
    return digest.hexdigest()


def _add(digest: Any, names: list[str]) -> None:
    digest.update("".join(f"{name}\0" for name in names).encode(errors="surrogateescape"))


class Listing:
    """A list of images on disk, read shard by shard.

    Parameters
    ----------
    filesystem : pyarrow.fs.FileSystem
        Filesystem of the file.
    file : str
        The file written by `write`.
    """

    def __init__(self, filesystem: FileSystem, file: str) -> None:
        self._file = pq.ParquetFile(filesystem.open_input_file(file))

    def __getitem__(self, shard: int) -> list[str]:
        return self._file.read_row_group(shard)["path"].to_pylist()
