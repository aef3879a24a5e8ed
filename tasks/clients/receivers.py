"""Receivers of notifications, by name, through apprise: chat, mail, pagers, HTTP.

A receiver is one or more apprise URLs in the targets file; the name is all that is ever on a
topic or a queue.

    [receivers]
    team = "slack://token-a/token-b/token-c"
    oncall = ["mailto://user:password@example.org", "json://hooks.example.org/headrace"]
"""

from pathlib import Path

import apprise
import msgspec

from tasks.contract import Notify
from tasks.errors import PermanentError, TemporaryError

_SEVERITIES = {"info": apprise.NotifyType.INFO, "warning": apprise.NotifyType.WARNING}


class _File(msgspec.Struct):
    receivers: dict[str, str | list[str]] = {}


class AppriseReceivers:
    """The receivers of a file; read when the first notification comes."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: dict[str, list[str]] | None = None

    def tell(self, action: Notify) -> None:
        """Deliver through every URL of the receiver; TemporaryError if one does not take it."""
        urls = self._urls(action.receiver)
        service = apprise.Apprise()
        if not service.add(urls):
            raise PermanentError(f"receiver {action.receiver!r} has an address that is no apprise URL")
        severity = _SEVERITIES.get(action.severity, apprise.NotifyType.FAILURE)
        if not service.notify(body=action.body, title=action.title, notify_type=severity):
            raise TemporaryError(f"receiver {action.receiver!r} did not take the message", delay_s=5.0)

    def _urls(self, name: str) -> list[str]:
        if self._known is None:
            self._known = self._read()
        if name not in self._known:
            where = self._file or "HEADRACE_TARGETS_FILE, which is not set"
            raise PermanentError(f"there is no receiver {name!r} in {where}")
        return self._known[name]

    def _read(self) -> dict[str, list[str]]:
        if self._file is None:
            return {}
        try:
            table = msgspec.toml.decode(self._file.read_bytes(), type=_File).receivers
        except (OSError, ValueError) as error:  # whoever edits the file is given the time to mend it
            raise TemporaryError(f"the targets file {self._file} cannot be read: {error}", delay_s=5.0) from error
        return {name: [urls] if isinstance(urls, str) else urls for name, urls in table.items()}
