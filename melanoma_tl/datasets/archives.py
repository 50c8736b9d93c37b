"""Unpack an archive that need not be trusted."""

import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from melanoma_tl._atomic import replacing_many
from melanoma_tl._checksums import crc32_of
from melanoma_tl._progress import progress
from melanoma_tl._zip import ZIP_ERRORS, read_chunks, why_refused, why_too_large
from melanoma_tl.datasets.disk import CHUNK, check_free, disk_errors
from melanoma_tl.errors import DownloadError, require_file

_LONGEST_NAME, _LONGEST_PATH = 255, 1024  # bytes; the second on macOS (PATH_MAX in its <sys/syslimits.h>)

_DEVICE = re.compile("con|prn|aux|nul|conin\\$|conout\\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]", re.IGNORECASE)
"""What Windows takes for a device, whatever follows after a dot (Microsoft, "Naming Files, Paths, and Namespaces")."""

_FORBIDDEN = frozenset('<>:"|?*')
"""What no name can have on Windows (ibid.)."""


def extract(archive: str | os.PathLike[str], folder: str | os.PathLike[str], *, verbose: int = 1) -> list[Path]:
    """Unpack a zip archive that need not be trusted.

    All members are checked before the first is written. Each file gets its name when it
    is complete, and one that is there already with the right size and checksum is not
    written again: an interrupted call is repeated at little cost.

    Parameters
    ----------
    archive : path
        The zip archive.
    folder : path
        Where to; made if it does not exist.
    verbose : int, default=1
        0 shows no progress bar.

    Returns
    -------
    list of Path
        The files, in the order of the archive; what macOS adds of its own is left out.

    Raises
    ------
    DownloadError
        If there is no such file; if a member would lie outside the folder, is a link or a device, is encrypted or
        packed in an unusual way, has a name that some system cannot write, or occurs twice, also in capitals or with
        accents written otherwise; if the archive is damaged or holds no files, or unpacks to more than
        `MAX_EXPANSION` times its size; or if the disk is full.
    """
    source, target = Path(archive), Path(folder)
    require_file(source, DownloadError, "pass the path of a ZIP archive")
    with disk_errors(target):
        try:
            with zipfile.ZipFile(source) as opened:
                members = _checked_members(opened, source)
                target.mkdir(parents=True, exist_ok=True)
                missing = [member for member in members if not _is_there(member, target)]
                total = sum(member.file_size for member in missing)
                check_free(target, total, source.name)
                work = f"Unpack {source.name}"
                bar = progress(work=work, total=total, unit="B", verbose=verbose)
                with bar, replacing_many(target) as replacing_one:
                    for member in missing:
                        with replacing_one(target / member.filename) as unfinished:
                            _write(read_chunks(opened, member, CHUNK), unfinished, bar)
        except ZIP_ERRORS as error:
            raise DownloadError(f"{source}: damaged ({error}). Delete it to fetch it again") from error
    return [target / member.filename for member in members]


def _checked_members(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    found = archive.infolist()
    members = [one for one in found if not one.filename.endswith("/") and not _is_litter(one.filename)]
    reasons = (f"{_shown(member)} {reason}" for member in members if (reason := _why_refused(member)))
    reason = next(reasons, "") or _why_one_place(members) or why_too_large(members, path)
    if reason:
        raise DownloadError(f"{path}: {reason}. Nothing was unpacked: do not trust this archive")
    if not members:
        raise DownloadError(f"{path}: holds no files. Delete it to fetch it again")
    return members


def _why_one_place(members: Sequence[zipfile.ZipInfo]) -> str:
    """Return which members would be written to one place."""
    names: set[str] = set()
    folders = {_one_spelling(str(folder)) for member in members for folder in PurePosixPath(member.filename).parents}
    for member in members:
        name = _one_spelling(member.filename)
        if name in names:
            return f"{_shown(member)} occurs twice, but for capitals and the way in which accents are written"
        if name in folders:
            return f"{_shown(member)} is a file and a folder"
        names.add(name)
    return ""


def _is_litter(name: str) -> bool:
    return name.startswith("__MACOSX/") or PurePosixPath(name).name == ".DS_Store"


def _one_spelling(name: str) -> str:
    """Write a name as file systems compare it that know neither capitals nor two ways to write an accent."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _why_refused(member: zipfile.ZipInfo) -> str:
    name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or ":" in name or ".." in parts:
        return "would lie outside the folder"
    if not all(map(_can_be_a_name, parts)) or _n_bytes(name) > _LONGEST_PATH:
        return "is no name that a file can have everywhere"
    if kind not in (0, stat.S_IFREG):
        return "is a link or a device, not a file"
    return why_refused(member)


def _can_be_a_name(part: str) -> bool:
    return (
        part not in ("", ".")
        and part.isprintable()
        and part == part.rstrip(" .")  # Windows leaves these out
        and not _FORBIDDEN & set(part)
        and not _DEVICE.fullmatch(part.split(".")[0].rstrip(" "))
        and _n_bytes(part) <= _LONGEST_NAME
    )


def _shown(member: zipfile.ZipInfo) -> str:
    return repr(member.filename[:_LONGEST_NAME])  # which may have 65,535 letters


def _n_bytes(name: str) -> int:
    return len(name.encode(errors="surrogatepass"))


def _is_there(member: zipfile.ZipInfo, folder: Path) -> bool:
    path = folder / member.filename
    if not path.is_file() or path.stat().st_size != member.file_size:
        return False
    return crc32_of(path) == member.CRC


def _write(chunks: Iterable[bytes], path: Path, bar: Any) -> None:
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            bar.update(len(chunk))
