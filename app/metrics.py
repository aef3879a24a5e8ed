"""Prometheus metrics of the stream side: a closed list.

A metric that is not here does not exist; `tests/unit` compares the list with the documentation.
Names, kinds and help texts are the documentation. Nothing is counted per sample: counters move
once a fetch.
"""

from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge, start_http_server

from app.settings import Settings

SAMPLES: Final = Counter("headrace_samples", "Samples written to the journal", ["topic"])
FACTS: Final = Counter("headrace_facts", "Facts written to the journal", ["kind"])
QUARANTINED: Final = Counter("headrace_quarantined", "Input records that could not be read", ["topic"])
READ_UNTIL: Final = Gauge("headrace_read_until_seconds", "Moment up to which all sources are committed, epoch seconds")
RECORDS: Final = Counter("headrace_journal_records", "Journal records the auto-scaler folded in")
DECISIONS: Final = Counter("headrace_decisions", "Decisions written", ["reason", "action"])
STATE_BYTES: Final = Gauge("headrace_state_bytes", "Packed state of a journal partition", ["partition"])
CHECKPOINTED: Final = Gauge(
    "headrace_checkpointed_until_seconds", "Journal's time in the written state, epoch seconds", ["partition"]
)
LATE: Final = Gauge("headrace_late", "Samples that were older than every window, by the written state", ["partition"])
LAG: Final = Gauge("headrace_lag", "Positions of an owned partition that are not done", ["app", "topic", "partition"])
CHECKPOINTS: Final = Counter("headrace_checkpoints", "States written to the changelog")
SNAPSHOTS: Final = Counter("headrace_snapshots", "States written to the snapshots topic")
ROUTED: Final = Counter("headrace_routed", "Actions confirmed by RabbitMQ", ["kind"])
PUBLISH_RETRIES: Final = Counter("headrace_publish_retries", "Publications to RabbitMQ that had to be tried again")
HELD: Final = Gauge("headrace_held_back", "Actions that wait because RabbitMQ refuses their kind", ["kind"])
RECEIVED: Final = Counter("headrace_gateway_received", "Requests that the gateway took or refused", ["what", "status"])
SPOOLED: Final = Gauge("headrace_gateway_spooled", "Builds that wait on the gateway's disk for RabbitMQ")
TRANSPORT: Final = Gauge("headrace_transport", "What the transport met, see app/stream/transport.py", ["app", "what"])


@cache
def serve(settings: Settings) -> None:
    """Serve the metrics of this process on loopback, if a port is set; asked again, it serves already."""
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr="127.0.0.1")
