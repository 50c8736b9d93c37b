"""Find and read tables of labels: the challenges' official files, each as it is, and tables of users' own."""

import csv
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from melanoma_tl.datasets.challenges import COLUMNS, DIAGNOSES, Challenge
from melanoma_tl.errors import DatasetError
from melanoma_tl.images import IMAGE_SUFFIXES

METADATA = tuple(dict.fromkeys(COLUMNS.values()))
"""The facts about an image that have one name and one spelling in every table."""

_OWN_COLUMNS = ("image_id", "label", "path")  # of a dataset: no fact of the user's can have these names
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
    table = _read(
        path,
        required=[challenge.id_column, *([challenge.label_column] if challenge.label_column else diagnosed_by)],
        wanted=[*diagnosed_by, *challenge.metadata],
        separator=challenge.separator,
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


def read_table(path: Path, *, id_column: str = "image_id", label_column: str = "label") -> pd.DataFrame:
    r"""Read ids, labels and whatever else a table with a header holds.

    Parameters
    ----------
    path : Path
        A file of values separated by commas or tabs, in UTF-8.
    id_column, label_column : str, default="image_id", "label"
        Names of the two columns. Ids may be paths and carry an image suffix.

    Returns
    -------
    pandas.DataFrame
        One row an image, in the order of the file: ``image_id``, ``label`` and, where the table has
        it, ``path`` (str, as they stand); then the other columns. Those that the challenges name in
        several ways (``age_approx``, ``localization``, ``dx``…) get the names and
        values of `read_challenge`, a diagnosis also where it is the label; the others
        are str, as they stand. Left out are columns without a name, and further ones
        called "image_id" or "label".

    Raises
    ------
    DatasetError
        If there is no such file, or it is not such a table.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "mine.csv"
    ...     _ = path.write_text("image,dx,localization,camera\na.jpg,MEL,back,X1\n")
    ...     read_table(path, id_column="image", label_column="dx").iloc[0].to_dict()
    {'image_id': 'a.jpg', 'label': 'MEL', 'diagnosis': 'melanoma', 'site': 'back', 'camera': 'X1'}
    """
    table = _read(path, required=[id_column, label_column])
    facts: dict[str, Sequence[object]] = {"image_id": table[id_column], "label": table[label_column]}
    if "path" in table:
        facts["path"] = table["path"]
    for column, words in table.items():
        name = COLUMNS.get(column, column)
        if name in facts or (name != column and name in table):  # the column that has the name by right keeps it
            name = column
        if column in _OWN_COLUMNS or column == id_column or (column == label_column and name not in METADATA):
            continue
        facts[name] = [_tidy(name, word) for word in words] if name in METADATA else words
    return _frame(facts)


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
    table = _read(path, required=[id_column], wanted=names)
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
    rows = [[cell.strip() for cell in row] for row in _rows(path)]
    if not rows:
        raise DatasetError(f"{path}: the file is empty")
    if len(rows[0]) != 2:
        raise DatasetError(f"{path}: expected two columns without a header (id, label), got {len(rows[0])} columns")
    if rows[0][0].lower() in ("image", "image_id", "isic_id"):
        raise DatasetError(f"{path}: starts with a header; the official file of this challenge has none")
    return _frame({"image_id": _ids(image_id for image_id, _ in rows), "label": [label for _, label in rows]})


def _read(
    path: Path, *, required: Sequence[str], wanted: Collection[str] | None = None, separator: str = ","
) -> dict[str, list[str]]:
    """Read columns of a file with a header: the required ones, and the wanted ones that there are (by default all)."""
    rows = _rows(path, separator)
    header = [name.strip() for name in next(rows, [])]
    if not header:
        raise DatasetError(f"{path}: the file is empty")
    if not set(required) <= set(header):
        *others, last = map(repr, required)
        names = f"columns {', '.join(others)} and {last}" if others else f"column {last}"
        got = ", ".join(map(repr, header))
        raise DatasetError(f"{path}: the header must name the {names}, got {got[:500]}{'…' * (len(got) > 500)}")
    twice = sorted({column for column in header if column and header.count(column) > 1})
    if twice:
        raise DatasetError(f"{path}: the header names {', '.join(map(repr, twice))} more than once")
    chosen = {
        column: place
        for place, column in enumerate(header)
        if column in required or (column and (wanted is None or column in wanted))
    }
    table: dict[str, list[str]] = {column: [] for column in chosen}
    for row in rows:
        for column, place in chosen.items():
            table[column].append(row[place].strip())
    if not table[required[0]]:
        raise DatasetError(f"{path}: the file has a header but no rows")
    return table


def _rows(path: Path, separator: str = ",") -> Iterator[list[str]]:
    """Read the rows of a file, all of the same length; spaces around cells are left to the reader of each."""
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; the labels are read from it")
    width = None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in filter(None, _split(_text_only(file), separator)):
                width = width or len(row)
                if len(row) != width:
                    raise DatasetError(
                        f"{path}: not a CSV file ({width} columns at first, "
                        f"but {len(row)} in the row of {row[0][:40]!r})"
                    )
                yield row
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not a CSV file ({error})") from error


def _text_only(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if "\0" in line:  # binary, or text in UTF-16
            raise csv.Error("it holds NUL bytes; save it as UTF-8")
        yield line


def _split(lines: Iterator[str], separator: str) -> Iterable[list[str]]:
    if separator != ",":  # rows stand between separators, among lines of explanation
        stripped = (line.strip() for line in lines)
        return (
            line.removeprefix(separator).removesuffix(separator).split(separator)
            for line in stripped
            if line.startswith(separator)
        )
    first = next(lines, "")
    delimiter = "\t" if "\t" in first and "," not in first else ","
    return csv.reader(chain([first], lines), delimiter=delimiter, skipinitialspace=True, strict=True)
