"""`headrace pause`, `resume`, `silence`, `unsilence`: what they write is what the intake reads."""

import pytest
from typer.testing import CliRunner

from app.cli import root
from app.policy.facts import Command, Direction, Source, Verb
from app.stream.topics import CONTROL
from app.wire.internal import control
from app.wire.read import Raw

NOW_MS = 1_750_000_000_000
SOURCE = Source(CONTROL, "id", 0, 7, 7)
WHO = ("--author", "ann", "--reason", "a sale")


@pytest.fixture
def said(monkeypatch):
    """Runs a command; the fact that comes of what it sends, and what it says itself."""
    sent = []
    monkeypatch.setattr("app.cli.control.client.send", lambda _, messages: sent.extend(messages))
    monkeypatch.setattr("app.cli.commands.now_ms", lambda: NOW_MS)

    def run(*arguments):
        done = CliRunner().invoke(root, arguments)
        assert done.exit_code == 0, done.output
        one = sent.pop()
        assert (sent, one.topic, one.partition) == ([], CONTROL, 0)
        return control(Raw(CONTROL, "id", 0, 7, NOW_MS, None, one.value), SOURCE), done.stdout

    return run


@pytest.mark.parametrize("way", list(Direction))
def test_a_pause_is_of_a_direction_with_who_why_and_until_when(said, way):
    fact, told = said("pause", "web", "--direction", way.value, "--for", "30m", *WHO)
    assert fact == Command(SOURCE, Verb.PAUSE, "web", "ann", "a sale", NOW_MS, NOW_MS + 1_800_000, "", way)
    of = {Direction.BOTH: "scaling of web", Direction.UP: "scaling up of web", Direction.DOWN: "scaling down of web"}
    assert told == f"{of[way]} is paused for 30m\n"


def test_a_pause_without_an_end_says_how_to_end_it(said):
    fact, told = said("pause", "*", *WHO)
    assert (fact.service, fact.until_ms, fact.direction) == ("*", 0, Direction.BOTH)
    assert "end it with `headrace resume '*'`" in told


def test_a_silence_is_of_some_alerts_for_some_time(said):
    fact, told = said("silence", "web", "--alert", "budget-*", "--for", "2h", *WHO)
    assert fact == Command(SOURCE, Verb.SILENCE, "web", "ann", "a sale", NOW_MS, NOW_MS + 7_200_000, "budget-*")
    assert told == "alerts budget-* of web are silenced for 2h\n"
    assert said("silence", "web", "--for", "2h", *WHO)[0].alert == "*"


@pytest.mark.parametrize(("verb", "alert"), [("resume", ""), ("unsilence", "*")])
def test_what_ends_one_needs_no_reason_and_has_an_author(said, verb, alert):
    fact, _ = said(verb, "web")
    assert (fact.verb, fact.service, fact.until_ms, fact.alert, fact.reason) == (Verb(verb), "web", 0, alert, "")
    assert "@" in fact.author


@pytest.mark.parametrize(
    "arguments",
    [
        ("pause", "web"),
        ("pause", "web", "--direction", "sideways", *WHO),
        ("silence", "web", "--for", "2h"),
        ("silence", "web", *WHO),
        ("silence", "web", "--for", "soon", *WHO),
        ("resume",),
    ],
)
def test_a_word_without_its_reason_or_its_end_is_wrong_usage_and_nothing_is_sent(monkeypatch, arguments):
    monkeypatch.setattr("app.cli.control.client.send", lambda *_: pytest.fail("something was sent"))
    assert CliRunner().invoke(root, arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("pause", "", *WHO), "the message has no 'service'"),
        (("pause", "web", "--reason", "x" * 20_000), "'reason' has 20000 bytes"),
        (("pause", "web", "--reason", "lunch", "--author", "a" * 300), "'author' has 300 bytes"),
        (("silence", "web", "--alert", "a" * 300, "--for", "1h", *WHO), "'alert' has 300 bytes"),
    ],
)
def test_nobody_is_told_that_something_holds_which_the_intake_would_refuse(monkeypatch, arguments, why):
    monkeypatch.setattr("app.cli.control.client.send", lambda _, messages: pytest.fail(f"sent: {list(messages)}"))
    done = CliRunner().invoke(root, arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"headrace: nothing was handed over, since it would be refused: {why}")
