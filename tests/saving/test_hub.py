"""Models go to the Hugging Face Hub and come back, and whatever goes wrong there is said in one line."""

import logging
import os
import pickle
import socket
import subprocess
import sys
from copy import copy

import numpy as np
import pytest
from hostile_models import HOSTILE_NETWORKS
from hub_server import TOKEN, serving
from model_files import edit

from melanoma_tl import Ensemble, MetricsReport, MulticlassReport, TransferClassifier
from melanoma_tl.classifier.model_card import list_results
from melanoma_tl.errors import DownloadError, MissingPackageError, ModelFileError, ParameterError, UploadError
from melanoma_tl.saving.audit import CONFIG_FILE
from melanoma_tl.saving.hub import download

huggingface_hub = pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub of this machine alone; whoever asks another one gets no answer."""
    connect = socket.socket.connect

    def connect_here(self, address):
        assert address[0] == "127.0.0.1", f"a request went to {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub


@pytest.fixture
def no_waiting(monkeypatch):
    """huggingface_hub waits up to half a minute between its attempts."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture(scope="module")
def fitted(images, labels):
    return TransferClassifier("tiny", weights=None, epochs=1, random_state=0, verbose=0).fit(images, labels)


@pytest.fixture(scope="module")
def model(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    fitted.save(path)
    return path.read_bytes()


def in_cache(tmp_path):
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size > 1000]


# -- there and back ----------------------------------------------------------------------------------------------------


def test_what_is_pushed_comes_back(hub, fitted, images, labels, caplog):
    report = MetricsReport.from_estimator(fitted, images, labels, name="drawn: 2017 | test", n_resamples=100)
    address = fitted.push_to_hub("user/tiny", report=report, license="cc-by-nc-4.0", token=TOKEN)
    assert address == f"hf://user/tiny@{hub.branches['user/tiny']['main']}"
    with caplog.at_level(logging.INFO, logger="melanoma_tl"):
        loaded = TransferClassifier.from_pretrained("hf://user/tiny", token=TOKEN, verbose=0).set_params(verbose=0)
    assert f"hf://user/tiny is now {address}" in caplog.text
    np.testing.assert_array_equal(loaded.predict_proba(images), fitted.predict_proba(images))
    origin = loaded.provenance_["downloaded_from"]
    assert address == f"hf://{origin['repository']}@{origin['commit']}"
    assert origin["commit"] in str(MetricsReport.from_estimator(loaded, images, labels, n_resamples=100)).replace(
        "\n", ""
    )
    assert len(hub.commits["user/tiny"]) == 2, "that of the new repository, and one with both files"
    assert "user/tiny" not in hub.public

    card = huggingface_hub.ModelCard(hub.commits["user/tiny"][-1][1]["README.md"].decode())
    assert card.data.license == "cc-by-nc-4.0"
    assert card.data.library_name == "melanoma_tl"
    assert card.data.pipeline_tag == "image-classification"
    shown = {result.metric_type: result for result in card.data.eval_results}
    names = {"roc_auc": "auc", "average_precision": "average_precision"}
    assert {kind: result.metric_value for kind, result in shown.items()} == {
        kind: report.metrics[names.get(kind, kind)].value
        for kind in ("roc_auc", "average_precision", "sensitivity", "specificity")
    }
    assert {result.dataset_name for result in shown.values()} == {"drawn: 2017 | test"}
    assert shown["sensitivity"].metric_args == {"threshold": 0.5}
    assert shown["roc_auc"].metric_args is None
    assert report.to_markdown() in card.text
    assert "Research use only; not a medical device." in card.text
    told = {"hf://user/tiny": None, origin["sha256"]: None}
    assert all(text in card.text for text in told)
    again = TransferClassifier.from_pretrained("hf://user/tiny", token=TOKEN, sha256=origin["sha256"], verbose=0)
    assert again.push_to_hub("user/again", report=report, token=TOKEN), "the same model, wherever it was in between"


def test_an_ensemble_and_a_branch(hub, fitted, images):
    ensemble = Ensemble([fitted, fitted], verbose=0)
    address = ensemble.push_to_hub("user/both", token=TOKEN, revision="trial", private=False)
    assert list(hub.find("user/both", "trial")[1]) == ["ensemble.zip", "README.md"]
    assert hub.find("user/both", "main")[1] == {}
    loaded = Ensemble.from_pretrained("hf://user/both@trial", verbose=0)
    np.testing.assert_array_equal(loaded.predict_proba(images), ensemble.predict_proba(images))
    assert loaded.provenance_["downloaded_from"]["commit"] == address.partition("@")[2]
    card = huggingface_hub.ModelCard(hub.find("user/both", "trial")[1]["README.md"].decode())
    assert card.data.license is None
    assert card.data.eval_results is None
    assert "Ensemble.from_pretrained" in card.text
    with pytest.raises(DownloadError, match=r"there is no model\.keras in it"):
        TransferClassifier.from_pretrained("hf://user/both@trial", verbose=0)


def test_several_diagnoses_have_their_metrics_each():
    truth = ["mel", "nv", "nv", "bkl"]
    scores = [[0.1, 0.7, 0.2], [0.2, 0.1, 0.7], [0.5, 0.1, 0.4], [0.6, 0.2, 0.2]]
    report = MulticlassReport.from_scores(truth, scores, classes=["bkl", "mel", "nv"], n_resamples=100)
    shown = {result.name: result.value for result in list_results(report)}
    assert shown["AUC of mel"] == report.against_rest["mel"].metrics["auc"].value
    assert len(shown) == 3 * 4


def test_what_was_fetched_needs_no_connection(hub, model, tmp_path):
    """With the environment variable of huggingface_hub, which it reads when it is imported."""
    commit = hub.add("user/tiny", model_keras=model)
    download("hf://user/tiny", "model.keras", token=TOKEN, verbose=0)
    n_asked = len(hub.asked)
    download(f"hf://user/tiny@{commit}", "model.keras", token=TOKEN, verbose=0)
    assert len(hub.asked) == n_asked, "what a commit holds does not change"
    code = (
        "from melanoma_tl.saving.hub import download\n"
        "print(download('hf://user/tiny', 'model.keras', verbose=0)[1].commit)\n"
        "download('hf://user/other', 'model.keras', verbose=0)"
    )
    variables = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_ENDPOINT": hub.address}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | variables | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{commit}\n"
    assert done.stderr.splitlines()[-1] == (
        "melanoma_tl.errors.DownloadError: hf://user/other@main: it has not been fetched before, and HF_HUB_OFFLINE "
        "forbids to fetch it now"
    )
    assert len(hub.asked) == n_asked


# -- what a server may do ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"status": 401, "message": "Invalid username or password."}, r"no such repository, or it is private \(401\)"),
        ({"status": 401, "message": "Invalid credentials in Authorization header"}, r"private \(401\).*hf auth login"),
        ({"status": 403, "code": "GatedRepo"}, "grants access on request: ask for it at http.*/user/tiny, then log in"),
        ({"status": 403, "message": "no"}, r"refuses \(403\): this needs a token with more rights"),
        ({"status": 404, "code": "RepoNotFound"}, r"no such repository, or it is private \(404\)"),
        ({"status": 404}, r"no such repository, or it is private \(404\)"),
        ({"status": 429}, "answered 429: try again later"),
        ({"status": 500}, "answered 500: try again later"),
        ({"status": 400, "message": f"a bad token: {TOKEN}"}, r"it was refused \(.*\(token\)"),
    ],
    ids=str,
)
def test_refusals_are_said_in_one_line(hub, model, tmp_path, faults, said, no_waiting, caplog, capsys):
    hub.add("user/tiny", model_keras=model)
    hub.faults |= faults
    with pytest.raises(DownloadError, match=rf"^hf://user/tiny@main: .*{said}") as raised:
        download("hf://user/tiny", "model.keras", token=TOKEN, verbose=0)
    assert "\n" not in str(raised.value)
    assert not in_cache(tmp_path)
    printed = capsys.readouterr()
    assert TOKEN not in f"{raised.value} {caplog.text} {printed.out} {printed.err}"
    hub.faults.clear()
    assert download("hf://user/tiny", "model.keras", token=TOKEN, verbose=0)[0].read_bytes() == model


def test_what_is_not_there_is_named(hub, model):
    hub.add("user/tiny", model_keras=model)
    with pytest.raises(DownloadError, match="no such repository, or it is private"):
        download("hf://user/none", "model.keras", token=TOKEN, verbose=0)
    with pytest.raises(DownloadError, match=r"there is no revision 'v2': http://.*/user/tiny/commits/main"):
        download("hf://user/tiny@v2", "model.keras", token=TOKEN, verbose=0)
    with pytest.raises(DownloadError, match=r"there is no ensemble\.zip in it"):
        download("hf://user/tiny", "ensemble.zip", token=TOKEN, verbose=0)
    with pytest.raises(DownloadError, match=r"hf auth login"):
        download("hf://user/tiny", "model.keras", verbose=0)


def test_a_transfer_that_breaks_off_goes_on(hub, model, tmp_path, no_waiting):
    hub.add("user/tiny", model_keras=model)
    hub.faults |= {"cut": len(model) // 3, "cuts": 2}
    path, _ = download("hf://user/tiny", "model.keras", token=TOKEN, verbose=0)
    assert path.read_bytes() == model


def test_half_a_file_is_never_taken_for_whole(hub, model, tmp_path, no_waiting):
    hub.add("user/tiny", model_keras=model)
    hub.faults |= {"cut": 0, "cuts": 99}
    with pytest.raises(DownloadError, match=r"the transfer failed .*: nothing of it was kept; check the connection"):
        download("hf://user/tiny", "model.keras", token=TOKEN, verbose=0)
    assert not in_cache(tmp_path)


def change_a_byte(content):
    return content[:500] + bytes([content[500] ^ 1]) + content[501:]


def test_other_bytes_than_the_server_promised_are_not_opened(hub, model, tmp_path, monkeypatch):
    hub.add("user/tiny", model_keras=model)
    hub.faults["tamper"] = change_a_byte
    monkeypatch.setattr(TransferClassifier, "load", lambda path: pytest.fail("it was opened"))
    for _ in range(2):
        with pytest.raises(DownloadError, match=r"model\.keras is damaged or not the file of this repository"):
            TransferClassifier.from_pretrained("hf://user/tiny", token=TOKEN, verbose=0)
        assert not in_cache(tmp_path)
    monkeypatch.undo()


def test_a_file_that_was_damaged_in_the_cache_is_not_opened(hub, model, tmp_path):
    commit = hub.add("user/tiny", model_keras=model)
    path, _ = download("hf://user/tiny", "model.keras", token=TOKEN, verbose=0)
    path.resolve().write_bytes(change_a_byte(model))
    with pytest.raises(DownloadError, match="is damaged"):
        download(f"hf://user/tiny@{commit}", "model.keras", token=TOKEN, verbose=0)
    assert download(f"hf://user/tiny@{commit}", "model.keras", token=TOKEN, verbose=0)[0].read_bytes() == model


def test_without_links_in_the_cache_the_server_is_asked(hub, model, monkeypatch):
    """As on Windows."""
    monkeypatch.setattr("huggingface_hub.file_download.are_symlinks_supported", lambda *_: False)
    hub.add("user/tiny", model_keras=model)
    hub.faults["tamper"] = change_a_byte
    with pytest.raises(DownloadError, match="is damaged"):
        download("hf://user/tiny", "model.keras", token=TOKEN, verbose=0)
    hub.faults.clear()
    path, _ = download("hf://user/tiny", "model.keras", token=TOKEN, verbose=0)
    assert not path.is_symlink()


def test_other_bytes_than_the_user_expects_are_not_opened(hub, model):
    hub.add("user/tiny", model_keras=model)
    _, origin = download("hf://user/tiny", "model.keras", token=TOKEN, sha256=None, verbose=0)
    download("hf://user/tiny", "model.keras", token=TOKEN, sha256=origin.sha256.upper(), verbose=0)
    hub.add("user/tiny", model_keras=model + b" ")
    with pytest.raises(DownloadError, match="not the file that was asked for"):
        download("hf://user/tiny", "model.keras", token=TOKEN, sha256=origin.sha256, verbose=0)


@pytest.mark.parametrize("kind", ["a pickle", "a zip", "a text", "os.system"])
def test_a_hostile_file_is_refused_by_its_address(hub, model, tmp_path, kind):
    (tmp_path / "evil").write_bytes(model)
    edit(tmp_path / "evil", CONFIG_FILE, HOSTILE_NETWORKS["os.system"])
    hostile = {"a pickle": pickle.dumps(print), "a zip": b"PK\x03\x04", "a text": b"{}"}
    commit = hub.add("user/evil", model_keras=hostile.get(kind, (tmp_path / "evil").read_bytes()))
    with pytest.raises(ModelFileError, match=f"^hf://user/evil@{commit}: .*model.keras: ") as raised:
        TransferClassifier.from_pretrained("hf://user/evil", token=TOKEN, verbose=0)
    assert "\n" not in str(raised.value)


def test_no_hub_at_all(monkeypatch, tmp_path, no_waiting):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match=r"^hf://user/tiny@main: the transfer failed.*ConnectError"):
        download("hf://user/tiny", "model.keras", verbose=0)


# -- what a user may do ------------------------------------------------------------------------------------------------


def test_a_repository_without_hf_is_completed(hub):
    with pytest.raises(ParameterError, match=r"got 'user/tiny'; did you mean 'hf://user/tiny'\?"):
        TransferClassifier.from_pretrained("user/tiny")
    assert not hub.asked


@pytest.mark.parametrize(
    "address",
    [
        "user/tiny",
        "hf://tiny",
        "hf://user/tiny/model.keras",
        "hf://user/../x",
        "hf://user/a--b",
        "hf://user/tiny@",
        "hf://user/tiny@a b",
        "hf://user/tiny\n",
        "hf:///etc/passwd",
        "https://x/y/z",
        "",
        7,
    ],
)
def test_what_is_no_address_is_refused_before_anything_is_asked(hub, address):
    with pytest.raises(ParameterError, match="address must be an address, such as 'hf://user/name@"):
        TransferClassifier.from_pretrained(address)
    assert not hub.asked


@pytest.mark.parametrize("token", [b"hf_secret", "hf_secret\nhf_secret", "hf_ätoken", 7])
def test_what_is_no_token_is_not_shown(hub, fitted, token):
    def refusal(use, token):
        with pytest.raises(ParameterError, match="token must be the text of an access token") as raised:
            use(token)
        return str(raised.value)

    for use in (
        lambda token: TransferClassifier.from_pretrained("hf://user/tiny", token=token),
        lambda token: fitted.push_to_hub("user/tiny", token=token),
    ):
        assert refusal(use, token) == refusal(use, ""), "of which nothing can be shown"
    assert not hub.asked


def test_a_token_from_a_file_may_end_in_a_line_break(hub, model):
    hub.add("user/tiny", model_keras=model)
    assert download("hf://user/tiny", "model.keras", token=f"{TOKEN}\n", verbose=0)


def test_what_is_no_hash_is_refused(hub):
    with pytest.raises(ParameterError, match="sha256 must be a SHA-256, 64 hexadecimal digits or None, got 'abc'"):
        TransferClassifier.from_pretrained("hf://user/tiny", sha256="abc")


def test_nothing_private_goes_into_a_public_repository(hub, fitted):
    hub.public.add("user/open")
    before = hub.add("user/open", README_md=b"mine")
    with pytest.raises(UploadError, match=r"^hf://user/open: this repository is public"):
        fitted.push_to_hub("user/open", token=TOKEN)
    assert hub.find("user/open", "main")[0] == before
    fitted.push_to_hub("user/open", token=TOKEN, private=False)
    assert b"mine" not in hub.find("user/open", "main")[1]["README.md"]


def test_who_may_not_write_is_told(hub, fitted, no_waiting):
    for token in (None, "hf_another"):
        with pytest.raises(UploadError, match=r"^hf://user/tiny: .*\(401\): check the name, or log in"):
            fitted.push_to_hub("user/tiny", token=token)
    assert not hub.commits


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"push": 500}, "the server answered 500: try again later"),
        ({"push": 403}, r"the server refuses \(403\)"),
        ({"push": 409}, r"it was refused \(.*409"),
        ({"license": '"license" must be one of [mit, ...]'}, 'it was refused .*"license" must be one of'),
    ],
    ids=str,
)
def test_a_push_that_fails_is_said_in_one_line(hub, fitted, faults, said, no_waiting):
    hub.faults |= faults
    with pytest.raises(UploadError, match=f"^hf://user/tiny: {said}") as raised:
        fitted.push_to_hub("user/tiny", token=TOKEN, license="mine")
    assert "\n" not in str(raised.value)
    assert len(hub.commits.get("user/tiny", ())) <= 1, "at most that of the new repository"


def test_a_report_of_another_model_is_refused(hub, fitted, images, labels):
    other = copy(fitted)
    other.provenance_ = {**fitted.provenance_, "seed": 1}
    report = MetricsReport.from_estimator(other, images, labels, n_resamples=100)
    with pytest.raises(ParameterError, match="of another model"):
        fitted.push_to_hub("user/tiny", report=report, token=TOKEN)
    other.set_params(tta=2)
    with pytest.raises(ParameterError, match="the report was made with tta=1, and now it is 2"):
        other.push_to_hub("user/tiny", report=report, token=TOKEN)
    with pytest.raises(ParameterError, match="report must be a MetricsReport or a MulticlassReport or None"):
        fitted.push_to_hub("user/tiny", report={"auc": 1.0}, token=TOKEN)
    assert not hub.asked
    by_hand = MetricsReport.from_scores(labels, fitted.predict_proba(images)[:, 1], n_resamples=100)
    assert fitted.push_to_hub("user/tiny", report=by_hand, token=TOKEN)


def test_without_the_package_it_says_what_to_install(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'melanoma_tl\[hub\]'"):
        TransferClassifier.from_pretrained("hf://user/tiny")
    with pytest.raises(MissingPackageError, match=r"pip install 'melanoma_tl\[hub\]'"):
        fitted.push_to_hub("user/tiny")
