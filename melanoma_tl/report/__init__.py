"""`MetricsReport`: what a classifier is worth on a test set, as metrics, plots, text and a page."""

from melanoma_tl.report.card import CARD
from melanoma_tl.report.metrics_report import MetricsReport
from melanoma_tl.report.multiclass_report import MulticlassReport
from melanoma_tl.report.text import NOTICE

__all__ = ["CARD", "NOTICE", "MetricsReport", "MulticlassReport"]
