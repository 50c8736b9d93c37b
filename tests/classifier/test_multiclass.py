"""Several diagnoses: the challenges' scorer and scikit-learn are the judges."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import only_tensorflow
from isic_challenge_scoring.classification import ClassificationMetric, ClassificationScore
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, classification_report, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from melanoma_tl import (
    Augmenter,
    Balancer,
    Ensemble,
    ISBIDataset,
    MetricsReport,
    MulticlassReport,
    Probe,
    Stage,
    TransferClassifier,
    cross_validate,
)
from melanoma_tl.errors import DatasetError, LeakageWarning, ParameterError, UnknownNameError
from melanoma_tl.explain.explanations import grad_cam
from melanoma_tl.explain.shortcuts import check_shortcuts
from melanoma_tl.metrics.confusion import CONFUSION_METRICS
from melanoma_tl.metrics.metric import LABELS, UNBOUNDED
from melanoma_tl.metrics.multiclass import NO_CLASS, multiclass_metrics, predict_classes
from melanoma_tl.plots import DecisionCurveDisplay
from melanoma_tl.training.linear_probe import ProbeData, fit_logistic

CLASSES = ("bkl", "mel", "nv")
IDS = [f"ISIC_{row:07}" for row in range(300)]


def draw(n=300, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n, p=[0.2, 0.15, 0.65])
    truth[:3] = 0, 1, 2
    odds = rng.normal(0, 1, (n, 3)) + 1.2 * np.eye(3)[truth]
    scores = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    return truth, scores.round(1) if ties else scores


@pytest.fixture(scope="module")
def report():
    truth, scores = draw()
    return MulticlassReport.from_scores(np.array(CLASSES)[truth], scores, classes=CLASSES, name="drawn", image_ids=IDS)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "tied"])
def test_the_scorer_of_the_challenges_agrees(seed, ties):
    truth, scores = draw(60, seed, ties)
    found = multiclass_metrics(truth, scores, n_classes=3, n_resamples=100)
    weights = pd.DataFrame({"score_weight": np.ones(60), "validation_weight": np.ones(60)})
    judged = ClassificationScore(
        pd.DataFrame(np.eye(3)[truth], columns=CLASSES),
        pd.DataFrame(scores, columns=CLASSES),
        weights,
        ClassificationMetric.BALANCED_ACCURACY,
    )
    assert found.balanced_accuracy.value == pytest.approx(judged.overall, abs=1e-12)
    for ours, theirs in {"auc": "auc", "average_precision": "ap"}.items():
        assert found.macro[ours].value == pytest.approx(judged.macro_average[theirs], abs=1e-12), ours
    # Its metrics of each class alone are those of a threshold, not of the predicted class.
    alone = [MetricsReport.from_scores(truth == number, scores[:, number], n_resamples=100) for number in range(3)]
    for name in ("accuracy", "sensitivity", "specificity"):
        mean = np.mean([report.metrics[name].value for report in alone])
        assert mean == pytest.approx(judged.macro_average[name], abs=1e-12), name


def test_scikit_learn_agrees(report):
    truth, scores = draw()
    assert report.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(truth, scores.argmax(axis=1)))
    assert report.accuracy.value == np.mean(truth == scores.argmax(axis=1))
    assert report.macro["auc"].value == pytest.approx(roc_auc_score(truth, scores, multi_class="ovr", average="macro"))
    assert report.macro["average_precision"].value == pytest.approx(average_precision_score(np.eye(3)[truth], scores))
    assert report.confusion_matrix.sum() == 300
    assert report.confusion_matrix.trace() == np.sum(truth == scores.argmax(axis=1))


def test_two_classes_are_one_against_the_other():
    truth, scores = draw()
    melanoma = scores[:, 1]
    binary = MetricsReport.from_scores(truth == 1, melanoma)
    found = multiclass_metrics((truth == 1).astype(int), np.column_stack([1 - melanoma, melanoma]), n_classes=2)
    assert found.balanced_accuracy.value == pytest.approx(binary.metrics["balanced_accuracy"].value)
    assert found.macro["auc"].value == pytest.approx(binary.metrics["auc"].value)
    for end in ("low", "high"):  # another order of the same draws
        ours, theirs = (getattr(one, end) for one in (found.balanced_accuracy, binary.metrics["balanced_accuracy"]))
        assert ours == pytest.approx(theirs, abs=0.01)


def test_each_class_has_its_report(report):
    truth, scores = draw()
    alone = MetricsReport.from_scores(truth == 1, scores[:, 1], y_pred=scores.argmax(axis=1) == 1)
    assert report.against_rest["mel"].metrics == alone.metrics
    assert list(report.against_rest) == list(CLASSES)


def test_one_rule_of_prediction_holds_everywhere():
    truth = np.repeat([0, 1, 2], 4)
    scores = np.full((12, 3), 0.3)
    scores[np.arange(12), truth] = 0.4  # the highest, and below one half
    report = MulticlassReport.from_scores(truth, scores, classes=[0, 1, 2], n_resamples=100)
    assert report.confusion_matrix.tolist() == np.diag([4, 4, 4]).tolist()
    for one in report.against_rest.values():
        assert [one.metrics[name].value for name in CONFUSION_METRICS if name not in UNBOUNDED] == [1.0] * 11
    assert {report.macro[name].value for name in CONFUSION_METRICS if name not in UNBOUNDED} == {1.0}


@pytest.mark.parametrize("groups", [None, np.arange(300) // 3], ids=["images", "patients"])
def test_metrics_of_each_class_are_those_of_scikit_learn(groups):
    truth, scores = draw()
    report = MulticlassReport.from_scores(truth, scores, classes=[0, 1, 2], n_resamples=100, groups=groups)
    judged = classification_report(truth, scores.argmax(axis=1), output_dict=True)
    names = {"sensitivity": "recall", "precision": "precision", "f1": "f1-score"}
    for ours, theirs in names.items():
        for name, one in report.against_rest.items():
            assert one.metrics[ours].value == pytest.approx(judged[name][theirs]), (name, ours)
        assert report.macro[ours].value == pytest.approx(judged["macro avg"][theirs])
    of_mean, balanced = report.macro["sensitivity"], report.balanced_accuracy
    assert (of_mean.value, of_mean.low, of_mean.high) == (balanced.value, balanced.low, balanced.high)
    for number, one in enumerate(report.against_rest.values()):
        assert one.counts.tp == report.confusion_matrix[number, number]
        assert one.counts.tp + one.counts.fp == report.confusion_matrix[:, number].sum()
        assert "predicted" in one.rule
        table = {"half": np.arange(300) % 2}
        rows = list(one.subgroups(table, by="half"))
        assert sum(row.metrics["sensitivity"].value * row.n_melanoma for row in rows) == pytest.approx(one.counts.tp)
    stated = "predicted: the class with the highest score"
    assert str(report).count(stated) == report._repr_html_().count(stated) == 2
    assert "highest score" in report.to_dict()["rule"]


def test_every_figure_has_an_interval_around_it(report):
    for metric in (report.balanced_accuracy, report.accuracy, *report.macro.values()):
        assert metric.low < metric.value < metric.high
        assert metric.n == 300
    assert set(report.macro) == set(LABELS) - {"lr_positive", "lr_negative"}


@pytest.mark.slow
def test_the_interval_covers_the_truth():
    """Of 200 samples of a population, the 90 % interval of the balanced accuracy misses its value in about 20."""
    truth, scores = draw(200_000, seed=99)
    right = scores.argmax(axis=1) == truth
    true_value = np.mean([right[truth == number].mean() for number in range(3)])
    missed = 0
    for seed in range(200):
        sample = multiclass_metrics(*draw(150, seed), n_classes=3, confidence=0.9, n_resamples=200)
        missed += not sample.balanced_accuracy.low <= true_value <= sample.balanced_accuracy.high
    assert 8 <= missed <= 36


def test_patients_widen_the_intervals():
    truth, scores = draw(60)
    twice = [np.repeat(one, 6, axis=0) for one in (truth, scores)]
    alone = multiclass_metrics(*twice, n_classes=3)
    grouped = multiclass_metrics(*twice, n_classes=3, groups=np.repeat(np.arange(60), 6))
    for ours, theirs in ((grouped.balanced_accuracy, alone.balanced_accuracy), (grouped.accuracy, alone.accuracy)):
        assert ours.high - ours.low > 1.8 * (theirs.high - theirs.low)
    assert grouped.balanced_accuracy.method == "cluster bootstrap"
    assert grouped.accuracy.method == "clustered wilson"


def test_a_shared_highest_score_is_no_call():
    assert predict_classes(np.array([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]])).tolist() == [NO_CLASS, 2]
    report = MulticlassReport.from_scores([0, 1], [[0.5, 0.5], [0.1, 0.9]], classes=[0, 1])
    assert report.accuracy.value == 0.5
    assert report.confusion_matrix.tolist() == [[0, 0], [0, 1]]


def test_any_classifier_of_scikit_learn_can_be_reported():
    truth, scores = draw()
    model = LogisticRegression().fit(scores, np.array(CLASSES)[truth])
    report = MulticlassReport.from_estimator(model, scores, np.array(CLASSES)[truth])
    assert report.classes == CLASSES
    assert report.accuracy.value == model.score(scores, np.array(CLASSES)[truth])
    assert "LogisticRegression" in report.to_json()


def draw_colours():
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 3
    colours = np.array([[220, 60, 60], [60, 200, 60], [60, 60, 220]])
    images = np.clip(rng.normal(colours[truth][:, None, None], 30, (60, 40, 40, 3)), 0, 255).astype("uint8")
    return images, np.array(CLASSES)[truth]


def make(**changes):
    options = {"weights": None, "epochs": 12, "learning_rate": 0.02, "trainable_from": "conv1", "random_state": 0}
    return TransferClassifier("tiny").set_params(**(options | {"verbose": 0} | changes))


VARIANTS = [
    {},
    {"stages": [Probe()], "trainable_from": None},
    {"stages": [Probe(), Stage("conv2")], "trainable_from": None, "precision": "bfloat16"},
    {"loss": "focal", "loss__label_smoothing": 0.1, "class_weight": "balanced", "mix": "mixup", "epochs": 25},
    {"balancer": Balancer(), "augmenter": Augmenter(horizontal_flip=True, views=2)},
]


@pytest.mark.slow
@pytest.mark.parametrize("changes", VARIANTS, ids=["plain", "probe", "stages", "focal", "balanced"])
def test_diagnoses_go_through_the_same_classifier(changes, tmp_path):
    images, names = draw_colours()
    classifier = make(**changes).fit(images[:45], names[:45], validation_data=(images[45:], names[45:]))
    scores = classifier.predict_proba(images[45:])
    assert scores.shape == (15, 3)
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert classifier.classes_.tolist() == list(CLASSES)
    assert np.mean(classifier.predict(images[45:]) == names[45:]) > 0.9
    assert classifier.history_["val_accuracy"][-1] > 0.9
    with pytest.warns(LeakageWarning, match="15 images"):
        report = MulticlassReport.from_estimator(classifier, images[45:], names[45:])
    assert report.balanced_accuracy.value > 0.9
    classifier.save(tmp_path / "model.keras")
    assert np.allclose(TransferClassifier.load(tmp_path / "model.keras").predict_proba(images[45:]), scores, atol=1e-6)


def test_a_probe_of_several_classes_is_scikit_learns():
    rng = np.random.default_rng(0)
    features, truth = rng.normal(size=(90, 6)).astype("float32"), rng.integers(0, 3, 90)
    features[:, 0] += truth
    weights = np.array([1.0, 3.0, 0.5])
    data = ProbeData(Table(features), np.eye(3, dtype="float32")[truth], 1, weights[truth])
    kernel, bias = fit_logistic(data, np.arange(90), C=0.3)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, class_weight=dict(enumerate(weights)), tol=1e-8))
    # In single precision scikit-learn's solver stops earlier.
    expected = model.fit(features.astype(float), truth).predict_proba(features)
    assert np.allclose(softmax(features @ kernel + bias, axis=1), expected, atol=1e-4)


class Table:
    """Features that are at hand."""

    def __init__(self, features):
        self.features = features

    def batch(self, rows, repeats, step):
        return self.features[rows]


def test_what_is_for_two_classes_says_so():
    images, names = draw_colours()
    classifier = make(epochs=1).fit(images, names)
    way_out = (
        r" is for two classes, melanoma and all else; here are 3: .*'mel'.*\(MulticlassReport\)\. For melanoma against "
        r"the rest leave y out where X is an ISBIDataset, or pass y=\(numpy\.asarray\(y\) == 'mel'\)"
    )
    with pytest.raises(ParameterError, match=f"tune_threshold{way_out}, and fit again"):
        classifier.tune_threshold(images, names)
    with pytest.raises(ParameterError, match=f"calibrate{way_out}, and fit again"):
        classifier.calibrate(images, names)
    with pytest.raises(ParameterError, match=f"check_shortcuts{way_out}"):
        check_shortcuts(classifier, images, names)
    with pytest.raises(ParameterError, match="MulticlassReport"):
        MetricsReport.from_estimator(classifier, images, names == "mel")
    with pytest.raises(DatasetError, match=f"cross_validate{way_out}"):
        cross_validate(make(epochs=1), images, names, folds=2)
    assert np.array_equal(grad_cam(classifier, images[:1]), grad_cam(classifier, images[:1], target="mel"))
    assert classifier.pos_label_ == "mel"
    ensemble = Ensemble([classifier, make(epochs=1, random_state=1).fit(images, names)], verbose=0)
    assert np.allclose(ensemble.predict_proba(images[:4]).sum(axis=1), 1, atol=1e-5)
    assert set(ensemble.predict(images[:4])) <= set(CLASSES)


@only_tensorflow
def test_an_exported_model_scores_each_class(tmp_path):
    images, names = draw_colours()
    classifier = make(epochs=1).fit(images, names)
    exported = classifier.export(tmp_path / "model")
    assert exported.largest_difference <= 1e-4
    document = json.loads((tmp_path / "model.json").read_text())
    assert document["output"]["shape"] == ["n", 3]
    assert document["classes"] == list(CLASSES)
    assert "threshold" not in document


def test_it_is_written_saved_and_drawn(report, tmp_path):
    for text in (str(report), report.to_markdown(), report._repr_html_()):
        for word in ("Balanced accuracy", "Each class against the rest", "mel"):
            assert word in text
    for suffix in (".md", ".json", ".txt"):
        assert report.save(tmp_path / f"report{suffix}").stat().st_size > 500
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["against_rest"]["mel"]["auc"]["n"] == 300
    assert report.plot_confusion_matrix().figure_.axes
    curves = report.plot_roc()
    assert len(curves.line_) == 3
    assert [line.get_label().split(",")[0] for line in curves.line_] == list(report.classes)
    assert curves.roc_auc == pytest.approx([one.metrics["auc"].value for one in report.against_rest.values()])


def test_the_official_scorer_reads_a_submission(report, tmp_path, monkeypatch):
    # The scorer calls a method of pandas by the name that it had before version 3.
    monkeypatch.setattr(pd.DataFrame, "applymap", pd.DataFrame.map, raising=False)
    path = report.to_submission(tmp_path / "submission.csv")
    truth, _ = draw()
    table = pd.DataFrame(np.eye(3)[truth], columns=CLASSES)
    table.insert(0, "image", IDS)
    table.to_csv(tmp_path / "truth.csv", index=False)
    score = ClassificationScore.from_file(tmp_path / "truth.csv", path, ClassificationMetric.BALANCED_ACCURACY)
    assert score.overall == pytest.approx(report.balanced_accuracy.value, abs=1e-12)


def test_mistakes_get_an_answer():
    truth, scores = draw(20)
    words = np.array(CLASSES)[truth]
    with pytest.raises(UnknownNameError, match="Did you mean 'mel'"):
        MulticlassReport.from_scores(np.where(words == "mel", "mell", words), scores, classes=CLASSES)
    with pytest.raises(ParameterError, match=r"\(n, 3\)"):
        MulticlassReport.from_scores(words, scores[:, :2], classes=CLASSES)
    with pytest.raises(ParameterError, match="at least two different"):
        MulticlassReport.from_scores(words, scores, classes=["mel", "mel", "nv"])
    with pytest.raises(ParameterError, match="probabilities"):
        MulticlassReport.from_scores(words, scores * 3, classes=CLASSES)
    with pytest.raises(DatasetError, match="no image of 1 of the 4 classes"):
        MulticlassReport.from_scores(words, np.column_stack([scores, scores[:, 0]]), classes=[*CLASSES, "df"])
    with pytest.raises(DatasetError, match="no image of 1 of the 3 classes"):
        MulticlassReport.from_scores(words[words != "mel"], scores[words != "mel"], classes=CLASSES)
    with pytest.raises(DatasetError, match="the labels come first, then the scores"):
        MulticlassReport.from_scores(scores, words, classes=CLASSES)
    with pytest.raises(ParameterError, match="y_score has 20 rows, but y_true has 19"):
        MulticlassReport.from_scores(words[:-1], scores, classes=CLASSES)


class Unscored:
    """A classifier that must not be asked for scores."""

    def __init__(self, classes):
        self.classes_ = np.array(classes)

    def predict_proba(self, X):
        raise AssertionError("images were scored")


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 1, 0], UnknownNameError, "0 and 1 are benign and melanoma"),
        (["mel", "mell", "nv"], UnknownNameError, "Did you mean 'mel'"),
        (["mel", "mel", "nv"], DatasetError, r"no image of 1 of the 3 classes \(bkl\)"),
        (["mel", "nv", "bkl", "nv"], ParameterError, "X has 3 images, but y has 4 labels"),
    ],
)
def test_labels_are_checked_before_images_are_scored(labels, error, message):
    with pytest.raises(error, match=message):
        MulticlassReport.from_estimator(Unscored(["bkl", "mel", "nv"]), ["a", "b", "c"], labels)


@pytest.mark.parametrize(
    ("labels", "message"), [([0, 0, 0], "images of both classes"), ([0, 1], "X has 3 images, but y has 2 labels")]
)
def test_two_classes_are_checked_before_images_are_scored(labels, message):
    with pytest.raises((DatasetError, ParameterError), match=message):
        MetricsReport.from_estimator(Unscored([0, 1]), ["a", "b", "c"], labels)


@pytest.mark.parametrize("report", [MetricsReport, MulticlassReport])
def test_a_report_on_a_table_or_folder_says_how_it_is_read(report):
    for given, reader in (("mine.csv", "from_csv"), (".", "from_folder")):
        with pytest.raises(DatasetError, match=f"read it with ISBIDataset.{reader}"):
            report.from_estimator(Unscored([0, 1]), given)


def test_swapped_arguments_are_told_their_order():
    dataset = ISBIDataset(["a", "b"], None, [0, 1])
    for make_it in (MetricsReport.from_estimator, MulticlassReport.from_estimator, DecisionCurveDisplay.from_estimator):
        for given in (dataset, "model.keras", Unscored):
            with pytest.raises(ParameterError, match=r"first the classifier, then the images\), got "):
                make_it(given, Unscored([0, 1]))
    with pytest.raises(ParameterError, match="classifier must be a fitted classifier, got ISBIDataset"):
        check_shortcuts(dataset, Unscored([0, 1]))
    with pytest.raises(DatasetError, match="the labels come first, then the scores"):
        MetricsReport.from_scores([0.2, 0.7], [0, 1])
    report = MetricsReport.from_scores([0, 1], [0.2, 0.7])
    of_several = MulticlassReport.from_scores(["a", "b"], [[0.9, 0.1], [0.2, 0.8]], classes=["a", "b"], n_resamples=100)
    with pytest.raises(ParameterError, match="other must be a MetricsReport, got MulticlassReport"):
        report.compare(of_several)
    with pytest.raises(ParameterError, match="a column of the table is chosen with by='sex'"):
        report.subgroups("sex")


def test_all_figures_go_to_pandas_as_tidy_rows():
    truth = ["mel", "nv", "bkl"] * 8
    scores = np.random.default_rng(0).dirichlet([1, 1, 1], 24)
    report = MulticlassReport.from_scores(truth, scores, classes=["bkl", "mel", "nv"], n_resamples=100)
    frame = report.to_frame()
    assert not frame.duplicated(["class", "metric", "at"]).any()
    together = frame[frame["class"] == ""].set_index("metric")["value"]
    assert together["balanced_accuracy"] == report.balanced_accuracy.value
    assert together["macro_auc"] == report.macro["auc"].value
    of_mel = frame[(frame["class"] == "mel") & (frame["metric"] == "auc")]
    assert of_mel["value"].tolist() == [report.against_rest["mel"].metrics["auc"].value]
