"""What a test will be worth, against published tables, the intervals themselves, and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm

from melanoma_tl.errors import ParameterError
from melanoma_tl.metrics.binary import roc_auc
from melanoma_tl.metrics.comparisons import delong_interval, mcnemar
from melanoma_tl.metrics.intervals import delong, wilson_interval
from melanoma_tl.metrics.margins import margin_of_paired
from melanoma_tl.metrics.sample_size import (
    auc_standard_error,
    expected_intervals,
    images_needed,
    images_needed_to_compare,
)


def test_the_standard_error_gives_the_published_sample_sizes():
    # Hanley and McNeil, Radiology 143 (1982), table III, first row: images of each class to tell 0.75 from 0.70 with a
    # one-sided test at 5 %, at a power of 80, 90 and 95 %. Their formula needs n times the variance, for large n.
    n = 10**8
    one, other = (n * auc_standard_error(auc, n, n) ** 2 for auc in (0.70, 0.75))
    sizes = [(1.645 * np.sqrt(2 * one) + power * np.sqrt(one + other)) ** 2 / 0.05**2 for power in (0.84, 1.28, 1.645)]
    np.testing.assert_allclose(sizes, [652, 897, 1131], atol=1)


def test_the_standard_error_is_that_of_simulated_scores():
    # Two exponential distributions, for which the formula is exact: the area is rate / (1 + rate).
    rng = np.random.default_rng(0)
    y_true = np.repeat([1, 0], [40, 100])
    areas = [roc_auc(y_true, np.concatenate([rng.exponential(3, 40), rng.exponential(1, 100)])) for _ in range(3000)]
    assert np.mean(areas) == pytest.approx(0.75, abs=0.003)
    assert np.std(areas) == pytest.approx(auc_standard_error(0.75, 40, 100), rel=0.04)


def test_expected_intervals_are_those_of_such_a_test():
    foreseen = expected_intervals(100, 400, sensitivity=0.9, specificity=0.75, auc=0.87)
    assert (foreseen["sensitivity"].low, foreseen["sensitivity"].high) == wilson_interval(90, 100)
    assert (foreseen["specificity"].low, foreseen["specificity"].high) == wilson_interval(300, 400)
    assert [figure.n for figure in foreseen.values()] == [100, 400, 500]
    assert foreseen["auc"].high - 0.87 == pytest.approx(1.96 * auc_standard_error(0.87, 100, 400), rel=1e-4)
    assert list(expected_intervals(100, 400, auc=0.5)) == ["auc"]


@given(
    st.sampled_from(["sensitivity", "specificity", "auc"]),
    st.floats(0.05, 0.99),
    st.floats(0.02, 0.5),
    st.floats(0.02, 0.8),
)
@settings(max_examples=100)
def test_one_image_fewer_would_not_do(name, value, width, prevalence):
    def expected(n):
        sizes = n * prevalence, n * (1 - prevalence)
        if name == "auc":
            half = 1.959964 * auc_standard_error(value, *sizes)
            return min(value + half, 1) - max(value - half, 0)
        size = sizes[0] if name == "sensitivity" else sizes[1]
        low, high = wilson_interval(value * size, size)
        return high - low

    n = images_needed(width, prevalence=prevalence, assurance=0.5, **{name: value})
    assert expected(n) <= width + 1e-6
    fewest = int(np.ceil(21 / min(prevalence, 1 - prevalence)))
    assert n == fewest or expected(n - 1) > width - 1e-6


@pytest.mark.parametrize("assurance", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("sensitivity", [0.7, 0.9])
def test_so_many_tests_have_an_interval_that_narrow(sensitivity, assurance):
    n, rng = images_needed(0.12, prevalence=0.2, sensitivity=sensitivity, assurance=assurance), np.random.default_rng(0)
    melanomas = rng.binomial(n, 0.2, 4000)
    low, high = wilson_interval(rng.binomial(melanomas, sensitivity), melanomas)
    assert np.mean(high - low <= 0.12) == pytest.approx(assurance, abs=0.06)


@pytest.mark.parametrize(
    "figure", [{"sensitivity": 1.0}, {"sensitivity": 0.5}, {"specificity": 0.9}, {"sensitivity": 0.9}]
)
@pytest.mark.parametrize("prevalence", [0.02, 0.5, 0.9])
def test_so_many_tests_of_images_as_they_come_have_an_interval_that_narrow(figure, prevalence):
    """The number of melanomas among them is chance as well."""
    ((name, value),) = figure.items()
    n, rng = images_needed(0.15, prevalence=prevalence, **figure), np.random.default_rng(0)
    sizes = np.maximum(rng.binomial(n, prevalence if name == "sensitivity" else 1 - prevalence, 4000), 1)
    low, high = wilson_interval(rng.binomial(sizes, value), sizes)
    assert np.mean(high - low <= 0.15) >= 0.77


def test_so_many_tests_have_an_interval_of_the_auc_that_narrow():
    n = images_needed(0.15, prevalence=0.2, auc=0.85)
    rng = np.random.default_rng(0)
    narrow = 0
    for _ in range(200):
        y_true = (np.arange(n) < 0.2 * n).astype(int)
        y_score = expit(rng.normal(1.466 * y_true, 1))  # an AUC of 0.85
        found = delong_interval(y_true, y_score)
        narrow += found.high - found.low <= 0.15
    assert narrow / 200 >= 0.8  # Hanley and McNeil's formula errs on the side of more images


def test_no_plan_is_smaller_than_what_a_report_calls_enough():
    assert images_needed(0.2, prevalence=0.1, auc=1.0) == 210
    assert images_needed(0.05, prevalence=0.1, auc=0.98) > 210


def test_rarer_melanomas_and_narrower_intervals_need_more_images():
    assert images_needed(0.1, prevalence=0.02, sensitivity=0.9) > images_needed(0.1, prevalence=0.2, sensitivity=0.9)
    assert images_needed(0.05, prevalence=0.2, auc=0.87) > images_needed(0.1, prevalence=0.2, auc=0.87)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: expected_intervals(10, 10), "Give the metric that is expected, one of sensitivity, specificity, auc"),
        (lambda: expected_intervals(0, 10, auc=0.9), "n_melanoma must be a whole number of at least 1"),
        (lambda: expected_intervals(10, 1.5, auc=0.9), "n_benign must be a whole number of at least 1"),
        (lambda: expected_intervals(5, 5, auc=1), r"auc must be a number between 0 and 1 \(both excluded\)"),
        (lambda: expected_intervals(10, 10, auc=90), r"auc must be a number between 0 and 1 \(both excluded\)"),
        (lambda: images_needed(0.1, prevalence=0.2), "Give the metric that is expected"),
        (lambda: images_needed(0.1, prevalence=0.2, auc=0.9, sensitivity=0.9), "exactly one.*got sensitivity and auc"),
        (lambda: images_needed(0, prevalence=0.2, auc=0.9), "width must be a number between 0 and 1"),
        (lambda: images_needed(0.1, prevalence=1, auc=0.9), "prevalence must be a number between 0 and 1"),
    ],
)
def test_plans_that_cannot_be_made(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


def test_connor_s_plan_for_paired_proportions():
    # 45 % of the pairs in favour of one and 5 % of the other: 23 pairs at a power of 80 % (Connor's formula as
    # powerandsamplesize.com works it out); half of all pairs agree, in both ways equally often.
    rates, correlation = (0.7, 0.3), 0.04 / 0.21
    for pair in ({"sensitivity": rates}, {"specificity": rates[::-1]}):
        n = images_needed_to_compare(prevalence=0.5, correlation=correlation, **pair)
        assert np.ceil(n / 2) == 23


@pytest.mark.parametrize(("power", "each"), [(0.8, 652), (0.9, 897), (0.95, 1131)])
def test_hanley_and_mcneil_s_plan_for_two_aucs(power, each):
    # Radiology 143 (1982), table III: 0.75 against 0.70, independent, one-sided at 5 %.
    n = images_needed_to_compare(prevalence=0.5, correlation=0, auc=(0.75, 0.70), confidence=0.9, power=power)
    assert n == pytest.approx(2 * each, rel=0.01)


def draw_pair(rng, n, rates, correlation):
    """Which of n images each of two classifiers calls right."""
    first, second = rates
    both = first * second + correlation * np.sqrt(first * (1 - first) * second * (1 - second))
    cells = rng.choice(4, n, p=[both, first - both, second - both, 1 - first - second + both])
    return cells < 2, cells % 2 == 0


def test_so_many_tests_show_a_better_sensitivity():
    rng = np.random.default_rng(0)
    n = images_needed_to_compare(prevalence=0.2, correlation=0.4, sensitivity=(0.9, 0.8))
    shown = [mcnemar(*draw_pair(rng, round(0.2 * n), (0.9, 0.8), 0.4)).mid_p < 0.05 for _ in range(2000)]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.04)


def test_so_many_tests_show_a_sensitivity_that_is_not_inferior():
    rng = np.random.default_rng(0)
    n = images_needed_to_compare(prevalence=0.2, correlation=0.5, sensitivity=(0.85, 0.85), margin=0.08)
    shown = []
    for _ in range(1000):
        first, second = draw_pair(rng, round(0.2 * n), (0.85, 0.85), 0.5)
        alone = mcnemar(first, second)
        found = margin_of_paired("sensitivity", 0.08, alone.only_first, alone.only_second, len(first), 0.95)
        shown.append(found.non_inferior)
    assert np.mean(shown) == pytest.approx(0.8, abs=0.06)


def test_so_many_tests_show_a_better_auc():
    rng = np.random.default_rng(0)
    aucs, shared = (0.90, 0.84), 0.5
    shifts = np.sqrt(2) * norm.ppf(aucs)

    def draw(n):
        y_true = (np.arange(n) < 0.25 * n).astype(int)
        common = np.sqrt(shared) * rng.normal(size=n)
        return y_true, [shift * y_true + common + np.sqrt(1 - shared) * rng.normal(size=n) for shift in shifts]

    y_true, scores = draw(20_000)
    covariance = delong(y_true, *scores).covariance
    correlation = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    n = images_needed_to_compare(prevalence=0.25, correlation=correlation, auc=aucs)
    shown = 0
    for _ in range(400):
        y_true, scores = draw(n)
        found = delong(y_true, *scores)
        error = np.sqrt(np.array([1, -1]) @ found.covariance @ np.array([1, -1]))
        shown += abs(found.aucs[0] - found.aucs[1]) > 1.96 * error
    assert 0.78 <= shown / 400 <= 0.97  # Hanley and McNeil's formula errs on the side of more images


def test_what_is_more_alike_and_further_apart_takes_fewer_images():
    plan = {"prevalence": 0.2, "auc": (0.9, 0.86)}
    assert images_needed_to_compare(correlation=0.6, **plan) < images_needed_to_compare(correlation=0.3, **plan)
    plan["correlation"] = 0.5
    assert images_needed_to_compare(power=0.8, **plan) < images_needed_to_compare(power=0.9, **plan)
    assert images_needed_to_compare(**plan | {"auc": (0.92, 0.86)}) < images_needed_to_compare(**plan)
    pairs = ((0.9, 0.86), (0.9, 0.9))
    better, as_good = (images_needed_to_compare(margin=0.05, **plan | {"auc": pair}) for pair in pairs)
    assert better < as_good
    assert images_needed_to_compare(prevalence=0.1, correlation=0, auc=(1.0, 0.5)) == 210, "more than few of each"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"auc": None}, "exactly one pair .* got none"),
        ({"sensitivity": (0.9, 0.8)}, "got sensitivity and auc"),
        ({"auc": (0.9, 0.9)}, "nothing to show: the expected metrics 0.9 and 0.9 do not differ"),
        ({"auc": (0.8, 0.9), "margin": 0.1}, "0.8 and 0.9 differ by the margin 0.1 or more"),
        ({"auc": 0.9}, "auc must be the metrics that are expected of both"),
        ({"auc": None, "sensitivity": (0.95, 0.6), "correlation": 0.9}, "cannot be correlated by 0.9; at most by 0.2"),
        ({"correlation": 1}, "correlation must be a number of at least 0 and below 1"),
        ({"power": 80}, "power must be a number between 0 and 1"),
    ],
)
def test_comparisons_that_cannot_be_planned(changes, message):
    with pytest.raises(ParameterError, match=message):
        images_needed_to_compare(**{"prevalence": 0.2, "correlation": 0.5, "auc": (0.9, 0.85)} | changes)
