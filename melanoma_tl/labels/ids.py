"""When two ids are one: of images, patients, lesions, and groups of the user's."""

import logging
import unicodedata
from collections.abc import Iterable

logger = logging.getLogger(__name__)

_N_SHOWN = 3


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
