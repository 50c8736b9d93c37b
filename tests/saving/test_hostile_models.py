"""Every hostile model file is refused in the library's own words, and runs nothing."""

import time

import pytest
from hostile_models import write_corpus
from watching import watching

from melanoma_tl import TransferClassifier
from melanoma_tl.errors import ModelFileError


@pytest.fixture(scope="module")
def saved(tmp_path_factory, images, labels):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    TransferClassifier("tiny", weights=None, epochs=1, random_state=0, verbose=0).fit(images, labels).save(path)
    return path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Skipping nested container")  # Keras's, of weights that were taken out
def test_no_hostile_file_loads_runs_or_breaks(saved, tmp_path, images, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus = write_corpus(saved, tmp_path)
    assert len(corpus) >= 150
    before = {path.name for path in tmp_path.iterdir()}
    wrong, slow = [], []
    with watching() as seen:
        for name, path in corpus.items():
            start = time.monotonic()
            try:
                loaded = TransferClassifier.load(path)
            except ModelFileError as error:
                if not str(error).startswith(str(path)) or "\n" in str(error)[:200]:
                    wrong.append(f"{name}: {error!s:.200}")
            except Exception as error:
                wrong.append(f"{name}: {error!r:.200}")
            else:
                wrong.append(f"{name}: loads, {loaded.set_params(verbose=0).predict_proba(images[:1])}")
            if time.monotonic() - start > 20:
                slow.append(name)
    assert not wrong, "\n".join(wrong)
    assert not slow
    assert not seen
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_file_that_loads_also_scores(saved, images):
    loaded = TransferClassifier.load(saved).set_params(verbose=0)
    assert 0 <= loaded.predict_proba(images[:1]).min() <= 1
