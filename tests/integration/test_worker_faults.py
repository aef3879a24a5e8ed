"""Workers on real servers that are killed, cut off and stopped: no action lost, none done twice."""

import os
import re
import signal
import time
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest
from kombu import Connection

from app.local.receiver import Receiver
from app.queue import topology
from tasks.contract import DEAD_QUEUE, QUEUES, RETRY_S, Kind, Status, action_key, retry_exchange, target_key
from tests.faults import Proxy
from tests.processes import wait_for
from tests.rig import LEASE_S, Rig, building, odd_worker, scaling, telling, worker


@pytest.fixture
def env(headrace_env):
    return headrace_env | {"HEADRACE_LEASE_S": str(LEASE_S)}


def holder(rig, service):
    """(action id, pid) of the worker process that is in the middle of scaling a service."""
    held = rig.redis.hget(target_key(f"simulated:{service}"), "holder")
    owner = rig.redis.hget(action_key(held), "owner") if held else None
    return (held, int(owner.rpartition(":")[2])) if owner else None


def test_the_action_of_a_killed_worker_is_taken_over_and_done_once(rig, env, processes):
    first = worker(processes, env, "first")
    rig.fleet("victim", delay_ms=30_000)
    rig.send(scaling("victim-1", "victim"))
    wait_for(lambda: holder(rig, "victim"), 20, "the action to be held")
    worker(processes, env, "second")
    first.kill()
    rig.fleet("victim", delay_ms=0)
    (outcome,) = rig.ended("victim-1")
    assert (outcome.status, outcome.attempts, outcome.found, outcome.set) == (Status.DONE, 2, 2, 4)
    assert rig.effects("victim") == ["victim-1"]
    assert rig.depth("scale") == 0


def test_the_action_of_a_killed_child_is_done_by_the_same_worker(rig, env, processes):
    running = worker(processes, env)
    rig.fleet("child", delay_ms=5000)
    rig.send(scaling("child-1", "child"))
    _, pid = wait_for(lambda: holder(rig, "child"), 20, "the action to be held")
    os.kill(pid, signal.SIGKILL)
    rig.fleet("child")
    (outcome,) = rig.ended("child-1")
    assert (outcome.status, outcome.attempts) == (Status.DONE, 2)
    assert rig.effects("child") == ["child-1"]
    assert running.alive, running.text


def test_an_effect_whose_worker_died_before_it_was_marked_is_told_as_done_though_it_expired(rig, env, processes):
    """The fleet has the effect, the ledger only that it was begun; then the action expires."""
    rig.fleet("begun", delay_ms=60_000)
    first = worker(processes, env, "first")
    action = scaling("begun-1", "begun", expires_in_s=10.0)
    rig.send(action)
    _, pid = wait_for(lambda: holder(rig, "begun"), 20, "the action to be held")
    os.kill(pid, signal.SIGSTOP)  # so that the effect is ours to make, in its place
    first.kill()
    note = f'{{"id": "begun-1", "to": 4, "generation": {action.generation}}}'
    rig.redis.rpush("headrace:fleet:begun:log", note)
    rig.fleet("begun", replicas=4, generation=1, delay_ms=0)
    time.sleep(max(0.0, action.expires_at_ms / 1000 - time.time()) + 0.1)
    worker(processes, env, "second")
    (outcome,) = rig.ended("begun-1")
    assert (outcome.status, outcome.set, outcome.attempts) == (Status.DONE, 4, 2)


def test_an_orphaned_build_is_waited_for_and_not_run_beside_itself(rig, env, processes, tmp_path):
    runs = tmp_path / "runs"
    env = env | {
        "HEADRACE_BUILD_DIR": str(tmp_path / "builds"),
        "HEADRACE_BUILD_COMMAND": f"echo run >> {runs}; sleep 12; echo end >> {runs}",
    }
    first = worker(processes, env, "first")
    rig.send(building("orphan-1"))
    wait_for(runs.exists, 20, "the build to begin")
    worker(processes, env, "second")
    first.kill()
    (outcome,) = rig.ended("orphan-1")
    assert outcome.status is Status.DONE
    assert outcome.attempts >= 2, "the first was killed with it"
    assert runs.read_text().split() == ["run", "end"]


def test_redis_killed_while_actions_flow_loses_none_and_doubles_none(rig, env, processes, redis):
    running = worker(processes, env)
    actions = [scaling(f"redis-{n:02}", f"redis{n}", to=3) for n in range(30)]
    for action in actions:
        rig.fleet(action.service, delay_ms=200)
    rig.send(*actions)
    rig.ended("redis-", 3)
    redis.kill()
    time.sleep(3)
    before = len(rig.outcomes("redis-"))
    redis.start()
    outcomes = rig.ended("redis-", 30, timeout=60)
    assert before < 30
    assert {one.id for one in outcomes} == {one.id for one in actions}
    assert {one.status for one in outcomes} == {Status.DONE}
    assert all(rig.effects(one.service) == [one.id] for one in actions)
    assert running.alive, running.text
    wait_for(lambda: rig.depth("parked") == 0, 5)


def test_a_delivery_is_not_acknowledged_before_kafka_has_its_outcome(rig, env, processes, kafka):
    running = worker(processes, env)
    rig.fleet("frozen")
    rig.send(scaling("warm-1", "warm"))
    rig.ended("warm-1")
    kafka.freeze()
    rig.send(scaling("frozen-1", "frozen"))
    wait_for(lambda: rig.effects("frozen"), 20, "the effect")
    wait_for(lambda: rig.redis.hget(action_key("frozen-1"), "state") == "done", 10, "the mark")
    time.sleep(1)
    running.kill()  # what was not acknowledged comes again
    wait_for(lambda: rig.depth("scale") == 1, 20, "the delivery to be back in its queue")
    kafka.thaw()
    worker(processes, env, "second")
    outcomes = rig.ended("frozen-1")
    assert {one.status for one in outcomes} == {Status.DONE}
    assert rig.effects("frozen") == ["frozen-1"]


def test_an_outcome_waits_for_kafka_longer_than_one_try(rig, env, processes, kafka):
    worker(processes, env)
    rig.fleet("patient")
    kafka.freeze()
    rig.send(scaling("patient-1", "patient"))
    time.sleep(14)  # a try is given up after 10 s
    kafka.thaw()
    assert {one.status for one in rig.ended("patient-1")} == {Status.DONE}
    wait_for(lambda: rig.depth("scale") == 0, 10)


def test_rabbitmq_killed_under_load_loses_no_action_and_doubles_none(rig, env, processes, rabbitmq):
    running = [worker(processes, env, name) for name in ("first", "second")]
    actions = [scaling(f"load-{n:03}", f"load{n}", to=3) for n in range(200)]
    for action in actions:
        rig.fleet(action.service, delay_ms=20)
    time.sleep(1)  # RabbitMQ 3.10 may lose a queue that it has just made or emptied: see `tests.fresh.queues`
    rig.send(*actions)
    rig.ended("load-", 20)
    rabbitmq.kill()
    rabbitmq.start()
    wait_for(lambda: len({one.id for one in rig.outcomes("load-")}) == 200, 90, "all actions")
    outcomes = rig.outcomes("load-")
    assert {one.status for one in outcomes} == {Status.DONE}
    assert all(rig.effects(one.service) == [one.id] for one in actions)
    assert all(one.alive for one in running)
    print(f"200 actions, {len(outcomes) - 200} delivered again")


def test_without_kafka_actions_are_done_and_the_ledger_has_their_outcomes(rig, env, processes):
    worker(processes, env | {"HEADRACE_KAFKA_URL": ""})
    rig.fleet("alone")
    rig.send(scaling("alone-1", "alone"))
    wait_for(lambda: rig.redis.hget(action_key("alone-1"), "state") == "done", 20, "the action")
    assert rig.effects("alone") == ["alone-1"]
    assert '"status":"done"' in rig.redis.hget(action_key("alone-1"), "outcome")
    assert rig.outcomes() == []


def test_a_worker_that_is_told_to_stop_finishes_what_it_does(rig, env, processes):
    running = worker(processes, env, children=1)
    rig.fleet("stop", delay_ms=2000)
    rig.send(scaling("stop-1", "stop", generation=1))
    wait_for(lambda: holder(rig, "stop"), 20, "the action to be held")
    os.kill(running.pid, signal.SIGTERM)  # the worker alone, as `headrace up` and `docker stop` do
    wait_for(lambda: not running.alive, 20, "the worker to end")
    (outcome,) = rig.outcomes("stop-1")
    assert (outcome.status, outcome.attempts) == (Status.DONE, 1)
    assert rig.depth("scale") == 0


def test_a_receiver_that_hangs_costs_the_other_kinds_nothing_and_is_told_all_when_it_is_back(
    rig, env, processes, tmp_path
):
    """Thirty messages wait for it, four seconds each, with two processes: a minute, if they waited for them."""
    targets = tmp_path / "targets.toml"
    with Receiver() as receiver:
        receiver.pause_s = 30
        targets.write_text(f'[receivers]\nteam = "json{receiver.url.removeprefix("http")}"\n')
        worker(processes, env | {"HEADRACE_TARGETS_FILE": str(targets)})
        rig.send(*[telling(f"hung-{n}") for n in range(30)])
        wait_for(lambda: receiver.entered >= 2, 20, "both processes to hang")
        rig.fleet("other")
        rig.send(*[scaling(f"other-{n}", "other", generation=n + 1, to=n + 3) for n in range(10)])
        rig.ended("other-", 10)
        assert not rig.outcomes("hung-"), "they are to be told later"
        receiver.pause_s = 0
        outcomes = rig.ended("hung-", 30, timeout=100)
        assert {one.status for one in outcomes} == {Status.DONE}
        told = [body for body in receiver.bodies if "says hung-" in body]
        assert {f"hung-{n}" for n in range(30)} == {body.split("says ")[1].split('"')[0] for body in told}


def test_copies_that_wait_survive_the_worker_and_are_done_by_the_next(rig, env, processes, tmp_path):
    targets = tmp_path / "targets.toml"
    with Receiver() as receiver:
        receiver.answer = HTTPStatus.INTERNAL_SERVER_ERROR
        targets.write_text(f'[receivers]\nteam = "json{receiver.url.removeprefix("http")}"\n')
        told = env | {"HEADRACE_TARGETS_FILE": str(targets)}
        first = worker(processes, told, "first")
        rig.send(telling("copy-1"))
        wait_for(lambda: sum(map(rig.depth, map(retry_exchange, RETRY_S))) == 1, 20, "the copy to wait")
        first.kill()
        receiver.answer = HTTPStatus.OK
        wait_for(lambda: rig.depth("notify") == 1, 20, "the copy to come back")
        worker(processes, told, "second")
        (outcome,) = rig.ended("copy-1")
        assert (outcome.status, outcome.attempts) == (Status.DONE, 2)


@pytest.mark.parametrize("odd", [("deaf",), ("deaf", "stays")])
def test_what_a_process_has_that_did_not_end_when_it_was_told_to_is_not_lost_with_it(rig, env, processes, odd):
    """The connection is cut, so Celery has the process end that is at work, and counts it as gone; it goes on with
    other messages, and dies with one of them."""
    with Proxy(urlsplit(rig.settings.rabbitmq_url).port) as proxy:
        through = rig.settings.rabbitmq_url.replace(f":{urlsplit(rig.settings.rabbitmq_url).port}/", f":{proxy.port}/")
        odd_worker(processes, env | {"HEADRACE_RABBITMQ_URL": through}, *odd)
        for service in ("first", "second", "third"):
            rig.fleet(service, delay_ms=3000)
        rig.send(scaling("told-1", "first"), scaling("told-2", "second"))
        before = dict(wait_for(lambda: len(had := held(rig, "first", "second")) == 2 and had, 20, "both to be held"))
        proxy.cut()
        rig.ended("told-", 2)
        rig.send(scaling("dies-1", "third"))
        (_, pid) = wait_for(lambda: holder(rig, "third"), 40, "the third to be held")
        assert (pid in before.values()) == ("stays" in odd)
        os.kill(pid, signal.SIGKILL)
        (outcome,) = rig.ended("dies-1")
    assert outcome.status is Status.DONE
    assert [rig.effects(one) for one in ("first", "second", "third")] == [["told-1"], ["told-2"], ["dies-1"]]


def held(rig, *services):
    """What `holder` says of each service that is being scaled."""
    return [found for one in services if (found := holder(rig, one))]


def test_a_queue_that_somebody_deletes_holds_up_no_other_and_is_taken_from_once_it_is_back(apart, env, processes):
    here, rig = env | {"HEADRACE_RABBITMQ_URL": apart.rabbitmq_url}, Rig(apart)
    running = worker(processes, here)
    for service, missing in (("first", QUEUES[Kind.NOTIFY]), ("second", DEAD_QUEUE)):
        rig.fleet(service)
        with Connection(apart.rabbitmq_url) as connection:
            connection.channel().queue_delete(missing)
        rig.send(scaling(f"{service}-1", service))
        assert rig.ended(f"{service}-1")[0].status is Status.DONE
        wait_for(lambda missing=missing: f'"queues": ["{missing}"]' in running.text, 10, running.text[-3500:])
        assert "Connection to broker lost" not in running.text, "what it has under way is not given up"
        topology.init(apart)
        rig.raw(missing, b"nobody can read this")
        wait_for(lambda missing=missing: rig.depth(missing) == 0, 30, "the queue to be taken from")
    assert running.alive, running.text


def test_a_worker_that_starts_before_the_queues_are_made_takes_from_them_later(apart, env, processes):
    for name in topology.queues():
        with Connection(apart.rabbitmq_url) as connection:
            connection.channel().queue_delete(name)
    running = worker(processes, env | {"HEADRACE_RABBITMQ_URL": apart.rabbitmq_url})
    assert running.text.count("headrace queues init") == 1
    topology.init(apart)
    rig = Rig(apart)
    rig.fleet("early")
    rig.send(scaling("early-1", "early"))
    assert rig.ended("early-1")[0].status is Status.DONE


def test_a_worker_forgets_the_time_limits_of_what_is_done(rig, env, processes):
    running = odd_worker(processes, env, "sweeps")
    rig.send(*[scaling(f"limit-{n:03}", f"limit{n}") for n in range(100)])
    rig.ended("limit-", 100)
    sweeps = re.compile(r"^timers (\d+) (\d+)$", re.MULTILINE)

    def forgotten():
        return sum(int(before) - int(after) for before, after in sweeps.findall(running.text))

    wait_for(lambda: forgotten() >= 100, 10, "every time limit to be forgotten")
    assert int(sweeps.findall(running.text)[-1][1]) < 20


def test_a_setting_that_is_none_is_one_sentence(processes):
    running = processes.start(["celery", "-A", "tasks", "worker"], {"HEADRACE_LEASE_S": "1"})
    wait_for(lambda: not running.alive, 30, "it to end")
    assert running.code == 1
    assert running.text == "headrace: setting HEADRACE_LEASE_S: Input should be greater than or equal to 2.\n"
