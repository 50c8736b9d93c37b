"""What the columns of a table mean, whatever they are called, and what their cells say: ids, ages, sexes."""

import logging
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from melanoma_tl.datasets.files import make_id, split_suffix
from melanoma_tl.datasets.tables import check_columns
from melanoma_tl.errors import DatasetError
from melanoma_tl.meanings import Meaning, is_missing, normalise, read_meaning

logger = logging.getLogger(__name__)

OWN_COLUMNS = ("image_id", "label", "path")
"""Those of a dataset itself: no fact about an image can have these names."""

GROUPS = ("patient_id", "lesion_id")

_PARAMETERS = {
    "image_id": "id_column",
    "path": "path_column",
    "label": "label_column",
    "patient_id": "patient_column",
    "lesion_id": "lesion_column",
    "diagnosis": "diagnosis_column",
}
_ROLES = {parameter: role for role, parameter in _PARAMETERS.items()}


def _names(text: str) -> tuple[str, ...]:
    return tuple(_plain(name) for name in text.replace("\n", ",").split(",") if name.strip())


def _plain(name: object) -> str:
    """Write the name of a column as names are compared: "Patient ID", "PatientID" and "patient_id" are one."""
    return re.sub(r"\W", "", normalise(name))


_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "image_id": _names("""
        image_id, isic_id, image, image_name, img_id, img_name, img, image_file, image_filename, filename,
        file, photo, photo_id, picture, bild, bild_id, bildname, datei, dateiname, imagen, imagem, immagine,
        fichier, archivo
    """),
    "path": _names("path, file_path, image_path, img_path, full_path, pfad, bildpfad, chemin, ruta, percorso"),
    "label": _names("""
        label, labels, melanoma, is_melanoma, class, target, benign_malignant, malignant, y, ground_truth
    """),
    "diagnosis": _names("""
        diagnosis, dx, diagnostic, diagnose, disease, diagnostico, diagnosi, histology, histopathology,
        pathology, final_diagnosis, histological_diagnosis, histopathological_diagnosis,
        pathological_diagnosis, diagnosis_full, dx_full, dx_name, diagnosis_name, lesion_type, cell_type,
        diagnose_histo, histologie, histologia
    """),
    "patient_id": _names("""
        patient_id, patient, pid, pat_id, pat, patient_no, patient_nr, patient_number, patient_num,
        patient_code, patient_key, patient_uid, patient_identifier, id_patient, subject_id, subject,
        subject_no, subject_number, pat_id_no, patno, pat_nr, patnr, patienten_nr, case_id, case, case_no,
        fall, fall_nr, fallnummer, upn, medical_record_no, subj, subj_id, id_pat, person_id, person,
        participant_id, participant, individual_id, proband, proband_id, mrn, medical_record_number,
        patienten_id, patientennummer, patient_in, patientin, id_paciente, paciente, paciente_id, paziente,
        id_paziente, paziente_id
    """),
    "lesion_id": _names("""
        lesion_id, lesion, lesion_no, lesion_nr, lesion_number, lesion_num, lesion_code, lesion_key,
        lesion_uid, id_lesion, les_id, mole_id, nevus_id, naevus_id, nevus_no, naevus_no, lasion, lasion_id,
        lasions_id, laesion, laesion_id, lesione, lesione_id, id_lesione, lesao, lesao_id, id_lesao
    """),
    "age": _names("""
        age, age_approx, age_approximate, age_years, age_in_years, age_at_diagnosis, patient_age, alter,
        patientenalter, edad, idade, eta, age_y, age_yrs
    """),
    "sex": _names("sex, gender, patient_sex, patient_gender, geschlecht, sexe, genre, sexo, genero, sesso"),
    "site": _names("""
        site, anatom_site_general, anatom_site_general_challenge, localization, localisation, location,
        body_site, anatomic_site, anatomical_site, anatom_site, region, body_region, body_part, lokalisation,
        localizacion, localizacao, sede
    """),
}
"""The names of a column, in the order in which they are believed, without blanks and capitals."""

_LEVEL = re.compile(r"(?:diagnosis|iddx)_(\d)")
"""The archive writes a diagnosis from the coarsest level, benign or malignant, to the finest."""

_MALIGNANCY = re.compile(r"malign|cancer|^target$|^(?:diagnosis|iddx)1$")
"""Names of columns whose "yes" is to the question whether it is a cancer, which need not be melanoma."""

_FEMALE = _names("""
    female, f, fem, w, weiblich, frau, femme, feminin, feminine, feminino, feminina, femenino, femenina, mujer, mulher,
    hembra, femea, donna, femmina, femminile, woman, girl
""")
_MALE = _names("""
    male, m, masc, mannlich, maennlich, mann, homme, masculin, masculino, masculine, maschio, maschile, macho, varon,
    hombre, homem, uomo, man, boy
""")

_AGE = re.compile(
    r"(\d{1,3}(?:[.,]\d{1,3})?) ?\+? ?(?:y|yr|yrs|yo|y/o|a|j|years?|years? old|jahre?|jahre alt|ans?|anos?|anni)?\.?"
)
_OLDEST = 120
_LOOKS_LIKE_GROUP = re.compile(
    r"pat(?!h)|pazient|pacient|paciente|subj|person|proband|particip|individual|lesion|lasion|mrn|^case|^fall|^name$|upn"
)
_CODE = re.compile(r"[A-Za-z]+[ _-]?\d+")
_ZERO = re.compile(r"0+")
_OFTEN = 3
"""How many times as often as any other patient or lesion a "0" stands in a column where it means that none is known."""
_HIGHEST_NUMBER = 50
"""Lesions that are numbered within each patient have small numbers."""

_NUMBER = re.compile(r"[+-]?\d+(?:\.0*)?")


def names_malignancy(column: object) -> bool:
    """Tell whether a "yes" in a column may mean another cancer than melanoma.

    Parameters
    ----------
    column : object
        Its name.

    Returns
    -------
    bool
        True of ``malignant``, ``benign_malignant``, ``target``, ``diagnosis_1``…
    """
    return bool(_MALIGNANCY.search(_plain(column)))


class Arranged(NamedTuple):
    """A table in the words of a dataset.

    Attributes
    ----------
    table : pandas.DataFrame
        ``image_id``, ``label`` (as it stands) and perhaps ``path``; then, where known, ``diagnosis`` (the finest, as
        it stands), ``age`` (float64, in years, NaN where unknown), ``sex`` ("female", "male"), ``site``,
        ``patient_id`` and ``lesion_id`` (str, None where unknown); and all other columns as they stand.
    label_column : str
        What the table calls the label.
    diagnoses : list of tuple of str
        What the other columns say of each image: the finest level that is clear, and further diagnoses.
    """

    table: pd.DataFrame
    label_column: str
    diagnoses: list[tuple[str, ...]]


def arrange(table: pd.DataFrame, *, name: str, **given: str | None) -> Arranged:
    """Find the columns that a dataset needs, give them its names, and their cells one spelling.

    Parameters
    ----------
    table : pandas.DataFrame
        Any.
    name : str
        What the user calls it, for messages.
    **given : str or None
        The columns that the user names: ``path_column``, ``id_column``, ``label_column``, ``patient_column``,
        ``lesion_column``, ``diagnosis_column``.

    Returns
    -------
    Arranged
        One row an image, in the order of the table.

    Raises
    ------
    DatasetError
        If a column is not there, or several could be meant and do not say the same.

    Examples
    --------
    >>> mine = pd.DataFrame({"image": ["a.jpg"], "dx": ["MEL"], "localization": ["back"], "PatientID": [7.0]})
    >>> arrange(mine, name="mine").table.iloc[0].to_dict()
    {'image_id': 'a.jpg', 'label': 'MEL', 'diagnosis': 'MEL', 'site': 'back', 'patient_id': '7'}
    """
    _check_header(table, name)
    sources = {_ROLES[parameter]: column for parameter, column in given.items() if column is not None}
    check_columns(table.columns, list(sources.values()), where=f"{name}: the header")
    sources = _find_sources(table, sources, name)
    if "label" not in sources and "diagnosis" in sources:
        sources["label"] = sources["diagnosis"]
    levels = sorted(filter(_LEVEL.fullmatch, table.columns), key=lambda column: column[-1], reverse=True)
    if "label" not in sources and levels:
        finest = [known[0] if known else "" for known in _read_diagnoses(table, levels)]
        table, sources["label"] = table.assign(label=finest), "label"
    if "image_id" not in sources and "path" not in sources:
        raise _lacks(table, "image_id", name)
    if "label" not in sources:
        raise _lacks(table, "label", name)
    facts = _read_facts(table, sources, levels, name)
    _warn_of_groups(table, sources, name)
    used = set(sources.values()) - set(levels)
    facts |= {
        column: table[column].array
        for column in table.columns
        if column not in used and column not in facts and column not in OWN_COLUMNS
    }
    diagnoses = _read_diagnoses(table, [column for column in levels if column != sources["label"]])
    if sources.get("diagnosis", sources["label"]) != sources["label"]:
        further = (_word(cell) for cell in table[sources["diagnosis"]])
        diagnoses = [(*known, *([word] if word else [])) for known, word in zip(diagnoses, further, strict=True)]
    # Types must not depend on what happens to stand in the cells: pandas would guess them anew.
    columns = {column: pd.Series(cells, dtype=getattr(cells, "dtype", "float64")) for column, cells in facts.items()}
    return Arranged(pd.DataFrame(columns), sources["label"], diagnoses)


def _check_header(table: pd.DataFrame, name: str) -> None:
    wrong = [column for column in table.columns if not isinstance(column, str)]
    if wrong:
        raise DatasetError(f"{name}: the columns must have names, got {', '.join(map(repr, wrong[:5]))}")
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()].unique()
        raise DatasetError(f"{name}: several columns are called {', '.join(map(repr, twice[:5]))}")
    if table.empty:
        raise DatasetError(f"{name}: the table has no rows")


def _lacks(table: pd.DataFrame, role: str, name: str) -> DatasetError:
    shown = ", ".join(map(repr, table.columns))
    return DatasetError(
        f"{name}: the header must name the column {role!r}, or say which it is with {_PARAMETERS[role]}=; "
        f"got {shown[:500]}{'…' * (len(shown) > 500)}"
    )


# -- which column is which ---------------------------------------------------------------------------------------------


def _find_sources(table: pd.DataFrame, given: Mapping[str, str], name: str) -> dict[str, str]:
    """Find the column of each role that the user did not name; a column plays one role, but a label may be more."""
    sources = dict(given)
    taken = {column for role, column in given.items() if role != "label"}
    for role, spellings in _SPELLINGS.items():
        if role in given:
            continue
        columns = [
            column
            for column in table.columns
            if _plain(column) in spellings and (column not in taken or role == "path")
        ]
        if role != "diagnosis":
            columns = [column for column in columns if column != given.get("label")]
        columns.sort(key=lambda column: (column != role, spellings.index(_plain(column))))
        if role in GROUPS:
            columns = [column for column in columns if column == role or not _are_answers(map(_word, table[column]))]
        columns = [column for column in columns if _can_be(role, table[column])] or columns[:1]
        if len(columns) > 1 and role in _PARAMETERS and not _agree(role, table, columns):
            raise DatasetError(
                f"{name}: {' and '.join(map(repr, columns))} could each be the {role.replace('_', ' ')}, and do not "
                f"say the same: say which it is with {_PARAMETERS[role]}="
            )
        if columns:
            sources[role] = columns[0]
    return sources


def _can_be(role: str, cells: pd.Series) -> bool:
    """Tell whether anything stands in a column; of a lesion or patient, whether anything may be an id."""
    words = set(map(_word, cells)) - {""}
    return any(not _is_no_id(word) for word in words) if role in GROUPS else bool(words)


def _are_answers(cells: Iterable[str]) -> bool:
    """Tell whether a column such as "lesion" or "subject" says what something is, and not which."""
    named = {normalise(word) for word in set(cells) if not _is_no_id(word) and not _NUMBER.fullmatch(word)}
    are_sexes = named <= {*_FEMALE, *_MALE}
    return bool(named) and (are_sexes or all(read_meaning(word) is not Meaning.UNKNOWN for word in named))


def _agree(role: str, table: pd.DataFrame, columns: Sequence[str]) -> bool:
    """Tell whether columns say the same: equal ids, or rows divided in the same way."""
    if role in ("image_id", "path"):
        cells = [[make_id(_text(cell)) for cell in table[column]] for column in columns]
        return all(other == cells[0] for other in cells[1:])
    if role == "label" and _contradict(table, columns):
        return False
    codes = [pd.factorize(table[column].map(_word))[0].tolist() for column in columns]
    return all(other == codes[0] for other in codes[1:])


def _contradict(table: pd.DataFrame, columns: Sequence[str]) -> bool:
    """Tell whether one column calls a melanoma what another calls something else: opposites divide rows alike."""
    clear = {Meaning.MELANOMA, Meaning.OTHER}
    return any(clear <= set(map(read_meaning, cells)) for cells in _rows(table, columns))


def _warn_of_groups(table: pd.DataFrame, sources: Mapping[str, str], name: str) -> None:
    """Say where a column that no dataset uses looks as if it told which images belong together."""
    if all(role in sources for role in GROUPS):
        return
    suspects = [
        column
        for column in table.columns
        if column not in set(sources.values()) and not _LEVEL.fullmatch(column) and _looks_like_group(column, table)
    ]
    if suspects:
        free = " or ".join(f"{_PARAMETERS[role]}=" for role in GROUPS if role not in sources)
        logger.warning(
            "%s: values of the column %s come back as if they named patients or lesions; it is not used for that. "
            "If they do, say so with %s, or images of one patient end up on both sides of a split",
            name,
            ", ".join(map(repr, suspects)),
            free,
        )


def _looks_like_group(column: str, table: pd.DataFrame) -> bool:
    words = table[column].map(_word)
    words = words[words != ""]
    n_distinct = words.nunique()
    if _are_answers(words):
        return False
    if not 3 <= n_distinct < len(words):
        return False
    if _LOOKS_LIKE_GROUP.search(_plain(column)):
        return not any(re.search(r"[.,]\d*[1-9]", word) for word in words.head(50)) and n_distinct >= len(words) / 50
    return n_distinct >= len(words) / 10 and bool(words.map(lambda word: bool(_CODE.fullmatch(word))).all())


# -- what the cells say ------------------------------------------------------------------------------------------------


def _read_facts(table: pd.DataFrame, sources: Mapping[str, str], levels: Sequence[str], name: str) -> dict[str, Any]:
    label = table[sources["label"]]
    facts: dict[str, Any] = {"image_id": _image_ids(table, sources), "label": label.to_numpy(dtype=object)}
    if "path" in sources:
        facts["path"] = _objects([_text(cell) for cell in table[sources["path"]]])
    diagnosis = [_word(cell) for cell in table[sources["diagnosis"]]] if "diagnosis" in sources else [""] * len(table)
    finest = [next(filter(None, map(_word, cells)), "") for cells in _rows(table, levels)]
    diagnosis = [word or level for word, level in zip(diagnosis, finest, strict=True)]
    if "diagnosis" in sources or levels:
        facts["diagnosis"] = _objects([word or None for word in diagnosis])
    lost: dict[str, list[str]] = {}
    if "age" in sources:
        facts["age"] = read_ages(table[sources["age"]], lost)
    if "sex" in sources:
        facts["sex"] = _objects(read_sexes(table[sources["sex"]], lost))
    if "site" in sources:
        facts["site"] = _objects([_word(cell) or None for cell in table[sources["site"]]])
    for role in GROUPS:
        if role in sources:
            facts[role] = _objects(read_ids(table[sources[role]], lost, what=role.removesuffix("_id")))
    if all(role in facts for role in GROUPS):
        within = _read_numbers_within(facts["patient_id"], [_word(cell) for cell in table[sources["lesion_id"]]])
        if within is not None:
            logger.warning("%s: the numbers of lesions begin anew with each patient, and are read so", name)
            facts["lesion_id"] = _objects(within)
            lost.pop("lesion", None)
    if lost:
        said = "; ".join(f"{what} of {len(words)} rows ({_first(words)})" for what, words in lost.items())
        logger.warning("%s: says nothing, and counts as missing: %s", name, said)
    return facts


def _read_numbers_within(patients: Sequence[Any], lesions: Sequence[str]) -> list[str | None] | None:
    """Read numbers of lesions that begin anew with each patient, at 0 or 1; None where they are no such numbers."""
    of_patient: dict[str, set[int]] = {}
    for patient, lesion in zip(patients, lesions, strict=True):
        if not patient or not lesion:
            continue
        if not _NUMBER.fullmatch(lesion) or not 0 <= float(lesion) <= _HIGHEST_NUMBER:
            return None
        of_patient.setdefault(patient, set()).add(int(float(lesion)))
    n_from_start = sum(min(numbers) <= 1 for numbers in of_patient.values())
    if n_from_start < 2 or 2 * n_from_start <= len(of_patient):
        return None
    pairs = zip(patients, lesions, strict=True)
    return [f"{patient}/{int(float(lesion))}" if patient and lesion else None for patient, lesion in pairs]


def _first(words: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(words))
    return ", ".join(map(repr, distinct[:3])) + ", …" * (len(distinct) > 3)


def _rows(table: pd.DataFrame, columns: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    return zip(*(table[column] for column in columns), strict=True) if columns else iter([()] * len(table))


def _read_diagnoses(table: pd.DataFrame, levels: Sequence[str]) -> list[tuple[str, ...]]:
    """Take the finest level that says whether it is a melanoma; else the finest that says anything."""
    found = []
    for cells in _rows(table, levels):
        words = [word for word in map(_word, cells) if word]
        clear = (word for word in words if read_meaning(word) in (Meaning.MELANOMA, Meaning.OTHER))
        found.append(tuple(words[:0] if not words else [next(clear, words[0])]))
    return found


def _objects(cells: Sequence[Any]) -> NDArray[np.object_]:
    return np.fromiter(cells, dtype=object, count=len(cells))


def _image_ids(table: pd.DataFrame, sources: Mapping[str, str]) -> NDArray[np.object_]:
    """Take the ids; of a table of paths, the names of the files, or the paths where several have one name."""
    if "image_id" in sources:
        return _objects([_text(cell) for cell in table[sources["image_id"]]])
    paths = [_text(cell) for cell in table[sources["path"]]]
    names = [path.replace("\\", "/").rpartition("/")[2] for path in paths]
    stems = {split_suffix(name)[0] for name in names}
    return _objects(names if len(stems) == len(set(paths)) else paths)


def _text(cell: object) -> str:
    """Write a cell as text; a whole number without a decimal point, what is missing as nothing."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, os.PathLike):
        return os.fsdecode(cell)
    if is_missing(cell):
        return ""
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell).strip()


def _word(cell: object) -> str:
    """Write a cell as text; nothing also where a word says that it is missing."""
    text = _text(cell)
    return "" if is_missing(text) else text


def read_id(cell: object) -> str | None:
    """Read one id of a patient or a lesion; whether "0" is one, a column says (`read_ids`).

    Parameters
    ----------
    cell : object
        As it stands.

    Returns
    -------
    str or None
        None where it is missing, a negative number or a dash.

    Examples
    --------
    >>> read_id(7.0), read_id("P7"), read_id("-1")
    ('7', 'P7', None)
    """
    word = _word(cell)
    return None if _is_no_id(word) else word


def _is_no_id(word: str) -> bool:
    return not word or bool(re.fullmatch(r"-\d+(?:\.0*)?|-+", word))


def read_ids(
    cells: Iterable[object], lost: dict[str, list[str]] | None = None, *, what: str = "id"
) -> list[str | None]:
    """Read ids of patients or lesions.

    Missing are the words of `is_missing`, negative numbers, and "0" where it is no id like the others: where these
    are no numbers, or where it stands far more often than any of them, as a number of nobody does. Taken for an id, a
    "0" that means nothing would only keep images together; dropped, a patient "0" may come to both sides of a split.

    Parameters
    ----------
    cells : iterable
        As they stand.
    lost : dict, optional
        Takes the words that count as missing without saying so.
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
    words = [_word(cell) for cell in cells]
    words = [str(int(float(word))) if re.fullmatch(r"\d{1,15}\.0+", word) else word for word in words]
    counts = Counter(word for word in words if not _is_no_id(word))
    n_zero = sum(counts.pop(word) for word in [*counts] if _ZERO.fullmatch(word))
    are_numbers = all(map(str.isdecimal, counts))
    zero_is_id = bool(counts) and are_numbers and n_zero <= _OFTEN * max(counts.values())
    found = [None if _is_no_id(word) or (_ZERO.fullmatch(word) and not zero_is_id) else word for word in words]
    if lost is not None:
        silent = [word for word, read in zip(words, found, strict=True) if word and read is None]
        if silent:
            lost.setdefault(what, []).extend(silent)
    return found


def read_ages(cells: Iterable[object], lost: dict[str, list[str]] | None = None) -> list[float]:
    """Read ages in years: numbers, such as "45 years", "85+" and "45,5"; from 0 to 120.

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
    >>> read_ages(["45 years", "85+", "45,5", "999"])
    [45.0, 85.0, 45.5, nan]
    """
    ages = []
    for cell in cells:
        word = _word(cell)
        match = _AGE.fullmatch(normalise(word))
        age = float(match[1].replace(",", ".")) if match else math.nan
        ages.append(age if age <= _OLDEST else math.nan)
        if lost is not None and word and math.isnan(ages[-1]):
            lost.setdefault("age", []).append(word)
    return ages


def read_sexes(cells: Iterable[object], lost: dict[str, list[str]] | None = None) -> list[str | None]:
    """Read sexes in the languages of `melanoma_tl.meanings`.

    Parameters
    ----------
    cells : iterable
        As they stand.
    lost : dict, optional
        Takes the words that are not read.

    Returns
    -------
    list of str or None
        "female" or "male"; None where neither is said. Beside "H" (hombre, homme), "M" is "mujer".

    Examples
    --------
    >>> read_sexes(["W", "M", "mujer"]), read_sexes(["H", "M"])
    (['female', 'male', 'female'], ['male', 'female'])
    """
    words = [normalise(_word(cell)).rstrip(".") for cell in cells]
    sexes = dict.fromkeys(_FEMALE, "female") | dict.fromkeys(_MALE, "male")
    if "h" in words and not any(word in _FEMALE for word in words):
        sexes |= {"h": "male", "m": "female"}
    found = [sexes.get(word) for word in words]
    if lost is not None:
        silent = [word for word, sex in zip(words, found, strict=True) if word and sex is None]
        if silent:
            lost.setdefault("sex", []).extend(silent)
    return found
