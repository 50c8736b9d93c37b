"""Callbacks that restore the weights of the best epoch, also averaged weights."""

from typing import Any

import keras

from melanoma_tl.training.checkpoints import StageCheckpoint
from melanoma_tl.training.plan import TrainingPlan


class ExactSwap(keras.callbacks.SwapEMAWeights):
    """Keras's `SwapEMAWeights`, but the swap restores the weights to the last bit.

    On TensorFlow, Keras swaps by adding and subtracting, which rounds: each validation changes the weights by 1e-8, so
    that a resumed run, with fewer validations, would differ from an uninterrupted one.
    """

    def _tf_swap_variables(self, optimizer: Any) -> None:
        self._backend_swap_variables(optimizer)


class BestEpoch(keras.callbacks.EarlyStopping):
    """Keras's `EarlyStopping`, which can resume an interrupted run.

    Parameters
    ----------
    checkpoint : StageCheckpoint or None
        Stores the losses of earlier epochs, and the best weights.
    first_epoch : int, default=0
        Number of the first epoch of the stage.
    **options : dict
        As for ``keras.callbacks.EarlyStopping``.
    """

    def __init__(self, checkpoint: StageCheckpoint | None, first_epoch: int = 0, **options: Any) -> None:
        super().__init__("val_loss", mode="min", **options)
        self._checkpoint, self._first_epoch = checkpoint, first_epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Replay the losses of the finished epochs."""
        super().on_train_begin(logs)
        if self._checkpoint is None:
            return
        losses = self._checkpoint.history.get("val_loss", [])
        for epoch, loss in enumerate(losses, start=self._first_epoch):
            super().on_epoch_end(epoch, {"val_loss": loss})
        if losses and self.restore_best_weights:
            self.best_weights = self._checkpoint.read_best()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare the loss, and store the weights if it is the lowest."""
        super().on_epoch_end(epoch, logs)
        if self._checkpoint is not None and self.restore_best_weights and self.best_epoch == epoch:
            self._checkpoint.keep_best(epoch, self.best_weights)


def watch_best(plan: TrainingPlan, checkpoint: StageCheckpoint | None, first_epoch: int) -> BestEpoch | None:
    """Return the callback that stops a stage early and restores its best epoch; None if the plan wants neither."""
    if not plan.restore_best and plan.early_stopping is None:
        return None
    patience = plan.epochs if plan.early_stopping is None else plan.early_stopping
    return BestEpoch(checkpoint, first_epoch, patience=patience, restore_best_weights=plan.restore_best)
