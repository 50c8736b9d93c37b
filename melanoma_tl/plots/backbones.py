"""The plot of several backbones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from melanoma_tl._escaping import in_figure
from melanoma_tl._parameters import checked, choice
from melanoma_tl.metrics.metric import LABELS, Metric
from melanoma_tl.plots.display import Display
from melanoma_tl.plots.style import BLUE, GREY, SMALL_SIZE, style_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class _Result(Protocol):
    name: str

    @property
    def metrics(self) -> Mapping[str, Metric]: ...


class _Compared(Protocol):
    results: Sequence[_Result]
    confidence: float


@dataclass(eq=False, repr=False)
class BackbonesDisplay(Display):
    """AUC or average precision of several backbones, cross-validated on the same folds.

    Parameters
    ----------
    comparison : BackboneComparison
        As `melanoma_tl.classifier.compare_backbones` gives it.

    Attributes
    ----------
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.
    """

    comparison: _Compared

    @checked(metric=choice("auc", "average_precision"))
    def plot(self, metric: str = "auc", *, ax: "Axes | None" = None, **style: Any) -> Self:
        """Draw a line for each backbone.

        Parameters
        ----------
        metric : {"auc", "average_precision"}, default="auc"
            What to draw.
        ax : Axes, optional
            Where to draw; a new figure by default.
        **style : object
            For the points, as ``Axes.plot`` takes it.

        Returns
        -------
        BackbonesDisplay
            Itself, with ``ax_`` and ``figure_``; values stand on the right. A dotted line is the first backbone's.
        """
        from matplotlib.lines import Line2D

        results = self.comparison.results
        ax = self._begin(ax, (7.2, 0.4 * len(results) + 1.6))
        found = [result.metrics.get(metric) for result in results]
        look = styled(style, Line2D, color=BLUE, marker="o", markersize=7, linestyle="none")
        for row, one in enumerate(found):
            if one is not None:
                ax.plot([one.low, one.high], [row, row], color="black", linewidth=1.4)
                ax.plot([one.value], [row], **look)
        first = next((one.value for one in found if one is not None), None)
        if first is not None:
            ax.axvline(first, color=GREY, linewidth=1, linestyle=":")
        covered = f"{100 * self.comparison.confidence:g} % intervals"
        style_axes(ax, f"{LABELS[metric]} out of fold, with {covered}", LABELS[metric], "")
        ax.set(ylim=(len(results) - 0.4, -0.6))
        ax.set_yticks(range(len(results)), [in_figure(result.name) for result in results])
        ax.grid(visible=False, axis="y")
        side = ax.secondary_yaxis("right")
        values = ["failed" if one is None else f"{one.value:.3f}  ({one.low:.3f}-{one.high:.3f})" for one in found]
        side.set_yticks(range(len(results)), values, fontsize=SMALL_SIZE)
        side.tick_params(length=0)
        side.spines["right"].set_visible(False)
        return self
