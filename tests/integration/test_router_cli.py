"""`headrace router --dry-run` on real servers: it shows what would be sent, and sends and commits nothing."""

import json
import time

from app.policy import decision as decisions
from app.policy.decision import Decision, Reason
from app.queue import topology
from app.stream import client
from app.stream.topics import DECISIONS
from tasks.contract import QUEUES, Event, Kind
from tests.processes import wait_for
from tests.rig import Rig, scaling, telling


def decided(number, action=None, *, shadow=False, event=None):
    return Decision(
        id=f"j-1-{number}-0", at_ms=int(time.time() * 1000), service="web", policy="p", fingerprint="f",
        reason=Reason.ROUTED, evidence={}, action=action, shadow=shadow, event=event,
    )  # fmt: skip


def write(settings, *found, partition=1):
    told = [client.Outgoing(DECISIONS, decisions.encode(one), partition=partition) for one in found]
    client.send(settings, told)


def shown(run, *more):
    result = run("router", "--dry-run", "-o", "json", *more)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def test_what_is_decided_and_not_sent_is_shown_and_stays_as_it_is(clean, run, headrace_env, processes):
    rig = Rig(clean)
    event = Event(id="j-1-3-0", event="deployed", service="web", environment="prod", at_ms=1)
    write(
        clean,
        decided(0, scaling("j-1-0-0", "web")),
        decided(1),  # a refusal
        decided(2, telling("j-1-2-0"), shadow=True),
        decided(3, event=event),
    )
    client.send(clean, [client.Outgoing(DECISIONS, b"no decision", partition=1)])
    for _ in range(2):  # the first look changes nothing for the second
        found = shown(run)
        assert [(one["id"], one["kind"], one["service"], one["routing_key"]) for one in found] == [
            ("j-1-0-0", "scale", "web", "action.scale.web"), ("j-1-3-0", "event", "web", "event.deployed.prod.web"),
        ]  # fmt: skip
    assert {one["exchange"] for one in found} == {"downstream_actions"}
    assert found[0]["body"][0][0]["to_replicas"] == 4
    table = run("router", "--dry-run", "-n", "1")
    assert "action.scale.web" in table.output
    assert "2 messages would be sent now, 1 of them not shown; nothing was sent or committed" in table.output
    assert client.committed(clean, "router", DECISIONS) == {}
    assert [rig.depth(name) for name in topology.queues()] == [0] * len(topology.queues())
    running = processes.start(["headrace", "router"], headrace_env)
    wait_for(lambda: rig.depth(QUEUES[Kind.SCALE]) == 1, 60, "the router itself to send it")
    wait_for(lambda: client.committed(clean, "router", DECISIONS).get(1) == 5, 20, "its commit")
    assert shown(run) == []
    write(clean, decided(6, telling("j-1-6-0")))
    wait_for(lambda: rig.depth(QUEUES[Kind.NOTIFY]) == 1, 20, "the next one")
    running.stop()
    assert running.code == 0
