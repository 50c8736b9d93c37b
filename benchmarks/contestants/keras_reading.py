"""What the Keras contestants share: reading folders of images, and noting when epochs end.

They are compiled with ``jit_compile=False``: XLA, which Keras would choose, made the published script's steps and the
forward pass of VGG19 slower on processors.
"""

from typing import Any

import keras
import tensorflow as tf
from stopwatch import Stopwatch


def read(folder: str, size: list[int], batch_size: int) -> tf.data.Dataset:
    """Read one folder a class; decoded images stay in memory, as TensorFlow's guide to `tf.data` advises."""
    return read_once(folder, size, batch_size, label_mode="binary").cache().prefetch(tf.data.AUTOTUNE)


def read_once(folder: str, size: list[int], batch_size: int, label_mode: str | None = None) -> tf.data.Dataset:
    return keras.utils.image_dataset_from_directory(
        folder,
        labels=None if label_mode is None else "inferred",
        label_mode=label_mode,
        image_size=size,
        batch_size=batch_size,
        shuffle=label_mode is not None,
        verbose=False,
    ).prefetch(tf.data.AUTOTUNE)


class EpochLaps(keras.callbacks.Callback):
    """Notes when an epoch, its validation included, has ended."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self._watch = watch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Note it."""
        self._watch.lap()
