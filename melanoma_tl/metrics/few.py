"""How few images are few: the one number of reports, and which intervals it marks.

How often each interval holds the truth was measured on drawn scores (``benchmarks/coverage.py``; the table stands in
the documentation, on the page of statistics). With 20 melanomas or fewer, or where these are of 20 patients or fewer,
many hold it in less than 93 % where 95 % is aimed at. Wilson's of independent images do not, nor do those of average
precision.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.metrics.metric import MARK
from melanoma_tl.metrics.resampling import number_groups

FEW = 20
"""So many images of a class, or patients with one, or fewer, are few (measured: see the top of this module). They are
pointed out in summaries, subgroups and plans of sample sizes, and intervals that rest on them are marked."""

FACT = (
    f"Intervals marked {MARK} rest on {FEW} images of a class, or patients with one, or fewer: such ones hold the "
    "truth less often than they say"
)
"""What readers are told where there is such a mark."""

_HOLDS_NEVERTHELESS = frozenset({"wilson", "logit influence", "clustered logit influence"})
_RESTS_ON: dict[Hashable, dict[int, float]] = {
    "specificity": {0: 1},
    "sensitivity": {1: 1},
    "partial_auc": {0: 1, 1: 1 / 5},
}
"""Of two classes, those that a metric rests on, with the share of their images; all others rest on both. The partial
AUC above a sensitivity of 80 % rests on the fifth of the melanomas with the lowest scores."""


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
        One entry a class: 0 benign, 1 melanoma where there are two.
    """
    n_classes = max(2, int(truth.max(initial=0)) + 1)
    if groups is None:
        return tuple(map(int, np.bincount(truth, minlength=n_classes)))
    group = number_groups(groups, len(truth))
    return tuple(int(np.count_nonzero(np.bincount(group[truth == label]))) for label in range(n_classes))


def mark_few(metrics: Mapping[_Name, _Interval], units: Sequence[int]) -> dict[_Name, _Interval]:
    """Mark the metrics, or their differences, whose intervals hold the truth less often than they say.

    Parameters
    ----------
    metrics : mapping of str to Metric or Difference
        By name, or any other key.
    units : sequence of int
        As `count_units`: sensitivity rests on the melanomas, specificity on the benign images, the partial AUC on a
        fifth of the melanomas and the benign images, all others on both classes. Of several classes, that of the
        rarest alone, on which all metrics rest.

    Returns
    -------
    dict of str to Metric or Difference
        The same, with the same keys, ``few`` set where it applies.
    """
    everything = dict.fromkeys(range(len(units)), 1.0)
    rests_on = _RESTS_ON if len(units) == 2 else {}
    fewest = {
        name: min(units[label] * share for label, share in rests_on.get(name, everything).items()) for name in metrics
    }
    return {
        name: replace(metric, few=True)
        if fewest[name] <= FEW and not np.isnan(metric.value) and metric.method not in _HOLDS_NEVERTHELESS
        else metric
        for name, metric in metrics.items()
    }
