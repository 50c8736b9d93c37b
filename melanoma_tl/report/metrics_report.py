"""`MetricsReport`: what a classifier is worth on a test set, and what that rests on."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.calibration import calibration_metrics
from melanoma_tl.claims import ClaimsCheck, check_claims
from melanoma_tl.comparisons import Comparison, compare
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.images import SkippedRow
from melanoma_tl.inputs import (
    check_lengths,
    check_scores,
    score_with_truth,
    threshold_of,
)
from melanoma_tl.labels import as_binary
from melanoma_tl.metrics import (
    LABELS,
    ConfusionCounts,
    Metric,
    confusion_counts,
    describe,
    matrix_metrics,
    score_metrics,
)
from melanoma_tl.parameters import (
    BOOTSTRAP,
    COLUMN,
    HISTORY,
    NAMES,
    NONE,
    PATH,
    PROBABILITY,
    TABLE,
    TEXT,
    checked,
    group,
    holding,
    several,
    whole,
)
from melanoma_tl.report.figures import ReportFigures, Scored
from melanoma_tl.report.page import write_page
from melanoma_tl.report.writing import (
    save_submission,
    save_text,
    write_dict,
    write_fragment,
    write_json,
    write_markdown,
    write_text,
)
from melanoma_tl.subgroups import BANDS, Subgroups, as_table, measure_subgroups
from melanoma_tl.thresholds import SpecificityAtSensitivity, specificity_at_sensitivity
from melanoma_tl.versions import library_versions

_NO_SCORE = "the classifier gave no score: the image could not be read"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MetricsReport(ReportFigures):
    """Test figures of a classifier, each with an interval and its n, and what produced them.

    Made by `from_estimator`, `from_scores` or `from_confusion`, not by calling the class.

    Attributes
    ----------
    metrics : mapping of str to Metric
        auc, partial_auc, average_precision, accuracy, balanced_accuracy, sensitivity, specificity,
        precision, npv, f1, iou_melanoma, iou_benign, mcc, kappa, lr_positive and lr_negative, each with value,
        low, high, n and method; the first three are absent from a report on a confusion matrix alone.
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
        classifier says of itself, under "tta" how many views of each image it scored, under
        "calibration" and "operating_point" what was tuned on validation images, and under
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
    findings : tuple of (str, object)
        What `attach` added, each with its title.

    Notes
    -----
    Precision, NPV, accuracy, F1, IoU, average precision, MCC and kappa depend on how
    frequent melanoma is in the test set; they do not carry over to a clinic, where it is
    rarer. Sensitivity, specificity, balanced accuracy, likelihood ratios and AUC do not.

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
    findings: tuple[tuple[str, Any], ...] = ()

    # -- making ----------------------------------------------------------------------------------------------------

    @classmethod
    @checked(
        threshold=PROBABILITY,
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
            0 or False benign, 1 or True melanoma, or words that say so; others need `pos_label`.
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
            If no image has a score, only one class has, a label is missing, or nothing says which is melanoma.
        ParameterError
            If lengths differ, scores are no probabilities, or `pos_label` is none of the labels.
        """
        truth, scores = as_binary(y_true, pos_label=pos_label), check_scores(y_score)
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
    @checked(threshold=PROBABILITY | NONE, name=TEXT | NONE, **BOOTSTRAP)
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
            Anything with ``predict_proba(X)`` of shape (n, 2), in the order of its `classes_`; its `pos_label_`
            says which of them is melanoma, else their words do. Its `threshold_` or `threshold`,
            `calibration_`, `operating_point_`, `history_` and `provenance_` are used where it has them.
        X : ISBIDataset or whatever the estimator takes
            Images that the estimator has not seen; `labels`, `image_ids`, `paths`,
            `skipped` and `name` are used where it has them, and `patient_id` of its
            `metadata` as groups, where a patient has several images.
        y : array-like of shape (n,), optional
            In the estimator's words, or as 0 and 1; ``X.labels`` by default.
        pos_label : object, optional
            The label that means melanoma, in `classes_` or else in `y`, where neither the estimator nor the words
            say so.
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
            shape (n, 2), or if nothing says which of the estimator's classes is melanoma.
        UnknownNameError
            If a label is none of the estimator's.

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegression
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
        >>> MetricsReport.from_estimator(LogisticRegression().fit(X, y), X, y).counts
        ConfusionCounts(tn=2, fp=0, fn=0, tp=2)
        """
        truth, scores = score_with_truth(estimator, X, y, pos_label)
        overlap = estimator.seen_images(X) if hasattr(estimator, "seen_images") else None
        if overlap is not None:
            overlap.warn_if_any("Its figures say little about new images", stacklevel=3)
        report = cls.from_scores(
            truth,
            scores,
            threshold=threshold_of(estimator) if threshold is None else threshold,
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
        known = {
            "test_data": {**report.provenance["test_data"], **_choice_of(X)},
            **_tuning_of(estimator, report.threshold),
            "seen_by_the_model": None if overlap is None else {"images": len(overlap), "by": overlap.counts},
        }
        return replace(report, provenance={**report.provenance, **known})

    @classmethod
    @checked(
        **dict.fromkeys(("tn", "fp", "fn", "tp"), whole(at_least=0)),
        threshold=PROBABILITY | NONE,
        name=TEXT,
        provenance=TABLE | NONE,
        **BOOTSTRAP,
    )
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
        return write_text(self)

    def to_markdown(self) -> str:
        """Write the report as Markdown.

        Returns
        -------
        str
            The figures, the confusion matrix, specificity at given sensitivities, the
            calibration, the skipped images, what was attached, and the provenance.
        """
        return write_markdown(self)

    def to_dict(self) -> dict[str, Any]:
        """Write the report as plain Python objects.

        Returns
        -------
        dict
            Each name in `metrics` with a dict of value, low, high and n; further
            "schema_version", "confusion_matrix", "specificity_at_sensitivity" and "calibration"
            (where there are scores), "threshold", "confidence", "name", "skipped", "findings",
            "history", "provenance" and "notice". Undefined figures are None.
        """
        return write_dict(self)

    def to_json(self) -> str:
        """Write the report as strict JSON: an undefined figure is null, never NaN.

        Returns
        -------
        str
            What `to_dict` returns.
        """
        return write_json(self.to_dict())

    @checked(path=PATH, card=TABLE | NONE)
    def save(self, path: str | os.PathLike[str], *, card: Mapping[str, str] | None = None) -> Path:
        """Write the report into a file, whole or not at all.

        Parameters
        ----------
        path : path-like
            Its suffix says how: ``.html`` a page of one file, with figures, model card and all that was
            attached; ``.md`` Markdown, ``.json`` JSON, ``.txt`` plain text.
        card : mapping of str to str, optional
            For the page: what the model card says under the headings that the library cannot know,
            such as ``{"intended_use": "..."}``; the keys are those of `melanoma_tl.report.CARD`.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ParameterError
            If the suffix is another one, or a card is given for what is no page.
        UnknownNameError
            If the card has no such heading.
        """
        path = Path(path)
        if card is not None and path.suffix.lower() != ".html":
            raise ParameterError(f"Only a page has a model card: save as .html, got {str(path)!r}")
        return save_text(
            path,
            {
                ".html": lambda: write_page(self, card or {}),
                ".md": self.to_markdown,
                ".json": self.to_json,
                ".txt": lambda: f"{self}\n",
            },
        )

    @checked(path=PATH, category=TEXT)
    def to_submission(self, path: str | os.PathLike[str], *, category: str = "melanoma") -> Path:
        """Write the scores as the challenges take them: a line an image, with its id and its score.

        Parameters
        ----------
        path : path-like
            Must end in ``.csv``.
        category : str, default="melanoma"
            Title of the column of scores; "MEL" in the challenges from 2018 on.

        Returns
        -------
        Path
            The file: ``image`` and the scores, as text from which float64 is read back exactly.

        Raises
        ------
        ParameterError
            If the report has no scores, images are missing, which the scorer of the challenges
            refuses, ids are repeated, or the path does not end in ``.csv``.
        """
        _, y_score, _ = self._scored("A submission")
        if self.skipped:
            raise ParameterError(
                f"{len(self.skipped)} images have no score, such as {self.skipped[0].image_id!r} "
                f"({self.skipped[0].reason}): the scorer of the challenges takes complete files only"
            )
        return save_submission(Path(path), self.image_ids, {category: y_score})

    @checked(title=TEXT)
    def attach(self, title: str, content: Any) -> Self:
        """Return a report that also holds something else that was found out about the images or the model.

        Parameters
        ----------
        title : str
            What it is, such as "Subgroups", "Overlap with the training images" or "Explanations".
        content : object
            Anything with a text (``str``): `subgroups`, a `compare`, an `Overlap`, a `SelectionBias`,
            explanations. The page also takes its ``_repr_html_`` and its ``plot()``, the JSON report
            its ``to_dict()``; a matplotlib figure, or a display, is drawn on the page.

        Returns
        -------
        MetricsReport
            A copy; this one stays as it is.

        Raises
        ------
        ParameterError
            If something with this title is attached already.

        Examples
        --------
        >>> report = MetricsReport.from_scores([0, 1, 0, 1], [0.1, 0.9, 0.7, 0.8])
        >>> groups = report.subgroups({"sex": ["female", "male", "male", "female"]})
        >>> report.attach("Subgroups", groups).findings[0][0]
        'Subgroups'
        """
        if title in dict(self.findings):
            raise ParameterError(f"something called {title!r} is attached already; choose another title")
        return replace(self, findings=(*self.findings, (title, content)))

    def _repr_html_(self) -> str:
        return write_fragment(self)

    # -- asking further --------------------------------------------------------------------------------------------

    @property
    def prevalence(self) -> float:
        """Share of melanomas among the images, 0 to 1."""
        return self.counts.n_melanoma / self.counts.n

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

    @checked(other=holding("y_score", "a MetricsReport"), names=NAMES)
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

    @checked(columns=several(TEXT, at_least=1) | NONE, bands=BANDS | NONE)
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
        facts = self._match(as_table(table.to_frame() if hasattr(table, "image_ids") else table))
        chosen = [name for name in facts if name not in ("image_id", "path", "label")] if columns is None else columns
        for name in chosen:
            if name not in facts:
                raise UnknownNameError("column", name, map(str, facts.columns))
        return measure_subgroups(
            y_true, y_score, facts[list(chosen)], bands=bands, threshold=threshold, **self._bootstrap
        )

    @checked(claims=TABLE)
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

    # -- inside ----------------------------------------------------------------------------------------------------

    @property
    def _bootstrap(self) -> dict[str, Any]:
        return {"confidence": self.confidence, **self.provenance["intervals"], "groups": self.groups}

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

    def _scored(self, what: str) -> Scored:
        if self.y_true is None or self.y_score is None or self.threshold is None:
            raise ParameterError(
                f"{what} needs scores, and this report was made from a confusion matrix; use from_scores"
            )
        return Scored(self.y_true, self.y_score, self.threshold)


def _choice_of(X: Any) -> dict[str, Any]:
    """Tell how the images of a dataset were chosen, where it remembers."""
    history = getattr(X, "history", None)
    if history is None:
        return {}
    chosen = [step.what for step in history if step.sets_prevalence]
    return {"history": [str(step) for step in history], "prevalence_set_by": chosen[-1] if chosen else None}


def _tuning_of(estimator: Any, threshold: float | None) -> dict[str, Any]:
    """Tell how a classifier turns views into a score, and a score into a class."""
    tuning: dict[str, Any] = {"tta": estimator.tta} if hasattr(estimator, "tta") else {}
    if hasattr(estimator, "calibration_"):
        tuning["calibration"] = asdict(estimator.calibration_)
    if hasattr(estimator, "operating_point_") and estimator.operating_point_.threshold == threshold:
        tuning["operating_point"] = estimator.operating_point_.to_dict()
    elif getattr(estimator, "threshold", None) == threshold:
        tuning["threshold_from"] = "the classifier's parameter, which was not tuned"
    return tuning


def _patients(X: Any) -> list[Any] | None:
    """Take the patient of each image, where the table knows patients and one of them has several images."""
    known = getattr(X, "metadata", None)
    if known is None or "patient_id" not in known:
        return None
    patients = known["patient_id"]
    known_ones = patients.dropna()
    several = known_ones.duplicated().any() and len(set(known_ones)) + patients.isna().sum() > 1
    return patients.tolist() if several else None


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
