"""Subgroups: every image in one group of each column, nothing guessed, small groups marked."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from melanoma_tl import MetricsReport
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.metrics.binary import score_metrics
from melanoma_tl.metrics.metric import LABELS
from melanoma_tl.metrics.subgroups import NOT_GIVEN, measure_subgroups


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y_true = np.repeat([1, 0], [60, 140])
    y_score = 1 / (1 + np.exp(-rng.normal(2 * y_true - 1, 1.2)))
    table = pd.DataFrame(
        {
            "sex": rng.choice(["female", "male", None], 200, p=[0.5, 0.4, 0.1]),
            "age": np.where(rng.random(200) < 0.1, np.nan, rng.integers(20, 90, 200)),
            "skin type": rng.integers(1, 7, 200),
        }
    )
    return y_true, y_score, table


def test_figures_are_those_of_the_images_of_the_group(data):
    y_true, y_score, table = data
    found = measure_subgroups(y_true, y_score, table[["sex"]], threshold=0.4, random_state=7)
    rows = (table["sex"] == "female").to_numpy()
    group = found["sex", "female"]
    assert group.metrics == score_metrics(y_true[rows], y_score[rows], threshold=0.4, random_state=7)
    assert (group.n, group.n_melanoma) == (rows.sum(), y_true[rows].sum())


def test_every_image_is_in_one_group_of_each_column_and_what_is_missing_in_one_of_its_own(data):
    y_true, y_score, table = data
    found = measure_subgroups(y_true, y_score, table, bands={"age": (30, 50, 70)}, n_resamples=100)
    for column in table:
        rows = [row for row in found if row.column == column]
        assert sum(row.n for row in rows) == 200
        assert sum(row.n_melanoma for row in rows) == 60
        missing = int(table[column].isna().sum())
        assert [row.n for row in rows if row.value == NOT_GIVEN] == ([missing] if missing else [])
    assert [row.value for row in found if row.column == "age"] == [
        "below 30",
        "30 to below 50",
        "50 to below 70",
        "70 and above",
        NOT_GIVEN,
    ]
    assert [row.value for row in found if row.column == "skin type"] == list("123456")
    assert [row.value for row in found if row.column == "sex"] == ["female", "male", NOT_GIVEN]


@given(st.lists(st.integers(0, 100), min_size=1, max_size=40), st.sets(st.integers(0, 100), min_size=1, max_size=4))
@settings(max_examples=50)
def test_bands_part_numbers_at_their_cuts(ages, cuts):
    edges = sorted(cuts)
    truth = np.arange(len(ages)) % 2
    found = measure_subgroups(truth, np.full(len(ages), 0.5), {"age": ages}, bands={"age": edges}, n_resamples=100)
    expected = np.histogram(ages, [-1, *edges, 1000])[0]
    assert [row.n for row in found] == [count for count in expected if count]


def test_a_number_on_a_cut_is_in_the_upper_band():
    found = measure_subgroups([0, 1], [0.2, 0.7], {"age": [50, 49.9]}, bands={"age": [50]}, n_resamples=100)
    assert [(row.value, row.n_melanoma) for row in found] == [("below 50", 1), ("50 and above", 0)]


@pytest.mark.parametrize(("n_melanoma", "n_benign", "small"), [(21, 21, False), (20, 50, True), (50, 20, True)])
def test_groups_with_few_of_a_class_are_marked_not_hidden(n_melanoma, n_benign, small):
    y_true = np.repeat([1, 0], [n_melanoma, n_benign])
    found = measure_subgroups(y_true, np.full(len(y_true), 0.5), {"site": ["back"] * len(y_true)}, n_resamples=100)
    (group,) = found
    assert group.small is small
    assert ("site: back *" in str(found)) is small
    assert ("too few to judge by" in found.to_markdown()) is small
    assert found.to_frame()["small"].tolist() == [small]


def test_a_group_of_one_class_has_the_figures_that_exist(data):
    y_true, y_score, _ = data
    found = measure_subgroups(y_true, y_score, {"side": np.where(y_true, "left", "right")}, n_resamples=100)
    left, right = found["side", "left"].metrics, found["side", "right"].metrics
    assert left["sensitivity"].n == 60
    assert left["sensitivity"].low < left["sensitivity"].value < left["sensitivity"].high
    assert np.isnan([left["auc"].value, left["specificity"].value, right["sensitivity"].value]).all()
    assert "undefined" in str(found)
    assert "nan" not in str(found) + found.to_markdown()


def test_patients_are_resampled_whole(data):
    values = [np.repeat(column, 4) for column in (*data[:2], data[2]["sex"], np.arange(200))]
    y_true, y_score, sex, patient = values
    alone, together = (measure_subgroups(y_true, y_score, {"sex": sex}, groups=groups) for groups in (None, patient))
    for one, other in zip(alone, together, strict=True):
        assert other.metrics["sensitivity"].method == "clustered wilson"
        assert other.metrics["f1"].method == "cluster bootstrap"
        narrow, wide = (figure.high - figure.low for figure in (one.metrics["auc"], other.metrics["auc"]))
        assert wide > 1.5 * narrow


def test_a_group_of_one_patient_has_no_interval_and_so_no_figure():
    found = measure_subgroups(
        [0, 1, 0, 1], [0.1, 0.8, 0.3, 0.9], {"sex": list("ffmm")}, groups=["a", "a", "b", "c"], n_resamples=100
    )
    assert np.isnan(found["sex", "female"].metrics["auc"].value)
    assert found["sex", "male"].metrics["auc"].value == 1


def test_groups_can_be_read_and_asked(data):
    y_true, y_score, table = data
    found = measure_subgroups(y_true, y_score, table[["sex"]], n_resamples=100)
    text = str(found)
    rows = [line for line in text.splitlines() if line.startswith(("  sex", "  group"))]
    assert len(rows) == 4
    assert len({len(row) for row in rows}) == 1, "columns are aligned"
    assert "Among 3 groups some differ by chance alone" in text
    lines = [line for line in found.to_markdown().splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    frame = found.to_frame()
    assert list(frame["value"]) == ["female", "male", NOT_GIVEN]
    assert {*LABELS, "auc_low", "auc_high"} <= set(frame)
    assert repr(found) == "Subgroups(3 groups by sex)"
    assert len(found) == 3
    with pytest.raises(UnknownNameError, match="Did you mean"):
        found["sex", "femal"]


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"table": {"age": range(4)}, "bands": {"ages": [2]}}, UnknownNameError, "Unknown column 'ages'.*'age'"),
        ({"table": {"age": range(4)}, "bands": {"age": [3, 2]}}, ParameterError, "rising numbers"),
        ({"table": {"age": range(4)}, "bands": {"age": []}}, ParameterError, "rising numbers"),
        ({"table": {"age": list("abcd")}, "bands": {"age": [2]}}, ParameterError, "bands need a column of numbers"),
        ({"table": {"age": range(3)}}, ParameterError, "table has 3"),
        ({"y_score": [0.1, np.nan, 0.3, 0.4]}, ParameterError, "NaN for 1 of 4 images"),
        ({"groups": ["a"]}, ParameterError, "groups has 1"),
        ({"threshold": 2}, ParameterError, "threshold must be a number from 0 to 1"),
    ],
)
def test_tables_that_cannot_be_grouped_by(changed, error, message):
    arguments = {"y_true": [0, 1, 0, 1], "y_score": [0.1, 0.2, 0.3, 0.4], "table": {"sex": list("fmfm")}}
    with pytest.raises(error, match=message):
        measure_subgroups(**(arguments | changed))


def test_a_column_of_identifiers_is_no_grouping():
    sizes = {"size": [str(number) for number in range(62)]}
    with pytest.raises(ParameterError, match=r"its numbers are text: .*pandas\.to_numeric\(table\['size'\]\)"):
        measure_subgroups([0, 1] * 31, [0.2, 0.7] * 31, sizes)
    with pytest.raises(ParameterError, match=r"lesion has 31 values, more than 30.*leave the column out"):
        measure_subgroups(np.arange(31) % 2, np.full(31, 0.5), {"lesion": [f"IL_{row}" for row in range(31)]})


# -- what a table says, as a dataset reads it --------------------------------------------------------------------------

AGES_AND_SEXES = {
    "words for missing": ("sex", ["female", "male", "W", "M", "nan", "?", "-1", ""], {"female": 2, "male": 2, "": 4}),
    "another name": ("Geschlecht", ["w", "m", "weiblich", None], {"female": 2, "male": 1, "": 1}),
    "further sexes": ("gender", ["F", "M", "divers", 9], {"divers": 1, "female": 1, "male": 1, "": 1}),
    "codes of sexes": ("sex", [0, 1, -1, 1], {"0": 1, "1": 2, "": 1}),
    "codes as text": ("sex", ["1", "2", "-1", "2"], {"1": 1, "2": 2, "": 1}),
    "hombre y mujer": ("sexo", ["H", "M", "H", "M"], {"female": 2, "male": 2}),
    "numbers for missing": ("age", [45, 999, -1, 85], {"45": 1, "85": 1, "": 2}),
    "ages as text": ("age_approx", ["45 years", "85+", "999", "unknown"], {"45": 1, "85": 1, "": 2}),
    "bands of ages": ("age", ["<30", "30-50", ">50", "?"], {"30-50": 1, "<30": 1, ">50": 1, "": 1}),
    "ages in days": ("age", [16000, 17000, 18000, 18000], {"16000": 1, "17000": 1, "18000": 2}),
    "scaled ages": ("age", [-1.2, 0.3, 0.7, 0.7], {"-1.2": 1, "0.3": 1, "0.7": 2}),
    "old or not": ("age", [True, False, True, True], {"False": 1, "True": 3}),
    "any column": ("site", ["back", "unknown", "arm", "n/a"], {"arm": 1, "back": 1, "": 2}),
    "none is an answer": ("hair", ["none", "some", "None", "?"], {"none": 1, "some": 1, "": 2}),
    "numbers of any column": ("skin type", [1, 2, -1, 2], {"-1": 1, "1": 1, "2": 2}),
}


@pytest.mark.parametrize("kind", AGES_AND_SEXES)
@pytest.mark.parametrize("make", [list, pd.Categorical, pd.Series], ids=["list", "categories", "column"])
def test_what_is_missing_is_not_given_and_ages_and_sexes_are_read(kind, make):
    name, values, sizes = AGES_AND_SEXES[kind]
    n = len(values) // 2
    found = measure_subgroups([0, 1] * n, [0.2, 0.7] * n, pd.DataFrame({name: make(values)}), n_resamples=100)
    assert {row.value: row.n for row in found} == {word or NOT_GIVEN: size for word, size in sizes.items()}


def test_numbers_that_may_be_missing_are_read_too():
    table = pd.DataFrame({name: pd.array([45, None, -1, 85], dtype="Int64") for name in ("age", "sex", "size")})
    found = measure_subgroups([0, 1] * 2, [0.2, 0.7] * 2, table, n_resamples=100)
    sizes = {column: {row.value: row.n for row in found if row.column == column} for column in table}
    assert sizes["age"] == sizes["sex"] == {"45": 1, "85": 1, NOT_GIVEN: 2}
    assert sizes["size"] == {"-1": 1, "45": 1, "85": 1, NOT_GIVEN: 1}


def test_codes_and_cuts_of_many_digits_stay_apart():
    table = pd.DataFrame({"centre": [1000001, 1000002, 1000002, None], "pixels": [1048576, 1048577, 10.5, 1048576]})
    found = measure_subgroups([0, 1] * 2, [0.2, 0.7] * 2, table, bands={"pixels": (10.5, 1048577)}, n_resamples=100)
    assert [(row.value, row.n) for row in found] == [
        *(("1000001", 1), ("1000002", 2), ("not given", 1)),
        *(("10.5 to below 1048577", 3), ("1048577 and above", 1)),
    ]


def test_bands_are_of_ages_that_are_text():
    ages = {"age": ["45", "85+", "999", "20"]}
    found = measure_subgroups([0, 1] * 2, [0.2, 0.7] * 2, ages, bands={"age": [50]}, n_resamples=100)
    assert [(row.value, row.n) for row in found] == [("below 50", 2), ("50 and above", 1), (NOT_GIVEN, 1)]


def test_one_patient_in_two_spellings_is_one_and_odd_cells_are_left_out():
    patients = ["p1", "P 1"] * 4 + [f"q{row // 2}" for row in range(32)]
    table = {
        "site": ["arm"] * 8 + ["leg"] * 32,
        "tags": [["new"]] * 40,
        "seen": [1, pd.Timestamp("2020-01-01"), "later", True] * 10,
    }
    report = MetricsReport.from_scores(np.arange(40) % 2, np.linspace(0, 1, 40), groups=patients, n_resamples=100)
    found = report.subgroups(table)
    assert found.left_out == {"tags": "no words or numbers"}
    arm = next(row for row in found if row.value == "arm")
    assert arm.metrics["auc"].method == "undefined", "all its images are of one patient"
    assert [row.value for row in found if row.column == "seen"] == ["1", "2020-01-01 00:00:00", "later"]
    with pytest.raises(ParameterError, match="tags holds list; groups need words or numbers"):
        report.subgroups(table, by="tags")
