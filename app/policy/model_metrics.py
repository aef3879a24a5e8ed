"""The metrics of a Scale policy, in the words of `autoscaling/v2`. Field names are those of the YAML."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.policy.durations import Quantity, Seconds
from app.policy.model import Strict

TargetType = Literal["Utilization", "AverageValue", "Value"]


class Target(Strict):
    """What a metric should be: a percentage of the requests, a value per instance, or a value of all of them."""

    type: Annotated[
        TargetType,
        Field(description="Utilization: a percentage of one instance. AverageValue: per instance. Value: of all."),
    ]
    averageUtilization: Annotated[  # noqa: N815 - Kubernetes' word
        int | None, Field(gt=0, description="The percentage, for type Utilization; whole, as Kubernetes has it.")
    ] = None
    averageValue: Annotated[  # noqa: N815
        Quantity | None, Field(description="The number, for type AverageValue; above 0.")
    ] = None
    value: Annotated[Quantity | None, Field(description="The number, for type Value; above 0.")] = None

    @model_validator(mode="after")
    def _has_its_number(self) -> Self:
        numbers = {
            "Utilization": ("averageUtilization", self.averageUtilization),
            "AverageValue": ("averageValue", self.averageValue), "Value": ("value", self.value),
        }  # fmt: skip
        field, number = numbers.pop(self.type)
        if number is None or any(other is not None for _, other in numbers.values()):
            raise ValueError(f"a target of type {self.type} needs {field}, and nothing else")
        if number <= 0:
            raise ValueError(f"{field} must be above 0")
        return self

    @property
    def number(self) -> float:
        """The target as a number, in the metric's own unit."""
        found = {"Utilization": self.averageUtilization, "AverageValue": self.averageValue, "Value": self.value}
        number = found[self.type]
        assert number is not None
        return float(number)


class Resource(Strict):
    """A resource of each instance: of its request where one is known, else a sample is a percentage by itself."""

    name: Annotated[str, Field(min_length=1, description="Name of the samples, like `cpu`.")]
    target: Target

    @model_validator(mode="after")
    def _is_per_instance(self) -> Self:
        if self.target.type == "Value":
            raise ValueError("a metric of type Resource has a target of type Utilization or AverageValue")
        return self


class Selector(Strict):
    """Which series of a metric: those with all of these labels."""

    matchLabels: dict[str, str] = Field(  # noqa: N815
        {}, description="Labels that a series must have, each with its value."
    )


class MetricName(Strict):
    """A metric by name, and which of its series."""

    name: Annotated[str, Field(min_length=1, description="Name of the samples, like `rps`.")]
    selector: Selector = Selector()


class Pods(Strict):
    """A metric of each instance."""

    metric: MetricName
    target: Target

    @model_validator(mode="after")
    def _is_an_average(self) -> Self:
        if self.target.type != "AverageValue":
            raise ValueError("a metric of type Pods has a target of type AverageValue")
        return self


class Shared(Strict):
    """A metric that all instances share, such as the length of a queue; its series are added up."""

    metric: MetricName
    target: Target
    describedObject: Annotated[  # noqa: N815
        dict[str, str] | None, Field(description="Kubernetes' object, for people; the engine reads none.")
    ] = None

    @model_validator(mode="after")
    def _is_no_percentage(self) -> Self:
        if self.target.type == "Utilization":
            raise ValueError("a metric of type Object or External has a target of type Value or AverageValue")
        return self


class Metric(Strict):
    """One metric that scales; the largest wish of several wins."""

    type: Annotated[
        Literal["Resource", "Pods", "Object", "External"], Field(description="Which of the four below is there.")
    ]
    resource: Resource | None = None
    pods: Pods | None = None
    object: Shared | None = None
    external: Shared | None = None
    over_s: Seconds = Field(
        0.0,
        alias="over",
        description="Time over which a series counts; 0s: its newest sample alone, as Kubernetes has it.",
    )
    aggregate: Annotated[Literal["mean", "max", "min", "sum"], Field(description="What counts of that time.")] = "mean"

    @model_validator(mode="after")
    def _has_its_source(self) -> Self:
        sources = {"Resource": self.resource, "Pods": self.pods, "Object": self.object, "External": self.external}
        mine = sources.pop(self.type)
        if mine is None or any(sources.values()):
            raise ValueError(f"a metric of type {self.type} needs `{self.type.lower()}`, and nothing else")
        return self

    @property
    def shared(self) -> bool:
        """Whether all instances share it."""
        return self.type in {"Object", "External"}

    @property
    def name(self) -> str:
        """Name of the samples it reads."""
        if self.resource is not None:
            return self.resource.name
        return self._named.metric.name

    @property
    def labels(self) -> dict[str, str]:
        """Labels that its series must have."""
        return {} if self.resource is not None else self._named.metric.selector.matchLabels

    @property
    def target(self) -> Target:
        """What it should be."""
        return self.resource.target if self.resource is not None else self._named.target

    @property
    def _named(self) -> Pods | Shared:
        found = self.pods or self.object or self.external
        assert found is not None
        return found
