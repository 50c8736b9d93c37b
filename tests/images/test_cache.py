import contextlib
import os
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from melanoma_tl import cache
from melanoma_tl._atomic import make_folder
from melanoma_tl.errors import CacheError

SCHEMA = "CREATE TABLE IF NOT EXISTS numbers (n INTEGER)"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MELANOMA_TL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def count(path):
    return cache.transact(path, SCHEMA, lambda table: table.execute("SELECT COUNT(*) FROM numbers").fetchone()[0])


def insert(path, number, fail=None):
    def work(table):
        table.execute("INSERT INTO numbers VALUES (?)", [number])
        if fail is not None:
            raise fail

    cache.transact(path, SCHEMA, work)


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


def test_what_vanishes_while_it_is_counted_counts_nothing(folder):
    """Beside one who writes and deletes, counting and clearing raise nothing."""
    ended = threading.Event()

    def write():
        while not ended.is_set():
            with contextlib.suppress(FileNotFoundError):  # cleared
                make_folder(folder / "features" / "deep")
                for number in range(30):
                    (folder / "features" / "deep" / f"{number}.bin").write_bytes(bytes(100))
                for number in range(30):
                    (folder / "features" / "deep" / f"{number}.bin").unlink()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            assert all(0 <= cache.size() <= 3000 for _ in range(300))
            for part in ("features", None) * 20:
                cache.clear(part)
        finally:
            ended.set()
        writing.result()
    cache.clear()
    assert cache.size() == 0


def test_a_transaction_that_fails_leaves_nothing(folder):
    insert(folder / "t.sqlite", 1)
    with contextlib.suppress(KeyError):
        insert(folder / "t.sqlite", 2, KeyError())
    assert count(folder / "t.sqlite") == 1


@pytest.mark.parametrize("content", [b"no database" * 100, b"", b"SQLite format 3\0" + bytes(5000)])
def test_a_damaged_table_is_begun_anew(folder, content, caplog):
    insert(folder / "t.sqlite", 1)
    (folder / "t.sqlite").write_bytes(content)
    (folder / "t.sqlite-journal").write_bytes(content)
    insert(folder / "t.sqlite", 2)
    assert count(folder / "t.sqlite") == 1
    assert "is damaged" in caplog.text or not content


def test_a_table_of_other_columns_is_begun_anew(folder):
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(folder / "t.sqlite")) as table:
        table.execute("CREATE TABLE numbers (n INTEGER, m INTEGER NOT NULL)")
        table.commit()
    insert(folder / "t.sqlite", 1)
    assert count(folder / "t.sqlite") == 1


def test_a_table_that_finds_damage_each_time_says_so(folder):
    with pytest.raises(CacheError, match=r"t\.sqlite.*delete it, for it is damaged, .*MELANOMA_TL_CACHE"):
        insert(folder / "t.sqlite", 1, sqlite3.DatabaseError("as ever"))


def test_a_table_that_is_cleared_meanwhile_is_made_anew(folder):
    cleared = []

    def work(table):
        if not cleared:
            cleared.append(cache.clear())
        table.execute("INSERT INTO numbers VALUES (1)")

    cache.transact(folder / "t.sqlite", SCHEMA, work)
    assert count(folder / "t.sqlite") == 1


def test_a_folder_that_cannot_be_made_says_so(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot be made where a file has its name: choose another"):
        count(tmp_path / "file" / "t.sqlite")


ADVICE = {
    sqlite3.SQLITE_FULL: "free some space",
    sqlite3.SQLITE_IOERR | 1 << 8: "see that the disk works and is not full",  # of a read
    sqlite3.SQLITE_CANTOPEN: "make the folder writable",
    sqlite3.SQLITE_BUSY: "wait for the other process",
}


@pytest.mark.parametrize("code", ADVICE)
def test_what_sqlite_says_has_the_advice_that_fits(folder, code):
    def work(_):
        error = sqlite3.OperationalError("as SQLite says")
        error.sqlite_errorcode = code
        raise error

    with pytest.raises(CacheError, match=rf"as SQLite says\. .* kept there: {ADVICE[code]}"):
        cache.transact(folder / "t.sqlite", SCHEMA, work)


def test_ctrl_c_is_heard_while_another_process_writes(folder, caplog, monkeypatch):
    monkeypatch.setattr(cache, "_AT_A_TIME", 0.05)
    count(folder / "t.sqlite")
    caplog.set_level("INFO", "melanoma_tl.cache")
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupt = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    try:
        with contextlib.closing(sqlite3.connect(folder / "t.sqlite", isolation_level=None)) as slow:
            slow.execute("BEGIN IMMEDIATE")  # and then its disk hangs
            begun = time.monotonic()
            interrupt.start()
            with pytest.raises(KeyboardInterrupt):
                count(folder / "t.sqlite")
            assert time.monotonic() - begun < 5
    finally:
        interrupt.join()
        signal.signal(signal.SIGINT, former)
    assert "another process is writing there: waiting for it" in caplog.text
    assert count(folder / "t.sqlite") == 0


def test_a_second_writer_waits_for_the_first(folder, monkeypatch):
    monkeypatch.setattr(cache, "_PATIENCE", 0.05)

    def work(table):
        table.execute("INSERT INTO numbers VALUES (1)")
        with pytest.raises(CacheError, match="locked"):
            count(folder / "t.sqlite")

    cache.transact(folder / "t.sqlite", SCHEMA, work)
    assert count(folder / "t.sqlite") == 1
    with contextlib.closing(sqlite3.connect(folder / "t.sqlite")) as table:
        assert table.execute("SELECT n FROM numbers").fetchall() == [(1,)]
