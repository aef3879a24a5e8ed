"""The spool on a real disk, full and broken ones among them."""

import sqlite3

import pytest

from app.gateway.spool import Spool, SpoolError
from tasks.contract import Build


def build(number):
    return Build(
        id=f"github-{number}", service="o/r", repo="o/r", branch="main", commit="abc", decided_at_ms=1, expires_at_ms=2
    )


def test_what_was_put_is_there_after_a_restart_in_its_order_and_once(tmp_path):
    Spool(tmp_path / "deep" / "spool.db").put([build(2), build(1)])
    Spool(tmp_path / "deep" / "spool.db").put([build(2), build(3)])
    again = Spool(tmp_path / "deep" / "spool.db")
    assert again.oldest(10) == [build(2), build(1), build(3)]
    again.remove([build(1)])
    assert (again.count(), again.oldest(1)) == (2, [build(2)])


def test_a_full_disk_is_said_and_nothing_is_half_kept(tmp_path, monkeypatch):
    spool = Spool(tmp_path / "spool.db")
    spool.put([build(0)])
    connect = sqlite3.connect

    def small(*args, **more):
        db = connect(*args, **more)
        db.execute("PRAGMA max_page_count = 8")
        return db

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(SpoolError, match=r"full\b.*is its disk full"):
        spool.put([build(number) for number in range(1, 1000)])
    assert spool.oldest(10) == [build(0)]


def test_a_file_that_is_no_spool_is_said_to_be_none(tmp_path):
    (tmp_path / "spool.db").write_bytes(b"something else" * 100)
    with pytest.raises(SpoolError, match=r"spool\.db"):
        Spool(tmp_path / "spool.db").put([build(1)])


def test_a_directory_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError):
        Spool(tmp_path / "file" / "spool.db").count()
