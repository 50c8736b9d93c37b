"""The contract of backbones: good ones keep it, and each clause finds the one that breaks it."""

import contextlib

import keras
import numpy as np
import pytest

from melanoma_tl import register_backbone, testing
from melanoma_tl.backbones.applications import FAMILIES
from melanoma_tl.errors import ContractError, UnknownNameError
from melanoma_tl.network.cutting import SplitNetwork, split_network
from melanoma_tl.testing import CONTRACT, check_backbone

layers = keras.layers
FIRST = [family.models[0].constructor.lower() for family in FAMILIES]
LIGHT = ["mobilenet", "mobilenetv3small"]
LIKE_OTHERS = ["efficientnetv2s"]  # but for the constant in its preprocessing


@pytest.mark.parametrize("name", [pytest.param("tiny", marks=pytest.mark.contract), *LIGHT])
def test_good_backbones_pass(name):
    check_backbone(name, input_size=(64, 64))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FIRST if name not in LIGHT + LIKE_OTHERS])
def test_a_backbone_of_every_family_passes(name):
    check_backbone(name)


def test_a_backbone_that_is_not_there():
    with pytest.raises(UnknownNameError, match="Did you mean 'vgg19'"):
        check_backbone("vgg91")


# -- one broken backbone for each way of breaking a clause -------------------------------------------------------------


@keras.saving.register_keras_serializable("tests")
class Drifting(layers.Layer):
    """Its statistics follow the batches, whether it is frozen or only when it is not."""

    def __init__(self, even_frozen=False, **kwargs):
        super().__init__(**kwargs)
        self.even_frozen = even_frozen

    def build(self, _):
        self.mean = self.add_weight(name="mean", shape=(), trainable=False)

    def call(self, x, training=False):
        if training and (self.trainable or self.even_frozen):
            self.mean.assign(self.mean + 1.0)
        return x

    def get_config(self):
        return super().get_config() | {"even_frozen": self.even_frozen}


class Unregistered(layers.Layer):
    def call(self, x):
        return 1.1 * x


def convolve(x, name="conv", **options):
    return layers.Conv2D(4, 3, strides=2, name=name, **options)(x)


def model_of(input_tensor, features):
    return keras.Model(keras.utils.get_source_inputs(input_tensor), features)


def good(x):
    return convolve(convolve(x, "conv1"), "conv2")


def squeeze(x):
    x = good(x)
    return x * layers.GlobalAveragePooling2D(name="pool")(x)[:, None, None]


def scale(images):
    return layers.Rescaling(1 / 255)(images)


def centre(images):
    return layers.Rescaling(1.0, offset=-120.0)(images)


def builds(features_of):
    """A builder from what turns its input into features."""
    return {"builder": lambda input_tensor, weights: load(model_of(input_tensor, features_of(input_tensor)), weights)}


def load(model, weights):
    if weights is not None:
        model.load_weights(weights)
    return model


def ignore_input(input_tensor, weights):
    images = keras.Input((32, 32, 3))
    return load(keras.Model(images, good(images)), weights)


def ignore_weights(input_tensor, weights):
    return model_of(input_tensor, good(input_tensor))


def load_what_fits(input_tensor, weights):
    model = model_of(input_tensor, good(input_tensor))
    if weights is not None:
        with contextlib.suppress(Exception):
            model.load_weights(weights)
    return model


def shares():
    """A builder that calls a network of the user's own, such as one that was trained elsewhere."""
    images = keras.Input((None, None, 3))
    own = keras.Model(images, good(images))
    return {"builder": lambda input_tensor, weights: load(model_of(input_tensor, own(input_tensor)), weights)}


def shares_a_layer():
    own = layers.Conv2D(4, 3, name="own")
    return builds(lambda x: good(own(x)))


def draw_unseeded(input_tensor, weights):
    model = load(model_of(input_tensor, good(input_tensor)), weights)
    if weights is None:
        model.set_weights([np.random.default_rng().normal(size=weight.shape) for weight in model.get_weights()])
    return model


BROKEN = {
    "no maps": ("feature map", r"\(n, height, width, channels\)", builds(layers.Flatten())),
    "ignores its input": ("feature map", "does not start at the images", {"builder": ignore_input}),
    "nothing": ("model", "returns None", {"builder": lambda input_tensor, weights: None}),
    "a tensor": ("model", "returns <KerasTensor", {"builder": lambda input_tensor, weights: good(input_tensor)}),
    "raises": ("model", "ZeroDivisionError", builds(lambda x: 1 / 0)),
    "two maps": ("outputs", "second output", builds(lambda x: [y := good(x), layers.ReLU()(y)])),
    "no network": ("outputs", "0 outputs", {"builder": lambda input_tensor, weights: keras.Model()}),
    "a shared network": ("own layers", "share layers: ", shares()),
    "a shared layer": ("own layers", "share layers: own", shares_a_layer()),
    "ignores the weights": ("weights", "from a file that holds no weights", {"builder": ignore_weights}),
    "loads what fits": ("weights", "from a file that holds no weights", {"builder": load_what_fits}),
    "draws unseeded": ("seed", "4 of its 4 weights are others", {"builder": draw_unseeded}),
    "scales again": ("one scaling", r"the first kernel sees .* ± 0\.00", builds(lambda x: good(scale(x)))),
    "centres again": ("one scaling", "preprocess gives", builds(lambda x: good(centre(x))) | {"preprocess": centre}),
    "standardises again": (
        "one scaling",
        "preprocess gives",
        builds(lambda x: good(layers.Normalization(mean=0.5, variance=0.05)(x))),
    ),
    "channels from pixels": ("feature map", "number of channels", builds(lambda x: layers.Reshape((1, 1, -1))(x))),
    "lambda": ("preprocessing", "Lambda", {"preprocess": lambda x: layers.Lambda(lambda y: y / 255)(x)}),
    "not finite": ("preprocessing", "not finite", {"preprocess": lambda x: keras.ops.log(x - 300.0)}),
    "blind to blue": ("preprocessing", "blue", {"preprocess": lambda x: x[..., :2]}),
    "not frozen": ("freezing", "mean", builds(lambda x: good(Drifting(even_frozen=True)(x)))),
    "drifts": ("statistics", "mean", builds(lambda x: good(Drifting()(x)))),
    "does not learn": ("statistics", "learned", builds(lambda x: keras.ops.stop_gradient(good(x)))),
    "own layer": ("saving", "Unregistered", builds(lambda x: good(Unregistered()(x)))),
    "no such map": ("Grad-CAM", "Did you mean 'conv2'", {"last_convolution": "conv3"}),
    "not a map": (
        "Grad-CAM",
        "'pool' gives no map",
        builds(
            lambda x: layers.Multiply()([y := good(x), layers.GlobalAveragePooling2D(name="pool")(y)[:, None, None]])
        )
        | {"last_convolution": "pool"},
    ),
    "no such stage": ("stages", "Did you mean 'conv2'", {"stages": ("conv22",)}),
    "wrong order": ("stages", "stand at the places", {"stages": ("conv1", "conv2")}),
    "numbered": (
        "stages",
        "another name in the next network",
        builds(lambda x: good(layers.Conv2D(3, 1, name=f"by_{x.shape[2]}")(x))) | {"stages": ("by_32",)},
    ),
    "nothing to learn": (
        "stages",
        "weights can learn",
        builds(lambda x: layers.ReLU(name="relu2")(layers.ReLU(name="relu1")(good(x))))
        | {"stages": ("relu2", "relu1")},
    ),
}


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # Keras's, of the backbone that does not learn
@pytest.mark.contract
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_backbone_is_told_which_clause_it_breaks(case, own_table):
    clause, found, entry = BROKEN[case]
    entry = builds(good) | {"preprocess": scale} | entry
    builder = entry.pop("builder")
    register_backbone("broken", **entry)(builder)
    with pytest.raises(ContractError, match=found) as caught:
        check_backbone("broken", input_size=(32, 32))
    (required,) = (entry.requirement for entry in CONTRACT if entry.name == clause)
    assert f"the backbone 'broken' breaks the contract, clause '{clause}'" in str(caught.value)
    assert str(caught.value).endswith(f"Required: {required}")
    assert isinstance(caught.value, AssertionError)


def test_a_network_that_cannot_be_cut_is_found(monkeypatch):
    def cut_wrongly(model):
        parts = split_network(model)
        doubled = keras.Model(parts.frozen.inputs[0], 2 * parts.frozen.outputs[0])
        return SplitNetwork(doubled, parts.trained)

    monkeypatch.setattr(testing, "split_network", cut_wrongly)
    with pytest.raises(ContractError, match="clause 'cut'"):
        check_backbone("tiny", input_size=(32, 32))


def test_a_file_that_was_named_must_have_been_read(own_table, tmp_path):
    """Also where junk is noticed: the file of another network, of which nothing fits."""

    def build_by_name(input_tensor, weights):
        model = model_of(input_tensor, good(input_tensor))
        if weights is not None:
            with np.load(weights) as arrays:
                for layer in model.layers:
                    if layer.name in arrays:
                        layer.set_weights([arrays[layer.name], *layer.get_weights()[1:]])
        return model

    register_backbone("by_name", preprocess=scale)(build_by_name)
    np.savez(tmp_path / "other.npz", another_layer=np.zeros(3))
    with pytest.raises(ContractError, match=r"clause 'weights': the builder of 'by_name' did not read .*other\.npz"):
        check_backbone("by_name", weights=tmp_path / "other.npz", input_size=(32, 32))
    np.savez(tmp_path / "right.npz", conv1=np.zeros((3, 3, 3, 4)), conv2=np.zeros((3, 3, 4, 4)))
    with pytest.raises(ContractError, match="clause 'preprocessing'"):  # a network of zeros sees no colour
        check_backbone("by_name", weights=tmp_path / "right.npz", input_size=(32, 32))
