"""KerasHub's presets as backbones."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from melanoma_tl._keras.copies import rebuild_with_weights
from melanoma_tl._progress import without_hint_of_widgets
from melanoma_tl.backbones.preset_chains import chain_of, grow_chain
from melanoma_tl.backbones.preset_facts import facts_of_preset
from melanoma_tl.backbones.spec import KERASHUB, BackboneSpec, PresetWeights
from melanoma_tl.errors import (
    MelanomaTLError,
    MissingPackageError,
    ParameterError,
    UnknownNameError,
    WeightsUnavailableError,
    in_one_line,
)


@lru_cache(maxsize=32)
def describe_preset(preset: str) -> BackboneSpec:
    """Make the entry of a preset, from its configuration alone, which is read once a process.

    Parameters
    ----------
    preset : str
        One of ``keras_hub.models.Backbone.presets``, a handle such as
        ``"hf://user/name"``, or the path of a folder that ``save_to_preset`` wrote.

    Returns
    -------
    BackboneSpec
        It expects pixels as the preset's ``ImageConverter`` makes them; its stages begin after
        the feature maps that the preset names. "imagenet" stands for the preset's own weights.

    Raises
    ------
    MissingPackageError
        If keras-hub is not installed.
    UnknownNameError
        If there is no such preset.
    WeightsUnavailableError
        If it cannot be fetched.
    ParameterError
        If the preset cannot be read, or is not of a network that turns images into one feature map.
    """
    name = f"{KERASHUB}{preset}"
    hub = import_hub(f"the backbone {name!r}")
    try:
        converter = hub.layers.ImageConverter.from_preset(preset)
        with _quietly():
            backbone = hub.models.Backbone.from_preset(preset, load_weights=False)
    # What is raised depends on where the preset is kept: on Kaggle, on Hugging Face, or in a folder.
    except Exception as error:
        raise _explain(hub, preset, error) from error
    chain = chain_of(backbone)
    if chain is None and (len(backbone.inputs) != 1 or len(backbone.outputs) != 1):
        raise ParameterError(
            f"{name!r} is a {type(backbone).__name__} with {len(backbone.inputs)} inputs and {len(backbone.outputs)} "
            "outputs; a backbone turns an image into one feature map. Its image encoder may be a preset of its own"
        )
    height, width = converter.image_size or _image_shape(backbone)[:2]
    facts = facts_of_preset(preset, hub.models.Backbone.presets)
    return BackboneSpec(
        name,
        _PresetBuilder(preset, 0 if chain is None or chain.sizes == "one" else chain.patch_size),
        _Converter(converter.scale, converter.offset),
        (height or 224, width or 224),
        PresetWeights(name),
        stages=_find_stages(backbone) if chain is None else chain.stages,
        license=facts.license,
        source=f"KerasHub's preset {preset}",
        parameters=backbone.count_params(),
        image_sizes=_sizes_of(backbone) if chain is None else chain.sizes,
        prefix_tokens=0 if chain is None else chain.prefix_tokens,
        pretrained_on=facts.pretrained_on,
        may_redistribute=facts.may_redistribute,
        references=facts.references,
        size_multiple=1 if chain is None else chain.patch_size,
    )


class _PresetBuilder:
    """Builds the backbone of a preset.

    Parameters
    ----------
    preset : str
        Its name or path.
    multiple : int
        Of which the sides of images are, where it is built for their size; 0 where it is for any, or for its own.
    """

    def __init__(self, preset: str, multiple: int) -> None:
        self.preset, self.multiple = preset, multiple

    def __call__(self, input_tensor: Any, weights: str | None) -> Any:
        """Build it flat, on a tensor of preprocessed images."""
        import keras

        self._check_size(tuple(input_tensor.shape[1:3]))
        own = weights == f"{KERASHUB}{self.preset}"
        backbone = self._load(tuple(input_tensor.shape[1:]), own)
        if weights is not None and not own:
            backbone.load_weights(weights)
        source, chain = keras.utils.get_source_inputs(input_tensor), chain_of(backbone)
        if chain is None:
            return keras.Model(source, rebuild_with_weights(backbone, _make_again, input_tensor))
        grown = grow_chain(chain, input_tensor)
        _compare(backbone, keras.Function([input_tensor], grown.as_preset), self.preset)
        return keras.Model(source, grown.outputs if len(grown.outputs) > 1 else grown.outputs[0])

    def _check_size(self, size: tuple[int, int]) -> None:
        if self.multiple and any(side % self.multiple for side in size):
            fitting = tuple(max(side // self.multiple, 1) * self.multiple for side in size)
            raise ParameterError(
                f"{KERASHUB}{self.preset} divides images into patches of {self.multiple} pixels, and does not take "
                f"{size[0]}x{size[1]}: set input_size={fitting}, or another multiple"
            )

    def _load(self, shape: tuple[int, ...], with_weights: bool) -> Any:
        hub = import_hub(f"the backbone {KERASHUB + self.preset!r}")
        changes = {"image_shape": shape} if self.multiple else {}
        with _quietly():
            backbone = hub.models.Backbone.from_preset(self.preset, load_weights=with_weights, **changes)
        expected = _image_shape(backbone)
        if None not in expected and expected != shape:
            height, width, _ = expected
            raise ParameterError(
                f"{KERASHUB}{self.preset} takes images of {height}x{width} pixels and no others: set "
                f"input_size=({height}, {width}), or None"
            )
        return backbone


@contextmanager
def _quietly() -> Iterator[None]:
    """Ignore warnings about code of KerasHub, such as the attention of Swin, which calls something else a mask."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _image_shape(network: Any) -> tuple[int | None, ...]:
    return tuple(getattr(network, "vision_encoder", network).inputs[0].shape[1:])


def _sizes_of(network: Any) -> str:
    return "any" if None in _image_shape(network) else "one"


def _compare(network: Any, built: Any, preset: str) -> None:
    """Raise an error if a rebuilt network gives other outputs than the network that its layers come from."""
    import keras
    from keras import ops

    network = getattr(network, "vision_encoder", network)
    last = list(network.output.values())[-1] if isinstance(network.output, dict) else network.output
    images = np.random.default_rng(0).normal(size=(1, *built.inputs[0].shape[1:])).astype(np.float32)
    with _quietly():
        whole = keras.Function(network.inputs, last)([images])
    expected, got = ops.convert_to_numpy(whole), ops.convert_to_numpy(built([images]))
    if not np.allclose(got, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max()):
        raise ParameterError(
            f"KerasHub's preset {preset!r} cannot be taken apart into its blocks: these give other features than the "
            "whole, as KerasHub of this version builds it"
        )


def _make_again(operation: Any) -> Any:
    return type(operation).from_config(operation.get_config())


class _Converter:
    """Scales pixels as a preset expects them.

    Parameters
    ----------
    scale, offset : float, sequence of float or None
        What its ``ImageConverter`` multiplies with and adds, for all channels or for each.
    """

    def __init__(self, scale: Any, offset: Any) -> None:
        self.scale = 1.0 if scale is None else _plain(scale)
        self.offset = 0.0 if offset is None else _plain(offset)

    def __call__(self, images: Any) -> Any:
        """Add a layer that does so."""
        from keras import layers

        return layers.Rescaling(self.scale, offset=self.offset, name="convert")(images)


def _plain(values: Any) -> float | list[float]:
    return [float(value) for value in values] if hasattr(values, "__len__") else float(values)


def import_hub(what: str) -> Any:
    """Import KerasHub.

    Parameters
    ----------
    what : str
        What needs it, for the error.

    Returns
    -------
    module
        ``keras_hub``.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    try:
        with without_hint_of_widgets():
            import keras_hub
    except ImportError as error:
        raise MissingPackageError(f"{what} needs KerasHub: pip install keras-hub ({error})") from error
    return keras_hub


def _explain(hub: Any, preset: str, error: Exception) -> MelanomaTLError:
    """Return an error with the reason: unknown preset, not for images, not downloaded, or incomplete."""
    known = hub.layers.ImageConverter.presets
    preset_name, found = f"KerasHub's preset {preset!r}", in_one_line(error).partition(": ")[2].rstrip(".")
    if preset in hub.models.Backbone.presets.keys() - known.keys() or "compatible with" in found:
        return ParameterError(
            f"{preset_name} is of a network for which KerasHub has no ImageConverter, or not the one that is there: "
            "the network takes no images, or is a part of another one"
        )
    if preset not in known and "/" not in preset:
        return UnknownNameError(
            "preset of KerasHub", preset, known, "A folder is given by its path: 'kerashub:/path' or 'kerashub:./path'."
        )
    if isinstance(error, OSError) and not Path(preset).exists():  # as errors of Kaggle and of Hugging Face are
        return WeightsUnavailableError(
            f"{preset_name} could not be fetched ({found}). If its page requires an agreement, accept it and "
            "log in with kagglehub or huggingface_hub; without network, fetch it elsewhere and give the path of "
            "its folder"
        )
    return ParameterError(
        f"{preset_name} cannot be used: {found}. It needs a backbone and an ImageConverter, each written "
        "by its save_to_preset"
    )


def _find_stages(backbone: Any) -> tuple[str, ...]:
    """Name the layers that give the feature maps of each resolution but the last, the smallest first."""
    pyramid = getattr(backbone, "pyramid_outputs", {})
    maps = sorted(pyramid.items(), key=lambda item: int(item[0][1:]), reverse=True)
    return tuple(tensor._keras_history.operation.name for _, tensor in maps[1:])
