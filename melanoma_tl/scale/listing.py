"""Which images a job is about, kept as a Parquet file: a million names are never in memory at once."""

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
    """Images that are yet to be listed.

    Attributes
    ----------
    filesystem : pyarrow.fs.FileSystem
        Where they are.
    paths : iterable of str
        Their paths there, listed while they are asked for.
    pattern : str or None
        What they were found by; None if they were given one by one.
    """

    filesystem: FileSystem
    paths: Iterable[str]
    pattern: str | None


def find(images: str | os.PathLike[str] | Iterable[Any], filesystem: Any = None) -> Names:
    """Understand what a user gives as images.

    Parameters
    ----------
    images : str, path, ISBIDataset, or iterable of str or path
        A glob, in which ``**`` stands for any folders; a folder, of which all images in it and below it
        are meant; one file; or files one by one.
    filesystem : pyarrow.fs.FileSystem or fsspec.AbstractFileSystem, optional
        Where they are; a path on this machine or a URI by default.

    Returns
    -------
    Names
        Not listed yet.

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
    """Part a glob into the folder that is sure and what is to be matched in it."""
    end = pattern.rfind("/", 0, wildcard) + 1
    return pattern[:end], pattern[end:]


def _given(images: Iterable[Any], filesystem: Any) -> Names:
    names = map(os.fspath, images)
    first = next(names, None)
    if first is None:
        raise DatasetError("there are no images: the list is empty")
    where, path = resolve(first, filesystem)
    root = first.removesuffix(path) if "://" in first else ""
    return Names(where, (_without_root(name, root, where) for name in chain([first], names)), None)


def _without_root(name: str, root: str, filesystem: FileSystem) -> str:
    """Turn a URI into a path on its filesystem, and a path on this machine into an absolute one."""
    path = name.removeprefix(root)
    if not name.startswith(root) or "://" in path:
        raise ParameterError(f"{name}: all images of a job must be on one filesystem; the first is not on this one")
    return os.path.abspath(path) if is_local(filesystem) else path  # noqa: PTH100 -- a million objects for nothing


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
    """List files folder by folder, in order: no more names are in memory than one folder has."""
    for path, is_folder in sorted(_entries(filesystem, folder)):
        if is_folder and depth != 0:
            yield from _walk(filesystem, path, None if depth is None else depth - 1, suffixes)
        elif not is_folder and path.lower().endswith(suffixes):
            yield path


def _entries(filesystem: FileSystem, folder: str) -> Iterator[tuple[str, bool]]:
    """Return what is in a folder and is no junk, and whether it is a folder."""
    if is_local(filesystem):  # PyArrow would take six times the memory, and ask for the size of each file
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
    """Write a listing.

    Parameters
    ----------
    paths : iterable of str
        Consumed as they are needed.
    filesystem : pyarrow.fs.FileSystem
        Where to.
    file : str
        The Parquet file; each of its row groups is a shard.
    per_shard : int
        Images a shard.

    Returns
    -------
    n_images : int
        How many there are.
    digest : str
        What tells them apart from others.
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
    """Compute what tells a list of paths apart from others, as `write` does."""
    digest = hashlib.sha256()
    for names in batched(paths, 4096):
        _add(digest, names)
    return digest.hexdigest()


def _add(digest: Any, names: list[str]) -> None:
    digest.update("".join(f"{name}\0" for name in names).encode(errors="surrogateescape"))


class Listing:
    """A listing on disk, read shard by shard.

    Parameters
    ----------
    filesystem : pyarrow.fs.FileSystem
        Where it is.
    file : str
        What `write` wrote.
    """

    def __init__(self, filesystem: FileSystem, file: str) -> None:
        self._file = pq.ParquetFile(filesystem.open_input_file(file))

    def __getitem__(self, shard: int) -> list[str]:
        return self._file.read_row_group(shard)["path"].to_pylist()
