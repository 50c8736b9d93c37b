"""What a label says: which word means melanoma, which another finding, and which that nothing is known."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.errors import DatasetError, ParameterError


class Meaning(Enum):
    """What a single label says about melanoma."""

    MELANOMA = "melanoma"
    OTHER = "not melanoma"
    MALIGNANT = "malignant"
    """Melanoma, or another cancer: only the source of the label knows."""
    UNKNOWN = "says nothing"


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.replace("\n", ",").split(",") if word.strip())


_YES = _words("1, true, yes, y, ja, oui, si, sim, positive, pos, positiv, positif, positivo")
_NO = _words("0, -1, false, no, n, nein, non, nao, negative, neg, negativ, negatif, negativo")
"""Answers to the question "is it a melanoma?"; beside anything but the opposite answer they say nothing."""

_MELANOMA = _words("mel, mm, mis, mel in situ, lentigo maligna, lentigo maligna type")
"""Beside every phrase with a word for melanoma in it."""

_MALIGNANT = _words("""
    malignant, malign, malignancy, maligne, malin, maligno, maligna, malignus, bosartig, mal, cancer, krebs, cancro,
    skin cancer, hautkrebs
""")

_OTHER = _words("""
    benign, benigne, benigno, benigna, benignus, benin, gutartig, nonmalignant, non malignant, not malignant, ben,
    nv, nev, nevus, naevus, nevi, naevi, nevo, nevus pigmentosus, mole, muttermal, leberfleck, grain de beaute, lunar,
    bcc, scc, ak, ack, akiec, bkl, df, vasc, sek, sk, unk, inf, ben oth, mal oth, sccka, nmsc, basal cell carcinoma,
    basaliom, basalioma, carcinome basocellulaire, carcinoma basocelular, carcinoma basocellulare, basalzellkarzinom,
    squamous cell carcinoma, spinaliom, carcinome epidermoide, carcinoma espinocelular, carcinoma spinocellulare,
    plattenepithelkarzinom, actinic keratosis, solar keratosis, aktinische keratose, keratose actinique,
    queratosis actinica, queratose actinica, cheratosi attinica, bowen disease, bowens disease,
    intraepithelial carcinoma, actinic keratosis or intraepithelial carcinoma,
    benign keratosis, seborrheic keratosis, seborrhoic keratosis,
    seborrhoeic keratosis, seborrhoische keratose, keratose seborrheique, queratosis seborreica, queratose seborreica,
    cheratosi seborroica, lichenoid keratosis, lichen planus like keratosis, lentigo, solar lentigo, lentigo nos,
    lentigo simplex, ephelis, freckle, dermatofibroma, histiocytoma, fibrous histiocytoma, hemangioma, haemangioma,
    angioma, angiokeratoma, vascular lesion, pyogenic granuloma, melanosis, mucosal melanosis, cafe au lait macule,
    atypical melanocytic proliferation, merkel cell carcinoma, kaposi sarcoma, healthy, normal, gesund, sain, sano,
    saudavel, other, others, rest, sonstige, andere, autre, autres, otro, otros, outro, outros, altro, altri,
    non neoplastic, miscellaneous, nonmelanoma, pseudomelanoma
""")
"""Codes and names of HAM10000, ISIC 2018 to 2024, MILK10k, PAD-UFES-20, Derm7pt, BCN20000, DDI and Fitzpatrick17k."""

_MISSING = _words("""
    nan, na, n/a, n.a., none, null, nil, nat, <na>, #n/a, #na, ?, -, --, ., missing, unknown, undefined, unbekannt,
    fehlt, inconnu, desconocido, desconhecido, sconosciuto, not available, not specified, not known, no answer
""") | {""}

_NAME = re.compile(r"\b(?:micro)?melanom(?:a|as|ata|e|es|en|i)?\b")
_OTHERWISE = re.compile(
    r"\b(?:no|non|not|without|kein|keine|nicht|ohne|pas|sans|sin|sem|senza|nao|negative for|free of|other than)\b"
)
_FINDING = re.compile(
    r"\b(?:nevus|naevus|nevi|naevi|keratosis|carcinoma|angioma|hemangioma|dermatofibroma|lentigo|melanosis)\b"
)
_UNCERTAIN = re.compile(
    r"\b(?:vs|versus|or|oder|ou|o|und|and|suspected|suspicious|suspicion|suspect|verdacht|possible|possibly|probable|"
    r"probably|likely|rule out|mimic|like|juvenile|benign|risk|history|scar|unclear)\b|\?"
)


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
        numbers without a decimal point.

    Examples
    --------
    >>> normalise(" Mélanome_malin "), normalise(1.0), normalise(np.True_)
    ('melanome malin', '1', 'true')
    """
    if isinstance(label, float | np.floating) and np.isfinite(label) and float(label).is_integer():
        label = int(label)
    if isinstance(label, bytes):
        label = label.decode("utf-8", errors="replace")
    text = unicodedata.normalize("NFKD", str(label)).casefold()
    text = "".join(character for character in text if not unicodedata.combining(character))
    text = re.sub(r"(?<=\w)'(?=\w)", "", text.replace("\u2019", "'")).strip()
    if text in ("-", "--", "-1"):
        return text
    text = " ".join(re.split(r"[\s_\-]+", text)).strip()
    return re.sub(r"^([+-]?\d+)\.0*$", r"\1", text)


def is_missing(label: object) -> bool:
    """Tell whether a label, an id or a fact stands for "not known".

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
    if (
        label is None
        or label is pd.NaT
        or label is pd.NA
        or (isinstance(label, float | np.floating) and label != label)
    ):
        return True
    if isinstance(label, np.datetime64 | np.timedelta64):
        return bool(np.isnat(label))
    return isinstance(label, str | bytes) and normalise(label) in _MISSING


def read_meaning(label: object) -> Meaning:
    """Tell what one label says about melanoma, without knowing where it comes from.

    Parameters
    ----------
    label : object
        A word in English, Latin, German, French, Spanish, Portuguese or Italian, a code of a public dataset, 0 or 1,
        or a truth value.

    Returns
    -------
    Meaning
        "malignant" is not melanoma: it may be another cancer. What is negated is another finding, and what is
        uncertain says nothing.

    Examples
    --------
    >>> read_meaning("superficial spreading melanoma"), read_meaning("NV"), read_meaning("malignant")
    (<Meaning.MELANOMA: 'melanoma'>, <Meaning.OTHER: 'not melanoma'>, <Meaning.MALIGNANT: 'malignant'>)
    """
    if is_missing(label):
        return Meaning.UNKNOWN
    word = normalise(label)
    if word in _MELANOMA | _YES:
        return Meaning.MELANOMA
    if word in _MALIGNANT:
        return Meaning.MALIGNANT
    if word in _OTHER | _NO:
        return Meaning.OTHER
    if _NAME.search(word):
        if _UNCERTAIN.search(word):
            return Meaning.UNKNOWN
        return Meaning.OTHER if _OTHERWISE.search(word) else Meaning.MELANOMA
    return Meaning.OTHER if _FINDING.search(word) else Meaning.UNKNOWN


class Encoded(NamedTuple):
    """Labels as numbers.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        The labels that occur, sorted, as they stand there: scikit-learn's ``classes_``.
    codes : ndarray of shape (n,) and dtype int64
        Of two classes, 1 for melanoma and 0 for the other, wherever melanoma stands among the classes; of
        several the place of each label among the classes.
    melanoma : int or None
        The place of melanoma among the classes; None where there are several and none, or more than one, is it.
    """

    classes: NDArray[Any]
    codes: NDArray[np.int64]
    melanoma: int | None


def as_labels(labels: ArrayLike, *, name: str = "y") -> NDArray[Any]:
    """Put labels into an array, whatever container they come in, and stop where one is missing.

    Parameters
    ----------
    labels : array-like of shape (n,)
        A list, an array, a Series, a Categorical…; a column of shape (n, 1) counts as one.
    name : str, default="y"
        What the user calls them, for messages.

    Returns
    -------
    ndarray of shape (n,)
        The labels; words without blanks around them.

    Raises
    ------
    DatasetError
        If the shape is another one, or a label is missing.
    """
    # As objects: NumPy would turn a NaN among words into the word "nan", and 1 among words into "1".
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "biufUSO":
        array = labels
    elif isinstance(labels, Iterable) and not isinstance(labels, str | bytes | dict | set):
        array = np.asarray(labels, dtype=object) if hasattr(labels, "__array__") else _of_objects(list(labels))
    else:
        raise DatasetError(f"{name} must be a sequence of one label an image, got {type(labels).__name__}")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DatasetError(
            f"{name} must have the shape (n_images,), got {array.shape}; of one-hot labels pass argmax(axis=1)"
        )
    missing = np.fromiter(map(is_missing, array.tolist() if array.dtype == object else array), bool, len(array))
    if missing.any():
        rows = ", ".join(map(str, np.flatnonzero(missing)[:5]))
        raise DatasetError(
            f"{missing.sum()} of {len(array)} labels are missing (rows {rows}{', …' if missing.sum() > 5 else ''}, "
            f"such as {array[missing][0]!r}): leave those images out, or give them a label"
        )
    if array.dtype != object:
        return array
    plain = [label.strip() if isinstance(label, str) else label for label in array.tolist()]
    kinds = {_kind(label) for label in plain}
    if len(kinds) > 1:
        raise DatasetError(f"{name} must hold labels of one kind, got {' and '.join(sorted(kinds))}")
    return np.array(plain)


def _of_objects(labels: Sequence[object]) -> NDArray[np.object_]:
    array = np.empty(len(labels), dtype=object)
    for row, label in enumerate(labels):
        array[row] = label
    if len(labels) and all(isinstance(label, list | tuple | np.ndarray) for label in labels):
        return np.array(labels, dtype=object)
    return array


def _kind(label: object) -> str:
    if isinstance(label, str):
        return "words"
    return "truth values" if isinstance(label, bool | np.bool_) else "numbers"


def encode_labels(labels: ArrayLike, *, pos_label: object = None, name: str = "y") -> Encoded:
    """Tell the classes apart, and find melanoma among them.

    Parameters
    ----------
    labels : array-like of shape (n,)
        As `as_labels`.
    pos_label : object, optional
        The label that means melanoma, where the words do not say so.
    name : str, default="y"
        What the user calls the labels, for messages.

    Returns
    -------
    Encoded
        Classes, numbers, and the place of melanoma.

    Raises
    ------
    DatasetError
        If a label is missing, one class is spelled in several ways, there is only one class, or nothing says
        which of two is melanoma.
    ParameterError
        If `pos_label` is none of the labels.

    Examples
    --------
    >>> encode_labels(["mel", "nv", "mel"]).codes.tolist()
    [1, 0, 1]
    """
    array = as_labels(labels, name=name)
    classes, codes = np.unique(array, return_inverse=True)
    _check_spellings(classes, name)
    melanoma = find_melanoma(classes.tolist(), pos_label=pos_label, name=name)
    if len(classes) == 2 and melanoma == 0:
        codes = 1 - codes
    return Encoded(classes, codes.astype(np.int64), melanoma)


def find_melanoma(classes: Sequence[object], *, pos_label: object = None, name: str = "y") -> int | None:
    """Find melanoma among classes; their order has no say.

    Parameters
    ----------
    classes : sequence
        Distinct labels.
    pos_label : object, optional
        The label that means melanoma, where the words do not say so.
    name : str, default="y"
        What the user calls the labels, for messages.

    Returns
    -------
    int or None
        Its place. None where there are more than two classes, and not exactly one of them is melanoma.

    Raises
    ------
    DatasetError
        If nothing says which of two classes is melanoma.
    ParameterError
        If `pos_label` is none of the classes.
    """
    shown = ", ".join(map(repr, classes[:5])) + ", …" * (len(classes) > 5)
    if pos_label is not None:
        spelled = [normalise(label) for label in classes]
        if normalise(pos_label) not in spelled:
            raise ParameterError(f"pos_label must be one of the labels in {name} ({shown}), got {pos_label!r}")
        return spelled.index(normalise(pos_label))
    meanings = [read_meaning(label) for label in classes]
    answers = [normalise(label) in _YES | _NO for label in classes]
    if any(answers) and not (len(classes) == 2 and all(answers)):
        meanings = [Meaning.UNKNOWN] * len(classes)
    if meanings.count(Meaning.MELANOMA) == 1:
        return meanings.index(Meaning.MELANOMA)
    if len(classes) != 2:
        return None
    # "malignant" against "benign" leaves no doubt which of the two is looked for.
    if set(meanings) == {Meaning.MALIGNANT, Meaning.OTHER}:
        return meanings.index(Meaning.MALIGNANT)
    both = "both mean melanoma" if meanings == [Meaning.MELANOMA] * 2 else "do not say which is melanoma"
    raise DatasetError(
        f"the labels in {name} ({shown}) {both}: pass pos_label={classes[-1]!r} or whichever it is, "
        "or give 0 and 1, where 1 is melanoma"
    )


def _check_spellings(classes: NDArray[Any], name: str) -> None:
    """Stop where classes differ by capitals, blanks or accents alone: they are one class, misspelled."""
    spellings: dict[str, list[object]] = {}
    for label in classes.tolist():
        spellings.setdefault(normalise(label), []).append(label)
    for alike in spellings.values():
        if len(alike) > 1:
            raise DatasetError(
                f"{name} writes one label in several ways: {', '.join(map(repr, alike))}; write it one way"
            )


def as_binary(labels: ArrayLike, *, pos_label: object = None, name: str = "y_true") -> NDArray[np.int64]:
    """Turn labels of two classes into 0 for benign and 1 for melanoma; one class alone will do.

    Parameters
    ----------
    labels : array-like of shape (n,)
        As `as_labels`.
    pos_label : object, optional
        The label that means melanoma; every other label is then benign.
    name : str, default="y_true"
        What the user calls the labels, for messages.

    Returns
    -------
    ndarray of int64 of shape (n,)
        0 or 1.

    Raises
    ------
    DatasetError
        If a label is missing, or there are several and nothing says which is melanoma.
    ParameterError
        If `pos_label` is none of the labels.

    Examples
    --------
    >>> as_binary(["nevus", "mel", "nevus"]).tolist()
    [0, 1, 0]
    """
    array = as_labels(labels, name=name)
    classes, codes = np.unique(array, return_inverse=True)
    _check_spellings(classes, name)
    words = classes.tolist()
    if pos_label is None and len(words) == 1 and read_meaning(words[0]) in (Meaning.MELANOMA, Meaning.OTHER):
        return np.full(len(array), int(read_meaning(words[0]) is Meaning.MELANOMA), dtype=np.int64)
    if len(words) == 0:
        return np.empty(0, dtype=np.int64)
    melanoma = find_melanoma(words, pos_label=pos_label, name=name)
    if melanoma is None or (len(words) > 2 and pos_label is None):
        shown = ", ".join(map(repr, words[:5]))
        raise DatasetError(
            f"{name} must hold two classes, benign and melanoma, got {shown}{', …' * (len(words) > 5)}; "
            "say which one is melanoma with pos_label, and every other counts as benign"
        )
    return (codes == melanoma).astype(np.int64)
