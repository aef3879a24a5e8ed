"""Every look of the sample as the real HorizontalPodAutoscaler answered it, through the door that people use."""

import json
from collections import Counter

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from app.cli import root
from app.policy.files import compiled, document_of
from tests import hpa

CASES = list(hpa.scenarios())
RUNS = [one for one in CASES if "reject" not in one and one.get("steps")]
FAMILIES = sorted({one["fam"] for one in RUNS})


def replayed(tmp_path, scenario):
    file = tmp_path / "journal.jsonl"
    file.write_bytes(scenario.journal())
    arguments = ["replay", "--journal", str(file), "--actuator", "instant", "-o", "jsonl"]
    done = CliRunner().invoke(root, arguments)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_look_is_answered_as_the_real_controller_answered_it(tmp_path, family):
    differences = []
    for data in (one for one in RUNS if one["fam"] == family):
        scenario = hpa.Scenario(data)
        mine = hpa.answers(scenario, replayed(tmp_path, scenario))
        theirs = hpa.expected(scenario)
        wrong = [n for n, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b]
        if wrong:
            differences.append((data["id"], wrong[0], mine[wrong[0]], theirs[wrong[0]]))
    assert differences == []


def test_the_sample_has_every_family():
    counts = Counter(one["fam"] for one in RUNS)
    assert len(counts) >= 10
    assert sum(counts.values()) == 204


@pytest.mark.parametrize("case", [one for one in CASES if "reject" in one], ids=lambda one: one["id"])
def test_what_the_api_server_refuses_is_no_policy_either(case):
    with pytest.raises(ValidationError):
        document_of(hpa.policy(case["spec"], {}))


def test_a_document_of_kubernetes_is_a_policy_as_it_is():
    target = {"type": "Utilization", "averageUtilization": 50}
    made = compiled(
        document_of(
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "web", "namespace": "shop", "uid": "x", "resourceVersion": "7"},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                    "maxReplicas": 9,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
                },
                "status": {"currentReplicas": 3},
            }
        )
    )  # fmt: skip
    assert (made.spec.service, made.spec.every_s, made.spec.hold_ms(up=False)) == ("web", 15.0, 0)
    assert made.spec.limits.up is None, "no behavior is not an empty one"
