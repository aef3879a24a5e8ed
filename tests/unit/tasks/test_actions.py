"""The plain functions of the kinds, and the lease that they are given."""

import pytest
from redis import ConnectionError as RedisAway

from tasks.actions.build import build, built
from tasks.actions.notify import notify
from tasks.actions.scale import scale, scaled
from tasks.contract import Build, Notify, Scale, Status
from tasks.errors import LostError, PermanentError, TemporaryError
from tasks.lease import Lease
from tasks.ledger import Answer, Claim, Entry

TIMES = {"service": "web", "decided_at_ms": 1, "expires_at_ms": 2}
SCALE = Scale(id="a", from_replicas=1, to_replicas=2, generation=7, **TIMES)
NOTIFY = Notify(id="a", receiver="team", title="t", body="b", **TIMES)
BUILD = Build(id="a", repo="app", branch="main", **TIMES)


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
    return Lease(Ledger(answer), Entry("a", "p", 2), Claim(Answer.GO, token=1), 15.0)


class Target:
    """A fleet, receivers and a builder that note what was asked of them."""

    def __init__(self, result=None):
        self.result = result
        self.asked = []

    def _answer(self, action):
        self.asked.append(action.id)
        return self.result

    scale = applied = tell = build = built = _answer


@pytest.mark.parametrize(("numbers", "status"), [((1, 2), Status.DONE), ((2, 2), Status.SKIPPED)])
def test_a_scaling_says_what_it_found_and_set(numbers, status):
    done = scale(SCALE, lease(), {"simulated": Target(numbers)})
    assert (done.status, done.found, done.set) == (status, *numbers)


def test_an_unknown_driver_is_refused_before_the_effect_is_noted_as_begun():
    held = lease()
    with pytest.raises(PermanentError, match="there are haproxy"):
        scale(SCALE, held, {"haproxy": Target()})
    assert held._ledger.started == []


CALLS = {
    "scale": lambda held, target: scale(SCALE, held, {"simulated": target}),
    "notify": lambda held, target: notify(NOTIFY, held, target),
    "build": lambda held, target: build(BUILD, held, target),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_beginning_of_an_effect_is_noted_before_it(call):
    held = lease()
    call(held, Target((1, 2)))
    assert held._ledger.started == [True]


@pytest.mark.parametrize(("answer", "error"), [(False, LostError), (RedisAway("gone"), TemporaryError)])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_nothing_is_done_without_the_lease(call, answer, error):
    target = Target((1, 2))
    with pytest.raises(error):
        call(lease(answer), target)
    assert target.asked == []


def test_what_was_done_before_is_told_as_the_target_tells_it():
    assert scaled(SCALE, {"simulated": Target(2)}).set == 2
    assert scaled(SCALE, {"simulated": Target(None)}) is None
    assert built(BUILD, Target("built")).detail == "built"
    assert built(BUILD, Target(None)) is None
