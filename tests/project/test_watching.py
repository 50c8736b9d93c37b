"""The watch for what hostile files do sees what it is there for; without that, their tests would pass on anything."""

import os
import shutil
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest
from watching import read_hostile, watching


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder outside of what is taken for the temporary folder."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_text("content")
    (tmp_path / "temporary" / "file").write_text("content")
    (tmp_path / "temporary" / "way out").symlink_to(outside)
    monkeypatch.chdir(outside)
    return outside


def open_for_writing(path, **where):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, **where))


def remove_in_an_open_folder(path):
    folder = os.open(path.parent, os.O_RDONLY)
    os.remove(path.name, dir_fd=folder)
    os.close(folder)


CHANGES = {
    "open": lambda folder: (folder / "new").write_text("x"),
    "append": lambda folder: (folder / "file").open("a").close(),
    "os.open": lambda folder: open_for_writing(folder / "new"),
    "bytes": lambda folder: open_for_writing(os.fsencode(folder / "new")),
    "mkdir": lambda folder: (folder / "new").mkdir(),
    "rmdir": lambda folder: (folder / "folder").rmdir(),
    "unlink": lambda folder: (folder / "file").unlink(),
    "in an open folder": lambda folder: remove_in_an_open_folder(folder / "file"),
    "rename": lambda folder: (folder / "file").rename(folder / "new"),
    "replace": lambda folder: (folder / "file").replace(folder / "new"),
    "symlink": lambda folder: (folder / "new").symlink_to("nothing"),
    "link": lambda folder: (folder / "new").hardlink_to(folder / "file"),
    "truncate": lambda folder: os.truncate(folder / "file", 1),
    "chmod": lambda folder: (folder / "file").chmod(0o600),
    "utime": lambda folder: os.utime(folder / "file"),
    "rmtree": lambda folder: shutil.rmtree(folder / "folder"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_outside_is_seen_and_one_inside_is_not(outside, change):
    temporary = Path(tempfile.gettempdir())
    (temporary / "folder").mkdir()
    with watching() as seen:
        CHANGES[change](temporary)
    assert seen == []
    with watching() as seen:
        CHANGES[change](outside)
    assert seen
    assert {Path(path).parent for _, path in seen} == {outside}


def test_a_relative_path_and_a_way_out_over_a_link_are_followed(outside):
    temporary = Path(tempfile.gettempdir())
    with watching() as seen:
        open_for_writing("relative")
        open_for_writing(temporary / ".." / "outside" / "dots")
        open_for_writing(temporary / "way out" / "linked")
        open_for_writing(temporary / "way out" / ".." / "above")
        (temporary / "way out" / "folder").rmdir()
    assert seen == [
        ("open", str(outside / "relative")),
        ("open", str(outside / "dots")),
        ("open", str(outside / "linked")),
        ("open", str(outside.parent / "above")),
        ("os.rmdir", str(outside / "folder")),
    ]


@pytest.mark.parametrize("move", ["in", "out"])
def test_a_file_that_is_moved_over_the_border_is_seen(outside, move):
    temporary = Path(tempfile.gettempdir())
    source, target = (outside, temporary) if move == "in" else (temporary, outside)
    with watching() as seen:
        (source / "file").rename(target / "moved")
    assert seen == [("os.rename", str(outside / ("file" if move == "in" else "moved")))]


def test_reading_is_no_change_and_a_link_inside_may_name_what_is_outside(outside):
    with watching() as seen:
        (outside / "file").read_text()
        list(outside.iterdir())
        (Path(tempfile.gettempdir()) / "link").symlink_to(outside / "file")
        (Path(tempfile.gettempdir()) / "link").unlink()
        Path(os.devnull).write_text("x")
    assert seen == []


def test_a_folder_whose_name_begins_like_the_temporary_one_is_outside(outside):
    beside = Path(f"{tempfile.gettempdir()}2")
    with watching() as seen:
        beside.mkdir()
    assert seen == [("os.mkdir", str(beside))]


def test_what_is_sent_or_looked_up_is_seen():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, watching() as seen:
        one.sendto(b"x", ("127.0.0.1", 9))
        one.sendmsg([b"x"], [], 0, ("127.0.0.1", 9))
        socket.getaddrinfo("127.0.0.1", 9)
        socket.gethostbyname("127.0.0.1")
    assert [event for event, _ in seen] == [
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.gethostbyname",
    ]


def test_what_is_started_is_seen():
    with watching() as seen:
        os.system("true")
    assert [event for event, _ in seen] == ["os.system"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells how much memory was taken")
def test_memory_counts_anew_after_a_larger_peak():
    def take(megabytes):
        return lambda: np.ones(megabytes * 2**17).nbytes

    take(300)()
    limits = {"seconds": 60, "kilobytes": 50 * 2**10}
    with pytest.raises(AssertionError):
        read_hostile([("large", take(200))], ZeroDivisionError, None, **limits)
    assert read_hostile([("small", take(10))], ZeroDivisionError, None, **limits) == {"small": 10 * 2**20}
