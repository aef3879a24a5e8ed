"""The metrics of a Scale policy, in the words of `autoscaling/v2` and beyond. Field names are those of the YAML."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from app.policy.durations import Quantity, Seconds
from app.policy.expression import compiled, gives_a_number
from app.policy.model import Strict
from app.policy.model_backlog import Backlog
from app.policy.model_reading import Aggregate, MetricName, Reading, Selector, Target, windowed
from app.policy.model_steps import Steps
from app.policy.windows import Keep


class Resource(Strict):
    """A resource of each instance: of its request where one is known, else a sample is a percentage by itself."""

    name: Annotated[str, Field(min_length=1, description="Name of the samples, like `cpu`.")]
    target: Target

    @model_validator(mode="after")
    def _is_per_instance(self) -> Self:
        if self.target.type == "Value":
            raise ValueError("a metric of type Resource has a target of type Utilization or AverageValue")
        return self


class SelectedResource(Resource):
    """A resource of each instance: of its request where one is known, else a sample is a percentage by itself."""

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


class Computed(Strict):
    """A number computed from several metrics; it counts as one of type External does."""

    expr: Annotated[
        str,
        Field(
            min_length=1,
            description='CEL over windows that gives a number: `sum("jobs", "1m") / 2.0`. Numbers are doubles.',
        ),
        AfterValidator(gives_a_number),
    ]
    name: Annotated[str, Field(description="What people call it; left out: the expression.")] = ""
    target: Target

    @model_validator(mode="after")
    def _is_no_percentage(self) -> Self:
        if self.target.type == "Utilization":
            raise ValueError("a metric of type Expression has a target of type Value or AverageValue")
        return self


class Sources(Strict):
    """What Kubernetes' metrics are made of."""

    type: str
    resource: Resource | None = None
    pods: Pods | None = None
    object: Shared | None = None
    external: Shared | None = None
    over_s: Seconds = Field(
        0.0,
        alias="over",
        description="Time over which a series counts; 0s: its newest sample alone, as Kubernetes has it.",
    )

    @model_validator(mode="after")
    def _has_its_source(self) -> Self:
        sources = self._sources()
        mine = sources.pop(self.type)
        if mine is None or any(sources.values()):
            raise ValueError(f"a metric of type {self.type} needs `{self.type.lower()}`, and nothing else")
        return self

    def _sources(self) -> dict[str, Strict | None]:
        return {"Resource": self.resource, "Pods": self.pods, "Object": self.object, "External": self.external}

    @property
    def shared(self) -> bool:
        """Whether all instances share it, so that it is known where there is none."""
        return self.type in {"Object", "External", "Expression", "Backlog"}


class AutoscalerMetric(Sources):
    """One metric that scales; the largest wish of several wins."""

    type: Annotated[
        Literal["Resource", "Pods", "Object", "External"], Field(description="Which of the four below is there.")
    ]
    aggregate: Annotated[Literal["mean", "max", "min", "sum"], Field(description="What counts of that time.")] = "mean"


class Metric(Sources):
    """One metric that scales; the largest wish of several wins."""

    type: Annotated[
        Literal["Resource", "Pods", "Object", "External", "Expression", "Steps", "Backlog"],
        Field(description="Which of the seven below is there; the last three are not Kubernetes'."),
    ]
    resource: SelectedResource | None = None
    aggregate: Annotated[
        Aggregate, Field(description="What counts of that time; rate: a counter's increase a second.")
    ] = "mean"
    quantile: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="For aggregate quantile: which, like 0.95. Exact up to 64 samples in an eighteenth of the "
            "longest window that is asked of the metric, of more a fair draw counts.",
        ),
    ] = None
    expression: Computed | None = None
    steps: Steps | None = None
    backlog: Backlog | None = None
    activation: Annotated[
        Quantity | None,
        Field(
            description="For types that all instances share, with minReplicas 0: while no metric that has one is above "
            "it, 0 replicas are wanted, whatever else; above it at least 1."
        ),
    ] = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        windowed(self.over_s, self.aggregate, self.quantile)
        if self.expression is not None and (self.over_s or self.aggregate != "mean"):
            raise ValueError("a metric of type Expression has its windows in its calls, and no over or aggregate")
        if self.activation is not None and not self.shared:
            raise ValueError("activation goes with a metric of type Object, External, Expression or Backlog")
        return self

    def _sources(self) -> dict[str, Strict | None]:
        ours = {"Expression": self.expression, "Steps": self.steps, "Backlog": self.backlog}
        return super()._sources() | ours

    @property
    def exact(self) -> bool:
        """Whether it asks for a count of its own, and not for a multiple of what there is."""
        return self.type in {"Steps", "Backlog"}

    @cached_property
    def name(self) -> str:
        """Name of the samples it reads, or of the number that it computes."""
        if self.expression is not None:
            return self.expression.name or self.expression.expr
        return self.reading.name

    @cached_property
    def reading(self) -> Reading:
        """The series it reads first; an expression reads its own."""
        if self.resource is not None:
            name, selector = self.resource.name, self.resource.selector
        else:
            found = self.pods or self.object or self.external or self.steps or self.backlog
            assert found is not None
            name, selector = found.metric.name, found.metric.selector
        return Reading(name, selector, round(1000 * self.over_s), self.aggregate, self.quantile or 0.0)

    @cached_property
    def target(self) -> Target:
        """What it should be."""
        found = self.resource or self.pods or self.object or self.external or self.expression
        assert found is not None
        return found.target

    @property
    def reads(self) -> Mapping[str, Keep]:
        """Metric → what has to be kept of it."""
        if self.expression is not None:
            return compiled(self.expression.expr).reads
        flows = (self.backlog.inflow, self.backlog.perReplicaMetric) if self.backlog is not None else ()
        found: dict[str, Keep] = {}
        for one in (self.reading, *(flow.reading for flow in flows if flow is not None)):
            found[one.name] = found.get(one.name, Keep()).and_also(one.keep)
        return found
