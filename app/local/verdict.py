"""What the demo promises, and whether it happened: sentences and numbers from one run."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.local.fleet import Fleet
from app.local.receiver import Receiver
from app.local.sabotage import Sabotage
from app.local.tally import percentile
from app.local.watch import Watch


@dataclass
class Run:
    """One run of the demo: who watched, what was driven, who was told, who was killed."""

    watch: Watch
    fleet: Fleet
    receiver: Receiver
    sabotage: Sabotage
    sent_bad: int = 0
    replay: str = ""


def promises(run: Run) -> Iterator[tuple[str, bool]]:
    """Each promise as a sentence, and whether it was kept."""
    tally, victim = run.watch.tally, run.sabotage.victim
    effects = run.sabotage.effects()
    yield "services were scaled up", tally.scalings["up"] > 0
    yield "services were scaled down", tally.scalings["down"] > 0
    yield "people were told of it", len(run.receiver.received) > 0
    yield "refusals were recorded with their reasons", tally.refusals.total() > 0
    yield "bad input was put in quarantine, and nothing else was", len(run.watch.quarantined) == run.sent_bad
    yield "a worker was killed while it held an action", victim is not None
    yield "its action was done once all the same", victim is not None and effects.get(victim.action_id) == 1
    yield "no scaling took effect twice", all(count == 1 for count in effects.values())
    yield "every decided action has ended", "under way" not in {status for _, status in tally.by_kind()}
    yield "replaying the journal gives the recorded decisions", "equal" in run.replay


def summary(run: Run) -> Iterator[tuple[str, str]]:
    """Names and values, for people."""
    tally, victim = run.watch.tally, run.sabotage.victim
    yield "samples", f"{run.fleet.samples}"
    yield "decisions", f"{len(tally.actions)} with an action, {tally.refusals.total()} refusals"
    yield "refusals", ", ".join(f"{reason} {count}" for reason, count in sorted(tally.refusals.items()))
    yield "scaled", f"{tally.scalings['up']} up, {tally.scalings['down']} down"
    for (kind, status), count in sorted(tally.by_kind().items()):
        yield f"actions: {kind.value}", f"{count} {status}"
    yield "people were told", f"{len(run.receiver.received)} times"
    yield "in quarantine", f"{len(run.watch.quarantined)} of {run.sent_bad} bad messages"
    if victim is not None:
        outcome = tally.outcomes.get(victim.action_id)
        attempts = f", {outcome.attempts} attempts" if outcome else ""
        effects = run.sabotage.effects().get(victim.action_id, 0)
        yield "killed worker's action", f"{victim.action_id}: effects {effects}{attempts}"
    yield "repeats suppressed", f"{tally.repeated_outcomes} deliveries, {tally.repeated_decisions} decisions"
    for name, ended in (("sample → task started", False), ("sample → done", True)):
        times = tally.reactions_ms(ended=ended)
        yield name, f"p50 {percentile(times, 0.5)} ms, p99 {percentile(times, 0.99)} ms ({len(times)} scalings)"
    yield "replay", run.replay
