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
