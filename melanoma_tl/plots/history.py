"""The plot of a training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.errors import ParameterError
from melanoma_tl.plots.style import BLUE, GREY, ORANGE, SMALL_SIZE, TEXT_SIZE, TITLE_SIZE, new_axes, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = {"loss": "Loss", "accuracy": "Accuracy"}


@dataclass(eq=False, repr=False)
class HistoryDisplay:
    """Loss and accuracy, an epoch at a time, with the epoch of the lowest validation loss marked.

    Parameters
    ----------
    history : mapping of str to sequence of float
        loss and accuracy, and ``val_loss`` and ``val_accuracy`` when there was validation data; one value an
        epoch. `TransferClassifier.history_` is one.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (1,) or (2,)
        The loss, then the accuracy, where the history has it.
    figure_ : matplotlib.figure.Figure
        What they belong to.

    Examples
    --------
    >>> display = HistoryDisplay({"loss": [0.7, 0.4], "val_loss": [0.6, 0.5]}).plot()
    >>> [ax.get_title() for ax in display.axes_]
    ['Loss']
    """

    history: Mapping[str, Sequence[float]]

    axes_: "NDArray[np.object_]" = field(init=False)
    figure_: "Figure" = field(init=False)

    def _repr_png_(self) -> bytes | None:
        """Return the picture that a notebook shows; None before `plot`, and where pyplot shows it."""
        from melanoma_tl.plots.pictures import draw_png

        return draw_png(getattr(self, "figure_", None))

    def plot(self, axes: "Sequence[Axes] | NDArray[np.object_] | None" = None) -> Self:
        """Draw the training, or say in words what it reached where it is one epoch.

        Parameters
        ----------
        axes : sequence of Axes, optional
            One for the loss and, where the history has it, one for the accuracy; a new figure by default.

        Returns
        -------
        HistoryDisplay
            Itself, with ``axes_`` and ``figure_``.

        Raises
        ------
        ParameterError
            If the history holds no loss, or there is not one axes for each.
        """
        history = self.history
        if not len(history.get("loss", ())):
            raise ParameterError(f"A history needs one 'loss' an epoch to be drawn, got the keys {sorted(history)}")
        shown = {key: label for key, label in _PANELS.items() if len(history.get(key, ()))}
        if axes is None:
            axes = new_axes(5.6 * len(shown), 5.2, columns=len(shown))
        panels = np.atleast_1d(np.asarray(axes))
        if panels.shape != (len(shown),):
            raise ParameterError(f"axes must be {len(shown)}, for {' and '.join(shown)}, got the shape {panels.shape}")
        if len(history["loss"]) == 1:
            self._write_only_epoch(panels, shown)
            return self
        watched = np.asarray(history.get("val_loss", ()), dtype=float)
        best = int(np.nanargmin(watched)) + 1 if np.isfinite(watched).any() else None
        for ax, key in zip(panels, shown, strict=True):
            self._draw_panel(ax, key, best)
        self.axes_, self.figure_ = panels, panels[0].figure
        return self

    def _write_only_epoch(self, panels: "NDArray[np.object_]", shown: Mapping[str, str]) -> None:
        """Write the values of a single epoch as text: a curve of one point shows nothing."""
        for ax, (key, label) in zip(panels, shown.items(), strict=True):
            reached = [(source, self.history.get(name, ())) for name, source, *_ in _sources(key)]
            said = ["one epoch:", *(f"{source} {values[0]:.3f}" for source, values in reached if len(values))]
            ax.set_title(label, fontsize=TITLE_SIZE)
            ax.set_axis_off()
            middle: dict[str, Any] = {"ha": "center", "va": "center", "transform": ax.transAxes}
            ax.text(0.5, 0.5, "\n".join(said), fontsize=TEXT_SIZE, **middle)
        self.axes_, self.figure_ = panels, panels[0].figure

    def _draw_panel(self, ax: "Axes", key: str, best: int | None) -> None:
        from matplotlib.ticker import MaxNLocator

        for name, source, dashes, look in _sources(key):
            values = self.history.get(name, ())
            if len(values):
                ax.plot(range(1, len(values) + 1), values, dashes, **look, markersize=4, label=source)
        if best is not None:
            ax.axvline(best, color=GREY, linestyle=":", label=f"lowest validation loss: epoch {best}")
        style_axes(ax, _PANELS[key], "Epoch", _PANELS[key])
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        ax.margins(y=0.12)
        ax.legend(fontsize=SMALL_SIZE)


def _sources(key: str) -> tuple[tuple[str, str, str, dict[str, Any]], ...]:
    """Return the two curves of a panel: the key of each, its name, its dashes and its look."""
    return (
        (key, "training", "-", {"color": BLUE, "marker": "o"}),
        (f"val_{key}", "validation", "--", {"color": ORANGE, "marker": "s"}),
    )
