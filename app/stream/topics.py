"""The topics: names, shapes, and the admin calls that make and compare them.

One table is the source of `headrace topics init|check`, of the start-up check of every app and
of the documentation. The users' own topics are made if they are missing and never altered.
"""

from dataclasses import dataclass, field
from typing import Final

DAY_MS: Final = 86_400_000

JOURNAL: Final = "headrace.journal"
DECISIONS: Final = "headrace.decisions"
OUTCOMES: Final = "headrace.outcomes"
CONTROL: Final = "headrace.control"
SNAPSHOTS: Final = "headrace.snapshots"
QUARANTINE: Final = "headrace.quarantine"
CHANGELOG: Final = "auto-scaler-state-changelog"
"""Faust's name for the changelog of the table `state` of the app `auto-scaler`."""

STATE_BYTES: Final = 8_000_000
"""Largest packed state of one partition, and so largest message on changelog and snapshots."""


@dataclass(frozen=True)
class Topic:
    """One of our topics. `partitions` None means: as many as the journal has."""

    name: str
    about: str
    partitions: int | None = None
    config: dict[str, str] = field(default_factory=dict)


def _kept(days: int, **more: str) -> dict[str, str]:
    """Settings of a topic that is kept for some days (0: for ever)."""
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS or -1)} | {
        key.replace("_", "."): value for key, value in more.items()
    }


_LARGE: Final = str(STATE_BYTES + 1_000_000)

TOPICS: Final[tuple[Topic, ...]] = (
    Topic(
        JOURNAL, "facts in one order; the append time is the engine's clock",
        config=_kept(8, message_timestamp_type="LogAppendTime", compression_type="lz4", max_message_bytes="2000000"),
    ),
    Topic(DECISIONS, "decisions and refusals: the audit log and the outbox", config=_kept(365, compression_type="lz4")),
    Topic(OUTCOMES, "what became of each action", config=_kept(365)),
    Topic(CONTROL, "policies and commands, in one order, for ever", 1, _kept(0, max_message_bytes="2000000")),
    Topic(SNAPSHOTS, "state now and then: where replay starts", config=_kept(8, max_message_bytes=_LARGE)),
    Topic(QUARANTINE, "input that could not be read, with its reason", 1, _kept(30, max_message_bytes="2000000")),
    Topic(
        CHANGELOG, "the auto-scaler's table, one value per journal partition",
        config={
            "cleanup.policy": "compact", "segment.bytes": "33554432", "min.cleanable.dirty.ratio": "0.1",
            "max.compaction.lag.ms": "60000", "max.message.bytes": _LARGE,
        },
    ),
)  # fmt: skip
"""Every topic of ours."""
