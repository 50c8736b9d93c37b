"""The one line of progress: on a real terminal, in a file, and in a notebook (with `test_first_look`)."""

import io
import re
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
from conftest import terminal

import melanoma_tl
from melanoma_tl import MetricsReport, TransferClassifier, _progress
from melanoma_tl._progress import progress
from melanoma_tl.errors import UnknownNameError, WeightsUnavailableError


def lines_left(text, columns=120):
    """The lines that a terminal shows in the end; what is too long for one goes on in the next."""
    lines, row, column = [""], 0, 0
    for letter in text:
        if letter == "\r":
            column = 0
        elif letter == "\n" or column == columns:
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        if letter not in "\r\n":
            lines[row] = lines[row][:column].ljust(column) + letter + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]


def test_work_leaves_one_line_that_names_it():
    with terminal() as shown:
        assert list(progress(np.arange(3), "Open ISBI 2016 train", verbose=1)) == [0, 1, 2]
    assert re.search(r"\rOpen ISBI 2016 train  33% \[#+\.+\], 1/3 images, 0:00, 0:00 left", shown[0])
    assert lines_left(*shown) == ["Open ISBI 2016 train: 3 images, 0:00"]


def test_work_within_work_is_shown_in_its_line():
    with terminal() as shown:
        for _ in progress(range(2), "Train members", unit="member", verbose=1):
            list(progress(range(3), "Compute features", unit="view", verbose=1))
    assert "Train members: compute features  67%" in shown[0]
    assert lines_left(*shown) == ["Train members: 2 members, 0:00"]
    assert shown[0].count("\n") == 1


@pytest.mark.parametrize("columns", [40, 60])
def test_a_narrow_terminal_has_one_line_too(columns):
    long = "Fingerprint a data set with a long name " * 3
    with terminal(columns=columns) as shown, progress(work="Train", unit="", verbose=1, delay=0) as whole:
        list(progress(range(30), long, verbose=1))
        whole.say("2 epochs")
    states = shown[0].rstrip().split("\r")
    assert max(map(len, states)) < columns
    assert any("%" in state for state in states)
    assert lines_left(shown[0], columns) == ["Train: 2 epochs, 0:00"]


def test_wide_letters_take_two_cells():
    with terminal(columns=40) as shown:
        list(progress(range(3), "皮膚病変" * 9, verbose=1))
    states = [state for state in shown[0].split("\r") if "%" in state]
    assert all(len(state) + len(re.findall("[皮膚病変]", state)) < 40 for state in states)


def test_a_hostile_name_stays_in_its_line():
    with terminal() as shown:
        list(progress(range(2), "a\nb\x1b[2J", verbose=1))
    assert lines_left(*shown) == [r"a\nb\x1b[2J: 2 images, 0:00"]


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


def test_an_error_says_how_far_it_came_and_leaves_nothing_open():
    parts = iter(progress(range(9), "Read", verbose=1))

    def fail():
        with progress(work="Score", total=5, verbose=1) as bar:
            next(parts)
            bar.update(2)
            raise KeyError

    with terminal() as shown:
        with pytest.raises(KeyError):
            fail()
        list(progress(range(1), "Open", verbose=1))
        parts.close()
    assert lines_left(*shown) == ["Score: stopped at 2/5 images, 0:00", "Open: 1 image, 0:00"]


def test_two_threads_write_no_line_into_each_other():
    begun, ended = threading.Event(), threading.Event()

    def work():
        with progress(work="Second", total=2, verbose=1) as bar:
            bar.update(2)
            begun.set()
            ended.wait(60)

    with terminal() as shown, progress(work="First", total=2, verbose=1) as bar:
        bar.update()
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert begun.wait(60)
        ended.set()
        thread.join(60)
        bar.update()
    assert lines_left(*shown) == ["Second: 2 images, 0:00", "First: 2 images, 0:00"]


def test_a_file_has_a_plain_line_now_and_then(monkeypatch, capfd):
    list(progress(range(3), "Open", verbose=1))
    assert capfd.readouterr() == ("", ""), "what is over soon is not worth a line"
    monkeypatch.setattr(_progress, "LOGGED", 0)
    list(progress(range(2), "Open", verbose=1, delay=0))
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "Open  50%, 1/2 images, 0:00, 0:00 left",
        "Open 100%, 2 images, 0:00, 0:00 left",
        "Open: 2 images, 0:00",
    ]


def test_without_an_error_stream_nothing_is_shown(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert list(progress(range(3), "Open", verbose=1, delay=0)) == [0, 1, 2]


def test_a_stream_that_cannot_be_written_stops_no_work(monkeypatch):
    closed = io.StringIO()
    closed.close()
    closed.isatty = lambda: False
    monkeypatch.setattr(sys, "stderr", closed)
    assert list(progress(range(3), "Open", verbose=1, delay=0)) == [0, 1, 2]


def test_a_program_that_has_imported_ipython_is_no_notebook(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    list(progress(range(3), "Open", verbose=1, delay=0))
    assert "Open: 3 images" in capfd.readouterr().err


def test_training_leaves_one_line_with_what_came_out(images, labels):
    classifier = TransferClassifier("tiny", weights=None, input_size=(32, 32), epochs=2, batch_size=8)
    with terminal() as shown:
        classifier.fit(images, labels)
    (line,) = lines_left(*shown)
    assert re.fullmatch(r"Train: 2 epochs, training loss \d\.\d{3}, training AUC \d\.\d{3}, \d+:\d\d", line)
    assert "epoch 2/2, training loss" in shown[0]


def test_each_call_leaves_one_line(images, labels):
    classifier = TransferClassifier("tiny", weights=None, input_size=(32, 32), epochs=1, batch_size=8, random_state=0)
    classifier.fit(images, labels)
    rng = np.random.default_rng(1)
    validation, test = (rng.integers(0, 256, images.shape, dtype=np.uint8) for _ in range(2))
    with terminal() as shown:
        classifier.tune_threshold(validation, labels, youden=True)
        MetricsReport.from_estimator(classifier, test, labels, name="test", n_resamples=100)
        classifier.predict_proba(images)
    assert [line.partition(":")[0] for line in lines_left(*shown)] == [
        "Choose a threshold",
        "Report on test",
        "Score images",
    ]


@pytest.mark.slow
def test_a_file_has_the_last_line_of_a_training_and_nothing_without_verbose(images, labels, capfd):
    classifier = TransferClassifier("tiny", weights=None, input_size=(32, 32), epochs=1, batch_size=8)
    classifier.fit(images, labels)
    *_, line = capfd.readouterr().err.splitlines()  # TensorFlow may have said before that there is no GPU
    assert re.fullmatch(r"Train: 1 epoch, training loss \d\.\d{3}, training AUC \d\.\d{3}, \d+:\d\d", line)
    classifier.set_params(verbose=0).fit(images, labels)
    assert capfd.readouterr() == ("", "")


def test_an_error_before_training_leaves_no_line(images, labels, capfd):
    with pytest.raises(WeightsUnavailableError):
        TransferClassifier("tiny", weights="nowhere.h5", input_size=(32, 32)).fit(images, labels)
    with pytest.raises(UnknownNameError):
        TransferClassifier("tiny", weights=None, input_size=(32, 32), trainable_from="conv9").fit(images, labels)
    assert capfd.readouterr() == ("", "")


def test_nothing_else_shows_progress():
    package = Path(melanoma_tl.__file__).parent
    assert not [path for path in package.rglob("*.py") if "import tqdm" in path.read_text(encoding="utf-8")]
