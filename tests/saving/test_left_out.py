"""Files without the weights of a backbone that may not be given on: the same scores, or a refusal."""

import io
import json
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
from conftest import draw_images
from hostile_models import ARCHIVES, DESCRIPTIONS, DOCUMENTS, HOSTILE_NETWORKS, SIZES
from model_files import edit, rewrite

from melanoma_tl import Ensemble, Probe, TransferClassifier
from melanoma_tl.backbones import get_backbone, register_backbone
from melanoma_tl.errors import ModelFileError, ParameterError, WeightsUnavailableError
from melanoma_tl.saving.audit import CONFIG_FILE, STATE_FILE, WEIGHTS_FILE

IMAGES, LABELS = draw_images(16), [0, 1] * 8
OTHERS = draw_images(6, seed=1)


def write_weights(path, seed):
    spec = get_backbone("tiny")
    keras.utils.set_random_seed(seed)
    backbone = spec.builder(spec.preprocess(keras.Input((32, 32, 3))), None)
    backbone.save_weights(path)
    return backbone.get_weights()


@pytest.fixture(scope="module")
def weights(tiny_backbone, tmp_path_factory):
    """A file of weights for a backbone whose weights may not be given on."""
    spec = get_backbone(tiny_backbone)
    options = {"preprocess": spec.preprocess, "input_size": spec.input_size, "may_redistribute": False}
    register_backbone("bound", **options)(spec.builder)
    path = tmp_path_factory.mktemp("weights") / "bound.weights.h5"
    write_weights(path, 1)
    return path


def fit(weights, backbone="bound", **options):
    options = {"stages": (Probe(),), "random_state": 0, "verbose": 0, "precision": "float32"} | options
    return TransferClassifier(backbone, weights=weights, **options).fit(IMAGES, LABELS)


@pytest.fixture(scope="module")
def classifier(weights):
    clf = fit(weights)
    clf.calibrate(draw_images(30, seed=2), [0, 1] * 15)
    return clf


@pytest.fixture(scope="module")
def saved(classifier, tmp_path_factory):
    path = tmp_path_factory.mktemp("left_out") / "model.keras"
    classifier.save(path)
    return path


@pytest.fixture
def copy(saved, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(saved.read_bytes())
    return path


def arrays_in(path):
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read(WEIGHTS_FILE))) as file:
        found = []
        file.visititems(lambda _, item: found.append(np.asarray(item)) if isinstance(item, h5py.Dataset) else None)
    return found


def test_the_file_holds_the_head_alone_and_gives_the_same_scores(saved, classifier, weights, tmp_path):
    assert [array.shape for array in arrays_in(saved)] == [(8, 1), (1,)]
    loaded = TransferClassifier.load(saved, weights=weights)
    assert np.array_equal(loaded.predict_proba(OTHERS), classifier.predict_proba(OTHERS))
    pairs = zip(loaded.model_.get_weights(), classifier.model_.get_weights(), strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)
    assert loaded.calibration_ == classifier.calibration_
    assert loaded.weights == weights
    loaded.save(tmp_path / "again.keras")
    again = TransferClassifier.load(tmp_path / "again.keras", weights=weights)
    assert np.array_equal(again.predict_proba(OTHERS), classifier.predict_proba(OTHERS))


def test_who_insists_gets_all_weights(classifier, weights, tmp_path):
    path = tmp_path / "whole.keras"
    classifier.save(path, include_backbone=True)
    loaded = TransferClassifier.load(path)
    assert np.array_equal(loaded.predict_proba(OTHERS), classifier.predict_proba(OTHERS))
    with pytest.raises(ParameterError, match="holds all weights: load it without weights="):
        TransferClassifier.load(path, weights=weights)
    loaded.save(path)
    assert len(arrays_in(path)) == 2, "left out again, without a word"


def test_others_can_leave_them_out_too(weights, tmp_path):
    clf = fit(weights, "tiny")
    clf.save(tmp_path / "whole.keras")
    assert len(arrays_in(tmp_path / "whole.keras")) > 2
    clf.save(tmp_path / "head.keras", include_backbone=False)
    loaded = TransferClassifier.load(tmp_path / "head.keras", weights=weights)
    assert np.array_equal(loaded.predict_proba(OTHERS), clf.predict_proba(OTHERS))


@pytest.mark.slow
def test_an_ensemble_leaves_them_out_of_each_member(classifier, weights, tmp_path):
    free = fit(None, "tiny")
    ensemble = Ensemble([classifier, free], verbose=0)
    ensemble.save(tmp_path / "both.zip")
    with pytest.raises(ModelFileError, match="does not hold the weights of its backbone"):
        Ensemble.load(tmp_path / "both.zip")
    loaded = Ensemble.load(tmp_path / "both.zip", weights=weights)
    assert np.array_equal(loaded.predict_proba(OTHERS), ensemble.predict_proba(OTHERS))
    ensemble.save(tmp_path / "both.zip", include_backbone=True)
    assert np.array_equal(Ensemble.load(tmp_path / "both.zip").predict_proba(OTHERS), ensemble.predict_proba(OTHERS))


# -- refused -----------------------------------------------------------------------------------------------------------


def test_a_file_is_not_loaded_without_them_nor_with_others(saved, tmp_path):
    with pytest.raises(ModelFileError, match=r"may not be given on: give them with load\(path, weights='imagenet'\)"):
        TransferClassifier.load(saved)
    write_weights(tmp_path / "other.weights.h5", 2)
    with pytest.raises(
        ModelFileError, match="was made with other weights of 'bound' than those given: their digest is"
    ):
        TransferClassifier.load(saved, weights=tmp_path / "other.weights.h5")
    with pytest.raises(ModelFileError, match="no such file; weights must be the path"):
        TransferClassifier.load(saved, weights=tmp_path / "gone.h5")


def test_what_was_trained_further_is_not_left_out(weights, tmp_path):
    tuned = fit(weights, stages=None, trainable_from="conv2", epochs=1)
    path = tmp_path / "model.keras"
    with pytest.raises(ModelFileError, match=r"'conv2' has other weights .* save\(path, include_backbone=True\) keeps"):
        tuned.save(path)
    assert not list(tmp_path.iterdir())
    tuned.save(path, include_backbone=True)
    assert np.array_equal(TransferClassifier.load(path).predict_proba(OTHERS), tuned.predict_proba(OTHERS))


@pytest.mark.slow
def test_what_cannot_be_found_again_is_not_left_out(weights, tmp_path):
    drawn = fit(None)
    drawn.save(tmp_path / "drawn.keras")
    TransferClassifier.load(tmp_path / "drawn.keras")
    with pytest.raises(ModelFileError, match="random weights of the backbone cannot be left out"):
        drawn.save(tmp_path / "drawn.keras", include_backbone=False)
    elsewhere = fit(weights)
    elsewhere.weights = tmp_path / "gone.h5"
    with pytest.raises(WeightsUnavailableError, match=r"gone\.h5: no such file; weights must be the path"):
        elsewhere.save(tmp_path / "model.keras")


def left_out(**changes):
    return lambda document: document["left_out"].update(changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (left_out(digest="0" * 64), "was made with other weights"),
        (left_out(digest=7), "digest must be"),
        (left_out(layers=[]), "layers must be"),
        (left_out(layers=["conv1"]), "was made with other weights"),
        (left_out(layers=["melanoma", "conv1", "norm1", "conv2"]), "was made with other weights"),
        (lambda document: document.update(left_out=[1]), "left_out must be"),
        (lambda document: document.update(left_out={}), "its document lacks digest, layers"),
        (lambda document: document.pop("left_out"), "cannot be read"),
        (lambda document: document["parameters"].update(backbone="kerashub:/tmp/evil"), "is named by its place"),
        (lambda document: document["parameters"].update(backbone="kerashub:hf://evil/x"), "is named by its place"),
        (lambda document: document["parameters"].update(backbone="nothing"), "nothing"),
    ],
)
def test_documents_that_say_otherwise(copy, weights, change, said):
    edit(copy, STATE_FILE, change)
    with pytest.raises(ModelFileError, match=said):
        TransferClassifier.load(copy, weights=weights)


def put_weights(path, arrays):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    rewrite(path, lambda parts: parts.update({WEIGHTS_FILE: buffer.getvalue()}))


@pytest.mark.slow
@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"000000": np.zeros((8, 1), "float32")},
        {"000000": np.zeros((9, 1), "float32"), "000001": np.zeros(1, "float32")},
        {"000000": np.zeros((8, 1), "float32"), "000001": np.zeros(1, "float32"), "2": np.zeros(1, "float32")},
        {"000000": np.full((8, 1), np.nan, "float32"), "000001": np.zeros(1, "float32")},
        {"000000": h5py.SoftLink("/000001"), "000001": np.zeros(1, "float32")},
        {"000000": h5py.ExternalLink("/etc/x.h5", "/y"), "000001": np.zeros(1, "float32")},
    ],
    ids=["none", "one", "other shape", "more", "no numbers", "link", "elsewhere"],
)
def test_weights_that_are_not_those_of_the_head(copy, weights, arrays):
    put_weights(copy, arrays)
    with pytest.raises(ModelFileError):
        TransferClassifier.load(copy, weights=weights)


def hostile():
    yield from ((f"network: {name}", CONFIG_FILE, change) for name, change in HOSTILE_NETWORKS.items())
    yield from ((f"size: {name}", CONFIG_FILE, change) for name, change in SIZES.items())
    yield from ((f"description: {name}", CONFIG_FILE, change) for name, change in DESCRIPTIONS.items())
    yield from ((f"document: {name}", STATE_FILE, change) for name, change in DOCUMENTS.items())
    yield from ((f"archive: {name}", None, change) for name, change in ARCHIVES.items())


@pytest.mark.slow
def test_everything_hostile_stays_refused(saved, weights, tmp_path):
    accepted = {}
    for number, (name, part, change) in enumerate(hostile()):
        path = tmp_path / f"{number}.keras"
        path.write_bytes(saved.read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            edit(path, part, change) if part else change(path)
        try:
            TransferClassifier.load(path, weights=weights)
            accepted[name] = "it was loaded"
        except ModelFileError as error:
            if str(path) not in str(error):
                accepted[name] = str(error)
        path.unlink()
    assert accepted == {}


def test_the_weights_are_nowhere_in_the_file(saved, weights):
    kernel = write_weights(weights.with_name("same.weights.h5"), 1)[0].tobytes()
    with zipfile.ZipFile(saved) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert not [name for name, content in parts.items() if kernel[:32] in content]
    assert json.loads(parts[STATE_FILE])["left_out"]["layers"] == ["conv1", "norm1", "conv2"]
