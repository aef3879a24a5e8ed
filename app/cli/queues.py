"""`headrace queues`: make and check the queues and users. Parses and prints; `app.queue.topology` does the work."""

import typer

from app.cli.errors import FINDINGS
from app.queue import roles, topology
from app.settings import settings

queues = typer.Typer(help="Make and check the queues.", no_args_is_help=True, rich_markup_mode=None)


@queues.command()
def init(
    users: bool = typer.Option(False, "--users", help="Also a RabbitMQ user for each part, with the least rights."),
) -> None:
    """Make the exchanges, queues and bindings that are missing, and set their policies."""
    made = topology.init(settings())
    typer.echo(f"declared: {', '.join(made)}")
    if users:
        typer.echo(f"users: {', '.join(roles.init(settings()))}")


@queues.command()
def check(
    users: bool = typer.Option(False, "--users", help="Also say which users are missing; those there are compared."),
) -> None:
    """Say what is wrong with the queues; exit code 1 if anything is."""
    wrong = topology.check(settings(), users=users)
    for sentence in wrong:
        typer.echo(sentence)
    if wrong:
        raise typer.Exit(FINDINGS)
    typer.echo("the queues are right")
