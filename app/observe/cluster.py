"""The Kubernetes API as the observer asks it: a list, then what changes, with the version that it changed at.

lightkube makes the requests; following is ours, since lightkube's own asks for no bookmarks, waits for ever on a
connection that has died silently, and starts again at once however often a server ends. Objects stay plain JSON: a
bookmark has nulls that the models do not allow. It never writes.
"""

from collections.abc import AsyncGenerator
from typing import Any, Final, NamedTuple

import httpx2
import msgspec
from lightkube import KubeConfig, SingleConfig
from lightkube.config.client_adapter import Client as SyncClient
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.models import User
from lightkube.core.decoders import decode_watch_event
from lightkube.core.exceptions import ConfigError
from lightkube.core.generic_client import GenericAsyncClient
from lightkube.generic_resource import create_namespaced_resource

from app.settings import Settings

ANSWER_S: Final = 10.0
"""Longest wait for a connection and for an answer."""

WATCH_S: Final = 30
"""Seconds after which the API ends a watch, and it is asked for again: so long may a dead connection look alive."""

PAGE: Final = 500
"""Objects of one answer to a list."""

GONE: Final = 410

DEPLOYMENTS: Final = create_namespaced_resource("apps", "v1", "Deployment", "deployments")
STATEFUL_SETS: Final = create_namespaced_resource("apps", "v1", "StatefulSet", "statefulsets")
PODS: Final = create_namespaced_resource("", "v1", "Pod", "pods")

Object = dict[str, Any]


class ObserveError(Exception):
    """Nothing can be observed; the text is one sentence that says what to do."""


class GoneError(Exception):
    """The version is too old: list again."""


class BrokenError(Exception):
    """The API does not answer, or not as it should; the text says how. It may do better later."""


class Selection(NamedTuple):
    """What is asked for: a kind, a namespace, and a label selector in Kubernetes' words."""

    resource: Any
    namespace: str
    labels: str = ""

    def __str__(self) -> str:
        return f"{self.resource._api_info.plural} of {self.namespace}"  # noqa: SLF001 - lightkube has no other name


class Api:
    """One API server."""

    def __init__(self, settings: Settings) -> None:
        timeout = httpx2.Timeout(ANSWER_S)
        self._client: Any = GenericAsyncClient(ConnectionParams(timeout=timeout), connection(settings))
        self._watch_timeout = httpx2.Timeout(ANSWER_S, read=WATCH_S + ANSWER_S)

    @property
    def namespace(self) -> str:
        """The namespace of the kubeconfig's context, or our own."""
        return str(self._client.namespace)

    async def listed(self, what: Selection) -> tuple[list[Object], str]:
        """All that there are, and the version to go on from. Raises BrokenError, GoneError or ObserveError."""
        request = self._client.prepare_request(
            "list",
            res=what.resource,
            namespace=what.namespace,
            params={"labelSelector": what.labels or None, "limit": str(PAGE)},
        )
        try:
            pages = self._client.list(request)
            return [one async for one in pages], pages.resourceVersion
        except Exception as error:
            raise told(error, what) from error

    async def changes(self, what: Selection, version: str) -> AsyncGenerator[tuple[str, Object], None]:
        """Events from a version on, bookmarks among them, until the API ends it; first of all one without an object."""
        request = self._client.prepare_request(
            "list",
            res=what.resource,
            namespace=what.namespace,
            watch=True,
            params={
                "labelSelector": what.labels or None,
                "resourceVersion": version,
                "timeoutSeconds": str(WATCH_S),
                "allowWatchBookmarks": "true",
            },
        )
        request.timeout = self._watch_timeout
        try:
            answer = await self._client.send(self._client.build_adapter_request(request), stream=True)
            try:
                if not answer.is_success:
                    await answer.aread()
                self._client.raise_for_status(answer)
                yield "OPEN", {}
                async for line in answer.aiter_lines():
                    yield _event(line)
            finally:
                await answer.aclose()
        except GoneError:
            raise
        except Exception as error:
            raise told(error, what) from error

    async def close(self) -> None:
        """End all connections."""
        await self._client.close()


def reach(settings: Settings) -> str:
    """The version of the API, for `headrace doctor`; ObserveError if it does not answer, or not to us."""
    timeout = httpx2.Timeout(ANSWER_S)
    try:
        with SyncClient(connection(settings), ConnectionParams(timeout=timeout)) as api:
            answer = api.get("version")
            answer.raise_for_status()
            return str(answer.json()["gitVersion"])
    except (httpx2.HTTPError, ConfigError, OSError, KeyError, ValueError, TypeError) as error:
        why = str(error) or type(error).__name__
        raise ObserveError(f"the Kubernetes API of {settings.kube_config} does not serve ({why})") from error


def connection(settings: Settings) -> SingleConfig:
    """Where the API is and who asks, from a kubeconfig file or the pod's service account; ObserveError if neither."""
    file = settings.kube_config
    try:
        known = KubeConfig.from_file(file) if file else KubeConfig.from_service_account()
        one = known.get(settings.kube_context or None)
    except Exception as error:  # YAML's own words would have some of the file
        if file is None:
            raise ObserveError(
                "no Kubernetes API is known; set HEADRACE_KUBE_CONFIG to a kubeconfig file, or run in the cluster"
            ) from error
        why = error if isinstance(error, ConfigError | OSError) else f"it is no kubeconfig ({type(error).__name__})"
        raise ObserveError(f"{file} cannot be used: {why}; check HEADRACE_KUBE_CONFIG and _CONTEXT") from error
    assert one is not None
    return one._replace(user=one.user or User())


def told(error: Exception, what: Selection) -> Exception:
    """What an error of lightkube means: list again, try again, or give up with a sentence."""
    answered = error if isinstance(error, httpx2.HTTPStatusError) else error.__context__
    if isinstance(answered, httpx2.HTTPStatusError):  # lightkube looks for a Status in it, come what may
        return _refused(answered, what)
    if isinstance(error, httpx2.RequestError):
        return BrokenError(f"it cannot be reached: {error or type(error).__name__}")
    if isinstance(error, ConfigError | OSError):
        return BrokenError(f"no token can be had: {error}")
    if isinstance(error, msgspec.MsgspecError | KeyError | ValueError | TypeError | AttributeError):
        return BrokenError(f"what answers is no Kubernetes API ({type(error).__name__})")
    return error


def _refused(error: httpx2.HTTPStatusError, what: Selection) -> Exception:
    status = error.response.status_code
    if status == GONE:
        return GoneError()
    if status in {401, 403, 404}:
        said = f": {error}" if status == httpx2.codes.FORBIDDEN else ""
        return ObserveError(f"the Kubernetes API refuses the {what} ({status}){said}; see docs/operations.md")
    return BrokenError(f"it answers {status}")


def _event(line: str) -> tuple[str, Object]:
    event = decode_watch_event(line.encode())
    found: Object = msgspec.json.decode(event.object)
    if event.type == "ERROR":
        if found.get("code") == GONE:
            raise GoneError
        raise BrokenError(f"it ends the watch: {found.get('message')}")
    return event.type, found
