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

    ahead = 1

    def consume(self, *args: Any, **kwargs: Any) -> Any:
        """Consume, after RabbitMQ was told how many messages at a time."""
        self.channel.basic_qos(0, self.ahead, False)
        return super().consume(*args, **kwargs)


class Fetch(Tasks):
    """Celery's step that makes the consumer of tasks, with the prefetch count of each queue."""

    def start(self, c: Any) -> None:
        """Make the consumer; it begins to consume later."""
        super().start(c)
        for queue in c.task_consumer.queues:
            queue.ahead = c.initial_prefetch_count + (0 if queue.name in ALONE else SPARE)
