"""What a report on two classes holds, and what is computed of it when it is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._attributes import IN_REPORTS
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.labels.class_names import CLASS_NAMES
from melanoma_tl.metrics.calibration_splines import SmoothCalibration, smooth_calibration
from melanoma_tl.metrics.confusion import ConfusionCounts
from melanoma_tl.metrics.metric import LABELS, Metric
from melanoma_tl.metrics.reliability import calibration_metrics
from melanoma_tl.metrics.sensitivity_specificity import (
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)
from melanoma_tl.report.base import Report
from melanoma_tl.report.class_names import rename_classes

_INSTEAD = (
    IN_REPORTS
    | {name: f"metrics[{name!r}]" for name in LABELS}
    | {
        "roc_auc": "metrics['auc']",
        "recall": "metrics['sensitivity']",
        "ap": "metrics['average_precision']",
        "confusion_matrix": "counts, or plot_confusion_matrix()",
    }
)
"""What takes the place of the attributes that one looks for in a report on two classes."""


class Scored(NamedTuple):
    """Labels, scores and threshold of a report that has scores.

    Attributes
    ----------
    y_true : ndarray of int64 of shape (n,)
        0 benign, 1 melanoma.
    y_score : ndarray of float64 of shape (n,)
        Probabilities of melanoma.
    threshold : float or None
        Melanoma strictly above; None where the report was given predictions.
    called : ndarray of bool of shape (n,)
        Which are predicted melanoma.
    """

    y_true: NDArray[np.int64]
    y_score: NDArray[np.float64]
    threshold: float | None
    called: NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ReportData(Report):
    """Metrics, confusion matrix, labels and scores; intervals of what takes time are computed when first asked for."""

    metrics: Mapping[str, Metric]
    counts: ConfusionCounts
    threshold: float | None
    y_true: NDArray[np.int64] | None = None
    y_score: NDArray[np.float64] | None = None
    y_pred: NDArray[np.bool_] | None = None
    class_names: tuple[str, str] = CLASS_NAMES

    _elsewhere = _INSTEAD

    @property
    def prevalence(self) -> float:
        """Share of melanomas among the images, 0 to 1."""
        return self.counts.n_melanoma / self.counts.n

    @cached_property
    def specificity_at_sensitivity(self) -> tuple[SpecificityAtSensitivity, ...]:
        """Specificity at 80, 82, 89, 90 and 95 % sensitivity, the ISIC challenge's way and interpolated.

        As `melanoma_tl.metrics.specificity_at_sensitivity`; a ParameterError if the report has no scores.
        """
        y_true, y_score, *_ = self._scored("Specificity at a given sensitivity")
        return specificity_at_sensitivity(y_true, y_score, **self._bootstrap)

    @cached_property
    def sensitivity_at_specificity(self) -> tuple[SensitivityAtSpecificity, ...]:
        """Sensitivity at 80, 90 and 95 % specificity, at a threshold and interpolated.

        As `melanoma_tl.metrics.sensitivity_at_specificity`; a ParameterError if the report has no scores.
        """
        y_true, y_score, *_ = self._scored("Sensitivity at a given specificity")
        return sensitivity_at_specificity(y_true, y_score, **self._bootstrap)

    @cached_property
    def calibration(self) -> Mapping[str, Metric]:
        """Brier score, log loss, calibration errors, intercept and slope, each with interval and n.

        As `melanoma_tl.metrics.calibration_metrics`; a ParameterError if the report has no scores.
        """
        y_true, y_score, *_ = self._scored("Calibration")
        return calibration_metrics(y_true, y_score, **self._bootstrap)

    @cached_property
    def smooth_calibration(self) -> SmoothCalibration | None:
        """How often each score comes true, as a smooth curve with a band; None where there are too few images.

        As `melanoma_tl.metrics.smooth_calibration`; a ParameterError if the report has no scores.
        """
        y_true, y_score, *_ = self._scored("A calibration curve")
        try:
            return smooth_calibration(y_true, y_score, **self._bootstrap)
        except DatasetError:  # too few images, or scores that separate the classes: the bins remain
            return None

    def _in_own_words(self, text: str) -> str:
        """Name the classes as they are called here in what is written of melanoma and benign lesions."""
        return text if self.class_names == CLASS_NAMES else rename_classes(text, self.class_names)

    def _scored(self, what: str) -> Scored:
        called = self.y_pred
        if called is None and self.y_score is not None and self.threshold is not None:
            called = self.y_score > self.threshold
        if self.y_true is None or self.y_score is None or called is None:
            raise ParameterError(
                f"{what} needs scores, and this report was made from a confusion matrix; use from_scores"
            )
        return Scored(self.y_true, self.y_score, self.threshold, called)
