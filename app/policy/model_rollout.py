"""What a policy document of kind Rollout may say, in the words of Keptn's SLO files. Field names are those of the YAML.

`app.policy.kinds` has it in its table; `app.policy.rollout` and `app.policy.judgement` read it.
"""

from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from app.policy.criteria import Criterion, criterion
from app.policy.durations import Seconds
from app.policy.expression import gives_a_number
from app.policy.model import Metadata, Mode, Strict


def _criterion(text: str) -> str:
    criterion(text)
    return text


def _some(criteria: tuple[str, ...]) -> tuple[str, ...]:
    if not criteria:
        raise ValueError("at least one criterion is needed, like <600")
    return criteria


def _one_of(given: Any) -> Any:
    """A plain list of criteria is one alternative."""
    if isinstance(given, list | tuple) and given and all(isinstance(one, str) for one in given):
        return [{"criteria": given}]
    return given


def _percent(given: Any) -> Any:
    """`90%`, as Keptn writes it, is 90."""
    if isinstance(given, str) and given.endswith("%"):
        return given.removesuffix("%")
    return given


class Criteria(Strict):
    """Criteria that have to hold together."""

    criteria: Annotated[
        tuple[Annotated[str, AfterValidator(_criterion)], ...],
        AfterValidator(_some),
        Field(description="All of these have to hold."),
    ]


Alternatives = Annotated[
    tuple[Criteria, ...], BeforeValidator(_one_of, json_schema_input_type=list[str] | list[Criteria])
]
Percent = Annotated[float, BeforeValidator(_percent, json_schema_input_type=float | str), Field(ge=0, le=100)]


class Objective(Strict):
    """One indicator and its bounds; without bounds it is for information, and counts for nothing."""

    sli: Annotated[str, Field(min_length=1, description="Name of the indicator, unique in the policy.")]
    expr: Annotated[
        str,
        Field(min_length=1, description='CEL that gives a number, in the words of kind Alert: `avg("cpu", "1m")`.'),
        AfterValidator(gives_a_number),
    ]
    pass_: Alternatives = Field(
        (),
        alias="pass",
        description="Criteria to pass, all of which have to hold: `<600`, `>=99.5`, `=0`; with a sign compared with "
        "the baseline, `<=+10%` or `<=+5`. A list of `{criteria: […]}` is of alternatives: one of them has to hold.",
    )
    warning: Alternatives = Field((), description="The same, to be no worse than a warning: half the weight.")
    weight: Annotated[int, Field(ge=1, le=1000, description="What passing counts in the score.")] = 1
    key_sli: Annotated[bool, Field(description="Whether the deploy fails if this one does, whatever else.")] = False

    @model_validator(mode="after")
    def _has_bounds(self) -> Self:
        if not self.pass_ and (self.warning or self.key_sli):
            raise ValueError("without `pass` it is for information, and can have no `warning` and be no `key_sli`")
        return self

    @cached_property
    def bounds(self) -> tuple[tuple[tuple[Criterion, ...], ...], tuple[tuple[Criterion, ...], ...]]:
        """The alternatives to pass and to warn, parsed."""
        return (
            tuple(tuple(map(criterion, one.criteria)) for one in self.pass_),
            tuple(tuple(map(criterion, one.criteria)) for one in self.warning),
        )


class TotalScore(Strict):
    """The score, in percent of the weights, from which a deploy passes or is at least no failure."""

    pass_: Percent = Field(90.0, alias="pass", description="Passes from here on.")
    warning: Annotated[Percent, Field(description="Stays, with a warning, from here on; below it fails.")] = 75.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warning > self.pass_:
            raise ValueError(f"warning ({self.warning:g}) is above pass ({self.pass_:g})")
        return self


class Told(Strict):
    """Who is told."""

    notify: Annotated[str, Field(description="Receiver, by its name in the targets file; empty: nobody.")] = ""


class OnFail(Told):
    """What to do about a deploy that is no good. Also told: one that fails by itself, stalls, or cannot be judged."""

    rollBack: Annotated[  # noqa: N815
        bool, Field(description="Whether a deploy that fails its objectives is rolled back to the version before.")
    ] = False
    rollBackFailed: Annotated[  # noqa: N815
        bool,
        Field(description="The same for one that failed by its own event; what deploys often does that by itself."),
    ] = False
    rollBackStalled: Annotated[  # noqa: N815
        bool, Field(description="The same for one that does not finish within the deadline.")
    ] = False


class RolloutSpec(Strict):
    """Which deploys a Rollout policy watches, and how it judges them."""

    service: Annotated[str, Field(min_length=1, description="Name of the service, or a glob: `web`, `web-*`, `*`.")]
    environment: Annotated[str, Field(description="Name of the environment, or a glob; `*` is any, also none.")] = "*"
    window_s: Seconds = Field(300.0, alias="window", gt=0, description="How long it is watched after it finished.")
    settle_s: Seconds = Field(
        30.0, alias="settle", description="How long after it finished before the first judgement counts."
    )
    every_s: Seconds = Field(15.0, alias="every", description="It is judged no more often than this.")
    deadline_s: Seconds = Field(
        900.0, alias="deadline", gt=0, description="How long it may take to finish; then people are told."
    )
    failFast: Annotated[  # noqa: N815
        int, Field(ge=0, description="So many judgements in a row that fail end it early; 0: it has the whole window.")
    ] = 2
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1, description="What it is judged by.")]
    total_score: TotalScore = TotalScore()
    onFail: OnFail = OnFail()  # noqa: N815
    onWarning: Told = Told()  # noqa: N815
    onPass: Told = Told()  # noqa: N815
    stale_s: Seconds = Field(
        300.0, alias="stale", description="A series that is silent for longer is missing, and unknown is no verdict."
    )
    driver: Annotated[
        Literal["simulated", "kubernetes"],
        Field(description="What the workers roll back with: a fleet in Redis, or Kubernetes."),
    ] = "simulated"
    target: Annotated[str, Field(description="What the driver calls the service; empty: its name.")] = ""
    mode: Mode = "active"

    @model_validator(mode="after")
    def _can_judge(self) -> Self:
        if self.settle_s >= self.window_s:
            raise ValueError(f"settle ({self.settle_s:g} s) has to be shorter than window ({self.window_s:g} s)")
        if not any(one.pass_ for one in self.objectives):
            raise ValueError("no objective has criteria to `pass`, so nothing could be judged")
        names = [one.sli for one in self.objectives]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is the sli of several objectives; each needs a name of its own")
        return self

    def is_for(self, environment: str) -> bool:
        """Whether deploys in an environment are watched."""
        return self.environment == "*" or fnmatchcase(environment, self.environment)


class RolloutPolicy(Strict):
    """A document of kind Rollout."""

    apiVersion: Literal["headrace/v1"]  # noqa: N815
    kind: Literal["Rollout"]
    metadata: Metadata
    spec: RolloutSpec
