"""Threshold and calibration come from validation images, stay with the model, and never change the order of scores."""

import json
from copy import copy
from dataclasses import replace

import keras
import numpy as np
import pytest
from conftest import draw_images, only_tensorflow
from model_files import edit
from sklearn.base import clone

from melanoma_tl import Balancer, Ensemble, MetricsReport, TransferClassifier
from melanoma_tl.classifier.postprocessing import PostProcessing
from melanoma_tl.errors import (
    DatasetError,
    LeakageWarning,
    ModelFileError,
    NotFittedError,
    ParameterError,
    UnknownNameError,
)
from melanoma_tl.images.fingerprints import Fingerprints
from melanoma_tl.metrics.calibration import Calibration, fit_calibration
from melanoma_tl.metrics.thresholds import choose_threshold
from melanoma_tl.saving.audit import STATE_FILE

VALID = draw_images(30, seed=1)
# Some labels are wrong: scores that separate the classes have no best temperature.
TRUTH = np.arange(30) % 2
TRUTH[[0, 5, 9, 16, 22]] = 1 - TRUTH[[0, 5, 9, 16, 22]]
TEST = draw_images(20, seed=2)


def make(**changes):
    options = {
        "weights": None,
        "epochs": 3,
        "learning_rate": 0.02,
        "trainable_from": "conv1",
        "verbose": 0,
        "precision": "float32",
    }
    return TransferClassifier("tiny", **(options | {"random_state": 0} | changes))


@pytest.fixture(scope="module")
def trained(images, labels):
    return make().fit(images, labels)


@pytest.fixture
def fitted(trained):
    trained._post = PostProcessing()
    yield trained
    trained._post = PostProcessing()


def both_found(threshold, calibration):
    point = replace(choose_threshold([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], youden=True), threshold=threshold)
    images = Fingerprints({"id": np.arange(1, 3, dtype=np.uint64)}, None)
    return PostProcessing().with_operating_point(point, {}, images).with_calibration(calibration, {}, images)


@pytest.mark.parametrize(("threshold", "slope"), [(1 - 1e-6, 3.0), (0.99, 10.0), (0.8, 30.0), (0.5, 1e-12)])
def test_a_threshold_that_calibration_makes_one_with_the_scores_above_it_is_refused(threshold, slope):
    with pytest.raises(
        ParameterError, match=r"the threshold 0\.\d+ cannot be used after calibration: .* the same number"
    ):
        both_found(threshold, Calibration(slope=slope))


@pytest.mark.parametrize("slope", [0.1, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("threshold", [0.0, 1e-12, 1e-6, 0.01, 0.5, 0.99, 0.999, 1 - 1e-4, 1.0])
def test_a_calibrated_threshold_calls_the_same_images_melanoma(threshold, slope):
    post = both_found(threshold, Calibration(slope=slope, intercept=-0.5))
    nearest = np.float32(threshold) + np.spacing(np.float32(max(threshold, 1e-6))) * np.arange(-3, 4, dtype=np.float32)
    scores = np.r_[np.clip(nearest, 0, 1).astype(float), 0, 0.3, 1]
    calibrated = post.calibration.apply(scores)
    assert np.array_equal(calibrated > post.calibrated_point(post.operating_point).threshold, scores > threshold)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "exactly one rule"),
        ({"sensitivity": 90}, "sensitivity must lie between 0 and 1"),
        ({"sensitivity": 1, "assurance": 0.9}, "No number of images assures"),
        ({"sensitivity": 0.9, "assurance": 2}, "assurance must lie between"),
        ({"youden": True, "assurance": 0.9}, "assurance goes with"),
        ({"cost_ratio": -1}, "cost_ratio must be a number above 0"),
        ({"cost_ratio": 20, "prevalence": 2}, "prevalence must lie between"),
    ],
)
def test_a_rule_is_checked_before_an_image_is_read(fitted, rule, message):
    with pytest.raises(ParameterError, match=message):
        fitted.tune_threshold(["no such image.jpg"] * 30, TRUTH, **rule)


def test_the_same_images_are_scored_once(fitted, monkeypatch):
    scored = []

    def count(self, X, *args, score=TransferClassifier._score, **kwargs):
        scored.append(len(X))
        return score(self, X, *args, **kwargs)

    monkeypatch.setattr(TransferClassifier, "_score", count)
    fitted.calibrate(VALID, TRUTH)
    point = fitted.tune_threshold(VALID, TRUTH, youden=True)
    assert scored == [30]
    fitted.tune_threshold(VALID[::-1], TRUTH[::-1], youden=True)
    assert scored == [30, 30], "their order counts"
    assert fitted.operating_point_ == point
    fitted.set_params(tta=2).calibrate(VALID, TRUTH)
    fitted.set_params(tta=1)
    assert scored == [30] * 3, "and so does the number of views"
    weights = fitted.model_.get_weights()
    fitted.model_.set_weights([2 * weight for weight in weights])
    fitted.calibrate(VALID[::-1], TRUTH[::-1])
    fitted.model_.set_weights(weights)
    assert scored == [30] * 4, "and the weights"


def test_calibrated_scores_are_those_of_the_calibration(fitted):
    raw = fitted.predict_proba(VALID)[:, 1]
    found = fitted.calibrate(VALID, TRUTH)
    assert found == fit_calibration(TRUTH, raw, to_prevalence=TRUTH.mean())
    assert found == fitted.calibration_
    calibrated = fitted.predict_proba(VALID)
    assert np.array_equal(calibrated[:, 1], found.apply(raw))
    assert np.allclose(calibrated.sum(axis=1), 1)
    assert np.array_equal(np.argsort(calibrated[:, 1]), np.argsort(raw))
    scaled = fitted.calibrate(VALID, TRUTH, method="temperature")
    assert scaled == fit_calibration(TRUTH, raw, method="temperature", from_prevalence=0.5, to_prevalence=TRUTH.mean())
    with pytest.raises(UnknownNameError, match="Unknown method 'isotonics'"):
        fitted.calibrate(VALID, TRUTH, method="isotonics")


def test_a_stated_prevalence_moves_the_scores(fitted):
    fitted.calibrate(VALID, TRUTH, prevalence=0.02)
    assert fitted.calibration_.to_prevalence == 0.02
    rare = fitted.predict_proba(TEST)[:, 1]
    fitted.calibrate(VALID, TRUTH, prevalence=0.5)
    assert (rare < fitted.predict_proba(TEST)[:, 1]).all()


def test_a_second_calibration_does_not_build_on_the_first(fitted):
    first = fitted.calibrate(VALID, TRUTH)
    assert fitted.calibrate(VALID, TRUTH) == first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 6 / 18),
        ({"balancer": Balancer()}, 0.5),
        ({"class_weight": "balanced"}, 0.5),
        ({"class_weight": {0: 1.0, 1: 4.0}}, 24 / 36),
    ],
    ids=["as it is", "balancer", "balanced", "weights"],
)
def test_the_prevalence_in_training_is_that_in_the_loss(images, labels, changes, expected):
    rows = np.r_[np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:6]]
    classifier = make(epochs=1, **changes).fit(images[rows], labels[rows])
    assert classifier.calibrate(VALID, TRUTH, method="temperature").from_prevalence == pytest.approx(expected)


def test_the_threshold_is_the_one_of_the_rule(fitted):
    point = fitted.tune_threshold(VALID, TRUTH, sensitivity=0.8)
    scores = fitted.predict_proba(VALID)[:, 1]
    assert point == choose_threshold(TRUTH, scores, sensitivity=0.8) == fitted.operating_point_
    assert fitted.threshold == 0.5, "the parameter stays what it was"
    assert fitted.threshold_ == point.threshold
    assert np.array_equal(fitted.predict(VALID), (scores > point.threshold).astype(int))


def test_an_assured_threshold_stays_assured_in_the_model_file_and_in_the_report(fitted, tmp_path):
    point = fitted.tune_threshold(VALID, TRUTH, sensitivity=0.5, assurance=0.8)
    assert point.rule == "sensitivity at least 0.5 with 80 % confidence"
    fitted.save(tmp_path / "model.keras")
    assert TransferClassifier.load(tmp_path / "model.keras").operating_point_ == point
    report = MetricsReport.from_estimator(fitted, TEST, np.arange(20) % 2)
    assert "with 80 % confidence" in " ".join(str(report).split())
    with pytest.raises(DatasetError, match=r"takes 59 melanomas, got"):
        fitted.tune_threshold(VALID, TRUTH, sensitivity=0.95, assurance=0.95)
    assert fitted.operating_point_ == point


def test_calibration_after_the_threshold_changes_no_class(fitted):
    fitted.tune_threshold(VALID, TRUTH, youden=True)
    before, threshold = fitted.predict(TEST), fitted.threshold_
    fitted.calibrate(VALID, TRUTH, prevalence=0.03)
    assert fitted.threshold_ < threshold
    assert np.array_equal(fitted.predict(TEST), before)


def test_the_report_takes_threshold_and_calibration_and_says_where_from(fitted):
    fitted.calibrate(VALID, TRUTH)
    point = fitted.tune_threshold(VALID, TRUTH, sensitivity=0.9)
    report = MetricsReport.from_estimator(fitted, TEST, np.arange(20) % 2)
    assert report.threshold == point.threshold
    assert np.array_equal(report.y_score, fitted.predict_proba(TEST)[:, 1])
    assert report.provenance["operating_point"]["rule"] == "sensitivity at least 0.9"
    assert report.provenance["calibration"]["slope"] == fitted.calibration_.slope
    for text in (str(report), report.to_json()):
        assert "sensitivity at least 0.9" in " ".join(text.split())


def test_a_test_on_the_tuning_images_is_no_test(fitted):
    assert not fitted.seen_images(VALID)
    fitted.tune_threshold(VALID, TRUTH, youden=True)
    assert len(fitted.seen_images(VALID)) == len(VALID)
    with pytest.warns(LeakageWarning, match="30 images"):
        MetricsReport.from_estimator(fitted, VALID, TRUTH)
    assert not fitted.seen_images(TEST)


def test_tuning_on_training_images_warns(fitted, images, labels):
    with pytest.warns(LeakageWarning, match="too good to tune by"):
        fitted.tune_threshold(images, labels, youden=True)


def test_unreadable_images_are_left_out(trained, dataset, tmp_path):
    (tmp_path / "empty.png").touch()
    trained.on_error = "skip"
    try:
        with pytest.warns(LeakageWarning):
            point = trained.tune_threshold([*dataset.paths, tmp_path / "empty.png"], [*dataset.labels, 1], youden=True)
    finally:
        trained.on_error = "raise"
        trained._post = PostProcessing()
    assert point.counts.n == len(dataset)


def test_what_was_not_tuned_is_not_there(fitted):
    for name in ("calibration_", "operating_point_"):
        assert not hasattr(fitted, name)
        with pytest.raises(NotFittedError, match="with validation images"):
            getattr(fitted, name)
    assert fitted.threshold_ == 0.5


@pytest.mark.parametrize("threshold", [50, float("nan"), None, "0.5"])
def test_a_threshold_that_is_set_later_is_checked(fitted, threshold):
    fitted.threshold = threshold
    try:
        for use in (fitted.predict, lambda images: MetricsReport.from_estimator(fitted, images, TRUTH)):
            with pytest.raises(ParameterError, match="threshold must be a number from 0 to 1, got"):
                use(VALID)
    finally:
        fitted.threshold = 0.5


def test_fitting_anew_and_cloning_forget(images, labels):
    classifier = make(epochs=1).fit(images, labels)
    classifier.calibrate(VALID, TRUTH)
    classifier.tune_threshold(VALID, TRUTH, youden=True)
    assert not hasattr(clone(classifier), "operating_point_")
    classifier.fit(images, labels)
    assert not hasattr(classifier, "calibration_")
    assert classifier.threshold_ == 0.5
    assert not classifier.seen_images(VALID)


def test_mistakes_get_an_answer(fitted):
    with pytest.raises(NotFittedError):
        make().calibrate(VALID, TRUTH)
    with pytest.raises(DatasetError, match="no labels"):
        fitted.tune_threshold(VALID, youden=True)
    with pytest.raises(UnknownNameError, match="Unknown class 2"):
        fitted.calibrate(VALID, TRUTH + 1)
    with pytest.raises(ParameterError, match="exactly one rule"):
        fitted.tune_threshold(VALID, TRUTH)
    with pytest.raises(ParameterError, match="prevalence must be a number between 0 and 1"):
        fitted.calibrate(VALID, TRUTH, prevalence=2)
    with pytest.raises(DatasetError, match="class"):
        fitted.calibrate(VALID, np.zeros(30, int))
    assert not hasattr(fitted, "calibration_"), "a failed call leaves nothing behind"


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tuned(fitted):
    fitted.calibrate(VALID, TRUTH, prevalence=0.1)
    fitted.tune_threshold(VALID, TRUTH, sensitivity=0.9)
    return fitted


def test_a_saved_model_keeps_both(tuned, tmp_path):
    tuned.save(tmp_path / "model.keras")
    loaded = TransferClassifier.load(tmp_path / "model.keras")
    assert loaded.calibration_ == tuned.calibration_
    assert loaded.operating_point_ == tuned.operating_point_
    assert np.allclose(loaded.predict_proba(TEST), tuned.predict_proba(TEST), atol=1e-6)
    assert np.array_equal(loaded.predict(TEST), tuned.predict(TEST))
    assert len(loaded.seen_images(VALID)) == len(VALID)


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 3])
def test_plain_keras_gives_calibrated_scores_too(tuned, images, tmp_path, n_classes):
    """The graph in the file holds the calibration; what is loaded has the network, and the calibration beside it."""
    if n_classes == 3:
        tuned = make(epochs=1).fit(images, np.array(["melanoma", "nevus", "bcc"] * 8))
    tuned.set_params(precision="float32").save(tmp_path / "model.keras")
    small = images[:4, :32, :32]
    plain = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    scores = tuned.predict_proba(small)
    found = plain.predict_on_batch(small.astype("float32"))
    np.testing.assert_allclose(found, scores[:, 1:] if n_classes == 2 else scores, atol=1e-6)
    loaded = TransferClassifier.load(tmp_path / "model.keras").set_params(verbose=0)
    assert loaded.model_.name == tuned.model_.name
    assert [layer.name for layer in loaded.model_.layers] == [layer.name for layer in tuned.model_.layers]
    for one, other in zip(loaded.model_.get_weights(), tuned.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(loaded.predict_proba(small), scores)
    loaded.save(tmp_path / "again.keras")
    np.testing.assert_array_equal(TransferClassifier.load(tmp_path / "again.keras").predict_proba(small), scores)


def test_a_file_of_before_there_was_tuning_loads(tuned, tmp_path):
    tuned.save(tmp_path / "model.keras")
    edit(tmp_path / "model.keras", STATE_FILE, lambda state: state.pop("tuning"))
    loaded = TransferClassifier.load(tmp_path / "model.keras")
    assert not hasattr(loaded, "calibration_")
    assert loaded.threshold_ == 0.5


@pytest.mark.parametrize(
    "part",
    [
        {"calibration": {"slope": -1}},
        {"calibration": {"slope": 1, "intercept": "low"}},
        {"calibration": {"slope": 1, "unknown": 2}},
        {"operating_point": {"threshold": "high"}},
        {"operating_point": {"threshold": 7, "rule": "", "confidence": 0.95, "confusion_matrix": {}}},
        {"fingerprints": {"bytes": "not base64"}},
    ],
    ids=str,
)
def test_a_spoiled_file_is_refused(tuned, tmp_path, part):
    path = tmp_path / "model.keras"
    tuned.save(path)
    edit(path, STATE_FILE, lambda state: state["tuning"].update(part))
    with pytest.raises(ModelFileError, match=r"model\.keras"):
        TransferClassifier.load(path)


@only_tensorflow
def test_an_exported_model_gives_calibrated_scores(tuned, tmp_path):
    exported = tuned.export(tmp_path / "model")
    size = tuned.model_.inputs[0].shape[1:3]
    layer = keras.layers.TFSMLayer(str(exported.path), call_endpoint="serve")
    images = draw_images(6, side=size[0], seed=5)
    scores = keras.ops.convert_to_numpy(layer(images.astype("float32")))[:, 0]
    assert np.allclose(scores, tuned.predict_proba(images)[:, 1], atol=1e-6)
    document = json.loads((tmp_path / "model.json").read_text())
    assert document["threshold"] == tuned.threshold_
    assert document["calibration"]["intercept"] == tuned.calibration_.intercept
    assert document["operating_point"]["rule"] == "sensitivity at least 0.9"


# -- ensembles ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_ensemble_is_tuned_as_a_whole_and_kept(images, labels, tmp_path):
    ensemble = Ensemble([make(epochs=1, random_state=seed).fit(images, labels) for seed in range(2)], verbose=0)
    raw = ensemble.predict_proba(TEST)[:, 1]
    ensemble.calibrate(VALID, TRUTH, prevalence=0.2)
    ensemble.tune_threshold(VALID, TRUTH, specificity=0.7)
    assert np.allclose(ensemble.predict_proba(TEST)[:, 1], ensemble.calibration_.apply(raw))
    ensemble.save(tmp_path / "ensemble.zip")
    loaded = Ensemble.load(tmp_path / "ensemble.zip")
    assert loaded.operating_point_ == ensemble.operating_point_
    assert loaded.calibration_ == ensemble.calibration_
    assert np.array_equal(loaded.predict(TEST), ensemble.predict(TEST))
    assert len(loaded.seen_images(VALID)) == len(VALID)


def test_an_ensemble_knows_what_its_members_were_tuned_on(images, labels):
    member = make(epochs=1).fit(images, labels)
    member.tune_threshold(VALID, TRUTH, youden=True)
    assert len(Ensemble([member], verbose=0).seen_images(VALID)) == len(VALID)


def test_members_that_are_calibrated_count_at_their_prevalence(images, labels):
    members = [make(epochs=1, random_state=seed).fit(images, labels) for seed in range(2)]
    for member, prevalence in zip(members, (0.1, 0.3), strict=True):
        member._post = PostProcessing(calibration=Calibration(1.0, 0.0, 0.5, prevalence))
    found = Ensemble(members, verbose=0).calibrate(VALID, TRUTH, method="temperature")
    assert found.from_prevalence == pytest.approx(0.2)


def test_ranks_cannot_be_calibrated_but_have_thresholds(images, labels):
    ensemble = Ensemble([make(epochs=1).fit(images, labels)], combine="rank", verbose=0).set_reference(TEST)
    with pytest.raises(ParameterError, match="ranks are no probabilities"):
        ensemble.calibrate(VALID, TRUTH)
    assert ensemble.tune_threshold(VALID, TRUTH, youden=True).threshold == ensemble.threshold_


# -- what was tuned holds for scores that come about as those did ------------------------------------------------------


def tune(clf, what):
    getattr(clf, what)(VALID, TRUTH, **({"youden": True} if what == "tune_threshold" else {}))
    return clf


def anew(trained, **changes):
    return copy(trained).set_params(**changes)


@pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")
@pytest.mark.parametrize("saved", [False, True])
def test_a_threshold_of_other_views_is_refused(trained, saved, tmp_path):
    clf = tune(anew(trained, tta=4), "tune_threshold")
    found = clf.threshold_
    if saved:
        clf.save(tmp_path / "model.keras")
        clf = TransferClassifier.load(tmp_path / "model.keras")
        assert clf.threshold_ == found
    clf.set_params(tta=1)
    for use in (
        lambda: clf.threshold_,
        lambda: clf.predict(TEST),
        lambda: clf.operating_point_,
        lambda: MetricsReport.from_estimator(clf, VALID, TRUTH),
        lambda: clf.save(tmp_path / "other.keras"),
    ):
        with pytest.raises(ParameterError, match=r"the threshold was found with tta=4, and now is 1.*tune_threshold"):
            use()
    assert np.isfinite(clf.predict_proba(TEST)).all(), "scores need no threshold"
    assert clf.set_params(tta=4).threshold_ == found
    assert tune(clf.set_params(tta=2), "tune_threshold").predict(TEST) is not None


@pytest.mark.parametrize("saved", [False, True])
def test_a_calibration_of_other_views_is_refused(trained, saved, tmp_path):
    clf = tune(anew(trained, tta=1), "calibrate")
    expected = clf.predict_proba(TEST)
    if saved:
        clf.save(tmp_path / "model.keras")
        clf = TransferClassifier.load(tmp_path / "model.keras")
    for use in (
        lambda: clf.predict_proba(TEST, tta=4),
        lambda: anew(clf, tta=4).predict_proba(TEST),
        lambda: anew(clf, tta=4).predict(TEST),
        lambda: anew(clf, tta=4).export(tmp_path / "exported"),
    ):
        with pytest.raises(ParameterError, match=r"the calibration was found with tta=1, and now is 4.*call calibrate"):
            use()
    assert np.array_equal(clf.predict_proba(TEST, tta=1), expected)
    assert tune(anew(clf, tta=4), "calibrate").predict_proba(TEST).shape == expected.shape


def test_another_precision_than_that_of_tuning_is_warned_of(trained, tmp_path):
    clf = tune(tune(anew(trained, precision="bfloat16"), "calibrate"), "tune_threshold")
    clf.save(tmp_path / "model.keras")
    clf = TransferClassifier.load(tmp_path / "model.keras").set_params(precision="float32")
    changed = "found in bfloat16; this model computes in float32"
    expected = {
        f"the calibration was {changed}: call calibrate with validation images again",
        f"the threshold was {changed}: call tune_threshold with validation images again",
    }
    uses = [lambda: clf.predict(TEST)]
    if keras.backend.backend() == "tensorflow":
        uses.append(lambda: clf.export(tmp_path / "exported"))
    for use in uses:
        with pytest.warns(UserWarning, match=changed) as warned:
            use()
        assert {str(warning.message) for warning in warned} == expected
    tune(tune(clf, "calibrate"), "tune_threshold").predict(TEST)


@pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")
@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_a_threshold_that_is_set_after_tuning_holds(trained, threshold, tmp_path):
    clf = tune(anew(trained), "tune_threshold")
    assert clf.threshold_ != threshold
    clf.set_params(threshold=threshold).save(tmp_path / "model.keras")
    for one in (clf, TransferClassifier.load(tmp_path / "model.keras")):
        assert one.threshold_ == threshold
        assert not hasattr(one, "operating_point_")
        report = MetricsReport.from_estimator(one, VALID, TRUTH)
        assert report.threshold == threshold
        assert "which was not tuned" in report.rule
    tune(clf, "tune_threshold")
    assert clf.threshold_ == clf.operating_point_.threshold


@pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")
def test_a_threshold_of_other_views_is_no_obstacle_to_a_report_at_another(trained):
    clf = tune(anew(trained, tta=1), "tune_threshold").set_params(tta=4)
    report = MetricsReport.from_estimator(clf, VALID, TRUTH, threshold=0.3)
    assert report.threshold == 0.3
    assert "operating_point" not in report.provenance


def test_threshold_and_calibration_of_different_views_do_not_go_together(trained):
    clf = tune(anew(trained, tta=1), "calibrate")
    with pytest.raises(ParameterError, match="the calibration was found with tta=1"):
        tune(clf.set_params(tta=4), "tune_threshold")
    assert clf.threshold_ == clf.threshold, "nothing was tuned"
    clf = tune(tune(clf, "calibrate"), "tune_threshold")
    tune(clf.set_params(tta=2), "calibrate")
    with pytest.raises(ParameterError, match="the threshold was found with tta=4, and now is 2"):
        clf.predict(TEST)


MEMBERS = {
    "views of a member": lambda ensemble: ensemble.members_[0].set_params(tta=4),
    "combine": lambda ensemble: ensemble.set_params(combine="mean"),
    "reference": lambda ensemble: ensemble.set_reference(TEST),
    "calibration of a member": lambda ensemble: tune(ensemble.members_[1], "calibrate"),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", MEMBERS)
def test_a_threshold_of_an_ensemble_that_scores_otherwise_is_refused(trained, change, tmp_path):
    ensemble = Ensemble([anew(trained), anew(trained, tta=2)], combine="rank").set_reference(VALID)
    tune(ensemble, "tune_threshold").save(tmp_path / "ensemble.zip")
    loaded = Ensemble.load(tmp_path / "ensemble.zip")
    assert loaded.threshold_ == ensemble.threshold_
    for one in (ensemble, loaded):
        MEMBERS[change](one)
        with pytest.raises(ParameterError, match=r"the threshold was found with .*tune_threshold"):
            one.predict(TEST)
