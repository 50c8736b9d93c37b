"""Keras's own guide, "Transfer learning & fine-tuning" (keras.io/guides/transfer_learning), on VGG19.

Its dropout before the score is left out: it is not in the other contestants' heads either.
"""

from typing import Any

import keras
import numpy as np
from contestants.keras_reading import EpochLaps, read, read_once
from stopwatch import Stopwatch


def build(weights: str, size: list[int]) -> tuple[keras.Model, keras.Model]:
    """Build the frozen base with its pooling, and the classifier on top of it."""
    base = keras.applications.VGG19(include_top=False, weights=weights, input_shape=(*size, 3))
    base.trainable = False
    images = keras.Input((*size, 3))
    features = base(keras.applications.vgg19.preprocess_input(images), training=False)
    features = keras.layers.GlobalAveragePooling2D()(features)
    score = keras.layers.Dense(1, activation="sigmoid", dtype="float32")(features)
    return keras.Model(images, features), keras.Model(images, score)


def compile_model(model: keras.Model) -> None:
    model.compile(keras.optimizers.Adam(1e-3), loss="binary_crossentropy", metrics=["accuracy"], jit_compile=False)


def frozen(
    train: str, valid: str, weights: str, size: list[int], epochs: int, run_epochs: int, precision: str
) -> dict[str, Any]:
    """Train the head through the frozen base: the guide's first workflow."""
    keras.config.set_dtype_policy(precision)
    watch = Stopwatch()
    _, model = build(weights, size)
    compile_model(model)
    model.fit(
        read(train, size, 32),
        validation_data=read(valid, size, 32),
        epochs=run_epochs,
        callbacks=[EpochLaps(watch)],
        verbose=0,
    )
    return watch.training(epochs)


def features(train: str, valid: str, weights: str, size: list[int], epochs: int, precision: str) -> dict[str, Any]:
    """Run the base once, then train the head on its output: the guide's second, "more lightweight" workflow."""
    keras.config.set_dtype_policy(precision)
    watch = Stopwatch()
    base, _ = build(weights, size)
    train_x, train_y = extract(base, train, size)
    head = keras.Sequential([keras.Input(train_x.shape[1:]), keras.layers.Dense(1, activation="sigmoid")])
    compile_model(head)
    head.fit(train_x, train_y, validation_data=extract(base, valid, size), epochs=epochs, batch_size=32, verbose=0)
    return {"value": watch.seconds()}


def extract(base: keras.Model, folder: str, size: list[int]) -> tuple[np.ndarray, np.ndarray]:
    batches = read_once(folder, size, 32, label_mode="binary")
    rows, labels = zip(*((base.predict_on_batch(images), y.numpy()) for images, y in batches), strict=True)
    return np.concatenate(rows), np.concatenate(labels)


def score(folder: str, weights: str, size: list[int], precision: str) -> dict[str, Any]:
    """Score the images of a folder."""
    keras.config.set_dtype_policy(precision)
    _, model = build(weights, size)
    model.predict(np.zeros((32, *size, 3), np.float32), verbose=0)
    watch = Stopwatch()
    model.predict(read_once(folder, size, 32), verbose=0)
    return {"value": watch.seconds()}
