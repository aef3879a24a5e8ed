"""What can happen to workers, brokers and the network between them: a function each, on a `Scene`.

Each returns when the fault is over: what was killed runs again, what was frozen goes on. Nothing
here looks at what came of it.
"""

import signal
from collections.abc import Callable
from contextlib import ExitStack

from app.stream.topics import CHANGELOG, DECISIONS, JOURNAL
from tests.chaos.scene import Scene
from tests.faults import Proxy
from tests.processes import wait_for

SESSION_S = 6.0
FREEZE_S = 20.0
MOST = 3
"""Workers at a time."""

NAMED = ("a", "b")
MOVED = (JOURNAL, DECISIONS, CHANGELOG, "calls_by_service", "__consumer_offsets")
"""Topics whose leaders are moved."""

Fault = Callable[[Scene], None]


def some(times: int, fault: Fault) -> Fault:
    """A fault several times, a moment after each other."""

    def faults(scene: Scene) -> None:
        for time in range(times):
            scene.let(scene.dice.uniform(0.5, 4.0) if time else 0)
            fault(scene)

    return faults


def killed(scene: Scene) -> None:
    """A worker is killed; it is back at once, or when the others have its partitions."""
    name = scene.dice.choice(NAMED)
    scene.fleet.kill(name)
    if scene.dice.random() < 0.5:
        scene.let(SESSION_S + 2)
    scene.fleet.start(name, named=True)


def killed_at(*points: str, most: int = 40) -> Fault:
    """A worker for each point joins, and kills itself at its n-th passing of it; n is at most `most`."""

    def fault(scene: Scene) -> None:
        _make_room(scene, len(points))
        armed = [scene.fleet.armed(scene.fresh_name(), point, scene.dice.randint(1, most)) for point in points]
        for one in armed:
            wait_for(lambda one=one: scene.let(0.2) or not one.alive, 120, f"workers to pass {points}")
            assert one.code == -signal.SIGKILL, one.text[-2000:]

    return fault


def frozen_for(seconds: float) -> Fault:
    """A worker stands still until it is replaced, and wakes up: it still thinks that its partitions are its own."""

    def fault(scene: Scene) -> None:
        victim = scene.fleet.running[scene.dice.choice(list(scene.fleet.running))]
        victim.signal(signal.SIGSTOP)
        scene.let(seconds)
        victim.signal(signal.SIGCONT)
        scene.let(1.0)

    return fault


def joined(scene: Scene) -> None:
    """One worker more."""
    _make_room(scene, 1)
    scene.fleet.start(scene.fresh_name())


def left(scene: Scene) -> None:
    """A worker is asked to end, and does."""
    guests = [name for name in scene.fleet.running if name.startswith("guest")]
    if not guests:
        scene.fleet.start(scene.fresh_name())
        scene.recover()
        guests = [name for name in scene.fleet.running if name.startswith("guest")]
    code = scene.fleet.stop(scene.dice.choice(guests))
    assert code == 0, f"a worker that was asked to end did so with {code}"


def broker_killed(scene: Scene) -> None:
    """A broker is killed and comes back after a while."""
    _kill_node(scene, scene.dice.choice(list(scene.cluster.nodes)))


def controller_killed(scene: Scene) -> None:
    """The broker that is the controller is killed and comes back."""
    _kill_node(scene, scene.cluster.controller())


def broker_killed_at_start(scene: Scene) -> None:
    """A broker dies while a worker starts."""
    _make_room(scene, 1)
    scene.fleet.start(scene.fresh_name())
    scene.let(scene.dice.uniform(1.0, 4.0))
    _kill_node(scene, scene.cluster.leader(scene.dice.choice(MOVED)))


def brokers_restarted(scene: Scene) -> None:
    """All brokers, one after the other, as an upgrade does it."""
    for node in scene.cluster.nodes.values():
        node.stop()
        scene.let(1.0)
        node.start()
        scene.cluster.whole()


def broker_frozen(scene: Scene) -> None:
    """A broker accepts connections and answers nothing for 20 s."""
    node = scene.cluster.nodes[scene.cluster.leader(JOURNAL, scene.dice.randrange(scene.settings.partitions))]
    node.freeze()
    scene.let(FREEZE_S)
    node.thaw()
    scene.cluster.whole()


def leader_moved(scene: Scene) -> None:
    """All partitions of a topic get another leader."""
    scene.cluster.move_leaders(scene.dice.choice(MOVED))


def network(what: str) -> Fault:
    """A worker whose network is slow, whose connections break, or whose network is split for twice the session."""

    def fault(scene: Scene) -> None:
        _make_room(scene, 1)
        with ExitStack() as stack:
            nodes = scene.cluster.nodes.values()
            proxies = [stack.enter_context(Proxy(one.ports["proxied"], one.ports["proxy"])) for one in nodes]
            name = scene.fresh_name()
            scene.fleet.start(name, HEADRACE_KAFKA_URL=f"kafka://{scene.cluster.proxied}")
            scene.recover()
            _trouble(scene, proxies, what)
            scene.fleet.kill(name) if scene.dice.random() < 0.5 else scene.fleet.stop(name)

    return fault


def _trouble(scene: Scene, proxies: list[Proxy], what: str) -> None:
    if what == "slow":
        for one in proxies:
            one.delay(0.15)
        scene.let(10.0)
    elif what == "cut":
        for _ in range(5):
            for one in proxies:
                one.cut()
            scene.let(1.0)
    else:
        for one in proxies:
            one.hole()
        scene.let(2 * SESSION_S)
    for one in proxies:
        one.heal()
    scene.let(2.0)


def same_name(scene: Scene) -> None:
    """A second worker is started under the name of one that runs, and one of the two goes away later."""
    _make_room(scene, 1)
    name = scene.dice.choice(NAMED)
    second = scene.fresh_name()
    scene.fleet.start(second, HEADRACE_INSTANCE=name)
    scene.let(15.0)
    scene.fleet.kill(second)
    scene.let(1.0)


def transaction(end: str) -> Fault:
    """Samples in a transaction that is aborted, committed, or left to Kafka to abort."""

    def fault(scene: Scene) -> None:
        scene.traffic.transaction(end)

    return fault


def _kill_node(scene: Scene, number: int) -> None:
    node = scene.cluster.nodes[number]
    node.kill()
    scene.let(scene.dice.uniform(2.0, 6.0))
    node.start()
    scene.cluster.whole()


def _make_room(scene: Scene, count: int) -> None:
    """End guests, so that there are not more workers than the machine can bear."""
    guests = [name for name in scene.fleet.running if name.startswith("guest")]
    while len(scene.fleet.running) + count > MOST + 1 and guests:
        scene.fleet.stop(guests.pop())
