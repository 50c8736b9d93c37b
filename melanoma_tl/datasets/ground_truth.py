"""Find and read the challenges' official files, each as it is."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from melanoma_tl.datasets.challenges import COLUMNS, DIAGNOSES, Challenge
from melanoma_tl.datasets.tables import read_columns, read_rows
from melanoma_tl.errors import DatasetError
from melanoma_tl.images import IMAGE_SUFFIXES

METADATA = tuple(dict.fromkeys(COLUMNS.values()))
"""The facts about an image that have one name and one spelling in every table."""

_NO_ANSWER = {"", "n/a", "na", "nan", "none", "null", "unknown"}
_SEXES = {"female": "female", "f": "female", "male": "male", "m": "male"}
_SUFFIX = re.compile(f"(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})$", re.IGNORECASE)


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
        In the order of the entry; a folder that is not there is named all the same.
    """
    return [folder for pattern in challenge.image_dirs for folder in sorted(root.glob(pattern)) or [root / pattern]]


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
        raise DatasetError(f"{root / challenge.ground_truth}: no such file; the labels are read from it")
    if challenge.id_column is None:
        return _read_pairs(path)

    diagnosed_by = challenge.one_hot or [column for column, name in challenge.metadata.items() if name == "diagnosis"]
    table = read_columns(
        path,
        required=[challenge.id_column, *([challenge.label_column] if challenge.label_column else diagnosed_by)],
        wanted=[*diagnosed_by, *challenge.metadata],
        separator=None if challenge.separator == "," else challenge.separator,  # Dataverse serves tabs for commas
    )
    ids = _ids(table[challenge.id_column])
    labels = table[challenge.label_column] if challenge.label_column else []
    facts = _facts(table, challenge.metadata)
    if diagnosed_by and table.keys() >= set(diagnosed_by):
        rows = zip(*(table[column] for column in diagnosed_by), strict=True)
        diagnoses, instead = zip(*(_diagnose(challenge, cells) for cells in rows), strict=True)
        classes = labels or ["melanoma" if diagnosis == "melanoma" else "benign" for diagnosis in diagnoses]
        labels = [other or label for label, other in zip(classes, instead, strict=True)]
        facts["diagnosis"] = diagnoses
    for name in challenge.metadata_files:
        further = _find(challenge, root, name)
        if further is not None:
            facts = _look_up(further, challenge.id_column, challenge.metadata, ids) | facts
    return _frame({"image_id": ids, "label": labels} | {name: facts[name] for name in METADATA if name in facts})


# -- what the cells mean -----------------------------------------------------------------------------------------------


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
    """Give one fact the spelling it has in every table."""
    if name == "age":
        number = _number(word)
        return number if math.isfinite(number) else math.nan
    if name == "sex":
        return _SEXES.get(word.lower())
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
