"""How the images of a dataset were chosen: what a report says of its test images comes from here."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_DEVIATIONS = 3.3


class Step(NamedTuple):
    """One choice among images.

    Attributes
    ----------
    what : str
        What was done, such as "read ISBI 2016 test" or "sample(n=20, random_state=0)".
    n_before, n_after : int
        How many rows or images there were, and how many were kept.
    sets_prevalence : bool
        Whether the share of melanomas is another one afterwards than chance explains.
    """

    what: str
    n_before: int
    n_after: int
    sets_prevalence: bool = False

    def __str__(self) -> str:
        """Return the step as one line of text."""
        return f"{self.what}: {self.n_after} of {self.n_before}"


def name_key(key: Any) -> str:
    """Return how rows were taken out of a dataset.

    Parameters
    ----------
    key : slice, or ndarray of bool or int
        What stood in the brackets.

    Returns
    -------
    str
        A slice as it is written, else what kind of key it was.

    Examples
    --------
    >>> name_key(slice(None, 50)), name_key(slice(0, 9, 2))
    ('[:50]', '[0:9:2]')
    """
    if isinstance(key, slice):
        parts = ["" if part is None else str(part) for part in (key.start, key.stop, key.step)]
        return f"[{':'.join(parts if parts[2] else parts[:2])}]"
    return "[mask]" if np.asarray(key).dtype.kind == "b" else "[positions]"


def is_another_share(before: NDArray[np.int64], after: NDArray[np.int64], *, chance: bool = True) -> bool:
    """Return whether the share of melanomas differs from that of the source by more than a random choice explains.

    Parameters
    ----------
    before, after : ndarray of 0 and 1 of shape (n_images,)
        Labels of the images there were, and of those that were kept.
    chance : bool, default=True
        Whether a difference may be one of chance: not where so many of each class were asked for.

    Returns
    -------
    bool
        True where the number of melanomas is more than 3.3 standard deviations of the hypergeometric distribution
        from its mean, as in 1 of 1,000 random choices.

    Examples
    --------
    >>> labels = np.arange(1000) % 10 == 0
    >>> is_another_share(labels, labels[:500]), is_another_share(labels, np.sort(labels)[-200:])
    (False, True)
    """
    n, total = len(after), len(before)
    if not 0 < n < total:
        return False
    share = float(np.mean(before))
    if not chance:
        return abs(float(np.sum(after)) - n * share) >= 1
    spread = np.sqrt(n * share * (1 - share) * (total - n) / (total - 1))
    return bool(abs(float(np.sum(after)) - n * share) > _DEVIATIONS * spread)
