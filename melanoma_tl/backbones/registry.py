"""The table of backbones and the only ways into it."""

import inspect
import multiprocessing
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from melanoma_tl._parameters import TEXT, checked, show
from melanoma_tl.backbones.encoder import FrozenEncoder, is_same
from melanoma_tl.backbones.plugins import GROUP, load_plugins
from melanoma_tl.backbones.preprocessing import keep_pixels
from melanoma_tl.backbones.spec import KERASHUB, SEPARATOR, BackboneSpec, EncoderIdentity, PretrainedWeights
from melanoma_tl.errors import DuplicateNameError, MelanomaTLError, ParameterError, UnknownNameError

_BACKBONES: dict[str, BackboneSpec] = {}

_REGISTERED_BY: dict[str, str] = {}
"""Modules that registered encoders, whose builders are all of this package."""


def register_backbone(
    name: str,
    *,
    preprocess: Callable[[Any], Any],
    input_size: tuple[int, int] = (224, 224),
    weights: PretrainedWeights | EncoderIdentity | None = None,
    stages: Sequence[str] = (),
    last_convolution: str | None = None,
    pooling: str = "avg",
    license: str = "",
    source: str = "",
    parameters: int | None = None,
    pretrained_on: str = "",
    may_redistribute: bool | None = None,
    references: Sequence[str] = (),
    overwrite: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that builds a backbone.

    `melanoma_tl.testing.check_backbone` tells whether the backbone keeps to the contract.

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
    stages : sequence of str, default=()
        Layers from which on it can be unfrozen, from the deepest to the shallowest.
    last_convolution : str or None, default=None
        Layer whose output Grad-CAM reads; None for the layer that gives the last feature map.
    pooling : {"avg", "max", "avg_max", "log_center"}, default="avg"
        How its last feature map is best turned into features.
    license : str, default=""
        Under which terms its weights are given.
    source : str, default=""
        The paper, and where the weights come from.
    parameters : int or None, default=None
        Number of its weights.
    pretrained_on : str, default=""
        The images that its weights were trained on, such as "PanDerm" or "HAM10000". A report warns where `CORPORA`
        knows by this name that images of the test set's source are among them.
    may_redistribute : bool or None, default=None
        Whether its weights may be given to others; False also where only under terms that bind whoever receives them.
    references : sequence of str, default=()
        Addresses of the pages that state these facts.
    overwrite : bool, default=False
        Replace a backbone of the same name.

    Returns
    -------
    callable
        A decorator for ``builder(input_tensor, weights) -> keras.Model``, which
        returns the function unchanged. It is called for every network, and makes new layers each time.

    Raises
    ------
    DuplicateNameError
        If the name is taken and `overwrite` is False, or is another spelling of a name that is taken.
    ParameterError
        If the name has a "+", a line break, or spaces at its ends.

    Examples
    --------
    >>> import keras
    >>> @register_backbone("one_convolution", preprocess=keras.layers.Rescaling(1 / 255), overwrite=True)
    ... def one_convolution(input_tensor, weights):
    ...     features = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(input_tensor)
    ...     model = keras.Model(keras.utils.get_source_inputs(input_tensor), features)
    ...     if weights is not None:
    ...         model.load_weights(weights)
    ...     return model
    """

    def register(builder: Callable[..., Any]) -> Callable[..., Any]:
        key = _key_of(name)
        if key.startswith(KERASHUB):
            raise DuplicateNameError(f"{name!r}: names that begin with {KERASHUB!r} are those of KerasHub's presets")
        if key in _BACKBONES and not overwrite:
            raise DuplicateNameError(
                f"the backbone {name!r} is registered already, by {_registered_by(_BACKBONES[key])}; "
                "choose another name, or pass overwrite=True to replace it"
            )
        _BACKBONES[key] = BackboneSpec(
            key,
            builder,
            preprocess,
            input_size,
            weights,
            tuple(stages),
            last_convolution,
            pooling,
            license,
            source,
            parameters,
            pretrained_on=pretrained_on,
            may_redistribute=may_redistribute,
            references=tuple(references),
        )
        return builder

    return register


def _key_of(name: str) -> str:
    """Return the name under which a backbone is kept, if `get_backbone` would find this one by it."""
    key = name.lower()
    if not key or key != key.strip() or not key.isprintable() or SEPARATOR in key:
        raise ParameterError(
            f"name must be a text of one line without {SEPARATOR!r}, which stands between several backbones, and "
            f"without spaces at its ends, got {show(name)}"
        )
    twin = next((other for other in _BACKBONES if other != key and _plain(other) == _plain(key)), None)
    if twin is not None:
        raise DuplicateNameError(
            f"{name!r} is read as another spelling of the backbone {twin!r}, which is registered already: choose "
            "another name"
        )
    return key


def _plain(key: str) -> str:
    """Return a name without dashes and underscores, which are passed over."""
    return re.sub("[-_]", "", key)


@checked(name=TEXT)
def register_encoder(name: str, encoder: FrozenEncoder, *, overwrite: bool = False) -> None:
    """Register a frozen encoder as a backbone.

    Where a model that was trained with it is loaded, in another process too, the same encoder must be registered.

    Parameters
    ----------
    name : str
        Under which users ask for it; not case-sensitive.
    encoder : FrozenEncoder
        The encoder.
    overwrite : bool, default=False
        Replace a backbone of the same name.

    Raises
    ------
    DuplicateNameError
        If the name is taken by something else and `overwrite` is False; or, in any case, if an encoder that gives other
        vectors is registered with the same digest.
    ParameterError
        If the name has a slash, a "+", a line break, or spaces at its ends, or `encoder` is no FrozenEncoder.

    Examples
    --------
    >>> def mean_colour(images):
    ...     return images.mean(axis=(1, 2)) / 255
    >>> encoder = FrozenEncoder(mean_colour, digest="mean colour, version 1", input_size=(32, 32))
    >>> register_encoder("mean colour", encoder)
    >>> "mean colour" in list_backbones()
    True
    """
    from melanoma_tl.backbones.encoder_layer import ENCODERS, build_encoder

    if not isinstance(encoder, FrozenEncoder):
        raise ParameterError(f"encoder must be a FrozenEncoder, got {show(encoder)}")
    if re.search(r"[/\\]", name):
        raise ParameterError(f"name must be a text without slashes, got {show(name)}")
    key = _key_of(name)
    known, same = ENCODERS.get(encoder.digest, (key, encoder))
    if not is_same(same.reference, encoder.reference):
        raise DuplicateNameError(
            f"the encoder {known!r} is registered with the same digest, and gives other vectors for the same images: "
            "change the digest of FrozenEncoder whenever the vectors change"
        )
    present = _BACKBONES.get(key)
    identity = EncoderIdentity(key, encoder.digest, encoder.kind)
    register_backbone(
        key,
        preprocess=keep_pixels,
        input_size=encoder.input_size,
        weights=identity,
        license=encoder.license,
        source=encoder.source,
        pretrained_on=encoder.pretrained_on,
        may_redistribute=encoder.may_redistribute,
        overwrite=overwrite or (present is not None and present.weights == identity),
    )(build_encoder(key, encoder))
    _REGISTERED_BY[key] = _name_caller()
    _BACKBONES[key] = replace(_BACKBONES[key], image_sizes="one")
    ENCODERS[encoder.digest] = key, encoder


def _registered_by(spec: BackboneSpec) -> str:
    module = spec.builder.__module__
    return _REGISTERED_BY.get(spec.name, module) if isinstance(spec.weights, EncoderIdentity) else module


def _name_caller() -> str:
    """Return the module that called this package."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__.partition(".")[0]:
        frame = frame.f_back
    return frame.f_globals.get("__name__", "?") if frame is not None else "?"


@checked(name=TEXT)
def get_backbone(name: str) -> BackboneSpec:
    """Look up a backbone.

    The first look-up loads the backbones of other packages, which name the module that
    registers them in the entry-point group ``melanoma_tl.backbones``.

    Parameters
    ----------
    name : str
        Its name, not case-sensitive; dashes and underscores as in ``"efficientnet_b0"`` are passed over, since
        torchvision and timm have them. Or ``"kerashub:"`` and one of KerasHub's presets, such
        as ``"kerashub:resnet_18_imagenet"``, or the path of a folder that holds one. Or several of them with "+"
        between, such as ``"vgg19+vgg16"``: their features stand side by side.

    Returns
    -------
    BackboneSpec
        Its entry in the table.

    Raises
    ------
    UnknownNameError
        If there is none; the message names the nearest match, all backbones, and how to add one.
    MissingPackageError
        If a preset is asked for, and keras-hub is not installed.
    ParameterError
        If a preset cannot be used.
    """
    key = str(name).lower()
    if key.startswith(KERASHUB) and (SEPARATOR not in key or Path(str(name)[len(KERASHUB) :]).exists()):
        from melanoma_tl.backbones.kerashub import describe_preset

        return describe_preset(str(name)[len(KERASHUB) :])
    _find_plugins()
    for spelling in (key, _plain(key)):
        if spelling in _BACKBONES:
            return _BACKBONES[spelling]
    if len(parts := [part.strip() for part in str(name).split(SEPARATOR)]) > 1:
        from melanoma_tl.backbones.side_by_side import join

        if not all(parts):
            raise ParameterError(f"backbone={name!r} lacks a name beside {SEPARATOR!r}")
        return join([get_backbone(part) for part in parts])
    raise UnknownNameError("backbone", name, _BACKBONES, _how_to_add())


def _how_to_add() -> str:
    if multiprocessing.parent_process() is None:
        return "Add your own with melanoma_tl.register_backbone."
    return (
        "This is a worker process, which has not run your script, nor what it registered: put "
        "melanoma_tl.register_backbone into a module that a package names in its entry-point group "
        f"{GROUP!r}, which every process finds, or compute in one process (n_jobs=1)."
    )


def is_backbone(name: str) -> bool:
    """Return whether `get_backbone` finds a backbone.

    Parameters
    ----------
    name : str
        Its name; not case-sensitive.

    Returns
    -------
    bool
        False too for a preset of KerasHub that cannot be used, or without keras-hub.

    Examples
    --------
    >>> is_backbone("VGG19"), is_backbone("vgg91")
    (True, False)
    """
    try:
        get_backbone(name)
    except MelanomaTLError:
        return False
    return True


@checked(pattern=TEXT)
def list_backbones(pattern: str = "*") -> list[str]:
    """List the names of the registered backbones.

    KerasHub's presets are not among them: ``keras_hub.models.Backbone.presets`` lists these.

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
    _find_plugins()
    return sorted(name for name in _BACKBONES if fnmatch(name, pattern.lower()))


@cache
def _find_plugins() -> None:
    """Load the plugins when backbones are first asked for: importing the library imports nobody else's code."""
    load_plugins(_BACKBONES)
