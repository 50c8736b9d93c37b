from functools import partial

import keras
import numpy as np
import pytest
from conftest import NETWORK_OPTIONS, build

from melanoma_tl.backbones import BackboneSpec, get_backbone
from melanoma_tl.backbones.weights import WeightsFile
from melanoma_tl.errors import ParameterError, UnknownNameError, WeightsUnavailableError
from melanoma_tl.network.graph import Network, build_network, freeze, resolve_trainable_from
from melanoma_tl.network.heads import PooledHead


def trainable_layers(model):
    return [layer.name for layer in model.layers if layer.trainable_weights]


@pytest.mark.slow
def test_the_published_network_is_the_published_one():
    model = build(
        "vgg19", input_size=(224, 224), preprocessing="rescale", head="published", trainable_from="block5_conv2"
    )
    assert model.count_params() == 20_024_384 + (25088 + 1) * 4096 + (4096 + 1) * 4096 + 4096 + 1
    assert trainable_layers(model) == ["block5_conv2", "block5_conv3", "block5_conv4", "fc1", "fc2", "melanoma"]
    assert [layer.name for layer in model.layers[-5:]] == ["block5_pool", "flatten", "fc1", "fc2", "melanoma"]
    assert model.get_layer("rescale").scale == pytest.approx(1 / 255)


def test_graphs_are_flat_and_hold_no_code():
    for backbone in ("tiny", "vgg19"):
        layers = build(backbone).layers
        assert not any(isinstance(layer, keras.Model | keras.layers.Lambda) for layer in layers)


def test_a_frozen_backbone_learns_nothing_and_batch_normalisation_stays_still():
    assert trainable_layers(build()) == ["melanoma"]
    model = build(trainable_from="conv1")
    assert trainable_layers(model) == ["conv1", "conv2", "melanoma"]
    before = [array.copy() for array in model.get_layer("norm1").get_weights()]
    model.compile("sgd", "binary_crossentropy")
    rng = np.random.default_rng(0)
    model.fit(rng.uniform(0, 255, (16, 32, 32, 3)), np.arange(16) % 2, epochs=3, shuffle=False, verbose=0)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_layer("norm1").get_weights(), strict=True))


def test_batch_normalisation_within_a_layer_stays_still_too():
    images = keras.Input((8, 8, 3), name="image")
    block = keras.Sequential([keras.layers.Conv2D(2, 3), keras.layers.BatchNormalization()], name="block")
    backbone = keras.Model(images, block(images))
    freeze(Network(backbone, backbone), "block")
    assert [weight.path for weight in backbone.trainable_weights] == [weight.path for weight in block.layers[0].weights]


def test_the_seed_makes_the_weights_and_leaves_the_users_random_state_alone():
    import random

    random.seed(7)
    expected = random.random()
    random.seed(7)
    weights = [build(random_state=seed).get_weights() for seed in (1, 1, 2)]
    assert random.random() == expected
    assert all(np.array_equal(*pair) for pair in zip(weights[0], weights[1], strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(weights[0], weights[2], strict=True))


def test_a_head_of_the_users_own():
    model = build(head=lambda features: keras.layers.Dense(5)(keras.layers.GlobalMaxPooling2D()(features)))
    assert model.layers[-1].input.shape == (None, 5)
    with pytest.raises(ParameterError, match=r"shape \(n, features\), got \(None, 7, 7, 8\)"):
        build(head=lambda features: features)
    with pytest.raises(UnknownNameError, match="Did you mean 'pooled'"):
        build(head="poled")


def test_wrong_parameters_are_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'block5_conv2'"):
        build("vgg19", trainable_from="block5_conf2")
    with pytest.raises(ParameterError, match="preprocessing must be one of backbone, rescale"):
        build(preprocessing="caffe")


def test_weights_of_something_else_are_refused(tmp_path):
    (tmp_path / "wrong.weights.h5").write_bytes(b"no HDF5")
    wrong = WeightsFile(str(tmp_path / "wrong.weights.h5"), "", official=False)
    for backbone in ("tiny", "vgg19"):
        with pytest.raises(WeightsUnavailableError, match="does not hold weights for"):
            build(backbone, weights=wrong)


@pytest.mark.slow
def test_weights_of_another_architecture_are_refused(tmp_path):
    keras.applications.MobileNetV3Small(include_top=False, weights=None).save(tmp_path / "other.h5")
    other = WeightsFile(str(tmp_path / "other.h5"), "", official=False)
    for backbone in ("mobilenetv3large", "vgg16"):
        with pytest.raises(WeightsUnavailableError, match=f"does not hold weights for '{backbone}'"):
            build(backbone, weights=other)


def test_a_size_that_is_too_small_is_not_blamed_on_the_weights(tmp_path):
    for weights in (None, WeightsFile(str(tmp_path / "any.h5"), "", official=False)):
        with pytest.raises(ParameterError, match=r"cannot be built on images of \(16, 16, 3\)"):
            build("vgg19", input_size=(16, 16), weights=weights)


def test_a_backbone_must_end_in_a_feature_map():
    def flat(input_tensor, weights):
        return keras.Model(keras.utils.get_source_inputs(input_tensor), keras.layers.Flatten()(input_tensor))

    def detached(input_tensor, weights):
        return keras.Model(input_tensor, keras.layers.Conv2D(3, 3)(input_tensor))

    for builder, message in ((flat, "must end in a feature map"), (detached, "does not start at the images")):
        with pytest.raises(ParameterError, match=message):
            build_own(builder)


def build_own(builder):
    return build(BackboneSpec("own", builder, keras.layers.Rescaling(1 / 255), (32, 32)))


def log_of_the_mean_around_the_middle(maps):
    """In words of NumPy: a Gaussian of a fifth of each side about the middle of the image."""
    y, x = np.meshgrid(*((np.arange(n) + 0.5) / n for n in maps.shape[1:3]), indexing="ij")
    distances = np.hypot(y - 0.5, x - 0.5)
    weights = np.broadcast_to(np.exp(-(distances**2) / (2 * 0.2**2))[..., np.newaxis], maps.shape[1:])
    return np.stack([np.log1p(np.maximum(np.average(of_one, axis=(0, 1), weights=weights), 0)) for of_one in maps])


AVERAGE, MAXIMUM = partial(np.mean, axis=(1, 2)), partial(np.max, axis=(1, 2))


@pytest.mark.parametrize(
    ("pooling", "kinds"),
    [
        ("avg", [AVERAGE]),
        ("max", [MAXIMUM]),
        ("avg_max", [AVERAGE, MAXIMUM]),
        ("log_center", [log_of_the_mean_around_the_middle]),
    ],
)
def test_the_head_pools_each_feature_map_as_asked(pooling, kinds):
    model = build(head=PooledHead(pooling=pooling, feature_layers=["relu1"]), input_size=(32, 48))
    maps = [model.get_layer(name).output for name in ("conv2", "relu1")]
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 3)).astype("float32")
    expected = [
        reduce(keras.ops.convert_to_numpy(keras.Model(model.inputs[0], tensor)(images)))
        for tensor in maps
        for reduce in kinds
    ]
    features = keras.Model(model.inputs[0], model.get_layer("melanoma").input)(images)
    assert np.allclose(keras.ops.convert_to_numpy(features), np.concatenate(expected, axis=1), atol=1e-5)


def test_wrong_feature_layers_and_poolings_are_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'relu1'"):
        build(head=PooledHead(feature_layers="relu2"))
    with pytest.raises(UnknownNameError, match="Did you mean 'avg_max'"):
        build(head=PooledHead(pooling="avg+max"))


def test_stages_are_counted_from_the_last():
    spec = get_backbone("vgg19")
    assert resolve_trainable_from(spec, 2) == "block4_conv1"
    assert resolve_trainable_from(spec, "block5_conv2") == "block5_conv2"
    assert resolve_trainable_from(spec, None) is None
    for wrong in (0, 6):
        with pytest.raises(ParameterError, match=r"'vgg19' has 5 \(block5_conv1"):
            resolve_trainable_from(spec, wrong)


def test_batch_normalisation_learns_if_asked():
    network = build_network(get_backbone("tiny"), **NETWORK_OPTIONS)
    freeze(network, "conv1", train_batch_norm=True)
    assert trainable_layers(network.model) == ["conv1", "norm1", "conv2", "melanoma"]
