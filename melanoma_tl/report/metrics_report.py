"""`MetricsReport`: what a classifier is worth on a test set, and what that rests on."""

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
    group,
    holding,
    several,
    whole,
)
from melanoma_tl.errors import ParameterError
from melanoma_tl.labels.classes import as_binary
from melanoma_tl.metrics.binary import matrix_metrics, score_metrics
from melanoma_tl.metrics.claims import ClaimsCheck, check_claims
from melanoma_tl.metrics.clinical_utility import NAMED_THRESHOLDS, NetBenefits, net_benefit
from melanoma_tl.metrics.comparisons import MARGINS, Comparison, compare
from melanoma_tl.metrics.confusion import ConfusionCounts, confusion_counts
from melanoma_tl.metrics.estimators import score_with_truth, threshold_of
from melanoma_tl.metrics.metric import LABELS, Metric, describe
from melanoma_tl.metrics.subgroups import BANDS, BY, By, Subgroups, as_table, group_table, measure_subgroups
from melanoma_tl.metrics.validation import check_lengths, check_scores
from melanoma_tl.report.class_names import CLASS_NAMES
from melanoma_tl.report.content import Table
from melanoma_tl.report.documents import figures_of_scores, save_submission
from melanoma_tl.report.frames import frame_report
from melanoma_tl.report.matching import match_images
from melanoma_tl.report.plots import ReportPlots
from melanoma_tl.report.provenance import describe_report, find_seen, known_of, tell_origin
from melanoma_tl.report.rows import take_scored
from melanoma_tl.report.text import TIED_TO_PREVALENCE, list_tables

_HEADLINES = ("auc", "average_precision", "sensitivity", "specificity")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MetricsReport(ReportPlots):
    """Test metrics of a classifier, each with an interval and its n, and what produced them.

    Made by `from_estimator`, `from_scores` or `from_confusion`, not by calling the class.

    Attributes
    ----------
    metrics : mapping of str to Metric
        auc, partial_auc, average_precision, accuracy, balanced_accuracy, sensitivity, specificity,
        precision, npv, f1, iou_melanoma, iou_benign, mcc, kappa, lr_positive and lr_negative, each with value,
        low, high, n, method and few; the first three are absent from a report on a confusion matrix alone.
    counts : ConfusionCounts
        ``(tn, fp, fn, tp)`` at the threshold.
    threshold : float or None
        An image is predicted melanoma when its score is strictly above; None when not known.
    confidence : float
        Coverage of the intervals, such as 0.95.
    name : str
        Name of the test data.
    skipped : tuple of SkippedRow
        Images that no metric counts, each with id, path and reason.
    provenance : mapping
        "created", "versions", "test_data" and "intervals" of this report, under "model" what the
        classifier says of itself, under "tta" how many views of each image it scored, under
        "calibration" and "operating_point" what was tuned on validation images, and under
        "seen_by_the_model" how many of the test images it was fitted or tuned with (None where it does
        not remember).
    history : mapping of str to list of float, or None
        Loss and accuracy of each training epoch.
    y_true, y_score : ndarray of shape (n,), or None
        The labels (0 benign, 1 melanoma) and scores that the metrics count.
    image_ids : tuple of str
        Their ids; row numbers where none were given.
    paths : tuple of str, or None
        Their files.
    groups : tuple, or None
        What each belongs to, such as its patient; the intervals then are those of the cluster bootstrap.
    findings : tuple of (str, object)
        What `attach` added, each with its title.
    class_names : tuple of str
        What class 0 and class 1 are: "benign" and "melanoma", and other words in a report of `MulticlassReport`
        on one diagnosis against the others.

    Notes
    -----
    Precision, NPV, accuracy, F1, IoU, average precision, MCC, kappa, Brier score and log loss depend on how
    frequent melanoma is in the test set; they do not carry over to a clinic, where it is
    rarer. Sensitivity, specificity, balanced accuracy, likelihood ratios and AUC do not.

    The intervals speak of chance in drawing the images. They say nothing of other
    cameras, other skin types, or images that were seen in training.

    Examples
    --------
    >>> report = MetricsReport.from_scores([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], name="four images")
    >>> report
    MetricsReport('four images', 4 images, AUC 0.750 (95 % CI 0.001-1.000, n = 4, few))
    >>> report.to_dict()["sensitivity"]["value"]
    0.5
    """

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
            0 or False benign, 1 or True melanoma, or words that say so; others need `pos_label`.
        y_score : array-like of shape (n,)
            Probabilities of melanoma, 0 to 1. NaN marks an image that has no score: it
            is left out of the metrics and listed in `skipped`.
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
        class_names : tuple of str, default=("benign", "melanoma")
            What the two classes are, where the question is another one: the report then uses these words.

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
        check_lengths(len(scores), y_true=truth)
        rows = take_scored(np.isnan(scores), image_ids=image_ids, paths=paths, groups=groups, skipped=skipped)
        truth, scores = truth[rows.scored], scores[rows.scored]
        metrics = score_metrics(
            truth,
            scores,
            threshold=threshold,
            confidence=confidence,
            n_resamples=n_resamples,
            random_state=random_state,
            groups=rows.groups,
        )
        counts = confusion_counts(truth, scores, threshold)
        return cls(
            metrics=metrics,
            counts=counts,
            threshold=float(threshold),
            confidence=confidence,
            name=name,
            skipped=rows.skipped,
            provenance=describe_report(
                name, _sizes(counts, class_names), len(rows.skipped), (n_resamples, random_state), provenance
            ),
            history=history,
            y_true=truth,
            y_score=scores,
            image_ids=rows.image_ids,
            paths=rows.paths,
            groups=rows.groups,
            class_names=class_names,
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
            If the estimator has `seen_images` and was fitted or tuned with some of the images, or
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
        """How many images are called each class, melanoma first."""
        tn, fp, fn, tp = self.counts
        return dict(zip(self.class_names[::-1], (tp + fp, tn + fn), strict=True))

    @property
    def two_class_reports(self) -> Mapping[str, "MetricsReport"]:
        """Itself, of which nothing need be said."""
        return {"": self}

    @property
    def named_metrics(self) -> Mapping[str, Metric]:
        """The metrics in `metrics`, by their names for readers."""
        return {self._in_own_words(LABELS[name]): metric for name, metric in self.metrics.items()}

    @property
    def headlines(self) -> Mapping[str, Metric]:
        """AUC, average precision, sensitivity and specificity, by their names for readers."""
        return {LABELS[name]: self.metrics[name] for name in _HEADLINES if name in self.metrics}

    @property
    def rule(self) -> str:
        """When an image is called melanoma, and where the threshold is from."""
        if self.threshold is None:
            return ""
        origin = self.provenance.get("threshold_from", "given to the report, which does not know how it was chosen")
        point = self.provenance.get("operating_point")
        if point:
            n = sum(point["confusion_matrix"].values())
            origin = f"chosen on {n} images with tune_threshold, by the rule: {point['rule']}"
        return f"An image is called {self.class_names[1]} when its score is above {self.threshold:.4g}, {origin}."

    def statements(self) -> list[str]:
        """Return what the metrics rest on: images, threshold and prevalence.

        Returns
        -------
        list of str
            A sentence each.
        """
        name = self.class_names[1]
        rule = "" if self.threshold is None else f"; predicted {name} when the score is above {self.threshold:g}"
        classes = ", ".join(f"{n} {called}" for called, n in self.class_sizes.items())
        start = "Melanoma" if self.class_names == CLASS_NAMES else name  # a user's word stays as it is
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
        self._check_complete()
        return save_submission(Path(path), self.image_ids, {category: y_score})

    # -- asking further --------------------------------------------------------------------------------------------

    @checked(other=holding("y_score", "a MetricsReport"), names=NAMES, margins=MARGINS | NONE)
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
            On the scores of the other classifier. Images are matched by their ids; those that
            only one of the reports has are left out, and counted.
        names : tuple of str, default=("this", "other")
            What to call the two.
        margins : mapping of str to float, optional
            As `melanoma_tl.metrics.compare`: the loss in "auc", "sensitivity" or "specificity" that would matter,
            for tests of non-inferiority and equivalence.

        Returns
        -------
        Comparison
            Differences of all metrics, this minus other, with intervals and tests. Each
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
        images = match_images(self.image_ids, other.image_ids, here.y_true, there.y_true)
        return compare(
            here.y_true[images.here],
            here.y_score[images.here],
            there.y_score[images.there],
            thresholds=(here.threshold, there.threshold),
            names=names,
            left_out=images.left_out,
            margins=margins,
            **self._bootstrap_of(images.here),
        )

    @checked(
        thresholds=several(INSIDE, at_least=1),
        other=holding("y_score", "a MetricsReport") | NONE,
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
            On the scores of another model; images are matched by their ids, as in `compare`.
        prevalence, names
            As `melanoma_tl.metrics.net_benefit`.

        Returns
        -------
        NetBenefits
            One row a threshold, with intervals.

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
        if self.groups is not None:
            options["groups"] = [self.groups[row] for row in images.here]
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
            What is known of the images; not needed where `by` holds the values. With a column ``image_id``
            rows are matched by it, and images that it does not have are in the group "not given"; without,
            there must be one row for each image of the report, in its order.
        by : str, sequence of str, Series, ndarray of shape (n_images,), or callable, optional
            The columns to group by; or a value for each image: in the order of the report, or, in a Series
            whose index is not the default one, by the image ids that stand in it; or a function that takes the table
            as a DataFrame, in the order of the report, and returns the values. By default every column but those of
            identifiers, files and diagnoses, of one value, and of nearly a value for each patient;
            `Subgroups.left_out` has the reasons.
        bands : mapping of str to sequence of float, optional
            Where to cut columns of numbers, such as ``{"age": (30, 50, 70)}``; at their quartiles by default, where
            there are more than ten numbers.

        Returns
        -------
        Subgroups
            A group a value, each with n, melanomas and metrics with intervals; small groups
            are marked.

        Raises
        ------
        ParameterError
            If the report has no scores, rows cannot be matched, or as `melanoma_tl.metrics.measure_subgroups`.
        UnknownNameError
            If the table has not one of the columns.

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
        y_true, y_score, threshold = self._scored("A table of subgroups")
        if table is None and not isinstance(by, pd.Series | np.ndarray):
            raise ParameterError("Pass a table of what is known of the images, or by= with a value for each image")
        known: Any = {"image_id": self.image_ids} if table is None else table
        facts = self._match(as_table(known.to_frame() if hasattr(known, "image_ids") else known))
        if isinstance(by, pd.Series) and not isinstance(by.index, pd.RangeIndex):
            by = self._match(by.rename_axis("image_id").reset_index(name="by"))["by"].rename(str(by.name or "group"))
        columns, left_out = group_table(facts, by, self.groups)
        found = measure_subgroups(y_true, y_score, columns, bands=bands, threshold=threshold, **self._bootstrap)
        return replace(found, left_out=left_out)

    def to_frame(self) -> pd.DataFrame:
        """Return all metrics as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row a metric: "metric", "at" (the sensitivity at which a specificity is given, else NaN), "value",
            "low", "high", "confidence", "method", "n", "few" and "name", which is that of the test data: the tables of
            several reports can be put under each other with ``pandas.concat``.

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
            Names of metrics (recall, dice, iou and ppv are understood) and their values,
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
            As `melanoma_tl.metrics.check_claims`.

        Examples
        --------
        >>> published = MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58)
        >>> published.check_claims({"accuracy": "86.67 %", "recall": "82.25 %"}).consistent
        False
        """
        return check_claims(self.counts, claims)

    # -- inside ----------------------------------------------------------------------------------------------------

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


def _sizes(counts: ConfusionCounts, class_names: tuple[str, str]) -> dict[str, int]:
    """Name the number of images of each class, melanoma first."""
    return dict(zip(class_names[::-1], (counts.n_melanoma, counts.n_benign), strict=True))
