"""`MulticlassReport`: what a classifier of several diagnoses is worth."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.errors import ParameterError
from melanoma_tl.escaping import in_html, in_markdown
from melanoma_tl.inputs import check_reads_streams, score_labelled
from melanoma_tl.labels import Classes, as_labels
from melanoma_tl.meanings import normalise
from melanoma_tl.metrics import LABELS, Metric, describe
from melanoma_tl.multiclass import NO_CLASS, check_class_scores, multiclass_metrics, predict_classes
from melanoma_tl.parameters import (
    BOOTSTRAP,
    COLUMN,
    PATH,
    TEXT,
    checked,
)
from melanoma_tl.plots.curves import draw_roc_curves
from melanoma_tl.plots.matrices import draw_class_matrix
from melanoma_tl.report.frames import frame_figures
from melanoma_tl.report.metrics_report import MetricsReport
from melanoma_tl.report.writing import NOTICE, Table, cells, plain, save_submission, save_text, write_json
from melanoma_tl.tables import html_table, markdown_table, text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay

_SHOWN = ("auc", "average_precision", "sensitivity", "specificity")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MulticlassReport:
    """Test figures of a classifier of several diagnoses, each with an interval and its n.

    Made by `from_estimator` or `from_scores`, not by calling the class.

    Attributes
    ----------
    classes : tuple of str
        The diagnoses, in the order of the columns of scores.
    against_rest : mapping of str to MetricsReport
        For each diagnosis, the full report of it against all others.
    balanced_accuracy, accuracy : Metric
        Mean of the classes' sensitivities, which the ISIC challenges of 2018 and 2019 ranked by, and the share of
        images that are called right; an image is called what has its highest score.
    macro : mapping of str to Metric
        The means over the classes of the figures of one against the rest, a class being called where its score
        is strictly above 0.5.
    confusion_matrix : ndarray of int of shape (n_classes, n_classes)
        A row a true class, a column a predicted one; images that several classes share the highest score of
        are in no column.
    confidence : float
        Coverage of the intervals.
    name : str
        Name of the test data.

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
    confidence: float
    name: str

    @classmethod
    @checked(classes=COLUMN, name=TEXT, **BOOTSTRAP)
    def from_scores(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike,
        *,
        classes: Sequence[Any],
        confidence: float = 0.95,
        n_resamples: int = 2000,
        random_state: int = 0,
        name: str = "",
        **options: Any,
    ) -> Self:
        """Report on the scores of any model.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            The diagnosis of each image, as it stands in `classes`.
        y_score : array-like of shape (n, n_classes)
            Probabilities, one column a class.
        classes : sequence of shape (n_classes,)
            What the columns stand for; each must occur in `y_true`.
        confidence, n_resamples, random_state, name
            As `MetricsReport.from_scores`.
        **options : dict
            `image_ids`, `paths`, `groups`, `history`, `provenance` and `skipped` of
            `MetricsReport.from_scores`.

        Returns
        -------
        MulticlassReport
            The report.

        Raises
        ------
        DatasetError
            If a class has no image, or a label is missing.
        ParameterError
            If shapes differ, scores are no probabilities, or there are fewer than two classes.
        UnknownNameError
            If a label is none of the classes.
        """
        if len(classes) < 2 or len(set(map(normalise, classes))) < len(classes):
            raise ParameterError(f"classes must be at least two different ones, got {list(classes)}")
        # Which of them is melanoma has no say here: of two classes, too, each has its own column.
        truth = Classes(np.asarray(classes), melanoma=None).encode(y_true, name="y_true")
        scores = check_class_scores(truth, y_score, len(classes))
        interval: dict[str, Any] = {"confidence": confidence, "n_resamples": n_resamples, "random_state": random_state}
        found = multiclass_metrics(truth, scores, n_classes=len(classes), groups=options.get("groups"), **interval)
        names = tuple(str(one) for one in classes)
        against_rest = {
            one: MetricsReport.from_scores(
                truth == number, scores[:, number], name=f"{one} against the rest", **interval, **options
            )
            for number, one in enumerate(names)
        }
        called = predict_classes(scores)
        matrix = np.zeros((len(names), len(names)), dtype=np.int64)
        np.add.at(matrix, (truth[called != NO_CLASS], called[called != NO_CLASS]), 1)
        return cls(
            classes=names,
            against_rest=against_rest,
            balanced_accuracy=found.balanced_accuracy,
            accuracy=found.accuracy,
            macro=found.macro,
            confusion_matrix=matrix,
            confidence=confidence,
            name=name,
        )

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: ArrayLike | None = None, **options: Any) -> Self:
        """Score images with a classifier, and report on the scores.

        Parameters
        ----------
        estimator : object
            Anything with ``predict_proba(X)`` of shape (n, n_classes) and ``classes_``.
        X : ISBIDataset or whatever the estimator takes
            Images that the estimator has not seen; its ids, paths and name are used where it has them.
        y : array-like of shape (n,), optional
            The diagnoses, such as ``X.metadata["diagnosis"]``; those that come with the images by default.
        **options : dict
            As `from_scores`.

        Returns
        -------
        MulticlassReport
            The report.

        Raises
        ------
        DatasetError, ParameterError, UnknownNameError
            As `from_scores`.
        """
        known: dict[str, Any] = {"image_ids": getattr(X, "image_ids", None), "paths": getattr(X, "paths", None)}
        known |= {"skipped": getattr(X, "skipped", ()), "name": getattr(X, "name", "")}
        known["provenance"] = getattr(estimator, "provenance_", {"estimator": str(estimator)})
        check_reads_streams(estimator, X)
        labels, scores = score_labelled(estimator.predict_proba, as_labels, X, y)
        return cls.from_scores(labels, scores, classes=list(estimator.classes_), **(known | options))

    def __repr__(self) -> str:
        figure = f"balanced accuracy {describe(self.balanced_accuracy, self.confidence)}"
        return f"MulticlassReport({self.name!r}, {len(self.classes)} classes, {figure})"

    def __str__(self) -> str:
        tables = (f"{table.title}\n{text_table(table.header, table.rows)}" for table in self._tables())
        return "\n\n".join([self._title(), *tables, NOTICE])

    def _repr_html_(self) -> str:
        return "".join(
            f"<h4>{in_html(table.title)}</h4>{html_table(table.header, table.rows)}" for table in self._tables()
        )

    def to_markdown(self) -> str:
        """Write the report as Markdown.

        Returns
        -------
        str
            Figures of all classes together, of each against the rest, and the confusion matrix.
        """
        tables = (f"## {table.title}\n\n{markdown_table(table.header, table.rows)}" for table in self._tables())
        return "\n\n".join([f"# {in_markdown(self._title())}", *tables, f"*{NOTICE}*"]) + "\n"

    def to_frame(self) -> pd.DataFrame:
        """Give all figures to pandas.

        Returns
        -------
        pandas.DataFrame
            One row a figure, as `MetricsReport.to_frame`, with the class that it is of under "class"; empty for
            those of all classes, of which the means are called "macro_" and the name of the figure.
        """
        together = {"balanced_accuracy": self.balanced_accuracy, "accuracy": self.accuracy}
        together |= {f"macro_{name}": metric for name, metric in self.macro.items()}
        parts = [frame_figures(together, confidence=self.confidence, name=self.name).assign(**{"class": ""})]
        parts += [report.to_frame().assign(**{"class": name}) for name, report in self.against_rest.items()]
        return pd.concat(parts, ignore_index=True)

    def to_dict(self) -> dict[str, Any]:
        """Write the report as plain Python objects.

        Returns
        -------
        dict
            "balanced_accuracy", "accuracy", "macro", "against_rest" (a dict of each `MetricsReport`),
            "classes", "confusion_matrix", "confidence", "name" and "notice".
        """
        return plain(
            {
                "balanced_accuracy": self.balanced_accuracy.to_dict(),
                "accuracy": self.accuracy.to_dict(),
                "macro": {name: metric.to_dict() for name, metric in self.macro.items()},
                "against_rest": {name: report.to_dict() for name, report in self.against_rest.items()},
                "classes": self.classes,
                "confusion_matrix": self.confusion_matrix,
                "confidence": self.confidence,
                "name": self.name,
                "notice": NOTICE,
            }
        )

    def to_json(self) -> str:
        """Write the report as strict JSON: an undefined figure is null, never NaN.

        Returns
        -------
        str
            What `to_dict` returns.
        """
        return write_json(self.to_dict())

    @checked(path=PATH)
    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the report into a file, whole or not at all.

        Parameters
        ----------
        path : path-like
            Its suffix says how: ``.md`` Markdown, ``.json`` JSON, ``.txt`` plain text.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ParameterError
            If the suffix is another one.
        """
        return save_text(
            Path(path),
            {".md": self.to_markdown, ".json": self.to_json, ".txt": lambda: f"{self}\n"},
            otherwise="or save the report on a class against the rest, in `against_rest`, also as .html",
        )

    @checked(path=PATH)
    def to_submission(self, path: str | os.PathLike[str]) -> Path:
        """Write the scores as the challenges of 2018 and 2019 take them: a line an image, a column a class.

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
            If ids are repeated or the path does not end in ``.csv``.
        """
        columns = {name: report.y_score for name, report in self.against_rest.items()}
        return save_submission(Path(path), self.against_rest[self.classes[0]].image_ids, columns)

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
            f"{name}, AUC {describe(report.metrics['auc'], self.confidence)}": report._scored("A ROC curve")[:2]
            for name, report in self.against_rest.items()
        }
        return draw_roc_curves(curves, ax=ax)

    def _title(self) -> str:
        return f"Test figures of {len(self.classes)} classes: {self.name or 'unnamed'}"

    def _tables(self) -> list[Table]:
        shown = {"Balanced accuracy": self.balanced_accuracy, "Accuracy": self.accuracy}
        shown |= {f"{LABELS[name]}, mean of the classes": metric for name, metric in self.macro.items()}
        interval = f"{100 * self.confidence:g} % interval"
        rows = [[name, *cells(metric), str(metric.n), metric.method] for name, metric in shown.items()]
        classes = [
            [name, str(report.counts.n_melanoma), *(" ".join(cells(report.metrics[figure])) for figure in _SHOWN)]
            for name, report in self.against_rest.items()
        ]
        matrix = [[name, *map(str, row)] for name, row in zip(self.classes, self.confusion_matrix, strict=True)]
        return [
            Table("All classes", ["figure", "value", interval, "n", "interval by"], rows),
            Table("Each class against the rest", ["class", "images", *(LABELS[name] for name in _SHOWN)], classes),
            Table("Confusion matrix", ["truth", *(f"called {name}" for name in self.classes)], matrix),
        ]
