"""What one of several processes does that train together; `test_hosts.py` starts them.

As a script: python hosts.py FOLDER JOB
"""

import json
import os
import sys
import time
from pathlib import Path

import keras
import numpy as np
import trainings
from conftest import draw_images, register_tiny

from melanoma_tl import TransferClassifier
from melanoma_tl._versions import library_versions
from melanoma_tl.errors import MelanomaTLError
from melanoma_tl.training import run

EPOCHS = 12
NUMBER = int(os.environ["KERAS_DISTRIBUTION_PROCESS_ID"]) if __name__ == "__main__" else 0


def main(folder, job):
    folder = Path(folder)
    os.environ["MELANOMA_TL_CACHE"] = str(folder / f"cache_{NUMBER}")
    register_tiny()
    {"agree": agree, "resume": resume}[job](folder)


def agree(folder):
    """Try to train on what is not the same, then train."""
    complaints = {
        "images": complaint_about(n_images=24 - 2 * NUMBER),
        "parameter": complaint_about(learning_rate=0.1 if NUMBER else 0.2),
        "seed": complaint_about(random_state=None),
        "alone": complaint_about(resources__distribution=None),
    }
    run.library_versions = lambda: library_versions() | ({"keras": "3.0.0"} if NUMBER else {})
    complaints["version"] = complaint_about()
    run.library_versions = library_versions
    found = {f"{name}/{key}": value for name in ("even", "uneven") for key, value in trainings.train(name).items()}
    np.savez(folder / f"found_{NUMBER}.npz", **found)
    (folder / f"complaints_{NUMBER}.json").write_text(json.dumps(complaints))


def complaint_about(n_images=24, **changes):
    options = {"weights": None, "epochs": 1, "random_state": 0, "verbose": 0, "precision": "float32"}
    try:
        clf = TransferClassifier("tiny").set_params(**(options | changes))
        clf.fit(draw_images(n_images), np.arange(n_images) % 2)
    except MelanomaTLError as error:
        return f"{type(error).__name__}: {error}"
    return None


class Pause(keras.callbacks.Callback):
    """Time to be killed in."""

    def on_epoch_end(self, epoch, logs=None):
        time.sleep(0.3)


def resume(folder):
    clf = train_long(resume=True, callbacks=[Pause()])
    clf.save(folder / "model.keras")
    np.savez(folder / f"found_{NUMBER}.npz", *clf.model_.get_weights())


def train_long(**options):
    settings = {"weights": None, "trainable_from": "conv1", "batch_size": 10, "learning_rate": 0.02, "epochs": EPOCHS}
    clf = TransferClassifier("tiny", **settings, random_state=0, verbose=0, precision="float32")
    images, labels = draw_images(30), np.arange(30) % 2
    return clf.fit(images[:24], labels[:24], validation_data=(images[24:], labels[24:]), **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
