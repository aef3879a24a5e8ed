"""Workers of both kinds killed at random, RabbitMQ cut off, and then everything counted.

20,000 samples and more than 500 actions. The seed is printed; `HEADRACE_TEST_SEED` repeats a run.
"""

import json
import os
import random
import time
from collections import Counter
from urllib.parse import urlsplit

import pytest
from confluent_kafka import Producer
from redis import Redis

from app.local.receiver import Receiver
from app.local.watch import Watch
from tasks.contract import Kind, Status, fleet_key
from tests.counting import caught_up, check_decisions, check_state, progress
from tests.faults import Proxy
from tests.processes import wait_for

SERVICES = 40
HOSTS = 4
ROUNDS = 125
ROUND_S = 0.4
ACTIONS = 500
CUT_S = 10.0

POLICY = """
apiVersion: headrace/v1
kind: Scale
metadata: {name: flap}
spec:
  service: "*"
  minReplicas: 2
  maxReplicas: 4
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
  for: {up: 0s, down: 0s}
  every: 0s
  notify: team
"""


class Product:
    """One Faust worker and two Celery workers; what was killed is started again at once."""

    def __init__(self, processes, env):
        self.processes, self.env = processes, env
        self.kills = Counter()
        self.running = {name: self._start(name) for name in ("stream", "worker-1", "worker-2")}

    def _start(self, name):
        if name == "stream":
            return self.processes.start(["faust", "-A", "app", "worker", "-l", "info"], self.env)
        worker = ["celery", "-A", "tasks", "worker", "-l", "info", "-c", "2", "-n", f"{name}@%h", "--without-mingle"]
        return self.processes.start(worker, self.env)

    def kill(self, name):
        self.running[name].kill()
        self.kills[name.split("-")[0]] += 1
        self.running[name] = self._start(name)

    def stop(self):
        for one in self.running.values():
            one.stop()


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_done_twice_whoever_is_killed(clean, headrace_env, processes, tmp_path):
    seed = int(os.environ.get("HEADRACE_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}")
    dice = random.Random(seed)
    port = urlsplit(clean.rabbitmq_url).port
    with Receiver() as receiver, Proxy(port) as proxy, Watch(clean, lambda _: None) as watch:
        (tmp_path / "targets.toml").write_text(f'[receivers]\nteam = "json{receiver.url.removeprefix("http")}"\n')
        env = headrace_env | {
            "HEADRACE_RABBITMQ_URL": clean.rabbitmq_url.replace(f":{port}/", f":{proxy.port}/"),
            "HEADRACE_TARGETS_FILE": str(tmp_path / "targets.toml"),
            "HEADRACE_SESSION_S": "6",
            "HEADRACE_INSTANCE": "only",  # started again, it has its partitions back at once
            "HEADRACE_LEASE_S": "3",
        }
        (tmp_path / "policy.yaml").write_text(POLICY)
        product = Product(processes, env)
        apply = processes.start(["headrace", "policy", "apply", str(tmp_path / "policy.yaml")], env)
        wait_for(lambda: apply.code == 0, 30, "policy apply")
        wait_for(lambda: watch.tally.decisions, 60, "the policies in force")
        sent = drive(product, proxy, clean, watch, dice)
        wait_for(lambda: progress(clean) == sent, 240, f"all samples in the journal: {progress(clean)} of {sent}")
        wait_for(lambda: settled(clean, watch), 90, f"all actions to end: {watch.tally.by_kind()}")
        product.stop()
        print(f"kills {dict(product.kills)}, RabbitMQ cut for {CUT_S:.0f} s, told {len(receiver.received)} times")
        check_state(clean, sent)
        check_decisions(clean)
        check_effects(clean, watch)
        check_told(watch, receiver)
        audit = processes.start(["headrace", "audit", "verify"], env)
        wait_for(lambda: not audit.alive, 60, "the audit")
        assert audit.code == 0, audit.text


def drive(product, proxy, settings, watch, dice):
    """Send samples in rounds, with all the faults in them, until there were enough actions. How many were sent.

    Each service goes up and down by itself.
    """
    producer = Producer(settings.librdkafka() | {"acks": "all", "linger.ms": 5, "enable.idempotence": True})
    moments = sorted(dice.sample(range(10, ROUNDS - 5), 8))
    victims = dict(zip(moments, dice.sample(["stream"] * 4 + ["worker-1"] * 2 + ["worker-2"] * 2, 8), strict=True))
    cut_at = dice.randrange(30, 60)
    number = 0
    while number < ROUNDS or (len(watch.tally.actions) < ACTIONS and number < 3 * ROUNDS):
        began = time.monotonic()
        for service in range(SERVICES):
            cpu = 100 if (number + service) // 6 % 2 else 20
            for host in range(HOSTS):
                producer.produce("metrics", json.dumps({"host": f"svc{service}-{host}", "cpu": cpu}))
        producer.poll(0)
        if number == cut_at:
            proxy.refuse()
        if number == cut_at + int(CUT_S / ROUND_S):
            proxy.heal()
        if number in victims:
            time.sleep(dice.uniform(0.0, ROUND_S / 2))  # in the middle of what the round causes
            product.kill(victims[number])
        time.sleep(max(0.0, ROUND_S - (time.monotonic() - began)))
        number += 1
    assert producer.flush(30) == 0
    return number * SERVICES * HOSTS


def settled(settings, watch):
    """Whether every sample is in the written states and every action has ended."""
    under_way = any(status == "under way" for _, status in watch.tally.by_kind())
    return not under_way and len(watch.tally.actions) >= ACTIONS and caught_up(settings)


def check_effects(settings, watch):
    """Each action has one end, and each scaling that was done took effect once."""
    tally = watch.tally
    kinds = tally.by_kind()
    assert sum(kinds.values()) == len(tally.actions) >= ACTIONS
    assert not [status for _, status in kinds if status in {"under way", "dead"}]
    redis = Redis.from_url(settings.redis_url)
    effects = Counter()
    for service in range(SERVICES):
        entries = redis.lrange(f"{fleet_key(f'svc{service}')}:log", 0, -1)
        effects.update(json.loads(entry)["id"] for entry in entries)
    done = {
        key for key, outcome in tally.outcomes.items() if outcome.action is Kind.SCALE and outcome.status is Status.DONE
    }
    assert max(effects.values()) == 1
    assert set(effects) == done
    print(f"actions {len(tally.actions)}: {dict(kinds)}; deliveries that were repeats {tally.repeated_outcomes}")


def check_told(watch, receiver):
    """Every notification arrived; one that arrived twice is counted, since that kind is at least once."""
    told = Counter()
    for body in receiver.bodies:
        told[json.loads(body)["message"].rpartition("Decision ")[2].rstrip(".")] += 1
    tally = watch.tally
    wanted = {
        one.evidence["decision"]
        for key, one in tally.actions.items()
        if one.reason == "TOLD" and tally.outcomes[key].status is Status.DONE
    }
    assert set(told) >= wanted
    twice = sum(count - 1 for count in told.values())
    assert twice <= 4 * 2  # one for each child of a killed worker at most
    print(f"notifications {len(wanted)}, told twice {twice}")
