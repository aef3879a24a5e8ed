"""The kinds of policy there are: one table, read by `app.policy.files` and the documentation."""

from app.policy.model import ScalePolicy
from app.policy.model_route import RoutePolicy

Policy = ScalePolicy | RoutePolicy
"""Any policy."""

KINDS: dict[str, type[ScalePolicy] | type[RoutePolicy]] = {"Scale": ScalePolicy, "Route": RoutePolicy}
"""Kind → model."""
