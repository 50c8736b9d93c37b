import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from processes import PATIENCE, full_disk, started

from melanoma_tl import ISBIDataset, cache
from melanoma_tl.errors import CacheError, ImageError, ParameterError
from melanoma_tl.images.decoding import load_image
from melanoma_tl.images.prepared import PreparedStore


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MELANOMA_TL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def rows(stored):
    return stored[:]


def directly(dataset, size):
    return np.stack([load_image(path, size) for path in dataset.paths])


def test_stored_images_are_those_that_decoding_gives(dataset):
    stored = dataset.images((32, 24), verbose=0)
    expected = directly(dataset, (32, 24))
    assert stored.shape == expected.shape
    assert np.array_equal(stored, expected)
    assert np.array_equal(stored[5], expected[5])
    assert np.array_equal(stored[[7, 2, 7]], expected[[7, 2, 7]])
    assert np.array_equal(stored[4:20:3], expected[4:20:3])
    assert np.array_equal(stored[dataset.labels == 1], expected[dataset.labels == 1])


def test_each_image_is_decoded_once(dataset, monkeypatch):
    first = rows(dataset.images((32, 32), verbose=0))

    def refuse(*arguments):
        raise AssertionError("decoded again")

    monkeypatch.setattr("melanoma_tl.images.prepared.load_image", refuse)
    assert np.array_equal(rows(dataset[::-1].images((32, 32), verbose=0)), first[::-1])


def test_sizes_do_not_mix(dataset):
    assert dataset.images((32, 24), verbose=0).shape[1:] == (32, 24, 3)
    assert np.array_equal(dataset.images((24, 32), verbose=0), directly(dataset, (24, 32)))


def test_copies_are_stored_once(tmp_path, images, folder):
    for name in "abc":
        Image.fromarray(images[0]).save(tmp_path / f"{name}.png")
    copies = ISBIDataset(list("abc"), [tmp_path / f"{name}.png" for name in "abc"], [0, 1, 0])
    assert np.array_equal(copies.images((40, 40), verbose=0), np.stack([images[0]] * 3))
    (pixels,) = folder.rglob("arrays_*.bin")
    assert pixels.stat().st_size == 40 * 40 * 3


def test_a_changed_file_gives_its_new_pixels(tmp_path, images):
    path = tmp_path / "a.png"
    dataset = ISBIDataset(["a"], [path], [0])
    for pixels in images[:2]:
        Image.fromarray(pixels).save(path)
        assert np.array_equal(dataset.images((40, 40), verbose=0)[0], pixels)


def test_a_bad_image_stops_and_is_named(dataset, bad_images):
    broken = ISBIDataset(["a", "b"], [dataset.paths[0], bad_images / "truncated.jpg"], [0, 1])
    with pytest.raises(ImageError, match=r"truncated\.jpg"):
        broken.images(verbose=0)
    with pytest.raises(ParameterError, match="height, width"):
        dataset.images((0, 10))


def test_a_dataset_without_rows_has_an_array_without_rows(dataset):
    stored = dataset.images((32, 32), verbose=0)
    assert stored[[]].shape == (0, 32, 32, 3)


def test_stored_images_can_be_sent_to_another_process(dataset):
    stored = dataset.images((32, 32), verbose=0)
    assert np.array_equal(pickle.loads(pickle.dumps(stored)), stored)


def test_a_cache_that_was_cleared_too_early_is_a_clear_error(dataset):
    store = PreparedStore((32, 32))
    slots = np.array([slot for slot, _ in store.prepare(dataset.paths.tolist())])
    cache.clear()
    with pytest.raises(CacheError, match="start again"):
        store.open(slots)


def test_large_images_are_prepared_a_few_at_a_time(dataset, monkeypatch):
    sizes = []
    prepare = PreparedStore.prepare
    monkeypatch.setattr(
        PreparedStore, "prepare", lambda self, images: sizes.append(len(images)) or prepare(self, images)
    )
    dataset.images((1200, 1200), verbose=0)
    assert sizes == [15, 9], "64 MiB at once"


def test_clearing_the_cache_takes_nothing_from_who_is_reading(dataset):
    stored = dataset.images((32, 32), verbose=0)
    cache.clear()
    assert np.array_equal(stored, directly(dataset, (32, 32)))
    assert np.array_equal(dataset.images((32, 32), verbose=0), stored)


def test_writers_at_once_do_not_spoil_each_other(dataset, folder):
    parts = [dataset[start : start + 16] for start in (0, 4, 8, 2, 6)]
    with ThreadPoolExecutor(5) as pool:
        stored = list(pool.map(lambda part: rows(part.images((32, 32), verbose=0)), parts))
    for part, pixels in zip(parts, stored, strict=True):
        assert np.array_equal(pixels, directly(part, (32, 32)))
    (pixels,) = folder.rglob("arrays_*.bin")
    assert pixels.stat().st_size == len(dataset) * 32 * 32 * 3, "each image once, whoever wrote it"


def test_pixels_without_entries_are_written_over(dataset, folder):
    """What a process leaves that was killed between pixels and entries."""
    dataset[:6].images((32, 32), verbose=0)
    (pixels,) = folder.rglob("arrays_*.bin")
    with pixels.open("ab") as file:
        file.write(b"\x55" * 5000)
    assert np.array_equal(dataset[:6].images((32, 32), verbose=0), directly(dataset[:6], (32, 32)))
    assert np.array_equal(dataset.images((32, 32), verbose=0), directly(dataset, (32, 32)))


@pytest.mark.parametrize("damage", ["truncated", "deleted"])
def test_pixels_that_are_gone_are_prepared_again(dataset, folder, damage, caplog):
    dataset.images((32, 32), verbose=0)
    (pixels,) = folder.rglob("arrays_*.bin")
    if damage == "deleted":
        pixels.unlink()
    else:
        pixels.write_bytes(pixels.read_bytes()[:10_000])
    assert np.array_equal(dataset.images((32, 32), verbose=0), directly(dataset, (32, 32)))
    assert "computed again" in caplog.text


def test_who_reads_meanwhile_never_gets_another_image(dataset, folder):
    reader = dataset[:8].images((32, 32), verbose=0)
    (pixels,) = folder.rglob("arrays_*.bin")
    with pixels.open("r+b") as file:
        file.truncate(4 * 32 * 32 * 3)
    dataset[::-1].images((32, 32), verbose=0)
    assert np.array_equal(reader, directly(dataset[:8], (32, 32))), "what is gone is decoded again"


def test_a_full_disk_says_so_and_loses_nothing(dataset):
    before = rows(dataset[:4].images((64, 64), verbose=0))
    with full_disk(100_000), pytest.raises(CacheError, match=r"File too large.*are kept there: "):
        dataset.images((64, 64), verbose=0)
    assert np.array_equal(dataset[:4].images((64, 64), verbose=0), before)
    assert np.array_equal(dataset.images((64, 64), verbose=0), directly(dataset, (64, 64)))


WRITER = """
import sys
import numpy as np
from melanoma_tl.images.prepared import PreparedStore
store = PreparedStore((64, 64))
while True:
    print("round", flush=True)
    store.prepare(list(np.random.default_rng().integers(0, 256, (64, 64, 64, 3), dtype="uint8")))
"""


def test_a_killed_process_leaves_a_store_that_works(dataset):
    with started([sys.executable, "-c", WRITER], stdout=subprocess.PIPE) as writer:
        for _ in range(3):
            assert writer.stdout.readline() == b"round\n"
        assert np.array_equal(dataset.images((64, 64), verbose=0), directly(dataset, (64, 64))), "beside the writer"
        assert writer.stdout.readline() == b"round\n"
        time.sleep(0.02)
        assert writer.poll() is None, "there is nothing left to kill"
        writer.send_signal(signal.SIGKILL)
        assert writer.wait(PATIENCE) == -signal.SIGKILL
    again = ISBIDataset(dataset.image_ids, dataset.paths, dataset.labels)
    assert np.array_equal(again.images((64, 64), verbose=0), directly(dataset, (64, 64)))
    new = np.random.default_rng(1).integers(0, 256, (8, 64, 64, 3), dtype="uint8")
    store = PreparedStore((64, 64))
    assert np.array_equal(store.open(np.array([slot for slot, _ in store.prepare(list(new))])), new)


def test_reading_does_not_add_up_in_memory(tmp_path):
    """Pages that stay mapped count as memory of the process: reading all images must not keep them."""
    statm = pytest.importorskip("pathlib").Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("needs /proc")
    store = PreparedStore((256, 256))
    images = np.random.default_rng(0).integers(0, 256, (64, 256, 256, 3), dtype="uint8")
    slots = []
    for shift in range(6):
        slots += [slot for slot, _ in store.prepare(list(images + np.uint8(shift)))]
    stored = store.open(np.array(slots))

    def resident():
        return int(statm.read_text().split()[1]) * 4096

    stored[:8]
    before = resident()
    for start in range(0, len(stored), 8):
        stored[start : start + 8]
    assert resident() - before < 0.2 * len(stored) * 256 * 256 * 3
