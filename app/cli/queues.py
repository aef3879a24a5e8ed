"""`headrace queues`: make and check the queues. Parses and prints; `app.queue.topology` does the work."""

import typer

from app.cli.errors import FINDINGS
from app.queue import topology
from app.settings import settings

queues = typer.Typer(help="Make and check the queues.", no_args_is_help=True, rich_markup_mode=None)


@queues.command()
def init() -> None:
    """Make the exchanges, queues and bindings that are missing, and set their policies."""
    typer.echo(f"declared: {', '.join(topology.init(settings()))}")


@queues.command()
def check() -> None:
    """Say what is wrong with the queues; exit code 1 if anything is."""
    wrong = topology.check(settings())
    for sentence in wrong:
        typer.echo(sentence)
    if wrong:
        raise typer.Exit(FINDINGS)
    typer.echo("the queues are right")
