"""What the columns beside the label say of each image: diagnoses, and answers to questions such as "malignant?"."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from melanoma_tl.labels import vocabulary
from melanoma_tl.labels.cells import as_word
from melanoma_tl.labels.distinct import once_each
from melanoma_tl.labels.meanings import (
    Meaning,
    contradict,
    excludes_melanoma,
    is_answer,
    names_other_cancer,
    normalise,
    read_meaning,
    read_question,
)

_N_PROBED = 5000
"""Different words that show how a column is to be read."""


class Finding(NamedTuple):
    """What one column says of one image beside its label.

    Attributes
    ----------
    word : str
        As it stands.
    meaning : Meaning
        What it says about melanoma.
    column : str
        The column that says it; empty where it is a diagnosis.
    is_aside : bool
        Whether nobody called the column a diagnosis: it is believed only where it says that "malignant" is another
        cancer.
    """

    word: str
    meaning: Meaning
    column: str = ""
    is_aside: bool = False

    @property
    def says_which(self) -> bool:
        """Whether it tells melanomas from other cancers; that something is benign does not."""
        return not self.column or read_question(self.column) is Meaning.MELANOMA

    def __str__(self) -> str:
        """Write it for messages."""
        return f"{self.column!r} says {self.word!r}" if self.column else f"diagnosed as {self.word!r}"


def read_findings(
    table: pd.DataFrame, *, label: str, diagnosis: str | None, levels: Sequence[str], others: Sequence[str]
) -> list[tuple[Finding, ...]]:
    """Collect what a table says of each image beside its label.

    Parameters
    ----------
    table : pandas.DataFrame
        Any.
    label : str
        The column of the label.
    diagnosis : str or None
        The column of the diagnosis, if another one.
    levels : sequence of str
        Columns of a diagnosis in levels, from fine to coarse.
    others : sequence of str
        The columns that nobody uses.

    Returns
    -------
    list of tuple of Finding
        A row an image; of the levels the finest that is clear.
    """
    found: list[list[Finding]] = [
        [_of_diagnosis(word) for word in words]
        for words in read_levels(table, [column for column in levels if column != label])
    ]
    columns = [] if diagnosis in (None, label) else [(str(diagnosis), _of_diagnosis)]
    for column, read in [*columns, *((column, _reader(column, table[column])) for column in others)]:
        if read is not None:
            words = once_each(as_word, table[column])
            known = {word: read(word) for word in set(words) if word}
            for row, word in zip(found, words, strict=True):
                finding = known.get(word)
                if finding is not None:
                    row.append(finding)
    return [tuple(row) for row in found]


def read_folders(paths: Iterable[str], root: Path) -> list[tuple[Finding, ...]]:
    """Collect what the folders between a class folder and an image say of it, as "bcc" of "malignant/bcc/1.jpg".

    Parameters
    ----------
    paths : iterable of str
        The images, below a class folder of `root`.
    root : Path
        The folder of the class folders.

    Returns
    -------
    list of tuple of Finding
        An entry an image.
    """
    depth = len(root.parts) + 1
    return [
        tuple(_of_diagnosis(part) for part in Path(path).parts[depth:-1] if normalise(part) not in vocabulary.REST)
        for path in paths
    ]


def read_levels(table: pd.DataFrame, levels: Sequence[str]) -> list[tuple[str, ...]]:
    """Take the finest level that says whether it is a melanoma; else the finest that says anything.

    Parameters
    ----------
    table : pandas.DataFrame
        Any.
    levels : sequence of str
        Columns of a diagnosis in levels, from fine to coarse.

    Returns
    -------
    list of tuple of str
        A row an image: one word or none; and others where coarser levels contradict it.
    """
    found: list[tuple[str, ...]] = []
    for cells in table[[*levels]].itertuples(index=False, name=None):
        words = [word for word in map(as_word, cells) if word]
        of_meaning: dict[Meaning, str] = {}
        for word in words:
            of_meaning.setdefault(read_meaning(word), word)
        clear = [word for meaning, word in of_meaning.items() if meaning in (Meaning.MELANOMA, Meaning.OTHER)]
        found.append(tuple(words if contradict(words) else clear or words[:1]))
    return found


def asks_malignancy(column: str) -> bool:
    """Return whether the name of a column asks for any cancer, and for nothing else.

    Parameters
    ----------
    column : str
        Its name.

    Returns
    -------
    bool
        True of "malignant", "benign_malignant", "cancer"…; not of "target" or "cancer_history".
    """
    return normalise(column) == "benign malignant" or read_meaning(column) is Meaning.MALIGNANT


def _of_diagnosis(word: str) -> Finding:
    return Finding(word, Meaning.UNKNOWN if is_answer(word) else read_meaning(word))


def _reader(column: str, cells: pd.Series) -> Callable[[str], Finding | None] | None:
    """Choose how to read a column that nobody called a diagnosis; None if it says nothing of melanoma."""
    words = [*islice(filter(None, dict.fromkeys(map(as_word, cells))), _N_PROBED)]
    if cells.dtype.kind in "iuf" and not all(map(is_answer, words)):
        return None
    yes_and_no = _what_answers_mean(column)
    are_answers = all(map(is_answer, words))
    if asks_malignancy(column):
        are_answers = all(read_meaning(word) is not Meaning.UNKNOWN for word in words)
    if yes_and_no is not None and are_answers and words:
        return lambda word: Finding(word, yes_and_no[read_meaning(word) is not Meaning.OTHER], column)
    if any(map(names_other_cancer, words)):
        return lambda word: Finding(word, Meaning.OTHER, column, is_aside=True) if names_other_cancer(word) else None
    return None


def _what_answers_mean(column: str) -> tuple[Meaning, Meaning] | None:
    """Return what a no and a yes in a column mean; None if its name asks nothing."""
    if is_answer(column):
        return None
    if read_meaning(column) is Meaning.MELANOMA:
        return Meaning.OTHER, Meaning.MELANOMA
    if asks_malignancy(column):
        return Meaning.OTHER, Meaning.MALIGNANT
    return (Meaning.UNKNOWN, Meaning.OTHER) if excludes_melanoma(column) else None
