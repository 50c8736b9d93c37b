"""`TrainingPlan`: the settings of one stage of training."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.training.keras_objects import Template
from melanoma_tl.training.stages import Stage


@dataclass(frozen=True)
class TrainingPlan:
    """The settings of one stage of training.

    Attributes
    ----------
    stage : Stage
        Schedule, warm-up, and layer-wise decay of the learning rate.
    batch_size : int
        Images per batch; the last batch of a pass over the rows may be smaller.
    epochs : int
        Maximum number of epochs.
    steps_per_epoch : int or None
        Batches per epoch; None means one pass over the rows. A pass may extend over several epochs.
    early_stopping : int or None
        Number of epochs without a smaller validation loss after which training stops.
    restore_best : bool
        Whether to restore the weights of the epoch with the smallest validation loss.
    class_weight : dict or None
        Weight of each class in the loss.
    optimizer : str or Template
        Name of a Keras optimizer, or the user's optimizer.
    learning_rate : float or Template
        Maximum learning rate, or the user's schedule.
    weight_decay : float
        Decoupled weight decay: each step multiplies the kernels by 1 - learning rate * `weight_decay`.
    clip_norm : float or None
        Maximum global norm of the gradients; None does not clip.
    ema_momentum : float or None
        Momentum of the moving average that replaces the weights; None does not average.
    loss : {"crossentropy", "focal"} or Template
        Name of the loss, or the user's loss.
    metrics : tuple of Template
        Metrics in the history besides loss, accuracy and auc.
    label_smoothing : float
        Smoothing s: the label 1 becomes 1 - s / 2, the label 0 becomes s / 2.
    mix : {"mixup", "cutmix"} or None
        How training images are mixed.
    seed : int
        Seed of the order of the images and of their mixing.
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
    optimizer: str | Template
    learning_rate: float | Template
    weight_decay: float
    clip_norm: float | None
    ema_momentum: float | None
    loss: str | Template
    metrics: tuple[Template, ...]
    label_smoothing: float
    mix: str | None
    seed: int
    verbose: int

    def count_batches(self, n_rows: int) -> int:
        """Count the batches of one pass.

        Parameters
        ----------
        n_rows : int
            Number of rows in a pass.

        Returns
        -------
        int
            Number of batches, at least 1.
        """
        return -(-n_rows // self.batch_size)

    def count_steps(self, n_rows: int) -> int:
        """Count the batches of an epoch.

        Parameters
        ----------
        n_rows : int
            Number of rows in a pass.

        Returns
        -------
        int
            Number of batches, at least 1.
        """
        return self.steps_per_epoch or self.count_batches(n_rows)

    def count_repeats(self, rows: NDArray[np.intp]) -> int:
        """Compute the maximum number of times that any image is used.

        Parameters
        ----------
        rows : ndarray of int of shape (n_rows,)
            The images of one pass, including repeated ones.

        Returns
        -------
        int
            Number of uses, at least 1.
        """
        passes = -(-self.epochs * self.count_steps(len(rows)) // self.count_batches(len(rows)))
        return passes * int(np.unique(rows, return_counts=True)[1].max())
