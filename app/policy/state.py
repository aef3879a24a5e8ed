"""What the engine remembers of one journal partition. Plain data, one packed value.

Made by `empty`, advanced by `app.policy.step`, kept by the auto-scaler as its table's value and
by every reader of history. The next journal offset is inside, so that state and position cannot
part.
"""

import heapq
from sys import intern

import msgspec

from app.policy.autoscale import Past
from app.policy.deployed import Recent, Release, Undone, Watch
from app.policy.facts import Direction, InstanceSeen, PolicyDocument
from app.policy.windows import Window

RETRY_MS = 15_000
"""Milliseconds after a scaling that failed before the next in its direction: Kubernetes' own period."""

FORGET_MS = 86_400_000
"""Milliseconds without any word of a service after which it is forgotten: names come and go."""

RELEASE_MS = 30 * FORGET_MS
"""The same for a service that was deployed: the next deploy is to know what it replaces."""

VERSION = 5
"""Version of the state's layout. Another one is not read: a state is made again from the journal."""

SERIES_LIMIT = 1000
"""Most series kept for one service; more are refused, counted and said."""

SPARE = 50
"""Reminders that are kept beyond two for each service, until those that sooner ones overtook are dropped."""

ALONE_MS = 1000
"""By time alone a service is looked at once a second at most, however often its policies ask for it: else each fact
about one service would have all others of its partition looked at."""

TURNS = 20
"""Most moments kept at which a service's scaling turned from up to down or back."""


class Series(msgspec.Struct, array_like=True, gc=False):
    """The newest sample of one series of a service, by its own time; and a window, if an alert asks for one."""

    name: str
    at_ms: int
    value: float
    window: Window | None = None


class Observed(msgspec.Struct, array_like=True):
    """How many replicas are wanted, when somebody said so last, and the newest generation known to be applied.

    `running` is how many there are (-1: as many as wanted), `instances` are one by one (None: nobody says).
    """

    replicas: int
    at_ms: int
    generation: int
    running: int = -1
    instances: list[InstanceSeen] | None = None


class Pending(msgspec.Struct, array_like=True, gc=False):
    """A scaling that was decided and whose outcome is not known, or that failed a moment ago.

    Until `until_ms` no other in its direction is decided.
    """

    id: str
    up: bool
    to: int
    until_ms: int
    failed: bool = False


class Speed(msgspec.Struct, array_like=True, gc=False):
    """What a busy worker was measured to do a second (0: nothing yet), and since when much waits (-1: it does not)."""

    value: float = 0.0
    busy_ms: int = -1


class Memory(msgspec.Struct, array_like=True):
    """What one policy remembers of one service.

    `known_ms` is when it first heard of it, `past` is what the arithmetic keeps; `wish` is what it
    wanted last (-1: unknown), `wished_since_ms` since when in the direction `wished_up`; `reason` is
    what was said last; `scaled_up_ms` and `scaled_down_ms` are when it scaled last, `missing_ms` is since
    when its metrics cannot be asked (-1: they can); `speeds` are of workers, by metric; `alone` is whether it was
    looked at last by time alone.
    """

    known_ms: int = -1
    past: Past = msgspec.field(default_factory=Past)
    looked_at_ms: int = -1
    wish: int = -1
    wished_up: bool = False
    wished_since_ms: int = -1
    reason: str = ""
    scaled_up_ms: int = -1
    scaled_down_ms: int = -1
    missing_ms: int = -1
    speeds: dict[str, Speed] = {}
    alone: bool = False


class AlertMemory(msgspec.Struct, array_like=True, gc=False):
    """What one alert remembers of one service. `since_ms` is since when it is so (-1: it is not).

    `true_ms` is when it was so last, `fired` whether it was said to fire since it began, `reason` what was
    said last and `decision` by which decision, `unknown` whether its expression could not be said, `first_ms`
    when it was asked first, `heard` whether it could ever be said, `alone` whether it was asked last by time alone.
    """

    since_ms: int = -1
    true_ms: int = -1
    firing: bool = False
    unknown: bool = False
    looked_at_ms: int = -1
    fired: bool = False
    reason: str = ""
    first_ms: int = -1
    heard: bool = False
    decision: str = ""
    alone: bool = False


class Group(msgspec.Struct, array_like=True):
    """Alerts of one service that people are told of together; kept by the way that they go.

    `due_ms` is when they may be told next (0: at every look), `told_ms` when they were last (-1: not yet).
    `told` are those that were told as firing, each with since when; `refused` what was said of those that
    are not told.
    """

    due_ms: int = 0
    told_ms: int = -1
    told: dict[str, int] = {}
    refused: dict[str, str] = {}


class Service(msgspec.Struct, array_like=True):
    """What is remembered of one service; series by name and labels, releases by environment.

    `source` and `source_offset` are where its newest sample came from (topic/partition, and its offset), `heard_ms`
    when the last fact about it came. `events` are the newest events by their ids, each with its decision.
    `turns` are the moments at which its scaling turned from up to down or back, `rose` whether it went
    up last (None: it never was scaled). Before `calm_ms` a sample has no policy asked.
    """

    series: dict[str, Series] = {}
    observed: Observed | None = None
    generation: int = 0
    pending: Pending | None = None
    memories: dict[str, Memory] = {}
    due_ms: int = 0
    source: str = ""
    series_refused: int = 0
    series_told: bool = False
    heard_ms: int = 0
    releases: dict[str, Release] = {}
    events: dict[str, str] = {}
    recent: list[Recent] = []
    alerts: dict[str, AlertMemory] = {}
    turns: list[int] = []
    rose: bool | None = None
    groups: dict[str, Group] = {}
    watches: dict[str, Watch] = {}
    undone: Undone | None = None
    calm_ms: int = 0
    source_offset: int = 0

    @property
    def newest(self) -> str:
        """Where its newest sample came from: topic/partition/offset; empty if there is none."""
        return self.source and f"{self.source}/{self.source_offset}"


class Pause(msgspec.Struct, array_like=True):
    """Somebody paused scaling, or silenced alerts; `until_ms` 0 is until it is taken back.

    `direction` is the one that is paused: up, down or both.
    """

    author: str
    reason: str
    until_ms: int
    direction: Direction = Direction.BOTH


class State(msgspec.Struct):
    """The state of one journal partition. `marks` are (offset, item) of the newest fact of each source partition.

    `pauses` are by service and direction, `silences` by service and alert; `events` and `recent` are of changes to
    all services, as in `Service`.
    """

    partition: int
    next_offset: int = 0
    now_ms: int = 0
    read_until_ms: int = 0
    journal_id: str = ""
    partitions: int = 0
    fingerprint: str = ""
    policies: list[PolicyDocument] = []
    marks: dict[str, tuple[int, int]] = {}
    services: dict[str, Service] = {}
    pauses: dict[str, Pause] = {}
    silences: dict[str, Pause] = {}
    timers: list[tuple[int, str]] = []
    events: dict[str, str] = {}
    recent: list[Recent] = []
    samples: int = 0
    late: int = 0
    version: int = VERSION


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(State)


def empty(partition: int) -> State:
    """The state before the first fact of a journal partition."""
    return State(partition)


def pack(state: State) -> bytes:
    """The state as bytes, equal for equal histories."""
    return _encode(state)


def unpack(raw: bytes) -> State:
    """The state in `raw`; raises `msgspec.DecodeError` if it is none, or of another version."""
    state = _decoder.decode(raw)
    if state.version != VERSION:
        raise msgspec.DecodeError(
            f"this is a state of version {state.version} and not {VERSION}; make it again from the journal"
        )
    _share(state)
    return state


def _share(state: State) -> None:
    """Have series share what is the same in all of them, as they did when they were folded: a tenth of their memory."""
    widths: dict[int, int] = {}
    for service in state.services.values():
        for one in service.series.values():
            one.name = intern(one.name)
            if one.window is not None:
                one.window.width_ms = widths.setdefault(one.window.width_ms, one.window.width_ms)


def may_look(memory: Memory | AlertMemory, every_ms: int, now_ms: int, *, alone: bool) -> bool:
    """Whether a policy may be asked again; if so it is, and remembers that it was.

    `alone`: by time alone, and not since a fact touched the service.
    """
    if now_ms < (memory.looked_at_ms + every_ms if alone else ready_ms(memory, every_ms)):
        return False
    memory.looked_at_ms, memory.alone = now_ms, alone
    return True


def ready_ms(memory: Memory | AlertMemory, every_ms: int) -> int:
    """From when on a fact has a policy asked: after its `every`; but where that is a second or less and it was asked
    last by time alone, at once, or most facts would wait for half of it.
    """
    at_once = memory.alone and every_ms <= ALONE_MS
    return memory.looked_at_ms + (min(every_ms, 1) if at_once else every_ms)


def remind(state: State, name: str, service: Service, due_ms: int) -> None:
    """Have a service looked at when the journal's time reaches `due_ms`, if not before."""
    if service.due_ms == 0 or due_ms < service.due_ms:
        service.due_ms = due_ms
        heapq.heappush(state.timers, (due_ms, name))
        if len(state.timers) > 2 * len(state.services) + SPARE:  # most are overtaken by sooner ones
            state.timers = sorted((one.due_ms, key) for key, one in state.services.items() if one.due_ms)


def due(state: State) -> list[str]:
    """Services whose time has come; their reminders are taken off."""
    names = []
    while state.timers and state.timers[0][0] <= state.now_ms:
        due_ms, name = heapq.heappop(state.timers)
        service = state.services.get(name)
        if service is not None and service.due_ms == due_ms:
            service.due_ms = 0
            names.append(name)
    return names
