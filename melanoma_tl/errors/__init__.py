"""Every error the library raises, each also a standard Python or scikit-learn error, and wording that they share."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melanoma_tl.errors._base import MelanomaTLError

if TYPE_CHECKING:
    from melanoma_tl.errors._not_fitted import NotFittedError

__all__ = [
    "CacheError",
    "ContractError",
    "DatasetError",
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
        super().__init__(f"{source}: {reason}")
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
    """

    def __init__(self, kind: str, given: object, valid: Iterable[str], how_to_add: str = "") -> None:
        names = sorted(valid)
        nearest = difflib.get_close_matches(str(given).lower(), names, n=1)
        parts = [f"Unknown {kind} {given!r}."]
        if nearest:
            parts.append(f"Did you mean {nearest[0]!r}?")
        parts.append(f"Known: {', '.join(map(repr, names)) or 'none'}.")
        if how_to_add:
            parts.append(how_to_add)
        super().__init__(" ".join(parts))
        self.kind, self.given, self.valid, self.how_to_add = kind, given, names, how_to_add

    def __reduce__(self) -> tuple[type, tuple[str, object, list[str], str]]:
        return type(self), (self.kind, self.given, self.valid, self.how_to_add)


class DuplicateNameError(MelanomaTLError, ValueError):
    """A name is registered already."""


class TrainingError(MelanomaTLError, ArithmeticError):
    """Training cannot continue: the loss became NaN or infinite, or memory is full."""


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
