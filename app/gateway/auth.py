"""Who may use the gateway: a token as bearer or as the password of any user, or nobody but this machine.

Webhooks carry their own signatures and are left to `app.gateway.webhooks`.
"""

import base64
import binascii
import hmac
import ipaddress
from typing import Final

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


class Token:
    """ASGI middleware that asks for the token, if there is one."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass; 401 for the rest, so that a browser asks for the password."""
        if scope["type"] != "http" or not self._token or scope["path"].startswith(OPEN) or self._knows(scope):
            await self._app(scope, receive, send)
        else:
            headers = {"WWW-Authenticate": 'Basic realm="headrace", charset="UTF-8"', "Connection": "close"}
            answer = JSONResponse({"error": "a token is needed, as bearer or as password of any user"}, 401, headers)
            await answer(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        given = _given(HTTPConnection(scope).headers.get("authorization", ""))
        return hmac.compare_digest(given, self._token.encode())


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
