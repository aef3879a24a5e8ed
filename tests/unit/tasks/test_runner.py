"""The order of effects and every way an action ends, with a ledger that says what each test wants.

What the ledger itself does is tested on a real Redis, in tests/integration/test_ledger.py.
"""

import msgspec
import pytest
from redis import ConnectionError as RedisAway

from tasks.action import DETAIL, Done
from tasks.contract import Kind, Outcome, Status, encode
from tasks.errors import ConflictError, LostError, PermanentError, RejectedError, TemporaryError
from tasks.ledger import Answer, Claim
from tests.unit.tasks.worlds import EARLIER, GO, NOTIFY, ROLL_BACK, SCALE, WEBHOOK


def test_the_order_is_ledger_act_mark_outcome(world):
    here = world(GO)
    here.runner.run(SCALE)
    assert here.seen == ["claim", "act", "mark", "write"]


def test_a_claim_notes_the_beginning_where_the_target_can_be_asked_whether_it_was_one(world):
    here = world(GO, GO, asks={Kind.SCALE: lambda _: None})
    here.runner.run(SCALE)
    here.runner.run(NOTIFY)
    assert here.begins == [True, False]


def test_the_outcome_says_what_was_found_and_set_by_whom_and_when_it_began(world):
    here = world(GO, acts=[Done(Status.DONE, "1 → 2 replicas", found=1, set=2)])
    outcome = here.runner.run(SCALE)
    assert here.written == outcome == msgspec.json.decode(here.marked, type=Outcome)
    assert (outcome.id, outcome.action, outcome.service, outcome.generation) == ("j-0-1-0", Kind.SCALE, "web", 7)
    assert (outcome.found, outcome.set, outcome.worker, outcome.attempts) == (1, 2, "host:1", 1)
    assert outcome.started_at_ms == 1_990


def test_a_repeat_is_not_done_and_writes_the_same_outcome_with_its_count(world):
    here = world(Claim(Answer.DONE, outcome=encode(EARLIER), repeats=2))
    assert here.runner.run(SCALE) == msgspec.structs.replace(EARLIER, repeats=2)
    assert here.seen == ["claim", "write"]


def test_another_payload_under_a_known_id_is_rejected_and_writes_no_outcome(world):
    here = world(Claim(Answer.OTHER))
    with pytest.raises(RejectedError, match="j-0-1-0"):
        here.runner.run(SCALE)
    assert here.seen == ["claim"]


def test_a_copy_says_all_that_its_message_said(world):
    here = world(*[Claim(Answer.WAIT, wait_s=9.0)] * 4)
    here.runner.run(SCALE, more={"colour": "red"})
    assert here.more == {"colour": "red"}


def test_a_short_lease_is_waited_for(world):
    here = world(Claim(Answer.WAIT, wait_s=0.3), Claim(Answer.WAIT, wait_s=0.1), GO)
    here.runner.run(SCALE)
    assert here.seen == ["claim", "sleep", "claim", "sleep", "claim", "act", "mark", "write"]


@pytest.mark.parametrize(("wait_s", "delay_s"), [(1.5, 2), (9.0, 2), (14.0, 10), (100.0, 60)])
def test_a_long_lease_is_waited_for_by_a_copy(world, wait_s, delay_s):
    here = world(*[Claim(Answer.WAIT, wait_s=wait_s)] * 4)
    assert here.runner.run(SCALE) is None
    assert (here.copies, here.written) == ([delay_s], None)
    assert "release" not in here.seen, "it was never held"


@pytest.mark.parametrize(("answer", "status"), [(Answer.LATE, Status.EXPIRED), (Answer.OLDER, Status.CONFLICT)])
def test_a_late_or_older_action_is_marked_and_told_but_not_done(world, answer, status):
    here = world(Claim(answer, token=1, now_ms=62_500, newest=9))
    outcome = here.runner.run(SCALE)
    assert (outcome.status, here.seen) == (status, ["claim", "mark", "write"])
    assert ("1.5 s" if answer is Answer.LATE else "generation 9") in outcome.detail


@pytest.mark.parametrize("answer", [Answer.LATE, Answer.OLDER])
def test_what_a_dead_worker_had_done_is_found_out_though_it_is_late_or_older(world, answer):
    here = world(Claim(answer, token=2, before="started"), asks={Kind.SCALE: lambda _: Done(set=2)})
    outcome = here.runner.run(SCALE)
    assert (outcome.status, outcome.set, outcome.attempts) == (Status.DONE, 2, 2)
    assert "act" not in here.seen


def test_what_a_dead_worker_had_not_done_is_not_done_late(world):
    here = world(Claim(Answer.LATE, token=2, before="started"), asks={Kind.SCALE: lambda _: None})
    assert here.runner.run(SCALE).status is Status.EXPIRED


def test_where_nobody_can_be_asked_the_outcome_says_that_it_may_have_been_done(world):
    here = world(Claim(Answer.LATE, token=2, before="started"))
    assert "perhaps" in here.runner.run(NOTIFY).detail


def test_a_ledger_that_is_away_is_waited_for_and_nothing_is_done_meanwhile(world):
    here = world(RedisAway("gone"), RedisAway("gone"), GO)
    here.runner.run(SCALE)
    assert here.seen == ["claim", "sleep", "claim", "sleep", "claim", "act", "mark", "write"]


def test_a_ledger_that_goes_away_after_the_effect_is_waited_for_with_the_mark(world):
    here = world(GO, lost=[RedisAway("gone"), RedisAway("gone")])
    here.runner.run(SCALE)
    assert here.seen == ["claim", "act", "mark", "sleep", "mark", "sleep", "mark", "write"]


def test_a_temporary_error_gives_the_action_back_and_then_a_copy_comes_later(world):
    here = world(GO, acts=[TemporaryError("busy")])
    assert here.runner.run(SCALE) is None
    assert here.seen == ["claim", "act", "release", "later"]
    assert (here.copies, here.marked, here.written) == ([2], None, None)


@pytest.mark.parametrize(
    ("tries", "asked_s", "left_s", "delay_s"),
    [
        (1, 1, 600, 2),
        (4, 1, 600, 10),
        (9, 1, 600, 60),
        (1, 5, 600, 10),
        (1, 300, 600, 60),
        (9, 1, 30, 10),
        (9, 1, 3, 2),
    ],
)
def test_the_wait_grows_with_the_tries_and_never_outlives_the_action(world, tries, asked_s, left_s, delay_s):
    claim = Claim(Answer.GO, token=tries, before="waiting", now_ms=SCALE.expires_at_ms - left_s * 1000, began_ms=1)
    here = world(claim, acts=[TemporaryError("busy", delay_s=asked_s)])
    assert here.runner.run(SCALE) is None
    assert here.copies == [delay_s]


def test_a_temporary_error_is_given_up_when_the_action_expires(world):
    here = world(Claim(Answer.GO, token=7, before="waiting", now_ms=60_500, began_ms=1), acts=[TemporaryError("busy")])
    outcome = here.runner.run(SCALE)
    assert (outcome.status, outcome.attempts) == (Status.FAILED, 7)
    assert outcome.detail.startswith("given up after 7 tries")
    assert outcome.detail.endswith("busy")


def test_where_rabbitmq_does_not_take_the_copy_the_delivery_waits_and_tries_again(world):
    here = world(GO, GO, acts=[TemporaryError("busy"), Done()])
    here.refuses_copies = True
    assert here.runner.run(SCALE).status is Status.DONE
    assert here.seen == ["claim", "act", "release", "later", "sleep", "claim", "act", "mark", "write"]


def test_a_target_that_keeps_failing_is_left_alone_and_another_is_not(world):
    here = world(*[GO] * 6, acts=[TemporaryError("hangs")])
    for _ in range(5):
        here.runner.run(SCALE)
    assert here.seen.count("act") == 3
    here.runner.run(NOTIFY)
    assert here.seen.count("act") == 4
    assert len(here.copies) == 6


def test_a_driver_that_is_left_alone_is_so_for_rollbacks_too_and_a_webhook_for_itself(world):
    here = world(*[GO] * 8, acts=[TemporaryError("hangs")])
    for action in (SCALE, ROLL_BACK, SCALE, ROLL_BACK):
        here.runner.run(action)
    assert here.seen.count("act") == 3
    for _ in range(4):
        here.runner.run(WEBHOOK)
    assert here.seen.count("act") == 6


@pytest.mark.parametrize(("action", "generation"), [(SCALE, 7), (ROLL_BACK, 8), (NOTIFY, 0), (WEBHOOK, 0)])
def test_the_outcome_has_the_generation_of_kinds_that_have_one(world, action, generation):
    here = world(GO)
    here.runner.run(action)
    assert here.written.generation == generation


def test_an_action_given_back_is_no_takeover_and_one_left_by_the_dead_is(world):
    here = world(GO)
    assert (Claim(Answer.GO, before="waiting").taken_over, Claim(Answer.GO, before="leased").taken_over) == (
        False,
        True,
    )
    here.runner.run(SCALE)


def test_a_permanent_error_is_failed_at_once(world):
    here = world(GO, acts=[PermanentError("no such service")])
    outcome = here.runner.run(SCALE)
    assert (outcome.status, outcome.detail, here.seen.count("act")) == (Status.FAILED, "no such service", 1)


def test_a_conflict_at_the_target_is_told_as_one(world):
    assert world(GO, acts=[ConflictError("newer")]).runner.run(SCALE).status is Status.CONFLICT


def test_a_bug_is_tried_three_times_and_is_dead_with_its_name(world):
    here = world(GO, acts=[ZeroDivisionError("by zero")])
    outcome = here.runner.run(SCALE)
    assert (outcome.status, outcome.detail) == (Status.DEAD, "ZeroDivisionError: by zero")
    assert here.seen.count("act") == 3
    assert here.marked is not None


def test_a_long_detail_is_cut_so_that_kafka_takes_the_outcome(world):
    assert len(world(GO, acts=[PermanentError("x" * 2_000_000)]).runner.run(SCALE).detail) == DETAIL


def test_a_worker_that_lost_its_lease_in_the_act_asks_again_and_tells_what_the_other_did(world):
    here = world(GO, Claim(Answer.DONE, outcome=encode(EARLIER), repeats=1), acts=[LostError("j-0-1-0")])
    assert here.runner.run(SCALE).set == 2
    assert here.seen == ["claim", "act", "claim", "write"]


def test_a_worker_that_lost_its_lease_before_the_mark_asks_again(world):
    here = world(GO, Claim(Answer.DONE, outcome=encode(EARLIER), repeats=1), lost=["lost"])
    assert here.runner.run(SCALE).repeats == 1
    assert here.seen == ["claim", "act", "mark", "claim", "write"]
