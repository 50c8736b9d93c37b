"""What is stated of the weights of KerasHub's presets: license, pre-training data, and whether they may be given on.

KerasHub itself names no licenses: they are those of the weights from which its presets were converted, as the pages
state them whose addresses stand here. The code of KerasHub is under Apache 2.0.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class PresetFacts:
    """What is known of the weights of a preset.

    Attributes
    ----------
    license, pretrained_on, may_redistribute, references : str, str, bool or None, and tuple of str
        As in `BackboneSpec`.
    """

    license: str = ""
    pretrained_on: str = ""
    may_redistribute: bool | None = None
    references: tuple[str, ...] = ()


_IMAGENET_1K = "ImageNet-1k (ILSVRC 2012)"
_IMAGENET_21K = f"ImageNet-21k, then {_IMAGENET_1K}"
_IMAGENET_22K = f"ImageNet-22k, then {_IMAGENET_1K}"
_TIMM = "https://huggingface.co/timm"
_VIT = "https://github.com/google-research/vision_transformer"
_SWIN = "https://github.com/microsoft/Swin-Transformer"
_SEGFORMER = ("https://github.com/NVlabs/SegFormer", "https://github.com/NVlabs/SegFormer/blob/master/LICENSE")
_DINOV3 = (
    "https://github.com/facebookresearch/dinov3",
    "https://ai.meta.com/resources/models-and-libraries/dinov3-license/",
)
_DINOV3_LICENSE = "DINOv3 License: given on only under the same agreement, with a copy of it (section 1.b)"
_SIGLIP = "https://github.com/google-research/big_vision"
_SIGLIP_2 = f"{_SIGLIP}/blob/main/big_vision/configs/proj/image_text/README_siglip2.md"
_SEGFORMER_LICENSE = "NVIDIA Source Code License for SegFormer: research or evaluation only"

_FACTS = {
    "vit_*_imagenet21k": PresetFacts("Apache 2.0", "ImageNet-21k", True, (_VIT,)),
    "vit_*_imagenet": PresetFacts("Apache 2.0", _IMAGENET_21K, True, (_VIT,)),
    "deit_*": PresetFacts("Apache 2.0", _IMAGENET_1K, True, ("https://github.com/facebookresearch/deit",)),
    "dinov2_*": PresetFacts(
        "Apache 2.0",
        "LVD-142M",
        True,
        ("https://github.com/facebookresearch/dinov2/blob/main/MODEL_CARD.md",),
    ),
    "dinov3_*_lvd1689m": PresetFacts(_DINOV3_LICENSE, "LVD-1689M", False, _DINOV3),
    "dinov3_*_sat493m": PresetFacts(_DINOV3_LICENSE, "SAT-493M", False, _DINOV3),
    "siglip_*": PresetFacts("Apache 2.0", "WebLI", True, (_SIGLIP,)),
    "siglip2_*": PresetFacts("Apache 2.0", "WebLI", True, (_SIGLIP_2,)),
    "medsiglip_*": PresetFacts(
        "Health AI Developer Foundations terms of use: given on only with their use restrictions, a copy of them and a "
        "notice (section 3.1)",
        "medical and natural images of MedSigLIP",
        False,
        (
            "https://developers.google.com/health-ai-developer-foundations/medsiglip/model-card",
            "https://developers.google.com/health-ai-developer-foundations/terms",
        ),
    ),
    "swin_large_*": PresetFacts("MIT", _IMAGENET_22K, True, (_SWIN,)),
    "swin_*": PresetFacts("MIT", _IMAGENET_1K, True, (_SWIN,)),
    "mit_*_ade20k_*": PresetFacts(_SEGFORMER_LICENSE, f"{_IMAGENET_1K}, then ADE20K", False, _SEGFORMER),
    "mit_*_cityscapes_*": PresetFacts(_SEGFORMER_LICENSE, f"{_IMAGENET_1K}, then Cityscapes", False, _SEGFORMER),
    "hgnetv2_*": PresetFacts("Apache 2.0", _IMAGENET_22K, True, (f"{_TIMM}/hgnetv2_b5.ssld_stage2_ft_in1k",)),
    "resnet_[0-9]*_imagenet": PresetFacts("Apache 2.0", _IMAGENET_1K, True, (f"{_TIMM}/resnet18.a1_in1k",)),
    "resnet_v2_*_imagenet": PresetFacts("Apache 2.0", _IMAGENET_1K, True, (f"{_TIMM}/resnetv2_50.a1h_in1k",)),
}
"""By the names of the presets; the first pattern that fits."""

_OFFICIAL = re.compile(r"(?:kaggle|hf)://keras/.+", re.IGNORECASE)
"""Handles of KerasHub's own presets; everybody else's may have any weights under any name."""


def facts_of_preset(preset: str, known: Mapping[str, Any]) -> PresetFacts:
    """Look up what is stated of a preset.

    Parameters
    ----------
    preset : str
        Its name, its handle, or a folder.
    known : mapping of str to object
        KerasHub's own presets by name.

    Returns
    -------
    PresetFacts
        Without anything for a folder, or a preset of somebody else: nobody knows what is in it.

    Examples
    --------
    >>> facts_of_preset("dinov2_small", {"dinov2_small": {}}).pretrained_on
    'LVD-142M'
    >>> facts_of_preset("./dinov2_small", {"dinov2_small": {}}).pretrained_on
    ''
    """
    parts = preset.split("/") if _OFFICIAL.fullmatch(preset) else [preset]
    name = next((part for part in parts if part in known), None)
    if name is None:
        return PresetFacts()
    return next((facts for pattern, facts in _FACTS.items() if fnmatchcase(name, pattern)), PresetFacts())
