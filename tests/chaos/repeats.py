"""What the sender wrote twice, without knowing: read from the sources, since nobody else can tell.

A producer that does not hear of a write while its leader moves begins a new epoch and writes again; where the first
was taken after all, Kafka keeps both. They are two records, and each must be counted once. No two messages of the
traffic are equal, so equal ones are such.
"""

from collections.abc import Iterator, Sequence

from app.settings import Settings
from app.stream import client


class Repeats:
    """Looks through the sources as they grow."""

    def __init__(self, settings: Settings, topics: Sequence[str]) -> None:
        self._settings = settings
        self._next = {topic: client.borders(settings, topic)[0] for topic in topics}
        self._seen: set[tuple[str, bytes]] = set()

    def found(self) -> Iterator[tuple[str, bytes]]:
        """(topic, value) of each record since the last call that has come before."""
        for topic, start in self._next.items():
            end = client.borders(self._settings, topic)[1]
            for message in client.read_topic(self._settings, topic, start, end):
                if (topic, message.value) in self._seen:
                    yield topic, message.value
                self._seen.add((topic, message.value))
            self._next[topic] = end
