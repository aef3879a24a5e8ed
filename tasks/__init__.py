"""The workers: a Celery application that does what the stream decided, each action in effect once.

contract.py   the words shared with the stream side; light, imports neither Celery nor Faust
settings.py   the only reader of the environment in this package
main.py       the Celery application: queues, limits, tasks
consumer.py   Celery's consumer, which no message can stop
incoming.py   what a message asks for, checked
action.py     the one way an action is done: ledger, expiry, lease, act, mark, outcome
ledger.py     what was done, in Redis; a lease, never a claim that dies with its owner
outcomes.py   outcomes to Kafka, acknowledged before the delivery is
actions/      one module per kind of action: plain functions, no Celery
clients/      the only code that touches the world

`celery -A tasks worker` finds `app` here. It is made on first use, so that importing
`tasks.contract` costs nothing.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name in {"app", "celery"}:
        from tasks.main import celery_app

        return celery_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
