"""What is kept is never believed blindly: what is not as it was written is noticed, and made again."""

import contextlib
import gc
import logging
import os
import pickle
import sqlite3
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from melanoma_tl import ISBIDataset, cache
from melanoma_tl.errors import CacheError, ImageError
from melanoma_tl.images.array_store import ArrayStore
from melanoma_tl.images.fingerprints import fingerprint_image, fingerprint_images
from melanoma_tl.images.loading import prepare
from melanoma_tl.images.prepared import PreparedStore

N, SHAPE = 20, (6, 5)
KEYS = [bytes([number]) * 32 for number in range(N)]
ARRAYS = np.random.default_rng(0).normal(size=(N, *SHAPE)).astype("float32")
BYTES_EACH = ARRAYS[0].nbytes


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.WARNING, logger="melanoma_tl")
    monkeypatch.setenv("MELANOMA_TL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def open_feature_store(name="features"):
    return ArrayStore(cache.folder() / "features" / name, SHAPE, np.float32)


def file_of(store):
    (file,) = store.folder.glob("arrays_*.bin")
    return file


def damage(path, start, content):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


class Maker:
    """Makes arrays again, and counts them."""

    def __init__(self):
        self.made = []

    def __call__(self, positions):
        self.made += positions.tolist()
        return [KEYS[position] for position in positions], ARRAYS[positions]


@pytest.fixture(params=["kept in memory", "read each time"])
def store(request, monkeypatch):
    if request.param == "read each time":
        monkeypatch.setattr("melanoma_tl.images.array_store._MOST_KEPT", 0)
    filled = open_feature_store()
    filled.find([])
    filled.add(dict(zip(KEYS, ARRAYS, strict=True)))
    return filled


def flip(file, row):
    position = row * BYTES_EACH + 17
    damage(file, position, bytes([file.read_bytes()[position] ^ 1]))


DAMAGES = {
    "a bit": lambda file: flip(file, 3),
    "64 bytes": lambda file: damage(file, 3 * BYTES_EACH + 8, os.urandom(64)),
    "zeros": lambda file: damage(file, 3 * BYTES_EACH, bytes(BYTES_EACH)),
    "another row": lambda file: damage(file, 3 * BYTES_EACH, ARRAYS[4].tobytes()),
    "the end": lambda file: os.truncate(file, 19 * BYTES_EACH + 1),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_found_when_it_is_read_and_made_again(store, kind, caplog):
    maker = Maker()
    opened = store.open(store.find(KEYS), maker)
    DAMAGES[kind](file_of(store))
    order = np.random.default_rng(1).permutation(N)
    assert np.array_equal(opened[order], ARRAYS[order])
    assert maker.made == [19 if kind == "the end" else 3]
    assert "1 of its arrays are damaged and are computed again" in caplog.text
    assert np.array_equal(opened, ARRAYS)
    if kind != "the end":  # whose file is given up
        assert maker.made == [3], "once"
        fresh = open_feature_store()
        assert np.array_equal(fresh.open(fresh.find(KEYS)), ARRAYS), "for everybody"


@pytest.mark.parametrize("key", [3, -1, slice(2, 9, 3), [5, 3, 5], np.arange(N) % 2 == 1, []])
def test_it_indexes_like_one_array(store, key):
    opened = store.open(store.find(KEYS))
    assert np.array_equal(opened[key], ARRAYS[key])
    assert opened[key].shape == ARRAYS[key].shape


def test_what_cannot_be_made_again_says_so_and_is_taken_out(store):
    opened = store.open(store.find(KEYS))
    flip(file_of(store), 3)
    with pytest.raises(CacheError, match="1 of its arrays were damaged and have been removed; start again"):
        opened[:]
    slots = open_feature_store().find(KEYS)["slot"]
    assert np.flatnonzero(slots < 0).tolist() == [3]


def test_a_whole_store_in_the_place_of_another_is_noticed(store):
    other = open_feature_store("other network")
    other.find([])
    other.add(dict(zip(KEYS, ARRAYS * 2, strict=True)))
    for path in other.folder.iterdir():
        path.unlink()
    for path in store.folder.iterdir():
        path.rename(other.folder / path.name)
    maker = Maker()
    fresh = open_feature_store("other network")
    assert np.array_equal(fresh.open(fresh.find(KEYS), maker), ARRAYS)
    assert sorted(maker.made) == list(range(N))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE arrays SET slot = slot + 100",
        "UPDATE arrays SET slot = 1000000000000000000 - slot",
        "UPDATE arrays SET slot = 'seven' || slot",
        "UPDATE arrays SET slot = -5 - slot",
        "UPDATE arrays SET checksum = checksum + 1",
        "UPDATE arrays SET checksum = 'none'",
        "UPDATE arrays SET key = x'00' WHERE slot = 2",
        "DELETE FROM arrays WHERE slot < 10",
        "PRAGMA user_version = 7",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = -3",
        "DROP TABLE arrays",
        "ALTER TABLE arrays RENAME COLUMN slot TO place",
    ],
)
def test_a_table_that_says_something_else_costs_time_and_nothing_else(store, change):
    with closing(sqlite3.connect(store.folder / "arrays_v2.sqlite")) as table:
        table.execute(change)
        table.commit()
    fresh = open_feature_store()
    places = fresh.find(KEYS)
    missing = np.flatnonzero(places["slot"] < 0)
    fresh.add({KEYS[row]: ARRAYS[row] for row in missing})
    assert np.array_equal(fresh.open(fresh.find(KEYS), Maker()), ARRAYS)
    assert np.array_equal(fresh.open(fresh.find(KEYS)), ARRAYS), "and it is mended"


def test_threads_that_find_the_same_damage_all_get_it_right(store):
    opened = store.open(store.find(KEYS), Maker())
    for row in range(0, N, 3):
        flip(file_of(store), row)
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(rows, ARRAYS) for rows in pool.map(lambda _: opened[:], range(12)))


def test_another_process_notices_damage_too(store):
    opened = pickle.loads(pickle.dumps(store.open(store.find(KEYS), Maker())))
    flip(file_of(store), 3)
    with pytest.raises(CacheError, match="start again"):
        opened[:]


def test_a_cache_that_is_cleared_and_damaged_at_once(store, caplog):
    opened = store.open(store.find(KEYS), Maker())
    flip(file_of(store), 3)
    cache.clear()
    assert np.array_equal(opened, ARRAYS)
    assert "cannot be stored" in caplog.text


# -- images ------------------------------------------------------------------------------------------------------------


def test_a_damaged_image_is_decoded_again(dataset, caplog):
    before = dataset.images((32, 32), verbose=0)[:]
    (file,) = cache.folder().rglob("arrays_*.bin")
    damage(file, 5 * 32 * 32 * 3 + 100, bytes(64))
    assert np.array_equal(dataset.images((32, 32), verbose=0), before)
    assert "damaged" in caplog.text
    caplog.clear()
    assert np.array_equal(dataset.images((32, 32), verbose=0), before)
    assert "damaged" not in caplog.text


def test_a_damaged_image_whose_file_was_changed_or_deleted_says_so(tmp_path, images, monkeypatch):
    monkeypatch.setattr("melanoma_tl.images.array_store._MOST_KEPT", 0)
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path, pixels in zip(paths, images, strict=False):
        Image.fromarray(pixels).save(path)
    prepared = ISBIDataset(["a", "b"], paths, [0, 1]).images((40, 40), verbose=0)
    (file,) = cache.folder().rglob("arrays_*.bin")
    damage(file, 0, bytes(2 * 40 * 40 * 3))
    Image.fromarray(images[3]).save(paths[0])
    with pytest.raises(CacheError, match="was changed since it was prepared"):
        prepared[0]
    paths[1].unlink()
    with pytest.raises(CacheError, match=r"no such file.*it is needed again"):
        prepared[1]


def test_a_damaged_image_of_a_stream_is_made_anew_by_the_next_call(images, labels):
    tf = pytest.importorskip("tensorflow")

    def read():
        stream = tf.data.Dataset.from_tensor_slices((images, labels))
        return prepare(stream, None, (32, 32), on_error="raise", desc="images", verbose=0).pixels

    before = read()[:]
    (file,) = cache.folder().rglob("arrays_*.bin")
    damage(file, 5 * 32 * 32 * 3, bytes(100))
    with pytest.raises(CacheError, match="start again"):
        read()[:]
    assert np.array_equal(read(), before)


# -- fingerprints and states of files ----------------------------------------------------------------------------------


def overwrite_in_place(path, content):
    path.write_bytes(content)


def replace(path, content):
    path.with_name("new").write_bytes(content)
    os.utime(path.with_name("new"), ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    path.with_name("new").replace(path)


@pytest.mark.parametrize("write", [overwrite_in_place, replace])
def test_another_file_of_the_same_size_and_time_is_another_file(tmp_path, images, write):
    """As ``cp -p``, rsync and reproducible archives leave it."""
    path, copy = tmp_path / "a.bmp", tmp_path / "untouched.bmp"
    for target in (path, copy):
        Image.fromarray(images[0]).save(target)
        os.utime(target, (1_000_000_000, 1_000_000_000))
    read = lambda where: ISBIDataset(["a"], [where], [0]).images((40, 40), verbose=0)[0]  # noqa: E731
    _settle()
    assert np.array_equal(read(path), images[0])
    Image.fromarray(images[1]).save(tmp_path / "other.bmp")
    write(path, (tmp_path / "other.bmp").read_bytes())
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert np.array_equal(read(path), images[1])
    assert np.array_equal(read(copy), images[0]), "nothing is stored under the content of another"


def _settle():
    """Wait until a further change would show in the time of a file."""
    import time

    time.sleep(0.05)


def test_a_file_that_is_written_while_it_is_prepared_is_stored_under_what_was_decoded(tmp_path, images, monkeypatch):
    path, copy = tmp_path / "a.png", tmp_path / "copy.png"
    for target in (path, copy):
        Image.fromarray(images[0]).save(target)
    decode = PreparedStore._decode

    def write_first(self, pair):
        if pair[0] == str(path):
            Image.fromarray(images[1]).save(path)
        return decode(self, pair)

    with monkeypatch.context() as patched:
        patched.setattr(PreparedStore, "_decode", write_first)
        stored = ISBIDataset(["a"], [path], [0]).images((40, 40), verbose=0)
    assert np.array_equal(stored[0], images[1])
    assert np.array_equal(ISBIDataset(["a"], [copy], [0]).images((40, 40), verbose=0)[0], images[0])
    assert np.array_equal(ISBIDataset(["a"], [path], [0]).images((40, 40), verbose=0)[0], images[1])


def test_a_file_that_was_just_written_is_looked_at_again(tmp_path, images, monkeypatch):
    """Two changes within a tick of the clock bear one time."""
    monkeypatch.setattr("melanoma_tl.images.fingerprints._FINE_TICK", 10**12)
    path = tmp_path / "a.png"
    Image.fromarray(images[0]).save(path)
    list(fingerprint_images([str(path)]))
    monkeypatch.setattr("melanoma_tl.images.fingerprints.fingerprint_image", lambda image: "looked at")
    assert list(fingerprint_images([str(path)])) == ["looked at"]


@pytest.mark.parametrize("column", ["state", "content", "look", "checksum"])
def test_a_damaged_fingerprint_is_made_again(dataset, column, caplog):
    _settle()
    before = list(fingerprint_images(dataset.paths))
    with closing(sqlite3.connect(cache.folder() / "fingerprints.sqlite")) as table:
        other = table.execute(f"SELECT {column} FROM looked_at ORDER BY path DESC LIMIT 1").fetchone()[0]
        table.execute(f"UPDATE looked_at SET {column} = ? WHERE path <> (SELECT MAX(path) FROM looked_at)", [other])
        table.commit()
    assert list(fingerprint_images(dataset.paths)) == before
    assert f"{len(dataset) - 1} fingerprints are damaged" in caplog.text


@pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")
def test_no_file_is_left_open(dataset, tmp_path):
    """As under ``python -W error::ResourceWarning``."""
    from melanoma_tl import TransferClassifier

    gc.collect()  # what earlier tests left open is theirs
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        options = {"weights": None, "epochs": 1, "batch_size": 8, "random_state": 0, "verbose": 0}
        clf = TransferClassifier("tiny", **options).fit(dataset, validation_data=dataset[:8], resume=True)
        clf.save(tmp_path / "m.keras")
        TransferClassifier.load(tmp_path / "m.keras").predict_proba(dataset)
        dataset.images((24, 24), verbose=0)[:2]
        dataset.overlap(dataset)
        dataset.resize_to(tmp_path / "small", size=(24, 24), verbose=0)
        with contextlib.suppress(ImageError):
            fingerprint_image(str(tmp_path / "m.keras"))
        del clf
        gc.collect()
    assert [str(one.message) for one in caught if issubclass(one.category, ResourceWarning)] == []
