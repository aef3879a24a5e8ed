"""Actions counted under faults: three RabbitMQ nodes, and Redis, Kafka, workers and router killed, frozen and cut.

`make chaos` runs it. The seed is printed; `HEADRACE_TEST_SEED` repeats the order of the faults, though not the moments
at which processes happen to be; `HEADRACE_CHAOS` runs only the faults whose title it matches.
"""

import os
import re

import pytest

from app.local.process import ServerUnavailable
from app.local.rabbitmq import VHOST
from app.local.receiver import Receiver
from app.queue import topology
from app.settings import Settings
from tests import fresh
from tests.chaos import queue_faults as faults
from tests.chaos import report
from tests.chaos.queue_mixed import mixed
from tests.chaos.queue_scene import LEASE_S, Crew, Scene
from tests.chaos.queue_traffic import Bodies, Decider, Ledgers
from tests.chaos.rabbits import Rabbits
from tests.processes import wait_for

RATE = 25.0
WORKERS = ("a", "b", "c")

PLAN = [
    *[("all connections to RabbitMQ cut", faults.some(15, faults.connections_cut), 15)] * 3,
    *[("the network to RabbitMQ split for 15 s", faults.network_split(15.0), 1)],
    *[("a RabbitMQ node killed and restarted", faults.node_killed, 1)] * 3,
    *[("the RabbitMQ nodes restarted one by one", faults.nodes_restarted, 3)],
    *[("a RabbitMQ node frozen for 8 s", faults.node_frozen(8.0), 1)] * 3,
    *[("RabbitMQ's memory alarm for 12 s", faults.memory_alarm(12.0), 1)] * 2,
    *[("the queue of scalings full for 6 s", faults.queue_full(6.0), 1)] * 2,
    *[("Redis killed and restarted", faults.some(3, faults.killed("redis")), 3)] * 2,
    *[("Redis frozen for 6 s", faults.frozen("redis", faults.LONG_S), 1)] * 2,
    *[("Redis stopped and started", faults.restarted("redis"), 1)] * 2,
    *[("Kafka killed and restarted while outcomes are written", faults.killed("kafka"), 1)] * 2,
    *[("Kafka frozen for 8 s while outcomes are written", faults.frozen("kafka", 8.0), 1)] * 2,
    *[("a worker killed at random", faults.some(6, faults.worker_killed), 6)] * 2,
    *[("a worker's child killed at random", faults.some(12, faults.child_killed), 12)] * 3,
    *[("workers killed after lease and effect", faults.killed_at(*faults.HALVES[0]), 2)] * 3,
    *[("workers killed after mark and outcome", faults.killed_at(*faults.HALVES[1]), 2)] * 3,
    *[("a worker killed before its ack", faults.killed_at(*faults.HALVES[2]), 1)] * 3,
    *[("a worker frozen for 30 s, awake again", faults.worker_frozen(30.0), 1)],
    *[("the workers restarted one by one", faults.workers_rolled, 3)] * 2,
    *[("the router killed at random", faults.some(3, faults.router_killed), 3)] * 2,
    *[("a router killed after a confirm, before its commit", faults.killed_at("confirmed", most=3), 1)] * 2,
    *[("50 decisions written twice", faults.some(6, faults.repeated(50)), 6)] * 2,
    *[("20 scalings of a service in any order, each twice", faults.some(6, faults.disordered(20)), 6)] * 2,
    *[("clocks two hours wrong, and right again", faults.clocks_wrong(2.0), 6)] * 2,
    *[("router and workers with newer code beside older, killed", faults.newer_code, 14)] * 1,
    *[("faults over each other for a minute", mixed(20), 20)] * 10,
]
"""What happens, how it is told, and how many faults it is."""

LAST = [("the queue of notifications deleted, and made again after 10 s", faults.queue_missing(10.0), 1)] * 2
"""What comes after all that, since RabbitMQ 3.10 may never again find a leader for a queue that was made anew and then
loses a node."""


@pytest.fixture
def rabbits(tmp_path, clean):
    """Three nodes, a cluster, with the product's queues on all of them, behind a proxy."""
    try:
        three = Rabbits(tmp_path / "rabbits")
        with three.proxy:
            settings = of(clean, three)
            three.start(settings)
            yield three
            three.end()
    except ServerUnavailable as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


def of(settings: Settings, three: Rabbits) -> Settings:
    """The settings with the cluster in the place of the one RabbitMQ."""
    return settings.model_copy(update={"rabbitmq_url": three.url, "rabbitmq_api": three.nodes[1].api})


@pytest.fixture
def env(headrace_env, rabbits, tmp_path):
    return headrace_env | {
        "HEADRACE_RABBITMQ_URL": rabbits.url, "HEADRACE_TARGETS_FILE": str(tmp_path / "targets.toml"),
    }  # fmt: skip


@pytest.mark.timeout(2400)
def test_every_action_takes_effect_once_whatever_happens(clean, rabbits, env, kafka, redis, processes, seed, tmp_path):
    settings = of(clean, rabbits)
    fresh.topics(settings)
    assert topology.check(settings) == [], "each queue has a replica on each node"
    with Receiver() as receiver, Decider(settings, RATE, seed) as decider:
        (tmp_path / "targets.toml").write_text(f'[receivers]\nteam = "json{receiver.url.removeprefix("http")}"\n')
        crew = Crew(processes, env)
        scene = Scene(settings, crew, decider, Ledgers(settings, Bodies(receiver)), rabbits)
        scene.use(kafka, redis, rabbits.proxy)
        scene.begin(*WORKERS)
        asked = re.compile(os.environ.get("HEADRACE_CHAOS", ""))
        scene.dice.shuffle(plan := [one for one in PLAN if asked.search(one[0])])
        for step in [*plan, *(one for one in LAST if asked.search(one[0]))]:
            scene.suffer(*step)
        scene.ledgers.close()
    rows = list(scene.rows.values())
    said = ", ".join(f"{count} {status}" for status, count in scene.ledgers.said.most_common())
    ended = ", ".join(f"{times} with exit code {code}" for code, times in sorted(crew.ended.items())) or "none"
    report.queued(
        rows,
        f"{sum(row.times for row in rows)} faults with seed {seed}, {sum(row.actions for row in rows):,} actions at "
        f"{RATE:.0f} a second: {said}. {len(WORKERS)} workers of two processes, leases of {LEASE_S} s. Programs that "
        f"ended by themselves and were started again by their supervisor: {ended}.",
    )


@pytest.mark.timeout(600)
def test_a_queue_with_fewer_replicas_than_nodes_is_told_with_the_command_that_mends_it(clean, rabbits):
    settings, third = of(clean, rabbits), rabbits.nodes[3]
    third.ctl("delete_member", "--vhost", VHOST, "cost", third.node, tool="rabbitmq-queues")
    told = wait_for(lambda: topology.check(settings), 60, "check to tell it")
    assert len(told) == 1
    assert told[0].startswith("queue cost has 2 of 3 replicas")
    command = f"rabbitmq-queues grow {third.node} all"
    assert command in told[0]
    tool, *arguments = command.split()
    third.ctl(*arguments, tool=tool)
    wait_for(lambda: topology.check(settings) == [], 60, "the replica to be there again")
