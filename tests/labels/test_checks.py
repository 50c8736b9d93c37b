"""Labels that are something else, or other ones than those of the dataset."""

import numpy as np
import pandas as pd
import pytest
from conftest import draw_images
from PIL import Image

from melanoma_tl import ISBIDataset, MetricsReport, MulticlassReport, TransferClassifier
from melanoma_tl.errors import DatasetError
from melanoma_tl.labels.classes import Classes


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number, image in enumerate(draw_images(20, seed=3)):
        Image.fromarray(image).save(folder / f"i{number}.png")
    ids = [f"i{number}" for number in range(20)]
    known = pd.DataFrame({"age": [38.0, 45.0, 50.0, 61.0, 70.0] * 4, "sex": ["male", "female"] * 10})
    return ISBIDataset(ids, [folder / f"{one}.png" for one in ids], [0, 1, 0, 0] * 5, metadata=known, name="mine")


def make(**changes):
    options = {"weights": None, "epochs": 1, "trainable_from": "conv1", "random_state": 0, "verbose": 0}
    return TransferClassifier("tiny", **(options | changes))


def test_numbers_that_are_measured_are_no_classes(dataset):
    with pytest.raises(DatasetError, match=r"y has 5 numbers \(38\.0, 45\.0, 50\.0, …\), not classes"):
        make().fit(dataset, dataset.metadata["age"])
    with pytest.raises(DatasetError, match="11 numbers"):
        Classes.of(np.arange(30, 41))
    for codes in ([0, 1, 2], [1.0, 2.0, 3.0], [1, 2, 5], [0, 1], [3.0, 7.0], [10, 20, 30]):
        assert len(Classes.of(codes, pos_label=codes[-1]).labels) == len(codes)


def test_columns_that_are_no_labels_are_named(dataset):
    with pytest.raises(DatasetError, match=r"got 2: sex, age\. A classifier learns from images only"):
        make().fit(dataset, dataset.metadata[["sex", "age"]])
    one_hot = pd.DataFrame({"MEL": [1.0, 0.0], "NV": [0.0, 1.0]})  # as official tables have it, melanoma first
    with pytest.raises(DatasetError, match=r"one-hot labels pass y\.idxmax\(axis=1\)"):
        Classes.of(one_hot)
    assert Classes.of(one_hot.idxmax(axis=1)).pos_label == "MEL"
    with pytest.raises(DatasetError, match=r"one-hot labels pass argmax\(axis=1\)"):
        Classes.of(one_hot.to_numpy())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("nevus", "naevus"),
        ("seb. keratosis", "seborrheic keratosis"),
        ("seborrhoeic keratosis", "Seborrheic_keratosis"),
        ("NV", "nevus"),
        ("haemangioma", "hemangioma"),
        ("mel", "melanoma"),
    ],
)
def test_spellings_of_one_diagnosis_are_one(one, other):
    with pytest.raises(DatasetError, match="in several ways") as told:
        Classes.of([one, other, other, "dermatofibroma"])
    assert f".replace({ {one: other} })" in str(told.value)
    assert len(Classes.of(["blue nevus", "spitz nevus", "lentigo", "lichenoid keratosis"]).labels) == 4


def test_the_labels_of_a_dataset_do_not_stand_for_two_other_classes(dataset):
    y = np.where(np.arange(20) % 2, "sk", "other")
    clf = make(pos_label="sk").fit(dataset, y)
    said = "fitted with 'other' and 'sk', not with the labels of the dataset"
    for ask in (
        lambda: MetricsReport.from_estimator(clf, dataset),
        lambda: clf.score(dataset),
        lambda: clf.calibrate(dataset),
        lambda: clf.tune_threshold(dataset, youden=True),
    ):
        with pytest.raises(DatasetError, match=said):
            ask()
    assert 0 <= clf.score(dataset, y) <= 1
    with pytest.raises(DatasetError, match=r"validation_data=\(X, y\)"):
        make(pos_label="sk").fit(dataset, y, validation_data=dataset)


@pytest.mark.slow
def test_labels_that_contradict_the_dataset_are_remembered(dataset, caplog, tmp_path):
    y = np.arange(20) % 2 == 0
    clf = make().fit(dataset, y)
    n = int((y != dataset.labels).sum())
    assert any(f"differs from the labels of mine for {n} of 20 images" in one for one in caplog.messages)
    clf.save(tmp_path / "model.keras")
    for one in (clf, TransferClassifier.load(tmp_path / "model.keras")):
        with pytest.raises(DatasetError, match=f"differs from the labels of its dataset for {n} images"):
            MetricsReport.from_estimator(one, dataset)
        assert 0 <= one.score(dataset, y) <= 1
    caplog.clear()
    same = make().fit(dataset, np.where(dataset.labels, "melanoma", "nevus"))
    assert not caplog.messages
    assert same.score(dataset) == same.score(dataset, dataset.labels)


def test_a_class_of_few_images_is_pointed_out(dataset, caplog):
    y = np.array(["nevus", "melanoma"] * 9 + ["spitz nevus", "nevus"])
    make().fit(dataset.paths, y)
    assert caplog.messages == ["1 image of 'spitz nevus': too few to learn from"]


class FixedScores:
    """A classifier that has learned nothing: its scores are given, and what it was fitted with is not remembered."""

    classes_ = np.array(["melanoma", "nevus"])

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


class ThreeScores(FixedScores):
    classes_ = np.array(["melanoma", "nevus", "seborrheic keratosis"])


def test_a_report_tells_of_labels_that_contradict_the_dataset(dataset, caplog):
    y = np.where(np.arange(20) % 2 == 0, "melanoma", "nevus")
    n = int(((y == "melanoma") != dataset.labels).sum())
    said = f"y differs from the labels of mine for {n} of 20 images: y is what counts here"
    MetricsReport.from_estimator(FixedScores(), dataset, y)
    assert [said in one for one in caplog.messages] == [True]
    caplog.clear()
    y = np.where(np.arange(20) == 2, "seborrheic keratosis", y)
    MulticlassReport.from_estimator(ThreeScores(), dataset, y)
    assert f"for {n - 1} of 20 images" in caplog.text
    caplog.clear()
    MetricsReport.from_estimator(FixedScores(), dataset, dataset.labels)
    MetricsReport.from_estimator(FixedScores(), dataset)
    assert not caplog.messages
