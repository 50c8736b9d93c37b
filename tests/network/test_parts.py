"""A network cut in two is the same network; what tells two apart does so."""

import keras
import numpy as np
import pytest
from conftest import build

from melanoma_tl.errors import ParameterError
from melanoma_tl.network.cutting import build_scorer, network_digest, split_network, with_precision
from melanoma_tl.network.graph import Network, freeze
from melanoma_tl.network.precision import PRECISIONS, Precision

pytestmark = pytest.mark.contract

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype("float32")


def network(trainable_from=None, head="pooled", seed=0):
    return build("tiny", trainable_from=trainable_from, head=head, random_state=seed)


def branches(trainable_from):
    """A residual block between two convolutions, as in every network after 2015."""
    layers = keras.layers
    images = keras.Input((16, 16, 3))
    start = layers.Conv2D(4, 3, padding="same", name="start")(images)
    left = layers.Conv2D(4, 3, padding="same", name="left1")(start)
    left = layers.Dropout(0.5, name="drop")(left)
    left = layers.Conv2D(4, 3, padding="same", name="left2")(left)
    joined = layers.Add(name="join")([start, left])
    backbone = keras.Model(images, layers.Conv2D(4, 3, name="end")(joined))
    score = layers.Dense(1, activation="sigmoid", name="melanoma")(layers.Flatten()(backbone.output))
    model = keras.Model(images, score, name="branches")
    freeze(Network(model, backbone), trainable_from)
    return model


def last_frozen(model):
    frozen = split_network(model).frozen
    return None if frozen is None else frozen.layers[-1].name


@pytest.mark.parametrize(
    ("trainable_from", "expected"),
    [(None, "flatten"), ("end", "join"), ("left2", "start"), ("left1", "start"), ("start", None)],
)
def test_the_cut_is_where_one_tensor_carries_everything(trainable_from, expected):
    name = last_frozen(branches(trainable_from))
    assert name == expected or (expected == "flatten" and name.startswith("flatten"))


@pytest.mark.parametrize("trainable_from", [None, "end", "left2"])
def test_the_parts_make_up_the_whole(trainable_from):
    model = branches(trainable_from)
    images = np.random.default_rng(0).random((3, 16, 16, 3), dtype="float32")
    parts = split_network(model)
    features = parts.frozen.predict_on_batch(images)
    assert np.allclose(parts.trained.predict_on_batch(features), model.predict_on_batch(images), atol=1e-6)
    assert not parts.frozen.trainable_weights
    assert len(parts.trained.trainable_weights) == len(model.trainable_weights)


def test_a_network_can_be_cut_again():
    model = network("conv2")
    first, second = split_network(model), split_network(model)
    assert first.frozen.layers[-1].name == second.frozen.layers[-1].name == "relu1"
    assert network_digest(first.frozen) == network_digest(second.frozen)


def test_what_is_random_in_training_is_never_in_the_frozen_part():
    def head(features):
        return keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D(name="pool")(features))

    assert last_frozen(network(head=head)) == "pool"


def test_preprocessing_alone_is_not_worth_storing():
    model = network("conv1")
    assert split_network(model).frozen is None
    assert split_network(model).trained is model


def test_other_weights_layers_and_constants_are_another_network():
    def scaled(by, seed=0):
        keras.utils.set_random_seed(seed)
        images = keras.Input((8, 8, 3))
        scaled_images = images / by - np.array([1.0, 2.0, 3.0], dtype="float32")
        return keras.Model(images, keras.layers.Conv2D(2, 3, activation="relu")(scaled_images))

    assert network_digest(scaled(2.0)) == network_digest(scaled(2.0)), "names that Keras counts up do not matter"
    others = [scaled(2.0), scaled(3.0), scaled(2.0, seed=1)]
    linear = keras.models.clone_model(others[0])
    linear.layers[-1].activation = keras.activations.linear
    linear.set_weights(others[0].get_weights())
    assert len({network_digest(other) for other in [*others, linear]}) == 4


def test_another_order_of_inputs_is_another_network():
    def difference(swap):
        keras.utils.set_random_seed(0)
        images = keras.Input((8, 8, 3))
        both = [keras.layers.Conv2D(2, 3)(images), keras.layers.MaxPooling2D(3, 1)(images)[..., :2]]
        return keras.Model(images, keras.layers.Subtract()(both[::-1] if swap else both))

    assert network_digest(difference(False)) != network_digest(difference(True))


@pytest.mark.parametrize("precision", ["bfloat16", "mixed_bfloat16"])
def test_reduced_precision_changes_scores_little_and_weights_not_at_all(precision):
    model = network("conv2")
    before = model.get_weights()
    scores = build_scorer(model, PRECISIONS[precision]).predict_on_batch(PIXELS)
    assert scores.dtype == np.float32
    difference = np.abs(scores - model.predict_on_batch(PIXELS))
    assert 0 < difference.max() < 0.02
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_what_sees_pixels_and_what_scores_stay_exact():
    recast = with_precision(network("conv2"), "mixed_bfloat16")
    reduced = {layer.name for layer in recast.layers if layer.compute_dtype == "bfloat16"}
    assert reduced == {"norm1", "relu1", "conv2", "pool_avg"}
    features = with_precision(split_network(network("conv2")).trained, "mixed_bfloat16")
    assert features.get_layer("conv2").compute_dtype == "bfloat16", "reads features, not pixels"


def test_full_precision_is_the_network_itself():
    model = network()
    assert build_scorer(model, PRECISIONS["float32"]) is model
    assert with_precision(model, "float32") is model


def test_a_network_within_a_network_is_recast_too():
    images = keras.Input((8, 8, 3))
    inner = keras.Sequential([keras.layers.Conv2D(2, 3), keras.layers.Conv2D(2, 3)])
    recast = with_precision(keras.Model(images, inner(images)), "mixed_bfloat16")
    assert {layer.compute_dtype for layer in recast.layers[-1].layers} == {"bfloat16"}


def test_statistics_of_a_normalization_are_recast_too():
    images = keras.Input((8, 8, 3))
    normalization = keras.layers.Normalization()
    model = keras.Model(images, normalization(images))
    normalization.adapt(PIXELS)
    recast = with_precision(model, "mixed_bfloat16")
    exact = model.predict_on_batch(PIXELS[:, :8, :8])
    assert np.abs(exact).max() < 3
    assert np.allclose(recast.predict_on_batch(PIXELS[:, :8, :8]).astype("float32"), exact, atol=0.03)


def with_layer(layer):
    def head(features):
        return keras.layers.Dense(4)(layer(keras.layers.GlobalAveragePooling2D()(features)))

    return network("conv2", head=head)


def test_code_in_a_head_computes_as_it_did():
    """Keras makes a Lambda anew only where code in files is trusted, so that one is shared."""
    model = with_layer(keras.layers.Lambda(lambda x: 2 * x, name="double"))
    recast = with_precision(model, "mixed_bfloat16")
    assert recast.get_layer("double") is model.get_layer("double")
    assert recast.get_layer("conv2") is not model.get_layer("conv2")
    scores = build_scorer(model, PRECISIONS["mixed_bfloat16"]).predict_on_batch(PIXELS)
    difference = np.abs(scores - keras.ops.convert_to_numpy(model(PIXELS)))
    assert 0 < difference.max() < 0.02


class Scaling(keras.layers.Layer):
    """A user's layer without a get_config."""

    def __init__(self, factor):
        super().__init__(name="scaling")
        self.factor = factor

    def call(self, x):
        return self.factor * x


def test_a_layer_that_cannot_be_made_again_is_named():
    model = with_layer(Scaling(keras.ops.ones(8)))
    with pytest.raises(ParameterError, match=r"layer 'scaling' \(Scaling\) cannot be copied .*precision='float32'"):
        build_scorer(model, PRECISIONS["mixed_bfloat16"])
    assert build_scorer(model, PRECISIONS["float32"]) is model


def test_everything_trains_where_nothing_is_frozen():
    model = network("conv1")
    scorer = build_scorer(model, Precision("mixed_bfloat16", "float32"))
    assert np.allclose(scorer.predict_on_batch(PIXELS), model.predict_on_batch(PIXELS), atol=1e-6)
