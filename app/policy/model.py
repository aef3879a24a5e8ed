"""Policies as people write them, in the words of `autoscaling/v2` where it has them.

Checked by `app.policy.files` when they are loaded and compiled once from the facts; the engine
reads nothing else. Field names are those of the YAML.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.policy.durations import Quantity, Seconds


class Strict(BaseModel):
    """Refuses what it does not know, so that a slip of the pen is told and not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(Strict):
    """What a metric should be: a percentage per instance, or a value per instance."""

    type: Annotated[
        Literal["Utilization", "AverageValue"],
        Field(description="Utilization: a percentage of one instance. AverageValue: a number per instance."),
    ]
    averageUtilization: Annotated[  # noqa: N815 - Kubernetes' word
        float | None, Field(gt=0, description="The percentage, for type Utilization.")
    ] = None
    averageValue: Annotated[  # noqa: N815
        Quantity | None, Field(description="The number, for type AverageValue; above 0.")
    ] = None

    @model_validator(mode="after")
    def _has_its_value(self) -> Self:
        field = "averageUtilization" if self.type == "Utilization" else "averageValue"
        other = "averageValue" if self.type == "Utilization" else "averageUtilization"
        value = getattr(self, field)
        if value is None or getattr(self, other) is not None:
            raise ValueError(f"a target of type {self.type} needs {field}, and nothing else")
        if value <= 0:
            raise ValueError(f"{field} must be above 0")
        return self

    @property
    def value(self) -> float:
        """The target as a number, in the metric's own unit per instance."""
        value = self.averageUtilization if self.type == "Utilization" else self.averageValue
        assert value is not None
        return value


class Resource(Strict):
    """A resource by name; a sample of it is a percentage of one instance."""

    name: Annotated[str, Field(description="Name of the samples, like `cpu`.")]
    target: Target


class MetricName(Strict):
    """A metric by name."""

    name: Annotated[str, Field(description="Name of the samples, like `rps`.")]


class Pods(Strict):
    """A metric of each instance."""

    metric: MetricName
    target: Target


class Metric(Strict):
    """One metric that scales; the largest wish of several wins."""

    type: Annotated[Literal["Resource", "Pods"], Field(description="Which of the two below is there.")]
    resource: Resource | None = None
    pods: Pods | None = None

    @model_validator(mode="after")
    def _has_its_source(self) -> Self:
        mine = "resource" if self.type == "Resource" else "pods"
        other = "pods" if self.type == "Resource" else "resource"
        if getattr(self, mine) is None or getattr(self, other) is not None:
            raise ValueError(f"a metric of type {self.type} needs `{mine}`, and nothing else")
        if self.pods is not None and self.pods.target.type != "AverageValue":
            raise ValueError("a metric of type Pods has a target of type AverageValue")
        return self

    @property
    def name(self) -> str:
        """Name of the samples it reads."""
        if self.resource is not None:
            return self.resource.name
        assert self.pods is not None
        return self.pods.metric.name

    @property
    def target(self) -> Target:
        """What it should be."""
        source = self.resource or self.pods
        assert source is not None
        return source.target


class Direction(Strict):
    """How scaling in one direction behaves: the most cautious recommendation of this window counts."""

    stabilizationWindowSeconds: Annotated[  # noqa: N815
        int | None,
        Field(
            ge=0,
            le=3600,
            description="Seconds of which the most cautious recommendation counts; left out: 0 up, 300 down.",
        ),
    ] = None


class Behavior(Strict):
    """Both directions. Windows default to Kubernetes' 0 s up and 300 s down."""

    scaleUp: Direction = Direction()  # noqa: N815
    scaleDown: Direction = Direction()  # noqa: N815


class Hold(Strict):
    """How long a wish must last in each direction before it counts at all."""

    up_s: Seconds = Field(0.0, alias="up", description="How long a wish for more replicas must last.")
    down_s: Seconds = Field(30.0, alias="down", description="How long a wish for fewer replicas must last.")


class ScaleSpec(Strict):
    """What a Scale policy wants."""

    service: Annotated[str, Field(min_length=1, description="Name of the service, or a glob: `web`, `web-*`, `*`.")]
    minReplicas: Annotated[int, Field(ge=1, description="Never fewer replicas than this.")] = 1  # noqa: N815
    maxReplicas: Annotated[int, Field(ge=1, description="Never more replicas than this.")]  # noqa: N815
    metrics: Annotated[
        list[Metric],
        Field(
            min_length=1, description="What to look at. The largest wish wins; if one is missing, nothing goes down."
        ),
    ]
    tolerance: Annotated[
        float, Field(ge=0, lt=1, description="Share by which a metric may miss its target and nothing changes.")
    ] = 0.1
    behavior: Behavior = Behavior()
    hold: Hold = Field(Hold(), alias="for")
    every_s: Seconds = Field(1.0, alias="every", description="The policy is looked at no more often than this.")
    stale_s: Seconds = Field(
        300.0, alias="stale", description="A series that is silent for longer is missing, and unknown never scales."
    )
    driver: Annotated[str, Field(description="What the workers scale with. So far there is `simulated`.")] = "simulated"
    target: Annotated[str, Field(description="What the driver calls the service; empty: its name.")] = ""
    notify: Annotated[
        str, Field(description="Receiver that is told of each scaling, by its name in the targets file; empty: none.")
    ] = ""
    mode: Annotated[
        Literal["active", "shadow", "off"],
        Field(
            description="active: decides and acts. shadow: decides, is recorded, nothing is done. off: is not asked."
        ),
    ] = "active"

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.maxReplicas < self.minReplicas:
            raise ValueError(f"maxReplicas ({self.maxReplicas}) is below minReplicas ({self.minReplicas})")
        return self

    def window_ms(self, *, up: bool) -> int:
        """Stabilization window of a direction."""
        direction, default = (self.behavior.scaleUp, 0) if up else (self.behavior.scaleDown, 300)
        window = direction.stabilizationWindowSeconds
        return 1000 * (default if window is None else window)

    def hold_ms(self, *, up: bool) -> int:
        """How long a wish in a direction must last."""
        return round(1000 * (self.hold.up_s if up else self.hold.down_s))


class Metadata(Strict):
    """Name of a policy, unique in the set, and what people attach to it."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
            description="Unique in the set: small letters, digits, `-` and `.`, at most 63.",
        ),
    ]
    labels: Annotated[dict[str, str], Field(description="Texts that people attach; the engine reads none.")] = {}
    annotations: Annotated[dict[str, str], Field(description="The same, for longer texts.")] = {}


class ScalePolicy(Strict):
    """A document of kind Scale."""

    apiVersion: Literal["headrace/v1"]  # noqa: N815
    kind: Literal["Scale"]
    metadata: Metadata
    spec: ScaleSpec
