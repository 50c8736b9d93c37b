"""Sample sizes: expected intervals for n images, and the number of images needed, before they are collected.

References
----------
.. [1] J. A. Hanley and B. J. McNeil, "The meaning and use of the area under a receiver
   operating characteristic (ROC) curve", Radiology 143, 1982.
.. [2] E. B. Wilson, "Probable inference, the law of succession, and statistical
   inference", Journal of the American Statistical Association 22, 1927.
.. [3] R. J. Connor, "Sample size for testing differences in proportions for the
   paired-sample design", Biometrics 43, 1987.
.. [4] J. A. Hanley and B. J. McNeil, "A method of comparing the areas under receiver
   operating characteristic curves derived from the same cases", Radiology 148, 1983.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from melanoma_tl._parameters import COUNT, INSIDE, NONE, PROBABILITY, SHARE, checked, group, real
from melanoma_tl.errors import ParameterError
from melanoma_tl.metrics.few import FEW
from melanoma_tl.metrics.intervals import wilson_interval
from melanoma_tl.metrics.metric import Metric

_PAIR = group(PROBABILITY, 2, "the metrics that are expected of both, such as (0.9, 0.85)") | NONE

# Shares that differ by less are equal up to rounding.
_NOTHING = 1e-12


def auc_standard_error(auc: float, n_melanoma: float, n_benign: float) -> float:
    """Compute the expected standard error of an AUC.

    Parameters
    ----------
    auc : float
        The expected AUC, 0 to 1.
    n_melanoma, n_benign : float
        Number of images of each class, at least 1.

    Returns
    -------
    float
        The standard error by Hanley and McNeil's formula [1]_, which assumes approximately
        exponentially distributed scores.

    Examples
    --------
    >>> round(auc_standard_error(0.893, 51, 58), 4)
    0.0325
    """
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (n_melanoma - 1) * (q1 - auc**2) + (n_benign - 1) * (q2 - auc**2)
    return float(np.sqrt(variance / (n_melanoma * n_benign)))


@checked(
    n_melanoma=COUNT,
    n_benign=COUNT,
    sensitivity=PROBABILITY | NONE,
    specificity=PROBABILITY | NONE,
    auc=INSIDE | NONE,
    confidence=INSIDE,
)
def expected_intervals(
    n_melanoma: int,
    n_benign: int,
    *,
    sensitivity: float | None = None,
    specificity: float | None = None,
    auc: float | None = None,
    confidence: float = 0.95,
) -> dict[str, Metric]:
    """Compute the intervals to expect from a test set.

    Parameters
    ----------
    n_melanoma, n_benign : int
        Number of images of each class, at least 1.
    sensitivity, specificity, auc : float, optional
        The expected metrics, 0 to 1; those not given are left out. The AUC must lie between 0 and 1, because the
        formula gives an interval without width for 0 and 1.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    dict of str to Metric
        Wilson's interval [2]_ for sensitivity and specificity, Hanley and McNeil's [1]_ for the AUC.

    Raises
    ------
    ParameterError
        If a number is out of its range, or no metric is given.

    Examples
    --------
    >>> foreseen = expected_intervals(117, 483, sensitivity=0.9, auc=0.87)
    >>> {name: f"{metric.low:.2f}-{metric.high:.2f}" for name, metric in foreseen.items()}
    {'sensitivity': '0.83-0.94', 'auc': '0.83-0.91'}
    """
    metrics = _given(sensitivity=sensitivity, specificity=specificity, auc=auc)
    sizes = {"sensitivity": n_melanoma, "specificity": n_benign, "auc": n_melanoma + n_benign}
    method = {"auc": "hanley-mcneil"}
    return {
        name: Metric(
            value,
            *_interval(name, value, n_melanoma, n_benign, confidence),
            int(sizes[name]),
            method.get(name, "wilson"),
        )
        for name, value in metrics.items()
    }


@checked(
    width=INSIDE,
    prevalence=INSIDE,
    sensitivity=PROBABILITY | NONE,
    specificity=PROBABILITY | NONE,
    auc=PROBABILITY | NONE,
    confidence=INSIDE,
    assurance=real(at_least=0.5, below=1),
)
def images_needed(
    width: float,
    *,
    prevalence: float,
    sensitivity: float | None = None,
    specificity: float | None = None,
    auc: float | None = None,
    confidence: float = 0.95,
    assurance: float = 0.8,
) -> int:
    """Compute the number of images needed for an interval of a given width.

    Parameters
    ----------
    width : float
        Width of the interval from its lower to its upper end, between 0 and 1.
    prevalence : float
        Share of melanomas among the images, between 0 and 1.
    sensitivity, specificity, auc : float, optional
        The expected metric, 0 to 1; give exactly one.
    confidence : float, default=0.95
        Coverage of the interval, between 0 and 1.
    assurance : float, default=0.8
        Probability that the interval is at most this wide, at least 0.5 and below 1. Chance may make the metric lower
        than expected, or the images of the class fewer, and so the interval wider. 0.5 plans for the expected values
        only.

    Returns
    -------
    int
        Images of both classes together; at least 21 of each, because a report marks fewer as few.

    Raises
    ------
    ParameterError
        If a number is out of its range, or not exactly one metric is given.

    Examples
    --------
    >>> images_needed(0.1, prevalence=0.2, sensitivity=0.9, assurance=0.5)
    705
    >>> images_needed(0.1, prevalence=0.2, sensitivity=0.9)
    825
    """
    metrics = _given(sensitivity=sensitivity, specificity=specificity, auc=auc)
    if len(metrics) != 1:
        raise ParameterError(f"Give exactly one of sensitivity, specificity and auc, got {' and '.join(metrics)}")
    ((name, value),) = metrics.items()

    def width_of(metric: float, n_melanoma: float, n_benign: float) -> float:
        low, high = _interval(name, metric, n_melanoma, n_benign, confidence)
        return high - low

    def narrow(n: int) -> bool:
        sizes = n * prevalence, n * (1 - prevalence)
        expected = width_of(value, *sizes)
        by_metric = width_of(_unlucky(name, value, *sizes, assurance), *sizes) - expected
        by_sizes = max(width_of(value, *drawn) for drawn in _unlucky_sizes(n, prevalence, assurance)) - expected
        # Both come from chance and are independent: their contributions to the width add up like standard errors.
        return expected + float(np.hypot(by_metric, by_sizes)) <= width

    return _first(narrow, at_least=int(np.ceil((FEW + 1) / min(prevalence, 1 - prevalence))))


@checked(
    prevalence=INSIDE,
    sensitivity=_PAIR,
    specificity=_PAIR,
    auc=_PAIR,
    correlation=SHARE,
    margin=INSIDE | NONE,
    confidence=INSIDE,
    power=INSIDE,
)
def images_needed_to_compare(
    *,
    prevalence: float,
    correlation: float,
    sensitivity: tuple[float, float] | None = None,
    specificity: tuple[float, float] | None = None,
    auc: tuple[float, float] | None = None,
    margin: float | None = None,
    confidence: float = 0.95,
    power: float = 0.8,
) -> int:
    """Compute the number of images needed to show that one classifier is better than another on the same images.

    Parameters
    ----------
    prevalence : float
        Share of melanomas among the images, between 0 and 1.
    correlation : float
        Correlation of the two classifiers, at least 0 and below 1, preferably from a pilot study. For sensitivity and
        specificity it is the correlation of being correct on an image of the class; for the AUC, that of the two
        estimates, from DeLong's covariance. Two networks on the same images often have 0.5 or more; 0 gives a
        conservative, larger number.
    sensitivity, specificity, auc : tuple of float, optional
        The expected metrics of the first and the second classifier, each 0 to 1; give exactly one pair.
    margin : float, optional
        Between 0 and 1: plan to show non-inferiority, that the first is worse by less than this, instead of a
        difference; the two metrics may then be equal.
    confidence : float, default=0.95
        1 minus the level of the two-sided test, between 0 and 1; a test of non-inferiority is one-sided at half the
        level.
    power : float, default=0.8
        Power of the test, between 0 and 1.

    Returns
    -------
    int
        Images of both classes together; at least 21 of each.

    Raises
    ------
    ParameterError
        If a number is out of its range, not exactly one pair is given, the metrics do not differ, the expected
        difference reaches the margin, or two classifiers with these metrics cannot have this correlation.

    Notes
    -----
    Sensitivity and specificity use Connor's formula for McNemar's test [3]_, the AUC Hanley and McNeil's standard
    errors [1]_ [4]_. Images of one patient are not independent, so that more images are needed.

    Examples
    --------
    >>> images_needed_to_compare(prevalence=0.2, correlation=0.5, sensitivity=(0.9, 0.8))
    538
    >>> images_needed_to_compare(prevalence=0.2, correlation=0.5, auc=(0.9, 0.9), margin=0.05)
    703
    """
    metrics = {
        name: pair
        for name, pair in (("sensitivity", sensitivity), ("specificity", specificity), ("auc", auc))
        if pair is not None
    }
    if len(metrics) != 1:
        given = " and ".join(metrics) or "none"
        raise ParameterError(f"Give exactly one pair of sensitivity, specificity and auc, got {given}")
    ((name, (first, second)),) = metrics.items()
    apart = first - second if margin is None else first - second + margin
    if abs(apart) < _NOTHING or (margin is not None and apart < 0):
        wrong = "do not differ" if margin is None else f"differ by the margin {margin:g} or more"
        raise ParameterError(f"There is nothing to show: the expected metrics {first:g} and {second:g} {wrong}")
    z_alpha, z_beta = float(norm.isf((1 - confidence) / 2)), float(norm.ppf(power))

    def shown(n: int) -> bool:
        sizes = n * prevalence, n * (1 - prevalence)
        if name == "auc":
            null, true = _auc_differences(first, second, correlation, *sizes)
        else:
            size = sizes[0] if name == "sensitivity" else sizes[1]
            null, true = (error / np.sqrt(size) for error in _paired_differences(first, second, correlation))
        # A test of non-inferiority uses the variance under the alternative.
        return z_alpha * (null if margin is None else true) + z_beta * true <= abs(apart)

    return _first(shown, at_least=int(np.ceil((FEW + 1) / min(prevalence, 1 - prevalence))))


def _paired_differences(first: float, second: float, correlation: float) -> tuple[float, float]:
    """Return the standard deviation of a difference of proportions for one pair, under null and alternative."""
    spread = np.sqrt(first * (1 - first) * second * (1 - second))
    only_first, only_second = (a * (1 - b) - correlation * spread for a, b in ((first, second), (second, first)))
    if min(only_first, only_second) < -_NOTHING:
        most = min(first * (1 - second), second * (1 - first)) / spread
        raise ParameterError(
            f"Two classifiers that are right in {first:g} and {second:g} cannot be correlated by {correlation:g}; "
            f"at most by {np.floor(1000 * most) / 1000:g}"
        )
    discordant = max(only_first, 0.0) + max(only_second, 0.0)
    return float(np.sqrt(discordant)), float(np.sqrt(max(discordant - (first - second) ** 2, 0.0)))


def _auc_differences(
    first: float, second: float, correlation: float, n_melanoma: float, n_benign: float
) -> tuple[float, float]:
    """Return standard errors of a difference of two AUCs, under the null and the alternative."""
    one, other = (auc_standard_error(auc, n_melanoma, n_benign) for auc in (first, second))
    true = one**2 + other**2 - 2 * correlation * one * other
    return other * float(np.sqrt(2 * (1 - correlation))), float(np.sqrt(true))


def _unlucky(name: str, value: float, n_melanoma: float, n_benign: float, assurance: float) -> float:
    """Return the metric, shifted towards 0.5 (where intervals are widest) by its error's quantile `assurance`."""
    if name == "auc":
        error = auc_standard_error(value, n_melanoma, n_benign)
    else:
        error = float(np.sqrt(value * (1 - value) / (n_melanoma if name == "sensitivity" else n_benign)))
    towards = error * float(norm.ppf(assurance))
    return max(value - towards, 0.5) if value > 0.5 else min(value + towards, 0.5)


def _unlucky_sizes(n: int, prevalence: float, assurance: float) -> list[tuple[float, float]]:
    """Return class sizes shifted by the quantile `assurance` of their error: to fewer melanomas, or fewer benign."""
    chance = float(np.sqrt(n * prevalence * (1 - prevalence)) * norm.ppf(assurance))
    melanoma = [min(max(n * prevalence + sign * chance, 1.0), n - 1.0) for sign in (-1, 1)]
    return [(number, n - number) for number in melanoma]


def _given(**metrics: float | None) -> dict[str, float]:
    given = {name: float(value) for name, value in metrics.items() if value is not None}
    if not given:
        raise ParameterError(f"Give the metric that is expected, one of {', '.join(metrics)}, such as auc=0.85")
    return given


def _interval(name: str, value: float, n_melanoma: float, n_benign: float, confidence: float) -> tuple[float, float]:
    if name == "auc":
        half = norm.isf((1 - confidence) / 2) * auc_standard_error(value, n_melanoma, n_benign)
        return max(value - half, 0.0), min(value + half, 1.0)
    n = n_melanoma if name == "sensitivity" else n_benign
    return wilson_interval(value * n, n, confidence)


def _first(holds: Callable[[int], bool], at_least: int) -> int:
    """Return the smallest integer for which a condition holds; it must hold for all larger ones too."""
    low, high = at_least - 1, at_least
    while not holds(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
