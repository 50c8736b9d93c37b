"""What users have today, one line each: every public layout, written as it is published, with drawn images."""

import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets.challenges import CHALLENGES, get_challenge
from melanoma_tl.datasets.diagnoses import read_class
from melanoma_tl.errors import DatasetError, ImageError
from melanoma_tl.images.decoding import decode, load_image, read_content
from melanoma_tl.images.fingerprints import fingerprint_images
from melanoma_tl.images.hdf5 import split_member
from melanoma_tl.images.prepared import PreparedStore

# --- the layouts ------------------------------------------------------------------------------------------------------


@dataclass
class Layout:
    """What lies in the folder, how it is read, and what comes out: id, class, file, diagnosis, patient, lesion."""

    files: dict[str, str]
    images: list[str]
    expected: list[tuple[str, int, str, str | None, str | None, str | None]]
    call: dict[str, object] = field(default_factory=dict)
    hdf5: str = ""
    """The images lie in this file, under their names."""

    def write(self, root):
        for name, text in self.files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        if self.hdf5:
            with h5py.File(root / self.hdf5, "w") as file:
                for number, name in enumerate(self.images):
                    file.create_dataset(name, data=np.void(jpeg(number)))
            return root
        for number, name in enumerate(self.images):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            draw(number).save(root / name)
        return root

    def read(self, root, **options):
        if self.call:
            return ISBIDataset.from_challenge(root, **self.call, **options)
        return ISBIDataset.from_archive(root, **options)


def draw(number):
    pixels = np.random.default_rng(number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((48, 40))


def jpeg(number):
    file = io.BytesIO()
    draw(number).save(file, "JPEG")
    return file.getvalue()


ARCHIVE = """\
isic_id,attribution,copyright_license,age_approx,anatom_site_general,diagnosis_1,diagnosis_2,diagnosis_3,diagnosis_4,diagnosis_5,image_type,lesion_id,patient_id,sex
ISIC_1,MSK,CC-BY,55,anterior torso,Malignant,Malignant melanocytic proliferations (Melanoma),Melanoma Invasive,"Melanoma Invasive, Superficial spreading",,dermoscopic,IL_1,IP_1,male
ISIC_2,MSK,CC-0,60,head/neck,Malignant,Malignant adnexal epithelial proliferations - Follicular,Basal cell carcinoma,"Basal cell carcinoma, Nodular",,dermoscopic,IL_2,IP_1,female
ISIC_3,MSK,CC-0,,,Benign,Benign melanocytic proliferations,Nevus,,,dermoscopic,,,
ISIC_4,MSK,CC-BY-NC,40,palms/soles,Indeterminate,Indeterminate epidermal proliferations,Solar or actinic keratosis,,,dermoscopic,IL_4,IP_4,male
"""  # noqa: E501

ARCHIVE_UNTIL_2024 = """\
isic_id,attribution,copyright_license,age_approx,anatom_site_general,benign_malignant,diagnosis,diagnosis_confirm_type,image_type,melanocytic,patient_id,sex
ISIC_1,MSK,CC-0,55,anterior torso,malignant,melanoma,histopathology,dermoscopic,True,IP_1,male
ISIC_2,MSK,CC-0,55,anterior torso,malignant,squamous cell carcinoma,histopathology,dermoscopic,False,IP_1,male
ISIC_3,MSK,CC-0,55,anterior torso,benign,,,dermoscopic,,IP_3,male
"""

HAM10000 = """\
lesion_id,image_id,dx,dx_type,age,sex,localization
HAM_1,ISIC_1,mel,histo,80.0,male,scalp
HAM_1,ISIC_2,mel,histo,80.0,male,scalp
HAM_2,ISIC_3,bcc,histo,45.0,female,back
"""
_HAM = [("melanoma", "HAM_1", 1), ("melanoma", "HAM_1", 1), ("basal cell carcinoma", "HAM_2", 0)]


def ham10000(table, *folders):
    text = HAM10000.replace(",", "\t") if table.endswith(".tab") else HAM10000
    names = [f"{folder}ISIC_{row}.jpg" for row, folder in enumerate(folders, start=1)]
    expected = [
        (f"ISIC_{row}", label, name, diagnosis, None, lesion)
        for row, (name, (diagnosis, lesion, label)) in enumerate(zip(names, _HAM, strict=True), start=1)
    ]
    return Layout({table: text}, names, expected, {"year": "HAM10000", "split": "train"})


SIIM = """\
image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target
ISIC_1,IP_1,male,45.0,head/neck,unknown,benign,0
ISIC_2,IP_2,female,55.0,upper extremity,melanoma,malignant,1
"""

ISIC_2024 = """\
isic_id,target,patient_id,age_approx,sex,anatom_site_general,image_type,attribution,copyright_license,lesion_id,iddx_full,iddx_1,iddx_2,iddx_3,iddx_4,iddx_5,mel_mitotic_index,mel_thick_mm
ISIC_1,0,IP_1,60.0,male,lower extremity,TBP tile: close-up,MSK,CC-BY,,Benign,Benign,,,,,,
ISIC_2,1,IP_1,60.0,male,back,TBP tile: close-up,MSK,CC-BY,IL_2,x,Malignant,Malignant adnexal epithelial proliferations - Follicular,Basal cell carcinoma,"Basal cell carcinoma, Nodular",,,
ISIC_3,1,IP_2,50.0,female,back,TBP tile: close-up,MSK,CC-BY,IL_3,x,Malignant,Malignant melanocytic proliferations (Melanoma),Melanoma in situ,,,,
"""  # noqa: E501


def isic_2024(hdf5=""):
    names = [f"ISIC_{row}" if hdf5 else f"train-image/image/ISIC_{row}.jpg" for row in (1, 2, 3)]
    paths = [f"{hdf5}::{name}" if hdf5 else name for name in names]
    expected = [
        ("ISIC_1", 0, paths[0], "unknown", "IP_1", None),
        ("ISIC_2", 0, paths[1], "basal cell carcinoma", "IP_1", "IL_2"),
        ("ISIC_3", 1, paths[2], "melanoma", "IP_2", "IL_3"),
    ]
    return Layout({"train-metadata.csv": ISIC_2024}, names, expected, {"year": 2024, "split": "train"}, hdf5)


PAD = """\
patient_id,lesion_id,smoke,age,gender,fitspatrick,region,diagnostic,img_id,biopsed
PAT_1516,1765,,8,,,ARM,NEV,PAT_1516_1765_530.png,False
PAT_46,881,False,55,FEMALE,3.0,NECK,BCC,PAT_46_881_939.png,True
PAT_46,882,False,55,FEMALE,3.0,NECK,MEL,PAT_46_882_14.png,True
PAT_7,9,True,70,MALE,1.0,FACE,ACK,PAT_7_9_1.png,False
"""


def pad(*folders):
    ids = ("PAT_1516_1765_530", "PAT_46_881_939", "PAT_46_882_14", "PAT_7_9_1")
    names = [f"{folder}{image_id}.png" for image_id, folder in zip(ids, folders, strict=True)]
    facts = [
        (0, "naevus", "PAT_1516", "1765"),
        (0, "basal cell carcinoma", "PAT_46", "881"),
        (1, "melanoma", "PAT_46", "882"),
        (0, "actinic keratosis", "PAT_7", "9"),
    ]
    expected = [(i, fact[0], name, *fact[1:]) for i, name, fact in zip(ids, names, facts, strict=True)]
    return Layout({"metadata.csv": PAD}, names, expected, {"year": "PAD-UFES-20", "split": "all"})


DERM7PT = """\
case_num,diagnosis,seven_point_score,location,sex,management,clinic,derm,case_id,notes
1,basal cell carcinoma,0,abdomen,female,excision,NEL/NEL027.JPG,NEL/NEL025.JPG,,
2,melanoma (less than 0.76 mm),5,back,male,excision,NEL/Nel046.jpg,NEL/Nel047.jpg,,
3,reed or spitz nevus,1,back,male,excision,FCl/Fcl067.jpg,FCl/Fcl068.jpg,,
4,melanoma (in situ),1,back,male,excision,A/a1.jpg,A/a2.jpg,,
"""
_DERM7PT_IMAGES = ["NEL025.JPG", "NEL027.JPG", "Nel046.jpg", "Nel047.jpg"]
_DERM7PT_IMAGES = [f"images/NEL/{name}" for name in _DERM7PT_IMAGES]
_DERM7PT_IMAGES += ["images/FCL/Fcl067.jpg", "images/FCL/Fcl068.jpg", "images/A/a1.jpg", "images/A/a2.jpg"]
_DERM7PT = [
    ("NEL/NEL025", 0, "images/NEL/NEL025.JPG", "basal cell carcinoma", None, None),
    ("NEL/Nel047", 1, "images/NEL/Nel047.jpg", "melanoma (less than 0.76 mm)", None, None),
    ("FCl/Fcl068", 0, "images/FCL/Fcl068.jpg", "reed or spitz nevus", None, None),
    ("A/a2", 1, "images/A/a2.jpg", "melanoma (in situ)", None, None),
]


def derm7pt(split, part, *positions):
    indexes = "indexes\n" + "".join(f"{position}\n" for position in positions)
    files = {"meta/meta.csv": DERM7PT, f"meta/{part}_indexes.csv": indexes}
    expected = [_DERM7PT[position] for position in positions]
    return Layout(files, _DERM7PT_IMAGES, expected, {"year": "Derm7pt", "split": split})


BCN20000 = """\
bcn_filename,age_approx,anatom_site_general,diagnosis,lesion_id,capture_date,sex,split
BCN_0000000001.jpg,55.0,anterior torso,MEL,BCN_0003884,2012-05-16,male,train
BCN_0000000003.jpg,50.0,anterior torso,NV,BCN_0000019,2015-07-09,female,train
BCN_0000000004.jpg,85.0,head/neck,SCC,BCN_0003499,2015-11-23,male,train
"""


def bcn20000(folder):
    names = [f"{folder}BCN_000000000{row}.jpg" for row in (1, 3, 4)]
    expected = [
        ("BCN_0000000001", 1, names[0], "melanoma", None, "BCN_0003884"),
        ("BCN_0000000003", 0, names[1], "naevus", None, "BCN_0000019"),
        ("BCN_0000000004", 0, names[2], "squamous cell carcinoma", None, "BCN_0003499"),
    ]
    return Layout({"bcn_20k_train.csv": BCN20000}, names, expected, {"year": "BCN20000", "split": "train"})


MILK10K_TRUTH = """\
lesion_id,AKIEC,BCC,BEN_OTH,BKL,DF,INF,MAL_OTH,MEL,NV,SCCKA,VASC
IL_1,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0
IL_2,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
IL_3,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0
"""
MILK10K_IMAGES = """\
lesion_id,image_type,isic_id,attribution,copyright_license,image_manipulation,age_approx,sex,skin_tone_class,site
IL_3,dermoscopic,ISIC_6,MILK,CC-BY-NC,instrument only,65,male,3,trunk
IL_3,clinical: close-up,ISIC_5,MILK,CC-BY-NC,altered,65,male,3,trunk
IL_1,clinical: close-up,ISIC_1,MILK,CC-BY-NC,altered,85,female,4,head_neck_face
IL_1,dermoscopic,ISIC_2,MILK,CC-BY-NC,instrument only,85,female,4,head_neck_face
IL_2,dermoscopic,ISIC_4,MILK,CC-BY-NC,instrument only,85,female,4,head_neck_face
IL_2,clinical: close-up,ISIC_3,MILK,CC-BY-NC,altered,85,female,4,head_neck_face
"""


def milk10k(split, rows, within=""):
    folder = f"MILK10k_Training_Input/{within}"
    places = {row: f"{folder}IL_{(row + 1) // 2}/ISIC_{row}.jpg" for row in range(1, 7)}
    kinds = {1: (1, "melanoma"), 2: (0, "basal cell carcinoma"), 3: (0, "other malignant lesion")}
    expected = []
    for row in rows:
        label, diagnosis = kinds[(row + 1) // 2]
        expected.append((f"ISIC_{row}", label, places[row], diagnosis, None, f"IL_{(row + 1) // 2}"))
    files = {"MILK10k_Training_GroundTruth.csv": MILK10K_TRUTH, "MILK10k_Training_Metadata.csv": MILK10K_IMAGES}
    return Layout(files, list(places.values()), expected, {"year": "MILK10k", "split": split})


DDI = """\
,DDI_ID,DDI_file,skin_tone,malignant,disease
0,1,000001.png,56,True,melanoma-in-situ
1,2,000002.png,56,True,mycosis-fungoides
2,3,000003.png,12,False,melanocytic-nevi
3,4,000004.png,34,True,nodular-melanoma-(nm)
"""


def ddi(folder, table=DDI):
    names = [f"{folder}00000{row}.png" for row in range(1, 5)]
    facts = [(1, "melanoma-in-situ"), (0, "mycosis-fungoides"), (0, "melanocytic-nevi"), (1, "nodular-melanoma-(nm)")]
    expected = [(Path(name).stem, fact[0], name, fact[1], None, None) for name, fact in zip(names, facts, strict=True)]
    return Layout({"ddi_metadata.csv": table}, names, expected, {"year": "DDI", "split": "all"})


FITZPATRICK = """\
md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,three_partition_label,qc,url,url_alphanum
5e82a45bc5d78bd24ae9202d194423f8,3,3,drug induced pigmentary changes,inflammatory,non-neoplastic,,https://x,a
fa2911a9b13b6f8af79cb700937cc14f,1,1,malignant melanoma,malignant melanoma,malignant,,https://x,b
d2bac3c9e4499032ca8e9b07c7d3bc40,2,3,basal cell carcinoma,malignant epidermal,malignant,,https://x,c
0a94359e7eaacd7178e06b2823777789,1,2,superficial spreading melanoma ssm,malignant melanoma,malignant,,https://x,d
a39ec3b1f22c08a421fa20535e037bba,1,1,psoriasis,inflammatory,non-neoplastic,,https://x,e
"""


def fitzpatrick(folder):
    rows = [line.split(",") for line in FITZPATRICK.splitlines()[1:]]
    names = [f"{folder}{row[0]}.jpg" for row in rows]
    expected = [
        (row[0], int("melanoma" in row[3]), name, row[3], None, None) for row, name in zip(rows, names, strict=True)
    ]
    return Layout({"fitzpatrick17k.csv": FITZPATRICK}, names, expected, {"year": "Fitzpatrick17k", "split": "all"})


_ARCHIVE_ROWS = [
    (1, "melanoma invasive, superficial spreading", "IP_1", "IL_1"),
    (0, "basal cell carcinoma, nodular", "IP_1", "IL_2"),
    (0, "naevus", None, None),
    (0, "actinic keratosis", "IP_4", "IL_4"),
]


def archive(within=""):
    names = [f"{within}ISIC_{row}.jpg" for row in range(1, 5)]
    expected = [(Path(n).stem, fact[0], n, *fact[1:]) for n, fact in zip(names, _ARCHIVE_ROWS, strict=True)]
    files = {"metadata.csv": ARCHIVE, "attribution.txt": "MSK\n", "licenses/CC-0.txt": "no rights reserved\n"}
    return Layout({within + name: text for name, text in files.items()}, names, expected)


LAYOUTS = {
    "archive": archive(),
    "archive, in the folder of its zip": archive("ISIC-images/"),
    "archive until 2024": Layout(
        {"metadata.csv": ARCHIVE_UNTIL_2024},
        [f"ISIC_{row}.JPG" for row in (1, 2, 3)],
        [
            ("ISIC_1", 1, "ISIC_1.JPG", "melanoma", "IP_1", None),
            ("ISIC_2", 0, "ISIC_2.JPG", "squamous cell carcinoma", "IP_1", None),
            ("ISIC_3", 0, "ISIC_3.JPG", None, "IP_3", None),
        ],
    ),
    "HAM10000": ham10000("HAM10000_metadata.csv", *["HAM10000_images_part_1/"] * 2, "HAM10000_images_part_2/"),
    "HAM10000, small letters": ham10000(
        "HAM10000_metadata.csv", "ham10000_images_part_1/", *["ham10000_images_part_2/"] * 2
    ),
    "HAM10000, one folder": ham10000("HAM10000_metadata.csv", *["all_images/"] * 3),
    "HAM10000, beside the table": ham10000("HAM10000_metadata.tab", "", "", ""),
    "SIIM-ISIC 2020 on Kaggle": Layout(
        {"train.csv": SIIM, "train/ISIC_1.dcm": "not read", "train/ISIC_2.dcm": "not read"},
        ["jpeg/train/ISIC_1.jpg", "jpeg/train/ISIC_2.jpg"],
        [
            ("ISIC_1", 0, "jpeg/train/ISIC_1.jpg", "unknown", "IP_1", None),
            ("ISIC_2", 1, "jpeg/train/ISIC_2.jpg", "melanoma", "IP_2", None),
        ],
        {"year": 2020, "split": "train"},
    ),
    "ISIC 2024 on Kaggle": isic_2024(),
    "ISIC 2024 on Kaggle, HDF5": isic_2024("train-image.hdf5"),
    "PAD-UFES-20": pad("imgs_part_1/", "imgs_part_1/", "imgs_part_2/", "imgs_part_3/"),
    "PAD-UFES-20, nested": pad(
        *("images/imgs_part_1/imgs_part_1/", "images/imgs_part_1/imgs_part_1/"),
        *("images/imgs_part_2/imgs_part_2/", "images/imgs_part_3/imgs_part_3/"),
    ),
    "PAD-UFES-20, all in one": pad(*["all_images/"] * 4),
    "Derm7pt train": derm7pt("train", "train", 0, 2),
    "Derm7pt validation": derm7pt("validation", "valid", 3),
    "Derm7pt test": derm7pt("test", "test", 1),
    "BCN20000": bcn20000("BCN_20k_train/bcn_20k_train/"),
    "BCN20000, unpacked elsewhere": bcn20000("bcn_20k_train/"),
    "MILK10k": milk10k("train", (6, 2, 4)),
    "MILK10k, nested": milk10k("train", (6, 2, 4), "MILK10k_Training_Input/"),
    "MILK10k, close-ups": milk10k("train, close-up", (5, 1, 3)),
    "DDI": ddi(""),
    "DDI, in a folder": ddi("images/"),
    "Fitzpatrick17k": fitzpatrick("data/finalfitz17k/"),
    "Fitzpatrick17k, in a folder": fitzpatrick("images/"),
}

each_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())


def rows_of(dataset, root):
    facts = dataset.metadata.reindex(columns=["diagnosis", "patient_id", "lesion_id"])
    return [
        (image_id, label, Path(path).relative_to(root).as_posix(), *(None if pd.isna(fact) else fact for fact in known))
        for (image_id, path, label), known in zip(dataset, facts.itertuples(index=False), strict=True)
    ]


@each_layout
def test_each_layout_is_read_in_one_line(tmp_path, layout):
    dataset = layout.read(layout.write(tmp_path))
    assert rows_of(dataset, tmp_path) == layout.expected
    assert dataset.skipped == ()


@each_layout
def test_the_images_are_those_of_their_rows(tmp_path, layout):
    dataset = layout.read(layout.write(tmp_path))
    for path in dataset.paths:
        name = Path(path).relative_to(tmp_path).as_posix()
        number = layout.images.index(name.removeprefix(f"{layout.hdf5}::"))
        expected = Image.open(io.BytesIO(jpeg(number))) if Path(name).suffix.lower() != ".png" else draw(number)
        np.testing.assert_array_equal(load_image(path), np.asarray(expected.convert("RGB")))


@each_layout
def test_images_that_are_not_there_are_listed(tmp_path, layout):
    layout.write(tmp_path)
    lost = layout.expected[1:][:1]
    if not lost or layout.hdf5:
        pytest.skip("one image, or all in one file")
    for path in tmp_path.rglob(f"{Path(lost[0][2]).stem}.*"):  # in any format
        path.unlink()
    with pytest.raises(DatasetError, match=f"1 of .* rows cannot be used .*{lost[0][0]}"):
        layout.read(tmp_path)
    dataset = layout.read(tmp_path, on_error="skip")
    assert [row.image_id for row in dataset.skipped] == [lost[0][0]]
    assert rows_of(dataset, tmp_path) == [row for row in layout.expected if row not in lost]


@each_layout
def test_a_table_of_a_dataset_reads_back_to_it(tmp_path, layout):
    dataset = layout.read(layout.write(tmp_path / "set"))
    dataset.to_frame().to_csv(tmp_path / "mine.csv", index=False)
    again = ISBIDataset.from_csv(tmp_path / "mine.csv")
    assert again.image_ids.tolist() == dataset.image_ids.tolist()
    assert again.labels.tolist() == dataset.labels.tolist()
    assert again.paths.tolist() == dataset.paths.tolist()


# --- the entries ------------------------------------------------------------------------------------------------------

NEW = ("PAD-UFES-20", "Derm7pt", "BCN20000", "MILK10k", "DDI", "Fitzpatrick17k")


@pytest.mark.parametrize("entry", [entry for entry in CHALLENGES if entry.year in NEW], ids=lambda entry: entry.title)
def test_entries_say_where_the_images_come_from(entry):
    assert entry.license
    assert entry.citation
    assert entry.page.startswith("https://")
    assert (entry.n_benign is None) == (entry.n_melanoma is None)
    assert any(layout.call == {"year": entry.year, "split": entry.split} for layout in LAYOUTS.values()) or (
        entry.title == "BCN20000 test"
    )


def test_photographs_are_called_so(tmp_path, caplog):
    for name in ("PAD-UFES-20", "DDI", "MILK10k, close-ups", "ISIC 2024 on Kaggle"):
        caplog.clear()
        LAYOUTS[name].read(LAYOUTS[name].write(tmp_path / name))
        assert "not dermoscopic images" in caplog.text
    for name in ("MILK10k", "BCN20000"):
        caplog.clear()
        LAYOUTS[name].read(LAYOUTS[name].write(tmp_path / name))
        assert "not dermoscopic" not in caplog.text


def test_archives_beside_the_folders_that_they_were_unpacked_to(tmp_path):
    layout = LAYOUTS["PAD-UFES-20"]
    layout.write(tmp_path)
    (tmp_path / "imgs_part_1.zip").write_bytes(b"PK")
    assert rows_of(layout.read(tmp_path), tmp_path) == layout.expected


def test_counts_that_nobody_published_are_not_compared(tmp_path, caplog):
    LAYOUTS["BCN20000"].read(LAYOUTS["BCN20000"].write(tmp_path / "bcn"))
    assert "officially" not in caplog.text
    LAYOUTS["DDI"].read(LAYOUTS["DDI"].write(tmp_path / "ddi"))
    assert "officially 635 and 21" in caplog.text


@pytest.mark.parametrize(("title", "n_images"), [("PAD-UFES-20", 2298), ("DDI", 656)])
def test_counts_add_up_to_those_of_the_papers(title, n_images):
    entry = get_challenge(title, "all")
    assert entry.n_benign + entry.n_melanoma == n_images


# --- melanoma, another cancer, or nothing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "malignant", "expected"),
    [
        (["Malignant", "Malignant melanocytic proliferations (Melanoma)", "Melanoma, NOS"], "1", "melanoma"),
        (["Malignant", "Malignant melanocytic proliferations (Melanoma)", ""], "malignant", "melanoma"),
        (["Malignant", "Malignant epidermal proliferations", ""], "", "benign"),
        (["Malignant", "Malignant soft tissue proliferations - Vascular", "Angiosarcoma"], "True", "benign"),
        (["Benign", "Inflammatory or infectious diseases", "Psoriasis"], "", "benign"),
        (["mycosis fungoides"], "malignant", "benign"),
        (["lentigo maligna"], "malignant", "melanoma"),
        (["Indeterminate", "Indeterminate epidermal proliferations", "Solar or actinic keratosis"], "", "benign"),
        (["Benign"], "", "benign"),
        ([""], "benign", "benign"),
        (["", "nan", "unknown"], "0", "benign"),
        (["Malignant", "", ""], "1", "Malignant, but not which cancer"),
        ([""], "malignant", "malignant, but not which cancer"),
        ([""], "1", "malignant, but not which cancer"),
        (["", ""], "", "no diagnosis"),
        ([], "indeterminate", "no diagnosis"),
        (["melanoma"], "benign", "melanoma, but malignant=benign"),
        (["melanoma"], "0", "melanoma, but malignant=0"),
        (["Malignant", "Malignant adnexal epithelial proliferations"], "benign", "Malignant, but malignant=benign"),
        (["Benign", "", "Melanoma in situ"], "", "Melanoma in situ, but also Benign"),
        (["Indeterminate"], "", "Indeterminate: melanoma or not"),
        (["Indeterminate", "Atypical intraepithelial melanocytic proliferation"], "",
         "Atypical intraepithelial melanocytic proliferation: melanoma or not"),
        (["Indeterminate", "Indeterminate melanocytic proliferations"], "0", "benign"),
        (["Indeterminate"], "1", "Indeterminate: melanoma or not"),
        (["melanoma vs nevus"], "", "melanoma vs nevus: melanoma or not"),
        (["lentigo maligna?"], "", "lentigo maligna?: melanoma or not"),
        (["mel?"], "", "mel?: melanoma or not"),
        (["V.a. MM"], "malignant", "V.a. MM: melanoma or not"),
        (["SSM vs nevus"], "", "SSM vs nevus: melanoma or not"),
        (["Nevus", "melanoma?"], "", "melanoma?: melanoma or not"),
        (["AIMP"], "indeterminate", "AIMP: melanoma or not"),
        (["vascular thing"], "indeterminate/malignant", "vascular thing: melanoma or not"),
        (["nevus"], "indeterminate", "benign"),
        (["metastasis"], "malignant", "metastasis: melanoma or not"),
        (["not benign"], "", "not benign: melanoma or not"),
        (["yes"], "", "no diagnosis"),
        (["1"], "malignant", "malignant, but not which cancer"),
        (["0"], "benign", "benign"),
        (["Benign", "Benign soft tissue proliferations - Neural", "Perineurioma"], "", "benign"),
        (["Malignant", "Malignant lymphocytic proliferations", "Lymphomatoid something"], "", "benign"),
        (["Perineurioma"], "benign", "benign"),
        (["M-8720/3"], "", "melanoma"),
        (["Malignant", "8090/3"], "1", "benign"),
        (["Malignant", "8720/0"], "", "8720/0, but Malignant"),
        (["Malignant", "Malignant melanocytic proliferations"], "",
         "Malignant melanocytic proliferations, but not which cancer"),
        (["Indeterminate", "Indeterminate - Other", "Perineurioma"], "", "Perineurioma: melanoma or not"),
        (["Malignant", "Collision - At least one malignant proliferation"], "",
         "Collision - At least one malignant proliferation: melanoma or not"),
    ],
)  # fmt: skip
def test_the_class_follows_from_the_diagnosis_alone(levels, malignant, expected):
    assert read_class(levels, malignant=malignant) == expected


@pytest.mark.parametrize(
    ("levels", "malignant"),
    [
        (["Hutchinsons Fleck"], ""),
        (["Melnoma"], ""),
        (["Malignant", "Melnoma"], ""),
        (["Malignant", "Hutchinsons Fleck"], "1"),
        (["Melnoma"], "malignant"),
        (["8720"], ""),
    ],
)
def test_a_diagnosis_that_nobody_knows_is_not_benign(levels, malignant):
    for undecided in ("", "benign"):
        said = read_class(levels, malignant=malignant, undecided=undecided)
        assert said.startswith(f"unknown diagnosis {levels[-1]!r}: read the table with from_csv, where positive=")


def test_an_archive_lists_diagnoses_that_nobody_knows(tmp_path):
    layout = archive()
    old = (
        'Malignant adnexal epithelial proliferations - Follicular,Basal cell carcinoma,"Basal cell carcinoma, Nodular",'
    )
    layout.files["metadata.csv"] = ARCHIVE.replace(old, ",Melnoma,,").replace(",Nevus,", ",Perineurioma,")
    layout.write(tmp_path)
    with pytest.raises(DatasetError, match="unknown diagnosis"):
        layout.read(tmp_path)
    dataset = layout.read(tmp_path, on_error="skip")
    assert dataset.labels.tolist() == [1, 0, 0], "what is benign at the coarsest level is so, whatever it is called"
    assert [row.image_id for row in dataset.skipped] == ["ISIC_2"]


def test_the_undecided_follow_the_rule_of_their_source():
    levels = ["Indeterminate", "Indeterminate melanocytic proliferations", "Atypical melanocytic neoplasm"]
    assert read_class(levels, undecided="benign") == "benign"
    assert "melanoma or not" in read_class(levels, malignant="1", undecided="benign")
    assert read_class(["Malignant"], undecided="benign") == "Malignant, but not which cancer"


@pytest.mark.parametrize(
    "file", ["train-metadata.csv", "ISIC_2024_Training_Supplement.csv"], ids=["with target", "without"]
)
def test_the_indeterminate_of_2024_are_benign_as_in_the_challenge(tmp_path, file):
    text = ISIC_2024.replace(
        "x,Malignant,Malignant adnexal epithelial proliferations - Follicular", "x,Indeterminate,x"
    )
    text = text.replace("ISIC_2,1", "ISIC_2,0").replace("Basal cell carcinoma", "Atypical melanocytic neoplasm")
    if "Supplement" in file:
        text = "\n".join(line.partition(",")[0] + "," + line.split(",", 2)[2] for line in text.splitlines())
    (tmp_path / file).write_text(text)
    dataset = ISBIDataset.from_challenge(tmp_path, year=2024, split="train", labels_only=True)
    assert dataset.labels.tolist() == [0, 0, 1]
    assert dataset.metadata["diagnosis"].tolist() == ["unknown", "atypical melanocytic neoplasm", "melanoma"]


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("archive", "Benign,Benign melanocytic proliferations,Nevus", ",,", "no diagnosis"),
        ("archive", "Benign,Benign melanocytic proliferations,Nevus", "Malignant,,", "not which cancer"),
        ("archive until 2024", "malignant,melanoma", "benign,melanoma", "malignant=benign"),
        ("archive until 2024", "benign,,", "malignant,,", "not which cancer"),
        ("ISIC 2024 on Kaggle", "ISIC_3,1", "ISIC_3,0", "malignant=0"),
        ("ISIC 2024 on Kaggle", "Benign,Benign", "Malignant,Malignant", "Malignant, but malignant=0"),
        ("SIIM-ISIC 2020 on Kaggle", "unknown,benign,0", "unknown,benign,1", "1, but the diagnosis is unknown"),
        ("SIIM-ISIC 2020 on Kaggle", "melanoma,malignant,1", "melanoma,benign,0", "0, but the diagnosis is melanoma"),
        ("PAD-UFES-20", "NEV", "NEVUS?", "NEVUS?"),
        ("PAD-UFES-20", "NEV", "", "no diagnosis"),
        ("HAM10000", "bcc", "", "no diagnosis"),
        ("Derm7pt train", "reed or spitz nevus", "", "no diagnosis"),
        ("BCN20000", "SCC", "", "no diagnosis"),
        ("MILK10k", "IL_3,0.0", "IL_3,1.0", "AKIEC=1.0, MAL_OTH=1.0"),
        ("DDI", "False,melanocytic-nevi", "False,melanoma", "malignant=False"),
        ("DDI", "True,mycosis-fungoides", "True,", "not which cancer"),
        ("Fitzpatrick17k", "malignant melanoma,malignant,", "malignant melanoma,benign,", "malignant=benign"),
    ],
)
def test_rows_that_do_not_say_whether_it_is_melanoma_stop_or_are_listed(tmp_path, name, old, new, reason):
    layout = LAYOUTS[name]
    layout.write(tmp_path)
    changed = 0
    for file, text in layout.files.items():
        if file.endswith(".csv") and old in text:
            (tmp_path / file).write_text(text.replace(old, new, 1), encoding="utf-8")
            changed += 1
    assert changed == 1
    with pytest.raises(DatasetError, match="1 of"):
        layout.read(tmp_path)
    dataset = layout.read(tmp_path, on_error="skip")
    (row,) = dataset.skipped
    assert reason in row.reason
    assert len(dataset) == len(layout.expected) - 1


# --- the ISIC Archive -------------------------------------------------------------------------------------------------


def test_an_archive_keeps_licences_attributions_and_every_level(tmp_path):
    table = archive().read(archive().write(tmp_path)).metadata
    assert table["copyright_license"].tolist() == ["CC-BY", "CC-0", "CC-0", "CC-BY-NC"]
    assert table["attribution"].tolist() == ["MSK"] * 4
    assert table["diagnosis_2"].iloc[1] == "Malignant adnexal epithelial proliferations - Follicular"
    assert table["age"].tolist()[:2] == [55, 60]
    assert table["sex"].iloc[:2].tolist() == ["male", "female"]
    assert table["site"].iloc[:2].tolist() == ["anterior torso", "head/neck"]
    assert table["patient_id"].isna().tolist() == [False, False, True, False]


def test_an_archive_of_several_kinds_of_images_says_so(tmp_path, caplog):
    layout = archive()
    layout.files["metadata.csv"] = ARCHIVE.replace("dermoscopic,IL_4", "clinical: close-up,IL_4")
    layout.read(layout.write(tmp_path))
    assert "3 dermoscopic, 1 clinical: close-up" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "metadata.csv: no such file"),
        ("", "the file is empty"),
        ("image,diagnosis_1\nISIC_1,Benign\n", "must name the column 'isic_id'"),
        ("isic_id,benign_malignant\nISIC_1,malignant\n", "no column of a diagnosis"),
    ],
)
def test_folders_that_are_no_download_of_the_archive(tmp_path, text, message):
    draw(0).save(tmp_path / "ISIC_1.jpg")
    if text is not None:
        (tmp_path / "metadata.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        ISBIDataset.from_archive(tmp_path)


# --- lesions without an image, splits that do not fit -----------------------------------------------------------------


def test_lesions_and_images_that_lack_each_other_are_listed(tmp_path):
    layout = LAYOUTS["MILK10k"]
    layout.write(tmp_path)
    rows = [line for line in MILK10K_IMAGES.splitlines() if "ISIC_4" not in line]
    rows.append("IL_9,dermoscopic,ISIC_1,MILK,CC-BY-NC,instrument only,85,female,4,head_neck_face")
    (tmp_path / "MILK10k_Training_Metadata.csv").write_text("\n".join(rows))
    dataset = layout.read(tmp_path, on_error="skip")
    assert dataset.image_ids.tolist() == ["ISIC_6", "ISIC_2"]
    assert [row.image_id for row in dataset.skipped] == ["ISIC_1", "IL_2"]
    (tmp_path / "MILK10k_Training_Metadata.csv").unlink()
    with pytest.raises(DatasetError, match=r"MILK10k_Training_Metadata\.csv: no such file"):
        layout.read(tmp_path)


@pytest.mark.parametrize("position", ["4", "-1", "x", ""])
def test_splits_by_position_stay_within_the_table(tmp_path, position):
    layout = LAYOUTS["Derm7pt train"]
    layout.write(tmp_path)
    (tmp_path / "meta/train_indexes.csv").write_text(f'indexes\n0\n"{position}"\n')
    with pytest.raises(DatasetError, match="0 to 3"):
        layout.read(tmp_path)


@pytest.mark.parametrize("name", NEW)
def test_what_lies_there_is_read_although_no_program_can_fetch_it(tmp_path, name):
    layout = next(LAYOUTS[key] for key in LAYOUTS if key.startswith(name))
    layout.write(tmp_path)
    split = {"split": "all"} | layout.call
    expected = [row[0] for row in layout.expected]
    dataset = ISBIDataset.download(tmp_path, verbose=0, **split)
    assert dataset.image_ids.tolist() == expected
    assert len(ISBIDataset.download(tmp_path, verbose=0, images=False, **split)) == len(expected)
    Path(dataset.paths[0]).unlink()
    with pytest.raises(DatasetError, match=r"cannot be fetched by a program: ask .* not there yet \(.*1 of .*image"):
        ISBIDataset.download(tmp_path, verbose=0, **split)


# --- malignant is not melanoma ----------------------------------------------------------------------------------------


def test_the_set_of_kaggle_is_read_with_a_warning(tmp_path, caplog):
    for number, name in enumerate(["benign/1.jpg", "benign/2.jpg", "malignant/1.jpg"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        draw(number).save(tmp_path / name)
    dataset = ISBIDataset.from_folder(tmp_path)
    assert dataset.image_ids.tolist() == ["benign/1", "2", "malignant/1"]
    assert dataset.labels.tolist() == [0, 0, 1]
    assert "taken for melanomas: the 1 images labelled 'malignant'" in caplog.text
    caplog.clear()
    ISBIDataset.from_folder(tmp_path, label_map={"benign": 0, "malignant": 1})
    assert not caplog.text, "who says what the words mean needs no warning"


# --- images in an HDF5 file -------------------------------------------------------------------------------------------


@pytest.fixture
def in_hdf5(tmp_path):
    layout = isic_2024("train-image.hdf5")
    return layout.read(layout.write(tmp_path))


def test_an_image_in_an_hdf5_file_is_an_image_like_any_other(in_hdf5, tmp_path):
    path = in_hdf5.paths[1]
    assert path == str(tmp_path / "train-image.hdf5::ISIC_2")
    assert split_member(path) == (str(tmp_path / "train-image.hdf5"), "ISIC_2")
    assert read_content(path) == jpeg(1)
    np.testing.assert_array_equal(np.asarray(decode(Path(path))), np.asarray(Image.open(io.BytesIO(jpeg(1)))))


def test_jobs_name_an_image_in_an_hdf5_file_by_its_member(in_hdf5):
    rows = pytest.importorskip("melanoma_tl.scale.shard_schema", reason="the ray extra is not installed")
    assert rows.describe_files(in_hdf5.paths.tolist())["id"] == ["ISIC_1", "ISIC_2", "ISIC_3"]


def test_images_in_an_hdf5_file_are_compared_as_files_are(tmp_path):
    content = {f"ISIC_{number}": jpeg(number) for number in range(24)}
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        for name, picture in content.items():
            file[name] = np.void(picture)
            (tmp_path / f"{name}.jpg").write_bytes(picture)
    labels = [0, 1] * 12
    within = ISBIDataset(list(content), [str(tmp_path / f"a.hdf5::{name}") for name in content], labels)
    beside = ISBIDataset(list(content), [str(tmp_path / f"{name}.jpg") for name in content], labels)
    assert within.overlap(beside).counts["bytes"] == 24
    one, other = (dataset.selection_bias(verbose=0) for dataset in (within, beside))
    assert str(one) == str(other)


def test_what_is_kept_of_images_in_an_hdf5_file_is_theirs(in_hdf5, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    for number in range(3):
        (alone / f"{number}.jpg").write_bytes(jpeg(number))
    files = [str(alone / f"{number}.jpg") for number in range(3)]
    for _ in range(2):  # computed, then recalled
        assert list(fingerprint_images(in_hdf5.paths.tolist())) == list(fingerprint_images(files))
    store = PreparedStore((24, 32))
    slots = [slot for slot, _ in store.prepare(in_hdf5.paths.tolist())]
    for number, pixels in enumerate(store.open(np.array(slots))[:]):
        np.testing.assert_array_equal(pixels, load_image(files[number], (24, 32)))
    assert in_hdf5.verify(verbose=0).counts["unreadable"] == 0


def test_an_hdf5_file_that_was_written_anew_is_read_anew(in_hdf5, tmp_path):
    before = list(fingerprint_images(in_hdf5.paths.tolist()))
    with h5py.File(tmp_path / "new.hdf5", "w") as file:
        for number, name in enumerate(in_hdf5.image_ids.tolist()):
            file.create_dataset(name, data=np.void(jpeg(10 + number)))
    (tmp_path / "new.hdf5").replace(tmp_path / "train-image.hdf5")
    assert read_content(in_hdf5.paths[0]) == jpeg(10)
    assert not set(before) & set(fingerprint_images(in_hdf5.paths.tolist()))


def test_threads_and_processes_read_from_one_hdf5_file(in_hdf5):
    paths = in_hdf5.paths.tolist() * 50
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(read_content, paths)) == [jpeg(number) for number in range(3)] * 50
    with get_context("fork").Pool(2) as processes:
        assert processes.map(read_content, paths[:6]) == [jpeg(number) for number in range(3)] * 2
    assert pickle.loads(pickle.dumps(in_hdf5)).paths.tolist() == in_hdf5.paths.tolist()


def test_other_bytes_in_an_hdf5_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["numbers"] = np.frombuffer(jpeg(0), dtype=np.uint8)
        file["text"] = "no image"
        file.create_group("group")
    assert read_content(tmp_path / "a.h5::numbers") == jpeg(0)
    for key, reason in {"text": "not an image", "group": "a group", "other": "holds no 'other'"}.items():
        with pytest.raises(ImageError, match=reason):
            load_image(tmp_path / f"a.h5::{key}")
    (tmp_path / "b.hdf5").write_text("no HDF5")
    with pytest.raises(ImageError, match="cannot be read"):
        load_image(tmp_path / "b.hdf5::x")
    with pytest.raises(ImageError, match="no such file"):
        load_image(tmp_path / "c.hdf5::x")
    (tmp_path / "t.csv").write_text("image_id,label\nx,0\n")
    with pytest.raises(DatasetError, match="not an HDF5 file of images"):
        ISBIDataset.from_csv(tmp_path / "t.csv", image_dirs=[tmp_path / "b.hdf5"])


def test_a_users_own_table_with_images_in_an_hdf5_file(in_hdf5, tmp_path):
    (tmp_path / "mine.csv").write_text("image_id,label\nISIC_2.jpg,benign\nISIC_9,benign\nISIC_3,melanoma\n")
    dataset = ISBIDataset.from_csv(tmp_path / "mine.csv", image_dirs=[tmp_path / "train-image.hdf5"], on_error="skip")
    assert dataset.paths.tolist() == in_hdf5.paths[1:].tolist()
    assert [row.image_id for row in dataset.skipped] == ["ISIC_9"]
