"""Gaps between groups of images, with simultaneous confidence intervals.

Among many gaps some look large by chance. Every pair of groups of every column is
compared in every metric, with intervals that cover all true gaps simultaneously with the
stated confidence. Only the widest gap of each column and metric is returned.

References
----------
.. [1] T. Hothorn, F. Bretz and P. Westfall, "Simultaneous inference in general parametric
   models", Biometrical Journal 50, 2008: intervals and p-values from the maximum of many
   normal statistics.
.. [2] A. Agresti and B. Caffo, "Simple and effective confidence intervals for proportions
   and differences of proportions result from adding two successes and two failures", The
   American Statistician 54, 2000.
.. [3] Z. Šidák, "Rectangular confidence regions for the means of multivariate normal
   distributions", Journal of the American Statistical Association 62, 1967: treating metrics
   of the same images as independent makes the intervals wider, never narrower.
.. [4] J. N. K. Rao and A. J. Scott, "A simple method for the analysis of clustered binary
   data", Biometrics 48, 1992; the AUC as N. A. Obuchowski, "Nonparametric analysis of
   clustered ROC curve data", Biometrics 53, 1997.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._parameters import BOOTSTRAP, INSIDE, checked
from melanoma_tl._tables import equals_p
from melanoma_tl.metrics.few import count_units
from melanoma_tl.metrics.intervals import delong, effective_size
from melanoma_tl.metrics.metric import LABELS
from melanoma_tl.metrics.resampling import number_groups

GAP_METRICS = ("auc", "sensitivity", "specificity")
"""The metrics in which groups are compared: none of them depends on the prevalence in a group."""

LEAST_IN_GROUP = 10
"""Smallest number of images of the class for a group to be compared. It is below `few.FEW`, because intervals of gaps
keep their coverage: on simulated scores of two and of four groups without differences, with 10, 15 and 21 melanomas
each, they covered all gaps simultaneously in 96.8 to 100 % of the samples."""

_N_DRAWS = 20_000


class Estimate(NamedTuple):
    """A metric of one group: its value, and the centre and standard error that its interval is computed from."""

    value: float
    centre: float
    error: float


@dataclass(frozen=True)
class Gap:
    """The widest gap between two groups of a column in one metric.

    Parameters
    ----------
    column, metric : str
        The column by which the images are grouped, and the metric.
    highest, lowest : str
        The groups with the highest and the lowest metric, among the groups that are large enough.
    high_value, low_value : float
        Their metrics, 0 to 1.
    value : float
        Highest minus lowest, 0 to 1.
    low, high : float
        Ends of its simultaneous confidence interval, -1 to 1.
    p_value : float
        Two-sided, corrected for all pairs, columns and metrics that were compared.
    """

    column: str
    metric: str
    highest: str
    lowest: str
    high_value: float
    low_value: float
    value: float
    low: float
    high: float
    p_value: float

    def __str__(self) -> str:
        return (
            f"{LABELS[self.metric]} by {self.column}: {self.highest} {self.high_value:.2f}, {self.lowest} "
            f"{self.low_value:.2f}, gap {self.value:.2f} ({self.low:+.2f} to {self.high:+.2f}), "
            f"p {equals_p(self.p_value)}"
        )


def estimate_group(
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    called: NDArray[np.bool_],
    groups: ArrayLike | None,
) -> dict[str, Estimate]:
    """Estimate the metrics of one group of images.

    Parameters
    ----------
    truth, scores : ndarray of shape (n,)
        Labels and scores of its images.
    called : ndarray of bool of shape (n,)
        Which of them are predicted melanoma.
    groups : array-like of shape (n,), or None
        The patients; standard errors then use the variance between patients (AUC) or the effective sample size
        (sensitivity and specificity) [4]_.

    Returns
    -------
    dict of str to Estimate
        The metrics with at least ten images of each class that they use, and with a standard error above 0.
    """
    n_melanoma = int(truth.sum())
    large = {"sensitivity": n_melanoma >= LEAST_IN_GROUP, "specificity": len(truth) - n_melanoma >= LEAST_IN_GROUP}
    group = None if groups is None else number_groups(groups, len(truth))
    # The variance of an AUC needs two patients with a melanoma, and two with a benign image.
    large["auc"] = all(large.values()) and min(count_units(truth, group)) > 1
    right = called == truth
    found = {name: _estimate(name, truth, scores, right, group) for name in GAP_METRICS if large[name]}
    return {name: one for name, one in found.items() if one.error > 0}


@checked(confidence=INSIDE, random_state=BOOTSTRAP["random_state"])
def largest_gaps(
    groups: Sequence[tuple[str, str, Mapping[str, Estimate]]], confidence: float, random_state: int
) -> tuple[Gap, ...]:
    """Find the widest gap of each column in each metric.

    Parameters
    ----------
    groups : sequence of (str, str, mapping of str to Estimate)
        Column, value and metrics of each group.
    confidence : float
        Simultaneous coverage of the intervals, between 0 and 1.
    random_state : int
        Seed of the simulation.

    Returns
    -------
    tuple of Gap
        Columns in which fewer than two groups are large enough have no entry.
    """
    blocks: dict[tuple[str, str], list[tuple[str, Estimate]]] = {}
    for column, value, metrics in groups:
        for name, found in metrics.items():
            blocks.setdefault((column, name), []).append((value, found))
    blocks = {key: block for key, block in blocks.items() if len(block) > 1}
    if not blocks:
        return ()
    rng = np.random.default_rng(random_state)
    errors = [np.array([found.error for _, found in block]) for block in blocks.values()]
    maxima = np.max([_maximum(block, rng) for block in errors], axis=0)
    critical = float(np.quantile(maxima, confidence))
    return tuple(_widest(*key, block, critical, maxima) for key, block in blocks.items())


def _estimate(
    name: str,
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    right: NDArray[np.bool_],
    groups: NDArray[np.int64] | None,
) -> Estimate:
    if name == "auc":
        found = delong(truth, scores, groups=groups)
        auc = float(found.aucs[0])
        return Estimate(auc, auc, float(np.sqrt(found.covariance[0, 0])))
    rows = truth == (name == "sensitivity")
    value = float(right[rows].mean())
    worth = effective_size(right[rows], None if groups is None else groups[rows])
    # One success and one failure are added [2]: the standard error must not be 0 where all images are predicted right.
    centre = (value * worth + 1) / (worth + 2)
    return Estimate(value, centre, float(np.sqrt(centre * (1 - centre) / (worth + 2))))


def _maximum(errors: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Simulate the largest standardised difference between any two groups under the null hypothesis."""
    drawn = rng.normal(0, errors, (_N_DRAWS, len(errors)))
    largest = np.zeros(_N_DRAWS)
    for one, other in combinations(range(len(errors)), 2):
        apart = np.abs(drawn[:, one] - drawn[:, other]) / np.hypot(errors[one], errors[other])
        np.maximum(largest, apart, out=largest)
    return largest


def _widest(
    column: str, metric: str, block: list[tuple[str, Estimate]], critical: float, maxima: NDArray[np.float64]
) -> Gap:
    (lowest, second), *_, (highest, first) = sorted(block, key=lambda group: group[1].value)
    apart, error = first.centre - second.centre, float(np.hypot(first.error, second.error))
    value = first.value - second.value
    p_value = (1 + int((maxima >= abs(apart) / error).sum())) / (1 + len(maxima))
    low, high = max(apart - critical * error, -1.0), min(apart + critical * error, 1.0)
    return Gap(
        column=column,
        metric=metric,
        highest=highest,
        lowest=lowest,
        high_value=first.value,
        low_value=second.value,
        value=value,
        low=min(low, value),
        high=max(high, value),
        p_value=p_value,
    )
