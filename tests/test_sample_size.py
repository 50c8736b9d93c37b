"""What a test will be worth, against published tables, the intervals themselves, and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from melanoma_tl.comparisons import delong_interval
from melanoma_tl.errors import ParameterError
from melanoma_tl.metrics import roc_auc, wilson_interval
from melanoma_tl.sample_size import auc_standard_error, expected_intervals, images_needed


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
@settings(max_examples=100, deadline=None)
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
    fewest = int(np.ceil(10 / min(prevalence, 1 - prevalence)))
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
    assert images_needed(0.2, prevalence=0.1, auc=1.0) == 100
    assert images_needed(0.1, prevalence=0.1, auc=0.98) > 100


def test_rarer_melanomas_and_narrower_intervals_need_more_images():
    assert images_needed(0.1, prevalence=0.02, sensitivity=0.9) > images_needed(0.1, prevalence=0.2, sensitivity=0.9)
    assert images_needed(0.05, prevalence=0.2, auc=0.87) > images_needed(0.1, prevalence=0.2, auc=0.87)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: expected_intervals(10, 10), "Give the figure that is expected, one of sensitivity, specificity, auc"),
        (lambda: expected_intervals(0, 10, auc=0.9), "n_melanoma must be a whole number of at least 1"),
        (lambda: expected_intervals(10, 1.5, auc=0.9), "n_benign must be a whole number of at least 1"),
        (lambda: expected_intervals(5, 5, auc=1), r"auc must be a number between 0 and 1 \(both excluded\)"),
        (lambda: expected_intervals(10, 10, auc=90), r"auc must be a number between 0 and 1 \(both excluded\)"),
        (lambda: images_needed(0.1, prevalence=0.2), "Give the figure that is expected"),
        (lambda: images_needed(0.1, prevalence=0.2, auc=0.9, sensitivity=0.9), "exactly one.*got sensitivity and auc"),
        (lambda: images_needed(0, prevalence=0.2, auc=0.9), "width must be a number between 0 and 1"),
        (lambda: images_needed(0.1, prevalence=1, auc=0.9), "prevalence must be a number between 0 and 1"),
    ],
)
def test_plans_that_cannot_be_made(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
