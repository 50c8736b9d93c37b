"""Feature maps of several depths: by the names of layers, and by stages, of networks small and large."""

import keras
import numpy as np
import pytest

from melanoma_tl import PooledHead, Probe, TransferClassifier, register_backbone
from melanoma_tl.backbones import get_backbone
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.network.feature_maps import maps_of_stages, named_maps
from melanoma_tl.recipes import best, fast, get_recipe

layers = keras.layers


@pytest.fixture(scope="module")
def chain():
    """A network of three stages; the second is padded first, the third begins where two maps are added."""

    scale = layers.Rescaling(1 / 255)

    @register_backbone("three stages", preprocess=scale, input_size=(32, 32), stages=("join", "down", "stem"))
    def build(input_tensor, weights):
        x = layers.Conv2D(4, 3, strides=2, padding="same", name="stem")(input_tensor)
        x = shallow = layers.Activation("relu", name="stem_relu")(x)
        x = layers.ZeroPadding2D(1, name="pad")(x)
        x = layers.Conv2D(6, 3, strides=2, name="down")(x)
        x = middle = layers.Activation("relu", name="down_relu")(x)
        shortcut = layers.Conv2D(6, 1, strides=2, name="shortcut")(shallow)
        x = layers.Add(name="join")([middle, shortcut])
        x = layers.Conv2D(8, 3, name="top")(x)
        return keras.Model(keras.utils.get_source_inputs(input_tensor), x)

    return "three stages"


def build(name):
    spec = get_backbone(name)
    return spec, spec.builder(layers.Input((32, 32, 3)), None)


def test_the_map_of_a_stage_is_what_the_next_one_is_given(chain):
    spec, network = build(chain)
    found = maps_of_stages(spec, network)
    assert [one.maps._keras_history.operation.name for one in found] == ["join", "stem_relu"]
    assert [one.name for one in found] == ["pool_stage_1", "pool_stage_2"]
    assert all(one.vector is None for one in found)


def test_stages_are_the_layers_that_one_would_have_named(chain, images, labels):
    settings = {"weights": None, "stages": Probe(C=0.1), "random_state": 0, "verbose": 0, "precision": "float32"}
    by_stage = TransferClassifier(chain, head=PooledHead(feature_layers="stages"), **settings).fit(images, labels)
    by_name = TransferClassifier(chain, head=PooledHead(feature_layers=["join", "stem_relu"]), **settings)
    np.testing.assert_allclose(
        by_stage.predict_proba(images), by_name.fit(images, labels).predict_proba(images), atol=1e-6
    )


def test_a_backbone_without_stages_names_its_layers(images, labels, chain):
    bare = "no stages"
    register_backbone(bare, preprocess=layers.Rescaling(1 / 255), input_size=(32, 32))(get_backbone(chain).builder)
    classifier = TransferClassifier(bare, weights=None, head=PooledHead(feature_layers="stages"), verbose=0)
    with pytest.raises(ParameterError, match=r"no stages are registered for the backbone 'no stages'"):
        classifier.fit(images, labels)


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        (("stem", "stem"), ParameterError, "must name each layer once"),
        (("top",), ParameterError, "'top' gives the last feature map, which is pooled anyway: omit it"),
        (("stemm",), UnknownNameError, "Did you mean 'stem'"),
        ("stage", UnknownNameError, "feature_layers='stages' takes the last map of each stage"),
    ],
)
def test_layers_that_cannot_be_pooled_are_refused(chain, images, labels, named, error, message):
    classifier = TransferClassifier(chain, weights=None, head=PooledHead(feature_layers=named), verbose=0)
    with pytest.raises(error, match=message):
        classifier.fit(images, labels)


def test_a_map_of_three_channels_is_the_image(chain):
    spec, network = build(chain)
    (stem,) = named_maps(spec, network, ("stem",))
    assert stem.maps.shape == (None, 16, 16, 4)
    assert len(maps_of_stages(spec, network)) == 2, "the first stage begins with the pixels"


# -- recipes of any backbone --


def test_a_recipe_pools_the_stages_of_another_backbone(chain, images, labels, tmp_path):
    classifier = TransferClassifier.from_recipe("fast", backbone=chain, weights=None, random_state=0, verbose=0)
    assert classifier.head.get_params() == {"pooling": "log_center", "feature_layers": "stages"}
    classifier.fit(images, labels)
    assert classifier.provenance_["recipe"] == "fast except for backbone"
    classifier.save(tmp_path / "model.keras")
    again = TransferClassifier.load(tmp_path / "model.keras")
    assert np.array_equal(again.predict_proba(images), classifier.predict_proba(images))


def test_best_takes_larger_images_of_the_backbones_own_size(chain):
    assert best(chain)["input_size"] == (32, 32), "ten sevenths of 32, to the nearest multiple of 32"
    assert best("vgg19")["input_size"] == (320, 320)
    assert best("efficientnetb3")["input_size"] == (416, 416)
    assert fast("vgg19")["head"].feature_layers != fast("vgg16")["head"].feature_layers == "stages"


def test_the_paper_knows_its_own_network_only(chain):
    assert get_recipe("paper", "vgg16")["trainable_from"] == "block5_conv2"
    for name in (chain, "resnet50"):
        with pytest.raises(ParameterError, match="which learns from its layer 'block5_conv2' on"):
            TransferClassifier.from_recipe("paper", backbone=name)
    with pytest.raises(UnknownNameError, match="Did you mean 'vgg19'"):
        TransferClassifier.from_recipe("fast", backbone="vgg17")


def test_a_published_head_of_billions_of_weights_is_refused(images, labels):
    classifier = TransferClassifier("vgg19", weights=None, head="published", input_size=(2048, 2048), verbose=0)
    with pytest.raises(ParameterError, match=r"would have 8\.6 billion weights.*take a smaller input_size"):
        classifier.fit(images, labels)
