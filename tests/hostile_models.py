"""A corpus of hostile model files, each made from one that loads.

``python tests/hostile_models.py MODEL.keras FOLDER`` writes it, for other readers of such files to be tried on.
"""

import json
import os
import pickle
import shutil
import sys
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
from model_files import declare_size, edit, overwrite_directory, rewrite

from melanoma_tl.saving.audit import CONFIG_FILE, METADATA_FILE, STATE_FILE, WEIGHTS_FILE

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


# -- weights --


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


# -- numbers that spoil every score --


def overwrite(value, place=KERNEL):
    def change(weights):
        weights[place][...] = value

    return change


SPOILT_WEIGHTS = {
    "NaN": overwrite(np.nan),
    "infinity": overwrite(np.inf),
    "one NaN": lambda weights: weights[KERNEL].write_direct(np.array([[np.nan]], "float32"), dest_sel=np.s_[2:3]),
    "NaN in a bias": overwrite(np.nan, "layers/dense/vars/1"),
    "a variance below 0": overwrite(-1.0, "layers/batch_normalization/vars/3"),
    "numbers of the largest size": overwrite(3e38, "layers/conv2d_1/vars/0"),
    "complex numbers": replace(lambda weights: weights.create_dataset(KERNEL, (8, 1), "complex64")),
    "bytes": replace(lambda weights: weights.create_dataset(KERNEL, (8, 1), "S4")),
    "records": replace(lambda weights: weights.create_dataset(KERNEL, (8, 1), [("a", "f4")])),
    "another number of axes": replace(lambda weights: weights.create_dataset(KERNEL, data=np.zeros(8, "float32"))),
    "a scalar": replace(lambda weights: weights.create_dataset(KERNEL, data=np.float32(1))),
    "a group": replace(lambda weights: weights.create_group(KERNEL)),
}


# -- sizes and shapes --


def named(name, **changes):
    """Return a change of one layer's settings."""

    def change(config):
        entry = next(entry for entry in config["config"]["layers"] if entry["config"]["name"] == name)
        entry["config"] |= changes

    return change


def instead_of_relu(class_name, **config):
    return layer(class_name, name="relu1", **{key: value for key, value in config.items() if key != "name"})


SIZES = {
    "40000 x 40000 pixels": named("image", batch_shape=[None, 40000, 40000, 3]),
    "no pixels": named("image", batch_shape=[None, 0, 32, 3]),
    "half a pixel": named("image", batch_shape=[None, 32.5, 32, 3]),
    "any size": named("image", batch_shape=[None, None, None, 3]),
    "a batch of its own": named("image", batch_shape=[10**9, 32, 32, 3]),
    "four channels": named("image", batch_shape=[None, 32, 32, 4]),
    "no shape": named("image", batch_shape="large"),
    "words for pixels": named("image", dtype="string"),
    "two scores": named("melanoma", units=2),
    "no score": named("melanoma", units=0),
    "a billion scores": named("melanoma", units=10**9, activation="softmax"),
    "a score that is no probability": named("melanoma", activation="linear"),
    "a softmax of one": named("melanoma", activation="softmax"),
    "a kernel of any size": named("conv2", kernel_size=[10**6, 10**6], padding="same"),
    "a layer that enlarges": instead_of_relu("UpSampling2D", size=[20_000, 20_000]),
    "a layer that pads": instead_of_relu("ZeroPadding2D", padding=[[10**5, 10**5], [10**5, 10**5]]),
    "a layer that resizes": instead_of_relu("Resizing", height=40_000, width=40_000),
}


def chain(n):
    """Return a change that puts many layers in a row: not large, but without an end."""

    def change(config):
        config["config"]["layers"] *= n

    return change


DESCRIPTIONS = {
    "all layers twice": chain(2),
    "no layers": lambda config: config["config"].update(layers=[]),
    "layers that are no list": lambda config: config["config"].update(layers="many"),
    "a layer that is a number": lambda config: config["config"]["layers"].append(7),
    "a settings of a layer that are a list": lambda config: config["config"]["layers"][2].update(config=[1]),
    "no output": lambda config: config["config"].update(output_layers=[]),
    "another output": lambda config: config["config"].update(output_layers=["relu1", 0, 0]),
    "a circle": lambda config: config["config"]["layers"][2].update(
        inbound_nodes=config["config"]["layers"][-1]["inbound_nodes"]
    ),
    "no network": lambda config: config.update(class_name="Dense", config={"units": 1}),
    "a list": lambda config: config.update(config=[]),
}


# -- the document --


def at(*place, to):
    """Return a change of one value in a document."""

    def change(document):
        for key in place[:-1]:
            document = document[key]
        document[place[-1]] = to

    return change


POINT = {
    "threshold": 0.3,
    "rule": "Youden",
    "confidence": 0.95,
    "confusion_matrix": {"tn": 1, "fp": 1, "fn": 1, "tp": 1},
}


def tuned(calibration=None, point=None, **changes):
    return at("tuning", to={"calibration": calibration, "operating_point": point, "fingerprints": {"id": ""}} | changes)


CALIBRATION = {
    "slope": 1.0,
    "intercept": 0.0,
    "from_prevalence": None,
    "to_prevalence": None,
    "method": "sigmoid",
    "n_benign": 5,
    "n_melanoma": 5,
}


def calibrated(**changes):
    return tuned(CALIBRATION | changes)


def parameter(name, value):
    return at("parameters", name, to=value)


DOCUMENTS = {
    **{f"threshold {value!r}": parameter("threshold", value) for value in ("abc", 5, -1, float("nan"), None, [0.5])},
    **{f"classes {value!r}": at("classes", to=value) for value in (
        [1, 1], [0], [], [0, 1, 2], "01", {"0": 1}, [0, None], [[0], [1]], [1, 0], ["a", "A"], [0, float("inf")], 7,
    )},
    **{f"melanoma {value!r}": at("pos_label", to=value) for value in (2, "1", None, [1], {"a": 1})},
    **{f"{name}={value!r}": parameter(name, value) for name, value in (
        ("tta", 3), ("tta", "8"), ("precision", "float8"), ("on_error", "ignore"), ("verbose", "loud"),
        ("batch_size", 0), ("batch_size", 1e9), ("epochs", -1), ("learning_rate", float("inf")), ("dropout", 1),
        ("input_size", [40_000, 40_000]), ("input_size", "large"), ("backbone", 5), ("backbone", ["vgg19"]),
        ("weights", 5), ("weights", "a\0b"), ("head", None), ("pooling", "mean"), ("random_state", 2**64),
        ("class_weight", {"a": 1}), ("class_weight", {"0": -1, "1": 1}), ("class_weight", [1, 2]), ("stages", []),
        ("stages", [{"kind": "os.system"}]), ("stages", [{"C": 1}]), ("stages", [{"kind": "Probe", "C": "1"}]),
        ("stages", "all"), ("augmenter", "flip"), ("augmenter", {"rotation_range": "20"}), ("balancer", [1]),
        ("balancer", {"undersample": -5}), ("feature_layers", 5), ("loss", "eval"),
        ("optimizer", {"class_name": "Adam"}),
        ("no such parameter", 1), ("self", 1), ("feature_cache_bytes", float("nan")), ("ema_momentum", 2),
        ("head", {"pooling": "mean"}), ("head", {"feature_layers": 5}), ("head", {"layers": []}), ("head", [1]),
        ("loss", {"name": "eval"}), ("loss", {"label_smoothing": 2}), ("optimizer", {"name": 5}), ("optimizer", [1]),
        ("optimizer", {"weight_decay": -1}), ("resources", {"distribution": "all"}), ("resources", "all"),
        ("resources", {"feature_cache_bytes": float("nan")}), ("distribution", "all"), ("taps", {"a": 1}),
    )},
    "parameters that are a list": at("parameters", to=[1]),
    "parameters that are a word": at("parameters", to="all"),
    **{f"history {value!r}": at("history", to=value) for value in ([], {"loss": 1}, {"loss": ["low"]}, None)},
    **{f"skipped {value!r}": at("skipped", to=value) for value in ([[1, 2, 3]], [["a"]], "abc", {"a": 1}, None)},
    **{f"fingerprints {value!r}": at("fingerprints", to=value) for value in (
        {}, [], {"training": {}}, {"training": {"looks": 5}}, {"training": {"id": "?"}}, {"training": {"id": "AAAA"}},
        {"training": {"eye colour": ""}}, {"training": {"id": "", "bytes": "AAAAAAAAAAA="}}, {"validation": {"id": ""}},
    )},
    "no provenance": at("provenance", to={}),
    "a provenance that is a list": at("provenance", to=[]),
    "training counts that are words": at("provenance", "training_data", "rows_of_each_class_in_a_pass", to=["a", "b"]),
    "training counts below 0": at("provenance", "training_data", "rows_of_each_class_in_a_pass", to=[-1, 1]),
    "training counts of one class": at("provenance", "training_data", "rows_of_each_class_in_a_pass", to=[1]),
    "class weights of another kind": at("provenance", "parameters", "class_weight", to=7),
    "versions that are numbers": at("provenance", "versions", to={"keras": 3}),
    **{f"slope {value!r}": calibrated(slope=value) for value in (0, -1, "1", float("nan"), None, [1])},
    **{f"intercept {value!r}": calibrated(intercept=value) for value in ("0", float("inf"), None)},
    "another method": calibrated(method="eval"),
    "half an image": calibrated(n_benign=0.5),
    "half a shift": calibrated(from_prevalence=0.5),
    "a prevalence of 1": calibrated(from_prevalence=0.5, to_prevalence=1),
    "a calibration with more": calibrated(code="x"),
    "a calibration with less": tuned({"slope": 1.0}),
    **{f"an operating point with {name}={value!r}": tuned(point=POINT | {name: value}) for name, value in (
        ("threshold", "abc"), ("threshold", 2), ("threshold", float("nan")), ("confidence", 1), ("rule", 5),
        ("confusion_matrix", {"tn": 1}), ("confusion_matrix", [1, 1, 1, 1]),
        ("confusion_matrix", {"tn": -1, "fp": 1, "fn": 1, "tp": 1}),
        ("confusion_matrix", {"tn": 10**30, "fp": 1, "fn": 1, "tp": 1}),
    )},
    "an empty operating point": tuned(point={}),
    "tuning that is a list": at("tuning", to=[1]),
    "tuning fingerprints that are a list": tuned(fingerprints=[1]),
    "an unknown part": at("code", to="import os"),
    "format version 2": at("format_version", to=2),
    "a format version that is true": at("format_version", to=True),
}  # fmt: skip


# -- the archive --


def add(name, content=b"x"):
    return lambda path: rewrite(path, lambda parts: parts.update({name: content}))


def put(name, content):
    return lambda path: rewrite(path, lambda parts: parts.update({name: content}))


def twice(name):
    def change(path):
        with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
            warnings.simplefilter("ignore")
            archive.writestr(name, archive.read(name))

    return change


def cut(share):
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def write_link(path):
    """A member that would be unpacked to a symbolic link."""
    rewrite(path, lambda parts: parts.pop(WEIGHTS_FILE))
    member = zipfile.ZipInfo(WEIGHTS_FILE)
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, "/etc/passwd")


def bomb(path):
    rewrite(path, lambda parts: parts.update({WEIGHTS_FILE: bytes(2**26)}), zipfile.ZIP_DEFLATED)


def lie(path):
    bomb(path)
    declare_size(path, WEIGHTS_FILE, 1000)


def name_nothing(path):
    rewrite(path, lambda parts: parts.update({"!": b"x"}))
    overwrite_directory(path, "!", 28, "<L", 1 << 16)  # the length of the name becomes that of the field after it


class _Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)


ARCHIVES = {
    **{f"a member {name}": add(name) for name in (
        "../evil.py", "/tmp/evil.py", "assets/../../evil.py", "C:\\evil.py", "evil.pkl", "..", "assets/x", "a\0b",
        "CONFIG.JSON", "model.weights.h5/",
    )},
    **{f"{name} twice": twice(name) for name in (CONFIG_FILE, WEIGHTS_FILE, STATE_FILE, METADATA_FILE)},
    **{f"without {name}": lambda path, name=name: rewrite(path, lambda parts: parts.pop(name)) for name in (
        CONFIG_FILE, WEIGHTS_FILE, STATE_FILE,
    )},
    **{f"cut at {share:.0%}": cut(share) for share in (0, 0.01, 0.3, 0.7, 0.99)},
    **{f"{name} is {what}": put(name, content) for name in (CONFIG_FILE, STATE_FILE) for what, content in {
        "empty": b"", "a list": b"[1]", "a number": b"7", "null": b"null", "cut": b'{"a": ', "not text": b"\xff\xfe",
        "nested": b"[" * 200_000, "long": b"[" + b"0," * 2**22 + b"0]",
        "a large number": b'{"a": ' + b"9" * 10_000 + b"}",
    }.items()},
    "a member without a name": name_nothing,
    "weights that are no HDF5": put(WEIGHTS_FILE, b"nothing"),
    "weights that are a pickle": put(WEIGHTS_FILE, pickle.dumps(_Evil())),
    "weights that are a link": write_link,
    "a zip bomb": bomb,
    "a zip bomb that lies": lie,
    "a text that unpacks to more": lambda path: declare_size(path, STATE_FILE, 2**31),
    "packed in an unusual way": lambda path: rewrite(path, lambda parts: None, zipfile.ZIP_LZMA),
    "encrypted": lambda path: overwrite_directory(path, CONFIG_FILE, 8, "<H", 1),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(_Evil())),
    "an HDF5 file": lambda path: h5py.File(path, "w").close(),
    "a text": lambda path: path.write_text("hello"),
    "nothing": lambda path: path.write_bytes(b""),
}  # fmt: skip


def write_corpus(saved, folder):
    """Write every hostile file into a folder; return its path by what is wrong with it."""
    changes = {
        **{f"network: {name}": _editing(CONFIG_FILE, change) for name, change in HOSTILE_NETWORKS.items()},
        **{f"size: {name}": _editing(CONFIG_FILE, change) for name, change in SIZES.items()},
        **{f"description: {name}": _editing(CONFIG_FILE, change) for name, change in DESCRIPTIONS.items()},
        **{f"weights: {name}": _weighing(change) for name, (change, _) in HOSTILE_WEIGHTS.items()},
        **{f"numbers: {name}": _weighing(change) for name, change in SPOILT_WEIGHTS.items()},
        **{f"document: {name}": _editing(STATE_FILE, change) for name, change in DOCUMENTS.items()},
        **{f"archive: {name}": change for name, change in ARCHIVES.items()},
    }
    paths = {}
    for number, (name, change) in enumerate(changes.items()):
        paths[name] = Path(shutil.copy(saved, folder / f"{number:03}.keras"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            change(paths[name])
    return paths


def _editing(name, change):
    return lambda path: edit(path, name, change)


def _weighing(change):
    return lambda path: change_weights(path, change)


if __name__ == "__main__":
    target = Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    written = write_corpus(Path(sys.argv[1]), target)
    (target / "contents.json").write_text(json.dumps({path.name: name for name, path in written.items()}, indent=2))
