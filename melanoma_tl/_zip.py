"""What every ZIP archive that need not be trusted is checked for, whatever it holds."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

MAX_EXPANSION = 100
"""How many times its packed size what need not be trusted may take unpacked: photographs and weights hardly shrink,
tables to a thirtieth at most."""

ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, NotImplementedError),
    *(ValueError, IndexError, MemoryError),
)
"""What `zipfile` raises at an archive that is damaged, or whose directory does not tell the truth; and OSError, of a
place that no file has and of a damaged bzip2 stream."""

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
"""The ways to pack that `zipfile` knows."""


def why_refused(member: zipfile.ZipInfo, methods: Collection[int] = METHODS) -> str:
    """Return the reason why a member cannot be unpacked, before it is tried.

    Parameters
    ----------
    member : ZipInfo
        From the directory.
    methods : collection of int
        The ways to pack that are allowed.

    Returns
    -------
    str
        Goes on from its name; empty if it can.
    """
    if member.flag_bits & 0x1:
        return "is encrypted"
    if member.compress_type not in methods:
        return f"is packed in an unusual way (method {member.compress_type})"
    return ""


def why_too_large(members: Sequence[zipfile.ZipInfo], path: Path) -> str:
    """Return the reason why an archive is not unpacked, not even to verify its checksums.

    Parameters
    ----------
    members : sequence of ZipInfo
        From the directory; `zipfile` reads no more of each than it says.
    path : Path
        The archive.

    Returns
    -------
    str
        Goes on from its name; empty if it can be.
    """
    total, size = sum(member.file_size for member in members), path.stat().st_size
    if total > MAX_EXPANSION * size:
        return f"would unpack to {total:,} bytes, more than {MAX_EXPANSION} times its {size:,}"
    return ""


def read_chunks(archive: zipfile.ZipFile, member: zipfile.ZipInfo, n_bytes: int) -> Iterator[bytes]:
    """Unpack a member piece by piece.

    Parameters
    ----------
    archive : ZipFile
        Open.
    member : ZipInfo
        Of its directory.
    n_bytes : int
        In each piece.

    Yields
    ------
    bytes
        `zipfile` reads no more than the header promised, and compares the checksum at the end.

    Raises
    ------
    zipfile.BadZipFile
        If it cannot be read, where `zipfile` raises an OSError as if the disk were at fault.
    """
    try:
        with archive.open(member) as packed:
            while chunk := packed.read(n_bytes):
                yield chunk
    except OSError as error:
        raise zipfile.BadZipFile(f"{member.filename!r} cannot be read: {error}") from error
