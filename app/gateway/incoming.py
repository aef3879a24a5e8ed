"""`POST /events`: deploys and changes from whoever has no Kafka at hand, written to the topic of events.

Plain JSON, CDEvents, CloudEvents (structured, a batch, or binary in `ce-` headers). An event is read
here exactly as the intake will read it, so that its sender hears of a mistake; 202 means that Kafka
has it. A batch is taken whole or not at all.
"""

import asyncio
import re
from time import time_ns
from typing import Any, Final

import msgspec
import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app import metrics
from app.gateway.bodies import Bodies
from app.policy.facts import Source
from app.settings import Settings
from app.wire.events import event
from app.wire.rules import LARGEST, Raw, Rules, UnreadableError

log = structlog.get_logger()

WITHIN_S: Final = 5.0
"""Longest wait for Kafka's acknowledgement; then the sender is told to come back."""
MOST: Final = 1000
"""Most events of a batch."""

_json = msgspec.json.Decoder()


class Incoming:
    """The endpoint; without a Kafka it says so."""

    def __init__(self, settings: Settings, bodies: Bodies) -> None:
        self._settings = settings
        self._topic = settings.event_topics.partition(",")[0].strip()
        self._bodies = bodies
        self._producer: Producer | None = None

    @property
    def route(self) -> Route:
        """Where it is."""
        return Route("/events", self.post, methods=["POST"])

    async def post(self, request: Request) -> JSONResponse:
        """Answer one request."""
        try:
            values = _values(await self._bodies.read(request, LARGEST), request)
            checked = [self._checked(value) for value in values]
            await asyncio.to_thread(self._send, checked)
        except HTTPException as error:
            metrics.RECEIVED.labels("events", error.status_code).inc()
            log.warning("events_refused", status=error.status_code, why=error.detail)
            headers = dict(error.headers or {}) | ({"Retry-After": "5"} if error.status_code == 503 else {})
            return JSONResponse({"error": error.detail}, error.status_code, headers)
        metrics.RECEIVED.labels("events", 202).inc()
        return JSONResponse({"taken": len(values)}, 202)

    def _checked(self, value: bytes) -> tuple[bytes, bytes]:
        """(service, record) of an event that the intake will take."""
        now_ms = time_ns() // 1_000_000
        rules = Rules(1, re.compile(self._settings.service_pattern), int(self._settings.future_s * 1000), now_ms)
        try:
            fact = event(Raw(self._topic, "", 0, 0, now_ms, None, value), Source(self._topic, "", 0, 0, 0), rules)
        except UnreadableError as why:
            raise HTTPException(422, str(why)) from None
        return fact.service.encode(), value

    def _send(self, records: list[tuple[bytes, bytes]]) -> None:
        """Return when Kafka has every record; raises HTTPException 503."""
        if not self._settings.kafka_url:
            raise HTTPException(503, "no Kafka is set, so nobody reads events; set HEADRACE_KAFKA_URL")
        if self._producer is None:
            ours = {"enable.idempotence": True, "delivery.timeout.ms": int(WITHIN_S * 1000), "log_level": 0}
            self._producer = Producer(self._settings.librdkafka(**ours))
        answers: list[KafkaError | None] = []
        try:
            for key, value in records:
                self._producer.produce(self._topic, value, key, on_delivery=lambda error, _: answers.append(error))
        except (KafkaException, BufferError) as error:
            self._producer = None  # one that refuses by a fatal error never takes a message again
            raise HTTPException(503, f"Kafka does not take the event: {error}") from error
        self._producer.flush(WITHIN_S + 1)
        refused = next((error for error in answers if error is not None), None)
        if refused is not None or len(answers) < len(records):
            why = refused.str() if refused is not None else "it does not answer"
            raise HTTPException(503, f"Kafka does not take the event: {why}")


def _values(body: bytes, request: Request) -> list[bytes]:
    """The records in a request: CloudEvents keep their envelope, and one in headers gets it back."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if "ce-specversion" in request.headers:
        names = {name[3:]: value for name, value in request.headers.items() if name.startswith("ce-")}
        return [msgspec.json.encode(names | {"data": _decoded(body)})]
    if kind != "application/cloudevents-batch+json":
        return [body]
    batch = _decoded(body)
    if not isinstance(batch, list) or not 0 < len(batch) <= MOST:
        raise HTTPException(422, f"a batch must be an array of 1 to {MOST} CloudEvents")
    return [msgspec.json.encode(one) for one in batch]


def _decoded(body: bytes) -> Any:
    try:
        return _json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(422, f"the body is not JSON: {error}") from error
