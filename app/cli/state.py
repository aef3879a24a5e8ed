"""`headrace state`: what the engine remembers of a service."""

from typing import Any

import typer

from app.cli.errors import Failure
from app.cli.printing import Output, json_line, pairs
from app.history import recorded
from app.history.remembered import like, service_in
from app.history.words import moment
from app.settings import settings


def state(
    service: str = typer.Argument(help="Name of the service."),
    output: Output = typer.Option(Output.TABLE, "-o", "--output", help="table, or json."),
) -> None:
    """Show what is remembered of a service, as it was written last (at most a checkpoint ago)."""
    whole = recorded.remembered(settings(), service)
    found = service_in(whole, service)
    if found["memory"] is None:
        others = ", ".join(like(whole, "*")[:5]) or "none"
        raise Failure(
            f"nothing is remembered of {service}: no policy in force reads a metric that it sends "
            f"(others in partition {whole.partition}: {others})"
        )
    if output is Output.JSON:
        json_line(found)
    else:
        pairs(_rows(found))


def _rows(found: dict[str, Any]) -> dict[str, object]:
    memory = found["memory"]
    rows: dict[str, object] = {
        "service": found["service"],
        "as of (UTC)": f"{moment(found['now_ms'])}, journal record {found['partition']}/{found['next_offset'] - 1}",
        "policies": ", ".join(found["policies"]) or "none",
        "paused": "; ".join(map(_pause, found["paused"])) or "no",
        "replicas": "not observed" if memory["observed"] is None else _observed(memory["observed"]),
        "pending": "nothing" if memory["pending"] is None else _pending(memory["pending"]),
    }
    for key, series in sorted(memory["series"].items()):
        rows["series " + key.replace("\x1f", " ")] = f"{series['value']:g} at {moment(series['at_ms'])}"
    for name, one in memory["memories"].items():
        rows[f"policy {name}"] = {field: value for field, value in one.items() if value not in (-1, "", [])}
    return rows


def _pause(pause: dict[str, Any]) -> str:
    until = f" until {moment(pause['until_ms'])}" if pause["until_ms"] else ""
    way = "" if pause["direction"] == "both" else f"{pause['direction']} only, "
    return f"{way}by {pause['author']}{until}: {pause['reason']}"


def _observed(seen: dict[str, Any]) -> str:
    return f"{seen['replicas']}, seen {moment(seen['at_ms'])}, generation {seen['generation']}"


def _pending(pending: dict[str, Any]) -> str:
    state = "failed, next try" if pending["failed"] else "waits for its outcome"
    return f"to {pending['to']} by {pending['id']}, {state} until {moment(pending['until_ms'])}"
