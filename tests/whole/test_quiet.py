"""Nothing is on the screen that the library has not written."""

import os
import subprocess
import sys
from contextlib import suppress

import pytest
from conftest import BACKEND, only_tensorflow

from melanoma_tl._keras.quiet import without_notices

TRAINING = """
import numpy as np
from melanoma_tl import TransferClassifier, cross_validate
images = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), dtype="uint8")
clf = TransferClassifier("{backbone}", weights=None, input_size=(32, 32), epochs=1, random_state=0, verbose=0)
members = cross_validate(clf, images, [0, 1] * 12, folds=2, groups=None, verbose=0)
members.classifiers[0].save("model.keras")
"""
LOADING = """
import numpy as np
from melanoma_tl import TransferClassifier
clf = TransferClassifier.load("model.keras")
clf.predict_proba(255 * np.eye(32, dtype="uint8")[None, ..., None].repeat(3, axis=3))
"""


def run(code, folder, **changes):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"} | changes
    outcome = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True, cwd=folder
    )
    return outcome.stdout + outcome.stderr


@only_tensorflow
@pytest.mark.slow
def test_a_script_sees_what_the_library_writes_and_nothing_else(tmp_path):
    assert run(TRAINING.format(backbone="mobilenetv3small"), tmp_path) == ""
    assert run(LOADING, tmp_path) == ""
    assert "cc:" in run(LOADING, tmp_path, TF_CPP_MIN_LOG_LEVEL="0"), "whoever asks for the notices has them"


@pytest.mark.contract
def test_a_network_of_keras_is_written_in_silence_whatever_the_backend(tmp_path):
    code = (
        "from melanoma_tl._keras.isolation import own_settings\n"
        "with own_settings():\n"
        "    import keras\n"
        "    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).to_json()\n"
        "print(keras.backend.backend())\n"
    )
    assert run(code, tmp_path).strip() == BACKEND


def test_without_a_folder_for_temporary_files_nothing_is_held_back(monkeypatch, capfd):
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", "/there is no such folder")
        with without_notices():
            os.write(2, b"I0000 00:00:1795916314.797364   24374 port.cc:153] oneDNN\n")
    assert capfd.readouterr().err.startswith("I0000")


def test_what_others_write_meanwhile_is_not_lost(capfd):
    with suppress(KeyError), without_notices():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
        os.write(2, b"I0000 00:00:1795916314.797364   24374 port.cc:153] oneDNN custom operations are on.\n")
        os.write(2, b"a line of somebody else's\nI0000 of mine\n")
        raise KeyError
    assert capfd.readouterr().err == "a line of somebody else's\nI0000 of mine\n"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


@only_tensorflow
@pytest.mark.slow
def test_an_export_says_nothing_of_its_converters(tmp_path):
    for module in ("ai_edge_litert", "tf2onnx"):
        pytest.importorskip(module, reason="the extra export is not installed")
    said = run(
        "import numpy as np\n"
        "from melanoma_tl import Probe, TransferClassifier\n"
        "from melanoma_tl.saving import ExportedClassifier\n"
        "images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype='uint8')\n"
        "clf = TransferClassifier('mobilenetv3small', weights=None, input_size=(32, 32), stages=Probe(), verbose=0,\n"
        "                         precision='float32').fit(images, [0, 1] * 6)\n"
        "for name in ('model.tflite', 'model.onnx'):\n"
        "    clf.export(name)\n"
        "    ExportedClassifier(name).predict_proba(images[:1])\n",
        tmp_path,
    )
    assert said == ""
