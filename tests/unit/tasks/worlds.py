"""A runner with a ledger that says what each test wants, and the actions that it is given."""

from tasks.action import Done, Runner
from tasks.contract import CallWebhook, Kind, Notify, Outcome, RollBack, Scale, Status
from tasks.ledger import Answer, Claim

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
