"""Marks on dashboards: Grafana's annotations API, https://grafana.com/docs/grafana/latest/developers/http_api/annotations/.

The action's id is a tag of its mark, so that a worker that does not know whether a mark was made can ask.
"""

from typing import Any, Final

import httpx2

from tasks.clients import credentials
from tasks.clients.retry_after import again, wait_s
from tasks.clients.targets import Dashboard, Targets
from tasks.contract import Annotate
from tasks.errors import PermanentError, TemporaryError

TIMEOUT_S: Final = 5.0
AROUND_MS: Final = 60_000
"""How far before and after its time a mark is looked for."""


class Dashboards:
    """The dashboards of the targets file."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def annotate(self, action: Annotate, *, again: bool) -> bool:
        """Make the mark, unless it was made; whether it was made now. `again`: it may have been made before."""
        if again and self.annotated(action):
            return False
        body = {"time": action.at_ms, "text": action.text, "tags": [*action.tags, action.id]}
        self._call(action, "POST", json=body)
        return True

    def annotated(self, action: Annotate) -> bool:
        """Whether the mark is there."""
        asked = {
            "tags": action.id,
            "from": max(0, action.at_ms - AROUND_MS),
            "to": action.at_ms + AROUND_MS,
            "limit": 1,
        }
        return bool(self._call(action, "GET", params=asked))

    def _call(self, action: Annotate, method: str, **more: Any) -> Any:
        dashboard = self._targets.dashboard(action.dashboard)
        url = f"{dashboard.url.rstrip('/')}/api/annotations"
        try:
            answer = httpx2.request(method, url, headers=_headers(dashboard), timeout=TIMEOUT_S, **more)
        except httpx2.InvalidURL:
            raise PermanentError(f"dashboard {action.dashboard!r} has an address that is none") from None
        except httpx2.HTTPError as error:
            why = str(error) or type(error).__name__
            raise TemporaryError(f"dashboard {action.dashboard!r} does not answer: {why}") from error
        if again(answer.status_code):
            asked_s = wait_s(answer.headers.get("retry-after", ""))
            raise TemporaryError(f"dashboard {action.dashboard!r} answers {answer.status_code}", delay_s=asked_s)
        if not answer.is_success:
            raise PermanentError(f"dashboard {action.dashboard!r} answers {answer.status_code}: {answer.text[:200]}")
        try:
            return answer.json() if method == "GET" else None
        except ValueError as error:
            raise PermanentError(f"dashboard {action.dashboard!r} answers no JSON") from error


def _headers(dashboard: Dashboard) -> dict[str, str]:
    if not dashboard.token_file and not dashboard.token_env:
        return {}
    found = credentials.words("token", dashboard.token_file, dashboard.token_env)
    if len(found) > 1:
        place = credentials.place_of(dashboard.token_file, dashboard.token_env)
        raise TemporaryError(f"the token's {place} has no token: it has {len(found)} words", credentials.PATIENCE_S)
    return {"Authorization": f"Bearer {found[0]}"}
