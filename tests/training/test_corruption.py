"""Random damage to every kind of file in the cache: nothing wrong comes out of it, and no error of another library."""

import os
import shutil

import keras
import numpy as np
import pytest
from conftest import build
from test_checkpoints import Kill, Killed, make, same_weights

from melanoma_tl import cache
from melanoma_tl.images.fingerprints import fingerprint_images
from melanoma_tl.images.loading import prepare
from melanoma_tl.network.cutting import split_network
from melanoma_tl.training.checkpoints import StageCheckpoint
from melanoma_tl.training.features import FeatureExtractor
from melanoma_tl.training.views import ImageViews

pytestmark = pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")

N_DAMAGES = 60
SIZES = ((24, 32), (32, 24), (32, 32))  # the first two take the same bytes
KINDS = {
    "fingerprints": "fingerprints.sqlite",
    "tables of images": "prepared/*/*.sqlite",
    "images": "prepared/*/*.bin",
    "tables of features": "features/*/*.sqlite",
    "features": "features/*/*.bin",
}


def damage(path, rng, others=()):
    """Flip, zero, truncate, swap or delete: one file, at random places."""
    content = bytearray(path.read_bytes())
    start, end = sorted(rng.integers(0, len(content) + 1, 2).tolist())
    kind = rng.choice(["flip", "flip", "zero", "truncate", "delete", "move", "swap"])
    if kind == "flip":
        for place in rng.integers(0, len(content), rng.choice([1, 8, 64])):
            content[place] ^= 1 << rng.integers(8)
    elif kind == "zero":
        content[start:end] = bytes(end - start)
    elif kind == "truncate":
        del content[start:]
    elif kind == "move":
        content[start:end] = content[start:end][::-1]
    elif kind == "swap" and others:
        other = others[rng.integers(len(others))]
        taken = other.read_bytes()
        other.write_bytes(content)
        content = taken
    if kind == "delete":
        path.unlink()
    else:
        path.write_bytes(content)
    return kind


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MELANOMA_TL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def renew(folder, tmp_path):
    """Put the cache back to what it was when it was first kept."""

    def renew():
        if (tmp_path / "whole").exists():
            shutil.rmtree(folder)
            shutil.copytree(tmp_path / "whole", folder)
        else:
            shutil.copytree(folder, tmp_path / "whole")

    return renew


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_random_damages_to_a_kind_of_file(dataset, folder, renew, kind):
    part = split_network(build("tiny", random_state=0))
    os.utime(dataset.paths[0])
    options = {"on_error": "raise", "desc": "images", "verbose": 0}

    def read():
        prepared = [prepare(dataset, None, size, **options) for size in SIZES]
        views = ImageViews(prepared[-1].pixels, prepared[-1].contents, None)
        extractor = FeatureExtractor(
            part.frozen, policy="float32", recipe=prepared[-1].recipe, budget=None, batch_size=8, verbose=0
        )
        rows = np.arange(len(dataset))
        inputs = extractor.extract(views, rows, 1, "images")
        features = [inputs.batch(rows[start : start + 7], rows[start : start + 7] * 0, 0) for start in range(0, 24, 7)]
        pixels = [images.pixels[:] for images in prepared]
        return list(fingerprint_images(dataset.paths)), [images.contents for images in prepared], pixels, features

    expected = read()
    renew()
    for number in range(N_DAMAGES):
        renew()
        rng = np.random.default_rng(number)
        files = sorted(folder.glob(KINDS[kind]))
        chosen = files.pop(rng.integers(len(files)))
        what = damage(chosen, rng, files)
        for _ in range(2):  # found and mended, then read as it is now
            fingerprints, contents, pixels, features = read()
            assert (fingerprints, contents) == expected[:2], (number, what)
            assert all(map(np.array_equal, pixels, expected[2])), (number, what)
            for found, right in zip(features, expected[3], strict=True):
                assert np.allclose(found, right, atol=1e-5, rtol=0), (number, what)


@pytest.mark.slow
def test_random_damages_to_a_checkpoint(images, labels, folder, renew):
    with pytest.raises(Killed):
        make().fit(images, labels, validation_data=(images[:8], labels[:8]), resume=True, callbacks=[Kill(epoch=2)])
    (stage,) = folder.glob("runs/*/stage_0")
    renew()
    whole = {path.name: path.read_bytes() for path in stage.glob("epoch_*/*")}
    begun_anew = 0
    for number in range(N_DAMAGES):
        renew()
        rng = np.random.default_rng(number)
        files = sorted(path for path in stage.glob("epoch_*/*") if path.is_file())
        damage(files.pop(rng.integers(len(files))), rng, files)
        checkpoint = StageCheckpoint(stage)
        begun_anew += not checkpoint.epochs
        kept = {path.name: path.read_bytes() for path in checkpoint.working.rglob("*") if path.is_file()}
        assert kept == (whole if checkpoint.epochs else {})
        assert checkpoint.read_finished() is None
    assert begun_anew > N_DAMAGES / 2


@pytest.mark.slow
def test_damage_before_whole_trainings(dataset, folder, renew):
    """Frozen, with features; unfrozen, from a checkpoint: the weights are those of an unbroken run."""
    variants = ({"trainable_from": "conv2"}, {"trainable_from": "conv1"})
    unbroken = [make(**changes).fit(dataset, validation_data=dataset[:8]) for changes in variants]
    for changes in variants:
        with pytest.raises(Killed):
            make(**changes).fit(dataset, validation_data=dataset[:8], resume=True, callbacks=[Kill(epoch=2)])
    renew()
    for number in range(4):
        renew()
        rng = np.random.default_rng(number)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        for chosen in rng.choice(len(files), 6, replace=False):
            damage(files[chosen], rng)
        for changes, expected in zip(variants, unbroken, strict=True):
            found = make(**changes).fit(dataset, validation_data=dataset[:8], resume=True)
            assert same_weights(found, expected), number
        keras.backend.clear_session()
    assert cache.size("runs") == 0
