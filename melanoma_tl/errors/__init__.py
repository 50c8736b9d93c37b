"""Every error the library raises, each also a standard Python or scikit-learn error, and wording that they share."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melanoma_tl._escaping import shorten
from melanoma_tl.errors._base import MelanomaTLError

if TYPE_CHECKING:
    from melanoma_tl.errors._not_fitted import NotFittedError

__all__ = [
    "CacheError",
    "ContractError",
    "DatasetError",
    "DeviceError",
    "DownloadError",
    "DuplicateNameError",
    "ExportError",
    "ImageError",
    "JobError",
    "LeakageError",
    "LeakageWarning",
    "MelanomaTLError",
    "MissingPackageError",
    "ModelFileError",
    "NotFittedError",
    "ParameterError",
    "PluginWarning",
    "TrainingError",
    "UnknownNameError",
    "UploadError",
    "WeightsUnavailableError",
    "WriteError",
]

_MOST_NAMES, _N_NEAREST, _LONGEST_NAME = 32, 8, 60
"""Names in a message: up to how many are all listed, how many of more, and the characters of each."""

_LONGEST_SOURCE = 200
"""Characters of the name of an image in a message: where a path is expected, whole files are given as text."""

_LEAST_BEGINNING, _LEAST_PART = 3, 4
"""Letters from which a name may be meant by its beginning, and by another part of it."""


def __getattr__(name: str) -> Any:
    """Make `NotFittedError` when it is first asked for: scikit-learn, its base, takes a second to import."""
    if name != "NotFittedError":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from melanoma_tl.errors._not_fitted import NotFittedError

    return NotFittedError


class DatasetError(MelanomaTLError, ValueError):
    """A table of images cannot be read, or does not hold what was asked of it."""


class ImageError(MelanomaTLError, ValueError):
    """An image is missing, cannot be decoded, or is not what a classifier can use.

    Parameters
    ----------
    source : str
        The file or the position of the image.
    reason : str
        What is wrong with it.

    Attributes
    ----------
    source, reason : str
        As given.
    """

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{shorten(source, _LONGEST_SOURCE)}: {reason}")
        self.source = source
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.source, self.reason)


class LeakageError(MelanomaTLError, ValueError):
    """Two datasets that must be disjoint share images."""


class LeakageWarning(UserWarning):
    """A model is judged, or its training watched, on images that it was trained on."""


class ParameterError(MelanomaTLError, ValueError):
    """A parameter has a value that the library cannot use."""


class UnknownNameError(MelanomaTLError, ValueError):
    """A name (a backbone, a recipe, a class) is not known.

    Parameters
    ----------
    kind : str
        What the name should have named, such as ``"backbone"``.
    given : object
        The name that was given.
    valid : iterable of str
        All names that exist.
    how_to_add : str, default=""
        A sentence that tells how to add a new one.
    suggested : iterable of str, optional
        Those of them that may have been meant; all by default.
    """

    def __init__(
        self,
        kind: str,
        given: object,
        valid: Iterable[str],
        how_to_add: str = "",
        suggested: Iterable[str] | None = None,
    ) -> None:
        names = sorted(valid)
        may_be_meant = names if suggested is None else sorted(suggested)
        nearest = find_meant(given, may_be_meant)
        parts = [f"Unknown {kind} {_in_short(given)}."]
        if nearest is not None:
            parts.append(f"Did you mean {_in_short(nearest)}?")
        parts.append(_list_known(given, names))
        if how_to_add:
            parts.append(how_to_add)
        super().__init__(" ".join(parts))
        self.kind, self.given, self.valid, self.how_to_add, self.suggested = (
            kind,
            given,
            names,
            how_to_add,
            may_be_meant,
        )

    def __reduce__(self) -> tuple[type, tuple[str, object, list[str], str, list[str]]]:
        return type(self), (self.kind, self.given, self.valid, self.how_to_add, self.suggested)


class DuplicateNameError(MelanomaTLError, ValueError):
    """A name is registered already."""


class TrainingError(MelanomaTLError, ArithmeticError):
    """Training cannot continue: the loss became NaN or infinite, or another process of it has ended."""


class DeviceError(MelanomaTLError, RuntimeError):
    """What a network computes on has too little memory, or has failed and cannot be used any more."""


class PluginWarning(UserWarning):
    """The backbones of another package cannot be used, and are left out."""


class MissingPackageError(MelanomaTLError, ImportError):
    """Something is asked for that needs a package which is not installed."""


class ContractError(MelanomaTLError, AssertionError):
    """A backbone breaks the contract that `melanoma_tl.testing.check_backbone` checks."""


class WeightsUnavailableError(MelanomaTLError, OSError):
    """Pre-trained weights are neither on disk nor to be downloaded, or the file is not what it should be."""


class ModelFileError(MelanomaTLError, ValueError):
    """A model file is not one of ours, is damaged, could do harm, or comes from a version that cannot be read."""


class ExportError(MelanomaTLError, RuntimeError):
    """A model cannot be exported here, or the exported model does not give the same scores."""


class JobError(MelanomaTLError, RuntimeError):
    """A job over many images cannot start or go on; what it has finished stays."""


class CacheError(MelanomaTLError, OSError):
    """The folder of computed things cannot be read or written, or its disk is full."""


class WriteError(MelanomaTLError, OSError):
    """A file or a folder cannot be written: the disk is full, the folder is somebody else's, the name is too long."""


class DownloadError(MelanomaTLError, OSError):
    """A file cannot be fetched, is not what it should be, or is an archive that cannot be unpacked safely."""


class UploadError(MelanomaTLError, OSError):
    """A model cannot be uploaded."""


def find_meant(given: object, names: Iterable[str]) -> str | None:
    """Find the name that was probably meant.

    Parameters
    ----------
    given : object
        What was given instead.
    names : iterable of str
        Those that exist.

    Returns
    -------
    str or None
        The one that is the same but for capitals, blanks and marks; else that of nearly the same letters; else the
        first that is a part of what was given, or of which that is a part.

    Examples
    --------
    >>> find_meant("pad ufes", ["PH2", "PAD-UFES-20"]), find_meant("epoch", ["epochs"]), find_meant("lr", ["loss"])
    ('PAD-UFES-20', 'epochs', None)
    """
    word, bare = _bare(given), {name: _bare(name) for name in names}
    near = {*difflib.get_close_matches(word, bare.values(), n=1)}
    for fits in (
        lambda other: other == word,
        lambda other: other in near,
        lambda other: _is_part(*sorted((word, other), key=len)),
    ):
        if found := [name for name, other in bare.items() if fits(other)]:
            return found[0]
    return None


def _is_part(short: str, long: str) -> bool:
    return short in long and len(short) >= (_LEAST_BEGINNING if long.startswith(short) else _LEAST_PART)


def _bare(name: object) -> str:
    """Write a name without what is easily written otherwise."""
    return re.sub(r"[\W_]+", "", str(name)).casefold() or str(name)


def _list_known(given: object, names: list[str]) -> str:
    """List the names that exist; of many, the nearest."""
    if len(names) <= _MOST_NAMES:
        return f"Known: {', '.join(map(_in_short, names)) or 'none'}."
    bare = {_bare(name): name for name in names}
    nearest = [bare[word] for word in difflib.get_close_matches(_bare(given), bare, n=_N_NEAREST, cutoff=0)]
    return f"Known are {len(names)}, such as {', '.join(map(_in_short, sorted(nearest)))}."


def _in_short(name: object) -> str:
    text = repr(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…{text[0]}"


def in_one_line(error: BaseException, most: int = 300) -> str:
    r"""Describe an error of another library, or of the user's code, in one line of a message.

    Parameters
    ----------
    error : BaseException
        The error. Those of Keras have several lines, and colours for the terminal.
    most : int, default=300
        Maximum number of characters of its text.

    Returns
    -------
    str
        The class of the error and its text.

    Examples
    --------
    >>> in_one_line(ValueError("\x1b[1mwrong\x1b[0m\n\nshape"))
    'ValueError: wrong shape'
    """
    text = " ".join(re.sub(r"\x1b\[[\d;]*m", "", str(error)).split())
    return f"{type(error).__name__}: {text:.{most}}"


def require_file(path: Path, kind: type[MelanomaTLError], hint: str) -> None:
    """Raise an error unless a path is that of a file; to open a pipe would block.

    Parameters
    ----------
    path : Path
        The path.
    kind : type
        Class of the error.
    hint : str
        What the user can do.

    Raises
    ------
    MelanomaTLError
        If there is no such file, or the path is that of a folder, a device, a pipe or a socket.
    """
    if not path.is_file():
        raise kind(f"{path}: {'not a file' if path.exists() else 'no such file'}; {hint}")
