"""The challenges as data: what the official files are called and what they should hold."""

from dataclasses import dataclass
from typing import Literal

from melanoma_tl.errors import UnknownNameError

LabelFormat = Literal["words", "floats", "headed_floats"]


@dataclass(frozen=True)
class Challenge:
    """One split of one year's melanoma classification task.

    Attributes
    ----------
    year : int
        Year of the challenge.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``.
    title : str
        Name for people.
    image_dir : str
        Folder of the images inside the unpacked archives.
    ground_truth : str
        File name of the labels.
    label_format : {"words", "floats", "headed_floats"}
        ``id,benign`` without a header; ``id,0.0`` without a header; or a header
        with a ``melanoma`` column of 0.0 and 1.0.
    n_benign, n_melanoma : int
        Official number of images of each class.
    """

    year: int
    split: str
    title: str
    image_dir: str
    ground_truth: str
    label_format: LabelFormat
    n_benign: int
    n_melanoma: int


# Counts: Gutman et al. 2016 (arXiv:1605.01397, Part 3) and Codella et al. 2017 (arXiv:1710.05006, Part 3),
# checked against the ground-truth files themselves.
CHALLENGES = (
    Challenge(
        2016,
        "train",
        "ISBI 2016 train",
        "ISBI2016_ISIC_Part3_Training_Data",
        "ISBI2016_ISIC_Part3_Training_GroundTruth.csv",
        "words",
        727,
        173,
    ),
    Challenge(
        2016,
        "test",
        "ISBI 2016 test",
        "ISBI2016_ISIC_Part3_Test_Data",
        "ISBI2016_ISIC_Part3_Test_GroundTruth.csv",
        "floats",
        304,
        75,
    ),
    Challenge(
        2017,
        "train",
        "ISIC 2017 train",
        "ISIC-2017_Training_Data",
        "ISIC-2017_Training_Part3_GroundTruth.csv",
        "headed_floats",
        1626,
        374,
    ),
    Challenge(
        2017,
        "validation",
        "ISIC 2017 validation",
        "ISIC-2017_Validation_Data",
        "ISIC-2017_Validation_Part3_GroundTruth.csv",
        "headed_floats",
        120,
        30,
    ),
    Challenge(
        2017,
        "test",
        "ISIC 2017 test",
        "ISIC-2017_Test_v2_Data",
        "ISIC-2017_Test_v2_Part3_GroundTruth.csv",
        "headed_floats",
        483,
        117,
    ),
)


def get_challenge(year: int, split: str) -> Challenge:
    """Look up one split of one challenge.

    Parameters
    ----------
    year : int
        2016 or 2017.
    split : str
        ``"train"``, ``"validation"`` (2017 only) or ``"test"``.

    Returns
    -------
    Challenge
        The entry of the table.

    Raises
    ------
    UnknownNameError
        If there is no such split; the message lists all there are.

    Examples
    --------
    >>> get_challenge(2016, "train").n_melanoma
    173
    """
    table = {f"{entry.year} {entry.split}": entry for entry in CHALLENGES}
    try:
        return table[f"{year} {split}"]
    except KeyError:
        raise UnknownNameError(
            "challenge split", f"{year} {split}", table, "Other data: ISBIDataset.from_csv or from_folder."
        ) from None
