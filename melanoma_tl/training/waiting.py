"""How long a network waits for its batches."""

import time
from collections.abc import Mapping, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import keras

_PATIENCE = 1.0
"""Seconds to wait for the last step: where training has ended it is computed, unless the device has failed."""


class WaitingTime(keras.callbacks.Callback):
    """Adds up the time in which the network could have computed, and the batch was not there.

    It waits from the end of the step before, or the beginning of the epoch, until the batch is given. Some backends
    ask for batches long before they need them, others when they need them: what counts is the later of both. Some
    begin a step and go on before it is computed: a thread waits for its loss, which then is the end of the step.

    Parameters
    ----------
    times : mapping of int to tuple of float
        When each batch was asked for, and when it was given; those of finished steps are removed.

    Attributes
    ----------
    seconds : float
        The time so far; complete after `close`, unless the device has failed.
    """

    def __init__(self, times: MutableMapping[int, tuple[float, float]]) -> None:
        super().__init__()
        self.seconds = 0.0
        self._times, self._number, self._free_since = times, 0, 0.0
        self._steps = ThreadPoolExecutor(max_workers=1, thread_name_prefix="melanoma_tl-steps")
        self._last: Future[None] | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Remember when the network was ready for the first batch of an epoch."""
        self._last = self._steps.submit(self._set_free, time.perf_counter())

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Add what the network waited for the batch of this step, when that is computed."""
        asked, given = self._times.pop(self._number, (0.0, 0.0))
        self._last = self._steps.submit(self._finish, asked, given, (logs or {}).get("loss"))
        self._number += 1

    def close(self) -> None:
        """Wait until the last step is computed, but not for a device that computes no more."""
        wait(filter(None, [self._last]), _PATIENCE)
        self._steps.shutdown(wait=False, cancel_futures=True)

    def _set_free(self, since: float) -> None:
        self._free_since = since

    def _finish(self, asked: float, given: float, loss: Any) -> None:
        self.seconds += max(0.0, given - max(asked, self._free_since))
        if loss is not None:
            keras.ops.convert_to_numpy(loss)  # returns when the device is done
        self._free_since = time.perf_counter()
