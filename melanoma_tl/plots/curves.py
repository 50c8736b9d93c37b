"""Curves for which scikit-learn has a display, in the style of the library and with intervals."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._escaping import in_figure
from melanoma_tl.metrics.metric import Metric, describe
from melanoma_tl.metrics.resampling import ScoreCounts
from melanoma_tl.plots.style import BLUE, GREY, OKABE_ITO, ORANGE, TEXT_SIZE, new_axes, square, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay

    from melanoma_tl.metrics.calibration_splines import SmoothCalibration
    from melanoma_tl.metrics.reliability import ReliabilityCurve

_CALIBRATION_LEGEND = {"brier": "Brier", "calibration_intercept": "intercept", "calibration_slope": "slope"}
_DASHES = ("-", "--", ":")  # for more curves than there are colours


def draw_roc(
    y_true: NDArray[np.int64],
    y_score: NDArray[np.float64],
    metrics: Mapping[str, Metric],
    *,
    threshold: float,
    confidence: float,
    ax: "Axes | None" = None,
) -> "RocCurveDisplay":
    """Draw the ROC curve, with the operating point marked.

    Parameters
    ----------
    y_true : ndarray of shape (n,)
        0 benign, 1 melanoma.
    y_score : ndarray of shape (n,)
        Probabilities of melanoma.
    metrics : mapping of str to Metric
        Holds auc, sensitivity and specificity.
    threshold : float
        Where the operating point lies.
    confidence : float
        Coverage of the intervals.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    sklearn.metrics.RocCurveDisplay
        With ``ax_`` and ``figure_``.
    """
    from melanoma_tl.plots.pictures import RocCurveDisplay

    ax = new_axes() if ax is None else ax
    display = RocCurveDisplay.from_predictions(
        **_points(y_true, y_score),
        ax=ax,
        drop_intermediate=False,
        plot_chance_level=True,
        chance_level_kw={"color": GREY},
    )
    display.line_.set(color=BLUE, linewidth=2, label=f"AUC {describe(metrics['auc'], confidence)}")
    display.chance_level_.set(label="chance, AUC 0.5")
    sensitivity, specificity = metrics["sensitivity"].value, metrics["specificity"].value
    _mark_operating_point(ax, 1 - specificity, sensitivity, threshold)
    style_axes(ax, "ROC curve", "1 - specificity (false positive rate)", "Sensitivity (true positive rate)")
    square(ax)
    ax.legend(loc="lower right", fontsize=TEXT_SIZE - 1)
    return display


def draw_precision_recall(
    y_true: NDArray[np.int64],
    y_score: NDArray[np.float64],
    metrics: Mapping[str, Metric],
    *,
    threshold: float,
    confidence: float,
    ax: "Axes | None" = None,
) -> "PrecisionRecallDisplay":
    """Draw precision against recall, with the prevalence as baseline and the operating point marked.

    Parameters
    ----------
    y_true, y_score, threshold, confidence, ax
        As `draw_roc`.
    metrics : mapping of str to Metric
        Holds average_precision, sensitivity and precision.

    Returns
    -------
    sklearn.metrics.PrecisionRecallDisplay
        With ``ax_`` and ``figure_``.
    """
    from melanoma_tl.plots.pictures import PrecisionRecallDisplay

    ax = new_axes() if ax is None else ax
    display = PrecisionRecallDisplay.from_predictions(
        **_points(y_true, y_score), ax=ax, plot_chance_level=True, chance_level_kw={"color": GREY}
    )
    display.line_.set(color=BLUE, linewidth=2, label=f"AP {describe(metrics['average_precision'], confidence)}")
    # scikit-learn counts the points that it was given, and not their weights.
    display.prevalence_pos_label = float(np.mean(y_true))
    display.chance_level_.set(
        ydata=[display.prevalence_pos_label] * 2, label=f"chance, the prevalence {display.prevalence_pos_label:.3f}"
    )
    if metrics["precision"].n:
        _mark_operating_point(ax, metrics["sensitivity"].value, metrics["precision"].value, threshold)
    style_axes(ax, "Precision-recall curve", "Sensitivity (recall)", "Precision (PPV)")
    square(ax)
    ax.legend(loc="lower left", fontsize=TEXT_SIZE - 1)
    return display


def draw_roc_curves(
    curves: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]], *, ax: "Axes | None" = None
) -> "RocCurveDisplay":
    """Draw several ROC curves.

    Parameters
    ----------
    curves : mapping of str to (ndarray, ndarray)
        Labels and scores by what the legend says; at least two.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    sklearn.metrics.RocCurveDisplay
        With ``ax_``, ``figure_`` and, in ``line_``, a list of the curves.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    from melanoma_tl.plots.pictures import RocCurveDisplay

    ax = new_axes(6.4, 6.0) if ax is None else ax
    points = [roc_curve(y_true, y_score) for y_true, y_score in curves.values()]
    display = RocCurveDisplay(
        fpr=[fpr for fpr, _, _ in points],
        tpr=[tpr for _, tpr, _ in points],
        roc_auc=[float(roc_auc_score(y_true, y_score)) for y_true, y_score in curves.values()],
        name=list(curves),
    )
    looks = [
        {"color": OKABE_ITO[place % len(OKABE_ITO)], "linestyle": _DASHES[place // len(OKABE_ITO) % len(_DASHES)]}
        for place in range(len(curves))
    ]
    display.plot(ax=ax, curve_kwargs=looks, plot_chance_level=True, chance_level_kw={"color": GREY, "linewidth": 1})
    for line, label in zip(display.line_, curves, strict=True):
        line.set(linewidth=1.8, label=in_figure(label, 90))
    display.chance_level_.set(label="chance, AUC 0.5")
    style_axes(ax, "ROC curves", "1 - specificity (false positive rate)", "Sensitivity (true positive rate)")
    square(ax)
    ax.legend(loc="lower right", fontsize=TEXT_SIZE - 2)
    return display


def draw_reliability(
    curve: "ReliabilityCurve",
    y_score: NDArray[np.float64],
    metrics: Mapping[str, Metric],
    *,
    confidence: float,
    smooth: "SmoothCalibration | None" = None,
    ax: "Axes | None" = None,
) -> "CalibrationDisplay":
    """Draw the share of melanomas against the score, in bins with intervals and as a smooth curve with a band.

    Parameters
    ----------
    curve : ReliabilityCurve
        The bins.
    y_score : ndarray of shape (n,)
        The scores that are in them.
    metrics : mapping of str to Metric
        Holds brier, calibration_slope and calibration_intercept, for the legend.
    confidence : float
        Coverage of the intervals.
    smooth : SmoothCalibration, optional
        The curve, where there is one.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    sklearn.calibration.CalibrationDisplay
        With ``ax_``, ``figure_`` and ``line_``.
    """
    from melanoma_tl.plots.pictures import CalibrationDisplay

    ax = new_axes() if ax is None else ax
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfectly calibrated")
    if smooth is not None:
        ax.fill_between(smooth.score, smooth.low, smooth.high, color=ORANGE, alpha=0.25, linewidth=0)
        told = f"smooth curve, ICI {describe(smooth.ici, confidence)}"
        ax.plot(smooth.score, smooth.melanoma_share, color=ORANGE, linewidth=2, label=told)
    # Lines, not a collection of them: the legend is placed where no line is.
    ax.plot([curve.mean_score] * 2, [curve.low, curve.high], color=BLUE, linewidth=1.4, alpha=0.6)
    display = CalibrationDisplay(curve.melanoma_share, curve.mean_score, y_score, pos_label=1)
    display.plot(ax=ax, ref_line=False, color=BLUE, marker="o", markersize=5, linewidth=1.4)
    display.line_.set_label(f"{len(curve.n)} bins, n = {_range(curve.n)} each, {100 * confidence:g} % intervals")
    for name, label in _CALIBRATION_LEGEND.items():
        ax.plot([], [], " ", label=f"{label} {describe(metrics[name], confidence)}")
    style_axes(ax, "Reliability diagram", "Mean score", "Share of melanomas")
    square(ax)
    ax.legend(loc="best", fontsize=TEXT_SIZE - 2, handlelength=1.5)
    return display


def _points(y_true: NDArray[np.int64], y_score: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Leave out points of a curve that lie closer to each other than anybody can see."""
    scores, melanoma, benign = ScoreCounts.of(y_true, y_score).pooled()[0]
    return {
        "y_true": np.repeat([1, 0], len(scores)),
        "y_score": np.tile(scores, 2),
        "sample_weight": np.concatenate([melanoma, benign]),
    }


def _mark_operating_point(ax: "Axes", x: float, y: float, threshold: float) -> None:
    label = f"threshold {threshold:g}: ({x:.3f}, {y:.3f})"
    ax.plot(x, y, "o", color=ORANGE, markersize=9, markeredgecolor="white", label=label, zorder=3, clip_on=False)


def _range(n: NDArray[np.int64]) -> str:
    return f"{n.min()}" if n.min() == n.max() else f"{n.min()} to {n.max()}"
