"""Apps of the stream whose clock is wrong, or jumps: time is Kafka's, so samples, staleness and decisions go on."""

from time import sleep, time

import pytest

from app.policy.facts import Tick
from tests.integration.test_clocks import TWO_HOURS_S
from tests.odd import wrong
from tests.processes import wait_for
from tests.product import Product, policy
from tests.rig import ROOT


class Odd(Product):
    """The product on a machine with a wrong clock."""

    def __init__(self, servers, directory):
        super().__init__(servers, directory)
        self.clock = directory / "clock"

    def apps(self, seconds):
        """All three apps, with a clock that is so many seconds ahead."""
        wrong(self.clock, seconds)
        env = self.env | {"PYTHONPATH": str(ROOT)}
        return self.processes.start(["python", "-m", "tests.odd", f"clock={self.clock}", "app"], env)

    def load(self, service):
        self.send("metrics", {"service": service, "host": f"{service}-1", "cpu": 90, "ts": time()})


@pytest.fixture
def product(session, tmp_path):
    with Odd(session.have("kafka", "rabbitmq", "redis"), tmp_path) as running:
        running.worker()
        yield running


def scaled(product, service):
    """A service that is loaded until it is scaled."""

    def more():
        product.load(service)
        return product.scalings(service)

    wait_for(more, 60, f"{service} to be scaled")
    wait_for(lambda: not product.watch.tally.missing(int(time() * 1000)), 30, "their outcomes")


@pytest.mark.parametrize("seconds", [TWO_HOURS_S, -TWO_HOURS_S])
def test_services_are_scaled_whatever_the_clock_of_the_apps_says_also_when_it_jumps(product, seconds):
    apps = product.apps(0)
    product.apply(policy())
    scaled(product, "right")
    wrong(product.clock, seconds)
    sleep(2)  # two ticks, by the new clock
    scaled(product, "jumped")
    apps.stop()
    product.apps(seconds)
    scaled(product, "wrong")

    assert product.watch.quarantined == []
    product.send("metrics", {"service": "web", "cpu": 1, "ts": time() + 600}, b"{")
    wait_for(lambda: len(product.watch.quarantined) == 2, 30, "what is ahead of Kafka's clock, and what cannot be read")
    assert "s ahead of Kafka's clock" in product.watch.quarantined[0].reason
    latest = max(record.timestamp_ms for record in product.journal())
    assert max(one.read_until_ms for one in product.facts(Tick)) <= latest
    assert "equal" in product.headrace("replay").stdout.splitlines()[0]
