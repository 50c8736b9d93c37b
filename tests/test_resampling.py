"""Resamples keep what they must keep, and vary as theory says."""

import numpy as np
import pytest
from scipy.stats import binom

from melanoma_tl.errors import ParameterError
from melanoma_tl.metrics import score_metrics
from melanoma_tl.resampling import Tally, draw_groups, draw_images, number_groups, percentile_interval

TRUTH = np.repeat([1, 0], [30, 70])
SCORES = np.linspace(0, 1, 100).round(1)


def together(batches):
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def test_a_tally_counts_every_image_highest_score_first():
    tally = Tally.of(np.array([1, 0, 1, 0]), np.array([0.2, 0.2, 0.9, 0.5]))
    assert tally.scores.tolist() == [0.9, 0.5, 0.2]
    assert (tally.melanoma.tolist(), tally.benign.tolist()) == ([1, 0, 1], [0, 1, 1])


def test_stratified_resamples_keep_the_class_sizes_and_others_the_number_of_images():
    tally = Tally.of(TRUTH, SCORES)
    melanoma, benign = together(draw_images(tally, 500, 0))
    assert set(melanoma.sum(axis=1)) == {30}
    assert set(benign.sum(axis=1)) == {70}
    melanoma, benign = together(draw_images(tally, 500, 0, stratified=False))
    assert set((melanoma + benign).sum(axis=1)) == {100}
    assert melanoma.sum(axis=1).std() == pytest.approx(binom.std(100, 0.3), rel=0.1)


def test_groups_of_one_image_are_the_stratified_bootstrap():
    melanoma, benign = together(drawn for (drawn,) in draw_groups(TRUTH, [SCORES], None, 2000, 0))
    assert set(melanoma.sum(axis=1)) == {30}
    tally = Tally.of(TRUTH, SCORES)
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
    assert {figure.method for figure in patients.values()} == {"cluster bootstrap"}
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
    values = np.array([[1.0, np.nan, 2.0, 3.0], [np.nan] * 4])
    ends = percentile_interval(values, 0.9)
    assert ends[:, 0].tolist() == pytest.approx([1.1, 2.9])
    assert np.isnan(ends[:, 1]).all()
