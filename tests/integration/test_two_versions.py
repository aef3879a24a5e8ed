"""Workers of two versions on one queue, as while an upgrade is under way. On real servers.

What both do under load, with kills, is a row of tests/chaos/test_queue.py.
"""

import json
from http import HTTPStatus

import pytest
from kombu import Connection

from app.local.receiver import Receiver
from app.queue.message import of_action
from tasks.contract import EXCHANGE, PARKED_QUEUE, RETRY_S, SCHEMA, Status, action_key, retry_exchange
from tests.processes import wait_for
from tests.rig import LEASE_S, odd_worker, scaling, telling, worker


@pytest.fixture
def env(headrace_env):
    return headrace_env | {"HEADRACE_LEASE_S": str(LEASE_S)}


def newer(processes, env):
    return odd_worker(processes, env, "newer")


def send(rig, action, **more):
    """Publish an action with fields that this version does not have."""
    made = of_action(action)
    body = json.loads(made.body)
    body[0][0] |= more
    rig.publish((EXCHANGE, made.routing_key, json.dumps(body).encode(), made.properties))


@pytest.mark.parametrize("first", ["older", "newer"])
@pytest.mark.parametrize("note", ["", "a field that the older does not know"])
def test_what_a_worker_of_one_version_died_with_is_done_by_one_of_the_other(rig, env, processes, first, note):
    start = {"older": lambda: worker(processes, env), "newer": lambda: newer(processes, env)}
    rig.fleet("both", delay_ms=60_000)
    victim = start.pop(first)()
    send(rig, scaling("both-1", "both"), note=note)
    wait_for(lambda: rig.redis.hget(action_key("both-1"), "state") == "started", 20, "the action to be begun")
    (survivor,) = start.values()
    survivor()
    victim.kill()
    rig.fleet("both", delay_ms=0)
    (outcome,) = rig.ended("both-1")
    assert (outcome.status, outcome.attempts) == (Status.DONE, 2)
    assert rig.effects("both") == ["both-1"]
    assert rig.depth(PARKED_QUEUE) == 0


def test_a_message_without_the_new_field_is_the_same_request_for_a_newer_worker(rig, env, processes):
    rig.fleet("plain")
    old = worker(processes, env)
    rig.send(scaling("plain-1", "plain"))
    rig.ended("plain-1")
    old.stop()
    newer(processes, env)
    rig.send(scaling("plain-1", "plain"))
    again = rig.ended("plain-1", 2)[-1]
    assert (again.status, again.repeats) == (Status.DONE, 1)
    assert rig.effects("plain") == ["plain-1"]


def test_a_copy_that_comes_back_later_has_the_fields_that_its_worker_does_not_know(rig, env, processes, tmp_path):
    targets = tmp_path / "targets.toml"
    with Receiver() as receiver:
        receiver.answer = HTTPStatus.INTERNAL_SERVER_ERROR
        targets.write_text(f'[receivers]\nteam = "json{receiver.url.removeprefix("http")}"\n')
        running = worker(processes, env | {"HEADRACE_TARGETS_FILE": str(targets)})
        send(rig, telling("copy-1"), colour="red")
        wait_for(lambda: sum(map(rig.depth, map(retry_exchange, RETRY_S))) == 1, 20, "the copy to wait")
        running.kill()
        wait_for(lambda: rig.depth("notify") == 1, 20, "the copy to come back")
    with Connection(rig.settings.rabbitmq_url) as connection:
        body = connection.channel().basic_get("notify", no_ack=True).body
    assert json.loads(body)[0][0]["colour"] == "red"


def test_a_newer_schema_is_dead_with_an_outcome_for_an_older_worker_and_done_when_it_is_sent_again_to_a_newer(
    rig, env, processes, run
):
    old = worker(processes, env)
    rig.fleet("ahead")
    send(rig, scaling("ahead-1", "ahead"), schema=SCHEMA + 1, note="only the newer may do it")
    (dead,) = rig.ended("ahead-1")
    assert (dead.status, dead.redrive) == (Status.DEAD, 0)
    wait_for(lambda: rig.depth(PARKED_QUEUE) == 1, 30, "it to be parked")
    old.stop()
    newer(processes, env)
    assert run("dead", "redrive", "ahead-1", "-r", "the workers are updated").exit_code == 0
    done = rig.ended("ahead-1", 2)[-1]
    assert (done.status, done.redrive) == (Status.DONE, 1)
    assert rig.effects("ahead") == ["ahead-1"]
