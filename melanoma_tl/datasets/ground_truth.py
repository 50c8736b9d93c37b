"""Find and read the challenges' official files, each as it is."""

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from melanoma_tl.datasets.challenges import CHALLENGES, COLUMNS, DIAGNOSES, Challenge
from melanoma_tl.datasets.columns import OWN_COLUMNS
from melanoma_tl.datasets.diagnoses import finest, read_class
from melanoma_tl.datasets.group_columns import GROUPS
from melanoma_tl.datasets.text_tables import read_columns, read_rows
from melanoma_tl.errors import DatasetError
from melanoma_tl.images.decoding import IMAGE_SUFFIXES
from melanoma_tl.images.hdf5 import is_hdf5
from melanoma_tl.labels.cells import read_ages, read_sexes
from melanoma_tl.labels.ids import read_id
from melanoma_tl.labels.meanings import Meaning, read_meaning

METADATA = tuple(dict.fromkeys(COLUMNS.values()))
"""The facts about an image that have one name and one spelling in every table."""

_ARCHIVE_LEVELS = (*(f"diagnosis_{level}" for level in range(1, 6)), "diagnosis")  # the last was there until 2024
_POSITION = re.compile(r"\d{1,18}")
_NO_ANSWER = {"", "n/a", "na", "nan", "none", "null", "unknown"}
_SUFFIX = re.compile(f"(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})$", re.IGNORECASE)


_OF_MANY = "metadata.csv"
"""A name that any table may have."""


def find_image_dirs(challenge: Challenge, root: Path) -> list[Path]:
    """Find the folders of a challenge's images.

    Parameters
    ----------
    challenge : Challenge
        The entry of the table.
    root : Path
        Folder that holds the official files.

    Returns
    -------
    list of Path
        Those that are there, in the order of the entry; where none is, all are named.
    """
    patterns = challenge.image_dirs
    places = [place for pattern in patterns for place in ([root] if pattern == "." else sorted(root.glob(pattern)))]
    # An archive may lie beside the folder that it was unpacked to.
    return [place for place in places if place.is_dir() or is_hdf5(place)] or [root / pattern for pattern in patterns]


def require_image_dirs(challenge: Challenge, root: Path) -> list[Path]:
    """Find the folders of a challenge's images, of which at least one must be there.

    Parameters
    ----------
    challenge, root : Challenge and Path
        As `find_image_dirs`.

    Returns
    -------
    list of Path
        As `find_image_dirs`.

    Raises
    ------
    DatasetError
        If there is none.
    """
    places = find_image_dirs(challenge, root)
    if not any(place.exists() for place in places):
        fetch = f"ISBIDataset.download({arguments_of(challenge, root)})"
        raise DatasetError(
            f"{places[0]}: no such folder; "
            + (f"{fetch} fetches the images" if challenge.downloads else f"the images are at {challenge.page}")
            + ", image_dirs= names another folder, and labels_only=True reads labels without images"
        )
    return places


def arguments_of(challenge: Challenge, root: Path) -> str:
    """Write what is passed to read or to fetch a challenge.

    Parameters
    ----------
    challenge, root : Challenge and Path
        As `find_image_dirs`.

    Returns
    -------
    str
        Arguments in Python.
    """
    return f"{os.fspath(root)!r}, year={challenge.year!r}, split={challenge.split!r}"


def refuse_challenge(root: Path) -> None:
    """Raise an error for a folder that was to hold one folder a class, and holds a challenge.

    Parameters
    ----------
    root : Path
        A folder.

    Raises
    ------
    DatasetError
        If the labels of a challenge lie there, under a name of their own.
    """
    for challenge in CHALLENGES:
        name = challenge.ground_truth
        if name != _OF_MANY and os.path.isfile(root / name):  # noqa: PTH113 -- as in `_how_to_go_on`
            call = f"ISBIDataset.from_challenge({arguments_of(challenge, root)})"
            raise DatasetError(f"{root}: holds a challenge, and no folder a class: read it with {call}")


def read_challenge(challenge: Challenge, root: Path) -> pd.DataFrame:
    r"""Read ids, labels and metadata of a challenge from its official files.

    The files may lie in the root, in the folder of their own name that an official
    archive unpacks to, or among the images. A byte-order mark and Windows line ends
    are taken in stride.

    Parameters
    ----------
    challenge : Challenge
        The entry of the table.
    root : Path
        Folder that holds the official files.

    Returns
    -------
    pandas.DataFrame
        One row an image, in the order of the ground-truth file: ``image_id`` (str,
        without image suffix) and ``label`` (str: the file's own word; or "benign" or
        "melanoma" where that follows from the diagnosis; or, where the diagnosis is
        missing or contradicts itself, what stands there). Then, where the files have
        them, ``diagnosis``, ``age`` (float64, in years, NaN where unknown), ``sex``
        ("female", "male"), ``site``, ``patient_id`` and ``lesion_id`` (str, None where
        unknown).

    Raises
    ------
    DatasetError
        If there is no ground truth, or a file is not the table it should be.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from melanoma_tl.datasets.challenges import get_challenge
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "ISIC_2019_Test_GroundTruth.csv"
    ...     _ = path.write_text("image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\nISIC_0034321,0,1,0,0,0,0,0,0,0\n")
    ...     read_challenge(get_challenge(2019, "test"), Path(folder)).iloc[0].tolist()
    ['ISIC_0034321', 'benign', 'naevus']
    """
    path = _find(challenge, root, challenge.ground_truth, *challenge.other_names)
    if path is None:
        missing = root / challenge.ground_truth
        raise DatasetError(f"{missing}: no such file; the labels are read from it. {_how_to_go_on(challenge, root)}")
    if challenge.id_column is None:
        return _read_pairs(path)

    table = _read_truth(challenge, root, path)
    ids = _ids(table[challenge.id_column])
    facts = _facts(table, challenge.metadata)
    if challenge.levels:
        labels = _classify(challenge, table)
        if challenge.otherwise:
            facts["diagnosis"] = [diagnosis or challenge.otherwise for diagnosis in facts["diagnosis"]]
    elif challenge.label_column and not table.keys() >= set(_diagnosed_by(challenge)):
        labels = table[challenge.label_column]
    else:
        labels, facts["diagnosis"] = _diagnose_all(challenge, table)
    for name in challenge.metadata_files:
        further = _find(challenge, root, name)
        if further is not None:
            facts = _look_up(further, challenge.id_column, challenge.metadata, ids) | facts
    return _frame({"image_id": ids, "label": labels} | {name: facts[name] for name in METADATA if name in facts})


def _how_to_go_on(challenge: Challenge, root: Path) -> str:
    """Say what to do where a folder does not hold the labels of a challenge."""
    near = [root.absolute().parent, *sorted(root.glob("*/"))]
    # Some of these folders may be somebody else's, and pathlib would raise.
    holding = next((folder for folder in near if os.path.isfile(folder / challenge.ground_truth)), None)  # noqa: PTH113
    if holding is not None:
        return f"It lies in {holding}: pass that folder"
    return (
        "Official files are fetched by ISBIDataset.download; a folder with one folder a class is read by from_folder, "
        "a table of your own by from_csv"
    )


def read_archive(folder: Path) -> pd.DataFrame:
    """Read ids, labels and all else that the table of a download from the ISIC Archive holds.

    Parameters
    ----------
    folder : Path
        What the archive's website or its program isic-cli downloaded: images, and ``metadata.csv`` beside them.

    Returns
    -------
    pandas.DataFrame
        One row an image, in the order of the file: ``image_id`` and ``label`` ("benign" or "melanoma", by
        `read_class`, or why it is neither); then the facts of `read_challenge`, of which ``diagnosis`` is the
        finest that is known; then the other columns (str, None where empty), but for ``benign_malignant``, which
        beside ``label`` would be a second one.

    Raises
    ------
    DatasetError
        If there is no such file, it is not such a table, or it has no column of a diagnosis.
    """
    path = next(
        (path for path in (folder / "metadata.csv", *sorted(folder.glob("*/metadata.csv"))) if path.is_file()), None
    )
    if path is None:
        raise DatasetError(
            f"{folder / 'metadata.csv'}: no such file; a download of the ISIC Archive has it beside the images"
        )
    table = read_columns(path, required=["isic_id"])
    levels = [table[column] for column in _ARCHIVE_LEVELS if column in table]
    if not levels:
        raise DatasetError(
            f"{path}: no column of a diagnosis ({', '.join(_ARCHIVE_LEVELS)}); the labels follow from it"
        )
    rows = list(zip(*levels, strict=True))
    malignant = table.get("benign_malignant", [""] * len(rows))
    labels = [read_class(row, malignant=word) for row, word in zip(rows, malignant, strict=True)]
    facts: dict[str, Sequence[object]] = {
        COLUMNS.get(column, column): [_tidy(COLUMNS.get(column, column), word) for word in words]
        for column, words in table.items()
        if column not in ("isic_id", "benign_malignant", *OWN_COLUMNS)
    }
    facts["diagnosis"] = [_tidy("diagnosis", finest(row)) for row in rows]
    ordered = [name for name in METADATA if name in facts]
    ordered += [name for name in facts if name not in METADATA]
    return _frame({"image_id": _ids(table["isic_id"]), "label": labels} | {name: facts[name] for name in ordered})


# -- what the cells mean -----------------------------------------------------------------------------------------------


def _diagnosed_by(challenge: Challenge) -> Sequence[str]:
    return challenge.one_hot or [column for column, name in challenge.metadata.items() if name == "diagnosis"]


def _classify(challenge: Challenge, table: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the class of each row by its diagnosis in free words."""
    n_rows = len(table[challenge.levels[0]])
    malignant = table.get(challenge.malignant_column or "", [""] * n_rows)
    rows = zip(*(table.get(column, [""] * n_rows) for column in challenge.levels), strict=True)
    undecided = "benign" if challenge.otherwise else ""
    return [
        read_class(levels, malignant=word, undecided=undecided) for levels, word in zip(rows, malignant, strict=True)
    ]


def _diagnose_all(challenge: Challenge, table: Mapping[str, Sequence[str]]) -> tuple[list[str], Sequence[str | None]]:
    """Return the label and the diagnosis of each row; where they contradict each other, the label says how."""
    rows = zip(*(table[column] for column in _diagnosed_by(challenge)), strict=True)
    diagnoses, instead = zip(*(_diagnose(challenge, cells) for cells in rows), strict=True)
    classes = ["melanoma" if diagnosis == "melanoma" else "benign" for diagnosis in diagnoses]
    given = table[challenge.label_column] if challenge.label_column else classes
    labels = [
        other or (word if _agree(word, found) else f"{word}, but the diagnosis is {diagnosis}")
        for other, word, found, diagnosis in zip(instead, given, classes, diagnoses, strict=True)
    ]
    return labels, diagnoses


def _agree(word: str, found: str) -> bool:
    """Return whether the word for the class of an image goes with the class that follows from its diagnosis."""
    says = read_meaning(word)
    return says not in (Meaning.MELANOMA, Meaning.OTHER) or (says is Meaning.MELANOMA) == (found == "melanoma")


def _diagnose(challenge: Challenge, cells: Sequence[str]) -> tuple[str | None, str]:
    """Return the diagnosis; or None, and what stands in the file instead."""
    word = cells[0]
    if challenge.one_hot:
        numbers = {column: _number(cell) for column, cell in zip(challenge.one_hot, cells, strict=True)}
        hot = [column for column, number in numbers.items() if number == 1]
        if len(hot) > 1 or not all(number in (0, 1) for number in numbers.values()):
            cold = zip(numbers.items(), cells, strict=True)
            return None, ", ".join(f"{column}={cell}" for (column, number), cell in cold if number != 0)
        word = hot[0] if hot else ""
    if word.lower() in challenge.diagnoses:
        return challenge.diagnoses[word.lower()], ""
    if challenge.otherwise is None:
        return None, word or "no diagnosis"
    return word.lower() or challenge.otherwise, ""


def _look_up(path: Path, id_column: str, names: Mapping[str, str], ids: Sequence[str]) -> dict[str, Sequence[object]]:
    """Read the facts about some images from a table that may hold others, in another order, or lack some."""
    table = read_columns(path, required=[id_column], wanted=names)
    known = _ids(table[id_column])
    position = dict(zip(reversed(known), reversed(range(len(known))), strict=True))  # of the first row with the id
    return {
        name: [values[position[image_id]] if image_id in position else _tidy(name, "") for image_id in ids]
        for name, values in _facts(table, names).items()
    }


def _facts(table: Mapping[str, Sequence[str]], names: Mapping[str, str]) -> dict[str, Sequence[object]]:
    return {name: [_tidy(name, word) for word in table[column]] for column, name in names.items() if column in table}


def _tidy(name: str, word: str) -> str | float | None:
    """Return a value in the one spelling that all tables share."""
    if name == "age":
        return read_ages([word])[0]
    if name == "sex":
        return read_sexes([word])[0]
    if name in GROUPS:
        return read_id(word)
    if name == "diagnosis":
        return DIAGNOSES.get(word.lower(), word.lower()) or None
    return None if word.lower() in _NO_ANSWER else word


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def _ids(words: Iterable[str]) -> list[str]:
    return [_SUFFIX.sub("", word) for word in words]


def _frame(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    # The types must depend neither on what happens to be missing nor on the version of pandas.
    return pd.DataFrame(
        {name: pd.Series(cells, dtype="float64" if name == "age" else "object") for name, cells in columns.items()}
    )


# -- files -------------------------------------------------------------------------------------------------------------


def _read_truth(challenge: Challenge, root: Path, path: Path) -> dict[str, list[str]]:
    """Read the ground truth as a row an image of the split."""
    of_lesions = challenge.images_file is not None
    classes = (
        [challenge.label_column] if challenge.label_column else [*(challenge.levels[:1] or _diagnosed_by(challenge))]
    )
    optional = [challenge.malignant_column] if challenge.malignant_column else []
    table = read_columns(
        path,
        required=["lesion_id" if of_lesions else str(challenge.id_column), *classes],
        wanted=[*_diagnosed_by(challenge), *challenge.levels, *optional, *challenge.metadata],
        separator=None if challenge.separator == "," else challenge.separator,  # Dataverse serves tabs for commas
    )
    if challenge.rows_file is not None:
        positions = _positions(_existing(challenge, root, challenge.rows_file), len(table[classes[0]]))
        table = {column: [cells[position] for position in positions] for column, cells in table.items()}
    return _spread(challenge, table, _existing(challenge, root, str(challenge.images_file))) if of_lesions else table


def _positions(path: Path, n_rows: int) -> list[int]:
    words = read_columns(path, required=["indexes"])["indexes"]
    if not all(_POSITION.fullmatch(word) and int(word) < n_rows for word in words):
        raise DatasetError(f"{path}: 'indexes' must hold positions of rows of the table, 0 to {n_rows - 1}")
    return [int(word) for word in words]


def _spread(challenge: Challenge, table: Mapping[str, Sequence[str]], path: Path) -> dict[str, list[str]]:
    """Make a row an image of a row a lesion, in the order of the images."""
    id_column = str(challenge.id_column)
    images = read_columns(path, required=[id_column, "lesion_id", "image_type"], wanted=challenge.metadata)
    chosen = [row for row, word in enumerate(images["image_type"]) if word == challenge.image_type]
    lesions = {lesion: row for row, lesion in enumerate(table["lesion_id"])}
    rows = [lesions.get(images["lesion_id"][row]) for row in chosen]
    columns = {column: [cells[row] for row in chosen] for column, cells in images.items()}
    columns |= {
        column: ["" if row is None else cells[row] for row in rows]
        for column, cells in table.items()
        if column != "lesion_id"
    }
    alone = [row for lesion, row in lesions.items() if row not in set(rows)]  # they are listed as without an image
    for column, cells in columns.items():
        name = "lesion_id" if column == id_column else column
        cells += [table[name][row] if name in table else "" for row in alone]
    return columns


def _existing(challenge: Challenge, root: Path, name: str) -> Path:
    path = _find(challenge, root, name)
    if path is None:
        raise DatasetError(f"{root / name}: no such file; which images there are is read from it")
    return path


def _find(challenge: Challenge, root: Path, *names: str) -> Path | None:
    for name in names:
        for folder in (root, root / Path(name).stem, *find_image_dirs(challenge, root)):
            if (folder / name).is_file():
                return folder / name
    return None


def _read_pairs(path: Path) -> pd.DataFrame:
    """Read a file without header, of an id and a label in each row."""
    rows = [[cell.strip() for cell in row] for row in read_rows(path)]
    if not rows:
        raise DatasetError(f"{path}: the file is empty")
    if len(rows[0]) != 2:
        raise DatasetError(f"{path}: expected two columns without a header (id, label), got {len(rows[0])} columns")
    if rows[0][0].lower() in ("image", "image_id", "isic_id"):
        raise DatasetError(f"{path}: starts with a header; the official file of this challenge has none")
    return _frame({"image_id": _ids(image_id for image_id, _ in rows), "label": [label for _, label in rows]})
