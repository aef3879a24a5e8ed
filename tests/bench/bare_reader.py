"""Reads a queue with nothing but py-amqp: `python -m tests.bench.bare_reader <queue> <messages at a time>`.

Says that a job began and acknowledges it: the least that any worker in Python does with a message.
"""

import os
import sys
from contextlib import suppress

from app.queue.connection import connect
from tests.bench.began import began


def read(queue, ahead):
    connection = connect(os.environ["HEADRACE_RABBITMQ_URL"])
    channel = connection.channel()

    def take(message):
        began(message.headers["id"])
        channel.basic_ack(message.delivery_tag)

    channel.basic_qos(0, ahead, False)
    channel.basic_consume(queue, callback=take)
    print("reads", flush=True)
    while True:
        with suppress(TimeoutError):
            connection.drain_events()


if __name__ == "__main__":
    read(sys.argv[1], int(sys.argv[2]))
