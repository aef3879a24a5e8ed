"""The stream side: reads facts from Kafka, decides, and hands what is decided to RabbitMQ.

main.py                  the three Faust apps in one worker; `faust -A app worker -l info`
intake.py                the users' topics in, the journal out
autoscaler.py            the journal in, decisions out; the only state
router.py                decisions in, Celery tasks out
settings.py              the only reader of the environment in this package
policy/                  pure: facts, state, windows, step, scale, decision, files
wire/                    pure: bytes to facts
stream/                  Kafka and Faust: transport, checkpoints, topics
queue/                   RabbitMQ: topology, pipelined publisher
history/                 replay, explain, export: readers of the same topics
local/                   servers and a simulated fleet on this machine
cli/                     `headrace …`: parsing and printing

`app.app` is made on first use, so that importing `app.policy` loads no broker's client.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "app":
        from app.main import faust_app

        return faust_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
