"""Meta-analysis of one classifier at several sites: mean, heterogeneity, and prediction for a new site.

References
----------
.. [1] W. Viechtbauer, "Bias and efficiency of meta-analytic variance estimators in the
   random-effects model", Journal of Educational and Behavioral Statistics 30, 2005: the
   variance between sites by restricted maximum likelihood (REML).
.. [2] J. Hartung and G. Knapp, "A refined method for the meta-analysis of controlled
   clinical trials with binary outcome", Statistics in Medicine 20, 2001.
.. [3] C. Röver, G. Knapp and T. Friede, "Hartung-Knapp-Sidik-Jonkman approach and its
   modification for random-effects meta-analysis with few studies", BMC Medical Research
   Methodology 15, 2015: the modified interval is never narrower than the unmodified one.
.. [4] J. P. T. Higgins, S. G. Thompson and D. J. Spiegelhalter, "A re-evaluation of
   random-effects meta-analysis", Journal of the Royal Statistical Society A 172, 2009:
   the prediction interval.
.. [5] J. P. T. Higgins and S. G. Thompson, "Quantifying heterogeneity in a
   meta-analysis", Statistics in Medicine 21, 2002.
.. [6] K. I. E. Snell, J. Ensor, T. P. A. Debray, K. G. M. Moons and R. D. Riley,
   "Meta-analysis of prediction model performance across multiple studies: Which scale
   helps ensure between-study normality for the C-statistic and calibration measures?",
   Statistical Methods in Medical Research 27, 2018: the logit scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from scipy.stats import chi2, norm, t

from melanoma_tl._parameters import INSIDE, NUMBERS, checked, choice, having, listed, mapping
from melanoma_tl._tables import TitledTable, equals_p
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.metrics.intervals import delong
from melanoma_tl.metrics.metric import LABELS, Metric

SITE_METRICS = ("auc", "sensitivity", "specificity")
"""The metrics that can be combined over sites: they do not depend on the prevalence."""

MEAN, NEW_SITE = "Mean over sites", "A new site like these"
"""Names of the mean and of the prediction interval, in text and in the forest plot."""


class RandomEffects(NamedTuple):
    """The result of a random-effects meta-analysis.

    Attributes
    ----------
    mean, low, high : float
        The mean over the population of sites, and its interval [2]_ [3]_.
    new_low, new_high : float
        Ends of the prediction interval for a new site [4]_; NaN for fewer than three sites.
    tau : float
        Standard deviation between sites [1]_.
    i_squared : float
        Share of the variation that is due to heterogeneity, 0 to 1 [5]_.
    q, p_value : float
        Cochran's Q, and the p-value of its test of homogeneity.
    weights : ndarray of shape (n_sites,)
        Weight of each site in the mean; the sum is 1.
    """

    mean: float
    low: float
    high: float
    new_low: float
    new_high: float
    tau: float
    i_squared: float
    q: float
    p_value: float
    weights: NDArray[np.float64]


@checked(effects=NUMBERS, variances=NUMBERS, confidence=INSIDE)
def random_effects(effects: ArrayLike, variances: ArrayLike, confidence: float) -> RandomEffects:
    """Combine estimates by a random-effects meta-analysis.

    Parameters
    ----------
    effects : array-like of shape (n_sites,)
        One estimate per site, on an unbounded scale; at least two.
    variances : array-like of shape (n_sites,)
        Their squared standard errors, above 0.
    confidence : float
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    RandomEffects
        The variance between sites by REML, the modified interval of Hartung and Knapp.

    Raises
    ------
    ParameterError
        If there are fewer than two sites, lengths differ, an estimate is no number, or a variance is not above 0.

    Examples
    --------
    >>> found = random_effects(np.array([1.0, 2.0, 1.5]), np.array([0.1, 0.1, 0.1]), 0.95)
    >>> round(found.mean, 3), round(found.tau, 3)
    (1.5, 0.387)
    """
    effects, variances = np.asarray(effects), np.asarray(variances)
    if effects.ndim != 1 or effects.shape != variances.shape or len(effects) < 2:
        shapes = f"{effects.shape} and {variances.shape}"
        raise ParameterError(
            f"effects and variances must be two columns, one entry per site, at least two; got {shapes}"
        )
    if not (np.isfinite(effects).all() and np.isfinite(variances).all() and (variances > 0).all()):
        raise ParameterError("effects must be finite numbers, and variances above 0; leave the other sites out")
    k = len(effects)

    def unlikelihood(tau: float) -> float:
        weights = 1 / (variances + tau**2)
        mean = np.average(effects, weights=weights)
        return float(-np.log(weights).sum() + np.log(weights.sum()) + (weights * (effects - mean) ** 2).sum())

    widest = float(np.ptp(effects)) or 1.0
    found = minimize_scalar(unlikelihood, bounds=(0, 2 * widest), method="bounded", options={"xatol": 1e-9 * widest})
    tau = float(found.x) if found.fun < unlikelihood(0.0) else 0.0
    weights = 1 / (variances + tau**2)
    mean = float(np.average(effects, weights=weights))
    scatter = max(float((weights * (effects - mean) ** 2).sum()) / (k - 1), 1.0)
    error = np.sqrt(scatter / weights.sum())
    upper = (1 + confidence) / 2
    half = float(t.ppf(upper, k - 1) * error)
    new = float(t.ppf(upper, k - 2) * np.hypot(tau, error)) if k > 2 else float("nan")
    alone = 1 / variances
    q = float((alone * (effects - np.average(effects, weights=alone)) ** 2).sum())
    return RandomEffects(
        mean=mean,
        low=mean - half,
        high=mean + half,
        new_low=mean - new,
        new_high=mean + new,
        tau=tau,
        i_squared=max(0.0, 1 - (k - 1) / q) if q else 0.0,
        q=q,
        p_value=float(chi2.sf(q, k - 1)),
        weights=weights / weights.sum(),
    )


@dataclass(frozen=True)
class Site:
    """One metric at one site.

    Parameters
    ----------
    name : str
        Name of the site.
    n_melanoma, n_benign : int
        Number of its images of each class.
    value, low, high : float
        The metric, 0 to 1, with its interval, computed on the logit scale.
    weight : float
        Its weight in the mean, 0 to 1.
    """

    name: str
    n_melanoma: int
    n_benign: int
    value: float
    low: float
    high: float
    weight: float


_INSTEAD = {"plot": "melanoma_tl.plots.ForestDisplay(summary).plot()"}


@dataclass(frozen=True, eq=False)
class SiteSummary(TitledTable):
    """One metric of one classifier at several sites, the mean, and the prediction interval for a new site.

    Made by `combine_sites`.

    Attributes
    ----------
    metric : str
        One of `SITE_METRICS`.
    sites : tuple of Site
        In the order given.
    mean : Metric
        The random-effects mean, computed on the logit scale; n is the number of images that the metric uses.
    new_low, new_high : float
        Ends of the prediction interval of the metric at a new site like these; NaN for two sites.
    tau : float
        Standard deviation between sites, on the logit scale.
    i_squared : float
        Share of the variation between sites that is due to heterogeneity, 0 to 1.
    p_value : float
        p-value of Cochran's Q test of homogeneity.
    confidence : float
        Coverage of the intervals.
    """

    _elsewhere = _INSTEAD

    metric: str
    sites: tuple[Site, ...]
    mean: Metric
    new_low: float
    new_high: float
    tau: float
    i_squared: float
    p_value: float
    confidence: float

    def __repr__(self) -> str:
        return f"SiteSummary({self._title()}, mean {self.mean.value:.3f} ({self.mean.low:.3f}-{self.mean.high:.3f}))"

    def to_dict(self) -> dict[str, Any]:
        """Write the summary as plain Python objects.

        Returns
        -------
        dict
            The attributes; "mean" with value, low, high and n, "sites" as a list of dict.
        """
        return {
            "metric": self.metric,
            "sites": [asdict(site) for site in self.sites],
            "mean": self.mean.to_dict(),
            "new_low": self.new_low,
            "new_high": self.new_high,
            "tau": self.tau,
            "i_squared": self.i_squared,
            "p_value": self.p_value,
            "confidence": self.confidence,
        }

    def _title(self) -> str:
        return f"{LABELS[self.metric]} at {len(self.sites)} sites"

    def _facts(self) -> list[str]:
        covered = f"{100 * self.confidence:g} %"
        mean = self.mean
        facts = [f"{MEAN} {mean.value:.3f} ({covered} interval {mean.low:.3f} to {mean.high:.3f})"]
        if np.isnan(self.new_low):
            facts.append("A prediction interval for a new site needs at least three sites")
        else:
            span = f"{self.new_low:.3f} to {self.new_high:.3f}"
            facts.append(f"{NEW_SITE}: {span} ({covered} prediction interval)")
        facts.append(
            f"Heterogeneity: standard deviation between sites {self.tau:.2f} (log odds); I squared "
            f"{100 * self.i_squared:.0f} %; p {equals_p(self.p_value)} (Cochran's Q)"
        )
        return facts

    def _table(self) -> tuple[list[str], list[list[str]]]:
        header = ["site", "images", "melanoma", LABELS[self.metric], f"{100 * self.confidence:g} % interval", "weight"]
        rows = [
            [
                site.name,
                str(site.n_melanoma + site.n_benign),
                str(site.n_melanoma),
                f"{site.value:.3f}",
                f"{site.low:.3f} to {site.high:.3f}",
                f"{100 * site.weight:.0f} %",
            ]
            for site in self.sites
        ]
        return header, rows


_REPORT = having("counts", "a MetricsReport")


@checked(
    reports=mapping(_REPORT, "a mapping of sites to a MetricsReport each") | listed(_REPORT),
    metric=choice(*SITE_METRICS),
    confidence=INSIDE,
)
def combine_sites(
    reports: Mapping[str, Any] | Sequence[Any], metric: str = "auc", *, confidence: float = 0.95
) -> SiteSummary:
    """Combine one metric over reports from several sites by a random-effects meta-analysis.

    Parameters
    ----------
    reports : mapping of str to MetricsReport, or sequence of MetricsReport
        At least two reports of the same classifier, one per site, by the names of the sites; for a sequence the names
        of the reports are used. No image or patient may be in two of them.
    metric : {"auc", "sensitivity", "specificity"}, default="auc"
        The metric.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    SiteSummary
        Mean, prediction interval and heterogeneity, all computed on the logit scale [6]_.

    Raises
    ------
    ParameterError
        If there are fewer than two reports, names repeat, or an AUC is asked of a report without scores.
    DatasetError
        If a site has an AUC of exactly 0 or 1, or fewer than two images of a class, so that the AUC has no variance.

    Notes
    -----
    Each site contributes the log odds of its metric with their variance. For the AUC this is DeLong's variance, over
    patients where they are known. For sensitivity and specificity it comes from the counts (0.5 is added to both if
    one is 0), or, where patients are known, from the width of the interval in the report (or its effective number of
    images, if all are predicted correctly or none is).

    Examples
    --------
    >>> from melanoma_tl import MetricsReport
    >>> reports = {
    ...     "Vienna": MetricsReport.from_confusion(tn=80, fp=20, fn=5, tp=45),
    ...     "Sydney": MetricsReport.from_confusion(tn=150, fp=50, fn=12, tp=60),
    ...     "Barcelona": MetricsReport.from_confusion(tn=90, fp=10, fn=9, tp=31),
    ... }
    >>> summary = combine_sites(reports, "sensitivity")
    >>> summary
    SiteSummary(Sensitivity (recall) at 3 sites, mean 0.834 (0.638-0.935))
    """
    named = _by_name(reports)
    estimates = [_on_logit_scale(name, report, metric) for name, report in named.items()]
    effects, variances = (np.array(column, dtype=np.float64) for column in zip(*estimates, strict=True))
    found = random_effects(effects, variances, confidence)
    half = float(norm.isf((1 - confidence) / 2)) * np.sqrt(variances)
    sites = tuple(
        Site(
            name,
            report.counts.n_melanoma,
            report.counts.n_benign,
            report.metrics[metric].value,
            float(min(expit(effect - width), report.metrics[metric].value)),
            float(max(expit(effect + width), report.metrics[metric].value)),
            float(weight),
        )
        for (name, report), effect, width, weight in zip(named.items(), effects, half, found.weights, strict=True)
    )
    n = sum(report.metrics[metric].n for report in named.values())
    mean, low, high, new_low, new_high = (float(expit(value)) for value in found[:5])
    return SiteSummary(
        metric=metric,
        sites=sites,
        mean=Metric(mean, low, high, n, "hartung-knapp"),
        new_low=new_low,
        new_high=new_high,
        tau=found.tau,
        i_squared=found.i_squared,
        p_value=found.p_value,
        confidence=confidence,
    )


def _by_name(reports: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    if isinstance(reports, Mapping):
        named = {str(name): report for name, report in reports.items()}
    else:
        listed = list(reports)
        named = {str(getattr(report, "name", "")): report for report in listed}
        if len(named) < len(listed) or "" in named:
            raise ParameterError(
                f"Each report needs a different name, but some are missing or repeated: {list(named)}; "
                "give a mapping of names to reports"
            )
    if len(named) < 2:
        raise ParameterError(f"At least two sites are needed, got {len(named)}")
    return named


def _on_logit_scale(name: str, report: Any, metric: str) -> tuple[float, float]:
    """Return the log odds of a metric, and their variance."""
    if metric not in report.metrics:
        raise ParameterError(f"The report of {name!r} has no scores, and so no AUC; combine sensitivity or specificity")
    if metric == "auc":
        found = delong(report.y_true, report.y_score, groups=report.groups)
        auc, variance = float(found.aucs[0]), float(found.covariance[0, 0])
        if not 0 < auc < 1 or variance <= 0:
            raise DatasetError(f"At {name!r} the AUC is {auc:g}, which has no usable variance; leave the site out")
        return float(logit(auc)), variance / (auc * (1 - auc)) ** 2
    if report.groups is not None:
        return _from_interval(report.metrics[metric], report.confidence)
    tn, fp, fn, tp = report.counts
    return _from_counts(*((tp, fn) if metric == "sensitivity" else (tn, fp)))


def _from_counts(right: float, wrong: float) -> tuple[float, float]:
    half_more = 0.0 if right and wrong else 0.5
    right, wrong = right + half_more, wrong + half_more
    return float(np.log(right / wrong)), 1 / right + 1 / wrong


def _from_interval(metric: Metric, confidence: float) -> tuple[float, float]:
    z = float(norm.isf((1 - confidence) / 2))
    if 0 < metric.value < 1:
        width = float(logit(metric.high) - logit(metric.low))
        return float(logit(metric.value)), (width / (2 * z)) ** 2
    # Of all images or none, Wilson's interval is [n / (n + z²), 1], or that mirrored: it tells the effective number.
    end = metric.low if metric.value else 1 - metric.high
    worth = z**2 * end / (1 - end)
    return _from_counts(worth * metric.value, worth * (1 - metric.value))
