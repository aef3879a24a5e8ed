"""One RabbitMQ 4 behind a proxy, in the place of the three nodes of `tests.chaos.rabbits`, for a lane of its own."""

from contextlib import suppress
from pathlib import Path

from app.local.rabbitmq import url
from app.local.rabbitmq4 import RabbitMQ4, System
from app.queue import topology
from app.settings import Settings
from app.settings import settings as current
from tests.faults import Proxy
from tests.processes import wait_for


class Alone:
    """The node, with the product's topology once it serves."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self.node = RabbitMQ4(directory)
        self.nodes = {1: self.node}
        self.proxy = Proxy(self.node.ports["amqp"])
        self._given = settings

    @property
    def settings(self) -> Settings:
        """The given settings with this node in the place of the RabbitMQ that they had."""
        return self._given.model_copy(update={"rabbitmq_url": url(self.proxy.port), "rabbitmq_api": self.node.api})

    @property
    def version(self) -> str:
        return System(current().cachedir).version

    def whole(self, timeout_s: float = 120.0) -> None:
        """Wait until each queue has its leader and is as it should be."""
        wait_for(self._right, timeout_s, "all queues to be as they should")

    def _right(self) -> bool:
        with suppress(topology.TopologyError):
            return topology.check(self.settings) == []
        return False

    def end(self) -> None:
        self.node.thaw()
        self.node.stop()
