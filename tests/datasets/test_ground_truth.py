"""Official-looking files of every challenge, users' own tables, and whatever else may stand in a file."""

import re
import tempfile
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets.challenges import CHALLENGES, COLUMNS, DIAGNOSES, get_challenge
from melanoma_tl.datasets.columns import arrange
from melanoma_tl.datasets.ground_truth import METADATA, find_image_dirs, read_challenge
from melanoma_tl.datasets.text_tables import read_table
from melanoma_tl.errors import DatasetError

# --- official-looking files -------------------------------------------------------------------------------------------

EIGHT = ("melanoma", "naevus", "basal cell carcinoma", "actinic keratosis", "benign keratosis", "dermatofibroma")
EIGHT += ("vascular lesion", "squamous cell carcinoma")
SEVEN = (*EIGHT[:3], "actinic keratosis or intraepithelial carcinoma", *EIGHT[4:7])


def one_hot(header, n, end=""):
    """Return a table in which the first image has the first diagnosis, the second the second, and so on."""
    rows = [",".join([f"ISIC_{row}", *(f"{float(row == column)}" for column in range(n))]) for row in range(n)]
    return "".join(f"{row}\n" for row in [header, *(row + end for row in rows)])


def ids(n):
    return [f"ISIC_{row}" for row in range(n)]


def isbi_2016(part, benign, malignant):
    truth = f"ISIC_0,{benign}\r\nISIC_2,{malignant}\r\nISIC_1,{benign}\r\n"
    files = {f"ISBI2016_ISIC_Part3_{part}_GroundTruth.csv": truth}
    return files, {"image_id": ["ISIC_0", "ISIC_2", "ISIC_1"], "class": [0, 1, 0]}


def isic_2017(part):
    truth = "image_id,melanoma,seborrheic_keratosis\r\nISIC_0,0.0,1.0\r\nISIC_1,1.0,0.0\r\nISIC_2,0.0,0.0\r\n"
    facts = "image_id,age_approximate,sex\r\nISIC_0,55,female\r\nISIC_1,unknown,unknown\r\nISIC_2,30,male\r\n"
    return {
        f"ISIC-2017_{part}_Part3_GroundTruth.csv": truth,
        f"ISIC-2017_{part}_Data/ISIC-2017_{part}_Data_metadata.csv": facts,
    }, {
        "image_id": ids(3),
        "class": [0, 1, 0],
        "diagnosis": ["seborrheic keratosis", "melanoma", "naevus"],
        "age": [55, None, 30],
        "sex": ["female", None, "male"],
    }


def isic_2018(part):
    folder = f"ISIC2018_Task3_{part}_GroundTruth"
    files = {f"{folder}/{folder}.csv": one_hot("image,MEL,NV,BCC,AKIEC,BKL,DF,VASC", 7)}
    expected = {"image_id": ids(7), "class": [1, *[0] * 6], "diagnosis": list(SEVEN)}
    if part == "Training":
        groups = "".join(f"ISIC_{row},HAM_{row // 2},histopathology\n" for row in reversed(range(7)))
        files["ISIC2018_Task3_Training_LesionGroupings.csv"] = "image,lesion_id,diagnosis_confirm_type\n" + groups
        expected["lesion_id"] = [f"HAM_{row // 2}" for row in range(7)]
    return files, expected


def isic_2019_train():
    return {
        "ISIC_2019_Training_GroundTruth.csv": one_hot("image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC", 8),
        "ISIC_2019_Training_Metadata.csv": (
            "image,age_approx,anatom_site_general,lesion_id,sex\n"
            "ISIC_0,70.0,anterior torso,BCN_0000001,female\nISIC_1,,,,\n"
        ),
    }, {
        "image_id": ids(8),
        "class": [1, *[0] * 7],
        "diagnosis": list(EIGHT),
        "age": [70, *[None] * 7],
        "sex": ["female", *[None] * 7],
        "site": ["anterior torso", *[None] * 7],
        "lesion_id": ["BCN_0000001", *[None] * 7],
    }


def isic_2019_test():
    header = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK,score_weight,validation_weight"
    return {
        "ISIC_2019_Test_GroundTruth.csv": one_hot(header, 9, end=",1.0,0.0"),
        "ISIC_2019_Test_Metadata.csv": "image,age_approx,anatom_site_general,sex\nISIC_8,5.0,head/neck,male\n",
    }, {
        "image_id": ids(9),
        "class": [1, *[0] * 8],
        "diagnosis": [*EIGHT, "unknown"],
        "age": [*[None] * 8, 5],
        "sex": [*[None] * 8, "male"],
        "site": [*[None] * 8, "head/neck"],
    }


HAM10000 = """\
lesion_id,image_id,dx,dx_type,age,sex,localization,dataset
HAM_0000118,ISIC_0,bkl,histo,80.0,male,scalp,vidir_modern
HAM_0000118,ISIC_1,mel,histo,,unknown,unknown,vidir_modern
HAM_0002730,ISIC_2,nv,follow_up,45.0,female,lower extremity,vidir_molemax
"""

ISIC_2020 = """\
image_name,patient_id,lesion_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target
ISIC_0,IP_7279968,IL_7972535,male,45.0,head/neck,unknown,benign,0
ISIC_1,IP_3075186,IL_4649854,,,,nevus,benign,0
ISIC_2,IP_0962375,IL_6540984,female,55.0,upper extremity,melanoma,malignant,1
ISIC_3,IP_0962375,IL_6540985,female,55.0,torso,lentigo NOS,benign,0
"""

# The first three columns and those of the diagnosis; the real file has three more at its end.
ISIC_2024_SUPPLEMENT = """\
isic_id,attribution,copyright_license,lesion_id,iddx_full,iddx_1,iddx_2,iddx_3,iddx_4,iddx_5
ISIC_0,MSK,CC-BY,,Benign,Benign,,,,
ISIC_1,MSK,CC-BY,IL_1,"M::M::Melanoma, NOS",Malignant,Malignant melanocytic proliferations (Melanoma),"Melanoma, NOS",,
ISIC_2,MSK,CC-BY,IL_2,M::M::Melanoma in situ,Malignant,Malignant melanocytic proliferations (Melanoma),Melanoma in situ,,
ISIC_3,MSK,CC-BY,IL_3,M::M::Melanoma Invasive,Malignant,Malignant melanocytic proliferations (Melanoma),Melanoma Invasive,,
ISIC_4,MSK,CC-BY,IL_4,M::M::Melanoma metastasis,Malignant,Malignant melanocytic proliferations (Melanoma),Melanoma metastasis,,
ISIC_5,MSK,CC-BY,IL_5,M::M::Basal cell carcinoma,Malignant,Malignant adnexal epithelial proliferations,Basal cell carcinoma,,
ISIC_6,MSK,CC-BY,IL_6,"M::M::Squamous cell carcinoma, Invasive",Malignant,Malignant epidermal proliferations,"Squamous cell carcinoma, Invasive",,
ISIC_7,MSK,CC-BY,IL_7,B::B::Scar,Benign,Benign other,Scar,,
"""  # noqa: E501

ISIC_2024_METADATA = """\
isic_id,patient_id,age_approx,sex,anatom_site_general,clin_size_long_diam_mm
ISIC_0,IP_1,60.0,male,lower extremity,3.04
ISIC_1,IP_1,60.0,male,,1.1
"""

PH2 = """\
||   Name || Histological Diagnosis || Clinical Diagnosis || Asymmetry | Pigment Network | Streaks ||           Colors ||
|| IMD003 ||                        ||                  0 ||         0 |               T |       A ||                4 ||
|| IMD002 ||                        ||                  1 ||         1 |              AT |       A ||             3  4 ||
|| IMD058 ||        Melanoma        ||                  2 ||         0 |              AT |       P ||          3  4  5 ||

Legends for Clinical Diagnosis:
  0 - Common Nevus;
  1 - Atypical Nevus;
  2 - Melanoma.
"""  # noqa: E501

EXAMPLES = {
    "ISBI 2016 train": isbi_2016("Training", "benign", "malignant"),
    "ISBI 2016 test": isbi_2016("Test", "0.0", "1.0"),
    "ISIC 2017 train": isic_2017("Training"),
    "ISIC 2017 validation": isic_2017("Validation"),
    "ISIC 2017 test": isic_2017("Test_v2"),
    "ISIC 2018 train": isic_2018("Training"),
    "ISIC 2018 validation": isic_2018("Validation"),
    "ISIC 2018 test": isic_2018("Test"),
    "HAM10000": (
        {"HAM10000_metadata.csv": HAM10000},
        {
            "image_id": ids(3),
            "class": [0, 1, 0],
            "diagnosis": ["benign keratosis", "melanoma", "naevus"],
            "age": [80, None, 45],
            "sex": ["male", None, "female"],
            "site": ["scalp", None, "lower extremity"],
            "lesion_id": ["HAM_0000118", "HAM_0000118", "HAM_0002730"],
        },
    ),
    "ISIC 2019 train": isic_2019_train(),
    "ISIC 2019 test": isic_2019_test(),
    "ISIC 2020 train": (
        {"ISIC_2020_Training_GroundTruth_v2.csv": ISIC_2020},
        {
            "image_id": ids(4),
            "class": [0, 0, 1, 0],
            "diagnosis": ["unknown", "naevus", "melanoma", "lentigo"],
            "age": [45, None, 55, 55],
            "sex": ["male", None, "female", "female"],
            "site": ["head/neck", None, "upper extremity", "torso"],
            "patient_id": ["IP_7279968", "IP_3075186", "IP_0962375", "IP_0962375"],
            "lesion_id": ["IL_7972535", "IL_4649854", "IL_6540984", "IL_6540985"],
        },
    ),
    "ISIC 2024 train": (
        {
            "ISIC_2024_Training_Supplement.csv": ISIC_2024_SUPPLEMENT,
            "ISIC_2024_Training_Input/metadata.csv": ISIC_2024_METADATA,
        },
        {
            "image_id": ids(8),
            "class": [0, 1, 1, 1, 1, 0, 0, 0],
            "diagnosis": ["unknown", *["melanoma"] * 4, EIGHT[2], EIGHT[7], "scar"],
            "age": [60, 60, *[None] * 6],
            "sex": ["male", "male", *[None] * 6],
            "site": ["lower extremity", *[None] * 7],
            "patient_id": ["IP_1", "IP_1", *[None] * 6],
            "lesion_id": [None, *(f"IL_{row}" for row in range(1, 8))],
        },
    ),
    "PH2": (
        {"PH2_dataset.txt": PH2},
        {
            "image_id": ["IMD003", "IMD002", "IMD058"],
            "class": [0, 0, 1],
            "diagnosis": ["common naevus", "atypical naevus", "melanoma"],
        },
    ),
}

OFFICIAL = [entry for entry in CHALLENGES if entry.title in EXAMPLES]  # the others: test_layouts.py
each_challenge = pytest.mark.parametrize("challenge", OFFICIAL, ids=lambda entry: entry.title)


def write(root, files, mangle=str):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(mangle(text), newline="", encoding="utf-8")
    return root


CLASSES = {"benign": 0, "malignant": 1, "melanoma": 1, "0": 0, "1": 1, "0.0": 0, "1.0": 1}


def content(table):
    """Return the columns as lists, with the classes for the labels and None for what is missing."""
    columns = {name: [None if pd.isna(cell) else cell for cell in table[name]] for name in table}
    return columns | {"class": [CLASSES[word.lower()] for word in columns.pop("label")]}


def check_table(table):
    """Check what every table holds, whatever it was read from."""
    assert list(table)[:2] == ["image_id", "label"]
    assert len(table) > 0
    assert table.index.tolist() == list(range(len(table)))
    assert not set(table) & {"path", ""}
    for name in table:
        if name == "age":
            assert table[name].dtype == "float64"
            assert not table[name].isin([float("inf"), -float("inf")]).any()
        else:
            assert table[name].dtype == object
            assert all(type(cell) is str and cell == cell.strip() for cell in table[name].dropna())
    assert table[["image_id", "label"]].notna().all(axis=None)
    if "sex" in table:
        assert set(table["sex"].dropna()) <= {"female", "male"}


@each_challenge
def test_official_files_are_read(tmp_path, challenge):
    files, expected = EXAMPLES[challenge.title]
    table = read_challenge(challenge, write(tmp_path, files))
    check_table(table)
    assert content(table) == expected
    assert list(table)[2:] == [name for name in METADATA if name in expected]


@pytest.mark.parametrize(
    "mangle",
    [
        lambda text: "\ufeff" + text,
        lambda text: re.sub("\r?\n", "\r\n", text),
        lambda text: re.sub("\r?\n", "\n", text).rstrip("\n"),
        lambda text: re.sub('(?<!"),(?! )', " ,  ", text),
        lambda text: "\n\n" + text.replace("\n", "\n\n"),
    ],
    ids=["byte-order mark", "Windows line ends", "no last line end", "spaces", "blank lines"],
)
@each_challenge
def test_files_that_went_through_other_programs_are_read(tmp_path, challenge, mangle):
    files, expected = EXAMPLES[challenge.title]
    assert content(read_challenge(challenge, write(tmp_path, files, mangle))) == expected


@each_challenge
def test_images_are_found_where_the_archives_put_them(tmp_path, challenge):
    files, expected = EXAMPLES[challenge.title]
    write(tmp_path, files)
    for number, image_id in enumerate(expected["image_id"]):
        pattern = challenge.image_dirs[number % len(challenge.image_dirs)]
        folder = tmp_path / pattern.replace("/*/*", f"/{image_id}/{image_id}")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16)).save(folder / f"{image_id}{'.bmp' if challenge.title == 'PH2' else '.jpg'}")
    dataset = ISBIDataset.from_challenge(tmp_path, year=challenge.year, split=challenge.split)
    assert dataset.image_ids.tolist() == expected["image_id"]
    assert dataset.labels.tolist() == expected["class"]
    assert [Path(path).stem for path in dataset.paths] == expected["image_id"]
    assert list(dataset.metadata) == [name for name in METADATA if name in expected]


def test_folders_of_images_that_are_not_there_are_named(tmp_path):
    assert find_image_dirs(get_challenge(2024, "train"), tmp_path) == [
        tmp_path / "ISIC_2024_Training_Input",
        tmp_path / "train-image/image",
        tmp_path / "train-image.hdf5",
    ]
    assert find_image_dirs(get_challenge("PH2", "all"), tmp_path) == [
        tmp_path / "PH2 Dataset images/*/*_Dermoscopic_Image"
    ]


@each_challenge
def test_files_of_metadata_may_be_absent(tmp_path, challenge):
    files, expected = EXAMPLES[challenge.title]
    write(tmp_path, files)
    for name in challenge.metadata_files:
        for path in tmp_path.rglob(Path(name).name):
            path.unlink()
    table = read_challenge(challenge, tmp_path)
    assert content(table) == {name: expected[name] for name in ("class", *table) if name != "label"}
    assert len(table.columns) < len(expected) or not challenge.metadata_files


def test_an_unpacked_archive_and_the_file_alone_read_alike(tmp_path):
    challenge = get_challenge(2018, "test")
    (text,) = EXAMPLES[challenge.title][0].values()
    packed = read_challenge(challenge, write(tmp_path / "a", EXAMPLES[challenge.title][0]))
    alone = read_challenge(challenge, write(tmp_path / "b", {challenge.ground_truth: text}))
    pd.testing.assert_frame_equal(packed, alone)


def test_the_further_names_of_a_table(tmp_path):
    challenge, expected = get_challenge("HAM10000", "train"), EXAMPLES["HAM10000"][1]
    as_tabs = "\n".join('"' + line.replace(",", '"\t"') + '"' for line in HAM10000.splitlines())
    assert content(read_challenge(challenge, write(tmp_path / "a", {"HAM10000_metadata.tab": as_tabs}))) == expected
    assert content(read_challenge(challenge, write(tmp_path / "b", {"HAM10000_metadata": HAM10000}))) == expected

    challenge, expected = get_challenge(2020, "train"), dict(EXAMPLES["ISIC 2020 train"][1])
    first = "\n".join(",".join(line.split(",")[:2] + line.split(",")[3:]) for line in ISIC_2020.splitlines())
    write(tmp_path, {"ISIC_2020_Training_GroundTruth.csv": first})
    del expected["lesion_id"]
    assert content(read_challenge(challenge, tmp_path)) == expected
    write(tmp_path, {"ISIC_2020_Training_GroundTruth_v2.csv": ISIC_2020})
    assert "lesion_id" in read_challenge(challenge, tmp_path), "the later version says more"


# --- rows that contradict themselves ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("year", "split", "rows", "words"),
    [
        (2018, "test", "A,1.0,0,0,0,1.0,0,0\nB,0,0,0,0,0,0,0\n", ["MEL=1.0, BKL=1.0", "no diagnosis"]),
        (2018, "test", "A,0,1,0,0,0,0,\n", ["NV=1, VASC="]),
        (2018, "test", "A,0.4,0.6,0,0,0,0,0\nB,x,0,0,0,0,0,0\n", ["MEL=0.4, NV=0.6", "MEL=x"]),
        (2017, "test", "A,1.0,1.0\nB,0.5,0.0\n", ["melanoma=1.0, seborrheic_keratosis=1.0", "melanoma=0.5"]),
    ],
)  # fmt: skip
def test_rows_that_are_not_one_hot_are_no_label(tmp_path, year, split, rows, words):
    challenge = get_challenge(year, split)
    text = ",".join([challenge.id_column, *challenge.one_hot]) + "\n" + rows
    table = read_challenge(challenge, write(tmp_path, {challenge.ground_truth: text}))
    assert table["label"].tolist() == words
    assert table["diagnosis"].isna().all()
    with pytest.raises(DatasetError, match="unknown label"):
        ISBIDataset.from_challenge(tmp_path, year=year, split=split, labels_only=True)


@pytest.mark.parametrize(("year", "word"), [("HAM10000", "melanom"), ("HAM10000", ""), ("PH2", "3"), ("PH2", "")])
def test_unknown_diagnoses_are_no_label(tmp_path, year, word):
    challenge = next(entry for entry in CHALLENGES if entry.year == year)
    (text,) = EXAMPLES[year][0].values()
    text = text.replace(",mel,", f",{word},").replace("||                  2 ||", f"|| {word} ||")
    table = read_challenge(challenge, write(tmp_path, {challenge.ground_truth: text}))
    assert (table["label"] == (word or "no diagnosis")).sum() == 1
    assert (table["label"] == "melanoma").sum() == 0


def test_seborrheic_keratosis_may_be_left_out_of_2017(tmp_path):
    challenge = get_challenge(2017, "test")
    table = read_challenge(challenge, write(tmp_path, {challenge.ground_truth: "image_id,melanoma\nA,0.0\nB,0.5\n"}))
    assert table.to_dict("list") == {"image_id": ["A", "B"], "label": ["0.0", "0.5"]}


# --- the entries ------------------------------------------------------------------------------------------------------

IMAGES = MappingProxyType({  # as the official pages and papers count them
    "ISBI 2016 train": 900, "ISBI 2016 test": 379,
    "ISIC 2017 train": 2000, "ISIC 2017 validation": 150, "ISIC 2017 test": 600,
    "ISIC 2018 train": 10015, "ISIC 2018 validation": 193, "ISIC 2018 test": 1512,
    "HAM10000": 10015,
    "ISIC 2019 train": 25331, "ISIC 2019 test": 8238,
    "ISIC 2020 train": 33126, "ISIC 2024 train": 401059,
    "PH2": 200,
})  # fmt: skip


@each_challenge
def test_official_counts_agree_with_each_other(challenge):
    assert challenge.n_benign + challenge.n_melanoma == IMAGES[challenge.title]
    if challenge.n_per_diagnosis:
        assert sum(challenge.n_per_diagnosis.values()) == IMAGES[challenge.title]
        assert challenge.n_per_diagnosis["melanoma"] == challenge.n_melanoma


@each_challenge
def test_entries_name_known_things(challenge):
    expected = EXAMPLES[challenge.title][1]
    assert set(challenge.n_per_diagnosis) >= set(expected.get("diagnosis", ())) or not challenge.n_per_diagnosis
    assert set(challenge.metadata.values()) <= set(METADATA)
    assert challenge.group in (None, "patient_id", "lesion_id")
    assert challenge.group is None or challenge.group in expected
    assert all((challenge.license, challenge.citation, challenge.page.startswith("https://")))
    names = [download.file_name for download in challenge.downloads]
    assert len(set(names)) == len(names)
    if challenge.downloads:
        packed = {name for name in challenge.metadata_files if challenge.year in (2017, 2024)}  # among the images
        tables = {challenge.ground_truth, *challenge.metadata_files} - packed
        assert {Path(name).stem for name in tables} <= {Path(name).stem for name in names}
        brought = {
            Path(zipped.file_name).stem if zipped.unpack_to == "." else zipped.unpack_to
            for zipped in challenge.downloads
            if zipped.images
        }
        assert brought <= set(challenge.image_dirs) or challenge.year == 2020, "2020's has its own name"
    for download in challenge.downloads:
        assert download.url.startswith("https://")
        assert download.sha256 is None or re.fullmatch("[0-9a-f]{64}", download.sha256)
        assert "isic-archive" not in download.url or download.url.endswith(f"/{challenge.year}/{download.file_name}")


def test_names_are_mapped_once():
    assert all(word == word.lower() for word in DIAGNOSES)
    assert all(DIAGNOSES.get(name, name) == name for name in DIAGNOSES.values()), "mapping twice changes nothing"
    assert all(COLUMNS[name] == name for name in COLUMNS.values())


@pytest.mark.real_data
@pytest.mark.parametrize(("year", "split"), [(2016, "train"), (2016, "test"), (2017, "train"), (2017, "test")])
def test_real_files_hold_the_official_counts(real_data, year, split):
    challenge = get_challenge(year, split)
    table = read_challenge(challenge, real_data)
    check_table(table)
    assert content(table)["class"].count(0) == challenge.n_benign
    assert content(table)["class"].count(1) == challenge.n_melanoma
    if "diagnosis" in table:
        assert table["diagnosis"].value_counts().to_dict() == challenge.n_per_diagnosis
    assert table["image_id"].is_unique


# --- users' own tables ------------------------------------------------------------------------------------------------


def own(folder, text, **columns):
    (folder / "mine.csv").write_text(text, encoding="utf-8", newline="")
    return arrange(read_table(folder / "mine.csv"), name="mine.csv", **columns).table


def test_every_column_of_a_users_table_is_kept(tmp_path):
    text = (
        "camera,image_id,label,age_approx,Sex,sex,anatom_site_general,patient_id,dx\n"
        "X1,a.JPG,Melanoma,61,?,F,palms/soles,7,MEL\n"
        ",b.c.png,nv,n/a,,unknown,,,junctional nevus\n"
    )
    table = own(tmp_path, text)
    check_table(table)
    assert {name: [None if pd.isna(cell) else cell for cell in table[name]] for name in table} == {
        "image_id": ["a.JPG", "b.c.png"],
        "label": ["Melanoma", "nv"],
        "camera": ["X1", ""],
        "age": [61, None],
        "Sex": ["?", ""],
        "sex": ["female", None],
        "site": ["palms/soles", None],
        "patient_id": ["7", None],
        "diagnosis": ["MEL", "junctional nevus"],
    }


def test_a_diagnosis_that_is_the_label_is_kept_beside_it(tmp_path):
    table = own(tmp_path, "name,dx\na,MEL\nb,NV\n", id_column="name", label_column="dx")
    assert table.to_dict("list") == {
        "image_id": ["a", "b"],
        "label": ["MEL", "NV"],
        "diagnosis": ["MEL", "NV"],
    }


def test_columns_that_would_have_the_same_name(tmp_path):
    table = own(
        tmp_path, "image_id,label,age_approx,age,localization,site_of_clinic,dx,iddx_3\nA,0,50,51,back,Rome,nv,\n"
    )
    assert table.iloc[0].dropna().to_dict() == {
        "image_id": "A",
        "label": "0",
        "age_approx": "50",
        "age": 51.0,
        "site": "back",
        "site_of_clinic": "Rome",
        "diagnosis": "nv",
        "iddx_3": "",
    }


def test_columns_without_a_name_and_with_a_datasets_own_are_left_out(tmp_path):
    text = ",image_id,label,path,name,\n0,X,0,/gone/x.jpg,A,\n"
    assert own(tmp_path, text, id_column="name").to_dict("list") == {
        "image_id": ["A"],
        "label": ["0"],
        "path": ["/gone/x.jpg"],
    }
    assert list(own(tmp_path, text, label_column="name")) == ["image_id", "label", "path"]


def test_ages_that_are_no_numbers_are_missing(tmp_path):
    table = own(tmp_path, "image_id,label,age\nA,0,inf\nB,0,-1e999\nC,0,sixty\nD,0,0\nE,0,nan\n")
    assert table["age"].isna().tolist() == [True, True, True, False, True]


def test_tabs_and_quotes(tmp_path):
    assert own(tmp_path, 'image_id\tlabel\tnote\n A \t"1"\t"x\ty, ""z"""\n').iloc[0].tolist() == ["A", "1", 'x\ty, "z"']
    assert own(tmp_path, 'image_id, label, note\nA, "1", "x, y\nz"\n').iloc[0].tolist() == ["A", "1", "x, y\nz"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf\n\n", "the file is empty"),
        (b"image_id,label\n", "a header but no rows"),
        (b"A,0\nB,1\n", "must name the column 'image_id', or say which it is with id_column= .*; got 'A', '0'"),
        (b"x" * 100_000 + b"\nA", "got 'x{499}…$"),
        (b"image_id,label,age,age\nA,0,1,2\n", "names 'age' more than once"),
        (b"image_id,label\nA,0\nB,0,1\n", "2 columns at first, but 3 in the row of 'B'"),
        (b"image_id,label\nA\n", "2 columns at first, but 1 in the row of 'A'"),
        (b'image_id,label\n"A,0\n', "not a CSV file"),
        (b'image_id,label\n"A"x,0\n', "not a CSV file"),
        (b"image_id,label\nA\0,0\n", "NUL bytes"),
        ("image_id,label\nA,0\n".encode("utf-16-le"), "NUL bytes"),
        (b"image_id,label\n\xed\xe5\xe2\xf3\xf1,0\n", "not a CSV file"),
        (b"image_id,label\n" + b"A" * 200_000 + b",0\n", "field larger than field limit"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not a CSV file"),
    ],
)
def test_bad_tables_say_what_is_wrong(tmp_path, text, message):
    (tmp_path / "mine.csv").write_bytes(text)
    with pytest.raises(DatasetError, match=f"mine.csv: .*{message}"):
        arrange(read_table(tmp_path / "mine.csv"), name=str(tmp_path / "mine.csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("ISIC_0,benign,1\n", "expected two columns without a header .* got 3 columns"),
        ("image_id,label\nISIC_0,benign\n", "starts with a header"),
        ("ISIC_0,benign\nISIC_1\n", "2 columns at first, but 1 in the row of 'ISIC_1'"),
    ],
)
def test_bad_files_without_header_say_what_is_wrong(tmp_path, text, message):
    challenge = get_challenge(2016, "train")
    with pytest.raises(DatasetError, match=message):
        read_challenge(challenge, write(tmp_path, {challenge.ground_truth: text}))


def test_columns_of_a_challenge_that_are_not_there_are_named(tmp_path):
    challenge = get_challenge(2018, "test")
    with pytest.raises(DatasetError, match=r"columns 'image', 'MEL', .* 'DF' and 'VASC', got 'image', 'MEL'"):
        read_challenge(challenge, write(tmp_path, {challenge.ground_truth: "image,MEL\nA,1.0\n"}))
    with pytest.raises(DatasetError, match=r"ISIC_2020_Training_GroundTruth_v2\.csv: no such file"):
        read_challenge(get_challenge(2020, "train"), tmp_path)
    with pytest.raises(DatasetError, match="not a file"):
        read_table(tmp_path)


def test_a_bad_file_of_metadata_is_not_passed_over(tmp_path):
    write(tmp_path, EXAMPLES["ISIC 2019 test"][0] | {"ISIC_2019_Test_Metadata.csv": "age,sex\n5,male\n"})
    with pytest.raises(
        DatasetError, match=r"ISIC_2019_Test_Metadata\.csv: the header must name the column 'image', got 'age'"
    ):
        read_challenge(get_challenge(2019, "test"), tmp_path)


def test_the_first_of_two_rows_about_an_image_counts(tmp_path):
    rows = "image,age_approx,anatom_site_general,sex\nISIC_8,5.0,back,male\nISIC_8.jpg,9.0,,female\n"
    write(tmp_path, EXAMPLES["ISIC 2019 test"][0] | {"ISIC_2019_Test_Metadata.csv": rows})
    assert read_challenge(get_challenge(2019, "test"), tmp_path).iloc[8].tolist()[3:] == [5.0, "male", "back"]


# --- whatever else may stand in a file --------------------------------------------------------------------------------

CELLS = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    [
        "0",
        "1.0",
        "inf",
        "nan",
        "1e999",
        "-5",
        "MEL",
        "melanoma",
        "unknown",
        "F",
        "a.jpg",
        '"',
        ",",
        "\n",
        "\r",
        "\0",
        "||",
    ]
)
NAMES = (
    st.sampled_from(
        ["image_id", "label", "image", "MEL", "NV", "age_approx", "age", "sex", "dx", "path", "patient_id", "Name"]
    )
    | CELLS
)


@st.composite
def tables(draw):
    """Draw a file: garbage, or rows of cells under a header that may hold the right names."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    separator, end = draw(st.sampled_from([",", "\t", "||", ";"])), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    header = draw(st.permutations(["image_id", "label", "melanoma", *draw(st.lists(NAMES, max_size=4))]))
    rows = draw(st.lists(st.lists(CELLS, min_size=len(header), max_size=len(header)), max_size=4))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"]))
    return end.join(separator.join(row) for row in [header, *rows]).encode(encoding)


@pytest.fixture(scope="module")
def scratch():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@given(content=tables())
def test_any_file_of_a_users_own_is_a_table_or_a_clear_error(scratch, content):
    (scratch / "mine.csv").write_bytes(content)
    try:
        table = arrange(read_table(scratch / "mine.csv"), name=str(scratch / "mine.csv")).table
        check_table(table.drop(columns="path", errors="ignore"))  # that of an official file has none
    except DatasetError as error:
        assert str(error).startswith(str(scratch / "mine.csv"))  # noqa: PT017 -- it need not be raised


FORMATS = [(2016, "train"), (2017, "train"), (2018, "train"), (2019, "test"), (2020, "train"), (2024, "train")]
FORMATS += [("HAM10000", "train"), ("PH2", "all")]


@given(which=st.sampled_from(FORMATS), content=tables(), right_header=st.booleans(), rows=st.lists(CELLS, max_size=60))
def test_any_official_file_is_a_table_or_a_clear_error(scratch, which, content, right_header, rows):
    challenge = get_challenge(*which)
    first = next(iter(EXAMPLES[challenge.title][0].values())).splitlines()[0]
    width = len(first.strip("|").split(challenge.separator))
    if right_header:
        lines = [challenge.separator.join(rows[start : start + width]) for start in range(0, len(rows), width)]
        content = "\n".join(
            [first, *(f"||{line}||" if challenge.separator == "||" else line for line in lines)]
        ).encode()
    (scratch / challenge.ground_truth).write_bytes(content)
    try:
        check_table(read_challenge(challenge, scratch))
    except DatasetError as error:
        assert str(error).startswith(str(scratch / challenge.ground_truth))  # noqa: PT017
