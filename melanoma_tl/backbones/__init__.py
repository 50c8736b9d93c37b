"""Backbones: a table that anybody can add to."""

from melanoma_tl.backbones import applications as _applications  # noqa: F401 -- importing it registers its backbones
from melanoma_tl.backbones.encoder import FrozenEncoder
from melanoma_tl.backbones.preprocessing import divide_by_128, scale_to_one, standardize, subtract_imagenet_mean
from melanoma_tl.backbones.registry import (
    get_backbone,
    is_backbone,
    list_backbones,
    register_backbone,
    register_encoder,
)
from melanoma_tl.backbones.spec import BackboneSpec, PretrainedWeights
from melanoma_tl.corpora import CORPORA, Corpus

__all__ = [
    "CORPORA",
    "BackboneSpec",
    "Corpus",
    "FrozenEncoder",
    "PretrainedWeights",
    "divide_by_128",
    "get_backbone",
    "is_backbone",
    "list_backbones",
    "register_backbone",
    "register_encoder",
    "scale_to_one",
    "standardize",
    "subtract_imagenet_mean",
]
