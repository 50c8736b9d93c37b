"""Read text files that hold a table, whatever program wrote them: encoding, separator, rows of one length."""

import codecs
import csv
import io
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd

from melanoma_tl.errors import DatasetError, ParameterError, find_meant, require_file

logger = logging.getLogger(__name__)

SEPARATORS = (",", ";", "\t", "|")
"""Those that are looked for where none is given."""

_N_PROBED = 200
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # starts like that of UTF-16, so it comes first
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NO_TEXT = {
    b"PK\x03\x04": "an Excel or zip file",
    b"\x1f\x8b": "a gzip file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"PAR1\x15": "a Parquet file",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3\0": "a database",
}
_MOST_BYTES = 2**30
"""Several times the largest table that is known, of the 401,059 images of ISIC 2024."""

_MOST_COLUMNS = 2**14
"""As many as Excel takes ("Excel specifications and limits", Microsoft)."""

_DECLARED = re.compile(r"""["']?sep=(.)["']?[,;\s]*""", re.IGNORECASE)  # programs fill up the line
_WESTERN = r"ÄÖÜäöüßÀÁÂÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕØÙÚÛàáâãåæçèéêëìíîïñòóôõøùúûÿŒœ"
_NOT_WESTERN = re.compile(
    rf"[^\x00-\x7f{_WESTERN}°µ§€£±²³·«»…\u2013\u2014\u2019ªº\xa0]"  # signs that such tables hold
    rf"|[{_WESTERN}]{{3}}|(?<!\w)[{_WESTERN}]{{2,}}(?!\w)"  # letters of another script come in whole words
)
"""What betrays that a text which is no UTF-8 is no Windows-1252 either."""


def read_table(path: Path, *, separator: str | None = None, encoding: str | None = None) -> pd.DataFrame:
    r"""Read a table with a header.

    Parameters
    ----------
    path : Path
        A text file.
    separator, encoding : str, optional
        As `read_rows`.

    Returns
    -------
    pandas.DataFrame
        All cells as they stand, without blanks around them (str); columns without a name are left out.

    Raises
    ------
    DatasetError
        If there is no such file, or it is not such a table.
    ParameterError
        If the separator or the encoding cannot be used.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "mine.csv"
    ...     _ = path.write_text("sep=;\nBild;Diagnose\na.jpg;Nävus\n", encoding="utf-16")
    ...     read_table(path).to_dict("list")
    {'Bild': ['a.jpg'], 'Diagnose': ['Nävus']}
    """
    return pd.DataFrame(read_columns(path, separator=separator, encoding=encoding), dtype=object)


def read_columns(
    path: Path,
    *,
    required: Sequence[str] = (),
    wanted: Collection[str] | None = None,
    separator: str | None = None,
    encoding: str | None = None,
) -> dict[str, list[str]]:
    """Read columns of a file with a header: the required ones, and the wanted ones that there are (by default all).

    Parameters
    ----------
    path : Path
        The file.
    required : sequence of str
        Names that the header must hold.
    wanted : collection of str, optional
        Further names.
    separator, encoding : str, optional
        As `read_rows`.

    Returns
    -------
    dict of str to list of str
        The cells of each column.

    Raises
    ------
    DatasetError, ParameterError
        As `read_table`.
    """
    rows = read_rows(path, separator=separator, encoding=encoding)
    header = [name.strip() for name in next(rows, [])]
    if not header:
        raise DatasetError(f"{path}: the file is empty")
    check_columns(header, required, where=f"{path}: the header")
    if len(header) > _MOST_COLUMNS:
        raise DatasetError(f"{path}: {len(header):,} columns; tables of images are read up to {_MOST_COLUMNS:,}")
    twice = sorted(column for column, n in Counter(header).items() if column and n > 1)
    if twice:
        raise DatasetError(f"{path}: the header names {', '.join(map(repr, twice))} more than once")
    chosen = {
        column: place
        for place, column in enumerate(header)
        if column in required or (column and (wanted is None or column in wanted))
    }
    table: dict[str, list[str]] = {column: [] for column in chosen}
    empty = True
    for row in rows:
        empty = False
        for column, place in chosen.items():
            table[column].append(row[place].strip())
    if empty:
        raise DatasetError(f"{path}: the file has a header but no rows")
    return table


def check_columns(header: Iterable[str], required: Sequence[str], *, where: str) -> None:
    """Check that a table has the columns that are needed.

    Parameters
    ----------
    header : iterable of str
        The names of its columns.
    required : sequence of str
        Those that it must have.
    where : str
        What names them, for the message.

    Raises
    ------
    DatasetError
        If one is not there.
    """
    known = list(map(str, header))
    if set(required) <= set(known):
        return
    *others, last = map(repr, required)
    names = f"columns {', '.join(others)} and {last}" if others else f"column {last}"
    got = ", ".join(map(repr, known))
    meant = find_meant(next(name for name in required if name not in known), known)
    hint = "" if meant is None else f"; did you mean {meant!r}?"
    raise DatasetError(f"{where} must name the {names}, got {got[:500]}{'…' * (len(got) > 500)}{hint}")


def read_rows(path: Path, *, separator: str | None = None, encoding: str | None = None) -> Iterator[list[str]]:
    """Read the rows of a file, all of the same length; spaces around cells are left to the reader of each.

    Parameters
    ----------
    path : Path
        The file.
    separator : str, optional
        What stands between cells; by default that of `SEPARATORS` which makes a table of it, or what a first line
        ``sep=;`` says. Of several characters, such as "||", it also stands around each row, and other lines are
        explanations.
    encoding : str, optional
        By default UTF-8; UTF-16 where a byte-order mark says so; else Windows-1252, where it makes sense.

    Yields
    ------
    list of str
        The cells of each row that is not empty.

    Raises
    ------
    DatasetError
        If there is no such file, its text cannot be read, several separators would make a table of it, or rows
        have several lengths.
    ParameterError
        If the separator or the encoding cannot be used.
    """
    if separator is not None and (not isinstance(separator, str) or not separator or separator in '"\r\n'):
        raise ParameterError(f"sep must be what stands between cells, such as ';' or '\\t', got {separator!r}")
    lines = list(io.StringIO(_read_text(path, encoding), newline="")) or [""]
    if separator is not None and len(separator) > 1:
        rows = _split_at(separator, lines, path)
    else:
        declared = _DECLARED.fullmatch(lines[0])
        if declared:
            lines, separator = lines[1:], separator or declared[1]
        rows = _split(lines, separator or _find_separator(lines, path))
    try:
        yield from _of_one_length(rows, path)
    except csv.Error as error:
        raise DatasetError(f"{path}: not a CSV file ({error})") from error


def _of_one_length(rows: Iterable[list[str]], path: Path) -> Iterator[list[str]]:
    width = None
    for row in rows:
        if not row or (len(row) > 1 and not any(map(str.strip, row))):
            continue  # programs write rows of nothing at the end
        width = width or len(row)
        if len(row) != width:
            raise DatasetError(
                f"{path}: not a CSV file ({width} columns at first, but {len(row)} in the row of {row[0][:40]!r})"
            )
        yield row


def _split(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=separator, skipinitialspace=not separator.isspace(), strict=True)


def _split_at(separator: str, lines: Iterable[str], path: Path) -> Iterator[list[str]]:
    stripped = [line.strip() for line in lines]
    rows = [line for line in stripped if line.startswith(separator)]
    if any(stripped) and not rows:
        raise DatasetError(
            f"{path}: no line begins with {separator!r}: a separator of several characters also stands around each row"
        )
    return (line.removeprefix(separator).removesuffix(separator).split(separator) for line in rows)


def read_bytes(path: Path) -> bytes:
    """Read a text file that need not be trusted.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    bytes
        At most 1 GiB.

    Raises
    ------
    DatasetError
        If it is none, cannot be read or is larger.
    """
    try:
        require_file(path, DatasetError, "pass the path of the table with the labels; folders are read by from_folder")
        if path.stat().st_size <= _MOST_BYTES:
            with path.open("rb") as file:  # some files of the system say that they are empty, and have no end
                content = file.read(_MOST_BYTES + 1)
            if len(content) <= _MOST_BYTES:
                return content
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
    raise DatasetError(f"{path}: more than {_MOST_BYTES:,} bytes; read a part of it, or pass from_frame a DataFrame")


# -- guesses that are proved -------------------------------------------------------------------------------------------


def _find_separator(lines: Sequence[str], path: Path) -> str:
    """Find the one separator that makes rows of one length of the first lines."""
    widths = {separator: _width(lines, separator) for separator in SEPARATORS}
    fitting = [separator for separator, (width, even) in widths.items() if even and width > 1]
    if len(fitting) > 1:
        raise DatasetError(
            f"{path}: {' and '.join(map(repr, fitting))} would both make a table of it: say which with sep="
        )
    # Where none fits, the one that parts the header decides what the message is about.
    return fitting[0] if fitting else max(SEPARATORS, key=lambda separator: widths[separator][0])


def _width(lines: Sequence[str], separator: str) -> tuple[int, bool]:
    """Count the cells of the header, and tell whether the rows that follow have as many."""
    width = 0
    # A quoted cell may go on over lines: the last row of a piece of the file proves nothing.
    rows = _split(lines[:_N_PROBED], separator)
    try:
        for row in islice(filter(None, rows), _N_PROBED // 2):
            width = width or len(row)
            if len(row) != width:
                return width, False
    except csv.Error:
        return width, False
    return width, True


def _read_text(path: Path, encoding: str | None) -> str:
    content = read_bytes(path)
    other = next((kind for mark, kind in _NO_TEXT.items() if content.startswith(mark)), None)
    if other:
        raise DatasetError(f"{path}: not a CSV file, but {other}: save it as CSV, or pass from_frame a DataFrame")
    mark = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if not encoding and not mark and b"\0" in content:
        raise _has_nul(path, content)
    try:
        text = content.decode(encoding or mark or "utf-8")
    except LookupError:
        raise ParameterError(
            f"encoding must be the name of one, such as 'utf-8' or 'cp1252', got {encoding!r}"
        ) from None
    except ValueError as error:
        if not isinstance(error, UnicodeError):
            raise ParameterError(f"encoding must be the name of one, such as 'utf-8', got {encoding!r}") from None
        if encoding or mark:
            raise DatasetError(
                f"{path}: not a CSV file that can be read (no text in the encoding {encoding or mark!r}; give that in "
                "which it was saved with encoding=)"
            ) from error
        text = _decode_western(content, path)
    if "\0" in text:
        raise _has_nul(path, content)
    return text.removeprefix("\ufeff")


def _has_nul(path: Path, content: bytes) -> DatasetError:
    """Return the error for NUL bytes: in UTF-16 and UTF-32 all bytes of Latin letters but one are zero."""
    zero = "".join(str(int(content[place::4].count(0) > len(content) / 8)) for place in range(4))
    wide = {"0101": "utf-16-le", "1010": "utf-16-be", "0111": "utf-32-le", "1110": "utf-32-be"}.get(zero)
    how = f"it looks like {wide}: pass encoding={wide!r}" if wide else "give its encoding=, such as 'utf-16-le'"
    return DatasetError(f"{path}: not a CSV file that can be read (it holds NUL bytes; {how})")


def _decode_western(content: bytes, path: Path) -> str:
    how = "no UTF-8, and nothing says what else: save it as UTF-8, or give its encoding="
    try:
        text = content.decode("cp1252")
    except UnicodeError:
        raise DatasetError(f"{path}: not a CSV file that can be read ({how})") from None
    if _NOT_WESTERN.search(text):
        raise DatasetError(f"{path}: not a CSV file that can be read ({how})")
    logger.warning("%s: no UTF-8; read as Windows-1252, as Western European programs write it", path)
    return text
