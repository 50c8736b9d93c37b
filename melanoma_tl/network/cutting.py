"""Split a network at its first trainable layer, convert its precision, and hash it."""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from melanoma_tl._keras.copies import make_again
from melanoma_tl._keras.device_errors import explaining_device_errors
from melanoma_tl._keras.isolation import seeded_building
from melanoma_tl.errors import MelanomaTLError, ParameterError, in_one_line
from melanoma_tl.network.graph import IMAGE, SCORE_LAYER
from melanoma_tl.network.precision import FLOAT32, Precision

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitNetwork:
    """A network split in two, a frozen part and the rest, which is trained.

    Attributes
    ----------
    frozen : keras.Model or None
        From raw images to features, which do not change during training; shares its layers
        with the whole network. None if there is no frozen weight before the first trainable layer.
    trained : keras.Model
        From features, or from raw images if `frozen` is None, to the score; shares its layers with the whole
        network.
    """

    frozen: Any
    trained: Any


@dataclass(frozen=True)
class FrozenPart:
    """The frozen part of a network, whose features are computed once for each image and view.

    Attributes
    ----------
    network : keras.Model
        From raw images to features, in float32.
    policy : {"float32", "mixed_bfloat16"}
        Its precision.
    augmenter : Augmenter or None
        Makes the views, with a fixed seed.
    n_views : int
        Number of views of each image.
    """

    network: Any
    policy: str
    augmenter: Any
    n_views: int


def split_network(model: Any) -> SplitNetwork:
    """Split a network at the last tensor that depends on no trainable layer and that everything after it depends on.

    If the first trainable layer is in a branch, the network is split before the branches.

    Parameters
    ----------
    model : keras.Model
        A graph with one input and one output.

    Returns
    -------
    SplitNetwork
        Both parts; training the second trains the layers of `model`.
    """
    import keras

    tensor = _last_fixed_tensor(model)
    frozen = None if tensor is None else keras.Model(model.inputs[0], tensor, name=f"{model.name}_frozen")
    if frozen is None or not frozen.weights:
        return SplitNetwork(None, model)
    logger.info("the frozen part of %s ends with %s, %s", model.name, _operation(tensor).name, tuple(tensor.shape[1:]))
    return SplitNetwork(frozen, keras.Model(tensor, model.outputs[0], name=f"{model.name}_trained"))


@seeded_building(0)  # new layers draw seeds, which must not change those of other code
def with_precision(model: Any, policy: str, *, copy: bool = False) -> Any:
    """Return a network with the same weights in another precision.

    Parameters
    ----------
    model : keras.Model
        The network, in float32.
    policy : {"float32", "mixed_bfloat16"}
        Precision of the result.
    copy : bool, default=False
        Whether to copy layers and weights for "float32" too.

    Returns
    -------
    keras.Model
        `model` itself for "float32" without `copy`, otherwise a copy. The layers from the pixels to the first layer
        with a kernel stay in float32, and so does the output layer: the eight bits of a bfloat16's significand
        are too few for centred pixels and for probabilities. A ``Lambda`` stays in float32 too, because Keras copies
        it only if unsafe deserialization is enabled.

    Raises
    ------
    ParameterError
        If a layer cannot be copied from its ``get_config``.
    """
    import keras

    if policy == FLOAT32 and not copy:
        return model
    exact = _names_of_pixel_layers(model) | {SCORE_LAYER}

    def recast(operation: Any) -> Any:
        if isinstance(operation, keras.layers.Lambda):
            return operation
        if not isinstance(operation, keras.Layer) or operation.name in exact:
            return _make_again(operation)
        if isinstance(operation, keras.Model):
            return with_precision(operation, policy, copy=copy)
        return _make_again(operation, dtype=policy)

    recast_model = keras.models.clone_model(model, clone_function=recast)
    recast_model.set_weights(model.get_weights())
    for layer in recast_model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # recomputes the constants that it derives from its weights
    return recast_model


def _make_again(operation: Any, **changes: Any) -> Any:
    return make_again(operation, "to compute in bfloat16", "set precision='float32'", **changes)


def _names_of_pixel_layers(model: Any) -> set[str]:
    """Return the names of the layers before the first layer with a kernel, on each path from raw images.

    The set is empty if the input of the network is features. A path without kernels, such as that of the vector of a
    frozen encoder, is included up to its end.
    """
    if model.inputs[0].name != IMAGE:
        return set()
    names, behind_kernels = set(), set()
    for node in _sorted_nodes(model):
        is_behind = any(id(_node(tensor)) in behind_kernels for tensor in node.input_tensors)
        if not is_behind:
            names.add(node.operation.name)
        if is_behind or hasattr(node.operation, "kernel"):
            behind_kernels.add(id(node))
    return names


def build_scorer(model: Any, precision: Precision) -> Any:
    """Return a network for prediction in the precision that it was trained in.

    Parameters
    ----------
    model : keras.Model
        The whole network, in float32.
    precision : Precision
        The precision of each part.

    Returns
    -------
    keras.Model
        From images to scores; `model` itself if both parts are in float32.

    Raises
    ------
    ParameterError
        If a layer cannot be copied. `NetworkScorer.check` tests whether each layer supports the precision.
    """
    import keras

    if set(precision) == {FLOAT32}:
        return model
    parts = split_network(model)
    images = keras.Input(model.inputs[0].shape[1:], name=IMAGE)
    with explain_precision_errors():
        features = images if parts.frozen is None else with_precision(parts.frozen, precision.frozen)(images)
        return keras.Model(images, with_precision(parts.trained, precision.trained)(features), name=model.name)


@contextmanager
def explain_precision_errors() -> Iterator[None]:
    """Convert errors of layers in another precision than float32 to a `ParameterError` that names the cause.

    Yields
    ------
    None
        The block builds or runs the converted network.

    Raises
    ------
    ParameterError
        For any error but those of this library, which are raised unchanged.
    DeviceError
        If memory is full, or the device fails.
    """
    try:
        with explaining_device_errors("end other programs that use the memory"):
            yield
    except MelanomaTLError:
        raise
    except Exception as error:  # its type depends on the layer
        raise ParameterError(
            f"this network cannot compute in bfloat16 ({in_one_line(error)}): set precision='float32'"
        ) from error


def _last_fixed_tensor(model: Any) -> Any:
    """Return the last tensor before the first trainable layer that alone feeds the rest; None if there is none."""
    nodes = _sorted_nodes(model)
    readers: dict[int, int] = {}  # number of remaining nodes that read each tensor
    for node in nodes:
        for tensor in node.input_tensors:
            readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    waiting: set[int] = set()
    last = None
    for node in nodes:
        if not _is_fixed(node.operation):
            break
        for tensor in node.input_tensors:
            readers[id(tensor)] -= 1
        waiting |= {id(tensor) for tensor in node.output_tensors}
        waiting = {tensor for tensor in waiting if readers.get(tensor)}
        if len(waiting) == 1:
            last = next((tensor for tensor in node.output_tensors if id(tensor) in waiting), None)
    return last


def _is_fixed(operation: Any) -> bool:
    """Return whether the output of an operation for an input stays the same throughout training.

    A layer without variables qualifies: random layers, such as dropout, keep the state of their seed in a variable.
    """
    return not getattr(operation, "trainable", True) or not getattr(operation, "variables", ())


def network_digest(model: Any) -> bytes:
    """Hash the layers of a network, their connections and their weights.

    Parameters
    ----------
    model : keras.Model
        Any graph.

    Returns
    -------
    bytes of length 32
        SHA-256; independent of the names of layers.
    """
    import keras

    digest = hashlib.sha256()
    nodes = _sorted_nodes(model)
    numbers = {id(node): number for number, node in enumerate(nodes)}

    def describe(value: Any) -> Any:
        """Convert values that JSON does not support; a symbolic tensor becomes the number of its node."""
        if isinstance(value, keras.KerasTensor):
            return [numbers[id(_node(value))], value._keras_history.tensor_index]
        if hasattr(value, "__array__"):
            array = np.asarray(value)
            return [str(array.dtype), array.shape, array.tobytes().hex()]
        return str(value)

    for node in nodes:
        operation = node.operation
        config = {name: value for name, value in operation.get_config().items() if name not in ("name", "trainable")}
        kind = f"{type(operation).__module__}.{type(operation).__qualname__}"
        call = [kind, config, node.arguments.args, node.arguments.kwargs]
        digest.update(json.dumps(call, sort_keys=True, default=describe).encode())
    for weights in model.get_weights():
        digest.update(f"{weights.dtype} {weights.shape}".encode())
        digest.update(np.ascontiguousarray(weights).data)
    return digest.digest()


def _sorted_nodes(model: Any) -> list[Any]:
    """Return the nodes of a graph in topological order."""
    done: dict[int, Any] = {}
    waiting = [_node(tensor) for tensor in model.outputs]
    while waiting:
        node = waiting[-1]
        missing = [_node(tensor) for tensor in node.input_tensors if id(_node(tensor)) not in done]
        waiting.extend(missing)
        if not missing:
            done.setdefault(id(waiting.pop()), node)
    return list(done.values())


def _operation(tensor: Any) -> Any:
    return tensor._keras_history.operation


def _node(tensor: Any) -> Any:
    """Return the node that produces a symbolic tensor."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]
