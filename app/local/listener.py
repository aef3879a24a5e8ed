"""An HTTP server on loopback that plays somebody else's service: what `receiver` and `grafana` have in common."""

import threading
from abc import ABC, abstractmethod
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from app.local.ports import HOST


class Listener(ABC):
    """Listens on `port` (0: a free one) as long as the block runs; answers with `answer` after `pause_s`."""

    def __init__(self, port: int = 0) -> None:
        """Listen at once; requests are answered once the block has begun."""
        self.answer = HTTPStatus.OK
        self.pause_s = 0.0
        self._server = ThreadingHTTPServer((HOST, port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="listener", daemon=True)

    @property
    def url(self) -> str:
        """Where it is: `http://host:port/`."""
        return f"http://{HOST}:{self._server.server_address[1]}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @abstractmethod
    def _handler(self) -> type[BaseHTTPRequestHandler]: ...
