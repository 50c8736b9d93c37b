"""The one style of all plots.

Nothing here touches pyplot's list of open figures: each plot makes its own
``matplotlib.figure.Figure`` unless it is given axes, so that it works without a
display, in threads, and leaves nothing open. Colours are those of Okabe and Ito,
which readers with colour vision deficiency tell apart.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from melanoma_tl.errors import ParameterError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import ColorType

BLUE = "#0072B2"
"""What is measured; like the next two from the palette of Okabe and Ito (2008), safe for the colour-blind."""
ORANGE = "#D55E00"
"""What is set beside it: validation, a reference, the chosen point."""
GREEN = "#009E73"
"""The third of several curves."""
GREY = "#767676"
"""Lines of chance; a contrast of 4.5 to 1 on white."""

OKABE_ITO = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000")

TEXT_SIZE, TITLE_SIZE = 10, 12
"""Sizes of letters in points."""

SMALL_SIZE = 9
"""That of legends and notes: no letters are smaller."""


def count_images(n: int, n_melanoma: int) -> str:
    """Describe the number of images of a figure, and how many of them are melanomas.

    Parameters
    ----------
    n, n_melanoma : int
        All images, and melanomas.

    Returns
    -------
    str
        What stands below a title.

    Examples
    --------
    >>> count_images(379, 75)
    '379 images, 75 melanomas (19.8 %)'
    """
    images, melanomas = "image" if n == 1 else "images", "melanoma" if n_melanoma == 1 else "melanomas"
    return f"{n} {images}, {n_melanoma} {melanomas} ({100 * n_melanoma / n:.1f} %)"


def write_threshold(threshold: float) -> str:
    """Write a threshold as people read it: with two digits, or as many as are needed to tell it from 0 and 1.

    Parameters
    ----------
    threshold : float
        0 to 1.

    Returns
    -------
    str
        With two digits, three below 0.1 and above 0.9, and more very near 0 and 1.

    Examples
    --------
    >>> [write_threshold(value) for value in (0.5, 0.213456, 0.0713, 0.00042, 0.99987, 1.0)]
    ['0.5', '0.21', '0.071', '0.00042', '0.99987', '1']
    """
    away = min(threshold, 1 - threshold)  # from the nearer end
    if away <= 0:
        return f"{threshold:g}"
    digits = max(2, 1 - math.floor(math.log10(away)))
    return f"{round(threshold, digits):g}" if digits < 6 else f"{threshold:g}"


def new_figure(width: float, height: float) -> "Figure":
    """Make a figure that no global list holds.

    Parameters
    ----------
    width, height : float
        Its size in inches.

    Returns
    -------
    Figure
        Without axes.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from melanoma_tl.plots.pictures import OwnFigure

    # Wider margins than the default, which sets text on the very edge of the saved image.
    return OwnFigure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))


def new_axes(width: float = 5.6, height: float = 5.2, *, columns: int = 1) -> Any:
    """Make axes on a figure of their own that no global list holds.

    Parameters
    ----------
    width, height : float
        Size of the figure in inches.
    columns : int, default=1
        Number of axes side by side.

    Returns
    -------
    Axes or ndarray of Axes of shape (columns,)
        An array when `columns` is above 1.
    """
    return new_figure(width, height).subplots(1, columns)


def axes_or_new(ax: "Axes | None", width: float = 5.6, height: float = 5.2) -> "Axes":
    """Return the axes to draw on.

    Parameters
    ----------
    ax : Axes or None
        Those that the user gave.
    width, height : float
        Size in inches of a figure of their own, where none were given.

    Returns
    -------
    Axes
        As given, or new.

    Raises
    ------
    ParameterError
        If something else was given, such as a figure, or the array that ``plt.subplots`` returns.
    """
    from matplotlib.axes import Axes

    if ax is None:
        return new_axes(width, height)
    if not isinstance(ax, Axes):
        raise ParameterError(
            f"ax must be one axes of matplotlib, such as the second of fig, ax = plt.subplots(), got "
            f"{type(ax).__name__}; of an array of axes pass one, of a figure figure.add_subplot()"
        )
    return ax


def style_axes(ax: "Axes", title: str, x_label: str, y_label: str) -> None:
    """Style axes, explicitly: rcParams are global, and would race in threads.

    Parameters
    ----------
    ax : Axes
        Changed in place.
    title, x_label, y_label : str
        What to write on them.
    """
    ax.set_title(title, fontsize=TITLE_SIZE)
    ax.set_xlabel(x_label, fontsize=TEXT_SIZE)
    ax.set_ylabel(y_label, fontsize=TEXT_SIZE)
    ax.tick_params(labelsize=TEXT_SIZE)
    ax.set_facecolor("white")
    ax.grid(visible=True, color="#e5e5e5", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def square(ax: "Axes") -> None:
    """Show 0 to 1 on both axes, at one scale.

    Parameters
    ----------
    ax : Axes
        Changed in place.
    """
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def shade(ax: "Axes", x: NDArray[Any], low: NDArray[Any], high: NDArray[Any], colour: "ColorType") -> None:
    """Shade the intervals of a curve.

    Parameters
    ----------
    ax : Axes
        Changed in place.
    x, low, high : ndarray of shape (n,)
        Ends of the interval at each place.
    colour : str or tuple of float
        That of the curve.
    """
    ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def label_right(ax: "Axes", texts: Sequence[str]) -> None:
    """Write a text to the right of each row.

    Parameters
    ----------
    ax : Axes
        The axes, with rows at 0, 1, 2, ...
    texts : sequence of str
        The texts, from row 0 on.
    """
    side = ax.secondary_yaxis("right")
    side.set_yticks(range(len(texts)), texts, fontsize=SMALL_SIZE)
    side.tick_params(length=0)
    side.spines["right"].set_visible(False)


def styled(style: Mapping[str, Any], kind: "type[Artist]", **defaults: Any) -> dict[str, Any]:
    """Merge the style that a user asks for into the default one.

    Parameters
    ----------
    style : mapping of str to object
        Properties of matplotlib's artist, by long or short names: ``linewidth`` or ``lw``.
    kind : type
        The artist, such as ``matplotlib.lines.Line2D``.
    **defaults : object
        Properties by their long names.

    Returns
    -------
    dict of str to object
        Both, by long names.
    """
    from matplotlib.cbook import normalize_kwargs

    return defaults | normalize_kwargs(dict(style), kind)
