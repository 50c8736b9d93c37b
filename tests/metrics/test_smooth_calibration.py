"""Smooth calibration curves: those of statsmodels on the same basis, bands that hold the truth, refusals."""

import numpy as np
import pytest
import statsmodels.api as sm
from patsy import dmatrix
from scipy.special import expit, logit

from melanoma_tl import MetricsReport
from melanoma_tl.errors import DatasetError
from melanoma_tl.metrics.calibration_splines import smooth_calibration


def draw(n=1000, seed=0, bend=0.0, shift=0.0):
    """Scores, and how often images with them are melanomas in truth."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1.5, n)
    truth = (rng.random(n) < expit(odds + shift + bend * odds**2)).astype(int)
    return truth, expit(odds)


def test_the_curve_is_that_of_statsmodels_on_natural_splines():
    truth, scores = draw(bend=0.2)
    odds = logit(scores)
    knots = np.quantile(odds, [0.05, 0.35, 0.65, 0.95])
    basis = "cr(x, knots=inner, lower_bound=low, upper_bound=high) - 1"
    # Beyond its outer knots the basis of patsy goes on in a straight line, as a restricted one does.
    known = {"inner": knots[1:-1], "low": knots[0], "high": knots[-1]}
    fitted = sm.GLM(truth, dmatrix(basis, {"x": odds, **known}), family=sm.families.Binomial()).fit(tol=1e-12)
    found = smooth_calibration(truth, scores, n_resamples=100)
    expected = fitted.predict(dmatrix(basis, {"x": logit(found.score), **known}))
    assert found.melanoma_share == pytest.approx(np.asarray(expected), abs=1e-6)
    assert found.ici.value == pytest.approx(np.abs(fitted.fittedvalues - scores).mean(), abs=1e-6)


def test_the_curve_follows_loess():
    truth, scores = draw(4000, bend=-0.2)
    found = smooth_calibration(truth, scores, n_resamples=100)
    loess = sm.nonparametric.lowess(truth, scores, frac=0.4, it=0, xvals=found.score)
    assert np.abs(found.melanoma_share - loess).max() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_the_band_holds_the_truth_about_as_often_as_it_says(shift):
    held, at_the_end, of_index = [], [], []
    for seed in range(60):
        truth, scores = draw(800, seed, shift=shift)
        found = smooth_calibration(truth, scores, n_resamples=100, random_state=seed)
        true = expit(logit(found.score) + shift)
        held.append(((found.low <= true) & (true <= found.high)).mean())
        at_the_end.append(found.low[0] <= true[0] <= found.high[0])
        index = np.abs(expit(logit(scores) + shift) - scores).mean()
        of_index.append(found.ici.low <= index <= found.ici.high)
    assert 0.90 < np.mean(held) < 0.98
    assert np.mean(at_the_end) > 0.88
    assert np.mean(of_index) > 0.93


def test_the_band_is_symmetric_on_the_log_odds():
    found = smooth_calibration(*draw(), n_resamples=100)
    low, share, high = map(logit, (found.low, found.melanoma_share, found.high))
    assert high - share == pytest.approx(share - low)


def test_patients_widen_the_band_and_many_images_narrow_it():
    truth, scores = draw(800)
    alone = smooth_calibration(truth, scores, n_resamples=200)
    copies = np.repeat(np.arange(800), 4)
    grouped = smooth_calibration(truth[copies], scores[copies], groups=copies, n_resamples=200)
    ungrouped = smooth_calibration(truth[copies], scores[copies], n_resamples=200)
    width = [np.mean(found.high - found.low) for found in (alone, grouped, ungrouped)]
    assert width[1] == pytest.approx(width[0], rel=0.2)
    assert width[2] < 0.65 * width[1]
    assert grouped.ici.method == "cluster bootstrap bound"


def test_pools_of_scores_change_the_scatter_little_and_no_value():
    truth, scores = draw(6000)
    pooled = smooth_calibration(truth, scores, n_resamples=300)
    few = smooth_calibration(truth, scores.round(3), n_resamples=300)
    assert np.mean(pooled.high - pooled.low) == pytest.approx(np.mean(few.high - few.low), rel=0.15)
    assert pooled.melanoma_share == pytest.approx(few.melanoma_share, abs=0.01)


@pytest.mark.parametrize(
    ("truth", "scores", "message"),
    [
        (np.repeat([1, 0], [99, 500]), draw(599)[1], "needs 100 images of each class, got 99 melanoma and 500 benign"),
        (np.repeat([1, 0], [500, 99]), draw(599)[1], "got 500 melanoma and 99 benign"),
        (np.repeat([1, 0], 200), np.repeat([0.5, 0.4], 200), "scores that vary"),
        (np.repeat([1, 0], 200), np.linspace(1, 0, 400), "separate the classes"),
        (np.repeat([0, 1], 200), np.linspace(1, 0, 400), "separate the classes"),
        (np.repeat([1, 0], 200), np.r_[np.linspace(0.5, 0.99, 200), np.linspace(0.01, 0.51, 200)], "almost separate"),
    ],
)
def test_where_there_is_no_curve(truth, scores, message):
    with pytest.raises(DatasetError, match=message):
        smooth_calibration(truth, scores, n_resamples=100)


def test_patients_and_not_their_images_must_be_enough():
    truth, scores = draw(1000)
    with pytest.raises(DatasetError, match="needs 100 patients of each class"):
        smooth_calibration(truth, scores, groups=np.arange(1000) // 20, n_resamples=100)


def test_it_begins_and_ends_where_five_images_of_the_other_class_lie_beyond():
    truth, scores = draw(800)
    found = smooth_calibration(truth, scores, n_resamples=100)
    inside = np.quantile(scores, [0.01, 0.99])
    assert found.score[0] == max(inside[0], np.sort(scores[truth == 1])[4]) > inside[0]
    assert found.score[-1] == min(inside[1], np.sort(scores[truth == 0])[-5])


def test_of_patients_it_begins_where_five_of_them_lie_beyond():
    truth, scores = draw(800)
    lowest = np.argsort(np.where(truth == 1, scores, 2))[:40]
    patients = np.arange(800)
    patients[lowest[:36]] = lowest[0]  # one patient has the 36 melanomas of the lowest scores
    found = smooth_calibration(truth, scores, groups=patients, n_resamples=100)
    assert found.score[0] == scores[lowest[39]]


@pytest.mark.parametrize("distance", [1.0, 2.0, 3.0])
def test_the_band_has_no_spike_at_its_ends(distance):
    """Of strong classifiers hardly a melanoma has one of the lowest scores, and nothing bounds its share there."""
    rng = np.random.default_rng(0)
    truth = (rng.random(600) < 0.2).astype(int)
    scores = expit(rng.normal(distance * truth - 2, 1) * max(distance, 1))
    found = smooth_calibration(truth, scores, n_resamples=200)
    width = found.high - found.low
    assert max(width[:10].max(), width[-10:].max()) < 1.5 * width[10:-10].max()
    assert (found.low <= found.melanoma_share).all()
    assert (found.melanoma_share <= found.high).all()


def test_the_reliability_diagram_shows_it_where_there_are_enough():
    truth, scores = draw(1000)
    report = MetricsReport.from_scores(truth, scores, n_resamples=100)
    smooth = smooth_calibration(truth, scores, n_resamples=100)
    ax = report.plot_calibration().ax_
    (line,) = (line for line in ax.lines if str(line.get_label()).startswith("smooth curve"))
    assert line.get_ydata() == pytest.approx(smooth.melanoma_share)
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices
    assert corners[:, 1].max() == pytest.approx(smooth.high.max())
    assert f"ICI {smooth.ici.value:.3f}" in str(line.get_label())
    alt = {drawn.name: drawn.alt for drawn in report.draw_all()}["calibration"]
    assert "a smooth curve with a band" in alt
    few = MetricsReport.from_scores(truth[:200], scores[:200], n_resamples=100)
    ax = few.plot_calibration().ax_
    assert not ax.collections
    assert not any("smooth" in str(line.get_label()) for line in ax.lines)
    assert "smooth" not in {drawn.name: drawn.alt for drawn in few.draw_all()}["calibration"]
