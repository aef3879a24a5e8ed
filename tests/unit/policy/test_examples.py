"""The example policies are right, and do in the demo's minute what they are there to show."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from app.policy.files import load
from tests.unit.policy.builders import Journal, reasons, scales

DIRECTORY = Path(__file__).parents[3] / "examples" / "policies"
TESTS = DIRECTORY.parent / "tests"
TEXTS = {path.name: path.read_text() for path in sorted(DIRECTORY.glob("*.yaml"))}


@pytest.fixture
def demo():
    made = Journal()
    made.policies(*(TEXTS[name] for name in ("web.yaml", "api.yaml", "worker.yaml")))
    for service, wanted in (("web", 2), ("api", 3), ("batch", 1)):
        made.instances(wanted, service=service)
    return made


def seconds_of(made, service, load, count):
    """Seconds of a load (in percent of one instance), with each scaling done at once."""
    decided = []
    for _ in range(count):
        replicas = made.state.services[service].observed.replicas
        found = made.samples(*[load / replicas] * replicas, service=service, after_s=1)
        decided += found
        for one in found:
            if scales([one]):
                decided += made.outcome(one.action)
    return decided


def test_every_example_is_right():
    assert sorted(one.name for one in load(TEXTS)) == [
        "api", "batch", "budget-burns-fast", "budget-burns-slowly", "cart", "cart-deploys", "checkout",
        "checkout-at-80", "checkout-deploys", "deploys", "mailer", "orders", "people", "search", "silent",
        "storefront", "thumbnails", "too-many-errors", "transcoder", "web",
    ]  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_every_example_opens_with_what_it_does_for_whom(name):
    first, second, *_ = TEXTS[name].splitlines()
    assert first.startswith("# ")
    assert second.startswith("# ")


def test_every_example_has_a_timeline_that_tests_it():
    files = [YAML(typ="safe", pure=True).load(path.read_text()) for path in sorted(TESTS.glob("*.yaml"))]
    assert {Path(policy).name for one in files for policy in one["policies"]} == set(TEXTS)


@pytest.mark.parametrize("service", ["web", "api"])
def test_a_rush_is_answered_at_once_and_its_end_within_fifteen_seconds(demo, service):
    seconds_of(demo, service, 110, 5)
    up = scales(seconds_of(demo, service, 420, 5))
    assert up[-1][1] == 7
    down = scales(seconds_of(demo, service, 110, 15))
    assert down[-1][1] == 2
    assert all(after < before for before, after in down)


def test_a_spike_too_short_to_act_upon_is_refused_with_its_reason(demo):
    seconds_of(demo, "batch", 50, 5)
    decided = seconds_of(demo, "batch", 95, 3) + seconds_of(demo, "batch", 50, 5)
    assert reasons(decided) == ["HELD", "WITHIN_TOLERANCE"] or reasons(decided) == ["HELD", "AT_MINIMUM"]
    assert scales(seconds_of(demo, "batch", 95, 8)) == [(1, 2)]


def test_a_production_deploy_reaches_all_four_downstream_services():
    made = Journal()
    made.policies(TEXTS["deploys.yaml"])
    made.deploy("pod_started", "2", environment="production", pod="web-1", address="10.0.0.1:80")
    decided = made.deploy("finished", "2", environment="production")
    assert [one.evidence.get("to") for one in decided] == [None, "load_balancer", "annotate", "notify", "cost"]
    assert reasons(made.deploy("finished", "2", environment="staging")) == ["EVENT_SEEN"]
