"""Net benefit, gain and predictive values against their definitions and published intervals."""

import numpy as np
import pytest
from drawn_scores import labelled_scores, simulate
from hypothesis import given, settings
from hypothesis import strategies as st

from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.metrics.binary import roc_auc
from melanoma_tl.metrics.confusion import ConfusionCounts, confusion_counts
from melanoma_tl.metrics.decision_curves import cumulative_gain, decision_curve, predictive_values, score_histogram

# -- decision curve ----------------------------------------------------------------------------------------------------


@given(labelled_scores(), st.sampled_from([0.01, 0.2, 0.5, 0.9]))
@settings(max_examples=100)
def test_net_benefit_is_its_definition(data, threshold):
    y_true, y_score = data
    counts = confusion_counts(y_true, y_score, threshold)
    curve = decision_curve(y_true, y_score, [threshold], n_resamples=100)
    # Vickers and Elkin (2006): true positives less false positives at the odds of the threshold, for each image.
    weight = threshold / (1 - threshold)
    assert curve.net_benefit[0] == pytest.approx((counts.tp - counts.fp * weight) / counts.n, abs=1e-12)
    assert curve.treat_all[0] == pytest.approx((counts.n_melanoma - counts.n_benign * weight) / counts.n, abs=1e-12)
    assert curve.net_benefit[0] <= y_true.mean() + 1e-12, "no more than all melanomas and no false alarm"


def test_acting_on_all_scores_is_cutting_out_all_and_on_none_nothing():
    y_true, _ = simulate(60, 240)
    everyone = decision_curve(y_true, np.ones(len(y_true)), n_resamples=100)
    np.testing.assert_allclose(everyone.net_benefit, everyone.treat_all, atol=1e-12)
    nobody = decision_curve(y_true, np.zeros(len(y_true)), n_resamples=100)
    np.testing.assert_array_equal(nobody.net_benefit, 0)


def test_all_and_none_are_worth_the_same_at_the_prevalence():
    y_true, y_score = simulate(60, 240)
    assert decision_curve(y_true, y_score, [0.2], n_resamples=100).treat_all[0] == pytest.approx(0, abs=1e-12)


def test_perfect_scores_gain_the_prevalence_at_every_threshold():
    y_true, _ = simulate(60, 240)
    np.testing.assert_allclose(decision_curve(y_true, y_true, n_resamples=100).net_benefit, 0.2)


def test_the_band_agrees_with_a_plain_loop():
    y_true, y_score = simulate(60, 240)
    rng = np.random.default_rng(1)
    benefits, found = [], []
    for _ in range(400):
        rows = rng.integers(0, 300, 300)
        counts = confusion_counts(y_true[rows], y_score[rows], 0.3)
        benefits.append((counts.tp - counts.fp * 0.3 / 0.7) / 300)
        first = rows[np.argsort(-y_score[rows])[:60]]
        found.append(y_true[first].sum() / y_true[rows].sum())
    curve = decision_curve(y_true, y_score, [0.3])
    np.testing.assert_allclose([curve.low[0], curve.high[0]], np.quantile(benefits, [0.025, 0.975]), atol=0.01)
    gain = cumulative_gain(y_true, y_score)
    np.testing.assert_allclose([gain.low[20], gain.high[20]], np.quantile(found, [0.025, 0.975]), atol=0.03)


def test_patients_widen_the_bands():
    y_true, y_score, patient = (np.repeat(values, 4) for values in (*simulate(30, 90), np.arange(120)))
    for measure in (decision_curve, cumulative_gain):
        alone, together = (measure(y_true, y_score, groups=groups) for groups in (None, patient))
        assert (together.high - together.low).sum() > 1.5 * (alone.high - alone.low).sum()


# -- gain --------------------------------------------------------------------------------------------------------------


@given(labelled_scores())
@settings(max_examples=100)
def test_a_gain_curve_rises_from_nothing_to_all(data):
    curve = cumulative_gain(*data, n_resamples=100)
    assert (curve.found[0], curve.found[-1]) == (0, 1)
    assert (np.diff(curve.found) >= -1e-12).all()
    assert ((curve.low <= curve.high) & (curve.low >= 0) & (curve.high <= 1)).all()


def test_the_area_under_the_gain_is_that_under_the_roc_curve():
    # Looking at a share of all images finds sensitivity = share: area = prevalence / 2 + (1 - prevalence) * AUC.
    y_true, y_score = simulate(600, 2400)
    curve = cumulative_gain(y_true, y_score, n_resamples=100)
    assert np.trapezoid(curve.found, curve.examined) == pytest.approx(0.1 + 0.8 * roc_auc(y_true, y_score), abs=1e-3)


def test_images_of_one_score_come_in_random_order():
    curve = cumulative_gain([0, 0, 0, 1], [0.5] * 4, n_resamples=100)
    np.testing.assert_allclose(curve.found, curve.examined)


# -- histogram ---------------------------------------------------------------------------------------------------------


@given(labelled_scores(), st.integers(1, 30))
@settings(max_examples=50)
def test_every_score_is_in_one_bin(data, n_bins):
    y_true, y_score = data
    counts = score_histogram(y_true, y_score, n_bins=n_bins)
    assert (counts.benign.sum(), counts.melanoma.sum()) == ((y_true == 0).sum(), y_true.sum())
    assert len(counts.edges) == n_bins + 1 == len(counts.benign) + 1


def test_bins_must_be_bins():
    with pytest.raises(ParameterError, match="n_bins must be a whole number from 1 to 10000, got 0"):
        score_histogram([0, 1], [0.2, 0.7], n_bins=0)


# -- predictive values -------------------------------------------------------------------------------------------------

COUNTS = st.integers(0, 50)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
@settings(max_examples=100)
def test_at_the_prevalence_of_the_images_they_are_precision_and_npv(tn, fp, fn, tp):
    tn, tp = max(tn, 1), max(tp, 1)
    counts = ConfusionCounts(tn, fp, fn, tp)
    values = predictive_values(counts, counts.n_melanoma / counts.n)
    assert values.ppv[0] == pytest.approx(tp / (tp + fp))
    assert values.npv[0] == pytest.approx(tn / (tn + fn))
    for value, low, high in (values[1:4], values[4:]):
        assert 0 <= low[0] <= value[0] <= high[0] <= 1


def test_intervals_are_about_the_published_bayesian_ones():
    # ApoE e4 and Alzheimer's disease: Mercaldo, Lau and Zhou (2007), with 240 of 418 patients and 87 of 375 controls
    # positive. The intervals at the prevalences 0.03 and 0.04 are those of Stamey and Holt, Journal of
    # Biopharmaceutical Statistics 20 (2010), table 9, which they made another way.
    values = predictive_values(ConfusionCounts(tn=288, fp=87, fn=178, tp=240), [0.03, 0.04])
    np.testing.assert_allclose(values.ppv_low, [0.0591, 0.0779], atol=5e-4)
    np.testing.assert_allclose(values.ppv_high, [0.0860, 0.1111], atol=1e-3)
    np.testing.assert_allclose(values.npv_low, [0.9810, 0.9745], atol=5e-4)
    np.testing.assert_allclose(values.npv_high, [0.9850, 0.9800], atol=5e-4)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    sensitivity, specificity, prevalence = 0.9, 0.8, 0.02
    found, alarms = 0.02 * sensitivity, 0.98 * (1 - specificity)
    ppv, npv = found / (found + alarms), 0.98 * specificity / (0.98 * specificity + 0.02 * (1 - sensitivity))
    hits = np.zeros(2)
    for _ in range(500):
        tp, tn = rng.binomial(60, sensitivity), rng.binomial(150, specificity)
        values = predictive_values(ConfusionCounts(tn, 150 - tn, 60 - tp, tp), prevalence)
        hits += [values.ppv_low[0] <= ppv <= values.ppv_high[0], values.npv_low[0] <= npv <= values.npv_high[0]]
    assert ((hits / 500 >= 0.92) & (hits / 500 <= 0.985)).all(), hits


@given(COUNTS, COUNTS, COUNTS, COUNTS)
@settings(max_examples=50)
def test_where_melanoma_is_rarer_ppv_is_lower_and_npv_higher(tn, fp, fn, tp):
    values = predictive_values(ConfusionCounts(tn + 1, fp, fn, tp + 1), np.linspace(0.01, 0.99, 20))
    assert (np.diff(values.ppv) >= -1e-12).all()
    assert (np.diff(values.npv) <= 1e-12).all()


def test_what_is_never_predicted_has_no_predictive_value():
    values = predictive_values(ConfusionCounts(tn=5, fp=0, fn=5, tp=0), [0.1, 0.5])
    assert np.isnan(values.ppv).all()
    assert np.isnan(values.ppv_low).all()
    np.testing.assert_allclose(values.npv, [0.9, 0.5])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: predictive_values(ConfusionCounts(5, 0, 0, 0), 0.1), DatasetError, "got 0 melanoma and 5 benign"),
        (
            lambda: predictive_values(ConfusionCounts(5, 0, 0, 5), [0.1, 1]),
            ParameterError,
            "prevalence must lie between",
        ),
        (
            lambda: predictive_values(ConfusionCounts(5, 0, 0, 5), 0.1, 95),
            ParameterError,
            "confidence must be a number between",
        ),
        (
            lambda: decision_curve([0, 1], [0.2, 0.7], [0]),
            ParameterError,
            "thresholds must be a number between 0 and 1.*or several in a list",
        ),
    ],
)
def test_what_cannot_be_carried_over(call, error, message):
    with pytest.raises(error, match=message):
        call()
