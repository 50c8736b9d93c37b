"""Recognition of the collections of images that users pass as `X`; exported models use it without pandas."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from melanoma_tl._escaping import MOST_IN_COLUMN, shorten
from melanoma_tl.errors import DatasetError, ImageError, MelanomaTLError, in_one_line
from melanoma_tl.images.decoding import IMAGE_SUFFIXES, ImageFile, printable
from melanoma_tl.images.one_image import is_open_file, rank, refuse_one_image
from melanoma_tl.images.pixels import how_to_make_raw, how_to_make_three

WHAT_X_MAY_BE = (
    "an ISBIDataset, a list or array of paths, of the bytes of files or of PIL images, a uint8 array of shape "
    "(n, height, width, 3), or a tf.data.Dataset of images or of (image, label)"
)

_N_NAMED = 5


def _pandas() -> Any:
    """Return pandas if anybody has imported it: before that, nothing is of its types."""
    if "pandas" not in sys.modules:
        return None
    import pandas as pd

    return pd


def _is_frame(X: Any) -> bool:
    pd = _pandas()
    return pd is not None and isinstance(X, pd.DataFrame)


def _is_in_memory(X: Any) -> bool:
    """Return whether every item is checked in advance; of others, which may load items lazily, only the first is."""
    pd = _pandas()
    of_pandas = () if pd is None else (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)
    return isinstance(X, (list, tuple, np.ndarray, *of_pandas))


def is_table(X: Any) -> bool:
    """Return whether an object is an ISBIDataset, or has the same interface.

    Parameters
    ----------
    X : object
        Anything.

    Returns
    -------
    bool
        True if it has ids and paths.
    """
    return hasattr(X, "image_ids") and hasattr(X, "paths")


def is_stream(X: Any) -> bool:
    """Return whether an object is a `tf.data.Dataset`, without importing TensorFlow.

    Parameters
    ----------
    X : object
        Anything.

    Returns
    -------
    bool
        True for a `tf.data.Dataset`.
    """
    return hasattr(X, "as_numpy_iterator") and hasattr(X, "element_spec")


def list_images(X: Any) -> Sequence[Any]:
    """Return the images of a collection, by position.

    Parameters
    ----------
    X : ISBIDataset, sequence, array, Series, or DataFrame of one column
        Paths, bytes or open files, `ImageFile`, PIL images, arrays, in any mixture; or a uint8 array of shape
        (n, height, width, 3) of any library.

    Returns
    -------
    sequence
        Items for `melanoma_tl.images.decode`, which reports bad ones; open files are read.

    Raises
    ------
    DatasetError
        If it is one image, a table of several columns, an iterator, or something else that holds no images.

    Examples
    --------
    >>> import pandas as pd
    >>> list_images(pd.DataFrame({"path": ["a.jpg", "b.jpg"]}, index=[7, 3]))
    ['a.jpg', 'b.jpg']
    """
    if is_table(X):
        return _not_empty(X.paths)
    if isinstance(X, Part):
        return X
    refuse_one_image(X.item() if isinstance(X, np.ndarray) and not X.ndim else X)
    if isinstance(X, Mapping) or _is_frame(X):
        X = _column(X)
    if not (hasattr(X, "__len__") and hasattr(X, "__getitem__")) or getattr(X, "ndim", 1) == 0:
        given = "a generator or another iterator: pass list(X)" if isinstance(X, Iterator) else _shown(X)
        raise DatasetError(f"X must be {WHAT_X_MAY_BE}; got {given}")
    if rank(X) > 1:
        return _not_empty(_rows(X))
    items = _not_empty(list(_plain(X)) if _is_in_memory(X) else _Lazy(X))
    looked_at = items if isinstance(items, list) else [_first(items, X)]
    if not any(map(_may_be_image, looked_at)):
        pairs = ""
        if isinstance(looked_at[0], tuple | list) and len(looked_at[0]) == 2:  # as datasets of PyTorch and Keras give
            pairs = ". Of pairs (image, label) pass the images as X and the labels as y"
        raise DatasetError(f"X must be {WHAT_X_MAY_BE}; got {_shown(X)} of {_shown(looked_at[0])}{pairs}")
    return items


def refuse_swapped(X: Any, y: Any) -> None:
    """Raise an error where the images were passed as labels, and the labels as images.

    Parameters
    ----------
    X, y : object
        Anything; only what is in memory is looked at.

    Raises
    ------
    DatasetError
        If `X` begins with a label, and `y` with an image.
    """
    label, image = _first_in_memory(X), _first_in_memory(y)
    is_label = isinstance(label, int | float | str | np.generic) and not _is_missing(label) and not _names_image(label)
    if is_label and (
        is_table(y) or rank(image) == 3 or isinstance(image, os.PathLike | Image.Image) or _names_image(image)
    ):
        raise DatasetError("X and y seem to be swapped: first come the images, then their labels")


def _first_in_memory(values: Any) -> Any:
    return next(iter(values), None) if _is_in_memory(values) and getattr(values, "ndim", True) else None


def _names_image(item: Any) -> bool:
    return isinstance(item, str) and item.lower().endswith(IMAGE_SUFFIXES)


def name_item(item: Any, position: int) -> str:
    """Return the name of an image for messages.

    Parameters
    ----------
    item : object
        An item of `list_images`.
    position : int
        Its position.

    Returns
    -------
    str
        The name of its file, else its position.
    """
    if isinstance(item, str | os.PathLike):
        name = os.path.basename(printable(os.fsdecode(item)))  # noqa: PTH119
        return shorten(name, MOST_IN_COLUMN) or f"image {position}"
    return item.name if isinstance(item, ImageFile) else f"image {position}"


def name_error(error: ImageError, item: Any, name: str) -> ImageError:
    """Return why an image cannot be used under the name that its user knows.

    Parameters
    ----------
    error : ImageError
        Of `melanoma_tl.images.load_image`.
    item : object
        The image.
    name : str
        Its id or position, for an image that has no name of its own.

    Returns
    -------
    ImageError
        The same reason.
    """
    return error if has_name(item) else ImageError(name, error.reason)


def has_name(item: Any) -> bool:
    """Return whether an image has a name of its own: that of its file.

    Parameters
    ----------
    item : object
        An item of `list_images`.

    Returns
    -------
    bool
        False of images that are in memory.
    """
    return isinstance(item, str | os.PathLike | ImageFile)


class Part(Sequence[Any]):
    """Some images of a collection; messages name them by their positions in the whole collection.

    Parameters
    ----------
    X : object
        As `list_images`.
    rows : array-like of int of shape (n,)
        Positions of the images, in this order.
    name : str
        Name of the collection for messages.

    Attributes
    ----------
    positions : sequence of int
        Position of each image in the whole collection.
    """

    def __init__(self, X: Any, rows: Iterable[int], *, name: str) -> None:
        self._items = list_images(X)
        self.positions = [int(row) for row in rows]
        self.name = name

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, place: Any) -> Any:
        """Return the image at a position of the part."""
        return self._items[self.positions[place]]


class _Lazy(Sequence[Any]):
    """Items that are created on access, such as those of an array in a file."""

    def __init__(self, X: Any, *, of_arrays: bool = False) -> None:
        self._given, self._of_arrays = X, of_arrays

    def __len__(self) -> int:
        return len(self._given)

    def __getitem__(self, position: Any) -> Any:
        item = self._given[position]
        return np.asarray(item) if self._of_arrays else _open_item(item, position)

    def __iter__(self) -> Iterator[Any]:
        return (self[position] for position in range(len(self)))


def _not_empty(items: Sequence[Any]) -> Sequence[Any]:
    if len(items) == 0:
        raise DatasetError("X holds no image")
    return items


def _column(table: Any) -> Any:
    """Return the only column of a table; with several, name those that may be meant in the error."""
    names = list(table)
    if _is_frame(table) and len(names) == 1:
        return table.iloc[:, 0]
    kind, what = ("DataFrame", "df") if _is_frame(table) else (type(table).__name__, "X")
    likely = [name for place, name in enumerate(names) if _holds_images(table, name, place)]
    columns = " or ".join(f"{what}[{name!r}]" for name in (likely or names)[:_N_NAMED])
    raise DatasetError(
        f"X is a {kind} of {len(names)} columns: pass the one that holds the images"
        + (f", {'' if likely else 'such as '}{columns}" if columns else "")
        + ", or ISBIDataset.from_frame for a table with labels"
    )


def _holds_images(table: Any, name: Any, place: int) -> bool:
    """Return whether the first value of a column is an image or the name of one."""
    column = table.iloc[:, place] if _is_frame(table) else table[name]
    if isinstance(column, str | bytes) or not (hasattr(column, "__len__") and hasattr(column, "__iter__")):
        return False
    first = next((value for value in column if _may_be_image(value) and not _is_missing(value)), None)
    if isinstance(first, str):
        return _names_image(first) or os.sep in first
    return first is not None


def _rows(X: Any) -> Sequence[Any]:
    """Split an array of several dimensions into images, loading one image at a time from a file."""
    shape, dtype = tuple(X.shape), str(X.dtype).removeprefix("torch.").removeprefix("<dtype: '").rstrip("'>")
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X) and len(shape) > 2:
        raise DatasetError("X is a masked array, and pixels cannot be missing: fill them, or leave these images out")
    if len(shape) == 2 and shape[1] == 1:
        return list_images(np.asarray(X)[:, 0])
    if dtype not in ("uint8", "object") and len(shape) in (3, 4):
        raise DatasetError(
            f"X must hold raw RGB of dtype uint8, 0 to 255, got an array of shape {shape} and dtype {dtype}; "
            f"{how_to_make_raw(X)}"
        )
    if dtype != "uint8" or len(shape) != 4 or shape[3] != 3:
        hint = how_to_make_three(shape) if dtype == "uint8" and len(shape) == 4 else ""
        if dtype == "uint8" and len(shape) == 4 and shape[1] == 3:
            hint = ": put the colours last, X.transpose(0, 2, 3, 1)"
        elif dtype == "uint8" and len(shape) == 3:
            hint = ": of grey images make three colours, np.repeat(X[..., np.newaxis], 3, axis=-1)"
        raise DatasetError(
            f"X must be {WHAT_X_MAY_BE}; got {type(X).__name__} of shape {shape} and dtype {dtype}; "
            f"expected the shape (n, height, width, 3){hint}"
        )
    return _Lazy(X, of_arrays=True)


def _plain(X: Any) -> Iterator[Any]:
    if isinstance(X, np.ma.MaskedArray):
        from melanoma_tl.labels.classes import unmasked  # which imports pandas

        X = unmasked(X)
    if isinstance(X, np.ndarray) and X.dtype.kind == "S":
        raise DatasetError(
            f"X is an array of dtype {X.dtype}, which cuts zeros off the end of a file: pass a list of bytes or paths"
        )
    return (_open_item(item, position) for position, item in enumerate(X))


def _open_item(item: Any, position: int) -> Any:
    """Read open files and unify equivalent types; an item that is no image stays unchanged, as a bad image."""
    if isinstance(item, bytearray | memoryview):
        return bytes(item)
    if isinstance(item, os.PathLike):
        try:
            return Path(item) if isinstance(item, Path) else os.fspath(item)
        except Exception as error:  # whatever the class does to find out where its file is
            reason = error
            return ImageFile(f"image {position}", lambda: _fail(reason))
    if is_open_file(item) and not isinstance(item, ImageFile):
        return _read(item, f"image {position}")
    if not isinstance(item, np.ndarray | np.generic | Image.Image) and hasattr(item, "__array__") and rank(item) > 1:
        return np.asarray(item)
    return item


def _first(items: Sequence[Any], X: Any) -> Any:
    try:
        return items[0]
    except MelanomaTLError:
        raise
    except Exception as error:
        raise DatasetError(
            f"X must be {WHAT_X_MAY_BE}; got {_shown(X)}, which gives no first item ({in_one_line(error)})"
        ) from error


def _read(file: Any, name: str) -> Any:
    """Read an open file from its beginning, as Pillow does; only once, because it may not be seekable."""
    try:
        if file.seekable():
            file.seek(0)
        content = file.read()
    except Exception as error:  # whatever stands behind it, such as a connection
        reason = error
    else:
        if isinstance(content, bytes | bytearray | memoryview):
            return bytes(content)
        reason = TypeError(f"it gives {type(content).__name__}: open it with mode 'rb'")
    return ImageFile(name, lambda: _fail(reason))


def _fail(reason: Exception) -> bytes:
    raise reason


def _is_missing(item: Any) -> bool:
    pd = _pandas()
    is_of_pandas = pd is not None and (item is pd.NA or item is pd.NaT)
    return item is None or is_of_pandas or (isinstance(item, float) and item != item)


def _may_be_image(item: Any) -> bool:
    """Return whether an item is an image, or a placeholder for a missing one."""
    kinds = (str, bytes, os.PathLike, ImageFile, Image.Image)
    return isinstance(item, kinds) or _is_missing(item) or (isinstance(item, np.ndarray) and item.ndim in (2, 3))


def _shown(value: Any) -> str:
    shape = tuple(getattr(value, "shape", ()))  # that of one number of an array is empty
    return type(value).__name__ + (f" of shape {shape} and dtype {value.dtype}" if shape else "")
