"""The laws of the guards, on random timelines with deploys, young and failing instances, pauses and schedules.

Each record is decided twice from one state: with the guards, and without any. What the guards leave must lie
between nothing and what would have been done.
"""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy import files
from app.policy.decision import Reason, place_of
from app.policy.facts import Command, InstanceSeen, PolicyDocument
from app.policy.files import compiled, fingerprint
from app.policy.state import SERIES_LIMIT, TURNS, pack, unpack
from app.policy.step import step
from tasks.contract import Scale, Status
from tests.unit.policy.builders import Journal
from tests.unit.policy.test_guards import with_spec

WEAKER = {
    Reason.PAUSED, Reason.HELD_BY_DEPLOY, Reason.CRASHING, Reason.WARMING_UP, Reason.FLAPPING, Reason.COOLING_DOWN,
    Reason.SCALE_PENDING, Reason.BACKING_OFF, Reason.HELD, Reason.OUTVOTED,
}  # fmt: skip
"""Reasons for which less is done than is wanted; the stages of Kubernetes' own are the same with and without."""

SAID = {
    Reason.PAUSED: "paused", Reason.HELD_BY_DEPLOY: "deploy", Reason.CRASHING: "crashing", Reason.FLAPPING: "flapping",
    Reason.WARMING_UP: "doubt", Reason.COOLING_DOWN: "scaled_ms_ago", Reason.SCALE_PENDING: "pending",
    Reason.BACKING_OFF: "pending", Reason.OUTVOTED: "highest", Reason.HELD: "held",
}  # fmt: skip
"""What a refusal has as evidence."""

MINUTE = "[{name: m, start: '*/2 * * * *', duration: 1m, minReplicas: 3, maxReplicas: 6}]"
SPECS = st.fixed_dictionaries(
    {
        "warmup": st.sampled_from(["0s", "20s"]),
        "flapping": st.sampled_from(["{changes: 2, within: 5m}", "null"]),
        "cooldown": st.sampled_from(["{}", "{}", "{up: 10s, down: 20s}"]),
        "deployHold": st.sampled_from(["60s", "60s", "0s"]),
        "initialReadinessDelay": st.sampled_from(["0s", "10s"]),
        "schedules": st.sampled_from(["[]", MINUTE]),
        "for": st.sampled_from(["{up: 0s, down: 0s}", "{up: 0s, down: 0s}", "{up: 2s, down: 5s}"]),
    }
)
UNGUARDED = {"warmup": "0s", "flapping": None, "cooldown": {}, "deployHold": "0s", "for": {"up": "0s", "down": "0s"}}

SERVICES = ("web", "api")
LOADS = st.lists(st.sampled_from([0, 10, 30, 58, 66, 90, 200]), min_size=1, max_size=7)
OLD, YOUNG, CRASHED = ("Running", True, 60, 0, "1"), ("Running", True, 5, 0, "2"), ("Running", False, 60, 3, "2")
INSTANCES = st.lists(
    st.tuples(
        st.sampled_from(["Running", "Running", "Running", "Failed", "Pending"]),
        st.sampled_from([True, True, False, None]), st.sampled_from([None, 0, 5, 15, 60]), st.integers(0, 2),
        st.sampled_from(["", "1", "2"]),
    ),
    min_size=3, max_size=7,
)  # fmt: skip
MOVES = st.one_of(
    st.tuples(st.just("samples"), LOADS, st.booleans()),
    st.tuples(st.just("all"), st.sampled_from([20, 45, 100, 200]), st.booleans()),
    st.tuples(st.just("all"), st.sampled_from([20, 45, 100, 200]), st.booleans()),
    st.tuples(st.just("instances"), st.integers(1, 8), st.none() | INSTANCES),
    st.tuples(st.just("fresh"), st.sampled_from([CRASHED, YOUNG]), st.sampled_from([20, 62, 200])),
    st.tuples(st.just("fresh"), st.sampled_from([CRASHED, YOUNG]), st.sampled_from([20, 62, 200])),
    st.tuples(st.just("swing"), st.integers(2, 5)),
    st.tuples(st.just("outcome"), st.integers(0, 3), st.sampled_from(list(Status))),
    st.tuples(st.just("tick"), st.floats(0.1, 30), st.floats(0, 5)),
    st.tuples(
        st.just("deploy"), st.sampled_from(["started", "started", "finished", "failed", "pod_started", "pod_stopped"]),
        st.sampled_from(["1", "2"]), st.sampled_from(["", "web-1", "web-2", "web-6"]),
    ),
    st.tuples(st.just("command"), st.sampled_from(["resume", "both", "up", "down"]), st.sampled_from([0, 10])),
)  # fmt: skip
STEPS = st.tuples(MOVES, st.sampled_from(["web", "web", "web", "api"]), st.sampled_from([0.0, 1.0, 3.0, 8.0]))
TIMELINES = st.tuples(SPECS, SPECS, st.booleans(), st.lists(STEPS, min_size=12, max_size=30))


def text_of(name, spec, service):
    """A policy of random guards, on a metric that Kubernetes' own rules for cpu do not doubt."""
    text = with_spec(name, **{key: value for key, value in spec.items() if key != "for"})
    text = text.replace("for: {up: 0s, down: 0s}", f"for: {spec['for']}").replace("name: cpu", "name: load")
    return text.replace('service: "web"', f'service: "{service}"')


def timeline(first, second, deploying, moves):
    """A journal of two policies; each record with the state before it."""
    made = Journal()
    states, add = [], made.add

    def keep(fact, after_s=0.0):
        states.append(pack(made.state))
        return add(fact, after_s)

    made.add = keep
    made.policies(text_of("one", first, "*"), text_of("two", second, "web"))
    for service in SERVICES:
        made.instances(4, service=service)
    if deploying:
        made.deploy("started", "2")
    for (kind, *args), service, after_s in moves:
        move(made, kind, args, service, after_s)
    return made, states


def move(made, kind, args, service, after_s):
    match kind:
        case "deploy":
            made.deploy(args[0], args[1], service, after_s, pod=args[2].replace("web", service))
        case "command":
            until_ms = args[1] and made.at_ms + 1000 * args[1]
            verb, direction = ("resume", "both") if args[0] == "resume" else ("pause", args[0])
            made.command(verb, service=service, direction=direction, until_ms=until_ms)
        case "tick":
            made.tick(after_s=args[0], behind_s=args[1])
        case "outcome":
            pending = [one.action for one in made.decisions if isinstance(one.action, Scale)]
            if pending:
                made.outcome(pending[-1 - args[0] % len(pending)], args[1], after_s=after_s)
        case _:
            load(made, kind, args, service, after_s)


def load(made, kind, args, service, after_s):
    """Samples, and which instances they are of."""
    replicas = made.state.services[service].observed.replicas
    match kind:
        case "samples":
            finish(made, made.samples(*args[0], service=service, name="load", after_s=after_s), args[1])
        case "all":
            known = made.state.services[service].observed.instances or ()
            values = [args[0]] * max(replicas, len(known))
            finish(made, made.samples(*values, service=service, name="load", after_s=after_s), args[1])
        case "swing":
            for number in range(args[0]):
                load(made, "all", [20 if number % 2 else 200, True], service, 16.0)
        case "fresh":
            if args[0] is CRASHED:
                made.deploy("started", "2", service, after_s)
            seen = [OLD] * max(1, replicas - 1) + [args[0]] * 2
            made.instances(replicas, service=service, after_s=after_s, each=each(made, service, seen))
            values = [args[1]] * (len(seen) - 2) + [240, 240]
            made.samples(*values, service=service, name="load")
        case "instances":
            made.instances(args[0], service=service, after_s=after_s, each=each(made, service, args[1]))


def finish(made, decided, done):
    """The outcome of what was decided, half of the time."""
    for one in decided:
        if done and isinstance(one.action, Scale):
            made.outcome(one.action)


def each(made, service, instances):
    if instances is None:
        return None
    return [
        InstanceSeen(
            f"{service}-{number}", phase, None if age_s is None else made.at_ms - 1000 * age_s, ready,
            restarts=restarts, version=version,
        )
        for number, (phase, ready, age_s, restarts, version) in enumerate(instances)
    ]  # fmt: skip


def unguarded(state):
    """The same state, but its policies have no guard, nobody has paused anything and nothing is pending."""
    free = []
    for one in state.policies:
        plain = {**one.document, "spec": one.document["spec"] | UNGUARDED}
        (document,) = files.load({"x": msgspec.json.encode(plain).decode()})
        free.append(PolicyDocument(one.kind, one.name, document.fingerprint, plain))
    state.policies, state.fingerprint, state.pauses = free, fingerprint(free), {}
    for service in state.services.values():
        service.pending = None
    return state


def scaled(decided):
    """Service → its scaling; a second one in a step is a mistake by itself."""
    found = {}
    for one in decided:
        if isinstance(one.action, Scale):
            assert one.service not in found, "at most one scaling of a service in a step"
            found[one.service] = one
    return found


@given(TIMELINES)
@settings(max_examples=20, deadline=None)
def test_a_guard_only_weakens_and_always_says_why(steps):
    made, states = timeline(*steps)
    for record, before in zip(made.records[1:], states, strict=True):
        state, decided = step(unpack(before), record)
        kept = scaled(decided)
        if not unpack(before).policies:
            continue
        _, undisturbed = step(unguarded(unpack(before)), record)
        free = scaled(undisturbed)
        for service, one in kept.items():
            assert service in free, f"{one.reason} is no wish without guards"
            current, to, more = one.action.from_replicas, one.action.to_replicas, free[service].action.to_replicas
            assert current < to <= more or more <= to < current
        for service in free.keys() - kept.keys():
            said = {memory.reason.partition("|")[0] for memory in state.services[service].memories.values()}
            assert said & WEAKER, f"nothing says why {service} is not scaled: {said}"
    for one in made.decisions:
        assert one.action is not None or one.reason not in SAID or SAID[one.reason] in one.evidence


@given(TIMELINES)
@settings(max_examples=15, deadline=None)
def test_a_paused_direction_has_no_scaling(steps):
    made, _ = timeline(*steps)
    pauses, at = {}, []
    for record in made.records:
        fact = record.fact
        if isinstance(fact, Command) and fact.verb == "pause":
            pauses[fact.service, fact.direction.value] = fact.until_ms
        elif isinstance(fact, Command):
            pauses = {key: until for key, until in pauses.items() if key[0] != fact.service}
        at.append((record.timestamp_ms, dict(pauses)))
    for one in made.decisions:
        if not isinstance(one.action, Scale):
            continue
        now_ms, paused = at[place_of(one.id)[2]]
        way = "up" if one.action.to_replicas > one.action.from_replicas else "down"
        for direction in ("both", way):
            until_ms = paused.get((one.service, direction))
            assert until_ms is None or 0 < until_ms <= now_ms


@given(TIMELINES)
@settings(max_examples=15, deadline=None)
def test_no_second_scaling_in_a_direction_while_one_is_pending_and_none_beyond_the_limits_of_the_moment(steps):
    made, _ = timeline(*steps)
    outcomes = {r.fact.outcome.id: r.timestamp_ms for r in reversed(made.records) if hasattr(r.fact, "outcome")}
    specs = {one.name: compiled(one).spec for one in made.state.policies}
    pending = {}
    for one in made.decisions:
        if not isinstance(one.action, Scale):
            continue
        up = one.action.to_replicas > one.action.from_replicas
        last_up, until_ms = pending.get(one.service, (up, 0))
        assert last_up != up or until_ms <= one.at_ms
        pending[one.service] = (up, min(outcomes.get(one.id, one.action.expires_at_ms), one.action.expires_at_ms))
        bounds = specs[one.policy].calendar.at(one.at_ms)
        assert bounds.limits.least <= one.action.to_replicas <= bounds.limits.most
        assert ("schedule" in one.evidence) == bool(bounds.names)


@given(TIMELINES, st.floats(0, 1))
@settings(max_examples=15, deadline=None)
def test_what_guards_remember_is_in_the_state_and_bounded(steps, share):
    made, states = timeline(*steps)
    cut = int(share * (len(states) - 1))
    state = unpack(states[cut])
    decided = []
    for record in made.records[cut + 1 :]:
        state, more = step(state, record)
        decided += more
    assert decided == made.decisions[len(made.decisions) - len(decided) :]
    assert pack(state) == pack(made.state)
    for service in state.services.values():
        assert len(service.turns) <= TURNS
        assert len(service.series) <= SERIES_LIMIT
