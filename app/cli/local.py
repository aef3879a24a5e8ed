"""`headrace local`: Kafka, RabbitMQ and Redis on this machine, left running until they are ended.

Parses and prints; `app.local.servers` does the work.
"""

import shlex
from pathlib import Path

import typer

from app.cli.printing import remark
from app.local import servers

local = typer.Typer(
    help="Start and end Kafka, RabbitMQ and Redis on this machine.", no_args_is_help=True, rich_markup_mode=None
)

DIRECTORY = typer.Option(Path(".headrace/servers"), "--directory", "-d", help="Where they keep their data.")


@local.command()
def up(directory: Path = DIRECTORY) -> None:
    """Start the servers and leave them running; prints the environment that leads to them."""
    directory.mkdir(parents=True, exist_ok=True)
    _print(servers.up(directory, say=remark))


@local.command()
def down(directory: Path = DIRECTORY) -> None:
    """End the servers that `up` left running; their data stay."""
    ended = servers.down(directory)
    remark(f"ended: {', '.join(ended)}" if ended else f"no server runs in {directory}")


@local.command()
def env(directory: Path = DIRECTORY) -> None:
    """Print the environment of the running servers, for `eval "$(headrace local env)"`."""
    _print(servers.env(directory))


def _print(found: dict[str, str]) -> None:
    for name, value in sorted(found.items()):
        typer.echo(f"export {name}={shlex.quote(value)}")
