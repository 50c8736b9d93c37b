"""Keep the weights of the best epoch, averaged ones too."""

from typing import Any

import keras

from melanoma_tl.training.checkpoints import StageCheckpoint
from melanoma_tl.training.plan import TrainingPlan


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


def watch_best(plan: TrainingPlan, checkpoint: StageCheckpoint | None, first_epoch: int) -> BestEpoch | None:
    """Make the callback that stops a stage and restores its best epoch; None where nothing is validated."""
    if not plan.restore_best and plan.early_stopping is None:
        return None
    patience = plan.epochs if plan.early_stopping is None else plan.early_stopping
    return BestEpoch(checkpoint, first_epoch, patience=patience, restore_best_weights=plan.restore_best)
