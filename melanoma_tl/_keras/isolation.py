"""Keep what the library builds and runs apart from what the user, other fits and other threads set in Keras."""

import logging
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from melanoma_tl._keras.quiet import load_keras

_OF_PROCESS = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "max_epochs": None,
    "max_steps_per_epoch": None,
}
"""What ``keras.config`` holds for all threads, with what the library computes with."""

_OF_THREAD = ("dtype_policy", "object_name_uids", "name_scope_stack", "global_seed_generator")
"""What Keras keeps for each thread, and begins anew where there is none: the policy of layers that name none, the
numbers in the names of such layers, the scopes of names, and what is drawn from where a layer has no seed."""

_building = threading.RLock()
_of_this_thread = threading.local()
_setting = threading.Lock()
_held = 0
_users: dict[str, Any] = {}


@contextmanager
def own_settings(seed: int | None = None) -> Iterator[None]:
    """Build and run networks with the settings of the library, whatever the user's are, which come back afterwards.

    May be nested, and used as a decorator. Float type, fuzz factor and data format hold for the whole process: other
    threads see those of the library meanwhile, where the user's are others.

    Parameters
    ----------
    seed : int, optional
        What layers draw from that have no seed of their own.

    Yields
    ------
    None
        Keras has its own defaults in this block.
    """
    load_keras()
    logging.getLogger("tensorflow").addFilter(_is_no_retracing)
    with _settings_of_process(), _settings_of_thread(seed):
        yield


def _is_no_retracing(record: logging.LogRecord) -> bool:
    """Drop TensorFlow's advice on functions that are traced again: each network of the library is traced once."""
    within = hasattr(_of_this_thread, "policy")
    return not (within and "triggered tf.function retracing" in record.getMessage())


@contextmanager
def seeded_building(seed: int | None) -> Iterator[None]:
    """Build layers that depend on a seed alone: their names, their initial weights, and what they draw later.

    Keras draws the seeds of layers from Python's generator, which all threads share, so that one thread builds at a
    time.

    Parameters
    ----------
    seed : int or None
        None seeds nothing.

    Yields
    ------
    None
        Layers that are made in this block are the same for the same seed; the user's random state stays as it was.
    """
    with _building, own_settings():
        # Keras draws from the first; builders and heads of the user's own may draw from either.
        states = random.getstate(), np.random.get_state()  # noqa: NPY002 -- of the user's functions
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            if seed is not None:
                random.setstate(states[0])
                np.random.set_state(states[1])  # noqa: NPY002


def users_settings() -> dict[str, str]:
    """Return what the user has set in Keras, within `own_settings`.

    Returns
    -------
    dict of str to str
        What layers are made with that are not told otherwise: their "dtype", a policy by its name, and "data_format".
    """
    policy = _of_this_thread.policy
    return {"dtype": policy.name if policy else _users["floatx"], "data_format": _users["image_data_format"]}


@contextmanager
def _settings_of_process() -> Iterator[None]:
    """Set them when the first block begins, and set them back when the last one ends."""
    global _held
    with _setting:
        if not _held:
            _users.update(_exchange(_OF_PROCESS))
        _held += 1
    try:
        yield
    finally:
        with _setting:
            _held -= 1
            if not _held:
                _exchange(_users)


def _exchange(values: dict[str, Any]) -> dict[str, Any]:
    """Set some values in ``keras.config``, and give those of before."""
    import keras

    known = {name: value for name, value in values.items() if hasattr(keras.config, name)}  # the last two are newer
    before = {name: getattr(keras.config, name)() for name in known}
    for name, value in known.items():
        getattr(keras.config, f"set_{name}")(value)
    return before


@contextmanager
def _settings_of_thread(seed: int | None) -> Iterator[None]:
    import keras

    # Keras has no public way to put these back: clear_session forgets those of the user, and of all threads.
    from keras.src.backend.common import global_state

    before = {name: global_state.get_global_attribute(name) for name in _OF_THREAD}
    is_outermost = not hasattr(_of_this_thread, "policy")
    if is_outermost:
        _of_this_thread.policy = before["dtype_policy"]
    for name in _OF_THREAD:
        global_state.set_global_attribute(name, None)
    if seed is not None:
        global_state.set_global_attribute("global_seed_generator", keras.random.SeedGenerator(seed))
    try:
        yield
    finally:
        if is_outermost:
            del _of_this_thread.policy
        for name, value in before.items():
            global_state.set_global_attribute(name, value)


@contextmanager
def named_beside(model: Any) -> Iterator[None]:
    """Name what is added to a network otherwise than its own operations: names count from the start in `own_settings`.

    Parameters
    ----------
    model : keras.Model
        Flat.

    Yields
    ------
    None
        Operations that are made in this block can stand in one graph with those of the network.
    """
    from keras.src.backend.common import global_state

    with own_settings():
        counts: Counter[str] = Counter()
        for operation in model.operations:
            prefix, _, number = operation.name.rpartition("_")
            if prefix and number.isdecimal():
                counts[prefix] = max(counts[prefix], int(number) + 1)
            counts[operation.name] = max(counts[operation.name], 1)
        global_state.set_global_attribute("object_name_uids", counts)
        yield
