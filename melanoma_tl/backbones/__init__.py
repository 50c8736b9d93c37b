"""Backbones: a table that anybody can add to."""

from melanoma_tl.backbones import vgg as _vgg  # noqa: F401 -- importing it registers its backbones
from melanoma_tl.backbones.registry import (
    BackboneSpec,
    PretrainedWeights,
    get_backbone,
    list_backbones,
    register_backbone,
)

__all__ = ["BackboneSpec", "PretrainedWeights", "get_backbone", "list_backbones", "register_backbone"]
