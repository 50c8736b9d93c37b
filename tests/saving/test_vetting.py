"""Hostile model files: each is a real file, made from one that loads."""

import os
import pickle
import shutil
import tempfile
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from hostile_models import HOSTILE_NETWORKS, HOSTILE_WEIGHTS, change_weights, layer
from model_files import declare_size, edit, overwrite_directory, rewrite

from melanoma_tl import TransferClassifier
from melanoma_tl.errors import ModelFileError, ParameterError
from melanoma_tl.saving.audit import CONFIG_FILE, MAX_BYTES, MAX_VALUES, STATE_FILE, WEIGHTS_FILE
from melanoma_tl.saving.model_file import load_model, save_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory, images, labels):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    TransferClassifier("tiny", weights=None, epochs=1, random_state=0, verbose=0).fit(images, labels).save(path)
    return path


@pytest.fixture
def path(saved, tmp_path):
    return Path(shutil.copy(saved, tmp_path / "model.keras"))


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    """Where weights are unpacked; nothing is to stay there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.glob("melanoma_tl_*"))


def refuse(path, message):
    with pytest.raises(ModelFileError, match=message) as caught:
        TransferClassifier.load(path)
    assert str(caught.value).startswith(str(path))


def test_the_file_that_the_others_are_made_from_loads(path, images):
    edit(path, CONFIG_FILE, lambda config: None)
    change_weights(path, lambda weights: None)
    assert TransferClassifier.load(path).set_params(verbose=0).predict_proba(images[:2]).shape == (2, 2)


# -- code in the description of the network --


@pytest.mark.parametrize("change", HOSTILE_NETWORKS.values(), ids=HOSTILE_NETWORKS)
def test_a_network_may_only_name_layers_of_keras(path, change):
    edit(path, CONFIG_FILE, change)
    refuse(path, "refused, (its network|config.json) (names|holds)")


def test_what_is_refused_would_have_run(path, tmp_path):
    """The vector is alive: without the checks and the safe mode, Keras runs the code in the file."""
    marker = tmp_path / "ran"
    source = f"lambda x: [x, __import__('pathlib').Path({str(marker)!r}).touch()][0][:, 0, 0, :1]"
    given = keras.Input((32, 32, 3))
    scores = keras.layers.Lambda(eval(source))(given)
    hostile = tmp_path / "hostile.keras"
    keras.Model(given, scores).save(hostile)
    with zipfile.ZipFile(path) as ours, zipfile.ZipFile(hostile, "a") as archive:
        archive.writestr(STATE_FILE, ours.read(STATE_FILE))
    marker.unlink()
    refuse(hostile, "path, an address or code|Lambda")
    assert not marker.exists()
    keras.saving.load_model(hostile, safe_mode=False)
    assert marker.exists()


def test_keras_unsafe_mode_does_not_open_a_door(path):
    edit(path, CONFIG_FILE, HOSTILE_NETWORKS["bytes of a function"])

    def load():
        keras.config.enable_unsafe_deserialization()  # in this thread alone
        refuse(path, "refused, its network names")

    with ThreadPoolExecutor(1) as thread:
        thread.submit(load).result()


def test_it_says_what_was_found(path):
    edit(path, CONFIG_FILE, HOSTILE_NETWORKS["os.system"])
    refuse(path, r"its network names 'os\.system'\. Only layers of Keras .*\.register_keras_serializable")
    edit(path, CONFIG_FILE, layer("\x1b[2J" + "x" * 500, "os"))
    refuse(path, r"names 'os\.\\x1b\[2Jx{50,90}\.\.\.\. Only")


def test_a_description_that_is_nested_or_no_network(path, saved):
    deep = []
    for _ in range(200):
        deep = [deep]
    edit(path, CONFIG_FILE, layer("Activation", activation="relu", deep=deep))
    refuse(path, "nested more than 100 levels deep")
    rewrite(path, lambda parts: parts.update({CONFIG_FILE: b"[" * 200_000 + b"]" * 200_000}))
    refuse(path, "config.json is nested too deeply")
    rewrite(path, lambda parts: parts.update({CONFIG_FILE: b"{}"}))
    refuse(path, "config.json describes no network of a classifier")
    shutil.copy(saved, path)
    edit(path, CONFIG_FILE, lambda config: config["config"]["layers"].pop(-2))
    refuse(path, "cannot be read .* written with Keras")


def test_a_constant_may_not_be_of_any_size(path):
    constant = {"class_name": "__numpy__", "config": {"value": ["x"] * 1000, "dtype": "S1000000000"}}
    edit(path, CONFIG_FILE, layer("Activation", activation="relu", constant=constant))
    refuse(path, "Invalid dtype")


def test_a_network_needs_no_more_memory_than_its_weights(path, images, labels):
    def blow_up(config):
        layer = next(x["config"] for x in config["config"]["layers"] if x["config"]["name"] == "conv2")
        layer |= {"kernel_size": [10**6, 10**6], "padding": "same"}

    edit(path, CONFIG_FILE, blow_up)
    refuse(path, r"its network declares 32,000,000,000,\d+ numbers, and its weights file holds \d{3}$")
    # What was refused is gone, and does not get its memory when the next network is built.
    TransferClassifier("tiny", weights=None, epochs=1, verbose=0).fit(images, labels)


def test_a_network_that_is_no_classifier(path, tmp_path):
    given = keras.Input((8,), name="given")
    other = tmp_path / "other.keras"
    keras.Model(given, keras.layers.Dense(3)(given)).save(other)
    with zipfile.ZipFile(path) as ours, zipfile.ZipFile(other, "a") as archive:
        archive.writestr(STATE_FILE, ours.read(STATE_FILE))
    refuse(other, "describes no network of a classifier, from one image to the layer 'melanoma'")


# -- the archive --


@pytest.mark.parametrize(
    "name", ["../evil.py", "/tmp/evil.py", "assets/../../evil.py", "C:\\evil.py", "evil.pkl", "model.weights.npz"]
)
def test_an_archive_may_hold_nothing_else(path, name):
    rewrite(path, lambda parts: parts.update({name: b"x"}))
    refuse(path, r"refused, it holds '.*(evil|npz)")


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_an_archive_must_hold_everything(path, name):
    rewrite(path, lambda parts: parts.pop(name))
    refuse(path, f"incomplete, {name} is missing")


def test_a_member_twice(path):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(CONFIG_FILE, "{}")
    refuse(path, "a member twice")


def test_a_zip_bomb(path):
    rewrite(path, lambda parts: parts.update({WEIGHTS_FILE: bytes(2**26)}), zipfile.ZIP_DEFLATED)
    refuse(path, r"model\.weights\.h5 unpacks from 65,\d+ to 67,108,864 bytes, where at most 6,5")


@pytest.mark.parametrize("name", MAX_BYTES)
def test_a_text_that_is_too_long(path, name):
    declare_size(path, name, MAX_BYTES[name] + 1)
    refuse(path, f"{name} unpacks from .* to {MAX_BYTES[name] + 1:,} bytes")


def test_a_directory_that_lies(path):
    """What is unpacked never exceeds what the directory declares, nor what the file can hold."""
    rewrite(path, lambda parts: parts.update({WEIGHTS_FILE: bytes(2**26)}), zipfile.ZIP_DEFLATED)
    overwrite_directory(path, WEIGHTS_FILE, 20, "<L", 2**31)  # its packed size
    refuse(path, r"model\.weights\.h5 unpacks from 6\d,\d{3} to 67,108,864 bytes")
    declare_size(path, WEIGHTS_FILE, 1000)
    refuse(path, "cannot be read .*CRC")


def test_unusual_packing(path, saved):
    rewrite(path, lambda parts: None, zipfile.ZIP_LZMA)
    refuse(path, "is packed in an unusual way")
    shutil.copy(saved, path)
    overwrite_directory(path, CONFIG_FILE, 8, "<H", 1)  # encrypted
    refuse(path, "config.json is encrypted")


def test_files_of_other_kinds(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "model.keras"
    path.write_bytes(pickle.dumps(Evil()))
    refuse(path, "a Python pickle, which runs any code")
    assert not (tmp_path / "ran").exists()
    with h5py.File(path, "w"):
        pass
    refuse(path, "an HDF5 file, as older versions of Keras")
    path.write_text("hello")
    refuse(path, "not a model file")
    refuse(tmp_path / "none.keras", "no such file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "melanoma_tl.json is damaged"),
        (b"[1]", r"melanoma_tl.json is damaged \(it holds a list\)"),
        (b"[" * 200_000, "melanoma_tl.json is nested too deeply"),
        (b"[" + b"0," * MAX_VALUES + b"0,0]", "melanoma_tl.json has more than 4,194,304 values"),
        (b'{"format_version": ' + b"9" * 10_000 + b"}", "melanoma_tl.json is damaged"),
        (b"\xff", "melanoma_tl.json is damaged"),
    ],
    ids=["cut", "list", "nested", "long", "large number", "no text"],
)
def test_a_document_that_is_damaged_or_does_harm(path, text, message):
    rewrite(path, lambda parts: parts.update({STATE_FILE: text}))
    refuse(path, message)


def test_any_damage_is_one_kind_of_error(path, saved):
    """Bytes that change or are cut off, anywhere: the file loads, or says why it does not."""
    rng = np.random.default_rng(0)
    whole = saved.read_bytes()
    n_refused = 0
    for _ in range(60):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)] if rng.random() < 0.3 else whole)
        # Most at the end, where the directory is, or in the texts; the rest is guarded by checksums.
        for place in rng.integers(max(0, len(damaged) - 500), len(damaged), rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            load_model(path)
        except ModelFileError:
            n_refused += 1
    assert n_refused > 30


# -- the weights --


@pytest.mark.filterwarnings("ignore:Skipping nested container")  # Keras's, of weights that were taken out
@pytest.mark.parametrize(("change", "message"), HOSTILE_WEIGHTS.values(), ids=HOSTILE_WEIGHTS)
def test_weights_are_plain_arrays_in_the_file(path, change, message):
    change_weights(path, change)
    refuse(path, message)


def test_weights_that_are_no_hdf5(path):
    rewrite(path, lambda parts: parts.update({WEIGHTS_FILE: b"nothing"}))
    refuse(path, "the graph or its weights cannot be read")


# -- what must go on to work --


def save_and_load(network, path):
    save_model(network, {}, path)
    return load_model(path).model


def classify(features, given):
    score = keras.layers.Dense(1, activation="sigmoid", name="melanoma", dtype="float32")(features)
    return keras.Model(given, score)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV3Small", "ConvNeXtTiny"])
def test_networks_of_keras_load(name, tmp_path):
    """One with operations, rescaling and squeezes; one whose layers are not public."""
    given = keras.Input((32, 32, 3), name="image")
    backbone = getattr(keras.applications, name)(include_top=False, weights=None, pooling="avg", input_tensor=given)
    network = classify(backbone.output, given)
    again = save_and_load(network, tmp_path / "model.keras")
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(again.predict_on_batch(images), network.predict_on_batch(images), atol=1e-6)


@pytest.mark.slow
def test_the_published_network_loads(tmp_path):
    """Half a gigabyte."""
    given = keras.Input((224, 224, 3), name="image")
    features = keras.layers.Flatten()(
        keras.applications.VGG19(include_top=False, weights=None, input_tensor=given).output
    )
    for name in ("fc1", "fc2"):
        features = keras.layers.Dense(4096, activation="relu", name=name)(features)
    network = classify(features, given)
    again = save_and_load(network, tmp_path / "model.keras")
    assert (tmp_path / "model.keras").stat().st_size > 5e8
    np.testing.assert_array_equal(again.get_layer("fc2").kernel, network.get_layer("fc2").kernel)


class Halve(keras.layers.Layer):
    """What a package or a user could bring along."""

    def call(self, inputs):
        return inputs / 2


@pytest.fixture
def halved(images, labels):
    def head(features):
        return Halve(name="halve")(keras.layers.GlobalAveragePooling2D()(features))

    clf = TransferClassifier("tiny", weights=None, head=head, epochs=1, verbose=0)
    with pytest.raises(ParameterError, match=r"could be trained, but not saved: .*Halve'.*register"):
        clf.fit(images, labels)
    keras.saving.register_keras_serializable("package")(Halve)
    try:
        return clf.fit(images, labels)
    finally:
        keras.saving.get_custom_objects().pop("package>Halve")


def test_registered_layers_load_and_others_are_not_even_saved(halved, saved, path, images):
    with pytest.raises(ModelFileError, match=r"not saved, because it could not be loaded again: .*Halve'.*register"):
        halved.save(path)
    assert path.read_bytes() == saved.read_bytes()
    keras.saving.register_keras_serializable("package")(Halve)
    try:
        halved.save(path)
        loaded = TransferClassifier.load(path).set_params(verbose=0)
        np.testing.assert_allclose(loaded.predict_proba(images), halved.predict_proba(images), atol=1e-6)
    finally:
        keras.saving.get_custom_objects().pop("package>Halve")
    refuse(path, "names 'test_vetting.Halve'")


def test_a_lambda_is_not_even_trained(images, labels):
    def head(features):
        return keras.layers.Lambda(keras.ops.max, arguments={"axis": (1, 2)}, output_shape=(8,))(features)

    clf = TransferClassifier("tiny", weights=None, head=head, precision="float32", epochs=1, verbose=0)
    with pytest.raises(ParameterError, match=r"could be trained, but not saved: .*'keras\.layers\.Lambda'"):
        clf.fit(images, labels)


def test_what_is_written_in_a_description_is_not_what_is_shown(path):
    """An attacker's text reaches a terminal escaped."""
    edit(path, STATE_FILE, lambda state: state.update({"\x1b]0;owned\x07": 1}))
    refuse(path, r"holds '\\x1b\]0;owned\\x07', which this version cannot use")


def test_a_version_is_only_repeated_where_it_is_one(path):
    def lie(state):
        state["provenance"]["versions"]["melanoma_tl"] = "1; rm -r ."
        state["format_version"] = 7

    edit(path, STATE_FILE, lie)
    refuse(path, "format version 7.*it does not say which version wrote it")
