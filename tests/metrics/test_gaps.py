"""Gaps between groups: against statsmodels, and against simulated groups that do not differ."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm, studentized_range
from statsmodels.stats.proportion import confint_proportions_2indep

from melanoma_tl import MetricsReport
from melanoma_tl.metrics.gaps import Estimate, largest_gaps
from melanoma_tl.metrics.intervals import delong
from melanoma_tl.metrics.subgroups import measure_subgroups


def draw(rng, sizes, shifts, size=1):
    """Groups of images, half of them melanomas, of which some are told better."""
    group = np.repeat(np.arange(len(sizes)), np.array(sizes) * size)
    y_true = np.repeat(np.arange(sum(sizes)) % 2, size)
    noise = rng.normal(size=sum(sizes)).repeat(size) if size > 1 else rng.normal(size=sum(sizes))
    return group, y_true, expit(1.5 * y_true + np.array(shifts)[group] * y_true + noise)


def test_one_gap_alone_has_the_interval_of_two_proportions():
    rng = np.random.default_rng(0)
    group, y_true, y_score = draw(rng, [120, 160], [0.4, 0])
    found = measure_subgroups(y_true, y_score, {"sex": np.array(["f", "m"])[group]}, threshold=0.7, n_resamples=100)
    gap = {gap.metric: gap for gap in found.gaps}["sensitivity"]
    counts = []
    for value in (gap.highest, gap.lowest):
        row = found["sex", value]
        counts += [round(row.metrics["sensitivity"].value * row.n_melanoma), row.n_melanoma]
    # Agresti and Caffo's interval at the level that three gaps hold together.
    low, high = confint_proportions_2indep(*counts, method="agresti-caffo", alpha=1 - 0.95 ** (1 / 3))
    assert (gap.low, gap.high) == pytest.approx((low, high), abs=0.004)
    assert gap.value == pytest.approx(counts[0] / counts[1] - counts[2] / counts[3])


def test_equal_errors_give_the_intervals_of_tukey():
    groups = [("site", str(i), {"auc": Estimate(0.8 + 0.01 * i, 0.8 + 0.01 * i, 0.03)}) for i in range(5)]
    (gap,) = largest_gaps(groups, 0.95, 0)
    half = studentized_range.ppf(0.95, 5, np.inf) * 0.03
    assert (gap.highest, gap.lowest) == ("4", "0")
    assert gap.high - gap.value == pytest.approx(half, rel=0.01)
    assert gap.p_value == pytest.approx(studentized_range.sf(0.04 / 0.03, 5, np.inf), abs=0.015)


def test_a_gap_of_aucs_is_that_of_independent_groups():
    rng = np.random.default_rng(1)
    group, y_true, y_score = draw(rng, [200, 200], [1, 0])
    found = measure_subgroups(y_true, y_score, {"site": group}, n_resamples=100)
    gap = {gap.metric: gap for gap in found.gaps}["auc"]
    halves = [delong(y_true[group == one], y_score[group == one]) for one in (0, 1)]
    error = np.sqrt(sum(half.covariance[0, 0] for half in halves))
    assert gap.value == pytest.approx(abs(halves[0].aucs[0] - halves[1].aucs[0]))
    assert gap.high - gap.low == pytest.approx(2 * norm.isf((1 - 0.95 ** (1 / 3)) / 2) * error, rel=0.02)


def test_nothing_missed_is_no_certainty():
    y_true = np.repeat([1, 0, 1, 0], 15)
    y_score = np.where(y_true == 1, 0.9, 0.1)
    y_score[30:35] = 0.2
    found = measure_subgroups(y_true, y_score, {"sex": np.repeat(["f", "m"], 30)}, n_resamples=100)
    gaps = {gap.metric: gap for gap in found.gaps}
    assert "auc" not in gaps, "an AUC of 1 has no standard error"
    assert gaps["sensitivity"].low < gaps["sensitivity"].value < gaps["sensitivity"].high
    assert gaps["specificity"].low < 0 == gaps["specificity"].value < gaps["specificity"].high


def test_small_groups_and_what_is_not_given_are_left_out():
    rng = np.random.default_rng(0)
    group, y_true, y_score = draw(rng, [60, 60, 10, 60], [0, 0, 2, 2])
    words = np.array(["a", "b", "c", None], dtype=object)[group]
    found = measure_subgroups(y_true, y_score, {"site": words, "one": np.where(group < 2, "x", None)}, n_resamples=100)
    assert {gap.column for gap in found.gaps} == {"site"}
    assert {name for gap in found.gaps for name in (gap.highest, gap.lowest)} <= {"a", "b"}


def test_patients_are_drawn_whole():
    rng = np.random.default_rng(0)
    group, y_true, y_score = draw(rng, [120, 120], [0.5, 0], size=3)
    patients = np.arange(len(group)) // 3
    alone, together = (
        measure_subgroups(y_true, y_score, {"site": group}, threshold=0.7, groups=groups, n_resamples=1000)
        for groups in (None, patients)
    )
    for narrow, wide in zip(alone.gaps, together.gaps, strict=True):
        assert (narrow.column, narrow.metric) == (wide.column, wide.metric)
        assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(np.sqrt(3), rel=0.15)


def test_gaps_are_told():
    rng = np.random.default_rng(0)
    group, y_true, y_score = draw(rng, [80, 80], [1, 0])
    report = MetricsReport.from_scores(y_true, y_score, n_resamples=100)
    found = report.subgroups({"sex": np.array(["<f>", "m"])[group]})
    assert len(found.gaps) == 3
    for text in (str(found), found.to_markdown(), found._repr_html_()):
        assert "simultaneous 95 % intervals" in text
        assert "AUC by sex" in text
    assert "&lt;f&gt;" in found._repr_html_()


@pytest.mark.slow
def test_among_groups_that_do_not_differ_a_gap_is_rarely_found():
    rng = np.random.default_rng(0)
    alarms, trials = 0, 400
    for _ in range(trials):
        group, y_true, y_score = draw(rng, [60, 80, 100, 120], [0, 0, 0, 0])
        other = rng.integers(0, 3, len(group))
        table = {"site": group, "type": other}
        found = measure_subgroups(y_true, y_score, table, threshold=0.7, n_resamples=100)
        alarms += any(gap.p_value < 0.05 for gap in found.gaps)
        assert all((gap.p_value < 0.05) == (gap.low > 0) or abs(gap.p_value - 0.05) < 0.02 for gap in found.gaps)
    assert 0.005 <= alarms / trials <= 0.075
