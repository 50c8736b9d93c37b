"""The published work's Keras script, in Keras 3: every image goes through the whole network in each epoch.

`ImageDataGenerator` is gone from the recommended ways of reading images; its successor stands in, and the division
by 255 is a layer. The augmentation is left out, as in the other contestants.
"""

from typing import Any

import keras
from contestants.keras_reading import EpochLaps, read
from keras import layers
from stopwatch import Stopwatch


def build(weights: str, size: list[int]) -> keras.Model:
    base = keras.applications.VGG19(include_top=False, weights=weights, input_shape=(*size, 3))
    for layer in base.layers[:-4]:  # all but block5_conv2, conv3, conv4 and pool
        layer.trainable = False
    return keras.Sequential(
        [
            keras.Input((*size, 3)),
            layers.Rescaling(1 / 255),
            base,
            layers.Flatten(),
            layers.Dense(4096, activation="relu"),
            layers.Dense(4096, activation="relu"),
            layers.Dense(1, activation="sigmoid", dtype="float32"),
        ]
    )


def fine_tune(
    train: str, valid: str, weights: str, size: list[int], epochs: int, run_epochs: int, precision: str
) -> dict[str, Any]:
    """Train as published."""
    keras.config.set_dtype_policy(precision)
    watch = Stopwatch()
    model = build(weights, size)
    model.compile(keras.optimizers.RMSprop(1e-4), loss="binary_crossentropy", metrics=["accuracy"], jit_compile=False)
    model.fit(
        read(train, size, 16),
        validation_data=read(valid, size, 16),
        epochs=run_epochs,
        callbacks=[EpochLaps(watch)],
        verbose=0,
    )
    return watch.training(epochs)
