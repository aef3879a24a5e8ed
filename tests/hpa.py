"""Scenarios of the real HorizontalPodAutoscaler as journals and policies, and what a replay makes of them.

A line of the data is one scenario: `spec` (an `autoscaling/v2` spec), `cfg` (controller flags that differ
from the defaults), `req` (an instance's requests, milli-units), `r0` (replicas before the first look),
`steps` and `out`, the controller's answers [replicas, proposal, AbleToScale, ScalingActive,
ScalingLimited, ScaledToZero, err] with empty ends left out.

Step: `t` seconds; `r` somebody else set the replicas; `s` status.replicas where it differs; `p` groups of
instances [how many, state, milli-value of each per-instance metric or null]; `x` milli-values of each
shared metric, null or [] for an error; `e` metrics whose API fails; `spec` a new spec from here on.

All facts of a look stand on the journal at the moment of the look before, when none is due, with the
times that they are of; then a tick moves time, and the policy looks. What is not there at a look is
stale: a series lasts one millisecond.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from app.history.journal import line_of
from app.policy.facts import LAYOUT, Genesis, Instances, InstanceSeen, PolicySet, Record, Samples, Series, Source, Tick
from app.policy.files import document_of, fingerprint

DATA = Path(__file__).parent / "data" / "hpa-sample.jsonl.gz"
BEGIN_MS = 1_700_000_000_000
SERVICE = "web"

STATES = {
    "R": ("Running", 3600, True, 3590), "Q": ("Running", 100, True, 60), "W": ("Running", 40, True, 10),
    "U": ("Running", 20, False, 20), "V": ("Running", 3600, False, 3595), "N": ("Running", 3600, False, 5),
    "P": ("Pending", 5, False, 5), "F": ("Failed", 3600, False, 3600), "D": ("Running", 3600, True, 3590),
}  # fmt: skip
"""Letter → phase, age, readiness, seconds since it changed."""

CALM = {"AbleToScale": "ReadyForNewScale", "ScalingActive": "ValidMetricFound", "ScalingLimited": "DesiredWithinRange"}
"""Conditions that are not told as long as nothing else was."""

FLAGS = {
    "tolerance": ("tolerance", float), "downscale_stab_s": ("downscaleStabilization", lambda s: f"{s}s"),
    "cpu_init_s": ("cpuInitializationPeriod", lambda s: f"{s}s"),
    "readiness_delay_s": ("initialReadinessDelay", lambda s: f"{s}s"),
    "no_scale_to_zero": ("scaleToZero", lambda no: not no),
}  # fmt: skip
"""Controller flag → field of a Scale policy."""


def scenarios(path: Path = DATA) -> Iterator[dict]:
    """Every scenario and every admission case of a file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            found = json.loads(line)
            if "id" in found:
                yield found


def policy(spec: dict, cfg: dict) -> dict:
    """The spec as a policy of our own kind, with the controller's flags in it."""
    words = {name: value for name, value in spec.items() if name != "scaleTargetRef" and value is not None}
    flags = {FLAGS[flag][0]: FLAGS[flag][1](value) for flag, value in cfg.items()}
    ours = {"service": SERVICE, "every": "1ms", "stale": "1ms", "for": {"up": "0s", "down": "0s"}}
    return {"apiVersion": "headrace/v1", "kind": "Scale", "metadata": {"name": "hpa"}, "spec": words | ours | flags}


class Scenario:
    """One scenario as a journal."""

    def __init__(self, data: dict) -> None:
        self.data = data
        self.cfg = data.get("cfg", {})
        self.spec = data["spec"]
        self.records: list[Record] = []
        self.offsets: list[int] = []  # of the tick of each look
        self.now_ms = BEGIN_MS - 1000  # by time alone nothing is looked at again within a second
        self.source = 0

    def journal(self) -> bytes:
        """Its lines, as `headrace journal export` writes them."""
        self._add(Genesis("hpa", 1, LAYOUT))
        for number, step in enumerate(self.data["steps"]):
            at_ms = BEGIN_MS + round(step["t"] * 1000)
            if number == 0 or "spec" in step:
                self.spec = step.get("spec", self.spec)
                document = document_of(policy(self.spec, self.cfg))
                self._add(PolicySet(self._source(), fingerprint([document]), [document], "", "", at_ms))
            self._facts(step, at_ms, first=number == 0)
            self.now_ms = at_ms
            self.offsets.append(len(self.records))
            self._add(Tick(at_ms))
        return b"".join(line_of(record) + b"\n" for record in self.records)

    def _facts(self, step: dict, at_ms: int, *, first: bool) -> None:
        groups = [(n, *self._state(state, at_ms), values) for n, state, *values in step.get("p", [])]
        seen, values = [], []
        for n, words, window_s, row in groups:
            for _ in range(n):
                seen.append(InstanceSeen(f"p{len(seen)}", *words, self._requests()))
                values.append((window_s, row))
        wanted = self.data["r0"] if first and "r" not in step else step.get("r")
        self._add(Instances(self._source(), SERVICE, at_ms, wanted, 0, at_ms, step.get("s"), seen))
        self._samples(list(self._of_instances(step, values)) + list(self._shared(step)), at_ms)

    def _requests(self) -> dict[str, int]:
        return self.data.get("req") or {"": 1}  # an instance that requests nothing, which is known

    def _state(self, state: str | dict, at_ms: int) -> tuple[tuple, float]:
        """(phase, start, readiness, since, deleted) and the window of a sample, older ones by so much longer."""
        if isinstance(state, str):
            phase, age_s, ready, since_s = STATES[state]
            return (phase, at_ms - age_s * 1000, ready, at_ms - since_s * 1000, state == "D"), 30
        age_s = state.get("age")
        words = (
            state.get("ph", "Running"), None if age_s is None else at_ms - round(age_s * 1000),
            None if state.get("nocnd") else bool(state.get("rdy")), at_ms - round(state.get("since", 0) * 1000),
            bool(state.get("del")),
        )  # fmt: skip
        return words, state.get("win", 30) + state.get("mage", 0)

    def _of_instances(self, step: dict, values: list) -> Iterator[tuple[Series, float]]:
        metrics = [(i, one) for i, one in enumerate(self.spec["metrics"]) if one["type"] in {"Resource", "Pods"}]
        failing = set(step.get("e", []))
        if any(self.spec["metrics"][i]["type"] == "Resource" for i in failing):
            failing |= {i for i, one in metrics if one["type"] == "Resource"}
        for column, (place, metric) in enumerate(metrics):
            name = metric["resource"]["name"] if "resource" in metric else metric["pods"]["metric"]["name"]
            for number, (window_s, row) in enumerate(values):
                if place not in failing and column < len(row) and row[column] is not None:
                    labels = {"pod": f"p{number}", "window_s": f"{window_s:.3f}"}
                    yield Series(SERVICE, name, labels), row[column] / 1000

    def _shared(self, step: dict) -> Iterator[tuple[Series, float]]:
        metrics = [one for one in self.spec["metrics"] if one["type"] in {"External", "Object"}]
        for metric, found in zip(metrics, step.get("x", []), strict=False):
            name = metric[metric["type"].lower()]["metric"]["name"]
            for number, value in enumerate(found or []):
                yield Series(SERVICE, name, {"part": str(number)}), value / 1000

    def _samples(self, found: list[tuple[Series, float]], at_ms: int) -> None:
        if found:
            each = range(len(found))
            values = [value for _, value in found]
            zeros = [0 for _ in each]
            series = [one for one, _ in found]
            self._add(Samples(self._source(), series, list(each), [at_ms for _ in each], values, zeros, list(each)))

    def _source(self) -> Source:
        self.source += 1
        return Source("facts", "id", 0, self.source, self.source)

    def _add(self, fact) -> None:
        self.records.append(Record(0, len(self.records), self.now_ms, fact))


def answers(scenario: Scenario, decided: list[dict]) -> list[tuple]:
    """(replicas, AbleToScale, ScalingActive, ScalingLimited, ScaledToZero) after each look."""
    by_offset: dict[int, list[dict]] = {}
    for one in decided:
        by_offset.setdefault(int(one["id"].split("-")[2]), []).append(one)
    replicas, conditions, found = scenario.data["r0"], dict(CALM), []
    for offset, step in zip(scenario.offsets, scenario.data["steps"], strict=True):
        replicas = step.get("r", replicas)
        for one in by_offset.get(offset, []):
            conditions = one["evidence"].get("conditions", conditions)
            if one["action"]:
                replicas = one["action"]["to_replicas"]
        named = ("AbleToScale", "ScalingActive", "ScalingLimited", "ScaledToZero")
        found.append((replicas, *(conditions.get(name, "") for name in named)))
    return found


def expected(scenario: Scenario) -> list[tuple]:
    """The same of the real controller."""
    return [(one[0], *(one[2:6] + [""] * 4)[:4]) for one in scenario.data["out"]]
