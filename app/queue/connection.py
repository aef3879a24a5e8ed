"""How RabbitMQ is reached: every wait is bounded, and what went wrong is a sentence.

Used by `topology`, by the publisher and by the router's start. Nothing is retried here.
"""

from typing import Any, Final

from amqp.exceptions import AccessRefused, NotAllowed, NotFound, PreconditionFailed
from kombu import Connection
from kombu.exceptions import OperationalError

from app.settings import masked
from tasks.contract import EXCHANGE
from tasks.tls import of_amqp

CONNECT_S: Final = 5.0
"""Longest wait for a connection."""
SILENCE_S: Final = 10.0
"""Longest wait for anything RabbitMQ should say or take; longer, and the connection is thrown away."""

ERRORS: Final[tuple[type[Exception], ...]] = (
    OSError,
    OperationalError,
    *Connection().connection_errors,
    *Connection().channel_errors,
)
"""What a call on a connection raises."""


def connect(url: str, *, confirm: bool = False) -> Any:
    """A new connection; raises one of `ERRORS`. End it with `collect()`, which does not wait for the server.

    `confirm`: each publish waits until RabbitMQ has confirmed it, and raises if no queue takes it.
    """
    options = {"read_timeout": SILENCE_S, "write_timeout": SILENCE_S, "confirm_publish": confirm}
    connection = Connection(url, connect_timeout=CONNECT_S, heartbeat=0, ssl=of_amqp(url), transport_options=options)
    try:
        connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
    except BaseException:
        connection.collect()
        raise
    return connection


def refusal(url: str) -> str:
    """Why RabbitMQ does not let us in, if it says so; empty if it does, and also while it is away."""
    try:
        connect(url).collect()
    except (AccessRefused, NotAllowed) as error:
        return sentence(url, error)
    except ERRORS:
        return ""
    return ""


def sentence(url: str, error: BaseException) -> str:
    """What went wrong and what to do, without the password."""
    where = f"RabbitMQ at {masked(url)}"
    if isinstance(error, AccessRefused):
        return f"{where} refuses the user or password; is HEADRACE_RABBITMQ_URL right?"
    if isinstance(error, NotAllowed):
        return f"{where} does not let this user into the virtual host; is HEADRACE_RABBITMQ_URL right?"
    if isinstance(error, NotFound):
        return f"{where} has no exchange {EXCHANGE}; make it with `headrace queues init`"
    if isinstance(error, PreconditionFailed):
        return f"{where} has a queue or exchange of another shape ({error}); delete it and run this again"
    if isinstance(error, TimeoutError | BlockingIOError):
        return f"{where} is silent; is it cut off, frozen, or short of memory or disk?"
    # py-amqp's own texts may hold a line break or nothing
    text = " ".join(str(error).split()) or type(error).__name__
    return f"RabbitMQ does not answer at {masked(url)} ({text}); is HEADRACE_RABBITMQ_URL right?"
