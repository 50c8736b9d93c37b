"""`MetricsReport`: test metrics of a classifier with confidence intervals and provenance."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from melanoma_tl._parameters import (
    BOOTSTRAP,
    CLASSIFIER,
    COLUMN,
    HISTORY,
    INSIDE,
    NAMES,
    NONE,
    PATH,
    PROBABILITY,
    TABLE,
    TEXT,
    checked,
    checked_call,
    group,
    having,
    several,
    whole,
)
from melanoma_tl.errors import ParameterError
from melanoma_tl.labels.class_names import CLASS_NAMES
from melanoma_tl.labels.classes import as_binary
from melanoma_tl.metrics.binary import matrix_metrics, score_metrics
from melanoma_tl.metrics.claims import ClaimsCheck, check_claims
from melanoma_tl.metrics.clinical_utility import NAMED_THRESHOLDS, NetBenefits, net_benefit
from melanoma_tl.metrics.comparisons import MARGINS, Comparison, compare
from melanoma_tl.metrics.confusion import ConfusionCounts, confusion_counts
from melanoma_tl.metrics.estimators import score_with_truth, threshold_of
from melanoma_tl.metrics.metric import LABELS, Metric, NamedMetrics, describe
from melanoma_tl.metrics.multiclass_comparisons import compare_predicted
from melanoma_tl.metrics.subgroups import BANDS, BY, VALUES, By, Subgroups, as_table, group_table, measure_subgroups
from melanoma_tl.metrics.validation import check_lengths, check_predictions, check_scores, list_codes
from melanoma_tl.report.class_names import check_class_names
from melanoma_tl.report.content import Table
from melanoma_tl.report.documents import figures_of_scores, save_submission
from melanoma_tl.report.frames import frame_report
from melanoma_tl.report.matching import counts_rows, match_images, match_table, warn_of_other_rules
from melanoma_tl.report.plots import ReportPlots
from melanoma_tl.report.provenance import describe_report, find_seen, known_of, scoring, tell_origin
from melanoma_tl.report.rows import take_scored
from melanoma_tl.report.text import TIED_TO_PREVALENCE, list_tables

_HEADLINES = ("auc", "average_precision", "sensitivity", "specificity")


@checked_call("Make one with MetricsReport.from_estimator or from_scores.")
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MetricsReport(ReportPlots):
    """Test metrics of a classifier, each with a confidence interval and its n, and their provenance.

    Make a report with `from_estimator`, `from_scores` or `from_confusion`.

    Attributes
    ----------
    metrics : mapping of str to Metric
        auc, partial_auc, average_precision, accuracy, balanced_accuracy, sensitivity, specificity,
        precision, npv, f1, iou_melanoma, iou_benign, mcc, kappa, lr_positive and lr_negative, each with value,
        low, high, n, method and few; the first three are absent from a report on a confusion matrix alone.
    counts : ConfusionCounts
        ``(tn, fp, fn, tp)`` at the threshold.
    threshold : float or None
        An image is predicted melanoma if its score is strictly greater; None if unknown, or if `y_pred` was given.
    confidence : float
        Coverage of the intervals, such as 0.95.
    name : str
        Name of the test data.
    skipped : tuple of SkippedRow
        Images that are excluded from all metrics, each with id, path and reason.
    provenance : mapping
        "created", "versions", "test_data" and "intervals" describe this report; "model" is the `provenance_`
        of the classifier, "tta" its number of views per image, "calibration" and "operating_point" the results of
        tuning on validation images (None of a classifier that was not calibrated), and "seen_by_the_model" the number
        of test images that it was fitted or tuned with (None if the classifier does not record this).
    history : mapping of str to list of float, or None
        Loss and accuracy of each training epoch.
    y_true, y_score : ndarray of shape (n,), or None
        The labels (0 benign, 1 melanoma) and scores from which the metrics are computed.
    y_pred : ndarray of bool of shape (n,), or None
        Which images are predicted melanoma, where that is not by a threshold, as in a report of `MulticlassReport` on
        one diagnosis against the others: there the diagnosis with the highest score is predicted.
    image_ids : tuple of str
        Their ids; row numbers if none were given.
    paths : tuple of str, or None
        Their files.
    groups : tuple of (str or None), or None
        Group of each image, such as its patient, None where it is missing; the intervals are then those of the
        cluster bootstrap.
    findings : tuple of (str, object)
        Title and content of each finding added with `attach`.
    class_names : tuple of str
        Names of class 0 and class 1: "benign" and "melanoma", or other names in a report of `MulticlassReport`
        on one diagnosis against the others.

    Notes
    -----
    Precision, NPV, accuracy, F1, IoU, average precision, MCC, kappa, Brier score and log loss depend on the
    prevalence of melanoma in the test set, and therefore change in a clinic, where melanoma is
    rarer. Sensitivity, specificity, balanced accuracy, likelihood ratios and AUC do not depend on it.

    The intervals express sampling error only. They do not cover the errors caused by other
    cameras, other skin types, or images that were seen in training.

    Examples
    --------
    >>> report = MetricsReport.from_scores([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], name="four images")
    >>> report
    MetricsReport('four images', 4 images, AUC 0.750 (95 % CI 0.099-0.988, n = 4, few))
    >>> report.to_dict()["sensitivity"]["value"]
    0.5
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", NamedMetrics(self.metrics))

    # -- making ----------------------------------------------------------------------------------------------------

    @classmethod
    @checked(
        threshold=PROBABILITY,
        y_pred=COLUMN | NONE,
        name=TEXT,
        image_ids=COLUMN | NONE,
        paths=COLUMN | NONE,
        groups=COLUMN | NONE,
        history=HISTORY | NONE,
        provenance=TABLE | NONE,
        skipped=several(group(TEXT | PATH, 3, "(image_id, path, reason)")),
        class_names=NAMES,
        **BOOTSTRAP,
    )
    def from_scores(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike,
        *,
        pos_label: object = None,
        threshold: float = 0.5,
        y_pred: ArrayLike | None = None,
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
        class_names: tuple[str, str] = CLASS_NAMES,
    ) -> Self:
        """Report on the scores of any model.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            0 or False for benign and 1 or True for melanoma, or class names with this meaning; for other labels
            set `pos_label`.
        y_score : array-like of shape (n,)
            Probabilities of melanoma, 0 to 1. NaN marks an image without a score: it
            is excluded from the metrics and listed in `skipped`.
        pos_label : object, optional
            The label in `y_true` that means melanoma; every other label is then benign.
        threshold : float, default=0.5
            An image is predicted melanoma if its score, as float64, is strictly greater.
            Choose it on validation data, never on the test data.
        y_pred : array-like of shape (n,), optional
            Which images are predicted melanoma, where this does not depend on a threshold: 1 or True, or the labels of
            `y_true`, of which `pos_label` is melanoma. `threshold` is then not used.
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
            Group of each image, such as its patient; images of a group are resampled
            together. An image with a missing entry is a group of its own; words that count as missing, such as "ND",
            are warned of.
        history : mapping of str to sequence of float, optional
            Training loss and accuracy by epoch, for `plot_history`.
        provenance : mapping, optional
            Recipe, seed and data that produced the model. Versions and dates are added.
        skipped : sequence of (image_id, path, reason), optional
            Images that were left out before scoring.
        name : str, optional
            Name of the test data.
        class_names : tuple of str, default=("benign", "melanoma")
            Names of class 0 and class 1 in the report, if they are not benign and melanoma. Class 1 is `pos_label`.

        Returns
        -------
        MetricsReport
            The report.

        Raises
        ------
        DatasetError
            If no image has a score, all images with scores are of one class, a label is missing, or it is unknown
            which label is melanoma.
        ParameterError
            If lengths differ, scores are not between 0 and 1, `pos_label` is none of the labels, or `class_names`
            are in the wrong order.
        """
        truth, scores = as_binary(y_true, pos_label=pos_label), check_scores(y_score)
        check_lengths(len(scores), y_true=truth)
        rows = take_scored(np.isnan(scores), image_ids=image_ids, paths=paths, groups=groups, skipped=skipped)
        check_class_names(class_names, list_codes(y_true, truth))
        called = check_predictions(y_pred, y_true, truth)
        if called is not None and threshold != 0.5:
            raise ParameterError("pass y_pred or threshold: where images are predicted already, no threshold is used")
        truth, scores = truth[rows.scored], scores[rows.scored]
        called = None if called is None else called[rows.scored]
        metrics = score_metrics(
            truth,
            scores,
            threshold=threshold,
            y_pred=called,
            confidence=confidence,
            n_resamples=n_resamples,
            random_state=random_state,
            groups=rows.groups,
        )
        counts = confusion_counts(truth, *((scores, threshold) if called is None else (called, 0.5)))
        return cls(
            metrics=metrics,
            counts=counts,
            threshold=float(threshold) if called is None else None,
            confidence=confidence,
            name=name,
            skipped=rows.skipped,
            provenance=describe_report(
                name, _sizes(counts, class_names), len(rows.skipped), (n_resamples, random_state), provenance
            ),
            history=history,
            y_true=truth,
            y_score=scores,
            y_pred=called,
            image_ids=rows.image_ids,
            paths=rows.paths,
            groups=rows.groups,
            class_names=class_names,
        )

    @classmethod
    @checked(estimator=CLASSIFIER, threshold=PROBABILITY | NONE, name=TEXT | NONE, **BOOTSTRAP)
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
            Any classifier with ``predict_proba(X)`` of shape (n, 2), in the order of its `classes_`. Melanoma is
            its `pos_label_`, or else inferred from the names of the classes. Its `threshold_` or `threshold`,
            `calibration_`, `operating_point_`, `history_` and `provenance_` are used if it has them.
        X : ISBIDataset or any input of the estimator
            Images that the estimator has not seen. `labels`, `image_ids`, `paths`,
            `skipped` and `name` of `X` are used if it has them; `patient_id` of its `metadata`, or else
            `lesion_id`, is used as groups if some patient or lesion has several images.
        y : array-like of shape (n,), optional
            Labels as in the estimator's `classes_`, or 0 and 1; ``X.labels`` by default.
        pos_label : object, optional
            The label that means melanoma, in `classes_` or else in `y`; needed if neither the estimator's
            `pos_label_` nor the class names tell.
        threshold : float, optional
            By default that of the estimator, or 0.5 if it has none.
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
            If the estimator has a method `seen_images`, and was fitted or tuned with some of the images, or
            with images of the same lesions or patients; the report then states it too.

        Raises
        ------
        DatasetError, ParameterError
            As `from_scores`; also if there are no labels, if the scores are not of
            shape (n, 2), or if it is unknown which of the estimator's classes is melanoma.
        UnknownNameError
            If a label is none of the estimator's classes.

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegression
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
        >>> MetricsReport.from_estimator(LogisticRegression().fit(X, y), X, y).counts
        ConfusionCounts(tn=2, fp=0, fn=0, tp=2)
        """
        with scoring(estimator, X, name):
            truth, scores = score_with_truth(estimator, X, y, pos_label)
            seen = find_seen(estimator, X)
        report = cls.from_scores(
            truth,
            scores,
            threshold=threshold_of(estimator) if threshold is None else threshold,
            confidence=confidence,
            n_resamples=n_resamples,
            random_state=random_state,
            **known_of(estimator, X, name),
        )
        return tell_origin(report, estimator, X, seen, threshold=report.threshold)

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
            The threshold of the predictions; only stated in the report.
        confidence, n_resamples, random_state, provenance, name
            As `from_scores`.

        Returns
        -------
        MetricsReport
            A report without AUC, average precision, curves and examples, which need scores.

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
            provenance=describe_report(name, _sizes(counts, CLASS_NAMES), 0, (n_resamples, random_state), provenance),
        )

    # -- reading ---------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        first = next(iter(self.metrics))
        metric = f"{LABELS[first]} {describe(self.metrics[first], self.confidence)}"
        return f"MetricsReport({self.name!r}, {self.counts.n} images, {metric})"

    @property
    def class_sizes(self) -> Mapping[str, int]:
        """How many images are of each class, melanoma first."""
        return _sizes(self.counts, self.class_names)

    @property
    def class_calls(self) -> Mapping[str, int]:
        """How many images are predicted to be of each class, melanoma first."""
        tn, fp, fn, tp = self.counts
        return dict(zip(self.class_names[::-1], (tp + fp, tn + fn), strict=True))

    @property
    def two_class_reports(self) -> Mapping[str, "MetricsReport"]:
        """The report itself, under an empty title; a `MulticlassReport` has one report for each class."""
        return {"": self}

    @property
    def named_metrics(self) -> Mapping[str, Metric]:
        """The metrics in `metrics`, by their display names."""
        return {self._in_own_words(LABELS[name]): metric for name, metric in self.metrics.items()}

    @property
    def headlines(self) -> Mapping[str, Metric]:
        """AUC, average precision, sensitivity and specificity, by their display names."""
        return {LABELS[name]: self.metrics[name] for name in _HEADLINES if name in self.metrics}

    @property
    def key_numbers(self) -> Mapping[str, Metric]:
        """The headlines, and the predictive values at the prevalence of the test images, by their display names."""
        at = f"at {100 * self.prevalence:.1f} % {self.class_names[1]}"
        return {**self.headlines, f"PPV {at}": self.metrics["precision"], f"NPV {at}": self.metrics["npv"]}

    @property
    def outcome(self) -> str:
        """Melanomas found, false alarms, and what the AUC means, in sentences."""
        tn, fp, fn, tp = self.counts
        benign, melanoma = self.class_names
        told = (
            f"It found {tp} of {tp + fn} {melanoma} images ({100 * tp / (tp + fn):.0f} %), with {fp} false "
            f"positives among {tn + fp} {benign} images ({100 * fp / (tn + fp):.0f} %)."
        )
        if "auc" not in self.metrics:
            return told
        ranked = f"scores the {melanoma} image higher in {100 * self.metrics['auc'].value:.0f} % of pairs"
        return f"{told} Shown one image of each class, it {ranked}; guessing does so in 50 %."

    @property
    def rule(self) -> str:
        """The rule by which an image is predicted melanoma, and the origin of the threshold."""
        if self.y_pred is not None:
            by = self.provenance.get("predicted_by", "as given to the report, which does not know by what rule")
            return f"An image is predicted {self.class_names[1]} {by}."
        if self.threshold is None:
            return ""
        origin = self.provenance.get("threshold_from", "given to the report, which does not know how it was chosen")
        point = self.provenance.get("operating_point")
        if point:
            n = sum(point["confusion_matrix"].values())
            origin = f"chosen on {n} images with tune_threshold, by the rule: {point['rule']}"
        return f"An image is predicted {self.class_names[1]} when its score is above {self.threshold:.4g}, {origin}."

    def statements(self) -> list[str]:
        """Return statements on the basis of the metrics: images, threshold and prevalence.

        Returns
        -------
        list of str
            One sentence per entry.
        """
        name = self.class_names[1]
        rule = "" if self.threshold is None else f"; predicted {name} when the score is above {self.threshold:g}"
        if self.y_pred is not None:
            rule = f"; predicted {name} {self.provenance.get('predicted_by', 'as given')}"
        classes = ", ".join(f"{n} {called}" for called, n in self.class_sizes.items())
        start = "Melanoma" if self.class_names == CLASS_NAMES else name  # a name given by the user is not capitalised
        prevalence = f"{start} prevalence {100 * self.prevalence:.1f} %"
        return [
            f"{self.counts.n} images: {classes}; {len(self.skipped)} skipped{rule}",
            f"{prevalence}: {TIED_TO_PREVALENCE} hold at this prevalence only",
        ]

    def tables(self) -> list[Table]:
        """Return the metrics as tables of text.

        Returns
        -------
        list of Table
            All metrics and the confusion matrix; with scores, also the specificity at given sensitivities
            and the calibration.
        """
        return list_tables(self)

    def figures_to_dict(self) -> dict[str, Any]:
        """Return the metrics as plain Python objects.

        Returns
        -------
        dict
            Each name in `metrics`, "confusion_matrix" and "threshold"; with scores, also
            "specificity_at_sensitivity", "sensitivity_at_specificity" and "calibration".
        """
        return {
            **{name: metric.to_dict() for name, metric in self.metrics.items()},
            "confusion_matrix": self.counts._asdict(),
            **figures_of_scores(self),
            "threshold": self.threshold,
        }

    @checked(path=PATH, category=TEXT)
    def to_submission(self, path: str | os.PathLike[str], *, category: str = "melanoma") -> Path:
        """Write the scores in the format of the ISIC challenges: one line per image, with its id and score.

        Parameters
        ----------
        path : path-like
            Must end in ``.csv``.
        category : str, default="melanoma"
            Title of the column of scores; "MEL" in the challenges from 2018 on.

        Returns
        -------
        Path
            The file, with the column ``image`` and the scores in enough digits to restore each float64 exactly.

        Raises
        ------
        ParameterError
            If the report has no scores, images are missing (the challenges refuse incomplete
            submissions), ids are repeated, or the path does not end in ``.csv``.
        """
        y_score = self._scored("A submission").y_score
        self._check_complete()
        return save_submission(Path(path), self.image_ids, {category: y_score})

    # -- asking further --------------------------------------------------------------------------------------------

    @checked(other=having("_scored", "a MetricsReport"), names=NAMES, margins=MARGINS | NONE)
    def compare(
        self,
        other: "MetricsReport",
        *,
        names: tuple[str, str] = ("this", "other"),
        margins: Mapping[str, float] | None = None,
    ) -> Comparison:
        """Compare with another classifier on the same images.

        Parameters
        ----------
        other : MetricsReport
            Report on the other classifier. Images are matched by their ids; those in only one of the
            reports are excluded, and their number is stated.
        names : tuple of str, default=("this", "other")
            Names of the two classifiers.
        margins : mapping of str to float, optional
            As `melanoma_tl.metrics.compare`: the smallest relevant loss in "auc", "sensitivity" or "specificity",
            for tests of non-inferiority and equivalence.

        Returns
        -------
        Comparison
            Differences of all metrics, this minus other, with intervals and tests, each
            classifier at its own threshold.

        Raises
        ------
        ParameterError
            If a report has no scores, ids are repeated, none are shared, or the two
            disagree about a label.
        DatasetError
            If fewer than two images of a class are shared.

        Warns
        -----
        UserWarning
            If the two thresholds are known to have been chosen by different rules.

        Examples
        --------
        >>> y_true = [0, 0, 0, 1, 1, 1]
        >>> new = MetricsReport.from_scores(y_true, [0.1, 0.2, 0.6, 0.4, 0.7, 0.9])
        >>> old = MetricsReport.from_scores(y_true, [0.3, 0.6, 0.7, 0.4, 0.6, 0.9])
        >>> new.compare(old, names=("new", "old")).disagreements["specificity"].only_first
        1
        """
        here, there = self._scored("A comparison"), other._scored("A comparison")
        warn_of_other_rules(self.provenance, other.provenance)
        images = match_images(self.image_ids, other.image_ids, here.y_true, there.y_true)
        truth, scores = here.y_true[images.here], (here.y_score[images.here], there.y_score[images.there])
        options: dict[str, Any] = {"names": names, "left_out": images.left_out, "margins": margins}
        options |= self._bootstrap_with(other, images)
        if here.threshold is None or there.threshold is None:
            called = (here.called[images.here], there.called[images.there])
            return compare_predicted(truth, scores, called, **options)
        return compare(truth, *scores, thresholds=(here.threshold, there.threshold), **options)

    @checked(
        thresholds=several(INSIDE, at_least=1),
        other=having("_scored", "a MetricsReport") | NONE,
        prevalence=INSIDE | NONE,
        names=NAMES,
    )
    def net_benefit(
        self,
        thresholds: Sequence[float] = NAMED_THRESHOLDS,
        *,
        other: "MetricsReport | None" = None,
        prevalence: float | None = None,
        names: tuple[str, str] = ("this model", "the other"),
    ) -> NetBenefits:
        """Measure what acting on the scores gains: against cutting out all lesions, none, or by another model.

        Parameters
        ----------
        thresholds : sequence of float, default=NAMED_THRESHOLDS
            Threshold probabilities, each between 0 and 1.
        other : MetricsReport, optional
            Report on another model; images are matched by their ids, as in `compare`.
        prevalence, names
            As `melanoma_tl.metrics.net_benefit`.

        Returns
        -------
        NetBenefits
            One row per threshold, with intervals.

        Raises
        ------
        DatasetError, ParameterError
            As `compare`.

        Examples
        --------
        >>> report = MetricsReport.from_scores([0, 0, 0, 1], [0.1, 0.3, 0.6, 0.7])
        >>> report.net_benefit(0.2).rows[0].value.value
        0.125
        """
        here = self._scored("A net benefit")
        options = self._bootstrap | {"prevalence": prevalence, "names": names}
        if other is None:
            return net_benefit(here.y_true, here.y_score, thresholds, **options)
        there = other._scored("A net benefit")
        images = match_images(self.image_ids, other.image_ids, here.y_true, there.y_true)
        options |= self._bootstrap_with(other, images)
        options["other_score"] = there.y_score[images.there]
        return net_benefit(here.y_true[images.here], here.y_score[images.here], thresholds, **options)

    @checked(by=BY | NONE, bands=BANDS | NONE)
    def subgroups(
        self,
        table: Any = None,
        by: By | None = None,
        *,
        bands: Mapping[str, Sequence[float]] | None = None,
    ) -> Subgroups:
        """Measure the metrics of groups of images: by age, sex, site, skin type, camera or image size.

        Parameters
        ----------
        table : pandas.DataFrame, mapping of str to sequence, or ISBIDataset, optional
            Metadata of the images; not needed if `by` holds the values. If it has a column ``image_id``, the ids of
            the images as its index, or another column with all of them, rows are matched by it, and images without a
            row are in the group "not given". Otherwise there must be one row for each image, in the order of the
            report.
        by : str, sequence of str, Series, ndarray of shape (n_images,), or callable, optional
            The columns to group by; or one value for each image, in the order of the report, or as a Series
            whose index holds the image ids; or a function that takes the table
            as a DataFrame, in the order of the report, and returns the values. By default every column except
            identifiers, files, diagnoses, constant columns, and columns with almost as many values as patients;
            `Subgroups.left_out` gives the reasons.
        bands : mapping of str to sequence of float, optional
            Limits between the groups of numeric columns, such as ``{"age": (30, 50, 70)}``; by default the quartiles,
            if a column has more than ten distinct values.

        Returns
        -------
        Subgroups
            One group per value, with its n, number of melanomas, and metrics with intervals; small groups
            are marked.

        Raises
        ------
        ParameterError
            If the report has no scores, rows cannot be matched, or as `melanoma_tl.metrics.measure_subgroups`.
        UnknownNameError
            If the table lacks one of the columns.

        Examples
        --------
        >>> report = MetricsReport.from_scores([0, 1, 0, 1], [0.1, 0.9, 0.7, 0.8], image_ids=["a", "b", "c", "d"])
        >>> found = report.subgroups({"image_id": ["b", "a", "d"], "sex": ["female", "male", "female"]})
        >>> [(row.value, row.n) for row in found]
        [('female', 2), ('male', 1), ('not given', 1)]
        >>> ages = pd.Series([61, 35, 70, 44], index=["b", "a", "c", "d"], name="age")
        >>> [(row.value, row.n) for row in report.subgroups(by=ages, bands={"age": [50]})]
        [('below 50', 2), ('50 and above', 2)]
        """
        y_true, y_score, threshold, _ = self._scored("A table of subgroups")
        if table is None and not isinstance(by, VALUES):
            raise ParameterError("Pass a table of what is known of the images, or by= with a value for each image")
        known: Any = {"image_id": self.image_ids} if table is None else table
        facts = as_table(known.to_frame() if hasattr(known, "image_ids") else known)
        facts = match_table(facts, self.image_ids, len(self.skipped))
        if isinstance(by, pd.Series) and not counts_rows(by.index):
            # Numbers may be those of the rows of a larger table; words can only be ids.
            named = by if pd.api.types.is_integer_dtype(by.index) else by.rename_axis("image_id")
            matched = match_table(named.to_frame("by"), self.image_ids, len(self.skipped))
            by = matched["by"].rename(str(by.name or "group"))
        columns, left_out = group_table(facts, by, self.groups)
        rule: dict[str, Any] = {"y_pred": self.y_pred} if threshold is None else {"threshold": threshold}
        # A column of the table that is not grouped by needs no bands; one that the table lacks is an error.
        bands = {name: edges for name, edges in (bands or {}).items() if name in columns or name not in facts}
        found = measure_subgroups(y_true, y_score, columns, bands=bands, **rule, **self._bootstrap)
        return replace(found, left_out=left_out)

    def to_frame(self) -> pd.DataFrame:
        """Return all metrics as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row per metric: "metric", "at" (the sensitivity at which a specificity is given, else NaN), "value",
            "low", "high", "confidence", "method", "n", "few" and "name", the name of the test data, so that the
            tables of several reports can be joined with ``pandas.concat``.

        Examples
        --------
        >>> frame = MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58).to_frame()
        >>> frame.loc[frame["metric"] == "sensitivity", ["value", "n"]].round(3).values.tolist()
        [[0.773, 75.0]]
        """
        return frame_report(self)

    @checked(claims=TABLE)
    def check_claims(self, claims: Mapping[str, float | str]) -> ClaimsCheck:
        """Find which metrics of a paper cannot come from one confusion matrix.

        Parameters
        ----------
        claims : mapping of str to float or str
            Names of metrics (recall, dice, iou and ppv are accepted too) and their values,
            as a fraction (0.8667) or a percentage (86.67, "86.67 %"), with as many digits
            as were published.

        Returns
        -------
        ClaimsCheck
            Each claim against this report's matrix and against every other matrix with
            the same class sizes.

        Raises
        ------
        UnknownNameError, ParameterError
            As `melanoma_tl.metrics.check_claims`.

        Examples
        --------
        >>> published = MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58)
        >>> published.check_claims({"accuracy": "86.67 %", "recall": "82.25 %"}).consistent
        False
        """
        return check_claims(self.counts, claims)


def _sizes(counts: ConfusionCounts, class_names: tuple[str, str]) -> dict[str, int]:
    """Name the number of images of each class, melanoma first."""
    return dict(zip(class_names[::-1], (counts.n_melanoma, counts.n_benign), strict=True))
