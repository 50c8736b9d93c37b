"""Feature maps of a backbone: those of named layers, and the last one of each stage."""

from typing import Any, NamedTuple

from melanoma_tl.backbones.spec import BackboneSpec
from melanoma_tl.backbones.tokens import read_tokens
from melanoma_tl.errors import ParameterError, UnknownNameError


class FeatureMap(NamedTuple):
    """A feature map as a head reads it.

    Attributes
    ----------
    name : str
        What layers that pool it are named after.
    maps : KerasTensor of shape (n, height, width, channels)
        The feature map.
    vector : KerasTensor of shape (n, channels) or None, default=None
        What the network itself says of the whole image, such as a class token, if it does.
    """

    name: str
    maps: Any
    vector: Any = None


def last_maps(backbone: Any) -> list[FeatureMap]:
    """Return the last feature map of a backbone, or of each of several side by side.

    Parameters
    ----------
    backbone : keras.Model
        Its network; an output of shape (n, channels) belongs to the map before it.

    Returns
    -------
    list of FeatureMap
        With their vectors.
    """
    maps: list[FeatureMap] = []
    for tensor in backbone.outputs:
        if len(tensor.shape) == 2:
            maps[-1] = maps[-1]._replace(vector=tensor)
        else:
            maps.append(FeatureMap(f"pool_{len(maps) + 1}" if maps else "pool", tensor))
    return maps


def named_maps(spec: BackboneSpec, backbone: Any, chosen: tuple[str, ...]) -> list[FeatureMap]:
    """Return the feature maps that layers of a backbone give.

    Parameters
    ----------
    spec : BackboneSpec
        The backbone.
    backbone : keras.Model
        Its network.
    chosen : tuple of str
        Names of its layers.

    Returns
    -------
    list of FeatureMap
        One for each layer; of a layer that gives tokens, the map that these make, with the class token.

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    ParameterError
        If a layer gives no feature map, or the last one, which is pooled anyway.
    """
    names = [layer.name for layer in backbone.layers]
    maps = []
    for name in chosen:
        if name not in names:
            advice = "feature_layers='stages' takes the last map of each stage of any backbone."
            raise UnknownNameError("layer for feature_layers", name, names, advice)
        tensor = backbone.get_layer(name).output
        if any(tensor is output for output in backbone.outputs):
            raise ParameterError(
                f"feature_layers: {name!r} gives the last feature map, which is pooled anyway: omit it"
            )
        maps.append(_read_map(spec, backbone, tensor, name, f"pool_{name}"))
    return maps


def maps_of_stages(spec: BackboneSpec, backbone: Any) -> list[FeatureMap]:
    """Return the feature map that each stage begins with; that of the last stage the backbone gives.

    The first is that of the layers before the first stage, where there are any: in a transformer, the embedding of the
    patches.

    Parameters
    ----------
    spec : BackboneSpec
        Says where its stages begin.
    backbone : keras.Model
        Its network.

    Returns
    -------
    list of FeatureMap
        What the first layer of each stage is given; of a layer that joins several maps, what it gives.

    Raises
    ------
    UnknownNameError
        If a registered stage is no layer of the backbone.
    ParameterError
        If no stages are registered, or one begins with something other than a feature map.
    """
    import keras

    if not spec.stages:
        raise ParameterError(
            f"feature_layers='stages': no stages are registered for the backbone {spec.name!r}; name its layers, or "
            "register it with stages=(...)"
        )
    maps = []
    for number, name in enumerate(backbone_stages(spec, backbone), 1):
        layer = backbone.get_layer(name)
        given = keras.tree.flatten(layer.input)
        tensor = given[0] if len(given) == 1 else layer.output
        while isinstance(tensor._keras_history.operation, keras.layers.ZeroPadding2D):
            tensor = tensor._keras_history.operation.input
        is_last = any(tensor is output for output in backbone.outputs)
        if tensor.shape[-1] > 3 and not is_last:  # of three channels are the pixels
            maps.append(_read_map(spec, backbone, tensor, name, f"pool_stage_{number}"))
    return maps


def backbone_stages(spec: BackboneSpec, backbone: Any) -> tuple[str, ...]:
    """Return the stages of a backbone, all of which are layers of it.

    Parameters
    ----------
    spec : BackboneSpec
        Says where its stages begin.
    backbone : keras.Model
        The backbone.

    Returns
    -------
    tuple of str
        From the deepest to the shallowest.

    Raises
    ------
    UnknownNameError
        If a registered stage is no layer of the backbone.
    """
    names = [layer.name for layer in backbone.layers]
    for stage in spec.stages:
        if stage not in names:
            raise UnknownNameError(f"stage of the backbone {spec.name!r}", stage, names)
    return spec.stages


def is_feature_map(tensor: Any) -> bool:
    """Return whether a tensor of the graph has channels at more than one position of the image.

    Parameters
    ----------
    tensor : KerasTensor
        The output of a layer; lists of tensors are not feature maps.

    Returns
    -------
    bool
        True for the shape (n, height, width, channels) of known size, except for height and width of 1.
    """
    shape = getattr(tensor, "shape", ())
    return len(shape) == 4 and None not in shape[1:] and shape[1:3] != (1, 1)


def _read_map(spec: BackboneSpec, backbone: Any, tensor: Any, layer: str, name: str) -> FeatureMap:
    """Return a tensor as a feature map, or its tokens as one."""
    is_tokens = len(tensor.shape) == 3 and None not in tensor.shape[1:]
    if is_tokens and spec.part_names:
        raise ParameterError(
            f"feature_layers: {layer!r} of {spec.name!r} gives tokens, whose order is known only where their backbone "
            "stands alone: take head='pooled', which pools the last map of each"
        )
    if is_tokens:
        return FeatureMap(name, *read_tokens(tensor, spec.prefix_tokens, tuple(backbone.inputs[0].shape[1:3]), name))
    if len(tensor.shape) != 4:
        raise ParameterError(
            f"feature_layers: {layer!r} gives no feature map (n, height, width, channels) but {tensor.shape}"
        )
    return FeatureMap(name, tensor)
