"""The metrics of a report as a tidy table of pandas: one row a metric, whatever it is of."""

from collections.abc import Mapping
from functools import partial

import pandas as pd

from melanoma_tl.metrics.metric import Metric
from melanoma_tl.report.content import ScoredReport

_COLUMNS = ("metric", "at", "value", "low", "high", "confidence", "method", "n", "few", "name")


def frame_metrics(metrics: Mapping[str, Metric], *, confidence: float, name: str) -> pd.DataFrame:
    """Write metrics as rows.

    Parameters
    ----------
    metrics : mapping of str to Metric
        By name.
    confidence : float
        Coverage of the intervals.
    name : str
        Of the test data.

    Returns
    -------
    pandas.DataFrame
        Columns "metric", "at" (NaN: a metric that is asked for nowhere in particular), "value", "low", "high",
        "confidence", "method", "n", "few" and "name".
    """
    rows = [
        (metric, float("nan"), one.value, one.low, one.high, confidence, one.method, one.n, one.few, name)
        for metric, one in metrics.items()
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype({"at": float, "value": float, "n": int})


def frame_report(report: ScoredReport) -> pd.DataFrame:
    """Write all metrics of a report on two classes as rows.

    Parameters
    ----------
    report : MetricsReport
        The report.

    Returns
    -------
    pandas.DataFrame
        As `frame_metrics`; where there are scores also the calibration, and specificity at given sensitivities and
        sensitivity at given specificities, which stand in "at".
    """
    framed = partial(frame_metrics, confidence=report.confidence, name=report.name)
    parts = [framed(report.metrics)]
    if report.y_score is not None:
        parts.append(framed(report.calibration))
        for at in report.specificity_at_sensitivity:
            metrics = {
                "specificity_at_sensitivity": at.challenge,
                "specificity_at_sensitivity_interpolated": at.interpolated,
            }
            parts.append(framed(metrics).assign(at=at.sensitivity))
        for turned in report.sensitivity_at_specificity:
            metrics = {
                "sensitivity_at_specificity": turned.reached,
                "sensitivity_at_specificity_interpolated": turned.interpolated,
            }
            parts.append(framed(metrics).assign(at=turned.specificity))
    return pd.concat(parts, ignore_index=True)
