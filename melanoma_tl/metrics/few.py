"""The sample size below which intervals are marked as based on few images.

The coverage of each interval was measured on simulated scores (``benchmarks/coverage.py``; the page on statistics of
the documentation has the table). With at most 20 melanomas, or melanomas of at most 20 patients, many nominal 95 %
intervals cover the true value in less than 93 % of the samples. Exceptions are Wilson's interval for independent
images and the interval of average precision.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.metrics.metric import MARK
from melanoma_tl.metrics.resampling import number_groups

FEW = 20
"""Largest number of images of a class, or of patients with one, that counts as few (measured, see above). Summaries,
subgroups and sample sizes point it out, and intervals based on so few images are marked."""

FACT = (
    f"Intervals marked {MARK} are based on at most {FEW} images of a class, or on images of at most {FEW} patients; "
    "their coverage is below the nominal level"
)
"""The explanation of the mark for readers."""

_COVERS_NEVERTHELESS = frozenset({"wilson", "logit influence", "clustered logit influence"})
_RESTS_ON: dict[Hashable, dict[int, float]] = {
    "specificity": {0: 1},
    "sensitivity": {1: 1},
    "partial_auc": {0: 1, 1: 1 / 5},
}
"""For binary metrics, the classes that determine the variance, with the share of their images; others depend on both
classes. The partial AUC above a sensitivity of 80 % depends on the fifth of the melanomas with the lowest scores."""


class _HasInterval(Protocol):
    """A dataclass such as `Metric`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def value(self) -> float: ...
    @property
    def method(self) -> str: ...


_Name = TypeVar("_Name", bound=Hashable)
_Interval = TypeVar("_Interval", bound=_HasInterval)


def count_units(truth: NDArray[np.int64], groups: ArrayLike | None) -> tuple[int, ...]:
    """Count the images of each class, or the patients with one.

    Parameters
    ----------
    truth : ndarray of int of shape (n,)
        Number of the class of each image, from 0.
    groups : array-like of shape (n,), or None
        As `melanoma_tl.metrics.resampling.draw_groups`.

    Returns
    -------
    tuple of int
        One entry per class: 0 benign, 1 melanoma where there are two.
    """
    n_classes = max(2, int(truth.max(initial=0)) + 1)
    if groups is None:
        return tuple(map(int, np.bincount(truth, minlength=n_classes)))
    group = number_groups(groups, len(truth))
    return tuple(int(np.count_nonzero(np.bincount(group[truth == label]))) for label in range(n_classes))


def mark_few(metrics: Mapping[_Name, _Interval], units: Sequence[int]) -> dict[_Name, _Interval]:
    """Mark the metrics, or their differences, whose intervals have a coverage below the nominal level.

    Parameters
    ----------
    metrics : mapping of str to Metric or Difference
        By name, or any other key.
    units : sequence of int
        As `count_units`. Sensitivity depends on the melanomas, specificity on the benign images, the partial AUC on a
        fifth of the melanomas and on the benign images, all others on both classes. For several classes, give the
        number for the rarest class only, which limits all metrics.

    Returns
    -------
    dict of str to Metric or Difference
        The same metrics under the same keys, with ``few`` set.
    """
    everything = dict.fromkeys(range(len(units)), 1.0)
    rests_on = _RESTS_ON if len(units) == 2 else {}
    fewest = {
        name: min(units[label] * share for label, share in rests_on.get(name, everything).items()) for name in metrics
    }
    return {
        name: replace(metric, few=True)
        if fewest[name] <= FEW and not np.isnan(metric.value) and metric.method not in _COVERS_NEVERTHELESS
        else metric
        for name, metric in metrics.items()
    }
