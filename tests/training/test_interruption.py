"""A Ctrl-C ends training, whatever it meets, and leaves nothing that hangs."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from melanoma_tl import TransferClassifier

SLOW_VIEWS = """
import os, signal, sys, threading, time
import numpy as np
from conftest import draw_images, register_tiny
from melanoma_tl import Augmenter, TransferClassifier
import keras

class Slow(Augmenter):
    def augment(self, images, seed):
        time.sleep(0.5)
        return super().augment(images, seed)

class Interrupt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == 8:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()

signal.signal(signal.SIGINT, signal.default_int_handler)
options = {"weights": None, "trainable_from": "conv1", "epochs": 1000, "batch_size": 5, "random_state": 0, "verbose": 0}
classifier = TransferClassifier(register_tiny(), augmenter=Slow(rotation_range=20), **options)
images, labels = draw_images(24), np.arange(24) % 2
begun = time.monotonic()
try:
    classifier.fit(images, labels, callbacks=[Interrupt()])
except KeyboardInterrupt:
    print("interrupted", classifier.predict_proba(images[:2]).shape, flush=True)
"""


class CatchesEverything(keras.callbacks.Callback):
    """Code that drops a Ctrl-C, as NumPy does while it converts an array of JAX."""

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 1 and self.model.optimizer.iterations > 20:
            with contextlib.suppress(BaseException):
                os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_the_process_ends_when_views_are_slow():
    """The thread of TensorFlow that waits for a batch must have ended before Python does."""
    script = {"args": [sys.executable, "-c", SLOW_VIEWS], "cwd": Path(__file__).parents[1]}
    with subprocess.Popen(**script, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "interrupted (2, 2)\n"
            assert process.wait(60) == 0
        finally:
            process.kill()


@pytest.fixture
def handler_of_python():
    """Python's own way to handle a Ctrl-C, whatever other tests have left in its place."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, former)


def test_a_lost_interrupt_comes_after_the_step(tiny_backbone, images, labels, handler_of_python):
    classifier = TransferClassifier(
        tiny_backbone, weights=None, trainable_from="conv1", epochs=50, batch_size=4, random_state=0, verbose=0
    )
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(images, labels, callbacks=[CatchesEverything()])
    assert len(classifier.history_["loss"]) < 50
    assert classifier.predict_proba(images[:2]).shape == (2, 2)
    assert signal.getsignal(signal.SIGINT) is handler_of_python
