"""Batches for Keras: balanced and drawn anew in each epoch, or in order."""

from functools import lru_cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from melanoma_tl.training.mixing import mix_batch
from melanoma_tl.training.plan import TrainingPlan
from melanoma_tl.training.replicas import PADDING, SINGLE_DEVICE, Replicas
from melanoma_tl.training.views import InputSource


class Batches(keras.utils.PyDataset):
    """Batches, of which each process reads its share.

    With several devices each batch has as many images on each: what is missing is filled up with images that weigh
    nothing in the loss and whose target `PADDING` tells the other metrics to leave them out.

    Parameters
    ----------
    inputs : InputSource
        What the network is shown.
    targets : ndarray of shape (n_images, 1) or (n_images, n_classes)
        0 or 1.
    replicas : Replicas
        What learns from the batches.
    """

    def __init__(self, inputs: InputSource, targets: NDArray[np.float32], replicas: Replicas) -> None:
        super().__init__()
        self.inputs, self.targets, self.replicas = inputs, targets, replicas

    def release(self) -> None:
        """Let go of the inputs: TensorFlow keeps the batches of every training, and with them network and images."""
        del self.inputs

    def choose(self, index: int) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
        """Return the images of a batch, how often each was shown before, and the number of the step."""
        raise NotImplementedError

    def batch(
        self, rows: NDArray[np.intp], repeats: NDArray[np.intp], step: int
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32] | None]:
        """Return inputs and targets of images, and how much each counts; None where all count the same."""
        return self.inputs.batch(rows, repeats, step), self.targets[rows], None

    def sample_weights(self, targets: NDArray[Any], n_images: int) -> NDArray[np.float32]:
        """Return the weights in the loss of a batch of so many images: such that its mean is theirs, when filled up."""
        return np.full(len(targets), self.replicas.padded_size(n_images) / n_images, dtype=np.float32)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], ...]:
        rows, repeats, step = self.choose(index)
        if not self.replicas.are_several:
            inputs, targets, own = self.batch(rows, repeats, step)
            return (
                (inputs, targets) if own is None else (inputs, targets, own * self.sample_weights(targets, len(rows)))
            )
        places, counts = self.replicas.share(len(rows))
        read = places[counts] if counts.any() else places[:1]
        with self.replicas.local_scope():
            # Another number in each process: what is random by the step would be the same in all of them.
            number = step * self.replicas.n_processes + self.replicas.process
            inputs, targets, own = self.batch(rows[read], repeats[read], number)
        filled = np.arange(len(places)) % len(read)
        weights = self.sample_weights(targets[filled], len(rows)) * (np.float32(1) if own is None else own[filled])
        weights = np.where(counts, weights, np.float32(0.0))
        return inputs[filled], np.where(counts[:, np.newaxis], targets[filled], np.float32(PADDING)), weights


class TrainingBatches(Batches):
    """Endless batches; each depends on the seed and its number alone.

    So it does not matter which thread makes a batch, or how far ahead of the training step.
    Pixels stay uint8 and features as they were stored: the network widens them where it computes.

    Parameters
    ----------
    inputs : InputSource
        What the network learns from.
    targets : ndarray of shape (n_images, 1) or (n_images, n_classes)
        0 or 1, for melanoma or for each of several diagnoses.
    rows : ndarray of int of shape (n_rows,)
        Which images make up one pass, repeated ones included.
    plan : TrainingPlan
        Batch size, steps an epoch, class weights, mixing, and seed of the order.
    first_epoch : int, default=0
        Number of epochs whose batches are not wanted any more.
    weights : ndarray of shape (n_images,), optional
        How much each image counts in the loss.
    replicas : Replicas, optional
        What learns from them.
    """

    def __init__(
        self,
        inputs: InputSource,
        targets: NDArray[np.float32],
        rows: NDArray[np.intp],
        plan: TrainingPlan,
        *,
        first_epoch: int = 0,
        weights: NDArray[np.float64] | None = None,
        replicas: Replicas = SINGLE_DEVICE,
    ) -> None:
        super().__init__(inputs, targets, replicas)
        self.rows, self.class_weight = rows, plan.class_weight
        self.weights = None if weights is None else weights.astype(np.float32)
        self.batch_size, self.seed, self.mix = plan.batch_size, plan.seed, plan.mix
        self.batches_per_pass = plan.count_batches(len(rows))
        self.steps_per_epoch = plan.count_steps(len(rows))
        self.first_step = first_epoch * self.steps_per_epoch
        # The copies of one image in a pass are its next repeats: they are shown in different views.
        _, images, copies = np.unique(rows, return_inverse=True, return_counts=True)
        self._turns_per_pass = copies[images]
        by_image = np.argsort(images, kind="stable")
        self._copy = np.empty(len(rows), dtype=np.intp)
        self._copy[by_image] = np.arange(len(rows)) - np.repeat(np.cumsum(copies) - copies, copies)
        self._order = lru_cache(maxsize=2)(self._shuffle)

    @property
    def bring_class_weights(self) -> bool:
        """Whether the batches have the weights of the classes in theirs; else Keras is told them."""
        return self.replicas.are_several or self.weights is not None

    @property
    def num_batches(self) -> None:
        """None: the batches never end, and Keras counts on across epochs."""
        return None

    def choose(self, index: int) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
        """Return what `Batches.choose` says, in the order of the seed."""
        step = self.first_step + index
        pass_number, batch = divmod(step, self.batches_per_pass)
        places = self._order(pass_number)[batch * self.batch_size : (batch + 1) * self.batch_size]
        return self.rows[places], pass_number * self._turns_per_pass[places] + self._copy[places], step

    def batch(
        self, rows: NDArray[np.intp], repeats: NDArray[np.intp], step: int
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32] | None]:
        """Return what `Batches.batch` says, mixed where that is asked for."""
        inputs, targets, _ = super().batch(rows, repeats, step)
        weights = None if self.weights is None else self.weights[rows]
        if self.mix is None:
            return inputs, targets, weights
        seed = int(np.random.SeedSequence((self.seed, step)).generate_state(1)[0] >> 1)  # Keras takes 31 bits
        if weights is None:
            return *mix_batch(self.mix, inputs, targets, seed), None
        # The loss of a mixture is that of its two labels, each times its share and the weight of its image.
        weighted = weights[:, np.newaxis] * np.hstack([targets, np.ones_like(targets[:, :1])])
        inputs, mixed = mix_batch(self.mix, inputs, weighted, seed)
        weights = mixed[:, -1]
        return inputs, mixed[:, :-1] / np.where(weights > 0, weights, np.float32(1))[:, np.newaxis], weights

    def sample_weights(self, targets: NDArray[Any], n_images: int) -> NDArray[np.float32]:
        """Return what `Batches.sample_weights` says, times the weights of the classes."""
        weights = super().sample_weights(targets, n_images)
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
    inputs : InputSource
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
        inputs: InputSource,
        targets: NDArray[np.float32],
        *,
        batch_size: int,
        rows: NDArray[np.intp] | None = None,
        replicas: Replicas = SINGLE_DEVICE,
    ) -> None:
        super().__init__(inputs, targets, replicas)
        self.batch_size = batch_size
        self.rows = np.arange(len(targets)) if rows is None else rows

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def choose(self, index: int) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
        """Return what `Batches.choose` says, in file order."""
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        return rows, np.zeros_like(rows), index

    def sample_weights(self, targets: NDArray[Any], n_images: int) -> NDArray[np.float32]:  # noqa: ARG002
        """Return the weights in the loss of all batches, in the mean of which Keras counts what fills them up."""
        full, last = divmod(len(self.rows), self.batch_size)
        n_places = full * self.replicas.padded_size(self.batch_size) + self.replicas.padded_size(last)
        return np.full(len(targets), n_places / len(self.rows), dtype=np.float32)
