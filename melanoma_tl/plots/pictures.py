"""Figures and displays that show themselves in a notebook, where they are the last expression of a cell.

A figure that pyplot holds is drawn by the notebook itself, once, at the end of the cell: it is not shown here again.
"""

import io
from typing import Any

import sklearn.calibration
import sklearn.metrics
from matplotlib.figure import Figure

DPI = 100
"""Dots per inch in a notebook."""


def draw_png(figure: Any) -> bytes | None:
    """Draw a figure for a notebook.

    Parameters
    ----------
    figure : matplotlib.figure.Figure or None
        None where nothing was drawn yet.

    Returns
    -------
    bytes or None
        A PNG image; None where there is nothing to show, or pyplot shows it.
    """
    if figure is None or figure.canvas.manager is not None:
        return None
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=DPI, bbox_inches="tight")
    return written.getvalue()


class OwnFigure(Figure):
    """A figure that no global list holds."""

    def _repr_png_(self) -> bytes | None:
        return draw_png(self)


class _Shown:
    def _repr_png_(self) -> bytes | None:
        return draw_png(getattr(self, "figure_", None))


class RocCurveDisplay(_Shown, sklearn.metrics.RocCurveDisplay):
    """scikit-learn's, with a picture."""


class PrecisionRecallDisplay(_Shown, sklearn.metrics.PrecisionRecallDisplay):
    """scikit-learn's, with a picture."""


class ConfusionMatrixDisplay(_Shown, sklearn.metrics.ConfusionMatrixDisplay):
    """scikit-learn's, with a picture."""


class CalibrationDisplay(_Shown, sklearn.calibration.CalibrationDisplay):
    """scikit-learn's, with a picture."""
