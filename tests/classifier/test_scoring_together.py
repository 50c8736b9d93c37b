"""Members of an ensemble on one frozen backbone compute each image once, and score as they do alone."""

import pickle

import keras
import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from melanoma_tl import (
    Ensemble,
    FrozenEncoder,
    Probe,
    Stage,
    TransferClassifier,
    cross_validate,
    register_backbone,
    register_encoder,
)

seen = []


def colours(images):
    """Turn images into six numbers each, and count them."""
    seen.append(len(images))
    return np.concatenate([images.mean(axis=(1, 2)) / 255, images.std(axis=(1, 2)) / 255], axis=1)


def build(input_tensor, weights):
    convolution = keras.layers.Conv2D(
        8, 3, strides=2, activation="relu", name="conv", kernel_initializer=keras.initializers.GlorotUniform(seed=7)
    )
    return keras.Model(keras.utils.get_source_inputs(input_tensor), convolution(input_tensor))


@pytest.fixture(autouse=True)
def backbones(monkeypatch):
    from melanoma_tl.backbones import encoder_layer, registry

    monkeypatch.setattr(registry, "_BACKBONES", dict(registry._BACKBONES))
    monkeypatch.setattr(encoder_layer, "ENCODERS", {})
    encoder = FrozenEncoder(colours, digest="colours, counted", input_size=(32, 32))
    register_encoder("counted colours", encoder)
    register_backbone("fixed", preprocess=keras.layers.Rescaling(1 / 255), input_size=(32, 32))(build)


def make(backbone="fixed", **changes):
    settings = {"weights": None, "stages": Probe(), "random_state": 0, "verbose": 0}
    return TransferClassifier(backbone, **(settings | changes))


def alone(members, X, **options):
    return np.mean([member.predict_proba(X, **options) for member in members], axis=0)


@pytest.fixture
def members(images, labels):
    return [make().fit(images[rows], labels[rows]) for rows in (slice(0, 12), slice(6, 18), slice(12, 24))]


@pytest.mark.slow
def test_each_image_passes_the_frozen_part_once(images, labels):
    ensemble = cross_validate(
        make("counted colours", weights="imagenet"), images, labels, folds=3, groups=None, verbose=0
    )
    expected = alone(ensemble.members_, images)
    seen.clear()
    np.testing.assert_allclose(ensemble.predict_proba(images), expected, atol=1e-6)
    assert sum(seen) == len(images)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("options", [{}, {"tta": 4}, {"batch_size": 5}])
def test_the_scores_are_those_of_the_members(images, members, precision, options):
    ensemble = Ensemble([clone_of(member).set_params(precision=precision) for member in members], verbose=0)
    np.testing.assert_allclose(
        ensemble.predict_proba(images, **options), alone(ensemble.members_, images, **options), atol=1e-6
    )


def clone_of(member):
    return pickle.loads(pickle.dumps(member))


@pytest.mark.slow
def test_members_keep_what_is_their_own(images, labels, members):
    """Another backbone, other views, other precision, a calibration, a classifier of somebody else's."""
    members[1].tta = 4
    members[0].calibrate(images[12:], labels[12:])
    others = [
        make("counted colours", weights="imagenet").fit(images, labels),
        make("tiny", stages=Stage(epochs=1)).fit(images, labels),
        make().set_params(precision="bfloat16").fit(images, labels),
    ]
    everything = [*members, *others, FrozenEstimator(members[2])]
    ensemble = Ensemble(everything, verbose=0)
    np.testing.assert_allclose(ensemble.predict_proba(images), alone(everything, images), atol=1e-6)


@pytest.mark.slow
def test_what_is_changed_later_is_seen(images, members):
    ensemble = Ensemble(members, verbose=0)
    before = ensemble.predict_proba(images)
    for change in ({"tta": 8}, {"precision": "bfloat16"}):
        members[0].set_params(**change)
        np.testing.assert_allclose(ensemble.predict_proba(images), alone(members, images), atol=1e-6)
    ensemble.set_params(classifiers=members[1:])
    np.testing.assert_allclose(ensemble.predict_proba(images), alone(members[1:], images), atol=1e-6)
    members[1].fit(images[:8], np.arange(8) % 2)
    np.testing.assert_allclose(ensemble.predict_proba(images), alone(members[1:], images), atol=1e-6)
    assert np.abs(ensemble.predict_proba(images) - before).max() > 1e-3


@pytest.mark.slow
def test_three_diagnoses(images):
    labels = np.array(["mel", "nv", "bkl"])[np.arange(24) % 3]
    members = [make().fit(images[rows], labels[rows]) for rows in (slice(0, 15), slice(9, 24))]
    ensemble = Ensemble(members, verbose=0)
    np.testing.assert_allclose(ensemble.predict_proba(images), alone(members, images), atol=1e-6)


@pytest.mark.parametrize("change", [{"verbose": "no"}, {"tta": True}, {"precision": "double"}, {"on_error": "pass"}])
def test_what_a_member_cannot_score_with_is_refused_as_alone(images, members, change):
    members[1].set_params(**change)
    with pytest.raises(ValueError, match=next(iter(change))) as said:
        members[1].predict_proba(images)
    with pytest.raises(type(said.value)) as said_of_all:
        Ensemble(members, verbose=0).predict_proba(images)
    assert str(said_of_all.value) == str(said.value)


def test_an_image_that_cannot_be_read_has_no_score(images, members, bad_images):
    for member in members:
        member.on_error = "skip"
    scores = Ensemble(members, verbose=0).predict_proba([images[0], bad_images / "empty.jpg", images[1]])
    assert np.isnan(scores).all(axis=1).tolist() == [False, True, False]
    np.testing.assert_allclose(scores[[0, 2]], alone(members, images[:2]), atol=1e-6)


def test_a_file_and_a_copy_score_alike(images, members, tmp_path):
    ensemble = Ensemble(members, verbose=0)
    scores = ensemble.predict_proba(images)
    ensemble.save(tmp_path / "ensemble.zip")
    for other in (Ensemble.load(tmp_path / "ensemble.zip"), pickle.loads(pickle.dumps(ensemble))):
        np.testing.assert_allclose(other.predict_proba(images), scores, atol=1e-6)
