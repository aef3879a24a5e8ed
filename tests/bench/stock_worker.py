"""Celery with nothing set but the broker's address: `celery -A tests.bench.stock_worker worker`."""

import os

from celery import Celery

from tests.bench.began import began

app = Celery("stock", broker=os.environ.get("HEADRACE_RABBITMQ_URL", "amqp://"), set_as_current=False)


@app.task(name="stock.job", bind=True)
def job(task, argument):
    began(task.request.id)
    return argument["service"]
