"""One rule for labels, at every door: which class is melanoma, what is missing, and what is refused by name."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
from conftest import only_tensorflow
from model_files import edit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.preprocessing import LabelEncoder

from melanoma_tl import (
    Balancer,
    Ensemble,
    ISBIDataset,
    MetricsReport,
    MulticlassReport,
    TransferClassifier,
    cross_validate,
)
from melanoma_tl.classifier.postprocessing import PostProcessing
from melanoma_tl.classifier.state import describe_parameters
from melanoma_tl.datasets.table_labels import read_labels
from melanoma_tl.errors import DatasetError, ImageError, ModelFileError, ParameterError, UnknownNameError
from melanoma_tl.explain.explanations import explain, grad_cam, occlusion
from melanoma_tl.explain.shortcuts import check_shortcuts
from melanoma_tl.labels.checks import warn_of_positive
from melanoma_tl.labels.classes import (
    Classes,
    _warn_of_malignant,
    as_binary,
    as_labels,
    distinguish,
    find_melanoma,
)
from melanoma_tl.metrics.binary import average_precision, roc_auc, score_metrics
from melanoma_tl.metrics.calibration import fit_calibration
from melanoma_tl.metrics.comparisons import compare, delong, delong_interval
from melanoma_tl.metrics.decision_curves import cumulative_gain, decision_curve, score_histogram
from melanoma_tl.metrics.reliability import calibration_metrics, decompose_brier, reliability_curve
from melanoma_tl.metrics.sensitivity_specificity import specificity_at_sensitivity
from melanoma_tl.metrics.subgroups import measure_subgroups
from melanoma_tl.metrics.thresholds import choose_threshold
from melanoma_tl.plots import (
    DecisionCurveDisplay,
    GainCurveDisplay,
    MetricsDisplay,
    PredictiveValuesDisplay,
    ScoreHistogramDisplay,
)
from melanoma_tl.saving.audit import STATE_FILE
from melanoma_tl.training.labels import weights_of_classes

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")

N = 24
NOWHERE = [f"nowhere_{row}.jpg" for row in range(N)]
"""Images that are not there: whoever reads one before the labels are checked raises another error."""

SCORES = np.linspace(0.05, 0.95, N)
TRUTH = np.arange(N) % 2


def make(**changes):
    options = {"weights": None, "trainable_from": "conv1", "learning_rate": 0.02, "epochs": 2, "verbose": 0}
    return TransferClassifier("tiny", **(options | {"random_state": 0} | changes))


@pytest.fixture(scope="module")
def fitted(images):
    """A classifier of benign and melanoma."""
    return make().fit(images, np.array(["benign", "melanoma"])[TRUTH])


# -- every function that takes labels ----------------------------------------------------------------------------------

UNFITTED = {
    "fit": lambda y: make().fit(NOWHERE, y),
    "find_learning_rate": lambda y: make().find_learning_rate(NOWHERE, y),
    "validation_data": lambda y: make().fit(NOWHERE, ["benign", "melanoma"] * 12, validation_data=(NOWHERE, y)),
    "Ensemble.fit": lambda y: Ensemble([make(), make()], verbose=0).fit(NOWHERE, y),
    "cross_validate": lambda y: cross_validate(make(), NOWHERE, y, folds=2, verbose=0),
}
FITTED = {
    "score": lambda clf, y: clf.score(NOWHERE, y),
    "calibrate": lambda clf, y: clf.calibrate(NOWHERE, y),
    "tune_threshold": lambda clf, y: clf.tune_threshold(NOWHERE, y, sensitivity=0.95),
    "Ensemble.score": lambda clf, y: Ensemble([clf]).score(NOWHERE, y),
    "Ensemble.tune_threshold": lambda clf, y: Ensemble([clf]).tune_threshold(NOWHERE, y, youden=True),
    "check_shortcuts": lambda clf, y: check_shortcuts(clf, NOWHERE, y),
    "MetricsReport.from_estimator": lambda clf, y: MetricsReport.from_estimator(clf, NOWHERE, y),
    "MetricsDisplay.from_estimator": lambda clf, y: MetricsDisplay.from_estimator(clf, NOWHERE, y),
}
ROWS = np.arange(N).reshape(-1, 1)
MANY = np.column_stack([1 - SCORES, SCORES])
SCORED = {
    "MetricsReport.from_scores": lambda y: MetricsReport.from_scores(y, SCORES, n_resamples=100),
    "MulticlassReport.from_scores": lambda y: MulticlassReport.from_scores(
        y, MANY, classes=["benign", "melanoma"], n_resamples=100
    ),
    "Balancer.fit_resample": lambda y: Balancer(random_state=0).fit_resample(ROWS, y),
    "Balancer.class_weight": Balancer().class_weight,
    "choose_threshold": lambda y: choose_threshold(y, SCORES, youden=True),
    "specificity_at_sensitivity": lambda y: specificity_at_sensitivity(y, SCORES, n_resamples=100),
    "score_metrics": lambda y: score_metrics(y, SCORES, n_resamples=100),
    "roc_auc": lambda y: roc_auc(y, SCORES),
    "average_precision": lambda y: average_precision(y, SCORES),
    "delong": lambda y: delong(y, SCORES),
    "delong_interval": lambda y: delong_interval(y, SCORES),
    "compare": lambda y: compare(y, SCORES, SCORES[::-1], n_resamples=100),
    "fit_calibration": lambda y: fit_calibration(y, SCORES),
    "calibration_metrics": lambda y: calibration_metrics(y, SCORES, n_resamples=100),
    "reliability_curve": lambda y: reliability_curve(y, SCORES),
    "decompose_brier": lambda y: decompose_brier(y, SCORES),
    "decision_curve": lambda y: decision_curve(y, SCORES, n_resamples=100),
    "cumulative_gain": lambda y: cumulative_gain(y, SCORES, n_resamples=100),
    "score_histogram": lambda y: score_histogram(y, SCORES),
    "measure_subgroups": lambda y: measure_subgroups(y, SCORES, {"sex": ["f", "m"] * 12}, n_resamples=100),
    "DecisionCurveDisplay": lambda y: DecisionCurveDisplay.from_predictions(y, SCORES, n_resamples=100),
    "GainCurveDisplay": lambda y: GainCurveDisplay.from_predictions(y, SCORES, n_resamples=100),
    "MetricsDisplay": lambda y: MetricsDisplay.from_predictions(y, SCORES, n_resamples=100),
    "PredictiveValuesDisplay": lambda y: PredictiveValuesDisplay.from_predictions(y, SCORES),
    "ScoreHistogramDisplay": lambda y: ScoreHistogramDisplay.from_predictions(y, SCORES),
}
DOORS = [*UNFITTED, *FITTED, *SCORED]
EVERY_DOOR = pytest.mark.parametrize("door", DOORS)


@pytest.fixture
def enter(door, request):
    """Give what takes labels."""
    if door in FITTED:
        classifier = request.getfixturevalue("fitted")
        return lambda y: FITTED[door](classifier, y)
    return UNFITTED.get(door) or SCORED[door]


def objects(labels):
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def masked(labels):
    missing = pd.isna(labels)
    return np.ma.array(np.where(missing, labels[1], objects(labels)).astype(type(labels[1])), mask=missing)


WORD_CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "object array": objects,
    "column": lambda labels: objects(labels)[:, np.newaxis],
    "list of rows": lambda labels: [[label] for label in labels],
    "Series": lambda labels: pd.Series(labels, index=range(7, 7 + len(labels)), dtype=object),
    "Series of str": lambda labels: pd.Series(labels, dtype="str"),
    "nullable string": lambda labels: pd.Series(labels, dtype="string"),
    "Categorical": pd.Categorical,
    "Series of categories": lambda labels: pd.Series(pd.Categorical(labels)),
    "DataFrame": lambda labels: pd.DataFrame({"label": labels}),
    "Index": lambda labels: pd.Index(labels, dtype=object),
}
MISSING_WORDS = [
    None,
    np.nan,
    pd.NA,
    pd.NaT,
    "",
    " ",
    "\t",
    "nan",
    "NaN",
    "N/A",
    "?",
    "None",
    "unknown",
    "missing",
    "<NA>",
]
NUMBER_CONTAINERS = {
    "list": list,
    "object array": objects,
    "float array": lambda labels: np.array([np.nan if pd.isna(label) else label for label in labels], dtype=float),
    "float32 Series": lambda labels: pd.Series([np.nan if pd.isna(one) else one for one in labels], dtype="float32"),
    "Int64": lambda labels: pd.Series([pd.NA if pd.isna(label) else label for label in labels], dtype="Int64"),
    "boolean": lambda labels: pd.Series([pd.NA if pd.isna(one) else bool(one) for one in labels], dtype="boolean"),
    "masked array": masked,
}


def answer(enter, labels):
    """Give what a door says of labels."""
    try:
        enter(labels)
    except DatasetError as error:
        return str(error)
    return "nothing"


@EVERY_DOOR
def test_missing_labels_are_counted_in_every_container_and_spelling(enter):
    words = ["benign", "melanoma"] * 12
    for missing in MISSING_WORDS:
        given = [missing if row in (3, 20) else word for row, word in enumerate(words)]
        for container, put in WORD_CONTAINERS.items():
            assert answer(enter, put(given)).startswith("2 of 24 labels are missing (row 3 is"), (container, missing)
    for missing in (None, np.nan, pd.NA):
        given = [missing if row == 5 else number for row, number in enumerate(TRUTH.tolist())]
        for container, put in NUMBER_CONTAINERS.items():
            assert answer(enter, put(given)).startswith("1 of 24 labels are missing (row 5 is"), (container, missing)


@EVERY_DOOR
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            ["mel", "mel ", "nv"] * 8,
            "writes one label in several ways, 'mel' and 'mel ': make each one",
        ),
        (["mel", "MEL", "nv"] * 8, "writes one label in several ways, 'MEL' and 'mel'"),
        (["mélanome", "melanome", "nv"] * 8, "several ways"),
        (["malignant_melanoma", "malignant melanoma", "nv"] * 8, "several ways"),
        ([0, "melanoma"] * 12, "labels of one kind, got numbers and words"),
        ([True, 0] * 12, "labels of one kind, got numbers and truth values"),
        (np.arange(N) / 7, r"Unknown label type: continuous\. y\w* must hold classes.* got 24 values: 0\.0, 0\.14"),
        ([0.5, 1.5] * 12, "Unknown label type: continuous"),
        (np.eye(2)[TRUTH], r"got \(24, 2\); of one-hot labels pass argmax\(axis=1\)"),
        (np.eye(2)[TRUTH].tolist(), r"got \(24, 2\); of one-hot labels"),
        (pd.DataFrame(np.eye(2)[TRUTH]), r"got \(24, 2\); of one-hot labels"),
        ([[0], [1, 1]] * 12, r"one label an image, got \(24, …\)"),
        ([np.zeros((8, 8, 3))] * N, r"one label an image, got \(24, 192\)"),
        ([{"label": 1}, {"label": 0}] * 12, "must hold words, whole numbers or truth values, got dict"),
        (pd.Series(pd.date_range("2020", periods=N)), "got Timestamp|got datetime|got int|of one kind|several"),
        (np.array([1j, 0] * 12), "got complex"),
        ("melanoma", "a sequence of labels, one an image, got str"),
        ({"a": 1}, "a sequence of labels, one an image, got dict"),
        (1, "a sequence of labels, one an image, got int"),
    ],
    ids=lambda value: None if isinstance(value, str) else "labels",
)
def test_what_every_door_refuses(door, enter, labels, message):
    if door == "Balancer.fit_resample" and getattr(labels, "ndim", 1) == 2:
        pytest.skip("imbalanced-learn reads one-hot labels itself")
    with pytest.raises(DatasetError, match=message):
        enter(labels)


UNCLEAR = [["cat", "dog"], ["M", "N"], [1, 2], [0, 2], ["disease", "normal"], ["class_a", "class_b"], ["?a", "b"]]


@EVERY_DOOR
@pytest.mark.parametrize("words", UNCLEAR, ids=str)
def test_two_words_that_say_nothing_are_refused(door, enter, words):
    labels = np.array(words)[TRUTH]
    if door.startswith("Balancer"):
        enter(labels)  # it only counts
    elif door in FITTED or door in ("MulticlassReport.from_scores", "validation_data"):
        with pytest.raises(UnknownNameError, match="Unknown class"):
            enter(labels)
    else:
        with pytest.raises(DatasetError, match=r"do not say which of them is melanoma: pass pos_label="):
            enter(labels)


# -- which of them is melanoma -----------------------------------------------------------------------------------------

PAIRS = [
    ("benign", "melanoma"),
    ("nevus", "malignant melanoma"),
    ("nv", "mal"),
    ("other", "MM"),
    ("nv", "mel"),
    ("Nävus", "malignes Melanom"),
    ("naevus", "melanoma malignum"),
    ("nævus", "mélanome malin"),
    ("lunar", "melanoma maligno"),
    ("outro", "melanoma"),
    ("non-melanoma", "melanoma"),
    ("no", "yes"),
    ("nein", "ja"),
    ("negative", "positive"),
    ("0", "1"),
    (0, 1),
    (-1, 1),
    (0.0, 1.0),
    (False, True),
    ("healthy", "cancer"),
    ("gutartig", "bösartig"),
    ("BENIGN", "MALIGNANT"),
]
OF_PAIRS = pytest.mark.parametrize("pair", PAIRS, ids=str)


@OF_PAIRS
def test_words_say_which_class_is_melanoma(pair):
    expected = MetricsReport.from_scores(TRUTH, SCORES, n_resamples=100).metrics
    labels = [pair[one] for one in TRUTH]
    classes = Classes.of(labels)
    assert classes.labels.tolist() == sorted(pair)
    assert classes.pos_label == pair[1]
    assert classes.encode(labels).tolist() == TRUTH.tolist()
    for container in ("list", "object array", "Series", "column", "DataFrame"):
        given = WORD_CONTAINERS[container](labels)
        assert as_binary(given).tolist() == TRUTH.tolist()
        assert MetricsReport.from_scores(given, SCORES, n_resamples=100).metrics == expected


FIGURES = [
    door
    for door in SCORED
    if not door.startswith(("Balancer", "Multiclass", "MetricsReport")) and "Display" not in door
]


@pytest.mark.parametrize("door", FIGURES)
def test_every_figure_is_the_same_in_all_words(enter):
    expected = repr(enter(TRUTH))
    for pair in PAIRS:
        assert repr(enter([pair[one] for one in TRUTH])) == expected, pair


@pytest.mark.slow
@pytest.mark.parametrize("door", [door for door in (*UNFITTED, *FITTED) if door != "validation_data"])
def test_labels_that_are_clear_get_past_the_door(door, enter):
    for pair in [("benign", "melanoma"), (0, 1), (False, True)] if door in FITTED else PAIRS:
        with pytest.raises(ImageError, match="nowhere_"):
            enter([pair[one] for one in TRUTH])


@pytest.mark.parametrize("pair", [*UNCLEAR, ["healthy", "cancer"], ["a", "B"]], ids=str)
def test_pos_label_says_it_otherwise(pair):
    for melanoma in pair:
        truth = (np.array(pair)[TRUTH] == melanoma).astype(int).tolist()
        if (pair, melanoma) == (["healthy", "cancer"], "healthy"):
            continue
        assert as_binary(np.array(pair)[TRUTH], pos_label=melanoma).tolist() == truth
        assert Classes.of(np.array(pair)[TRUTH], pos_label=np.array([melanoma])[0]).encode(pair).sum() == 1


def test_pos_label_must_be_a_label_and_not_contradict_the_words():
    with pytest.raises(
        ParameterError, match=r"pos_label must be one of the labels in y_true, 'mel', 'nv'; got 'melanoma'"
    ):
        MetricsReport.from_scores(["mel", "nv"], [0.1, 0.2], pos_label="melanoma")
    with pytest.raises(ParameterError, match="one of the labels in y, 'mel', 'nv'; got 'melanoma'"):
        make(pos_label="melanoma").fit(NOWHERE, ["mel", "nv"] * 12)
    for labels, wrong in ((["benign", "melanoma"], "benign"), (["mel", "nv"], "nv"), ([0, 1], 0), ([-1, 1], -1)):
        with pytest.raises(ParameterError, match=f"pos_label={wrong!r} would call .* benign"):
            make(pos_label=wrong).fit(NOWHERE, labels * 12)
    assert as_binary(["mel", "nv", "bcc"], pos_label=" MEL").tolist() == [1, 0, 0]
    assert as_binary(["mis", "mel"], pos_label="mel").tolist() == [0, 1]


def test_words_that_both_mean_melanoma_or_both_do_not():
    with pytest.raises(DatasetError, match="both mean melanoma"):
        as_binary(["melanoma in situ", "melanoma"])
    with pytest.raises(DatasetError, match="do not say which"):
        as_binary(["nevus", "bcc"])
    with pytest.raises(DatasetError, match="do not say which"):
        as_binary([0, -1])
    with pytest.raises(DatasetError, match=r"must hold two classes.* got 'bcc', 'mel', 'nv'; say which .* pos_label"):
        as_binary(["mel", "nv", "bcc"])


def test_malignant_is_taken_for_melanoma_with_a_warning(caplog):
    _warn_of_malignant.cache_clear()
    with caplog.at_level(logging.WARNING, logger="melanoma_tl"):
        for _ in range(3):
            assert as_binary(["malignant", "benign"]).tolist() == [1, 0]
        assert as_binary(["melanoma", "benign"]).tolist() == [1, 0]
        assert as_binary(["malignant", "benign"], pos_label="malignant").tolist() == [1, 0]
    (record,) = caplog.records
    assert record.getMessage().startswith("'malignant', beside 'benign', is taken for melanoma")


def test_positive_is_taken_for_melanoma_with_a_warning(caplog):
    warn_of_positive.cache_clear()
    for _ in range(2):
        assert as_binary(["Positive", "negative"]).tolist() == [1, 0]
    assert as_binary(["yes", "no"]).tolist() == [1, 0]
    assert as_binary(["pos", "neg"], pos_label="pos").tolist() == [1, 0]
    (record,) = caplog.records
    assert record.getMessage().startswith("'Positive', beside 'negative', is taken for melanoma")


@pytest.mark.parametrize(("column", "options"), [("label", {}), ("melanoma", {}), ("label", {"positive": "positive"})])
def test_a_table_that_does_not_say_of_what_is_warned_of(column, options, caplog):
    assert read_labels(["positive", "negative"], name="mine", column=column, **options) == [1, 0]
    is_warned = (
        "mine: 'label' does not say of what; taken for melanomas: the 1 images labelled 'positive'" in caplog.text
    )
    assert is_warned == (column == "label" and not options)


@pytest.mark.parametrize("other", ["BCC", "carcinoma", "Basaliom", "NMSC"])
def test_malignant_beside_another_cancer_is_not_taken_for_melanoma(other):
    with pytest.raises(DatasetError, match="do not say which of them is melanoma"):
        find_melanoma(["malignant", other])
    assert find_melanoma(["malignant", other], pos_label="malignant") == 0


def test_of_several_diagnoses_one_melanoma_is_found_or_none():
    ham = ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
    assert find_melanoma(ham) == 4
    assert find_melanoma(["bcc", "nv", "scc"]) is None
    assert find_melanoma(["mel", "mis", "nv"]) is None
    assert find_melanoma(["mel", "mis", "nv"], pos_label="mis") == 1
    assert find_melanoma([0, 1, 2]) is None
    assert find_melanoma(["a", "b", "c"], pos_label="b") == 1


def test_one_class_alone_is_read_by_its_meaning():
    assert as_binary(["nv"] * 3).tolist() == [0, 0, 0]
    assert as_binary([1, 1]).tolist() == [1, 1]
    assert as_binary([]).tolist() == []
    with pytest.raises(DatasetError, match="must hold two classes"):
        as_binary(["malignant"] * 3)


@pytest.mark.parametrize("seed", range(5))
def test_other_libraries_tell_the_classes_apart_alike(seed):
    rng = np.random.default_rng(seed)
    words = rng.choice(["bcc", "mel", "nv", "Angioma", "zoster"], 200)
    for labels in (words, words.tolist(), words.astype(object), pd.Series(words).astype("category")):
        encoder = LabelEncoder().fit(words)
        classes, places = distinguish(labels)
        assert classes.tolist() == encoder.classes_.tolist()
        assert places.tolist() == encoder.transform(words).tolist()
        assert np.array_equal(Classes.of(labels).encode(labels), places)
    gaps = np.where(rng.random(200) < 0.1, None, words.astype(object))
    with pytest.raises(DatasetError, match=f"{pd.isna(gaps).sum()} of 200 labels are missing"):
        as_labels(gaps)


@pytest.mark.parametrize(
    "number", ["int8", "uint8", "int64", "float32", "float64", "bool", "Int64", "boolean", "object"]
)
def test_labels_keep_their_kind(number):
    labels = pd.Series([0, 1, 1, 0]).astype(number)
    array = as_labels(labels)
    assert array.dtype.kind in "biuf"
    assert array.tolist() == [0, 1, 1, 0]
    assert as_labels(["a ", "b"]).tolist() == ["a ", "b"], "as they are given"
    for of_bytes in (np.array([b"mel", b"nv"]), [b"mel", "nv"], tf.constant(["mel", "nv"])):
        assert as_labels(of_bytes).tolist() == ["mel", "nv"]


# -- labels for a classifier that knows its classes --------------------------------------------------------------------


def test_labels_are_read_in_the_words_of_the_classifier():
    words = Classes.of(["mel", "nv"])
    numbers = Classes.of([0, 1])
    silent = Classes.of(["cat", "dog"], pos_label="cat")
    for classes, labels in (
        (words, ["nv", "mel", "mel"]),
        (words, ["NV ", "MEL", "MEL"]),
        (words, [0, 1, 1]),
        (words, [False, True, True]),
        (numbers, [0.0, 1.0, 1.0]),
        (numbers, ["0", "1", "1"]),
        (numbers, ["benign", "melanoma", "melanoma"]),
        (numbers, ["no", "yes", "yes"]),
        (silent, ["dog", "cat", "cat"]),
        (silent, [0, 1, 1]),
    ):
        assert classes.encode(labels).tolist() == [0, 1, 1]
    assert words.encode(["mel"] * 2).tolist() == [1, 1]
    assert words.encode([1, 1]).tolist() == [1, 1]
    assert numbers.encode(["nevus"] * 2).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("known", "given"),
    [
        (["mel", "nv"], ["mel", "bcc"]),
        (["mel", "nv"], ["benign", "melanoma"]),
        (["mel", "nv"], ["bcc", "bcc"]),
        (["mel", "nv"], [0, 2]),
        (["bkl", "mel", "nv"], [0, 1]),
        (["bkl", "mel", "nv"], ["bkl", "melanoma"]),
        ([0, 1, 2], [0, 3]),
    ],
)
def test_a_label_that_a_classifier_does_not_know_is_refused_by_name(known, given):
    with pytest.raises(UnknownNameError, match=r"Unknown class .* Known: .*"):
        Classes.of(known).encode(given)


def test_one_is_not_taken_for_melanoma_where_it_is_a_class_of_its_own():
    classes = Classes.of([1, 2], pos_label=2)
    assert classes.encode([1, 2]).tolist() == [0, 1]
    with pytest.raises(UnknownNameError, match="Unknown class 0"):
        classes.encode([0, 1])


@pytest.mark.parametrize("door", FITTED)
def test_every_door_of_a_classifier_refuses_what_it_does_not_know(enter):
    with pytest.raises(UnknownNameError, match=r"Unknown class 'bcc'\. .*Known: 'benign', 'melanoma'"):
        enter(["benign", "bcc", "melanoma"] * 8)


# -- melanoma may be the first class -----------------------------------------------------------------------------------


FIRST = [
    ("cancer", "healthy", "cancer"),
    ("malignant melanoma", "nevus", None),
    ("MM", "other", None),
]


@pytest.fixture(scope="module")
def numbered(images):
    """A classifier of 0 and 1, that others are compared with."""
    return make(class_weight={0: 1.0, 1: 2.0}).fit(images, TRUTH, validation_data=(images[:8], TRUTH[:8]))


@pytest.fixture(scope="module", params=FIRST, ids=lambda names: names[0])
def first(request, images):
    """The same, of words of which that for melanoma is the first in the alphabet."""
    melanoma, benign, pos_label = request.param
    words = np.array([benign, melanoma])[TRUTH]
    classifier = make(pos_label=pos_label, class_weight={np.str_(melanoma): 2, benign: 1})
    return classifier.fit(images, words, validation_data=(images[:8], words[:8])), words


def test_the_first_class_is_trained_as_melanoma(first, numbered, images):
    classifier, words = first
    assert classifier.classes_.tolist() == sorted(set(words))
    assert classifier.pos_label_ == words[1] == classifier.classes_[0]
    assert classifier.history_ == numbered.history_
    scores = classifier.predict_proba(images)
    assert np.array_equal(scores[:, ::-1], numbered.predict_proba(images)), "columns are in the order of classes_"
    assert np.array_equal(classifier.predict(images) == words[1], numbered.predict(images) == 1)
    assert classifier.score(images, words) == classifier.score(images, TRUTH) == numbered.score(images, TRUTH)
    counts = classifier.provenance_["training_data"]["counts"]
    assert list(counts) == classifier.classes_.tolist()
    assert classifier._prevalence_of_scores() == numbered._prevalence_of_scores() == pytest.approx(2 / 3)


def test_tuning_and_calibration_are_of_melanoma(first, numbered, images):
    classifier, words = first
    truth = TRUTH.copy()
    truth[[0, 5, 9, 16]] = 1 - truth[[0, 5, 9, 16]]  # labels that the scores do not quite separate
    noisy = np.where(truth == 1, words[1], words[0])
    for y in (noisy, truth):
        assert classifier.tune_threshold(images, y, sensitivity=0.95) == numbered.tune_threshold(
            images, truth, sensitivity=0.95
        )
        assert classifier.operating_point_.sensitivity.value >= 0.95
        assert classifier.calibrate(images, y) == numbered.calibrate(images, truth)
    assert np.array_equal(classifier.predict_proba(images)[:, 0], numbered.predict_proba(images)[:, 1])
    for one in (classifier, numbered):
        one._post = PostProcessing()


def test_reports_are_the_same_to_the_last_digit(first, numbered, images):
    classifier, words = first
    reports = [
        MetricsReport.from_estimator(classifier, images, words, n_resamples=100),
        MetricsReport.from_estimator(classifier, images, TRUTH, n_resamples=100),
        MetricsReport.from_estimator(classifier, images, words, pos_label=words[1], n_resamples=100),
        MetricsReport.from_scores(words, classifier.predict_proba(images)[:, 0], pos_label=words[1], n_resamples=100),
    ]
    expected = MetricsReport.from_estimator(numbered, images, TRUTH, n_resamples=100)
    for report in reports:
        assert repr(report.metrics) == repr(expected.metrics), "undefined ones are so in both"
        assert report.counts == expected.counts
        assert np.array_equal(report.y_score, expected.y_score)
    with pytest.raises(ParameterError, match="was trained to find"):
        MetricsReport.from_estimator(classifier, images, words, pos_label=words[0])
    several = MulticlassReport.from_estimator(classifier, images, words, n_resamples=100)
    assert several.against_rest[words[1]].metrics["auc"] == expected.metrics["auc"]


def test_a_file_keeps_which_class_is_melanoma(first, images, tmp_path):
    classifier, words = first
    classifier.save(tmp_path / "model.keras")
    loaded = TransferClassifier.load(tmp_path / "model.keras")
    assert loaded.pos_label_ == words[1]
    assert loaded.class_weight == {words[1]: 2, words[0]: 1}
    assert np.allclose(loaded.predict_proba(images), classifier.predict_proba(images), atol=1e-6)
    assert loaded._prevalence_of_scores() == classifier._prevalence_of_scores()
    assert loaded.score(images, words) == classifier.score(images, words)
    for wrong, message in (("dog", "takes 'dog' for melanoma, which is none of its classes"), (None, "takes None")):
        edit(tmp_path / "model.keras", STATE_FILE, lambda state, wrong=wrong: state.update(pos_label=wrong))
        with pytest.raises(ModelFileError, match=message):
            TransferClassifier.load(tmp_path / "model.keras")


@only_tensorflow
def test_an_exported_model_says_whose_score_it_gives(first, tmp_path):
    classifier, words = first
    classifier.export(tmp_path / "model")
    document = json.loads((tmp_path / "model.json").read_text())
    assert document["classes"] == classifier.classes_.tolist()
    assert document["melanoma"] == words[1]
    assert document["scores"] == [words[1]]


@pytest.mark.slow
def test_evidence_is_for_melanoma(first, numbered, images):
    classifier, words = first
    for measure, options in ((grad_cam, {}), (occlusion, {"grid": 2})):
        maps = measure(classifier, images[:2], **options)
        assert np.allclose(maps, measure(numbered, images[:2], **options), atol=1e-5)
        assert np.array_equal(maps, measure(classifier, images[:2], target=words[1], **options))
        against = measure(classifier, images[:2], target=words[0], **options)
        assert np.allclose(against, measure(numbered, images[:2], target=0, **options), atol=1e-5)
    (caption,), (of_numbers,) = (explain(one, images[:1]).captions for one in (classifier, numbered))
    assert caption == of_numbers.replace("score of melanoma", f"score of {words[1]}")
    found = check_shortcuts(classifier, images, words)
    assert found.to_dict() == check_shortcuts(numbered, images, TRUTH).to_dict()
    assert found.n_melanoma + found.n_melanoma_left_out == 12


def test_jobs_write_the_score_of_melanoma(first, numbered, dataset):
    pytest.importorskip("pyarrow")
    from melanoma_tl.scale.scoring import Scorer

    classifier, _ = first
    paths = dataset.paths[:5].tolist()
    tables = [next(Scorer(one, None, None).compute(paths, paths)) for one in (classifier, numbered)]
    assert tables[0].column_names == tables[1].column_names
    assert tables[0].column("score").to_pylist() == tables[1].column("score").to_pylist()


def test_words_of_tensorflow_are_words(images):
    words = np.array(["nv", "mel"])[TRUTH]
    data = tf.data.Dataset.from_tensor_slices((images, words)).batch(5)
    classifier = make(epochs=1).fit(data, validation_data=data)
    assert classifier.classes_.tolist() == ["mel", "nv"]
    assert classifier.pos_label_ == "mel"
    missing = np.where(TRUTH == 1, "mel", "")
    with pytest.raises(DatasetError, match="12 of 24 labels are missing"):
        make().fit(tf.data.Dataset.from_tensor_slices((images, missing)))


def test_ensembles_score_melanoma(first, numbered, images, tmp_path):
    classifier, words = first
    for combine in ("mean", "rank"):
        ensembles = [Ensemble([one, one], combine=combine).set_reference(images[:9]) for one in (classifier, numbered)]
        scores = [ensemble.predict_proba(images) for ensemble in ensembles]
        assert np.array_equal(scores[0][:, ::-1], scores[1])
    ensemble = ensembles[0]
    assert ensemble.pos_label_ == words[1]
    assert ensemble.score(images, words) == ensembles[1].score(images, TRUTH)
    ensemble.save(tmp_path / "ensemble.zip")
    assert Ensemble.load(tmp_path / "ensemble.zip").pos_label_ == words[1]
    with pytest.raises(ParameterError, match="must have the same classes"):
        Ensemble([classifier, numbered]).predict(images)


@pytest.mark.slow
def test_cross_validation_scores_melanoma(images):
    words = np.array(["healthy", "cancer"])[TRUTH]
    of_words = cross_validate(make(pos_label="cancer", epochs=1), images, words, folds=2, random_state=0, verbose=0)
    of_numbers = cross_validate(make(epochs=1), images, TRUTH, folds=2, random_state=0, verbose=0)
    assert np.array_equal(of_words.out_of_fold_scores_, of_numbers.out_of_fold_scores_)
    assert np.array_equal(of_words.cross_validation_.labels, TRUTH)
    reports = [model.out_of_fold_report(n_resamples=100) for model in (of_words, of_numbers)]
    assert repr(reports[0].metrics) == repr(reports[1].metrics)
    assert of_words.pos_label_ == "cancer"


def test_members_that_find_other_classes_are_not_trained():
    words = ["cat", "dog"] * 12
    with pytest.raises(ParameterError, match=r"different labels for melanoma: \['cat', 'dog'\]"):
        Ensemble([make(pos_label="cat"), make(pos_label="dog")], verbose=0).fit(NOWHERE, words)
    with pytest.raises(DatasetError, match="do not say which"):
        Ensemble([make(pos_label="cat"), make()], verbose=0).fit(NOWHERE, words)


@pytest.mark.slow
def test_tools_of_scikit_learn_find_the_columns(images):
    words = np.array(["other", "MM"])[TRUTH]
    scores = cross_val_predict(make(epochs=4), images, words, cv=2, method="predict_proba")
    assert roc_auc(words, scores[:, 0]) > 0.9
    search = GridSearchCV(make(epochs=1), {"pos_label": ["MM"]}, cv=2, scoring="roc_auc", error_score="raise")
    search.fit(images, words)
    assert search.best_estimator_.pos_label_ == "MM"
    report = MetricsReport.from_estimator(search, images, words, n_resamples=100)
    expected = MetricsReport.from_estimator(search, images, TRUTH, n_resamples=100)
    assert repr(report.metrics) == repr(expected.metrics), "undefined ones are so in both"


@pytest.mark.parametrize("names", [["nevus", "melanoma"], ["a", "b"], ["b", "a"], [1, 2], [False, True]], ids=str)
def test_classifiers_of_others_are_reported_in_their_words(names):
    rng = np.random.default_rng(0)
    X = rng.normal(TRUTH[:, None], 1, (N, 3))
    labels = np.array(names)[TRUTH]
    model, numbers = LogisticRegression().fit(X, labels), LogisticRegression().fit(X, TRUTH)
    expected = MetricsReport.from_estimator(numbers, X, TRUTH, n_resamples=100).metrics
    options = {"n_resamples": 100} | (
        {} if names in (["nevus", "melanoma"], [False, True]) else {"pos_label": names[1]}
    )
    found = MetricsReport.from_estimator(model, X, labels, **options).metrics
    for name, metric in expected.items():
        assert found[name].value == pytest.approx(metric.value, abs=1e-9)
    if "pos_label" in options:
        with pytest.raises(DatasetError, match=r"classes_ of this LogisticRegression .* pass pos_label="):
            MetricsReport.from_estimator(model, X, labels)
    words = np.array(["cat", "dog"])[TRUTH]
    renamed = MetricsReport.from_estimator(numbers, X, words, pos_label="dog", n_resamples=100)
    assert repr(renamed.metrics) == repr(expected)


# -- weights of classes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "weights"),
    [
        ([0, 1], {np.int64(0): 1.0, np.int64(1): 3.0}),
        ([0, 1], {False: 1.0, True: 3.0}),
        ([0, 1], {0.0: 1, 1.0: 3}),
        ([0, 1], {"0": 1, "1": 3}),
        ([False, True], {False: 1.0, True: 3.0}),
        ([False, True], {0: 1.0, 1: 3.0}),
        (["nv", "mel"], {np.str_("nv"): np.float32(1), np.str_("mel"): np.float32(3)}),
        (["nv", "mel"], {0: 1.0, 1: 3.0}),
    ],
    ids=str,
)
def test_weights_of_classes_may_have_any_key_that_names_one(labels, weights):
    classes, classifier = Classes.of(labels), make(class_weight=weights)
    assert weights_of_classes(classifier.class_weight, classes) == {0: 1.0, 1: 3.0}
    described = json.loads(json.dumps(describe_parameters(classifier)))["class_weight"]
    assert classes.encode(list(described)).tolist() == [0, 1], "as a file has them"
    assert list(described.values()) == [1, 3]


@pytest.mark.parametrize("weights", [{np.int64(0): 1, np.int64(1): 3}, {False: 1, True: 3}], ids=["np.int64", "bool"])
def test_a_model_with_such_weights_can_be_loaded(images, tmp_path, weights):
    classifier = make(class_weight=weights, epochs=1).fit(images, TRUTH)
    classifier.save(tmp_path / "model.keras")
    loaded = TransferClassifier.load(tmp_path / "model.keras")
    assert loaded.class_weight == {0: 1, 1: 3}
    assert loaded._prevalence_of_scores() == classifier._prevalence_of_scores() == 0.75


@pytest.mark.parametrize(
    "weights",
    [{0: 1.0}, {0: 1.0, 1: 1.0, 2: 1.0}, {"a": 1, "b": 2}, {0: 1, "1": 2}, {None: 1, 1: 2}, {}, [1, 2], "even"],
)
def test_weights_that_do_not_fit_are_refused_before_images_are_read(weights):
    for run in (
        lambda: make(class_weight=weights).fit(NOWHERE, TRUTH),
        lambda: cross_validate(make(class_weight=weights), NOWHERE, TRUTH, folds=2, verbose=0),
    ):
        with pytest.raises(
            (ParameterError, UnknownNameError), match=r"a weight for each of \[0, 1\], got|class_weight must be one of"
        ):
            run()


# -- datasets and scores -----------------------------------------------------------------------------------------------


def test_a_classifier_of_words_scores_a_dataset(fitted, dataset):
    assert fitted.score(dataset) == fitted.score(dataset, np.array(["benign", "melanoma"])[dataset.labels])
    report = MetricsReport.from_estimator(fitted, dataset, n_resamples=100)
    assert report.counts.n_melanoma == int(dataset.labels.sum())
    assert fitted.tune_threshold(dataset, youden=True).sensitivity.n == 12
    fitted._post = PostProcessing()
    with pytest.raises(ParameterError, match="pos_label=0 would call 1 benign"):
        make(pos_label=0).fit(dataset)


@pytest.mark.parametrize("rounded", [np.float32(1) + np.finfo("float32").eps, np.float32(-1e-7), 1 + 2e-7, -2e-7])
def test_what_float32_rounds_over_the_edge_is_a_probability(rounded):
    scores = SCORES.astype("float64")
    scores[[5, 6]] = rounded
    clipped = np.clip(scores, 0, 1)
    assert MetricsReport.from_scores(TRUTH, scores, n_resamples=100).metrics == (
        MetricsReport.from_scores(TRUTH, clipped, n_resamples=100).metrics
    )
    many = np.column_stack([1 - scores, scores])
    report = MulticlassReport.from_scores(TRUTH, many, classes=[0, 1], n_resamples=100)
    assert 0 <= report.against_rest["1"].y_score.min() <= report.against_rest["1"].y_score.max() <= 1


@pytest.mark.parametrize("bad", [1.00001, 1.000004, -1e-5, 12.5, -3.0])
def test_what_is_further_outside_is_shown_as_it_is(bad):
    scores = SCORES.copy()
    scores[4] = bad
    for report in (
        lambda: MetricsReport.from_scores(TRUTH, scores),
        lambda: MulticlassReport.from_scores(TRUTH, np.column_stack([scores, scores]), classes=[0, 1]),
    ):
        with pytest.raises(ParameterError, match=f"outside, such as {bad!r}; pass predict_proba"):
            report()


def test_every_label_of_several_spellings_is_named_with_the_way_out():
    y = ["Melanoma", "melanoma", "Melanoma", "nevus", "Nevus ", "nevus"]
    with pytest.raises(DatasetError, match="y writes 2 labels in several ways") as caught:
        Classes.of(y)
    _, advice = str(caught.value).split("as with ")
    assert "'Melanoma' and 'melanoma'; 'Nevus ' and 'nevus'" in str(caught.value)
    assert Classes.of(eval(advice, {"pandas": pd, "y": y})).labels.tolist() == ["Melanoma", "nevus"]


def test_zero_and_one_are_no_diagnoses():
    with pytest.raises(UnknownNameError, match=r"0 and 1 are benign and melanoma: give the diagnoses, such as"):
        Classes.of(["bcc", "mel", "nv"]).encode([0, 1])


@pytest.mark.parametrize("fill_value", [None, 0, 1])
def test_what_is_masked_is_missing_whatever_fills_it(fill_value):
    labels = np.ma.masked_array([0, 1, 0, 1], [False, False, False, True], fill_value=fill_value)
    with pytest.raises(DatasetError, match="1 of 4 labels are missing"):
        Classes.of(labels)


@pytest.mark.parametrize("spelled", ["\ufeffmelanoma", "melanoma\u200b", '"melanoma"', "\u201emelanoma\u201c"])
def test_characters_that_nobody_sees_make_no_class(spelled):
    with pytest.raises(DatasetError, match="writes one label in several ways"):
        Classes.of([spelled, "melanoma", "benign"])


def test_weights_of_bytes_are_saved_as_words(images, tmp_path):
    words = ["benign", "melanoma"] * 12
    classifier = make(class_weight={b"benign": 1, b"melanoma": 2}, epochs=1).fit(images, words)
    classifier.save(tmp_path / "model.keras")
    assert TransferClassifier.load(tmp_path / "model.keras").class_weight == {"benign": 1, "melanoma": 2}


@pytest.mark.parametrize(
    "word", ["x", "xx", "zz", "melanoma?", "to check", "inconclusive", "divers", "unklar", "indeterminate", "uncertain"]
)
def test_a_word_that_says_nothing_beside_two_classes_is_no_third_one(word):
    pairs = "benign melanoma; nevus MEL; naevus melanoma; benign malignant; healthy cancer; gutartig maligne"
    for two in map(str.split, pairs.split(";")):
        with pytest.raises(DatasetError, match=rf"say nothing beside '{two[1]}'.*pos_label="):
            Classes.of([*two, word] * 3)
        assert len(Classes.of([*two, word], pos_label=two[1]).labels) == 3
    assert len(Classes.of(["nevus", "melanoma", "bcc", "zz"]).labels) == 4, "diagnoses"


@pytest.mark.parametrize("other", ["M", "m", "BN", "N", "NV?", "A"])
def test_nm_may_be_non_melanoma_and_the_user_says_so(other):
    words = [other, "NM"] * 6
    with pytest.raises(DatasetError, match="do not say which of them is melanoma"):
        Classes.of(words)
    for label in (other, "NM"):
        assert Classes.of(words, pos_label=label).pos_label == label
        table = pd.DataFrame({"image_id": [f"i{k}" for k in range(12)], "label": words})
        assert sum(ISBIDataset.from_frame(table, labels_only=True, positive=label).labels) == 6
        rule = {other: int(label == other), "NM": int(label == "NM")}
        assert sum(ISBIDataset.from_frame(table, labels_only=True, label_map=rule).labels) == 6
        with pytest.raises(DatasetError, match="unknown label 'NM'"):
            ISBIDataset.from_frame(table, labels_only=True)


def test_nm_beside_melanoma_is_not_inverted():
    assert Classes.of(["MEL", "NM"]).pos_label == "MEL"
    assert Classes.of(["melanoma", "nm"]).pos_label == "melanoma"
    assert as_binary(["MM", "NM", "NM"]).tolist() == [1, 0, 0]
    for words in (["MEL", "NM", "nevus"], ["MEL", "NM", "nevus", "bcc"]):
        with pytest.raises(DatasetError, match=r"say nothing beside 'MEL' and .*pos_label="):
            Classes.of(words)
        assert Classes.of(words, pos_label="MEL").pos_label == "MEL"


@pytest.mark.parametrize("subtype", ["SSM", "lmm", "ALM", "superficial spreading melanoma"])
def test_nm_beside_another_subtype_is_nodular_melanoma(subtype):
    words = [subtype, "NM", "nevus", "NM left arm"]
    table = pd.DataFrame({"image_id": list("abcd"), "label": words})
    assert ISBIDataset.from_frame(table, labels_only=True).labels.tolist() == [1, 1, 0, 1]
    beside = table.assign(label=[1, 0, 0, 1], diagnosis=words)
    with pytest.raises(DatasetError, match="diagnosed as 'NM'"):
        ISBIDataset.from_frame(beside, labels_only=True)
    assert Classes.of(words[:3]).melanoma is None, "two of them are melanoma"
    with pytest.raises(DatasetError, match="both mean melanoma"):
        Classes.of(words[:2])
    for rule in ({"label_map": {subtype: 1, "NM": 0, "nevus": 0, "NM left arm": 1}}, {"positive": [subtype]}):
        with pytest.raises(ParameterError, match=r"calls 'nodular melanoma.*' benign"):
            ISBIDataset.from_frame(table, labels_only=True, **rule)


@pytest.mark.parametrize(
    ("labels", "strange"),
    [
        ([0, 1, -1], "-1"),
        ([0, 1, 9], "9"),
        ([0, 1, 3], "3"),
        ([0, 1, 255], "255"),
        ([0.0, 1.0, 9.0], "9.0"),
        ([0.0, 1.0, -1.0], "-1.0"),
        ([0, 1, 2, 9], "9"),
        ([0, 1, 2, 3, 4, 9], "9"),
        ([1, 2, 99], "99"),
        ([-1, 2, 3], "-1"),
        (["0", "1", "9"], "'9'"),
        (["0", "1", "-1"], "'-1'"),
        ([0, 1, np.iinfo(np.int64).min], str(np.iinfo(np.int64).min)),
        (["benign", "melanoma", "-1"], "'-1'"),
        (["nevus", "melanoma", "bcc", "9"], "'9'"),
        (["yes", "no", "unclear"], "'unclear'"),
        (["ja", "nein", "vielleicht"], "'vielleicht'"),
        (["positive", "negative", "equivocal"], "'equivocal'"),
        (["T", "F", "U"], "'U'"),
        (["1", "0", "x"], "'x'"),
        (["True", "False", "x"], "'x'"),
        (["0", "1", "2", "x"], "'2', 'x'"),
    ],
)
def test_a_code_beside_two_answers_is_no_third_class(labels, strange):
    for door in (Classes.of, Balancer().class_weight, lambda y: Balancer().fit_resample(np.arange(len(y)), y)):
        with pytest.raises(DatasetError, match="which may mark what is missing") as told:
            door(np.array(labels * 6))
        assert strange in str(told.value)
    assert len(Classes.of(labels * 6, pos_label=labels[1], are_learned=True).labels) == len(labels)


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, 2],
        [1, 2, 3],
        ["0", "1", "2"],
        [0.0, 1.0, 2.0],
        [0, 1, 2, 3, 4, 5, 6],
        [0, 1, 3, 4],
        [1, 2, 4, 5, 6, 8],
        [2, 3, 4],
        [10, 20, 30],
        ["I", "II", "III"],
        ["1", "2a", "2b"],
        ["T", "N", "M"],
        ["mel", "nv", "N"],
        ["nevus", "melanoma", "other"],
    ],
)
def test_codes_of_diagnoses_are_classes(labels):
    assert len(Classes.of(labels * 6).labels) == len(labels)
    assert len(Balancer().class_weight(labels * 6)) == len(labels)


@pytest.mark.slow
def test_a_classifier_of_an_older_version_that_learned_such_codes_is_loaded(images, tmp_path):
    make(epochs=1, pos_label=1).fit(images, [0, 1, 9] * 8).save(tmp_path / "model.keras")
    edit(tmp_path / "model.keras", STATE_FILE, lambda state: state.update(pos_label=None))
    assert TransferClassifier.load(tmp_path / "model.keras").classes_.tolist() == [0, 1, 9]


def test_what_a_classifier_has_learned_is_no_gap():
    assert Classes.of([0, 1, 9], are_learned=True).labels.tolist() == [0, 1, 9]
    assert Classes.of([0, 1, 9], pos_label=1).pos_label == 1
    assert Classes.of(np.arange(10), pos_label=1).encode([0, 1, 9]).tolist() == [0, 1, 9], "of a small test set"


def test_labels_that_are_numbered_are_read_by_their_words():
    assert Classes.of(["0_benign", "1_melanoma"]).pos_label == "1_melanoma"
    assert Classes.of(["0: melanoma", "1: nevus"]).pos_label == "0: melanoma"
    assert as_binary(["1_mel", "0_nv", "1_mel"]).tolist() == [1, 0, 1]
    for labels in (["0_melanoma", "1_melanoma"], ["0 benign", "1 melanoma"], ["0_x", "1_y"]):
        with pytest.raises(DatasetError, match="pos_label="):
            Classes.of(labels)
    with pytest.raises(DatasetError, match="say nothing beside '1_melanoma'"):
        Classes.of(["0_benign", "1_melanoma", "2_unsure"])
    table = pd.DataFrame({"image": ["a", "b"], "label": ["0_benign", "1_melanoma"]})
    assert ISBIDataset.from_frame(table, labels_only=True).labels.tolist() == [0, 1]


@pytest.mark.parametrize("word", ["offen", "?", "tbd", "pending", "not available", "k.A.", "sans objet", "n.d.", "TBC",
                                  "en attente", "keine Diagnose", "n.v.", "no aplica"])  # fmt: skip
def test_words_for_a_diagnosis_that_is_not_there_yet(word):
    with pytest.raises(DatasetError, match="1 of 3 labels are missing"):
        Classes.of(["benign", word, "melanoma"])


@pytest.mark.parametrize("other", ["malignant", "melanoma?", "V.a. Melanom", "suspicious nevus"])
def test_what_may_be_melanoma_as_well_is_not_the_other_class(other):
    with pytest.raises(DatasetError, match="may hold melanomas too"):
        Classes.of(["melanoma", other])
    with pytest.raises(DatasetError, match="may hold melanomas too"):
        as_binary(["melanoma", other])
    assert Classes.of(["melanoma", other], pos_label="melanoma").pos_label == "melanoma"


@pytest.mark.parametrize("labels", [["T", "N"], ["Y", "F"], ["t", "no"], ["n", "nevus"]])
def test_letters_that_do_not_answer_each_other_say_nothing(labels):
    with pytest.raises(DatasetError, match="do not say which of them is melanoma"):
        Classes.of(labels)
    assert Classes.of(labels, pos_label=labels[0]).pos_label == labels[0]
    with pytest.raises(DatasetError, match=r"may mean anything|say what it means"):
        ISBIDataset.from_frame(pd.DataFrame({"image": ["a", "b"], "label": labels}), labels_only=True)


@pytest.mark.parametrize("labels", [["T", "F"], ["y", "n"], ["N", "Yes"], ["false", "T"]])
def test_letters_that_answer_each_other_do(labels):
    assert Classes.of(labels).pos_label in ("T", "y", "Yes")
