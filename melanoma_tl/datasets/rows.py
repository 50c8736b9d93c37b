"""Which rows of a table of labels become images of a dataset, and why the others do not."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd

from melanoma_tl._escaping import MOST_IN_COLUMN, in_column, shorten
from melanoma_tl.datasets.image_files import ImageIndex, differ_in_case, make_id
from melanoma_tl.errors import DatasetError
from melanoma_tl.images.decoding import SkippedRow, check_on_error
from melanoma_tl.images.hdf5 import is_hdf5
from melanoma_tl.labels.meanings import is_missing

logger = logging.getLogger(__name__)

_N_REASONS = 6

_WHERE_TO_LOOK = "No image was found: say with image_dirs= where they are. "
_HOW_TO_SKIP = "Put it right, or pass on_error='skip' to leave such rows out; they are then listed in .skipped"


def match_rows_to_images(
    table: pd.DataFrame,
    image_dirs: Sequence[str | os.PathLike[str]] | None,
    *,
    labels: Sequence[int | str],
    name: str,
    on_error: str,
    flaws: Sequence[str] | None = None,
) -> tuple[pd.DataFrame, tuple[SkippedRow, ...]]:
    """Look for the images of a table, and take the rows that can be used.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``image_id`` (what the table calls the image: a name or a path, with suffix or without), perhaps
        ``path`` (where it is, if the id does not say), and whatever else is known.
    image_dirs : sequence of path, or None
        Folders to look for the images in, and below; None does not look.
    labels : sequence of int or str of length n_rows
        From `read_labels`: 0 or 1, or why neither is known.
    name : str
        Name of the dataset, for messages.
    on_error : {"raise", "skip"}
        What to do with rows that cannot be used.
    flaws : sequence of str, optional
        From `list_classes`, with its table: ids and files are known, and why some cannot be used.

    Returns
    -------
    rows : pandas.DataFrame
        The same columns, with ids from `make_id`, ``label`` 0 or 1, and ``path`` where images are known.
    skipped : tuple of SkippedRow
        The other rows.

    Raises
    ------
    DatasetError
        If a folder does not exist, no row can be used, or any cannot and `on_error` is "raise".
    """
    check_on_error(on_error)
    if flaws is None:
        table, flaws = _find_files(table, image_dirs, name)
    reasons = list(_reasons(table, labels, flaws))
    paths = table.get("path", pd.Series("", index=table.index))
    skipped = tuple(
        SkippedRow(image_id, path, reason)
        for image_id, path, reason in zip(table["image_id"], paths, reasons, strict=True)
        if reason
    )
    if skipped and on_error == "raise":
        look = _WHERE_TO_LOOK if image_dirs and not any(paths) else ""
        raise DatasetError(f"{name}: {describe_skipped(skipped, len(table))}. {look}{_HOW_TO_SKIP}")
    if len(skipped) == len(table):
        raise DatasetError(f"{name}: no usable row. {describe_skipped(skipped, len(table))}")
    if skipped:
        logger.warning("%s: %s; left out, listed in .skipped", name, describe_skipped(skipped, len(table)))
    classes = pd.Series(labels, index=table.index, dtype=object)
    return table.assign(label=classes)[[not reason for reason in reasons]], skipped


def _find_files(
    table: pd.DataFrame, image_dirs: Sequence[str | os.PathLike[str]] | None, name: str
) -> tuple[pd.DataFrame, list[str]]:
    """Find the file of each row, or say why there is none; make ids of what the table calls the images."""
    folders = [] if image_dirs is None else [_existing_place(folder) for folder in image_dirs]
    entries = table["image_id"]
    table = table.assign(image_id=[make_id(entry, folders) for entry in entries])
    if image_dirs is None:
        return table.drop(columns="path", errors="ignore"), [""] * len(table)
    index = ImageIndex(folders)
    given = ["" if is_missing(path) else os.fspath(path) for path in table.get("path", [""] * len(table))]
    if not folders:  # what the table calls an image is then its path
        given = [path or os.fspath(entry) for path, entry in zip(given, entries, strict=True)]
    asked = [path or os.fspath(entry) for entry, path in zip(entries, given, strict=True)]
    found = [index.find(one, is_path=bool(path)) for one, path in zip(asked, given, strict=True)]
    where = ", ".join(map(str, folders)) or "no folder: say with image_dirs= where to look"
    flaws = [_why_not_found(files, one, path, where) for files, one, path in zip(found, asked, given, strict=True)]
    _warn_of_case(asked, found, name)
    return table.assign(path=[files[0] if len(files) == 1 else "" for files in found]), flaws


def _existing_place(place: str | os.PathLike[str]) -> Path:
    """Check that a folder of images, or an HDF5 file of them, exists."""
    return Path(place) if is_hdf5(place) else existing_folder(place)


def _warn_of_case(asked: Sequence[str], found: Sequence[Sequence[str]], name: str) -> None:
    pairs = [(one, files[0]) for one, files in zip(asked, found, strict=True) if len(files) == 1]
    otherwise = [pair for pair in pairs if differ_in_case(*pair)]
    if otherwise:
        logger.warning(
            "%s: %d image%s found under names that differ in case from those in the table, such as %r and %r",
            name,
            len(otherwise),
            " is" if len(otherwise) == 1 else "s are",
            *map(str, otherwise[0]),
        )


def _why_not_found(files: Sequence[str], asked: str, path: str, where: str) -> str:
    if len(files) > 1:
        folder = os.path.commonpath([Path(file).absolute().parent for file in files])
        shown = ", ".join([os.path.relpath(file, folder) for file in files[:3]] + ["…"] * (len(files) > 3))
        if differ_in_case(asked, files[0]):
            return f"{len(files)} files differ from it in case ({shown} in {folder}); write it as the file is called"
        return f"{len(files)} files have this name ({shown} in {folder}); say in the table which, by suffix or path"
    if files:
        return ""
    return f"no image {path!r}, its path in the table, in {where}" if path else f"no image of this name in {where}"


def _reasons(table: pd.DataFrame, labels: Sequence[int | str], flaws: Sequence[str]) -> Iterator[str]:
    """Return for each row why it cannot be used; an empty text if it can."""
    seen: set[str] = set()
    of_file: dict[str, str] = {}
    paths = table.get("path", pd.Series("", index=table.index))
    # A label that contradicts itself is nobody's truth, whichever of them stands first.
    usable = ["" if flaw else label for label, flaw in zip(labels, flaws, strict=True)]
    of_id, of_path = (_find_ambiguous(names, usable) for names in (table["image_id"], paths))
    for image_id, path, label, flaw in zip(table["image_id"], paths, labels, flaws, strict=True):
        if not image_id:
            yield "the row has no id"
        elif flaw:
            yield flaw
        elif image_id in of_id:
            yield "the id occurs more than once, with different labels"
        elif path in of_path:
            yield "its file occurs more than once, with different labels"
        elif image_id in seen:
            yield "the id occurs more than once"
        elif path and of_file.setdefault(path, image_id) != image_id:
            yield f"it is the file of {of_file[path]} too"
        else:
            seen.add(image_id)
            yield label if isinstance(label, str) else ""


def _find_ambiguous(names: Iterable[str], labels: Sequence[int | str]) -> set[str]:
    """Find what is labelled benign in one row and melanoma in another."""
    of_name: dict[str, int] = {}
    pairs = ((name, label) for name, label in zip(names, labels, strict=True) if name and isinstance(label, int))
    return {name for name, label in pairs if of_name.setdefault(name, label) != label}


def describe_skipped(skipped: Sequence[SkippedRow], total: int) -> str:
    """Write how many rows cannot be used, and why, each reason once.

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
    alike: dict[str, list[SkippedRow]] = {}
    for row in skipped:
        alike.setdefault(row.reason, []).append(row)
    shown = "; ".join(
        f"{in_column(rows[0].image_id) or '(no id)'}{f' and {len(rows) - 1} more' * (len(rows) > 1)}: "
        f"{shorten(reason, MOST_IN_COLUMN)}"
        for reason, rows in islice(alike.items(), _N_REASONS)
    )
    n_more = sum(map(len, islice(alike.values(), _N_REASONS, None)))
    more = f"; … and {n_more} more" if n_more else ""
    return f"{len(skipped)} of {total} rows cannot be used ({shown}{more})"


def existing_folder(folder: str | os.PathLike[str], hint: str = "") -> Path:
    """Check that a folder exists.

    Parameters
    ----------
    folder : path
        The folder.
    hint : str, default=""
        What the user can do where it does not exist.

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
    if path.exists() and not path.is_dir():
        raise DatasetError(f"{path}: not a folder; a table of labels is read by ISBIDataset.from_csv")
    if not path.is_dir():
        raise DatasetError(
            f"{path}: no such folder{'' if path.is_absolute() else f' in {Path.cwd()}'}{hint and f'; {hint}'}"
        )
    return path
