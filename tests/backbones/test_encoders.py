"""Frozen encoders: each door, what is checked of what they give, and that no other one scores in their place."""

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
from conftest import BACKEND, draw_images, only_tensorflow
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from melanoma_tl import (
    Augmenter,
    Ensemble,
    FrozenEncoder,
    ISBIDataset,
    MetricsReport,
    Probe,
    Stage,
    TransferClassifier,
    cross_validate,
    register_backbone,
    register_encoder,
)
from melanoma_tl._keras.host_call import naming_host_errors
from melanoma_tl.backbones import encoder as encoder_module
from melanoma_tl.backbones import encoder_layer, registry
from melanoma_tl.backbones.encoder_files import _digest as digest_of
from melanoma_tl.backbones.encoder_reading import Reading
from melanoma_tl.backbones.onnx_content import has_external_weights
from melanoma_tl.errors import (
    DuplicateNameError,
    ExportError,
    ParameterError,
    UnknownNameError,
    WeightsUnavailableError,
)
from melanoma_tl.explain import explain, grad_cam, occlusion
from melanoma_tl.images.decoding import load_image
from melanoma_tl.recipes import best

SIZE = (32, 32)


def colours(images):
    return np.concatenate([images.mean(axis=(1, 2)), images.std(axis=(1, 2))], axis=1) / 255


def encoder(encode=colours, digest="colours, version 1", **facts):
    return FrozenEncoder(encode, digest=digest, input_size=SIZE, **facts)


@pytest.fixture(autouse=True)
def nothing_registered_elsewhere(monkeypatch):
    monkeypatch.setattr(registry, "_BACKBONES", dict(registry._BACKBONES))
    monkeypatch.setattr(encoder_layer, "ENCODERS", {})
    register_encoder("colours", encoder())


def make(backbone="colours", **parameters):
    settings = {"stages": Probe(C=1.0), "precision": "float32", "random_state": 0, "verbose": 0}
    return TransferClassifier(backbone, **(settings | parameters))


def scores(classifier, images):
    return classifier.predict_proba(images)[:, 1]


def fit_on_what_breaks_later(images, labels):
    """Fit on an encoder that gives NaN from then on."""
    is_broken = False

    def fragile(given):
        return colours(given) * (np.nan if is_broken else 1)

    register_encoder("fragile", encoder(fragile, "fragile"))
    classifier = make("fragile").fit(images, labels)
    is_broken = True
    return classifier


# -- as a backbone --


def test_a_probe_on_an_encoder_is_the_logistic_regression_on_its_vectors(images, labels):
    vectors = colours(np.stack([load_image(image, SIZE) for image in images]))
    expected = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000))
    expected = expected.fit(vectors, labels).predict_proba(vectors)[:, 1]
    np.testing.assert_allclose(scores(make().fit(images, labels), images), expected, atol=1e-5)


def test_its_vectors_are_computed_once_for_an_image_and_a_view(images, labels):
    seen = []

    def counting(given):
        seen.append(len(given))
        return colours(given)

    register_encoder("counting", encoder(counting, "counted once"))
    seen.clear()  # of the drawn images that it is tried on
    views = Augmenter(horizontal_flip=True, views=2, random_state=0)
    stages = (Probe(), Stage(epochs=3, learning_rate=0.1))
    classifier = make("counting", stages=stages, augmenter=views).fit(images, labels)
    assert sum(seen) == 2 * len(images) + 2, "two of them are computed again before the second stage, to compare"
    clone(classifier).set_params(stages=Probe(C=0.1)).fit(images, labels)
    assert sum(seen) == 2 * len(images) + 4, "and two by the next fit"


@pytest.mark.slow
def test_what_works_with_a_backbone_works_with_an_encoder(images, labels, tmp_path):
    classifier = make(tta=4).fit(images, labels)
    others = draw_images(24, seed=1)
    classifier.calibrate(others, labels)
    classifier.tune_threshold(others, labels, youden=True)
    assert np.array_equal(scores(pickle.loads(pickle.dumps(classifier)), images), scores(classifier, images))
    ensemble = cross_validate(make(), images, labels, folds=2, groups=None, verbose=0)
    assert len(ensemble.members_) == 2
    both = Ensemble([make(), make("tiny", weights=None)], verbose=0).fit(images, labels)
    both.save(tmp_path / "both.zip")
    assert np.array_equal(scores(Ensemble.load(tmp_path / "both.zip"), images), scores(both, images))
    three = make().fit(images, np.arange(24) % 3)
    assert three.predict_proba(images).shape == (24, 3)
    assert occlusion(classifier, images[:1], grid=2).shape == (1, 2, 2)
    with pytest.raises(ParameterError, match=r"Grad-CAM reads a layer with maps.*'colours' has none: occlusion"):
        grad_cam(classifier, images[:1])
    with pytest.raises(ParameterError, match="method='occlusion'"):
        explain(classifier, images[:1], method="grad_cam")


def test_recipes_take_its_vectors_and_its_size(images, labels):
    classifier = TransferClassifier.from_recipe("fast", backbone="colours", verbose=0).fit(images, labels)
    assert classifier.provenance_["recipe"] == "fast except for backbone"
    assert best("colours")["input_size"] == SIZE


def test_recipes_keep_to_whole_patches():
    of_patches = replace(registry.get_backbone("vgg19"), name="of patches", size_multiple=14)
    registry._BACKBONES["of patches"] = of_patches
    assert best("of patches")["input_size"] == (322, 322)
    assert best("vgg19")["input_size"] == (320, 320)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"weights": None}, "'colours' is a frozen encoder, which has weights of its own: leave weights out"),
        ({"weights": "weights.h5"}, "leave weights out, got weights='weights.h5'"),
        ({"preprocessing": "rescale"}, "scales pixels itself: leave preprocessing out"),
        ({"input_size": (64, 64)}, "takes images of 32x32 pixels: leave input_size out"),
        ({"stages": Stage(trainable_from=1)}, "'colours' has 0"),
        ({"stages": Stage(trainable_from="encoder")}, "no layer of the backbone from there on has weights"),
    ],
)
def test_what_an_encoder_cannot_do_is_refused_before_an_image_is_read(labels, parameters, message):
    nowhere = [f"no such image {number}.jpg" for number in range(24)]
    with pytest.raises(ParameterError, match=message):
        make(**parameters).fit(nowhere, labels)


def test_it_is_not_exported_without_its_encoder(images, labels, tmp_path):
    with pytest.raises(ExportError, match="the encoder 'colours', which is no part of the network"):
        make().fit(images, labels).export(tmp_path / "model.onnx")


# -- the model file --


def test_a_file_names_its_encoder_and_scores_with_no_other(images, labels, tmp_path):
    classifier = make().fit(images, labels)
    path = tmp_path / "model.keras"
    classifier.save(path)
    assert np.array_equal(scores(TransferClassifier.load(path), images), scores(classifier, images))
    assert classifier.provenance_["encoder"] == {
        "name": "colours",
        "digest": encoder().digest,
        "kind": "function",
    }
    assert classifier.provenance_["weights"] == f"those of the encoder colours (sha256 {encoder().digest})"
    assert classifier.provenance_["precision"]["frozen"] == "as the encoder computes"
    report = MetricsReport.from_scores([0, 1] * 9, [0.2, 0.7] * 9, provenance=classifier.provenance_, n_resamples=100)
    assert "imagenet" not in str(report)
    encoder_layer.ENCODERS.clear()
    with pytest.raises(WeightsUnavailableError, match=r"model\.keras: .*'colours' \(sha256 .*register that encoder"):
        TransferClassifier.load(path)
    with pytest.raises(WeightsUnavailableError, match="'colours'"):  # one that is in memory neither
        scores(classifier, images)
    register_encoder("colours", encoder(digest="colours, version 2"), overwrite=True)
    with pytest.raises(WeightsUnavailableError, match="the one that is registered under this name is another"):
        TransferClassifier.load(path)
    encoder_layer.ENCODERS.clear()
    register_encoder("colours", encoder(lambda given: colours(given) * 1.5), overwrite=True)
    with pytest.raises(WeightsUnavailableError, match="has changed, although its digest has not"):
        TransferClassifier.load(path)
    encoder_layer.ENCODERS.clear()
    register_encoder("another name", encoder(lambda given: colours(given) * 1.001))
    again = TransferClassifier.load(path)
    np.testing.assert_allclose(scores(again, images), scores(classifier, images), atol=0.02)


def test_side_by_side_each_encoder_is_named(images, labels):
    register_encoder("squares", encoder(lambda given: colours(given) ** 2, "squares"))
    both = make("colours+squares").fit(images, labels)
    assert [entry["name"] for entry in both.provenance_["encoder"]] == ["colours", "squares"]
    assert encoder().digest in str(MetricsReport.from_estimator(both, draw_images(24, seed=1), labels, n_resamples=100))


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["bound", "bound+colours", "ensemble"])
def test_an_encoder_that_may_not_be_given_on_is_in_no_file_and_needs_no_weights(images, labels, tmp_path, backbone):
    register_encoder("bound", encoder(lambda given: colours(given) ** 2, "bound", may_redistribute=False))
    if backbone == "ensemble":
        classifier, path = Ensemble([make("bound"), make()], verbose=0).fit(images, labels), tmp_path / "both.zip"
    else:
        classifier, path = make(backbone).fit(images, labels), tmp_path / "model.keras"
    classifier.save(path)
    assert np.array_equal(scores(type(classifier).load(path), images), scores(classifier, images))
    encoder_layer.ENCODERS.clear()
    registry._BACKBONES.pop("bound")
    place = r"both\.zip: member_0\.keras: " if backbone == "ensemble" else r"model\.keras: "
    with pytest.raises(WeightsUnavailableError, match=place + ".*the encoder 'bound'.*register that encoder"):
        type(classifier).load(path)


@pytest.mark.contract
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_an_encoder_stays_one(images, labels, kind):
    interrupted = False

    def slow(given):
        if interrupted:
            raise kind
        return colours(given)

    register_encoder("slow", encoder(slow, f"slow, {kind.__name__}"))
    classifier = make("slow").fit(images, labels)
    interrupted = True
    with pytest.raises(kind):
        scores(classifier, images)
    with pytest.raises(kind):
        make("slow").fit(images[::-1] // 2, labels)


def test_an_error_is_named_once(images, labels):
    classifier = fit_on_what_breaks_later(images, labels)
    with pytest.raises(Exception, match="NaN"):
        classifier.model_(np.zeros((1, *SIZE, 3), np.float32))  # by Keras itself
    with pytest.raises(ZeroDivisionError), naming_host_errors():
        raise ZeroDivisionError


# -- what it must give --


def test_an_encoder_says_what_it_is():
    assert repr(encoder(kind="of colours")).startswith("FrozenEncoder(of colours, 32x32 pixels -> 6 features, sha256")
    assert encoder().digest == encoder(license="MIT", batch_size=3).digest != encoder(digest="other").digest
    given = np.random.default_rng(1).integers(0, 256, (7, *SIZE, 3), dtype=np.uint8)
    np.testing.assert_allclose(encoder(batch_size=3)(given), colours(given), rtol=1e-6)
    assert encoder()(given[:0]).shape == (0, 6)
    np.testing.assert_array_equal(encoder()(given.astype(np.float32) + 0.25), encoder()(given))


WRONG = {
    "nan": (lambda given: colours(given) * np.nan, "gives NaN or infinite numbers for 3 of 3 images"),
    "one vector": (lambda given: colours(given)[0], r"got the shape \(6,\)"),
    "too few": (lambda given: colours(given)[:1], r"of shape \(3, n_features\), got the shape \(1, 6\)"),
    "no features": (lambda given: colours(given)[:, :0], r"got the shape \(3, 0\)"),
    "tokens": (
        lambda given: colours(given)[:, np.newaxis].repeat(5, 1),
        r"tokens of shape \(3, 5, 6\).*tokens='first'",
    ),
    "maps": (lambda given: given.astype(float), r"got the shape \(3, 32, 32, 3\)"),
    "nothing": (lambda _: None, "got None"),
    "texts": (lambda given: np.array([["a"]] * len(given)), "one vector for each image"),
    "another length": (lambda given: np.ones((len(given), len(given))) * given.mean(), r"of shape \(1, 3\)"),
    "of the batch": (lambda given: colours(given) - colours(given).mean(0), "alone than for the same image beside"),
    "always the same": (lambda given: np.ones((len(given), 4)), "the same vector for three different images"),
    "complex numbers": (lambda given: colours(given) * 1j, "of real numbers, got the dtype complex128"),
    "masked": (lambda given: np.ma.masked_less(colours(given), 0.3), "numbers are masked"),
    "an error": (lambda given: given.no_such_thing, "cannot encode 3 images.*AttributeError.*no_such_thing"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_gives_no_vectors_is_refused(case):
    encode, message = WRONG[case]
    with pytest.raises(ParameterError, match=message):
        encoder(encode)


def constant_beside(encode):
    """Large constant features, beside those of a function."""
    return lambda given: np.concatenate([np.full((len(given), 4), 3000.0), encode(given)], axis=1)


def test_large_constant_features_hide_nothing():
    def others(given):
        return colours(given[..., ::-1, ::-1]) ** 2

    reference = encoder(constant_beside(colours)).reference
    assert not encoder_module.is_same(reference, encoder(constant_beside(others)).reference)
    assert encoder_module.is_same(reference, reference * np.float32(1.0005))
    with pytest.raises(ParameterError, match="alone than for the same image beside"):
        encoder(constant_beside(lambda given: colours(given) - colours(given).mean(0)))


def test_two_encoders_of_one_digest_do_not_replace_each_other():
    register_encoder("b", encoder(lambda given: colours(given) * 1.001))
    for name, overwrite in (("b", True), ("c", False)):
        with pytest.raises(DuplicateNameError, match=r"'b' is registered with the same digest.*change the digest"):
            register_encoder(name, encoder(lambda given: colours(given) ** 2), overwrite=overwrite)
    register_encoder("b", encoder(lambda given: colours(given) ** 2, digest="colours, version 2"), overwrite=True)


def test_images_of_another_kind_are_refused():
    given = np.random.default_rng(1).integers(0, 256, (2, *SIZE, 3), dtype=np.uint8)
    assert np.array_equal(encoder()(list(given)), encoder()(given))
    for images, message in {
        "wrong size": (given[:, :16], r"of shape \(n, 32, 32, 3\), got the shape \(2, 16, 32, 3\)"),
        "one image": (given[0], r"got the shape \(32, 32, 3\)"),
        "0 to 1": (given / 255, "got numbers from 0 to 1: multiply them by 255"),
        "standardised": ((given / 255 - 0.45) / 0.225, "numbers from -2 to 2.44: pass pixels that are not scaled"),
        "-1 to 1": (given / 127.5 - 1, "numbers from -1 to 1: "),
        "of 16 bits": (given.astype("uint16") * 257, r"numbers from 0 to 6.55e\+04: "),
        "centred": (given.astype("int16") - 128, "numbers from -128 to 127: "),
        "nan": (given * np.nan, "got NaN or infinite"),
        "paths": (["a.jpg", "b.jpg"], "load_image reads files"),
        "several sizes": ([given[0], given[1, :16]], "images must be an array"),
        "nothing": (None, "got None"),
    }.values():
        with pytest.raises(ParameterError, match=message):
            encoder()(images)


def test_pixels_that_resizing_moved_out_of_their_range_are_clipped():
    given = np.random.default_rng(1).integers(0, 256, (2, *SIZE, 3), dtype=np.uint8)
    resized = given * np.float32(1.4) - 50
    np.testing.assert_array_equal(encoder()(resized), encoder()(np.clip(np.rint(resized), 0, 255).astype("uint8")))
    black = np.zeros_like(given)
    np.testing.assert_array_equal(encoder()(black.astype("float32")), encoder()(black))


def test_a_function_may_change_its_images():
    def in_place(given):
        given //= 2
        return colours(given)

    given = np.random.default_rng(1).integers(0, 256, (2, *SIZE, 3), dtype=np.uint8)
    before = given.copy()
    np.testing.assert_allclose(encoder(in_place)(given), colours(before // 2), rtol=1e-6)
    assert np.array_equal(given, before)


def test_short_numbers_of_other_libraries_are_taken():
    short = pytest.importorskip("ml_dtypes").bfloat16
    found = encoder(lambda given: colours(given).astype(short)).reference
    np.testing.assert_allclose(found, encoder().reference, rtol=1e-2)


def test_half_precision_is_as_good():
    half = encoder(lambda given: colours(given).astype(np.float16))
    assert half.reference.dtype == np.float32
    np.testing.assert_allclose(half.reference, encoder().reference, rtol=1e-3)


def test_what_goes_wrong_later_is_said_in_the_same_words(images, labels):
    classifier = fit_on_what_breaks_later(images, labels)
    with pytest.raises(ParameterError, match=r"the encoder \(function\) gives NaN"):
        scores(classifier, images)
    with pytest.raises(ParameterError, match=r"the encoder \(function\) gives NaN"):
        make("fragile").fit(images[::-1] // 2, labels)
    with pytest.raises(ParameterError, match=r"^the encoder \(function\) gives NaN"):  # of stored features, compared
        make("fragile").fit(images, labels)
    with pytest.raises(ParameterError, match=r"^the encoder \(function\) gives NaN"):  # of views that are not stored
        make("fragile", stages=Stage(epochs=1), augmenter=Augmenter(horizontal_flip=True)).fit(images, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": ""}, "digest must be a text that changes when the encoder does"),
        ({"digest": None}, "digest must be a text"),
        ({"encode": "colours"}, "encode must be a function"),
        ({"input_size": (0, 32)}, "input_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"license": 3}, "license"),
        ({"may_redistribute": "no"}, "may_redistribute"),
    ],
)
def test_parameters_that_cannot_be_used(change, message):
    given = {"encode": colours, "digest": "one", "input_size": SIZE} | change
    with pytest.raises(ParameterError, match=message):
        FrozenEncoder(given.pop("encode"), **given)


def test_names_are_taken_once():
    register_encoder("COLOURS", encoder(license="MIT", pretrained_on="drawn", may_redistribute=False))  # the same one
    spec = registry.get_backbone("colours")
    assert (spec.license, spec.pretrained_on, spec.may_redistribute) == ("MIT", "drawn", False)
    assert registry.get_backbone("colours+vgg19").may_redistribute is False
    with pytest.raises(DuplicateNameError, match=f"registered already, by {__name__};"):
        register_encoder("colours", encoder(digest="other"))
    with pytest.raises(DuplicateNameError, match="registered already"):
        register_encoder("vgg19", encoder())
    with pytest.raises(DuplicateNameError, match="registered already"):
        register_backbone("colours", preprocess=lambda images: images)(lambda images, weights: None)
    with pytest.raises(ParameterError, match="without slashes"):
        register_encoder("hf/colours", encoder())
    for name in ("", "a\nb", " a ", "a+b", "vgg19+vgg16"):
        with pytest.raises(ParameterError, match="name must be a text of one line without"):
            register_encoder(name, encoder())
        with pytest.raises(ParameterError, match="name must be a text of one line without"):
            register_backbone(name, preprocess=lambda images: images)(lambda images, weights: None)
    with pytest.raises(DuplicateNameError, match="another spelling of the backbone 'vgg19'"):
        register_encoder("VGG-19", encoder(), overwrite=True)
    with pytest.raises(ParameterError, match=r"backbone='vgg19\+' lacks a name"):
        registry.get_backbone("vgg19+")
    with pytest.raises(ParameterError, match="must be a FrozenEncoder, got <function"):
        register_encoder("function", colours)


# -- files of other libraries --


def of_files(given, mean=0.5):
    """What the networks in the files below give: the mean of each channel of pixels from -1 to 1, and its square."""
    means = (given.astype(np.float32) / 255).mean(axis=(1, 2)) / mean - 1
    return np.concatenate([means, means**2], axis=1)


@pytest.fixture
def given():
    return np.random.default_rng(3).integers(0, 256, (5, *SIZE, 3), dtype=np.uint8)


def write_onnx(path, *, shape=("n", 3, 32, 32), n_inputs=1, kind="FLOAT", n_outputs=1, keep=0):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed, which writes the file")
    helper, of = onnx.helper, getattr(onnx.TensorProto, kind)
    channel = list(shape).index(3)
    axes = [axis for axis in range(1, 4) if axis != channel]
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["means"], axes=axes, keepdims=keep),
        helper.make_node("Mul", ["means", "means"], ["squares"]),
        helper.make_node("Concat", ["means", "squares"], ["vectors"], axis=1),
    ]
    inputs = [helper.make_tensor_value_info(name, of, shape) for name in ("images", "text")[:n_inputs]]
    outputs = [helper.make_tensor_value_info(name, of, None) for name in ("vectors", "means")[:n_outputs]]
    graph = helper.make_graph(nodes, "encoder", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def runtime():
    return pytest.importorskip("onnxruntime", reason="onnxruntime is not installed, which runs the file")


@pytest.mark.parametrize("shape", [("n", 3, 32, 32), ("n", 32, 32, 3), (1, 3, 32, 32), (2, 32, 32, 3)])
@pytest.mark.parametrize("kind", ["FLOAT", "FLOAT16"])
def test_an_onnx_file(tmp_path, runtime, given, shape, kind):
    path = write_onnx(tmp_path / "encoder.onnx", shape=shape, kind=kind)
    found = FrozenEncoder.from_onnx(path, scaling="-1 to 1", source="drawn", may_redistribute=True)
    assert (found.input_size, found.n_features, found.kind) == (SIZE, 6, "ONNX file encoder.onnx")
    np.testing.assert_allclose(found(given), of_files(given), atol=1e-5 if kind == "FLOAT" else 2e-3)
    other = FrozenEncoder.from_onnx(path, scaling=((0.5,) * 3, (0.25,) * 3))
    assert other.digest != found.digest == FrozenEncoder.from_onnx(path, scaling="-1 to 1").digest


def test_an_onnx_file_of_any_size_and_several_outputs(tmp_path, runtime, given):
    path = write_onnx(tmp_path / "encoder.onnx", shape=("n", 3, "h", "w"), n_outputs=2)
    with pytest.raises(ParameterError, match=r"2 outputs \('vectors' .*'means' .*name one of them \(output=...\)"):
        FrozenEncoder.from_onnx(path, scaling="0 to 1", input_size=SIZE)
    with pytest.raises(ParameterError, match=r"takes images of any size: give input_size=\(height, width\)"):
        FrozenEncoder.from_onnx(path, scaling="0 to 1", output="means")
    with pytest.raises(UnknownNameError, match="Did you mean 'means'"):
        FrozenEncoder.from_onnx(path, scaling="0 to 1", output="mean", input_size=SIZE)
    found = FrozenEncoder.from_onnx(path, scaling="0 to 255", output="means", input_size=SIZE)
    np.testing.assert_allclose(found(given), given.mean(axis=(1, 2)), rtol=1e-4)


def test_an_onnx_file_of_tokens(tmp_path, runtime, given):
    path = write_onnx(tmp_path / "encoder.onnx", keep=1)  # (n, 6, 1, 1)
    with pytest.raises(ParameterError, match=r"got the shape \(3, 6, 1, 1\)"):
        FrozenEncoder.from_onnx(path, scaling="-1 to 1")
    onnx = pytest.importorskip("onnx")
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("Squeeze", ["vectors", "last"], ["tokens"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([3]), "last"))
    model.graph.output[0].name = "tokens"  # (n, 6, 1): six tokens of one number
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ParameterError, match=r"tokens of shape \(3, 6, 1\).*tokens='first'"):
        FrozenEncoder.from_onnx(path, scaling="-1 to 1")
    with pytest.raises(UnknownNameError, match="Did you mean 'first'"):
        FrozenEncoder.from_onnx(path, scaling="-1 to 1", tokens="firs")
    first = FrozenEncoder.from_onnx(path, scaling="-1 to 1", tokens="first")
    mean = FrozenEncoder.from_onnx(path, scaling="-1 to 1", tokens="mean")
    np.testing.assert_allclose(first(given), of_files(given)[:, :1], atol=1e-5)
    np.testing.assert_allclose(mean(given), of_files(given).mean(axis=1, keepdims=True), atol=1e-5)
    assert first.digest != mean.digest


def test_onnx_files_that_are_no_encoders(tmp_path, runtime):
    path = tmp_path / "encoder.onnx"
    with pytest.raises(WeightsUnavailableError, match="no such file"):
        FrozenEncoder.from_onnx(path, scaling="imagenet")
    for content in (b"", b"no network", bytes(100)):
        path.write_bytes(content)
        with pytest.raises(ParameterError, match="ONNX Runtime cannot open it"):
            FrozenEncoder.from_onnx(path, scaling="imagenet")
    write_onnx(path, n_inputs=2)
    with pytest.raises(ParameterError, match=r"2 inputs .*an encoder takes images and nothing else"):
        FrozenEncoder.from_onnx(path, scaling="imagenet")
    write_onnx(path, shape=("n", 3, 32, 32), kind="INT32")
    with pytest.raises(ParameterError, match=r"type tensor\(int32\)"):
        FrozenEncoder.from_onnx(path, scaling="imagenet")
    write_onnx(path, shape=("n", "c", 32, 3, 3))
    with pytest.raises(ParameterError, match="not that of images"):
        FrozenEncoder.from_onnx(path, scaling="imagenet")
    write_onnx(path)
    with pytest.raises(ParameterError, match="takes images of 32x32 pixels"):
        FrozenEncoder.from_onnx(path, scaling="imagenet", input_size=(64, 64))
    with pytest.raises(UnknownNameError, match="Did you mean 'imagenet'"):
        FrozenEncoder.from_onnx(path, scaling="imagnet")
    for scaling in ((0.5, 0.5), ((0.5,) * 3, (0.0,) * 3), ((0.5,) * 3, (1e-40,) * 3), 3, ((0.5,) * 2,) * 2, ("a", "b")):
        with pytest.raises(ParameterError, match="three means and three standard"):
            FrozenEncoder.from_onnx(path, scaling=scaling)
    with pytest.raises(ParameterError, match="digest cannot be given"):
        FrozenEncoder.from_onnx(path, scaling="imagenet", digest="mine")
    with pytest.raises(UnknownNameError, match="Did you mean 'license'"):
        FrozenEncoder.from_onnx(path, scaling="imagenet", licence="MIT")
    write_onnx(path, shape=("n", 3, 32, 32), kind="STRING")
    with pytest.raises(ParameterError, match=r"ONNX Runtime cannot open it|type tensor\(string\)"):
        FrozenEncoder.from_onnx(path, scaling="imagenet")


def test_a_scaling_of_pixels_to_255_is_refused(tmp_path):
    scaling = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # as mmcv and Detectron2 write ImageNet's
    with pytest.raises(ParameterError, match=r"of pixels from 0 to 1, got .*: divide those .* from 0 to 255 by 255"):
        FrozenEncoder.from_onnx(tmp_path / "encoder.onnx", scaling=scaling)


def test_a_scaling_has_one_digest_however_it_is_written(tmp_path, runtime):
    path = write_onnx(tmp_path / "encoder.onnx")
    found = FrozenEncoder.from_onnx(path, scaling="0 to 1")
    for scaling in (((0, 0, 0), (1, 1, 1)), (np.zeros(3, np.float32), np.ones(3, np.float32)), [[0.0] * 3, [1.0] * 3]):
        assert FrozenEncoder.from_onnx(path, scaling=scaling).digest == found.digest
    assert Reading("imagenet", None).mean_and_std() == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_the_digests_of_earlier_versions_stay():
    assert encoder().digest == "42ee2de0fc80786b3b4bdfd846eb9d92431938b8437512450666e577fd530884"
    assert (
        digest_of("network", Reading("0 to 255", None), "out")
        == "336c66914c89233616591a791a54b183d5dab848e02ff1d85d07fd37f6c1a7e7"
    )


def test_an_onnx_file_with_weights_elsewhere_is_refused(tmp_path, runtime, monkeypatch):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed, which writes the file")
    path = write_onnx(tmp_path / "encoder.onnx")
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("Add", ["vectors", "bias"], ["shifted"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((1, 6), np.float32), "bias"))
    model.graph.output[0].name = "shifted"
    onnx.save_model(model, path, save_as_external_data=True, location="elsewhere.bin", size_threshold=0)
    for folder in (tmp_path.parent, tmp_path):  # ONNX Runtime would find them in the current folder
        monkeypatch.chdir(folder)
        with pytest.raises(ParameterError, match="its weights lie in other files: write it as one"):
            FrozenEncoder.from_onnx(path, scaling="imagenet")
    node = onnx.helper.make_node("Constant", [], ["bias"], value=onnx.load(path).graph.initializer[0])
    of_a_node = onnx.helper.make_model(onnx.helper.make_graph([node], "constant", [], []))
    onnx.external_data_helper.set_external_data(of_a_node.graph.node[0].attribute[0].t, "elsewhere.bin")
    assert has_external_weights(of_a_node.SerializeToString())
    of_a_node.graph.node[0].attribute[0].t.ClearField("data_location")
    assert not has_external_weights(of_a_node.SerializeToString())


def write_saved_model(tf, path, dtype, shape):
    class Network(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec(shape, dtype, name="images")])
        def __call__(self, images):
            numbers = tf.strings.to_number(images) if dtype == tf.string else tf.cast(images, tf.float32)
            means = tf.reduce_mean(numbers, axis=(1, 2))
            return {"vectors": tf.cast(means, dtype) if dtype == tf.bfloat16 else means}

    network = Network()
    tf.saved_model.save(network, str(path), signatures={"serving_default": network.__call__})


def test_a_saved_model(tmp_path, given):
    tf = pytest.importorskip("tensorflow")

    class Network(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, *SIZE, 3), tf.float32, name="images")])
        def __call__(self, images):
            means = tf.reduce_mean(images, axis=(1, 2))
            return {"vectors": tf.concat([means, means**2], axis=1)}

    network = Network()
    tf.saved_model.save(network, str(tmp_path / "encoder"), signatures={"serving_default": network.__call__})
    found = FrozenEncoder.from_saved_model(tmp_path / "encoder", scaling="-1 to 1")
    assert (found.input_size, found.n_features, found.kind) == (SIZE, 6, "SavedModel encoder")
    np.testing.assert_allclose(found(given), of_files(given), atol=1e-5)
    assert found.digest == FrozenEncoder.from_saved_model(tmp_path / "encoder", scaling="-1 to 1").digest
    with pytest.raises(WeightsUnavailableError, match=r"no such folder with a saved_model\.pb"):
        FrozenEncoder.from_saved_model(tmp_path / "nowhere", scaling="-1 to 1")
    for dtype, shape, scaling, message in (
        (tf.int32, (None, *SIZE, 3), "0 to 1", r"of type int32, and scaled pixels .*scaling='0 to 255'"),
        (tf.int8, (None, *SIZE, 3), "0 to 255", "of type int8, and pixels are numbers from 0 to 255"),
        (tf.string, (None, *SIZE, 3), "0 to 255", "of type string, and pixels are numbers"),
        (tf.float32, None, "0 to 255", "its input has no shape, not that of images"),
    ):
        write_saved_model(tf, tmp_path / "other", dtype, shape)
        with pytest.raises(ParameterError, match=message):
            FrozenEncoder.from_saved_model(tmp_path / "other", scaling=scaling)
    for dtype in (tf.uint8, tf.int32, tf.bfloat16):
        write_saved_model(tf, tmp_path / "other", dtype, (None, *SIZE, 3))
        found = FrozenEncoder.from_saved_model(tmp_path / "other", scaling="0 to 255")
        np.testing.assert_allclose(found(given), given.mean(axis=(1, 2)), rtol=1e-2 if dtype == tf.bfloat16 else 1e-5)
    (tmp_path / "encoder" / "saved_model.pb").write_bytes(b"no network")
    with pytest.raises(ParameterError, match="TensorFlow cannot open it by 'serving_default'"):
        FrozenEncoder.from_saved_model(tmp_path / "encoder", scaling="-1 to 1")


@pytest.fixture
def torch():
    if BACKEND == "tensorflow":
        pytest.skip("TensorFlow and PyTorch in one process: their tests run with the backend 'torch'")
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def module(torch):
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.dropout = torch.nn.Dropout(0.5)
            self.scale = torch.nn.Parameter(torch.ones(1))

        def forward(self, images):
            means = self.dropout(images.mean((2, 3)) * self.scale)
            return torch.cat([means, means**2], 1)

    return Network()


@pytest.mark.contract
def test_a_torchscript_file(tmp_path, torch, module, given):
    path = tmp_path / "encoder.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch writes no new ones, and still reads them
        torch.jit.script(module).save(str(path))
    found = FrozenEncoder.from_torchscript(path, scaling="-1 to 1", input_size=SIZE)
    assert (found.n_features, found.kind) == (6, "TorchScript file encoder.pt")
    np.testing.assert_allclose(found(given), of_files(given), atol=1e-5)
    path.write_bytes(b"no network")
    with pytest.raises(ParameterError, match="PyTorch cannot open it as TorchScript"):
        FrozenEncoder.from_torchscript(path, scaling="-1 to 1", input_size=SIZE)


@pytest.mark.contract
def test_a_module_of_pytorch(torch, module, given):
    found = FrozenEncoder.from_torch(module, scaling="-1 to 1", input_size=SIZE)
    np.testing.assert_allclose(found(given), of_files(given), atol=1e-5)
    with pytest.raises(ParameterError, match="scaling must be given"):
        FrozenEncoder.from_torch(module, input_size=SIZE)
    with pytest.raises(ParameterError, match=r"input_size=\(height, width\) must be given"):
        FrozenEncoder.from_torch(module, scaling="-1 to 1")
    module.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "input_size": (3, *SIZE)}  # as timm's models do
    assert FrozenEncoder.from_torch(module).digest == found.digest
    with torch.no_grad():
        module.scale.mul_(2)
    assert FrozenEncoder.from_torch(module).digest != found.digest
    with pytest.raises(ParameterError, match=r"must be a torch\.nn\.Module"):
        FrozenEncoder.from_torch(colours, scaling="-1 to 1", input_size=SIZE)


@pytest.mark.contract
def test_what_happens_to_a_module_later_does_not_change_its_encoder(torch, module, given):
    module.add_module("norm", torch.nn.BatchNorm2d(3))
    module.train()
    found = FrozenEncoder.from_torch(module, scaling="-1 to 1", input_size=SIZE)
    assert module.training, "the module itself stays as it is"
    before = found(given)
    with torch.no_grad():
        module.scale.mul_(-1)
    assert np.array_equal(found(given), before)
    module.unpicklable = (number for number in range(3))
    with pytest.raises(ParameterError, match=r"cannot be copied.*a function that calls it"):
        FrozenEncoder.from_torch(module, scaling="-1 to 1", input_size=SIZE)


@pytest.mark.contract
def test_modules_of_every_kind_of_state(torch, module, given):
    class Stateful(type(module)):
        def get_extra_state(self):
            return self.extra

    module.__class__ = Stateful
    digests = set()
    for module.extra in ({"a": [1, None]}, {"a": [2, None]}, {"a": [2, torch.ones(2)]}):
        digests.add(FrozenEncoder.from_torch(module, scaling="-1 to 1", input_size=SIZE).digest)
    assert len(digests) == 3
    module.extra = object()
    with pytest.raises(ParameterError, match=r"state '_extra_state' is a object, of which no digest can be made"):
        FrozenEncoder.from_torch(module, scaling="-1 to 1", input_size=SIZE)
    flat = torch.nn.Flatten()
    for unfinished in (torch.nn.LazyLinear(4), torch.nn.Linear(3072, 4, device="meta")):
        with pytest.raises(ParameterError, match="holds no numbers yet: load its weights first"):
            FrozenEncoder.from_torch(torch.nn.Sequential(flat, unfinished), scaling="-1 to 1", input_size=SIZE)


@pytest.mark.contract
def test_tensors_that_are_no_vectors(torch):
    for wrong in (
        lambda given: torch.from_numpy(colours(given)).to_sparse(),
        lambda given: torch.empty(len(given), 4, device="meta"),
    ):
        with pytest.raises(ParameterError, match=r"the encoder \(function\) cannot encode 3 images"):
            encoder(wrong)
    with pytest.raises(ParameterError, match="real numbers, got the dtype complex128"):
        encoder(lambda given: torch.from_numpy(colours(given) * 1j))


@only_tensorflow
@pytest.mark.slow
@pytest.mark.real_data
def test_on_real_images_it_scores_as_the_network_of_keras_does(real_data, real_weights, tmp_path, runtime):
    keras = pytest.importorskip("keras")
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed, which writes the file")
    settings = {"stages": Probe(C=1e-2), "random_state": 0, "verbose": 0, "precision": "float32"}
    train, test = (
        ISBIDataset.from_challenge(real_data, year=2016, split=split, on_error="skip").first(per_class=6)
        for split in ("train", "test")
    )
    vgg19 = TransferClassifier("vgg19", weights=real_weights, **settings).fit(train)
    pooled = keras.Model(vgg19.model_.inputs[0], vgg19.model_.layers[-1].input)
    pooled(np.zeros((1, 224, 224, 3), np.float32))
    pooled.export(tmp_path / "vgg19.onnx", format="onnx", verbose=False)
    register_encoder(
        "vgg19 in a file",
        FrozenEncoder.from_onnx(tmp_path / "vgg19.onnx", scaling="0 to 255", input_size=(224, 224)),
    )
    by_file = TransferClassifier("vgg19 in a file", **settings).fit(train)
    np.testing.assert_allclose(scores(by_file, test), scores(vgg19, test), atol=1e-4)

    path = next(real_weights.parent.glob("vgg16*.h5"))
    network = keras.applications.VGG16(include_top=False, pooling="avg", weights=str(path))

    def encode(given):
        return network.predict_on_batch(keras.applications.vgg16.preprocess_input(given.astype(np.float32)))

    register_encoder("vgg16 by Keras", FrozenEncoder(encode, digest=path.name, input_size=(224, 224)))
    by_function = TransferClassifier("vgg16 by Keras", **settings).fit(train)
    vgg16 = TransferClassifier("vgg16", weights=path, **settings).fit(train)
    np.testing.assert_allclose(scores(by_function, test), scores(vgg16, test), atol=1e-4)


@pytest.mark.contract
def test_an_encoder_trains_and_scores_on_every_backend(images, labels, tmp_path):
    classifier = make(stages=(Probe(), Stage(epochs=1))).fit(images, labels)
    classifier.save(tmp_path / "model.keras")
    again = TransferClassifier.load(tmp_path / "model.keras")
    assert np.array_equal(scores(again, images), scores(classifier, images))
    assert scores(classifier, images)[labels == 1].min() > scores(classifier, images)[labels == 0].max()
