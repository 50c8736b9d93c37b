"""`MetricsReport`: what a classifier is worth on a test set, and what that rests on."""

import json
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.claims import ClaimsCheck, check_claims
from melanoma_tl.errors import DatasetError, ParameterError
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
        An image is called melanoma when its score is strictly above; None when not known.
    confidence : float
        Coverage of the intervals, such as 0.95.
    name : str
        Name of the test data.
    skipped : tuple of SkippedRow
        Images that no figure counts, each with id, path and reason.
    provenance : mapping
        "created", "versions" and "test_data" of this report, and under "model" what the
        classifier says of itself.
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

    def __init__(self, outcome: "_Outcome", *, confidence: float, name: str, about: "_About") -> None:
        self.metrics: Mapping[str, Metric] = MappingProxyType(outcome.metrics)
        self.counts = outcome.counts
        self.threshold = outcome.threshold
        self.y_true, self.y_score = outcome.y_true, outcome.y_score
        self.image_ids, self.paths = outcome.image_ids, outcome.paths
        self.confidence = confidence
        self.name = name
        self.skipped = about.skipped
        self.history = about.history
        self.provenance = about.provenance
