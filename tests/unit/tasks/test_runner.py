"""The order of effects and every way an action ends, with a ledger that says what each test wants.

What the ledger itself does is tested on a real Redis, in tests/integration/test_ledger.py.
"""

import msgspec
import pytest
from redis import ConnectionError as RedisAway

from tasks import action as module
from tasks.action import DETAIL, Done, Runner
from tasks.contract import Kind, Notify, Outcome, Scale, Status, encode
from tasks.errors import ConflictError, LostError, PermanentError, RejectedError, TemporaryError
from tasks.ledger import Answer, Claim

SCALE = Scale(
    id="j-0-1-0", service="web", decided_at_ms=1_000, expires_at_ms=61_000,
    from_replicas=1, to_replicas=2, generation=7,
)  # fmt: skip
NOTIFY = Notify(id="j-0-1-1", service="web", decided_at_ms=1_000, expires_at_ms=61_000, receiver="r", title="", body="")
GO = Claim(Answer.GO, token=1, now_ms=2_000, began_ms=1_990)
EARLIER = Outcome(id="j-0-1-0", action=Kind.SCALE, service="web", status=Status.DONE, set=2)


class World:
    """A runner, and in `seen` everything it did, in order. A claim or an act that is an exception is raised."""

    def __init__(self, *claims, acts=(), lost=(), asks=None):
        self.claims, self.results, self.lost = list(claims), list(acts) or [Done()], list(lost)
        self.seen, self.now_s = [], 100.0
        self.marked = self.written = None
        every = dict.fromkeys(Kind, self.act)
        self.runner = Runner(every, self, self, "host:1", 15.0, 600.0, asks=asks or {}, sleep=self.sleep)

    def claim(self, entry, began_ms):
        self.seen.append("claim")
        answer = self.claims.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def keep(self, entry, token, *, started=False):
        return True

    def finish(self, entry, token, outcome):
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


def test_a_leased_action_is_waited_for(world):
    here = world(Claim(Answer.WAIT, wait_s=9.0), Claim(Answer.WAIT, wait_s=0.1), GO)
    here.runner.run(SCALE)
    assert here.seen == ["claim", "sleep", "claim", "sleep", "claim", "act", "mark", "write"]


@pytest.mark.parametrize(("answer", "status"), [(Answer.LATE, Status.EXPIRED), (Answer.OLDER, Status.CONFLICT)])
def test_a_late_or_older_action_is_marked_and_told_but_not_done(world, answer, status):
    here = world(Claim(answer, token=1, now_ms=62_500, newest=9))
    outcome = here.runner.run(SCALE)
    assert (outcome.status, here.seen) == (status, ["claim", "mark", "write"])
    assert ("1.5 s" if answer is Answer.LATE else "generation 9") in outcome.detail


@pytest.mark.parametrize("answer", [Answer.LATE, Answer.OLDER])
def test_what_a_dead_worker_had_done_is_found_out_though_it_is_late_or_older(world, answer):
    here = world(Claim(answer, token=2, started=True), asks={Kind.SCALE: lambda _: Done(set=2)})
    outcome = here.runner.run(SCALE)
    assert (outcome.status, outcome.set, outcome.attempts) == (Status.DONE, 2, 2)
    assert "act" not in here.seen


def test_what_a_dead_worker_had_not_done_is_not_done_late(world):
    here = world(Claim(Answer.LATE, token=2, started=True), asks={Kind.SCALE: lambda _: None})
    assert here.runner.run(SCALE).status is Status.EXPIRED


def test_where_nobody_can_be_asked_the_outcome_says_that_it_may_have_been_done(world):
    here = world(Claim(Answer.LATE, token=2, started=True))
    assert "perhaps" in here.runner.run(NOTIFY).detail


def test_a_ledger_that_is_away_is_waited_for_and_nothing_is_done_meanwhile(world):
    here = world(RedisAway("gone"), RedisAway("gone"), GO)
    here.runner.run(SCALE)
    assert here.seen == ["claim", "sleep", "claim", "sleep", "claim", "act", "mark", "write"]


def test_a_ledger_that_goes_away_after_the_effect_is_waited_for_with_the_mark(world):
    here = world(GO, lost=[RedisAway("gone"), RedisAway("gone")])
    here.runner.run(SCALE)
    assert here.seen == ["claim", "act", "mark", "sleep", "mark", "sleep", "mark", "write"]


def test_a_temporary_error_is_tried_again(world):
    here = world(GO, acts=[TemporaryError("busy"), TemporaryError("busy"), Done()])
    assert here.runner.run(SCALE).status is Status.DONE
    assert here.seen.count("act") == 3


def test_a_temporary_error_is_given_up_when_the_action_expires(world):
    here = world(GO, acts=[TemporaryError("busy", delay_s=5.0)])
    outcome = here.runner.run(SCALE)
    assert outcome.status is Status.FAILED
    assert "busy" in outcome.detail
    assert here.now_s - 100.0 <= 59.0


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
