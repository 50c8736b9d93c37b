"""Which images of two datasets are one, or of one lesion or patient."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from melanoma_tl.datasets.near_duplicates import coarse_distances, find_near_duplicates
from melanoma_tl.images.fingerprints import KINDS, Fingerprints

OTHER_PICTURE_DISTANCE = 12
"""Bits of the coarse hash above which one id in two datasets names two pictures, as "1.jpg" in two folders does.

Of the 1,747,515 pairs of the 1,870 images of ISBI 2016 and of the ISIC 2017 test set, 1 in 1,000 is that close."""


def find_relations(left: Fingerprints, right: Fingerprints, kinds: Iterable[str] = KINDS) -> pd.DataFrame:
    """Find what two datasets have in common.

    By its near-duplicates an image may stand in several pairs. By equal ids, bytes,
    lesions and patients each image stands beside one example of the other side, so
    that the table grows with the images and not with the pairs.

    Parameters
    ----------
    left, right : Fingerprints
        What is known of the two.
    kinds : iterable of str
        Relations to look for; those of which one side knows nothing are passed over.

    Returns
    -------
    pandas.DataFrame
        A row each pair and kind: ``left`` and ``right`` (positions), ``kind`` and
        ``distance`` (bits of 256; missing except for near-duplicates).
    """
    found = [pd.DataFrame({"left": np.array([], int), "right": np.array([], int), "kind": "", "distance": np.nan})]
    for kind in kinds:
        if kind == "near-duplicate" and left.perceptual_hashes is not None and right.perceptual_hashes is not None:
            rows_left, rows_right, bits = find_near_duplicates(left.perceptual_hashes, right.perceptual_hashes)
            found.append(pd.DataFrame({"left": rows_left, "right": rows_right, "kind": kind, "distance": bits}))
        elif kind in left.keys and kind in right.keys:
            rows_left, rows_right = _equal(left.keys[kind], right.keys[kind])
            if kind == "id":
                same = ~_show_other_pictures(left, right, rows_left, rows_right)
                rows_left, rows_right = rows_left[same], rows_right[same]
            found.append(pd.DataFrame({"left": rows_left, "right": rows_right, "kind": kind, "distance": np.nan}))
    return pd.concat([table for table in found if len(table)] or found[:1], ignore_index=True)


def _equal(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair each row with the first row of the other side that has the same number; 0 means unknown."""
    values = np.intersect1d(left[left != 0], right[right != 0])
    # Sorting, because the other way of NumPy 2.0 overflows on numbers of 64 bits without a sign.
    members = [np.flatnonzero(np.isin(side, values, kind="sort")) for side in (left, right)]
    first_left, first_right = (
        rows[np.unique(side[rows], return_index=True)[1]] for side, rows in zip((left, right), members, strict=True)
    )
    pairs = [
        (members[0], first_right[np.searchsorted(values, left[members[0]])]),
        (first_left[np.searchsorted(values, right[members[1]])], members[1]),
    ]
    # One number a pair: NumPy finds distinct rows several times as slowly.
    codes = np.unique(np.concatenate([rows_left * len(right) + rows_right for rows_left, rows_right in pairs]))
    return np.divmod(codes, max(len(right), 1))


def _show_other_pictures(
    left: Fingerprints, right: Fingerprints, rows_left: NDArray[np.intp], rows_right: NDArray[np.intp]
) -> NDArray[np.bool_]:
    if left.perceptual_hashes is None or right.perceptual_hashes is None:
        return np.zeros(len(rows_left), dtype=bool)
    return (
        coarse_distances(left.perceptual_hashes[rows_left], right.perceptual_hashes[rows_right])
        > OTHER_PICTURE_DISTANCE
    )
