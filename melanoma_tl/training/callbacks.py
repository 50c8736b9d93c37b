"""The user's Keras callbacks, in a training of several stages that can be resumed."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from melanoma_tl._progress import progress
from melanoma_tl.errors import ParameterError

logger = logging.getLogger(__name__)

_INSTEAD = {
    "BackupAndRestore": "fit(resume=True) stores the finished epochs of every stage",
    "OrbaxCheckpoint": "fit(resume=True) stores finished epochs, and Keras's ModelCheckpoint saves the whole network",
    "SwapEMAWeights": "Optimizer(ema_momentum=...) averages the weights",
}
"""Callbacks that support only one network and one call of Keras's fit, and what to use instead."""

_STATE = {
    "EarlyStopping": ("best", "wait", "best_epoch", "stopped_epoch", "best_weights"),
    "ReduceLROnPlateau": ("best", "wait", "cooldown_counter"),
    "ModelCheckpoint": ("best", "_batches_seen_since_last_saving", "_last_batch_seen"),
    "TensorBoard": ("_global_train_batch", "_global_test_batch"),
}
"""The state of Keras callbacks, stored with each epoch. The other callbacks have no state, or have it on disk."""

_FILE, _ARRAYS = "callbacks.json", "callbacks.npz"


@dataclass(frozen=True)
class UserCallbacks:
    """The user's callbacks in one stage.

    Attributes
    ----------
    callbacks : sequence of keras.callbacks.Callback
        The callbacks in the user's order.
    first_epoch : int
        Number of epochs of all previous stages. Epochs are numbered through all stages, so that no stage overwrites the
        files of another.
    has_begun : bool
        Whether a previous stage called them.
    """

    callbacks: Sequence[Any] = ()
    first_epoch: int = 0
    has_begun: bool = False

    @contextmanager
    def working(self, model: Any, whole: Callable[[], Any], resumed: int) -> Iterator[None]:
        """Make callbacks save the whole network, and append to log files of earlier epochs.

        Parameters
        ----------
        model : keras.Model
            The trainable part of the network.
        whole : callable
            Returns the whole network in its current state, not compiled; ``model.save`` in a callback saves it.
        resumed : int
            Number of epochs of this stage that were finished before training was interrupted.

        Yields
        ------
        None
            The stage is trained in this block.
        """
        with ExitStack() as stack:
            if self.has_begun or resumed:
                for logger_of_rows in self._of("CSVLogger"):
                    stack.enter_context(_appending(logger_of_rows, self.first_epoch + resumed))
            stack.enter_context(_saving(model, whole))
            yield

    def _of(self, name: str) -> list[Any]:
        kind = getattr(keras.callbacks, name)
        return [callback for callback in self.callbacks if isinstance(callback, kind)]


NO_CALLBACKS = UserCallbacks()


def check_callbacks(callbacks: Sequence[Any], *, resume: bool) -> None:
    """Refuse callbacks that are not supported, before any image is read.

    Parameters
    ----------
    callbacks : sequence of keras.callbacks.Callback
        The user's callbacks.
    resume : bool
        Whether an interrupted training is resumed.

    Raises
    ------
    ParameterError
        If a callback is not supported; the message says what to use instead.
    """
    for name, instead in _INSTEAD.items():
        kind = getattr(keras.callbacks, name, ())
        if any(isinstance(callback, kind) for callback in callbacks):
            raise ParameterError(f"the callback {name} cannot be used: {instead}")
    own = sorted({type(callback).__name__ for callback in callbacks if not _is_of_keras(callback)})
    if resume and own:
        logger.warning("resume=True does not restore the state of %s, only of Keras's own callbacks", ", ".join(own))


def _is_of_keras(callback: Any) -> bool:
    return type(callback).__module__.split(".")[0] == "keras"


@contextmanager
def _saving(model: Any, whole: Callable[[], Any]) -> Iterator[None]:
    """Make a model save the whole network that it is a part of."""
    model.save = lambda *args, **options: whole().save(*args, **options)
    model.save_weights = lambda *args, **options: whole().save_weights(*args, **options)
    try:
        yield
    finally:
        del model.save, model.save_weights


@contextmanager
def saving_itself(model: Any) -> Iterator[None]:
    """Make a model within `UserCallbacks.working` save itself, with its optimizer.

    Parameters
    ----------
    model : keras.Model
        The trainable part of the network.

    Yields
    ------
    None
        The model saves itself in this block.
    """
    saves = {name: vars(model)[name] for name in ("save", "save_weights") if name in vars(model)}
    for name in saves:
        delattr(model, name)
    try:
        yield
    finally:
        for name, save in saves.items():
            setattr(model, name, save)


@contextmanager
def _appending(csv_logger: Any, first_epoch: int) -> Iterator[None]:
    """Make a CSVLogger append to the rows of earlier epochs; rows of epochs that are trained again are removed."""
    path = Path(csv_logger.filename)
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        while lines and (number := lines[-1].split(csv_logger.sep)[0]).isdecimal() and int(number) >= first_epoch:
            lines.pop()
        path.write_text("".join(lines), encoding="utf-8")
    before = csv_logger.append, csv_logger.append_header
    csv_logger.append = True
    try:
        yield
    finally:
        csv_logger.append, csv_logger.append_header = before


class KeepState(keras.callbacks.Callback):
    """Stores the state of the user's callbacks with each epoch, and restores it when training is resumed.

    Parameters
    ----------
    callbacks : sequence of keras.callbacks.Callback
        The user's callbacks; this one must come after them.
    folder : Path
        The folder of the current epoch.
    """

    def __init__(self, callbacks: Sequence[Any], folder: Path) -> None:
        super().__init__()
        self._callbacks, self._folder = callbacks, folder

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Restore the state, because Keras's callbacks reset theirs when training begins."""
        kept = read_state(self._folder)
        arrays = _read_arrays(self._folder / _ARRAYS)
        for number, (callback, state) in enumerate(zip(self._callbacks, kept.get("callbacks", ()), strict=False)):
            if state["kind"] != type(callback).__name__:
                continue
            for name, value in state["values"].items():
                setattr(callback, name, value)
            if state["weights"] is not None:
                callback.best_weights = [arrays[f"{number}_{place}"] for place in range(state["weights"])]
        if kept.get("learning_rate") is not None:
            self.model.optimizer.learning_rate = kept["learning_rate"]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Store the state."""
        arrays: dict[str, Any] = {}
        states = []
        for number, callback in enumerate(self._callbacks):
            values = {name: getattr(callback, name, None) for name in _remembered(callback)}
            weights = values.pop("best_weights", None)
            arrays |= {f"{number}_{place}": array for place, array in enumerate(weights or ())}
            states.append(
                {
                    "kind": type(callback).__name__,
                    "values": {name: _plain(value) for name, value in values.items()},
                    "weights": None if weights is None else len(weights),
                }
            )
        document = {
            "callbacks": states,
            "learning_rate": _rate(self.model.optimizer),
            "stopped": bool(self.model.stop_training),
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / _FILE).write_text(json.dumps(document), encoding="utf-8")
        np.savez(self._folder / _ARRAYS, **arrays)


def read_state(folder: Path) -> dict[str, Any]:
    """Read what `KeepState` wrote.

    Parameters
    ----------
    folder : Path
        The folder of an epoch.

    Returns
    -------
    dict
        Empty if nothing was stored. "stopped" is whether a callback had ended training.
    """
    path = folder / _FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _read_arrays(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _remembered(callback: Any) -> tuple[str, ...]:
    """Return the names of the attributes that are the state of a Keras callback or a subclass of one."""
    return next((_STATE[kind.__name__] for kind in type(callback).__mro__ if kind.__name__ in _STATE), ())


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else float(value)


def _rate(optimizer: Any) -> float | None:
    """Return the learning rate, which a callback may have changed; None if it is a schedule."""
    is_scheduled = isinstance(optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule)
    return None if is_scheduled else float(keras.ops.convert_to_numpy(optimizer.learning_rate))


class ShowEpochs(keras.callbacks.Callback):
    """Shows the progress of a stage, with the loss and AUC of the last epoch.

    Parameters
    ----------
    epochs : int
        Number of the last epoch.
    steps : int
        Steps per epoch.
    """

    def __init__(self, epochs: int, steps: int) -> None:
        super().__init__()
        self.epochs, self.steps = epochs, steps
        self.epoch, self.last = 0, ""

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Open the progress bar."""
        self.shown = progress(work="Train", total=self.epochs * self.steps, unit="step", verbose=1, delay=0)
        self.shown.__enter__()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Show the number of the epoch; training may be resumed at any epoch."""
        self.shown.n = epoch * self.steps
        self.shown.say(f"epoch {epoch + 1}/{self.epochs}{self.last}")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Count a step."""
        self.shown.update()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Keep loss and AUC, which are shown in the next epoch."""
        self.last = "".join(f", {text}" for text in describe_metrics({name: [v] for name, v in (logs or {}).items()}))

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Close the progress bar."""
        self.shown.__exit__(None)


def describe_metrics(history: Mapping[str, Sequence[float]]) -> list[str]:
    """Describe loss and AUC of the last epoch in words.

    Parameters
    ----------
    history : mapping of str to sequence of float
        Metrics of each epoch, as in ``keras.callbacks.History.history``.

    Returns
    -------
    list of str
        One text for the training images, and one for the validation images if there are any.

    Examples
    --------
    >>> describe_metrics({"loss": [0.9, 0.41], "auc": [0.5, 0.84]})
    ['training loss 0.410, training AUC 0.840']
    """
    sides = {"training": "", "validation": "val_"}
    words = {"loss": "loss", "auc": "AUC"}
    texts = [
        [f"{side} {word} {history[key][-1]:.3f}" for name, word in words.items() if history.get(key := before + name)]
        for side, before in sides.items()
    ]
    return [", ".join(found) for found in texts if found]
