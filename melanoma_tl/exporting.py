"""Hand a classifier's network to other runtimes, and prove that it gives the same scores there."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.errors import ExportError, UnknownNameError
from melanoma_tl.files import replacing
from melanoma_tl.versions import library_versions

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""How far a score of the exported model may be from the classifier's, of 0 to 1: above what other kernels round
otherwise in float32, far below what the scores are precise to."""

_MUCH_MEMORY = 8e9
"""Bytes above which an export says beforehand how many it takes: the system may end the process without a word."""

NOTICE = "For research. Not a medical device: do not diagnose with it."


@dataclass(frozen=True)
class ExportedModel:
    """What an export wrote, and how well it agrees with the classifier.

    Attributes
    ----------
    path : Path
        The file, or the folder of a SavedModel. Beside it lies ``NAME.json`` with classes, threshold,
        input, versions and provenance.
    format : {"saved_model", "litert", "onnx"}
        Its format.
    largest_difference : float
        Between a score of the exported model in its own runtime and the classifier's in float32;
        at most `TOLERANCE`.
    n_bytes : int
        Bytes on disk, without ``NAME.json``.
    """

    path: Path
    format: str
    largest_difference: float
    n_bytes: int


Scorer = Callable[[NDArray[np.float32]], Any]
"""From images (1, height, width, 3) to scores (1, n_scores)."""


class _Format(NamedTuple):
    """How a format is written and read."""

    name_in_keras: str
    suffix: str
    packages: tuple[str, ...]
    open: Callable[[Path], Scorer]
    n_copies: int = 1
    """Of the weights that its converter holds in memory at once, where these are many."""


def _open_saved_model(path: Path) -> Scorer:
    import keras

    layer = keras.layers.TFSMLayer(str(path), call_endpoint="serve")
    return lambda images: keras.ops.convert_to_numpy(layer(images))


def _open_litert(path: Path) -> Scorer:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    (given,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()

    def score(images: NDArray[np.float32]) -> Any:
        interpreter.set_tensor(given["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(scores["index"])

    return score


def _open_onnx(path: Path) -> Scorer:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda images: session.run(None, {given.name: images})[0]


FORMATS = {
    "saved_model": _Format("tf_saved_model", "", (), _open_saved_model),
    "litert": _Format("litert", ".tflite", ("ai-edge-litert",), _open_litert),
    "onnx": _Format("onnx", ".onnx", ("onnx", "onnxruntime", "tf2onnx"), _open_onnx, n_copies=50),
}
"""The formats, with the packages that the extra ``export`` installs for each."""


def export_model(network: Any, path: Path, format: str, description: dict[str, Any]) -> ExportedModel:  # noqa: A002
    """Write a network in another format, run it there, and keep it if its scores are the same.

    Parameters
    ----------
    network : keras.Model
        In float32, from images (n, height, width, 3) to scores (n, n_scores).
    path : Path
        Where to. What stands there stays until the new model has proved itself.
    format : {"saved_model", "litert", "onnx"}
        What to write.
    description : dict
        What users of the exported model need beside it, of anything JSON can hold.

    Returns
    -------
    ExportedModel
        What was written.

    Raises
    ------
    ExportError
        If packages are missing, the format cannot be written or run, or the scores differ.
    UnknownNameError
        If there is no such format.
    """
    if format not in FORMATS:
        raise UnknownNameError("export format", format, FORMATS)
    chosen = FORMATS[format]
    _check_path(path, format, chosen)
    used = _check_packages(format, chosen)
    needed = chosen.n_copies * 4 * network.count_params()
    if needed > _MUCH_MEMORY:
        logger.warning("the converter to %r takes about %.0f GB of memory for this network", format, needed / 1e9)
    images = _draw_images(*network.inputs[0].shape[1:3])
    expected = _score(network.predict_on_batch, images)
    sidecar = path.with_name(f"{path.name}.json")
    with replacing(sidecar) as unfinished_sidecar, replacing(path) as unfinished:
        try:
            network.export(str(unfinished), format=chosen.name_in_keras, verbose=False)
            found = _score(chosen.open(unfinished), images)
        # Each converter and each runtime has errors of its own.
        except Exception as error:
            raise ExportError(f"{path}: this network cannot be exported as {format!r} ({error!s:.1000})") from error
        difference = float(np.abs(found - expected).max())
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{path}: not written, because the exported model gives other scores: they differ by {difference:.2g} "
                f"on {len(images)} drawn images, where {TOLERANCE:g} is allowed for rounding"
            )
        document = {
            "notice": NOTICE,
            "format": format,
            "input": {
                "shape": ["n", *images.shape[1:]],
                "dtype": "float32",
                "values": "raw RGB, 0 to 255; scaling is part of the model",
            },
            "output": {
                "shape": ["n", expected.shape[1]],
                "dtype": "float32",
                "values": "probability of melanoma" if expected.shape[1] == 1 else "probability of each class",
            },
            **description,
            "exported_with": library_versions() | used,
            "largest_difference": difference,
        }
        unfinished_sidecar.write_text(json.dumps(document, indent=2), encoding="utf-8")
    files = [file for file in (path, *path.rglob("*")) if file.is_file()]
    return ExportedModel(path, format, difference, sum(file.stat().st_size for file in files))


def _check_packages(name: str, chosen: _Format) -> dict[str, str]:
    """Return the versions of the packages that a format needs."""
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ExportError(
            f"models are exported with Keras's TensorFlow backend, this process runs on {backend!r}: "
            "save the classifier, and export it from a process with KERAS_BACKEND=tensorflow"
        )
    used = {}
    for package in chosen.packages:
        try:
            used[package] = version(package)
        except PackageNotFoundError:
            raise ExportError(
                f"exporting as {name!r} needs {', '.join(chosen.packages)}, and {package} is not installed: "
                "pip install 'melanoma_tl[export]'"
            ) from None
    return used


def _check_path(path: Path, name: str, chosen: _Format) -> None:
    is_file = bool(chosen.suffix)
    if is_file and path.suffix != chosen.suffix:
        raise ExportError(f"a model in the format {name!r} ends in {chosen.suffix}, got {path.name!r}")
    if path.exists() and not (path.is_file() if is_file else (path / "saved_model.pb").is_file()):
        raise ExportError(f"{path} is there already, and is no model in the format {name!r}: choose another name")


def _draw_images(height: int, width: int) -> NDArray[np.float32]:
    """Draw black, white, grey, each colour alone, and noise: always the same."""
    plain = np.array([[0, 0, 0], [255, 255, 255], [128, 128, 128], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    noise = np.random.default_rng(0).integers(0, 256, (2, height, width, 3))
    uniform = np.broadcast_to(plain[:, np.newaxis, np.newaxis], (len(plain), height, width, 3))
    return np.concatenate([uniform, noise]).astype(np.float32)


def _score(scorer: Scorer, images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Score images one by one: what LiteRT takes, and what memory holds at any size."""
    return np.concatenate([np.asarray(scorer(image[np.newaxis]), dtype=np.float64) for image in images])
