"""Make layers and networks once more, from their configuration: what is trained belongs to one network alone."""

from collections.abc import Callable
from typing import Any

from melanoma_tl._keras.isolation import users_settings
from melanoma_tl.errors import ParameterError, in_one_line

_FIXED = {"dtype": "float32", "data_format": "channels_last"}
"""Entries of a layer's configuration that come from the user's settings where the layer was not told otherwise, with
what the library builds with."""


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
        If it cannot be copied from its ``get_config``.
    """
    told = f"the layer {operation.name!r} ({type(operation).__name__}) cannot be copied {what_for}"
    if "call" in vars(operation):
        raise ParameterError(f"{told}: its call was replaced after it was made; write it into a class of its own")
    try:
        return type(operation).from_config(operation.get_config() | changes)
    except Exception as error:  # what is raised depends on the layer, which may be the user's
        raise ParameterError(
            f"{told} ({in_one_line(error, 160)}): give it a get_config that names what its __init__ takes, or {instead}"
        ) from error


def rebuild(operation: Any, copy: "Copies", *args: Any, **kwargs: Any) -> Any:
    """Call a copy of a layer, a network or another operation.

    A network is copied operation by operation, so that the result is flat.

    Parameters
    ----------
    operation : keras.Operation
        Stays as it is. A network whose class has a ``call`` of its own is one operation: only that knows what it does.
    copy : Copies
        Makes operations again.
    *args, **kwargs : object
        What it is called with.

    Returns
    -------
    KerasTensor or nested structure of KerasTensor
        What it gives.

    Raises
    ------
    ParameterError
        If a network within another one is called in a way that its operations cannot be.
    """
    import keras
    from keras.src.models.functional import Functional

    if _computes_as(operation, keras.Sequential) or _computes_as(operation, Functional):
        given = [name for name, value in kwargs.items() if value is not None]
        if given:  # such as training=False, which would have to hold for all that is in it
            raise ParameterError(
                f"the network {operation.name!r} is called with {', '.join(given)} within another one: "
                "pass a function that makes and calls its layers"
            )
        if isinstance(operation, keras.Sequential):
            (tensor,) = args
            for layer in operation.layers:
                tensor = rebuild(layer, copy, tensor)
            return tensor
        # Keras's clone_model does this too, but neither for networks within networks nor on a tensor of another graph.
        return operation._run_through_graph(
            args, operation_fn=lambda inner: inner, call_fn=lambda inner, *a, **k: rebuild(inner, copy, *a, **k)
        )
    return copy(operation)(*args, **kwargs)


def rebuild_with_weights(network: Any, make: Callable[[Any], Any], tensor: Any) -> Any:
    """Rebuild a network on a tensor, with the same weights.

    Parameters
    ----------
    network : keras.Model
        Stays as it is.
    make : callable
        Makes an operation again, without its weights.
    tensor : KerasTensor
        What the network is called with.

    Returns
    -------
    KerasTensor or nested structure of KerasTensor
        What it gives.
    """
    import keras

    copies = Copies(make)
    result = rebuild(network, copies, tensor)
    for original, copied in copies.pairs:
        if isinstance(original, keras.Layer):
            copied.set_weights(original.get_weights())
    return result


class Copies:
    """What `rebuild` makes operations again with: each once, for what is shared stays shared.

    Parameters
    ----------
    make : callable
        Makes an operation again.
    """

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make
        self._pairs: dict[int, tuple[Any, Any]] = {}

    def __call__(self, operation: Any) -> Any:
        """Return the copy of an operation."""
        if id(operation) not in self._pairs:
            self._pairs[id(operation)] = operation, self._make(operation)
        return self._pairs[id(operation)][1]

    @property
    def pairs(self) -> list[tuple[Any, Any]]:
        """What was made again, with what it was made of."""
        return list(self._pairs.values())


def _computes_as(network: Any, kind: type[Any]) -> bool:
    """Return whether a network is of a kind, and does what its layers do and nothing else."""
    own = type(network)
    return (
        isinstance(network, kind)
        and "call" not in vars(network)
        and own.call is kind.call
        and own.__call__ is kind.__call__
    )


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


def statistics_of(layer: Any) -> dict[str, Any]:
    """Return what a layer was adapted to, as entries of its configuration, which do not hold it.

    Parameters
    ----------
    layer : keras.Operation
        Any; only a ``Normalization`` has statistics that do not come from training.

    Returns
    -------
    dict
        Of a layer that was not adapted none.

    Raises
    ------
    ParameterError
        If a layer in this one was adapted, which cannot be handed on.
    """
    import keras

    adapted = [part for part in _parts(layer) if isinstance(part, keras.layers.Normalization) and _is_adapted(part)]
    if not adapted:
        return {}
    if adapted != [layer]:
        raise ParameterError(
            f"the layer {layer.name!r} has a part, {adapted[0].name!r}, that was adapted, which no get_config tells: "
            "make that part with mean and variance"
        )
    mean, variance = (
        keras.ops.convert_to_numpy(values).tolist() for values in (layer.adapt_mean, layer.adapt_variance)
    )
    return {"mean": mean, "variance": variance}


def _parts(operation: Any) -> list[Any]:
    return list(operation._flatten_layers()) if hasattr(operation, "_flatten_layers") else []


def _is_adapted(layer: Any) -> bool:
    import keras

    if layer.input_mean is not None or not layer.built:
        return False
    mean, variance = (keras.ops.convert_to_numpy(values) for values in (layer.adapt_mean, layer.adapt_variance))
    return bool((mean != 0).any() or (variance != 1).any())


def with_own_settings(config: Any, name: str = "") -> Any:
    """Return a configuration without what the user's settings of Keras have put into it.

    Parameters
    ----------
    config : object
        As ``get_config`` of a layer gives it.
    name : str, default=""
        What errors call the layer.

    Returns
    -------
    object
        The same, in float32, with channels last.

    Raises
    ------
    ParameterError
        If it has another precision or another order of axes that is not from the user's settings.
    """
    if isinstance(config, dict):
        return {
            key: _own_value(key, value, name) if key in _FIXED and value is not None else with_own_settings(value, name)
            for key, value in config.items()
        }
    return [with_own_settings(value, name) for value in config] if isinstance(config, list | tuple) else config


def _own_value(key: str, value: Any, name: str) -> Any:
    """Return the library's value, unless somebody has chosen another one for this layer."""
    import keras

    known = keras.dtype_policies.get(value).name if key == "dtype" else value
    if known not in (_FIXED[key], users_settings()[key]):
        raise ParameterError(
            f"the layer {name!r} has {key}={known!r}, where networks are built with {_FIXED[key]!r}"
            f"{', and the parameter precision says what they compute with' * (key == 'dtype')}: make it without that, "
            "or pass a function that makes it"
        )
    return _FIXED[key]
