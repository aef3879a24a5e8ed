"""What a Scale policy may say of its schedules. `app.policy.model_scale` has them, `app.policy.schedule` reads them."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from app.policy.calendars import cron, zone_name
from app.policy.durations import Seconds
from app.policy.model import Strict

Cron = Annotated[str, Field(max_length=100), AfterValidator(cron)]


class Schedule(Strict):
    """A window that comes again and again, and the limits within it."""

    name: Annotated[str, Field(min_length=1, max_length=63, description="What people call it; unique in the policy.")]
    start: Annotated[
        Cron, Field(description="When it begins, as cron: minute, hour, day of month, month, day of week.")
    ]
    end: Annotated[Cron | None, Field(description="When it ends, as cron; or say `duration`.")] = None
    duration_s: Seconds | None = Field(None, alias="duration", description="How long it lasts; or say `end`.")
    timezone: Annotated[
        str,
        AfterValidator(zone_name),
        Field(description="The time zone of `start` and `end`; summer time is heeded."),
    ] = "UTC"
    minReplicas: Annotated[  # noqa: N815
        int | None, Field(ge=0, description="The minimum within the window; left out: that of the policy.")
    ] = None
    maxReplicas: Annotated[  # noqa: N815
        int | None, Field(ge=1, description="The maximum within the window; left out: that of the policy.")
    ] = None

    @model_validator(mode="after")
    def _says_when_and_what(self) -> Self:
        if (self.end is None) == (self.duration_s is None):
            raise ValueError("a schedule has an end or a duration, and not both")
        if self.duration_s is not None and self.duration_s <= 0:
            raise ValueError("duration must be above 0s")
        if self.end is not None and self.end.split() == self.start.split():
            raise ValueError("start and end are the same, so the window would never end; give a duration instead")
        if self.minReplicas is None and self.maxReplicas is None:
            raise ValueError("a schedule needs minReplicas, maxReplicas or both: it changes nothing else")
        return self
