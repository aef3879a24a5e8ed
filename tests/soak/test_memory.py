"""Whether memory stays what it was: each program under load, and then idle, with everything it does in the course of
it. The stream scales, tells people and books deploys meanwhile.

`make soak`; HEADRACE_SOAK_LOADED and HEADRACE_SOAK_IDLE are the minutes that count, after WARM_S and REST_S.
"""

import math
import os
import threading
import time
from pathlib import Path
from statistics import linear_regression, median

import pytest
from confluent_kafka import Producer

from tasks.contract import fleet_key
from tests.bench.measure import table
from tests.product import Product, policy

RATE, SERVICES, HOSTS, PERIOD_S = 500, 200, 5, 300.0
"""Samples a second over services with so many hosts; the load of each goes up and down once in a period."""
WARM_S, REST_S = 480.0, 120.0
"""Until windows of five minutes are full and all code has run; and until what was under way is over."""
LOOK_S, MEDIAN_OF = 5.0, 24
"""Seconds between two looks; what is compared is a median of so many: two minutes."""
FLAT = 0.02


def own_kb(group: int) -> int:
    """Kilobytes that the processes of a group have to themselves or share among them, without files; needs Linux."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[2]) == group:
                rollup = stat.with_name("smaps_rollup").read_text()
                total += int(rollup.split("Pss_Anon:")[1].split()[0])
        except OSError:  # it ended this moment
            continue
    return total


class Load(threading.Thread):
    """Sends until it is told to stop: samples, the instances that the fleet has, and a deploy every five seconds."""

    def __init__(self, product: Product) -> None:
        super().__init__(daemon=True)
        self.product, self.over, self.sent = product, threading.Event(), 0
        self.producer = Producer(product.settings.librdkafka(acks="all") | {"linger.ms": 20})

    def run(self) -> None:
        began, seconds = time.monotonic(), 0
        while not self.over.wait(0.05):
            while self.sent < (time.monotonic() - began) * RATE:
                self._sample()
            if time.monotonic() - began > seconds:
                self._second(seconds)
                seconds += 1
            self.producer.poll(0)
        assert self.producer.flush(30) == 0

    def _sample(self) -> None:
        service, host = self.sent % SERVICES, self.sent // SERVICES % HOSTS
        value = 60 + 30 * math.sin(2 * math.pi * (time.time() / PERIOD_S + service / SERVICES))
        one = b'{"service":"svc-%d","host":"svc-%d-%d","cpu":%.1f}' % (service, service, host, value)
        self.producer.produce("metrics", one, partition=service % 4)
        self.sent += 1

    def _second(self, n: int) -> None:
        for service in range(n % 10, SERVICES, 10):
            have = int(self.product.redis.hget(fleet_key(f"svc-{service}"), "replicas") or 2)
            one = b'{"service":"svc-%d","wanted":%d,"ready":%d}' % (service, have, have)
            self.producer.produce("instances", one, partition=service % 4)
        if n % 5 == 0:
            one = b'{"type":"deployed","service":"svc-%d","version":"1.%d"}' % (n % SERVICES, n)
            self.producer.produce("deploy_events", one, partition=0)

    def stop(self) -> None:
        self.over.set()
        self.join()


class Memory:
    """What each program holds over time."""

    def __init__(self, groups: dict[str, int]) -> None:
        self.groups = groups

    def over(self, minutes: float) -> dict[str, list[float]]:
        """Kilobytes of each, every few seconds."""
        found: dict[str, list[float]] = {name: [] for name in self.groups}
        until = time.monotonic() + minutes * 60
        while time.monotonic() < until:
            for name, group in self.groups.items():
                found[name].append(own_kb(group))
            time.sleep(LOOK_S)
        return found


def grown(found: list[float]) -> float:
    """How much more there was at the end than at the beginning, as a part of it: medians of two minutes each."""
    first = median(found[:MEDIAN_OF])
    return (median(found[-MEDIAN_OF:]) - first) / first


def show(title: str, found: dict[str, list[float]]) -> None:
    rows = []
    for name, values in found.items():
        slope = linear_regression([n * LOOK_S / 3600 for n in range(len(values))], values).slope
        rows.append([name, f"{values[0] / 1024:.1f}", f"{median(values[-MEDIAN_OF:]) / 1024:.1f}",
                     f"{max(values) / 1024:.1f}", f"{grown(values):+.1%}", f"{slope / 1024:+.1f}"])  # fmt: skip
    table(title, ["", "first MB", "last MB", "most MB", "grown", "MB an hour"], rows)


@pytest.fixture
def product(servers, tmp_path):
    with Product(servers, tmp_path / "product") as made:
        yield made


@pytest.mark.timeout(4 * 3600)
def test_memory_is_flat_under_load_and_idle(product):
    loaded_min = float(os.environ.get("HEADRACE_SOAK_LOADED", "20"))
    idle_min = float(os.environ.get("HEADRACE_SOAK_IDLE", "60"))
    programs = {name: product.stream(f"app.{name}") for name in ("intake", "autoscaler", "router")}
    here = {
        "HEADRACE_GATEWAY_PORT": "0", "HEADRACE_SPOOL": str(product.directory / "spool.db"),
        "HEADRACE_BOARD_MINUTES": "5",  # what its page shows is full when the clock begins
    }  # fmt: skip
    programs |= {
        "worker": product.worker(), "gateway": product.processes.start(["headrace", "gateway"], product.env | here),
    }  # fmt: skip
    product.apply(policy(target=60, most=9))
    memory = Memory({name: one.pid for name, one in programs.items()})
    load = Load(product)
    load.start()
    time.sleep(WARM_S)
    loaded = memory.over(loaded_min)
    load.stop()
    done = len(product.watch.tally.outcomes)
    show(f"{RATE} samples a second, {load.sent:,} in all, {done:,} actions done", loaded)
    time.sleep(REST_S)
    idle = memory.over(idle_min)
    show("idle", idle)
    assert all(one.alive for one in programs.values())
    assert done > 0
    for found in (loaded, idle):
        assert {name: grown(values) for name, values in found.items() if grown(values) > FLAT} == {}
