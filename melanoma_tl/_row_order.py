"""Columns of pandas whose rows stand in different orders: read by position, each value would go to another image."""

import sys
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from melanoma_tl.errors import ParameterError

_OF_IMAGES = {
    *("X", "y", "y_true", "y_score", "y_pred", "groups", "sample_weight"),
    *("first_score", "second_score", "other_score", "first_right", "second_right"),
    *("image_ids", "paths", "labels", "metadata", "table"),
}
"""Names of arguments with one row an image."""


def check_row_order(arguments: Mapping[str, Any]) -> None:
    """Raise an error if two arguments have the same index, in different orders.

    Columns with other labels in their indexes, as after a filter, are taken by position: nothing says what else.

    Parameters
    ----------
    arguments : mapping of str to object
        The arguments of one call, by name. Those that do not hold one row an image are ignored; a tuple, such as
        ``validation_data=(X, y)``, is checked by itself.

    Raises
    ------
    ParameterError
        It says how to align them.

    Examples
    --------
    >>> import pandas as pd
    >>> y = pd.Series([0, 1, 1])
    >>> check_row_order({"y_true": y, "y_score": y[::-1]})
    Traceback (most recent call last):
    ...
    melanoma_tl.errors.ParameterError: y_true and y_score have the same index in different orders, and rows are taken \
by position: pass y_score.loc[y_true.index], or y_score.to_numpy() if its rows are in the right order
    """
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return
    kinds = (pandas.Series, pandas.DataFrame)
    indexed = {
        name: value.index for name, value in arguments.items() if name in _OF_IMAGES and isinstance(value, kinds)
    }
    for (first, index), (second, other) in combinations(indexed.items(), 2):
        if len(index) == len(other) and not index.equals(other) and Counter(index) == Counter(other):
            raise ParameterError(
                f"{first} and {second} have the same index in different orders, and rows are taken by position: pass "
                f"{second}.loc[{first}.index], or {second}.to_numpy() if its rows are in the right order"
            )
    for value in arguments.values():
        if isinstance(value, tuple) and len(value) == 2:
            check_row_order(dict(zip(("X", "y"), value, strict=True)))
