"""`MetricsReport`: what a classifier is worth on a test set, and what that rests on."""

import json
import os
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.calibration import CALIBRATION_LABELS, calibration_metrics, reliability_curve
from melanoma_tl.claims import ClaimsCheck, check_claims
from melanoma_tl.comparisons import Comparison, compare
from melanoma_tl.decisions import cumulative_gain, decision_curve, predictive_values, score_histogram
from melanoma_tl.errors import LeakageWarning, ParameterError, UnknownNameError
from melanoma_tl.files import replacing
from melanoma_tl.images import SkippedRow
from melanoma_tl.inputs import check_labels, check_lengths, check_scores
from melanoma_tl.metrics import (
    COLLAPSED,
    FEW,
    LABELS,
    ConfusionCounts,
    Metric,
    confusion_counts,
    describe,
    matrix_metrics,
    score_metrics,
)
from melanoma_tl.resampling import number_groups
from melanoma_tl.subgroups import Subgroups, measure_subgroups
from melanoma_tl.tables import markdown_table, text_table
from melanoma_tl.thresholds import SpecificityAtSensitivity, specificity_at_sensitivity
from melanoma_tl.versions import library_versions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

NOTICE = "Research use only; not a medical device."

_NO_SCORE = "the classifier gave no score: the image could not be read"
_MAX_SKIPPED_SHOWN = 10
# From a general practice to a test set in which every other image is a melanoma.
_PREVALENCES = np.geomspace(0.001, 0.5, 200)


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
    groups : tuple, or None
        What each belongs to, such as its patient; the intervals then are those of the cluster bootstrap.

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
    groups: tuple[Any, ...] | None = None

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
        groups : sequence of shape (n,), optional
            What each belongs to, such as its patient: images of one group are then resampled
            together. A missing entry is a group of its own.
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
        truth, scores = check_labels(y_true, pos_label), check_scores(y_score)
        ids = [str(row) for row in range(len(scores))] if image_ids is None else [str(image) for image in image_ids]
        files = None if paths is None else [str(path) for path in paths]
        check_lengths(len(scores), y_true=truth, image_ids=ids, paths=files, groups=groups)
        scored = np.flatnonzero(~np.isnan(scores))
        unscored = [
            SkippedRow(ids[row], files[row] if files else "", _NO_SCORE) for row in np.flatnonzero(np.isnan(scores))
        ]
        truth, scores = truth[scored], scores[scored]
        belongs = None if groups is None else tuple(list(groups)[row] for row in scored)
        figures = score_metrics(
            truth,
            scores,
            threshold=threshold,
            confidence=confidence,
            n_resamples=n_resamples,
            random_state=random_state,
            groups=belongs,
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
            groups=belongs,
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
            `skipped` and `name` are used where it has them, and `patient_id` of its
            `metadata` as groups, where a patient has several images.
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
            groups=_patients(X),
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
        first = next(iter(self.metrics))
        figure = f"{LABELS[first]} {describe(self.metrics[first], self.confidence)}"
        return f"MetricsReport({self.name!r}, {self.counts.n} images, {figure})"

    def __str__(self) -> str:
        blocks = [
            "\n".join([self._title(), *self._facts()]),
            text_table(*self._figures_table(LABELS, self.metrics)),
            text_table(*self._confusion_table()),
            *(text_table(*table) for table in self._score_tables()),
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
            The figures, the confusion matrix, specificity at given sensitivities, the
            calibration, the skipped images and the provenance.
        """
        blocks = [
            f"# {self._title()}",
            "\n".join(f"- {fact}" for fact in self._facts()),
            markdown_table(*self._figures_table(LABELS, self.metrics)),
            markdown_table(*self._confusion_table()),
            *(markdown_table(*table) for table in self._score_tables()),
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
            "confusion_matrix", "specificity_at_sensitivity" and "calibration" (where there
            are scores), "threshold", "confidence", "name", "skipped", "history",
            "provenance" and "notice". Undefined figures are None.
        """
        return _plain(
            {
                **{name: metric.to_dict() for name, metric in self.metrics.items()},
                "confusion_matrix": self.counts._asdict(),
                **self._score_figures(),
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

    # -- asking further --------------------------------------------------------------------------------------------

    @cached_property
    def specificity_at_sensitivity(self) -> tuple[SpecificityAtSensitivity, ...]:
        """Specificity at 80, 82, 89, 90 and 95 % sensitivity, the ISIC challenge's way and interpolated.

        As `melanoma_tl.thresholds.specificity_at_sensitivity`; a ParameterError if the report has no scores.
        """
        y_true, y_score, _ = self._scored("Specificity at a given sensitivity")
        return specificity_at_sensitivity(y_true, y_score, **self._bootstrap)

    @cached_property
    def calibration(self) -> Mapping[str, Metric]:
        """Brier score, log loss, calibration errors, intercept and slope, each with interval and n.

        As `melanoma_tl.calibration.calibration_metrics`; a ParameterError if the report has no scores.
        """
        y_true, y_score, _ = self._scored("Calibration")
        return calibration_metrics(y_true, y_score, **self._bootstrap)

    def compare(self, other: "MetricsReport", *, names: tuple[str, str] = ("this", "other")) -> Comparison:
        """Compare with another classifier on the same images.

        Parameters
        ----------
        other : MetricsReport
            On the scores of the other classifier. Images are matched by their ids; those that
            only one of the reports has are left out, and counted.
        names : tuple of str, default=("this", "other")
            What to call the two.

        Returns
        -------
        Comparison
            Differences of all figures, this minus other, with intervals and tests. Each
            classifier keeps its own threshold.

        Raises
        ------
        ParameterError
            If a report has no scores, ids are repeated, none are shared, or the two
            disagree about a label.
        DatasetError
            If fewer than two images of a class are shared.

        Examples
        --------
        >>> y_true = [0, 0, 0, 1, 1, 1]
        >>> new = MetricsReport.from_scores(y_true, [0.1, 0.2, 0.6, 0.4, 0.7, 0.9])
        >>> old = MetricsReport.from_scores(y_true, [0.3, 0.6, 0.7, 0.4, 0.6, 0.9])
        >>> new.compare(old, names=("new", "old")).disagreements["specificity"].only_first
        1
        """
        here, there = self._scored("A comparison"), other._scored("A comparison")
        row_of = {image_id: row for row, image_id in enumerate(other.image_ids)}
        mine, theirs = (
            np.array(rows, dtype=np.intp)
            for rows in (
                [row for row, image_id in enumerate(self.image_ids) if image_id in row_of],
                [row_of[image_id] for image_id in self.image_ids if image_id in row_of],
            )
        )
        if len(row_of) < len(other.image_ids) or len(set(self.image_ids)) < len(self.image_ids):
            raise ParameterError("Images are matched by their ids, and some ids are repeated; make them unique")
        if not len(mine):
            raise ParameterError("The two reports share no image id; give both the same image_ids")
        disputed = np.flatnonzero(here.y_true[mine] != there.y_true[theirs])
        if len(disputed):
            raise ParameterError(
                f"The two reports disagree about the label of {len(disputed)} images, such as "
                f"{self.image_ids[mine[disputed[0]]]!r}; they are not about the same images"
            )
        bootstrap = self._bootstrap
        if self.groups is not None:
            bootstrap["groups"] = [self.groups[row] for row in mine]
        return compare(
            here.y_true[mine],
            here.y_score[mine],
            there.y_score[theirs],
            thresholds=(here.threshold, there.threshold),
            names=names,
            left_out=len(self.image_ids) + len(other.image_ids) - 2 * len(mine),
            **bootstrap,
        )

    def subgroups(
        self,
        table: Any,
        columns: Sequence[str] | None = None,
        *,
        bands: Mapping[str, Sequence[float]] | None = None,
    ) -> Subgroups:
        """Measure the figures of groups of images: by age, sex, site, skin type, camera or image size.

        Parameters
        ----------
        table : pandas.DataFrame, mapping of str to sequence, or ISBIDataset
            What is known of the images. With a column ``image_id`` rows are matched by it, and
            images that it does not have are in the group "not given"; without, there must
            be one row for each image of the report, in its order.
        columns : sequence of str, optional
            The columns to group by; by default all but ``image_id``, ``path`` and ``label``.
        bands : mapping of str to sequence of float, optional
            Where to cut columns of numbers, such as ``{"age": (30, 50, 70)}``.

        Returns
        -------
        Subgroups
            A group a value, each with n, melanomas and figures with intervals; small groups
            are marked.

        Raises
        ------
        ParameterError
            If the report has no scores, rows cannot be matched, or as `melanoma_tl.subgroups.measure_subgroups`.
        UnknownNameError
            If the table has not one of the columns.

        Examples
        --------
        >>> report = MetricsReport.from_scores([0, 1, 0, 1], [0.1, 0.9, 0.7, 0.8], image_ids=["a", "b", "c", "d"])
        >>> found = report.subgroups({"image_id": ["b", "a", "d"], "sex": ["female", "male", "female"]})
        >>> [(row.value, row.n) for row in found]
        [('female', 2), ('male', 1), ('not given', 1)]
        """
        y_true, y_score, threshold = self._scored("A table of subgroups")
        facts = self._match(table.to_frame() if hasattr(table, "image_ids") else pd.DataFrame(table))
        chosen = [name for name in facts if name not in ("image_id", "path", "label")] if columns is None else columns
        for name in chosen:
            if name not in facts:
                raise UnknownNameError("column", name, map(str, facts.columns))
        return measure_subgroups(
            y_true, y_score, facts[list(chosen)], bands=bands, threshold=threshold, **self._bootstrap
        )

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

    def plot_calibration(self, strategy: str = "quantile", ax: "Axes | None" = None) -> "CalibrationDisplay":
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
        from melanoma_tl.plots import draw_reliability

        y_true, y_score, _ = self._scored("A reliability diagram")
        curve = reliability_curve(y_true, y_score, strategy=strategy, confidence=self.confidence)
        return draw_reliability(curve, y_score, self.calibration, confidence=self.confidence, ax=ax)

    def plot_decision_curve(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the net benefit of acting on the scores, beside cutting out all lesions and none.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        Axes
            Its ``figure`` shows and saves.

        Raises
        ------
        ParameterError
            If the report has no scores.
        """
        from melanoma_tl.plots import draw_decision_curve

        y_true, y_score, _ = self._scored("A decision curve")
        curve = decision_curve(y_true, y_score, **self._bootstrap)
        return draw_decision_curve(curve, prevalence=self._prevalence, confidence=self.confidence, ax=ax)

    def plot_gain(self, ax: "Axes | None" = None) -> "Axes":
        """Draw how many melanomas are found when images are looked at in the order of their scores.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        Axes
            Its ``figure`` shows and saves.

        Raises
        ------
        ParameterError
            If the report has no scores.
        """
        from melanoma_tl.plots import draw_gain

        y_true, y_score, _ = self._scored("A gain curve")
        curve = cumulative_gain(y_true, y_score, **self._bootstrap)
        return draw_gain(curve, prevalence=self._prevalence, confidence=self.confidence, ax=ax)

    def plot_scores(self, ax: "Axes | None" = None) -> "Axes":
        """Draw how the scores of each class are distributed.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        Axes
            Its ``figure`` shows and saves.

        Raises
        ------
        ParameterError
            If the report has no scores.
        """
        from melanoma_tl.plots import draw_scores

        y_true, y_score, threshold = self._scored("A histogram of scores")
        return draw_scores(score_histogram(y_true, y_score), threshold=threshold, ax=ax)

    def plot_predictive_values(self, ax: "Axes | None" = None) -> "Axes":
        """Draw PPV and NPV at prevalences from 0.1 to 50 %.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        Axes
            Its ``figure`` shows and saves.
        """
        from melanoma_tl.plots import draw_predictive_values

        values = predictive_values(self.counts, _PREVALENCES, self.confidence)
        return draw_predictive_values(values, prevalence=self._prevalence, confidence=self.confidence, ax=ax)

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
        prevalence = f"{100 * self._prevalence:.1f} %"
        seen = self.provenance.get("seen_by_the_model")
        tied = "precision, NPV, accuracy, F1, IoU and average precision"
        facts = [
            f"{counts.n} images: {classes}; {len(self.skipped)} skipped{rule}",
            f"Melanoma prevalence {prevalence}: {tied} hold at this prevalence only",
        ]
        if seen and seen["images"]:
            by = ", ".join(f"{count} by {kind}" for kind, count in seen["by"].items() if count)
            facts.append(f"LEAKAGE: the model was fitted with a counterpart of {seen['images']} images ({by})")
        if self.groups is not None:
            n_groups = len(set(number_groups(self.groups, counts.n)))
            facts.append(f"The images are of {n_groups} patients or lesions, which the intervals take as drawn whole")
        few = [f"{n} {name}" for n, name in ((counts.n_melanoma, "melanoma"), (counts.n_benign, "benign")) if n < FEW]
        if few:
            facts.append(
                f"Too few to judge by: only {' and '.join(few)}; each single image moves a figure by over a tenth"
            )
        collapsed = [LABELS[name] for name, metric in self.metrics.items() if metric.low == metric.high]
        if collapsed:
            facts.append(f"{COLLAPSED} ({', '.join(collapsed)})")
        return facts

    @property
    def _prevalence(self) -> float:
        return self.counts.n_melanoma / self.counts.n

    @property
    def _bootstrap(self) -> dict[str, Any]:
        return {"confidence": self.confidence, **self.provenance["intervals"], "groups": self.groups}

    def _figures_table(
        self, labels: Mapping[str, str], figures: Mapping[str, Metric]
    ) -> tuple[list[str], list[list[str]]]:
        header = ["figure", "value", f"{100 * self.confidence:g} % interval", "n", "interval by"]
        rows = [[labels[name], *_cells(metric), str(metric.n), metric.method] for name, metric in figures.items()]
        return header, rows

    def _score_tables(self) -> Iterator[tuple[list[str], list[list[str]]]]:
        """Tables of what only scores can tell."""
        if self.y_score is None:
            return
        interval = f"{100 * self.confidence:g} % interval"
        rows = [
            [f"at sensitivity {at.sensitivity:.2f}", *_cells(at.challenge), *_cells(at.interpolated)]
            for at in self.specificity_at_sensitivity
        ]
        yield ["specificity", "challenge's way", interval, "interpolated", interval], rows
        yield self._figures_table(CALIBRATION_LABELS, self.calibration)

    def _score_figures(self) -> dict[str, Any]:
        """For `to_dict`: what only scores can tell."""
        if self.y_score is None:
            return {}
        at_sensitivity = [
            {
                "sensitivity": at.sensitivity,
                "challenge": at.challenge.to_dict(),
                "interpolated": at.interpolated.to_dict(),
            }
            for at in self.specificity_at_sensitivity
        ]
        calibration = {name: metric.to_dict() for name, metric in self.calibration.items()}
        return {"specificity_at_sensitivity": at_sensitivity, "calibration": calibration}

    def _match(self, table: pd.DataFrame) -> pd.DataFrame:
        """Bring the rows of a table into the order of the report's images."""
        if "image_id" not in table:
            if len(table) != len(self.image_ids):
                raise ParameterError(
                    f"The table has {len(table)} rows and the report {len(self.image_ids)} images; "
                    "give it a column image_id to match them by"
                )
            return table
        by_id = table.set_index(table["image_id"].astype(str))
        if not by_id.index.is_unique:
            twice = by_id.index[by_id.index.duplicated()][0]
            raise ParameterError(f"The table has several rows for the image {twice!r}; keep one")
        return by_id.reindex(list(self.image_ids))

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
            yield "calibration", self.plot_calibration().figure_
            for name, plot in (
                ("decision_curve", self.plot_decision_curve),
                ("gain", self.plot_gain),
                ("scores", self.plot_scores),
            ):
                yield name, cast("Figure", plot().figure)
        yield "confusion_matrix", self.plot_confusion_matrix().figure_
        yield "metrics", cast("Figure", self.plot_metrics().figure)
        yield "predictive_values", cast("Figure", self.plot_predictive_values().figure)
        if self.history and len(self.history.get("loss", ())):
            yield "history", self.plot_history()[0].figure
        if self.y_score is not None and self.paths is not None:
            yield "examples", self.plot_examples()


class _Scored(NamedTuple):
    y_true: NDArray[np.int64]
    y_score: NDArray[np.float64]
    threshold: float


def _cells(metric: Metric) -> tuple[str, str]:
    """Write a figure and its interval for a table."""
    if np.isnan(metric.value):
        return "undefined", "-"
    return f"{metric.value:.3f}", f"{metric.low:.3f} to {metric.high:.3f}"


def _patients(X: Any) -> list[Any] | None:
    """Take the patient of each image, where the table knows patients and one of them has several images."""
    known = getattr(X, "metadata", None)
    if known is None or "patient_id" not in known:
        return None
    patients = known["patient_id"]
    known_ones = patients.dropna()
    several = known_ones.duplicated().any() and len(set(known_ones)) + patients.isna().sum() > 1
    return patients.tolist() if several else None


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
