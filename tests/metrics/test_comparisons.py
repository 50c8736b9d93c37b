"""Comparisons against published worked examples, literal definitions and plain bootstraps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binomtest, norm
from statsmodels.stats.proportion import proportion_confint

from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.metrics.binary import roc_auc, score_metrics
from melanoma_tl.metrics.comparisons import compare, delong, delong_interval, mcnemar
from melanoma_tl.metrics.confusion import confusion_counts, threshold_metrics
from melanoma_tl.metrics.metric import LABELS

# DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988): 43 patients with albumin, total protein, K-G score, and
# whether surgery helped; as printed in the SAS/STAT User's Guide, "Comparing Receiver Operating Characteristic Curves".
PATIENTS = np.fromstring(
    """
    3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1
    3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0
    2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1
    3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0
    3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1
    3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
    """,
    sep=" ",
).reshape(-1, 4)


@st.composite
def two_classifiers(draw):
    """Labels with at least two of each class, and two sets of scores, sometimes mostly tied."""
    n = draw(st.integers(4, 40))
    y_true = draw(hnp.arrays(np.int64, n, elements=st.integers(0, 1)))
    y_true[:4] = 0, 0, 1, 1
    steps = draw(st.sampled_from([1, 3, 1000]))
    first, second = (draw(hnp.arrays(np.int64, n, elements=st.integers(0, steps))) / steps for _ in range(2))
    return y_true, first, second


def simulate(n_melanoma=60, n_benign=150, seed=0):
    """A good classifier and one that adds noise to it."""
    rng = np.random.default_rng(seed)
    y_true = np.repeat([1, 0], [n_melanoma, n_benign])
    odds = rng.normal(2 * y_true - 1.5, 1.2)
    return y_true, 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(-odds - rng.normal(0, 1, len(odds))))


# -- DeLong ------------------------------------------------------------------------------------------------------------


def test_delong_is_the_published_one():
    albumin, protein, kg_score, helped = PATIENTS.T
    found = delong(helped.astype(int), albumin, protein, 10 - kg_score)
    # SAS/STAT User's Guide, ROC association statistics: area, and its standard error.
    np.testing.assert_allclose(found.aucs, [0.7366, 0.6478, 0.7258], atol=5e-5)
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), [0.0927, 0.1000, 0.1028], atol=5e-5)
    # The same, contrasts with the K-G score: difference, standard error, two-sided p.
    for position, expected in ((0, (0.0108, 0.0953, 0.9102)), (1, (-0.0780, 0.1046, 0.4561))):
        contrast = np.eye(3)[position] - np.eye(3)[2]
        difference, error = contrast @ found.aucs, np.sqrt(contrast @ found.covariance @ contrast)
        p_value = 2 * norm.sf(abs(difference / error))
        assert (difference, error, p_value) == pytest.approx(expected, abs=5e-5)


def test_the_difference_of_two_published_areas():
    albumin, _, kg_score, helped = PATIENTS.T
    auc = compare(helped.astype(int), albumin / 10, (10 - kg_score) / 10, n_resamples=100).differences["auc"]
    assert (auc.value, auc.low, auc.high) == pytest.approx((0.0108, -0.1761, 0.1976), abs=5e-5)
    assert (auc.p_value, auc.test, auc.method) == (pytest.approx(0.9102, abs=5e-5), "DeLong", "delong")


def test_the_interval_of_a_published_area():
    # Hanley and McNeil, Radiology 143 (1982), table I: ratings of 109 CT images. Area, standard error and interval as
    # the Stata Base Reference Manual prints them under roctab: 0.8932, 0.0307, 0.83295 to 0.95339.
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    y_true = np.repeat([0, 1], [58, 51])
    rating = np.concatenate([np.repeat(range(5), counts) for counts in (normal, abnormal)])
    auc = delong_interval(y_true, rating)
    assert auc.value == pytest.approx(0.8932, abs=5e-5)
    assert (auc.low, auc.high) == pytest.approx((0.83295, 0.95339), abs=5e-6)
    assert (auc.n, auc.method) == (109, "delong")


@given(two_classifiers())
@settings(max_examples=100)
def test_delong_is_its_definition(data):
    y_true, *scores = data
    wins = []
    for values in scores:
        melanoma, benign = values[y_true == 1], values[y_true == 0]
        wins.append((melanoma[:, None] > benign) + 0.5 * (melanoma[:, None] == benign))
    by_melanoma, by_benign = (np.array([table.mean(axis=axis) for table in wins]) for axis in (1, 0))
    covariance = np.cov(by_melanoma) / by_melanoma.shape[1] + np.cov(by_benign) / by_benign.shape[1]
    found = delong(y_true, *scores)
    np.testing.assert_allclose(found.aucs, [roc_auc(y_true, values) for values in scores], atol=1e-12)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-12)


@given(two_classifiers())
@settings(max_examples=50)
def test_neither_order_nor_scale_nor_side_matters(data):
    y_true, first, second = data
    shuffled = np.random.default_rng(0).permutation(len(y_true))
    found = delong(y_true, first, second)
    for other in (
        delong(y_true[shuffled], first[shuffled], second[shuffled]),
        delong(y_true, 5 * first - 2, second**3),
        delong(1 - y_true, -first, -second),
    ):
        np.testing.assert_allclose(other.aucs, found.aucs, atol=1e-12)
        np.testing.assert_allclose(other.covariance, found.covariance, atol=1e-12)


def test_delong_and_the_bootstrap_agree():
    y_true, first, _ = simulate(117, 483)
    by_bootstrap = score_metrics(y_true, first)["auc"]
    auc = delong_interval(y_true, first)
    assert (auc.low, auc.high) == pytest.approx((by_bootstrap.low, by_bootstrap.high), abs=0.01)


def test_intervals_of_a_difference_cover_the_truth_about_as_often_as_they_say():
    # Two classifiers that see the same signal through noise of the same size: their areas differ by chance alone.
    hits = rejections = 0
    y_true = np.repeat([1, 0], [50, 80])
    for seed in range(300):
        rng = np.random.default_rng(seed)
        signal = rng.normal(y_true, 1)
        found = delong(y_true, *(signal + rng.normal(0, 0.7, len(y_true)) for _ in range(2)))
        error = np.sqrt(np.array([1, -1]) @ found.covariance @ np.array([1, -1]))
        difference = found.aucs[0] - found.aucs[1]
        hits += abs(difference) <= 1.96 * error
        rejections += 2 * norm.sf(abs(difference) / error) < 0.05
    assert 0.91 <= hits / 300 <= 0.99
    assert rejections == 300 - hits


def test_one_image_of_a_class_has_no_variance():
    with pytest.raises(DatasetError, match="two images of each class, got 1 melanoma and 2 benign"):
        delong([0, 0, 1], [0.1, 0.2, 0.3])


# -- McNemar -----------------------------------------------------------------------------------------------------------


def pairs(only_first, only_second, both=5, neither=5):
    first = np.repeat([True, False, True, False], [only_first, only_second, both, neither])
    second = np.repeat([False, True, True, False], [only_first, only_second, both, neither])
    return first, second


def test_mcnemar_is_the_published_one():
    # Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13:91 (2013), table 1 and its p-values.
    found = mcnemar(*pairs(1, 7, both=1, neither=12))
    assert (found.only_first, found.only_second) == (1, 7)
    assert found.exact == pytest.approx(0.0703, abs=5e-5)
    assert found.mid_p == pytest.approx(0.0391, abs=5e-5)


def test_mcnemar_agrees_with_the_large_sample_test():
    # Agresti, Categorical Data Analysis, 2nd edition, table 10.1: 86 and 150 changed their minds, z = -4.17.
    found = mcnemar(*pairs(86, 150, both=794, neither=570))
    asymptotic = 2 * norm.sf(abs(86 - 150) / np.sqrt(86 + 150))
    assert found.mid_p == pytest.approx(asymptotic, rel=0.1)
    assert found.exact > found.mid_p


@given(st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=100)
def test_mcnemar_is_the_binomial_test_of_the_disagreements(only_first, only_second):
    found = mcnemar(*pairs(only_first, only_second))
    n = only_first + only_second
    assert found.exact == pytest.approx(binomtest(only_first, n).pvalue if n else 1.0, abs=1e-12)
    assert 0 <= found.mid_p <= found.exact <= 1
    assert mcnemar(*pairs(only_second, only_first))[2:] == pytest.approx(found[2:])


def test_classifiers_that_are_right_together_do_not_differ():
    assert mcnemar([True, False], [True, False]) == (0, 0, 1.0, 1.0)


def test_both_classifiers_need_the_same_images():
    with pytest.raises(ParameterError, match=r"shapes \(2,\) and \(1,\)"):
        mcnemar([True, False], [True])


# -- both in one table -------------------------------------------------------------------------------------------------


def test_differences_are_those_of_the_figures():
    y_true, first, second = simulate()
    found = compare(y_true, first, second, thresholds=(0.4, 0.6), n_resamples=100)
    ours, theirs = score_metrics(y_true, first, threshold=0.4), score_metrics(y_true, second, threshold=0.6)
    assert list(found.differences) == list(LABELS)
    for name, row in found.differences.items():
        assert (row.first, row.second) == pytest.approx((ours[name].value, theirs[name].value), abs=1e-12)
        assert row.value == pytest.approx(row.first - row.second, abs=1e-12)
        assert row.low <= row.value <= row.high


def test_disagreements_are_counted_in_each_class():
    y_true, first, second = simulate()
    found = compare(y_true, first, second, n_resamples=100)
    for name, rows in {"sensitivity": y_true == 1, "specificity": y_true == 0, "accuracy": y_true >= 0}.items():
        right = [((scores > 0.5) == y_true)[rows] for scores in (first, second)]
        assert found.disagreements[name] == mcnemar(*right)
        assert found.differences[name].p_value == found.disagreements[name].mid_p
        assert found.differences[name].test == "McNemar mid-p"
    assert np.isnan(found.differences["f1"].p_value)


def test_the_paired_bootstrap_agrees_with_a_plain_loop():
    y_true, first, second = simulate()
    rng = np.random.default_rng(1)
    rows_of = [np.flatnonzero(y_true == label) for label in (0, 1)]
    draws = []
    for _ in range(500):
        rows = np.concatenate([rng.choice(rows, len(rows)) for rows in rows_of])
        ours, theirs = (threshold_metrics(*confusion_counts(y_true[rows], scores[rows])) for scores in (first, second))
        draws.append([ours[name] - theirs[name] for name in ("f1", "precision", "specificity")])
    expected = np.quantile(draws, [0.025, 0.975], axis=0).T
    found = compare(y_true, first, second).differences
    ends = [(found[name].low, found[name].high) for name in ("f1", "precision", "specificity")]
    np.testing.assert_allclose(ends, expected, atol=0.02)


def test_the_pairing_narrows_the_interval():
    y_true, first, second = simulate()
    paired = compare(y_true, first, second).differences["average_precision"]
    alone = [score_metrics(y_true, scores)["average_precision"] for scores in (first, second)]
    assert paired.high - paired.low < 0.8 * np.hypot(*(figure.high - figure.low for figure in alone))


def test_turning_the_comparison_round_turns_its_signs_round():
    y_true, first, second = simulate()
    there, back = compare(y_true, first, second), compare(y_true, second, first)
    for name in LABELS:
        one, other = there.differences[name], back.differences[name]
        assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low), abs=1e-12)
        assert one.p_value == pytest.approx(other.p_value, nan_ok=True)


def test_a_classifier_does_not_differ_from_itself():
    y_true, first, _ = simulate()
    found = compare(y_true, first, first, n_resamples=100)
    for row in found.differences.values():
        assert row.value == 0
        assert row.low < 0 < row.high
        assert row.method == "wilson"
    assert found.differences["auc"].p_value == 1


def test_what_was_not_seen_reaches_as_far_as_the_scale_of_the_figure():
    y_true, first, _ = simulate()
    found = compare(y_true, first, first, n_resamples=100).differences
    melanoma, benign = (proportion_confint(0, n, method="wilson")[1] for n in (y_true.sum(), (1 - y_true).sum()))
    assert found["partial_auc"].high == pytest.approx(0.2 * melanoma)
    assert found["mcc"].high == found["kappa"].high == pytest.approx(2 * melanoma)
    assert found["specificity"].high == pytest.approx(benign)
    sensitivity, alarms = found["sensitivity"].first, 1 - found["specificity"].first
    reach = min(sensitivity + melanoma, 1) / (alarms - benign) - sensitivity / alarms
    assert (found["lr_positive"].low, found["lr_positive"].high) == pytest.approx((-reach, reach))
    reach = (1 - sensitivity + melanoma) / (1 - alarms - benign) - (1 - sensitivity) / (1 - alarms)
    assert found["lr_negative"].high == pytest.approx(reach)


def test_a_likelihood_ratio_of_hardly_any_false_alarms_may_differ_without_end():
    y_true, scores = np.repeat([1, 0], [60, 60]), np.tile([0.9, 0.8, 0.1], 40)
    scores[y_true == 0] = np.where(np.arange(60) == 0, 0.9, 0.1)
    row = compare(y_true, scores, scores, n_resamples=100).differences["lr_positive"]
    assert (row.value, row.low, row.high) == (0, -np.inf, np.inf)


def test_areas_without_variance_are_not_tested():
    found = compare([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1], n_resamples=100)
    assert found.differences["auc"].value == 1
    assert np.isnan(found.differences["auc"].p_value)
    assert "nan" not in str(found)


def test_patients_are_resampled_whole_and_only_the_area_is_tested():
    values = simulate(30, 60)
    y_true, first, second, patient = (np.repeat(column, 4) for column in (*values, np.arange(90)))
    alone = compare(y_true, first, second)
    together = compare(y_true, first, second, groups=patient)
    methods = {name: row.method for name, row in together.differences.items()}
    assert methods.pop("auc") == "clustered delong"
    assert set(methods.values()) == {"cluster bootstrap"}
    assert [name for name, row in together.differences.items() if not np.isnan(row.p_value)] == ["auc"]
    assert together.differences["auc"].p_value == pytest.approx(alone.differences["auc"].p_value, abs=0.2)
    one, other = alone.differences["f1"], together.differences["f1"]
    assert other.high - other.low > 1.5 * (one.high - one.low)


def test_an_undefined_difference_says_so():
    found = compare([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.6, 0.7], n_resamples=100)
    assert np.isnan(found.differences["precision"].value)
    assert "undefined" in str(found)
    assert "nan" not in str(found) + found.to_markdown()


def test_a_comparison_can_be_read(capsys):
    y_true, first, second = simulate()
    found = compare(y_true, first, second, names=("VGG19", "VGG16"), left_out=3)
    text = str(found)
    assert text.startswith("VGG19 against VGG16\n  210 images scored by both: 60 melanoma, 150 benign; 3 scored by one")
    alone = found.disagreements["sensitivity"]
    assert f"Melanomas that one alone calls right: {alone.only_first} VGG19, {alone.only_second} VGG16" in text
    assert "not corrected for the number of metrics" in text
    rows = text.split("\n\n")[1].splitlines()
    assert len({len(row) for row in rows}) == 1, "columns are aligned"
    assert found._repr_html_().count("<tr ") == 1 + len(LABELS)
    table = [line for line in found.to_markdown().splitlines() if line.startswith("|")]
    assert len(table) == len(LABELS) + 2
    assert len({line.count("|") for line in table}) == 1
    frame = found.to_frame()
    assert frame["metric"].tolist() == list(LABELS)
    by_metric = frame.set_index("metric")
    assert by_metric.loc["auc", "value"] == found.differences["auc"].value
    assert by_metric.loc[["auc", "sensitivity", "specificity"], "n"].tolist() == [210, 60, 150]
    assert (frame["first_name"] == "VGG19").all()
    assert repr(found).startswith("Comparison(VGG19 against VGG16, AUC +0.")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"second_score": [0.1, 0.2, 0.3]}, "y_score has 3 rows, but y_true has 4"),
        ({"second_score": [0.1, 0.2, 0.3, np.nan]}, "NaN for 1 of 4 images"),
        ({"thresholds": (0.5, 2)}, "thresholds must be two thresholds"),
        ({"names": ("a", "a")}, "names must be two different names"),
        ({"names": ("a", " ")}, "names must be two different names"),
        ({"names": "ab"}, "names must be two different names"),
        ({"names": ["a", "b", "c"]}, "names must be two different names"),
        ({"names": (1, 2)}, "names must be two different names"),
        ({"confidence": 95}, "confidence must be a number between 0 and 1"),
        ({"groups": ["a", "b"]}, "groups has 2"),
        ({"groups": ["a"] * 4}, "more than one patient"),
    ],
)
def test_what_cannot_be_compared(changed, message):
    arguments = {"y_true": [0, 0, 1, 1], "first_score": [0.1, 0.2, 0.7, 0.8], "second_score": [0.1, 0.6, 0.7, 0.8]}
    with pytest.raises(ParameterError, match=message):
        compare(**(arguments | changed))
