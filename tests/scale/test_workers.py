"""What a worker process does not know, it says with the way out."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import keras
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from melanoma_tl import TransferClassifier, register_backbone
from melanoma_tl.backbones import get_backbone
from melanoma_tl.errors import UnknownNameError

HINT = "worker process, which has not run your script"


@pytest.fixture
def of_a_script():
    def build(input_tensor, weights):
        features = keras.layers.Conv2D(2, 3, strides=2)(input_tensor)
        return keras.Model(keras.utils.get_source_inputs(input_tensor), features)

    register_backbone("of_a_script", preprocess=keras.layers.Rescaling(1 / 255), overwrite=True)(build)
    return "of_a_script"


def ask(name):
    try:
        get_backbone(name)
    except UnknownNameError as error:
        return str(error)


def test_the_main_process_says_how_to_register():
    assert ask("of_nobody").endswith("Add your own with melanoma_tl.register_backbone.")


@pytest.mark.slow
def test_a_new_process_says_why_it_does_not_know(of_a_script):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        told = pool.submit(ask, of_a_script).result(timeout=300)
    assert HINT in told
    assert "'melanoma_tl.backbones'" in told
    assert "n_jobs=1" in told


@pytest.mark.slow
def test_a_search_in_several_processes_says_why(of_a_script, images, labels):
    classifier = TransferClassifier(of_a_script, weights=None, input_size=(32, 32), epochs=1, verbose=0)
    search = GridSearchCV(classifier, {"dropout": [0.0, 0.1]}, n_jobs=2, cv=2, error_score="raise")
    with pytest.raises(UnknownNameError, match=HINT):
        search.fit(np.asarray(images), labels)
