"""One ``.keras`` file that holds the graph and everything that belongs to it."""

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from melanoma_tl._atomic import atomic_write_once, scratch
from melanoma_tl._keras.copies import make_again
from melanoma_tl._keras.host_call import naming_host_errors
from melanoma_tl._keras.isolation import own_settings, seeded_building
from melanoma_tl._zip import ZIP_ERRORS
from melanoma_tl.distribution import forget_networks
from melanoma_tl.errors import (
    MelanomaTLError,
    ModelFileError,
    ParameterError,
    WeightsUnavailableError,
    in_one_line,
    require_file,
)
from melanoma_tl.network.graph import without_optimizer
from melanoma_tl.saving.audit import (
    CONFIG_FILE,
    METADATA_FILE,
    STATE_FILE,
    WEIGHTS_FILE,
    Interface,
    check_graph,
    check_model_archive,
    check_size,
    quoted,
    read_interface,
    read_json,
    unpack_weights,
)
from melanoma_tl.saving.left_out import PART as LEFT_OUT
from melanoma_tl.saving.left_out import BackboneWeights, fill_weights, write_weights
from melanoma_tl.saving.test_vectors import draw_texture
from melanoma_tl.saving.weights_audit import check_weights

FORMAT_VERSION = 1

PARTS = ("parameters", "classes", "pos_label", "history", "skipped", "fingerprints", "provenance", "tuning", LEFT_OUT)
"""What the document of a model holds.

A later version may add a part, without which older files still load: it goes on this list, and has a default where it
is read. A version that does not know a part refuses the file, because the scores may depend on it; what only informs
is at home in "provenance".
"""

_OTHER_FORMATS = {
    b"\x80": "a Python pickle, which runs any code when it is opened",
    b"\x89HDF": "an HDF5 file, as older versions of Keras write: pre-trained weights go to weights=",
}
"""What files are that are no archives, by their first bytes."""

_EXPORTED = (".onnx", ".tflite")


Reader = Callable[[dict[str, Any], Interface], Any]
"""Makes something of the document of a model file and of what its network takes and gives; raises where that is nothing
that could score."""


Fetcher = Callable[[Any, dict[str, Any], Interface], BackboneWeights]
"""Finds the weights that a file leaves out, from what a `Reader` made, what the document says of them, and what the
network takes and gives; raises where these are others."""


@dataclass(frozen=True)
class SavedModel:
    """What a model file holds.

    Attributes
    ----------
    model : keras.Model
        The graph with its weights, not compiled.
    content : object
        What was made of the JSON document that was saved beside it: `PARTS`.
    was_whole : bool
        Whether the file held all weights.
    """

    model: Any
    content: Any
    was_whole: bool = True


def as_it_stands(state: dict[str, Any], interface: Interface) -> dict[str, Any]:  # noqa: ARG001 -- a `Reader`
    """Return the document of a model file without a look at it.

    Parameters
    ----------
    state : dict
        The document.
    interface : Interface
        What the network takes and gives.

    Returns
    -------
    dict
        The document.
    """
    return state


@own_settings()
def save_model(
    model: Any,
    state: dict[str, Any],
    path: Path,
    read: Reader = as_it_stands,
    left_out: BackboneWeights | None = None,
) -> None:
    """Write a model file, complete or not at all.

    Parameters
    ----------
    model : keras.Model
        The graph; what its optimizer remembers is left out.
    state : dict
        `PARTS`, of anything JSON can hold.
    path : Path
        Where to; must end in ``.keras``.
    read : callable, optional
        As `load_model` will be given.
    left_out : BackboneWeights, optional
        What the file does not hold.

    Raises
    ------
    ModelFileError
        If the path does not end in ``.keras``, or `load_model` would refuse the file.
    """
    if path.suffix != ".keras":
        raise ModelFileError(f"a model file ends in .keras, got {path.name!r}")
    with atomic_write_once(path) as unfinished:
        if left_out is None:
            without_optimizer(model).save(unfinished)
        else:
            _write_rest(model, left_out, unfinished)
            state = {**state, LEFT_OUT: left_out.describe()}
        with zipfile.ZipFile(unfinished, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(STATE_FILE, json.dumps({"format_version": FORMAT_VERSION, **state}, indent=2))
        try:
            with zipfile.ZipFile(unfinished) as archive:
                check_model_archive(archive, unfinished.stat().st_size)
                config = read_json(archive, CONFIG_FILE)
                check_graph(config)
                state, interface = _read_state(archive), read_interface(config)
                describing(lambda: read(state, interface))
        except ModelFileError as error:
            raise ModelFileError(f"{path}: not saved, because it could not be loaded again: {error}") from None


def _write_rest(model: Any, left_out: BackboneWeights, path: Path) -> None:
    """Write the parts of Keras's own file, but for the weights that are left out."""
    import keras

    weights = path.with_name(f"{path.name}.h5")
    try:
        write_weights(model, left_out.layers, weights)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(CONFIG_FILE, without_optimizer(model).to_json())
            archive.writestr(METADATA_FILE, json.dumps({"keras_version": keras.version()}))
            archive.write(weights, WEIGHTS_FILE)
    finally:
        weights.unlink(missing_ok=True)


@seeded_building(0)  # layers that are made draw seeds, which nobody else is to miss
def check_can_be_saved(model: Any) -> None:
    """Check, before a network is trained, that it can be saved and loaded again.

    Parameters
    ----------
    model : keras.Model
        The graph; its weights do not matter.

    Raises
    ------
    ParameterError
        If it holds what `load_model` would refuse.
    """
    told = "this network could be trained, but not saved"
    try:
        config = json.loads(model.to_json())
    except Exception as error:  # of what a get_config gives, or of one that is not there
        raise ParameterError(
            f"{told} ({in_one_line(error)}): a get_config must be there, and may hold texts, numbers, lists and "
            "objects of Keras, such as a seed in place of a generator of random numbers"
        ) from error
    try:
        check_graph(config)
        read_interface(config)
    except ModelFileError as error:
        raise ParameterError(f"{told}: {error}") from None
    for layer in model.layers:  # those of Keras too: a function without a name can be written, but not read
        make_again(layer, "from a file", "build the head or the backbone of layers of Keras alone, without lambdas")


@own_settings()
def load_model(path: Path, read: Reader = as_it_stands, fetch: Fetcher | None = None) -> SavedModel:
    """Read a model file that need not be trusted.

    Archive, description, document and weights are checked first (`melanoma_tl.saving.audit`), then Keras
    builds the network in its safe mode, from copies of what was checked, and it scores a drawn image.

    Parameters
    ----------
    path : Path
        The file.
    read : callable, optional
        Makes of the document what the caller needs, before any network is built.
    fetch : callable, optional
        Finds the weights that the file leaves out; without it such a file is refused.

    Returns
    -------
    SavedModel
        Graph and what `read` made.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, not one of ours, from a newer version, or could do harm.
    """
    with open_archive(path, "a model file") as archive:
        check_model_archive(archive, path.stat().st_size)
        state = _read_state(archive)
        with _naming_versions(state):
            config = read_json(archive, CONFIG_FILE)
            registered, interface = check_graph(config), read_interface(config)
            content = describing(lambda: read(state, interface))
            backbone = None
            if state.get(LEFT_OUT) is not None:
                backbone = describing(lambda: _fetch(fetch, content, state[LEFT_OUT], interface))
            network = _build(archive, config, registered, interface, backbone)
            _check_scores(network, interface)
        return SavedModel(network, content, was_whole=backbone is None)


@contextmanager
def open_archive(path: Path, kind: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive that need not be trusted.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        What it should be, for people.

    Yields
    ------
    ZipFile
        Not checked.

    Raises
    ------
    ModelFileError
        If the file is missing or damaged; it names the file, and so does each that is raised while it is open.
    """
    require_file(path, ModelFileError, f"pass the path of {kind}; addresses are read by from_pretrained")
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except (ModelFileError, WeightsUnavailableError) as error:
            raise type(error)(f"{path}: {error}") from error.__cause__
        except (*ZIP_ERRORS, OSError) as error:
            file.seek(0)
            start = file.read(4)
            if path.suffix.lower() in _EXPORTED:
                raise ModelFileError(
                    f"{path}: an exported model: open it with melanoma_tl.saving.ExportedClassifier"
                ) from None
            what = next((what for first, what in _OTHER_FORMATS.items() if start.startswith(first)), None)
            raise ModelFileError(f"{path}: {what or f'not {kind}, or a damaged one ({error})'}") from error


def _read_state(archive: zipfile.ZipFile) -> dict[str, Any]:
    state = read_json(archive, STATE_FILE)
    check_version(state, FORMAT_VERSION, version_hint(state))
    unknown = sorted(state.keys() - {"format_version", *PARTS})
    if unknown:
        raise ModelFileError(f"holds {quoted(*unknown)}, which this version cannot use; {version_hint(state)}")
    return state


def check_version(state: dict[str, Any], known: int, hint: str) -> None:
    """Raise an error unless a file has the format version that this library reads.

    Parameters
    ----------
    state : dict
        The document in the file.
    known : int
        The version that this library reads.
    hint : str
        What the user can do.

    Raises
    ------
    ModelFileError
        If the version is another one, or is missing.
    """
    version = state.get("format_version")
    if version != known or isinstance(version, bool):
        raise ModelFileError(
            f"has the format version {version!r:.40}, this version of melanoma_tl reads {known}; {hint}"
        )


@contextmanager
def _naming_versions(state: dict[str, Any]) -> Iterator[None]:
    """Turn what zipfile, h5py or a layer of Keras raises on a damaged or hostile file into a ModelFileError."""
    import keras

    try:
        yield
    except (ModelFileError, WeightsUnavailableError):  # of an encoder that is not registered here
        raise
    except Exception as error:
        raise ModelFileError(
            f"the graph or its weights cannot be read ({in_one_line(error)}); it was written with Keras "
            f"{_version(state, 'keras')}, this is {keras.version()}"
        ) from error


def describing(read: Callable[[], Any]) -> Any:
    """Convert every error of reading a document to a `ModelFileError`.

    Parameters
    ----------
    read : callable
        Reads it.

    Returns
    -------
    object
        What it gives.

    Raises
    ------
    ModelFileError
        If it raises.
    """
    try:
        return read()
    except ModelFileError:
        raise
    except MelanomaTLError as error:
        raise ModelFileError(f"refused: {error}") from None
    # Its values were checked one by one; what is left is what no rule foresaw.
    except Exception as error:
        raise ModelFileError(f"its document cannot be read ({in_one_line(error)})") from error


def _fetch(fetch: Fetcher | None, content: Any, left_out: dict[str, Any], interface: Interface) -> BackboneWeights:
    if fetch is None:
        raise ModelFileError(
            "does not hold the weights of its backbone, which may not be given on: give them with "
            "load(path, weights='imagenet'), or the path of their file"
        )
    return fetch(content, left_out, interface)


@seeded_building(0)
def _build(
    archive: zipfile.ZipFile,
    config: dict[str, Any],
    registered: dict[str, Any],
    interface: Interface,
    backbone: BackboneWeights | None,
) -> Any:
    import keras

    forget_networks()
    with scratch() as folder:
        description, weights = folder / CONFIG_FILE, folder / WEIGHTS_FILE
        description.write_text(json.dumps(config), encoding="utf-8")
        unpack_weights(archive, weights)
        n_left_out = 0 if backbone is None else backbone.n_numbers
        check_size(config, registered, interface.size, check_weights(weights) + n_left_out)
        if backbone is not None:
            config = json.loads(description.read_text(encoding="utf-8"))  # `check_size` has used the other one up
            network = keras.saving.deserialize_keras_object(config, custom_objects=registered, safe_mode=True)
            fill_weights(network, backbone, weights)
            return network
        return keras.saving.load_model(str(folder), compile=False, safe_mode=True)


def _check_scores(network: Any, interface: Interface) -> None:
    """Check that a network is the one that its description promised, and that it scores."""
    import keras

    given, scores = [[tuple(tensor.shape) for tensor in tensors] for tensors in (network.inputs, network.outputs)]
    if given != [(None, *interface.size, 3)] or scores != [(None, interface.n_scores)]:
        raise ModelFileError(
            f"refused, its network maps {given} to {scores}, not images (n, height, width, 3) to scores "
            f"(n, {interface.n_scores})"
        )
    try:
        image = draw_texture(*interface.size)[np.newaxis].astype(np.float32)
        with naming_host_errors():
            found = keras.ops.convert_to_numpy(network(image, training=False))
    except WeightsUnavailableError:
        raise
    except Exception as error:  # whatever a layer raises
        raise ModelFileError(f"refused, its network cannot score an image ({in_one_line(error)})") from error
    if not np.isfinite(found).all():
        raise ModelFileError(f"refused, its network gives a drawn image the score {found[0].tolist()!s:.100}")


def version_hint(state: dict[str, Any]) -> str:
    """Return which version reads a file that this one cannot read.

    Parameters
    ----------
    state : dict
        The document of the file.

    Returns
    -------
    str
        The end of an error message.
    """
    version = _version(state, "melanoma_tl")
    if version is None:
        return "it does not say which version wrote it"
    return f"it was written by melanoma_tl {version}: install that version (pip install melanoma_tl=={version})"


def _version(state: dict[str, Any], package: str) -> str | None:
    """Return the version of a package that a file was written with, if it names one."""
    try:
        version = str(state["provenance"]["versions"][package])
    except (KeyError, TypeError):
        return None
    return version if re.fullmatch(r"[\w.+!-]{1,40}", version, re.ASCII) else None
