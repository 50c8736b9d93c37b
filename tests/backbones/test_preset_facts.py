"""What is stated of the weights of KerasHub's presets, and of no others."""

import pytest

from melanoma_tl.backbones.preset_facts import _FACTS, PresetFacts, facts_of_preset

KNOWN = dict.fromkeys(["medsiglip_900m_448", "resnet_18_imagenet", "resnet_vd_18_imagenet", "dinov3_vit_small_sat493m"])


@pytest.mark.parametrize(
    ("preset", "pretrained_on", "may_redistribute"),
    [
        ("medsiglip_900m_448", "medical and natural images of MedSigLIP", False),
        ("kaggle://keras/siglip/keras/medsiglip_900m_448/1", "medical and natural images of MedSigLIP", False),
        ("hf://keras/medsiglip_900m_448", "medical and natural images of MedSigLIP", False),
        ("dinov3_vit_small_sat493m", "SAT-493M", False),
        ("resnet_18_imagenet", "ImageNet-1k (ILSVRC 2012)", True),
    ],
)
def test_presets_of_kerashub(preset, pretrained_on, may_redistribute):
    facts = facts_of_preset(preset, KNOWN)
    assert (facts.pretrained_on, facts.may_redistribute) == (pretrained_on, may_redistribute)
    assert facts.license
    assert all(address.startswith("https://") for address in facts.references)


@pytest.mark.parametrize(
    "preset",
    [
        "resnet_vd_18_imagenet",  # of other origin
        "medsiglip_900m_449",
        "MEDSIGLIP_900M_448",
        "./medsiglip_900m_448",
        "/presets/resnet_18_imagenet",
        "hf://somebody/resnet_18_imagenet",
        "kaggle://somebody/keras/resnet_18_imagenet",
        "",
    ],
)
def test_nothing_is_said_of_what_may_hold_any_weights(preset):
    assert facts_of_preset(preset, KNOWN) == PresetFacts()


@pytest.mark.slow
def test_each_pattern_is_of_presets_that_there_are():
    hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed")
    found = {id(facts_of_preset(name, hub.models.Backbone.presets)) for name in hub.models.Backbone.presets}
    unused = [pattern for pattern, facts in _FACTS.items() if id(facts) not in found]
    assert not unused
