"""The example of keeping and exporting a model, on drawn lesions."""

from melanoma_tl import ISBIDataset, TransferClassifier
from melanoma_tl.datasets import write_isbi

write_isbi("data/isbi", n_train=30, n_validation=10, n_test=20, size=48)
train = ISBIDataset.from_challenge("data/isbi", year=2016, split="train")
test = ISBIDataset.from_challenge("data/isbi", year=2017, split="test")
clf = TransferClassifier("vgg19", epochs=2, random_state=0).fit(train)

# --8<-- [start:example]
clf.save("melanoma.keras")  # all there is to keep
again = TransferClassifier.load("melanoma.keras")
print(again.predict_proba(test)[:3])

exported = again.export(
    "melanoma_tf"
)  # or "melanoma.onnx", "melanoma.tflite"
print(exported)  # with the largest difference between two scores

# elsewhere, without melanoma_tl and without Keras:
import tensorflow as tf

model = tf.saved_model.load("melanoma_tf").signatures["serving_default"]
height, width = model.structured_input_signature[1]["image"].shape[1:3]
images = tf.constant(test.images((height, width))[:3], tf.float32)
print(model(images)["output_0"])  # raw RGB in, probability of melanoma out
# --8<-- [end:example]
