"""Build the flat graph: preprocessing, backbone and head in one model."""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from melanoma_tl.backbones.registry import BackboneSpec
from melanoma_tl.backbones.weights import WeightsFile
from melanoma_tl.errors import ParameterError, UnknownNameError, WeightsUnavailableError

Head = str | Callable[[Any], Any]

PREPROCESSINGS = ("backbone", "rescale")
HEADS = ("pooled", "published")
IMAGE, SCORE_LAYER = "image", "melanoma"
"""Names of the first and the last layer."""


def build_network(
    spec: BackboneSpec,
    *,
    weights: WeightsFile | None,
    input_size: tuple[int, int],
    preprocessing: str,
    head: Head,
    trainable_from: str | None,
    random_state: int | None,
) -> Any:
    """Build the classifier's graph on raw RGB images.

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
    trainable_from : str or None
        First layer of the backbone that learns; None freezes all of it.
    random_state : int or None
        Seed of the initial weights.

    Returns
    -------
    keras.Model
        Flat; from images of shape (n, height, width, 3), 0 to 255, to the
        probability of melanoma, of shape (n, 1).

    Raises
    ------
    WeightsUnavailableError
        If the weights file does not fit the backbone.
    ParameterError
        If a parameter cannot be used.
    UnknownNameError
        If `trainable_from` names no layer of the backbone.
    """
    import keras

    if preprocessing not in PREPROCESSINGS:
        raise ParameterError(f"preprocessing must be one of {', '.join(PREPROCESSINGS)}, got {preprocessing!r}")
    with _seeded_layers(random_state):
        images = keras.Input((*input_size, 3), name=IMAGE, dtype="float32")
        scale = spec.preprocess if preprocessing == "backbone" else keras.layers.Rescaling(1 / 255, name="rescale")
        backbone = _build_backbone(spec, scale(images), weights)
        freeze(backbone, trainable_from)
        features = _apply_head(head, backbone.output)
        score = keras.layers.Dense(1, activation="sigmoid", name=SCORE_LAYER, dtype="float32")(features)
    # Keras refuses a slash, and the folder of stored features takes this name: a preset may be named by its path.
    return keras.Model(images, score, name=re.sub(r"\W+", "_", spec.name.rpartition("/")[2]))


def freeze(backbone: Any, trainable_from: str | None) -> None:
    """Freeze a backbone up to a layer.

    Batch normalisation stays frozen above that layer too: small medical batches
    spoil its statistics, and a layer with ``trainable=False`` runs in inference mode.

    Parameters
    ----------
    backbone : keras.Model
        Changed in place.
    trainable_from : str or None
        First layer that learns; None freezes all.

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    """
    from keras.layers import BatchNormalization

    names = [layer.name for layer in backbone.layers]
    if trainable_from is not None and trainable_from not in names:
        raise UnknownNameError("layer for trainable_from", trainable_from, names, "None freezes the whole backbone.")
    start = len(names) if trainable_from is None else names.index(trainable_from)
    for position, layer in enumerate(backbone.layers):
        layer.trainable = position >= start
        for part in layer._flatten_layers():  # a layer may be made of others
            if isinstance(part, BatchNormalization):
                part.trainable = False


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


def _apply_head(head: Head, features: Any) -> Any:
    from keras import layers

    if callable(head):
        features = head(features)
        if len(features.shape) != 2:
            raise ParameterError(f"the head must return a tensor of shape (n, features), got {tuple(features.shape)}")
        return features
    if head == "pooled":
        return layers.GlobalAveragePooling2D(name="pool")(features)
    if head == "published":
        features = layers.Flatten(name="flatten")(features)
        features = layers.Dense(4096, activation="relu", name="fc1")(features)
        return layers.Dense(4096, activation="relu", name="fc2")(features)
    raise UnknownNameError("head", head, HEADS, "Or pass a function from the feature map to a tensor (n, features).")


@contextmanager
def _seeded_layers(seed: int | None) -> Iterator[None]:
    """Seed what Keras draws the seeds of new layers from, and leave the user's random state as it was."""
    state = random.getstate()
    if seed is not None:
        random.seed(seed)
    try:
        yield
    finally:
        if seed is not None:
            random.setstate(state)
