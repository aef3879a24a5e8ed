"""One connection to RabbitMQ with pipelined publisher confirms. The publisher's thread uses it.

Confirms are matched by delivery tag here: py-amqp's own wait takes a late confirm for that of the
next message. A returned message (no queue takes it) is confirmed as well, after its return, so it
counts as refused. A link in doubt is thrown away, never used again, and never closed politely.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from amqp import Message

from app.queue.connection import SILENCE_S, connect
from app.queue.message import Outgoing
from tasks.contract import EXCHANGE

WINDOW: Final = 500
"""Most messages whose confirms are awaited at once."""
LOOK_S: Final = 0.5
"""Time between two looks at whether the publisher is being stopped."""


class Refused(Exception):  # noqa: N818 - said of messages, not of the program
    """RabbitMQ took the connection and not every message; the text is a sentence."""


class Link:
    """One connection and one channel with confirms, for one thread."""

    def __init__(self, url: str) -> None:
        """Connect; raises one of `connection.ERRORS`."""
        self._connection = connect(url)
        self._tag = 0
        self._open: dict[int, int] = {}  # delivery tag → place in what is being sent
        self._sending: Sequence[Outgoing] = ()
        self._confirmed: set[int] = set()
        self._returned: Counter[str] = Counter()
        self._full: set[str] = set()
        self._unroutable: set[str] = set()
        try:
            self._channel: Any = self._connection.channel()
            self._channel.confirm_select()
        except BaseException:
            self.drop()
            raise
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)

    def send(self, messages: Sequence[Outgoing], confirmed: set[int], wanted: Callable[[], bool]) -> None:
        """Publish all in order; the place of each confirmed one goes into `confirmed`, also when this raises.

        Raises Refused if some were not taken, and anything of `connection.ERRORS` when the link is of no
        use any more. Returns early, with some missing from `confirmed`, when `wanted` turns False: drop it then.
        """
        self._sending, self._confirmed = messages, confirmed
        self._full.clear()
        self._unroutable.clear()
        for place, message in enumerate(messages):
            while len(self._open) >= WINDOW and wanted():
                self._drain(wanted)
            if not wanted():
                return
            self._tag += 1
            self._open[self._tag] = place
            self._channel.basic_publish(
                Message(message.body, **message.properties), EXCHANGE, message.routing_key, mandatory=message.mandatory
            )
        while self._open and wanted():
            self._drain(wanted)
        if not self._open and len(confirmed) < len(messages):
            raise Refused(self._why())

    def _drain(self, wanted: Callable[[], bool]) -> None:
        """Wait until something is settled, or there is no use in it; raises TimeoutError after a long silence."""
        before, deadline = len(self._open), monotonic() + SILENCE_S
        while len(self._open) == before and wanted():
            try:
                self._connection.drain_events(timeout=LOOK_S)
            except TimeoutError:
                if monotonic() > deadline:
                    raise

    def _settled(self, tag: int, multiple: bool) -> list[int]:  # noqa: FBT001 - AMQP's own argument
        """Places of what a confirm speaks of; a tag that is not awaited is nobody's."""
        tags = [one for one in self._open if one <= tag] if multiple else [tag]
        return [self._open.pop(one) for one in tags if one in self._open]

    def _on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001
        for place in self._settled(tag, multiple):
            message = self._sending[place]
            if self._returned[message.id]:
                self._returned[message.id] -= 1
                self._unroutable.add(message.kind)
            else:
                self._confirmed.add(place)

    def _on_nack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001
        self._full.update(self._sending[place].kind for place in self._settled(tag, multiple))

    def _on_return(self, *args: Any) -> None:
        # the frame has no delivery tag; it arrives before the confirm of the same message
        self._returned[args[-1].properties.get("message_id", "")] += 1

    def _why(self) -> str:
        """Why some were not taken: the same words for the same reason, however the confirms were grouped."""
        full, unroutable = ", ".join(sorted(self._full)), ", ".join(sorted(self._unroutable))
        parts = [f"RabbitMQ refuses actions of kind {full}: is their queue full?"] if full else []
        if unroutable:
            parts.append(
                f"no queue on {EXCHANGE} takes actions of kind {unroutable}; make it with `headrace queues init`"
            )
        return "; ".join(parts)

    def drop(self) -> None:
        """Close without a word to the server, which may not listen."""
        self._connection.collect()
