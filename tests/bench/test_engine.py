"""How fast the engine folds and decides, beside plain Python that does the least that could be called the same.

CPU seconds of this process, one core; every row proves its work by its decisions. The ratio is what
to look at: `make bench` prints all of it.
"""

import json
from collections import defaultdict
from time import process_time

import pytest

from app.policy.facts import Samples, Series, Source, encode
from app.policy.state import pack
from tests.unit.policy.builders import Journal, policy
from tests.unit.policy.test_alerts import alert

SERVICES = 1_000
EACH = 3


def packs(journal, turns):
    """Packs of one sample for each instance of each service, a second apart."""
    series = [Series(f"s{n}", "cpu", {"host": f"s{n}-{k}"}) for n in range(SERVICES) for k in range(EACH)]
    count = len(series)
    each = list(range(count))
    for turn in range(turns):
        source = Source("metrics", "m", 0, turn * count, turn * count + count - 1)
        at_ms = [journal.at_ms + (turn + 1) * 1000] * count
        values = [50.0 + (n * 7 + turn * 13) % 40 for n in each]
        yield Samples(source, series, each, at_ms, values, each, [0] * count)


def engine(*texts):
    made = Journal()
    made.policies(*texts)
    for n in range(SERVICES):
        made.instances(EACH, service=f"s{n}")
    return made


def seconds(made, turns=6):
    """CPU seconds of one turn, the best of several; decisions prove that it was decided."""
    best = 1e9
    for pack_ in list(packs(made, turns)):
        began = process_time()
        made.add(pack_, after_s=1)
        best = min(best, process_time() - began)
    return best


def plain(turns=6):
    """The reference: JSON in, a mean a service, a comparison with a target. No windows, evidence, state or ids."""
    made = Journal()
    raws = [encode(one) for one in packs(made, turns)]
    best = 1e9
    for raw in raws:
        began = process_time()
        found = json.loads(raw)
        sums, counts = defaultdict(float), defaultdict(int)
        for index, value in zip(found["index"], found["value"], strict=True):
            service = found["series"][index][0]
            sums[service] += value
            counts[service] += 1
        wishes = {service: -(-counts[service] * (sums[service] / counts[service]) // 60) for service in sums}
        assert len(wishes) == SERVICES
        best = min(best, process_time() - began)
    return best


def rows():
    """Label and policies of each row."""
    scale = policy(service="*", every="1s")
    alerts = [alert().replace("web*", "*").replace("name: hot", f"name: {name}").replace("every: 0s", "every: 1s")
              for name in ("one", "two")]  # fmt: skip
    yield "one Scale", [scale]
    yield "one Scale, two Alerts", [scale, *alerts]
    yield (
        "ten Scales, one for each hundred services",
        [policy(f"p{n}", service=f"s{n}*", every="1s") for n in range(10)],
    )
    yield "a hundred Scales, each for one service", [policy(f"p{n}", service=f"s{n}", every="1s") for n in range(100)]


@pytest.mark.timeout(600)
def test_the_engine_beside_plain_python():
    reference = plain()
    print(f"\n{'':<44}CPU ms a turn   of plain Python")
    print(f"{'plain Python, no state, no evidence':<44}{reference * 1000:>10.1f} ms{1.0:>15.1f}")
    idle = seconds(engine(policy("other", service="nobody")))
    print(f"{'fold alone: no policy reads it':<44}{idle * 1000:>10.1f} ms{idle / reference:>15.1f}")
    for label, texts in rows():
        made = engine(*texts)
        took = seconds(made)
        assert made.decisions
        print(f"{label:<44}{took * 1000:>10.1f} ms{took / reference:>15.1f}")
    print(f"{SERVICES} services, {EACH} samples each a turn; {SERVICES * EACH / idle:,.0f} samples folded a second")


def test_memory_of_a_series_with_a_full_window():
    made = Journal()
    made.policies(alert(expr='avg("cpu", "5m") > 1000.0'))
    for turn in range(400):
        made.samples(*[50 + (turn * 7 + n) % 30 for n in range(20)], after_s=1)
    size = len(pack(made.state)) / 20
    print(f"\na series with five minutes of window: {size:.0f} bytes in the state, of 400 samples")
    assert size < 1024
