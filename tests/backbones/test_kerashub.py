"""Presets of KerasHub, on a tiny one that is saved here: nothing is downloaded."""

import sys

import keras
import numpy as np
import pytest

from melanoma_tl import TransferClassifier, is_backbone
from melanoma_tl.backbones import get_backbone
from melanoma_tl.backbones.weights import find_weights
from melanoma_tl.errors import MissingPackageError, ParameterError, UnknownNameError, WeightsUnavailableError
from melanoma_tl.testing import check_backbone

SCALE, OFFSET = [0.017, 0.018, 0.019], [-2.1, -2.0, -1.8]
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3)).astype("float32")


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("keras_hub", reason="keras-hub is not installed")


@pytest.fixture(scope="module")
def original(hub):
    keras.utils.set_random_seed(0)
    return hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 8, 8],
        stackwise_num_blocks=[1, 1, 1],
        stackwise_num_strides=[1, 2, 2],
        block_type="basic_block",
    )


@pytest.fixture(scope="module")
def converter(hub):
    return hub.layers.ResNetImageConverter(image_size=(48, 48), scale=SCALE, offset=OFFSET)


@pytest.fixture(scope="module")
def name(original, converter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("Preset")
    original.save_to_preset(folder)
    converter.save_to_preset(folder)
    return f"kerashub:{folder}"


def build(name, weights):
    spec = get_backbone(name)
    found = find_weights(spec, weights)
    return spec.builder(spec.preprocess(keras.Input((48, 48, 3))), None if found is None else found.path)


def test_it_computes_what_kerashub_computes(name, original, converter):
    expected, ours, drawn = map(
        keras.ops.convert_to_numpy,
        (original(converter(PIXELS)), build(name, "imagenet")([PIXELS]), build(name, None)([PIXELS])),
    )
    assert np.std(expected) > 1e-3
    assert np.allclose(ours, expected, atol=1e-5)
    assert not np.allclose(drawn, expected, atol=1e-3), "random weights"


def test_weights_from_a_file(name, original, tmp_path):
    before = original.get_weights()
    original.set_weights([values + 0.01 for values in before])
    original.save_weights(tmp_path / "other.weights.h5")
    original.set_weights(before)
    given = build(name, tmp_path / "other.weights.h5").get_weights()
    assert all(np.allclose(new, old + 0.01, atol=1e-6) for new, old in zip(given, before, strict=True))


def test_the_entry_says_what_the_preset_says(name, original):
    spec = get_backbone(name)
    assert spec.input_size == (48, 48)
    assert spec.parameters == original.count_params()
    assert len(spec.stages) == 2
    assert find_weights(spec, "imagenet").official


def test_a_preset_of_one_size_says_so(hub, name, converter, tmp_path):
    sizes = {"input_conv_filters": [64], "input_conv_kernel_sizes": [3], "block_type": "basic_block"}
    stack = {"stackwise_num_filters": [64], "stackwise_num_blocks": [1], "stackwise_num_strides": [1]}
    hub.models.ResNetBackbone(**sizes, **stack, image_shape=(48, 48, 3)).save_to_preset(tmp_path)
    converter.save_to_preset(tmp_path)
    assert get_backbone(f"kerashub:{tmp_path}").image_sizes == "one"
    assert get_backbone(name).image_sizes == "any"


@pytest.mark.slow
def test_it_keeps_to_the_contract(name):
    check_backbone(name, weights="imagenet", input_size=(48, 48))


@pytest.mark.slow
def test_a_classifier_is_trained_and_read_again(name, images, labels, tmp_path):
    stage = get_backbone(name).stages[0]
    clf = TransferClassifier(name, trainable_from=stage, epochs=1, random_state=0, verbose=0).fit(images, labels)
    assert clf.provenance_["weights"]["official"]
    clf.save(tmp_path / "model.keras")
    again = TransferClassifier.load(tmp_path / "model.keras")
    assert np.allclose(again.predict_proba(images), clf.predict_proba(images), atol=1e-6)


def test_presets_that_are_not_there(hub, original, tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet_18_imagenet'"):
        get_backbone("kerashub:resnet_18_imagnet")
    with pytest.raises(ParameterError, match="cannot be used"):
        get_backbone(f"kerashub:{tmp_path}")
    original.save_to_preset(tmp_path)
    with pytest.raises(ParameterError, match="needs a backbone and an ImageConverter"):
        get_backbone(f"kerashub:{tmp_path}")
    assert not is_backbone(f"kerashub:{tmp_path}")


@pytest.mark.parametrize("name", ["bert", "clip", "detector"])
def test_presets_of_other_networks(hub, tmp_path, name):
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
    if name == "bert":
        network, message = (
            hub.models.BertBackbone(vocabulary_size=9, **sizes),
            "KerasHub has no ImageConverter",
        )
    elif name == "clip":
        seen = hub.models.CLIPVisionEncoder(patch_size=8, image_shape=(32, 32, 3), **sizes)
        read = hub.models.CLIPTextEncoder(vocabulary_size=9, embedding_dim=8, **sizes)
        network = hub.models.CLIPBackbone(seen, read, projection_dim=8)
        message = "CLIPBackbone with 2 inputs.*image encoder may be a preset"
    else:
        whole = hub.models.ResNetBackbone([64], [7], [64] * 4, [1] * 4, [1, 2, 2, 2], "basic_block")
        network = hub.models.RetinaNetBackbone(whole, min_level=3, max_level=5, use_p5=False)
        message = r"RetinaNetBackbone with 1 inputs and \d outputs"
    network.save_to_preset(tmp_path)
    hub.layers.ImageConverter(image_size=(32, 32)).save_to_preset(tmp_path)
    with pytest.raises(ParameterError, match=message):
        get_backbone(f"kerashub:{tmp_path}")


def test_presets_that_cannot_be_fetched(hub, monkeypatch):
    class GatedError(OSError):
        """As those of Kaggle and Hugging Face."""

    def fetch(preset):
        raise GatedError(f"403 Client Error: you do not have permission to access {preset}")

    monkeypatch.setattr(hub.layers.ImageConverter, "from_preset", fetch)
    with pytest.raises(WeightsUnavailableError, match=r"could not be fetched \(403.*accept it and log in"):
        get_backbone("kerashub:hf://somebody/gated")
    with pytest.raises(ParameterError, match="'bert_base_en' is of a network for which KerasHub has no ImageConverter"):
        get_backbone("kerashub:bert_base_en")


def test_without_kerashub_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(MissingPackageError, match="pip install keras-hub"):
        get_backbone("kerashub:resnet_18_imagenet")
    assert not is_backbone("kerashub:resnet_18_imagenet")
