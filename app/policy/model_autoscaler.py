"""What a HorizontalPodAutoscaler of `autoscaling/v2` may say, and the Scale that it is.

`app.policy.kinds` has it in its table. Fields, defaults and limits are Kubernetes'.
"""

from typing import Annotated, Literal

from pydantic import Field

from app.policy.model import Metadata, Strict
from app.policy.model_metrics import AutoscalerMetric
from app.policy.model_scale import ScalePolicy, Scaling


class ScaleTargetRef(Strict):
    """What is scaled: its name is the service."""

    apiVersion: Annotated[str, Field(description="Of the workload; read and not used.")] = ""  # noqa: N815
    kind: Annotated[str, Field(description="Of the workload; left out: Deployment.")] = ""
    name: Annotated[str, Field(min_length=1, description="Name of the workload, which is the service.")]


class AutoscalerSpec(Scaling):
    """The spec of `autoscaling/v2`."""

    metrics: Annotated[
        list[AutoscalerMetric],
        Field(
            min_length=1, description="What to look at. The largest wish wins; if one is missing, nothing goes down."
        ),
    ]
    scaleTargetRef: ScaleTargetRef  # noqa: N815


class AutoscalerMetadata(Metadata):
    """A Kubernetes object's metadata; what is not named here is read and not used."""

    model_config = Strict.model_config | {"extra": "ignore"}

    namespace: Annotated[str, Field(description="Of the workload; a service is known by its name alone.")] = ""


class AutoscalerPolicy(Strict):
    """A HorizontalPodAutoscaler as it is, done in Kubernetes: looked at every 15 s, held by its own words alone."""

    apiVersion: Literal["autoscaling/v2"]  # noqa: N815
    kind: Literal["HorizontalPodAutoscaler"]
    metadata: AutoscalerMetadata
    spec: AutoscalerSpec
    status: Annotated[dict[str, object] | None, Field(description="Read and not used.")] = None

    def as_scale(self) -> ScalePolicy:
        """The same as a policy of our own kind."""
        words = self.spec.model_dump(by_alias=True, exclude={"scaleTargetRef"}, exclude_none=True)
        ours = {"every": "15s", "for": {"up": "0s", "down": "0s"}, "deployHold": "0s"}
        scaled = self.spec.scaleTargetRef
        target = "/".join(filter(None, (self.metadata.namespace, scaled.kind or "Deployment", scaled.name)))
        spec = {"service": scaled.name, "driver": "kubernetes", "target": target} | ours | words
        name = {"name": self.metadata.name, "labels": self.metadata.labels}
        return ScalePolicy.model_validate(
            {"apiVersion": "headrace/v1", "kind": "Scale", "metadata": name, "spec": spec}
        )
