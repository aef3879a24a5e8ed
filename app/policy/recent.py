"""What happened to a service lately: deploys and changes, kept as evidence for what is decided after them.

`app.policy.route` keeps them, `app.policy.look` asks for them.
"""

from typing import Any, Final

from app.policy.deployed import Recent
from app.policy.state import Service, State
from tasks.contract import Event

RECENT: Final = 20
"""Most deploys and changes of one service that are kept."""
RECENT_MS: Final = 3_600_000
"""Milliseconds for which a deploy or a change is evidence."""

QUIET: Final = frozenset({"pod_started", "pod_stopped"})
"""Types that are no evidence for a scaling: a scaling starts and stops instances itself."""


def keep(holder: Service | State, event: Event) -> None:
    """Keep an event as evidence, unless it is late or of a quiet type."""
    if event.event in QUIET or event.late:
        return
    what = event.what or " ".join(filter(None, (event.event, event.version)))
    where = f" in {event.environment}" if event.environment else ""
    holder.recent.append(Recent(event.at_ms, f"{what}{where}", event.who, event.link, event.id))
    del holder.recent[:-RECENT]


def recent(state: State, service: Service) -> list[dict[str, Any]]:
    """Deploys and changes of the last hour, to this service or to all, oldest first, as evidence."""
    if not service.recent and not state.recent:
        return []
    since_ms = state.now_ms - RECENT_MS
    found = [one for one in (*service.recent, *state.recent) if one.at_ms >= since_ms]
    found.sort(key=lambda one: (one.at_ms, one.id))
    return [
        {"at_ms": one.at_ms, "what": one.what, "who": one.who, "link": one.link, "decision": one.id}
        for one in found[-RECENT:]
    ]
