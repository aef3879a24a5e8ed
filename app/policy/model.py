"""What every policy document has: strictness, a name, a mode. The schema that people see is made from the models."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """Refuses what it does not know, so that a slip of the pen is told and not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


Mode = Annotated[
    Literal["active", "shadow", "off"],
    Field(description="active: decides and acts. shadow: decides, is recorded, nothing is done. off: is not asked."),
]
