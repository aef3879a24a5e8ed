"""`headrace policy diff`: what would change if some policies were put in force, field by field.

Registered by `app.cli.policy`. Documents are compared as they were written; nothing is put in force.
"""

import json
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

import typer

from app.cli.errors import FINDINGS
from app.cli.policy_words import row
from app.history import recorded
from app.policy.facts import PolicyDocument
from app.policy.files import fingerprint
from app.settings import settings


def diff(mine: list[PolicyDocument], theirs: list[PolicyDocument] | None = None) -> None:
    """Print what would change against those in force, or `theirs`; end with exit code 1 if anything would."""
    if theirs is None:
        sets = recorded.policy_sets(settings())
        theirs = list(sets[-1].policies) if sets else []
    found = list(changes(mine, theirs))
    for line in found:
        typer.echo(line)
    if found:
        raise typer.Exit(FINDINGS)
    typer.echo(f"nothing would change: it is set {fingerprint(mine)}")


def changes(mine: Sequence[PolicyDocument], theirs: Sequence[PolicyDocument]) -> Iterator[str]:
    """What would change if `mine` were put in force in place of `theirs`: a line a policy, below it one a field."""
    old, new = {one.name: one for one in theirs}, {one.name: one for one in mine}
    for name in sorted({*old, *new}):
        if name not in old:
            yield f"+ {_told(new[name])}"
        elif name not in new:
            yield f"- {_told(old[name])}"
        elif old[name].fingerprint != new[name].fingerprint:
            yield f"~ {name}: {new[name].kind}"
            yield from (f"    {line}" for line in _differing(old[name].document, new[name].document, ""))


def _told(one: PolicyDocument) -> str:
    name, kind, whom, asks, mode, _ = row(one)
    return f"{name}: {kind} for {whom}: {asks}{'' if mode == 'active' else f' ({mode})'}"


def _differing(old: Any, new: Any, path: str) -> Iterator[str]:
    """Fields that differ, each with what it was and what it would be."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            here = f"{path}.{key}" if path else key
            if key not in old:
                yield f"+ {here} {_written(new[key])}"
            elif key not in new:
                yield f"- {here} {_written(old[key])}"
            else:
                yield from _differing(old[key], new[key], here)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _in_lists(old, new, path)
    elif old != new:
        yield f"{path} {_written(old)} → {_written(new)}"


def _in_lists(old: list[Any], new: list[Any], path: str) -> Iterator[str]:
    """Entries that came, went or changed; places are those of the list that has the entry, the new one if both."""
    before, after = list(map(_written, old)), list(map(_written, new))
    for what, i, i_end, j, j_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        both = min(i_end - i, j_end - j)
        for k in range(both):
            yield from _differing(old[i + k], new[j + k], f"{path}[{j + k}]")
        yield from (f"- {path}[{k}] {before[k]}" for k in range(i + both, i_end))
        yield from (f"+ {path}[{k}] {after[k]}" for k in range(j + both, j_end))


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
