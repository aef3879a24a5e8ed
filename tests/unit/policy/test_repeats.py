"""Facts that come again, late, or for an action that nobody waits for any more."""

import msgspec

from app.policy.facts import Instances, Reported, Samples, Series
from app.policy.state import pack
from tasks.contract import Status
from tests.unit.policy.builders import Journal, policy, reasons, scales


def journal(*texts, wanted=None):
    made = Journal()
    made.policies(*(texts or (policy(),)))
    if wanted:
        made.instances(wanted)
    return made


def test_a_set_of_policies_that_comes_again_is_not_told_again():
    made = journal()
    assert reasons(made.decisions) == ["POLICIES_CHANGED"]
    assert made.add(made.records[-1].fact) == []
    assert made.policies(policy()) != []


def test_a_sample_that_comes_again_is_not_counted_again():
    made = journal(wanted=2)
    made.samples(60, 60)
    before = pack(made.state)
    made.add(made.records[-1].fact)
    made.state.next_offset -= 1
    assert pack(made.state) == before


def test_a_recreated_topic_is_no_repeat():
    made = journal(wanted=2)
    fact = made.records[-1].fact
    made.add(msgspec.structs.replace(fact, source=msgspec.structs.replace(fact.source, topic_id="new"), wanted=5))
    assert made.state.services["web"].observed.replicas == 5


def test_time_never_goes_back():
    made = journal(wanted=2)
    now_ms = made.state.now_ms
    made.tick(after_s=-5)
    assert made.state.now_ms == now_ms
    read = made.state.read_until_ms
    made.tick(after_s=5, behind_s=50)
    assert made.state.read_until_ms == read


def test_a_tick_of_a_clock_that_is_ahead_makes_nothing_look_silent():
    made = journal(wanted=2)
    made.tick(behind_s=-7200)
    assert made.state.read_until_ms == made.state.now_ms
    assert reasons(made.samples(90, 90)) == ["ABOVE_TARGET"]


def test_an_outcome_nobody_waits_for_leaves_the_pending_scaling_alone():
    made = journal(wanted=2)
    (one,) = made.samples(90, 90)
    (two,) = made.samples(90, 90, after_s=61)  # the first expired: decided again
    made.outcome(one.action, Status.EXPIRED)
    assert made.state.services["web"].pending.id == two.id


def test_an_older_outcome_does_not_undo_a_newer_one():
    made = journal(wanted=2)
    (one,) = made.samples(90, 90)
    (two,) = made.samples(120, 120, after_s=61)
    made.outcome(two.action)
    made.outcome(one.action)
    assert made.state.services["web"].observed.replicas == two.action.to_replicas == 4


def test_an_outcome_that_found_the_world_so_already_tells_the_replicas():
    made = journal(wanted=2)
    (one,) = made.samples(90, 90)
    made.outcome(one.action)
    fact = made.records[-1].fact
    skipped = msgspec.structs.replace(fact.outcome, status=Status.SKIPPED, set=7)
    made.add(Reported(made.source("outcomes"), skipped))
    assert made.state.services["web"].observed.replicas == 7


def test_a_scaling_in_the_other_direction_need_not_wait():
    made = journal(wanted=4)
    made.samples(90, 90, 90, 90)
    assert scales(made.samples(20, 20, 20, 20, after_s=1)) == [(4, 2)]


def test_a_pending_scaling_does_not_bind_a_policy_on_trial():
    made = journal(policy("real"), policy("trial", target=30, mode="shadow"), wanted=2)
    made.samples(90, 90)
    decided = made.samples(70, 70, after_s=1)
    assert ("trial", "ABOVE_TARGET") in {(one.policy, one.reason.value) for one in decided}


def test_generations_rise_within_one_millisecond():
    made = journal(wanted=4)
    (one,) = made.samples(90, 90, 90, 90)
    (two,) = made.samples(20, 20, 20, 20)
    assert two.at_ms == one.at_ms
    assert two.action.generation == one.action.generation + 1


def test_two_policies_that_want_the_same_scale_once():
    made = journal(policy("a"), policy("b"), wanted=2)
    decided = made.samples(90, 90)
    assert [(one.policy, one.reason.value) for one in decided] == [("a", "ABOVE_TARGET"), ("b", "OUTVOTED")]


def test_services_of_one_pack_are_decided_in_the_order_of_their_names():
    made = journal(policy(service="*"))
    names = [f"s{i}" for i in range(9, -1, -1)]
    series = [Series(name, "cpu", {"host": name}) for name in names]
    count = len(names)
    source = made.source("metrics", count)
    each = list(range(count))
    decided = made.add(Samples(source, series, each, [made.at_ms] * count, [120.0] * count, each, [0] * count))
    assert [one.service for one in decided] == sorted(names)


def test_what_only_an_old_policy_needed_is_forgotten_with_it():
    made = journal(policy("old"), wanted=2)
    made.samples(60, 60)
    made.policies(policy("new").replace("name: cpu", "name: memory"))
    service = made.state.services["web"]
    assert service.series == {}
    assert list(service.memories) == ["new"]


def test_a_wish_must_last_again_after_a_scaling_and_after_missing_data():
    made = journal(policy(up_for="5s", stale="10s"), wanted=2)
    made.samples(90, 90)
    (one,) = [found for found in made.samples(90, 90, after_s=5) if found.action]
    assert reasons(made.outcome(one.action, Status.EXPIRED)) == ["HELD"]
    made.tick(after_s=20, behind_s=0)
    assert reasons(made.samples(90, 90, after_s=1)) == ["HELD"]


def test_series_that_went_silent_take_no_part_and_are_dropped():
    made = journal(policy(stale="10s"), wanted=2)
    made.samples(300, 300)
    made.tick(after_s=8, behind_s=0)
    made.samples(60, after_s=1)
    made.tick(after_s=2, behind_s=0)
    assert len(made.state.services["web"].series) == 1


def test_each_policy_judges_staleness_by_its_own_word():
    made = journal(policy("quick", stale="5s", target=300), policy("slow", stale="5m", target=300), wanted=2)
    made.samples(300, 300)
    decided = made.tick(after_s=10, behind_s=0)
    assert [(one.policy, one.reason.value) for one in decided] == [("quick", "NO_DATA")]


def test_an_observer_may_be_ahead_of_the_outcome():
    made = journal(wanted=2)
    (one,) = made.samples(90, 90)
    made.add(Instances(made.source("instances"), "web", made.at_ms + 1, 3, 3, one.action.generation))
    made.outcome(one.action)
    assert made.state.services["web"].observed.replicas == 3
