"""The queue side on RabbitMQ 4, where delivery limits and dead-lettering are not those of 3.10: one node, faults.

It is a lane of `make chaos`: the broker is fetched once, which needs root; where it cannot be had this is skipped.
"""

import os
import re

import pytest
from kombu import Connection

from app.local import servers
from app.local.process import ServerUnavailable
from app.local.rabbitmq4 import RabbitMQ4
from app.local.receiver import Receiver
from app.queue import parked, topology
from app.settings import Settings
from tasks.contract import DEAD_QUEUE, PARKED_QUEUE, Status
from tests import fresh
from tests.chaos import queue_faults as faults
from tests.chaos import report
from tests.chaos.alone import Alone
from tests.chaos.queue_scene import Crew, Scene
from tests.chaos.queue_traffic import Bodies, Decider, Ledgers
from tests.processes import wait_for
from tests.rig import LEASE_S, Rig, scaling, worker

RATE = 20.0

PLAN = [
    *[("RabbitMQ 4: all connections cut", faults.some(5, faults.connections_cut), 5)] * 2,
    *[("RabbitMQ 4: killed and restarted", faults.node_killed, 1)] * 3,
    *[("RabbitMQ 4: frozen for 8 s", faults.node_frozen(8.0), 1)] * 2,
    *[("RabbitMQ 4: a queue full for 6 s", faults.queue_full(6.0), 1)] * 2,
    *[("RabbitMQ 4: a worker's child killed at random", faults.some(3, faults.child_killed), 3)] * 2,
    *[("RabbitMQ 4: workers killed after effect and before ack", faults.killed_at("effect", "ack"), 2)] * 2,
    *[("RabbitMQ 4: 100 decisions written twice", faults.repeated(100), 1)],
]


@pytest.fixture
def alone(clean, tmp_path):
    """The node, with nothing on its queues; a skip where it cannot be had."""
    without = pytest.fail if os.environ.get("CI") else pytest.skip
    try:
        if not servers.had(RabbitMQ4, Settings()):
            without(f"RabbitMQ 4 needs {' and '.join(RabbitMQ4.missing())}, not found here")
        one = Alone(tmp_path / "rabbitmq4", clean)
        with one.proxy:
            one.node.start()
            one.whole()
            yield one
            one.end()
    except ServerUnavailable as error:
        without(str(error))


@pytest.fixture
def env(headrace_env, alone, tmp_path):
    return headrace_env | alone.node.env | {
        "HEADRACE_RABBITMQ_URL": alone.settings.rabbitmq_url, "HEADRACE_TARGETS_FILE": str(tmp_path / "targets.toml"),
        "HEADRACE_LEASE_S": str(LEASE_S),
    }  # fmt: skip


def test_the_topology_is_made_and_what_is_missing_is_told(alone):
    assert alone.version.startswith("4.")
    alone.node.stop()
    alone.node.start()
    assert topology.init(alone.settings)
    assert topology.check(alone.settings) == []
    with Connection(alone.settings.rabbitmq_url) as connection:
        connection.channel().queue_delete("cost")
    assert topology.check(alone.settings) == ["queue cost is missing; make it with `headrace queues init`"]
    topology.init(alone.settings)
    assert topology.check(alone.settings) == []


def test_what_is_delivered_in_vain_is_parked_with_an_outcome_looked_at_at_will_and_done_when_it_is_sent_again(
    alone, env, processes
):
    """20 is the limit of our policy, and version 4's own for queues that have none; parked letters must have none."""
    rig, settings = Rig(alone.settings), alone.settings
    rig.fleet("web")
    rig.send(scaling("poison-1", "web"))
    deliveries = 0
    with Connection(settings.rabbitmq_url) as connection:
        channel = connection.channel()
        while (message := wait_for(lambda: channel.basic_get("scale") or rig.depth(DEAD_QUEUE), 30)) != 1:
            deliveries += 1
            channel.basic_reject(message.delivery_tag, requeue=True)
    limit = topology.POLICIES["headrace-actions"]["definition"]["delivery-limit"]
    assert deliveries == limit + 1
    worker(processes, env)
    (dead,) = rig.ended("poison-1")
    assert (dead.status, dead.detail) == (Status.DEAD, "the workers that had it died, one after another")
    wait_for(lambda: rig.depth(PARKED_QUEUE) == 1, 30, "it to be parked")
    for _ in range(limit + 5):
        (letter,) = wait_for(lambda: parked.look(settings, 10), 10, "what the last look gave back")
    assert letter.about.why == "delivery_limit"
    assert len(parked.redrive(settings, lambda _: True, 10, "ann: mended")) == 1
    done = rig.ended("poison-1", 2)[-1]
    assert (done.status, done.redrive, rig.effects("web")) == (Status.DONE, 1, ["poison-1"])


@pytest.mark.timeout(900)
def test_every_action_takes_effect_once_on_it_whatever_happens(
    clean, alone, env, kafka, redis, processes, seed, tmp_path
):
    fresh.topics(clean)
    with Receiver() as receiver, Decider(alone.settings, RATE, seed) as decider:
        (tmp_path / "targets.toml").write_text(f'[receivers]\nteam = "json{receiver.url.removeprefix("http")}"\n')
        ledgers = Ledgers(alone.settings, Bodies(receiver))
        scene = Scene(alone.settings, Crew(processes, env), decider, ledgers, alone)
        scene.use(kafka, redis, alone.proxy)
        scene.begin("a", "b")
        scene.dice.shuffle(plan := [one for one in PLAN if re.search(os.environ.get("HEADRACE_CHAOS", ""), one[0])])
        for step in plan:
            scene.suffer(*step)
        ledgers.close()
    rows = list(scene.rows.values())
    report.fourth(
        rows,
        f"The same on one node of RabbitMQ {alone.version}, with two workers: {sum(row.times for row in rows)} faults, "
        f"{sum(row.actions for row in rows):,} actions at {RATE:.0f} a second.",
    )
