"""How many messages a worker takes from a queue before it has done those it has.

`tasks.main` makes its queues of `Fetched`, `tasks.consumer` has the step among its own. What waits in a worker
waits in its main process, so that it does not share the fate of a message that kills a child.
"""

from typing import Any, Final

from celery.worker.consumer.tasks import Tasks
from kombu import Queue

from tasks.contract import QUEUES, Kind

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

    @property
    def ahead(self) -> int:
        """How many messages of it a worker has at a time."""
        return self.children + (0 if self.name in ALONE else SPARE)

    def consume(self, *args: Any, **kwargs: Any) -> Any:
        """Consume, after RabbitMQ was told how many messages at a time."""
        self.channel.basic_qos(0, self.ahead, False)
        return super().consume(*args, **kwargs)


class Fetch(Tasks):
    """Celery's step that makes the consumer of tasks; first its queues are told how many processes there are."""

    def start(self, c: Any) -> None:
        """Make the consumer; it begins to consume later."""
        Fetched.children = c.initial_prefetch_count
        super().start(c)
