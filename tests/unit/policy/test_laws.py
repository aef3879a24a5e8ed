"""The laws of the engine, on random journals: each would fail if `step` looked anywhere but at its arguments."""

import os
import subprocess
import sys

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy import decision as decisions
from app.policy.facts import Command, Deploy, Phase, Record, Samples, decode, encode
from app.policy.state import empty, pack, unpack
from app.policy.step import step
from tasks.contract import Scale, Status, UpdateLoadBalancer
from tests.unit.policy.builders import Journal, policy
from tests.unit.policy.test_route import route

ALERT = """
apiVersion: headrace/v1
kind: Alert
metadata: {name: hot}
spec:
  service: "*"
  expr: 'avg("cpu", "30s") > 80.0 && replicas() > 1.0'
  for: 3s
  keep_firing_for: 5s
  every: 0s
  stale: 20s
  then: {notify: {receiver: team, repeat_interval: 30s}}
"""

SERVICES = ("web", "api", "db")

MOVES = st.one_of(
    st.tuples(st.just("samples"), st.sampled_from(SERVICES), st.lists(st.floats(0, 300), min_size=1, max_size=5)),
    st.tuples(st.just("instances"), st.sampled_from(SERVICES), st.integers(0, 12)),
    st.tuples(st.just("outcome"), st.integers(0, 3), st.sampled_from(list(Status))),
    st.tuples(st.just("tick"), st.floats(0.1, 30), st.floats(0, 20)),
    st.tuples(
        st.just("deploy"),
        st.sampled_from(SERVICES),
        st.sampled_from([one.value for one in Phase]),
        st.sampled_from(["", "1", "2", "3"]),
        st.sampled_from(["", "a", "b", "c"]),
        st.integers(-20, 0),
        st.integers(0, 5),
    ),
    st.tuples(st.just("change"), st.sampled_from([*SERVICES, "*"]), st.integers(0, 5)),
    st.tuples(st.just("command"), st.sampled_from(["pause", "resume"]), st.sampled_from([*SERVICES, "*"])),
)

POLICY = {
    "service": "*",
    "least": st.integers(1, 3),
    "most": st.integers(3, 12),
    "up_for": st.sampled_from(["0s", "3s"]),
    "down_for": st.sampled_from(["0s", "5s"]),
    "down_window": st.sampled_from([0, 10, 60]),
    "stale": st.sampled_from(["5s", "5m"]),
    "every": st.sampled_from(["0s", "1s"]),
    "notify": st.sampled_from(["", "team"]),
}
POLICIES = st.fixed_dictionaries(
    {key: value if hasattr(value, "map") else st.just(value) for key, value in POLICY.items()}
)
WALKS = st.tuples(POLICIES, st.lists(st.tuples(MOVES, st.floats(0, 5)), max_size=40))


def walk(policies, moves):
    """A journal from moves; outcomes answer the scalings that were decided."""
    made = Journal()
    made.policies(policy("all", **policies), route(), ALERT)
    for (kind, *args), after_s in moves:
        if kind == "samples":
            made.samples(*args[1], service=args[0], after_s=after_s)
        elif kind == "instances":
            made.instances(args[1], service=args[0], after_s=after_s)
        elif kind == "tick":
            made.tick(after_s=args[0], behind_s=args[1])
        elif kind == "deploy":
            service, phase, version, pod, at_s, number = args
            address = f"10.0.0.{ord(pod)}:80" if pod and number % 2 else ""
            made.deploy(
                phase, version, service, after_s, at_s, f"{service}-{number}", pod=pod, address=address, environment="e"
            )
        elif kind == "change":
            made.change("x", service=args[0], event_id=f"change-{args[1]}")
        elif kind == "command":
            made.command(args[0], service=args[1])
        else:
            pending = [one.action for one in made.decisions if isinstance(one.action, Scale)]
            if pending:
                made.outcome(pending[-1 - args[0] % len(pending)], args[1], after_s=after_s)
    return made


def run(records, state=None):
    state, decided = state or empty(0), []
    for record in records:
        state, more = step(state, record)
        decided += more
    return state, b"\n".join(map(decisions.encode, decided))


@given(WALKS)
@settings(max_examples=25, deadline=None)
def test_the_same_journal_gives_the_same_bytes(steps):
    made = walk(*steps)
    again = [Record(r.partition, r.offset, r.timestamp_ms, decode(encode(r.fact))) for r in made.records]
    state, found = run(again)
    assert found == made.bytes()
    assert pack(state) == pack(made.state)


@given(WALKS, st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_a_prefix_then_its_state_out_and_in_again_and_then_the_rest_equals_all_at_once(steps, share):
    made = walk(*steps)
    cut = int(len(made.records) * share)
    state, first = run(made.records[:cut])
    state, rest = run(made.records[cut:], unpack(pack(state)))
    assert b"\n".join(part for part in (first, rest) if part) == made.bytes()
    assert pack(state) == pack(made.state)


@given(WALKS, st.floats(0, 1), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_facts_that_come_again_change_nothing(steps, share, count):
    made = walk(*steps)
    cut = int(len(made.records) * share)
    before = len(made.decisions)
    for record in made.records[max(0, cut - count) : cut]:
        if hasattr(record.fact, "source"):
            made.add(record.fact)
    same = [one for one in made.decisions[before:] if one.action is not None]
    # time stands still, so a repeat can only end what time ends: nothing does here
    assert same == []


@given(WALKS, st.lists(st.integers(1, 3), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_samples_cut_into_other_packs_leave_the_same_series(steps, sizes):
    made = walk(*steps)
    records, offset = [], 0
    for record in made.records:
        for fact in cut_up(record.fact, sizes):
            records.append(Record(0, offset, record.timestamp_ms, fact))
            offset += 1
    state, _ = run(records)
    assert {n: s.series for n, s in state.services.items()} == {n: s.series for n, s in made.state.services.items()}
    assert (state.samples, state.late, state.marks) == (made.state.samples, made.state.late, made.state.marks)


def cut_up(fact, sizes):
    """A pack as several smaller ones, each with a repeat of the one before it."""
    if not isinstance(fact, Samples):
        return [fact]
    parts, start, i = [], 0, 0
    while start < len(fact.index):
        end = start + sizes[i % len(sizes)]
        back = max(0, start - 1)
        columns = {name: getattr(fact, name)[back:end] for name in ("index", "at_ms", "value", "offset", "item")}
        parts.append(msgspec.structs.replace(fact, **columns))
        start, i = end, i + 1
    return parts


@given(WALKS)
@settings(max_examples=25, deadline=None)
def test_replicas_stay_within_the_limits_and_ids_and_generations_are_new_each_time(steps):
    policies, _ = steps
    made = walk(*steps)
    ids = [one.id for one in made.decisions]
    assert len(set(ids)) == len(ids)
    generations = {}
    for one in made.decisions:
        if not isinstance(one.action, Scale):
            continue
        assert policies["least"] <= one.action.to_replicas <= policies["most"]
        assert one.action.to_replicas != one.action.from_replicas
        assert one.action.generation > generations.get(one.service, 0)
        generations[one.service] = one.action.generation


@given(WALKS)
@settings(max_examples=25, deadline=None)
def test_unknown_never_scales(steps):
    policies, _ = steps
    made = walk(*steps)
    stale_ms = 5_000 if policies["stale"] == "5s" else 300_000
    read_until = read_until_at(made.records)
    for one in made.decisions:
        if one.reason in {"ABOVE_TARGET", "BELOW_TARGET"}:
            assert one.evidence["metrics"]
            assert one.evidence["sample_at_ms"] > read_until[decisions.place_of(one.id)[2]] - stale_ms


def read_until_at(records):
    """Up to when the intake had read, after each record."""
    found, newest = [], 0
    for record in records:
        newest = max(newest, getattr(record.fact, "read_until_ms", 0))
        found.append(newest)
    return found


@given(WALKS)
@settings(max_examples=25, deadline=None)
def test_a_paused_service_has_no_scaling(steps):
    made = walk(*steps)
    paused_at, names = [], set()
    for record in made.records:
        if isinstance(record.fact, Command):
            names = names | {record.fact.service} if record.fact.verb == "pause" else names - {record.fact.service}
        paused_at.append(names)
    for one in made.decisions:
        if isinstance(one.action, Scale):
            assert not paused_at[decisions.place_of(one.id)[2]] & {one.service, "*"}


@given(WALKS)
@settings(max_examples=25, deadline=None)
def test_no_second_scaling_in_the_same_direction_while_one_is_pending(steps):
    made = walk(*steps)
    open_until = {}
    outcomes = {r.fact.outcome.id: r.timestamp_ms for r in reversed(made.records) if hasattr(r.fact, "outcome")}
    for one in made.decisions:
        if not isinstance(one.action, Scale):
            continue
        key = (one.service, one.action.to_replicas > one.action.from_replicas)
        assert open_until.get(key, 0) <= one.at_ms
        open_until = {k: v for k, v in open_until.items() if k[0] != one.service}
        answered = outcomes.get(one.id, one.action.expires_at_ms)
        open_until[key] = min(answered, one.action.expires_at_ms)


def test_the_bytes_are_the_same_in_a_process_with_another_hash_seed():
    script = (
        "import sys; from tests.unit.policy.test_laws import walk, pack\n"
        "moves = [(('samples', s, [v, v + 9.5]), 1.5) for v in range(20, 200, 30) for s in ('web', 'api', 'db')]\n"
        "moves += [(('tick', 7.0, 0.5), 0)] * 3\n"
        "made = walk({'service': '*', 'down_window': 10, 'notify': 'team', 'stale': '5s'}, moves)\n"
        "sys.stdout.write(made.bytes().hex() + pack(made.state).hex())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(found) == 1
    assert len(found.pop()) > 1000


@given(WALKS)
@settings(max_examples=50, deadline=None)
def test_an_event_is_published_once_however_often_it_comes(steps):
    made = walk(*steps)
    told = {(r.fact.service, r.fact.event_id) for r in made.records if isinstance(r.fact, Deploy)}
    published = [one for one in made.decisions if one.event and one.event.what == ""]
    assert len(published) == len(told)


@given(WALKS)
@settings(max_examples=50, deadline=None)
def test_a_balancer_is_never_emptied_gets_known_addresses_alone_and_newer_wishes_later(steps):
    made = walk(*steps)
    known, last = set(), {}
    for record in made.records:
        if isinstance(record.fact, Deploy) and record.fact.address:
            known.add((record.fact.service, record.fact.address))
    for one in made.decisions:
        if isinstance(one.action, UpdateLoadBalancer):
            assert one.action.servers
            assert {(one.service, server) for server in one.action.servers} <= known
            assert one.action.generation > last.get(one.service, 0)
            last[one.service] = one.action.generation


@given(WALKS)
@settings(max_examples=50, deadline=None)
def test_what_is_late_is_sent_nowhere(steps):
    made = walk(*steps)
    late = {one.event.id for one in made.decisions if one.event and one.event.late}
    assert not [one for one in made.decisions if one.action and one.evidence.get("event_decision") in late]


@given(WALKS)
@settings(max_examples=50, deadline=None)
def test_an_alert_is_over_only_after_it_was_something(steps):
    made = walk(*steps)
    said = {}
    for one in made.decisions:
        reason = one.reason.value
        if one.policy != "hot" or not reason.startswith("ALERT_"):
            continue
        assert one.action is None
        if reason == "ALERT_RESOLVED":
            assert said.get(one.service) in {"ALERT_PENDING", "ALERT_FIRING", "ALERT_UNKNOWN"}
        elif reason == "ALERT_INACTIVE":
            assert said[one.service] == "ALERT_UNKNOWN"
        said[one.service] = reason
