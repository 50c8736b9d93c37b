"""Checkpoints, from which an interrupted training resumes after its last finished epoch."""

import errno
import hashlib
import io
import json
import logging
import math
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
from melanoma_tl._atomic import atomic_write, locked, make_folder, scratch
from melanoma_tl.errors import CacheError
from melanoma_tl.training.callbacks import saving_itself
from melanoma_tl.training.replicas import SINGLE_DEVICE, Replicas
from melanoma_tl.training.seals import is_sealed, seal

logger = logging.getLogger(__name__)

_STATE, _BEST, _WEIGHTS, _FINISHED = "state.json", "best.npz", "weights.npz", "finished"

_PATIENCE = 5.0
"""Seconds to wait for an identical run, which may be about to end."""

_BESIDE_ARRAYS = 2**20
"""Bytes of what HDF5 writes beside arrays, and of the rest of a checkpoint."""


class RunFolder:
    """The folder of one call of ``fit(resume=True)``, named by a digest of everything that determines the run.

    Parameters
    ----------
    described : object
        Everything that determines the result of the training, serialisable as JSON.
    replicas : Replicas, optional
        The replicas that train. With several processes, the first one stores the epochs and sends them to the others
        when training resumes.
    """

    def __init__(self, described: Any, replicas: Replicas = SINGLE_DEVICE) -> None:
        self._replicas = replicas
        self._copies = Path()
        key = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:32]
        self.path = cache.folder() / "runs" / key

    @contextmanager
    def held(self) -> Iterator[Self]:
        """Lock the folder, so that no other process or thread trains the same run.

        Yields
        ------
        RunFolder
            This folder.

        Raises
        ------
        CacheError
            If an identical run is in progress, or the folder cannot be written.
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
        """Open the checkpoint of a stage.

        Parameters
        ----------
        number : int
            Number of the stage, from 0.

        Returns
        -------
        StageCheckpoint
            The checkpoint; empty if the stage has not begun.

        Raises
        ------
        CacheError
            If the folder cannot be created.
        """
        if self._replicas.process > 0:
            return _CopiedCheckpoint(self._copies / f"stage_{number}", self._replicas)
        checkpoint = StageCheckpoint(self.path / f"stage_{number}", self._replicas)
        if self._replicas.n_processes > 1:
            self._replicas.broadcast(checkpoint.pack())
        return checkpoint

    def delete(self) -> None:
        """Delete the folder after training has finished."""
        if self._replicas.process == 0:
            shutil.rmtree(self.path, ignore_errors=True)


class StageCheckpoint:
    """The last finished epoch of a stage, on Keras's `BackupAndRestore`.

    Keras writes into a working folder, which is renamed to its epoch when it is complete. If a
    run is killed at any moment, an epoch is therefore stored completely or not at all.

    Parameters
    ----------
    folder : Path
        The folder of the stage.
    replicas : Replicas, optional
        The replicas that train.

    Attributes
    ----------
    epochs : int
        Number of finished epochs.
    history : dict of str to list of float
        Their metrics.

    Raises
    ------
    CacheError
        If the folder cannot be created or read.
    """

    def __init__(self, folder: Path, replicas: Replicas = SINGLE_DEVICE) -> None:
        self.folder = folder
        self._replicas = replicas
        self.working = folder / "unfinished"
        self.epochs = 0
        self.history: dict[str, list[float]] = {}
        self._seeds: list[Any] = []
        self._best: list[NDArray[Any]] | None = None
        with self.as_write_error():
            make_folder(folder)
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
    def as_write_error(self) -> Iterator[None]:
        """Raise what is wrong with the disk as an error that says what to do.

        Raises
        ------
        CacheError
            If something cannot be written.
        """
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
        """Return the checkpoint as one message.

        Returns
        -------
        bytes
            A ZIP archive of its files.
        """
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(self.folder.rglob("*")):
                if path.is_file() and self.working not in path.parents:
                    archive.write(path, path.relative_to(self.folder))
        return packed.getvalue()

    # -- the stage as a whole --------------------------------------------------------------------------------------

    def read_finished(self) -> list[NDArray[Any]] | None:
        """Return the final weights of the stage.

        Returns
        -------
        list of ndarray or None
            The weights; None if the stage has not finished.
        """
        path = self.folder / _FINISHED
        if not path.is_dir():
            return None
        self._read_state(path)
        return _read_arrays(path / _WEIGHTS)

    def finish(self, weights: list[NDArray[Any]], history: dict[str, list[float]]) -> None:
        """Store the final weights of the stage, and delete its epochs.

        Parameters
        ----------
        weights : list of ndarray
            Weights of the trained part of the network.
        history : dict of str to list of float
            Metrics of all epochs of the stage.
        """
        with self.as_write_error(), atomic_write(self.folder / _FINISHED) as unfinished:
            unfinished.mkdir()
            self._write_state(unfinished, history, [])
            _write_arrays(unfinished / _WEIGHTS, weights)
            seal(unfinished)
        for path in (self.working, *self._kept_epochs()):
            shutil.rmtree(path, ignore_errors=True)

    # -- its epochs ------------------------------------------------------------------------------------------------

    def last_epoch(self, epochs: int, patience: int | None) -> int:
        """Return the epoch up to which to train: the current one, if early stopping is already due.

        Parameters
        ----------
        epochs : int
            Largest number of epochs.
        patience : int or None
            Epochs without a smaller validation loss after which training stops.

        Returns
        -------
        int
            At least the number of finished epochs.
        """
        losses = self.history.get("val_loss", [])
        is_over = patience is not None and losses and self.epochs - 1 - int(np.argmin(losses)) >= patience
        return self.epochs if is_over else epochs

    def backup(self) -> keras.callbacks.Callback:
        """Return the callback that stores weights and optimizer state, and restores them at the start.

        Returns
        -------
        keras.callbacks.BackupAndRestore
            The callback; it must precede callbacks that change weights at the end of an epoch.
        """
        return _Backup(self, self._replicas)

    def commit(self, history: keras.callbacks.History) -> keras.callbacks.Callback:
        """Return the callback that marks an epoch as finished.

        Parameters
        ----------
        history : keras.callbacks.History
            The metrics of the epoch, without any that callbacks of the user have added since.

        Returns
        -------
        keras.callbacks.Callback
            The callback; it must follow all callbacks whose state belongs to the epoch.
        """
        return _Commit(self, history)

    def keep_best(self, epoch: int, weights: list[NDArray[Any]]) -> None:
        """Store the best weights so far with the current epoch.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 0.
        weights : list of ndarray
            Weights of the trained part of the network.
        """
        logger.debug("epoch %d is the best so far", epoch + 1)
        self._best = weights
        with self.as_write_error():
            _write_arrays(self.working / _BEST, weights)

    def read_best(self) -> list[NDArray[Any]]:
        """Return the best weights of the finished epochs.

        Returns
        -------
        list of ndarray
            The weights passed to `keep_best`.
        """
        self._best = _read_arrays(self._kept_epochs()[-1] / _BEST)
        return self._best

    def _write_state(self, folder: Path, history: dict[str, list[float]], seeds: list[Any]) -> None:
        state = {"epochs": len(history.get("loss", [])), "history": history, "seeds": seeds}
        (folder / _STATE).write_text(json.dumps(state), encoding="utf-8")

    def begin(self, model: keras.Model) -> None:
        """Restore the seeds of random layers after the last finished epoch; Keras stores weights only.

        Parameters
        ----------
        model : keras.Model
            The trained part of the network.
        """
        for variable, state in zip(_seed_variables(model), self._seeds, strict=False):
            variable.assign(np.array(state, dtype=variable.dtype))

    def end_epoch(self, model: keras.Model, metrics: dict[str, float]) -> None:
        """Mark an epoch as finished.

        Parameters
        ----------
        model : keras.Model
            The trained part of the network.
        metrics : dict of str to float
            Metrics of the epoch, for the history.
        """
        self._count(metrics)
        with self.as_write_error():
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
    """A copy of the first process's checkpoint for another process, which stores nothing itself."""

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
    """Restores the state in each process, and stores it in the first."""

    def __init__(self, checkpoint: StageCheckpoint, replicas: Replicas) -> None:
        super().__init__(str(checkpoint.working), delete_checkpoint=False)
        self._checkpoint, self._replicas = checkpoint, replicas

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._replicas.process == 0:
            # Keras builds another optimizer for comparison, which must not be distributed.
            with self._checkpoint.as_write_error(), self._replicas.local_scope(), saving_itself(self.model):
                _check_room(self._checkpoint.folder, self.model)
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


def _check_room(folder: Path, model: keras.Model) -> None:
    """Raise an error where the disk has no room for the state of a training: HDF5 can end the process there."""
    n_values = sum(math.prod(variable.shape) for variable in (*model.variables, *model.optimizer.variables))
    needed, free = 4 * n_values + _BESIDE_ARRAYS, shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC, f"the state of an epoch takes {needed / 2**20:,.1f} MiB, {free / 2**20:,.1f} MiB are free"
        )


def _seed_variables(model: keras.Model) -> list[Any]:
    """Return the seed variables of random layers: all variables that are no weights."""
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
