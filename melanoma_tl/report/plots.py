"""What a report on two classes can draw."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from melanoma_tl._parameters import COUNT, checked, choice
from melanoma_tl.errors import ParameterError
from melanoma_tl.labels.class_names import CLASS_NAMES
from melanoma_tl.metrics.curve_bands import precision_band, roc_band
from melanoma_tl.metrics.metric import LABELS, describe
from melanoma_tl.metrics.reliability import STRATEGIES, reliability_curve
from melanoma_tl.plots import (
    DecisionCurveDisplay,
    GainCurveDisplay,
    MetricsDisplay,
    PredictiveValuesDisplay,
    ScoreHistogramDisplay,
)
from melanoma_tl.plots.contact_sheets import Example, draw_examples
from melanoma_tl.plots.curves import draw_precision_recall, draw_reliability, draw_roc
from melanoma_tl.plots.matrices import draw_confusion_matrix
from melanoma_tl.plots.style import axes_or_new
from melanoma_tl.report.class_names import list_texts, rename_in_plot
from melanoma_tl.report.content import DrawnFigure
from melanoma_tl.report.data import ReportData

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

_Display = TypeVar("_Display", bound=Any)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ReportPlots(ReportData):
    """What a report on two classes can draw."""

    def plot_roc(self, ax: "Axes | None" = None) -> "RocCurveDisplay":
        """Draw the ROC curve with a pointwise band, AUC with interval, and the operating point in words.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        sklearn.metrics.RocCurveDisplay
            Its ``figure_`` shows and saves.

        Raises
        ------
        ParameterError
            If the report has no scores.
        """
        y_true, y_score, threshold, _ = self._scored("A ROC curve")
        band = roc_band(y_true, y_score, **self._bootstrap)
        options: dict[str, Any] = {"threshold": threshold, "confidence": self.confidence, "band": band, "ax": ax}
        return self._named(ax, lambda: draw_roc(y_true, y_score, self.metrics, **options))

    def plot_precision_recall(self, ax: "Axes | None" = None) -> "PrecisionRecallDisplay":
        """Draw precision against recall with a pointwise band, the prevalence as baseline, and the operating point.

        The curve is dotted where fewer than ten images are predicted melanoma.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        sklearn.metrics.PrecisionRecallDisplay
            Its ``figure_`` shows and saves.

        Raises
        ------
        ParameterError
            If the report has no scores.
        """
        y_true, y_score, threshold, _ = self._scored("A precision-recall curve")
        band = precision_band(y_true, y_score, **self._bootstrap)
        options: dict[str, Any] = {"threshold": threshold, "confidence": self.confidence, "band": band, "ax": ax}
        return self._named(ax, lambda: draw_precision_recall(y_true, y_score, self.metrics, **options))

    def plot_confusion_matrix(self, ax: "Axes | None" = None) -> "ConfusionMatrixDisplay":
        """Draw the confusion matrix, with counts and the per cent of each true class.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        sklearn.metrics.ConfusionMatrixDisplay
            Its ``figure_`` shows and saves.
        """
        return self._named(ax, lambda: draw_confusion_matrix(self.counts, threshold=self.threshold, ax=ax))

    def plot_metrics(self, ax: "Axes | None" = None) -> MetricsDisplay:
        """Draw every metric as a bar with its interval.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        MetricsDisplay
            Its ``figure_`` shows and saves.
        """
        metrics = {LABELS[name]: metric for name, metric in self.metrics.items()}
        return self._named(ax, lambda: MetricsDisplay(metrics, self.confidence).plot(ax))

    @checked(strategy=choice(*STRATEGIES))
    def plot_calibration(self, strategy: str = "quantile", ax: "Axes | None" = None) -> "CalibrationDisplay":
        """Draw the reliability diagram: the share of melanomas against the score, in ten bins with intervals.

        With 100 images of each class, or patients with one, also a smooth curve with a band, as
        `melanoma_tl.metrics.smooth_calibration`.

        Parameters
        ----------
        strategy : {"quantile", "uniform"}, default="quantile"
            Bins with equally many images, or of equal width.
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        sklearn.calibration.CalibrationDisplay
            Its ``figure_`` shows and saves.

        Raises
        ------
        ParameterError
            If the report has no scores, or there is no such strategy.
        """
        y_true, y_score, *_ = self._scored("A reliability diagram")
        curve = reliability_curve(y_true, y_score, strategy=strategy, confidence=self.confidence, groups=self.groups)
        smooth = self.smooth_calibration
        options: dict[str, Any] = {"confidence": self.confidence, "smooth": smooth, "ax": ax}
        return self._named(ax, lambda: draw_reliability(curve, y_score, self.calibration, **options))

    def plot_decision_curve(self, ax: "Axes | None" = None) -> DecisionCurveDisplay:
        """Draw the net benefit of acting on the scores, beside cutting out all lesions and none.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        DecisionCurveDisplay
            Its ``figure_`` shows and saves.

        Raises
        ------
        ParameterError
            If the report has no scores.
        """
        y_true, y_score, *_ = self._scored("A decision curve")
        return self._named(ax, lambda: DecisionCurveDisplay.from_predictions(y_true, y_score, **self._bootstrap, ax=ax))

    def plot_gain(self, ax: "Axes | None" = None) -> GainCurveDisplay:
        """Draw how many melanomas are found when images are looked at in the order of their scores.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        GainCurveDisplay
            Its ``figure_`` shows and saves.

        Raises
        ------
        ParameterError
            If the report has no scores.
        """
        y_true, y_score, *_ = self._scored("A gain curve")
        return self._named(ax, lambda: GainCurveDisplay.from_predictions(y_true, y_score, **self._bootstrap, ax=ax))

    def plot_scores(self, ax: "Axes | None" = None) -> ScoreHistogramDisplay:
        """Draw how the scores of each class are distributed.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        ScoreHistogramDisplay
            Its ``figure_`` shows and saves.

        Raises
        ------
        ParameterError
            If the report has no scores.
        """
        y_true, y_score, threshold, _ = self._scored("A histogram of scores")
        return self._named(
            ax, lambda: ScoreHistogramDisplay.from_predictions(y_true, y_score, threshold=threshold, ax=ax)
        )

    def plot_predictive_values(self, ax: "Axes | None" = None) -> PredictiveValuesDisplay:
        """Draw PPV and NPV at prevalences from 0.1 to 50 %.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        PredictiveValuesDisplay
            Its ``figure_`` shows and saves.
        """
        if self.groups is None:
            of_images = PredictiveValuesDisplay.from_counts
            return self._named(ax, lambda: of_images(self.counts, confidence=self.confidence, ax=ax))
        y_true, _, _, called = self._scored("A plot of predictive values with patients")
        options: dict[str, Any] = {
            "confidence": self.confidence,
            "groups": self.groups,
            "ax": ax,
        }
        of_patients = PredictiveValuesDisplay.from_predictions
        return self._named(ax, lambda: of_patients(y_true, called.astype(np.float64), **options))

    def plot_examples(self, n: int = 4) -> "Figure":
        """Draw sample images: true positives, true negatives, false negatives, false positives.

        Parameters
        ----------
        n : int, default=4
            Images of each, the most confident first: the highest scores of those predicted
            melanoma, the lowest of those predicted benign.

        Returns
        -------
        Figure
            Four rows; a row says "none" when there is no such image.

        Raises
        ------
        ParameterError
            If the report has no scores or no paths, or `n` is below 1.
        """
        tn, fp, fn, tp = self.counts
        totals = {"true positives": tp, "true negatives": tn, "false negatives": fn, "false positives": fp}
        titled = {f"{name.capitalize()} ({totals[name]})": shown for name, shown in self.examples(n).items()}
        given = self.provenance.get("predicted_by", "as given")
        above = given if self.threshold is None else f"score > {self.threshold:g}"
        rule = f"(predicted {self.class_names[1]}: {above})"
        return draw_examples(titled, columns=n, title=f"Most confident images of each outcome\n{rule}")

    def draw_all(self) -> Iterator[DrawnFigure]:
        """Draw every figure that this report can draw, one by one, so that only one is held at a time.

        Yields
        ------
        DrawnFigure
            With its name, its title and its text alternative.
        """
        for drawn in self._draw_all():
            yield drawn._replace(alt=self._in_own_words(drawn.alt), title=self._in_own_words(drawn.title))

    def _draw_all(self) -> Iterator[DrawnFigure]:
        """Draw every metric, with the words for benign lesions and melanomas."""
        if self.y_score is not None:
            yield from self._draw_scored()
        tn, fp, fn, tp = self.counts
        yield DrawnFigure(
            "confusion_matrix",
            "Confusion matrix",
            f"Of {tn + fp} benign images {tn} were predicted benign, of {fn + tp} melanomas {tp} melanoma.",
            self.plot_confusion_matrix().figure_,
        )
        listed = "; ".join(
            f"{LABELS[name]} {describe(metric, self.confidence)}" for name, metric in self.metrics.items()
        )
        yield DrawnFigure("metrics", "All metrics", f"Bars with intervals: {listed}.", self.plot_metrics().figure_)
        yield DrawnFigure(
            "predictive_values",
            "Predictive values at other prevalences",
            "PPV and NPV against the prevalence of melanoma from 0.1 to 50 per cent, with intervals: the rarer melanoma"
            " is, the lower the PPV and the higher the NPV.",
            self.plot_predictive_values().figure_,
        )
        yield from self._draw_history()
        if self.y_score is not None and self.paths is not None:
            yield DrawnFigure(
                "examples",
                "Most confident images of each outcome",
                "Photographs in four rows: true positives, true negatives, false negatives and false positives, "
                "the most confident first.",
                self.plot_examples(),
            )

    def _named(self, ax: "Axes | None", draw: Callable[[], _Display]) -> _Display:
        """Draw, and put the names of the classes on the plot, where they are not benign and melanoma."""
        before = [] if ax is None else list_texts(axes_or_new(ax))
        display = draw()
        if self.class_names != CLASS_NAMES:
            rename_in_plot(display.ax_, self.class_names, before)
        return display

    def _draw_scored(self) -> Iterator[DrawnFigure]:
        """Draw what needs scores."""
        metrics = {name: describe(metric, self.confidence) for name, metric in self.metrics.items()}
        slope = describe(self.calibration["calibration_slope"], self.confidence)
        smooth = "" if self.smooth_calibration is None else ", and a smooth curve with a band"
        yield DrawnFigure(
            "roc",
            "ROC curve",
            f"Sensitivity against the false positive rate. AUC {metrics['auc']}. Of the predictions: sensitivity "
            f"{metrics['sensitivity']}, specificity {metrics['specificity']}.",
            self.plot_roc().figure_,
        )
        yield DrawnFigure(
            "precision_recall",
            "Precision-recall curve",
            f"Precision against sensitivity. Average precision {metrics['average_precision']}, where the prevalence is "
            f"{self.prevalence:.3f}.",
            self.plot_precision_recall().figure_,
        )
        yield DrawnFigure(
            "calibration",
            "Reliability diagram",
            f"Share of melanomas against the mean score, in bins with intervals{smooth}. Calibration slope {slope}.",
            self.plot_calibration().figure_,
        )
        yield DrawnFigure(
            "decision_curve",
            "Decision curve",
            "Net benefit of acting on the scores at each threshold probability, beside cutting out all or none.",
            self.plot_decision_curve().figure_,
        )
        yield DrawnFigure(
            "gain",
            "Cumulative gain",
            "Share of the melanomas found when images are looked at in the order of their scores.",
            self.plot_gain().figure_,
        )
        yield DrawnFigure(
            "scores",
            "Scores by class",
            "Histograms of the scores of benign images and of melanomas, with the threshold, if there is one.",
            self.plot_scores().figure_,
        )

    @checked(n=COUNT)
    def examples(self, n: int = 4) -> dict[str, list[Example]]:
        """Find the images of each outcome that the classifier was most confident of.

        Parameters
        ----------
        n : int, default=4
            Images of each: the highest scores of those predicted melanoma, the lowest of those predicted benign.

        Returns
        -------
        dict of str to list of Example
            For "true positives", "true negatives", "false negatives" and "false positives"; each
            example has an ``image_id``, a ``path`` and a ``score``.

        Raises
        ------
        ParameterError
            If the report has no scores or no paths, or `n` is below 1.
        """
        y_true, y_score, _, predicted = self._scored("A list of examples")
        if self.paths is None:
            raise ParameterError("A list of examples needs the image files; pass paths=[...] with the scores")
        outcomes = {
            "true positives": (y_true == 1) & predicted,
            "true negatives": (y_true == 0) & ~predicted,
            "false negatives": (y_true == 1) & ~predicted,
            "false positives": (y_true == 0) & predicted,
        }
        found = {}
        for name, mask in outcomes.items():
            rows = np.flatnonzero(mask)
            certainty = y_score[rows] if name.endswith("positives") else -y_score[rows]
            chosen = rows[np.argsort(-certainty, kind="stable")[:n]]
            found[name] = [Example(self.image_ids[row], self.paths[row], float(y_score[row])) for row in chosen]
        return found
