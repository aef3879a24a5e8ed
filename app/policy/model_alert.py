"""What a policy document of kind Alert may say, in Prometheus' words. Field names are those of the YAML."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from app.policy.durations import Seconds
from app.policy.expression import Expression
from app.policy.model import Metadata, Mode, Strict

TEMPLATE: Final = re.compile(r"\{\{\s*(\$value|\$labels\.[A-Za-z_]\w*)\s*\}\}")


def _expression(text: str) -> str:
    Expression(text)
    return text


def _template(text: str) -> str:
    if "{{" in TEMPLATE.sub("", text):
        raise ValueError("a template may hold {{ $value }} and {{ $labels.NAME }}, and nothing else in braces")
    return text


class Telling(Strict):
    """Who is told when it begins to fire, again while it fires, and when it is over."""

    receiver: Annotated[str, Field(min_length=1, description="The receiver, by its name in the targets file.")]
    repeat_interval_s: Seconds = Field(
        14_400.0, alias="repeat_interval", description="How often people are told again while it fires."
    )
    send_resolved: Annotated[bool, Field(description="Whether people are told when it is over.")] = True


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
    labels: dict[str, str] = Field({}, description="Labels; `severity` decides how people are told.")
    annotations: dict[str, Annotated[str, AfterValidator(_template)]] = Field(
        {}, description="Texts for people, with `{{ $value }}` and `{{ $labels.NAME }}`; `summary` and `description`."
    )
    notify: Telling | None = None
    every_s: Seconds = Field(1.0, alias="every", description="The expression is asked no more often than this.")
    stale_s: Seconds = Field(
        300.0, alias="stale", description="A series that is silent for longer is missing, and unknown is neither."
    )
    mode: Mode = "active"


class AlertPolicy(Strict):
    """A document of kind Alert."""

    apiVersion: Annotated[str, Field(pattern="^headrace/v1$")]  # noqa: N815
    kind: Annotated[str, Field(pattern="^Alert$")]
    metadata: Metadata
    spec: AlertSpec
