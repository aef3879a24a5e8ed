"""An alert through the whole of it: fires, is silenced, is told of when the silence ends, and is over."""

from time import time

import pytest

from tests.processes import wait_for
from tests.product import Product

ALERT = """
apiVersion: headrace/v1
kind: Alert
metadata: {name: hot}
spec:
  service: web
  expr: 'avg("temperature", "5s") > 90.0'
  annotations: {summary: "{{ $labels.service }} has {{ $value }} degrees"}
  then: {notify: {receiver: team}}
"""


@pytest.fixture(scope="module")
def product(session, tmp_path_factory):
    with Product(session.have("kafka", "rabbitmq", "redis"), tmp_path_factory.mktemp("alerts")) as running:
        running.stream()
        running.worker()
        running.apply(ALERT)
        yield running


def heat(product, value):
    product.send("metrics", *[{"service": "web", "host": "web-1", "temperature": value, "ts": time()}])


def told(product, word):
    return [body for body in product.receiver.bodies if word in body]


def test_people_are_told_when_it_fires_and_when_it_is_over_and_not_while_it_is_silenced(product):
    product.headrace("silence", "web", "--for", "12s", "--reason", "maintenance", "--author", "ann")
    wait_for(lambda: heat(product, 99) or "ALERT_FIRING" in product.reasons(), 60, "the alert to fire")
    wait_for(lambda: heat(product, 99) or "SILENCED" in product.reasons(), 60, "the silence to be told of")
    refused = next(one for one in product.watch.tally.decisions.values() if one.reason.value == "SILENCED")
    assert refused.action is None
    assert refused.evidence["silenced"].items() >= {"author": "ann", "reason": "maintenance"}.items()
    assert told(product, "firing") == []
    wait_for(lambda: heat(product, 99) or told(product, "firing: web: web has 99 degrees"), 60, "people to be told")
    wait_for(lambda: heat(product, 10) or told(product, "resolved: web"), 60, "the end")
    assert len(told(product, "firing: web")) == 1
    assert "ALERT_RESOLVED" in product.headrace("decisions").stdout
    assert "equal" in product.headrace("replay").stdout.splitlines()[0]
