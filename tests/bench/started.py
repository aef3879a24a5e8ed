"""A Celery worker whose tasks do nothing but write down when they began: `celery -A tests.bench.started worker`."""

import os
import time
from pathlib import Path

from celery import Celery
from kombu import Exchange, Queue

from tasks.contract import EXCHANGE, QUEUES, Kind, task_name

app = Celery("started", broker=os.environ["HEADRACE_RABBITMQ_URL"], set_as_current=False)
app.conf.update(
    task_queues=[
        Queue(
            QUEUES[Kind.SCALE], Exchange(EXCHANGE, type="topic", no_declare=True), no_declare=True,
            queue_arguments={"x-queue-type": "quorum"},
        )
    ],
    task_create_missing_queues=False, task_ignore_result=True, worker_enable_remote_control=False,
    worker_send_task_events=False, broker_connection_retry_on_startup=True,
)  # fmt: skip


def started(action):
    at = time.time()
    with Path(os.environ["BENCH_OUT"]).open("a") as file:
        file.write(f"{action['service']} {at}\n")


app.task(started, name=task_name(Kind.SCALE))
