"""Whatever labels, scores and counts users pass: every public function answers rightly, or says what is wrong."""

import inspect

import numpy as np
import pandas as pd
import pytest

from melanoma_tl import MetricsReport, metrics
from melanoma_tl.errors import MelanomaTLError, ParameterError
from melanoma_tl.metrics import ConfusionCounts

RNG = np.random.default_rng(0)
TRUTH = np.repeat([0, 1], [120, 120])
SCORES = np.clip(0.3 * TRUTH + 0.6 * RNG.random(240), 0.01, 0.99)
CLASSES = np.repeat([0, 1, 2], 4)
MATRIX = np.eye(3)[CLASSES] * 0.5 + 0.1

PUBLIC = {name for name in metrics.__all__ if inspect.isfunction(getattr(metrics, name))}
FURTHER = {
    "measure_subgroups": {"table": {"sex": ["female", "male"] * 120}},
    "choose_threshold": {"youden": True},
    "compare": {"second_score": SCORES},
}
OF_SCORES = sorted(
    name for name in PUBLIC if next(iter(inspect.signature(getattr(metrics, name)).parameters)) == "y_true"
)
OF_COUNTS = {
    "threshold_metrics": metrics.threshold_metrics,
    "proportion_metrics": lambda *counts: metrics.proportion_metrics(ConfusionCounts(*counts)),
    "matrix_metrics": lambda *counts: metrics.matrix_metrics(ConfusionCounts(*counts), n_resamples=100),
    "predictive_values": lambda *counts: metrics.predictive_values(ConfusionCounts(*counts), 0.1),
    "check_claims": lambda *counts: metrics.check_claims(ConfusionCounts(*counts), {"accuracy": 0.5}),
}
OF_CLASSES = {
    "multiclass_metrics": lambda truth, scores: metrics.multiclass_metrics(truth, scores, n_classes=3, n_resamples=100),
    "compare_classes": lambda truth, scores: metrics.compare_classes(
        truth, scores, MATRIX, classes=list("abc"), n_resamples=100
    ),
    "compare_classes, second": lambda truth, scores: metrics.compare_classes(
        truth, MATRIX, scores, classes=list("abc"), n_resamples=100
    ),
}
OTHERS = {
    "wilson_interval": [(-1, 10), (11, 10), (5, 0), (np.nan, 10), (3, np.nan), ("a", 3), ([1, 2], [3, 4, 5])],
    "mcnemar": [
        ([1, 0, np.nan], [1, 0, 1]),
        (SCORES, 1 - SCORES),
        ([1, -1], [1, 1]),
        (["right"], ["wrong"]),
        ([True], [True, False]),
        (np.ma.masked_array([1, 0], [0, 1]), [1, 1]),
        (np.ones((2, 2)), np.ones((2, 2))),
        (1, 0),
    ],
    "random_effects": [
        ([0.1, 0.2], [0.1, -0.1], 0.95),
        ([0.1, np.nan], [0.1, 0.1], 0.95),
        ([0.1, 0.2], [0.1], 0.95),
        ([0.1], [0.1], 0.95),
        (["a", "b"], [0.1, 0.1], 0.95),
        ([0.1, 0.2], [0.1, 0.1], 95),
    ],
    "predict_classes": [(MATRIX[0],), (np.where(CLASSES[:, None] == 1, np.nan, MATRIX),), ([["a", "b"]],)],
    "expected_intervals": [(-1, 10), (1.5, 10), (np.nan, 10), ("a", 10)],
    "images_needed": [(-0.1,), (np.nan,), ("a",)],
    "images_needed_to_compare": [],  # by name only: each number has its rule
    "combine_sites": [([0.8, 0.9],), ({"a": np.nan, "b": 1},)],
    "largest_gaps": [([], 95, 0), ([], 0.95, -1)],  # of what measure_subgroups has estimated
}


def call(name, y_true, y_score):
    function = getattr(metrics, name)
    known = inspect.signature(function).parameters
    further = FURTHER.get(name, {}) | ({"n_resamples": 100} if "n_resamples" in known else {})
    return function(y_true, y_score, **further)


def test_every_public_function_is_asked_here():
    assert {*OF_SCORES, *OF_COUNTS, *OF_CLASSES, *OTHERS} - {"compare_classes, second"} == PUBLIC


SAME = {
    "lists": (TRUTH.tolist(), SCORES.tolist()),
    "truth values": (TRUTH == 1, SCORES),
    "-1 and 1": (2 * TRUTH - 1, SCORES),
    "words": (np.where(TRUTH == 1, "melanoma", "nevus"), SCORES),
    "columns": (pd.Series(TRUTH, dtype="Int64"), pd.Series(SCORES)),
}


@pytest.mark.parametrize("name", OF_SCORES)
def test_labels_and_scores_in_any_container_are_the_same(name):
    expected = repr(call(name, TRUTH, SCORES))
    for kind, given in SAME.items():
        assert repr(call(name, *given)) == expected, kind


MELANOMA = TRUTH == 1
WRONG = {
    "scores that are missing": (TRUTH, np.where(MELANOMA, np.nan, SCORES)),
    "masked scores": (TRUTH, np.ma.masked_array(SCORES, mask=MELANOMA)),
    "infinite scores": (TRUTH, np.where(MELANOMA, np.inf, SCORES)),
    "scores in words": (TRUTH, np.where(MELANOMA, "high", "low")),
    "scores of two classes": (TRUTH, np.column_stack([1 - SCORES, SCORES])),
    "fewer scores": (TRUTH, SCORES[1:]),
    "fewer labels": (TRUTH[1:], SCORES),
    "labels that are missing": (np.where(MELANOMA, np.nan, 0.0), SCORES),
    "masked labels": (np.ma.masked_array(TRUTH, mask=MELANOMA), SCORES),
    "words without a meaning": (np.where(MELANOMA, "A", "B"), SCORES),
    "scores for labels": (SCORES, TRUTH),
}


@pytest.mark.parametrize("name", OF_SCORES)
@pytest.mark.parametrize("kind", WRONG)
def test_labels_and_scores_that_say_nothing_are_refused(name, kind):
    with pytest.raises(MelanomaTLError):
        call(name, *WRONG[kind])


def test_the_second_scores_of_a_comparison_are_checked_too():
    for kind, (y_true, scores) in WRONG.items():
        with pytest.raises(MelanomaTLError):
            metrics.compare(y_true, SCORES, scores)
        if y_true is TRUTH:
            with pytest.raises(MelanomaTLError):
                metrics.net_benefit(TRUTH, SCORES, other_score=scores)
            with pytest.raises(MelanomaTLError):
                metrics.delong(TRUTH, SCORES, scores)
        assert kind


COUNTS = [-1, 1.5, np.nan, "1", [1], None, True]


@pytest.mark.parametrize("name", OF_COUNTS)
@pytest.mark.parametrize("count", COUNTS, ids=repr)
@pytest.mark.parametrize("place", range(4))
def test_counts_are_whole_numbers_from_0(name, count, place):
    given: list = [72, 3, 17, 58]
    expected = repr(OF_COUNTS[name](*given))
    assert repr(OF_COUNTS[name](*np.array(given))) == expected
    given[place] = count
    with pytest.raises(ParameterError, match=rf"^{ConfusionCounts._fields[place]} must be a whole number of at least"):
        OF_COUNTS[name](*given)


@pytest.mark.parametrize("name", sorted(set(OF_COUNTS) - {"threshold_metrics"}))
def test_four_numbers_without_names_are_no_confusion_matrix(name):
    further = {"predictive_values": (0.1,), "check_claims": ({"accuracy": 0.5},)}.get(name, ())
    with pytest.raises(ParameterError, match=r"counts must be ConfusionCounts\(tn, fp, fn, tp\), got \(1, 2, 3, 4\)"):
        getattr(metrics, name)((1, 2, 3, 4), *further)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_classes_are_their_numbers_and_scores_a_matrix(name):
    expected = repr(OF_CLASSES[name](CLASSES, MATRIX))
    for same in ((CLASSES.tolist(), MATRIX.tolist()), (CLASSES * 1.0, pd.DataFrame(MATRIX))):
        assert repr(OF_CLASSES[name](*same)) == expected
    wrong_labels = [CLASSES - 1, CLASSES + 1, CLASSES + 0.5, CLASSES[1:], MATRIX, np.array(list("abc"))[CLASSES]]
    wrong_labels += [np.where(CLASSES == 1, np.nan, CLASSES), np.minimum(CLASSES, 1)]
    wrong_scores = [
        MATRIX[1:],
        MATRIX[:, 0],
        MATRIX[:, :2],
        9 * MATRIX,
        np.where(CLASSES[:, None] == 1, np.nan, MATRIX),
    ]
    wrong_scores += [np.ma.masked_array(MATRIX, mask=MATRIX > 0.5), [["a", "b", "c"]] * 12]
    for truth, scores in [(labels, MATRIX) for labels in wrong_labels] + [(CLASSES, scores) for scores in wrong_scores]:
        with pytest.raises(MelanomaTLError):
            OF_CLASSES[name](truth, scores)


@pytest.mark.parametrize(("name", "given"), [(name, given) for name, calls in OTHERS.items() for given in calls])
def test_what_is_no_answer_to_the_question_is_refused(name, given):
    further = {"expected_intervals": {"auc": 0.8}, "images_needed": {"auc": 0.8, "prevalence": 0.2}}.get(name, {})
    with pytest.raises(MelanomaTLError):
        getattr(metrics, name)(*given, **further)


def test_functions_of_both_classes_refuse_one_alone():
    for name in set(OF_SCORES) - {"confusion_counts", "measure_subgroups"}:
        for truth in (np.zeros(240, int), np.ones(240, int)):
            with pytest.raises(MelanomaTLError):
                call(name, truth, SCORES)


def test_the_counts_of_one_class_are_those_of_a_group():
    assert metrics.confusion_counts([0, 0], [0.2, 0.7]) == (1, 1, 0, 0)
    assert metrics.confusion_counts(["melanoma"], [0.2]) == (0, 0, 1, 0)


# -- predictions in the words of the labels ----------------------------------------------------------------------------

CALLED = SCORES > 0.5
AB = np.array(["B", "A"])
PREDICTED = {
    "letters": (AB[TRUTH], AB[CALLED * 1], "A"),
    "1 and 2": (TRUTH + 1, CALLED + 1, 2),
    "2 is benign": (2 - TRUTH, 2 - CALLED, 1),
    "three": (
        np.array(["bcc", "nevus", "melanoma"])[np.where(TRUTH, 2, np.arange(240) % 2)],
        np.array(["bcc", "nevus", "melanoma"])[np.where(CALLED, 2, np.arange(240) % 2)],
        "melanoma",
    ),
    "letters and truth values": (AB[TRUTH], CALLED, "A"),
    "1, 2 and truth values": (TRUTH + 1, CALLED, 2),
    "words and numbers": (np.where(TRUTH, "melanoma", "nevus"), CALLED * 1.0, None),
    "numbers and words": (TRUTH, np.where(CALLED, "mel", "nv"), None),
    "other spellings": (np.where(TRUTH, "melanoma", "nevus"), np.where(CALLED, "MEL", "nevus"), None),
    "another finding": (np.where(TRUTH, "bcc", "nevus"), CALLED * 1, "bcc"),
}


@pytest.mark.parametrize("kind", PREDICTED)
def test_predictions_are_in_the_words_of_the_labels(kind):
    y_true, y_pred, pos_label = PREDICTED[kind]
    further = {"class_names": ("not bcc", "bcc")} if pos_label == "bcc" else {}
    report = MetricsReport.from_scores(y_true, SCORES, pos_label=pos_label, y_pred=y_pred, n_resamples=100, **further)
    assert report.counts == metrics.confusion_counts(TRUTH, SCORES)


def test_predictions_of_one_class_alone_follow_pos_label():
    for label, counts in (("A", (0, 120, 0, 120)), ("B", (120, 0, 120, 0))):
        report = MetricsReport.from_scores(AB[TRUTH], SCORES, pos_label="A", y_pred=[label] * 240, n_resamples=100)
        assert report.counts == counts


@pytest.mark.parametrize(
    ("y_true", "y_pred", "pos_label", "strange"),
    [
        (AB[TRUTH], np.where(CALLED, "A", "C"), "A", "'C', but the labels in y_true are 'A', 'B'"),
        (TRUTH + 1, CALLED * 1, 2, "0, but the labels in y_true are 1, 2"),
        (np.where(TRUTH, "bcc", "nevus"), np.where(CALLED, "melanoma", "nevus"), "bcc", "'melanoma', but"),
        (np.where(TRUTH, "melanoma", "nevus"), np.where(CALLED, "melanoma", "0"), None, "'0', but"),
    ],
)
def test_predictions_in_words_that_do_not_fit_are_refused(y_true, y_pred, pos_label, strange):
    further = {"class_names": ("not bcc", "bcc")} if pos_label == "bcc" else {}
    with pytest.raises(MelanomaTLError, match=f"y_pred holds {strange}.*give these labels, or True where"):
        MetricsReport.from_scores(y_true, SCORES, pos_label=pos_label, y_pred=y_pred, **further)


def test_predictions_of_metrics_and_subgroups_follow_the_labels_too():
    y_true, y_pred = np.where(TRUTH, "melanoma", "nevus"), np.where(CALLED, "melanoma", "nevus")
    expected = metrics.score_metrics(TRUTH, SCORES, n_resamples=100)["sensitivity"].value
    assert metrics.score_metrics(y_true, SCORES, y_pred=y_pred, n_resamples=100)["sensitivity"].value == expected
    (group,) = metrics.measure_subgroups(y_true, SCORES, {"site": ["back"] * 240}, y_pred=y_pred, n_resamples=100)
    assert group.metrics["sensitivity"].value == expected
