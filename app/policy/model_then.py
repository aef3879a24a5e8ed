"""What an Alert has done when it begins to fire: people told, a scaling, a rollback, a build, a webhook.

Part of `app.policy.model_alert`; `app.policy.then` and `app.policy.routing` read it.
"""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from app.policy.durations import Seconds
from app.policy.model import Strict

TEMPLATE: Final = re.compile(r"\{\{\s*(\$value|\$labels\.[A-Za-z_]\w*)\s*\}\}")


def _template(text: str) -> str:
    if "{{" in TEMPLATE.sub("", text):
        raise ValueError("a template may hold {{ $value }} and {{ $labels.NAME }}, and nothing else in braces")
    return text


Template = Annotated[str, AfterValidator(_template)]


class Telling(Strict):
    """Who is told when it begins to fire, again while it fires, and when it is over."""

    receiver: Annotated[
        str,
        Field(
            description="The receiver, by its name in the targets file: it is told at once and past all routes. Left "
            "out: the routes of the set's Alerting decide."
        ),
    ] = ""
    repeat_interval_s: Seconds = Field(
        14_400.0, alias="repeat_interval", description="How often the receiver is told again while it fires."
    )
    send_resolved: Annotated[bool, Field(description="Whether people are told when it is over.")] = True

    @model_validator(mode="after")
    def _repeats_to_somebody(self) -> Self:
        if not self.receiver and "repeat_interval_s" in self.model_fields_set:
            raise ValueError("repeat_interval is for a receiver that is named here; a route of Alerting has its own")
        return self


class Step(Strict):
    """A scaling by a step from what there is, once, within limits."""

    by: Annotated[int | None, Field(description="How many replicas more; fewer, if it is below 0.")] = None
    percent: Annotated[
        int | None, Field(ge=-100, description="How many percent of what there is, instead of `by`; up is rounded up.")
    ] = None
    least: Annotated[int, Field(ge=1, description="Least number of replicas that `percent` comes to.")] = 1
    min: Annotated[int, Field(ge=0, description="Never fewer replicas than this.")] = 1
    max: Annotated[int, Field(ge=1, description="Never more replicas than this.")]
    driver: Annotated[str, Field(description="What the workers scale with.")] = "simulated"
    target: Annotated[str, Field(description="What the driver calls the service; empty: its name.")] = ""

    @model_validator(mode="after")
    def _is_one_step(self) -> Self:
        if (self.by is None) == (self.percent is None):
            raise ValueError("a step is either `by` so many replicas or so many `percent`")
        if not (self.by or self.percent):
            raise ValueError("a step of 0 changes nothing")
        if self.max < self.min:
            raise ValueError(f"max ({self.max}) is below min ({self.min})")
        return self

    def after(self, current: int) -> int:
        """Replicas after the step from `current`, not yet within the limits."""
        if self.by is not None:
            return max(0, current + self.by)
        assert self.percent is not None
        if self.percent > 0:
            return current + max(self.least, -(-current * self.percent // 100))
        return max(0, current - max(self.least, current * -self.percent // 100))


class Back(Strict):
    """The version before is to run again."""

    environment: Annotated[
        str | None, Field(description="Where; left out: where the service runs, if that is one environment.")
    ] = None
    driver: Annotated[Literal["simulated", "kubernetes"], Field(description="What the workers roll back with.")] = (
        "simulated"
    )
    target: Annotated[str, Field(description="What the driver calls the service; empty: its name.")] = ""


class NewBuild(Strict):
    """A build of a branch."""

    repo: Annotated[str, Field(min_length=1, description="The repository.")]
    branch: Annotated[str, Field(min_length=1, description="The branch, whatever its newest commit is.")]


class Webhook(Strict):
    """A webhook that is called with the alert: its name, service, labels, annotations and value."""

    webhook: Annotated[str, Field(min_length=1, description="The webhook, by its name in the targets file.")]
    data: dict[str, Any] = Field({}, description="More that is sent along; texts in it may be templates.")

    @model_validator(mode="after")
    def _has_templates(self) -> Self:
        for value in self.data.values():
            if isinstance(value, str):
                _template(value)
        return self


class Then(Strict):
    """What is done. All but telling happens once when it begins to fire, and again only after it was over."""

    notify: Telling | None = None
    scale: Step | None = None
    rollBack: Back | None = None  # noqa: N815 - the field's manner
    build: NewBuild | None = None
    webhook: Webhook | None = None
