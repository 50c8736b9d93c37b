"""The example of the page on backbones."""

# --8<-- [start:example]
from melanoma_tl import TransferClassifier, is_backbone, list_backbones
from melanoma_tl.backbones import get_backbone

print(list_backbones("*mobilenet*"))
print(is_backbone("ResNet50"))  # names are not case-sensitive

spec = get_backbone("resnet50")
print(spec.input_size, spec.parameters, spec.license, spec.source)
print(spec.stages)  # from the deepest to the shallowest

clf = TransferClassifier("resnet50", trainable_from=spec.stages[0])
# --8<-- [end:example]

# --8<-- [start:transformer]
from melanoma_tl import TransferClassifier
from melanoma_tl.network import PooledHead
from melanoma_tl.training import Probe

head = PooledHead(feature_layers=("block_6", "block_9"))
transformer = TransferClassifier(
    "kerashub:dinov2_small",
    input_size=(224, 224),
    head=head,
    stages=(Probe(),),
)
# --8<-- [end:transformer]
