"""What the watchdog takes for standing still, on a clock of its own."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaException
from faust.types.tuples import TP

from app.settings import Settings
from app.stream import watchdog
from app.stream.watchdog import REBALANCE_S, Watchdog

TPS = [TP("journal", 0), TP("journal", 1)]


class Kafka:
    def __init__(self):
        self.found = {TPS[0]: 100, TPS[1]: 50}
        self.begins = {}
        self.nobody = []

    def ends(self, tps):
        return {tp: self.found[tp] for tp in tps}

    def starts(self, tps):
        return {tp: self.begins.get(tp, 0) for tp in tps}

    def unowned(self, group, topics):
        return self.nobody


class World:
    """An app that owns both partitions and has read all, and its watchdog."""

    def __init__(self):
        self.kafka = Kafka()
        self.owned = list(TPS)
        self.moves = 0
        self.waiting = ""
        self.done = {TPS[0]: 100, TPS[1]: 50}
        positions = SimpleNamespace(done=self.done, progress_of=lambda tp: (self.done[tp], self.moves))
        self.consumer = SimpleNamespace(
            flow_active=True, assigned_once=True, positions=positions, assignment=lambda: self.owned, told=dict
        )
        self.app = SimpleNamespace(
            conf=SimpleNamespace(id="auto-scaler"), block_topics={"journal"}, rebalancing=False,
            waits_for=lambda: self.waiting, consumer=self.consumer,
        )  # fmt: skip
        self.dog = Watchdog(self.app, Settings(stall_s=30), kafka=self.kafka, end=lambda _: None)
        self.now = 0.0

    def after(self, seconds):
        self.now += seconds
        return self.dog.look(self.now)


@pytest.fixture
def world():
    return World()


def test_a_partition_that_has_something_and_does_not_move_is_named(world):
    world.kafka.found[TPS[1]] = 60
    assert [world.after(10) for _ in range(3)] == [""] * 3
    assert world.after(10) == "journal[1] has stood at 50 of 60 for 30 s; whoever starts next reads on from there"


def test_one_that_has_nothing_or_moves_is_left_alone(world):
    for n in range(20):
        world.kafka.found[TPS[0]] += 10
        world.done[TPS[0]] += 9
        assert world.after(10) == "", n


def test_one_whose_records_are_all_gone_by_retention_has_nothing(world):
    world.kafka.found[TPS[0]] = world.kafka.begins[TPS[0]] = 200
    assert [world.after(10) for _ in range(10)] == [""] * 10
    world.kafka.found[TPS[0]] = 201
    assert world.after(10)


def test_writes_for_the_block_in_hand_are_movement(world):
    world.kafka.found[TPS[0]] = 200
    for _ in range(20):
        world.moves += 1
        assert world.after(10) == ""
    assert [world.after(10) for _ in range(3)][-1]


def test_a_router_that_says_what_it_waits_for_does_not_stand_still(world):
    world.kafka.found[TPS[0]] = 200
    world.waiting = "RabbitMQ does not answer"
    assert [world.after(10) for _ in range(10)] == [""] * 10
    world.waiting = ""
    assert [bool(world.after(10)) for _ in range(4)] == [False, False, False, True]


def test_while_kafka_does_not_answer_no_time_passes(world, monkeypatch):
    ended = []
    world.dog._end = ended.append
    looks = iter([KafkaException("away")] * 100)

    def look(_):
        error = next(looks, None)
        if error is None:
            world.dog.stopping.set()
            return ""
        raise error

    monkeypatch.setattr(world.dog, "look", look)
    monkeypatch.setattr("app.stream.watchdog.LOOK_S", 0.001)
    world.dog.run()
    assert not ended


def test_nothing_owned_is_right_only_if_others_have_it_all(world):
    world.owned = []
    assert [world.after(10) for _ in range(10)] == [""] * 10
    world.kafka.nobody = [TPS[1]]
    assert [world.after(10) for _ in range(3)] == [""] * 3
    assert world.after(10) == "auto-scaler has no partition, and nobody has journal[1], which is there"


def test_a_rebalance_has_a_longer_limit_of_its_own(world):
    world.app.rebalancing = True
    assert world.after(0) == ""
    assert world.after(REBALANCE_S - 1) == ""
    assert "has waited for its partitions for 90 s" in world.after(1)
    world.app.rebalancing = False
    assert world.after(1) == ""
    world.consumer.flow_active = False
    assert world.after(REBALANCE_S - 1) == ""


def test_answers_that_do_not_come_are_kafka_being_away_and_not_the_end_of_the_watch(monkeypatch):
    monkeypatch.setattr(watchdog, "TIMEOUT_S", 0.01)
    asked = watchdog.Kafka(Settings(kafka_url="kafka://127.0.0.1:1"))
    asked._admin = SimpleNamespace(
        list_offsets=lambda wanted, **_: {one: Future() for one in wanted},
        describe_consumer_groups=lambda groups, **_: {one: Future() for one in groups},
    )
    with pytest.raises(KafkaException):
        asked.ends(TPS)
    with pytest.raises(KafkaException):
        asked.unowned("auto-scaler", ["journal"])
