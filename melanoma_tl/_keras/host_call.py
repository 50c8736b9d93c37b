"""Call a function of NumPy arrays from within a network, on every backend of Keras."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

_raised: list[BaseException] = []
"""What the last call raised: backends hand on an error of their own, which has its text at best."""


def call_on_host(function: Callable[[NDArray[Any]], NDArray[np.float32]], tensor: Any, n_numbers: int) -> Any:
    """Call a function with a tensor as an array; no gradient passes through it.

    Parameters
    ----------
    function : callable
        From an array (n, ...) to a float32 array (n, n_numbers).
    tensor : tensor of shape (n, ...)
        Of the backend of Keras.
    n_numbers : int
        How many numbers the function gives for each row.

    Returns
    -------
    tensor of shape (n, n_numbers) and dtype float32
        Of the backend of Keras.
    """
    import keras

    def on_host(values: Any) -> NDArray[np.float32]:
        _raised.clear()
        try:
            return function(np.asarray(values))
        except BaseException as error:  # Ctrl-C too, which TensorFlow would make an error of its own of
            _raised.append(error)
            raise

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        result = tf.numpy_function(on_host, [tensor], tf.float32)
        result.set_shape((tensor.shape[0], n_numbers))
        return result
    if backend == "jax":
        import jax

        shape = jax.ShapeDtypeStruct((tensor.shape[0], n_numbers), np.float32)
        return jax.pure_callback(on_host, shape, tensor)
    return keras.ops.convert_to_tensor(on_host(keras.ops.convert_to_numpy(tensor)))


@contextmanager
def naming_host_errors() -> Iterator[None]:
    """Raise the error that a function on the host has raised, in place of the backend's.

    Yields
    ------
    None
        In this block networks are run.

    Raises
    ------
    Exception
        What `call_on_host` has met in this block, if anything.
    """
    _raised.clear()  # of what was run outside such a block
    try:
        yield
    except Exception as error:
        if _raised and error is not _raised[-1]:
            raise _raised.pop() from None
        raise
    finally:
        _raised.clear()
