"""A dashboard's API as Grafana has it, for the demo and the tests: annotations are posted and asked for by tag."""

import json
from http.server import BaseHTTPRequestHandler
from time import sleep
from typing import Any
from urllib.parse import parse_qs, urlsplit

from app.local.listener import Listener


class Dashboard(Listener):
    """Remembers each mark; `keeps` it whatever it answers.

    `retry_after` is what it says of when to ask again, if anything.
    """

    def __init__(self, port: int = 0) -> None:
        """Listen at once; requests are answered once the block has begun."""
        self.annotations: list[dict[str, Any]] = []
        self.authorizations: list[str] = []
        self.retry_after = ""
        self.keeps = True
        super().__init__(port)

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
