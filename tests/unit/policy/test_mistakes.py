"""Mistakes in policies are told with what was expected, and a slip of the pen with what was meant."""

import pytest

from app.policy.files import PolicyError, load
from tests.unit.policy.builders import policy


def told(old, new):
    text = policy()
    assert old in text
    with pytest.raises(PolicyError) as found:
        load({"web.yaml": text.replace(old, new, 1)})
    return [f"{one.path}: {one.message}" for one in found.value.problems]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("minReplicas: 1", "minReplica: 1", "spec.minReplica: is no field here; did you mean minReplicas?"),
        ("mode: active", "MODE: active", "spec.MODE: is no field here; did you mean mode?"),
        ("name: cpu,", "nam: cpu,", "spec.metrics.0.resource.nam: is no field here; did you mean name?"),
        (
            "name: cpu,", "name: cpu, qqq: 1,",
            "spec.metrics.0.resource.qqq: is no field here; there are name, selector, target",
        ),
        ("scaleUp:", "scaleUpp:", "spec.behavior.scaleUpp: is no field here; did you mean scaleUp?"),
        ("maxReplicas: 10", "maxReplicas: many", "spec.maxReplicas: is 'many', and a whole number was expected"),
        ("maxReplicas: 10", "maxReplicas: 1.5", "spec.maxReplicas: is 1.5, and a whole number was expected"),
        ("maxReplicas: 10", "maxReplicas: 0", "spec.maxReplicas: is 0, and has to be at least 1"),
        ("mode: active", "mode: on", "spec.mode: is 'on', and not 'active', 'shadow' or 'off'"),
        ("mode: active", "mode: [1]", "spec.mode: is [1], and not 'active', 'shadow' or 'off'"),
        ("headrace/v1", "headrace/v2", "apiVersion: is 'headrace/v2', and not 'headrace/v1'"),
        ("name: web", "name: My", "metadata.name: is 'My', and has to look like ^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"),
        ('service: "web"', 'service: ""', "spec.service: is empty"),
        ('service: "web"', "service: 5", "spec.service: is 5, and a text was expected"),
        ("every: 0s", "every: 5", "spec.every: 5 is no duration; write it like 30s, 5m or 1h30m"),
        ("for: {up: 0s, down: 0s}", "for: 5", "spec.for: is 5, and a mapping was expected"),
    ],
)  # fmt: skip
def test_a_mistake_says_what_was_expected(old, new, expected):
    assert expected in told(old, new)


def test_what_is_missing_is_said():
    assert "spec.maxReplicas: is missing" in told("  maxReplicas: 10\n", "")


def test_a_text_that_is_none_and_a_document_that_is_no_mapping_are_told_with_their_lines():
    with pytest.raises(PolicyError) as found:
        load({"a.yaml": "\x00", "b.yaml": policy() + "---\n- 1\n"})
    assert [str(one).partition(": ")[0] for one in found.value.problems] == ["a.yaml:1", "b.yaml:21"]
