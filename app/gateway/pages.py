"""The incident page over HTTP: the page itself, the board as JSON, live updates, and its files.

The gateway mounts `routes(board)`. Read-only: nothing but GET. No answer leads a browser to another
host, and `Secured` says so to it.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic, time
from typing import Final

import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gateway.board import Board

STATIC: Final = Path(__file__).parent / "static"

BEAT_S: Final = 0.5
"""Seconds between two live updates, at least."""

PING_S: Final = 15
"""Seconds of silence after which a comment is sent, so that nothing on the way closes the connection."""

CLIENTS: Final = 100
"""Most pages that are kept live at once; the next one is told to come back."""

STUCK_S: Final = 30.0
"""Seconds that a page may take to accept an update before it is let go."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every answer carries."""


class Secured:
    """ASGI middleware that puts `HEADERS` on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, the start of an answer with its headers."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, sending)


class Frames:
    """Updates as text, made once a beat for all pages that are at the same number."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.open = 0
        self._lock = threading.Lock()
        self._beat = -1
        self._number = 0
        self._texts: dict[int, bytes] = {}

    def since(self, number: int) -> tuple[int, bytes]:
        """The number to ask with next time, and everything newer than `number` as JSON.

        The next number is that of the beat's first question: pages that came at different moments
        ask the same after one beat. What one of them is sent twice by that changes nothing there.
        """
        with self._lock:
            beat = int(monotonic() / BEAT_S)
            if beat != self._beat:
                self._beat, self._number, self._texts = beat, self.board.number, {}
            if number not in self._texts:
                found = self.board.since(number) | {"n": self._number, "at": round(time() * 1000)}
                self._texts[number] = msgspec.json.encode(found)
            return self._number, self._texts[number]


class Live(EventSourceResponse):
    """A stream of updates to one page, counted while it lasts."""

    def __init__(self, frames: Frames, number: int) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(_updates(frames, number), headers=headers, ping=PING_S, send_timeout=STUCK_S)
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the page goes away."""
        self._frames.open += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._frames.open -= 1


async def _updates(frames: Frames, number: int) -> AsyncIterator[ServerSentEvent]:
    """What is newer than a number, and then each beat that brings something."""
    while True:
        if frames.board.number != number:
            number, text = await run_in_threadpool(frames.since, number)
            yield ServerSentEvent(data=text.decode(), id=str(number), retry=2000)
        await asyncio.sleep(BEAT_S - monotonic() % BEAT_S)


def _number(text: str | None) -> int:
    """The number that a page asks with; whatever is none asks for everything."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else 0


def routes(board: Board) -> list[BaseRoute]:
    """The page's routes. Put `Secured` around the whole application too, for answers that no route gives."""
    frames = Frames(board)

    async def page(_: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def whole(request: Request) -> Response:
        _, text = await run_in_threadpool(frames.since, _number(request.query_params.get("since")))
        return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def live(request: Request) -> Response:
        if frames.open >= CLIENTS:
            words = f"{CLIENTS} pages are live already; close one, or come back later\n"
            return PlainTextResponse(words, 503, {"Retry-After": "10", "Cache-Control": "no-store"})
        number = _number(request.headers.get("last-event-id") or request.query_params.get("since"))
        return Live(frames, number)

    secured = Middleware(Secured)
    zipped = [secured, Middleware(GZipMiddleware)]
    return [
        Route("/", page, methods=["GET"], middleware=[secured]),
        Route("/api/board", whole, methods=["GET"], middleware=zipped),
        Route("/api/live", live, methods=["GET"], middleware=[secured]),
        Mount("/static", StaticFiles(directory=STATIC), middleware=zipped),
    ]
