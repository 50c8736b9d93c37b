"""What a stage of training is given: rows, weights, epochs, rates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.training.keras_objects import Template
from melanoma_tl.training.stages import Stage


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
    optimizer : str or Template
        Name of a Keras optimizer, or one of the user's.
    learning_rate : float or Template
        Its largest rate, or a schedule of the user's.
    weight_decay : float
        What every step takes off the kernels, as a multiple of the rate.
    clip_norm : float or None
        Largest norm of all gradients together.
    ema_momentum : float or None
        Momentum of the moving average that takes the place of the weights; None keeps the weights.
    loss : {"crossentropy", "focal"} or Template
        What is made small.
    metrics : tuple of Template
        What the history has beside loss, accuracy and auc.
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

    def count_repeats(self, rows: NDArray[np.intp]) -> int:
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
