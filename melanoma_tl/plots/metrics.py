"""The plot of all metrics with their intervals."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from melanoma_tl._escaping import MOST_IN_LABEL, in_figure, visible
from melanoma_tl._parameters import checked
from melanoma_tl.labels.classes import as_binary
from melanoma_tl.metrics.binary import score_metrics
from melanoma_tl.metrics.metric import LABELS, MARK, UNBOUNDED, Metric
from melanoma_tl.plots.display import ScoresDisplay
from melanoma_tl.plots.style import BLUE, label_right, style_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer

_NO_BARS = {*UNBOUNDED, *(LABELS[name] for name in UNBOUNDED)}


@dataclass(eq=False, repr=False)
class MetricsDisplay(ScoresDisplay):
    """Metrics as bars with their intervals.

    Parameters
    ----------
    metrics : mapping of str to Metric
        From the top down, by the names in `melanoma_tl.metrics.LABELS` or any others, which are written as they are;
        those that may exceed 1 (`melanoma_tl.metrics.UNBOUNDED`) are not drawn.
    confidence : float, default=0.95
        Coverage of the intervals.

    Attributes
    ----------
    bars_ : matplotlib.container.BarContainer
        A bar each.
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.

    Examples
    --------
    >>> display = MetricsDisplay.from_predictions([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> float(display.bars_[0].get_width())  # the AUC
    0.75
    """

    metrics: Mapping[str, Metric]
    confidence: float = 0.95

    bars_: "BarContainer" = field(init=False)
    _has_threshold = True

    def plot(self, ax: "Axes | None" = None, **style: Any) -> Self:
        """Draw a bar with its interval for each metric.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.
        **style : object
            For the bars, as ``Axes.barh`` takes it.

        Returns
        -------
        MetricsDisplay
            Itself, with ``bars_``, ``ax_`` and ``figure_``; names stand on the left, values on the right.
        """
        from matplotlib.patches import Rectangle

        shown = {name: metric for name, metric in self.metrics.items() if name not in _NO_BARS}
        names = [f"{_wrap(LABELS.get(name, name))}  (n = {metric.n})" for name, metric in shown.items()]
        longest = max(len(line) for name in names for line in name.split("\n"))
        width = max(7.2, 2.25 + 0.11 * longest)  # long names leave the bars their room
        ax = self._begin(ax, (width, 0.4 * len(shown) + 1.2))
        rows, metrics = range(len(shown)), list(shown.values())
        lowest = min((metric.low for metric in metrics if metric.low < 0), default=0)
        # Matplotlib leaves out NaN: an undefined metric has an empty row, and says so on the right.
        bars = styled(style, Rectangle, color=BLUE, alpha=0.45, linewidth=0)
        self.bars_ = ax.barh(rows, [metric.value for metric in metrics], **{"height": 0.6} | bars)
        for row, metric in zip(rows, metrics, strict=True):
            ax.plot([metric.low, metric.high], [row, row], color="black", linewidth=1.6, marker="|", markersize=8)
        style_axes(ax, f"Test metrics with {100 * self.confidence:g} % intervals", "Value", "")
        ax.set(xlim=(lowest, 1.02), ylim=(len(rows) - 0.4, -0.6))
        ax.set_yticks(rows, names)
        ax.grid(visible=False, axis="y")
        label_right(ax, [_interval(metric) for metric in metrics])
        return self

    @classmethod
    @checked()
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike,
        *,
        pos_label: object = None,
        threshold: float = 0.5,
        confidence: float = 0.95,
        n_resamples: int = 2000,
        random_state: int = 0,
        groups: ArrayLike | None = None,
        ax: "Axes | None" = None,
        **style: Any,
    ) -> Self:
        """Compute all metrics of a set of scores, and draw them.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            0 or False benign, 1 or True melanoma, or words that say so; others need `pos_label`. Both must occur.
        y_score : array-like of shape (n,)
            Probabilities of melanoma, 0 to 1.
        pos_label : object, optional
            The label that means melanoma; every other label is then benign.
        threshold, confidence, n_resamples, random_state, groups
            As `melanoma_tl.metrics.score_metrics`.
        ax, **style
            As `plot`.

        Returns
        -------
        MetricsDisplay
            With ``bars_``, ``ax_`` and ``figure_``.

        Raises
        ------
        DatasetError, ParameterError
            As `melanoma_tl.metrics.score_metrics`.
        """
        metrics = score_metrics(
            as_binary(y_true, pos_label=pos_label),
            y_score,
            threshold=threshold,
            confidence=confidence,
            n_resamples=n_resamples,
            random_state=random_state,
            groups=groups,
        )
        return cls(metrics, confidence).plot(ax, **style)


def _wrap(name: str) -> str:
    """Write a name in at most two lines; of a longer one, what stands last is cut, which is the name of a class."""
    lines = textwrap.wrap(visible(name), MOST_IN_LABEL, max_lines=2, placeholder=" …")
    return "\n".join(in_figure(line, MOST_IN_LABEL) for line in lines)


def _interval(metric: Metric) -> str:
    if np.isnan(metric.value):
        return "undefined"
    dash, mark = "-" if metric.low >= 0 else " to ", f", {MARK}" if metric.few else ""
    return f"{metric.value:.3f}  ({metric.low:.3f}{dash}{metric.high:.3f}{mark})"
