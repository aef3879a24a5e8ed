"""A CSV becomes the journal that it stands for, or every bad row is told and nothing is decided."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from app.cli import root
from app.history import csv_trace
from app.history.csv_trace import Trace, checked, read, tick_for
from app.history.journal import HistoryError
from app.history.replay import replay, with_policies
from app.policy.decision import decode
from app.policy.facts import Instances, Samples, Series, Tick
from app.policy.files import load
from tests.unit.policy.builders import scales

POLICY = """
apiVersion: headrace/v1
kind: Scale
metadata: {name: web}
spec:
  service: web
  maxReplicas: 20
  metrics:
    - type: External
      external: {metric: {name: rps}, target: {type: AverageValue, averageValue: 100}}
"""
WAYS = {
    "epoch seconds": lambda ms: f"{ms / 1000:.3f}",
    "epoch milliseconds": str,
    "epoch microseconds": lambda ms: f"{ms}000",
    "epoch nanoseconds": lambda ms: f"{ms}000000",
    "ISO 8601": lambda ms: datetime.fromtimestamp(ms / 1000, UTC).isoformat(),
}
"""Ways to write a timestamp, by the name they are told by."""


@pytest.fixture
def headrace(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "web.yaml").write_text(POLICY)

    def run(text, *more, code=0, **how):
        (tmp_path / "t.csv").write_text(text)
        words = {"--policies": str(tmp_path / "policies"), "--csv": str(tmp_path / "t.csv"), "--service": "web",
                 "--metric": "rps"} | how  # fmt: skip
        flat = [word for pair in words.items() if pair[1] is not None for word in pair]
        done = CliRunner().invoke(root, ["replay", *flat, *more], input=text if how.get("--csv") == "-" else None)
        assert done.exit_code == code, done.output
        return done

    return run


def wrong(text):
    with pytest.raises(HistoryError) as found:
        read(text.splitlines(keepends=True), "t.csv")
    return str(found.value).splitlines()


def rows(text):
    return read(text.splitlines(keepends=True), "t.csv")


@given(
    st.sampled_from(list(WAYS)),
    st.lists(st.tuples(st.integers(0, 10_000_000), st.floats(-1e9, 1e9)), min_size=1, max_size=20),
)
@settings(max_examples=100, deadline=None)
def test_timestamps_are_found_out_in_any_of_their_ways(way, gaps):
    at_ms, lines, expected = 1_600_000_000_000, [], []
    for gap, value in gaps:
        at_ms += gap
        expected.append((at_ms, value))
        lines.append(f"{WAYS[way](at_ms)},{value!r}\n")
    found = read(lines, "t.csv")
    assert list(zip(found.at_ms, found.value, strict=True)) == expected
    assert found.times == way


def test_a_trace_may_begin_at_zero():
    assert rows("0,1\n60,2\n").at_ms == [0, 60_000]


@pytest.mark.parametrize("header", ["timestamp,value", "Time,Requests", "", "\n"])
def test_a_header_is_optional(header):
    assert rows(f"{header}\n10,1\n\n20,2\n").value == [1.0, 2.0]


def test_a_header_picks_the_columns_that_are_called_so():
    found = rows("id,value,host,timestamp\n7,1.5,a,10\n8,2.5,b,20\n")
    assert (found.at_ms, found.value) == ([10_000, 20_000], [1.5, 2.5])


def test_a_row_without_a_value_is_silence_and_is_counted():
    found = rows("10,1\n20,\n30,3\n")
    assert (found.at_ms, found.empty) == ([10_000, 30_000], 1)


def test_every_bad_row_is_told_with_its_line_and_nothing_is_taken():
    told = wrong("10,1\nx,3\n20,y\n15,1\n5\n5,6,7\n30,nan\n40,inf\n2024-01-01,5\n1700000000000,5\n50,9\n")
    assert [line.split(" ")[0] for line in told[:-1]] == [f"t.csv:{n}:" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10)]
    assert "neither a number nor ISO 8601" in told[0]
    assert "is no number" in told[1]
    assert "5000 ms earlier than the row before" in wrong("10,1\n20,1\n15,1\n")[0]
    assert "1 columns and not 2" in told[3]
    assert "is not finite" in told[5]
    assert "is not in epoch seconds" in told[7]
    assert "is not in epoch seconds" in told[8]
    assert told[-1].startswith("nothing was decided")


def test_many_bad_rows_are_told_up_to_ten_and_then_counted():
    told = wrong("".join(f"1,x{n}\n" for n in range(37)))
    assert (len(told), told[10]) == (12, "27 more rows are wrong")


def test_a_quoted_field_over_lines_and_a_broken_one_do_no_harm():
    assert wrong('10,"1\n2"\n11,x\n')[1].startswith("t.csv:3: ")
    assert "is no CSV" in wrong(f'10,"{"1" * 200_000}"\n')[0]


@pytest.mark.parametrize("text", ["", "\n\n", "timestamp,value\n", "10,\n"])
def test_a_file_without_a_row_is_told(text):
    assert "t.csv has no row with a value" in wrong(text)[0]


def test_the_facts_are_the_replicas_the_samples_at_their_times_and_ticks_between():
    trace = Trace(rows("10,1\n10,2\n41,3\n70,4\n"), Series("web", "rps"), 3, 15_000)
    found = [(record.timestamp_ms // 1000, record.fact) for record in trace]
    assert [(at, fact.value[0]) for at, fact in found if isinstance(fact, Samples)] == [
        (10, 1),
        (10, 2),
        (41, 3),
        (70, 4),
    ]
    assert [at for at, fact in found if isinstance(fact, Tick)] == [10, 25, 40, 55, 70]
    assert [fact.wanted for _, fact in found if isinstance(fact, Instances)] == [3]
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    assert len(trace) == len(found)
    assert isinstance(found[-1][1], Tick)  # what was read by then is there before
    assert [record.offset for record in trace] == list(range(len(found)))


@given(st.lists(st.integers(0, 90), min_size=1, max_size=30), st.sampled_from([None, 2]), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_how_many_facts_there_are_is_known_beforehand(gaps, replicas, tick_s):
    at, lines = 0, []
    for gap in gaps:
        at += gap
        lines.append(f"{at},1\n")
    trace = Trace(read(lines, "t"), Series("web", "rps"), replicas, tick_s * 1000)
    assert len(trace) == sum(1 for _ in trace)


def test_a_gap_of_years_is_refused_and_not_walked_through(monkeypatch):
    trace = Trace(rows("0,1\n1700000000,2\n"), Series("web", "rps"), None, 15_000)
    with pytest.raises(HistoryError, match="1970-01-01 00:00:00 to 2023-11-14 22:13:20, which makes 113,333,337 facts"):
        checked(trace, "t.csv")
    monkeypatch.setattr(csv_trace, "MOST", len(trace))
    assert checked(trace, "t.csv") is trace


@pytest.mark.parametrize(("apart_s", "tick_s"), [(1, 15), (30, 30), (3600, 60)])
def test_a_tick_is_as_long_as_the_rows_are_apart_within_limits(apart_s, tick_s):
    assert tick_for(rows(f"0,1\n{apart_s},2\n{2 * apart_s},3\n")) == tick_s * 1000


def test_a_trace_decides_as_the_same_facts_on_a_journal_do():
    states = {}
    trace = Trace(rows("".join(f"{n * 15},{450 + n % 7}\n" for n in range(40))), Series("web", "rps"), 2, 15_000)
    decided = list(replay(with_policies(trace, states, load({"p": POLICY})), states, instant=True))
    assert scales(decided) == [(2, 4), (4, 5)]
    assert states[0].now_ms == 39 * 15_000


def test_only_decisions_are_on_standard_output(headrace):
    text = "timestamp,value\n" + "".join(f"{n * 15},450\n" for n in range(40))
    done = headrace(text, "-o", "jsonl", **{"--actuator": "instant", "--replicas": "2"})
    found = [decode(line) for line in done.stdout.encode().splitlines()]
    assert scales(found) == [(2, 4), (4, 5)]
    assert "40 rows from 1970-01-01 00:00:00 to 1970-01-01 00:09:45 UTC (timestamps are epoch seconds)" in done.stderr
    assert (
        headrace(text, "-o", "jsonl", **{"--csv": "-", "--actuator": "instant", "--replicas": "2"}).stdout
        == done.stdout
    )


def test_a_label_is_the_series_own(headrace, tmp_path):
    asks = POLICY.replace("name: rps", "name: rps, selector: {matchLabels: {queue: mail}}")
    (tmp_path / "mail.yaml").write_text(asks)
    policies = {"--policies": str(tmp_path / "mail.yaml"), "--replicas": "2"}
    text = "".join(f"{n * 15},450\n" for n in range(4))
    assert "ABOVE_TARGET" in headrace(text, "-o", "jsonl", "--label", "queue=mail", **policies).stdout
    assert "ABOVE_TARGET" not in headrace(text, "-o", "jsonl", "--label", "queue=web", **policies).stdout


def test_a_slip_of_the_pen_in_a_name_is_told(headrace):
    told = headrace("1,2\n", code=1, **{"--service": "wbe"}).stderr
    assert told == "headrace: no policy that reads metrics is meant for wbe; they are for web.\n"
    told = headrace("1,2\n", code=1, **{"--metric": "rsp"}).stderr
    assert told == "headrace: no policy for web reads rsp; they read rps.\n"
    assert "does not exist" in headrace("1,2\n", code=1, **{"--policies": "/nowhere"}).stderr
    assert "No such file" in headrace("1,2\n", code=1, **{"--csv": "/nowhere.csv"}).stderr


def test_rows_that_are_further_apart_than_a_series_lives_are_told(headrace):
    told = headrace("0,450\n3600,450\n7200,450\n").stderr
    assert "rows are 3600 s apart, and policy web takes a series for missing after 300 s (`stale`)" in told


@pytest.mark.parametrize(
    "more",
    [
        {"--service": None}, {"--metric": None}, {"--policies": None}, {"--csv": None}, {"--tick": "0s"},
        {"--tick": "10"}, {"--label": "mail"}, {"--label": "=mail"}, {"--replicas": "-1"}, {"--journal": "x"},
        {"--decisions": "x"}, {"--from": "-1h"}, {"--actuator": "later"},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_usage_is_told_as_such(headrace, more):
    assert "Traceback" not in headrace("1,2\n", code=2, **more).output
