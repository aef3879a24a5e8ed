"""Faults over each other: some last while others happen, as on a bad day. Used by the plan of `tests.chaos.test_queue`.

What lasts is of one place each (Redis, Kafka, a worker, the way to RabbitMQ, a node of it), and of one place there is
one at a time.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from time import monotonic
from typing import Final

from tests.chaos import queue_faults as faults
from tests.chaos.queue_scene import Scene, moment

Lasting = Callable[[Scene], AbstractContextManager[None]]

AT_ONCE: Final = (
    faults.worker_killed, faults.child_killed, faults.router_killed, faults.connections_cut, faults.repeated(20),
    faults.disordered(10),
)  # fmt: skip


def mixed(count: int) -> faults.Fault:
    """So many faults, about half of which last for some seconds."""

    def fault(scene: Scene) -> None:
        under_way: dict[str, tuple[float, ExitStack]] = {}
        with ExitStack() as all_over:
            for _ in range(count):
                free = [place for place in PLACES if place not in under_way]
                if free and scene.dice.random() < 0.5:
                    place = scene.dice.choice(free)
                    one = all_over.enter_context(ExitStack())
                    one.enter_context(PLACES[place](scene))
                    under_way[place] = monotonic() + scene.dice.uniform(2.0, 8.0), one
                else:
                    scene.dice.choice(AT_ONCE)(scene)
                moment(scene, 0.5, 3.0)
                for place in [place for place, (until, _) in under_way.items() if monotonic() > until]:
                    under_way.pop(place)[1].close()
        scene.rabbits.whole()

    return fault


@contextmanager
def _server(scene: Scene, name: str) -> Iterator[None]:
    """Redis or Kafka hangs."""
    getattr(scene, name).freeze()
    try:
        yield
    finally:
        getattr(scene, name).thaw()


@contextmanager
def _worker(scene: Scene) -> Iterator[None]:
    """A worker stands still; it may be killed meanwhile."""
    victim = scene.crew.running[scene.dice.choice(scene.crew.workers)]
    victim.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        if victim.alive:
            victim.signal(signal.SIGCONT)


@contextmanager
def _network(scene: Scene) -> Iterator[None]:
    """No byte passes to RabbitMQ or from it."""
    scene.proxy.hole()
    try:
        yield
    finally:
        scene.proxy.heal()


@contextmanager
def _node(scene: Scene) -> Iterator[None]:
    """A node of RabbitMQ hangs, or all of it says that it has no memory left."""
    node = scene.rabbits.nodes[scene.dice.choice(list(scene.rabbits.nodes))]
    frozen = scene.dice.random() < 0.5
    if frozen:
        node.freeze()
    else:
        node.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        yield
    finally:
        if frozen:
            node.thaw()
        else:
            node.ctl("set_vm_memory_high_watermark", "absolute", "512MB")


PLACES: Final[dict[str, Lasting]] = {
    "redis": lambda scene: _server(scene, "redis"), "kafka": lambda scene: _server(scene, "kafka"), "worker": _worker,
    "network": _network, "node": _node,
}  # fmt: skip
