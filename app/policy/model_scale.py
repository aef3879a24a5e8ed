"""What a policy document of kind Scale may say.

`app.policy.kinds` has it in its table. Field names are those of the YAML; defaults and limits
are Kubernetes' where the word is.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.policy.autoscale import Limits, Rule, Rules
from app.policy.durations import Quantity, Seconds
from app.policy.model import Metadata, Mode, Strict
from app.policy.model_metrics import Metric, Sources
from app.policy.model_schedule import Schedule
from app.policy.replicas import Grace, Tolerance
from app.policy.schedule import Calendar
from app.policy.state import TURNS


class Policy(Strict):
    """How much may change within a period."""

    type: Annotated[Literal["Pods", "Percent"], Field(description="Pods: so many. Percent: of those there were.")]
    value: Annotated[int, Field(gt=0, description="How many, or how many percent.")]
    periodSeconds: Annotated[int, Field(gt=0, le=1800, description="The period, in seconds.")]  # noqa: N815


class Direction(Strict):
    """How scaling in one direction behaves; what is left out is Kubernetes' default."""

    stabilizationWindowSeconds: Annotated[  # noqa: N815
        int | None,
        Field(
            ge=0,
            le=3600,
            description="Seconds of which the most cautious recommendation counts; left out: 0 up, "
            "`downscaleStabilization` down.",
        ),
    ] = None
    selectPolicy: Annotated[  # noqa: N815
        Literal["Max", "Min", "Disabled"],
        Field(description="Which of the policies counts: what allows the most, the least, or none at all."),
    ] = "Max"
    policies: Annotated[
        tuple[Policy, ...] | None,
        Field(description="How fast may be scaled; left out: 4 or 100 % in 15 s up, 100 % in 15 s down."),
    ] = None
    tolerance: Annotated[
        Quantity | None, Field(ge=0, description="The tolerance in this direction; left out: that of the policy.")
    ] = None

    @model_validator(mode="after")
    def _has_a_policy(self) -> Self:
        if self.policies is not None and not self.policies:
            raise ValueError("policies must not be empty; leave it out, or write selectPolicy: Disabled")
        return self

    def rules(self, default: tuple[Rule, ...], window_s: float) -> Rules:
        """The same for the arithmetic."""
        window = self.stabilizationWindowSeconds
        found = tuple(Rule(one.type, one.value, one.periodSeconds * 1000) for one in self.policies or ())
        return Rules(round(1000 * (window_s if window is None else window)), self.selectPolicy, found or default)


class Behavior(Strict):
    """Both directions. Without a behavior at all a look at most doubles the replicas, or sets four."""

    scaleUp: Direction = Direction()  # noqa: N815
    scaleDown: Direction = Direction()  # noqa: N815


class Hold(Strict):
    """How long a wish must last in each direction before it counts at all."""

    up_s: Seconds = Field(0.0, alias="up", description="How long a wish for more replicas must last.")
    down_s: Seconds = Field(30.0, alias="down", description="How long a wish for fewer replicas must last.")


class Cooldown(Strict):
    """The least time between two scalings in a direction, beside whatever the behavior says."""

    up_s: Seconds = Field(0.0, alias="up", description="Pause after a scale-up before the next.")
    down_s: Seconds = Field(0.0, alias="down", description="Pause after a scale-down before the next.")


class Flapping(Strict):
    """When a service is scaled up and down in turn too often: scale-downs wait then, scale-ups never."""

    changes: Annotated[
        int, Field(ge=2, le=TURNS, description="How often the direction must have turned, from up to down or back.")
    ] = 4
    within_s: Seconds = Field(1800.0, alias="within", description="The time within which it turned that often.")


class Fallback(Strict):
    """What to do when no metric can be asked for some time; without one, nothing changes."""

    replicas: Annotated[int, Field(ge=1, description="How many replicas to have then.")]
    behavior: Annotated[
        Literal["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"],
        Field(description="static: just these. currentReplicas: those there are. Or whichever is higher, or lower."),
    ] = "static"
    after_s: Seconds = Field(180.0, alias="after", description="How long all metrics must have been missing.")

    def replicas_for(self, current: int) -> int:
        """Replicas to have, of a service that has `current`."""
        match self.behavior:
            case "currentReplicas":
                return current
            case "currentReplicasIfHigher":
                return max(current, self.replicas)
            case "currentReplicasIfLower":
                return min(current, self.replicas)
        return self.replicas


UP: tuple[Rule, ...] = (Rule("Pods", 4, 15_000), Rule("Percent", 100, 15_000))
DOWN: tuple[Rule, ...] = (Rule("Percent", 100, 15_000),)
"""Kubernetes' defaults of a behavior."""


class Scaling(Strict):
    """What Kubernetes' own spec has."""

    minReplicas: Annotated[  # noqa: N815
        int, Field(ge=0, description="Never fewer replicas than this. 0 needs a metric that is not of instances.")
    ] = 1
    maxReplicas: Annotated[int, Field(ge=1, description="Never more replicas than this.")]  # noqa: N815
    metrics: Annotated[
        Sequence[Sources],
        Field(
            min_length=1, description="What to look at. The largest wish wins; if one is missing, nothing goes down."
        ),
    ]
    behavior: Behavior | None = None

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.maxReplicas < self.minReplicas:
            raise ValueError(f"maxReplicas ({self.maxReplicas}) is below minReplicas ({self.minReplicas})")
        self._has_what_wakes(self.minReplicas)
        return self

    def _has_what_wakes(self, least: int) -> None:
        if least == 0 and not any(metric.shared for metric in self.metrics):
            raise ValueError(
                "minReplicas 0 needs a metric that is not of instances (Object or External, or Expression or Backlog): "
                "nothing else wakes a service"
            )


class ScaleSpec(Scaling):
    """What a Scale policy wants."""

    metrics: Annotated[
        list[Metric],
        Field(
            min_length=1, description="What to look at. The largest wish wins; if one is missing, nothing goes down."
        ),
    ]
    service: Annotated[str, Field(min_length=1, description="Name of the service, or a glob: `web`, `web-*`, `*`.")]
    tolerance: Annotated[
        float, Field(ge=0, lt=1, description="Share by which a metric may miss its target and nothing changes.")
    ] = 0.1
    downscaleStabilization_s: Seconds = Field(  # noqa: N815
        300.0, alias="downscaleStabilization", description="The window down where the behavior names none."
    )
    cpuInitializationPeriod_s: Seconds = Field(  # noqa: N815
        300.0, alias="cpuInitializationPeriod", description="How long the CPU of a started instance is not believed."
    )
    initialReadinessDelay_s: Seconds = Field(  # noqa: N815
        30.0, alias="initialReadinessDelay", description="How long an instance may take to be ready for the first time."
    )
    scaleToZero: Annotated[  # noqa: N815
        bool, Field(description="Whether a service that was put to 0 here is woken here; one put there by hand never.")
    ] = True
    hold: Hold = Field(Hold(), alias="for")
    cooldown: Cooldown = Cooldown()
    flapping: Flapping | None = None
    fallback: Fallback | None = None
    schedules: Annotated[
        tuple[Schedule, ...],
        Field(
            max_length=20,
            description="Windows with another minimum or maximum. Where several are open the highest minimum and the "
            "lowest maximum count; the minimum wins if they contradict.",
        ),
    ] = ()
    warmup_s: Seconds = Field(
        0.0,
        alias="warmup",
        description="How long the load of a new instance is not believed: it is counted as idle on the way up and as "
        "fully loaded on the way down. 0s: Kubernetes' own rules alone.",
    )
    deployHold_s: Seconds = Field(  # noqa: N815
        600.0,
        alias="deployHold",
        description="Longest that a deploy holds the service: fewer replicas wait for its end, instances beyond the "
        "wanted count and those that it is starting do not count, and a version that crashes is not scaled up. 0s: not "
        "at all.",
    )
    every_s: Seconds = Field(1.0, alias="every", description="A fact has the policy looked at no more often than this.")
    stale_s: Seconds = Field(
        300.0, alias="stale", description="A series that is silent for longer is missing, and unknown never scales."
    )
    driver: Annotated[
        str,
        Field(
            description="What the workers scale with: `simulated`, a fleet in Redis, `kubernetes`, or `command`, "
            "one of the targets file."
        ),
    ] = "simulated"
    target: Annotated[str, Field(description="What the driver calls the service; empty: its name.")] = ""
    notify: Annotated[
        str, Field(description="Receiver that is told of each scaling, by its name in the targets file; empty: none.")
    ] = ""
    mode: Mode = "active"

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        ranges = [step for one in self.metrics if one.steps is not None for step in one.steps.ranges]
        for way, pause_s, steps in (
            ("up", self.cooldown.up_s, [one for one in ranges if one.up]),
            ("down", self.cooldown.down_s, [one for one in ranges if not one.up]),
        ):
            if steps and not pause_s:
                raise ValueError(f"steps {way} need cooldown.{way}: without one they are taken again at each look")
        if self.minReplicas and any(one.activation is not None for one in self.metrics):
            raise ValueError("activation needs minReplicas 0: it is what a service is put to 0 and woken by")
        for one in self.metrics:
            if one.backlog is not None and self.minReplicas > (one.backlog.partitions or self.minReplicas):
                raise ValueError(f"minReplicas ({self.minReplicas}) is above partitions ({one.backlog.partitions})")
        return self

    @model_validator(mode="after")
    def _schedules_fit(self) -> Self:
        names = [one.name for one in self.schedules]
        if len(set(names)) != len(names):
            raise ValueError(f"schedules must have names of their own; they are {', '.join(names)}")
        for one in self.schedules:
            least = self.minReplicas if one.minReplicas is None else one.minReplicas
            most = self.maxReplicas if one.maxReplicas is None else one.maxReplicas
            if most < least:
                raise ValueError(f"in schedule {one.name} maxReplicas ({most}) is below minReplicas ({least})")
            self._has_what_wakes(least)
        return self

    @cached_property
    def every_ms(self) -> int:
        """Milliseconds for which it is not looked at again."""
        return round(self.every_s * 1000)

    @cached_property
    def stale_ms(self) -> int:
        """Milliseconds of silence after which a series is missing."""
        return round(self.stale_s * 1000)

    def hold_ms(self, *, up: bool) -> int:
        """How long a wish in a direction must last."""
        return round(1000 * (self.hold.up_s if up else self.hold.down_s))

    def window_ms(self, *, up: bool) -> int:
        """Stabilization window of a direction."""
        if self.behavior is None:
            return 0 if up else round(1000 * self.downscaleStabilization_s)
        direction, default = (
            (self.behavior.scaleUp, 0.0) if up else (self.behavior.scaleDown, self.downscaleStabilization_s)
        )
        return direction.rules((), default).window_ms

    @cached_property
    def limits(self) -> Limits:
        """The limits for the arithmetic."""
        down_s = self.downscaleStabilization_s
        up = self.behavior.scaleUp.rules(UP, 0.0) if self.behavior else None
        down = self.behavior.scaleDown.rules(DOWN, down_s) if self.behavior else None
        exact = any(one.exact for one in self.metrics)
        return Limits(self.minReplicas, self.maxReplicas, round(1000 * down_s), up, down, self.scaleToZero, exact)

    @cached_property
    def calendar(self) -> Calendar:
        """The limits as the schedules have them."""
        return Calendar(self.schedules, self.limits)

    @cached_property
    def grace(self) -> Grace:
        """How long an instance that started is not believed."""
        return Grace(round(1000 * self.cpuInitializationPeriod_s), round(1000 * self.initialReadinessDelay_s))

    @cached_property
    def tolerances(self) -> Tolerance:
        """The tolerance in each direction."""
        if self.behavior is None:
            return Tolerance(self.tolerance, self.tolerance)
        down, up = self.behavior.scaleDown.tolerance, self.behavior.scaleUp.tolerance
        return Tolerance(self.tolerance if down is None else down, self.tolerance if up is None else up)


class ScalePolicy(Strict):
    """A document of kind Scale."""

    apiVersion: Literal["headrace/v1"]  # noqa: N815
    kind: Literal["Scale"]
    metadata: Metadata
    spec: ScaleSpec
