"""Kafka's clock as an app tells it."""

import time

import pytest

from app.stream.clock import Clock


def test_before_the_first_answer_there_is_no_time_rather_than_the_machines():
    clock = Clock()
    assert not clock.heard
    with pytest.raises(ValueError, match="Kafka's time is not known"):
        clock.now_ms()


def test_it_goes_on_from_the_newest_answer_whatever_the_machine_is_set_to(monkeypatch):
    steady_s = 1000.0
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: int(steady_s * 1e9))
    clock = Clock()
    clock.hear(1_700_000_000_000)
    steady_s += 2.5
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert clock.now_ms() == 1_700_000_002_500
    clock.hear(1_700_000_000_100)  # another broker, whose clock is behind
    assert clock.now_ms() == 1_700_000_000_100
