"""Figures of a binary classifier, each with an interval and its n.

Class 1 is melanoma, a score is the probability of melanoma, and an image is
predicted melanoma when its score lies strictly above the threshold, which is the
rule of the ISIC challenges.

Two ways to an interval:

* A figure that counts successes in a fixed number of images (accuracy,
  sensitivity, specificity, precision, NPV) gets Wilson's score interval [1]_.
* Every other figure gets the percentile bootstrap [2]_, stratified: melanoma
  and benign images are resampled separately, so that each resample keeps the
  class sizes of the test. All of these figures share the same resamples.

Where a denominator is zero the figure is undefined and its value is NaN, never
0 and never 1.

References
----------
.. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical
   inference", Journal of the American Statistical Association 22, 1927.
.. [2] B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993,
   chapters 8 and 13.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from melanoma_tl.errors import DatasetError, ParameterError

LABELS = MappingProxyType(
    {
        "auc": "AUC",
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
}
_RATIOS = _PROPORTIONS | _OTHER_RATIOS

CONFUSION_METRICS = tuple(name for name in LABELS if name in _RATIOS)
"""The figures that the four counts of a confusion matrix determine."""

# Cells (resamples x distinct scores) held at once: bounds the bootstrap to some 100 MB at any number of images.
_BATCH_CELLS = 1_000_000


@dataclass(frozen=True)
class Metric:
    """One figure, its interval, and what they rest on.

    Parameters
    ----------
    value : float
        The figure, 0 to 1; NaN where it is undefined.
    low, high : float
        Ends of the confidence interval; NaN where the figure is undefined.
    n : int
        The number of images in the denominator: melanoma images for sensitivity,
        benign ones for specificity, images predicted melanoma for precision, images
        predicted benign for NPV, all images for the others.
    method : {"wilson", "bootstrap"}
        How the interval was made.
    """

    value: float
    low: float
    high: float
    n: int
    method: str


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion.

    Parameters
    ----------
    successes : int
        Number of successes, 0 to `n`.
    n : int
        Number of trials.
    confidence : float, default=0.95
        Coverage, between 0 and 1.

    Returns
    -------
    low, high : float
        Ends of the interval, 0 to 1; both NaN when `n` is 0.

    Examples
    --------
    >>> low, high = wilson_interval(130, 150)
    >>> f"{low:.3f} {high:.3f}"
    '0.803 0.912'
    """
    if n == 0:
        return float("nan"), float("nan")
    interval = binomtest(int(successes), int(n)).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


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
    truth = np.asarray(y_true, dtype=bool)
    predicted = np.asarray(y_score, dtype=np.float64) > threshold
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
        The figure, 0 to 1, in the broadcast shape; NaN where its denominator is 0.

    Notes
    -----
    F1 and the Dice coefficient are the same number, ``2 tp / (2 tp + fp + fn)``.
    IoU (the Jaccard index) of a class is its correct images over all images that
    are of the class or predicted to be: ``tp / (tp + fp + fn)`` for melanoma and
    ``tn / (tn + fp + fn)`` for benign.

    Examples
    --------
    >>> float(confusion_metric("iou_benign", 72, 3, 17, 58).round(4))
    0.7826
    """
    numerator, denominator = map(np.asarray, _RATIOS[name](ConfusionCounts(tn, fp, fn, tp)))
    undefined = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)


def threshold_metrics(tn: int, fp: int, fn: int, tp: int) -> dict[str, float]:
    """All figures of a confusion matrix.

    Parameters
    ----------
    tn, fp, fn, tp : int
        The counts.

    Returns
    -------
    dict of str to float
        A value, 0 to 1 or NaN, for each name in `CONFUSION_METRICS`.

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

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    tally = _Tally.of(y_true, y_score)
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

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    tally = _Tally.of(y_true, y_score)
    return float(_average_precision(tally.melanoma, tally.benign))


def score_metrics(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    threshold: float = 0.5,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
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

    Returns
    -------
    dict of str to Metric
        One entry for each name in `LABELS`.

    Raises
    ------
    DatasetError
        If there is no image, or only one class.
    ParameterError
        If a parameter is out of its range.

    Notes
    -----
    The percentile bootstrap cannot see errors that did not occur: for scores
    that separate the classes perfectly it returns the interval [1, 1], whatever
    the n. The number of resamples limits the precision of the ends to about
    0.002 at the default.

    Examples
    --------
    >>> figures = score_metrics([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> figures["sensitivity"].value, figures["sensitivity"].n
    (0.5, 2)
    """
    tally = _Tally.of(y_true, y_score)
    figures = _figures(tally, threshold, confidence, n_resamples, random_state)
    return {name: figures[name] for name in LABELS}


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
    # A matrix is a set of scores that takes two values, the calls themselves.
    tally = _Tally(np.array([1.0, 0.0]), np.array([counts.tp, counts.fn]), np.array([counts.fp, counts.tn]))
    figures = _figures(tally, 0.5, confidence, n_resamples, random_state)
    return {name: figures[name] for name in CONFUSION_METRICS}


class _Tally(NamedTuple):
    """Images of each class at each distinct score, highest score first: all that any figure depends on."""

    scores: NDArray[np.float64]
    melanoma: NDArray[np.int64]
    benign: NDArray[np.int64]

    @classmethod
    def of(cls, y_true: ArrayLike, y_score: ArrayLike) -> "_Tally":
        truth = np.asarray(y_true, dtype=bool)
        scores, cell = np.unique(np.asarray(y_score, dtype=np.float64), return_inverse=True)
        counts = [np.bincount(cell[side], minlength=len(scores))[::-1] for side in (truth, ~truth)]
        return cls(scores[::-1], *counts)


# In the formulas below the last axis runs over distinct scores, highest first; leading axes are resamples.
def _auc(melanoma: NDArray[np.int64], benign: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mann and Whitney's statistic: pairs won and half the pairs tied, over all pairs."""
    outscoring = melanoma.cumsum(axis=-1) - melanoma / 2
    return (outscoring * benign).sum(axis=-1) / (melanoma.sum(axis=-1) * benign.sum(axis=-1))


def _average_precision(melanoma: NDArray[np.int64], benign: NDArray[np.int64]) -> NDArray[np.float64]:
    found = melanoma.cumsum(axis=-1)
    # A resample may leave the highest scores empty: no melanoma is found there, whatever the precision.
    predicted = np.maximum(found + benign.cumsum(axis=-1), 1)
    return (melanoma * (found / predicted)).sum(axis=-1) / melanoma.sum(axis=-1)


def _split(melanoma: NDArray[np.int64], benign: NDArray[np.int64], n_above: int) -> ConfusionCounts:
    """Confusion matrices (int arrays) when the `n_above` highest of the distinct scores are predicted melanoma."""
    tp, fp = (side[..., :n_above].sum(axis=-1) for side in (melanoma, benign))
    fn, tn = (side[..., n_above:].sum(axis=-1) for side in (melanoma, benign))
    return ConfusionCounts(tn, fp, fn, tp)


def _bootstrapped(melanoma: NDArray[np.int64], benign: NDArray[np.int64], n_above: int) -> NDArray[np.float64]:
    """Every figure that is no plain proportion, as rows in the order of `_BOOTSTRAPPED`."""
    counts = _split(melanoma, benign, n_above)
    ratios = [confusion_metric(name, *counts) for name in _OTHER_RATIOS]
    return np.stack([_auc(melanoma, benign), _average_precision(melanoma, benign), *ratios])


_BOOTSTRAPPED = ("auc", "average_precision", *_OTHER_RATIOS)


def _resample(counts: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many images as there are, with replacement, `size` times; only the tally of each draw is made."""
    occupied = np.flatnonzero(counts)
    total = counts.sum()
    drawn = np.zeros((size, len(counts)), dtype=np.int64)
    drawn[:, occupied] = rng.multinomial(total, counts[occupied] / total, size=size)
    return drawn


def _bootstrap_intervals(
    tally: _Tally, n_above: int, confidence: float, n_resamples: int, random_state: int
) -> NDArray[np.float64]:
    """Stratified percentile bootstrap: an array of shape (2, len(_BOOTSTRAPPED)) of lower and upper ends."""
    rng = np.random.default_rng(random_state)
    batch = max(1, _BATCH_CELLS // len(tally.scores))
    sizes = [min(batch, n_resamples - start) for start in range(0, n_resamples, batch)]
    draws = [
        _bootstrapped(_resample(tally.melanoma, size, rng), _resample(tally.benign, size, rng), n_above)
        for size in sizes
    ]
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    return np.quantile(np.concatenate(draws, axis=-1), tails, axis=-1)


def _figures(
    tally: _Tally, threshold: float, confidence: float, n_resamples: int, random_state: int
) -> dict[str, Metric]:
    _check(tally, threshold, confidence, n_resamples)
    n_above = int((tally.scores > threshold).sum())
    counts = _split(tally.melanoma, tally.benign, n_above)
    figures = {}
    for name, ratio in _PROPORTIONS.items():
        successes, n = map(int, ratio(counts))
        value = successes / n if n else float("nan")
        figures[name] = Metric(value, *wilson_interval(successes, n, confidence), n, "wilson")
    values = _bootstrapped(tally.melanoma, tally.benign, n_above)
    lows, highs = _bootstrap_intervals(tally, n_above, confidence, n_resamples, random_state)
    for name, value, low, high in zip(_BOOTSTRAPPED, values, lows, highs, strict=True):
        figures[name] = Metric(float(value), float(low), float(high), int(counts.n), "bootstrap")
    return figures


def _check(tally: _Tally, threshold: object, confidence: float, n_resamples: int) -> None:
    n_melanoma, n_benign = int(tally.melanoma.sum()), int(tally.benign.sum())
    if not n_melanoma or not n_benign:
        raise DatasetError(
            f"Figures need images of both classes, got {n_melanoma} melanoma and {n_benign} benign; "
            "add images of the missing class (AUC, sensitivity and specificity do not exist without them)"
        )
    if not isinstance(threshold, int | float | np.number) or not 0 <= threshold <= 1:
        raise ParameterError(f"threshold must be a probability, 0 to 1, got {threshold!r}")
    if not 0 < confidence < 1:
        raise ParameterError(f"confidence must lie between 0 and 1, such as 0.95, got {confidence!r}")
    if n_resamples < 100:
        raise ParameterError(f"n_resamples must be at least 100 for the ends of an interval, got {n_resamples!r}")
