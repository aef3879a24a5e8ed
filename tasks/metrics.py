"""Prometheus metrics of the workers: a closed list. Shared by a worker's processes through files."""

import os
import tempfile
from typing import Final

from tasks.settings import settings

if settings().worker_metrics_port:  # before the client library is imported: it decides then
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="headrace-metrics-"))

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

ACTIONS: Final = Counter("headrace_actions", "Actions that ended, by outcome", ["kind", "status"])
REPEATS: Final = Counter("headrace_action_repeats", "Deliveries of actions that were done already", ["kind"])
TAKEOVERS: Final = Counter("headrace_action_takeovers", "Actions taken over from a worker that died", ["kind"])
RETRIES: Final = Counter("headrace_action_retries", "Actions that could not be done yet and come back later", ["kind"])
AMBIGUOUS: Final = Counter("headrace_action_ambiguous", "Effects begun by a worker that died, done again", ["kind"])
REJECTED: Final = Counter("headrace_messages_rejected", "Messages dead-lettered because nobody can read them")
PARKED: Final = Counter("headrace_messages_parked", "Dead letters parked for people", ["kind"])
REACTION: Final = Histogram("headrace_decided_to_started_seconds", "From decision to the task's first line", ["kind"])


def serve(port: int) -> None:
    """Serve the metrics of all processes of this worker on loopback."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    start_http_server(port, addr="127.0.0.1", registry=registry)
