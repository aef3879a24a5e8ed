"""What the board of the incident page keeps, and what it leaves out."""

import json

import msgspec
import pytest

from app.gateway.actions import EARLY
from app.gateway.board import MOST, SERVICES, Board
from app.gateway.services import NAME
from app.policy.facts import (
    Instances,
    Tick,
)  # fmt: skip
from app.wire.quarantine import quarantined
from app.wire.rules import Raw
from tasks.contract import Kind
from tests.unit.gateway.boards import SOURCE, T0, decision, outcome, pack, put, scale


@pytest.fixture
def board():
    return Board(30)


def test_what_falls_out_of_the_window_is_dropped(board):
    put(board, pack(("old", "cpu", "a", T0, 1)))
    scale(board, "j-0-1-0", "old")
    board.quarantined(quarantined(Raw("metrics", "id", 0, 3, T0, None, b"not json"), "it is not JSON"))
    put(board, Instances(SOURCE, "web", T0, 2, 2))
    for minutes in (10, 20):
        put(board, pack(("web", "cpu", "a", T0 + minutes * 60_000, 5)), T0 + minutes * 60_000)
    later = T0 + 31 * 60_000
    put(board, pack(("web", "cpu", "a", later, 5)), later)
    put(board, Tick(later), later + 10_000)
    found = board.since(0)
    assert [one["name"] for one in found["services"]] == ["web"]
    assert found["decisions"] == found["quarantine"] == []
    assert list(found["services"][0]["replicas"]) == [[T0 // 1000], [2]]  # a step goes on until the next


def test_everything_is_bounded_and_what_is_beyond_is_counted(board):
    for n in range(SERVICES + 5):
        put(board, pack((f"service-{n}", "cpu", "a", T0, 1)))
    for n in range(MOST["decisions"] + 7):
        board.decision(decision(f"j-0-{n}-0", "service-1", at_ms=T0 + n))
    for n in range(MOST["quarantine"] + 3):
        board.quarantined(quarantined(Raw("metrics", "id", 0, n, T0 - n, None, b"x" * 5000), "why " * 500))
    for n in range(3000):
        board.outcome(outcome(f"unknown-{n}", kind=Kind.NOTIFY))
    found = board.since(0)
    assert len(found["services"]) == SERVICES
    assert found["left_out"] == {
        "services": 5,
        "samples": 5,
        "unreadable": 0,
        "decisions": 7,
        "events": 0,
        "builds": 0,
        "quarantine": 3,
    }
    assert found["decisions"][0]["at"] == T0 + 7  # the newest are kept
    assert min(row["at"] for row in found["quarantine"]) == T0 - MOST["quarantine"] + 1
    assert len(board._actions._early) == EARLY
    assert max(len(row["reason"]) for row in found["quarantine"]) <= 240
    assert max(len(row["value"]) for row in found["quarantine"]) <= 201


def test_long_names_are_cut_and_hostile_ones_are_kept_as_they_are(board):
    hostile = "<img src=x onerror=alert(1)>\x00\u202e"
    put(board, pack((hostile, hostile, "a", T0, 1), ("n" * 5000, "m" * 5000, "a", T0, 1)))
    names = [one["name"] for one in board.since(0)["services"]]
    assert names == [hostile, "n" * (NAME - 1) + "…"]
    assert json.loads(msgspec.json.encode(board.since(0)))["services"][0]["shown"] == [hostile]
