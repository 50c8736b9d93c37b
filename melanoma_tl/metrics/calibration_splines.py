"""Smooth calibration curves: the observed share of melanomas as a function of the score, without bins.

The class is regressed on restricted cubic splines of the log odds of the score: a logistic regression that is cubic
between four knots and linear beyond the outer two [1]_, as is usual for calibration curves [2]_ [3]_. The mean absolute
distance between curve and score is the integrated calibration index [4]_.

References
----------
.. [1] F. E. Harrell, "Regression Modeling Strategies", 2nd edition, 2015, section 2.4.5: the basis, and where the knots
   lie.
.. [2] P. C. Austin and E. W. Steyerberg, "Graphical assessment of internal and external calibration of logistic
   regression models by using loess smoothers", Statistics in Medicine 33, 2014.
.. [3] B. Van Calster, D. J. McLernon, M. van Smeden, L. Wynants and E. W. Steyerberg, "Calibration: the Achilles heel
   of predictive analytics", BMC Medicine 17, 2019.
.. [4] P. C. Austin and E. W. Steyerberg, "The Integrated Calibration Index (ICI) and related metrics for quantifying
   the calibration of logistic regression models", Statistics in Medicine 38, 2019.
.. [5] Y. Vergouwe, E. W. Steyerberg, M. J. C. Eijkemans and J. D. F. Habbema, "Substantial effective sample sizes were
   required for external validation studies of predictive logistic regression models", Journal of Clinical Epidemiology
   58, 2005: a hundred events and a hundred nonevents.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from melanoma_tl._parameters import BOOTSTRAP, COLUMN, NONE, checked
from melanoma_tl.errors import DatasetError
from melanoma_tl.metrics.calibration import log_odds
from melanoma_tl.metrics.few import count_units
from melanoma_tl.metrics.metric import Metric
from melanoma_tl.metrics.resampling import Resampling, method_name, number_groups
from melanoma_tl.metrics.validation import check_bootstrap, check_lengths, check_scored

LEAST = 100
"""Smallest number of images of each class, or of patients with one, for which a curve is fitted [5]_."""

_KNOTS_AT = (0.05, 0.35, 0.65, 0.95)  # of the log odds: Harrell, table 2.3
_SHOWN = (0.01, 0.99)  # quantiles of the scores: outside them a curve would rest on hardly any image
_BEYOND = 5  # melanomas at or below the curve's lower end, and benign images at or above its upper end, at least
_N_POINTS, _N_QUANTILES = 101, 100

# A negligible ridge penalty keeps the coefficients finite where a resample almost separates the classes.
_RIDGE, _LONGEST_STEP, _MOST_STEPS, _SMALLEST_STEP = 1e-9, 4.0, 50, 1e-9


class SmoothCalibration(NamedTuple):
    """A calibration curve without bins.

    Attributes
    ----------
    score : ndarray of shape (101,)
        Evenly spaced, from the 1st to the 99th percentile of the scores. The range is narrowed until at least five
        melanomas score at most its lower end and five benign images at least its upper end (images of five groups,
        where there are groups).
    melanoma_share : ndarray of shape (101,)
        Fitted share of melanomas among images with this score, 0 to 1.
    low, high : ndarray of shape (101,)
        Ends of its pointwise interval.
    ici : Metric
        Integrated calibration index [4]_: the mean absolute distance between curve and score over the images, 0 to 1.
    """

    score: NDArray[np.float64]
    melanoma_share: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    ici: Metric


@checked(groups=COLUMN | NONE, **BOOTSTRAP)
def smooth_calibration(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> SmoothCalibration:
    """Fit a smooth calibration curve with a confidence band.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; at least 100 images of each class (of 100 groups, where there are
        groups).
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.

    Returns
    -------
    SmoothCalibration
        The band is a normal interval on the log odds of the curve, with bootstrap standard errors (over images, or
        over patients); the knots stay fixed. In simulated sets of 600 and 1,500 scores, calibrated and overconfident,
        it covered the true curve in 90 to 99 % of the sets at every point.
        The index is biased upwards, because chance keeps it above 0. Its interval is the index plus and minus the
        `confidence` quantile of the mean distance between the curves of the resamples and the curve of all images, as
        for the expected calibration error (`melanoma_tl.metrics.calibration_metrics`).

    Raises
    ------
    DatasetError
        If a class has too few images, the scores hardly vary, or they almost separate the classes.
    ParameterError
        If lengths differ, labels are not 0 and 1, scores are no probabilities, or a parameter is out of its range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scores = rng.random(2000)
    >>> curve = smooth_calibration(rng.random(2000) < scores, scores, n_resamples=100)
    >>> bool(np.abs(curve.melanoma_share - curve.score).max() < 0.1), bool(curve.ici.value < 0.05)
    (True, True)
    """
    truth, scores = check_scored(y_true, y_score)
    check_bootstrap(confidence, n_resamples)
    check_lengths(len(scores), groups=groups)
    ends = _check_enough(truth, scores, groups)
    knots = np.quantile(log_odds(scores), _KNOTS_AT)
    shown = np.linspace(*ends, _N_POINTS)
    spread = np.quantile(scores, (np.arange(_N_QUANTILES) + 0.5) / _N_QUANTILES)
    places = _design(np.concatenate([shown, spread]), knots)

    resampling = Resampling.of(truth, scores, groups, n_resamples, random_state)
    at, melanoma, benign = resampling.tally
    design = _design(at, knots)
    start = np.array([logit(truth.mean()), 0, 0, 0])
    fitted = _regress(design, melanoma[None], (melanoma + benign)[None], start)[0]

    def curve(at: Any, melanoma: Any, benign: Any) -> NDArray[np.float64]:
        """Fit the curves of one or many resamples, starting from the fit of all images; return log odds."""
        again = _regress(_design(at, knots), np.atleast_2d(melanoma), np.atleast_2d(melanoma + benign), fitted)
        return (places @ again.T).reshape(len(places), *melanoma.shape[:-1])

    values, resampled = resampling.measure(curve, stratified=False)
    half = norm.isf((1 - confidence) / 2) * resampled[:_N_POINTS].std(axis=1, ddof=1)
    low, share, high = expit(values[:_N_POINTS] + np.outer((-1, 0, 1), half))
    # The quantiles split the images into equal parts, so that a mean over them is a mean over the images.
    distances = np.abs(expit(resampled[_N_POINTS:]) - expit(values[_N_POINTS:, None])).mean(axis=0)
    index = float(np.average(np.abs(expit(design @ fitted) - at), weights=melanoma + benign))
    reach = float(np.quantile(distances, confidence))
    method = f"{method_name(groups)} bound"
    ici = Metric(index, max(index - reach, 0.0), min(index + reach, 1.0), len(truth), method)
    return SmoothCalibration(shown, share, low, high, ici)


def _check_enough(
    truth: NDArray[np.int64], scores: NDArray[np.float64], groups: ArrayLike | None
) -> tuple[float, float]:
    """Return where the curve begins and ends; raise a DatasetError if the scores do not allow a curve."""
    benign, melanoma = count_units(truth, groups)
    if min(benign, melanoma) < LEAST:
        unit = "images" if groups is None else "patients"
        raise DatasetError(
            f"A smooth calibration curve needs {LEAST} {unit} of each class, got {melanoma} melanoma and {benign} "
            "benign; use reliability_curve, whose bins need fewer"
        )
    if len(np.unique(np.quantile(log_odds(scores), _KNOTS_AT))) < len(_KNOTS_AT):
        raise DatasetError(
            "A smooth calibration curve needs scores that vary: too many of these are the same; use reliability_curve"
        )
    lowest, highest = _ends(truth, scores, groups)
    if lowest >= highest or scores[truth == 0].min() >= scores[truth == 1].max():
        raise DatasetError(
            "The scores almost separate the classes, so that no smooth curve can be fitted; use reliability_curve"
        )
    return lowest, highest


def _ends(truth: NDArray[np.int64], scores: NDArray[np.float64], groups: ArrayLike | None) -> tuple[float, float]:
    """Find where the curve begins and ends: beyond, a class has too few images, or too few patients."""
    lowest, highest = np.quantile(scores, _SHOWN)
    melanoma, benign = truth == 1, truth == 0
    low, high = pd.Series(scores[melanoma]), pd.Series(scores[benign])
    if groups is not None:
        group = number_groups(groups, len(truth))
        low, high = low.groupby(group[melanoma]).min(), high.groupby(group[benign]).max()
    return max(lowest, low.nsmallest(_BEYOND).iloc[-1]), min(highest, high.nlargest(_BEYOND).iloc[-1])


def _design(scores: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the restricted cubic spline basis of scores: 1, the log odds, and one column per knot except two."""
    odds = log_odds(scores)[:, None]
    first, *_, before, last = knots
    cubes = np.maximum(odds - knots, 0) ** 3
    inner = (
        cubes[:, :-2]
        - cubes[:, -2:-1] * (last - knots[:-2]) / (last - before)
        + cubes[:, -1:] * (before - knots[:-2]) / (last - before)
    )
    return np.concatenate([np.ones_like(odds), odds, inner / (last - first) ** 2], axis=1)


def _regress(
    design: NDArray[np.float64], melanoma: NDArray[np.int64], images: NDArray[np.int64], start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit one logistic regression per resample by Newton's method; return coefficients of shape (size, n_columns)."""
    n_columns = design.shape[1]
    squares = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    total = images.sum(axis=1, keepdims=True)
    fitted = np.tile(start, (len(melanoma), 1))
    for _ in range(_MOST_STEPS):
        probability = expit(fitted @ design.T)
        gradient = (melanoma - images * probability) @ design / total - _RIDGE * fitted
        hessian = (images * probability * (1 - probability)) @ squares / total
        hessian = hessian.reshape(-1, n_columns, n_columns) + _RIDGE * np.eye(n_columns)
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        moved = np.abs(step @ design.T).max(axis=1, keepdims=True)
        fitted += step * np.minimum(1, _LONGEST_STEP / np.maximum(moved, _LONGEST_STEP))
        if moved.max() < _SMALLEST_STEP:
            break
    return fitted
