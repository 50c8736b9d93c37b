"""What was killed goes on to the end that it would have had."""

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
from processes import PATIENCE, full_disk, started

from melanoma_tl import Augmenter, Probe, Stage, TransferClassifier, cache
from melanoma_tl.errors import CacheError, ParameterError
from melanoma_tl.training import checkpoints

pytestmark = pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")


def make(**changes):
    options = {
        "weights": None,
        "epochs": 5,
        "batch_size": 8,
        "learning_rate": 0.02,
        "trainable_from": "conv1",
        "dropout": 0.3,
        "random_state": 0,
        "verbose": 0,
        "precision": "float32",
    }
    return TransferClassifier("tiny").set_params(**(options | changes))


class Killed(BaseException):
    """Nothing in the library catches it."""


class Kill(keras.callbacks.Callback):
    def __init__(self, *, epoch, batch=None):
        super().__init__()
        self.at, self.batch, self.epoch, self.begun = epoch, batch, 0, []

    def on_epoch_begin(self, epoch, logs=None):
        if self.batch is None and 0 <= self.at == epoch - 1:
            raise Killed
        self.epoch = epoch
        self.begun.append(epoch)

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (self.at, self.batch):
            raise Killed

    def on_train_end(self, logs=None):
        if self.batch is None and self.epoch == self.at:
            raise Killed


def same_weights(one, other):
    return all(
        np.allclose(*pair, atol=1e-5, rtol=0)
        for pair in zip(one.model_.get_weights(), other.model_.get_weights(), strict=True)
    )


WAYS = {
    "plain": {},
    "passes": {"steps_per_epoch": 2, "augmenter": Augmenter(horizontal_flip=True, rotation_range=20)},
    "averaged": {"optimizer": "rmsprop", "optimizer__ema_momentum": 0.9, "restore_best": False},
    "averaged and best": {"optimizer__ema_momentum": 0.9},
    "stages": {
        "trainable_from": None,
        "stages": (Probe(), Stage(epochs=2), Stage("conv2", epochs=4, schedule="cosine")),
    },
}


@pytest.fixture(scope="module")
def unbroken_runs(images, labels):
    """What is never killed, trained once for all the ways to kill it."""
    data = {"validation_data": (images[:10], 1 - labels[:10])}
    return functools.cache(lambda way: make(**WAYS[way]).fit(images, labels, **data))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "batch"), [*((way, None) for way in WAYS), *((way, 1) for way in ("passes", "stages"))]
)
def test_a_killed_run_ends_as_an_unbroken_one(images, labels, unbroken_runs, way, batch):
    changes, data = WAYS[way], {"validation_data": (images[:10], 1 - labels[:10])}
    unbroken = unbroken_runs(way)
    killer = Kill(epoch=2, batch=batch)
    with pytest.raises(Killed):
        make(**changes).fit(images, labels, **data, resume=True, callbacks=[killer])
    watcher = Kill(epoch=-1)
    resumed = make(**changes).fit(images, labels, **data, resume=True, callbacks=[watcher])
    assert watcher.begun[0] == (3 if batch is None else 2), "it goes on after the last finished epoch"
    assert same_weights(resumed, unbroken)
    assert resumed.history_.keys() == unbroken.history_.keys()
    for name, values in unbroken.history_.items():
        assert np.allclose(resumed.history_[name], values, atol=1e-5)
    assert cache.size("runs") == 0, "what is finished needs no checkpoint"


@pytest.mark.slow
@pytest.mark.parametrize("validated", [True, False])
def test_averaged_weights_are_those_of_an_unbroken_run_to_the_last_bit(images, labels, validated):
    data = {"validation_data": (images[:10], 1 - labels[:10])} if validated else {}
    changes = {"optimizer__ema_momentum": 0.9, "restore_best": False}
    unbroken = make(**changes).fit(images, labels, **data)
    with pytest.raises(Killed):
        make(**changes).fit(images, labels, **data, resume=True, callbacks=[Kill(epoch=2)])
    resumed = make(**changes).fit(images, labels, **data, resume=True)
    for one, other in zip(resumed.model_.get_weights(), unbroken.model_.get_weights(), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.slow
def test_patience_is_remembered(images, labels):
    wrong = {"validation_data": (images, 1 - labels)}  # the longer it learns, the worse
    unbroken = make(epochs=20, early_stopping=3).fit(images, labels, **wrong)
    for epoch in (len(unbroken.history_["loss"]) - 2, len(unbroken.history_["loss"]) - 1):
        with pytest.raises(Killed):
            make(epochs=20, early_stopping=3).fit(images, labels, **wrong, resume=True, callbacks=[Kill(epoch=epoch)])
        resumed = make(epochs=20, early_stopping=3).fit(images, labels, **wrong, resume=True)
        assert len(resumed.history_["loss"]) == len(unbroken.history_["loss"])
        assert same_weights(resumed, unbroken)


@pytest.mark.slow
def test_another_run_does_not_go_on_from_this_one(images, labels):
    with pytest.raises(Killed):
        make().fit(images, labels, resume=True, callbacks=[Kill(epoch=3)])
    for changes in ({"learning_rate": 0.01}, {"random_state": 1}, {"epochs": 6}):
        watcher = Kill(epoch=-1)
        make(**changes).fit(images, labels, resume=True, callbacks=[watcher])
        assert watcher.begun[0] == 0
    watcher = Kill(epoch=-1)
    make().fit(images, 1 - labels, resume=True, callbacks=[watcher])
    assert watcher.begun[0] == 0
    make().fit(images, labels, resume=True, callbacks=[watcher])
    assert watcher.begun[-1] == 4
    assert len(watcher.begun) == 6, "only the last epoch was left"


def test_resuming_needs_a_seed(images, labels):
    with pytest.raises(ParameterError, match="give a random_state"):
        make(random_state=None).fit(images, labels, resume=True)


def test_without_resume_nothing_is_kept(images, labels):
    with pytest.raises(Killed):
        make().fit(images, labels, callbacks=[Kill(epoch=3)])
    assert cache.size("runs") == 0


SCRIPT = """
import os, sys
import numpy as np
import tensorflow as tf
tf.config.experimental.enable_op_determinism()
sys.path[:0] = [sys.argv[1], os.path.dirname(sys.argv[1])]
cache = os.environ["MELANOMA_TL_CACHE"]
from conftest import draw_images, register_tiny
from test_checkpoints import make
os.environ["MELANOMA_TL_CACHE"] = cache  # the tests have their own
register_tiny()
images, labels = draw_images(24), np.arange(24) % 2
clf = make(epochs=40).fit(images, labels, resume=True)
np.savez(sys.argv[2], *clf.model_.get_weights())
"""


@pytest.mark.slow
def test_a_process_that_is_killed_at_any_moment_goes_on(tmp_path):
    """Killed for real, twice, wherever it happens to be, in a cache of its own."""
    environment = os.environ | {"MELANOMA_TL_CACHE": str(tmp_path / "cache"), "TF_CPP_MIN_LOG_LEVEL": "3"}

    def start(target):
        command = [sys.executable, "-c", SCRIPT, os.path.dirname(__file__), str(target)]  # noqa: PTH120
        return started(command, env=environment, stderr=subprocess.DEVNULL)

    end = time.monotonic() + PATIENCE
    for n_epochs in (1, 20):
        with start(tmp_path / "never.npz") as process:
            while process.poll() is None and not any(
                int(path.name[6:]) >= n_epochs for path in (tmp_path / "cache").glob("runs/*/stage_0/epoch_*")
            ):
                assert time.monotonic() < end, f"epoch {n_epochs} does not come"
                time.sleep(0.01)
            assert process.poll() is None, "it finished before it could be killed"
            process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "never.npz").exists()
    with start(tmp_path / "resumed.npz") as process:
        assert process.wait(PATIENCE) == 0
    environment["MELANOMA_TL_CACHE"] = str(tmp_path / "other_cache")
    with start(tmp_path / "unbroken.npz") as process:
        assert process.wait(PATIENCE) == 0
    with np.load(tmp_path / "resumed.npz") as resumed, np.load(tmp_path / "unbroken.npz") as unbroken:
        for name in unbroken.files:
            assert np.allclose(resumed[name], unbroken[name], atol=1e-5)


def fit_with_error(images, labels, **options):
    with pytest.raises(Killed):
        make().fit(images, labels, resume=True, callbacks=[Kill(epoch=2)], **options)


@pytest.mark.slow
def test_two_identical_runs_at_once(images, labels, monkeypatch):
    """The second is told, and nothing of the first is spoiled."""
    monkeypatch.setattr("melanoma_tl.training.checkpoints._PATIENCE", 0.1)
    refused = []

    class Second(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                with ThreadPoolExecutor(1) as pool:
                    refused.append(pool.submit(lambda: make().fit(images, labels, resume=True)).exception())

    first = make().fit(images, labels, resume=True, callbacks=[Second()])
    assert isinstance(refused[0], CacheError)
    assert "under way in another process or thread" in str(refused[0])
    assert same_weights(first, make().fit(images, labels))
    assert cache.size("runs") == 0


@pytest.mark.slow
def test_the_second_waits_for_one_that_is_ending(images, labels, monkeypatch):
    monkeypatch.setattr(checkpoints, "_PATIENCE", 300)  # a busy machine takes long to end
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: make(epochs=1).fit(images, labels, resume=True), range(2)))
    assert all(len(fitted.history_["loss"]) == 1 for fitted in both)
    assert cache.size("runs") == 0


@pytest.mark.slow
def test_checkpoints_that_are_cleared_meanwhile(images, labels, unbroken_runs):
    """The run goes on, and can be killed and resumed again."""
    data = {"validation_data": (images[:10], 1 - labels[:10])}  # the first epoch is the best
    unbroken = unbroken_runs("plain")

    class Clear(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                cache.clear("runs")

    with pytest.raises(Killed):
        make().fit(images, labels, **data, resume=True, callbacks=[Clear(), Kill(epoch=3)])
    resumed = make().fit(images, labels, **data, resume=True)
    assert same_weights(resumed, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["runs", None])
def test_a_run_stays_alone_when_the_cache_is_cleared(images, labels, monkeypatch, part):
    monkeypatch.setattr("melanoma_tl.training.checkpoints._PATIENCE", 0.1)
    refused = []

    class ClearAndGoOn(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                cache.clear(part)
                with ThreadPoolExecutor(1) as pool:
                    refused.append(pool.submit(lambda: make().fit(images, labels, resume=True)).exception())

    first = make().fit(images, labels, resume=True, callbacks=[ClearAndGoOn()])
    assert "under way in another process or thread" in str(refused[0])
    assert same_weights(first, make().fit(images, labels))
    assert not list(cache.folder().glob(".run_*"))


def test_the_lock_of_a_run_that_was_killed_goes_with_the_runs():
    left = cache.lock_of_run("some")
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("")
    cache.clear("runs")
    assert not left.exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["flip", "truncate", "delete", "swap", "seal"])
def test_a_damaged_checkpoint_is_trained_again(images, labels, unbroken_runs, kind, caplog):
    data = {"validation_data": (images[:10], 1 - labels[:10])}
    unbroken = unbroken_runs("plain")
    fit_with_error(images, labels, **data)
    files = sorted(path for path in (cache.folder() / "runs").rglob("epoch_*/**/*") if path.is_file())
    weights = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(weights.read_bytes())
    if kind == "flip":
        content[len(content) // 2] ^= 4
        weights.write_bytes(content)
    elif kind == "truncate":
        weights.write_bytes(content[:-50])
    elif kind == "delete":
        weights.unlink()
    elif kind == "seal":
        next(path for path in files if path.name == "checksums.json").write_text("[" * 100_000)
    else:
        other = next(path for path in files if path.name == "best.npz")
        weights.write_bytes(other.read_bytes())
    assert same_weights(make().fit(images, labels, **data, resume=True), unbroken)
    assert "is damaged, and is trained again" in caplog.text


def test_a_full_disk_says_what_to_do(images, labels, monkeypatch):
    """The disk fills up when Keras has written its weights: before that, HDF5 may end the process."""
    keep = checkpoints.StageCheckpoint.keep_best

    def keep_on_a_full_disk(*arguments):
        with full_disk(1000):
            keep(*arguments)

    monkeypatch.setattr(checkpoints.StageCheckpoint, "keep_best", keep_on_a_full_disk)
    with pytest.raises(CacheError, match=r"File too large; free some space"):
        make().fit(images, labels, validation_data=(images[:10], labels[:10]), resume=True)


ON_A_SMALL_DISK = """
import os
import re
import shutil
import sys

import keras
import numpy as np
from conftest import draw_images, register_tiny

from melanoma_tl import TransferClassifier
from melanoma_tl.errors import CacheError

folder, left = sys.argv[1], int(sys.argv[2])
os.environ["MELANOMA_TL_CACHE"] = folder + "/cache"
register_tiny()


class FillUp(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            disk = os.statvfs(folder)
            with open(folder + "/others", "wb") as file:
                file.write(bytes(max(0, disk.f_bavail * disk.f_frsize - left)))


images, labels = draw_images(24), np.arange(24) % 2
options = {"weights": None, "trainable_from": "conv1", "epochs": 3, "batch_size": 8, "random_state": 0, "verbose": 0}
classifier = TransferClassifier("tiny", **options)
try:
    classifier.fit(images, labels, resume=True, callbacks=[FillUp()])
except CacheError as error:
    print(error, "epochs:", len(classifier.history_["loss"]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can make a small disk")
@pytest.mark.parametrize("left", [0, 16384, 500_000])
def test_a_full_disk_costs_no_finished_epoch(tmp_path, left):
    """HDF5 ends the process where it cannot write its last bytes."""
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed, which makes a small disk")
    script = 'mount -t tmpfs -o size=8m tmpfs "$1" && exec "$2" -c "$3" "$1" "$4"'
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", tmp_path, sys.executable, ON_A_SMALL_DISK, str(left)],
        env=os.environ | {"PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(r"the state of an epoch takes 1\.\d MiB, 0\.\d MiB are free; free some space", done.stdout)
    assert done.stdout.endswith("epochs: 1\n")
