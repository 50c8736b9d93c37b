"""The difference of two classifiers in one metric, and tables of such differences."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from melanoma_tl._tables import format_p
from melanoma_tl.metrics.metric import MARK


@dataclass(frozen=True)
class Difference:
    """One metric of two classifiers, and their difference.

    Parameters
    ----------
    first, second : float
        The metric of each, 0 to 1; NaN where undefined.
    value : float
        First minus second, -1 to 1.
    low, high : float
        Ends of the interval of the difference.
    method : str
        Method of the interval: "delong", "clustered delong", "bootstrap", "cluster bootstrap" or "wilson".
    p_value : float
        Two-sided; NaN without a test.
    test : str
        "DeLong", "McNemar mid-p", or empty.
    few : bool, default=False
        As `Metric.few`.
    """

    first: float
    second: float
    value: float
    low: float
    high: float
    method: str
    p_value: float = float("nan")
    test: str = ""
    few: bool = False

    @property
    def interval(self) -> str:
        """The ends of the interval, for people."""
        return f"{self.low:+.3f} to {self.high:+.3f}"


def explain_p(differences: Mapping[str, Difference]) -> list[str]:
    """Return what a reader must know of the p-values of a table, and of those that are missing.

    Parameters
    ----------
    differences : mapping of str to Difference
        The differences in each metric.

    Returns
    -------
    list of str
        A sentence each.
    """
    facts = ["p-values are not corrected for the number of metrics: name the one that counts beforehand"]
    if any(np.isnan(row.p_value) for row in differences.values()):
        grouped = any("cluster" in row.method for row in differences.values())
        why = "; McNemar's test would take several images of a patient for independent" if grouped else ""
        facts.append(f'Where p is "-" there is no test{why}: see whether the interval includes 0')
    return facts


def difference_table(
    differences: Mapping[str, Difference], *, names: tuple[str, str], confidence: float
) -> tuple[list[str], list[list[str]]]:
    """Write differences as a table.

    Parameters
    ----------
    differences : mapping of str to Difference
        The differences by the labels of their metrics.
    names : tuple of str
        Names of the two classifiers.
    confidence : float
        Coverage of the intervals.

    Returns
    -------
    header : list of str
        One title per column.
    rows : list of list of str
        One per metric.
    """
    header = ["metric", *names, "difference", f"{100 * confidence:g} % interval", "interval by", "p", "test"]
    rows = []
    for name, row in differences.items():
        values = ["undefined" if np.isnan(value) else f"{value:.3f}" for value in (row.first, row.second)]
        value, interval = ("undefined", "-") if np.isnan(row.value) else (f"{row.value:+.3f}", _cell(row))
        p_value = "-" if np.isnan(row.p_value) else format_p(row.p_value)
        rows.append([name, *values, value, interval, row.method, p_value, row.test or "-"])
    return header, rows


def _cell(row: Difference) -> str:
    return f"{row.interval} ({MARK})" if row.few else row.interval
