"""`headrace costs`: what services cost a day, and what each decision costs, from a book of the workers' targets file.

Parses and prints; `tasks.clients.books.account` reads. Runs where the targets file is.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import typer

from app.cli.errors import Failure
from app.cli.printing import OUTPUT, Output, json_line, table
from app.cli.times import HELP, at_ms, now_ms
from app.history.words import moment
from tasks.clients.books.account import Accounts, Stretch
from tasks.errors import PermanentError, TemporaryError

T = TypeVar("T")

costs = typer.Typer(help="Say what services cost.", rich_markup_mode=None)


class By(StrEnum):
    """What costs are told by."""

    DAY = "day"
    DECISION = "decision"


BOOK = typer.Option("", "--book", help="The book, by its name in the targets file; may be left out if there is one.")


@costs.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    by: By = typer.Option(By.DAY, "--by", help="By service and day, or by decision."),
    service: str = typer.Option("", "--service", "-s", help="Only one service."),
    from_: str = typer.Option("-30d", "--from", help=f"Begin here: {HELP}"),
    to: str = typer.Option("now", "--to", help=f"End here: {HELP}"),
    book: str = BOOK,
    output: Output = OUTPUT,
) -> None:
    """Say what services cost: their replicas, at the prices of the book. What still runs costs until now."""
    if context.invoked_subcommand is not None:
        return
    now = now_ms()
    stretch = Stretch(at_ms(from_, now=now), at_ms(to, now=now), now)
    if stretch.from_ms >= stretch.to_ms:
        raise typer.BadParameter("the stretch ends before it begins")
    if by is By.DAY:
        _days(stretch, service, book, output)
    else:
        _decisions(stretch, service, book, output)


@costs.command()
def init(book: str = BOOK) -> None:
    """Make the tables of a book and give it the prices of the targets file, also for what is booked already."""
    accounts = _answered(Accounts)
    name = _named(accounts, book)
    made, changed = _answered(lambda: accounts.init(name))
    typer.echo(f"book {name}: {'its tables were made' if made else 'its tables are of this version'}")
    for one in changed:
        since = f"from {moment(one.from_ms)} on" if one.from_ms else "ever since"
        typer.echo(f"price {one.name} is {_money(one.per_hour)} an hour {since}")


def _days(stretch: Stretch, service: str, book: str, output: Output) -> None:
    accounts = _answered(Accounts)
    found = _answered(lambda: accounts.days(_named(accounts, book), stretch, service))
    if output is Output.JSON:
        for one in found:
            json_line(one._asdict() | {"day": one.day.isoformat(), "cost": one.cost / 1e6})
        return
    rows = [[one.day.isoformat(), one.service, one.environment, _money(one.cost)] for one in found]
    table(["day (UTC)", "service", "environment", "cost"], [*rows, ["all", "", "", _money(sum(d.cost for d in found))]])


def _decisions(stretch: Stretch, service: str, book: str, output: Output) -> None:
    accounts = _answered(Accounts)
    found = _answered(lambda: accounts.decided(_named(accounts, book), stretch, service))
    if output is Output.JSON:
        for one in found:
            told: dict[str, Any] = one.record._asdict()
            json_line(told | {"from_ms": one.from_ms, "to_ms": one.to_ms, "runs": one.runs, "cost": one.cost / 1e6})
        return
    rows = [
        [one.record.id, one.record.service, one.record.environment, one.record.version, str(one.record.replicas),
         one.record.price, moment(one.from_ms), "now" if one.runs else moment(one.to_ms), _money(one.cost)]
        for one in found
    ]  # fmt: skip
    columns = ["decision", "service", "environment", "version", "replicas", "price", "from (UTC)", "to", "cost"]
    table(columns, [*rows, ["all", "", "", "", "", "", "", "", _money(sum(one.cost for one in found))]])


def _named(accounts: Accounts, book: str) -> str:
    """The book that is meant."""
    if book:
        return book
    names = _answered(lambda: accounts.names)
    if len(names) != 1:
        raise Failure(
            f"name one of the books with --book: {', '.join(names)}"
            if names
            else "there is no book in the targets file; set HEADRACE_TARGETS_FILE as the workers have it"
        )
    return names[0]


def _money(millionths: int) -> str:
    return f"{millionths // 1_000_000}.{millionths % 1_000_000 // 100:04d}"


def _answered(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except (PermanentError, TemporaryError) as error:
        raise Failure(str(error)) from error
