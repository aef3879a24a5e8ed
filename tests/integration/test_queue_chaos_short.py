"""The short form of `make chaos` for the queue, on one RabbitMQ: the named points, cuts, and Redis and a router killed.

The seed is printed; `HEADRACE_TEST_SEED` repeats the order. The long form is tests/chaos/test_queue.py.
"""

import os
import time
from urllib.parse import urlsplit

import pytest

from app.local.receiver import Receiver
from tests.chaos import queue_faults as faults
from tests.chaos.queue_scene import Crew, Scene
from tests.chaos.queue_traffic import Bodies, Decider, Ledgers
from tests.faults import Proxy

RATE = 20.0

PLAN = [
    ("workers killed after lease, effect and mark", faults.killed_at("lease", "effect", "mark", most=3), 3),
    ("workers killed after outcome and before ack", faults.killed_at("outcome", "ack", most=3), 2),
    ("all connections to RabbitMQ cut", faults.some(3, faults.connections_cut), 3),
    ("Redis killed and restarted", faults.killed("redis"), 1),
    ("the router killed", faults.router_killed, 1),
    ("decisions written twice", faults.repeated(30), 1),
]


@pytest.mark.timeout(600)
def test_every_action_takes_effect_once(clean, headrace_env, kafka, redis, processes, tmp_path):
    seed = int(os.environ.get("HEADRACE_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}")
    port = urlsplit(clean.rabbitmq_url).port
    with Receiver() as receiver, Proxy(port) as proxy, Decider(clean, RATE, seed) as decider:
        (tmp_path / "targets.toml").write_text(f'[receivers]\nteam = "json{receiver.url.removeprefix("http")}"\n')
        env = headrace_env | {
            "HEADRACE_RABBITMQ_URL": clean.rabbitmq_url.replace(f":{port}/", f":{proxy.port}/"),
            "HEADRACE_TARGETS_FILE": str(tmp_path / "targets.toml"),
        }  # fmt: skip
        scene = Scene(clean, Crew(processes, env), decider, Ledgers(clean, Bodies(receiver)))
        scene.use(kafka, redis, proxy)
        scene.begin("a", "b")
        scene.dice.shuffle(plan := list(PLAN))
        for step in plan:
            scene.suffer(*step)
        scene.ledgers.close()
    assert sum(row.actions for row in scene.rows.values()) > 100
