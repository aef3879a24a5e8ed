"""A receiver of notifications: an HTTP server on loopback that remembers what was sent to it.

Used by the demo and the tests in the place of a chat room or of a webhook. It answers with `answer` and the
headers `told` after `pause_s`, so that a receiver that fails, hangs or redirects can be played too.
"""

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from time import sleep, time

from app.local.listener import Listener


@dataclass(frozen=True)
class Received:
    """One request. `at_ms` is when its body had arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_ms: int


class Receiver(Listener):
    """Remembers each request; `entered` counts those that have begun."""

    def __init__(self, port: int = 0) -> None:
        """Listen at once; requests are answered once the block has begun."""
        self.received: list[Received] = []
        self.entered = 0
        self.told: dict[str, str] = {}
        super().__init__(port)

    @property
    def bodies(self) -> list[str]:
        """The bodies so far, in the order in which they arrived."""
        return [each.body.decode(errors="replace") for each in self.received]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.entered += 1
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                sleep(receiver.pause_s)
                receiver.received.append(Received(self.path, dict(self.headers), body, int(time() * 1000)))
                self.send_response(receiver.answer)
                for name, value in ({"Content-Length": "0"} | receiver.told).items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing: what came is in `received`."""

        return Handler
