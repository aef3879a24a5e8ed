"""A full queue through the router, on real servers: it holds back its own kind and no other, and nothing is lost."""

import time
from collections import defaultdict

import pytest
from amqp.exceptions import MessageNacked
from kombu import Connection

from app.policy import decision as decisions
from app.policy.decision import Decision, Reason
from app.queue import api
from app.stream import client
from app.stream.topics import DECISIONS
from tasks.contract import QUEUES, Kind, Notify, Scale
from tests.processes import wait_for

COUNT = 40
ROOM = 5
SERVICES = 4
ROUTER = ["faust", "-A", "app.router", "worker", "-l", "info"]


def decision(number, action):
    return Decision(
        id=action.id, at_ms=number, service=action.service, policy="p", fingerprint="f", reason=Reason.ROUTED,
        evidence={}, action=action,
    )  # fmt: skip


def decided(first, count=COUNT):
    """Scalings and notifications in turn, on partition 0: what must not wait is behind what does."""
    now = int(time.time() * 1000)
    times = {"decided_at_ms": now, "expires_at_ms": now + 60_000}
    found = []
    for number in range(first, first + count):
        service = f"s{number % SERVICES}"
        scale = Scale(
            id=f"j-0-{number:04}-0", service=service, from_replicas=1, to_replicas=2, generation=number + 1, **times
        )
        tell = Notify(id=f"j-0-{number:04}-1", service=service, receiver="team", title="t", body="b", **times)
        found += [decision(number, scale), decision(number, tell)]
    return found


@pytest.fixture
def small(clean):
    """The queue of scalings takes few messages, until the test makes room."""
    path = "policies/{vhost}/small"
    api.call(clean, "PUT", path, {
        "pattern": f"^{QUEUES[Kind.SCALE]}$", "apply-to": "queues", "priority": 20,
        "definition": {"max-length": ROOM, "overflow": "reject-publish"},
    })  # fmt: skip
    fill(clean)
    there = True

    def make_room():
        nonlocal there
        if there:
            api.call(clean, "DELETE", path)
        there = False

    yield make_room
    make_room()


def fill(settings):
    """Fill the queue of scalings: it takes more than its length from whoever sends before it could say so."""
    with Connection(settings.rabbitmq_url, transport_options={"confirm_publish": True}) as connection:
        producer = connection.Producer(auto_declare=False)

        def refused():
            try:
                producer.publish(b"{}", routing_key=QUEUES[Kind.SCALE], message_id="filler", confirm_timeout=10)
            except MessageNacked:
                return True
            return False

        wait_for(refused, 20, "the queue to be full")


def write(settings, found):
    for at in range(0, len(found), 16):
        some = found[at : at + 16]
        client.send(settings, [client.Outgoing(DECISIONS, decisions.encode(one), partition=0) for one in some])


def ready(settings, kind):
    with Connection(settings.rabbitmq_url) as connection:
        return connection.channel().queue_declare(QUEUES[kind], passive=True).message_count


def taken(settings, kind):
    """(service, id) of the actions in a queue, in order; all is taken out of it."""
    with Connection(settings.rabbitmq_url) as connection:
        channel, found = connection.channel(), []
        while (message := channel.basic_get(QUEUES[kind], no_ack=True)) is not None:
            if message.properties["message_id"] != "filler":
                found.append((message.delivery_info["routing_key"].split(".")[2], message.properties["message_id"]))
        return found


def committed(settings):
    return client.committed(settings, "router", DECISIONS).get(0, 0)


def test_a_full_queue_holds_back_its_own_kind_and_the_others_flow(clean, small, headrace_env, processes):
    full = ready(clean, Kind.SCALE)
    running = processes.start(ROUTER, headrace_env)
    write(clean, decided(0))
    wait_for(lambda: ready(clean, Kind.NOTIFY) == COUNT, 60, "every notification to pass")
    held = COUNT - (ready(clean, Kind.SCALE) - full)
    assert held > COUNT / 2, "the queue was not full: the test proves nothing"
    wait_for(lambda: "their queue full" in running.text, 20, "the router to hear of it, and say so")
    time.sleep(2)  # a commit interval or two
    stood = committed(clean)
    assert stood <= 2 * (COUNT - held) + 1, "nothing is committed past the oldest that is not confirmed"
    write(clean, decided(COUNT, 5))
    wait_for(lambda: ready(clean, Kind.NOTIFY) == COUNT + 5, 20, "what comes later to pass too")
    found = taken(clean, Kind.SCALE)
    small()
    wait_for(lambda: committed(clean) == 2 * (COUNT + 5), 60, "everything to be committed")
    found += taken(clean, Kind.SCALE)
    assert sorted(one for _, one in found) == [f"j-0-{number:04}-0" for number in range(COUNT + 5)], "each once"
    by_service = defaultdict(list)
    for service, one in found:
        by_service[service].append(one)
    assert all(ids == sorted(ids) for ids in by_service.values()), "in order, of each service"
    assert len(taken(clean, Kind.NOTIFY)) == COUNT + 5, "no notification came twice"
    assert '"publishing_again"' in running.text
    print(f"{held} of {COUNT} scalings were held back while {COUNT + 5} notifications passed; committed: {stood}")


def test_what_a_killed_router_had_held_back_is_published_by_the_next(clean, small, headrace_env, processes):
    first = processes.start(ROUTER, headrace_env | {"HEADRACE_INSTANCE": "r"})
    write(clean, decided(0))
    wait_for(lambda: ready(clean, Kind.NOTIFY) == COUNT, 60, "every notification to pass")
    first.kill()
    small()
    processes.start(ROUTER, headrace_env | {"HEADRACE_INSTANCE": "r"})
    wait_for(lambda: committed(clean) == 2 * COUNT, 60, "everything to be committed")
    wanted = {f"j-0-{number:04}-0" for number in range(COUNT)}
    assert {one for _, one in taken(clean, Kind.SCALE)} == wanted
    assert len({one for _, one in taken(clean, Kind.NOTIFY)}) == COUNT


def test_a_router_that_holds_something_back_ends_when_it_is_told_to(clean, small, headrace_env, processes):
    running = processes.start(ROUTER, headrace_env)
    write(clean, decided(0))
    wait_for(lambda: ready(clean, Kind.NOTIFY) == COUNT, 60, "every notification to pass")
    running.stop(15)
    assert running.code == 0, running.text[-2000:]
    assert "Traceback" not in running.text
    assert committed(clean) < 2 * COUNT
