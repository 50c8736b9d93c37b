import json
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from model_files import edit, rewrite

from melanoma_tl import Augmenter, Balancer, Optimizer, PooledHead, TransferClassifier, __version__
from melanoma_tl.errors import ModelFileError
from melanoma_tl.saving.audit import STATE_FILE
from melanoma_tl.saving.model_file import PARTS

pytestmark = pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")


@pytest.fixture(scope="module")
def fitted(images, labels):
    return TransferClassifier(
        "tiny",
        weights=None,
        head=PooledHead(pooling="log_center", feature_layers=("relu1",)),
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


ALONE = """
import os, sys, numpy
from melanoma_tl import TransferClassifier, list_backbones
clf = TransferClassifier.load("model.keras").set_params(verbose=0)
assert clf.backbone not in list_backbones() and os.listdir() == ["model.keras"]
images = numpy.load(sys.argv[1])
numpy.savez(sys.argv[2], classes=clf.predict(images), scores=clf.predict_proba(images))
"""


@pytest.mark.slow
def test_nothing_else_is_needed(images, labels, tmp_path):
    """Alone in a folder, in a process that knows neither the backbone nor the head, it gives the same answers."""

    def head(features):
        pools = keras.layers.GlobalAveragePooling2D(), keras.layers.GlobalMaxPooling2D()
        return keras.layers.Concatenate()([pool(features) for pool in pools])

    names = np.array(["benign", "melanoma"])[labels]
    clf = TransferClassifier("tiny", weights=None, head=head, epochs=1, threshold=0.4, random_state=0, verbose=0)
    clf.fit(images, names).save(tmp_path / "alone" / "model.keras")
    np.save(tmp_path / "images.npy", images)
    subprocess.run(
        [sys.executable, "-c", ALONE, tmp_path / "images.npy", tmp_path / "answers.npz"],
        cwd=tmp_path / "alone",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
    )
    answers = np.load(tmp_path / "answers.npz")
    np.testing.assert_allclose(answers["scores"], clf.predict_proba(images), atol=1e-6)
    assert answers["classes"].tolist() == clf.predict(images).tolist()


def test_one_file_and_no_rest(path):
    assert [entry.name for entry in path.parent.iterdir()] == ["model.keras"]


def test_the_file_holds_no_optimizer(path):
    with zipfile.ZipFile(path) as archive:
        assert b"optimizer" not in archive.read("config.json")


# -- other versions --


def older(state):
    """A version whose classifier and augmenter had fewer parameters."""
    del (
        state["parameters"]["resources"],
        state["parameters"]["precision"],
        state["parameters"]["class_weight"],
    )
    del state["parameters"]["augmenter"]["zoom_range"]


def test_what_an_older_version_did_not_know_has_its_default(fitted, path, images):
    edit(path, STATE_FILE, older)
    loaded = TransferClassifier.load(path)
    assert loaded.get_params() == fitted.get_params() | {
        "resources": None,
        "head": loaded.head,
        "precision": "auto",
        "class_weight": None,
        "augmenter": loaded.augmenter,
        "augmenter__zoom_range": Augmenter().zoom_range,
        "balancer": loaded.balancer,
    }
    assert loaded.augmenter.horizontal_flip
    assert np.allclose(loaded.predict_proba(images), fitted.predict_proba(images), atol=1e-6)


FORMER = [
    {"head": "pooled", "pooling": "max", "feature_layers": ["relu1"], "label_smoothing": 0.1, "weight_decay": 0.01,
     "clip_norm": 1.0, "ema_momentum": 0.9, "feature_cache_bytes": 2**20, "distribution": None},
    {"head": "pooled", "taps": ["relu1"], "pooling": "max", "feature_budget": 2**20, "loss": "focal"},
    {"head": "published", "pooling": "max", "taps": []},
    {"head": "function dense", "pooling": None, "feature_layers": []},
]  # fmt: skip
"""Parameters as files have them that were written when all stood side by side."""


@pytest.mark.parametrize("former", FORMER, ids=["all", "first names", "published", "function"])
def test_parameters_that_stood_side_by_side_are_read(fitted, path, images, former):
    def rewrite(state):
        state["parameters"] = {key: state["parameters"][key] for key in ("backbone", "weights", "tta")} | former

    edit(path, STATE_FILE, rewrite)
    loaded = TransferClassifier.load(path)
    head, optimizer, loss, resources = loaded.head, loaded.optimizer, loaded.loss, loaded.resources
    if former["head"] == "pooled":
        assert head.get_params() == {"pooling": "max", "feature_layers": ("relu1",)}
        assert resources.feature_cache_bytes == 2**20
    else:
        assert (head, resources) == (former["head"], None)
    if former == FORMER[0]:
        assert (
            optimizer.get_params() == Optimizer("adam", weight_decay=0.01, clip_norm=1.0, ema_momentum=0.9).get_params()
        )
        assert (loss.get_params(), resources.distribution) == ({"name": "crossentropy", "label_smoothing": 0.1}, None)
    else:
        assert (optimizer, loss) == ("adam", former.get("loss", "crossentropy"))
    assert np.allclose(loaded.predict_proba(images), fitted.predict_proba(images), atol=1e-6)


@pytest.mark.parametrize(
    ("part", "kind"),
    [((), "TransferClassifier"), (("balancer",), "Balancer"), (("augmenter",), "Augmenter")],
    ids=["classifier", "balancer", "augmenter"],
)
def test_what_a_newer_version_knows_is_named_with_that_version(path, part, kind):
    def newer(state):
        parameters = state["parameters"]
        for name in part:
            parameters = parameters[name]
        parameters |= {"swirl": 1, "gloss": 2}
        state["provenance"]["versions"]["melanoma_tl"] = "9.8.7"

    edit(path, STATE_FILE, newer)
    with pytest.raises(ModelFileError) as caught:
        TransferClassifier.load(path)
    assert str(caught.value) == (
        f"{path}: {kind} of this version does not know 'gloss', 'swirl'; it was written by melanoma_tl 9.8.7: "
        "install that version (pip install melanoma_tl==9.8.7)"
    )


def test_a_part_that_this_version_does_not_know_is_not_ignored(path):
    """Scores may depend on it."""
    edit(path, STATE_FILE, lambda state: state.update(calibration={"temperature": 2.0}))
    with pytest.raises(ModelFileError, match=r"holds 'calibration', which this version cannot use; it was written by"):
        TransferClassifier.load(path)


@pytest.mark.parametrize("version", [2, 99, "1", None])
def test_another_format(path, version):
    edit(path, STATE_FILE, lambda state: state.update(format_version=version))
    message = (
        rf"format version {version!r}, this version of melanoma_tl reads 1; .*pip install melanoma_tl=={__version__}"
    )
    with pytest.raises(ModelFileError, match=message):
        TransferClassifier.load(path)


def drop(*names):
    def change(state):
        for name in names:
            del state[name]

    return change


@pytest.mark.parametrize("name", [name for name in PARTS if name not in ("tuning", "left_out")])
def test_a_document_that_lacks_a_part(path, name):
    edit(path, STATE_FILE, drop(name))
    with pytest.raises(ModelFileError, match=f"incomplete, its document lacks {name}$"):
        TransferClassifier.load(path)


def test_a_model_of_keras_that_is_not_ours(path):
    rewrite(path, lambda parts: parts.pop(STATE_FILE))
    with pytest.raises(ModelFileError, match=r"not a model that TransferClassifier\.save wrote"):
        TransferClassifier.load(path)


def test_the_name_must_end_in_keras(fitted, tmp_path):
    with pytest.raises(ModelFileError, match=r"ends in \.keras, got 'model\.h5'"):
        fitted.save(tmp_path / "model.h5")
