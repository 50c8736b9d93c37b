"""KerasHub's image classifier (keras.io/keras_hub/api/base_classes/image_classifier) on its own VGG19."""

from typing import Any

import keras
import keras_hub
import tensorflow as tf
from contestants.keras_reading import EpochLaps, read_once
from contestants.vgg19_weights import read_kernels
from stopwatch import Stopwatch

RGB_MEAN = (123.68, 116.779, 103.939)


def build(weights: str, size: list[int]) -> keras_hub.models.ImageClassifier:
    backbone = keras_hub.models.VGGBackbone([2, 2, 4, 4, 4], [64, 128, 256, 512, 512], image_shape=(*size, 3))
    convolutions = [layer for layer in backbone.layers if isinstance(layer, keras.layers.Conv2D)]
    for layer, (kernel, bias) in zip(convolutions, read_kernels(weights), strict=True):
        # The weights want BGR, which the image converter cannot make: the first kernel is turned round instead.
        layer.set_weights([kernel[:, :, ::-1] if layer is convolutions[0] else kernel, bias])
    backbone.trainable = False
    return keras_hub.models.ImageClassifier(backbone, num_classes=1, pooling="avg", activation="sigmoid")


def frozen(
    train: str, valid: str, weights: str, size: list[int], epochs: int, run_epochs: int, precision: str
) -> dict[str, Any]:
    """Train the head through the frozen backbone."""
    keras.config.set_dtype_policy(precision)
    watch = Stopwatch()
    classifier = build(weights, size)
    classifier.compile(keras.optimizers.Adam(1e-3), loss="binary_crossentropy", metrics=["accuracy"], jit_compile=False)
    classifier.fit(
        read(train, size),
        validation_data=read(valid, size),
        epochs=run_epochs,
        callbacks=[EpochLaps(watch)],
        verbose=0,
    )
    return watch.training(epochs)


def read(folder: str, size: list[int]) -> tf.data.Dataset:
    """Preprocess before the cache: given to the classifier, the converter would run again in each epoch."""
    converter = keras_hub.layers.ImageConverter(scale=1.0, offset=[-mean for mean in RGB_MEAN], dtype="float32")
    images = read_once(folder, size, 32, label_mode="binary")
    return images.map(lambda x, y: (converter(x), y), tf.data.AUTOTUNE).cache().prefetch(tf.data.AUTOTUNE)
