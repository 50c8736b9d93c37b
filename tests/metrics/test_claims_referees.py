"""What can come from one matrix, a mean over runs or an average over classes, as mlscorecheck and scikit-learn say."""

import logging
from itertools import combinations_with_replacement, product

import numpy as np
import pytest
from mlscorecheck.check.binary import check_1_testset_no_kfold
from sklearn.metrics import cohen_kappa_score, f1_score, jaccard_score, matthews_corrcoef, precision_score, recall_score

from melanoma_tl.errors import ParameterError
from melanoma_tl.metrics.claims import ALIASES, CLAIMED, check_claims
from melanoma_tl.metrics.confusion import ConfusionCounts

THEIRS = {
    "accuracy": "acc",
    "balanced_accuracy": "bacc",
    "sensitivity": "sens",
    "specificity": "spec",
    "precision": "ppv",
    "npv": "npv",
    "f1": "f1",
    "iou_melanoma": "ji",
    "mcc": "mcc",
    "kappa": "kappa",
}
SIZES = ConfusionCounts(tn=40, fp=0, fn=25, tp=0)


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("mlscorecheck").setLevel(logging.ERROR)


def judged(claims, eps, counts=SIZES):
    """Whether mlscorecheck finds a matrix of these class sizes."""
    testset = {"p": counts.n_melanoma, "n": counts.n_benign}
    scores = {THEIRS[name]: float(value) for name, value in claims.items()}
    return not check_1_testset_no_kfold(testset=testset, scores=scores, eps=eps)["inconsistency"]


@pytest.mark.parametrize("name", THEIRS)
def test_what_is_possible_is_never_inconsistent_for_mlscorecheck(name):
    """It lets pass what is not defined and what is near; what it calls inconsistent is so."""
    verdicts = []
    for value in np.random.default_rng(0).uniform(0.5, 1, 12):
        claim = f"{value:.3f}"
        (row,) = check_claims(SIZES, {name: claim}).rows
        theirs = judged({name: claim}, 0.0005)
        assert theirs or not row.possible, claim
        # Cut off or rounded up, a figure lies within a whole unit of what was printed.
        rounded = any("rounded" in reading for reading in row.readings)
        assert judged({name: claim}, 0.001) or not (row.possible or rounded), claim
        verdicts.append((row.possible, theirs))
    if name in ("accuracy", "balanced_accuracy", "sensitivity", "specificity"):  # defined in every matrix, and linear
        assert all(ours == theirs for ours, theirs in verdicts)


def test_several_figures_are_consistent_where_mlscorecheck_finds_a_matrix():
    rng = np.random.default_rng(1)
    verdicts = []
    for trial in range(30):
        tp, tn = int(rng.integers(10, 25)), int(rng.integers(20, 40))
        counts = ConfusionCounts(tn, 40 - tn, 25 - tp, tp)
        names = rng.choice(list(THEIRS), 3, replace=False)
        claims = {row.name: f"{row.value:.3f}" for row in check_claims(counts, dict.fromkeys(names, "0.5")).rows}
        if trial % 2:  # one of them from another run
            claims[names[0]] = f"{float(claims[names[0]]) - 0.013:.3f}"
        check = check_claims(SIZES, claims)
        nearest = check.consistent and check.rounding == "nearest"
        assert nearest == judged(claims, 0.0005), claims
        verdicts.append(nearest)
    assert {True, False} == set(verdicts)


def test_a_mean_over_runs_is_possible_where_one_is_found_by_trying_all():
    """The fewest runs of which the mean is a recall that no single run gives."""
    (row,) = check_claims(ConfusionCounts(tn=20, fp=0, fn=15, tp=0), {"recall": "0.722"}).rows
    assert row.possible is False
    fewest = next(runs for runs in range(2, 8) if is_mean_of(runs, 15, 0.722, 0.0005))
    assert row.readings[0] == f"an average over at least {fewest} runs or over folds"


def is_mean_of(runs, n, value, tolerance):
    found = combinations_with_replacement(range(n + 1), runs)
    return any(abs(sum(hits) / (n * runs) - value) <= tolerance for hits in found)


@pytest.mark.parametrize("counts", [(72, 3, 17, 58), (5, 1, 0, 3), (4, 0, 2, 0), (0, 4, 0, 2), (3, 3, 3, 3)])
def test_scikit_learn_agrees(counts):
    tn, fp, fn, tp = counts
    truth, called = np.repeat([0, 0, 1, 1], counts), np.repeat([0, 1, 0, 1], counts)
    asked = {name: "0.5" for name in CLAIMED if name.startswith(("macro", "weighted")) or name in ("mcc", "kappa")}
    found = {row.name: row.value for row in check_claims(ConfusionCounts(*counts), asked).rows}
    scores = {"precision": precision_score, "f1": f1_score, "iou": jaccard_score}
    expected = {
        f"{average}_{name}": score(truth, called, average=average, zero_division=0)
        for (name, score), average in product(scores.items(), ("macro", "weighted"))
    }
    expected |= {"mcc": matthews_corrcoef(truth, called), "kappa": cohen_kappa_score(truth, called)}
    of_class = recall_score(truth, called, average=None)  # the specificity of one class is the sensitivity of the other
    expected["weighted_specificity"] = (of_class[::-1] * [tn + fp, fn + tp]).sum() / sum(counts)
    assert found == pytest.approx(expected, abs=1e-12)
    recalls = {average: recall_score(truth, called, average=average) for average in ("macro", "weighted")}
    for average, value in recalls.items():
        (row,) = check_claims(ConfusionCounts(*counts), {f"recall_{average}": "0.5"}).rows
        assert row.value == pytest.approx(value, abs=1e-12)
        assert row.name == ALIASES[f"{average}_recall"]


# -- what is said before "impossible" ----------------------------------------------------------------------------------

COUNTS = ConfusionCounts(tn=72, fp=3, fn=17, tp=58)


def told(claims, counts=COUNTS):
    check = check_claims(counts, claims)
    return check, " ".join(str(check).split())


def test_a_weighted_precision_is_recognised():
    counts = ConfusionCounts(tn=90, fp=10, fn=5, tp=15)
    truth, called = np.repeat([0, 0, 1, 1], counts), np.repeat([0, 1, 0, 1], counts)
    claim = f"{precision_score(truth, called, average='weighted'):.5f}"
    check, text = told({"precision": claim}, counts)
    assert check.rows[0].possible is False
    assert "equals this matrix's weighted average of precision" in text
    assert "not from one run on these images" in text
    assert "the weighted average of precision" in check.rows[0].readings
    assert "impossible" not in text
    assert check_claims(counts, {"weighted precision": claim}).consistent
    assert check_claims(counts, {"precision_weighted": claim}).consistent


def test_a_mean_over_runs_is_recognised():
    mean = np.mean([58 / 75, 60 / 75, 61 / 75, 62 / 75, 63 / 75])
    check, text = told({"recall": f"{mean:.4f}"})
    assert check.rows[0].possible is False
    assert "could be an average over at least 5 runs or over folds" in text
    assert "impossible" not in text


def test_figures_that_were_cut_off_are_recognised():
    claims = {"recall": "0.773", "precision": "0.950", "accuracy": "0.866"}  # 0.7733, 0.9508, 0.8667
    check, text = told(claims)
    assert [row.rounded for row in check.rows] == ["", "down", "down"]
    assert "is this matrix's metric rounded down" in text
    assert check.rounding == "down"
    assert check.consistent
    assert "3 of the 3 claims hold in one matrix, taken as rounded down" in text
    assert COUNTS in [fit.counts for fit in check.best]
    up = check_claims(COUNTS, {"recall": "0.774", "precision": "0.951", "accuracy": "0.867"})
    assert (up.rounding, up.consistent) == ("up", True)


def test_mcc_and_kappa_are_figures_of_a_matrix():
    truth, called = np.repeat([0, 0, 1, 1], COUNTS), np.repeat([0, 1, 0, 1], COUNTS)
    claims = {
        "MCC": f"{matthews_corrcoef(truth, called):.4f}",
        "Cohen kappa": f"{cohen_kappa_score(truth, called):.4f}",
    }
    check, _ = told(claims)
    assert check.consistent
    turned = check_claims(ConfusionCounts(3, 72, 58, 17), {"mcc": f"-{claims['MCC']}"})
    assert turned.rows[0].agrees
    with pytest.raises(ParameterError, match="fraction"):
        check_claims(COUNTS, {"accuracy": "-0.5"})


def test_what_no_reading_explains_is_said_so():
    """With one image of each class a balanced accuracy is 0, 0.5 or 1, and a weighted specificity too."""
    check, text = told({"balanced_accuracy": "0.3000"}, ConfusionCounts(1, 0, 0, 1))
    assert check.rows[0].readings == ("an average over runs or over folds",)
    assert "nearest 0.00 %, 50.00 %" in text


def test_digits_without_end_are_answered_at_once():
    check, _ = told({"recall": "0.123456789012345678"})
    assert "at least 1000 runs" in check.rows[0].readings[0]
