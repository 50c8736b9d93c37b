"""Resamples keep what they must keep, and vary as theory says."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from melanoma_tl.errors import ParameterError
from melanoma_tl.metrics import resampling
from melanoma_tl.metrics.binary import score_metrics
from melanoma_tl.metrics.comparisons import compare
from melanoma_tl.metrics.decision_curves import cumulative_gain, decision_curve
from melanoma_tl.metrics.reliability import calibration_metrics
from melanoma_tl.metrics.resampling import ScoreCounts, draw_groups, draw_images, number_groups, percentile_interval
from melanoma_tl.metrics.sensitivity_specificity import specificity_at_sensitivity

TRUTH = np.repeat([1, 0], [30, 70])
SCORES = np.linspace(0, 1, 100).round(1)


def together(batches):
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def test_a_tally_counts_every_image_highest_score_first():
    tally = ScoreCounts.of(np.array([1, 0, 1, 0]), np.array([0.2, 0.2, 0.9, 0.5]))
    assert tally.scores.tolist() == [0.9, 0.5, 0.2]
    assert (tally.melanoma.tolist(), tally.benign.tolist()) == ([1, 0, 1], [0, 1, 1])


def test_stratified_resamples_keep_the_class_sizes_and_others_the_number_of_images():
    tally = ScoreCounts.of(TRUTH, SCORES)
    melanoma, benign = together(draw_images(tally, 500, 0))
    assert set(melanoma.sum(axis=1)) == {30}
    assert set(benign.sum(axis=1)) == {70}
    melanoma, benign = together(draw_images(tally, 500, 0, stratified=False))
    assert set((melanoma + benign).sum(axis=1)) == {100}
    assert melanoma.sum(axis=1).std() == pytest.approx(binom.std(100, 0.3), rel=0.1)


def test_groups_of_one_image_are_the_stratified_bootstrap():
    melanoma, benign = together(drawn for (drawn,) in draw_groups(TRUTH, [SCORES], None, 2000, 0))
    assert set(melanoma.sum(axis=1)) == {30}
    tally = ScoreCounts.of(TRUTH, SCORES)
    for drawn, counts in ((melanoma, tally.melanoma), (benign, tally.benign)):
        np.testing.assert_allclose(drawn.mean(axis=0), counts, atol=0.35)


def test_several_classifiers_see_the_same_resamples():
    (first, second) = zip(*draw_groups(TRUTH, [SCORES, 1 - SCORES], None, 200, 0), strict=True)
    for one, other in zip(together(first), together(second), strict=True):
        np.testing.assert_array_equal(one, other[:, ::-1])


def test_images_of_one_patient_come_together():
    # Patient k has its k + 1 images at score k: a resample holds multiples of that.
    patient = np.repeat(np.arange(6), np.arange(1, 7))
    truth = (patient % 2).astype(np.int64)
    melanoma, benign = together(drawn for (drawn,) in draw_groups(truth, [patient / 5], patient, 300, 0))
    drawn = (melanoma + benign)[:, ::-1] / np.arange(1, 7)
    assert (drawn == drawn.round()).all()
    assert set(drawn[:, 1::2].sum(axis=1)) == {3}, "three patients with melanoma"
    assert set(drawn[:, ::2].sum(axis=1)) == {3}, "three without"


def test_patients_with_copies_of_an_image_have_the_interval_of_the_images():
    rng = np.random.default_rng(0)
    y_true = np.repeat([1, 0], [40, 80])
    y_score = 1 / (1 + np.exp(-rng.normal(2 * y_true - 1, 1.2)))
    copies = np.repeat(np.arange(120), 5)
    images = score_metrics(y_true, y_score, n_resamples=5000)
    patients = score_metrics(y_true[copies], y_score[copies], n_resamples=5000, groups=copies)
    for name in ("auc", "average_precision", "f1"):
        assert (patients[name].low, patients[name].high) == pytest.approx(
            (images[name].low, images[name].high), abs=0.015
        )
    methods = {name: figure.method for name, figure in patients.items()}
    assert methods.pop("auc") == "clustered moderated logit delong"
    assert methods.pop("average_precision") == "clustered logit influence"
    assert set(methods.values()) == {"cluster bootstrap", "clustered wilson"}
    assert (patients["sensitivity"].n, patients["accuracy"].n) == (200, 600)


def test_every_missing_group_is_one_of_its_own():
    assert number_groups(["p", None, "q", np.nan, "p"], 5).tolist() == [0, 2, 1, 3, 0]
    assert number_groups([None, None], 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("groups", "message"),
    [(["p"], "y_score has 2 rows, but groups has 1"), (["p", "p"], "more than one patient, got 'p'")],
)
def test_groups_that_cannot_be_resampled(groups, message):
    with pytest.raises(ParameterError, match=message):
        number_groups(groups, 2)


def test_resamples_without_a_figure_do_not_count():
    resampled = np.array([[1.0, np.nan, 2.0, 3.0], [np.nan] * 4])
    ends = percentile_interval(np.array([2.0, 1.0]), resampled, 0.9)
    assert ends[:, 0].tolist() == pytest.approx([1.1, 2.9])
    assert np.isnan(ends[:, 1]).all()


def test_an_interval_holds_its_own_value_and_an_undefined_figure_has_none():
    resampled = np.tile(np.arange(11.0), (4, 1))
    ends = percentile_interval(np.array([5.0, -3.0, 20.0, np.nan]), resampled, 0.8)
    assert pytest.approx(np.array([[1, 9], [-3, 9], [1, 20]])) == ends[:, :3].T
    assert np.isnan(ends[:, 3]).all()


# -- many images -------------------------------------------------------------------------------------------------------

MANY = 10_500
MANY_TRUTH = (np.random.default_rng(1).random(MANY) < 0.1).astype(np.int64)
MANY_SCORES = expit(np.random.default_rng(2).normal(-2.2 + 1.6 * MANY_TRUTH, 1.1))
PATIENT = np.random.default_rng(3).integers(0, 3000, MANY)


def pooled_and_not(monkeypatch, measure):
    found = [measure()]
    for limit in ("_MOST_SCORES", "_MOST_GROUPS"):
        monkeypatch.setattr(resampling, limit, 10**9)
    return [*found, measure()]


@pytest.mark.slow
@pytest.mark.parametrize("groups", [None, PATIENT], ids=["images", "patients"])
def test_pools_of_scores_give_the_intervals_of_every_single_score(monkeypatch, groups):
    options = {"n_resamples": 1000, "groups": groups}

    def measure():
        return {
            **score_metrics(MANY_TRUTH, MANY_SCORES, threshold=0.23, **options),
            **calibration_metrics(MANY_TRUTH, MANY_SCORES, **options),
            **{
                f"{at.sensitivity} {way}": getattr(at, way)
                for at in specificity_at_sensitivity(MANY_TRUTH, MANY_SCORES, **options)
                for way in ("challenge", "interpolated")
            },
        }

    pooled, single = pooled_and_not(monkeypatch, measure)
    for name, figure in single.items():
        assert pooled[name].value == figure.value, name
        width = figure.high - figure.low
        # Each end has a noise of 4 % of the width with 1,000 resamples, and these are other ones.
        assert pooled[name].low == pytest.approx(figure.low, abs=0.15 * width), name
        assert pooled[name].high == pytest.approx(figure.high, abs=0.15 * width), name
        assert pooled[name].high - pooled[name].low == pytest.approx(width, rel=0.15), name


@pytest.mark.slow
def test_pools_give_the_bands_of_every_single_score(monkeypatch):
    for curve in (decision_curve, cumulative_gain):
        pooled, single = pooled_and_not(
            monkeypatch, lambda curve=curve: curve(MANY_TRUTH, MANY_SCORES, n_resamples=1000)
        )
        monkeypatch.undo()
        np.testing.assert_array_equal(pooled[1], single[1])
        width = single.high - single.low
        for end in ("low", "high"):
            apart = np.abs(getattr(pooled, end) - getattr(single, end))[width > 0] / width[width > 0]
            assert np.quantile(apart, [0.5, 0.9]) == pytest.approx([0, 0], abs=0.15), (curve, end)


@pytest.mark.slow
def test_bundles_of_images_give_the_comparison_of_every_single_image(monkeypatch):
    other = expit(np.random.default_rng(4).normal(-2.2 + 1.4 * MANY_TRUTH, 1.1))
    truth, options = np.tile(MANY_TRUTH, 2), {"n_resamples": 400, "random_state": 5}
    scores = [np.concatenate([one, np.roll(one, 7)]).round(3) for one in (MANY_SCORES, other)]
    bundled, single = pooled_and_not(monkeypatch, lambda: compare(truth, *scores, **options).to_frame())
    assert (bundled["value"] == single["value"]).all()
    width = single["high"] - single["low"]
    assert ((bundled["high"] - bundled["low"] - width).abs() < 0.2 * width).all()


def test_a_pool_has_no_scores_on_both_sides_of_a_cut_and_keeps_rare_melanomas_apart():
    rare = np.zeros(MANY, dtype=np.int64)
    rare[::500] = 1
    tally = ScoreCounts.of(rare, MANY_SCORES)
    cuts = [0.0, 0.1, float(MANY_SCORES[5]), 1.0]
    pooled, lowest = tally.pooled(cuts)
    assert 500 < len(pooled.scores) < 600
    assert pooled.melanoma.max() == 1
    assert (np.diff(pooled.scores) < 0).all()
    assert (lowest <= pooled.scores).all()
    for cut in cuts:
        for whole, part in zip(tally[1:], pooled[1:], strict=True):
            assert whole[tally.scores > cut].sum() == part[pooled.scores > cut].sum()
    few = ScoreCounts.of(TRUTH, SCORES)
    assert few.pooled()[0] is few


def test_the_perfect_order_of_many_images_stays_perfect():
    figures = score_metrics(MANY_TRUTH, 0.5 * MANY_TRUTH + 0.499 * MANY_SCORES, n_resamples=200)
    for name in ("auc", "average_precision"):
        assert (figures[name].value, figures[name].high) == (1, 1)
        assert 0.99 < figures[name].low < 1, "chance goes further than what was seen"
