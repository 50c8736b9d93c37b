"""Find or fetch the file of pre-trained weights."""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from melanoma_tl.backbones.spec import BackboneSpec, PresetWeights, PretrainedWeights
from melanoma_tl.errors import ParameterError, WeightsUnavailableError, require_file

logger = logging.getLogger(__name__)

WEIGHTS_VARIABLE = "MELANOMA_TL_WEIGHTS"
"""Environment variable that names a folder of weights files."""

_SHA256_LENGTH = 64
"""Hexadecimal digits by which Keras too tells SHA-256 from MD5."""


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights, and what is known of it.

    Attributes
    ----------
    path : str
        Where it is; for a preset its name.
    md5 : str or None
        MD5 of its bytes, in hexadecimal; None for a preset.
    official : bool
        Whether it is known to be what the backbone's authors distribute: the file has
        the published hash, or is the preset's own. False where no hash is published.
    """

    path: str
    md5: str | None
    official: bool


def find_weights(spec: BackboneSpec, weights: str | os.PathLike[str] | None) -> WeightsFile | None:
    """Find the weights that the user asked for.

    ``"imagenet"`` looks in the folder that ``MELANOMA_TL_WEIGHTS`` names, then in
    Keras's cache, and then downloads the file as Keras does. For a preset of KerasHub it
    means the preset's own weights, whatever they were trained on.

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
        require_file(path, WeightsUnavailableError, "weights must be the path of a file, 'imagenet' or None")
    elif official is None:
        raise ParameterError(f"the backbone {spec.name!r} has no ImageNet weights: pass weights=None or a file's path")
    elif isinstance(official, PresetWeights):
        return WeightsFile(official.name, None, official=True)
    else:
        path = _find_in_folder(official) or _download(spec.name, official)
    md5 = _compute_hash(path, "md5")
    found = WeightsFile(str(path), md5, _is_official(path, md5, official))
    logger.info(
        "weights of %s: %s (md5 %s, %s)", spec.name, path, md5, "official" if found.official else "not official"
    )
    return found


def _is_official(path: Path, md5: str, official: PretrainedWeights | PresetWeights | None) -> bool:
    expected = official.file_hash if isinstance(official, PretrainedWeights) else None
    if expected is None:
        return False
    return expected == (_compute_hash(path, "sha256") if len(expected) == _SHA256_LENGTH else md5)


def _compute_hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _find_in_folder(official: PretrainedWeights) -> Path | None:
    folder = os.environ.get(WEIGHTS_VARIABLE)
    candidates = [Path(folder) / name for name in official.file_names] if folder else []
    return next((path for path in candidates if path.is_file()), None)


def _download(name: str, official: PretrainedWeights) -> Path:
    """Fetch the file into Keras's own cache, where Keras and other libraries find it too."""
    from keras.utils import get_file

    try:
        return Path(get_file(official.file_names[0], official.url, cache_subdir="models", file_hash=official.file_hash))
    # Keras raises a bare Exception for an unreachable hub and a ValueError for a wrong hash.
    except Exception as error:
        raise WeightsUnavailableError(
            f"the ImageNet weights of {name!r} could not be downloaded ({error}). Fetch {official.url} "
            f"({_name_hash(official)}) on a machine with network, put it into a folder under the name "
            f"{official.file_names[0]}, and set {WEIGHTS_VARIABLE} to that folder; "
            "or pass weights=None for random weights."
        ) from error


def _name_hash(official: PretrainedWeights) -> str:
    if official.file_hash is None:
        return "no hash of it is published"
    return f"{'sha256' if len(official.file_hash) == _SHA256_LENGTH else 'md5'} {official.file_hash}"
