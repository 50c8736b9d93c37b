import hashlib
import http.server
import pickle
import threading

import keras
import pytest

from melanoma_tl import TransferClassifier, compare_backbones, is_backbone, list_backbones, register_backbone
from melanoma_tl.backbones import BackboneSpec, PretrainedWeights, get_backbone
from melanoma_tl.backbones.weights import find_weights
from melanoma_tl.errors import DuplicateNameError, ParameterError, UnknownNameError, WeightsUnavailableError, find_meant


def test_backbones_are_listed_by_pattern():
    assert list_backbones("VGG*") == ["vgg16", "vgg19"]
    assert "tiny" in list_backbones()


def test_an_unknown_backbone_gets_four_answers():
    with pytest.raises(UnknownNameError) as caught:
        get_backbone("vgg91")
    message = str(caught.value)
    for answer in ("'vgg91'", "Did you mean 'vgg19'?", "'vgg16', 'vgg19'", "register_backbone"):
        assert answer in message


def test_a_recipe_is_no_backbone_and_a_backbone_no_recipe():
    for given in ("fast", "best"):
        said = rf"backbone='{given}' is a recipe: TransferClassifier\.from_recipe\('{given}'\)"
        with pytest.raises(ParameterError, match=said):
            TransferClassifier(given).fit(["a.png", "b.png"], [0, 1])
        with pytest.raises(ParameterError, match=said):
            compare_backbones(["vgg19", given], ["a.png", "b.png"], [0, 1])
    with pytest.raises(
        UnknownNameError, match=r"TransferClassifier\('vgg16'\), or from_recipe\('fast', backbone='vgg16'\)"
    ):
        TransferClassifier.from_recipe("vgg16")


@pytest.mark.parametrize(
    ("given", "names", "meant"),
    [
        ("PADUFES20", ["PH2", "PAD-UFES-20"], "PAD-UFES-20"),
        ("training", ["test", "train"], "train"),
        ("val", ["test", "train", "validation"], "validation"),
        ("valid", ["test", "train"], None),
        ("MEL", ["nv", "mel"], "mel"),
        ("nv", ["inv", "nevus"], "inv"),
        ("lr", ["learning_rate"], None),
        ("path", ["psychopathy", "apa"], "psychopathy"),
        ("pat", ["psychopathy"], None),
        ("flip", ["vertical_flip"], "vertical_flip"),
    ],
)
def test_the_name_that_was_meant_is_found(given, names, meant):
    assert find_meant(given, names) == meant


def test_of_many_names_the_nearest_are_listed():
    many = [f"layer_{number}" for number in range(100)]
    message = str(UnknownNameError("layer", "layr_42", many))
    assert "Did you mean 'layer_42'? Known are 100, such as" in message
    assert message.count("'layer_") == 9
    assert "such as 'AUC', " in str(UnknownNameError("metric", "auc", ["AUC", *many]))
    assert "'layer_42'" in str(pickle.loads(pickle.dumps(UnknownNameError("layer", "layr_42", many, "", ["layer_42"]))))
    assert len(str(UnknownNameError("label", "x" * 500, ["y" * 500]))) < 200


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("efficientnet_b0", "efficientnetb0"),
        ("ConvNeXt-Tiny", "convnexttiny"),
        ("mobilenet_v3_large", "mobilenetv3large"),
        ("inception_resnet_v2", "inceptionresnetv2"),
        ("VGG-19", "vgg19"),
    ],
)
def test_names_are_known_as_torchvision_and_timm_spell_them(given, name):
    assert get_backbone(given) is get_backbone(name)


@pytest.mark.parametrize("given", ["vgg19.tv_in1k", "tf_efficientnet_b0", "resnet_18"])
def test_other_weights_and_other_networks_are_not_taken_for_these(given):
    with pytest.raises(UnknownNameError):
        get_backbone(given)


def test_a_name_that_would_be_read_as_another_spelling_is_refused(own_table):
    with pytest.raises(DuplicateNameError, match="'vgg_19' is read as another spelling of the backbone 'vgg19'"):
        register_backbone("vgg_19", preprocess=get_backbone("tiny").preprocess)(lambda input_tensor, weights: None)
    assert get_backbone("vgg_19").name == get_backbone("vgg-19").name == "vgg19"


def test_a_name_is_registered_once_unless_told_otherwise():
    with pytest.raises(DuplicateNameError, match="overwrite=True"):
        register_backbone("Tiny", preprocess=lambda images: images)(lambda input_tensor, weights: None)
    spec = get_backbone("tiny")
    register_backbone("tiny", preprocess=spec.preprocess, input_size=spec.input_size, overwrite=True)(spec.builder)
    assert get_backbone("TINY").builder is spec.builder


def test_a_backbone_keeps_what_it_was_registered_with(own_table):
    facts = {"input_size": (48, 64), "stages": ("b", "a"), "last_convolution": "c", "pooling": "max"}
    facts |= {"license": "MIT", "source": "nowhere", "parameters": 7}
    facts |= {"pretrained_on": "PanDerm", "may_redistribute": False, "references": ("https://example.org",)}
    register_backbone("Described", preprocess=abs, **facts)(print)
    assert get_backbone("described") == BackboneSpec("described", print, abs, **facts)
    assert is_backbone("DESCRIBED")
    assert not is_backbone("describd")


def test_names_of_presets_cannot_be_taken():
    with pytest.raises(DuplicateNameError, match="KerasHub"):
        register_backbone("KerasHub:mine", preprocess=abs, overwrite=True)(print)


# -- weights -----------------------------------------------------------------------------------------------------------

CONTENT = b"weights"
MD5 = hashlib.md5(CONTENT).hexdigest()


class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = {"/forbidden": 403, "/busy": 503}.get(self.path, 200)
        self.send_response(status)
        self.end_headers()
        if status == 200:
            self.wfile.write(CONTENT if self.path == "/good" else b"something else")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def hub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def spec_from(url, file_hash=MD5):
    names = (f"official_{hashlib.md5(url.encode()).hexdigest()}.h5", "other.h5")
    weights = PretrainedWeights(names, url, file_hash)
    return BackboneSpec("net", lambda **_: None, lambda images: images, (32, 32), weights)


@pytest.fixture(autouse=True)
def no_folder(monkeypatch):
    monkeypatch.delenv("MELANOMA_TL_WEIGHTS", raising=False)


def test_weights_come_from_the_named_folder_first(monkeypatch, tmp_path):
    (tmp_path / "other.h5").write_bytes(b"not the official ones")
    monkeypatch.setenv("MELANOMA_TL_WEIGHTS", str(tmp_path))
    spec = spec_from("http://127.0.0.1:9/never")
    found = find_weights(spec, "imagenet")
    assert found.path == str(tmp_path / "other.h5")
    assert not found.official
    (tmp_path / spec.weights.file_names[0]).write_bytes(CONTENT)
    assert find_weights(spec, "imagenet").official


def test_another_file_in_the_folder_than_the_published_one_is_warned_of_once(monkeypatch, tmp_path, caplog):
    (tmp_path / "other.h5").write_bytes(b"not the official ones")
    monkeypatch.setenv("MELANOMA_TL_WEIGHTS", str(tmp_path))
    spec = spec_from("http://127.0.0.1:9/never")
    for _ in range(2):
        find_weights(spec, "imagenet")
        find_weights(spec, tmp_path / "other.h5")  # which the user names
        find_weights(spec_from("http://127.0.0.1:9/never", None), "imagenet")  # of which nobody knows
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert f"other.h5 (md5 {hashlib.md5(b'not the official ones').hexdigest()}) is not the file that Keras" in said
    assert said.endswith(f"publishes (md5 {MD5}): results may differ")


def test_weights_are_downloaded_and_verified(hub, capfd):
    assert find_weights(spec_from(f"{hub}/good"), "imagenet").official
    assert find_weights(spec_from(f"{hub}/good", None), "imagenet", verbose=0)
    assert capfd.readouterr() == ("", ""), "Keras writes a line of its own, and a bar"
    assert keras.config.is_interactive_logging_enabled()


@pytest.mark.parametrize("address", ["/forbidden", "/busy", "/wrong_bytes", None])
def test_a_hub_that_fails_tells_what_to_fetch_and_where_to_put_it(hub, address):
    url = f"{hub}{address}" if address else "http://127.0.0.1:9/unreachable"
    with pytest.raises(WeightsUnavailableError) as caught:
        find_weights(spec_from(url), "imagenet")
    for part in (url, MD5, "official_", "MELANOMA_TL_WEIGHTS", "weights=None"):
        assert part in str(caught.value)


def test_a_sha256_is_as_good_as_an_md5_and_without_a_hash_nothing_is_official(hub):
    spec = spec_from(f"{hub}/good", hashlib.sha256(CONTENT).hexdigest())
    assert find_weights(spec, "imagenet").official
    assert find_weights(spec, "imagenet").md5 == MD5
    assert not find_weights(spec_from(f"{hub}/good", None), "imagenet").official
    with pytest.raises(WeightsUnavailableError, match="no hash of it is published"):
        find_weights(spec_from(f"{hub}/busy", None), "imagenet")


def test_weights_that_are_not_there(tmp_path):
    assert find_weights(get_backbone("vgg19"), None) is None
    with pytest.raises(WeightsUnavailableError, match="no such file"):
        find_weights(get_backbone("vgg19"), tmp_path / "none.h5")
    with pytest.raises(ParameterError, match="has no ImageNet weights"):
        find_weights(get_backbone("tiny"), "imagenet")
