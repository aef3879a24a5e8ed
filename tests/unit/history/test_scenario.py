"""`headrace policy test`: its notation, what it says of a difference, and the examples, which it runs."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from app.cli import root
from app.history.case import Case
from app.history.difference import contains
from app.history.notation import series_of, values_of
from app.history.scenario import run
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


def wrong(*expect, **more):
    return run(case(*expect, **more), load({"a": policy()}))


def test_a_difference_says_when_what_was_expected_and_what_was_decided():
    found = wrong({"at": "5s", "includes": [{"reason": "HELD"}]}, {"at": "8s", "replicas": 9, "decisions": []})
    assert found[0] == "at 5s: expected, and not decided (- expected, + decided)\n  - reason=HELD"
    assert found[1] == "at 8s: 9 replicas were expected, there are 3"
    assert found[2].splitlines()[:2] == [
        "at 8s: other decisions than expected (- expected, + decided)",
        "  + 6s ABOVE_TARGET from 2 to 3 by web",
    ]


def test_two_lists_of_decisions_are_put_side_by_side():
    expect = {
        "at": "25s",
        "decisions": [
            {"reason": "COUNTING"}, {"reason": "ABOVE_TARGET", "to": 3},
            {"reason": "WITHIN_TOLERANCE", "refused": False},
            {"reason": "AT_MAXIMUM"},
        ],
    }  # fmt: skip
    (found,) = wrong(expect)
    assert [line.strip() for line in found.splitlines()[1:]] == [
        "- reason=COUNTING",
        "= 6s ABOVE_TARGET from 2 to 3 by web",
        "- reason=WITHIN_TOLERANCE refused=false  (refused is true and not false)",
        "- reason=AT_MAXIMUM",
        "+ 7s WITHIN_TOLERANCE by web",
    ]


def test_the_nearest_of_what_was_decided_says_what_differs():
    (found,) = wrong({"at": "6s", "includes": [{"reason": "ABOVE_TARGET", "to": 4, "evidence": {"wanted": 4}}]})
    assert "+ 6s ABOVE_TARGET from 2 to 3 by web  (to is 3 and not 4, evidence.wanted is 3 and not 4)" in found


def test_evidence_has_at_least_what_is_expected_of_it():
    for right in (
        {"wanted": 3},
        {"metrics": [{"name": "cpu", "value": 90}]},
        {"conditions": {"ScalingActive": "ValidMetricFound"}},
    ):
        assert wrong({"at": "6s", "decisions": [{"evidence": right}]}) == []
    for other in (
        {"wanted": 4},
        {"metrics": []},
        {"metrics": [{"name": "rps"}]},
        {"never": 1},
        {"metrics": {"name": "cpu"}},
    ):
        assert wrong({"at": "6s", "decisions": [{"evidence": other}]}) != []


@pytest.mark.parametrize(
    ("found", "wanted", "fits"),
    [
        (1, 1.0, True), (1 / 3, 0.33333333333, True), (0.3, 0.31, False), (True, 1, False), (1, True, False),
        (None, None, True), ("1", 1, False), ([1, 2], [1], False), ((1, 2), [1, 2], True),
        ({"a": 1, "b": 2}, {"b": 2}, True),
        ({}, {"a": None}, True), (None, {}, False),
    ],
)  # fmt: skip
def test_what_contains_what(found, wanted, fits):
    assert contains(found, wanted) is fits


def test_outcomes_say_what_became_of_a_scaling_where_nobody_acts():
    expect = {
        "at": "8s",
        "replicas": 2,
        "decisions": [{"reason": "ABOVE_TARGET", "to": 3}, {"reason": "SCALE_PENDING"}],
    }
    assert wrong(expect, actuator="none") == []
    failed = {"at": "8.5s", "status": "failed"}
    assert (
        wrong(
            expect,
            {"at": "9s", "replicas": 2, "includes": [{"reason": "BACKING_OFF"}]},
            actuator="none",
            outcomes=[failed],
        )
        == []
    )
    done = {"at": "8.5s", "status": "done"}
    assert wrong(expect, {"at": "9s", "replicas": 3}, actuator="none", outcomes=[done]) == []
    assert wrong(expect, {"at": "9s", "replicas": 7}, actuator="none", outcomes=[done | {"set": 7}]) == []
    with pytest.raises(ValueError, match="no action of kind scale was decided before 2s"):
        wrong(expect, actuator="none", outcomes=[done | {"at": "2s"}])
    with pytest.raises(ValueError, match="no action of kind roll_back"):
        wrong(expect, actuator="none", outcomes=[done | {"of": "roll_back"}])


def test_commands_take_part():
    paused = {"reason": "PAUSED", "evidence": {"paused": {"author": "bob", "reason": "lunch"}}}
    pause = {"at": "2s", "verb": "pause", "for": "10s", "author": "bob", "reason": "lunch"}
    assert (
        wrong({"at": "11s", "replicas": 2, "includes": [paused]}, {"at": "13s", "replicas": 3}, commands=[pause]) == []
    )
    other = pause | {"service": "api"}
    assert wrong({"at": "11s", "replicas": 3}, commands=[other]) == []
    assert wrong({"at": "11s", "replicas": 2}, commands=[pause | {"for": "0s", "service": "*"}]) == []


def test_what_happens_after_the_last_value_and_before_the_check_takes_part():
    late = {"at": "29.5s", "type": "config_changed", "what": "x"}
    assert wrong({"at": "29.7s", "includes": [{"reason": "EVENT_SEEN"}]}, events=[late]) == []


def test_events_take_part():
    held = case(
        {"at": "20s", "includes": [{"reason": "HELD_BY_DEPLOY"}], "replicas": 2},
        values="60x5 10x30", events=[{"at": "3s", "type": "deploy_started", "version": "2"}],
    )  # fmt: skip
    assert run(held, load({"a": policy()})) == []
    with pytest.raises(ValueError, match="is no type of event"):
        run(case({"at": "1s"}, events=[{"at": "0s", "type": "exploded"}]), load({"a": policy()}))


def test_every_mistake_in_a_file_is_told_with_its_line(tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text(
        "policies: [no.yaml]\n"
        "tests:\n"
        "  - name: x\n"
        "    service: web\n"
        "    intervall: 5s\n"
        "    expect:\n"
        "      - {at: 5}\n"
        "      - {at: 5s, includes: [{reason: NOPE}]}\n"
    )
    told = headrace("policy", "test", str(file), code=1).stderr.splitlines()
    assert f"{file}:5: tests.0.intervall: is no field here; did you mean interval?" in told
    assert f"headrace: {file}:7: tests.0.expect.0.at: 5 is no duration; write it like 30s, 5m or 1h30m" in told
    assert any(line.startswith(f"{file}:8: tests.0.expect.1.includes.0.reason: is 'NOPE', and not ") for line in told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no file of timelines; it has `policies` and `tests`"),
        ("a: [\n", "t.yaml:2: is no YAML"),
        ("a: \x00", "is no YAML"),
        (
            "policies: [no.yaml]\ntests: [{name: x, service: web, expect: [{at: 5s}]}]\n",
            "names no.yaml, which is not beside it",
        ),
        ("policies: []\ntests: 3\n", "t.yaml:2: tests: is 3, and a list was expected"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_told(tmp_path, text, told):
    (tmp_path / "t.yaml").write_text(text)
    assert told in headrace("policy", "test", str(tmp_path / "t.yaml"), code=1).stderr


def test_a_directory_stands_for_its_files(tmp_path):
    assert "there is no file of timelines" in headrace("policy", "test", str(tmp_path), code=1).stderr
    assert "does not exist" in headrace("policy", "test", str(tmp_path / "none"), code=1).stderr
    assert f"{EXAMPLES[0].name}: " in headrace("policy", "test", str(EXAMPLES[0].parent)).stdout


def test_the_mistakes_of_all_files_are_told_at_once_and_those_of_a_policy_once(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "web.yaml").write_text(policy(most=0))
    for name, service in (("a", "web"), ("b", "web"), ("c", "5")):
        (tmp_path / f"{name}.yaml").write_text(
            f"policies: [policies/web.yaml]\ntests: [{{name: x, service: {service}, expect: [{{at: 5s}}]}}]\n"
        )
    told = headrace("policy", "test", str(tmp_path), code=1).stderr
    assert told.count("web.yaml:") == 1
    assert "c.yaml:2: tests.0.service: " in told


def test_a_timeline_that_cannot_be_run_keeps_no_other_from_being_run(tmp_path):
    (tmp_path / "web.yaml").write_text(policy())
    series = '[{series: "cpu{", values: 1x3}]'
    (tmp_path / "t.yaml").write_text(
        "policies: [web.yaml]\n"
        "tests:\n"
        f"  - {{name: broken, service: web, input_series: {series}, expect: [{{at: 5s}}]}}\n"
        "  - {name: right, service: web, replicas: 2, expect: [{at: 30s, replicas: 2}]}\n"
    )
    told = headrace("policy", "test", str(tmp_path / "t.yaml"), code=1).stdout
    assert "it cannot be run: 'cpu{' is no series" in told
    assert "1 of 2 as expected" in told


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
    failure = suite.find("testcase[@name='wrong']/failure")
    assert failure.get("message") == failure.text == "at 30s: 3 replicas were expected, there are 2"
    assert suite.find("testcase[@name='right']/failure") is None
