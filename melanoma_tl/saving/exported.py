"""Score images with an exported model, in its own runtime: neither Keras nor TensorFlow is loaded."""

import json
import logging
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._keras.quiet import without_notices
from melanoma_tl._onnxruntime import open_session
from melanoma_tl.errors import ImageError, MissingPackageError, ModelFileError, in_one_line, require_file
from melanoma_tl.images.decoding import load_image
from melanoma_tl.images.image_lists import is_stream, list_images, name_error
from melanoma_tl.labels.class_names import name_classes
from melanoma_tl.saving.handover import Scorer, digest
from melanoma_tl.saving.test_vectors import draw_texture

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""How far a score of the exported model may be from the classifier's, of 0 to 1: above what other kernels round
otherwise in float32, far below what the scores are precise to."""

_INSTALL = "pip install 'melanoma_tl[export]'"


def open_litert(path: Path) -> Scorer:
    """Open a LiteRT model.

    Parameters
    ----------
    path : Path
        The ``.tflite`` file.

    Returns
    -------
    callable
        From one image (1, height, width, 3) to its scores (1, n_scores).
    """
    from ai_edge_litert.interpreter import Interpreter

    with without_notices():
        interpreter = Interpreter(model_path=str(path))
        interpreter.allocate_tensors()
    (given,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    lock = threading.Lock()  # its tensors belong to one call at a time

    def score(images: NDArray[np.float32]) -> Any:
        with lock:
            interpreter.set_tensor(given["index"], images)
            interpreter.invoke()
            return interpreter.get_tensor(scores["index"])

    return score


def open_onnx(path: Path) -> Scorer:
    """Open an ONNX model on the processor.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file.

    Returns
    -------
    callable
        From images (n, height, width, 3) to their scores (n, n_scores).
    """
    session = open_session(path)
    (given,) = session.get_inputs()
    return lambda images: session.run(None, {given.name: images})[0]


_OPENERS = {".onnx": open_onnx, ".tflite": open_litert}
_FORMAT_OF = {".onnx": "onnx", ".tflite": "litert"}


class ExportedClassifier:
    """A classifier that `TransferClassifier.export` or `Ensemble.export` wrote as ONNX or LiteRT, ready to score.

    It decodes and resizes images with the code that `predict_proba` of the classifier uses, and takes classes and
    threshold from ``NAME.json`` beside the model. Views and calibration are part of the model. It may be shared by
    threads.

    Parameters
    ----------
    path : path
        The ``.onnx`` or ``.tflite`` file, with ``NAME.json`` beside it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, in the order of the columns of `predict_proba`.
    pos_label_ : object
        The label of melanoma.
    class_names_ : list of str
        `classes_` in words: "benign" and "melanoma" where they are 0 and 1.
    threshold_ : float or None
        An image is melanoma if its score is above it; None with more than two classes.
    input_size_ : tuple of int
        (height, width) in pixels of what the model takes.
    description_ : dict
        The content of ``NAME.json``.

    Raises
    ------
    ModelFileError
        If a file is missing, damaged, of another format, or the two do not belong together: the model has not the
        SHA-256 that ``NAME.json`` states, which is checked before it is opened, or does not give the score stated for
        the first test image. A ``NAME.json`` of an older version, without the SHA-256, is taken with a warning in the
        log.
    MissingPackageError
        If the runtime is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = Path(path)
        self.description_ = _read_description(path)
        try:
            _, height, width, _ = self.description_["input"]["shape"]
            self.input_size_: tuple[int, int] = (int(height), int(width))
            self.classes_ = np.array(self.description_["classes"])
            self.pos_label_: Any = self.description_["melanoma"]
            self.class_names_ = name_classes(self.description_["classes"], self.pos_label_)
            self.threshold_: float | None = self.description_.get("threshold")
            self._scores: list[Any] = self.description_["scores"]
            self._check_meaning()
            vector = self.description_["check_vectors"][0]
            drawn = draw_texture(vector["image"]["height"], vector["image"]["width"])
            expected = np.array(vector["scores"], dtype=float).reshape(len(self._scores))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"{path.name}.json: not what export writes ({in_one_line(error)}); export the model again"
            ) from None
        _check_digest(path, self.description_)
        self._run = _open(path)
        self._name = path.name
        self._check(path, load_image(drawn, self.input_size_), expected)

    def _check_meaning(self) -> None:
        """Raise a ValueError unless the classes, their scores and the threshold fit each other.

        The SHA-256 is that of the model alone: this file may have been edited.
        """
        classes = self.classes_.tolist()
        if len(set(classes)) < max(len(classes), 2):
            raise ValueError(f"its classes are {classes}")
        if self._scores != ([self.pos_label_] if len(classes) == 2 else classes):
            raise ValueError(f"its scores are of {self._scores}, its classes {classes}")
        if len(classes) > 2:
            return
        if classes.count(self.pos_label_) != 1:
            raise ValueError(f"{self.pos_label_!r} is melanoma, and its classes are {classes}")
        if not isinstance(self.threshold_, int | float) or not 0 <= self.threshold_ <= 1:
            raise ValueError(f"its threshold is {self.threshold_!r}")

    def __repr__(self) -> str:
        return (
            f"ExportedClassifier({self._name!r}: {', '.join(self.class_names_)}; threshold={self.threshold_}, "
            f"input_size={self.input_size_})"
        )

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Score images, one after the other.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Images, raw RGB, in any form that `predict_proba` of the classifier takes.

        Returns
        -------
        ndarray of shape (n_images, n_classes) and dtype float64
            Probabilities in the order of `classes_`, as `predict_proba` of the classifier gives them in float32.

        Raises
        ------
        DatasetError
            If `X` is a single image, a table of several columns, empty, or no collection.
        ImageError
            If an image cannot be read.
        """
        scores = np.array([self._score_image(image, position) for position, image in enumerate(_images_of(X))])
        if len(self._scores) > 1:
            return scores
        return np.where(self.classes_ == self.pos_label_, scores, 1 - scores)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the class of images.

        Parameters
        ----------
        X : object
            As in `predict_proba`.

        Returns
        -------
        ndarray of shape (n_images,)
            Labels from `classes_`: melanoma if its score is strictly greater than `threshold_`, else benign; with more
            than two classes, the class with the highest score.

        Raises
        ------
        DatasetError, ImageError
            As in `predict_proba`.
        """
        scores = self.predict_proba(X)
        if self.threshold_ is None:
            return self.classes_[scores.argmax(axis=1)]
        melanoma = int(np.argmax(self.classes_ == self.pos_label_))
        return self.classes_[np.where(scores[:, melanoma] > self.threshold_, melanoma, 1 - melanoma)]

    def _score_image(self, image: Any, position: int) -> NDArray[np.float64]:
        try:
            pixels = load_image(image, self.input_size_)
        except ImageError as error:
            raise name_error(error, image, f"image {position}") from None
        return self._score(pixels)

    def _score(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.asarray(self._run(pixels[np.newaxis].astype(np.float32)), dtype=np.float64)[0]

    def _check(self, path: Path, pixels: NDArray[np.uint8], expected: NDArray[np.float64]) -> None:
        try:
            found = self._score(pixels)
        except Exception as error:  # each runtime has errors of its own
            raise ModelFileError(f"{path}: it cannot score an image of {pixels.shape} ({error!s:.300})") from error
        if found.shape != expected.shape or not np.abs(found - expected).max() <= TOLERANCE:
            raise ModelFileError(
                f"{path}: its score of the first test image is {found.tolist()}, where {path.name}.json states "
                f"{expected.tolist()}: the two files do not belong together, or one is damaged; export the model again"
            )


def _images_of(X: Any) -> Iterable[Any]:
    """Return images for `load_image`, from whatever the classifier would take."""
    if not is_stream(X):
        return list_images(X)
    from melanoma_tl.images.streams import Stream  # which imports pandas

    return Stream(X)


def _read_description(path: Path) -> dict[str, Any]:
    if path.suffix not in _OPENERS:
        raise ModelFileError(
            f"{path}: expected an exported model that ends in {' or '.join(_OPENERS)}; a .keras file is opened by "
            "TransferClassifier.load or Ensemble.load"
        )
    beside = path.with_name(f"{path.name}.json")
    for file in (path, beside):
        require_file(file, ModelFileError, f"export writes the model and {beside.name} beside it")
    try:
        described = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{beside}: cannot be read ({error})") from None
    if not isinstance(described, dict):
        raise ModelFileError(f"{beside}: not what export writes; export the model again")
    return described


def _check_digest(path: Path, description: dict[str, Any]) -> None:
    """Raise an error for a model that its document does not describe, before a runtime reads it."""
    expected, described = _FORMAT_OF[path.suffix], description.get("format")
    if described not in (None, expected):
        raise ModelFileError(
            f"{path}: {path.name}.json describes a model in the format {described!r:.40}, not {expected!r}; put the "
            "file beside it that was exported together with it, or export the model again"
        )
    stated = description.get("sha256")
    if stated is None:
        logger.warning(
            "%s.json does not state the SHA-256 of its model, which older versions left out: export the model again "
            "to have damage and mix-ups noticed",
            path,
        )
    elif digest(path) != stated:
        raise ModelFileError(
            f"{path}: its SHA-256 is not the one that {path.name}.json states: the two files do not belong together, "
            "or the model is damaged; copy both again from where they were exported, or export the model again"
        )


def _open(path: Path) -> Scorer:
    try:
        return _OPENERS[path.suffix](path)
    except ImportError as error:
        raise MissingPackageError(f"scoring {path.name} needs {error.name}: {_INSTALL}") from error
    except Exception as error:  # each runtime has errors of its own
        raise ModelFileError(f"{path}: cannot be opened as {path.suffix} ({error!s:.300})") from error
