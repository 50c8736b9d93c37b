"""Find a learning rate by training one step at each of many increasing rates.

Two rules for the choice are in use (both in fastai): a tenth of the learning rate with the smallest
loss, and the learning rate at which the loss falls most steeply. The suggestion is the smaller one.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np
from numpy.typing import NDArray

from melanoma_tl._keras.host_call import naming_host_errors
from melanoma_tl.errors import TrainingError
from melanoma_tl.plots.display import Display
from melanoma_tl.plots.style import BLUE, GREY, ORANGE, TEXT_SIZE, style_axes
from melanoma_tl.training.batches import using
from melanoma_tl.training.staged import PreparedStage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMOOTHING = 0.9
"""Weight of the previous value in the exponential moving average of the loss."""

DIVERGED = 4.0
"""The search ends when the smoothed loss is more than this many times its minimum, as in fastai."""

BELOW_MINIMUM = 10.0
"""Divisor of the learning rate with the smallest loss, because training is about to diverge at the minimum."""


@dataclass(eq=False, repr=False)
class LearningRateDisplay(Display):
    """The loss at increasing learning rates, and the suggested learning rate.

    Parameters
    ----------
    rates : ndarray of shape (n_steps,)
        Learning rates, ascending.
    losses : ndarray of shape (n_steps,)
        Loss of the batch of each step, finite.
    smoothed : ndarray of shape (n_steps,)
        Exponential moving average of the losses, bias-corrected for its start at 0.

    Attributes
    ----------
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        The axes and the figure of the plot.

    Raises
    ------
    TrainingError
        If there are fewer than two steps: a loss falls from one to another.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.rates) < 2:
            raise TrainingError(
                f"a search needs the losses at two learning rates or more, got {len(self.rates)}: search from a lower "
                "rate"
            )

    @property
    def suggestion(self) -> float:
        """The smaller of a tenth of the learning rate with the smallest loss, and that of the steepest fall."""
        below_minimum = self.rates[int(np.argmin(self.smoothed))] / BELOW_MINIMUM
        steepest = self.rates[int(np.argmin(np.gradient(self.smoothed, np.log(self.rates))))]
        return float(min(below_minimum, steepest))

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Plot the losses over the learning rates, with the suggestion marked.

        Parameters
        ----------
        ax : Axes, optional
            Axes to draw on; a new figure by default.

        Returns
        -------
        LearningRateDisplay
            This display, with ``ax_`` and ``figure_``.
        """
        ax = self._begin(ax)
        ax.plot(self.rates, self.losses, color=GREY, linewidth=0.8, alpha=0.6, label="each batch")
        ax.plot(self.rates, self.smoothed, color=BLUE, linewidth=2, label="smoothed")
        ax.axvline(self.suggestion, color=ORANGE, linestyle="--", label=f"suggestion {self.suggestion:.1e}")
        ax.set_xscale("log")
        # Without limits, the diverging last steps would flatten the rest of the curve.
        low, high = self.smoothed.min(), self.smoothed[0]
        ax.set_ylim(low - 0.3 * (high - low) - 0.01, high + 1.5 * (high - low) + 0.01)
        style_axes(ax, "Learning rate search", "learning rate", "training loss")
        ax.legend(fontsize=TEXT_SIZE - 1)
        return self


class _Ramp(keras.callbacks.Callback):
    """Sets the next learning rate before each step, and records the loss after it."""

    def __init__(self, rates: NDArray[np.float64]) -> None:
        super().__init__()
        self.rates = rates
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self._average = 0.0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self.model.reset_metrics()  # the loss that Keras reports is an average since the last reset
        self.model.optimizer.learning_rate = self.rates[len(self.losses)]

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        loss = float((logs or {})["loss"])
        if not np.isfinite(loss):
            self.model.stop_training = True
            return
        self.losses.append(loss)
        self._average = SMOOTHING * self._average + (1 - SMOOTHING) * loss
        self.smoothed.append(self._average / (1 - SMOOTHING ** len(self.losses)))
        if self.smoothed[-1] > DIVERGED * min(self.smoothed):
            self.model.stop_training = True


def search(
    stage: PreparedStage, rates: NDArray[np.float64], *, class_weight: dict[int, float] | None
) -> LearningRateDisplay:
    """Train one step at each learning rate.

    Parameters
    ----------
    stage : PreparedStage
        The stage to train; the weights of its learner change.
    rates : ndarray of shape (n_steps,)
        Learning rates, ascending.
    class_weight : dict or None
        Weight of each class in the loss.

    Returns
    -------
    LearningRateDisplay
        The losses up to the step in which the loss diverged.

    Raises
    ------
    TrainingError
        If the loss is NaN or infinite before the first step or after it.
    """
    ramp = _Ramp(rates)
    with using(stage.batches), naming_host_errors():
        stage.learner.fit(
            stage.batches,
            epochs=1,
            steps_per_epoch=len(rates),
            class_weight=None if stage.batches.bring_class_weights else class_weight,
            callbacks=[ramp],
            shuffle=False,
            verbose=0,
        )
    n = len(ramp.losses)  # each is that of the weights before a step: the first knows of no learning rate
    if not n:
        raise TrainingError(
            "the loss is NaN or infinite before the first step, at any learning rate: look at the loss and the weights"
        )
    if n == 1:
        raise TrainingError(
            f"the loss is NaN or infinite after one step at the lowest learning rate, {rates[0]:g}: lower `lowest`"
        )
    return LearningRateDisplay(rates[:n], np.array(ramp.losses), np.array(ramp.smoothed))
