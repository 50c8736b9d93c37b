"""Net benefits: against the decision curve, against images repeated to another prevalence, and against simulation."""

import json

import numpy as np
import pytest
from drawn_scores import simulate
from scipy.special import expit, logit

from melanoma_tl import MetricsReport
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.metrics.clinical_utility import net_benefit
from melanoma_tl.metrics.decision_curves import decision_curve

AT = [0.2, 0.05, 0.5, 0.1]


def test_values_and_intervals_are_those_of_the_decision_curve():
    y_true, y_score = simulate()
    y_score[::5] = 0.2  # on a threshold: not above it
    found = net_benefit(y_true, y_score, AT)
    curve = decision_curve(y_true, y_score, AT)
    np.testing.assert_allclose([row.value.value for row in found.rows], curve.net_benefit, atol=1e-12)
    np.testing.assert_allclose([row.value.low for row in found.rows], curve.low, atol=0.01)
    np.testing.assert_allclose([row.value.high for row in found.rows], curve.high, atol=0.01)
    np.testing.assert_allclose(
        [row.over_all.value for row in found.rows], curve.net_benefit - curve.treat_all, atol=1e-12
    )
    np.testing.assert_allclose([row.standardised.value for row in found.rows], curve.net_benefit / y_true.mean())
    assert [row.threshold for row in found.rows] == AT
    assert not found.stated


def test_net_benefit_by_hand():
    # 100 of 1000 are ill; at a threshold of 10 %, 80 of them are treated, and 200 others.
    y_true = np.repeat([1, 1, 0, 0], [80, 20, 200, 700])
    y_score = np.repeat([0.5, 0.01, 0.5, 0.01], [80, 20, 200, 700])
    (row,) = net_benefit(y_true, y_score, 0.1, n_resamples=100).rows
    assert row.value.value == pytest.approx(80 / 1000 - 200 / 1000 / 9)
    assert row.standardised.value == pytest.approx((80 / 1000 - 200 / 1000 / 9) / 0.1)
    assert row.over_all.value == pytest.approx(80 / 1000 - 200 / 1000 / 9 - (100 / 1000 - 900 / 1000 / 9))


def test_a_stated_prevalence_is_that_of_images_repeated():
    y_true, y_score = simulate(100, 300)
    repeated = np.concatenate([np.arange(400), *[np.arange(100, 400)] * 4])  # 100 of 1600
    there = net_benefit(y_true, y_score, AT, prevalence=1 / 16)
    here = net_benefit(y_true[repeated], y_score[repeated], AT)
    for stated, own in zip(there.rows, here.rows, strict=True):
        for name in ("value", "standardised", "over_all"):
            assert getattr(stated, name).value == pytest.approx(getattr(own, name).value)
    assert there.prevalence == 1 / 16
    # A prevalence that is known adds no scatter.
    own, known = net_benefit(y_true, y_score, [0.1]), net_benefit(y_true, y_score, [0.1], prevalence=0.25)
    assert known.rows[0].value.high - known.rows[0].value.low < own.rows[0].value.high - own.rows[0].value.low


def test_another_model_sees_the_same_resamples():
    y_true, y_score = simulate()
    close = np.clip(y_score + np.random.default_rng(0).normal(0, 0.02, len(y_score)), 0, 1)
    (row,) = net_benefit(y_true, y_score, 0.1, other_score=close).rows
    curves = [decision_curve(y_true, scores, [0.1]).net_benefit[0] for scores in (y_score, close)]
    assert row.over_other.value == pytest.approx(curves[0] - curves[1])
    assert row.over_other.high - row.over_other.low < 0.4 * (row.value.high - row.value.low)
    same = net_benefit(y_true, y_score, 0.1, other_score=y_score)
    assert (same.rows[0].over_other.low, same.rows[0].over_other.high) == (0, 0)
    assert "does not mean certainty" in str(same)


@pytest.mark.parametrize("prevalence", [None, 0.1])
def test_patients_are_drawn_whole(prevalence):
    y_true, y_score = (np.repeat(column, 4) for column in simulate())
    groups = np.arange(len(y_true)) // 4
    alone, together = (
        net_benefit(y_true, y_score, 0.1, prevalence=prevalence, groups=which).rows[0].value for which in (None, groups)
    )
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(2, rel=0.15)
    assert together.method == "cluster bootstrap"


def test_reports_are_matched_by_their_ids():
    y_true, y_score = simulate()
    other = simulate(seed=1)[1]
    ids = [f"image {i}" for i in range(600)]
    order = np.random.default_rng(0).permutation(600)
    first = MetricsReport.from_scores(y_true, y_score, image_ids=ids, n_resamples=500)
    second = MetricsReport.from_scores(y_true[order], other[order], image_ids=[ids[i] for i in order], n_resamples=500)
    found = first.net_benefit(other=second, names=("<new>", "old"), prevalence=0.02)
    expected = net_benefit(y_true, y_score, other_score=other, prevalence=0.02, n_resamples=500)
    assert found.to_dict()["rows"] == expected.to_dict()["rows"]
    for text in (str(found), found.to_markdown(), found._repr_html_()):
        assert "Prevalence of melanoma 2 %, as stated" in text
        assert "more than by old" in text
    assert "<new>" not in found._repr_html_()
    assert set(found.to_frame()["metric"]) == {"value", "standardised", "over_all", "over_other"}
    content = json.loads(first.attach("Net benefit", found).to_json())["findings"]["Net benefit"]
    assert content["rows"][0]["over_other"]["value"] == found.rows[0].over_other.value


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: net_benefit([0, 1], [0.1, 0.9], [1.0]), ParameterError, "thresholds"),
        (lambda: net_benefit([0, 1], [0.1, 0.9], prevalence=20), ParameterError, "prevalence"),
        (lambda: net_benefit([1, 1], [0.1, 0.9]), DatasetError, "both classes"),
        (lambda: net_benefit([0, 1], [0.1, 0.9], other_score=[0.1]), ParameterError, "1"),
        (lambda: MetricsReport.from_confusion(8, 2, 2, 8).net_benefit(), ParameterError, "A net benefit"),
    ],
)
def test_what_has_no_net_benefit(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.slow
@pytest.mark.parametrize("prevalence", [None, 0.03])
def test_intervals_cover(prevalence):
    rng = np.random.default_rng(0)
    share = 0.2

    def draw(n):
        truth = (rng.random(n) < share).astype(int)
        common = rng.normal(1.2 * truth, 1)
        scores = [expit(logit(share) - 0.7 + 1.2 * (common + rng.normal(0, 0.5, n))) for _ in range(2)]
        scores[1] = expit(0.8 * logit(scores[1]))
        return truth, scores

    truth, (first, second) = draw(1_000_000)
    wanted = net_benefit(truth, first, 0.1, other_score=second, prevalence=prevalence, n_resamples=100).rows[0]
    names = ("value", "standardised", "over_all", "over_other")
    hits, trials = dict.fromkeys(names, 0), 400
    for _ in range(trials):
        truth, (first, second) = draw(400)
        row = net_benefit(truth, first, 0.1, other_score=second, prevalence=prevalence, n_resamples=300).rows[0]
        for name in names:
            one = getattr(row, name)
            hits[name] += one.low <= getattr(wanted, name).value <= one.high
    assert all(0.91 <= count / trials <= 0.985 for count in hits.values()), hits
