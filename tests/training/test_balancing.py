import numpy as np
import pandas as pd
import pytest
from imblearn.utils.estimator_checks import parametrize_with_checks

from melanoma_tl import Balancer, ISBIDataset
from melanoma_tl.errors import DatasetError, ParameterError, UnknownNameError


@parametrize_with_checks([Balancer(random_state=0), Balancer(undersample=None, selection="first", random_state=0)])
def test_passes_the_checks_of_imbalanced_learn(estimator, check):
    check(estimator)


Y_2016 = np.array([0] * 727 + [1] * 173)


def test_the_published_sampling_gives_346_and_346():
    rows, balanced = Balancer().fit_resample(np.arange(900), Y_2016)
    assert np.bincount(balanced).tolist() == [346, 346]
    assert len(np.unique(rows[balanced == 0])) == 346
    assert set(rows[balanced == 1]) == set(range(727, 900)), "every melanoma is used"


def test_first_keeps_file_order_and_random_does_not():
    y = np.tile([0, 0, 0, 0, 1], 20)
    first = Balancer(selection="first", oversample=None).fit_resample(np.arange(100), y)[0]
    assert first.tolist() == sorted(np.flatnonzero(y == 0)[:40].tolist() + np.flatnonzero(y == 1).tolist())
    drawn = Balancer(selection="random", oversample=None, random_state=0).fit_resample(np.arange(100), y)[0]
    assert len(drawn) == 60
    assert set(drawn) != set(first)


def test_the_same_seed_draws_the_same_rows():
    draws = [Balancer(random_state=seed).fit_resample(np.arange(900), Y_2016)[0] for seed in (3, 3, 4)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


@pytest.mark.parametrize(
    "X",
    [
        [f"image_{i}.jpg" for i in range(10)],
        np.array([f"image_{i}.jpg" for i in range(10)]),
        np.arange(10 * 4 * 4 * 3, dtype="uint8").reshape(10, 4, 4, 3),
    ],
    ids=["list of paths", "array of paths", "images"],
)
def test_rows_of_any_kind_are_chosen_by_their_indices(X):
    balancer = Balancer(random_state=0)
    resampled, y = balancer.fit_resample(X, np.array([0] * 8 + [1] * 2))
    assert np.bincount(y).tolist() == [4, 4]
    assert np.array_equal(np.asarray(resampled), np.asarray(X)[balancer.sample_indices_])


def test_columns_of_a_table_are_still_side_by_side():
    table = pd.DataFrame({"path": [f"{n}.png" for n in range(20)], "label": [0] * 14 + [1] * 6}, index=range(50, 70))
    balancer = Balancer(undersample=1.5, oversample=None, random_state=0)
    paths, labels = balancer.fit_resample(table["path"], table["label"])
    assert pd.DataFrame({"path": paths, "label": labels}).equals(
        table.iloc[balancer.sample_indices_].reset_index(drop=True)
    )


@pytest.mark.parametrize("rows", [["a.png", "b.png", "c.png", "d.png"], [[1, "x"], [2, None], [3, "z"], [4, "u"]]])
@pytest.mark.parametrize("kind", [list, tuple])
def test_lists_and_tuples_come_back_as_they_are_and_so_do_their_cells(rows, kind):
    balancer = Balancer(oversample=None, undersample=1.0, random_state=0)
    chosen, labels = balancer.fit_resample(kind(rows), kind([0, 0, 0, 1]))
    assert (type(chosen), type(labels)) == (kind, kind)
    assert list(chosen) == [rows[row] for row in balancer.sample_indices_]
    assert labels == kind([0, 1])


@pytest.mark.parametrize(("share", "expected"), [(0.29, 29), (0.285, 29), (0.57, 57), (1 / 3, 34)])
def test_oversampling_reaches_the_minimum_share(share, expected):
    y = [0] * 100 + [1] * 10
    assert sum(Balancer(undersample=None, oversample=share, random_state=0).fit_resample(y, y)[1]) == expected


@pytest.mark.parametrize(("factor", "expected"), [(1.1, 110), (1.15, 115), (1.009, 100), (1.019, 101)])
def test_undersampling_keeps_to_the_maximum_multiple(factor, expected):
    y = [0] * 150 + [1] * 100
    assert Balancer(undersample=factor, oversample=None, random_state=0).fit_resample(y, y)[1].count(0) == expected


def test_the_minority_may_be_the_benign_class():
    assert np.bincount(Balancer().fit_resample(np.arange(12), np.array([0] * 2 + [1] * 10))[1]).tolist() == [4, 4]


def test_class_weights_give_each_class_the_same_total():
    weights = Balancer().class_weight(Y_2016)
    assert weights[0] * 727 == pytest.approx(weights[1] * 173)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"undersample": 0.5}, "undersample must be a number of at least 1 or None"),
        ({"oversample": 1.5}, "oversample must be a number above 0 and at most 1 or None"),
        ({"selection": "last"}, "Unknown selection 'last'"),
    ],
)
def test_impossible_parameters_are_named(parameters, message):
    with pytest.raises((ParameterError, UnknownNameError), match=message):
        Balancer(**parameters).fit_resample(np.arange(900), Y_2016)


def test_one_class_cannot_be_balanced():
    with pytest.raises(ValueError, match="more than 1 class"):
        Balancer().fit_resample(np.arange(5), np.zeros(5, int))


def test_a_dataset_stays_a_dataset(dataset):
    some = dataset.first(per_class={"benign": 12, "melanoma": 4})
    balanced, labels = Balancer(undersample=1.0, random_state=0).fit_resample(some, some.labels)
    assert isinstance(balanced, type(some))
    assert balanced.labels.tolist() == labels.tolist()


def test_a_dataset_whose_rows_would_be_repeated_says_what_to_pass(dataset):
    some = dataset.first(per_class={"benign": 12, "melanoma": 4})
    for each in (some, ISBIDataset(some.image_ids, None, some.labels)):
        with pytest.raises(DatasetError, match=r"a dataset holds each image once.*X\.paths or X\.image_ids"):
            Balancer(random_state=0).fit_resample(each, each.labels)
        fewer, labels = Balancer(oversample=None, random_state=0).fit_resample(each, each.labels)
        assert np.bincount(labels).tolist() == [8, 4]
        assert fewer.labels.tolist() == labels.tolist()
    paths, labels = Balancer(random_state=0).fit_resample(some.paths, some.labels)
    assert len(paths) == len(labels) == 16
