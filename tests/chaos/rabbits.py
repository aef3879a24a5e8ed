"""Three RabbitMQ nodes on loopback, one cluster: each queue on all of them, two to confirm a message.

Started by the fixtures of this folder, broken by `tests.chaos.queue_faults`. Clients come by way of `Balanced`,
as by the balancer that stands before a cluster in earnest. Nothing that was confirmed dies with one node.
"""

import itertools
import os
import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2

from app.local.ports import HOST
from app.local.rabbitmq import PASSWORD, USER, VHOST, RabbitMQ, binary, url
from app.local.server import Program
from app.queue import topology
from tests.faults import Proxy
from tests.processes import wait_for

NODES = (1, 2, 3)

_MORE = """\
default_user = {user}
default_pass = {password}
default_vhost = {vhost}
default_user_tags.administrator = true
cluster_partition_handling = pause_minority
cluster_formation.peer_discovery_backend = classic_config
"""


class Node(RabbitMQ):
    """One of the three. They share a port mapper and a secret."""

    def __init__(self, directory: Path, number: int) -> None:
        super().__init__(directory / str(number))
        self.cookie = ""
        self.others: list[str] = []

    @property
    def node(self) -> str:
        return f"headrace-{self.ports['amqp']}@localhost"

    def stop(self) -> None:
        """End it cleanly; the port mapper is the others' too."""
        Program.stop(self)

    def ctl(self, *arguments: str, tool: str = "rabbitmqctl") -> str:
        """What a tool of RabbitMQ says of this node."""
        program = str(Path(binary() or "").parent / tool)
        env = os.environ | {
            "HOME": str(self.directory / "home"), "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null", "RABBITMQ_USE_LONGNAME": "false",
        }  # fmt: skip
        done = subprocess.run(
            [program, "-n", self.node, *arguments], env=env, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"{tool} {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def _prepare(self) -> None:
        home = self.directory / "home"
        home.mkdir(parents=True, exist_ok=True)
        cookie = home / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(self.cookie)
            cookie.chmod(0o600)
        super()._prepare()
        config = self.directory / "rabbitmq.conf"
        kept = [line for line in config.read_text().splitlines() if "load_definitions" not in line]
        peers = [f"cluster_formation.classic_config.nodes.{n} = {one}" for n, one in enumerate(self.others, 1)]
        more = _MORE.format(user=USER, password=PASSWORD, vhost=VHOST)
        config.write_text("\n".join([*kept, more, *peers, ""]))


class Balanced(Proxy):
    """Each connection goes to the next node; to one that is away it breaks, and the client comes again."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__(ports[0])
        self._turn = itertools.cycle(ports)

    async def _accept(self, reader, writer) -> None:
        self.to = next(self._turn)
        await super()._accept(reader, writer)


class Rabbits:
    """The three together, with the product's topology once all are there."""

    def __init__(self, directory: Path) -> None:
        self.nodes = {number: Node(directory, number) for number in NODES}
        first, cookie = self.nodes[1], secrets.token_hex(16)
        for node in self.nodes.values():
            node.ports["epmd"] = first.ports["epmd"]
            node.cookie, node.others = cookie, [one.node for one in self.nodes.values()]
        self.proxy = Balanced([node.ports["amqp"] for node in self.nodes.values()])

    @property
    def url(self) -> str:
        """The address by way of the proxy."""
        return url(self.proxy.port)

    def start(self, settings) -> None:
        """Start all, form the cluster, and only then declare the queues: declared earlier, they have one replica."""
        self.nodes[1].directory.mkdir(parents=True, exist_ok=True)
        self.nodes[1]._prepare()
        for node in self.nodes.values():
            node._epmd = self.nodes[1]._epmd
        with ThreadPoolExecutor(len(NODES)) as pool:
            list(pool.map(lambda one: one.start(), self.nodes.values()))
        wait_for(lambda: self._running() == len(NODES), 120, "the three nodes to be a cluster")
        topology.init(settings)
        self.whole()

    def end(self) -> None:
        for node in self.nodes.values():
            node.thaw()
            node.kill()
        if self.nodes[1]._epmd is not None:
            self.nodes[1]._epmd.stop()

    def whole(self, timeout_s: float = 120.0) -> None:
        """Wait until each queue has all its replicas: before that, one more death is too many."""
        wait_for(lambda: self._running() == len(NODES) and self._all_online(), timeout_s, "all replicas of all queues")

    def _running(self) -> int:
        return sum(one["running"] for one in self._asked("nodes"))

    def _all_online(self) -> bool:
        found = {one["name"]: one.get("online", ()) for one in self._asked(f"queues/{VHOST}")}
        return all(len(found.get(name, ())) == len(NODES) for name in topology.queues())

    def _asked(self, what: str) -> list[dict]:
        for node in self.nodes.values():
            with suppress(httpx2.HTTPError):
                answer = httpx2.get(
                    f"http://{HOST}:{node.ports['management']}/api/{what}", auth=(USER, PASSWORD), timeout=5
                )
                answer.raise_for_status()
                return answer.json()
        return []
