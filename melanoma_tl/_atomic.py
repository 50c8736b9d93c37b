"""Write a file or a folder whole or not at all, whoever else writes there or is killed meanwhile.

What is unfinished lies in a folder of its own with a random name and a lock in it. The lock goes when its process
ends, however it ends: whoever writes next beside it takes away what has no owner any more.
"""

import errno
import logging
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from melanoma_tl.distribution import is_first_process
from melanoma_tl.errors import MelanomaTLError, WriteError

logger = logging.getLogger(__name__)

_USER = os.getuid() if hasattr(os, "getuid") else 0
"""Windows keeps the folders of its users apart by itself, and says 0 of every file."""

_UNFINISHED = f".melanoma_tl_unfinished_{_USER}"
"""Folder beside what is written; another one for each user, for none may write into that of another."""

_SCRATCH = "melanoma_tl_unfinished_"
"""How the names of folders begin in the temporary folder of the machine."""

_LOCK, _REPLACED = ".lock", ".replaced"

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What systems say of files on a network that cannot be locked; filelock itself knows ENOSYS."""

_ATTEMPTS = 100
"""Who tidies up may take a new folder for left over before its lock is taken: then another one is made."""


def make_folder(folder: Path) -> None:
    """Make a folder, with those above it, also where another process deletes one of them meanwhile.

    Parameters
    ----------
    folder : Path
        May exist.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    for attempt in range(_ATTEMPTS):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            break
        except (FileNotFoundError, FileExistsError):  # pathlib raises either where the folder goes between its steps
            if attempt == _ATTEMPTS - 1:
                raise


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary name, and move the file into place if nothing went wrong.

    Nobody ever sees half a file under the true name, and what stood there before
    stays until the new file is complete. Missing folders are made. It may be a folder that is
    written: it takes the place of a folder, and never that of a file, nor a file that of a folder.
    Of several that write one name at once, the last to finish stays, whole.

    Parameters
    ----------
    path : Path
        The true name.

    Yields
    ------
    Path
        With the same suffix, in a folder beside it that nobody else uses, and that may hold further files meanwhile.

    Raises
    ------
    WriteError
        If it cannot be written; it says what to do.
    """
    with _as_write_error(path):
        path = Path(os.path.realpath(path)) if path.is_symlink() else path.absolute()  # of a circle: the link itself
        with replacing_many(path.parent) as replacing_one, replacing_one(path) as unfinished:
            yield unfinished


@contextmanager
def replacing_many(folder: Path) -> Iterator[Callable[[Path], AbstractContextManager[Path]]]:
    """Replace many files as `atomic_write` does, from one place: to make one takes longer than to write a small file.

    Parameters
    ----------
    folder : Path
        The files lie in it or below it.

    Yields
    ------
    callable
        What `atomic_write` is, for the files in this folder; from several threads at once, too.

    Raises
    ------
    WriteError
        As `atomic_write`.
    """
    with _as_write_error(folder), workplace(folder) as own:
        yield partial(_replacing, own)


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """Make a hidden folder in a folder, to move things there or from there in one step.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.

    Yields
    ------
    Path
        Nobody else uses it; it is deleted at the end, with all that is in it.
    """
    beside = folder / _UNFINISHED
    with suppress(FileNotFoundError):
        if not _is_own_folder(beside):
            message = "no folder of yours, though files are made in it: delete it"
            raise PermissionError(errno.EACCES, message, str(beside))
    try:
        with _own_folder(beside) as own:
            yield own
    finally:
        with suppress(OSError):  # others work there, too
            beside.rmdir()


def _can_be_replaced(path: Path) -> bool:
    """Return whether nothing, a file or a folder is there, by one look: other writers replace it meanwhile."""
    try:
        mode = path.stat().st_mode
    except PermissionError:
        raise
    except (OSError, ValueError):  # nothing is there, or nothing can be: then writing says why
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


@contextmanager
def _replacing(own: Path, path: Path) -> Iterator[Path]:
    with _as_write_error(path):
        if not _can_be_replaced(path):
            raise OSError(errno.EINVAL, "neither a file nor a folder, and not replaced", str(path))
        unfinished = own / f"{secrets.token_hex(8)}{path.suffix}"
        make_folder(path.parent)
        is_mine = _ownership()
        try:
            yield unfinished
        except BaseException:
            if is_mine():
                _remove(unfinished)
            raise
        if is_mine():
            _move(unfinished, path, own / _REPLACED)


_WHAT_TO_DO = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, for your share of the disk is used up",
    errno.EFBIG: "write to a disk that takes larger files",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that can be written to",
    errno.EISDIR: "give the name of a file, or delete the folder that has this name",
    errno.ENOTDIR: "delete the file that has this name, or choose another one",
    errno.EEXIST: "a folder cannot be made where a file has its name: choose another one",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EIO: "the disk failed: choose another one",
    errno.ESTALE: "the disk on the network is gone: choose another one",
}


def how_to_write(error: OSError) -> str:
    """Return what to do about a file that cannot be written.

    Parameters
    ----------
    error : OSError
        What the operating system said.

    Returns
    -------
    str
        The end of a message.
    """
    return _WHAT_TO_DO.get(error.errno or 0, "choose another folder or name")


@contextmanager
def _as_write_error(path: Path) -> Iterator[None]:
    """Turn an OSError into a WriteError that says what to do."""
    try:
        yield
    except OSError as error:
        if isinstance(error, MelanomaTLError):
            raise
        failure = WriteError(f"{path}: cannot be written ({error.strerror or error}): {how_to_write(error)}")
        failure.errno = error.errno
        raise failure from error


@contextmanager
def atomic_write_once(path: Path) -> Iterator[Path]:
    """Replace a file as `atomic_write` does, once where several processes write the same: only that of the first stays.

    Parameters
    ----------
    path : Path
        The true name.

    Yields
    ------
    Path
        With the same suffix, in a folder that nobody else uses.
    """
    if is_first_process():
        with atomic_write(path) as unfinished:
            yield unfinished
        return
    with scratch() as folder:
        yield folder / path.name


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder for files that are needed for a moment.

    Yields
    ------
    Path
        In the temporary folder of the machine; nobody but this user can read it.
    """
    with _own_folder(Path(tempfile.gettempdir()), _SCRATCH) as folder:
        yield folder


@contextmanager
def locked(file: Path, *, patience: float | None = None) -> Iterator[None]:
    """Be alone among all threads and processes that lock the same file.

    Parameters
    ----------
    file : Path
        Made, with its folder, and deleted at the end.
    patience : float, optional
        Seconds to wait for another; as long as it takes by default.

    Yields
    ------
    None
        The lock goes when the process ends, however it ends.

    Raises
    ------
    TimeoutError
        If another has not finished by then.
    """
    make_folder(file.parent)
    try:
        lock = _take(file)
    except Timeout:
        logger.warning("%s: another process or thread works there: waiting for it", file.parent)
        lock = _take(file, -1 if patience is None else patience)
    is_mine = _ownership()
    try:
        yield
    finally:
        if is_mine():
            with suppress(OSError):  # before it is released: a waiting process notices, and creates it again
                file.unlink()
            lock.release()


@contextmanager
def _own_folder(parent: Path, prefix: str = "") -> Iterator[Path]:
    """Make a folder that is removed at the end; by somebody else, if this process dies."""
    _tidy(parent, prefix)
    folder, lock = _claim(parent, prefix)
    is_mine = _ownership()
    try:
        yield folder
    finally:
        if is_mine():
            lock.release()
            _remove(folder)


def _ownership() -> Callable[[], bool]:
    """Return a check of being in the same process still: a fork has a copy of each block, and owns nothing."""
    process = os.getpid()
    return lambda: os.getpid() == process


def _claim(parent: Path, prefix: str) -> tuple[Path, BaseFileLock]:
    for attempt in range(_ATTEMPTS):
        try:
            parent.mkdir(parents=True, exist_ok=True)  # this loop tries again itself
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            lock = _take(folder / _LOCK)
            break
        except (FileNotFoundError, FileExistsError, Timeout):
            if attempt == _ATTEMPTS - 1:
                raise
    return folder, lock


def _take(file: Path, patience: float = 0) -> BaseFileLock:
    """Lock a file; where the file system has no locks, the file beside it that is there is the lock."""
    lock: BaseFileLock = FileLock(file)
    try:
        lock.acquire(timeout=patience)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        lock = SoftFileLock(file.with_name(f"{file.name}.soft"))
        lock.acquire(timeout=patience)
    return lock


def _tidy(parent: Path, prefix: str) -> None:
    """Remove what processes have left that were killed."""
    found: list[Path] = []
    with suppress(OSError):  # the last to finish removes the parent
        found.extend(parent.glob(f"{prefix}*"))
    for folder in found:
        with suppress(OSError):  # it is in use, or gone by now
            if not _is_own_folder(folder):
                continue
            if not any(folder.glob(f"{_LOCK}*")):
                folder.rmdir()  # killed before it had a lock; who has just begun makes another one
                continue
            with _take(folder / _LOCK):
                for old in (folder / _REPLACED).glob("*"):
                    _put_back(old, parent.parent / old.name)
                _remove(folder)


def _is_own_folder(path: Path) -> bool:
    """Return whether this user's folder stands there, and no link to another one: what is in it will be deleted."""
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == _USER


def _move(new: Path, path: Path, replaced: Path) -> None:
    """Rename what is new into its place; a folder in two steps where one is there, which others may replace too."""
    if not new.is_dir():
        new.replace(path)
        return
    for attempt in range(_ATTEMPTS):
        try:
            new.rename(path)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == _ATTEMPTS - 1:
                raise
        _remove(replaced)  # it was replaced by somebody else, too
        replaced.mkdir()
        with suppress(FileNotFoundError):
            path.rename(replaced / path.name)
    _remove(replaced)


def _put_back(old: Path, path: Path) -> None:
    """Undo the first of the two steps, where a process was killed between them."""
    if not path.exists():
        old.rename(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
