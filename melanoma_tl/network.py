"""Build the flat graph: preprocessing, backbone and head in one model."""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from melanoma_tl.backbones.registry import BackboneSpec
from melanoma_tl.backbones.weights import WeightsFile
from melanoma_tl.errors import ParameterError, UnknownNameError, WeightsUnavailableError
from melanoma_tl.pooling import pool

Head = str | Callable[[Any], Any]

PREPROCESSINGS = ("backbone", "rescale")
HEADS = ("pooled", "published")
IMAGE, SCORE_LAYER = "image", "melanoma"
"""Names of the first and the last layer."""


class Network(NamedTuple):
    """A classifier's graph, and the part of it that was pre-trained.

    Attributes
    ----------
    model : keras.Model
        Flat; from images of shape (n, height, width, 3), 0 to 255, to the
        probability of melanoma, of shape (n, 1); or of each of several diagnoses, of shape (n, n_classes).
    backbone : keras.Model
        From the same images to the last feature map; shares its layers with `model`.
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
    pooling: str,
    taps: Sequence[str],
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
    head : {"pooled", "published"} or callable
        What stands between the last feature map and the score.
    pooling : {"avg", "max", "avg_max", "log_center"}
        What the "pooled" head takes of each channel of a feature map, as `melanoma_tl.pooling.pool` says.
    taps : sequence of str
        Layers of the backbone whose feature maps the "pooled" head takes beside the last.
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
        If the weights file does not fit the backbone.
    ParameterError
        If a parameter cannot be used.
    UnknownNameError
        If `taps` names a layer that the backbone does not have.
    """
    import keras

    if preprocessing not in PREPROCESSINGS:
        raise ParameterError(f"preprocessing must be one of {', '.join(PREPROCESSINGS)}, got {preprocessing!r}")
    with seeded_layers(random_state):
        images = keras.Input((*input_size, 3), name=IMAGE, dtype="float32")
        scale = spec.preprocess if preprocessing == "backbone" else keras.layers.Rescaling(1 / 255, name="rescale")
        backbone = _build_backbone(spec, scale(images), weights)
        maps = [("pool", backbone.output), *((f"pool_{name}", _find_map(backbone, name)) for name in taps)]
        features = _apply_head(head, maps, pooling)
        if dropout:
            features = keras.layers.Dropout(dropout, seed=random_state, name="dropout")(features)
        units, activation = (1, "sigmoid") if n_classes == 2 else (n_classes, "softmax")
        score = keras.layers.Dense(units, activation=activation, name=SCORE_LAYER, dtype="float32")(features)
    # Keras refuses a slash, and the folder of stored features takes this name: a preset may be named by its path.
    name = re.sub(r"\W+", "_", spec.name.rpartition("/")[2])
    network = Network(keras.Model(images, score, name=name), keras.Model(images, backbone.output))
    freeze(network, None)
    return network


def freeze(network: Network, trainable_from: str | None, *, train_batch_norm: bool = False) -> None:
    """Freeze a backbone up to a layer, and nothing else.

    A network must be compiled anew after this: Keras ignores it otherwise.

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
    """
    from keras.layers import BatchNormalization

    network.model.trainable = True
    names = [layer.name for layer in network.backbone.layers]
    if trainable_from is not None and trainable_from not in names:
        raise UnknownNameError("layer for trainable_from", trainable_from, names, "None freezes the whole backbone.")
    start = len(names) if trainable_from is None else names.index(trainable_from)
    for position, layer in enumerate(network.backbone.layers):
        layer.trainable = position >= start
        for part in layer._flatten_layers():  # a layer may be made of others
            if isinstance(part, BatchNormalization) and not train_batch_norm:
                part.trainable = False


def first_layer_that_learns(spec: BackboneSpec, trainable_from: str | int | None) -> str | None:
    """Give the name of the layer that a user may have given as a number of stages.

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
    if not isinstance(trainable_from, int):
        return trainable_from
    if not 1 <= trainable_from <= len(spec.stages):
        raise ParameterError(
            f"trainable_from={trainable_from} counts the last stages of the backbone that learn: {spec.name!r} has "
            f"{len(spec.stages)} ({', '.join(spec.stages) or 'none is registered'}); give a number from 1 on, "
            "the name of a layer, or None"
        )
    return spec.stages[trainable_from - 1]


def depths(spec: BackboneSpec, backbone: Any) -> dict[str, int]:
    """Tell how deep each layer of a backbone lies below the head, in stages.

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
    for stage in spec.stages:
        if stage not in names:
            raise UnknownNameError(f"stage of the backbone {spec.name!r}", stage, names)
    starts = [names.index(stage) for stage in spec.stages]
    return {name: 1 + sum(position < start for start in starts) for position, name in enumerate(names)}


def _build_backbone(spec: BackboneSpec, images: Any, weights: WeightsFile | None) -> Any:
    import keras

    try:
        backbone = spec.builder(images, None if weights is None else weights.path)
    # What does not fit raises ValueError, OSError or KeyError, depending on where h5py or Keras notices.
    except (ValueError, OSError, KeyError) as error:
        if weights is None:
            raise ParameterError(f"{spec.name!r} cannot be built on images of {images.shape[1:]}: {error}") from error
        _build_backbone(spec, images, None)  # says so if it is not the weights that do not fit
        raise WeightsUnavailableError(
            f"{weights.path} does not hold weights for {spec.name!r} without its top ({error})"
        ) from error
    if 0 in backbone.output.shape:  # what Keras lets pass in some versions
        raise ParameterError(f"{spec.name!r} cannot be built on images of {images.shape[1:]}: its output is empty")
    if len(backbone.output.shape) != 4:
        raise ParameterError(
            f"the backbone {spec.name!r} must end in a feature map of shape (n, height, width, channels), "
            f"got the shape {tuple(backbone.output.shape)}"
        )
    # A model that starts at the tensor itself has copied its graph and left the preprocessing behind.
    if backbone.inputs[0] is not keras.utils.get_source_inputs(images)[0]:
        raise ParameterError(
            f"the backbone {spec.name!r} does not start at the images: its builder must return "
            "keras.Model(keras.utils.get_source_inputs(input_tensor), features)"
        )
    return backbone


def _find_map(backbone: Any, name: str) -> Any:
    """Return the feature map that a layer of the backbone gives."""
    names = [layer.name for layer in backbone.layers]
    if name not in names:
        raise UnknownNameError("layer for taps", name, names)
    tensor = backbone.get_layer(name).output
    if len(tensor.shape) != 4:
        raise ParameterError(f"taps: {name!r} gives no feature map (n, height, width, channels) but {tensor.shape}")
    return tensor


def _apply_head(head: Head, maps: list[tuple[str, Any]], pooling: str) -> Any:
    """Turn feature maps, the last one first, into features."""
    from keras import layers

    if head == "pooled":
        pooled = [features for name, tensor in maps for features in pool(tensor, pooling, name)]
        return layers.Concatenate(name="features")(pooled) if len(pooled) > 1 else pooled[0]
    (_, features), *rest = maps
    if rest:
        raise ParameterError(f"taps are for head='pooled', got head={head!r}")
    if callable(head):
        features = head(features)
        if len(features.shape) != 2:
            raise ParameterError(f"the head must return a tensor of shape (n, features), got {tuple(features.shape)}")
        return features
    if head == "published":
        features = layers.Flatten(name="flatten")(features)
        features = layers.Dense(4096, activation="relu", name="fc1")(features)
        return layers.Dense(4096, activation="relu", name="fc2")(features)
    raise UnknownNameError("head", head, HEADS, "Or pass a function from the feature map to a tensor (n, features).")


def uncompiled(model: Any) -> Any:
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


@contextmanager
def seeded_layers(seed: int | None) -> Iterator[None]:
    """Seed what Keras draws the seeds of new layers from, and leave the user's random state as it was.

    Parameters
    ----------
    seed : int or None
        None seeds nothing.

    Yields
    ------
    None
        Layers that are made in this block are the same for the same seed.
    """
    state = random.getstate()
    if seed is not None:
        random.seed(seed)
    try:
        yield
    finally:
        if seed is not None:
            random.setstate(state)
