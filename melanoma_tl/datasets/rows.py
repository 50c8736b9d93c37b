"""Which rows of a table of labels become images of a dataset, and why the others do not."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from melanoma_tl.errors import DatasetError, ImageError
from melanoma_tl.images import SkippedRow, check_on_error, find_images

if TYPE_CHECKING:
    from melanoma_tl.datasets.isbi import ISBIDataset

logger = logging.getLogger(__name__)

LABEL_WORDS: Mapping[str, int] = {"benign": 0, "malignant": 1, "melanoma": 1, "0": 0, "1": 1, "0.0": 0, "1.0": 1}
"""How the challenges write the two classes; ISBI 2016 says "malignant" and its malignant images are all melanomas."""

_HOW_TO_SKIP = "Put it right, or pass on_error='skip' to leave such rows out; they are then listed in .skipped"


def choose_rows(
    table: pd.DataFrame,
    image_dirs: Sequence[str | os.PathLike[str]] | None,
    *,
    label_map: Mapping[str, int],
    name: str,
    on_error: str,
) -> tuple[pd.DataFrame, tuple[SkippedRow, ...]]:
    """Look for the images of a table, and take the rows that can be used.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``image_id``, ``label`` (words), perhaps ``path``, and whatever else is known.
    image_dirs : sequence of path, or None
        Folders to look for the images in; None does not look.
    label_map : mapping of str to int
        Which words, in any case, mean 0 and 1.
    name : str
        Name of the dataset, for messages.
    on_error : {"raise", "skip"}
        What to do with rows that cannot be used.

    Returns
    -------
    rows : pandas.DataFrame
        The same columns, with ``label`` 0 or 1, and ``path`` where images are known.
    skipped : tuple of SkippedRow
        The other rows.

    Raises
    ------
    DatasetError
        If a folder does not exist, no row can be used, or any cannot and `on_error` is "raise".
    """
    check_on_error(on_error)
    missing = ""
    if image_dirs is not None:
        folders = [existing_folder(folder) for folder in image_dirs]
        found = find_images(folders)
        table = table.assign(path=[str(found.get(image_id, "")) for image_id in table["image_id"]])
        missing = f"no image of this name in {', '.join(map(str, folders))}"
    words = {word.lower(): label for word, label in label_map.items()}
    labels = [words.get(str(word).lower()) for word in table["label"]]
    reasons = list(_reasons(table, labels, missing, known=", ".join(label_map)))
    paths = table.get("path", pd.Series("", index=table.index))
    skipped = tuple(
        SkippedRow(image_id, path, reason)
        for image_id, path, reason in zip(table["image_id"], paths, reasons, strict=True)
        if reason
    )
    if skipped and on_error == "raise":
        raise DatasetError(f"{name}: {describe_skipped(skipped, len(table))}. {_HOW_TO_SKIP}")
    if len(skipped) == len(table):
        raise DatasetError(f"{name}: no usable row. {describe_skipped(skipped, len(table))}")
    if skipped:
        logger.warning("%s: %s; left out, listed in .skipped", name, describe_skipped(skipped, len(table)))
    classes = pd.Series(labels, index=table.index, dtype=object)
    return table.assign(label=classes)[[not reason for reason in reasons]], skipped


def _reasons(table: pd.DataFrame, labels: Sequence[int | None], missing: str, *, known: str) -> Iterator[str]:
    """Say of each row why it cannot be used; nothing if it can."""
    seen: set[str] = set()
    paths = table["path"] if missing else table["image_id"]
    for image_id, word, label, path in zip(table["image_id"], table["label"], labels, paths, strict=True):
        if not image_id:
            yield "the row has no id"
        elif image_id in seen:
            yield "the id occurs more than once"
        elif label is None:
            yield f"unknown label {word!r}; known: {known}"
        else:
            yield "" if path else missing
        seen.add(image_id)


def unreadable_rows(dataset: "ISBIDataset", results: Iterable[object]) -> tuple[SkippedRow, ...]:
    """List the images of a dataset that something failed to read.

    Parameters
    ----------
    dataset : ISBIDataset
        The images.
    results : iterable of object of length n_images
        What came of each: an ImageError where it could not be read.

    Returns
    -------
    tuple of SkippedRow
        Id, path and reason of each failure.
    """
    return tuple(
        SkippedRow(row.image_id, row.path, result.reason)
        for row, result in zip(dataset, results, strict=True)
        if isinstance(result, ImageError)
    )


def describe_skipped(skipped: Sequence[SkippedRow], total: int) -> str:
    """Write how many rows cannot be used, and the first reasons.

    Parameters
    ----------
    skipped : sequence of SkippedRow
        The rows.
    total : int
        Number of all rows.

    Returns
    -------
    str
        One line.
    """
    shown = "; ".join(f"{row.image_id or '(no id)'}: {row.reason}" for row in skipped[:3])
    more = f"; … and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"{len(skipped)} of {total} rows cannot be used ({shown}{more})"


def existing_folder(folder: str | os.PathLike[str]) -> Path:
    """Check that a folder exists.

    Parameters
    ----------
    folder : path
        The folder.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    DatasetError
        If it does not.
    """
    path = Path(folder)
    if not path.is_dir():
        raise DatasetError(f"{path}: no such folder")
    return path
