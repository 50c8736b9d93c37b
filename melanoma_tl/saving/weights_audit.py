"""Audit the weights of a model file before they are read."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from melanoma_tl.errors import ModelFileError
from melanoma_tl.saving.audit import WEIGHTS_FILE, quoted

MAX_ATTRIBUTE_BYTES = 2**16
"""What one attribute in the weights file may take."""

_NUMBERS_AT_ONCE = 2**22
"""Of an array of weights, how many are looked at at once."""


def check_weights(path: Path) -> int:
    """Check that a weights file holds all that it declares, and nothing that is elsewhere.

    Keras writes plain arrays. Links, external and virtual arrays would be read from other files;
    packed ones can be small on disk and huge in memory, and may call for a plug-in of HDF5.

    Parameters
    ----------
    path : Path
        The HDF5 file; its structure is looked at first, and then the numbers one array after the other.

    Returns
    -------
    int
        How many numbers it holds.

    Raises
    ------
    ModelFileError
        If it holds anything but plain arrays of finite numbers.
    """
    import h5py

    n_numbers = n_bytes = 0
    seen: set[int] = set()
    with h5py.File(path, "r") as file:
        waiting: list[Any] = [file]
        while waiting:
            group = waiting.pop()
            for name in group:
                item = _open_item(group, name, seen)
                if isinstance(item, h5py.Group):
                    waiting.append(item)
                    continue
                _check_array(item)
                n_numbers += item.size
                n_bytes += item.nbytes
                if n_bytes > path.stat().st_size:
                    raise ModelFileError(f"refused, {WEIGHTS_FILE} declares more bytes than it has")
                _check_numbers(item)
    return n_numbers


def _open_item(group: Any, name: str, seen: set[int]) -> Any:
    import h5py

    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        elsewhere = ":".join(filter(None, (getattr(link, "filename", None), link.path)))
        raise ModelFileError(f"refused, {WEIGHTS_FILE} holds a link to {quoted(elsewhere)}")
    item = group[name]
    address = h5py.h5o.get_info(item.id).addr
    if address in seen:
        raise ModelFileError(f"refused, {WEIGHTS_FILE} holds {quoted(item.name)} in two places")
    seen.add(address)
    for key in item.attrs:
        if item.attrs.get_id(key).get_storage_size() > MAX_ATTRIBUTE_BYTES:
            raise ModelFileError(f"refused, {WEIGHTS_FILE} has too large an attribute at {quoted(item.name)}")
    return item


def _check_array(item: Any) -> None:
    import h5py

    what = f"refused, {quoted(item.name)} in {WEIGHTS_FILE}"
    if not isinstance(item, h5py.Dataset) or item.shape is None or item.dtype.kind not in "fiub":
        raise ModelFileError(f"{what} is not an array of numbers")
    if item.external:
        raise ModelFileError(f"{what} lies in another file: {quoted(item.external[0][0])}")
    if item.is_virtual:
        raise ModelFileError(f"{what} is put together from other files")
    if item.chunks is not None:
        raise ModelFileError(f"{what} is packed, which Keras never does")
    if item.id.get_storage_size() != item.nbytes:
        raise ModelFileError(f"{what} declares {item.nbytes:,} bytes and holds {item.id.get_storage_size():,}")


def _check_numbers(item: Any) -> None:
    """Raise an error for NaN or infinite weights, without reading a large array as a whole."""
    if item.dtype.kind != "f":
        return
    rows = max(1, _NUMBERS_AT_ONCE // max(1, math.prod(item.shape[1:])))
    for start in range(0, len(item) if item.shape else 1, rows):
        numbers = item[start : start + rows] if item.shape else item[()]
        if not np.isfinite(numbers).all():
            raise ModelFileError(f"refused, {quoted(item.name)} in {WEIGHTS_FILE} holds what is no finite number")
