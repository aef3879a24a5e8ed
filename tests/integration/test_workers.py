"""One worker on real servers, shared by these tests: what it makes of good, repeated, late and bad messages."""

import json
import threading
from http import HTTPStatus
from time import monotonic, sleep
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.local import ports
from app.local import servers as local
from app.local.receiver import Receiver
from app.settings import Settings
from app.stream.topics import JOURNAL, TOPICS
from tasks.contract import EXPIRY_S, PARKED_QUEUE, Kind, Status, action_key, encode, task_name
from tests import fresh
from tests.processes import Processes, wait_for
from tests.rig import LEASE_S, Rig, building, scaling, telling, worker

NAME = task_name(Kind.SCALE)
DAY_MS = 86_400_000
JSON = {"content_type": "application/json", "content_encoding": "utf-8"}


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as running:
        yield running


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return tmp_path_factory.mktemp("builds") / "built"


@pytest.fixture(scope="module")
def metrics_port():
    return ports.free()[0]


@pytest.fixture(scope="module")
def shared(session, receiver, built, metrics_port):
    """The rig, with a worker that stays alive through all these tests."""
    servers = session.have(*local.NAMES)
    settings = Settings(
        kafka_url=servers.kafka_url, rabbitmq_url=servers.rabbitmq_url, redis_url=servers.redis_url, partitions=4,
        rabbitmq_api=servers.env.get("HEADRACE_RABBITMQ_API", ""),
    )  # fmt: skip
    fresh.topics(settings)
    fresh.queues(settings)
    fresh.keys(settings)
    receivers = built.parent / "targets.toml"
    receivers.write_text(f'[receivers]\nteam = "json{receiver.url.removeprefix("http")}"\n')
    env = servers.env | {
        "HEADRACE_LEASE_S": str(LEASE_S),
        "HEADRACE_LOG_JSON": "true",
        "HEADRACE_TARGETS_FILE": str(receivers),
        "HEADRACE_BUILD_DIR": str(built.parent),
        "HEADRACE_BUILD_COMMAND": f'echo "$HEADRACE_REPO $HEADRACE_BRANCH $HEADRACE_COMMIT" >> {built}',
        "HEADRACE_WORKER_METRICS_PORT": str(metrics_port),
        "CELERY_BROKER_URL": "amqp://nobody:nothing@127.0.0.1:1//",
    }
    processes = Processes(built.parent / "logs")
    running = worker(processes, env)
    yield Rig(settings)
    lived = running.alive
    processes.end()
    assert lived


@pytest.fixture
def rig(shared):
    shared.dead()
    return shared


def same(outcomes):
    """Whether outcomes differ in nothing but the count of repeats."""
    plain = [{name: getattr(one, name) for name in one.__struct_fields__ if name != "repeats"} for one in outcomes]
    return all(one == plain[0] for one in plain)


def test_an_action_delivered_three_times_has_one_effect_and_three_equal_outcomes(rig):
    rig.fleet("thrice")
    rig.send(*[scaling("thrice-1", "thrice")] * 3)
    outcomes = rig.ended("thrice-1", 3)
    assert same(outcomes)
    assert (outcomes[0].status, outcomes[0].found, outcomes[0].set) == (Status.DONE, 2, 4)
    assert sorted(one.repeats for one in outcomes) == [0, 1, 2]
    assert rig.effects("thrice") == ["thrice-1"]


def test_what_was_done_is_remembered_for_longer_than_the_journal_and_any_expiry_last(rig):
    rig.fleet("kept")
    rig.send(scaling("kept-1", "kept"))
    rig.ended("kept-1")
    left_ms = rig.redis.pttl(action_key("kept-1"))
    journal_ms = int(next(one for one in TOPICS if one.name == JOURNAL).config["retention.ms"])
    kept_ms = journal_ms + max(EXPIRY_S.values()) * 1000
    assert kept_ms == 15 * DAY_MS
    assert kept_ms - 600_000 < left_ms <= kept_ms


def test_a_repeat_that_comes_while_the_first_runs_waits_for_it(rig):
    rig.fleet("slow", delay_ms=1000)
    rig.send(*[scaling("slow-1", "slow")] * 2)
    outcomes = rig.ended("slow-1", 2)
    assert same(outcomes)
    assert rig.effects("slow") == ["slow-1"]


def test_a_lease_is_kept_longer_than_it_lasts_while_its_worker_lives(rig):
    rig.fleet("long", delay_ms=(LEASE_S + 2) * 1000)
    rig.send(*[scaling("long-1", "long")] * 2)
    assert [one.attempts for one in rig.ended("long-1", 2)] == [1, 1]
    assert rig.effects("long") == ["long-1"]


def test_the_older_of_two_scalings_is_refused_when_it_comes_last(rig):
    rig.fleet("order")
    rig.send(scaling("order-new", "order", generation=8, to=6))
    rig.ended("order-new")
    rig.send(scaling("order-old", "order", generation=7, to=3))
    (old,) = rig.ended("order-old")
    assert (old.status, old.found, old.set) == (Status.CONFLICT, None, None)
    assert rig.replicas("order") == 6
    assert rig.effects("order") == ["order-new"]


def test_an_expired_action_is_not_done_and_says_so(rig):
    rig.fleet("late")
    rig.send(scaling("late-1", "late", expires_in_s=-1.0), telling("late-2", expires_in_s=-1.0))
    assert [one.status for one in rig.ended("late-", 2)] == [Status.EXPIRED] * 2
    assert rig.effects("late") == []


def test_an_expired_scaling_does_not_stand_in_the_way_of_an_older_one_that_is_not(rig):
    rig.fleet("way")
    rig.send(scaling("way-2", "way", generation=2, expires_in_s=-1.0))
    rig.ended("way-2")
    rig.send(scaling("way-1", "way", generation=1))
    assert rig.ended("way-1")[0].status is Status.DONE


def test_another_payload_under_a_known_id_is_dead_lettered_and_the_first_outcome_stays(rig):
    rig.fleet("twin")
    rig.send(scaling("twin-1", "twin", to=4))
    rig.ended("twin-1")
    rig.send(scaling("twin-1", "twin", to=9))
    wait_for(lambda: rig.depth(PARKED_QUEUE) == 1, 20, "the second payload in the dead letters")
    assert [one.set for one in rig.outcomes("twin-1")] == [4]
    assert rig.replicas("twin") == 4


def test_a_bug_is_tried_three_times_and_then_dead_with_an_outcome(rig):
    rig.fleet("bug", delay_ms="no number")
    rig.send(scaling("bug-1", "bug"))
    outcome, *again = rig.ended("bug-1")
    assert all(one == outcome for one in again), "the keeper writes what the worker wrote"
    assert outcome.status is Status.DEAD
    assert "no number" in outcome.detail
    wait_for(lambda: rig.depth(PARKED_QUEUE) == 1, 20, "the message in the dead letters")


def malformed():
    """Messages that no worker can read: name → (body, headers, properties)."""
    good = json.loads(encode(scaling("m-0", "malformed", generation=0)))
    head = {"lang": "py", "task": NAME, "id": "m-0", "root_id": "m-0"}

    def call(argument, case=""):
        return json.dumps([[argument | {"reason": case}], {}, {}]).encode()

    return {
        "not JSON": (b"{", head, JSON),
        "not UTF-8": (b"\xff\xfe\xfd", head, JSON),
        "empty": (b"", head, JSON),
        "null": (b"null", head, JSON),
        "another shape": (b'{"a": 1}', head, JSON),
        "two parts of three": (b"[[], {}]", head, JSON),
        "no content type": (call(good, "no content type"), head, {}),
        "pickle": (b"\x80\x04N.", head, {"content_type": "application/x-python-serialize"}),
        "unknown compression": (call(good, "unknown compression"), head | {"compression": "klingon"}, JSON),
        "no id": (call(good, "no id"), {"lang": "py", "task": NAME}, JSON),
        "unknown task": (call(good, "unknown task"), head | {"task": "actions.dance"}, JSON),
        "no headers": (b'{"hello": "world"}', {}, JSON),
        "a number as headers' task": (call(good, "a number as headers' task"), head | {"task": 7}, JSON),
        "no arguments": (b"[[], {}, {}]", head, JSON),
        "an argument of wrong types": (call(good | {"to_replicas": "many"}), head, JSON),
        "an unknown kind": (call(good | {"kind": "dance"}), head, JSON),
        "a newer schema": (call(good | {"schema": 99}), head, JSON),
        "a generation that would refuse all others": (call(good | {"generation": 10**30}), head, JSON),
        "a plain job of wrong types": (b'{"repo": {"name": "x"}}', {}, JSON),
    }


def test_every_malformed_message_is_a_dead_letter_and_its_neighbours_are_served(rig):
    rig.fleet("malformed")
    bad = malformed()
    for number, (body, headers, properties) in enumerate(bad.values()):
        rig.raw("scale", body, headers, **properties)
        rig.send(scaling(f"good-{number:02}", "malformed", generation=number + 1, to=number + 3))
    outcomes = rig.ended("good-", len(bad), timeout=60)
    assert {one.id for one in outcomes} == {f"good-{number:02}" for number in range(len(bad))}
    found, until = [], monotonic() + 20
    while len(found) < len(bad) and monotonic() < until:
        found += rig.dead()
        sleep(0.1)
    assert [name for name, (body, *_) in bad.items() if body not in found] == []
    assert len(found) == len(bad)
    assert {one.status for one in rig.ended("m-0")} == {Status.DEAD}


def test_plain_json_is_a_build_and_a_repeat_of_its_message_id_is_one(rig, built):
    job = b'{"repo": "myapp", "branch": "main"}'
    rig.raw("build_jobs", job, **JSON, message_id="plain-1")
    rig.ended("plain-1")
    rig.raw("build_jobs", job, message_id="plain-1")
    outcomes = rig.ended("plain-1", 2)
    assert [one.status for one in outcomes] == [Status.DONE] * 2
    assert built.read_text().splitlines().count("myapp main ") == 1


def test_each_plain_job_without_an_id_is_a_build_of_its_own(rig, built):
    for _ in range(2):
        rig.raw("build_jobs", b'{"repo": "anonymous", "branch": "next", "commit": "abc"}')
    wait_for(lambda: built.exists() and built.read_text().count("anonymous next abc") == 2, 20, "both builds")


def test_a_build_decided_by_a_policy_is_built(rig, built):
    rig.send(building("decided-1"))
    assert rig.ended("decided-1")[0].status is Status.DONE
    assert "app main" in built.read_text()


def test_people_are_told_through_the_receiver_of_that_name(rig, receiver):
    rig.send(telling("tell-1"))
    (outcome,) = rig.ended("tell-1")
    assert outcome.status is Status.DONE
    assert [body for body in receiver.bodies if "says tell-1" in body]


def test_a_receiver_that_fails_is_told_again_until_it_takes_the_message(rig, receiver):
    receiver.answer = HTTPStatus.INTERNAL_SERVER_ERROR
    try:
        rig.send(telling("again-1"))
        wait_for(lambda: [b for b in receiver.bodies if "says again-1" in b], 20, "the first try")
    finally:
        receiver.answer = HTTPStatus.OK
    (outcome,) = rig.ended("again-1")
    assert (outcome.status, outcome.attempts) == (Status.DONE, 2)
    assert len([b for b in receiver.bodies if "says again-1" in b]) == 2


def test_an_unknown_receiver_and_an_unknown_driver_fail_with_their_reason(rig):
    rig.send(telling("unknown-1", receiver="nobody"), scaling("unknown-2", "web", driver="steam"))
    details = {one.id: (one.status, one.detail) for one in rig.ended("unknown-", 2)}
    assert details["unknown-1"][0] is Status.FAILED
    assert "'nobody'" in details["unknown-1"][1]
    assert "'steam'" in details["unknown-2"][1]


def test_scalings_of_one_service_are_done_one_at_a_time_and_others_meanwhile(rig):
    rig.fleet("queue", delay_ms=500)
    rig.fleet("other")
    rig.send(scaling("queue-1", "queue", generation=1, to=3))
    sleep(0.2)
    rig.send(scaling("queue-2", "queue", generation=2, to=5))
    first, second = sorted(rig.ended("queue-", 2), key=lambda one: one.id)
    assert second.ended_at_ms - first.ended_at_ms >= 400
    assert rig.effects("queue") == ["queue-1", "queue-2"]
    assert rig.replicas("queue") == 5


def test_many_actions_at_once_are_each_done_once(rig):
    actions = [scaling(f"many-{n:03}", f"many{n}", to=3) for n in range(60)]
    for action in actions:
        rig.fleet(action.service)
    halves = [threading.Thread(target=rig.send, args=actions) for _ in range(2)]
    for half in halves:
        half.start()
    for half in halves:
        half.join()
    outcomes = rig.ended("many-", 120, timeout=60)
    assert {one.status for one in outcomes} == {Status.DONE}
    assert all(rig.effects(action.service) == [action.id] for action in actions)


def counted(port, name, **labels):
    """The value of a counter of all the worker's processes."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = [sample for family in families for sample in family.samples]
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


def test_the_metrics_count_what_the_workers_processes_did(rig, metrics_port):
    names = [
        ("headrace_actions_total", {"kind": "scale", "status": "done"}),
        ("headrace_action_repeats_total", {"kind": "scale"}),
        ("headrace_messages_rejected_total", {}),
        ("headrace_decided_to_started_seconds_count", {"kind": "scale"}),
    ]
    before = [counted(metrics_port, name, **labels) for name, labels in names]
    rig.fleet("counted")
    rig.send(*[scaling("counted-1", "counted")] * 3)
    rig.raw("scale", b"{", {"task": NAME, "id": "x"}, **JSON)
    rig.ended("counted-1", 3)
    wait_for(lambda: rig.depth(PARKED_QUEUE) == 1, 20, "the dead letter")
    after = [counted(metrics_port, name, **labels) for name, labels in names]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 2, 1, 1]
