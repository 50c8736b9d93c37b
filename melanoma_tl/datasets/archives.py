"""Unpack an archive that need not be trusted."""

import os
import re
import stat
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any

from melanoma_tl._atomic import replacing_many
from melanoma_tl._progress import progress
from melanoma_tl._zip import MAX_EXPANSION, ZIP_ERRORS, why_refused
from melanoma_tl.datasets.disk import CHUNK, check_free, disk_errors
from melanoma_tl.errors import DownloadError

_LONGEST_NAME = 255  # bytes

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
        If a member would lie outside the folder, is a link or a device, is encrypted or packed in an unusual way, has
        a name that some system cannot write, or occurs twice, also in capitals or with accents written otherwise; if
        the archive is damaged, or unpacks to more than `MAX_EXPANSION` times its size; or if the disk is full.
    """
    source, target = Path(archive), Path(folder)
    with disk_errors(target):
        try:
            with zipfile.ZipFile(source) as opened:
                members = _checked_members(opened, source)
                target.mkdir(parents=True, exist_ok=True)
                missing = [member for member in members if not _is_there(member, target)]
                total = sum(member.file_size for member in missing)
                check_free(target, total, source.name)
                work = f"Unpack {source.name}"
                bar = progress(work=work, total=total, unit="B", unit_scale=True, verbose=verbose)
                with bar, replacing_many(target) as replacing_one:
                    for member in missing:
                        with replacing_one(target / member.filename) as unfinished, opened.open(member) as packed:
                            _write(packed, unfinished, bar)
        except ZIP_ERRORS as error:
            raise DownloadError(f"{source}: damaged ({error}). Delete it to fetch it again") from error
    return [target / member.filename for member in members]


def _checked_members(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    found = archive.infolist()
    members = [one for one in found if not one.filename.endswith("/") and not _is_litter(one.filename)]
    names: set[str] = set()
    folders = {_one_spelling(str(folder)) for member in members for folder in PurePosixPath(member.filename).parents}
    for member in members:
        name = _one_spelling(member.filename)
        reason = _why_refused(member)
        if name in names:
            reason = reason or "occurs twice, but for capitals and the way in which accents are written"
        elif name in folders:
            reason = reason or "is a file and a folder"
        if reason:
            raise DownloadError(
                f"{path}: {member.filename!r} {reason}. Nothing was unpacked: do not trust this archive"
            )
        names.add(name)
    total, size = sum(member.file_size for member in members), path.stat().st_size
    if total > MAX_EXPANSION * size:
        raise DownloadError(
            f"{path}: would unpack to {total:,} bytes, more than {MAX_EXPANSION} times its {size:,}. "
            "Nothing was unpacked: do not trust this archive"
        )
    return members


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
    if not all(_can_be_a_name(part) for part in parts):
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
        and len(part.encode(errors="surrogatepass")) <= _LONGEST_NAME
    )


def _is_there(member: zipfile.ZipInfo, folder: Path) -> bool:
    path = folder / member.filename
    if not path.is_file() or path.stat().st_size != member.file_size:
        return False
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum == member.CRC


def _write(packed: IO[bytes], path: Path, bar: Any) -> None:
    """Write one member; `zipfile` reads no more than its header promised, and compares the checksum at the end."""
    with path.open("wb") as file:
        while chunk := packed.read(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
