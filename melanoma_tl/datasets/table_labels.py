"""What the labels of a table mean: which images are melanomas, and which rows do not say."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from melanoma_tl.datasets.findings import Finding
from melanoma_tl.errors import ParameterError, UnknownNameError, in_one_line
from melanoma_tl.labels.checks import is_positive
from melanoma_tl.labels.meanings import (
    Meaning,
    are_mixed_answers,
    contradict,
    excludes_cancer,
    is_answer,
    is_missing,
    names_melanoma,
    names_other_cancer,
    normalise,
    read_meaning,
    read_question,
)
from melanoma_tl.labels.together import as_read, spell_out

logger = logging.getLogger(__name__)

LabelMap = Mapping[Any, Any] | pd.Series | Callable[[Any], Any]

_SHORT = 2
"""Letters up to which words that differ in capitals alone are not taken for one."""

_CLASSES = {
    "0": Meaning.OTHER,
    "false": Meaning.OTHER,
    "benign": Meaning.OTHER,
    "1": Meaning.MELANOMA,
    "true": Meaning.MELANOMA,
    "melanoma": Meaning.MELANOMA,
}
"""How the two classes are written by those who mean the classes."""

_TRUTHS = {"true": "1", "false": "0"}

_CLEAR = (Meaning.MELANOMA, Meaning.OTHER)
_OPPOSITE = dict(zip(_CLEAR, reversed(_CLEAR), strict=True))


def read_labels(
    words: Sequence[object],
    *,
    name: str,
    label_map: LabelMap | None = None,
    positive: object = None,
    findings: Sequence[Sequence[Finding]] | None = None,
    column: str = "label",
) -> list[int | str]:
    """Read which images are melanomas.

    Parameters
    ----------
    words : sequence of length n_rows
        The labels as they stand.
    name : str
        What the user calls the table, for messages.
    label_map : mapping, Series or callable, optional
        What each word means: 0 or "benign", 1 or "melanoma". By default
        `melanoma_tl.labels.meanings.read_meaning` says it.
    positive : scalar or iterable of scalars, optional
        The words that mean melanoma; every other one that is not missing is benign then.
    findings : sequence of n_rows sequences of Finding, optional
        What else the table says of each image.
    column : str, default="label"
        The name of the column they stand in: "yes" in one called "malignant" may mean another cancer, and in one
        called "is_nevus" is no melanoma.

    Returns
    -------
    list of int or str
        0 for benign, 1 for melanoma; or why neither is known.

    Raises
    ------
    ParameterError
        If `label_map` or `positive` cannot be used, or calls a melanoma benign, or another finding a melanoma.
    UnknownNameError
        If no label is one of `positive`.

    Examples
    --------
    >>> read_labels(["nevus", "MEL", "?"], name="mine")
    [0, 1, 'the label is missing']
    >>> read_labels(["A", "B"], name="mine", positive="B")
    [0, 1]
    >>> diagnoses = [[Finding("melanoma", Meaning.MELANOMA)], [Finding("BCC", Meaning.OTHER)]]
    >>> read_labels(["malignant", "malignant"], name="mine", findings=diagnoses)[0]
    1
    """
    if label_map is not None and positive is not None:
        raise ParameterError("give either label_map, what each label means, or positive, those that mean melanoma")
    distinct = {str(word): word for word in words}
    if label_map is not None:
        meanings = _read_by_map(distinct, label_map)
    elif positive is not None:
        meanings = _read_by_positive(distinct, positive)
    else:
        meanings = _read_by_meaning(distinct, column)
    rows = [()] * len(words) if findings is None else [tuple(row) for row in findings]
    verdicts = {row: _judge(row) for row in set(rows)}
    is_known = any(verdict.says_which for verdict in verdicts.values())
    labels = [
        _decide(word, meanings[str(word)], verdicts[row], is_known=is_known)
        for word, row in zip(words, rows, strict=True)
    ]
    counts = Counter(
        str(word)
        for word, label in zip(words, labels, strict=True)
        if label == 1 and meanings[str(word)] is Meaning.MALIGNANT
    )
    if not is_known:
        _warn_of_malignant(counts, name)
        if label_map is None and positive is None and read_question(column) is Meaning.UNKNOWN:
            n_positive = Counter(str(word) for word, label in zip(words, labels, strict=True) if label == 1)
            _warn_of_positive({word: n for word, n in n_positive.items() if is_positive(word)}, name, column)
    return labels


def name_more_than_classes(words: Sequence[object], labels: Sequence[int | str]) -> bool:
    """Return whether labels are diagnoses: words for more than the two classes.

    Parameters
    ----------
    words : sequence of length n_rows
        The labels as they stand.
    labels : sequence of int or str of length n_rows
        From `read_labels`.

    Returns
    -------
    bool
        Only rows that say what they are count.
    """
    known = {str(word) for word, label in zip(words, labels, strict=True) if isinstance(label, int)}
    return len({normalise(word) for word in known if not is_answer(word)}) > len(_CLEAR)


class _Verdict(NamedTuple):
    """What a table says of one image beside its label."""

    meaning: Meaning
    shown: str
    says_which: bool
    """Whether it tells melanomas from other cancers."""
    flaw: str = ""
    names_melanoma: str = ""
    """A diagnosis that is too unclear to be read, and yet names one."""
    malignant: str = ""
    """What says malignant, and not which cancer."""
    other_cancer: str = ""
    """Where another cancer is named, in a column that nobody called a diagnosis."""
    aside: Mapping[Meaning, str] = MappingProxyType({})
    """What such a column says that is no guess: a melanoma, or another cancer."""


@lru_cache(maxsize=4096)
def _judge(findings: tuple[Finding, ...]) -> _Verdict:
    """Return what the findings of one image mean together."""
    stated = [finding for finding in findings if not finding.is_aside]
    asides = [finding for finding in findings if finding.is_aside]
    meanings = {finding.meaning for finding in stated}
    diagnoses = [finding for finding in stated if not finding.column]
    malignant = next((str(finding) for finding in stated if finding.meaning is Meaning.MALIGNANT), "")
    is_torn = contradict([finding.word for finding in diagnoses], is_malignant=bool(malignant))
    deciding = stated if is_torn else [finding for finding in stated if finding.meaning in _CLEAR] or stated
    shown = " and ".join(map(str, deciding))
    return _Verdict(
        next((meaning for meaning in _CLEAR if meaning in meanings), Meaning.UNKNOWN),
        shown,
        any(finding.meaning in _CLEAR and finding.says_which for finding in stated),
        f"its diagnoses contradict each other: {shown}" if is_torn or meanings.issuperset(_CLEAR) else "",
        next((str(finding) for finding in diagnoses if names_melanoma(finding.word)), ""),
        malignant,
        next((str(finding) for finding in asides if finding.meaning is Meaning.OTHER), ""),
        {finding.meaning: str(finding) for finding in reversed(asides) if not finding.is_guess},
    )


def _decide(word: object, meaning: Meaning | str, verdict: _Verdict, *, is_known: bool) -> int | str:
    """Return what one image is, from its label and what else is known of it."""
    if isinstance(meaning, str):
        return meaning
    if verdict.flaw:
        return verdict.flaw
    labelled = f"labelled {word!r}"
    is_clear = verdict.meaning in _CLEAR
    against = verdict.other_cancer if meaning is Meaning.MALIGNANT else verdict.aside.get(_OPPOSITE[meaning], "")
    if against and not is_clear:
        so_or_not = "if that is the diagnosis, say so with diagnosis_column=; if not, leave the column out"
        return f"{labelled}, but {against}: {so_or_not}"
    if meaning is Meaning.MALIGNANT and not is_clear and is_known:
        return f"{labelled}, and no diagnosis says whether it is a melanoma"
    if meaning is Meaning.MALIGNANT and verdict.meaning is Meaning.OTHER:
        return f"{labelled}, but {verdict.shown}, which is no melanoma: take the diagnosis for the label"
    if meaning is Meaning.OTHER and not is_clear and verdict.names_melanoma:
        return f"{labelled}, but {verdict.names_melanoma}, which names a melanoma"
    if is_clear and meaning in _CLEAR and verdict.meaning is not meaning:
        return f"{labelled}, but {verdict.shown}"
    if verdict.malignant and normalise(word) not in _CLASSES and excludes_cancer(word):
        return f"{labelled}, but {verdict.malignant}"
    return int(meaning is not Meaning.OTHER)


def _warn_of_malignant(counts: Counter[str], name: str) -> None:
    if counts:
        logger.warning(
            "%s: no diagnosis tells melanomas from other cancers; taken for melanomas: the %d images labelled %s",
            name,
            counts.total(),
            ", ".join(map(repr, counts)),
        )


def _warn_of_positive(counts: Mapping[str, int], name: str, column: str) -> None:
    if counts:
        logger.warning(
            "%s: %r does not say of what; taken for melanomas: the %d images labelled %s. positive= says that it is so",
            name,
            column,
            sum(counts.values()),
            ", ".join(map(repr, counts)),
        )


# -- three ways to know what a word means ------------------------------------------------------------------------------


def _read_by_meaning(distinct: Mapping[str, object], column: str) -> dict[str, Meaning | str]:
    """Read each word by itself; answers such as 0 and 1 only where nothing else shows that they mean something else."""
    given = [word for word in distinct.values() if not is_missing(word)]
    words = as_read(given)
    word_of = dict(zip(map(str, given), words, strict=True))
    answers = {normalise(word): read_meaning(word) for word in words if is_answer(word)}
    others = [word for word in words if not is_answer(word) and normalise(word) not in _CLASSES]
    asked = read_question(column)
    if answers and asked is Meaning.OTHER:
        raise ParameterError(
            f"the column {column!r} answers whether a lesion is something else than a melanoma: say which label means "
            "melanoma with positive=, or take another column"
        )
    told_apart = any(
        (read_meaning(word) is Meaning.MELANOMA and not is_answer(word)) or names_other_cancer(word) for word in words
    )
    are_codes = (
        len(answers) > len(set(answers.values()))
        or are_mixed_answers(words)
        or any(
            isinstance(word, int | float | np.number) or normalise(word).isdecimal() or read_meaning(word) in _CLEAR
            for word in others
        )
    )

    def read(word: object) -> Meaning | str:
        meaning = read_meaning(word)
        if is_missing(word):
            return "the label is missing"
        if is_answer(word) and are_codes:
            return f"unknown label {word!r}: beside the other labels it may mean anything; say so with label_map"
        if is_answer(word) and meaning is Meaning.MELANOMA and asked is Meaning.MALIGNANT:
            return Meaning.MALIGNANT
        if meaning is Meaning.MALIGNANT and told_apart:
            return f"labelled {word!r}, where other labels tell melanomas from other cancers: say which with label_map"
        return f"unknown label {word!r}; say what it means with label_map" if meaning is Meaning.UNKNOWN else meaning

    return {key: read(word_of.get(key, word)) for key, word in distinct.items()}


def _read_by_map(distinct: Mapping[str, object], label_map: LabelMap) -> dict[str, Meaning | str]:
    if not isinstance(label_map, Mapping | pd.Series):
        if not callable(label_map):
            raise ParameterError(
                "label_map must say what each label means, as a mapping, a Series or a function, "
                f"got {type(label_map).__name__}"
            )
        return {key: _call(label_map, word) for key, word in distinct.items()}
    _check_distinct(distinct, label_map.keys(), "label_map")
    write = _writer(label_map.keys())
    known: dict[str, Meaning] = {}
    for word, label in label_map.items():
        meaning = _as_class(label, f"label_map[{word!r}]")
        if known.setdefault(write(word), meaning) is not meaning:
            raise ParameterError(f"label_map says two things of {word!r}, which it writes in two ways")
    for word, read in zip(label_map.keys(), spell_out(list(label_map.keys())), strict=True):
        _check_not_opposite(read, known[write(word)], "label_map")
    shown = ", ".join(map(repr, label_map.keys()))
    return {
        key: known.get(write(word))
        or ("the label is missing" if is_missing(word) else f"unknown label {word!r}; known: {shown}")
        for key, word in distinct.items()
    }


def _writer(named: Iterable[Any]) -> Callable[[object], str]:
    """Choose how words are compared with those that the user names; where these are truth values or 0 and 1, as one."""
    if {normalise(word) for word in named} <= {"0", "1", *_TRUTHS}:
        return lambda word: _TRUTHS.get(normalise(word), normalise(word))
    return normalise


def _check_distinct(distinct: Mapping[str, object], named: Iterable[Any], parameter: str) -> None:
    """Raise an error if named words differ in the table only in what the comparison ignores."""
    spellings: dict[str, set[str]] = {}
    for word in distinct.values():
        spellings.setdefault(normalise(word), set()).add(str(word).strip())
    for word in named:
        several = spellings.get(normalise(word), set())
        is_short = max(map(len, several), default=0) <= _SHORT  # of "M" and "m" nobody knows whether they are one
        if len(several) > 1 and is_short and read_meaning(word) is Meaning.UNKNOWN:
            shown = " and ".join(map(repr, sorted(several)))
            raise ParameterError(
                f"{parameter} names {word!r}, and the table has {shown}, which are compared as one: give them "
                "different names in the table"
            )


def _call(function: Callable[[Any], Any], word: object) -> Meaning | str:
    try:
        label = function(word)
    except Exception as error:
        raise ParameterError(f"label_map cannot read the label {word!r}: {in_one_line(error)}") from error
    if is_missing(label):
        return "the label is missing" if is_missing(word) else f"unknown label {word!r}: label_map gives {label!r}"
    meaning = _as_class(label, f"label_map({word!r})")
    _check_not_opposite(word, meaning, "label_map")
    return meaning


def _as_class(label: object, what: str) -> Meaning:
    word = normalise(label)
    if word not in _CLASSES:
        raise ParameterError(f"{what} must be 0 or 'benign', or 1 or 'melanoma', got {label!r}")
    return _CLASSES[word]


def _read_by_positive(distinct: Mapping[str, object], positive: object) -> dict[str, Meaning | str]:
    positive = positive.tolist() if isinstance(positive, np.ndarray) else positive
    is_many = isinstance(positive, Iterable) and not isinstance(positive, str | bytes | Mapping)
    given = list(positive) if is_many and isinstance(positive, Iterable) else [positive]
    _check_distinct(distinct, given, "positive")
    write = _writer(given)
    wanted = {write(word) for word in given}
    there = {write(word): word for word in distinct.values()}
    for word in given:
        if is_missing(word) or write(word) not in there:
            raise _no_such_label(word, list(there.values()))
    if not given:
        raise ParameterError("positive must name the labels that mean melanoma, got none")

    def read(word: object, spelled: object) -> Meaning | str:
        if write(word) in wanted:
            meaning = Meaning.MELANOMA
        elif is_missing(word):
            return "the label is missing"
        else:
            meaning = Meaning.OTHER
        _check_not_opposite(spelled, meaning, "positive")
        return meaning

    spelled = spell_out(list(distinct.values()))
    return {key: read(word, other) for (key, word), other in zip(distinct.items(), spelled, strict=True)}


def _no_such_label(word: object, labels: Sequence[object]) -> UnknownNameError:
    """Return the error for a label that the table does not have, with those that may be meant: no benign ones."""
    meanings = {str(label): read_meaning(label) for label in labels}
    same = [label for label, meaning in meanings.items() if meaning is read_meaning(word) is Meaning.MELANOMA]
    shown = " and ".join(map(repr, same))
    hint = f"The table writes melanoma as {shown}: give its own words, or leave positive out." if same else ""
    suggested = same or [label for label, meaning in meanings.items() if meaning is not Meaning.OTHER]
    return UnknownNameError("label in positive", word, meanings, hint, suggested)


def _check_not_opposite(word: object, meaning: Meaning, parameter: str) -> None:
    """Raise an error if the user's rule contradicts the meaning of a word: class 1 is melanoma everywhere."""
    own = read_meaning(word)
    if own in _CLEAR and own is not meaning and not is_answer(word):
        called = "melanoma" if meaning is Meaning.MELANOMA else "benign"
        raise ParameterError(f"{parameter} calls {word!r} {called}: class 1 is melanoma, and nothing else is")
