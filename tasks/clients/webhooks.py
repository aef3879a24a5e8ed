"""Webhooks, by name: an HTTP POST signed as https://www.standardwebhooks.com asks.

The action's id is its `webhook-id`, the same in each repeat, and so is the body; timestamp and signature are
those of the try. The connection goes straight to the receiver, by no proxy, and no redirect is followed: what
is signed for one place is not carried to another. httpcore2 is used itself and not httpx2, which stands on it,
since it takes our way to connect, and logs no URL: that of a webhook may be all that protects it.
"""

import base64
import binascii
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

import httpcore2
import httpx2
import msgspec
from standardwebhooks import Webhook as Signer

from tasks.clients import credentials
from tasks.clients.outward import Outward, PrivateAddressError
from tasks.clients.retry_after import again, wait_s
from tasks.clients.targets import Targets, Webhook
from tasks.contract import CallWebhook
from tasks.errors import PermanentError, TemporaryError

LONGEST_S: Final = 10.0
"""Seconds for a call, from its connection to its answer; the look-up of a name has the resolver's own limit."""
LARGEST: Final = 65_536
"""Bytes of an answer that are read, out of courtesy: only its status counts."""

_PREFIX: Final = "whsec_"
_ERRORS: Final = (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError)


class Webhooks:
    """The webhooks of the targets file."""

    def __init__(self, targets: Targets, longest_s: float = LONGEST_S) -> None:
        self._targets = targets
        self._longest_s = longest_s

    def call(self, action: CallWebhook) -> int:
        """Call a webhook; the status it answered with, which is 2xx. Raises PermanentError or TemporaryError."""
        webhook = self._targets.webhook(action.webhook)
        body = _body(action)
        headers = list(_headers(action, webhook, body).items())
        status, retry_after = self._posted(action.webhook, webhook, body, headers)
        if again(status):
            raise TemporaryError(f"webhook {action.webhook!r} answers {status}", wait_s(retry_after))
        if 300 <= status < 400:
            raise PermanentError(f"webhook {action.webhook!r} answers {status}: it is elsewhere; mend its `url`")
        if status == 410:
            raise PermanentError(f"webhook {action.webhook!r} answers 410: it wants to be called no more")
        if status >= 400:
            raise PermanentError(f"webhook {action.webhook!r} answers {status}")
        return status

    def _posted(self, name: str, webhook: Webhook, body: str, headers: list[tuple[str, str]]) -> tuple[int, str]:
        """Status and `Retry-After` of the answer to one request."""
        outward = Outward(self._longest_s, private=webhook.private)
        try:
            with (
                httpcore2.ConnectionPool(ssl_context=self._tls, network_backend=outward) as pool,
                pool.stream("POST", _url(name, webhook), headers=headers, content=body.encode()) as answer,
            ):
                _read(answer)
                told = {key.lower(): value for key, value in answer.headers}
                return answer.status, told.get(b"retry-after", b"").decode(errors="replace")
        except PrivateAddressError as error:
            raise PermanentError(
                f"webhook {name!r} is at {error}, which is not public; if it should be, say `private = true`"
            ) from None
        except httpcore2.TimeoutException:
            raise TemporaryError(f"webhook {name!r} does not answer within {self._longest_s:g} s", 2.0) from None
        except httpcore2.ProtocolError:  # its words have some of what was answered
            raise TemporaryError(f"webhook {name!r} answers what is no HTTP", 2.0) from None
        except httpcore2.NetworkError as error:
            raise TemporaryError(f"webhook {name!r} cannot be reached: {error}", 2.0) from None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpcore2.default_ssl_context()


def _read(answer: httpcore2.Response) -> None:
    """Take the answer's body, so far as it is small and comes in time: not to listen would look like a failure."""
    size = 0
    with suppress(*_ERRORS):
        for part in answer.iter_stream():
            size += len(part)
            if size > LARGEST:
                return


def _url(name: str, webhook: Webhook) -> httpcore2.URL:
    try:
        url = httpx2.URL(webhook.url)
    except httpx2.InvalidURL:
        raise PermanentError(f"webhook {name!r} has an address that is none") from None
    return httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _body(action: CallWebhook) -> str:
    """What is posted: the same bytes each time."""
    try:
        at = datetime.fromtimestamp(action.decided_at_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise PermanentError(f"{action.decided_at_ms} is no time that there is") from None
    timestamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return msgspec.json.encode({"type": action.event, "timestamp": timestamp, "data": action.data}).decode()


def _headers(action: CallWebhook, webhook: Webhook, body: str) -> dict[str, str]:
    """The signed headers; a signature for each secret, so that one can be replaced by another."""
    if not (action.id.isascii() and action.id.isprintable() and action.id.strip() == action.id):
        raise PermanentError("its id cannot be a header")
    now = datetime.now(UTC)
    signatures = [Signer(key).sign(action.id, now, body) for key in _keys(webhook)]
    return {
        "content-type": "application/json",
        "user-agent": "headrace",
        "webhook-id": action.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _keys(webhook: Webhook) -> list[bytes]:
    words = credentials.words("secret", webhook.secret_file, webhook.secret_env)
    place = credentials.place_of(webhook.secret_file, webhook.secret_env)
    return [_key(word, place) for word in words]


def _key(word: str, place: str) -> bytes:
    """The bytes of a secret; the standard has them be 24 to 64."""
    try:
        key = base64.b64decode(word.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not 24 <= len(key) <= 64:
        raise TemporaryError(
            f"the secret's {place} has no secret: `{_PREFIX}` and 24 to 64 bytes in base64", credentials.PATIENCE_S
        )
    return key
