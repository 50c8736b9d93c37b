"""Writers cannot hurt each other, and who is killed leaves nothing that stays."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import build
from processes import started

from melanoma_tl import ISBIDataset
from melanoma_tl import _atomic as files
from melanoma_tl._atomic import atomic_write, locked, make_folder, replacing_many, scratch, workplace
from melanoma_tl.datasets.synthetic import write_challenge
from melanoma_tl.errors import WriteError
from melanoma_tl.saving.model_file import load_model, save_model


def everything(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def write_half(opened):
    with opened as unfinished:
        unfinished.write_text("half")
        raise ZeroDivisionError


def run(code, *arguments, **options):
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=False, **options)


KILLED = """
import os, signal, sys
from pathlib import Path
from melanoma_tl._atomic import *
with {what} as unfinished:
    (unfinished / "half" if unfinished.is_dir() else unfinished).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_folder_is_made_beside_one_who_deletes_it(tmp_path):
    """In pathlib's own way it fails here with FileExistsError or FileNotFoundError, several times in each run."""
    deep, ended = tmp_path / "deep" / "deeper", threading.Event()

    def delete():
        while not ended.is_set():
            with suppress(OSError):
                deep.rmdir()
                deep.parent.rmdir()

    with ThreadPoolExecutor(1) as pool:
        deleting = pool.submit(delete)
        try:
            for _ in range(5_000):
                make_folder(deep)
        finally:
            ended.set()
        deleting.result()
    make_folder(deep)
    assert deep.is_dir()


def test_a_file_has_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with atomic_write(path) as unfinished:
        unfinished.write_text("one")
        assert unfinished.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "one"
    with pytest.raises(ZeroDivisionError):
        write_half(atomic_write(path))
    assert path.read_text() == "one"
    assert everything(tmp_path) == ["deep", "deep/a.txt"]


def test_a_folder_takes_the_place_of_a_folder(tmp_path):
    for content in ("one", "two"):
        with atomic_write(tmp_path / "a") as unfinished:
            unfinished.mkdir()
            (unfinished / content).write_text(content)
        assert everything(tmp_path) == ["a", f"a/{content}"]
    with pytest.raises(OSError, match="a"), atomic_write(tmp_path / "a") as unfinished:
        unfinished.write_text("a file")
    assert everything(tmp_path) == ["a", "a/two"]


@pytest.mark.parametrize(
    "what",
    [
        "atomic_write(Path(sys.argv[1], 'a.txt'))",
        "atomic_write_once(Path(sys.argv[1], 'a.txt'))",
        "workplace(Path(sys.argv[1]))",
    ],
)
def test_what_a_killed_writer_left_goes_with_the_next(tmp_path, what):
    (tmp_path / "a.txt").write_text("before")
    assert run(KILLED.format(what=what), tmp_path).returncode == -signal.SIGKILL
    assert (tmp_path / "a.txt").read_text() == "before"
    assert len(everything(tmp_path)) > 1
    with atomic_write(tmp_path / "other.txt") as unfinished:
        unfinished.write_text("whole")
    assert everything(tmp_path) == ["a.txt", "other.txt"]


def test_what_a_killed_reader_of_models_left_goes_too(tmp_path, monkeypatch):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    assert run(KILLED.format(what="scratch()"), env=environment).returncode == -signal.SIGKILL
    assert len(everything(tmp_path)) > 1
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch() as folder:
        assert everything(tmp_path)[0] == folder.name
        assert folder.stat().st_mode & 0o077 == 0, "nobody else can read it"
    assert everything(tmp_path) == []


def test_a_folder_that_was_being_replaced_comes_back(tmp_path):
    """Killed between the two steps in which a folder takes the place of another."""
    with workplace(tmp_path) as place:
        (place / "new").mkdir()
    code = """
import os, signal, sys
from pathlib import Path
from melanoma_tl._atomic import atomic_write
rename = Path.rename
def kill(self, target):
    rename(self, target)
    os.kill(os.getpid(), signal.SIGKILL)
Path.rename = kill
with atomic_write(Path(sys.argv[1], "model")) as unfinished:
    unfinished.mkdir()
"""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("before")
    assert run(code, tmp_path).returncode == -signal.SIGKILL
    assert not (tmp_path / "model").exists()
    with atomic_write(tmp_path / "other.txt") as unfinished:
        unfinished.write_text("whole")
    assert everything(tmp_path) == ["model", "model/weights", "other.txt"]


def test_a_writer_that_lives_is_left_alone(tmp_path):
    with atomic_write(tmp_path / "a.txt") as first:
        first.write_text("first")
        assert (
            run(
                """
import sys
from pathlib import Path
from melanoma_tl._atomic import atomic_write
with atomic_write(Path(sys.argv[1], "a.txt")) as unfinished:
    unfinished.write_text("second")
""",
                tmp_path,
            ).returncode
            == 0
        )
        assert (tmp_path / "a.txt").read_text() == "second"
        assert first.read_text() == "first"
    assert (tmp_path / "a.txt").read_text() == "first"
    assert everything(tmp_path) == ["a.txt"]


def test_many_threads_that_write_one_name_each_write_it_whole(tmp_path):
    wrong = []

    def write(number):
        for _ in range(15):
            with atomic_write(tmp_path / "a.txt") as unfinished:
                unfinished.write_text(str(number) * 10_000)
            found = (tmp_path / "a.txt").read_text()
            wrong.extend([found] if len(found) != 10_000 or len(set(found)) != 1 else [])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    assert wrong == []
    assert everything(tmp_path) == ["a.txt"]


def test_a_model_saved_to_one_name_by_three_threads_is_one_of_theirs(tmp_path):
    models = [build(random_state=seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda model: save_model(model, {}, tmp_path / "m.keras"), models * 2))
    assert everything(tmp_path) == ["m.keras"]
    found = load_model(tmp_path / "m.keras").model.get_weights()
    assert any(all(map(np.array_equal, found, model.get_weights())) for model in models)


def test_many_files_from_one_place(tmp_path):
    with replacing_many(tmp_path) as replacing_one:
        for name in ("benign/1.png", "melanoma/1.png", "labels.csv"):
            with replacing_one(tmp_path / name) as unfinished:
                unfinished.write_text(name)
        with pytest.raises(ZeroDivisionError):
            write_half(replacing_one(tmp_path / "labels.csv"))
    assert (tmp_path / "melanoma" / "1.png").read_text() == "melanoma/1.png"
    assert (tmp_path / "labels.csv").read_text() == "labels.csv"
    assert not list(tmp_path.glob(".*"))


def test_unfinished_files_are_no_images(tmp_path):
    folder = write_challenge(tmp_path, year=2016, split="train", n_benign=2, n_melanoma=2, size=32, verbose=0)
    with atomic_write(next(folder.rglob("*.jpg")).with_name("new.jpg")) as unfinished:
        unfinished.write_bytes(next(folder.rglob("*.jpg")).read_bytes())
        assert len(ISBIDataset.from_challenge(folder, year=2016, split="train")) == 4
        unfinished.with_name("x").touch()


def test_a_path_below_a_file_says_so(tmp_path):
    (tmp_path / "a").write_text("a file")
    with pytest.raises(OSError, match="a"), atomic_write(tmp_path / "a" / "b.txt"):
        pass


# -- locks -------------------------------------------------------------------------------------------------------------


def test_a_lock_is_held_by_one_and_goes_with_its_process(tmp_path):
    with locked(tmp_path / "x.lock"), pytest.raises(TimeoutError), locked(tmp_path / "x.lock", patience=0.05):
        pass
    assert everything(tmp_path) == []
    code = """
import os, signal, sys
from pathlib import Path
from melanoma_tl._atomic import locked
with locked(Path(sys.argv[1], "x.lock")):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run(code, tmp_path).returncode == -signal.SIGKILL
    with locked(tmp_path / "x.lock", patience=0):
        pass


def test_who_waits_comes_next(tmp_path):
    inside, most = [], []

    def work(_):
        for _ in range(10):
            with locked(tmp_path / "x.lock"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.002)
                inside.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert max(most) == 1
    assert everything(tmp_path) == []


@pytest.mark.filterwarnings("ignore:flock not supported")
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_without_locks_of_the_file_system(tmp_path, monkeypatch, code):
    """As on some network file systems."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    for content in ("one", "two"):
        with atomic_write(tmp_path / "a.txt") as unfinished:
            unfinished.write_text(content)
            with atomic_write(tmp_path / "b.txt") as other:
                other.write_text(content)
            assert unfinished.exists(), "it is left alone"
    assert everything(tmp_path) == ["a.txt", "b.txt"]
    with locked(tmp_path / "x.lock"), pytest.raises(TimeoutError), locked(tmp_path / "x.lock", patience=0.05):
        pass


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_what_another_user_left_is_in_nobodys_way(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    theirs = tmp_path / "melanoma_tl_unfinished_theirs"
    beside = tmp_path / ".melanoma_tl_unfinished_12345" / "theirs"
    for folder in (theirs, beside):
        folder.mkdir(parents=True)
        os.chown(folder, 12345, 12345)
    with atomic_write(tmp_path / "b.txt") as unfinished, scratch():
        unfinished.write_text("whole")
    assert theirs.exists()
    assert beside.exists()
    assert (tmp_path / "b.txt").read_text() == "whole"


def test_a_link_in_the_place_of_the_working_folder_deletes_nothing(tmp_path):
    home, shared = tmp_path / "home", tmp_path / "shared"
    (home / "thesis").mkdir(parents=True)
    (home / "thesis" / "chapter").write_text("years of work")
    shared.mkdir()
    (shared / files._UNFINISHED).symlink_to(home)
    with pytest.raises(WriteError, match="no folder of yours"), files.atomic_write(shared / "a.txt") as unfinished:
        unfinished.write_text("new")
    assert (home / "thesis" / "chapter").read_text() == "years of work"


def test_folders_without_a_lock_are_not_left_over(tmp_path):
    other = tmp_path / files._UNFINISHED / "mine"
    other.mkdir(parents=True)
    (other / "kept").touch()
    with files.atomic_write(tmp_path / "a.txt") as unfinished:
        unfinished.write_text("new")
    assert (other / "kept").exists()


def test_a_link_as_target_is_written_through_and_a_device_is_left_alone(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with files.atomic_write(tmp_path / "link.txt") as unfinished:
        unfinished.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    (tmp_path / "circle.txt").symlink_to("circle.txt")
    with files.atomic_write(tmp_path / "circle.txt") as unfinished:
        unfinished.write_text("new")
    assert (tmp_path / "circle.txt").read_text() == "new"
    assert (tmp_path / "real.txt").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    with (
        pytest.raises(OSError, match="neither a file nor a folder"),
        files.atomic_write(tmp_path / "pipe") as unfinished,
    ):
        unfinished.write_text("new")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


# -- several writers of one folder, and forks --------------------------------------------------------------------------

MANY_FOLDERS = """
import os, sys
from pathlib import Path
from melanoma_tl._atomic import atomic_write
os.getpid = lambda: 1  # as in containers
for number in range(40):
    with atomic_write(Path(sys.argv[1]) / "model") as unfinished:
        unfinished.mkdir()
        for name in "abc":
            (unfinished / name).write_text(f"{sys.argv[2]} {number}")
"""


def test_many_writers_of_one_folder_each_write_it_whole(tmp_path):
    command = [sys.executable, "-c", MANY_FOLDERS, str(tmp_path)]
    with ExitStack() as stack:
        processes = (started([*command, str(name)], stderr=subprocess.PIPE, text=True) for name in range(3))
        writers = [stack.enter_context(process) for process in processes]
        errors = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], errors
    assert len({(tmp_path / "model" / name).read_text() for name in "abc"}) == 1
    assert everything(tmp_path) == ["model", "model/a", "model/b", "model/c"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX has forks")
@pytest.mark.parametrize("ends", ["raise SystemExit", "pass"])
def test_a_fork_that_ends_takes_nothing_of_its_parent_away(tmp_path, ends):
    code = f"""
import os, sys
from pathlib import Path
from melanoma_tl._atomic import locked, atomic_write, scratch
folder = Path(sys.argv[1])
with locked(folder / "lock"), scratch() as place, atomic_write(folder / "a.txt") as unfinished:
    (place / "b").write_text("b")
    unfinished.write_text("whole")
    child = os.fork()
    if child == 0:
        {ends}
    else:
        os.waitpid(child, 0)
        assert unfinished.read_text() == "whole" and not (folder / "a.txt").exists()
        assert (place / "b").exists() and (folder / "lock").exists()
        try:
            with locked(folder / "lock", patience=0):
                raise SystemExit("the lock is gone")
        except TimeoutError:
            pass
"""
    (tmp_path / "folder").mkdir()
    done = run(code, tmp_path / "folder", capture_output=True, text=True, env=os.environ | {"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert everything(tmp_path) == ["folder", "folder/a.txt"]


# -- what cannot be written says what to do ----------------------------------------------------------------------------


def below_a_file(folder):
    (folder / "a").write_text("a file")
    return folder / "a" / "model.keras"


def a_folder(folder):
    (folder / "model.keras" / "more").mkdir(parents=True)
    return folder / "model.keras"


UNWRITABLE = {
    "below a file": (below_a_file, "delete the file that has this name"),
    "a folder": (a_folder, "give the name of a file"),
    "a long name": (lambda folder: folder / f"{'a' * 300}.keras", "choose a shorter name"),
    "a long folder": (lambda folder: folder / ("a" * 300) / "model.keras", "choose a shorter name"),
    "a system's folder": (lambda folder: Path("/proc/model.keras"), "choose "),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_what_cannot_be_written_says_what_to_do(tmp_path, case):
    make, advice = UNWRITABLE[case]
    path = make(tmp_path)
    before = everything(tmp_path)
    with pytest.raises(WriteError, match=f"cannot be written .*: {advice}") as caught:
        save_model(build(), {}, path)
    assert isinstance(caught.value, OSError)
    assert caught.value.errno
    assert everything(tmp_path) == before


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_disk_that_is_full_or_locked_says_what_to_do(tmp_path, code):
    def write():
        with atomic_write(tmp_path / "a.txt"):
            raise OSError(code, os.strerror(code))

    advice = "free some space" if code in (errno.ENOSPC, errno.EDQUOT) else "choose a folder that"
    with pytest.raises(WriteError, match=advice):
        write()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="only POSIX limits the size of files")
@pytest.mark.parametrize("limit", [100, 60_000])
def test_a_model_that_does_not_fit_on_the_disk_says_so(tmp_path, limit):
    """A limit on the size of files is as near to a full disk as a test can come without an administrator."""
    code = f"""
import resource, signal, sys
from pathlib import Path
import keras
from melanoma_tl.errors import WriteError
from melanoma_tl.saving.model_file import save_model
images = keras.Input((32, 32, 3), name="image")
flat = keras.layers.Flatten()(images)
model = keras.Model(images, keras.layers.Dense(1, activation="sigmoid", name="melanoma")(keras.layers.Dense(9)(flat)))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
try:
    save_model(model, {{}}, Path(sys.argv[1]) / "model.keras")
except WriteError as error:
    print(error)
"""
    done = run(code, tmp_path, capture_output=True, text=True)
    assert "model.keras: cannot be written" in done.stdout, done.stderr
    assert everything(tmp_path) == []
