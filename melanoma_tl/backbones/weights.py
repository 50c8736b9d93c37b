"""Find or fetch the file of pre-trained weights."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_tl._checksums import hash_of
from melanoma_tl._keras.quiet import without_lines_of_keras
from melanoma_tl._parameters import show
from melanoma_tl._progress import progress
from melanoma_tl.backbones.spec import BackboneSpec, EncoderIdentity, PartWeights, PresetWeights, PretrainedWeights
from melanoma_tl.corpora import NOTHING
from melanoma_tl.errors import ParameterError, WeightsUnavailableError, require_file

logger = logging.getLogger(__name__)

WEIGHTS_VARIABLE = "MELANOMA_TL_WEIGHTS"
"""Environment variable that names a folder of weights files."""

_SHA256_LENGTH = 64
"""Hexadecimal digits by which Keras too tells SHA-256 from MD5."""


_named: set[tuple[str, str]] = set()
"""Files, and their MD5, of which this process has said that they are not those that Keras publishes."""


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


def find_weights(spec: BackboneSpec, weights: str | os.PathLike[str] | None, *, verbose: int = 1) -> WeightsFile | None:
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
    verbose : int, default=1
        0 shows no progress of a download.

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
    official = spec.weights
    if isinstance(official, EncoderIdentity):
        if weights != "imagenet":
            raise ParameterError(
                f"{spec.name!r} is a frozen encoder, which has weights of its own: leave weights out, "
                f"got weights={show(weights)}"
            )
        return WeightsFile(f"{official.name} (sha256 {official.digest})", None, official=False)
    if weights is None:
        return None
    if isinstance(official, PartWeights):
        if weights != "imagenet":
            raise ParameterError(
                f"{spec.name!r} are several backbones, and one file holds the weights of one: put the files into a "
                f"folder that {WEIGHTS_VARIABLE} names, and leave weights out"
            )
        return WeightsFile(f"those of {spec.name}", None, official=False)
    if weights != "imagenet":
        path = Path(weights)
        require_file(path, WeightsUnavailableError, "weights must be the path of a file, 'imagenet' or None")
    elif official is None:
        raise ParameterError(f"the backbone {spec.name!r} has no ImageNet weights: pass weights=None or a file's path")
    elif isinstance(official, PresetWeights):
        return WeightsFile(official.name, None, official=True)
    else:
        path = _find_in_folder(official) or _download(spec.name, official, verbose)
    md5 = hash_of(path, "md5")
    found = WeightsFile(str(path), md5, _is_official(path, md5, official))
    _log(spec, found, by_name=weights == "imagenet")
    return found


def describe_backbone(spec: BackboneSpec, weights: WeightsFile | None, *, by_name: bool) -> dict[str, Any]:
    """State what a network starts from: what its backbone was trained on, and under which terms.

    Parameters
    ----------
    spec : BackboneSpec
        The backbone.
    weights : WeightsFile or None
        Its weights; None for random ones.
    by_name : bool
        Whether they were asked for as "imagenet", and not by the path of a file.

    Returns
    -------
    dict
        "name", "license", "source", "pretrained_on", "may_redistribute" and "references", as JSON can hold them. They
        are those of the backbone only for its own weights: of a file that is not known to hold them, nothing is stated.
    """
    # Without published weights, what is registered is said of the file that the user has.
    own = weights is not None and (weights.official or spec.weights is None or (by_name and not _has_hash(spec)))
    source = spec.source if own or weights is None else _describe_other(spec, weights)
    facts: dict[str, Any] = {"name": spec.name, "license": "", "source": source}
    facts |= {"pretrained_on": "" if weights else NOTHING, "may_redistribute": None, "references": []}
    if own:
        facts |= {"license": spec.license, "pretrained_on": spec.pretrained_on}
        facts |= {"may_redistribute": spec.may_redistribute, "references": list(spec.references)}
    return facts


def _log(spec: BackboneSpec, found: WeightsFile, *, by_name: bool) -> None:
    """Log which file it is; who asked for the published one is warned once of each other file that is found instead."""
    told, published = (spec.name, found.path, found.md5), spec.weights
    if found.official or not by_name or not isinstance(published, PretrainedWeights) or published.file_hash is None:
        official = "official" if found.official else "not official"
        logger.info("weights of %s: %s (md5 %s, %s)", *told, official)
    elif (found.path, str(found.md5)) not in _named:
        _named.add((found.path, str(found.md5)))
        logger.warning(
            "weights of %s: %s (md5 %s) is not the file that Keras publishes (%s): results may differ",
            *told,
            _name_hash(published),
        )


def _describe_other(spec: BackboneSpec, weights: WeightsFile) -> str:
    """Say of a file that is not known to be the published one what follows from that, and what that one is."""
    what = "is not the official file" if _has_hash(spec) else "is not known to be the official file"
    official = "; ".join(filter(None, (spec.license, spec.source)))
    told = f"{Path(weights.path).name} {what}, so what it was trained on is not known"
    return f"{told} (the official file: {official})" if official else told


def _has_hash(spec: BackboneSpec) -> bool:
    return isinstance(spec.weights, PretrainedWeights) and spec.weights.file_hash is not None


def _is_official(path: Path, md5: str, official: Any) -> bool:
    expected = official.file_hash if isinstance(official, PretrainedWeights) else None
    if expected is None:
        return False
    return expected == (hash_of(path, "sha256") if len(expected) == _SHA256_LENGTH else md5)


def _find_in_folder(official: PretrainedWeights) -> Path | None:
    folder = os.environ.get(WEIGHTS_VARIABLE)
    candidates = [Path(folder) / name for name in official.file_names] if folder else []
    return next((path for path in candidates if path.is_file()), None)


def _download(name: str, official: PretrainedWeights, verbose: int) -> Path:
    """Fetch the file into Keras's own cache, where Keras and other libraries find it too."""
    from keras.utils import get_file

    try:
        with without_lines_of_keras(), progress(work=f"Fetch the weights of {name}", unit="", verbose=verbose):
            file = get_file(official.file_names[0], official.url, cache_subdir="models", file_hash=official.file_hash)
        return Path(file)
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
