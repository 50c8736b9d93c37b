"""Which printed metrics one confusion matrix can give."""

from itertools import product

import pytest

from melanoma_tl import MetricsReport
from melanoma_tl.errors import DatasetError, ParameterError, UnknownNameError
from melanoma_tl.metrics.claims import check_claims
from melanoma_tl.metrics.confusion import ConfusionCounts, threshold_metrics
from melanoma_tl.metrics.metric import UNBOUNDED

PUBLISHED = {"accuracy": "86.67 %", "precision": "95.08 %", "sensitivity": "82.25 %", "iou": "78.26 %", "dice": "85.29"}


@pytest.fixture(scope="module")
def published():
    return MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58).check_claims(PUBLISHED)


def test_exactly_one_matrix_gives_accuracy_precision_and_dice(published):
    assert not published.consistent
    assert published.n_matrices == 76 * 76
    assert published.n_best == 1
    (fit,) = published.best
    assert fit.counts == (72, 3, 17, 58)
    assert fit.satisfied == ("accuracy", "precision", "f1")


def test_the_published_iou_is_the_benign_one(published):
    row = {row.name: row for row in published.rows}["iou_melanoma"]
    assert not row.agrees
    assert row.same_as == ("iou_benign",)
    assert row.value == pytest.approx(58 / 78)


def test_the_published_recall_is_impossible(published):
    row = {row.name: row for row in published.rows}["sensitivity"]
    assert (row.agrees, row.possible) == (False, False)
    assert row.nearest == pytest.approx((61 / 75, 62 / 75))


@pytest.mark.parametrize("write", [str, lambda check: check.to_markdown()], ids=["text", "markdown"])
def test_the_finding_is_told(published, write):
    text = write(published)
    assert "no k/75 equals it; nearest 81.33 %, 82.67 %" in text
    assert "equals this matrix's IoU (benign)" in text
    assert "At most 3 of the 5 claims hold in one matrix" in text
    assert "TN 72, FP 3, FN 17, TP 58" in text


def test_figures_of_a_matrix_are_consistent_with_it():
    counts = ConfusionCounts(tn=40, fp=9, fn=4, tp=16)
    values = {name: value for name, value in threshold_metrics(*counts).items() if name not in UNBOUNDED}
    check = check_claims(counts, {name: f"{value:.4f}" for name, value in values.items()})
    assert check.consistent
    assert all(row.agrees for row in check.rows)
    assert counts in [fit.counts for fit in check.best]


def test_a_likelihood_ratio_is_no_percentage():
    with pytest.raises(UnknownNameError, match="lr_positive"):
        check_claims(ConfusionCounts(tn=40, fp=9, fn=4, tp=16), {"lr_positive": 4.36})


def test_enumeration_is_that_of_a_plain_loop():
    claims = {"accuracy": "70 %", "precision": "0.667", "npv": "72 %"}
    targets = {"accuracy": (0.70, 0.005), "precision": (0.667, 0.0005), "npv": (0.72, 0.005)}
    held = {}
    for tp, fp in product(range(10), range(13)):
        figures = threshold_metrics(tn=12 - fp, fp=fp, fn=9 - tp, tp=tp)
        held[tp, fp] = sum(abs(figures[name] - value) <= unit + 1e-12 for name, (value, unit) in targets.items())
    check = check_claims(ConfusionCounts(tn=12, fp=0, fn=9, tp=0), claims)
    most = max(held.values())
    assert len(check.best[0].satisfied) == most
    assert check.n_best == sum(n == most for n in held.values())


@pytest.mark.parametrize("claim", [0.8667, "0.8667", 86.67, "86.67", "86.67 %", "86.67%", "87 %", 87])
def test_fractions_and_percentages_are_read_alike(claim):
    assert check_claims(ConfusionCounts(72, 3, 17, 58), {"accuracy": claim}).rows[0].agrees


def test_more_digits_are_a_stricter_claim():
    counts = ConfusionCounts(tn=72, fp=3, fn=17, tp=58)
    assert check_claims(counts, {"recall": "0.77"}).rows[0].agrees
    assert not check_claims(counts, {"recall": "0.770"}).rows[0].agrees


def test_an_undefined_figure_never_agrees():
    row = check_claims(ConfusionCounts(tn=3, fp=0, fn=2, tp=0), {"precision": "0.50"}).rows[0]
    assert (row.agrees, row.possible) == (False, True)


def test_too_many_matrices_are_said_to_be_too_many():
    check = check_claims(ConfusionCounts(tn=30_000, fp=10, fn=10, tp=500), {"recall": "98.04 %", "iou": "10 %"})
    assert check.n_matrices == 0
    assert [row.possible for row in check.rows] == [None, None]
    assert not check.consistent
    assert "too many" in str(check)


def test_claims_about_no_image_are_refused():
    with pytest.raises(DatasetError, match="counts has no image"):
        check_claims(ConfusionCounts(0, 0, 0, 0), {"accuracy": 0.5})


def test_an_unknown_figure_gets_the_nearest_name():
    with pytest.raises(
        UnknownNameError, match=r"'recal'.*Did you mean 'recall'.*AUC and average precision need scores"
    ):
        check_claims(ConfusionCounts(1, 1, 1, 1), {"recal": 0.5})


@pytest.mark.parametrize("claim", ["high", "nan", -0.1, "120 %", 1, ""])
def test_a_claim_that_is_no_figure(claim):
    with pytest.raises(ParameterError, match=r"fraction such as 0.8667 or a percentage"):
        check_claims(ConfusionCounts(1, 1, 1, 1), {"accuracy": claim})


@pytest.mark.parametrize("claims", [{}, {"recall": 0.5, "tpr": 0.5}], ids=["none", "twice"])
def test_claims_that_cannot_be_compared(claims):
    with pytest.raises(ParameterError, match="claim"):
        check_claims(ConfusionCounts(1, 1, 1, 1), claims)
