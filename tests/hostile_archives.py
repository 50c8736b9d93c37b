"""A corpus of hostile ZIP archives, each made from the members of a good one.

``python tests/hostile_archives.py FOLDER`` writes it, for other readers of archives to be tried on.
"""

import io
import stat
import struct
import sys
import tarfile
import warnings
import zipfile
from pathlib import Path

LOCAL, ENTRY, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def zipped(members, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that occur twice
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def place_of(signature, content):
    """Find the first local header, the first entry of the directory, or the end record."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {LOCAL: 0, ENTRY: archive.start_dir, END: content.rindex(END)}[signature]


# Each function below takes the members of a good archive, a list of (name, content), and gives the bytes of a bad one.


def adding(name, content=b"x"):
    return lambda members: zipped([*members, (name, content)])


def of_kind(kind, name="link", target="/etc/passwd"):
    """Add a member that would be unpacked to a link, a device, a pipe..."""
    member = zipfile.ZipInfo(name)
    member.external_attr = (kind | 0o777) << 16
    return adding(member, target.encode())


def through_a_link(members):
    link = zipfile.ZipInfo("images")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped([*members, (link, b"/tmp"), ("images/evil.jpg", b"x")])


def field(signature, offset, layout, value):
    """Overwrite a field of the first record of a kind."""

    def change(members):
        content = bytearray(zipped(members))
        struct.pack_into(layout, content, place_of(signature, content) + offset, value)
        return bytes(content)

    return change


def flags(value):
    def change(members):
        content = bytearray(zipped(members))
        for signature, offset in ((LOCAL, 6), (ENTRY, 8)):
            struct.pack_into("<H", content, place_of(signature, content) + offset, value)
        return bytes(content)

    return change


def renamed(name, wanted, flag=0):
    """Give a member a name that `zipfile` would not write, of the same length in bytes."""

    def change(members):
        given = zipped([*members, (name, b"x")])
        directory, content = place_of(ENTRY, given), bytearray(given.replace(name.encode(), wanted))
        for offset, start, end in ((6, 30, directory), (8, 46, len(content))):
            struct.pack_into("<H", content, content.rindex(wanted, 0, end) - start + offset, flag)
        return bytes(content)

    return change


def cut(share):
    return lambda members: zipped(members)[: int(share * len(zipped(members)))]


def bomb(method):
    return lambda members: zipped([*members, ("bomb.jpg", bytes(2**24))], method)


def many_bombs(members):
    return zipped([*members, *((f"{number}.jpg", bytes(2**20)) for number in range(50))], zipfile.ZIP_DEFLATED)


def bomb_that_lies(members):
    return bomb(zipfile.ZIP_DEFLATED)(members).replace(struct.pack("<L", 2**24), struct.pack("<L", 1000))


def overlapping(members):
    """Let many members be the same bytes (D. Fifield, "A better zip bomb", 2019)."""
    content = zipped([*members, ("a0000.jpg", bytes(2**16))], zipfile.ZIP_DEFLATED)
    start, end = content.rindex(ENTRY), content.rindex(END)
    copies = b"".join(content[start:end].replace(b"a0000", b"a%04d" % number) for number in range(1, 2000))
    closing = bytearray(content[end:])
    n, size = struct.unpack_from("<H", closing, 10)[0] + 1999, struct.unpack_from("<L", closing, 12)[0] + len(copies)
    struct.pack_into("<HHL", closing, 8, n, n, size)
    return content[:end] + copies + bytes(closing)


def huge_dictionary(members):
    """Ask the unpacking of LZMA for 4 GiB of memory before its first byte."""
    content = bytearray(zipped([*members, ("large.jpg", b"x" * 1000)], zipfile.ZIP_LZMA))
    properties = content.rindex(b"large.jpg", 0, place_of(ENTRY, content)) + len("large.jpg") + 4
    struct.pack_into("<L", content, properties + 1, 2**32 - 1)
    return bytes(content)


def tarred(mode):
    def change(members):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as archive:
            for name, content in members:
                member = tarfile.TarInfo(f"../{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return file.getvalue()

    return change


def moved(distance):
    """Let the directory stand elsewhere than its end record says."""

    def change(members):
        content = bytearray(zipped(members))
        place = place_of(END, content) + 16
        struct.pack_into("<L", content, place, (struct.unpack_from("<L", content, place)[0] + distance) % 2**32)
        return bytes(content)

    return change


def other_method(method):
    def change(members):
        content = bytearray(zipped(members))
        for signature, offset in ((LOCAL, 8), (ENTRY, 10)):
            struct.pack_into("<H", content, place_of(signature, content) + offset, method)
        return bytes(content)

    return change


ARCHIVES = {
    **{f"a member {name!r}": adding(name) for name in (
        "../evil.jpg", "a/../../evil.jpg", "/tmp/evil.jpg", "//server/share/evil.jpg", "C:/evil.jpg", "C:evil.jpg",
        "..\\evil.jpg", "\\\\server\\evil.jpg", "..", "../", "a/..", "a/./evil.jpg", "evil.jpg:stream", "nul",
        "a/com1.jpg", "evil.jpg.", "evil.jpg ", "a//evil.jpg", "\x1b[2Jevil.jpg", "evil\u202egpj.exe", "e" * 300,
        "e/" * 3000 + "evil.jpg", "e" * 60_000,
    )},
    "a name with NUL": renamed("a/evil0.jpg", b"a/evil\0.jpg"),
    "a name that is no UTF-8": renamed("a/evil0.jpg", b"a/evil\xff.jpg", 0x800),
    "a name in an old code page that climbs": renamed("e/evil0.jpg", b"..\xffvil0.jpg"),
    "a name of overlong UTF-8": renamed("aaaa.jpg", b"\xc0\xae\xc0\xae/evil.jpg"[:8], 0x800),
    "names that are one without capitals": lambda members: zipped([*members, ("a.jpg", b"1"), ("A.JPG", b"2")]),
    "names that are one but for an accent's form": lambda members: zipped(
        [*members, ("l\u00e9sion.jpg", b"1"), ("le\u0301sion.jpg", b"2")]
    ),
    "the first member twice": lambda members: zipped([*members, members[0]]),
    "the first member twice, with other content": lambda members: zipped([*members, (members[0][0], b"other")]),
    "a file that is also a folder": lambda members: zipped([*members, (f"{members[0][0]}/evil.jpg", b"x")]),
    "a link": of_kind(stat.S_IFLNK),
    "a link to a folder above": of_kind(stat.S_IFLNK, target=".."),
    "a link in place of the first member": lambda members: of_kind(stat.S_IFLNK, members[0][0])(members[1:]),
    "a file through a link": through_a_link,
    "a device": of_kind(stat.S_IFCHR),
    "a disk": of_kind(stat.S_IFBLK),
    "a pipe": of_kind(stat.S_IFIFO),
    "a socket": of_kind(stat.S_IFSOCK),
    "a folder that is called a file": of_kind(stat.S_IFDIR),
    **{f"a bomb, {name}": bomb(method) for name, method in (
        ("deflated", zipfile.ZIP_DEFLATED), ("bzip2", zipfile.ZIP_BZIP2), ("LZMA", zipfile.ZIP_LZMA),
    )},
    "a bomb of many": many_bombs,
    "a bomb that lies": bomb_that_lies,
    "members that overlap": overlapping,
    "a dictionary of 4 GiB": huge_dictionary,
    "encrypted": flags(0x1),
    "encrypted strongly": flags(0x41),
    "a patch": flags(0x20),
    "an encrypted directory": flags(0x2000),
    **{f"packed by method {method}": other_method(method) for method in (
        1, 6, 8, 9, 12, 14, 93, 95, 97, 98, 99, 65535,
    )},
    **{f"cut at {share:.0%}": cut(share) for share in (0, 0.01, 0.3, 0.6, 0.9, 0.99)},
    "another size": field(ENTRY, 24, "<L", 10**6),
    "a packed size beyond the end": field(ENTRY, 20, "<L", 2**31),
    "another checksum": field(ENTRY, 16, "<L", 12345),
    "a header beyond the end": field(ENTRY, 42, "<L", 2**31),
    "a header in the middle": field(ENTRY, 42, "<L", 7),
    "another name in the header": field(LOCAL, 30, "<B", ord("!")),
    "a long name": field(ENTRY, 28, "<H", 65535),
    "a long extra field": field(ENTRY, 30, "<H", 65535),
    "a long comment": field(ENTRY, 32, "<H", 65535),
    "a version of the future": field(ENTRY, 6, "<H", 255),
    "more members than there are": field(END, 10, "<H", 65535),
    "a directory of another size": field(END, 12, "<L", 2**31),
    "a directory that is too short": field(END, 12, "<L", 10),
    "a directory beyond the end": moved(10**6),
    "a directory before the start": moved(-(10**6)),
    "parts on other disks": field(END, 4, "<H", 3),
    "a second end": lambda members: zipped(members) + END + bytes(18),
    "a second archive behind": lambda members: zipped(members) + zipped([("../evil.jpg", b"x")]),
    "an end alone": lambda members: END + bytes(18),
    "no member": lambda members: zipped([]),
    "a tar archive": tarred("w"),
    "a tar archive, gzipped": tarred("w:gz"),
    "a 7z archive": lambda members: b"7z\xbc\xaf\x27\x1c\0\4" + bytes(100),
    "a RAR archive": lambda members: b"Rar!\x1a\x07\x01\0" + bytes(100),
    "a web page": lambda members: b"<html>Please log in</html>",
    "nothing": lambda members: b"",
}  # fmt: skip


def write_archives(members, folder, suffix=".zip"):
    """Write every hostile archive into a folder; return its path by what is wrong with it."""
    paths = {}
    for number, (name, make) in enumerate(ARCHIVES.items()):
        paths[name] = Path(folder) / f"{number:03}{suffix}"
        paths[name].write_bytes(make(list(members)))
    return paths


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for what, path in write_archives([("a/1.jpg", b"one"), ("a/2.jpg", b"two")], target).items():
        print(path.name, what)
