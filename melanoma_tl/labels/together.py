"""What labels say beside one another, where each by itself could say several things, or nothing."""

import re
from collections.abc import Iterable, Sequence

from melanoma_tl.errors import DatasetError
from melanoma_tl.labels import vocabulary
from melanoma_tl.labels.meanings import Meaning, is_answer, normalise, read_meaning

_N_SHOWN = 5

_NUMBERED = re.compile(r"\s*(\d+)[_.:)\-]\s*([^\W\d_].*)", re.DOTALL)
_INTEGER = re.compile(r"-?\d+")

_WIDEST_STEP = 2
"""Codes of diagnoses may leave out one, of which there are no images; the third of three is missing, or a gap."""


def as_read(labels: Sequence[object]) -> list[object]:
    """Write labels as they are read beside one another.

    Parameters
    ----------
    labels : sequence of object
        All different labels.

    Returns
    -------
    list of object
        Without the numbers that put labels in order, where each of several is a number of its own, one of ``_.:)-`` and
        a word of its own: a lone "0_melanoma" may deny it. Then as `spell_out`.

    Examples
    --------
    >>> as_read(["0_benign", "1_melanoma"]), as_read(["0_melanoma", "1_melanoma"])
    (['benign', 'melanoma'], ['0_melanoma', '1_melanoma'])
    """
    return spell_out(_without_numbers(labels))


def _without_numbers(labels: Sequence[object]) -> list[object]:
    parts = [_NUMBERED.fullmatch(label) if isinstance(label, str) else None for label in labels]
    numbers, words = ({normalise(part[place]) for part in parts if part} for place in (1, 2))
    if not 1 < len(labels) == len(numbers) == len(words):
        return list(labels)
    return [part[2] if part else label for label, part in zip(labels, parts, strict=True)]


def spell_out(labels: Sequence[object]) -> list[object]:
    """Write NM as nodular melanoma where another label names a subtype of melanoma: elsewhere it may be non-melanoma.

    Parameters
    ----------
    labels : sequence of object
        All different labels.

    Returns
    -------
    list of object
        The other labels as they are.

    Examples
    --------
    >>> spell_out(["SSM", "NM", "nevus"]), spell_out(["M", "NM"])
    (['SSM', 'nodular melanoma', 'nevus'], ['M', 'NM'])
    """
    words = [normalise(label) if isinstance(label, str | bytes) else "" for label in labels]
    if not any(map(vocabulary.SUBTYPE.search, words)):
        return list(labels)
    return [
        vocabulary.NODULAR.sub("nodular melanoma", word)
        if vocabulary.NODULAR.search(word) and not vocabulary.NAME.search(word)
        else label
        for label, word in zip(labels, words, strict=True)
    ]


def check_two_known(classes: Sequence[object], name: str) -> None:
    """Stop at words without a meaning beside two classes, which probably mark missing labels, and at NM beside several.

    Parameters
    ----------
    classes : sequence of object
        The distinct labels.
    name : str
        What the user calls the labels.

    Raises
    ------
    DatasetError
        If there are some.
    """
    meanings = dict(zip(classes, map(read_meaning, as_read(classes)), strict=True))
    silent = [label for label, meaning in meanings.items() if meaning is Meaning.UNKNOWN]
    cancers = [label for label, meaning in meanings.items() if meaning in (Meaning.MELANOMA, Meaning.MALIGNANT)]
    others = [label for label in meanings if label not in (*silent, *cancers)]
    # A diagnosis that no word list has may stand among many; NM is not another one than melanoma if it is nodular.
    is_gap = len(others) == 1 or any(vocabulary.NODULAR.fullmatch(normalise(label)) for label in silent)
    if silent and others and not any(map(is_answer, classes)) and len(cancers) == 1 and is_gap:
        raise DatasetError(
            f"{name} holds labels that say nothing beside {cancers[0]!r} and {_show(others)} ({_show(silent)}): leave "
            f"those images out, or, if they are diagnoses of their own, pass pos_label={cancers[0]!r}"
        )


def check_codes(classes: Sequence[object], name: str) -> None:
    """Stop at codes and words that stand for "not known" beside classes.

    Parameters
    ----------
    classes : sequence of object
        The distinct labels.
    name : str
        What the user calls the labels.

    Raises
    ------
    DatasetError
        If more than two numbers from 0 or 1 on have a wide gap, or one is negative; if anything stands beside an answer
        and its opposite, such as 0 and 1; or if an answer stands beside diagnoses.
    """
    words = {label: normalise(word) for label, word in zip(classes, as_read(classes), strict=True)}
    if len(words) < 3:
        return
    if all(map(_INTEGER.fullmatch, words.values())):
        strange = _outside_codes({label: int(word) for label, word in words.items()})
    else:
        strange = _beside_answers(words)
    if strange:
        others = [label for label in words if label not in strange]
        beside = f" beside {_show(others)}" if others else ""
        raise DatasetError(
            f"{name} holds {_show(strange)}{beside}, which may mark what is missing: leave those images out or, if "
            "they are classes, give each of them a name, such as 'nevus'"
        )


def _outside_codes(numbers: dict[object, int]) -> list[object]:
    """Return the negative numbers, and those after a wide gap where numbers begin with 0 or 1."""
    codes = sorted(number for number in numbers.values() if number >= 0)
    strange = {number for number in numbers.values() if number < 0}
    if codes and codes[0] in (0, 1):
        widest = _WIDEST_STEP if len(numbers) > 3 else 1
        end = next((place for place in range(1, len(codes)) if codes[place] - codes[place - 1] > widest), len(codes))
        strange |= set(codes[end:])
    return [label for label, number in numbers.items() if number in strange]


def _beside_answers(words: dict[object, str]) -> list[object]:
    """Return what stands beside an answer and its opposite; without both, the answers and numbers beside diagnoses."""
    there = set(words.values())
    alone = {letter for letter, opposites in vocabulary.LETTERS.items() if not opposites & there}
    answers = there & vocabulary.ANSWERS - alone
    if answers & vocabulary.YES and answers & vocabulary.NO:
        return [label for label, word in words.items() if word not in answers]
    if all(is_answer(word) or read_meaning(word) is Meaning.UNKNOWN for word in there):
        return []
    return [label for label, word in words.items() if word in answers or _INTEGER.fullmatch(word)]


def _show(labels: Iterable[object]) -> str:
    shown = [repr(label) for label in labels]
    return ", ".join(shown[:_N_SHOWN]) + ", …" * (len(shown) > _N_SHOWN)
