"""Score the images of a shard with `predict_proba`."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from melanoma_tl._atomic import scratch
from melanoma_tl.errors import ImageError, ModelFileError
from melanoma_tl.images.decoding import ImageLike, load_image
from melanoma_tl.metrics.estimators import classes_of
from melanoma_tl.saving.ensemble_file import check_file
from melanoma_tl.scale.shard_schema import describe_files, schema_with

_NO_NUMBER = "the model returns NaN for it"


@dataclass(frozen=True)
class Scoring:
    """The task of scoring, as it is sent to the workers.

    Attributes
    ----------
    name : str
        Name of the model file.
    model : bytes
        Content of the model file; workers need no access to the file itself.
    tta : int or None
        Number of views to average.
    batch_size : int or None
        Images per batch.
    """

    name: str
    model: bytes
    tta: int | None
    batch_size: int | None

    def check(self) -> None:
        """Check what the file holds, before any worker is started.

        Raises
        ------
        ModelFileError
            If it is no saved classifier or ensemble.
        """
        with self._unpacked() as file:
            try:
                check_file(file)
            except ModelFileError as error:
                raise ModelFileError(str(error).replace(str(file), self.name, 1)) from error.__cause__

    @contextmanager
    def _unpacked(self) -> Iterator[Path]:
        with scratch() as folder:
            file = folder / self.name
            file.write_bytes(self.model)
            yield file

    def prepare(self) -> "Scorer":
        """Load the model.

        Returns
        -------
        Scorer
            Scores any number of shards.

        Raises
        ------
        ModelFileError
            If this machine cannot load the model.
        """
        logging.getLogger("melanoma_tl").setLevel(logging.ERROR)  # unreadable images are reported as rows
        with self._unpacked() as file:
            return Scorer(load_classifier(file), self.tta, self.batch_size)


class Scorer:
    """A loaded model that scores shards.

    Parameters
    ----------
    classifier : TransferClassifier or Ensemble
        A fitted classifier.
    tta, batch_size : int or None
        As for its `predict_proba`.
    """

    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, classifier: Any, tta: int | None, batch_size: int | None) -> None:
        classifier.set_params(verbose=0)
        for member in getattr(classifier, "members_", [classifier]):
            member.set_params(verbose=0, on_error="skip")
        self._classifier, self._tta, self._batch_size = classifier, tta, batch_size
        known = classes_of(classifier)
        classes = known.labels.tolist()
        self._columns = [known.melanoma] if len(classes) == 2 else list(range(len(classes)))
        self._names = ["score"] if len(classes) == 2 else [f"score_{name}" for name in classes]
        self.schema = schema_with((name, pa.float64()) for name in self._names)

    def compute(self, paths: Sequence[str], images: Sequence[ImageLike]) -> Iterator[pa.Table]:
        """Score images.

        Parameters
        ----------
        paths : sequence of str
            Paths of the images, for the table.
        images : sequence of path or ImageFile
            The images.

        Yields
        ------
        pyarrow.Table
            A single table with one row per image.
        """
        scores, errors = self._score(images)
        columns = describe_files(paths) | dict(zip(self._names, _with_nulls(scores), strict=True)) | {"error": errors}
        yield pa.table(columns, schema=self.schema)

    def _score(self, images: Sequence[ImageLike]) -> tuple[NDArray[np.float64], list[str | None]]:
        scores = self._predict(images)
        errors: list[str | None] = [None] * len(images)
        for row in np.flatnonzero(np.isnan(scores).any(axis=1)).tolist():
            try:
                load_image(images[row])
            except ImageError as error:
                errors[row] = error.reason
            else:  # a temporary failure
                scores[row] = self._predict(images[row : row + 1])[0]
                errors[row] = _NO_NUMBER if np.isnan(scores[row]).any() else None
        return scores, errors

    def _predict(self, images: Sequence[ImageLike]) -> NDArray[np.float64]:
        return self._classifier.predict_proba(images, tta=self._tta, batch_size=self._batch_size)[:, self._columns]


def load_classifier(file: Path) -> Any:
    """Load a saved classifier or ensemble.

    Parameters
    ----------
    file : Path
        The model file; that of an ensemble ends in ``.zip``.

    Returns
    -------
    TransferClassifier or Ensemble
        The fitted model.

    Raises
    ------
    ModelFileError
        If it cannot be read.
    """
    from melanoma_tl.classifier import Ensemble, TransferClassifier

    return (Ensemble if file.suffix == ".zip" else TransferClassifier).load(file)


def _with_nulls(scores: NDArray[np.float64]) -> list[pa.Array]:
    return [pa.array(column, from_pandas=True) for column in scores.T]
