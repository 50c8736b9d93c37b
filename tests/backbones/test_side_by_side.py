"""Several backbones side by side: the features of each as if it stood alone, in one network and one file."""

import json

import keras
import numpy as np
import pytest

from melanoma_tl import Ensemble, FrozenEncoder, PooledHead, Probe, Stage, TransferClassifier, register_encoder
from melanoma_tl.backbones import get_backbone, register_backbone
from melanoma_tl.backbones.preprocessing import scale_to_one, subtract_imagenet_mean
from melanoma_tl.errors import ParameterError, UnknownNameError, WeightsUnavailableError
from melanoma_tl.explain import grad_cam
from melanoma_tl.network.cutting import with_precision
from melanoma_tl.recipes import best

layers = keras.layers


@pytest.fixture(scope="module", autouse=True)
def two_backbones():
    """Two networks with layers of the same names, other pixels, sizes and weights, which are no matter of chance."""

    def add(name, preprocess, seed, channels, size):
        @register_backbone(name, preprocess=preprocess, input_size=size, stages=("conv2", "conv1"), parameters=100)
        def build(input_tensor, weights):
            made = keras.initializers.GlorotUniform(seed)
            x = layers.Conv2D(channels, 3, strides=2, activation="relu", kernel_initializer=made, name="conv1")(
                input_tensor
            )
            x = layers.Conv2D(2 * channels, 3, strides=2, kernel_initializer=made, name="conv2")(x)
            model = keras.Model(keras.utils.get_source_inputs(input_tensor), x)
            if weights:
                model.load_weights(weights)
            return model

    add("left", scale_to_one, 1, 3, (32, 32))
    add("right", subtract_imagenet_mean, 2, 5, (24, 40))


def make(backbone, **parameters):
    settings = {"stages": Probe(C=0.1), "weights": None, "precision": "float32", "random_state": 0, "verbose": 0}
    return TransferClassifier(backbone, **(settings | {"input_size": (32, 32)} | parameters))


def features(classifier, images):
    network = keras.Model(classifier.model_.inputs, classifier.model_.layers[-1].input)
    return network.predict(images, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["pooled", PooledHead(pooling="log_center", feature_layers="stages")])
def test_features_are_those_of_each_alone(images, labels, head):
    small = images[:, :32, :32].astype(np.float32)
    both, left, right = (features(make(name, head=head).fit(images, labels), small) for name in NAMES)
    alone = np.concatenate([left, right], axis=1)
    assert both.shape == alone.shape
    columns = [int(np.abs(both - column[:, np.newaxis]).max(axis=0).argmin()) for column in alone.T]
    assert sorted(columns) == list(range(both.shape[1])), "the same columns, whatever their order"
    np.testing.assert_allclose(both[:, columns], alone, rtol=1e-5, atol=1e-6)


NAMES = ("left+right", "left", "right")


def test_the_entry_says_what_each_says():
    spec = get_backbone(" LEFT + right")
    assert (spec.name, spec.part_names) == ("left+right", ("left", "right"))
    assert spec.stages == ("left_conv2", "left_conv1", "right_conv2", "right_conv1")
    assert (spec.input_size, spec.parameters, spec.image_sizes) == ((32, 32), 200, "any")
    assert get_backbone("left").part_names == ()
    assert best("left+right")["input_size"] == (32, 32)
    known = get_backbone("vgg19+resnet50")
    assert (known.may_redistribute, spec.may_redistribute) == (True, None)
    assert known.pretrained_on == get_backbone("vgg19").pretrained_on != "" == get_backbone("left").pretrained_on
    assert spec.pretrained_on == "not stated"


@pytest.mark.slow
def test_one_file_holds_both(images, labels, tmp_path):
    classifier = make("left+right", head=PooledHead(feature_layers=["right_conv1"])).fit(images, labels)
    classifier.save(tmp_path / "model.keras")
    again = TransferClassifier.load(tmp_path / "model.keras")
    assert np.array_equal(again.predict_proba(images), classifier.predict_proba(images))
    assert again.backbone == "left+right"
    assert json.dumps(again.provenance_)
    assert grad_cam(again, images[:1]).shape == (1, 32, 32)
    ensemble = Ensemble([make("left"), make("right")], verbose=0).fit(images, labels)
    ensemble.save(tmp_path / "both.zip")
    read = Ensemble.load(tmp_path / "both.zip")
    assert np.array_equal(read.predict_proba(images), ensemble.predict_proba(images))


def test_a_frozen_encoder_stands_beside_a_network(images, labels):
    def colours(given):
        return given.mean(axis=(1, 2)) / 255

    register_encoder("colours", FrozenEncoder(colours, digest="colours", input_size=(40, 40)))
    classifier = make("colours+left", input_size=None).fit(images, labels)
    assert get_backbone("colours+left").input_size == (40, 40), "the encoder takes no others"
    np.testing.assert_allclose(features(classifier, images)[:, :3], colours(images), rtol=1e-5)
    assert features(classifier, images).shape == (24, 9)
    register_encoder("large", FrozenEncoder(colours, digest="large", input_size=(64, 64)))
    with pytest.raises(ParameterError, match=r"images of 40x40 and 64x64 pixels and no others: use an Ensemble"):
        make("colours+large").fit(images, labels)


def test_pixels_of_each_stay_in_float32(images, labels):
    network = make("left+right").fit(images, labels).model_
    half = with_precision(network, "mixed_bfloat16")
    computes_in = {layer.name: layer.compute_dtype for layer in half.layers}
    scaling = [layer.name for layer in half.layers if isinstance(layer, layers.Rescaling)]
    assert len(scaling) == 2
    assert {computes_in[name] for name in (*scaling, "left_conv1", "right_conv1")} == {"float32"}
    assert {computes_in[name] for name in ("left_conv2", "right_conv2")} == {"bfloat16"}


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"backbone": "left+left"}, ParameterError, "names a backbone twice"),
        ({"backbone": "left+rihgt"}, UnknownNameError, "Did you mean 'right'"),
        ({"backbone": "left+"}, ParameterError, "lacks a name beside"),
        ({"head": "published"}, ParameterError, "takes one feature map, and 'left[+]right' gives 2"),
        ({"head": layers.Flatten()}, ParameterError, "takes one feature map, and 'left[+]right' gives 2"),
        ({"stages": Stage(trainable_from=1)}, ParameterError, "several backbones side by side, which stay frozen"),
        ({"stages": Stage(trainable_from="left_conv2")}, ParameterError, "fine-tune each alone"),
        ({"preprocessing": "rescale"}, ParameterError, "leave preprocessing out"),
        ({"weights": "left.weights.h5"}, ParameterError, "one file holds the weights of one"),
        ({"weights": "imagenet"}, ParameterError, "'left' has no ImageNet weights"),
        ({"backbone": "vgg16+left", "weights": "imagenet"}, WeightsUnavailableError, "weights of 'vgg16'"),
    ],
)
def test_what_cannot_stand_side_by_side(labels, monkeypatch, parameters, error, message):
    monkeypatch.delenv("MELANOMA_TL_WEIGHTS", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # nothing is downloaded here
    nowhere = [f"no such image {number}.jpg" for number in range(24)]
    settings = {"backbone": "left+right"} | parameters
    with pytest.raises(error, match=message):
        make(settings.pop("backbone"), **settings).fit(nowhere, labels)
