"""Every hostile table is read or refused in the library's own words, wherever one is read, and runs nothing."""

import logging

import pytest
from hostile_tables import PLACES, TABLES, write_tables
from test_layouts import LAYOUTS
from watching import read_hostile

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets.challenges import OfficialFile
from melanoma_tl.datasets.download import CHECKSUMS, fetch
from melanoma_tl.errors import DatasetError, MelanomaTLError

TEXT = """\
image_id,label,age,sex,patient_id,diagnosis
ISIC_1,benign,40,male,P1,nevus
ISIC_2,melanoma,50,female,P2,melanoma
ISIC_3,benign,60,male,P3,nevus
"""

PAIRS = "ISIC_0000000,benign\nISIC_0000001,malignant\n"
ONE_HOT = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\na,0,1,0,0,0,0,0,0,0\n"
BARS = "|| Name || Histological Diagnosis || Clinical Diagnosis ||\n|| a || || 0 ||\n"

MOST_MEMORY = 2**21
"""Kilobytes that the process may grow by at all these tables, of which the largest that is read has 1 GiB."""

MOST_LETTERS = 3000

LARGE = {name for name, make in TABLES.items() if len(make(TEXT)) >= 10**6}
"""Read once: what they show does not depend on the columns."""


@pytest.fixture(autouse=True)
def without_warnings_of_labels():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def try_all(cases, kinds=MelanomaTLError):
    """Call each case; return the results of those that are not refused."""
    return read_hostile(
        cases,
        kinds,
        lambda _, text: len(text) <= MOST_LETTERS and "\x1b" not in text,
        seconds=15,
        kilobytes=MOST_MEMORY,
    )


def put(file, content):
    """Put a hostile table, or what is no table, in the place of a file."""
    if file.is_symlink() or file.is_file() or file.is_fifo():
        file.unlink()
    elif file.exists():
        file.rmdir()
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        content(file)


@pytest.mark.slow
@pytest.mark.parametrize("labels_only", [True, False])
def test_tables_of_ones_own(tmp_path, labels_only):
    corpus = write_tables(TEXT, tmp_path)
    assert len(corpus) >= 150
    done = try_all(
        (name, lambda path=path: ISBIDataset.from_csv(path, labels_only=labels_only, on_error="skip"))
        for name, path in corpus.items()
    )
    assert not set(done) & set(PLACES)
    for name, dataset in done.items():  # what is read, is read as it stands
        assert len(dataset) <= 3, name
        known = {"ISIC_1": 0, "ISIC_2": 1, "ISIC_3": 0}
        assert all(known.get(row.image_id, row.label) == row.label for row in dataset), name


@pytest.mark.slow
def test_the_table_of_a_download(tmp_path):
    text, file = LAYOUTS["archive"].write(tmp_path).joinpath("metadata.csv").read_text(), tmp_path / "metadata.csv"
    tables = {name: make(text) for name, make in TABLES.items() if name not in LARGE}

    def read(content):
        put(file, content)
        return ISBIDataset.from_archive(tmp_path, on_error="skip")

    try_all((name, lambda content=content: read(content)) for name, content in (tables | PLACES).items())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["HAM10000", "ISIC 2024 on Kaggle", "PAD-UFES-20", "Derm7pt train", "BCN20000", "MILK10k", "DDI"]
)
def test_tables_of_challenges(tmp_path, name):
    layout = LAYOUTS[name]
    layout.write(tmp_path)

    def read(file, content):
        put(file, content)
        return layout.read(tmp_path, on_error="skip", labels_only=True)

    for table, text in layout.files.items():
        tables = {name: make(text) for name, make in TABLES.items() if name not in LARGE}
        try_all(
            (f"{table}: {name}", lambda content=content, file=tmp_path / table: read(file, content))
            for name, content in (tables | PLACES).items()
        )
        put(tmp_path / table, text.encode())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("year", "split", "table", "text"),
    [
        (2016, "train", "ISBI2016_ISIC_Part3_Training_GroundTruth.csv", PAIRS),
        (
            2019,
            "test",
            "ISIC_2019_Test_GroundTruth.csv",
            "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\na,0,1,0,0,0,0,0,0,0\n",
        ),
        (
            "PH2",
            "all",
            "PH2_dataset.txt",
            "|| Name || Histological Diagnosis || Clinical Diagnosis ||\n|| a || || 0 ||\n",
        ),
    ],
)
def test_tables_without_a_header_of_numbers_and_with_bars(tmp_path, year, split, table, text):
    def read(content):
        put(tmp_path / table, content)
        return ISBIDataset.from_challenge(tmp_path, year=year, split=split, labels_only=True, on_error="skip")

    tables = {name: make(text) for name, make in TABLES.items() if name not in LARGE}
    try_all((name, lambda content=content: read(content)) for name, content in (tables | PLACES).items())


def test_checksums_that_are_pinned(tmp_path):
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "file.bin").write_bytes(b"content")
    file, pins = OfficialFile("file.bin", "http://127.0.0.1:9/x"), tmp_path / "out" / CHECKSUMS
    fetch([file], tmp_path / "out", source=tmp_path / "given", verbose=0)
    text = pins.read_text() * 2
    tables = {name: make(text) for name, make in TABLES.items() if name not in LARGE}

    def read(content):
        put(pins, content)
        return fetch([file], tmp_path / "out", source=tmp_path / "given", verbose=0)

    try_all((name, lambda content=content: read(content)) for name, content in (tables | PLACES).items())


def test_a_table_too_large_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("melanoma_tl.datasets.text_tables._MOST_BYTES", 10)
    (tmp_path / "t.csv").write_text(TEXT)
    with pytest.raises(DatasetError, match=r"more than 10 bytes; read a part of it, or pass from_frame a DataFrame"):
        ISBIDataset.from_csv(tmp_path / "t.csv")
