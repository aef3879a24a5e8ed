"""Messages that were dead-lettered and parked: looked at, sent again, dropped. `headrace dead` calls it.

A look takes messages without acknowledging them and gives them back, so that nothing is lost if it is
cut off; who looks at the same moment may miss some. What is sent again goes first to where it came
from, confirmed, then on the record, and only then leaves the queue; what is dropped goes on the record
first. So nothing leaves without a record, and who is cut off between has it all to do again.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import time_ns
from typing import Any, Final, NamedTuple

import msgspec
from amqp import Message

from app.queue.connection import ERRORS, connect, sentence
from app.settings import Settings
from tasks.contract import EXCHANGE, EXPIRY_S, PARKED_HEADER, PARKED_QUEUE, REDRIVE_HEADER, Kind, Parked

MOST_REDRIVES: Final = 3
"""Times that one message is sent again; what is dead then is dead for a reason."""

_ADDED: Final = frozenset({PARKED_HEADER, "x-death", "x-first-death-exchange", "x-first-death-queue"})
_ADDED_TO_ALL: Final = ("x-first-death-", "x-last-death-", "x-delivery-count")


class ParkedError(Exception):
    """RabbitMQ cannot be asked, or a message cannot be sent again; the text is a sentence."""


class Letter(NamedTuple):
    """A parked message. `about` says why it is there, `redrives` how often it was sent again."""

    about: Parked
    body: bytes
    headers: dict[str, Any]
    properties: dict[str, Any]
    redrives: int
    tag: int

    @property
    def name(self) -> str:
        """What people call it: its action's id, or its place in the queue where it has none."""
        return self.about.id or f"#{self.tag}"


Record = Callable[[list[Letter]], None]
"""Writes down what is done with some letters; what it raises leaves them where they are."""


def look(settings: Settings, limit: int) -> list[Letter]:
    """The oldest parked messages, at most `limit`; raises ParkedError."""
    with _channel(settings) as channel:
        return list(_letters(channel, limit))


def redrive(
    settings: Settings, wanted: Callable[[Letter], bool], limit: int, by: str, record: Record = lambda _: None
) -> list[Letter]:
    """Send messages again to where they came from, at most `limit`; what was sent. Raises ParkedError.

    An action gets a new expiry, as if it were decided now: somebody wants it now. One that was sent
    again `MOST_REDRIVES` times stays where it is.
    """
    sent: list[Letter] = []
    with _channel(settings) as channel:
        try:
            for letter in _letters(channel, None):
                if len(sent) >= limit or not wanted(letter) or letter.redrives >= MOST_REDRIVES:
                    continue
                channel.basic_publish(*_again(letter, by), mandatory=True)
                sent.append(letter)
        finally:
            if sent:
                record(sent)
        for letter in sent:
            channel.basic_ack(letter.tag)
    return sent


def drop(
    settings: Settings, wanted: Callable[[Letter], bool], limit: int, record: Record = lambda _: None
) -> list[Letter]:
    """Delete messages for good, at most `limit`; what was deleted. Raises ParkedError."""
    with _channel(settings) as channel:
        gone = [letter for letter in _letters(channel, None) if wanted(letter)][:limit]
        if gone:
            record(gone)
        for letter in gone:
            channel.basic_ack(letter.tag)
    return gone


def count(settings: Settings) -> int:
    """How many messages are parked; raises ParkedError."""
    with _channel(settings) as channel:
        return int(channel.queue_declare(PARKED_QUEUE, passive=True).message_count)


def _again(letter: Letter, by: str) -> tuple[Message, str, str]:
    """The message as it was, with a new expiry and a redrive more, where to, and its routing key."""
    headers = {key: value for key, value in letter.headers.items() if not _added(key)}
    headers[REDRIVE_HEADER] = letter.redrives + 1
    headers["x-headrace-redriven-by"] = by
    properties = {key: value for key, value in letter.properties.items() if key != "application_headers"}
    # a message that came by its queue's own name, as a plain job may, goes back the same way
    exchange = EXCHANGE if letter.about.routing_key.startswith("action.") else ""
    key = letter.about.routing_key if exchange else letter.about.queue or letter.about.routing_key
    return Message(_prolonged(letter), application_headers=headers, **properties), exchange, key


def _prolonged(letter: Letter) -> bytes:
    """The body with an expiry that is still to come, where it is that of an action."""
    try:
        parsed = json.loads(letter.body)
        action = parsed[0][0]
        action["expires_at_ms"] = time_ns() // 1_000_000 + EXPIRY_S[Kind(action["kind"])] * 1000
    except (ValueError, LookupError, TypeError):
        return letter.body
    return json.dumps(parsed, separators=(",", ":")).encode()


def _added(header: str) -> bool:
    return header in _ADDED or header.startswith(_ADDED_TO_ALL)


def _letters(channel: Any, limit: int | None) -> Iterator[Letter]:
    """Messages as they are in the queue, each once, not acknowledged."""
    left = channel.queue_declare(PARKED_QUEUE, passive=True).message_count
    while left and limit != 0 and (message := channel.basic_get(PARKED_QUEUE)) is not None:
        left, limit = left - 1, None if limit is None else limit - 1
        body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
        headers = dict(message.headers or {})
        redrives = headers.get(REDRIVE_HEADER, 0)
        yield Letter(
            _about(headers), body, headers, dict(message.properties), redrives if isinstance(redrives, int) else 0,
            message.delivery_info["delivery_tag"],
        )  # fmt: skip


def _about(headers: dict[str, Any]) -> Parked:
    try:
        return msgspec.json.decode(str(headers.get(PARKED_HEADER, "")), type=Parked)
    except msgspec.MsgspecError:
        return Parked(at_ms=0, why="unknown", queue="", routing_key="")  # somebody else put it there


@contextmanager
def _channel(settings: Settings) -> Iterator[Any]:
    """A channel with confirms; closing it gives back what was not acknowledged."""
    connection = None
    try:
        connection = connect(settings.rabbitmq_url, confirm=True)
        yield connection.channel()
    except ERRORS as error:
        raise ParkedError(sentence(settings.rabbitmq_url, error)) from error
    finally:
        if connection is not None:
            connection.release()
