"""Bad labels and scores: the same clear error from every function that counts with them."""

import numpy as np
import pandas as pd
import pytest

from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.labels.classes import as_binary
from melanoma_tl.metrics.binary import average_precision, roc_auc, score_metrics
from melanoma_tl.metrics.calibration import fit_calibration
from melanoma_tl.metrics.comparisons import compare, delong, delong_interval
from melanoma_tl.metrics.decision_curves import cumulative_gain, decision_curve, score_histogram
from melanoma_tl.metrics.reliability import calibration_metrics, decompose_brier, reliability_curve
from melanoma_tl.metrics.sensitivity_specificity import specificity_at_sensitivity
from melanoma_tl.metrics.thresholds import choose_threshold
from melanoma_tl.metrics.validation import check_scores
from melanoma_tl.report import MetricsReport

RANKED = [roc_auc, average_precision, delong, delong_interval]
SCORED = [
    score_metrics,
    lambda y_true, y_score: choose_threshold(y_true, y_score, youden=True),
    specificity_at_sensitivity,
    fit_calibration,
    calibration_metrics,
    reliability_curve,
    decompose_brier,
    decision_curve,
    cumulative_gain,
    score_histogram,
    lambda y_true, y_score: compare(y_true, y_score, y_score),
]
EVERY = pytest.mark.parametrize("measure", RANKED + SCORED, ids=lambda measure: measure.__qualname__)


@EVERY
@pytest.mark.parametrize(
    ("y_true", "y_score", "error", "message"),
    [
        ([1, 1], [0.2, 0.7], DatasetError, "both classes, got 2 melanoma and 0 benign; add images"),
        ([0, 0], [0.2, 0.7], DatasetError, "both classes, got 0 melanoma and 2 benign; add images"),
        ([], [], DatasetError, "got 0 melanoma and 0 benign"),
        ([0, 1], [0.2, np.nan], ParameterError, "NaN for 1 of 2 images; leave these out"),
        ([0, 1, 1], [0.2, 0.7], ParameterError, "y_score has 2 rows, but y_true has 3"),
        ([[0, 1]], [0.2, 0.7], DatasetError, r"y_true must have the shape \(n,\), one label an image, got \(1, 2\)"),
        ([0, 1], [[0.2, 0.7]], ParameterError, r"y_score must have the shape \(n,\).*got \(1, 2\)"),
        (["cat", "dog"], [0.2, 0.7], DatasetError, "do not say which of them is melanoma: pass pos_label='cat' or"),
        ([0, 2], [0.2, 0.7], DatasetError, r"y_true \(0, 2\) do not say which .* or give 0 and 1"),
        ([0, None], [0.2, 0.7], DatasetError, "1 of 2 labels are missing"),
        ([0, 1], ["low", "high"], ParameterError, "y_score must hold numbers"),
        ([0, 1], [0.2, np.inf], ParameterError, "got 1 outside, such as inf|1 that are infinite"),
    ],
)
def test_what_every_function_refuses(measure, y_true, y_score, error, message):
    with pytest.raises(error, match=message):
        measure(y_true, y_score)


@pytest.mark.parametrize("measure", SCORED, ids=lambda measure: measure.__qualname__)
def test_what_needs_probabilities_refuses_other_scores(measure):
    with pytest.raises(ParameterError, match=r"probabilities, 0 to 1, got 1 outside, such as 1.2; pass predict_proba"):
        measure([0, 1], [0.2, 1.2])


@pytest.mark.parametrize("measure", RANKED[:3], ids=lambda measure: measure.__qualname__)
def test_what_needs_an_order_only_takes_any_number(measure):
    y_true, y_score = np.array([0, 0, 1, 1]), np.array([-3.0, 2.0, 1.0, 40.0])
    ranks = np.argsort(np.argsort(y_score)) / 3
    assert str(measure(y_true, y_score)) == str(measure(y_true, ranks))


@pytest.mark.parametrize(
    "labels",
    [[False, True], [0.0, 1.0], np.array([0, 1], dtype=object), pd.Series([0, 1]), np.array([0, 1], dtype="uint8")],
    ids=["bool", "float", "object", "series", "uint8"],
)
def test_labels_of_other_types(labels):
    assert as_binary(labels).tolist() == [0, 1]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_missing_label_is_not_taken_for_benign(missing):
    with pytest.raises(DatasetError, match="1 of 2 labels are missing"):
        MetricsReport.from_scores(["mel", missing], [0.2, 0.7], pos_label="mel")


@pytest.mark.parametrize("bad", [{"confidence": 0}, {"confidence": "95 %"}, {"n_resamples": 99}, {"n_resamples": 1e3}])
@pytest.mark.parametrize(
    "measure", [score_metrics, specificity_at_sensitivity, calibration_metrics, decision_curve, cumulative_gain]
)
def test_intervals_that_cannot_be_made(measure, bad):
    with pytest.raises(ParameterError, match=next(iter(bad))):
        measure([0, 1], [0.2, 0.7], **bad)


@pytest.mark.slow
@pytest.mark.parametrize("y_score", [[0.5] * 6, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
def test_degenerate_scores_give_a_report_without_a_bare_nan(y_score, tmp_path):
    report = MetricsReport.from_scores([0, 0, 0, 1, 1, 1], y_score, n_resamples=100)
    text = f"{report}{report!r}{report.to_markdown()}{report.to_json()}{report.compare(report)}"
    text += str(report.subgroups({"sex": list("ffmmff")}))
    assert "nan" not in text.lower().replace("provenance", "")
    assert report.save_figures(tmp_path)


def test_a_masked_score_is_missing():
    scores = np.ma.array([0.2, 0.7, 0.9], mask=[False, True, False])
    np.testing.assert_array_equal(check_scores(scores), [0.2, np.nan, 0.9])
    np.testing.assert_array_equal(check_scores(np.ma.array([0.2, 0.7])), [0.2, 0.7])


@pytest.mark.parametrize("scores", [["0.5"], np.array(["0.5"]), np.array([1], "m8[s]"), np.array([0.5 + 1j])])
def test_scores_are_numbers(scores):
    with pytest.raises(ParameterError, match="y_score must hold numbers"):
        check_scores(scores)
