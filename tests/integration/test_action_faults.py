"""Rollbacks and webhooks through workers: repeated, out of order, late, killed in the middle, and refused."""

import base64
import os
import signal
import socket
import time
from http import HTTPStatus

import msgspec
import pytest
from standardwebhooks import Webhook as Verifier

from app.local.receiver import Receiver
from tasks.contract import Status, action_key, fleet_key, target_key
from tests.processes import wait_for
from tests.rig import LEASE_S, calling, rolling_back, scaling, worker

SECRET = "whsec_" + base64.b64encode(b"of the tests, thirty-two bytes!!").decode()


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


@pytest.fixture
def env(headrace_env, tmp_path, receiver):
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = server.getsockname()[1]
    entries = {
        "deploys": (f"{receiver.url}s3cret-path", "true"),
        "gone": (f"http://127.0.0.1:{gone}/s3cret-path", "true"),
        "inner": (f"{receiver.url}s3cret-path", "false"),
    }
    (tmp_path / "targets.toml").write_text(
        "\n".join(
            f'[webhooks.{name}]\nurl = "{url}"\nsecret_file = "{tmp_path}/hook"\nprivate = {private}'
            for name, (url, private) in entries.items()
        )
    )
    (tmp_path / "hook").write_text(SECRET)
    return headrace_env | {
        "HEADRACE_LEASE_S": str(LEASE_S),
        "HEADRACE_TARGETS_FILE": str(tmp_path / "targets.toml"),
    }


def holder(rig, service):
    """(action id, pid) of the worker process that is in the middle of changing a service."""
    held = rig.redis.hget(target_key(f"simulated:{service}"), "holder")
    owner = rig.redis.hget(action_key(held), "owner") if held else None
    return (held, int(owner.rpartition(":")[2])) if owner else None


def same(outcomes):
    """How many different outcomes there are, but for the count of repeats."""
    return len({msgspec.json.encode(msgspec.structs.replace(one, repeats=0)) for one in outcomes})


def outlast(action):
    time.sleep(max(0.0, action.expires_at_ms / 1000 - time.time()) + 0.1)


# Rollbacks


def test_a_rollback_that_is_delivered_three_times_to_two_workers_is_one_effect(rig, env, processes):
    rig.fleet("web", version="2")
    worker(processes, env, "first")
    worker(processes, env, "second")
    rig.send(*[rolling_back("back-1", "web", generation=3)] * 3)
    outcomes = rig.ended("back-1", 3)
    assert same(outcomes) == 1
    outcome = outcomes[0]
    assert (outcome.status, outcome.detail, outcome.generation) == (Status.DONE, "version 2 → 1", 3)
    assert rig.effects("web") == ["back-1"]
    assert rig.redis.hget(fleet_key("web"), "version") == "1"


def test_a_scaling_and_a_rollback_of_one_service_never_run_at_a_time(rig, env, processes):
    rig.fleet("web", version="2", delay_ms=1500)
    worker(processes, env, children=4)
    rig.send(scaling("scale-1", "web", generation=1))
    wait_for(lambda: holder(rig, "web"), 20, "the scaling to be held")
    rig.send(rolling_back("back-1", "web", generation=2))
    (first,), (second,) = rig.ended("scale-1"), rig.ended("back-1")
    assert {first.status, second.status} == {Status.DONE}
    assert rig.effects("web") == ["scale-1", "back-1"]
    assert second.ended_at_ms - first.ended_at_ms >= 1500
    assert rig.replicas("web") == 4


def test_what_is_older_already_so_or_about_another_version_is_told_as_that_and_does_nothing(rig, env, processes):
    rig.fleet("web", version="2")
    worker(processes, env)
    rig.send(scaling("scale-1", "web", generation=5))
    rig.ended("scale-1")
    rig.send(rolling_back("older-1", "web", generation=4))
    (older,) = rig.ended("older-1")
    assert (older.status, "generation 5" in older.detail) == (Status.CONFLICT, True)
    rig.send(rolling_back("other-1", "web", generation=6, found="1.9"))
    (other,) = rig.ended("other-1")
    assert (other.status, "version 2 runs by now" in other.detail) == (Status.CONFLICT, True)
    rig.send(rolling_back("so-1", "web", generation=7, found="3", to="2"))
    (skipped,) = rig.ended("so-1")
    assert (skipped.status, skipped.detail, skipped.generation) == (Status.SKIPPED, "version 2 runs already", 7)
    assert rig.effects("web") == ["scale-1"]
    rig.send(rolling_back("none-1", "web", generation=8, to=""), rolling_back("k8s-1", "web", driver="kubernetes"))
    assert [rig.ended(id_)[0].status for id_ in ("none-1", "k8s-1")] == [Status.FAILED, Status.FAILED]
    assert rig.redis.hget(fleet_key("web"), "version") == "2"


def test_a_rollback_and_a_webhook_that_come_too_late_are_not_done(rig, env, processes, receiver):
    rig.fleet("web", version="2")
    late = [rolling_back("late-1", "web", expires_in_s=-1), calling("late-2", expires_in_s=-1)]
    worker(processes, env)
    rig.send(*late)
    assert {one.status for one in rig.ended("late", 2)} == {Status.EXPIRED}
    assert (rig.effects("web"), receiver.entered) == ([], 0)


def test_the_rollback_of_a_killed_worker_is_taken_over_and_done_once(rig, env, processes):
    first = worker(processes, env, "first")
    rig.fleet("web", version="2", delay_ms=5000)
    rig.send(rolling_back("back-1", "web"))
    wait_for(lambda: holder(rig, "web"), 20, "the action to be held")
    first.kill()
    rig.redis.hdel(fleet_key("web"), "delay_ms")
    rig.fleet("web", version="2")
    worker(processes, env, "second")
    (outcome,) = rig.ended("back-1")
    assert (outcome.status, outcome.attempts, outcome.detail) == (Status.DONE, 2, "version 2 → 1")
    assert rig.effects("web") == ["back-1"]


def test_a_rollback_whose_worker_died_before_it_was_marked_is_told_as_done_though_it_expired(rig, env, processes):
    """The fleet has the effect, the ledger only that it was begun; then the action expires."""
    rig.fleet("web", version="2", delay_ms=2000)
    first = worker(processes, env, "first")
    action = rolling_back("back-1", "web", expires_in_s=6.0)
    rig.send(action)
    _, pid = wait_for(lambda: holder(rig, "web"), 20, "the action to be held")
    os.kill(pid, signal.SIGSTOP)  # so that the effect is ours to make, in its place
    first.kill()
    rig.redis.rpush(f"{fleet_key('web')}:log", '{"id": "back-1", "to": "1", "generation": 1}')
    rig.redis.hset(fleet_key("web"), "version", "1")
    outlast(action)
    worker(processes, env, "second")
    (outcome,) = rig.ended("back-1")
    assert (outcome.status, outcome.attempts) == (Status.DONE, 2)
    assert "version 1, set by a worker that died" in outcome.detail


# Webhooks


def test_a_webhook_that_is_delivered_three_times_to_two_workers_is_called_once(rig, env, processes, receiver):
    worker(processes, env, "first")
    worker(processes, env, "second")
    rig.send(*[calling("hook-1")] * 3)
    outcomes = rig.ended("hook-1", 3)
    assert same(outcomes) == 1
    assert (outcomes[0].status, outcomes[0].detail) == (Status.DONE, "webhook deploys answered 200")
    (received,) = receiver.received
    assert Verifier(SECRET).verify(received.body, received.headers)["data"] == {"score": 0.25}
    assert received.headers["webhook-id"] == "hook-1"


def test_a_receiver_that_fails_is_called_again_until_it_takes_it(rig, env, processes, receiver):
    receiver.answer = HTTPStatus.INTERNAL_SERVER_ERROR
    worker(processes, env)
    rig.send(calling("hook-1"))
    wait_for(lambda: receiver.received, 20, "the first call")
    receiver.answer = HTTPStatus.OK
    (outcome,) = rig.ended("hook-1")
    assert (outcome.status, outcome.attempts) == (Status.DONE, 2)
    first, second = receiver.received
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])


def test_what_a_receiver_refuses_or_may_not_be_asked_fails_and_tells_no_secret(rig, env, processes, receiver):
    running = worker(processes, env)
    receiver.answer = HTTPStatus.GONE
    rig.send(calling("hook-1"))
    (gone,) = rig.ended("hook-1")
    assert (gone.status, "410" in gone.detail, len(receiver.received)) == (Status.FAILED, True, 1)
    receiver.answer, receiver.told = HTTPStatus.TEMPORARY_REDIRECT, {"Location": receiver.url}
    rig.send(calling("hook-2"))
    (redirected,) = rig.ended("hook-2")
    assert (redirected.status, len(receiver.received)) == (Status.FAILED, 2)
    rig.send(calling("hook-3", "inner"), calling("hook-4", "nobody"), calling("hook-5", "gone", expires_in_s=5))
    private, unknown, away = (rig.ended(id_)[0] for id_ in ("hook-3", "hook-4", "hook-5"))
    assert {private.status, unknown.status, away.status} == {Status.FAILED}
    assert "127.0.0.1, which is not public" in private.detail
    assert "there are deploys, gone, inner" in unknown.detail
    assert "given up after" in away.detail
    assert len(receiver.received) == 2
    told = running.text + "".join(one.detail for one in (gone, redirected, private, unknown, away))
    assert SECRET.removeprefix("whsec_") not in told
    assert "s3cret" not in told


@pytest.mark.parametrize("expires_in_s", [60.0, 5.0])
def test_a_webhook_whose_worker_was_killed_before_the_answer(rig, env, processes, receiver, expires_in_s):
    """In time it is called again under the same id; too late it is not, and nobody claims to know."""
    receiver.pause_s = 8
    first = worker(processes, env, "first")
    action = calling("hook-1", expires_in_s=expires_in_s)
    rig.send(action)
    wait_for(lambda: receiver.entered, 20, "the call")
    first.kill()
    receiver.pause_s = 0
    if expires_in_s < 10:
        outlast(action)
    worker(processes, env, "second")
    (outcome,) = rig.ended("hook-1")
    assert outcome.attempts == 2
    if expires_in_s < 10:
        assert (outcome.status, "perhaps it was done" in outcome.detail) == (Status.EXPIRED, True)
        assert receiver.entered == 1
        return
    assert outcome.status is Status.DONE
    wait_for(lambda: len(receiver.received) == 2, 20, "both calls to end")
    assert len({(one.body, one.headers["webhook-id"]) for one in receiver.received}) == 1
