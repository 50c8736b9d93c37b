"""What a single word says: melanoma, another finding, or nothing."""

import re
import unicodedata
from enum import Enum
from functools import lru_cache

import numpy as np
import pandas as pd


class Meaning(Enum):
    """What a single label says about melanoma."""

    MELANOMA = "melanoma"
    OTHER = "not melanoma"
    MALIGNANT = "malignant"
    """Melanoma, or another cancer: only the source of the label knows."""
    UNKNOWN = "says nothing"


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.replace("\n", ",").split(",") if word.strip())


_YES = _words("""
    1, true, t, yes, y, wahr, ja, vrai, oui, verdadero, si, verdadeiro, sim, vero,
    positive, pos, positiv, positif, positivo
""")
_NO = _words("""
    0, -1, false, f, no, n, falsch, nein, faux, non, falso, nao, negative, neg, negativ, negatif, negativo
""")
_ANSWERS = _YES | _NO
"""To the question "is it a melanoma?"."""

_MISSING = _words("""
    n/a, na, n.a., n a, <na>, #n/a, #n/a n/a, #na, nan, 1.#qnan, 1.#ind, none, null, nil, nat, ?, ??, ., .., ...,
    missing, unknown, undefined, pending, tbd, not available, not applicable, not specified, not known, no answer,
    no data, unbekannt, fehlt, keine angabe, k.a., k. a., inconnu, inconnue, non renseigne, desconocido, desconocida,
    sin dato, sin datos, desconhecido, desconhecida, nao informado, sconosciuto, sconosciuta, n.d., n/d, unk,
    not recorded, not given, not reported, nicht bekannt, none known, no id, anonymous, anonym, #ref!, #value!, #null!,
    #name?, #num!, #div/0!, *, - nan, - 1.#ind, - 1.#qnan
""") | {""}

_MELANOMA = _words("mel, mm, mis, ssm, lmm, alm, mel in situ, mm in situ, schwarzer hautkrebs")
"""Beside every phrase with a name of melanoma in it."""

_MALIGNANT = _words("mal")
"""Beside every phrase with a word for cancer in it."""

_OTHER = _words("""
    ben, bng, nv, nev, mole, moles, muttermal, leberfleck, grain de beaute, lunar, pinta, neo, nei,
    bcc, scc, sccka, nmsc, ak, ack, akiec, bod, bkl, df, vasc, sek, sk, lplk, inf, ben oth, mal oth, misc,
    vascular lesions, other lesions, dysplastic, bowen disease, bowens disease, morbus bowen, weisser hautkrebs,
    actinic keratosis or intraepithelial carcinoma, intraepithelial carcinoma, atypical melanocytic proliferation,
    freckle, ephelis, cafe au lait macule, vascular lesion, scar, non neoplastic, inflammatory, genodermatoses,
    healthy, normal, control, gesund, gesunde haut, sain, saine, sano, sana, saudavel, cancer free,
    other, others, rest, sonstige, andere, autre, autres, otro, otros, outro, outros, altro, altri, miscellaneous,
    miscellanea, pseudomelanoma
""")
"""Codes and names of HAM10000, ISIC 2018 to 2024, MILK10k, PAD-UFES-20, Derm7pt, BCN20000, DDI and Fitzpatrick17k."""

_CODES = (
    dict.fromkeys(_OTHER | _NO, Meaning.OTHER)
    | dict.fromkeys(_MALIGNANT, Meaning.MALIGNANT)
    | dict.fromkeys(_MELANOMA | _YES, Meaning.MELANOMA)
    | dict.fromkeys(_MISSING, Meaning.UNKNOWN)
)

_NAME = re.compile(
    r"\b(?:micro)?melanom(?:a|as|ata|e|es|en|i|s)?\b|\bmelanommetastasen?\b|\blentigo mali(?:gna|gno|n)\b"
    r"|\b(?:mel|mis|ssm|lmm|alm|nm)\b|(?<!\d )(?<!\d)\bmm\b"
)
"""The names of melanoma, and its codes where they stand as a word; "mm" after a number is a length."""

_CANCER = re.compile(r"\b(?:malign\w*|malin|malins|bosartig\w*|cancer\w*|\w*krebs\w*|cancro)\b")
_CARCINOMA = re.compile(
    r"\b(?!melano)\w*(?:carcinom|karzinom|sarcom|lymphom|basaliom|spinaliom|(?:zell|epithel)krebs|acanthoma)"
    r"|\b(?:bcc|scc|merkel|malignant (?:epidermal|adnexal|epithelial|dermal)|epithelial (?:skin )?cancer)\b"
)
_FINDING = re.compile(
    r"\b(?:benign|benin|gutartig|\w*n(?:ae|e|a)v(?:us|i|o|os)\b|lentigo\b(?! mali)|lentigines|melanosis|macule)"
    r"|\bmoles?\b"
    r"|\b(?:healthy|normal) skin\b|cerat[oi]s|histiozytom|warze\b|h(?:a|ae|e)matom"
    r"|zelln(?:ae|e|a)v|keratos|cheratos|queratos|angiom|fibrom|histiocytom|lipom|granulom|verruca|\bwart|\bcyst"
)
"""Stems of the names of other findings."""

_NEGATIONS = r"no|non|not|without|kein\w*|nicht|ohne|pas|sans|sin|sem|senza|nao|negativ\w*|free|excluded|absent|never"
_NEGATED = re.compile(rf"\b(?:{_NEGATIONS}|exclude|except|other than|ausgeschlossen|unlikely|pre)\b")
_UNDONE = re.compile(r"[!=#]|\b(?:0|false|un|anything but|everything but|all but)\b|^- | -$")
"""What turns a finding around: "benign=0", "!benign", "nevus-"."""

_DENIED = re.compile(
    rf"(?:\bnon|\b(?:{_NEGATIONS}|other than)(?: (?:an?|any|un|una|uma|de|of|for|evidence|signs?|malignant))*) ?"
    r"(?:melanom\w*|lentigo mali\w*|mel\b|mm\b|mal\b|malign|malin\b|bosartig|cancer|cancro|\w*krebs)"
)
"""A "no" that is about the cancer itself, unlike that of "melanoma without ulceration"."""

_OR = re.compile(r"\b(?:vs|versus|or|oder|ou|o|und|and|et|e|y)\b|[/&]")
_DOUBT = re.compile(
    r"\b(?:suspected|suspicious|suspicion|suspect|verdacht|possible|possibly|potential|potentially|probable|probably|"
    r"likely|v\.? ?a|rule out|unclear|history|risk|(?:not|nicht|non|cannot|no) (?:be )?(?:excluded?|ausgeschlossen))\b"
    r"|\?"
)
_BESIDE = _words("""
    in, of, the, a, an, on, or, and, with, as, de, du, des, del, dell, della, di, da, do, eines, la, le, el, lo,
    il, der, die, das, am, im, auf, und, oder, et, y, e, o, ou, ed, melano*, micromelano*, malign*, malin*,
    cancer*, cancro, carcinoma, krebs, hautkrebs, tumo*, neoplas*, lesion*, lasion*, lesao, bosartig*, schwarz*,
    skin, haut, peau, piel, pele, pelle, cutane*, kutan*, disease, situ, insitu, is, invasi*, invasor,
    microinvasi*, infiltra*, primar*, primaire*, secondary, second, multiple, metasta*, hautmetasta*, transit,
    recurren*, local*, early, thin, thick, advanced, superfici*, superfizi*, oberflachlich*, spreading,
    spreitend*, diffusione, extensi*, estensiv*, nodul*, knotig*, lentig*, dubreuilh, acral*, akral*,
    akrolentig*, desmoplas*, neurotrop*, amelano*, achrom*, hypomelan*, pigment*, spitz*, naevoid, nevoid,
    spindle, balloon, animal, cell, dermal, pure, mixed, low, high, csd, mucosal, uveal, ocular, choroid*,
    conjunctiv*, subungual, nail, ungueal, verrucous, polypoid, ulcerat*, melanocytic, proliferation*, radial,
    vertical, growth, phase, pediatric, mel, mm, mis, ssm, nm, lm, lmm, alm, nos, unspecified, unclassified,
    type, typ, tipo, subtype, class, grade, stage, level, clark, breslow, depth, thickness, i, ii, iii, iv, v,
    tis, histolog*, histopatholog*, biopsy, proven, confirmed, diagnos*, positive, yes, chronically, sun,
    exposed, damaged, extrafacial, facial, face, head, neck, trunk, back, chest, abdomen, arm, leg, thigh,
    shoulder, sole, volar, limb, extremit*, upper, lower, left, right, hand, foot, palm*, plantar, scalp, ear,
    nose, lip, image*, photo*
""")
_LEAVES_IT = re.compile("|".join(sorted(word.replace("*", r"\w*") for word in _BESIDE)) + r"|[.,;:()/|]+")
"""Words (and stems) that may stand beside the name of a cancer and leave it one; beside others it says nothing."""

_SIZE = re.compile(
    r"(?:\b(?:less than|more than|up to)|[<>\u2264\u2265]=?)? ?\d+(?:[.,]\d+)?"
    r"(?:(?: (?:to|bis|a|and))? \d+(?:[.,]\d+)?)?"
    r" ?(?:mm|cm)\b|\b(?:clark|level|stage|grade) (?:[0-5]|i{1,3}|iv|v)[abcd]?\b|\bbreslow \d+(?:[.,]\d+)?"
    r"|\bp?t[0-4][ab]?(?: ?n\d[abc]?(?: ?m\d[abc]?)?)?\b"
)
"""How thick and how far."""

_NOT_QUITE = re.compile(r"\b(?:like|mimic\w*|simulat\w*|juvenile|scar)\b")
_ASIDE = re.compile(
    r"\bnot otherwise specified\b|\bn(?:ae|e|a)vus associated\b"
    r"|\b(?:associated with|arising (?:in|from|on)|in|with|ex|auf)(?: (?:an?|pre|existing|dysplasti\w*|congenital|"
    r"compound|intradermal|dermal|junctional|blue|giant|common|acquired|associated|adjacent))* "
    r"n(?:ae|e|a)v(?:us|o)\b(?: spilus)?"
    r"|\b(?:with|without|no) (?:regression|ulceration|mitos[ei]s)\b"
)
"""What stands beside a diagnosis without changing it, such as the naevus that a melanoma began in."""


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


@lru_cache(maxsize=4096)
def _normalise(text: str) -> str:
    text = (
        unicodedata.normalize("NFKD", text.replace("\u2260", "!=")).casefold().replace("\u2019", "'").replace("æ", "ae")
    )
    # Neither accents, nor quotes, nor what nobody sees (marks of byte order, blanks of no width) tell words apart.
    unseen = ("Mn", "Cf")
    text = (
        "".join(character for character in text if unicodedata.category(character) not in unseen)
        .strip()
        .strip(_QUOTES)
        .strip()
    )
    text = "".join("-" if unicodedata.category(character) == "Pd" else character for character in text)
    if re.fullmatch(r"[+-]?\d+(?:\.0*)?", text, re.ASCII):
        return str(int(text.partition(".")[0]))
    if re.fullmatch(r"[\s_\-]*", text):
        return ""
    # A sign at an end may mean yes or no; within a word a dash is a blank.
    start, end = ("-" if has_dash else "" for has_dash in (text.startswith("-"), text.endswith("-")))
    words = re.split(r"(?:[\s_]|(?<![(\[{])-(?![)\]}]))+", re.sub(r"(?<=\w)'(?=\w)", "", text).strip(" \t\n_-"))
    return " ".join(filter(None, [start, *words, end]))


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
    if isinstance(label, str | bytes):
        return normalise(label) in _MISSING
    if label is None or label is pd.NaT or label is pd.NA:
        return True
    if isinstance(label, np.datetime64 | np.timedelta64):
        return bool(np.isnat(label))
    return isinstance(label, float | np.floating) and bool(np.isnan(label))


def is_answer(label: object) -> bool:
    """Tell whether a label only answers the question "is it a melanoma?", as 0 and 1, or yes and no, do.

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
    return normalise(label) in _ANSWERS


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
        "malignant" is not melanoma: it may be another cancer. What is denied is another finding, and what is
        doubtful says nothing.

    Examples
    --------
    >>> read_meaning("superficial spreading melanoma"), read_meaning("NV"), read_meaning("malignant")
    (<Meaning.MELANOMA: 'melanoma'>, <Meaning.OTHER: 'not melanoma'>, <Meaning.MALIGNANT: 'malignant'>)
    """
    return Meaning.UNKNOWN if is_missing(label) else _read_word(normalise(label))


@lru_cache(maxsize=4096)
def _read_word(word: str) -> Meaning:
    return _CODES.get(word) or _read_phrase(_ASIDE.sub(" ", word))


def _read_phrase(phrase: str) -> Meaning:
    """Read what is no code; a melanoma that another word casts doubt on says nothing."""
    if _NAME.search(phrase):
        return _read_melanoma(phrase)
    sides = _sides(phrase)
    is_other = _FINDING.search(phrase) or _CARCINOMA.search(phrase)
    if _DENIED.search(phrase) and not _DOUBT.search(phrase):
        return Meaning.OTHER if len(sides) == 1 else Meaning.UNKNOWN
    if _DOUBT.search(phrase) or _NEGATED.search(phrase) or _UNDONE.search(phrase):
        return Meaning.UNKNOWN
    if _CANCER.search(phrase) and not _CARCINOMA.search(phrase):
        is_clear = len(sides) == 1 and not is_other and _says_nothing_else(phrase)
        return Meaning.MALIGNANT if is_clear else Meaning.UNKNOWN
    return Meaning.OTHER if is_other else Meaning.UNKNOWN


def _read_melanoma(phrase: str) -> Meaning:
    """Read a phrase that names a melanoma: it is one, or it is denied, or it says nothing; never another finding."""
    sides = _sides(phrase)
    if _DENIED.search(phrase) and not _DOUBT.search(phrase):
        is_denied = len(sides) == 1 and not _NAME.search(_DENIED.sub(" ", phrase))
        return Meaning.OTHER if is_denied else Meaning.UNKNOWN
    is_other = _FINDING.search(phrase) or _CARCINOMA.search(phrase) or _NOT_QUITE.search(phrase)
    if is_other or _DOUBT.search(phrase) or _NEGATED.search(phrase) or not _says_nothing_else(phrase):
        return Meaning.UNKNOWN
    named = [bool(_NAME.search(side)) for side in sides]
    others = [side for side, is_named in zip(sides, named, strict=True) if not is_named]
    return Meaning.UNKNOWN if any(map(_CANCER.search, others)) else Meaning.MELANOMA


def _sides(phrase: str) -> list[str]:
    """Part a phrase at "or", "and" and the like."""
    return [side.strip() for side in _OR.split(phrase)]


def names_melanoma(label: object) -> bool:
    """Tell whether a label names a melanoma and neither denies nor doubts it, even where it is too unclear to be read.

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
    phrase = _ASIDE.sub(" ", normalise(label))
    uncertain = any(pattern.search(phrase) for pattern in (_DOUBT, _NEGATED, _NOT_QUITE, _UNDONE))
    return bool(_NAME.search(_DENIED.sub(" ", phrase))) and not uncertain and len(_sides(phrase)) == 1


def _says_nothing_else(phrase: str) -> bool:
    """Tell whether every word beside the name of a cancer is known to leave it one."""
    parts = re.findall(r"\w+|[^\w\s]+", _SIZE.sub(" ", phrase))
    return all(_LEAVES_IT.fullmatch(part) for part in parts)
