"""Operating points against an exhaustive search; specificity at a sensitivity against the challenge's own rule."""

import json
from fractions import Fraction
from math import comb

import numpy as np
import pandas as pd
import pytest
from drawn_scores import labelled_scores, simulate
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import roc_curve
from statsmodels.stats.proportion import proportion_confint

from melanoma_tl import MetricsReport
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.metrics.confusion import confusion_counts
from melanoma_tl.metrics.intervals import wilson_interval
from melanoma_tl.metrics.sensitivity_specificity import (
    SENSITIVITIES,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)
from melanoma_tl.metrics.thresholds import choose_threshold

RULES = [{"sensitivity": 0.9}, {"specificity": 0.8}, {"youden": True}, {"cost_ratio": 5, "prevalence": 0.1}]


def every_point(y_true, y_score):
    """Sensitivity and specificity of everything that a threshold can do, as whole numbers found and spared."""
    cuts = [0.0, *np.unique(y_score)]
    return [confusion_counts(y_true, y_score, cut) for cut in cuts]


@given(labelled_scores(above_zero=True), st.sampled_from([0.01, 0.5, 2 / 3, 0.8, 0.95, 1.0]))
@settings(max_examples=200)
def test_a_sensitivity_is_reached_at_the_smallest_loss_of_specificity(data, target):
    point = choose_threshold(*data, sensitivity=target)
    assert point.counts == confusion_counts(*data, point.threshold)
    assert point.sensitivity.value >= target
    reaching = [counts for counts in every_point(*data) if counts.tp / counts.n_melanoma >= target]
    least = min(counts.fp for counts in reaching)
    assert point.counts.fp == least
    assert point.counts.tp == max(counts.tp for counts in reaching if counts.fp == least)


@given(labelled_scores(above_zero=True), st.sampled_from([0.01, 0.5, 2 / 3, 0.8, 0.95, 1.0]))
@settings(max_examples=200)
def test_a_specificity_is_reached_at_the_smallest_loss_of_sensitivity(data, target):
    point = choose_threshold(*data, specificity=target)
    assert point.counts == confusion_counts(*data, point.threshold)
    reaching = [counts for counts in every_point(*data) if counts.tn / counts.n_benign >= target]
    best = max(counts.tp for counts in reaching)
    assert point.counts.tp == best
    assert point.counts.fp == min(counts.fp for counts in reaching if counts.tp == best)


@given(labelled_scores(above_zero=True))
@settings(max_examples=100)
def test_youden_and_cost_are_the_best_of_all_points_and_the_most_sensitive_of_the_best(data):
    points = every_point(*data)
    youden = choose_threshold(*data, youden=True).counts
    index = [counts.tp * counts.n_benign - counts.fp * counts.n_melanoma for counts in points]
    assert youden.tp * youden.n_benign - youden.fp * youden.n_melanoma == max(index)
    assert youden.tp == max(counts.tp for counts, value in zip(points, index, strict=True) if value == max(index))

    chosen = choose_threshold(*data, cost_ratio=3, prevalence=0.25).counts
    # 0.25 * 3 against 0.75: a missed share of melanomas costs as much as the same share of false alarms.
    assert chosen == youden


@given(labelled_scores(above_zero=True), st.sampled_from(RULES))
@settings(max_examples=50)
def test_the_order_of_the_images_does_not_matter(data, rule):
    y_true, y_score = data
    shuffled = np.random.default_rng(0).permutation(len(y_true))
    assert choose_threshold(y_true[shuffled], y_score[shuffled], **rule) == choose_threshold(*data, **rule)


@given(labelled_scores(above_zero=True), st.sampled_from([0.5, 0.8, 1.0]))
@settings(max_examples=50)
def test_specificity_is_the_sensitivity_of_the_other_class(data, target):
    y_true, y_score = data
    there = choose_threshold(y_true, y_score, sensitivity=target).counts
    back = choose_threshold(1 - y_true, 1 - y_score, specificity=target).counts
    assert (back.tn, back.fp, back.fn, back.tp) == (there.tp, there.fn, there.fp, there.tn)


def test_a_higher_sensitivity_asks_for_a_lower_threshold():
    thresholds = [choose_threshold(*simulate(), sensitivity=target).threshold for target in (0.5, 0.8, 0.9, 0.95, 1)]
    assert thresholds == sorted(thresholds, reverse=True)


def test_a_threshold_lies_halfway_to_the_next_score():
    assert choose_threshold([0, 1], [0.2, 0.6], sensitivity=1).threshold == pytest.approx(0.4)
    assert choose_threshold([0, 1], [0.6, 0.2], specificity=1).threshold == pytest.approx(0.8), "none is predicted"
    assert choose_threshold([0, 1], [0.6, 0.2], sensitivity=1).threshold == pytest.approx(0.1), "all are predicted"


def test_between_neighbouring_floats_the_lower_one_is_the_threshold():
    low = 0.3
    point = choose_threshold([0, 1], [low, np.nextafter(low, 1)], sensitivity=1)
    assert point.threshold == low
    assert point.counts == (1, 0, 0, 1)


def test_a_melanoma_of_score_0_cannot_be_found():
    y_true, y_score = [0, 1, 1, 1], [0.1, 0.0, 0.5, 0.6]
    with pytest.raises(
        ParameterError, match=r"No threshold has the sensitivity 1: 1 melanomas have the score 0.*0\.6667"
    ):
        choose_threshold(y_true, y_score, sensitivity=1.0)
    assert choose_threshold(y_true, y_score, sensitivity=0.6).counts == (1, 0, 1, 2)


def test_constant_scores_leave_all_or_nothing():
    assert choose_threshold([0, 1, 1], [0.5] * 3, sensitivity=0.9).counts == (0, 1, 0, 2)
    assert choose_threshold([0, 1, 1], [0.5] * 3, specificity=0.9).counts == (1, 0, 2, 0)


def test_a_dearer_miss_means_a_lower_threshold():
    costs = [choose_threshold(*simulate(), cost_ratio=ratio, prevalence=0.1).threshold for ratio in (1, 5, 20, 100)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]


def test_for_calibrated_scores_the_cheapest_threshold_is_elkans():
    # C. Elkan, 2001, equation 2: predict melanoma from 1 / (1 + cost ratio) on.
    rng = np.random.default_rng(0)
    score = rng.random(200_000)
    y_true = rng.random(len(score)) < score
    point = choose_threshold(y_true, score, cost_ratio=4)
    assert point.threshold == pytest.approx(0.2, abs=0.02)


def test_an_operating_point_says_what_it_reaches():
    y_true, y_score = simulate()
    point = choose_threshold(y_true, y_score, sensitivity=0.95)
    assert (point.sensitivity.low, point.sensitivity.high) == wilson_interval(point.counts.tp, 117)
    assert point.specificity.n == 483
    assert str(point).startswith(
        f"Threshold {point.threshold:.4g} (sensitivity at least 0.95): sensitivity 0.957 (95 % CI"
    )
    kept = json.loads(json.dumps(point.to_dict()))
    assert kept["threshold"] == point.threshold
    assert kept["sensitivity"]["n"] == 117
    assert kept["confusion_matrix"]["tp"] == point.counts.tp


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({}, "exactly one rule.*got none"),
        ({"sensitivity": 0.9, "youden": True}, "got sensitivity and youden"),
        ({"sensitivity": 0}, "sensitivity must be above 0"),
        ({"sensitivity": 95}, "sensitivity must be a number from 0 to 1"),
        ({"specificity": -0.1}, "specificity must be a number from 0 to 1"),
        ({"cost_ratio": 0}, "cost_ratio must be a number above 0"),
        ({"cost_ratio": float("inf")}, "cost_ratio must be a number above 0"),
        ({"cost_ratio": 5, "prevalence": 0}, "prevalence must be a number between 0 and 1"),
        ({"youden": True, "confidence": 95}, "confidence must be a number between 0 and 1"),
    ],
)
def test_rules_that_cannot_be_followed(rules, message):
    with pytest.raises(ParameterError, match=message):
        choose_threshold([0, 1], [0.2, 0.7], **rules)


# -- specificity at a given sensitivity --------------------------------------------------------------------------------


def challenge_of_2017(y_true, y_score, sensitivity):
    """The rule of the challenge's scorer: go along the ROC curve until the sensitivity is reached."""
    false_alarms, found, _ = roc_curve(y_true, y_score)
    for false_alarm, sensitivity_here in zip(false_alarms, found, strict=True):
        if sensitivity_here >= sensitivity:
            return 1 - false_alarm
    return 0.0


def on_the_line(y_true, y_score, sensitivity):
    """Interpolate between the points around a sensitivity, as the later scorer does at 80 %."""
    false_alarms, found, _ = roc_curve(y_true, y_score, drop_intermediate=False)
    at = found.searchsorted(sensitivity, side="left")
    return 1 - np.interp(sensitivity, found[at - 1 : at + 1], false_alarms[at - 1 : at + 1])


def assert_both_ways(y_true, y_score):
    for at in specificity_at_sensitivity(y_true, y_score, n_resamples=100):
        official = challenge_of_2017(y_true, y_score, at.sensitivity)
        assert at.challenge.value == pytest.approx(official, abs=1e-12)
        assert at.interpolated.value == pytest.approx(on_the_line(y_true, y_score, at.sensitivity), abs=1e-12)
        for figure in at[1:]:
            assert 0 <= figure.low <= figure.value <= figure.high <= 1
            assert figure.n == (np.asarray(y_true) == 0).sum()


@given(labelled_scores(above_zero=True))
@settings(max_examples=100)
def test_both_ways_are_the_challenges(data):
    assert_both_ways(*data)


@pytest.mark.real_data
def test_both_ways_are_the_challenges_on_the_ground_truth_of_2017(real_data):
    y_true = pd.read_csv(real_data / "ISIC-2017_Test_v2_Part3_GroundTruth.csv")["melanoma"].to_numpy().astype(int)
    rng = np.random.default_rng(2017)
    for decimals in np.tile([1, 2, 3, 8], 24):
        assert_both_ways(y_true, np.clip(rng.normal(0.3 + 0.25 * y_true, 0.2), 0, 1).round(decimals))
    for degenerate in (np.full(600, 0.5), y_true.astype(float), 1.0 - y_true, rng.integers(0, 2, 600).astype(float)):
        assert_both_ways(y_true, degenerate)


def test_the_two_ways_differ_where_melanomas_and_benign_images_tie():
    # The middle score holds three melanomas and one benign image: halfway through it, half of the benign is passed.
    y_true, y_score = [0, 0, 0, 1, 1, 1, 1, 1], [0.1, 0.1, 0.5, 0.9, 0.9, 0.5, 0.5, 0.5]
    (at,) = specificity_at_sensitivity(y_true, y_score, [0.7], n_resamples=100)
    assert at.challenge.value == pytest.approx(2 / 3)
    assert at.interpolated.value == pytest.approx(1 - 0.5 / 3)


def test_the_interval_chooses_the_threshold_anew():
    y_true, y_score = simulate(60, 150)
    rng = np.random.default_rng(1)
    melanoma, benign = y_score[y_true == 1], y_score[y_true == 0]
    draws = []
    for _ in range(500):
        scores = np.concatenate([rng.choice(melanoma, 60), rng.choice(benign, 150)])
        draws.append([challenge_of_2017(y_true, scores, 0.9), on_the_line(y_true, scores, 0.9)])
    (at,) = specificity_at_sensitivity(y_true, y_score, [0.9])
    expected = np.quantile(draws, [0.025, 0.975], axis=0).T
    np.testing.assert_allclose([(figure.low, figure.high) for figure in at[1:]], expected, atol=0.04)


def test_patients_widen_the_interval_when_their_images_are_alike():
    y_true, y_score = simulate(40, 100)
    y_true, y_score, patient = (np.repeat(values, 4) for values in (y_true, y_score, np.arange(140)))
    widths = []
    for groups, method in ((None, "fiducial"), (patient, "clustered fiducial")):
        figures = [at.challenge for at in specificity_at_sensitivity(y_true, y_score, groups=groups)]
        assert {figure.method for figure in figures} == {method}
        widths.append(sum(figure.high - figure.low for figure in figures))
    assert widths[1] > 1.5 * widths[0]


def test_sensitivities_default_to_those_of_the_challenge_and_round_ones():
    found = specificity_at_sensitivity(*simulate(), n_resamples=100)
    assert tuple(at.sensitivity for at in found) == SENSITIVITIES == (0.80, 0.82, 0.89, 0.90, 0.95)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, 1], [0.2, 0.7]), DatasetError, "got 2 melanoma and 0 benign"),
        (
            ([0, 1], [0.2, 0.7], [95]),
            ParameterError,
            "sensitivities must be a number from 0 to 1, or several",
        ),
        (([0, 1], [0.2, 0.7], [0]), ParameterError, "sensitivities must be above 0"),
    ],
)
def test_what_has_no_specificity_at_a_sensitivity(arguments, error, message):
    with pytest.raises(error, match=message):
        specificity_at_sensitivity(*arguments)


@given(
    labelled_scores(above_zero=True),
    st.sampled_from(["sensitivity", "specificity"]),
    st.floats(0.3, 0.95),
    st.floats(0.5, 0.99),
)
@example((np.array([0, 1]), np.array([0.2, 0.7])), "sensitivity", 0.5, 0.5000000000000001)  # equal up to rounding
@settings(max_examples=200)
def test_an_assured_figure_is_the_last_that_passes_an_exact_test(data, name, target, assurance):
    of = "n_melanoma" if name == "sensitivity" else "n_benign"

    def passes(counts):
        right, n = (counts.tp if name == "sensitivity" else counts.tn), getattr(counts, of)
        return right and proportion_confint(right, n, alpha=2 * (1 - assurance), method="beta")[0] >= target - 1e-12

    points = every_point(*data)
    if not any(map(passes, points)):
        with pytest.raises(DatasetError, match=f"of a {name} of at least .* takes .*, got .*: add images, or ask for"):
            choose_threshold(*data, assurance=assurance, **{name: target})
        return
    point = choose_threshold(*data, assurance=assurance, **{name: target})
    assert passes(point.counts)
    other = "fp" if name == "sensitivity" else "fn"
    assert getattr(point.counts, other) == min(getattr(counts, other) for counts in points if passes(counts))
    assert point.rule == f"{name} at least {target:g} with {100 * assurance:g} % confidence"


@pytest.mark.parametrize(("n", "target", "right"), [(10, 0.5, 7), (17, 0.625, 13), (18, 0.5, 11), (19, 0.75, 15)])
def test_a_bound_equal_to_the_target_reaches_it(n, target, right):
    """All numbers are binary fractions, so that the bound is the target exactly; floats come out a little lower."""
    at, below = Fraction(target), 1 - Fraction(target)
    tail = sum(comb(n, k) * at**k * below ** (n - k) for k in range(right, n + 1))
    assurance = float(1 - tail)
    assert 1 - Fraction(assurance) == tail
    y_true, y_score = np.tile([1, 0], n), np.linspace(0.9, 0.1, 2 * n)
    assert choose_threshold(y_true, y_score, sensitivity=target, assurance=assurance).counts.tp == right
    assert choose_threshold(y_true, y_score, specificity=target, assurance=assurance).counts.tn == right


def test_what_it_takes_to_assure_a_sensitivity_is_said_and_is_enough():
    y_true, y_score = simulate(28, 100)
    with pytest.raises(DatasetError, match=r"sure by 95 % of a sensitivity of at least 0.9 takes 29 melanomas, got 28"):
        choose_threshold(y_true, y_score, sensitivity=0.9, assurance=0.95)
    with pytest.raises(DatasetError, match=r"ask for at most 0\.898"):
        choose_threshold(y_true, y_score, sensitivity=0.9, assurance=0.95)
    choose_threshold(y_true, y_score, sensitivity=0.898, assurance=0.95)
    y_true, y_score = simulate(29, 100)
    assert choose_threshold(y_true, y_score, sensitivity=0.9, assurance=0.95).sensitivity.value == 1
    with pytest.raises(DatasetError, match=r"takes 59 benign images, got 58"):
        choose_threshold(*simulate(100, 58), specificity=0.95, assurance=0.95)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            {"youden": True, "assurance": 0.95},
            "assurance goes with sensitivity or specificity.* got it with youden",
        ),
        ({"cost_ratio": 5, "assurance": 0.95}, "got it with cost_ratio"),
        ({"sensitivity": 0.9, "prevalence": 0.02}, "prevalence goes with cost_ratio.* got it with sensitivity"),
        ({"sensitivity": 1, "assurance": 0.95}, "No number of images assures a sensitivity of 1"),
        ({"sensitivity": 0, "assurance": 0.95}, "sensitivity must be above 0"),
        ({"sensitivity": 0.9, "assurance": 95}, "assurance must be a number between 0 and 1"),
        ({"assurance": 0.95}, "exactly one rule"),
    ],
)
def test_what_cannot_be_assured(rule, message):
    with pytest.raises(ParameterError, match=message):
        choose_threshold(*simulate(), **rule)


@pytest.mark.slow
@pytest.mark.parametrize(("n_melanoma", "steps"), [(30, None), (75, None), (300, None), (75, 20)])
def test_an_assured_sensitivity_holds_on_all_images_as_often_as_promised(n_melanoma, steps):
    """Of thresholds chosen without assurance half and more fall short."""
    rng = np.random.default_rng(0)
    y_true = np.repeat([1, 0], [n_melanoma, 300])

    def scores_of(truth):
        scores = expit(rng.normal(1.5 * truth, 1))
        return scores if steps is None else np.ceil(scores * steps) / steps  # many ties

    everywhere = np.sort(scores_of(np.ones(1_000_000)))
    held = {None: 0, 0.95: 0}
    for _ in range(2000):
        y_score = scores_of(y_true)
        for assurance in held:
            at = choose_threshold(y_true, y_score, sensitivity=0.9, assurance=assurance).threshold
            held[assurance] += 1 - np.searchsorted(everywhere, at, side="right") / len(everywhere) >= 0.9
    assert held[0.95] / 2000 >= 0.94
    if steps is None:
        assert held[0.95] / 2000 <= 0.99
        assert 0.3 <= held[None] / 2000 <= 0.7


def test_sensitivity_at_a_specificity_is_that_of_the_roc_curve():
    y_true, y_score = simulate()
    false_alarms, found, _ = roc_curve(y_true, y_score, drop_intermediate=False)
    for at in sensitivity_at_specificity(y_true, y_score, [0.5, 0.8, 0.9, 0.95, 1.0], n_resamples=200):
        reached = found[1 - false_alarms >= at.specificity - 1e-12].max()
        assert at.reached.value == pytest.approx(reached)
        assert at.interpolated.value <= at.reached.value + 1e-12
        assert at.interpolated.value == pytest.approx(reached, abs=0.05)
        for one in (at.reached, at.interpolated):
            assert one.low <= one.value <= one.high
            assert (one.n, one.method, one.few) == (y_true.sum(), "fiducial", False)


def test_both_sides_are_one_with_the_classes_turned_round():
    y_true, y_score = simulate(60, 90)
    options = {"n_resamples": 500, "groups": np.arange(150) // 2}
    there = sensitivity_at_specificity(y_true, y_score, [0.8, 0.9], **options)
    back = specificity_at_sensitivity(1 - y_true, 1 - y_score, [0.8, 0.9], **options)
    for one, other in zip(there, back, strict=True):
        assert one.interpolated.value == pytest.approx(other.interpolated.value)
        assert (one.interpolated.low, one.interpolated.high) == pytest.approx(
            (other.interpolated.low, other.interpolated.high)
        )


def test_a_report_has_both_sides():
    report = MetricsReport.from_scores(*simulate(60, 90), n_resamples=100)
    assert [at.specificity for at in report.sensitivity_at_specificity] == [0.8, 0.9, 0.95]
    for page in (str(report), report.to_markdown(), report._repr_html_()):
        assert "Sensitivity at a given specificity" in page
    rows = report.to_dict()["sensitivity_at_specificity"]
    assert rows[1]["reached"] == report.sensitivity_at_specificity[1].reached.to_dict()
    frame = report.to_frame().set_index(["metric", "at"])
    at = report.sensitivity_at_specificity[1].interpolated
    assert frame.loc[("sensitivity_at_specificity_interpolated", 0.9), "low"] == at.low
