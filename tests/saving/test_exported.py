"""An exported model that scores images without Keras."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import draw_images, only_tensorflow

from melanoma_tl import Probe, TransferClassifier
from melanoma_tl.errors import ImageError, ModelFileError
from melanoma_tl.saving import ExportedClassifier

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
    assert classifier.classes_.tolist() == fitted.classes_.tolist()
    assert (classifier.pos_label_, classifier.threshold_, classifier.input_size_) == ("melanoma", 0.3, (32, 32))


def test_nothing_is_loaded_that_takes_long(exported):
    code = (
        "import sys; from melanoma_tl.saving import ExportedClassifier; import numpy as np; "
        f"ExportedClassifier({str(exported)!r}).predict_proba(np.zeros((1, 40, 40, 3), 'uint8')); "
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_bad_image_is_refused(exported):
    with pytest.raises(ImageError, match="empty"):
        ExportedClassifier(exported).predict_proba([b""])


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


def test_a_damaged_model_is_refused(copied):
    copied.write_bytes(b"no model")
    with pytest.raises(ModelFileError, match="cannot be opened"):
        ExportedClassifier(copied)


def test_another_format_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"TransferClassifier\.load"):
        ExportedClassifier(tmp_path / "model.keras")
