"""Hand a classifier's network to other runtimes, and prove that it gives the same scores there."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._atomic import atomic_write
from melanoma_tl._keras.quiet import without_lines_of_tensorflow
from melanoma_tl._versions import library_versions
from melanoma_tl.errors import ExportError, UnknownNameError
from melanoma_tl.network.scoring_graph import for_inference
from melanoma_tl.saving.exported import TOLERANCE, open_litert, open_onnx
from melanoma_tl.saving.handover import Scorer, check_vectors, describe_model, digest
from melanoma_tl.saving.onnx_operations import add_operations
from melanoma_tl.saving.test_vectors import draw_texture

logger = logging.getLogger(__name__)

_MUCH_MEMORY = 8e9
"""Bytes above which an export says beforehand how many it takes: the system may end the process without a word."""


@dataclass(frozen=True)
class ExportedModel:
    """What an export wrote, and how well it agrees with the classifier.

    Attributes
    ----------
    path : Path
        The file, or the folder of a SavedModel. Beside it lies ``NAME.json`` with its SHA-256, classes, threshold,
        input, preparation of images, images to check it by, versions and provenance.
    format : {"saved_model", "litert", "onnx"}
        Its format.
    views : tuple of int
        How many views of an image it averages: those of the classifier, or of each member. They are part of the graph.
    precision : str
        What the exported model computes in: "float32", whatever the classifier computes in.
    largest_difference : float
        Between a score of the exported model in its own runtime and what `predict_proba` of the classifier gives as it
        is set, views, precision and calibration included; a warning in the log where it is above `TOLERANCE`.
    conversion_difference : float
        Between the exported model and the same graph in Keras, in float32: what the converter and the runtime make of
        it; at most `TOLERANCE`.
    n_bytes : int
        Bytes on disk, without ``NAME.json``.
    """

    path: Path
    format: str
    views: tuple[int, ...]
    precision: str
    largest_difference: float
    conversion_difference: float
    n_bytes: int


@dataclass(frozen=True)
class Exportable:
    """What is to be exported, and what it is to agree with.

    Attributes
    ----------
    network : keras.Model
        In float32, from images (n, height, width, 3) to scores (n, n_scores), views and calibration included.
    predict : callable
        From raw RGB of shape (n, height, width, 3) and dtype uint8 to the scores that users get, (n, n_scores).
    views : tuple of int
        How many views each member averages.
    precision : str
        What `predict` computes with.
    described : dict
        What users of the exported model need beside it, of anything JSON can hold.
    """

    network: Any
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float64]]
    views: tuple[int, ...]
    precision: str
    described: dict[str, Any]


class _Format(NamedTuple):
    """How a format is written and read."""

    name_in_keras: str
    suffix: str
    packages: tuple[str, ...]
    open: Callable[[Path], Scorer]
    n_copies: int = 1
    """Of the weights that its converter holds in memory at once, where these are many."""
    label: Callable[[Path, dict[str, Any]], None] | None = None
    """Writes what is to be known into the file itself, where the format has a place for it."""
    prepare: Callable[[], None] = lambda: None
    """Prepares the converter."""


def _open_saved_model(path: Path) -> Scorer:
    import keras

    layer = keras.layers.TFSMLayer(str(path), call_endpoint="serve")
    return lambda images: keras.ops.convert_to_numpy(layer(images))


def _label_onnx(path: Path, document: dict[str, Any]) -> None:
    """Write the document into the metadata that every runtime shows, each part as text or JSON."""
    import onnx

    model = onnx.load(str(path))
    entries = {name: part for name, part in document.items() if name not in ("provenance", "check_vectors")}
    onnx.helper.set_model_props(
        model, {name: part if isinstance(part, str) else json.dumps(part) for name, part in entries.items()}
    )
    onnx.save(model, str(path))


FORMATS = {
    "saved_model": _Format("tf_saved_model", "", (), _open_saved_model),
    "litert": _Format("litert", ".tflite", ("ai-edge-litert",), open_litert),
    "onnx": _Format("onnx", ".onnx", ("onnx", "onnxruntime", "tf2onnx"), open_onnx, 50, _label_onnx, add_operations),
}
"""The formats, with the packages that the extra ``export`` installs for each."""


def export_model(exportable: Exportable, path: Path, format: str | None) -> ExportedModel:  # noqa: A002
    """Write a network in another format, run it there, and keep it if its scores are the same.

    Parameters
    ----------
    exportable : Exportable
        What to write.
    path : Path
        Where to. What stands there stays until the new model has proved itself.
    format : {"saved_model", "litert", "onnx"} or None
        What to write; None goes by the suffix of the path.

    Returns
    -------
    ExportedModel
        What was written.

    Raises
    ------
    ExportError
        If path and format contradict each other, packages are missing, the format cannot be written or run, or the
        scores differ.
    UnknownNameError
        If there is no such format.
    """
    name = choose_format(path, format)
    chosen, network = FORMATS[name], for_inference(exportable.network)
    _check_path(path, name, chosen)
    used = _check_packages(name, chosen)
    needed = chosen.n_copies * 4 * network.count_params()
    if needed > _MUCH_MEMORY:
        logger.warning("the converter to %r takes about %.0f GB of memory for this network", name, needed / 1e9)
    height, width = tuple(map(int, network.inputs[0].shape[1:3]))
    images = _draw_images(height, width)
    expected = _score(network.predict_on_batch, images)
    sidecar = path.with_name(f"{path.name}.json")
    with atomic_write(sidecar) as unfinished_sidecar, atomic_write(path) as unfinished:
        try:
            chosen.prepare()
            with _without_words_of_converters(), without_lines_of_tensorflow():
                network.export(str(unfinished), format=chosen.name_in_keras, verbose=False)
            scorer = chosen.open(unfinished)
            found = _score(scorer, images)
            vectors = check_vectors(height, width, scorer)
        # Each converter and each runtime has errors of its own.
        except Exception as error:
            raise ExportError(f"{path}: this network cannot be exported as {name!r} ({error!s:.1000})") from error
        converted = float(np.abs(found - expected).max())
        if not converted <= TOLERANCE:
            raise ExportError(
                f"{path}: not written, because the exported model gives other scores: they differ by {converted:.2g} "
                f"on {len(images)} drawn images, where {TOLERANCE:g} is allowed for rounding"
            )
        difference = float(np.abs(found - exportable.predict(images)).max())
        if not difference <= TOLERANCE:
            logger.warning(
                "the scores of the exported model differ by up to %.2g from those of predict_proba on drawn images: %s",
                difference,
                _why_they_differ(exportable.precision),
            )
        entries = {
            "format": name,
            "views": list(exportable.views),
            "precision": {"exported": "float32", "classifier": exportable.precision},
            **exportable.described,
            "exported_with": library_versions() | used,
            "largest_difference": difference,
            "conversion_difference": converted,
        }
        document = describe_model((height, width), expected.shape[1], vectors, entries)
        if chosen.label is not None:
            chosen.label(unfinished, document)
        document = {"sha256": digest(unfinished), **document}  # of the file as it is labelled
        unfinished_sidecar.write_text(json.dumps(document, indent=2), encoding="utf-8")
    files = [file for file in (path, *path.rglob("*")) if file.is_file()]
    n_bytes = sum(file.stat().st_size for file in files)
    return ExportedModel(path, name, exportable.views, "float32", difference, converted, n_bytes)


@contextmanager
def _without_words_of_converters() -> Iterator[None]:
    """Leave out what tf2onnx says of steps that it could not shorten, and NumPy of its code: scores are compared."""
    log = logging.getLogger("tf2onnx")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
            yield
    finally:
        log.setLevel(level)


def choose_format(path: Path, format: str | None) -> str:  # noqa: A002
    """Return in which format a path is to be written.

    Parameters
    ----------
    path : Path
        Where to.
    format : str or None
        What the user named.

    Returns
    -------
    {"saved_model", "litert", "onnx"}
        By the suffix, where nothing is named.

    Raises
    ------
    ExportError
        If the suffix is that of another format, or of none that is known.
    UnknownNameError
        If there is no such format.
    """
    if format is not None and format not in FORMATS:
        raise UnknownNameError("export format", format, FORMATS)
    suffix = path.suffix.lower()
    by_suffix = next((name for name, known in FORMATS.items() if known.suffix == suffix), None)
    if format is None and by_suffix is None:
        endings = ", ".join(f"{known.suffix} ({name})" for name, known in FORMATS.items() if known.suffix)
        raise ExportError(
            f"{path.name!r} ends in none of {endings}: name one of these, a folder without a suffix for "
            "TensorFlow's SavedModel, or format='saved_model' for a folder of this name"
        )
    if format == "saved_model" and by_suffix not in (None, format):
        raise ExportError(f"{path.name!r} is the name of a model in the format {by_suffix!r}, not of a SavedModel")
    return format or str(by_suffix)


def _why_they_differ(precision: str) -> str:
    if precision != "float32":
        return f"it computes in float32, the classifier in {precision}. Choose thresholds, and report, in float32"
    return "predict_proba calibrates scores that float32 cannot tell from 0 or 1, the exported model does so before"


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


def _draw_images(height: int, width: int) -> NDArray[np.uint8]:
    """Draw black, white, grey and each colour by halves, a texture that has no symmetry, and noise: always the same."""
    plain = np.array([[0, 0, 0], [255, 255, 255], [128, 128, 128], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    noise = np.random.default_rng(0).integers(0, 256, (2, height, width, 3))
    halves = plain[:, np.newaxis, np.newaxis].repeat(height, axis=1).repeat(width, axis=2)
    halves[:, :, width // 2 :] = np.roll(plain, 1, axis=0)[:, np.newaxis, np.newaxis]
    return np.concatenate([halves, draw_texture(height, width)[np.newaxis], noise]).astype(np.uint8)


def _score(scorer: Scorer, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Score images one by one: what LiteRT takes, and what memory holds at any size."""
    batches = images.astype(np.float32)[:, np.newaxis]
    return np.concatenate([np.asarray(scorer(image), dtype=np.float64) for image in batches])
