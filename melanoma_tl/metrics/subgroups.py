"""The metrics of a classifier in parts of the images: by age, sex, site, skin type, camera, image size.

What a table says of an image is taken as it stands. An image of which it says
nothing is in a group of its own, "not given"; nothing is ever inferred from the
picture.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._escaping import in_html, in_markdown
from melanoma_tl._parameters import (
    BOOTSTRAP,
    COLUMN,
    FUNCTION,
    NONE,
    PROBABILITY,
    TEXT,
    checked,
    instance,
    mapping,
    real,
    several,
)
from melanoma_tl._tables import html_table, markdown_table, text_table
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.labels.classes import as_binary
from melanoma_tl.metrics.binary import resampled_metrics
from melanoma_tl.metrics.few import FACT, FEW
from melanoma_tl.metrics.gaps import Gap, estimate_group, largest_gaps
from melanoma_tl.metrics.metric import LABELS, MARK, Metric
from melanoma_tl.metrics.resampling import number_groups
from melanoma_tl.metrics.validation import check_bootstrap, check_fraction, check_lengths, check_scores

NOT_GIVEN = "not given"
"""The group of the images of which the table says nothing."""

_SHOWN = ("auc", "sensitivity", "specificity")
# More words than this are identifiers, not groups.
_MAX_GROUPS = 30
# More numbers than this are measurements, which are cut into four bands.
_MAX_NUMBERS = 10
_QUARTERS = (0.25, 0.5, 0.75)
# Columns that name images, patients and files, or say what is to be found; in words that "_", "-" and spaces part.
_IDENTIFIER = re.compile(r"(?:^|[\W_])(?:id|path|file|filename|url|image|patient|lesion)s?$", re.IGNORECASE)
_DIAGNOSIS = re.compile(r"diagnos|benign|malign|melanoma|^(?:dx|label|target|class)$", re.IGNORECASE)
# A column of more values than this, and of a value for every other patient, is of identifiers.
_FEW_VALUES = 5


BANDS = mapping(several(real(), at_least=1), "a mapping of columns to rising numbers, such as {'age': (30, 50)}")
"""Where columns of numbers are cut."""

_VALUES = instance(pd.Series, np.ndarray, a="a Series or an array with one value an image")
BY = _VALUES | several(TEXT, at_least=1) | FUNCTION
"""What images are grouped by: values, names of columns, or a function of the table."""

By = str | Sequence[str] | NDArray[Any] | pd.Series | Callable[[pd.DataFrame], Any]


@dataclass(frozen=True)
class Subgroup:
    """The images that share a value, and their metrics.

    Parameters
    ----------
    column, value : str
        What they share, such as "sex" and "female".
    n_melanoma, n_benign : int
        Images of each class.
    metrics : mapping of str to Metric
        One entry for each name in `melanoma_tl.metrics.LABELS`; NaN where a class is missing.
    """

    column: str
    value: str
    n_melanoma: int
    n_benign: int
    metrics: Mapping[str, Metric]

    @property
    def n(self) -> int:
        """All images of the group."""
        return self.n_melanoma + self.n_benign

    @property
    def small(self) -> bool:
        """Whether one of the classes has few images: 20 or fewer."""
        return min(self.n_melanoma, self.n_benign) <= FEW


@dataclass(frozen=True, eq=False)
class Subgroups:
    """The metrics of a classifier in each group of images.

    Made by `measure_subgroups` or `MetricsReport.subgroups`.

    Attributes
    ----------
    rows : tuple of Subgroup
        Column by column; in each, numbers in their order, words in theirs, "not given" last.
    threshold : float
        An image is predicted melanoma when its score is strictly above.
    confidence : float
        Coverage of the intervals.
    left_out : mapping of str to str
        Columns of the table that no groups were made of, each with the reason, where none were asked for.
    gaps : tuple of Gap
        The widest gap of each column in AUC, sensitivity and specificity, among the groups with at least ten images
        of the class and a value; their intervals hold together.
    """

    rows: tuple[Subgroup, ...]
    threshold: float
    confidence: float
    left_out: Mapping[str, str] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()

    def __iter__(self) -> Iterator[Subgroup]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[str, str]) -> Subgroup:
        """Return the group of a column and a value."""
        known = {(row.column, row.value): row for row in self.rows}
        if key not in known:
            raise UnknownNameError("subgroup", key, map(str, known))
        return known[key]

    def __repr__(self) -> str:
        columns = dict.fromkeys(row.column for row in self.rows)
        return f"Subgroups({len(self.rows)} groups by {', '.join(columns)})"

    def __str__(self) -> str:
        return "\n".join([text_table(*self._table()), *(f"  {note}" for note in self._notes())])

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{in_html(note)}</p>" for note in self._notes())
        return f"{html_table(*self._table())}{notes}"

    def to_markdown(self) -> str:
        """Write the groups as Markdown.

        Returns
        -------
        str
            A table with one row per group, and what its marks mean.
        """
        return "\n\n".join([markdown_table(*self._table()), *map(in_markdown, self._notes())]) + "\n"

    def to_frame(self) -> pd.DataFrame:
        """Return the groups as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row per group: ``column``, ``value``, ``n``, ``n_melanoma``, ``n_benign``,
            ``small``, then for each metric its value under its name and the ends of its
            interval under ``<name>_low`` and ``<name>_high``, and under ``<name>_few`` whether that is marked.
        """
        rows = []
        for row in self.rows:
            facts = {"column": row.column, "value": row.value, "n": row.n}
            facts |= {"n_melanoma": row.n_melanoma, "n_benign": row.n_benign, "small": row.small}
            for name, metric in row.metrics.items():
                facts |= {
                    name: metric.value,
                    f"{name}_low": metric.low,
                    f"{name}_high": metric.high,
                    f"{name}_few": metric.few,
                }
            rows.append(facts)
        return pd.DataFrame(rows)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        header = ["group", "images", "melanoma", *(LABELS[name] for name in _SHOWN)]
        rows = []
        for row in self.rows:
            mark = " *" if row.small else ""
            cells = [_cell(row.metrics[name]) for name in _SHOWN]
            rows.append([f"{row.column}: {row.value}{mark}", str(row.n), str(row.n_melanoma), *cells])
        return header, rows

    def _notes(self) -> list[str]:
        notes = [
            f"Intervals cover {100 * self.confidence:g} %. Among {len(self.rows)} groups some differ by chance alone.",
        ]
        if self.left_out:
            told = "; ".join(f"{name} ({reason})" for name, reason in self.left_out.items())
            notes.append(f"No groups were made of {told}: name a column, as in by={next(iter(self.left_out))!r}.")
        if self.gaps:
            held = f"intervals hold together with {100 * self.confidence:g} % confidence, p-values are corrected"
            notes += [f"Widest gaps of each column; {held}:", *map(str, self.gaps)]
        if any(row.metrics[name].few for row in self.rows for name in _SHOWN):
            notes.insert(1, f"{FACT}.")
        if any(row.small for row in self.rows):
            notes.insert(0, f"* {FEW} melanomas or benign images, or fewer: too few to judge by")
        return notes


@checked(bands=BANDS | NONE, threshold=PROBABILITY, groups=COLUMN | NONE, **BOOTSTRAP)
def measure_subgroups(
    y_true: ArrayLike,
    y_score: ArrayLike,
    table: pd.DataFrame | Mapping[str, ArrayLike],
    *,
    bands: Mapping[str, Sequence[float]] | None = None,
    threshold: float = 0.5,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> Subgroups:
    """Measure the metrics of each group of images.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1, without NaN.
    table : pandas.DataFrame of n rows, or mapping of str to array-like of shape (n,)
        One column per fact, one row per image, in the order of the scores.
    bands : mapping of str to sequence of float, optional
        Where to cut columns of numbers, such as ``{"age": (30, 50, 70)}``; a number on a
        cut is in the upper band. Other columns of more than 10 numbers are cut at their quartiles, rounded to
        three digits; all others have a group for each value.
    threshold : float, default=0.5
        An image is predicted melanoma when its score is strictly above.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.

    Returns
    -------
    Subgroups
        A group with one class only has the metrics that exist without the other; with
        `groups`, one whose images are all of one patient has none.

    Raises
    ------
    ParameterError
        If lengths differ, labels or scores are not understood, a column has more than 30
        words, or bands are no rising numbers or for a column of words.
    UnknownNameError
        If bands are given for a column that there is not.

    Examples
    --------
    >>> found = measure_subgroups([0, 1, 0, 1], [0.1, 0.9, 0.7, 0.8], {"age": [35, 61, None, 70]}, bands={"age": [50]})
    >>> [(row.value, row.n, row.small) for row in found]
    [('below 50', 1, True), ('50 and above', 2, True), ('not given', 1, True)]
    """
    truth, scores, facts = as_binary(y_true), check_scores(y_score), as_table(table)
    check_lengths(len(scores), y_true=truth, table=facts, groups=groups)
    if np.isnan(scores).any():
        raise ParameterError(f"y_score is NaN for {int(np.isnan(scores).sum())} images; leave these out")
    check_fraction("threshold", threshold, ends=True)
    check_bootstrap(confidence, n_resamples)
    for banded in bands or {}:
        if banded not in facts:
            raise UnknownNameError("column", banded, map(str, facts.columns))
    bootstrap: dict[str, Any] = {"confidence": confidence, "n_resamples": n_resamples, "random_state": random_state}
    belongs = None if groups is None else np.asarray(groups, dtype=object)
    rows, estimates = [], []
    for name, column in facts.items():
        values, order = _group_values(column, str(name), (bands or {}).get(str(name)))
        for value in order:
            inside = values == value
            n, n_melanoma = int(inside.sum()), int(truth[inside].sum())
            within = None if belongs is None else belongs[inside]
            if _is_one(within):
                metrics = dict.fromkeys(LABELS, Metric(float("nan"), float("nan"), float("nan"), n, "undefined"))
            else:
                metrics = resampled_metrics(truth[inside], scores[inside], threshold, within, **bootstrap)
                if value != NOT_GIVEN:
                    found = estimate_group(truth[inside], scores[inside], threshold, within)
                    estimates.append((str(name), value, found))
            rows.append(Subgroup(str(name), value, n_melanoma, n - n_melanoma, metrics))
    gaps = largest_gaps(estimates, confidence, random_state)
    return Subgroups(tuple(rows), float(threshold), confidence, gaps=gaps)


def group_table(table: pd.DataFrame, by: By | None, groups: ArrayLike | None) -> tuple[pd.DataFrame, Mapping[str, str]]:
    """Find what images are to be grouped by.

    Parameters
    ----------
    table : pandas.DataFrame of n rows
        What is known of the images, in the order of the scores.
    by : str, sequence of str, array-like of shape (n,), callable or None
        Names of columns, values, or what gives them of the table. By default every column but those of identifiers,
        files and diagnoses, of one value, and of nearly as many values as there are patients, or images where no
        patients are known.
    groups : array-like of shape (n,), or None
        The patients.

    Returns
    -------
    DataFrame of n rows, mapping of str to str
        The columns, and those that were left out by default, with the reasons.

    Raises
    ------
    ParameterError
        If lengths differ, or nothing is left to group by.
    UnknownNameError
        If the table has not one of the columns.
    """
    if isinstance(by, str | tuple | list):
        names = [by] if isinstance(by, str) else list(by)
        for name in names:
            if name not in table:
                raise UnknownNameError("column", name, map(str, table.columns))
        return table[names], {}
    if by is not None:
        values = by(table) if callable(by) else by
        name = getattr(values, "name", None) or getattr(by, "__name__", "").replace("<lambda>", "") or "group"
        check_lengths(len(table), by=values)
        return pd.DataFrame({str(name): np.asarray(values)}), {}
    n_units = len(table) if groups is None else int(number_groups(groups, len(table)).max()) + 1
    reasons = {name: _why_no_groups(str(name), column, n_units) for name, column in table.items()}
    chosen = [name for name, reason in reasons.items() if not reason]
    left_out = {str(name): reason for name, reason in reasons.items() if reason}
    if not chosen:
        told = "; ".join(f"{name} ({reason})" for name, reason in left_out.items()) or "it has no columns"
        raise ParameterError(f"The table has nothing to group images by: {told}. Name a column with by='...'")
    return table[chosen], left_out


def _why_no_groups(name: str, column: pd.Series, n_units: int) -> str:
    """Return the reason why a column makes no sensible groups; an empty text where it does."""
    n_values = column.nunique()
    if _IDENTIFIER.search(name):
        return "identifiers"
    if _DIAGNOSIS.search(name):
        return "what is to be found"
    if n_values + int(column.isna().any()) < 2:
        return "one value"
    if _is_measured(column):
        return ""
    if n_values > _MAX_GROUPS:
        return f"{n_values} values"
    if n_values > _FEW_VALUES and 2 * n_values > n_units:
        return f"{n_values} values among {n_units} images or patients"
    return ""


def _is_measured(column: pd.Series) -> bool:
    """Return whether a column has so many numbers that they are cut into bands."""
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return bool(is_number and column.nunique() > _MAX_NUMBERS)


def _quartiles(column: pd.Series) -> list[float]:
    """Cut numbers into four bands of about as many images."""
    cuts = sorted({float(f"{cut:.3g}") for cut in column.dropna().quantile(list(_QUARTERS))})
    return [cut for cut in cuts if column.min() < cut <= column.max()]


def as_table(table: Any) -> pd.DataFrame:
    """Read a table, whatever it is given as.

    Parameters
    ----------
    table : pandas.DataFrame or mapping of str to array-like of shape (n,)
        One column per fact.

    Returns
    -------
    pandas.DataFrame
        The table.

    Raises
    ------
    ParameterError
        If it is none.
    """
    try:
        return pd.DataFrame(table)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"table must be a DataFrame or a mapping of names to columns: {error}") from error


def _group_values(column: pd.Series, name: str, edges: Sequence[float] | None) -> tuple[NDArray[np.object_], list[str]]:
    """Name the group of each image, and list the groups in the order in which they are shown."""
    if edges is None and _is_measured(column):
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
        found = sorted(column[known].unique(), key=lambda value: (isinstance(value, str), value))
        if len(found) > _MAX_GROUPS:
            raise ParameterError(
                f"{name} has {len(found)} values, more than {_MAX_GROUPS} groups can be told apart; put values "
                "together, or leave the column out"
            )
        values[known] = [_word(value) for value in column[known]]
        order = [_word(value) for value in found]
    present = set(values)
    return values, [word for word in (*dict.fromkeys(order), NOT_GIVEN) if word in present]


def _name_bands(edges: Sequence[float], name: str) -> list[str]:
    cuts = list(edges)
    if not cuts or not all(isinstance(cut, int | float | np.number) for cut in cuts) or sorted(set(cuts)) != cuts:
        raise ParameterError(f"bands[{name!r}] must be rising numbers, such as (30, 50, 70), got {edges!r}")
    between = [f"{low:g} to below {high:g}" for low, high in pairwise(cuts)]
    return [f"below {cuts[0]:g}", *between, f"{cuts[-1]:g} and above"]


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


def _is_one(groups: NDArray[np.object_] | None) -> bool:
    """Return whether all images belong to one patient, so that nothing can be resampled."""
    return groups is not None and bool(pd.notna(groups).all()) and len(pd.unique(groups)) == 1


def _cell(metric: Metric) -> str:
    if np.isnan(metric.value):
        return "undefined"
    return f"{metric.value:.2f} ({metric.low:.2f}-{metric.high:.2f}{f', {MARK}' if metric.few else ''})"
