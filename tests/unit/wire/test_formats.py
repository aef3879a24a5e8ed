"""docs/formats.md says what is accepted; here its examples are read, and what it says of them is compared."""

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from app.policy.facts import Samples
from app.wire import cdevents, events, fields, metrics
from app.wire.quarantine import KEPT
from app.wire.read import read
from app.wire.rules import LARGEST
from tests.unit.wire.records import NOW_MS, RECORD_MS, RULES, raws

PAGE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
SECTIONS = {
    title.lower(): body for title, body in re.findall(r"^## (\w+)$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
EXAMPLE = re.compile(r"```json\n(?P<record>.*?)```\n+```text\n(?P<gives>.*?)```", re.DOTALL)
REFUSED = re.compile(r"^\| `(?P<record>[^`]*)` \| (?P<reason>[^|]*) \|$", re.MULTILINE)
KINDS = ["metrics", "events", "instances", "control"]


def found_in(kind, pattern):
    body = SECTIONS[kind].partition("| record | reason |")[2] if pattern is REFUSED else SECTIONS[kind]
    return [(kind, *match.groups()) for match in pattern.finditer(body)]


def when(at_ms):
    if at_ms == RECORD_MS:
        return "the record's time"
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def said(fact):
    """A fact as the page writes it, a line for each sample or field."""
    if isinstance(fact, Samples):
        for index, at_ms, value in zip(fact.index, fact.at_ms, fact.value, strict=True):
            series = fact.series[index]
            labels = ", ".join(f"{name}={label}" for name, label in series.labels.items())
            yield f"{series.service}  {series.name}{{{labels}}}  {value:g}  at {when(at_ms)}"
    else:
        plain = msgspec.to_builtins(fact)
        if re.fullmatch("[0-9a-f]{24}", plain.get("event_id", "")):
            del plain["event_id"]  # a hash of the record
        words = [f"{k}={v}" for k, v in plain.items() if v and k not in {"kind", "source", "at_ms", "policies"}]
        yield f"{plain['kind']}  {'  '.join(words)}  at {when(plain['at_ms'])}"


@pytest.mark.parametrize(("kind", "record", "gives"), [one for kind in KINDS for one in found_in(kind, EXAMPLE)])
def test_an_example_of_the_page_gives_what_the_page_says(kind, record, gives):
    found = read(kind, raws(record.encode()), RULES)
    assert not found.quarantined
    everywhere = [[line for fact in each for line in said(fact)] for each in found.facts.values()]
    lines = everywhere[0] if kind == "control" else [line for each in everywhere for line in each]
    assert sorted(lines) == sorted(gives.splitlines())


@pytest.mark.parametrize(("kind", "record", "reason"), [one for kind in KINDS for one in found_in(kind, REFUSED)])
def test_what_the_page_says_is_refused_is_refused_for_that_reason(kind, record, reason):
    (one,) = read(kind, raws(record.encode()), RULES).quarantined
    assert reason in one.reason


def test_every_section_has_examples_of_both():
    for kind in KINDS:
        assert found_in(kind, EXAMPLE)
        assert found_in(kind, REFUSED)


def test_the_page_names_every_type_field_and_limit():
    for word in (*events.PHASES, *events.CHANGES, *cdevents._READERS, *fields.TIMES):
        assert f"`{word}`" in PAGE
    limits = (LARGEST, KEPT, fields.NAME_BYTES, fields.TEXT_BYTES, metrics.MOST_SAMPLES, metrics.LABELS_BYTES)
    for limit in limits:
        assert f"{limit:,}" in SECTIONS["limits"]


def test_the_page_is_read_at_the_moment_it_says():
    assert f"`{when(NOW_MS)}`" in PAGE
    assert f"({NOW_MS} in milliseconds)" in PAGE
