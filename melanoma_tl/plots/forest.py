"""The plot of one metric at several sites."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from melanoma_tl._escaping import MOST_IN_LABEL, in_figure
from melanoma_tl.metrics.metric import LABELS
from melanoma_tl.metrics.sites import MEAN, NEW_SITE
from melanoma_tl.plots.display import Display
from melanoma_tl.plots.style import BLUE, GREY, ORANGE, label_right, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from melanoma_tl.metrics.sites import SiteSummary


@dataclass(eq=False, repr=False)
class ForestDisplay(Display):
    """A forest plot: one line per site, the mean as a diamond, the prediction interval of a new site as a bar.

    Parameters
    ----------
    summary : SiteSummary
        From `melanoma_tl.metrics.combine_sites`.

    Attributes
    ----------
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        The axes and the figure of the plot.
    """

    summary: "SiteSummary"

    def plot(self, ax: "Axes | None" = None, **style: Any) -> Self:
        """Draw the sites, the mean and the prediction interval.

        Parameters
        ----------
        ax : Axes, optional
            Axes to draw on; a new figure by default.
        **style : object
            Style of the diamond of the mean, passed to ``Axes.fill``.

        Returns
        -------
        ForestDisplay
            This display, with ``ax_`` and ``figure_``; the values are printed on the right.
        """
        found = self.summary
        ax = self._begin(ax, (7.2, 0.4 * len(found.sites) + 2.0))
        for row, site in enumerate(found.sites):
            ax.plot([site.low, site.high], [row, row], color="black", linewidth=1.4)
            ax.plot(site.value, row, marker="s", color=BLUE, markersize=3 + 9 * np.sqrt(site.weight))
        row, mean = len(found.sites), found.mean
        ax.fill(
            [mean.low, mean.value, mean.high, mean.value],
            [row, row - 0.25, row, row + 0.25],
            **{"color": ORANGE} | style,
        )
        ax.axvline(mean.value, color=GREY, linewidth=1, linestyle=":")
        names, values = [site.name for site in found.sites], [_range(s.value, s.low, s.high) for s in found.sites]
        names.append(MEAN)
        values.append(_range(mean.value, mean.low, mean.high))
        if not np.isnan(found.new_low):
            ax.plot([found.new_low, found.new_high], [row + 1, row + 1], color=ORANGE, linewidth=5, alpha=0.5)
            names.append(NEW_SITE)
            values.append(f"{found.new_low:.3f}-{found.new_high:.3f}")
        covered = f"{100 * found.confidence:g} % intervals"
        style_axes(ax, f"{LABELS[found.metric]} by site, with {covered}", LABELS[found.metric], "")
        ax.set(ylim=(len(names) - 0.4, -0.6))
        ax.set_yticks(range(len(names)), [in_figure(name, MOST_IN_LABEL) for name in names])
        ax.grid(visible=False, axis="y")
        label_right(ax, values)
        return self


def _range(value: float, low: float, high: float) -> str:
    return f"{value:.3f}  ({low:.3f}-{high:.3f})"
