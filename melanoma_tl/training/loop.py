"""One call of Keras's fit: its callbacks, and what happens on errors and interruption."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from melanoma_tl._keras.device_errors import explained
from melanoma_tl._keras.host_call import naming_host_errors
from melanoma_tl.errors import ParameterError, TrainingError
from melanoma_tl.training.batches import OrderedBatches, TrainingBatches, using
from melanoma_tl.training.best_epoch import BestEpoch, ExactSwap, watch_best
from melanoma_tl.training.callbacks import NO_CALLBACKS, KeepState, ShowEpochs, UserCallbacks, read_state
from melanoma_tl.training.checkpoints import StageCheckpoint
from melanoma_tl.training.features import ComputedFeatures
from melanoma_tl.training.interruption import KeepWeights, RepeatInterrupt
from melanoma_tl.training.keras_errors import EPOCHS_KEPT, EPOCHS_NOT_KEPT, NOT_A_NUMBER, is_no_number, less_memory
from melanoma_tl.training.penalty_path import PenaltyPath
from melanoma_tl.training.plan import TrainingPlan
from melanoma_tl.training.views import InputSource
from melanoma_tl.training.waiting import WaitingTime

logger = logging.getLogger(__name__)


@dataclass
class TrainingResult:
    """The result of a training.

    Attributes
    ----------
    history : dict of str to list of float
        loss, accuracy and auc of each finished epoch; with the prefix ``val_`` those of the validation images.
    interruption : BaseException or None
        The error of a callback, a batch or the device, or the KeyboardInterrupt, that ended training; the network
        keeps its weights so far.
    penalty_paths : list of PenaltyPath
        One for each ``Probe(C="auto")``.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    interruption: BaseException | None = None
    penalty_paths: list[PenaltyPath] = field(default_factory=list)


def train(
    model: keras.Model,
    batches: TrainingBatches,
    validation: tuple[InputSource, NDArray[np.float32]] | None,
    plan: TrainingPlan,
    *,
    whole: Callable[[], Any],
    callbacks: UserCallbacks = NO_CALLBACKS,
    checkpoint: StageCheckpoint | None = None,
) -> TrainingResult:
    """Train a compiled network.

    Parameters
    ----------
    model : keras.Model
        The network to train; changed in place.
    batches : TrainingBatches
        The training data.
    validation : tuple or None
        Inputs and targets of the validation images, which are neither balanced nor augmented.
    plan : TrainingPlan
        Number of epochs, early stopping, class weights.
    whole : callable
        Returns the whole network in its current state, not compiled.
    callbacks : UserCallbacks, optional
        The user's callbacks.
    checkpoint : StageCheckpoint, optional
        The checkpoint that stores each finished epoch, and from which training is resumed.

    Returns
    -------
    TrainingResult
        The history, and what ended training early.

    Raises
    ------
    TrainingError
        If the loss becomes NaN or infinite.
    DeviceError
        If the device fails, and the weights cannot be read any more.
    """
    replicas = batches.replicas
    shown = validation and OrderedBatches(*validation, batch_size=batches.batch_size, replicas=replicas)
    best = watch_best(plan, checkpoint, callbacks.first_epoch) if validation is not None else None
    resumed = 0 if checkpoint is None else checkpoint.epochs
    history = keras.callbacks.History()
    interruption: BaseException | None = None
    computes = isinstance(batches.inputs, ComputedFeatures)
    awaited = "features, which the frozen layers compute in each step" if computes else "batches"
    begun = time.perf_counter()
    repeat, waiting, kept = RepeatInterrupt(batches.stop_waiting), WaitingTime(batches.times), KeepWeights()
    try:
        with (
            replicas.fit_scope(),
            callbacks.working(model, whole, resumed),
            repeat.listening(),
            naming_host_errors(),
            using(batches, *filter(None, [shown])),
        ):
            model.fit(
                batches,
                validation_data=shown,
                initial_epoch=callbacks.first_epoch,
                epochs=callbacks.first_epoch + _last_epoch(plan, checkpoint),
                steps_per_epoch=batches.steps_per_epoch,
                class_weight=None if batches.bring_class_weights else plan.class_weight,
                callbacks=[
                    repeat,
                    kept,
                    waiting,
                    *_callbacks(plan, batches.steps_per_epoch, history, best, callbacks, checkpoint),
                ],
                shuffle=False,  # the batches shuffle themselves, by the seed
                verbose=0,
            )
    except Exception as error:
        interruption = explained(error, less_memory(plan), EPOCHS_NOT_KEPT if checkpoint is None else EPOCHS_KEPT)
        if interruption is error:
            replicas.raise_if_peer_lost(error)
        if is_no_number(error):
            epoch = history.epoch[-1] + 2 if history.epoch else callbacks.first_epoch + resumed + 1
            raise TrainingError(NOT_A_NUMBER.format(epoch=epoch, plan=plan)) from error
    except KeyboardInterrupt as error:
        interruption = error
    finally:
        waiting.close()
        if waiting.seconds:
            share = waiting.seconds / (time.perf_counter() - begun)
            logger.info("%.1f %% of the time of training was spent waiting for %s", 100 * share, awaited)
    if interruption is not None:
        _end_early(kept, best, interruption)
    metrics = {name: [float(value) for value in values] for name, values in history.history.items()}
    finite = np.isfinite(metrics.get("loss", []))
    if not finite.all():
        epoch = history.epoch[int(np.argmin(finite))] + 1
        raise TrainingError(NOT_A_NUMBER.format(epoch=epoch, plan=plan))
    return TrainingResult(metrics if checkpoint is None else dict(checkpoint.history), interruption)


def _end_early(kept: KeepWeights, best: BestEpoch | None, interruption: BaseException) -> None:
    """Leave the weights as at an end; where the device does not give them, raise what ended training."""
    try:
        kept.put_back()
        if best is not None:
            best.on_train_end()
    except Exception:
        raise interruption from interruption.__cause__


_held_callbacks: dict[int, keras.callbacks.Callback] = {}
_holding = threading.Lock()


@contextmanager
def held(callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[None]:
    """Reserve callbacks for one training, because a callback refers to one network and may change its weights.

    Parameters
    ----------
    callbacks : sequence of keras.callbacks.Callback
        The user's callbacks.

    Yields
    ------
    None
        No other training can use them in this block.

    Raises
    ------
    ParameterError
        If another training uses one of them.
    """
    with _holding:
        shared = [callback for callback in callbacks if id(callback) in _held_callbacks]
        if shared:
            raise ParameterError(
                f"the callback {type(shared[0]).__name__} is used by another fit at this moment, and would mix the "
                "weights of both networks: create one callback for each fit"
            )
        _held_callbacks.update({id(callback): callback for callback in callbacks})
    try:
        yield
    finally:
        with _holding:
            for callback in callbacks:
                _held_callbacks.pop(id(callback), None)


def _last_epoch(plan: TrainingPlan, checkpoint: StageCheckpoint | None) -> int:
    """Return the last epoch of the stage; a resumed stage that a callback had stopped is not trained further."""
    if checkpoint is None:
        return plan.epochs
    if read_state(checkpoint.working).get("stopped"):
        return checkpoint.epochs
    return checkpoint.last_epoch(plan.epochs, plan.early_stopping)


def _callbacks(
    plan: TrainingPlan,
    steps: int,
    history: keras.callbacks.History,
    best: BestEpoch | None,
    users: UserCallbacks,
    checkpoint: StageCheckpoint | None,
) -> list[keras.callbacks.Callback]:
    """Return the callbacks in the order in which they must be called at the end of an epoch.

    The state is backed up before the averaged weights replace the weights. The best weights are chosen after
    that. The epoch is marked as finished last, when the user's callbacks have been called and everything is on disk.
    """
    callbacks = [history, keras.callbacks.TerminateOnNaN()]
    if checkpoint is not None:
        callbacks.append(checkpoint.backup())
    if plan.ema_momentum is not None:
        callbacks.append(ExactSwap(swap_on_epoch=True))
    if best is not None:
        callbacks.append(best)
    callbacks.extend(users.callbacks)
    if checkpoint is not None:
        callbacks += [KeepState(users.callbacks, checkpoint.working), checkpoint.commit(history)]
    if plan.verbose:
        callbacks.append(ShowEpochs(users.first_epoch + plan.epochs, steps))
    return callbacks
