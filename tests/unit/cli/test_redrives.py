"""What is written down of dead letters: whoever asks is looked at before anything is done, the letters never after."""

from types import SimpleNamespace

import msgspec
import pytest

from app.cli.errors import Failure
from app.cli.redrives import recorder
from app.policy.facts import Verb
from app.queue.parked import Letter
from app.settings import Settings

SETTINGS = Settings(kafka_url="kafka://nowhere:9092")


@pytest.fixture
def written(monkeypatch):
    found = []
    monkeypatch.setattr("app.cli.redrives.client.reach", lambda _: {})
    monkeypatch.setattr("app.cli.redrives.client.send", lambda _, messages: found.extend(messages))
    return found


def letter(redrives, name="one", service="web"):
    return Letter(SimpleNamespace(id=name, service=service), b"", {}, {}, redrives, 1)


@pytest.mark.parametrize("odd", [letter(-5), letter(2**60), letter(0, "\x01" * 300), letter(0, "one", "")])
def test_an_odd_letter_is_written_down_with_the_others(written, odd):
    recorder(SETTINGS, Verb.REDRIVE, "ann", "mended")([odd, letter(1)])
    assert sum(len(msgspec.json.decode(one.value)["ids"]) for one in written) == 2


@pytest.mark.parametrize(("author", "reason"), [("a" * 300, "mended"), ("ann", "x" * 20_000)])
def test_a_name_or_reason_that_would_be_refused_is_refused_at_once(written, author, reason):
    with pytest.raises(Failure, match="it would be refused"):
        recorder(SETTINGS, Verb.DROP, author, reason)
    assert written == []
