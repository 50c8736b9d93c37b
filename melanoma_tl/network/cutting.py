"""Take a network apart: cut it in two, recast its precision, tell it from others."""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from melanoma_tl._keras.copies import make_again
from melanoma_tl._keras.isolation import seeded_building
from melanoma_tl.errors import MelanomaTLError, ParameterError, in_one_line
from melanoma_tl.network.graph import IMAGE, SCORE_LAYER
from melanoma_tl.network.precision import FLOAT32, Precision

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitNetwork:
    """A network cut in two, after the last point up to which nothing learns.

    Attributes
    ----------
    frozen : keras.Model or None
        From raw images to features, always the same for the same image; shares its layers
        with the whole. None where not a single weight is frozen before one that learns.
    trained : keras.Model
        From features, or from raw images where `frozen` is None, to the score; shares its layers with the whole.
    """

    frozen: Any
    trained: Any


@dataclass(frozen=True)
class FrozenPart:
    """What is computed once for each image and view.

    Attributes
    ----------
    network : keras.Model
        From raw images to features, in float32.
    policy : {"float32", "mixed_bfloat16"}
        What it is to compute with.
    augmenter : Augmenter or None
        What changes the images, with a seed.
    n_views : int
        How many views of each image there are.
    """

    network: Any
    policy: str
    augmenter: Any
    n_views: int


def split_network(model: Any) -> SplitNetwork:
    """Cut a network where a single tensor carries everything and nothing before it learns.

    Where the first layer that learns is in a branch, the cut is before the branches part.

    Parameters
    ----------
    model : keras.Model
        One input, one output, any graph between them.

    Returns
    -------
    SplitNetwork
        The two networks; training the second trains the whole.
    """
    import keras

    tensor = _last_fixed_tensor(model)
    frozen = None if tensor is None else keras.Model(model.inputs[0], tensor, name=f"{model.name}_frozen")
    if frozen is None or not frozen.weights:
        return SplitNetwork(None, model)
    logger.info("the frozen part of %s ends with %s, %s", model.name, _operation(tensor).name, tuple(tensor.shape[1:]))
    return SplitNetwork(frozen, keras.Model(tensor, model.outputs[0], name=f"{model.name}_trained"))


@seeded_building(0)  # layers that are made draw seeds, which nobody else is to miss
def with_precision(model: Any, policy: str, *, anew: bool = False) -> Any:
    """Return a network that computes otherwise with the same weights.

    Parameters
    ----------
    model : keras.Model
        Computes in float32.
    policy : {"float32", "mixed_bfloat16"}
        What the result computes with.
    anew : bool, default=False
        Whether the result has layers and weights of its own in any case.

    Returns
    -------
    keras.Model
        The same network for "float32", if it need not be made anew, otherwise one with layers and weights
        of its own. What sees pixels, up to the first layer with a kernel, stays in float32, and so does the layer
        that scores: eight bits are too few for a pixel less the mean, and for a probability.
        So does a ``Lambda``, which Keras makes again only where code in a file is trusted.

    Raises
    ------
    ParameterError
        If a layer cannot be made again from its ``get_config``.
    """
    import keras

    if policy == FLOAT32 and not anew:
        return model
    exact = _names_of_pixel_layers(model) | {SCORE_LAYER}

    def recast(operation: Any) -> Any:
        if isinstance(operation, keras.layers.Lambda):
            return operation
        if not isinstance(operation, keras.Layer) or operation.name in exact:
            return _make_again(operation)
        if isinstance(operation, keras.Model):
            return with_precision(operation, policy, anew=anew)
        return _make_again(operation, dtype=policy)

    recast_model = keras.models.clone_model(model, clone_function=recast)
    recast_model.set_weights(model.get_weights())
    for layer in recast_model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with constants made of its weights
    return recast_model


def _make_again(operation: Any, **changes: Any) -> Any:
    return make_again(operation, "to compute in bfloat16", "set precision='float32'", **changes)


def _names_of_pixel_layers(model: Any) -> set[str]:
    """Name the layers from raw images to the first one with a kernel, on each path.

    There are none where a network reads features. What no kernel comes before is among them, such as the vector of a
    frozen encoder.
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
    """Return the network that scores in the precision it was trained in.

    Parameters
    ----------
    model : keras.Model
        The whole, in float32.
    precision : Precision
        What its parts compute with.

    Returns
    -------
    keras.Model
        From images to scores; the whole itself where both parts compute in float32.

    Raises
    ------
    ParameterError
        If a layer cannot be made again. Whether each computes so, `NetworkScorer.check` finds out.
    """
    import keras

    if set(precision) == {FLOAT32}:
        return model
    parts = split_network(model)
    images = keras.Input(model.inputs[0].shape[1:], name=IMAGE)
    with blaming_precision():
        features = images if parts.frozen is None else with_precision(parts.frozen, precision.frozen)(images)
        return keras.Model(images, with_precision(parts.trained, precision.trained)(features), name=model.name)


@contextmanager
def blaming_precision() -> Iterator[None]:
    """Name the precision as the cause of an error that layers raise.

    Yields
    ------
    None
        In this block a network that was made for float32 is made or run in another precision.

    Raises
    ------
    ParameterError
        In place of what was raised, unless that is the library's own.
    """
    try:
        yield
    except MelanomaTLError:
        raise
    except Exception as error:  # what is raised depends on the layer, and on what it calls
        raise ParameterError(
            f"this network cannot compute in bfloat16 ({in_one_line(error)}): set precision='float32'"
        ) from error


def _last_fixed_tensor(model: Any) -> Any:
    """Walk through the graph until something learns; None if that is at once."""
    nodes = _sorted_nodes(model)
    readers: dict[int, int] = {}  # how many of the nodes still to come read each tensor
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
    """Return whether an operation gives the same for the same input throughout training.

    Layers without a variable have nothing to learn; those that draw at random keep their seed in one.
    """
    return not getattr(operation, "trainable", True) or not getattr(operation, "variables", ())


def network_digest(model: Any) -> bytes:
    """Compute what tells two networks apart: their layers, how these are connected, and their weights.

    Parameters
    ----------
    model : keras.Model
        Any graph.

    Returns
    -------
    bytes of length 32
        SHA-256; the names of layers do not count.
    """
    import keras

    digest = hashlib.sha256()
    nodes = _sorted_nodes(model)
    numbers = {id(node): number for number, node in enumerate(nodes)}

    def describe(value: Any) -> Any:
        """Convert what JSON cannot hold: a tensor of the graph is the call that made it."""
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
    """Put the calls that make up a graph into an order in which each comes after those it reads from."""
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
    """Return the call that made a symbolic tensor."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]
