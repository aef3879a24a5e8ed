"""Deploys watched and judged: each way it can end, with its reason, and what is done about it."""

import pytest

from app.policy.decision import Reason
from tests.unit.policy.builders import reasons
from tests.unit.policy.rollouts import World, rollback_in, rolled, rollout, said, told


def named(decided, reason):
    (found,) = [one for one in decided if one.reason.value == reason]
    return found


# verdicts


def test_a_deploy_that_is_as_good_as_what_was_before_it_passes_at_the_end_of_its_window():
    world = World(rollout(onPass="team"))
    assert said(world.release_of("2", errors=10, seconds=295)) == []
    decided = world.run(5)
    assert said(decided) == ["ROLLOUT_PASSED"]
    assert told(decided) == [("team", "web: 2 is good (score 100) in prod")]
    assert rolled(world.decisions) == []


def test_nobody_is_told_of_a_pass_who_did_not_ask():
    assert told(World().release_of("2", errors=10)) == []


def test_a_deploy_that_is_good_in_part_stays_and_people_are_told():
    objective = """{sli: errors, expr: 'last("errors")', pass: ["<=+10%"], warning: ["<=+50%"]}"""
    world = World(rollout(objective, total_score="{pass: 90, warning: 50}"))
    decided = world.release_of("2", errors=14)
    assert said(decided) == ["ROLLOUT_WARNED"]
    assert [receiver for receiver, _ in told(decided)] == ["team"]
    assert rolled(decided) == []


def test_a_deploy_that_fails_is_rolled_back_to_the_version_before_and_people_are_told_what_was_compared():
    world = World()
    decided = world.release_of("2", errors=20, seconds=60)
    assert said(decided) == ["ROLLOUT_FAILED", "TOLD"]
    assert rolled(decided) == [("2", "1")]
    (told_,) = [one.action for one in decided if one.reason is Reason.TOLD]
    assert told_.title == "web: 2 is no good (score 0) in prod, going back to 1"
    assert told_.body.startswith("errors is 20, 10 before the deploy: fail (key), it has to be <=+10%. ")
    assert told_.severity == "critical"
    evidence = named(decided, "ROLLOUT_FAILED").evidence
    assert evidence["deploy"]["version"] == "2"
    assert evidence["objectives"] == [{
        "sli": "errors", "expr": 'last("errors")', "value": 20.0, "baseline": 10.0, "calls": {"last(errors)": 20.0},
        "pass": "<=+10%", "warning": "", "result": "fail", "weight": 1, "score": 0.0, "key_sli": True,
    }]  # fmt: skip
    assert (evidence["score"], evidence["early"], evidence["baseline_at"]) == (0.0, True, "started")


def test_one_that_fails_is_only_told_of_where_the_policy_does_not_ask_for_a_rollback():
    decided = World(rollout(rollBack="false")).release_of("2", errors=20)
    assert said(decided) == ["ROLLOUT_FAILED"]
    assert told(decided) == [("on-call", "web: 2 is no good (score 0) in prod")]
    assert rolled(decided) == []


def test_the_first_judgement_waits_until_the_deploy_has_settled():
    world = World()
    assert said(world.release_of("2", errors=20, seconds=25)) == []
    assert said(world.run(10, errors=10)) == []
    assert said(world.run(265)) == ["ROLLOUT_PASSED"]


@pytest.mark.parametrize(("fail_fast", "seconds"), [(1, 30), (2, 45), (4, 75), (0, 300)])
def test_so_many_failures_in_a_row_end_it_early(fail_fast, seconds):
    world = World(rollout(failFast=fail_fast))
    assert said(world.release_of("2", errors=20, seconds=seconds - 5)) == []
    assert said(world.run(5)) == ["ROLLOUT_FAILED", "TOLD"]


def test_failures_that_are_not_in_a_row_do_not_end_it_early():
    world = World(rollout(failFast=2))
    world.release_of("2", errors=10, seconds=10)
    for _ in range(9):
        assert said(world.run(15, errors=20)) == []
        assert said(world.run(15, errors=10)) == []


def test_a_verdict_comes_by_time_alone_and_without_samples_it_is_unknown():
    world = World()
    decided = world.release_of("2", errors=10, seconds=0)
    decided += world.run(300, silent=True)
    assert said(decided) == ["ROLLOUT_UNKNOWN"]
    assert told(decided) == [("on-call", "web: 2 cannot be judged in prod")]
    assert rolled(decided) == []


def test_what_was_measured_before_the_deploy_finished_is_not_taken_for_the_new_version():
    mean = """{sli: errors, expr: 'avg("errors", "5m")', pass: ["<15"]}"""
    world = World(rollout(mean))
    world.run(300, errors=100)
    decided = world.release_of("2", errors=10)
    assert said(decided) == ["ROLLOUT_PASSED"], "the old version's errors are in the window, and do not count"
    late = World()
    late.run(60, errors=100)
    assert said(late.release_of("2", errors=10, seconds=0) + late.run(300, silent=True)) == ["ROLLOUT_UNKNOWN"]


def test_a_metric_that_was_missing_when_the_deploy_began_leaves_the_verdict_unknown_for_ever():
    world = World(running="")
    world.deploy("finished", "1")
    decided = world.release_of("2", errors=99)
    assert named(world.decisions, "ROLLOUT_UNKNOWN").evidence["objectives"][0]["baseline"] is None
    assert "ROLLOUT_FAILED" not in said(decided)
    assert rolled(world.decisions) == []


def test_the_baseline_is_of_the_first_word_of_the_deploy_and_not_of_the_time_in_which_it_spreads():
    world = World()
    world.deploy("started", "2")
    world.run(60, errors=50)
    world.deploy("finished", "2")
    world.run(45)
    assert named(world.decisions, "ROLLOUT_FAILED").evidence["objectives"][0]["baseline"] == 10.0


def test_an_instance_of_a_new_version_that_is_seen_before_the_deploy_is_announced_is_where_the_baseline_is_from():
    world = World()
    world.deploy("pod_started", "2", pod="web-7")
    world.run(60, errors=50)
    assert said(world.decisions) == []
    world.deploy("finished", "2")
    world.run(45)
    evidence = named(world.decisions, "ROLLOUT_FAILED").evidence
    assert (evidence["objectives"][0]["baseline"], evidence["baseline_at"]) == (10.0, "pod_started")


def test_one_that_is_only_heard_of_when_it_is_finished_is_compared_with_that_moment():
    world = World()
    world.deploy("finished", "2")
    decided = world.run(60, errors=20)
    assert named(decided, "ROLLOUT_FAILED").evidence["baseline_at"] == "finished"
    assert rolled(decided) == [("2", "1")]


# how a deploy may go on


def test_a_deploy_that_never_finishes_is_told_of_at_its_deadline_and_left_alone():
    world = World()
    world.deploy("started", "2")
    assert said(world.run(895)) == []
    decided = world.run(5)
    assert said(decided) == ["ROLLOUT_STALLED"]
    assert told(decided) == [("on-call", "web: 2 has not finished within 900 s in prod")]
    assert said(world.run(2000)) == []
    assert rolled(world.decisions) == []


def test_one_that_finishes_after_its_deadline_is_judged_by_the_baseline_from_before_it():
    world = World()
    world.deploy("started", "2")
    world.run(1000)
    world.deploy("finished", "2")
    assert rolled(world.run(60, errors=20)) == [("2", "1")]


def test_a_stalled_deploy_is_rolled_back_where_the_policy_asks_for_it_and_its_end_is_not_judged_then():
    world = World(rollout(stalled="true"))
    world.deploy("started", "2")
    decided = world.run(900)
    assert said(decided) == ["ROLLOUT_STALLED", "TOLD"]
    assert rolled(decided) == [("2", "1")]
    world.journal.answer(rollback_in(decided))
    assert said(world.deploy("finished", "2")) == ["ALREADY_WATCHED"]
    assert rolled(world.run(400, errors=99)) == []


@pytest.mark.parametrize(("asked", "back"), [("false", []), ("true", [("2", "1")])])
def test_a_deploy_that_fails_by_its_own_word_is_told_of_and_rolled_back_only_if_asked(asked, back):
    world = World(rollout(failed=asked))
    world.deploy("started", "2")
    world.run(30)
    decided = world.deploy("failed", "2")
    assert said(decided)[0] == "DEPLOY_FAILED"
    assert [receiver for receiver, _ in told(decided)] == ["on-call"]
    assert rolled(decided) == back
    assert said(world.run(1000)) in ([], ["ROLLBACK_UNANSWERED"])


def test_a_failure_that_is_the_first_word_of_a_deploy_is_told():
    assert "DEPLOY_FAILED" in said(World().deploy("failed", "2"))


def test_a_failure_of_a_deploy_that_was_judged_long_ago_rolls_nothing_back():
    world = World(rollout(failed="true"))
    world.release_of("2", errors=10)
    assert rolled(world.deploy("failed", "") + world.deploy("failed", "2")) == []


def test_a_second_deploy_takes_the_place_of_the_first_with_the_baseline_and_the_version_from_before_both():
    world = World()
    world.deploy("started", "2")
    world.run(60)
    world.deploy("finished", "2")
    world.run(20, errors=40)
    decided = world.deploy("started", "3")
    assert said(decided) == ["ROLLOUT_SUPERSEDED"]
    assert named(decided, "ROLLOUT_WATCHED").evidence["baseline"] == {"errors": 10.0}
    world.run(30)
    world.deploy("finished", "3")
    assert rolled(world.run(60)) == [("3", "1")], "version 2 was never judged"


def test_a_first_deploy_that_finishes_after_the_second_began_is_not_watched():
    world = World()
    world.deploy("started", "2")
    world.deploy("started", "3", after_s=5)
    assert said(world.deploy("finished", "2", after_s=5)) == ["ALREADY_WATCHED"]
    world.deploy("finished", "3", after_s=5)
    assert rolled(world.run(60, errors=20)) == [("3", "1")]


def test_a_version_that_passed_is_what_the_next_deploy_goes_back_to():
    world = World()
    world.release_of("2", errors=10)
    assert rolled(world.release_of("3", errors=30)) == [("3", "2")]


def test_a_deploy_that_is_heard_of_again_is_not_watched_twice():
    world = World()
    world.deploy("started", "2", event_id="a")
    assert reasons(world.deploy("started", "2", event_id="a")) == ["EVENT_REPEATED"]
    assert said(world.deploy("started", "2", event_id="b")) == ["ALREADY_WATCHED"]
    world.deploy("finished", "2")
    world.run(20)
    assert said(world.deploy("finished", "2")) == ["ALREADY_WATCHED"]
    assert said(world.run(280)) == ["ROLLOUT_PASSED"], "the window is from the first word that it finished"
    assert said(world.deploy("finished", "2")) == ["ALREADY_WATCHED"]


def test_a_late_word_of_a_deploy_changes_nothing():
    world = World()
    world.release_of("2", errors=10, seconds=60)
    assert reasons(world.deploy("started", "1.9", at_s=-3600)) == ["EVENT_SEEN", "EVENT_LATE"]
    assert said(world.run(240)) == ["ROLLOUT_PASSED"]


def test_a_new_deploy_of_the_same_version_is_watched_and_what_it_goes_back_to_is_not_itself():
    world = World()
    world.release_of("2", errors=10)
    decided = world.release_of("2", errors=30)
    assert said(decided) == ["ROLLOUT_FAILED", "NO_PREVIOUS_VERSION"]


def test_a_start_without_a_version_does_not_hide_the_version_that_ran():
    world = World()
    world.deploy("started", "")
    world.run(30)
    world.deploy("finished", "2")
    assert rolled(world.run(60, errors=20)) == [("2", "1")]


@pytest.mark.parametrize(("phase", "version", "by"), [("rolled_back", "1", "a rollback to 1"), ("removed", "", "the")])
def test_a_deploy_that_somebody_rolls_back_or_removes_is_not_judged(phase, version, by):
    world = World()
    world.release_of("2", errors=20, seconds=10)
    decided = world.deploy(phase, version)
    assert named(decided, "ROLLOUT_ENDED").evidence["by"].startswith(by)
    assert said(world.run(1000)) == []


def test_a_deploy_is_watched_only_where_the_policy_is_meant_for_it():
    world = World(rollout(environment="prod*"))
    assert reasons(world.deploy("started", "2", environment="stage")) == ["EVENT_SEEN"]
    assert reasons(world.deploy("started", "2", service="api")) == ["EVENT_SEEN"]
    assert "ROLLOUT_WATCHED" in reasons(world.deploy("started", "2", environment="prod-eu"))


def test_environments_are_watched_each_by_itself():
    world = World(rollout(environment="*"))
    world.deploy("started", "2")
    assert said(world.deploy("started", "2", environment="stage")) == []
    world.deploy("finished", "2")
    world.deploy("finished", "2", environment="stage")
    decided = world.run(60, errors=20)
    assert rolled(decided) == [("2", "1")], "nothing ran in stage before"
    assert said(decided).count("ROLLOUT_FAILED") == 2
