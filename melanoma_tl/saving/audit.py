"""Look at a model file from anywhere before anything of it is run.

A model file is a zip archive with a description of the network (``config.json``), its weights
(``model.weights.h5``) and our own document. Keras builds what the description names, and allocates
what description and weights declare. So each is compared here with what a classifier needs, and
with what the file really holds.
"""

import importlib
import json
import math
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from melanoma_tl._parameters import SIZE, check, choice, whole
from melanoma_tl._zip import MAX_EXPANSION, why_refused
from melanoma_tl.backbones.kerashub import import_hub
from melanoma_tl.errors import MelanomaTLError, ModelFileError
from melanoma_tl.network.graph import SCORE_LAYER

CONFIG_FILE, METADATA_FILE, WEIGHTS_FILE = "config.json", "metadata.json", "model.weights.h5"
"""Keras's names for its parts of the archive."""

STATE_FILE = "melanoma_tl.json"
"""Name of our part; Keras leaves it alone."""

ENSEMBLE_FILE = "ensemble.json"
"""Name of the part of a saved ensemble that is no member."""

MAX_BYTES = {CONFIG_FILE: 2**24, METADATA_FILE: 2**16, STATE_FILE: 2**28}
"""What the texts may take unpacked: Keras's largest networks need 2 MB, fingerprints of a million images 120."""

MAX_VALUES = 2**22
"""Values in one text: each takes memory, however short it is."""

MAX_DEPTH = 100
"""Levels of lists and dictionaries in the description of a network; ten are usual."""

SLACK = 2**20
"""Numbers that a network may have beyond those in the weights file, for layers that do not save all of theirs."""

MAX_PER_PIXEL, MAX_TENSOR = 1024, 2**26
"""Numbers that one layer may make of an image: so many a pixel of the input, or so many in all. Keras's networks make
64 a pixel; without a limit a layer that enlarges or pads, and has no weights, would fill any memory."""

PACKAGES = ("keras", "keras_hub")
OWN_LAYERS = {
    "melanoma_tl>PresetLayer": "preset_layers",
    "melanoma_tl>RotaryBlock": "preset_layers",
    "melanoma_tl>EncoderLayer": "encoder_layer",
}
"""Layers of this library, which are registered when they are first needed, by the module of `backbones`."""

_VALUES = ("__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__", "__bytes__")
"""What Keras writes in the way of a class, but reads as a value."""

_FORBIDDEN = (
    # They carry code, or load it from elsewhere.
    "Lambda",
    "TFSMLayer",
    "JaxLayer",
    "FlaxLayer",
    "TorchModuleWrapper",
    # They read any file that they are given the name of.
    "StringLookup",
    "IntegerLookup",
    "TextVectorization",
)


def check_model_archive(archive: zipfile.ZipFile, n_bytes: int) -> None:
    """Check the directory of a model file.

    Parameters
    ----------
    archive : ZipFile
        Nothing of it is unpacked.
    n_bytes : int
        The size of its file.

    Raises
    ------
    ModelFileError
        If it is a model of Keras alone, or as `check_archive`.
    """
    names = archive.namelist()
    if ENSEMBLE_FILE in names:
        raise ModelFileError("an ensemble: open it with Ensemble.load")
    if STATE_FILE not in names:
        raise ModelFileError(
            f"not a model that TransferClassifier.save wrote ({STATE_FILE} is missing); "
            "open a model of Keras with keras.saving.load_model"
        )
    check_archive(archive, n_bytes, {**MAX_BYTES, WEIGHTS_FILE: None})


def check_archive(archive: zipfile.ZipFile, n_bytes: int, expected: Mapping[str, int | None]) -> None:
    """Check the directory of an archive: its members, how they are packed, and how large they get.

    Parameters
    ----------
    archive : ZipFile
        Nothing of it is unpacked.
    n_bytes : int
        The size of its file.
    expected : mapping of str to int or None
        What each member may take unpacked; None allows `MAX_EXPANSION` times its packed size.

    Raises
    ------
    ModelFileError
        If a member is missing, unknown, there twice, encrypted, packed in an unusual way, or too large.
    """
    members = archive.infolist()
    names = [member.filename for member in members]
    if expected.keys() - set(names):
        raise ModelFileError(f"incomplete, {', '.join(sorted(expected.keys() - set(names)))} is missing")
    if set(names) - expected.keys():
        unknown = quoted(*sorted(set(names) - expected.keys()))
        raise ModelFileError(f"refused, it holds {unknown}, which no model file does")
    if len(names) > len(expected):
        raise ModelFileError("refused, it holds a member twice")
    for member in members:
        if reason := why_refused(member, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)):
            raise ModelFileError(f"refused, {member.filename} {reason}")
        packed = min(member.compress_size, n_bytes)  # the directory may say anything
        most = expected[member.filename]
        limit = MAX_EXPANSION * packed if most is None else most
        if member.file_size > limit:
            raise ModelFileError(
                f"refused, {member.filename} unpacks from {packed:,} to {member.file_size:,} bytes, "
                f"where at most {limit:,} are needed"
            )


def read_json(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """Read one of the texts.

    Parameters
    ----------
    archive : ZipFile
        Checked by `check_archive`: `zipfile` unpacks no more than what the directory declares.
    name : str
        The member.

    Returns
    -------
    dict
        What it holds.

    Raises
    ------
    ModelFileError
        If it is not JSON, not a dictionary, nested too deeply, or has too many values.
    """
    text = archive.read(name)
    if text.count(b",") > MAX_VALUES:
        raise ModelFileError(f"refused, {name} has more than {MAX_VALUES:,} values")
    try:
        document = json.loads(text)
    except RecursionError:
        raise ModelFileError(f"refused, {name} is nested too deeply") from None
    except ValueError as error:
        raise ModelFileError(f"{name} is damaged ({error})") from error
    if not isinstance(document, dict):
        raise ModelFileError(f"{name} is damaged (it holds a {type(document).__name__})")
    return document


def unpack_weights(archive: zipfile.ZipFile, path: Path) -> None:
    """Write the weights in a checked archive into a file of their own.

    Parameters
    ----------
    archive : ZipFile
        Checked by `check_archive`: `zipfile` unpacks no more than what the directory declares.
    path : Path
        Where to.

    Raises
    ------
    ModelFileError
        If the disk has no room for them.
    """
    needed = archive.getinfo(WEIGHTS_FILE).file_size
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise ModelFileError(f"its weights need {needed:,} bytes in {path.parent}, only {free:,} are free")
    with archive.open(WEIGHTS_FILE) as packed, path.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked, 2**20)


def check_graph(config: dict[str, Any]) -> dict[str, Any]:
    """Check what the description of a network names, before Keras imports or builds any of it.

    Layers, operations, initializers, regularizers, constraints and dtype policies of Keras and
    KerasHub pass, and those that a package or the user has registered with
    ``keras.saving.register_keras_serializable``; what carries code or reads files does not.

    Parameters
    ----------
    config : dict
        From ``config.json``.

    Returns
    -------
    dict
        The registered objects that it names, by their registered name.

    Raises
    ------
    ModelFileError
        If it names anything else, holds a path or an address, or is nested too deeply.
    """
    registered: dict[str, Any] = {}
    for value in _walk(config):
        if isinstance(value, str) and ("/" in value or "\\" in value):
            # Keras allows no slash in names, so that nothing in a network needs one.
            raise ModelFileError(f"refused, its network holds a path, an address or code: {quoted(value)}")
        if isinstance(value, dict) and "class_name" in value:
            registered |= _check_entry(value)
    return registered


def _walk(config: Any) -> Iterator[Any]:
    """Return every value of a JSON document, without recursion."""
    waiting = [(config, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ModelFileError(f"refused, {CONFIG_FILE} is nested more than {MAX_DEPTH} levels deep")
        yield value
        if isinstance(value, dict | list):
            waiting += [(child, depth + 1) for child in (value.values() if isinstance(value, dict) else value)]


def _check_entry(entry: dict[str, Any]) -> dict[str, Any]:
    """Check one thing that Keras would build, found in the way in which Keras finds it."""
    import keras

    name, module = entry["class_name"], entry.get("module")
    is_function = name == "function"
    key = entry.get("config") if is_function else entry.get("registered_name", name)
    if not all(value is None or isinstance(value, str) for value in (name, module, key)):
        raise ModelFileError(f"refused, {CONFIG_FILE} names no class by {quoted(name, module, key)}")
    if name in _VALUES:
        keras.backend.standardize_dtype(entry["config"].get("dtype"))  # no strings of any length
        return {}
    if key in OWN_LAYERS:
        _import_own_layer(OWN_LAYERS[key])
    known = None if key is None else keras.saving.get_registered_object(key)
    if is_function:
        safe = _is_activation(module, key) if known is None else not isinstance(known, type)
    else:
        safe = _is_part_of_network(_find(module, name) if known is None else known)
    if not safe:
        full_name = ".".join(filter(None, (module, key if is_function else name)))
        raise ModelFileError(
            f"refused, its network names {quoted(full_name)}. Only layers of Keras "
            "that carry no code and read no files can be loaded, its activations, and what a package, imported "
            "beforehand, has registered with keras.saving.register_keras_serializable"
        )
    return {} if known is None or key is None else {key: known}


def _import_own_layer(module: str) -> None:
    if module == "preset_layers":
        import_hub("its backbone")
    importlib.import_module(f"melanoma_tl.backbones.{module}")  # which registers it


def _is_activation(module: str | None, name: str | None) -> bool:
    import keras

    known = set(vars(keras.activations)) - {"get", "serialize", "deserialize"}
    return module in ("builtins", "keras.activations") and name in known


def _find(module: str | None, name: str) -> Any:
    """Find what is not registered; nothing but code of Keras is imported for it."""
    if module is None or module.split(".")[0] not in PACKAGES:
        return None
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def _is_part_of_network(found: Any) -> bool:
    import keras

    parts = (
        keras.Operation,
        keras.Initializer,
        keras.regularizers.Regularizer,
        keras.constraints.Constraint,
        keras.DTypePolicy,
    )
    forbidden = tuple(getattr(keras.layers, name) for name in _FORBIDDEN if hasattr(keras.layers, name))
    return isinstance(found, type) and issubclass(found, parts) and not issubclass(found, forbidden)


class Interface(NamedTuple):
    """What goes into a network and what comes out, as its description says.

    Attributes
    ----------
    size : tuple of int
        (height, width) of an image in pixels.
    n_scores : int
        1, the probability of melanoma; or one for each of three and more classes.
    """

    size: tuple[int, int]
    n_scores: int


_INTERFACE = {
    "input size": SIZE,
    "input channels": whole(at_least=3, at_most=3),
    "input dtype": choice("float32"),
    "class_name of the last layer": choice("Dense"),
    "scores": whole(at_least=1),
    "activation of the last layer": choice("sigmoid", "softmax"),
}


def read_interface(config: dict[str, Any]) -> Interface:
    """Read from the description of a network what it takes and gives, before Keras builds any of it.

    Parameters
    ----------
    config : dict
        From ``config.json``, checked by `check_graph`.

    Returns
    -------
    Interface
        Within the range that a classifier may have.

    Raises
    ------
    ModelFileError
        If it is not a classifier's: from one image of a size that the library takes to one probability, or to
        three and more that add up to 1.
    """
    try:
        layers = config["config"]["layers"]
        (given,) = [layer["config"] for layer in layers if layer["class_name"] == "InputLayer"]
        (last,) = [layer for layer in layers if layer["config"].get("name") == SCORE_LAYER]
        (_, *size, channels), units = given["batch_shape"], last["config"]["units"]
        found = {
            "input size": size,
            "input channels": channels,
            "input dtype": _name_of(given["dtype"]),
            "class_name of the last layer": last["class_name"],
            "scores": units,
            "activation of the last layer": _name_of(last["config"]["activation"]),
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ModelFileError(
            f"{CONFIG_FILE} describes no network of a classifier, from one image to the layer {SCORE_LAYER!r}"
        ) from None
    try:
        read = check(found, _INTERFACE)
    except MelanomaTLError as error:
        raise ModelFileError(f"refused, its network is no classifier's: {error}") from None
    if units == 2 or (units == 1) != (found["activation of the last layer"] == "sigmoid"):
        raise ModelFileError(
            f"refused, its network is no classifier's: one score is that of a sigmoid, three and more are those of a "
            f"softmax, not {units} of a {found['activation of the last layer']}"
        )
    return Interface(read["input size"], units)


def _name_of(described: Any) -> Any:
    """Return the name of a dtype or of an activation, which Keras writes alone or with where it comes from."""
    if not isinstance(described, dict):
        return described
    kept = described["config"]
    return kept["name"] if isinstance(kept, dict) else kept


def check_size(config: dict[str, Any], registered: dict[str, Any], size: tuple[int, int], n_stored: int) -> None:
    """Check that a network needs no more memory than its weights and an image take.

    Parameters
    ----------
    config : dict
        Its description, checked by `check_graph`; used up.
    registered : dict
        What `check_graph` returned.
    size : tuple of int
        (height, width) of an image in pixels.
    n_stored : int
        How many numbers the weights file holds.

    Raises
    ------
    ModelFileError
        If it needs more, or is not a network.
    """
    # Keras remembers variables that still wait for their memory, thread by thread: this one takes them with it.
    with ThreadPoolExecutor(1) as thread:
        n_needed, largest = thread.submit(_count_numbers, config, registered).result()
    if n_needed > n_stored + SLACK:
        raise ModelFileError(
            f"refused, its network declares {n_needed:,} numbers, and its weights file holds {n_stored:,}"
        )
    most = max(MAX_TENSOR, MAX_PER_PIXEL * math.prod(size))
    if largest > most:
        raise ModelFileError(
            f"refused, a layer of its network makes {largest:,} numbers of an image of {size[0]}x{size[1]} pixels, "
            f"where at most {most:,} are needed"
        )


def _count_numbers(config: dict[str, Any], registered: dict[str, Any]) -> tuple[int, int]:
    """Build a network whose variables have shapes and no memory; add them up, and find its largest tensor."""
    import keras

    with keras.StatelessScope(initialize_variables=False):
        network = keras.saving.deserialize_keras_object(config, custom_objects=registered, safe_mode=True)
    if not isinstance(network, keras.Model):
        raise ModelFileError(f"{CONFIG_FILE} describes no network")
    tensors = [
        math.prod(side or 1 for side in tensor.shape)
        for model in [network, *(layer for layer in network._flatten_layers() if isinstance(layer, keras.Model))]
        for operation in getattr(model, "operations", ())
        for node in operation._inbound_nodes
        for tensor in node.output_tensors
    ]
    return sum(math.prod(variable.shape) for variable in network.variables), max(tensors, default=0)


def quoted(*found: object) -> str:
    """Quote what a file holds: escaped, and not at length.

    Parameters
    ----------
    *found : object
        Anything; three are shown.

    Returns
    -------
    str
        For an error message.
    """
    texts = [ascii(value) for value in found]
    shown = [text if len(text) <= 100 else f"{text[:100]}..." for text in texts[:3]]
    return ", ".join(shown + ["..."] * (len(texts) > 3))
