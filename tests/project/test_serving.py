"""The service of `examples/serve.py`: a real server, asked over HTTP."""

import io
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
from conftest import draw_images, only_tensorflow
from PIL import Image
from processes import PATIENCE, started

from melanoma_tl import Probe, TransferClassifier

uvicorn = pytest.importorskip("uvicorn", reason="the serve extra is not installed")
pytest.importorskip("fastapi", reason="the serve extra is not installed")

SERVE = Path(__file__).parents[2] / "examples" / "serve.py"
MAX_BYTES, MAX_IMAGES = 100_000, 4


def encoded(picture, kind="PNG", **settings):
    file = io.BytesIO()
    picture.save(file, kind, **settings)
    return file.getvalue()


@pytest.fixture(scope="module")
def pictures():
    return [encoded(Image.fromarray(pixels), "JPEG") for pixels in draw_images(24, side=64)]


@pytest.fixture(scope="module")
def model(images, labels, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "melanoma.keras"
    classifier = TransferClassifier(
        "tiny", weights=None, stages=(Probe(C=1.0),), precision="float32", threshold=0.3, random_state=0, verbose=0
    )
    classifier.fit(images, labels).save(path)  # 0 and 1, as those of an ISBIDataset
    return path


@pytest.fixture(scope="module")
def expected(model, pictures):
    return TransferClassifier.load(model).set_params(verbose=0).predict_proba(pictures)[:, 1]


@pytest.fixture(scope="module")
def url(model):
    """Address of a server in a thread of this process, on a free port."""
    names = runpy.run_path(str(SERVE))
    app = names["make_app"](names["Service"](model), max_bytes=MAX_BYTES, max_images=MAX_IMAGES)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def score(url, content):
    return requests.post(f"{url}/score", data=content, timeout=60)


def batch(url, contents):
    files = [("images", (f"{row}.jpg", content)) for row, content in enumerate(contents)]
    return requests.post(f"{url}/batch", files=files, timeout=60)


def test_eight_threads_get_the_scores_of_predict_proba_beside_bad_requests(url, pictures, expected):
    assert np.ptp(expected) > 0.1, "so that equal scores mean something"
    sent = [content for picture in pictures for content in (picture, b"no image")]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda content: score(url, content), sent))
    assert {answer.status_code for answer in answers[1::2]} == {422}
    assert {answer.status_code for answer in answers[::2]} == {200}
    found = [answer.json() for answer in answers[::2]]
    np.testing.assert_allclose([one["score"] for one in found], expected, atol=1e-6, rtol=0)
    assert [one["class"] for one in found] == np.where(expected > 0.3, "melanoma", "benign").tolist()
    assert {one["threshold"] for one in found} == {0.3}
    assert "Not a medical device" in found[0]["notice"]
    assert len(found[0]["model"]["sha256"]) == 64


def animated():
    frames = [Image.fromarray(pixels) for pixels in draw_images(3, side=32)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


TOO_MANY_PIXELS = encoded(Image.new("1", (10_000, 10_000)))
BAD = {
    "empty": (b"", "empty"),
    "text": (b"not an image", "not an image in a format"),
    "page": (b"<html></html>", "a web page"),
    "pdf": (b"%PDF-1.7", "a PDF document"),
    "truncated": (encoded(Image.fromarray(draw_images(1, side=64)[0]))[:200], "damaged or truncated"),
    "small": (encoded(Image.new("RGB", (4, 4))), "shortest side"),
    "animated": (animated(), "animated"),
    "floats": (encoded(Image.new("F", (32, 32)), "TIFF"), "floating-point"),
    "dark": (encoded(Image.fromarray(np.full((32, 32), 255, "uint16"))), "very dark"),
    "pixels": (TOO_MANY_PIXELS, "more than the 89,478,485 pixels"),
    "bytes": (bytes(MAX_BYTES + 1), "more than the 100,000 bytes"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_refused_in_words(url, kind):
    content, reason = BAD[kind]
    answer = score(url, content)
    assert answer.status_code == 422
    assert reason in answer.json()["detail"]
    for private in ("Traceback", "PIL.Image", "/work", "/home", "site-packages", str(SERVE.parent), " at 0x"):
        assert private not in answer.text


def test_an_image_that_is_wrapped_is_refused_with_what_to_do(url, pictures):
    advice = "send the file's bytes as the body: curl --data-binary @a.jpg"
    wrapped = [
        requests.post(f"{url}/score", files={"image": pictures[0]}, timeout=60),
        requests.post(f"{url}/score", json={"image": "/9j/4AAQ"}, timeout=60),
    ]
    for answer in wrapped:
        assert (answer.status_code, advice in answer.json()["detail"]) == (415, True)
    as_form = {"content-type": "application/x-www-form-urlencoded"}
    assert requests.post(f"{url}/score", data=pictures[0], headers=as_form, timeout=60).status_code == 200
    stripped = pictures[0].translate(None, b"\r\n\0")  # as by curl -d
    answer = requests.post(f"{url}/score", data=stripped, headers=as_form, timeout=60)
    assert answer.status_code == 422
    assert answer.json()["detail"].endswith("; if you sent it with curl -d, use --data-binary")
    for readable in ("small", "animated", "empty"):
        answer = requests.post(f"{url}/score", data=BAD[readable][0], headers=as_form, timeout=60)
        assert (answer.status_code, "curl" in answer.text) == (422, False)


@pytest.mark.parametrize("kind", ["cmyk", "16 bit", "alpha"])
def test_what_the_library_reads_is_scored(url, model, kind):
    pixels = draw_images(1, side=64)[0]
    content = {
        "cmyk": lambda: encoded(Image.fromarray(pixels).convert("CMYK"), "JPEG"),
        "16 bit": lambda: encoded(Image.fromarray((pixels[..., 0].astype("uint16") << 8) | 0x8000)),
        "alpha": lambda: encoded(Image.fromarray(np.dstack([pixels, pixels[..., 0]]))),
    }[kind]()
    expected = TransferClassifier.load(model).set_params(verbose=0).predict_proba([content])[0, 1]
    assert score(url, content).json()["score"] == pytest.approx(expected, abs=1e-6)


def test_a_batch_answers_each_image_in_order(url, pictures, expected):
    answer = batch(url, [pictures[0], b"", pictures[1], bytes(MAX_BYTES + 1)])
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [one["name"] for one in results] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert [results[0]["score"], results[2]["score"]] == pytest.approx(expected[:2].tolist(), abs=1e-6)
    assert "empty" in results[1]["error"]
    assert "more than the 100,000 bytes" in results[3]["error"]


def test_a_batch_has_limits(url, pictures):
    too_many = batch(url, pictures[: MAX_IMAGES + 1])
    assert (too_many.status_code, too_many.json()["detail"]) == (413, "more than the 4 images that are taken")
    too_large = batch(url, [bytes(8 * MAX_BYTES)])
    assert too_large.status_code == 413
    assert "more than the 800,000 bytes" in too_large.json()["detail"]
    assert batch(url, []).status_code == 415
    other = requests.post(f"{url}/batch", files=[("picture", ("a.jpg", pictures[0]))], timeout=60)
    assert (other.status_code, other.json()["detail"]) == (400, "expected parts named 'images' only, got 'picture'")
    both = [("images", ("a.jpg", pictures[0])), ("picture", ("b.jpg", pictures[1]))]
    mixed = requests.post(f"{url}/batch", files=both, timeout=60)
    assert (mixed.status_code, mixed.json()["detail"]) == (400, "expected parts named 'images' only, got 'picture'")
    text = requests.post(f"{url}/batch", files=[("images", (None, "text"))], timeout=60)
    assert (text.status_code, "send each image as one" in text.json()["detail"]) == (400, True)
    for broken in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = requests.post(f"{url}/batch", data=b"nonsense", headers={"content-type": broken}, timeout=60)
        assert answer.status_code == 400


def begin(url, path, *, kind="image/jpeg", announced=1_000):
    """Open a connection, and send the first part of a request."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {announced}\r\n\r\n"
    connection.sendall(head.encode() + b"--x\r\n")
    return connection


def test_a_request_too_many_is_told_so_and_the_service_stays_healthy(url, pictures):
    waiting = [begin(url, "/score") for _ in range(64)]
    try:
        assert eventually(lambda: score(url, pictures[0]).status_code == 503)
        for answer in (score(url, bytes(MAX_BYTES)), batch(url, pictures[:1])):
            assert (answer.status_code, answer.json()["detail"]) == (503, "too many requests at once: try again later")
        assert requests.get(f"{url}/health", timeout=60).status_code == 200
    finally:
        for connection in waiting:
            connection.close()
    assert eventually(lambda: score(url, pictures[0]).status_code == 200)


@pytest.mark.parametrize("option", ["--max-bytes 0", "--max-images 0", "--port 99999", "--max-pixels -5"])
def test_an_option_out_of_its_range_is_refused(option, capsys):
    name, given = option.split()
    with pytest.raises(SystemExit):
        runpy.run_path(str(SERVE))["main"](["melanoma.onnx", name, given])
    assert re.search(rf"{name} must (be at least 1|lie between 0 and 65535), got {given}", capsys.readouterr().err)


def eventually(is_so):
    """Ask until something is so, for ten seconds."""
    end = time.monotonic() + 10
    while not (found := is_so()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def test_what_is_served_is_described(url, model):
    assert requests.get(f"{url}/health", timeout=60).json() == {"ready": True}
    assert requests.head(f"{url}/health", timeout=60).status_code == 200
    assert requests.get(f"{url}/docs", timeout=60).status_code == 404
    told = requests.get(f"{url}/model", timeout=60).json()
    assert told == requests.get(url, timeout=60).json()
    assert (told["classes"], told["melanoma"], told["threshold"]) == (["benign", "melanoma"], "melanoma", 0.3)
    assert (told["backbone"], told["calibrated"]) == ("tiny", False)
    assert told["model"]["file"] == "melanoma.keras"
    assert str(model.parent) not in str(told)


def test_a_file_that_is_no_model_is_refused(tmp_path, capsys):
    (tmp_path / "melanoma.keras").write_text("no model")
    assert runpy.run_path(str(SERVE))["main"]([str(tmp_path / "melanoma.keras")]) == 1
    assert "not a model file" in capsys.readouterr().err
    assert runpy.run_path(str(SERVE))["main"]([str(tmp_path / "melanoma.h5")]) == 1
    assert "expected a model that ends in .keras, .onnx or .tflite" in capsys.readouterr().err


@pytest.mark.slow
@only_tensorflow
def test_an_onnx_file_is_served_without_tensorflow_until_it_is_asked_to_stop(model, pictures, expected):
    for package in ("onnx", "onnxruntime", "tf2onnx"):
        pytest.importorskip(package)
    exported = TransferClassifier.load(model).set_params(verbose=0).export(model.with_name("melanoma.onnx")).path
    blocked = "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; import runpy; "
    command = f"{blocked}raise SystemExit(runpy.run_path({str(SERVE)!r})['main'](sys.argv[1:]))"
    with started(
        [sys.executable, "-c", command, str(exported), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as server:
        first = server.stdout.readline()
        served = r"melanoma\.onnx \(SHA-256 \w{12}…\): benign, melanoma; threshold 0\.3"
        said = re.fullmatch(rf"(http://127\.0\.0\.1:(\d+)) serves {served}\n", first)
        assert said, first or server.stderr.read()
        url, port = said.groups()
        wait_for(url, server)
        for path, kind in (("/score", "image/jpeg"), ("/batch", "multipart/form-data; boundary=x")):
            begin(url, path, kind=kind).close()  # a client that hangs up
        idle = [socket.create_connection(("127.0.0.1", int(port))) for _ in range(64)]
        assert requests.get(f"{url}/health", timeout=60).status_code == 200
        for connection in idle:
            connection.close()
        assert requests.post(f"{url}/score", data=TOO_MANY_PIXELS, timeout=60).status_code == 422
        found = [score(url, picture).json()["score"] for picture in pictures[:4]]
        np.testing.assert_allclose(found, expected[:4], atol=1e-5, rtol=0)
        server.send_signal(signal.SIGTERM)
        rest = server.communicate(timeout=PATIENCE)  # longer than it gives what it has begun
    assert rest == ("", "")
    assert server.returncode in (0, -signal.SIGTERM)


def wait_for(url, server):
    """Wait until a server that was started answers."""
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        try:
            if requests.get(f"{url}/health", timeout=5).json()["ready"]:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("the server did not start")
