"""How the command line prints: tables for people, JSON lines for programs.

Used by every command that lists something. Results go to stdout, remarks to stderr. Colours only
on a terminal, and never where NO_COLOR is set.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_OF_FILES = 200
"""Columns of a table that does not go to a terminal."""


class Output(StrEnum):
    """How to print a list."""

    TABLE = "table"
    JSON = "json"


OUTPUT = typer.Option(Output.TABLE, "-o", "--output", help="table, or json: one object a line.")


def console() -> Console:
    """Where results are printed; made anew, so that a redirected stdout is seen."""
    return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else WIDTH_OF_FILES)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table; a cell that is a `Text` keeps its style."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    console().print(made)


def pairs(values: Mapping[str, object]) -> None:
    """Print names and values, one a line; nested ones are indented."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in values.items():
        made.add_row(Text(name), Text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    console().print(made)


def json_line(value: Any) -> None:
    """Print a value as one line of JSON."""
    raw(json.dumps(value, ensure_ascii=False).encode())


def raw(line: bytes) -> None:
    """Print bytes as they are, as one line."""
    typer.echo(line)


def remark(text: str) -> None:
    """Say something that is no result."""
    typer.echo(text, err=True)
