"""What the columns of a table say of images, and the groups of images that follow from it."""

from collections.abc import Hashable, Sequence
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from melanoma_tl.errors import ParameterError
from melanoma_tl.labels.cells import (
    AGE_COLUMNS,
    NUMBER,
    OLDEST,
    SEX_COLUMNS,
    plain_name,
    read_ages,
    read_sexes,
)
from melanoma_tl.labels.ids import as_word
from melanoma_tl.labels.meanings import is_missing

NOT_GIVEN = "not given"
"""The group of the images with a missing value."""

# A text column with more distinct values holds identifiers.
MAX_GROUPS = 30
# A numeric column with more distinct values holds measurements, which are cut into four bands.
_MAX_NUMBERS = 10
_QUARTERS = (0.25, 0.5, 0.75)


def read_column(column: pd.Series, name: str) -> pd.Series:
    """Read what a column says, as a dataset reads it: ages in years, sexes, and which values stand for "not known".

    Parameters
    ----------
    column : Series
        As it stands.
    name : str
        Its name; ages and sexes are known by it, in several languages.

    Returns
    -------
    Series
        With what is missing as pandas has it. Ages are numbers and sexes "female" and "male", unless the column holds
        something else, such as bands of ages; further sexes stay as they are written.

    Raises
    ------
    ParameterError
        If it holds lists or other values that are no words or numbers.

    Examples
    --------
    >>> read_column(pd.Series(["W", "M", "?", "divers"]), "sex").tolist()
    ['female', 'male', None, 'divers']
    """
    try:
        column.unique()
    except TypeError:
        kinds = {type(value).__name__ for value in column if not isinstance(value, Hashable)}
        raise ParameterError(f"{name} holds {', '.join(sorted(kinds))}; groups need words or numbers") from None
    if plain_name(name) in AGE_COLUMNS:
        return _read_ages(column)
    if plain_name(name) in SEX_COLUMNS:
        return _read_sexes(column)
    return _without_missing(column)


def _is_text(column: pd.Series) -> bool:
    plain = (pd.api.types.is_numeric_dtype, pd.api.types.is_datetime64_any_dtype, pd.api.types.is_timedelta64_dtype)
    return not any(is_kind(column) for is_kind in plain)


def _without_missing(column: pd.Series) -> pd.Series:
    if not _is_text(column):
        return column
    # "none" in small letters is an answer, such as no hair; Python and pandas write "None".
    gaps = [value for value in column.dropna().unique() if is_missing(value) and value != "none"]
    return column.mask(column.isin(gaps), None) if gaps else column


def _read_ages(column: pd.Series) -> pd.Series:
    if pd.api.types.is_bool_dtype(column):
        return column
    if not _is_text(column):
        numbers = pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan), index=column.index)
    else:
        lost: dict[str, list[str]] = {}
        ages = read_ages(column, lost)
        words = [as_word(cell) for cell in column]
        if not all(map(NUMBER.fullmatch, lost.get("age", []))):
            return _without_missing(column)
        numbers = pd.Series(
            [float(word) if NUMBER.fullmatch(word) else age for word, age in zip(words, ages, strict=True)],
            index=column.index,
            dtype=np.float64,
        )
    # Numbers such as -1 and 999 stand for an age that is not known; many of them are ages in days, or something else.
    fillers = (numbers % 1 == 0) & ((numbers < 0) | (numbers > OLDEST))
    return numbers.mask(fillers) if numbers[fillers].nunique() <= numbers[~fillers].nunique() else numbers


def _read_sexes(column: pd.Series) -> pd.Series:
    if not _is_text(column):
        return column if pd.api.types.is_bool_dtype(column) else column.mask((column < 0).fillna(False))
    sexes = read_sexes(column)
    # Beside words a number is no sex; without words, 0 and 1 or 1 and 2 are codes of the user's.
    is_gap = NUMBER.fullmatch if any(sexes) else lambda word: word.startswith("-")
    words = [as_word(cell) for cell in column]
    read = [sex or (None if is_gap(word) else word or None) for sex, word in zip(sexes, words, strict=True)]
    return pd.Series(read, index=column.index, dtype=object)


def is_measured(column: pd.Series) -> bool:
    """Return whether a column has so many distinct numbers that they are cut into bands.

    Parameters
    ----------
    column : Series
        From `read_column`.

    Returns
    -------
    bool
        True of more than ten numbers.
    """
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return bool(is_number and column.nunique() > _MAX_NUMBERS)


def how_to_make_numbers(column: pd.Series, name: str) -> str:
    """Say how numbers that are text become numbers, to be put behind what is wrong.

    Parameters
    ----------
    column : Series
        From `read_column`.
    name : str
        Its name.

    Returns
    -------
    str
        Nothing of other columns.
    """
    known = column.dropna()
    is_text = all(isinstance(value, str) for value in known)
    if not is_text or pd.to_numeric(known, errors="coerce").isna().any():
        return ""
    return f"; its numbers are text: make numbers of them, as with pandas.to_numeric(table[{name!r}])"


def _quartiles(column: pd.Series) -> list[float]:
    """Return the quartiles of a column, rounded to three digits, which cut it into four bands."""
    cuts = sorted({float(f"{cut:.3g}") for cut in column.dropna().quantile(list(_QUARTERS))})
    return [cut for cut in cuts if column.min() < cut <= column.max()]


def group_values(column: pd.Series, name: str, edges: Sequence[float] | None) -> tuple[NDArray[np.object_], list[str]]:
    """Name the group of each image, and list the groups in the order in which they are shown.

    Parameters
    ----------
    column : Series of length n
        From `read_column`.
    name : str
        Its name.
    edges : sequence of float or None
        Edges of bands of numbers; of many numbers they are the quartiles by default.

    Returns
    -------
    values : ndarray of object of shape (n,)
        The group of each image; `NOT_GIVEN` where nothing is known.
    order : list of str
        The groups that occur, `NOT_GIVEN` last.

    Raises
    ------
    ParameterError
        If there are too many groups, or bands are not rising numbers or of a column without numbers.
    """
    if edges is None and is_measured(column):
        edges = _quartiles(column) or None
    known = column.notna().to_numpy()
    values = np.full(len(column), NOT_GIVEN, dtype=object)
    if edges is not None:
        words = _name_bands(edges, name)
        try:
            numbers = column[known].to_numpy(dtype=float)
        except (TypeError, ValueError) as error:
            raise ParameterError(f"bands need a column of numbers; {name} has other values: {error}") from error
        values[known] = np.array(words, dtype=object)[np.digitize(numbers, edges)]
        order = words
    else:
        found = sorted(column[known].unique(), key=_place)
        if len(found) > MAX_GROUPS:
            raise ParameterError(
                f"{name} has {len(found)} values, more than {MAX_GROUPS} groups can be told apart"
                + (how_to_make_numbers(column, name) or "; put values together, or leave the column out")
            )
        words_of = {value: _word(value) for value in found}  # 1 and True are one value
        values[known] = [words_of[value] for value in column[known]]
        order = [*words_of.values()]
    present = set(values)
    return values, [word for word in (*dict.fromkeys(order), NOT_GIVEN) if word in present]


def _place(value: Any) -> tuple[str, Any]:
    """Put numbers first, then each type by itself: a number and a date have no order."""
    return "" if isinstance(value, Real | np.number) else type(value).__name__, value


def _name_bands(edges: Sequence[float], name: str) -> list[str]:
    cuts = list(edges)
    if not cuts or not all(isinstance(cut, int | float | np.number) for cut in cuts) or sorted(set(cuts)) != cuts:
        raise ParameterError(f"bands[{name!r}] must be rising numbers, such as (30, 50, 70), got {edges!r}")
    words = [_word(float(cut)) for cut in cuts]
    between = [f"{low} to below {high}" for low, high in pairwise(words)]
    return [f"below {words[0]}", *between, f"{words[-1]} and above"]


def _word(value: object) -> str:
    if not isinstance(value, float | np.floating):
        return str(value)
    # A column of codes with gaps holds floats: six digits would make one of 1000001 and 1000002.
    return f"{value:.0f}" if float(value).is_integer() else f"{value:g}"
