"""Match what two reports say of the same images, by the ids of the images."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.errors import ParameterError


class Matched(NamedTuple):
    """The images that two reports share.

    Attributes
    ----------
    here, there : ndarray of int of shape (n_shared,)
        Rows of the same images in each report.
    left_out : int
        Images that only one of them has.
    """

    here: NDArray[np.intp]
    there: NDArray[np.intp]
    left_out: int


def match_images(
    here_ids: Sequence[str], there_ids: Sequence[str], here_truth: NDArray[np.int64], there_truth: NDArray[np.int64]
) -> Matched:
    """Find the images that two reports share, and hold their labels against each other.

    Parameters
    ----------
    here_ids, there_ids : sequence of str
        Ids of the images of each report.
    here_truth, there_truth : ndarray of int of shape (n_images,)
        Their classes.

    Returns
    -------
    Matched
        In the order of the first report.

    Raises
    ------
    ParameterError
        If ids are repeated, none are shared, or the two disagree about a label.
    """
    row_of = {image_id: row for row, image_id in enumerate(there_ids)}
    if len(row_of) < len(there_ids) or len(set(here_ids)) < len(here_ids):
        raise ParameterError("Images are matched by their ids, and some ids are repeated; make them unique")
    here = np.array([row for row, image_id in enumerate(here_ids) if image_id in row_of], dtype=np.intp)
    there = np.array([row_of[here_ids[row]] for row in here], dtype=np.intp)
    if not len(here):
        raise ParameterError("The two reports share no image id; give both the same image_ids")
    disputed = np.flatnonzero(here_truth[here] != there_truth[there])
    if len(disputed):
        raise ParameterError(
            f"The two reports disagree about the label of {len(disputed)} images, such as "
            f"{here_ids[here[disputed[0]]]!r}; they are not about the same images"
        )
    return Matched(here, there, len(here_ids) + len(there_ids) - 2 * len(here))
