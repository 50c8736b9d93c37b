"""Figures of a binary classifier, each with an interval and its n.

Class 1 is melanoma, a score is the probability of melanoma, and an image is
predicted melanoma when its score lies strictly above the threshold, which is the
rule of the ISIC challenges.

Four ways to an interval:

* AUC and average precision have intervals on the logit scale
  (`melanoma_tl.metrics.intervals`).
* A figure that counts successes in a fixed number of images (accuracy,
  sensitivity, specificity, precision, NPV) gets Wilson's score interval [1]_.
* A likelihood ratio gets the log method [3]_; where it would need the logarithm of 0,
  half an image is added to each count [4]_.
* Every other figure gets the percentile bootstrap [2]_ (`melanoma_tl.metrics.resampling`).

Where images belong together (several of one patient), the first take the variance
between patients, the second count the independent images that theirs are worth [8]_,
and all others take the percentile bootstrap over the patients.

Where a denominator is zero the figure is undefined and its value is NaN, never
0 and never 1.

References
----------
.. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical
   inference", Journal of the American Statistical Association 22, 1927.
.. [2] B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993,
   chapters 8 and 13.
.. [3] D. L. Simel, G. P. Samsa and D. B. Matchar, "Likelihood ratios with confidence:
   sample size estimation for diagnostic test studies", Journal of Clinical
   Epidemiology 44, 1991.
.. [4] H. M. Pettigrew, J. J. Gart and D. G. Thomas, "The bias and higher cumulants of
   the logarithm of a binomial variate", Biometrika 73, 1986.
.. [5] D. K. McClish, "Analyzing a portion of the ROC curve", Medical Decision Making 9,
   1989; as ``score`` of the ISIC 2024 challenge on Kaggle has it, sensitivities for
   false positive rates.
.. [6] B. W. Matthews, "Comparison of the predicted and observed secondary structure of
   T4 phage lysozyme", Biochimica et Biophysica Acta 405, 1975.
.. [7] J. Cohen, "A coefficient of agreement for nominal scales", Educational and
   Psychological Measurement 20, 1960.
.. [8] J. N. K. Rao and A. J. Scott, "A simple method for the analysis of clustered binary
   data", Biometrics 48, 1992; L. Kish, "Survey Sampling", 1965: the design effect.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from melanoma_tl._parameters import (
    BOOTSTRAP,
    COLUMN,
    NONE,
    PROBABILITY,
    checked,
)
from melanoma_tl.labels.classes import as_binary
from melanoma_tl.metrics.few import MARK, count_units, mark_few
from melanoma_tl.metrics.intervals import auc_interval, average_precision_interval, effective_size, wilson_interval
from melanoma_tl.metrics.resampling import Resampling, Tally, method_name, number_groups, percentile_interval
from melanoma_tl.metrics.validation import (
    check_bootstrap,
    check_classes,
    check_fraction,
    check_lengths,
    check_scored,
    check_scores,
)

LABELS = MappingProxyType(
    {
        "auc": "AUC",
        "partial_auc": "Partial AUC above 80 % sensitivity",
        "average_precision": "Average precision",
        "accuracy": "Accuracy",
        "balanced_accuracy": "Balanced accuracy",
        "sensitivity": "Sensitivity (recall)",
        "specificity": "Specificity",
        "precision": "Precision (PPV)",
        "npv": "NPV",
        "f1": "F1 (Dice)",
        "iou_melanoma": "IoU (melanoma)",
        "iou_benign": "IoU (benign)",
        "mcc": "Matthews correlation (MCC)",
        "kappa": "Cohen's kappa",
        "lr_positive": "Positive likelihood ratio",
        "lr_negative": "Negative likelihood ratio",
    }
)
"""Every figure of a report, in the order in which it is shown, with its name for readers."""

_Counts = Any  # an int or an ndarray of ints: the formulas serve both


class ConfusionCounts(NamedTuple):
    """A 2x2 confusion matrix, in the order of ``sklearn.metrics.confusion_matrix(...).ravel()``."""

    tn: int
    fp: int
    fn: int
    tp: int

    @property
    def n_melanoma(self) -> int:
        """Images whose truth is melanoma."""
        return self.fn + self.tp

    @property
    def n_benign(self) -> int:
        """Images whose truth is benign."""
        return self.tn + self.fp

    @property
    def n(self) -> int:
        """All images."""
        return self.n_melanoma + self.n_benign


_Ratio = Callable[[ConfusionCounts], tuple[_Counts, _Counts]]

# Counted successes and the number of images they are counted in.
_PROPORTIONS: dict[str, _Ratio] = {
    "accuracy": lambda c: (c.tn + c.tp, c.n),
    "sensitivity": lambda c: (c.tp, c.n_melanoma),
    "specificity": lambda c: (c.tn, c.n_benign),
    "precision": lambda c: (c.tp, c.tp + c.fp),
    "npv": lambda c: (c.tn, c.tn + c.fn),
}
# No binomial distribution describes these: they mix two proportions, or count a success twice or against a union.
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
"""The figures that the four counts of a confusion matrix determine."""

UNBOUNDED = frozenset({"lr_positive", "lr_negative"})
"""Figures that may exceed 1: they stand on no axis from 0 to 1, and no percentage means them."""

RANGES = {"mcc": (-1, 1), "kappa": (-1, 1), "partial_auc": (0, 0.2)} | dict.fromkeys(UNBOUNDED, (0, np.inf))
"""What figures can be, where it is not 0 to 1: no end of an interval lies outside, no difference exceeds the width."""

OF_PREVALENCE = frozenset(
    {"average_precision", "accuracy", "precision", "npv", "f1", "iou_melanoma", "iou_benign", "mcc", "kappa"}
)
"""Figures whose value depends on the share of melanomas: that share is resampled with them."""

COLLAPSED = "An interval without width is no certainty: resampling cannot see outcomes that did not occur"
"""What readers are told where an interval has no width."""

_LEAST_SENSITIVITY = 0.8
"""From which sensitivity on the partial AUC counts, as in the ISIC 2024 challenge."""

NO_WIDTH = "no width"
"""The mark of such an interval in a table."""

FEW = 10
"""Fewer images of a class than this are pointed out: each single one then moves a figure by more than a tenth."""


@dataclass(frozen=True)
class Metric:
    """One figure, its interval, and what they rest on.

    Parameters
    ----------
    value : float
        The figure; NaN where it is undefined.
    low, high : float
        Ends of the confidence interval; NaN where the figure is undefined.
    n : int
        The number of images in the denominator: melanoma images for sensitivity,
        benign ones for specificity, images predicted melanoma for precision, images
        predicted benign for NPV, all images for the others.
    method : str
        How the interval was made: "wilson", "simel", "newcombe", "logit delong", "logit influence", "bootstrap", the
        last three and "wilson" also with "clustered" or "cluster", and, outside `score_metrics`, "fiducial",
        "bootstrap bound", "sandwich", "delong", "design effect", "hanley-mcneil" or "hartung-knapp".
    few : bool, default=False
        Whether the interval rests on so few images, or patients, that it holds the truth less often than it says
        (`melanoma_tl.metrics.few`).
    """

    value: float
    low: float
    high: float
    n: int
    method: str
    few: bool = False

    def to_dict(self) -> dict[str, float]:
        """Write the figure as plain Python objects.

        Returns
        -------
        dict
            value, low, high, n and few.
        """
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "few": self.few}


def describe(metric: Metric, confidence: float) -> str:
    """Write a figure with its interval and its n.

    Parameters
    ----------
    metric : Metric
        The figure.
    confidence : float
        Coverage of its interval, between 0 and 1.

    Returns
    -------
    str
        One line.

    Examples
    --------
    >>> describe(Metric(0.8667, 0.803, 0.912, 150, "wilson"), 0.95)
    '0.867 (95 % CI 0.803-0.912, n = 150)'
    """
    if np.isnan(metric.value):
        return f"undefined (n = {metric.n})"
    dash, mark = "-" if metric.low >= 0 else " to ", f", {MARK}" if metric.few else ""
    interval = f"{100 * confidence:g} % CI {metric.low:.3f}{dash}{metric.high:.3f}"
    return f"{metric.value:.3f} ({interval}, n = {metric.n}{mark})"


@checked(threshold=PROBABILITY)
def confusion_counts(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> ConfusionCounts:
    """Count the four outcomes at a threshold.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.
    threshold : float, default=0.5
        An image is predicted melanoma when its score, as float64, is strictly above.

    Returns
    -------
    ConfusionCounts
        ``(tn, fp, fn, tp)``.

    Examples
    --------
    >>> confusion_counts([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.9])
    ConfusionCounts(tn=1, fp=1, fn=1, tp=1)
    """
    truth, predicted = as_binary(y_true), check_scores(y_score) > threshold
    check_lengths(len(predicted), y_true=truth)
    cells = np.bincount(2 * truth + predicted, minlength=4)
    return ConfusionCounts(*map(int, cells))


def confusion_metric(name: str, tn: _Counts, fp: _Counts, fn: _Counts, tp: _Counts) -> NDArray[np.float64]:
    """One figure of one or many confusion matrices.

    Parameters
    ----------
    name : str
        One of `CONFUSION_METRICS`.
    tn, fp, fn, tp : int or ndarray of int
        The counts; arrays must broadcast.

    Returns
    -------
    ndarray
        The figure in the broadcast shape, 0 to 1 (MCC and kappa -1 to 1, likelihood ratios 0 and above); NaN where
        its denominator is 0.

    Notes
    -----
    F1 and the Dice coefficient are the same number, ``2 tp / (2 tp + fp + fn)``.
    IoU (the Jaccard index) of a class is its correct images over all images that
    are of the class or predicted to be: ``tp / (tp + fp + fn)`` for melanoma and
    ``tn / (tn + fp + fn)`` for benign. MCC [6]_ is the correlation of truth and calls,
    undefined where all calls are the same; kappa [7]_ is their agreement beyond chance.
    The likelihood ratios are ``sensitivity / (1 - specificity)`` and ``(1 - sensitivity) /
    specificity``: what a call multiplies the odds of melanoma by.

    Examples
    --------
    >>> float(confusion_metric("iou_benign", 72, 3, 17, 58).round(4))
    0.7826
    """
    return _divide(*_RATIOS[name](ConfusionCounts(tn, fp, fn, tp)))


def threshold_metrics(tn: int, fp: int, fn: int, tp: int) -> dict[str, float]:
    """All figures of a confusion matrix.

    Parameters
    ----------
    tn, fp, fn, tp : int
        The counts.

    Returns
    -------
    dict of str to float
        A value, as `confusion_metric`, for each name in `CONFUSION_METRICS`.

    Examples
    --------
    >>> threshold_metrics(tn=4, fp=0, fn=2, tp=0)["precision"]
    nan
    """
    return {name: float(confusion_metric(name, tn, fp, fn, tp)) for name in CONFUSION_METRICS}


def roc_auc(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Area under the ROC curve: how often a melanoma outscores a benign lesion, ties counting half.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Scores; only their order counts.

    Returns
    -------
    float
        0 to 1, equal to ``sklearn.metrics.roc_auc_score``.

    Raises
    ------
    DatasetError, ParameterError
        As `melanoma_tl.metrics.validation.check_scored`.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    tally = Tally.of(*check_scored(y_true, y_score, probabilities=False))
    return float(_auc(tally.melanoma, tally.benign))


def average_precision(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Average precision: the precision at each score that occurs, weighted by the melanomas found there.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Scores; only their order counts.

    Returns
    -------
    float
        0 to 1, equal to ``sklearn.metrics.average_precision_score``: a sum of
        steps, without interpolation, which would flatter.

    Raises
    ------
    DatasetError, ParameterError
        As `melanoma_tl.metrics.validation.check_scored`.

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    tally = Tally.of(*check_scored(y_true, y_score, probabilities=False))
    return float(_average_precision(tally.melanoma, tally.benign))


def partial_auc(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Area between the ROC curve and the sensitivity 0.8: what the ISIC 2024 challenge ranked by.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Scores; only their order counts.

    Returns
    -------
    float
        0 to 0.2: the specificity, summed over sensitivities from 0.8 to 1; 0.02 for scores by chance. It is not
        rescaled to end at 1, as `sklearn.metrics.roc_auc_score` does [5]_.

    Raises
    ------
    DatasetError, ParameterError
        As `melanoma_tl.metrics.validation.check_scored`.

    Examples
    --------
    >>> round(partial_auc([0, 0, 0, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.8]), 4)
    0.1333
    """
    tally = Tally.of(*check_scored(y_true, y_score, probabilities=False))
    return float(_partial_auc(tally.melanoma, tally.benign))


@checked(threshold=PROBABILITY, groups=COLUMN | NONE, **BOOTSTRAP)
def score_metrics(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    threshold: float = 0.5,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, Metric]:
    """All figures of a set of scores, with intervals.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.
    threshold : float, default=0.5
        An image is predicted melanoma when its score is strictly above.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.
    n_resamples : int, default=2000
        Number of bootstrap resamples.
    random_state : int, default=0
        Seed of the bootstrap.
    groups : array-like of shape (n,), optional
        What each image belongs to, such as its patient: images of one group are drawn
        together. A missing entry is a group of its own.

    Returns
    -------
    dict of str to Metric
        One entry for each name in `LABELS`.

    Raises
    ------
    DatasetError
        If there is no image, or only one class.
    ParameterError
        If lengths differ, labels are not 0 and 1, scores are no probabilities, or a parameter is out of its range.

    Notes
    -----
    Figures that depend on the share of melanomas (`OF_PREVALENCE`) are resampled as the images were drawn,
    from all of them; the others within each class, which keeps the class sizes.

    The percentile bootstrap cannot see errors that did not occur: where every image
    is called right, F1 has the interval [1, 1], whatever the n. The number of resamples
    limits the precision of the ends to about
    0.002 at the default.

    Examples
    --------
    >>> figures = score_metrics([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> figures["sensitivity"].value, figures["sensitivity"].n
    (0.5, 2)
    """
    truth, scores = check_scored(y_true, y_score)
    check_fraction("threshold", threshold, ends=True)
    check_bootstrap(confidence, n_resamples)
    check_lengths(len(scores), groups=groups)
    return resampled_metrics(truth, scores, threshold, groups, confidence, n_resamples, random_state)


def resampled_metrics(
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    threshold: float,
    groups: ArrayLike | None,
    confidence: float,
    n_resamples: int,
    random_state: int,
) -> dict[str, Metric]:
    """Do what `score_metrics` does, with everything checked before; a class may be missing.

    Parameters
    ----------
    truth, scores : ndarray of shape (n,)
        As `melanoma_tl.metrics.validation.check_scored` returns them.
    threshold, groups, confidence, n_resamples, random_state
        As `score_metrics`.

    Returns
    -------
    dict of str to Metric
        One entry for each name in `LABELS`; NaN where a figure needs the missing class.
    """
    resampling = Resampling.of(truth, scores, groups, n_resamples, random_state, cuts=[threshold])
    known = _ranked_figures(truth, scores, groups, confidence)
    if groups is not None:
        known |= _grouped_proportions(truth, scores > threshold, groups, confidence)
    others = _figures(
        [name for name in LABELS if name not in known], resampling, threshold, confidence, method_name(groups)
    )
    return mark_few({name: (known | others)[name] for name in LABELS}, count_units(truth, groups))


def matrix_metrics(
    counts: ConfusionCounts, *, confidence: float = 0.95, n_resamples: int = 2000, random_state: int = 0
) -> dict[str, Metric]:
    """All figures of a confusion matrix, with intervals.

    Parameters
    ----------
    counts : ConfusionCounts
        The four counts; both classes must occur.
    confidence, n_resamples, random_state : float, int, int
        As `score_metrics`.

    Returns
    -------
    dict of str to Metric
        One entry for each name in `CONFUSION_METRICS`.

    Raises
    ------
    DatasetError, ParameterError
        As `score_metrics`.

    Examples
    --------
    >>> figures = matrix_metrics(ConfusionCounts(tn=72, fp=3, fn=17, tp=58))
    >>> round(figures["precision"].value, 4), figures["precision"].n
    (0.9508, 61)
    """
    check_classes(counts.n_melanoma, counts.n_benign)
    check_bootstrap(confidence, n_resamples)
    # A matrix is a set of scores that takes two values, the calls themselves.
    tally = Tally(np.array([1.0, 0.0]), np.array([counts.tp, counts.fn]), np.array([counts.fp, counts.tn]))
    resampling = Resampling.of_tally(tally, n_resamples, random_state)
    figures = _figures(CONFUSION_METRICS, resampling, 0.5, confidence, method_name(None))
    return mark_few(figures, (counts.n_benign, counts.n_melanoma))


def proportion_metrics(counts: ConfusionCounts, confidence: float = 0.95) -> dict[str, Metric]:
    """Take the figures that count successes in a fixed number of images, with Wilson's intervals.

    Parameters
    ----------
    counts : ConfusionCounts
        The four counts; a class may be missing.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    dict of str to Metric
        accuracy, sensitivity, specificity, precision and NPV; NaN where there is nothing to count in.

    Examples
    --------
    >>> proportion_metrics(ConfusionCounts(tn=72, fp=3, fn=17, tp=58))["sensitivity"].n
    75
    """
    figures = {}
    for name, ratio in _PROPORTIONS.items():
        successes, n = map(int, ratio(counts))
        figures[name] = Metric(
            successes / n if n else float("nan"), *wilson_interval(successes, n, confidence), n, "wilson"
        )
    return figures


def tally_metrics(
    names: Iterable[str], melanoma: NDArray[np.int64], benign: NDArray[np.int64], n_above: int
) -> NDArray[np.float64]:
    """Figures of one or many tallies, without intervals.

    Parameters
    ----------
    names : iterable of str
        Some of `LABELS`.
    melanoma, benign : ndarray of int of shape (..., n_scores)
        Images of each class at each distinct score, highest first; leading axes are resamples.
    n_above : int
        How many of the distinct scores are predicted melanoma.

    Returns
    -------
    ndarray of shape (n_names, ...)
        NaN where a figure is undefined.
    """
    ranked = {"auc": _auc, "partial_auc": _partial_auc, "average_precision": _average_precision}
    tp, fp = (side[..., :n_above].sum(axis=-1) for side in (melanoma, benign))
    fn, tn = (side[..., n_above:].sum(axis=-1) for side in (melanoma, benign))
    return np.stack(
        [ranked[name](melanoma, benign) if name in ranked else confusion_metric(name, tn, fp, fn, tp) for name in names]
    )


def by_resampling(names: Iterable[str]) -> list[tuple[bool, list[str]]]:
    """Say which figures are resampled within each class, and which with the share of melanomas.

    Parameters
    ----------
    names : iterable of str
        Some of `LABELS`.

    Returns
    -------
    list of tuple of (bool, list of str)
        Whether the resampling is stratified, and the figures that it serves.
    """
    wanted = list(names)
    within_classes = [name for name in wanted if name not in OF_PREVALENCE]
    from_all = [name for name in wanted if name in OF_PREVALENCE]
    return [(stratified, half) for stratified, half in ((True, within_classes), (False, from_all)) if half]


# In the formulas below the last axis runs over distinct scores, highest first; leading axes are resamples.
def _auc(melanoma: NDArray[np.int64], benign: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mann and Whitney's statistic: pairs won and half the pairs tied, over all pairs."""
    outscoring = melanoma.cumsum(axis=-1) - melanoma / 2
    return _divide((outscoring * benign).sum(axis=-1), melanoma.sum(axis=-1) * benign.sum(axis=-1))


def _partial_auc(melanoma: NDArray[np.int64], benign: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum up the specificity over the sensitivities above the one that counts; within a score it is a straight line."""
    found, n_melanoma = melanoma.cumsum(axis=-1), melanoma.sum(axis=-1)
    above = np.clip(found - _LEAST_SENSITIVITY * n_melanoma[..., np.newaxis], 0, melanoma)
    # Of the melanomas at a score those that count come last: by then half of that share of its benign images are left.
    alarms = benign.cumsum(axis=-1) - benign * (above / np.maximum(melanoma, 1) / 2)
    spared = benign.sum(axis=-1)[..., np.newaxis] - alarms
    return _divide((above * spared).sum(axis=-1), n_melanoma * benign.sum(axis=-1))


def _average_precision(melanoma: NDArray[np.int64], benign: NDArray[np.int64]) -> NDArray[np.float64]:
    found = melanoma.cumsum(axis=-1)
    # A resample may leave the highest scores empty: no melanoma is found there, whatever the precision.
    predicted = np.maximum(found + benign.cumsum(axis=-1), 1)
    return _divide((melanoma * (found / predicted)).sum(axis=-1), melanoma.sum(axis=-1))


def _root_of_margins(c: ConfusionCounts) -> _Counts:
    """Square root of the product of the four sums of a matrix, two at a time: of all four int64 may be too small."""
    return np.sqrt((c.tp + c.fp) * c.n_melanoma) * np.sqrt((c.tn + c.fn) * c.n_benign)


def _likelihood_ratios(counts: ConfusionCounts, confidence: float) -> dict[str, Metric]:
    tn, fp, fn, tp = counts
    sides = {"lr_positive": (tp, fp), "lr_negative": (fn, tn)}
    return {name: _ratio_of_rates(*side, counts, confidence) for name, side in sides.items()}


def _ratio_of_rates(melanoma: int, benign: int, counts: ConfusionCounts, confidence: float) -> Metric:
    """How many of the melanomas are called so, over how many of the benign images, by the log method."""
    if not benign or not counts.n_melanoma:
        return Metric(float("nan"), float("nan"), float("nan"), counts.n, "simel")
    n_melanoma, n_benign = counts.n_melanoma, counts.n_benign
    value = melanoma / n_melanoma / (benign / n_benign)
    half_more = 0.0 if melanoma else 0.5
    a, b, m, n = (count + half_more for count in (melanoma, benign, n_melanoma, n_benign))
    spread = float(norm.isf((1 - confidence) / 2) * np.sqrt(1 / a - 1 / m + 1 / b - 1 / n))
    ends = (a / m / (b / n) * np.exp(side) for side in (-spread, spread))
    low, high = map(float, ends)
    return Metric(value, min(low, value), max(high, value), counts.n, "simel")


def _ranked_figures(
    truth: NDArray[np.int64], scores: NDArray[np.float64], groups: ArrayLike | None, confidence: float
) -> dict[str, Metric]:
    """Figures of the order of the images, which have intervals by formula."""
    names = ("auc", "average_precision")
    if truth.min() == truth.max():
        nothing = float("nan")
        return dict.fromkeys(names, Metric(nothing, nothing, nothing, len(truth), "undefined"))
    found = (interval(truth, scores, groups, confidence) for interval in (auc_interval, average_precision_interval))
    return {
        name: Metric(value, low, high, len(truth), method)
        for name, (value, low, high, method) in zip(names, found, strict=True)
    }


def _grouped_proportions(
    truth: NDArray[np.int64], called: NDArray[np.bool_], groups: ArrayLike, confidence: float
) -> dict[str, Metric]:
    """Wilson's intervals of as many independent images as those that belong together are worth [8]_."""
    group = number_groups(groups, len(truth))
    melanoma = truth == 1
    among = {
        "accuracy": (np.ones_like(called), called == melanoma),
        "sensitivity": (melanoma, called),
        "specificity": (~melanoma, ~called),
        "precision": (called, melanoma),
        "npv": (~called, ~melanoma),
    }
    figures = {}
    for name, (rows, right) in among.items():
        n, successes = int(rows.sum()), int(right[rows].sum())
        value = successes / n if n else float("nan")
        worth = effective_size(right[rows], group[rows])
        ends = wilson_interval(worth if successes == n else value * worth, worth, confidence)
        figures[name] = Metric(value, *ends, n, "clustered wilson")
    return figures


def _divide(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """Divide; what has the denominator 0 is undefined."""
    above, below = np.asarray(numerator), np.asarray(denominator)
    undefined = np.full(np.broadcast(above, below).shape, np.nan)
    return np.divide(above, below, out=undefined, where=below > 0)


def _figures(
    names: Collection[str], resampling: Resampling, threshold: float, confidence: float, method: str
) -> dict[str, Metric]:
    """Figures of a tally with intervals; those of counts by formula, unless the images belong together in groups."""
    scores, melanoma, benign = resampling.tally
    tp, fp = (int(side[scores > threshold].sum()) for side in (melanoma, benign))
    counts = ConfusionCounts(int(benign.sum()) - fp, fp, int(melanoma.sum()) - tp, tp)
    figures = {}
    if method == method_name(None):
        figures = proportion_metrics(counts, confidence) | _likelihood_ratios(counts, confidence)
    for stratified, wanted in by_resampling(name for name in names if name not in figures):

        def figure(scores: Any, melanoma: Any, benign: Any, wanted: list[str] = wanted) -> NDArray[np.float64]:
            return tally_metrics(wanted, melanoma, benign, int((scores > threshold).sum()))

        values, resampled = resampling.measure(figure, stratified=stratified)
        ends = percentile_interval(values, resampled, confidence)
        for name, value, (low, high) in zip(wanted, values, ends.T, strict=True):
            low, high = np.clip((low, high), *RANGES.get(name, (0, 1)))
            figures[name] = Metric(float(value), float(low), float(high), counts.n, method)
    return {name: figures[name] for name in names}
