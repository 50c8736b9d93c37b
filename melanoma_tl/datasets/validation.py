"""What a dataset may be made of, checked where it is made."""

import os
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._parameters import show
from melanoma_tl.datasets.columns import OWN_COLUMNS
from melanoma_tl.datasets.group_columns import GROUPS
from melanoma_tl.errors import DatasetError
from melanoma_tl.images.decoding import printable
from melanoma_tl.labels.cells import NUMBER, OLDEST, read_ages, read_given_ids, read_sexes, warn_of_lost
from melanoma_tl.labels.classes import as_labels
from melanoma_tl.labels.contradictions import warn_of_contradictions

_N_SHOWN = 5

_Array = TypeVar("_Array", bound=NDArray[Any])


def check_parts(
    image_ids: Any, paths: Any, labels: Any, metadata: pd.DataFrame | None, *, name: str
) -> tuple[NDArray[np.str_], NDArray[np.str_] | None, NDArray[np.int64], pd.DataFrame]:
    """Check what a dataset is made of, and give it its types.

    Parameters
    ----------
    image_ids, paths, labels : array-like of shape (n_images,)
        As `ISBIDataset`.
    metadata : pandas.DataFrame, optional
        As `ISBIDataset`.
    name : str
        Name of the dataset, for messages.

    Returns
    -------
    image_ids, paths, labels, metadata
        Arrays that cannot be written to; a table of its own.

    Raises
    ------
    DatasetError
        If they do not fit together, or something in them cannot be used.
    """
    ids = _check_words(image_ids, "image_ids")
    files = None if paths is None else _check_words(paths, "paths")
    classes = _check_labels(labels)
    if not len(ids) == len(classes) == len(ids if files is None else files):
        raise DatasetError(
            f"image_ids, paths and labels must have one entry an image, got lengths {len(ids)}, "
            f"{'none' if files is None else len(files)} and {len(classes)}"
        )
    check_repeated(ids)
    facts = _check_facts(metadata, len(ids), name)
    return read_only(ids), None if files is None else read_only(files), read_only(classes), facts


def check_repeated(ids: ArrayLike) -> None:
    """Check that no id stands more than once.

    Parameters
    ----------
    ids : array-like of str
        Of any length.

    Raises
    ------
    DatasetError
        If one does.
    """
    repeated = find_repeated(np.asarray(ids))
    if len(repeated):
        raise DatasetError(f"every id must stand for one image; several have {_show(repeated)}")


def read_only(array: _Array) -> _Array:
    """Return a view of an array that cannot be written to.

    Parameters
    ----------
    array : ndarray
        Any.

    Returns
    -------
    ndarray
        Of the same values.
    """
    view = array.view()
    view.flags.writeable = False
    return view


def find_repeated(ids: NDArray[np.str_]) -> NDArray[np.str_]:
    """List the ids that stand more than once.

    Parameters
    ----------
    ids : ndarray of str
        Of any length.

    Returns
    -------
    ndarray of str
        Sorted, each once.
    """
    distinct, counts = np.unique(ids, return_counts=True)
    return distinct[counts > 1]


def _check_words(values: Any, name: str) -> NDArray[np.str_]:
    array = np.asarray(values, dtype=object)
    if array.ndim != 1:
        got = repr(values) if isinstance(values, str | os.PathLike) else f"the shape {array.shape}"
        raise DatasetError(f"{name} must be a sequence of one entry an image, got {got}")
    words = [_as_text(value) for value in array]
    unusable = next((word for word in words if "\0" in word or printable(word) != word), None)
    if unusable is not None:
        raise DatasetError(f"{name} must be text in UTF-8 without NUL, got {printable(unusable)!r}: rename it")
    missing = [place for place, word in enumerate(words) if not word]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(words)} {name} are missing or no text (row {missing[0]} is {array[missing[0]]!r})"
        )
    return np.array(words, dtype=np.str_)


def _as_text(value: object) -> str:
    if isinstance(value, str | os.PathLike):
        return os.fsdecode(value)
    return str(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else ""


def _check_labels(labels: Any) -> NDArray[np.int64]:
    if np.size(labels) == 0:
        return np.empty(0, dtype=np.int64)
    classes = as_labels(labels, name="labels")
    if classes.dtype.kind not in "biuf" or not np.isin(classes, (0, 1)).all():
        raise DatasetError(
            f"labels must be 0 (benign) or 1 (melanoma), got {_show(np.unique(classes))}; from_frame reads words"
        )
    return classes.astype(np.int64)


def _check_facts(metadata: pd.DataFrame | None, n_images: int, name: str) -> pd.DataFrame:
    if metadata is None:
        return pd.DataFrame(index=range(n_images))
    if not isinstance(metadata, pd.DataFrame):
        raise DatasetError(f"metadata must be a pandas.DataFrame, got {type(metadata).__name__}")
    if len(metadata) != n_images:
        raise DatasetError(f"metadata must have one row an image: {n_images} images, {len(metadata)} rows")
    wrong = [column for column in metadata.columns if not isinstance(column, str) or column in OWN_COLUMNS]
    wrong += metadata.columns[metadata.columns.duplicated()].tolist()
    if wrong:
        raise DatasetError(
            f"metadata must have columns of distinct names, none of them {', '.join(OWN_COLUMNS)}: got {_show(wrong)}"
        )
    facts = metadata.reset_index(drop=True)
    for column in GROUPS:
        if column in facts:
            ids = read_given_ids(facts[column], name=name, what=column.removesuffix("_id"))
            facts[column] = pd.Series(ids, dtype=object)
    for column, read in (("age", read_ages), ("sex", read_sexes)):
        if column in facts:
            facts[column] = _read_all(facts[column], read, name)
    warn_of_contradictions(facts, name)
    return facts


def _read_all(cells: pd.Series, read: Callable[..., list[Any]], name: str) -> pd.Series:
    """Read ages or sexes; a column with words that are neither, such as bands of age, stays as it is."""
    if cells.dtype == np.float64 and cells[cells.notna()].between(0, OLDEST).all():
        return cells  # it has been read
    lost: dict[str, list[str]] = {}
    found = read(cells, lost)
    if not all(NUMBER.fullmatch(word) for words in lost.values() for word in words):
        return cells
    warn_of_lost(lost, name)
    return pd.Series(found, dtype="float64" if read is read_ages else object)


def check_key(key: Any, columns: Collection[str], length: int) -> NDArray[Any]:
    """Check what a dataset is indexed with, where that is neither a position nor a slice.

    Parameters
    ----------
    key : object
        Positions, or a mask.
    columns : collection of str
        The columns of its metadata, for messages.
    length : int
        Number of images.

    Returns
    -------
    ndarray of int or bool
        The same.

    Raises
    ------
    DatasetError
        If it is anything else.
    """
    if isinstance(key, np.ma.MaskedArray):
        key = key.filled(False) if key.dtype == bool else key.compressed()
    array = np.asarray(_in_order(key))
    if array.size == 0:
        return array.astype(np.intp)
    if array.dtype == bool and array.shape != (length,):
        raise DatasetError(f"a mask must have one entry an image ({length}), got the shape {array.shape}")
    if array.ndim != 1 or array.dtype.kind not in "biu":
        raise DatasetError(
            f"a dataset is indexed with positions, a slice or a mask of its images, got {show(key)}"
            + _hint(key, columns)
        )
    outside = array[(array < -length) | (array >= length)] if array.dtype != bool else array[:0]
    if outside.size:
        raise DatasetError(f"there is no image {outside[0]}: positions go from 0 to {length - 1}")
    return array


def _hint(key: Any, columns: Collection[str]) -> str:
    """Say what takes the place of a word, or of words, that a dataset was indexed with."""
    if isinstance(key, str) and key in columns:
        return f"; the column is dataset.metadata[{key!r}]"
    if isinstance(key, str) and key in OWN_COLUMNS:
        return f"; the column is dataset.to_frame()[{key!r}]"
    if isinstance(key, str):
        return f"; the image with an id is dataset[dataset.image_ids == {key!r}]"
    cells = np.asarray(key, dtype=object).ravel().tolist()
    if any(isinstance(cell, bool | np.bool_) for cell in cells):
        return "; a mask must be True or False for each image, and nothing else: mask.fillna(False).astype(bool)"
    if any(isinstance(cell, str) for cell in cells):
        return "; images with ids are dataset[numpy.isin(dataset.image_ids, ids)]"
    return ""


def _in_order(key: Any) -> Any:
    """Align a mask of pandas with the images by its index, as pandas does."""
    if not isinstance(key, pd.Series) or (key.dtype.kind != "b" and str(key.dtype) != "boolean"):
        return key
    if key.index.equals(pd.RangeIndex(len(key))):
        return key
    if sorted(key.index.tolist(), key=str) != sorted(range(len(key)), key=str):
        raise DatasetError(
            "a mask that is a Series must have the index 0 to n_images - 1, as that of to_frame() and metadata has; "
            "pass mask.to_numpy() to go by position"
        )
    return key.sort_index()


def _show(values: Any) -> str:
    listed = np.asarray(values, dtype=object).tolist()
    return ", ".join(map(repr, listed[:_N_SHOWN])) + ", …" * (len(listed) > _N_SHOWN)
