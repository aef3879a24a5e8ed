"""`headrace policy test`: its notation, what it says of a difference, and the examples, which it runs."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from app.cli import root
from app.history.scenario import Case, run, series_of, values_of
from app.policy.files import load
from tests.unit.policy.builders import policy

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "tests").glob("*.yaml"))


def headrace(*arguments, code=0):
    done = CliRunner().invoke(root, arguments)
    assert done.exit_code == code, done.output
    return done


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_the_examples_decide_as_they_say(file):
    assert "as expected" in headrace("policy", "test", str(file)).stdout


def test_every_example_of_a_policy_is_tested_by_one_of_them_or_by_the_demos_own_tests():
    named = "".join(file.read_text() for file in EXAMPLES)
    demo = {"web.yaml", "api.yaml", "worker.yaml", "deploys.yaml"}
    policies = {file.name for file in (EXAMPLES[0].parents[1] / "policies").glob("*.yaml")}
    assert {name for name in policies - demo if f"../policies/{name}" not in named} == set()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1 2", [1, 2]), ("5x3", [5, 5, 5, 5]), ("1+1x4", [1, 2, 3, 4, 5]), ("10-2x2", [10, 8, 6]),
        ("_ _x2", [None] * 3), ("-1.5e1", [-15]), ("", []),
    ],
)  # fmt: skip
def test_values_are_promtools(text, values):
    assert list(values_of(text)) == values


@pytest.mark.parametrize("text", ["x", "1+x3", "1x", "5xx3", "1,2"])
def test_a_value_that_is_none_is_named(text):
    with pytest.raises(ValueError, match="is no value"):
        list(values_of(text))


def test_a_series_has_a_name_and_labels():
    found = series_of('cpu{host="web-1", zone="a"}', "web")
    assert (found.name, found.labels) == ("cpu", {"host": "web-1", "zone": "a"})
    assert series_of("lag", "web").labels == {}
    for text in ("", "{}", "cpu{host=1}", "cpu{", 'cpu{a="b"'):
        with pytest.raises(ValueError, match="is no series"):
            series_of(text, "web")


def case(*expect, values="60x5 90x20", **more):
    given = {
        "name": "t", "service": "web", "replicas": 2, "interval": "1s", "expect": list(expect),
        "input_series": [
            {"series": f'cpu{{host="web-{n}"}}', "values": values} for n in range(2)
        ],
    }  # fmt: skip
    return Case.model_validate(given | more)


def test_what_is_as_expected_says_nothing():
    right = case(
        {"at": "5s", "decisions": [], "replicas": 2},
        {
            "at": "10s",
            "replicas": 3,
            "includes": [{"reason": "ABOVE_TARGET", "to": 3, "policy": "web", "refused": False}],
        },
    )
    assert run(right, load({"a": policy()})) == []


def test_a_difference_says_when_what_was_expected_and_what_was_decided():
    wrong = case({"at": "5s", "includes": [{"reason": "HELD"}]}, {"at": "8s", "replicas": 9, "decisions": []})
    found = run(wrong, load({"a": policy()}))
    assert found[0] == "at 5s: expected reason=HELD among what was decided: nothing"
    assert found[1].startswith("at 8s: 9 replicas were expected, there are 3 (decided: ABOVE_TARGET to 3 by web")
    assert found[2].startswith("at 8s: expected nothing; decided ABOVE_TARGET to 3 by web")


def test_events_take_part():
    held = case(
        {"at": "20s", "includes": [{"reason": "HELD_BY_DEPLOY"}], "replicas": 2},
        values="60x5 10x30", events=[{"at": "3s", "type": "deploy_started", "version": "2"}],
    )  # fmt: skip
    assert run(held, load({"a": policy()})) == []
    with pytest.raises(ValueError, match="is no type of event"):
        run(case({"at": "1s"}, events=[{"at": "0s", "type": "exploded"}]), load({"a": policy()}))


def test_a_file_that_is_wrong_is_said_with_the_place(tmp_path):
    with pytest.raises(ValidationError):
        Case.model_validate({"name": "x", "service": "web", "expect": []})
    file = tmp_path / "t.yaml"
    file.write_text("policies: [no.yaml]\ntests: [{name: x, service: web, expect: [{at: 5s}]}]\n")
    assert "names no.yaml, which is not beside it" in headrace("policy", "test", str(file), code=1).stderr
    file.write_text("policies: []\ntests: 3\n")
    assert "is no file of timelines: policies" in headrace("policy", "test", str(file), code=1).stderr
    assert "cannot be read" in headrace("policy", "test", str(tmp_path / "none.yaml"), code=1).stderr


def test_junit_has_every_test_and_what_failed(tmp_path):
    (tmp_path / "web.yaml").write_text(policy())
    (tmp_path / "t.yaml").write_text(
        "policies: [web.yaml]\n"
        "tests:\n"
        "  - {name: right, service: web, replicas: 2, expect: [{at: 30s, replicas: 2}]}\n"
        "  - {name: wrong, service: web, replicas: 2, expect: [{at: 30s, replicas: 3}]}\n"
    )
    out = tmp_path / "junit.xml"
    done = headrace("policy", "test", str(tmp_path / "t.yaml"), "--junit", str(out), code=1)
    assert "1 of 2 as expected" in done.stdout
    suite = ET.fromstring(out.read_bytes())
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert "3 replicas were expected" in suite.find("testcase[@name='wrong']/failure").text
