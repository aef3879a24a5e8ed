"""The gateway's HTTP server: uvicorn, with clients that send their headers too slowly cut off.

`headrace gateway` calls it. It serves until SIGINT or SIGTERM.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.gateway.main import build
from app.settings import Settings

HEADERS_S: Final = 10.0
"""Longest a client may take to send the head of a request; the body has its own limit."""
CONNECTIONS: Final = 1000
"""Most connections at once; more are answered 503."""
GRACE_S: Final = 5
"""Seconds that requests may go on after the server was asked to end: live pages would never end."""


class Protocol(H11Protocol):
    """Uvicorn's, with a limit on the time that the head of a request may take."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._look()

    def data_received(self, data: bytes) -> None:
        """Take data; while they are no whole head, time goes on."""
        super().data_received(data)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._forget()
        super().connection_lost(exc)

    def _look(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEADERS_S, self.transport.close)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """Uvicorn's, which says where it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[str], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: Any = None) -> None:
        """Begin to listen, and say where."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._listening(f"http://{f'[{host}]' if ':' in host else host}:{port}/")


def serve(settings: Settings, listening: Callable[[str], None]) -> bool:
    """Serve until a signal; False if the address is taken. `listening` is told where."""
    config = uvicorn.Config(
        build(settings), host=settings.gateway_host, port=settings.gateway_port, http=Protocol, ws="none",
        log_config=None, access_log=False, server_header=False, limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S, lifespan="on",
    )  # fmt: skip
    server = Server(config, listening)
    try:
        server.run()
    except SystemExit:  # uvicorn's way to say that it could not listen, or that the application did not start
        return False
    return server.started
