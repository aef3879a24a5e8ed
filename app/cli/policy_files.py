"""`headrace policy schema|import|diff`: what a file may say, Kubernetes' documents as ours, what would change.

Registered by `app.cli.policy`. Nothing here puts a policy in force.
"""

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import typer
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from app.cli.errors import FINDINGS, Failure
from app.cli.printing import remark
from app.history import recorded
from app.policy.facts import PolicyDocument
from app.policy.files import PolicyError, fingerprint, no_yaml
from app.policy.kinds import KINDS
from app.policy.mistakes import mistakes
from app.policy.model_scale import AutoscalerPolicy
from app.settings import settings


def schema() -> None:
    """Print the JSON Schema of a policy document, for editors and for `check-jsonschema`."""
    typer.echo(text_of_schema(), nl=False)


def text_of_schema() -> str:
    """The schema, as it is published in docs/."""
    union: Any = None
    for model in KINDS.values():
        union = model if union is None else union | model
    found = TypeAdapter(union).json_schema(by_alias=True)
    found |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A policy of Headrace"}
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def import_(
    file: Path = typer.Argument(
        help="A file of HorizontalPodAutoscalers of `autoscaling/v2`; other kinds are left out."
    ),
) -> None:
    """Print Kubernetes' documents as policies of kind Scale, and on stderr what could not be taken along."""
    if not file.exists():
        raise Failure(f"{file} does not exist; name a file of HorizontalPodAutoscalers")
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        documents = list(YAML(typ="safe", pure=True).load_all(text))
    except YAMLError as error:
        raise PolicyError([no_yaml(str(file), error)]) from error
    made = [_imported(one) for one in documents if one]
    found = [one for one in made if one is not None]
    if not found:
        raise Failure(f"{file} has no HorizontalPodAutoscaler of autoscaling/v2")
    typer.echo("---\n".join(map(_yaml, found)), nl=False)


def _imported(document: Any) -> dict[str, Any] | None:
    name = (document.get("metadata") or {}).get("name", "?") if isinstance(document, dict) else "?"
    if not isinstance(document, dict) or document.get("kind") != "HorizontalPodAutoscaler":
        remark(f"left out: {document.get('kind') if isinstance(document, dict) else repr(document)} {name}")
        return None
    try:
        policy = AutoscalerPolicy.model_validate(document)
    except ValidationError as error:
        for path, message in mistakes(error, AutoscalerPolicy):
            remark(f"left out: {name}: {'.'.join(map(str, path))}: {message}")
        return None
    if policy.metadata.namespace:
        remark(f"{name}: the namespace {policy.metadata.namespace} is not taken along; a service is known by its name")
    return policy.as_scale().model_dump(by_alias=True, exclude_defaults=True, mode="json") | {
        "apiVersion": "headrace/v1", "kind": "Scale"
    }  # fmt: skip


def _yaml(document: dict[str, Any]) -> str:
    text = StringIO()
    YAML().dump(document, text)
    return text.getvalue()


def changes(mine: list[PolicyDocument], theirs: list[PolicyDocument]) -> Iterator[str]:
    """What would change if `mine` were put in force in place of `theirs`, a line each."""
    old, new = {one.name: one for one in theirs}, {one.name: one for one in mine}
    for name in sorted({*old, *new}):
        if name not in old:
            yield f"+ {name}: {new[name].kind}"
        elif name not in new:
            yield f"- {name}: {old[name].kind}"
        elif old[name].fingerprint != new[name].fingerprint:
            yield f"~ {name}: {', '.join(_differing(old[name].document, new[name].document, ''))}"


def _differing(old: Any, new: Any, path: str) -> Iterator[str]:
    """Fields that differ, each with what it was and what it would be."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differing(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _differing(before, after, f"{path}[{place}]")
    elif old != new:
        yield f"{path} {json.dumps(old)} → {json.dumps(new)}"


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
