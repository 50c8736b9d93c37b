"""The figures of a classifier in parts of the images: by age, sex, site, skin type, camera, image size.

What a table says of an image is taken as it stands. An image of which it says
nothing is in a group of its own, "not given"; nothing is ever inferred from the
picture.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.escaping import in_html, in_markdown
from melanoma_tl.inputs import check_bootstrap, check_fraction, check_lengths, check_scores
from melanoma_tl.labels import as_binary
from melanoma_tl.metrics import FEW, LABELS, Metric, resampled_metrics
from melanoma_tl.parameters import (
    BOOTSTRAP,
    COLUMN,
    NONE,
    PROBABILITY,
    checked,
    mapping,
    real,
    several,
)
from melanoma_tl.tables import html_table, markdown_table, text_table

NOT_GIVEN = "not given"
"""The group of the images of which the table says nothing."""

_SHOWN = ("auc", "sensitivity", "specificity")
# More groups than this are identifiers or measurements, not groups.
_MAX_GROUPS = 30


BANDS = mapping(several(real(), at_least=1), "a mapping of columns to rising numbers, such as {'age': (30, 50)}")
"""Where columns of numbers are cut."""


@dataclass(frozen=True)
class Subgroup:
    """The images that share a value, and their figures.

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
        """Whether one of the classes has fewer than ten images."""
        return min(self.n_melanoma, self.n_benign) < FEW


@dataclass(frozen=True, eq=False)
class Subgroups:
    """The figures of a classifier in each group of images.

    Made by `measure_subgroups` or `MetricsReport.subgroups`.

    Attributes
    ----------
    rows : tuple of Subgroup
        Column by column; in each, numbers in their order, words in theirs, "not given" last.
    threshold : float
        An image is predicted melanoma when its score is strictly above.
    confidence : float
        Coverage of the intervals.
    """

    rows: tuple[Subgroup, ...]
    threshold: float
    confidence: float

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
            A table with one row a group, and what its marks mean.
        """
        return "\n\n".join([markdown_table(*self._table()), *map(in_markdown, self._notes())]) + "\n"

    def to_frame(self) -> pd.DataFrame:
        """Give the groups to pandas.

        Returns
        -------
        pandas.DataFrame
            One row a group: ``column``, ``value``, ``n``, ``n_melanoma``, ``n_benign``,
            ``small``, then for each figure its value under its name and the ends of its
            interval under ``<name>_low`` and ``<name>_high``.
        """
        rows = []
        for row in self.rows:
            facts = {"column": row.column, "value": row.value, "n": row.n}
            facts |= {"n_melanoma": row.n_melanoma, "n_benign": row.n_benign, "small": row.small}
            for name, metric in row.metrics.items():
                facts |= {name: metric.value, f"{name}_low": metric.low, f"{name}_high": metric.high}
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
        if any(row.small for row in self.rows):
            notes.insert(0, f"* fewer than {FEW} melanomas or {FEW} benign images: too few to judge by")
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
    """Measure the figures of each group of images.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1, without NaN.
    table : pandas.DataFrame of n rows, or mapping of str to array-like of shape (n,)
        One column a fact, one row an image, in the order of the scores.
    bands : mapping of str to sequence of float, optional
        Where to cut columns of numbers, such as ``{"age": (30, 50, 70)}``; a number on a
        cut is in the upper band. Other columns have a group for each value.
    threshold : float, default=0.5
        An image is predicted melanoma when its score is strictly above.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.

    Returns
    -------
    Subgroups
        A group with one class only has the figures that exist without the other; with
        `groups`, one whose images are all of one patient has none.

    Raises
    ------
    ParameterError
        If lengths differ, labels or scores are not understood, a column has more than 30
        values and no bands, or bands are no rising numbers or for a column of words.
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
    rows = []
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
            rows.append(Subgroup(str(name), value, n_melanoma, n - n_melanoma, metrics))
    return Subgroups(tuple(rows), float(threshold), confidence)


def as_table(table: Any) -> pd.DataFrame:
    """Read a table, whatever it is given as.

    Parameters
    ----------
    table : pandas.DataFrame or mapping of str to array-like of shape (n,)
        One column a fact.

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
                f"{name} has {len(found)} values, more than {_MAX_GROUPS} groups can be told apart; cut numbers into "
                f"bands, such as bands={{{name!r}: (30, 50, 70)}}, or leave the column out"
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
    """Say whether all images belong to one patient, so that nothing can be resampled."""
    return groups is not None and bool(pd.notna(groups).all()) and len(pd.unique(groups)) == 1


def _cell(metric: Metric) -> str:
    return "undefined" if np.isnan(metric.value) else f"{metric.value:.2f} ({metric.low:.2f}-{metric.high:.2f})"
