from copy import copy

import numpy as np
import pytest
from conftest import draw_images

from melanoma_tl import Ensemble, MetricsReport, TransferClassifier
from melanoma_tl.errors import ParameterError
from melanoma_tl.images.symmetries import COUNTS, symmetric_views

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")


def make(**changes):
    options = {"weights": None, "trainable_from": "conv1", "epochs": 2, "random_state": 0, "verbose": 0}
    return TransferClassifier("tiny", **(options | changes))


@pytest.fixture(scope="module")
def small():
    """Images of the network's size, so that nothing is resized."""
    return draw_images(16, side=32, seed=1)


@pytest.fixture(scope="module")
def fitted(small):
    return make(precision="float32").fit(small, np.arange(16) % 2)


def copies(images, count):
    """The symmetric copies of images, made in another way than the library does."""
    turns = [np.rot90(images, k, axes=(1, 2)) for k in range(4)]
    everything = turns + [turned[:, :, ::-1] for turned in turns]
    return {
        1: [images],
        2: [images, images[:, :, ::-1]],
        4: [images, np.rot90(images, 2, axes=(1, 2)), images[:, :, ::-1], images[:, ::-1]],
        8: everything,
    }[count]


def as_set(views):
    return {view.tobytes() for view in views}


@pytest.mark.parametrize("count", COUNTS)
def test_views_are_the_symmetries_of_the_square(small, count):
    views = list(symmetric_views(small, count))
    assert len(as_set(views)) == len(views) == count
    assert as_set(views) == as_set(np.ascontiguousarray(view) for view in copies(small, count))
    assert views[0] is small, "the untouched images come first, and are not copied"


@pytest.mark.parametrize("count", COUNTS)
def test_a_view_of_a_view_is_a_view(small, count):
    views = as_set(symmetric_views(small, count))
    for view in symmetric_views(small, count):
        assert as_set(symmetric_views(view, count)) == views


def test_what_needs_no_square_needs_none():
    wide = np.arange(2 * 3 * 5, dtype="uint8").reshape(1, 3, 5, 2)
    assert [view.shape for view in symmetric_views(wide, 4)] == [wide.shape] * 4


@pytest.mark.parametrize("count", COUNTS)
def test_the_score_is_the_mean_of_the_scores_of_the_views(fitted, small, count):
    by_hand = np.mean([fitted.predict_proba(np.ascontiguousarray(view)) for view in copies(small, count)], axis=0)
    assert np.allclose(fitted.predict_proba(small, tta=count), by_hand, atol=1e-6)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_symmetric_images_get_the_same_score(fitted, small, count):
    expected = fitted.predict_proba(small, tta=count)
    for view in copies(small, count):
        assert np.allclose(fitted.predict_proba(np.ascontiguousarray(view), tta=count), expected, atol=1e-6)
    turned = np.ascontiguousarray(small.swapaxes(1, 2))
    assert np.abs(fitted.predict_proba(turned, tta=1) - fitted.predict_proba(small, tta=1)).max() > 1e-3


def test_the_constructor_decides_unless_the_call_does(fitted, small, tmp_path):
    eight = fitted.predict_proba(small, tta=8)
    one = fitted.predict_proba(small)
    assert np.abs(eight - one).max() > 1e-3
    fitted.save(tmp_path / "model.keras")
    loaded = TransferClassifier.load(tmp_path / "model.keras").set_params(tta=8, verbose=0)
    assert np.array_equal(loaded.predict_proba(small), eight)
    assert np.array_equal(loaded.predict_proba(small, tta=1), one)
    loaded.threshold = float(np.sort(eight[:, 1])[7:9].mean())
    assert np.array_equal(loaded.predict(small), (eight[:, 1] > loaded.threshold).astype(int))
    assert loaded.score(small, eight[:, 1] > loaded.threshold) == 1
    loaded.save(tmp_path / "eight.keras")
    assert TransferClassifier.load(tmp_path / "eight.keras").tta == 8


@pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")
def test_a_report_scores_with_the_views_of_the_constructor_and_says_so(fitted, small):
    eight = copy(fitted).set_params(tta=8)
    report = MetricsReport.from_estimator(eight, small, np.arange(16) % 2)
    assert np.array_equal(report.y_score, eight.predict_proba(small, tta=8)[:, 1])
    assert report.provenance["tta"] == 8
    assert "tta: 8" in str(report)


def test_images_are_decoded_once_and_scored_in_batches_of_the_same_size(fitted, small, monkeypatch):
    decoded, batches = [], []

    def give():
        for image in small:
            decoded.append(image)
            yield image

    monkeypatch.setattr("melanoma_tl.network.inference._PIXELS_AT_ONCE", 5 * 32 * 32)
    network = fitted._scorer().network
    predict = network.predict_on_batch
    monkeypatch.setattr(network, "predict_on_batch", lambda images: batches.append(len(images)) or predict(images))
    dataset = tf.data.Dataset.from_generator(give, output_signature=tf.TensorSpec((32, 32, 3), tf.uint8))
    scores = fitted.predict_proba(dataset, tta=8)
    assert len(decoded) == 16
    assert batches == [5] * 8 * 3 + [1] * 8
    assert np.allclose(scores, fitted.predict_proba(small, tta=8), atol=1e-6)


def test_as_many_images_go_through_the_network_as_one_says(fitted, small, monkeypatch):
    batches = []
    network = fitted._scorer().network
    predict = network.predict_on_batch
    monkeypatch.setattr(network, "predict_on_batch", lambda images: batches.append(len(images)) or predict(images))
    scores = fitted.predict_proba(small, batch_size=7)
    assert batches == [7, 7, 2]
    assert np.allclose(scores, fitted.predict_proba(small), atol=1e-6)
    ensemble = Ensemble([fitted], verbose=0)
    batches.clear()
    assert np.allclose(ensemble.predict_proba(small, batch_size=8), scores, atol=1e-6)
    assert batches == [8, 8]
    with pytest.raises(ParameterError, match="batch_size must be a whole number of at least 1 or None, got 0"):
        fitted.predict_proba(small, batch_size=0)


def test_bad_images_stay_without_a_score(fitted, small, bad_images):
    scores = (
        copy(fitted)
        .set_params(on_error="skip")
        .predict_proba([str(bad_images / "empty.jpg"), str(bad_images / "text.jpg")], tta=4)
    )
    assert np.isnan(scores).all()


@pytest.mark.parametrize("tta", [0, 3, 16, True, "8", 2.0])
def test_other_numbers_are_refused(fitted, small, tta):
    with pytest.raises(ParameterError, match="1, 2, 4, 8"):
        fitted.predict_proba(small, tta=tta)
    with pytest.raises(ParameterError, match="tta must be one of 1, 2, 4, 8"):
        make(tta=tta).fit(small, np.arange(16) % 2)


def test_turns_need_square_images(small):
    wide = make(tta=4, input_size=(32, 48), epochs=1).fit(small, np.arange(16) % 2)
    assert wide.predict_proba(small).shape == (16, 2)
    with pytest.raises(ParameterError, match="needs a square input_size, got 32x48; take tta=4"):
        wide.predict_proba(small, tta=8)
    with pytest.raises(ParameterError, match="square"):
        make(tta=8, input_size=(32, 48)).fit(small, np.arange(16) % 2)
