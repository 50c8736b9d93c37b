"""Make layers and networks once more, from their configuration: what is trained belongs to one network alone."""

from collections.abc import Callable
from typing import Any

from melanoma_tl.errors import ParameterError

_OWN = {"dtype": "float32", "data_format": "channels_last"}
"""Entries of a configuration that a layer has from the user's settings, with what the library builds with."""


def make_again(operation: Any, what_for: str, instead: str, **changes: Any) -> Any:
    """Make a layer or another operation once more, without its weights.

    Parameters
    ----------
    operation : keras.Operation
        Stays as it is.
    what_for, instead : str
        Why it is made again, and what the user can do where it cannot be, for an error message.
    **changes : object
        Entries of the configuration that are others.

    Returns
    -------
    keras.Operation
        Not called yet.

    Raises
    ------
    ParameterError
        If it cannot be made again from its ``get_config``.
    """
    try:
        return type(operation).from_config(operation.get_config() | changes)
    except Exception as error:  # what is raised depends on the layer, which may be the user's
        reason = " ".join(str(error).split())
        raise ParameterError(
            f"the layer {operation.name!r} ({type(operation).__name__}) cannot be made again {what_for} "
            f"({reason:.160}): give it a get_config that names what its __init__ takes, or {instead}"
        ) from error


def rebuild(network: Any, tensor: Any, copy: Callable[[Any], Any]) -> Any:
    """Build a network of one input and one output anew on a tensor, flat.

    Parameters
    ----------
    network : keras.Model
        A graph; stays as it is.
    tensor : KerasTensor
        What takes the place of its input.
    copy : callable
        Makes each of its operations again.

    Returns
    -------
    KerasTensor
        What it gives.
    """
    import keras

    results: list[Any] = []

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        results.append(operation(*args, **kwargs))
        return results[-1]

    # The model that this returns starts at an input of its own; its layers have been called on our tensor first.
    tensors = keras.tree.map_structure(lambda _: tensor, network.input)
    keras.models.clone_model(network, input_tensors=tensors, clone_function=copy, call_function=call)
    return results[-1]


def copy_layer(layer: Any) -> Any:
    """Make a layer that turns pixels into other pixels once more, with its weights.

    Parameters
    ----------
    layer : keras.Layer
        Stays as it is.

    Returns
    -------
    keras.Layer
        With weights of its own.
    """
    import keras

    copied = make_again(layer, "for each network", "make it in a function")
    if layer.weights:
        copied.build_from_config(layer.get_build_config())
        copied.set_weights(layer.get_weights())
    for part in copied._flatten_layers():
        if isinstance(part, keras.layers.Normalization) and part.built:
            part.finalize_state()  # it computes with constants made of its weights
    return copied


def with_own_settings(config: Any) -> Any:
    """Give a configuration without what the user's settings of Keras have put into it.

    Parameters
    ----------
    config : object
        As ``get_config`` gives it.

    Returns
    -------
    object
        The same, in float32, with channels last.
    """
    if isinstance(config, dict):
        return {
            key: _OWN[key] if key in _OWN and value is not None else with_own_settings(value)
            for key, value in config.items()
        }
    return [with_own_settings(value) for value in config] if isinstance(config, list | tuple) else config
