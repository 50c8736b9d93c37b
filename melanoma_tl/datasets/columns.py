"""What the columns of a table mean, whatever they are called."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from melanoma_tl.datasets.findings import Finding, asks_malignancy, read_findings, read_levels
from melanoma_tl.datasets.group_columns import GROUPS, LEVEL, are_answers, is_called_group
from melanoma_tl.datasets.image_files import make_id, split_suffix
from melanoma_tl.datasets.text_tables import check_columns
from melanoma_tl.errors import DatasetError
from melanoma_tl.labels.cells import (
    AGE_COLUMNS,
    NUMBER,
    SEX_COLUMNS,
    find_crowd,
    name_columns,
    plain_name,
    read_ages,
    read_ids,
    read_sexes,
    warn_of_lost,
)
from melanoma_tl.labels.distinct import once_each
from melanoma_tl.labels.ids import as_text, as_word, is_no_id
from melanoma_tl.labels.meanings import Meaning, is_answer, read_meaning, read_question

logger = logging.getLogger(__name__)

OWN_COLUMNS = ("image_id", "label", "path")
"""Those of a dataset itself: no fact about an image can have these names."""

_PARAMETERS = {
    "image_id": "id_column",
    "path": "path_column",
    "label": "label_column",
    "patient_id": "patient_column",
    "lesion_id": "lesion_column",
    "diagnosis": "diagnosis_column",
}
_ROLES = {parameter: role for role, parameter in _PARAMETERS.items()}


_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "image_id": name_columns("""
        image_id, isic_id, image, image_name, img_id, img_name, img, image_file, image_filename, filename,
        file, photo, photo_id, picture, bild, bild_id, bildname, datei, dateiname, imagen, imagem, immagine,
        fichier, archivo
    """),
    "path": name_columns("path, file_path, image_path, img_path, full_path, pfad, bildpfad, chemin, ruta, percorso"),
    "label": name_columns("""
        label, labels, melanoma, is_melanoma, melanom, melanome, class, klasse, classe, clase, target,
        benign_malignant, malignant, is_malignant, maligne, maligno, bosartig, y, ground_truth
    """),
    "diagnosis": name_columns("""
        diagnosis, dx, diagnostic, diagnose, disease, diagnostico, diagnosi, histology, histopathology,
        pathology, final_diagnosis, histological_diagnosis, histopathological_diagnosis,
        pathological_diagnosis, diagnosis_full, dx_full, dx_name, diagnosis_name, lesion_type, cell_type,
        diagnose_histo, histologie, histologia
    """),
    "age": AGE_COLUMNS,
    "sex": SEX_COLUMNS,
    "site": name_columns("""
        site, anatom_site_general, anatom_site_general_challenge, localization, localisation, location,
        body_site, anatomic_site, anatomical_site, anatom_site, region, body_region, body_part, lokalisation,
        localizacion, localizacao, sede
    """),
}
"""The names of a column, in the order in which they are believed, without blanks and capitals."""

_COLUMNS = ("image_id", "path", "label", "diagnosis", *GROUPS, "age", "sex", "site")

_HIGHEST_NUMBER = 50
"""Lesions that are numbered within each patient have small numbers."""


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
    findings : list of tuple of Finding
        What the other columns say of each image: the finest level that is clear, further diagnoses, and answers in
        columns such as "melanoma", "malignant" and "bcc".
    """

    table: pd.DataFrame
    label_column: str
    findings: list[tuple[Finding, ...]]


def arrange(table: pd.DataFrame, *, name: str, by_meaning: bool = True, **given: str | None) -> Arranged:
    """Find the columns that a dataset needs, give them its names, and their cells one spelling.

    Parameters
    ----------
    table : pandas.DataFrame
        Any.
    name : str
        What the user calls it, for messages.
    by_meaning : bool, default=True
        Whether labels are read by what they mean: beside a diagnosis, a column such as "class" or "y" that says nothing
        about melanoma is then no label. False where a rule of the user's reads them.
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
    sources = _find_sources(table, sources, name, by_meaning=by_meaning)
    if "label" not in sources and "diagnosis" in sources:
        sources["label"] = sources["diagnosis"]
    levels = sorted(filter(LEVEL.fullmatch, table.columns), key=lambda column: column[-1], reverse=True)
    if "label" not in sources and levels:
        finest = [known[0] if known else "" for known in read_levels(table, levels)]
        table, sources["label"] = table.assign(label=finest), "label"
    if "image_id" not in sources and "path" not in sources:
        raise _lacks(table, "image_id", name)
    if "label" not in sources:
        raise _lacks(table, "label", name)
    facts = _read_facts(table, sources, levels, name)
    used = set(sources.values()) - set(levels)
    findings = read_findings(
        table,
        label=sources["label"],
        diagnosis=sources.get("diagnosis"),
        levels=levels,
        others=[column for column in table.columns if column not in {*used, *levels}],
    )
    facts |= {
        column: table[column].array
        for column in table.columns
        if column not in used and column not in facts and column not in OWN_COLUMNS
    }
    # Types must not depend on what happens to stand in the cells: pandas would guess them again.
    columns = {column: pd.Series(cells, dtype=getattr(cells, "dtype", "float64")) for column, cells in facts.items()}
    return Arranged(pd.DataFrame(columns), sources["label"], findings)


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
    or_path = " (or path_column=, where the paths of the files stand)" if role == "image_id" else ""
    return DatasetError(
        f"{name}: the header must name the column {role!r}, or say which it is with {_PARAMETERS[role]}={or_path}; "
        f"got {shown[:500]}{'…' * (len(shown) > 500)}"
    )


# -- which column is which ---------------------------------------------------------------------------------------------


def _find_sources(table: pd.DataFrame, given: Mapping[str, str], name: str, *, by_meaning: bool) -> dict[str, str]:
    """Find the column of each role that the user did not name; a column plays one role, but a label may be more."""
    sources = dict(given)
    taken = {column for role, column in given.items() if role != "label"}
    for role in _COLUMNS:
        if role in given:
            continue
        columns = [
            column for column in table.columns if _is_called(column, role) and (column not in taken or role == "path")
        ]
        if role != "diagnosis":
            columns = [column for column in columns if column != given.get("label")]
        columns.sort(key=lambda column: (column != role, _rank(column, role)))
        if role in GROUPS:
            columns = [
                column for column in columns if column == role or not are_answers(once_each(as_word, table[column]))
            ]
        if role == "label":
            columns = _choose_labels(table, columns, given, name, by_meaning=by_meaning)
        columns = [column for column in columns if _can_be(role, table[column])] or columns[:1]
        if len(columns) > 1 and role in _PARAMETERS and not _agree(role, table, columns):
            raise DatasetError(
                f"{name}: {' and '.join(map(repr, columns))} could each be the {role.replace('_', ' ')}, and do not "
                f"say the same: say which it is with {_PARAMETERS[role]}="
            )
        if columns:
            sources[role] = columns[0]
    return sources


def _is_called(column: str, role: str) -> bool:
    return is_called_group(column, role) if role in GROUPS else plain_name(column) in _SPELLINGS[role]


def _rank(column: str, role: str) -> int:
    return 0 if role in GROUPS else _SPELLINGS[role].index(plain_name(column))


def _choose_labels(
    table: pd.DataFrame, columns: Sequence[str], given: Mapping[str, str], name: str, *, by_meaning: bool
) -> list[str]:
    """Leave out columns that have the name of a label and are none, and those that ask for more than melanoma."""
    if any(plain_name(column) == "x" and _are_numbers(table[column]) for column in table.columns):
        columns = [column for column in columns if plain_name(column) != "y"]  # where the lesion lies
    is_diagnosed = any(
        _can_be("diagnosis", table[column])
        for column in table.columns
        if column == given.get("diagnosis") or _is_called(column, "diagnosis") or LEVEL.fullmatch(column)
    )
    silent = [column for column in columns if by_meaning and is_diagnosed and not _says_anything(table[column])]
    if silent:
        shown = ", ".join(map(repr, silent))
        logger.warning("%s: %s says nothing about melanoma, and is not the label: the diagnosis is", name, shown)
    columns = [column for column in columns if column not in silent]
    if any(_tells_melanomas(table[column]) for column in columns):  # a melanoma is malignant in any case
        columns = [column for column in columns if not asks_malignancy(column)]
    return list(columns)


def _are_numbers(cells: pd.Series) -> bool:
    return bool(pd.to_numeric(cells.map(as_word).replace("", np.nan), errors="coerce").notna().any())


def _tells_melanomas(cells: pd.Series) -> bool:
    """Return whether a label is about melanoma, by the name of its column or by its words."""
    if read_question(cells.name) is Meaning.MELANOMA:
        return True
    return any(read_meaning(word) is Meaning.MELANOMA and not is_answer(word) for word in set(map(as_word, cells)))


def _says_anything(cells: pd.Series) -> bool:
    return any(read_meaning(word) is not Meaning.UNKNOWN for word in set(map(as_word, cells)))


def _can_be(role: str, cells: pd.Series) -> bool:
    """Return whether anything stands in a column; of a lesion or patient, whether anything may be an id."""
    words = map(as_word, cells)
    return any(not is_no_id(word) for word in words) if role in GROUPS else any(words)


def _agree(role: str, table: pd.DataFrame, columns: Sequence[str]) -> bool:
    """Return whether columns say the same: equal ids, or rows divided in the same way."""
    if role in ("image_id", "path"):
        cells = [[make_id(as_text(cell)) for cell in table[column]] for column in columns]
        return all(other == cells[0] for other in cells[1:])
    if role == "label" and _contradict(table, columns):
        return False
    codes = [pd.factorize(table[column].map(as_word))[0].tolist() for column in columns]
    return all(other == codes[0] for other in codes[1:])


def _contradict(table: pd.DataFrame, columns: Sequence[str]) -> bool:
    """Return whether one column calls a melanoma what another calls something else: opposites divide rows alike."""
    clear = {Meaning.MELANOMA, Meaning.OTHER}
    return any(clear <= set(map(read_meaning, cells)) for cells in table[[*columns]].itertuples(index=False, name=None))


# -- what the cells say ------------------------------------------------------------------------------------------------


def _read_facts(table: pd.DataFrame, sources: Mapping[str, str], levels: Sequence[str], name: str) -> dict[str, Any]:
    label = table[sources["label"]]
    facts: dict[str, Any] = {"image_id": _image_ids(table, sources), "label": label.to_numpy(dtype=object)}
    if "path" in sources:
        facts["path"] = _objects(once_each(as_text, table[sources["path"]]))
    diagnosis = once_each(as_word, table[sources["diagnosis"]]) if "diagnosis" in sources else [""] * len(table)
    finest = [next(filter(None, map(as_word, cells)), "") for cells in table[levels].itertuples(index=False, name=None)]
    diagnosis = [word or level for word, level in zip(diagnosis, finest, strict=True)]
    if "diagnosis" in sources or levels:
        facts["diagnosis"] = _objects([word or None for word in diagnosis])
    lost: dict[str, list[str]] = {}
    if "age" in sources:
        facts["age"] = read_ages(table[sources["age"]], lost)
    if "sex" in sources:
        facts["sex"] = _objects(read_sexes(table[sources["sex"]], lost))
    if "site" in sources:
        facts["site"] = _objects([word or None for word in once_each(as_word, table[sources["site"]])])
    for role in GROUPS:
        if role in sources:
            facts[role] = _objects(read_ids(table[sources[role]], lost, what=role.removesuffix("_id")))
            crowd = find_crowd(facts[role])
            if crowd:
                logger.warning(
                    "%s: %d of %d images have the %s %r, far more than any other: if it stands for nobody, leave these "
                    "cells empty, for it is taken for one",
                    name,
                    crowd[1],
                    len(table),
                    role.replace("_", " "),
                    crowd[0],
                )
    if all(role in facts for role in GROUPS):
        within = _read_numbers_within(facts["patient_id"], once_each(as_word, table[sources["lesion_id"]]))
        if within is not None:
            logger.warning("%s: the numbers of lesions restart with each patient, and are read so", name)
            facts["lesion_id"] = _objects(within)
            lost.pop("lesion", None)
    warn_of_lost(lost, name)
    return facts


def _read_numbers_within(patients: Sequence[Any], lesions: Sequence[str]) -> list[str | None] | None:
    """Read numbers of lesions that restart with each patient, at 0 or 1; None if they are no such numbers."""
    of_patient: dict[str, set[int]] = {}
    for patient, lesion in zip(patients, lesions, strict=True):
        if not patient or not lesion:
            continue
        if not NUMBER.fullmatch(lesion) or not 0 <= float(lesion) <= _HIGHEST_NUMBER:
            return None
        of_patient.setdefault(patient, set()).add(int(float(lesion)))
    n_from_start = sum(min(numbers) <= 1 for numbers in of_patient.values())
    if n_from_start < 2 or 2 * n_from_start <= len(of_patient):
        return None
    pairs = zip(patients, lesions, strict=True)
    return [f"{patient}/{int(float(lesion))}" if patient and lesion else None for patient, lesion in pairs]


def _objects(cells: Sequence[Any]) -> NDArray[np.object_]:
    return np.fromiter(cells, dtype=object, count=len(cells))


def _image_ids(table: pd.DataFrame, sources: Mapping[str, str]) -> NDArray[np.object_]:
    """Take the ids; of a table of paths, the names of the files, or the paths where several have one name."""
    if "image_id" in sources:
        return _objects([as_text(cell) for cell in table[sources["image_id"]]])
    paths = [as_text(cell) for cell in table[sources["path"]]]
    names = [path.replace("\\", "/").rpartition("/")[2] for path in paths]
    stems = {split_suffix(name)[0] for name in names}
    return _objects(names if len(stems) == len(set(paths)) else paths)
