"""How fast the engine folds and decides, beside plain Python that gives the same answers (`tests.bench.plain`).

Each round gives every row the next second of the same samples, and every answer is compared.
"""

import gc
import tracemalloc

import pytest

from app.policy.facts import Record, Samples, Series, Source, decode, encode
from app.policy.state import pack, unpack
from app.policy.step import step
from tests.bench.plain import WIDTH_MS, Plain
from tests.bench.rounds import cpu_s, interleaved, ratio
from tests.unit.policy.builders import START_MS, Journal, policy
from tests.unit.policy.test_alerts import alert

EACH = 3
FILL = 19
"""Turns that fill a window of five minutes, a bucket each."""


def load(services, turn, at_ms, instances=EACH):
    """A sample of each instance of each service, packed as the intake packs them."""
    series = [Series(f"s{n}", "cpu", {"host": f"s{n}-{k}"}) for n in range(services) for k in range(instances)]
    each = list(range(len(series)))
    source = Source("metrics", "m", 0, turn * len(series), (turn + 1) * len(series) - 1)
    values = [50.0 + (n // instances * 7 + n + turn) % 40 for n in each]
    return encode(Samples(source, series, each, [at_ms] * len(series), values, each, [0] * len(series)))


class Pair:
    """The engine and plain Python, given the same packs; full windows when it is made."""

    def __init__(self, services, texts, **plain):
        self.services, self.turn = services, 0
        self.journal = Journal()
        self.journal.policies(*texts)
        for n in range(services):
            self.journal.instances(EACH, service=f"s{n}")
        self.plain = Plain(**plain)
        self.raw, self.record = b"", (0, 0, 0)
        for _ in range(FILL):
            self.next(WIDTH_MS)
            self.engine()
            self.reference()

    def next(self, after_ms=1000):
        """The next pack, for both."""
        made = self.journal
        made.at_ms += after_ms
        self.raw = load(self.services, self.turn, made.at_ms)
        self.record = (0, made.state.next_offset, made.at_ms)
        self.turn += 1

    def engine(self):
        made = self.journal
        made.state, decided = step(made.state, Record(*self.record, decode(self.raw)))
        made.decisions += decided

    def reference(self):
        self.plain.fold(self.raw)
        self.plain.ask(self.journal.at_ms)

    def engine_s(self):
        self.next()
        return cpu_s(self.engine)

    def reference_s(self):
        """After `engine_s`, with the same pack; both have to say the same."""
        took = cpu_s(self.reference)
        services = self.journal.state.services
        for (name, one), wish in self.plain.wishes.items():
            assert services[name].memories[one].wish == wish, (name, one)
        for (name, one), firing in self.plain.firing.items():
            assert services[name].alerts[one].firing == firing, (name, one)
        return took


def two_alerts():
    text = alert(for_="0s").replace('"web*"', '"*"').replace("every: 0s", "every: 1s").replace("stale: 30s", "")
    for name, expr in (("mean", 'avg("cpu", "1m") > 70.0'), ("most", 'max("cpu", "5m") > 88.9')):
        yield text.replace("name: hot", f"name: {name}").replace('avg("cpu", "10s") > 90.0', expr)


def targets(count):
    return {f"p{n}": 40 + n % 50 for n in range(count)}


def scales(count):
    return [policy(name, service="*", every="1s", target=target, most=4) for name, target in targets(count).items()]


def measured(pairs, rounds=5):
    rows = {}
    for name, pair in pairs.items():
        rows[name] = pair.engine_s
        rows[f"{name}, plain"] = pair.reference_s
    return interleaved(rows, rounds)


def row(figures, name, found, count, unit, **more):
    engine, plain = found[name], found[f"{name}, plain"]
    figures.row(
        name, CPU_ms=1000 * sorted(engine)[len(engine) // 2], of_plain_Python=ratio(engine, plain),
        **{f"{unit}_per_CPU_second": count / sorted(engine)[len(engine) // 2]}, **more,
    )  # fmt: skip


@pytest.mark.timeout(300)
def test_samples_folded(figures):
    idle = 'last("cpu") > 1000.0'
    kept = 'avg("cpu", "5m") + max("cpu", "5m") > 1000.0'  # plain Python keeps as much
    pairs = {}
    for name, expr, windows in (("newest value kept", idle, False), ("windows of five minutes kept", kept, True)):
        text = alert(expr=expr).replace('"web*"', '"*"').replace("every: 0s", "every: 1h").replace("stale: 30s", "")
        pairs[name] = Pair(1000, [text], targets={}, windows=windows)
    found = measured(pairs)
    for name, pair in pairs.items():
        assert pair.journal.state.samples == 1000 * EACH * pair.turn
        for service, kept_ in pair.plain.newest.items():
            series = pair.journal.state.services[service].series
            assert {key.partition("host=")[2]: one.value for key, one in series.items()} == {
                dict(labels)["host"]: value for labels, value in kept_.items()
            }
        for service, kept_ in pair.plain.buckets.items():
            for labels, buckets in kept_.items():
                window = pair.journal.state.services[service].series[f"cpu\x1fhost={dict(labels)['host']}"].window
                assert {one.place: [one.samples, one.total, one.most] for one in window.buckets} == buckets
        row(figures, name, found, 1000 * EACH, "samples")


@pytest.mark.timeout(300)
def test_evaluations_with_1_10_and_100_policies(figures):
    services = 100
    pairs = {
        f"{count} policies a service": Pair(services, scales(count), targets=targets(count), windows=False)
        for count in (1, 10, 100)
    }
    found = measured(pairs)
    for (name, pair), count in zip(pairs.items(), (1, 10, 100), strict=True):
        assert len(pair.plain.wishes) == services * count
        row(figures, name, found, services * count, "evaluations")


@pytest.mark.timeout(300)
def test_a_thousand_services_under_one_scale_and_two_alerts(figures):
    name = "1,000 services, 3 samples each"
    pair = Pair(1000, [*scales(1), *two_alerts()], targets=targets(1), alerts=True)
    found = measured({name: pair})
    assert len(pair.plain.wishes) == 1000
    assert len(pair.plain.firing) == 2000
    assert {True, False} == set(pair.plain.firing.values())
    row(figures, name, found, 3000, "evaluations", goal="below 100 ms")


class Held:
    """Bytes of the states of many services with so many series each, in the process: folded, read again, written."""

    SERVICES = 500

    def __init__(self, expr, instances):
        self.count = self.SERVICES * instances
        self.raws = [load(self.SERVICES, n, START_MS + n * WIDTH_MS, instances) for n in range(FILL)]
        made = Journal()
        made.policies(alert(expr=expr).replace('"web*"', '"*"'))
        empty_written = len(pack(made.state))
        self.folded = self._of(lambda: self._fold(made))
        series = [service.series for service in made.state.services.values()]
        assert sum(len(one.window.buckets) for each in series for one in each.values()) == self.count * FILL
        raw = pack(made.state)
        self.written = len(raw) - empty_written
        self.again = self._of(lambda: unpack(raw))
        self.plain = self._of(self._plain)

    def _fold(self, made):
        for turn, raw in enumerate(self.raws):
            made.state, _ = step(made.state, Record(0, turn + 2, START_MS + turn * WIDTH_MS, decode(raw)))

    def _plain(self):
        plain = Plain({}, alerts=True)
        for raw in self.raws:
            plain.fold(raw)
        return plain

    @staticmethod
    def _of(make):
        gc.collect()
        tracemalloc.start()
        made = make()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        del made
        return held


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("expr", "goal"),
    [
        ('max("cpu", "5m") > 1000.0', 1000),
        ('avg("cpu", "5m") > 1000.0', 1000),
        ('avg("cpu", "5m") + min("cpu", "5m") + max("cpu", "5m") + rate("cpu", "5m") > 1000.0', None),
    ],
    ids=["max", "avg", "avg, min, max and rate"],
)
def test_memory_of_a_series_with_a_full_window(figures, expr, goal, request):
    """What another series takes: the difference of services with eleven and with one, so without that of a service."""
    asked, one, more = request.node.callspec.id, Held(expr, 1), Held(expr, 11)
    of_plain = (more.folded - one.folded) / (more.plain - one.plain)
    for name in ("folded", "again", "written"):
        found = (getattr(more, name) - getattr(one, name)) / (more.count - one.count)
        title = {"folded": "in the process", "again": "read from the state", "written": "as it is written"}[name]
        figures.row(f"{asked}: {title}", bytes_a_series=found, goal=f"below {goal:,}" if goal else "none")
        assert goal is None or found < goal
    service = (one.folded - (more.folded - one.folded) / 10) / Held.SERVICES
    figures.row(f"{asked}: a service by itself", bytes=service, of_plain_Python=of_plain)
