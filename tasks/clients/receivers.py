"""Receivers of notifications, by name: Alertmanager by its API, and chat, mail, pagers, HTTP through apprise."""

import logging

import apprise

from tasks.clients import alertmanager
from tasks.clients.targets import Targets
from tasks.contract import Notify
from tasks.errors import PermanentError, TemporaryError

_SEVERITIES = {"info": apprise.NotifyType.INFO, "warning": apprise.NotifyType.WARNING}


class Receivers:
    """The receivers of the targets file."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def tell(self, action: Notify) -> None:
        """Deliver through every address of the receiver; TemporaryError if one does not take it."""
        addresses = self._targets.receiver(action.receiver)
        others = [one for one in addresses if not alertmanager.is_one(one)]
        if others:
            self._tell(action, others)
        for one in addresses:
            if alertmanager.is_one(one):
                alertmanager.post(one, action)

    @staticmethod
    def _tell(action: Notify, addresses: list[str]) -> None:
        """Deliver through apprise."""
        service = apprise.Apprise()
        logger = logging.getLogger("apprise")
        logger.disabled = True  # what it says of an address that is wrong has the address, with its tokens
        try:
            known = service.add(addresses)
        finally:
            logger.disabled = False
        if not known:
            raise PermanentError(f"receiver {action.receiver!r} has an address that is no apprise URL")
        severity = _SEVERITIES.get(action.severity, apprise.NotifyType.FAILURE)
        if not service.notify(body=action.body, title=action.title, notify_type=severity):
            raise TemporaryError(f"receiver {action.receiver!r} did not take the message", delay_s=2.0)
