"""Curves for which scikit-learn has a display, in the style of the library and with intervals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._escaping import SHORT, in_figure
from melanoma_tl.metrics.curve_bands import Band
from melanoma_tl.metrics.metric import Metric, describe
from melanoma_tl.metrics.resampling import ScoreCounts
from melanoma_tl.plots.style import (
    BLUE,
    GREY,
    OKABE_ITO,
    ORANGE,
    SMALL_SIZE,
    axes_or_new,
    count_images,
    shade,
    square,
    style_axes,
    write_threshold,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay

    from melanoma_tl.metrics.calibration_splines import SmoothCalibration
    from melanoma_tl.metrics.reliability import ReliabilityCurve

_CALIBRATION_LEGEND = {"brier": "Brier", "calibration_intercept": "intercept", "calibration_slope": "slope"}
_LEGEND_TOP, _ROOM = 0.45, 0.35  # shares of the axes: height of a legend below, width of words beside a point
_LEGEND_SIDE = 0.75  # share of the axes that the legend of a reliability diagram takes in width; in height _ROOM
_BELOW = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "borderaxespad": 4.5}  # in letters, below ticks and label
_FLOOR = -0.28  # where the axes of a reliability diagram begin, as a share of their reach: counts are drawn below 0
_LEGEND_WIDTH, _LEGEND_HEIGHT = 0.9, 0.26  # of a precision-recall curve, as shares of the axes
_ABOVE = 0.03  # a curve so far above the diagonal runs where the legend else stands
_FEW_CALLED = 10  # one image more or less then moves the precision by a tenth
_DASHES = ("-", "--", "-.", ":")  # distinguish curves in grey, and where there are more curves than colours


def draw_roc(
    y_true: NDArray[np.int64],
    y_score: NDArray[np.float64],
    metrics: Mapping[str, Metric],
    *,
    threshold: float | None,
    confidence: float,
    band: Band | None = None,
    ax: "Axes | None" = None,
) -> "RocCurveDisplay":
    """Draw the ROC curve with its band, and the operating point in words.

    Parameters
    ----------
    y_true : ndarray of shape (n,)
        0 benign, 1 melanoma.
    y_score : ndarray of shape (n,)
        Probabilities of melanoma.
    metrics : mapping of str to Metric
        Holds auc, sensitivity and specificity.
    threshold : float or None
        Where the operating point lies; None where the predictions are not those of a threshold.
    confidence : float
        Coverage of the intervals.
    band : Band, optional
        As `melanoma_tl.metrics.curve_bands.roc_band` gives it.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    sklearn.metrics.RocCurveDisplay
        With ``ax_`` and ``figure_``.
    """
    from melanoma_tl.plots.pictures import RocCurveDisplay

    ax = axes_or_new(ax)
    display = RocCurveDisplay.from_predictions(
        **_points(y_true, y_score),
        ax=ax,
        drop_intermediate=False,
        plot_chance_level=True,
        chance_level_kw={"color": GREY},
    )
    display.line_.set(color=BLUE, linewidth=2, label=f"AUC {_interval(metrics['auc'], confidence)}")
    display.chance_level_.set(label="chance, AUC 0.5")
    _shade_band(ax, band, confidence)
    sensitivity, specificity = metrics["sensitivity"].value, metrics["specificity"].value
    reached = f"sensitivity {sensitivity:.2f}\nspecificity {specificity:.2f}"
    # Below the curve is room, but for the legend in its corner.
    x = 1 - specificity
    place = (x + (0.05 if x < 1 - _ROOM else -0.05), sensitivity + (-0.05 if sensitivity > _LEGEND_TOP else 0.2))
    _mark_operating_point(ax, (x, sensitivity), threshold, reached, words=place)
    title = f"ROC curve\n{count_images(len(y_true), int(y_true.sum()))}"
    style_axes(ax, title, "1 - specificity (false positive rate)", "Sensitivity (true positive rate)")
    square(ax)
    ax.legend(loc="lower right", fontsize=SMALL_SIZE)
    return display


def draw_precision_recall(
    y_true: NDArray[np.int64],
    y_score: NDArray[np.float64],
    metrics: Mapping[str, Metric],
    *,
    threshold: float | None,
    confidence: float,
    band: Band | None = None,
    ax: "Axes | None" = None,
) -> "PrecisionRecallDisplay":
    """Draw precision against recall with its band, the prevalence as baseline, and the operating point in words.

    The curve is dotted where fewer than ten images are predicted melanoma: one of them more or less would move it far.
    It has no point at recall 0, where none is predicted melanoma and precision does not exist.

    Parameters
    ----------
    y_true, y_score, threshold, confidence, ax
        As `draw_roc`.
    metrics : mapping of str to Metric
        Holds average_precision, sensitivity and precision.
    band : Band, optional
        As `melanoma_tl.metrics.curve_bands.precision_band` gives it.

    Returns
    -------
    sklearn.metrics.PrecisionRecallDisplay
        With ``ax_`` and ``figure_``.
    """
    from melanoma_tl.plots.pictures import PrecisionRecallDisplay

    ax = axes_or_new(ax)
    display = PrecisionRecallDisplay.from_predictions(
        **_points(y_true, y_score), ax=ax, plot_chance_level=True, chance_level_kw={"color": GREY}
    )
    _dot_what_rests_on_few(display, int(y_true.sum()))
    display.line_.set(
        color=BLUE, linewidth=2, label=f"average precision {_interval(metrics['average_precision'], confidence)}"
    )
    # scikit-learn counts the points that it was given, and not their weights.
    display.prevalence_pos_label = float(np.mean(y_true))
    display.chance_level_.set(
        ydata=[display.prevalence_pos_label] * 2, label=f"chance, the prevalence {display.prevalence_pos_label:.3f}"
    )
    _shade_band(ax, band, confidence)
    above = _is_above_better(display)
    if metrics["precision"].n:
        sensitivity, precision = metrics["sensitivity"].value, metrics["precision"].value
        reached = f"sensitivity {sensitivity:.2f}\nprecision {precision:.2f}"
        # The words stand below a legend above, else to the right of the curve, or below it where it ends there.
        beside = (1.0, min(precision + 0.2, 0.95))
        below = (max(sensitivity - 0.1, _ROOM), max(precision - 0.2, _LEGEND_TOP))
        place = (1.0, 0.76) if above else beside if sensitivity < 1 - _ROOM else below
        _mark_operating_point(ax, (sensitivity, precision), threshold, reached, words=place)
    title = f"Precision-recall curve\n{count_images(len(y_true), int(y_true.sum()))}"
    style_axes(ax, title, "Sensitivity (recall)", "Precision (PPV)")
    square(ax)
    ax.legend(loc="upper right" if above else "lower left", fontsize=SMALL_SIZE)
    return display


def draw_roc_curves(
    curves: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]],
    *,
    notes: Sequence[str],
    ax: "Axes | None" = None,
) -> "RocCurveDisplay":
    """Draw several ROC curves.

    Parameters
    ----------
    curves : mapping of str to (ndarray, ndarray)
        Labels and scores by the names of the curves; at least two.
    notes : sequence of str
        What the legend says of each curve beside its name.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    sklearn.metrics.RocCurveDisplay
        With ``ax_``, ``figure_`` and, in ``line_``, a list of the curves.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    from melanoma_tl.plots.pictures import RocCurveDisplay

    ax = axes_or_new(ax, 6.4, 6.0)
    points = [roc_curve(y_true, y_score) for y_true, y_score in curves.values()]
    display = RocCurveDisplay(
        fpr=[fpr for fpr, _, _ in points],
        tpr=[tpr for _, tpr, _ in points],
        roc_auc=[float(roc_auc_score(y_true, y_score)) for y_true, y_score in curves.values()],
        name=list(curves),
    )
    looks = [
        {"color": OKABE_ITO[place % len(OKABE_ITO)], "linestyle": _DASHES[place % len(_DASHES)], "alpha": 1}
        for place in range(len(curves))
    ]
    display.plot(ax=ax, curve_kwargs=looks, plot_chance_level=True, chance_level_kw={"color": GREY, "linewidth": 1})
    for line, name, note in zip(display.line_, curves, notes, strict=True):
        line.set(linewidth=1.8, label=f"{in_figure(name, SHORT)}, {note}")
    display.chance_level_.set(label="chance, AUC 0.5")
    style_axes(ax, "ROC curves", "1 - specificity (false positive rate)", "Sensitivity (true positive rate)")
    square(ax)
    ax.legend(loc="lower right", fontsize=SMALL_SIZE)
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

    reach = _reach(y_score, curve.high)
    room = _find_room(curve, reach)
    ax = axes_or_new(ax, height=6.2 if room == _BELOW else 5.2)
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfectly calibrated")
    if smooth is not None:
        shade(ax, smooth.score, smooth.low, smooth.high, ORANGE)
        label_text = f"smooth curve, ICI {smooth.ici.value:.3f}"
        ax.plot(smooth.score, smooth.melanoma_share, color=ORANGE, linewidth=2, linestyle="-.", label=label_text)
    # Lines, not a collection of them: the legend is placed where no line is.
    ax.plot([curve.mean_score] * 2, [curve.low, curve.high], color=BLUE, linewidth=1.4, alpha=0.6)
    display = CalibrationDisplay(curve.melanoma_share, curve.mean_score, y_score, pos_label=1)
    display.plot(ax=ax, ref_line=False, color=BLUE, marker="o", markersize=5, linewidth=1.4)
    display.line_.set_label(f"{len(curve.n)} bins of {_range(curve.n)}, {100 * confidence:g} % CI")
    for name, label in _CALIBRATION_LEGEND.items():
        label_text = _interval(metrics[name], confidence).replace(f"{100 * confidence:g} % CI ", "")
        ax.plot([], [], " ", label=f"{label} {label_text}")
    title = f"Reliability of the scores\n{count_images(int(curve.n.sum()), _melanomas(curve))}"
    style_axes(ax, title, "Score (mean of the bin)", "Share of melanomas")
    ax.set(xlim=(-0.02 * reach, 1.02 * reach), ylim=(_FLOOR * reach, 1.02 * reach), aspect="equal")
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= 1.02 * reach])
    _draw_score_counts(ax, y_score, reach)
    ax.legend(**room, fontsize=SMALL_SIZE, handlelength=1.5)
    return display


def _find_room(curve: "ReliabilityCurve", reach: float) -> dict[str, Any]:
    """Place a legend on the other side of the diagonal than the curve, or below the axes where intervals are there."""
    x, low, high = curve.mean_score / reach, curve.low / reach, curve.high / reach
    # A mean, weighted by the scores: not divided by their sum, which is 0 where all of them are.
    if (curve.melanoma_share - curve.mean_score) @ curve.mean_score > _ABOVE * curve.mean_score.sum():
        if not ((x > 1 - _LEGEND_SIDE) & (low < _ROOM)).any():
            return {"loc": "lower right", "bbox_to_anchor": (1, 0.22)}  # above the counts
    elif not ((x < _LEGEND_SIDE) & (high > 1 - _ROOM)).any():
        return {"loc": "upper left"}
    return _BELOW


def _reach(y_score: NDArray[np.float64], high: NDArray[np.float64]) -> float:
    """End of the axes: a round number above all scores and intervals, so that no empty half is drawn."""
    return min(1.0, float(np.ceil(10 * max(y_score.max(), high.max())) / 10))


def _melanomas(curve: "ReliabilityCurve") -> int:
    return int(np.rint(curve.melanoma_share * curve.n).sum())


def _draw_score_counts(ax: "Axes", y_score: NDArray[np.float64], reach: float) -> None:
    """Draw below the diagram how many images have which score."""
    counts, edges = np.histogram(y_score, np.linspace(0, reach, 41))
    floor = (_FLOOR + 0.02) * reach
    tops = floor + 0.14 * reach * counts / counts.max()
    ax.stairs(tops, edges, baseline=floor, fill=True, color=GREY, alpha=0.7)
    ax.text(reach, floor + 0.15 * reach, "images with this score", ha="right", va="bottom", fontsize=SMALL_SIZE)


def _points(y_true: NDArray[np.int64], y_score: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Leave out points of a curve that lie closer to each other than anybody can see."""
    scores, melanoma, benign = ScoreCounts.of(y_true, y_score).pooled()[0]
    return {
        "y_true": np.repeat([1, 0], len(scores)),
        "y_score": np.tile(scores, 2),
        "sample_weight": np.concatenate([melanoma, benign]),
    }


def _mark_operating_point(
    ax: "Axes", place: tuple[float, float], threshold: float | None, reached: str, *, words: tuple[float, float]
) -> None:
    """Mark the point, and say what it reaches where there is room."""
    x, y = place
    ax.plot(x, y, "o", color=ORANGE, markersize=9, markeredgecolor="white", zorder=3, clip_on=False)
    ax.annotate(
        f"{'predicted class' if threshold is None else f'threshold {write_threshold(threshold)}'}\n{reached}",
        place,
        xytext=words,
        ha="left" if x < words[0] < 1 else "right",
        va="top",
        fontsize=SMALL_SIZE,
        bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        arrowprops={"arrowstyle": "-", "color": GREY, "shrinkB": 5},
        zorder=2.9,
    )


def _shade_band(ax: "Axes", band: Band | None, confidence: float) -> None:
    if band is not None:
        shade(ax, *band, BLUE)
        ax.collections[-1].set_label(f"{100 * confidence:g} % band, point by point")


def _dot_what_rests_on_few(display: "PrecisionRecallDisplay", n_melanoma: int) -> None:
    """Dot the curve where few images are predicted melanoma, and leave out the point where none is."""
    recall, precision = display.recall[:-1], display.precision[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        few = ~(recall * n_melanoma / precision >= _FEW_CALLED)  # NaN where no melanoma is among them
    first = len(few) - int(few[::-1].argmin()) if not few.all() else 0
    display.line_.set_data(recall[:first], precision[:first])
    display.ax_.plot(
        recall[max(first - 1, 0) :],
        precision[max(first - 1, 0) :],
        color=BLUE,
        linestyle=":",
        linewidth=1,
        drawstyle="steps-post",
        label=f"fewer than {_FEW_CALLED} predicted melanoma",
    )


def _is_above_better(display: "PrecisionRecallDisplay") -> bool:
    """Tell whether a legend at the upper right hides less of the curve than one at the lower left."""
    recall = np.linspace(0, 1, 101)
    precision = np.interp(recall, display.recall[::-1], display.precision[::-1])
    hidden_above = (recall > 1 - _LEGEND_WIDTH) & (precision > 1 - _LEGEND_HEIGHT)
    hidden_below = (recall < _LEGEND_WIDTH) & (precision < _LEGEND_HEIGHT)
    return bool(hidden_above.sum() <= hidden_below.sum())


def _interval(metric: Metric, confidence: float) -> str:
    """Write a metric with its interval, without the number of images, which stands below the title."""
    return describe(metric, confidence).replace(f", n = {metric.n}", "")


def _range(n: NDArray[np.int64]) -> str:
    return f"{n.min()}" if n.min() == n.max() else f"{n.min()} to {n.max()}"
