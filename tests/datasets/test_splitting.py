import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets.dealing import deal_stratified
from melanoma_tl.datasets.lesion_drawing import draw_lesion
from melanoma_tl.datasets.splitting import number_own_groups
from melanoma_tl.errors import DatasetError, ParameterError, UnknownNameError


def make(labels, **groups):
    ids = [f"image {n}" for n in range(len(labels))]
    return ISBIDataset(ids, None, labels, name="made", metadata=pd.DataFrame(groups) if groups else None)


@settings(max_examples=30)
@given(st.data(), st.integers(0, 1000), st.sampled_from([0.1, 0.2, 0.25, 0.3, 0.5]), st.booleans())
def test_no_patient_and_no_lesion_is_divided(data, seed, test_size, stratify):
    rng = np.random.default_rng(seed)
    n = data.draw(st.integers(150, 300))
    dataset = make(
        rng.integers(0, 2, n),
        patient_id=np.where(rng.random(n) < 0.2, None, rng.integers(0, 120, n)),
        lesion_id=np.where(rng.random(n) < 0.5, None, rng.integers(0, 400, n)),
    )
    train, test = dataset.split(test_size, stratify=stratify, random_state=seed)
    assert sorted([*train.image_ids, *test.image_ids]) == sorted(dataset.image_ids)
    for column in ("patient_id", "lesion_id"):
        assert set(train.metadata[column].dropna()).isdisjoint(test.metadata[column].dropna())


def test_classes_keep_their_shares():
    labels = np.repeat([0, 1], [800, 200])
    dataset = make(labels, patient_id=np.arange(1000) // 2)
    for test_size in (0.2, 0.3, 0.15):
        train, test = dataset.split(test_size, random_state=0)
        assert len(test) / 1000 == pytest.approx(test_size, abs=0.01)
        assert test.labels.mean() == pytest.approx(0.2, abs=0.01)
        assert train.name == "made, train"


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 60)), min_size=40, max_size=150),
    st.integers(2, 20),
    st.integers(0, 2**32 - 1),
)
def test_groups_are_dealt_as_scikit_learn_deals_them(images, k, seed):
    labels, groups = np.array(images, dtype=int).T
    assume(min(np.bincount(labels, minlength=2)) >= k and len(np.unique(groups)) >= k)
    distinct, numbers = np.unique(groups, return_inverse=True)
    order = np.random.RandomState(seed).permutation(len(distinct))
    # It is given the groups in this order, because 1.7 shuffles otherwise.
    expected = StratifiedGroupKFold(k).split(labels, labels, np.argsort(order)[numbers])
    dealt = deal_stratified(labels, groups, k, seed=seed)
    assert [fold.tolist() for fold in dealt] == [test.tolist() for _, test in expected]


def test_every_image_is_validated_once():
    dataset = make(np.arange(60) % 2, patient_id=np.arange(60) // 3)
    folds = dataset.folds(4, random_state=1)
    validated = np.concatenate([valid.image_ids for _, valid in folds])
    assert sorted(validated) == sorted(dataset.image_ids)
    for train, valid in folds:
        assert set(train.image_ids) | set(valid.image_ids) == set(dataset.image_ids)
        assert not train.overlap(valid)
        assert set(valid.labels) == {0, 1}


def test_the_seed_decides():
    dataset = make(np.arange(100) % 2)
    first, again, other = (dataset.split(0.2, random_state=seed)[1].image_ids.tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_groups_of_ones_own_and_none():
    dataset = make([0, 1] * 10, patient_id=["p"] * 20)
    with pytest.raises(DatasetError, match="5 folds need at least as many groups, there are 1"):
        dataset.split(0.2)
    assert len(dataset.split(0.2, groups=None, random_state=0)[1]) == 4
    sites = np.repeat(list("abcde"), 4)
    train, test = dataset.split(0.2, groups=sites, random_state=0)
    of_image = dict(zip(dataset.image_ids, sites, strict=True))
    assert {of_image[image] for image in train.image_ids}.isdisjoint(of_image[image] for image in test.image_ids)


def test_groups_that_are_missing_stand_alone(caplog):
    dataset = make([0, 1] * 10)
    numbers = number_own_groups(["a", "a", "-1", -1, None, float("nan"), "?", "-", 0, 0.0, *"bcdefghijk"], 20)
    assert numbers[0] == numbers[1]
    assert numbers[8] == numbers[9] != 0
    assert not numbers[2:8].any()
    assert len(set(numbers[8:])) == 11
    assert "groups: says nothing, and counts as missing: group of 4 rows ('-1', '?', '-')" in caplog.text
    train, test = dataset.split(0.5, groups=["?"] * 10 + ["p"] * 10, random_state=0)
    assert sorted(map(len, (train, test))) == [5, 15]  # one patient of ten images, and ten of one


SPELLINGS = ("P{}", "p{}", "P {}", "p{}\u00a0")


@pytest.mark.parametrize("column", ["patient_id", "lesion_id"])
def test_spellings_of_one_id_stay_on_one_side(column, caplog):
    written = [spelling.format(n) for n in range(100, 120) for spelling in SPELLINGS]
    dataset = make([0, 1] * 40, **{column: written})
    assert f"made: 20 {column[:-3]} ids are written in several ways" in caplog.text
    caplog.clear()
    parts = [*dataset.folds(4, random_state=0), dataset.split(0.3, random_state=0)]
    for part, other in parts:
        assert set(part.metadata[column]).isdisjoint(other.metadata[column])
        assert not part.overlap(other)
    assert not caplog.messages  # said once, where it was read
    assert dataset.metadata[column].nunique() == 20


def test_spellings_of_ones_own_groups_are_one(caplog):
    dataset = make([0, 1] * 40)
    groups = np.array([spelling.format(n) for n in range(100, 120) for spelling in SPELLINGS])
    train, test = dataset.split(0.3, groups=groups, random_state=0)
    patient_of = dict(zip(dataset.image_ids, np.repeat(range(20), 4), strict=True))
    assert {patient_of[image] for image in train.image_ids}.isdisjoint(patient_of[image] for image in test.image_ids)
    assert "groups: 20 group ids are written in several ways" in caplog.text


def test_copies_and_near_duplicates_stay_together(tmp_path):
    files, labels = [], []
    for seed in range(12):
        lesion = Image.fromarray(draw_lesion(seed % 2 == 1, random_state=seed))
        for version, size in (("whole", 256), ("small", 200)):
            files.append(tmp_path / f"{seed:02}_{version}.png")
            lesion.resize((size, size)).save(files[-1])
            labels.append(seed % 2)
    dataset = ISBIDataset([file.stem for file in files], files, labels)
    for seed in range(5):
        train, test = dataset.split(0.25, random_state=seed, verbose=0)
        assert {image[:2] for image in train.image_ids}.isdisjoint(image[:2] for image in test.image_ids)
        assert not train.overlap(test, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"test_size": 0}, ParameterError, "between 0 and 1"),
        ({"test_size": 1.5}, ParameterError, "between 0 and 1"),
        ({"test_size": 0.001}, ParameterError, "0.05 to 0.95"),
        ({"groups": "patient"}, DatasetError, "no column patient_id, only lesion_id"),
        ({"groups": "patients"}, UnknownNameError, "Did you mean 'patient'"),
        ({"groups": ["a"]}, DatasetError, r"one entry an image \(10\), got 1"),
        ({"test_size": 0.05}, DatasetError, "20 folds need at least as many groups"),
        ({"test_size": 0.95, "stratify": False}, DatasetError, "10 groups cannot be divided with a test_size of 0.95"),
        ({"groups": ["p"] * 10, "stratify": False}, DatasetError, "1 groups cannot be divided with a test_size of 0.2"),
    ],
)
def test_what_cannot_be_divided_says_why(arguments, error, message):
    with pytest.raises(error, match=message):
        make([0, 1] * 5, lesion_id=list("abcdefghij")).split(**arguments)


@pytest.mark.parametrize("k", [1, 2.5, True])
def test_folds_are_counted_from_two(k):
    with pytest.raises(ParameterError, match="at least 2"):
        make([0, 1] * 5).folds(k)


def test_a_class_in_too_few_groups_is_named():
    dataset = make([0] * 20 + [1] * 5, patient_id=[*range(20), *"ppppp"])
    with pytest.raises(DatasetError, match="groups of class 1, there are 1"):
        dataset.folds(5)
    assert len(dataset.folds(5, stratify=False)) == 5


@pytest.mark.real_data
def test_the_real_training_set_is_divided_without_leaks(real_data):
    dataset = ISBIDataset.from_challenge(real_data, year=2016, split="train", on_error="skip")
    train, test = dataset.split(0.2, random_state=0, verbose=0)
    assert test.labels.mean() == pytest.approx(dataset.labels.mean(), abs=0.01)
    twins = {"ISIC_0001442", "ISIC_0001742"}
    assert twins <= set(train.image_ids) or twins <= set(test.image_ids)
    assert not train.overlap(test, verbose=0)


def test_images_without_patient_are_counted_where_patients_are_divided(caplog):
    known = pd.DataFrame({"patient_id": [f"p{row // 2}" if row < 12 else None for row in range(20)]})
    data = ISBIDataset([str(row) for row in range(20)], None, [0, 1] * 10, metadata=known, name="mine")
    data.split(0.5, random_state=0)
    assert caplog.messages == ["mine: 8 images have no patient; each counts as its own"]
    caplog.clear()
    data.split(0.5, groups=None, random_state=0)
    assert not caplog.messages
