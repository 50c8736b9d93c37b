"""Batches for Keras: reshuffled in each pass, or in order."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from melanoma_tl.training.ahead import Ahead
from melanoma_tl.training.mixing import mix_batch
from melanoma_tl.training.plan import TrainingPlan
from melanoma_tl.training.replicas import PADDING, SINGLE_DEVICE, Replicas
from melanoma_tl.training.views import InputSource


class Batches(keras.utils.PyDataset):
    """Base class of batches; each process reads its share of a batch.

    Batches are made ahead in a thread, while the network computes. With several devices, each gets the same number of
    images of a batch. The batch is padded with images that have the weight 0 in the loss and the target `PADDING`, by
    which the metrics ignore them.

    Parameters
    ----------
    inputs : InputSource
        The inputs of the network.
    targets : ndarray of shape (n_images, 1) or (n_images, n_classes)
        0 or 1.
    replicas : Replicas
        The replicas that the batches are for.
    count : int or None
        Number of batches; None if they are endless.

    Attributes
    ----------
    failure : BaseException or None
        The error of a batch that could not be made.
    """

    def __init__(
        self, inputs: InputSource, targets: NDArray[np.float32], replicas: Replicas, count: int | None
    ) -> None:
        super().__init__()
        self.inputs, self.targets, self.replicas = inputs, targets, replicas
        self._ahead = Ahead(self.make, count)
        self.failure: BaseException | None = None

    @property
    def times(self) -> dict[int, tuple[float, float]]:
        """When each batch was asked for, and when it was given."""
        return self._ahead.times

    def stop_waiting(self) -> None:
        """Raise KeyboardInterrupt where a batch is waited for."""
        self._ahead.is_interrupted = True

    def release(self) -> None:
        """Drop the inputs: TensorFlow keeps a reference to every batch object, and so to the network and images."""
        self._ahead.close()
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
        """Return loss weights such that the mean over the padded batch equals the mean over its images."""
        return np.full(len(targets), self.replicas.padded_size(n_images) / n_images, dtype=np.float32)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], ...]:
        try:
            if self.replicas.are_several:
                return self.make(index)  # with TensorFlow, what belongs to a device is known in this thread alone
            return self._ahead.take(index)
        except BaseException as error:
            self.failure = error
            raise

    def make(self, index: int) -> tuple[NDArray[Any], ...]:
        """Return inputs, targets and, where images count differently, weights of a batch."""
        rows, repeats, step = self.choose(index)
        if not self.replicas.are_several:
            inputs, targets, own = self.batch(rows, repeats, step)
            return (
                (inputs, targets) if own is None else (inputs, targets, own * self.sample_weights(targets, len(rows)))
            )
        places, counts = self.replicas.share(len(rows))
        read = places[counts] if counts.any() else places[:1]
        with self.replicas.local_scope():
            # A different number in each process, so that each draws different random numbers in a step.
            number = step * self.replicas.n_processes + self.replicas.process
            inputs, targets, own = self.batch(rows[read], repeats[read], number)
        filled = np.arange(len(places)) % len(read)
        weights = self.sample_weights(targets[filled], len(rows)) * (np.float32(1) if own is None else own[filled])
        weights = np.where(counts, weights, np.float32(0.0))
        return inputs[filled], np.where(counts[:, np.newaxis], targets[filled], np.float32(PADDING)), weights


@contextmanager
def using(*batches: Batches) -> Iterator[None]:
    """Release batches at the end, and raise the error of one that could not be made as it was.

    TensorFlow makes an error of its own of it, of another class, with the lines of its own code in the text.

    Parameters
    ----------
    *batches : Batches
        What a network is run on.

    Yields
    ------
    None
        In this block it is run.

    Raises
    ------
    BaseException
        What making a batch has raised.
    """
    try:
        yield
    except Exception as error:
        for one in batches:
            if one.failure is not None and one.failure is not error and type(one.failure).__name__ in str(error):
                raise one.failure from one.failure.__cause__
        raise
    finally:
        for one in batches:
            one.release()


class TrainingBatches(Batches):
    """Endless training batches; each depends only on the seed and its number.

    The result is therefore the same for any number of threads and any prefetching. Pixels stay uint8 and features keep
    the dtype in which they were stored; the network casts them.

    Parameters
    ----------
    inputs : InputSource
        The inputs of the network.
    targets : ndarray of shape (n_images, 1) or (n_images, n_classes)
        0 or 1, for melanoma or for each of several diagnoses.
    rows : ndarray of int of shape (n_rows,)
        The images of one pass, including repeated ones.
    plan : TrainingPlan
        Batch size, steps per epoch, class weights, mixing, and seed of the order.
    first_epoch : int, default=0
        Number of epochs to skip.
    weights : ndarray of shape (n_images,), optional
        Weight of each image in the loss.
    replicas : Replicas, optional
        The replicas that the batches are for.
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
        super().__init__(inputs, targets, replicas, count=None)
        self.rows, self.class_weight = rows, plan.class_weight
        self.weights = None if weights is None else weights.astype(np.float32)
        self.batch_size, self.seed, self.mix = plan.batch_size, plan.seed, plan.mix
        self.batches_per_pass = plan.count_batches(len(rows))
        self.steps_per_epoch = plan.count_steps(len(rows))
        self.first_step = first_epoch * self.steps_per_epoch
        # The copies of an image in a pass count as further repeats, so that they are shown in different views.
        _, images, copies = np.unique(rows, return_inverse=True, return_counts=True)
        self._turns_per_pass = copies[images]
        by_image = np.argsort(images, kind="stable")
        self._copy = np.empty(len(rows), dtype=np.intp)
        self._copy[by_image] = np.arange(len(rows)) - np.repeat(np.cumsum(copies) - copies, copies)
        self._order = lru_cache(maxsize=2)(self._shuffle)

    @property
    def bring_class_weights(self) -> bool:
        """Whether the sample weights of the batches include the class weights; otherwise Keras applies these."""
        return self.replicas.are_several or self.weights is not None

    @property
    def num_batches(self) -> None:
        """None, because the batches are endless; Keras continues counting across epochs."""
        return None

    def choose(self, index: int) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
        """Return the images of a batch as `Batches.choose`, shuffled by the seed."""
        step = self.first_step + index
        pass_number, batch = divmod(step, self.batches_per_pass)
        places = self._order(pass_number)[batch * self.batch_size : (batch + 1) * self.batch_size]
        return self.rows[places], pass_number * self._turns_per_pass[places] + self._copy[places], step

    def batch(
        self, rows: NDArray[np.intp], repeats: NDArray[np.intp], step: int
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32] | None]:
        """Return inputs, targets and weights of images, mixed by MixUp or CutMix if the plan says so."""
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
        """Return the weights of `Batches.sample_weights`, multiplied by the class weights."""
        weights = super().sample_weights(targets, n_images)
        if self.class_weight is None:
            return weights
        classes = np.rint(targets[:, 0]).astype(int) if targets.shape[1] == 1 else targets.argmax(axis=1)
        return weights * np.array([self.class_weight[label] for label in classes.tolist()], dtype=np.float32)

    def _shuffle(self, pass_number: int) -> NDArray[np.intp]:
        return np.random.default_rng((self.seed, pass_number)).permutation(len(self.rows))


class OrderedBatches(Batches):
    """Batches of unchanged images in file order.

    Parameters
    ----------
    inputs : InputSource
        The inputs of the network.
    targets : ndarray of shape (n_images, 1) or (n_images, n_classes)
        0 or 1, for melanoma or for each of several diagnoses.
    batch_size : int
        Images per batch.
    rows : ndarray of int of shape (n_rows,), optional
        The images to use; all by default.
    replicas : Replicas, optional
        The replicas that the batches are for.
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
        self.batch_size = batch_size
        self.rows = np.arange(len(targets)) if rows is None else rows
        super().__init__(inputs, targets, replicas, count=len(self))

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def choose(self, index: int) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
        """Return the images of a batch as `Batches.choose`, in file order."""
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        return rows, np.zeros_like(rows), index

    def sample_weights(self, targets: NDArray[Any], n_images: int) -> NDArray[np.float32]:  # noqa: ARG002
        """Return loss weights such that Keras's mean over all padded batches equals the mean over the images."""
        full, last = divmod(len(self.rows), self.batch_size)
        n_places = full * self.replicas.padded_size(self.batch_size) + self.replicas.padded_size(last)
        return np.full(len(targets), n_places / len(self.rows), dtype=np.float32)
