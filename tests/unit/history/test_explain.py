import pytest
from msgspec.structs import replace

from app.history import alerts, answers
from app.history.entries import of_decision
from app.history.explain import explain, what
from app.history.remembered import named, service_in
from app.policy.decision import Decision, Reason
from app.policy.files import load
from tasks.contract import CallWebhook, RollBack
from tests.unit.history.recorded import history
from tests.unit.policy.builders import Journal, policy
from tests.unit.policy.rollouts import World
from tests.unit.policy.test_route import route

SAME = {"id": "j-0-1-0", "service": "web", "decided_at_ms": 1, "expires_at_ms": 2}
NINTH = SAME | {"generation": 9}


@pytest.fixture
def scaled():
    journal = history()
    policies = load({"a.yaml": policy(target=60, notify="people")})
    decision = next(one for one in journal.decisions if one.reason is Reason.ABOVE_TARGET)
    return explain(decision, policies)


def test_a_scaling_is_told_with_its_metric_and_its_stages(scaled):
    assert scaled.what == "scale 3 → 5"
    assert scaled.metrics == ["cpu averages 92 over 3 series; target 60, ratio 1.533, so 5 replicas"]
    assert [name for name, _ in scaled.stages] == ["current", "wanted", "held", "stabilized", "limited"]


def test_the_rule_is_the_one_in_force(scaled):
    assert scaled.policy.name == "web"
    assert scaled.policy.fingerprint == scaled.decision.fingerprint


def test_it_says_what_would_have_made_no_change(scaled):
    assert scaled.differently == [
        "with cpu between 54 and 66 (it was 92) it would have asked for no change",
    ]


def test_the_places_it_came_from_are_told(scaled):
    assert scaled.evidence["journal record"] == "0/6"
    assert scaled.evidence["source record"].startswith("metrics/0/")
    assert scaled.evidence["newest sample"].startswith("20")


def test_a_rule_that_is_not_known_any_more_is_left_out(scaled):
    found = explain(scaled.decision, [])
    assert found.policy is None
    assert found.differently


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_an_answer_even_without_evidence(reason):
    decision = Decision(id="j-0-1-0", at_ms=1, service="web", policy="web", fingerprint="f", reason=reason, evidence={})
    found = explain(decision, [])
    assert found.why
    assert (reason in alerts.ANSWERS) != (reason in answers.ANSWERS)
    assert isinstance(found.differently, list)


def test_every_decision_of_a_history_can_be_explained():
    journal = history()
    policies = load({"a.yaml": policy(target=60, notify="people")})
    for decision in journal.decisions:
        assert explain(decision, policies).differently


def test_what_is_remembered_gets_its_names_back():
    found = service_in(history().state, "web")
    assert found["policies"] == ["web"]
    assert {series["name"] for series in found["memory"]["series"].values()} == {"cpu"}
    assert found["memory"]["observed"]["replicas"] == 5
    assert found["paused"] == []


def test_a_pause_is_remembered_with_who_and_why():
    journal = history()
    journal.command("pause")
    assert service_in(journal.state, "web")["paused"] == [
        {"author": "ann", "reason": "lunch", "until_ms": 0, "direction": "both"}
    ]


def test_nothing_is_remembered_of_a_stranger():
    assert service_in(history().state, "nobody")["memory"] is None
    assert named(1) == 1


def test_a_scaling_is_told_with_what_happened_in_the_hour_before():
    journal = Journal()
    journal.policies(policy(), route())
    journal.instances(1)
    journal.deploy("finished", "1.4.2", who="ann", link="https://ci/7")
    journal.change("timeout 5 s", who="bob")
    (scaling,) = [one for one in journal.samples(95, after_s=20) if one.action]
    first, second = explain(scaling, []).recent
    assert first.endswith("deployed 1.4.2 in prod by ann (https://ci/7)")
    assert second.endswith("timeout 5 s by bob")


def test_every_action_of_a_deploy_is_told_in_words():
    journal = Journal()
    journal.policies(route())
    journal.deploy("pod_started", "2", pod="web-1", address="10.0.0.1:80")
    told = [explain(one, []).what for one in journal.deploy("finished", "2")]
    assert told == [
        "nothing is done",
        "have edge serve be_web from 10.0.0.1:80",
        "mark on main: " + told[2].removeprefix("mark on main: "),
        "notify team: web: 2 is deployed in prod",
        "note 1 replica at price default in book main",
    ]


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (
            RollBack(environment="prod", from_version="2", to_version="1", generation=1, **SAME),
            "roll back 2 → 1 in prod",
        ),
        (RollBack(environment="", from_version="2", to_version="1", generation=1, **SAME), "roll back 2 → 1"),
        (CallWebhook(webhook="deploys", event="rollout.failed", **SAME), "call webhook deploys: rollout.failed"),
    ],
)
def test_an_action_is_told_in_a_few_words(action, words):
    assert what(action) == words


def test_a_verdict_is_told_with_what_was_compared_its_score_and_what_would_have_passed():
    world = World()
    decided = world.release_of("2", errors=20, seconds=60)
    verdict = next(one for one in decided if one.reason is Reason.ROLLOUT_FAILED)
    found = explain(verdict, world.journal.state.policies)
    assert found.what == "roll back 2 → 1 in prod"
    assert found.objectives == ["errors is 20, before 10: fail (to pass <=+10%, a key objective), 0 of 1"]
    assert found.evidence["score"] == (
        "0 of 100 (90 passes, 75 is a warning): fail, failed 2 times in a row, so the window was not waited for"
    )
    assert found.evidence["deploy"] == "2 in prod, would go back to 1"
    assert found.evidence["baseline from"].endswith("(started)")
    assert found.differently == [
        "errors would have to be <=+10% to pass", "a score from 90 on passes, one below 75 fails"
    ]  # fmt: skip


def test_a_verdict_is_no_refusal_in_an_account_and_a_rollback_that_is_not_done_is_one():
    world = World(running="")
    world.run(60)
    decided = world.release_of("2", errors=20, seconds=60)
    decided = [replace(one, action=None) for one in decided if one.event is None]
    kinds = {one.reason.value: of_decision(one).kind for one in decided}
    assert kinds == {"ROLLOUT_WATCHED": "verdict", "ROLLOUT_FAILED": "verdict", "NO_PREVIOUS_VERSION": "refusal"}
