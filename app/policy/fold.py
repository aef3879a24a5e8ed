"""Facts folded into the state: what was seen, never what to do about it.

Called by `app.policy.step` for every fact. A fact or sample at or below the mark of its source
partition was seen before and changes nothing.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from sys import intern
from typing import Final, NamedTuple

from app.policy import facts
from app.policy.attempt import answered
from app.policy.expression import compiled as expression
from app.policy.files import compiled
from app.policy.kinds import Policy
from app.policy.model_alert import AlertPolicy
from app.policy.model_alerting import AlertingPolicy
from app.policy.model_rollout import RolloutPolicy
from app.policy.model_scale import ScalePolicy
from app.policy.state import RETRY_MS, SERIES_LIMIT, Observed, Pause, Pending, Series, Service, State
from app.policy.windows import Keep
from tasks.contract import Kind, Outcome, Status


class Meant(NamedTuple):
    """The policies in force that are meant for a service, by name; `reads` is metric → what is kept of it for them.

    `parties` are the scales that are put together: those in force, and by themselves those on trial. `stale_ms` is the
    longest time for which one of them takes a silent series for alive.
    """

    scales: list[ScalePolicy]
    alerts: list[AlertPolicy]
    rollouts: list[RolloutPolicy]
    alerting: AlertingPolicy | None
    parties: list[list[ScalePolicy]]
    reads: dict[str, Keep]
    stale_ms: int


_meant: dict[tuple[str, str], Meant] = {}
_MANY: Final = 100_000


def meant_for(state: State, service: str) -> Meant:
    """The policies that are meant for a service; found once for each set and service."""
    key = (state.fingerprint, service)
    found = _meant.get(key)
    if found is None:
        if len(_meant) >= _MANY:
            _meant.clear()
        mine = [
            one
            for one in map(compiled, state.policies)
            if one.spec.mode != "off" and (isinstance(one, AlertingPolicy) or fnmatchcase(service, one.spec.service))
        ]
        found = _meant[key] = _sorted_out(mine)
    return found


def _sorted_out(mine: Sequence[Policy]) -> Meant:
    scales = [one for one in mine if isinstance(one, ScalePolicy)]
    alerts = [one for one in mine if isinstance(one, AlertPolicy)]
    rollouts = [one for one in mine if isinstance(one, RolloutPolicy)]
    texts = [one.spec.expr for one in alerts] + [each.expr for one in rollouts for each in one.spec.objectives]
    read: dict[str, Keep] = {}
    for reads in (
        *(expression(text).reads for text in texts),
        *(metric.reads for one in scales for metric in one.spec.metrics),
    ):
        for metric, keep in reads.items():
            read[metric] = read.get(metric, Keep()).and_also(keep)
    stale_s = [one.spec.stale_s for one in scales] + [one.spec.stale_s for one in alerts]
    stale_s += [one.spec.stale_s for one in rollouts]
    alerting = next((one for one in mine if isinstance(one, AlertingPolicy)), None)
    parties = [[one for one in scales if one.spec.mode == mode] for mode in ("active", "shadow")]
    return Meant(
        scales,
        alerts,
        rollouts,
        alerting,
        [one for one in parties if one],
        read,
        round(max(stale_s, default=0.0) * 1000),
    )


def read_by_policies(state: State, service: str) -> dict[str, Keep]:
    """Metrics that some policy in force reads of a service, with what is kept of each."""
    return meant_for(state, service).reads


def is_new(state: State, source: facts.Source) -> bool:
    """Whether a whole fact was not seen before; marks it as seen."""
    place = (source.last, source.item)
    if place <= tuple(state.marks.get(source.key, (-1, -1))):
        return False
    state.marks[source.key] = place
    return True


def fold_samples(state: State, pack: facts.Samples) -> list[str]:
    """Take the samples of a pack that are new; the services they are of that have a policy asked now."""
    source, first = pack.source, pack.source.first
    mark_offset, mark_item = state.marks.get(source.key, (-1, -1))
    offsets, items, times, values = pack.offset, pack.item, pack.at_ms, pack.value
    start, end = 0, len(offsets)
    while start < end and (first + offsets[start], items[start]) <= (mark_offset, mark_item):
        start += 1
    if start == end:
        return []
    index = pack.index if start == 0 else pack.index[start:]
    last = dict(zip(index, range(start, end), strict=True))
    slots: list[Series | None] = [None] * len(pack.series)
    for number in last:
        slots[number] = _slot(state, pack.series[number])
    late = 0
    for slot, at_ms, value in zip(map(slots.__getitem__, index), times[start:], values[start:], strict=True):
        if slot is None:
            continue
        if slot.window is not None:
            slot.window.add(at_ms, value)
        if at_ms >= slot.at_ms:
            slot.at_ms = at_ms
            slot.value = value
        else:
            late += 1
    state.samples += end - start
    state.late += late
    state.marks[source.key] = (first + offsets[-1], items[-1])
    return _touched(state, pack, {number: place for number, place in last.items() if slots[number] is not None})


def _touched(state: State, pack: facts.Samples, last: dict[int, int]) -> list[str]:
    """The services that have samples of a pack, told where the last of each came from; `last` is series → place."""
    source, now_ms, services = f"{pack.source.topic}/{pack.source.partition}", state.now_ms, state.services
    first, offsets, series, newest = pack.source.first, pack.offset, pack.series, dict[str, int]()
    for number, place in last.items():
        name = series[number].service
        if place > newest.get(name, -1):
            newest[name] = place
    touched = []
    for name, place in newest.items():
        service = services[name]
        service.source, service.source_offset, service.heard_ms = source, first + offsets[place], now_ms
        if service.calm_ms <= now_ms:
            touched.append(name)
    return touched


def _slot(state: State, series: facts.Series) -> Series | None:
    """Where samples of a series are kept; None if no policy reads them or the service has too many."""
    service = state.services.get(series.service)
    key = series_key(series.name, series.labels)
    if service is not None and (slot := service.series.get(key)) is not None:
        return slot
    wanted = read_by_policies(state, series.service)
    if series.name not in wanted:
        return None
    if service is None:
        service = state.services[series.service] = Service()
    if len(service.series) >= SERIES_LIMIT:
        service.series_refused += 1
        service.calm_ms = 0
        return None
    slot = service.series[key] = Series(intern(series.name), -1, 0.0, wanted[series.name].window())
    return slot


def series_key(name: str, labels: dict[str, str]) -> str:
    """Names a series within its service."""
    if len(labels) == 1:  # nearly all
        (label,) = labels
        return f"{name}\x1f{label}={labels[label]}"
    return "\x1f".join([name, *[f"{label}={value}" for label, value in sorted(labels.items())]])


def fold_instances(state: State, seen: facts.Instances) -> None:
    """Believe an observer, unless it has not yet seen the newest scaling that was applied."""
    service = state.services.setdefault(seen.service, Service())
    service.heard_ms = state.now_ms
    known = service.observed
    running = -1 if seen.running is None else seen.running
    if seen.wanted is None:
        # this observer knows the instances alone: how many are wanted, others have to say
        if known is not None and seen.at_ms >= known.at_ms:
            service.observed = Observed(known.replicas, seen.at_ms, known.generation, running, seen.instances)
    elif known is None or (seen.generation, seen.at_ms) >= (known.generation, known.at_ms):
        service.observed = Observed(seen.wanted, seen.at_ms, seen.generation, running, seen.instances)


def fold_outcome(state: State, outcome: Outcome) -> bool:
    """Take what became of an action; whether it was one that the engine waits for."""
    if outcome.action is Kind.ROLL_BACK:
        return answered(state, outcome)
    if outcome.action is not Kind.SCALE:
        return False
    service = state.services.setdefault(outcome.service, Service())
    service.heard_ms = state.now_ms
    known = service.observed
    applied = outcome.status in {Status.DONE, Status.SKIPPED} and outcome.set is not None
    if applied and (known is None or outcome.generation >= known.generation):
        assert outcome.set is not None
        seen = known.instances if known is not None else None
        service.observed = Observed(outcome.set, outcome.ended_at_ms, outcome.generation, instances=seen)
    pending = service.pending
    if pending is not None and pending.id == outcome.id:
        failed = outcome.status in {Status.FAILED, Status.DEAD}
        service.pending = (
            Pending(pending.id, pending.up, pending.to, state.now_ms + RETRY_MS, failed=True) if failed else None
        )
    return True


def fold_policies(state: State, policies: facts.PolicySet) -> list[tuple[str, str, str]]:
    """Put a set of policies in force; forget what only the old ones needed.

    Gives the alerts that fired and are none any more: service, alert, and the decision that said so last.
    """
    dropped: list[tuple[str, str, str]] = []
    state.policies = sorted(policies.policies, key=lambda one: one.name)
    state.fingerprint = policies.fingerprint
    for name, service in state.services.items():
        kept = {one.metadata.name for one in meant_for(state, name).scales}
        watched = {one.metadata.name for one in meant_for(state, name).alerts}
        read = read_by_policies(state, name)
        dropped += [(name, *one) for one in fired(service) if one[0] not in watched]
        service.memories = {policy: memory for policy, memory in service.memories.items() if policy in kept}
        service.alerts = {policy: memory for policy, memory in service.alerts.items() if policy in watched}
        if not service.alerts:
            service.groups = {}
        service.series = {key: series for key, series in service.series.items() if series.name in read}
        for series in service.series.values():
            _fit_window(series, read[series.name])
    return sorted(dropped)


def fired(service: Service) -> list[tuple[str, str]]:
    """The alerts of a service that fire, each with the decision that said so last."""
    return [(name, memory.decision) for name, memory in service.alerts.items() if memory.fired]


def _fit_window(series: Series, keep: Keep) -> None:
    """A window of another length begins anew: its buckets are others. One that is kept more or less of goes on."""
    fitting, window = keep.window(), series.window
    if window is None or fitting is None or window.width_ms != fitting.width_ms:
        series.window = fitting
    elif window.columns != fitting.columns:
        series.window = window.keeping(fitting.columns)


def fold_command(state: State, command: facts.Command) -> None:
    """Pause or resume a scaling, silence alerts or not any more; each is ended by its own counterpart.

    Those whose time is over are dropped: they would be looked through for ever.
    """
    for words in (state.pauses, state.silences):
        for key in [key for key, one in words.items() if not _holds(state, one)]:
            del words[key]
    word = Pause(command.author, command.reason, command.until_ms, command.direction)
    match command.verb:
        case facts.Verb.PAUSE:
            state.pauses[f"{command.service}\x1f{command.direction}"] = word
        case facts.Verb.RESUME:
            for direction in facts.Direction:
                state.pauses.pop(f"{command.service}\x1f{direction}", None)
        case facts.Verb.SILENCE:
            state.silences[f"{command.service}\x1f{command.alert or '*'}"] = word
        case facts.Verb.UNSILENCE:
            state.silences.pop(f"{command.service}\x1f{command.alert or '*'}", None)


_DIRECTIONS: Final = list(facts.Direction)


def paused(state: State, service: str) -> list[Pause]:
    """The pauses that hold for a service now: of its own first, and of both directions first."""
    if not state.pauses:
        return []
    found = []
    for key, one in state.pauses.items():
        services, _, _ = key.partition("\x1f")
        if fnmatchcase(service, services) and _holds(state, one):
            found.append((services != service, _DIRECTIONS.index(one.direction), one))
    return [one for _, _, one in sorted(found, key=lambda each: each[:2])]


def silenced(state: State, service: str, alert: str) -> Pause | None:
    """The silence that holds for an alert of a service now."""
    for key, one in state.silences.items():
        services, _, alerts = key.partition("\x1f")
        if fnmatchcase(service, services) and fnmatchcase(alert, alerts) and _holds(state, one):
            return one
    return None


def _holds(state: State, one: Pause) -> bool:
    return one.until_ms == 0 or one.until_ms > state.now_ms
