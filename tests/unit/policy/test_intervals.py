"""Time intervals in Alertmanager's words: what is within them, and what is none."""

from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.policy.intervals import TimeInterval
from app.policy.zones import zone

BUSINESS = {"weekdays": ["monday:friday"], "times": [{"start_time": "09:00", "end_time": "17:00"}]}


def ms(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("interval", "within", "outside"),
    [
        ({}, ["2026-01-01T00:00Z"], []),
        (BUSINESS, ["2026-11-27T09:00Z", "2026-11-27T16:59:59Z"], ["2026-11-27T17:00Z", "2026-11-28T12:00Z"]),
        ({"times": [{"start_time": "22:00", "end_time": "24:00"}]}, ["2026-01-01T23:59:59Z"], ["2026-01-02T00:00Z"]),
        (
            {"days_of_month": ["-3:-1"]},
            ["2026-02-26T00:00Z", "2026-02-28T23:00Z", "2024-02-29T01:00Z"],
            ["2026-02-25T23:59Z", "2026-03-28T00:00Z"],
        ),
        ({"days_of_month": ["30:31"]}, ["2026-01-30T00:00Z"], ["2026-02-28T00:00Z"]),
        ({"days_of_month": ["1", "20:-1"]}, ["2026-02-01T00:00Z", "2026-02-28T00:00Z"], ["2026-02-19T00:00Z"]),
        ({"months": ["January:march", "12"]}, ["2026-02-01T00:00Z", "2026-12-31T00:00Z"], ["2026-04-01T00:00Z"]),
        ({"years": ["2026:2027"]}, ["2026-01-01T00:00Z"], ["2025-12-31T23:59Z", "2028-01-01T00:00Z"]),
        ({"weekdays": ["sunday", "Saturday"]}, ["2026-11-28T12:00Z", "2026-11-29T12:00Z"], ["2026-11-30T00:00Z"]),
        # Berlin is an hour ahead in winter, and two in summer
        (BUSINESS | {"location": "Europe/Berlin"}, ["2026-01-07T08:00Z", "2026-07-08T07:00Z"], ["2026-07-08T15:00Z"]),
        ({"location": "Asia/Tokyo", "years": [2027]}, ["2026-12-31T15:00Z"], ["2026-12-31T14:59Z"]),
    ],
)
def test_a_moment_is_within_an_interval_or_outside(interval, within, outside):
    made = TimeInterval.model_validate(interval)
    assert [made.contains(ms(one)) for one in within] == [True] * len(within)
    assert [made.contains(ms(one)) for one in outside] == [False] * len(outside)


@pytest.mark.parametrize(
    ("interval", "why"),
    [
        ({"times": [{"start_time": "17:00", "end_time": "09:00"}]}, "two ranges"),
        ({"times": [{"start_time": "09:00", "end_time": "24:01"}]}, "no time of the day"),
        ({"times": [{"start_time": "9:00", "end_time": "10:00"}]}, "no time of the day"),
        ({"times": [{"start_time": "09:60", "end_time": "10:00"}]}, "no time of the day"),
        ({"times": [{"start_time": "09:00"}]}, "required"),
        ({"weekdays": ["friday:monday"]}, "ends before"), ({"weekdays": ["1:3"]}, "no weekday"),
        ({"days_of_month": ["0"]}, "no day"), ({"days_of_month": ["-32:-1"]}, "no day"),
        ({"days_of_month": ["-3:5"]}, "end there too"), ({"days_of_month": ["10:-25"]}, "ends before"),
        ({"months": ["december:january"]}, "ends before"), ({"months": ["13"]}, "no month"),
        ({"years": ["2027:2026"]}, "ends before"), ({"years": ["soon"]}, "no number"),
        ({"location": "Mars/Base"}, "no time zone"), ({"location": "../etc/passwd"}, "no time zone"),
        ({"weekday": ["monday"]}, "not permitted"),
    ],
)  # fmt: skip
def test_what_is_no_interval_is_told(interval, why):
    with pytest.raises(ValidationError, match=why):
        TimeInterval.model_validate(interval)


@given(st.integers(0, 4_000_000_000_000), st.integers(0, 1439), st.integers(1, 1440))
def test_an_interval_and_the_rest_of_the_day_are_the_whole_day(at_ms, start, length):
    end = min(start + length, 1440)
    clock = [f"{one // 60:02}:{one % 60:02}" for one in (0, start, end, 1440)]
    parts = [{"start_time": a, "end_time": b} for a, b in pairwise(clock) if a != b]
    found = [TimeInterval.model_validate({"times": [one]}).contains(at_ms) for one in parts]
    assert sum(found) == 1


def test_zones_are_those_of_the_package_and_not_of_the_machine(monkeypatch):
    monkeypatch.setenv("PYTHONTZPATH", "")
    assert zone("Europe/Berlin").key == "Europe/Berlin"
    with pytest.raises(ValueError, match="no time zone"):
        zone("localtime")
