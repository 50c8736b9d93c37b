import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone

from melanoma_tl import Augmenter, Balancer, ISBIDataset, MetricsReport, Probe, TransferClassifier, list_recipes
from melanoma_tl.classifier.state import name_recipe
from melanoma_tl.errors import (
    DatasetError,
    ImageError,
    LeakageWarning,
    NotFittedError,
    ParameterError,
    UnknownNameError,
)
from melanoma_tl.recipes import get_recipe

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")


def make(**changes):
    options = {
        "backbone": "tiny",
        "weights": None,
        "trainable_from": "conv1",
        "learning_rate": 0.02,
        "batch_size": 8,
        "epochs": 6,
        "random_state": 0,
        "verbose": 0,
    }
    return TransferClassifier(**(options | changes))


@pytest.fixture(scope="module")
def fitted(dataset):
    return make().fit(dataset, validation_data=dataset[:8])


def test_it_learns_what_can_be_learned(fitted, dataset):
    assert fitted.score(dataset) > 0.9
    assert fitted.classes_.tolist() == [0, 1]
    probabilities = fitted.predict_proba(dataset)
    assert probabilities.shape == (24, 2)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert np.array_equal(fitted.predict(dataset), (probabilities[:, 1] > 0.5).astype(int))


def test_the_history_has_every_epoch(fitted):
    assert set(fitted.history_) == {"loss", "accuracy", "auc", "val_loss", "val_accuracy", "val_auc"}
    assert {len(values) for values in fitted.history_.values()} == {6}


def test_every_route_gives_the_same_scores(fitted, dataset, images):
    expected = fitted.predict_proba(dataset)
    for X in (
        dataset.paths,
        dataset.paths.tolist(),
        images,
        [Image.fromarray(pixels) for pixels in images],
        tf.data.Dataset.from_tensor_slices(images),
        tf.data.Dataset.from_tensor_slices(images).batch(7),
    ):
        assert np.allclose(fitted.predict_proba(X), expected, atol=1e-6)


def test_resized_files_give_the_same_scores(fitted, dataset, tmp_path):
    resized = dataset.resize_to(tmp_path, size=(32, 32), verbose=0)
    assert np.allclose(fitted.predict_proba(resized), fitted.predict_proba(dataset), atol=1e-6)


def test_training_by_another_route_gives_the_same_model(fitted, dataset, images, labels):
    again = make().fit(images, labels, validation_data=(images[:8], labels[:8]))
    assert np.allclose(again.predict_proba(images), fitted.predict_proba(dataset), atol=1e-5)


@pytest.mark.slow
def test_the_seed_decides_everything(dataset):
    parts = {"balancer": Balancer(), "augmenter": Augmenter(horizontal_flip=True, rotation_range=20), "epochs": 2}
    scores = [make(**parts, random_state=seed).fit(dataset[:15]).predict_proba(dataset) for seed in (1, 1, 2)]
    assert np.allclose(scores[0], scores[1], atol=1e-6)
    assert not np.allclose(scores[0], scores[2], atol=1e-3)


# -- leaks are seen --


def test_validation_images_that_are_trained_on_are_a_warning(dataset):
    with pytest.warns(LeakageWarning, match="'drawn': 2 images have a counterpart .*remove_from"):
        make(epochs=1).fit(dataset[:12], validation_data=dataset[10:])


def test_disjoint_data_are_no_warning(dataset):
    with warnings.catch_warnings():
        warnings.simplefilter("error", LeakageWarning)
        classifier = make(epochs=1).fit(dataset[:12], validation_data=dataset[12:20])
        report = MetricsReport.from_estimator(classifier, dataset[20:])
    assert report.provenance["seen_by_the_model"]["images"] == 0
    assert "LEAKAGE" not in str(report)


def test_a_model_remembers_what_it_was_fitted_with(dataset, images):
    classifier = make(epochs=1).fit(dataset[:12], validation_data=dataset[12:20])
    seen = classifier.seen_images(dataset)
    assert seen.image_ids == tuple(dataset.image_ids[:20])
    assert seen.to_frame()["right_id"].iloc[[0, 11, 12, 19]].tolist() == [
        "training image 0",
        "training image 11",
        "validation image 0",
        "validation image 7",
    ]
    assert len(classifier.seen_images(images)) == 20, "by their look, without ids"
    assert len(classifier.seen_images(images[20:])) == 0
    names = ISBIDataset(dataset.image_ids, None, dataset.labels, name="names")
    assert len(classifier.seen_images(names)) == 20, "by their ids, without images"


def test_images_that_the_balancer_left_out_were_not_seen(dataset):
    few = dataset[[0, 1, 3, 5, 7, 9]]
    with pytest.warns(UserWarning, match="Balancer keeps 2 of 6 rows"):
        classifier = make(epochs=1, balancer=Balancer(undersample=1.0)).fit(few)
    assert len(classifier.seen_images(few)) == 2


def test_a_report_on_seen_images_says_so(dataset):
    classifier = make(epochs=1).fit(dataset[:12])
    with pytest.warns(LeakageWarning, match="Its metrics say little"):
        report = MetricsReport.from_estimator(classifier, dataset[8:])
    assert report.provenance["seen_by_the_model"]["images"] == 4
    assert "LEAKAGE: the model was fitted with a counterpart of 4 images (4 by id, 4 by bytes" in str(report)


# -- balancing and augmentation touch the training split only --


class Watched(Augmenter):
    """An augmenter that remembers what it was shown."""

    seen: list = []  # noqa: RUF012 -- shared with the clone that the classifier makes

    def augment(self, images, seed):
        self.seen.append(images.copy())
        return super().augment(images, seed)


def test_validation_images_are_neither_resampled_nor_augmented(images, labels, monkeypatch):
    Watched.seen.clear()
    validation = np.full((6, 32, 32, 3), 13, "uint8")
    validation_labels = np.array([0, 0, 0, 0, 0, 1])
    augmenter = Watched(horizontal_flip=True, brightness_range=(0.3, 0.3))
    clf = make(balancer=Balancer(), augmenter=augmenter, epochs=1)
    clf.fit(images, labels, validation_data=(validation, validation_labels))
    assert Watched.seen
    assert not any((batch == 13).all(axis=(1, 2, 3)).any() for batch in Watched.seen)
    assert clf.history_["val_accuracy"][0] * 6 == pytest.approx(clf.score(validation, validation_labels) * 6)
    assert clf.provenance_["validation_data"]["counts"] == {"benign": 5, "melanoma": 1}


def test_the_balancer_chooses_the_rows_of_a_pass(dataset):
    unbalanced = dataset.first(per_class={"benign": 12, "melanoma": 3})
    clf = make(balancer=Balancer(), epochs=1).fit(unbalanced)
    assert clf.provenance_["training_data"]["counts"] == {"benign": 12, "melanoma": 3}
    assert clf.provenance_["training_data"]["rows_of_each_class_in_a_pass"] == [6, 6]


# -- stopping and restoring --


def test_the_best_epoch_is_restored(dataset):
    wrong = ISBIDataset(dataset.image_ids, dataset.paths, 1 - dataset.labels)  # the longer it learns, the worse
    clf = make(epochs=4).fit(dataset, validation_data=wrong)
    best = min(clf.history_["val_loss"])
    model = clf.model_
    model.compile(loss="binary_crossentropy")
    pixels = np.stack([np.array(Image.open(path).resize((32, 32), Image.Resampling.LANCZOS)) for path in wrong.paths])
    figures = model.evaluate(pixels.astype("float32"), wrong.labels[:, None], verbose=0, return_dict=True)
    assert figures["loss"] == pytest.approx(best, rel=1e-3)
    assert clf.history_["val_loss"][-1] > 1.1 * best


def test_training_stops_early(dataset):
    wrong = ISBIDataset(dataset.image_ids, dataset.paths, 1 - dataset.labels)
    clf = make(epochs=30, early_stopping=2).fit(dataset, validation_data=wrong)
    assert len(clf.history_["loss"]) < 15
    assert clf.provenance_["epochs_run"] == len(clf.history_["loss"])


# -- scikit-learn's grammar --


def test_clone_and_parameters():
    clf = make(balancer=Balancer(undersample=3.0), augmenter=Augmenter(zoom_range=0.1))
    copy = clone(clf)
    assert copy.balancer is not clf.balancer
    assert copy.get_params()["balancer__undersample"] == 3.0
    assert copy.set_params(augmenter__zoom_range=0.2).augmenter.zoom_range == 0.2
    assert not hasattr(copy, "n_features_in_")


def test_labels_may_be_words(dataset, labels):
    words = np.array(["benign", "melanoma"])[labels]
    clf = make().fit(dataset.paths, words)
    assert clf.classes_.tolist() == ["benign", "melanoma"]
    assert clf.score(dataset.paths, words) > 0.9


@pytest.mark.parametrize("words", [("nevus", "melanoma"), ("benign", "malignant")])
def test_labels_of_validation_data_may_be_written_otherwise(dataset, labels, words):
    y = np.array(words)[labels]
    for valid in (dataset[16:], (dataset[16:], np.char.upper(y[16:]))):
        clf = make(stages=Probe(), trainable_from=None).fit(dataset[:16], y[:16], validation_data=valid)
        assert clf.provenance_["validation_data"]["counts"] == dict.fromkeys(sorted(words), 4)
        assert clf.history_["val_accuracy"] == [1.0]


# -- errors --


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0] * 12, "two classes, benign and melanoma, .* got 1 class: 0"),
        (np.arange(12) / 7, r"Unknown label type: continuous. .* got 12 values: 0.0, .*, …"),
        ([0, 0, np.nan] * 4, "4 of 12 labels are missing"),
        (np.array([0, None] * 6), "6 of 12 labels are missing"),
    ],
    ids=["one class", "numbers", "a class and gaps", "None"],
)
def test_what_are_no_classes_cannot_be_learned(dataset, y, message):
    with pytest.raises(DatasetError, match=message):
        make().fit(dataset.paths[:12], y)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"backbone": "tinny"}, UnknownNameError, "Did you mean 'tiny'"),
        ({"epochs": 0}, ParameterError, "epochs must be a whole number"),
        ({"steps_per_epoch": 1.5}, ParameterError, "steps_per_epoch must be a whole number of at least 1 or None"),
        ({"early_stopping": 3}, ParameterError, "pass validation_data"),
        ({"learning_rate": 0}, ParameterError, "above 0"),
        (
            {"learning_rate": "0.1"},
            ParameterError,
            "a number above 0 or a schedule of Keras, got '0.1'",
        ),
        ({"dropout": None}, ParameterError, "dropout must be a number of at least 0 and below 1, got None"),
        ({"input_size": 224}, ParameterError, r"\(height, width\) in pixels.* got 224"),
        ({"augmenter": Augmenter(fill_mode="mirror")}, UnknownNameError, "Unknown fill_mode 'mirror'"),
        ({"augmenter": Augmenter(transpose=True), "input_size": (32, 40)}, ParameterError, "needs a square input_size"),
        ({"threshold": 50}, ParameterError, "0 to 1, got 50"),
        ({"on_error": "ignore"}, UnknownNameError, "Known: 'raise', 'skip'"),
        ({"class_weight": {0: 1.0}}, ParameterError, "a weight for each of"),
        ({"optimizer": "adamm"}, UnknownNameError, "Did you mean 'adam'"),
    ],
)
def test_wrong_parameters_are_named(dataset, changes, error, message):
    with pytest.raises(error, match=message):
        make(**changes).fit(dataset)


def test_nothing_can_be_asked_before_fit(dataset, tmp_path):
    for ask in (make().predict_proba, make().predict, make().score):
        with pytest.raises(NotFittedError, match="call fit"):
            ask(dataset)
    with pytest.raises(NotFittedError):
        make().save(tmp_path / "model.keras")


def test_unreadable_images_stop_or_get_no_score(fitted, dataset, bad_images, caplog):
    paths = [dataset.paths[0], str(bad_images / "truncated.jpg"), dataset.paths[1]]
    with pytest.raises(ImageError, match="truncated"):
        fitted.predict_proba(paths)
    lenient = make(on_error="skip", epochs=1).fit(dataset)
    scores = lenient.predict_proba(paths)
    assert np.isnan(scores[1]).all()
    assert np.allclose(scores[[0, 2]], lenient.predict_proba(dataset[:2]), atol=1e-6)
    assert "no score for" in caplog.text
    with pytest.raises(ImageError, match="1 of 3 images"):
        lenient.predict(paths)


def test_blank_images_are_warned_of(fitted, images, caplog):
    ramp = np.linspace(90, 110, images[0].size).round().astype("uint8").reshape(images[:1].shape)
    fitted.predict_proba(np.concatenate([images[:3], ramp]))
    assert not caplog.messages
    noisy = np.random.default_rng(0).integers(0, 10, (1, *images.shape[1:]), "uint8")
    black = np.zeros_like(noisy)
    fitted.predict_proba(np.concatenate([images[:3], black, black + 200, noisy, 245 + noisy]), batch_size=2)
    fitted.predict_proba(np.concatenate([images[:3], noisy]))
    assert caplog.messages == [
        f"{blank} blank (black, white or of one colour): look at them, their scores mean nothing"
        for blank in ("4 of 7 images are", "1 of 4 images is")
    ]


def test_unreadable_training_images_are_left_out_and_listed(dataset, bad_images):
    paths = [*dataset.paths, str(bad_images / "empty.jpg")]
    y = [*dataset.labels, 1]
    with pytest.raises(ImageError, match="0 bytes"):
        make(epochs=1).fit(paths, y)
    clf = make(epochs=1, on_error="skip").fit(paths, y)
    assert [row.image_id for row in clf.skipped_] == ["empty.jpg"]
    assert clf.provenance_["training_data"]["skipped"] == 1
    assert clf.provenance_["training_data"]["counts"] == {"benign": 12, "melanoma": 12}


@pytest.mark.slow
def test_class_weights_shift_the_scores(dataset):
    plain, weighted = (
        make(class_weight=weights, trainable_from=None, epochs=3).fit(dataset).predict_proba(dataset)[:, 1].mean()
        for weights in (None, {0: 1.0, 1: 20.0})
    )
    assert weighted > plain


# -- recipes --


def test_the_paper_recipe_is_the_published_work():
    clf = TransferClassifier.from_recipe("paper")
    assert (clf.backbone, clf.head, clf.trainable_from, clf.preprocessing) == (
        "vgg19",
        "published",
        "block5_conv2",
        "rescale",
    )
    assert (clf.optimizer, clf.learning_rate, clf.batch_size, clf.epochs, clf.steps_per_epoch) == (
        "rmsprop",
        1e-4,
        16,
        35,
        692,
    )
    assert not clf.restore_best
    assert (clf.balancer.undersample, clf.balancer.oversample, clf.balancer.selection) == (2.0, 1.0, "first")
    assert (clf.augmenter.rotation_range, clf.augmenter.width_shift_range, clf.augmenter.horizontal_flip) == (
        20,
        0.2,
        True,
    )
    assert clf.augmenter.saturation_range == 0.0


def test_recipes_can_be_changed_and_misspelled():
    assert TransferClassifier.from_recipe("paper", epochs=1).epochs == 1
    assert list_recipes() == ["best", "fast", "paper"]
    with pytest.raises(UnknownNameError, match=r"Did you mean 'paper'\?"):
        TransferClassifier.from_recipe("papr")


def test_the_recipe_is_remembered(dataset):
    clf = TransferClassifier.from_recipe(
        "paper", backbone="tiny", weights=None, trainable_from=None, epochs=1, steps_per_epoch=1, verbose=0
    ).fit(dataset)
    assert clf.provenance_["recipe"] == "paper except for backbone, epochs, steps per epoch, trainable from"


def test_a_recipe_is_recognised_by_its_parameters():
    paper = TransferClassifier.from_recipe("paper", random_state=3, verbose=0)
    assert name_recipe(paper) == name_recipe(clone(paper)) == "paper"
    paper.set_params(optimizer="sgd", learning_rate=0.1)
    assert name_recipe(paper) == name_recipe(clone(paper)) == "paper except for learning rate, optimizer"
    by_hand = TransferClassifier(**get_recipe("fast"), weights=None)
    assert name_recipe(by_hand) == "fast"
    assert name_recipe(by_hand.set_params(tta=4)) == "fast except for tta"
    by_hand.set_params(head__pooling="max", optimizer__clip_norm=1.0, resources__distribution=None)
    assert name_recipe(by_hand) == "fast except for head pooling, optimizer clip norm, tta"
    assert name_recipe(by_hand.set_params(head="published")).startswith("none")
    assert name_recipe(TransferClassifier.from_recipe("best")) == "best"
    assert name_recipe(TransferClassifier()) == "none"


# -- the model file --


@pytest.mark.slow
def test_a_saved_model_predicts_the_same_in_a_fresh_process(fitted, dataset, tmp_path):
    fitted.save(tmp_path / "model.keras")
    code = (
        "import sys, numpy; from melanoma_tl import TransferClassifier; "
        "clf = TransferClassifier.load(sys.argv[1]); clf.set_params(verbose=0); "
        "numpy.save(sys.argv[2], clf.predict_proba(sys.argv[3:]))"
    )
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model.keras", tmp_path / "scores.npy", *dataset.paths],
        check=True,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    assert np.allclose(np.load(tmp_path / "scores.npy"), fitted.predict_proba(dataset), atol=1e-6)


@pytest.mark.real_data
@pytest.mark.slow
def test_real_images_with_real_weights(real_data, real_weights):
    train = ISBIDataset.from_challenge(real_data, year=2016, split="train", on_error="skip").sample(
        per_class=60, random_state=0
    )
    test = ISBIDataset.from_challenge(real_data, year=2016, split="test").sample(per_class=40, random_state=0)
    clf = TransferClassifier(weights=real_weights, input_size=(96, 96), epochs=12, random_state=0, verbose=0)
    from sklearn.metrics import roc_auc_score

    scores = clf.fit(train).predict_proba(test)[:, 1]
    assert roc_auc_score(test.labels, scores) > 0.6
    assert keras.backend.backend() == "tensorflow"
