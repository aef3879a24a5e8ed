"""What a verdict brings about: rolling back, the hold, and policies that change meanwhile."""

import pytest

from app.policy.decision import SENTENCES, Reason
from app.policy.state import pack, unpack
from tasks.contract import RollBack, Status
from tests.unit.policy.builders import policy, reasons, scales
from tests.unit.policy.rollouts import World, rollback_in, rolled, rollout, said, told


def named(decided, reason):
    (found,) = [one for one in decided if one.reason.value == reason]
    return found


# rolling back


def failed(**values):
    """A world in which version 2 was just rolled back to 1, and the action."""
    world = World(rollout(**values))
    return world, rollback_in(world.release_of("2", errors=20, seconds=45))


def test_the_service_is_neither_scaled_nor_rolled_back_while_a_rollback_is_pending():
    world = World(rollout(), policy(target=60))
    world.journal.instances(4)
    action = rollback_in(world.release_of("2", errors=20, seconds=45))
    decided = world.journal.samples(20, 20, 20, 20, after_s=1)
    assert named(decided, "ROLLBACK_PENDING").evidence["pending"] == action.id
    assert scales(decided + world.journal.samples(95, 95, 95, 95, after_s=1)) == []
    (scale,) = [one.action for one in world.journal.answer(action) if scales([one])]
    assert scale.generation > action.generation
    assert action.target == scale.target == "web"


def test_a_rollback_that_is_done_is_told_and_its_own_events_are_not_watched():
    world, action = failed()
    decided = world.journal.answer(action)
    assert said(decided) == ["ROLLBACK_DONE"]
    assert told(decided) == [("on-call", "web: 1 runs again in prod")]
    for phase in ("started", "finished", "rolled_back"):
        assert said(world.deploy(phase, "1", after_s=1)) == ["OWN_ROLLBACK"]
    assert said(world.run(1000)) == []
    assert rolled(world.release_of("3", errors=60)) == [("3", "1")]


def test_its_own_events_may_come_before_its_outcome():
    world, action = failed()
    assert said(world.deploy("rolled_back", "1")) == ["OWN_ROLLBACK"]
    assert said(world.journal.answer(action)) == ["ROLLBACK_DONE"]


@pytest.mark.parametrize("status", [Status.FAILED, Status.DEAD, Status.EXPIRED, Status.CONFLICT])
def test_a_rollback_that_is_not_done_is_told_and_not_tried_again(status):
    world, action = failed()
    decided = world.journal.answer(action, status, detail="no such release")
    assert said(decided) == ["ROLLBACK_FAILED"]
    (told_,) = [one.action for one in decided]
    assert (told_.receiver, told_.severity) == ("on-call", "critical")
    assert "no such release" in told_.body
    assert said(world.run(2000, errors=99)) == []
    assert said(world.journal.answer(action, status)) == [], "the same word again"


def test_a_rollback_of_which_nothing_is_heard_is_told_when_it_expires_and_what_is_heard_later_as_well():
    world, action = failed()
    assert said(world.run(295)) == []
    decided = world.run(5, silent=True)
    assert said(decided) == ["ROLLBACK_UNANSWERED"]
    assert told(decided) == [("on-call", "web: nothing is known of the rollback to 1 in prod")]
    assert said(world.journal.answer(action)) == ["ROLLBACK_DONE"]


def test_the_word_on_a_rollback_is_for_people_even_when_its_policy_is_gone():
    world, action = failed()
    world.journal.policies(policy())
    decided = world.journal.answer(action, Status.FAILED)
    assert (said(decided), [receiver for receiver, _ in told(decided)]) == (["ROLLBACK_FAILED"], ["on-call"])


def test_nothing_is_rolled_back_to_a_version_that_failed_itself():
    world = World(rollout(rollBack="false"))
    world.release_of("2", errors=20)
    world.journal.policies(rollout())
    world.run(60, errors=10)
    assert rolled(world.release_of("3", errors=40)) == [("3", "1")]


def test_nothing_is_rolled_back_to_a_version_that_was_rolled_back_from():
    world, action = failed()
    world.journal.answer(action, Status.FAILED)
    world.run(60, errors=10)
    assert rolled(world.release_of("3", errors=40)) == [("3", "1")], "2 still runs, and is bad"
    by_hand = World()
    by_hand.release_of("2", errors=10)
    by_hand.deploy("rolled_back", "1")
    by_hand.deploy("finished", "2", after_s=1)
    by_hand.run(310)
    assert rolled(by_hand.release_of("3", errors=40)) == [("3", "2")], "2 was deployed again and passed"


def test_a_version_that_was_rolled_back_by_hand_is_not_gone_back_to():
    world = World()
    world.release_of("2", errors=10)
    world.deploy("rolled_back", "1")
    assert world.release.bad == ["2"]
    assert rolled(world.release_of("3", errors=40)) == [("3", "1")]


def test_a_version_that_is_tried_again_may_be_rolled_back_again():
    world, action = failed()
    world.journal.answer(action)
    world.deploy("rolled_back", "1")
    world.run(60, errors=10)
    assert rolled(world.release_of("2", errors=20)) == [("2", "1")]


def test_without_a_version_before_people_are_told_and_nothing_is_done():
    world = World(running="")
    world.run(60)
    decided = world.release_of("2", errors=20, seconds=60)
    assert said(decided) == ["ROLLOUT_FAILED", "NO_PREVIOUS_VERSION"]
    ((receiver, title),) = told(decided)
    assert (receiver, title) == ("on-call", "web: 2 is no good (score 0) in prod, not rolled back")
    assert SENTENCES[Reason.NO_PREVIOUS_VERSION] in named(decided, "ROLLOUT_FAILED").action.body
    assert rolled(decided) == []


@pytest.mark.parametrize("service", ["web", "*"])
def test_a_service_that_is_paused_is_judged_and_not_rolled_back(service):
    world = World()
    world.journal.command("pause", service)
    decided = world.release_of("2", errors=20, seconds=60)
    assert said(decided) == ["ROLLOUT_FAILED", "PAUSED"]
    assert named(decided, "PAUSED").evidence["paused"]["author"] == "ann"
    world.journal.command("resume", service)
    assert rolled(world.run(600)) == [], "the verdict was given, and is for people now"


def test_two_policies_that_find_it_bad_roll_it_back_once():
    world = World(rollout(name="one"), rollout(name="two"))
    decided = world.release_of("2", errors=20)
    assert rolled(decided) == [("2", "1")]
    assert named(decided, "ROLLOUT_ENDED").policy == "two"


def test_a_policy_that_finds_it_good_does_not_clear_what_another_found_bad():
    easy = """{sli: errors, expr: 'last("errors")', pass: ["<1000"]}"""
    world = World(rollout(name="hard", rollBack="false"), rollout(easy, name="zeasy"))
    world.release_of("2", errors=20)
    assert world.release.bad == ["2"]


def test_a_policy_on_trial_does_and_remembers_nothing():
    world = World(rollout(mode="shadow"), policy(target=60))
    world.journal.instances(4)
    decided = world.release_of("2", errors=20, seconds=60)
    assert {one.shadow for one in decided if one.policy == "watch"} == {True}
    assert any(isinstance(one.action, RollBack) for one in decided), "it says what it would have done"
    assert (rolled(decided), world.release.bad, world.service.undone) == ([], [], None)


# the hold


def calm(world):
    """Scalings that are decided while few replicas would do."""
    return scales(world.journal.samples(20, 20, 20, 20, after_s=1))


@pytest.mark.parametrize(("mode", "held"), [("active", True), ("shadow", False), ("off", False)])
def test_fewer_replicas_wait_for_the_verdict_of_a_policy_in_force(mode, held):
    world = World(rollout(mode=mode), policy(target=60))
    world.journal.instances(4)
    world.release_of("2", errors=10, seconds=100)
    assert calm(world) == ([] if held else [(4, 2)])
    if held:
        assert "HELD_BY_DEPLOY" in reasons(world.decisions)
        assert scales(world.run(195)) == []
        decided = world.run(5)
        assert (said(decided), scales(decided)) == (["ROLLOUT_PASSED", "BELOW_TARGET"], [(4, 2)])


def test_the_hold_is_no_longer_than_the_scale_policys_own_limit():
    world = World(rollout(), policy(target=60).rstrip() + "\n  deployHold: 90s\n")
    world.journal.instances(4)
    world.release_of("2", errors=10, seconds=20)
    assert calm(world) == []
    assert scales(world.run(10)) == [(4, 2)]


def test_a_deploy_that_stalls_holds_nothing_any_longer():
    world = World(rollout(), policy(target=60).rstrip() + "\n  deployHold: 10h\n")
    world.journal.instances(4)
    world.deploy("started", "2")
    world.run(800)
    assert calm(world) == []
    decided = world.run(100)
    assert (said(decided), scales(decided)) == (["ROLLOUT_STALLED", "BELOW_TARGET"], [(4, 2)])


# what changes meanwhile


def test_a_policy_that_is_taken_out_of_force_says_that_it_judges_nothing():
    world = World()
    world.release_of("2", errors=20, seconds=40)
    decided = world.journal.policies(policy())
    assert said(decided) == ["ROLLOUT_DROPPED"]
    assert decided[-1].evidence["deploy"]["version"] == "2"
    assert said(world.run(600)) == []


@pytest.mark.parametrize("other", [rollout(mode="off"), rollout(service="api"), rollout(environment="stage")])
def test_one_that_is_switched_off_or_meant_for_others_now_judges_nothing_either(other):
    world = World()
    world.release_of("2", errors=20, seconds=40)
    assert said(world.journal.policies(other)) == ["ROLLOUT_DROPPED"]


def test_under_other_words_failures_in_a_row_begin_anew_and_the_baseline_stays():
    world = World(rollout(failFast=2))
    world.release_of("2", errors=20, seconds=40)
    world.journal.policies(rollout(failFast=2, onPass="team"))
    assert said(world.run(10)) == []
    decided = world.run(15)
    assert named(decided, "ROLLOUT_FAILED").evidence["objectives"][0]["baseline"] == 10.0


def test_an_expression_that_is_new_has_no_baseline():
    world = World()
    world.release_of("2", errors=20, seconds=10)
    world.journal.policies(rollout("""{sli: errors, expr: '1.0 * last("errors")', pass: ["<=+10%"]}"""))
    assert said(world.run(300)) == ["ROLLOUT_UNKNOWN"]


def test_a_policy_that_comes_into_force_while_a_deploy_is_under_way_watches_it_from_its_end():
    world = World(policy())
    world.deploy("started", "2")
    world.run(30)
    world.journal.policies(rollout())
    world.run(30)
    world.deploy("finished", "2")
    decided = world.run(60, errors=20)
    assert rolled(decided) == [("2", "1")]


def test_a_service_that_was_forgotten_is_not_rolled_back():
    world = World()
    world.deploy("started", "2")
    del world.journal.state.services["web"]
    world.run(30)
    world.deploy("finished", "2")
    decided = world.run(60, errors=20)
    assert said(decided) == ["ROLLOUT_FAILED", "NO_PREVIOUS_VERSION"]


def test_a_watch_survives_being_packed():
    world = World()
    world.release_of("2", errors=20, seconds=40)
    world.journal.state = unpack(pack(world.journal.state))
    action = rollback_in(world.run(20))
    world.journal.state = unpack(pack(world.journal.state))
    assert said(world.journal.answer(action)) == ["ROLLBACK_DONE"]


def test_a_service_that_only_deploys_tell_of_is_watched_and_not_scaled():
    world = World(rollout(), policy(service="*"), running="")
    world.deploy("started", "2")
    world.deploy("finished", "2")
    decided = world.run(400, silent=True)
    assert said(decided) == ["ROLLOUT_UNKNOWN"]


def test_what_is_watched_is_bounded():
    world = World(*(rollout(name=f"p{n}", environment="*") for n in range(30)))
    for n in range(30):
        world.deploy("started", "2", environment=f"e{n}")
    world.run(5)
    assert len(world.service.watches) <= 100
    assert len(world.service.releases) <= 20
