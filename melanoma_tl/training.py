"""Feed a network with balanced batches, and train it."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from melanoma_tl.errors import UnknownNameError
from melanoma_tl.precision import jit_compile
from melanoma_tl.views import Inputs


@dataclass(frozen=True)
class TrainingPlan:
    """How to train, how long, and when to stop.

    Attributes
    ----------
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
    seed : int
        Seed of the order.
    verbose : int
        0 shows no progress bar.
    """

    batch_size: int
    epochs: int
    steps_per_epoch: int | None
    early_stopping: int | None
    restore_best: bool
    class_weight: dict[int, float] | None
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
        batches = self.count_batches(len(rows))
        passes = -(-self.epochs * (self.steps_per_epoch or batches) // batches)
        return passes * int(np.unique(rows, return_counts=True)[1].max())


class TrainingBatches(keras.utils.PyDataset):
    """Endless batches; each depends on the seed and its number alone.

    So it does not matter which thread makes a batch, or how far ahead of the training step.
    Pixels stay uint8 and features as they were stored: the network widens them where it computes.

    Parameters
    ----------
    inputs : Inputs
        What the network learns from.
    labels : ndarray of shape (n_images,)
        0 or 1.
    rows : ndarray of int of shape (n_rows,)
        Which images make up one pass, repeated ones included.
    plan : TrainingPlan
        Batch size, steps an epoch, and seed of the order.
    """

    def __init__(self, inputs: Inputs, labels: NDArray[np.int64], rows: NDArray[np.intp], plan: TrainingPlan) -> None:
        super().__init__()
        self.inputs, self.labels, self.rows = inputs, labels.astype(np.float32), rows
        self.batch_size, self.seed = plan.batch_size, plan.seed
        self.batches_per_pass = plan.count_batches(len(rows))
        self.steps_per_epoch = plan.steps_per_epoch or self.batches_per_pass
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

    def __getitem__(self, step: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
        pass_number, batch = divmod(step, self.batches_per_pass)
        places = self._order(pass_number)[batch * self.batch_size : (batch + 1) * self.batch_size]
        rows = self.rows[places]
        inputs = self.inputs.draw(rows, pass_number * self._turns_per_pass[places] + self._copy[places], step)
        return inputs, self.labels[rows][:, np.newaxis]

    def _shuffle(self, pass_number: int) -> NDArray[np.intp]:
        return np.random.default_rng((self.seed, pass_number)).permutation(len(self.rows))


class OrderedBatches(keras.utils.PyDataset):
    """Images as they are, in file order.

    Parameters
    ----------
    inputs : Inputs
        What the network is shown.
    labels : ndarray of shape (n_images,)
        0 or 1.
    batch_size : int
        Images a batch.
    """

    def __init__(self, inputs: Inputs, labels: NDArray[np.int64], *, batch_size: int) -> None:
        super().__init__()
        self.inputs, self.labels, self.batch_size = inputs, labels.astype(np.float32), batch_size

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
        rows = np.arange(len(self.labels))[index * self.batch_size : (index + 1) * self.batch_size]
        inputs = self.inputs.draw(rows, np.zeros_like(rows), index)
        return inputs, self.labels[rows][:, np.newaxis]


def compile_network(model: keras.Model, optimizer: str, learning_rate: float) -> None:
    """Give a network its loss, its optimizer and the figures of the history.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    optimizer : str
        Name of a Keras optimizer.
    learning_rate : float
        Its rate.

    Raises
    ------
    UnknownNameError
        If Keras has no such optimizer.
    """
    known = {
        name.lower(): value
        for name, value in vars(keras.optimizers).items()
        if isinstance(value, type) and issubclass(value, keras.optimizers.Optimizer)
    }
    if str(optimizer).lower() not in known:
        raise UnknownNameError("optimizer", optimizer, known)
    model.compile(
        optimizer=known[optimizer.lower()](learning_rate=learning_rate),
        loss="binary_crossentropy",
        metrics=[keras.metrics.BinaryAccuracy(name="accuracy"), keras.metrics.AUC(name="auc")],
        jit_compile=jit_compile(),
    )


def train(
    model: keras.Model,
    batches: TrainingBatches,
    validation: tuple[Inputs, NDArray[np.int64]] | None,
    plan: TrainingPlan,
) -> dict[str, list[float]]:
    """Train a compiled network.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    batches : TrainingBatches
        The training data.
    validation : tuple or None
        What the network is shown, and labels (n_images,); never balanced nor augmented.
    plan : TrainingPlan
        How long.

    Returns
    -------
    dict of str to list of float
        loss, accuracy and auc of each epoch, and the same with the prefix ``val_``.
    """
    history = model.fit(
        batches,
        validation_data=None if validation is None else OrderedBatches(*validation, batch_size=batches.batch_size),
        epochs=plan.epochs,
        steps_per_epoch=batches.steps_per_epoch,
        class_weight=plan.class_weight,
        callbacks=_callbacks(plan, validated=validation is not None, steps=batches.steps_per_epoch),
        shuffle=False,  # the batches have their own, seeded order
        verbose=0,
    )
    return {name: [float(value) for value in values] for name, values in history.history.items()}


def _callbacks(plan: TrainingPlan, *, validated: bool, steps: int) -> list[keras.callbacks.Callback]:
    callbacks: list[keras.callbacks.Callback] = []
    if validated and (plan.restore_best or plan.early_stopping is not None):
        callbacks.append(
            keras.callbacks.EarlyStopping(
                "val_loss",
                patience=plan.epochs if plan.early_stopping is None else plan.early_stopping,
                restore_best_weights=plan.restore_best,
            )
        )
    if plan.verbose:
        from tqdm.keras import TqdmCallback

        # "data_size" over "batch_size" is how this callback is told the number of steps.
        callbacks.append(TqdmCallback(epochs=plan.epochs, data_size=steps, batch_size=1, verbose=1))
    return callbacks
