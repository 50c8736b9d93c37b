"""Labels that are one and the same, and are written in several ways."""

import re
from collections.abc import Mapping

from melanoma_tl.errors import DatasetError
from melanoma_tl.labels.meanings import normalise

_SPELLED = (
    (re.compile(r"n(?:ae|e)v(?:us|i)\b|\bnv\b"), "nevus"),
    (re.compile(r"\bh(?:ae|e)m(?=angi|ato|orr)"), "hem"),
    (re.compile(r"\bseb(?:orrh?o?eic|orrh?o?ic|\.)? (?=kerato|wart)"), "seborrheic "),
    (re.compile(r"\bkeratoses\b"), "keratosis"),
    (re.compile(r"\btumour"), "tumor"),
    (re.compile(r"^(?:mel|melanom(?:as?|es?|s)?)$"), "melanoma"),
    (re.compile(r"^bcc$"), "basal cell carcinoma"),
    (re.compile(r"^scc$"), "squamous cell carcinoma"),
    (re.compile(r"^s[ek]k$|^sk$"), "seborrheic keratosis"),
    (re.compile(r"^df$"), "dermatofibroma"),
)
"""Spellings, plurals and codes of one diagnosis, as `normalise` writes them, and the one that they are compared in."""


def _one_spelling(label: object) -> str:
    word = normalise(label)
    for pattern, usual in _SPELLED:
        word = pattern.sub(usual, word)
    return word


def check_spellings(counts: Mapping[object, int], name: str) -> None:
    """Stop at labels that differ by capitals, blanks or accents alone, or are one diagnosis, as naevus and nevus.

    Parameters
    ----------
    counts : mapping of label to int
        How often each distinct label occurs.
    name : str
        What the user calls the labels, for messages.

    Raises
    ------
    DatasetError
        If there are some; it names all of them, and how each is made one, in its most frequent spelling.
    """
    spellings: dict[str, list[object]] = {}
    for label in counts:
        spellings.setdefault(_one_spelling(label), []).append(label)
    alike = [of_one for of_one in spellings.values() if len(of_one) > 1]
    if alike:
        usual = {label: max(of_one, key=counts.__getitem__) for of_one in alike for label in of_one}
        others = {label: chosen for label, chosen in usual.items() if label != chosen}
        raise DatasetError(
            f"{name} writes {'one label' if len(alike) == 1 else f'{len(alike)} labels'} in several ways, "
            f"{'; '.join(' and '.join(map(repr, of_one)) for of_one in alike)}: make each one, as with "
            f"pandas.Series({name}).replace({others})"
        )
