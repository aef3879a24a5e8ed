import io

import pytest

from app.history.journal import HistoryError, Journal, ordered, read, write
from app.policy.state import unpack
from tests.unit.history.recorded import history, snapshot_at


def exported(journal):
    file = io.BytesIO()
    write(journal, file)
    return file.getvalue().splitlines()


def test_an_exported_journal_reads_back_as_it_was():
    records = history().records
    raw = snapshot_at(records, 4)
    found = read(exported(Journal({0: raw}, records[4:])), "x.jsonl")
    assert found.records == records[4:]
    assert found.snapshots == {0: raw}


def test_snapshots_come_first_and_say_where_they_go_on():
    records = history().records
    first, *_ = exported(Journal({0: snapshot_at(records, 4)}, records[4:]))
    assert b'"next_offset":4' in first


def test_starting_states_are_fresh_each_time():
    records = history().records
    journal = Journal({0: snapshot_at(records, 4)}, records[4:])
    journal.starting()[0].next_offset = 99
    assert journal.starting()[0].next_offset == 4


def test_empty_lines_are_passed_over():
    lines = exported(Journal({}, history().records))
    assert read([b"", *lines, b"  \n"], "x").records == history().records


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "x.jsonl:2 is no line of a journal"),
        (b'{"partition":0}', "x.jsonl:2 has neither"),
        (b'{"partition":0,"offset":1,"timestamp_ms":1,"fact":{"kind":"nonsense"}}', "x.jsonl:2 is no line"),
        (b'{"partition":0,"snapshot":"&&&"}', "x.jsonl:2 has a snapshot that is no base64"),
    ],
)
def test_a_wrong_line_is_named(line, said):
    good, *_ = exported(Journal({}, history().records))
    with pytest.raises(HistoryError, match=said):
        read([good, line], "x.jsonl")


def test_a_snapshot_of_another_version_is_told():
    with pytest.raises(HistoryError, match="snapshot of partition 0 is not of this version"):
        Journal({0: b"\x81\xa1x\x01"}, []).starting()


def test_a_missing_record_is_told():
    records = history().records
    with pytest.raises(HistoryError, match="goes on at 3, but 2 was expected"):
        list(ordered([*records[:2], *records[3:]], {}))


def test_records_before_the_snapshot_are_left_out():
    records = history().records
    states = {0: unpack(snapshot_at(records, 4))}
    assert list(ordered(records, states)) == records[4:]
