"""A Ctrl-C ends training, whatever it meets, and leaves nothing that hangs."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from processes import PATIENCE, started

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


IN_A_BATCH = """
import os, signal, threading
import numpy as np
from conftest import draw_images, register_tiny
from melanoma_tl import TransferClassifier, cache
import keras

@keras.saving.register_keras_serializable("tests")
class Interrupts(keras.layers.Layer):
    batch = None

    def call(self, features):
        return features + call_on_host(self.compute, features, 1)

    def compute_output_shape(self, shape):
        return shape

    def compute(self, features):
        if len(features) == type(self).batch:  # not where Keras or a check runs the network on other numbers
            type(self).batch = None
            threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()
        return np.zeros((len(features), 1), np.float32)

from melanoma_tl._keras.host_call import call_on_host
from melanoma_tl.training import run

run.count_images_at_once = lambda size: 7
images, labels = draw_images(210), np.arange(210) % 2
options = {"weights": None, "epochs": 2, "batch_size": 7, "random_state": 0, "verbose": 0, "precision": "float32"}
head = lambda maps: Interrupts()(keras.layers.GlobalAveragePooling2D()(maps))

register_tiny()

def make():
    return TransferClassifier("tiny", head=head, **options)

fitted = make().fit(images[:14], labels[:14])
before = fitted.predict_proba(images)
work = {
    "predict": lambda: fitted.predict_proba(images, batch_size=7),
    "extract": lambda: make().fit(images, labels),
    "train": lambda: make().set_params(resources__feature_cache_bytes=0).fit(images, labels),
    "search": lambda: make().find_learning_rate(images[::-1], labels[::-1]),
}
signal.signal(signal.SIGINT, signal.default_int_handler)
for name, do in work.items():
    Interrupts.batch = 7
    try:
        do()
        print(name, "went on", flush=True)
    except KeyboardInterrupt:
        print(name, "interrupted", flush=True)
    print(np.array_equal(fitted.predict_proba(images), before), cache.size("features") > 0, flush=True)
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
    options = {"cwd": Path(__file__).parents[1], "stdout": subprocess.PIPE, "text": True}
    with started([sys.executable, "-c", SLOW_VIEWS], **options) as process:
        assert process.stdout.readline() == "interrupted (2, 2)\n"
        assert process.wait(60) == 0


@pytest.mark.slow
def test_whatever_runs_a_network_ends_in_the_middle_of_a_batch():
    script = {"args": [sys.executable, "-c", IN_A_BATCH], "cwd": Path(__file__).parents[1]}
    done = subprocess.run(**script, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True)
    names = ("predict", "extract", "train", "search")
    assert done.stdout.splitlines() == [line for name in names for line in (f"{name} interrupted", "True True")]


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
