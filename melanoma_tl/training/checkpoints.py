"""What an interrupted training needs to go on from its last finished epoch."""

import hashlib
import io
import json
import logging
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray

from melanoma_tl import cache
from melanoma_tl._atomic import atomic_write, locked, scratch
from melanoma_tl.errors import CacheError
from melanoma_tl.training.callbacks import saving_itself
from melanoma_tl.training.replicas import SINGLE_DEVICE, Replicas
from melanoma_tl.training.seals import is_sealed, seal

logger = logging.getLogger(__name__)

_STATE, _BEST, _WEIGHTS, _FINISHED = "state.json", "best.npz", "weights.npz", "finished"

_PATIENCE = 5.0
"""Seconds to wait for an identical run: it may be one that is being ended."""


class RunFolder:
    """The folder of one call of ``fit(resume=True)``, found again by what the call is about.

    Parameters
    ----------
    described : object
        Everything that decides how the training goes, as JSON can hold it.
    replicas : Replicas, optional
        Who trains: of several processes the first keeps the epochs, and hands them to the others when it goes on.
    """

    def __init__(self, described: Any, replicas: Replicas = SINGLE_DEVICE) -> None:
        self._replicas = replicas
        self._copies = Path()
        key = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:32]
        self.path = cache.folder() / "runs" / key

    @contextmanager
    def held(self) -> Iterator[Self]:
        """Keep the run from being trained by another process or thread at once.

        Yields
        ------
        RunFolder
            This one.

        Raises
        ------
        CacheError
            If an identical run is under way, or the folder cannot be written.
        """
        with ExitStack() as stack:
            if self._replicas.process > 0:
                self._copies = stack.enter_context(scratch())
            else:
                try:
                    stack.enter_context(locked(cache.lock_of_run(self.path.name), patience=_PATIENCE))
                except TimeoutError as error:
                    raise CacheError(
                        "the very same training is under way in another process or thread, and would be written to "
                        "the same checkpoints: wait until it has finished, or call fit without resume"
                    ) from error
                except OSError as error:
                    raise CacheError(f"{self.path.parent}: {error}; make the folder writable") from error
            yield self

    def stage(self, number: int) -> "StageCheckpoint":
        """Open what is kept of a stage.

        Parameters
        ----------
        number : int
            From 0.

        Returns
        -------
        StageCheckpoint
            Empty, if the stage was not begun.

        Raises
        ------
        CacheError
            If the folder cannot be made.
        """
        if self._replicas.process > 0:
            return _CopiedCheckpoint(self._copies / f"stage_{number}", self._replicas)
        checkpoint = StageCheckpoint(self.path / f"stage_{number}", self._replicas)
        if self._replicas.n_processes > 1:
            self._replicas.broadcast(checkpoint.pack())
        return checkpoint

    def delete(self) -> None:
        """Delete it all: training has finished."""
        if self._replicas.process == 0:
            shutil.rmtree(self.path, ignore_errors=True)


class StageCheckpoint:
    """The last finished epoch of a stage, on Keras's `BackupAndRestore`.

    Keras writes into a folder that counts for nothing until it gets the name of its epoch,
    when all that belongs to the epoch is in it. So whenever a run is killed, an epoch is there
    as a whole or not at all.

    Parameters
    ----------
    folder : Path
        Where.
    replicas : Replicas, optional
        Who trains.

    Attributes
    ----------
    epochs : int
        How many epochs have finished.
    history : dict of str to list of float
        Their metrics.

    Raises
    ------
    CacheError
        If the folder cannot be made or read.
    """

    def __init__(self, folder: Path, replicas: Replicas = SINGLE_DEVICE) -> None:
        self.folder = folder
        self._replicas = replicas
        self.working = folder / "unfinished"
        self.epochs = 0
        self.history: dict[str, list[float]] = {}
        self._seeds: list[Any] = []
        self._best: list[NDArray[Any]] | None = None
        with self._as_write_error():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.working, ignore_errors=True)
            kept = self._kept_epochs()
            for damaged in [path for path in (*kept, folder / _FINISHED) if path.exists() and not is_sealed(path)]:
                logger.warning("%s is damaged, and is trained again", damaged)
                shutil.rmtree(damaged)
            kept = self._kept_epochs()
            if kept:
                shutil.copytree(kept[-1], self.working)
                self._read_state(kept[-1])
                logger.info("training goes on after epoch %d, which lies in %s", self.epochs, kept[-1])

    @contextmanager
    def _as_write_error(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, KeyError) as error:
            raise CacheError(
                f"{self.folder}: {error}; free some space, or clear it with melanoma_tl.cache.clear('runs')"
            ) from error

    def _kept_epochs(self) -> list[Path]:
        return sorted(self.folder.glob("epoch_*"))

    def _read_state(self, epoch: Path) -> None:
        state = json.loads((epoch / _STATE).read_text(encoding="utf-8"))
        self.epochs, self.history, self._seeds = state["epochs"], state["history"], state["seeds"]

    def pack(self) -> bytes:
        """Return all that is kept, as one message.

        Returns
        -------
        bytes
            A ZIP archive.
        """
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(self.folder.rglob("*")):
                if path.is_file() and self.working not in path.parents:
                    archive.write(path, path.relative_to(self.folder))
        return packed.getvalue()

    # -- the stage as a whole --------------------------------------------------------------------------------------

    def read_finished(self) -> list[NDArray[Any]] | None:
        """Return the weights in which the stage ended.

        Returns
        -------
        list of ndarray or None
            None if it has not ended.
        """
        path = self.folder / _FINISHED
        if not path.is_dir():
            return None
        self._read_state(path)
        return _read_arrays(path / _WEIGHTS)

    def finish(self, weights: list[NDArray[Any]], history: dict[str, list[float]]) -> None:
        """Keep the weights in which the stage ended, and nothing else.

        Parameters
        ----------
        weights : list of ndarray
            Of the part that learned.
        history : dict of str to list of float
            Metrics of all its epochs.
        """
        with self._as_write_error(), atomic_write(self.folder / _FINISHED) as unfinished:
            unfinished.mkdir()
            self._write_state(unfinished, history, [])
            _write_arrays(unfinished / _WEIGHTS, weights)
            seal(unfinished)
        for path in (self.working, *self._kept_epochs()):
            shutil.rmtree(path, ignore_errors=True)

    # -- its epochs ------------------------------------------------------------------------------------------------

    def last_epoch(self, epochs: int, patience: int | None) -> int:
        """Return up to which epoch to train: not further, if the patience was over when the run was killed.

        Parameters
        ----------
        epochs : int
            Largest number of epochs.
        patience : int or None
            Epochs without a smaller validation loss after which training stops.

        Returns
        -------
        int
            At least the number of epochs that have finished.
        """
        losses = self.history.get("val_loss", [])
        is_over = patience is not None and losses and self.epochs - 1 - int(np.argmin(losses)) >= patience
        return self.epochs if is_over else epochs

    def backup(self) -> keras.callbacks.Callback:
        """Make the callback that writes the weights and the state of the optimizer, and reads them at the start.

        Returns
        -------
        keras.callbacks.BackupAndRestore
            To come before callbacks that change weights at the end of an epoch.
        """
        return _Backup(str(self.working), self._replicas)

    def commit(self, history: keras.callbacks.History) -> keras.callbacks.Callback:
        """Make the callback that declares an epoch finished.

        Parameters
        ----------
        history : keras.callbacks.History
            Has the metrics of the epoch; callbacks of the user may have added some of theirs since.

        Returns
        -------
        keras.callbacks.Callback
            To come after those whose state belongs to the epoch.
        """
        return _Commit(self, history)

    def keep_best(self, epoch: int, weights: list[NDArray[Any]]) -> None:
        """Keep the best weights so far, with the epoch that is about to finish.

        Parameters
        ----------
        epoch : int
            From 0.
        weights : list of ndarray
            Of the part that learns.
        """
        logger.debug("epoch %d is the best so far", epoch + 1)
        self._best = weights
        with self._as_write_error():
            _write_arrays(self.working / _BEST, weights)

    def read_best(self) -> list[NDArray[Any]]:
        """Return the best weights of the finished epochs.

        Returns
        -------
        list of ndarray
            As `keep_best` got them.
        """
        self._best = _read_arrays(self._kept_epochs()[-1] / _BEST)
        return self._best

    def _write_state(self, folder: Path, history: dict[str, list[float]], seeds: list[Any]) -> None:
        state = {"epochs": len(history.get("loss", [])), "history": history, "seeds": seeds}
        (folder / _STATE).write_text(json.dumps(state), encoding="utf-8")

    def begin(self, model: keras.Model) -> None:
        """Put random layers into the state of the last finished epoch; Keras keeps weights only.

        Parameters
        ----------
        model : keras.Model
            The part that learns.
        """
        for variable, state in zip(_seed_variables(model), self._seeds, strict=False):
            variable.assign(np.array(state, dtype=variable.dtype))

    def end_epoch(self, model: keras.Model, metrics: dict[str, float]) -> None:
        """Declare an epoch finished.

        Parameters
        ----------
        model : keras.Model
            The part that learns.
        metrics : dict of str to float
            What the history gets.
        """
        self._count(metrics)
        with self._as_write_error():
            self._keep_epoch(model)

    def _keep_epoch(self, model: keras.Model) -> None:
        earlier = self._kept_epochs()
        best = self.working / _BEST
        if self._best is not None and not best.exists():
            if earlier and (earlier[-1] / _BEST).exists():
                _link(earlier[-1] / _BEST, best)
            else:  # the cache was cleared meanwhile
                _write_arrays(best, self._best)
        seeds = [np.asarray(keras.ops.convert_to_numpy(variable)).tolist() for variable in _seed_variables(model)]
        self._write_state(self.working, self.history, seeds)
        seal(self.working)
        self.working.rename(self.folder / f"epoch_{self.epochs:06}")
        for path in earlier:
            shutil.rmtree(path, ignore_errors=True)

    def _count(self, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self.history.setdefault(name, []).append(float(value))
        self.epochs += 1


class _CopiedCheckpoint(StageCheckpoint):
    """What a process reads of another one's checkpoint when training goes on; it keeps nothing itself."""

    def __init__(self, folder: Path, replicas: Replicas) -> None:
        with zipfile.ZipFile(io.BytesIO(replicas.broadcast(b""))) as archive:
            archive.extractall(folder)
        super().__init__(folder, replicas)

    def keep_best(self, epoch: int, weights: list[NDArray[Any]]) -> None:
        pass

    def end_epoch(self, model: keras.Model, metrics: dict[str, float]) -> None:  # noqa: ARG002
        self._count(metrics)

    def finish(self, weights: list[NDArray[Any]], history: dict[str, list[float]]) -> None:
        pass


class _Backup(keras.callbacks.BackupAndRestore):
    """Reads the state in each process, and writes it in the first."""

    def __init__(self, folder: str, replicas: Replicas) -> None:
        super().__init__(folder, delete_checkpoint=False)
        self._replicas = replicas

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._replicas.process == 0:
            # Keras makes an optimizer to compare with, not one for all devices.
            with self._replicas.local_scope(), saving_itself(self.model):
                super().on_epoch_end(epoch, logs)


class _Commit(keras.callbacks.Callback):
    def __init__(self, checkpoint: StageCheckpoint, history: keras.callbacks.History) -> None:
        super().__init__()
        self._checkpoint, self._history = checkpoint, history

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._checkpoint.begin(self.model)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        if np.isfinite((logs or {}).get("loss", np.nan)):
            metrics = {name: values[-1] for name, values in self._history.history.items()}
            self._checkpoint.end_epoch(self.model, metrics)


def _seed_variables(model: keras.Model) -> list[Any]:
    """Find the variables from which random layers draw: all that are neither weights nor metrics."""
    weights = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without links
        shutil.copy2(source, target)


def _write_arrays(path: Path, arrays: list[NDArray[Any]]) -> None:
    np.savez(path, *arrays)


def _read_arrays(path: Path) -> list[NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return [file[f"arr_{number}"] for number in range(len(file.files))]
