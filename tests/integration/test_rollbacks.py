"""Rollbacks of simulated services: the script on a real Redis, and what the fleet tells of them on Kafka."""

import json
import re
from time import time

import msgspec
import pytest
from redis import Redis

from app.local.fleet import Fleet
from app.local.load import Point, Service
from app.policy.facts import Phase, Source
from app.stream import client
from app.wire.events import event
from app.wire.rules import Raw, Rules
from tasks.clients.simulated import SimulatedFleet
from tasks.contract import RollBack, Scale, fleet_key
from tasks.errors import ConflictError, TemporaryError

SAME = {"service": "web", "decided_at_ms": 1, "expires_at_ms": 2**45}
BACK = RollBack(id="a", environment="prod", from_version="2", to_version="1", generation=7, **SAME)
SCALE = Scale(id="s", from_replicas=2, to_replicas=4, generation=7, **SAME)
LOG = f"{fleet_key('web')}:log"


@pytest.fixture
def redis(redis_url):
    with Redis.from_url(redis_url, decode_responses=True) as told:
        told.flushdb()
        yield told


@pytest.fixture
def fleet(redis_url, redis):
    """A fleet of one service that has 2 replicas of version 2."""
    redis.hset(fleet_key("web"), mapping={"replicas": 2, "generation": 0, "version": "2"})
    with Redis.from_url(redis_url) as plain:
        yield SimulatedFleet(plain)


def version(redis):
    return redis.hget(fleet_key("web"), "version")


def test_a_rollback_takes_effect_once_and_says_the_same_each_time(redis, fleet):
    assert [fleet.roll_back(BACK) for _ in range(3)] == [("2", "1")] * 3
    assert (version(redis), redis.llen(LOG)) == ("1", 1)
    assert fleet.rolled_back(BACK) == "1"
    assert fleet.rolled_back(msgspec.structs.replace(BACK, id="b")) is None


def test_a_version_that_runs_already_is_no_effect(redis, fleet):
    redis.hset(fleet_key("web"), "version", "1")
    assert fleet.roll_back(BACK) == ("1", "1")
    assert (redis.llen(LOG), redis.hget(fleet_key("web"), "rolled_back_by")) == (0, None)
    assert redis.hget(fleet_key("web"), "generation") == "7"


def test_a_service_whose_version_nobody_knows_is_believed_to_run_what_the_decision_says(redis, fleet):
    redis.hdel(fleet_key("web"), "version")
    assert fleet.roll_back(BACK) == ("2", "1")
    assert version(redis) == "1"


def test_another_version_that_somebody_deployed_meanwhile_is_left_alone(redis, fleet):
    redis.hset(fleet_key("web"), "version", "3")
    with pytest.raises(ConflictError, match="version 3 runs by now"):
        fleet.roll_back(BACK)
    assert (version(redis), redis.llen(LOG), redis.hget(fleet_key("web"), "generation")) == ("3", 0, "0")


def test_scalings_and_rollbacks_are_in_one_order(redis, fleet):
    fleet.scale(msgspec.structs.replace(SCALE, generation=8))
    with pytest.raises(ConflictError, match="generation 8"):
        fleet.roll_back(BACK)
    fleet.roll_back(msgspec.structs.replace(BACK, generation=9))
    with pytest.raises(ConflictError, match="generation 9"):
        fleet.scale(msgspec.structs.replace(SCALE, id="t", generation=8))
    assert (version(redis), redis.hget(fleet_key("web"), "replicas")) == ("1", "4")


def test_what_a_rollback_did_is_known_after_newer_actions_too(fleet):
    fleet.roll_back(BACK)
    fleet.scale(msgspec.structs.replace(SCALE, generation=8))
    assert fleet.rolled_back(BACK) == "1"


def test_a_rollback_is_of_the_target_that_is_named(redis, fleet):
    fleet.roll_back(msgspec.structs.replace(BACK, target="web-blue"))
    assert (version(redis), redis.hget(fleet_key("web-blue"), "version")) == ("2", "1")


def test_a_fleet_that_is_away_is_a_temporary_error():
    gone = SimulatedFleet(Redis(port=1, retry=None))
    for call in (gone.roll_back, gone.rolled_back):
        with pytest.raises(TemporaryError, match="away"):
            call(BACK)


FLAT = (Service("web", 2, (Point(0, 160), Point(600, 160))),)


def told(settings):
    """The events on Kafka, as the intake reads them."""
    low, high = client.borders(settings, "deploy_events")
    rules = Rules(4, re.compile("web"), 60_000, int(time() * 1000))
    return [
        event(Raw("deploy_events", "t", 0, 0, rules.now_ms, None, message.value), Source("t", "t", 0, 0, 0), rules)
        for message in client.read_topic(settings, "deploy_events", low, high)
    ]


def test_the_fleet_tells_of_a_rollback_as_a_deployer_does(clean, wait_for):
    began_ms = int(time() * 1000)
    with Redis.from_url(clean.redis_url) as redis, Fleet(clean, FLAT, period_s=0.05) as fleet:
        wait_for(lambda: "web" in fleet.seen, 10)
        fleet.deploy("web", "2")
        SimulatedFleet(redis).roll_back(BACK)
        wait_for(lambda: told(clean), 20, "the event")
        SimulatedFleet(redis).scale(msgspec.structs.replace(SCALE, generation=8))
        wait_for(lambda: fleet.seen["web"].generation == 8, 10)
    assert fleet.failure is None
    (seen,) = told(clean)
    assert (seen.service, seen.environment, seen.phase) == ("web", "prod", Phase.ROLLED_BACK)
    assert (seen.version, seen.who) == ("1", "headrace")
    assert began_ms <= seen.at_ms <= time() * 1000


def test_a_fleet_that_was_away_tells_of_the_last_rollback_under_its_own_id_and_time(clean, wait_for):
    with Redis.from_url(clean.redis_url) as redis:
        SimulatedFleet(redis).roll_back(BACK)
    for count in (1, 2):
        with Fleet(clean, FLAT, period_s=0.05):
            wait_for(lambda: len(told(clean)) == count, 20, "the event")  # noqa: B023 - asked at once
    first, second = told(clean)
    assert (first.event_id, first.at_ms) == (second.event_id, second.at_ms)


def test_what_the_fleet_keeps_in_redis_is_what_it_says(redis, fleet):
    fleet.roll_back(BACK)
    kept = redis.hgetall(fleet_key("web"))
    assert kept.pop("rolled_back_at_ms").isdecimal()
    assert kept == {
        "replicas": "2", "version": "1", "generation": "7", "action": "a", "found": "2", "became": "1",
        "rolled_back_by": "a", "rolled_back_to": "1", "rolled_back_in": "prod",
    }  # fmt: skip
    assert json.loads(redis.lindex(LOG, 0)) == {"id": "a", "to": "1", "generation": 7}
