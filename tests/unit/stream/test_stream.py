import logging
from types import SimpleNamespace

from faust.types.tuples import TP
from yarl import URL

from app.log import Folded
from app.settings import Settings
from app.stream.blocks import Block
from app.stream.build import build
from app.stream.progress import _reached
from app.stream.topics import CHANGELOG, JOURNAL, TOPICS

TP0 = TP(JOURNAL, 0)


def record(offset):
    return SimpleNamespace(offset=offset)


def test_a_block_is_cut_where_the_last_one_ended():
    block = Block(TP0, 10, 20, [record(11), record(14), record(19)])
    rest = block.since(14)
    assert (rest.start, rest.end, [r.offset for r in rest.records]) == (14, 20, [14, 19])


def test_our_own_log_lines_are_never_folded():
    folded = Folded(lambda: 0.0)
    lines = [logging.LogRecord("app", logging.INFO, "structlog.py", 7, {"id": n}, (), None) for n in range(3)]
    assert [folded.filter(line) for line in lines] == [True, True, True]
    assert lines[2].msg == {"id": 2}


def test_a_repeated_log_line_is_folded_into_one_a_second():
    at = [0.0]
    folded = Folded(lambda: at[0])

    def line():
        return logging.LogRecord("aiokafka", logging.ERROR, "conn.py", 7, "Unable to connect", (), None)

    assert folded.filter(line())
    assert [folded.filter(line()) for _ in range(5)] == [False] * 5
    at[0] = 1.5
    last = line()
    assert folded.filter(last)
    assert last.msg == "Unable to connect (and 5 more like it)"


def test_a_group_has_read_until_a_moment_when_every_source_was_committed_that_far():
    ends = {("metrics", 0): 5, ("metrics", 1): 0}
    assert _reached(ends, {("metrics", 0): 5})
    assert not _reached(ends, {("metrics", 0): 4})
    assert not _reached(ends, {})


def test_the_changelog_is_named_as_faust_names_it_and_has_as_many_partitions_as_the_journal():
    by_name = {topic.name: topic for topic in TOPICS}
    assert CHANGELOG == "auto-scaler-state-changelog"
    assert by_name[CHANGELOG].partitions is by_name[JOURNAL].partitions is None


def test_neither_fausts_nor_celerys_variables_move_the_brokers(monkeypatch, tmp_path):
    monkeypatch.setenv("BROKER_URL", "kafka://elsewhere:1")
    monkeypatch.setenv("HEADRACE_FAUST_BROKER_URL", "kafka://elsewhere:1")
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://elsewhere:1")
    monkeypatch.setenv("HEADRACE_KAFKA_URL", "kafka://here:9")
    assert build("x", [], Settings(datadir=tmp_path)).conf.broker == [URL("headrace://here:9")]
    assert "elsewhere" not in Settings().rabbitmq_url
