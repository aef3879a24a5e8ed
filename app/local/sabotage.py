"""A worker killed in the middle of an action, for the demo and the tests: the worst moment, on purpose.

It makes one simulated service slow, waits until a worker holds a scaling of it, and kills that
worker with SIGKILL. Only processes that this machine's `headrace up` started are touched: the
ledger says who holds the lease.
"""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis import Redis

from tasks.contract import action_key, fleet_key, target_key

SLOW_MS: Final = 3000


@dataclass
class Victim:
    """The worker that was killed, and the action that it held."""

    pid: int
    action_id: str


class Sabotage:
    """One killing, of the worker that scales `service` next."""

    def __init__(self, redis_url: str, service: str) -> None:
        self._redis: Any = Redis.from_url(redis_url, decode_responses=True)
        self._service = service
        self.victim: Victim | None = None

    def prepare(self) -> None:
        """Make the service's provider slow, so that there is a middle."""
        self._redis.hset(fleet_key(self._service), "delay_ms", SLOW_MS)

    def strike(self, kill: Callable[[int, int], None] = os.kill) -> Victim | None:
        """Kill the worker that holds a scaling of the service, if one does now; the victim."""
        holder = self._redis.hget(target_key(f"simulated:{self._service}"), "holder")
        owner = self._redis.hget(action_key(holder), "owner") if holder else None
        if not owner or self._redis.hget(action_key(holder), "state") == "done":
            return None
        host, _, child = owner.rpartition(":")
        if host != socket.gethostname():
            return None
        parent = _parent(int(child))
        self._redis.hdel(fleet_key(self._service), "delay_ms")
        kill(parent, signal.SIGKILL)
        self.victim = Victim(parent, holder)
        return self.victim

    def effects(self) -> dict[str, int]:
        """Action id → how often it took effect on the service."""
        found: dict[str, int] = {}
        for entry in self._redis.lrange(f"{fleet_key(self._service)}:log", 0, -1):
            action_id = json.loads(entry)["id"]
            found[action_id] = found.get(action_id, 0) + 1
        return found


def _parent(pid: int) -> int:
    """The Celery worker whose child process `pid` is: killed, it takes its children with it."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        return int(stat.read_text().rpartition(")")[2].split()[1])
    shown = subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(shown.stdout)
