"""A corpus of hostile tables, each made from the text of a good one.

``python tests/hostile_tables.py TABLE.csv FOLDER`` writes it, for other readers of tables to be tried on.
"""

import gzip
import io
import os
import pickle
import re
import sys
import zipfile
from pathlib import Path

import pandas as pd

ROW = re.compile(r"[^,;|\t\n\"]+")
"""What stands in a cell, whatever separates them."""


class _Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)


# Each function below takes the text of a good table, and gives the bytes of a bad one.


def everywhere(value):
    """Put one value into every cell below the header."""

    def change(text):
        head, _, rows = text.partition("\n")
        return f"{head}\n{ROW.sub(lambda _: value, rows)}".encode(errors="surrogatepass")

    return change


def last_cell(value):
    def change(text):
        *_, cell = ROW.finditer(text)
        return (text[: cell.start()] + value + text[cell.end() :]).encode(errors="surrogatepass")

    return change


def first_id(value):
    def change(text):
        cell = ROW.search(text, text.index("\n"))
        return (text[: cell.start()] + value + text[cell.end() :]).encode(errors="surrogatepass")

    return change


def wider(n):
    """Add columns, each with a name of its own."""

    def change(text):
        head, *rows = text.splitlines()
        names = "".join(f",c{number}" for number in range(n))
        return "\n".join([head + names, *(row + "," * n for row in rows)]).encode()

    return change


def longer(n):
    def change(text):
        return (text + text[text.index("\n") + 1 :] * n).encode()

    return change


def header(change_header):
    def change(text):
        head, end, rows = text.partition("\n")
        return (change_header(head) + end + rows).encode()

    return change


def encoded(encoding, mark=b""):
    return lambda text: mark + text.encode(encoding, errors="replace")


def frame(text):
    return pd.DataFrame({"image": ["a", "b"], "label": [0, 1]})


def parquet(text):
    # What a reader sees of the format first and last; its writer would be one package more for the tests.
    footer = text.encode()[:200]
    return b"PAR1" + text.encode() + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def excel(text):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(2**20))
    return file.getvalue()


CELLS = {
    "formula": "=cmd|' /C calc'!A0",
    "formula, with a sign": "+1+HYPERLINK(1)",
    "address": "@SUM(1+1)*cmd",
    "NUL": "a\0b",
    "100,000 letters": "a" * 100_000,
    "10,000,000 letters": "a" * 10_000_000,
    "number of 5,000 digits": "9" * 5000,
    "number of 5,000 digits, negative": "-" + "9" * 5000,
    "large number": "1e400",
    "no number": "nan",
    "infinity": "-inf",
    "number with an underscore": "1_0",
    "digits of another script": "\u0967\u0968",
    "superscript": "\u00b2",
    "fraction": "1/2",
    "hexadecimal": "0x41",
    "path that climbs": "../../../../etc/passwd",
    "absolute path": "/etc/passwd",
    "device": "/dev/zero",
    "address of a file": "file:///etc/passwd",
    "address of a page": "http://127.0.0.1:9/x.jpg",
    "member of an HDF5 file": "/etc/passwd.hdf5::x",
    "home": "~/x",
    "variable": "$HOME",
    "escape": "\x1b[2J\x1b]0;title\x07",
    "text from right to left": "a\u202egpj",
    "half a character": "\ud800",
    "no character": "\ufffe\uffff",
    "many accents": "a" + "\u0301" * 50_000,
    "line ends": "a\u2028b\x0bc\x0cd\x85e\x1c",
    "carriage return": "a\rb",
    "quote": '"',
    "quotes": '"""',
    "quote in the middle": 'a"b',
    "backslash": "\\",
    "blanks": " " * 1000,
    "blanks of other kinds": "\u3000\xa0\u200b",
    "script": "<script>alert(1)</script>",
    "pattern": "(" * 5000,
    "braces": "{0.__class__}%s%(x)s${x}",
    "very long path": "a/" * 5000 + "a",
    "pickle": "gASVAAAA.",
}

TABLES = {
    **{f"{name} as an id": first_id(value) for name, value in CELLS.items()},
    **{f"{name} in the last cell": last_cell(value) for name, value in CELLS.items()},
    **{f"{name} everywhere": everywhere(value) for name, value in CELLS.items() if len(value) < 10**6},
    **{f"{name} as a name": header(lambda head, value=value: f"{head},{value}") for name, value in {
        "formula": CELLS["formula"], "100,000 letters": "a" * 100_000, "quote": '"', "blank": " ", "nothing": "",
        "label": "label,label", "path": "path", "a dunder": "__class__", "NUL": "\0",
    }.items()},
    **{f"{n:,} columns": wider(n) for n in (300, 20_000, 1_000_000)},
    "30,000 rows": longer(10_000),
    "the first column twice": header(lambda head: f"{ROW.search(head)[0]},{head}"),
    "all columns twice": lambda text: "\n".join(f"{row},{row}" for row in text.splitlines()).encode(),
    "the header alone": lambda text: text.partition("\n")[0].encode(),
    "the header twice": lambda text: (text.partition("\n")[0] + "\n" + text).encode(),
    "no header": lambda text: text.partition("\n")[2].encode(),
    "a quote that is never closed": lambda text: text.replace("\n", '\n"', 1).encode(),
    "a quote that is never closed, and much after it": lambda text: (text + '"' + "a,b\n" * 10**6).encode(),
    "half of it": lambda text: text[: len(text) // 2].encode(),
    "rows of other lengths": lambda text: text.replace("\n", ",,,\n", 2).encode(),
    "lines without an end": lambda text: text.replace("\n", "\r").encode(),
    "lines of nothing": lambda text: text.replace("\n", "\n" * 100_000).encode(),
    "commas alone": lambda text: b"," * 10**6,
    "quotes alone": lambda text: b'"' * 10**6,
    "blanks alone": lambda text: b" " * 10**6,
    "line ends alone": lambda text: b"\n" * 10**6,
    "NUL alone": lambda text: bytes(10**6),
    "nothing": lambda text: b"",
    "a separator of its own": lambda text: b"sep=\x01\n" + text.encode(),
    "a separator that is a quote": lambda text: b'sep="\n' + text.encode(),
    "a separator that is a line end": lambda text: b"sep=\r\n" + text.encode(),
    "a separator that is a blank": lambda text: b"sep= \n" + text.encode(),
    "a separator of a million": lambda text: b"sep=" + b"," * 10**6 + b"\n" + text.encode(),
    "UTF-16 without its mark": encoded("utf-16-le"),
    "UTF-16 without its mark, of Macs": encoded("utf-16-be"),
    "UTF-32 without its mark": encoded("utf-32-le"),
    "UTF-16 with the mark of UTF-8": encoded("utf-16-le", b"\xef\xbb\xbf"),
    "UTF-8 with the mark of UTF-16": encoded("utf-8", b"\xff\xfe"),
    "UTF-8 with the mark of UTF-32": encoded("utf-8", b"\xff\xfe\0\0"),
    "UTF-16 of half a character": lambda text: text.encode("utf-16") + b"\x00",
    "UTF-7": lambda text: text.replace("e", "+AGU-").encode("utf-7"),
    "EBCDIC": encoded("cp500"),
    "Shift JIS": lambda text: text.encode() + "\u8272\u7d20".encode("shift_jis"),
    "two encodings": lambda text: text.encode() + "é".encode() + b"\xe9",
    "overlong UTF-8": lambda text: text.encode() + b"\xc0\xaf\xc0\xaf",
    "Parquet": parquet,
    "Excel": excel,
    "old Excel": lambda text: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000),
    "a pickle": lambda text: pickle.dumps(_Evil()),
    "an old pickle": lambda text: pickle.dumps(_Evil(), 0),
    "gzip": lambda text: gzip.compress(text.encode()),
    "a database": lambda text: b"SQLite format 3\0" + bytes(1000),
    "HDF5": lambda text: b"\x89HDF\r\n\x1a\n" + bytes(1000),
    "JSON": lambda text: b'{"image": ["a"], "label": [0]}',
    "nested JSON": lambda text: b"[" * 10**6,
    "XML": lambda text: b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    "a web page": lambda text: b"<html>\n<body>Please, log in</body>\n</html>",
    "a script": lambda text: b"#!/bin/sh\ntouch ran\n",
}  # fmt: skip


def make_sparse(path):
    with path.open("wb") as file:
        file.truncate(2**40)


PLACES = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a device without an end": lambda path: path.symlink_to("/dev/zero"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
    "a file without an end": lambda path: path.symlink_to("/proc/self/pagemap"),
    "the memory of this process": lambda path: path.symlink_to("/proc/self/mem"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a terabyte of nothing": make_sparse,
}
"""What may stand where a table is looked for, and is none."""


def write_tables(text, folder):
    """Write every hostile table into a folder; return its path by what is wrong with it."""
    paths = {}
    for number, (name, make) in enumerate(TABLES.items()):
        paths[name] = Path(folder) / f"{number:03}.csv"
        paths[name].write_bytes(make(text))
    for number, (name, make) in enumerate(PLACES.items()):
        paths[name] = Path(folder) / f"place_{number}.csv"
        make(paths[name])
    return paths


if __name__ == "__main__":
    target = Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    for what, path in write_tables(Path(sys.argv[1]).read_text(encoding="utf-8"), target).items():
        print(path.name, what)
