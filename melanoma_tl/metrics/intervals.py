"""Intervals by formula for proportions, AUC, average precision, and specificity at a sensitivity.

They were chosen by their measured coverage (``benchmarks/coverage.py``): with few melanomas or metrics near 1,
percentile bootstrap intervals cover too rarely, nearly always because they are too high. All of these intervals can
account for patients, whose images are not independent.

References
----------
.. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
   Statistical Association 22, 1927.
.. [2] E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, "Comparing the areas under two or more correlated receiver
   operating characteristic curves: a nonparametric approach", Biometrics 44, 1988.
.. [3] X. Sun and W. Xu, "Fast implementation of DeLong's algorithm for comparing the areas under correlated receiver
   operating characteristic curves", IEEE Signal Processing Letters 21, 2014.
.. [4] N. A. Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53, 1997.
.. [5] G. Qin and L. Hotilovac, "Comparison of non-parametric confidence intervals for the area under the ROC curve of a
   continuous-scale diagnostic test", Statistical Methods in Medical Research 17, 2008: the logit scale.
.. [6] F. E. Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics Bulletin 2,
   1946.
.. [7] R. G. Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2",
   Statistics in Medicine 25, 2006: method 5.
.. [8] K. Boyd, K. H. Eng and C. D. Page, "Area under the precision-recall curve: point estimates and confidence
   intervals", ECML PKDD 2013: the logit scale.
.. [9] F. R. Hampel, "The influence curve and its role in robust estimation", Journal of the American Statistical
   Association 69, 1974.
.. [10] J. Hannig, "On generalized fiducial inference", Statistica Sinica 19, 2009; H. Schaefer, "Efficient confidence
   bounds for ROC curves", Statistics in Medicine 13, 1994: bounds by order statistics.
.. [11] J. N. K. Rao and A. J. Scott, "A simple method for the analysis of clustered binary data", Biometrics 48, 1992:
   effective sample sizes.
.. [12] G. K. Smyth, "Linear models and empirical Bayes methods for assessing differential expression in microarray
   experiments", Statistical Applications in Genetics and Molecular Biology 3, 2004: the moderated variance.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import betaincinv, expit, logit, ndtr, ndtri
from scipy.stats import binom, norm, rankdata, t

from melanoma_tl._parameters import COLUMN, INSIDE, NONE, NUMBERS, checked
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.metrics.resampling import number_groups, number_values_or_alone
from melanoma_tl.metrics.validation import check_lengths, check_scored

# By how much successes may pass the number of trials, which they are products of.
_ROUNDING = 1e-9

# Factor on the estimated length of the tail of the melanomas' scores, chosen by measured coverage.
_STRETCH = 1.5

# Weight of the variance by formula beside DeLong's, in images of the rarer class, chosen by measured coverage.
_WORTH_OF_FORMULA = 10


class DeLong(NamedTuple):
    """AUCs of several classifiers on the same images, and their covariance.

    Attributes
    ----------
    aucs : ndarray of shape (n_classifiers,)
        The AUCs, 0 to 1.
    covariance : ndarray of shape (n_classifiers, n_classifiers)
        Covariance of the AUCs over samples of images, or of patients.
    degrees : ndarray of shape (n_classifiers,)
        Degrees of freedom of the variances [6]_; infinite where a variance is 0.
    """

    aucs: NDArray[np.float64]
    covariance: NDArray[np.float64]
    degrees: NDArray[np.float64]


@checked(successes=NUMBERS, n=NUMBERS, confidence=INSIDE)
def wilson_interval(successes: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[Any, Any]:
    """Compute Wilson's score interval [1]_ of one or many proportions.

    Parameters
    ----------
    successes : float or array-like of float
        Numbers of successes, 0 to `n`. They need not be whole, so that intervals of expected
        proportions and effective sample sizes can be computed.
    n : float or array-like of float
        Numbers of trials.
    confidence : float, default=0.95
        Coverage, between 0 and 1.

    Returns
    -------
    low, high : float or ndarray of float
        Ends of the intervals, 0 to 1; NaN where `n` is 0.

    Raises
    ------
    ParameterError
        If there are fewer than 0 successes, or more than trials.

    Examples
    --------
    >>> low, high = wilson_interval(130, 150)
    >>> f"{low:.3f} {high:.3f}"
    '0.803 0.912'
    """
    k, trials = np.asarray(successes, dtype=float), np.asarray(n, dtype=float)
    try:
        k, trials = np.broadcast_arrays(k, trials)
    except ValueError:
        told = f"successes and n have the shapes {k.shape} and {trials.shape}"
        raise ParameterError(f"{told}; give as many of both") from None
    wrong = ~((k >= 0) & (k <= trials * (1 + _ROUNDING)) & np.isfinite(trials))
    if wrong.any():
        told = f"{k[wrong][0]:g} of {trials[wrong][0]:g}"
        raise ParameterError(f"successes must lie between 0 and n, the number of trials, got {told}")
    z2 = norm.isf((1 - confidence) / 2) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        half = np.sqrt(z2 * (k * (trials - k) / trials + z2 / 4))
        low, high = (k + z2 / 2 - half) / (trials + z2), (k + z2 / 2 + half) / (trials + z2)
    # Rounding must not move an end that is 0 or 1 exactly.
    low, high = np.where(k == 0, np.minimum(low, 0), low), np.where(k == trials, np.maximum(high, 1), high)
    low, high = (np.where(trials > 0, np.clip(end, 0, 1), np.nan) for end in (low, high))
    return (low, high) if low.ndim else (float(low), float(high))


def delong(y_true: ArrayLike, *y_scores: ArrayLike, groups: ArrayLike | None = None) -> DeLong:
    """Estimate AUCs and their covariance by DeLong's method [2]_ [3]_, or for patients by Obuchowski's [4]_.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; two images of each class at least.
    *y_scores : array-like of shape (n,)
        Scores of one or several classifiers; only their order counts.
    groups : array-like of shape (n,), optional
        The group of each image, such as its patient; an image with a missing entry forms a group of its own. At least
        two groups must have a melanoma and two a benign image; a group may have both.

    Returns
    -------
    DeLong
        AUCs equal to `melanoma_tl.metrics.roc_auc`, and their covariance.

    Raises
    ------
    DatasetError
        If a class has fewer than two images or groups, so that no variance can be estimated.
    ParameterError
        If lengths differ, labels are not 0 and 1, or a score is no finite number.

    Examples
    --------
    >>> found = delong([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> float(found.aucs[0]), float(found.covariance[0, 0])
    (0.75, 0.125)
    """
    checked = [check_scored(y_true, y_score, probabilities=False) for y_score in y_scores]
    truth = checked[0][0]
    check_lengths(len(truth), groups=groups)
    group = number_groups(groups, len(truth))
    n_melanoma, n_benign = _count_units(truth, group)
    if min(n_melanoma, n_benign) < 2:
        unit = "images" if groups is None else "patients"
        raise DatasetError(
            f"DeLong's variance needs two {unit} of each class, got {n_melanoma} melanoma and {n_benign} benign"
        )
    return _delong(truth, np.stack([values for _, values in checked]), group)


@checked(groups=COLUMN | NONE, confidence=INSIDE)
def auc_interval(
    y_true: ArrayLike, y_score: ArrayLike, groups: ArrayLike | None = None, confidence: float = 0.95
) -> tuple[float, float, float, str]:
    """Estimate an AUC with its interval.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Scores, of which only the order counts; without NaN.
    groups : array-like of shape (n,), optional
        As `delong`.
    confidence : float, default=0.95
        Coverage, between 0 and 1.

    Returns
    -------
    value, low, high : float
        The AUC and its interval. The interval is symmetric on the logit scale [5]_, with a quantile of Student's t
        distribution. Its variance is that of `delong`, moderated [12]_: it is averaged with Newcombe's [7]_, a formula
        of the AUC and the numbers of images or patients, which has the weight of ten images of the rarer class. The
        reason: with few melanomas and an AUC near 1, a sample often has no melanoma with a low score, and DeLong's
        variance is then much too small. Where DeLong's variance is 0 or cannot be estimated, Newcombe's score interval
        is returned, which has a positive width for every AUC.
    method : str
        "moderated logit delong", "clustered moderated logit delong" or "newcombe".

    Raises
    ------
    DatasetError, ParameterError
        If a class has no image, lengths differ, or a score is no finite number.
    """
    truth, scores, group = _checked_groups(y_true, y_score, groups)
    sizes = _count_units(truth, group)
    found = _delong(truth, scores[None], group) if min(sizes) > 1 else None
    value = float(_placements(truth, scores)[truth == 1].mean()) if found is None else float(found.aucs[0])
    if found is None or not found.covariance[0, 0] > 0 or not 0 < value < 1:
        return value, *_newcombe(value, *sizes, confidence), "newcombe"
    degrees, seen = float(found.degrees[0]), min(sizes) - 1
    formula = _WORTH_OF_FORMULA * _formula_variance(value, *sizes)
    variance = (seen * float(found.covariance[0, 0]) + formula) / (seen + _WORTH_OF_FORMULA)
    low, high = _on_logit_scale(value, variance, degrees + _WORTH_OF_FORMULA, confidence)
    return value, low, high, "moderated logit delong" if groups is None else "clustered moderated logit delong"


@checked(groups=COLUMN | NONE, confidence=INSIDE)
def average_precision_interval(
    y_true: ArrayLike, y_score: ArrayLike, groups: ArrayLike | None = None, confidence: float = 0.95
) -> tuple[float, float, float, str]:
    """Estimate an average precision with its interval.

    Parameters
    ----------
    y_true, y_score, groups, confidence
        As `auc_interval`.

    Returns
    -------
    value, low, high : float
        The average precision and its interval. The interval is symmetric on the logit scale [8]_, with the variance of
        the influence function [9]_ over images or patients, and a quantile of Student's t distribution whose degrees of
        freedom are the number of melanomas (or of their patients) minus 1. Where the variance is 0, it is Wilson's
        interval with the average precision as the proportion and the number of melanomas (or patients) as n.
    method : str
        "logit influence", "clustered logit influence" or "wilson".

    Raises
    ------
    DatasetError, ParameterError
        As `auc_interval`.
    """
    truth, scores, group = _checked_groups(y_true, y_score, groups)
    value, influence = _average_precision(truth, scores)
    of_group = np.bincount(group, weights=influence)
    n_groups, n_melanoma = len(of_group), _count_units(truth, group)[0]
    variance = float((of_group**2).sum()) * n_groups / max(n_groups - 1, 1) / len(truth) ** 2
    if n_melanoma < 2 or variance < 1e-15 or not 0 < value < 1:
        return value, *wilson_interval(value * n_melanoma, n_melanoma, confidence), "wilson"
    low, high = _on_logit_scale(value, variance, n_melanoma - 1, confidence)
    return value, low, high, "logit influence" if groups is None else "clustered logit influence"


def effective_size(successes: ArrayLike, groups: ArrayLike | None) -> float:
    """Compute the effective sample size of a proportion of grouped images [11]_.

    Parameters
    ----------
    successes : array-like of bool of shape (n,)
        Whether each image is a success.
    groups : array-like of shape (n,), or None
        As `delong`.

    Returns
    -------
    float
        The number of images divided by the design effect, which is at least 1. If all images are successes or none is,
        the design effect cannot be estimated, and the number of groups is returned. Without groups, the number of
        images.
    """
    hits = np.asarray(successes, dtype=np.float64)
    if groups is None or len(hits) < 2:
        return float(len(hits))
    # The images of a single patient count as one independent image.
    return _worth(hits, number_values_or_alone(pd.Series(np.asarray(groups, dtype=object), dtype=object)))


def effective_wilson(successes: NDArray[np.bool_], groups: ArrayLike | None, confidence: float) -> tuple[float, float]:
    """Compute Wilson's interval of a proportion at its effective sample size.

    Parameters
    ----------
    successes, groups
        As `effective_size`.
    confidence : float
        Coverage, between 0 and 1.

    Returns
    -------
    low, high : float
        As `wilson_interval`.
    """
    worth = effective_size(successes, groups)
    low, high = wilson_interval(successes.mean() * worth if len(successes) else 0.0, worth, confidence)
    return float(low), float(high)


def specificity_intervals(
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    sensitivities: Sequence[float],
    groups: ArrayLike | None,
    confidence: float,
    n_draws: int,
    random_state: int,
) -> list[tuple[float, float]]:
    """Find intervals of the specificity at given sensitivities.

    Parameters
    ----------
    truth, scores : ndarray of shape (n,)
        Labels (0 benign, 1 melanoma; both must occur), and scores without NaN.
    groups, confidence
        As `auc_interval`.
    sensitivities, n_draws, random_state
        As `draw_specificities`.

    Returns
    -------
    list of (float, float)
        Lower and upper ends: the quantiles of the draws.
    """
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    drawn = draw_specificities(truth, scores, sensitivities, groups, n_draws, random_state)
    return [(float(low), float(high)) for low, high in (np.quantile(draws, ends) for draws in drawn)]


def draw_specificities(
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    sensitivities: Sequence[float],
    groups: ArrayLike | None,
    n_draws: int,
    random_state: int,
) -> Iterator[NDArray[np.float64]]:
    """Draw from the fiducial distribution of the specificity at given sensitivities.

    Parameters
    ----------
    truth, scores, groups
        As `specificity_intervals`.
    sensitivities : sequence of float
        Each above 0, at most 1.
    n_draws : int
        Number of draws from the fiducial distribution.
    random_state : int
        Seed.

    Yields
    ------
    ndarray of shape (n_draws,)
        For each sensitivity.

    Notes
    -----
    At the threshold with the sensitivity q, a share 1 - q of all melanomas lies below it. The number of the m observed
    melanomas below it is binomial. A draw of this number places the threshold between two observed melanomas [10]_,
    uniformly on the scale of the normal quantiles of the benign images. Below the lowest melanoma there are no
    observations; an exponential tail is assumed, whose mean is estimated from the lowest sqrt(m) melanomas and
    multiplied by 1.5. The specificity at the threshold is drawn from the beta distribution given the benign images
    below it. With patients, effective sample sizes [11]_ replace the numbers of images, with the design effects of the
    AUC's components [4]_.
    """
    melanoma, benign = np.sort(scores[truth == 1]), np.sort(scores[truth == 0])
    m, n = len(melanoma), len(benign)
    m_eff, n_eff = (m, n) if groups is None else _effective_sizes(truth, scores, number_groups(groups, len(truth)))
    below = (np.searchsorted(benign, melanoma) + np.searchsorted(benign, melanoma, side="right")) / 2
    places = ndtri((below + 0.5) / (n + 1))
    nearest = min(max(2, int(np.ceil(np.sqrt(m)))), m - 1)
    lengths = (places[nearest] - places[:nearest], places[m - nearest :] - places[m - nearest - 1]) if m > 2 else ()
    lower, upper = (max(float(_STRETCH * length.mean()), 1e-6) for length in lengths) if lengths else (1.0, 1.0)
    rng = np.random.default_rng(random_state)
    levels, between, beyond, benign_level = ((rng.permutation(n_draws) + 0.5) / n_draws for _ in range(4))
    for sensitivity in sensitivities:
        missed = 1 - sensitivity
        rank = (binom.ppf(levels, m_eff, missed) + between) * (m + 1) / (m_eff + 1)
        here = np.clip(rank.astype(int), 0, m)
        at, after = places[np.maximum(here - 1, 0)], places[np.minimum(here, m - 1)]
        place = at + (rank - here) * (after - at)
        with np.errstate(divide="ignore"):  # at sensitivity 1 the threshold lies below every possible score
            tail_below = places[0] + lower * np.log(missed / (1 - sensitivity * beyond ** (1 / m_eff)))
            tail_above = places[-1] - upper * np.log(sensitivity / (1 - missed * beyond ** (1 / m_eff)))
        place = np.where(here == 0, tail_below, np.where(here == m, tail_above, place))
        share = np.clip((n + 1) * ndtr(place) - 0.5, 0, n) / n
        yield betaincinv(share * n_eff + 0.5, (1 - share) * n_eff + 0.5, benign_level)


def _checked_groups(
    y_true: ArrayLike, y_score: ArrayLike, groups: ArrayLike | None
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Check labels, scores and groups of one set of images, and number the groups."""
    truth, scores = check_scored(y_true, y_score, probabilities=False)
    check_lengths(len(truth), groups=groups)
    return truth, scores, number_groups(groups, len(truth))


def _count_units(truth: NDArray[np.int64], group: NDArray[np.int64]) -> tuple[int, int]:
    """Count the groups with a melanoma, and those with a benign image."""
    return _count_groups(group[truth == 1]), _count_groups(group[truth == 0])


def _count_groups(group: NDArray[np.int64]) -> int:
    """Count the distinct groups, numbered from 0: np.unique takes 20 times as long for a million images."""
    return int(np.count_nonzero(np.bincount(group)))


def _placements(truth: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of benign images below each melanoma, and of melanomas above each benign image; ties: half."""
    melanoma = truth == 1
    ranks, placed = rankdata(scores), np.empty(len(scores))
    # An image outscores as many of the other class as its rank among all images minus its rank in its own class.
    placed[melanoma] = (ranks[melanoma] - rankdata(scores[melanoma])) / (~melanoma).sum()
    placed[~melanoma] = 1 - (ranks[~melanoma] - rankdata(scores[~melanoma])) / melanoma.sum()
    return placed


def _delong(truth: NDArray[np.int64], scores: NDArray[np.float64], group: NDArray[np.int64]) -> DeLong:
    """Compute Obuchowski's covariance (1997), which equals DeLong's (1988) if every group is one image."""
    placed = np.stack([_placements(truth, values) for values in scores])
    aucs = placed[:, truth == 1].mean(axis=1)
    parts, variances, degrees = [], [], []
    n_groups = int(group.max()) + 1
    for of in (truth == 1, truth == 0):
        deviations = placed[:, of] - aucs[:, None]
        sums = np.stack([np.bincount(group[of], weights=row, minlength=n_groups) for row in deviations]) / of.sum()
        units = _count_groups(group[of])
        parts.append(sums)
        variances.append(sums @ sums.T * units / (units - 1))
        degrees.append(units - 1)
    crossed = parts[0] @ parts[1].T * n_groups / max(n_groups - 1, 1)
    covariance = variances[0] + variances[1] + crossed + crossed.T
    alone = [np.diag(variance) for variance in variances]
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = sum(alone) ** 2 / sum(one**2 / degree for one, degree in zip(alone, degrees, strict=True))
    return DeLong(aucs, covariance, np.where(np.isnan(freedom), np.inf, freedom))


def _effective_sizes(
    truth: NDArray[np.int64], scores: NDArray[np.float64], group: NDArray[np.int64]
) -> tuple[int, int]:
    """Return the effective sample size of each class, of melanomas and benign images."""
    placed = _placements(truth, scores)
    melanoma, benign = (max(round(_worth(placed[of], group[of])), 1) for of in (truth == 1, truth == 0))
    return melanoma, benign


def _worth(values: NDArray[np.float64], group: NDArray[np.int64]) -> float:
    """Divide the number of values by the design effect of their mean; the values of a single group count as one."""
    n_groups = _count_groups(group)
    if n_groups == 1:
        return 1.0
    deviations = values - values.mean()
    alone = float((deviations**2).sum())
    if alone == 0:
        return float(n_groups)
    effect = float((np.bincount(group, weights=deviations) ** 2).sum()) / alone
    return len(values) / max(effect, 1.0)


def _average_precision(truth: NDArray[np.int64], scores: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return the average precision, and the influence of each image on it."""
    distinct, cell = np.unique(-scores, return_inverse=True)
    melanoma = np.bincount(cell, weights=truth, minlength=len(distinct))
    found, called = melanoma.cumsum(), np.bincount(cell, minlength=len(distinct)).cumsum()
    precision = found / called
    value = float((melanoma * precision).sum() / found[-1])
    # An image is predicted melanoma at every threshold below its score, and so changes the precision at each of them.
    right = (melanoma / called)[::-1].cumsum()[::-1]
    any_class = (melanoma * precision / called)[::-1].cumsum()[::-1]
    influence = truth * (precision[cell] - value + right[cell]) - any_class[cell]
    influence *= len(truth) / found[-1]
    return value, influence - influence.mean()


def _on_logit_scale(value: float, variance: float, degrees: float, confidence: float) -> tuple[float, float]:
    half = t.isf((1 - confidence) / 2, degrees) * np.sqrt(variance) / (value * (1 - value))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def _formula_variance(auc: float, n_melanoma: int, n_benign: int) -> float:
    """Return Hanley and McNeil's variance of an AUC, with the mean class size in the terms of a single class."""
    spread = 1 + ((n_melanoma + n_benign) / 2 - 1) * ((1 - auc) / (2 - auc) + auc / (1 + auc))
    return auc * (1 - auc) * spread / (n_melanoma * n_benign)


def _newcombe(auc: float, n_melanoma: int, n_benign: int, confidence: float) -> tuple[float, float]:
    """Return Newcombe's score interval: the AUCs whose distance is the normal quantile times their own error."""
    z = norm.isf((1 - confidence) / 2)

    def excess(true: float) -> float:
        return float((true - auc) ** 2 - z**2 * _formula_variance(true, n_melanoma, n_benign))

    low = 0.0 if auc == 0 else float(brentq(excess, 0.0, auc - 1e-12)) if excess(auc - 1e-12) < 0 else auc
    high = 1.0 if auc == 1 else float(brentq(excess, auc + 1e-12, 1.0)) if excess(auc + 1e-12) < 0 else auc
    return low, high
