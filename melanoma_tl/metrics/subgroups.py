"""Metrics of a classifier in subgroups of the images: by age, sex, site, skin type, camera or image size.

Groups come from the values of a table only. Images with a missing value form the group
"not given".
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._attributes import ExplainsAttributes
from melanoma_tl._escaping import in_html, in_markdown
from melanoma_tl._parameters import (
    BOOTSTRAP,
    COLUMN,
    FUNCTION,
    NONE,
    PROBABILITY,
    TEXT,
    Rule,
    checked,
    instance,
    mapping,
    real,
    several,
)
from melanoma_tl._tables import html_table, markdown_table, text_table
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.metrics.binary import resampled_metrics
from melanoma_tl.metrics.few import FACT, FEW
from melanoma_tl.metrics.gaps import LEAST_IN_GROUP, Gap, estimate_group, largest_gaps
from melanoma_tl.metrics.metric import LABELS, MARK, Metric
from melanoma_tl.metrics.resampling import number_groups, number_values_or_alone
from melanoma_tl.metrics.subgroup_values import (
    MAX_GROUPS,
    NOT_GIVEN,
    group_values,
    how_to_make_numbers,
    is_measured,
    read_column,
)
from melanoma_tl.metrics.validation import (
    check_bootstrap,
    check_fraction,
    check_lengths,
    check_predictions,
    check_scored,
)

_SHOWN = ("auc", "sensitivity", "specificity")
# Names of columns that hold identifiers of images, patients and files, or the diagnosis.
_IDENTIFIER = re.compile(r"(?:^|[\W_])(?:id|path|file|filename|url|image|patient|lesion)s?$", re.IGNORECASE)
_DIAGNOSIS = re.compile(r"diagnos|benign|malign|melanoma|^(?:dx|label|target|class)$", re.IGNORECASE)
# A column with more distinct values than this, and with more than one per two patients, holds identifiers.
_FEW_VALUES = 5


BANDS = mapping(several(real(), at_least=1), "a mapping of columns to rising numbers, such as {'age': (30, 50)}")
"""The constraint on the edges of bands of numeric columns."""

VALUES = (pd.Series, np.ndarray, pd.api.extensions.ExtensionArray)
"""Types of what may hold one value an image, such as a Categorical, which `pandas.cut` makes of an array."""

BY = (
    instance(*VALUES, a="a Series or an array with one value an image")
    | Rule("the name of a column, or a list of several", several(TEXT, at_least=1).read)
    | Rule("a function of the table", FUNCTION.read)
)
"""The constraint on `by`: values, names of columns, or a function of the table."""

By = str | Sequence[str] | NDArray[Any] | pd.Series | pd.api.extensions.ExtensionArray | Callable[[pd.DataFrame], Any]


@dataclass(frozen=True)
class Subgroup:
    """The images that share a value, and their metrics.

    Parameters
    ----------
    column, value : str
        The column and the shared value, such as "sex" and "female".
    n_melanoma, n_benign : int
        Number of images of each class.
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
        """Number of images of the group."""
        return self.n_melanoma + self.n_benign

    @property
    def small(self) -> bool:
        """Whether one of the classes has few images: 20 or fewer."""
        return min(self.n_melanoma, self.n_benign) <= FEW


@dataclass(frozen=True, eq=False)
class Subgroups(ExplainsAttributes):
    """The metrics of a classifier in each group of images.

    Made by `measure_subgroups` or `MetricsReport.subgroups`.

    Attributes
    ----------
    rows : tuple of Subgroup
        The groups, column by column; within a column, sorted by value, "not given" last.
    threshold : float or None
        An image is predicted melanoma when its score is strictly above; None where the predictions were given.
    confidence : float
        Coverage of the intervals.
    left_out : mapping of str to str
        Columns of the table that were not used for grouping by default, each with the reason.
    gaps : tuple of Gap
        The widest gap of each column in AUC, sensitivity and specificity, among the groups with a value and at least
        ten images of the class; with simultaneous confidence intervals.
    """

    _elsewhere: ClassVar[Mapping[str, str]] = {"plot": "print() or to_frame(): it is a table"}

    rows: tuple[Subgroup, ...]
    threshold: float | None
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
            A table with one row per group, and notes on its marks.
        """
        return "\n\n".join([markdown_table(*self._table()), *map(in_markdown, self._notes())]) + "\n"

    def to_frame(self) -> pd.DataFrame:
        """Return the groups as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row per group: ``column``, ``value``, ``n``, ``n_melanoma``, ``n_benign``,
            ``small``, then for each metric its value under its name and the ends of its
            interval under ``<name>_low`` and ``<name>_high``, and ``<name>_few``, as `Metric.few`.
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
            notes.append(f"Columns not used: {told}. To use one, name it, as in by={next(iter(self.left_out))!r}.")
        if self.gaps:
            held = f"simultaneous {100 * self.confidence:g} % intervals, p-values corrected for multiple comparisons"
            among = f"among groups with at least {LEAST_IN_GROUP} images of the class"
            notes += [f"Widest gap of each column {among} ({held}):", *map(str, self.gaps)]
        if any(row.metrics[name].few for row in self.rows for name in _SHOWN):
            notes.insert(1, f"{FACT}.")
        if any(row.small for row in self.rows):
            notes.insert(0, f"* {FEW} melanomas or benign images, or fewer: too few to judge by")
        return notes


@checked(bands=BANDS | NONE, threshold=PROBABILITY, y_pred=COLUMN | NONE, groups=COLUMN | NONE, **BOOTSTRAP)
def measure_subgroups(
    y_true: ArrayLike,
    y_score: ArrayLike,
    table: pd.DataFrame | Mapping[str, ArrayLike],
    *,
    bands: Mapping[str, Sequence[float]] | None = None,
    threshold: float = 0.5,
    y_pred: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> Subgroups:
    """Compute the metrics of each group of images.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1, without NaN.
    table : pandas.DataFrame of n rows, or mapping of str to array-like of shape (n,)
        One column per fact, one row per image, in the order of the scores. Columns called age and sex are read as in a
        dataset: "W" is female, and -1 is no age. Words such as "?" and "unknown" are missing values.
    bands : mapping of str to sequence of float, optional
        Edges of the bands of numeric columns, such as ``{"age": (30, 50, 70)}``; a number on an
        edge is in the upper band. Other numeric columns with more than 10 distinct values are cut at their quartiles,
        rounded to three digits; all other columns have one group per value.
    threshold : float, default=0.5
        An image is predicted melanoma when its score is strictly above.
    y_pred, confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.

    Returns
    -------
    Subgroups
        The groups with their metrics. In a group with one class only, metrics that need both classes
        are NaN; with `groups`, all metrics of a group with only one patient are NaN.

    Raises
    ------
    ParameterError
        If lengths differ, labels or scores are invalid, a text column has more than 30 distinct
        values, or bands are not rising numbers or given for a text column.
    UnknownNameError
        If bands are given for a column that does not exist.

    Examples
    --------
    >>> found = measure_subgroups([0, 1, 0, 1], [0.1, 0.9, 0.7, 0.8], {"age": [35, 61, None, 70]}, bands={"age": [50]})
    >>> [(row.value, row.n, row.small) for row in found]
    [('below 50', 1, True), ('50 and above', 2, True), ('not given', 1, True)]
    """
    (truth, scores), facts = check_scored(y_true, y_score, both=False), as_table(table)
    check_lengths(len(scores), table=facts, groups=groups)
    check_fraction("threshold", threshold, ends=True)
    check_bootstrap(confidence, n_resamples)
    for banded in bands or {}:
        if banded not in facts:
            raise UnknownNameError("column", banded, map(str, facts.columns))
    bootstrap: dict[str, Any] = {"confidence": confidence, "n_resamples": n_resamples, "random_state": random_state}
    belongs = None if groups is None else np.asarray(groups, dtype=object)
    given = check_predictions(y_pred, y_true, truth)
    called = scores > threshold if given is None else given
    rows, estimates = [], []
    for name, column in facts.items():
        values, order = group_values(read_column(column, str(name)), str(name), (bands or {}).get(str(name)))
        for value in order:
            inside = values == value
            n, n_melanoma = int(inside.sum()), int(truth[inside].sum())
            within = None if belongs is None else belongs[inside]
            if _is_one(within):
                metrics = dict.fromkeys(LABELS, Metric(float("nan"), float("nan"), float("nan"), n, "undefined"))
            else:
                here = None if given is None else given[inside]
                metrics = resampled_metrics(truth[inside], scores[inside], threshold, within, **bootstrap, called=here)
                if value != NOT_GIVEN:
                    found = estimate_group(truth[inside], scores[inside], called[inside], within)
                    estimates.append((str(name), value, found))
            rows.append(Subgroup(str(name), value, n_melanoma, n - n_melanoma, metrics))
    gaps = largest_gaps(estimates, confidence, random_state)
    return Subgroups(tuple(rows), float(threshold) if given is None else None, confidence, gaps=gaps)


def group_table(table: pd.DataFrame, by: By | None, groups: ArrayLike | None) -> tuple[pd.DataFrame, Mapping[str, str]]:
    """Select the columns to group images by.

    Parameters
    ----------
    table : pandas.DataFrame of n rows
        One row per image, in the order of the scores.
    by : str, sequence of str, array-like of shape (n,), callable or None
        Names of columns, values, or a function that returns values from the table. By default, all columns except
        those with identifiers, files or diagnoses, with a single value, or with more than half as many distinct values
        as there are patients (images, where no patients are known).
    groups : array-like of shape (n,), or None
        The patients.

    Returns
    -------
    DataFrame of n rows, mapping of str to str
        The selected columns; and the columns that were left out by default, with the reasons.

    Raises
    ------
    ParameterError
        If lengths differ, or nothing is left to group by.
    UnknownNameError
        If the table lacks one of the columns.
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
        column = np.asarray(values)
        if column.ndim != 1:
            raise ParameterError(f"by must give one value an image, of the shape (n,), got {column.shape}")
        return pd.DataFrame({str(name): column}), {}
    n_units = len(table) if groups is None else int(number_groups(groups, len(table)).max()) + 1
    reasons = {name: _why_no_groups(str(name), column, n_units) for name, column in table.items()}
    chosen = [name for name, reason in reasons.items() if not reason]
    left_out = {str(name): reason for name, reason in reasons.items() if reason}
    if not chosen:
        told = "; ".join(f"{name} ({reason})" for name, reason in left_out.items()) or "it has no columns"
        raise ParameterError(f"The table has nothing to group images by: {told}. Name a column with by='...'")
    return table[chosen], left_out


def _why_no_groups(name: str, column: pd.Series, n_units: int) -> str:
    """Return why a column is not used for grouping by default; an empty string if it is used."""
    if _IDENTIFIER.search(name):
        return "identifiers"
    if _DIAGNOSIS.search(name):
        return "diagnosis"
    try:
        column = read_column(column, name)
    except ParameterError:
        return "no words or numbers"
    n_values = column.nunique()
    if n_values + int(column.isna().any()) < 2:
        return "one value"
    if is_measured(column):
        return ""
    if n_values > MAX_GROUPS:
        return f"{n_values} values{how_to_make_numbers(column, name)}"
    if n_values > _FEW_VALUES and 2 * n_values > n_units:
        return f"{n_values} values among {n_units} images or patients{how_to_make_numbers(column, name)}"
    return ""


def as_table(table: Any) -> pd.DataFrame:
    """Convert a table to a DataFrame.

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
        If it cannot be converted.
    """
    try:
        return pd.DataFrame(table)
    except (TypeError, ValueError) as error:
        hint = f"; a column of the table is chosen with by={table!r}" if isinstance(table, str) else f": {error}"
        raise ParameterError(f"table must be a DataFrame or a mapping of names to columns{hint}") from error


def _is_one(groups: NDArray[np.object_] | None) -> bool:
    """Return whether all images belong to one patient, so that nothing can be resampled."""
    return groups is not None and number_values_or_alone(pd.Series(groups, dtype=object)).max() == 0


def _cell(metric: Metric) -> str:
    if np.isnan(metric.value):
        return "undefined"
    return f"{metric.value:.2f} ({metric.low:.2f}-{metric.high:.2f}{f', {MARK}' if metric.few else ''})"
