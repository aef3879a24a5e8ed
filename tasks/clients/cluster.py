"""A Kubernetes API as the driver uses it: reading, patching, and what each answer means for an action.

lightkube does the talking. Objects stay plain JSON, so that nothing of a template is lost that a newer cluster
knows and lightkube's models do not. No token is in any error: a file that is wrong is told by its name and place.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx2
import msgspec
from lightkube import Client, KubeConfig, SingleConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import PatchType

from tasks.clients.retry_after import again, wait_s
from tasks.errors import PermanentError, TemporaryError
from tasks.workloads import PLURALS

MANAGER: Final = "headrace"
"""Field manager of everything that is written."""

LONGEST_S: Final = 5.0
"""Seconds for a connection, and for each wait on an answer: a healthy API server needs some milliseconds."""

PATIENCE_S: Final = 5.0
"""Seconds after which a file that is wrong is read again: whoever mends it is given the time."""

RESOURCES: Final[dict[str, Any]] = {
    kind: create_namespaced_resource("apps", "v1", kind, plural) for kind, plural in PLURALS.items()
}

_NO_API: Final = (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError)

Object = dict[str, Any]
T = TypeVar("T")


class StaleError(Exception):
    """409: the object was changed after it was read; read it again."""


class Cluster:
    """The cluster of a kubeconfig file, or the one that the worker runs in."""

    def __init__(self, file: Path | None, context: str = "", longest_s: float = LONGEST_S) -> None:
        self._file = file
        self._context = context
        self._longest_s = longest_s
        self._known: Client | None = None

    @property
    def namespace(self) -> str:
        """The namespace of what names none: that of the context, or the worker's own."""
        return str(self._client().namespace)

    def get(self, kind: str, namespace: str, name: str) -> Object:
        """One object. Raises PermanentError or TemporaryError, as everything here does."""
        return self._asked(lambda api: api.get(RESOURCES[kind], name, namespace=namespace))

    def labelled(self, kind: str, namespace: str, labels: dict[str, str]) -> list[Object]:
        """All objects with these labels."""
        return self._asked(lambda api: list(api.list(RESOURCES[kind], namespace=namespace, labels=dict(labels))))

    def scale(self, seen: Object, replicas: int) -> str:
        """Write the scale subresource, if the object is still as it was seen; the new resource version."""
        patch = {"metadata": {"resourceVersion": seen["metadata"]["resourceVersion"]}, "spec": {"replicas": replicas}}
        scale = self._patched(RESOURCES[seen["kind"]].Scale, seen, patch, PatchType.MERGE)
        return str(scale.metadata.resourceVersion)

    def annotate(self, seen: Object, version: str, annotations: dict[str, str]) -> None:
        """Write annotations, if the object is still of a resource version."""
        patch = {"metadata": {"resourceVersion": version, "annotations": annotations}}
        self._patched(RESOURCES[seen["kind"]], seen, patch, PatchType.MERGE)

    def edit(self, seen: Object, patch: list[Object]) -> None:
        """Write a JSON patch, if the object is still as it was seen."""
        # `replace` and not `test`: a test that fails is answered with 422, as a mistake would be
        version = {"op": "replace", "path": "/metadata/resourceVersion", "value": seen["metadata"]["resourceVersion"]}
        self._patched(RESOURCES[seen["kind"]], seen, [version, *patch], PatchType.JSON)

    def _patched(self, resource: Any, seen: Object, patch: Any, kind: PatchType) -> Any:
        name, namespace = seen["metadata"]["name"], seen["metadata"]["namespace"]
        return self._asked(lambda api: api.patch(resource, name, patch, namespace=namespace, patch_type=kind))

    def _asked(self, call: Callable[[Client], T]) -> T:
        api = self._client()
        try:
            return call(api)
        except httpx2.HTTPStatusError as error:
            if error.response.status_code == httpx2.codes.UNAUTHORIZED:
                self._known = None  # the file may have another token by now
            raise refusal(error.response) from None
        except httpx2.TimeoutException:
            raise TemporaryError(f"the Kubernetes API does not answer within {self._longest_s:g} s", 2.0) from None
        except httpx2.RequestError as error:
            why = str(error) or type(error).__name__
            raise TemporaryError(f"the Kubernetes API cannot be reached: {why}", 2.0) from None
        except (ConfigError, OSError) as error:  # a token's file, or the program that gives tokens
            raise TemporaryError(f"there is no token for the Kubernetes API: {error}", PATIENCE_S) from None
        except _NO_API as error:
            if isinstance(error.__context__, httpx2.HTTPStatusError):  # lightkube looks for a Status, come what may
                raise refusal(error.__context__.response) from None
            raise TemporaryError("what answers is no Kubernetes API", 2.0) from None

    def _client(self) -> Client:
        if self._known is None:
            timeout = httpx2.Timeout(self._longest_s)
            try:
                self._known = Client(self._config(), timeout=timeout, field_manager=MANAGER)
            except Exception as error:  # noqa: BLE001 - YAML, TLS and lightkube raise what they like at a file
                if self._file is None:
                    raise PermanentError(
                        "no Kubernetes API is known: set HEADRACE_KUBE_CONFIG to a kubeconfig file, "
                        "or run the workers in the cluster with a service account"
                    ) from None
                raise TemporaryError(f"{self._file} cannot be used: {_mistake(error)}", PATIENCE_S) from None
        return self._known

    def _config(self) -> SingleConfig:
        known = KubeConfig.from_file(self._file) if self._file else KubeConfig.from_service_account()
        one = known.get(self._context or None)
        assert one is not None
        return one._replace(user=one.user or User())  # lightkube asks for one, if only for nobody


def _mistake(error: Exception) -> str:
    """What is wrong with a file, without what stands there: a parser's own words have some of it."""
    if (mark := getattr(error, "problem_mark", None)) is not None:
        return f"it is no YAML at line {mark.line + 1}"
    if isinstance(error, KeyError):
        return f"it has no {error}"
    if isinstance(error, ConfigError | OSError | msgspec.ValidationError):
        return str(error)
    return "it is no kubeconfig"


def refusal(response: httpx2.Response) -> Exception:
    """What an answer that is not 2xx means for an action."""
    status, said = response.status_code, _said(response)
    if status == httpx2.codes.CONFLICT:
        return StaleError(said)
    if again(status):
        return TemporaryError(f"the Kubernetes API answers {status}: {said}", wait_s(_retry_after(response)))
    if status == httpx2.codes.UNAUTHORIZED:
        return PermanentError("the Kubernetes API does not know who asks (401): mend the token of the workers")
    if status == httpx2.codes.FORBIDDEN:
        return PermanentError(f"a right is missing (403): {said}")
    return PermanentError(f"the Kubernetes API refuses ({status}): {said}")


def _retry_after(response: httpx2.Response) -> str:
    return str(response.headers.get("retry-after", ""))


def _said(response: httpx2.Response) -> str:
    """The message of a Status, with its ends if it is long: the API repeats whole objects in the middle."""
    try:
        said = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        said = "without a reason"
    return said if len(said) <= 400 else f"{said[:60]} … {said[-320:]}"
