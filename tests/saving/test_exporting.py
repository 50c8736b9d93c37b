import base64
import hashlib
import importlib.util
import io
import json
import logging
import os
import subprocess
import sys
from copy import copy
from dataclasses import replace

import keras
import numpy as np
import pytest
from conftest import draw_images, only_tensorflow
from PIL import Image

from melanoma_tl import PooledHead, Probe, TransferClassifier
from melanoma_tl.classifier.postprocessing import PostProcessing
from melanoma_tl.errors import ExportError, NotFittedError, UnknownNameError
from melanoma_tl.images.decoding import load_image
from melanoma_tl.images.symmetries import symmetric_views
from melanoma_tl.metrics.calibration import Calibration
from melanoma_tl.network.scoring_graph import with_calibration, with_tuning
from melanoma_tl.saving import export as exporting
from melanoma_tl.saving.export import TOLERANCE, Exportable, export_model
from melanoma_tl.saving.handover import _turned_jpeg, describe_preparation
from melanoma_tl.saving.test_vectors import FORMULA, draw_texture


@pytest.fixture(scope="module", params=["avg", "log_center"])
def fitted(images, labels, request):
    names = np.array(["benign", "melanoma"])[labels]
    return TransferClassifier(
        "tiny",
        weights=None,
        head=PooledHead(pooling=request.param),
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


@pytest.mark.slow
@only_tensorflow
@pytest.mark.parametrize("format_name", FORMATS)
def test_an_exported_model_gives_the_same_scores_in_its_own_runtime(fitted, small, expected, tmp_path, format_name):
    file_name, read, modules = FORMATS[format_name]
    for module in modules:
        pytest.importorskip(module)
    result = fitted.export(tmp_path / file_name)
    scores = read(tmp_path / file_name)(small.astype("float32"))
    assert scores.dtype in (np.float32, np.float64)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert expected.max() - expected.min() > 0.1, "so that equal scores mean something"
    assert result.path == tmp_path / file_name
    assert result.format == format_name
    assert 0 <= result.conversion_difference <= 1e-5 < TOLERANCE
    assert (result.views, result.precision) == ((1,), "float32")
    assert result.n_bytes > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == [file_name, f"{file_name}.json"]
    beside = json.loads((tmp_path / f"{file_name}.json").read_text())
    written = tmp_path / file_name
    digests = {
        file.relative_to(written).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (written, *written.rglob("*"))
        if file.is_file()
    }
    assert beside["sha256"] == (digests["."] if written.is_file() else digests)
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


def exportable(network):
    def predict(images):
        return network.predict_on_batch(images.astype("float32"))

    return Exportable(network, predict, (1,), "float32", {})


@only_tensorflow
@pytest.mark.parametrize("format_name", FORMATS)
def test_other_scores_are_refused_and_what_was_there_stays(tmp_path, format_name):
    file_name, _, modules = FORMATS[format_name]
    for module in modules:
        pytest.importorskip(module)
    path = tmp_path / file_name
    export_model(exportable(make_network()), path, format_name)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(ExportError, match=r"not written, because .* differ by 0\.\d+ on 9 drawn images, where 0\.0001"):
        export_model(exportable(make_network(Drifting())), path, format_name)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    assert len(list(tmp_path.iterdir())) == 2


@only_tensorflow
def test_a_second_export_takes_the_place_of_the_first(tmp_path):
    first = export_model(exportable(make_network(keras.layers.Dense(300))), tmp_path / "exported", "saved_model")
    second = export_model(replace(exportable(make_network()), described={"a": 2}), tmp_path / "exported", None)
    assert second.n_bytes < first.n_bytes
    assert json.loads((tmp_path / "exported.json").read_text())["a"] == 2
    assert len(list(tmp_path.iterdir())) == 2


@only_tensorflow
def test_scores_that_are_no_numbers_are_refused(tmp_path):
    network = make_network()
    network.set_weights([np.full(weights.shape, np.nan) for weights in network.get_weights()])
    with pytest.raises(ExportError, match="differ by nan"):
        export_model(exportable(network), tmp_path / "exported", None)
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
        export_model(exportable(make_network(NotInLiteRT())), tmp_path / "exported.tflite", None)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_saved_model_is_left_alone(fitted, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    with pytest.raises(ExportError, match="is there already, and is no model in the format 'saved_model'"):
        fitted.export(tmp_path / "thesis")
    with pytest.raises(ExportError, match="is there already"):
        fitted.export(tmp_path / "thesis" / "chapter1.txt", format="saved_model")
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "years of work"


# -- which format --


def test_names(fitted, tmp_path):
    with pytest.raises(UnknownNameError, match=r"Unknown export format 'onxx'\. Did you mean 'onnx'\?"):
        fitted.export(tmp_path / "exported.onnx", format="onxx")


@pytest.mark.parametrize(
    ("name", "format_name", "chosen"),
    [
        ("model", None, "saved_model"),
        ("model.tflite", None, "litert"),
        ("model.onnx", None, "onnx"),
        ("model.v2", "saved_model", "saved_model"),
        ("model.onnx", "onnx", "onnx"),
    ],
)
def test_the_suffix_decides(tmp_path, name, format_name, chosen):
    assert exporting.choose_format(tmp_path / name, format_name) == chosen


@pytest.mark.parametrize(
    ("name", "format_name", "message"),
    [
        ("m.onnx", "saved_model", r"'m\.onnx' is the name of a model in the format 'onnx', not of a SavedModel"),
        ("m.tflite", "saved_model", r"in the format 'litert', not of a SavedModel"),
        ("m.TFLITE", "saved_model", r"in the format 'litert', not of a SavedModel"),
        ("m.tflite", "onnx", r"'onnx' ends in \.onnx, got 'm\.tflite'"),
        ("m.onnx", "litert", r"'litert' ends in \.tflite, got 'm\.onnx'"),
        ("m", "onnx", r"'onnx' ends in \.onnx, got 'm'"),
        ("m.bin", "litert", r"'litert' ends in \.tflite, got 'm\.bin'"),
        ("m.ONNX", None, r"'onnx' ends in \.onnx, got 'm\.ONNX'"),
        ("m.keras", None, r"'m\.keras' ends in none of \.tflite \(litert\), \.onnx \(onnx\): name one of these"),
        ("m.pb", None, r"ends in none of"),
        ("m.h5", None, r"ends in none of"),
        ("m.lite", None, r"ends in none of"),
    ],
)
def test_a_contradiction_is_refused(fitted, tmp_path, name, format_name, message):
    with pytest.raises(ExportError, match=message):
        fitted.export(tmp_path / name, format=format_name)
    assert not list(tmp_path.iterdir())


# -- what users get --


TEXTURES = draw_texture(80, 80).reshape(2, 40, 2, 40, 3).swapaxes(1, 2).reshape(4, 40, 40, 3)[:, :32, :32]
"""Images that no view leaves as they are."""


def calibrated(classifier, **changes):
    """A copy that averages views and is calibrated on images some of which are labelled wrongly."""
    truth = (np.arange(40) % 2) ^ (np.arange(40) % 7 == 0)
    classifier = copy(classifier).set_params(**({"tta": 4, "precision": "float32"} | changes))
    classifier.calibrate(draw_images(40, seed=7), truth)
    return classifier


@pytest.fixture(scope="module")
def of_views(images, labels):
    names = np.array(["benign", "melanoma"])[labels]
    weak = TransferClassifier("tiny", weights=None, stages=(Probe(C=1e-3),), random_state=0, verbose=0)
    return calibrated(weak.fit(images, names))


@pytest.mark.slow
@only_tensorflow
@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("tta", [2, 4, 8])
def test_views_and_calibration_are_in_the_exported_graph(of_views, tmp_path, format_name, tta):
    file_name, read, modules = FORMATS[format_name]
    for module in modules:
        pytest.importorskip(module)
    classifier = calibrated(of_views, tta=tta)
    scores = classifier.predict_proba(TEXTURES)[:, 1]
    raw, of_one = (classifier._score(TEXTURES, n_views) for n_views in (tta, 1))
    assert np.abs(raw - of_one).max() > 1e-3, "so that views matter"
    result = classifier.export(tmp_path / file_name)
    assert result.views == (tta,)
    assert result.largest_difference <= 1e-5
    np.testing.assert_allclose(read(tmp_path / file_name)(TEXTURES.astype("float32")), scores, atol=1e-5)
    beside = json.loads((tmp_path / f"{file_name}.json").read_text())
    assert beside["views"] == [tta]
    assert beside["calibration"]["slope"] == classifier.calibration_.slope


@pytest.mark.slow
@only_tensorflow
@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("tta", [1, 4])
def test_scores_that_float32_takes_for_1_are_the_same_in_every_runtime(
    images, labels, tmp_path, format_name, tta, caplog
):
    """`predict_proba` calibrates them after they were rounded: that is said, and not taken for a fault."""
    file_name, _, modules = FORMATS[format_name]
    for module in modules:
        pytest.importorskip(module)
    nearly_unpenalized = Probe(C=1e4)  # large weights: scores of exactly 0 and 1, even averaged over views
    sure = TransferClassifier(
        "tiny", weights=None, precision="float32", stages=nearly_unpenalized, tta=tta, random_state=0, verbose=0
    )
    sure.fit(images, labels)
    sure._post = PostProcessing(calibration=Calibration(0.05, 0.1))
    result = sure.export(tmp_path / file_name)
    assert result.conversion_difference <= 1e-5
    assert result.largest_difference > TOLERANCE
    assert "calibrates scores that float32 cannot tell from 0 or 1" in caplog.text


@pytest.mark.parametrize("tta", [2, 4, 8])
def test_the_views_of_the_graph_are_those_of_predict_proba(tta):
    given = keras.Input((6, 6, 3), name="image")
    network = keras.Model(given, keras.layers.Flatten()(given))
    image = draw_texture(6, 6)[np.newaxis]
    expected = np.mean([view.reshape(1, -1) for view in symmetric_views(image, tta)], axis=0)
    np.testing.assert_allclose(
        with_tuning(network, tta, None).predict_on_batch(image.astype("float32")), expected, rtol=1e-6
    )


def test_calibration_keeps_the_ends():
    given = keras.Input((1,), name="image")
    calibration = Calibration(0.4, 0.3, 0.5, 0.1)
    scores = np.array([[0.0], [1e-6], [0.3], [0.999999], [1.0]], "float32")
    found = with_calibration(keras.Model(given, keras.layers.Activation("linear")(given)), calibration)
    np.testing.assert_allclose(found.predict_on_batch(scores)[:, 0], calibration.apply(scores[:, 0]), atol=1e-6)


@only_tensorflow
def test_tensorflow_says_nothing_and_leaves_no_handler(fitted, tmp_path, monkeypatch):
    said = []
    log = logging.getLogger("tensorflow")
    level = log.level
    with monkeypatch.context() as patch:
        patch.setattr(log, "handle", said.append)
        patch.setattr(logging.root, "handlers", [])
        log.setLevel(logging.INFO)  # as in a notebook
        try:
            fitted.export(tmp_path / "model")
            lines = [record.getMessage() for record in said if record.levelno < logging.WARNING]
            found = log.level, lines, logging.root.handlers
        finally:
            log.setLevel(level)
    assert found == (logging.INFO, [], [])


@only_tensorflow
def test_what_another_precision_makes_of_the_scores_is_said(fitted, tmp_path, caplog):
    result = fitted.export(tmp_path / "model")
    predicted = fitted.predict_proba(draw_texture(32, 32)[np.newaxis])[0, 1]
    vector = json.loads((tmp_path / "model.json").read_text())["check_vectors"][0]
    assert abs(vector["scores"][0] - predicted) <= result.largest_difference + 1e-6
    assert result.largest_difference > 1e-5
    assert "it computes in float32, the classifier in bfloat16" in caplog.text
    assert json.loads((tmp_path / "model.json").read_text())["precision"] == {
        "exported": "float32",
        "classifier": "bfloat16",
    }


@only_tensorflow
def test_a_graph_that_is_not_what_predict_proba_gives_is_said(tmp_path, caplog):
    wrong = replace(exportable(make_network()), predict=lambda images: np.zeros((len(images), 1)))
    assert export_model(wrong, tmp_path / "model", None).largest_difference > 0.1
    assert "differ by up to 0." in caplog.text


# -- what lies beside it --


@only_tensorflow
def test_another_language_can_check_itself(of_views, tmp_path):
    """What the sidecar says is enough to draw, decode, prepare and score each image."""
    of_views.export(tmp_path / "model")
    beside = json.loads((tmp_path / "model.json").read_text())
    _, height, width, _ = beside["input"]["shape"]
    vectors = beside["check_vectors"]
    assert len(vectors) == 3
    for vector in vectors:
        image = vector["image"]
        if "formula" in image:
            assert image["formula"] == FORMULA
            source = draw_texture(image["height"], image["width"])
        else:
            source = base64.b64decode(image["base64"])
        pixels = load_image(source, (height, width))
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == vector["sha256_of_prepared_pixels"]
        np.testing.assert_allclose(pixels.mean(axis=(0, 1)), vector["mean_of_prepared_channels"], atol=1e-4)
        np.testing.assert_allclose(of_views.predict_proba([source])[0, 1], vector["scores"][0], atol=1e-5)


def test_the_formula_is_what_is_drawn():
    drawn = draw_texture(40, 50)
    rule = FORMULA.partition(" = ")[2].partition(", in whole")[0].replace("div", "//").replace("mod", "%")
    for y, x, c in ((0, 0, 0), (39, 49, 2), (17, 31, 1)):
        assert drawn[y, x, c] == eval(rule, {"y": y, "x": x, "c": c})


def test_each_vector_needs_what_it_is_there_for():
    """The large one is decoded at half its size, and turned: left out, either gives other pixels."""
    content = _turned_jpeg(48, 64)
    with Image.open(io.BytesIO(content)) as stored:
        assert stored.getexif()[0x0112] == 6
        plain = stored.convert("RGB")
    right = load_image(content, (48, 64)).astype(int)
    lying = np.array(plain.resize((64, 48), Image.Resampling.LANCZOS), dtype=int)
    assert np.abs(right - lying).max() > 20
    opened = Image.open(io.BytesIO(content))
    opened.draft(None, (3 * 48, 3 * 64))  # as it lies in the file
    assert opened.size == (plain.width // 2, plain.height // 2)


def test_the_preparation_is_told_in_full():
    told = describe_preparation(224, 300)
    assert "672 pixels high and 900 wide" in told["jpeg"]
    assert {"jpeg", "colours", "orientation", "resize", "values", "recipe"} == set(told)
    assert "Lanczos" in told["resize"]
    assert "EXIF" in told["orientation"]


@only_tensorflow
def test_an_onnx_file_carries_its_meaning(of_views, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    of_views.export(tmp_path / "model.onnx")
    carried = {entry.key: entry.value for entry in onnx.load(str(tmp_path / "model.onnx")).metadata_props}
    beside = json.loads((tmp_path / "model.onnx.json").read_text())
    for name in ("classes", "scores", "threshold", "preparation", "views", "input", "output", "calibration"):
        assert json.loads(carried[name]) == beside[name]
    assert carried["melanoma"] == "melanoma"
    assert "Not a medical device" in carried["notice"]


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
from melanoma_tl.metrics.calibration import Calibration
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


def whirling(maps):
    layers = keras.layers
    maps = layers.RandomRotation(0.2)(layers.RandomZoom(0.2)(layers.RandomTranslation(0.2, 0.2)(maps)))
    return layers.GaussianNoise(1.0)(layers.GlobalAveragePooling2D()(layers.RandomContrast(0.5)(maps)))


@pytest.fixture(scope="module")
def trained_at_random(images, labels):
    options = {"weights": None, "epochs": 1, "random_state": 0, "verbose": 0, "precision": "float32", "tta": 2}
    return TransferClassifier("tiny", head=whirling, **options).fit(images, labels)


@pytest.mark.slow
@only_tensorflow
@pytest.mark.parametrize("format_name", FORMATS)
def test_what_is_random_in_training_is_still_in_every_runtime(format_name, trained_at_random, small, tmp_path):
    """Some layers of Keras draw unless they are told that nobody trains, which a traced function does not tell them."""
    file_name, read, modules = FORMATS[format_name]
    for module in modules:
        pytest.importorskip(module)
    clf = trained_at_random
    result = clf.export(tmp_path / file_name)
    assert result.largest_difference <= 1e-5
    scores = read(tmp_path / file_name)(small.astype("float32"))
    np.testing.assert_allclose(scores, clf.predict_proba(small)[:, 1], atol=1e-5)
