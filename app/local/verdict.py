"""What the demo promises, and whether it happened: sentences and numbers from one run."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.local.downstream import REQUESTS, Downstream
from app.local.fleet import Fleet
from app.local.sabotage import Sabotage
from app.local.story import Story
from app.local.tally import percentile
from app.local.watch import Watch
from tasks.contract import Kind, Outcome


@dataclass
class Run:
    """One run of the demo: who watched, what was driven, what it reached, who was killed, what happened besides."""

    watch: Watch
    fleet: Fleet
    downstream: Downstream
    sabotage: Sabotage
    story: Story
    sent_bad: int = 0
    replay: str = ""
    reached: int = 0

    @property
    def builds(self) -> list[Outcome]:
        """Builds that were done."""
        return [one for one in self.watch.tally.outcomes.values() if one.action is Kind.BUILD]


def promises(run: Run) -> Iterator[tuple[str, bool]]:
    """Each promise as a sentence, and whether it was kept."""
    tally, victim = run.watch.tally, run.sabotage.victim
    effects = run.sabotage.effects()
    yield "services were scaled up", tally.scalings["up"] > 0
    yield "services were scaled down", tally.scalings["down"] > 0
    yield "people were told of it", len(run.downstream.receiver.received) > 0
    yield "refusals were recorded with their reasons", tally.refusals.total() > 0
    yield "bad input was put in quarantine, and nothing else was", len(run.watch.quarantined) == run.sent_bad
    yield "a worker was killed while it held an action", victim is not None
    yield "its action was done once all the same", victim is not None and effects.get(victim.action_id) == 1
    yield "no scaling took effect twice", all(count == 1 for count in effects.values())
    yield from _deploy_promises(run)
    yield (
        "each push became one build",
        sorted(one.id for one in run.builds) == sorted({f"github-{delivery}" for delivery in run.story.deliveries}),
    )
    yield "every decided action has ended", "under way" not in {status for _, status in tally.by_kind()}
    yield "replaying the journal gives the recorded decisions", "equal" in run.replay


def _deploy_promises(run: Run) -> Iterator[tuple[str, bool]]:
    down = run.downstream
    if down.haproxy is not None:
        yield "the load balancer serves the deployed instances", run.reached == REQUESTS
    yield "the deploy was marked on the dashboard once", down.marks() == 1
    yield "people were told of the deploy once", down.told() == 1
    yield "its cost was booked, once an event", len(down.booked()) == len(down.instances) + 1
    yield (
        "a foreign consumer read every event",
        sorted(down.heard().values())
        == sorted(["config_changed", "deploy_started", "deployed", *["pod_started"] * len(down.instances)]),
    )


def summary(run: Run) -> Iterator[tuple[str, str]]:
    """Names and values, for people."""
    tally, victim = run.watch.tally, run.sabotage.victim
    yield "samples", f"{run.fleet.samples}"
    yield "decisions", f"{len(tally.actions)} with an action, {tally.refusals.total()} refusals"
    yield "refusals", ", ".join(f"{reason} {count}" for reason, count in sorted(tally.refusals.items()))
    yield "scaled", f"{tally.scalings['up']} up, {tally.scalings['down']} down"
    for (kind, status), count in sorted(tally.by_kind().items()):
        yield f"actions: {kind.value}", f"{count} {status}"
    yield "people were told", f"{len(run.downstream.receiver.received)} times"
    yield from _reached(run)
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


def _reached(run: Run) -> Iterator[tuple[str, str]]:
    """What the deploy reached, and how often."""
    down = run.downstream
    events = 3 * (len(down.instances) + 2)
    yield "deploy", f"{events} events sent, {len(down.heard()) - 1} published"
    if down.haproxy is None:
        yield "→ load balancer", "left out: there is no HAProxy here"
    else:
        serving = len(down.haproxy.serving("web"))
        yield "→ load balancer", f"{serving} instances serve; {run.reached} of {REQUESTS} requests reached them"
    yield "→ dashboard", f"{down.marks()} mark"
    yield "→ people", f"told {down.told()} time"
    booked = down.booked()
    newest = f", now {booked[-1][2]:.2f} an hour" if booked else ""
    yield "→ book of costs", f"{len(booked)} records{newest}"
    yield "→ foreign consumer", f"{len(down.heard())} events, the change among them"
    yield "builds", f"{len(run.builds)} done, of {len(run.story.states)} webhooks ({', '.join(run.story.states)})"
    if run.story.away_s:
        yield "RabbitMQ was away", f"{run.story.away_s:.0f} s"
