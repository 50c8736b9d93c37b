"""The user's callbacks of Keras in a training of several stages, which may be killed and go on."""

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
    "BackupAndRestore": "fit(resume=True) keeps every stage of a training",
    "OrbaxCheckpoint": "fit(resume=True) keeps every stage, and Keras's ModelCheckpoint writes the whole network",
    "SwapEMAWeights": "Optimizer(ema_momentum=...) averages the weights",
}
"""Callbacks that know one network and one call of fit, and what does here what they are for."""

_STATE = {
    "EarlyStopping": ("best", "wait", "best_epoch", "stopped_epoch", "best_weights"),
    "ReduceLROnPlateau": ("best", "wait", "cooldown_counter"),
    "ModelCheckpoint": ("best", "_batches_seen_since_last_saving", "_last_batch_seen"),
    "TensorBoard": ("_global_train_batch", "_global_test_batch"),
}
"""What callbacks of Keras remember from epoch to epoch; the others remember nothing, or what is on disk anyway."""

_FILE, _ARRAYS = "callbacks.json", "callbacks.npz"


@dataclass(frozen=True)
class UserCallbacks:
    """The user's callbacks in one stage.

    Attributes
    ----------
    callbacks : sequence of keras.callbacks.Callback
        In the user's order.
    first_epoch : int
        How many epochs the stages before had: epochs are counted on, so that no stage writes over the files of another.
    has_begun : bool
        Whether they were called in a stage before.
    """

    callbacks: Sequence[Any] = ()
    first_epoch: int = 0
    has_begun: bool = False

    @contextmanager
    def working(self, model: Any, whole: Callable[[], Any], resumed: int) -> Iterator[None]:
        """Let callbacks that write files write what the user means.

        Parameters
        ----------
        model : keras.Model
            The part that learns.
        whole : callable
            Gives the whole network as it is now, not compiled: what ``model.save`` of a callback is to write.
        resumed : int
            How many epochs of this stage had finished when it was killed.

        Yields
        ------
        None
            While the stage is trained.
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
    """Stop at callbacks that cannot work here, before any image is read.

    Parameters
    ----------
    callbacks : sequence of keras.callbacks.Callback
        The user's.
    resume : bool
        Whether training is to go on after it was killed.

    Raises
    ------
    ParameterError
        If there is one; the message names it, and what to use instead.
    """
    for name, instead in _INSTEAD.items():
        kind = getattr(keras.callbacks, name, ())
        if any(isinstance(callback, kind) for callback in callbacks):
            raise ParameterError(f"the callback {name} cannot be used: {instead}")
    own = sorted({type(callback).__name__ for callback in callbacks if not _is_of_keras(callback)})
    if resume and own:
        logger.warning("resume=True does not keep what %s remember, only callbacks of Keras itself", ", ".join(own))


def _is_of_keras(callback: Any) -> bool:
    return type(callback).__module__.split(".")[0] == "keras"


@contextmanager
def _saving(model: Any, whole: Callable[[], Any]) -> Iterator[None]:
    """Let a model write the whole network that it is a part of."""
    model.save = lambda *args, **options: whole().save(*args, **options)
    model.save_weights = lambda *args, **options: whole().save_weights(*args, **options)
    try:
        yield
    finally:
        del model.save, model.save_weights


@contextmanager
def saving_itself(model: Any) -> Iterator[None]:
    """Let a model within `UserCallbacks.working` write itself, with its optimizer.

    Parameters
    ----------
    model : keras.Model
        The part that learns.

    Yields
    ------
    None
        Meanwhile.
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
    """Let a CSVLogger go on with the rows of the epochs before; one of an epoch that is trained again is taken out."""
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
    """Keeps with each epoch what the user's callbacks remember, and gives it back when training goes on.

    Parameters
    ----------
    callbacks : sequence of keras.callbacks.Callback
        The user's; this one must come after them.
    folder : Path
        Where the epoch is being written.
    """

    def __init__(self, callbacks: Sequence[Any], folder: Path) -> None:
        super().__init__()
        self._callbacks, self._folder = callbacks, folder

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Restore the state, which Keras's callbacks have just reset."""
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
        """Keep the state."""
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
        Of an epoch.

    Returns
    -------
    dict
        Empty where nothing was kept; "stopped" tells whether a callback had ended training.
    """
    path = folder / _FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _read_arrays(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _remembered(callback: Any) -> tuple[str, ...]:
    """Name what a callback of Keras, or one that is made of it, remembers."""
    return next((_STATE[kind.__name__] for kind in type(callback).__mro__ if kind.__name__ in _STATE), ())


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else float(value)


def _rate(optimizer: Any) -> float | None:
    """Return the learning rate, where it is a number that a callback may have changed, and not a schedule."""
    is_scheduled = isinstance(optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule)
    return None if is_scheduled else float(keras.ops.convert_to_numpy(optimizer.learning_rate))


class ShowEpochs(keras.callbacks.Callback):
    """Show how far a stage is, and what the last epoch gave.

    Parameters
    ----------
    epochs : int
        Number of the last epoch.
    steps : int
        Steps of an epoch.
    """

    def __init__(self, epochs: int, steps: int) -> None:
        super().__init__()
        self.epochs, self.steps = epochs, steps
        self.epoch, self.last = 0, ""

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Open the part of the line."""
        self.shown = progress(work="Train", total=self.epochs * self.steps, unit="step", verbose=1, delay=0)
        self.shown.__enter__()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Go on from an epoch, which need not be the first."""
        self.shown.n = epoch * self.steps
        self.shown.say(f"epoch {epoch + 1}/{self.epochs}{self.last}")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Count a step."""
        self.shown.update()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Keep what it gave for the next one."""
        self.last = "".join(f", {text}" for text in describe_metrics({name: [v] for name, v in (logs or {}).items()}))

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Give the line back."""
        self.shown.__exit__(None)


def describe_metrics(history: Mapping[str, Sequence[float]]) -> list[str]:
    """Write loss and AUC of the last epoch in words.

    Parameters
    ----------
    history : mapping of str to sequence of float
        As Keras keeps it.

    Returns
    -------
    list of str
        One text for the training images, and one for the validation images if there are any.

    Examples
    --------
    >>> describe_metrics({"loss": [0.9, 0.41], "auc": [0.5, 0.84]})
    ['training loss 0.410, AUC 0.840']
    """
    sides = {"training": "", "validation": "val_"}
    named = {"loss": "loss", "auc": "AUC"}
    texts = {
        side: [f"{word} {history[before + name][-1]:.3f}" for name, word in named.items() if history.get(before + name)]
        for side, before in sides.items()
    }
    return [f"{side} {', '.join(found)}" for side, found in texts.items() if found]
