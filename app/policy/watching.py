"""A deploy watched and judged by one policy: what it was like before, what it is like after, and what follows.

Called by `app.policy.rollout`. The baseline is taken once, at the first word of a deploy, and what is judged
came after it finished. Unknown neither passes nor rolls back.
"""

from dataclasses import dataclass
from typing import Any, Final

from app.policy.answers import Answers
from app.policy.attempt import Step, mark, watch_key
from app.policy.decision import Reason
from app.policy.deployed import Watch
from app.policy.expression import compiled
from app.policy.facts import Deploy, Phase
from app.policy.judgement import Judged, Judgement, Result
from app.policy.model_rollout import RolloutSpec
from app.policy.state import Service
from app.policy.verdict import Case, Said

WATCHES: Final = 100
"""Most watches of one service; the oldest is dropped for the next."""

_REFUSED: Final = {Step.KNOWN: Reason.ALREADY_WATCHED, Step.OWN: Reason.OWN_ROLLBACK}
_UNDOES: Final = {Phase.ROLLED_BACK: "a rollback to {}", Phase.REMOVED: "the removal of the service"}
_REASONS: Final = {
    Result.PASS: Reason.ROLLOUT_PASSED, Result.WARNING: Reason.ROLLOUT_WARNED, Result.FAIL: Reason.ROLLOUT_FAILED,
    Result.UNKNOWN: Reason.ROLLOUT_UNKNOWN,
}  # fmt: skip


def due_ms(watch: Watch, spec: RolloutSpec) -> int | None:
    """When a watch is due by time alone; None: never."""
    if not watch.announced:
        return None
    if watch.finished_ms < 0:
        return None if watch.stalled else watch.began_ms + _ms(spec.deadline_s)
    settled_ms = watch.finished_ms + _ms(spec.settle_s)
    again_ms = watch.judged_ms + _ms(spec.every_s) if watch.judged_ms >= 0 else settled_ms
    return min(max(settled_ms, again_ms), watch.finished_ms + _ms(spec.window_s))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


@dataclass(frozen=True)
class Watching:
    """A policy's watch over a deploy in one environment, as far as there is one."""

    case: Case

    def take(self, step: Step, fact: Deploy, version: str) -> None:
        """Take what an event means."""
        watch = self._watch
        if step in _REFUSED:
            deploy = {"version": version, "environment": fact.environment}
            self.case.writer.write(self.case.service, self.case.policy, _REFUSED[step], {"deploy": deploy})
        elif step is Step.SIGHTED:
            if watch is None or (not watch.announced and watch.version != version):
                self._keep(self._made(version, fact.phase, announced=False))
        elif step is Step.BEGUN:
            self._begin(fact, version)
        elif step is Step.FINISHED:
            if watch is None or not watch.announced or watch.version != version:
                self._begin(fact, version)
            self._open.finished_ms = self._now_ms
        elif watch is not None and step is Step.UNDONE:
            self._end(watch, _UNDOES[fact.phase].format(version))
        elif watch is not None and watch.announced and watch.version == version:
            self._fail(watch)

    def look(self) -> None:
        """Judge, if it is time."""
        watch, spec, now_ms = self._open, self.case.policy.spec, self._now_ms
        attempt = self._service.releases[self.case.environment].attempt
        if attempt is None or attempt.version != watch.version or attempt.undone:
            self._end(
                watch, f"decision {attempt.undone}" if attempt is not None and attempt.undone else "another deploy"
            )
            return
        self._heed_change(watch)
        if watch.finished_ms < 0:
            if not watch.stalled and now_ms - watch.began_ms >= _ms(spec.deadline_s):
                self._stall(watch)
            return
        since_ms = now_ms - watch.finished_ms
        last = since_ms >= _ms(spec.window_s)
        early = watch.judged_ms >= 0 and now_ms - watch.judged_ms < _ms(spec.every_s)
        if not last and (since_ms < _ms(spec.settle_s) or early):
            return
        watch.judged_ms = now_ms
        judgement = self._judgement(watch)
        watch.failing = watch.failing + 1 if judgement.result is Result.FAIL else 0
        if last or 0 < spec.failFast <= watch.failing:
            self._judge(watch, judgement, early=not last)

    # what there is

    @property
    def _now_ms(self) -> int:
        return self.case.state.now_ms

    @property
    def _service(self) -> Service:
        return self.case.state.services[self.case.service]

    @property
    def _key(self) -> str:
        return watch_key(self.case.policy.metadata.name, self.case.environment)

    @property
    def _watch(self) -> Watch | None:
        return self._service.watches.get(self._key)

    @property
    def _open(self) -> Watch:
        return self._service.watches[self._key]

    def _keep(self, watch: Watch) -> None:
        watches = self._service.watches
        watches.pop(self._key, None)
        watches[self._key] = watch
        while len(watches) > WATCHES:
            del watches[next(iter(watches))]

    def _made(self, version: str, phase: Phase, *, announced: bool = True) -> Watch:
        """A watch from now on, with what the objectives come to now."""
        answers = Answers(self.case.state, self._service, _ms(self.case.policy.spec.stale_s))
        found = {one.expr: compiled(one.expr).number(answers.answer)[0] for one in self.case.policy.spec.objectives}
        made = Watch(version, self._now_ms, phase.value, self._now_ms, found, announced)
        self._heed_change(made)
        return made

    def _heed_change(self, watch: Watch) -> None:
        """Under other words judgements in a row begin anew; baselines are by expression, so they stay."""
        policy = self.case.policy
        fingerprint = next(one.fingerprint for one in self.case.state.policies if one.name == policy.metadata.name)
        if watch.fingerprint != fingerprint:
            watch.fingerprint, watch.failing, watch.shadow = fingerprint, 0, policy.spec.mode == "shadow"

    # what happens to it

    def _begin(self, fact: Deploy, version: str) -> None:
        """A deploy is watched; the baseline is of before it, and of before the one that it overtakes."""
        before, spec = self._watch, self.case.policy.spec
        if before is not None and before.announced:
            self._write(Reason.ROLLOUT_SUPERSEDED, before, {"by": f"the deploy of {version}"})
        made = self._made(version, fact.phase)
        if before is not None and (before.announced or before.version == version):
            recent = self._now_ms - before.baseline_ms < _ms(spec.deadline_s) + _ms(spec.window_s)
            if recent:  # one of long ago is no better than one with a little of the deploy before in it
                made.baselines, made.baseline_at, made.baseline_ms = (
                    before.baselines, before.baseline_at, before.baseline_ms
                )  # fmt: skip
        self._keep(made)
        baseline = {one.sli: made.baselines.get(one.expr) for one in spec.objectives}
        self._write(Reason.ROLLOUT_WATCHED, made, {"baseline": baseline})

    def _fail(self, watch: Watch) -> None:
        on_fail = self.case.policy.spec.onFail
        said = Said(
            Reason.DEPLOY_FAILED, self._headline(watch, "failed to deploy"), receiver=on_fail.notify, severity="warning"
        )
        self._close(watch, said, {}, undo=on_fail.rollBackFailed)

    def _stall(self, watch: Watch) -> None:
        """Nothing waits for it any longer; if it finishes yet, it is judged, unless it was rolled back."""
        spec = self.case.policy.spec
        watch.stalled = True
        headline = self._headline(watch, f"has not finished within {spec.deadline_s:g} s")
        said = Said(Reason.ROLLOUT_STALLED, headline, receiver=spec.onFail.notify, severity="warning")
        self.case.conclude(said, self._evidence(watch), undo=spec.onFail.rollBackStalled)
        attempt = self._service.releases[self.case.environment].attempt
        if attempt is not None and not watch.shadow:
            attempt.stalled = True
            if attempt.undone:
                del self._service.watches[self._key]

    def _end(self, watch: Watch, by: str) -> None:
        del self._service.watches[self._key]
        if watch.announced:
            self._write(Reason.ROLLOUT_ENDED, watch, {"by": by})

    def _judge(self, watch: Watch, judgement: Judgement, *, early: bool) -> None:
        """The verdict."""
        spec, result = self.case.policy.spec, judgement.result
        words, receiver, severity = {
            Result.PASS: ("is good", spec.onPass.notify, "info"),
            Result.WARNING: ("is good in part", spec.onWarning.notify, "warning"),
            Result.FAIL: ("is no good", spec.onFail.notify, "critical"),
            Result.UNKNOWN: ("cannot be judged", spec.onFail.notify, "warning"),
        }[result]
        score = "" if result is Result.UNKNOWN else f" (score {judgement.score:.0f})"
        headline = self._headline(watch, words + score)
        said = Said(_REASONS[result], headline, judgement.sentence(), receiver, severity)
        release = self._service.releases[self.case.environment]
        if not watch.shadow:
            mark(release, failed=result is Result.FAIL, passed=result is Result.PASS)
        more = {"early": early, "failing": watch.failing, "source": self._service.newest} | judgement.evidence()
        self._close(watch, said, more, undo=result is Result.FAIL and spec.onFail.rollBack)

    def _judgement(self, watch: Watch) -> Judgement:
        """What the objectives come to, from what came after the deploy finished."""
        spec = self.case.policy.spec
        answers = Answers(self.case.state, self._service, _ms(spec.stale_s), watch.finished_ms)
        found = []
        for one in spec.objectives:
            value, calls = compiled(one.expr).number(answers.answer)
            found.append(Judged(one, value, watch.baselines.get(one.expr), calls))
        return Judgement(spec, tuple(found))

    def _close(self, watch: Watch, said: Said, more: dict[str, Any], *, undo: bool) -> None:
        evidence = self._evidence(watch) | more
        del self._service.watches[self._key]
        self.case.conclude(said, evidence, undo=undo)

    def _write(self, reason: Reason, watch: Watch, more: dict[str, Any]) -> None:
        self.case.writer.write(self.case.service, self.case.policy, reason, self._evidence(watch) | more)

    def _evidence(self, watch: Watch) -> dict[str, Any]:
        attempt = self._service.releases[self.case.environment].attempt
        back_to = attempt.back_to if attempt is not None and attempt.version == watch.version else ""
        deploy = {"version": watch.version, "environment": self.case.environment, "back_to": back_to}
        times = {"began_ms": watch.began_ms, "finished_ms": watch.finished_ms}
        return {"deploy": deploy | times, "baseline_at": watch.baseline_at, "baseline_ms": watch.baseline_ms}

    def _headline(self, watch: Watch, words: str) -> str:
        where = f" in {self.case.environment}" if self.case.environment else ""
        return f"{self.case.service}: {watch.version or 'the deploy'} {words}{where}"
