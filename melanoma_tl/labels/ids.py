"""What names an image, a patient, a lesion or a group of the user's, what names nobody, and when two ids are one."""

import logging
import os
import re
import unicodedata
from collections.abc import Iterable

import numpy as np

from melanoma_tl.labels.meanings import is_missing, normalise
from melanoma_tl.labels.vocabulary import NUMBERED

logger = logging.getLogger(__name__)

_N_SHOWN = 3

_DUMMY = re.compile(
    r"x{3,}|dummy|placeholder|test|same|self|(?:dummy|test|some|any|the|placeholder) (?:patient|subject|lesion|id)|"
    r"patient(?:en|in|e)?|patient id|subject|person|pat|lesion|lesion id|id|"
    r"(?:p|pt|pat|patient(?:en|in|e)?|paziente|paciente|s|subj|subject|person|case|fall|l|les|lesion|id)(?: id)? ?"
    r"(?:nan|none|null|nat|<na>)"
)
"""Words that name nobody, and what ``"P_" + ids.astype(str)`` makes of what is missing, as `normalise` writes them."""


def as_text(cell: object) -> str:
    """Write a cell as text; a whole number without a decimal point.

    Parameters
    ----------
    cell : object
        As it stands.

    Returns
    -------
    str
        Empty where nothing stands in it.

    Examples
    --------
    >>> as_text(7.0), as_text(" ? "), as_text(None)
    ('7', '?', '')
    """
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, os.PathLike):
        return os.fsdecode(cell)
    if is_missing(cell):
        return ""
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell).strip()


def as_word(cell: object) -> str:
    """Write a cell as text; nothing also where a word says that it is missing.

    Parameters
    ----------
    cell : object
        As it stands.

    Returns
    -------
    str
        Empty where nothing is known.

    Examples
    --------
    >>> as_word("P7"), as_word(" ? ")
    ('P7', '')
    """
    text = as_text(cell)
    if isinstance(cell, int | float | np.number):  # what is missing among them is no text
        return text
    return "" if is_missing(text) else text


def read_id(cell: object) -> str | None:
    """Read one id of a patient or a lesion; whether "0" is one, a column says (`read_ids`).

    Parameters
    ----------
    cell : object
        As it stands.

    Returns
    -------
    str or None
        None where it is missing, a negative number, a dash, or a word such as "dummy".

    Examples
    --------
    >>> read_id(7.0), read_id("P7"), read_id("-1")
    ('7', 'P7', None)
    """
    word = as_word(cell)
    return None if is_no_id(word) else word


def is_no_id(word: str) -> bool:
    """Return whether a word names no patient or lesion: nothing, a negative number, dashes, or "dummy" and the like.

    Parameters
    ----------
    word : str
        From `as_word`.

    Returns
    -------
    bool
        Whether "0" is an id, a column says (`read_ids`).
    """
    if NUMBERED.fullmatch(word):
        return False
    return not word or bool(re.fullmatch(r"-\d+(?:\.0*)?|-+", word) or _DUMMY.fullmatch(normalise(word)))


def fold_id(word: str) -> str:
    """Write an id as ids are compared: without regard to case, blanks, invisible characters and Unicode form.

    Parameters
    ----------
    word : str
        The id.

    Returns
    -------
    str
        In Unicode's form NFKC, case-folded, without blanks and characters of category Cf. Two persons taken for one
        are only kept together; one person taken for two comes to both sides of a split.

    Examples
    --------
    >>> fold_id("P030"), fold_id(" p 030\u200b"), fold_id("Mu\u0308ller") == fold_id("M\u00fcller")
    ('p030', 'p030', True)
    """
    if not word.isascii():
        word = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())
        word = "".join(character for character in word if unicodedata.category(character) != "Cf")
    return "".join(word.split()).casefold()


def as_first_written(ids: Iterable[str | None], *, name: str, what: str) -> list[str | None]:
    """Replace equal ids in different spellings by the first spelling, and log them.

    Parameters
    ----------
    ids : iterable of str or None
        None where it is not known.
    name : str
        What they are the ids of, for the message.
    what : str
        Whom or what an id names, such as "patient".

    Returns
    -------
    list of str or None
        Of equal length.

    Examples
    --------
    >>> as_first_written(["P1", None, "p1", "P2"], name="mine", what="patient")
    ['P1', None, 'P1', 'P2']
    """
    written = list(ids)
    spellings: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    for word in dict.fromkeys(word for word in written if word is not None):
        alike = spellings.setdefault(fold_id(word), [])
        alike.append(word)
        first[word] = alike[0]
    several = [alike for alike in spellings.values() if len(alike) > 1]
    if several:
        logger.warning(
            "%s: %d %s id%s written in several ways that differ in case, blanks or Unicode form alone (%s%s); each is "
            "taken for one %s",
            name,
            len(several),
            what,
            " is" if len(several) == 1 else "s are",
            "; ".join(" = ".join(map(repr, alike)) for alike in several[:_N_SHOWN]),
            "; …" * (len(several) > _N_SHOWN),
            what,
        )
    return [None if word is None else first[word] for word in written]
