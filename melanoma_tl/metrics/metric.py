"""A metric with its interval and its n, and the labels of all metrics."""

import re
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from melanoma_tl.errors import UnknownNameError

LABELS = MappingProxyType(
    {
        "auc": "AUC",
        "partial_auc": "Partial AUC above 80 % sensitivity",
        "average_precision": "Average precision",
        "accuracy": "Accuracy",
        "balanced_accuracy": "Balanced accuracy",
        "sensitivity": "Sensitivity (recall)",
        "specificity": "Specificity",
        "precision": "Precision (PPV)",
        "npv": "NPV",
        "f1": "F1 (Dice)",
        "iou_melanoma": "IoU (melanoma)",
        "iou_benign": "IoU (benign)",
        "mcc": "Matthews correlation (MCC)",
        "kappa": "Cohen's kappa",
        "lr_positive": "Positive likelihood ratio",
        "lr_negative": "Negative likelihood ratio",
    }
)
"""Every metric of a report, in the order shown, with its label."""

UNBOUNDED = frozenset({"lr_positive", "lr_negative"})
"""Metrics that may exceed 1: they are not drawn on an axis from 0 to 1 or written as percentages."""

RANGES = {"mcc": (-1, 1), "kappa": (-1, 1), "partial_auc": (0, 0.2)} | dict.fromkeys(UNBOUNDED, (0, np.inf))
"""The ranges of metrics other than 0 to 1: they limit the intervals, and their width limits differences."""

OF_PREVALENCE = frozenset(
    {"average_precision", "accuracy", "precision", "npv", "f1", "iou_melanoma", "iou_benign", "mcc", "kappa"}
)
"""Metrics that depend on the prevalence, which is resampled with them."""

COLLAPSED = "An interval without width does not mean certainty: resampling misses outcomes that did not occur"
"""The explanation of an interval without width for readers."""

INTERVAL_METHODS = MappingProxyType(
    {
        "wilson": "score interval of a proportion (Wilson 1927)",
        "clustered wilson": "Wilson's interval with the effective number of independent images (Rao and Scott 1992)",
        "log method": "normal interval of the logarithm of a ratio of two proportions (Simel, Samsa and Matchar 1991)",
        "newcombe": "score interval of an AUC (Newcombe 2006), where DeLong's variance is 0 or cannot be estimated: it "
        "is 0 or 1, or a class has a single image or patient",
        "moderated logit delong": "normal interval of the logit of the AUC (Qin and Hotilovac 2008); the variance is "
        "DeLong's (1988), averaged with that of Newcombe (2006)",
        "clustered moderated logit delong": "normal interval of the logit of the AUC (Qin and Hotilovac 2008); the "
        "variance is that between patients (Obuchowski 1997), averaged with that of Newcombe (2006)",
        "logit influence": "normal interval of the logit of the average precision (Boyd, Eng and Page 2013), with the "
        "variance of its influence function (Hampel 1974)",
        "clustered logit influence": "normal interval of the logit of the average precision (Boyd, Eng and Page 2013), "
        "with the variance of its influence function (Hampel 1974) between patients",
        "fiducial": "generalized fiducial interval (Hannig 2009), which includes the chance in choosing the threshold",
        "clustered fiducial": "generalized fiducial interval (Hannig 2009) with the effective number of independent "
        "images (Rao and Scott 1992)",
        "bootstrap": "percentiles of the metric in resamples of the images (Efron and Tibshirani 1993)",
        "cluster bootstrap": "percentiles of the metric in resamples of whole patients (Field and Welsh 2007)",
        "bootstrap bound": "the metric plus and minus a quantile of its bootstrap errors, since it is biased",
        "cluster bootstrap bound": "the metric plus and minus a quantile of its errors in resamples of whole patients, "
        "since it is biased",
        "mover": "combined from the intervals of sensitivity and specificity (Zou and Donner 2008): one of them is 0 "
        "or 1, which no resample changes",
        "robust wald": "normal interval with the robust variance, also called sandwich variance (White 1982)",
    }
)
"""The methods of the intervals of a report, each explained in one line with its source."""

MARK = "few"
"""The mark of an interval that is based on few images (see `melanoma_tl.metrics.few`)."""

NO_WIDTH = "no width"
"""The mark of an interval without width in a table."""


@dataclass(frozen=True)
class Metric:
    """One metric, its interval, and the number of images.

    Parameters
    ----------
    value : float
        The metric; NaN where it is undefined.
    low, high : float
        Ends of the confidence interval; NaN where the metric is undefined.
    n : int
        The number of images in the denominator: melanoma images for sensitivity,
        benign ones for specificity, images predicted melanoma for precision, images
        predicted benign for NPV, all images for the others.
    method : str
        Method of the interval: "wilson", "log method", "newcombe", "moderated logit delong", "logit influence",
        "bootstrap" (the last three and "wilson" also with "clustered" or "cluster"), "mover" and, outside
        `score_metrics`, "fiducial", "bootstrap bound", "robust wald", "delong", "design effect", "hanley-mcneil" or
        "hartung-knapp"; `INTERVAL_METHODS` explains those of reports.
    few : bool, default=False
        Whether the interval is based on so few images, or patients, that its coverage is below the nominal level
        (see the coverage of intervals in the documentation).
    """

    value: float
    low: float
    high: float
    n: int
    method: str
    few: bool = False

    def __str__(self) -> str:
        """Write the metric with its interval and n, such as "0.867 (0.803-0.912, n = 150)"."""
        return _write(self, "")

    def __float__(self) -> float:
        """Return the value alone."""
        return float(self.value)

    def to_dict(self) -> dict[str, float]:
        """Write the metric as plain Python objects.

        Returns
        -------
        dict
            value, low, high, n and few.
        """
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "few": self.few}


class UnknownMetricError(UnknownNameError, KeyError):
    """A report has no metric of this name; also a KeyError, as of every mapping."""

    __str__ = Exception.__str__  # a KeyError puts its message in quotes


class NamedMetrics(dict[str, Metric]):
    """Metrics by name, which say of another name what was probably meant."""

    def __missing__(self, name: object) -> Metric:
        """Raise the error of a name that does not exist."""
        word = str(name).casefold()
        labels = {known: LABELS[known] for known in self if known in LABELS}
        of_word = [known for known, label in labels.items() if word in re.findall(r"\w+", label.casefold())]
        if len(of_word) == 1:  # "recall" or "PPV": the letters alone would find NPV
            called = f"{labels[of_word[0]]} is called {of_word[0]!r}."
            raise UnknownMetricError("metric", name, self, called, suggested=of_word)
        raise UnknownMetricError("metric", name, self)


def describe(metric: Metric, confidence: float, *, signed: bool = False) -> str:
    """Format a metric with its interval and its n.

    Parameters
    ----------
    metric : Metric
        The metric.
    confidence : float
        Coverage of its interval, between 0 and 1.
    signed : bool, default=False
        Whether the metric can be negative: its intervals are then written with "to", whatever their ends, so that all
        of a column look alike.

    Returns
    -------
    str
        One line.

    Examples
    --------
    >>> describe(Metric(0.8667, 0.803, 0.912, 150, "wilson"), 0.95)
    '0.867 (95 % CI 0.803-0.912, n = 150)'
    """
    return _write(metric, f"{100 * confidence:g} % CI ", signed)


def _write(metric: Metric, of_interval: str, signed: bool = False) -> str:
    if np.isnan(metric.value):
        return f"undefined (n = {metric.n})"
    dash, mark = " to " if signed or metric.low < 0 else "-", f", {MARK}" if metric.few else ""
    interval = f"{of_interval}{metric.low:.3f}{dash}{metric.high:.3f}"
    return f"{metric.value:.3f} ({interval}, n = {metric.n}{mark})"
