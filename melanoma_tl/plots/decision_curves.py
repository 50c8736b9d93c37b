"""Plots of what is gained by acting on the scores: those of `melanoma_tl.metrics.decision_curves`."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._parameters import checked
from melanoma_tl.labels.classes import as_binary
from melanoma_tl.metrics.confusion import ConfusionCounts, confusion_counts
from melanoma_tl.metrics.decision_curves import (
    DecisionCurve,
    GainCurve,
    PredictiveValues,
    ScoreHistogram,
    cumulative_gain,
    decision_curve,
    predictive_values,
    score_histogram,
)
from melanoma_tl.metrics.intervals import effective_size
from melanoma_tl.metrics.validation import check_lengths, check_scored
from melanoma_tl.plots.display import ScoresDisplay
from melanoma_tl.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SMALL_SIZE,
    count_images,
    shade,
    square,
    style_axes,
    styled,
    write_threshold,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.patches import StepPatch

PREVALENCES: NDArray[np.float64] = np.geomspace(0.001, 0.5, 200)
"""From a general practice to a test set in which every other image is a melanoma."""

_HIGHEST = 0.5  # threshold probability that a decision curve shows
_PREVALENCE_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(eq=False, repr=False)
class CurveDisplay(ScoresDisplay):
    """A curve that is measured on labels and scores, with a band."""

    curve: Any
    prevalence: float
    confidence: float = 0.95
    n: int | None = None

    line_: "Line2D" = field(init=False)
    _measure: ClassVar[Callable[..., Any]]

    def _draw(self, ax: "Axes", x: NDArray[np.float64], y: NDArray[np.float64], style: dict[str, Any]) -> None:
        """Draw the curve, and its band in the same colour."""
        from matplotlib.lines import Line2D

        label = f"by the score, {100 * self.confidence:g} % band, point by point"
        (self.line_,) = ax.plot(x, y, **styled(style, Line2D, color=BLUE, linewidth=2, label=label))
        shade(ax, x, self.curve.low, self.curve.high, self.line_.get_color())

    def _of_images(self) -> str:
        """Describe the number of images if it is known, otherwise the share of melanomas."""
        if self.n is None:
            return f"prevalence {100 * self.prevalence:.1f} %"
        return count_images(self.n, round(self.n * self.prevalence))

    @abstractmethod
    def plot(self, ax: "Axes | None" = None, *, ref_line: bool = True, **style: Any) -> Self:
        """Draw the curve with its band, and what it is compared with."""

    @classmethod
    @checked()
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike,
        *,
        pos_label: object = None,
        confidence: float = 0.95,
        n_resamples: int = 2000,
        random_state: int = 0,
        groups: ArrayLike | None = None,
        ax: "Axes | None" = None,
        **style: Any,
    ) -> Self:
        """Compute the curve with its band by bootstrap, and draw it.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            0 or False benign, 1 or True melanoma, or words that say so; others need `pos_label`. Both must occur.
        y_score : array-like of shape (n,)
            Probabilities of melanoma, 0 to 1.
        pos_label : object, optional
            The label that means melanoma; every other label is then benign.
        confidence, n_resamples, random_state, groups
            As `melanoma_tl.metrics.score_metrics`.
        ax, **style
            As `plot`.

        Returns
        -------
        Display
            With ``line_``, ``ax_`` and ``figure_``.

        Raises
        ------
        DatasetError, ParameterError
            As `melanoma_tl.metrics.score_metrics`.
        """
        truth = as_binary(y_true, pos_label=pos_label)
        curve = cls._measure(
            truth, y_score, confidence=confidence, n_resamples=n_resamples, random_state=random_state, groups=groups
        )
        return cls(curve, float(truth.mean()), confidence, len(truth)).plot(ax, **style)


@dataclass(eq=False, repr=False)
class DecisionCurveDisplay(CurveDisplay):
    """The net benefit against the threshold probability, beside those of cutting out all lesions and none.

    Parameters
    ----------
    curve : DecisionCurve
        The net benefit.
    prevalence : float
        Share of melanomas among the images, 0 to 1.
    confidence : float, default=0.95
        Coverage of the intervals.
    n : int, optional
        Number of images, for the title.

    Attributes
    ----------
    line_ : matplotlib.lines.Line2D
        The net benefit of acting on the scores.
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.

    Examples
    --------
    >>> display = DecisionCurveDisplay.from_predictions([0, 0, 0, 1], [0.1, 0.3, 0.6, 0.7])
    >>> print(display.ax_.get_title())
    Decision curve
    4 images, 1 melanoma (25.0 %)
    """

    curve: DecisionCurve

    _measure = staticmethod(decision_curve)

    def plot(self, ax: "Axes | None" = None, *, ref_line: bool = True, **style: Any) -> Self:
        """Draw the curve with its band, up to a threshold probability of 0.5.

        Whoever acts at a higher one prefers to miss a melanoma to cutting out a benign lesion; ``ax_.set_xlim(0, 1)``
        shows that part too, which is drawn.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.
        ref_line : bool, default=True
            Draw the net benefits of cutting out all and none; False for a second curve on the same axes.
        **style : object
            For the curve, as ``Axes.plot`` takes it.

        Returns
        -------
        DecisionCurveDisplay
            Itself, with ``line_``, ``ax_`` and ``figure_``.
        """
        ax, curve = self._begin(ax), self.curve
        self._draw(ax, curve.thresholds, curve.net_benefit, style)
        if ref_line:
            ax.plot(curve.thresholds, curve.treat_all, color=ORANGE, linestyle="--", label="all lesions cut out")
            ax.axhline(0, color=GREY, linestyle=":", label="none cut out")
            highest = max(self.prevalence, curve.high[curve.thresholds <= _HIGHEST].max(initial=0))
            ax.set(xlim=(0, _HIGHEST), ylim=(-0.25 * self.prevalence, 1.1 * highest))
        title = f"Decision curve\n{self._of_images()}"
        style_axes(ax, title, "Threshold probability of melanoma", "Net benefit per image")
        ax.legend(loc="upper right", fontsize=SMALL_SIZE)
        return self


@dataclass(eq=False, repr=False)
class GainCurveDisplay(CurveDisplay):
    """The share of melanomas found against the share of images looked at, highest scores first.

    Parameters
    ----------
    curve : GainCurve
        The gain.
    prevalence : float
        Share of melanomas among the images: where a perfect order has found all.
    confidence : float, default=0.95
        Coverage of the intervals.
    n : int, optional
        Number of images, for the title.

    Attributes
    ----------
    line_ : matplotlib.lines.Line2D
        The gain in the order of the scores.
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.

    Examples
    --------
    >>> display = GainCurveDisplay.from_predictions([0, 0, 0, 1], [0.1, 0.3, 0.6, 0.7])
    >>> display.line_.get_xydata()[25].tolist()  # the first quarter of the images holds the melanoma
    [0.25, 1.0]
    """

    curve: GainCurve

    _measure = staticmethod(cumulative_gain)

    def plot(self, ax: "Axes | None" = None, *, ref_line: bool = True, **style: Any) -> Self:
        """Draw the curve with its band.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.
        ref_line : bool, default=True
            Draw the gains of the best and of a random order; False for a second curve on the same axes.
        **style : object
            For the curve, as ``Axes.plot`` takes it.

        Returns
        -------
        GainCurveDisplay
            Itself, with ``line_``, ``ax_`` and ``figure_``.
        """
        ax = self._begin(ax)
        self._draw(ax, self.curve.examined, self.curve.found, style)
        if ref_line:
            ax.plot([0, self.prevalence, 1], [0, 1, 1], color=GREEN, linestyle="--", label="all melanomas first")
            ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance: in random order")
        style_axes(
            ax, f"Cumulative gain\n{self._of_images()}", "Images looked at, highest scores first", "Melanomas found"
        )
        square(ax)
        ax.legend(loc="lower right", fontsize=SMALL_SIZE)
        return self


@dataclass(eq=False, repr=False)
class ScoreHistogramDisplay(ScoresDisplay):
    """How the scores of each class are distributed, with the threshold.

    Parameters
    ----------
    histogram : ScoreHistogram
        The counts.
    threshold : float or None
        Strictly above which a score is predicted melanoma; None draws no line.

    Attributes
    ----------
    steps_ : list of matplotlib.patches.StepPatch
        The outlines of benign images and of melanomas.
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.

    Examples
    --------
    >>> display = ScoreHistogramDisplay.from_predictions([0, 0, 1], [0.1, 0.3, 0.7], n_bins=2)
    >>> [steps.get_label() for steps in display.steps_]
    ['benign (n = 2)', 'melanoma (n = 1)']
    """

    histogram: ScoreHistogram
    threshold: float | None

    steps_: "list[StepPatch]" = field(init=False)
    _has_threshold = True

    def plot(self, ax: "Axes | None" = None, **style: Any) -> Self:
        """Draw the histogram of each class.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.
        **style : object
            For both outlines, as ``Axes.stairs`` takes it.

        Returns
        -------
        ScoreHistogramDisplay
            Itself, with ``steps_``, ``ax_`` and ``figure_``.
        """
        from matplotlib.patches import StepPatch

        ax, histogram = self._begin(ax), self.histogram
        self.steps_ = []
        # Shares of each class, not counts: few melanomas would hardly be seen. The hatch is for print in grey.
        for name, counts, colour, hatch in (
            ("benign", histogram.benign, BLUE, None),
            ("melanoma", histogram.melanoma, ORANGE, "////"),
        ):
            shares, label = counts / counts.sum(), f"{name} (n = {counts.sum()})"
            outline = styled(style, StepPatch, color=colour, linewidth=1.6, label=label, hatch=hatch)
            ax.stairs(shares, histogram.edges, color=colour, alpha=0.3, fill=True)
            self.steps_.append(ax.stairs(shares, histogram.edges, **outline))
        if self.threshold is not None:
            said = f"threshold {write_threshold(self.threshold)}"
            ax.axvline(self.threshold, color="black", linestyle="--", linewidth=1.2, label=said)
        n_benign, n_melanoma = (int(counts.sum()) for counts in (histogram.benign, histogram.melanoma))
        title = f"Scores by class\n{count_images(n_benign + n_melanoma, n_melanoma)}"
        style_axes(ax, title, "Score", "Share of the class")
        last = int(np.flatnonzero(histogram.benign + histogram.melanoma)[-1])
        ax.set(xlim=(0, max(histogram.edges[last + 1], min(1.05 * (self.threshold or 0), 1))))
        ax.legend(fontsize=SMALL_SIZE)
        return self

    @classmethod
    @checked()
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike,
        *,
        pos_label: object = None,
        threshold: float | None = 0.5,
        n_bins: int = 20,
        ax: "Axes | None" = None,
        **style: Any,
    ) -> Self:
        """Count the scores, and draw them.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            0 or False benign, 1 or True melanoma, or words that say so; others need `pos_label`. Both must occur.
        y_score : array-like of shape (n,)
            Probabilities of melanoma, 0 to 1.
        pos_label : object, optional
            The label that means melanoma; every other label is then benign.
        threshold : float or None, default=0.5
            Marked as a line; None draws none.
        n_bins : int, default=20
            At least 1.
        ax, **style
            As `plot`.

        Returns
        -------
        ScoreHistogramDisplay
            With ``steps_``, ``ax_`` and ``figure_``.

        Raises
        ------
        DatasetError, ParameterError
            As `melanoma_tl.metrics.score_histogram`.
        """
        histogram = score_histogram(as_binary(y_true, pos_label=pos_label), y_score, n_bins=n_bins)
        return cls(histogram, threshold).plot(ax, **style)


@dataclass(eq=False, repr=False)
class PredictiveValuesDisplay(ScoresDisplay):
    """PPV and NPV against the prevalence.

    Parameters
    ----------
    values : PredictiveValues
        From the lowest prevalence to the highest.
    prevalence : float
        Share of melanomas among the images, which is marked.
    confidence : float, default=0.95
        Coverage of the intervals.
    n : int, optional
        Number of images, for the title.

    Attributes
    ----------
    lines_ : list of matplotlib.lines.Line2D
        PPV and NPV.
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.

    Examples
    --------
    >>> display = PredictiveValuesDisplay.from_counts(ConfusionCounts(tn=72, fp=3, fn=17, tp=58))
    >>> ppv, npv = display.lines_
    >>> round(float(ppv.get_ydata()[-1]), 3)  # where every other lesion is a melanoma
    0.951
    """

    values: PredictiveValues
    prevalence: float
    confidence: float = 0.95
    n: int | None = None

    lines_: "list[Line2D]" = field(init=False)
    _has_threshold = True

    def plot(self, ax: "Axes | None" = None, **style: Any) -> Self:
        """Draw PPV and NPV with their bands.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.
        **style : object
            For both curves, as ``Axes.plot`` takes it.

        Returns
        -------
        PredictiveValuesDisplay
            Itself, with ``lines_``, ``ax_`` and ``figure_``.
        """
        from matplotlib.lines import Line2D

        ax, values = self._begin(ax), self.values
        self.lines_ = []
        for name, value, low, high, colour, dashes in (
            ("PPV", values.ppv, values.ppv_low, values.ppv_high, ORANGE, "-"),
            ("NPV", values.npv, values.npv_low, values.npv_high, BLUE, "--"),
        ):
            label = f"{name}: undefined" if np.isnan(value).all() else f"{name}, {100 * self.confidence:g} % band"
            look = styled(style, Line2D, color=colour, linestyle=dashes, linewidth=2, label=label)
            self.lines_ += ax.plot(values.prevalence, value, **look)
            shade(ax, values.prevalence, low, high, self.lines_[-1].get_color())
        ax.axvline(self.prevalence, color=GREY, linestyle=":", label=f"prevalence here, {100 * self.prevalence:.1f} %")
        images = "" if self.n is None else f"\nmeasured on {count_images(self.n, round(self.n * self.prevalence))}"
        style_axes(ax, f"Predictive values at other prevalences{images}", "Prevalence of melanoma", "Predictive value")
        # Where lesions are looked at in earnest melanoma is rare: a linear axis would hide it at its edge.
        ax.set_xscale("log")
        ticks = [tick for tick in _PREVALENCE_TICKS if values.prevalence[0] <= tick <= values.prevalence[-1]]
        ax.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
        ax.set_xticks([], minor=True)
        ax.set(xlim=(values.prevalence[0], values.prevalence[-1]), ylim=(-0.02, 1.02))
        ax.legend(loc="center left", fontsize=SMALL_SIZE)
        return self

    @classmethod
    def from_counts(
        cls,
        counts: ConfusionCounts,
        *,
        confidence: float = 0.95,
        worth: tuple[float, float] | None = None,
        ax: "Axes | None" = None,
        **style: Any,
    ) -> Self:
        """Compute predictive values at prevalences from 0.1 to 50 % from a confusion matrix, and draw them.

        Parameters
        ----------
        counts : ConfusionCounts
            ``(tn, fp, fn, tp)``; both classes must occur.
        confidence, worth
            As `melanoma_tl.metrics.predictive_values`.
        ax, **style
            As `plot`.

        Returns
        -------
        PredictiveValuesDisplay
            With ``lines_``, ``ax_`` and ``figure_``.

        Raises
        ------
        DatasetError, ParameterError
            As `melanoma_tl.metrics.predictive_values`.
        """
        values = predictive_values(counts, PREVALENCES, confidence, worth=worth)
        return cls(values, counts.n_melanoma / counts.n, confidence, counts.n).plot(ax, **style)

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
        groups: ArrayLike | None = None,
        ax: "Axes | None" = None,
        **style: Any,
    ) -> Self:
        """Compute predictive values at prevalences from 0.1 to 50 % from labels and scores, and draw them.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            0 or False benign, 1 or True melanoma, or words that say so; others need `pos_label`. Both must occur.
        y_score : array-like of shape (n,)
            Probabilities of melanoma, 0 to 1.
        pos_label : object, optional
            The label that means melanoma; every other label is then benign.
        threshold : float, default=0.5
            An image is predicted melanoma when its score is strictly above.
        confidence : float, default=0.95
            Coverage of the intervals, between 0 and 1.
        groups : array-like of shape (n,), optional
            What each image belongs to, such as its patient: the bands are then those of as many independent
            images as these are worth.
        ax, **style
            As `plot`.

        Returns
        -------
        PredictiveValuesDisplay
            With ``lines_``, ``ax_`` and ``figure_``.

        Raises
        ------
        DatasetError, ParameterError
            As `melanoma_tl.metrics.predictive_values`.
        """
        truth, scores = check_scored(as_binary(y_true, pos_label=pos_label), y_score)
        check_lengths(len(scores), groups=groups)
        counts, worth = confusion_counts(truth, scores, threshold), None
        if groups is not None:
            right, belongs = (scores > threshold) == truth, np.asarray(groups, dtype=object)
            melanoma, benign = (effective_size(right[of], belongs[of]) for of in (truth == 1, truth == 0))
            worth = melanoma, benign
        return cls.from_counts(counts, confidence=confidence, worth=worth, ax=ax, **style)
