"""The challenges as data: what the official files are called, what is in them, and how many images there should be.

There is one entry for each split with published labels. The test sets of 2020 and 2024 have none: their labels stay
with the organisers of the competitions. The ISIC 2018 training set and HAM10000 are the same images, published twice.

Names, sizes and licenses are those of the challenges' own pages (``page`` of each entry; their source is public as
ImageMarkup/stade on GitHub) and of HAM10000's record on Harvard Dataverse (version 4.0). Neither the ISIC Archive nor
the authors of PH2 publish checksums: a hash that nobody published is None.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from melanoma_tl.errors import UnknownNameError

DIAGNOSES: Mapping[str, str] = {
    "mel": "melanoma",
    "melanoma": "melanoma",
    "melanoma in situ": "melanoma",
    "melanoma invasive": "melanoma",
    "melanoma metastasis": "melanoma",
    "melanoma, nos": "melanoma",
    "nv": "naevus",
    "nevus": "naevus",
    "bcc": "basal cell carcinoma",
    "ak": "actinic keratosis",
    "solar or actinic keratosis": "actinic keratosis",
    "akiec": "actinic keratosis or intraepithelial carcinoma",
    "bkl": "benign keratosis",
    "seborrheic_keratosis": "seborrheic keratosis",
    "lichen planus like keratosis": "lichenoid keratosis",
    "lentigo nos": "lentigo",
    "df": "dermatofibroma",
    "vasc": "vascular lesion",
    "scc": "squamous cell carcinoma",
    "squamous cell carcinoma in situ": "squamous cell carcinoma",
    "squamous cell carcinoma, invasive": "squamous cell carcinoma",
    "squamous cell carcinoma, nos": "squamous cell carcinoma",
    "unk": "unknown",
    "ack": "actinic keratosis",
    "nev": "naevus",
    "sek": "seborrheic keratosis",
    "ben_oth": "other benign lesion",
    "inf": "inflammatory or infectious condition",
    "mal_oth": "other malignant lesion",
    "sccka": "squamous cell carcinoma or keratoacanthoma",
}
"""One name for each diagnosis that the challenges write in several ways; keys in lower case, other names stay."""

COLUMNS: Mapping[str, str] = {
    "diagnosis": "diagnosis",
    "dx": "diagnosis",
    "iddx_3": "diagnosis",
    "diagnostic": "diagnosis",
    "disease": "diagnosis",
    "age": "age",
    "age_approx": "age",
    "age_approximate": "age",
    "sex": "sex",
    "gender": "sex",
    "site": "site",
    "region": "site",
    "location": "site",
    "anatom_site_general": "site",
    "anatom_site_general_challenge": "site",
    "localization": "site",
    "patient_id": "patient_id",
    "lesion_id": "lesion_id",
}
"""One name for each fact about an image that the challenges put into columns of several names."""

_YEAR = re.compile(r"\d{4}")


@dataclass(frozen=True)
class OfficialFile:
    """One official file.

    Attributes
    ----------
    file_name : str
        What to call it.
    url : str
        Where it is.
    sha256 : str or None
        Its hash; None where nobody published one.
    n_bytes : int or None
        Its exact size, where known.
    size : str
        Its size for people, as the publisher rounds it.
    images : bool
        Whether it is an archive of the images.
    unpack_to : str
        Folder below the root that an archive is unpacked into; "." where the archive brings its own folder.
    """

    file_name: str
    url: str
    sha256: str | None = None
    n_bytes: int | None = None
    size: str = ""
    images: bool = False
    unpack_to: str = "."


@dataclass(frozen=True, eq=False, kw_only=True)
class Challenge:
    """One split of one challenge's classification of whole images.

    Attributes
    ----------
    year : int or str
        Year of the challenge, or the name of a dataset that was none.
    split : str
        ``"train"``, ``"validation"``, ``"test"``, or ``"all"`` where there are no splits.
    title : str
        Name for people.
    photographs : str
        What the images are, where they are not dermoscopic; else empty.
    image_dirs : tuple of str
        Folders of the images below the root, and HDF5 files of them, those of well-known copies included, in
        order of preference; ``*`` stands for any part of a folder's name, and ``.`` for anywhere below the root.
    ground_truth : str
        File name of the labels.
    other_names : tuple of str
        Further names under which the same table is published, in order of preference.
    separator : str
        What stands between two columns.
    id_column : str or None
        Column of the ids in all the files; None for a file without header, which has an id and a label in each row.
    label_column : str or None
        Column of words that say whether it is a melanoma; None where that follows from the diagnosis.
    levels : tuple of str
        Columns of the diagnosis in free words, from coarse to fine, that the class follows from, by `read_class`.
    malignant_column : str or None
        Column that says whether it is malignant, which need not be a melanoma; only beside `levels`.
    one_hot : tuple of str
        Columns of which the one of the diagnosis is 1 and the others are 0.
    diagnoses : mapping of str to str
        The diagnosis, as `DIAGNOSES` has it, for each official word in lower case.
    otherwise : str or None
        The diagnosis where the file names none; "indeterminate" is then benign, as in the challenge. None: each row
        must have one, and without `levels` from `diagnoses`.
    rows_file : str or None
        File whose column ``indexes`` counts, from 0, the rows of the ground truth that are this split.
    images_file : str or None
        File that lists the images of each lesion, where the ground truth has a row a lesion.
    image_type : str or None
        Which of these images are read, by their column ``image_type``.
    metadata_files : tuple of str
        Further files with facts about the images, joined by id where they exist.
    metadata : mapping of str to str
        The name of a fact (``"diagnosis"``, ``"age"``, ``"sex"``, ``"site"``, ``"patient_id"``, ``"lesion_id"``)
        for each official column that holds one.
    n_benign, n_melanoma : int or None
        Official number of images of each class: melanoma, and everything else; None where not known.
    n_per_diagnosis : mapping of str to int
        Official number of images of each diagnosis; empty where not published.
    group : str or None
        ``"patient_id"`` or ``"lesion_id"``, where the files tell which images belong together.
    license : str
        Terms of the images.
    citation : str
        What to cite.
    page : str
        The official page.
    downloads : tuple of OfficialFile
        The files to fetch; empty where they must be asked for on the page.
    """

    year: int | str
    split: str
    title: str
    photographs: str = ""
    image_dirs: tuple[str, ...]
    ground_truth: str
    other_names: tuple[str, ...] = ()
    separator: str = ","
    id_column: str | None
    label_column: str | None = None
    levels: tuple[str, ...] = ()
    malignant_column: str | None = None
    one_hot: tuple[str, ...] = ()
    diagnoses: Mapping[str, str] = field(default_factory=lambda: DIAGNOSES)
    otherwise: str | None = None
    rows_file: str | None = None
    images_file: str | None = None
    image_type: str | None = None
    metadata_files: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    n_benign: int | None = None
    n_melanoma: int | None = None
    n_per_diagnosis: Mapping[str, int] = field(default_factory=dict)
    group: str | None = None
    license: str
    citation: str
    page: str
    downloads: tuple[OfficialFile, ...] = ()


_ISIC_PAGE = "https://challenge.isic-archive.com/data/"
_ISIC_2016 = "Gutman et al., 2016, arXiv:1605.01397"
_ISIC_2017 = "Codella et al., 2017, arXiv:1710.05006"
_ISIC_2018 = "Codella et al., 2019, arXiv:1902.03368"
_HAM10000 = "Tschandl, Rosendahl and Kittler, 2018, Sci Data 5:180161, doi:10.1038/sdata.2018.161"
_BCN20000 = "Hernández-Pérez et al., 2024, Sci Data 11:641"
_DATAVERSE = "https://dataverse.harvard.edu/api/access/datafile/"
_SEVEN = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")


def _facts(*columns: str) -> dict[str, str]:
    return {column: COLUMNS[column] for column in columns}


def _counts(codes: Iterable[str], *numbers: int) -> dict[str, int]:
    return {DIAGNOSES.get(code.lower(), code): number for code, number in zip(codes, numbers, strict=True)}


def _isic(year: int, file_name: str, *, size: str = "", images: bool = False) -> OfficialFile:
    """Return a file of the ISIC Archive; until 2025 its page named the host isic-challenge-data.s3.amazonaws.com."""
    url = f"https://isic-archive.s3.amazonaws.com/challenges/{year}/{file_name}"
    return OfficialFile(file_name, url, size=size, images=images)


# Counts: Part 3 of the paper, and the ground-truth files themselves. The malignant images of this year are melanomas.
def _isbi_2016(split: str, part: str, *, n_benign: int, n_melanoma: int, size: str) -> Challenge:
    data, truth = f"ISBI2016_ISIC_Part3_{part}_Data", f"ISBI2016_ISIC_Part3_{part}_GroundTruth.csv"
    return Challenge(
        year=2016,
        split=split,
        title=f"ISBI 2016 {split}",
        image_dirs=(data,),
        ground_truth=truth,
        id_column=None,
        n_benign=n_benign,
        n_melanoma=n_melanoma,
        license="CC0",
        citation=_ISIC_2016,
        page=_ISIC_PAGE + "#2016",
        downloads=(_isic(2016, f"{data}.zip", size=size, images=True), _isic(2016, truth)),
    )


# Counts: Part 3 of the paper, and the ground-truth files themselves.
def _isic_2017(split: str, part: str, *, n_benign: int, counts: tuple[int, int, int], size: str) -> Challenge:
    data, truth = f"ISIC-2017_{part}_Data", f"ISIC-2017_{part}_Part3_GroundTruth.csv"
    return Challenge(
        year=2017,
        split=split,
        title=f"ISIC 2017 {split}",
        image_dirs=(data,),
        ground_truth=truth,
        id_column="image_id",
        label_column="melanoma",
        one_hot=("melanoma", "seborrheic_keratosis"),
        otherwise="naevus",
        metadata_files=(f"{data}_metadata.csv",),
        metadata=_facts("age_approximate", "sex"),
        n_benign=n_benign,
        n_melanoma=counts[0],
        n_per_diagnosis=_counts(("melanoma", "seborrheic_keratosis", "naevus"), *counts),
        license="CC0",
        citation=_ISIC_2017,
        page=_ISIC_PAGE + "#2017",
        downloads=(_isic(2017, f"{data}.zip", size=size, images=True), _isic(2017, truth)),
    )


# Counts: HAM10000's paper for the training set; the ground-truth files, as several projects count them, for the others.
def _isic_2018(split: str, part: str, *, n_benign: int, counts: tuple[int, ...], size: str) -> Challenge:
    data, truth = f"ISIC2018_Task3_{part}_Input", f"ISIC2018_Task3_{part}_GroundTruth"
    groups = ("ISIC2018_Task3_Training_LesionGroupings.csv",) if split == "train" else ()
    return Challenge(
        year=2018,
        split=split,
        title=f"ISIC 2018 {split}",
        image_dirs=(data,),
        ground_truth=f"{truth}.csv",
        id_column="image",
        one_hot=_SEVEN,
        metadata_files=groups,
        metadata=_facts("lesion_id"),
        n_benign=n_benign,
        n_melanoma=counts[0],
        n_per_diagnosis=_counts(_SEVEN, *counts),
        group="lesion_id" if groups else None,
        license="CC BY-NC 4.0",
        citation=f"{_ISIC_2018}; {_HAM10000}",
        page=_ISIC_PAGE + "#2018",
        downloads=(
            _isic(2018, f"{data}.zip", size=size, images=True),
            _isic(2018, f"{truth}.zip"),
            *(_isic(2018, name) for name in groups),
        ),
    )


# Counts: the ground-truth files, as several projects count them. UNK is whatever is none of the eight.
def _isic_2019(
    split: str, part: str, *, diagnoses: tuple[str, ...], n_benign: int, counts: tuple[int, ...], size: str
) -> Challenge:
    data, truth, facts = (f"ISIC_2019_{part}_{name}" for name in ("Input", "GroundTruth.csv", "Metadata.csv"))
    return Challenge(
        year=2019,
        split=split,
        title=f"ISIC 2019 {split}",
        image_dirs=(data,),
        ground_truth=truth,
        id_column="image",
        one_hot=diagnoses,
        metadata_files=(facts,),
        metadata=_facts("age_approx", "sex", "anatom_site_general", "lesion_id"),
        n_benign=n_benign,
        n_melanoma=counts[0],
        n_per_diagnosis=_counts(diagnoses, *counts),
        group="lesion_id" if split == "train" else None,
        license="CC BY-NC 4.0",
        citation=f"{_HAM10000}; {_ISIC_2017}; {_BCN20000}",
        page=_ISIC_PAGE + "#2019",
        downloads=(_isic(2019, f"{data}.zip", size=size, images=True), _isic(2019, truth), _isic(2019, facts)),
    )


# Counts: not published by split. The words of "diagnosis" are those of the authors' own reader (derm7pt on GitHub).
def _derm7pt(split: str, part: str) -> Challenge:
    return Challenge(
        year="Derm7pt",
        split=split,
        title=f"Derm7pt {split}",
        image_dirs=("images",),
        ground_truth="meta/meta.csv",
        id_column="derm",  # of the dermoscopic image; "clinic" holds the photograph of the same lesion
        levels=("diagnosis",),
        rows_file=f"meta/{part}_indexes.csv",
        metadata=_facts("diagnosis", "sex", "location"),
        license="on request, for research",
        citation="Kawahara et al., 2019, IEEE J Biomed Health Inform 23:538, doi:10.1109/JBHI.2018.2824327",
        page="https://derm.cs.sfu.ca/",
    )


# As its authors publish it on figshare; the ISIC Archive has it with names of its own. 18,946 images of the training
# set and the test set together (the paper), of which those of the test set have no diagnosis in some versions.
def _bcn20000(split: str) -> Challenge:
    return Challenge(
        year="BCN20000",
        split=split,
        title=f"BCN20000 {split}",
        image_dirs=(f"BCN_20k_{split}/bcn_20k_{split}", f"bcn_20k_{split}", f"BCN_20k_{split}", "."),
        ground_truth=f"bcn_20k_{split}.csv",
        id_column="bcn_filename",
        levels=("diagnosis",),
        metadata=_facts("diagnosis", "age_approx", "sex", "anatom_site_general", "lesion_id"),
        group="lesion_id",
        license="terms on the page",
        citation=_BCN20000,
        page="https://doi.org/10.1038/s41597-024-03387-w",
    )


# 5,240 lesions with a dermoscopic image and a close-up each (its page). The test set has no labels.
def _milk10k(split: str, image_type: str) -> Challenge:
    return Challenge(
        year="MILK10k",
        split=split,
        title=f"MILK10k {split}",
        photographs="clinical close-ups" if image_type != "dermoscopic" else "",
        image_dirs=("MILK10k_Training_Input",),
        ground_truth="MILK10k_Training_GroundTruth.csv",
        id_column="isic_id",
        one_hot=_ELEVEN,
        images_file="MILK10k_Training_Metadata.csv",
        image_type=image_type,
        metadata=_facts("age_approx", "sex", "site", "lesion_id"),
        group="lesion_id",
        license="CC BY-NC 4.0",
        citation="ISIC, 2025, MILK10k",
        page="https://challenge.isic-archive.com/landing/milk10k/",
    )


_ELEVEN = ("AKIEC", "BCC", "BEN_OTH", "BKL", "DF", "INF", "MAL_OTH", "MEL", "NV", "SCCKA", "VASC")
_EIGHT = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC")

CHALLENGES = (
    _isbi_2016("train", "Training", n_benign=727, n_melanoma=173, size="602 MB"),
    _isbi_2016("test", "Test", n_benign=304, n_melanoma=75, size="232 MB"),
    _isic_2017("train", "Training", n_benign=1626, counts=(374, 254, 1372), size="5.8 GB"),
    _isic_2017("validation", "Validation", n_benign=120, counts=(30, 42, 78), size="878 MB"),
    _isic_2017("test", "Test_v2", n_benign=483, counts=(117, 90, 393), size="5.4 GB"),
    _isic_2018("train", "Training", n_benign=8902, counts=(1113, 6705, 514, 327, 1099, 115, 142), size="2.6 GB"),
    _isic_2018("validation", "Validation", n_benign=172, counts=(21, 123, 15, 8, 22, 1, 3), size="51 MB"),
    _isic_2018("test", "Test", n_benign=1341, counts=(171, 909, 93, 43, 217, 44, 35), size="401 MB"),
    # The archives hold the images without a folder. Dataverse serves the table as HAM10000_metadata.tab unless asked
    # for the original. MD5 as Dataverse publishes them: 4639bfa73ab251610530a97c898e6e46 (part 1),
    # da43d6cc50f6613013be07e8986b384b (part 2) and 8f85fb1aa29d80a2797247e434deb79d (table); the SHA-256 below were
    # taken from files with these MD5.
    Challenge(
        year="HAM10000",
        split="train",
        title="HAM10000",
        image_dirs=(
            *("HAM10000_images_part_1", "HAM10000_images_part_2", "ham10000_images_part_1", "ham10000_images_part_2"),
            ".",
        ),
        ground_truth="HAM10000_metadata.csv",
        other_names=("HAM10000_metadata", "HAM10000_metadata.tab"),
        id_column="image_id",
        metadata=_facts("dx", "age", "sex", "localization", "lesion_id"),
        n_benign=8902,
        n_melanoma=1113,
        n_per_diagnosis=_counts(_SEVEN, 1113, 6705, 514, 327, 1099, 115, 142),
        group="lesion_id",
        license="CC BY-NC 4.0",
        citation=_HAM10000,
        page="https://doi.org/10.7910/DVN/DBW86T",
        downloads=(
            OfficialFile(
                "HAM10000_images_part_1.zip",
                _DATAVERSE + "3172585",
                sha256="6202a599129c2efe81c25aea8586d422eeda8a4fae5df49dd7b7bbf956d419db",
                n_bytes=1_366_522_108,
                size="1.4 GB",
                images=True,
                unpack_to="HAM10000_images_part_1",
            ),
            OfficialFile(
                "HAM10000_images_part_2.zip",
                _DATAVERSE + "3172584",
                sha256="9677f30118c21ecc667a147de369d89acb25efab046fd32f6b13ad677ce2d6d0",
                n_bytes=1_403_566_547,
                size="1.4 GB",
                images=True,
                unpack_to="HAM10000_images_part_2",
            ),
            OfficialFile(
                "HAM10000_metadata.csv",
                _DATAVERSE + "4338392?format=original",
                sha256="de17ec44cb25ea9c3f6378ba18d69224c740afd62e86ec2edc6a894d6aa663d3",
                n_bytes=690_218,
            ),
        ),
    ),
    _isic_2019(
        "train",
        "Training",
        diagnoses=_EIGHT,
        n_benign=20809,
        counts=(4522, 12875, 3323, 867, 2624, 239, 253, 628),
        size="9.1 GB",
    ),
    _isic_2019(
        "test",
        "Test",
        diagnoses=(*_EIGHT, "UNK"),
        n_benign=6911,
        counts=(1327, 2495, 975, 374, 660, 91, 104, 165, 2047),
        size="3.6 GB",
    ),
    # Counts: the official page in all, a public project's count of the table by diagnosis. "unknown" is benign, and was
    # not biopsied.
    Challenge(
        year=2020,
        split="train",
        title="ISIC 2020 train",
        image_dirs=("jpeg/train", "train"),  # on Kaggle, "train" holds the same images as DICOM
        ground_truth="ISIC_2020_Training_GroundTruth_v2.csv",
        # The same without lesion_id, the latter as Kaggle calls it.
        other_names=("ISIC_2020_Training_GroundTruth.csv", "train.csv"),
        id_column="image_name",
        label_column="target",
        otherwise="unknown",
        metadata=_facts("diagnosis", "age_approx", "sex", "anatom_site_general_challenge", "patient_id", "lesion_id"),
        n_benign=32542,
        n_melanoma=584,
        n_per_diagnosis={
            "melanoma": 584,
            "unknown": 27124,
            "naevus": 5193,
            "seborrheic keratosis": 135,
            "lentigo": 44,
            "lichenoid keratosis": 37,
            "solar lentigo": 7,
            "cafe-au-lait macule": 1,
            "atypical melanocytic proliferation": 1,
        },
        group="patient_id",
        license="CC BY-NC 4.0",
        citation="ISIC, 2020, doi:10.34970/2020-ds01; Rotemberg et al., 2021, Sci Data 8:34",
        page=_ISIC_PAGE + "#2020",
        downloads=(
            _isic(2020, "ISIC_2020_Training_JPEG.zip", size="23 GB", images=True),
            _isic(2020, "ISIC_2020_Training_GroundTruth_v2.csv"),
        ),
    ),
    # The official ground truth says "malignant", which here is
    # melanoma (157), basal cell carcinoma (163) or squamous cell carcinoma (73): so the class comes from the diagnosis,
    # which the supplement names for the lesions that were biopsied. These counts: of the supplement by a public
    # project, and the same as quoted elsewhere from the paper.
    Challenge(
        year=2024,
        split="train",
        title="ISIC 2024 train",
        photographs="crops of photographs of the whole body",
        image_dirs=("ISIC_2024_Training_Input", "train-image/image", "train-image.hdf5"),
        ground_truth="ISIC_2024_Training_Supplement.csv",
        other_names=("train-metadata.csv",),  # Kaggle's, with the metadata and "target", which is malignancy
        id_column="isic_id",
        levels=("iddx_1", "iddx_2", "iddx_3", "iddx_4", "iddx_5"),
        malignant_column="target",
        otherwise="unknown",
        metadata_files=("ISIC_2024_Training_Input/metadata.csv",),  # lies among the images
        metadata=_facts("iddx_3", "age_approx", "sex", "anatom_site_general", "patient_id", "lesion_id"),
        n_benign=400902,
        n_melanoma=157,
        group="patient_id",
        license="CC BY-NC 4.0",
        citation="ISIC, 2024, doi:10.34970/2024-slice-3d; Kurtansky et al., 2024, Sci Data 11:884",
        page=_ISIC_PAGE + "#2024",
        downloads=(
            _isic(2024, "ISIC_2024_Training_Input.zip", size="1.2 GB", images=True),
            _isic(2024, "ISIC_2024_Training_Supplement.csv", size="40 MB"),
        ),
    ),
    # The archive is a .rar behind a form; it unpacks to the folder PH2Dataset, which is the root.
    Challenge(
        year="PH2",
        split="all",
        title="PH2",
        image_dirs=("PH2 Dataset images/*/*_Dermoscopic_Image",),
        ground_truth="PH2_dataset.txt",
        separator="||",
        id_column="Name",
        diagnoses={"0": "common naevus", "1": "atypical naevus", "2": "melanoma"},
        metadata={"Clinical Diagnosis": "diagnosis"},
        n_benign=160,
        n_melanoma=40,
        n_per_diagnosis={"common naevus": 80, "atypical naevus": 80, "melanoma": 40},
        license="for research and education; no redistribution",
        citation="Mendonça et al., 2013, Proc IEEE EMBC:5437, doi:10.1109/EMBC.2013.6610779",
        page="https://www.fc.up.pt/addi/ph2%20database.html",
    ),
    # Counts: the paper in all (2,298 images of 1,641 lesions of 1,373
    # patients), and of melanomas, a count of the table by a public project; of other diagnoses, two projects differ.
    Challenge(
        year="PAD-UFES-20",
        split="all",
        title="PAD-UFES-20",
        photographs="clinical photographs, taken with smartphones",
        image_dirs=("imgs_part_*", "images/imgs_part_*", "all_images/imgs_part_*", "."),
        ground_truth="metadata.csv",
        id_column="img_id",
        diagnoses={code: DIAGNOSES[code] for code in ("ack", "bcc", "mel", "nev", "scc", "sek")},
        metadata=_facts("diagnostic", "age", "gender", "region", "patient_id", "lesion_id"),
        n_benign=2246,
        n_melanoma=52,
        group="patient_id",
        license="terms on the page",
        citation="Pacheco et al., 2020, Data in Brief 32:106221, doi:10.1016/j.dib.2020.106221",
        page="https://data.mendeley.com/datasets/zr7vgbcyr2",
    ),
    *(_derm7pt(split, part) for split, part in (("train", "train"), ("validation", "valid"), ("test", "test"))),
    *(_bcn20000(split) for split in ("train", "test")),
    _milk10k("train", "dermoscopic"),
    _milk10k("train, close-up", "clinical: close-up"),
    # Every diagnosis is by biopsy. Counts: the paper in all (656), and of melanomas, a count
    # of the column "disease" by a public project. "malignant" holds other cancers too.
    Challenge(
        year="DDI",
        split="all",
        title="DDI",
        photographs="clinical photographs",
        image_dirs=("images", "."),
        ground_truth="ddi_metadata.csv",
        id_column="DDI_file",
        levels=("disease",),
        malignant_column="malignant",
        metadata=_facts("disease"),
        n_benign=635,
        n_melanoma=21,
        license="on request, for research",
        citation="Daneshjou et al., 2022, Sci Adv 8:eabq6147, doi:10.1126/sciadv.abq6147",
        page="https://ddi-dataset.github.io/",
    ),
    # 16,577 images (the paper), by their addresses, of which some are gone.
    Challenge(
        year="Fitzpatrick17k",
        split="all",
        title="Fitzpatrick17k",
        photographs="clinical photographs from two atlases",
        image_dirs=("data/finalfitz17k", "images", "."),
        ground_truth="fitzpatrick17k.csv",
        id_column="md5hash",
        levels=("label",),
        malignant_column="three_partition_label",
        metadata={"label": "diagnosis"},
        license="terms on the page",
        citation="Groh et al., 2021, arXiv:2104.09957",
        page="https://github.com/mattgroh/fitzpatrick17k",
    ),
)


def get_challenge(year: int | str, split: str) -> Challenge:
    """Look up one split of one challenge.

    Parameters
    ----------
    year : int or str
        2016 to 2020, 2024, or a name such as ``"HAM10000"``: `CHALLENGES` lists them.
    split : str
        ``"train"``, ``"validation"``, ``"test"``, or ``"all"`` where there are no splits.

    Returns
    -------
    Challenge
        The entry of the table.

    Raises
    ------
    UnknownNameError
        If there is no such challenge or split; the message lists what there is.

    Examples
    --------
    >>> get_challenge(2016, "train").n_melanoma
    173
    >>> get_challenge("HAM10000", "train").group
    'lesion_id'
    """
    splits: dict[str, dict[str, Challenge]] = {}
    for entry in CHALLENGES:
        splits.setdefault(str(entry.year), {})[entry.split] = entry
    named = next((name for name in splits if name.casefold() == str(year).casefold()), None)
    if named is None:
        meant = () if _YEAR.fullmatch(str(year)) else splits  # of another year nobody knows which was meant
        raise UnknownNameError("challenge", year, splits, "Other data: ISBIDataset.from_csv or from_folder.", meant)
    found = splits[named].get(split.casefold())
    if found is None:
        hint = "Others are not published: divide one of these with its .split()."
        raise UnknownNameError(f"{named} split", split, splits[named], hint)
    return found
