"""`MetricsReport`: what a classifier is worth on a test set, and what that rests on."""

import json
import os
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.claims import ClaimsCheck, check_claims
from melanoma_tl.errors import LeakageWarning, ParameterError
from melanoma_tl.files import replacing
from melanoma_tl.images import SkippedRow
from melanoma_tl.metrics import LABELS, ConfusionCounts, Metric, confusion_counts, matrix_metrics, score_metrics
from melanoma_tl.tables import markdown_table, text_table
from melanoma_tl.versions import library_versions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

NOTICE = "Research use only; not a medical device."

_NO_SCORE = "the classifier gave no score: the image could not be read"
_MAX_SKIPPED_SHOWN = 10


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MetricsReport:
    """Test figures of a classifier, each with an interval and its n, and what produced them.

    Made by `from_estimator`, `from_scores` or `from_confusion`, not by calling the class.

    Attributes
    ----------
    metrics : mapping of str to Metric
        auc, average_precision, accuracy, balanced_accuracy, sensitivity, specificity,
        precision, npv, f1, iou_melanoma and iou_benign, each with value, low, high, n
        and method; the first two are absent from a report on a confusion matrix alone.
    counts : ConfusionCounts
        ``(tn, fp, fn, tp)`` at the threshold.
    threshold : float or None
        An image is predicted melanoma when its score is strictly above; None when not known.
    confidence : float
        Coverage of the intervals, such as 0.95.
    name : str
        Name of the test data.
    skipped : tuple of SkippedRow
        Images that no figure counts, each with id, path and reason.
    provenance : mapping
        "created", "versions", "test_data" and "intervals" of this report, under "model" what the
        classifier says of itself, under "tta" how many views of each image it scored, and under
        "seen_by_the_model" how many of the test images it was fitted with (None where it does
        not remember).
    history : mapping of str to list of float, or None
        Loss and accuracy of each training epoch.
    y_true, y_score : ndarray of shape (n,), or None
        The labels (0 benign, 1 melanoma) and scores that the figures count.
    image_ids : tuple of str
        Their ids; row numbers where none were given.
    paths : tuple of str, or None
        Their files.

    Notes
    -----
    Precision, NPV, accuracy, F1, IoU and average precision depend on how frequent
    melanoma is in the test set; they do not carry over to a clinic, where it is
    rarer. Sensitivity, specificity, balanced accuracy and AUC do not.

    The intervals speak of chance in drawing the images. They say nothing of other
    cameras, other skin types, or images that were seen in training.

    Examples
    --------
    >>> report = MetricsReport.from_scores([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], name="four images")
    >>> report
    MetricsReport('four images', 4 images, AUC 0.750 (95 % CI 0.000-1.000, n = 4))
    >>> report.to_dict()["sensitivity"]["value"]
    0.5
    """

    metrics: Mapping[str, Metric]
    counts: ConfusionCounts
    threshold: float | None
    confidence: float
    name: str
    skipped: tuple[SkippedRow, ...]
    provenance: Mapping[str, Any]
    history: Mapping[str, Sequence[float]] | None = None
    y_true: NDArray[np.int64] | None = None
    y_score: NDArray[np.float64] | None = None
    image_ids: tuple[str, ...] = ()
    paths: tuple[str, ...] | None = None

    # -- making ----------------------------------------------------------------------------------------------------

    @classmethod
    def from_scores(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike,
        *,
        pos_label: object = None,
        threshold: float = 0.5,
        confidence: float = 0.95,
        n_resamples: int = 2000,
        random_state: int = 0,
        image_ids: Sequence[Any] | None = None,
        paths: Sequence[Any] | None = None,
        history: Mapping[str, Sequence[float]] | None = None,
        provenance: Mapping[str, Any] | None = None,
        skipped: Sequence[tuple[str, str, str]] = (),
        name: str = "",
    ) -> Self:
        """Report on the scores of any model.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            0 or False benign, 1 or True melanoma; other labels need `pos_label`.
        y_score : array-like of shape (n,)
            Probabilities of melanoma, 0 to 1. NaN marks an image that has no score: it
            is left out of the figures and listed in `skipped`.
        pos_label : object, optional
            The label in `y_true` that means melanoma; every other label is then benign.
        threshold : float, default=0.5
            An image is predicted melanoma when its score, as float64, is strictly above.
            Choose it on validation data, never on these.
        confidence : float, default=0.95
            Coverage of the intervals, between 0 and 1.
        n_resamples : int, default=2000
            Number of bootstrap resamples.
        random_state : int, default=0
            Seed of the bootstrap.
        image_ids : sequence of shape (n,), optional
            Ids of the images; row numbers by default.
        paths : sequence of shape (n,), optional
            Their files, for `plot_examples`.
        history : mapping of str to sequence of float, optional
            Training loss and accuracy by epoch, for `plot_history`.
        provenance : mapping, optional
            What produced the model: recipe, seed, data. Versions and dates are added.
        skipped : sequence of (image_id, path, reason), optional
            Images that were left out before scoring.
        name : str, optional
            Name of the test data.

        Returns
        -------
        MetricsReport
            The report.

        Raises
        ------
        DatasetError
            If no image has a score, or only one class has.
        ParameterError
            If lengths differ, scores are no probabilities, or labels are not understood.
        """
        truth, scores = _truth(y_true, pos_label), _scores(y_score)
        ids = [str(row) for row in range(len(scores))] if image_ids is None else [str(image) for image in image_ids]
        files = None if paths is None else [str(path) for path in paths]
        for what, column in (("y_true", truth), ("image_ids", ids), ("paths", files)):
            if column is not None and len(column) != len(scores):
                raise ParameterError(f"y_score has {len(scores)} rows, but {what} has {len(column)}; give one an image")
        scored = np.flatnonzero(~np.isnan(scores))
        unscored = [
            SkippedRow(ids[row], files[row] if files else "", _NO_SCORE) for row in np.flatnonzero(np.isnan(scores))
        ]
        truth, scores = truth[scored], scores[scored]
        figures = score_metrics(
            truth,
            scores,
            threshold=threshold,
            confidence=confidence,
            n_resamples=n_resamples,
            random_state=random_state,
        )
        counts = confusion_counts(truth, scores, threshold)
        all_skipped = (*(SkippedRow(*row) for row in skipped), *unscored)
        return cls(
            metrics=figures,
            counts=counts,
            threshold=float(threshold),
            confidence=confidence,
            name=name,
            skipped=all_skipped,
            provenance=_provenance(name, counts, len(all_skipped), (n_resamples, random_state), provenance),
            history=history,
            y_true=truth,
            y_score=scores,
            image_ids=tuple(ids[row] for row in scored),
            paths=None if files is None else tuple(files[row] for row in scored),
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        pos_label: object = None,
        threshold: float | None = None,
        confidence: float = 0.95,
        n_resamples: int = 2000,
        random_state: int = 0,
        name: str | None = None,
    ) -> Self:
        """Score images with a classifier, and report on the scores.

        Parameters
        ----------
        estimator : object
            Anything with ``predict_proba(X)`` of shape (n, 2), melanoma second; its
            `threshold`, `history_` and `provenance_` are used where it has them.
        X : ISBIDataset or whatever the estimator takes
            Images that the estimator has not seen; `labels`, `image_ids`, `paths`,
            `skipped` and `name` are used where it has them.
        y : array-like of shape (n,), optional
            As `y_true` of `from_scores`; ``X.labels`` by default.
        pos_label : object, optional
            The label in `y` that means melanoma, when labels are not 0 and 1.
        threshold : float, optional
            The estimator's by default, and 0.5 where it has none.
        confidence, n_resamples, random_state : float, int, int
            As `from_scores`.
        name : str, optional
            Name of the test data; ``X.name`` by default.

        Returns
        -------
        MetricsReport
            The report.

        Warns
        -----
        LeakageWarning
            If the estimator has `seen_images` and was fitted with some of the images, or
            with images of the same lesions or patients; the report then says so too.

        Raises
        ------
        DatasetError, ParameterError
            As `from_scores`; also if there are no labels, if the scores are not of
            shape (n, 2), or if melanoma is the estimator's first class.

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegression
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
        >>> MetricsReport.from_estimator(LogisticRegression().fit(X, y), X, y).counts
        ConfusionCounts(tn=2, fp=0, fn=0, tp=2)
        """
        labels = getattr(X, "labels", None) if y is None else y
        if labels is None:
            raise ParameterError(f"X is a {type(X).__name__} without labels; pass them as y")
        _check_class_order(estimator, pos_label)
        overlap = estimator.seen_images(X) if hasattr(estimator, "seen_images") else None
        if overlap:
            warnings.warn(f"{overlap}. Its figures say little about new images", LeakageWarning, stacklevel=2)
        probabilities = np.asarray(estimator.predict_proba(X))
        if probabilities.ndim != 2 or probabilities.shape[1] != 2:
            raise ParameterError(
                f"predict_proba must return the shape (n, 2), benign and melanoma, got {probabilities.shape}"
            )
        report = cls.from_scores(
            labels,
            probabilities[:, 1],
            pos_label=pos_label,
            threshold=getattr(estimator, "threshold", 0.5) if threshold is None else threshold,
            confidence=confidence,
            n_resamples=n_resamples,
            random_state=random_state,
            image_ids=getattr(X, "image_ids", None),
            paths=getattr(X, "paths", None),
            history=getattr(estimator, "history_", None),
            provenance=getattr(estimator, "provenance_", {"estimator": str(estimator)}),
            skipped=getattr(X, "skipped", ()),
            name=getattr(X, "name", "") if name is None else name,
        )
        # What the classifier says of itself was written in training, and may have been set otherwise since.
        views = {"tta": estimator.tta} if hasattr(estimator, "tta") else {}
        seen = None if overlap is None else {"images": len(overlap), "by": overlap.counts}
        return replace(report, provenance={**report.provenance, **views, "seen_by_the_model": seen})

    @classmethod
    def from_confusion(
        cls,
        tn: int,
        fp: int,
        fn: int,
        tp: int,
        *,
        threshold: float | None = None,
        confidence: float = 0.95,
        n_resamples: int = 2000,
        random_state: int = 0,
        provenance: Mapping[str, Any] | None = None,
        name: str = "",
    ) -> Self:
        """Report on a confusion matrix, such as a published one.

        Parameters
        ----------
        tn, fp, fn, tp : int
            Benign images predicted benign and melanoma, then melanoma images predicted benign and
            melanoma; in the order of ``sklearn.metrics.confusion_matrix(...).ravel()``.
        threshold : float, optional
            Where the calls were made, for the record.
        confidence, n_resamples, random_state, provenance, name
            As `from_scores`.

        Returns
        -------
        MetricsReport
            Without AUC, average precision, curves and examples, which need scores.

        Raises
        ------
        DatasetError
            If one of the classes has no image.
        ParameterError
            If a count is not a whole number of at least 0.

        Examples
        --------
        >>> report = MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58)
        >>> round(report.metrics["sensitivity"].value, 4)
        0.7733
        """
        counts = ConfusionCounts(tn, fp, fn, tp)
        if any(isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0 for count in counts):
            raise ParameterError(f"The four counts must be whole numbers of at least 0, got {counts}")
        counts = ConfusionCounts(*map(int, counts))
        return cls(
            metrics=matrix_metrics(counts, confidence=confidence, n_resamples=n_resamples, random_state=random_state),
            counts=counts,
            threshold=threshold,
            confidence=confidence,
            name=name,
            skipped=(),
            provenance=_provenance(name, counts, 0, (n_resamples, random_state), provenance),
        )

    # -- reading ---------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        from melanoma_tl.plots import describe

        first = next(iter(self.metrics))
        figure = f"{LABELS[first]} {describe(self.metrics[first], self.confidence)}"
        return f"MetricsReport({self.name!r}, {self.counts.n} images, {figure})"

    def __str__(self) -> str:
        blocks = [
            "\n".join([self._title(), *self._facts()]),
            text_table(*self._figures_table()),
            text_table(*self._confusion_table()),
            *(["\n".join(["Skipped", *self._skipped_lines("  ")])] if self.skipped else []),
            "\n".join(["Provenance", *(_wrap(f"{key}: {_inline(value)}") for key, value in self._sources())]),
            NOTICE,
        ]
        return "\n\n".join(blocks)

    def to_markdown(self) -> str:
        """Write the report as Markdown.

        Returns
        -------
        str
            The figures, the confusion matrix, the skipped images and the provenance.
        """
        blocks = [
            f"# {self._title()}",
            "\n".join(f"- {fact}" for fact in self._facts()),
            markdown_table(*self._figures_table()),
            markdown_table(*self._confusion_table()),
            *(["## Skipped", "\n".join(self._skipped_lines("- "))] if self.skipped else []),
            "## Provenance",
            markdown_table(["what", "value"], [[key, _inline(value)] for key, value in self._sources()]),
            f"*{NOTICE}*",
        ]
        return "\n\n".join(blocks) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Write the report as plain Python objects.

        Returns
        -------
        dict
            Each name in `metrics` with a dict of value, low, high and n; further
            "confusion_matrix", "threshold", "confidence", "name", "skipped", "history",
            "provenance" and "notice". Undefined figures are None.
        """
        figures = {
            name: {"value": metric.value, "low": metric.low, "high": metric.high, "n": metric.n}
            for name, metric in self.metrics.items()
        }
        return _plain(
            {
                **figures,
                "confusion_matrix": self.counts._asdict(),
                "threshold": self.threshold,
                "confidence": self.confidence,
                "name": self.name,
                "skipped": [row._asdict() for row in self.skipped],
                "history": self.history,
                "provenance": self.provenance,
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
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

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
        path = Path(path)
        writers: dict[str, Callable[[], str]] = {
            ".md": self.to_markdown,
            ".json": self.to_json,
            ".txt": lambda: f"{self}\n",
        }
        if path.suffix.lower() not in writers:
            raise ParameterError(
                f"A report is saved as one of {', '.join(writers)}, got {str(path)!r}; change the suffix"
            )
        text = writers[path.suffix.lower()]()
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return path

    def check_claims(self, claims: Mapping[str, float | str]) -> ClaimsCheck:
        """Find which figures of a paper cannot come from one confusion matrix.

        Parameters
        ----------
        claims : mapping of str to float or str
            Names of figures (recall, dice, iou and ppv are understood) and their values,
            as a fraction (0.8667) or a percentage (86.67, "86.67 %"), with the digits
            that were printed.

        Returns
        -------
        ClaimsCheck
            Each claim against this report's matrix and against every other matrix with
            the same class sizes.

        Raises
        ------
        UnknownNameError, ParameterError
            As `melanoma_tl.claims.check_claims`.

        Examples
        --------
        >>> published = MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58)
        >>> published.check_claims({"accuracy": "86.67 %", "recall": "82.25 %"}).consistent
        False
        """
        return check_claims(self.counts, claims)

    # -- drawing ---------------------------------------------------------------------------------------------------

    def plot_roc(self, ax: "Axes | None" = None) -> "RocCurveDisplay":
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
        from melanoma_tl.plots import draw_roc

        y_true, y_score, threshold = self._scored("A ROC curve")
        return draw_roc(y_true, y_score, self.metrics, threshold=threshold, confidence=self.confidence, ax=ax)

    def plot_precision_recall(self, ax: "Axes | None" = None) -> "PrecisionRecallDisplay":
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
        from melanoma_tl.plots import draw_precision_recall

        y_true, y_score, threshold = self._scored("A precision-recall curve")
        return draw_precision_recall(
            y_true, y_score, self.metrics, threshold=threshold, confidence=self.confidence, ax=ax
        )

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
        from melanoma_tl.plots import draw_confusion_matrix

        return draw_confusion_matrix(self.counts, threshold=self.threshold, ax=ax)

    def plot_metrics(self, ax: "Axes | None" = None) -> "Axes":
        """Draw every figure as a bar with its interval.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        Axes
            Its ``figure`` shows and saves.
        """
        from melanoma_tl.plots import draw_metrics

        return draw_metrics(self.metrics, confidence=self.confidence, ax=ax)

    def plot_history(self, axes: "Sequence[Axes] | None" = None) -> "NDArray[np.object_]":
        """Draw loss and accuracy of training and validation, an epoch at a time.

        Parameters
        ----------
        axes : sequence of Axes, optional
            Where to draw the loss and, if the history has it, the accuracy; a new figure by default.

        Returns
        -------
        ndarray of Axes of shape (1,) or (2,)
            The loss, then the accuracy.

        Raises
        ------
        ParameterError
            If the report has no training history.
        """
        from melanoma_tl.plots import draw_history

        if not self.history:
            raise ParameterError(
                "This report has no training history; pass history={'loss': [...], ...} to from_scores, "
                "or an estimator with history_ to from_estimator"
            )
        return draw_history(self.history, axes=axes)

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
        from melanoma_tl.plots import draw_examples

        if n < 1:
            raise ParameterError(f"n must be at least 1 image of each outcome, got {n!r}")
        return draw_examples(dict(self._examples(n)), columns=n, threshold=self._scored("A grid of examples").threshold)

    def save_figures(self, folder: str | os.PathLike[str], formats: Sequence[str] = ("png",)) -> list[Path]:
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
            The files: ``confusion_matrix`` and ``metrics`` always; ``roc`` and
            ``precision_recall`` with scores; ``history`` and ``examples`` with theirs.

        Raises
        ------
        ParameterError
            If matplotlib does not write a format.
        """
        from matplotlib.figure import Figure

        known = set(Figure().canvas.get_supported_filetypes())
        if isinstance(formats, str) or not set(formats) <= known:
            raise ParameterError(f"formats must be a sequence of some of {', '.join(sorted(known))}, got {formats!r}")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for name, figure in self._drawn():
            for suffix in formats:
                path = folder / f"{name}.{suffix}"
                with replacing(path) as temporary:
                    figure.savefig(temporary, format=suffix, dpi=150, facecolor="white")
                written.append(path)
        return written

    # -- inside ----------------------------------------------------------------------------------------------------

    def _title(self) -> str:
        return f"Test figures: {self.name}" if self.name else "Test figures"

    def _facts(self) -> list[str]:
        counts = self.counts
        rule = "" if self.threshold is None else f"; predicted melanoma when the score is above {self.threshold:g}"
        classes = f"{counts.n_melanoma} melanoma, {counts.n_benign} benign"
        prevalence = f"{100 * counts.n_melanoma / counts.n:.1f} %"
        seen = self.provenance.get("seen_by_the_model")
        tied = "precision, NPV, accuracy, F1, IoU and average precision"
        facts = [
            f"{counts.n} images: {classes}; {len(self.skipped)} skipped{rule}",
            f"Melanoma prevalence {prevalence}: {tied} hold at this prevalence only",
        ]
        if seen and seen["images"]:
            by = ", ".join(f"{count} by {kind}" for kind, count in seen["by"].items() if count)
            facts.append(f"LEAKAGE: the model was fitted with a counterpart of {seen['images']} images ({by})")
        collapsed = [LABELS[name] for name, metric in self.metrics.items() if metric.low == metric.high]
        if collapsed:
            artefact = "An interval without width is no certainty: resampling cannot see outcomes that did not occur"
            facts.append(f"{artefact} ({', '.join(collapsed)})")
        return facts

    def _figures_table(self) -> tuple[list[str], list[list[str]]]:
        header = ["figure", "value", f"{100 * self.confidence:g} % interval", "n", "interval by"]
        rows = []
        for name, metric in self.metrics.items():
            undefined = np.isnan(metric.value)
            value = "undefined" if undefined else f"{metric.value:.3f}"
            interval = "-" if undefined else f"{metric.low:.3f} - {metric.high:.3f}"
            rows.append([LABELS[name], value, interval, str(metric.n), metric.method])
        return header, rows

    def _confusion_table(self) -> tuple[list[str], list[list[str]]]:
        tn, fp, fn, tp = map(str, self.counts)
        header = ["truth", "predicted benign", "predicted melanoma"]
        return header, [["benign", f"TN {tn}", f"FP {fp}"], ["melanoma", f"FN {fn}", f"TP {tp}"]]

    def _skipped_lines(self, bullet: str) -> list[str]:
        lines = [f"{bullet}{row.image_id}: {row.reason}" for row in self.skipped[:_MAX_SKIPPED_SHOWN]]
        hidden = len(self.skipped) - len(lines)
        return [*lines, f"{bullet}and {hidden} more, all listed in the JSON report"] if hidden else lines

    def _sources(self) -> Iterator[tuple[str, Any]]:
        """Lines of the provenance: the report's own first, then those of the model."""
        own = {key: value for key, value in self.provenance.items() if key != "model"}
        yield from own.items()
        for key, value in self.provenance["model"].items():
            yield f"model {key}".replace("_", " "), value

    def _scored(self, what: str) -> "_Scored":
        if self.y_true is None or self.y_score is None or self.threshold is None:
            raise ParameterError(
                f"{what} needs scores, and this report was made from a confusion matrix; use from_scores"
            )
        return _Scored(self.y_true, self.y_score, self.threshold)

    def _examples(self, n: int) -> Iterator[tuple[str, list[Any]]]:
        from melanoma_tl.plots import Example

        y_true, y_score, threshold = self._scored("A grid of examples")
        if self.paths is None:
            raise ParameterError("A grid of examples needs the image files; pass paths=[...] with the scores")
        predicted = y_score > threshold
        outcomes = {
            "True positives": (y_true == 1) & predicted,
            "True negatives": (y_true == 0) & ~predicted,
            "False negatives": (y_true == 1) & ~predicted,
            "False positives": (y_true == 0) & predicted,
        }
        for title, mask in outcomes.items():
            rows = np.flatnonzero(mask)
            certainty = y_score[rows] if title.endswith("positives") else -y_score[rows]
            chosen = rows[np.argsort(-certainty, kind="stable")[:n]]
            examples = [Example(self.image_ids[row], self.paths[row], float(y_score[row])) for row in chosen]
            yield f"{title} ({len(rows)})", examples

    def _drawn(self) -> Iterator[tuple[str, "Figure"]]:
        """Draw the figures one by one, so that only one is held at a time."""
        if self.y_score is not None:
            yield "roc", self.plot_roc().figure_
            yield "precision_recall", self.plot_precision_recall().figure_
        yield "confusion_matrix", self.plot_confusion_matrix().figure_
        yield "metrics", cast("Figure", self.plot_metrics().figure)
        if self.history and len(self.history.get("loss", ())):
            yield "history", self.plot_history()[0].figure
        if self.y_score is not None and self.paths is not None:
            yield "examples", self.plot_examples()


class _Scored(NamedTuple):
    y_true: NDArray[np.int64]
    y_score: NDArray[np.float64]
    threshold: float


def _truth(y_true: ArrayLike, pos_label: object) -> NDArray[np.int64]:
    labels = np.asarray(y_true)
    if labels.ndim != 1:
        raise ParameterError(f"y_true must have the shape (n,), got {labels.shape}")
    if pos_label is not None:
        return (labels == pos_label).astype(np.int64)
    found = np.unique(labels).tolist()
    if not set(found) <= {0, 1}:
        raise ParameterError(
            f"y_true must hold 0 for benign and 1 for melanoma, got {found[:5]}; "
            "for other labels say which one is melanoma, such as pos_label='melanoma'"
        )
    return labels.astype(np.int64)


def _scores(y_score: ArrayLike) -> NDArray[np.float64]:
    scores = np.asarray(y_score, dtype=np.float64)
    if scores.ndim != 1:
        raise ParameterError(f"y_score must have the shape (n,), the probability of melanoma, got {scores.shape}")
    outside = scores[(scores < 0) | (scores > 1)]
    if outside.size:
        raise ParameterError(
            f"y_score must hold probabilities, 0 to 1, got {outside.size} outside, such as {outside[0]:g}; "
            "pass predict_proba(X)[:, 1], not logits, per cents or decision_function"
        )
    return scores


def _check_class_order(estimator: Any, pos_label: object) -> None:
    classes = getattr(estimator, "classes_", None)
    melanoma = 1 if pos_label is None else pos_label
    if classes is not None and classes[0] == melanoma:
        raise ParameterError(
            f"Melanoma ({melanoma!r}) must be the estimator's second class, got classes_ {list(classes)}; "
            "pass predict_proba(X)[:, 0] to from_scores instead"
        )


def _provenance(
    name: str,
    counts: ConfusionCounts,
    n_skipped: int,
    bootstrap: tuple[int, int],
    model: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": library_versions(),
        "test_data": {
            "name": name or "unnamed",
            "images": counts.n,
            "melanoma": counts.n_melanoma,
            "benign": counts.n_benign,
            "skipped": n_skipped,
        },
        "intervals": dict(zip(("n_resamples", "random_state"), bootstrap, strict=True)),
        "model": dict(model or {}),
    }


def _plain(value: Any) -> Any:
    """Turn a value into what strict JSON can hold; NaN and infinities become None."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        entries = ((key, _inline(entry), isinstance(entry, Mapping)) for key, entry in value.items())
        return ", ".join(f"{key}=({text})" if nested else f"{key}={text}" for key, text, nested in entries)
    if isinstance(value, list | tuple):
        return f"[{', '.join(f'({_inline(one)})' if isinstance(one, Mapping) else _inline(one) for one in value)}]"
    return "none" if value is None else " ".join(str(value).split())


def _wrap(line: str) -> str:
    return textwrap.fill(line, width=100, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
