"""Tables of users' own: whatever program wrote them and whatever their columns are called, nothing is misread."""

import csv
import io
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets.columns import arrange
from melanoma_tl.datasets.table_labels import read_labels
from melanoma_tl.datasets.text_tables import read_table
from melanoma_tl.errors import DatasetError, MelanomaTLError, ParameterError, UnknownNameError
from melanoma_tl.labels.cells import find_crowd, read_ages, read_ids, read_sexes


def frame(**columns):
    n = len(next(iter(columns.values())))
    return pd.DataFrame({"image_id": [f"i{k}" for k in range(n)]} | columns)


def read(table, **options):
    return ISBIDataset.from_frame(table, labels_only=True, **options)


def reasons(dataset):
    return {row.image_id: row.reason for row in dataset.skipped}


# -- dialect and encoding ----------------------------------------------------------------------------------------------

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "cp1252"]
MISSING = ["", "NA", "n/a", "-1", "?", "missing", "#N/A", "<NA>", "nan", "None"]


@pytest.mark.parametrize(
    ("encoding", "separator", "declared"), [*product(ENCODINGS, [",", ";", "\t", "|"], [False, True])]
)
def test_any_dialect_gives_the_same_dataset(tmp_path, encoding, separator, declared):
    n = len(MISSING)
    table = frame(
        label=["benign", "melanoma"] * (n // 2),
        PatientID=MISSING,
        age=["45,5" if separator == ";" else "45.5", *["60"] * (n - 1)],
        site=["Rücken", *["a, b; c|d"] * (n - 1)],
    )
    text = f"sep={separator}\n" * declared + table.to_csv(index=False, sep=separator)
    (tmp_path / "mine.csv").write_bytes(text.encode(encoding))
    for options in ({}, {"sep": separator, "encoding": encoding}):
        dataset = ISBIDataset.from_csv(tmp_path / "mine.csv", labels_only=True, **options)
        assert dataset.image_ids.tolist() == table["image_id"].tolist()
        assert dataset.labels.tolist() == [0, 1] * (n // 2)
        assert dataset.metadata["patient_id"].tolist() == [None] * n
        assert dataset.metadata["age"].tolist() == [45.5, *[60.0] * (n - 1)]
        assert dataset.metadata["site"].tolist() == table["site"].tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image_id,label\n\xe3\xeb\xe0,0\n", "no UTF-8, and nothing says what else"),
        ("image_id,label\nétat,0\n".encode("mac-roman"), "no UTF-8, and nothing says what else"),
        ("image_id,label\nmüde,0\n".encode("cp850"), "no UTF-8, and nothing says what else"),
        ("image_id,label\nzażółć,0\n".encode("cp1250"), "no UTF-8, and nothing says what else"),
        ("image_id,label\n病,0\n".encode("shift-jis"), "no UTF-8, and nothing says what else"),
        ("image_id,label\nA,0\n".encode("utf-16-be"), "looks like utf-16-be: pass encoding='utf-16-be'"),
        ("image_id,label\nÄ,Nävus\n".encode("utf-16-be"), "looks like utf-16-be: pass encoding='utf-16-be'"),
        ("image_id,label\nÄ,Nävus\nó,1\n".encode("utf-16-le"), "looks like utf-16-le: pass encoding='utf-16-le'"),
        ("image_id,label\nÄ,Nävus\n".encode("utf-32-le"), "looks like utf-32-le"),
        (b"image_id,label\nA\0,\xf3\n", "NUL bytes; give its encoding="),
        (b"image_id,label;site\nA,0;back\n", "',' and ';' would both make a table of it: say which with sep="),
        (b"image_id label\nA 0\n", "must name the column 'image_id'"),
        (b"image_id;label\nA;0\nB,1\n", "2 columns at first, but 1"),
    ],
)
def test_a_guess_that_may_be_wrong_is_an_error(tmp_path, content, message):
    (tmp_path / "mine.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        ISBIDataset.from_csv(tmp_path / "mine.csv", labels_only=True)


def test_what_is_given_is_not_guessed(tmp_path):
    (tmp_path / "mine.csv").write_text("image_id,label;site\nA,0;back\n", encoding="utf-16-le")
    with pytest.raises(DatasetError, match="column 'image_id'"):
        ISBIDataset.from_csv(tmp_path / "mine.csv", sep=";", encoding="utf-16-le")
    assert read_table(tmp_path / "mine.csv", separator=",", encoding="utf-16-le").shape == (1, 2)
    for options in ({"encoding": "nonsense"}, {"sep": ""}, {"sep": '"'}, {"sep": 3}):
        with pytest.raises(ParameterError, match="must be"):
            ISBIDataset.from_csv(tmp_path / "mine.csv", **options)
    with pytest.raises(DatasetError, match="not a CSV file"):
        ISBIDataset.from_csv(tmp_path / "mine.csv", encoding="ascii")
    with pytest.raises(DatasetError, match="no line begins with ', '"):
        ISBIDataset.from_csv(tmp_path / "mine.csv", encoding="utf-16-le", sep=", ")


def is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@given(
    rows=st.lists(st.tuples(*[st.text(st.characters(codec="cp1252"), max_size=5)] * 3), min_size=1, max_size=6),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(ENCODINGS),
)
def test_what_the_csv_module_writes_is_read_as_it_was_or_refused(tmp_path_factory, rows, separator, encoding):
    file = tmp_path_factory.mktemp("csv") / "t.csv"
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows([("image_id", "label", "note"), *rows])
    content = text.getvalue().encode(encoding)
    assume(encoding != "cp1252" or content.isascii() or not is_utf8(content))  # else nobody can tell which it is
    file.write_bytes(content)
    try:
        table = read_table(file)
    except DatasetError:
        return
    assert table.columns.tolist() == ["image_id", "label", "note"]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert table.to_numpy().tolist() == [row for row in cells if any(row)]


# -- columns -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["patient_id", "patient", "PatientID", "Patient ID", "subject_id", "pid", "PATIENT-ID", "Patienten-ID", "mrn"],
)
def test_patients_are_known_whatever_the_column_is_called(name):
    table = frame(label=[0, 1] * 6)
    table[name] = np.repeat([11, 12, 13, 14], 3)
    dataset = read(table)
    assert dataset.metadata["patient_id"].tolist() == [str(number) for number in table[name]]
    assert name == "patient_id" or name not in dataset.metadata
    train, test = dataset.split(0.5, random_state=0)
    assert not set(train.metadata["patient_id"]) & set(test.metadata["patient_id"])


@pytest.mark.parametrize("name", ["lesion_id", "lesion", "LesionID", "Läsions-ID", "lesion no", "mole_id"])
def test_so_are_lesions(name):
    table = frame(label=[0, 1, 0, 1])
    table[name] = ["L1", "L1", "L2", "unknown"]
    assert read(table).metadata["lesion_id"].tolist() == ["L1", "L1", "L2", None]


@pytest.mark.parametrize("name", ["num_lesions", "lesions", "number_lesions", "Lesions", "no. lesions"])
def test_a_number_of_lesions_is_no_lesion(name):
    assert "lesion_id" not in read(frame(label=[0, 1, 0, 1], **{name: [1, 1, 2, 3]})).metadata


@pytest.mark.parametrize("name", ["isic_id", "image", "image_name", "img_id", "Image ID", "filename", "Bild"])
def test_and_images(name):
    table = pd.DataFrame({name: ["a.jpg", "b.jpg"], "label": [0, 1]})
    assert read(table).image_ids.tolist() == ["a", "b"]


def test_columns_that_the_user_names():
    table = pd.DataFrame({"x": ["a", "b"], "y1": ["mel", "nv"], "z": [1, 1], "u": [5, 6], "w": ["melanoma", "naevus"]})
    names = {"id": "x", "label": "y1", "patient": "z", "lesion": "u", "diagnosis": "w"}
    dataset = read(table, **{f"{role}_column": name for role, name in names.items()})
    assert dataset.to_frame().drop(columns="path").to_dict("list") == {
        "image_id": ["a", "b"],
        "label": [1, 0],
        "diagnosis": ["melanoma", "naevus"],
        "patient_id": ["1", "1"],
        "lesion_id": ["5", "6"],
    }
    with pytest.raises(DatasetError, match="must name the column 'nothing'"):
        read(table, id_column="nothing")
    with pytest.raises(DatasetError, match=r"must name the column 'LABEL', got .*; did you mean 'label'\?"):
        read(frame(label=[0, 1]), label_column="LABEL")


@pytest.mark.parametrize(
    ("columns", "parameter"),
    [
        ({"patient": [1, 1], "subject_id": [1, 2]}, "patient_column="),
        ({"patient_id": [1, 1], "PatientID": [1, 2]}, "patient_column="),
        ({"isic_id": ["x", "y"]}, "id_column="),
        ({"target": [1, 1]}, "label_column="),
        ({"lesion": ["a", "a"], "LesionID": ["a", "b"]}, "lesion_column="),
    ],
)
def test_two_columns_that_disagree_are_named(columns, parameter):
    table = frame(label=[0, 1], **columns)
    with pytest.raises(DatasetError, match=f"could each be the .*{parameter}"):
        read(table)


def test_two_columns_that_agree_or_of_which_one_is_empty_are_one():
    table = frame(label=[0, 1], patient=[7, 8], subject=["p7", "p8"], lesion_id=["?", ""], LesionID=["a", "b"])
    assert read(table).metadata["patient_id"].tolist() == ["7", "8"]
    assert read(table).metadata["lesion_id"].tolist() == ["a", "b"]


def test_a_column_that_looks_like_patients_and_is_not_used_is_said(caplog):
    n = 12
    looks = {"patient_group": np.repeat(["x", "y", "z", "u"], 3), "grp": [f"PAT_{k // 2}" for k in range(n)]}
    looks |= {name: [f"{4711 + k // 2}" for k in range(n)] for name in ("KIS-Nr", "hash", "Kennung", "blob_key")}
    for name, values in looks.items():
        caplog.clear()
        read(frame(label=[0, 1] * 6, **{name: values}))
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert f"'{name}'" in caplog.text
        assert "patient_column=" in caplog.text
    caplog.clear()
    others = {"camera": ["X1", "X2"] * 6, "patient_age": [30, 40, 50] * 4, "lesion": ["bcc", "melanoma", "nevus"] * 4}
    others |= {"Verano": list(range(6)) * 2, "terminal_id": [1, 2] * 6, "row_id": list(range(n))}
    read(frame(label=[0, 1, 0] * 4, **others))
    assert "come back" not in caplog.text.replace("'lesion'", "")


@pytest.mark.parametrize(
    ("column", "n_groups"),
    [*((name, 100) for name in ("hospital_no", "HospitalNo", "nhs_number", "Pt", "ptno", "cpf", "Histonummer",
                                "Eingangsnr", "surname")),
     *((name, 10) for name in ("client", "study", "Aktenzeichen")), ("patient_group", 3)],
)  # fmt: skip
def test_patients_of_many_images_are_said(column, n_groups, caplog):
    table = frame(label=[0, 1] * 800, **{column: [f"{4711 + k % n_groups}" for k in range(1600)]})
    data = read(table)
    assert f"values of the column '{column}' come back" in caplog.text
    caplog.clear()
    again = [data[::2] + data[1::2], ISBIDataset.concat([data[:800], data[800:]], name="both")]
    assert not caplog.text, "of sets that were made of it nothing is said again"
    ISBIDataset(data.image_ids, None, data.labels, metadata=again[0].metadata)
    assert "come back" in caplog.text


def test_columns_of_other_things_are_no_patients(caplog):
    n = 1200
    others = {
        name: [f"{word}/{k % count}" for k in range(n)]
        for name, word, count in (
            ("lesion_location", "back", 30),
            ("fitzpatrick_scale", "skin", 6),
            ("patient_skin_type", "type", 6),
            ("patient_country", "land", 20),
            ("global_pattern", "net", 12),
            ("device_name", "Olympus", 12),
            ("study", "trial", 3),
            ("comment", "said", 300),
            ("Charakter", "kind", 30),
        )
    }
    others |= {"lesion_diameter_mm": [k % 25 for k in range(n)], "hospital_no": [k % 4 for k in range(n)]}
    others |= {"lesion_score": [k % 25 / 10 for k in range(n)], "zip_code": [10000 + k % 99 for k in range(n)]}
    read(frame(label=[0, 1] * 600, **others))
    assert not caplog.text


def test_a_person_ref_is_a_patient():
    assert read(frame(label=[0, 1], person_ref=["a", "b"])).metadata["patient_id"].tolist() == ["a", "b"]


# -- the constructor ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "role"), [("PatientID", "patient_id"), ("patient", "patient_id"), ("lesion", "lesion_id")]
)
def test_the_constructor_says_what_to_call_a_column_of_patients(column, role, caplog):
    facts = pd.DataFrame({column: [f"P{k // 2}" for k in range(40)]})
    ids = [f"i{k}" for k in range(40)]
    data = ISBIDataset(ids, None, [0, 1] * 20, metadata=facts)
    assert f"the column '{column}' come back" in caplog.text
    assert role in caplog.text
    assert column in data.metadata
    caplog.clear()
    ISBIDataset(ids, None, [0, 1] * 20, metadata=facts.assign(patient_id=facts[column], lesion_id=ids))
    assert not caplog.text


def test_the_constructor_reads_ages_and_sexes_as_a_table_is_read(caplog):
    def made(**facts):
        return ISBIDataset(list("abcd"), None, [0, 1, 0, 1], metadata=pd.DataFrame(facts)).metadata

    facts = made(age=["45 years", 999, -1, 30], sex=["W", "m", None, "female"])
    assert facts["age"].dtype == np.float64
    assert np.array_equal(facts["age"], [45, np.nan, np.nan, 30], equal_nan=True)
    assert facts["sex"].tolist() == ["female", "male", None, "female"]
    assert "counts as missing: age of 2 rows ('999', '-1')" in caplog.text
    caplog.clear()
    assert made(age=[45, 30, 0, 120])["age"].tolist() == [45.0, 30.0, 0.0, 120.0]
    assert made(age=pd.array([45, None, 3, 4], dtype="Int64"))["age"].isna().tolist() == [False, True, False, False]
    bands = ["<40", "40-60", ">60", "40-60"]
    assert made(age=bands)["age"].tolist() == bands, "what a user divides by is kept"
    assert made(sex=["d", "W", "M", "x"])["sex"].tolist() == ["d", "W", "M", "x"]
    assert not caplog.text


@pytest.mark.parametrize(
    "diagnoses", [pd.Categorical(["nv", "mel"], categories=["nv", "NV", "mel"]), [["nv"], ["nv", "mel"]]]
)
def test_diagnoses_of_any_type_are_taken_as_they_are(diagnoses, caplog):
    metadata = pd.DataFrame({"diagnosis": pd.Series(diagnoses)})
    made = ISBIDataset(["a", "b"], None, [0, 1], metadata=metadata)
    assert made.metadata["diagnosis"].tolist() == list(diagnoses)
    assert not caplog.text, "no image has what is not there"


def test_the_constructor_says_which_patients_count_as_missing(caplog):
    metadata = pd.DataFrame({"patient_id": ["AB", "ND", "ND", None]})
    made = ISBIDataset(list("abcd"), None, [0, 1, 0, 1], metadata=metadata)
    assert made.metadata["patient_id"].tolist() == ["AB", None, None, None]
    assert "counts as missing: patient of 2 rows ('ND')" in caplog.text


# -- ids, sexes and ages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [*MISSING, None, np.nan, pd.NA, pd.NaT, -1, "0", 0, "-9", "unbekannt", " ? "])
def test_missing_patients_are_missing(missing):
    ids = pd.Series(["P1", "P2", missing, missing, missing, "P1"], dtype=object)
    dataset = read(frame(label=[0, 1] * 3, patient=ids))
    assert dataset.metadata["patient_id"].tolist() == ["P1", "P2", None, None, None, "P1"]


def test_a_patient_may_be_called_0():
    assert read_ids([0, 0, 1, 1, 2, 2]) == ["0", "0", "1", "1", "2", "2"]
    assert read_ids([0, 0, 0, 1, 1, 2]) == ["0", "0", "0", "1", "1", "2"], "no more often than a patient may be"
    assert read_ids([0] * 7 + [1, 1, 2]) == [None] * 7 + ["1", "1", "2"]
    assert read_ids(["000", "P1", "P1"]) == [None, "P1", "P1"]
    assert read_ids(["0", "0"]) == [None, None]
    assert read_ids(["7.0", 7.0, "07", np.int64(7)]) == ["7", "7", "07", "7"]


def test_sexes_in_several_languages():
    assert read_sexes(["W", "weiblich", "femme", "mujer", "donna", "FEMALE", "Féminin"]) == ["female"] * 7
    assert read_sexes(["M", "männlich", "homme", "hombre", "uomo", "Male "]) == ["male"] * 6
    assert read_sexes(["H", "M"]) == ["male", "female"]
    assert read_sexes(["1", "d", "", None, "unknown"]) == [None] * 5


def test_ages_that_are_plain_are_read():
    words = ["45", 45, "45 years", "45 Jahre", "45 ans", "45y", "85+", "45,5", "0", 120]
    assert read_ages(words) == [45, 45, 45, 45, 45, 45, 85, 45.5, 0, 120]
    words = [">85", "\u2265 85", ">=85", "45 y.o.", "45 y.o", "6 Monate", "18 months", "6 mois", "3 mo", "9 mesi"]
    assert read_ages(words) == [85, 85, 85, 45, 45, 0.5, 1.5, 0.5, 0.25, 0.75]
    assert np.isnan(read_ages(["-1", -1, 999, "999", "40-45", "6 m", "1e2", "inf", "", None, "sixty", ">121"])).all()


def test_what_is_not_understood_is_counted_once(caplog):
    read(frame(label=[0, 1, 0], age=[999, -1, 40], sex=["x", "f", "x"], patient=["a", "-1", "b"]))
    (record,) = caplog.records
    assert "age of 2 rows ('999', '-1'); sex of 2 rows ('x'); patient of 1 rows ('-1')" in record.getMessage()


def test_initials_that_mean_missing_are_counted_as_they_are_written(caplog):
    patients = ["NA", "A.B.", "K.A.", "NA", None, "", "N.D."]
    dataset = read(frame(label=[0, 1] * 3 + [0], patient=patients, lesion=["nil", *range(6)]))
    assert dataset.metadata["patient_id"].tolist() == [None, "A.B.", *[None] * 5]
    assert "patient of 4 rows ('NA', 'K.A.', 'N.D.'); lesion of 1 rows ('nil')" in caplog.text
    caplog.clear()
    read(frame(label=[0, 1, 0], patient=["A", None, np.nan]))
    assert not caplog.records


@pytest.mark.parametrize(
    "name",
    [
        *(
            "caso",
            "cas",
            "identifiant",
            "Fall",
            "identificador",
            "identificativo",
            "cartella",
            "expediente",
            "soggetto",
        ),
        *("sujet", "usuario", "Initialen", "nom", "cognome", "num_caso", "identifiant_patient", "cases"),
    ],
)
@pytest.mark.parametrize("ids", ["Anna,Ben,Cid,Dora,Eva,Fritz", "P1,P2,P3,P4,P5,P6", "101,102,103,104,105,106"])
def test_columns_of_patients_in_other_languages_are_used_or_named(caplog, name, ids):
    dataset = read(frame(label=[0, 1] * 6, **{name: ids.split(",") * 2}))
    is_used = name in ("caso", "cas", "Fall", "num_caso", "identifiant_patient")
    assert ("patient_id" in dataset.metadata) == is_used
    assert is_used or f"values of the column {name!r} come back" in caplog.text


# -- labels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "label_map"),
    [
        ([1, 0], {1: 1, 0: 0}),
        ([True, False], {True: 1, False: 0}),
        (["M", "B"], {"M": "melanoma", "B": "benign"}),
        (["1", "0"], {1.0: True, 0.0: False}),
        (["M", "B"], pd.Series({"M": 1, "B": 0})),
        (["M", "B"], lambda word: int(word == "M")),
        (["M", "B"], {"m ": 1, "b": 0}.get and (lambda word: {"M": "melanoma", "B": 0}[word])),
        (pd.Categorical(["M", "B"]), {"M": np.int64(1), "B": np.float64(0)}),
    ],
)
def test_label_maps_of_all_kinds(labels, label_map):
    assert read(frame(label=labels), label_map=label_map).labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        ("melanoma", "got str"),
        (["M"], "got list"),
        (3, "got int"),
        ({"M": 2}, r"label_map\['M'\] must be 0"),
        ({"M": "yes"}, r"label_map\['M'\] must be 0"),
        ({"M": 1, "m": 0}, "two things"),
        (lambda _: 2, "must be 0"),
        (lambda _: 1 / 0, "cannot read the label 'M': ZeroDivisionError"),
        ({"melanoma": 0, "M": 1}, "calls 'melanoma' benign"),
        ({"M": 1, "bcc": 1}, "calls 'bcc' melanoma"),
    ],
)
def test_other_label_maps_are_refused_by_name(label_map, message):
    with pytest.raises(ParameterError, match=message):
        read(frame(label=["M", "B"]), label_map=label_map)
    with pytest.raises(DatasetError, match="unknown label 'B'; known: 'M'"):
        read(frame(label=["M", "B"]), label_map={"M": 1})


def test_images_that_lie_elsewhere_are_asked_for(tmp_path):
    with pytest.raises(DatasetError, match=r"No image was found: say with image_dirs= where they are\. Put it right"):
        ISBIDataset.from_frame(frame(label=[0, 1]), image_dirs=[tmp_path])


def test_all_else_is_benign():
    dx = ["nv", "mel", "bkl", "zzz", None, "?"]
    dataset = read(frame(dx=dx), positive="mel", on_error="skip")
    assert dataset.labels.tolist() == [0, 1, 0, 0]
    assert reasons(dataset) == {"i4": "the label is missing", "i5": "the label is missing"}
    two = read(frame(label=[3, 1, 2]), positive=[1, 2])
    assert two.labels.tolist() == [0, 1, 1]
    with pytest.raises(UnknownNameError, match="Unknown label in positive 'mal'"):
        read(frame(dx=["nv", "mel"]), positive="mal")
    for word in ("melanoma", "MM", 1):
        with pytest.raises(UnknownNameError, match="The table writes melanoma as 'mel': give its own words, or leave"):
            read(frame(dx=["nv", "mel", "mal"]), positive=word)
    with pytest.raises(UnknownNameError, match="Did you mean 'Melanom'"):
        read(frame(dx=["nv", "Melanom"]), positive="MEL")
    with pytest.raises(UnknownNameError) as caught:
        read(frame(dx=["nv", "non-melanoma"]), positive="melanoma")
    assert "Did you mean" not in str(caught.value)
    with pytest.raises(ParameterError, match="positive calls 'melanoma in situ' benign"):
        read(frame(dx=["nv", "mel", "melanoma in situ"]), positive="mel")
    with pytest.raises(ParameterError, match="either label_map"):
        read(frame(dx=["nv", "mel"]), positive="mel", label_map={"nv": 0, "mel": 1})
    with pytest.raises(ParameterError, match="got none"):
        read(frame(dx=["nv", "mel"]), positive=[])


def test_answers_beside_other_classes_say_nothing():
    assert read_labels([0, 1, "maybe"], name="x")[:2] == [0, 1]
    assert read_labels(["0", "benign", "1", "melanoma"], name="x") == [0, 0, 1, 1]
    for words in ([0, 1, 2], ["-1", "0", "1"], ["1", "nevus"], ["no", "0", "1"]):
        assert "unknown label" in str(read_labels(words, name="x")[0])


# -- melanoma is not malignancy ----------------------------------------------------------------------------------------

ARCHIVE = pd.DataFrame(
    {
        "isic_id": [f"ISIC_{k}" for k in range(5)],
        "diagnosis_1": ["Malignant", "Malignant", "Benign", "Malignant", "Benign"],
        "diagnosis_2": [
            "Malignant melanocytic proliferations (Melanoma)",
            "Malignant epidermal proliferations",
            "Benign melanocytic proliferations",
            "Malignant adnexal epithelial proliferations - Follicular",
            "Benign epidermal proliferations",
        ],
        "diagnosis_3": ["Melanoma Invasive", "Squamous cell carcinoma, NOS", "Nevus", "Basal cell carcinoma", None],
    }
)


def test_the_archives_table_is_read_from_its_finest_level():
    dataset = read(ARCHIVE)
    assert dataset.labels.tolist() == [1, 0, 0, 0, 0]
    assert dataset.metadata["diagnosis"].tolist() == [
        *ARCHIVE["diagnosis_3"][:4],
        "Benign epidermal proliferations",
    ]


@pytest.mark.parametrize(
    ("column", "values", "label_column"),
    [
        ("diagnosis_1", None, "diagnosis_1"),
        ("benign_malignant", ["malignant", "malignant", "benign", "malignant", "benign"], None),
        ("target", [1, 1, 0, 1, 0], None),
        ("malignant", [True, True, False, True, False], None),
        ("label", ["malignant", "malignant", "benign", "malignant", "benign"], None),
        ("melanoma", [1, 1, 0, 1, 0], None),
    ],
)
def test_labels_of_malignancy_never_make_melanomas_of_carcinomas(column, values, label_column):
    table = ARCHIVE if values is None else ARCHIVE.assign(**{column: values})
    with pytest.raises(DatasetError, match=r"2 of 5 rows.*'Squamous cell carcinoma, NOS'.*'Basal cell carcinoma'"):
        read(table, label_column=label_column)
    dataset = read(table, label_column=label_column, on_error="skip")
    assert dict(zip(dataset.image_ids, dataset.labels, strict=True)) == {"ISIC_0": 1, "ISIC_2": 0, "ISIC_4": 0}
    assert set(reasons(dataset)) == {"ISIC_1", "ISIC_3"}


def test_contradictions_are_named_with_their_numbers():
    with pytest.raises(DatasetError, match=r"i0 and 2 more: labelled 'melanoma', but diagnosed as 'nevus'"):
        read(frame(label=["melanoma"] * 3 + ["benign"], dx=["nevus"] * 3 + ["nevus"]))
    with pytest.raises(DatasetError, match="labelled 'benign', but diagnosed as 'melanoma'"):
        read(frame(label=["benign", "benign"], diagnosis=["melanoma", "nevus"]))
    with pytest.raises(DatasetError, match="and no diagnosis says whether"):
        read(frame(label=["malignant", "malignant"], diagnosis=["melanoma", None]))
    with pytest.raises(DatasetError, match="contradict each other"):
        read(frame(label=[1, 0], dx=["mel", "nv"], diagnosis_3=["Nevus", "Nevus"]), diagnosis_column="dx")


def test_malignant_alone_is_taken_for_melanoma_with_a_warning(caplog):
    assert read(frame(label=["malignant", "benign"])).labels.tolist() == [1, 0]
    assert "no diagnosis tells melanomas from other cancers" in caplog.text
    caplog.clear()
    assert read(frame(target=[1, 0])).labels.tolist() == [1, 0]
    assert "no diagnosis tells" in caplog.text
    caplog.clear()
    assert read(frame(target=[1, 0], diagnosis=["melanoma", "unknown"])).labels.tolist() == [1, 0]
    assert not caplog.text


def test_several_diagnoses_come_back_in_the_users_own_words(tmp_path):
    words = ["nevus", "melanoma", "seborrheic_keratosis"]
    for column in ("label", "dx", "lesion type"):
        dataset = read(frame(**{column: words}), label_column=column)
        assert dataset.metadata["diagnosis"].tolist() == words
        assert dataset.labels.tolist() == [0, 1, 0]
    for number, word in enumerate(words):
        (tmp_path / word).mkdir()
        Image.new("RGB", (32, 32)).save(tmp_path / word / f"{number}.png")
    dataset = ISBIDataset.from_folder(tmp_path)
    assert dict(zip(dataset.image_ids, dataset.metadata["diagnosis"], strict=True)) == dict(
        zip("012", words, strict=True)
    )
    assert dataset.class_counts == {"benign": 2, "melanoma": 1}


# -- the constructor ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((["a", "b", "c"], None, [0.7, 0.2, 1.0]), "continuous"),
        ((["a", "b"], None, [0, 2]), "labels must be 0"),
        ((["a", "b"], None, ["benign", "melanoma"]), "labels must be 0"),
        ((["a", "b"], None, [0, np.nan]), "labels are missing"),
        ((["a", "b"], None, [[1, 0], [0, 1]]), "one-hot"),
        ((["a", "a"], None, [0, 1]), "several have 'a'"),
        (([1, 1], None, [0, 1]), "several have '1'"),
        ((["a", None], None, [0, 1]), "1 of 2 image_ids are missing"),
        ((["a", ""], None, [0, 1]), "1 of 2 image_ids are missing"),
        ((["a", "b"], ["a.png", np.nan], [0, 1]), "1 of 2 paths are missing"),
        ((["a", "b"], ["a.png", None], [0, 1]), "1 of 2 paths are missing"),
        (([["a"], ["b"]], None, [0, 1]), "shape"),
    ],
)
def test_a_dataset_is_checked_where_it_is_made(parts, message):
    with pytest.raises(DatasetError, match=message):
        ISBIDataset(*parts)


def test_metadata_are_checked_too():
    for column in ("label", "image_id", "path", 3):
        with pytest.raises(DatasetError, match="metadata must have columns of distinct names"):
            ISBIDataset(["a"], None, [0], metadata=pd.DataFrame({column: [1]}))
    with pytest.raises(DatasetError, match=r"must be a pandas\.DataFrame, got dict"):
        ISBIDataset(["a"], None, [0], metadata={"age": [1]})
    ids = pd.DataFrame({"patient_id": [7.0, "-1", "?", 7]})
    dataset = ISBIDataset(list("abcd"), None, [0, 1, 0, 1], metadata=ids)
    assert dataset.metadata["patient_id"].tolist() == ["7", None, None, "7"]


def test_labels_of_one_column_are_labels():
    assert ISBIDataset(["a", "b"], None, np.array([[0], [1]])).labels.tolist() == [0, 1]
    assert ISBIDataset(["a", "b"], None, [False, True]).labels.tolist() == [0, 1]
    assert ISBIDataset(["a", "b"], None, [0.0, 1.0]).labels.tolist() == [0, 1]
    assert len(ISBIDataset([], [], [])) == 0


def test_what_is_no_position_gives_a_plain_message():
    dataset = read(frame(label=[0, 1], age=[30, 40]))
    with pytest.raises(DatasetError, match=r"got 'age'; the column is dataset.metadata\['age'\]"):
        dataset["age"]
    for key in (1.5, ["a"], None, (0, 1.5), [[0, 1]], [True]):
        with pytest.raises(DatasetError, match=r"indexed with|mask"):
            dataset[key]
    assert dataset[[]].class_counts == {"benign": 0, "melanoma": 0}


def test_a_frame_is_no_file_and_a_file_no_frame(tmp_path):
    with pytest.raises(ParameterError, match="from_frame"):
        ISBIDataset.from_csv(frame(label=[0, 1]))
    for value in (3, None, ["a.csv"]):
        with pytest.raises(ParameterError, match="path must be"):
            ISBIDataset.from_csv(value)
    with pytest.raises(ParameterError, match="got str"):
        ISBIDataset.from_frame("labels.csv")
    for table in (pd.DataFrame(), pd.DataFrame({0: ["a"], 1: [1]}), frame(label=[0])[:0]):
        with pytest.raises(DatasetError):
            ISBIDataset.from_frame(table)


# -- together ----------------------------------------------------------------------------------------------------------


def test_datasets_are_put_together():
    first = read(frame(label=[0, 1, "?"], age=[30, 40, 50]), on_error="skip", name="first")
    second = ISBIDataset(["x"], None, [1], name="second", metadata=pd.DataFrame({"site": ["back"]}))
    both = first + second
    assert repr(both) == "ISBIDataset('first + second', 3 images: 1 benign, 2 melanoma; 1 skipped)"
    assert both.image_ids.tolist() == ["i0", "i1", "x"]
    assert both.metadata["age"].tolist()[:2] == [30.0, 40.0]
    assert both.metadata.isna().to_numpy().tolist() == [[False, True], [False, True], [True, False]]
    assert ISBIDataset.concat([first], name="one").name == "one"
    with pytest.raises(DatasetError, match="2 ids are in several datasets, such as 'i0'"):
        first + first
    with pytest.raises(DatasetError, match="1 of 2 datasets have no images"):
        first + ISBIDataset(["y"], ["y.png"], [0])
    for wrong in ([], [first, "x"]):
        with pytest.raises(ParameterError, match="datasets must be an ISBIDataset, or several in a list"):
            ISBIDataset.concat(wrong)
    with pytest.raises(TypeError):
        first + 3
    assert sum([first, second]).image_ids.tolist() == ["i0", "i1", "x"]
    twice = ISBIDataset.concat([first, ISBIDataset(["i0"], None, [1], name="other")], prefix_ids=True)
    assert twice.image_ids.tolist() == ["first/i0", "first/i1", "other/i0"]


def test_a_column_of_something_else_is_no_question_about_melanoma():
    for column in ("is_benign", "benign", "nevus", "NV", "nonmelanoma", "no_melanoma", "seborrheic_keratosis"):
        table = pd.DataFrame({"image": ["a", "b"], column: [1, 0]})
        with pytest.raises(ParameterError, match=f"the column '{column}' answers whether .* something else"):
            ISBIDataset.from_frame(table, label_column=column, labels_only=True)
        given = ISBIDataset.from_frame(table, label_column=column, positive=0, labels_only=True)
        assert given.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    "column", ["histology", "pathology", "final_diagnosis", "dx_full", "cell_type", "lesion_type", "Diagnose (Histo)"]
)
def test_a_diagnosis_is_compared_whatever_its_column_is_called(column):
    table = pd.DataFrame({"image": list("abc"), "label": [1, 1, 0], column: ["melanoma", "BCC", "Nävus"]})
    with pytest.raises(DatasetError, match="labelled 1, but diagnosed as 'BCC'"):
        ISBIDataset.from_frame(table, labels_only=True)


def test_words_that_the_table_tells_apart_are_not_merged():
    def read_words(words, **options):
        table = pd.DataFrame({"image": [f"i{n}" for n in range(len(words))], "label": words})
        return ISBIDataset.from_frame(table, labels_only=True, **options).labels.tolist()

    assert read_words(["A", "A-", "B"], positive="A-") == [0, 1, 0]
    assert read_words(["MEL", "mel ", "nv"], positive="mel") == [1, 1, 0]
    for options in ({"positive": "M"}, {"label_map": {"M": 1, "n": 0}}):
        with pytest.raises(ParameterError, match="the table has 'M' and 'm', which are compared as one"):
            read_words(["M", "m", "n"], **options)
    assert read_words(["x", "y"], positive=np.array("x")) == [1, 0]


@pytest.mark.parametrize(
    "column",
    """pat_nr, case_id, UPN, PatNo, Pat.-Nr., Fallnummer, id_pat, subj, numéro patient, nº paciente, codice paziente,
    Patientenkennung, patient pseudonym, ID du patient, número de paciente, Probandennummer""".replace(
        "\n   ", ""
    ).split(", "),
)
def test_numbers_of_patients_are_known(column):
    table = pd.DataFrame({"image": list("abcdef"), "label": [0, 1] * 3, column: [1, 1, 2, 2, 3, 3]})
    data = ISBIDataset.from_frame(table, labels_only=True)
    assert data.metadata["patient_id"].tolist() == ["1", "1", "2", "2", "3", "3"]


def test_patient_0_reads_back():
    table = pd.DataFrame({"image": list("abcdef"), "label": [0, 1] * 3, "patient_id": [0, 0, 1, 1, 2, 2]})
    part = ISBIDataset.from_frame(table, labels_only=True)[:3]
    again = ISBIDataset.from_frame(part.to_frame(), labels_only=True)
    assert again.metadata["patient_id"].tolist() == ["0", "0", "1"]


def test_masks_of_pandas_go_by_their_index():
    data = read(frame(label=[0, 1, 0, 1], age=[30, 60, 40, 70]))
    table = data.to_frame().sort_values("age", ascending=False)
    assert data[table["age"] > 50].image_ids.tolist() == ["i1", "i3"]
    with pytest.raises(DatasetError, match=r"must have the index 0 to n_images - 1.*to_numpy"):
        data[table.set_index("image_id")["age"] > 50]
    of_heads = pd.Series(["head", None, "back", "head"], dtype=object).str.contains("head")
    for mask in (of_heads, of_heads.astype("boolean"), np.array([True, None, False, True])):
        with pytest.raises(DatasetError, match=r"a mask must be True or False for each image.*mask\.fillna\(False\)"):
            data[mask]
    assert data[of_heads.fillna(False).astype(bool)].image_ids.tolist() == ["i0", "i3"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"PK\x03\x04abc", "an Excel or zip file"), (b"\x1f\x8babc", "a gzip file")],
)
def test_other_files_are_named(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        ISBIDataset.from_csv(tmp_path / "t.csv")


def test_rows_of_nothing_are_passed_over(tmp_path):
    (tmp_path / "t.csv").write_text("image,label\na,0\n,\nb,1\n,\n , \n")
    assert ISBIDataset.from_csv(tmp_path / "t.csv", labels_only=True).image_ids.tolist() == ["a", "b"]
    with pytest.raises(ParameterError, match="encoding must be the name of one"):
        ISBIDataset.from_csv(tmp_path / "t.csv", encoding="utf\0")


@pytest.mark.parametrize("wrong", ["a\0", "caf\udce9"])
def test_ids_and_paths_must_be_text_that_can_be_written(wrong):
    for ids, paths in (([wrong], None), (["a"], [wrong])):
        with pytest.raises(DatasetError, match="must be text in UTF-8 without NUL"):
            ISBIDataset(ids, paths, [0])


@pytest.mark.parametrize("wrong", [{"name": None}, {"name": 5}, {"skipped": None}, {"skipped": 5}, {"skipped": [1]}])
def test_what_describes_a_dataset_is_checked(wrong):
    with pytest.raises(ParameterError, match=f"{next(iter(wrong))} must be"):
        ISBIDataset(["a"], None, [0], **wrong)


def test_classes_that_are_none_are_refused():
    data = read(frame(label=[0, 1]))
    for key in (pd.NA, None, 2, "nevus", float("nan"), (1,)):
        with pytest.raises(UnknownNameError, match="Unknown class"):
            data.sample(per_class={key: 1})


def test_a_table_comes_back_equal(tmp_path):
    paths = []
    for number in range(4):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(tmp_path / f"i{number}.png")
        paths.append(tmp_path / f"i{number}.png")
    table = frame(dx=["nevus", "melanoma", "seborrheic_keratosis", "nevus"], path=paths, PatientID=[1, 1, 0, None])
    table = table.assign(age=[45.5, None, 3, 85], sex=["w", "m", None, "?"], note=["a, b", "", '"x"', "é"])
    dataset = ISBIDataset.from_frame(table)
    dataset.to_frame().to_csv(tmp_path / "again.csv", index=False)
    again = ISBIDataset.from_csv(tmp_path / "again.csv")
    pd.testing.assert_frame_equal(again.to_frame(), dataset.to_frame(), check_dtype=False)
    assert again.paths.tolist() == list(map(str, paths))


def test_a_frame_of_paths_alone_is_enough(tmp_path):
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (32, 32)).save(tmp_path / name)
    paths = [str(tmp_path / name) for name in ("a/1.png", "b/2.png")]
    dataset = ISBIDataset.from_frame(pd.DataFrame({"path": paths, "label": [0, 1]}))
    assert (dataset.image_ids.tolist(), dataset.paths.tolist()) == (["1", "2"], paths)
    paths = [str(tmp_path / name) for name in ("a/1.png", "b/1.png")]
    dataset = ISBIDataset.from_frame(
        pd.DataFrame({"photo": paths, "y": [0, 1]}), path_column="photo", image_dirs=[tmp_path]
    )
    assert (dataset.image_ids.tolist(), dataset.paths.tolist()) == (["a/1", "b/1"], paths)
    gone = pd.DataFrame({"path": [*paths, "gone.png"], "label": [0, 1, 1]})
    assert len(ISBIDataset.from_frame(gone, on_error="skip").skipped) == 1


# -- any table ---------------------------------------------------------------------------------------------------------

WORDS = {"benign": 0, "melanoma": 1, "nevus": 0, "MEL": 1, "Naevus": 0, " bcc": 0}
CELLS = st.sampled_from([*WORDS, "", "?", "n/a", "zzz", "malignant"])
PATIENTS = st.sampled_from(["P1", "P2", "p 3", "17", "", "?", "-1", "#N/A"])


@pytest.mark.slow
@settings(max_examples=200)
@given(
    rows=st.lists(st.tuples(st.from_regex(r"[a-c]{1,2}", fullmatch=True), CELLS, PATIENTS), min_size=1, max_size=8),
    names=st.tuples(*map(st.sampled_from, (["image_id", "Image"], ["label", "dx"], ["patient_id", "Patient ID"]))),
    separator=st.sampled_from([",", ";", "\t"]),
    encoding=st.sampled_from(ENCODINGS),
    on_error=st.sampled_from(["raise", "skip"]),
)
def test_any_table_gives_what_a_plain_reader_gives(tmp_path_factory, rows, names, separator, encoding, on_error):
    file = tmp_path_factory.mktemp("any") / "t.csv"
    pd.DataFrame(rows, columns=names).to_csv(file, index=False, sep=separator, encoding=encoding)
    expected, rest, seen = {}, [], set()
    # Beside melanomas and carcinomas, "malignant" does not say which it is.
    told_apart = any(word in ("melanoma", "MEL", " bcc") for _, word, _ in rows)
    usable = {*WORDS} if told_apart else {*WORDS, "malignant"}
    said = {(image_id, WORDS.get(word, 1)) for image_id, word, _ in rows if word in usable}
    for image_id, word, patient in rows:
        if image_id in seen or word not in usable or {(image_id, 0), (image_id, 1)} <= said:
            rest.append(image_id)
        else:
            known = patient if patient in ("P1", "P2", "p 3", "17") else None
            expected[image_id] = (WORDS.get(word, 1), known)
        seen.add(image_id)
    try:
        dataset = ISBIDataset.from_csv(file, labels_only=True, on_error=on_error)
    except MelanomaTLError:
        assert rest or any(word == "malignant" for _, word, _ in rows)
        assert on_error == "raise" or not expected
        return
    assert on_error == "skip" or not rest
    patients = dataset.metadata["patient_id"] if "patient_id" in dataset.metadata else [None] * len(dataset)
    found = dict(zip(dataset.image_ids, zip(dataset.labels.tolist(), patients, strict=True), strict=True))
    assert found == expected
    assert sorted(row.image_id for row in dataset.skipped) == sorted(rest)


@pytest.mark.slow
def test_a_grid_search_runs_over_a_dataset(dataset):
    from sklearn.model_selection import GridSearchCV

    from melanoma_tl import Probe, TransferClassifier

    clf = TransferClassifier("tiny", weights=None, stages=[Probe()], input_size=(32, 32), random_state=0, verbose=0)
    search = GridSearchCV(clf, {"dropout": [0.0, 0.2]}, cv=2, error_score="raise").fit(dataset, dataset.labels)
    assert search.predict_proba(dataset).shape == (len(dataset), 2)


@pytest.mark.parametrize(
    "other",
    [
        {"melanoma": [1, 0, 1, 0]},
        {"benign_malignant": ["malignant", "benign"] * 2},
        {"y": list("ynyn")},
    ],
)
def test_columns_that_say_the_opposite_stop_the_read(other):
    with pytest.raises(DatasetError, match="could each be the label, and do not say the same"):
        read(frame(label=[0, 1, 0, 1], **other))
    same = {name: cells[::-1] for name, cells in other.items()}
    assert read(frame(label=[0, 1, 0, 1], **same)).labels.tolist() == [0, 1, 0, 1]


def test_lesions_that_are_numbered_within_each_patient(caplog):
    data = read(frame(label=[0, 1] * 3, patient_id=list("AABBCC"), lesion_id=[1, 2, 1, 2, 1, 1]))
    assert data.metadata["lesion_id"].tolist() == ["A/1", "A/2", "B/1", "B/2", "C/1", "C/1"]
    assert "restart with each patient" in caplog.text
    zero = read(frame(label=[0, 1] * 3, patient_id=list("AABBCC"), lesion_id=[0, 0, 0, 1, 0, 0]))
    assert zero.metadata["lesion_id"].tolist() == ["A/0", "A/0", "B/0", "B/1", "C/0", "C/0"]
    for lesions in ([1, 2, 3, 4, 5, 6], ["HAM_1", "HAM_2", "HAM_1", "HAM_2", "HAM_3", "HAM_4"]):
        kept = read(frame(label=[0, 1] * 3, patient_id=list("AABBCC"), lesion_id=lesions))
        assert kept.metadata["lesion_id"].tolist() == [str(lesion) for lesion in lesions]


def test_an_id_may_be_the_path_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "im").mkdir()
    Image.fromarray(np.zeros((4, 4, 3), "uint8")).save("im/a.png")
    data = ISBIDataset.from_frame(pd.DataFrame({"image": ["im/a.png"], "label": [1]}))
    assert data.paths.tolist() == ["im/a.png"]
    with pytest.raises(DatasetError, match="no folder: say with image_dirs= where to look"):
        ISBIDataset.from_frame(pd.DataFrame({"image": ["b"], "label": [1]}))


OPPOSITES = """
    non_malignant, not_malignant, is_non_malignant, no_cancer, cancer_free, benign?, Is benign?, melanoma_free, mel_neg,
    melanoma_negative, melanoma_excluded, melanoma_ruled_out, isn't melanoma, melanoma-, \u2260melanoma, !melanoma,
    healthy_skin, normal_skin, controls, control_group, is_a_mole
"""


@pytest.mark.parametrize("column", [name.strip() for name in OPPOSITES.split(",")])
def test_a_column_that_asks_the_opposite_is_no_label(column):
    table = pd.DataFrame({"image": ["a", "b"], column: [1, 0]})
    with pytest.raises(ParameterError, match="answers whether a lesion is something else"):
        ISBIDataset.from_frame(table, label_column=column, labels_only=True)


@pytest.mark.parametrize("column", ["label", "y", "target", "gt", "outcome", "melanoma", "is_melanoma", "class"])
def test_a_column_that_asks_nothing_else_is_one(column):
    table = pd.DataFrame({"image": ["a", "b"], column: [1, 0]})
    assert ISBIDataset.from_frame(table, label_column=column, labels_only=True).labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    "words", [["malignant", "melanoma", "benign"], ["skin cancer", "melanoma", "nevus"], ["malignant", "bcc", "nevus"]]
)
def test_malignant_beside_words_that_tell_cancers_apart_says_nothing(words):
    with pytest.raises(DatasetError, match="where other labels tell melanomas from other cancers"):
        read(frame(label=words))


@pytest.mark.parametrize("column", ["subtype", "histo", "Befund"])
@pytest.mark.parametrize(
    ("yes", "no"), [(1, 0), ("melanoma", "benign"), ("MEL", "NV"), ("yes", "no"), ("malignant", "benign")]
)
def test_a_diagnosis_in_any_column_counts_against_the_label(column, yes, no):
    diagnoses = ["melanoma", "basal cell carcinoma", "nevus", "SSM"]
    rows = frame(label=[yes, yes, no, no], **{column: diagnoses})
    found = read(rows, on_error="skip")
    assert found.image_ids.tolist() == ["i0", "i2"]
    assert reasons(found)["i1"].startswith(f"labelled {yes!r}, but {column!r} says 'basal cell carcinoma': if that is")
    assert reasons(found)["i3"].startswith(f"labelled {no!r}, but {column!r} says 'SSM': if that is the diagnosis")
    rule = {"label_map": {yes: 1, no: 0}}
    assert read(rows, on_error="skip", **rule).image_ids.tolist() == ["i0", "i2"], "whoever reads the label"
    settled = rows.assign(diagnosis=["melanoma", "melanoma", "nevus", "nevus"])
    assert len(read(settled)) == 4, "the diagnosis has the say"


@pytest.mark.parametrize(
    "column",
    ["clinical_diagnosis", "differential", "DDX", "suspected_diagnosis", "Verdachtsdiagnose", "family_history",
     "comment", "previous_tumour", "reader_2", "predicted", "model_output"],
)  # fmt: skip
def test_what_a_lesion_was_taken_for_need_not_agree_with_its_label(column):
    guesses = ["melanoma", "basal cell carcinoma", "nevus", "melanoma"]
    assert read(frame(label=[1, 1, 0, 0], **{column: guesses})).labels.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("diagnosis", ["melanoma with satellites", "SSM (nevus)", "melanoma, margins close"])
def test_benign_beside_a_diagnosis_that_names_a_melanoma_stops_the_read(diagnosis):
    with pytest.raises(DatasetError, match="which names a melanoma"):
        read(frame(label=["benign", "melanoma"], histology=[diagnosis, "melanoma"]))
    assert read(frame(label=["benign", "melanoma"], histology=["melanoma?", "melanoma"])).labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("column", "words"),
    [("lesion", ["nevus", "melanoma"]), ("subject", ["M", "F"]), ("case", ["control", "melanoma"]),
     ("lesion", ["nevus", "SSM", "nevus", "NM"])],
)  # fmt: skip
def test_columns_of_findings_are_no_patients(column, words):
    data = read(frame(label=[0, 1] * 6, **{column: (words * 6)[:12]}))
    assert not {"patient_id", "lesion_id"} & set(data.metadata)


def test_one_h_does_not_make_women_of_men():
    assert read_sexes(["M", "M", "F", "H"]) == ["male", "male", "female", None]
    assert read_sexes(["F", "H", "Femme"]) == ["female", "male", "female"]


def test_capitals_alone_do_not_tell_words_apart():
    assert read(frame(label=["Group A", "group a", "B"]), positive="Group A").labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize("key", [[1000], [-9], slice("a", "b"), slice(0.5, None)])
def test_rows_that_there_are_not(key):
    with pytest.raises(DatasetError):
        read(frame(label=[0, 1]))[key]


@pytest.mark.parametrize("word", ["XXXX", "dummy", "Patient", "test", "test patient", "lesion", "PATIENT_ID", "xxx"])
def test_words_that_name_nobody(word):
    assert read_ids([word, word, "P1", "patient 7", "test12"]) == [None, None, "P1", "patient 7", "test12"]


def test_numbers_that_name_nobody():
    for word in ("999", "9999", "99999", 9999.0):
        assert read_ids([word] * 4 + ["P1", "P1"]) == [None] * 4 + ["P1", "P1"]
        assert read_ids([word] * 7 + [1, 1, 2]) == [None] * 7 + ["1", "1", "2"]
    assert read_ids(range(990, 1001)) == [str(number) for number in range(990, 1001)], "a patient like the others"
    assert read_ids([0, 1, 1, *[999] * 9]) == ["0", "1", "1", *[None] * 9]
    assert read_ids([99, 99, 99, 99, 1]) == ["99"] * 4 + ["1"]


def test_an_id_of_very_many_images_is_named(tmp_path, caplog):
    rows = [f"a{number},{number % 2},{'anna' if number < 15 else f'P{number}'}" for number in range(30)]
    (tmp_path / "mine.csv").write_text("image_id,label,patient_id\n" + "\n".join(rows))
    patients = arrange(read_table(tmp_path / "mine.csv"), name="mine").table["patient_id"]
    assert patients.tolist()[:15] == ["anna"] * 15, "it may be a true patient"
    assert "15 of 30 images have the patient id 'anna'" in caplog.text
    assert find_crowd(["P1"] * 9 + ["P2"] * 2) is None, "few images"
    assert find_crowd(["P1"] * 30 + ["P2"] * 10) is None
    assert find_crowd(["P1"] * 30) is None, "a study of one patient"
    assert find_crowd(["P1"] * 12 + ["P2"] * 3 + [f"Q{number}" for number in range(200)]) is None, "a small share"


def test_ages_and_sexes_that_are_read_or_listed():
    lost = {}
    assert np.isnan(read_ages(["50-54", "3 w", "50 to 54", "<50"], lost)).all()
    assert len(lost["age"]) == 4
    words = ["Weibl.", "M\u00e4dchen", "m\u00e4nnl.", "Junge", "ni\u00f1a", "m/w/d", "divers", "w/m"]
    assert read_sexes(words, lost) == ["female", "female", "male", "male", "female", None, None, None]
    assert lost["sex"] == ["m/w/d", "divers", "w/m"]


def test_a_table_without_ids_says_that_paths_will_do(tmp_path):
    (tmp_path / "mine.csv").write_text("where,label\na.jpg,melanoma\n")
    with pytest.raises(DatasetError, match=r"id_column= \(or path_column=, where the paths"):
        ISBIDataset.from_csv(tmp_path / "mine.csv")


def test_copies_and_what_is_left_over_are_listed(tmp_path):
    for folder in ("benign", "melanoma"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8), (9, len(folder), 7)).save(tmp_path / folder / "x.jpg")
    content = (tmp_path / "benign/x.jpg").read_bytes()
    left = ["x.jpg.bak", "y.jpg~", "x.jpg.part", "z.jpg.crdownload", "x.jpg.tmp", "x.jpg.orig"]
    copies = ["x (1).jpg", "x - Copy.jpg", "x - Kopie (2).jpg", "x_copy.jpg", "x(1).jpg"]
    others = ["img (1).jpg", "img (2).jpg"]
    for name in left + copies + others:
        (tmp_path / "benign" / name).write_bytes(content)
    Image.new("RGB", (8, 8), (90, 3, 7)).save(tmp_path / "benign" / "x (3).jpg")
    dataset = ISBIDataset.from_folder(tmp_path, on_error="skip")
    assert sorted(dataset.image_ids) == ["benign/x", "img (1)", "img (2)", "melanoma/x", "x (3)"]
    reasons = {row.path.rpartition("/")[2]: row.reason for row in dataset.skipped}
    assert all("unfinished download" in reasons[name] for name in left)
    assert all(reasons[name].startswith("a copy of x.jpg") for name in copies)
    assert len(reasons) == len(left + copies)


def test_numbers_with_a_year_are_patients_and_no_codes_of_morphology():
    table = pd.DataFrame(
        {
            "image": list("abcdef"),
            "label": ["melanoma", "nevus"] * 3,
            "Patient": ["8100/23", "8100/23", "9101/1", "8100/1", "8100/1", "9101/1"],
            "sex": ["V", "M", "V", "M", "V", "M"],
        }
    )
    metadata = ISBIDataset.from_frame(table, labels_only=True).metadata
    assert metadata["patient_id"].tolist() == table["Patient"].tolist()
    assert metadata["sex"].tolist() == ["male", "female"] * 3


def draw_files(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (20, 20), (number, 9, 9)).save(folder / name)


@pytest.mark.parametrize("place", [".", "deeper/still"])
@pytest.mark.parametrize("entry", ["img_{}.jpg", "Img_{}", "deeper/STILL/img_{}.jpg"])
def test_a_file_that_differs_in_case_alone_is_found(tmp_path, caplog, place, entry):
    draw_files(tmp_path / place, "IMG_1.JPG", "IMG_2.JPG")
    if place == "." and "/" in entry:
        entry = entry.rpartition("/")[2]
    table = frame(image_id=[entry.format(1), entry.format(2)], label=[0, 1])
    dataset = ISBIDataset.from_frame(table, image_dirs=[tmp_path])
    assert [path.rpartition("/")[2] for path in dataset.paths] == ["IMG_1.JPG", "IMG_2.JPG"]
    said = "table: 2 images are found under names that differ in case from those in the table, such as"
    assert caplog.messages == [f"{said} {entry.format(1)!r} and {str(dataset.paths[0])!r}"]


def test_the_file_of_the_very_name_comes_first_and_several_others_are_refused(tmp_path, caplog):
    draw_files(tmp_path / "a", "IMG_1.png", "Img_1.png")
    draw_files(tmp_path / "b", "img_1.png")
    if len([*(tmp_path / "a").iterdir()]) < 2:
        pytest.skip("this file system does not tell names apart by case")
    table = frame(image_id=["img_1.png", "b/IMG_1.png"], label=[0, 1])
    dataset = ISBIDataset.from_frame(table[:1], image_dirs=[tmp_path])
    assert dataset.paths.tolist() == [str(tmp_path / "b" / "img_1.png")]
    assert "differ in case" not in caplog.text
    with pytest.raises(
        DatasetError, match=r"2 files differ from it in case \(IMG_1.png, Img_1.png in .*a\); write it as"
    ):
        ISBIDataset.from_frame(table[:1], image_dirs=[tmp_path / "a"])
    with pytest.raises(DatasetError, match="it is the file of img_1 too"):
        ISBIDataset.from_frame(table.assign(label=0), image_dirs=[tmp_path])


@pytest.mark.parametrize(
    "rule", [{1: 1, 0: 0}, {True: 1, False: 0}, {"true": 1, "false": 0}, {"1": "melanoma", "0": 0}]
)
@pytest.mark.parametrize(
    "words", [[True, False], [1, 0], ["True", "FALSE"], ["1", "0"], [1.0, 0.0], np.array([True, False])]
)
def test_truth_values_are_0_and_1_for_a_rule(rule, words):
    assert read(frame(label=words), label_map=rule).labels.tolist() == [1, 0]
    assert read(frame(label=words), label_map=pd.Series(rule)).labels.tolist() == [1, 0]
    assert read(frame(label=words), positive=next(iter(rule))).labels.tolist() == [1, 0]


def test_truth_values_are_nothing_else():
    with pytest.raises(DatasetError, match="unknown label 'True'; known: 1, 2"):
        read(frame(label=["True", "2"]), label_map={1: 1, 2: 0})
    with pytest.raises(ParameterError, match="two things of True"):
        read(frame(label=[1, 0]), label_map=pd.Series([0, 1, 0], index=[1, True, 0], dtype=int))
    assert read(frame(label=[True, False]), label_map={1: 0, 0: 1}).labels.tolist() == [0, 1], "the user's rule"


def test_a_table_with_nul_bytes_is_not_said_to_be_read(tmp_path, caplog):
    (tmp_path / "mine.csv").write_bytes("image_id,label\nó,nevus\n".encode("utf-16-le"))
    with pytest.raises(DatasetError, match="utf-16-le"):
        ISBIDataset.from_csv(tmp_path / "mine.csv", labels_only=True)
    assert not caplog.text, "not as Windows-1252 before it is refused"
    data = ISBIDataset.from_csv(tmp_path / "mine.csv", labels_only=True, encoding="utf-16-le")
    assert data.image_ids.tolist() == ["ó"]
    with pytest.raises(DatasetError, match="pass encoding='utf-16-le'"):
        ISBIDataset.from_csv(tmp_path / "mine.csv", labels_only=True, encoding="cp1252")


def test_an_encoding_that_is_not_the_files_is_said_in_words(tmp_path):
    (tmp_path / "mine.csv").write_bytes("image_id,label\nÄ,Nävus\n".encode("cp1252"))
    with pytest.raises(DatasetError, match=r"no text in the encoding 'utf-8'; give that in which it was saved"):
        ISBIDataset.from_csv(tmp_path / "mine.csv", labels_only=True, encoding="utf-8")
