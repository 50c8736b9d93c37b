"""Build a backbone, whoever wrote its builder, and check that it is one."""

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
        What the backbone is shown.

    Raises
    ------
    ParameterError
        If `preprocess` of the backbone cannot be used.
    """
    import keras

    # A layer knows every network that it was called in, and would keep them all alive.
    scale = copy_layer(spec.preprocess) if isinstance(spec.preprocess, keras.Layer) else spec.preprocess
    try:
        scaled = scale(images)
    except Exception as error:  # the code of a plugin
        found = in_one_line(error)
        raise ParameterError(f"preprocess of {spec.name!r} cannot be applied to {images.shape}: {found}") from error
    if not isinstance(scaled, keras.KerasTensor):
        raise ParameterError(f"preprocess of {spec.name!r} must return a tensor of the graph, got {show(scaled)}")
    return scaled


def build_backbone(spec: BackboneSpec, images: Any, weights: WeightsFile | None) -> Any:
    """Let the builder of a backbone build it, and check what it gives.

    Parameters
    ----------
    spec : BackboneSpec
        The backbone.
    images : KerasTensor of shape (n, height, width, 3)
        Preprocessed images.
    weights : WeightsFile or None
        Its weights; None for random ones.

    Returns
    -------
    keras.Model
        From the source of the images to the last feature map, and to a vector of the whole image if it gives one.

    Raises
    ------
    WeightsUnavailableError
        If the weights file does not fit.
    ParameterError
        If it cannot be built, or is no network from the images to one feature map.
    """
    try:
        backbone = spec.builder(images, None if weights is None else weights.path)
    except MelanomaTLError:
        raise
    # What does not fit raises errors that depend on where h5py, Keras or the code of a plugin notices.
    except Exception as error:
        found = in_one_line(error)
        if weights is None:
            raise ParameterError(f"{spec.name!r} cannot be built on images of {images.shape[1:]}: {found}") from error
        build_backbone(spec, images, None)  # says so if it is not the weights that do not fit
        raise WeightsUnavailableError(
            f"{weights.path} does not hold weights for {spec.name!r} without its top ({found})"
        ) from error
    _check_backbone(spec, images, backbone)
    return backbone


def _check_backbone(spec: BackboneSpec, images: Any, backbone: Any) -> None:
    """Stop where a builder gives anything but one feature map of the images."""
    import keras

    n_outputs = len(getattr(backbone, "outputs", None) or ())
    if not isinstance(backbone, keras.Model) or not (1 <= n_outputs <= 2 or spec.part_names):
        found = f"a network of {n_outputs} outputs" if n_outputs else show(backbone)
        raise ParameterError(
            f"the builder of {spec.name!r} must return a keras.Model whose output is a feature map, or a feature map "
            f"and a vector, got {found}"
        )
    if spec.part_names:  # each of them was checked
        return
    maps, *vectors = (tuple(tensor.shape) for tensor in backbone.outputs)
    if 0 in maps:  # what Keras lets pass in some versions
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
    # A model that starts at the tensor itself has copied its graph and left the preprocessing behind.
    if backbone.inputs[0] is not keras.utils.get_source_inputs(images)[0]:
        raise ParameterError(
            f"the backbone {spec.name!r} does not start at the images: its builder must return "
            "keras.Model(keras.utils.get_source_inputs(input_tensor), features)"
        )


def is_foreign(spec: BackboneSpec) -> bool:
    """Return whether the builder of a backbone comes from elsewhere, so that nobody knows what it does.

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
    """Stop at a builder that builds from a file that holds no weights: it cannot have read the one that was named.

    Weights that it draws unseeded, or reads from a file of its own, differ from those of a network without a file, so
    that `check_weights_were_read` takes them for those of the file.

    Parameters
    ----------
    spec : BackboneSpec
        The backbone.
    images : KerasTensor of shape (n, height, width, 3)
        Preprocessed images.
    weights : WeightsFile
        The file that was named.

    Raises
    ------
    WeightsUnavailableError
        If it builds a network with weights.
    """
    with scratch() as folder:
        empty = folder / f"no_{Path(weights.path).name}"  # the suffix may say how to read it
        empty.write_bytes(b"no weights")
        try:
            built = spec.builder(images, str(empty))
        except Exception:  # it was read, and found to hold none; which error that is depends on the builder
            return
    if getattr(built, "weights", None):
        raise WeightsUnavailableError(
            f"the builder of {spec.name!r} did not read {weights.path}: it builds a network all the same from a file "
            "that holds no weights; load it in the builder, such as with model.load_weights(weights)"
        )


def check_weights_were_read(spec: BackboneSpec, backbone: Any, without: Any, weights: WeightsFile) -> None:
    """Compare a backbone with the same one without its weights file.

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
        If all weights are the same.
    """
    read, drawn = backbone.get_weights(), without.get_weights()
    if [weight.shape for weight in read] != [weight.shape for weight in drawn]:
        return
    pairs = list(zip(read, drawn, strict=True))
    if pairs and all(np.array_equal(*pair) for pair in pairs):
        raise WeightsUnavailableError(
            f"the builder of {spec.name!r} did not read {weights.path}: with the file and without it the network is "
            "the same; load it in the builder, such as with model.load_weights(weights)"
        )
    # Biases, statistics and integers, such as positions, may well be what they begin as; what is drawn is not.
    unread = sum(pair[0].dtype.kind != "i" and np.array_equal(*pair) and np.ptp(pair[0]) > 0 for pair in pairs)
    if unread:
        logger.warning("%s does not hold %d of the %d weights of %r", weights.path, unread, len(pairs), spec.name)
