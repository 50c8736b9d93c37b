"""The figures of the library, in one style.

Nothing here touches pyplot's list of open figures: each drawing function makes
its own ``matplotlib.figure.Figure`` unless it is given axes, so that it works
without a display, in threads, and leaves nothing open. Colours are those of
Okabe and Ito, which readers with colour vision deficiency tell apart.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.errors import ImageError, ParameterError
from melanoma_tl.metrics import LABELS, ConfusionCounts, Metric, describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

    from melanoma_tl.calibration import ReliabilityCurve
    from melanoma_tl.decisions import DecisionCurve, GainCurve, PredictiveValues, ScoreHistogram

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"

_OKABE_ITO = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000")

_TEXT, _TITLE = 10, 12  # points
_THUMBNAIL = (224, 224)  # pixels


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
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # Wider margins than the default, which sets text on the very edge of the saved image.
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))


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


def dress(ax: "Axes", title: str, x_label: str, y_label: str) -> None:
    """Give axes the common style, explicitly: rcParams are global, and would race in threads.

    Parameters
    ----------
    ax : Axes
        Changed in place.
    title, x_label, y_label : str
        What to write on them.
    """
    ax.set_title(title, fontsize=_TITLE)
    ax.set_xlabel(x_label, fontsize=_TEXT)
    ax.set_ylabel(y_label, fontsize=_TEXT)
    ax.tick_params(labelsize=_TEXT)
    ax.set_facecolor("white")
    ax.grid(visible=True, color="#e5e5e5", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def draw_roc(
    y_true: NDArray[np.int64],
    y_score: NDArray[np.float64],
    figures: Mapping[str, Metric],
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
    figures : mapping of str to Metric
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
    from sklearn.metrics import RocCurveDisplay

    ax = new_axes() if ax is None else ax
    display = RocCurveDisplay.from_predictions(
        y_true, y_score, ax=ax, drop_intermediate=False, plot_chance_level=True, chance_level_kw={"color": GREY}
    )
    display.line_.set(color=BLUE, linewidth=2, label=f"AUC {describe(figures['auc'], confidence)}")
    display.chance_level_.set(label="chance, AUC 0.5")
    sensitivity, specificity = figures["sensitivity"].value, figures["specificity"].value
    _mark_operating_point(ax, 1 - specificity, sensitivity, threshold)
    dress(ax, "ROC curve", "1 - specificity (false positive rate)", "Sensitivity (true positive rate)")
    _unit_square(ax)
    ax.legend(loc="lower right", fontsize=_TEXT - 1)
    return display


def draw_precision_recall(
    y_true: NDArray[np.int64],
    y_score: NDArray[np.float64],
    figures: Mapping[str, Metric],
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
    figures : mapping of str to Metric
        Holds average_precision, sensitivity and precision.

    Returns
    -------
    sklearn.metrics.PrecisionRecallDisplay
        With ``ax_`` and ``figure_``.
    """
    from sklearn.metrics import PrecisionRecallDisplay

    ax = new_axes() if ax is None else ax
    display = PrecisionRecallDisplay.from_predictions(
        y_true, y_score, ax=ax, plot_chance_level=True, chance_level_kw={"color": GREY}
    )
    display.line_.set(color=BLUE, linewidth=2, label=f"AP {describe(figures['average_precision'], confidence)}")
    display.chance_level_.set(label=f"chance, the prevalence {np.mean(y_true):.3f}")
    if figures["precision"].n:
        _mark_operating_point(ax, figures["sensitivity"].value, figures["precision"].value, threshold)
    dress(ax, "Precision-recall curve", "Sensitivity (recall)", "Precision (PPV)")
    _unit_square(ax)
    ax.legend(loc="lower left", fontsize=_TEXT - 1)
    return display


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
    from sklearn.metrics import ConfusionMatrixDisplay

    ax = new_axes(5.0, 4.6) if ax is None else ax
    matrix = np.array(counts).reshape(2, 2)
    shares = matrix / matrix.sum(axis=1, keepdims=True)
    display = ConfusionMatrixDisplay(matrix, display_labels=["benign", "melanoma"])
    # Shaded by share, not by count: with few melanomas the counts alone would hide the row that matters.
    display.plot(ax=ax, cmap="Blues", colorbar=False)
    display.im_.set(data=shares, clim=(0, 1))
    for text, count, share in zip(display.text_.flat, matrix.flat, shares.flat, strict=True):
        text.set(text=f"{count}\n{100 * share:.1f} %", fontsize=_TITLE, color="white" if share > 0.5 else "black")
    rule = "" if threshold is None else f", score > {threshold:g}"
    dress(ax, f"Confusion matrix (n = {counts.n}{rule})", "Predicted class", "True class")
    ax.set_yticks([0, 1], [f"benign\n(n = {counts.n_benign})", f"melanoma\n(n = {counts.n_melanoma})"])
    ax.grid(visible=False)
    return display


def draw_class_matrix(
    matrix: NDArray[np.int64], classes: Sequence[str], *, ax: "Axes | None" = None
) -> "ConfusionMatrixDisplay":
    """Draw the confusion matrix of several classes.

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
    from sklearn.metrics import ConfusionMatrixDisplay

    side = 2.4 + 0.75 * len(classes)
    ax = new_axes(side, side) if ax is None else ax
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    display = ConfusionMatrixDisplay(matrix, display_labels=classes)
    display.plot(ax=ax, cmap="Blues", colorbar=False)
    # Shaded by share, not by count: with few images of a class the counts alone would hide its row.
    display.im_.set(data=shares, clim=(0, 1))
    for text, share in zip(display.text_.flat, shares.flat, strict=True):
        text.set(fontsize=_TEXT, color="white" if share > 0.5 else "black")
    dress(ax, f"Confusion matrix (n = {matrix.sum()})", "Predicted class", "True class")
    ax.tick_params(axis="x", labelrotation=45)
    ax.grid(visible=False)
    return display


def draw_roc_curves(
    curves: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]], *, ax: "Axes | None" = None
) -> "Axes":
    """Draw several ROC curves.

    Parameters
    ----------
    curves : mapping of str to (ndarray, ndarray)
        Labels and scores by what the legend says.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        Its ``figure`` shows and saves.
    """
    from sklearn.metrics import roc_curve

    ax = new_axes(6.4, 6.0) if ax is None else ax
    for place, (label, (y_true, y_score)) in enumerate(curves.items()):
        fpr, tpr, _ = roc_curve(y_true, y_score)
        style = ("-", "--", ":")[place // len(_OKABE_ITO) % 3]
        ax.plot(fpr, tpr, color=_OKABE_ITO[place % len(_OKABE_ITO)], linestyle=style, linewidth=1.8, label=label)
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    dress(ax, "ROC curves", "1 - specificity (false positive rate)", "Sensitivity (true positive rate)")
    _unit_square(ax)
    ax.legend(loc="lower right", fontsize=_TEXT - 2)
    return ax


def draw_metrics(figures: Mapping[str, Metric], *, confidence: float, ax: "Axes | None" = None) -> "Axes":
    """Draw each figure as a bar with its interval.

    Parameters
    ----------
    figures : mapping of str to Metric
        From the top down.
    confidence : float
        Coverage of the intervals.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        The names stand on the left, the values on the right.
    """
    ax = new_axes(7.2, 0.4 * len(figures) + 1.2) if ax is None else ax
    rows = range(len(figures))
    for row, metric in zip(rows, figures.values(), strict=True):
        # Matplotlib leaves out NaN: an undefined figure has an empty row, and says so on the right.
        ax.barh(row, metric.value, height=0.6, color=BLUE, alpha=0.45, linewidth=0)
        ax.plot([metric.low, metric.high], [row, row], color="black", linewidth=1.6, marker="|", markersize=8)
    dress(ax, f"Test figures with {100 * confidence:g} % intervals", "Value", "")
    ax.set(xlim=(0, 1.02), ylim=(len(figures) - 0.4, -0.6))
    ax.set_yticks(rows, [f"{LABELS[name]}  (n = {metric.n})" for name, metric in figures.items()])
    ax.grid(visible=False, axis="y")
    values = ax.secondary_yaxis("right")
    values.set_yticks(rows, [_interval(metric) for metric in figures.values()], fontsize=_TEXT - 1)
    values.tick_params(length=0)
    values.spines["right"].set_visible(False)
    return ax


def draw_reliability(
    curve: "ReliabilityCurve",
    y_score: NDArray[np.float64],
    figures: Mapping[str, Metric],
    *,
    confidence: float,
    ax: "Axes | None" = None,
) -> "CalibrationDisplay":
    """Draw the share of melanomas against the score, in bins, with intervals.

    Parameters
    ----------
    curve : ReliabilityCurve
        The bins.
    y_score : ndarray of shape (n,)
        The scores that are in them.
    figures : mapping of str to Metric
        Holds brier, calibration_slope and calibration_intercept, for the legend.
    confidence : float
        Coverage of the intervals.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    sklearn.calibration.CalibrationDisplay
        With ``ax_``, ``figure_`` and ``line_``.
    """
    from sklearn.calibration import CalibrationDisplay

    ax = new_axes() if ax is None else ax
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfectly calibrated")
    # Lines, not a collection of them: the legend is placed where no line is.
    ax.plot([curve.mean_score] * 2, [curve.low, curve.high], color=BLUE, linewidth=1.4, alpha=0.6)
    display = CalibrationDisplay(curve.melanoma_share, curve.mean_score, y_score, pos_label=1)
    display.plot(ax=ax, ref_line=False, color=BLUE, marker="o", markersize=5, linewidth=1.4)
    display.line_.set_label(f"{len(curve.n)} bins, n = {_range(curve.n)} each, {100 * confidence:g} % intervals")
    for name, label in _CALIBRATION_LEGEND.items():
        ax.plot([], [], " ", label=f"{label} {describe(figures[name], confidence)}")
    dress(ax, "Reliability diagram", "Mean score", "Share of melanomas")
    _unit_square(ax)
    ax.legend(loc="best", fontsize=_TEXT - 2, handlelength=1.5)
    return display


_CALIBRATION_LEGEND = {"brier": "Brier", "calibration_intercept": "intercept", "calibration_slope": "slope"}


def draw_decision_curve(
    curve: "DecisionCurve", *, prevalence: float, confidence: float, ax: "Axes | None" = None
) -> "Axes":
    """Draw the net benefit against the threshold probability, beside those of cutting out all lesions and none.

    Parameters
    ----------
    curve : DecisionCurve
        The net benefit.
    prevalence : float
        That of the images, for the title.
    confidence : float
        Coverage of the intervals.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        Its ``figure`` shows and saves.
    """
    ax = new_axes(6.2, 4.6) if ax is None else ax
    _band(ax, curve.thresholds, curve.low, curve.high, BLUE)
    ax.plot(
        curve.thresholds, curve.net_benefit, color=BLUE, linewidth=2, label=f"by the score, {100 * confidence:g} % band"
    )
    ax.plot(curve.thresholds, curve.treat_all, color=ORANGE, linestyle="--", label="all lesions cut out")
    ax.axhline(0, color=GREY, linestyle=":", label="none cut out")
    title = f"Decision curve (prevalence {100 * prevalence:.1f} %)"
    dress(ax, title, "Threshold probability of melanoma", "Net benefit per image")
    ax.set(xlim=(0, 1), ylim=(-0.25 * prevalence, 1.1 * max(prevalence, curve.high.max())))
    ax.legend(loc="upper right", fontsize=_TEXT - 1)
    return ax


def draw_gain(curve: "GainCurve", *, prevalence: float, confidence: float, ax: "Axes | None" = None) -> "Axes":
    """Draw the share of melanomas found against the share of images looked at.

    Parameters
    ----------
    curve : GainCurve
        The gain.
    prevalence : float
        That of the images: where a perfect order has found all.
    confidence : float
        Coverage of the intervals.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        Its ``figure`` shows and saves.
    """
    ax = new_axes() if ax is None else ax
    _band(ax, curve.examined, curve.low, curve.high, BLUE)
    ax.plot(curve.examined, curve.found, color=BLUE, linewidth=2, label=f"by the score, {100 * confidence:g} % band")
    ax.plot([0, prevalence, 1], [0, 1, 1], color=GREEN, linestyle="--", label="all melanomas first")
    ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="in random order")
    dress(ax, "Cumulative gain", "Images looked at, highest scores first", "Melanomas found")
    _unit_square(ax)
    ax.legend(loc="lower right", fontsize=_TEXT - 1)
    return ax


def draw_scores(histogram: "ScoreHistogram", *, threshold: float, ax: "Axes | None" = None) -> "Axes":
    """Draw how the scores of each class are distributed.

    Parameters
    ----------
    histogram : ScoreHistogram
        The counts.
    threshold : float
        Marked as a line.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        Its ``figure`` shows and saves.
    """
    ax = new_axes(6.2, 4.2) if ax is None else ax
    # Shares of each class, not counts: with few melanomas these would hardly be seen.
    for name, counts, colour in (("benign", histogram.benign, BLUE), ("melanoma", histogram.melanoma, ORANGE)):
        shares, label = counts / counts.sum(), f"{name} (n = {counts.sum()})"
        ax.stairs(shares, histogram.edges, color=colour, alpha=0.35, fill=True)
        ax.stairs(shares, histogram.edges, color=colour, linewidth=1.6, label=label)
    ax.axvline(threshold, color="black", linestyle="--", linewidth=1.2, label=f"threshold {threshold:g}")
    dress(ax, "Scores by class", "Score", "Share of the class")
    ax.set(xlim=(0, 1))
    ax.legend(fontsize=_TEXT - 1)
    return ax


def draw_predictive_values(
    values: "PredictiveValues", *, prevalence: float, confidence: float, ax: "Axes | None" = None
) -> "Axes":
    """Draw PPV and NPV against the prevalence.

    Parameters
    ----------
    values : PredictiveValues
        From the lowest prevalence to the highest.
    prevalence : float
        That of the images, marked as a line.
    confidence : float
        Coverage of the intervals.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        Its ``figure`` shows and saves.
    """
    ax = new_axes(6.2, 4.6) if ax is None else ax
    lines = (
        ("PPV", values.ppv, values.ppv_low, values.ppv_high, ORANGE, "-"),
        ("NPV", values.npv, values.npv_low, values.npv_high, BLUE, "--"),
    )
    for name, value, low, high, colour, style in lines:
        undefined = np.isnan(value).all()
        label = f"{name}: undefined" if undefined else f"{name}, {100 * confidence:g} % band"
        _band(ax, values.prevalence, low, high, colour)
        ax.plot(values.prevalence, value, color=colour, linestyle=style, linewidth=2, label=label)
    ax.axvline(prevalence, color=GREY, linestyle=":", label=f"prevalence here, {100 * prevalence:.1f} %")
    dress(ax, "Predictive values at other prevalences", "Prevalence of melanoma", "Predictive value")
    # Where lesions are looked at in earnest melanoma is rare: a linear axis would hide it at its edge.
    ax.set_xscale("log")
    ticks = [tick for tick in _PREVALENCES if values.prevalence[0] <= tick <= values.prevalence[-1]]
    ax.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set(xlim=(values.prevalence[0], values.prevalence[-1]), ylim=(-0.02, 1.02))
    ax.legend(loc="center left", fontsize=_TEXT - 1)
    return ax


_PREVALENCES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)

_PANELS = {"loss": "Loss", "accuracy": "Accuracy"}


def draw_history(
    history: Mapping[str, Sequence[float]], *, axes: "Sequence[Axes] | None" = None
) -> "NDArray[np.object_]":
    """Draw loss and accuracy, an epoch at a time, with the epoch of the lowest validation loss marked.

    Parameters
    ----------
    history : mapping of str to sequence of float
        loss and accuracy, and ``val_loss`` and ``val_accuracy`` when there was validation data; one value an epoch.
    axes : sequence of Axes, optional
        One for the loss and, where the history has it, one for the accuracy; a new figure by default.

    Returns
    -------
    ndarray of Axes of shape (1,) or (2,)
        The loss, then the accuracy.

    Raises
    ------
    ParameterError
        If the history holds no loss, or there is not one axes for each.
    """
    if not len(history.get("loss", ())):
        raise ParameterError(f"A history needs one 'loss' an epoch to be drawn, got the keys {sorted(history)}")
    shown = {key: label for key, label in _PANELS.items() if len(history.get(key, ()))}
    panels = np.atleast_1d(np.asarray(new_axes(4.8 * len(shown), 4.2, columns=len(shown)) if axes is None else axes))
    if panels.shape != (len(shown),):
        raise ParameterError(f"axes must be {len(shown)}, for {' and '.join(shown)}, got the shape {panels.shape}")
    watched = np.asarray(history.get("val_loss", ()), dtype=float)
    best = int(np.nanargmin(watched)) + 1 if np.isfinite(watched).any() else None
    for ax, (key, label) in zip(panels, shown.items(), strict=True):
        for name, source, colour, marker in ((key, "training", BLUE, "o"), (f"val_{key}", "validation", ORANGE, "s")):
            values = history.get(name, ())
            if len(values):
                ax.plot(range(1, len(values) + 1), values, color=colour, marker=marker, markersize=4, label=source)
        if best is not None:
            ax.axvline(best, color=GREY, linestyle="--", label=f"lowest validation loss: epoch {best}")
        dress(ax, label, "Epoch", label)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.margins(y=0.12)
        ax.legend(fontsize=_TEXT - 1)
    return panels


class Example(NamedTuple):
    """An image to show: its id, its file, and its score."""

    image_id: str
    path: str
    score: float


def draw_examples(groups: Mapping[str, Sequence[Example]], *, columns: int, threshold: float) -> "Figure":
    """Draw sample images, one row a group.

    Parameters
    ----------
    groups : mapping of str to sequence of Example
        Titles of the rows and what stands in them; an empty row says "none".
    columns : int
        Images in a full row.
    threshold : float
        For the title.

    Returns
    -------
    Figure
        One axes an image; images that cannot be decoded say why.
    """
    figure = new_figure(1.9 * columns + 1.7, 2.25 * len(groups) + 0.7)
    grid = figure.subplots(len(groups), columns, squeeze=False)
    for row, (title, examples) in zip(grid, groups.items(), strict=True):
        row[0].set_ylabel(title, fontsize=_TEXT, fontweight="bold")
        for ax in row:
            ax.set(xticks=[], yticks=[], xlim=(0, _THUMBNAIL[1]), ylim=(_THUMBNAIL[0], 0), aspect="equal")
            ax.spines[:].set_visible(False)
        for ax, example in zip(row, examples, strict=False):
            ax.set_title(f"{example.image_id}\nscore {example.score:.3f}", fontsize=_TEXT - 1)
            _show(ax, example.path)
        if not examples:
            _write(row[0], "none")
    figure.suptitle(
        f"Most confident images of each outcome\n(predicted melanoma: score > {threshold:g})", fontsize=_TITLE
    )
    return figure


class Pair(NamedTuple):
    """Two images to show side by side: their ids, their files, and what relates them."""

    image_ids: tuple[str, str]
    paths: tuple[str, str]
    caption: str


def draw_pairs(pairs: Sequence[Pair], *, title: str, columns: int = 3) -> "Figure":
    """Draw pairs of images, each pair side by side.

    Parameters
    ----------
    pairs : sequence of Pair
        What to draw; a file named "" is drawn as an empty field.
    title : str
        What stands above.
    columns : int, default=3
        Pairs in a full row.

    Returns
    -------
    Figure
        Two axes a pair; images that cannot be decoded say why.
    """
    rows = max(-(-len(pairs) // columns), 1)
    figure = new_figure(4.4 * columns, 2.6 * rows + 0.6)
    gap = 0.15  # of an image, between the pairs
    grid = figure.subplots(rows, 3 * columns, squeeze=False, width_ratios=[1, 1, gap] * columns).reshape(-1, 3)
    for ax in grid.ravel():
        ax.set(xticks=[], yticks=[], xlim=(0, _THUMBNAIL[1]), ylim=(_THUMBNAIL[0], 0), aspect="equal")
        ax.spines[:].set_visible(False)
    for axes, pair in zip(grid[:, :2], pairs, strict=False):
        for ax, image_id, path in zip(axes, pair.image_ids, pair.paths, strict=True):
            ax.set_title(image_id, fontsize=_TEXT - 1)
            _show(ax, path)
        axes[0].set_xlabel(pair.caption, fontsize=_TEXT - 1, color=ORANGE, loc="left")
    figure.suptitle(title, fontsize=_TITLE)
    return figure


def draw_explanations(
    captions: Sequence[str],
    images: NDArray[np.uint8],
    grad_cam: NDArray[np.float32],
    occlusion: NDArray[np.float32],
) -> "Figure":
    """Draw images beside the maps of what their scores come from.

    Parameters
    ----------
    captions : sequence of str
        One an image.
    images : ndarray of shape (n, height, width, 3) and dtype uint8
        Raw RGB.
    grad_cam : ndarray of shape (n, height, width)
        0 to 1.
    occlusion : ndarray of shape (n, rows, columns)
        -1 to 1.

    Returns
    -------
    Figure
        A row an image, with a scale for each kind of map.
    """
    n, height, width = images.shape[:3]
    figure = new_figure(7.4, 2.5 * n + 0.9)
    grid = figure.subplots(n, 3, squeeze=False)
    extent = (0, width, height, 0)
    reach = max(float(np.abs(occlusion).max()), 1e-3)
    for row, caption, image, heat, drop in zip(grid, captions, images, grad_cam, occlusion, strict=True):
        for ax in row:
            ax.imshow(image, extent=extent)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        found = row[1].imshow(heat, extent=extent, cmap="viridis", vmin=0, vmax=1, alpha=0.55)
        fell = row[2].imshow(drop, extent=extent, cmap="RdBu_r", vmin=-reach, vmax=reach, alpha=0.6)
        row[0].set_title(caption.replace(": ", "\n", 1), fontsize=_TEXT - 1, loc="left")
    grid[0, 1].set_title("Grad-CAM", fontsize=_TEXT)
    grid[0, 2].set_title("Occlusion", fontsize=_TEXT)
    labels = ((found, "evidence", grid[:, 1]), (fell, "fall of the score when covered", grid[:, 2]))
    for mapped, label, axes in labels:
        bar = figure.colorbar(mapped, ax=list(axes), location="bottom", shrink=0.9, pad=0.02)
        bar.set_label(label, fontsize=_TEXT - 1)
        bar.ax.tick_params(labelsize=_TEXT - 2)
    return figure


def draw_views(views: Sequence[NDArray[np.uint8]], *, titles: Sequence[str]) -> "Figure":
    """Draw several versions of some images, one row an image.

    Parameters
    ----------
    views : sequence of ndarray of shape (n_versions, height, width, 3) and dtype uint8
        Raw RGB.
    titles : sequence of str of length n_versions
        What stands above the columns.

    Returns
    -------
    Figure
        One axes a version.
    """
    figure = new_figure(2.2 * len(titles), 2.2 * len(views) + 0.4)
    grid = figure.subplots(len(views), len(titles), squeeze=False)
    for row, versions in zip(grid, views, strict=True):
        for ax, version in zip(row, versions, strict=True):
            ax.imshow(version)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
    for ax, title in zip(grid[0], titles, strict=True):
        ax.set_title(title, fontsize=_TEXT)
    return figure


def _show(ax: "Axes", path: str) -> None:
    from melanoma_tl.images import load_image

    if not path:
        _write(ax, "no image at hand")
        return
    try:
        ax.imshow(load_image(path, _THUMBNAIL))
    except ImageError as error:
        _write(ax, f"cannot be read:\n{error.reason}")


def _write(ax: "Axes", text: str) -> None:
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, color=GREY, fontsize=_TEXT, wrap=True)


def _interval(metric: Metric) -> str:
    return "undefined" if np.isnan(metric.value) else f"{metric.value:.3f}  ({metric.low:.3f}-{metric.high:.3f})"


def _mark_operating_point(ax: "Axes", x: float, y: float, threshold: float) -> None:
    label = f"threshold {threshold:g}: ({x:.3f}, {y:.3f})"
    ax.plot(x, y, "o", color=ORANGE, markersize=9, markeredgecolor="white", label=label, zorder=3, clip_on=False)


def _band(ax: "Axes", x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], colour: str) -> None:
    ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def _range(n: NDArray[np.int64]) -> str:
    return f"{n.min()}" if n.min() == n.max() else f"{n.min()} to {n.max()}"


def _unit_square(ax: "Axes") -> None:
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
