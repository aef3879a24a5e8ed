"""`headrace policy schema|import`: what a file may say, and Kubernetes' documents as ours.

Registered by `app.cli.policy`. Nothing here puts a policy in force.
"""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from pydantic.json_schema import models_json_schema
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from app.cli.errors import Failure
from app.cli.printing import remark
from app.policy.files import PolicyError, no_yaml
from app.policy.kinds import KINDS
from app.policy.mistakes import mistakes
from app.policy.model_autoscaler import AutoscalerPolicy


def schema() -> None:
    """Print the JSON Schema of a policy document, for editors and for `check-jsonschema`."""
    typer.echo(text_of_schema(), nl=False)


def text_of_schema() -> str:
    """The schema, as it is published in docs/: of the kind that a document names, so that mistakes are told of that."""
    refs, inner = models_json_schema([(model, "validation") for model in KINDS.values()], by_alias=True)
    kinds = [
        {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": refs[model, "validation"]}
        for kind, model in KINDS.items()
    ]
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A policy of Headrace",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {"kind": {"enum": list(KINDS)}},
        "allOf": kinds,
    }
    return json.dumps(found | inner, indent=1, ensure_ascii=False) + "\n"


def import_(
    file: Path = typer.Argument(
        help="A file of HorizontalPodAutoscalers of `autoscaling/v2`; other kinds are left out."
    ),
) -> None:
    """Print Kubernetes' documents as policies of kind Scale, and on stderr what could not be taken along."""
    if not file.is_file():
        raise Failure(f"{file} is no file; name one of HorizontalPodAutoscalers")
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
    if policy.metadata.annotations:
        remark(f"{name}: the annotations {', '.join(policy.metadata.annotations)} are not taken along")
    ours = policy.as_scale().model_dump(by_alias=True, exclude_defaults=True, mode="json")
    spec = {"service": ours["spec"].pop("service")} | ours["spec"]  # where people look for it
    return {"apiVersion": "headrace/v1", "kind": "Scale", "metadata": ours["metadata"], "spec": spec}


def _yaml(document: dict[str, Any]) -> str:
    text = StringIO()
    YAML().dump(document, text)
    return text.getvalue()
