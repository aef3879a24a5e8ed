"""Fetch sessions with a real Kafka: what is asked and answered, and that every record comes, once and in order,
also when the broker has forgotten the session or does not give one.
"""

import asyncio
from collections import defaultdict

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from app.local.kafka import Kafka
from app.settings import Settings
from app.stream import sessions
from tests import fresh

pytestmark = pytest.mark.timeout(120)

PARTITIONS = 30


class Reader:
    """A consumer of aiokafka in sessions, from the beginning of all partitions of a topic."""

    def __init__(self, settings, topic):
        self.settings, self.topic = settings, topic
        self.tps = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        self.values = defaultdict(list)

    async def __aenter__(self):
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
        )
        await self.consumer.start()
        sessions.in_sessions(self.consumer._fetcher)
        self.consumer.assign(self.tps)
        return self

    async def __aexit__(self, *_):
        await self.consumer.stop()

    async def read(self, count):
        """Read until so many records were read in all, and a moment more."""
        silent = 0
        async with asyncio.timeout(30):
            while sum(map(len, self.values.values())) < count or silent < 2:
                found = await self.consumer.getmany(timeout_ms=300)
                silent = 0 if found else silent + 1
                for tp, records in found.items():
                    self.values[tp.partition] += [int(record.value) for record in records]


@pytest.fixture
def seen(monkeypatch):
    """Of each fetch: session, epoch, how many partitions it named, and how many the answer did."""
    found, ask, decode = [], sessions.Session.ask, sessions._Answer.decode

    def asked(self, wanted):
        said = ask(self, wanted)
        found.append([said[0], said[1], sum(len(parts) for _, parts in said[2]), 0])
        return said

    def answered(self, data):
        answer = decode(self, data)
        found[-1][3] = sum(len(parts) for _, parts in answer.topics)
        return answer

    monkeypatch.setattr(sessions.Session, "ask", asked)
    monkeypatch.setattr(sessions._Answer, "decode", answered)
    return found


def made(settings, topic="metrics"):
    """The topic, and a function that sends numbers to partitions of it in turn."""
    admin = AdminClient(settings.librdkafka(log_level=0))
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)

    def send(first, last):
        producer = Producer(settings.librdkafka(acks="all") | {"enable.idempotence": True})
        for number in range(first, last):
            producer.produce(topic, str(number), partition=number % PARTITIONS)
        assert producer.flush(30) == 0

    return send


@pytest.fixture
def settings(session):
    found = Settings(kafka_url=session.have("kafka").kafka_url)
    fresh.no_topics(found)
    return found


def whole(count, first=0):
    """What each partition has of these numbers."""
    return {number: list(range(first + number, count, PARTITIONS)) for number in range(PARTITIONS)}


def test_only_what_changed_is_asked_for_and_told(settings, seen):
    send = made(settings)

    async def run():
        async with Reader(settings, "metrics") as reader:
            while not seen or not seen[-1][0]:
                await reader.read(0)
            waiting = len(seen) - 1  # the fetch that is at the broker now
            send(0, 1)
            await reader.read(1)
            send(PARTITIONS, PARTITIONS + 1)
            await reader.read(2)
            return waiting, reader.values

    waiting, values = asyncio.run(run())
    assert values == {0: [0, PARTITIONS]}
    assert sum(named for _, _, named, _ in seen[: waiting + 1]) == PARTITIONS
    assert all(session > 0 and epoch > 0 for session, epoch, *_ in seen[1:])
    assert [told for *_, told in seen[waiting:] if told] == [1, 1]  # the partition that has something new
    assert [named for _, _, named, _ in seen[waiting + 1 :] if named] == [1, 1]  # whose position has moved


def test_a_partition_that_is_paused_sought_or_resumed_is_read_from_its_position(settings, seen):
    send = made(settings)

    async def run():
        async with Reader(settings, "metrics") as reader:
            send(0, 300)
            await reader.read(300)
            reader.consumer.pause(reader.tps[0])
            send(300, 600)
            await reader.read(590)
            assert len(reader.values[0]) == 10
            reader.consumer.resume(reader.tps[0])
            reader.consumer.seek(reader.tps[1], 15)
            await reader.read(605)
            return reader.values

    values = asyncio.run(run())
    again = values[1][20:]
    assert again == values[1][15:20]
    del values[1][20:]
    assert values == whole(600)


def test_a_broker_that_has_forgotten_the_session_is_told_all_again(settings, seen, monkeypatch):
    send = made(settings)

    async def run():
        async with Reader(settings, "metrics") as reader:
            send(0, 300)
            await reader.read(300)
            answered = sessions.Session.answered

            def lost(self, error, session_id):
                answered(self, error, session_id)
                self._id += 1  # of nobody: the broker does not know it
                monkeypatch.setattr(sessions.Session, "answered", answered)

            monkeypatch.setattr(sessions.Session, "answered", lost)
            await reader.read(300)
            send(300, 600)
            await reader.read(600)
            return reader.values

    assert asyncio.run(run()) == whole(600)
    assert len([one for one in seen if one[:3] == [0, 0, PARTITIONS]]) == 2


class NoSessions(Kafka):
    """A Kafka that gives no session to anybody."""

    def _properties(self, data):
        return f"{super()._properties(data)}\nmax.incremental.fetch.session.cache.slots=0\n"


def test_a_broker_without_room_for_a_session_is_asked_for_all(tmp_path, seen):
    kafka = NoSessions(tmp_path)
    kafka.start()
    try:
        settings = Settings(kafka_url=kafka.url)
        send = made(settings)

        async def run():
            async with Reader(settings, "metrics") as reader:
                for turn in range(3):
                    send(turn * 300, turn * 300 + 300)
                    await reader.read(turn * 300 + 300)
                return reader.values

        assert asyncio.run(run()) == whole(900)
        assert {(session, epoch) for session, epoch, *_ in seen} == {(0, 0)}
    finally:
        kafka.kill()
