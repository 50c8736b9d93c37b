"""Feed a network with balanced, augmented batches, and train it."""

from dataclasses import dataclass
from functools import lru_cache

import keras
import numpy as np
from numpy.typing import NDArray

from melanoma_tl.augmentation import Augmenter
from melanoma_tl.errors import UnknownNameError
from melanoma_tl.prepared import StoredImages


class TrainingBatches(keras.utils.PyDataset):
    """Endless batches of raw images; each depends on the seed and its number alone.

    So it does not matter which thread makes a batch, or how far ahead of the training step.

    Parameters
    ----------
    pixels : ndarray or StoredImages of shape (n_images, height, width, 3) and dtype uint8
        Raw RGB, 0 to 255.
    labels : ndarray of shape (n_images,)
        0 or 1.
    rows : ndarray of int of shape (n_rows,)
        Which images make up one pass, repeated ones included.
    batch_size : int
        Images a batch; the last batch of a pass may be smaller.
    steps_per_epoch : int or None
        Batches an epoch; None makes an epoch one pass. Passes go on across epochs.
    augmenter : Augmenter or None
        What happens to each batch.
    seed : int
        Seed of order and augmentation.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8] | StoredImages,
        labels: NDArray[np.int64],
        rows: NDArray[np.intp],
        *,
        batch_size: int,
        steps_per_epoch: int | None,
        augmenter: Augmenter | None,
        seed: int,
    ) -> None:
        super().__init__()
        self.pixels, self.labels, self.rows = pixels, labels.astype(np.float32), rows
        self.batch_size = batch_size
        self.batches_per_pass = -(-len(rows) // batch_size)
        self.steps_per_epoch = steps_per_epoch or self.batches_per_pass
        self.augmenter = augmenter
        self.seed = seed
        self._order = lru_cache(maxsize=2)(self._shuffled_rows)

    @property
    def num_batches(self) -> None:
        """None: the batches never end, and Keras counts on across epochs."""
        return None

    def __getitem__(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        pass_number, batch = divmod(step, self.batches_per_pass)
        rows = self._order(pass_number)[batch * self.batch_size : (batch + 1) * self.batch_size]
        images = self.pixels[rows]
        if self.augmenter is not None and self.augmenter.views is not None:
            images = self.augmenter.fixed_view(images, rows.tolist(), pass_number % self.augmenter.views)
        elif self.augmenter is not None:
            images = self.augmenter.augment(images, (self.seed, step))
        return images.astype(np.float32), self.labels[rows][:, np.newaxis]

    def _shuffled_rows(self, pass_number: int) -> NDArray[np.intp]:
        return np.random.default_rng((self.seed, pass_number)).permutation(self.rows)


class OrderedBatches(keras.utils.PyDataset):
    """Images as they are, in file order.

    Parameters
    ----------
    pixels : ndarray or StoredImages of shape (n_images, height, width, 3) and dtype uint8
        Raw RGB, 0 to 255.
    labels : ndarray of shape (n_images,)
        0 or 1.
    batch_size : int
        Images a batch.
    """

    def __init__(self, pixels: NDArray[np.uint8] | StoredImages, labels: NDArray[np.int64], *, batch_size: int) -> None:
        super().__init__()
        self.pixels, self.labels, self.batch_size = pixels, labels.astype(np.float32), batch_size

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.pixels[rows].astype(np.float32), self.labels[rows][:, np.newaxis]


@dataclass(frozen=True)
class TrainingPlan:
    """How long to train and when to stop.

    Attributes
    ----------
    epochs : int
        Largest number of epochs.
    early_stopping : int or None
        Epochs without a smaller validation loss after which training stops.
    restore_best : bool
        Whether to go back to the epoch of the smallest validation loss.
    class_weight : dict or None
        Weight of each class in the loss.
    verbose : int
        0 shows no progress bar.
    """

    epochs: int
    early_stopping: int | None
    restore_best: bool
    class_weight: dict[int, float] | None
    verbose: int


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
    )


def train(
    model: keras.Model,
    batches: TrainingBatches,
    validation: tuple[NDArray[np.uint8] | StoredImages, NDArray[np.int64]] | None,
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
        Images, an ndarray or StoredImages (n, height, width, 3) of dtype uint8, and labels
        (n,); never balanced nor augmented.
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
