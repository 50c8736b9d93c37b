"""One image where a collection is expected; without pandas, so that exported models are scored without it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from melanoma_tl.errors import DatasetError
from melanoma_tl.images.decoding import ImageFile, printable

_TEXT_TABLES = (".csv", ".tsv", ".txt")
_TABLES = {".xlsx": "read_excel", ".xls": "read_excel", ".ods": "read_excel", ".parquet": "read_parquet"}


def refuse_one_image(X: Any) -> None:
    """Refuse a single image where a collection is expected, because its rows might be taken for images.

    What holds images and is no collection of them is refused with how it is read: a folder, a table, several datasets.

    Parameters
    ----------
    X : object
        Anything.

    Raises
    ------
    DatasetError
        If it is a path, the bytes of a file, an open file, an `ImageFile`, a PIL image, an array of one image, or a
        list of datasets.
    """
    if isinstance(X, str | os.PathLike):
        if how := _how_to_read(os.fsdecode(X)):
            raise DatasetError(how)
        one = "one path"
    elif isinstance(X, list | tuple) and len(X) and hasattr(X[0], "image_ids"):
        raise DatasetError(
            f"X is a {type(X).__name__} of {len(X)} datasets: pass one of them, as after train, test = "
            "dataset.split(), or all as one with ISBIDataset.concat"
        )
    elif isinstance(X, bytes | bytearray | memoryview):
        one = "the bytes of one file"
    elif isinstance(X, Image.Image | ImageFile):
        one = f"one {type(X).__name__}"
    elif is_open_file(X):
        one = "one open file"
    elif rank(X) == 3 and X.shape[2] in (1, 3, 4):
        one = f"one {kind_of(X)} of shape {tuple(X.shape)}"
    else:
        return
    raise DatasetError(f"X is {one}, where a collection of images is expected: for one image wrap it in a list, [X]")


def _how_to_read(path: str) -> str:
    """Say how a path is read that is not that of an image; nothing of others."""
    shown, suffix = repr(printable(path)), Path(path).suffix.lower()
    if os.path.isdir(path):  # noqa: PTH112 -- `Path.is_dir` raises for a name that is too long
        return (
            f"X is a folder, {shown}: read it with ISBIDataset.from_folder where it has one folder a class, or list "
            "its images with melanoma_tl.datasets.find_images"
        )
    if suffix in _TEXT_TABLES:
        return f"X is a table, {shown}: read it with ISBIDataset.from_csv"
    if suffix in _TABLES:
        return f"X is a table, {shown}: read it with pandas.{_TABLES[suffix]}, and this with ISBIDataset.from_frame"
    if "*" in path:
        return f"X is a pattern, {shown}: pass the list of its files, glob.glob({shown})"
    return ""


def rank(item: Any) -> int:
    """Count the dimensions of an array of any library.

    Parameters
    ----------
    item : object
        Anything.

    Returns
    -------
    int
        0 if it is no array.
    """
    return len(getattr(item, "shape", ()))


def kind_of(X: Any) -> str:
    """Name the type of an object for people.

    Parameters
    ----------
    X : object
        Anything.

    Returns
    -------
    str
        "array", or the name of its class.
    """
    return "array" if isinstance(X, np.ndarray) else type(X).__name__


def is_open_file(item: Any) -> bool:
    """Return whether an object can be read like an open file.

    Parameters
    ----------
    item : object
        Anything.

    Returns
    -------
    bool
        False of paths and images too, whatever methods they have.
    """
    return callable(getattr(item, "read", None)) and not isinstance(item, os.PathLike | Image.Image | ImageFile)
