"""What a table says of an image beside its label: nothing that contradicts a label passes in silence."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from melanoma_tl import ISBIDataset
from melanoma_tl.errors import DatasetError, MelanomaTLError


def read(columns, **options):
    table = pd.DataFrame(columns)
    table.insert(0, "image", [f"i{row}" for row in range(len(table))])
    return ISBIDataset.from_frame(table, labels_only=True, name="mine", **options)


def skipped(columns, **options):
    dataset = read(columns, on_error="skip", **options)
    return {row.image_id: row.reason for row in dataset.skipped}


# -- melanoma, and any cancer beside it --------------------------------------------------------------------------------

MALIGNANCY = {
    "malignant": [0, 1, 1, 0],
    "is_malignant": [False, True, True, False],
    "benign_malignant": ["benign", "malignant", "malignant", "benign"],
    "Malignant": ["no", "yes", "yes", None],
    "cancer": [0.0, 1.0, 1.0, 0.0],
}


@pytest.mark.parametrize("column", MALIGNANCY)
@pytest.mark.parametrize("melanoma", ["melanoma", "is_melanoma", "Melanom", "Mélanome"])
def test_melanoma_is_asked_where_malignancy_stands_beside_it(melanoma, column):
    for table in (
        {melanoma: [0, 1, 0, 0], column: MALIGNANCY[column]},
        {column: MALIGNANCY[column], melanoma: [0, 1, 0, 0]},
    ):
        dataset = read(table)
        assert dataset.labels.tolist() == [0, 1, 0, 0]
        assert column in dataset.metadata


@pytest.mark.parametrize("column", MALIGNANCY)
@pytest.mark.parametrize("given", [None, "melanoma"])
def test_a_melanoma_that_is_not_malignant_stops_the_read(column, given):
    table = {"melanoma": [1, 1, 0, 0], column: MALIGNANCY[column]}
    with pytest.raises(DatasetError, match=f"1 of 4 rows .*i0: labelled 1, but '{column}' says "):
        read(table, label_column=given)
    assert list(skipped(table, label_column=given)) == ["i0"]


def test_malignant_as_the_label_is_no_melanoma_where_a_column_says_so():
    reasons = skipped({"melanoma": [0, 1, 0], "malignant": [0, 1, 1]}, label_column="malignant")
    assert reasons == {
        "i2": "labelled 1, but 'melanoma' says '0', which is no melanoma: take the diagnosis for the label"
    }


@pytest.mark.parametrize(
    ("other", "cells"),
    [
        ("bcc", [0, 1, 0]),
        ("SCC", ["no", "yes", "no"]),
        ("Basaliom", ["nein", "ja", "nein"]),
        ("benign", [1, 1, 1]),
        ("non_melanoma", [1, 1, 1]),
        ("malignant", [0, 0, 0]),
        ("benign_malignant", ["benign", "benign", "benign"]),
    ],
)
def test_answers_that_leave_no_room_for_a_melanoma(other, cells):
    assert list(skipped({"label": ["nevus", "melanoma", "nevus"], other: cells})) == ["i1"]


@pytest.mark.parametrize("other", ["nevus", "freckles", "moles", "cancer_history", "family history of melanoma", "mm"])
def test_answers_that_leave_room_for_it_do_not(other):
    cells = [0, 2, 1] if other == "mm" else [0, 1, 1]  # the thickness, and not the code
    assert read({"label": ["nevus", "melanoma", "nevus"], other: cells}).labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("malignant", [1, 1, 1, 0]),
        ("benign_malignant", ["malignant", "malignant", "malignant", "benign"]),
        ("diagnosis_1", ["Malignant", "Malignant", "Malignant", "Benign"]),
        ("Krebs", ["ja", "ja", "ja", "nein"]),
    ],
)
@pytest.mark.parametrize("label", ["dx", "diagnosis"])
def test_what_is_never_malignant_and_is_called_so_is_listed(column, cells, label):
    """Of a keratoacanthoma some sources say malignant, others benign: neither makes it a melanoma."""
    table = {label: ["Nevus", "Keratoacanthoma", "Actinic keratosis", "Nevus"], column: cells}
    assert list(skipped(table, label_column=label)) == ["i0"]
    table[label] = ["seborrheic keratosis", "BCC", "melanoma", "dermatofibroma"]
    assert list(skipped(table, label_column=label)) == ["i0"]
    table[label] = ["nv", "AK", "lymphoma", "nv"]
    assert list(skipped(table, label_column=label)) == ["i0"]


def test_benign_as_the_name_of_a_class_is_no_diagnosis():
    table = {"label": ["benign", "melanoma"], "diagnosis": ["malignant", "melanoma"]}
    assert read(table, label_column="label").labels.tolist() == [0, 1]


def test_levels_that_contradict_each_other_are_listed():
    levels = {
        "diagnosis_1": ["Malignant", "Malignant", "Malignant", "Benign", "Malignant"],
        "diagnosis_2": ["", "Malignant epidermal proliferations", "", "", "Malignant melanocytic proliferations"],
        "diagnosis_3": ["Nevus", "Keratoacanthoma", "Actinic keratosis", "Nevus", "Nevus, Blue"],
    }
    assert list(skipped(levels)) == ["i0", "i4"]
    assert "diagnosed as 'Nevus' and diagnosed as 'Malignant'" in skipped(levels)["i0"]


def test_answers_contradict_a_diagnosis_too():
    reasons = skipped({"dx": ["mel", "mel", "bcc"], "melanoma": [1, 0, 0]}, label_column="dx")
    assert reasons == {"i1": "labelled 'mel', but 'melanoma' says '0'"}


def test_answers_of_something_benign_do_not_tell_cancers_apart(caplog):
    assert read({"malignant": [0, 1, 0], "benign": [1, 0, 1]}, label_column="malignant").labels.tolist() == [0, 1, 0]
    assert "no diagnosis tells melanomas from other cancers" in caplog.text


# -- other cancers in columns that nobody called a diagnosis -----------------------------------------------------------


@pytest.mark.parametrize("column", ["Histo", "comment", "subtype", "Histologischer Befund", "note"])
@pytest.mark.parametrize("cancer", ["BCC", "Basalzellkarzinom", "squamous cell carcinoma", "carcinome basocellulaire"])
def test_malignant_is_not_taken_for_melanoma_beside_another_cancer(column, cancer):
    table = {"label": ["malignant", "benign", "malignant"], column: ["melanoma", "nevus", cancer]}
    with pytest.raises(DatasetError, match=f"i2: labelled 'malignant', but '{column}' says '{cancer}': if that is the"):
        read(table)
    table["label"] = [1, 0, 1]
    assert list(skipped({"malignant": table["label"], column: table[column]})) == ["i2"]
    with pytest.raises(DatasetError, match=f"diagnosed as '{cancer}'"):
        read(table, diagnosis_column=column)


@pytest.mark.parametrize("note", ["history of BCC", "no carcinoma", "BCC?", "excised", ""])
def test_other_notes_do_not_hinder(note):
    assert read({"label": ["malignant", "benign"], "note": [note, "BCC on the other arm"]}).labels.tolist() == [1, 0]


def test_a_label_that_says_melanoma_is_believed_beside_a_note():
    assert read({"label": ["melanoma", "benign"], "note": ["BCC", ""]}).labels.tolist() == [1, 0]


# -- names of labels that are none -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"x": [10.5, 20, 30], "y": [4.5, 0, 1]},
        {"X": [1, 2, 3], "Y": [0, 1, 1]},
        {"x": ["1,5", "2", "3"], "y": [0, 1, 0]},
        {"class": ["a", "b", "c"]},
        {"target": ["arm", "leg", "back"]},
        {"label": ["train", "test", "train"]},
        {"label": [None, None, None]},
        {"y": [0.25, 0.5, 0.75], "class": ["I", "II", "III"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("diagnosis", ["dx", "diagnosis", "diagnosis_3", "Histologie"])
def test_beside_a_diagnosis_what_says_nothing_is_no_label(diagnosis, other, caplog):
    assert read({diagnosis: ["nv", "mel", "bcc"]} | other).labels.tolist() == [0, 1, 0]
    assert ("is not the label: the diagnosis is" in caplog.text) == ("x" not in map(str.lower, other))


def test_coordinates_are_no_labels_and_paths_no_coordinates():
    with pytest.raises(DatasetError, match="the header must name the column 'label'"):
        read({"x": [1, 2], "y": [0, 1]})
    assert read({"x": [1, 2], "y": [0, 1]}, label_column="y").labels.tolist() == [0, 1]
    assert read({"x": ["a.jpg", "b.jpg"], "y": [0, 1]}).labels.tolist() == [0, 1]


def test_a_rule_of_the_users_reads_the_label_even_beside_a_diagnosis():
    table = {"dx": ["nv", "mel", "bcc"], "class": ["a", "b", "c"]}
    assert read(table, positive="b").labels.tolist() == [0, 1, 0]
    assert read(table, label_map={"a": 0, "b": 1, "c": 0}).labels.tolist() == [0, 1, 0]
    with pytest.raises(DatasetError, match="unknown label 'a'"):
        read(table, label_column="class")


@pytest.mark.parametrize("label", [None, "benign_malignant", "melanoma"])
def test_levels_of_a_diagnosis_that_contradict_each_other(label):
    table = {
        "diagnosis_1": ["Malignant", "Benign", "Benign", "Malignant"],
        "diagnosis_2": ["Malignant melanocytic proliferations (Melanoma)", "", "Benign melanocytic proliferations", ""],
        "diagnosis_3": ["Melanoma in situ", "Melanoma Invasive", "Nevus", "Basal cell carcinoma"],
    }
    answers = {"benign_malignant": ["malignant", "malignant", "benign", "benign"], "melanoma": [1, 1, 0, 0]}
    dataset = read(table | ({} if label is None else {label: answers[label]}), on_error="skip")
    assert dataset.labels.tolist() == [1, 0, 0]
    (row,) = dataset.skipped
    assert row.image_id == "i1"
    assert "'Melanoma Invasive' and diagnosed as 'Benign'" in row.reason


CELLS = {
    "melanoma": [0, 1],
    "is_melanoma": ["yes", "no"],
    "malignant": [0, 1],
    "benign_malignant": ["benign", "malignant"],
    "dx": ["nv", "mel", "bcc", "nevus", "melanoma?", "unknown", None],
    "diagnosis_1": ["Benign", "Malignant", "Indeterminate", None],
    "diagnosis_3": ["Nevus", "Melanoma Invasive", "Basal cell carcinoma", None],
    "target": [0, 1, 2],
    "x": [1, 2, 3],
    "y": [0, 1, 3.5],
    "label": ["benign", "melanoma", "malignant", "A", None],
    "class": ["a", "b"],
    "bcc": [0, 1],
    "benign": [0, 1],
    "nevus": [0, 1],
    "comment": ["BCC", "", "no melanoma", "history of melanoma", "Melanom"],
    "patient": [1, 2, None],
}
SAYS = {
    "melanoma": {0: 0, 1: 1},
    "is_melanoma": {"no": 0, "yes": 1},
    "malignant": {0: 0},
    "benign_malignant": {"benign": 0},
    "dx": {"nv": 0, "nevus": 0, "bcc": 0, "mel": 1},
    "diagnosis_1": {"Benign": 0},
    "diagnosis_3": {"Nevus": 0, "Basal cell carcinoma": 0, "Melanoma Invasive": 1},
    "bcc": {1: 0},
    "benign": {1: 0},
}
"""What a plain reader knows of a row, whatever the label."""


@pytest.mark.slow
@given(st.data())
@settings(max_examples=300)
def test_no_table_gives_a_label_that_one_of_its_columns_contradicts(data):
    columns = data.draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=6, unique=True))
    n = data.draw(st.integers(1, 4))
    table = {name: data.draw(st.lists(st.sampled_from(CELLS[name]), min_size=n, max_size=n)) for name in columns}
    try:
        dataset = read(table, on_error="skip")
    except MelanomaTLError:
        return
    for image_id, label in zip(dataset.image_ids, dataset.labels, strict=True):
        row = int(image_id[1:])
        said = {SAYS[name][table[name][row]] for name in columns if table[name][row] in SAYS.get(name, {})}
        assert said <= {label}, {name: table[name][row] for name in columns}
