"""One ``.zip`` file of several models, and a document of what they have in common."""

import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from melanoma_tl._atomic import atomic_write_once, scratch
from melanoma_tl.errors import ModelFileError, WeightsUnavailableError
from melanoma_tl.saving.audit import ENSEMBLE_FILE, STATE_FILE, check_archive, check_model_archive, read_json
from melanoma_tl.saving.model_file import check_version, describing, open_archive

FORMAT_VERSION = 1

MAX_STATE_BYTES = 2**28
"""What the part that is no member may take: fingerprints of a million images need 120 MB."""

_MEMBER = re.compile(r"member_\d+\.keras", re.ASCII)


Member = TypeVar("Member")
Ensemble = TypeVar("Ensemble")


def save_ensemble(
    members: Sequence[Member], state: Mapping[str, Any], path: Path, save_member: Callable[[Member, Path], None]
) -> None:
    """Write models and a document into one file.

    Parameters
    ----------
    members : sequence of object
        The models.
    state : mapping of str to object
        The document; JSON can hold it, numbers of NumPy too.
    path : Path
        Must end in ``.zip``.
    save_member : callable
        Writes one ``.keras`` file.

    Raises
    ------
    ModelFileError
        If the path does not end in ``.zip``, or a member cannot be saved.
    """
    if path.suffix != ".zip":
        raise ModelFileError(f"the file of an ensemble ends in .zip, got {path.name!r}")
    document = {"format_version": FORMAT_VERSION, "members": len(members), **state}
    with (
        atomic_write_once(path) as unfinished,
        zipfile.ZipFile(unfinished, "w") as archive,  # stored as they are: members are compressed already
    ):
        archive.writestr(ENSEMBLE_FILE, json.dumps(document, default=lambda number: number.item()))
        for number, member in enumerate(members):
            file = unfinished.with_name(_member_file(number))
            save_member(member, file)
            archive.write(file, file.name)
            file.unlink()


def load_ensemble(
    path: Path, load_member: Callable[[Path], Member], make: Callable[[list[Member], dict[str, Any]], Ensemble]
) -> Ensemble:
    """Read a file that `save_ensemble` wrote, and that need not be trusted.

    Parameters
    ----------
    path : Path
        The file.
    load_member : callable
        Reads the ``.keras`` file of a member.
    make : callable
        Makes the ensemble of its members and the document, whose parts it checks.

    Returns
    -------
    object
        What `make` gives.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, not one of ours, or from a newer version, or a member is.
    """
    with open_archive(path, "a saved ensemble") as archive, scratch() as folder:
        state = _read_state(archive, path.stat().st_size)
        members = []
        for number in range(state["members"]):
            extracted = Path(archive.extract(_member_file(number), folder))
            try:
                members.append(load_member(extracted))
            except (ModelFileError, WeightsUnavailableError) as error:  # which names a file that is gone
                raise type(error)(str(error).replace(f"{extracted}: ", f"{extracted.name}: ")) from error.__cause__
            extracted.unlink()
        return describing(lambda: make(members, state))


def check_file(path: Path) -> None:
    """Check what a file holds, before anything of it is read or built.

    Parameters
    ----------
    path : Path
        A saved classifier, or a saved ensemble, which ends in ``.zip``.

    Raises
    ------
    ModelFileError
        If it is none, or damaged.
    """
    n_bytes = path.stat().st_size
    if path.suffix == ".zip":
        with open_archive(path, "a saved ensemble") as archive:
            _read_state(archive, n_bytes)
    else:
        with open_archive(path, "a model file") as archive:
            check_model_archive(archive, n_bytes)


def _member_file(number: int) -> str:
    return f"member_{number}.keras"


def _read_state(archive: zipfile.ZipFile, n_bytes: int) -> dict[str, Any]:
    """Check the directory of a saved ensemble, and read what is no member."""
    names = archive.namelist()
    if STATE_FILE in names:
        raise ModelFileError("a single classifier: open it with TransferClassifier.load")
    if ENSEMBLE_FILE not in names:
        raise ModelFileError(f"not a file that Ensemble.save wrote ({ENSEMBLE_FILE} is missing)")
    n_members = sum(_MEMBER.fullmatch(name) is not None for name in names)
    check_archive(
        archive, n_bytes, {ENSEMBLE_FILE: MAX_STATE_BYTES} | dict.fromkeys(map(_member_file, range(n_members)))
    )
    # What is stored as it is cannot unpack to more than the file holds.
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
        raise ModelFileError("not a file that Ensemble.save wrote: its parts are compressed")
    state = read_json(archive, ENSEMBLE_FILE)
    check_version(state, FORMAT_VERSION, "install the version that wrote it")
    if state.get("members") != n_members:
        raise ModelFileError(f"incomplete, it names {state.get('members')!r:.40} members and holds {n_members}")
    return state
