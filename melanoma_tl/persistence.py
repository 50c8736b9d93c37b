"""One ``.keras`` file that holds the graph and everything that belongs to it."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_tl.errors import ModelFileError
from melanoma_tl.files import replacing

STATE_FILE = "melanoma_tl.json"
"""Name of our part inside the archive; Keras reads its own parts and leaves this one alone."""

FORMAT_VERSION = 1


@dataclass(frozen=True)
class SavedModel:
    """What a model file holds.

    Attributes
    ----------
    model : keras.Model
        The graph with its weights, not compiled.
    state : dict
        The JSON document that was saved beside it.
    """

    model: Any
    state: dict[str, Any]


def save_model(model: Any, state: dict[str, Any], path: Path) -> None:
    """Write a model file, complete or not at all.

    Parameters
    ----------
    model : keras.Model
        The graph; what its optimizer remembers is left out.
    state : dict
        Anything JSON can hold.
    path : Path
        Where to; must end in ``.keras``.

    Raises
    ------
    ModelFileError
        If the path does not end in ``.keras``.
    """
    import keras

    if path.suffix != ".keras":
        raise ModelFileError(f"a model file ends in .keras, got {path.name!r}")
    with replacing(path) as unfinished:
        # A model that was never compiled is saved without its optimizer, at half the size.
        keras.Model(model.inputs[0], model.outputs[0], name=model.name).save(unfinished)
        with zipfile.ZipFile(unfinished, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(STATE_FILE, json.dumps({"format_version": FORMAT_VERSION, **state}, indent=2))


def load_model(path: Path) -> SavedModel:
    """Read a model file in Keras's safe mode, which runs no code from it.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    SavedModel
        Graph and state.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, not one of ours, or from a newer version.
    """
    state = _read_state(path)
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    # What Keras raises on a damaged or hostile file depends on the layer that notices it.
    except Exception as error:
        raise ModelFileError(f"{path}: the graph or its weights cannot be read ({error})") from error
    return SavedModel(model, state)


def _read_state(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            state: dict[str, Any] = json.loads(archive.read(STATE_FILE))
    except (zipfile.BadZipFile, EOFError) as error:
        raise ModelFileError(f"{path}: not a model file, or a damaged one ({error})") from error
    except KeyError:
        raise ModelFileError(
            f"{path}: a Keras model, but not one that TransferClassifier.save wrote ({STATE_FILE} is missing); "
            "open it with keras.saving.load_model"
        ) from None
    except ValueError as error:
        raise ModelFileError(f"{path}: {STATE_FILE} is damaged ({error})") from error
    version = state.get("format_version")
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"{path}: has the format version {version!r}, this version of melanoma_tl reads {FORMAT_VERSION}; "
            "install the version that wrote it"
        )
    return state
