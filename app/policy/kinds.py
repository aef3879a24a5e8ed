"""The kinds of policy there are: one table, read by `app.policy.files` and the documentation."""

from app.policy.model_route import RoutePolicy
from app.policy.model_scale import AutoscalerPolicy, ScalePolicy

Policy = ScalePolicy | RoutePolicy
"""Any policy, as the engine has it."""

KINDS: dict[str, type[ScalePolicy] | type[RoutePolicy] | type[AutoscalerPolicy]] = {
    "Scale": ScalePolicy,
    "Route": RoutePolicy,
    "HorizontalPodAutoscaler": AutoscalerPolicy,
}
"""Kind → model."""
