"""The one progress bar, on a real terminal."""

import re
import sys
import types
from pathlib import Path

from conftest import terminal

import melanoma_tl
from melanoma_tl import TransferClassifier
from melanoma_tl._progress import progress


def lines_left(text):
    """The lines that a terminal shows in the end, as `\\r`, `\\n` and the cursor's way up arrange them."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[A|.|\s", text, re.DOTALL):
        if token == "\r":
            column = 0
        elif token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token == "\x1b[A":
            row -= 1
        else:
            lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]


def test_work_leaves_one_line_that_names_it():
    with terminal() as shown:
        assert list(progress(range(3), "Open ISBI 2016 train", verbose=1)) == [0, 1, 2]
    (line,) = lines_left(*shown)
    assert re.fullmatch(r"Open ISBI 2016 train: 100%\|.*\| 3/3 \[.* image/s\]", line)


def test_work_within_work_leaves_no_line():
    with terminal() as shown:
        for _ in progress(range(2), "Train members", unit="member", verbose=1):
            list(progress(range(3), "Compute features", unit="view", verbose=1))
    assert "Compute features" in shown[0]
    (line,) = lines_left(*shown)
    assert "Train members: 100%" in line


def test_short_work_shows_nothing():
    with terminal(shortest=60) as shown:
        list(progress(range(3), "Fingerprint drawn", verbose=1))
        with progress(work="Download", total=3, unit="B", verbose=True) as bar:
            bar.update(3)
    assert shown == [""]


def test_silent_work_shows_nothing():
    with terminal() as shown:
        assert list(progress(range(3), "Open", verbose=0)) == [0, 1, 2]
    assert shown == [""]


def test_nothing_is_written_into_files_and_pipes(capfd):
    list(progress(range(3), "Open", verbose=1, delay=0))
    assert capfd.readouterr() == ("", "")


def test_without_an_error_stream_nothing_is_shown(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert list(progress(range(3), "Open", verbose=1, delay=0)) == [0, 1, 2]


def test_a_notebook_is_no_terminal_and_shows_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    list(progress(range(3), "Open", verbose=1, delay=0))
    assert "Open: 100%" in capsys.readouterr().err


def test_training_leaves_one_line_for_each_work(images, labels):
    classifier = TransferClassifier("tiny", weights=None, input_size=(32, 32), epochs=2, batch_size=8)
    with terminal() as shown:
        classifier.fit(images, labels)
    lines = lines_left(*shown)
    names = [line.partition(":")[0] for line in lines]
    assert names == sorted(set(names), key=names.index), lines
    assert names[-1] == "Train"
    assert "2/2" in lines[-1]
    assert "loss=" in lines[-1]


def test_no_other_module_makes_a_bar():
    package = Path(melanoma_tl.__file__).parent
    users = {path.name for path in package.rglob("*.py") if "import tqdm" in path.read_text(encoding="utf-8")}
    assert users == {"_progress.py"}
