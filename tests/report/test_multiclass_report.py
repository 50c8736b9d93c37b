"""A report on several diagnoses says of itself what one on two classes says: what speaks against it comes first."""

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import numpy as np
import pandas as pd
import pytest
from conftest import draw_images
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from referencing import Registry, Resource

from melanoma_tl import ISBIDataset, MetricsReport, MulticlassReport, TransferClassifier
from melanoma_tl._escaping import in_figure
from melanoma_tl.errors import DatasetError, LeakageWarning, ParameterError, UnknownNameError
from melanoma_tl.metrics.intervals import wilson_interval
from melanoma_tl.metrics.multiclass import multiclass_metrics
from melanoma_tl.metrics.multiclass_comparisons import compare_classes
from melanoma_tl.report import CARD
from melanoma_tl.report.card import fill_card
from melanoma_tl.report.class_names import list_texts, rename_classes
from melanoma_tl.report.concerns import list_concerns

CLASSES = ("bkl", "mel", "nv")


def draw(n=300, seed=0, shares=(0.2, 0.15, 0.65)):
    """Words and scores that are probabilities."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(np.log(shares), 1.5, (n, len(shares)))
    scores = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    truth = (rng.random((n, 1)) > scores.cumsum(axis=1)).sum(axis=1)
    return np.array(CLASSES)[truth], scores


def report_on(words, scores, **options):
    return MulticlassReport.from_scores(words, scores, classes=CLASSES, **({"n_resamples": 200} | options))


@pytest.fixture(scope="module")
def report():
    words, scores = draw()
    return report_on(words, scores, name="drawn", history={"loss": [0.7, 0.5]}, image_ids=[f"i{n}" for n in range(300)])


# -- what speaks against the figures -----------------------------------------------------------------------------------


def test_nothing_to_say_is_said_with_what_was_looked_at(report):
    (said,) = list_concerns(report)
    assert said.startswith("Nothing was found")
    for looked_at in (
        "each class is predicted",
        "AUC is above chance",
        "number of images of each",
        "calibration",
    ):
        assert looked_at in said


def test_a_class_of_three_is_pointed_out_and_marked():
    words, scores = draw()
    keep = (words != "mel") | (np.cumsum(words == "mel") <= 3)
    report = report_on(words[keep], scores[keep])
    assert "Too few to judge by: only 3 mel; each single image moves a metric by 0.05 or more" in list_concerns(report)
    for text in (str(report), report.to_markdown(), report._repr_html_()):
        assert "3 (few)" in text
        assert text.index("Too few to judge by") < text.index("images:")


def test_intervals_without_width_are_pointed_out_and_marked():
    words = np.repeat(CLASSES, 12)
    report = report_on(words, 0.9 * np.eye(3)[np.repeat([0, 1, 2], 12)] + 0.1 / 3)
    said = list_concerns(report)[-1]
    assert said.startswith("An interval without width does not mean certainty")
    for figure in ("Balanced accuracy", "AUC, mean of the classes", "F1 (Dice), mean of the classes"):
        assert figure in said
    assert str(report).count("1.000 to 1.000 (no width, few)") >= 5
    assert "1.000 to 1.000 (no width, few)" in str(MetricsReport.from_scores([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda scores: scores * [0, 0, 1] + [0.0, 0.0, 0.0], "EVERY IMAGE IS PREDICTED NV"),
        (lambda scores: np.full_like(scores, 1 / 3), "EVERY IMAGE IS WITHOUT A PREDICTED CLASS"),
        (lambda scores: scores * [1, 0.01, 1], "No image is predicted mel: the sensitivity for it is 0"),
        (lambda scores: scores[:, [0, 2, 1]], "WORSE THAN CHANCE: the AUC of mel is 0.2"),
        (
            lambda scores: np.random.default_rng(1).dirichlet([1, 1, 1], len(scores)),
            "The scores may be no better than chance: the AUC of bkl is 0.",
        ),
        (lambda scores: scores**4, "The scores of nv are no probabilities here: they are too low on the whole"),
    ],
    ids=["one class", "no class", "never called", "turned", "noise", "miscalibrated"],
)
def test_what_is_wrong_with_scores_is_said_first(spoil, said):
    words, scores = draw()
    report = report_on(words, spoil(scores))
    concerns = list_concerns(report)
    assert any(concern.startswith(said) for concern in concerns), concerns
    assert str(report).index(said) < str(report).index("300 images:")


def test_shared_highest_scores_are_counted():
    report = report_on([*CLASSES, "nv"], [*np.eye(3), [0.0, 0.5, 0.5]])
    assert "1 images have no predicted class: several classes share their highest score" in report.statements()


# -- images, patients, and what the classifier has seen ----------------------------------------------------------------


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diagnoses")
    for number, image in enumerate(draw_images(30, seed=5)):
        Image.fromarray(image).save(folder / f"i{number}.png")
    known = pd.DataFrame({"patient_id": [f"p{n // 3}" for n in range(30)], "diagnosis": list(CLASSES) * 10})
    ids = [f"i{n}" for n in range(30)]
    return ISBIDataset(ids, [folder / f"{one}.png" for one in ids], [0, 1, 0] * 10, metadata=known, name="mine")


@pytest.fixture(scope="module")
def classifier(dataset):
    options = {"weights": None, "epochs": 1, "trainable_from": "conv1", "verbose": 0, "random_state": 0}
    return TransferClassifier("tiny", **options).fit(dataset, dataset.metadata["diagnosis"])


def test_its_own_training_images_are_leakage(classifier, dataset):
    with pytest.warns(LeakageWarning) as warned:
        report = MulticlassReport.from_estimator(
            classifier, dataset, dataset.metadata["diagnosis"], n_resamples=100, name="seen"
        )
    assert warned[0].filename == __file__
    for one in (report, *report.against_rest.values()):
        assert list_concerns(one)[0].startswith("LEAKAGE: the model was fitted with a counterpart of 30 images")
        assert one.provenance["seen_by_the_model"]["images"] == 30
        assert one.groups == tuple(dataset.metadata["patient_id"])
        assert "The images are of 10 patients or lesions" in str(one)
    assert report.balanced_accuracy.method == report.macro["auc"].method == "cluster bootstrap"
    assert report.name == "seen"


def test_what_a_dataset_remembers_stands_in_the_card(classifier, dataset):
    chosen = dataset.sample(per_class=5, random_state=0)
    with pytest.warns(LeakageWarning):
        report = MulticlassReport.from_estimator(classifier, chosen, chosen.metadata["diagnosis"], n_resamples=100)
    card = " ".join(entry.text for entry in fill_card(report, {}))
    assert "sample(per_class=5, random_state=0): 10 of 30" in card
    assert "10 test images have a counterpart among those the model was fitted with." in card
    assert "The predicted class is the one with the highest score; there is none if several classes share it." in card
    assert ", ".join(f"{n} {name}" for name, n in list(report.class_sizes.items())[:2]) in card
    of_class = " ".join(entry.text for entry in fill_card(report.against_rest["bkl"], {}))
    assert "predicted bkl where none of the other classes has a score as high." in of_class
    assert "melanoma" not in of_class.replace("tell melanoma", "")


def test_images_without_score_are_left_out_and_listed(tmp_path):
    words, scores = draw(60)
    scores[[3, 7], 1] = np.nan
    report = report_on(words, scores, image_ids=[f"i{n}" for n in range(60)], skipped=[("x", "x.jpg", "gone")])
    assert [row.image_id for row in report.skipped] == ["x", "i3", "i7"]
    assert len(report.y_true) == len(report.against_rest["nv"].y_true) == 58
    assert report.confusion_matrix.sum() == 58
    assert "58 images: " in str(report)
    assert "i7: no score (NaN)" in str(report)
    with pytest.raises(ParameterError, match="complete files only"):
        report.to_submission(tmp_path / "submission.csv")


NAMED = ["bcc", "mel", "nv"]
TABLE = pd.DataFrame(np.eye(3)[np.repeat([0, 1, 2], 4)] * 0.8 + 0.05, columns=NAMED)


def accuracy_of(table, classes=NAMED):
    truth = np.array(classes)[np.repeat([0, 1, 2], 4)]
    return MulticlassReport.from_scores(truth, table, classes=classes, n_resamples=100).accuracy.value


@pytest.mark.parametrize(
    "table",
    [
        TABLE[["nv", "mel", "bcc"]],
        TABLE[["nv", "mel", "bcc"]].add_prefix("prob_"),
        TABLE[["nv", "mel", "bcc"]].add_suffix("_score"),
        TABLE[["mel", "nv", "bcc"]].rename(columns=str.upper),
        TABLE.set_axis(["x", "bcc", "z"], axis=1),
    ],
    ids=["words", "a beginning", "an end", "capitals", "one of them"],
)
def test_columns_that_are_called_as_other_classes_are_refused(table):
    with pytest.raises(ParameterError, match=r"the columns of y_score are .* and the classes 'bcc', 'mel', 'nv', but"):
        accuracy_of(table)
    with pytest.raises(ParameterError, match="taken by position"):
        compare_classes(np.repeat([0, 1, 2], 4), TABLE, table, classes=NAMED)
    assert accuracy_of(table.to_numpy()) <= 1


def test_columns_that_say_nothing_else_are_taken_by_position():
    for columns in (NAMED, ["BCC", "MEL", "NV"], ["p_bcc", "p_mel", "p_nv"], ["x", "y", "z"], [2, 0, 1], range(3)):
        assert accuracy_of(TABLE.set_axis(columns, axis=1)) == 1, columns
    for columns in ([0, 1, 2], range(3), [1, 2, 3]):
        assert accuracy_of(TABLE.set_axis(columns, axis=1), [1, 2, 3]) == 1, columns
    assert accuracy_of(pd.DataFrame(TABLE.to_numpy()), [2, 1, 0]) == 1
    with pytest.raises(ParameterError, match=r"pass y_score\[\[1, 2, 3\]\]"):
        accuracy_of(TABLE.set_axis([3, 2, 1], axis=1), [1, 2, 3])


def test_the_columns_of_an_estimator_are_held_against_its_classes():
    class Wrapped:
        classes_ = np.array(["melanoma", "nevus"])
        columns = ("nevus", "melanoma")

        def predict_proba(self, X):
            return pd.DataFrame(dict.fromkeys(self.columns, X))

    with pytest.raises(ParameterError, match=r"the columns of predict_proba\(X\) are 'nevus', 'melanoma'"):
        MetricsReport.from_estimator(Wrapped(), [0.2, 0.8], ["nevus", "melanoma"])
    Wrapped.columns = ("melanoma", "nevus")
    assert MetricsReport.from_estimator(Wrapped(), [0.2, 0.8], ["nevus", "melanoma"], n_resamples=100).counts.tp == 1


def test_a_report_on_one_class_names_its_classes(report):
    of_bkl = report.against_rest["bkl"]
    n = report.class_sizes["bkl"]
    assert f"{n} bkl, {300 - n} not bkl" in str(of_bkl)
    for text in (str(of_bkl), of_bkl.to_markdown(), of_bkl._repr_html_()):
        assert "elanoma" not in text.replace("melanoma_tl", "").replace("melanoma\\_tl", "")
        assert "benign" not in text
    for drawn in of_bkl.draw_all():
        words = " ".join(text.get_text() for text in drawn.figure.findobj(lambda one: hasattr(one, "get_text")))
        assert "elanoma" not in f"{words} {drawn.alt}", drawn.name
        assert "benign" not in f"{words} {drawn.alt}", drawn.name
    with pytest.raises(ParameterError, match="class_names"):
        MetricsReport.from_scores([0, 1], [0.2, 0.8], class_names=("mel", "mel"))


# -- written, drawn, compared ------------------------------------------------------------------------------------------


def test_the_page_has_card_plots_and_what_is_attached(report, tmp_path):
    groups = report.against_rest["mel"].subgroups({"sex": np.where(np.arange(300) % 2, "female", "male")}, by="sex")
    attached = report.attach("Subgroups of melanoma", groups)
    assert isinstance(attached, MulticlassReport)
    text = attached.save(tmp_path / "report.html", card={"ethics": "Approved by nobody."}).read_text(encoding="utf-8")
    for heading in CARD.values():
        assert f"<dt>{heading}</dt>" in text
    for stated in (
        "Approved by nobody.",
        "Each class against the rest",
        "AUC, mean of the classes",
        "Subgroups of",
    ):
        assert stated in text
    assert text.count("<img") == 7
    with pytest.raises(UnknownNameError, match="Did you mean 'intended_use'"):
        report.save(tmp_path / "other.html", card={"intended_usage": "x"})
    with pytest.raises(ParameterError, match="Only a page"):
        report.save(tmp_path / "other.md", card={})


@pytest.mark.slow
def test_every_figure_is_saved(report, tmp_path):
    names = {"roc", "precision_recall", "calibration", "confusion_matrix", "metrics", "classes", "history"}
    assert {path.stem for path in report.save_figures(tmp_path)} == names
    assert len(report.plot_each("decision_curve").axes) >= 3
    with pytest.raises(UnknownNameError, match="calibration"):
        report.plot_each("calibrations")


def test_the_surest_errors_are_shown(tmp_path):
    for name in "abcd":
        Image.fromarray(draw_images(1)[0]).save(tmp_path / f"{name}.png")
    paths = [tmp_path / f"{name}.png" for name in "abcd"]
    scores = [[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.1, 0.0, 0.9], [0.5, 0.5, 0.0]]
    report = report_on(["bkl", "mel", "mel", "nv"], scores, paths=paths, image_ids=list("abcd"))
    found = report.examples(2)
    assert [(one.image_id, one.score_of, one.score) for one in found["mel"]] == [("c", "nv", 0.9), ("b", "bkl", 0.6)]
    assert found["bkl"] == found["nv"] == []
    assert len(report.plot_examples(2).axes) == 6
    with pytest.raises(ParameterError, match="pass paths"):
        report_on(*draw(60)).examples()


def test_json_follows_its_schema(report):
    folder = files("melanoma_tl.report")
    schemas = {name: json.loads((folder / name).read_text("utf-8")) for name in ("report.schema.json",)}
    registry = Registry().with_resources((name, Resource.from_contents(one)) for name, one in schemas.items())
    schema = json.loads((folder / "multiclass.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema, registry=registry)
    validator.validate(json.loads(report.attach("A note", "text").to_json()))
    assert not validator.is_valid(json.loads(report.to_json()) | {"accuracy": 0.8})
    alone = json.loads(report.against_rest["mel"].to_json())
    assert json.loads(report.to_json())["against_rest"]["mel"].items() <= alone.items()
    jsonschema.Draft202012Validator(schemas["report.schema.json"]).validate(alone)


def test_a_comparison_is_paired_and_finds_the_columns_by_name(report):
    words, scores = draw()
    rng = np.random.default_rng(3)
    worse = 0.4 * scores + 0.6 * rng.dirichlet([1, 1, 1], 300)
    order = rng.permutation(300)[:280]
    other = MulticlassReport.from_scores(
        words[order],
        worse[order][:, [2, 0, 1]],
        classes=("nv", "bkl", "mel"),
        image_ids=[f"i{n}" for n in order],
        n_resamples=200,
    )
    found = report.compare(other, names=("new", "old"))
    kept = np.sort(order)
    first, second = (report_on(words[kept], one[kept]) for one in (scores, worse))
    row = found.differences["balanced_accuracy"]
    assert row.value == pytest.approx(first.balanced_accuracy.value - second.balanced_accuracy.value, abs=1e-12)
    assert row.low < row.value < row.high
    assert found.differences["macro_auc"].value == pytest.approx(first.macro["auc"].value - second.macro["auc"].value)
    of_mel = first.against_rest["mel"].compare(second.against_rest["mel"])
    assert found.against_rest["mel"] == of_mel.differences
    for name in ("auc", "sensitivity"):
        one, other = (report.against_rest["mel"].metrics[name].value for report in (first, second))
        assert (of_mel.differences[name].first, of_mel.differences[name].second) == (one, other)
    assert found.left_out == 20
    right = [one.confusion_matrix.trace() for one in (first, second)]
    assert found.disagreement.only_first - found.disagreement.only_second == right[0] - right[1]
    assert found.differences["accuracy"].p_value == found.disagreement.mid_p
    for text in (str(found), found.to_markdown(), found._repr_html_(), str(report.attach("Both", found))):
        assert "280 images scored by both" in text
        assert "AUC of mel" in text
    frame = found.to_frame()
    assert set(frame["class"]) == {"", *CLASSES}


def test_comparisons_that_cannot_be_made(report):
    words, scores = draw()
    with pytest.raises(ParameterError, match="different classes"):
        report.compare(MulticlassReport.from_scores(words == "mel", scores[:, :2], classes=[False, True]))
    with pytest.raises(ParameterError, match="share no image id"):
        report.compare(report_on(words, scores, image_ids=[f"x{n}" for n in range(300)]))
    with pytest.raises(ParameterError, match="disagree about the label"):
        report.compare(report_on(np.roll(words, 1), scores, image_ids=report.image_ids))
    of_three = report_on(CLASSES, np.eye(3) * 0.7 + 0.1)
    with pytest.raises(DatasetError, match="two images of each class"):
        of_three.compare(of_three)
    with pytest.raises(ParameterError, match="MulticlassReport"):
        report.compare(report.against_rest["mel"])


# -- intervals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [None, np.arange(100)], ids=["images", "patients"])
def test_what_depends_on_the_shares_of_the_classes_is_resampled_with_them(groups):
    """Where everything is called the first class, the accuracy is its share, and varies as a share does."""
    truth = np.repeat([0, 1, 2], [70, 20, 10])
    found = multiclass_metrics(truth, np.tile([0.8, 0.1, 0.1], (100, 1)), n_classes=3, groups=groups)
    low, high = wilson_interval(70, 100)
    assert found.accuracy.high - found.accuracy.low == pytest.approx(high - low, abs=0.03)
    # The accuracies of the classes are p, 1 - q and 1 - r, where p + q + r = 1: their mean is (1 + 2 p) / 3.
    of_mean = found.macro["accuracy"]
    assert of_mean.high - of_mean.low == pytest.approx((high - low) / 3 * 2, abs=0.03)
    assert found.balanced_accuracy.low == found.balanced_accuracy.high == pytest.approx(1 / 3)


def test_patients_are_drawn_whole_in_a_comparison():
    words, scores = draw(60)
    twice = [np.repeat(one, 6, axis=0) for one in (words, scores)]
    rng = np.random.default_rng(1)
    other = np.repeat(0.5 * scores + 0.5 * rng.dirichlet([1, 1, 1], 60), 6, axis=0)
    patients = np.repeat(np.arange(60), 6)
    rows = []
    for groups in (None, patients):
        first, second = (report_on(twice[0], one, groups=groups) for one in (twice[1], other))
        rows.append(first.compare(second).differences["balanced_accuracy"])
    assert rows[1].high - rows[1].low > 1.6 * (rows[0].high - rows[0].low)
    assert rows[1].method == "cluster bootstrap"


@pytest.mark.parametrize("name", ["benign keratosis", "melanoma in situ", "BENIGN", "not melanoma", r"\1 \g<0>"])
def test_a_name_that_holds_a_word_of_the_library_is_kept_whole(name):
    names = (f"not {name}", name)
    assert rename_classes("Melanomas among benign images", names) == f"{name} among not {name} images"


WORDS = st.sampled_from(
    ["benign", "melanoma", "MELANOMAS", "naevus", "not", "\\1", "$x_1$", "(a|b", "невус", "_", "<b>"]
)


@pytest.fixture(scope="module")
def of_two():
    truth = np.arange(60) % 2
    scores = np.clip(np.random.default_rng(0).normal(0.35 + 0.3 * truth, 0.2), 0.01, 0.99)
    return MetricsReport.from_scores(truth, scores, n_resamples=100, class_names=("Q0", "Q1"))


def named(text, first, second):
    return text.replace("Q0", first).replace("Q1", second)


def plots_of(report):
    return report.plot_confusion_matrix(), report.plot_metrics(), report.plot_gain(), report.plot_scores()


@settings(max_examples=6, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4).map(" ".join))
def test_every_text_of_a_plot_has_the_names_once_whatever_they_are(of_two, name):
    names = (f"not {name}", name)
    report = replace(of_two, class_names=names)
    for neutral, drawn in zip(plots_of(of_two), plots_of(report), strict=True):
        short = [in_figure(one, 24) for one in names]
        assert list_texts(drawn.ax_) == [named(text, *short) for text in list_texts(neutral.ax_)]


def test_text_alternatives_have_the_names_once(of_two):
    names = ("not benign keratosis", "benign keratosis")
    report = replace(of_two, class_names=names)
    for neutral, drawn in zip(of_two.draw_all(), report.draw_all(), strict=True):
        assert (drawn.alt, drawn.title) == (named(neutral.alt, *names), named(neutral.title, *names))


def test_a_plot_on_the_axes_of_another_leaves_its_names(of_two):
    first = replace(of_two, class_names=("not benign keratosis", "benign keratosis"))
    second = replace(of_two, class_names=("not naevus", "naevus"))
    alone = list_texts(first.plot_scores().ax_), list_texts(second.plot_scores().ax_)
    both = list_texts(second.plot_scores(first.plot_scores().ax_).ax_)
    assert {text for text in (*alone[0], *alone[1]) if "(n = 30)" in text} == {
        text for text in both if "(n = 30)" in text
    }
