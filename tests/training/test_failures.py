"""Memory that is full, a device that is gone, an image that cannot be read any more: a clear error, nothing lost."""

import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import BACKEND, draw_images

from melanoma_tl import Augmenter, Probe, TransferClassifier, cache
from melanoma_tl._keras.device_errors import explained
from melanoma_tl._keras.host_call import call_on_host
from melanoma_tl.errors import CacheError, DeviceError
from melanoma_tl.images import array_store
from melanoma_tl.network.cutting import explain_precision_errors
from melanoma_tl.training.keras_errors import EPOCHS_KEPT

BATCHES = 3
"""Batches of an epoch."""


def make(**changes):
    options = {"weights": None, "trainable_from": "conv1", "epochs": 4, "batch_size": 8, "random_state": 0}
    return TransferClassifier("tiny").set_params(**options | {"verbose": 0, "precision": "float32"} | changes)


@pytest.fixture(autouse=True)
def nothing_hangs():
    """No thread that makes batches, or waits for a device, is left."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + 5
    while left := [one for one in set(threading.enumerate()) - before if one.name.startswith("melanoma_tl")]:
        assert time.monotonic() < end, left
        time.sleep(0.01)


# -- in the thread that makes batches --


class Breaks(Augmenter):
    """Views that cannot be drawn in one step of the third epoch."""

    def augment(self, images, seed):
        if seed[1] == 2 * BATCHES + 1:
            raise self.error
        return super().augment(images, seed)


@pytest.mark.parametrize(
    ("error", "trainable_from"), [(ZeroDivisionError("of mine"), "conv1"), (KeyboardInterrupt(), None)]
)
def test_an_error_in_a_batch_comes_as_it_is_and_finished_epochs_stay(images, labels, error, trainable_from):
    Breaks.error = error
    clf = make(augmenter=Breaks(rotation_range=20), trainable_from=trainable_from)
    with pytest.raises(type(error)) as raised:
        clf.fit(images, labels)
    assert raised.value is error
    assert len(clf.history_["loss"]) == 2
    assert clf.predict_proba(images[:2]).shape == (2, 2)


def test_an_error_of_a_batch_does_not_hide_one_of_a_callback(images, labels):
    class Stops(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.05)  # the batches that come next are tried meanwhile
            if self.model.optimizer.iterations == 2 * BATCHES:
                raise LookupError("of the callback")

    Breaks.error = ZeroDivisionError("of a batch")
    with pytest.raises(LookupError, match="of the callback"):
        make(augmenter=Breaks(rotation_range=20)).fit(images, labels, callbacks=[Stops()])


class Vanishes(keras.callbacks.Callback):
    """After the first epoch a photograph is gone, and its stored copy is damaged."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            self.path.unlink()
            (stored,) = (cache.folder() / "prepared").rglob("arrays_*.bin")
            stored.write_bytes(bytes(stored.stat().st_size))


def test_an_image_that_cannot_be_read_any_more_is_named(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(array_store, "_MOST_KEPT", 0)  # as with more images than memory keeps
    monkeypatch.setenv("MELANOMA_TL_CACHE", str(tmp_path / "cache"))
    copies = dataset.resize_to(tmp_path / "copies", size=(32, 32), verbose=0)
    clf = make()
    photograph = Path(copies.paths[5])
    with pytest.raises(CacheError, match=rf"{photograph.name}.*no such file.*its stored copy is damaged"):
        clf.fit(copies, callbacks=[Vanishes(photograph)])
    assert len(clf.history_["loss"]) == 2
    assert np.isfinite(clf.predict_proba(dataset)).all()


# -- the device --


def of_the_backend(kind):
    """An error as a backend raises it, with what it quotes of the driver."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        if kind == "full":
            return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[8,224,224,64]")
        return tf.errors.InternalError(None, None, "Failed to enqueue: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory")
    if BACKEND == "jax":
        import jax

        full, lost = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate", "INTERNAL: CUDA_ERROR_LAUNCH_FAILED"
        return jax.errors.JaxRuntimeError(full if kind == "full" else lost)
    import torch

    if kind == "full":
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return RuntimeError("CUDA error: unspecified launch failure")


class Fails(keras.callbacks.Callback):
    """A step of the third epoch that the device does not finish; then it may not give the weights any more."""

    def __init__(self, error, *, weights_are_lost=False):
        super().__init__()
        self.error, self.weights_are_lost, self.steps = error, weights_are_lost, 0

    def on_train_begin(self, logs=None):
        step, model = self.model.train_function, self.model

        def fails(*arguments):
            self.steps += 1
            if self.steps <= 2 * BATCHES:
                return step(*arguments)
            if self.weights_are_lost:
                model.get_weights = lambda: 1 / 0
            raise self.error

        model.train_function = fails


SAID = {
    "full": r"out of memory: lower batch_size \(now 8\) or input_size, .* now 'conv1'",
    "lost": r"has failed, was reset or taken away .*start Python anew; fit\(resume=True\) keeps each finished epoch",
}


@pytest.mark.contract
@pytest.mark.parametrize(("kind", "restore_best"), [("full", False), ("lost", True)])
def test_a_step_that_fails_leaves_the_finished_epochs(images, labels, kind, restore_best):
    error, clf, watched = of_the_backend(kind), make(restore_best=restore_best), (draw_images(4, seed=7), labels[:4])
    with pytest.raises(DeviceError, match=SAID[kind]) as raised:
        clf.fit(images, labels, validation_data=watched, callbacks=[Fails(error)])
    assert raised.value.__cause__ is error
    assert len(clf.history_["loss"]) == 2
    assert "DeviceError" in clf.provenance_["interrupted_by"]
    unbroken = make(restore_best=restore_best, epochs=2)
    unbroken.fit(images, labels, validation_data=watched)
    assert np.allclose(clf.predict_proba(images), unbroken.predict_proba(images), atol=1e-6)


def test_a_device_that_does_not_give_the_weights_either_hides_nothing(images, labels):
    clf = make()
    with pytest.raises(DeviceError, match=f"start Python anew; {EPOCHS_KEPT}"):
        clf.fit(images, labels, resume=True, callbacks=[Fails(of_the_backend("lost"), weights_are_lost=True)])
    assert not hasattr(clf, "model_")
    rest = Fails(of_the_backend("lost"))
    rest.steps = -100
    assert len(clf.fit(images, labels, resume=True, callbacks=[rest]).history_["loss"]) == 4
    assert rest.steps == -100 + 2 * BATCHES, "the finished epochs are not trained again"


@pytest.fixture(scope="module")
def fitted(images, labels):
    """A classifier whose head fails on demand within the compiled network, and the head."""
    failure = {}

    def compute(features):
        if failure:
            raise failure["error"]
        return np.zeros((len(features), 1), np.float32)

    @keras.saving.register_keras_serializable("tests")
    class Failing(keras.layers.Layer):
        def call(self, features):
            return features + call_on_host(compute, features, 1)

        def compute_output_shape(self, shape):
            return shape

    def head(features):
        return Failing()(keras.layers.GlobalAveragePooling2D()(features))

    return make(trainable_from=None, head=head, epochs=1).fit(images, labels), failure


WORK = {
    "predict_proba": (
        lambda clf, *_: clf.predict_proba(np.zeros((4, 32, 32, 3), np.uint8), batch_size=4),
        r"batch_size \(now 4\)",
    ),
    "features": (lambda clf, *data: clf.fit(*data), "lower input_size, or set precision='bfloat16'"),
    "a probe": (lambda clf, *data: clf.set_params(stages=(Probe(),)).fit(*data), "lower input_size"),
    "learning rate": (lambda clf, *data: clf.find_learning_rate(*data, steps=5), "lower input_size"),
}


@pytest.mark.contract
@pytest.mark.parametrize("name", WORK)
def test_wherever_a_network_is_run_the_error_says_what_to_do(fitted, images, labels, name):
    clf, failure = fitted
    work, advice = WORK[name]
    before = clf.predict_proba(images)
    for kind, said in {"full": f"out of memory: .*{advice}", "lost": "start Python anew$"}.items():
        failure["error"] = of_the_backend(kind)
        try:
            with pytest.raises(DeviceError, match=said):
                work(clf if name == "predict_proba" else make(**clf.get_params()), images[::-1], labels[::-1])
        finally:
            failure.clear()
    assert np.array_equal(clf.predict_proba(images), before), "with JAX, the weights are given to the step that fails"


def test_full_memory_is_not_taken_for_a_layer_without_bfloat16():
    with pytest.raises(DeviceError, match="out of memory: end other programs"), explain_precision_errors():
        raise of_the_backend("full")


@pytest.mark.parametrize(
    ("said", "starts"),
    {
        "CUDA_ERROR_OUT_OF_MEMORY: out of memory": "out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate": "out of memory",
        "Failed copying input tensor to GPU:0: Dst tensor is not initialized.": "out of memory",
        "MPS backend out of memory (MPS allocated: 5 GB)": "out of memory",
        "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory": "out of memory",
        "CUDA error: uncorrectable ECC error encountered": "the device",
        "CUDA error: CUDA-capable device(s) is/are busy or unavailable": "the device",
        "HIP error: unspecified launch failure": "the device",
        "Unable to determine the device handle for GPU: GPU is lost.": "the device",
        "CUDA error: no kernel image is available for execution on the device": "CUDA error",
        "the table lists a device of another hospital": "the table",
    }.items(),
)
def test_what_drivers_say_is_understood(said, starts):
    error = RuntimeError(said)
    found = explained(error, "take less")
    assert str(found).startswith(starts)
    assert (found is error) == (not isinstance(found, DeviceError))
