"""Policies without a server: the schema, Kubernetes' documents taken along, and what would change."""

import json
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from typer.testing import CliRunner

from app.cli import root
from app.cli.policy_diff import changes
from app.cli.policy_files import text_of_schema
from app.policy.facts import Record, Tick
from app.policy.files import compiled, load
from app.policy.kinds import KINDS
from tests.unit.policy.builders import policy
from tests.unit.policy.test_route import route

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "policies").glob("*.yaml"))
KUBERNETES = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop, annotations: {a: b}, labels: {team: shop}}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 10
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
    - type: External
      external:
        metric: {name: lag, selector: {matchLabels: {topic: a}}}
        target: {type: AverageValue, averageValue: 250m}
  behavior:
    scaleDown: {policies: [{type: Percent, value: 10, periodSeconds: 60}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: broken}
spec: {scaleTargetRef: {name: x}, maxReplicas: 0, metrics: []}
"""


def headrace(*arguments, code=0):
    done = CliRunner().invoke(root, arguments)
    assert done.exit_code == code, done.output
    return done


def test_a_document_of_kubernetes_becomes_a_policy_that_says_the_same(tmp_path):
    file = tmp_path / "hpa.yaml"
    file.write_text(KUBERNETES)
    done = headrace("policy", "import", str(file))
    (mine,) = load({"mine.yaml": done.stdout})
    (theirs,) = load({"theirs.yaml": KUBERNETES.split("---\n")[1]})
    assert compiled(mine).spec == compiled(theirs).spec
    assert (compiled(mine).spec.every_s, compiled(mine).spec.metrics[1].reading.selector.matchLabels) == (
        15.0,
        {"topic": "a"},
    )
    assert mine.document["metadata"] == {"name": "web", "labels": {"team": "shop"}}
    assert "web: the annotations a are not taken along" in done.stderr
    assert "left out: Deployment web" in done.stderr
    assert (compiled(mine).spec.driver, compiled(mine).spec.target) == ("kubernetes", "shop/Deployment/web")
    assert "left out: broken" in done.stderr


def test_a_file_without_one_is_said(tmp_path):
    (tmp_path / "x.yaml").write_text("kind: Deployment\n")
    assert "has no HorizontalPodAutoscaler" in headrace("policy", "import", str(tmp_path / "x.yaml"), code=1).stderr


def test_the_schema_knows_every_kind_and_what_each_needs():
    found = json.loads(text_of_schema())
    assert [one["then"]["$ref"].rpartition("/")[2] for one in found["allOf"]] == [
        "ScalePolicy", "AlertPolicy", "AlertingPolicy", "RolloutPolicy", "RoutePolicy", "AutoscalerPolicy",
    ]  # fmt: skip
    assert "maxReplicas" in found["$defs"]["ScaleSpec"]["required"]
    assert headrace("policy", "schema").stdout == text_of_schema()


def test_what_would_change_is_told_field_by_field():
    old = load({"a": policy("web"), "b": policy("api")})
    new = load({"a": policy("web", most=12), "c": route()})
    assert list(changes(new, old)) == [
        "- api: Scale for web: 1-10 replicas by cpu",
        "+ deploys: Route for *: 7 kinds of event → loadBalancer, annotate, notify, cost",
        "~ web: Scale",
        "    spec.maxReplicas 10 → 12",
    ]
    assert list(changes(new, new)) == []


def test_the_journals_schema_describes_a_fact():
    schema = json.loads(headrace("journal", "schema").stdout)
    fields = schema["$defs"]["Record"]["properties"]
    assert set(fields) == set(msgspec.to_builtins(Record(0, 0, 0, Tick(0))))


@pytest.mark.parametrize("kind", ["Scale", "Route"])
def test_an_example_is_read_by_any_yaml_reader(kind):
    text = policy() if kind == "Scale" else route()
    assert YAML(typ="safe", pure=True).load(text)["kind"] == kind


def test_a_difference_between_files_needs_no_server(tmp_path):
    (tmp_path / "old.yaml").write_text(policy())
    (tmp_path / "new.yaml").write_text(policy(target=80, most=20))
    told = headrace("policy", "diff", str(tmp_path / "new.yaml"), "--against", str(tmp_path / "old.yaml"), code=1)
    assert told.stdout == (
        "~ web: Scale\n    spec.maxReplicas 10 → 20\n    spec.metrics[0].resource.target.averageUtilization 60 → 80\n"
    )
    same = headrace("policy", "diff", str(tmp_path / "old.yaml"), "--against", str(tmp_path / "old.yaml"))
    assert same.stdout.startswith("nothing would change: it is set ")


@pytest.mark.parametrize("text", ["a: [\n", "\x00"])
def test_a_file_of_kubernetes_that_is_no_yaml_is_told(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    assert "is no YAML" in headrace("policy", "import", str(tmp_path / "x.yaml"), code=1).stderr


SCHEMA = json.loads(text_of_schema())
VALIDATOR = Draft202012Validator(SCHEMA)


def documents_of(path):
    return list(YAML(typ="safe", pure=True).load_all(path.read_text()))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_editor_finds_no_fault_with_an_example(path):
    for document in documents_of(path):
        assert [error.message for error in VALIDATOR.iter_errors(document)] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_editor_finds_a_slip_of_the_pen_and_speaks_of_the_kind_that_is_meant(path):
    for document in documents_of(path):
        (error,) = VALIDATOR.iter_errors(document | {"spec": document["spec"] | {"tyop": 1}})
        assert list(error.absolute_path) == ["spec"]
        assert "'tyop' was unexpected" in error.message


def test_the_schema_is_one_and_a_document_of_no_kind_is_told_once():
    Draft202012Validator.check_schema(SCHEMA)
    assert [error.message for error in VALIDATOR.iter_errors({"kind": "Scael", "apiVersion": "", "metadata": {}})] == [
        "'spec' is a required property",
        f"'Scael' is not one of {list(KINDS)}",
    ]


@pytest.mark.parametrize("value", [100, 1.5, "250m", "1.5k"])
def test_a_quantity_is_a_number_or_a_text(value):
    (document,) = documents_of(EXAMPLES[0].parent / "queue.yaml")
    document["spec"]["metrics"][0]["external"]["target"]["averageValue"] = value
    assert VALIDATOR.is_valid(document)
