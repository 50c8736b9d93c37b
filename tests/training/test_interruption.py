"""A Ctrl-C ends training, whatever it meets, and leaves nothing that hangs."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import keras
import pytest

from melanoma_tl import TransferClassifier
from melanoma_tl.training.interruption import free_frames

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


def test_a_lost_interrupt_comes_after_the_step(tiny_backbone, images, labels):
    handler = signal.getsignal(signal.SIGINT)
    classifier = TransferClassifier(
        tiny_backbone, weights=None, trainable_from="conv1", epochs=50, batch_size=4, random_state=0, verbose=0
    )
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(images, labels, callbacks=[CatchesEverything()])
    assert len(classifier.history_["loss"]) < 50
    assert classifier.predict_proba(images[:2]).shape == (2, 2)
    assert signal.getsignal(signal.SIGINT) is handler


def test_frames_of_keras_are_freed_and_those_of_the_user_are_kept():
    class Big:
        pass

    def raise_in_a_frame():
        big = Big()
        held.append(weakref.ref(big))
        raise ValueError("mine")

    of_keras = {"__name__": "keras.src.trainers.trainer", "call": raise_in_a_frame, "Big": Big, "held": []}
    exec("def fit():\n    big = Big()\n    held.append(__import__('weakref').ref(big))\n    call()", of_keras)
    held = []
    with pytest.raises(ValueError, match="mine") as caught:
        of_keras["fit"]()
    free_frames(caught.value)
    gc.collect()
    assert of_keras["held"][0]() is None
    assert held[0]() is not None, "a debugger shows what the user's function held"
