"""Find or fetch the file of pre-trained weights."""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from melanoma_tl.backbones.registry import BackboneSpec, PretrainedWeights
from melanoma_tl.errors import ParameterError, WeightsUnavailableError

logger = logging.getLogger(__name__)

WEIGHTS_VARIABLE = "MELANOMA_TL_WEIGHTS"
"""Environment variable that names a folder of weights files."""


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights, and what is known of it.

    Attributes
    ----------
    path : str
        Where it is.
    md5 : str
        MD5 of its bytes, in hexadecimal.
    official : bool
        Whether that is the MD5 of the file that Keras distributes.
    """

    path: str
    md5: str
    official: bool


def find_weights(spec: BackboneSpec, weights: str | os.PathLike[str] | None) -> WeightsFile | None:
    """Find the weights that the user asked for.

    ``"imagenet"`` looks in the folder that ``MELANOMA_TL_WEIGHTS`` names, then in
    Keras's cache, and then downloads the file as Keras does.

    Parameters
    ----------
    spec : BackboneSpec
        The backbone.
    weights : "imagenet", path or None
        What the user asked for.

    Returns
    -------
    WeightsFile or None
        None for random weights.

    Raises
    ------
    WeightsUnavailableError
        If there is no such file, or it cannot be downloaded.
    ParameterError
        If the backbone has no ImageNet weights.
    """
    if weights is None:
        return None
    official = spec.weights
    if weights != "imagenet":
        path = Path(weights)
        if not path.is_file():
            raise WeightsUnavailableError(f"{path}: no such weights file; give a path, 'imagenet' or None")
    elif official is None:
        raise ParameterError(f"the backbone {spec.name!r} has no ImageNet weights: pass weights=None or a file's path")
    else:
        path = _find_in_folder(official) or _download(spec.name, official)
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    found = WeightsFile(str(path), md5, official is not None and md5 == official.md5)
    logger.info(
        "weights of %s: %s (md5 %s, %s)", spec.name, path, md5, "official" if found.official else "not official"
    )
    return found


def _find_in_folder(official: PretrainedWeights) -> Path | None:
    folder = os.environ.get(WEIGHTS_VARIABLE)
    candidates = [Path(folder) / name for name in official.file_names] if folder else []
    return next((path for path in candidates if path.is_file()), None)


def _download(name: str, official: PretrainedWeights) -> Path:
    """Fetch the file into Keras's own cache, where Keras and other libraries find it too."""
    from keras.utils import get_file

    try:
        return Path(get_file(official.file_names[0], official.url, cache_subdir="models", file_hash=official.md5))
    # Keras raises a bare Exception for an unreachable hub and a ValueError for a wrong hash.
    except Exception as error:
        raise WeightsUnavailableError(
            f"the ImageNet weights of {name!r} could not be downloaded ({error}). Fetch {official.url} "
            f"(md5 {official.md5}) on a machine with network, put it into a folder under the name "
            f"{official.file_names[0]}, and set {WEIGHTS_VARIABLE} to that folder; "
            "or pass weights=None for random weights."
        ) from error
