"""Random timelines over every kind of fact and every set of policies in examples/policies.

`timelines()` draws one; `MOVES` is the table of what can happen, one line a kind: whoever adds a kind of fact
adds a line, whoever adds an example has it here already. Moves name services, metrics and instances by
numbers, so that one strategy fits every set.
"""

from functools import lru_cache
from pathlib import Path

from hypothesis import strategies as st
from ruamel.yaml import YAML

from app.policy.facts import (
    Instances,
    InstanceSeen,
    Phase,
    PolicySet,
    Reported,
    Samples,
    Series,
    Tick,
)
from app.policy.files import fingerprint, load
from app.policy.fold import read_by_policies
from tasks.contract import Outcome, Scale, Status, kind_of
from tests.unit.policy.builders import Journal

EXAMPLES = Path(__file__).parents[3] / "examples" / "policies"
FILES = {path.name: path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.yaml"))}
SETS = {name: {name: text} for name, text in FILES.items()} | {"all": FILES}
"""Every example by itself, and all of them together."""

GAPS_S = (0.0, 0.2, 1.0, 1.0, 5.0, 5.0, 15.0, 15.0, 16.0, 31.0, 61.0, 301.0)
LEVELS = (0.0, 1.0, 20.0, 55.0, 60.0, 66.0, 75.0, 95.0, 150.0, 300.0, 2500.0)


class Timeline(Journal):
    """A journal of a set of policies, with what its moves need to know of them."""

    def __init__(self, name):
        super().__init__()
        self.name = name
        self.set = loaded(name)
        self.services, self.labels = known(name)
        self.put(self.set)

    def put(self, documents):
        """Put policies in force."""
        self.add(PolicySet(self.source("control"), fingerprint(documents), documents, "ann", "why", self.at_ms))

    def service(self, number):
        return self.services[number % len(self.services)]

    def actions(self):
        """What was decided and is to be done."""
        return [one.action for one in self.decisions if one.action is not None and not one.shadow]


@lru_cache
def loaded(name):
    return load(SETS[name])


@lru_cache
def known(name):
    """Services that the policies of a set are meant for, and labels that they select by."""
    services, labels = set(), {}
    for text in SETS[name].values():
        for document in YAML(typ="safe", pure=True).load_all(text):
            spec = document["spec"]
            glob = spec.get("service", spec.get("scaleTargetRef", {}).get("name", "*"))
            services.add(glob.replace("*", "") or "shop")
            for found in walk(document, "matchLabels"):
                labels |= found
    return sorted(services), labels


def walk(node, name):
    """Every value under a name, however deep."""
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == name)
        for value in node.values():
            yield from walk(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value, name)


def samples(made, after_s, service, hosts, values, late_s):
    """Each instance of a service reports every metric that a policy reads."""
    name = made.service(service)
    metrics = sorted(read_by_policies(made.state, name)) or ["cpu"]
    series = [Series(name, metric, {"host": f"{name}-{n}"} | made.labels) for metric in metrics for n in range(hosts)]
    count = len(series)
    each, source = list(range(count)), made.source("metrics", count)
    at_ms = made.at_ms + round((after_s - late_s) * 1000)
    numbers = [values[n % len(values)] for n in each]
    made.add(Samples(source, series, each, [at_ms] * count, numbers, each, [0] * count), after_s)


def stretch(made, after_s, service, load, growing, turns, obeyed):
    """A load that lasts, or a counter: every instance reports, time passes, and what is decided is done, or is not."""
    name = made.service(service)
    for turn in range(turns):
        observed = made.state.services[name].observed if name in made.state.services else None
        samples(made, after_s, service, min(6, observed.replicas) if observed and observed.replicas else 2,
                [load * (turn + 1) if growing else load], 0.0)  # fmt: skip
        made.tick(0.5, 0.0)
        if obeyed and (scales := [one for one in made.actions() if isinstance(one, Scale) and one.service == name]):
            made.outcome(scales[-1])


def instances(made, after_s, service, wanted, seen):
    """An observer speaks; of the instances one by one, or not."""
    name = made.service(service)
    each = None if seen is None else [
        InstanceSeen(f"{name}-{n}", phase, made.at_ms - age_s * 1000, ready, made.at_ms - age_s * 1000, deleted)
        for n, (phase, age_s, ready, deleted) in enumerate(seen)
    ]  # fmt: skip
    ready = wanted if each is None else sum(one.ready is True for one in each)
    newest = max(
        (one.generation for one in made.actions() if isinstance(one, Scale) and one.service == name), default=0
    )
    made.add(Instances(made.source("instances"), name, made.at_ms, wanted, ready, newest, instances=each), after_s)


def outcome(made, after_s, back, status):
    """An action, one of the newest, has become something."""
    actions = made.actions()
    if not actions:
        made.tick(after_s, 0.0)
        return
    action = actions[-1 - back % min(4, len(actions))]
    asked = action.to_replicas if isinstance(action, Scale) and status in {Status.DONE, Status.SKIPPED} else None
    made.add(Reported(made.source("outcomes"), Outcome(
        id=action.id, action=kind_of(action), service=action.service, status=status, set=asked,
        generation=getattr(action, "generation", 0), ended_at_ms=made.at_ms,
    )), after_s)  # fmt: skip


def tick(made, after_s, behind_s):
    """Time passes; the intake is behind by some."""
    made.tick(after_s, behind_s)


def deploy(made, after_s, service, phase, version, pod, at_s):
    """A deploy event, by its sender's clock."""
    name = made.service(service)
    address = f"10.0.0.{pod}:80" if pod else ""
    made.deploy(
        phase, version, name, after_s, at_s, pod=f"{name}-{pod}" if pod else "", address=address, environment="prod"
    )


def change(made, after_s, service, number):
    """Somebody changed something."""
    made.at_ms += round(after_s * 1000)
    made.change(f"setting {number}", made.service(service), f"change-{number}", environment="prod")


def command(made, after_s, verb, service, for_s, alert):
    """A person says something."""
    made.at_ms += round(after_s * 1000)
    until_ms = made.at_ms + for_s * 1000 if for_s else 0
    made.command(verb, "*" if service == 9 else made.service(service), until_ms, alert)


def again(made, after_s, back, count):
    """The intake crashed: some of the newest facts come again."""
    newest = made.records[-1 - back : len(made.records) - max(0, back - count)]
    for record in newest:
        if hasattr(record.fact, "source"):
            made.add(record.fact, after_s)
            after_s = 0.0


def policies(made, after_s, left_out):
    """Policies are replaced: by the same without one of them, or by all again."""
    made.at_ms += round(after_s * 1000)
    made.put([one for place, one in enumerate(made.set) if place != left_out] or made.set)


SERVICE = st.integers(0, 9)
SEEN = st.lists(
    st.tuples(
        st.sampled_from(["Running", "Running", "Running", "Pending", "Failed"]),
        st.sampled_from([5, 40, 3600]),
        st.sampled_from([True, True, False, None]),
        st.booleans(),
    ),
    max_size=5,
)
MOVES = {
    samples: (
        SERVICE,
        st.integers(1, 4),
        st.lists(st.sampled_from(LEVELS), min_size=1, max_size=3),
        st.sampled_from((0.0, 0.0, 0.0, 4.0, 40.0)),
    ),
    stretch: (
        SERVICE,
        st.sampled_from(LEVELS),
        st.sampled_from((False, False, True)),
        st.integers(2, 12),
        st.sampled_from((True, True, False)),
    ),
    instances: (SERVICE, st.integers(0, 12), st.none() | SEEN),
    outcome: (st.integers(0, 3), st.sampled_from(list(Status))),
    tick: (st.sampled_from((0.0, 1.0, 20.0)),),
    deploy: (
        SERVICE,
        st.sampled_from([*(one.value for one in Phase), "started", "started", "started"]),
        st.sampled_from(["", "1", "2", "3"]),
        st.integers(0, 3),
        st.sampled_from((-20.0, 0.0)),
    ),
    change: (SERVICE, st.integers(0, 5)),
    command: (
        st.sampled_from(["pause", "resume", "silence", "unsilence"]),
        SERVICE,
        st.sampled_from((0, 20, 600)),
        st.sampled_from(("", "*", "silent")),
    ),
    again: (st.integers(0, 6), st.integers(1, 4)),
    policies: (st.integers(0, 9),),
}
"""What can happen, and what is drawn for it."""

OFTEN = (samples, stretch, stretch, stretch, tick, outcome)
"""Drawn more often, so that something comes of it."""


def moves(among=tuple(MOVES)):
    """One thing that happens, after some time."""
    kinds = [one for one in (*OFTEN, *MOVES) if one in among]
    return st.sampled_from(kinds).flatmap(
        lambda kind: st.tuples(st.just(kind), st.sampled_from(GAPS_S), st.tuples(*MOVES[kind]))
    )


@st.composite
def timelines(draw, sets=tuple(SETS), longest=25):
    """A timeline with all that was decided on it."""
    made = Timeline(draw(st.sampled_from(sets)))
    for number in range(len(made.services)):
        if draw(st.booleans()):
            instances(made, 0.0, number, draw(st.integers(1, 6)), None)
    for kind, after_s, drawn in draw(st.lists(moves(), min_size=1, max_size=longest)):
        kind(made, after_s, *drawn)
    return made


def moment(made):
    """Read-until after each record."""
    found, newest = [], 0
    for record in made.records:
        if isinstance(record.fact, Tick):
            newest = max(newest, record.fact.read_until_ms)
        found.append(newest)
    return found
