"""What a policy document of kind Alert may say, in Prometheus' words. Field names are those of the YAML."""

from functools import cached_property
from itertools import count
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from app.policy.calls import check_divisors
from app.policy.durations import Seconds
from app.policy.expression import Expression
from app.policy.model import Metadata, Mode, Strict
from app.policy.model_then import Template, Then


def _expression(text: str) -> str:
    """Checks that it can be true or false: tried with some numbers, so that missing data are not to blame."""
    made, numbers = Expression(text), count(1.0, 0.618034)
    check_divisors(text)
    found, _ = made.evaluate(lambda call: call.function == "absent" or next(numbers))
    if found is None:
        raise ValueError("the expression is neither true nor false; numbers are doubles, so write 2.0 and not 2")
    return text


class AlertSpec(Strict):
    """What an Alert policy watches."""

    service: Annotated[str, Field(min_length=1, description="Name of the service, or a glob: `web`, `web-*`, `*`.")]
    expr: Annotated[
        str,
        Field(min_length=1, description='CEL over windows: `avg("cpu", "1m") > 90.0`. Numbers are doubles.'),
        AfterValidator(_expression),
    ]
    for_s: Seconds = Field(0.0, alias="for", description="How long it must be so before it fires.")
    keep_firing_for_s: Seconds = Field(
        0.0, alias="keep_firing_for", description="How long it goes on firing after it was so last."
    )
    labels: dict[str, str] = Field(
        {}, description="Labels, by which routes and rules know it; `severity` decides how people are told."
    )
    annotations: dict[str, Template] = Field(
        {}, description="Texts for people, with `{{ $value }}` and `{{ $labels.NAME }}`; `summary` and `description`."
    )
    then: Then = Then()
    every_s: Seconds = Field(1.0, alias="every", description="The expression is asked no more often than this.")
    stale_s: Seconds = Field(
        300.0, alias="stale", description="A series that is silent for longer is missing, and unknown is neither."
    )
    mode: Mode = "active"

    @cached_property
    def every_ms(self) -> int:
        """Milliseconds for which it is not looked at again."""
        return round(self.every_s * 1000)

    @cached_property
    def stale_ms(self) -> int:
        """Milliseconds of silence after which a series is missing."""
        return round(self.stale_s * 1000)


class AlertPolicy(Strict):
    """A document of kind Alert."""

    apiVersion: Literal["headrace/v1"]  # noqa: N815
    kind: Literal["Alert"]
    metadata: Metadata
    spec: AlertSpec

    def labels_for(self, service: str) -> dict[str, str]:
        """The labels of the alert of one service."""
        return {"alertname": self.metadata.name, "service": service} | self.spec.labels
