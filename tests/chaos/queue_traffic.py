"""What is decided while things break, written to the decisions topic at a steady rate, and the law it is held to.

Most scalings have a service of their own, so that each must take effect, once; some share one, so that order counts;
some are rollbacks, some notifications, which are told at least once. `Ledgers` reads the outcomes, the effects at the
simulated fleet and the ledger, and has `app.history.audit` judge them.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import pairwise

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition
from redis import Redis, RedisError

from app.history.audit import Audit
from app.local.receiver import Receiver
from app.policy import decision as decisions
from app.policy.decision import Decision, Reason
from app.settings import Settings
from app.stream import client
from app.stream.topics import DECISIONS, OUTCOMES
from tasks.contract import Notify, Outcome, RollBack, Scale, Status, action_key, fleet_key
from tests.chaos.sender import TICK_S, Sender
from tests.processes import wait_for

SHARED = 20
HOUR_MS = 3_600_000


class Decider(Sender):
    """A thread that decides; `known` is what Kafka has acknowledged."""

    def __init__(self, settings: Settings, rate: float, seed: int) -> None:
        super().__init__(settings, seed)
        self.rate = rate
        self.known: dict[str, Decision] = {}
        self.newer = False
        """Whether every second scaling has a field that only `tests.odd newer` knows."""
        self._noted: set[str] = set()
        config = {"acks": "all", "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 600_000}
        self._producer = Producer(settings.librdkafka(log_level=0) | config)

    def producers(self):
        return [self._producer]

    def tick(self):
        for _ in range(int(self.rate * TICK_S + self.dice.random())):
            self._write(self._decision(self.dice.random()))

    def so_far(self) -> dict[str, Decision]:
        with self._lock:
            return dict(self.known)

    def again(self, count: int) -> None:
        """Write decisions of before once more, as a restarted auto-scaler may: some of the newest, in any order."""
        known = [one for one in list(self.so_far().values())[-5 * count :] if one.id not in self._noted]
        for one in self.dice.sample(known, min(count, len(known))):
            self._write(one)

    def disorder(self, count: int) -> None:
        """Decide scalings of a service and write them in any order, each twice."""
        service = f"mixed{self.number}"
        made = 2 * [self._decision(0.0, service) for _ in range(count)]
        self.dice.shuffle(made)
        for one in made:
            self._write(one)

    def one(self) -> str:
        """Decide a scaling of a service of its own, now; its id."""
        self._write(one := self._decision(0.0))
        return one.id

    def _decision(self, share: float, service: str = "") -> Decision:
        with self._lock:
            self.number += 1
            number, now = self.number, int(time.time() * 1000)
        id_ = f"c-{number % self.settings.partitions}-{number}-0"
        times = {"id": id_, "decided_at_ms": now, "expires_at_ms": now + HOUR_MS}
        service = service or (f"s{number}" if share < 0.9 else f"shared{number % SHARED}")
        if share < 0.8 or 0.9 <= share < 0.95:
            up = share < 0.8 or number % 2 == 0
            to = 2 + number % 7 if up else 1 + number % 3
            action = Scale(service=service, from_replicas=1 if up else 9, to_replicas=to, generation=number, **times)
        elif share < 0.9:
            action = RollBack(
                service=service, environment="prod", from_version="2", to_version="1", generation=number, **times
            )
        else:
            action = Notify(service=service, receiver="team", title="t", body=f"says {id_}.", **times)
        return Decision(
            id=id_, at_ms=now, service=action.service, policy="p", fingerprint="f", reason=Reason.ROUTED,
            evidence={}, action=action,
        )  # fmt: skip

    def _write(self, one: Decision) -> None:
        def told(error, _) -> None:
            if error is not None:
                self.refused.append(str(error))
                return
            with self._lock:
                self.known.setdefault(one.id, one)

        partition, raw = int(one.id.split("-")[1]), decisions.encode(one)
        if self.newer and isinstance(one.action, Scale) and one.action.generation % 2:
            self._noted.add(one.id)
        if one.id in self._noted:
            raw = raw.replace(b'"to_replicas":', b'"note":"new","to_replicas":')
        self._producer.produce(DECISIONS, raw, partition=partition, on_delivery=told)


@dataclass
class Counts:
    """What a count found. All but `repeats`, deliveries that found their action done, and `told_again` must be zero."""

    lost: int = 0
    doubled: int = 0
    other: int = 0
    repeats: int = 0
    told_again: int = 0

    @property
    def wrong(self) -> int:
        return self.lost + self.doubled + self.other

    def since(self, before: "Counts") -> "Counts":
        return Counts(*(getattr(self, one.name) - getattr(before, one.name) for one in fields(self)))

    def add(self, more: "Counts") -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(more, one.name))


class Ledgers:
    """What became of the actions, by everybody who should know."""

    def __init__(self, settings: Settings, told: Iterable[str]) -> None:
        """`told` are the bodies that a receiver has got, as they come."""
        self.settings, self.told = settings, told
        self.redis = Redis.from_url(settings.redis_url, decode_responses=True, socket_timeout=5)
        self._raw = Redis.from_url(settings.redis_url, socket_timeout=5)
        self._consumer = Consumer(
            settings.librdkafka(log_level=0) | {"group.id": "the-auditor", "enable.auto.commit": False}
        )
        count = client.partitions_of(settings, OUTCOMES)
        self._consumer.assign([TopicPartition(OUTCOMES, p, 0) for p in range(count)])
        self.outcomes: list[Outcome] = []
        self.ids: set[str] = set()
        self._at_ms: list[int] = []
        self.disordered: list[str] = []
        """Effects on one service that are not in the order of their generations."""
        self.said: Counter[Status] = Counter()

    def close(self) -> None:
        self._consumer.close()

    def read(self) -> None:
        """Take the outcomes that come within a moment."""
        for message in self._consumer.consume(2000, 0.1):
            if message.error() is None:
                outcome = msgspec.json.decode(message.value(), type=Outcome)
                self.outcomes.append(outcome)
                self.ids.add(outcome.id)
                self._at_ms.append(message.timestamp()[1])

    def longest_pause_s(self, from_ms: float, to_ms: float) -> float:
        """The longest time between two moments without any outcome, by Kafka's clock."""
        ended = sorted(at_ms for at_ms in self._at_ms if from_ms <= at_ms <= to_ms)
        return max(after - before for before, after in pairwise([from_ms, *ended, to_ms])) / 1000

    def count(self, known: dict[str, Decision]) -> tuple[Counts, list[str]]:
        """Hold everything so far to the law; the numbers and what is wrong."""
        audit = Audit(0, 2**62, int(time.time() * 1000) + 2 * HOUR_MS)
        for one in known.values():
            audit.decided(one)
        for outcome in self.outcomes:
            audit.ended(outcome)
        effects = wait_for(lambda: self._remembered(audit), 60, "Redis to be asked")
        undone = [
            f"{key} ended as {audit.outcomes[key].status} ({audit.outcomes[key].detail}) with {effects[key]} effects"
            for key, one in known.items()
            if not isinstance(one.action, Notify)
            and not one.service.startswith(("shared", "mixed"))
            and key in audit.outcomes
            and (audit.outcomes[key].status is not Status.DONE or effects[key] == 0)
        ]
        bodies = Counter(body.split("says ")[1].split(".")[0] for body in self.told)
        untold = [
            f"{key} is told as done and was not"
            for key, one in known.items()
            if isinstance(one.action, Notify) and not bodies[key]
        ]
        self.said = Counter(one.status for one in audit.outcomes.values())
        found = Counts(
            lost=len(audit.missing) + len(untold),
            doubled=sum(count > 1 for count in effects.values()),
            other=len(undone) + len(audit.contradictions) + len(audit.without_effect) + len(self.disordered),
            repeats=audit.repeated_outcomes,
            told_again=sum(count - 1 for count in bodies.values()),
        )
        return found, [*audit.wrong(), *undone, *untold, *self.disordered]

    def _remembered(self, audit: Audit) -> Counter[str] | None:
        """The effects at the fleet; the audit gets them, and the ledger's word. None while Redis does not answer."""
        services = sorted({action.service for action in audit.actions.values()})
        ids = list(audit.actions)
        with suppress(RedisError):
            with self._raw.pipeline(transaction=False) as pipe:
                for service in services:
                    pipe.lrange(f"{fleet_key(service)}:log", 0, -1)
                for id_ in ids:
                    pipe.hget(action_key(id_), "outcome")
                answers = pipe.execute()
            logs = [[json.loads(entry) for entry in entries] for entries in answers[: len(services)]]
            effects = Counter(entry["id"] for log in logs for entry in log)
            self.disordered = [
                f"{after['id']} took effect after {before['id']}, which is newer"
                for before, after in (pair for log in logs for pair in pairwise(log))
                if after["generation"] < before["generation"]
            ]
            for id_, raw in zip(ids, answers[len(services) :], strict=True):
                audit.remembered(id_, msgspec.json.decode(raw, type=Outcome).status.value if raw else None)
            for id_ in effects.elements():
                audit.effect(id_)
            return effects
        return None


class Bodies:
    """The bodies that a receiver has got so far, as often as they are asked for."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def __iter__(self):
        return iter(self.receiver.bodies)
