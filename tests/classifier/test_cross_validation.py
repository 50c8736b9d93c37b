import re
import warnings

import numpy as np
import pandas as pd
import pytest
from model_files import edit
from PIL import Image
from sklearn.metrics import roc_auc_score

from melanoma_tl import Ensemble, ISBIDataset, TransferClassifier, cross_validate
from melanoma_tl.classifier.members import rank_among
from melanoma_tl.errors import (
    DatasetError,
    ImageError,
    LeakageWarning,
    NotFittedError,
    ParameterError,
    UnknownNameError,
)
from melanoma_tl.images.image_lists import Part
from melanoma_tl.images.loading import name_of, open_source
from melanoma_tl.saving.audit import ENSEMBLE_FILE as STATE_FILE

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")


def make(**changes):
    options = {"weights": None, "trainable_from": "conv1", "learning_rate": 0.02, "epochs": 2, "verbose": 0}
    return TransferClassifier("tiny", **(options | {"random_state": 0} | changes))


@pytest.fixture(scope="module")
def patients(dataset):
    """The drawn images as those of twelve patients, two each."""
    metadata = pd.DataFrame({"patient_id": [f"P{row // 2}" for row in range(len(dataset))]})
    return ISBIDataset(dataset.image_ids, dataset.paths, dataset.labels, name="patients", metadata=metadata)


@pytest.fixture(scope="module")
def ensemble(patients):
    return cross_validate(make(threshold=0.4), patients, folds=3, verbose=0)


# -- folds --


def test_every_image_is_scored_by_the_member_that_has_not_seen_it(ensemble, patients):
    assert isinstance(ensemble, Ensemble)
    assert ensemble.out_of_fold_scores_.shape == ensemble.folds_.shape == (24,)
    for fold, member in enumerate(ensemble.members_):
        held_out = patients[ensemble.folds_ == fold]
        assert np.allclose(
            ensemble.out_of_fold_scores_[ensemble.folds_ == fold], member.predict_proba(held_out)[:, 1], atol=1e-6
        )
        assert not member.seen_images(held_out)
        assert len(member.seen_images(patients)) == 24 - len(held_out)


def test_training_data_are_the_images_of_all_folds(ensemble, tmp_path):
    told = {"name": "patients", "counts": {"benign": 12, "melanoma": 12}, "skipped": 0, "folds": 3}
    assert ensemble.provenance_["training_data"] == told
    assert "patients: 24 images (12 benign, 12 melanoma) in 3 folds" in ensemble._html_repr()
    ensemble.save(tmp_path / "ensemble.zip")
    assert Ensemble.load(tmp_path / "ensemble.zip").provenance_["training_data"] == told


def test_folds_are_stratified(ensemble, patients):
    assert [patients.labels[ensemble.folds_ == fold].tolist().count(1) for fold in range(3)] == [4, 4, 4]


def test_no_patient_is_divided(ensemble, patients):
    for patient in set(patients.metadata["patient_id"]):
        assert len(set(ensemble.folds_[patients.metadata["patient_id"] == patient])) == 1


@pytest.mark.slow
def test_near_duplicates_and_groups_of_ones_own_are_not_divided(dataset, tmp_path):
    paths, labels = list(dataset.paths[:16]), list(dataset.labels[:16])
    for row in range(4):  # the first four again, smaller
        paths.append(str(tmp_path / f"{row}.png"))
        Image.open(paths[row]).resize((36, 36)).save(paths[-1])
        labels.append(labels[row])
    groups = [*"aabbccddeeffgghh", None, None, None, None]
    folds = cross_validate(make(epochs=1), paths, labels, folds=2, groups=groups, verbose=0).folds_
    assert np.array_equal(folds[16:], folds[:4])
    assert np.array_equal(folds[:16:2], folds[1:16:2])


@pytest.mark.slow
def test_the_seed_decides(patients):
    models = [
        cross_validate(make(random_state=of_classifier, epochs=1), patients, folds=2, random_state=seed, verbose=0)
        for of_classifier, seed in ((5, None), (0, 5), (5, 1))
    ]
    assert np.array_equal(models[0].folds_, models[1].folds_), "the seed of the classifier, unless another is given"
    assert np.allclose(models[0].out_of_fold_scores_, models[1].out_of_fold_scores_, atol=1e-5)
    assert not np.array_equal(models[0].folds_, models[2].folds_)
    assert len({member.random_state for model in models for member in model.members_}) == 4


# -- what training watches --


def test_nothing_is_watched_unless_asked_for(ensemble):
    assert all(member.fingerprints_.keys() == {"training"} for member in ensemble.members_)
    assert all(len(member.history_["loss"]) == 2 for member in ensemble.members_)


@pytest.mark.slow
@pytest.mark.parametrize(("validation", "n_training"), [("next_fold", 8), ("held_out", 16)])
def test_what_is_watched_is_not_trained_on(patients, validation, n_training):
    model = cross_validate(
        make(epochs=4, early_stopping=1), patients, folds=3, validation=validation, random_state=0, verbose=0
    )
    for fold, member in enumerate(model.members_):
        watched = (fold + (validation == "next_fold")) % 3
        assert len(member.fingerprints_["training"]) == n_training
        assert len(member.fingerprints_["validation"]) == 8
        seen = member.seen_images(patients).to_frame().set_index("left_id")["right_id"]
        assert set(seen[patients.image_ids[model.folds_ == watched]].str.split().str[0]) == {"validation"}
        assert bool(member.seen_images(patients[model.folds_ == fold])) == (validation == "held_out")
    told = " ".join(str(model.out_of_fold_report(n_resamples=100)).split())
    assert ("metrics are too good" in told) == (validation == "held_out")


def test_stopping_early_needs_something_to_watch(patients):
    with pytest.raises(ParameterError, match="pass validation='next_fold'"):
        cross_validate(make(early_stopping=1), patients)


# -- figures --


def test_one_call_reports_on_the_out_of_fold_scores(ensemble, patients):
    with warnings.catch_warnings():
        warnings.simplefilter("error", LeakageWarning)
        report = ensemble.out_of_fold_report(n_resamples=100)
    assert report.metrics["auc"].n == 24
    assert report.metrics["auc"].value == pytest.approx(roc_auc_score(patients.labels, ensemble.out_of_fold_scores_))
    assert report.threshold == 0.4
    assert report.name == "patients, out of fold"
    assert report.image_ids == tuple(patients.image_ids)
    assert report.paths == tuple(patients.paths)
    settings = report.provenance["model"]["ensemble"]["cross_validation"]
    assert settings == {"folds": 3, "groups": "auto", "validation": "none", "random_state": 0}


def test_every_fold_has_its_figures(ensemble, patients):
    table = ensemble.fold_metrics(n_resamples=100)
    assert table["images"].tolist() == [8, 8, 8]
    assert table["melanoma"].tolist() == [4, 4, 4]
    assert table["epochs"].tolist() == [2, 2, 2]
    for fold in range(3):
        rows = ensemble.folds_ == fold
        auc = roc_auc_score(patients.labels[rows], ensemble.out_of_fold_scores_[rows])
        assert table["auc"][fold] == pytest.approx(auc)
        assert table["auc_low"][fold] <= auc <= table["auc_high"][fold]
        report = ensemble.out_of_fold_report(fold, n_resamples=100)
        assert report.image_ids == tuple(patients.image_ids[rows])
        assert report.metrics["average_precision"].high == table["average_precision_high"][fold]
    with pytest.raises(ParameterError, match="from 0 to 2, got 3"):
        ensemble.out_of_fold_report(3)


def test_ranks_are_those_within_the_fold(ensemble):
    ranked = Ensemble(ensemble.classifiers, combine="rank")
    ranked.__dict__ |= {name: vars(ensemble)[name] for name in ("reference_scores_", "cross_validation_")}
    for fold in range(3):
        rows = ensemble.folds_ == fold
        scores = ensemble.out_of_fold_scores_[rows]
        assert np.allclose(ranked.out_of_fold_scores_[rows], rank_among(scores, scores))


@pytest.mark.slow
def test_an_ensemble_of_ranks_scores_new_images(dataset):
    ranked = cross_validate(make(epochs=1), dataset[:16], folds=2, combine="rank", verbose=0)
    expected = np.mean(
        [
            rank_among(member.predict_proba(dataset[16:])[:, 1], member.predict_proba(dataset[:16])[rows, 1])
            for member, rows in zip(ranked.members_, (ranked.folds_ == 0, ranked.folds_ == 1), strict=True)
        ],
        axis=0,
    )
    assert np.allclose(ranked.predict_proba(dataset[16:])[:, 1], expected, atol=1e-5)
    with pytest.raises(NotFittedError, match="only cross_validate"):
        ranked.fit(dataset[:12], validation_data=dataset[12:16]).out_of_fold_report()


def test_the_file_keeps_the_folds_and_no_id(ensemble, patients, tmp_path):
    ensemble.save(tmp_path / "ensemble.zip")
    assert b"IMG_0" not in (tmp_path / "ensemble.zip").read_bytes()
    loaded = Ensemble.load(tmp_path / "ensemble.zip")
    assert np.array_equal(loaded.folds_, ensemble.folds_)
    assert np.array_equal(loaded.out_of_fold_scores_, ensemble.out_of_fold_scores_)
    reports = [str(model.out_of_fold_report(n_resamples=100)) for model in (loaded, ensemble)]
    assert reports[0].split("created")[0] == reports[1].split("created")[0]
    assert loaded.out_of_fold_report(n_resamples=100).paths is None


def test_a_file_from_before_the_groups_were_kept_is_read(ensemble, tmp_path):
    ensemble.save(tmp_path / "ensemble.zip")
    edit(tmp_path / "ensemble.zip", STATE_FILE, lambda state: state["cross_validation"].pop("groups"))
    loaded = Ensemble.load(tmp_path / "ensemble.zip")
    assert loaded.cross_validation_.groups is None
    assert np.array_equal(loaded.folds_, ensemble.folds_)
    assert loaded.out_of_fold_report(n_resamples=100).groups is None


# -- what it takes --


def test_labels_may_be_words_and_images_an_array(images, labels):
    words = np.array(["benign", "melanoma"])[labels]
    model = cross_validate(make(epochs=1), images, words, folds=2, random_state=0, verbose=0)
    assert model.classes_.tolist() == ["benign", "melanoma"]
    assert model.out_of_fold_report(n_resamples=100).counts.n_melanoma == 12
    assert model.out_of_fold_report(n_resamples=100).name == "the images, out of fold"


def test_unreadable_images_have_no_score_and_are_listed(dataset, bad_images):
    paths = pd.Series([*dataset.paths[:12], str(bad_images / "empty.jpg")], index=range(50, 63))
    labels = [*dataset.labels[:12], 1]
    model = cross_validate(make(epochs=1, on_error="skip"), paths, labels, folds=2, combine="rank", verbose=0)
    assert np.isnan(model.out_of_fold_scores_).tolist() == [False] * 12 + [True]
    report = model.out_of_fold_report(n_resamples=100)
    assert report.counts.n == 12
    assert [row.image_id for row in report.skipped] == ["12"]


CONTAINERS = {"list": list, "tuple": tuple, "Series": lambda items: pd.Series(items, index=range(90, 90 + len(items)))}


@pytest.mark.slow
@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_bad_images_are_named_by_their_position_in_what_the_user_gave(images, container, caplog):
    items = [*images[:12]]
    items[3], items[7], items[10] = None, b"x", np.nan
    with pytest.raises(ImageError, match=r"^image (3|7|10): "):
        cross_validate(make(epochs=1), container(items), [0, 1] * 6, folds=2, groups=list(range(12)), verbose=0)
    caplog.clear()
    skipping = make(epochs=1, on_error="skip")
    model = cross_validate(skipping, container(items), [0, 1] * 6, folds=2, groups=list(range(12)), verbose=0)
    named = {row.image_id for member in model.members_ for row in member.skipped_}
    assert named == {"image 3", "image 7", "image 10"}
    assert set(re.findall(r"no score for (image \d+)", caplog.text)) == named
    assert np.flatnonzero(np.isnan(model.out_of_fold_scores_)).tolist() == [3, 7, 10]


def test_parts_of_images_are_the_images_themselves(images):
    part = Part(images, [5, 2, 2], name="mine")
    assert [np.array_equal(image, images[row]) for image, row in zip(part, [5, 2, 2], strict=True)] == [True] * 3
    assert list(open_source(part).names) == ["image 5", "image 2", "image 2"]
    assert (len(part), name_of(part)) == (3, "mine")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"folds": 1}, ParameterError, "folds must be a whole number of at least 2, got 1"),
        ({"folds": 2, "validation": "next_fold"}, ParameterError, "at least 3 with validation='next_fold'"),
        ({"folds": 2.0}, ParameterError, "whole number"),
        ({"folds": 20}, DatasetError, "20 folds need at least as many groups"),
        ({"validation": "heldout"}, UnknownNameError, "Did you mean 'held_out'"),
        ({"combine": "ranks"}, UnknownNameError, "Did you mean 'rank'"),
        ({"groups": "lesion"}, DatasetError, "no column lesion_id"),
        ({"groups": ["a"]}, DatasetError, r"one entry an image \(24\), got 1"),
        ({"y": [0, 1]}, DatasetError, "one class an image"),
        ({"y": [0, 1, 2] * 8}, DatasetError, "for two classes, melanoma and all else; here are 3: 0, 1, 2"),
    ],
)
def test_what_cannot_be_done_says_why(patients, arguments, error, message):
    with pytest.raises(error, match=message):
        cross_validate(make(), patients, **arguments)


def test_what_it_does_not_take_is_named(dataset, images):
    with pytest.raises(ParameterError, match="classifier must be a TransferClassifier, got Ensemble"):
        cross_validate(Ensemble([make()]), dataset)
    with pytest.raises(DatasetError, match=r"a tf\.data\.Dataset cannot be divided"):
        cross_validate(make(), tf.data.Dataset.from_tensor_slices(images))
    with pytest.raises(DatasetError, match="there are no labels"):
        cross_validate(make(), images)
    with pytest.raises(DatasetError, match="only an ISBIDataset can be divided by 'patient'"):
        cross_validate(make(), images, np.arange(24) % 2, groups="patient", verbose=0)
