"""The table of backbones and the only ways into it."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from melanoma_tl.errors import DuplicateNameError, UnknownNameError


@dataclass(frozen=True)
class PretrainedWeights:
    """Where the ImageNet weights of a backbone come from.

    Attributes
    ----------
    file_names : tuple of str
        Names under which the file is looked for; the first is its official one.
    url : str
        Where it is downloaded from.
    md5 : str
        MD5 of the official file, in hexadecimal.
    licence : str
        Under which terms and by whom the weights are given.
    """

    file_names: tuple[str, ...]
    url: str
    md5: str
    licence: str


@dataclass(frozen=True)
class BackboneSpec:
    """A convolutional network without its classifier, ready to be built.

    Attributes
    ----------
    name : str
        Under which users ask for it.
    builder : callable
        ``builder(input_tensor, weights)`` returns a flat ``keras.Model`` from the
        source of the given tensor to the last feature map, of shape (n, h, w,
        channels). `weights` is the path of a file, or None for random ones.
    preprocess : callable
        Turns a symbolic tensor of raw RGB, 0 to 255, into what the pre-trained
        weights expect, with Keras operations only, so that the graph reloads.
    input_size : tuple of int
        Default (height, width) in pixels.
    weights : PretrainedWeights or None
        Its ImageNet weights; None if there are none.
    stages : tuple of str
        First layer of each stage, the last stage first.
    """

    name: str
    builder: Callable[..., Any]
    preprocess: Callable[[Any], Any]
    input_size: tuple[int, int]
    weights: PretrainedWeights | None
    stages: tuple[str, ...] = ()


_BACKBONES: dict[str, BackboneSpec] = {}


def register_backbone(
    name: str,
    *,
    preprocess: Callable[[Any], Any],
    input_size: tuple[int, int] = (224, 224),
    weights: PretrainedWeights | None = None,
    stages: tuple[str, ...] = (),
    overwrite: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that builds a backbone.

    Parameters
    ----------
    name : str
        Under which users ask for it; not case-sensitive.
    preprocess : callable
        Turns a symbolic tensor of raw RGB, 0 to 255, into what the backbone
        expects, with Keras operations or layers (never a ``Lambda``).
    input_size : tuple of int, default=(224, 224)
        Default (height, width) in pixels.
    weights : PretrainedWeights, optional
        What ``weights="imagenet"`` loads.
    overwrite : bool, default=False
        Replace a backbone of the same name.

    Returns
    -------
    callable
        A decorator for ``builder(input_tensor, weights) -> keras.Model``, which
        returns the function unchanged.

    Raises
    ------
    DuplicateNameError
        If the name is taken and `overwrite` is False.

    Examples
    --------
    >>> import keras
    >>> @register_backbone("one_convolution", preprocess=keras.layers.Rescaling(1 / 255), overwrite=True)
    ... def one_convolution(input_tensor, weights):
    ...     features = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(input_tensor)
    ...     return keras.Model(keras.utils.get_source_inputs(input_tensor), features)
    """

    def register(builder: Callable[..., Any]) -> Callable[..., Any]:
        key = name.lower()
        if key in _BACKBONES and not overwrite:
            raise DuplicateNameError(
                f"the backbone {name!r} is registered already, by {_BACKBONES[key].builder.__module__}; "
                "choose another name, or pass overwrite=True to replace it"
            )
        _BACKBONES[key] = BackboneSpec(key, builder, preprocess, input_size, weights, stages)
        return builder

    return register


def get_backbone(name: str) -> BackboneSpec:
    """Look up a backbone.

    Parameters
    ----------
    name : str
        Its name; not case-sensitive.

    Returns
    -------
    BackboneSpec
        Its entry in the table.

    Raises
    ------
    UnknownNameError
        If there is none; the message names the nearest match, all backbones, and how to add one.
    """
    try:
        return _BACKBONES[str(name).lower()]
    except KeyError:
        raise UnknownNameError(
            "backbone", name, _BACKBONES, "Add your own with melanoma_tl.register_backbone."
        ) from None


def list_backbones(pattern: str = "*") -> list[str]:
    """List the names of the registered backbones.

    Parameters
    ----------
    pattern : str, default="*"
        Shell-style pattern; not case-sensitive.

    Returns
    -------
    list of str
        Sorted.

    Examples
    --------
    >>> list_backbones("vgg*")
    ['vgg16', 'vgg19']
    """
    return sorted(name for name in _BACKBONES if fnmatch(name, pattern.lower()))
