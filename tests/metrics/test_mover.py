"""Metrics of both classes where the sensitivity is 1: resampling takes it for certain, and its interval does not."""

import numpy as np
import pytest

from melanoma_tl.metrics.binary import matrix_metrics, score_metrics
from melanoma_tl.metrics.confusion import ConfusionCounts

# 14 melanomas, all found, of 10 patients; 30 benign images of 15 patients, 27 of them false alarms.
TRUTH = np.repeat([1, 0], [14, 30])
CALLED = np.concatenate([np.ones(14), np.ones(27), np.zeros(3)])
PATIENTS = np.concatenate([np.arange(14) % 10, 100 + np.arange(30) % 15])


@pytest.fixture(scope="module")
def found():
    return score_metrics(TRUTH, CALLED, groups=PATIENTS, n_resamples=200)


def test_the_interval_of_a_sensitivity_of_1_enters_that_of_the_balanced_accuracy(found):
    sensitivity, specificity, both = (found[name] for name in ("sensitivity", "specificity", "balanced_accuracy"))
    below = ((1 - sensitivity.low) ** 2 + (0.1 - specificity.low) ** 2) ** 0.5 / 2
    assert (both.value, both.method, both.few) == (pytest.approx(0.55), "mover", True)
    assert (both.low, both.high) == pytest.approx((0.55 - below, 0.55 + (specificity.high - 0.1) / 2))
    assert sensitivity.low == pytest.approx(0.7225, abs=1e-4)  # Wilson's of 10 of 10: 1 / (1 + 1.96² / 10)


def test_the_ends_of_a_ratio_are_where_the_distance_from_it_is_that_of_its_rates(found):
    """The ends solve (a - r b)² = (distance of a)² + (r distance of b)², with the distances on the sides that count."""
    sensitivity, specificity = found["sensitivity"], found["specificity"]
    alarms = (0.9, 1 - specificity.high, 1 - specificity.low)
    missed = (0.0, 0.0, 1 - sensitivity.low)
    for name, (a, a_low, a_high), (b, b_low, b_high) in (
        ("lr_positive", (1.0, sensitivity.low, 1.0), alarms),
        ("lr_negative", missed, (0.1, specificity.low, specificity.high)),
    ):
        ratio = found[name]
        assert ratio.method == "mover"
        assert ratio.low <= ratio.value < ratio.high
        for r, of_a, of_b in ((ratio.low, a - a_low, b_high - b), (ratio.high, a_high - a, b - b_low)):
            assert (a - r * b) ** 2 == pytest.approx(of_a**2 + (r * of_b) ** 2, abs=1e-9)


def test_a_perfect_matrix_is_not_certain_and_others_are_resampled():
    perfect = matrix_metrics(ConfusionCounts(tn=10, fp=0, fn=0, tp=10), n_resamples=200)["balanced_accuracy"]
    assert (perfect.low, perfect.high) == pytest.approx((1 - 2**0.5 * (1 - 1 / (1 + 1.959964**2 / 10)) / 2, 1.0))
    other = matrix_metrics(ConfusionCounts(tn=9, fp=1, fn=1, tp=9), n_resamples=200)["balanced_accuracy"]
    assert other.method == "bootstrap"
