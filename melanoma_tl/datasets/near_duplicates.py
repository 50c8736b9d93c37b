"""Find the images that look alike among very many, without comparing all pairs."""

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.images.fingerprints import COARSE_WORDS, HASH_WORDS

MAX_COARSE_DISTANCE = 8
"""Largest number of the 64 bits of the coarse hash in which near-duplicates differ."""

MAX_FINE_DISTANCE = 40
"""Largest number of the 256 bits of the fine hash in which near-duplicates differ."""

_BANDS = 3
_NOT_KNOWN = 65  # bits of 64
_CHUNK = 512  # rows at a time: bounds the memory even where thousands of images look the same


def find_near_duplicates(
    left: NDArray[np.uint64], right: NDArray[np.uint64]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]:
    """Find all pairs of images whose two perceptual hashes are both close.

    The coarse hash is cut into three bands. Two hashes that differ in at most 8 bits
    differ in at most two bits of one band at least, so looking up every band with up
    to two bits flipped finds every such pair (multi-index hashing; Norouzi, Punjani and
    Fleet 2012, CVPR, "Fast Search in Hamming Space with Multi-Index Hashing"). Only
    what is found there is compared in full.

    Parameters
    ----------
    left : ndarray of shape (n_left, 5) or (n_left, 10) and dtype uint64
        Perceptual hashes, as in `Fingerprints`; zeros match nothing. Of ten columns, the second five
        are those of another way to see the same image, and one way that matches is enough.
    right : ndarray of shape (n_right, 5) or (n_right, 10) and dtype uint64
        Likewise.

    Returns
    -------
    left_rows, right_rows : ndarray of shape (n_pairs,) and dtype int
        The pairs, sorted.
    distances : ndarray of shape (n_pairs,) and dtype int64
        Number of bits of the fine hash, 0 to 256, in which they differ.
    """
    found = [_find(*ways) for ways in product(_ways(left), _ways(right))]
    rows = np.concatenate([pairs for pairs, _ in found])
    bits = np.concatenate([of_pairs for _, of_pairs in found])
    order = np.lexsort((bits, rows[:, 1], rows[:, 0]))
    first = np.unique(rows[order], axis=0, return_index=True)[1]
    kept = order[first]
    return rows[kept, 0], rows[kept, 1], bits[kept]


def _ways(looks: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
    return np.split(looks, looks.shape[1] // HASH_WORDS, axis=1)


def _find(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Find the pairs by one way of seeing each side, and their distances."""
    left_known, right_known = (np.flatnonzero(looks.any(axis=1)) for looks in (left, right))
    if not (len(left_known) and len(right_known)):
        return np.empty((0, 2), dtype=np.intp), np.empty(0, dtype=np.int64)
    pairs = [np.empty((0, 2), dtype=np.intp)]
    for left_band, right_band, width in _bands(left[left_known], right[right_known]):
        for rows_left, rows_right in _candidates(left_band, right_band, width):
            candidates = np.column_stack([left_known[rows_left], right_known[rows_right]])
            coarse, fine = distances(left[candidates[:, 0]], right[candidates[:, 1]])
            pairs.append(candidates[(coarse <= MAX_COARSE_DISTANCE) & (fine <= MAX_FINE_DISTANCE)])
    found = np.unique(np.concatenate(pairs), axis=0)  # a pair may agree in more than one band
    return found, distances(left[found[:, 0]], right[found[:, 1]])[1]


def coarse_distances(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count the bits in which the coarse hashes differ, in the ways of seeing them that are nearest.

    Parameters
    ----------
    left, right : ndarray of shape (n, 5) or (n, 10) and dtype uint64
        Perceptual hashes, row by row.

    Returns
    -------
    ndarray of shape (n,) and dtype int64
        0 to 64; 0 where a side is not known.
    """
    found = [
        np.where(one.any(axis=1) & other.any(axis=1), distances(one, other)[0], _NOT_KNOWN)
        for one, other in product(_ways(left), _ways(right))
    ]
    nearest = np.min(found, axis=0)
    return np.where(nearest == _NOT_KNOWN, 0, nearest)


def distances(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the bits in which perceptual hashes differ.

    Parameters
    ----------
    left, right : ndarray of shape (n, 5) and dtype uint64
        Perceptual hashes, row by row.

    Returns
    -------
    coarse, fine : ndarray of shape (n,) and dtype int64
        0 to 64 and 0 to 256.
    """
    bits = np.bitwise_count(left ^ right).astype(np.int64)
    return bits[:, :COARSE_WORDS].sum(axis=1), bits[:, COARSE_WORDS:].sum(axis=1)


def _bands(
    left: NDArray[np.uint64], right: NDArray[np.uint64]
) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.uint32], int]]:
    """Deal the bits of the coarse hashes to the bands in turn: neighbouring frequencies go together too often."""
    bits = [np.unpackbits(looks[:, :COARSE_WORDS].copy().view(np.uint8), axis=1) for looks in (left, right)]
    for band in range(_BANDS):
        of_left, of_right = (matrix[:, band::_BANDS] for matrix in bits)
        width = of_left.shape[1]
        weights = (1 << np.arange(width)).astype(np.uint32)
        yield of_left @ weights, of_right @ weights, width


def _candidates(
    left: NDArray[np.uint32], right: NDArray[np.uint32], width: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Find the pairs that differ in few bits of one band."""
    flips = range(MAX_COARSE_DISTANCE // _BANDS + 1)
    masks = np.array(
        [sum(1 << bit for bit in bits) for n in flips for bits in combinations(range(width), n)], np.uint32
    )
    order = np.argsort(right, kind="stable")
    values, starts, counts = np.unique(right[order], return_index=True, return_counts=True)
    exists = np.zeros(1 << width, dtype=bool)  # most bands do not, which a table says faster than a search
    exists[values] = True
    for first in range(0, len(left), _CHUNK):
        wanted = left[first : first + _CHUNK, np.newaxis] ^ masks
        rows, columns = np.nonzero(exists[wanted])
        places = np.searchsorted(values, wanted[rows, columns])
        n_found = counts[places]
        offsets = np.arange(n_found.sum()) - np.repeat(np.cumsum(n_found) - n_found, n_found)
        yield first + np.repeat(rows, n_found), order[np.repeat(starts[places], n_found) + offsets]
