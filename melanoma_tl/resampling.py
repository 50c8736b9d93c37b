"""Draw images, or patients, again with replacement: what every bootstrap interval of the library rests on.

A figure of a binary classifier depends on its scores only through how many images
of each class stand at each distinct score. A resample is therefore kept as such a
tally, and a figure is computed for thousands of them at once.

For what does not depend on the share of melanomas, such as the AUC, images are drawn
within their class, so that each resample keeps the class sizes of the test (the
stratified bootstrap [1]_). What depends on it, such as precision, F1, net benefit and
calibration, is resampled as the images were drawn: from all of them. Images that belong
together, such as those of one patient, are drawn together (the cluster bootstrap
[2]_): patients with a melanoma and patients without are then the two strata.

References
----------
.. [1] B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993,
   chapters 8 and 13.
.. [2] C. A. Field and A. H. Welsh, "Bootstrapping clustered data", Journal of the
   Royal Statistical Society B 69, 2007.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from melanoma_tl.errors import ParameterError
from melanoma_tl.inputs import check_lengths

# Cells (resamples x distinct scores) held at once: bounds the bootstrap to some 100 MB at any number of images.
_BATCH_CELLS = 1_000_000


class Tally(NamedTuple):
    """Images of each class at each distinct score, highest score first: all that any figure depends on."""

    scores: NDArray[np.float64]
    melanoma: NDArray[np.int64]
    benign: NDArray[np.int64]

    @classmethod
    def of(cls, truth: NDArray[np.int64], scores: NDArray[np.float64]) -> "Tally":
        """Count the images.

        Parameters
        ----------
        truth : ndarray of shape (n,)
            0 benign, 1 melanoma.
        scores : ndarray of shape (n,)
            Without NaN.

        Returns
        -------
        Tally
            One entry a distinct score.
        """
        distinct, cell = np.unique(scores, return_inverse=True)
        counts = [np.bincount(cell[truth == label], minlength=len(distinct))[::-1] for label in (1, 0)]
        return cls(distinct[::-1], *counts)


Drawn = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Melanoma and benign images of some resamples at each distinct score, two arrays of shape (size, n_scores)."""


def draw_images(tally: Tally, n_resamples: int, random_state: int, *, stratified: bool = True) -> Iterator[Drawn]:
    """Resample the images.

    Parameters
    ----------
    tally : Tally
        What to draw from.
    n_resamples : int
        How often.
    random_state : int
        Seed.
    stratified : bool, default=True
        Whether each resample keeps the class sizes.

    Yields
    ------
    tuple of ndarray
        A batch of resamples, as `Drawn`.
    """
    rng = np.random.default_rng(random_state)
    n_scores = len(tally.scores)
    for size in _batches(n_resamples, n_scores):
        if stratified:
            yield _redraw(tally.melanoma, size, rng), _redraw(tally.benign, size, rng)
        else:
            drawn = _redraw(np.concatenate([tally.melanoma, tally.benign]), size, rng)
            yield drawn[:, :n_scores], drawn[:, n_scores:]


def draw_groups(
    truth: NDArray[np.int64],
    scores: Sequence[NDArray[np.float64]],
    groups: ArrayLike | None,
    n_resamples: int,
    random_state: int,
    *,
    stratified: bool = True,
) -> Iterator[list[Drawn]]:
    """Resample groups of images that belong together, under one or several sets of scores at once.

    Parameters
    ----------
    truth : ndarray of shape (n,)
        0 benign, 1 melanoma.
    scores : sequence of ndarray of shape (n,)
        Scores of the same images by one or several classifiers.
    groups : array-like of shape (n,), or None
        What an image belongs to, such as its patient; a missing entry is a group of its own, and
        with None every image is.
    n_resamples : int
        How often.
    random_state : int
        Seed.
    stratified : bool, default=True
        Whether groups with and without a melanoma are resampled separately.

    Yields
    ------
    list of tuple of ndarray
        A batch of the same resamples under each set of scores, as `Drawn`.
    """
    group = np.arange(len(truth)) if groups is None else number_groups(groups, len(truth))
    tables = [_count_by_group(truth, values, group) for values in scores]
    has_melanoma = np.bincount(group, weights=truth) > 0
    strata = (has_melanoma, ~has_melanoma) if stratified else (np.ones_like(has_melanoma),)
    yield from _draw_together(tables, strata, n_resamples, random_state)


def draw_classes(
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    groups: ArrayLike | None,
    n_resamples: int,
    random_state: int,
) -> Iterator[list[Drawn]]:
    """Resample images of several classes, under the scores of each class at once.

    Parameters
    ----------
    truth : ndarray of int of shape (n,)
        Number of the class of each image, from 0.
    scores : ndarray of shape (n, n_columns)
        Column c is tallied for class ``c % n_classes`` against the rest.
    groups : array-like of shape (n,), or None
        As `draw_groups`. Groups are resampled among those of which the rarest class is the same, which
        without groups keeps the number of images of each class.
    n_resamples, random_state : int
        As `draw_groups`.

    Yields
    ------
    list of tuple of ndarray
        A batch of the same resamples, as `Drawn`, one entry a column; "melanoma" is the class itself.
    """
    group = np.arange(len(truth)) if groups is None else number_groups(groups, len(truth))
    n_images = np.bincount(truth)
    tables = [
        _count_by_group((truth == column % len(n_images)).astype(np.int64), scores[:, column], group)
        for column in range(scores.shape[1])
    ]
    rarest_first = np.argsort(n_images, kind="stable")
    rank = np.argsort(rarest_first)[truth]
    stratum_of_group = np.full(int(group.max()) + 1, len(n_images))
    np.minimum.at(stratum_of_group, group, rank)
    strata = tuple(stratum_of_group == number for number in np.unique(stratum_of_group))
    yield from _draw_together(tables, strata, n_resamples, random_state)


def _draw_together(
    tables: Sequence[tuple[csr_array, csr_array]],
    strata: Sequence[NDArray[np.bool_]],
    n_resamples: int,
    random_state: int,
) -> Iterator[list[Drawn]]:
    """Draw groups within their strata, and tally each draw in every table."""
    rng = np.random.default_rng(random_state)
    widest = max(table.shape[1] for pair in tables for table in pair)
    for size in _batches(n_resamples, widest):
        times = np.zeros((size, len(strata[0])), dtype=np.int64)
        for stratum in strata:
            times[:, stratum] = _redraw(np.ones(stratum.sum(), dtype=np.int64), size, rng)
        yield [(times @ melanoma, times @ benign) for melanoma, benign in tables]


def draws_of(
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    groups: ArrayLike | None,
    n_resamples: int,
    random_state: int,
    *,
    stratified: bool = True,
) -> Iterator[Drawn]:
    """Resample one set of scores: its images, or the groups where there are some.

    Parameters
    ----------
    truth, scores : ndarray of shape (n,)
        As `Tally.of`.
    groups, n_resamples, random_state, stratified
        As `draw_groups`.

    Yields
    ------
    tuple of ndarray
        A batch of resamples, as `Drawn`; the same ones for the same seed.
    """
    if groups is None:
        yield from draw_images(Tally.of(truth, scores), n_resamples, random_state, stratified=stratified)
        return
    for (drawn,) in draw_groups(truth, [scores], groups, n_resamples, random_state, stratified=stratified):
        yield drawn


def method_name(groups: ArrayLike | None) -> str:
    """Name the bootstrap for readers.

    Parameters
    ----------
    groups : array-like or None
        As `draw_groups`.

    Returns
    -------
    str
        "bootstrap" or "cluster bootstrap".
    """
    return "bootstrap" if groups is None else "cluster bootstrap"


def number_groups(groups: ArrayLike, n: int) -> NDArray[np.int64]:
    """Give each group a number, and each image whose group is missing one of its own.

    Parameters
    ----------
    groups : array-like of shape (n,)
        What each image belongs to.
    n : int
        Number of images.

    Returns
    -------
    ndarray of int64 of shape (n,)
        0 to the number of groups - 1.

    Raises
    ------
    ParameterError
        If the shape is another one, or there is only one group.

    Examples
    --------
    >>> number_groups(["p1", None, "p1", None], 4).tolist()
    [0, 1, 0, 2]
    """
    values = pd.Series(np.asarray(groups).ravel(), dtype=object)
    check_lengths(n, groups=values)
    codes = number_values_or_alone(values)
    if codes.max() == 0:
        raise ParameterError(f"groups must name more than one patient, got {values.iloc[0]!r} for all {n} images")
    return codes


def number_values_or_alone(values: pd.Series) -> NDArray[np.int64]:
    """Give equal values one number, and each that is missing one of its own.

    Parameters
    ----------
    values : Series of length n
        Of any kind.

    Returns
    -------
    ndarray of int64 of shape (n,)
        From 0, without gaps.
    """
    codes = pd.factorize(values)[0].astype(np.int64)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    return codes


def add_up(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add up counts along the last axis, from 0 on.

    Parameters
    ----------
    counts : ndarray of int of shape (..., n)
        Images at each distinct score.

    Returns
    -------
    ndarray of int of shape (..., n + 1)
        Entry k counts the images at the first k of them.

    Examples
    --------
    >>> add_up(np.array([2, 0, 1])).tolist()
    [0, 2, 2, 3]
    """
    return np.concatenate([np.zeros_like(counts[..., :1]), counts.cumsum(axis=-1)], axis=-1)


def percentile_interval(values: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    """Cut the tails off the figures of the resamples.

    Parameters
    ----------
    values : ndarray of shape (n_figures, n_resamples)
        NaN where a figure is undefined in a resample; that resample then does not count.
    confidence : float
        Coverage, between 0 and 1.

    Returns
    -------
    ndarray of shape (2, n_figures)
        Lower and upper ends; NaN where a figure is undefined in every resample.
    """
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    defined = [row[~np.isnan(row)] for row in values]
    return np.array([np.quantile(row, tails) if row.size else (np.nan, np.nan) for row in defined]).T


def _batches(n_resamples: int, n_cells: int) -> list[int]:
    batch = max(1, _BATCH_CELLS // n_cells)
    return [min(batch, n_resamples - start) for start in range(0, n_resamples, batch)]


def _redraw(counts: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many as there are, with replacement, `size` times; only the tally of each draw is made."""
    occupied = np.flatnonzero(counts)
    total = counts.sum()
    drawn = np.zeros((size, len(counts)), dtype=np.int64)
    if total:
        drawn[:, occupied] = rng.multinomial(total, counts[occupied] / total, size=size)
    return drawn


def _count_by_group(
    truth: NDArray[np.int64], scores: NDArray[np.float64], group: NDArray[np.int64]
) -> tuple[csr_array, csr_array]:
    """Tally each group alone: two sparse tables with a row a group and a column a distinct score, highest first."""
    distinct, cell = np.unique(scores, return_inverse=True)
    column = len(distinct) - 1 - cell
    shape = (int(group.max()) + 1, len(distinct))
    melanoma, benign = (
        csr_array((np.ones(int(of.sum()), dtype=np.int64), (group[of], column[of])), shape=shape)
        for of in (truth == 1, truth == 0)
    )
    return melanoma, benign
