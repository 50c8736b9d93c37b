"""Drawn lesions in the layout of the ISBI challenges: a first run without any download, and data for tests.

Every pixel comes from a formula; no photograph is copied or sampled. Skin and lesion are layers of two pigments,
melanin and blood, which take light away as the Beer-Lambert law says (Anderson and Parrish, 1981,
J Invest Dermatol 77:13): this alone turns a little melanin into tan, more into brown and much into black. Lengths are
shares of the image's width, so that a lesion looks alike at every size.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from melanoma_tl._atomic import replacing_many
from melanoma_tl._parameters import checked, whole
from melanoma_tl._progress import progress
from melanoma_tl.datasets.challenges import CHALLENGES, Challenge
from melanoma_tl.datasets.lesion_drawing import WIDTH, draw_lesion
from melanoma_tl.errors import ParameterError, UnknownNameError

__all__ = ["draw_lesion", "write_challenge", "write_isbi"]

_logger = logging.getLogger(__name__)
_JPEG_QUALITY = 92
_MELANOMA_SHARE = 0.2  # 173 of 900, 75 of 379 and 117 of 600 in the three sets that `write_isbi` stands in for
_DRAWN = {f"{entry.year} {entry.split}": entry for entry in CHALLENGES if entry.year in (2016, 2017)}
_SPLIT_DIGIT = {"train": 0, "validation": 1, "test": 2}
_MOST_IMAGES = 100_000  # one block of ids
_NUMBERS = {"size": WIDTH, "random_state": whole(at_least=0)}


@checked(**dict.fromkeys(("n_benign", "n_melanoma"), whole(at_least=0)), **_NUMBERS)
def write_challenge(
    folder: str | os.PathLike[str],
    *,
    year: int = 2016,
    split: str = "train",
    n_benign: int = 160,
    n_melanoma: int = 40,
    size: int = 256,
    random_state: int = 0,
    verbose: bool | int = False,
) -> Path:
    """Write drawn lesions as one split of a challenge: its folder of JPEG images and its ground-truth file.

    Parameters
    ----------
    folder : path
        Where to write, made if needed. The splits of all years can share it.
    year : int, default=2016
        2016 or 2017.
    split : {"train", "validation", "test"}, default="train"
        The split; 2016 has no ``"validation"``.
    n_benign, n_melanoma : int, default=160 and 40
        Images of each class, together from 1 to 100,000. They come in random order.
    size : int, default=256
        Height and width of the images in pixels, at least 16.
    random_state : int, default=0
        The seed, 0 or more. The same arguments and versions of NumPy, SciPy and Pillow write the same bytes.
    verbose : bool or int, default=False
        Show a progress bar.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    ParameterError
        If a number is out of range, or the folder already holds another ground truth for this split: it may be the
        real one, and is never replaced.
    UnknownNameError
        If the challenge has no such split.

    Notes
    -----
    The first three digits of an id name the drawing's year and split, as in ``ISIC_6000000`` (2016 train) and
    ``ISIC_7200000`` (2017 test). So no two splits share an id, and none is an id of these challenges. All benign
    lesions are naevi: ``seborrheic_keratosis`` is 0.0 throughout. The ground truth is written last; where it exists,
    the split is complete.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from melanoma_tl.datasets.synthetic import write_challenge
    >>> with TemporaryDirectory() as temporary:
    ...     folder = write_challenge(temporary, split="test", n_benign=2, n_melanoma=1, size=64)
    ...     print((folder / "ISBI2016_ISIC_Part3_Test_GroundTruth.csv").read_text().strip())
    ISIC_6200000,1.0
    ISIC_6200001,0.0
    ISIC_6200002,0.0
    """
    challenge = _DRAWN.get(f"{year} {split}")
    if challenge is None:
        raise UnknownNameError("challenge split to draw", f"{year} {split}", _DRAWN)
    if not 1 <= n_benign + n_melanoma <= _MOST_IMAGES:
        raise ParameterError(
            f"n_benign={n_benign} and n_melanoma={n_melanoma}: expected 1 to {_MOST_IMAGES:,} images in all."
        )
    order_seed, *image_seeds = np.random.SeedSequence([random_state, year, _SPLIT_DIGIT[split]]).spawn(
        1 + n_benign + n_melanoma
    )
    labels = np.random.default_rng(order_seed).permutation(np.repeat([False, True], [n_benign, n_melanoma])).tolist()
    ids = [f"{_id_start(challenge)}{number:05d}" for number in range(len(labels))]
    ground_truth = _format_ground_truth(ids, labels, challenge)

    folder = Path(folder)
    _check_not_another(folder / challenge.ground_truth, ground_truth)
    (folder / challenge.image_dirs[0]).mkdir(parents=True, exist_ok=True)
    drawings = zip(ids, labels, image_seeds, strict=True)
    bar = progress(drawings, f"Draw {challenge.title}", total=len(ids), verbose=verbose)
    with replacing_many(folder) as write_atomically:
        for image_id, melanoma, seed in bar:
            image = draw_lesion(melanoma, size=size, random_state=np.random.default_rng(seed))
            with write_atomically(folder / challenge.image_dirs[0] / f"{image_id}.jpg") as unfinished:
                Image.fromarray(image).save(unfinished, format="JPEG", quality=_JPEG_QUALITY)
        with write_atomically(folder / challenge.ground_truth) as unfinished:
            unfinished.write_bytes(ground_truth)
    _logger.info("Drew %s: %d benign and %d melanoma images in %s", challenge.title, n_benign, n_melanoma, folder)
    return folder


@checked(**dict.fromkeys(("n_train", "n_validation", "n_test"), whole(at_least=2)), **_NUMBERS)
def write_isbi(
    folder: str | os.PathLike[str],
    *,
    n_train: int = 200,
    n_validation: int = 100,
    n_test: int = 100,
    size: int = 256,
    random_state: int = 0,
    verbose: bool | int = True,
) -> Path:
    """Write drawn stand-ins for the three sets of the quick start, a fifth of them melanomas as in the challenges.

    Parameters
    ----------
    folder : path
        Where to write, made if needed.
    n_train, n_validation, n_test : int, default=200, 100 and 100
        Images in ISBI 2016 train (to learn from), ISBI 2016 test (to validate) and ISIC 2017 test; each at least 2.
    size : int, default=256
        Height and width of the images in pixels, at least 16.
    random_state : int, default=0
        The seed, 0 or more.
    verbose : bool or int, default=True
        Show progress bars.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    ParameterError
        As `write_challenge`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from melanoma_tl.datasets.synthetic import write_isbi
    >>> with TemporaryDirectory() as temporary:
    ...     folder = write_isbi(temporary, n_train=6, n_validation=4, n_test=4, size=64, verbose=False)
    ...     len(list(folder.rglob("*.jpg")))
    14
    """
    sets = [
        (n_train, 2016, "train"),
        (n_validation, 2016, "test"),
        (n_test, 2017, "test"),
    ]
    with progress(work="Draw lesions", total=n_train + n_validation + n_test, verbose=verbose) as shown:
        for count, year, split in sets:
            n_melanoma = max(1, round(_MELANOMA_SHARE * count))
            write_challenge(
                folder,
                year=year,
                split=split,
                n_benign=count - n_melanoma,
                n_melanoma=n_melanoma,
                size=size,
                random_state=random_state,
                verbose=verbose,
            )
            shown.update(count)
    return Path(folder)


def are_drawn(image_ids: Sequence[str], challenge: Challenge) -> bool:
    """Return whether images were drawn by `write_challenge`, which their ids tell.

    Parameters
    ----------
    image_ids : sequence of str
        At least one.
    challenge : Challenge
        What they were read as.

    Returns
    -------
    bool
        False where one id is another.
    """
    return challenge in _DRAWN.values() and all(one.startswith(_id_start(challenge)) for one in image_ids)


def _id_start(challenge: Challenge) -> str:
    return f"ISIC_{challenge.year % 10}{_SPLIT_DIGIT[challenge.split]}"


def _format_ground_truth(ids: list[str], labels: list[bool], challenge: Challenge) -> bytes:
    headed = challenge.id_column is not None
    benign, melanoma = ("0.0", "1.0") if headed or challenge.split == "test" else ("benign", "malignant")
    header, end = (["image_id,melanoma,seborrheic_keratosis"], ",0.0") if headed else ([], "")
    rows = [f"{i},{melanoma if label else benign}{end}" for i, label in zip(ids, labels, strict=True)]
    return "".join(f"{row}\n" for row in header + rows).encode()


def _check_not_another(path: Path, ground_truth: bytes) -> None:
    if path.exists() and path.read_bytes() != ground_truth:
        raise ParameterError(
            f"folder={str(path.parent)!r} holds another {path.name} than would be drawn: "
            "the real one, or drawn with other numbers or another seed. "
            "Give an empty folder, or delete the drawn one first."
        )
