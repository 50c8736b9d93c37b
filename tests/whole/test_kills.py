"""Processes that are killed a dozen times, at whatever moment: the same end as unbroken, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from processes import PATIENCE, started

pytestmark = pytest.mark.slow

N_KILLS = 12

N_SCORED = 96
"""Images of a job, one a shard: so many that a dozen kills do not reach the end."""

SERVER = """
import importlib, os, random, shutil, signal, sys, time
from pathlib import Path
root, name, n_kills = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
cache = os.environ["MELANOMA_TL_CACHE"]
sys.path[:0] = [sys.argv[4], os.path.dirname(sys.argv[4])]
import conftest
os.environ["MELANOMA_TL_CACHE"] = cache  # the tests have their own
import test_kills
for module in test_kills.BEFORE.get(name, test_kills.NETWORKS):
    importlib.import_module(module)

def fork():
    process = os.fork()  # before anything is computed, which threads of TensorFlow would not survive
    if process == 0:
        try:
            (test_kills.WORK | test_kills.JOBS)[name](root / "out")
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
    return process

begin = time.monotonic()
assert os.waitpid(fork(), 0)[1] == 0
seconds = time.monotonic() - begin
(root / "out").rename(root / "unbroken")
shutil.rmtree(cache, ignore_errors=True)
rng, killed = random.Random(0), 0
for number in range(n_kills):
    process = fork()
    begun = time.monotonic()
    test_kills.MOMENTS.get(name, test_kills.at_any)(root / "out", number, seconds, rng)
    waited = time.monotonic() - begun
    os.kill(process, signal.SIGKILL)
    if os.WIFSIGNALED(os.waitpid(process, 0)[1]):
        killed += 1
    else:
        seconds = waited  # the machine was slower before
assert os.waitpid(fork(), 0)[1] == 0
print("killed", killed)
"""


def _images():
    from conftest import draw_images

    return draw_images(96, side=64)


def _prepare(out):
    import numpy as np

    from melanoma_tl.images.loading import prepare

    prepared = prepare(list(_images()), np.arange(96) % 2, (48, 48), on_error="raise", desc="images", verbose=0)
    _write(out, pixels=prepared.pixels[:])


def _extract(out):
    import numpy as np
    from conftest import build, register_tiny

    from melanoma_tl.network.cutting import split_network
    from melanoma_tl.training.features import FeatureExtractor
    from melanoma_tl.training.views import ImageViews

    register_tiny()
    part = split_network(build("tiny", random_state=0, input_size=(64, 64)))
    views = ImageViews(_images(), [bytes([number]) * 32 for number in range(96)], None)
    options = {"policy": "float32", "recipe": "drawn", "budget": None, "batch_size": 4, "verbose": 0}
    inputs = FeatureExtractor(part.frozen, **options).extract(views, np.arange(96), 1, "images")
    _write(out, features=inputs.batch(np.arange(96), np.zeros(96, dtype=int), 0))


def _save(out):
    from conftest import build, register_tiny

    from melanoma_tl.saving.model_file import load_model, save_model

    register_tiny()
    save_model(build("tiny", random_state=0), {}, out / "m.keras")
    loaded = load_model(out / "m.keras")
    _write(out, **{f"weight_{number}": weight for number, weight in enumerate(loaded.model.get_weights())})


def _export(out):
    import numpy as np
    import tensorflow as tf
    from conftest import draw_images, register_tiny

    from melanoma_tl import TransferClassifier

    register_tiny()
    images = draw_images(8, side=32)  # the size that the network takes
    classifier = TransferClassifier("tiny", weights=None, epochs=1, random_state=0, verbose=0, precision="float32")
    exported = classifier.fit(images, [0, 1] * 4).export(out / "m", format="saved_model")
    score = tf.saved_model.load(str(exported.path)).signatures["serving_default"]
    (scores,) = score(tf.constant(images.astype(np.float32))).values()
    assert np.allclose(np.squeeze(scores), classifier.predict_proba(images)[:, 1], atol=1e-5)
    _write(out, scores=scores)


def _classifier(**changes):
    from conftest import register_tiny

    from melanoma_tl import TransferClassifier

    register_tiny()
    options = {"weights": None, "trainable_from": "conv1", "epochs": 12, "batch_size": 8, "dropout": 0.3}
    return TransferClassifier("tiny", **options | {"random_state": 0, "verbose": 0, "precision": "float32"} | changes)


def _train(out):
    """What is killed goes on where it was: a call that has ended begins anew."""
    classifier = _classifier().fit(_images(), [0, 1] * 48, resume=True)
    _write(out, **{f"weight_{number}": weight for number, weight in enumerate(classifier.model_.get_weights())})


def _ensemble(out):
    from sklearn.base import clone

    from melanoma_tl import Ensemble

    member = _classifier(epochs=1, trainable_from=None)
    ensemble = Ensemble([member, clone(member).set_params(trainable_from="conv2")], random_state=0, verbose=0)
    ensemble.fit(_images()[:24], [0, 1] * 12)
    ensemble.save(out / "ensemble.zip")
    _write(out, scores=Ensemble.load(out / "ensemble.zip").predict_proba(_images()[:24]))


def _resize(out):
    from PIL import Image

    from melanoma_tl import ISBIDataset

    given = out.parent / "given"
    given.mkdir(exist_ok=True)
    for number, pixels in enumerate(_images()):
        Image.fromarray(pixels).save(given / f"{number}.png")
    paths = [given / f"{number}.png" for number in range(96)]
    ISBIDataset([path.stem for path in paths], paths, [0, 1] * 48).resize_to(out, size=(32, 32), verbose=0)


def _score(out):
    from melanoma_tl import scale

    given = out.parents[1] / "given"
    scale.score(f"{given}/*.png", given / "model.keras", out, actors=1, shard_size=1, verbose=0)


def _score_without_ray(out):
    """Let one process be the driver and the worker, so that a kill hits both."""
    from melanoma_tl.scale import actors
    from melanoma_tl.scale.worker import ShardWorker

    def work_here(work, shards, _):
        worker = ShardWorker(work)
        yield from (worker({"shard": shard}) for shard in shards)

    actors.cluster, actors.run = nullcontext, work_here
    _score(out)


def _write(out, **arrays):
    import numpy as np

    from melanoma_tl._atomic import atomic_write

    with atomic_write(out / "result.npz") as unfinished:
        np.savez(unfinished, **arrays)


WORK = {
    "prepare": _prepare,
    "extract": _extract,
    "train": _train,
    "ensemble": _ensemble,
    "save": _save,
    "export": _export,
    "resize": _resize,
}
JOBS = {"job": _score_without_ray, "job on Ray": _score}

NETWORKS = ["melanoma_tl.classifier.ensemble", "melanoma_tl.classifier.transfer", "melanoma_tl.training.run"]
BEFORE = {"job": ["keras", "tensorflow", "ray.data"], "job on Ray": ["ray.data"]}
"""What is imported before the first fork: it takes seconds, in which a kill would hit nothing."""


def at_any(out, number, seconds, rng):
    time.sleep(rng.uniform(0, seconds))


def mostly_while_something_is_written(out, number, seconds, rng):
    """Wait for the images to be listed, or for a new shard: most of the time, Ray starts a worker."""
    if number % 4 == 0:
        at_any(out, number, seconds / 2, rng)  # what goes on where it was must not reach its end
    elif number % 4 == 1:
        end, before = time.monotonic() + 3 * seconds, len(list(out.glob("part-*")))
        while len(list(out.glob("part-*"))) == before and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
    else:
        time.sleep(rng.uniform(0, 0.5))


MOMENTS = dict.fromkeys(JOBS, mostly_while_something_is_written)


def run(root, name, n_kills, **variables):
    (root / "temporary").mkdir(parents=True)
    environment = os.environ | {
        "MELANOMA_TL_CACHE": str(root / "cache"),
        "TMPDIR": str(root / "temporary"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **variables,
    }
    command = [sys.executable, "-c", SERVER, str(root), name, str(n_kills), str(Path(__file__).parent)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with started(command, env=environment, **options) as server:
        try:
            said, errors = server.communicate(timeout=560)
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)  # with what it has forked
    assert server.returncode == 0, said + errors
    return int(said.split()[-1])


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", WORK)
def test_kills(tmp_path, name):
    assert run(tmp_path / "killed", name, N_KILLS) >= N_KILLS / 4, "most kills came too late to hit anything"
    killed, unbroken = (contents(tmp_path / "killed" / kind) for kind in ("out", "unbroken"))
    assert killed.keys() == unbroken.keys()
    compared = [file for file in unbroken if file.endswith((".png", ".csv", ".npz"))]
    assert compared, "of models, which hold the time at which they were written, the names alone are compared"
    for file in compared:
        if file.endswith(".npz"):
            _compare(tmp_path / "killed" / "out" / file, tmp_path / "killed" / "unbroken" / file)
        else:
            assert killed[file] == unbroken[file], file
    left = [path for path in (tmp_path / "killed").rglob("*") if "unfinished" in path.name]
    assert left == []


@pytest.mark.parametrize("name", JOBS)
def test_kills_of_a_job(tmp_path, name):
    pytest.importorskip("ray", reason="the ray extra is not installed")
    _give(tmp_path / "given")
    with _cluster() if name == "job on Ray" else nullcontext({}) as variables:
        run(tmp_path / "unbroken", name, 0, **variables)
        n_kills = N_KILLS if name == "job" else N_KILLS // 2  # Ray takes ten seconds to start what was killed
        assert run(tmp_path / "killed", name, n_kills, **variables) >= n_kills / 4
    assert contents(tmp_path / "killed" / "out") == contents(tmp_path / "unbroken" / "out")
    assert len(list((tmp_path / "killed" / "out").glob("part-*"))) == N_SCORED
    assert not list((tmp_path / "killed" / "out" / "_job" / "unfinished").iterdir())
    assert list((tmp_path / "killed").rglob("*unfinished_*")) == []


def _give(folder):
    from conftest import draw_images
    from PIL import Image

    from melanoma_tl import TransferClassifier

    folder.mkdir()
    images = draw_images(N_SCORED, side=32)
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    classifier = TransferClassifier("tiny", weights=None, epochs=1, random_state=0, verbose=0)
    classifier.fit(images, [0, 1] * (N_SCORED // 2)).save(folder / "model.keras")


@contextmanager
def _cluster():
    """Start Ray once for all drivers: to start it takes longer than a job, and it is not what is killed."""
    code = (
        "import ray, sys\n"
        "context = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level='ERROR')\n"
        "print(context.address_info['gcs_address'], flush=True)\n"
        "sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = os.environ | {"RAY_AUTH_MODE": "disabled"}
    with started([sys.executable, "-c", code], env=environment, **pipes) as process:
        address = process.stdout.readline().strip()
        assert address, "Ray did not start"
        try:
            yield {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"}
        finally:
            process.communicate(timeout=PATIENCE)  # it ends with its input, and takes what it has started along


def _compare(one, other):
    import numpy as np

    with np.load(one) as found, np.load(other) as expected:
        assert found.files == expected.files
        for name in expected.files:
            assert np.allclose(found[name], expected[name], atol=1e-5, rtol=0)
