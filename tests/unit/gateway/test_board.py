"""The board of the incident page: what it answers, what it keeps, and what it leaves out."""

import random
import time

import pytest

from app.gateway.board import MOST, Board, Standing
from app.gateway.lines import COARSE_S, FINE_S, INSTANCES, Line, Metric
from app.gateway.services import SHOWN, TRACKED
from app.policy.decision import SENTENCES, Reason
from app.policy.facts import (
    Command,
    Deploy,
    Direction,
    Instances,
    Phase,
    PolicyDocument,
    PolicySet,
    Source,
    Tick,
    Verb,
)  # fmt: skip
from tasks.contract import Build, Event, Kind, Status
from tests.unit.gateway.boards import SOURCE, T0, decision, outcome, pack, put, scale, service


@pytest.fixture
def board():
    return Board(30)


def test_a_metric_is_the_mean_over_the_instances_that_report_in_each_second(board):
    put(
        board,
        pack(("web", "cpu", "a", T0, 40), ("web", "cpu", "b", T0 + 100, 60), ("web", "cpu", "a", T0 + 1000, 80)),
        T0 + 1000,
    )
    assert service(board)["lines"]["cpu"] == [[T0 // 1000, T0 // 1000 + 1], [50, 70]]


def test_agents_that_report_every_ten_seconds_in_turn_give_a_calm_line():
    metric = Metric()
    for second in range(60):
        if second % 10 < 2:  # a in the first second of ten, b in the next
            metric.add("ab"[second % 10], T0 + second * 1000, 20 + 60 * (second % 10), second)
    metric.settle(99)
    assert metric.line.value[0] == 20  # only a had spoken
    assert set(metric.line.value[1:]) == {50}


def test_an_instance_that_went_away_stops_counting_after_two_of_its_beats():
    metric = Metric()
    for second in range(12):
        metric.add("a", T0 + second * 1000, 10, 1)
        if second < 5:
            metric.add("b", T0 + second * 1000, 90, 1)
    metric.settle(1)
    assert metric.line.value == [50] * 7 + [10] * 5
    assert metric.instances == 1


def test_a_host_whose_clock_is_ahead_does_not_stop_the_line(board):
    for second in range(5):
        at = T0 + second * 1000
        put(board, pack(("web", "cpu", "a", at + 50_000, 10), ("web", "cpu", "b", at, 20)), at)
    times, values = service(board)["lines"]["cpu"]
    assert times == [T0 // 1000 + second for second in range(5)]
    assert values == [15] * 5


def test_the_past_is_thinned_and_its_mean_stays():
    line = Line()
    for second in range(1000):
        line.put(second, second % COARSE_S, second + 1)
        if second % 7 == 0:
            line.thin(second)
    line.thin(999)
    fine = [at for at in line.at_s if at >= 999 - FINE_S]
    assert len(fine) == FINE_S + 1
    old = [value for at, value in zip(line.at_s, line.value, strict=True) if at < fine[0] // COARSE_S * COARSE_S]
    assert old == [4.5] * len(old)
    assert len(old) == fine[0] // COARSE_S
    assert line.at_s == sorted(set(line.at_s))


@pytest.mark.parametrize("seed", range(20))
def test_a_reader_that_asks_again_and_again_knows_what_one_who_asks_once_knows(seed):
    """Services, lines and rows put together from updates are those of one whole answer."""
    chance = random.Random(seed)
    board = Board(30, first=1000)
    known = {"services": {}, **{name: {} for name in MOST}}
    number = 0
    for step in range(200):
        at = T0 + step * 700
        name = chance.choice(["web", "api", "batch"])
        match chance.randrange(8):
            case 0 | 1 | 2:
                metric = chance.choice("abcdefg")
                put(board, pack(*((name, metric, host, at, chance.random()) for host in "xyz")), at)
            case 3:
                put(board, Instances(SOURCE, name, at, chance.randrange(9), chance.randrange(9)), at)
            case 4:
                scale(board, f"j-0-{step}-0", name, at)
            case 5:
                board.outcome(outcome(f"j-0-{chance.randrange(step + 1)}-0"))
            case 6:
                put(board, Deploy(SOURCE, name, Phase.FINISHED, at, "prod", f"{step}"), at, step)
            case 7:
                used = {"name": chance.choice("abcdefg"), "value": 1.0, "target": 1.0}
                board.decision(decision(f"j-1-{step}-0", name, at_ms=at, evidence={"metrics": [used]}))
        if chance.random() < 0.3:
            number = learn(known, board.since(number))
    learn(known, board.since(number))
    afresh = {"services": {}, **{name: {} for name in MOST}}
    learn(afresh, board.since(0))
    assert known == afresh


def learn(known, update):
    """As the page does it: upserts by id and by second."""
    if update["full"]:
        for table in known.values():
            table.clear()
    for head in update["services"]:
        mine = known["services"].setdefault(head["name"], {"lines": {}, "replicas": {}})
        for name, points in head["lines"].items():
            mine["lines"].setdefault(name, {}).update(zip(*points, strict=True))
        mine["replicas"].update(zip(*head["replicas"], strict=True))
        mine["lines"] = {name: line for name, line in mine["lines"].items() if name in head["shown"]}
        mine["head"] = {key: value for key, value in head.items() if key not in {"lines", "replicas", "heard"}}
    for name in MOST:
        known[name].update((row["id"], row) for row in update[name])
    return update["n"]


def test_a_board_begins_above_all_numbers_of_the_one_before():
    before = Board(30)
    for n in range(1000):
        scale(before, f"j-0-{n}-0")
    time.sleep(0.01)  # a restart takes longer
    assert Board(30).number > before.number


def test_a_number_of_another_board_is_answered_with_everything():
    board = Board(30, first=5000)
    scale(board)
    for number in (0, 17, 5000, 10**15):
        assert board.since(number)["full"], number
        assert len(board.since(number)["decisions"]) == 1
    assert not board.since(board.number)["full"]
    assert board.since(board.number)["decisions"] == []


def test_an_outcome_joins_its_decision_whichever_comes_first(board):
    scale(board, "j-0-1-0")
    board.outcome(outcome("j-0-1-0"))
    board.outcome(outcome("j-0-2-0", Status.FAILED, detail="no quota"))
    scale(board, "j-0-2-0")
    scale(board, "j-0-3-0")
    found = {row["id"]: row["outcome"] and row["outcome"]["status"] for row in board.since(0)["decisions"]}
    assert found == {"j-0-1-0": "done", "j-0-2-0": "failed", "j-0-3-0": None}


def test_of_redrives_the_highest_counts_and_a_repeat_changes_nothing(board):
    scale(board)
    board.outcome(outcome(status=Status.DONE, redrive=1))
    before = board.number
    board.outcome(outcome(status=Status.DEAD, redrive=0))
    board.outcome(outcome(status=Status.DONE, redrive=1))
    assert board.since(before)["decisions"] == []
    assert board.since(0)["decisions"][0]["outcome"]["status"] == "done"


def test_a_decision_that_comes_twice_is_one_row(board):
    scale(board)
    before = board.number
    scale(board)
    assert board.since(before)["decisions"] == []
    assert len(board.since(0)["decisions"]) == 1


def test_replicas_come_from_the_observer_and_else_from_what_was_scaled(board):
    scale(board)
    board.outcome(outcome(set=3))
    assert (service(board)["wanted"], service(board)["ready"], service(board)["replicas"][1]) == (3, None, [3])
    put(board, Instances(SOURCE, "web", T0 + 2000, 4, 2), T0 + 2000)
    put(board, Instances(SOURCE, "web", T0 + 3000, 4, 2), T0 + 3000)
    assert (service(board)["wanted"], service(board)["ready"], service(board)["replicas"][1]) == (4, 2, [3, 2])


def test_an_older_word_of_the_observer_does_not_undo_a_scaling_whichever_comes_first(board):
    report = Instances(SOURCE, "web", T0 + 200, 2, 2)
    for first, second in ((report, outcome(set=3)), (outcome(set=3), report)):
        board = Board(30)
        for word in (first, second):
            put(board, word, T0 + 200) if isinstance(word, Instances) else board.outcome(word)
        assert (service(board)["wanted"], service(board)["ready"]) == (3, 2)


def test_metrics_that_decisions_used_come_first_with_their_past_and_the_others_are_counted(board):
    names = [f"m{n:02d}" for n in range(TRACKED + 3)]
    put(board, pack(*(("web", name, "a", T0 - 1000, 3) for name in names)))
    put(board, pack(*(("web", name, "a", T0, 1) for name in names)))
    assert service(board)["shown"] == names[:SHOWN]
    assert service(board)["more"] == len(names) - SHOWN
    number = board.number
    evidence = {"metrics": [{"name": "m11", "value": 2.0, "target": 5.0}]}
    board.decision(decision("j-0-9-0", evidence=evidence))
    found = service(board, after=number)
    assert found["shown"] == ["m11", *names[: SHOWN - 1]]
    assert found["targets"] == {"m11": 5.0}
    assert found["lines"]["m11"] == [[T0 // 1000 - 1, T0 // 1000], [3, 1]]  # the reader had not seen it
    board.decision(decision("j-0-10-0", evidence={"metrics": [{"name": "late", "value": 2.0, "target": 5.0}]}))
    put(board, pack(("web", "m14", "a", T0, 1), ("web", "late", "a", T0, 7)))
    assert service(board)["shown"][:2] == ["late", "m11"]
    assert service(board)["lines"]["late"] == [[T0 // 1000], [7]]


def test_instances_beyond_the_bound_are_said(board):
    put(board, pack(*(("web", "cpu", f"h{n}", T0, 1) for n in range(INSTANCES))))
    assert not service(board)["unheard"]
    put(board, pack(("web", "cpu", "one more", T0, 1)))
    assert service(board)["unheard"]


def test_an_event_that_its_sender_repeated_is_one_row_and_one_without_an_id_is_itself(board):
    for offset, event_id in enumerate(("e1", "e1", "", "", "e2")):
        put(board, Deploy(SOURCE, "web", Phase.FINISHED, T0, "prod", "1.2", event_id=event_id), offset=offset)
    assert [row["id"] for row in board.since(0)["events"]] == ["0/0", "0/2", "0/3", "0/4"]


def test_what_was_published_of_an_event_joins_its_row_and_is_no_decision(board):
    put(board, Deploy(SOURCE, "web", Phase.FINISHED, T0, "prod", "1.3"), offset=7, partition=2)
    event = Event(id="j-2-7-0", event="deployed", service="web", environment="prod", at_ms=T0, previous_version="1.2")
    board.decision(decision("j-2-7-0", reason=Reason.EVENT_SEEN, event=event))
    [row] = board.since(0)["events"]
    assert (row["decision"], row["previous"], row["version"]) == ("j-2-7-0", "1.2", "1.3")
    assert board.since(0)["decisions"] == []


def test_a_word_that_is_on_every_partition_is_one_row(board):
    control = Source("control", "c", 0, 5, 5)
    policies = PolicySet(
        Source("control", "c", 0, 6, 6), "f", [PolicyDocument("Scale", "web", "f", {})], "ann", "why", T0
    )
    for partition in range(4):
        put(board, Command(control, Verb.PAUSE, "*", "ann", "migration", T0), partition=partition)
        put(board, policies, offset=1, partition=partition)
    board.decision(decision("j-0-1-0", "*", Reason.POLICIES_CHANGED))
    rows = board.since(0)["events"]
    assert [(row["phase"], row["what"], row["who"]) for row in rows] == [
        ("pause", "migration", "ann"),
        ("policies", "why: web", "ann"),
    ]
    assert board.since(0)["decisions"] == []


def test_a_paused_service_says_so_until_it_is_resumed(board):
    put(board, Tick(T0))
    put(board, Instances(SOURCE, "web", T0, 1, 1))
    put(board, Command(SOURCE, Verb.PAUSE, "web", "ann", "migration", T0, T0 + 60_000))
    assert service(board)["paused"] == [{"words": "by ann: migration", "until": T0 + 60_000}]
    put(board, Command(SOURCE, Verb.PAUSE, "web", "bob", "cache", T0, direction=Direction.DOWN))
    assert [one["words"] for one in service(board)["paused"]] == ["by ann: migration", "down only, by bob: cache"]
    put(board, Command(SOURCE, Verb.RESUME, "*", "ann", "", T0))
    assert service(board)["paused"] == []


def test_a_build_is_a_row_from_its_acceptance_on_and_a_foreign_one_from_its_outcome(board):
    build = Build(id="gh-1", service="myapp", decided_at_ms=T0, expires_at_ms=T0 + 1, repo="myapp", branch="main")
    board.accepted(build)
    assert board.since(0)["builds"][0]["outcome"] is None
    board.outcome(outcome("gh-1", kind=Kind.BUILD, detail="exit 0"))
    board.outcome(outcome("amqp-1", Status.FAILED, kind=Kind.BUILD, started_at_ms=T0 + 5))
    rows = {row["id"]: row["outcome"]["status"] for row in board.since(0)["builds"]}
    assert rows == {"gh-1": "done", "amqp-1": "failed"}


def test_time_alone_is_news_once_a_second_and_the_standing_when_it_changes(board):
    put(board, Tick(T0), T0)
    before = board.number
    put(board, Tick(T0), T0 + 300)
    assert board.number == before
    put(board, Tick(T0), T0 + 1300)
    assert board.number == before + 1
    board.stand(Standing("live"))
    board.stand(Standing("live"))
    assert board.number == before + 2
    assert board.since(before)["standing"] == {"state": "live", "since_ms": 0, "sentence": ""}


def test_the_first_answer_has_a_sentence_for_every_reason(board):
    assert board.since(0)["sentences"] == {reason.value: sentence for reason, sentence in SENTENCES.items()}
    scale(board)
    assert "sentences" not in board.since(board.number)
