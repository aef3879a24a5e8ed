import pytest

from app.policy.durations import quantity, seconds
from app.policy.files import PolicyError, compiled, fingerprint, load
from tests.unit.policy.builders import policy


def problems(**texts):
    with pytest.raises(PolicyError) as raised:
        load({f"{name}.yaml": text for name, text in texts.items()})
    return [str(one) for one in raised.value.problems]


def test_every_mistake_of_every_file_is_told_with_its_line():
    bad = policy().replace("minReplicas: 1", "minReplicas: 20").replace("stale: 5m", "stale: soon\n  typo: 1")
    found = problems(a=bad, b="kind: Deployment\n", c="a: [")
    assert [line.split(": ")[0] for line in found] == ["a.yaml:17", "a.yaml:18", "b.yaml:1", "c.yaml:1"]
    assert "'soon' is no duration; write it like 30s, 5m or 1h30m" in found[0]
    assert "spec.typo" in found[1]
    assert "is 'Deployment', not Scale" in found[2]


def test_limits_and_targets_must_make_sense():
    assert "maxReplicas (2) is below minReplicas (3)" in problems(a=policy(least=3, most=2))[0]
    assert "above 0" in problems(a=policy(target=0))[0] or "greater than 0" in problems(a=policy(target=0))[0]
    wrong = policy().replace("type: Resource", "type: Pods")
    assert "a metric of type Pods needs `pods`" in problems(a=wrong)[0]


def test_a_name_can_be_taken_once():
    assert "'web' is taken by a.yaml:2" in problems(a=policy(), b=policy())[0]


def test_an_empty_file_has_no_policies_and_a_list_is_none():
    assert load({"a.yaml": "", "b.yaml": "---\n---\n"}) == []
    assert "must be a mapping" in problems(a="- 1\n")[0]


def test_a_fingerprint_is_of_what_the_policies_say_not_of_how_they_are_written():
    spaced = policy().replace("\n  minReplicas", "\n\n  # why\n  minReplicas")
    one, other = load({"a": policy()}), load({"b": spaced})
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint(load({"a": policy(target=61)}))


def test_the_defaults_are_kubernetes_own():
    text = "\n".join(
        line for line in policy().splitlines() if not any(word in line for word in ("scale", "behavior", "for:"))
    )
    spec = compiled(load({"a": text})[0]).spec
    assert spec.tolerance == 0.1
    assert (spec.window_ms(up=True), spec.window_ms(up=False)) == (0, 300_000)


@pytest.mark.parametrize(("text", "found"), [("30s", 30), ("1h30m", 5400), ("250ms", 0.25), ("1.5m", 90)])
def test_durations(text, found):
    assert seconds(text) == found


@pytest.mark.parametrize("text", ["", "5", "5x", "m5", 5, None, "5m 3s"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="is no duration"):
        seconds(text)


@pytest.mark.parametrize(("text", "found"), [("100", 100), ("250m", 0.25), (3, 3), ("1.5k", 1500), ("2Ki", 2048)])
def test_quantities(text, found):
    assert quantity(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1e3", 1000),
        ("1.5e-1", 0.15),
        ("2Ti", 2 * 2**40),
        ("7n", 7e-9),
        (".5", 0.5),
        ("3.", 3),
        ("2E", 2e18),
        ("-1k", -1000),
    ],
)
def test_quantities_as_kubernetes_writes_them(text, found):
    assert quantity(text) == pytest.approx(found)
