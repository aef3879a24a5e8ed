"""What people read when RabbitMQ cannot be used."""

import pytest
from amqp.exceptions import AccessRefused, NotAllowed, NotFound, PreconditionFailed

from app.queue.connection import sentence

URL = "amqp://me:secret@rabbit:5672/prod"


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (AccessRefused("ACCESS_REFUSED"), "refuses the user or password"),
        (NotAllowed("vhost prod not found"), "virtual host"),
        (NotFound("no exchange"), "`headrace queues init`"),
        (PreconditionFailed("inequivalent arg 'x-queue-type'"), "another shape"),
        (TimeoutError("timed out"), "is silent"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "is silent"),
        (ConnectionRefusedError(111, "Connection refused"), "does not answer"),
        (OSError(), "OSError"),
        (OSError("two\nlines"), "two lines"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_failure_is_one_sentence_without_the_password(error, part):
    said = sentence(URL, error)
    assert part in said
    assert "secret" not in said
    assert "\n" not in said
