"""`headrace doctor`: the settings in force and where they came from, and whether everything they name is right.

It only looks: nothing is made or changed. `app.cli.checks` has what it looks at.
"""

import os
from typing import Any

import typer
from pydantic import SecretStr
from rich.text import Text

from app.cli import checks
from app.cli.errors import FINDINGS
from app.cli.printing import Output, console, json_line, table
from app.settings import Settings, masked, settings

STYLES = {"ok": "green", "wrong": "bold red", "note": "yellow"}


def doctor(
    output: Output = typer.Option(Output.TABLE, "-o", "--output", help="table, or json."),
) -> None:
    """Show the settings and check the servers, topics, queues and clocks; exit code 1 if anything is wrong."""
    config = settings()
    shown = values(config)
    if output is Output.TABLE:
        table(["setting", "value", "from"], shown)
        console().print()
    found: list[checks.Finding] = []
    for check in checks.ALL:
        for finding in check(config):
            found.append(finding)
            if output is Output.TABLE:
                mark = Text(f"{finding.verdict:<6}", STYLES[finding.verdict])
                console().print(mark, Text(_said(finding)), soft_wrap=True)
    if output is Output.JSON:
        named = [dict(zip(("setting", "value", "from"), row, strict=True)) for row in shown]
        json_line({"settings": named, "findings": [finding._asdict() for finding in found]})
    if any(finding.verdict == "wrong" for finding in found):
        raise typer.Exit(FINDINGS)


def _said(finding: checks.Finding) -> str:
    return finding.text if finding.text.startswith(finding.subject) else f"{finding.subject}: {finding.text}"


def values(config: Settings) -> list[list[str]]:
    """Every setting: its variable, the value in force with secrets masked, and where it came from."""
    rows = []
    for name in Settings.model_fields:
        origin = "environment" if name in config.model_fields_set else "default"
        rows.append([f"HEADRACE_{name.upper()}", _shown(getattr(config, name)), origin])
    return rows + [
        [name, "has no effect here: HEADRACE_… names the servers", "environment"]
        for name in ("BROKER_URL", "CELERY_BROKER_URL")
        if name in os.environ
    ]


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "***" if value.get_secret_value() else ""
    if value is None:
        return ""
    return masked(str(value))
