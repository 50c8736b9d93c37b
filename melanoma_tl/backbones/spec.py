"""What a backbone is: how it is built, what it expects of pixels, and where its weights come from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

KERASHUB = "kerashub:"
"""What the names of KerasHub's presets begin with."""

SEPARATOR = "+"
"""Between the names of backbones that stand side by side."""


@dataclass(frozen=True)
class PretrainedWeights:
    """Where the ImageNet weights of a backbone come from.

    Attributes
    ----------
    file_names : tuple of str
        Names under which the file is looked for; the first is its official one.
    url : str
        Where it is downloaded from.
    file_hash : str or None
        MD5 or SHA-256 of the official file, in hexadecimal; None where nobody publishes one.
    """

    file_names: tuple[str, ...]
    url: str
    file_hash: str | None


@dataclass(frozen=True)
class PresetWeights:
    """Weights that a preset brings along, fetched by the library that it belongs to.

    Attributes
    ----------
    name : str
        The name of the backbone, by which its builder knows them.
    """

    name: str


@dataclass(frozen=True)
class EncoderIdentity:
    """What tells a frozen encoder from others.

    Attributes
    ----------
    name : str
        Under which it is registered.
    digest : str
        SHA-256 of everything that decides what it gives, in hexadecimal.
    kind : str
        What it is, such as "ONNX file panderm.onnx".
    """

    name: str
    digest: str
    kind: str


@dataclass(frozen=True)
class PartWeights:
    """The weights of several backbones side by side: each has its own.

    Attributes
    ----------
    names : tuple of str
        The backbones.
    """

    names: tuple[str, ...]


@dataclass(frozen=True)
class BackboneSpec:
    """A network without its classifier, ready to be built.

    Attributes
    ----------
    name : str
        Under which users ask for it.
    builder : callable
        ``builder(input_tensor, weights)`` returns a flat ``keras.Model`` from the
        source of the given tensor to the last feature map, of shape (n, h, w,
        channels), and where it has one, such as a class token, to a vector of the whole image, of shape
        (n, channels), as its second output; of several networks side by side, to those of each in turn.
        `weights` is the path of a file, or None for random ones.
    preprocess : callable
        Turns a symbolic tensor of raw RGB, 0 to 255, into what the pre-trained
        weights expect, with Keras operations only, so that the graph reloads.
    input_size : tuple of int
        Default (height, width) in pixels.
    weights : PretrainedWeights, PresetWeights, EncoderIdentity, PartWeights or None
        What ``weights="imagenet"`` loads; None if there are none.
    stages : tuple of str
        Layers from which on it can be unfrozen, from the deepest, nearest to the output, to
        the shallowest: where each resolution begins. Their names are the same in every process.
    last_convolution : str or None
        Layer whose output Grad-CAM reads; None for the layer that gives the last feature map.
    pooling : {"avg", "max", "avg_max", "log_center"}
        How its last feature map is best turned into features.
    license : str
        Under which terms its weights are given; empty where that is not known.
    source : str
        The paper, and where the weights come from.
    parameters : int or None
        Number of its weights; None if nobody has counted them.
    image_sizes : {"any", "square", "one"}
        Which images it can be built for: of any size, of any square size, or of `input_size` alone.
    prefix_tokens : int
        Of a transformer, the tokens before those of the patches, of which the first is the class token.
    pretrained_on : str
        The images that its weights were trained on, such as "ImageNet-1k (ILSVRC 2012)"; empty where that is not known.
    may_redistribute : bool or None
        Whether its weights may be given to others: True where the license asks for no more than a notice, False where
        it forbids that, or binds whoever receives them to its own terms; None where it is not known.
    references : tuple of str
        Addresses of the pages that state these facts.
    size_multiple : int
        Pixels of which the sides of images must be a multiple, such as the side of a patch; 1 where any will do.
    """

    name: str
    builder: Callable[..., Any]
    preprocess: Callable[[Any], Any]
    input_size: tuple[int, int]
    weights: PretrainedWeights | PresetWeights | EncoderIdentity | PartWeights | None = None
    stages: tuple[str, ...] = ()
    last_convolution: str | None = None
    pooling: str = "avg"
    license: str = ""
    source: str = ""
    parameters: int | None = None
    image_sizes: str = "any"
    prefix_tokens: int = 0
    pretrained_on: str = ""
    may_redistribute: bool | None = None
    references: tuple[str, ...] = ()
    size_multiple: int = 1

    @property
    def part_names(self) -> tuple[str, ...]:
        """The backbones that stand side by side in this one; empty where it is one alone."""
        return self.weights.names if isinstance(self.weights, PartWeights) else ()
