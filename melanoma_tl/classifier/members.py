"""What an ensemble needs of several members: seeds that differ, ranks that compare, one description."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OF_AN_ENSEMBLE = ("ensemble", "members")
"""What describes a member that is an ensemble itself, and not the one that it is a member of."""


def draw_seeds(random_state: int | None, n: int) -> list[int]:
    """Draw a seed for each of several things that must differ.

    Parameters
    ----------
    random_state : int or None
        Seed of the draw; None draws other ones each time.
    n : int
        How many.

    Returns
    -------
    list of int
        From 0 up to but not 2**31.
    """
    return (np.random.SeedSequence(random_state).generate_state(n) >> 1).tolist()


def rank_among(scores: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where scores stand among reference scores.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Probabilities, 0 to 1; NaN stays NaN.
    reference : ndarray of shape (n_reference,)
        Probabilities that the same classifier gave to other images.

    Returns
    -------
    ndarray of shape (n,)
        Above 0 and below 1, rising with the scores; the formula is in the notes of `Ensemble`.

    Examples
    --------
    >>> rank_among(np.array([0.2, 0.3, 0.9]), reference=np.array([0.2, 0.4])).tolist()
    [0.375, 0.5, 0.8333333333333334]
    """
    values, counts = np.unique(np.concatenate([[0.0, 1.0], reference]), return_counts=True)
    return np.interp(scores, values, (np.cumsum(counts) - counts / 2) / counts.sum())


def common_and_own(descriptions: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Divide descriptions into what all of them say and what each says otherwise.

    Parameters
    ----------
    descriptions : sequence of mappings
        One a member.

    Returns
    -------
    tuple of dict and list of dict
        What they have in common, and what each has of its own. Of "parameters" each is an entry; any other entry is
        whole: half of it, such as the images of one class of several, would state something else.
    """
    shared: dict[str, Any] = {}
    own: list[dict[str, Any]] = [{} for _ in descriptions]
    for key in dict.fromkeys(key for description in descriptions for key in description):
        values: list[Any] = [description.get(key) for description in descriptions]
        if key not in _OF_AN_ENSEMBLE and all(value == values[0] for value in values):
            shared[key] = values[0]
            continue
        if key == "parameters":
            shared[key], values = common_and_own(values)
        for description, value in zip(own, values, strict=True):
            description[key] = value
    return shared, own
