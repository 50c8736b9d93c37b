"""The rows of a report: which images have a score, and what is known of them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._parameters import show
from melanoma_tl.errors import ParameterError
from melanoma_tl.images.decoding import SkippedRow
from melanoma_tl.labels.cells import read_given_ids
from melanoma_tl.metrics.validation import check_lengths

_NO_SCORE = "no score (NaN): a classifier gives none where it cannot read the image"


class Rows(NamedTuple):
    """The images that the metrics of a report count.

    Attributes
    ----------
    scored : ndarray of int of shape (n_scored,)
        Their rows among those that were given.
    image_ids : tuple of str
        Their ids.
    paths : tuple of str or None
        Their files.
    groups : tuple of (str or None), or None
        What each belongs to, such as its patient; None where that is missing.
    skipped : tuple of SkippedRow
        The images that no metric counts.
    """

    scored: NDArray[np.intp]
    image_ids: tuple[str, ...]
    paths: tuple[str, ...] | None
    groups: tuple[Any, ...] | None
    skipped: tuple[SkippedRow, ...]


def take_scored(
    unscored: NDArray[np.bool_],
    *,
    image_ids: Sequence[Any] | None,
    paths: Sequence[Any] | None,
    groups: Sequence[Any] | None,
    skipped: Sequence[tuple[str, str, str]],
) -> Rows:
    """Leave out the images without score, and list them.

    Parameters
    ----------
    unscored : ndarray of bool of shape (n,)
        Which images have none.
    image_ids, paths, groups : sequence of shape (n,) or None
        As `MetricsReport.from_scores`.
    skipped : sequence of (image_id, path, reason)
        Images that were left out before.

    Returns
    -------
    Rows
        Ids are row numbers where none are given.

    Raises
    ------
    ParameterError
        If a length differs, or an id is repeated.
    """
    ids = [str(row) for row in range(len(unscored))] if image_ids is None else [str(image) for image in image_ids]
    files = None if paths is None else [str(path) for path in paths]
    check_lengths(len(unscored), image_ids=ids, paths=files, groups=groups)
    if twice := [image for image, n in Counter(ids).items() if n > 1]:
        raise ParameterError(f"image_ids must differ from image to image: {show(twice[0])} is there more than once")
    scored = np.flatnonzero(~unscored)
    left_out = [SkippedRow(ids[row], files[row] if files else "", _NO_SCORE) for row in np.flatnonzero(unscored)]
    belongs = None if groups is None else read_given_ids(groups, name="groups", what="group")
    return Rows(
        scored,
        tuple(ids[row] for row in scored),
        None if files is None else tuple(files[row] for row in scored),
        None if belongs is None else tuple(belongs[row] for row in scored),
        (*(SkippedRow(*row) for row in skipped), *left_out),
    )
