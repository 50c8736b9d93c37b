"""The figures of a report."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.calibration import STRATEGIES, reliability_curve
from melanoma_tl.errors import ParameterError
from melanoma_tl.files import publishing
from melanoma_tl.metrics import LABELS, describe
from melanoma_tl.parameters import (
    COUNT,
    PATH,
    TEXT,
    check,
    checked,
    choice,
    several,
)
from melanoma_tl.plots import (
    DecisionCurveDisplay,
    GainCurveDisplay,
    HistoryDisplay,
    MetricsDisplay,
    PredictiveValuesDisplay,
    ScoreHistogramDisplay,
)
from melanoma_tl.plots.curves import draw_precision_recall, draw_reliability, draw_roc
from melanoma_tl.plots.matrices import draw_confusion_matrix
from melanoma_tl.plots.sheets import Example, draw_examples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay


class DrawnFigure(NamedTuple):
    """A figure of a report.

    Attributes
    ----------
    name : str
        Of its file, without suffix.
    title : str
        For people.
    alt : str
        What it shows, for those who cannot see it.
    figure : Figure
        The figure.
    """

    name: str
    title: str
    alt: str
    figure: "Figure"


class Scored(NamedTuple):
    """Labels, scores and threshold of a report that has scores.

    Attributes
    ----------
    y_true : ndarray of int64 of shape (n,)
        0 benign, 1 melanoma.
    y_score : ndarray of float64 of shape (n,)
        Probabilities of melanoma.
    threshold : float
        Melanoma strictly above.
    """

    y_true: NDArray[np.int64]
    y_score: NDArray[np.float64]
    threshold: float


class ReportFigures:
    """What `MetricsReport` can draw of its figures."""

    def plot_roc(self: Any, ax: "Axes | None" = None) -> "RocCurveDisplay":
        """Draw the ROC curve, with AUC, interval and the operating point.

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
        y_true, y_score, threshold = self._scored("A ROC curve")
        return draw_roc(y_true, y_score, self.metrics, threshold=threshold, confidence=self.confidence, ax=ax)

    def plot_precision_recall(self: Any, ax: "Axes | None" = None) -> "PrecisionRecallDisplay":
        """Draw precision against recall, with average precision, interval and the prevalence as baseline.

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
        y_true, y_score, threshold = self._scored("A precision-recall curve")
        return draw_precision_recall(
            y_true, y_score, self.metrics, threshold=threshold, confidence=self.confidence, ax=ax
        )

    def plot_confusion_matrix(self: Any, ax: "Axes | None" = None) -> "ConfusionMatrixDisplay":
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
        return draw_confusion_matrix(self.counts, threshold=self.threshold, ax=ax)

    def plot_metrics(self: Any, ax: "Axes | None" = None) -> MetricsDisplay:
        """Draw every figure as a bar with its interval.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        MetricsDisplay
            Its ``figure_`` shows and saves.
        """
        return MetricsDisplay(self.metrics, self.confidence).plot(ax)

    @checked(strategy=choice(*STRATEGIES))
    def plot_calibration(self: Any, strategy: str = "quantile", ax: "Axes | None" = None) -> "CalibrationDisplay":
        """Draw the reliability diagram: the share of melanomas against the score, in ten bins with intervals.

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
        y_true, y_score, _ = self._scored("A reliability diagram")
        curve = reliability_curve(y_true, y_score, strategy=strategy, confidence=self.confidence)
        return draw_reliability(curve, y_score, self.calibration, confidence=self.confidence, ax=ax)

    def plot_decision_curve(self: Any, ax: "Axes | None" = None) -> DecisionCurveDisplay:
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
        y_true, y_score, _ = self._scored("A decision curve")
        return DecisionCurveDisplay.from_predictions(y_true, y_score, **self._bootstrap, ax=ax)

    def plot_gain(self: Any, ax: "Axes | None" = None) -> GainCurveDisplay:
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
        y_true, y_score, _ = self._scored("A gain curve")
        return GainCurveDisplay.from_predictions(y_true, y_score, **self._bootstrap, ax=ax)

    def plot_scores(self: Any, ax: "Axes | None" = None) -> ScoreHistogramDisplay:
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
        y_true, y_score, threshold = self._scored("A histogram of scores")
        return ScoreHistogramDisplay.from_predictions(y_true, y_score, threshold=threshold, ax=ax)

    def plot_predictive_values(self: Any, ax: "Axes | None" = None) -> PredictiveValuesDisplay:
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
        return PredictiveValuesDisplay.from_counts(self.counts, confidence=self.confidence, ax=ax)

    def plot_history(self: Any, axes: "Sequence[Axes] | None" = None) -> HistoryDisplay:
        """Draw loss and accuracy of training and validation, an epoch at a time.

        Parameters
        ----------
        axes : sequence of Axes, optional
            Where to draw the loss and, if the history has it, the accuracy; a new figure by default.

        Returns
        -------
        HistoryDisplay
            Its ``figure_`` shows and saves; ``axes_`` has the loss, then the accuracy.

        Raises
        ------
        ParameterError
            If the report has no training history.
        """
        if not self.history:
            raise ParameterError(
                "This report has no training history; pass history={'loss': [...], ...} to from_scores, "
                "or an estimator with history_ to from_estimator"
            )
        return HistoryDisplay(self.history).plot(axes)

    def plot_examples(self: Any, n: int = 4) -> "Figure":
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
        return draw_examples(titled, columns=n, threshold=cast("float", self.threshold))

    @checked(folder=PATH, formats=several(TEXT))
    def save_figures(self: Any, folder: str | os.PathLike[str], formats: Sequence[str] = ("png",)) -> list[Path]:
        """Write every figure that this report can draw.

        Parameters
        ----------
        folder : path-like
            Made if it does not exist.
        formats : sequence of str, default=("png",)
            Suffixes that matplotlib writes, such as ``"svg"`` or ``"pdf"``.

        Returns
        -------
        list of Path
            The files: ``confusion_matrix``, ``metrics`` and ``predictive_values`` always;
            ``roc``, ``precision_recall``, ``calibration``, ``decision_curve``, ``gain`` and
            ``scores`` with scores; ``history`` and ``examples`` with theirs.

        Raises
        ------
        ParameterError
            If matplotlib does not write a format.
        """
        from matplotlib.figure import Figure

        known = set(Figure().canvas.get_supported_filetypes())
        check({"formats": formats}, {"formats": several(choice(*known))})
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for drawn in self.draw_all():
            for suffix in formats:
                path = folder / f"{drawn.name}.{suffix}"
                with publishing(path) as temporary:
                    drawn.figure.savefig(temporary, format=suffix, dpi=150, facecolor="white")
                written.append(path)
        return written

    def draw_all(self: Any) -> Iterator[DrawnFigure]:
        """Draw every figure that this report can draw, one by one, so that only one is held at a time.

        Yields
        ------
        DrawnFigure
            With its name, its title and its text alternative.
        """
        if self.y_score is not None:
            yield from self._draw_scored()
        tn, fp, fn, tp = self.counts
        yield DrawnFigure(
            "confusion_matrix",
            "Confusion matrix",
            f"Of {tn + fp} benign images {tn} were called benign, of {fn + tp} melanomas {tp} melanoma.",
            self.plot_confusion_matrix().figure_,
        )
        listed = "; ".join(
            f"{LABELS[name]} {describe(metric, self.confidence)}" for name, metric in self.metrics.items()
        )
        yield DrawnFigure("metrics", "All figures", f"Bars with intervals: {listed}.", self.plot_metrics().figure_)
        yield DrawnFigure(
            "predictive_values",
            "Predictive values at other prevalences",
            "PPV and NPV against the prevalence of melanoma from 0.1 to 50 per cent, with intervals: the rarer melanoma"
            " is, the lower the PPV and the higher the NPV.",
            self.plot_predictive_values().figure_,
        )
        if self.history and len(self.history.get("loss", ())):
            yield DrawnFigure(
                "history",
                "Training history",
                f"Loss and accuracy over {len(self.history['loss'])} epochs of training.",
                self.plot_history().figure_,
            )
        if self.y_score is not None and self.paths is not None:
            yield DrawnFigure(
                "examples",
                "Most confident images of each outcome",
                "Photographs in four rows: true positives, true negatives, false negatives and false positives, "
                "the most confident first.",
                self.plot_examples(),
            )

    def _draw_scored(self: Any) -> Iterator[DrawnFigure]:
        """Draw what needs scores."""
        figures = {name: describe(metric, self.confidence) for name, metric in self.metrics.items()}
        slope = describe(self.calibration["calibration_slope"], self.confidence)
        yield DrawnFigure(
            "roc",
            "ROC curve",
            f"Sensitivity against the false positive rate. AUC {figures['auc']}. At the threshold: sensitivity "
            f"{figures['sensitivity']}, specificity {figures['specificity']}.",
            self.plot_roc().figure_,
        )
        yield DrawnFigure(
            "precision_recall",
            "Precision-recall curve",
            f"Precision against sensitivity. Average precision {figures['average_precision']}, where the prevalence is "
            f"{self.prevalence:.3f}.",
            self.plot_precision_recall().figure_,
        )
        yield DrawnFigure(
            "calibration",
            "Reliability diagram",
            f"Share of melanomas against the mean score, in bins with intervals. Calibration slope {slope}.",
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
            "Histograms of the scores of benign images and of melanomas, with the threshold.",
            self.plot_scores().figure_,
        )

    @checked(n=COUNT)
    def examples(self: Any, n: int = 4) -> dict[str, list[Example]]:
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
        y_true, y_score, threshold = self._scored("A list of examples")
        if self.paths is None:
            raise ParameterError("A list of examples needs the image files; pass paths=[...] with the scores")
        predicted = y_score > threshold
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
