"""The kinds of policy there are: one table, read by `app.policy.files` and the documentation."""

from app.policy.model_alert import AlertPolicy
from app.policy.model_alerting import AlertingPolicy
from app.policy.model_autoscaler import AutoscalerPolicy
from app.policy.model_rollout import RolloutPolicy
from app.policy.model_route import RoutePolicy
from app.policy.model_scale import ScalePolicy

Policy = ScalePolicy | RoutePolicy | AlertPolicy | AlertingPolicy | RolloutPolicy
"""Any policy, as the engine has it."""

KINDS: dict[str, type[Policy] | type[AutoscalerPolicy]] = {
    "Scale": ScalePolicy,
    "Alert": AlertPolicy,
    "Alerting": AlertingPolicy,
    "Rollout": RolloutPolicy,
    "Route": RoutePolicy,
    "HorizontalPodAutoscaler": AutoscalerPolicy,
}
"""Kind → model."""
