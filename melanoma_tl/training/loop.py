"""Feed a network with balanced batches, and train it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from melanoma_tl.distribution import ALONE, NOT_THERE, Replicas
from melanoma_tl.errors import ParameterError, TrainingError
from melanoma_tl.network.precision import jit_compile
from melanoma_tl.training.callbacks import NO_CALLBACKS, KeepState, UserCallbacks, read_state
from melanoma_tl.training.checkpoints import StageCheckpoint
from melanoma_tl.training.mixing import mix_batch
from melanoma_tl.training.optimizers import build_optimizer, schedule_rate
from melanoma_tl.training.stages import Stage
from melanoma_tl.training.views import Inputs


@dataclass(frozen=True)
class TrainingPlan:
    """How to train, how long, and when to stop.

    Attributes
    ----------
    stage : Stage
        Schedule and warm-up, and the decay of the rate from layer to layer.
    batch_size : int
        Images a batch; the last batch of a pass over the rows may be smaller.
    epochs : int
        Largest number of epochs.
    steps_per_epoch : int or None
        Batches an epoch; None makes an epoch one pass. Passes go on across epochs.
    early_stopping : int or None
        Epochs without a smaller validation loss after which training stops.
    restore_best : bool
        Whether to go back to the epoch of the smallest validation loss.
    class_weight : dict or None
        Weight of each class in the loss.
    optimizer : str
        Name of a Keras optimizer.
    learning_rate : float
        Its largest rate.
    weight_decay : float
        What every step takes off the kernels, as a multiple of the rate.
    clip_norm : float or None
        Largest norm of all gradients together.
    ema_momentum : float or None
        Momentum of the moving average that takes the place of the weights; None keeps the weights.
    loss : {"crossentropy", "focal"}
        What is made small.
    label_smoothing : float
        0 becomes half of it, 1 becomes 1 less half of it.
    mix : {"mixup", "cutmix"} or None
        How training images are mixed.
    seed : int
        Seed of the order.
    verbose : int
        0 shows no progress bar.
    """

    stage: Stage
    batch_size: int
    epochs: int
    steps_per_epoch: int | None
    early_stopping: int | None
    restore_best: bool
    class_weight: dict[int, float] | None
    optimizer: str
    learning_rate: float
    weight_decay: float
    clip_norm: float | None
    ema_momentum: float | None
    loss: str
    label_smoothing: float
    mix: str | None
    seed: int
    verbose: int

    def count_batches(self, n_rows: int) -> int:
        """Count the batches of one pass.

        Parameters
        ----------
        n_rows : int
            Rows of a pass.

        Returns
        -------
        int
            At least 1.
        """
        return -(-n_rows // self.batch_size)

    def count_steps(self, n_rows: int) -> int:
        """Count the batches of an epoch.

        Parameters
        ----------
        n_rows : int
            Rows of a pass.

        Returns
        -------
        int
            At least 1.
        """
        return self.steps_per_epoch or self.count_batches(n_rows)

    def count_turns(self, rows: NDArray[np.intp]) -> int:
        """Count how often any image is shown at most.

        Parameters
        ----------
        rows : ndarray of int of shape (n_rows,)
            Which images make up one pass, repeated ones included.

        Returns
        -------
        int
            At least 1.
        """
        passes = -(-self.epochs * self.count_steps(len(rows)) // self.count_batches(len(rows)))
        return passes * int(np.unique(rows, return_counts=True)[1].max())


class Batches(keras.utils.PyDataset):
    """Batches, of which each process reads its share.

    With several devices each batch has as many images on each: what is missing is filled up with images that weigh
    nothing in the loss and whose target `NOT_THERE` tells the other figures to leave them out.

    Parameters
    ----------
    inputs : Inputs
        What the network is shown.
    targets : ndarray of shape (n_images, 1) or (n_images, n_classes)
        0 or 1.
    replicas : Replicas
        What learns from the batches.
    """

    def __init__(self, inputs: Inputs, targets: NDArray[np.float32], replicas: Replicas) -> None:
        super().__init__()
        self.inputs, self.targets, self.replicas = inputs, targets, replicas

    def release(self) -> None:
        """Let go of the inputs: TensorFlow keeps the batches of every training, and with them network and images."""
        del self.inputs

    def choose(self, index: int) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
        """Give the images of a batch, how often each was shown before, and the number of the step."""
        raise NotImplementedError

    def draw(self, rows: NDArray[np.intp], turns: NDArray[np.intp], step: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Give inputs and targets of images."""
        return self.inputs.draw(rows, turns, step), self.targets[rows]

    def weigh(self, targets: NDArray[Any], n_images: int) -> NDArray[np.float32]:
        """Give the weights in the loss of a batch of so many images: such that its mean is theirs, when filled up."""
        return np.full(len(targets), self.replicas.fill_up(n_images) / n_images, dtype=np.float32)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], ...]:
        rows, turns, step = self.choose(index)
        if not self.replicas.are_several:
            return self.draw(rows, turns, step)
        places, counts = self.replicas.share(len(rows))
        read = places[counts] if counts.any() else places[:1]
        with self.replicas.reading():
            # Another number in each process: what is random by the step would be the same in all of them.
            number = step * self.replicas.n_processes + self.replicas.process
            inputs, targets = self.draw(rows[read], turns[read], number)
        filled = np.arange(len(places)) % len(read)
        weights = np.where(counts, self.weigh(targets[filled], len(rows)), np.float32(0.0))
        return inputs[filled], np.where(counts[:, np.newaxis], targets[filled], np.float32(NOT_THERE)), weights


class TrainingBatches(Batches):
    """Endless batches; each depends on the seed and its number alone.

    So it does not matter which thread makes a batch, or how far ahead of the training step.
    Pixels stay uint8 and features as they were stored: the network widens them where it computes.

    Parameters
    ----------
    inputs : Inputs
        What the network learns from.
    targets : ndarray of shape (n_images, 1) or (n_images, n_classes)
        0 or 1, for melanoma or for each of several diagnoses.
    rows : ndarray of int of shape (n_rows,)
        Which images make up one pass, repeated ones included.
    plan : TrainingPlan
        Batch size, steps an epoch, class weights, mixing, and seed of the order.
    first_epoch : int, default=0
        Number of epochs whose batches are not wanted any more.
    replicas : Replicas, optional
        What learns from them.
    """

    def __init__(
        self,
        inputs: Inputs,
        targets: NDArray[np.float32],
        rows: NDArray[np.intp],
        plan: TrainingPlan,
        *,
        first_epoch: int = 0,
        replicas: Replicas = ALONE,
    ) -> None:
        super().__init__(inputs, targets, replicas)
        self.rows, self.class_weight = rows, plan.class_weight
        self.batch_size, self.seed, self.mix = plan.batch_size, plan.seed, plan.mix
        self.batches_per_pass = plan.count_batches(len(rows))
        self.steps_per_epoch = plan.count_steps(len(rows))
        self.first_step = first_epoch * self.steps_per_epoch
        # The copies of one image in a pass are its next turns: they are shown in different views.
        _, images, copies = np.unique(rows, return_inverse=True, return_counts=True)
        self._turns_per_pass = copies[images]
        by_image = np.argsort(images, kind="stable")
        self._copy = np.empty(len(rows), dtype=np.intp)
        self._copy[by_image] = np.arange(len(rows)) - np.repeat(np.cumsum(copies) - copies, copies)
        self._order = lru_cache(maxsize=2)(self._shuffle)

    @property
    def num_batches(self) -> None:
        """None: the batches never end, and Keras counts on across epochs."""
        return None

    def choose(self, index: int) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
        """Give what `Batches.choose` says, in the order of the seed."""
        step = self.first_step + index
        pass_number, batch = divmod(step, self.batches_per_pass)
        places = self._order(pass_number)[batch * self.batch_size : (batch + 1) * self.batch_size]
        return self.rows[places], pass_number * self._turns_per_pass[places] + self._copy[places], step

    def draw(self, rows: NDArray[np.intp], turns: NDArray[np.intp], step: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Give inputs and targets of images, mixed where that is asked for."""
        inputs, targets = super().draw(rows, turns, step)
        if self.mix is None:
            return inputs, targets
        seed = int(np.random.SeedSequence((self.seed, step)).generate_state(1)[0] >> 1)  # Keras takes 31 bits
        return mix_batch(self.mix, inputs, targets, seed)

    def weigh(self, targets: NDArray[Any], n_images: int) -> NDArray[np.float32]:
        """Give what `Batches.weigh` says, times the weights of the classes."""
        weights = super().weigh(targets, n_images)
        if self.class_weight is None:
            return weights
        classes = np.rint(targets[:, 0]).astype(int) if targets.shape[1] == 1 else targets.argmax(axis=1)
        return weights * np.array([self.class_weight[label] for label in classes.tolist()], dtype=np.float32)

    def _shuffle(self, pass_number: int) -> NDArray[np.intp]:
        return np.random.default_rng((self.seed, pass_number)).permutation(len(self.rows))


class OrderedBatches(Batches):
    """Images as they are, in file order.

    Parameters
    ----------
    inputs : Inputs
        What the network is shown.
    targets : ndarray of shape (n_images, 1) or (n_images, n_classes)
        0 or 1, for melanoma or for each of several diagnoses.
    batch_size : int
        Images a batch.
    rows : ndarray of int of shape (n_rows,), optional
        Which images; all by default.
    replicas : Replicas, optional
        What is shown them.
    """

    def __init__(
        self,
        inputs: Inputs,
        targets: NDArray[np.float32],
        *,
        batch_size: int,
        rows: NDArray[np.intp] | None = None,
        replicas: Replicas = ALONE,
    ) -> None:
        super().__init__(inputs, targets, replicas)
        self.batch_size = batch_size
        self.rows = np.arange(len(targets)) if rows is None else rows

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def choose(self, index: int) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
        """Give what `Batches.choose` says, in file order."""
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        return rows, np.zeros_like(rows), index

    def weigh(self, targets: NDArray[Any], n_images: int) -> NDArray[np.float32]:  # noqa: ARG002
        """Give the weights in the loss of all batches, in the mean of which Keras counts what fills them up."""
        full, last = divmod(len(self.rows), self.batch_size)
        n_places = full * self.replicas.fill_up(self.batch_size) + self.replicas.fill_up(last)
        return np.full(len(targets), n_places / len(self.rows), dtype=np.float32)


class HardAccuracy(keras.metrics.BinaryAccuracy):
    """Accuracy, where a mixed image counts as what most of it is."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # noqa: ARG002
        """Take a batch into account."""
        return super().update_state(ops.round(y_true), y_pred, _are_there(y_true))


class HardAUC(keras.metrics.AUC):
    """Area under the ROC curve, where a mixed image counts as what most of it is."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # noqa: ARG002
        """Take a batch into account."""
        return super().update_state(ops.round(y_true), y_pred, _are_there(y_true))


class ClassAccuracy(keras.metrics.CategoricalAccuracy):
    """Accuracy of the highest of several scores."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # noqa: ARG002
        """Take a batch into account."""
        return super().update_state(y_true, y_pred, _are_there(y_true))


def _are_there(y_true: Any) -> Any:
    """Weigh by 0 what only fills up a batch, and by 1 what does not."""
    return ops.cast(ops.all(y_true >= 0, axis=-1, keepdims=True), "float32")


def compile_network(
    model: keras.Model, plan: TrainingPlan, *, steps: int = 1, depths: dict[str, int] | None = None
) -> None:
    """Give a network its loss, its optimizer and the figures of the history.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    plan : TrainingPlan
        Loss, optimizer, rate and schedule.
    steps : int, default=1
        Training steps that the schedule is spread over.
    depths : dict of str to int, optional
        How many stages each layer lies below the head; 0 for those that are not named.

    Raises
    ------
    UnknownNameError
        If Keras has no such optimizer.
    """
    n_scores = model.outputs[0].shape[-1]
    model.compile(
        optimizer=build_optimizer(
            plan.optimizer,
            learning_rate=schedule_rate(plan.stage, plan.learning_rate, steps),
            weight_decay=plan.weight_decay,
            clip_norm=plan.clip_norm,
            ema_momentum=plan.ema_momentum,
            rates=_layer_rates(model, plan.stage.layer_decay, depths or {}),
        ),
        loss=_LOSSES[plan.loss, n_scores > 1](label_smoothing=plan.label_smoothing),
        metrics=_metrics(n_scores),
        jit_compile=jit_compile(),
    )


_LOSSES = {
    ("crossentropy", False): keras.losses.BinaryCrossentropy,
    ("crossentropy", True): keras.losses.CategoricalCrossentropy,
    ("focal", False): keras.losses.BinaryFocalCrossentropy,
    ("focal", True): keras.losses.CategoricalFocalCrossentropy,
}
"""By name, and by whether there are several diagnoses."""


def _metrics(n_scores: int) -> list[keras.metrics.Metric]:
    """Choose the figures of the history; of several diagnoses the AUC is the mean of each against the rest."""
    if n_scores == 1:
        return [HardAccuracy(name="accuracy"), HardAUC(name="auc")]
    one_against_rest = HardAUC(name="auc", multi_label=True, num_labels=n_scores)
    return [ClassAccuracy(name="accuracy"), one_against_rest]


def _layer_rates(model: keras.Model, decay: float, depths: dict[str, int]) -> list[float] | None:
    """Give each trainable variable its share of the rate; None where all have the whole."""
    if decay == 1:
        return None
    rates = {
        id(variable): decay ** depths.get(layer.name, 0)
        for layer in model.layers
        for variable in layer.trainable_variables
    }
    return [rates[id(variable)] for variable in model.trainable_variables]


@dataclass
class Training:
    """How training went.

    Attributes
    ----------
    history : dict of str to list of float
        loss, accuracy and auc of each finished epoch, and the same with the prefix ``val_``.
    interruption : BaseException or None
        What a callback raised, or the user's Ctrl-C; the network has the weights of before.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    interruption: BaseException | None = None


def train(
    model: keras.Model,
    batches: TrainingBatches,
    validation: tuple[Inputs, NDArray[np.float32]] | None,
    plan: TrainingPlan,
    *,
    whole: Callable[[], Any],
    callbacks: UserCallbacks = NO_CALLBACKS,
    checkpoint: StageCheckpoint | None = None,
) -> Training:
    """Train a compiled network.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    batches : TrainingBatches
        The training data.
    validation : tuple or None
        What the network is shown, and its targets; never balanced nor augmented.
    plan : TrainingPlan
        How long.
    whole : callable
        Gives the whole network as it is now, not compiled.
    callbacks : UserCallbacks, optional
        The user's.
    checkpoint : StageCheckpoint, optional
        Where each finished epoch is kept, and where to go on from.

    Returns
    -------
    Training
        The history, and what ended it early.

    Raises
    ------
    TrainingError
        If the loss is no number any more.
    """
    replicas = batches.replicas
    shown = validation and OrderedBatches(*validation, batch_size=batches.batch_size, replicas=replicas)
    best = _watch_best(plan, checkpoint, callbacks.first_epoch) if validation is not None else None
    resumed = 0 if checkpoint is None else checkpoint.epochs
    history = keras.callbacks.History()
    interruption: BaseException | None = None
    try:
        with replicas.training(), callbacks.working(model, whole, resumed):
            model.fit(
                batches,
                validation_data=shown,
                initial_epoch=callbacks.first_epoch,
                epochs=callbacks.first_epoch + _last_epoch(plan, checkpoint),
                steps_per_epoch=batches.steps_per_epoch,
                class_weight=None if replicas.are_several else plan.class_weight,  # which the batches bring themselves
                callbacks=_callbacks(plan, batches.steps_per_epoch, history, best, callbacks, checkpoint),
                shuffle=False,  # the batches have their own, seeded order
                verbose=0,
            )
    except Exception as error:
        if _is_out_of_memory(error):
            raise
        replicas.explain(error)
        if _is_no_number(error):
            epoch = history.epoch[-1] + 2 if history.epoch else callbacks.first_epoch + resumed + 1
            raise TrainingError(_NOT_A_NUMBER.format(epoch=epoch, plan=plan)) from error
        interruption = error
    except KeyboardInterrupt as error:
        interruption = error
    finally:
        for used in filter(None, (batches, shown)):
            used.release()
    if interruption is not None and best is not None:
        best.on_train_end()
    figures = {name: [float(value) for value in values] for name, values in history.history.items()}
    finite = np.isfinite(figures.get("loss", []))
    if not finite.all():
        epoch = history.epoch[int(np.argmin(finite))] + 1
        raise TrainingError(_NOT_A_NUMBER.format(epoch=epoch, plan=plan))
    return Training(figures if checkpoint is None else dict(checkpoint.history), interruption)


_held_callbacks: dict[int, keras.callbacks.Callback] = {}
_holding = threading.Lock()


@contextmanager
def held(callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[None]:
    """Keep callbacks for one training: each knows one network alone, and may change its weights.

    Parameters
    ----------
    callbacks : sequence of keras.callbacks.Callback
        The user's.

    Yields
    ------
    None
        No other training has them in this block.

    Raises
    ------
    ParameterError
        If another training has one.
    """
    with _holding:
        shared = [callback for callback in callbacks if id(callback) in _held_callbacks]
        if shared:
            raise ParameterError(
                f"the callback {type(shared[0]).__name__} is watching another fit just now, whose weights it would mix "
                "with those of this one: make one for each fit"
            )
        _held_callbacks.update({id(callback): callback for callback in callbacks})
    try:
        yield
    finally:
        with _holding:
            for callback in callbacks:
                _held_callbacks.pop(id(callback), None)


_NOT_A_NUMBER = (
    "the loss is no number any more in epoch {epoch}, at the learning rate {plan.learning_rate:g} of {plan.optimizer}: "
    "lower learning_rate (find_learning_rate suggests one), or bound the gradients with clip_norm=1.0"
)
_OUT_OF_MEMORY = (
    "the memory is full: lower batch_size (now {plan.batch_size}) or input_size, or let fewer layers learn "
    "(trainable_from nearer to the output, now {plan.stage.trainable_from!r})"
)


@contextmanager
def naming_full_memory(plan: TrainingPlan) -> Iterator[None]:
    """Say which settings to lower where the memory is full.

    Parameters
    ----------
    plan : TrainingPlan
        The settings.

    Yields
    ------
    None
        Whatever is done in this block.

    Raises
    ------
    TrainingError
        In place of what the backend raises.
    """
    try:
        yield
    except Exception as error:
        if _is_out_of_memory(error):
            raise TrainingError(_OUT_OF_MEMORY.format(plan=plan)) from error
        raise


def _is_out_of_memory(error: Exception) -> bool:
    """Recognise what TensorFlow, JAX, PyTorch and Python raise, without importing the first three."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ResourceExhaustedError", "OutOfMemoryError", "MemoryError"}) or any(
        words in str(error) for words in ("RESOURCE_EXHAUSTED", "can't allocate memory")
    )


def _is_no_number(error: Exception) -> bool:
    """Recognise how PyTorch's loss refuses scores that are no numbers; the other backends count with them."""
    return "elements of input should be between 0 and 1" in str(error)


class ExactSwap(keras.callbacks.SwapEMAWeights):
    """Keras's `SwapEMAWeights`, after which the weights are those of before to the last bit.

    On TensorFlow Keras swaps by adding and subtracting, which rounds: each validation moved the weights by 1e-8, and
    a run that went on after it was killed had seen fewer of them.
    """

    def _tf_swap_variables(self, optimizer: Any) -> None:
        self._backend_swap_variables(optimizer)


class BestEpoch(keras.callbacks.EarlyStopping):
    """Keras's `EarlyStopping`, which takes up where an interrupted run stopped.

    Parameters
    ----------
    checkpoint : StageCheckpoint or None
        Knows the losses of the epochs before, and keeps the best weights.
    first_epoch : int, default=0
        Number of the first epoch of the stage.
    **options : dict
        As for ``keras.callbacks.EarlyStopping``.
    """

    def __init__(self, checkpoint: StageCheckpoint | None, first_epoch: int = 0, **options: Any) -> None:
        super().__init__("val_loss", mode="min", **options)
        self._checkpoint, self._first_epoch = checkpoint, first_epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Look at the epochs before, as if they had been run just now."""
        super().on_train_begin(logs)
        if self._checkpoint is None:
            return
        losses = self._checkpoint.history.get("val_loss", [])
        for epoch, loss in enumerate(losses, start=self._first_epoch):
            super().on_epoch_end(epoch, {"val_loss": loss})
        if losses and self.restore_best_weights:
            self.best_weights = self._checkpoint.read_best()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare, and keep the weights if they are the best."""
        super().on_epoch_end(epoch, logs)
        if self._checkpoint is not None and self.restore_best_weights and self.best_epoch == epoch:
            self._checkpoint.keep_best(epoch, self.best_weights)


def _last_epoch(plan: TrainingPlan, checkpoint: StageCheckpoint | None) -> int:
    """Tell up to which epoch of the stage to train: not further, where it had been stopped when it was killed."""
    if checkpoint is None:
        return plan.epochs
    if read_state(checkpoint.working).get("stopped"):
        return checkpoint.epochs
    return checkpoint.last_epoch(plan.epochs, plan.early_stopping)


def _watch_best(plan: TrainingPlan, checkpoint: StageCheckpoint | None, first_epoch: int) -> BestEpoch | None:
    if not plan.restore_best and plan.early_stopping is None:
        return None
    patience = plan.epochs if plan.early_stopping is None else plan.early_stopping
    return BestEpoch(checkpoint, first_epoch, patience=patience, restore_best_weights=plan.restore_best)


def _callbacks(
    plan: TrainingPlan,
    steps: int,
    history: keras.callbacks.History,
    best: BestEpoch | None,
    users: UserCallbacks,
    checkpoint: StageCheckpoint | None,
) -> list[keras.callbacks.Callback]:
    """List the callbacks in the order in which they have to see the end of an epoch.

    The state is backed up before the averaged weights take the place of the weights, the best
    weights are chosen after that, and the epoch counts as finished when the user's callbacks have seen its end and
    all this is on disk.
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
        from tqdm.keras import TqdmCallback

        # "data_size" over "batch_size" is how this callback is told the number of steps.
        callbacks.append(TqdmCallback(epochs=users.first_epoch + plan.epochs, data_size=steps, batch_size=1, verbose=1))
    return callbacks
