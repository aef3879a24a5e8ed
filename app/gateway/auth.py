"""Who may use the gateway: a token as bearer or as the password of any user, or nobody but this machine.

A browser on this machine is no open door either: without a token the request must name this
machine as its host, which a page of somebody else's that was rebound to it does not, and whatever
another site has a browser send is refused. Webhooks carry their own signatures and are left to
`app.gateway.webhooks`.
"""

import base64
import binascii
import hmac
import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.settings import Settings

OPEN: Final = ("/webhooks/", "/livez", "/readyz")
"""Paths that ask for no token: signed, or telling nothing."""


def mistake(settings: Settings) -> str:
    """Why the gateway must not be started so; empty if it may."""
    if settings.gateway_token.get_secret_value() or _is_loopback(settings.gateway_host):
        return ""
    return (
        f"the gateway would listen on {settings.gateway_host} for everybody: set HEADRACE_GATEWAY_TOKEN, "
        "or HEADRACE_GATEWAY_HOST to 127.0.0.1"
    )


class Guard:
    """ASGI middleware that asks for the token if there is one, and for a request of this machine's own if not."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass; 401 where a token is missing, so that a browser asks for it."""
        if scope["type"] != "http" or scope["path"].startswith(OPEN):
            await self._app(scope, receive, send)
            return
        headers = HTTPConnection(scope).headers
        if _of_another_site(headers):
            await _refused(403, "this comes from another site's page")(scope, receive, send)
        elif self._token and not self._knows(headers):
            await _refused(401, "a token is needed, as bearer or as password of any user")(scope, receive, send)
        elif not self._token and not _is_loopback(_host(headers.get("host", ""))):
            why = "without a token the gateway is for this machine alone; set HEADRACE_GATEWAY_TOKEN"
            await _refused(403, why)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _knows(self, headers: Headers) -> bool:
        return hmac.compare_digest(_given(headers.get("authorization", "")), self._token.encode())


def _refused(status: int, why: str) -> JSONResponse:
    headers = {"Connection": "close"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="headrace", charset="UTF-8"'
    return JSONResponse({"error": why}, status, headers)


def _of_another_site(headers: Headers) -> bool:
    """Whether a browser sends this for a page of another origin; programs send no `Origin`."""
    origin = headers.get("origin", "")
    return bool(origin) and urlsplit(origin).netloc != headers.get("host", "")


def _host(given: str) -> str:
    """The name in a `Host` header, without its port."""
    return given.partition("]")[0].removeprefix("[") if given.startswith("[") else given.partition(":")[0]


def _given(authorization: str) -> bytes:
    """The token in a header; empty where there is none."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
