"""Build the flat graph: preprocessing, backbone and head in one model."""

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from melanoma_tl._keras.isolation import seeded_building
from melanoma_tl.backbones.building import (
    build_backbone,
    check_file_is_needed,
    check_weights_were_read,
    is_third_party,
    scale_pixels,
    warn_of_unread_weights,
)
from melanoma_tl.backbones.spec import BackboneSpec
from melanoma_tl.backbones.weights import WeightsFile
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.network.feature_maps import backbone_stages, last_maps, maps_of_stages, named_maps
from melanoma_tl.network.heads import Head, PooledHead, apply_head

PREPROCESSINGS = ("backbone", "rescale")
IMAGE, SCORE_LAYER = "image", "melanoma"
"""Names of the first and the last layer."""

_NUMBERS = itertools.count()
"""Distinguishes the variables of each network from all that were made before."""

_CALLS = 100
"""Calls from within which a network is connected: more than there are where it is trained, saved or explained later."""


class Network(NamedTuple):
    """A classifier's graph, and the part of it that was pre-trained.

    Attributes
    ----------
    model : keras.Model
        Flat; from images of shape (n, height, width, 3), 0 to 255, to the
        probability of melanoma, of shape (n, 1); or of each of several diagnoses, of shape (n, n_classes).
    backbone : keras.Model
        From the same images to the last feature map, and to the vector of the whole image if it gives one;
        shares its layers with `model`.
    """

    model: Any
    backbone: Any


def build_network(
    spec: BackboneSpec,
    *,
    weights: WeightsFile | None,
    input_size: tuple[int, int],
    preprocessing: str,
    head: Head,
    dropout: float,
    random_state: int | None,
    n_classes: int = 2,
) -> Network:
    """Build the classifier's graph on raw RGB images, with a frozen backbone.

    Parameters
    ----------
    spec : BackboneSpec
        The backbone.
    weights : WeightsFile or None
        Its weights; None for random ones.
    input_size : tuple of int
        (height, width) in pixels.
    preprocessing : {"backbone", "rescale"}
        What the backbone's weights were trained with, or a division by 255.
    head : {"pooled", "published"}, PooledHead, callable or keras.Layer
        What stands between the last feature map and the score, as `melanoma_tl.network.heads.apply_head` says.
    dropout : float
        Share of the features before the score that are left out in training.
    random_state : int or None
        Seed of the initial weights and of the dropout.
    n_classes : int, default=2
        Two have one score, that of melanoma; more have one each, which add up to 1.

    Returns
    -------
    Network
        The graph, and the backbone in it.

    Raises
    ------
    WeightsUnavailableError
        If the weights file does not fit the backbone, or its builder did not read it.
    ParameterError
        If a parameter cannot be used, or a layer was made before the network: it would belong to others too.
    UnknownNameError
        If the head names a layer that the backbone does not have.
    """
    import keras

    if preprocessing not in PREPROCESSINGS:
        raise ParameterError(f"preprocessing must be one of {', '.join(PREPROCESSINGS)}, got {preprocessing!r}")
    scope = f"network{next(_NUMBERS)}"
    with seeded_building(random_state), keras.name_scope(scope), _naming_depth():
        images, scaled = scaled_images(spec, input_size, preprocessing)
        backbone = build_backbone(spec, scaled, weights)
        maps = last_maps(backbone)
        if len(maps) > 1 and head != "pooled" and not isinstance(head, PooledHead):
            raise ParameterError(
                f"a head of this kind takes one feature map, and {spec.name!r} gives {len(maps)}: take 'pooled' or a "
                "PooledHead"
            )
        if isinstance(head, PooledHead):
            maps += (
                maps_of_stages(spec, backbone) if head.takes_stages else named_maps(spec, backbone, head.layer_names())
            )
        features = apply_head(head, maps, spec.pooling, {operation.name for operation in backbone.operations})
        if dropout:
            features = keras.layers.Dropout(dropout, seed=random_state, name="dropout")(features)
        units, activation = (1, "sigmoid") if n_classes == 2 else (n_classes, "softmax")
        score = keras.layers.Dense(units, activation=activation, name=SCORE_LAYER, dtype="float32")(features)
        # Keras refuses a slash, and the folder of stored features takes this name: a preset may be named by its path.
        name = re.sub(r"\W+", "_", spec.name.rpartition("/")[2])
        network = Network(_connect(images, score, name), keras.Model(images, backbone.outputs))
    _check_all_is_new(network, scope, spec)
    _check_head(network)
    if weights is not None and is_third_party(spec):
        with seeded_building(random_state):
            _, scaled = scaled_images(spec, input_size, preprocessing)
            without = build_backbone(spec, scaled, None)
            check_weights_were_read(spec, backbone, without, weights)
            check_file_is_needed(spec, scaled, weights)
            warn_of_unread_weights(spec, backbone, without, weights)
    freeze(network, None)
    return network


def scaled_images(spec: BackboneSpec, input_size: tuple[int, int], preprocessing: str) -> tuple[Any, Any]:
    """Begin a graph.

    Parameters
    ----------
    spec, input_size, preprocessing : BackboneSpec, tuple of int, and str
        As in `build_network`.

    Returns
    -------
    images : KerasTensor of shape (n, height, width, 3)
        Raw RGB, 0 to 255.
    scaled : KerasTensor
        What the backbone is shown.

    Raises
    ------
    ParameterError
        If `preprocess` of the backbone cannot be used.
    """
    import keras

    images = keras.Input((*input_size, 3), name=IMAGE, dtype="float32")
    if preprocessing == "rescale":
        return images, keras.layers.Rescaling(1 / 255, name="rescale")(images)
    return images, scale_pixels(spec, images)


def freeze(network: Network, trainable_from: str | None, *, train_batch_norm: bool = False) -> None:
    """Freeze a backbone up to a layer, and nothing else.

    A network must be compiled again afterwards, or Keras ignores the change.

    Parameters
    ----------
    network : Network
        Changed in place.
    trainable_from : str or None
        First layer that learns; None freezes all.
    train_batch_norm : bool, default=False
        Whether batch normalisation above that layer learns too. Small medical batches spoil its
        statistics; a layer with ``trainable=False`` runs in inference mode.

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    ParameterError
        If nothing learns from there on.
    """
    from keras.layers import BatchNormalization

    for layer in network.model.layers:  # Keras does not hand on what is set for a model
        layer.trainable = True
    names = [layer.name for layer in network.backbone.layers]
    if trainable_from is not None and trainable_from not in names:
        raise UnknownNameError("layer for trainable_from", trainable_from, names, "None freezes the whole backbone.")
    start = len(names) if trainable_from is None else names.index(trainable_from)
    if trainable_from is not None and not any(layer.trainable_weights for layer in network.backbone.layers[start:]):
        raise ParameterError(
            f"trainable_from={trainable_from!r}: no layer of the backbone from there on has weights that can learn"
        )
    for position, layer in enumerate(network.backbone.layers):
        layer.trainable = position >= start
        for part in layer._flatten_layers():  # a layer may be made of others
            if isinstance(part, BatchNormalization) and not train_batch_norm:
                part.trainable = False


def resolve_trainable_from(spec: BackboneSpec, trainable_from: str | int | None) -> str | None:
    """Return the name of the layer that a user may have given as a number of stages.

    Parameters
    ----------
    spec : BackboneSpec
        The backbone.
    trainable_from : str, int or None
        Name of a layer; how many of the last stages learn; or None for a frozen backbone.

    Returns
    -------
    str or None
        As `freeze` takes it.

    Raises
    ------
    ParameterError
        If the backbone has fewer stages.
    """
    if spec.part_names and trainable_from is not None:
        raise ParameterError(
            f"trainable_from={trainable_from!r}: {spec.name!r} are several backbones side by side, which stay frozen; "
            "fine-tune each alone, and put them into an Ensemble"
        )
    if not isinstance(trainable_from, int):
        return trainable_from
    if not 1 <= trainable_from <= len(spec.stages):
        raise ParameterError(
            f"trainable_from={trainable_from} counts the last stages of the backbone that learn: {spec.name!r} has "
            f"{len(spec.stages)} ({', '.join(spec.stages) or 'none is registered'}); give a number from 1 on, "
            "the name of a layer, or None"
        )
    return spec.stages[trainable_from - 1]


def stage_depths(spec: BackboneSpec, backbone: Any) -> dict[str, int]:
    """Return how deep each layer of a backbone lies below the head, in stages.

    Parameters
    ----------
    spec : BackboneSpec
        Says where its stages begin.
    backbone : keras.Model
        The backbone.

    Returns
    -------
    dict of str to int
        1 for the layers of the last stage, 2 for those of the one before, and so on.

    Raises
    ------
    UnknownNameError
        If a registered stage is no layer of the backbone.
    """
    names = [layer.name for layer in backbone.layers]
    starts = [names.index(stage) for stage in backbone_stages(spec, backbone)]
    return {name: 1 + sum(position < start for start in starts) for position, name in enumerate(names)}


@contextmanager
def _naming_depth() -> Iterator[None]:
    """Turn a RecursionError into a ParameterError: Keras calls one layer from within another, and has run out."""
    try:
        yield
    except RecursionError:
        raise ParameterError(
            "the network has more layers one after another than Keras can connect: make its head, or a backbone of "
            "your own, of fewer"
        ) from None


def _connect(images: Any, score: Any, name: str, calls: int = _CALLS) -> Any:
    """Make a network that can be connected again from deeper within other calls."""
    import keras

    if calls:
        return _connect(images, score, name, calls - 1)
    try:
        return keras.Model(images, score, name=name)
    except ValueError as error:
        raise ParameterError(f"the head does not make one network with the backbone: {error}") from error


def _check_all_is_new(network: Network, scope: str, spec: BackboneSpec) -> None:
    """Raise an error if a weight existed before the network was built: training would change others too."""
    of_backbone = {id(layer) for layer in network.backbone.layers}
    for layer in network.model.layers:
        if _is_new(layer, scope):
            continue
        if id(layer) in of_backbone:
            owner, advice = (
                f"the builder of the backbone {spec.name!r}",
                "with keras.models.clone_model and set_weights",
            )
        else:
            owner, advice = "the head", "or pass the layer itself as head"
        raise ParameterError(
            f"{owner} uses the layer {layer.name!r}, which was made before, so that every fit would go on with the "
            f"weights of the one before: make all layers in the function itself, {advice}"
        )


def _check_head(network: Network) -> None:
    """Raise an error for frozen weights of a head, and for variables that belong to none of its layers."""
    import keras

    of_backbone = {id(operation) for operation in network.backbone.operations}
    for operation in network.model.operations:
        if id(operation) in of_backbone:
            continue
        for part in operation._flatten_layers() if isinstance(operation, keras.Layer) else ():
            if not part.trainable and part.weights:
                raise ParameterError(
                    f"the layer {part.name!r} of the head has trainable=False, and weights that are drawn anew in each "
                    "fit: leave that out, for what a head has learns"
                )
        given = [(node.arguments.args, node.arguments.kwargs) for node in operation._inbound_nodes]
        captured = next((value for value in keras.tree.flatten(given) if isinstance(value, keras.Variable)), None)
        if captured is not None:
            raise ParameterError(
                f"the head computes with the variable {captured.name!r}, which is no layer's, so that it would neither "
                "learn nor be one for each fit: make a layer that has it by add_weight"
            )


def _is_new(layer: Any, scope: str) -> bool:
    """Return whether all weights of a layer were made in a scope of names."""
    from keras.layers import Normalization

    # Its statistics do not change.
    still = [part for part in layer._flatten_layers() if isinstance(part, Normalization)]
    known = {id(weight) for part in still for weight in part.variables}
    return all(id(weight) in known or scope in weight.path.split("/") for weight in layer.variables)


def without_optimizer(model: Any) -> Any:
    """Return a network without its optimizer, which takes more memory and more disk than the network itself.

    Parameters
    ----------
    model : keras.Model
        Of one input and one output.

    Returns
    -------
    keras.Model
        The same graph of the same layers.
    """
    import keras

    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
