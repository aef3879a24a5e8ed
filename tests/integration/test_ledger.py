"""The ledger's scripts and the simulated fleet's on a real Redis, by what they promise."""

import threading
import time

import msgspec
import pytest
from redis import Redis

from tasks.clients.simulated import SimulatedFleet
from tasks.contract import Scale, action_key, fleet_key, target_key
from tasks.errors import ConflictError, TemporaryError
from tasks.lease import Heart, Lease
from tasks.ledger import Answer, Entry, Ledger

FAR_MS = 2**45
LEASE_S = 0.5

ACTION = Scale(
    id="a", service="web", decided_at_ms=1, expires_at_ms=FAR_MS, from_replicas=2, to_replicas=4, generation=7
)


@pytest.fixture
def redis(redis_url):
    with Redis.from_url(redis_url) as client:
        client.flushdb()
        yield client


@pytest.fixture
def ledger(redis):
    return Ledger(redis, "host:1", LEASE_S, keep_s=100)


def plain(id_="a", payload="p", expires_at_ms=FAR_MS):
    return Entry(id_, payload, expires_at_ms)


def scaling(id_="a", generation=1, expires_at_ms=FAR_MS):
    return Entry(id_, "p", expires_at_ms, "simulated:web", generation)


def let_lapse():
    time.sleep(LEASE_S + 0.1)


def test_the_first_claim_goes_and_says_when_it_began(ledger):
    claim = ledger.claim(plain(), began_ms=123)
    assert (claim.answer, claim.token, claim.started, claim.began_ms) == (Answer.GO, 1, False, 123)


def test_a_leased_action_is_waited_for_as_long_as_its_lease(ledger):
    ledger.claim(plain())
    claim = ledger.claim(plain())
    assert claim.answer is Answer.WAIT
    assert 0 < claim.wait_s <= LEASE_S


def test_a_lapsed_lease_is_taken_over_with_a_higher_token_and_the_first_beginning(ledger):
    ledger.claim(plain(), began_ms=123)
    let_lapse()
    claim = ledger.claim(plain(), began_ms=456)
    assert (claim.answer, claim.token, claim.began_ms) == (Answer.GO, 2, 123)


def test_who_takes_over_is_told_that_the_effect_had_begun(ledger):
    assert ledger.keep(plain(), ledger.claim(plain()).token, started=True)
    let_lapse()
    assert ledger.claim(plain()).started


def test_a_claim_can_note_the_beginning_itself_where_it_goes(ledger):
    assert not ledger.claim(plain(), begins=True).started
    ledger.claim(plain("late", expires_at_ms=1), begins=True)
    let_lapse()
    assert ledger.claim(plain()).started
    assert not ledger.claim(plain("late", expires_at_ms=1)).started


def test_a_lease_is_kept_until_it_is_dropped_and_no_word_of_it_comes_later(ledger, redis):
    heart = Heart(ledger, LEASE_S)
    for _ in range(3):  # one heart, one lease after the other
        with Lease(heart, plain(), ledger.claim(plain())):
            time.sleep(LEASE_S * 2)
            assert ledger.claim(plain()).answer is Answer.WAIT
        until = redis.hget(action_key("a"), "until")
        let_lapse()
        assert redis.hget(action_key("a"), "until") == until


def test_a_lease_that_is_kept_does_not_lapse(ledger):
    claim = ledger.claim(plain())
    with Lease(Heart(ledger, LEASE_S), plain(), claim):
        time.sleep(LEASE_S * 2)
        assert ledger.claim(plain()).answer is Answer.WAIT


def test_the_words_of_an_owner_that_lost_its_lease_do_not_count(ledger):
    old = ledger.claim(plain())
    let_lapse()
    new = ledger.claim(plain())
    assert ledger.finish(plain(), old.token, b"old") is None
    assert not ledger.keep(plain(), old.token)
    assert ledger.finish(plain(), new.token, b"new") == b"new"


def test_what_is_done_stays_done_with_its_first_outcome_and_counts_repeats(ledger):
    token = ledger.claim(plain()).token
    ledger.finish(plain(), token, b"first")
    assert ledger.finish(plain(), token, b"second") == b"first"
    claims = [ledger.claim(plain()) for _ in range(2)]
    assert [(one.answer, one.outcome, one.repeats) for one in claims] == [
        (Answer.DONE, b"first", 1), (Answer.DONE, b"first", 2),
    ]  # fmt: skip


def test_what_is_done_is_done_for_a_repeat_that_comes_late(ledger):
    ledger.finish(plain(), ledger.claim(plain()).token, b"done")
    assert ledger.claim(plain(expires_at_ms=1)).answer is Answer.DONE


def test_another_payload_under_a_known_id_is_told_apart_while_leased_and_when_done(ledger):
    token = ledger.claim(plain()).token
    assert ledger.claim(plain(payload="q")).answer is Answer.OTHER
    ledger.finish(plain(), token, b"done")
    assert ledger.claim(plain(payload="q")).answer is Answer.OTHER


def test_an_expired_action_is_ours_to_end_and_does_not_touch_its_target(ledger, redis):
    claim = ledger.claim(scaling(expires_at_ms=1))
    assert (claim.answer, claim.token) == (Answer.LATE, 1)
    assert not redis.exists(target_key("simulated:web"))
    assert ledger.finish(scaling(), 1, b"expired") == b"expired"


def test_one_action_at_a_time_has_a_target_and_the_next_goes_when_it_ends(ledger):
    first = ledger.claim(scaling("a", 1))
    assert ledger.claim(scaling("b", 2)).answer is Answer.WAIT
    ledger.finish(scaling("a", 1), first.token, b"done")
    assert ledger.claim(scaling("b", 2)).answer is Answer.GO


def test_a_target_is_kept_with_the_action_that_has_it(ledger):
    claim = ledger.claim(scaling("a", 1))
    with Lease(Heart(ledger, LEASE_S), scaling("a", 1), claim):
        time.sleep(LEASE_S * 2)
        assert ledger.claim(scaling("b", 2)).answer is Answer.WAIT


def test_an_older_generation_is_ours_to_end_and_leaves_the_target_to_the_newer(ledger, redis):
    new = ledger.claim(scaling("new", 9))
    old = ledger.claim(scaling("old", 8))
    assert (old.answer, old.newest) == (Answer.OLDER, 9)
    assert ledger.finish(scaling("old", 8), old.token, b"conflict") == b"conflict"
    assert redis.hget(target_key("simulated:web"), "holder") == b"new"
    assert ledger.finish(scaling("new", 9), new.token, b"done") == b"done"


def test_generations_near_the_largest_are_still_told_apart(ledger):
    ledger.claim(scaling("new", 2**53 - 1))
    assert ledger.claim(scaling("old", 2**53 - 2)).answer is Answer.OLDER


def test_of_many_that_claim_at_once_one_goes(redis, ledger):
    found = []
    threads = [threading.Thread(target=lambda: found.append(ledger.claim(plain()).answer)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [Answer.GO] + [Answer.WAIT] * 15


def test_entries_are_forgotten_in_time_and_not_before(ledger, redis):
    ledger.finish(scaling(), ledger.claim(scaling()).token, b"done")
    for key in (action_key("a"), target_key("simulated:web")):
        assert 90_000 < redis.pttl(key) <= 100_000


def test_a_scaling_takes_effect_once_and_says_the_same_each_time(redis):
    redis.hset(fleet_key("web"), mapping={"replicas": 2, "generation": 0})
    fleet = SimulatedFleet(redis)
    assert [fleet.scale(ACTION) for _ in range(3)] == [(2, 4)] * 3
    assert redis.llen(f"{fleet_key('web')}:log") == 1
    assert fleet.applied(ACTION) == 4


def test_the_fleet_knows_what_an_action_has_set_after_newer_ones_too(redis):
    redis.hset(fleet_key("web"), mapping={"replicas": 2, "generation": 0})
    fleet = SimulatedFleet(redis)
    fleet.scale(ACTION)
    fleet.scale(msgspec.structs.replace(ACTION, id="b", generation=8, to_replicas=6))
    assert fleet.applied(ACTION) == 4
    assert fleet.applied(msgspec.structs.replace(ACTION, id="c")) is None


def test_the_fleet_refuses_an_older_generation_by_itself(redis):
    redis.hset(fleet_key("web"), mapping={"replicas": 2, "generation": 8})
    with pytest.raises(ConflictError, match="generation 8"):
        SimulatedFleet(redis).scale(ACTION)
    assert redis.hget(fleet_key("web"), "replicas") == b"2"


@pytest.mark.parametrize(
    ("found", "to", "ends"),
    [(6, 4, (6, 6)), (4, 4, (4, 4)), (3, 4, (3, 4)), (1, 1, (1, 1)), (3, 1, (3, 1)), (0, 1, (0, 0))],
)
def test_a_scale_up_never_lowers_and_a_scale_down_never_raises(redis, found, to, ends):
    redis.hset(fleet_key("web"), mapping={"replicas": found, "generation": 0})
    assert SimulatedFleet(redis).scale(msgspec.structs.replace(ACTION, to_replicas=to)) == ends
    assert redis.llen(f"{fleet_key('web')}:log") == (ends[0] != ends[1])


def test_a_fleet_that_is_away_is_a_temporary_error():
    fleet = SimulatedFleet(Redis(port=1, retry=None))
    for call in (fleet.scale, fleet.applied):
        with pytest.raises(TemporaryError, match="away"):
            call(ACTION)
