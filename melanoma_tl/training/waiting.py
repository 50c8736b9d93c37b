"""How long a network waits for its batches."""

import time
from collections.abc import MutableMapping
from typing import Any

import keras


class WaitingTime(keras.callbacks.Callback):
    """Adds up the time in which the network could have computed, and the batch was not there.

    It waits from the end of the step before, or the beginning of the epoch, until the batch is given. Some backends
    ask for batches long before they need them, others when they need them: what counts is the later of both.

    Parameters
    ----------
    times : mapping of int to tuple of float
        When each batch was asked for, and when it was given; those of finished steps are removed.

    Attributes
    ----------
    seconds : float
        The time so far.
    """

    def __init__(self, times: MutableMapping[int, tuple[float, float]]) -> None:
        super().__init__()
        self.seconds = 0.0
        self._times, self._number, self._free_since = times, 0, 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Remember when the network was ready for the first batch of an epoch."""
        self._free_since = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Add what the network waited for the batch of this step."""
        asked, given = self._times.pop(self._number, (0.0, 0.0))
        self.seconds += max(0.0, given - max(asked, self._free_since))
        self._number += 1
        self._free_since = time.perf_counter()
