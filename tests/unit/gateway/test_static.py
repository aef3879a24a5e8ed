"""What is served of the page: the updates that pages share, and the files."""

import hashlib
import re
from pathlib import Path

import pytest

from app.gateway import pages
from app.gateway.board import Board
from tests.unit.gateway.boards import scale


@pytest.fixture
def board():
    return Board(30)


def test_pages_that_came_at_different_moments_share_their_updates_after_one_beat(board, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(pages, "monotonic", lambda: clock[0])
    frames, asked = pages.Frames(board), []
    since = board.since
    monkeypatch.setattr(board, "since", lambda number: asked.append(number) or since(number))
    numbers = {"a": 0, "b": 0}
    for name in numbers:
        scale(board, f"j-0-{name}-0")
        numbers[name], _ = frames.since(0)
        clock[0] += 0.7
    for beat in range(3):
        scale(board, f"j-1-{beat}-0")
        asked.clear()
        numbers = {name: frames.since(number)[0] for name, number in numbers.items()}
        clock[0] += 0.5
    assert len(set(numbers.values())) == 1
    assert len(asked) == 1


def test_the_vendored_files_are_those_that_were_noted():
    vendor = pages.STATIC / "vendor"
    noted = dict(re.findall(r"\| `(\S+)` \| `([0-9a-f]{64})` \|", (vendor / "README.md").read_text()))
    there = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.iterdir()
        if path.name != "README.md"
    }
    assert noted == there


@pytest.mark.parametrize("path", sorted(pages.STATIC.glob("*.js")), ids=lambda path: path.name)
def test_our_scripts_never_turn_text_into_markup(path: Path):
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|https?://(?!\S*test)[a-z]",
        path.read_text(),
    )
