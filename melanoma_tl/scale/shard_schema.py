"""The columns of shards."""

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

import pyarrow as pa

from melanoma_tl.images.hdf5 import split_member


def schema_with(columns: Iterable[tuple[str, pa.DataType]]) -> pa.Schema:
    """Return the schema of a shard.

    Parameters
    ----------
    columns : iterable of (str, pyarrow.DataType)
        The columns of results.

    Returns
    -------
    pyarrow.Schema
        id, path, these columns, and error.
    """
    return pa.schema([("id", pa.string()), ("path", pa.string()), *columns, ("error", pa.string())])


def describe_files(paths: Sequence[str]) -> dict[str, Any]:
    """Return the columns that identify files.

    Parameters
    ----------
    paths : sequence of str
        Paths of the files.

    Returns
    -------
    dict of str to sequence of str
        The columns id (the file name without its extension) and path.
    """
    return {"id": [_name(path) for path in paths], "path": paths}


def _name(path: str) -> str:
    member = split_member(path)
    return member[1] if member else PurePath(path).stem
