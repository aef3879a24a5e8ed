"""The downstream services of the demo: two instances behind an HAProxy, a dashboard, a book, a foreign consumer.

Real ones where a server is at hand, and each counts what reached it.
"""

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, Self

import httpx2

from app.local.foreign import Foreign
from app.local.grafana import Dashboard
from app.local.haproxy import HAProxy
from app.local.receiver import Receiver

SERVICE: Final = "web"
VERSION: Final = "2.0.0"
REQUESTS: Final = 20


class Downstream:
    """All of them while the block runs. `haproxy` is None where there is none."""

    def __init__(self, place: Path, rabbitmq_url: str, haproxy: HAProxy | None) -> None:
        """Nothing runs before the block begins."""
        self.haproxy = haproxy
        self.receiver = Receiver()
        self.instances = [Receiver(), Receiver()]
        self.dashboard = Dashboard()
        self.foreign = Foreign(rabbitmq_url)
        self.targets = place / "targets.toml"
        self._book = place / "costs.db"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start them, and write the targets file that names them."""
        for one in (self.receiver, *self.instances):
            self._stack.enter_context(one)
        self._stack.enter_context(self.dashboard)
        self._stack.enter_context(self.foreign)
        lines = [f'[receivers]\nteam = "json{self.receiver.url.removeprefix("http")}"']
        if self.haproxy is not None:
            self.haproxy.start()
            self._stack.callback(self.haproxy.kill)
            lines.append(f'[balancers]\nedge = "{self.haproxy.url}"')
        lines.append(f'[dashboards.main]\nurl = "{self.dashboard.url}"')
        lines.append(f'[books.main]\nurl = "sqlite:///{self._book}"\nprices = {{default = 0.05}}')
        self.targets.write_text("\n".join(lines) + "\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def addresses(self) -> list[str]:
        """Where the instances of the new version are."""
        return [one.url.split("/")[2] for one in self.instances]

    def requests(self) -> int:
        """Send some requests through the load balancer; how many reached the new instances."""
        if self.haproxy is None:
            return 0
        before = sum(len(one.received) for one in self.instances)
        for _ in range(REQUESTS):
            httpx2.post(self.haproxy.http, headers={"Host": SERVICE}, content=b"hello", timeout=5)
        return sum(len(one.received) for one in self.instances) - before

    def told(self) -> int:
        """How often people were told of the deploy."""
        return sum(f"{VERSION} is deployed" in body for body in self.receiver.bodies)

    def marks(self) -> int:
        """How often the deploy was marked on the dashboard."""
        return sum(VERSION in one["tags"] for one in self.dashboard.annotations)

    def booked(self) -> list[tuple[str, int, float]]:
        """(id, replicas, what they cost an hour) of each record in the book."""
        if not self._book.exists():
            return []
        with closing(sqlite3.connect(self._book)) as db:
            rows = db.execute(
                "SELECT id, replicas, replicas * per_hour FROM costs JOIN cost_prices ON name = price ORDER BY at_ms"
            ).fetchall()
        return [(id_, replicas, per_hour / 1e6) for id_, replicas, per_hour in rows]

    def heard(self) -> dict[str, str]:
        """Events that the foreign consumer has read: id → type, so that repeats are one."""
        return {one["id"]: one["event"] for one in self.foreign.events}
