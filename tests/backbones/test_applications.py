"""The backbones of keras.applications are Keras's own, to the last pixel and byte."""

import gc
import inspect
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from melanoma_tl import list_backbones
from melanoma_tl.backbones import get_backbone
from melanoma_tl.backbones.applications import FAMILIES
from melanoma_tl.backbones.preprocessing import MEAN_RGB, STD_RGB

MODELS = {model.constructor.lower(): model for family in FAMILIES for model in family.models}
FIRST_OF_FAMILIES = [family.models[0].constructor.lower() for family in FAMILIES]
LIGHT = ["mobilenet", "mobilenetv3small", "efficientnetb0"]
# Not square, and of a size for which no model has weights of its own: MobileNets choose theirs by the size.
SHAPE = (96, 112, 3)
SOURCES = "".join(path.read_text() for path in Path(keras.src.applications.__file__).parent.glob("*.py"))
PIXELS = np.random.default_rng(0).integers(0, 256, (3, *SHAPE)).astype("float32")


def source_of(name):
    """The module of Keras that a backbone comes from."""
    return sys.modules[getattr(keras.applications, MODELS[name].constructor).__module__]


@pytest.fixture
def download(monkeypatch):
    """Instead of a download: what was asked for, and a file that is there."""
    asked = {}

    def get_file(fname, origin, cache_subdir, file_hash=None):
        asked.update(file_name=fname, url=origin, file_hash=file_hash)
        return asked["path"]

    monkeypatch.setattr(keras.src.utils.file_utils, "get_file", get_file)
    yield asked
    gc.collect()  # networks of a gigabyte


def test_every_image_model_of_keras_is_registered():
    constructors = {name for name, value in vars(keras.applications).items() if inspect.isfunction(value)}
    assert {model.constructor for model in MODELS.values()} == constructors
    assert set(MODELS) <= set(list_backbones())


@pytest.mark.parametrize("name", MODELS)
def test_every_entry_is_complete(name):
    spec = get_backbone(name)
    assert all((spec.license, spec.source, spec.parameters, spec.stages, spec.weights.url))
    assert spec.weights.url.rsplit("/", 1)[-1] in spec.weights.file_names
    if spec.weights.file_hash is None:
        assert "file_hash" not in inspect.getsource(source_of(name))
    else:
        assert spec.weights.file_hash in SOURCES


def scales_outside(name):
    """Whether Keras scales before the network; `test_the_network_is_keras_own` compares the others."""
    return not np.array_equal(source_of(name).preprocess_input(PIXELS.copy()), PIXELS)


@pytest.mark.parametrize("name", MODELS)
def test_every_entry_states_license_and_training_data_and_where_that_is_said(name):
    spec = get_backbone(name)
    assert spec.license in {"CC BY 4.0", "MIT", "BSD", "BSD 3-Clause", "Apache 2.0"}, (
        "all of them ask for a notice alone"
    )
    assert spec.may_redistribute is True
    assert spec.references
    assert all(address.startswith("https://") for address in spec.references)
    first = "ImageNet-21k, then " if name in ("convnextbase", "convnextlarge", "convnextxlarge") else ""
    assert spec.pretrained_on == f"{first}ImageNet-1k (ILSVRC 2012)"


def test_keras_says_which_of_its_models_have_seen_more_than_imagenet_1k():
    first = "The `base`, `large`, and `xlarge` models were first pre-trained on the\nImageNet-21k dataset"
    assert SOURCES.count("ImageNet-21k") == 1
    assert first in SOURCES


@pytest.mark.parametrize("name", list(filter(scales_outside, MODELS)))
def test_preprocessing_is_keras_own(name):
    images = keras.Input(SHAPE)
    ours = keras.Model(images, get_backbone(name).preprocess(images))(PIXELS)
    assert np.allclose(ours, source_of(name).preprocess_input(PIXELS.copy()), atol=1e-4)


def save_weights(name, path):
    """Write weights as Keras distributes them, with statistics that keep the signal alive, and other ones for each."""
    spec = get_backbone(name)
    images = keras.Input(SHAPE)
    keras.utils.set_random_seed(0)
    network = spec.builder(spec.preprocess(images), None)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    keras.Model(network.inputs[0], network.output)(PIXELS, training=True)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            # As in the official files: the standard deviation, where the layer expects the variance.
            layer.set_weights([np.array(MEAN_RGB), np.array(STD_RGB), np.array(0)])
    network.save(path)


def compare_with_keras(name, download, tmp_path):
    spec = get_backbone(name)
    download["path"] = str(tmp_path / "weights.h5")
    save_weights(name, download["path"])

    images = keras.Input(SHAPE)
    features = spec.builder(spec.preprocess(images), download["path"]).output
    ours = keras.Model(images, features)(PIXELS, training=False)
    network = getattr(keras.applications, MODELS[name].constructor)(
        include_top=False, weights="imagenet", input_shape=SHAPE
    )
    theirs = network(source_of(name).preprocess_input(PIXELS.copy()), training=False)
    ours, theirs = keras.ops.convert_to_numpy(ours), keras.ops.convert_to_numpy(theirs)
    # Keras divides where a layer multiplies: rounding, which a hundred normalisations make larger.
    # Exchanging the images must make ten times the difference that rounding makes.
    assert np.std(ours - theirs) < 0.1 * np.std(theirs - theirs[::-1])
    assert np.std(ours - theirs) < 0.01 * np.std(theirs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`input_shape` is undefined or non-square")  # of MobileNets
@pytest.mark.parametrize("name", LIGHT)
def test_the_network_is_keras_own(name, download, tmp_path):
    compare_with_keras(name, download, tmp_path)


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined or non-square")  # of MobileNets
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FIRST_OF_FAMILIES if name not in LIGHT])
def test_the_network_of_every_family_is_keras_own(name, download, tmp_path):
    compare_with_keras(name, download, tmp_path)


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined or non-square")  # of MobileNets
@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_table_tells_the_truth(name, download, monkeypatch):
    """Parameters, layers, and what Keras itself would download."""
    spec = get_backbone(name)
    download["path"] = ""
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: None)
    images = keras.Input((*spec.input_size, 3))
    network = spec.builder(spec.preprocess(images), "imagenet")
    assert network.count_params() == spec.parameters
    asked = (download["file_name"], download["url"], download["file_hash"])
    assert asked == (spec.weights.file_names[0], spec.weights.url, spec.weights.file_hash)

    places = {layer.name: place for place, layer in enumerate(network.layers)}
    stages = [places[stage] for stage in spec.stages]
    assert stages == sorted(set(stages), reverse=True)
    sides = [network.get_layer(stage).output.shape[1] for stage in spec.stages]
    assert sides == sorted(sides), "the deeper, the smaller"
    assert len(network.get_layer(spec.last_convolution or network.layers[-1].name).output.shape) == 4


def test_one_scaling_is_left_where_keras_has_its_own():
    """Otherwise pixels divided by 255, as published, would be divided twice."""
    for name in ("mobilenetv3small", "efficientnetb0", "efficientnetv2b0"):
        images = keras.Input(SHAPE)
        network = get_backbone(name).builder(keras.layers.Rescaling(1 / 255, name="rescale")(images), None)
        kinds = keras.layers.Rescaling, keras.layers.Normalization
        first = [layer for layer in network.layers if isinstance(layer, kinds)]
        scaled = keras.Model(images, first[-1].output)(PIXELS)
        assert np.allclose(scaled, PIXELS / 255, atol=1e-6)
