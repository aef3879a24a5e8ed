"""CallWebhook: post what was decided to a webhook that is known by name.

It is at least once: a worker that dies between the call and its note has called, and the next one calls
again, as it does where an answer was lost. The receiver knows repeats by their `webhook-id`. Each time that a
worker may have died with a call made is counted.
"""

from typing import Protocol

from tasks import metrics
from tasks.action import Done
from tasks.contract import CallWebhook, Kind
from tasks.lease import Lease


class Webhooks(Protocol):
    """What can be called."""

    def call(self, action: CallWebhook) -> int:
        """Call a webhook; the status it answered with, which is 2xx. Raises the errors of `tasks.errors`."""


def call_webhook(action: CallWebhook, lease: Lease, webhooks: Webhooks) -> Done:
    """Call a webhook."""
    if lease.claim.started:
        metrics.AMBIGUOUS.labels(Kind.WEBHOOK).inc()
    lease.begin()
    return Done(detail=f"webhook {action.webhook} answered {webhooks.call(action)}")
