"""What the cells of a table say, whoever wrote them: texts, ids, ages, sexes."""

import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from melanoma_tl.labels.distinct import once_each
from melanoma_tl.labels.ids import as_first_written, as_text, as_word, is_no_id, read_id
from melanoma_tl.labels.meanings import normalise

logger = logging.getLogger(__name__)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.replace("\n", ",").split(",") if name.strip())


FEMALE = _names("""
    female, f, fem, w, weiblich, frau, femme, feminin, feminine, feminino, feminina, femenino, femenina, mujer, mulher,
    hembra, femea, donna, femmina, femminile, woman, girl, weibl, madchen, fille, nina, menina, bambina
""")
MALE = _names("""
    male, m, masc, mannlich, maennlich, mann, homme, masculin, masculino, masculine, maschio, maschile, macho, varon,
    hombre, homem, uomo, man, boy, mannl, junge, knabe, garcon, nino, menino, bambino
""")


def plain_name(name: object) -> str:
    """Write the name of a column as names are compared.

    Parameters
    ----------
    name : object
        As a table has it.

    Returns
    -------
    str
        Without capitals, accents, blanks and signs.

    Examples
    --------
    >>> plain_name("Patient ID"), plain_name("PatientID"), plain_name("patient_id")
    ('patientid', 'patientid', 'patientid')
    """
    return re.sub(r"\W", "", normalise(name))


def name_columns(text: str) -> tuple[str, ...]:
    """List names of columns, which commas part, as `plain_name` writes them.

    Parameters
    ----------
    text : str
        The names.

    Returns
    -------
    tuple of str
        In the same order.
    """
    return tuple(map(plain_name, _names(text)))


AGE_COLUMNS = name_columns("""
    age, age_approx, age_approximate, age_years, age_in_years, age_at_diagnosis, patient_age, alter,
    patientenalter, edad, idade, eta, age_y, age_yrs
""")
"""The names of a column of ages, in the order in which they are believed."""

SEX_COLUMNS = name_columns("sex, gender, patient_sex, patient_gender, geschlecht, sexe, genre, sexo, genero, sesso")
"""The names of a column of sexes, in the order in which they are believed."""

_AGE = re.compile(
    r"(?:>=?|\u2265)? ?(\d{1,3}(?:[.,]\d{1,3})?) ?\+? ?(?:"
    r"(?:y|yr|yrs|yo|y\.o|y/o|a|j|years?|years? old|jahre?|jahre alt|ans?|anos?|anni)?"
    r"|(?P<months>mo|months?|months? old|monate?|monate alt|mois|mes|meses|mesi|mese))\.?"
)
OLDEST = 120
"""Years; a higher number is no age."""


_FILLER = re.compile(r"0+|9{3,}")
"""Numbers that programs write where no other is known."""

_OFTEN = 3
"""How many times as often as any other patient or lesion a filler stands where it means that none is known."""

_MANY_IMAGES, _LARGE_SHARE = 10, 0.1
"""Images, and share of all, from which an id that comes `_OFTEN` times as often as others is suspicious."""

NUMBER = re.compile(r"[+-]?\d+(?:\.0*)?")
"""A whole number, however it is written."""


def read_ids(
    cells: Iterable[object], lost: dict[str, list[str]] | None = None, *, what: str = "id"
) -> list[str | None]:
    """Read ids of patients or lesions.

    Missing are words such as "NA" and "unknown", what `is_no_id` names, and "0" and "999" where they are no ids like
    the others: where these are no numbers, or where they stand far more often than any of them, as a number of nobody
    does. Taken for an id, a "0" that means nothing would only keep images together; dropped, a patient "0" may come to
    both sides of a split.

    Parameters
    ----------
    cells : iterable
        As they stand.
    lost : dict, optional
        Takes all words that count as missing: "NA" and "K.A." may be initials.
    what : str, default="id"
        What it calls them.

    Returns
    -------
    list of str or None
        None where it is missing.

    Examples
    --------
    >>> read_ids(["P1", "-1", "0", "?"]), read_ids([0.0, 1.0, 1.0, float("nan")])
    (['P1', None, None, None], ['0', '1', '1', None])
    """
    written = once_each(as_text, cells)
    words = once_each(_as_id, written)
    of_nobody = {word for word in set(words) if is_no_id(word)}
    counts = Counter(word for word in words if word not in of_nobody)
    fillers = {word: counts.pop(word) for word in [*counts] if _FILLER.fullmatch(word)}
    are_numbers = bool(counts) and all(map(str.isdecimal, counts))
    of_nobody |= {word for word, n in fillers.items() if not are_numbers or n > _OFTEN * max(counts.values())}
    found = [None if word in of_nobody else word for word in words]
    _note_lost(lost, what, written, found)
    return found


def read_given_ids(cells: Iterable[object], *, name: str, what: str) -> list[str | None]:
    """Read ids that come without a table, each as `read_id`; warn of what counts as missing, and of other spellings.

    Parameters
    ----------
    cells : iterable
        As they stand.
    name : str
        What they are the ids of, for the messages.
    what : str
        Whom or what an id names, such as "patient".

    Returns
    -------
    list of str or None
        None where it is missing.

    Examples
    --------
    >>> read_given_ids(["P1", -1, "p1", float("nan")], name="mine", what="patient")
    ['P1', None, 'P1', None]
    """
    listed = list(cells)
    found = once_each(read_id, listed)
    lost: dict[str, list[str]] = {}
    _note_lost(lost, what, once_each(as_text, listed), found)
    warn_of_lost(lost, name)
    return as_first_written(found, name=name, what=what)


def _as_id(text: object) -> str:
    word = as_word(text)
    return str(int(float(word))) if re.fullmatch(r"\d{1,15}\.0+", word) else word


def find_crowd(ids: Iterable[str | None]) -> tuple[str, int] | None:
    """Find an id that stands so often that it may name nobody.

    Parameters
    ----------
    ids : iterable of str or None
        From `read_ids`.

    Returns
    -------
    tuple of str and int, or None
        The id and its count: at least 10 rows, a tenth of all, and three times as many as any other id has. These
        bounds are a choice; a true patient may pass them, so that nothing is dropped.

    Examples
    --------
    >>> find_crowd(["anna"] * 20 + ["P1", "P2", "P2"]), find_crowd(["P1", "P2"] * 20)
    (('anna', 20), None)
    """
    words = list(ids)
    counts = Counter(word for word in words if word)
    first, second = [*counts.most_common(2), ("", 0), ("", 0)][:2]
    is_crowd = first[1] >= max(_MANY_IMAGES, _LARGE_SHARE * len(words)) and first[1] > _OFTEN * second[1] > 0
    return first if is_crowd else None


def read_ages(cells: Iterable[object], lost: dict[str, list[str]] | None = None) -> list[float]:
    """Read ages in years: numbers, such as "45 years", "85+", ">=85", "45,5" and "6 months"; from 0 to 120.

    Parameters
    ----------
    cells : iterable
        As they stand.
    lost : dict, optional
        Takes the words that are not read.

    Returns
    -------
    list of float
        NaN where there is none.

    Examples
    --------
    >>> read_ages(["45 y.o.", "85+", "45,5", "6 Monate", "999"])
    [45.0, 85.0, 45.5, 0.5, nan]
    """
    words = once_each(as_word, cells)
    ages = once_each(_as_age, words)
    _note_lost(lost, "age", words, ages)
    return ages


def _note_lost(
    lost: dict[str, list[str]] | None, what: str, words: Sequence[str], found: Sequence[str | float | None]
) -> None:
    """Add the words of which nothing was read."""
    if lost is None:
        return
    silent = [word for word, value in zip(words, found, strict=True) if word and _is_missing(value)]
    if silent:
        lost.setdefault(what, []).extend(silent)


def _is_missing(value: str | float | None) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def warn_of_lost(lost: Mapping[str, Sequence[str]], name: str) -> None:
    """Warn of words that were read as missing.

    Parameters
    ----------
    lost : mapping of str to sequence of str
        From `read_ids`, `read_ages` and `read_sexes`.
    name : str
        Name of the dataset, for the message.
    """
    if lost:
        said = "; ".join(f"{what} of {len(words)} rows ({_first(words)})" for what, words in lost.items())
        logger.warning("%s: says nothing, and counts as missing: %s", name, said)


def _first(words: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(words))
    return ", ".join(map(repr, distinct[:3])) + ", …" * (len(distinct) > 3)


def _as_age(word: object) -> float:
    match = _AGE.fullmatch(normalise(word))
    age = float(match[1].replace(",", ".")) / (12 if match["months"] else 1) if match else math.nan
    return age if age <= OLDEST else math.nan


def read_sexes(cells: Iterable[object], lost: dict[str, list[str]] | None = None) -> list[str | None]:
    """Read sexes in the languages of `melanoma_tl.labels.meanings`.

    Parameters
    ----------
    cells : iterable
        As they stand.
    lost : dict, optional
        Takes the words that are not read.

    Returns
    -------
    list of str or None
        "female" or "male"; None where neither is said. Beside "H" (hombre, homme), "M" is "mujer" where nothing
        else is female, and "H" is male beside "F" where nothing else is.

    Examples
    --------
    >>> read_sexes(["W", "M", "mujer"]), read_sexes(["H", "M"])
    (['female', 'male', 'female'], ['male', 'female'])
    """
    words = once_each(_as_sex, cells)
    sexes = dict.fromkeys(FEMALE, "female") | dict.fromkeys(MALE, "male")
    spanish = {"h", "v"} & set(words)  # hombre and varón, beside mujer
    others = set(words) - spanish
    if spanish and not others & {*FEMALE}:
        sexes |= dict.fromkeys(spanish, "male") | {"m": "female"}
    elif spanish and not others & {*MALE}:
        sexes |= dict.fromkeys(spanish, "male")
    found = [sexes.get(word) for word in words]
    _note_lost(lost, "sex", words, found)
    return found


def _as_sex(cell: object) -> str:
    return normalise(as_word(cell)).rstrip(".")
