"""What a report says against its own metrics, and of its images and threshold, is what was found and nothing else."""

import numpy as np
import pandas as pd
import pytest
from conftest import draw_images
from drawn_scores import simulate
from scipy.special import expit
from scipy.stats import norm

from melanoma_tl import ISBIDataset, MetricsReport, TransferClassifier
from melanoma_tl.classifier.postprocessing import PostProcessing
from melanoma_tl.errors import LeakageWarning
from melanoma_tl.metrics.metric import Metric, describe
from melanoma_tl.report.card import fill_card
from melanoma_tl.report.concerns import _beyond_chance, list_concerns
from melanoma_tl.report.provenance import tell_origin

NOTHING = "Nothing was found that speaks against these metrics"


def calibrated(n=600, seed=0, slope=1.0, shift=0.0):
    """Labels and scores that are probabilities, before they are spoiled."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1.5, 2.0, n)
    truth = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    return truth, 1 / (1 + np.exp(-(slope * odds + shift)))


def report_on(truth, scores, point=None, **options):
    """A report; with the operating point of a classifier, as `from_estimator` keeps it."""
    report = MetricsReport.from_scores(truth, scores, n_resamples=200, **options)
    if point:
        report.provenance["operating_point"] = point
    return report


def test_nothing_to_say_is_said_with_what_was_looked_at():
    (said,) = list_concerns(report_on(*calibrated()))
    assert said.startswith(NOTHING)
    for looked_at in ("each class is predicted", "AUC is above chance", "number of images", "calibration"):
        assert looked_at in said
    for unknown in ("fitted or tuned with", "target", "how the images were chosen", "attached"):
        assert unknown not in said


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (calibrated(shift=2)[1], "too high on the whole (calibration intercept -"),
        (calibrated(shift=-2)[1], "too low on the whole (calibration intercept 1."),
        (calibrated(slope=3)[1], "too extreme (calibration slope 0.2"),
        (calibrated(slope=0.3)[1], "too moderate (calibration slope 2."),
        (0.4 * calibrated()[1], "EVERY IMAGE IS PREDICTED BENIGN"),
        (0.6 + 0.4 * calibrated()[1], "EVERY IMAGE IS PREDICTED MELANOMA"),
        (1 - calibrated()[1], "WORSE THAN CHANCE: the AUC is 0.1"),
        (np.random.default_rng(0).random(600), "The scores may be no better than chance: the AUC is 0."),
    ],
    ids=["high", "low", "extreme", "moderate", "all benign", "all melanoma", "turned", "noise"],
)
def test_what_is_wrong_with_scores_is_said_first(scores, said):
    report = report_on(calibrated()[0], scores)
    concerns = list_concerns(report)
    assert any(said in concern for concern in concerns), concerns
    assert not any(NOTHING in concern for concern in concerns)
    text = " ".join(str(report).split())
    assert text.index(said) < text.index("600 images:")
    for page in (report.to_markdown(), report._repr_html_()):
        assert said.replace("<", "&lt;") in page


def test_predictions_that_chance_explains_although_the_scores_are_better():
    truth = np.repeat([1, 0], [14, 30])
    scores = np.concatenate([np.linspace(0.6, 0.9, 14), np.linspace(0.51, 0.7, 27), [0.2, 0.3, 0.4]])
    report = report_on(truth, scores)
    (said,) = (concern for concern in list_concerns(report) if "chance" in concern)
    balanced = describe(report.metrics["balanced_accuracy"], 0.95)
    assert balanced.startswith("0.550 (95 % CI 0.437-")
    assert said == (
        f"The predictions may be no better than chance: the balanced accuracy is {balanced}; the AUC is above chance, "
        "so that another threshold, chosen on validation images, can help"
    )
    (said,) = (one for one in list_concerns(MetricsReport.from_confusion(27, 27, 5, 5)) if "chance" in one)
    assert said.endswith("n = 64, few)")
    (said,) = (one for one in list_concerns(MetricsReport.from_confusion(20, 80, 80, 20)) if "chance" in one)
    assert said.startswith("The predictions are worse than chance: the balanced accuracy is 0.200 ")
    noise = report_on(calibrated()[0], np.random.default_rng(0).random(600))
    assert not any("The predictions" in concern for concern in list_concerns(noise)), "the AUC says it already"
    assert not any("The predictions" in concern for concern in list_concerns(report_on(truth, scores / 2)))


def test_patients_of_two_sexes_are_told(dataset):
    known = pd.DataFrame({"patient_id": np.arange(40) // 2, "sex": ["male"] * 40})
    known.loc[[1, 3], "sex"] = "female"
    twofold = ISBIDataset(dataset.image_ids, dataset.paths, dataset.labels, metadata=known)
    report = tell_origin(report_on(*calibrated(40)), None, twofold, None)
    assert report.provenance["test_data"]["patients_of_two_sexes"] == 2
    (said,) = (one for one in list_concerns(report) if "CONTRADICT THEMSELVES" in one)
    assert said.startswith("PATIENTS CONTRADICT THEMSELVES: 2 patients are female in some images and male in others")
    whole = tell_origin(report_on(*calibrated(40)), None, dataset, None)
    assert "CONTRADICT" not in str(whole)


def test_few_images_and_intervals_without_width():
    concerns = list_concerns(report_on([0] * 20 + [1] * 4, [0.1] * 20 + [0.9] * 4))
    assert any(concern.startswith("Too few to judge by: only 4 melanoma") for concern in concerns)
    assert concerns[-1].startswith("An interval without width does not mean certainty")


@pytest.mark.parametrize(
    ("aim", "start"),
    [
        (0.95, "TARGET MISSED: the threshold was chosen for a sensitivity of at least 0.95; here it is 0.5"),
        (0.6, "Target not reached, which may be chance: the threshold was chosen for a sensitivity of at least 0.6"),
        (0.5, None),
    ],
)
def test_a_target_that_was_missed(aim, start):
    truth, scores = calibrated(200)
    report = report_on(truth, scores, {"rule": f"sensitivity at least {aim:g}"})
    reached = report.metrics["sensitivity"]
    assert 0.5 < reached.value < 0.6 < reached.high < 0.95
    found = [concern for concern in list_concerns(report) if "was chosen for" in concern]
    assert [concern.startswith(start) for concern in found] == ([True] if start else []), found


def test_a_rule_without_target_has_nothing_to_miss():
    report = report_on(*calibrated(), {"rule": "highest Youden index"})
    assert "target" not in list_concerns(report)[0]


def test_leakage_comes_before_everything():
    report = report_on(*simulate(4, 30))
    report.provenance["seen_by_the_model"] = {"images": 3, "by": {"id": 0, "bytes": 3}}
    leak = "LEAKAGE: the model was fitted or tuned with a counterpart of 3 images (3 by bytes)"
    assert list_concerns(report)[0] == leak


@pytest.mark.parametrize(
    ("roles", "done", "told"),
    [
        ({"training": 3}, "fitted", "3 of training"),
        ({"validation": 3}, "fitted", "3 of validation"),
        ({"tuning": 3}, "tuned", "3 of tuning"),
        (
            {"training": 1, "validation": 1, "tuning": 2},
            "fitted or tuned",
            "1 of training, 1 of validation, 2 of tuning",
        ),
    ],
)
def test_what_a_model_was_only_tuned_with_it_was_not_fitted_with(roles, done, told):
    report = report_on(*simulate(4, 30))
    report.provenance["seen_by_the_model"] = {"images": 3, "by": {"id": 3}, "role": roles}
    leak = f"LEAKAGE: the model was {done} with a counterpart of 3 images (3 by id; {told})"
    assert list_concerns(report)[0] == leak
    card = {entry.heading: entry.text for entry in fill_card(report, {})}
    independence = f"3 test images have a counterpart among those the model was {done} with."
    assert independence in card["Independence of training and test images"]


# -- what a dataset remembers ------------------------------------------------------------------------------------------


@pytest.fixture
def dataset(tmp_path):
    from PIL import Image

    names = []
    for number, image in enumerate(draw_images(40, seed=3)):
        names.append(str(tmp_path / f"i{number}.png"))
        Image.fromarray(image).save(names[-1])
    return ISBIDataset([f"i{n}" for n in range(40)], names, [0, 0, 0, 1] * 10, name="mine")


def test_every_choice_is_remembered(dataset):
    other = ISBIDataset(["i3", "x"], None, [1, 0], name="other")
    verified = dataset.verify(verbose=0)
    overlap = dataset.overlap(other, by="id")
    cases = {
        "[:30]: 30 of 40": dataset[:30],
        "[mask]: 10 of 40": dataset[dataset.labels == 1],
        "[positions]: 3 of 40": dataset[[3, 4, 5]],
        "first(20): 20 of 40": dataset.first(20),
        "first(per_class=5): 10 of 40": dataset.first(per_class=5),
        "sample(20, random_state=1): 20 of 40": dataset.sample(20, random_state=1),
        "sample(per_class={'melanoma': 4}, random_state=None): 4 of 40": dataset.sample(per_class={"melanoma": 4}),
        "without what mine and other share (compared by id): 39 of 40": overlap.remove_from(dataset),
        "without unreadable, blank, label conflict, duplicate: 40 of 40": verified.remove_from(dataset),
        "test of split(0.25, groups=None, stratify=True, random_state=0): 10 of 40": dataset.split(
            0.25, groups=None, random_state=0, verbose=0
        )[1],
        "fold 1 of folds(4, groups of the user's, stratify=True, random_state=0): 10 of 40": dataset.folds(
            4, groups=range(40), random_state=0, verbose=0
        )[0][1],
        "without scars: 2 of 40": dataset.keep([1, 2], "without scars"),
    }
    for step, part in cases.items():
        assert [str(one) for one in part.history] == ["read mine: 40 of 40", step]
        assert part.history[-1].sets_prevalence == ("per_class" in step or step.startswith("[mask]"))
    even = [*np.flatnonzero(dataset.labels == 1), *np.flatnonzero(dataset.labels == 0)[:6]]
    assert dataset[even].history[-1].sets_prevalence, "whatever it was chosen by"
    assert not dataset.sample(per_class={0: 15, 1: 5}).history[-1].sets_prevalence, "the share is what it was"
    twice = dataset[:30].sample(10, random_state=0)
    assert [step.n_after for step in twice.history] == [40, 30, 10]


def test_a_dataset_that_is_put_together_remembers_its_parts(dataset):
    other = ISBIDataset(["x", "y"], ["x.png", "y.png"], [1, 0], name="other", skipped=[("z", "z.png", "gone")])
    together = dataset[:5] + other
    assert [str(step) for step in together.history] == [
        "read mine: 40 of 40",
        "[:5]: 5 of 40",
        "read other: 2 of 3",
        "put together as mine + other: 7 of 7",
    ]


def test_resized_images_remember_where_they_are_from(dataset, tmp_path):
    resized = dataset[:6].resize_to(tmp_path / "small", size=(16, 16), verbose=0)
    assert [str(step) for step in resized.history][1:] == ["[:6]: 6 of 40", "resized to (16, 16): 6 of 6"]


# -- what the card says ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classifier(images, labels):
    options = {"weights": None, "epochs": 3, "learning_rate": 0.02, "trainable_from": "conv1", "verbose": 0}
    return TransferClassifier("tiny", **options, random_state=0).fit(images, labels)


def card_of(report):
    return " ".join(entry.text for entry in fill_card(report, {}))


def test_the_card_says_how_the_images_were_chosen(classifier, dataset):
    chosen = dataset.sample(per_class=8, random_state=0)
    report = MetricsReport.from_estimator(classifier, chosen, n_resamples=100)
    said = "read mine: 40 of 40; sample(per_class=8, random_state=0): 16 of 40. Each has a score."
    assert said in card_of(report)
    assert any(
        concern == "The share of melanomas was set by how the images were chosen, and is not that of the source: "
        "sample(per_class=8, random_state=0)"
        for concern in list_concerns(report)
    )
    whole = MetricsReport.from_estimator(classifier, dataset, n_resamples=100)
    assert not any("was set by" in concern for concern in list_concerns(whole))
    assert "No image was left out" not in card_of(whole)
    unknown = MetricsReport.from_scores([0, 1], [0.2, 0.8], n_resamples=100)
    assert "How the images were chosen is not known to the report." in card_of(unknown)


def test_the_card_says_where_the_threshold_is_from(classifier, dataset):
    untuned = MetricsReport.from_estimator(classifier, dataset, n_resamples=100)
    assert "above 0.5, the classifier's parameter, which was not tuned." in card_of(untuned)
    valid, truth = draw_images(30, seed=9), np.arange(30) % 2
    point = classifier.tune_threshold(valid, truth, youden=True)
    tuned = MetricsReport.from_estimator(classifier, dataset, n_resamples=100)
    assert f"above {point.threshold:.4g}, chosen on 30 images with tune_threshold, by the rule: highest" in card_of(
        tuned
    )
    given = MetricsReport.from_estimator(classifier, dataset, threshold=0.91, n_resamples=100)
    classifier._post = PostProcessing()
    for report in (given, MetricsReport.from_scores([0, 1], [0.2, 0.8], threshold=0.91, n_resamples=100)):
        assert "above 0.91, given to the report, which does not know how it was chosen." in card_of(report)
        assert "highest Youden index" not in report.to_json()


def test_the_card_names_what_was_compared(classifier, dataset, images, labels):
    report = MetricsReport.from_estimator(classifier, dataset, n_resamples=100)
    compared = ", ".join(classifier.seen_images(dataset).kinds)
    assert "patient" not in compared
    assert f"among those the model was fitted or tuned with; compared by {compared}." in card_of(report)
    with pytest.warns(LeakageWarning):
        seen = MetricsReport.from_estimator(classifier, images, labels, n_resamples=100)
    assert f"{len(images)} test images have a counterpart among those the model was fitted with." in card_of(seen)
    assert list_concerns(seen)[0].startswith("LEAKAGE")


def calibration_words(n_sets, n):
    """How often calibrated scores are said to be no probabilities."""
    rng, said = np.random.default_rng(0), 0
    for _ in range(n_sets):
        scores = expit(rng.normal(-1.2, 1.2, n))
        report = report_on((rng.random(n) < scores).astype(int), scores)
        said += any("no probabilities" in one for one in list_concerns(report))
    return said / n_sets


@pytest.mark.slow
def test_calibrated_scores_are_seldom_called_no_probabilities():
    # Intercept and slope at 5 % each said so of 9.8 % of calibrated sets.
    assert calibration_words(400, 400) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize(
    ("z", "found"),
    [
        ({"a": 1.99, "b": 1.0}, set()),  # p = 0.047, which is not below 0.025
        ({"a": 2.3, "b": 1.0}, {"a"}),
        ({"a": 2.3, "b": 1.97}, {"a", "b"}),
        ({"a": 2.3, "b": 1.97, "c": 0.0}, set()),  # of three tests the first must be below 0.0167
        ({"a": 2.5, "b": 1.97, "c": 0.0}, {"a"}),
        ({"a": 1.97, "b": np.nan}, {"a"}),  # what is undefined is no test
    ],
)
def test_holm_agrees_with_statsmodels(z, found):
    from statsmodels.stats.multitest import multipletests

    metrics = {
        name: (Metric(1 + value, value - 0.96, value + 2.96, 9, "robust wald"), 1.0) for name, value in z.items()
    }
    assert _beyond_chance(metrics, 1 - 2 * norm.sf(1.96)) == found
    values = {name: 2 * norm.sf(value) for name, value in z.items() if not np.isnan(value)}
    rejected = multipletests(list(values.values()), 0.05, "holm")[0]
    assert {name for name, yes in zip(values, rejected, strict=True) if yes} == found


def test_predicted_classes_given_as_scores_are_pointed_out():
    truth = np.arange(60) % 2
    predicted = np.where(np.arange(60) % 7 == 0, 1 - truth, truth)
    said = "THE SCORES HAVE TWO VALUES ONLY, 0 and 1, as predict gives them: pass predict_proba(X)[:, 1]"
    assert said in list_concerns(MetricsReport.from_scores(truth, predicted, n_resamples=100))
    assert said in str(MetricsReport.from_scores(truth, predicted, n_resamples=100)).replace("\n      ", " ")
    graded = np.where(predicted, 0.9, 0.1)
    assert said not in list_concerns(MetricsReport.from_scores(truth, graded, n_resamples=100))
