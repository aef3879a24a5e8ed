"""What can happen between a decision and its outcome: a function each, on a `Scene` of the queue.

Each returns when the fault is over: what was killed runs again, what was frozen goes on. Nothing here looks at what
came of it.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.chaos.queue_points import WORKER
from tests.chaos.queue_scene import LEASE_S, ROUTER, Scene, moment
from tests.processes import wait_for

Fault = Callable[[Scene], None]


def some(times: int, fault: Fault) -> Fault:
    """A fault several times, a moment after each other."""

    def faults(scene: Scene) -> None:
        for time in range(times):
            moment(scene, 0.2, 1.0 if time else 0.3)
            fault(scene)

    return faults


def worker_killed(scene: Scene) -> None:
    """A worker is killed, with whatever its two processes do, and is back at once."""
    name = scene.dice.choice(scene.crew.workers)
    scene.crew.running[name].kill()
    scene.crew.start(name)
    scene.let(1.0)


def child_killed(scene: Scene) -> None:
    """One of a worker's processes is killed, as by a kernel that is out of memory."""
    pid = scene.crew.running[scene.dice.choice(scene.crew.workers)].pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    if children:
        os.kill(int(scene.dice.choice(children)), signal.SIGKILL)
    scene.let(0.5)


def killed_at(*points: str, most: int = 6) -> Fault:
    """A worker for each point joins, and is killed at its n-th passing of it; n is at most `most`."""

    def fault(scene: Scene) -> None:
        armed = [scene.crew.armed(point, scene.dice.randint(1, most)) for point in points]
        for one in armed:
            wait_for(lambda one=one: scene.let(0.2) or not one.alive, 120, f"workers to pass {points}")
            assert one.code == -signal.SIGKILL, one.text[-2000:]

    return fault


def worker_frozen(seconds: float) -> Fault:
    """A worker stands still, longer than its lease, and wakes up."""

    def fault(scene: Scene) -> None:
        victim = scene.crew.running[scene.dice.choice(scene.crew.workers)]
        victim.signal(signal.SIGSTOP)
        scene.let(seconds)
        victim.signal(signal.SIGCONT)
        scene.let(0.5)

    return fault


def workers_rolled(scene: Scene) -> None:
    """Every worker is asked to end, and another started, one after the other, as an upgrade does it."""
    for name in scene.crew.workers:
        one = scene.crew.running.pop(name)
        one.stop(60)
        assert one.code == 0, f"a worker that was asked to end did so with {one.code}: {one.text[-1000:]}"
        scene.crew.start(name)
        scene.let(2.0)


def router_killed(scene: Scene) -> None:
    """The router is killed and is back at once."""
    scene.crew.running[ROUTER].kill()
    scene.crew.start(ROUTER)
    scene.let(0.5)


def repeated(count: int) -> Fault:
    """Decisions are written to their topic once more."""

    def fault(scene: Scene) -> None:
        scene.let(1.0)
        scene.decider.again(min(count, len(scene.decider.so_far()) // 6))

    return fault


def connections_cut(scene: Scene) -> None:
    """Every connection to RabbitMQ breaks."""
    scene.proxy.cut()


def network_split(seconds: float) -> Fault:
    """No byte passes to RabbitMQ or from it."""

    def fault(scene: Scene) -> None:
        scene.proxy.hole()
        scene.let(seconds)
        scene.proxy.heal()

    return fault


def node_killed(scene: Scene) -> None:
    """A node of RabbitMQ is killed and comes back."""
    node = scene.rabbits.nodes[scene.dice.choice(list(scene.rabbits.nodes))]
    node.kill()
    moment(scene, 1.0, 4.0)
    node.start()
    scene.rabbits.whole()


def nodes_restarted(scene: Scene) -> None:
    """The nodes of RabbitMQ are stopped and started, one after the other, as an upgrade does it."""
    for node in scene.rabbits.nodes.values():
        node.stop()
        scene.let(0.5)
        node.start()
        scene.rabbits.whole()


def node_frozen(seconds: float) -> Fault:
    """A node of RabbitMQ accepts connections and answers nothing."""

    def fault(scene: Scene) -> None:
        node = scene.rabbits.nodes[scene.dice.choice(list(scene.rabbits.nodes))]
        node.freeze()
        scene.let(seconds)
        node.thaw()
        scene.rabbits.whole()

    return fault


def memory_alarm(seconds: float) -> Fault:
    """RabbitMQ has no memory left, as one node says: it takes nothing from anybody, and tells nobody."""

    def fault(scene: Scene) -> None:
        node = scene.rabbits.nodes[scene.dice.choice(list(scene.rabbits.nodes))]
        node.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            scene.let(seconds)
        finally:
            node.ctl("set_vm_memory_high_watermark", "absolute", "512MB")

    return fault


def killed(name: str) -> Fault:
    """Redis or Kafka is killed and started again."""

    def fault(scene: Scene) -> None:
        server = getattr(scene, name)
        server.kill()
        moment(scene, 0.5, 2.5)
        server.start()

    return fault


def restarted(name: str) -> Fault:
    """Redis or Kafka is stopped cleanly and started again."""

    def fault(scene: Scene) -> None:
        server = getattr(scene, name)
        server.stop()
        server.start()

    return fault


def frozen(name: str, seconds: float) -> Fault:
    """Redis or Kafka hangs: connections stay, nothing answers."""

    def fault(scene: Scene) -> None:
        server = getattr(scene, name)
        server.freeze()
        scene.let(seconds)
        server.thaw()

    return fault


LONG_S = LEASE_S + 3
HALVES = (WORKER[:2], WORKER[2:4], WORKER[4:])
"""The named points, few at a time."""
