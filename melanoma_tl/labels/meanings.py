"""What a single word says: melanoma, another finding, or nothing."""

import re
import unicodedata
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from melanoma_tl.labels import vocabulary


class Meaning(Enum):
    """What a single label says about melanoma."""

    MELANOMA = "melanoma"
    OTHER = "not melanoma"
    MALIGNANT = "malignant"
    """Melanoma, or another cancer: only the source of the label knows."""
    UNKNOWN = "says nothing"


def normalise(label: object) -> str:
    """Write a label the one way in which words are compared.

    Parameters
    ----------
    label : object
        A word, a number or a truth value.

    Returns
    -------
    str
        Lower case, without accents, with single blanks in place of ``_``, ``-`` and other blanks; whole
        numbers without a decimal point. A dash at an end stays, for "mel-" may be the opposite of "mel+".

    Examples
    --------
    >>> normalise(" Mélanome_malin "), normalise(1.0), normalise(np.True_)
    ('melanome malin', '1', 'true')
    """
    if isinstance(label, bytes):
        label = label.decode("utf-8", errors="replace")
    if isinstance(label, float | np.floating) and np.isfinite(label) and float(label).is_integer():
        label = int(label)
    return _normalise(str(label))


_QUOTES = "\"'\u2018\u201c\u201d\u201e\u00ab\u00bb"


_PLAIN = re.compile(r"(?!\d+$)[0-9a-z]+(?:[ _-][0-9a-z]+)*", re.ASCII)
"""Words as most are, of which nothing but the signs between them has to be changed."""

_BLANKS = str.maketrans("_-", "  ")


@lru_cache(maxsize=4096)
def _normalise(text: str) -> str:
    lower = text.lower()
    return lower.translate(_BLANKS) if _PLAIN.fullmatch(lower) else _normalise_any(text)


def _normalise_any(text: str) -> str:
    text = (
        unicodedata.normalize("NFKD", text.replace("\u2260", "!=")).casefold().replace("\u2019", "'").replace("æ", "ae")
    )
    if not text.isascii():  # neither accents, nor kinds of dashes, nor what nobody sees tell words apart
        kinds = ((character, unicodedata.category(character)) for character in text)
        text = "".join("-" if kind == "Pd" else character for character, kind in kinds if kind not in ("Mn", "Cf"))
    text = text.strip().strip(_QUOTES).strip()
    if number := re.fullmatch(r"([+-]?)0*(\d+)(?:\.0*)?", text, re.ASCII):  # of any length, which int() refuses
        sign, digits = number.groups()
        return digits if sign != "-" or digits == "0" else f"-{digits}"
    if re.fullmatch(r"[\s_\-]*", text):
        return ""
    # A sign at an end may mean yes or no; within a word a dash is a blank.
    start, end = ("-" if has_dash else "" for has_dash in (text.startswith("-"), text.endswith("-")))
    words = re.split(r"(?:[\s_]|(?<![(\[{])-(?![)\]}]))+", re.sub(r"(?<=\w)'(?=\w)", "", text).strip(" \t\n_-"))
    return " ".join(filter(None, [start, *words, end]))


_MISSING = frozenset(word.rstrip(".") for word in vocabulary.MISSING)
"""A full stop at the end of "n.a." and others changes nothing, whether it stands or not."""


def is_missing(label: object) -> bool:
    """Return whether a label, an id or a fact stands for "not known".

    Parameters
    ----------
    label : object
        Anything.

    Returns
    -------
    bool
        True of None, NaN, NaT, ``pandas.NA``, blanks, and words such as "n/a", "?", "missing" and "unknown".

    Examples
    --------
    >>> is_missing(float("nan")), is_missing(" N/A "), is_missing("melanoma")
    (True, True, False)
    """
    if isinstance(label, str) and vocabulary.NUMBERED.fullmatch(label):
        return False
    if isinstance(label, str | bytes):
        word = normalise(label)
        return word.rstrip(".") in _MISSING or bool(vocabulary.NOTHING.fullmatch(word))
    if label is None or label is pd.NaT or label is pd.NA:
        return True
    if isinstance(label, np.datetime64 | np.timedelta64):
        return bool(np.isnat(label))
    return isinstance(label, float | np.floating) and bool(np.isnan(label))


def is_answer(label: object) -> bool:
    """Return whether a label only answers the question "is it a melanoma?", as 0 and 1, or yes and no, do.

    Parameters
    ----------
    label : object
        A word, a number or a truth value.

    Returns
    -------
    bool
        Beside anything but the opposite answer such a label says nothing: 1 may be the first of many classes.

    Examples
    --------
    >>> is_answer(1), is_answer("Nein"), is_answer("nevus")
    (True, True, False)
    """
    return normalise(label) in vocabulary.ANSWERS


def are_mixed_answers(labels: Iterable[object]) -> bool:
    """Return whether a letter that may be an answer stands beside another word than the opposite answer.

    Parameters
    ----------
    labels : iterable of object
        All different labels.

    Returns
    -------
    bool
        Such letters mean something else.

    Examples
    --------
    >>> are_mixed_answers(["T", "N"]), are_mixed_answers(["T", "F"]), are_mixed_answers([0, 1])
    (True, False, False)
    """
    words = {normalise(label) for label in labels}
    return any(words - {letter} - vocabulary.LETTERS[letter] for letter in words & vocabulary.LETTERS.keys())


def read_meaning(label: object) -> Meaning:
    """Return what one label says about melanoma, without knowing where it comes from.

    Parameters
    ----------
    label : object
        A word in English, Latin, German, French, Spanish, Portuguese or Italian, a code of a public dataset, of ICD-10
        or of ICD-O-3 (with its behaviour, "8720/3"), 0 or 1, or a truth value.

    Returns
    -------
    Meaning
        "malignant" is not melanoma: it may be another cancer. What is denied is another finding, and what is
        doubtful says nothing.

    Examples
    --------
    >>> read_meaning("superficial spreading melanoma"), read_meaning("NV"), read_meaning("malignant")
    (<Meaning.MELANOMA: 'melanoma'>, <Meaning.OTHER: 'not melanoma'>, <Meaning.MALIGNANT: 'malignant'>)
    """
    return _judge(label).meaning


def names_melanoma(label: object) -> bool:
    """Return whether a label names a melanoma without denial or doubt, even where it is too unclear to be read.

    Parameters
    ----------
    label : object
        A word or phrase.

    Returns
    -------
    bool
        What stands beside such a phrase as "benign" contradicts it.

    Examples
    --------
    >>> names_melanoma("melanoma with a collision tumour"), names_melanoma("melanoma?"), names_melanoma("no melanoma")
    (True, False, False)
    """
    return _judge(label).names_melanoma


def names_other_cancer(label: object) -> bool:
    """Return whether a label names a cancer that is no melanoma.

    Parameters
    ----------
    label : object
        A word or phrase.

    Returns
    -------
    bool
        A table with such labels tells melanomas from other cancers.

    Examples
    --------
    >>> names_other_cancer("BCC"), names_other_cancer("malignant"), names_other_cancer("no carcinoma")
    (True, False, False)
    """
    return _judge(label).names_other_cancer


def excludes_melanoma(label: object) -> bool:
    """Return whether what a label names cannot hold a melanoma beside it.

    Parameters
    ----------
    label : object
        A word or phrase.

    Returns
    -------
    bool
        True of "benign", "no melanoma" and other cancers; not of a naevus, in which a melanoma may begin.

    Examples
    --------
    >>> excludes_melanoma("benign"), excludes_melanoma("BCC"), excludes_melanoma("nevus")
    (True, True, False)
    """
    return _judge(label).excludes_melanoma


def excludes_cancer(label: object) -> bool:
    """Return whether what a label names is never called malignant.

    Parameters
    ----------
    label : object
        A word or phrase.

    Returns
    -------
    bool
        True of "benign", a naevus, a seborrheic keratosis…; not of "no melanoma" or "other", nor of a keratoacanthoma
        or an actinic keratosis, which some sources call malignant.

    Examples
    --------
    >>> excludes_cancer("nevus"), excludes_cancer("actinic keratosis"), excludes_cancer("no melanoma")
    (True, False, False)
    """
    return _judge(label).excludes_cancer


def contradict(diagnoses: Iterable[object], *, is_malignant: bool = False) -> bool:
    """Return whether one lesion is called malignant, and something that never is.

    Parameters
    ----------
    diagnoses : iterable of object
        Words or phrases, such as the levels of one diagnosis.
    is_malignant : bool, default=False
        Whether it is called malignant elsewhere.

    Returns
    -------
    bool
        If so, nobody knows whether it may be a melanoma.

    Examples
    --------
    >>> contradict(["Malignant", "Nevus"]), contradict(["Malignant", "BCC"]), contradict(["Benign", "Nevus"])
    (True, False, False)
    """
    words = list(diagnoses)
    is_malignant = is_malignant or any(read_meaning(word) is Meaning.MALIGNANT for word in words)
    return is_malignant and any(map(excludes_cancer, words))


def is_undecided(label: object) -> bool:
    """Return whether a label says that nobody knows whether it is a melanoma, or leaves it open.

    Parameters
    ----------
    label : object
        A word or phrase.

    Returns
    -------
    bool
        True of "melanoma?", "melanoma or nevus", "indeterminate"…; of no word that `read_meaning` can read.

    Examples
    --------
    >>> is_undecided("suspected MM"), is_undecided("melanoma"), is_undecided("psoriasis")
    (True, False, False)
    """
    return _judge(label).is_undecided


def read_question(name: object) -> Meaning:
    """Return what a "yes" in a column says, by the column's name.

    Parameters
    ----------
    name : object
        The name of a column, such as "is_melanoma", "malignant", "benign?" or "label".

    Returns
    -------
    Meaning
        UNKNOWN where the name asks nothing about a lesion.

    Examples
    --------
    >>> read_question("malignant"), read_question("non_melanoma"), read_question("y")
    (<Meaning.MALIGNANT: 'malignant'>, <Meaning.OTHER: 'not melanoma'>, <Meaning.UNKNOWN: 'says nothing'>)
    """
    asked = re.sub(r"^(?:is|has) ?(?=[a-z])(?!n)|[?]", "", normalise(name).replace("'", ""))
    asked = re.split(r"\b(?:vs|versus)\b", asked)[0].strip()
    if any(pattern.search(asked) for pattern in (vocabulary.NEGATED, vocabulary.UNDONE, vocabulary.DENYING)):
        return Meaning.OTHER
    meaning = read_meaning(asked)
    if meaning is Meaning.MELANOMA and not is_answer(asked):
        return meaning
    if vocabulary.MALIGNANCY.search(asked):
        return Meaning.MALIGNANT
    says_other = any(word in vocabulary.OTHER or vocabulary.FINDING.search(word) for word in asked.split())
    return Meaning.OTHER if says_other or (meaning is Meaning.OTHER and not is_answer(asked)) else Meaning.UNKNOWN


# -- one judgement of each word ----------------------------------------------------------------------------------------

_CODES = (
    dict.fromkeys(vocabulary.OTHER | vocabulary.NO, Meaning.OTHER)
    | dict.fromkeys(vocabulary.MALIGNANT, Meaning.MALIGNANT)
    | dict.fromkeys(vocabulary.MELANOMA | vocabulary.YES, Meaning.MELANOMA)
    | dict.fromkeys(vocabulary.MISSING, Meaning.UNKNOWN)
)


class _Judgement(NamedTuple):
    """All that a word says."""

    meaning: Meaning
    names_melanoma: bool
    names_other_cancer: bool
    excludes_melanoma: bool
    excludes_cancer: bool
    is_undecided: bool


_UNDECIDED = _Judgement(Meaning.UNKNOWN, False, False, False, False, True)


def _judge(label: object) -> _Judgement:
    return _judge_word("" if is_missing(label) else normalise(label))


@lru_cache(maxsize=4096)
def _judge_word(word: str) -> _Judgement:
    """Judge a code of ICD-O-3, and what else stands there: they must say the same."""
    codes = {(int(code), behaviour) for code, behaviour in vocabulary.ICD_O.findall(word)}
    if not codes:
        return _judge_phrase(word)
    judged = {_judge_code(*code) for code in codes}
    rest = vocabulary.ICD_O_PLACE.sub(" ", vocabulary.ICD_O.sub(" ", word)).strip(" .,;:()[]|/-")
    beside = _judge_phrase(rest) if rest else None
    if len(judged) > 1 or (beside and beside.meaning is not next(iter(judged)).meaning):
        return _UNDECIDED
    return judged.pop()


def _judge_code(code: int, behaviour: str) -> _Judgement:
    is_cancer = behaviour in vocabulary.ICD_O_CANCER
    if code in vocabulary.ICD_O_UNSPECIFIED and behaviour != "0":
        is_any = is_cancer and behaviour != "2"
        return _Judgement(Meaning.MALIGNANT, False, False, False, False, False) if is_any else _UNDECIDED
    is_benign = behaviour == "0"
    if code not in vocabulary.ICD_O_MELANOCYTIC:
        return _Judgement(Meaning.OTHER, False, is_cancer, is_cancer, is_benign, False)
    if is_cancer:
        return _Judgement(Meaning.MELANOMA, True, False, False, False, False)
    return _Judgement(Meaning.OTHER, False, False, False, True, False) if is_benign else _UNDECIDED


def _judge_phrase(word: str) -> _Judgement:
    phrase = _Phrase(vocabulary.ASIDE.sub(" ", word))
    meaning = _CODES.get(word) or phrase.meaning
    is_other = meaning is Meaning.OTHER
    is_other_cancer = word in vocabulary.OTHER_CANCERS or (is_other and phrase.is_carcinoma)
    is_finding = is_other and not is_other_cancer and not phrase.is_denied and word not in vocabulary.UNNAMED
    return _Judgement(
        meaning,
        phrase.names_melanoma,
        is_other_cancer,
        is_other_cancer or (is_other and (phrase.is_benign or phrase.is_denied)),
        is_finding and not vocabulary.EITHER.search(word),
        meaning is Meaning.UNKNOWN and phrase.is_undecided,
    )


class _Phrase:
    """What stands in a phrase: names of melanoma and of other findings, and what denies or doubts them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._sides = [side.strip() for side in vocabulary.OR.split(text)]
        self._kept = vocabulary.DENIED.sub(" ", text)  # what is left without a "no melanoma"
        self._is_named = self._has(vocabulary.NAME)
        self._is_doubtful = self._has(vocabulary.DOUBT)
        self._is_turned = self._has(vocabulary.NEGATED) or self._has(vocabulary.UNDONE)
        self._is_finding = self._has(vocabulary.FINDING) or self._has(vocabulary.CARCINOMA)

    @property
    def meaning(self) -> Meaning:
        """Read it; a melanoma that another word casts doubt on says nothing, and is never another finding."""
        if self.is_denied and not self._is_doubtful:
            return Meaning.OTHER if self._is_denial else Meaning.UNKNOWN
        if self._is_named:
            return Meaning.MELANOMA if self._is_melanoma else Meaning.UNKNOWN
        if self._is_doubtful or self._is_turned:
            return Meaning.UNKNOWN
        if self._has(vocabulary.CANCER) and not self._has(vocabulary.CARCINOMA):
            is_clear = len(self._sides) == 1 and not self._is_finding and _leaves_it(self._text)
            return Meaning.MALIGNANT if is_clear else Meaning.UNKNOWN
        return Meaning.OTHER if self._is_finding else Meaning.UNKNOWN

    @property
    def names_melanoma(self) -> bool:
        is_uncertain = self._is_doubtful or self._is_turned or self._has(vocabulary.NOT_QUITE)
        return bool(vocabulary.NAME.search(self._kept)) and not is_uncertain and len(self._sides) == 1

    @property
    def is_carcinoma(self) -> bool:
        return bool(vocabulary.CARCINOMA.search(self._kept))

    @property
    def is_denied(self) -> bool:
        return self._kept != self._text

    @property
    def is_benign(self) -> bool:
        return self._has(vocabulary.BENIGN)

    @property
    def is_undecided(self) -> bool:
        """Whether a melanoma, or any cancer, is named or hinted at."""
        is_hinted = self._is_turned and (self._is_finding or self._has(vocabulary.CANCER))
        return self._is_named or self._is_doubtful or is_hinted or self._has(vocabulary.UNSETTLED)

    @property
    def _is_denial(self) -> bool:
        """Whether the "no" is all that it says, but for what else the lesion is."""
        if vocabulary.NAME.search(self._kept):
            return False
        rest = _Phrase(" ".join(word for word in self._kept.split() if word not in vocabulary.CERTAIN))
        is_plain = len(vocabulary.OR.split(self._kept)) == 1 and not rest._is_turned
        return is_plain and (rest._is_finding or rest._text in vocabulary.OTHER or _leaves_it(rest._text))

    @property
    def _is_melanoma(self) -> bool:
        is_other = self._is_finding or self._has(vocabulary.NOT_QUITE)
        if is_other or self._is_doubtful or self._has(vocabulary.NEGATED) or not _leaves_it(self._text):
            return False
        unnamed = [side for side in self._sides if not vocabulary.NAME.search(side)]
        is_open = not self._has(vocabulary.SUBTYPE) and any(map(vocabulary.NODULAR.fullmatch, unnamed))
        return not is_open and not any(map(vocabulary.CANCER.search, unnamed))

    def _has(self, pattern: re.Pattern[str]) -> bool:
        return bool(pattern.search(self._text))


def _leaves_it(text: str) -> bool:
    """Return whether every word beside the name of a cancer is known to leave it one."""
    parts = re.findall(r"\w+|[^\w\s]+", vocabulary.SIZE.sub(" ", text))
    return all(vocabulary.LEAVES_IT.fullmatch(part) for part in parts)
