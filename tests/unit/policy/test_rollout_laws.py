"""The laws of rolling back, on random journals: deploys in any order, samples or none, pauses, policies, outcomes."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy import decision as decisions
from app.policy.decision import Reason
from app.policy.facts import Command, Deploy, Record, decode, encode
from app.policy.state import pack, unpack
from tasks.contract import Notify, RollBack, Scale, Status
from tests.unit.policy.builders import Journal, policy
from tests.unit.policy.rollouts import rollout
from tests.unit.policy.test_laws import run

EITHER = (
    """{sli: errors, expr: 'avg("errors", "1m")', pass: [{criteria: ["<=+20%"]}, {criteria: ["<5"]}], key_sli: true}"""
)
SECOND = """{sli: latency, expr: 'last("latency") / last("errors")', pass: ["<100"], warning: ["<200"], weight: 3}"""
QUICK = {
    "window: 5m": "window: 40s",
    "settle: 30s": "settle: 5s",
    "every: 15s": "every: 5s",
    "deadline: 15m": "deadline: 60s",
}


def quick(*objectives, **values):
    text = rollout(*(objectives or (EITHER,)), **{"environment": "*"} | values)
    for old, new in QUICK.items():
        text = text.replace(old, new)
    return text


SETS = (
    (quick(failed="true", stalled="true"),),
    (quick(EITHER, SECOND), quick(name="other", failFast=1, environment="a")),
    (quick(mode="shadow"), policy(service="*", target=60)),
    (quick(failFast=1), policy(service="*", target=60)),
    (),
)

PHASES = ["started", "finished", "finished", "failed", "rolled_back", "removed", "pod_started"]
MOVES = st.one_of(
    st.tuples(
        st.just("deploy"), st.sampled_from(PHASES), st.sampled_from(["", "1", "2", "3", "4"]),
        st.sampled_from(["a", "a", "b"]), st.sampled_from([0, 0, 0, -30]),
    ),
    st.tuples(st.just("errors"), st.sampled_from([0, 1, 10, 50]), st.integers(1, 8)),
    st.tuples(st.just("errors"), st.sampled_from([0, 1, 10, 50]), st.integers(1, 8)),
    st.tuples(st.just("latency"), st.floats(0, 1000)),
    st.tuples(st.just("cpu"), st.floats(0, 200)),
    st.tuples(st.just("tick"), st.sampled_from([1, 10, 70, 400])),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("policies"), st.sampled_from(range(len(SETS)))),
    st.tuples(st.just("outcome"), st.integers(0, 2), st.sampled_from(list(Status))),
)  # fmt: skip
BAD_DEPLOY = [
    ("deploy", "started", "2", "a", 0),
    ("deploy", "finished", "2", "a", 0),
    ("errors", 50, 8),
    ("errors", 50, 8),
]
BEGINNING = [("deploy", "finished", "1", "a", 0), ("errors", 10, 8), *BAD_DEPLOY]
WALKS = st.tuples(
    st.integers(0, len(SETS) - 1),
    st.lists(st.one_of(MOVES.map(lambda one: [one]), st.just(BAD_DEPLOY)), max_size=25).map(
        lambda parts: [*BEGINNING, *(move for part in parts for move in part)]
    ),
)


def walk(number, moves, *more):
    """A journal from moves; outcomes answer the rollbacks and scalings that were decided."""
    made = Journal()
    made.policies(*SETS[number], *more)
    made.instances(3)
    for kind, *args in moves:
        if kind == "deploy":
            phase, version, environment, at_s = args
            made.deploy(phase, version, environment=environment, at_s=at_s, pod="p" if phase == "pod_started" else "")
        elif kind == "errors":
            for _ in range(args[1]):
                made.samples(args[0], name="errors", after_s=5)
                made.tick(after_s=0, behind_s=0)
        elif kind in {"latency", "cpu"}:
            made.samples(args[0], args[0], args[0], name=kind, after_s=1)
        elif kind == "tick":
            made.tick(after_s=args[0], behind_s=0)
        elif kind == "pause":
            made.command("pause" if args[0] else "resume")
        elif kind == "policies":
            made.policies(*SETS[args[0]], *more)
        else:
            pending = [
                one.action for one in made.decisions if isinstance(one.action, RollBack | Scale) and not one.shadow
            ]
            if pending:
                action = pending[-1 - args[0] % len(pending)]
                answer = made.outcome if isinstance(action, Scale) else made.answer
                answer(action, args[1])
    return made


def rollbacks(made):
    return [one for one in made.decisions if isinstance(one.action, RollBack) and not one.shadow]


@given(WALKS)
@settings(max_examples=60, deadline=None)
def test_nothing_is_rolled_back_to_a_version_that_is_unknown_or_bad(steps):
    made = walk(*steps)
    ran, bad = {"a": set(), "b": set()}, {"a": set(), "b": set()}
    facts = {record.offset: record.fact for record in made.records}
    offset = 0
    for one in made.decisions:
        upto = decisions.place_of(one.id)[2]
        for number in range(offset, upto + 1):
            fact = facts[number]
            if isinstance(fact, Deploy) and fact.phase.value in {"finished", "rolled_back"}:
                ran[fact.environment].add(fact.version)
        offset = upto + 1
        if one.shadow:
            continue
        deploy = one.evidence.get("deploy") or {}
        if isinstance(one.action, RollBack):
            action = one.action
            assert action.to_version
            assert action.to_version != action.from_version
            assert action.to_version in ran[action.environment]
            assert action.to_version not in bad[action.environment]
            bad[action.environment].add(action.from_version)
        elif one.reason is Reason.ROLLOUT_FAILED:
            bad[deploy["environment"]].add(deploy["version"])
        elif one.reason is Reason.ROLLOUT_PASSED:
            bad[deploy["environment"]].discard(deploy["version"])


@given(WALKS)
@settings(max_examples=50, deadline=None)
def test_unknown_never_rolls_back(steps):
    for one in rollbacks(walk(*steps)):
        if one.reason is Reason.ROLLOUT_FAILED:
            for each in one.evidence["objectives"]:
                assert each["result"] != "unknown"
                assert each["value"] is not None or each["result"] == "info"
        else:
            assert one.reason in {Reason.ROLLOUT_STALLED, Reason.DEPLOY_FAILED}


@given(WALKS)
@settings(max_examples=50, deadline=None)
def test_a_deploy_is_rolled_back_once_at_most_and_watched_before(steps):
    made = walk(*steps)
    left = {}
    for one in made.decisions:
        deploy = one.evidence.get("deploy") or {}
        key = (deploy.get("environment"), deploy.get("version"))
        if one.reason is Reason.ROLLOUT_WATCHED:
            left[key] = 1
        elif isinstance(one.action, RollBack) and not one.shadow:
            assert key == (one.action.environment, one.action.from_version)
            left[key] -= 1
            assert left[key] >= 0


@given(WALKS)
@settings(max_examples=50, deadline=None)
def test_while_a_rollback_is_pending_there_is_no_other_and_no_scaling_and_generations_grow(steps):
    made = walk(*steps)
    answered = {r.fact.outcome.id: r.timestamp_ms for r in reversed(made.records) if hasattr(r.fact, "outcome")}
    until_ms, generation = 0, 0
    for one in made.decisions:
        if isinstance(one.action, RollBack | Scale) and not one.shadow:
            assert one.at_ms >= until_ms
            assert one.action.generation > generation
            generation = one.action.generation
            if isinstance(one.action, RollBack):
                until_ms = min(answered.get(one.id, one.action.expires_at_ms), one.action.expires_at_ms)


@given(WALKS)
@settings(max_examples=50, deadline=None)
def test_a_paused_service_is_not_rolled_back(steps):
    made = walk(*steps)
    paused, paused_at = False, []
    for record in made.records:
        if isinstance(record.fact, Command):
            paused = record.fact.verb == "pause"
        paused_at.append(paused)
    for one in rollbacks(made):
        assert not paused_at[decisions.place_of(one.id)[2]]


@given(WALKS)
@settings(max_examples=50, deadline=None)
def test_every_deploy_that_is_watched_ends_once_with_its_reason(steps):
    made = walk(*steps)
    open_ = {}
    for one in made.decisions:
        deploy = one.evidence.get("deploy") or {}
        key = (one.policy or one.evidence.get("watched_by"), deploy.get("environment"))
        if one.reason is Reason.ROLLOUT_WATCHED:
            assert key not in open_
            open_[key] = deploy["version"]
        elif one.reason is Reason.ROLLOUT_STALLED:
            assert open_[key] == deploy["version"]
            if isinstance(one.action, RollBack) and not one.shadow:
                del open_[key]
        elif one.reason.value.startswith("ROLLOUT_") or one.reason is Reason.DEPLOY_FAILED:
            assert open_.pop(key) == deploy["version"]
    found = made.state.services["web"].watches
    watches = {tuple(key.split("\x1f")): one.version for key, one in found.items() if one.announced}
    assert watches == open_


@given(WALKS, st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_a_prefix_its_state_out_and_in_again_and_then_the_rest_equals_all_at_once(steps, share):
    made = walk(*steps)
    records = [Record(r.partition, r.offset, r.timestamp_ms, decode(encode(r.fact))) for r in made.records]
    cut = int(len(records) * share)
    state, first = run(records[:cut])
    state, rest = run(records[cut:], unpack(pack(state)))
    assert b"\n".join(part for part in (first, rest) if part) == made.bytes()
    assert pack(state) == pack(made.state)


@given(WALKS)
@settings(max_examples=25, deadline=None)
def test_a_policy_on_trial_changes_nothing_of_what_is_done(steps):
    def done(made):
        return [
            msgspec.structs.replace(one.action, id="")
            for one in made.decisions
            if one.action is not None and not isinstance(one.action, Notify) and not one.shadow
        ]

    number, moves = steps
    moves = [one for one in moves if one[0] != "outcome"]  # those are by what was decided
    trial = quick(name="trial", mode="shadow", failFast=1)
    assert done(walk(number, moves)) == done(walk(number, moves, trial))


def test_the_walks_reach_what_the_laws_are_about():
    seen = []
    for number in range(len(SETS)):
        again = [("outcome", 0, Status.DONE), ("deploy", "finished", "1", "a", 0), ("tick", 70), *BAD_DEPLOY]
        seen += walk(number, [*BEGINNING, ("tick", 400), ("deploy", "started", "3", "a", 0), ("tick", 400)]).decisions
        seen += walk(number, [*BEGINNING, *again]).decisions
    assert sum(isinstance(one.action, RollBack) for one in seen) > 5
    reached = {one.reason.value for one in seen}
    assert reached >= {"ROLLOUT_FAILED", "ROLLOUT_STALLED", "ROLLOUT_UNKNOWN", "ROLLBACK_UNANSWERED", "ROLLBACK_DONE"}
