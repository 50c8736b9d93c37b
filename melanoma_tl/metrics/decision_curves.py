"""Decision curves (net benefit), cumulative gains, and predictive values at other prevalences.

References
----------
.. [1] A. J. Vickers and E. B. Elkin, "Decision curve analysis: a novel method for
   evaluating prediction models", Medical Decision Making 26, 2006.
.. [2] N. D. Mercaldo, K. F. Lau and X. H. Zhou, "Confidence intervals for predictive
   values with an emphasis to case-control studies", Statistics in Medicine 26, 2007:
   the logit interval (equations 8 to 11), and the adjusted one where a count is 0.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from melanoma_tl._parameters import (
    BOOTSTRAP,
    COLUMN,
    INSIDE,
    NONE,
    NUMBERS,
    checked,
    group,
    real,
    several,
    whole,
)
from melanoma_tl.metrics.confusion import COUNTS, ConfusionCounts
from melanoma_tl.metrics.resampling import Resampling, add_up, percentile_interval
from melanoma_tl.metrics.validation import check_bootstrap, check_classes, check_fraction, check_scored

THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(1, 100))
"""Default threshold probabilities of a decision curve: 1 % to 99 % in steps of 1 %."""

_SHARES = np.linspace(0, 1, 101)


class DecisionCurve(NamedTuple):
    """Net benefit as a function of the threshold probability; cutting out no lesion has the net benefit 0.

    Attributes
    ----------
    thresholds : ndarray of shape (n_thresholds,)
        The probability of melanoma above which a lesion would be cut out.
    net_benefit : ndarray of shape (n_thresholds,)
        Net benefit of cutting out the lesions that score above the threshold.
    low, high : ndarray of shape (n_thresholds,)
        Ends of the pointwise interval of the net benefit.
    treat_all : ndarray of shape (n_thresholds,)
        Net benefit of cutting out every lesion.
    """

    thresholds: NDArray[np.float64]
    net_benefit: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    treat_all: NDArray[np.float64]


@checked(thresholds=several(INSIDE, at_least=1), groups=COLUMN | NONE, **BOOTSTRAP)
def decision_curve(
    y_true: ArrayLike,
    y_score: ArrayLike,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> DecisionCurve:
    """Compute the net benefit of acting on the scores.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Calibrated probabilities of melanoma, 0 to 1; thresholds on other scores have no meaning.
    thresholds : sequence of float, default=THRESHOLDS
        Threshold probabilities, each between 0 and 1.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.

    Returns
    -------
    DecisionCurve
        One entry per threshold.

    Raises
    ------
    DatasetError
        If only one class occurs.
    ParameterError
        If a parameter is out of its range.

    Notes
    -----
    ``net benefit = tp / n - fp / n * threshold / (1 - threshold)`` [1]_: melanomas found
    per image, minus the benign lesions cut out per image, weighted by the odds of the threshold.
    It holds for the prevalence of these images; the intervals include the sampling error of the prevalence.

    Examples
    --------
    >>> curve = decision_curve([0, 0, 0, 1], [0.1, 0.3, 0.6, 0.7], [0.2, 0.5])
    >>> curve.net_benefit.tolist(), curve.treat_all.round(4).tolist()
    ([0.125, 0.0], [0.0625, -0.5])
    """
    truth, scores = check_scored(y_true, y_score)
    check_bootstrap(confidence, n_resamples)
    for threshold in thresholds:
        check_fraction("thresholds", threshold)
    at = np.asarray(thresholds, dtype=np.float64)

    def net_benefit(
        scores: NDArray[np.float64], melanoma: NDArray[np.int64], benign: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        n_above = (scores[:, None] > at).sum(axis=0)
        tp, fp = (add_up(side)[..., n_above] for side in (melanoma, benign))
        n = melanoma.sum(axis=-1, keepdims=True) + benign.sum(axis=-1, keepdims=True)
        return benefit(tp / n, fp / n, at).T

    resampling = Resampling.of(truth, scores, groups, n_resamples, random_state, cuts=at)
    values, resampled = resampling.measure(net_benefit, stratified=False)
    low, high = percentile_interval(values, resampled, confidence)
    prevalence = truth.mean()
    return DecisionCurve(at, values, low, high, benefit(prevalence, 1 - prevalence, at))


def benefit(found: Any, alarms: Any, threshold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the net benefit: melanomas found minus weighted false alarms [1]_.

    Parameters
    ----------
    found, alarms : float or ndarray, which broadcast with `threshold`
        Melanomas, and benign lesions, that are predicted melanoma, as shares of all images.
    threshold : ndarray
        The probability of melanoma above which a lesion would be cut out, between 0 and 1.

    Returns
    -------
    ndarray
        At most the prevalence; negative where the false alarms outweigh the melanomas found.

    Examples
    --------
    >>> float(benefit(0.25, 0.25, np.array(0.2)))
    0.1875
    """
    return np.asarray(found - alarms * threshold / (1 - threshold))


class GainCurve(NamedTuple):
    """Share of melanomas found as a function of the share of images examined, highest scores first.

    Attributes
    ----------
    examined : ndarray of shape (101,)
        Share of the images examined, 0 to 1.
    found : ndarray of shape (101,)
        Share of all melanomas that are among them, 0 to 1; the mean over all orders of tied images.
    low, high : ndarray of shape (101,)
        Ends of the pointwise interval of `found`.
    """

    examined: NDArray[np.float64]
    found: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def cumulative_gain(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> GainCurve:
    """Compute the share of melanomas found when the images are examined from the highest score down.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1; only their order counts.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.

    Returns
    -------
    GainCurve
        In steps of one per cent of the images.

    Raises
    ------
    DatasetError, ParameterError
        As `decision_curve`.

    Examples
    --------
    >>> curve = cumulative_gain([0, 0, 0, 1], [0.1, 0.3, 0.6, 0.7])
    >>> float(curve.found[25])  # the first quarter of the images holds the melanoma
    1.0
    """
    truth, scores = check_scored(y_true, y_score)
    check_bootstrap(confidence, n_resamples)
    resampling = Resampling.of(truth, scores, groups, n_resamples, random_state)
    values, resampled = resampling.measure(_gain, stratified=False)
    low, high = np.clip(percentile_interval(values, resampled, confidence), 0, 1)
    return GainCurve(_SHARES, values, low, high)


class ScoreHistogram(NamedTuple):
    """Histogram of the scores of each class.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins, 0 to 1.
    benign, melanoma : ndarray of int of shape (n_bins,)
        Images of each class in each bin; a score on an edge belongs to the upper bin, 1 to the last.
    """

    edges: NDArray[np.float64]
    benign: NDArray[np.int64]
    melanoma: NDArray[np.int64]


@checked(n_bins=whole(at_least=1, at_most=10_000))
def score_histogram(y_true: ArrayLike, y_score: ArrayLike, *, n_bins: int = 20) -> ScoreHistogram:
    """Count the scores of each class in bins of equal width.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.
    n_bins : int, default=20
        At least 1.

    Returns
    -------
    ScoreHistogram
        The counts.

    Raises
    ------
    DatasetError, ParameterError
        As `decision_curve`.

    Examples
    --------
    >>> counts = score_histogram([0, 0, 1], [0.1, 0.3, 0.7], n_bins=2)
    >>> counts.benign.tolist(), counts.melanoma.tolist()
    ([2, 0], [0, 1])
    """
    truth, scores = check_scored(y_true, y_score)
    edges = np.linspace(0, 1, n_bins + 1)
    return ScoreHistogram(edges, *(np.histogram(scores[truth == label], edges)[0] for label in (0, 1)))


class PredictiveValues(NamedTuple):
    """PPV and NPV at stated prevalences of melanoma.

    Attributes
    ----------
    prevalence : ndarray of shape (n,)
        Share of melanomas.
    ppv, ppv_low, ppv_high : ndarray of shape (n,)
        Share of melanomas among those predicted melanoma, with its interval; NaN where none is predicted.
    npv, npv_low, npv_high : ndarray of shape (n,)
        Share of benign lesions among those predicted benign, with its interval; NaN where none is predicted.
    """

    prevalence: NDArray[np.float64]
    ppv: NDArray[np.float64]
    ppv_low: NDArray[np.float64]
    ppv_high: NDArray[np.float64]
    npv: NDArray[np.float64]
    npv_low: NDArray[np.float64]
    npv_high: NDArray[np.float64]


@checked(
    counts=COUNTS,
    prevalence=NUMBERS,
    confidence=INSIDE,
    worth=group(real(above=0), 2, "two numbers of images, such as (60, 200)") | NONE,
)
def predictive_values(
    counts: ConfusionCounts,
    prevalence: ArrayLike,
    confidence: float = 0.95,
    *,
    worth: tuple[float, float] | None = None,
) -> PredictiveValues:
    """Compute PPV and NPV at other prevalences from sensitivity and specificity, by Bayes' theorem.

    Parameters
    ----------
    counts : ConfusionCounts
        The counts that sensitivity and specificity are computed from; both classes must occur.
    prevalence : float or array-like of float of shape (n,)
        Between 0 and 1.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.
    worth : tuple of float, optional
        Effective sample sizes of the melanomas and of the benign images, where several are of one patient (Rao and
        Scott 1992); the numbers of images by default.

    Returns
    -------
    PredictiveValues
        One entry per prevalence.

    Raises
    ------
    DatasetError
        If a class has no image.
    ParameterError
        If `counts` is something else, or a prevalence or the confidence is out of its range.

    Notes
    -----
    ``logit(ppv) = logit(prevalence) + log(sensitivity / (1 - specificity))``, and
    likewise for NPV; the intervals are computed on this scale [2]_. Where one of the four
    counts is 0, half the squared normal quantile is added to each, and the interval is widened
    to include the unadjusted value. The prevalence is taken as known.

    Examples
    --------
    >>> values = predictive_values(ConfusionCounts(tn=72, fp=3, fn=17, tp=58), [0.5, 0.02])
    >>> values.ppv.round(3).tolist()
    [0.951, 0.283]
    """
    check_classes(counts.n_melanoma, counts.n_benign)
    check_fraction("confidence", confidence)
    shares = np.atleast_1d(np.asarray(prevalence, dtype=np.float64))
    for share in shares:
        check_fraction("prevalence", float(share))
    tn, fp, fn, tp = map(float, counts)
    if worth is not None:
        melanoma, benign = worth[0] / counts.n_melanoma, worth[1] / counts.n_benign
        tn, fp, fn, tp = tn * benign, fp * benign, fn * melanoma, tp * melanoma
    ppv = _predictive_value(tp, fn, fp, tn, shares, confidence)
    npv = _predictive_value(tn, fp, fn, tp, 1 - shares, confidence)
    return PredictiveValues(shares, *ppv, *npv)


def _predictive_value(
    right: float, missed: float, wrong: float, refused: float, shares: NDArray[np.float64], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the predictive value of a class at the given prevalences, and its interval.

    Images of the class are predicted (`right`) or not (`missed`); so are images of the other (`wrong`, `refused`).
    """
    if not right and not wrong:
        nothing = np.full_like(shares, np.nan)
        return nothing, nothing, nothing
    hits, alarms = right / (right + missed), wrong / (wrong + refused)
    value = shares * hits / (shares * hits + (1 - shares) * alarms)
    z = norm.isf((1 - confidence) / 2)
    cells = np.array([right, missed, wrong, refused], dtype=float)
    a, b, c, d = cells if cells.all() else cells + z**2 / 2
    middle = logit(shares) + np.log(a / (a + b) / (c / (c + d)))
    half = z * np.sqrt(b / (a + b) / a + d / (c + d) / c)
    return value, np.minimum(expit(middle - half), value), np.maximum(expit(middle + half), value)


def _gain(scores: NDArray[np.float64], melanoma: NDArray[np.int64], benign: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of melanomas found at each share of the images, as rows, for one or many resamples."""
    if melanoma.ndim > 1:
        return np.stack([_gain(scores, *one) for one in zip(melanoma, benign, strict=True)], axis=-1)
    if not melanoma.any():  # a resample of groups may have no melanoma
        return np.full_like(_SHARES, np.nan)
    examined, found = add_up(melanoma + benign), add_up(melanoma)
    return np.interp(_SHARES, examined / examined[-1], found / found[-1])
