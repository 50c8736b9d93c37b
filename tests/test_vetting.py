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
from model_files import declare_size, edit, overwrite_directory, rewrite

from melanoma_tl import TransferClassifier
from melanoma_tl.errors import ModelFileError, ParameterError
from melanoma_tl.persistence import load_model, save_model
from melanoma_tl.vetting import CONFIG_FILE, MAX_BYTES, MAX_VALUES, STATE_FILE, WEIGHTS_FILE


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


def network_with(change):
    """Return a change of the archive: the activation layer becomes something else."""

    def change_config(config):
        layer = next(layer for layer in config["config"]["layers"] if layer["config"]["name"] == "relu1")
        change(layer)

    return change_config


def layer(class_name, module="keras.layers", **config):
    """Describe a layer as Keras would."""

    def change(entry):
        entry.pop("registered_name", None)
        entry |= {"module": module, "class_name": class_name, "config": {"name": "relu1", **config}}

    return network_with(change)


def function(name, module):
    return {"class_name": "function", "config": name, "module": module, "registered_name": name}


def activation(described):
    return network_with(lambda entry: entry["config"].update(activation=described))


HOSTILE_NETWORKS = {
    # CVE-2025-1550: any function of any module
    "os.system": layer("system", "os", command="true"),
    "eval": layer("eval", "builtins"),
    "Popen": layer("Popen", "subprocess", args=["true"]),
    "a function of another module": activation(function("system", "os")),
    "a registered name": network_with(lambda entry: entry.update(registered_name="os>system", module="os")),
    "a name that is registered nowhere": network_with(lambda entry: entry.update(registered_name="x>y", module=None)),
    # CVE-2025-8747 and CVE-2025-9906: functions of Keras that load, download, or switch the safe mode off
    "get_file": layer("Lambda", function=function("get_file", "keras.utils"), arguments={"origin": "x"}),
    "unsafe": layer("Lambda", function=function("enable_unsafe_deserialization", "keras.config")),
    "unsafe as activation": activation(function("enable_unsafe_deserialization", "keras.config")),
    "load_model": layer("Lambda", function=function("load_model", "keras.models")),
    "deserialize": activation(function("deserialize", "keras.activations")),
    # CVE-2024-3660: a function's bytes; also in the layout of older versions, which names no module
    "bytes of a function": layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wEA"}}),
    "bytes of a function, alone": activation({"class_name": "__lambda__", "config": {"value": ["4wEA", None, None]}}),
    "Lambda as older versions had it": network_with(
        lambda entry: (entry.pop("module"), entry.update(class_name="Lambda"))
    ),
    "no module": network_with(lambda entry: entry.pop("module")),
    # CVE-2026-1462 and its like: layers that load code from elsewhere
    "TFSMLayer": layer("TFSMLayer", filepath="elsewhere"),
    "TFSMLayer by its inner name": layer("TFSMLayer", "keras.src.export.tfsm_layer", filepath="elsewhere"),
    "TorchModuleWrapper": layer("TorchModuleWrapper", module_="gASVAAAA"),
    "JaxLayer": layer("JaxLayer", call_fn="f"),
    # CVE-2025-12058: layers that read any file or address
    "vocabulary": layer("StringLookup", vocabulary="secrets.txt"),
    "vocabulary by path": layer("StringLookup", vocabulary="/etc/passwd"),
    "an address": layer("Activation", activation="relu", source="https://example.org"),
    # CVE-2026-12479: names of layers that become paths
    "a layer's name": layer("Activation", activation="relu", name="../../evil"),
    "a layer's name, Windows": layer("Activation", activation="relu", name="..\\evil"),
    # what is in Keras, but no part of a network
    "a module in a module": layer("os", "keras.src.utils.file_utils"),
    "a class of Keras": layer("LambdaCallback", "keras.callbacks"),
    "a module that is not there": layer("Dense", "keras.layers.nothing"),
    "a type of TensorFlow": layer("__typespec__", "tensorflow"),
    "no name": network_with(lambda entry: entry.update(class_name=["Dense"])),
}


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
    refuse(path, "config.json describes no network")
    shutil.copy(saved, path)
    edit(path, CONFIG_FILE, lambda config: config["config"]["layers"].pop())
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
    refuse(other, r"maps \[\(None, 8\)\] to \[\(None, 3\)\], not images")


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
    refuse(path, "encrypted or packed in an unusual way")
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


def change_weights(path, change):
    with zipfile.ZipFile(path) as archive:
        (path.parent / "weights.h5").write_bytes(archive.read(WEIGHTS_FILE))
    with h5py.File(path.parent / "weights.h5", "a", libver="latest") as weights:
        change(weights)
    rewrite(path, lambda parts: parts.update({WEIGHTS_FILE: (path.parent / "weights.h5").read_bytes()}))


KERNEL = "layers/dense/vars/0"


def replace(make):
    """Return a change of the weights file: one array makes room for something else."""

    def change(weights):
        del weights[KERNEL]
        make(weights)

    return change


def make_external(weights):
    weights.create_dataset(KERNEL, (8, 1), "float32", external=[("/etc/hostname", 0, 32)])


def make_virtual(weights):
    layout = h5py.VirtualLayout((8, 1), "float32")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (8, 1))
    weights.create_virtual_dataset(KERNEL, layout)


HOSTILE_WEIGHTS = {
    # CVE-2026-1669: other files
    "external array": (replace(make_external), "lies in another file: '/etc/hostname'"),
    "external link": (
        replace(lambda weights: weights.update({KERNEL: h5py.ExternalLink("/etc/x.h5", "/y")})),
        "holds a link to '/etc/x.h5:/y'",
    ),
    "soft link": (replace(lambda weights: weights.update({KERNEL: h5py.SoftLink("/layers")})), "a link to '/layers'"),
    "virtual array": (replace(make_virtual), "is put together from other files"),
    # CVE-2026-0897: shapes without numbers
    "no data": (
        replace(lambda weights: weights.create_dataset(KERNEL, (10**12,), "float32")),
        "declares 4,000,000,000,000 bytes and holds 0",
    ),
    "packed": (
        replace(lambda weights: weights.create_dataset(KERNEL, (10**6, 10**6), "float32", compression="gzip")),
        "is packed, which Keras never does",
    ),
    "one array in many places": (
        lambda weights: weights.update({f"layers/copy{i}": weights[KERNEL] for i in range(9)}),
        "in two places",
    ),
    "no numbers": (
        replace(lambda weights: weights.create_dataset(KERNEL, (8, 1), h5py.string_dtype())),
        "is not an array of numbers",
    ),
    "nothing": (replace(lambda weights: weights.update({KERNEL: h5py.Empty("float32")})), "is not an array of numbers"),
    "a type": (replace(lambda weights: weights.update({KERNEL: np.dtype("float32")})), "is not an array of numbers"),
    "large attribute": (
        replace(lambda weights: weights.create_dataset(KERNEL, (8, 1)).attrs.update(dtype=np.zeros(10**5))),
        "too large an attribute at '/layers/dense/vars/0'",
    ),
    "other shape": (replace(lambda weights: weights.update({KERNEL: np.zeros((9, 1), "float32")})), "cannot be read"),
    "missing": (replace(lambda weights: None), "cannot be read"),
}


@pytest.mark.parametrize(("change", "message"), HOSTILE_WEIGHTS.values(), ids=HOSTILE_WEIGHTS)
def test_weights_are_plain_arrays_in_the_file(path, change, message):
    change_weights(path, change)
    refuse(path, message)


def test_weights_that_are_no_hdf5(path):
    rewrite(path, lambda parts: parts.update({WEIGHTS_FILE: b"nothing"}))
    refuse(path, "the graph or its weights cannot be read")


# -- what must go on to work --


def save_and_load(network, path):
    state = {name: {} for name in ("parameters", "history", "fingerprints", "provenance")} | {
        "classes": [0, 1],
        "skipped": [],
    }
    save_model(network, state, path)
    return load_model(path).model


def classify(features, given):
    score = keras.layers.Dense(1, activation="sigmoid", name="melanoma", dtype="float32")(features)
    return keras.Model(given, score)


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
