import json
import zipfile

import keras
import numpy as np
import pytest

from melanoma_tl import Augmenter, Balancer, TransferClassifier
from melanoma_tl.errors import ModelFileError
from melanoma_tl.persistence import STATE_FILE

pytestmark = pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")


@pytest.fixture(scope="module")
def fitted(images, labels):
    return TransferClassifier(
        "tiny",
        weights=None,
        balancer=Balancer(undersample=None),
        augmenter=Augmenter(horizontal_flip=True, zoom_range=(0.9, 1.1)),
        epochs=2,
        class_weight={0: 1.0, 1: 2.0},
        threshold=0.3,
        random_state=0,
        verbose=0,
    ).fit(images, labels, validation_data=(images[:6], labels[:6]))


@pytest.fixture
def path(fitted, tmp_path):
    fitted.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_everything_comes_back(fitted, path, images):
    loaded = TransferClassifier.load(path)
    assert np.allclose(loaded.predict_proba(images), fitted.predict_proba(images), atol=1e-6)
    assert np.array_equal(loaded.predict(images), fitted.predict(images))
    assert loaded.history_ == fitted.history_
    assert loaded.provenance_ == fitted.provenance_
    assert str(loaded) == str(fitted)
    assert loaded.threshold == 0.3
    assert str(loaded.seen_images(images)) == str(fitted.seen_images(images))
    assert len(loaded.seen_images(images)) == 24


def test_the_file_holds_fingerprints_and_no_image_and_no_id(dataset, tmp_path):
    classifier = TransferClassifier("tiny", weights=None, epochs=1, verbose=0).fit(dataset)
    classifier.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        state = json.loads(archive.read(STATE_FILE))
    assert len(json.dumps(state["fingerprints"])) < 120 * len(dataset)
    assert "IMG_0" not in json.dumps(state)


def test_a_loaded_model_can_be_fitted_anew(path, images, labels):
    loaded = TransferClassifier.load(path)
    assert loaded.set_params(epochs=1).fit(images, labels).predict_proba(images).shape == (24, 2)


def test_plain_keras_opens_it_in_safe_mode(fitted, path, images):
    model = keras.saving.load_model(path, safe_mode=True)
    small = np.stack([images[0, :32, :32]]).astype("float32")
    assert np.allclose(model.predict(small, verbose=0), fitted.model_.predict(small, verbose=0), atol=1e-6)


def test_one_file_and_no_rest(path):
    assert [entry.name for entry in path.parent.iterdir()] == ["model.keras"]


def test_the_file_holds_no_optimizer(path):
    with zipfile.ZipFile(path) as archive:
        assert b"optimizer" not in archive.read("config.json")


def rewrite(path, change):
    """Write the archive anew with one part changed or left out."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def newer(parts):
    parts[STATE_FILE] = json.dumps(json.loads(parts[STATE_FILE]) | {"format_version": 99}).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: parts.pop(STATE_FILE), "not one that TransferClassifier.save wrote"),
        (newer, "format version 99"),
        (lambda parts: parts.update({STATE_FILE: b"{"}), "is damaged"),
        (lambda parts: parts.update({"model.weights.h5": b"nothing"}), "cannot be read"),
        (lambda parts: parts.update({"config.json": b"{}"}), "cannot be read"),
    ],
    ids=["not ours", "newer", "damaged state", "damaged weights", "damaged graph"],
)
def test_files_that_are_not_ours_or_damaged(path, change, message):
    rewrite(path, change)
    with pytest.raises(ModelFileError, match=message):
        TransferClassifier.load(path)


def test_files_that_are_no_archives(tmp_path):
    with pytest.raises(ModelFileError, match="no such file"):
        TransferClassifier.load(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("hello")
    with pytest.raises(ModelFileError, match="not a model file"):
        TransferClassifier.load(tmp_path / "text.keras")


def test_a_model_with_code_in_it_is_refused(path):
    """A Lambda layer carries Python code; safe mode must not run it."""
    inputs = keras.Input((32, 32, 3))
    outputs = keras.layers.Lambda(lambda x: x[:, 0, 0, :1], output_shape=(1,))(inputs)
    hostile = path.with_name("hostile.keras")
    keras.Model(inputs, outputs).save(hostile)
    with zipfile.ZipFile(path) as ours, zipfile.ZipFile(hostile, "a") as archive:
        archive.writestr(STATE_FILE, ours.read(STATE_FILE))
    with pytest.raises(ModelFileError, match="cannot be read"):
        TransferClassifier.load(hostile)


def test_the_name_must_end_in_keras(fitted, tmp_path):
    with pytest.raises(ModelFileError, match=r"ends in \.keras, got 'model\.h5'"):
        fitted.save(tmp_path / "model.h5")
