"""Images in HDF5 files: those that are there now, and none that takes more memory than an image can."""

import io
import os
import subprocess
import sys
import threading
import time

import h5py
import numpy as np
import pytest
from conftest import draw_images
from PIL import Image

from melanoma_tl.errors import ImageError
from melanoma_tl.images import hdf5
from melanoma_tl.images.decoding import load_image, read_content


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


ONE, TWO = draw_images(2, side=32)


def write(path, pixels):
    with h5py.File(path, "w") as file:
        file["a"] = np.void(png(pixels))


def in_place(path):
    """As a script does it that mends an image, in another process."""
    np.save(path.with_name("two.npy"), np.frombuffer(png(TWO), "uint8"))
    code = (
        "import h5py, sys, numpy as np; file = h5py.File(sys.argv[1], 'r+'); del file['a']; "
        "file['a'] = np.void(np.load(sys.argv[2]).tobytes()); file.close()"
    )
    subprocess.run([sys.executable, "-c", code, path, path.with_name("two.npy")], check=True)


def over_the_bytes(path):
    """As `cp` and `rsync --inplace` do it: the same inode, another content."""
    write(path.with_name("new.h5"), TWO)
    path.write_bytes(path.with_name("new.h5").read_bytes())


def in_its_place(path):
    write(path.with_name("new.h5"), TWO)
    path.with_name("new.h5").replace(path)


@pytest.mark.parametrize("change", [in_place, over_the_bytes, in_its_place])
@pytest.mark.parametrize("name", ["images.h5", "other.h5"])
def test_a_file_that_changes_gives_its_new_image(tmp_path, change, name):
    path = tmp_path / "images.h5"
    write(path, ONE)
    (tmp_path / "other.h5").hardlink_to(path)
    for known in ("images.h5", "other.h5"):
        assert np.array_equal(load_image(f"{tmp_path / known}::a"), ONE)
    change(path)
    expected = ONE if change is in_its_place and name == "other.h5" else TWO
    assert np.array_equal(load_image(f"{tmp_path / name}::a"), expected)
    assert hdf5.list_members(str(tmp_path / name)) == [f"{tmp_path / name}::a"]


def test_threads_that_read_while_a_file_changes(tmp_path):
    path = tmp_path / "images.h5"
    write(path, ONE)
    known, wrong, over = {png(ONE), png(TWO)}, [], threading.Event()
    found = [set() for _ in range(3)]

    def read(contents):
        while not over.is_set():
            try:
                contents.add(read_content(f"{path}::a"))
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=read, args=[contents], daemon=True) for contents in found]
    for thread in threads:
        thread.start()
    number, end = 0, time.monotonic() + 60
    try:
        while number < 30 or (any(len(contents) < 2 for contents in found) and time.monotonic() < end):
            write(tmp_path / "new.h5", (ONE, TWO)[number % 2])
            (tmp_path / "new.h5").replace(path)
            number += 1
    finally:
        over.set()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert found == [known] * 3, "each thread has read both images, and nothing else"
    assert len(hdf5._files) <= hdf5._MOST_OPEN


def test_a_member_that_says_it_is_huge_is_not_read(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("a", (2**34,), "uint8", chunks=(2**20,), compression="gzip")
    with pytest.raises(ImageError, match=r"bomb\.h5::a: 17,179,869,184 bytes, more than an image .*MAX_IMAGE_PIXELS"):
        load_image(f"{tmp_path}/bomb.h5::a")
    write(tmp_path / "images.h5", ONE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert np.array_equal(load_image(f"{tmp_path}/images.h5::a"), ONE)


def test_a_file_that_is_huge_is_not_read(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(png(ONE))
    os.truncate(path, 2**36)  # takes no room on most disks
    for read in (load_image, read_content):
        with pytest.raises(ImageError, match=r"68,719,476,736 bytes, more than an image"):
            read(path)
