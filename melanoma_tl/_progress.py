"""The one progress bar: it names the work, is silent where nobody looks, and leaves one line when the work is done."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm

SHORTEST = 0.5
"""Seconds that work takes before a bar is shown: what is found in the cache leaves no line."""


def progress(
    items: Iterable[Any] | None = None,
    /,
    work: str = "",
    *,
    total: int | None = None,
    unit: str = "image",
    verbose: int,
    delay: float | None = None,
    **options: Any,
) -> Any:
    """Show how far some work is: on a terminal as text, in a notebook as a widget.

    Bars of work that is a part of other work vanish when they are full; the outermost leaves its line.

    Parameters
    ----------
    items : iterable, optional
        What is worked through; without it, the caller counts with ``update``.
    work : str
        What is done, and with what, such as "Open ISBI 2016 train".
    total : int, optional
        How many there are; by default the length of `items`, if it has one.
    unit : str, default="image"
        One of what is counted.
    verbose : int
        0 shows nothing.
    delay : float, optional
        Seconds before it is shown; by default `SHORTEST`. Work with long steps is shown at once, with 0.
    **options : dict
        What else tqdm takes.

    Returns
    -------
    tqdm
        An iterator over the items and a context manager, whether it is shown or not.
    """
    shown = {
        "leave": None,
        "dynamic_ncols": True,
        "delay": SHORTEST if delay is None else delay,
        "disable": not verbose or not _is_watched(),
    }
    return tqdm(items, desc=work, total=total, unit=unit if unit == "B" else f" {unit}", **shown | options)


def _is_watched() -> bool:
    """Return whether somebody may be looking: at a terminal or a notebook, but not at a file or a pipe."""
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())
