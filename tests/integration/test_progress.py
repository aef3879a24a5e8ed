"""How far the intakes have read, asked while Kafka ends and starts again."""

from confluent_kafka import Consumer, TopicPartition

from app.stream import client
from tests.processes import wait_for

LOOKS = """
import time
from app.settings import settings
from app.stream.progress import Progress
progress = Progress(settings(), "readers", ["metrics"], lambda: time.time_ns() // 1_000_000)
while True:
    print(progress.look(), flush=True)
    time.sleep(0.005)
"""


def test_it_is_asked_on_through_restarts_of_kafka_and_ends_no_process(clean, headrace_env, processes, kafka):
    ends = client.borders(clean, "metrics")[1]
    # a group that no other test has: in one with members nobody else may commit
    member = Consumer(clean.librdkafka() | {"group.id": "readers"})
    committed = [TopicPartition("metrics", partition, end) for partition, end in ends.items()]
    member.commit(offsets=committed, asynchronous=False)
    member.close()
    looking = processes.start(["python", "-c", LOOKS], headrace_env)
    for _ in range(3):
        before = newest(looking)
        wait_for(lambda before=before: newest(looking) > before or not looking.alive, 60, "it to say how far was read")
        assert looking.alive, looking.code
        kafka.kill()
        kafka.start()


def newest(looking):
    """The moment that was said last."""
    lines = looking.text.splitlines()
    return int(lines[-1]) if lines else 0
