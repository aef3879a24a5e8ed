"""Writes down on the control topic what people did with dead letters. `headrace dead redrive` and `drop` call it.

The intake puts it on the journal, where history finds it; the engine passes it over.
"""

from collections.abc import Iterator

import msgspec

from app.cli.control import checked
from app.cli.printing import remark
from app.cli.times import now_ms
from app.policy.facts import Verb
from app.queue.parked import Letter, Record
from app.settings import Settings
from app.stream import client
from app.stream.topics import CONTROL
from app.wire.fields import NAME_BYTES
from app.wire.internal import MOST_LISTED, CommandMessage
from tasks.contract import UNKNOWN_SERVICE


def recorder(settings: Settings, verb: Verb, author: str, reason: str) -> Record:
    """What writes records of some letters: one a service and number of the redrive, each confirmed by Kafka.

    Before anything is done it raises KafkaUnavailable if Kafka does not answer, and Failure if author or reason would
    be refused. Without Kafka it says that there is no record.
    """
    if not settings.kafka_url:
        return lambda letters: remark(
            f"no record of this could be written for {len(letters)} messages: HEADRACE_KAFKA_URL is not set"
        )
    checked(CommandMessage(verb, UNKNOWN_SERVICE, author, reason, now_ms()))
    client.reach(settings)

    def record(letters: list[Letter]) -> None:
        # whatever a letter says of itself: a record that is refused later is better than letters that nobody is rid of
        messages = _messages(verb, letters, author, reason)
        client.send(settings, [client.Outgoing(CONTROL, msgspec.json.encode(one), partition=0) for one in messages])

    return record


def _messages(verb: Verb, letters: list[Letter], author: str, reason: str) -> Iterator[CommandMessage]:
    groups: dict[tuple[str, int], list[str]] = {}
    for letter in letters:
        redrive = letter.redrives + 1 if verb is Verb.REDRIVE else letter.redrives
        groups.setdefault((letter.about.service or UNKNOWN_SERVICE, redrive), []).append(_cut(letter.name))
    at_ms = now_ms()
    for (service, redrive), ids in groups.items():
        for first in range(0, len(ids), MOST_LISTED):
            yield CommandMessage(
                verb, _cut(service), author, reason, at_ms, ids=ids[first : first + MOST_LISTED], redrive=redrive
            )


def _cut(name: str) -> str:
    """A name as long as a record may have it: letters come from anybody."""
    return name.encode()[:NAME_BYTES].decode(errors="ignore")
