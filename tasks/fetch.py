"""Which queues a worker takes from, and how many messages before it has done those it has.

`tasks.main` makes its queues of `Fetched`, `tasks.consumer` has the step among its own. What waits in a worker
waits in its main process, so that it does not share the fate of a message that kills a child.
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

import structlog
from amqp.exceptions import NotFound
from celery.worker.consumer.tasks import Tasks
from kombu import Queue

from tasks.contract import QUEUES, Kind

log = structlog.get_logger()

MISSING_S: Final = 5.0
"""Seconds between two looks for queues that are missing."""

SPARE: Final = 1
"""Messages of a queue that a worker has beside one for each of its processes: whichever is done first begins the
next at once, while RabbitMQ hears of the one before."""

ALONE: Final = frozenset({QUEUES[Kind.BUILD]})
"""Queues of which it takes none to spare: a build would wait for another, where a second worker may be idle; and
RabbitMQ takes a delivery back after 30 minutes, however much of them was waiting."""


class Fetched(Queue):
    """A queue with a prefetch count of its own, which quorum queues have for each consumer."""

    children = 1
    """Processes of this worker. Of the class: kombu makes a copy of a queue for each channel, without what was set."""
    on_lost: ClassVar[Callable[[str], None] | None] = None
    """Called with the name of a queue from which RabbitMQ gives nothing any more, because somebody deleted it."""

    @property
    def ahead(self) -> int:
        """How many messages of it a worker has at a time."""
        return self.children + (0 if self.name in ALONE else SPARE)

    def consume(self, *args: Any, **kwargs: Any) -> Any:
        """Consume, after RabbitMQ was told how many messages at a time."""
        self.channel.basic_qos(0, self.ahead, False)
        lost = Fetched.on_lost  # of the class: of an instance it would be a method
        return super().consume(*args, **kwargs, on_cancel=None if lost is None else lambda _: lost(self.name))


class Fetch(Tasks):
    """Celery's step that makes the consumer of tasks; first its queues are told how many processes there are.

    A queue that RabbitMQ does not have is left out until it has it: Celery would connect again some hundred times a
    second, take from none, and not hear of it at all if the queue is deleted just after it connected.
    """

    _missing: frozenset[str] = frozenset()
    _timer: Any = None

    def start(self, c: Any) -> None:
        """Make the consumer; it begins to consume later."""
        Fetched.children = c.initial_prefetch_count
        Fetched.on_lost = lambda name: self._miss(c, {name})
        queues = c.app.amqp.queues
        for name in self._missing:  # they were left out when the connection before this one was made
            queues.select_add(queues[name])
        self._missing = frozenset()
        missing = missing_of(c.connection, queues.consume_from)
        queues.deselect(missing)
        super().start(c)
        if missing:
            self._miss(c, missing)

    def stop(self, c: Any) -> None:
        """Cancel the consumer."""
        self._rest()
        super().stop(c)

    def _miss(self, c: Any, names: Iterable[str]) -> None:
        """Do without some queues, and look for them from time to time."""
        self._missing |= frozenset(names)
        why = "a worker takes from them once they are there: make them with `headrace queues init`"
        log.error("queues_missing", queues=sorted(names), why=why)
        if self._timer is None:
            self._timer = c.timer.call_repeatedly(MISSING_S, self._look_again, (c,))

    def _look_again(self, c: Any) -> None:
        """Take from queues that are there now."""
        found = self._missing - missing_of(c.connection, self._missing)
        for name in sorted(found):
            c.task_consumer.cancel_by_queue(name)  # if it took from it before: that is over for RabbitMQ only
            c.add_task_queue(name)
        self._missing -= found
        if not self._missing:
            self._rest()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def missing_of(connection: Any, queues: Iterable[str]) -> frozenset[str]:
    """Which of these queues RabbitMQ does not have."""
    return frozenset(name for name in queues if not _is_there(connection, name))


def _is_there(connection: Any, name: str) -> bool:
    channel = connection.channel()  # of its own: RabbitMQ closes it when it does not have the queue
    try:
        channel.queue_declare(name, passive=True)
    except NotFound:
        return False
    channel.close()
    return True
