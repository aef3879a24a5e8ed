"""The order of effects and every way an action ends, with a ledger that says what each test wants.

What the ledger itself does is tested on a real Redis, in tests/integration/test_ledger.py.
"""

from dataclasses import replace

import msgspec
import pytest
from redis import ConnectionError as RedisAway

from tasks import action as module
from tasks.action import DETAIL, Done, Runner
from tasks.contract import CallWebhook, Kind, Notify, Outcome, RollBack, Scale, Status, encode
from tasks.errors import ConflictError, LostError, PermanentError, RejectedError, TemporaryError
from tasks.ledger import Answer, Claim
from tasks.limits import DEFAULTS, Limit

SCALE = Scale(
    id="j-0-1-0", service="web", decided_at_ms=1_000, expires_at_ms=61_000,
    from_replicas=1, to_replicas=2, generation=7,
)  # fmt: skip
NOTIFY = Notify(id="j-0-1-1", service="web", decided_at_ms=1_000, expires_at_ms=61_000, receiver="r", title="", body="")
ROLL_BACK = RollBack(
    id="j-0-1-2", service="web", decided_at_ms=1_000, expires_at_ms=61_000,
    environment="prod", from_version="2", to_version="1", generation=8,
)  # fmt: skip
WEBHOOK = CallWebhook(
    id="j-0-1-3", service="web", decided_at_ms=1_000, expires_at_ms=61_000, webhook="deploys", event="e"
)
GO = Claim(Answer.GO, token=1, now_ms=2_000, began_ms=1_990)
DEATHS = Limit().deaths
EARLIER = Outcome(id="j-0-1-0", action=Kind.SCALE, service="web", status=Status.DONE, set=2)


class World:
    """A runner, and in `seen` everything it did, in order. A claim or an act that is an exception is raised."""

    refuses_copies = False

    def __init__(self, *claims, acts=(), lost=(), asks=None):
        self.claims, self.results, self.lost = list(claims), list(acts) or [Done()], list(lost)
        self.seen, self.now_s = [], 100.0
        self.begins = []
        self.marked = self.written = None
        every = dict.fromkeys(Kind, self.act)
        self.copies, self.more = [], None
        self.runner = Runner(every, self, self, "host:1", 15.0, self.later, asks=asks or {}, sleep=self.sleep)

    def later(self, action, delay_s, redrive, more):
        self.seen.append("later")
        if self.refuses_copies:
            raise ConnectionResetError("gone")
        self.copies.append(delay_s)
        self.more = more

    def release(self, entry, token):
        self.seen.append("release")
        return True

    def claim(self, entry, began_ms, *, begins):
        self.seen.append("claim")
        self.begins.append(begins)
        answer = self.claims.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def keep(self, entry, token, *, started=False):
        return True

    def finish(self, entry, token, outcome, *, undone):
        self.seen.append("mark")
        fate = self.lost.pop(0) if self.lost else ""
        if isinstance(fate, Exception):
            raise fate
        if fate == "lost":
            return None
        self.marked = outcome
        return outcome

    def act(self, action, lease):
        self.seen.append("act")
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return result

    def write(self, outcome):
        self.seen.append("write")
        self.written = outcome

    def sleep(self, seconds):
        self.seen.append("sleep")
        self.now_s += seconds


@pytest.fixture
def world(monkeypatch):
    made = []

    def make(*claims, **more):
        made.append(World(*claims, **more))
        monkeypatch.setattr(module.time, "monotonic", lambda: made[0].now_s)
        return made[0]

    return make


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


def test_an_action_with_which_many_workers_died_is_dead_and_not_done_again():
    world = World(Claim(Answer.GO, token=9, before="leased", now_ms=2_000, began_ms=1, deaths=DEATHS))
    outcome = world.runner.run(NOTIFY)
    assert outcome.status is Status.DEAD
    assert "act" not in world.seen
    world = World(Claim(Answer.GO, token=9, before="leased", now_ms=2_000, began_ms=1, deaths=DEATHS - 1))
    assert world.runner.run(NOTIFY).status is Status.DONE


def test_poison_whose_effect_is_at_its_target_is_told_as_done():
    poison = Claim(Answer.GO, token=9, before="started", now_ms=2_000, began_ms=1, deaths=DEATHS)
    world = World(poison, asks={Kind.SCALE: lambda action: Done(set=2)})
    assert world.runner.run(SCALE).status is Status.DONE
    assert "act" not in world.seen


def test_an_action_over_its_time_limit_is_dead_and_a_wait_over_it_is_the_callers():
    class TooLong(Exception):  # noqa: N818 - as Celery's is named
        pass

    world = World(GO, acts=[TooLong("20 s")])
    world.runner.too_long = (TooLong,)
    assert world.runner.run(SCALE).status is Status.DEAD
    assert world.seen.count("act") == 1
    world = World(RedisAway(), TooLong())
    world.runner.too_long = (TooLong,)
    with pytest.raises(TooLong):
        world.runner.run(SCALE)
    assert world.written is None


@pytest.mark.parametrize(("token", "redrive", "tries_more"), [(2, 0, True), (3, 0, False), (5, 1, True), (6, 1, False)])
def test_a_kind_with_a_limit_is_tried_so_often_and_sent_again_so_often_once_more(world, token, redrive, tries_more):
    here = world(replace(GO, token=token), acts=[TemporaryError("away")])
    here.runner.limits = DEFAULTS | {Kind.NOTIFY: Limit(tries=3)}
    outcome = here.runner.run(NOTIFY, redrive)
    assert (outcome is None) == tries_more
    if outcome is not None:
        assert (outcome.status, outcome.detail.split(" in ")[0]) == (Status.FAILED, f"given up after {token} tries")


def test_a_kind_may_kill_fewer_workers_than_others(world):
    here = world(replace(GO, deaths=2, before="leased"))
    here.runner.limits = DEFAULTS | {Kind.NOTIFY: Limit(deaths=2)}
    assert here.runner.run(NOTIFY).status is Status.DEAD
    assert "act" not in here.seen
