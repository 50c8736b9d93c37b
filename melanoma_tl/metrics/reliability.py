"""Metrics of calibration: reliability curve, calibration error, intercept and slope, Brier score.

References
----------
.. [1] G. W. Brier, "Verification of forecasts expressed in terms of probability",
   Monthly Weather Review 78, 1950.
.. [2] M. P. Naeini, G. F. Cooper and M. Hauskrecht, "Obtaining well calibrated
   probabilities using Bayesian binning", AAAI 2015: the expected calibration error.
.. [3] D. R. Cox, "Two further applications of a model for binary regression",
   Biometrika 45, 1958; E. W. Steyerberg, "Clinical Prediction Models", 2nd edition,
   2019, section 15.3: calibration intercept and slope.
.. [4] T. Dimitriadis, T. Gneiting and A. I. Jordan, "Stable reliability diagrams for
   probabilistic classifiers", PNAS 118(8), 2021: the decomposition.
.. [5] K.-Y. Liang and S. L. Zeger, "Longitudinal data analysis using generalized
   linear models", Biometrika 73, 1986: the sandwich variance of grouped images; for
   independent images it is that of H. White, "Maximum likelihood estimation of
   misspecified models", Econometrica 50, 1982.
"""

from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from melanoma_tl._parameters import BOOTSTRAP, COLUMN, INSIDE, NONE, checked, choice, whole
from melanoma_tl.errors import ParameterError
from melanoma_tl.metrics.calibration import EDGE, FAR, log_odds, regress
from melanoma_tl.metrics.few import count_units, mark_few
from melanoma_tl.metrics.intervals import effective_size, wilson_interval
from melanoma_tl.metrics.metric import Metric
from melanoma_tl.metrics.resampling import Resampling, ScoreCounts, method_name, number_groups, percentile_interval
from melanoma_tl.metrics.validation import check_bootstrap, check_fraction, check_lengths, check_scored

CALIBRATION_LABELS = MappingProxyType(
    {
        "brier": "Brier score",
        "log_loss": "Log loss",
        "ece_quantile": "Calibration error, equal-mass bins",
        "ece_uniform": "Calibration error, equal-width bins",
        "calibration_intercept": "Calibration intercept",
        "calibration_slope": "Calibration slope",
    }
)
"""Every metric of `calibration_metrics`, in the order shown, with its label."""

STRATEGIES = ("quantile", "uniform")
"""Binning strategies, with the names of scikit-learn's ``calibration_curve``: equal mass, equal width."""

_N_BINS = 10


class ReliabilityCurve(NamedTuple):
    """Mean score and observed share of melanomas per bin; empty bins are left out.

    Attributes
    ----------
    mean_score : ndarray of shape (n_bins,)
        Mean score of the images in each bin.
    melanoma_share : ndarray of shape (n_bins,)
        Share of melanomas among them, 0 to 1.
    low, high : ndarray of shape (n_bins,)
        Ends of Wilson's interval of the share.
    n : ndarray of int of shape (n_bins,)
        Number of images in each bin.
    """

    mean_score: NDArray[np.float64]
    melanoma_share: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n: NDArray[np.int64]


@checked(
    n_bins=whole(at_least=1, at_most=10_000), strategy=choice(*STRATEGIES), confidence=INSIDE, groups=COLUMN | NONE
)
def reliability_curve(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    n_bins: int = _N_BINS,
    strategy: str = "quantile",
    confidence: float = 0.95,
    groups: ArrayLike | None = None,
) -> ReliabilityCurve:
    """Compare mean score and share of melanomas in bins of scores.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.
    n_bins : int, default=10
        At least 1.
    strategy : {"quantile", "uniform"}, default="quantile"
        Bins with equally many images, or of equal width. Images with the same score are
        always in the same bin, so that bins are of equal mass only up to ties; a score on
        the edge of two bins of equal width belongs to the lower one.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.
    groups : array-like of shape (n,), optional
        The group of each image, such as its patient: Wilson's intervals then use the effective sample
        size of each bin (Rao and Scott 1992).

    Returns
    -------
    ReliabilityCurve
        Bins from the lowest scores to the highest.

    Raises
    ------
    DatasetError, ParameterError
        As `fit_calibration`, or if a parameter is out of its range.

    Examples
    --------
    >>> curve = reliability_curve([0, 0, 0, 1], [0.1, 0.2, 0.6, 0.7], n_bins=2)
    >>> curve.mean_score.round(2).tolist(), curve.melanoma_share.tolist()
    ([0.15, 0.65], [0.0, 0.5])
    """
    check_fraction("confidence", confidence)
    truth, scored = check_scored(y_true, y_score)
    check_lengths(len(scored), groups=groups)
    tally = ScoreCounts.of(truth, scored)
    edges = _edges(tally, n_bins, strategy)
    bins = np.searchsorted(edges, tally.scores)
    n, melanomas, scores = (
        np.bincount(bins, weights=weights, minlength=n_bins)
        for weights in (tally.melanoma + tally.benign, tally.melanoma, (tally.melanoma + tally.benign) * tally.scores)
    )
    filled = n > 0
    n, melanomas, scores = n[filled], melanomas[filled], scores[filled]
    worth = n
    if groups is not None:
        belongs, bin_of_image = np.asarray(groups, dtype=object), np.searchsorted(edges, scored)
        inside = [bin_of_image == number for number in np.flatnonzero(filled)]
        worth = np.array([effective_size(truth[rows], belongs[rows]) for rows in inside])
    low, high = wilson_interval(melanomas / n * worth, worth, confidence)
    return ReliabilityCurve(scores / n, melanomas / n, low, high, n.astype(np.int64))


@checked(n_bins=whole(at_least=1, at_most=10_000), groups=COLUMN | NONE, **BOOTSTRAP)
def calibration_metrics(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    n_bins: int = _N_BINS,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, Metric]:
    """Compute metrics of calibration, with intervals.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.
    n_bins : int, default=10
        Number of bins of the calibration errors, at least 1.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.

    Returns
    -------
    dict of str to Metric
        One entry for each name in `CALIBRATION_LABELS`. The slope is NaN if the scores separate the
        classes or do not vary, and the intercept if all scores are 0 or 1: the regression then has no
        solution.

    Raises
    ------
    DatasetError, ParameterError
        As `fit_calibration`, or if a parameter is out of its range.

    Notes
    -----
    Brier score [1]_: mean of ``(score - truth) ** 2``. Log loss: mean of
    ``-log(probability of the true class)``, with scores clipped to 1.2e-7 inside 0 and 1
    (the resolution of float32). Both have percentile bootstrap intervals.

    Expected calibration error [2]_: ``sum over bins of (images in the bin / n) * |mean
    score - share of melanomas|``, for the probability of melanoma (many papers use
    that of the predicted class). It is biased upwards by chance, and more so in resamples, so
    that a percentile interval would not cover the true value. By the triangle inequality, the
    metric differs from its true value by at most the sum of the sampling errors of the bins.
    The interval is the metric plus and minus the `confidence` quantile of that sum over the
    resamples, clipped to 0 and 1. It is wide, but its coverage is at least nominal.

    Intercept and slope [3]_ are 0 and 1 for calibrated scores. The intercept is that of
    ``logit P(melanoma) = a + logit(score)``: below 0 the scores are too high on
    average. The slope is that of ``a + b * logit(score)``: below 1 they are too extreme.
    Their intervals are Wald intervals with the sandwich variance over images or groups [5]_: if
    the slope is not 1, the model of the intercept is misspecified, and its likelihood gives
    a variance that is too small.

    All of these metrics depend on the prevalence, so that the bootstrap is not stratified.

    Examples
    --------
    >>> metrics = calibration_metrics([0, 1, 0, 1, 1], [0.1, 0.3, 0.4, 0.8, 0.9])
    >>> round(metrics["brier"].value, 4)
    0.142
    """
    truth, scores = check_scored(y_true, y_score)
    check_bootstrap(confidence, n_resamples)
    check_lengths(len(scores), groups=groups)
    tally = ScoreCounts.of(truth, scores)
    edges = [_edges(tally, n_bins, strategy) for strategy in STRATEGIES]
    resampling = Resampling.of(truth, scores, groups, n_resamples, random_state, cuts=np.concatenate(edges))
    values, resampled = resampling.measure(
        lambda scores, melanoma, benign: np.concatenate(
            [_losses(scores, melanoma, benign), *(_gaps(scores, melanoma, benign, of) for of in edges)]
        ),
        stratified=False,
    )
    n, method = len(truth), method_name(groups)
    metrics = {}
    for row, name in enumerate(("brier", "log_loss")):
        low, high = percentile_interval(values[[row]], resampled[[row]], confidence)[:, 0]
        metrics[name] = Metric(float(values[row]), float(low), float(high), n, method)
    gaps = zip(*(np.split(rows[2:], [len(edges[0]) + 1]) for rows in (values, resampled)), strict=True)
    for strategy, (here, drawn) in zip(STRATEGIES, gaps, strict=True):
        value = float(np.abs(here).sum())
        reach = float(np.quantile(np.abs(drawn - here[:, np.newaxis]).sum(axis=0), confidence))
        metrics[f"ece_{strategy}"] = Metric(
            value, max(value - reach, 0.0), min(value + reach, 1.0), n, f"{method} bound"
        )
    numbers = None if groups is None else number_groups(groups, len(truth))
    metrics["calibration_intercept"] = _fit_intercept(truth, log_odds(scores), numbers, confidence)
    metrics["calibration_slope"] = _fit_slope(truth, log_odds(scores), numbers, confidence)
    return mark_few(metrics, count_units(truth, groups))


class BrierDecomposition(NamedTuple):
    """The Brier score as ``miscalibration - discrimination + uncertainty``.

    Attributes
    ----------
    miscalibration : float
        Decrease of the Brier score by the best increasing recalibration; 0 for calibrated scores.
    discrimination : float
        Decrease of the Brier score from the constant prediction to the recalibrated scores.
    uncertainty : float
        The Brier score of predicting the prevalence for all images: ``prevalence * (1 - prevalence)``.
    """

    miscalibration: float
    discrimination: float
    uncertainty: float


def decompose_brier(y_true: ArrayLike, y_score: ArrayLike) -> BrierDecomposition:
    """Decompose the Brier score into miscalibration, discrimination and uncertainty.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.

    Returns
    -------
    BrierDecomposition
        Exact, and without bins: the recalibration is the isotonic regression of the
        labels on the scores [4]_.

    Raises
    ------
    DatasetError, ParameterError
        As `fit_calibration`.

    Examples
    --------
    >>> parts = decompose_brier([0, 1, 0, 1, 1], [0.1, 0.3, 0.4, 0.8, 0.9])
    >>> [round(part, 3) for part in parts]
    [0.042, 0.14, 0.24]
    """
    from sklearn.isotonic import IsotonicRegression

    truth, scores = check_scored(y_true, y_score)
    recalibrated = IsotonicRegression().fit(scores, truth).predict(scores)
    given, best = (float(np.mean((values - truth) ** 2)) for values in (scores, recalibrated))
    uncertainty = float(truth.mean() * (1 - truth.mean()))
    return BrierDecomposition(given - best, uncertainty - best, uncertainty)


def _edges(tally: ScoreCounts, n_bins: int, strategy: str) -> NDArray[np.float64]:
    """Return the upper edges of all bins but the last: a score on an edge is in the lower bin."""
    if not isinstance(n_bins, int | np.integer) or n_bins < 1:
        raise ParameterError(f"n_bins must be a whole number of at least 1, got {n_bins!r}")
    if strategy not in STRATEGIES:
        raise ParameterError(f"strategy must be one of {', '.join(map(repr, STRATEGIES))}, got {strategy!r}")
    if strategy == "uniform":
        return np.linspace(0, 1, n_bins + 1)[1:-1]
    images = (tally.melanoma + tally.benign)[::-1]
    # Twice the rank of the middle image of each score, in whole numbers.
    middle = 2 * images.cumsum() - images
    ends = np.flatnonzero(np.diff(n_bins * middle // (2 * images.sum())))
    return tally.scores[::-1][ends]


def _losses(scores: NDArray[np.float64], melanoma: NDArray[np.int64], benign: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute Brier score and log loss of one or many resamples, as rows."""
    inside = np.clip(scores, EDGE, 1 - EDGE)
    brier = melanoma @ (1 - scores) ** 2 + benign @ scores**2
    log_loss = -(melanoma @ np.log(inside) + benign @ np.log1p(-inside))
    return np.stack([brier, log_loss]) / (melanoma.sum(axis=-1) + benign.sum(axis=-1))


def _gaps(
    scores: NDArray[np.float64],
    melanoma: NDArray[np.int64],
    benign: NDArray[np.int64],
    edges: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Compute share of melanomas minus mean score per bin, times the bin's share of images, for each resample."""
    n = melanoma.sum(axis=-1) + benign.sum(axis=-1)
    in_bin = np.searchsorted(edges, scores) == np.arange(len(edges) + 1)[:, np.newaxis]
    # The sum over the images of a bin of (truth - score), divided by n.
    return in_bin @ (melanoma * (1 - scores) - benign * scores).T / n


def _fit_intercept(
    truth: NDArray[np.int64], odds: NDArray[np.float64], groups: NDArray[np.int64] | None, confidence: float
) -> Metric:
    if np.abs(odds).min() >= log_odds(np.ones(1))[0]:  # all scores are 0 or 1: all log odds are clipped
        return Metric(np.nan, np.nan, np.nan, len(truth), "robust wald")

    def excess(intercept: float) -> float:
        return float(np.sum(expit(intercept + odds) - truth))

    intercept = brentq(excess, -FAR, FAR, xtol=1e-12)
    design = np.ones((len(odds), 1))
    return _wald(intercept, design, truth - expit(intercept + odds), expit(intercept + odds), groups, confidence)


def _fit_slope(
    truth: NDArray[np.int64], odds: NDArray[np.float64], groups: NDArray[np.int64] | None, confidence: float
) -> Metric:
    melanoma, benign = odds[truth == 1], odds[truth == 0]
    # Differences of log odds below the resolution of float32 count as none.
    if melanoma.min() > benign.max() - EDGE or benign.min() > melanoma.max() - EDGE:
        return Metric(np.nan, np.nan, np.nan, len(truth), "robust wald")
    design = np.stack([odds, np.ones_like(odds)], axis=1)
    fitted = regress(design, truth)
    probability = expit(design @ fitted)
    return _wald(float(fitted[0]), design, truth - probability, probability, groups, confidence)


def _wald(
    value: float,
    design: NDArray[np.float64],
    residual: NDArray[np.float64],
    probability: NDArray[np.float64],
    groups: NDArray[np.int64] | None,
    confidence: float,
) -> Metric:
    """Return the first coefficient of a logistic regression with its Wald interval."""
    bread = np.linalg.inv(design.T @ (design * (probability * (1 - probability))[:, None]))
    scores = design * residual[:, None]
    if groups is not None:
        of_image, scores = scores, np.zeros((groups.max() + 1, design.shape[1]))
        np.add.at(scores, groups, of_image)
    covariance = bread @ (scores.T @ scores) @ bread
    half = norm.isf((1 - confidence) / 2) * np.sqrt(covariance[0, 0])
    return Metric(value, float(value - half), float(value + half), len(residual), "robust wald")
