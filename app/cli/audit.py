"""`headrace audit verify`: was all done that was decided, and once? Parses and prints; `app.history.audit` judges."""

import json
from collections.abc import Iterable

import msgspec
import typer
from redis import Redis, RedisError

from app.cli.errors import FINDINGS, Failure
from app.cli.printing import OUTPUT, Output, json_line, remark, table
from app.cli.times import HELP, at_ms, now_ms, optional_ms
from app.history import recorded
from app.history.audit import Audit
from app.history.words import moment
from app.policy.decision import decode
from app.settings import settings
from app.stream import client
from app.stream.topics import OUTCOMES
from tasks.contract import Outcome, Scale, action_key, fleet_key

audit = typer.Typer(help="Verify that what was decided was done, once.", no_args_is_help=True, rich_markup_mode=None)

FROM = typer.Option("-1h", "--from", help=f"Begin here: {HELP}")
TO = typer.Option(None, "--to", help=f"End here: {HELP}; without it, now.")
SHOWN = 20
"""Sentences that a table's reader is told; JSON has all."""


@audit.command()
def verify(from_: str = FROM, to: str | None = TO, output: Output = OUTPUT) -> None:
    """Compare decisions, outcomes, ledger and simulated fleet; exit code 1 if anything is missing or doubled."""
    config, now = settings(), now_ms()
    begin, until = at_ms(from_), optional_ms(to)
    found = Audit(begin, now if until is None else until, now)
    for raw in recorded.decisions_since(config, begin):
        found.decided(decode(raw))
    low, end = client.borders(config, OUTCOMES)
    for message in client.read_topic(config, OUTCOMES, low, end):
        outcome = msgspec.json.decode(message.value or b"", type=Outcome)
        if outcome.id in found.actions:
            found.ended(outcome)
    try:
        with Redis.from_url(config.redis_url) as redis:
            _remembered(found, redis)
    except RedisError as error:
        raise Failure(f"Redis does not answer, so the ledger cannot be compared: {error}") from error
    _tell(found, output)
    if found.wrong():
        raise typer.Exit(FINDINGS)


@audit.command()
def commands(
    from_: str = typer.Option("-7d", "--from", help=f"Begin here: {HELP}"), to: str | None = TO, output: Output = OUTPUT
) -> None:
    """List what people asked for: pauses, silences, dead letters sent again and dropped; who, when and why."""
    until = optional_ms(to)
    found = recorded.commands(settings(), at_ms(from_), now_ms() if until is None else until)
    if output is Output.JSON:
        for one in found:
            json_line(msgspec.to_builtins(one))
        return
    rows = [
        [
            moment(one.at_ms),
            one.author,
            f"{one.verb} {one.redrive or ''}".strip(),
            one.service,
            one.reason,
            ", ".join(one.ids),
        ]
        for one in found
    ]
    table(["at (UTC)", "author", "asked for", "service", "reason", "ids"], rows)


def _remembered(found: Audit, redis: Redis) -> None:
    """What the ledger and the simulated fleet know of the actions."""
    ids = list(found.actions)
    with redis.pipeline(transaction=False) as pipe:
        for action_id in ids:
            pipe.hget(action_key(action_id), "outcome")
        for action_id, raw in zip(ids, pipe.execute(), strict=True):
            found.remembered(action_id, msgspec.json.decode(raw, type=Outcome).status.value if raw else None)
    simulated = set(found.simulated())
    for entry in _effects(redis, sorted({_target(found.actions[key]) for key in simulated})):
        if entry in simulated:
            found.effect(entry)


def _target(action: object) -> str:
    assert isinstance(action, Scale)
    return action.target or action.service


def _effects(redis: Redis, services: Iterable[str]) -> Iterable[str]:
    for service in services:
        for entry in redis.lrange(f"{fleet_key(service)}:log", 0, -1):
            yield str(json.loads(entry)["id"])


def _tell(found: Audit, output: Output) -> None:
    kinds, wrong = found.by_kind(), found.wrong()
    if output is Output.JSON:
        json_line(
            {
                "actions": len(found.actions),
                "by_kind": [[kind, status, count] for (kind, status), count in sorted(kinds.items())],
                "repeated_decisions": found.repeated_decisions,
                "repeated_outcomes": found.repeated_outcomes,
                "missing": found.missing,
                "doubled": found.doubled,
                "without_effect": found.without_effect,
                "contradictions": found.contradictions,
            }
        )
        return
    table(["kind", "ended", "actions"], [[kind, status, str(count)] for (kind, status), count in sorted(kinds.items())])
    remark(
        f"{len(found.actions)} actions decided; {found.repeated_decisions} decisions and {found.repeated_outcomes} "
        "outcomes came more than once"
    )
    for sentence in wrong[:SHOWN]:
        typer.echo(sentence)
    if len(wrong) > SHOWN:
        remark(f"and {len(wrong) - SHOWN} more; -o json has all")
    if not wrong:
        typer.echo("all that was decided has ended or is under way, and took effect once")
