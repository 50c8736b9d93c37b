"""The contract of backbones, in one call."""

# --8<-- [start:example]
from melanoma_tl.testing import check_backbone


def test_the_backbone_keeps_to_the_contract():
    check_backbone("small_resnet")


# --8<-- [end:example]
