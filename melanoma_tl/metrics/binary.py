"""Metrics of a binary classifier, each with an interval and its n.

Class 1 is melanoma, a score is the probability of melanoma, and an image is
predicted melanoma when its score lies strictly above the threshold, which is the
rule of the ISIC challenges.

The intervals are computed in five ways:

* AUC and average precision have intervals on the logit scale
  (`melanoma_tl.metrics.intervals`).
* A metric that counts successes in a fixed number of images (accuracy,
  sensitivity, specificity, precision, NPV) gets Wilson's score interval [1]_.
* A likelihood ratio gets the log method [3]_; where it would need the logarithm of 0,
  half an image is added to each count [4]_.
* Every other metric gets the percentile bootstrap [2]_ (`melanoma_tl.metrics.resampling`).
* Where the sensitivity or the specificity is 0 or 1, and so is that of each resample, the intervals of both are
  combined to that of the balanced accuracy, and of grouped likelihood ratios (`melanoma_tl.metrics.mover`).

Where images are grouped (several of one patient), AUC and average precision use the
variance between patients, proportions use Wilson's interval with the effective sample
size [6]_, and all other metrics use the percentile bootstrap over the patients.

A metric whose denominator is zero is undefined; its value is NaN.

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
   1989; here over a range of sensitivities instead of false positive rates, as in
   ``score`` of the ISIC 2024 challenge on Kaggle.
.. [6] J. N. K. Rao and A. J. Scott, "A simple method for the analysis of clustered binary
   data", Biometrics 48, 1992; L. Kish, "Survey Sampling", 1965: the design effect.
"""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._parameters import BOOTSTRAP, COLUMN, NONE, PROBABILITY, checked
from melanoma_tl.metrics.confusion import (
    CONFUSION_METRICS,
    COUNTS,
    ConfusionCounts,
    confusion_metric,
    divide,
    likelihood_ratios,
    proportion_metrics,
)
from melanoma_tl.metrics.few import count_units, mark_few
from melanoma_tl.metrics.intervals import auc_interval, average_precision_interval, effective_wilson
from melanoma_tl.metrics.metric import LABELS, OF_PREVALENCE, RANGES, Metric
from melanoma_tl.metrics.mover import widen_constant
from melanoma_tl.metrics.resampling import Resampling, ScoreCounts, method_name, number_groups, percentile_interval
from melanoma_tl.metrics.validation import (
    check_bootstrap,
    check_classes,
    check_fraction,
    check_lengths,
    check_predictions,
    check_scored,
)

_LEAST_SENSITIVITY = 0.8
"""Lower end of the sensitivities that the partial AUC covers, as in the ISIC 2024 challenge."""


def roc_auc(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Compute the area under the ROC curve: how often a melanoma outscores a benign lesion; a tie counts one half.

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
        As `score_metrics`.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    tally = ScoreCounts.of(*check_scored(y_true, y_score, probabilities=False))
    return float(_auc(tally.melanoma, tally.benign))


def average_precision(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Compute the average precision: the mean of the precision at each score, weighted by the melanomas with it.

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
        steps, because linear interpolation would be too high.

    Raises
    ------
    DatasetError, ParameterError
        As `score_metrics`.

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    tally = ScoreCounts.of(*check_scored(y_true, y_score, probabilities=False))
    return float(_average_precision(tally.melanoma, tally.benign))


def partial_auc(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Compute the partial AUC above the sensitivity 0.8, by which the ISIC 2024 challenge ranked.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Scores; only their order counts.

    Returns
    -------
    float
        0 to 0.2: the specificity, integrated over sensitivities from 0.8 to 1 [5]_; 0.02 for random scores. It is not
        rescaled to 1, as ``max_fpr`` of `sklearn.metrics.roc_auc_score` does.

    Raises
    ------
    DatasetError, ParameterError
        As `score_metrics`.

    Examples
    --------
    >>> round(partial_auc([0, 0, 0, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.8]), 4)
    0.1333
    """
    tally = ScoreCounts.of(*check_scored(y_true, y_score, probabilities=False))
    return float(_partial_auc(tally.melanoma, tally.benign))


@checked(threshold=PROBABILITY, y_pred=COLUMN | NONE, groups=COLUMN | NONE, **BOOTSTRAP)
def score_metrics(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    threshold: float = 0.5,
    y_pred: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, Metric]:
    """Compute all metrics of a set of scores, with intervals.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.
    threshold : float, default=0.5
        An image is predicted melanoma when its score is strictly above.
    y_pred : array-like of shape (n,), optional
        Which images are predicted melanoma, where this does not depend on a threshold, as with several diagnoses, of
        which that with the highest score is predicted: 1 or True, or the labels of `y_true`. `threshold` is then not
        used.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.
    n_resamples : int, default=2000
        Number of bootstrap resamples.
    random_state : int, default=0
        Seed of the bootstrap.
    groups : array-like of shape (n,), optional
        The group of each image, such as its patient: images of one group are resampled
        together. An image with a missing entry forms a group of its own.

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
    Metrics that depend on the prevalence (`OF_PREVALENCE`) are resampled from all images; the
    others within each class, which keeps the class sizes.

    The percentile bootstrap cannot account for errors that did not occur: where every image
    is classified correctly, F1 has the interval [1, 1], whatever the n. With the default number
    of resamples, the ends of the intervals vary by about 0.002 from seed to seed.

    Examples
    --------
    >>> metrics = score_metrics([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> metrics["sensitivity"].value, metrics["sensitivity"].n
    (0.5, 2)
    """
    truth, scores = check_scored(y_true, y_score)
    check_fraction("threshold", threshold, ends=True)
    check_bootstrap(confidence, n_resamples)
    check_lengths(len(scores), groups=groups)
    called = check_predictions(y_pred, y_true, truth)
    return resampled_metrics(truth, scores, threshold, groups, confidence, n_resamples, random_state, called)


def resampled_metrics(
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    threshold: float,
    groups: ArrayLike | None,
    confidence: float,
    n_resamples: int,
    random_state: int,
    called: NDArray[np.bool_] | None = None,
) -> dict[str, Metric]:
    """Compute the metrics of `score_metrics` for arguments that are already checked; a class may be missing.

    Parameters
    ----------
    truth, scores : ndarray of shape (n,)
        As ``validation.check_scored`` returns them.
    threshold, groups, confidence, n_resamples, random_state
        As `score_metrics`.
    called : ndarray of bool of shape (n,), optional
        As `y_pred` of `score_metrics`.

    Returns
    -------
    dict of str to Metric
        One entry for each name in `LABELS`; NaN where a metric needs the missing class.
    """
    if called is not None:  # a prediction is a score of two values
        further: Any = (groups, confidence, n_resamples, random_state)
        of_scores = resampled_metrics(truth, scores, threshold, *further)
        return of_scores | {
            name: metric
            for name, metric in resampled_metrics(truth, called.astype(np.float64), 0.5, *further).items()
            if name in CONFUSION_METRICS
        }
    resampling = Resampling.of(truth, scores, groups, n_resamples, random_state, cuts=[threshold])
    known = _ranked_figures(truth, scores, groups, confidence)
    if groups is not None:
        known |= _grouped_proportions(truth, scores > threshold, groups, confidence)
    others = _with_intervals(
        [name for name in LABELS if name not in known], resampling, threshold, confidence, method_name(groups)
    )
    found = widen_constant(known | others)
    return mark_few({name: found[name] for name in LABELS}, count_units(truth, groups))


@checked(counts=COUNTS, **BOOTSTRAP)
def matrix_metrics(
    counts: ConfusionCounts, *, confidence: float = 0.95, n_resamples: int = 2000, random_state: int = 0
) -> dict[str, Metric]:
    """Compute all metrics of a confusion matrix, with intervals.

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
    >>> metrics = matrix_metrics(ConfusionCounts(tn=72, fp=3, fn=17, tp=58))
    >>> round(metrics["precision"].value, 4), metrics["precision"].n
    (0.9508, 61)
    """
    check_classes(counts.n_melanoma, counts.n_benign)
    # A confusion matrix is a set of scores with two values: the predictions themselves.
    tally = ScoreCounts(np.array([1.0, 0.0]), np.array([counts.tp, counts.fn]), np.array([counts.fp, counts.tn]))
    resampling = Resampling.of_tally(tally, n_resamples, random_state)
    metrics = _with_intervals(CONFUSION_METRICS, resampling, 0.5, confidence, method_name(None))
    return mark_few(widen_constant(metrics), (counts.n_benign, counts.n_melanoma))


def tally_metrics(
    names: Iterable[str], melanoma: NDArray[np.int64], benign: NDArray[np.int64], n_above: int
) -> NDArray[np.float64]:
    """Compute metrics of the score counts of one or many resamples, without intervals.

    Parameters
    ----------
    names : iterable of str
        Some of `LABELS`.
    melanoma, benign : ndarray of int of shape (..., n_scores)
        Number of images of each class at each distinct score, highest first; leading axes are resamples.
    n_above : int
        How many of the distinct scores are predicted melanoma.

    Returns
    -------
    ndarray of shape (n_names, ...)
        NaN where a metric is undefined.
    """
    ranked = {"auc": _auc, "partial_auc": _partial_auc, "average_precision": _average_precision}
    tp, fp = (side[..., :n_above].sum(axis=-1) for side in (melanoma, benign))
    fn, tn = (side[..., n_above:].sum(axis=-1) for side in (melanoma, benign))
    return np.stack(
        [ranked[name](melanoma, benign) if name in ranked else confusion_metric(name, tn, fp, fn, tp) for name in names]
    )


def by_resampling(names: Iterable[str]) -> list[tuple[bool, list[str]]]:
    """Split metrics into those resampled within each class and those resampled from all images.

    Parameters
    ----------
    names : iterable of str
        Some of `LABELS`.

    Returns
    -------
    list of tuple of (bool, list of str)
        Whether the resampling is stratified, and the metrics that it applies to.
    """
    wanted = list(names)
    within_classes = [name for name in wanted if name not in OF_PREVALENCE]
    from_all = [name for name in wanted if name in OF_PREVALENCE]
    return [(stratified, half) for stratified, half in ((True, within_classes), (False, from_all)) if half]


# In the formulas below the last axis runs over distinct scores, highest first; leading axes are resamples.
def _auc(melanoma: NDArray[np.int64], benign: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the Mann-Whitney statistic: pairs won plus half the pairs tied, divided by all pairs."""
    outscoring = melanoma.cumsum(axis=-1) - melanoma / 2
    return divide((outscoring * benign).sum(axis=-1), melanoma.sum(axis=-1) * benign.sum(axis=-1))


def _partial_auc(melanoma: NDArray[np.int64], benign: NDArray[np.int64]) -> NDArray[np.float64]:
    """Integrate the specificity over the sensitivities from 0.8 on; tied scores are joined by a straight line."""
    found, n_melanoma = melanoma.cumsum(axis=-1), melanoma.sum(axis=-1)
    above = np.clip(found - _LEAST_SENSITIVITY * n_melanoma[..., np.newaxis], 0, melanoma)
    # Of tied melanomas the last ones lie above the sensitivity 0.8. Over their stretch of the straight line, on average
    # half of the benign images on that stretch are still to come.
    alarms = benign.cumsum(axis=-1) - benign * (above / np.maximum(melanoma, 1) / 2)
    spared = benign.sum(axis=-1)[..., np.newaxis] - alarms
    return divide((above * spared).sum(axis=-1), n_melanoma * benign.sum(axis=-1))


def _average_precision(melanoma: NDArray[np.int64], benign: NDArray[np.int64]) -> NDArray[np.float64]:
    found = melanoma.cumsum(axis=-1)
    # A resample may have no image at the highest scores: the precision there is 0 / 0 and has the weight 0.
    predicted = np.maximum(found + benign.cumsum(axis=-1), 1)
    return divide((melanoma * (found / predicted)).sum(axis=-1), melanoma.sum(axis=-1))


def _ranked_figures(
    truth: NDArray[np.int64], scores: NDArray[np.float64], groups: ArrayLike | None, confidence: float
) -> dict[str, Metric]:
    """Compute the metrics of the ranking, which have intervals by formula."""
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
    """Compute proportions of grouped images, with Wilson's intervals at the effective sample size [6]_."""
    group = number_groups(groups, len(truth))
    melanoma = truth == 1
    among = {
        "accuracy": (np.ones_like(called), called == melanoma),
        "sensitivity": (melanoma, called),
        "specificity": (~melanoma, ~called),
        "precision": (called, melanoma),
        "npv": (~called, ~melanoma),
    }
    metrics = {}
    for name, (rows, right) in among.items():
        hits = right[rows]
        value = float(hits.mean()) if len(hits) else float("nan")
        metrics[name] = Metric(value, *effective_wilson(hits, group[rows], confidence), len(hits), "clustered wilson")
    return metrics


def _with_intervals(
    names: Collection[str], resampling: Resampling, threshold: float, confidence: float, method: str
) -> dict[str, Metric]:
    """Compute metrics of score counts; intervals of proportions and ratios by formula unless images are grouped."""
    scores, melanoma, benign = resampling.tally
    tp, fp = (int(side[scores > threshold].sum()) for side in (melanoma, benign))
    counts = ConfusionCounts(int(benign.sum()) - fp, fp, int(melanoma.sum()) - tp, tp)
    metrics = {}
    if method == method_name(None):
        metrics = proportion_metrics(counts, confidence) | likelihood_ratios(counts, confidence)
    for stratified, wanted in by_resampling(name for name in names if name not in metrics):

        def metric(scores: Any, melanoma: Any, benign: Any, wanted: list[str] = wanted) -> NDArray[np.float64]:
            return tally_metrics(wanted, melanoma, benign, int((scores > threshold).sum()))

        values, resampled = resampling.measure(metric, stratified=stratified)
        ends = percentile_interval(values, resampled, confidence)
        for name, value, (low, high) in zip(wanted, values, ends.T, strict=True):
            low, high = np.clip((low, high), *RANGES.get(name, (0, 1)))
            metrics[name] = Metric(float(value), float(low), float(high), counts.n, method)
    return {name: metrics[name] for name in names}
