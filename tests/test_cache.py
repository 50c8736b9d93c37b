import contextlib
import sqlite3

import pytest

from melanoma_tl import cache
from melanoma_tl.errors import CacheError

SCHEMA = "CREATE TABLE IF NOT EXISTS numbers (n INTEGER)"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MELANOMA_TL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def count(path):
    with cache.database(path, SCHEMA) as table:
        return table.execute("SELECT COUNT(*) FROM numbers").fetchone()[0]


def test_the_folder_is_the_one_the_user_named(folder):
    assert cache.folder() == folder


def test_without_a_name_it_is_the_users_cache_folder(monkeypatch):
    monkeypatch.delenv("MELANOMA_TL_CACHE")
    assert cache.folder().name == "melanoma_tl"


def test_size_counts_every_file_and_clear_deletes_them(folder):
    assert cache.size() == 0
    cache.clear()  # nothing to delete is no error
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_bytes(bytes(1000))
    assert cache.size() == 1000
    cache.clear()
    assert not folder.exists()


def test_a_transaction_that_fails_leaves_nothing(folder):
    with cache.database(folder / "t.sqlite", SCHEMA) as table:
        table.execute("INSERT INTO numbers VALUES (1)")
    with contextlib.suppress(KeyError), cache.database(folder / "t.sqlite", SCHEMA) as table:
        table.execute("INSERT INTO numbers VALUES (2)")
        raise KeyError
    assert count(folder / "t.sqlite") == 1


def test_a_damaged_file_says_where_it_is_and_what_to_do(folder):
    folder.mkdir()
    (folder / "t.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(CacheError, match=r"t\.sqlite.*delete it if it is damaged.*MELANOMA_TL_CACHE"):
        count(folder / "t.sqlite")


def test_a_folder_that_cannot_be_made_says_so(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="make the folder writable"):
        count(tmp_path / "file" / "t.sqlite")


def test_a_second_writer_waits_for_the_first(folder, monkeypatch):
    monkeypatch.setattr(cache, "_PATIENCE", 0.05)
    with cache.database(folder / "t.sqlite", SCHEMA) as table:
        table.execute("INSERT INTO numbers VALUES (1)")
        with pytest.raises(CacheError, match="locked"):
            count(folder / "t.sqlite")
    assert count(folder / "t.sqlite") == 1
    assert sqlite3.connect(folder / "t.sqlite").execute("SELECT n FROM numbers").fetchall() == [(1,)]
