"""Keep the lines of Keras, TensorFlow and its C++ part off the terminal."""

import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""The environment variable of TensorFlow: 0 shows all, 1 no notices, 2 no warnings, 3 no errors of its C++ part."""

_NOTICE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} [\d:.]+ +\d+ \w+\.cc:\d+\]"
    rb"|INFO: Created TensorFlow Lite"
)
"""What TensorFlow 2.18 and later write on import at whatever level, before it is told the level; and LiteRT's notice on
the processor."""

_importing = threading.RLock()


def load_keras() -> None:
    """Import Keras and its backend, once a process, and TensorFlow where it is installed.

    It is imported under another backend too, since Keras does so with the first network that it writes or reads. Its
    notices, on processors and drivers, are left out, unless the user has set ``TF_CPP_MIN_LOG_LEVEL`` to 0. Its errors
    reach Python as exceptions. Whatever else is written to the standard error meanwhile is shown once the import is
    over.
    """
    if "keras" in sys.modules or os.environ.setdefault(_LEVEL, "3") == "0":
        return
    with _importing, without_notices():
        import keras  # noqa: F401

        with suppress(ImportError):
            import tensorflow  # noqa: F401


@contextmanager
def without_lines_of_keras() -> Iterator[None]:
    """Suppress messages and progress bars of Keras.

    Yields
    ------
    None
        In this block, and in this thread, Keras writes to its log.
    """
    import keras

    shown = keras.config.is_interactive_logging_enabled()
    keras.config.disable_interactive_logging()
    try:
        with _without_new_handlers():
            yield
    finally:
        if shown:
            keras.config.enable_interactive_logging()


@contextmanager
def without_lines_of_tensorflow() -> Iterator[None]:
    """Suppress what TensorFlow's Python part says of files that it writes, twice in a notebook.

    Yields
    ------
    None
        In this block TensorFlow's log holds warnings and errors alone.
    """
    log = logging.getLogger("tensorflow")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with _without_new_handlers():
            yield
    finally:
        log.setLevel(level)


@contextmanager
def _without_new_handlers() -> Iterator[None]:
    """Take off the handler that absl gives the root of all logs with its first line: it would change how ours look."""
    before = list(logging.root.handlers)
    try:
        yield
    finally:
        for handler in set(logging.root.handlers) - set(before):
            logging.root.removeHandler(handler)


@contextmanager
def without_notices() -> Iterator[None]:
    """Hold back what is written to the standard error, by C++ code too, and leave notices out of it.

    Yields
    ------
    None
        Unless the user wants to see all, what is written in this block is shown when it is over.
    """
    if os.environ.get(_LEVEL) == "0":
        yield
        return
    try:
        caught = tempfile.TemporaryFile()  # noqa: SIM115 -- closed below
        kept = os.dup(2)
    except OSError:  # no folder for temporary files, or a program without a standard error
        yield
        return
    with caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            with suppress(OSError):  # nobody reads the standard error any more
                for line in caught:
                    if not _NOTICE.match(line):
                        os.write(2, line)
