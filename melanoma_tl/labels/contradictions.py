"""What a table says of its patients and diagnoses that cannot all be so, or is one thing in several words."""

import logging
from collections import Counter

import pandas as pd

from melanoma_tl.errors import DatasetError
from melanoma_tl.labels.spellings import check_spellings

logger = logging.getLogger(__name__)

_SEXES = ("female", "male")
_N_SHOWN = 3


def count_sexes(metadata: pd.DataFrame) -> pd.DataFrame:
    """Count the images of each patient who is female in some images and male in others.

    Ages are not compared: patients are photographed for years.

    Parameters
    ----------
    metadata : pandas.DataFrame
        As that of an `ISBIDataset`.

    Returns
    -------
    pandas.DataFrame
        One row a patient, the index; the columns ``female`` and ``male``, numbers of images. Empty where there is none.
    """
    if not {"patient_id", "sex"} <= set(metadata):
        return pd.DataFrame(columns=_SEXES, dtype=int)
    known = metadata.loc[metadata["sex"].isin(_SEXES), ["patient_id", "sex"]].dropna()
    counts = pd.crosstab(known["patient_id"], known["sex"]).reindex(columns=_SEXES, fill_value=0)
    return counts[(counts > 0).all(axis=1)]


def list_sex_conflicts(metadata: pd.DataFrame) -> list[tuple[int, str]]:
    """List the images of the patients of `count_sexes`.

    Parameters
    ----------
    metadata : pandas.DataFrame
        As that of an `ISBIDataset`.

    Returns
    -------
    list of tuple of int and str
        Position and description of each image.
    """
    said = {
        patient: f"patient {patient} is female in {row.female} of the images and male in {row.male}"
        for patient, row in count_sexes(metadata).iterrows()
    }
    return [(row, said[patient]) for row, patient in enumerate(metadata.get("patient_id", ())) if patient in said]


def warn_of_contradictions(metadata: pd.DataFrame, name: str) -> None:
    """Warn of patients of two sexes, and of diagnoses that are two spellings of one.

    Parameters
    ----------
    metadata : pandas.DataFrame
        As that of an `ISBIDataset`.
    name : str
        Name of the dataset, for the message.
    """
    patients = count_sexes(metadata).index.tolist()
    if patients:
        logger.warning(
            "%s: %d patient%s female in some images and male in others (%s%s); verify() lists the images",
            name,
            len(patients),
            " is" if len(patients) == 1 else "s are",
            ", ".join(map(repr, patients[:_N_SHOWN])),
            ", …" * (len(patients) > _N_SHOWN),
        )
    if "diagnosis" in metadata:
        counts = Counter(map(str, metadata["diagnosis"].dropna()))
        try:
            check_spellings(dict(counts.most_common()), "dataset.metadata['diagnosis']")
        except DatasetError as error:
            logger.warning("%s: %s", name, error)
