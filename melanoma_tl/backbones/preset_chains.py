"""Transformers of KerasHub as chains of blocks: each block can be the first that learns, and its tokens be pooled."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from melanoma_tl.backbones.tokens import read_tokens


class Link(NamedTuple):
    """A layer of a network in which each layer reads the one before.

    Attributes
    ----------
    name : str
        What it is called here: the same in every process.
    layer : keras.Layer
        KerasHub's.
    options : dict or None
        What it is called with besides the tensor.
    position : keras.Layer or None
        A rotary position embedding, which it is called with too.
    n_tokens : int or None
        How many tokens it gives, where KerasHub's code leaves that open.
    """

    name: str
    layer: Any
    options: dict[str, int] | None = None
    position: Any = None
    n_tokens: int | None = None


@dataclass(frozen=True)
class Chain:
    """A network in which each layer reads the one before.

    Attributes
    ----------
    links : list of Link
        From the image to the last tokens, or to the last feature map.
    stages : tuple of str
        Links from which on it can be unfrozen, the deepest first.
    prefix_tokens : int
        Tokens before those of the patches; the first of them is the class token.
    pooling : Link or None
        What the network itself makes a vector of its tokens with.
    sizes : {"one", "square", "any"}
        Which images it takes: of the size of the preset, of any square size, or of any size.
    patch_size : int
        Pixels of which the sides of an image must be a multiple, for what is left over is not seen, or not taken.
    """

    links: list[Link]
    stages: tuple[str, ...]
    prefix_tokens: int = 0
    pooling: Link | None = None
    sizes: str = "one"
    patch_size: int = 1


def chain_of(network: Any) -> Chain | None:
    """Take a transformer of KerasHub apart.

    Parameters
    ----------
    network : keras_hub.models.Backbone
        Any.

    Returns
    -------
    Chain or None
        None for a network that is none of the known transformers.
    """
    take_apart = _FAMILIES.get(type(network).__name__)
    return None if take_apart is None else take_apart(network)


def _vit(network: Any) -> Chain:
    embedding, encoder = network.layers[1:]
    return _of_blocks(embedding, encoder.encoder_layers, encoder.layer_norm, int(network.use_class_token))


def _deit(network: Any) -> Chain:
    embedding, encoder = network.layers[1:]
    return _of_blocks(embedding, encoder.encoder_layers, encoder.layer_norm, prefix_tokens=2)


def _dino_v2(network: Any) -> Chain:
    prefix_tokens = 1 + network.num_register_tokens
    chain = _of_blocks(network.embeddings, network.encoder.layers, network.layernorm, prefix_tokens, sizes="square")
    return replace(chain, patch_size=network.patch_size)


def _dino_v3(network: Any) -> Chain:
    prefix_tokens = 1 + network.num_register_tokens
    blocks, positions = network.encoder.layers, network.rope_embedding
    chain = _of_blocks(network.embeddings, blocks, network.layernorm, prefix_tokens, sizes="any")
    height, width = (side // network.patch_size for side in network.image_shape[:2])
    links = [link._replace(n_tokens=prefix_tokens + height * width) for link in chain.links]
    rotary = {"options": {"num_prefix_tokens": prefix_tokens}, "position": positions}
    links = [link._replace(**rotary) if link.layer in blocks else link for link in links]
    return replace(chain, links=links, patch_size=network.patch_size)


def _siglip(network: Any) -> Chain:
    tower = network.vision_encoder
    chain = _of_blocks(tower.embedding, tower.encoder_layers, tower.post_layer_norm, prefix_tokens=0)
    return replace(chain, pooling=Link("attention_pooling", tower.head))


def _of_blocks(embedding: Any, blocks: Any, norm: Any, prefix_tokens: int, sizes: str = "one") -> Chain:
    links = [Link(f"block_{number}", block) for number, block in enumerate(blocks, 1)]
    stages = tuple(link.name for link in reversed(links))
    return Chain([Link("embedding", embedding), *links, Link("norm", norm)], stages, prefix_tokens, sizes=sizes)


def _swin(network: Any) -> Chain:
    (height, width), links = network.stages[0].input_resolution, []
    links.append(Link("embedding", network.patch_embedding, n_tokens=height * width))
    for number, stage in enumerate(network.stages, 1):
        height, width = stage.input_resolution
        for place, block in enumerate(stage.blocks, 1):
            links.append(Link(f"stage_{number}_block_{place}", block, n_tokens=height * width))
        if stage.downsample is not None:
            size, n_tokens = {"H": height, "W": width}, ((height + 1) // 2) * ((width + 1) // 2)
            links.append(Link(f"stage_{number}_merging", stage.downsample, size, n_tokens=n_tokens))
    stages = tuple(f"stage_{number}_block_1" for number in range(len(network.stages), 0, -1))
    smallest = network.patch_size * 2 ** (len(network.stages) - 1)  # each merging halves the sides, which are even
    return Chain([*links, Link("norm", network.norm)], stages, sizes="any", patch_size=smallest)


def _mit(network: Any) -> Chain:
    links: list[Link] = []
    number = 1
    for layer in network.layers[1:]:
        kind = _MIT_NAMES[type(layer).__name__]
        place = sum(link.name.startswith(f"stage_{number}_{kind}") for link in links) + 1
        links.append(Link(f"stage_{number}_{kind}" + f"_{place}" * (kind == "block"), layer))
        number += kind == "map"
    stages = [link.name for link in links if link.name.endswith("_embedding")]
    smallest = math.prod(network.layerwise_strides)  # KerasHub's code finds the sides in whole strides alone
    return Chain(links, tuple(reversed(stages)), sizes="square", patch_size=smallest)


_MIT_NAMES = {
    "OverlappingPatchingAndEmbedding": "embedding",
    "HierarchicalTransformerEncoder": "block",
    "LayerNormalization": "norm",
    "Reshape": "map",
}


def _hgnet_v2(network: Any) -> Chain:
    stages = [Link(f"stage_{number}", stage) for number, stage in enumerate(network.encoder_layer.stages_list, 1)]
    names = tuple(link.name for link in reversed(stages))
    return Chain([Link("stem", network.embedder_layer), *stages], names, sizes="any")


_FAMILIES: dict[str, Callable[[Any], Chain]] = {
    "ViTBackbone": _vit,
    "DeiTBackbone": _deit,
    "DINOV2Backbone": _dino_v2,
    "DINOV3Backbone": _dino_v3,
    "SigLIPBackbone": _siglip,
    "SwinTransformerBackbone": _swin,
    "MiTBackbone": _mit,
    "HGNetV2Backbone": _hgnet_v2,
}


class Grown(NamedTuple):
    """A chain on a tensor.

    Attributes
    ----------
    outputs : list of KerasTensor
        The last feature map, (n, height, width, channels), and where there is one, a vector of the whole image,
        (n, channels).
    as_preset : KerasTensor
        What the preset's own network gives.
    """

    outputs: list[Any]
    as_preset: Any


def grow_chain(chain: Chain, images: Any) -> Grown:
    """Rebuild a chain of layers with the same weights.

    Parameters
    ----------
    chain : Chain
        Stays as it is.
    images : KerasTensor of shape (n, height, width, 3)
        Preprocessed images.

    Returns
    -------
    Grown
        Its outputs.
    """
    image_size = tuple(images.shape[1:3])
    pairs: list[tuple[Any, Any]] = []

    def call(link: Link, tensor: Any) -> Any:
        layer = _make(link, image_size)
        pairs.append((link.layer, layer))
        return layer(tensor)

    tensor = images
    for link in chain.links:
        tensor = call(link, tensor)
    vector = None if chain.pooling is None else call(chain.pooling, tensor)
    for original, made in pairs:
        made.set_weights(_weights_of(original))
    as_preset = tensor if vector is None else vector
    if len(tensor.shape) == 4:
        return Grown([tensor], as_preset)
    maps, class_token = read_tokens(tensor, chain.prefix_tokens, image_size, "map")
    vectors = [one for one in (class_token, vector) if one is not None]
    return Grown([maps, *vectors], as_preset)


def _make(link: Link, image_size: tuple[int, ...]) -> Any:
    """Make a layer once more, without its weights."""
    from melanoma_tl.backbones.preset_layers import MODULES, PresetLayer, RotaryBlock, arguments_of

    kind = type(link.layer).__name__
    if kind not in MODULES:
        return type(link.layer).from_config(link.layer.get_config() | {"name": link.name})
    made: dict[str, Any] = {
        "layer": kind,
        "arguments": arguments_of(link.layer),
        "options": link.options,
        "n_tokens": link.n_tokens,
        "name": link.name,
    }
    if link.position is None:
        return PresetLayer(**made)
    return RotaryBlock(arguments_of(link.position), image_size, **made)


def _weights_of(layer: Any) -> list[Any]:
    """Return the weights of a layer as `PresetLayer` has them: without a mask token, with positions for one size."""
    from keras import ops

    positions = getattr(layer, "interpolated_position_embeddings", None)
    return [
        ops.convert_to_numpy(positions if weight is getattr(layer, "position_embeddings", layer) else weight)
        for weight in layer.weights
        if weight is not getattr(layer, "mask_token", layer)
    ]
