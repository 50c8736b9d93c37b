"""What an interruption of training leaves: nothing that hangs, and no Ctrl-C that is lost."""

import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import keras

_OF_OTHERS = ("keras", "tensorflow", "jax", "torch")


def free_frames(error: BaseException) -> None:
    """Free what the functions of Keras and its backend held when an error left them; those of the user keep theirs.

    The error keeps their local variables alive, and among them the iterator of TensorFlow, whose thread may be asking
    Python for a batch. If Python ends before the iterator, that thread stops for ever, and Python waits for it.

    Parameters
    ----------
    error : BaseException
        The error; it can be raised and shown as before.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").partition(".")[0] in _OF_OTHERS:
            frame.clear()


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
