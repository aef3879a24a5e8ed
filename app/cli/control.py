"""What people's commands write to the control topic, once it is sure that the intake takes it.

Called by `app.cli.commands`, `policy` and `redrives`: nobody is told that something holds which is refused later.
"""

import msgspec

from app.cli.errors import Failure
from app.policy.facts import Source
from app.settings import Settings
from app.stream import client
from app.stream.topics import CONTROL
from app.wire.internal import ControlMessage, control
from app.wire.rules import Raw, UnreadableError


def hand_over(settings: Settings, message: ControlMessage) -> None:
    """Write it, confirmed by Kafka; raises Failure, with nothing written, if it would be refused."""
    client.send(settings, [client.Outgoing(CONTROL, checked(message), partition=0)])


def checked(message: ControlMessage) -> bytes:
    """The message as it is written; raises Failure if the intake would refuse it."""
    value = msgspec.json.encode(message)
    try:
        control(Raw(CONTROL, "", 0, 0, message.at_ms, None, value), Source(CONTROL, "", 0, 0, 0))
    except UnreadableError as error:
        raise Failure(f"nothing was handed over, since it would be refused: {error}") from error
    return value
