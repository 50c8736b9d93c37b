"""A Ctrl-C in the middle of a training."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import keras


class RepeatInterrupt(keras.callbacks.Callback):
    """Raises a KeyboardInterrupt again, after the step, if it was lost in code that catches every error.

    NumPy does so while it converts an array of JAX.
    """

    def __init__(self) -> None:
        super().__init__()
        self._came = False

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

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Raise what came during the step."""
        self._raise_if_it_came()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Raise what came during a step of validation."""
        self._raise_if_it_came()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        signal.default_int_handler(number, frame)

    def _raise_if_it_came(self) -> None:
        if self._came:
            raise KeyboardInterrupt
