"""Every hostile model file is refused in the library's own words, and runs nothing."""

import pytest
from hostile_models import write_corpus
from watching import read_hostile

from melanoma_tl import TransferClassifier
from melanoma_tl.errors import ModelFileError

MOST_MEMORY = 2**19
"""Kilobytes that the process may grow by at all these files."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory, images, labels):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    TransferClassifier("tiny", weights=None, epochs=1, random_state=0, verbose=0).fit(images, labels).save(path)
    return path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Skipping nested container")  # Keras's, of weights that were taken out
def test_no_hostile_file_loads_runs_or_breaks(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus = write_corpus(saved, tmp_path)
    assert len(corpus) >= 150
    before = {path.name for path in tmp_path.iterdir()}

    def is_good(name, text):
        return text.startswith(str(corpus[name])) and "\n" not in text[:200]

    cases = ((name, lambda path=path: TransferClassifier.load(path)) for name, path in corpus.items())
    loaded = read_hostile(cases, ModelFileError, is_good, seconds=20, kilobytes=MOST_MEMORY)
    assert not loaded, list(loaded)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_file_that_loads_also_scores(saved, images):
    loaded = TransferClassifier.load(saved).set_params(verbose=0)
    assert 0 <= loaded.predict_proba(images[:1]).min() <= 1
