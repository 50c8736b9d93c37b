"""Every figure against another implementation, every interval against theory or a plain bootstrap."""

import numpy as np
import pandas as pd
import pytest
from drawn_scores import labelled_scores, simulate
from hypothesis import given, settings
from hypothesis import strategies as st
from isic_challenge_scoring.classification import ClassificationMetric, ClassificationScore
from scipy.special import expit, logit
from sklearn import metrics as sk
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.metrics.binary import average_precision, matrix_metrics, partial_auc, roc_auc, score_metrics
from melanoma_tl.metrics.clinical_utility import net_benefit
from melanoma_tl.metrics.comparisons import compare
from melanoma_tl.metrics.confusion import ConfusionCounts, confusion_counts, confusion_metric, threshold_metrics
from melanoma_tl.metrics.decision_curves import cumulative_gain, decision_curve
from melanoma_tl.metrics.intervals import wilson_interval
from melanoma_tl.metrics.metric import LABELS
from melanoma_tl.metrics.multiclass import multiclass_metrics
from melanoma_tl.metrics.reliability import calibration_metrics
from melanoma_tl.metrics.sensitivity_specificity import specificity_at_sensitivity


@given(labelled_scores())
@settings(max_examples=100)
def test_auc_and_average_precision_are_those_of_scikit_learn(data):
    y_true, y_score = data
    assert roc_auc(y_true, y_score) == pytest.approx(sk.roc_auc_score(y_true, y_score), abs=1e-12)
    assert average_precision(y_true, y_score) == pytest.approx(sk.average_precision_score(y_true, y_score), abs=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@given(labelled_scores(), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
@settings(max_examples=50)
def test_figures_at_a_threshold_are_those_of_scikit_learn(data, threshold):
    y_true, y_score = data
    y_pred = (y_score > threshold).astype(int)
    counts = confusion_counts(y_true, y_score, threshold)
    assert counts == tuple(sk.confusion_matrix(y_true, y_pred).ravel())
    ours = threshold_metrics(*counts)
    undefined = {"zero_division": np.nan}
    theirs = {
        "accuracy": sk.accuracy_score(y_true, y_pred),
        "balanced_accuracy": sk.balanced_accuracy_score(y_true, y_pred),
        "sensitivity": sk.recall_score(y_true, y_pred),
        "specificity": sk.recall_score(y_true, y_pred, pos_label=0),
        "precision": sk.precision_score(y_true, y_pred, **undefined),
        "npv": sk.precision_score(y_true, y_pred, pos_label=0, **undefined),
        "f1": sk.f1_score(y_true, y_pred),
        "iou_melanoma": sk.jaccard_score(y_true, y_pred),
        "iou_benign": sk.jaccard_score(y_true, y_pred, pos_label=0),
        "mcc": sk.matthews_corrcoef(y_true, y_pred) if 0 < y_pred.sum() < len(y_pred) else np.nan,
        "kappa": sk.cohen_kappa_score(y_true, y_pred),
    }
    ratios = sk.class_likelihood_ratios(y_true, y_pred, replace_undefined_by=np.nan)
    theirs |= dict(zip(("lr_positive", "lr_negative"), ratios, strict=True))
    assert ours == pytest.approx(theirs, abs=1e-12, nan_ok=True)


@given(labelled_scores())
@settings(max_examples=100)
def test_partial_auc_is_that_of_the_challenge_of_2024(data):
    y_true, y_score = data
    # The challenge's scorer: classes and scores turned round, so that sensitivity takes the place of specificity,
    # and the rescaling taken back.
    rescaled = sk.roc_auc_score(1 - y_true, -y_score, max_fpr=0.2)
    lowest, highest = 0.2**2 / 2, 0.2
    official = lowest + (highest - lowest) * (2 * rescaled - 1)
    assert partial_auc(y_true, y_score) == pytest.approx(official, abs=1e-12)


@pytest.mark.filterwarnings("ignore:Arrays of 2-dimensional vectors:DeprecationWarning")
def test_partial_auc_is_what_the_challenge_scorer_counts_above_the_line():
    y_true, y_score = simulate()
    # Its area reaches down to a sensitivity of 0; 0.8 of its width lies under the line.
    ends = specificity_at_sensitivity(y_true, y_score, [0.8], n_resamples=100)[0].interpolated.value
    area = official_scores(y_true, y_score)["auc_sens_80"]
    assert partial_auc(y_true, y_score) == pytest.approx(area - 0.8 * ends, abs=1e-12)


def test_partial_auc_of_chance_and_of_perfect_scores():
    assert partial_auc([0, 0, 1, 1], [0.5] * 4) == pytest.approx(0.02)
    assert partial_auc([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]) == pytest.approx(0.2)


@pytest.mark.parametrize("counts", [ConfusionCounts(72, 3, 17, 58), ConfusionCounts(300, 50, 8, 90)])
def test_likelihood_ratios_have_the_interval_of_a_ratio_of_two_proportions(counts):
    tn, fp, fn, tp = counts
    figures = matrix_metrics(counts)
    for name, of_melanoma, of_benign in (("lr_positive", tp, fp), ("lr_negative", fn, tn)):
        ends = confint_proportions_2indep(
            of_melanoma, counts.n_melanoma, of_benign, counts.n_benign, compare="ratio", method="log"
        )
        assert (figures[name].low, figures[name].high) == pytest.approx(ends, rel=1e-9)
        assert (figures[name].n, figures[name].method) == (counts.n, "log method")


def test_likelihood_ratios_where_a_count_is_zero():
    everything = matrix_metrics(ConfusionCounts(tn=0, fp=40, fn=0, tp=20))
    assert everything["lr_positive"].value == 1
    assert np.isnan(everything["lr_negative"].value)
    none_missed = matrix_metrics(ConfusionCounts(tn=30, fp=10, fn=0, tp=20))["lr_negative"]
    assert (none_missed.value, none_missed.low) == (0, 0)
    assert 0 < none_missed.high < 0.6
    no_alarm = matrix_metrics(ConfusionCounts(tn=40, fp=0, fn=5, tp=15))["lr_positive"]
    assert np.isnan([no_alarm.value, no_alarm.low, no_alarm.high]).all()


def test_intervals_of_likelihood_ratios_cover():
    rng = np.random.default_rng(0)
    hits = {"lr_positive": 0, "lr_negative": 0}
    for tp, fp in zip(rng.binomial(60, 0.9, 400), rng.binomial(300, 0.3, 400), strict=True):
        counts = ConfusionCounts(300 - int(fp), int(fp), 60 - int(tp), int(tp))
        figures = matrix_metrics(counts, n_resamples=100)
        for name, truth in (("lr_positive", 3.0), ("lr_negative", 1 / 7)):
            hits[name] += figures[name].low <= truth <= figures[name].high
    assert all(0.92 <= hit / 400 <= 0.99 for hit in hits.values()), hits


def test_the_interval_of_kappa_is_about_that_of_its_known_variance():
    counts = ConfusionCounts(tn=180, fp=20, fn=15, tp=85)
    theirs = cohens_kappa(np.array([[180, 20], [15, 85]]))  # Fleiss, Cohen and Everitt 1969
    ours = matrix_metrics(counts, n_resamples=5000)["kappa"]
    assert ours.value == pytest.approx(theirs.kappa)
    assert (ours.low, ours.high) == pytest.approx((theirs.kappa_low, theirs.kappa_upp), abs=0.015)


def test_groups_are_drawn_whole_for_the_new_figures_too():
    y_true, y_score = simulate()
    twice = score_metrics(np.tile(y_true, 2), np.tile(y_score, 2), groups=np.tile(np.arange(600), 2), n_resamples=500)
    once = score_metrics(y_true, y_score, n_resamples=500)
    for name in ("partial_auc", "mcc", "kappa", "lr_positive", "lr_negative"):
        assert twice[name].method == "cluster bootstrap"
        assert twice[name].high - twice[name].low == pytest.approx(once[name].high - once[name].low, rel=0.15), name


def test_intervals_of_figures_below_zero_and_above_one_are_not_cut():
    y_true, y_score = simulate()
    groups = np.arange(len(y_true)) // 2
    wrong = score_metrics(y_true, 1 - y_score, groups=groups, n_resamples=200)
    assert wrong["mcc"].low < wrong["mcc"].high < 0
    assert wrong["kappa"].low < wrong["kappa"].high < 0
    right = score_metrics(y_true, y_score, groups=groups, n_resamples=200)["lr_positive"]
    assert 1 < right.low < right.value < right.high


def official_scores(y_true, y_score):
    """The ISIC challenge's own scorer; two columns, for with one its balanced accuracy is always 1."""
    truth = pd.DataFrame({"melanoma": y_true.astype(float), "benign": 1.0 - y_true})
    prediction = pd.DataFrame({"melanoma": y_score, "benign": 1 - y_score})
    weights = pd.DataFrame({"score_weight": np.ones(len(y_true)), "validation_weight": np.ones(len(y_true))})
    return ClassificationScore(truth, prediction, weights, ClassificationMetric.AUC).per_category.loc["melanoma"]


def assert_official(y_true, y_score):
    official = official_scores(y_true, y_score)
    ours = score_metrics(y_true, y_score, n_resamples=100)
    names = {"auc": "auc", "average_precision": "ap", "f1": "dice", "precision": "ppv", "npv": "npv"}
    names |= {name: name for name in ("accuracy", "sensitivity", "specificity")}
    for name, theirs in names.items():
        assert ours[name].value == pytest.approx(official[theirs], abs=1e-12), name


@pytest.mark.filterwarnings("ignore:Arrays of 2-dimensional vectors:DeprecationWarning")
def test_figures_are_those_of_the_challenge_scorer():
    y_true, y_score = simulate()
    y_score[::7] = 0.5  # on the threshold: predicted benign
    assert_official(y_true, y_score.round(2))


@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore:Arrays of 2-dimensional vectors:DeprecationWarning")
def test_figures_are_those_of_the_challenge_scorer_on_the_ground_truth_of_2017(real_data):
    table = pd.read_csv(real_data / "ISIC-2017_Test_v2_Part3_GroundTruth.csv")
    y_true = table["melanoma"].to_numpy().astype(int)
    assert (len(y_true), y_true.sum()) == (600, 117)
    rng = np.random.default_rng(2017)
    assert_official(y_true, np.clip(rng.normal(0.3 + 0.25 * y_true, 0.2), 0, 1).round(3))


def test_a_score_on_the_threshold_is_benign():
    assert confusion_counts([0, 1, 1], [0.5, 0.5, 0.5000001]) == (1, 0, 1, 1)


# Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_is_the_published_one(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_of_nothing_is_undefined():
    assert np.isnan(wilson_interval(0, 0)).all()


def test_intervals_of_the_published_matrix():
    figures = matrix_metrics(ConfusionCounts(tn=72, fp=3, fn=17, tp=58))
    expected = {
        "accuracy": (0.803, 0.912, 150),
        "sensitivity": (0.667, 0.853, 75),
        "specificity": (0.889, 0.986, 75),
        "precision": (0.865, 0.983, 61),
    }
    for name, (low, high, n) in expected.items():
        metric = figures[name]
        assert (round(metric.low, 3), round(metric.high, 3), metric.n, metric.method) == (low, high, n, "wilson"), name
    assert "auc" not in figures


def test_bootstrap_agrees_with_a_plain_loop():
    y_true, y_score = simulate(40, 90)
    melanoma, benign = y_score[y_true == 1], y_score[y_true == 0]
    rng = np.random.default_rng(1)
    draws = []
    for _ in range(400):
        scores = np.concatenate([rng.choice(side, len(side)) for side in (melanoma, benign)])
        figures = threshold_metrics(*confusion_counts(y_true, scores))
        ranked = sk.roc_auc_score(y_true, scores), sk.average_precision_score(y_true, scores)
        draws.append([*ranked, figures["balanced_accuracy"], figures["f1"], figures["iou_benign"]])
    expected = np.quantile(draws, [0.025, 0.975], axis=0).T
    figures = score_metrics(y_true, y_score)
    names = ("auc", "average_precision", "balanced_accuracy", "f1", "iou_benign")
    ours = [(figures[name].low, figures[name].high) for name in names]
    np.testing.assert_allclose(ours[2:], expected[2:], atol=0.02)
    np.testing.assert_allclose(ours[:2], expected[:2], atol=0.04)  # by formula, not by resampling


def test_a_matrix_has_the_bootstrap_of_its_predictions():
    y_true, y_score = simulate(40, 90)
    from_scores = score_metrics(y_true, y_score, n_resamples=5000)
    from_matrix = matrix_metrics(confusion_counts(y_true, y_score), n_resamples=5000)
    for name, metric in from_matrix.items():
        assert (metric.value, metric.n) == (from_scores[name].value, from_scores[name].n)
        assert (metric.low, metric.high) == pytest.approx((from_scores[name].low, from_scores[name].high), abs=0.015)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    # AUC of two normals of unit variance one apart is Phi(1 / sqrt(2)).
    truth, hits, trials = 0.7602, 0, 200
    y_true = np.repeat([1, 0], [60, 60])
    for seed in range(trials):
        noise = np.random.default_rng(seed).normal(y_true, 1)
        auc = score_metrics(y_true, 1 / (1 + np.exp(-noise)), n_resamples=200, random_state=seed)["auc"]
        hits += auc.low <= truth <= auc.high
    assert 0.90 <= hits / trials <= 0.99


def test_same_seed_same_interval_and_batches_do_not_matter(monkeypatch):
    y_true, y_score = simulate()
    figures = score_metrics(y_true, y_score, random_state=7)
    assert figures == score_metrics(y_true, y_score, random_state=7)
    assert figures["f1"] != score_metrics(y_true, y_score, random_state=8)["f1"]
    monkeypatch.setattr("melanoma_tl.metrics.resampling._BATCH_CELLS", 20_000)
    in_batches = score_metrics(y_true, y_score, random_state=7)
    assert (in_batches["f1"].low, in_batches["f1"].high) == pytest.approx(
        (figures["f1"].low, figures["f1"].high), abs=0.01
    )


def test_a_wider_confidence_is_a_wider_interval():
    y_true, y_score = simulate()
    narrow, wide = (score_metrics(y_true, y_score, confidence=confidence) for confidence in (0.8, 0.99))
    for name in LABELS:
        assert wide[name].low < narrow[name].low < narrow[name].high < wide[name].high, name


def test_nothing_predicted_melanoma_leaves_precision_undefined():
    figures = score_metrics([0, 0, 1], [0.1, 0.2, 0.3])
    precision = figures["precision"]
    assert precision.n == 0
    assert np.isnan([precision.value, precision.low, precision.high]).all()
    assert figures["f1"].value == 0
    assert figures["npv"].value == pytest.approx(2 / 3)


def test_perfect_scores_have_the_documented_interval():
    figures = score_metrics([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert (figures["auc"].value, figures["auc"].high) == (1, 1)
    assert figures["auc"].low < 0.6
    assert figures["sensitivity"].low == pytest.approx(0.342, abs=5e-4)


def test_many_matrices_at_once():
    tp = np.arange(4)
    values = confusion_metric("precision", 3, 0, 3 - tp, tp)
    np.testing.assert_array_equal(values, [np.nan, 1, 1, 1])


@pytest.mark.parametrize("y_true", [[], [0, 0], [1, 1]])
def test_one_class_is_an_error_that_says_so(y_true):
    with pytest.raises(DatasetError, match=r"both classes, got .* melanoma and .* benign; add images"):
        score_metrics(y_true, [0.5] * len(y_true))


@pytest.mark.parametrize(
    "bad", [{"threshold": 1.5}, {"threshold": "auto"}, {"confidence": 95}, {"n_resamples": 10}], ids=str
)
def test_parameters_out_of_range(bad):
    with pytest.raises(ParameterError, match=next(iter(bad))):
        score_metrics([0, 1], [0.2, 0.7], **bad)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "prevalence"), [(150, 0.2), (600, 0.05)])
def test_intervals_hold_the_truth_where_the_share_of_melanomas_is_drawn(n, prevalence):
    """With the class sizes held fixed these held it in 26 to 88 % of the samples."""
    rng = np.random.default_rng(7)

    def draw(size):
        truth = (rng.random(size) < prevalence).astype(int)
        odds = rng.normal(1.5 * truth, 1)
        return truth, expit(logit(prevalence) + 1.5 * odds - 1.5**2 / 2)

    truth, scores = draw(1_000_000)
    expected = {
        "f1": threshold_metrics(*confusion_counts(truth, scores, prevalence))["f1"],
        "net benefit": float(np.mean((scores > 0.1) * np.where(truth == 1, 1, -1 / 9))),
    }
    hits = dict.fromkeys(expected, 0)
    for _ in range(200):
        sample = draw(n)
        f1 = score_metrics(*sample, threshold=prevalence, n_resamples=200)["f1"]
        curve = decision_curve(*sample, [0.1], n_resamples=200)
        hits["f1"] += f1.low <= expected["f1"] <= f1.high
        hits["net benefit"] += float(curve.low[0]) <= expected["net benefit"] <= float(curve.high[0])
    assert all(count >= 176 for count in hits.values()), hits


@pytest.mark.parametrize("seed", range(30))
def test_no_interval_leaves_out_its_own_value(seed):
    """Resamples of few images scatter around other values than theirs, the most so at a low confidence."""
    rng = np.random.default_rng(seed)
    truth, scores = np.array([0, 0, 0, 1, 1, 1]), rng.random(6).round(1)
    patients = [0, 0, 1, 1, 2, 3]
    for groups in (None, patients):
        options = {"confidence": 0.1, "n_resamples": 100, "groups": groups}
        figures = score_metrics(truth, scores, **options) | calibration_metrics(truth, scores, **options)
        for name, one in figures.items():
            assert np.isnan(one.value) or one.low <= one.value <= one.high, name
            assert not np.isnan(one.value) or np.isnan(one.low), name
        curve = decision_curve(truth, scores, **options)
        assert (curve.low <= curve.net_benefit).all()
        assert (curve.net_benefit <= curve.high).all()
        gain = cumulative_gain(truth, scores, **options)
        assert (gain.low <= gain.found).all()
        assert (gain.found <= gain.high).all()
        for row in net_benefit(truth, scores, **options).rows:
            assert all(one.low <= one.value <= one.high for one in (row.value, row.standardised, row.over_all))
        compared = compare(truth, scores, rng.random(6), **options)
        for name, one in compared.differences.items():
            assert np.isnan(one.value) or one.low <= one.value <= one.high, name


@pytest.mark.parametrize("seed", range(10))
def test_no_interval_of_several_classes_leaves_out_its_own_value(seed):
    truth, scores = np.tile([0, 1, 2], 3), np.random.default_rng(seed).dirichlet([1, 1, 1], 9)
    found = multiclass_metrics(truth, scores, n_classes=3, confidence=0.1, n_resamples=100)
    for one in (found.balanced_accuracy, found.accuracy, *found.macro.values()):
        assert np.isnan(one.value) or one.low <= one.value <= one.high


def test_copies_of_an_image_count_as_one_in_proportions():
    y_true, y_score = simulate(40, 90)
    alone = score_metrics(y_true, y_score, n_resamples=100)
    copies = np.repeat(np.arange(130), 5)
    together = score_metrics(y_true[copies], y_score[copies], groups=copies, n_resamples=100)
    for name in ("sensitivity", "specificity", "accuracy", "precision", "npv"):
        one, other = alone[name], together[name]
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high)), name
        assert (other.n, other.method) == (5 * one.n, "clustered wilson")


def test_proportions_of_few_patients_that_are_all_right_have_a_width():
    truth = np.repeat([1, 0], 40)
    found = score_metrics(truth, 0.1 + 0.8 * truth, groups=np.arange(80) // 10, n_resamples=100)
    for name, n in (("sensitivity", 4), ("specificity", 4), ("accuracy", 8), ("precision", 4), ("npv", 4)):
        low, high = proportion_confint(n, n, method="wilson")
        assert (found[name].low, found[name].high) == pytest.approx((low, high)), name
