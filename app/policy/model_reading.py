"""Which samples a metric of a policy reads, and what it should be. Field names are those of the YAML."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from app.policy.columns import KEPT_FOR
from app.policy.durations import Quantity, Seconds
from app.policy.model import Strict
from app.policy.windows import Keep

TargetType = Literal["Utilization", "AverageValue", "Value"]
Aggregate = Literal["mean", "max", "min", "sum", "rate", "last", "quantile"]


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

    @cached_property
    def number(self) -> float:
        """The target as a number, in the metric's own unit."""
        found = {"Utilization": self.averageUtilization, "AverageValue": self.averageValue, "Value": self.value}
        number = found[self.type]
        assert number is not None
        return float(number)


class Requirement(Strict):
    """What a label must be, in Kubernetes' words."""

    key: Annotated[str, Field(min_length=1, description="Name of the label.")]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist"],
        Field(description="In: one of the values. NotIn: none of them, or not there. Exists, DoesNotExist: any value."),
    ]
    values: Annotated[tuple[str, ...], Field(description="The values, for In and NotIn.")] = ()

    @model_validator(mode="after")
    def _has_its_values(self) -> Self:
        if (self.operator in {"In", "NotIn"}) != bool(self.values):
            needs = "no values" if self.values else "at least one of values"
            raise ValueError(f"operator {self.operator} needs {needs}")
        return self

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels of a series are so."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
        return self.key not in labels


class Selector(Strict):
    """Which series of a metric: those for which all of this holds."""

    matchLabels: dict[str, str] = Field(  # noqa: N815
        {}, description="Labels that a series must have, each with its value."
    )
    matchExpressions: tuple[Requirement, ...] = Field(  # noqa: N815
        (), description="What else must hold of its labels."
    )

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels is meant."""
        return all(labels.get(name) == value for name, value in self.matchLabels.items()) and all(
            one.holds(labels) for one in self.matchExpressions
        )


class Reading(NamedTuple):
    """Which series, and what counts of each: its newest sample, or an aggregate of `over_ms`."""

    name: str
    selector: Selector
    over_ms: int = 0
    aggregate: Aggregate = "mean"
    quantile: float = 0.0

    @property
    def keep(self) -> Keep:
        """What has to be kept of the metric for it."""
        columns = KEPT_FOR.get(self.aggregate, 0)
        return Keep(self.over_ms, columns) if self.over_ms and columns else Keep()

    @property
    def what(self) -> str:
        """What counts of a series, for people; empty for its newest sample."""
        if not self.over_ms:
            return ""
        part = f"quantile {self.quantile:g}" if self.aggregate == "quantile" else self.aggregate
        return f"{part} over {self.over_ms / 1000:g}s"


class MetricName(Strict):
    """A metric by name, and which of its series."""

    name: Annotated[str, Field(min_length=1, description="Name of the samples, like `rps`.")]
    selector: Selector = Selector()


def windowed(over_s: float, aggregate: str, quantile: float | None) -> None:
    """Check the words for a window against each other; raises ValueError."""
    if aggregate in {"rate", "quantile"} and not over_s:
        raise ValueError(f"aggregate {aggregate} needs over, a time of which it is")
    if (aggregate == "quantile") != (quantile is not None):
        raise ValueError("aggregate quantile and quantile, like 0.95, need each other")


class Flow(MetricName):
    """A metric that is a speed: items a second, or with `aggregate: rate` a counter of items."""

    over_s: Seconds = Field(
        0.0, alias="over", description="Time over which a series counts; 0s: its newest sample alone."
    )
    aggregate: Annotated[
        Literal["mean", "max", "min", "rate"],
        Field(description="What counts of that time; rate: a counter's increase a second."),
    ] = "mean"

    @model_validator(mode="after")
    def _has_its_window(self) -> Self:
        windowed(self.over_s, self.aggregate, None)
        return self

    @cached_property
    def reading(self) -> Reading:
        """The series it reads."""
        return Reading(self.name, self.selector, round(1000 * self.over_s), self.aggregate)

    @cached_property
    def key(self) -> str:
        """What tells it from others."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True)
