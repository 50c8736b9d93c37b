"""The contract of backbones, in one call."""

from melanoma_tl.testing import check_backbone


def test_the_backbone_keeps_to_the_contract():
    check_backbone("small_resnet")
