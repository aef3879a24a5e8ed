"""What an action may cost before it is given up, by kind: time, tries, and workers that die with it.

`HEADRACE_LIMITS` changes it; `tasks.main` gives the time to Celery, and `tasks.action` counts the rest. How many
actions of a kind are done at a time is no limit here: a kind has a queue, and as many processes as listen to that.
"""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from tasks.contract import Kind

LONGEST_S: Final = 1620
"""RabbitMQ takes a delivery back, and the channel down, after 1800 s; by then the process was killed if it must be."""
KILL_S: Final = 60
"""Seconds after its time in which an action may still end by itself."""


class Limit(BaseModel):
    """Of one action."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: int = Field(900, ge=1, le=LONGEST_S)
    """How long it may take at a time. Above the longest command (600 s) and what waits for Redis or Kafka meanwhile."""
    tries: int = Field(0, ge=0)
    """How often it is tried while its target is away; 0 for until it expires."""
    deaths: int = Field(5, ge=1, le=20)
    """Workers that may die with it before it is poison. RabbitMQ's delivery limit counts deliveries of one message;
    but what comes again while the dead worker's lease lasts goes on as a copy, which is another message."""


DEFAULTS: Final = {kind: Limit(seconds=LONGEST_S) if kind is Kind.BUILD else Limit() for kind in Kind}
"""A build may take as long as RabbitMQ lets it."""


def limits(changed: Mapping[Kind, Limit]) -> dict[Kind, Limit]:
    """The limits of each kind: what is not changed is as by default."""
    return {
        kind: one.model_copy(update=changed[kind].model_dump(exclude_unset=True)) if kind in changed else one
        for kind, one in DEFAULTS.items()
    }
