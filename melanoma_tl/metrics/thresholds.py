"""Where to call an image melanoma: operating points chosen on validation scores, specificity at a sensitivity.

An image is predicted melanoma when its score lies strictly above the threshold.
Only the distinct scores matter, so that there are as many different operating
points as distinct scores, and one more: none predicted. Every rule compares all of
them, with ties counted as ties. The threshold returned lies halfway between the
lowest score that is predicted melanoma and the highest that is not, where rounding
on another machine cannot move an image across it.

References
----------
.. [1] W. J. Youden, "Index for rating diagnostic tests", Cancer 3, 1950.
.. [2] C. E. Metz, "Basic principles of ROC analysis", Seminars in Nuclear Medicine
   8, 1978: the expected cost of an operating point.
.. [3] T. Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27,
   2006, section 10: what lies between two points of the curve is reached by
   choosing between the two at random.
.. [4] N. C. F. Codella et al., "Skin lesion analysis toward melanoma detection: a
   challenge at the 2017 ISBI", 2018, and ``Python/scoreCommon.py`` in the history
   of ImageMarkup/isic-challenge-scoring: the first point of
   ``sklearn.metrics.roc_curve`` whose sensitivity is at least the one asked for.
.. [5] A. N. Angelopoulos, S. Bates, E. J. Candès, M. I. Jordan and L. Lei, "Learn then
   test: calibrating predictive algorithms to achieve risk control", Annals of Applied
   Statistics 19, 2025: thresholds are tested in a fixed order until one fails, which needs
   no correction for their number.
.. [6] C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated
   in the case of the binomial", Biometrika 26, 1934.
.. [7] S. S. Wilks, "Determination of sample sizes for setting tolerance limits", Annals of
   Mathematical Statistics 12, 1941: the number below which nothing can be assured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

from melanoma_tl._parameters import (
    BOOTSTRAP,
    COLUMN,
    FLAG,
    INSIDE,
    NONE,
    PROBABILITY,
    checked,
    real,
    several,
)
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.metrics.confusion import ConfusionCounts, proportion_metrics
from melanoma_tl.metrics.few import count_units, mark_few
from melanoma_tl.metrics.intervals import specificity_intervals
from melanoma_tl.metrics.metric import Metric, describe
from melanoma_tl.metrics.resampling import Tally, add_up
from melanoma_tl.metrics.validation import check_bootstrap, check_fraction, check_scored

SENSITIVITIES = (0.80, 0.82, 0.89, 0.90, 0.95)
"""Where specificity is reported: 0.82, 0.89 and 0.95 are the ISIC 2017 challenge's, 0.80 and 0.90 are round."""

SPECIFICITIES = (0.80, 0.90, 0.95)
"""Where sensitivity is reported."""

# Two expected costs that differ by less are one: they come from the same fractions in another order.
_SAME_COST = 1e-12


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, the rule that chose it, and what it reaches on the images that it was chosen on.

    Made by `choose_threshold`.

    Parameters
    ----------
    threshold : float
        0 to 1; an image is predicted melanoma when its score is strictly above.
    rule : str
        How it was chosen.
    counts : ConfusionCounts
        The confusion matrix at the threshold.
    sensitivity, specificity : Metric
        With Wilson's intervals.
    confidence : float
        Coverage of the intervals.

    Notes
    -----
    The intervals take the threshold as given. It was chosen on the same images, so
    that new images will on average do slightly worse, the more so the fewer
    melanomas it was chosen on.
    """

    threshold: float
    rule: str
    counts: ConfusionCounts
    sensitivity: Metric
    specificity: Metric
    confidence: float

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
            What a model file can keep: threshold, rule, confusion_matrix, sensitivity,
            specificity (each with value, low, high and n) and confidence.
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
        """Read what `to_dict` wrote.

        Parameters
        ----------
        kept : mapping of str to object
            Of it, sensitivity and specificity are computed anew.

        Returns
        -------
        OperatingPoint
            As it was.

        Raises
        ------
        ParameterError
            If the threshold or the confidence is no share.
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
        0 or False benign, 1 or True melanoma; both must occur. Validation images, never those of the test.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.
    sensitivity : float, optional
        Above 0, at most 1: the highest specificity among the points with at least this sensitivity.
    specificity : float, optional
        Above 0, at most 1: the highest sensitivity among the points with at least this
        specificity, and of those the most specific.
    cost_ratio : float, optional
        Above 0: how many false alarms cost as much as one missed melanoma. The point
        with the lowest expected cost, ``prevalence * cost_ratio * (1 - sensitivity) +
        (1 - prevalence) * (1 - specificity)`` [2]_, is taken.
    prevalence : float, optional
        For `cost_ratio`: how frequent melanoma is where the classifier will be used,
        between 0 and 1; as among these images by default.
    youden : bool, default=False
        The point with the highest sensitivity + specificity - 1 [1]_.
    assurance : float, optional
        For `sensitivity` or `specificity`: how sure it shall be, between 0 and 1, that the threshold has it on
        new images too, such as 0.95. Without it, half of the thresholds chosen so, and more, fall short.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    OperatingPoint
        Of several points that a rule likes equally, the most sensitive.

    Raises
    ------
    DatasetError
        If only one class occurs, or too few images of a class to assure what is asked for; it says how many it takes.
    ParameterError
        If not exactly one rule is given, `assurance` goes with another rule, a parameter is out of its range, or the
        sensitivity cannot be reached because a melanoma has the score 0, which lies
        above no threshold.

    Notes
    -----
    With `assurance`, the thresholds are tested from the lowest up (for `specificity`, from the highest down) [5]_: as
    long as the lower end of Clopper and Pearson's one-sided interval [6]_ reaches what is asked for, the next is tried.
    In a share `assurance` of all validation sets at least, the last one that passed has the sensitivity asked for on
    the melanomas that these were drawn from. That supposes independent images, so one melanoma a patient, and new
    ones from the same source; it takes ``log(1 - assurance) / log(sensitivity)`` melanomas at least [7]_, such as 29
    for a sensitivity of 0.9 at 95 %.

    Examples
    --------
    >>> y_true, y_score = [0, 0, 0, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.8]
    >>> point = choose_threshold(y_true, y_score, sensitivity=0.95)
    >>> round(point.threshold, 6), point.sensitivity.value, round(point.specificity.value, 3)
    (0.3, 1.0, 0.667)
    """
    rules = {"sensitivity": sensitivity, "specificity": specificity, "cost_ratio": cost_ratio, "youden": youden or None}
    given = [name for name, value in rules.items() if value is not None]
    if len(given) != 1:
        raise ParameterError(
            "A threshold is chosen by exactly one rule: sensitivity=0.95, specificity=0.9, cost_ratio=20 or "
            f"youden=True; got {' and '.join(given) or 'none'}"
        )
    check_fraction("confidence", confidence)
    truth, scores = check_scored(y_true, y_score)
    curve = _Curve.of(Tally.of(truth, scores))
    if assurance is not None and sensitivity is None and specificity is None:
        raise ParameterError(
            f"assurance goes with sensitivity or specificity, which it assures, got it with {given[0]}"
        )
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


class SpecificityAtSensitivity(NamedTuple):
    """Specificity where the sensitivity is at least, or exactly, a given one.

    Attributes
    ----------
    sensitivity : float
        The one asked for.
    challenge : Metric
        At the first point of the ROC curve with at least this sensitivity, as the ISIC 2017 challenge has it.
    interpolated : Metric
        On the straight line between the two points around exactly this sensitivity.
    """

    sensitivity: float
    challenge: Metric
    interpolated: Metric


@checked(sensitivities=several(PROBABILITY, at_least=1), groups=COLUMN | NONE, **BOOTSTRAP)
def specificity_at_sensitivity(
    y_true: ArrayLike,
    y_score: ArrayLike,
    sensitivities: Sequence[float] = SENSITIVITIES,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> tuple[SpecificityAtSensitivity, ...]:
    """Measure specificity at given sensitivities, in two ways.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.
    sensitivities : sequence of float, default=SENSITIVITIES
        Each above 0, at most 1.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.

    Returns
    -------
    tuple of SpecificityAtSensitivity
        One a sensitivity. The n of each is that of the benign images. The intervals, those of
        `melanoma_tl.metrics.intervals.specificity_intervals`, include the chance in choosing the threshold.

    Raises
    ------
    DatasetError
        If only one class occurs.
    ParameterError
        If a parameter is out of its range.

    Notes
    -----
    The challenge's scorer calls ``roc_curve``, which leaves out points in the middle of
    a straight piece of the curve. Where several melanomas and benign images share one
    score, and the next, the first point it looks at may then lie further right; the
    value given here is what that scorer gives.

    Examples
    --------
    >>> y_true, y_score = [0, 0, 0, 0, 1, 1, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.4, 0.5, 0.7, 0.8]
    >>> (at,) = specificity_at_sensitivity(y_true, y_score, [0.9])
    >>> at.challenge.value, at.interpolated.value
    (0.75, 0.75)
    """
    truth, scores = check_scored(y_true, y_score)
    check_bootstrap(confidence, n_resamples)
    for sensitivity in sensitivities:
        _check_target("sensitivities", sensitivity)
    tally = Tally.of(truth, scores)
    values = _both_ways(tally.melanoma, tally.benign, sensitivities)
    values[: len(sensitivities)] = _official(truth, scores, sensitivities)
    pairs = _with_intervals(values, truth, scores, sensitivities, groups, confidence, n_resamples, random_state)
    return tuple(
        SpecificityAtSensitivity(float(sensitivity), *pair)
        for sensitivity, pair in zip(sensitivities, pairs, strict=True)
    )


class SensitivityAtSpecificity(NamedTuple):
    """Sensitivity where the specificity is at least, or exactly, a given one.

    Attributes
    ----------
    specificity : float
        The one asked for.
    reached : Metric
        The highest at a threshold with at least this specificity.
    interpolated : Metric
        On the straight line between the two points of the ROC curve around exactly this specificity.
    """

    specificity: float
    reached: Metric
    interpolated: Metric


@checked(specificities=several(PROBABILITY, at_least=1), groups=COLUMN | NONE, **BOOTSTRAP)
def sensitivity_at_specificity(
    y_true: ArrayLike,
    y_score: ArrayLike,
    specificities: Sequence[float] = SPECIFICITIES,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> tuple[SensitivityAtSpecificity, ...]:
    """Measure sensitivity at given specificities, in two ways.

    Parameters
    ----------
    y_true, y_score : array-like of shape (n,)
        As `specificity_at_sensitivity`.
    specificities : sequence of float, default=SPECIFICITIES
        Each above 0, at most 1.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.

    Returns
    -------
    tuple of SensitivityAtSpecificity
        One a specificity. The n of each is that of the melanomas. It is `specificity_at_sensitivity` with the classes
        and the order of the scores turned round, and so are its intervals.

    Raises
    ------
    DatasetError, ParameterError
        As `specificity_at_sensitivity`.

    Examples
    --------
    >>> y_true, y_score = [0, 0, 0, 0, 1, 1, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.4, 0.5, 0.7, 0.8]
    >>> (at,) = sensitivity_at_specificity(y_true, y_score, [0.75])
    >>> at.reached.value, at.interpolated.value
    (1.0, 1.0)
    """
    truth, scores = check_scored(y_true, y_score)
    check_bootstrap(confidence, n_resamples)
    for specificity in specificities:
        _check_target("specificities", specificity)
    truth, scores = 1 - truth, -scores
    tally = Tally.of(truth, scores)
    values = _both_ways(tally.melanoma, tally.benign, specificities)
    pairs = _with_intervals(values, truth, scores, specificities, groups, confidence, n_resamples, random_state)
    return tuple(
        SensitivityAtSpecificity(float(specificity), *pair)
        for specificity, pair in zip(specificities, pairs, strict=True)
    )


def _with_intervals(
    values: NDArray[np.float64],
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    targets: Sequence[float],
    groups: ArrayLike | None,
    confidence: float,
    n_resamples: int,
    random_state: int,
) -> list[tuple[Metric, Metric]]:
    """Give both ways of each target its interval."""
    ends = specificity_intervals(truth, scores, targets, groups, confidence, n_resamples, random_state)
    n_benign, method = int(len(truth) - truth.sum()), "fiducial" if groups is None else "clustered fiducial"
    # A value can lie outside, where nothing was seen on its other side: the interval is then widened up to it.
    figures = [
        Metric(float(value), min(low, float(value)), max(high, float(value)), n_benign, method)
        for value, (low, high) in zip(values, 2 * ends, strict=True)
    ]
    figures = list(mark_few(dict(enumerate(figures)), count_units(truth, groups)).values())
    return list(zip(figures[: len(targets)], figures[len(targets) :], strict=True))


class _Curve(NamedTuple):
    """All operating points: entry k counts the images whose score is among the k highest distinct ones."""

    scores: NDArray[np.float64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]

    @classmethod
    def of(cls, tally: Tally) -> "_Curve":
        return cls(tally.scores, add_up(tally.melanoma), add_up(tally.benign))

    @property
    def reachable(self) -> slice:
        """A score of 0 lies above no threshold."""
        return slice(len(self.tp) - (self.scores[-1] == 0))

    def at_sensitivity(self, target: float) -> int:
        _check_target("sensitivity", target)
        reached = self.tp[self.reachable] / self.tp[-1]
        if reached[-1] < target:
            n_zero = int(self.tp[-1] - self.tp[-2])
            raise ParameterError(
                f"No threshold has the sensitivity {target:g}: {n_zero} melanomas have the score 0, which lies above "
                f"no threshold; ask for at most {reached[-1]:.4g}"
            )
        # As specific as the first that reaches it: more melanomas at no further false alarm are welcome.
        return _last(self.fp[self.reachable] == self.fp[(reached >= target).argmax()])

    def at_specificity(self, target: float) -> int:
        _check_target("specificity", target)
        tp, fp = self.tp[self.reachable], self.fp[self.reachable]
        allowed = (self.fp[-1] - fp) / self.fp[-1] >= target
        return int((tp == tp[allowed].max()).argmax())

    def at_youden(self) -> int:
        # Whole numbers, so that ties are exact: the index times the product of the class sizes.
        return _last(self.tp[self.reachable] * self.fp[-1] - self.fp[self.reachable] * self.tp[-1])

    def at_lowest_cost(self, ratio: float, prevalence: float) -> int:
        check_fraction("prevalence", prevalence)
        if not isinstance(ratio, int | float | np.number) or not 0 < ratio < float("inf"):
            raise ParameterError(f"cost_ratio must be a number above 0, such as 20, got {ratio!r}")
        missed = 1 - self.tp[self.reachable] / self.tp[-1]
        alarms = self.fp[self.reachable] / self.fp[-1]
        cost = prevalence * ratio * missed + (1 - prevalence) * alarms
        return _last(cost <= cost.min() * (1 + _SAME_COST))

    def counts(self, k: int) -> ConfusionCounts:
        tp, fp = int(self.tp[k]), int(self.fp[k])
        return ConfusionCounts(int(self.fp[-1]) - fp, fp, int(self.tp[-1]) - tp, tp)

    def threshold(self, k: int) -> float:
        highest_below = float(self.scores[k]) if k < len(self.scores) else 0.0
        lowest_above = float(self.scores[k - 1]) if k else 1.0
        middle = highest_below + (lowest_above - highest_below) / 2
        # Between two neighbouring floats there is nothing: the lower one itself predicts the same.
        return middle if middle < lowest_above else highest_below


def _last(values: NDArray[Any]) -> int:
    """Find the last of the largest: the most sensitive of equally good points."""
    return int(len(values) - 1 - values[::-1].argmax())


def _check_target(name: str, target: float) -> None:
    check_fraction(name, target, ends=True)
    if target == 0:
        raise ParameterError(f"{name} must be above 0, got {target!r}: every threshold has at least that")


def _assured(name: str, target: float, assurance: float | None, n: int, images: str) -> float:
    """Raise a target to the lowest share of n images of which the Clopper-Pearson bound still reaches it."""
    _check_target(name, target)
    if assurance is None:
        return target
    if target == 1:
        raise ParameterError(f"No number of images assures a {name} of 1; ask for less, such as 0.95")
    fewest = int(np.ceil(np.log1p(-assurance) / np.log(target)))
    if n < fewest:
        possible = (1 - assurance) ** (1 / n)
        raise DatasetError(
            f"To be sure by {100 * assurance:g} % of a {name} of at least {target:g} takes {fewest} {images}, got {n}: "
            f"add images, or ask for at most {np.floor(1000 * possible) / 1000:g}"
        )
    enough = beta.ppf(1 - assurance, np.arange(1, n + 1), np.arange(n, 0, -1)) >= target
    return (1 + int(enough.argmax())) / n if enough.any() else 1.0


def _both_ways(
    melanoma: NDArray[np.int64], benign: NDArray[np.int64], sensitivities: Sequence[float]
) -> NDArray[np.float64]:
    """Specificity at each sensitivity: the challenge's way, then interpolated; leading axes are resamples."""
    tp, fp = add_up(melanoma), add_up(benign)
    n_melanoma, n_benign = tp[..., -1:], fp[..., -1:]
    first, between = [], []
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample of groups may lack a class
        for sensitivity in sensitivities:
            here = (tp / n_melanoma >= sensitivity).argmax(axis=-1, keepdims=True)
            (tp_after, fp_after), (tp_before, fp_before) = (
                [np.take_along_axis(side, at, axis=-1) for side in (tp, fp)] for at in (here, np.maximum(here - 1, 0))
            )
            share = (sensitivity * n_melanoma - tp_before) / (tp_after - tp_before)
            first.append(1 - fp_after / n_benign)
            between.append(1 - (fp_before + share * (fp_after - fp_before)) / n_benign)
    return np.stack([*first, *between])[..., 0]


def _official(truth: NDArray[np.int64], scores: NDArray[np.float64], sensitivities: Sequence[float]) -> list[float]:
    from sklearn.metrics import roc_curve

    false_alarms, found, _ = roc_curve(truth, scores)
    return [1 - false_alarms[(found >= sensitivity).argmax()] for sensitivity in sensitivities]
