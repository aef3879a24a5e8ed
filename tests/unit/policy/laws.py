"""The laws of the engine, each a function of a timeline; `LAWS` is the list that `test_laws_of_examples` tries."""

import math
from collections import defaultdict
from fnmatch import fnmatchcase

import msgspec

from app.policy import decision as decisions
from app.policy.decision import Reason
from app.policy.facts import Command, PolicySet, Record, Reported, Source, Tick, Verb, decode, encode
from app.policy.files import compiled
from app.policy.model_scale import ScalePolicy
from app.policy.state import empty, pack, unpack
from app.policy.step import step
from tasks.contract import Notify, RollBack, Scale
from tests.unit.policy.test_laws import cut_up, run
from tests.unit.policy.timelines import Timeline, moment, samples

BY_RATIO = {Reason.ABOVE_TARGET, Reason.BELOW_TARGET}
KNOWN_ANYWAY = {Reason.ABOVE_MAXIMUM, Reason.FALLBACK}
"""What may lower without data: a limit that somebody set, and a fallback that was asked for."""

GUARDS = {
    Reason.PAUSED: "paused", Reason.HELD_BY_DEPLOY: "deploy", Reason.SCALE_PENDING: "pending",
    Reason.BACKING_OFF: "pending", Reason.COOLING_DOWN: "scaled_ms_ago", Reason.OUTVOTED: "highest",
}  # fmt: skip
"""Reasons of what stands against a wish, and what the evidence says of each."""


def scales(made):
    return [one for one in made.decisions if isinstance(one.action, Scale) and not one.shadow]


def in_force(made):
    """The policies in force at each record, by name."""
    found, now = [], {}
    for record in made.records:
        if isinstance(record.fact, PolicySet):
            now = {one.name: compiled(one) for one in record.fact.policies}
        found.append(now)
    return found


def offset(one):
    return decisions.place_of(one.id)[2]


def the_same_journal_gives_the_same_bytes(made, _):
    again = [Record(r.partition, r.offset, r.timestamp_ms, decode(encode(r.fact))) for r in made.records]
    state, found = run(again)
    assert found == made.bytes()
    assert pack(state) == pack(made.state)


def a_prefix_then_its_state_out_and_in_and_then_the_rest_equals_all_at_once(made, share):
    cut = int(len(made.records) * share)
    state, first = run(made.records[:cut])
    state, rest = run(made.records[cut:], unpack(pack(state)))
    assert b"\n".join(part for part in (first, rest) if part) == made.bytes()
    assert pack(state) == pack(made.state)


def a_fact_that_comes_again_is_the_mere_passing_of_time(made, share):
    """Whole, or cut differently: the journal with repeats decides what it decides with ticks in their place."""
    sizes = [1 + int(share * 3), 2]
    repeated, ticked = [], []
    for number, record in enumerate(made.records):
        pieces = cut_up(record.fact, sizes) if number % 3 == 0 and hasattr(record.fact, "source") else []
        for mine, others in ((repeated, pieces), (ticked, [Tick(0)] * len(pieces))):
            mine += [
                Record(0, len(mine) + n, record.timestamp_ms, fact) for n, fact in enumerate([record.fact, *others])
            ]
    (state, found), (other, expected) = run(repeated), run(ticked)
    assert found == expected
    assert pack(state) == pack(other)


def samples_packed_differently_leave_the_same_series_and_windows(made, share):
    sizes = [1, 2 + int(share * 4)]
    records = []
    for record in made.records:
        for fact in cut_up(record.fact, sizes):
            records.append(Record(0, len(records), record.timestamp_ms, fact))
    state, _ = run(records)
    assert {n: s.series for n, s in state.services.items()} == {n: s.series for n, s in made.state.services.items()}
    assert (state.samples, state.late, state.marks) == (made.state.samples, made.state.late, made.state.marks)


def replicas_stay_within_the_limits_of_the_policy(made, _):
    force = in_force(made)
    for one in (d for d in made.decisions if isinstance(d.action, Scale)):
        spec = force[offset(one)][one.policy].spec
        assert spec.minReplicas <= one.action.to_replicas <= spec.maxReplicas
        assert one.action.to_replicas != one.action.from_replicas


def replicas_never_change_faster_than_the_behavior_allows(made, _):
    """Reckoned again from the decisions on the stream, as Kubernetes defines it."""
    force = in_force(made)
    for place, one in enumerate(made.decisions):
        if not isinstance(one.action, Scale) or one.shadow or one.reason not in BY_RATIO:
            continue
        limits = force[offset(one)][one.policy].spec.limits
        before, after = one.action.from_replicas, one.action.to_replicas
        if limits.up is None or limits.down is None:
            if limits.exact:
                continue  # steps and backlogs go in one jump, and only a behavior slows them
            assert after <= max(2 * before, 4)
            continue
        rules = limits.up if after > before else limits.down
        assert rules.select != "Disabled"
        allowed = [reach(made, force, place, rule, up=after > before) for rule in rules.rules]
        generous = (rules.select == "Min") != (after > before)
        assert (
            after <= (max if generous else min)(allowed)
            if after > before
            else after >= (min if generous else max)(allowed)
        )


def reach(made, force, place, rule, *, up):
    """How far a rule lets a policy go, from what it scaled within the rule's period."""
    mine = made.decisions[place]
    start = mine.action.from_replicas
    known = force[offset(mine)]
    for other in made.decisions[:place]:
        same = (other.service, other.policy) == (mine.service, mine.policy) and isinstance(other.action, Scale)
        forgotten = any(mine.policy not in force[n] for n in range(offset(other), offset(mine)))
        if same and not other.shadow and not forgotten and other.at_ms > mine.at_ms - rule.period_ms:
            start -= other.action.to_replicas - other.action.from_replicas
    assert mine.policy in known
    if rule.type == "Pods":
        return start + rule.value if up else start - rule.value
    return math.ceil(start * (1 + rule.value / 100)) if up else int(start * (1 - rule.value / 100))


def no_step_scales_a_service_twice(made, _):
    places = [(one.service, offset(one)) for one in scales(made)]
    assert len(set(places)) == len(places)


def no_second_scaling_in_the_same_direction_while_one_is_pending(made, _):
    known = {}
    for record in made.records:
        if isinstance(record.fact, Reported):
            known.setdefault(record.fact.outcome.id, record.timestamp_ms)
    open_until = {}
    for one in scales(made):
        key = (one.service, one.action.to_replicas > one.action.from_replicas)
        assert open_until.get(key, 0) <= one.at_ms
        open_until = {k: v for k, v in open_until.items() if k[0] != one.service}
        open_until[key] = min(known.get(one.id, one.action.expires_at_ms), one.action.expires_at_ms)


def unknown_never_scales_by_ratio(made, _):
    force, read = in_force(made), moment(made)
    for one in (d for d in made.decisions if isinstance(d.action, Scale) and d.reason in BY_RATIO):
        stale_ms = round(force[offset(one)][one.policy].spec.stale_s * 1000)
        assert one.evidence["metrics"]
        assert one.evidence["sample_at_ms"] > read[offset(one)] - stale_ms
        if one.action.to_replicas < one.action.from_replicas:
            assert "failed" not in one.evidence


def when_all_falls_silent_nothing_is_lowered_rolled_back_or_resolved(made, _):
    """Time passes with no sample, first so long that every series is stale, then bit by bit."""
    before = len(made.decisions)
    made.tick(3600.0, 0.0)
    for _turn in range(12):
        made.tick(20.0, 0.0)
    for one in made.decisions[before:]:
        assert one.reason not in {Reason.ALERT_RESOLVED, Reason.ALERT_INACTIVE} or says_nothing_of_samples(made, one)
        assert not isinstance(one.action, RollBack)
        if isinstance(one.action, Scale) and one.action.to_replicas < one.action.from_replicas:
            assert one.reason in KNOWN_ANYWAY


def says_nothing_of_samples(made, one):
    """Whether an alert asks for absence alone, or for what is known anyway."""
    return all(call.startswith(("absent(", "replicas(")) for call in one.evidence["values"])


def a_paused_service_is_not_scaled(made, _):
    pauses = {}
    by_offset = defaultdict(list)
    for one in scales(made):
        by_offset[offset(one)].append(one)
    for place, record in enumerate(made.records):
        fact = record.fact
        if isinstance(fact, Command) and fact.verb == "pause" and first_time(made, place):
            pauses[fact.service] = fact.until_ms
        elif isinstance(fact, Command) and fact.verb == "resume" and first_time(made, place):
            pauses.pop(fact.service, None)
        for one in by_offset[place]:
            for name in (one.service, "*"):
                assert name not in pauses or 0 < pauses[name] <= one.at_ms


def first_time(made, place):
    """Whether a fact is no repeat."""
    source = made.records[place].fact.source
    return all(getattr(record.fact, "source", None) != source for record in made.records[:place])


def a_silenced_alert_is_told_to_nobody(made, _):
    silences, by_offset = {}, defaultdict(list)
    for one in made.decisions:
        if isinstance(one.action, Notify) and one.reason.name.startswith("ALERT_"):
            by_offset[offset(one)].append(one)
    for place, record in enumerate(made.records):
        fact = record.fact
        if isinstance(fact, Command) and first_time(made, place):
            key = (fact.service, fact.alert or "*")
            if fact.verb == "silence":
                silences[key] = fact.until_ms
            elif fact.verb == "unsilence":
                silences.pop(key, None)
        for one in by_offset[place]:
            for (service, alert), until_ms in silences.items():
                if fnmatchcase(one.service, service) and fnmatchcase(one.policy, alert):
                    assert 0 < until_ms <= one.at_ms


def a_refusal_is_written_when_it_begins_or_changes(made, _):
    """Two refusals of a policy for a service that follow each other are not the same."""
    last = {}
    for one in made.decisions:
        key = (one.service, one.policy)
        if one.reason in {Reason.POLICIES_CHANGED, Reason.TOLD} or not isinstance(policy_of(made, one), ScalePolicy):
            continue
        said = (one.reason, one.action is None, str(one.evidence.get("conditions")))
        assert one.action is not None or last.get(key) != said or forgotten_between(made, one)
        last[key] = said


def policy_of(made, one):
    return in_force(made)[offset(one)].get(one.policy)


def forgotten_between(made, one):
    """A policy that was not in force for a while begins anew."""
    return any(one.policy not in now for now in in_force(made)[1 : offset(one)])


def what_stands_against_a_wish_is_in_the_evidence(made, _):
    for one in made.decisions:
        if one.reason in GUARDS:
            assert one.action is None
            assert one.evidence[GUARDS[one.reason]]


def a_guard_only_weakens_and_says_why(made, share):
    """The same load on the same state, with a pause and without: at most the same is done, and the rest is refused."""
    raw, number = pack(made.state), int(share * 9)
    name = made.service(number)
    pause = Command(Source("probe", "probe", 0, 0, 0), Verb.PAUSE, name, "ann", "a probe", made.at_ms)
    calm, held = loaded_after(made, raw, Tick(0), number), loaded_after(made, raw, pause, number)
    done = {action_of(one) for one in calm[1] if isinstance(one.action, Scale) and not one.shadow}
    still = {action_of(one) for one in held[1] if isinstance(one.action, Scale) and not one.shadow}
    assert still <= done
    for service, policy, _to in done - still:
        paused = any(one.reason is Reason.PAUSED and one.policy == policy for one in held[1])
        assert paused or held[0].services[service].memories[policy].reason.startswith("PAUSED|")


def action_of(one):
    return one.service, one.policy, one.action.to_replicas


def loaded_after(made, raw, fact, number):
    """A fact and then a load on a copy of a state: the state after it, and what was decided."""
    copy = Timeline(made.name)
    copy.state, copy.at_ms, copy._offsets = unpack(raw), made.at_ms, dict(made._offsets)
    copy.records, copy.decisions = list(made.records), []
    copy.add(fact)
    for _ in range(3):
        samples(copy, 20.0, number, 3, [300.0], 0.0)
        copy.tick(0.5, 0.0)
    return copy.state, copy.decisions


def a_policy_on_trial_changes_nothing_for_the_others(made, _):
    """The same without it. Decisions have other numbers then, so what is reported of one is reported of its like."""
    mine, theirs, state = [one for one in made.decisions if not one.shadow], [], empty(0)
    for record in made.records:
        fact = record.fact
        if isinstance(fact, PolicySet):
            real = [one for one in fact.policies if compiled(one).spec.mode != "shadow"]
            fact = msgspec.structs.replace(fact, policies=real, fingerprint=f"{fact.fingerprint} without")
        if isinstance(fact, Reported):
            like = {one.id: other.id for one, other in zip(mine, theirs, strict=False)}
            outcome = msgspec.structs.replace(fact.outcome, id=like.get(fact.outcome.id, fact.outcome.id))
            fact = msgspec.structs.replace(fact, outcome=outcome)
        state, found = step(state, msgspec.structs.replace(record, fact=fact))
        theirs += found
    assert [what(one) for one in theirs] == [what(one) for one in mine]


def what(one):
    action = type(one.action).__name__, getattr(one.action, "to_replicas", None)
    return one.at_ms, one.service, one.policy, one.reason, action


def ids_and_generations_are_new_each_time(made, _):
    ids = [one.id for one in made.decisions]
    assert len(set(ids)) == len(ids)
    newest = {}
    for one in scales(made):
        assert one.action.generation > newest.get(one.service, 0)
        newest[one.service] = one.action.generation


LAWS = [
    the_same_journal_gives_the_same_bytes,
    a_prefix_then_its_state_out_and_in_and_then_the_rest_equals_all_at_once,
    a_fact_that_comes_again_is_the_mere_passing_of_time,
    samples_packed_differently_leave_the_same_series_and_windows,
    replicas_stay_within_the_limits_of_the_policy,
    replicas_never_change_faster_than_the_behavior_allows,
    no_step_scales_a_service_twice,
    no_second_scaling_in_the_same_direction_while_one_is_pending,
    unknown_never_scales_by_ratio,
    a_paused_service_is_not_scaled,
    a_silenced_alert_is_told_to_nobody,
    a_refusal_is_written_when_it_begins_or_changes,
    what_stands_against_a_wish_is_in_the_evidence,
    a_guard_only_weakens_and_says_why,
    a_policy_on_trial_changes_nothing_for_the_others,
    ids_and_generations_are_new_each_time,
    when_all_falls_silent_nothing_is_lowered_rolled_back_or_resolved,
]
"""Each is called with a timeline and a number between 0 and 1; the last one goes on with it."""
