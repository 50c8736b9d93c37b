"""Layers of KerasHub's transformers in a form that Keras can save and make again.

Keras writes a layer into a file as what its ``get_config`` returns, and makes it again by calling its class with that.
Many of KerasHub's blocks return entries that their ``__init__`` does not take, or leave out some that it needs. A
`PresetLayer` keeps what their ``__init__`` takes.
"""

import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from melanoma_tl.errors import UnknownNameError

_FAMILIES = {
    "vit": ("vit_layers", ("ViTPatchingAndEmbedding", "ViTEncoderBlock")),
    "deit": ("deit_layers", ("DeiTEmbeddings", "DeiTEncoderBlock")),
    "dinov2": ("dinov2_layers", ("DINOV2Embedding", "DINOV2Layer")),
    "dinov3": ("dinov3_layers", ("DINOV3Embedding", "DINOV3RopePositionEmbedding", "DINOV3Layer")),
    "siglip": ("siglip_layers", ("SigLIPVisionEmbedding", "SigLIPEncoderLayer", "SigLIPMultiHeadAttentionPooling")),
    "swin_transformer": ("swin_transformer_layers", ("PatchEmbedding", "SwinTransformerBlock", "PatchMerging")),
    "mit": ("mit_layers", ("OverlappingPatchingAndEmbedding", "HierarchicalTransformerEncoder")),
}
MODULES = {
    name: f"keras_hub.src.models.{family}.{module}" for family, (module, names) in _FAMILIES.items() for name in names
}
"""The layers that are made, with their modules: a file that names another one is refused."""

_ELSEWHERE: dict[str, dict[str, Callable[[Any], Any]]] = {
    "HierarchicalTransformerEncoder": {
        "drop_prob": lambda layer: layer.drop_prop,
        "sr_ratio": lambda layer: layer.attn.sr_ratio,
        "layer_norm_epsilon": lambda layer: layer.norm1.epsilon,
    },
    "PatchEmbedding": {"norm_layer": lambda layer: layer.norm_layer and layer.norm_layer.__name__},
    "SwinTransformerBlock": {
        "qkv_bias": lambda layer: layer.attn.qkv_bias,
        "dropout_rate": lambda layer: layer.mlp.dropout_rate,
        "attention_dropout": lambda layer: layer.attn.attn_drop_rate,
        "drop_path": lambda layer: getattr(layer.drop_path, "drop_prob", 0.0),
        "act_layer": lambda _: None,
        "norm_layer": lambda _: None,
    },
    # KerasHub's drop path of both does not compute one, and fails in training; published presets have a rate of 0.
    "DINOV2Layer": {"drop_path_rate": lambda _: 0.0},
    "DINOV3Layer": {"drop_path_rate": lambda _: 0.0},
    # It gets positions for the size of its images alone.
    "DINOV2Embedding": {
        "position_embedding_shape": lambda layer: layer.image_shape,
        "use_mask_token": lambda _: False,  # for pre-training alone
    },
    "DINOV3Embedding": {"use_mask_token": lambda _: False},
}
"""Where a layer keeps an argument other than under its name; None stands for the default."""

_IN_FLOAT32 = _FAMILIES["mit"][1]
"""Layers that make others without handing their precision on."""

_OF_EVERY_LAYER = ("self", "kwargs", "name", "dtype")


def arguments_of(layer: Any) -> dict[str, Any]:
    """Read from a layer of KerasHub what its ``__init__`` was called with.

    Parameters
    ----------
    layer : keras.Layer
        One of those in `MODULES`.

    Returns
    -------
    dict
        The arguments except name and dtype, as values that JSON can hold.
    """
    elsewhere = _ELSEWHERE.get(type(layer).__name__, {})
    names = [name for name in inspect.signature(type(layer).__init__).parameters if name not in _OF_EVERY_LAYER]
    found = {name: elsewhere[name](layer) if name in elsewhere else getattr(layer, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


@keras.saving.register_keras_serializable(package="melanoma_tl")
class PresetLayer(keras.Layer):
    """A layer of KerasHub.

    Parameters
    ----------
    layer : str
        The name of its class.
    arguments : dict
        What its ``__init__`` takes, except name and dtype.
    options : dict, optional
        What its ``call`` takes besides the tensor.
    n_tokens : int, optional
        How many tokens it gives, where its own code leaves that open.
    """

    def __init__(
        self,
        layer: str,
        arguments: dict[str, Any],
        options: dict[str, Any] | None = None,
        n_tokens: int | None = None,
        **kwargs: Any,
    ) -> None:
        if layer in _IN_FLOAT32:
            kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.layer, self.arguments, self.options, self.n_tokens = layer, arguments, options or {}, n_tokens
        self.part = self._make(layer, arguments)

    def _make(self, layer: str, arguments: dict[str, Any]) -> Any:
        if layer not in MODULES:
            raise UnknownNameError("layer of KerasHub", layer, MODULES)
        made = getattr(importlib.import_module(MODULES[layer]), layer)
        if layer == "DINOV2Embedding":
            made = _saved_as_it_is(made)
        if arguments.get("norm_layer") == "LayerNormalization":
            arguments = arguments | {"norm_layer": keras.layers.LayerNormalization}
        part = made(**arguments, dtype=self.dtype_policy, name=layer)
        if layer == "SwinTransformerBlock":  # which windows see each other, it calls a mask, and Keras warns of that
            part.attn.supports_masking = True
        return part

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Build the layer, if it says how: what it makes in its first call lives no longer than that."""
        if type(self.part).build is not keras.Layer.build:
            self.part.build(shape)
        if self.layer == "ViTPatchingAndEmbedding":  # a tensor, which an exported graph would ask for as an input
            self.part.position_ids = ops.convert_to_numpy(self.part.position_ids)

    def call(self, tensor: Any) -> Any:
        """Return what the layer gives."""
        result = self.part(tensor, **self.options)
        # A block of DeiT also returns its attention, which is None unless it is asked for.
        return result[0] if isinstance(result, tuple) and result[1:] == (None,) else result

    def compute_output_spec(self, tensor: Any) -> Any:
        """Return shape and dtype of what the layer gives."""
        spec = super().compute_output_spec(tensor)
        if self.n_tokens is None:
            return spec
        return keras.KerasTensor((spec.shape[0], self.n_tokens, spec.shape[2]), dtype=spec.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer again."""
        return super().get_config() | {
            "layer": self.layer,
            "arguments": self.arguments,
            "options": self.options,
            "n_tokens": self.n_tokens,
        }


def _saved_as_it_is(embedding: type[Any]) -> type[Any]:
    """Make an embedding of DINOv2 save the positions that it computes with.

    It saves those of the preset's image size, and takes them from the ones that it has learned only where the sum
    of the changes is negative.
    """
    plain = {name: vars(keras.Layer)[name] for name in ("save_own_variables", "load_own_variables")}
    return type(embedding.__name__, (embedding,), plain)


@keras.saving.register_keras_serializable(package="melanoma_tl")
class RotaryBlock(PresetLayer):
    """A block of DINOv3 with its rotary position embedding, which has no weights and needs only the size of the image.

    Parameters
    ----------
    rotary : dict
        What the ``__init__`` of the position embedding takes.
    image_size : sequence of int
        (height, width) in pixels.
    **kwargs : object
        The block, as `PresetLayer` takes it.
    """

    def __init__(self, rotary: dict[str, Any], image_size: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rotary, self.image_size = rotary, tuple(image_size)
        self.position = self._make("DINOV3RopePositionEmbedding", rotary)

    def call(self, tokens: Any) -> Any:
        """Return what the block makes of the tokens."""
        blank = ops.zeros((1, *self.image_size, 3), dtype=tokens.dtype)
        return self.part(tokens, position_embeddings=self.position(blank), **self.options)

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer again."""
        return super().get_config() | {"rotary": self.rotary, "image_size": self.image_size}
