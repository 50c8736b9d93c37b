"""Every hostile archive is refused in the library's own words, wherever one is opened, or read as the good one is."""

import os
import zipfile

import numpy as np
import pytest
from hostile_archives import adding, write_archives
from watching import read_hostile

from melanoma_tl import Ensemble, TransferClassifier
from melanoma_tl.datasets.archives import extract
from melanoma_tl.datasets.challenges import OfficialFile
from melanoma_tl.datasets.download import fetch
from melanoma_tl.errors import DownloadError, ModelFileError

IMAGES = [(f"images/{number}.jpg", bytes([number]) * 500) for number in range(3)]

MOST_MEMORY = 2**19
"""Kilobytes that the process may grow by at all these archives; what is reserved and not used does not count."""

HARMLESS = (
    "a member '../'",  # folders are not made
    "a name with NUL",  # ends there for `zipfile`
    "a dictionary of 4 GiB",
    "an encrypted directory",
    "another size",  # of what is stored as it is, and has the right checksum
    "a packed size beyond the end",
    "a long comment",  # hides the members behind it
    "more members than there are",
    "parts on other disks",
)
"""What is wrong with these does no harm: they are read as far as they go."""


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    return sorted(members, key=lambda member: -len(member[1]))  # the first, which is damaged, is one that is read


def try_all(corpus, read, refusal):
    """Read each archive; return the results of those that are not refused."""

    def is_good(name, text):
        return str(corpus[name]) in text and "cannot be written" not in text and len(text) <= 1500

    cases = ((name, lambda path=path: read(path)) for name, path in corpus.items())
    return read_hostile(cases, refusal, is_good, seconds=5, kilobytes=MOST_MEMORY)


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "given").mkdir()
    return write_archives(IMAGES, tmp_path / "given")


def test_archives_of_images(corpus, tmp_path):
    done = try_all(corpus, lambda path: extract(path, tmp_path / "out" / path.stem / "deep", verbose=0), DownloadError)
    assert set(done) <= set(HARMLESS)
    for paths in done.values():
        known = dict(IMAGES)
        there = {path.relative_to(path.parents[1]).as_posix(): path.read_bytes() for path in paths}
        assert all(known.get(name, there[name]) == content for name, content in there.items())
    deep = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert all(path.parents[-len(tmp_path.parts) - 3].name == "deep" for path in deep)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_symlink()]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given", "out"]


def test_archives_that_are_fetched_from_a_folder(corpus, tmp_path):
    """The names in them are looked at when they are unpacked."""

    def take(path):
        return fetch([OfficialFile(path.name, "http://127.0.0.1:9/x")], tmp_path / "out", source=path.parent, verbose=0)

    done = try_all(corpus, take, DownloadError)
    assert not {name for name in done if "bomb" in name or "overlap" in name or "cut" in name or name == "encrypted"}
    files = {path.name for path in (tmp_path / "out").iterdir()} - {"SHA256SUMS"}
    assert files == {corpus[name].name for name in done}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["model", "ensemble"])
def test_archives_of_models(tmp_path, images, labels, kind):
    classifier = TransferClassifier("tiny", weights=None, epochs=1, random_state=0, verbose=0)
    if kind == "ensemble":
        classifier = Ensemble([classifier, classifier], random_state=0, verbose=0)
    good = tmp_path / f"good{'.zip' if kind == 'ensemble' else '.keras'}"
    classifier.fit(images, labels).save(good)
    expected = classifier.predict_proba(images[:2])
    (tmp_path / "given").mkdir()
    corpus = write_archives(members_of(good), tmp_path / "given", good.suffix)
    done = try_all(corpus, type(classifier).load, ModelFileError)
    assert set(done) <= set(HARMLESS)
    for loaded in done.values():
        loaded.set_params(verbose=0)
        np.testing.assert_array_equal(loaded.predict_proba(images[:2]), expected)


def test_a_name_of_very_many_folders_takes_no_memory(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(adding("e/" * 30_000 + "e.jpg")(IMAGES))
    assert not try_all({"deep": path}, lambda path: extract(path, tmp_path / "out", verbose=0), DownloadError)
    assert not (tmp_path / "out").exists()


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.zip")
    for name, reason in {"pipe.zip": "not a file", "none.zip": "no such file", "": "not a file"}.items():
        with pytest.raises(DownloadError, match=reason):
            extract(tmp_path / name, tmp_path / "out", verbose=0)
