"""Several backbones side by side, as one: "vgg19+vgg16"."""

import math
import re
from collections.abc import Sequence
from typing import Any

from melanoma_tl._keras.copies import make_again, rebuild_with_weights
from melanoma_tl.backbones.building import build_backbone, scale_pixels
from melanoma_tl.backbones.preprocessing import keep_pixels, require_raw_pixels
from melanoma_tl.backbones.spec import SEPARATOR, BackboneSpec, EncoderIdentity, PartWeights
from melanoma_tl.backbones.weights import find_weights
from melanoma_tl.errors import ParameterError


def join(specs: Sequence[BackboneSpec]) -> BackboneSpec:
    """Make the entry of several backbones that are shown the same images.

    Parameters
    ----------
    specs : sequence of BackboneSpec
        Two or more, each once.

    Returns
    -------
    BackboneSpec
        Its network gives the maps of the first, then those of the second, and so on; layers and stages have the name
        of their backbone before theirs. The images have the size that the largest of them expects.

    Raises
    ------
    ParameterError
        If one is named twice, or two of them take images of one size each, and not of the same.
    """
    names = [spec.name for spec in specs]
    whole = SEPARATOR.join(names)
    prefixes = [re.sub(r"\W+", "_", name) for name in names]
    if len(set(prefixes)) < len(prefixes):
        raise ParameterError(f"backbone={whole!r} names a backbone twice: each stands there once")
    fixed = {spec.input_size for spec in specs if spec.image_sizes == "one"}
    if len(fixed) > 1:
        sizes = " and ".join(f"{height}x{width}" for height, width in sorted(fixed))
        raise ParameterError(f"backbone={whole!r}: they take images of {sizes} pixels and no others: use an Ensemble")
    return BackboneSpec(
        whole,
        _Builder(tuple(specs), tuple(prefixes)),
        keep_pixels,
        next(iter(fixed), max(spec.input_size for spec in specs)),
        PartWeights(tuple(spec.name for spec in specs)),
        stages=tuple(
            f"{prefix}_{stage}" for spec, prefix in zip(specs, prefixes, strict=True) for stage in spec.stages
        ),
        license="; ".join(f"{spec.name}: {spec.license or 'not stated'}" for spec in specs),
        source="; ".join(f"{spec.name}: {spec.source or 'not stated'}" for spec in specs),
        parameters=_sum(spec.parameters for spec in specs),
        image_sizes="one" if fixed else "square" if any(spec.image_sizes == "square" for spec in specs) else "any",
        pretrained_on="; ".join(dict.fromkeys(spec.pretrained_on or "not stated" for spec in specs)),
        may_redistribute=_all(spec.may_redistribute for spec in specs),
        references=tuple(dict.fromkeys(page for spec in specs for page in spec.references)),
        size_multiple=math.lcm(*(spec.size_multiple for spec in specs)),
    )


class _Builder:
    """Builds them on the same images, each with its own preprocessing."""

    def __init__(self, specs: tuple[BackboneSpec, ...], prefixes: tuple[str, ...]) -> None:
        self.specs, self.prefixes = specs, prefixes

    def __call__(self, input_tensor: Any, weights: str | None) -> Any:
        """Return one network with the outputs of all."""
        import keras

        images = require_raw_pixels(input_tensor, "backbones side by side scale the pixels each in its way")
        outputs: list[Any] = []
        for spec, prefix in zip(self.specs, self.prefixes, strict=True):
            asked = "imagenet" if weights is not None or isinstance(spec.weights, EncoderIdentity) else None
            given = keras.Input(images.shape[1:], name=images.name, dtype="float32")
            part = build_backbone(spec, scale_pixels(spec, given), find_weights(spec, asked))
            outputs += _rename(part, prefix, images)
        return keras.Model(images, outputs)


def _rename(network: Any, prefix: str, images: Any) -> list[Any]:
    """Rebuild a network on the images, with the same weights and a prefix before the names of its layers."""
    import keras

    def make(operation: Any) -> Any:
        changes = {"name": f"{prefix}_{operation.name}"} if isinstance(operation, keras.Layer) else {}
        return make_again(operation, "beside another backbone", "use an Ensemble of two classifiers", **changes)

    return keras.tree.flatten(rebuild_with_weights(network, make, images))


def _sum(counts: Any) -> int | None:
    known = list(counts)
    return None if None in known else sum(known)


def _all(answers: Any) -> bool | None:
    """Return whether all may be given on; None if one is not known and none is forbidden."""
    known = set(answers)
    return False if False in known else None if None in known else True
