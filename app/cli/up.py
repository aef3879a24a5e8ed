"""`headrace up`: the stream side, the workers and the gateway on this machine, as child processes.

It makes what is missing, starts the programs, passes their logs on and starts again what died;
`app.cli.children` keeps them. It does nothing that `faust -A app worker` and `celery -A tasks
worker` would not do.
"""

import sys
from collections.abc import Iterator

import typer

from app.cli.children import Child, Children
from app.cli.errors import Failure
from app.cli.printing import remark
from app.gateway import auth
from app.settings import Settings, settings


def up(
    workers: int = typer.Option(3, "--workers", "-w", min=0, help="How many Celery workers."),
    gateway: bool = typer.Option(True, help="Serve webhooks, events and the incident page too."),
    init: bool = typer.Option(True, help="Make the topics and queues that are missing first."),
) -> None:
    """Run the stream side, the workers and the gateway until Ctrl-C; one that dies is started again."""
    config = settings()
    if init:
        for made in _init(config):
            remark(made)
    commands = dict(_commands(config, workers))
    if not commands:
        raise Failure("there is nothing to run: neither HEADRACE_KAFKA_URL nor HEADRACE_RABBITMQ_URL names a server")
    if gateway:
        if why := auth.mistake(config):
            raise Failure(f"{why}; or run `headrace up --no-gateway`")
        commands["gateway"] = [sys.executable, "-m", "app.cli", "gateway"]
    Children([Child(name, command) for name, command in commands.items()]).run()


def _init(config: Settings) -> Iterator[str]:
    if config.kafka_url:
        from app.stream import client
        from app.stream import topics as stream_topics

        client.reach(config)
        for name in stream_topics.init(config):
            yield f"made topic {name}"
    if config.rabbitmq_url:
        from app.queue import topology

        yield f"declared on RabbitMQ: {', '.join(topology.init(config))}"


def _commands(config: Settings, workers: int) -> Iterator[tuple[str, list[str]]]:
    """Name and command of each program to run."""
    level = ["-l", "info"]
    if config.kafka_url:
        yield "stream", [sys.executable, "-m", "faust", "-A", "app", "worker", *level]
    if config.rabbitmq_url:
        for number in range(1, workers + 1):
            name = f"worker-{number}"
            yield name, [sys.executable, "-m", "celery", "-A", "tasks", "worker", *level, "-n", f"{name}@%h"]
