"""Thresholds: operating points chosen on validation scores.

An image is predicted melanoma when its score lies strictly above the threshold.
There is one operating point per distinct score, plus the one where no image is
predicted melanoma. Every rule compares all of them, with exact treatment of ties. The
returned threshold lies halfway between the lowest score that is predicted melanoma and
the highest that is not, so that rounding on another machine does not change predictions.

References
----------
.. [1] W. J. Youden, "Index for rating diagnostic tests", Cancer 3, 1950.
.. [2] C. E. Metz, "Basic principles of ROC analysis", Seminars in Nuclear Medicine
   8, 1978: the expected cost of an operating point.
.. [3] A. N. Angelopoulos, S. Bates, E. J. Candès, M. I. Jordan and L. Lei, "Learn then
   test: calibrating predictive algorithms to achieve risk control", Annals of Applied
   Statistics 19, 2025: fixed-sequence testing needs no correction for multiple tests.
.. [4] C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated
   in the case of the binomial", Biometrika 26, 1934.
.. [5] S. S. Wilks, "Determination of sample sizes for setting tolerance limits", Annals of
   Mathematical Statistics 12, 1941: the smallest sample size that can give assurance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from melanoma_tl._escaping import in_html
from melanoma_tl._parameters import FLAG, INSIDE, NONE, PROBABILITY, checked, real
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.metrics.confusion import ConfusionCounts, proportion_metrics
from melanoma_tl.metrics.metric import Metric, describe
from melanoma_tl.metrics.resampling import ScoreCounts, add_up
from melanoma_tl.metrics.validation import check_fraction, check_scored

# Expected costs, and probabilities, with a smaller relative difference are equal up to rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, the rule it was chosen by, and its metrics on the images it was chosen on.

    Made by `choose_threshold`.

    Parameters
    ----------
    threshold : float
        0 to 1; an image is predicted melanoma when its score is strictly above.
    rule : str
        The rule it was chosen by.
    counts : ConfusionCounts
        The confusion matrix at the threshold.
    sensitivity, specificity : Metric
        The metrics at the threshold, with Wilson's intervals.
    confidence : float
        Coverage of the intervals.

    Notes
    -----
    The intervals treat the threshold as fixed. Because it was chosen on the same images,
    metrics on new images are on average slightly worse; the difference is larger with fewer
    melanomas.
    """

    threshold: float
    rule: str
    counts: ConfusionCounts
    sensitivity: Metric
    specificity: Metric
    confidence: float

    def _repr_html_(self) -> str:
        return f"<p>{in_html(str(self))}</p>"

    def __str__(self) -> str:
        reached = [
            f"{name} {describe(metric, self.confidence)}"
            for name, metric in (("sensitivity", self.sensitivity), ("specificity", self.specificity))
        ]
        return f"Threshold {self.threshold:.4g} ({self.rule}): {', '.join(reached)}"

    def to_dict(self) -> dict[str, Any]:
        """Write the operating point as plain Python objects.

        Returns
        -------
        dict
            threshold, rule, confusion_matrix, sensitivity, specificity (each with value, low,
            high, n and few) and confidence, for storing in a model file.
        """
        return {
            "threshold": self.threshold,
            "rule": self.rule,
            "confusion_matrix": self.counts._asdict(),
            "sensitivity": self.sensitivity.to_dict(),
            "specificity": self.specificity.to_dict(),
            "confidence": self.confidence,
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Self:
        """Restore an operating point from the output of `to_dict`.

        Parameters
        ----------
        kept : mapping of str to object
            Output of `to_dict`; sensitivity and specificity are recomputed from the counts.

        Returns
        -------
        OperatingPoint
            The same operating point.

        Raises
        ------
        ParameterError
            If the threshold or the confidence is not between 0 and 1.
        """
        check_fraction("threshold", kept["threshold"], ends=True)
        check_fraction("confidence", kept["confidence"])
        counts = ConfusionCounts(**kept["confusion_matrix"])
        reached = proportion_metrics(counts, kept["confidence"])
        return cls(
            kept["threshold"],
            str(kept["rule"]),
            counts,
            reached["sensitivity"],
            reached["specificity"],
            kept["confidence"],
        )


@checked(
    sensitivity=PROBABILITY | NONE,
    specificity=PROBABILITY | NONE,
    cost_ratio=real(above=0) | NONE,
    prevalence=INSIDE | NONE,
    youden=FLAG,
    assurance=INSIDE | NONE,
    confidence=INSIDE,
)
def choose_threshold(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    sensitivity: float | None = None,
    specificity: float | None = None,
    cost_ratio: float | None = None,
    prevalence: float | None = None,
    youden: bool = False,
    assurance: float | None = None,
    confidence: float = 0.95,
) -> OperatingPoint:
    """Choose an operating point by exactly one of four rules.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur. Use validation images, never test images.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.
    sensitivity : float, optional
        Above 0, at most 1: choose the highest specificity among the points with at least this sensitivity.
    specificity : float, optional
        Above 0, at most 1: choose the highest sensitivity among the points with at least this
        specificity, and the most specific of those.
    cost_ratio : float, optional
        Above 0: the number of false alarms that cost as much as one missed melanoma. Choose the
        point with the lowest expected cost, ``prevalence * cost_ratio * (1 - sensitivity) +
        (1 - prevalence) * (1 - specificity)`` [2]_.
    prevalence : float, optional
        For `cost_ratio`: prevalence of melanoma where the classifier will be used, between 0
        and 1; that of these images by default.
    youden : bool, default=False
        Choose the point with the highest sensitivity + specificity - 1 [1]_.
    assurance : float, optional
        For `sensitivity` or `specificity`: confidence, between 0 and 1, such as 0.95, that the threshold reaches the
        target on new images too. Without it, at least half of the thresholds chosen in this way do not reach it.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    OperatingPoint
        If several points satisfy the rule equally well, the most sensitive one.

    Raises
    ------
    DatasetError
        If only one class occurs, or a class has too few images for the `assurance`; the message says how many are
        needed.
    ParameterError
        If not exactly one rule is given, `assurance` or `prevalence` is used with another rule, a parameter is out of
        its range, or the sensitivity cannot be reached because a melanoma has the score 0, which is above no threshold.

    Notes
    -----
    With `assurance`, thresholds are tested in sequence from the lowest up (for `specificity`, from the highest down)
    [3]_, as long as the lower end of Clopper and Pearson's one-sided interval [4]_ reaches the target. With a
    probability of at least `assurance`, the last threshold that passes has the target sensitivity in the population
    that the validation melanomas were drawn from. This assumes independent images (one melanoma per patient), and new
    images from the same population. It needs at least ``log(1 - assurance) / log(sensitivity)`` melanomas [5]_, such
    as 29 for a sensitivity of 0.9 at 95 %.

    Examples
    --------
    >>> y_true, y_score = [0, 0, 0, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.8]
    >>> point = choose_threshold(y_true, y_score, sensitivity=0.95)
    >>> round(point.threshold, 6), point.sensitivity.value, round(point.specificity.value, 3)
    (0.3, 1.0, 0.667)
    """
    check_rule(
        sensitivity=sensitivity,
        specificity=specificity,
        cost_ratio=cost_ratio,
        youden=youden,
        prevalence=prevalence,
        assurance=assurance,
        confidence=confidence,
    )
    truth, scores = check_scored(y_true, y_score)
    curve = _Curve.of(ScoreCounts.of(truth, scores))
    surely = "" if assurance is None else f" with {100 * assurance:g} % confidence"
    if sensitivity is not None:
        target = _assured("sensitivity", sensitivity, assurance, int(curve.tp[-1]), "melanomas")
        chosen, rule = curve.at_sensitivity(target), f"sensitivity at least {sensitivity:g}{surely}"
    elif specificity is not None:
        target = _assured("specificity", specificity, assurance, int(curve.fp[-1]), "benign images")
        chosen, rule = curve.at_specificity(target), f"specificity at least {specificity:g}{surely}"
    elif cost_ratio is not None:
        prevalence = float(truth.mean()) if prevalence is None else prevalence
        chosen = curve.at_lowest_cost(cost_ratio, prevalence)
        rule = f"lowest cost, a missed melanoma as {cost_ratio:g} false alarms, prevalence {prevalence:.3g}"
    else:
        chosen, rule = curve.at_youden(), "highest Youden index"
    counts = curve.counts(chosen)
    reached = proportion_metrics(counts, confidence)
    return OperatingPoint(
        curve.threshold(chosen), rule, counts, reached["sensitivity"], reached["specificity"], confidence
    )


def check_rule(
    *,
    sensitivity: float | None,
    specificity: float | None,
    cost_ratio: float | None,
    youden: bool,
    prevalence: float | None,
    assurance: float | None,
    confidence: float,
) -> None:
    """Check the parameters of `choose_threshold`, before any image is scored.

    Parameters
    ----------
    sensitivity, specificity, cost_ratio, youden, prevalence, assurance, confidence
        As for `choose_threshold`.

    Raises
    ------
    ParameterError
        If not exactly one rule is given, or a number is out of its range.
    """
    rules = {"sensitivity": sensitivity, "specificity": specificity, "cost_ratio": cost_ratio, "youden": youden or None}
    given = [name for name, value in rules.items() if value is not None]
    if len(given) != 1:
        raise ParameterError(
            "A threshold is chosen by exactly one rule: sensitivity=0.95, specificity=0.9, cost_ratio=20 or "
            f"youden=True; got {' and '.join(given) or 'none'}"
        )
    check_fraction("confidence", confidence)
    if assurance is not None and sensitivity is None and specificity is None:
        raise ParameterError(
            f"assurance goes with sensitivity or specificity, which it assures, got it with {given[0]}"
        )
    if prevalence is not None and cost_ratio is None:
        raise ParameterError(f"prevalence goes with cost_ratio, no other rule depends on it, got it with {given[0]}")
    for name, target in (("sensitivity", sensitivity), ("specificity", specificity)):
        if target is not None:
            check_target(name, target)
            if assurance is not None and target == 1:
                raise ParameterError(f"No number of images assures a {name} of 1; ask for less, such as 0.95")
    if assurance is not None:
        check_fraction("assurance", assurance)
    if cost_ratio is not None and (not isinstance(cost_ratio, int | float | np.number) or not 0 < cost_ratio < np.inf):
        raise ParameterError(f"cost_ratio must be a number above 0, such as 20, got {cost_ratio!r}")
    if prevalence is not None:
        check_fraction("prevalence", prevalence)


class _Curve(NamedTuple):
    """All operating points: entry k counts the images with one of the k highest distinct scores."""

    scores: NDArray[np.float64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]

    @classmethod
    def of(cls, tally: ScoreCounts) -> "_Curve":
        return cls(tally.scores, add_up(tally.melanoma), add_up(tally.benign))

    @property
    def reachable(self) -> slice:
        """The points that a threshold can reach: a score of 0 lies above no threshold."""
        return slice(len(self.tp) - (self.scores[-1] == 0))

    def at_sensitivity(self, target: float) -> int:
        reached = self.tp[self.reachable] / self.tp[-1]
        if reached[-1] < target:
            n_zero = int(self.tp[-1] - self.tp[-2])
            raise ParameterError(
                f"No threshold has the sensitivity {target:g}: {n_zero} melanomas have the score 0, which lies above "
                f"no threshold; ask for at most {reached[-1]:.4g}"
            )
        # The last point with the same false alarms as the first that reaches it: more melanomas at no extra cost.
        return _last(self.fp[self.reachable] == self.fp[(reached >= target).argmax()])

    def at_specificity(self, target: float) -> int:
        tp, fp = self.tp[self.reachable], self.fp[self.reachable]
        allowed = (self.fp[-1] - fp) / self.fp[-1] >= target
        return int((tp == tp[allowed].max()).argmax())

    def at_youden(self) -> int:
        # Youden's index times the product of the class sizes: integers, so that ties are exact.
        return _last(self.tp[self.reachable] * self.fp[-1] - self.fp[self.reachable] * self.tp[-1])

    def at_lowest_cost(self, ratio: float, prevalence: float) -> int:
        missed = 1 - self.tp[self.reachable] / self.tp[-1]
        alarms = self.fp[self.reachable] / self.fp[-1]
        cost = prevalence * ratio * missed + (1 - prevalence) * alarms
        return _last(cost <= cost.min() * (1 + _ROUNDING))

    def counts(self, k: int) -> ConfusionCounts:
        tp, fp = int(self.tp[k]), int(self.fp[k])
        return ConfusionCounts(int(self.fp[-1]) - fp, fp, int(self.tp[-1]) - tp, tp)

    def threshold(self, k: int) -> float:
        highest_below = float(self.scores[k]) if k < len(self.scores) else 0.0
        lowest_above = float(self.scores[k - 1]) if k else 1.0
        middle = highest_below + (lowest_above - highest_below) / 2
        # Between two neighbouring floats there is no other; the lower one gives the same predictions.
        return middle if middle < lowest_above else highest_below


def _last(values: NDArray[Any]) -> int:
    """Return the index of the last maximum: the most sensitive of equally good points."""
    return int(len(values) - 1 - values[::-1].argmax())


def check_target(name: str, target: float) -> None:
    """Raise a ParameterError unless a target is a share above 0."""
    check_fraction(name, target, ends=True)
    if target == 0:
        raise ParameterError(f"{name} must be above 0, got {target!r}: every threshold has at least that")


def _assured(name: str, target: float, assurance: float | None, n: int, images: str) -> float:
    """Return the lowest share of n images whose Clopper-Pearson bound still reaches the target."""
    if assurance is None:
        return target
    # The bound of k images reaches the target where k or more have, at the target, at most this probability.
    largest = (1 - assurance) * (1 + _ROUNDING)
    enough = binom.sf(np.arange(n), n, target) <= largest
    if not enough.any():
        fewest = int(np.ceil(np.log(largest) / np.log(target)))
        possible = (1 - assurance) ** (1 / n)
        raise DatasetError(
            f"To be sure by {100 * assurance:g} % of a {name} of at least {target:g} takes {fewest} {images}, got {n}: "
            f"add images, or ask for at most {np.floor(1000 * possible) / 1000:g}"
        )
    return (1 + int(enough.argmax())) / n
