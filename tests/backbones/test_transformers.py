"""Transformers of KerasHub, on tiny ones that are saved here: nothing is downloaded."""

import json
import sys
import warnings
import zipfile

import keras
import numpy as np
import pytest

from melanoma_tl import TransferClassifier
from melanoma_tl.backbones import get_backbone
from melanoma_tl.errors import MelanomaTLError, ModelFileError, ParameterError
from melanoma_tl.explain.explanations import grad_cam
from melanoma_tl.explain.gradients import pooled_maps
from melanoma_tl.network import PooledHead
from melanoma_tl.testing import check_backbone
from melanoma_tl.training import Probe

hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed")

SIZE = 32
SHAPE = (SIZE, SIZE, 3)
BLOCKS = {"num_layers": 3, "num_heads": 2, "hidden_dim": 16}
DINO = BLOCKS | {"patch_size": 8, "intermediate_dim": 32, "image_shape": SHAPE}


def make_siglip():
    vision = hub.models.SigLIPVisionEncoder(patch_size=8, intermediate_dim=32, image_shape=SHAPE, **BLOCKS)
    text = hub.models.SigLIPTextEncoder(
        vocabulary_size=20, embedding_dim=16, intermediate_dim=32, max_sequence_length=8, projection_dim=16, **BLOCKS
    )
    return hub.models.SigLIPBackbone(vision, text)


FAMILIES = {
    "ViT": lambda: hub.models.ViTBackbone(image_shape=SHAPE, patch_size=8, mlp_dim=32, use_patch_bias=False, **BLOCKS),
    "DeiT": lambda: hub.models.DeiTBackbone(image_shape=SHAPE, patch_size=8, intermediate_dim=32, **BLOCKS),
    "DINOV2": lambda: hub.models.DINOV2Backbone(position_embedding_shape=(48, 48, 3), **DINO),
    "DINOV2 with registers": lambda: hub.models.DINOV2Backbone(
        position_embedding_shape=(48, 48, 3), num_register_tokens=4, use_swiglu_ffn=True, drop_path_rate=0.1, **DINO
    ),
    "DINOV3": lambda: hub.models.DINOV3Backbone(use_gated_mlp=True, use_query_bias=False, **DINO),
    "SigLIP": make_siglip,
    "SwinTransformer": lambda: hub.models.SwinTransformerBackbone(
        image_shape=SHAPE, embed_dim=8, depths=(2, 2), num_heads=(2, 2), window_size=4
    ),
    "MiT": lambda: hub.models.MiTBackbone(
        layerwise_depths=[1, 2],
        num_layers=2,
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        image_shape=SHAPE,
        hidden_dims=[8, 16],
    ),
    "HGNetV2": lambda: hub.models.HGNetV2Backbone(
        depths=[1, 1],
        embedding_size=8,
        hidden_sizes=[8, 16],
        stem_channels=[3, 8, 8],
        hidden_act="relu",
        use_learnable_affine_block=True,
        stackwise_stage_filters=[(8, 8, 16, 1, 1, 3), (16, 8, 32, 1, 1, 3)],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[False, True],
        image_shape=SHAPE,
    ),
}
RESIZED = {"DINOV2", "DINOV2 with registers", "DINOV3", "SwinTransformer", "MiT", "HGNetV2"}
CLASS_TOKENS = {"ViT": 1, "DeiT": 2, "DINOV2": 1, "DINOV2 with registers": 5, "DINOV3": 5}


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """Write the preset of a family, with weights that are all drawn, when it is first asked for."""
    folders = {}

    def write(family):
        if family not in folders:
            keras.utils.set_random_seed(0)
            network, rng = quietly(FAMILIES[family]), np.random.default_rng(1)
            for weight in network.weights:
                if "float" in weight.dtype:
                    weight.assign(weight + rng.normal(0, 0.1, weight.shape).astype("float32"))
            folder = tmp_path_factory.mktemp("preset")
            network.save_to_preset(folder)
            converter = getattr(hub.layers, f"{family.split()[0]}ImageConverter")
            converter(image_size=(SIZE, SIZE), scale=1 / 127.5, offset=-1.0).save_to_preset(folder)
            folders[family] = f"kerashub:{folder}", network
        return folders[family]

    return write


def quietly(make, *args, **kwargs):
    """Let KerasHub build Swin, which calls something else a mask."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(*args, **kwargs)


def build(name, size=SIZE):
    spec = get_backbone(name)
    images = keras.Input((size, size, 3))
    return spec.builder(images, name)


def pixels(size):
    return np.random.default_rng(0).normal(size=(2, size, size, 3)).astype("float32")


def run(network, images):
    outputs = list(network.output.values())[-1:] if isinstance(network.output, dict) else network.outputs
    return [keras.ops.convert_to_numpy(one) for one in keras.Function(network.inputs, outputs)([images])]


@pytest.mark.contract
@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_compute_what_kerashub_computes(family, presets):
    name, original = presets(family)
    if family in RESIZED:
        size = 64
        load = hub.models.Backbone.from_preset
        original = quietly(load, name.partition(":")[2], image_shape=(size, size, 3))
    else:
        size = SIZE
    maps, *vectors = run(build(name, size), pixels(size))
    (expected,) = quietly(run, getattr(original, "vision_encoder", original), pixels(size))
    assert np.std(expected) > 1e-2
    if family == "SigLIP":
        assert np.allclose(vectors[0], expected, atol=1e-5), "its attention pooling"
        return
    prefix = CLASS_TOKENS.get(family, 0)
    tokens = expected if expected.ndim == 3 else expected.reshape(len(expected), -1, expected.shape[-1])
    assert np.allclose(maps.reshape(len(maps), -1, maps.shape[-1]), tokens[:, prefix:], atol=1e-5)
    assert len(vectors) == bool(prefix)
    if prefix:
        assert np.allclose(vectors[0], tokens[:, 0], atol=1e-5), "its class token"


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ViT", "DINOV3", "SigLIP", "HGNetV2"])
def test_a_classifier_is_trained_block_by_block_and_read_again(family, presets, images, labels, tmp_path):
    name, _ = presets(family)
    stages = get_backbone(name).stages
    tuned = TransferClassifier(name, trainable_from=1, epochs=1, random_state=0, verbose=0).fit(images, labels)
    frozen = tuned.model_.get_layer(stages[1])
    assert not frozen.trainable
    assert tuned.model_.get_layer(stages[0]).trainable
    tuned.save(tmp_path / "model.keras")
    again = TransferClassifier.load(tmp_path / "model.keras")
    scores = tuned.predict_proba(images)
    assert np.std(scores[:, 1]) > 1e-6
    assert np.allclose(again.predict_proba(images), scores, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_contract(family, presets):
    check_backbone(presets(family)[0], weights="imagenet", input_size=(SIZE, SIZE))


@pytest.mark.slow
def test_blocks_are_feature_layers(presets, images, labels):
    head = PooledHead(feature_layers=("block_1", "block_2"))
    clf = TransferClassifier(presets("DINOV3")[0], head=head, stages=(Probe(),), verbose=0).fit(images, labels)
    assert clf.model_.get_layer("features").output.shape[-1] == 3 * 2 * 16, "a mean and a class token of each"


@pytest.mark.slow
@pytest.mark.parametrize("feature_layers", ["stages", ()], ids=["all", "last"])
def test_grad_cam_reads_the_patches_of_the_blocks(feature_layers, presets, images, labels):
    name, _ = presets("ViT")
    head = PooledHead(feature_layers=feature_layers)
    clf = TransferClassifier(name, head=head, stages=(Probe(),), random_state=0, verbose=0).fit(images, labels)
    maps = grad_cam(clf, images[:2])
    of_all = 1 + len(get_backbone(name).stages)  # the embedding stands before the first block
    assert len(pooled_maps(clf.model_)) == (of_all if feature_layers else 1)
    assert maps.shape == (2, SIZE, SIZE)
    assert np.isfinite(maps).all()
    assert maps.any()


def test_an_image_of_another_size_is_refused_where_positions_are_fixed(presets, images, labels):
    with pytest.raises(ParameterError, match=r"takes images of 32x32 pixels and no others: set input_size=\(32, 32\)"):
        TransferClassifier(presets("ViT")[0], input_size=(64, 64), verbose=0).fit(images, labels)


def test_an_image_that_is_no_whole_number_of_patches_is_refused(presets, images, labels):
    with pytest.raises(ParameterError, match=r"patches of 8 pixels.*set input_size=\(32, 32\)"):
        TransferClassifier(presets("DINOV2")[0], input_size=(37, 37), verbose=0).fit(images, labels)
    for family in ("MiT", "SwinTransformer"):
        name = presets(family)[0]
        assert get_backbone(name).size_multiple == 8
        with pytest.raises(ParameterError, match=r"patches of 8 pixels.*set input_size=\(32, 32\)"):
            build(name, 36)


@pytest.mark.slow
def test_positions_that_were_learned_are_saved(presets, images, labels, tmp_path):
    """DINOv2's own embedding keeps only what has fallen in sum."""
    clf = TransferClassifier(presets("DINOV2")[0], trainable_from="embedding", epochs=1, precision="float32", verbose=0)
    clf.fit(images, labels)
    weights = {weight.name: weight for weight in clf.model_.get_layer("embedding").weights}
    positions = weights["interpolated_position_embeddings"]
    before = clf.predict_proba(images)
    positions.assign(positions + np.linspace(0, 1, 16))
    expected = clf.predict_proba(images)
    assert not np.allclose(expected, before, atol=1e-4)
    clf.save(tmp_path / "model.keras")
    assert np.allclose(TransferClassifier.load(tmp_path / "model.keras").predict_proba(images), expected, atol=1e-6)


@pytest.mark.slow
def test_a_file_makes_no_other_layers(presets, images, labels, tmp_path):
    path = tmp_path / "model.keras"
    TransferClassifier(presets("ViT")[0], epochs=1, verbose=0).fit(images, labels).save(path)
    for change in ({"layer": "system"}, {"arguments": {"unknown": 1}}, {"arguments": {"hidden_dim": 10**9}}):
        hostile = tmp_path / "hostile.keras"
        with zipfile.ZipFile(path) as given, zipfile.ZipFile(hostile, "w") as written:
            for member in given.namelist():
                content = given.read(member)
                if member == "config.json":
                    config = json.loads(content)
                    block = next(one for one in config["config"]["layers"] if one["config"]["name"] == "block_1")
                    block["config"] |= {
                        name: value if name == "layer" else block["config"][name] | value
                        for name, value in change.items()
                    }
                    content = json.dumps(config)
                written.writestr(member, content)
        with pytest.raises(ModelFileError):
            TransferClassifier.load(hostile)


@pytest.mark.slow
def test_a_model_needs_kerashub_and_says_so(presets, images, labels, tmp_path, monkeypatch):
    TransferClassifier(presets("ViT")[0], epochs=1, verbose=0).fit(images, labels).save(tmp_path / "model.keras")
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(MelanomaTLError, match="pip install keras-hub"):
        TransferClassifier.load(tmp_path / "model.keras")
