"""Which class follows from a diagnosis that a table writes in free words, once or level by level."""

from collections.abc import Sequence

from melanoma_tl.labels.meanings import (
    Meaning,
    contradict,
    excludes_cancer,
    is_answer,
    is_missing,
    is_undecided,
    read_meaning,
)

_CLEAR = {Meaning.MELANOMA, Meaning.OTHER}


def read_class(levels: Sequence[str], *, malignant: str = "", undecided: str = "") -> str:
    """Return whether a diagnosis is melanoma; that something is malignant does not make it one.

    Parameters
    ----------
    levels : sequence of str
        The diagnosis, from coarse to fine, such as "Malignant", "Malignant epidermal proliferations", "Squamous
        cell carcinoma, Invasive"; missing levels are empty.
    malignant : str, default=""
        What the table says about malignancy: "malignant" or "benign", 1 or 0, true or false; empty if nothing.
    undecided : str, default=""
        The class of "indeterminate" and the like where the source has a rule for them, if nothing calls them malignant.

    Returns
    -------
    str
        "melanoma" or "benign" (any other diagnosis, cancers included); or why it is neither of the two, as where no
        level is a word that is known. Answers such as "1" and "yes" are no diagnosis.

    Examples
    --------
    >>> read_class(["Malignant", "Malignant adnexal epithelial proliferations", "Basal cell carcinoma"])
    'benign'
    >>> read_class(["Malignant"])
    'Malignant, but not which cancer'
    >>> read_class(["melanoma-in-situ"], malignant="False")
    'melanoma-in-situ, but malignant=False'
    """
    words = [word for word in levels if not is_missing(word) and not is_answer(word)]
    meanings = [read_meaning(word) for word in words]
    malignancy = _read_malignancy(malignant)
    named = dict(zip(reversed(meanings), reversed(words), strict=True))
    cancer = named.get(Meaning.MELANOMA) or named.get(Meaning.MALIGNANT)
    if cancer and malignancy is Meaning.OTHER:
        return f"{cancer}, but malignant={malignant}"
    if Meaning.MELANOMA in named:
        return "melanoma" if Meaning.OTHER not in named else f"{cancer}, but also {named[Meaning.OTHER]}"
    if contradict(words, is_malignant=malignancy is Meaning.MALIGNANT):
        benign = next(filter(excludes_cancer, reversed(words)))
        return f"{benign}, but {named.get(Meaning.MALIGNANT) or f'malignant={malignant}'}"
    if not words:
        return {Meaning.OTHER: "benign", Meaning.MALIGNANT: "malignant, but not which cancer"}.get(
            malignancy, "no diagnosis"
        )
    if malignancy is Meaning.OTHER:
        return "benign"
    is_clear = bool(named.keys() & _CLEAR)
    is_open = is_undecided(words[-1]) or (not is_clear and any(map(is_undecided, [*words, malignant])))
    if is_open and (undecided == "" or malignancy is not Meaning.UNKNOWN):
        return f"{words[-1]}: melanoma or not"
    if is_open or is_clear:
        return "benign"
    if meanings[-1] is Meaning.MALIGNANT:
        return f"{words[-1]}, but not which cancer"
    # Of a word that nobody knows, nothing says that it is no melanoma.
    return (
        f"unknown diagnosis {words[-1]!r}: read the table with from_csv, where positive= or label_map= says what it is"
    )


def _read_malignancy(word: str) -> Meaning:
    """Read the answer to the question "is it malignant?", to which a yes is not yet a melanoma."""
    meaning = read_meaning(word)
    return Meaning.MALIGNANT if meaning is Meaning.MELANOMA else meaning


def finest(levels: Sequence[str]) -> str:
    """Take the finest of the levels of a diagnosis that is known.

    Parameters
    ----------
    levels : sequence of str
        From coarse to fine.

    Returns
    -------
    str
        Empty where none is known.
    """
    return next((word for word in reversed(levels) if not is_missing(word)), "")
