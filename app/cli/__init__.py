"""The command `headrace`: parsing and printing, nothing else.

`main` is the entry point. Commands live in the modules of this package, named in `COMMANDS`, and
are loaded when they are called: `headrace --help` loads none of them. Nobody imports this package.
"""

import sys
from importlib import import_module
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from app.cli.errors import FINDINGS, sentence_of


class Entry(NamedTuple):
    """Where a command is: a function, or a Typer with commands of its own; `about` is its line in the help."""

    module: str
    attribute: str
    about: str


COMMANDS: Final[dict[str, Entry]] = {
    "demo": Entry("demo", "demo", "Show the main job on real servers, in about a minute."),
    "up": Entry("up", "up", "Run the stream side, the workers and the gateway here."),
    "gateway": Entry("gateway", "gateway", "Serve webhooks, events and the incident page."),
    "local": Entry("local", "local", "Start and end Kafka, RabbitMQ and Redis on this machine."),
    "router": Entry("router", "router", "Run the router alone, or show what it would send."),
    "topics": Entry("topics", "topics", "Make and check the topics."),
    "queues": Entry("queues", "queues", "Make and check the queues."),
    "policy": Entry("policy", "policy", "Check policies and put them in force."),
    "send": Entry("send", "send", "Send samples or a deploy."),
    "observe": Entry("observe", "observe", "Tell the stream what runs elsewhere, such as in Kubernetes."),
    "pause": Entry("commands", "pause", "Pause the scaling of a service."),
    "resume": Entry("commands", "resume", "Let a paused service scale again."),
    "silence": Entry("commands", "silence", "Tell nobody of a service's alerts for a while."),
    "unsilence": Entry("commands", "unsilence", "End a silence."),
    "decisions": Entry("decisions", "decisions", "List decisions and refusals."),
    "explain": Entry("explain", "explain", "Say why something was decided."),
    "timeline": Entry("timeline", "timeline", "Tell what happened to a service, in the order of time."),
    "state": Entry("state", "state", "Show what is remembered of a service."),
    "journal": Entry("journal", "journal", "Read and export the journal."),
    "replay": Entry("replay", "replay", "Decide recorded facts again and compare."),
    "audit": Entry("audit", "audit", "Verify that what was decided was done, once."),
    "costs": Entry("costs", "costs", "Say what services cost a day, and what each decision costs."),
    "quarantine": Entry("quarantine", "quarantine", "List input that could not be read."),
    "dead": Entry("dead", "dead", "Look at dead letters, send them again, drop them."),
    "doctor": Entry("doctor", "doctor", "Check settings, servers, topics and queues."),
}
"""Every command, in the order of the help."""


class Lazy(TyperGroup):
    """A group whose commands are loaded when called, and whose failures are told as one sentence."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        """Names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - Typer's signature
        """A stand-in with the line about it, for the help; `resolve_command` has the command itself."""
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else TyperCommand(name=cmd_name, help=entry.about, callback=lambda: None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called."""
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]  # what a slip of the pen is compared with
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            command = _load(name, COMMANDS[name])
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an expected failure becomes a sentence and exit code 1."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            sentence = sentence_of(error)
            if sentence is None:
                raise
            typer.echo(f"headrace: {sentence}{'' if sentence.endswith(('.', '?')) else '.'}", err=True)
            raise typer.Exit(FINDINGS) from error


def _load(name: str, entry: Entry) -> Any:
    found = getattr(import_module(f"app.cli.{entry.module}"), entry.attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name)(found)
        found = single
    command = typer.main.get_command(found)
    command.name = name
    return command


root = typer.Typer(cls=Lazy, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"headrace {version('headrace')}")
        raise typer.Exit


@root.callback()
def headrace(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Say the version and end."),
) -> None:
    """Reads metrics and deploys from Kafka, decides what should happen, has it done, and remembers why.

    Servers are named by HEADRACE_KAFKA_URL, HEADRACE_RABBITMQ_URL and HEADRACE_REDIS_URL; `headrace doctor`
    shows all settings. Exit codes: 0 all right, 1 something is wrong, 2 wrong usage.
    """


def main() -> None:
    """The entry point of the program `headrace`."""
    command = typer.main.get_command(root)
    sys.exit(command(prog_name="headrace"))
