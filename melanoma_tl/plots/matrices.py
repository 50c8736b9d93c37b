"""Confusion matrices, on scikit-learn's display, in the style of the library."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._escaping import SHORT, in_figure
from melanoma_tl.metrics.confusion import ConfusionCounts
from melanoma_tl.plots.style import TEXT_SIZE, TITLE_SIZE, axes_or_new, count_images, style_axes, write_threshold

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.metrics import ConfusionMatrixDisplay

_DARK = 0.72  # the share from which on white can be read better than black


def draw_confusion_matrix(
    counts: ConfusionCounts, *, threshold: float | None, ax: "Axes | None" = None
) -> "ConfusionMatrixDisplay":
    """Draw the confusion matrix, with counts and the per cent of each true class.

    Parameters
    ----------
    counts : ConfusionCounts
        The matrix.
    threshold : float or None
        For the title; None when it is not known.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    sklearn.metrics.ConfusionMatrixDisplay
        With ``ax_``, ``figure_`` and ``text_``.
    """
    matrix = np.array(counts).reshape(2, 2)
    display = _draw(matrix, ["benign", "melanoma"], axes_or_new(ax))
    for text in display.text_.flat:
        text.set(fontsize=TITLE_SIZE)
    display.ax_.set_title(f"Confusion matrix\n{count_images(counts.n, counts.n_melanoma)}", fontsize=TITLE_SIZE)
    if threshold is not None:
        display.ax_.set_xlabel(f"Predicted class (melanoma: score above {write_threshold(threshold)})")
    return display


def draw_class_matrix(
    matrix: NDArray[np.int64], classes: Sequence[str], *, ax: "Axes | None" = None
) -> "ConfusionMatrixDisplay":
    """Draw the confusion matrix of several classes, with counts and the per cent of each true class.

    Parameters
    ----------
    matrix : ndarray of int of shape (n_classes, n_classes)
        A row a true class, a column a predicted one.
    classes : sequence of str
        Their names.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    sklearn.metrics.ConfusionMatrixDisplay
        With ``ax_``, ``figure_`` and ``text_``.
    """
    side = 2.4 + 0.75 * len(classes)
    display = _draw(matrix, classes, axes_or_new(ax, side, side))
    display.ax_.set_xticks(range(len(classes)), _short(classes), rotation=45, ha="right", rotation_mode="anchor")
    return display


def _draw(matrix: NDArray[np.int64], classes: Sequence[str], ax: "Axes") -> "ConfusionMatrixDisplay":
    """Draw counts, shaded by share: with few images of a class the counts alone would hide its row."""
    from melanoma_tl.plots.pictures import ConfusionMatrixDisplay

    display = ConfusionMatrixDisplay(matrix, display_labels=_short(classes))
    display.plot(ax=ax, cmap="Blues", colorbar=False)
    display.im_.set(data=_shares(matrix), clim=(0, 1))
    for text, count, share in zip(display.text_.flat, matrix.flat, _shares(matrix).flat, strict=True):
        colour = "white" if share > _DARK else "black"
        text.set(text=f"{count}\n{100 * share:.1f} %", fontsize=TEXT_SIZE, color=colour)
    style_axes(ax, f"Confusion matrix (n = {matrix.sum()})", "Predicted class", "True class")
    sizes = zip(_short(classes), matrix.sum(axis=1), strict=True)
    ax.set_yticks(range(len(classes)), [f"{name}\n(n = {n})" for name, n in sizes])
    ax.grid(visible=False)
    return display


def _short(classes: Sequence[str]) -> list[str]:
    return [in_figure(name, SHORT) for name in classes]


def _shares(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of each true class; 0 where it has no image in a column."""
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
