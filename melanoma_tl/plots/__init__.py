"""The plots of the library: displays in scikit-learn's manner, in one style.

A display holds what was computed; its `plot` draws it, as often as asked, on axes
of yours or on a figure of its own. `from_predictions` and `from_estimator` compute
and draw at once. Sheets of photographs fill a whole figure, and are one.
"""

from melanoma_tl.plots.backbones import BackbonesDisplay
from melanoma_tl.plots.decision_curves import (
    DecisionCurveDisplay,
    GainCurveDisplay,
    PredictiveValuesDisplay,
    ScoreHistogramDisplay,
)
from melanoma_tl.plots.forest import ForestDisplay
from melanoma_tl.plots.history import HistoryDisplay
from melanoma_tl.plots.metrics import MetricsDisplay
from melanoma_tl.plots.style import BLUE, GREEN, GREY, ORANGE, new_axes, new_figure, style_axes

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "BackbonesDisplay",
    "DecisionCurveDisplay",
    "ForestDisplay",
    "GainCurveDisplay",
    "HistoryDisplay",
    "MetricsDisplay",
    "PredictiveValuesDisplay",
    "ScoreHistogramDisplay",
    "new_axes",
    "new_figure",
    "style_axes",
]
