"""Downloads against a real server on this machine that does everything wrong that servers do."""

import contextlib
import hashlib
import io
import logging
import shutil
import stat
import subprocess
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from conftest import terminal
from processes import full_disk

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets import download
from melanoma_tl.datasets.archives import extract
from melanoma_tl.datasets.challenges import OfficialFile
from melanoma_tl.datasets.download import fetch
from melanoma_tl.datasets.synthetic import write_challenge, write_isbi
from melanoma_tl.errors import DatasetError, DownloadError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`; does the next of `tricks` with each request, and notes the range that was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"file.bin": CONTENT}
        self.tricks, self.ranges, self.paths = [], [], []
        self.version = '"1"'

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def file(self, name="file.bin", *, sha256=SHA256, **known):
        return OfficialFile(name, f"{self.url}/{name}", sha256=sha256, **known)


class Handler(BaseHTTPRequestHandler):
    answers: ClassVar = {"403": 403, "404": 404, "503": 503}

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.server.ranges.append(self.headers.get("Range"))
        self.server.paths.append(self.path)
        trick = self.server.tricks.pop(0) if self.server.tricks else ""
        if trick in self.answers:
            self.send_response(self.answers[trick])
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = self.server.files[self.path.rsplit("/", 1)[-1]]
        if trick == "wrong bytes":
            content = bytes(len(content))
        start = 0
        asked = self.headers.get("Range")
        if asked and trick != "no ranges" and self.headers.get("If-Range") == self.server.version:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.server.version:
            self.send_header("ETag", self.server.version)
        body = content[start:]
        length = len(body) + {"says more": 1000, "says less": -1000}.get(trick, 0)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if trick == "breaks off" else body)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "BACK_OFF", 0.001)
    monkeypatch.setattr(download, "CHUNK", 10_000)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# -- what arrives --


def test_a_file_is_fetched_verified_and_not_fetched_again(server, tmp_path):
    (path,) = fetch([server.file()], tmp_path, verbose=0)
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["file.bin"]
    assert fetch([server.file()], tmp_path, verbose=0) == [path]
    assert len(server.ranges) == 1


@pytest.mark.parametrize("trick", ["breaks off", "says more"])
def test_a_break_is_mended_by_asking_for_the_rest(server, tmp_path, trick):
    server.tricks = [trick]
    (path,) = fetch([server.file()], tmp_path, verbose=0)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=150000-" if trick == "breaks off" else "bytes=300000-"]
    assert names(tmp_path) == ["file.bin"]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server, tmp_path):
    server.tricks = ["breaks off", *["503"] * 4]
    with pytest.raises(DownloadError, match=r"503.*5 times. 150,000 bytes are kept in .*call again to go on"):
        fetch([server.file()], tmp_path, verbose=0)
    assert ".file.bin.part" in names(tmp_path)
    (path,) = fetch([server.file()], tmp_path, verbose=0)
    assert server.ranges[-1] == "bytes=150000-"
    assert path.read_bytes() == CONTENT


def test_a_call_that_was_interrupted_goes_on(server, tmp_path, monkeypatch):
    class Interrupted:
        def __init__(self, *arguments, **options):
            self.n = 0

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *error: None  # noqa: E731

        def update(self, n):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download, "progress", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch([server.file()], tmp_path, verbose=0)
    assert "file.bin" not in names(tmp_path)
    fetch([server.file()], tmp_path, verbose=0)
    assert server.ranges == [None, "bytes=10000-"]


def test_a_server_that_cannot_go_on_starts_anew(server, tmp_path):
    server.tricks = ["breaks off", "no ranges"]
    assert fetch([server.file()], tmp_path, verbose=0)[0].read_bytes() == CONTENT


def test_two_versions_of_a_file_are_never_mixed(server, tmp_path):
    server.files["file.bin"] = bytes(300_000)
    server.tricks = ["breaks off", *["503"] * 4]
    with pytest.raises(DownloadError):
        fetch([server.file()], tmp_path, verbose=0)
    server.files["file.bin"], server.version = CONTENT, '"2"'
    assert fetch([server.file()], tmp_path, verbose=0)[0].read_bytes() == CONTENT


@pytest.mark.parametrize("version", ["", 'W/"1"'], ids=["none", "weak"])
def test_without_a_version_of_the_bytes_nothing_is_continued(server, tmp_path, version):
    server.version = version
    server.tricks = ["breaks off"]
    fetch([server.file()], tmp_path, verbose=0)
    assert server.ranges == [None, None]


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.tricks = ["503", "503"]
    assert fetch([server.file()], tmp_path, verbose=0)[0].read_bytes() == CONTENT
    assert len(server.ranges) == 3


# -- what is refused --


@pytest.mark.parametrize(("trick", "reason"), [("403", "refuses to give"), ("404", "not there any more")])
def test_a_refusal_names_the_ways_out(server, tmp_path, trick, reason):
    server.tricks = [trick]
    with pytest.raises(DownloadError, match=rf"{reason}.*browser.*source='FOLDER'.*mirror"):
        fetch([server.file()], tmp_path, verbose=0)
    assert len(server.ranges) == 1, "asking again would not help"


def test_no_network_is_a_clear_error(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    file = server.file()
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"the connection failed.*2 times"):
        fetch([file], tmp_path, verbose=0)


@pytest.mark.parametrize("trick", ["wrong bytes", "says less"])
def test_wrong_bytes_never_get_the_name(server, tmp_path, trick):
    server.tricks = [trick]
    with pytest.raises(DownloadError, match=f"not the official file, whose SHA-256 is {SHA256}"):
        fetch([server.file()], tmp_path, verbose=0)
    assert names(tmp_path) == []


def test_a_wrong_size_is_refused_even_without_a_hash(server, tmp_path):
    server.tricks = ["says less"]
    with pytest.raises(DownloadError, match="299,000 bytes, expected 300,000"):
        fetch([server.file(sha256=None, n_bytes=300_000)], tmp_path, verbose=0)
    assert names(tmp_path) == []


def test_a_cut_archive_is_refused_even_without_a_hash(server, tmp_path):
    server.files["a.zip"] = zipped({"image.jpg": CONTENT})
    server.tricks = ["says less"]
    with pytest.raises(DownloadError, match="not a whole zip archive"):
        fetch([server.file("a.zip", sha256=None)], tmp_path, verbose=0)
    assert names(tmp_path) == []


def test_a_damaged_archive_is_refused_even_without_a_hash(server, tmp_path):
    server.files["a.zip"] = zipped({"image.jpg": b"an image"}).replace(b"an image", b"aX image")
    with pytest.raises(DownloadError, match=r"damaged at image\.jpg"):
        fetch([server.file("a.zip", sha256=None)], tmp_path, verbose=0)
    assert names(tmp_path) == []


def test_a_damaged_file_on_disk_is_noticed(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"damaged")
    with pytest.raises(DownloadError, match=r"not the official file.*Delete the file to fetch it again"):
        fetch([server.file()], tmp_path, verbose=0)
    assert (tmp_path / "file.bin").read_bytes() == b"damaged", "nobody's file is deleted"


def test_a_disk_without_room_is_noticed_first(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DownloadError, match=r"file.bin needs 300,000 bytes in .*, only 1,000 are free"):
        fetch([server.file()], tmp_path, verbose=0)


def test_a_disk_that_fills_up_keeps_what_arrived(server, tmp_path):
    with full_disk(120_000), pytest.raises(DownloadError, match="the disk is full: free some space, and call again"):
        fetch([server.file()], tmp_path, verbose=0)
    assert fetch([server.file()], tmp_path, verbose=0)[0].read_bytes() == CONTENT
    assert server.ranges[1] == "bytes=120000-"


# -- pinned on first use --


def test_an_unknown_hash_is_pinned_and_held_to(server, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    file = server.file(sha256=None)
    (path,) = fetch([file], tmp_path, verbose=0)
    assert "pinned on first use" in caplog.text
    assert (tmp_path / "SHA256SUMS").read_text() == f"{SHA256}  file.bin\n"
    path.unlink()
    server.files["file.bin"] = bytes(300_000)
    with pytest.raises(DownloadError, match=r"not the file of the first download.*delete the line of file.bin"):
        fetch([file], tmp_path, verbose=0)
    assert not path.exists()
    (tmp_path / "SHA256SUMS").unlink()
    assert fetch([file], tmp_path, verbose=0)[0].read_bytes() == bytes(300_000)


def test_a_file_that_was_there_already_is_pinned_if_it_can_be_right(tmp_path):
    (tmp_path / "file.bin").write_bytes(CONTENT)
    file = OfficialFile("file.bin", "http://127.0.0.1:9/file.bin", n_bytes=300_000)
    fetch([file], tmp_path, verbose=0)
    assert (tmp_path / "SHA256SUMS").read_text() == f"{SHA256}  file.bin\n"
    (tmp_path / "a.zip").write_bytes(b"no archive")
    with pytest.raises(DownloadError, match=r"a\.zip: not a whole zip archive"):
        fetch([OfficialFile("a.zip", "http://127.0.0.1:9/a.zip")], tmp_path, verbose=0)


def test_a_pin_that_cannot_be_read_is_no_licence(server, tmp_path):
    (tmp_path / "SHA256SUMS").write_text(f"{SHA256.upper()}  file.bin\n")
    assert fetch([server.file(sha256=None)], tmp_path, verbose=0)[0].read_bytes() == CONTENT
    (tmp_path / "SHA256SUMS").write_text(f"{SHA256[:60]}  file.bin\n")
    with pytest.raises(DownloadError, match="is no SHA-256 and file name: correct the line or delete it"):
        fetch([server.file(sha256=None)], tmp_path, verbose=0)


def test_an_interrupted_verification_downloads_nothing_again(server, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pooch.core.hash_matches", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch([server.file()], tmp_path, verbose=0)
    fetch([server.file()], tmp_path, verbose=0)
    assert server.ranges == [None, "bytes=300000-"]
    assert names(tmp_path) == ["file.bin"]


def test_wrong_bytes_are_asked_for_again_from_the_start(server, tmp_path):
    server.tricks = ["wrong bytes"]
    with pytest.raises(DownloadError):
        fetch([server.file()], tmp_path, verbose=0)
    assert fetch([server.file()], tmp_path, verbose=0)[0].read_bytes() == CONTENT
    assert server.ranges == [None, None]


@pytest.mark.parametrize("links", [True, False])
def test_a_folder_is_linked_where_it_can_be(tmp_path, monkeypatch, links):
    def refuse(*arguments):
        raise OSError("no links on this file system")

    if not links:
        monkeypatch.setattr("os.link", refuse)
    (tmp_path / "by_browser").mkdir()
    (tmp_path / "by_browser" / "file.bin").write_bytes(CONTENT)
    file = OfficialFile("file.bin", "http://127.0.0.1:9/file.bin", sha256=SHA256)
    (path,) = fetch([file], tmp_path / "data", source=tmp_path / "by_browser", verbose=0)
    assert path.read_bytes() == CONTENT
    assert path.samefile(tmp_path / "by_browser" / "file.bin") == links


def test_the_pins_are_what_sha256sum_reads(server, tmp_path):
    if not shutil.which("sha256sum"):
        pytest.skip("sha256sum is not installed")
    server.files["other.bin"] = b"other"
    fetch([server.file(sha256=None), server.file("other.bin", sha256=None)], tmp_path, verbose=0)
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "file.bin: OK\nother.bin: OK\n"


# -- from elsewhere --


def test_a_mirror_stands_in_for_the_official_address(server, tmp_path):
    file = OfficialFile("file.bin", "http://127.0.0.1:9/nowhere/file.bin", sha256=SHA256)
    assert fetch([file], tmp_path, source=f"{server.url}/mirror/", verbose=0)[0].read_bytes() == CONTENT
    assert server.paths == ["/mirror/file.bin"]


def test_a_folder_of_files_needs_no_network(tmp_path):
    (tmp_path / "by_browser").mkdir()
    (tmp_path / "by_browser" / "file.bin").write_bytes(CONTENT)
    file = OfficialFile("file.bin", "http://127.0.0.1:9/file.bin", sha256=SHA256)
    (path,) = fetch([file], tmp_path / "data", source=tmp_path / "by_browser", verbose=0)
    assert path == tmp_path / "data" / "file.bin"
    assert path.read_bytes() == CONTENT
    (tmp_path / "by_browser" / "file.bin").write_bytes(b"wrong")
    with pytest.raises(DownloadError, match="not the official file"):
        fetch([file], tmp_path / "new", source=tmp_path / "by_browser", verbose=0)
    with pytest.raises(DownloadError, match="no such file; source must be a folder with the official files"):
        fetch([file], tmp_path / "new", source=tmp_path / "empty", verbose=0)


def test_a_proxy_is_used(server, tmp_path, monkeypatch):
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", server.url)
    file = OfficialFile("file.bin", "http://official.invalid/2017/file.bin", sha256=SHA256)
    assert fetch([file], tmp_path, verbose=0)[0].read_bytes() == CONTENT
    assert server.paths == ["http://official.invalid/2017/file.bin"]


def test_progress_starts_where_the_download_goes_on(server, tmp_path):
    server.tricks = ["breaks off"]
    with terminal() as shown:
        fetch([server.file()], tmp_path, verbose=1)
    assert "Download file.bin  50%" in shown[0]


# -- archives --


def zipped(members, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def archive(tmp_path):
    def make(members, **options):
        (tmp_path / "a.zip").write_bytes(zipped(members, **options))
        return tmp_path / "a.zip"

    return make


def test_an_archive_is_unpacked_without_litter(archive, tmp_path):
    members = {"data/": b"", "data/ä/1.jpg": b"one", "data/2.jpg": b"two", "__MACOSX/2.jpg": b"", "data/.DS_Store": b""}
    paths = extract(archive(members), tmp_path / "out", verbose=0)
    assert [path.relative_to(tmp_path / "out").as_posix() for path in paths] == ["data/ä/1.jpg", "data/2.jpg"]
    assert [path.read_bytes() for path in paths] == [b"one", b"two"]
    assert sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file()) == ["1.jpg", "2.jpg"]


@pytest.mark.parametrize(
    "name", ["../out.jpg", "a/../../out.jpg", "/etc/out.jpg", "C:/out.jpg", "..\\out.jpg", "a\\..\\..\\out.jpg"]
)
def test_no_member_leaves_the_folder(archive, tmp_path, name):
    with pytest.raises(DownloadError, match=r"would lie outside the folder\. Nothing was unpacked"):
        extract(archive({"good.jpg": b"good", name: b"bad"}), tmp_path / "deep" / "out", verbose=0)
    assert names(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(tmp_path, kind):
    member = zipfile.ZipInfo("link")
    member.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(member, "/etc/passwd")
    with pytest.raises(DownloadError, match="is a link or a device"):
        extract(tmp_path / "a.zip", tmp_path / "out", verbose=0)


def test_a_bomb_is_refused(archive, tmp_path):
    bomb = archive({"bomb.jpg": bytes(10_000_000)}, method=zipfile.ZIP_DEFLATED)
    with pytest.raises(DownloadError, match="would unpack to 10,000,000 bytes, more than 100 times its"):
        extract(bomb, tmp_path / "out", verbose=0)
    assert not (tmp_path / "out").exists()


def test_a_bomb_that_lies_about_its_size_is_stopped(archive, tmp_path):
    bomb = archive({"bomb.jpg": bytes(10_000_000)}, method=zipfile.ZIP_DEFLATED)
    honest, lie = (n.to_bytes(4, "little") for n in (10_000_000, 1000))
    bomb.write_bytes(bomb.read_bytes().replace(honest, lie))
    with pytest.raises(DownloadError, match="damaged"):
        extract(bomb, tmp_path / "out", verbose=0)
    assert not list((tmp_path / "out").rglob("*.jpg"))


def test_an_encrypted_member_is_refused(archive, tmp_path):
    path = archive({"secret.jpg": b"secret"})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(DownloadError, match=r"is encrypted\. Nothing was unpacked"):
        extract(path, tmp_path / "out", verbose=0)


def test_a_way_to_pack_that_python_does_not_know_is_no_damage(archive, tmp_path):
    path = archive({"large.jpg": b"as Windows packs large files"}, method=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(signature) + offset] = 9  # Deflate64
    path.write_bytes(content)
    with pytest.raises(DownloadError, match=r"large\.jpg' is packed in an unusual way \(method 9\)"):
        extract(path, tmp_path / "out", verbose=0)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_ways_to_pack_that_python_knows_are_unpacked(archive, tmp_path, method):
    (path,) = extract(archive({"a.jpg": CONTENT}, method=method), tmp_path / "out", verbose=0)
    assert path.read_bytes() == CONTENT


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("a.jpg", "a.jpg", "occurs twice"),
        ("a.jpg", "A.JPG", "occurs twice"),
        ("l\u00e9sion.jpg", "le\u0301sion.jpg", "occurs twice"),
        ("L\u00c9SION.jpg", "le\u0301sion.jpg", "occurs twice"),
        ("images/1.jpg", "Images/1.jpg", "occurs twice"),
        ("a", "a/1.jpg", "is a file and a folder"),
        ("a/1.jpg", "A", "is a file and a folder"),
    ],
)
def test_two_members_that_are_one_file_somewhere_are_refused(tmp_path, first, second, reason):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(first, b"one")
        opened.writestr(second, b"two")
    with pytest.raises(DownloadError, match=reason):
        extract(tmp_path / "a.zip", tmp_path / "out", verbose=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("", "a//b.jpg", "./a.jpg", "a/./b.jpg", "a.jpg.", "a.jpg ", "folder /a.jpg", "a\nb.jpg", "a\x1b[2J.jpg"),
        *("nul", "CON.jpg", "lpt1.tar.gz", "a" * 252 + ".jpg", "\u00e9" * 130 + ".jpg", "a\u202egpj.exe"),
        *(
            "a*b?.jpg",
            "a<b>.jpg",
            'a"b.jpg',
            "a|b.jpg",
            "a?/b.jpg",
            "conin$",
            "CONOUT$.jpg",
            "com\u00b9.jpg",
            "nul .jpg",
        ),
        *("a...", "folder./a.jpg"),
    ],
)
def test_names_that_no_file_can_have_everywhere_are_refused(archive, tmp_path, name):
    path = archive({name or "x": b"bad", "good.jpg": b"good"})
    if not name:  # which no writer writes
        path.write_bytes(_nameless(path))
    with pytest.raises(DownloadError, match=r"is no name that a file can have everywhere\. Nothing was unpacked"):
        extract(path, tmp_path / "out", verbose=0)
    assert not (tmp_path / "out").exists()


def _nameless(path):
    """Take the name of the first member out of the directory of an archive."""
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    entry = bytearray(content[start:])
    entry[28:30] = b"\0\0"
    del entry[46:47]
    end = entry.index(b"PK\x05\x06")
    entry[end + 12 : end + 16] = (int.from_bytes(entry[end + 12 : end + 16], "little") - 1).to_bytes(4, "little")
    return content[:start] + bytes(entry)


def test_archives_with_random_damage_are_refused_or_right(archive, tmp_path):
    members = {f"images/{number}.jpg": bytes([number]) * 400 for number in range(5)}
    whole = archive(members, method=zipfile.ZIP_DEFLATED).read_bytes()
    rng = np.random.default_rng(0)
    for number in range(200):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), rng.integers(1, 6)):
            content[place] = rng.integers(256)
        (tmp_path / "a.zip").write_bytes(content[: rng.integers(1, len(content) + 1)] if number % 5 == 0 else content)
        with contextlib.suppress(DownloadError):
            paths = extract(tmp_path / "a.zip", tmp_path / f"out{number}", verbose=0)
            assert all(path.read_bytes() in members.values() for path in paths)


def test_two_fetch_into_one_folder(server, tmp_path):
    """The second waits for the first, and finds the file there."""
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: fetch([server.file()], tmp_path / "out", verbose=0), range(3)))
    assert all(paths == found[0] for paths in found)
    assert (tmp_path / "out" / "file.bin").read_bytes() == CONTENT
    assert len(server.ranges) == 1
    assert names(tmp_path / "out") == ["file.bin"]


def test_damage_is_found_and_no_half_file_stays(archive, tmp_path):
    path = archive({"1.jpg": b"first", "2.jpg": b"second image"})
    path.write_bytes(path.read_bytes().replace(b"second image", b"sXcond image"))
    with pytest.raises(DownloadError, match="damaged"):
        extract(path, tmp_path / "out", verbose=0)
    assert names(tmp_path / "out") == ["1.jpg"]
    (tmp_path / "a.zip").write_bytes(b"no archive")
    with pytest.raises(DownloadError, match="damaged"):
        extract(tmp_path / "a.zip", tmp_path / "out", verbose=0)


def test_only_what_is_missing_or_damaged_is_written(archive, tmp_path):
    path = archive({f"{n}.jpg": f"image {n}".encode() for n in range(4)})
    written = extract(path, tmp_path / "out", verbose=0)
    written[1].unlink()
    written[2].write_bytes(b"damage!")
    before = [path.stat().st_mtime_ns for path in (written[0], written[3])]
    extract(path, tmp_path / "out", verbose=0)
    assert [path.read_bytes() for path in written] == [f"image {n}".encode() for n in range(4)]
    assert [path.stat().st_mtime_ns for path in (written[0], written[3])] == before


def test_room_for_all_of_it_is_asked_for_first(archive, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=3))
    with pytest.raises(DownloadError, match="needs 4 bytes"):
        extract(archive({"1.jpg": b"four"}), tmp_path / "out", verbose=0)


# -- a challenge --


@pytest.fixture
def official(server, tmp_path):
    """The drawn ISBI 2016 test set as its server would have it."""
    drawn = write_challenge(tmp_path / "drawn", split="test", n_benign=304, n_melanoma=75, size=16)
    folder = drawn / "ISBI2016_ISIC_Part3_Test_Data"
    members = {f"{folder.name}/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}
    server.files[f"{folder.name}.zip"] = zipped(members)
    truth = "ISBI2016_ISIC_Part3_Test_GroundTruth.csv"
    server.files[truth] = (drawn / truth).read_bytes()
    return server


def test_a_challenge_is_fetched_unpacked_and_read(official, tmp_path):
    options = {"year": 2016, "split": "test", "source": official.url, "verbose": 0}
    official.tricks = ["breaks off"]
    dataset = ISBIDataset.download(tmp_path / "data", **options)
    assert dataset.class_counts == {"benign": 304, "melanoma": 75}
    assert all(Path(path).is_file() for path in dataset.paths)
    n_requests = len(official.ranges)
    again = ISBIDataset.download(tmp_path / "data", **options)
    assert again.image_ids.tolist() == dataset.image_ids.tolist()
    assert len(official.ranges) == n_requests, "what is complete is not fetched again"
    Path(dataset.paths[7]).unlink()
    assert len(ISBIDataset.download(tmp_path / "data", **options)) == 379
    assert len(official.ranges) == n_requests, "the archive is still there"
    (tmp_path / "data" / "ISBI2016_ISIC_Part3_Test_Data.zip").unlink()
    assert len(ISBIDataset.download(tmp_path / "data", **options)) == 379
    assert len(official.ranges) == n_requests, "nothing is missing without it"


def test_labels_alone_are_a_small_download(official, tmp_path):
    labels = ISBIDataset.download(
        tmp_path / "data", year=2016, split="test", source=official.url, images=False, verbose=0
    )
    assert len(labels) == 379
    assert names(tmp_path / "data") == ["ISBI2016_ISIC_Part3_Test_GroundTruth.csv", "SHA256SUMS"]


def test_what_no_program_can_fetch_says_where_to_ask(tmp_path):
    with pytest.raises(DatasetError, match=r"PH2 cannot be fetched by a program: ask for it at https://www.fc.up.pt"):
        ISBIDataset.download(tmp_path, year="PH2", split="all")


def test_a_host_that_is_not_there_is_named_once(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(download, "BACK_OFF", 0.0)
    file = OfficialFile("labels.csv", "https://nowhere.invalid/labels.csv")
    with pytest.raises(DownloadError, match=r"^https://nowhere.invalid/labels.csv: the connection failed \(Failed to"):
        download.fetch([file], tmp_path, verbose=0)
    assert {record.getMessage().partition("; trying again")[0] for record in caplog.records} == {
        "labels.csv: the connection failed (Failed to resolve 'nowhere.invalid' ([Errno -2] Name or service not known))"
    }


def test_where_images_are_missing_it_is_said_before_the_archive_is_fetched(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(download, "BACK_OFF", 0.0)
    write_isbi(tmp_path, n_train=10, n_validation=2, n_test=2, size=16)
    next((tmp_path / "ISBI2016_ISIC_Part3_Training_Data").glob("*.jpg")).unlink()
    with pytest.raises(
        DownloadError, match=r"here already are read by .*from_challenge\(.*year=2016.*on_error='skip'\)$"
    ):
        ISBIDataset.download(tmp_path, year=2016, split="train", source="http://127.0.0.1:9", verbose=0)
    assert "1 of 10 rows cannot be used" in caplog.records[0].getMessage()
    assert "on_error='skip'" in caplog.records[0].getMessage()
    assert caplog.records[0].getMessage().endswith("The official files are fetched now, and then read again")
