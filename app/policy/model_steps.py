"""Step scaling as a policy says it: ranges of a metric, and by how much to step in each."""

import math
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from app.policy.durations import Quantity
from app.policy.model import Strict
from app.policy.model_reading import MetricName


class Range(Strict):
    """By how much to step while the metric is at or above `from` and below `to`."""

    from_: Quantity | None = Field(None, alias="from", description="Where it begins; left out: anything below `to`.")
    to: Annotated[Quantity | None, Field(description="Where it ends; itself not in it; left out: no end.")] = None
    change: Annotated[int | None, Field(description="How many replicas more, or fewer if below 0.")] = None
    percent: Annotated[
        int | None,
        Field(description="In place of `change`: percent of those there are, rounded away from 0."),
    ] = None
    least: Annotated[int | None, Field(ge=1, description="With `percent`: the smallest step; left out: 1.")] = None

    @model_validator(mode="after")
    def _is_a_step(self) -> Self:
        if self.from_ is None and self.to is None:
            raise ValueError("a range needs from, to, or both: it would step whatever the metric is")
        if self.low >= self.high:
            raise ValueError(f"from ({self.low:g}) must be below to ({self.high:g})")
        if bool(self.change) == bool(self.percent):
            raise ValueError("a range needs change or percent, one of them, and not 0")
        if self.least is not None and self.percent is None:
            raise ValueError("least goes with percent")
        return self

    @property
    def low(self) -> float:
        """Where it begins."""
        return -math.inf if self.from_ is None else self.from_

    @property
    def high(self) -> float:
        """Where it ends."""
        return math.inf if self.to is None else self.to

    @property
    def up(self) -> bool:
        """Whether it steps up."""
        return (self.change or self.percent or 0) > 0


class Steps(Strict):
    """A step up or down by where the mean of the series is. Each direction needs a `cooldown`."""

    metric: MetricName
    ranges: Annotated[
        tuple[Range, ...],
        Field(min_length=1, max_length=100, description="The ranges; they must not overlap, and may leave gaps."),
    ]
    shared: Annotated[
        bool,
        Field(
            description="Whether the metric is of something that all instances share, like a queue. Where it is not, "
            "series of instances that are gone do not count, and one that says nothing holds steps down."
        ),
    ] = False

    @model_validator(mode="after")
    def _are_apart(self) -> Self:
        ordered = sorted(self.ranges, key=lambda one: one.low)
        for before, after in pairwise(ordered):
            if after.low < before.high:
                raise ValueError(
                    f"the ranges [{before.low:g}, {before.high:g}) and [{after.low:g}, {after.high:g}) overlap"
                )
        return self

    def at(self, value: float) -> Range | None:
        """The range that a value is in."""
        return next((one for one in self.ranges if one.low <= value < one.high), None)
