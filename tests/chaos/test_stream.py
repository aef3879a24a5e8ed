"""Stream workers killed, frozen until they are replaced and woken again, joining and leaving: everything counted.

A frozen worker that wakes up writes a stale state before it learns that it was replaced; the
position inside the state is what keeps that harmless. The seed is printed; `HEADRACE_TEST_SEED`
repeats a run.
"""

import json
import os
import random
import signal
import time
from collections import Counter

import pytest
from confluent_kafka import Producer

from tests.counting import caught_up, check_decisions, check_state, progress
from tests.processes import wait_for

SERVICES = 60
FAULTS = 16
FREEZE_S = 9.0
MOST = 3

POLICY = """
apiVersion: headrace/v1
kind: Scale
metadata: {name: flap}
spec:
  service: "*"
  minReplicas: 1
  maxReplicas: 6
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
  for: {up: 0s, down: 0s}
  every: 0s
"""


class Workers:
    """Stream workers without names of their own: what one of them held goes to the others."""

    def __init__(self, processes, env):
        self.processes, self.env = processes, env
        self.running = []
        self.faults = Counter()
        self.join()

    def join(self):
        self.running.append(self.processes.start(["faust", "-A", "app", "worker", "-l", "info"], self.env))

    def fault(self, dice):
        kind = dice.choice(["kill", "freeze", "leave", "join"])
        self.faults[kind] += 1
        victim = dice.choice(self.running)
        if kind == "freeze":
            victim.signal(signal.SIGSTOP)
            time.sleep(FREEZE_S)  # longer than the session: somebody else has its partitions now
            victim.signal(signal.SIGCONT)
        elif kind == "join":
            if len(self.running) < MOST:
                self.join()
        else:
            self.running.remove(victim)
            victim.kill() if kind == "kill" else victim.stop()
        self.running = [one for one in self.running if one.alive]
        if not self.running:
            self.join()


@pytest.mark.timeout(600)
def test_every_sample_is_counted_once_whatever_happens_to_the_workers(clean, headrace_env, processes, tmp_path):
    seed = int(os.environ.get("HEADRACE_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}")
    dice = random.Random(seed)
    env = headrace_env | {"HEADRACE_RABBITMQ_URL": "", "HEADRACE_SESSION_S": "6"}
    (tmp_path / "policy.yaml").write_text(POLICY)
    workers = Workers(processes, env)
    apply = processes.start(["headrace", "policy", "apply", str(tmp_path / "policy.yaml")], env)
    wait_for(lambda: apply.code == 0, 30, "policy apply")
    sent = drive(workers, clean, dice)
    wait_for(lambda: progress(clean) == sent, 120, "all samples in the journal")
    wait_for(lambda: caught_up(clean), 120, "the states at the journal's end")
    for one in workers.running:
        one.stop()
    print(f"faults {dict(workers.faults)}")
    check_state(clean, sent)
    check_decisions(clean)


def drive(workers, settings, dice):
    """Send samples all the time, a fault every few seconds. How many were sent."""
    producer = Producer(settings.librdkafka() | {"acks": "all", "linger.ms": 5, "enable.idempotence": True})
    due, sent, number = time.monotonic() + 10, 0, 0
    while sum(workers.faults.values()) < FAULTS:
        for service in range(SERVICES):
            cpu = 100 if (number // 8 + service) % 2 else 20
            producer.produce("metrics", json.dumps({"host": f"svc{service}-{number % 3}", "cpu": cpu}))
            sent += 1
        producer.poll(0)
        number += 1
        if time.monotonic() > due:
            workers.fault(dice)
            due = time.monotonic() + dice.uniform(2, 6)
        time.sleep(0.1)
    assert producer.flush(30) == 0
    return sent
