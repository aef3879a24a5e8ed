"""The laws of the engine on random journals, for what a Scale measures beyond Kubernetes."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from app.history.explain import explain
from app.policy import decision as decisions
from app.policy.decision import decode, encode
from app.policy.state import empty, pack, unpack
from app.policy.step import step
from tasks.contract import Scale, Status
from tests.unit.policy.builders import Journal
from tests.unit.policy.test_kinds_of_metric import computed, external, scale

KINDS = {
    "backlog": "{type: Backlog, activation: 5, backlog: {metric: {name: jobs}, deadline: 30s, perReplica: 3, "
    "partitions: 12, inflow: {name: in, over: 18s, aggregate: rate}, perReplicaMetric: {name: cpu, over: 9s}}}",
    "steps": "{type: Steps, over: 10s, steps: {metric: {name: cpu}, ranges: [{from: 80, percent: 40, least: 2}, "
    "{to: 30, change: -1}]}}",
    "expression": computed('sum("jobs", "20s") / (1.0 + last("in"))', activation=2),
    "quantile": external(name="jobs", over="20s", aggregate="quantile", quantile=0.9),
    "rate": external(name="in", over="18s", aggregate="rate"),
}
NAMES = ("cpu", "jobs", "in")
MOVES = st.one_of(
    *[st.tuples(st.just("samples"), st.sampled_from(NAMES), st.lists(st.floats(0, 200), min_size=1, max_size=6))] * 3,
    st.tuples(st.just("instances"), st.integers(1, 13)),
    st.tuples(st.just("outcome"), st.sampled_from([Status.DONE, Status.FAILED])),
    st.tuples(st.just("tick"), st.floats(0.1, 40), st.floats(0, 10)),
)
KIND = st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3, unique=True)
WALKS = st.tuples(KIND, st.lists(st.tuples(MOVES, st.floats(0, 6)), min_size=15, max_size=40))


def walk(kinds, moves):
    zero = not {"steps"} & set(kinds) and {"backlog", "expression"} & set(kinds)
    metrics = [KINDS[one] if zero else re.sub(r",? ?activation: \d", "", KINDS[one]) for one in kinds]
    text = scale(*metrics, least=0 if zero else 1, most=13, cooldown="{up: 5s, down: 10s}")
    made = Journal()
    made.policies(text.replace("stale: 1m", "stale: 30s"))
    made.instances(6)
    for (kind, *args), after_s in moves:
        if kind == "samples":
            values = [value * (10 if args[0] == "jobs" else 1) for value in args[1]]
            made.samples(*values, name=args[0], after_s=after_s)
        elif kind == "instances":
            made.instances(args[0], after_s=after_s)
        elif kind == "tick":
            made.tick(after_s=args[0], behind_s=args[1])
        answered = args[0] if kind == "outcome" else Status.DONE if kind == "samples" and len(args[1]) % 2 else None
        for one in [one.action for one in made.decisions if isinstance(one.action, Scale)][-1:]:
            if answered is not None:
                made.outcome(one, answered, after_s=after_s)
    return made


def run(records, state=None):
    state, decided = state or empty(0), []
    for record in records:
        state, more = step(state, record)
        decided += more
    return state, b"\n".join(map(decisions.encode, decided))


@given(WALKS, st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_a_prefix_then_its_state_out_and_in_again_and_then_the_rest_equals_all_at_once(walked, share):
    made = walk(*walked)
    cut = round(share * len(made.records))
    state, first = run(made.records[:cut])
    state, second = run(made.records[cut:], unpack(pack(state)))
    assert b"\n".join(filter(None, (first, second))) == made.bytes()
    assert pack(state) == pack(made.state)


@given(WALKS)
@settings(max_examples=60, deadline=None)
def test_no_wish_for_less_rests_on_what_is_unknown_and_each_is_explained(walked):
    made = walk(*walked)
    for one in made.decisions:
        if isinstance(one.action, Scale):
            assert 0 <= one.action.to_replicas <= 13
            if one.action.to_replicas < one.action.from_replicas and "metrics" in one.evidence:
                assert not one.evidence.get("failed")
                assert not any(metric.get("unknown") for metric in one.evidence["metrics"])
        found = explain(decode(encode(one)), made.state.policies)
        assert len(found.metrics) == len(one.evidence.get("metrics", ()))
        assert found.differently or one.reason == "NO_DATA"


@given(WALKS)
@settings(max_examples=40, deadline=None)
def test_a_step_is_taken_only_on_samples_from_after_the_last_scaling(walked):
    made = walk(["steps"], walked[1])
    last_ms = 0
    for one in made.decisions:
        if isinstance(one.action, Scale) and one.evidence.get("metrics"):
            assert one.evidence["sample_at_ms"] > last_ms
        if isinstance(one.action, Scale):
            last_ms = one.at_ms


@given(WALKS)
@settings(max_examples=40, deadline=None)
def test_with_a_backlog_alone_every_scaling_shares_the_partitions_evenly(walked):
    made = walk(["backlog"], walked[1])
    for one in made.decisions:
        if isinstance(one.action, Scale) and one.evidence.get("metrics") and one.reason == "ABOVE_TARGET":
            assert 12 % one.action.to_replicas == 0


@given(WALKS)
@settings(max_examples=30, deadline=None)
def test_values_that_are_kept_are_bounded_and_only_where_a_quantile_is_asked(walked):
    made = walk(*walked)
    for service in made.state.services.values():
        for series in service.series.values():
            if series.window is not None:
                assert (series.window.kept is not None) == (series.name == "jobs" and "quantile" in walked[0])
                assert all(len(one) <= 64 for one in (series.window.kept or {}).values())
