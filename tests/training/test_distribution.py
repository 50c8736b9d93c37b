"""Training on several devices ends where training on one does."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import trainings
from processes import PATIENCE, started
from trainings import TRAININGS, WHOLE

from melanoma_tl import Resources, TransferClassifier, distribution
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.training import replicas
from melanoma_tl.training.replicas import SINGLE_DEVICE, Replicas, find_replicas

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")]

BACKEND = keras.backend.backend()
SCRIPT = Path(trainings.__file__)


def start(file, *, n_devices=2, names=(), **environment):
    """Train in a process of its own: the number of devices cannot be changed once a backend has started."""
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={n_devices}", "KERAS_BACKEND": BACKEND}
    return started(
        [sys.executable, SCRIPT, file, str(n_devices), *names],
        env=os.environ | flags | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


QUICK = ("even", "uneven")


@pytest.fixture(scope="module")
def on_two_devices(tmp_path_factory):
    """Trainings on two devices: the quick ones in one process, the others in another, started when they are needed."""
    if BACKEND == "torch":
        pytest.skip("Keras trains on one device with PyTorch")

    @cache
    def find(*names):
        file = tmp_path_factory.mktemp("devices") / "found.npz"
        with start(file, names=names) as process:
            output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output[-3000:]
        with np.load(file) as found:
            return {key: found[key] for key in found.files}

    return lambda name: find(*QUICK) if name in QUICK else find(*(other for other in TRAININGS if other not in QUICK))


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in TRAININGS]
)
def test_two_devices_train_as_one(on_two_devices, name):
    if name == "clipped" and BACKEND == "tensorflow":
        pytest.skip("Keras clips the gradients of each device before it adds them up")
    expected = trainings.train(name)
    found = {key.split("/")[1]: value for key, value in on_two_devices(name).items() if key.startswith(f"{name}/")}
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        # In the mean of an epoch Keras weighs the loss of a batch by its places, with those that fill it up.
        tolerance = 5e-3 if key == "loss" and name not in WHOLE else 1e-4
        assert np.abs(found[key] - np.asarray(value)).max() < tolerance, key


def test_one_device_is_alone():
    assert len(distribution.list_devices()) == 1
    for given in (None, "auto", "data_parallel"):
        assert find_replicas(given) is SINGLE_DEVICE
    assert not SINGLE_DEVICE.are_several


def test_a_wrong_name_is_named(images, labels):
    with pytest.raises(UnknownNameError, match="Did you mean 'data_parallel'"):
        TransferClassifier("tiny", weights=None, resources=Resources(distribution="dataparallel")).fit(images, labels)


def test_several_devices_are_refused_where_keras_trains_on_one(monkeypatch):
    """A machine with two GPUs is needed to see this otherwise."""
    monkeypatch.setattr(replicas, "list_devices", lambda: ["cuda:0", "cuda:1"])
    monkeypatch.setattr(replicas, "name_backend", lambda: "torch")
    assert find_replicas("auto") is SINGLE_DEVICE
    with pytest.raises(ParameterError, match="needs KERAS_BACKEND=jax or tensorflow"):
        find_replicas("data_parallel")


@pytest.mark.parametrize("n_images", [1, 4, 5, 8])
@pytest.mark.parametrize(("n_devices", "n_processes"), [(2, 1), (4, 1), (2, 2), (4, 2), (3, 3)])
def test_each_image_of_a_batch_is_read_once(n_images, n_devices, n_processes):
    shares = [Replicas(object(), n_devices, n_processes, process).share(n_images) for process in range(n_processes)]
    assert len({len(places) for places, _ in shares}) == 1
    assert len(shares[0][0]) * n_processes % n_devices == 0
    assert np.concatenate([places[counts] for places, counts in shares]).tolist() == list(range(n_images))
