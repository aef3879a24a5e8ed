"""A backlog and its deadline as a policy says it."""

from typing import Annotated

from pydantic import Field

from app.policy.durations import Quantity, Seconds
from app.policy.model import Strict
from app.policy.model_reading import Flow, MetricName


class Backlog(Strict):
    """So many workers that what waits is done within a deadline, while more comes in; set in one jump."""

    metric: Annotated[MetricName, Field(description="What waits: a queue's length or a consumer's lag; added up.")]
    deadline_s: Seconds = Field(
        alias="deadline",
        gt=0,
        description="Within this all that waits is to be done, counted from each look; a stabilization window down "
        "as long as that keeps the workers until it is done.",
    )
    perReplica: Annotated[  # noqa: N815
        Quantity, Field(gt=0, description="Items a second that one worker does.")
    ]
    perReplicaMetric: Annotated[  # noqa: N815
        Flow | None,
        Field(
            description="The same as measured, the mean of its series. It counts if it was measured while what waits "
            "would take the workers more than a tenth of the deadline, since idle ones show less than they can, and is "
            "remembered; as long as it is unknown `perReplica` counts."
        ),
    ] = None
    inflow: Annotated[
        Flow | None, Field(description="Items that come in a second; its series are added up. Left out: none.")
    ] = None
    partitions: Annotated[
        int | None,
        Field(
            ge=1,
            le=100_000,
            description="Partitions that the workers share: their number is rounded up to a divisor of it.",
        ),
    ] = None
