"""`headrace policy`: check policy files, put them in force, show what is in force.

Reads the files; `app.policy.files` checks them; a set goes to the control topic, from where the
intake gives it to every journal partition.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import typer

from app.cli import author as authors
from app.cli import policy_diff, policy_files, policy_test, policy_words
from app.cli.control import hand_over
from app.cli.errors import Failure
from app.cli.printing import OUTPUT, Output, json_line, remark, table
from app.cli.reading import files_in
from app.cli.times import now_ms
from app.history import recorded
from app.history.words import moment
from app.policy import files
from app.policy.facts import PolicyDocument
from app.settings import settings
from app.wire.internal import PolicySetMessage

policy = typer.Typer(help="Check policies and put them in force.", no_args_is_help=True, rich_markup_mode=None)

PATHS = typer.Argument(help="Policy files, or directories of them (*.yaml, *.yml).")


def load(paths: Sequence[Path]) -> list[PolicyDocument]:
    """The policies in files and directories; raises PolicyError with every mistake, Failure if there are none."""
    texts = {str(file): file.read_text(encoding="utf-8", errors="replace") for path in paths for file in files_in(path)}
    found = files.load(texts)
    if not found:
        raise Failure(f"there is no policy in {', '.join(map(str, paths))}; name files that hold some")
    return found


@policy.command()
def validate(paths: list[Path] = PATHS) -> None:
    """Check policies without a server; every mistake at once, with file and line."""
    found = load(paths)
    _list(found)
    count = "1 policy is" if len(found) == 1 else f"{len(found)} policies are"
    typer.echo(f"{count} right; as a set the fingerprint is {files.fingerprint(found)}")


@policy.command()
def apply(
    paths: list[Path] = PATHS,
    message: str = typer.Option("", "--message", "-m", help="Why, for those who read history."),
    author: str | None = authors.AUTHOR,
) -> None:
    """Put these policies in force, in place of all that were before."""
    found = load(paths)
    hand_over(settings(), PolicySetMessage(found, author or authors.default(), message, now_ms()))
    _list(found)
    count = "1 policy is" if len(found) == 1 else f"{len(found)} policies are"
    typer.echo(f"{count} handed over as set {files.fingerprint(found)}")


@policy.command()
def diff(
    paths: list[Path] = PATHS,
    against: list[Path] | None = typer.Option(
        None, help="Compare with these files or directories instead; no server is needed then."
    ),
) -> None:
    """Show what would change against the set that was put in force last; exit code 1 if anything would."""
    policy_diff.diff(load(paths), load(against) if against else None)


policy.command()(policy_files.schema)
policy.command("import")(policy_files.import_)
policy.command("test")(policy_test.run_tests)


@policy.command("list")
def list_(
    output: Output = OUTPUT,
    history: bool = typer.Option(
        False, "--history", help="All sets that were ever handed over, newest last, instead of the last."
    ),
) -> None:
    """Show the policies that were handed over last, and by whom."""
    sets = recorded.policy_sets(settings())
    if not sets:
        raise Failure("no policies were put in force yet; do it with `headrace policy apply`")
    if output is Output.JSON:
        for one in sets if history else sets[-1:]:
            json_line(msgspec.to_builtins(one))
        return
    if history:
        rows = [
            [moment(s.at_ms), s.fingerprint, s.author, s.message, " ".join(p.name for p in s.policies)] for s in sets
        ]
        table(["at", "set", "author", "message", "policies"], rows)
        return
    last = sets[-1]
    _list(last.policies)
    remark(
        f"set {last.fingerprint}, by {last.author} at {moment(last.at_ms)}{': ' + last.message if last.message else ''}"
    )


def _list(policies: Sequence[PolicyDocument]) -> None:
    table(policy_words.COLUMNS, map(policy_words.row, policies))
    if alerts := policy_words.untold(policies):
        remark(
            f"nobody is told of {', '.join(alerts)}: name a receiver in `then.notify`, or add a policy of kind Alerting"
        )
