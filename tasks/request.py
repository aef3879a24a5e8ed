"""A message that a worker's main process has, and what it does where Celery would lose it.

`tasks.main` gives it to every task.
"""

from typing import Any

from celery.worker.request import Request as CeleryRequest


class Request(CeleryRequest):
    """A message under way. Celery acknowledges those that were revoked or expired; here nobody revokes an action, and
    whether one is too late the ledger judges, so one whose process was ended comes again.
    """

    def revoked(self) -> bool:
        """Never."""
        return False

    def _announce_revoked(self, *_: Any) -> None:
        """Called, in the end, for a process that Celery had told to end when the connection was lost, that did not,
        and that then died with another message in its hands.
        """
        self.reject(requeue=True)
