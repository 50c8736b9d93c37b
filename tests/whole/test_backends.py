"""One model on every backend of Keras: the same scores, and the same stored activations."""

import json
import logging
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_images

from melanoma_tl import ISBIDataset, Probe, TransferClassifier, cache

pytestmark = pytest.mark.contract

N_REAL = 100

BACKENDS = ("tensorflow", "jax", "torch")
STORED = "of {n} features are stored already"


def fit_frozen(images: np.ndarray, weights: str, backbone: str = "tiny") -> TransferClassifier:
    """Train a head on activations that are stored, or read if another process has stored them."""
    options = {"head__pooling": "log_center", "epochs": 1, "precision": "float32", "random_state": 0, "verbose": 0}
    return TransferClassifier(backbone, weights=weights).set_params(**options).fit(images, np.arange(len(images)) % 2)


def count_stored(records: list[str]) -> list[int]:
    """Give how many activations each fit found stored already."""
    return [int(line.split(": ")[1].split(" of ")[0]) for line in records if "features are stored already" in line]


CHILD = """
import json, logging, os, sys
sys.path[:0] = [{tests!r}, os.path.dirname({tests!r})]
import numpy as np
import conftest, test_backends
os.environ["MELANOMA_TL_CACHE"] = {cache!r}
conftest.register_tiny()
records = []
handler = logging.Handler()
handler.emit = lambda record: records.append(record.getMessage())
logging.getLogger("melanoma_tl").setLevel(logging.INFO)
logging.getLogger("melanoma_tl").addHandler(handler)
import keras
from melanoma_tl import TransferClassifier
clf = TransferClassifier.load({model!r})
clf.verbose = 0
scores = clf.predict_proba(conftest.draw_images(24))[:, 1].tolist()
for seed in {seeds}:
    test_backends.fit_frozen(conftest.draw_images(24, seed=seed), {weights!r})
stored = test_backends.count_stored(records)
anew = [record for record in records if "stored features differ" in record]
print(json.dumps({{"backend": keras.backend.backend(), "scores": scores, "stored": stored, "anew": anew}}))
"""


def run_on(backend: str, code: str) -> dict:
    """Run code in a process of its own: a backend cannot be changed once Keras is there."""
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def other_backends() -> list[str]:
    import keras

    here = keras.backend.backend()
    others = [name for name in BACKENDS if name != here and find_spec(name)]
    if here == "torch":
        pytest.skip("compared from the side of the other two")
    if not others:
        pytest.skip("neither jax nor torch is installed: pip install 'melanoma_tl[jax,torch]'")
    return others


@pytest.fixture(scope="module")
def by_backend(tiny_backbone, tmp_path_factory):
    """Score and read activations on each other backend, one after the other, so that each finds those of all before."""
    others = other_backends()
    folder = tmp_path_factory.mktemp("backends")
    weights, model = str(folder / "tiny.weights.h5"), str(folder / "model.keras")
    untrained = TransferClassifier("tiny", weights=None, epochs=1, random_state=7, verbose=0)
    clf = untrained.fit(draw_images(24), np.arange(24) % 2)
    import keras

    backbone = keras.Model(clf.model_.inputs[0], clf.model_.get_layer("conv2").output)
    backbone.save_weights(weights)
    clf = fit_frozen(draw_images(24), weights)
    clf.save(model)
    results = {}
    for place, backend in enumerate(others, start=1):
        code = CHILD.format(
            tests=str(Path(__file__).parent),
            cache=str(cache.folder()),
            model=model,
            weights=weights,
            seeds=list(range(place + 1)),
        )
        results[backend] = run_on(backend, code)
        assert results[backend]["backend"] == backend
    return clf, weights, results


def test_one_model_scores_alike_on_every_backend(by_backend):
    clf, _, results = by_backend
    here = clf.predict_proba(draw_images(24))[:, 1]
    for backend, result in results.items():
        assert np.abs(np.array(result["scores"]) - here).max() < 1e-4, backend


def test_activations_are_read_on_another_backend_than_wrote_them(by_backend, caplog):
    _, weights, results = by_backend
    for place, result in enumerate(results.values(), start=1):
        assert result["stored"] == [24] * place + [0]  # all that were written before, and none of its own
        assert not result["anew"]
    with caplog.at_level(logging.INFO, "melanoma_tl"):
        for seed in range(1, len(results) + 1):
            fit_frozen(draw_images(24, seed=seed), weights)
    assert count_stored(caplog.messages) == [24] * len(results)
    assert "stored features differ" not in caplog.text


SCORE = """
import json
from melanoma_tl import ISBIDataset, TransferClassifier
clf = TransferClassifier.load({model!r})
clf.verbose = 0
test = ISBIDataset.from_challenge({data!r}, year=2016, split="test", on_error="skip")[:{n}]
print(json.dumps(clf.predict_proba(test)[:, 1].tolist()))
"""


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.timeout(1800)
def test_vgg19_scores_real_images_alike_on_every_backend(real_data, real_weights, tmp_path):
    others = other_backends()
    train, test = (
        ISBIDataset.from_challenge(real_data, year=2016, split=split, on_error="skip") for split in ("train", "test")
    )
    train, test = train.sample(per_class=60, random_state=0), test[:N_REAL]
    options = {"stages": [Probe(C=1e-3)], "precision": "float32", "random_state": 0, "verbose": 0}
    clf = TransferClassifier("vgg19", weights=real_weights, **options).fit(train)
    clf.save(tmp_path / "model.keras")
    here = clf.predict_proba(test)[:, 1]
    assert np.ptp(here) > 0.2, "so that equal scores mean something"
    code = SCORE.format(model=str(tmp_path / "model.keras"), data=str(real_data), n=N_REAL)
    for backend in others:
        difference = np.abs(np.array(run_on(backend, code)) - here)
        print(f"{backend}: {difference.mean():.1e} on average, {difference.max():.1e} at most, of {np.ptp(here):.3f}")
        assert difference.max() < 1e-4, backend
