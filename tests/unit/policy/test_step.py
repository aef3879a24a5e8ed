from app.policy.decision import SENTENCES, Reason, place_of
from app.policy.state import SERIES_LIMIT
from tasks.contract import Notify, Scale, Status
from tests.unit.policy.builders import Journal, policy, reasons, scales


def journal(*texts, wanted=None):
    made = Journal()
    made.policies(*(texts or (policy(),)))
    if wanted:
        made.instances(wanted)
    return made


def test_a_service_above_its_target_is_scaled_up_by_the_ratio():
    decided = journal(wanted=3).samples(90, 90, 90)
    assert scales(decided) == [(3, 5)]  # ceil(3 * 90 / 60)
    (one,) = decided
    assert one.reason is Reason.ABOVE_TARGET
    assert one.evidence["metrics"][0] | {"value": 90.0, "ratio": 1.5, "instances": 3} == one.evidence["metrics"][0]
    assert (one.evidence["wanted"], one.evidence["limited"]) == (5, 5)


def test_a_service_below_its_target_is_scaled_down():
    assert scales(journal(wanted=4).samples(20, 20, 20, 20)) == [(4, 2)]


def test_within_tolerance_nothing_is_said_before_anything_happened():
    assert journal(wanted=3).samples(65, 66, 66) == []


def test_the_borders_of_the_tolerance_are_inside():
    assert journal(policy(target=100), wanted=2).samples(110, 110) == []
    assert scales(journal(policy(target=100), wanted=2).samples(111, 111)) == [(2, 3)]


def test_an_id_is_the_address_of_the_fact():
    made = journal(wanted=3)
    (one,) = made.samples(90, 90, 90)
    assert place_of(one.id) == ("journal", 0, len(made.records) - 1, 0)
    assert one.action.id == one.id


def test_people_are_told_with_a_decision_of_its_own():
    decided = journal(policy(notify="team"), wanted=3).samples(90, 90, 90)
    assert [type(one.action) for one in decided] == [Scale, Notify]
    assert decided[1].action.receiver == "team"
    assert decided[1].evidence["decision"] == decided[0].id
    assert decided[1].action.title == "web: 3 → 5 replicas: cpu 90 is above 60"


def test_no_second_scaling_in_a_direction_while_one_is_pending():
    made = journal(wanted=3)
    made.samples(90, 90, 90)
    decided = made.samples(95, 95, 95, after_s=1)
    assert reasons(decided) == ["SCALE_PENDING"]
    assert made.samples(95, 95, 95, after_s=1) == []  # said once


def test_an_outcome_ends_the_wait_and_tells_the_replicas():
    made = journal(wanted=2)
    (one,) = made.samples(90, 90)
    made.outcome(one.action)
    assert made.state.services["web"].observed.replicas == 3
    assert scales(made.samples(90, 90, 90, after_s=1)) == [(3, 5)]


def test_an_action_that_failed_is_decided_again_after_a_while():
    made = journal(wanted=2)
    (one,) = made.samples(90, 90)
    assert reasons(made.outcome(one.action, Status.FAILED)) == ["BACKING_OFF"]
    assert made.samples(90, 90, after_s=14) == []
    assert scales(made.samples(90, 90, after_s=1)) == [(2, 3)]


def test_an_action_that_expired_unseen_does_not_hold_for_ever():
    made = journal(wanted=2)
    made.samples(90, 90)
    assert scales(made.samples(90, 90, after_s=61)) == [(2, 3)]


def test_generations_rise():
    made = journal(wanted=2)
    (one,) = made.samples(90, 90)
    made.outcome(one.action)
    (two,) = made.samples(90, 90, 90, after_s=1)
    assert two.action.generation > one.action.generation


def test_an_observer_that_has_not_seen_the_last_scaling_is_not_believed():
    made = journal(wanted=2)
    (one,) = made.samples(90, 90)
    made.outcome(one.action)
    made.instances(2, generation=0)
    assert made.state.services["web"].observed.replicas == 3
    made.instances(3, generation=one.action.generation, after_s=1)
    assert made.state.services["web"].observed.replicas == 3


def test_new_instances_that_do_not_report_yet_do_not_make_it_run_away():
    made = journal(wanted=2)
    (one,) = made.samples(100, 100)
    made.outcome(one.action)  # 4 now, 2 report
    assert scales(made.samples(90, 90, after_s=1)) == []


def test_the_limits_hold_and_are_said():
    made = journal(policy(most=4), wanted=3)
    (one,) = made.samples(200, 200, 200)
    assert scales([one]) == [(3, 4)]
    assert reasons(made.outcome(one.action)) == ["AT_MAXIMUM"]
    low = journal(policy(least=2), wanted=2)
    assert reasons(low.samples(1, 1)) == ["AT_MINIMUM"]


def test_replicas_outside_the_limits_are_brought_inside_without_a_metric():
    assert [(one.reason.value, *scales([one])) for one in journal(policy(least=3)).instances(1)] == [
        ("BELOW_MINIMUM", (1, 3))
    ]


def test_a_wish_must_last_as_long_as_the_policy_asks():
    made = journal(policy(up_for="5s"), wanted=2)
    assert reasons(made.samples(90, 90)) == ["HELD"]
    assert made.samples(90, 90, after_s=4) == []
    assert scales(made.samples(90, 90, after_s=1)) == [(2, 3)]


def test_a_wish_that_lapses_starts_anew():
    made = journal(policy(up_for="5s"), wanted=2)
    made.samples(90, 90)
    assert reasons(made.samples(60, 60, after_s=3)) == ["WITHIN_TOLERANCE"]
    assert reasons(made.samples(90, 90, after_s=3)) == ["HELD"]


def test_a_hold_ends_by_time_alone():
    made = journal(policy(up_for="5s"), wanted=2)
    made.samples(90, 90)
    found = [one for _ in range(7) for one in made.tick()]
    assert scales(found) == [(2, 3)]


def test_a_recent_recommendation_keeps_a_service_up():
    made = journal(policy(down_window=30), wanted=4)
    made.samples(60, 60, 60, 60)
    assert reasons(made.samples(15, 15, 15, 15, after_s=10)) == ["STABILIZED"]
    assert scales(made.samples(15, 15, 15, 15, after_s=31)) == [(4, 1)]


def test_missing_data_never_scale_and_are_judged_by_what_was_read():
    made = journal(policy(stale="10s"), wanted=3)
    made.samples(60, 60, 60)
    assert made.tick(after_s=60, behind_s=55) == []  # the intake is behind: not the service's silence
    assert reasons(made.tick(after_s=20, behind_s=0)) == ["NO_DATA"]
    assert made.tick(after_s=20, behind_s=0) == []


def test_one_failing_metric_refuses_to_go_down_but_not_up():
    both = policy().replace(
        "  behavior:",
        "    - type: Pods\n"
        "      pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: 100}}\n"
        "  behavior:",
    )
    made = journal(both, wanted=4)
    assert reasons(made.samples(10, 10, 10, 10)) == ["NO_DATA"]
    assert scales(made.samples(90, 90, 90, 90, after_s=1)) == [(4, 6)]


def test_a_pause_holds_until_its_end_or_a_resume():
    made = journal(wanted=2)
    made.command("pause")
    decided = made.samples(90, 90)
    assert reasons(decided) == ["PAUSED"]
    assert decided[0].evidence["paused"]["author"] == "ann"
    assert scales(made.command("resume") + made.samples(90, 90, after_s=1)) == [(2, 3)]
    made = journal(wanted=2)
    made.command("pause", service="*", until_ms=made.at_ms + 10_000)
    made.samples(90, 90)
    assert scales(made.samples(90, 90, after_s=10)) == [(2, 3)]


def test_the_highest_wish_of_two_policies_wins_and_the_other_says_so():
    made = journal(policy("calm", target=300), policy("keen", target=60), wanted=2)
    decided = made.samples(90, 90)
    assert {one.policy: one.reason.value for one in decided} == {"calm": "OUTVOTED", "keen": "ABOVE_TARGET"}
    assert scales(decided) == [(2, 3)]


def test_a_policy_on_trial_decides_and_does_nothing_else():
    made = journal(policy(mode="shadow", notify="team"), wanted=2)
    (one,) = made.samples(90, 90)
    assert one.shadow
    assert scales([one]) == [(2, 3)]
    assert made.state.services["web"].pending is None
    assert made.samples(90, 90, after_s=1) == []  # the same again is not written again
    assert made.state.services["web"].generation == 0


def test_a_change_of_policies_is_written_with_who_and_why():
    (one,) = Journal().policies(policy())
    assert one.reason is Reason.POLICIES_CHANGED
    assert (one.evidence["author"], one.evidence["message"], one.evidence["policies"]) == ("ann", "why", ["web"])


def test_a_policy_that_is_off_and_services_of_no_policy_are_left_alone():
    assert journal(policy(mode="off"), wanted=2).samples(90, 90) == []
    made = journal(wanted=2)
    assert made.samples(90, service="other") == []
    assert "other" not in made.state.services


def test_without_an_observer_the_instances_that_report_are_the_replicas():
    made = journal()
    assert reasons(made.samples(90)) == ["COUNTING"]  # the first to report is not all there are
    assert made.samples(90, 90, 90, after_s=9) == []
    assert scales(made.samples(90, 90, 90, after_s=1)) == [(3, 5)]


def test_a_sample_older_than_the_newest_is_counted_as_late():
    made = journal(wanted=2)
    made.samples(60, 60)
    made.samples(200, 200, after_s=1, at_s=-5)
    assert made.state.late == 2
    assert made.state.services["web"].series["cpu\x1fhost=web-0"].value == 60


def test_more_series_than_a_service_may_have_are_refused_once_and_counted():
    made = journal(policy(most=2000), wanted=SERIES_LIMIT)
    decided = made.samples(*([60] * (SERIES_LIMIT + 5)))
    assert reasons(decided) == ["SERIES_LIMIT"]
    assert made.state.services["web"].series_refused == 5
    assert reasons(made.samples(*([60] * (SERIES_LIMIT + 5)), after_s=1)) == []


def test_every_reason_has_its_sentence():
    assert set(SENTENCES) == set(Reason)
    assert len(set(SENTENCES.values())) == len(SENTENCES)
