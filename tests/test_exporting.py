import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import only_tensorflow

from melanoma_tl import Probe, TransferClassifier, exporting
from melanoma_tl.errors import ExportError, NotFittedError, UnknownNameError
from melanoma_tl.exporting import TOLERANCE, export_model


@pytest.fixture(scope="module", params=["avg", "log_center"])
def fitted(images, labels, request):
    names = np.array(["benign", "melanoma"])[labels]
    return TransferClassifier(
        "tiny",
        weights=None,
        pooling=request.param,
        precision="bfloat16",
        stages=(Probe(C=1.0),),
        threshold=0.3,
        random_state=0,
        verbose=0,
    ).fit(images, names)


@pytest.fixture(scope="module")
def small(images):
    """Images of the size of the input, so that nothing is resized."""
    return np.ascontiguousarray(images[:, :32, :32])


@pytest.fixture(scope="module")
def expected(fitted, small):
    """What the classifier gives in float32, though it was trained otherwise."""
    precision = fitted.precision
    try:
        return fitted.set_params(precision="float32").predict_proba(small)[:, 1]
    finally:
        fitted.set_params(precision=precision)


def read_saved_model(path):
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    return lambda images: next(iter(serve(tf.constant(images)).values())).numpy()[:, 0]


def read_litert(path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    runner = interpreter.get_signature_runner()
    (name,) = runner.get_input_details()
    return lambda images: np.array([next(iter(runner(**{name: image[None]}).values())).item() for image in images])


def read_onnx(path):
    session = pytest.importorskip("onnxruntime").InferenceSession(str(path))
    return lambda images: session.run(None, {session.get_inputs()[0].name: images})[0][:, 0]


FORMATS = {
    "saved_model": ("exported", read_saved_model, ()),
    "litert": ("exported.tflite", read_litert, ("ai_edge_litert",)),
    "onnx": ("exported.onnx", read_onnx, ("onnx", "onnxruntime", "tf2onnx")),
}


@only_tensorflow
@pytest.mark.parametrize("format_name", FORMATS)
def test_an_exported_model_gives_the_same_scores_in_its_own_runtime(fitted, small, expected, tmp_path, format_name):
    file_name, read, modules = FORMATS[format_name]
    for module in modules:
        pytest.importorskip(module)
    result = fitted.export(tmp_path / file_name, format=format_name)
    scores = read(tmp_path / file_name)(small.astype("float32"))
    assert scores.dtype in (np.float32, np.float64)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert expected.max() - expected.min() > 0.1, "so that equal scores mean something"
    assert result.path == tmp_path / file_name
    assert result.format == format_name
    assert 0 <= result.largest_difference <= 1e-5 < TOLERANCE
    assert result.n_bytes > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == [file_name, f"{file_name}.json"]
    beside = json.loads((tmp_path / f"{file_name}.json").read_text())
    assert beside["classes"] == ["benign", "melanoma"]
    assert beside["melanoma"] == "melanoma"
    assert beside["threshold"] == 0.3
    assert beside["input"]["shape"] == ["n", 32, 32, 3]
    assert "Not a medical device" in beside["notice"]
    assert beside["provenance"] == json.loads(json.dumps(fitted.provenance_))
    assert beside["exported_with"].keys() >= {"keras", "tensorflow", *exporting.FORMATS[format_name].packages}


class Drifting(keras.layers.Layer):
    """A layer that keeps a count in Python: what is exported is not what scored before."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs * self.calls


def make_network(*layers):
    given = keras.Input((8, 8, 3), name="image")
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(given))
    for layer in layers:
        features = layer(features)
    return keras.Model(given, keras.layers.Dense(1, activation="sigmoid", name="melanoma")(features))


@only_tensorflow
@pytest.mark.parametrize("format_name", FORMATS)
def test_other_scores_are_refused_and_what_was_there_stays(tmp_path, format_name):
    file_name, _, modules = FORMATS[format_name]
    for module in modules:
        pytest.importorskip(module)
    path = tmp_path / file_name
    export_model(make_network(), path, format_name, {})
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(ExportError, match=r"not written, because .* differ by 0\.\d+ on 8 drawn images, where 0\.0001"):
        export_model(make_network(Drifting()), path, format_name, {})
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    assert len(list(tmp_path.iterdir())) == 2


@only_tensorflow
def test_a_second_export_takes_the_place_of_the_first(tmp_path):
    first = export_model(make_network(keras.layers.Dense(300)), tmp_path / "exported", "saved_model", {"a": 1})
    second = export_model(make_network(), tmp_path / "exported", "saved_model", {"a": 2})
    assert second.n_bytes < first.n_bytes
    assert json.loads((tmp_path / "exported.json").read_text())["a"] == 2
    assert len(list(tmp_path.iterdir())) == 2


@only_tensorflow
def test_scores_that_are_no_numbers_are_refused(tmp_path):
    network = make_network()
    network.set_weights([np.full(weights.shape, np.nan) for weights in network.get_weights()])
    with pytest.raises(ExportError, match="differ by nan"):
        export_model(network, tmp_path / "exported", "saved_model", {})
    assert not list(tmp_path.iterdir())


class NotInLiteRT(keras.layers.Layer):
    """An operation that the converter passes on and the runtime does not have."""

    def call(self, inputs):
        import tensorflow as tf

        return tf.raw_ops.Betainc(a=tf.abs(inputs) + 1, b=tf.ones_like(inputs), x=tf.clip_by_value(inputs, 0, 1))


@only_tensorflow
def test_what_the_runtime_cannot_run_is_refused(tmp_path):
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(ExportError, match="this network cannot be exported as 'litert'"):
        export_model(make_network(NotInLiteRT()), tmp_path / "exported.tflite", "litert", {})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_saved_model_is_left_alone(fitted, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    with pytest.raises(ExportError, match="is there already, and is no model in the format 'saved_model'"):
        fitted.export(tmp_path / "thesis")
    with pytest.raises(ExportError, match="is there already"):
        fitted.export(tmp_path / "thesis" / "chapter1.txt")
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "years of work"


def test_names(fitted, tmp_path):
    with pytest.raises(UnknownNameError, match=r"Unknown export format 'onxx'\. Did you mean 'onnx'\?"):
        fitted.export(tmp_path / "exported.onnx", format="onxx")


@pytest.mark.parametrize(("format_name", "suffix"), [("litert", ".tflite"), ("onnx", ".onnx")])
def test_file_names_end_as_the_runtimes_expect(fitted, tmp_path, format_name, suffix):
    with pytest.raises(ExportError, match=rf"'{format_name}' ends in \{suffix}, got 'exported\.bin'"):
        fitted.export(tmp_path / "exported.bin", format=format_name)


@only_tensorflow
def test_a_missing_package_is_named_with_the_extra(fitted, tmp_path, monkeypatch):
    needy = exporting.FORMATS["onnx"]._replace(packages=("keras", "not-installed"))
    monkeypatch.setitem(exporting.FORMATS, "onnx", needy)
    with pytest.raises(
        ExportError, match=r"needs keras, not-installed, and not-installed is not .*melanoma_tl\[export"
    ):
        fitted.export(tmp_path / "exported.onnx", format="onnx")


def test_before_fit():
    with pytest.raises(NotFittedError):
        TransferClassifier().export("exported")


ELSEWHERE = """
import sys
from melanoma_tl import TransferClassifier
from melanoma_tl.errors import ExportError
try:
    TransferClassifier.load(sys.argv[1]).export(sys.argv[2])
except ExportError as error:
    print(error)
"""


def test_other_backends_say_where_to_go(fitted, tmp_path):
    if not importlib.util.find_spec("torch"):
        pytest.skip("PyTorch is not installed")
    fitted.save(tmp_path / "model.keras")
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, tmp_path / "model.keras", tmp_path / "exported"],
        env=os.environ | {"KERAS_BACKEND": "torch"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "this process runs on 'torch'" in done.stdout
    assert "KERAS_BACKEND=tensorflow" in done.stdout
    assert not (tmp_path / "exported").exists()
