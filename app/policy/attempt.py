"""One deploy after another: which event begins one, ends one, or speaks of one that is known. No decision here.

Called by `app.policy.route` for every deploy event that is not late, before the release takes it in, and by
`app.policy.fold` for the outcome of a rollback. What a deploy is rolled back to is settled here, when it
begins: the version that ran before it, unless that one is bad or not judged yet.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from app.policy.deployed import Attempt, Release, Undone, Watch
from app.policy.facts import Deploy, Phase
from app.policy.state import Service, State
from tasks.contract import Outcome, Status

BAD: Final = 20
"""Most versions of a release that are remembered as bad, and that one deploy remembers to have overtaken."""

REACHED: Final = frozenset({Status.DONE, Status.SKIPPED})
"""Outcomes after which the version that was wished for runs."""


class Step(Enum):
    """What an event means for the deploy that it speaks of."""

    SIGHTED = "an instance of a version of which no deploy is known"
    BEGUN = "a deploy began"
    FINISHED = "it finished"
    FAILED = "it failed by its own word"
    UNDONE = "somebody rolled it back, or removed the service"
    KNOWN = "heard of before"
    OWN = "part of a rollback that was decided here"


def advance(service: Service, release: Release, fact: Deploy, version: str, now_ms: int) -> list[Step]:
    """Take an event in; what it means, in order. The release itself must not have taken it in yet."""
    deploy = _Deploy(service, release, fact.environment, version, now_ms)
    match fact.phase:
        case Phase.POD_STOPPED:
            return []
        case Phase.POD_STARTED:
            return [Step.SIGHTED] if deploy.is_news() else []
        case Phase.REMOVED:
            release.attempt = None
            return [Step.UNDONE]
    return [Step.OWN] if is_own(release, version) else deploy.take(fact.phase)


def pending_rollback(service: Service, now_ms: int) -> Undone | None:
    """The rollback of a service whose outcome is waited for."""
    undone = service.undone
    return undone if undone is not None and not undone.status and now_ms < undone.until_ms else None


def answered(state: State, outcome: Outcome) -> bool:
    """Take what became of a rollback; whether it is the one that is remembered."""
    service = state.services.get(outcome.service)
    undone = service.undone if service is not None else None
    if service is None or undone is None or undone.id != outcome.id:
        return False
    service.heard_ms = state.now_ms
    undone.status, undone.detail = outcome.status.value, outcome.detail
    release = service.releases.get(undone.environment)
    if outcome.status in REACHED and release is not None and release.version == undone.from_version:
        release.previous, release.version = release.version, undone.to_version
    return True


def condemn(release: Release, *versions: str) -> None:
    """Remember versions as bad: nothing is rolled back to them."""
    for version in versions:
        if version:
            release.bad = [*(one for one in release.bad if one != version), version][-BAD:]


def mark(release: Release, *, failed: bool, passed: bool) -> None:
    """Take a verdict on the newest deploy; one that passes is bad no more, unless another verdict on it failed."""
    attempt = release.attempt
    assert attempt is not None
    attempt.failed = attempt.failed or failed
    if failed:
        condemn(release, attempt.version)
    elif passed and not attempt.failed:
        release.bad = [one for one in release.bad if one != attempt.version]


def is_own(release: Release, version: str) -> bool:
    """Whether an event about a version is of the rollback of the newest deploy that was decided here."""
    attempt = release.attempt
    return attempt is not None and bool(attempt.undone) and attempt.back_to == version


def watch_key(policy: str, environment: str) -> str:
    """Names a policy's watch of an environment among those of a service."""
    return f"{policy}\x1f{environment}"


def watched(service: Service, environment: str, version: str) -> list[Watch]:
    """The watches of a version in an environment that are in force and not over."""
    return [
        one
        for key, one in service.watches.items()
        if one.announced and not one.shadow and one.version == version and key.partition("\x1f")[2] == environment
    ]


@dataclass(frozen=True)
class _Deploy:
    """An event's word on a version in an environment, beside the newest deploy there."""

    service: Service
    release: Release
    environment: str
    version: str
    now_ms: int

    def take(self, phase: Phase) -> list[Step]:
        match phase:
            case Phase.STARTED:
                return [Step.KNOWN] if self._same is not None and self._is_under_way(self._same) else self._begin()
            case Phase.FINISHED:
                return self._finish()
            case Phase.ROLLED_BACK:
                return self._roll_back()
        return self._fail()

    def is_news(self) -> bool:
        """Whether an instance tells of a version before anybody has announced it."""
        release = self.release
        known = {"", release.version, release.announced, release.previous, *release.bad}
        if release.attempt is not None:
            known |= {release.attempt.version, release.attempt.back_to, *release.attempt.overtaken}
        return bool(release.version) and self.version not in known

    @property
    def _same(self) -> Attempt | None:
        attempt = self.release.attempt
        return attempt if attempt is not None and attempt.version == self.version else None

    @staticmethod
    def _is_under_way(attempt: Attempt) -> bool:
        return attempt.finished_ms < 0 and not attempt.over and not attempt.undone

    def _begin(self) -> list[Step]:
        """What ran before is what it is rolled back to; if that is bad, or not judged yet, what ran before that."""
        before, running, overtaken = self.release.attempt, self.release.version, list[str]()
        if before is not None and (
            self._is_under_way(before) or watched(self.service, self.environment, before.version)
        ):
            overtaken = [one for one in before.overtaken if one != before.version]
            if before.finished_ms >= 0 or before.version != running:  # else it ran before that deploy already
                overtaken.append(before.version)
        back_to = running
        if before is not None and (running in self.release.bad or running in overtaken):
            back_to = before.back_to
        if back_to == self.version or back_to in self.release.bad:
            back_to = ""
        overtaken = [one for one in overtaken if one != self.version][-BAD:]
        self.release.attempt = Attempt(self.version, self.now_ms, back_to=back_to, overtaken=overtaken)
        return [Step.BEGUN]

    def _finish(self) -> list[Step]:
        attempt, steps = self.release.attempt, [Step.FINISHED]
        if self._same is None:
            if self.version == self.release.version or (attempt is not None and self.version in attempt.overtaken):
                return [Step.KNOWN]
            steps = [*self._begin(), Step.FINISHED]
        elif self._same.finished_ms >= 0 or self._same.undone:
            return [Step.KNOWN]
        assert self._same is not None
        self._same.finished_ms, self._same.over = self.now_ms, False
        return steps

    def _fail(self) -> list[Step]:
        attempt, begun = self.release.attempt, list[Step]()
        if self._same is None:
            if attempt is not None and self.version in attempt.overtaken:
                return [Step.KNOWN]
            begun = self._begin()
        assert self._same is not None
        judged = self._same.finished_ms >= 0 and not watched(self.service, self.environment, self.version)
        if self._same.over or self._same.undone or judged:
            return [Step.KNOWN]
        self._same.over = True
        return [*begun, Step.FAILED]

    def _roll_back(self) -> list[Step]:
        """Somebody rolled back: what ran or was under way is bad, and nothing behind it is known to be good."""
        attempt = self.release.attempt
        if self._same is not None and self._same.over and self._same.finished_ms >= 0:
            return [Step.KNOWN]
        left = [*attempt.overtaken, attempt.version] if attempt is not None else []
        condemn(self.release, *(one for one in (*left, self.release.version) if one != self.version))
        self.release.attempt = Attempt(self.version, self.now_ms, self.now_ms, over=True)
        return [Step.UNDONE]
