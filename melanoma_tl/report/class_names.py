"""A report on one diagnosis against the others says what its two classes are, in sentences and in plots."""

import re
from typing import TYPE_CHECKING

from melanoma_tl._escaping import in_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLASS_NAMES = ("benign", "melanoma")
"""What class 0 and class 1 are, where nothing else is said."""

_EITHER = re.compile(r"\b(?:(benign)|melanomas?)\b", re.IGNORECASE)


def rename_classes(text: str, names: tuple[str, str]) -> str:
    """Put other names in the place of "benign" and "melanoma".

    Parameters
    ----------
    text : str
        What the library says.
    names : tuple of str
        What class 0 and class 1 are.

    Returns
    -------
    str
        The same of these classes.

    Examples
    --------
    >>> rename_classes("Share of melanomas among benign images", ("other", "naevus"))
    'Share of naevus among other images'
    """
    # In one pass: a name such as "benign keratosis" holds one of the words itself.
    return _EITHER.sub(lambda found: names[0] if found[1] else names[1], text)


def rename_in_plot(ax: "Axes", names: tuple[str, str]) -> None:
    """Put other names in the place of "benign" and "melanoma" in everything that is written on axes.

    Parameters
    ----------
    ax : Axes
        Changed in place.
    names : tuple of str
        What class 0 and class 1 are.
    """
    from matplotlib.text import Text

    names = (in_figure(names[0], 24), in_figure(names[1], 24))
    for axis in (ax.xaxis, ax.yaxis):  # before all texts: ticks with words are written anew in each drawing
        ticks = [tick.get_text() for tick in axis.get_ticklabels()]
        renamed = [rename_classes(tick, names) for tick in ticks]
        if renamed != ticks:
            axis.set_ticks(axis.get_ticklocs(), renamed)
    for text in ax.findobj(Text):
        text.set_text(rename_classes(text.get_text(), names))
