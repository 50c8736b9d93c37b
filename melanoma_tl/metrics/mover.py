"""Intervals of a mean or a ratio of two independent rates, from the intervals of the rates: MOVER [1]_ [2]_.

They are for sensitivities and specificities of 0 or 1, which are the same in each resample: the bootstrap takes them
for certain.

References
----------
.. [1] G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures: a general approach",
   Statistics in Medicine 27, 2008.
.. [2] A. Donner and G. Y. Zou, "Closed-form confidence intervals for functions of the normal mean and standard
   deviation", Statistical Methods in Medical Research 21, 2012: ratios.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from melanoma_tl.metrics.metric import Metric

_METHOD = "mover"


def widen_constant(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Replace resampled intervals where the sensitivity or the specificity is 0 or 1.

    Parameters
    ----------
    metrics : mapping of str to Metric
        Those of `melanoma_tl.metrics.score_metrics`; sensitivity and specificity have intervals of their own.

    Returns
    -------
    dict of str to Metric
        The same, with balanced accuracy and likelihood ratios by MOVER where they were resampled.
    """
    sensitivity, specificity = metrics["sensitivity"], metrics["specificity"]
    if not {sensitivity.value, specificity.value} & {0.0, 1.0}:
        return dict(metrics)
    sides = {
        "balanced_accuracy": (_mean, sensitivity, specificity),
        "lr_positive": (_ratio, sensitivity, _complement(specificity)),
        "lr_negative": (_ratio, _complement(sensitivity), specificity),
    }
    found = dict(metrics)
    for name, (combine, a, b) in sides.items():
        if "bootstrap" in metrics[name].method and not np.isnan(metrics[name].value):
            low, high = combine(a, b)
            found[name] = replace(metrics[name], low=low, high=high, method=_METHOD)
    return found


def _complement(rate: Metric) -> Metric:
    return replace(rate, value=1 - rate.value, low=1 - rate.high, high=1 - rate.low)


def _mean(a: Metric, b: Metric) -> tuple[float, float]:
    value = (a.value + b.value) / 2
    below, above = np.hypot(a.value - a.low, b.value - b.low), np.hypot(a.high - a.value, b.high - b.value)
    return float(max(0.0, value - below / 2)), float(min(1.0, value + above / 2))


def _ratio(a: Metric, b: Metric) -> tuple[float, float]:
    """Return the ends of a / b, where b is above 0."""
    both = a.value * b.value
    # As (value² - distance²), which is what the source writes as end * (2 * value - end).
    lower, upper = a.low * (2 * a.value - a.low), a.high * (2 * a.value - a.high)
    wider, narrower = b.high * (2 * b.value - b.high), b.low * (2 * b.value - b.low)
    below, above = (np.sqrt(max(0.0, both**2 - one * other)) for one, other in ((lower, wider), (upper, narrower)))
    low = lower / (both + below) if lower > 0 else 0.0
    return float(low), float((both + above) / narrower)
