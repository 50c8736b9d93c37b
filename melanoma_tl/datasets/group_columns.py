"""Which columns name patients or lesions, by what they are called and by what stands in them."""

import logging
import re
from collections.abc import Iterable

import pandas as pd

from melanoma_tl.labels.cells import FEMALE, MALE, NUMBER, plain_name
from melanoma_tl.labels.distinct import once_each
from melanoma_tl.labels.ids import as_word, is_no_id
from melanoma_tl.labels.meanings import Meaning, normalise, read_meaning
from melanoma_tl.labels.together import spell_out
from melanoma_tl.labels.vocabulary import ICD_O

logger = logging.getLogger(__name__)

GROUPS = ("patient_id", "lesion_id")

_ID = (
    "id|no|nr|num|number|nummer|numero|code|codice|codigo|key|uid|identifier|identifiant|identificador|identificativo|"
    "kennung|pseudonym|hash|ref|reference|referenz|referencia"
)
_PARTICLE = "d[aeiou]l{0,2}a?"

_CALLED = {
    "patient_id": re.compile(
        rf"(?:(?:{_ID}|{_PARTICLE})*(?:patient(?:en|in|e)?|pat|paciente|paziente|subj(?:ect)?|person|participant|cas[eo]?|fall|"
        rf"proband(?:en|in)?|individual(?={_ID}))(?:{_ID}|in)*|pid|ptid|upn|mrn|nhc|prontuario|historiaclinica|"
        r"cartellaclinica|ipp|nip|medicalrecord(?:no|number))"
    ),
    "lesion_id": re.compile(
        rf"(?:{_ID}|{_PARTICLE})*(?:lesione?|la?esion|lasion|lesao|(?:la?esions|lasions|les)(?={_ID})|(?:mole|na?evus)(?={_ID}))(?:{_ID})*"
    ),
}
"""The names of a column of patients or lesions, in any order of the words: "numéro patient", "PatNr", "id_lesao".

"num_lesions" is how many there are, while an s also stands within "Läsions-ID"."""

LEVEL = re.compile(r"(?:diagnosis|iddx)_(\d)")
"""The archive writes a diagnosis from the coarsest level, benign or malignant, to the finest."""

_OF_PERSONS = re.compile(
    r"patient|\bpat(?!h|t)|pazient|pacient|paciente|subj|person|proband|particip|individual|lesion|lasion|mrn|^case|^fall|upn|"
    r"client|klient|sujet|sogget|cognome|apellido|surname|nachname|"
    rf"^(?:pt|cpf|cns|nhs|chi|ssn|dni|nif|curp|rut|kvnr|svnr|ahv|empi|mpi|nuss|codicefiscale)(?:{_ID})*$"
)
"""Words for persons and lesions, and the numbers that states and insurers give to persons."""

_OF_FILES = re.compile(
    r"^id$|(?<!file)(?<!file )(?<!image )name$|dossier|\bakte|krankenakte|record|chart|versicher|insur|"
    r"user|owner|study|uid$|^cas[ei]?s?$|^identif|expediente|cartella|usuari|utente|ficha|registro|^nom$|^nombre$|^nome$|initial|iniciales|"
    r"(?:nummer|nr|kennung|kennzeichen|zeichen|pseudonym)$"
)
"""Words for what is kept of persons, and of other things too."""

_TELLS_WHAT = re.compile(
    r"\b(?:age|alter|edad|idade|sex|gender|type|typ|class|category|site|location|localis\w*|localiz\w*|region|side|part|"
    r"body|count|size|diam\w*|height|weight|bmi|area|volume|perimeter|width|length|mm|cm|colou?r|shape|texture|border|"
    r"thickness|depth|date|datum|year|month|day|time|country|city|state|race|ethnicity|skin|hair|eye|smok\w*|score|"
    r"device|camera|scanner|fold|batch|zip|icd|snomed|licen[cs]e|"
    r"grade|stage|status|diagnos\w*|dx|malignan\w*|metadata|elevation|confidence|visible)\b"
)
"""What stands in the name of a column that says something of persons, lesions and images, and not which they are."""

_ENDS_AS_ID = re.compile(rf"(?:^|[\W_])(?:{_ID})[\W_]*$")
_CODE = re.compile(r"[A-Za-z]+[ _-]?\d+")

_FEWEST, _MANY = 3, 10
"""How many different values a column has that may name groups, by its name; and one whose name leaves it open."""

_N_PROBED = 50
_TENTH = 0.1


def is_called_group(column: str, role: str) -> bool:
    """Return whether a column is called as one of patients or of lesions.

    Parameters
    ----------
    column : str
        Its name.
    role : {"patient_id", "lesion_id"}
        Which of the two.

    Returns
    -------
    bool
        True of "PatNr" and "numéro patient", for patients.
    """
    return bool(_CALLED[role].fullmatch(plain_name(column)))


def are_answers(cells: Iterable[str]) -> bool:
    """Return whether a column such as "lesion" or "subject" says what something is, and not which.

    Parameters
    ----------
    cells : iterable of str
        From `as_word`.

    Returns
    -------
    bool
        True of sexes, and of findings.
    """
    named = [word for word in set(cells) if not is_no_id(word) and not NUMBER.fullmatch(word)]
    are_sexes = all(normalise(word) in {*FEMALE, *MALE} for word in named)
    # A number and a year, as of "8100/1", looks like a code of morphology.
    are_findings = all(
        read_meaning(word) is not Meaning.UNKNOWN and not ICD_O.fullmatch(str(word)) for word in spell_out(named)
    )
    return bool(named) and (are_sexes or are_findings)


def warn_of_groups(facts: pd.DataFrame, name: str) -> None:
    """Warn of columns that look as if they named patients or lesions, and are not called so.

    Parameters
    ----------
    facts : pandas.DataFrame
        What is known of each image, with the names of a dataset.
    name : str
        Name of the dataset, for the message.
    """
    free = [role for role in GROUPS if role not in facts]
    suspects = [
        column
        for column in facts.columns
        if free and column not in GROUPS and not LEVEL.fullmatch(column) and _looks_like_group(facts[column])
    ]
    if suspects:
        logger.warning(
            "%s: values of the column %s come back as if they named patients or lesions; it is not used for that. "
            "If they do, call it %s, or say so with %s where a table is read, or images of one patient end up on both "
            "sides of a split",
            name,
            ", ".join(map(repr, suspects)),
            " or ".join(free),
            " or ".join(f"{role.removesuffix('_id')}_column=" for role in free),
        )


def _looks_like_group(cells: pd.Series) -> bool:
    column = str(cells.name)
    fewest = _fewest_groups(column)
    probed = [word for word in map(as_word, cells.iloc[:_N_PROBED]) if word]
    are_codes = bool(probed) and all(map(_CODE.fullmatch, probed)) and not _tells_what(column)
    if (fewest is None and not are_codes) or any(re.search(r"[.,]\d*[1-9]", word) for word in probed):
        return False
    if cells.dtype.kind == "f" and not (cells.dropna() % 1 == 0).all():
        return False  # measured, and no number of anybody
    words = [word for word in once_each(as_word, cells) if word]
    distinct = set(words)
    if fewest is None and not all(map(_CODE.fullmatch, distinct)):
        return False
    fewest = _MANY if fewest is None else fewest
    return max(_FEWEST, min(fewest, _TENTH * len(words))) <= len(distinct) < len(words) and not are_answers(distinct)


def _fewest_groups(column: str) -> int | None:
    """Return how many different values make a column suspicious by its name; None if its name does not."""
    names = (_words_of(column), plain_name(column))
    is_of_persons = any(map(_OF_PERSONS.search, names))
    ends_as_id = bool(_ENDS_AS_ID.search(names[0]))
    if any(is_called_group(column, role) for role in GROUPS) or (is_of_persons and ends_as_id):
        return _FEWEST
    if _tells_what(column):
        return None
    if is_of_persons:
        return _FEWEST
    return _MANY if ends_as_id or any(map(_OF_FILES.search, names)) else None


def _tells_what(column: str) -> bool:
    return bool(_TELLS_WHAT.search(_words_of(column)))


def _words_of(column: str) -> str:
    return normalise(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column))
