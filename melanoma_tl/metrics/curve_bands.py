"""Pointwise bands of the ROC curve and of the precision-recall curve.

Both rest on the fiducial distributions of `melanoma_tl.metrics.specificity_at_sensitivity` [1]_, which include the
chance in choosing the threshold: of the sensitivity at each false positive rate, and of the false positive rate at each
sensitivity. The precision follows from the latter two and the prevalence by Bayes' theorem. The prevalence is drawn as
well, from the beta distribution with half an image added to each class: with the prevalence of the images taken as
known, the band held the true precision of simulated sets with a drawn number of melanomas in as few as 69 %.

Pointwise means that each interval holds the truth as often as it says at one place, and the band less often everywhere
at once [2]_.

References
----------
.. [1] J. Hannig, "On generalized fiducial inference", Statistica Sinica 19, 2009.
.. [2] S. A. Macskassy and F. Provost, "Confidence bands for ROC curves: methods and an empirical study", ROCAI 2004.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from melanoma_tl.metrics.intervals import draw_specificities, effective_size, specificity_intervals
from melanoma_tl.metrics.resampling import ScoreCounts, add_up

_RATES = np.linspace(0, 1, 51)


class Band(NamedTuple):
    """A pointwise band of a curve.

    Attributes
    ----------
    x : ndarray of shape (n,)
        Where the intervals are.
    low, high : ndarray of shape (n,)
        Their ends.
    """

    x: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def roc_band(
    y_true: NDArray[np.int64],
    y_score: NDArray[np.float64],
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> Band:
    """Find the interval of the sensitivity at each false positive rate.

    Parameters
    ----------
    y_true : ndarray of shape (n,)
        0 benign, 1 melanoma; both must occur.
    y_score : ndarray of shape (n,)
        Probabilities of melanoma.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.sensitivity_at_specificity`.

    Returns
    -------
    Band
        At false positive rates from 0 to 1; where all are predicted melanoma, all are found.
    """
    specificities = 1 - _RATES[:-1]
    ends = specificity_intervals(
        1 - y_true, -y_score, specificities.tolist(), groups, confidence, n_resamples, random_state
    )
    low, high = np.array([*ends, (1.0, 1.0)]).T
    tp, fp = _rates(y_true, y_score)
    return _widened(_RATES, low, high, np.interp(_RATES, fp, tp))


def precision_band(
    y_true: NDArray[np.int64],
    y_score: NDArray[np.float64],
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> Band:
    """Find the interval of the precision at each sensitivity, at the prevalence of the images' source.

    Parameters
    ----------
    y_true, y_score, confidence, n_resamples, random_state, groups
        As `roc_band`.

    Returns
    -------
    Band
        At sensitivities from 0.02 to 0.98: where all melanomas are found, nothing says how low the last may score.
    """
    found, prevalence = _RATES[1:-1], float(np.mean(y_true))
    worth = effective_size(y_true, groups)
    levels = (np.random.default_rng(random_state + 1).permutation(n_resamples) + 0.5) / n_resamples
    shares = betaincinv(prevalence * worth + 0.5, (1 - prevalence) * worth + 0.5, levels)
    drawn = draw_specificities(y_true, y_score, found.tolist(), groups, n_resamples, random_state)
    precisions = [_precision(one, 1 - two, shares) for one, two in zip(found, drawn, strict=True)]
    low, high = np.quantile(precisions, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    tp, fp = _rates(y_true, y_score)
    tp, first = np.unique(tp, return_index=True)  # with the fewest false alarms
    return _widened(found, low, high, _precision(found, np.interp(found, tp, fp[first]), prevalence))


def _precision(sensitivity: Any, false_alarms: Any, prevalence: Any) -> Any:
    """Return the precision by Bayes' theorem."""
    return prevalence * sensitivity / (prevalence * sensitivity + (1 - prevalence) * false_alarms)


def _rates(y_true: NDArray[np.int64], y_score: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sensitivity and false positive rate at every threshold."""
    tally = ScoreCounts.of(y_true, y_score)
    tp, fp = (add_up(side) / side.sum() for side in (tally.melanoma, tally.benign))
    return tp, fp


def _widened(
    x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], value: NDArray[np.float64]
) -> Band:
    """Reach up to what was measured, which may lie outside where nothing was seen on its other side."""
    return Band(x, np.minimum(low, value), np.maximum(high, value))
