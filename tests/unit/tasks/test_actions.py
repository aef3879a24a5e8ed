"""The plain functions of the kinds, and the lease that they are given."""

import msgspec
import pytest
from redis import ConnectionError as RedisAway

from tasks import metrics
from tasks.actions.build import build, built
from tasks.actions.call_webhook import call_webhook
from tasks.actions.notify import notify
from tasks.actions.roll_back import roll_back, rolled_back
from tasks.actions.scale import scale, scaled
from tasks.contract import Build, CallWebhook, Kind, Notify, RollBack, Scale, Status
from tasks.errors import LostError, PermanentError, TemporaryError
from tasks.lease import BEATS, Heart, Lease
from tasks.ledger import Answer, Claim, Entry, now_s

TIMES = {"service": "web", "decided_at_ms": 1, "expires_at_ms": 2}
SCALE = Scale(id="a", from_replicas=1, to_replicas=2, generation=7, **TIMES)
NOTIFY = Notify(id="a", receiver="team", title="t", body="b", **TIMES)
ROLL_BACK = RollBack(id="a", environment="prod", from_version="2", to_version="1", generation=7, **TIMES)
WEBHOOK = CallWebhook(id="a", webhook="deploys", event="rollout.failed", **TIMES)
BUILD = Build(id="a", repo="app", branch="main", **TIMES)

LEASE_S = 15.0


class Ledger:
    """Says `answer` to every wish to keep the lease."""

    def __init__(self, answer=True):
        self.answer = answer
        self.started = []

    def keep(self, entry, token, *, started=False):
        self.started.append(started)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def lease(answer=True):
    return Lease(Heart(Ledger(answer), LEASE_S), Entry("a", "p", 2), Claim(Answer.GO, token=1))


class Target:
    """A fleet, receivers, webhooks and a builder that note what was asked of them."""

    def __init__(self, result=None):
        self.result = result
        self.asked = []

    def _answer(self, action):
        self.asked.append(action.id)
        return self.result

    scale = applied = roll_back = rolled_back = tell = call = build = built = _answer


@pytest.mark.parametrize(("numbers", "status"), [((1, 2), Status.DONE), ((2, 2), Status.SKIPPED)])
def test_a_scaling_says_what_it_found_and_set(numbers, status):
    done = scale(SCALE, lease(), {"simulated": Target(numbers)})
    assert (done.status, done.found, done.set) == (status, *numbers)


@pytest.mark.parametrize(
    ("versions", "status", "detail"),
    [
        (("2", "1"), Status.DONE, "version 2 → 1"),
        (("1", "1"), Status.SKIPPED, "version 1 runs already"),
        (("", "1"), Status.DONE, "version unknown → 1"),
    ],
)
def test_a_rollback_says_which_versions_it_found_and_set(versions, status, detail):
    done = roll_back(ROLL_BACK, lease(), {"simulated": Target(versions)})
    assert (done.status, done.detail) == (status, detail)


def test_a_rollback_to_no_version_is_refused_before_it_begins():
    held, target = lease(), Target(("2", ""))
    with pytest.raises(PermanentError, match="no version"):
        roll_back(msgspec.structs.replace(ROLL_BACK, to_version=""), held, {"simulated": target})
    assert (held._heart.ledger.started, target.asked) == ([], [])


@pytest.mark.parametrize(("act", "action"), [(scale, SCALE), (roll_back, ROLL_BACK)])
def test_an_unknown_driver_is_refused_before_the_effect_is_noted_as_begun(act, action):
    held = lease()
    with pytest.raises(PermanentError, match="there are haproxy"):
        act(action, held, {"haproxy": Target()})
    assert held._heart.ledger.started == []


@pytest.mark.parametrize(("before", "more"), [("started", 1), ("leased", 0), ("waiting", 0)])
def test_a_webhook_that_a_dead_worker_may_have_called_is_counted_and_called_again(before, more):
    counter = metrics.AMBIGUOUS.labels(Kind.WEBHOOK)
    was = counter._value.get()
    held = Lease(Heart(Ledger(), LEASE_S), Entry("a", "p", 2), Claim(Answer.GO, token=2, before=before))
    assert call_webhook(WEBHOOK, held, Target(204)).detail == "webhook deploys answered 204"
    assert counter._value.get() - was == more


CALLS = {
    "scale": lambda held, target: scale(SCALE, held, {"simulated": target}),
    "roll_back": lambda held, target: roll_back(ROLL_BACK, held, {"simulated": target}),
    "notify": lambda held, target: notify(NOTIFY, held, target),
    "webhook": lambda held, target: call_webhook(WEBHOOK, held, target),
    "build": lambda held, target: build(BUILD, held, target),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_beginning_of_an_effect_is_noted_before_it(call):
    held = lease()
    call(held, Target((1, 2)))
    assert held._heart.ledger.started == [True]


@pytest.mark.parametrize(("answer", "error"), [(False, LostError), (RedisAway("gone"), TemporaryError)])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_nothing_is_done_without_the_lease(call, answer, error):
    target = Target((1, 2))
    with pytest.raises(error):
        call(lease(answer), target)
    assert target.asked == []


def noted(seconds_ago, answer=True):
    """A lease whose claim noted the beginning, so long ago."""
    claim = Claim(Answer.GO, token=1, asked_s=now_s() - seconds_ago)
    return Lease(Heart(Ledger(answer), LEASE_S), Entry("a", "p", 2), claim, noted=True)


def test_a_beginning_that_a_fresh_claim_has_noted_costs_the_ledger_nothing():
    held = noted(0.0, answer=False)
    held.begin()
    assert held._heart.ledger.started == []


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_worker_that_was_frozen_since_its_claim_asks_the_ledger_before_it_acts(call):
    target = Target((1, 2))
    with pytest.raises(LostError):
        call(noted(LEASE_S / BEATS, answer=False), target)
    assert target.asked == []


def test_a_lease_that_a_beat_found_lost_is_not_begun_however_fresh_it_is():
    held = noted(0.0, answer=False)
    assert not held.prolong()
    with pytest.raises(LostError):
        held.begin()


def test_what_was_done_before_is_told_as_the_target_tells_it():
    assert scaled(SCALE, {"simulated": Target(2)}).set == 2
    assert scaled(SCALE, {"simulated": Target(None)}) is None
    assert rolled_back(ROLL_BACK, {"simulated": Target("1")}).detail.startswith("version 1,")
    assert rolled_back(ROLL_BACK, {"simulated": Target(None)}) is None
    assert built(BUILD, Target("built")).detail == "built"
    assert built(BUILD, Target(None)) is None
