"""A report says what it found, how sure that is, and what it rests on."""

import json
import pickle
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from processes import full_disk
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from melanoma_tl import ISBIDataset, MetricsReport, MulticlassReport
from melanoma_tl.errors import DatasetError, ParameterError, UnknownNameError, WriteError
from melanoma_tl.metrics.comparisons import compare
from melanoma_tl.metrics.confusion import CONFUSION_METRICS
from melanoma_tl.metrics.metric import LABELS
from melanoma_tl.metrics.reliability import CALIBRATION_LABELS, calibration_metrics
from melanoma_tl.metrics.resampling import number_groups
from melanoma_tl.metrics.sensitivity_specificity import specificity_at_sensitivity
from melanoma_tl.plots import ScoreHistogramDisplay

FIGURES = set(LABELS)
TRUTH = [0, 0, 0, 1, 1, 1]
SCORES = [0.1, 0.4, 0.7, 0.3, 0.8, 0.9]


class Scorer:
    """A classifier that has learned its scores by heart."""

    def __init__(self, scores, **attributes):
        self.scores = np.asarray(scores, dtype="float32")
        vars(self).update(attributes)

    def predict_proba(self, X):
        return np.stack([1 - self.scores, self.scores], axis=1)


@pytest.fixture(scope="module")
def report():
    return MetricsReport.from_scores(TRUTH, SCORES, name="six images")


@pytest.fixture(scope="module")
def undefined():
    """Nothing is predicted melanoma: precision does not exist."""
    return MetricsReport.from_scores([0, 0, 1], [0.1, 0.2, 0.3])


# -- figures -----------------------------------------------------------------------------------------------------------


def test_every_figure_has_an_interval_and_its_n(report):
    content = report.to_dict()
    for name in FIGURES:
        assert set(content[name]) == {"value", "low", "high", "n", "few"}
        assert content[name]["low"] <= content[name]["value"] <= content[name]["high"]
        assert content[name]["n"] > 0
    assert content["confusion_matrix"] == {"tn": 2, "fp": 1, "fn": 1, "tp": 2}


def test_a_matrix_alone_has_no_auc():
    report = MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58)
    assert set(report.metrics) == FIGURES - {"auc", "partial_auc", "average_precision"}
    assert "auc" not in report.to_dict()
    assert report.metrics["iou_benign"].value == pytest.approx(72 / 92)
    assert report.to_dict()["threshold"] is None


def test_scores_and_their_matrix_give_the_same_values(report):
    from_matrix = MetricsReport.from_confusion(*report.counts)
    for name, metric in from_matrix.metrics.items():
        assert metric.value == report.metrics[name].value


def test_an_image_without_score_is_left_out_listed_and_counted():
    scores = [*SCORES, np.nan, np.nan]
    report = MetricsReport.from_scores(
        [*TRUTH, 1, 0],
        scores,
        image_ids=[f"ISIC_{row}" for row in range(8)],
        paths=[f"{row}.jpg" for row in range(8)],
        skipped=[("ISIC_8", "8.jpg", "no such file")],
    )
    assert report.metrics == MetricsReport.from_scores(TRUTH, SCORES).metrics
    assert [row.image_id for row in report.skipped] == ["ISIC_8", "ISIC_6", "ISIC_7"]
    assert report.skipped[1].path == "6.jpg"
    assert report.image_ids == tuple(f"ISIC_{row}" for row in range(6))
    assert len(report.paths) == len(report.y_score) == 6
    assert "3 skipped" in str(report)
    assert report.provenance["test_data"]["skipped"] == 3


@pytest.mark.parametrize(
    ("y_true", "pos_label"),
    [
        ([False, False, False, True, True, True], None),
        ([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], None),
        (["nevus", "nevus", "keratosis", "mel", "mel", "mel"], "mel"),
    ],
    ids=["bool", "float", "words"],
)
def test_labels_of_other_kinds(report, y_true, pos_label):
    assert MetricsReport.from_scores(y_true, SCORES, pos_label=pos_label).metrics == report.metrics


# -- estimators --------------------------------------------------------------------------------------------------------


def test_any_classifier_of_scikit_learn_can_be_reported():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 80)
    X = rng.normal(y[:, None], 1, (80, 3))
    model = LogisticRegression().fit(X, y)
    report = MetricsReport.from_estimator(model, X, y)
    assert report.metrics["accuracy"].value == model.score(X, y)
    assert "LogisticRegression" in str(report)


def test_the_threshold_of_a_classifier_within_another_is_taken_or_asked_for():
    X, y = np.linspace(0, 1, 40)[:, None], np.arange(40) // 8 % 2
    fixed = FixedThresholdClassifier(LogisticRegression(), threshold=0.3)
    search = GridSearchCV(make_pipeline(StandardScaler(), fixed), {"standardscaler__with_std": [True]}, cv=2)
    for model, threshold in ((fixed, 0.3), (search, 0.3), (FixedThresholdClassifier(LogisticRegression()), 0.5)):
        report = MetricsReport.from_estimator(model.fit(X, y), X, y, n_resamples=100)
        assert report.threshold == threshold
        assert report.counts.tp + report.counts.fp == model.predict(X).sum()
    tuned = TunedThresholdClassifierCV(LogisticRegression(), cv=2).fit(X, y)
    with pytest.raises(ParameterError, match=r"by best_threshold_ 0.*pass threshold="):
        MetricsReport.from_estimator(tuned, X, y)
    assert MetricsReport.from_estimator(tuned, X, y, threshold=0.4, n_resamples=100).threshold == 0.4
    with pytest.raises(ParameterError, match="pass threshold="):
        ScoreHistogramDisplay.from_estimator(tuned, X, y)
    assert ScoreHistogramDisplay.from_estimator(tuned, X, y, threshold=0.4).threshold == 0.4


def test_what_a_dataset_and_a_classifier_know_is_taken(dataset):
    scores = np.linspace(0, 1, len(dataset))
    scores[3] = np.nan
    provenance = {
        "recipe": "paper",
        "seed": 7,
        "weights": {"file": "vgg19.h5"},
        "training_data": {"counts": [346, 346]},
    }
    history = {"loss": [0.5, 0.4], "accuracy": [0.7, 0.8]}
    model = Scorer(scores, threshold=0.8, history_=history, provenance_=provenance)
    report = MetricsReport.from_estimator(model, dataset)
    assert report.threshold == 0.8
    assert report.counts.tp + report.counts.fp == int((np.float32(scores) > 0.8).sum())
    assert report.name == dataset.name
    assert report.history == history
    assert report.paths == tuple(np.delete(dataset.paths, 3))
    assert report.skipped[0].image_id == dataset.image_ids[3]
    assert report.provenance["model"] == provenance
    for fact in ("recipe: paper", "seed: 7", "vgg19.h5", "counts: 346, 346", dataset.name):
        assert fact in str(report)
    assert MetricsReport.from_estimator(model, dataset, threshold=0.1, name="x").threshold == 0.1


def test_labels_given_as_y_are_preferred_to_those_of_the_dataset(dataset):
    model = Scorer(np.linspace(0, 1, len(dataset)))
    swapped = MetricsReport.from_estimator(model, dataset, 1 - dataset.labels)
    assert swapped.metrics["auc"].value == pytest.approx(
        1 - MetricsReport.from_estimator(model, dataset).metrics["auc"].value
    )


def test_melanoma_may_be_the_first_class():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 80)
    X = rng.normal(truth[:, None], 1, (80, 3))
    words = np.array(["nevus", "malignant"])[truth]
    model = LogisticRegression().fit(X, words)
    assert model.classes_[0] == "malignant"
    expected = MetricsReport.from_scores(truth, model.predict_proba(X)[:, 0])
    for options in ({}, {"pos_label": "malignant"}):
        assert MetricsReport.from_estimator(model, X, words, **options).metrics == expected.metrics


def test_images_without_labels_cannot_be_reported():
    with pytest.raises(ParameterError, match="list without labels; pass them as y"):
        MetricsReport.from_estimator(Scorer(SCORES), ["a.jpg"] * 6)


def test_scores_of_one_column_are_refused():
    class OneColumn:
        def predict_proba(self, X):
            return np.full((6, 1), 0.5)

    with pytest.raises(ParameterError, match=r"\(n, 2\), benign and melanoma, got \(6, 1\)"):
        MetricsReport.from_estimator(OneColumn(), None, TRUTH)


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ([0, 1], [0.1, 1.2]),
            ParameterError,
            r"probabilities, 0 to 1, got 1 outside, such as 1.2; pass predict_proba",
        ),
        (([0, 1], [-3.0, np.inf]), ParameterError, "got 2 outside, such as -3"),
        (([0, 1, 1], [0.1, 0.2]), ParameterError, "y_score has 2 rows, but y_true has 3"),
        (
            ([0, 1], [[0.9, 0.1], [0.2, 0.8]]),
            ParameterError,
            r"shape \(n,\), the probability of melanoma, got \(2, 2\)",
        ),
        (([[0, 1], [1, 0]], [0.1, 0.2]), DatasetError, r"y_true must have the shape \(n,\).* got \(2, 2\); of one-hot"),
        ((["cat", "dog"], [0.1, 0.2]), DatasetError, "do not say which of them is melanoma"),
        (([1, 2], [0.1, 0.2]), DatasetError, r"y_true \(1, 2\) do not say which of them is melanoma"),
        (([0, np.nan], [0.1, 0.2]), DatasetError, "1 of 2 labels are missing"),
        (([1, 1], [0.1, 0.2]), DatasetError, "got 2 melanoma and 0 benign"),
        (([], []), DatasetError, "got 0 melanoma and 0 benign"),
        (([0, 1], [np.nan, np.nan]), DatasetError, "got 0 melanoma and 0 benign"),
    ],
)
def test_scores_that_cannot_be_reported(arguments, error, message):
    with pytest.raises(error, match=message):
        MetricsReport.from_scores(*arguments)


@pytest.mark.parametrize("column", ["image_ids", "paths"])
def test_ids_and_paths_must_match_the_scores(column):
    with pytest.raises(ParameterError, match=f"6 rows, but {column} has 1"):
        MetricsReport.from_scores(TRUTH, SCORES, **{column: ["a"]})


@pytest.mark.parametrize("counts", [(1, 2, 3, -1), (1, 2, 3, 4.5), (1, 2, 3, "4")])
def test_counts_must_be_counts(counts):
    with pytest.raises(ParameterError, match="whole number"):
        MetricsReport.from_confusion(*counts)


def test_a_matrix_of_one_class_is_an_error():
    with pytest.raises(DatasetError, match="got 0 melanoma and 7 benign"):
        MetricsReport.from_confusion(5, 2, 0, 0)


# -- what produced it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        lambda: MetricsReport.from_scores(TRUTH, SCORES),
        lambda: MetricsReport.from_confusion(3, 1, 1, 3),
        lambda: MetricsReport.from_estimator(Scorer(SCORES), None, TRUTH),
    ],
    ids=["scores", "confusion", "estimator"],
)
def test_every_report_says_what_produced_it(made):
    provenance = made().to_dict()["provenance"]
    assert {"python", "numpy", "keras", "scikit-learn"} <= set(provenance["versions"])
    assert provenance["created"].endswith("+00:00")
    assert provenance["intervals"] == {"n_resamples": 2000, "random_state": 0}
    assert provenance["test_data"]["classes"]["melanoma"] == provenance["test_data"]["images"] / 2


def test_a_report_needs_neither_tensorflow_nor_keras_nor_matplotlib():
    code = (
        "import sys; from melanoma_tl import MetricsReport as R; r = R.from_confusion(72, 3, 17, 58); str(r); repr(r);"
        "r.to_json(); print([m for m in ('tensorflow', 'keras', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# -- what only scores can tell -----------------------------------------------------------------------------------------


def test_a_report_has_specificity_at_sensitivities_and_calibration(report):
    content = report.to_dict()
    assert [row["sensitivity"] for row in content["specificity_at_sensitivity"]] == [0.80, 0.82, 0.89, 0.90, 0.95]
    expected = specificity_at_sensitivity(TRUTH, SCORES)
    assert report.specificity_at_sensitivity == expected
    assert content["specificity_at_sensitivity"][0]["challenge"]["value"] == expected[0].challenge.value
    assert content["calibration"]["brier"] == calibration_metrics(TRUTH, SCORES)["brier"].to_dict()
    for text in (str(report), report.to_markdown()):
        assert "at sensitivity 0.95" in text
        for label in CALIBRATION_LABELS.values():
            assert label in text


def test_a_matrix_has_neither():
    matrix = MetricsReport.from_confusion(72, 3, 17, 58)
    assert not {"specificity_at_sensitivity", "calibration"} & set(matrix.to_dict())
    assert "at sensitivity" not in str(matrix)
    for ask in (
        lambda: matrix.calibration,
        lambda: matrix.specificity_at_sensitivity,
        lambda: matrix.compare(matrix),
        lambda: matrix.subgroups({"sex": []}),
    ):
        with pytest.raises(ParameterError, match="needs scores"):
            ask()


def test_few_images_of_a_class_are_pointed_out(report):
    assert "Too few to judge by: only 3 melanoma and 3 benign" in str(report)
    assert "Too few" not in str(MetricsReport.from_scores(np.arange(42) % 2, np.linspace(0, 1, 42), n_resamples=100))


def test_images_of_one_patient_are_resampled_together(dataset):
    patients = [f"P{row // 2}" for row in range(len(dataset))]
    table = dataset.to_frame().drop(columns=["image_id", "path", "label"])
    known = ISBIDataset(
        dataset.image_ids, dataset.paths, dataset.labels, name="known", metadata=table.assign(patient_id=patients)
    )
    scores = np.linspace(0.1, 0.9, len(dataset))
    scores[3] = np.nan
    report = MetricsReport.from_estimator(Scorer(scores), known, n_resamples=100)
    assert report.groups == tuple(np.delete(patients, 3))
    assert all("cluster" in metric.method for metric in report.metrics.values())
    assert "of 12 patients or lesions" in str(report)
    again = MetricsReport.from_scores(known.labels, scores, groups=patients, n_resamples=100, name="known")
    assert again.metrics["auc"].high == pytest.approx(report.metrics["auc"].high, abs=1e-6)
    alone = ISBIDataset(
        known.image_ids, known.paths, known.labels, metadata=table.assign(patient_id=range(len(dataset)))
    )
    assert MetricsReport.from_estimator(Scorer(scores), alone, n_resamples=100).groups is None


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_words_among_groups_that_count_as_missing_are_warned_of_once(caplog, kind):
    y_true, scores = np.arange(24) % 2, np.linspace(0.1, 0.9, 24)
    groups = [["ND", "AB", "ab ", 7, None, float("nan")][row // 4] for row in range(24)]
    if kind == "binary":
        report = MetricsReport.from_scores(y_true, scores, groups=groups, n_resamples=100)
    else:
        three = np.c_[1 - scores, scores / 2, scores / 2]
        names = ["keratosis", "melanoma", "nevus"]
        report = MulticlassReport.from_scores(names * 8, three, classes=names, groups=groups, n_resamples=100)
    assert report.groups == (*[None] * 4, *["AB"] * 8, *["7"] * 4, *[None] * 8)
    assert caplog.text.count("groups: says nothing, and counts as missing: group of 4 rows ('ND')") == 1
    assert caplog.text.count("'AB' = 'ab'") == 1


def test_images_of_one_lesion_are_no_more_independent_than_those_of_a_patient():
    y_true, scores = np.arange(24) % 2, np.linspace(0, 1, 24)
    patients = [None if row % 2 else f"p{row // 6}" for row in range(24)]
    lesions = [f"l{row // 2}" for row in range(24)]
    tables = {"neither": {"age": [40] * 24}, "patients": {"patient_id": patients}, "lesions": {"lesion_id": lesions}}
    tables["both"] = tables["patients"] | tables["lesions"]
    ids, sizes = [f"ISIC_{row}" for row in range(24)], {}
    for name, table in tables.items():
        dataset = ISBIDataset(ids, ids, y_true, metadata=pd.DataFrame(table))
        groups = MetricsReport.from_estimator(Scorer(scores), dataset, n_resamples=100).groups
        sizes[name] = None if groups is None else sorted(np.bincount(number_groups(groups, 24)).tolist())
    assert sizes == {
        "neither": None,
        "patients": [1] * 12 + [3] * 4,  # an image without a patient stands alone
        "lesions": [2] * 12,
        "both": [6] * 4,  # an image without a patient is of the one that its lesion has elsewhere
    }


# -- comparing and dividing --------------------------------------------------------------------------------------------


def test_reports_are_compared_image_by_image():
    rng = np.random.default_rng(0)
    y_true = np.repeat([1, 0], [20, 40])
    first, second = (np.clip(rng.normal(0.3 + 0.3 * y_true, 0.2), 0, 1) for _ in range(2))
    ids = [f"ISIC_{row}" for row in range(60)]
    ours = MetricsReport.from_scores(y_true[5:], first[5:], image_ids=ids[5:], threshold=0.4)
    backwards = slice(57, None, -1)
    theirs = MetricsReport.from_scores(y_true[backwards], second[backwards], image_ids=ids[backwards], threshold=0.6)
    found = ours.compare(theirs, names=("ours", "theirs"))
    rows = slice(5, 58)
    expected = compare(
        y_true[rows], first[rows], second[rows], thresholds=(0.4, 0.6), names=("ours", "theirs"), left_out=7
    )
    assert str(found) == str(expected)
    assert (found.n_melanoma + found.n_benign, found.left_out) == (53, 7)


def test_patients_are_taken_into_the_comparison():
    patients = ["a", "a", "b", "c", "d", "e"]
    report = MetricsReport.from_scores(TRUTH, SCORES, groups=patients, n_resamples=100)
    assert all(row.low < 0 < row.high for row in report.compare(report).differences.values())


def test_patients_that_one_of_two_reports_knows_are_those_of_both():
    rng = np.random.default_rng(0)
    y_true, rows = np.arange(48) % 2, rng.permutation(48)
    first, second = (np.clip(rng.normal(0.3 + 0.3 * y_true, 0.2), 0, 1) for _ in range(2))
    ids, patients = ([f"{name}{row // size}" for row in range(48)] for name, size in (("i", 1), ("p", 4)))
    shuffled = {"image_ids": [ids[row] for row in rows], "groups": [patients[row] for row in rows]}
    alone = MetricsReport.from_scores(y_true, first, image_ids=ids, n_resamples=100)
    known = MetricsReport.from_scores(y_true[rows], second[rows], **shuffled, n_resamples=100)
    for one, other in ((alone, known), (known, alone)):
        found = one.compare(other)
        assert found.differences["auc"].method == "clustered delong"
        assert not found.differences["sensitivity"].test, "McNemar's takes images as independent"
        assert one.net_benefit(0.2, other=other).rows[0].over_other.method == "cluster bootstrap"
    elsewhere = MetricsReport.from_scores(y_true, first, image_ids=ids, groups=[f"p{row // 6}" for row in range(48)])
    for call in (known.compare, lambda other: known.net_benefit(other=other)):
        with pytest.raises(ParameterError, match="into patients in different ways; give both the same groups"):
            call(elsewhere)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"image_ids": list("uvwxyz")}, "share no image id"),
        ({"image_ids": list("aacdef")}, "image_ids must differ from image to image: 'a' is there more than once"),
        ({"y_true": [1, 0, 0, 0, 1, 1]}, "label of 2 images, such as 'a'"),
    ],
)
def test_reports_on_other_images_are_not_compared(other, message):
    ids = {"image_ids": list("abcdef")}
    with pytest.raises(ParameterError, match=message):
        MetricsReport.from_scores(TRUTH, SCORES, **ids).compare(
            MetricsReport.from_scores(**({"y_true": TRUTH, "y_score": SCORES} | ids | other))
        )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("AUC", "Did you mean 'auc'"),
        ("recall", r"Sensitivity \(recall\) is called 'sensitivity'"),
        ("PPV", r"Precision \(PPV\) is called 'precision'"),
        ("weight", "Known"),
    ],
)
def test_a_metric_by_another_name_is_named(name, message):
    report = MetricsReport.from_scores(TRUTH, SCORES, n_resamples=100)
    for one in (report, pickle.loads(pickle.dumps(report))):
        with pytest.raises(UnknownNameError, match=message) as error:
            one.metrics[name]
        assert isinstance(error.value, KeyError)
        assert one.metrics.get(name) is None


def test_predictions_that_contradict_the_scores_are_a_concern():
    scores, truth = np.linspace(0, 1, 60), np.arange(60) % 2
    of_scores = MetricsReport.from_scores(truth, scores, y_pred=scores > 0.4, n_resamples=100)
    assert not any("CONTRADICT" in concern for concern in of_scores.concerns())
    contrary = MetricsReport.from_scores(truth, scores, y_pred=scores <= 0.4, n_resamples=100)
    assert any(
        concern == "PREDICTIONS CONTRADICT SCORES: images predicted melanoma have lower scores than the others"
        for concern in contrary.concerns()
    )
    with pytest.raises(ParameterError, match="pass y_pred or threshold"):
        MetricsReport.from_scores(truth, scores, y_pred=scores > 0.4, threshold=0.4)


def test_subgroups_of_other_images_are_refused():
    report = MetricsReport.from_scores(TRUTH, SCORES, image_ids=list("abcdef"), n_resamples=100)
    table = pd.DataFrame({"image_id": list("uvwxyz"), "sex": list("fmfmfm")})
    with pytest.raises(ParameterError, match="no row for any image of the report: its ids are like 'u', those of the"):
        report.subgroups(table)


def test_thresholds_of_different_rules_are_compared_with_a_warning():
    plain = MetricsReport.from_scores(TRUTH, SCORES, n_resamples=100)
    tuned, untuned = (
        replace(plain, provenance={**plain.provenance, **known})
        for known in (
            {"operating_point": {"rule": "sensitivity at least 0.9"}},
            {"threshold_from": "the classifier's parameter, which was not tuned"},
        )
    )
    with pytest.warns(
        UserWarning, match="different rules .sensitivity at least 0.9; the classifier's parameter"
    ) as seen:
        tuned.compare(untuned)
    assert seen[0].filename == __file__
    tuned.compare(tuned)
    plain.compare(tuned)  # nobody knows by what rule


def test_subgroups_are_matched_by_image_id():
    report = MetricsReport.from_scores(
        [*TRUTH, 1], [*SCORES, np.nan], image_ids=list("abcdefg"), threshold=0.35, n_resamples=100
    )
    table = pd.DataFrame({"image_id": list("fedcbg"), "sex": ["f", "f", "m", "m", "m", "f"], "label": 0})
    found = report.subgroups(table)
    assert [(row.column, row.value, row.n) for row in found] == [
        ("sex", "female", 2),
        ("sex", "male", 3),
        ("sex", "not given", 1),
    ]
    assert found.threshold == 0.35
    assert [row.n for row in report.subgroups({"sex": list("ffmmmm")})] == [2, 4], "without ids: row by row"


def test_an_index_of_image_ids_is_matched_as_a_column_of_them():
    report, table = many()
    expected = report.subgroups(table, "sex").to_frame()
    mixed = table.set_index("image_id").sample(frac=1, random_state=1)
    for given in (mixed, mixed.rename_axis(None), mixed.reset_index(), mixed["sex"].to_dict()):
        known = pd.DataFrame({"sex": pd.Series(given)}) if isinstance(given, dict) else given
        pd.testing.assert_frame_equal(report.subgroups(known, "sex").to_frame(), expected)
    part = {row.value: row.n for row in report.subgroups(mixed[:70], "sex")}
    assert sum(part.values()) == 120
    assert part["not given"] >= 50
    with pytest.raises(ParameterError, match="no row for any image of the report: its ids are like 'x0'"):
        report.subgroups(mixed.set_axis([f"x{row}" for row in range(120)]).rename_axis("image_id"))
    with pytest.raises(ParameterError, match="several rows for the image 'ISIC_"):
        report.subgroups(pd.concat([mixed, mixed[:1]]))


def test_numbers_of_rows_are_no_image_ids():
    report = MetricsReport.from_scores(TRUTH, SCORES, n_resamples=100)
    table = pd.DataFrame({"sex": ["female", "female", "male", "male", "male", None]})
    expected = report.subgroups(table).to_frame()
    filtered = table.set_axis([5, 17, 3, 40, 41, 2])  # rows of a larger table, in the order of the report
    pd.testing.assert_frame_equal(report.subgroups(filtered).to_frame(), expected)
    with pytest.raises(ParameterError, match=r"another order than the report.*reset_index\(drop=True\).*sort_index"):
        report.subgroups(table[::-1])
    with pytest.raises(ParameterError, match="another order than the report"):
        report.subgroups(by=table["sex"][::-1])
    pd.testing.assert_frame_equal(report.subgroups(by=table["sex"]).to_frame(), expected)
    later = table["sex"].set_axis(range(7, 13))
    pd.testing.assert_frame_equal(report.subgroups(by=later).to_frame(), expected)
    pd.testing.assert_frame_equal(report.subgroups(by=filtered["sex"]).to_frame(), expected)
    named = MetricsReport.from_scores(TRUTH, SCORES, image_ids=list("abcdef"), n_resamples=100)
    pd.testing.assert_frame_equal(named.subgroups(by=filtered["sex"]).to_frame(), expected)
    numbered = MetricsReport.from_scores(TRUTH, SCORES, image_ids=range(500, 506), n_resamples=100)
    mixed = table.set_axis(range(500, 506)).sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(numbered.subgroups(mixed).to_frame(), expected)


def test_a_column_with_the_id_of_every_image_is_matched_whatever_its_name():
    report, table = many()
    expected = report.subgroups(table, "sex").to_frame()
    archive = table.drop(columns="image_id").rename(columns={"isic_id": "image"}).sample(frac=1, random_state=1)
    for given in (archive, archive.reset_index(drop=True), pd.concat([archive, archive.assign(image="other")[:1]])):
        pd.testing.assert_frame_equal(report.subgroups(given, "sex").to_frame(), expected)


WORDS = np.array(["nevus", "melanoma"])


@pytest.mark.parametrize(
    ("y_true", "names", "pos_label", "message"),
    [
        (WORDS[TRUTH], ("melanoma", "nevus"), None, r"melanoma last, got .*: pass \('nevus', 'melanoma'\)"),
        (TRUTH, ("melanoma", "nevus"), None, "or other names where class 0 is something else"),
        (TRUTH, ("malignant", "benign"), None, "melanoma last"),
        (TRUTH, ("1", "0"), None, "melanoma last"),
        (np.array(["B", "A"])[TRUTH], ("A", "B"), "A", r"pass \('B', 'A'\)$"),
        (WORDS[TRUTH], ("other", "bcc"), None, "call class 1 'bcc', but its images are labelled 'melanoma'"),
        (np.array(["nevus", "bcc"])[TRUTH], ("benign", "melanoma"), "bcc", r"such as \('not bcc', 'bcc'\)"),
    ],
)
def test_names_of_classes_in_the_wrong_order_are_refused(y_true, names, pos_label, message):
    with pytest.raises(ParameterError, match=message):
        MetricsReport.from_scores(y_true, SCORES, pos_label=pos_label, class_names=names)


@pytest.mark.parametrize(
    ("y_true", "names", "pos_label"),
    [
        (WORDS[TRUTH], ("nevus", "melanoma"), None),
        (WORDS[TRUTH], ("naevus", "malignant melanoma"), None),
        (TRUTH, ("cat", "dog"), None),
        (TRUTH, ("pigmented melanoma", "amelanotic melanoma"), None),
        (TRUTH, ("melanoma", "metastasis"), None),
        (TRUTH, ("not bcc", "bcc"), None),
        (TRUTH, ("not benign", "benign"), None),
        (TRUTH, ("not 0", "0"), None),
        (np.array(TRUTH) == 1, ("not False", "False"), None),
        (np.array(["nevus", "bcc"])[TRUTH], ("nevus", "bcc"), "bcc"),
        (np.array(["B", "A"])[TRUTH], ("B", "A"), "A"),
        (np.array(["nevus", "melanoma"])[TRUTH], ("benign", "melanoma"), "melanoma"),
    ],
)
def test_names_of_any_two_classes_are_taken(y_true, names, pos_label):
    report = MetricsReport.from_scores(y_true, SCORES, pos_label=pos_label, class_names=names, n_resamples=100)
    assert list(report.class_sizes) == [*names[::-1]]


def test_a_dataset_knows_its_groups(dataset):
    table = pd.DataFrame({"age": np.arange(len(dataset)) * 3.0, "sex": ["female", None] * 12})
    known = ISBIDataset(dataset.image_ids, dataset.paths, dataset.labels, metadata=table)
    report = MetricsReport.from_estimator(Scorer(np.linspace(0.1, 0.9, len(known))), known, n_resamples=100)
    found = report.subgroups(known, ["age"], bands={"age": (30,)})
    assert [(row.value, row.n) for row in found] == [("below 30", 10), ("30 and above", 14)]
    assert {row.column for row in report.subgroups(known)} == {"age", "sex"}


def many(n=120):
    """A report on so many images of half as many patients, and what a table of the archive says of them."""
    rng = np.random.default_rng(0)
    truth = np.arange(n) % 2
    ids = [f"ISIC_{row:07}" for row in rng.permutation(n)]
    table = pd.DataFrame(
        {
            "image_id": ids,
            "path": [f"/images/{one}.jpg" for one in ids],
            "label": truth,
            "patient_id": [f"IP_{row // 2}" for row in range(n)],
            "lesion_id": [f"IL_{row // 2}" for row in range(n)],
            "isic_id": ids,
            "diagnosis_1": np.where(truth, "Malignant", "Benign"),
            "benign_malignant": np.where(truth, "malignant", "benign"),
            "age": rng.integers(20, 85, n).astype(float),
            "sex": rng.choice(["female", "male", None], n),
            "skin_type": rng.integers(1, 6, n),
            "license": "CC-0",
            "hospital_note": [f"note {row // 2}" for row in range(n)],
            "clinic": [f"clinic {row // 6}" for row in range(n)],
            "pixels": rng.integers(100_000, 9_000_000, n),
            "attribution": [None] * n,
        }
    )
    scores = np.clip(rng.normal(0.35 + 0.3 * truth, 0.2), 0.01, 0.99)
    groups = table["patient_id"].tolist()
    return MetricsReport.from_scores(truth, scores, image_ids=ids, groups=groups, n_resamples=100), table


def test_by_default_images_are_grouped_by_what_makes_sense():
    report, table = many()
    found = report.subgroups(table.sample(frac=1, random_state=1))
    assert list(dict.fromkeys(row.column for row in found)) == ["age", "sex", "skin_type", "clinic", "pixels"]
    assert found.left_out == {
        "image_id": "identifiers",
        "path": "identifiers",
        "label": "diagnosis",
        "patient_id": "identifiers",
        "lesion_id": "identifiers",
        "isic_id": "identifiers",
        "diagnosis_1": "diagnosis",
        "benign_malignant": "diagnosis",
        "license": "one value",
        "hospital_note": "60 values",
        "attribution": "one value",
    }
    assert "hospital_note (60 values)" in str(found)
    few, small = many(40)
    assert few.subgroups(small).left_out["hospital_note"] == "20 values among 20 images or patients"
    with pytest.raises(ParameterError, match=r"nothing to group images by: image_id \(identifiers\).*by='"):
        report.subgroups(table[["image_id"]])


def test_numbers_are_cut_at_their_quartiles_and_the_cuts_are_said():
    report, table = many()
    cuts = [float(f"{cut:.3g}") for cut in np.quantile(table["age"], [0.25, 0.5, 0.75])]
    bands = list(report.subgroups(table, "age"))
    assert bands[0].value == f"below {cuts[0]:g}"
    assert bands[-1].value == f"{cuts[2]:g} and above"
    assert [row.n for row in bands] == np.histogram(table["age"], [0, *cuts, 200])[0].tolist()
    assert [row.value for row in report.subgroups(table, "skin_type")] == list("12345"), "few numbers are words"
    bands = {"age": [50]}
    assert [row.value for row in report.subgroups(table, "age", bands=bands)] == ["below 50", "50 and above"]
    for given, by in ((table, "sex"), (table[["image_id", "sex"]].assign(age=None), None)):
        assert {row.column for row in report.subgroups(given, by, bands=bands)} == {"sex"}, "bands of other columns"
    with pytest.raises(UnknownNameError, match="Unknown column 'ages'"):
        report.subgroups(table, "sex", bands={"ages": [50]})


def test_images_are_grouped_by_columns_values_or_a_function():
    report, table = many()
    by_column = report.subgroups(table, by="sex")
    assert not by_column.left_out
    values = table["sex"]
    shuffled = table.set_index("image_id")["sex"].sample(frac=1, random_state=2)
    for found in (
        report.subgroups(table, by=["sex"]),
        report.subgroups(by=values),
        report.subgroups(by=shuffled),
        report.subgroups(table, by=shuffled),
        report.subgroups(table.sample(frac=1, random_state=3), by=lambda facts: facts["sex"]),
        report.subgroups(table, by=values.to_numpy(dtype=object)),
    ):
        assert [(row.value, row.metrics) for row in found] == [(row.value, row.metrics) for row in by_column]

    def decade(facts):
        return 10 * (facts["age"] // 10)

    assert {row.value for row in report.subgroups(table, by=decade)} == {"20", "30", "40", "50", "60", "70", "80"}
    (only,) = {row.column for row in report.subgroups(by=(table["age"] > 50).to_numpy())}
    assert only == "group"
    cut = report.subgroups(by=pd.cut(table["age"].to_numpy(), [0, 50, 100]))
    assert [row.value for row in cut] == ["(0, 50]", "(50, 100]"]
    for column in (values.to_frame().to_numpy(), lambda facts: facts[["sex"]]):
        with pytest.raises(ParameterError, match=r"by must give one value an image.* got \(120, 1\)"):
            report.subgroups(table, by=column)
    with pytest.raises(ParameterError, match="by has 3"):
        report.subgroups(table, by=np.arange(3))
    with pytest.raises(ParameterError, match="Pass a table"):
        report.subgroups(by="sex")
    with pytest.raises(ParameterError, match="Pass a table"):
        report.subgroups()


def test_all_figures_go_to_pandas_as_tidy_rows():
    report = MetricsReport.from_scores(TRUTH * 20, np.tile(SCORES, 20), n_resamples=100, name="mine")
    frame = report.to_frame()
    assert list(frame) == ["metric", "at", "value", "low", "high", "confidence", "method", "n", "few", "name"]
    shown = frame.set_index("metric")
    for name, metric in (report.metrics | report.calibration).items():
        assert shown.loc[name, ["value", "low", "high", "n", "method"]].tolist() == pytest.approx(
            [metric.value, metric.low, metric.high, metric.n, metric.method]
        )
    at = shown.loc["specificity_at_sensitivity"].set_index("at")
    for one in report.specificity_at_sensitivity:
        assert at.loc[one.sensitivity, "value"] == one.challenge.value
    assert not frame.duplicated(["metric", "at"]).any()
    matrix = MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58).to_frame()
    assert len(matrix) == len(CONFUSION_METRICS)
    both = pd.concat([frame, matrix])
    assert both.dtypes.equals(frame.dtypes)
    undefined = MetricsReport.from_scores([0, 0, 1], [0.1, 0.2, 0.3], n_resamples=100).to_frame()
    assert undefined.set_index("metric").loc["precision", ["value", "low", "high"]].isna().all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (({"sex": ["f"]},), ParameterError, "1 rows and the report 6 images; give it a column image_id"),
        (({"image_id": ["0", "0"], "sex": ["f", "m"]},), ParameterError, "several rows for the image '0'"),
        (({"sex": ["f"] * 6}, ["sec"]), UnknownNameError, "Unknown column 'sec'. Did you mean 'sex'"),
    ],
)
def test_tables_that_do_not_match(report, arguments, error, message):
    with pytest.raises(error, match=message):
        report.subgroups(*arguments)


# -- texts and files ---------------------------------------------------------------------------------------------------


def test_the_text_shows_everything(report):
    text = str(report)
    for label in LABELS.values():
        assert label in text
    for fact in (
        "six images",
        "95 % interval",
        "TN 2",
        "FP 1",
        "FN 1",
        "TP 2",
        "above 0.5",
        "Melanoma prevalence 50.0 %",
    ):
        assert fact in text
    assert text.endswith("Research use only; not a medical device.")
    title, *rows = text.split("\n\n")[1].splitlines()
    assert title == "All metrics"
    assert len({len(row) for row in rows}) == 1, "columns are aligned"


def test_repr_is_one_line(report):
    assert repr(report) == "MetricsReport('six images', 6 images, AUC 0.778 (95 % CI 0.193-0.981, n = 6, few))"


def test_an_undefined_figure_is_null_and_says_undefined(undefined):
    assert undefined.to_dict()["precision"] == {"value": None, "low": None, "high": None, "n": 0, "few": False}
    assert "undefined" in str(undefined)
    assert not re.search(r"\bnan\b", str(undefined))


def test_an_interval_that_collapsed_is_pointed_out(report):
    perfect = MetricsReport.from_scores([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert "misses outcomes that did not occur (Partial AUC above 80 % sensitivity, F1" in str(perfect)
    assert "without width" not in str(report)


def test_json_is_strict(undefined):
    def refuse(token):
        raise AssertionError(f"{token} is no JSON")

    content = json.loads(undefined.to_json(), parse_constant=refuse)
    assert content == undefined.to_dict()
    assert set(content) > FIGURES


def test_json_takes_whatever_the_provenance_holds(tmp_path):
    odd = {
        "rate": np.float32(0.5),
        "nan": float("nan"),
        "shape": np.array([224, 224]),
        "file": tmp_path,
        "flag": np.True_,
    }
    report = MetricsReport.from_scores(TRUTH, SCORES, provenance=odd, history={"loss": [1.0, float("inf")]})
    content = json.loads(report.to_json())
    expected = {"rate": 0.5, "nan": None, "shape": [224, 224], "file": str(tmp_path), "flag": True}
    assert content["provenance"]["model"] == expected
    assert content["history"] == {"loss": [1.0, None]}


def test_markdown_holds_tables_of_even_width():
    report = MetricsReport.from_scores(
        TRUTH, SCORES, provenance={"a|b": "c|d\ne"}, skipped=[(f"ISIC_{row}", "", "no such file") for row in range(12)]
    )
    text = report.to_markdown()
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 6
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "- ISIC_9: no such file\n- and 2 more" in text
    assert "Research use only" in text


@pytest.mark.parametrize("suffix", [".md", ".json", ".txt", ".JSON"])
def test_a_report_is_saved_by_its_suffix(report, tmp_path, suffix):
    path = tmp_path / f"report{suffix}"
    path.write_text("an older report")
    assert report.save(path) == path
    written = {".md": report.to_markdown(), ".json": report.to_json(), ".txt": f"{report}\n"}[suffix.lower()]
    assert path.read_text(encoding="utf-8") == written
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_suffix_lists_the_known_ones(report, tmp_path):
    with pytest.raises(ParameterError, match=r"\.md, \.json, \.txt, got .*report\.docx"):
        report.save(tmp_path / "report.docx")
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file(report, tmp_path):
    path = tmp_path / "report.txt"
    path.write_text("an older report")
    with full_disk(100), pytest.raises(WriteError, match=r"report\.txt: cannot be written \(File too large"):
        report.save(path)
    assert path.read_text() == "an older report"
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_survives_pickling(report):
    again = pickle.loads(pickle.dumps(report))
    assert again.to_dict() == report.to_dict()


def test_claims_are_checked_against_the_matrix(report):
    assert report.check_claims({"recall": "66.7 %", "accuracy": 0.6667}).consistent
    with pytest.raises(UnknownNameError):
        report.check_claims({"auc": 0.9})
