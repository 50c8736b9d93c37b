"""Intervals by formula: published examples, literal definitions, and how often they hold the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import average_precision_score
from statsmodels.stats.proportion import proportion_confint

from melanoma_tl.errors import DatasetError
from melanoma_tl.metrics.binary import score_metrics
from melanoma_tl.metrics.comparisons import compare, delong_interval
from melanoma_tl.metrics.confusion import confusion_counts
from melanoma_tl.metrics.decision_curves import predictive_values
from melanoma_tl.metrics.intervals import (
    _average_precision,
    auc_interval,
    average_precision_interval,
    delong,
    effective_size,
    specificity_intervals,
    wilson_interval,
)
from melanoma_tl.metrics.reliability import reliability_curve
from melanoma_tl.report import MetricsReport

# The 41 patients with a poor outcome and the 72 with a good one after a subarachnoid haemorrhage of Turck et al.,
# Intensive Care Medicine 36 (2010), the example data of pROC (Robin et al., BMC Bioinformatics 12:77, 2011): their WFNS
# grade and the rank of their S100B.
WFNS = """
3 2 4 5 5 5 5 2 5 2 1 2 5 4 4 2 5 5 5 2 5 2 5 2 4 5 4 4 1 4 4 2 2 5 5 2 2 5 5 5 5 1 1 1 1 5 1 2 2 1 2 2 1 1 1 2 1 2 1
1 3 4 1 4 1 5 5 1 1 2 4 1 1 2 2 1 2 1 2 2 1 1 1 1 2 1 2 1 1 3 2 4 2 1 4 1 1 5 4 2 2 1 1 1 3 1 2 2 4 4 1 1 1
"""
S100B = """
9 6 12 8 26 31 29 3 20 5 3 24 22 28 31 16 31 31 31 3 31 18 1 5 14 31 16 31 4 16 9 6 7 14 31 10 31 19 31 31 26 9 10 6 2
27 13 6 6 2 4 2 5 7 3 13 3 7 9 13 2 12 10 21 5 30 27 12 3 25 27 7 4 5 4 2 9 6 10 11 2 2 5 2 5 4 12 5 4 20 7 17 3 6 19
3 2 15 23 6 11 4 10 6 3 2 13 11 27 13 11 30 28
"""


def published():
    wfns, s100b = (np.array(text.split(), dtype=float) for text in (WFNS, S100B))
    return np.repeat([1, 0], [41, 72]), wfns, s100b


def of_patients(rng, n_patients=40, images=4, shared=0.5, distance=1.5):
    """Images of patients, each of which has images of both classes as chance has it."""
    patient = np.repeat(np.arange(n_patients), images)
    truth = (rng.random(len(patient)) < 0.35).astype(int)
    truth[:2] = 0, 1
    noise = np.sqrt(shared) * rng.normal(size=n_patients)[patient] + np.sqrt(1 - shared) * rng.normal(size=len(patient))
    return truth, 1 / (1 + np.exp(-(distance * truth + noise))), patient


# -- AUC ---------------------------------------------------------------------------------------------------------------


def test_the_areas_and_their_difference_are_those_of_proc():
    y_true, wfns, s100b = published()
    area = delong_interval(y_true, s100b)
    assert (area.value, area.low, area.high) == pytest.approx((0.7313686, 0.6301182, 0.8326189), abs=1e-6)
    # pROC, roc.test of WFNS and S100B: p = 0.0271757822291882, and the interval of the difference.
    auc = compare(y_true, wfns / 200, s100b / 200, n_resamples=100).differences["auc"]
    assert auc.p_value == pytest.approx(0.0271757822291882, abs=1e-9)
    assert (auc.low, auc.high) == pytest.approx((0.0104061769564846, 0.174214419249478), abs=1e-9)


def test_the_interval_of_an_area_is_symmetric_on_the_logit_scale():
    y_true, _, s100b = published()
    value, low, high, method = auc_interval(y_true, s100b, None, 0.95)
    odds = [np.log(share / (1 - share)) for share in (low, value, high)]
    assert odds[1] - odds[0] == pytest.approx(odds[2] - odds[1])
    assert method == "moderated logit delong"
    error = np.sqrt(delong(y_true, s100b).covariance[0, 0]) / (value * (1 - value))
    assert 1.96 < (odds[1] - odds[0]) / error < 2.02, "Student's quantile of some eighty degrees of freedom"


@pytest.mark.parametrize("area", [0.97, 0.99])
@pytest.mark.parametrize("sizes", [(30, 570), (45, 450), (450, 45)])
def test_areas_near_1_are_held_with_few_images_of_a_class(area, sizes):
    """DeLong's variance alone holds them in 86 to 92 %: where none of the tail was drawn, it knows of none."""
    rng, held, rounds = np.random.default_rng(0), 0, 400
    truth = np.repeat([1, 0], sizes)
    for _ in range(rounds):
        scores = rng.normal(size=len(truth)) + np.sqrt(2) * norm.ppf(area) * truth
        _, low, high, _ = auc_interval(truth, scores, None, 0.95)
        held += low <= area <= high
    assert 0.93 * rounds <= held


def test_the_interval_is_mirrored_with_the_scores_and_with_the_classes():
    rng = np.random.default_rng(1)
    truth = np.repeat([1, 0], [25, 140])
    scores = rng.normal(size=165) + 2 * truth
    value, low, high, _ = auc_interval(truth, scores, None, 0.95)
    for turned in ((truth, -scores), (1 - truth, scores)):
        assert auc_interval(*turned, None, 0.95)[:3] == pytest.approx((1 - value, 1 - high, 1 - low), abs=1e-12)
    assert auc_interval(1 - truth, -scores, None, 0.95)[:3] == pytest.approx((value, low, high), abs=1e-12)


def test_of_many_images_the_interval_is_that_of_delong():
    rng = np.random.default_rng(2)
    truth = np.repeat([1, 0], [4000, 16000])
    scores = rng.normal(size=20000) + truth
    value, low, high, _ = auc_interval(truth, scores, None, 0.95)
    half = norm.isf(0.025) * np.sqrt(delong(truth, scores).covariance[0, 0]) / (value * (1 - value))
    odds = np.log(value / (1 - value))
    assert [low, high] == pytest.approx([1 / (1 + np.exp(half - odds)), 1 / (1 + np.exp(-half - odds))], abs=2e-5)


def literal_obuchowski(y_true, first, second, patient):
    """Sums over patients as the paper writes them (Biometrics 53, 1997, section 2)."""
    wins = []
    for scores in (first, second):
        melanoma, benign = scores[y_true == 1], scores[y_true == 0]
        wins.append((melanoma[:, None] > benign) + 0.5 * (melanoma[:, None] == benign))
    of_melanoma, of_benign = patient[y_true == 1], patient[y_true == 0]
    m, n, everyone = len(of_melanoma), len(of_benign), np.unique(patient)
    areas = [table.mean() for table in wins]
    x = [[(w.mean(1)[of_melanoma == p] - a).sum() for p in everyone] for w, a in zip(wins, areas, strict=True)]
    y = [[(w.mean(0)[of_benign == p] - a).sum() for p in everyone] for w, a in zip(wins, areas, strict=True)]
    x, y = np.array(x), np.array(y)
    i10, i01, i = len(set(of_melanoma)), len(set(of_benign)), len(everyone)
    s10, s01, s11 = x @ x.T * i10 / (i10 - 1) / m, y @ y.T * i01 / (i01 - 1) / n, x @ y.T * i / (i - 1)
    return np.array(areas), s10 / m + s01 / n + (s11 + s11.T) / (m * n)


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_patients_have_the_covariance_of_obuchowski(seed):
    rng = np.random.default_rng(seed)
    y_true, first, patient = of_patients(rng, 12)
    second = np.clip(first + rng.normal(0, 0.2, len(first)), 0, 1).round(1)
    found = delong(y_true, first, second, groups=patient)
    areas, covariance = literal_obuchowski(y_true, first, second, patient)
    np.testing.assert_allclose(found.aucs, areas, atol=1e-12)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-12)


def test_patients_of_one_image_are_images_and_copies_add_nothing():
    y_true, wfns, s100b = published()
    alone = delong(y_true, wfns, s100b)
    np.testing.assert_allclose(delong(y_true, wfns, s100b, groups=np.arange(113)).covariance, alone.covariance)
    copies = np.repeat(np.arange(113), 3)
    np.testing.assert_allclose(
        delong(y_true[copies], wfns[copies], s100b[copies], groups=copies).covariance, alone.covariance, rtol=1e-10
    )
    with pytest.raises(DatasetError, match="two patients of each class, got 1 melanoma"):
        delong([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], groups=["a", "b", "c", "c"])


def test_a_perfect_area_has_a_width():
    y_true = np.repeat([1, 0], [20, 60])
    value, low, high, method = auc_interval(y_true, y_true.astype(float), None, 0.95)
    assert (value, high, method) == (1, 1, "newcombe")
    assert 0.85 < low < 0.99
    _, of_few, _, _ = auc_interval(y_true, y_true.astype(float), np.arange(80) // 4, 0.95)
    assert of_few < low, "five patients with melanomas say less than twenty"
    assert auc_interval(1 - y_true, y_true.astype(float), None, 0.95)[:3] == pytest.approx((0, 0, 1 - low), abs=1e-9)


# -- average precision -------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_the_influence_on_average_precision_is_that_of_one_image_more(seed):
    rng = np.random.default_rng(seed)
    y_true = np.repeat([1, 0], [30, 70])
    y_score = np.clip(rng.normal(0.3 * y_true + 0.4, 0.2), 0, 1).round(2)
    value, influence = _average_precision(y_true, y_score)
    assert value == pytest.approx(average_precision_score(y_true, y_score), abs=1e-12)
    weight = 1e-6
    for row in rng.integers(0, 100, 3):
        more = np.ones(100)
        more[row] += 100 * weight
        moved = average_precision_score(y_true, y_score, sample_weight=more)
        assert (moved - value) / weight == pytest.approx(influence[row], abs=2e-3)


def test_a_perfect_order_has_an_average_precision_with_a_width():
    y_true = np.repeat([1, 0], [20, 60])
    found = average_precision_interval(y_true, y_true.astype(float), None, 0.95)
    assert found == (1.0, *wilson_interval(20, 20), "wilson")


# -- specificity at a sensitivity --------------------------------------------------------------------------------------


def test_at_half_the_melanomas_the_interval_is_that_of_a_median():
    # With endlessly many benign images only the threshold is drawn: an order statistic of the melanomas.
    melanoma, benign = norm.ppf((np.arange(99) + 0.5) / 99), norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    truth, scores = np.repeat([1, 0], [99, 20_000]), np.concatenate([melanoma, benign])
    ((low, high),) = specificity_intervals(truth, scores, [0.5], None, 0.95, 2000, 0)
    # Conover, Practical Nonparametric Statistics, 1999: ranks 40 and 60 of 99 hold the median in 95 %.
    assert (low, high) == pytest.approx((40 / 99, 60 / 99), abs=0.015)


def test_patients_widen_the_interval_and_nothing_collapses():
    rng = np.random.default_rng(1)
    truth, scores, patient = of_patients(rng, 30, 6, shared=0.9)
    alone, together = (specificity_intervals(truth, scores, [0.8, 0.9], of, 0.95, 1000, 0) for of in (None, patient))
    for (low, high), (wider_low, wider_high) in zip(alone, together, strict=True):
        assert wider_high - wider_low > 1.1 * (high - low)
    perfect = np.repeat([1.0, 0.0], [20, 60])
    ((low, high),) = specificity_intervals(perfect.astype(int), perfect, [0.9], None, 0.95, 1000, 0)
    assert low < high


@pytest.mark.parametrize("of_images", [True, False])
def test_intervals_hold_the_truth_as_often_as_they_say(of_images):
    hits, rounds, distance = dict.fromkeys(("auc", "0.9", "0.95"), 0), 150, 1.5
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        truth, scores, patient = of_patients(rng, 160 if of_images else 50, 1 if of_images else 4)
        groups = None if of_images else patient
        _, low, high, _ = auc_interval(truth, scores, groups, 0.95)
        hits["auc"] += low <= norm.cdf(distance / np.sqrt(2)) <= high
        ends = specificity_intervals(truth, scores, [0.9, 0.95], groups, 0.95, 300, 0)
        for at, (low, high) in zip((0.9, 0.95), ends, strict=True):
            hits[str(at)] += low <= norm.cdf(distance + norm.ppf(1 - at)) <= high
    assert all(count >= 0.89 * rounds for count in hits.values()), hits


# -- patients in what is drawn and compared ----------------------------------------------------------------------------


def test_wilson_is_that_of_statsmodels():
    assert wilson_interval(17, 43, 0.9) == pytest.approx(proportion_confint(17, 43, 0.1, method="wilson"), abs=1e-12)


def test_copies_are_worth_one_image():
    hits = np.array([1, 0, 1, 1, 0, 1], dtype=bool)
    copies = np.repeat(np.arange(6), 4)
    assert effective_size(hits[copies], copies) == pytest.approx(6)
    assert effective_size(hits[copies], None) == 24
    assert effective_size(np.ones(24), copies) == 6, "where all succeed nothing tells the design effect"
    assert effective_size([True, False], ["a", None]) == 2


def test_bars_bands_and_tests_know_patients():
    rng = np.random.default_rng(0)
    y_true, y_score, _ = of_patients(rng, 120, 1)
    copies = np.repeat(np.arange(120), 5)
    for groups, same in ((None, False), (copies, True)):
        once, often = (
            reliability_curve(y_true, y_score, strategy="uniform"),
            reliability_curve(y_true[copies], y_score[copies], strategy="uniform", groups=groups),
        )
        assert np.allclose(once.low, often.low) == same
        counts = confusion_counts(y_true, y_score, 0.6)
        of_once = predictive_values(counts, [0.1])
        reports = MetricsReport.from_scores(
            y_true[copies], y_score[copies], groups=groups, threshold=0.6, n_resamples=100
        )
        band = reports.plot_predictive_values().values
        here = np.searchsorted(band.prevalence, 0.1)
        near = predictive_values(counts, band.prevalence[[here]])
        assert np.allclose(band.ppv_low[here], near.ppv_low[0]) == same
        assert of_once.ppv_low[0] > 0
    for name in ("auc", "average_precision"):
        one = score_metrics(y_true, y_score, n_resamples=100)[name]
        many = score_metrics(y_true[copies], y_score[copies], n_resamples=100, groups=copies)[name]
        assert (many.low, many.high) == pytest.approx((one.low, one.high), abs=1e-3), name


def test_two_classifiers_on_patients_are_tested():
    rng = np.random.default_rng(0)
    y_true, first, patient = of_patients(rng)
    second = np.clip(first + rng.normal(0, 0.3, len(first)), 0, 1)
    auc = compare(y_true, first, second, groups=patient, n_resamples=100).differences["auc"]
    areas, covariance = literal_obuchowski(y_true, first, second, patient)
    error = np.sqrt(np.array([1, -1]) @ covariance @ np.array([1, -1]))
    assert auc.p_value == pytest.approx(2 * norm.sf(abs(areas[0] - areas[1]) / error))
    assert (auc.method, auc.test) == ("clustered delong", "DeLong")


def test_a_difference_that_was_not_seen_is_no_certainty():
    y_true = np.repeat([1, 0], [30, 90])
    score = np.where(y_true == 1, 0.8, 0.2)
    for groups, n_melanoma in ((None, 30), (np.arange(120) // 3, 10)):
        found = compare(y_true, score, score, groups=groups, n_resamples=100).differences
        assert np.isnan(found.pop("lr_positive").value), "of no false alarm there is none"
        assert all(row.low < 0 < row.high for row in found.values())
        assert found["sensitivity"].high == pytest.approx(wilson_interval(0, n_melanoma)[1])
        assert found["auc"].p_value == 1
