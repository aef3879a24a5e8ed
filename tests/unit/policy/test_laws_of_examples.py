"""The laws of the engine, kept by every example policy on random timelines of every kind of fact.

A law is a function of a timeline; `LAWS` is the list. `tests/unit/policy/timelines.py` has what can happen.
"""

import os
import subprocess
import sys

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.history.journal import line_of
from app.history.replay import replay
from app.policy import decision as decisions
from app.policy.decision import Reason
from tests.unit.policy.laws import LAWS
from tests.unit.policy.timelines import SETS, timelines

REACHED = {
    Reason.ABOVE_TARGET, Reason.BELOW_TARGET, Reason.ABOVE_MAXIMUM, Reason.BELOW_MINIMUM, Reason.NO_DATA, Reason.PAUSED,
    Reason.HELD_BY_DEPLOY, Reason.SCALE_PENDING, Reason.COOLING_DOWN, Reason.STABILIZED, Reason.WITHIN_TOLERANCE,
    Reason.ALERT_FIRING, Reason.ALERT_UNKNOWN, Reason.ROUTED, Reason.POLICIES_CHANGED,
}  # fmt: skip
"""Reasons that the laws here are about; guards, alerts and rollouts have laws, and timelines, of their own."""


CALM = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", SETS)
@given(data=st.data(), share=st.floats(0, 1))
@settings(CALM, max_examples=15)
def test_every_example_keeps_every_law(name, data, share):
    made = data.draw(timelines(sets=(name,)))
    for law in LAWS:
        law(made, share)


def test_the_bytes_are_the_same_in_another_process_whatever_its_hash_seed(tmp_path):
    found = []

    @given(timelines(sets=("all",)))
    @settings(CALM, max_examples=12, derandomize=True, database=None)
    def collect(made):
        found.append(made)

    collect()
    records = [
        msgspec.structs.replace(record, partition=number)
        for number, made in enumerate(found)
        for record in made.records
    ]
    here = b"".join(decisions.encode(one) + b"\n" for one in replay(records, {}))
    assert here.count(b"\n") > 100
    file = tmp_path / "journal.jsonl"
    file.write_bytes(b"".join(line_of(record) + b"\n" for record in records))
    for seed in ("0", "1", "4711"):
        there = subprocess.run(
            [sys.executable, "-m", "app.cli", "replay", "--journal", str(file), "-o", "jsonl"],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True,
        )  # fmt: skip
        assert there.stdout == here


def test_the_timelines_lead_to_what_the_laws_are_about():
    """A law that is never put to the test is none."""
    seen = set()

    @given(timelines())
    @settings(CALM, max_examples=400, derandomize=True, database=None)
    def collect(made):
        seen.update(one.reason for one in made.decisions)

    collect()
    assert sorted(REACHED - seen) == []
