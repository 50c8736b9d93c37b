"""Build backbones with their registered builders, and check what these return."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from melanoma_tl._atomic import scratch
from melanoma_tl._keras.copies import copy_layer
from melanoma_tl._parameters import show
from melanoma_tl.backbones.spec import BackboneSpec
from melanoma_tl.backbones.weights import WeightsFile
from melanoma_tl.errors import MelanomaTLError, ParameterError, WeightsUnavailableError, in_one_line

logger = logging.getLogger(__name__)


def scale_pixels(spec: BackboneSpec, images: Any) -> Any:
    """Apply the preprocessing of a backbone.

    Parameters
    ----------
    spec : BackboneSpec
        The backbone.
    images : KerasTensor of shape (n, height, width, 3)
        Raw RGB, 0 to 255.

    Returns
    -------
    KerasTensor
        The input of the backbone.

    Raises
    ------
    ParameterError
        If `preprocess` of the backbone raises an error or returns something other than a tensor of the graph.
    """
    import keras

    # A Keras layer references every network that it was called in; a shared one would keep all of them in memory.
    scale = copy_layer(spec.preprocess) if isinstance(spec.preprocess, keras.Layer) else spec.preprocess
    try:
        scaled = scale(images)
    except Exception as error:  # of a plugin's code
        found = in_one_line(error)
        raise ParameterError(f"preprocess of {spec.name!r} cannot be applied to {images.shape}: {found}") from error
    if not isinstance(scaled, keras.KerasTensor):
        raise ParameterError(f"preprocess of {spec.name!r} must return a tensor of the graph, got {show(scaled)}")
    return scaled


def build_backbone(spec: BackboneSpec, images: Any, weights: WeightsFile | None) -> Any:
    """Build a backbone and check it.

    Parameters
    ----------
    spec : BackboneSpec
        The backbone.
    images : KerasTensor of shape (n, height, width, 3)
        Preprocessed images.
    weights : WeightsFile or None
        Its pre-trained weights; None for random ones.

    Returns
    -------
    keras.Model
        From raw images to the last feature map and, optionally, to a vector for the whole image.

    Raises
    ------
    WeightsUnavailableError
        If the weights file does not fit.
    ParameterError
        If it cannot be built, or the outputs of the network are not a feature map and an optional vector.
    """
    try:
        backbone = spec.builder(images, None if weights is None else weights.path)
    except MelanomaTLError:
        raise
    # Weights that do not fit raise different errors in h5py, Keras and plugins.
    except Exception as error:
        found = in_one_line(error)
        if weights is None:
            raise ParameterError(f"{spec.name!r} cannot be built on images of {images.shape[1:]}: {found}") from error
        build_backbone(spec, images, None)  # raises a ParameterError if the cause is not the weights
        raise WeightsUnavailableError(
            f"{weights.path} does not hold weights for {spec.name!r} without its top ({found})"
        ) from error
    _check_backbone(spec, images, backbone)
    return backbone


def _check_backbone(spec: BackboneSpec, images: Any, backbone: Any) -> None:
    """Raise an error unless a builder returned a network from the images to a feature map and an optional vector."""
    import keras

    n_outputs = len(getattr(backbone, "outputs", None) or ())
    if not isinstance(backbone, keras.Model) or not (1 <= n_outputs <= 2 or spec.part_names):
        found = f"a network of {n_outputs} outputs" if n_outputs else show(backbone)
        raise ParameterError(
            f"the builder of {spec.name!r} must return a keras.Model whose output is a feature map, or a feature map "
            f"and a vector, got {found}"
        )
    if spec.part_names:  # backbones side by side, each of which was checked
        return
    maps, *vectors = (tuple(tensor.shape) for tensor in backbone.outputs)
    if 0 in maps:  # some versions of Keras do not raise an error
        raise ParameterError(f"{spec.name!r} cannot be built on images of {images.shape[1:]}: its output is empty")
    if len(maps) != 4:
        raise ParameterError(
            f"the backbone {spec.name!r} must end in a feature map of shape (n, height, width, channels), "
            f"got the shape {maps}"
        )
    if any(len(shape) != 2 for shape in vectors):
        raise ParameterError(
            f"the second output of the backbone {spec.name!r} must be a vector of shape (n, channels), "
            f"got the shape {vectors[0]}"
        )
    # keras.Model(input_tensor, ...) would copy the graph without the preprocessing.
    if backbone.inputs[0] is not keras.utils.get_source_inputs(images)[0]:
        raise ParameterError(
            f"the backbone {spec.name!r} does not start at the images: its builder must return "
            "keras.Model(keras.utils.get_source_inputs(input_tensor), features)"
        )


def is_third_party(spec: BackboneSpec) -> bool:
    """Return whether the builder of a backbone is not part of this library.

    Parameters
    ----------
    spec : BackboneSpec
        The backbone.

    Returns
    -------
    bool
        False for those of this library.
    """
    return str(getattr(spec.builder, "__module__", "")).partition(".")[0] != __name__.partition(".")[0]


def check_file_is_needed(spec: BackboneSpec, images: Any, weights: WeightsFile) -> None:
    """Raise an error if a builder accepts a file without weights, because it then ignores the file that it is given.

    This detects builders that `check_weights_were_read` cannot detect: those that draw weights without a seed, or
    that read a file of their own.

    Parameters
    ----------
    spec : BackboneSpec
        The backbone.
    images : KerasTensor of shape (n, height, width, 3)
        Preprocessed images.
    weights : WeightsFile
        The weights file; its name is used for the empty file.

    Raises
    ------
    WeightsUnavailableError
        If the builder returns a network with weights.
    """
    with scratch() as folder:
        empty = folder / f"no_{Path(weights.path).name}"  # the suffix may determine the format
        empty.write_bytes(b"no weights")
        try:
            built = spec.builder(images, str(empty))
        except Exception:  # the builder has read the file; the type of the error depends on it
            return
    if getattr(built, "weights", None):
        raise WeightsUnavailableError(
            f"the builder of {spec.name!r} did not read {weights.path}: it also builds a network from a file "
            "that holds no weights; load the weights in the builder, such as with model.load_weights(weights)"
        )


def check_weights_were_read(spec: BackboneSpec, backbone: Any, without: Any, weights: WeightsFile) -> None:
    """Raise an error if the weights of a backbone are the same with and without its weights file.

    Parameters
    ----------
    spec : BackboneSpec
        The backbone.
    backbone, without : keras.Model
        Built with the file and without it, from the same seed.
    weights : WeightsFile
        The file.

    Raises
    ------
    WeightsUnavailableError
        If all weights are equal.
    """
    read, drawn = backbone.get_weights(), without.get_weights()
    if [weight.shape for weight in read] != [weight.shape for weight in drawn]:
        return
    pairs = list(zip(read, drawn, strict=True))
    if pairs and all(np.array_equal(*pair) for pair in pairs):
        raise WeightsUnavailableError(
            f"the builder of {spec.name!r} did not read {weights.path}: with the file and without it the network is "
            "the same; load the weights in the builder, such as with model.load_weights(weights)"
        )


def warn_of_unread_weights(spec: BackboneSpec, backbone: Any, without: Any, weights: WeightsFile) -> None:
    """Warn of weights that a file does not hold, of a builder that has read it.

    Parameters
    ----------
    spec, backbone, without, weights : BackboneSpec, keras.Model, keras.Model and WeightsFile
        As for `check_weights_were_read`, which comes before.
    """
    read, drawn = backbone.get_weights(), without.get_weights()
    if [weight.shape for weight in read] != [weight.shape for weight in drawn]:
        return
    pairs = list(zip(read, drawn, strict=True))
    # Constant or integer weights, such as biases, statistics and positions, may equal their initial values; random
    # ones cannot.
    unread = sum(pair[0].dtype.kind != "i" and np.array_equal(*pair) and np.ptp(pair[0]) > 0 for pair in pairs)
    if unread:
        logger.warning("%s does not hold %d of the %d weights of %r", weights.path, unread, len(pairs), spec.name)
