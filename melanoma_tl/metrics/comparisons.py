"""Comparisons of two classifiers on the same images.

References
----------
.. [1] E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, "Comparing the areas under
   two or more correlated receiver operating characteristic curves: a nonparametric
   approach", Biometrics 44, 1988.
.. [2] X. Sun and W. Xu, "Fast implementation of DeLong's algorithm for comparing the
   areas under correlated receiver operating characteristic curves", IEEE Signal
   Processing Letters 21, 2014.
.. [3] Q. McNemar, "Note on the sampling error of the difference between correlated
   proportions or percentages", Psychometrika 12, 1947.
.. [4] M. W. Fagerland, S. Lydersen and P. Laake, "The McNemar test for binary
   matched-pairs data: mid-p and asymptotic are better than exact conditional", BMC
   Medical Research Methodology 13, 2013.
.. [5] N. A. Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics
   53, 1997.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, norm

from melanoma_tl._parameters import (
    BOOTSTRAP,
    COLUMN,
    FLAGS,
    INSIDE,
    NAMES,
    NONE,
    PROBABILITY,
    checked,
    group,
    mapping,
)
from melanoma_tl._tables import TitledTable
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.metrics.binary import by_resampling, tally_metrics
from melanoma_tl.metrics.differences import Difference, difference_table, explain_p
from melanoma_tl.metrics.few import FACT, count_units, mark_few
from melanoma_tl.metrics.intervals import DeLong, delong, wilson_interval
from melanoma_tl.metrics.margins import MARGIN_METRICS, MarginTest, margin_of_normal, margin_of_paired
from melanoma_tl.metrics.metric import LABELS, RANGES, UNBOUNDED, Metric
from melanoma_tl.metrics.resampling import ScoreCounts, draw_groups, method_name, percentile_interval
from melanoma_tl.metrics.validation import check_bootstrap, check_fraction, check_lengths, check_scored


@checked(confidence=INSIDE)
def delong_interval(
    y_true: ArrayLike, y_score: ArrayLike, confidence: float = 0.95, *, groups: ArrayLike | None = None
) -> Metric:
    """Estimate an AUC with DeLong's interval, or Obuchowski's [5]_ for grouped images.

    Reports use an interval on the logit scale instead.

    Parameters
    ----------
    y_true, y_score, groups : array-like of shape (n,)
        As `melanoma_tl.metrics.delong`.
    confidence : float, default=0.95
        Coverage, between 0 and 1.

    Returns
    -------
    Metric
        The AUC, with the normal interval clipped to 0 and 1.

    Raises
    ------
    DatasetError, ParameterError
        As `melanoma_tl.metrics.delong`.

    Examples
    --------
    >>> auc = delong_interval([0, 0, 0, 1, 1, 1], [0.1, 0.4, 0.7, 0.3, 0.8, 0.9])
    >>> f"{auc.value:.3f} {auc.low:.3f} {auc.high:.3f}"
    '0.778 0.291 1.000'
    """
    check_fraction("confidence", confidence)
    found = delong(y_true, y_score, groups=groups)
    value = float(found.aucs[0])
    half = float(norm.isf((1 - confidence) / 2) * np.sqrt(found.covariance[0, 0]))
    return Metric(value, max(value - half, 0.0), min(value + half, 1.0), len(np.asarray(y_true)), _delong_name(groups))


class McNemar(NamedTuple):
    """Counts and p-values of McNemar's test.

    Attributes
    ----------
    only_first, only_second : int
        Images on which only the first, or only the second, classifier is right.
    exact : float
        Two-sided p-value of the exact binomial test.
    mid_p : float
        The mid-p version, which counts half the probability of the observed counts; its size is closer to the nominal
        level [4]_.
    """

    only_first: int
    only_second: int
    exact: float
    mid_p: float


@checked(first_right=FLAGS, second_right=FLAGS)
def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> McNemar:
    """Test whether two classifiers are right equally often on the same images [3]_.

    Parameters
    ----------
    first_right, second_right : array-like of bool of shape (n,)
        On which images each classifier is right: True or 1, else False or 0.

    Returns
    -------
    McNemar
        Both p-values are 1 where the classifiers are right on the same images.

    Raises
    ------
    ParameterError
        If the lengths differ, or there are other values, such as scores.

    Examples
    --------
    >>> found = mcnemar([True] * 8 + [False] * 2, [True, *[False] * 7, True, False])
    >>> found.only_first, found.only_second, round(found.exact, 4), round(found.mid_p, 4)
    (7, 1, 0.0703, 0.0391)
    """
    first, second = np.asarray(first_right), np.asarray(second_right)
    if first.shape != second.shape:
        raise ParameterError(f"Both need one entry per image, got the shapes {first.shape} and {second.shape}")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    n, fewer = only_first + only_second, min(only_first, only_second)
    if not n:
        return McNemar(0, 0, 1.0, 1.0)
    exact = min(2 * float(binom.cdf(fewer, n, 0.5)), 1.0)
    # Where both counts are equal, both tails contain the observed counts.
    seen = float(binom.pmf(fewer, n, 0.5))
    return McNemar(only_first, only_second, exact, 1 - seen / 2 if 2 * fewer == n else exact - seen)


MARGINS = mapping(INSIDE, "a mapping of metrics to margins between 0 and 1, such as {'auc': 0.05}")
"""The constraint on margins."""


@dataclass(frozen=True, eq=False)
class Comparison(TitledTable):
    """Two classifiers compared on the same images, metric by metric.

    Made by `compare` or `MetricsReport.compare`.

    Attributes
    ----------
    names : tuple of str
        Names of the two classifiers.
    n_melanoma, n_benign : int
        Number of images that both have scored.
    left_out : int
        Number of images that only one of them has scored.
    confidence : float
        Coverage of the intervals.
    differences : mapping of str to Difference
        One entry for each name in `melanoma_tl.metrics.LABELS`.
    disagreements : mapping of str to McNemar
        McNemar's test under "sensitivity" for the melanomas, under "specificity" for the benign
        images, and under "accuracy" for all.
    margins : mapping of str to MarginTest
        For each metric with a stated margin, whether the first is non-inferior or equivalent to the second.
    """

    names: tuple[str, str]
    n_melanoma: int
    n_benign: int
    left_out: int
    confidence: float
    differences: Mapping[str, Difference]
    disagreements: Mapping[str, McNemar]
    margins: Mapping[str, MarginTest] = field(default_factory=dict)

    def __repr__(self) -> str:
        auc = self.differences["auc"]
        return f"Comparison({self._title()}, AUC {auc.value:+.3f} ({auc.interval}))"

    def to_frame(self) -> pd.DataFrame:
        """Return the comparison as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row per metric: "metric", then the columns of `Difference` (where "first" and "second" are the metrics
            of each classifier, and "value" their difference), "confidence", "n" (the number of images that the metric
            uses), and "first_name" and "second_name".
        """
        of = {"sensitivity": self.n_melanoma, "specificity": self.n_benign}
        rows = [
            {"metric": name, **asdict(row), "n": of.get(name, self.n_melanoma + self.n_benign)}
            for name, row in self.differences.items()
        ]
        first, second = self.names
        return pd.DataFrame(rows).assign(confidence=self.confidence, first_name=first, second_name=second)

    def _title(self) -> str:
        return f"{self.names[0]} against {self.names[1]}"

    def _facts(self) -> list[str]:
        n = self.n_melanoma + self.n_benign
        classes = f"{self.n_melanoma} melanoma, {self.n_benign} benign"
        facts = [f"{n} images scored by both: {classes}; {self.left_out} scored by one alone are left out"]
        for name, of in (("sensitivity", "melanomas"), ("specificity", "benign images")):
            alone = self.disagreements[name]
            facts.append(
                f"{of[0].upper()}{of[1:]} that one alone calls right: {alone.only_first} {self.names[0]}, "
                f"{alone.only_second} {self.names[1]}"
            )
        facts += [margin.sentence(*self.names) for margin in self.margins.values()]
        facts += explain_p(self.differences)
        return facts + [FACT] * any(row.few for row in self.differences.values())

    def _table(self) -> tuple[list[str], list[list[str]]]:
        labelled = {LABELS[name]: row for name, row in self.differences.items()}
        return difference_table(labelled, names=self.names, confidence=self.confidence)


@checked(
    thresholds=group(PROBABILITY, 2, "two thresholds, such as (0.5, 0.5)"),
    names=NAMES,
    groups=COLUMN | NONE,
    margins=MARGINS | NONE,
    **BOOTSTRAP,
)
def compare(
    y_true: ArrayLike,
    first_score: ArrayLike,
    second_score: ArrayLike,
    *,
    thresholds: tuple[float, float] = (0.5, 0.5),
    names: tuple[str, str] = ("first", "second"),
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
    left_out: int = 0,
    margins: Mapping[str, float] | None = None,
) -> Comparison:
    """Compare two classifiers on the same images.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; two images of each class at least.
    first_score, second_score : array-like of shape (n,)
        Probabilities of melanoma by each classifier, 0 to 1, in the same order of images.
    thresholds : tuple of float, default=(0.5, 0.5)
        Threshold of each classifier; melanoma is predicted if the score is strictly greater.
    names : tuple of str, default=("first", "second")
        Names of the two classifiers.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.
    left_out : int, default=0
        Number of images that were left out; the result only repeats it.
    margins : mapping of str to float, optional
        The smallest relevant loss, between 0 and 1, in "auc", "sensitivity" or "specificity", such as
        ``{"sensitivity": 0.05}``. The first classifier is then tested for non-inferiority and equivalence to the
        second. Choose the margins before the scores are known.

    Returns
    -------
    Comparison
        Differences are first minus second. The AUC has DeLong's interval and test [1]_ [2]_;
        sensitivity, specificity and accuracy have McNemar's mid-p test. All intervals but that of the
        AUC are the percentile bootstrap of the difference, with the same resamples for both classifiers.
        With `groups` the AUC has Obuchowski's interval and test [5]_, and the other metrics the cluster
        bootstrap without a test, because McNemar's test assumes independent images.
        Where the predictions never differ, the bootstrap interval has no width. It is replaced by the largest
        plausible difference: Wilson's upper bound for 0 differing images (or patients), times the range of the
        metric. For a likelihood ratio the bound is applied to both rates; the interval is infinite if the
        rate in the denominator could then be 0.

    Raises
    ------
    DatasetError
        If a class has fewer than two images.
    ParameterError
        If lengths differ, labels are not 0 and 1, scores are no probabilities, or a
        parameter is out of its range.
    UnknownNameError
        If a margin is given for another metric.

    Examples
    --------
    >>> y_true = [0, 0, 0, 1, 1, 1]
    >>> compare(y_true, [0.1, 0.2, 0.6, 0.4, 0.7, 0.9], [0.3, 0.6, 0.7, 0.4, 0.6, 0.9])
    Comparison(first against second, AUC +0.278 (-0.130 to +0.685))
    """
    truth, first = check_scored(y_true, first_score)
    _, second = check_scored(y_true, second_score)
    check_bootstrap(confidence, n_resamples)
    check_lengths(len(truth), groups=groups)
    for threshold in thresholds:
        check_fraction("thresholds", threshold, ends=True)
    scores = (first, second)
    for name in margins or {}:
        if name not in MARGIN_METRICS:
            raise UnknownNameError("metric with a margin", name, MARGIN_METRICS)
    differences, errors = _differences(truth, scores, thresholds, (confidence, n_resamples, random_state), groups)
    first_right, second_right = (
        (values > threshold) == truth for values, threshold in zip(scores, thresholds, strict=True)
    )
    among = {"accuracy": truth >= 0, "sensitivity": truth == 1, "specificity": truth == 0}
    disagreements = {name: mcnemar(first_right[rows], second_right[rows]) for name, rows in among.items()}
    aucs = delong(truth, *scores, groups=groups)
    differences["auc"] = _compare_aucs(aucs, confidence, _delong_name(groups))

    def against(name: str, margin: float) -> MarginTest:
        """Test one metric: by DeLong's variance, the bootstrap error over patients, or Tango's score test."""
        if name == "auc":
            return margin_of_normal(name, margin, *_auc_contrast(aucs), confidence, _delong_name(groups))
        if groups is not None:
            value, error = differences[name].value, errors[name]
            return margin_of_normal(name, margin, value, error, confidence, method_name(groups))
        alone = disagreements[name]
        return margin_of_paired(name, margin, alone.only_first, alone.only_second, int(among[name].sum()), confidence)

    tested = {name: against(name, float(margin)) for name, margin in (margins or {}).items()}
    if groups is None:
        for name, found in disagreements.items():
            differences[name] = replace(differences[name], p_value=found.mid_p, test="McNemar mid-p")
    units = count_units(truth, groups)
    benign, melanoma = (float(wilson_interval(0, n, confidence)[1]) for n in units)
    differences = {
        name: _widen(name, row, _reach(name, differences, (benign, melanoma))) if row.low == row.high else row
        for name, row in differences.items()
    }
    return Comparison(
        names=names,
        n_melanoma=int(truth.sum()),
        n_benign=int(len(truth) - truth.sum()),
        left_out=left_out,
        confidence=confidence,
        differences=mark_few(differences, units),
        disagreements=disagreements,
        margins=tested,
    )


def _differences(
    truth: NDArray[np.int64],
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
    thresholds: tuple[float, float],
    bootstrap: tuple[float, int, int],
    groups: ArrayLike | None,
) -> tuple[dict[str, Difference], dict[str, float]]:
    """Return differences of all metrics with paired bootstrap intervals, and standard errors for the margin tests."""
    confidence, n_resamples, random_state = bootstrap
    tallies = [ScoreCounts.of(truth, values) for values in scores]
    above = [int((tally.scores > at).sum()) for tally, at in zip(tallies, thresholds, strict=True)]
    found, errors = {}, {}
    for stratified, names in by_resampling(LABELS):
        pairs = [tally_metrics(names, tally.melanoma, tally.benign, n) for tally, n in zip(tallies, above, strict=True)]
        batches = []
        for drawn in draw_groups(truth, scores, groups, n_resamples, random_state, stratified=stratified):
            first, second = (tally_metrics(names, *side, n) for side, n in zip(drawn, above, strict=True))
            batches.append(first - second)
        resampled = np.concatenate(batches, axis=-1)
        ends = percentile_interval(pairs[0] - pairs[1], resampled, confidence)
        for name, first, second, (low, high) in zip(names, *pairs, ends.T, strict=True):
            found[name] = Difference(
                float(first), float(second), float(first - second), float(low), float(high), method_name(groups)
            )
        for name, row in zip(names, resampled, strict=True):
            if name in MARGIN_METRICS:
                errors[name] = float(np.nanstd(row, ddof=1))
    return {name: found[name] for name in LABELS}, errors


def _reach(name: str, differences: Mapping[str, Difference], unseen: tuple[float, float]) -> float:
    """Return the largest plausible difference of two classifiers whose predictions never differed.

    `unseen` holds Wilson's upper bounds on the share of benign images, and of melanomas, on which they differ. A
    likelihood ratio is recomputed from rates that differ by these bounds. Any other metric changes by the same share of
    its range: that of the class it counts, or the larger of the two.
    """
    benign, melanoma = unseen
    if name not in UNBOUNDED:
        low, high = RANGES.get(name, (0, 1))
        return (high - low) * {"sensitivity": melanoma, "specificity": benign}.get(name, max(unseen))
    called, alarms = differences["sensitivity"].first, 1 - differences["specificity"].first
    if name == "lr_negative":
        called, alarms = 1 - called, 1 - alarms
    return min(called + melanoma, 1.0) / (alarms - benign) - called / alarms if alarms > benign else float("inf")


def _widen(name: str, row: Difference, reach: float) -> Difference:
    low, high = RANGES.get(name, (0, 1))
    return replace(
        row, low=max(row.value - reach, low - high), high=min(row.value + reach, high - low), method="wilson"
    )


def _delong_name(groups: ArrayLike | None) -> str:
    return "delong" if groups is None else "clustered delong"


def _compare_aucs(found: DeLong, confidence: float, method: str) -> Difference:
    value, error = _auc_contrast(found)
    half = float(norm.isf((1 - confidence) / 2)) * error
    # With zero variance there is no test, unless both classifiers have the same AUC.
    p_value = 2 * float(norm.sf(abs(value) / error)) if error else (1.0 if value == 0 else float("nan"))
    first, second = map(float, found.aucs)
    return Difference(first, second, value, max(value - half, -1), min(value + half, 1), method, p_value, "DeLong")


def _auc_contrast(found: DeLong) -> tuple[float, float]:
    """Return the difference of two AUCs, and its standard error."""
    contrast = np.array([1, -1])
    return float(contrast @ found.aucs), float(np.sqrt(max(contrast @ found.covariance @ contrast, 0)))
