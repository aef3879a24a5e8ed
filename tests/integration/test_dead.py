"""Dead letters: each gets its outcome and is parked; people look, send it again, or drop it. On real servers."""

import json
from time import time

import pytest

from app.queue.parked import drop, redrive
from app.settings import settings as current
from app.stream.client import KafkaUnavailable
from tasks.contract import (
    DEAD_QUEUE,
    PARKED_HEADER,
    PARKED_QUEUE,
    Kind,
    Parked,
    Status,
    action_key,
    encode,
    task_name,
)
from tests.processes import wait_for
from tests.rig import LEASE_S, scaling, telling, worker

JSON = {"content_type": "application/json", "content_encoding": "utf-8"}
NAME = task_name(Kind.SCALE)


@pytest.fixture
def env(headrace_env):
    return headrace_env | {"HEADRACE_LEASE_S": str(LEASE_S)}


def parked(rig, count):
    wait_for(lambda: (rig.depth(DEAD_QUEUE), rig.depth(PARKED_QUEUE)) == (0, count), 30, f"{count} parked letters")


def listed(run, *more):
    result = run("dead", "list", "-o", "json", *more)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_an_action_that_fails_as_a_bug_is_parked_and_done_when_it_is_sent_again_after_the_mending(
    rig, env, processes, run
):
    worker(processes, env)
    rig.fleet("bug", delay_ms="no number")
    rig.send(scaling("bug-1", "bug", to=4))
    parked(rig, 1)
    (letter,) = listed(run)
    assert (letter["id"], letter["kind"], letter["service"], letter["why"]) == ("bug-1", "scale", "bug", "rejected")
    assert "no number" in letter["detail"]
    rig.fleet("bug", delay_ms=0)
    assert run("dead", "redrive", "bug-1", "-r", "mended").exit_code == 0
    wait_for(lambda: [one.redrive for one in rig.outcomes("bug-1")][-1:] == [1], 30, "the outcome of the redrive")
    final = rig.outcomes("bug-1")[-1]
    assert (final.status, final.set) == (Status.DONE, 4)
    assert rig.effects("bug") == ["bug-1"]
    assert rig.depth(PARKED_QUEUE) == 0


def test_what_was_done_is_not_done_again_by_a_redrive(rig, env, processes, run):
    worker(processes, env)
    rig.fleet("twice")
    rig.send(scaling("twice-1", "twice", to=4))
    rig.ended("twice-1")
    rig.send(scaling("twice-1", "twice", to=9))  # another payload under a known id
    parked(rig, 1)
    assert run("dead", "redrive", "--all", "-r", "by mistake").exit_code == 0
    parked(rig, 1)
    assert rig.effects("twice") == ["twice-1"]
    assert {one.set for one in rig.outcomes("twice-1")} == {4}


def test_a_message_that_cannot_be_read_has_an_outcome_and_a_later_good_one_of_its_id_is_done(rig, env, processes, run):
    worker(processes, env)
    rig.fleet("odd")
    rig.publish(
        ("downstream_actions", "action.scale.odd", b"{", {"application_headers": {"task": NAME, "id": "odd-1"}, **JSON})
    )
    parked(rig, 1)
    (first,) = rig.ended("odd-1")
    assert (first.status, first.service, first.action) == (Status.DEAD, "odd", Kind.SCALE)
    rig.send(scaling("odd-1", "odd", to=3))
    wait_for(lambda: rig.effects("odd") == ["odd-1"], 20, "the good one")
    assert [one["body"] for one in listed(run)] == ["{"]


def test_poison_is_parked_with_an_outcome_that_says_so_and_its_neighbours_are_done(rig, env, processes, run):
    """The ledger is told that its worker died with it, as a message that ended its worker often enough leaves it."""
    rig.fleet("good")
    rig.redis.hset(action_key("poison-1"), mapping={"state": "started", "until": 0, "token": 3})
    rig.publish(("dead_letters", "action.scale.bad", *_message(scaling("poison-1", "bad"), "delivery_limit")))
    worker(processes, env)
    rig.send(scaling("good-1", "good"))
    parked(rig, 1)
    (outcome,) = rig.ended("poison-1")
    assert (outcome.status, outcome.detail) == (Status.DEAD, "the workers that had it died, one after another")
    assert rig.ended("good-1")[0].status is Status.DONE


def test_a_dead_letter_waits_for_the_worker_that_still_has_its_action(rig, env, processes):
    rig.fleet("busy", delay_ms=4000)
    action = scaling("busy-1", "busy", to=5)
    worker(processes, env)
    rig.send(action)
    wait_for(lambda: rig.redis.hget(action_key("busy-1"), "state") == "started", 20, "the action to be begun")
    rig.publish(("dead_letters", "action.scale.busy", *_message(action, "delivery_limit")))
    parked(rig, 1)
    assert {one.status for one in rig.ended("busy-1", 2)} == {Status.DONE}


def test_a_message_is_sent_again_three_times_at_most_and_can_be_dropped(rig, env, processes, run):
    worker(processes, env)
    rig.fleet("hopeless", delay_ms="no number")
    rig.send(scaling("hopeless-1", "hopeless"), telling("told-1", receiver="nobody"))
    parked(rig, 1)
    for _ in range(3):
        assert run("dead", "redrive", "hopeless-1", "-r", "again").exit_code == 0
        parked(rig, 1)
    refused = run("dead", "redrive", "hopeless-1", "-r", "again")
    assert refused.exit_code == 1
    assert "sent again 3 times already" in refused.output
    assert max(one.redrive for one in rig.outcomes("hopeless-1")) == 3
    assert run("dead", "drop", "--kind", "notify", "--yes", "-r", "none").output.strip() == "nothing was deleted"
    assert run("dead", "drop", "hopeless-1", "--yes", "-r", "given up").exit_code == 0
    assert listed(run) == []


def test_a_look_takes_nothing_and_shows_all_of_a_letter(rig, env, processes, run):
    worker(processes, env)
    rig.raw("scale", b"{", {"task": NAME, "id": "shown-1"}, **JSON)
    parked(rig, 1)
    for _ in range(30):  # more often than a quorum queue lets a message come back by default
        assert len(listed(run)) == 1
    shown = run("dead", "show", "shown-1")
    assert "x-death" in shown.output
    assert run("dead", "show", "other").exit_code == 1


def dead(rig, *actions):
    """Letters of actions that no worker has seen, parked as the keeper does it."""
    for one in actions:
        body, properties = _message(one, "rejected")
        about = Parked(
            at_ms=1, why="rejected", queue="scale", routing_key=f"action.scale.{one.service}", id=one.id, kind="scale",
            service=one.service,
        )  # fmt: skip
        headers = properties["application_headers"] | {PARKED_HEADER: encode(about).decode()}
        rig.raw(PARKED_QUEUE, body, headers, **{k: v for k, v in properties.items() if k != "application_headers"})


def recorded(run):
    result = run("audit", "commands", "-o", "json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_who_sent_what_again_and_who_dropped_it_is_on_record_once_it_was_done(rig, run):
    dead(rig, scaling("a-1", "a"), scaling("a-2", "a"), scaling("b-1", "b"))
    assert run("dead", "redrive", "a-1", "a-2", "b-1", "-r", "mended", "--author", "ann").exit_code == 0
    dead(rig, scaling("a-3", "a"))
    assert run("dead", "drop", "a-3", "--yes", "-r", "too old", "--author", "bob").exit_code == 0
    assert run("dead", "drop", "a-3", "--yes", "-r", "again", "--author", "bob").exit_code == 1
    found = [(o["verb"], o["service"], o["author"], o["reason"], o["ids"], o["redrive"]) for o in recorded(run)]
    assert found == [
        ("redrive", "a", "ann", "mended", ["a-1", "a-2"], 1),
        ("redrive", "b", "ann", "mended", ["b-1"], 1),
        ("drop", "a", "bob", "too old", ["a-3"], 0),
    ]
    assert all(abs(one["at_ms"] - time() * 1000) < 600_000 for one in recorded(run))
    assert "too old" in run("audit", "commands").output
    assert rig.depth("scale") == 3


def test_what_the_broker_does_not_take_is_not_on_record_and_what_it_took_before_is(rig, run):
    dead(rig, scaling("taken-1", "a"))
    nowhere = Parked(
        at_ms=1, why="rejected", queue="no-such-queue", routing_key="", id="lost-1", kind="scale", service="a"
    )
    rig.raw(PARKED_QUEUE, b"{}", {PARKED_HEADER: encode(nowhere).decode()})
    refused = run("dead", "redrive", "--all", "-r", "try")
    assert refused.exit_code == 1
    assert [one["ids"] for one in recorded(run)] == [["taken-1"]]
    assert sorted(one["name"] for one in listed(run)) == ["lost-1", "taken-1"]


def test_what_cannot_be_put_on_record_stays_parked(rig, clean, run):
    dead(rig, scaling("a-1", "a"))

    def refused(_):
        raise KafkaUnavailable("Kafka is away")

    with pytest.raises(KafkaUnavailable):
        drop(clean, lambda _: True, 10, refused)
    with pytest.raises(KafkaUnavailable):
        redrive(clean, lambda _: True, 10, "ann: mended", refused)
    assert [one["name"] for one in listed(run)] == ["a-1"]
    assert rig.depth("scale") == 1  # it was sent; sent once more it is the same redrive, and done once


def test_without_kafka_nothing_leaves_and_where_there_is_none_it_is_said(rig, run, kafka, monkeypatch):
    dead(rig, scaling("a-1", "a"), scaling("a-2", "a"))
    kafka.kill()
    assert run("dead", "redrive", "a-1", "-r", "mended").exit_code == 1
    assert run("dead", "drop", "a-1", "--yes", "-r", "old").exit_code == 1
    assert [one["name"] for one in listed(run)] == ["a-1", "a-2"]
    assert rig.depth("scale") == 0
    monkeypatch.setenv("HEADRACE_KAFKA_URL", "")
    current.cache_clear()
    sent = run("dead", "redrive", "a-1", "-r", "mended")
    assert (sent.exit_code, "no record of this could be written for 1 messages" in sent.output) == (0, True)
    assert rig.depth("scale") == 1


def _message(action, why):
    """An action as RabbitMQ dead-letters it."""
    from app.queue.message import of_action

    made = of_action(action)
    death = {"reason": why, "queue": "scale", "exchange": "downstream_actions", "count": 1}
    headers = made.properties["application_headers"] | {"x-death": [death]}
    return made.body, made.properties | {"application_headers": headers}
