"""Weights of images: what scikit-learn asks of them, in a probe exactly, and in every other part of training."""

import numpy as np
import pytest
from conftest import training_plan
from sklearn.model_selection import GridSearchCV

from melanoma_tl import Balancer, Ensemble, Probe, Stage, TransferClassifier, cross_validate
from melanoma_tl.errors import ParameterError
from melanoma_tl.training.batches import TrainingBatches

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

WEIGHTS = np.array([1, 0, 2, 1, 3, 0, 1, 1, 2, 1, 1, 0] * 2)


def make(**parameters):
    settings = {"stages": Probe(C=0.5), "random_state": 0, "precision": "float32", "weights": None, "verbose": 0}
    return TransferClassifier("tiny", **(settings | parameters))


def scores(classifier, images):
    return classifier.predict_proba(images)[:, 1]


@pytest.mark.slow
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 1.0, 1: 5.0}])
def test_a_weight_of_two_is_two_images_and_a_weight_of_zero_is_none(images, labels, class_weight):
    weighted = make(class_weight=class_weight).fit(images, labels, sample_weight=WEIGHTS)
    repeated = make(class_weight=class_weight).fit(np.repeat(images, WEIGHTS, axis=0), np.repeat(labels, WEIGHTS))
    plain = make(class_weight=class_weight).fit(images, labels)
    assert np.allclose(scores(weighted, images), scores(repeated, images), atol=1e-6)
    assert np.abs(scores(weighted, images) - scores(plain, images)).max() > 1e-3
    ones = make(class_weight=class_weight).fit(images, labels, sample_weight=np.ones(24))
    assert np.allclose(scores(ones, images), scores(plain, images), atol=1e-6)


def test_so_it_is_with_three_diagnoses(images):
    diagnoses = np.arange(24) % 3
    weighted = make().fit(images, diagnoses, sample_weight=WEIGHTS).predict_proba(images)
    repeated = make().fit(np.repeat(images, WEIGHTS, axis=0), np.repeat(diagnoses, WEIGHTS)).predict_proba(images)
    assert np.allclose(weighted, repeated, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("balancer", [None, Balancer(oversample=None)])
def test_a_network_never_sees_an_image_of_weight_zero(images, labels, balancer):
    shown = make(stages=Stage(epochs=2), balancer=balancer, optimizer="sgd")
    kept = WEIGHTS > 0
    weighted = shown.fit(images, labels, sample_weight=kept).model_.get_weights()
    absent = shown.fit(images[kept], labels[kept]).model_.get_weights()
    for one, other in zip(weighted, absent, strict=True):
        assert np.allclose(one, other, atol=1e-6)


def test_a_network_steps_by_the_weights(images, labels):
    def move(**weights):
        clf = make(stages=Stage(epochs=1), optimizer="sgd", batch_size=24, class_weight={0: 1.0, 1: 3.0})
        return clf.fit(images, labels, **weights).model_.get_layer("melanoma").get_weights()

    start = make(stages=Stage(epochs=1), optimizer="sgd", learning_rate=1e-12).fit(images, labels)
    start = start.model_.get_layer("melanoma").get_weights()
    for once, thrice, begin in zip(move(), move(sample_weight=np.full(24, 3.0)), start, strict=True):
        assert np.allclose(thrice - begin, 3 * (once - begin), atol=1e-6)


class Rows:
    def batch(self, rows, repeats, step):
        return np.zeros((len(rows), 8, 8, 3), np.uint8)


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_the_loss_of_a_mixture_is_that_of_its_two_images(mix):
    targets, weights = np.eye(3, dtype=np.float32)[[0, 1, 2]], np.array([0.0, 2.0, 1.0])
    plan, rows = training_plan(mix=mix, batch_size=3), np.arange(3)
    order = TrainingBatches(Rows(), targets, rows, plan).choose(0)[0]
    _, shares = TrainingBatches(Rows(), targets, rows, plan)[0]
    _, mixed, found = TrainingBatches(Rows(), targets, rows, plan, weights=weights)[0]
    assert np.allclose(found, shares @ weights, atol=1e-6), order
    assert np.allclose(mixed * found[:, None], shares * weights, atol=1e-6)


@pytest.mark.slow
def test_a_search_and_a_cross_validation_take_the_weights_of_their_rows(images, labels):
    search = GridSearchCV(make(), {"stages": [Probe(C=0.1), Probe(C=1.0)]}, cv=2).fit(
        images, labels, sample_weight=WEIGHTS
    )
    again = make(stages=search.best_params_["stages"]).fit(images, labels, sample_weight=WEIGHTS)
    assert np.array_equal(scores(search.best_estimator_, images), scores(again, images))
    ensemble = cross_validate(make(), images, labels, folds=2, groups=None, sample_weight=WEIGHTS, verbose=0)
    for fold, member in enumerate(ensemble.members_):
        rest = ensemble.folds_ != fold
        alone = make(random_state=member.random_state).fit(images[rest], labels[rest], sample_weight=WEIGHTS[rest])
        assert np.array_equal(scores(member, images), scores(alone, images))


@pytest.mark.slow
def test_an_ensemble_passes_the_weights_to_its_members(images, labels):
    ensemble = Ensemble([make(), make(stages=Probe(C=5.0))], verbose=0).fit(images, labels, sample_weight=WEIGHTS)
    for member, C in zip(ensemble.members_, (0.5, 5.0), strict=True):
        alone = make(stages=Probe(C=C)).fit(images, labels, sample_weight=WEIGHTS)
        assert np.array_equal(scores(member, images), scores(alone, images))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.full(24, -1.0), r"numbers of at least 0, got -1\.0 for image 0 \(24 in all\)"),
        (np.r_[np.ones(23), np.nan], "got nan for image 23"),
        (np.ones(23), "one number for each of 24 images"),
        (np.ones((24, 1)), "one number for each of 24 images"),
        (np.zeros(24), "is 0 for all images of 0, 1"),
        (np.arange(24) % 2, "is 0 for all images of 0"),
        ("balanced", "sample_weight must be numbers"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_before_any_image_is_read(labels, weights, message):
    nowhere = [f"no such image {number}.jpg" for number in range(24)]
    with pytest.raises(ParameterError, match=message):
        make().fit(nowhere, np.arange(24) % 2, sample_weight=weights)
    with pytest.raises(ParameterError, match="sample_weight"):
        cross_validate(make(), nowhere, np.arange(24) % 2, sample_weight=weights)


def test_a_stream_has_no_places_for_them(images, labels):
    with pytest.raises(ParameterError, match="another order"):
        make().fit(tf.data.Dataset.from_tensor_slices((images, labels)), sample_weight=np.ones(24))


def test_the_provenance_says_so_and_a_resumed_run_is_of_the_same_weights(images, labels):
    clf = make(stages=Stage(epochs=1)).fit(images, labels, sample_weight=WEIGHTS, resume=True)
    told = clf.provenance_["training_data"]["sample_weight"]
    assert told == {"lowest": 0.0, "highest": 3.0, "images_of_weight_0": 6}
    assert "sample_weight" not in make().fit(images, labels).provenance_["training_data"]
