"""A Ctrl-C, or an error, in the middle of a training."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import keras


class RepeatInterrupt(keras.callbacks.Callback):
    """Raises a KeyboardInterrupt after the step in which it came.

    Within a step it would be lost in code that catches every error, as NumPy's that converts an array of JAX; and with
    JAX the weights would be lost, which belong to the step until it ends. A second Ctrl-C is not put off.

    Parameters
    ----------
    stop_waiting : callable
        Ends a step that waits for its batch.
    """

    def __init__(self, stop_waiting: Callable[[], None]) -> None:
        super().__init__()
        self._came = self._is_in_step = False
        self._stop_waiting = stop_waiting

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Remember a Ctrl-C within the block; only Python's own way to handle it is replaced, in the main thread.

        Yields
        ------
        None
            The former way is restored at the end.

        Raises
        ------
        KeyboardInterrupt
            If one came, and was lost until the end.
        """
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or handler is not signal.default_int_handler:
            yield
            return
        signal.signal(signal.SIGINT, self._remember)
        try:
            yield
            self._raise_if_it_came()
        finally:
            signal.signal(signal.SIGINT, handler)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Put off what comes from now on."""
        self._is_in_step = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Raise what came during the step."""
        self._is_in_step = False
        self._raise_if_it_came()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Raise what came during a step of validation."""
        self._raise_if_it_came()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        is_first, self._came = not self._came, True
        if self._is_in_step and is_first:
            self._stop_waiting()
        else:
            signal.default_int_handler(number, frame)

    def _raise_if_it_came(self) -> None:
        if self._came:
            raise KeyboardInterrupt


class KeepWeights(keras.callbacks.Callback):
    """Puts weights back that an error has cost the network.

    With JAX, Keras takes the weights out of the network for the steps of an epoch, and does not put them back if the
    first step fails: a batch that cannot be made, memory that is full.
    """

    def __init__(self) -> None:
        super().__init__()
        self._weights: list[tuple[Any, Any]] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Remember the weights at the beginning of an epoch; they are not copied."""
        if batch == 0:
            self._weights = [(variable, variable.value) for variable in self.model.variables]

    def put_back(self) -> None:
        """Make sure that the network has weights.

        Raises
        ------
        Exception
            If they are gone with the device, or with a step that was begun.
        """
        try:
            self.model.get_weights()
        except Exception:  # Keras has no word for a variable without a value
            for variable, value in self._weights:
                variable.assign(value)
            self.model.get_weights()
