"""A dashboard's API as Grafana has it, for the demo and the tests: annotations are posted and asked for by tag."""

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import sleep
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from app.local.ports import HOST


class Dashboard:
    """Listens as long as the block runs. It answers with `answer` after `pause_s`; `keeps` the mark all the same.

    `retry_after` is what it says of when to ask again, if anything.
    """

    def __init__(self, port: int = 0) -> None:
        """Listen at once; requests are answered once the block has begun."""
        self.annotations: list[dict[str, Any]] = []
        self.authorizations: list[str] = []
        self.answer = HTTPStatus.OK
        self.pause_s = 0.0
        self.retry_after = ""
        self.keeps = True
        self._server = ThreadingHTTPServer((HOST, port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="dashboard", daemon=True)

    @property
    def url(self) -> str:
        """Where it is: `http://host:port`."""
        return f"http://{HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        dashboard = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                dashboard.authorizations.append(self.headers.get("Authorization", ""))
                if dashboard.keeps:
                    dashboard.annotations.append(body)
                self._say({"message": "Annotation added", "id": len(dashboard.annotations)})

            def do_GET(self) -> None:
                asked = parse_qs(urlsplit(self.path).query)
                wanted = set(asked.get("tags", []))
                first, last = (int(asked.get(name, ["0"])[0]) for name in ("from", "to"))
                found = [
                    one
                    for one in dashboard.annotations
                    if wanted <= set(one["tags"]) and first <= one["time"] <= (last or one["time"])
                ]
                self._say(found)

            def _say(self, what: Any) -> None:
                sleep(dashboard.pause_s)
                raw = json.dumps(what).encode()
                self.send_response(dashboard.answer)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                if dashboard.retry_after:
                    self.send_header("Retry-After", dashboard.retry_after)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                """Nothing: what came is in `annotations`."""

        return Handler
