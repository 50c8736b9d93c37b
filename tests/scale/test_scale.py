"""Jobs on Ray: the same scores as on one machine, nothing lost, nothing twice, whatever happens in between."""

import logging
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import draw_images
from PIL import Image
from processes import PATIENCE, started

from melanoma_tl import Augmenter, Ensemble, Probe, TransferClassifier, cache
from melanoma_tl.errors import DatasetError, JobError, MissingPackageError, ModelFileError, ParameterError

pytest.importorskip("ray", reason="the ray extra is not installed")

import fsspec
import pyarrow as pa
import ray
from pyarrow.fs import LocalFileSystem

from melanoma_tl.images.decoding import ImageFile
from melanoma_tl.scale import jobs as scale
from melanoma_tl.scale import listing, lock
from melanoma_tl.scale.actors import Actors
from melanoma_tl.scale.extraction import Extraction
from melanoma_tl.scale.filesystems import resolve
from melanoma_tl.scale.job_folder import JobFolder
from melanoma_tl.scale.scoring import Scorer
from melanoma_tl.scale.shard_schema import schema_with
from melanoma_tl.training.features import open_feature_store

LOCAL = LocalFileSystem()
EXAMPLE = Path(__file__).parents[2] / "examples" / "score_archive.py"


@pytest.fixture(scope="module")
def one_ray():
    """One small cluster for all jobs of this file."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def archive(tmp_path_factory, bad_images) -> Path:
    """Sixty images in two folders, and one file for each way in which an image can be bad."""
    folder = tmp_path_factory.mktemp("archive")
    for part in ("a", "b"):
        (folder / part).mkdir()
    for position, pixels in enumerate(draw_images(60, seed=5)):
        Image.fromarray(pixels).save(folder / "ab"[position % 2] / f"IMG_{position:03}.png")
    for path in bad_images.iterdir():
        if path.is_file():
            shutil.copy(path, folder / "b" / f"bad_{path.name}")
    return folder


@pytest.fixture(scope="module")
def bad_names(archive) -> set[str]:
    return {path.stem for path in archive.rglob("bad_*")}


def train(images, labels, seed=0, **options):
    return TransferClassifier("tiny", weights=None, epochs=2, random_state=seed, verbose=0, **options).fit(
        images, labels
    )


@pytest.fixture(scope="module")
def classifier(images, labels) -> TransferClassifier:
    return train(images, labels, on_error="skip")


@pytest.fixture(scope="module")
def model(tmp_path_factory, classifier) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.keras"
    classifier.save(path)
    return path


def read(out) -> pd.DataFrame:
    return pd.read_parquet(out)


def check_whole(out, archive, classifier, bad_names, **options):
    """Check that a job has each image once, with the score of `predict_proba` or an error."""
    table = read(out)
    files = sorted(str(path) for path in archive.rglob("*.*"))
    assert sorted(table["path"]) == files, "nothing is lost and nothing stands there twice"
    assert set(table["id"][table["error"].notna()]) == bad_names
    assert (table["error"].notna() == table["score"].isna()).all()
    expected = classifier.predict_proba(table["path"].tolist(), **options)[:, 1]
    np.testing.assert_allclose(table["score"], expected, atol=1e-6, rtol=0)
    return table


# -- whole jobs ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored(one_ray, archive, model, tmp_path_factory):
    """A job that could not write one of its shards, and went on when it could."""
    out = tmp_path_factory.mktemp("scored") / "out"
    in_the_way = out / "part-000002.parquet"

    def get_in_the_way():
        wait_for(lambda: (out / "_job" / "job.json").exists())
        (in_the_way / "file").mkdir(parents=True)

    threading.Thread(target=get_in_the_way, daemon=True).start()
    options = {"actors": 1, "shard_size": 16, "verbose": 0}
    with pytest.raises(JobError, match=r"part-000002.parquet: the shard cannot be written .*call again"):
        scale.score(f"{archive}/**/*.*", model, out, **options)
    shutil.rmtree(in_the_way)
    earlier = {path: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    return out, earlier, scale.score(f"{archive}/**/*.*", model, out, **options)


def test_a_job_scores_each_image_as_predict_proba_does(scored, archive, classifier, bad_names):
    out, _, result = scored
    table = check_whole(out, archive, classifier, bad_names)
    assert (result.n_images, result.n_errors, result.n_shards) == (len(table), len(bad_names), 5)
    assert result.n_scored == 60
    assert table.columns.tolist() == ["id", "path", "score", "error"]


def test_errors_are_those_of_the_decoder(scored, bad_names):
    _, _, result = scored
    errors = result.errors.set_index("id")["error"]
    assert set(errors.index) == bad_names
    assert errors["bad_empty"] == "the file is empty (0 bytes)"
    assert errors["bad_text"].startswith("not an image in a format that is read")
    assert f"{len(bad_names)} could not be read" in str(result)


def test_a_job_that_goes_on_computes_no_shard_again(scored):
    _, earlier, result = scored
    assert earlier, "the failed call has left the shards that it could write"
    assert result.n_found >= sum(len(read(path)) for path in earlier)
    assert all(path.stat().st_mtime_ns == written for path, written in earlier.items())


def test_a_finished_job_has_nothing_to_do(scored, archive, model, monkeypatch):
    out, _, result = scored
    monkeypatch.setattr("melanoma_tl.scale.actors.run", lambda *_: pytest.fail("no actor is needed"))
    again = scale.score(f"{archive}/**/*.*", model, out, verbose=0)
    assert (again.n_images, again.n_errors, again.n_found) == (result.n_images, result.n_errors, result.n_images)


def test_a_shard_that_was_cut_short_is_made_again(scored, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(scored[0], out)
    (out / "part-000001.parquet").write_bytes(b"PAR1")
    assert sorted(JobFolder(*resolve(out)).finished()) == [0, 2, 3, 4]


def test_nothing_else_is_left_in_the_folder(scored):
    out, _, _ = scored
    assert sorted(path.name for path in (out / "_job").iterdir()) == ["images.parquet", "job.json", "unfinished"]
    assert not list((out / "_job" / "unfinished").iterdir())


@pytest.mark.slow
def test_an_actor_that_dies_loses_nothing(one_ray, archive, model, classifier, bad_names, tmp_path):
    killed = []

    def kill_the_worker():
        wait_for(lambda: list((tmp_path / "out").glob("part-*")))
        killed.extend(workers())
        for worker in killed:
            os.kill(worker, signal.SIGKILL)

    killer = threading.Thread(target=kill_the_worker, daemon=True)
    killer.start()
    result = scale.score(
        archive.rglob("*.*"), model, tmp_path / "out", tta=4, actors=1, batch_size=2, shard_size=2, verbose=0
    )
    killer.join(60)
    assert len(killed) == 1
    assert result.n_images == len(check_whole(tmp_path / "out", archive, classifier, bad_names, tta=4))


def wait_for(condition) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def workers() -> list[int]:
    """Find the actors of the cluster that this process started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = _parent(int(status.parent.name))
            command = (status.parent / "cmdline").read_bytes()
            if command.startswith(b"ray::") and b"ShardWorker" in command and _parent(parent) == os.getpid():
                found.append(int(status.parent.name))
        except (OSError, StopIteration):  # it has ended meanwhile
            continue
    return found


def _parent(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("PPid:")).split()[1])


@pytest.mark.slow
def test_an_ensemble_scores_on_filesystems_that_are_not_local(
    one_ray, archive, images, labels, bad_names, tmp_path, monkeypatch
):
    ensemble = Ensemble([train(images, labels, seed, on_error="skip") for seed in (1, 2)], verbose=0)
    ensemble.save(tmp_path / "model.zip")
    there = fsspec.filesystem("dir", path=str(archive), fs=fsspec.filesystem("file"))
    out = fsspec.filesystem("dir", path=str(tmp_path), fs=fsspec.filesystem("file"))
    result = scale.score(
        "*/*.*", tmp_path / "model.zip", "out", actors=2, shard_size=32, filesystem=there, out_filesystem=out, verbose=0
    )
    assert result.n_errors == len(bad_names)
    table = read(tmp_path / "out")
    assert set(table["path"]) == {str(path.relative_to(archive)) for path in archive.rglob("*.*")}
    expected = ensemble.predict_proba([archive / path for path in table["path"]])[:, 1]
    np.testing.assert_allclose(table["score"], expected, atol=1e-6, rtol=0)
    assert "the file is empty (0 bytes)" in set(result.errors["error"])


def run_example(*arguments) -> int:
    return runpy.run_path(str(EXAMPLE))["main"]([str(argument) for argument in arguments])


def test_a_damaged_model_is_said_in_one_line(one_ray, archive, model, tmp_path, capsys):
    damaged = tmp_path / "model.keras"
    damaged.write_bytes(model.read_bytes()[:-200])
    assert run_example(damaged, archive, "--out", tmp_path / "out") == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert "model.keras: " in message
    assert "damaged" in message
    assert not list((tmp_path / "out").glob("part-*"))


def test_the_example_lists_what_is_broken(scored, archive, model, bad_names, capsys):
    assert run_example(model, f"{archive}/**/*.*", "--out", scored[0]) == 0
    printed = capsys.readouterr().out
    assert "67 images in 5 shards" in printed
    assert all(f"{name}." in printed for name in bad_names)
    assert "not scored: " in printed


@pytest.mark.slow
def test_a_job_whose_driver_was_killed_goes_on(archive, model, classifier, bad_names, tmp_path):
    code = f"from melanoma_tl import scale; print(scale.score({str(archive)!r}, {str(model)!r}, 'out', shard_size=2))"
    environment = os.environ | {"RAY_ADDRESS": "local"}
    options = {"cwd": tmp_path, "env": environment}
    with started([sys.executable, "-c", code], **options, stderr=subprocess.DEVNULL) as first:
        wait_for(lambda: first.poll() is not None or list(tmp_path.glob("out/part-*")))
    # Workers may live on for a moment, and finish a shard that the second call then finds.
    finished = {part: part.read_bytes() for part in tmp_path.glob("out/part-*")}
    assert 0 < len(finished) < 30
    done = subprocess.run([sys.executable, "-c", code], **options, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    table = read(tmp_path / "out")
    computed = int(re.search(r"(\d+) of them in this call", done.stdout)[1])
    assert 0 < computed <= len(table) - 2 * len(finished)
    assert {part: part.read_bytes() for part in finished} == finished
    assert table["path"].is_unique
    assert len(table) == len(list(archive.rglob("*.*")))


# -- scores ----------------------------------------------------------------------------------------------------------


def compute(classifier, images) -> pd.DataFrame:
    """Let a worker's scorer work here, without Ray."""
    names = [f"archive/IMG_{position}.png" for position in range(len(images))]
    (table,) = Scorer(classifier, None, None).compute(names, images)
    return table.to_pandas()


def test_several_diagnoses_have_a_column_each(images, archive):
    labels = np.array(["melanoma", "naevus", "keratosis"] * 8)
    classifier = train(images, labels)
    files = sorted(archive.rglob("IMG_*.png"))[:4]
    table = compute(classifier, [*files, archive / "none.png"])
    columns = ["score_keratosis", "score_melanoma", "score_naevus"]
    assert table.columns.tolist() == ["id", "path", *columns, "error"]
    np.testing.assert_allclose(table[columns][:4], classifier.predict_proba(files), atol=1e-6)
    assert table["error"].fillna("").tolist() == [""] * 4 + ["no such file"]
    assert table[columns].isna().all(axis=1).tolist() == [False] * 4 + [True]


def test_an_image_that_could_not_be_read_for_a_moment_is_scored(classifier, archive):
    file, times = sorted(archive.rglob("IMG_*.png"))[0], []

    def read():
        times.append(1)
        if len(times) == 1:
            raise OSError("timed out")
        return file.read_bytes()

    table = compute(classifier, [ImageFile("there", read)])
    assert table["error"].isna().all()
    np.testing.assert_allclose(table["score"], classifier.predict_proba([file])[:, 1], atol=1e-6)


def test_a_score_that_is_no_number_is_an_error(images, labels, archive):
    classifier = train(images, labels)
    classifier.model_.set_weights([weights * np.nan for weights in classifier.model_.get_weights()])
    table = compute(classifier, sorted(archive.rglob("IMG_*.png"))[:2])
    assert table["score"].isna().all()
    assert table["error"].tolist() == ["the model returns NaN for it"] * 2


# -- features --------------------------------------------------------------------------------------------------------


def frozen(**options) -> TransferClassifier:
    clf = TransferClassifier("tiny", weights=None, epochs=2, random_state=4, verbose=0, on_error="skip")
    return clf.set_params(**options)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MELANOMA_TL_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
def test_fit_computes_nothing_that_was_extracted(one_ray, archive, bad_names, own_cache, tmp_path, caplog):
    options = {"augmenter": Augmenter(horizontal_flip=True, views=2), "trainable_from": "conv2"}
    result = scale.extract(archive, frozen(**options), tmp_path / "out", actors=1, shard_size=40, verbose=0)
    n_bad = len(bad_names)
    assert (result.n_images, result.n_errors) == (60 + n_bad, n_bad)
    table = read(tmp_path / "out")
    assert table.groupby("path")["view"].nunique().value_counts().to_dict() == {2: 60, 0: n_bad}
    assert scale.store_features(tmp_path / "out", verbose=0) == 2 * 60

    files = sorted(archive.rglob("IMG_*.png"))
    labels = [int(path.stem[-3:]) % 2 for path in files]
    with caplog.at_level(logging.INFO):
        clf = frozen(**options).fit(files, labels)
    assert "training images: 120 of 120 features are stored already" in caplog.text
    assert "stored features differ" not in caplog.text
    without_store = frozen(**options, resources__feature_cache_bytes=0).fit(files, labels)
    for ours, expected in zip(clf.model_.get_weights(), without_store.model_.get_weights(), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert scale.store_features(tmp_path / "out", verbose=0) == 2 * 60, "a second call changes nothing"
    assert cache.size("features") < 2 * 60 * np.prod(clf.model_.get_layer("relu1").output.shape[1:]) * 4 * 1.2


@pytest.mark.slow
def test_features_are_extracted_as_fit_extracts_them(archive, own_cache):
    """Every precision and stage, without Ray: what a worker computes, and what `fit` stores, by the same key."""
    files = sorted(archive.rglob("IMG_*.png"))[:6]
    for options in ({"precision": "bfloat16"}, {"stages": (Probe(),)}, {"precision": "float32", "tta": 2}):
        cache.clear()
        task = Extraction.of(frozen(**options).frozen_part(), 4)
        (first, second) = task.prepare().compute([str(file) for file in files], files)
        extracted = pa.concat_tables([first, second])
        frozen(**options).fit(files, [0, 1] * 3)
        store = open_feature_store(task.store, task.shape, np.dtype(task.dtype))
        stored = store.open(store.find(extracted["key"].to_pylist()))[:].astype("float32")
        np.testing.assert_allclose(
            extracted["features"].combine_chunks().flatten().to_numpy().reshape(stored.shape), stored, atol=1e-6
        )


def test_what_cannot_be_extracted_is_said(scored, archive, tmp_path):
    for options, reason in (
        ({"augmenter": Augmenter(horizontal_flip=True)}, "mixed images and endless views are new"),
        ({"mix": "mixup"}, "mixed images and endless views are new"),
        ({"trainable_from": "conv1"}, "trains all layers"),
        ({"random_state": None}, "new in every fit cannot be stored"),
    ):
        with pytest.raises(ParameterError, match=reason):
            scale.extract(archive, frozen().set_params(**options), tmp_path / "out")
    with pytest.raises(JobError, match="holds no features"):
        scale.store_features(scored[0])
    task = Extraction.of(frozen(augmenter=Augmenter(horizontal_flip=True, views=2)).frozen_part(), 4)
    for change in ({"recipe": "32x32_another_decoder"}, {"view_keys": (b"", b"another backend")}):
        with pytest.raises(JobError, match="install the same versions and Keras backend"):
            replace(task, **change).prepare()


# -- the folder ------------------------------------------------------------------------------------------------------


def test_another_model_other_options_and_other_images_are_refused(scored, archive, model, images, labels, tmp_path):
    out, _, _ = scored
    other = tmp_path / "other.keras"
    train(images, labels, seed=3).save(other)
    with pytest.raises(JobError, match="a job with another model"):
        scale.score(f"{archive}/**/*.*", other, out)
    with pytest.raises(JobError, match="a job with another tta"):
        scale.score(f"{archive}/**/*.*", model, out, tta=4)
    with pytest.raises(JobError, match="a job for other images"):
        scale.score(f"{archive}/a/*", model, out)
    with pytest.raises(JobError, match="a job for other images"):
        scale.score([archive / "a" / "IMG_000.png"], model, out)


def test_a_folder_of_somebody_else_is_left_alone(archive, model, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(JobError, match=r"holds 'notes.txt' and is no folder of a job"):
        scale.score(archive, model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_images_that_are_not_there_and_a_model_that_is_not_one(archive, model, tmp_path):
    with pytest.raises(DatasetError, match=r"\*\.dcm: no image matches"):
        scale.score(f"{archive}/*.dcm", model, tmp_path / "out")
    with pytest.raises(DatasetError, match="no such file or folder"):
        scale.score(archive / "c", model, tmp_path / "out")
    with pytest.raises(DatasetError, match="the list is empty"):
        scale.score([], model, tmp_path / "out")
    with pytest.raises(ModelFileError, match=r"none.keras: cannot be read"):
        scale.score(archive, tmp_path / "none.keras", tmp_path / "out")
    (tmp_path / "model.onnx").write_bytes(b"exported")
    with pytest.raises(ModelFileError, match=r"^model\.onnx: an exported model: open it with .*ExportedClassifier"):
        scale.score(archive, tmp_path / "model.onnx", tmp_path / "untouched")
    assert not (tmp_path / "untouched").exists()
    with pytest.raises(ParameterError, match="save it first"):
        scale.score(archive, TransferClassifier(), tmp_path / "out")
    with pytest.raises(ParameterError, match=r"images, which come first, must be .* got TransferClassifier"):
        scale.score(TransferClassifier(), model, tmp_path / "out")
    with pytest.raises(ModelFileError, match=r"cannot be read .* images come first, then the model file"):
        scale.score(model, archive, tmp_path / "out")
    for options in ({"shard_size": 0}, {"actors": 0}, {"cpus": 1.5}, {"gpus": -1}, {"batch_size": True}):
        with pytest.raises(ParameterError, match=next(iter(options))):
            scale.score(archive, model, tmp_path / "out", **options)


def test_what_kills_every_worker_does_not_go_on_for_ever(tmp_path):
    folder = JobFolder(*resolve(tmp_path / "out"))
    with folder.locked():
        at_work = [folder.attempt(7) for _ in range(3)]
        for worker in at_work:
            worker.__enter__()  # one that dies does not leave
        with (
            pytest.raises(JobError, match=r"part-000007.parquet: 3 workers died .*smaller batch_size"),
            folder.attempt(7),
        ):
            pass
        with folder.attempt(8):
            pass
    for death in "abc":  # of a job that was killed itself
        notes = tmp_path / "out" / "_job" / "unfinished" / "part-000007.begun"
        notes.mkdir(exist_ok=True)
        (notes / death).touch()
    with folder.locked(), folder.attempt(7):
        pass


def test_what_is_not_installed_is_named(archive, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'melanoma_tl\[ray\]'"):
        scale.score(archive, model, tmp_path / "out")


@pytest.fixture
def quick_lock(monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.5)


def test_two_jobs_in_one_folder_are_refused(archive, model, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 2.0)  # patient enough for a busy machine
    folder = JobFolder(*resolve(tmp_path / "out"))
    with folder.locked(), pytest.raises(JobError, match=rf"process {os.getpid()} on .* uses this folder"):
        scale.score(archive, model, tmp_path / "out", verbose=0)
    with folder.locked():
        pass


def write_owner(path, **owner):
    path.parent.mkdir(parents=True)
    path.write_text(pd.Series({"token": "other", "host": "elsewhere", "process": 1, "beat": 3} | owner).to_json())


@pytest.mark.parametrize("owner", [{}, {"host": os.uname().nodename, "process": 2**22 + 1}])
def test_the_folder_of_a_dead_job_is_free(quick_lock, tmp_path, owner):
    file = tmp_path / "out" / "_job" / "lock.json"
    write_owner(file, **owner)
    start = time.monotonic()
    with JobFolder(*resolve(tmp_path / "out")).locked():
        waited = time.monotonic() - start
        assert "other" not in file.read_text()
    assert (waited < lock.MISSED * lock.BEAT) == bool(owner), "only of a process of this machine is it known at once"
    assert not file.exists()


def test_a_job_whose_folder_was_taken_stops(quick_lock, tmp_path):
    file = tmp_path / "out" / "_job" / "lock.json"

    def work_while_another_takes_the_folder():
        with JobFolder(*resolve(tmp_path / "out")).locked() as held:
            file.write_text(file.read_text().replace(held._owner["token"], "other"))
            for _ in range(1000):
                held.check()
                time.sleep(0.02)

    with pytest.raises(JobError, match="the folder was taken over by another job"):
        work_while_another_takes_the_folder()
    assert "other" in file.read_text(), "what belongs to the other job stays"


# -- the listing -----------------------------------------------------------------------------------------------------


def list_all(images, **options):
    return list(listing.find(images, **options).paths)


def test_globs_folders_files_and_uris_are_listed_in_order(archive, tmp_path, monkeypatch):
    of_a = sorted(str(path) for path in (archive / "a").iterdir())
    every = sorted(str(path) for path in archive.rglob("*.*"))
    assert list_all(f"{archive}/a/*.png") == of_a
    assert list_all(f"{archive}/?/*.*") == every
    assert list_all(f"{archive}/**/*.*") == every
    assert list_all(f"{archive}/*.png") == [], "a star stands for no folder"
    assert list_all(f"{archive}/**/IMG_00[0-3].png") == sorted(str(path) for path in archive.rglob("IMG_00[0-3].png"))
    assert list_all(archive) == list_all(f"file://{archive}") == every, "a folder means the images in it"
    assert list_all(of_a[0]) == of_a[:1]
    assert list_all(f"file://{archive}/a/*.png") == of_a
    assert list_all([f"file://{path}" for path in of_a]) == of_a
    monkeypatch.chdir(archive)
    assert list_all("a/*") == of_a
    assert list_all(["a/IMG_000.png"]) == of_a[:1], "workers may be in another folder"
    memory = fsspec.filesystem("memory")
    memory.pipe({"/some/a/1.jpg": b"", "/some/2.jpg": b"", "/some/.hidden.jpg": b""})
    assert list_all("memory://some/**/*.jpg") == ["/some/2.jpg", "/some/a/1.jpg"]
    assert list_all("/some/*/*", filesystem=memory) == ["/some/a/1.jpg"]
    with pytest.raises(ParameterError, match="one filesystem"):
        list_all([f"file://{of_a[0]}", "s3://bucket/image.jpg"])
    with pytest.raises(ParameterError, match="neither PyArrow nor fsspec"):
        list_all("nowhere://bucket/*.jpg")


def test_many_names_take_little_memory(tmp_path):
    n_names = 200_000
    names = (f"/archive/{number // 1000:04}/ISIC_{number:07}.jpg" for number in range(n_names))
    tracemalloc.start()
    try:
        n_images, digest = listing.write(names, LOCAL, str(tmp_path / "images.parquet"), 512)
        written = tracemalloc.get_traced_memory()[1]
        shards = listing.Listing(LOCAL, str(tmp_path / "images.parquet"))
        assert shards[390][-1] == "/archive/0199/ISIC_0199999.jpg"
        assert len(shards[390]) == n_names % 512
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_images == n_names
    assert written < 5e6, "a list of the names would take 20 MB"
    assert peak < 5e6
    assert digest != listing.digest_of(["/archive/0000/ISIC_0000000.jpg"])


def test_a_glob_lists_one_folder_at_a_time(archive, monkeypatch):
    asked = []
    entries = listing._entries
    monkeypatch.setattr(listing, "_entries", lambda where, path: asked.append(path) or entries(where, path))
    names = iter(listing.find(f"{archive}/**/*.png").paths)
    assert not asked, "nothing is listed before it is needed"
    next(names)
    assert asked == [str(archive), str(archive / "a")]
    asked.clear()
    assert list_all(f"{archive}/*.png") == []
    assert asked == [str(archive)], "what cannot match is not looked through"


# -- the cluster -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "machines", "expected"),
    [
        ((None, None, None), [{"CPU": 8}], (1, 8, 0)),
        ((4, None, None), [{"CPU": 8}], (4, 2, 0)),
        ((None, None, None), [{"CPU": 8}, {"CPU": 4}], (2, 4, 0)),
        ((None, None, None), [{"CPU": 16, "GPU": 4}, {"CPU": 2}], (4, 4, 1)),
        ((None, None, 0.5), [{"CPU": 16, "GPU": 1}], (2, 8, 0.5)),
        ((None, 3, 0), [{"CPU": 16, "GPU": 1}], (1, 3, 0)),
        ((2, None, 1), [{"CPU": 16}], (2, 1, 1)),
    ],
)
def test_actors_share_what_the_machines_have(wanted, machines, expected):
    fitted = Actors(*wanted).fit(machines)
    assert (fitted.number, fitted.cpus, fitted.gpus) == expected


@pytest.mark.slow
def test_features_of_a_damaged_shard_are_not_taken(tmp_path, own_cache):
    """A flipped bit would become a feature with a good checksum."""
    folder = JobFolder(*resolve(tmp_path / "out"))
    keys, arrays = [bytes([number]) * 32 for number in range(30)], np.random.default_rng(0).random((30, 8), "float32")
    job = {"kind": "extract", "store": "drawn", "shape": [8], "dtype": "float32", "views": [""]}
    names = listing.Names(folder.filesystem, [f"{number}.png" for number in range(30)], None)
    columns = [("view", pa.int32()), ("key", pa.binary()), ("features", pa.list_(pa.float32(), 8))]
    schema = schema_with(columns)
    with folder.locked():
        folder.start(job, names, 30)
        table = pa.table(
            {
                "id": [str(number) for number in range(30)],
                "path": [f"{number}.png" for number in range(30)],
                "view": pa.array([0] * 30, pa.int32()),
                "key": pa.array(keys, pa.binary()),
                "features": pa.FixedSizeListArray.from_arrays(pa.array(arrays.ravel()), 8),
                "error": pa.nulls(30, pa.string()),
            },
            schema=schema,
        )
        folder.write(0, [table], schema, use_dictionary=False, use_byte_stream_split=["features.list.element"])
    assert scale.store_features(tmp_path / "out", verbose=0) == 30
    shard = tmp_path / "out" / "part-000000.parquet"
    whole, refused = shard.read_bytes(), 0
    for number in range(100):
        content = bytearray(whole)
        content[np.random.default_rng(number).integers(len(content))] ^= 1 << number % 8
        shard.write_bytes(content)
        cache.clear("features")
        try:
            n_stored = scale.store_features(tmp_path / "out", verbose=0)
        except JobError as error:
            refused += "delete it" in str(error)
            continue
        if n_stored:  # where the end of the file is damaged, it does not count as finished
            store = open_feature_store("drawn", (8,), np.dtype("float32"))
            assert np.array_equal(store.open(store.find(keys)), arrays), number
    assert refused > 10
