"""Where the kinds meet: deploys, guards, alerts and people who speak of one service at once."""

import pytest

from app.policy.facts import InstanceSeen
from tests.unit.policy.builders import Journal, policy, reasons, scales
from tests.unit.policy.rollouts import World, rolled, rollout, said

ALERT = """
apiVersion: headrace/v1
kind: Alert
metadata: {{name: hot}}
spec: {{service: web, expr: 'last("{metric}") > 50.0', every: 0s, then: {then}}}
"""


def alert(then, metric="bad"):
    return ALERT.format(metric=metric, then=then)


def crashing(*texts):
    """A service of which the new version crashes in prod."""
    made = Journal()
    made.policies(*texts)
    each = [InstanceSeen(f"web-{n}", started_ms=0, version="1") for n in range(4)]
    each.append(InstanceSeen("web-4", started_ms=made.at_ms, ready=False, restarts=3, version="2"))
    made.deploy("finished", "1")
    made.deploy("started", "2")
    made.instances(4, each=each, after_s=1)
    return made


def test_what_crashes_in_one_environment_is_not_scaled_up_because_a_deploy_began_in_another():
    made = crashing(policy())
    made.deploy("started", "7", environment="staging")
    refused = made.samples(120, 120, 120, 120, after_s=1)
    assert reasons(refused) == ["CRASHING"]
    assert refused[0].evidence["deploy"]["environment"] == "prod"
    assert scales(made.deploy("failed", "2")) == [(4, 8)]


def test_an_alert_does_not_scale_up_what_crashes_either():
    made = crashing(alert("{scale: {by: 2, max: 10}}"))
    decided = made.samples(90, name="bad", after_s=1)
    assert reasons(decided) == ["ALERT_FIRING", "CRASHING"]
    assert decided[1].evidence["crashing"] == {"version": "2", "failing": ["web-4"]}
    made.samples(10, name="bad", after_s=1)
    assert scales(made.samples(90, name="bad", after_s=600)) == [(4, 6)]


def test_an_alert_that_scales_up_and_a_policy_that_scales_down_again_are_flapping():
    made = Journal()
    flapping = "  flapping: {changes: 2, within: 1h}\n"
    made.policies(policy().rstrip() + "\n" + flapping, alert("{scale: {by: 2, max: 10}}"))
    made.instances(4)
    for _ in range(3):
        for one in made.samples(90, name="bad", after_s=30):
            if scales([one]):
                made.outcome(one.action)
        made.samples(10, name="bad", after_s=1)
        for one in made.samples(*[10] * made.state.services["web"].observed.replicas, after_s=30):
            if scales([one]):
                made.outcome(one.action)
                made.instances(4, generation=one.action.generation, after_s=1)
    assert "FLAPPING" in reasons(made.decisions)


@pytest.mark.parametrize("verb", ["silence", "pause"])
def test_what_people_said_is_forgotten_when_its_time_is_over_and_somebody_speaks_again(verb):
    made = Journal()
    for n in range(20):
        made.command(verb, service=f"s{n}", until_ms=made.at_ms + 1000)
    made.command(verb, service="kept")
    made.tick(after_s=10)
    made.command("resume", service="other")
    assert len(made.state.pauses) + len(made.state.silences) == 1


def test_an_alert_and_a_rollout_that_both_want_a_deploy_undone_undo_it_once():
    world = World(rollout(), alert("{rollBack: {environment: prod}}", metric="errors"))
    decided = world.release_of("2", 90)
    assert rolled(decided) == [("2", "1")]
    assert "ROLLOUT_ENDED" in said(decided)


def test_a_watch_whose_policy_goes_lets_fewer_replicas_go_at_once():
    world = World(rollout(), policy())
    world.deploy("started", "2")
    world.deploy("finished", "2")
    world.journal.instances(4)
    assert reasons(world.journal.samples(20, 20, 20, 20, after_s=1)) == ["HELD_BY_DEPLOY"]
    decided = world.journal.policies(policy())
    assert scales(decided) == [(4, 2)]
    assert "ROLLOUT_DROPPED" in said(decided)


def test_a_watch_on_trial_holds_nobody_from_the_moment_at_which_it_is_on_trial():
    world = World(rollout(), policy())
    world.deploy("finished", "2")
    world.journal.instances(4)
    assert reasons(world.journal.samples(20, 20, 20, 20, after_s=1)) == ["HELD_BY_DEPLOY"]
    assert scales(world.journal.policies(rollout(mode="shadow"), policy())) == [(4, 2)]


def test_a_pause_of_one_direction_leaves_a_rollback_alone():
    world = World(rollout())
    world.journal.command("pause", direction="down")
    assert rolled(world.release_of("2", 90)) == [("2", "1")]


def test_an_alert_that_fires_does_not_go_without_a_word_with_its_policy_or_its_service():
    made = Journal()
    made.policies(alert("{notify: {receiver: r}}"))
    (firing, _) = made.samples(90, name="bad", after_s=1)
    gone = made.policies(policy())
    assert reasons(gone) == ["POLICIES_CHANGED", "ALERT_DROPPED"]
    assert gone[1].evidence["decision"] == firing.id
    made.policies(alert("{notify: {receiver: r}}"))
    made.samples(90, name="bad", after_s=1)
    assert reasons(made.tick(after_s=86_400)) == ["ALERT_DROPPED"]
    assert made.state.services == {}


def test_an_alert_that_is_calm_goes_without_a_word():
    made = Journal()
    made.policies(alert("{}"))
    made.samples(10, name="bad", after_s=1)
    assert reasons(made.policies()) == ["POLICIES_CHANGED"]
    assert made.state.services["web"].alerts == {}


def test_reminders_that_something_sooner_overtook_are_no_burden_for_as_long_as_a_deploy_is_remembered():
    made = Journal()
    made.policies(rollout(environment="*"))
    for n in range(300):
        made.deploy("started", f"{n}")
        made.tick(after_s=1000)
        made.deploy("finished", f"{n}")
        made.tick(after_s=1000)
    assert len(made.state.timers) < 100
    made.tick(after_s=31 * 86_400)
    assert made.state.services == {}


def test_a_pause_of_several_services_by_a_glob_pauses_each_of_them_and_ends_as_it_began():
    made = Journal()
    made.policies(policy(service="*"))
    for name in ("web-1", "web-2", "api"):
        made.instances(1, service=name)
    made.command("pause", service="web-*")
    decided = [made.samples(120, service=name)[0] for name in ("web-1", "web-2", "api")]
    assert reasons(decided) == ["PAUSED", "PAUSED", "ABOVE_TARGET"]
    assert {one.service for one in made.command("resume", service="web-*") if one.action} == {"web-1", "web-2"}
