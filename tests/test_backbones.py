import hashlib
import http.server
import threading

import keras
import numpy as np
import pytest

from melanoma_tl import list_backbones, register_backbone
from melanoma_tl.backbones import BackboneSpec, PretrainedWeights, get_backbone
from melanoma_tl.backbones.weights import find_weights
from melanoma_tl.errors import DuplicateNameError, ParameterError, UnknownNameError, WeightsUnavailableError


def test_backbones_are_listed_by_pattern():
    assert list_backbones("VGG*") == ["vgg16", "vgg19"]
    assert "tiny" in list_backbones()


def test_an_unknown_backbone_gets_four_answers():
    with pytest.raises(UnknownNameError) as caught:
        get_backbone("vgg91")
    message = str(caught.value)
    for answer in ("'vgg91'", "Did you mean 'vgg19'?", "'vgg16', 'vgg19'", "register_backbone"):
        assert answer in message


def test_a_name_is_registered_once_unless_told_otherwise():
    with pytest.raises(DuplicateNameError, match="overwrite=True"):
        register_backbone("Tiny", preprocess=lambda images: images)(lambda input_tensor, weights: None)
    spec = get_backbone("tiny")
    register_backbone("tiny", preprocess=spec.preprocess, input_size=spec.input_size, overwrite=True)(spec.builder)
    assert get_backbone("TINY").builder is spec.builder


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_preprocessing_is_keras_own(name):
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
    tensor = keras.Input((8, 8, 3))
    ours = keras.Model(tensor, get_backbone(name).preprocess(tensor)).predict(images, verbose=0)
    theirs = getattr(keras.applications, name).preprocess_input(images.copy())
    assert np.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_hashes_are_those_that_keras_checks(name):
    from importlib import import_module
    from inspect import getsource

    source = getsource(import_module(f"keras.src.applications.{name}"))
    weights = get_backbone(name).weights
    assert weights.md5 in source
    assert weights.file_names[0] in source


# -- weights -----------------------------------------------------------------------------------------------------------

CONTENT = b"weights"


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


def spec_from(url):
    names = (f"official_{hashlib.md5(url.encode()).hexdigest()}.h5", "other.h5")
    weights = PretrainedWeights(names, url, hashlib.md5(CONTENT).hexdigest(), "none")
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


def test_weights_are_downloaded_and_verified(hub):
    assert find_weights(spec_from(f"{hub}/good"), "imagenet").official


@pytest.mark.parametrize("address", ["/forbidden", "/busy", "/wrong_bytes", None])
def test_a_hub_that_fails_tells_what_to_fetch_and_where_to_put_it(hub, address):
    url = f"{hub}{address}" if address else "http://127.0.0.1:9/unreachable"
    with pytest.raises(WeightsUnavailableError) as caught:
        find_weights(spec_from(url), "imagenet")
    for part in (url, hashlib.md5(CONTENT).hexdigest(), "official_", "MELANOMA_TL_WEIGHTS", "weights=None"):
        assert part in str(caught.value)


def test_weights_that_are_not_there(tmp_path):
    assert find_weights(get_backbone("vgg19"), None) is None
    with pytest.raises(WeightsUnavailableError, match="no such weights file"):
        find_weights(get_backbone("vgg19"), tmp_path / "none.h5")
    with pytest.raises(ParameterError, match="has no ImageNet weights"):
        find_weights(get_backbone("tiny"), "imagenet")
