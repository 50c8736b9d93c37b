"""Trainings whose course must not depend on the number of devices or processes; the tests compare them.

As a script: python trainings.py FILE N_DEVICES [NAME ...]
"""

import os
import sys

import keras
import numpy as np
from conftest import draw_images, register_tiny

from melanoma_tl import Augmenter, Balancer, Stage, TransferClassifier

EVEN = {"batch_size": 10}
"""24 images, so that the last batch has 4."""

UNEVEN = {"batch_size": 9, "class_weight": "balanced"}
"""Batches of 9, 9 and 5, none of which two devices can share evenly."""

WHOLE = ("even", "views", "endless", "mixed", "clipped")
"""Trainings whose batches need not be filled up."""

TRAININGS = {
    "even": EVEN,
    "uneven": UNEVEN,
    "views": EVEN | {"augmenter": Augmenter(horizontal_flip=True, rotation_range=20, views=3), "balancer": Balancer()},
    "stages": UNEVEN
    | {
        "stages": (Stage(epochs=1), Stage("conv1", schedule="cosine", warmup=0.2, layer_decay=0.5)),
        "trainable_from": None,
        "optimizer__ema_momentum": 0.5,
        "early_stopping": 1,
    },
    "diagnoses": UNEVEN | {"class_weight": None},
    "one image": {"batch_size": 22},
    "endless": EVEN | {"augmenter": Augmenter(horizontal_flip=True, rotation_range=20), "trainable_from": "conv2"},
    "mixed": EVEN | {"mix": "cutmix"},
    "clipped": EVEN | {"optimizer__clip_norm": 0.1},
}


def train(name, **options):
    """Train, and give weights and figures."""
    images = draw_images(30)
    labels = np.arange(30) % (3 if name == "diagnoses" else 2)
    n = 24 if name in WHOLE else 23
    settings = {"weights": None, "trainable_from": "conv1", "optimizer": "sgd", "learning_rate": 0.05, "epochs": 2}
    settings |= {"random_state": 0, "verbose": 0, "precision": "float32"} | TRAININGS[name] | options
    clf = (
        TransferClassifier("tiny")
        .set_params(**settings)
        .fit(images[:n], labels[:n], validation_data=(images[n:], labels[n:]))
    )
    scores = clf.predict_proba(images)
    return {"scores": scores} | clf.history_ | {f"weights_{i}": w for i, w in enumerate(clf.model_.get_weights())}


def main(file, n_devices, *names):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        (processor,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * int(n_devices))
    register_tiny()
    found = {f"{name}/{key}": value for name in names for key, value in train(name).items()}
    n_processes = int(os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", "1"))
    assert len(keras.distribution.list_devices()) == int(n_devices) * n_processes
    np.savez(file, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
