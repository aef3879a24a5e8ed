"""Alertmanager as a receiver: alerts are posted to its API, https://prometheus.io/docs/alerting/latest/alerts_api/.

Called by `tasks.clients.receivers` for addresses `alertmanager://[user:password@]host:port[/path]`, and
`alertmanagers://` for https. Alertmanager knows an alert by its labels, so one that is posted again is the same
one; grouping over services, silences and who is told are its business.
"""

import re
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import httpx2

from tasks.clients.retry_after import again, wait_s
from tasks.contract import Alerted, Notify
from tasks.errors import PermanentError, TemporaryError

TIMEOUT_S: Final = 5.0
MESSAGE_MS: Final = 300_000
"""How long a message that is about no alert stays there."""

_SCHEMES: Final = {"alertmanager": "http", "alertmanagers": "https"}
_NO_NAME: Final = re.compile(r"^(?=\d)|[^a-zA-Z0-9_]")


def is_one(address: str) -> bool:
    """Whether an address is an Alertmanager's."""
    return address.partition("://")[0].lower() in _SCHEMES


def post(address: str, action: Notify) -> None:
    """Post what a message is about; raises the errors of `tasks.errors`, without the address."""
    url, auth = _parts(action.receiver, address)
    about = action.alerts or [_message(action)]
    try:
        answer = httpx2.post(url, json=[_posted(one) for one in about], auth=auth, timeout=TIMEOUT_S)
    except httpx2.HTTPError as error:
        why = str(error) or type(error).__name__
        raise TemporaryError(f"receiver {action.receiver!r}: Alertmanager does not answer: {why}", 2.0) from None
    status = answer.status_code
    if again(status):
        asked_s = wait_s(answer.headers.get("retry-after", ""))
        raise TemporaryError(f"receiver {action.receiver!r}: Alertmanager answers {status}", asked_s)
    if not answer.is_success:
        raise PermanentError(f"receiver {action.receiver!r}: Alertmanager answers {status}: {answer.text[:200]}")


def _parts(receiver: str, address: str) -> tuple[str, tuple[str, str] | None]:
    """Where to post, and as whom: apart, so that no log line of a request has the password."""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise PermanentError(f"receiver {receiver!r} has an address of an Alertmanager that is none") from None
    if not parts.hostname or parts.query or parts.fragment:
        raise PermanentError(f"receiver {receiver!r} has an address of an Alertmanager that is none")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    url = f"{_SCHEMES[parts.scheme]}://{host}{port}{parts.path.rstrip('/')}/api/v2/alerts"
    return url, (unquote(parts.username), unquote(parts.password or "")) if parts.username else None


def _posted(one: Alerted) -> dict[str, Any]:
    labels = {_NO_NAME.sub("_", name): value for name, value in one.labels.items() if value}
    return {
        "labels": labels, "annotations": {_NO_NAME.sub("_", name): text for name, text in one.annotations.items()},
        "startsAt": _time(min(one.starts_ms, one.ends_ms)), "endsAt": _time(one.ends_ms),
    }  # fmt: skip


def _message(action: Notify) -> Alerted:
    """A message that is about no alert, as one of its own that is soon over."""
    labels = {"alertname": "headrace", "service": action.service, "severity": action.severity, "decision": action.id}
    return Alerted(
        labels=labels, annotations={"summary": action.title, "description": action.body},
        starts_ms=action.decided_at_ms, ends_ms=action.decided_at_ms + MESSAGE_MS,
    )  # fmt: skip


def _time(at_ms: int) -> str:
    """RFC 3339; a time beyond the year 9999 is the last that there is."""
    at = datetime.fromtimestamp(min(max(at_ms, 0), 253_402_300_799_000) / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
