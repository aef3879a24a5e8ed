"""`headrace observe`: tell the stream what runs elsewhere. Parses and prints; `app.observe` does the work."""

import asyncio
import json
import signal

import typer

from app.cli.errors import Failure
from app.cli.printing import remark
from app.log import setup
from app.observe.cluster import Api
from app.observe.messages import Messages
from app.observe.observer import Observer, Tell
from app.settings import Settings, settings

observe = typer.Typer(help="Tell the stream what runs elsewhere.", no_args_is_help=True, rich_markup_mode=None)


@observe.callback()
def _about() -> None:
    """Tell the stream what runs elsewhere."""


@observe.command()
def kubernetes(
    namespace: str = typer.Option("", "--namespace", "-n", help="Namespace; empty: that of the kubeconfig, or ours."),
    selector: str = typer.Option("", "--selector", "-l", help="Labels of the workloads, as kubectl takes them."),
    once: bool = typer.Option(False, help="Tell everything once, and end."),
    dry_run: bool = typer.Option(False, help="Print what would be sent, and send nothing."),
) -> None:
    """Send the instances of Deployments and StatefulSets to the topic of instances, at each change, until Ctrl-C."""
    config = settings()
    setup(config)
    if dry_run:
        asyncio.run(_observe(config, (namespace, selector), lambda told: typer.echo(json.dumps(told)), once=once))
        return
    topic = next((name for name, kind in config.sources.items() if kind == "instances"), None)
    if topic is None:
        raise Failure("no topic of instances is read; set HEADRACE_INSTANCE_TOPICS")
    with Messages(config, topic) as messages:
        if not once:
            remark(f"what runs is told on {topic}")
        asyncio.run(_observe(config, (namespace, selector), messages.send, once=once))
    if once:
        remark(f"sent {messages.sent} to {topic}")


async def _observe(config: Settings, what: tuple[str, str], tell: Tell, *, once: bool) -> None:
    api = Api(config)
    run = asyncio.ensure_future(Observer(api, *what, tell).run(once=once))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, run.cancel)
    try:
        await run
    except asyncio.CancelledError:
        if not run.cancelled():
            raise
    finally:
        await api.close()
