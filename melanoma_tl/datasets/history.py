"""How the images of a dataset were chosen: what a report says of its test images comes from here."""

from typing import Any, NamedTuple

import numpy as np


class Step(NamedTuple):
    """One choice among images.

    Attributes
    ----------
    what : str
        What was done, such as "read ISBI 2016 test" or "sample(n=20, random_state=0)".
    n_before, n_after : int
        How many rows or images there were, and how many were kept.
    sets_prevalence : bool
        Whether the share of melanomas is that of the choice and no longer that of the source.
    """

    what: str
    n_before: int
    n_after: int
    sets_prevalence: bool = False

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.what}: {self.n_after} of {self.n_before}"


def name_key(key: Any) -> str:
    """Say how rows were taken out of a dataset.

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
