"""Files without the weights of a backbone that may not be given on: they are written and read beside those of Keras.

Such a file has the same parts as any other, but its weights are those of the layers beside the backbone, one array
after the other, and its document has the names of the layers that were left out and the digest of their weights.
"""

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._keras.isolation import seeded_building
from melanoma_tl._parameters import TEXT, listed
from melanoma_tl.backbones.building import build_backbone
from melanoma_tl.backbones.registry import get_backbone
from melanoma_tl.backbones.spec import KERASHUB
from melanoma_tl.backbones.weights import find_weights
from melanoma_tl.errors import ModelFileError, ParameterError
from melanoma_tl.network.graph import scaled_images
from melanoma_tl.saving.document_rules import take

PART = "left_out"
"""Of the document."""

_RULES = {"layers": listed(TEXT, at_least=1), "digest": TEXT}


@dataclass(frozen=True)
class BackboneWeights:
    """The weights of a backbone, as its builder gives them.

    Attributes
    ----------
    layers : mapping of str to list of ndarray
        The weights of each layer that has some, in the order of the layers.
    """

    layers: Mapping[str, list[NDArray[Any]]]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all names, shapes and numbers."""
        found = hashlib.sha256()
        for name, arrays in self.layers.items():
            for array in arrays:
                found.update(f"{name} {array.dtype} {array.shape}\n".encode())
                found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    @property
    def n_numbers(self) -> int:
        """How many numbers there are."""
        return sum(array.size for arrays in self.layers.values() for array in arrays)

    def describe(self) -> dict[str, Any]:
        """Return what a file keeps of them.

        Returns
        -------
        dict
            Part of its document, as JSON can hold it.
        """
        return {"layers": list(self.layers), "digest": self.digest}


@seeded_building(0)
def read_backbone(
    name: str,
    size: tuple[int, int],
    preprocessing: str,
    weights: str | os.PathLike[str],
    layers: Collection[str] | None = None,
) -> BackboneWeights:
    """Read the weights of a backbone from where they are published, or from a file.

    Parameters
    ----------
    name : str
        The backbone.
    size : tuple of int
        (height, width) in pixels that it is built for.
    preprocessing : {"backbone", "rescale"}
        As in `build_network`.
    weights : "imagenet" or path
        As `TransferClassifier` takes them.
    layers : collection of str, optional
        The layers that a file leaves out; by default all but frozen encoders, of which a file holds nothing but their
        vectors of drawn images, that tell another one.

    Returns
    -------
    BackboneWeights
        In the order of the layers; without any where all is a frozen encoder.

    Raises
    ------
    ParameterError
        If a preset is named by a path or an address: which one a file names is not for the file to say.
    WeightsUnavailableError, UnknownNameError
        If there is no such backbone, or no such weights.
    """
    if name.lower().startswith(KERASHUB) and "/" in name:
        raise ParameterError(f"{name!r} is named by its place, so that its weights cannot be left out and found again")
    from melanoma_tl.backbones.encoder_layer import EncoderLayer

    spec = get_backbone(name)
    _, scaled = scaled_images(spec, size, preprocessing)
    backbone = build_backbone(spec, scaled, find_weights(spec, weights))
    if layers is None:
        layers = [layer.name for layer in backbone.layers if not isinstance(layer, EncoderLayer)]
    own = [layer for layer in backbone.layers if layer.weights and layer.name in layers]
    return BackboneWeights({layer.name: layer.get_weights() for layer in own})


def check_unchanged(model: Any, backbone: BackboneWeights) -> None:
    """Check that a network has the weights of a backbone as they are published.

    Parameters
    ----------
    model : keras.Model
        The network.
    backbone : BackboneWeights
        What it started from.

    Raises
    ------
    ModelFileError
        If it was trained further, or its layers have other names.
    """
    own = {layer.name: layer for layer in model.layers}
    absent = [name for name in backbone.layers if name not in own]
    if absent:
        raise ModelFileError(
            f"its layer {absent[0]!r} has another name in each network, so that its weights cannot be left out and put "
            "back: name the layers in the builder"
        )
    for name, arrays in backbone.layers.items():
        found = own[name].get_weights()
        if len(found) != len(arrays) or not all(map(np.array_equal, found, arrays)):
            raise ModelFileError(
                f"its layer {name!r} has other weights than the backbone, which were trained further: they cannot be "
                "left out, for nobody else has them"
            )


def write_weights(model: Any, left_out: Iterable[str], path: Path) -> None:
    """Write the weights of all other layers, in the order of the layers.

    Parameters
    ----------
    model : keras.Model
        The network.
    left_out : iterable of str
        Names of layers.
    path : Path
        A file of HDF5.
    """
    import h5py

    arrays = [array for layer in _others(model, left_out) for array in layer.get_weights()]
    with h5py.File(path, "w") as file:
        for number, array in enumerate(arrays):
            file.create_dataset(f"{number:06}", data=array)


def fill_weights(model: Any, backbone: BackboneWeights, path: Path) -> None:
    """Set the weights of a network: those of its backbone, and those that `write_weights` wrote.

    Parameters
    ----------
    model : keras.Model
        The network, changed in place.
    backbone : BackboneWeights
        What was left out.
    path : Path
        The file of HDF5, checked.

    Raises
    ------
    ModelFileError
        If they do not fit the network.
    """
    import h5py
    from keras.layers import Normalization

    with h5py.File(path, "r") as file:
        arrays = [np.asarray(file[name]) for name in sorted(file)]
    others = _others(model, backbone.layers)
    shapes = [tuple(weight.shape) for layer in others for weight in layer.weights]
    if shapes != [array.shape for array in arrays]:
        raise ModelFileError("refused, its weights are not those of the layers beside its backbone")
    for layer in others:
        own, arrays = arrays[: len(layer.weights)], arrays[len(layer.weights) :]
        layer.set_weights(own)
    for name, weights in backbone.layers.items():
        model.get_layer(name).set_weights(weights)
    for layer in model.layers:
        if isinstance(layer, Normalization):
            layer.finalize_state()  # it computes with constants made of its weights


def check_same(left_out: Mapping[str, Any], backbone: BackboneWeights, name: str) -> None:
    """Check that given weights are those that were left out.

    Parameters
    ----------
    left_out : mapping of str to object
        Part of the document of a file.
    backbone : BackboneWeights
        What was given.
    name : str
        Of the backbone.

    Raises
    ------
    ModelFileError
        If they are others, or the part is incomplete.
    MelanomaTLError
        If the part is no such part.
    """
    kept = take(left_out, _RULES)
    if kept["layers"] != list(backbone.layers) or kept["digest"] != backbone.digest:
        raise ModelFileError(
            f"was made with other weights of {name!r} than those given: their digest is {backbone.digest[:12]}, that "
            f"of the file {kept['digest']!r:.14}"
        )


def _others(model: Any, left_out: Iterable[str]) -> list[Any]:
    names = set(left_out)
    return [layer for layer in model.layers if layer.weights and layer.name not in names]
