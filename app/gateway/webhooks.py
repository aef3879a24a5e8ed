"""`POST /webhooks/github`: a signed push becomes a build, answered when it is safe.

Order: signature → JSON → RabbitMQ's confirm, or the disk → 202. Nothing is parsed before its
signature was found right, and nothing is promised that could be lost. A repeated delivery has the
same id, so that the workers' ledger makes one build of it.
"""

from collections.abc import Callable
from time import time_ns

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app import metrics
from app.gateway.bodies import Bodies
from app.gateway.github import Ignored, MalformedError, build_of, payload, signed
from app.gateway.jobs import Jobs
from app.gateway.spool import SpoolError
from tasks.contract import Build

log = structlog.get_logger()

Taken = Callable[[Build], None]
"""Who is told of each build that was taken: the incident page."""


class Webhooks:
    """The endpoint; `jobs` is None where no RabbitMQ is set."""

    def __init__(self, secrets: str, jobs: Jobs | None, bodies: Bodies, taken: Taken) -> None:
        self._secrets = [one.strip() for one in secrets.split(",") if one.strip()]
        self._jobs = jobs
        self._bodies = bodies
        self._taken = taken

    @property
    def route(self) -> Route:
        """Where it is."""
        return Route("/webhooks/github", self.github, methods=["POST"])

    async def github(self, request: Request) -> JSONResponse:
        """Answer one webhook; its log line says what came of it, never its body."""
        headers = {}
        try:
            status, answer = await self._answer(request)
        except HTTPException as error:
            status, answer, headers = error.status_code, {"error": error.detail}, dict(error.headers or {})
        if status == 503:
            headers["Retry-After"] = "30"
        metrics.RECEIVED.labels("github", status).inc()
        delivery = request.headers.get("x-github-delivery", "")[:100]
        (log.info if status < 400 else log.warning)("webhook", delivery=delivery, status=status, **answer)
        return JSONResponse(answer, status, headers)

    async def _answer(self, request: Request) -> tuple[int, dict[str, str]]:
        if not self._secrets:
            return 403, {"error": "no secret is set for GitHub; set HEADRACE_GITHUB_SECRETS"}
        body = await self._bodies.read(request)
        if not signed(self._secrets, body, request.headers.get("x-hub-signature-256", "")):
            return 401, {"error": "X-Hub-Signature-256 is missing, or not of this body and a secret that is set"}
        try:
            return await self._take(request, body)
        except MalformedError as error:
            return 400, {"error": str(error)}
        except SpoolError as error:
            return 503, {"error": f"the build is nowhere safe: {error}"}

    async def _take(self, request: Request, body: bytes) -> tuple[int, dict[str, str]]:
        raw = payload(body, request.headers.get("content-type", ""))
        event, delivery = request.headers.get("x-github-event", ""), request.headers.get("x-github-delivery", "")
        build = build_of(event, delivery, raw, time_ns() // 1_000_000)
        if isinstance(build, Ignored):
            return 200, {"ignored": build.why}
        if self._jobs is None:
            return 503, {"error": "no RabbitMQ is set, so nothing is built; set HEADRACE_RABBITMQ_URL"}
        where = await self._jobs.accept(build)
        self._taken(build)
        return 202, {"id": build.id, "state": where.value}
