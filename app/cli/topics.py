"""`headrace topics`: make and check the topics. Parses and prints; `app.stream.topics` does the work."""

import typer

from app.cli.errors import FINDINGS
from app.settings import settings
from app.stream import client
from app.stream import topics as stream_topics

topics = typer.Typer(help="Make and check the topics.", no_args_is_help=True, rich_markup_mode=None)


@topics.command()
def init(
    sources: bool = typer.Option(
        True, help="Also make the users' topics that are missing (metrics, deploy_events, …)."
    ),
) -> None:
    """Make the topics that are missing. What exists is left as it is."""
    client.reach(settings())
    made = stream_topics.init(settings(), sources=sources)
    for name in made:
        typer.echo(f"made {name}")
    if not made:
        typer.echo("nothing to make: all topics exist")


@topics.command()
def check() -> None:
    """Say what is wrong with the topics; exit code 1 if anything is."""
    client.reach(settings())
    wrong = stream_topics.check(settings())
    for sentence in wrong:
        typer.echo(sentence)
    if wrong:
        raise typer.Exit(FINDINGS)
    typer.echo("the topics are right")
