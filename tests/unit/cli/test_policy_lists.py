"""Every kind of policy in a list and in a difference, as the examples have them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import root
from app.cli.policy_diff import changes
from app.cli.policy_words import row, untold
from app.policy.files import load

EXAMPLES = Path(__file__).parents[3] / "examples" / "policies"


def example(name, *instead):
    """The policies of an example, with some texts put in place of others."""
    text = (EXAMPLES / name).read_text()
    for old, new in instead:
        assert old in text
        text = text.replace(old, new, 1)
    return load({name: text})


def differs(name, *instead):
    return list(changes(example(name, *instead), example(name)))


ROWS = {name: row(one) for path in EXAMPLES.glob("*.yaml") for one in example(path.name) for name in [one.name]}


@pytest.mark.parametrize(
    ("name", "whom", "asks"),
    [
        ("checkout", "checkout", "3-40 replicas by cpu, rps"),
        ("storefront", "storefront", "2-20 replicas by rps, 2 schedules"),
        ("search", "search", "2-12 replicas by cpu"),
        ("silent", "checkout*", 'absent("requests") || sum("requests", "5m") == 0.0 for 5m → tell on-call'),
        ("people", "*", "tell team, on-call, tickets; 1 inhibition"),
        ("checkout-deploys", "checkout in prod", "errors, latency kept for 5m → roll back, tell on-call"),
        ("deploys", "* in prod*", "6 kinds of event → loadBalancer, annotate, notify, cost"),
    ],
)
def test_a_policy_is_listed_with_whom_it_is_for_and_what_it_asks_for(name, whom, asks):
    assert ROWS[name][2:4] == [whom, asks]


def test_an_alert_is_listed_with_what_else_it_has_done():
    alert = example(
        "alerts.yaml", ("then: {notify: {receiver: on-call, repeat_interval: 4h}}", "then: {scale: {by: 2, max: 9}}")
    )
    assert row(alert[0 if alert[0].name == "too-many-errors" else 1])[3].endswith("for 2m → scale, tell as routed")


def test_alerts_that_nobody_is_told_of_are_named_when_policies_are_checked(tmp_path):
    text = (EXAMPLES / "error-budget.yaml").read_text()
    assert untold(load({"a.yaml": text})) == []
    off = load({"a.yaml": text.replace("spec:\n  route:", "spec:\n  mode: 'off'\n  route:")})
    assert untold(off) == ["budget-burns-fast", "budget-burns-slowly"]
    (tmp_path / "alone.yaml").write_text(text.split("---\n")[0])
    done = CliRunner().invoke(root, ["policy", "validate", str(tmp_path)])
    assert done.exit_code == 0
    assert "nobody is told of budget-burns-fast: name a receiver" in done.stderr


def test_a_route_that_is_put_before_others_is_told_alone():
    before, after = "- {matchers: ['severity=\"page\"']", "- {matchers: ['team=\"a\"'], receiver: a}\n      - "
    longer = ("repeat_interval: 12h", "repeat_interval: 8h")
    assert differs("error-budget.yaml", (before, after + before[2:]), longer) == [
        "~ people: Alerting",
        '    spec.route.repeat_interval "12h" → "8h"',
        '    + spec.route.routes[0] {"matchers": ["team=\\"a\\""], "receiver": "a"}',
    ]  # fmt: skip


def test_an_objective_that_changes_is_told_by_its_field_and_one_that_goes_as_a_whole():
    gone = '    - sli: requests   # for information\n      expr: \'rate("requests", "2m")\'\n'
    assert differs("rollout.yaml", (gone, ""), ("weight: 2", "weight: 3")) == [
        "~ checkout-deploys: Rollout",
        "    spec.objectives[0].weight 2 → 3",
        '    - spec.objectives[2] {"sli": "requests", "expr": "rate(\\"requests\\", \\"2m\\")"}',
    ]


def test_a_field_that_was_not_there_before_comes_and_one_that_is_not_there_any_more_goes():
    assert differs("kubernetes.yaml", ("minReplicas: 2", "behavior: {scaleDown: {selectPolicy: Disabled}}")) == [
        "~ search: HorizontalPodAutoscaler",
        '    + spec.behavior {"scaleDown": {"selectPolicy": "Disabled"}}',
        "    - spec.minReplicas 2",
    ]


def test_a_policy_that_comes_or_goes_is_told_with_what_it_asks_for_and_that_it_is_on_trial():
    both = example("production.yaml")
    assert list(changes(both, both[:1])) == ["+ checkout-at-80: Scale for checkout: 3-40 replicas by cpu (shadow)"]
    (gone,) = changes([], example("deploys.yaml"))
    assert gone.startswith("- deploys: Route for * in prod*: ")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_example_differs_from_itself_in_nothing_and_from_nothing_in_all(path):
    policies = example(path.name)
    assert list(changes(policies, policies)) == []
    assert len(list(changes(policies, []))) == len(policies)
