"""Specificity at a sensitivity, and sensitivity at a specificity, with their intervals.

References
----------
.. [1] T. Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27,
   2006, section 10: what lies between two points of the curve is reached by
   choosing between the two at random.
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
"""Where specificity is reported: 0.82, 0.89 and 0.95 are the ISIC 2017 challenge's, 0.80 and 0.90 are round."""

SPECIFICITIES = (0.80, 0.90, 0.95)
"""Where sensitivity is reported."""


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
        One per sensitivity. The n of each is that of the benign images. The intervals,
        fiducial ones (Hannig 2009), include the chance in choosing the threshold.

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
    truth, scores = _checked(y_true, y_score, "sensitivities", sensitivities, confidence, n_resamples)
    _, between = _both_ways(truth, scores, sensitivities)
    values = [*_official(truth, scores, sensitivities), *between]
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
        One per specificity. The n of each is that of the melanomas. It is `specificity_at_sensitivity` with the classes
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
    """Return labels and scores, when all that was given can be used."""
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
    """Compute the intervals of both directions of each target."""
    ends = specificity_intervals(truth, scores, targets, groups, confidence, n_resamples, random_state)
    n_benign, method = int(len(truth) - truth.sum()), "fiducial" if groups is None else "clustered fiducial"
    # A value can lie outside, where nothing was seen on its other side: the interval is then widened up to it.
    metrics = [
        Metric(float(value), min(low, float(value)), max(high, float(value)), n_benign, method)
        for value, (low, high) in zip(values, 2 * ends, strict=True)
    ]
    metrics = list(mark_few(dict(enumerate(metrics)), count_units(truth, groups)).values())
    return list(zip(metrics[: len(targets)], metrics[len(targets) :], strict=True))


def _both_ways(
    truth: NDArray[np.int64], scores: NDArray[np.float64], sensitivities: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Specificity at each sensitivity: at the first point of the ROC curve that has it, and on the line up to there."""
    tally = ScoreCounts.of(truth, scores)
    tp, fp = add_up(tally.melanoma), add_up(tally.benign)
    first, between = [], []
    for sensitivity in sensitivities:
        here = int((tp / tp[-1] >= sensitivity).argmax())  # never 0, where no image is called melanoma
        share = (sensitivity * tp[-1] - tp[here - 1]) / (tp[here] - tp[here - 1])
        first.append(1 - fp[here] / fp[-1])
        between.append(1 - (fp[here - 1] + share * (fp[here] - fp[here - 1])) / fp[-1])
    return first, between


def _official(truth: NDArray[np.int64], scores: NDArray[np.float64], sensitivities: Sequence[float]) -> list[float]:
    from sklearn.metrics import roc_curve

    false_alarms, found, _ = roc_curve(truth, scores)
    return [1 - false_alarms[(found >= sensitivity).argmax()] for sensitivity in sensitivities]
