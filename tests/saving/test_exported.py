"""An exported model that scores images without Keras."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import draw_images, only_tensorflow
from PIL import Image

from melanoma_tl import Probe, TransferClassifier
from melanoma_tl.errors import DatasetError, ImageError, ModelFileError
from melanoma_tl.saving import ExportedClassifier
from melanoma_tl.saving import exported as exported_module

NEEDED = {"tflite": ("ai_edge_litert",), "onnx": ("onnx", "onnxruntime", "tf2onnx")}

pytestmark = only_tensorflow


@pytest.fixture(scope="module")
def fitted(images, labels):
    names = np.array(["benign", "melanoma"])[labels]
    settings = {"precision": "float32", "threshold": 0.3, "random_state": 0, "verbose": 0}
    return TransferClassifier("tiny", weights=None, stages=(Probe(C=1.0),), **settings).fit(images, names)


@pytest.fixture(scope="module", params=NEEDED)
def exported(fitted, tmp_path_factory, request):
    for module in NEEDED[request.param]:
        pytest.importorskip(module)
    return fitted.export(tmp_path_factory.mktemp("exported") / f"model.{request.param}").path


@pytest.fixture
def copied(exported, tmp_path):
    """A copy of model and sidecar, to spoil."""
    for file in exported.parent.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path / exported.name


def test_it_gives_what_predict_proba_gives(fitted, exported):
    pictures = draw_images(6, side=70)
    classifier = ExportedClassifier(exported)
    np.testing.assert_allclose(classifier.predict_proba(pictures), fitted.predict_proba(pictures), atol=1e-5)
    assert classifier.predict(pictures).tolist() == fitted.predict(pictures).tolist()
    assert classifier.classes_.tolist() == fitted.classes_.tolist()
    assert (classifier.pos_label_, classifier.threshold_, classifier.input_size_) == ("melanoma", 0.3, (32, 32))


def test_melanoma_is_what_lies_above_the_threshold(exported):
    pictures = draw_images(6, side=70)
    classifier = ExportedClassifier(exported)
    scores = classifier.predict_proba(pictures)[:, 1]
    classifier.threshold_ = float(np.sort(scores)[3])
    assert (classifier.predict(pictures) == "melanoma").tolist() == (scores > classifier.threshold_).tolist()
    assert (classifier.predict(pictures) == "melanoma").sum() == 2, "one lies on the threshold"


def test_classes_of_numbers_are_called_benign_and_melanoma(copied):
    change(copied, "classes", [0, 1])
    change(copied, "melanoma", 1)
    change(copied, "scores", [1])
    classifier = ExportedClassifier(copied)
    assert (classifier.classes_.tolist(), classifier.class_names_) == ([0, 1], ["benign", "melanoma"])


def test_nothing_is_loaded_that_takes_long(exported):
    code = (
        "import sys; from melanoma_tl.saving import ExportedClassifier; import numpy as np; "
        f"ExportedClassifier({str(exported)!r}).predict_proba(np.zeros((1, 40, 40, 3), 'uint8')); "
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_single_image_is_refused_as_by_the_classifier(fitted, exported, tmp_path):
    (pixels,) = draw_images(1, side=40)
    classifier = ExportedClassifier(exported)
    for one in ("a.jpg", b"content", io.BytesIO(), tmp_path / "a.jpg", Image.fromarray(pixels), pixels, tmp_path, []):
        with pytest.raises(DatasetError) as here:
            classifier.predict_proba(one)
        with pytest.raises(DatasetError) as there:
            fitted.predict_proba(one)
        assert str(here.value) == str(there.value)


def test_it_takes_what_the_classifier_takes(fitted, exported, tmp_path):
    tf = pytest.importorskip("tensorflow")
    (pixels,) = draw_images(1, side=40)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    classifier = ExportedClassifier(exported)
    expected = fitted.predict_proba([path])
    with path.open("rb") as file:
        forms = [[file], [io.BytesIO(content)], [bytearray(content)], [memoryview(content)], pixels[np.newaxis]]
        forms += [pd.DataFrame({"path": [str(path)]}), np.array([str(path)]), pd.Series([path], index=[7])]
        forms += [tf.data.Dataset.from_tensors(pixels).batch(1)]
        for X in forms:
            np.testing.assert_allclose(classifier.predict_proba(X), expected, atol=1e-5, rtol=0)


def test_it_says_what_it_is(exported):
    assert repr(ExportedClassifier(exported)) == (
        f"ExportedClassifier({exported.name!r}: benign, melanoma; threshold=0.3, input_size=(32, 32))"
    )


def test_nothing_is_stored_about_the_machine(exported, tmp_path):
    code = f"from melanoma_tl.saving import ExportedClassifier; ExportedClassifier({str(exported)!r})"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    subprocess.run([sys.executable, "-c", code], env=environment | {"HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*")) == []


def test_a_bad_image_is_refused(exported):
    with pytest.raises(ImageError, match=r"^image 0: the file is empty"):
        ExportedClassifier(exported).predict_proba([b""])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("mole.png", r"X is one path.*wrap it in a list"),
        (Path("mole.png"), r"X is one path.*wrap it in a list"),
        (Image.new("RGB", (8, 8)), r"X is one Image.*wrap it in a list"),
        ("mine.csv", "read it with ISBIDataset.from_csv"),
        ({"path": ["a.png"]}, "X is a dict of 1 columns: pass the one"),
        (pd.DataFrame({"path": ["a.png"], "age": [50]}), "X is a DataFrame of 2 columns: pass the one"),
        (None, "X must be .* a list .* got NoneType"),
        (iter(["a.png"]), r"another iterator: pass list\(X\)"),
        ([], "X holds no image"),
    ],
)
def test_what_is_no_list_of_images_is_refused(exported, X, message):
    with pytest.raises(DatasetError, match=message):
        ExportedClassifier(exported).predict_proba(X)


def change(path, name, value):
    beside = path.with_name(f"{path.name}.json")
    document = json.loads(beside.read_text())
    document[name] = value
    beside.write_text(json.dumps(document))


def test_a_sidecar_of_another_model_is_noticed(copied):
    beside = json.loads(copied.with_name(f"{copied.name}.json").read_text())
    beside["check_vectors"][0]["scores"] = [1 - beside["check_vectors"][0]["scores"][0] + 0.01]
    change(copied, "check_vectors", beside["check_vectors"])
    with pytest.raises(ModelFileError, match="do not belong together"):
        ExportedClassifier(copied)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"melanoma": "mel", "scores": ["mel"]}, "'mel' is melanoma, and its classes are"),
        ({"classes": ["melanoma", "melanoma"]}, "its classes are"),
        ({"classes": ["a", "b", "melanoma"]}, r"its scores are of \['melanoma'\], its classes"),
        ({"melanoma": "benign"}, "its scores are of"),
        ({"threshold": None}, "its threshold is None"),
        ({"threshold": "0.3"}, "its threshold is '0.3'"),
        ({"threshold": 30}, "its threshold is 30"),
    ],
)
def test_a_sidecar_that_was_edited_so_that_scores_would_mean_something_else_is_refused(copied, changes, why):
    for name, value in changes.items():
        change(copied, name, value)
    with pytest.raises(ModelFileError, match=f"not what export writes .*{why}"):
        ExportedClassifier(copied)


def test_damage_is_refused(copied):
    change(copied, "classes", None)
    change(copied, "check_vectors", [])
    with pytest.raises(ModelFileError, match="not what export writes"):
        ExportedClassifier(copied)
    copied.with_name(f"{copied.name}.json").write_text("{")
    with pytest.raises(ModelFileError, match="cannot be read"):
        ExportedClassifier(copied)
    copied.with_name(f"{copied.name}.json").unlink()
    with pytest.raises(ModelFileError, match="no such file"):
        ExportedClassifier(copied)


def test_a_damaged_model_is_refused_before_its_runtime_opens_it(copied, monkeypatch):
    content = bytearray(copied.read_bytes())
    content[len(content) // 2] ^= 1
    copied.write_bytes(content)
    monkeypatch.setattr(exported_module, "_open", None)
    with pytest.raises(ModelFileError, match="SHA-256 is not the one"):
        ExportedClassifier(copied)


def test_the_sidecar_of_another_format_is_noticed(copied):
    change(copied, "format", {".onnx": "litert", ".tflite": "onnx"}[copied.suffix])
    with pytest.raises(ModelFileError, match="describes a model in the format"):
        ExportedClassifier(copied)


def test_a_sidecar_of_an_older_version_is_taken_with_a_warning(copied, caplog):
    ExportedClassifier(copied)
    assert caplog.text == ""
    change(copied, "sha256", None)
    ExportedClassifier(copied)
    assert "does not state the SHA-256" in caplog.text


def test_what_the_runtime_cannot_open_is_refused(copied):
    copied.write_bytes(b"no model")
    change(copied, "sha256", None)
    with pytest.raises(ModelFileError, match="cannot be opened"):
        ExportedClassifier(copied)


def test_another_format_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"TransferClassifier\.load"):
        ExportedClassifier(tmp_path / "model.keras")
