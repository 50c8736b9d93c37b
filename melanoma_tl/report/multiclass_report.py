"""`MulticlassReport`: test metrics of a classifier of several diagnoses, with confidence intervals."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._escaping import SHORT, in_figure, visible
from melanoma_tl._parameters import (
    BOOTSTRAP,
    CLASSIFIER,
    COLUMN,
    COUNT,
    HISTORY,
    NAMES,
    NONE,
    PATH,
    TABLE,
    TEXT,
    checked,
    checked_call,
    choice,
    group,
    having,
    several,
)
from melanoma_tl.errors import ParameterError
from melanoma_tl.labels.classes import Classes, as_labels
from melanoma_tl.labels.meanings import normalise
from melanoma_tl.metrics.estimators import check_reads_streams, score_labelled
from melanoma_tl.metrics.few import FEW
from melanoma_tl.metrics.metric import LABELS, Metric, describe
from melanoma_tl.metrics.multiclass import (
    NO_CLASS,
    call_each,
    check_all_occur,
    multiclass_metrics,
    predict_classes,
    read_class_scores,
)
from melanoma_tl.metrics.multiclass_comparisons import MulticlassComparison, compare_classes
from melanoma_tl.metrics.validation import check_lengths
from melanoma_tl.plots import MetricsDisplay
from melanoma_tl.plots.contact_sheets import Example, draw_examples
from melanoma_tl.plots.curves import draw_roc_curves
from melanoma_tl.plots.matrices import draw_class_matrix
from melanoma_tl.plots.style import new_figure
from melanoma_tl.report.base import Report
from melanoma_tl.report.class_names import rename_classes
from melanoma_tl.report.content import DrawnFigure, Table
from melanoma_tl.report.documents import save_submission
from melanoma_tl.report.frames import frame_metrics
from melanoma_tl.report.matching import match_images
from melanoma_tl.report.metrics_report import MetricsReport
from melanoma_tl.report.provenance import describe_report, find_seen, known_of, scoring, tell_origin
from melanoma_tl.report.rows import Rows, take_scored
from melanoma_tl.report.text import TIED_TO_PREVALENCE, cells, figures_header, rows_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay

_SHOWN = ("auc", "average_precision", "sensitivity", "specificity")
_PREDICTED_BY = "where none of the other classes has a score as high"
_RULE = "predicted: the class with the highest score"
_PLOTS = ("roc", "precision_recall", "calibration", "decision_curve", "gain", "scores", "predictive_values")
_MAX_COLUMNS = 3


@checked_call("Make one with MulticlassReport.from_estimator or from_scores.")
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MulticlassReport(Report):
    """Test metrics of a classifier of several diagnoses, each with a confidence interval and its n.

    Make a report with `from_estimator` or `from_scores`.

    Attributes
    ----------
    classes : tuple of str
        The diagnoses, in the order of the columns of scores.
    against_rest : mapping of str to MetricsReport
        For each diagnosis, the full binary report on it against all others, of the same predictions: its `threshold`
        is None, and its `y_pred` says which images are predicted to be of it.
    balanced_accuracy, accuracy : Metric
        Mean of the sensitivities of the classes, by which the ISIC challenges of 2018 and 2019 ranked, and the share
        of images that are classified correctly. The predicted class is the one with the highest score.
    macro : mapping of str to Metric
        Means over the classes of the one-against-rest metrics, of the same predictions: that of the sensitivity is the
        balanced accuracy.
    confusion_matrix : ndarray of int of shape (n_classes, n_classes)
        Rows are true classes, columns predicted classes. Images whose highest score is shared by several classes
        are not counted in it.
    y_true : ndarray of int of shape (n,)
        Class number of each image from which the metrics are computed.
    y_score : ndarray of float64 of shape (n, n_classes)
        Their scores.
    confidence, name, skipped, provenance, history, image_ids, paths, groups, findings
        As those of `MetricsReport`.

    Examples
    --------
    >>> truth = ["mel", "nv", "nv", "bkl"]
    >>> scores = [[0.1, 0.7, 0.2], [0.2, 0.1, 0.7], [0.5, 0.1, 0.4], [0.6, 0.2, 0.2]]
    >>> report = MulticlassReport.from_scores(truth, scores, classes=["bkl", "mel", "nv"])
    >>> round(report.balanced_accuracy.value, 4), report.confusion_matrix.tolist()
    (0.8333, [[1, 0, 0], [0, 1, 0], [1, 0, 1]])
    """

    classes: tuple[str, ...]
    against_rest: Mapping[str, MetricsReport]
    balanced_accuracy: Metric
    accuracy: Metric
    macro: Mapping[str, Metric]
    confusion_matrix: NDArray[np.int64]
    y_true: NDArray[np.int64]
    y_score: NDArray[np.float64]

    # -- making ----------------------------------------------------------------------------------------------------

    @classmethod
    @checked(
        classes=COLUMN,
        name=TEXT,
        image_ids=COLUMN | NONE,
        paths=COLUMN | NONE,
        groups=COLUMN | NONE,
        history=HISTORY | NONE,
        provenance=TABLE | NONE,
        skipped=several(group(TEXT | PATH, 3, "(image_id, path, reason)")),
        **BOOTSTRAP,
    )
    def from_scores(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike,
        *,
        classes: Sequence[Any],
        confidence: float = 0.95,
        n_resamples: int = 2000,
        random_state: int = 0,
        image_ids: Sequence[Any] | None = None,
        paths: Sequence[Any] | None = None,
        groups: Sequence[Any] | None = None,
        history: Mapping[str, Sequence[float]] | None = None,
        provenance: Mapping[str, Any] | None = None,
        skipped: Sequence[tuple[str, str, str]] = (),
        name: str = "",
    ) -> Self:
        """Report on the scores of any model.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            The diagnosis of each image, one of `classes`.
        y_score : array-like of shape (n, n_classes)
            Probabilities, one column per class. NaN marks an image without a score: it is excluded from the metrics
            and listed in `skipped`.
        classes : sequence of shape (n_classes,)
            The class of each column; each must occur in `y_true`.
        confidence, n_resamples, random_state, image_ids, paths, groups, history, provenance, skipped, name
            As `MetricsReport.from_scores`.

        Returns
        -------
        MulticlassReport
            The report.

        Raises
        ------
        DatasetError
            If a class has no image with a score, or a label is missing.
        ParameterError
            If shapes differ, scores are not probabilities, or there are fewer than two classes.
        UnknownNameError
            If a label is none of the classes.
        """
        truth = _read_truth(y_true, classes)
        scores = read_class_scores(y_score, classes)
        check_lengths(len(scores), y_true=truth)
        unscored = np.asarray(np.isnan(scores).any(axis=1))
        rows = take_scored(unscored, image_ids=image_ids, paths=paths, groups=groups, skipped=skipped)
        truth, scores = truth[rows.scored], scores[rows.scored]
        interval: dict[str, Any] = {"confidence": confidence, "n_resamples": n_resamples, "random_state": random_state}
        check_all_occur(truth, classes)
        found = multiclass_metrics(truth, scores, n_classes=len(classes), groups=rows.groups, **interval)
        names = tuple(str(one) for one in classes)
        known = {"history": history, "provenance": provenance, **interval}
        sizes = dict(zip(names, np.bincount(truth, minlength=len(names)).tolist(), strict=True))
        return cls(
            classes=names,
            against_rest=_against_rest(names, truth, scores, rows, name, known),
            balanced_accuracy=found.balanced_accuracy,
            accuracy=found.accuracy,
            macro=found.macro,
            confusion_matrix=_count_calls(truth, predict_classes(scores), len(names)),
            y_true=truth,
            y_score=scores,
            confidence=confidence,
            name=name,
            skipped=rows.skipped,
            provenance=describe_report(name, sizes, len(rows.skipped), (n_resamples, random_state), provenance),
            history=history,
            image_ids=rows.image_ids,
            paths=rows.paths,
            groups=rows.groups,
        )

    @classmethod
    @checked(estimator=CLASSIFIER, name=TEXT | NONE, **BOOTSTRAP)
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        confidence: float = 0.95,
        n_resamples: int = 2000,
        random_state: int = 0,
        name: str | None = None,
    ) -> Self:
        """Score images with a classifier, and report on the scores.

        Parameters
        ----------
        estimator : object
            Any classifier with ``predict_proba(X)`` of shape (n, n_classes) and ``classes_``. Its `history_` and
            `provenance_` are used if it has them.
        X : ISBIDataset or any input of the estimator
            Images that the estimator has not seen. `image_ids`, `paths`, `skipped` and `name` of `X` are used if it
            has them; `patient_id` of its `metadata`, or else `lesion_id`, is used as groups if some patient or lesion
            has several images.
        y : array-like of shape (n,), optional
            The diagnoses, such as ``X.metadata["diagnosis"]``; by default the labels in `X`.
        confidence, n_resamples, random_state : float, int, int
            As `from_scores`.
        name : str, optional
            Name of the test data; ``X.name`` by default.

        Returns
        -------
        MulticlassReport
            The report.

        Warns
        -----
        LeakageWarning
            If the estimator has a method `seen_images`, and was fitted or tuned with some of the images, or with
            images of the same lesions or patients; the report, and those in `against_rest`, then state it too.

        Raises
        ------
        DatasetError, ParameterError, UnknownNameError
            As `from_scores`.
        """
        check_reads_streams(estimator, X)

        def read(labels: ArrayLike) -> NDArray[Any]:
            if hasattr(estimator, "classes_"):  # without them, it says itself that it is not fitted
                check_all_occur(_read_truth(labels, estimator.classes_), estimator.classes_)
            return as_labels(labels)

        with scoring(estimator, X, name):
            labels, scores = score_labelled(estimator, estimator.predict_proba, read, X, y)
            seen = find_seen(estimator, X)
        report = cls.from_scores(
            labels,
            scores,
            classes=list(estimator.classes_),
            confidence=confidence,
            n_resamples=n_resamples,
            random_state=random_state,
            **known_of(estimator, X, name),
        )
        parts = {one: tell_origin(part, estimator, X, seen) for one, part in report.against_rest.items()}
        return replace(tell_origin(report, estimator, X, seen), against_rest=parts)

    # -- reading ---------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        metric = f"balanced accuracy {describe(self.balanced_accuracy, self.confidence)}"
        return f"MulticlassReport({self.name!r}, {len(self.classes)} classes, {metric})"

    @property
    def class_sizes(self) -> Mapping[str, int]:
        """How many images are of each class."""
        return dict(zip(self.classes, np.bincount(self.y_true, minlength=len(self.classes)).tolist(), strict=True))

    @property
    def class_calls(self) -> Mapping[str, int]:
        """How many images are predicted to be of each class."""
        return dict(zip(self.classes, self.confusion_matrix.sum(axis=0).tolist(), strict=True))

    @property
    def two_class_reports(self) -> Mapping[str, MetricsReport]:
        """The reports in `against_rest`, by the title suffix of each."""
        return {f" of {name}": report for name, report in self.against_rest.items()}

    @property
    def named_metrics(self) -> Mapping[str, Metric]:
        """Every metric of all classes together and of each class against the rest, by its display name."""
        return self._together | self._of_each

    @property
    def headlines(self) -> Mapping[str, Metric]:
        """Balanced accuracy, accuracy and mean AUC, by their display names."""
        return dict(list(self._together.items())[:3])

    @property
    def key_numbers(self) -> Mapping[str, Metric]:
        """The headlines, and the AUC of the class with the lowest one against the rest, by their display names."""
        worst = min(self.against_rest, key=lambda name: self.against_rest[name].metrics["auc"].value)
        return {**self.headlines, f"Lowest AUC: {worst} against the rest": self.against_rest[worst].metrics["auc"]}

    @property
    def outcome(self) -> str:
        """Images whose class was named rightly, and the class that was missed most often, in sentences."""
        right, sizes = self.confusion_matrix.diagonal(), np.array(list(self.class_sizes.values()))
        worst = int(np.argmin(right / sizes))
        found = f"{right[worst]} of {sizes[worst]} images recognised ({100 * right[worst] / sizes[worst]:.0f} %)"
        return (
            f"It named the right class of {right.sum()} of {sizes.sum()} images "
            f"({100 * right.sum() / sizes.sum():.0f} %); the hardest class was {self.classes[worst]}, with {found}."
        )

    @property
    def rule(self) -> str:
        """The rule by which a class is predicted."""
        return "The predicted class is the one with the highest score; there is none if several classes share it."

    def statements(self) -> list[str]:
        """Return statements on the basis of the metrics: images, predictions and the shares of the classes.

        Returns
        -------
        list of str
            One sentence per entry.
        """
        n, n_called = len(self.y_true), int(self.confusion_matrix.sum())
        classes = ", ".join(f"{size} {name}" for name, size in self.class_sizes.items())
        lines = [
            f"{n} images: {classes}; {len(self.skipped)} skipped; the predicted class is the one with the highest score"
        ]
        if n_called < n:
            lines.append(f"{n - n_called} images have no predicted class: several classes share their highest score")
        of_all = "balanced accuracy without more words is the mean of their sensitivities"
        shares = f"{TIED_TO_PREVALENCE[:1].upper()}{TIED_TO_PREVALENCE[1:]}"
        return [
            *lines,
            f"{shares} hold at these shares of the classes only",
            f"A mean of the classes is of each class against the rest, and weighs all alike, however rare; {of_all}",
        ]

    def tables(self) -> list[Table]:
        """Return the metrics as tables of text.

        Returns
        -------
        list of Table
            All classes together, each against the rest, and the confusion matrix.
        """
        of_classes = [
            [
                name,
                f"{report.counts.n_melanoma}{' (few)' if report.counts.n_melanoma <= FEW else ''}",
                *(" ".join(cells(report.metrics[metric])) for metric in _SHOWN),
            ]
            for name, report in self.against_rest.items()
        ]
        matrix = [[name, *map(str, row)] for name, row in zip(self.classes, self.confusion_matrix, strict=True)]
        return [
            Table(f"All classes ({_RULE})", figures_header(self.confidence), rows_of(self._together)),
            Table(
                f"Each class against the rest ({_RULE})",
                ["class", "images", *(LABELS[name] for name in _SHOWN)],
                of_classes,
            ),
            Table("Confusion matrix", ["truth", *(f"predicted {name}" for name in self.classes)], matrix),
        ]

    def figures_to_dict(self) -> dict[str, Any]:
        """Return the metrics as plain Python objects.

        Returns
        -------
        dict
            "classes", "rule" (how a class is predicted, for all metrics that count predictions), "balanced_accuracy",
            "accuracy", "macro", "against_rest" (for each class what `MetricsReport.figures_to_dict` gives) and
            "confusion_matrix".
        """
        return {
            "classes": self.classes,
            "rule": self.rule,
            "balanced_accuracy": self.balanced_accuracy.to_dict(),
            "accuracy": self.accuracy.to_dict(),
            "macro": {name: metric.to_dict() for name, metric in self.macro.items()},
            "against_rest": {name: report.figures_to_dict() for name, report in self.against_rest.items()},
            "confusion_matrix": self.confusion_matrix,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return all metrics as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row per metric, as `MetricsReport.to_frame`, with the class in the column "class". It is empty for
            metrics of all classes together, among which the means are named "macro_" and the name of the metric.
        """
        together = {"balanced_accuracy": self.balanced_accuracy, "accuracy": self.accuracy}
        together |= {f"macro_{name}": metric for name, metric in self.macro.items()}
        parts = [frame_metrics(together, confidence=self.confidence, name=self.name).assign(**{"class": ""})]
        parts += [report.to_frame().assign(**{"class": name}) for name, report in self.against_rest.items()]
        return pd.concat(parts, ignore_index=True)

    @checked(path=PATH)
    def to_submission(self, path: str | os.PathLike[str]) -> Path:
        """Write the scores in the format of the ISIC challenges of 2018 and 2019: a row per image, a column per class.

        Parameters
        ----------
        path : path-like
            Must end in ``.csv``.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ParameterError
            If images are missing (the challenges refuse incomplete submissions), ids are repeated, or the path does
            not end in ``.csv``.
        """
        self._check_complete()
        return save_submission(Path(path), self.image_ids, dict(zip(self.classes, self.y_score.T, strict=True)))

    # -- asking further --------------------------------------------------------------------------------------------

    @checked(other=having("against_rest", "a MulticlassReport"), names=NAMES)
    def compare(self, other: "MulticlassReport", *, names: tuple[str, str] = ("this", "other")) -> MulticlassComparison:
        """Compare with another classifier of the same diagnoses on the same images.

        Parameters
        ----------
        other : MulticlassReport
            Report on the other classifier. Images are matched by their ids; those in only one of the
            reports are excluded, and their number is stated.
        names : tuple of str, default=("this", "other")
            Names of the two classifiers.

        Returns
        -------
        MulticlassComparison
            Differences of the metrics of all classes together, this minus other, and a `Comparison` of each class
            against the rest.

        Raises
        ------
        ParameterError
            If the reports have different classes, ids are repeated, none are shared, or labels differ.
        DatasetError
            If fewer than two images of a class are shared.
        """
        if set(other.classes) != set(self.classes):
            raise ParameterError(
                f"The two reports are about different classes, {list(self.classes)} and {list(other.classes)}"
            )
        column_of = [other.classes.index(name) for name in self.classes]  # their order may differ
        there = np.argsort(column_of)[other.y_true]
        images = match_images(self.image_ids, other.image_ids, self.y_true, there)
        return compare_classes(
            self.y_true[images.here],
            self.y_score[images.here],
            other.y_score[images.there][:, column_of],
            classes=self.classes,
            names=names,
            left_out=images.left_out,
            **self._bootstrap_with(other, images),
        )

    # -- drawing ---------------------------------------------------------------------------------------------------

    def plot_confusion_matrix(self, ax: "Axes | None" = None) -> "ConfusionMatrixDisplay":
        """Draw the confusion matrix, with counts, shaded by the share of each true class.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        sklearn.metrics.ConfusionMatrixDisplay
            Its ``figure_`` shows and saves.
        """
        return draw_class_matrix(self.confusion_matrix, self.classes, ax=ax)

    def plot_roc(self, ax: "Axes | None" = None) -> "RocCurveDisplay":
        """Draw the ROC curve of each class against the rest.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        sklearn.metrics.RocCurveDisplay
            Its ``figure_`` shows and saves; ``line_`` is a list of the curves.
        """
        curves = {
            name: ((self.y_true == number).astype(np.int64), self.y_score[:, number])
            for number, name in enumerate(self.classes)
        }
        notes = [f"AUC {describe(one.metrics['auc'], self.confidence)}" for one in self.against_rest.values()]
        return draw_roc_curves(curves, notes=notes, ax=ax)

    def plot_metrics(self, ax: "Axes | None" = None) -> MetricsDisplay:
        """Draw the metrics of all classes together as bars with their intervals.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        MetricsDisplay
            Its ``figure_`` shows and saves.
        """
        return MetricsDisplay(self._together, self.confidence).plot(ax)

    def plot_classes(self, ax: "Axes | None" = None) -> MetricsDisplay:
        """Draw AUC, average precision, sensitivity and specificity of each class against the rest, as bars.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        MetricsDisplay
            Its ``figure_`` shows and saves.
        """
        return MetricsDisplay(self._of_each, self.confidence).plot(ax)

    @checked(plot=choice(*_PLOTS))
    def plot_each(self, plot: str = "calibration") -> "Figure":
        """Draw a plot of each class against the rest, side by side.

        Parameters
        ----------
        plot : {"roc", "precision_recall", "calibration", "decision_curve", "gain", "scores", "predictive_values"}
            Which of the plots of `MetricsReport`, without ``plot_``; "calibration" by default.

        Returns
        -------
        Figure
            One axes per class.
        """
        columns = min(len(self.classes), _MAX_COLUMNS)
        rows = -(-len(self.classes) // columns)
        height = 6.0 if plot == "calibration" else 5.0  # its legend stands below
        figure = new_figure(5.0 * columns, height * rows)
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, (name, report) in zip(grid, self.against_rest.items(), strict=False):
            getattr(report, f"plot_{plot}")(ax=ax)
            ax.set_title(
                f"{in_figure(name, SHORT)} against the rest\n{ax.get_title()}", fontsize=ax.title.get_fontsize()
            )
        for ax in grid[len(self.classes) :]:
            ax.set_axis_off()
        return figure

    @checked(n=COUNT)
    def examples(self, n: int = 4) -> dict[str, list[Example]]:
        """Find the images of each class that the classifier was most sure to be something else.

        Parameters
        ----------
        n : int, default=4
            Number of images of each class: the misclassified ones with the highest scores of the predicted class.

        Returns
        -------
        dict of str to list of Example
            For each class; an example has an ``image_id``, a ``path``, the ``score`` of the predicted class, and the
            predicted class as ``score_of``.

        Raises
        ------
        ParameterError
            If the report has no paths, or `n` is below 1.
        """
        if self.paths is None:
            raise ParameterError("A list of examples needs the image files; pass paths=[...] with the scores")
        called, highest = predict_classes(self.y_score), self.y_score.max(axis=1)
        found = {}
        for number, name in enumerate(self.classes):
            wrong = np.flatnonzero((self.y_true == number) & (called != number) & (called != NO_CLASS))
            surest = wrong[np.argsort(-highest[wrong], kind="stable")[:n]]
            found[name] = [
                Example(self.image_ids[row], self.paths[row], float(highest[row]), self.classes[called[row]])
                for row in surest
            ]
        return found

    def plot_examples(self, n: int = 4) -> "Figure":
        """Draw the images of each class that the classifier was most sure to be something else.

        Parameters
        ----------
        n : int, default=4
            Images of each class.

        Returns
        -------
        Figure
            One row per class; it shows "none" if all images of the class are classified correctly.

        Raises
        ------
        ParameterError
            If the report has no paths, or `n` is below 1.
        """
        wrong = self.confusion_matrix.sum(axis=1) - self.confusion_matrix.diagonal()
        titled = {
            f"{visible(name)}\n({n_wrong} misclassified)": shown
            for (name, shown), n_wrong in zip(self.examples(n).items(), wrong, strict=True)
        }
        return draw_examples(titled, columns=n, title="Most confident errors of each class, with the predicted class")

    def draw_all(self) -> Iterator[DrawnFigure]:
        """Draw every figure that this report can draw, one by one, so that only one is in memory at a time.

        Yields
        ------
        DrawnFigure
            The figure with its name, title and text alternative.
        """
        aucs = "; ".join(
            f"{name} {describe(one.metrics['auc'], self.confidence)}" for name, one in self.against_rest.items()
        )
        yield DrawnFigure(
            "roc", "ROC curves", f"A ROC curve of each class against the rest. AUC: {aucs}.", self.plot_roc().figure_
        )
        for plot, title in (("precision_recall", "Precision-recall curves"), ("calibration", "Reliability diagrams")):
            what = f"{title}, one for each class against the rest: {', '.join(self.classes)}."
            yield DrawnFigure(plot, title, what, self.plot_each(plot))
        right = ", ".join(
            f"{n} of {size} {name}"
            for n, (name, size) in zip(self.confusion_matrix.diagonal(), self.class_sizes.items(), strict=True)
        )
        yield DrawnFigure(
            "confusion_matrix",
            "Confusion matrix",
            f"Classified correctly: {right}.",
            self.plot_confusion_matrix().figure_,
        )
        for name, title, metrics, draw in (
            ("metrics", "All classes", self._together, self.plot_metrics),
            ("classes", "Each class against the rest", self._of_each, self.plot_classes),
        ):
            listed = "; ".join(f"{label} {describe(metric, self.confidence)}" for label, metric in metrics.items())
            yield DrawnFigure(name, title, f"Bars with intervals ({_RULE}): {listed}.", draw().figure_)
        yield from self._draw_history()
        if self.paths is not None:
            yield DrawnFigure(
                "examples",
                "Most confident errors of each class",
                "Photographs in a row for each class: its misclassified images with the highest scores of the "
                "predicted class.",
                self.plot_examples(),
            )

    # -- inside ----------------------------------------------------------------------------------------------------

    @cached_property
    def _together(self) -> dict[str, Metric]:
        """The metrics of all classes together, by their display names."""
        shown = {"Balanced accuracy": self.balanced_accuracy, "Accuracy": self.accuracy}
        return shown | {_mean_of(name): metric for name, metric in self.macro.items()}

    @cached_property
    def _of_each(self) -> dict[str, Metric]:
        """The first metrics of each class against the rest, by their display names."""
        return {
            f"{LABELS[metric]} of {name}": report.metrics[metric]
            for name, report in self.against_rest.items()
            for metric in _SHOWN
        }


def _read_truth(y_true: ArrayLike, classes: Sequence[Any]) -> NDArray[np.int64]:
    """Return the number of the class of each image."""
    if len(classes) < 2 or len(set(map(normalise, classes))) < len(classes):
        raise ParameterError(f"classes must be at least two different ones, got {list(classes)}")
    # It does not matter here which class is melanoma: each has its own column, also if there are only two.
    return Classes(np.asarray(classes), melanoma=None).encode(y_true, name="y_true")


def _mean_of(name: str) -> str:
    """Return the display name of the mean of a metric over the classes."""
    return f"{rename_classes(LABELS[name], ('the others', 'the class'))}, mean of the classes"


def _count_calls(truth: NDArray[np.int64], called: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """Count the images of each true class by predicted class."""
    matrix = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(matrix, (truth[called != NO_CLASS], called[called != NO_CLASS]), 1)
    return matrix


def _against_rest(
    names: Sequence[str],
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    rows: Rows,
    name: str,
    known: Mapping[str, Any],
) -> dict[str, MetricsReport]:
    """Report on each class against all others."""
    reports, called = {}, call_each(scores)
    for number, one in enumerate(names):
        report = MetricsReport.from_scores(
            truth == number,
            scores[:, number],
            y_pred=called[:, number],
            image_ids=rows.image_ids,
            paths=rows.paths,
            groups=rows.groups,
            skipped=rows.skipped,
            name=f"{name}: {one} against the rest" if name else f"{one} against the rest",
            class_names=(f"not {one}", one),
            **known,
        )
        reports[one] = replace(report, provenance={**report.provenance, "predicted_by": _PREDICTED_BY})
    return reports
