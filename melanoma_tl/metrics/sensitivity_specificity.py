"""Specificity at a sensitivity, and sensitivity at a specificity, with their intervals.

References
----------
.. [1] T. Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27,
   2006, section 10: a point between two points of the curve is reached by
   choosing between their thresholds at random.
.. [2] N. C. F. Codella et al., "Skin lesion analysis toward melanoma detection: a
   challenge at the 2017 ISBI", 2018, and ``Python/scoreCommon.py`` in the history
   of ImageMarkup/isic-challenge-scoring: the first point of
   ``sklearn.metrics.roc_curve`` whose sensitivity is at least the one asked for.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._parameters import BOOTSTRAP, COLUMN, NONE, PROBABILITY, checked, several
from melanoma_tl.metrics.few import count_units, mark_few
from melanoma_tl.metrics.intervals import specificity_intervals
from melanoma_tl.metrics.metric import Metric
from melanoma_tl.metrics.resampling import ScoreCounts, add_up
from melanoma_tl.metrics.thresholds import check_target
from melanoma_tl.metrics.validation import check_bootstrap, check_scored

SENSITIVITIES = (0.80, 0.82, 0.89, 0.90, 0.95)
"""Default sensitivities: 0.82, 0.89 and 0.95 of the ISIC 2017 challenge, and the round values 0.80 and 0.90."""

SPECIFICITIES = (0.80, 0.90, 0.95)
"""Default specificities."""


class SpecificityAtSensitivity(NamedTuple):
    """Specificity at a given sensitivity, in two definitions.

    Attributes
    ----------
    sensitivity : float
        The given sensitivity.
    challenge : Metric
        Specificity at the first point of the ROC curve with at least this sensitivity, as in the ISIC 2017 challenge.
    interpolated : Metric
        Specificity at exactly this sensitivity, by linear interpolation between the neighbouring points of the curve.
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
    """Compute specificity at given sensitivities, in two definitions.

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
        One per sensitivity; n is the number of benign images. The intervals are fiducial
        (Hannig 2009) and include the sampling error of the threshold.

    Raises
    ------
    DatasetError
        If only one class occurs.
    ParameterError
        If a parameter is out of its range.

    Notes
    -----
    The scoring program of the challenge calls ``roc_curve``, which drops the inner points of a
    straight segment of the curve. Where images are tied, the first point with the sensitivity may
    therefore have a lower specificity; the value returned here equals that of the scoring program.

    Examples
    --------
    >>> y_true, y_score = [0, 0, 0, 0, 1, 1, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.4, 0.5, 0.7, 0.8]
    >>> (at,) = specificity_at_sensitivity(y_true, y_score, [0.9])
    >>> at.challenge.value, at.interpolated.value
    (0.75, 0.75)
    """
    truth, scores = _checked(y_true, y_score, "sensitivities", sensitivities, confidence, n_resamples)
    _, between = _both_ways(truth, scores, sensitivities)
    values = [*_official(truth, scores, sensitivities), *between]
    pairs = _with_intervals(values, truth, scores, sensitivities, groups, confidence, n_resamples, random_state)
    return tuple(
        SpecificityAtSensitivity(float(sensitivity), *pair)
        for sensitivity, pair in zip(sensitivities, pairs, strict=True)
    )


class SensitivityAtSpecificity(NamedTuple):
    """Sensitivity at a given specificity, in two definitions.

    Attributes
    ----------
    specificity : float
        The given specificity.
    reached : Metric
        The highest sensitivity among the thresholds with at least this specificity.
    interpolated : Metric
        Sensitivity at exactly this specificity, by linear interpolation between the neighbouring points of the curve.
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
    """Compute sensitivity at given specificities, in two definitions.

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
        One per specificity; n is the number of melanomas. Values and intervals are those of
        `specificity_at_sensitivity` with the classes swapped and the scores negated.

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
    truth, scores = _checked(y_true, y_score, "specificities", specificities, confidence, n_resamples)
    truth, scores = 1 - truth, -scores
    first, between = _both_ways(truth, scores, specificities)
    values = [*first, *between]
    pairs = _with_intervals(values, truth, scores, specificities, groups, confidence, n_resamples, random_state)
    return tuple(
        SensitivityAtSpecificity(float(specificity), *pair)
        for specificity, pair in zip(specificities, pairs, strict=True)
    )


def _checked(
    y_true: ArrayLike, y_score: ArrayLike, name: str, targets: Sequence[float], confidence: float, n_resamples: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return checked labels and scores."""
    truth, scores = check_scored(y_true, y_score)
    check_bootstrap(confidence, n_resamples)
    for target in targets:
        check_target(name, target)
    return truth, scores


def _with_intervals(
    values: Sequence[float],
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    targets: Sequence[float],
    groups: ArrayLike | None,
    confidence: float,
    n_resamples: int,
    random_state: int,
) -> list[tuple[Metric, Metric]]:
    """Compute the intervals of both definitions for each target."""
    ends = specificity_intervals(truth, scores, targets, groups, confidence, n_resamples, random_state)
    n_benign, method = int(len(truth) - truth.sum()), "fiducial" if groups is None else "clustered fiducial"
    # A value at the edge of the data can lie outside its fiducial interval, which is then widened to include it.
    metrics = [
        Metric(float(value), min(low, float(value)), max(high, float(value)), n_benign, method)
        for value, (low, high) in zip(values, 2 * ends, strict=True)
    ]
    metrics = list(mark_few(dict(enumerate(metrics)), count_units(truth, groups)).values())
    return list(zip(metrics[: len(targets)], metrics[len(targets) :], strict=True))


def _both_ways(
    truth: NDArray[np.int64], scores: NDArray[np.float64], sensitivities: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Return the specificity at each sensitivity: at the first point of the ROC curve with it, and interpolated."""
    tally = ScoreCounts.of(truth, scores)
    tp, fp = add_up(tally.melanoma), add_up(tally.benign)
    first, between = [], []
    for sensitivity in sensitivities:
        here = int((tp / tp[-1] >= sensitivity).argmax())  # above 0: at 0 no image is predicted melanoma
        share = (sensitivity * tp[-1] - tp[here - 1]) / (tp[here] - tp[here - 1])
        first.append(1 - fp[here] / fp[-1])
        between.append(1 - (fp[here - 1] + share * (fp[here] - fp[here - 1])) / fp[-1])
    return first, between


def _official(truth: NDArray[np.int64], scores: NDArray[np.float64], sensitivities: Sequence[float]) -> list[float]:
    from sklearn.metrics import roc_curve

    false_alarms, found, _ = roc_curve(truth, scores)
    return [1 - false_alarms[(found >= sensitivity).argmax()] for sensitivity in sensitivities]
