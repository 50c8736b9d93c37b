"""What every ZIP archive that need not be trusted is checked for, whatever it holds."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Collection

MAX_EXPANSION = 100
"""How many times its packed size what need not be trusted may take unpacked: photographs and weights hardly shrink,
tables to a thirtieth at most."""

ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, NotImplementedError),
    *(ValueError, IndexError),
)
"""What `zipfile` raises at an archive that is damaged, or whose directory does not tell the truth."""

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
"""The ways to pack that `zipfile` knows."""


def why_refused(member: zipfile.ZipInfo, methods: Collection[int] = METHODS) -> str:
    """Say why a member cannot be unpacked, before it is tried.

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
