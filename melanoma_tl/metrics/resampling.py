"""The bootstrap: resampling of images, or of patients, for all bootstrap intervals of the library.

A metric of a binary classifier depends on its scores only through the number of images
of each class at each distinct score. A resample is therefore stored as a table of these
counts (a tally), and a metric is computed for thousands of resamples at once.

For metrics that do not depend on the prevalence, such as the AUC, images are resampled
within their class, so that each resample keeps the class sizes of the test set (the
stratified bootstrap [1]_). For metrics that do, such as precision, F1, net benefit and
calibration, all images are resampled together. Grouped images, such as those of one
patient, are resampled together (the cluster bootstrap [2]_); the strata are then
patients with a melanoma and patients without.

Large samples are resampled in pools, so that a million images cost no more than four
thousand:

* Above 4,000 distinct scores, resamples are drawn from pools of neighbouring scores,
  each with at most 1/500 of the melanomas and of the benign images, so that a rare
  melanoma has a pool of its own. No pool contains a threshold or the edge of a bin.
  Only the spread of a metric is estimated from the pools: its value uses all scores, and
  the resamples are shifted by the difference between both values.
* Above 4,000 patients in a stratum, 2,000 random bundles of patients are resampled
  instead: bundles of independent patients are independent themselves (the method of
  random groups [3]_). The same holds for images when classifiers are compared.

References
----------
.. [1] B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993,
   chapters 8 and 13.
.. [2] C. A. Field and A. H. Welsh, "Bootstrapping clustered data", Journal of the
   Royal Statistical Society B 69, 2007.
.. [3] K. M. Wolter, "Introduction to Variance Estimation", 2nd edition, 2007, chapter 2.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from melanoma_tl.errors import ParameterError
from melanoma_tl.labels.ids import fold_id, read_id
from melanoma_tl.metrics.validation import check_lengths

# Cells (resamples x distinct scores) in memory at once: limits the bootstrap to some 100 MB for any number of images.
_BATCH_CELLS = 1_000_000

_MOST_SCORES, _POOLS = 4_000, 500
_MOST_GROUPS, _BUNDLES = 4_000, 2_000

# A table of groups with a larger share of nonzero entries is multiplied faster as a dense array.
_DENSE = 0.02


class ScoreCounts(NamedTuple):
    """Number of images of each class at each distinct score, highest score first."""

    scores: NDArray[np.float64]
    melanoma: NDArray[np.int64]
    benign: NDArray[np.int64]

    @classmethod
    def of(cls, truth: NDArray[np.int64], scores: NDArray[np.float64]) -> "ScoreCounts":
        """Count the images.

        Parameters
        ----------
        truth : ndarray of shape (n,)
            0 benign, 1 melanoma.
        scores : ndarray of shape (n,)
            Scores without NaN.

        Returns
        -------
        ScoreCounts
            One entry per distinct score.
        """
        distinct, cell = np.unique(scores, return_inverse=True)
        counts = [np.bincount(cell[truth == label], minlength=len(distinct))[::-1] for label in (1, 0)]
        return cls(distinct[::-1], *counts)

    def pooled(self, cuts: ArrayLike = ()) -> tuple["ScoreCounts", NDArray[np.float64]]:
        """Pool neighbouring scores if there are more than 4,000.

        Parameters
        ----------
        cuts : array-like of float, default=()
            No pool has scores on both sides of one of these; a score equal to one belongs to the lower side.

        Returns
        -------
        ScoreCounts, ndarray of shape (n_pools,)
            The counts of each pool, at the mean score of its images, and the lowest score of each pool; highest pool
            first. If there are few scores, these counts themselves.
        """
        if len(self.scores) <= _MOST_SCORES:
            return self, self.scores
        # A pool ends where one of these changes: the pool number by melanomas, that by benign images, or the next cut.
        # After the last image of a class its number is the highest, so that separated classes stay separated.
        marks = [
            ((side.cumsum() - side / 2) / max(side.sum(), 1) * _POOLS // 1) for side in (self.melanoma, self.benign)
        ]
        marks.append(np.searchsorted(np.sort(np.asarray(cuts, dtype=np.float64)), self.scores, side="left"))
        first = np.flatnonzero(np.any([np.diff(mark, prepend=-1) != 0 for mark in marks], axis=0))
        melanoma, benign, total = (
            np.add.reduceat(side, first)
            for side in (self.melanoma, self.benign, (self.melanoma + self.benign) * self.scores)
        )
        lowest = self.scores[np.append(first[1:], len(self.scores)) - 1]
        # Rounding may move the mean of equal scores across a cut.
        scores = np.clip(total / (melanoma + benign), lowest, self.scores[first])
        return ScoreCounts(scores, melanoma, benign), lowest


MetricFunction = Callable[[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]
"""A function of distinct scores and the melanomas and benign images at each; it returns metrics as rows."""

Resample = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Melanoma and benign images at each distinct score in several resamples: two arrays of shape (size, n_scores)."""


def draw_images(
    tally: ScoreCounts, n_resamples: int, random_state: int, *, stratified: bool = True
) -> Iterator[Resample]:
    """Resample the images.

    Parameters
    ----------
    tally : ScoreCounts
        The images.
    n_resamples : int
        Number of resamples.
    random_state : int
        Seed.
    stratified : bool, default=True
        Whether each resample keeps the class sizes.

    Yields
    ------
    tuple of ndarray
        A batch of resamples, as `Resample`.
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
) -> Iterator[list[Resample]]:
    """Resample groups of images, with one or several sets of scores at once.

    Parameters
    ----------
    truth : ndarray of shape (n,)
        0 benign, 1 melanoma.
    scores : sequence of ndarray of shape (n,)
        Scores of the same images by one or several classifiers.
    groups : array-like of shape (n,), or None
        The group of each image, such as its patient. An image with a missing entry forms a group of its
        own; with None every image does.
    n_resamples : int
        Number of resamples.
    random_state : int
        Seed.
    stratified : bool, default=True
        Whether groups with and without a melanoma are resampled separately.

    Yields
    ------
    list of tuple of ndarray
        A batch of the same resamples for each set of scores, as `Resample`.
    """
    group = number_groups(groups, len(truth))
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
    *,
    stratified: bool = True,
) -> Iterator[list[Resample]]:
    """Resample images of several classes, with the scores of all classes at once.

    Parameters
    ----------
    truth : ndarray of int of shape (n,)
        Number of the class of each image, from 0.
    scores : ndarray of shape (n, n_columns)
        Column c is counted for class ``c % n_classes`` against the rest.
    groups : array-like of shape (n,), or None
        As `draw_groups`.
    n_resamples, random_state : int
        As `draw_groups`.
    stratified : bool, default=True
        Whether groups are resampled within strata. The stratum of a group is the rarest class among its images;
        without groups this keeps the number of images of each class.

    Yields
    ------
    list of tuple of ndarray
        A batch of the same resamples, as `Resample`, one entry per column; "melanoma" is the class itself.
    """
    group = number_groups(groups, len(truth))
    n_images = np.bincount(truth)
    tables = [
        _count_by_group((truth == column % len(n_images)).astype(np.int64), scores[:, column], group)
        for column in range(scores.shape[1])
    ]
    rarest_first = np.argsort(n_images, kind="stable")
    rank = np.argsort(rarest_first)[truth]
    stratum_of_group = np.full(int(group.max()) + 1, len(n_images))
    np.minimum.at(stratum_of_group, group, rank)
    if not stratified:
        stratum_of_group[:] = 0
    strata = tuple(stratum_of_group == number for number in np.unique(stratum_of_group))
    yield from _draw_together(tables, strata, n_resamples, random_state)


def _draw_together(
    tables: Sequence[tuple[csr_array, csr_array]],
    strata: Sequence[NDArray[np.bool_]],
    n_resamples: int,
    random_state: int,
) -> Iterator[list[Resample]]:
    """Resample groups within their strata, and count each resample in every table."""
    rng = np.random.default_rng(random_state)
    bundle, strata = _bundle(strata, rng)
    if bundle is not None:
        tables = [(bundle @ melanoma, bundle @ benign) for melanoma, benign in tables]
    tables = [(_fastest(melanoma), _fastest(benign)) for melanoma, benign in tables]
    widest = max(table.shape[1] for pair in tables for table in pair)
    for size in _batches(n_resamples, max(widest, len(strata[0]))):
        times = np.zeros((size, len(strata[0])), dtype=np.int64)
        for stratum in strata:
            times[:, stratum] = _redraw(np.ones(stratum.sum(), dtype=np.int64), size, rng)
        yield [(_draw_from(melanoma, times), _draw_from(benign, times)) for melanoma, benign in tables]


def _bundle(
    strata: Sequence[NDArray[np.bool_]], rng: np.random.Generator
) -> tuple[csr_array | None, Sequence[NDArray[np.bool_]]]:
    """Bundle the groups of large strata at random; return a table of bundles by groups, and the strata of bundles."""
    if max(stratum.sum() for stratum in strata) <= _MOST_GROUPS:
        return None, strata
    bundle = np.zeros(len(strata[0]), dtype=np.int64)
    n_bundles: list[int] = []
    for stratum in strata:
        n = int(stratum.sum())
        size = _BUNDLES if n > _MOST_GROUPS else n
        bundle[stratum] = sum(n_bundles) + rng.permutation(n) * size // max(n, 1)
        n_bundles.append(size)
    stratum_of = np.repeat(np.arange(len(strata)), n_bundles)
    ones = np.ones(len(bundle), dtype=np.int64)
    table = csr_array((ones, (bundle, np.arange(len(bundle)))), shape=(len(stratum_of), len(bundle)))
    return table, [stratum_of == number for number in range(len(strata))]


def _fastest(table: csr_array) -> csr_array | NDArray[np.float32]:
    """Return a table as a dense float32 array unless it is sparse; products are faster, and exact below 2**24."""
    return table.toarray().astype(np.float32) if table.nnz > _DENSE * table.shape[0] * table.shape[1] else table


def _draw_from(table: csr_array | NDArray[np.float32], times: NDArray[np.int64]) -> NDArray[np.int64]:
    if isinstance(table, np.ndarray):
        return (times.astype(np.float32) @ table).astype(np.int64)
    return times @ table


@dataclass(frozen=True, eq=False)
class Resampling:
    """Images, or patients, and a function that resamples them.

    Attributes
    ----------
    tally : ScoreCounts
        The counts of all images at every score.
    drawn_from : ScoreCounts
        The counts that resamples are drawn from: `tally`, or its pools.
    draw : callable
        Takes ``stratified`` and returns batches of resamples; each call returns the same ones.
    """

    tally: ScoreCounts
    drawn_from: ScoreCounts
    draw: Callable[[bool], Iterator[Resample]]

    @classmethod
    def of(
        cls,
        truth: NDArray[np.int64],
        scores: NDArray[np.float64],
        groups: ArrayLike | None,
        n_resamples: int,
        random_state: int,
        *,
        cuts: ArrayLike = (),
    ) -> "Resampling":
        """Prepare the resampling of one set of scores, by images or by groups.

        Parameters
        ----------
        truth, scores : ndarray of shape (n,)
            As `ScoreCounts.of`.
        groups, n_resamples, random_state
            As `draw_groups`.
        cuts : array-like of float, default=()
            Thresholds and edges that metrics depend on; a score equal to one counts as below it.

        Returns
        -------
        Resampling
            The resampling of these images.
        """
        tally = ScoreCounts.of(truth, scores)
        if groups is None:
            return cls.of_tally(tally, n_resamples, random_state, cuts=cuts)
        drawn_from, lowest = tally.pooled(cuts)
        scores = drawn_from.scores[np.searchsorted(-lowest, -scores)]

        def draw(stratified: bool) -> Iterator[Resample]:
            for (drawn,) in draw_groups(truth, [scores], groups, n_resamples, random_state, stratified=stratified):
                yield drawn

        return cls(tally, drawn_from, draw)

    @classmethod
    def of_tally(cls, tally: ScoreCounts, n_resamples: int, random_state: int, *, cuts: ArrayLike = ()) -> "Resampling":
        """Prepare the resampling of images that are already counted.

        Parameters
        ----------
        tally : ScoreCounts
            The images.
        n_resamples, random_state, cuts
            As `of`.

        Returns
        -------
        Resampling
            The resampling of these images.
        """
        drawn_from, _ = tally.pooled(cuts)

        def draw(stratified: bool) -> Iterator[Resample]:
            return draw_images(drawn_from, n_resamples, random_state, stratified=stratified)

        return cls(tally, drawn_from, draw)

    def measure(
        self, metric: MetricFunction, *, stratified: bool = True
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute metrics of the images, and of their resamples.

        Parameters
        ----------
        metric : callable
            As `MetricFunction`.
        stratified : bool, default=True
            Whether resamples keep the class sizes.

        Returns
        -------
        values : ndarray of shape (n_figures,)
            The metrics of all images.
        resampled : ndarray of shape (n_figures, n_resamples)
            The metrics of each resample; NaN where a metric is undefined.
        """
        values = metric(*self.tally)
        resampled = np.concatenate([metric(self.drawn_from.scores, *drawn) for drawn in self.draw(stratified)], axis=-1)
        if self.drawn_from is self.tally:
            return values, resampled
        return values, resampled + (values - metric(*self.drawn_from))[:, np.newaxis]


def method_name(groups: ArrayLike | None) -> str:
    """Return the name of the bootstrap.

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


def number_groups(groups: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """Assign each group a number; an image whose entry is missing, or names nobody, forms a group of its own.

    Parameters
    ----------
    groups : array-like of shape (n,), or None
        The group of each image; with None every image forms a group of its own.
    n : int
        Number of images.

    Returns
    -------
    ndarray of int64 of shape (n,)
        0 to the number of groups - 1.

    Raises
    ------
    ParameterError
        If the length is not `n`, or there is only one group.

    Examples
    --------
    >>> number_groups(["p1", None, "p1", None], 4).tolist()
    [0, 1, 0, 2]
    """
    if groups is None:
        return np.arange(n)
    values = pd.Series(np.asarray(groups).ravel(), dtype=object)
    check_lengths(n, groups=values)
    codes = number_values_or_alone(values)
    if codes.max() == 0:
        raise ParameterError(f"groups must name more than one patient, got {values.iloc[0]!r} for all {n} images")
    return codes


def number_values_or_alone(values: pd.Series) -> NDArray[np.int64]:
    """Assign equal values the same number, and each that names nobody a number of its own.

    Parameters
    ----------
    values : Series of length n
        Values of any kind, read by `read_id`; case, blanks and Unicode form do not count.

    Returns
    -------
    ndarray of int64 of shape (n,)
        Consecutive numbers from 0.
    """
    places, distinct = pd.factorize(np.array(values, dtype=object))  # texts of Arrow hold no surrogates
    ids = [read_id(value) for value in distinct]
    folded = np.array([*(None if word is None else fold_id(word) for word in ids), None], dtype=object)
    codes = pd.factorize(folded[places])[0].astype(np.int64)  # what is missing has the place -1, the last
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    return codes


def add_up(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return cumulative sums of counts along the last axis, with a leading 0.

    Parameters
    ----------
    counts : ndarray of int of shape (..., n)
        Number of images at each distinct score.

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


def percentile_interval(
    values: NDArray[np.float64], resampled: NDArray[np.float64], confidence: float
) -> NDArray[np.float64]:
    """Compute percentile intervals from the metrics of the resamples.

    Parameters
    ----------
    values : ndarray of shape (n_figures,)
        The metrics of all images. An interval that does not contain its metric, as may happen with few images, is
        widened to include it.
    resampled : ndarray of shape (n_figures, n_resamples)
        The metrics of the resamples. Resamples in which a metric is undefined (NaN) are ignored for it.
    confidence : float
        Coverage, between 0 and 1.

    Returns
    -------
    ndarray of shape (2, n_figures)
        Lower and upper ends; NaN where a metric is undefined, also if it is undefined in every resample.
    """
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    defined = [row[~np.isnan(row)] for row in resampled]
    low, high = np.array([np.quantile(row, tails) if row.size else (np.nan, np.nan) for row in defined]).T
    return np.stack([np.minimum(low, values), np.maximum(high, values)])


def _batches(n_resamples: int, n_cells: int) -> list[int]:
    batch = max(1, _BATCH_CELLS // n_cells)
    return [min(batch, n_resamples - start) for start in range(0, n_resamples, batch)]


def _redraw(counts: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a sample of the same size with replacement, `size` times; return the counts of each sample."""
    occupied = np.flatnonzero(counts)
    total = counts.sum()
    drawn = np.zeros((size, len(counts)), dtype=np.int64)
    if total:
        drawn[:, occupied] = rng.multinomial(total, counts[occupied] / total, size=size)
    return drawn


def _count_by_group(
    truth: NDArray[np.int64], scores: NDArray[np.float64], group: NDArray[np.int64]
) -> tuple[csr_array, csr_array]:
    """Count the images of each group: two sparse tables, one row per group, one column per distinct score."""
    distinct, cell = np.unique(scores, return_inverse=True)
    column = len(distinct) - 1 - cell
    shape = (int(group.max()) + 1, len(distinct))
    melanoma, benign = (
        csr_array((np.ones(int(of.sum()), dtype=np.int64), (group[of], column[of])), shape=shape)
        for of in (truth == 1, truth == 0)
    )
    return melanoma, benign
