"""RabbitMQ's management API, for what is not part of AMQP: policies, users, and what a queue is made of.

Used by `topology` and `roles`; nothing of the product's running parts needs it.
"""

from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import httpx2

from app.settings import Settings

TIMEOUT_S: Final = 10.0


class TopologyError(Exception):
    """RabbitMQ cannot be asked or refuses; the text is a sentence."""


def call(settings: Settings, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """One call of the management API; raises TopologyError."""
    api = urlsplit(settings.rabbitmq_management)
    amqp = urlsplit(settings.rabbitmq_url)
    vhost = quote(settings.rabbitmq_vhost, safe="")
    base = f"{api.scheme}://{api.netloc.rpartition('@')[2]}{api.path.rstrip('/')}"
    url = f"{base}/api/{path.format(vhost=vhost)}"
    user = unquote(api.username or amqp.username or "guest"), unquote(api.password or amqp.password or "guest")
    try:
        answer = httpx2.request(method, url, json=body, auth=user, timeout=TIMEOUT_S)
        answer.raise_for_status()
    except httpx2.HTTPError as error:
        raise TopologyError(
            f"RabbitMQ's management API does not do what policies and users need: {_told(error)}; "
            f"run `rabbitmq-plugins enable rabbitmq_management`, or set HEADRACE_RABBITMQ_API if it is not at {base}"
        ) from error
    return answer.json() if answer.content else None


def _told(error: httpx2.HTTPError) -> str:
    """What the API answered, without the links and line breaks that the client adds."""
    if isinstance(error, httpx2.HTTPStatusError):
        return f"it answers {error.response.status_code} to {error.request.method} {error.request.url.path}"
    return str(error) or type(error).__name__
