"""Calibration against scikit-learn, the published formulas, and scores whose truth is known."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import sklearn
from drawn_scores import labelled_scores
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from melanoma_tl import MetricsReport
from melanoma_tl.errors import DatasetError, ParameterError, UnknownNameError
from melanoma_tl.metrics.calibration import Calibration, fit_calibration
from melanoma_tl.metrics.intervals import wilson_interval
from melanoma_tl.metrics.reliability import (
    CALIBRATION_LABELS,
    _fit_intercept,
    calibration_metrics,
    decompose_brier,
    reliability_curve,
)

FRACTIONS = st.floats(0.001, 0.999)


def simulate(n=600, seed=0, overconfidence=1.0, prevalence_in_training=None):
    """Scores that are calibrated, before their log odds are stretched or moved to another prevalence."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1.5, n)
    y_true = (rng.random(n) < expit(odds)).astype(int)
    if prevalence_in_training:
        odds = odds + logit(prevalence_in_training) - logit(y_true.mean())
    return y_true, expit(overconfidence * odds)


# -- the two corrections -----------------------------------------------------------------------------------------------


class Scores(ClassifierMixin, BaseEstimator):
    """A classifier whose features are its probabilities."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.stack([1 - X[:, 0], X[:, 0]], axis=1)

    def predict(self, X):
        return self.classes_[(X[:, 0] > 0.5).astype(int)]


@pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8), reason="scikit-learn 1.8 brought temperature scaling"
)
@pytest.mark.parametrize("overconfidence", [0.5, 1.0, 3.0])
def test_the_temperature_is_that_of_scikit_learn(overconfidence):
    y_true, y_score = simulate(overconfidence=overconfidence)
    y_score = np.clip(y_score, 1e-6, 1 - 1e-6)  # scikit-learn lets scores lie nearer to 0 and 1 than float32 can tell
    X = y_score[:, None]
    theirs = CalibratedClassifierCV(FrozenEstimator(Scores().fit(X, y_true)), method="temperature").fit(X, y_true)
    calibration = fit_calibration(y_true, y_score, method="temperature")
    np.testing.assert_allclose(calibration.apply(y_score), theirs.predict_proba(X)[:, 1], atol=1e-6)


class LogOdds(Scores):
    """One that has log odds, as a support vector machine has distances."""

    predict_proba = None

    def decision_function(self, X):
        return logit(X[:, 0])


@pytest.mark.parametrize("prevalence_in_training", [None, 0.5, 0.9])
@pytest.mark.parametrize("overconfidence", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("n", [40, 600])
def test_the_sigmoid_is_that_of_scikit_learn(n, overconfidence, prevalence_in_training):
    y_true, y_score = simulate(n, 1, overconfidence, prevalence_in_training)
    y_score = np.clip(y_score, 1e-6, 1 - 1e-6)
    X = y_score[:, None]
    theirs = CalibratedClassifierCV(FrozenEstimator(LogOdds().fit(X, y_true)), method="sigmoid").fit(X, y_true)
    calibration = fit_calibration(y_true, y_score)
    np.testing.assert_allclose(calibration.apply(y_score), theirs.predict_proba(X)[:, 1], atol=1e-5)


def test_the_sigmoid_takes_back_all_that_is_linear_in_the_log_odds():
    calibration = fit_calibration(*simulate(20_000, 0, 2.0, 0.8))
    y_true, y_score = simulate(20_000, 1, 2.0, 0.8)
    figures = calibration_metrics(y_true, calibration.apply(y_score), n_resamples=100)
    # Both samples have errors, of about 0.018 in the intercept and 0.02 in the slope.
    assert figures["calibration_intercept"].value == pytest.approx(0, abs=0.08)
    assert figures["calibration_slope"].value == pytest.approx(1, abs=0.08)


def test_calibrated_scores_have_the_prevalence_of_the_validation_images_or_the_stated_one():
    y_true, y_score = simulate(prevalence_in_training=0.5)
    calibrated = fit_calibration(y_true, y_score).apply(y_score)
    assert calibrated.mean() == pytest.approx(y_true.mean(), abs=0.005)  # not equal: Platt's targets
    moved = fit_calibration(y_true, y_score, to_prevalence=0.02)
    assert (moved.from_prevalence, moved.to_prevalence) == (y_true.mean(), 0.02)
    expected = Calibration(from_prevalence=y_true.mean(), to_prevalence=0.02).apply(calibrated)
    np.testing.assert_allclose(moved.apply(y_score), expected, rtol=1e-9)


def test_scores_that_separate_the_classes_have_a_sigmoid():
    calibration = fit_calibration([0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.8, 0.9])
    assert 0.2 < calibration.slope < 20
    assert (np.diff(calibration.apply([0.1, 0.3, 0.8, 0.9])) > 0).all()


@pytest.mark.parametrize("method", ["sigmoid", "temperature"])
def test_a_calibration_says_where_it_is_from(method):
    calibration = fit_calibration(*simulate(200), method=method)
    assert (calibration.method, calibration.n_benign + calibration.n_melanoma) == (method, 200)
    name = {"sigmoid": "Platt's sigmoid, slope", "temperature": "temperature scaling, slope"}[method]
    assert str(calibration).startswith(name)
    assert f"fitted on 200 images ({calibration.n_melanoma} melanomas)" in str(calibration)
    moved = Calibration(from_prevalence=0.5, to_prevalence=0.02, method=method)
    assert "moved from a prevalence of 0.5 to 0.02" in str(moved)


@pytest.mark.parametrize("overconfidence", [0.5, 2.0, 4.0])
def test_the_temperature_takes_back_overconfidence(overconfidence):
    y_true, y_score = simulate(20_000, overconfidence=overconfidence)
    found = fit_calibration(y_true, y_score, method="temperature")
    assert found.slope == pytest.approx(1 / overconfidence, rel=0.04)


@given(labelled_scores())
@settings(max_examples=50)
def test_no_other_temperature_has_a_lower_log_loss(data):
    y_true, y_score = data[0], 0.01 + 0.98 * data[1]

    def loss(temperature):
        return log_loss(y_true, Calibration(1 / temperature).apply(y_score))

    right = (2 * y_true - 1) * logit(y_score)
    if right.sum() <= 1e-8 or (right >= -1e-9).all():
        # The log loss is convex in the inverse temperature: it falls all the way to one of the ends.
        with pytest.raises(DatasetError, match="No temperature is the best"):
            fit_calibration(y_true, y_score, method="temperature")
        assert min(loss(0.05), loss(1e4)) <= min(map(loss, (0.5, 1, 2, 10))) + 1e-9
        return
    best = 1 / fit_calibration(y_true, y_score, method="temperature").slope
    assert loss(best) <= min(loss(0.98 * best), loss(1.02 * best)) + 1e-12


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.1, 10), st.floats(-5, 5), FRACTIONS, FRACTIONS)
@settings(max_examples=200)
def test_no_image_overtakes_another(scores, slope, intercept, before, after):
    calibrated = Calibration(slope, intercept, before, after).apply(np.sort(scores))
    assert ((calibrated >= 0) & (calibrated <= 1)).all()
    assert (np.diff(calibrated) >= 0).all()


@given(st.floats(0.001, 0.999), FRACTIONS, FRACTIONS)
@settings(max_examples=200)
def test_the_prior_shift_is_the_published_formula(score, before, after):
    (ours,) = Calibration(from_prevalence=before, to_prevalence=after).apply([score])
    # Saerens, Latinne and Decaestecker (2002), equation 4.
    weighted = np.array([after / before * score, (1 - after) / (1 - before) * (1 - score)])
    assert ours == pytest.approx(weighted[0] / weighted.sum(), rel=1e-9)
    # Elkan (2001), theorem 2.
    elkan = after * (score - score * before) / (before - score * before + after * score - before * after)
    assert ours == pytest.approx(elkan, rel=1e-6)


@given(st.floats(0.001, 0.999), FRACTIONS, FRACTIONS, st.floats(0.2, 2), st.floats(-3, 3))
@settings(max_examples=100)
def test_a_shift_there_and_back_and_a_line_and_its_inverse_change_nothing(score, before, after, slope, intercept):
    shifted = Calibration(1, 0, before, after).apply([score])
    assert Calibration(1, 0, after, before).apply(shifted)[0] == pytest.approx(score, rel=1e-6)
    there = Calibration(slope, intercept).apply([score])
    assert Calibration(1 / slope, -intercept / slope).apply(there)[0] == pytest.approx(score, rel=1e-6)
    assert Calibration().apply([score])[0] == pytest.approx(score, rel=1e-12)


def test_ends_stay_and_an_image_without_score_stays_without():
    calibrated = Calibration(0.5, 1.0, 0.5, 0.1).apply([0.0, np.nan, 1.0])
    np.testing.assert_array_equal(calibrated, [0, np.nan, 1])


def test_the_auc_stays_and_the_log_loss_falls():
    y_true, y_score = simulate(overconfidence=3)
    calibrated = fit_calibration(y_true, y_score).apply(y_score)
    assert roc_auc_score(y_true, calibrated) == pytest.approx(roc_auc_score(y_true, y_score), abs=1e-12)
    assert log_loss(y_true, calibrated) < log_loss(y_true, y_score)


def test_the_temperature_does_not_make_up_for_another_prevalence():
    y_true, y_score = simulate(20_000, prevalence_in_training=0.8)
    with_both = fit_calibration(y_true, y_score, method="temperature", from_prevalence=0.8, to_prevalence=0.02)
    assert with_both.slope == pytest.approx(1, rel=0.04)
    assert abs(1 / fit_calibration(y_true, y_score, method="temperature").slope - 1) > 0.1
    assert (with_both.from_prevalence, with_both.to_prevalence) == (0.8, 0.02)


def test_shifted_scores_are_calibrated_at_the_stated_prevalence():
    y_true, y_score = simulate(40_000, prevalence_in_training=0.5)
    rng = np.random.default_rng(1)
    rare = np.concatenate([np.flatnonzero(y_true == 0), rng.choice(np.flatnonzero(y_true == 1), 1000, replace=False)])
    prevalence = float(y_true[rare].mean())
    shifted = Calibration(from_prevalence=0.5, to_prevalence=prevalence).apply(y_score[rare])
    intercept = calibration_metrics(y_true[rare], shifted, n_resamples=100)["calibration_intercept"]
    assert intercept.low < 0 < intercept.high
    assert calibration_metrics(y_true[rare], y_score[rare], n_resamples=100)["calibration_intercept"].high < -1


def test_a_calibration_survives_json():
    calibration = fit_calibration(*simulate(), to_prevalence=0.02)
    assert Calibration(**json.loads(json.dumps(asdict(calibration)))) == calibration


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slope": 0}, "slope must be a number above 0"),
        ({"slope": float("nan")}, "slope must be a number above 0"),
        ({"slope": "1"}, "slope must be a number above 0"),
        ({"intercept": float("inf")}, "intercept must be a number"),
        ({"method": "isotonics"}, "Unknown method"),
        ({"n_melanoma": 0}, "n_melanoma must be a whole number"),
        ({"from_prevalence": 0.5}, "give both.*got 0.5 and None"),
        ({"from_prevalence": 0.5, "to_prevalence": 2}, "to_prevalence must be a number between 0 and 1"),
        ({"from_prevalence": 0, "to_prevalence": 0.5}, "from_prevalence must be a number between 0 and 1"),
    ],
)
def test_calibrations_that_cannot_be(arguments, message):
    with pytest.raises((ParameterError, UnknownNameError), match=message):
        Calibration(**arguments)


@pytest.mark.parametrize(
    ("y_true", "y_score", "message"),
    [
        ([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9], "all 4 validation images are on the right side of 0.5"),
        ([0, 0, 1, 1], [0.9, 0.6, 0.4, 0.1], "falls as every score goes to 0.5"),
        ([0, 0, 1, 1], [0.5] * 4, "falls as every score goes to 0.5"),
    ],
    ids=["no error", "the wrong way round", "constant"],
)
def test_where_no_temperature_is_the_best(y_true, y_score, message):
    with pytest.raises(DatasetError, match=message):
        fit_calibration(y_true, y_score, method="temperature")


@pytest.mark.parametrize(
    "y_score",
    [[0.9, 0.6, 0.4, 0.1], [0.5] * 4, [0.2, 0.4, 0.2, 0.4]],
    ids=["the wrong way round", "constant", "no use"],
)
def test_scores_that_do_not_rise_with_melanoma_are_not_calibrated(y_score):
    with pytest.raises(DatasetError, match="the scores do not rise from benign images to melanomas"):
        fit_calibration([0, 0, 1, 1], y_score)


def test_the_sigmoid_needs_no_prevalence_of_the_training():
    with pytest.raises(ParameterError, match="from_prevalence belongs to method='temperature'"):
        fit_calibration(*simulate(), from_prevalence=0.5, to_prevalence=0.1)
    with pytest.raises(UnknownNameError, match="Unknown method 'platt'"):
        fit_calibration(*simulate(), method="platt")


# -- figures -----------------------------------------------------------------------------------------------------------


@given(labelled_scores())
@settings(max_examples=50)
def test_brier_and_log_loss_are_those_of_scikit_learn(data):
    y_true, y_score = data[0], 0.001 + 0.998 * data[1]
    figures = calibration_metrics(y_true, y_score, n_resamples=100)
    assert figures["brier"].value == pytest.approx(brier_score_loss(y_true, y_score), abs=1e-12)
    assert figures["log_loss"].value == pytest.approx(log_loss(y_true, y_score), abs=1e-12)


def test_a_certain_error_costs_what_float32_can_tell():
    worst = -np.log(np.finfo(np.float32).eps)
    assert calibration_metrics([0, 1], [0.5, 0.0], n_resamples=100)["log_loss"].value == pytest.approx(
        (worst + np.log(2)) / 2
    )


@given(labelled_scores(), st.integers(1, 12), st.sampled_from(["quantile", "uniform"]))
@settings(max_examples=200)
def test_bins_hold_every_image_once_and_tear_no_score_apart(data, n_bins, strategy):
    y_true, y_score = data
    curve = reliability_curve(y_true, y_score, n_bins=n_bins, strategy=strategy)
    assert curve.n.sum() == len(y_true)
    assert len(curve.n) <= min(n_bins, len(np.unique(y_score)))
    assert (np.diff(curve.mean_score) > 0).all()
    assert (curve.melanoma_share * curve.n).sum() == pytest.approx(y_true.sum())
    assert (curve.mean_score * curve.n).sum() == pytest.approx(y_score.sum())
    ends = wilson_interval(np.round(curve.melanoma_share * curve.n), curve.n)
    np.testing.assert_allclose((curve.low, curve.high), ends, atol=1e-9)


@given(labelled_scores(), st.integers(2, 12))
@settings(max_examples=50)
def test_bins_of_equal_width_are_those_of_scikit_learn(data, n_bins):
    share, mean = calibration_curve(*data, n_bins=n_bins, strategy="uniform")
    curve = reliability_curve(*data, n_bins=n_bins, strategy="uniform")
    np.testing.assert_allclose((curve.melanoma_share, curve.mean_score), (share, mean), atol=1e-12)


def test_bins_of_equal_mass_have_equal_mass():
    curve = reliability_curve(*simulate(600), n_bins=7)
    assert set(curve.n) <= {85, 86}


@given(labelled_scores(), st.sampled_from(["quantile", "uniform"]))
@settings(max_examples=100)
def test_the_calibration_error_is_the_mean_distance_from_the_diagonal(data, strategy):
    curve = reliability_curve(*data, strategy=strategy)
    error = (curve.n * np.abs(curve.mean_score - curve.melanoma_share)).sum() / curve.n.sum()
    figure = calibration_metrics(*data, n_resamples=100)[f"ece_{strategy}"]
    assert figure.value == pytest.approx(error, abs=1e-12)
    assert 0 <= figure.low <= figure.value <= figure.high <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("overconfidence", "truth"), [(1.0, 0.0), (1.5, 0.060), (2.5, 0.122)])
def test_intervals_of_the_calibration_error_cover_the_truth_as_often_as_they_say(overconfidence, truth):
    # The truth is that of four million scores, in bins of equal width.
    hits = 0
    for seed in range(100):
        figure = calibration_metrics(*simulate(300, seed, overconfidence), n_resamples=200)["ece_uniform"]
        assert figure.value > 0.01, "chance alone"
        hits += figure.low <= truth <= figure.high
    assert hits >= 90


@given(labelled_scores())
@settings(max_examples=50)
def test_the_parts_of_the_brier_score_add_up(data):
    y_true, y_score = data
    parts = decompose_brier(y_true, y_score)
    total = parts.miscalibration - parts.discrimination + parts.uncertainty
    assert total == pytest.approx(brier_score_loss(y_true, y_score), abs=1e-12)
    assert min(parts) >= -1e-12
    assert parts.uncertainty == pytest.approx(y_true.mean() * (1 - y_true.mean()))


def test_what_an_isotonic_recalibration_gives_is_not_miscalibrated():
    y_true = [0, 0, 0, 1, 0, 1, 1, 1]
    parts = decompose_brier(y_true, [0.0, 0.0, 0.0, 0.5, 0.5, 1, 1, 1])
    assert parts.miscalibration == pytest.approx(0, abs=1e-12)
    assert decompose_brier(y_true, [0.5] * 8).discrimination == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("overconfidence", [0.7, 1.0, 2.0])
def test_the_slope_is_that_of_an_unpenalised_logistic_regression(overconfidence):
    y_true, y_score = simulate(seed=1, overconfidence=overconfidence)
    theirs = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(logit(y_score)[:, None], y_true)
    slope = calibration_metrics(y_true, y_score, n_resamples=100)["calibration_slope"]
    assert slope.value == pytest.approx(float(theirs.coef_[0, 0]), rel=1e-4)
    assert slope.low < 1 / overconfidence < slope.high


@pytest.mark.parametrize("in_groups", [False, True])
def test_the_variances_are_the_sandwich_of_statsmodels(in_groups):
    y_true, y_score = simulate(400, 2, overconfidence=2.0, prevalence_in_training=0.5)
    groups = np.arange(400) // 3 if in_groups else None
    figures = calibration_metrics(y_true, y_score, n_resamples=100, groups=groups)
    # Without the factors for few groups, as in Liang and Zeger's paper.
    kind = {"cov_type": "HC0"}
    if in_groups:
        kind = {"cov_type": "cluster", "cov_kwds": {"groups": groups, "use_correction": False}}
    odds, family = logit(y_score), Binomial()
    for name, design, offset in (
        ("calibration_intercept", np.ones((400, 1)), odds),
        ("calibration_slope", np.stack([odds, np.ones(400)], axis=1), None),
    ):
        theirs = GLM(y_true, design, family=family, offset=offset).fit(**kind)
        ours = figures[name]
        np.testing.assert_allclose([ours.low, ours.high], theirs.conf_int()[0], atol=1e-6)


def test_the_intercept_balances_the_scores():
    y_true, y_score = simulate(prevalence_in_training=0.5)
    intercept = calibration_metrics(y_true, y_score, n_resamples=100)["calibration_intercept"]
    assert expit(logit(y_score) + intercept.value).mean() == pytest.approx(y_true.mean(), abs=1e-9)
    assert intercept.low < logit(y_true.mean()) - logit(0.5) < intercept.high


def test_the_interval_of_the_intercept_holds_where_the_slope_is_wrong():
    """The variance from the likelihood would be too small there."""
    y_true, y_score = simulate(1_000_000, overconfidence=3.0, prevalence_in_training=0.5)
    odds = logit(np.clip(y_score, 1e-7, 1 - 1e-7))
    truth = brentq(lambda intercept: np.mean(expit(intercept + odds) - y_true), -10, 10)
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        rows = rng.integers(0, len(y_true), 300)
        found = _fit_intercept(y_true[rows], odds[rows], None, 0.95)
        hits += found.low <= truth <= found.high
    assert 0.93 <= hits / 400 <= 0.975, hits


def test_intervals_of_intercept_and_slope_cover_the_truth_about_as_often_as_they_say():
    hits = {"calibration_intercept": 0, "calibration_slope": 0}
    truth = {"calibration_intercept": 0, "calibration_slope": 1}
    for seed in range(200):
        figures = calibration_metrics(*simulate(300, seed), n_resamples=100)
        for name in hits:
            hits[name] += figures[name].low <= truth[name] <= figures[name].high
    assert all(0.90 <= count / 200 <= 0.99 for count in hits.values()), hits


def test_bootstrap_intervals_agree_with_a_plain_loop():
    y_true, y_score = simulate(200)
    rng = np.random.default_rng(1)
    draws = []
    for _ in range(500):
        rows = rng.choice(200, 200)
        draws.append([brier_score_loss(y_true[rows], y_score[rows]), log_loss(y_true[rows], y_score[rows])])
    expected = np.quantile(draws, [0.025, 0.975], axis=0).T
    figures = calibration_metrics(y_true, y_score)
    np.testing.assert_allclose(
        [(figures[name].low, figures[name].high) for name in ("brier", "log_loss")], expected, atol=0.01
    )


def test_copies_of_images_add_no_certainty_when_they_are_known_to_belong_together():
    y_true, y_score = simulate(300)
    copies = np.repeat(np.arange(300), 4)
    alone = calibration_metrics(y_true, y_score)
    naive = calibration_metrics(y_true[copies], y_score[copies])
    together = calibration_metrics(y_true[copies], y_score[copies], groups=copies)
    for name in CALIBRATION_LABELS:
        widths = [figures[name].high - figures[name].low for figures in (alone, naive, together)]
        assert together[name].value == pytest.approx(alone[name].value)
        assert widths[2] == pytest.approx(widths[0], rel=0.2), name
        assert widths[1] < 0.8 * widths[0], name
    assert together["brier"].method == "cluster bootstrap"
    assert together["calibration_slope"].method == "robust wald"


@pytest.mark.parametrize(
    ("y_true", "y_score"),
    [([0, 0, 1, 1], [0.1, 0.3, 0.3, 0.9]), ([0, 1, 0], [0.4, 0.4, 0.4]), ([0, 0, 1], [0.9, 0.8, 0.1])],
    ids=["separated", "constant", "separated the wrong way round"],
)
def test_a_slope_without_solution_is_undefined(y_true, y_score):
    slope = calibration_metrics(y_true, y_score, n_resamples=100)["calibration_slope"]
    assert np.isnan([slope.value, slope.low, slope.high]).all()
    assert slope.n == len(y_true)


def test_every_figure_has_its_n():
    figures = calibration_metrics(*simulate(), n_resamples=100)
    assert list(figures) == list(CALIBRATION_LABELS)
    assert {figure.n for figure in figures.values()} == {600}


@given(labelled_scores())
@settings(max_examples=30)
def test_the_order_of_the_images_does_not_matter(data):
    y_true, y_score = data
    shuffled = np.random.default_rng(0).permutation(len(y_true))
    ours = calibration_metrics(y_true, y_score, n_resamples=100)
    theirs = calibration_metrics(y_true[shuffled], y_score[shuffled], n_resamples=100)
    for name in CALIBRATION_LABELS:
        assert ours[name].value == pytest.approx(theirs[name].value, rel=1e-5, abs=1e-9, nan_ok=True)
        assert ours[name].high == pytest.approx(theirs[name].high, rel=1e-5, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_bins": 0}, "n_bins must be a whole number"),
        ({"strategy": "mass"}, "Unknown strategy 'mass'"),
    ],
)
def test_bins_that_cannot_be(changed, message):
    with pytest.raises((ParameterError, UnknownNameError), match=message):
        reliability_curve([0, 1], [0.2, 0.7], **changed)


@pytest.mark.parametrize("nearest", [1e-7, 1e-9, 1e-12])
@pytest.mark.parametrize("method", ["sigmoid", "temperature"])
def test_what_is_fitted_is_what_is_applied_near_0_and_1(nearest, method):
    """Platt's regression by scikit-learn, on log odds in float64 that nothing cuts off."""
    rng = np.random.default_rng(0)
    far = np.log(1 / nearest)
    odds = rng.uniform(-far, far, 400)
    truth = (rng.random(400) < expit(odds * 0.2 + 0.3)).astype(int)
    scores = expit(odds)
    calibration = fit_calibration(truth, scores, method=method)
    n_melanoma = truth.sum()
    if method == "sigmoid":
        high, low = (n_melanoma + 1) / (n_melanoma + 2), 1 / (400 - n_melanoma + 2)
        target = np.where(truth == 1, high, low)
    else:
        target = truth.astype(float)
    rows = np.concatenate([logit(scores)] * 2)[:, None]
    weights = np.concatenate([target, 1 - target])
    classes = np.repeat([1, 0], 400)
    referee = LogisticRegression(
        C=np.inf, tol=1e-12, max_iter=1000, fit_intercept=method == "sigmoid", solver="newton-cholesky"
    )
    referee.fit(rows, classes, sample_weight=weights)
    expected = referee.predict_proba(logit(scores)[:, None])[:, 1]
    np.testing.assert_allclose(calibration.apply(scores), expected, atol=1e-6)


def test_scores_of_0_and_1_lie_beside_the_nearest():
    truth, scores = np.array([0, 1, 0, 1] * 20), np.array([1e-12, 1 - 1e-12, 0.6, 0.7] * 20)
    with_ends = np.concatenate([scores, [0.0, 1.0]]), np.concatenate([truth, [0, 1]])
    beside = np.concatenate([scores, [1e-12, 1 - 1e-12]]), with_ends[1]
    assert fit_calibration(with_ends[1], with_ends[0]) == fit_calibration(beside[1], beside[0])


def test_scores_of_0_and_1_that_are_all_right_are_not_called_too_high():
    truth = np.repeat([0, 1], [200, 50])
    assert np.isnan(calibration_metrics(truth, truth.astype(float))["calibration_intercept"].value)
    assert "no probabilities" not in str(MetricsReport.from_scores(truth, truth.astype(float)))


def test_few_images_of_a_class_are_pointed_out(caplog):
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], [200, 20])
    scores = np.clip(rng.normal(0.3 + 0.2 * truth, 0.15), 0.01, 0.99)
    fit_calibration(truth, scores)
    assert [record.getMessage() for record in caplog.records] == [
        "calibrated on 20 melanoma and 200 benign images: with 20 or fewer of a class, probabilities are uncertain"
    ]
    caplog.clear()
    fit_calibration(np.r_[truth, 1], np.r_[scores, 0.6])
    assert not caplog.records
