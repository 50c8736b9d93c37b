"""Which intervals are marked "few": the one rule of reports, for all metrics.

How often each interval holds the truth was measured on drawn scores (``benchmarks/coverage.py``; the table stands in
the documentation, on the page of statistics). With 20 melanomas or fewer, or where these are of 20 patients or fewer,
many hold it in less than 93 % where 95 % is aimed at. Wilson's of independent images do not, nor do those of average
precision.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.metrics.metric import MARK, Metric
from melanoma_tl.metrics.resampling import number_groups

MOST = 20
"""An interval that rests on so many images of a class, or patients with one, or fewer, is marked."""

FACT = (
    f"Intervals marked {MARK} rest on {MOST} images of a class, or patients with one, or fewer: such ones hold the "
    "truth less often than they say"
)
"""What readers are told where there is such a mark."""

_HOLDS_NEVERTHELESS = frozenset({"wilson", "logit influence", "clustered logit influence"})
_RESTS_ON: dict[Hashable, slice] = {"specificity": slice(0, 1), "sensitivity": slice(1, 2)}
_Name = TypeVar("_Name", bound=Hashable)


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
    return tuple(len(np.unique(group[truth == label])) for label in range(n_classes))


def mark_few(metrics: "Mapping[_Name, Metric]", units: Sequence[int]) -> "dict[_Name, Metric]":
    """Mark the metrics whose intervals hold the truth less often than they say.

    Parameters
    ----------
    metrics : mapping of str to Metric
        By name, or any other key.
    units : sequence of int
        As `count_units`: sensitivity rests on the melanomas, specificity on the benign images, all others on both. Of
        several classes, that of the rarest alone, on which all metrics rest.

    Returns
    -------
    dict of str to Metric
        The same, with the same keys, `Metric.few` set where it applies.
    """
    of_two = len(units) == 2
    fewest = {name: min(units[_RESTS_ON[name]] if of_two and name in _RESTS_ON else units) for name in metrics}
    return {
        name: replace(metric, few=True)
        if fewest[name] <= MOST and not np.isnan(metric.value) and metric.method not in _HOLDS_NEVERTHELESS
        else metric
        for name, metric in metrics.items()
    }
