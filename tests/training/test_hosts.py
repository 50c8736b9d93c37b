"""Processes that train together end as one, agree before they begin, and stop when one of them is gone."""

import json
import os
import socket
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest
import trainings
from processes import PATIENCE, started

from melanoma_tl import TransferClassifier, distribution
from melanoma_tl.distribution import ADDRESSES, N_PROCESSES, PROCESS, join_hosts
from melanoma_tl.errors import ParameterError, TrainingError
from melanoma_tl.training import replicas
from melanoma_tl.training.replicas import Replicas

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")]

BACKEND = keras.backend.backend()
on_jax = pytest.mark.skipif(BACKEND != "jax", reason="Keras trains on several hosts with JAX alone")
SCRIPT = Path(trainings.__file__).with_name("hosts.py")


@contextmanager
def hosts_of(folder, job, n=2):
    """Run processes on this machine that take themselves for hosts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with ExitStack() as stack:
        processes = []
        for number in range(n):
            variables = {ADDRESSES: address, N_PROCESSES: str(n), PROCESS: str(number), "KERAS_BACKEND": "jax"}
            log = stack.enter_context((folder / f"log_{number}.txt").open("w"))
            command = [sys.executable, "-u", SCRIPT, folder, job]
            process = started(command, env=os.environ | variables, stdout=log, stderr=log)
            processes.append(stack.enter_context(process))
        yield processes


def read_log(folder, number):
    return (folder / f"log_{number}.txt").read_text()


def run(folder, job):
    end = time.monotonic() + PATIENCE
    with hosts_of(folder, job) as processes:
        for number, process in enumerate(processes):
            assert process.wait(end - time.monotonic()) == 0, read_log(folder, number)[-3000:]


@pytest.fixture(scope="module")
def two_hosts(tmp_path_factory):
    """What two processes say about what is not the same, and where their trainings end."""
    folder = tmp_path_factory.mktemp("hosts")
    run(folder, "agree")
    return [
        (json.loads((folder / f"complaints_{number}.json").read_text()), dict(np.load(folder / f"found_{number}.npz")))
        for number in range(2)
    ]


@on_jax
@pytest.mark.parametrize("name", ["even", "uneven"])
def test_two_processes_train_as_one(two_hosts, name):
    first, second = (
        {key: value for key, value in found.items() if key.startswith(f"{name}/")} for _, found in two_hosts
    )
    assert all(np.array_equal(value, second[key]) for key, value in first.items())
    for key, value in trainings.train(name).items():
        tolerance = 5e-3 if (name, key) == ("uneven", "loss") else 1e-4  # see test_distribution.py
        assert np.abs(first[f"{name}/{key}"] - np.asarray(value)).max() < tolerance, key


@on_jax
@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ("images", ["ParameterError", 'training images is [22, "', 'in process 1 and [24, "']),
        ("parameter", ["ParameterError", "learning_rate is 0.1 in process 1 and 0.2 in process 0"]),
        ("version", ["ParameterError", 'version of keras is "3.0.0" in process 1']),
        ("seed", ["ParameterError", "give a random_state"]),
        ("alone", ["ParameterError", "leave Resources(distribution='auto')"]),
    ],
)
def test_what_is_not_the_same_is_named_in_each_process(two_hosts, about, expected):
    for complaints, _ in two_hosts:
        assert all(part in complaints[about] for part in expected), complaints[about]


@on_jax
@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_one_that_is_killed_stops_the_other_and_a_restart_goes_on(tmp_path, victim):
    import hosts

    kept = tmp_path / "cache_0" / "runs"
    end = time.monotonic() + PATIENCE
    with hosts_of(tmp_path, "resume") as processes:
        while not list(kept.glob("*/stage_0/epoch_000003")):
            assert all(process.poll() is None for process in processes), read_log(tmp_path, 0)[-3000:]
            assert time.monotonic() < end, read_log(tmp_path, 0)[-3000:]
            time.sleep(0.05)
        processes[victim].kill()
        begun = time.monotonic()
        survivor = 1 - victim
        assert processes[survivor].wait(timeout=120) != 0
    print(f"the other ended after {time.monotonic() - begun:.0f} s")
    log = read_log(tmp_path, survivor)
    assert "another one has ended" in log or "another task died" in log, log[-3000:]
    assert not (tmp_path / "model.keras").exists()
    n_kept = max(int(path.name[-6:]) for path in kept.glob("*/stage_0/epoch_*"))
    run(tmp_path, "resume")
    assert 3 <= n_kept < hosts.EPOCHS
    assert not list(kept.glob("*"))
    assert not (tmp_path / "cache_1" / "runs").exists(), "only the first writes"
    one = hosts.train_long().model_.get_weights()
    first, second = (list(np.load(tmp_path / f"found_{number}.npz").values()) for number in range(2))
    assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))
    assert all(np.abs(ours - theirs).max() < 1e-4 for ours, theirs in zip(first, one, strict=True))
    assert TransferClassifier.load(tmp_path / "model.keras").provenance_["epochs_run"] == hosts.EPOCHS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({N_PROCESSES: "2"}, "each finds KERAS_DISTRIBUTION_JOB_ADDRESSES"),
        ({ADDRESSES: "a:1,b:1"}, "KERAS_DISTRIBUTION_PROCESS_ID=''"),
        ({N_PROCESSES: "two"}, "must be a whole number, got 'two'"),
        ({PROCESS: "one"}, "must be a whole number, got 'one'"),
        ({N_PROCESSES: "0"}, "PROCESS_ID=0 is none of the 0 processes that"),
        ({ADDRESSES: "a:1", PROCESS: "3"}, "PROCESS_ID=3 is none of the 1 processes .* it would train alone"),
        ({ADDRESSES: "a:1", N_PROCESSES: "2", PROCESS: "2"}, "PROCESS_ID=2 is none of the 2 processes"),
        ({ADDRESSES: "a:1", N_PROCESSES: "2", PROCESS: "-1"}, "PROCESS_ID=-1 is none of the 2 processes"),
    ],
)
def test_half_an_environment_is_refused(monkeypatch, given, message):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ParameterError, match=message):
        join_hosts()


@pytest.mark.skipif(BACKEND == "jax", reason="JAX can")
def test_several_hosts_are_refused_where_keras_cannot(monkeypatch, images, labels):
    for name, value in {ADDRESSES: "localhost:1234", N_PROCESSES: "2", PROCESS: "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ParameterError, match=f"with JAX alone, not with '{BACKEND}': set KERAS_BACKEND=jax"):
        TransferClassifier("tiny", weights=None).fit(images, labels)


@on_jax
def test_joining_too_late_says_where_to_join(monkeypatch, images):
    keras.ops.convert_to_tensor(images)  # JAX has begun
    for name, value in {ADDRESSES: "localhost:1234", N_PROCESSES: "2", PROCESS: "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ParameterError, match=r"call melanoma_tl\.distribution\.join_hosts\(\) at the start"):
        join_hosts()


@on_jax
def test_as_many_devices_in_each_process(monkeypatch):
    monkeypatch.setattr(replicas, "list_devices", lambda: ["gpu:0", "gpu:1", "gpu:2"])
    monkeypatch.setattr(replicas, "count_processes", lambda: (2, 0))
    with pytest.raises(ParameterError, match="1 of the 3 devices of 2 processes: each needs as many as the others"):
        replicas.find_replicas("auto")


def test_only_the_first_process_writes(monkeypatch, tmp_path, images, labels):
    clf = TransferClassifier("tiny", weights=None, epochs=1, verbose=0).fit(images, labels)
    monkeypatch.setattr(distribution, "count_processes", lambda: (2, 1))
    clf.save(tmp_path / "second.keras")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(distribution, "count_processes", lambda: (2, 0))
    clf.save(tmp_path / "first.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["first.keras"]


def test_only_what_tells_of_a_lost_process_is_explained():
    two = Replicas(object(), 2, 2, 0)
    two.raise_if_peer_lost(ValueError("a callback's own"))
    with pytest.raises(TrainingError, match=r"process 0 of 2 cannot go on, because another one .* fit\(resume=True\)"):
        two.raise_if_peer_lost(ValueError("UNKNOWN: Gloo AllGather failed: Connection closed by peer"))
    replicas.SINGLE_DEVICE.raise_if_peer_lost(ValueError("Gloo"))
