"""What can happen between a decision and its outcome: a function each, on a `Scene` of the queue.

Each returns when the fault is over: what was killed runs again, what was frozen goes on. Nothing here looks at what
came of it.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from kombu import Connection

from app.queue import api, topology
from tasks.contract import QUEUES, Kind
from tests.chaos.queue_points import WORKER
from tests.chaos.queue_scene import LEASE_S, ROUTER, Scene, moment
from tests.odd import wrong
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
        scene.crew.renew(name)
        scene.let(2.0)


def newer_code(scene: Scene) -> None:
    """Router and workers are given newer code one by one, and then older again, while both kinds of message come.

    In between, workers of either kind are killed with what they do. Decisions have the new field from when the router
    knows it until it is made older again.
    """
    router, *workers = ROUTER, *scene.crew.workers
    scene.crew.renew(router, "newer")
    scene.decider.newer = True
    for odd in (("newer",), ()):
        for name in workers:
            scene.crew.renew(name, *odd)
            scene.let(0.5)
            worker_killed(scene)
    scene.decider.newer = False
    scene.let(2.0)
    scene.crew.renew(router)


def clocks_wrong(hours: float) -> Fault:
    """The clocks of the router and of two workers jump ahead or back while they work, and after a while back again."""

    def fault(scene: Scene) -> None:
        clocks = {name: scene.crew.processes.directory / f"clock-{name}" for name in (ROUTER, *scene.crew.workers[:2])}
        for name, clock in clocks.items():
            wrong(clock, 0)
            scene.crew.renew(name, f"clock={clock}")
        scene.let(6.0)
        for sign, clock in zip((1, 1, -1), clocks.values(), strict=True):
            wrong(clock, int(sign * hours * 3600))
            scene.let(1.0)
        scene.let(3.0)
        for clock in clocks.values():
            wrong(clock, 0)
            scene.let(1.0)
        for name in clocks:
            scene.crew.renew(name)

    return fault


def queue_full(seconds: float) -> Fault:
    """Nobody takes scalings, and their queue refuses more: RabbitMQ nacks what is published, and then takes it."""

    def fault(scene: Scene) -> None:
        path = "policies/{vhost}/small"
        small = {"max-length": 5, "overflow": "reject-publish"}
        policy = {"pattern": "^scale$", "apply-to": "queues", "priority": 20, "definition": small}
        stopped = [scene.crew.running[name] for name in scene.crew.workers]
        api.call(scene.settings, "PUT", path, policy)
        for one in stopped:
            one.signal(signal.SIGSTOP)
        try:
            scene.let(seconds)
        finally:
            for one in stopped:
                one.signal(signal.SIGCONT)
            api.call(scene.settings, "DELETE", path)

    return fault


def queue_missing(seconds: float) -> Fault:
    """Somebody deletes the queue of notifications while nothing is in it, and makes it again later.

    The router stands still until it is gone: what RabbitMQ has confirmed and an administrator then deletes is lost.
    """

    def fault(scene: Scene) -> None:
        queue, router = QUEUES[Kind.NOTIFY], scene.crew.running[ROUTER]
        router.signal(signal.SIGSTOP)
        try:
            with Connection(scene.settings.rabbitmq_url) as connection:
                channel = connection.channel()
                wait_for(lambda: scene.let(2.0) or not channel.queue_declare(queue, passive=True).message_count, 60)
                scene.let(3.0)  # what was taken from it last is done
                channel.queue_delete(queue)
        finally:
            router.signal(signal.SIGCONT)
        scene.let(seconds)
        topology.init(scene.settings)

    return fault


def disordered(count: int) -> Fault:
    """Scalings of one service are decided in one order and come in another, each twice."""

    def fault(scene: Scene) -> None:
        scene.decider.disorder(count)
        scene.let(0.5)

    return fault


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
