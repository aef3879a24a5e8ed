"""Fetch sessions: a broker remembers what is read from it, and a fetch names only what has changed since the last.

aiokafka names every partition in every fetch and is told about every one of them, also where nothing has come: with
a few dozen partitions that is more work than the records are. The protocol has had a cure since Kafka 1.1
(KIP-227): the broker keeps the list, a request says what is different in it, and an answer has only the partitions
of which there is something to say. Used by `app.stream.fetching`; aiokafka's fetcher makes and takes requests as ever.
"""

from collections import defaultdict
from copy import copy
from typing import Any, Final

from aiokafka.protocol.fetch import FetchRequest, FetchRequestStruct

SINCE: Final = 7
"""The first version of a fetch that knows sessions."""

Wanted = list[tuple[str, list[tuple[int, int, int]]]]
"""By topic: partition, offset, and the most bytes of it."""


class Session:
    """What one broker knows of what we read from it. One fetch at a time."""

    def __init__(self) -> None:
        self._id = self._epoch = 0
        self._known: dict[tuple[str, int], tuple[int, int]] = {}
        self._answered = True

    def ask(self, wanted: Wanted) -> tuple[int, int, Wanted, dict[str, list[int]]]:
        """Session and epoch of a fetch, what it has to name, and what is no longer read.

        All of it after a fetch that was not answered: nobody knows what the broker has taken from it.
        """
        if not self._answered:
            self.begin()
        self._answered = False
        before, self._known = self._known, {
            (topic, partition): (offset, size) for topic, parts in wanted for partition, offset, size in parts
        }  # fmt: skip
        changed: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for (topic, partition), at in self._known.items():
            if before.pop((topic, partition), None) != at:
                changed[topic].append((partition, *at))
        gone: dict[str, list[int]] = defaultdict(list)
        for topic, partition in before:
            gone[topic].append(partition)
        return self._id, self._epoch, list(changed.items()), gone

    def answered(self, error: int, session_id: int) -> None:
        """The broker has answered: it may have forgotten the session, or not give us one (0)."""
        self._answered = True
        self._id = session_id
        self._epoch = self._epoch % 0x7FFF_FFFF + 1
        if error or not session_id:
            self.begin()

    def begin(self) -> None:
        """Name all with the next fetch, in a session of its own; it ends the one that was."""
        self._epoch = 0
        self._known = {}


class _Answer:
    """The type of the answer to one fetch: aiokafka reads with it what arrives."""

    def __init__(self, session: Session, of: Any) -> None:
        self._session = session
        self._of = of

    def decode(self, data: Any) -> Any:
        answer = self._of.decode(data)
        self._session.answered(answer.error_code, answer.session_id)
        return answer


class SessionFetch(FetchRequest):
    """A fetch of all that `whole` wants, in a session; to the fetcher it has the topics of `whole`."""

    def __init__(self, whole: FetchRequest, session: Session) -> None:
        self._whole = whole
        self._topics = whole.topics
        self._session = session

    def build(self, request_struct_class: type[FetchRequestStruct]) -> FetchRequestStruct:
        """The request as it is sent; aiokafka calls this just before."""
        if request_struct_class.API_VERSION < SINCE:
            return self._whole.build(request_struct_class)
        part = copy(self._whole)
        session_id, epoch, part._topics, gone = self._session.ask(self._topics)  # noqa: SLF001
        built: Any = part.build(request_struct_class)
        built.session_id, built.session_epoch = session_id, epoch
        built.forgotten_topics_data = list(gone.items())
        built.RESPONSE_TYPE = _Answer(self._session, built.RESPONSE_TYPE)
        return built


def in_sessions(fetcher: Any) -> None:
    """Have a fetcher of aiokafka ask in sessions, one a broker, begun anew with each assignment."""
    plain = fetcher._get_actions_per_node  # noqa: SLF001
    sessions: dict[int, Session] = defaultdict(Session)
    last: Any = None

    def actions(assignment: Any) -> Any:
        nonlocal last
        if assignment is not last:  # it knows nothing yet of its partitions, and all are told of in the first answer
            last = assignment
            for session in sessions.values():
                session.begin()
        requests, *rest = plain(assignment)
        return [(node, SessionFetch(request, sessions[node])) for node, request in requests], *rest

    fetcher._get_actions_per_node = actions  # noqa: SLF001
