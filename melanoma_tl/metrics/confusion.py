"""Metrics of a confusion matrix, each with an interval by formula.

References
----------
.. [1] B. W. Matthews, "Comparison of the predicted and observed secondary structure of
   T4 phage lysozyme", Biochimica et Biophysica Acta 405, 1975.
.. [2] J. Cohen, "A coefficient of agreement for nominal scales", Educational and
   Psychological Measurement 20, 1960.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from melanoma_tl._parameters import INSIDE, PROBABILITY, checked, instance, whole
from melanoma_tl.metrics.intervals import wilson_interval
from melanoma_tl.metrics.metric import LABELS, Metric
from melanoma_tl.metrics.validation import check_scored

_Counts = Any  # an int or an ndarray of ints: the formulas serve both


class _Cells(NamedTuple):
    """The four cells of one confusion matrix, or of many as arrays; nothing is checked."""

    tn: _Counts
    fp: _Counts
    fn: _Counts
    tp: _Counts

    @property
    def n_melanoma(self) -> _Counts:
        """Images whose truth is melanoma."""
        return self.fn + self.tp

    @property
    def n_benign(self) -> _Counts:
        """Images whose truth is benign."""
        return self.tn + self.fp

    @property
    def n(self) -> _Counts:
        """All images."""
        return self.n_melanoma + self.n_benign


class ConfusionCounts(_Cells):
    """A 2x2 confusion matrix, in the order of ``sklearn.metrics.confusion_matrix(...).ravel()``.

    Parameters
    ----------
    tn, fp, fn, tp : int
        Benign images predicted benign and melanoma, then melanoma images predicted benign and melanoma.

    Raises
    ------
    ParameterError
        If a count is not a whole number of at least 0.

    Examples
    --------
    >>> ConfusionCounts(tn=72, fp=3, fn=17, tp=58).n_melanoma
    75
    """

    __slots__ = ()

    @checked(**dict.fromkeys(_Cells._fields, whole(at_least=0)))
    def __new__(cls, tn: int, fp: int, fn: int, tp: int) -> Self:
        """Check the counts."""
        return super().__new__(cls, tn, fp, fn, tp)


COUNTS = instance(ConfusionCounts, a="ConfusionCounts(tn, fp, fn, tp)")
"""The rule for a confusion matrix, which has checked its counts itself."""

_Ratio = Callable[[_Cells], tuple[_Counts, _Counts]]

# The number of successes and the number of images.
_PROPORTIONS: dict[str, _Ratio] = {
    "accuracy": lambda c: (c.tn + c.tp, c.n),
    "sensitivity": lambda c: (c.tp, c.n_melanoma),
    "specificity": lambda c: (c.tn, c.n_benign),
    "precision": lambda c: (c.tp, c.tp + c.fp),
    "npv": lambda c: (c.tn, c.tn + c.fn),
}
# These are not binomial: they combine two proportions, or weight the counts.
_OTHER_RATIOS: dict[str, _Ratio] = {
    "balanced_accuracy": lambda c: (c.tp * c.n_benign + c.tn * c.n_melanoma, 2 * c.n_melanoma * c.n_benign),
    "f1": lambda c: (2 * c.tp, 2 * c.tp + c.fp + c.fn),
    "iou_melanoma": lambda c: (c.tp, c.tp + c.fp + c.fn),
    "iou_benign": lambda c: (c.tn, c.tn + c.fp + c.fn),
    "mcc": lambda c: (c.tp * c.tn - c.fp * c.fn, _root_of_margins(c)),
    "kappa": lambda c: (
        2 * (c.tp * c.tn - c.fp * c.fn),
        (c.tp + c.fp) * c.n_benign + (c.tn + c.fn) * c.n_melanoma,
    ),
    "lr_positive": lambda c: (c.tp * c.n_benign, c.fp * c.n_melanoma),
    "lr_negative": lambda c: (c.fn * c.n_benign, c.tn * c.n_melanoma),
}
_RATIOS = _PROPORTIONS | _OTHER_RATIOS

CONFUSION_METRICS = tuple(name for name in LABELS if name in _RATIOS)
"""The metrics that the four counts of a confusion matrix determine."""


@checked(threshold=PROBABILITY)
def confusion_counts(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> ConfusionCounts:
    """Count the four outcomes at a threshold.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; a class may be missing.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1, without NaN.
    threshold : float, default=0.5
        An image is predicted melanoma when its score (as float64) is strictly above.

    Returns
    -------
    ConfusionCounts
        ``(tn, fp, fn, tp)``.

    Raises
    ------
    DatasetError, ParameterError
        If lengths differ, labels do not say which is melanoma, or scores are NaN or no probabilities.

    Examples
    --------
    >>> confusion_counts([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.9])
    ConfusionCounts(tn=1, fp=1, fn=1, tp=1)
    """
    truth, scores = check_scored(y_true, y_score, both=False)
    cells = np.bincount(2 * truth + (scores > threshold), minlength=4)
    return ConfusionCounts(*map(int, cells))


def confusion_metric(name: str, tn: _Counts, fp: _Counts, fn: _Counts, tp: _Counts) -> NDArray[np.float64]:
    """Compute one metric of one or many confusion matrices.

    Parameters
    ----------
    name : str
        One of `CONFUSION_METRICS`.
    tn, fp, fn, tp : int or ndarray of int
        The counts; arrays must broadcast.

    Returns
    -------
    ndarray
        The metric in the broadcast shape, 0 to 1 (MCC and kappa -1 to 1, likelihood ratios 0 and above); NaN where
        its denominator is 0.

    Notes
    -----
    F1 and the Dice coefficient are the same number, ``2 tp / (2 tp + fp + fn)``.
    IoU (the Jaccard index) of a class is the number of its correctly predicted images divided
    by the number of images that are of the class or predicted to be: ``tp / (tp + fp + fn)`` for
    melanoma and ``tn / (tn + fp + fn)`` for benign. MCC [1]_ is the correlation of labels and
    predictions, undefined where all predictions are the same; kappa [2]_ is their agreement beyond
    chance. The likelihood ratios are ``sensitivity / (1 - specificity)`` and ``(1 - sensitivity) /
    specificity``: the factors by which a prediction multiplies the odds of melanoma.

    Examples
    --------
    >>> float(confusion_metric("iou_benign", 72, 3, 17, 58).round(4))
    0.7826
    """
    return divide(*_RATIOS[name](_Cells(tn, fp, fn, tp)))


def threshold_metrics(tn: int, fp: int, fn: int, tp: int) -> dict[str, float]:
    """Compute all metrics of a confusion matrix.

    Parameters
    ----------
    tn, fp, fn, tp : int
        The counts.

    Returns
    -------
    dict of str to float
        The value of `confusion_metric` for each name in `CONFUSION_METRICS`.

    Raises
    ------
    ParameterError
        If a count is not a whole number of at least 0.

    Examples
    --------
    >>> threshold_metrics(tn=4, fp=0, fn=2, tp=0)["precision"]
    nan
    """
    counts = ConfusionCounts(tn, fp, fn, tp)
    return {name: float(confusion_metric(name, *counts)) for name in CONFUSION_METRICS}


@checked(counts=COUNTS, confidence=INSIDE)
def proportion_metrics(counts: ConfusionCounts, confidence: float = 0.95) -> dict[str, Metric]:
    """Compute the metrics that are proportions of images, with Wilson's intervals.

    Parameters
    ----------
    counts : ConfusionCounts
        The four counts; a class may be missing.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    dict of str to Metric
        accuracy, sensitivity, specificity, precision and NPV; NaN where the denominator is 0.

    Raises
    ------
    ParameterError
        If `counts` is something else, or the confidence is out of its range.

    Examples
    --------
    >>> proportion_metrics(ConfusionCounts(tn=72, fp=3, fn=17, tp=58))["sensitivity"].n
    75
    """
    metrics = {}
    for name, ratio in _PROPORTIONS.items():
        successes, n = map(int, ratio(counts))
        metrics[name] = Metric(
            successes / n if n else float("nan"), *wilson_interval(successes, n, confidence), n, "wilson"
        )
    return metrics


def _root_of_margins(c: _Cells) -> _Counts:
    """Return the root of the product of the four margins, in two factors: the whole product may overflow int64."""
    return np.sqrt((c.tp + c.fp) * c.n_melanoma) * np.sqrt((c.tn + c.fn) * c.n_benign)


def likelihood_ratios(counts: ConfusionCounts, confidence: float) -> dict[str, Metric]:
    """Return both likelihood ratios, with the interval of log-normal theory."""
    tn, fp, fn, tp = counts
    sides = {"lr_positive": (tp, fp), "lr_negative": (fn, tn)}
    return {name: _ratio_of_rates(*side, counts, confidence) for name, side in sides.items()}


def _ratio_of_rates(melanoma: int, benign: int, counts: ConfusionCounts, confidence: float) -> Metric:
    """Divide the rate among melanomas by the rate among benign images, with an interval by the log method."""
    if not benign or not counts.n_melanoma:
        return Metric(float("nan"), float("nan"), float("nan"), counts.n, "log method")
    n_melanoma, n_benign = counts.n_melanoma, counts.n_benign
    value = melanoma / n_melanoma / (benign / n_benign)
    half_more = 0.0 if melanoma else 0.5
    a, b, m, n = (count + half_more for count in (melanoma, benign, n_melanoma, n_benign))
    spread = float(norm.isf((1 - confidence) / 2) * np.sqrt(1 / a - 1 / m + 1 / b - 1 / n))
    ends = (a / m / (b / n) * np.exp(side) for side in (-spread, spread))
    low, high = map(float, ends)
    return Metric(value, min(low, value), max(high, value), counts.n, "log method")


def divide(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """Divide; return NaN where the denominator is 0."""
    above, below = np.asarray(numerator), np.asarray(denominator)
    undefined = np.full(np.broadcast(above, below).shape, np.nan)
    return np.divide(above, below, out=undefined, where=below > 0)
