"""The guide on encoders: anybody's network, and backbones side by side."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets import write_isbi

write_isbi("data/isbi", n_train=40, n_validation=10, n_test=20, size=48)
train = ISBIDataset.from_challenge("data/isbi", year=2016, split="train")
test = ISBIDataset.from_challenge("data/isbi", year=2017, split="test")
graph = helper.make_graph(
    [
        helper.make_node("GlobalAveragePool", ["images"], ["means"]),
        helper.make_node("Flatten", ["means"], ["vectors"]),
    ],
    "encoder",
    [
        helper.make_tensor_value_info(
            "images", TensorProto.FLOAT, ["n", 3, 224, 224]
        )
    ],
    [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 3])],
)
opset = [helper.make_opsetid("", 13)]
onnx.save(
    helper.make_model(graph, opset_imports=opset, ir_version=8),
    "encoder.onnx",
)

# --8<-- [start:onnx]
from melanoma_tl import FrozenEncoder, register_encoder

encoder = FrozenEncoder.from_onnx(
    "encoder.onnx",
    scaling="imagenet",
    license="CC BY-NC 4.0",
    source="https://example.org/encoder",
    pretrained_on="2 million photographs of skin",
)
register_encoder("my encoder", encoder)
# --8<-- [end:onnx]

# --8<-- [start:train]
from melanoma_tl import MetricsReport, TransferClassifier

clf = TransferClassifier.from_recipe(
    "fast", backbone="my encoder", random_state=0
)
clf.fit(train).save("melanoma.keras")
print(MetricsReport.from_estimator(clf, test))
# --8<-- [end:train]


# --8<-- [start:function]
def encode(images):
    """Turn uint8 images (n, 64, 64, 3) into vectors, of their colours."""
    return np.concatenate(
        [images.mean(axis=(1, 2)), images.std(axis=(1, 2))], axis=1
    )


colours = FrozenEncoder(
    encode, digest="colours, version 1", input_size=(64, 64)
)
register_encoder("colours", colours)
# --8<-- [end:function]

# --8<-- [start:side_by_side]
both = TransferClassifier.from_recipe("fast", backbone="vgg19+colours")
# --8<-- [end:side_by_side]
both.set_params(weights=None, random_state=0, input_size=None).fit(train)
again = TransferClassifier.load("melanoma.keras")
