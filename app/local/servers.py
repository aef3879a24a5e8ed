"""Real servers for the demo, the tests and the benchmarks: found, or started privately on this machine.

`start` is for a process that uses the servers and ends them; `up`, `down` and `env` are for
`headrace local`, which leaves them running. Where each server comes from, in this order: its
`HEADRACE_…_URL` if set; programs installed here; Docker; `apt-get` as root. Nothing here
pretends to be a broker.
"""

import atexit
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self

from app.local import docker_engine, install
from app.local.kafka import Kafka
from app.local.process import ServerUnavailable
from app.local.rabbitmq import RabbitMQ
from app.local.redis import Redis
from app.local.server import Program, Server
from app.settings import Settings

Say = Callable[[str], None]

PROGRAMS: Final[dict[str, type[Kafka | RabbitMQ | Redis]]] = {"kafka": Kafka, "rabbitmq": RabbitMQ, "redis": Redis}
CONTAINERS: Final[dict[str, type[docker_engine.Container]]] = {
    "kafka": docker_engine.KafkaContainer,
    "rabbitmq": docker_engine.RabbitContainer,
    "redis": docker_engine.RedisContainer,
}
NAMES: Final = tuple(PROGRAMS)

_STATE: Final = "servers.json"


class Servers:
    """The servers that were asked for. `kafka`, `rabbitmq` and `redis` are None where a setting named them."""

    def __init__(self, own: dict[str, Server], given: dict[str, str]) -> None:
        """`own`: name → a server of ours; `given`: the environment of those that were there already."""
        self.own = own
        self.given = given

    @property
    def kafka(self) -> Server | None:
        """Our Kafka."""
        return self.own.get("kafka")

    @property
    def rabbitmq(self) -> Server | None:
        """Our RabbitMQ."""
        return self.own.get("rabbitmq")

    @property
    def redis(self) -> Server | None:
        """Our Redis."""
        return self.own.get("redis")

    @property
    def env(self) -> dict[str, str]:
        """The environment that leads a process of Headrace to them."""
        found = dict(self.given)
        for server in self.own.values():
            found |= server.env
        return found

    @property
    def kafka_url(self) -> str:
        """Kafka's address; KeyError if it was not asked for."""
        return self.env["HEADRACE_KAFKA_URL"]

    @property
    def rabbitmq_url(self) -> str:
        """RabbitMQ's address; KeyError if it was not asked for."""
        return self.env["HEADRACE_RABBITMQ_URL"]

    @property
    def redis_url(self) -> str:
        """Redis' address; KeyError if it was not asked for."""
        return self.env["HEADRACE_REDIS_URL"]

    def start(self) -> None:
        """Start ours, side by side, and wait until all serve; if one does not, none is left running."""
        try:
            with ThreadPoolExecutor(max_workers=len(NAMES)) as pool:
                starts = [pool.submit(server.start) for server in self.own.values()]
            for started in starts:
                started.result()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End ours, side by side; their data stay. Those that a setting named are left alone."""
        with ThreadPoolExecutor(max_workers=len(NAMES)) as pool:
            list(pool.map(lambda server: server.stop(), self.own.values()))
        for server in self.own.values():
            if isinstance(server, docker_engine.Container) and server.attached:
                server.remove()

    def kill(self) -> None:
        """End ours at once, as a crash does, one after the other: at the end of Python no thread can start."""
        for server in self.own.values():
            server.kill()
            if isinstance(server, docker_engine.Container):
                server.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _print(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def start(
    directory: Path, *, kafka: bool = True, rabbitmq: bool = True, redis: bool = True, say: Say = _print
) -> Servers:
    """Servers for this process, with their data in `directory`; they end with it, however it ends.

    `say` is told before anything is installed. Raises ServerUnavailable, one sentence that names
    what is missing and what to do; then nothing is left running.
    """
    asked = [name for name, wanted in zip(NAMES, (kafka, rabbitmq, redis), strict=True) if wanted]
    servers = _servers(directory, asked, attached=True, say=say)
    atexit.register(servers.kill)
    servers.start()
    return servers


def had(program: type[Program], settings: Settings, say: Say = _print) -> bool:
    """Whether a program is installed here, after installing it where that is possible and allowed."""
    missing = program.missing()
    if missing and settings.install and install.possible():
        install.install(missing, say)
        missing = program.missing()
    return not missing


def up(directory: Path, *, say: Say = _print) -> dict[str, str]:
    """Start all three and leave them running after this process; the environment that leads to them."""
    left = _left(directory)  # ours even where a setting names them: it was set from what `up` printed before
    more = _servers(directory, [name for name in NAMES if name not in left], attached=False, say=say)
    servers = Servers(left | more.own, more.given)
    for name in (name for name in NAMES if name not in servers.own):
        say(f"HEADRACE_{name.upper()}_URL is set, so {PROGRAMS[name].title} is taken from there and not started")
    servers.start()
    how = {
        name: "container" if isinstance(server, docker_engine.Container) else "program"
        for name, server in servers.own.items()
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / _STATE).write_text(json.dumps({"how": how, "env": servers.env}, indent=1))
    return servers.env


def down(directory: Path) -> list[str]:
    """End the servers that `up` left running in `directory`; the names of those that ran. Their data stay."""
    ran = {name: server for name, server in _left(directory).items() if server.running}
    Servers(ran, {}).stop()
    (directory / _STATE).unlink(missing_ok=True)
    return list(ran)


def env(directory: Path) -> dict[str, str]:
    """The environment of the servers that `up` left running; raises ServerUnavailable if one of them is not."""
    ended = [server.title for server in _left(directory).values() if not server.running]
    state = directory / _STATE
    if ended or not state.exists():
        what = " and ".join(ended) if ended else "no server"
        verb = "runs" if not ended else "has ended" if len(ended) == 1 else "have ended"
        raise ServerUnavailable(f"{what} {verb} in {directory}; start them with `headrace local up`")
    found: dict[str, str] = json.loads(state.read_text())["env"]
    return found


def _left(directory: Path) -> dict[str, Server]:
    """The servers of which `up` wrote down that it left them running."""
    state = directory / _STATE
    how: dict[str, str] = json.loads(state.read_text())["how"] if state.exists() else {}
    return {
        name: (CONTAINERS if kind == "container" else PROGRAMS)[name](directory, attached=False)
        for name, kind in how.items()
    }


def _servers(directory: Path, asked: Sequence[str], *, attached: bool, say: Say) -> Servers:
    settings = Settings()
    directory = directory.absolute()
    own: dict[str, Server] = {}
    given: dict[str, str] = {}
    for name in asked:
        if f"{name}_url" in settings.model_fields_set:
            given |= _given(settings, name)
        else:
            own[name] = _chosen(name, settings, say)(directory, attached=attached)
    return Servers(own, given)


def _given(settings: Settings, name: str) -> dict[str, str]:
    """The environment of a server that a setting names."""
    fields = [field for field in (f"{name}_url", f"{name}_api") if field in settings.model_fields_set]
    return {f"HEADRACE_{field.upper()}": str(getattr(settings, field)) for field in fields}


def _chosen(name: str, settings: Settings, say: Say) -> Callable[..., Server]:
    """How to have a server that no setting names: a program, a container, or a program after installing it."""
    program = PROGRAMS[name]
    missing = program.missing()
    if not missing:
        return program
    if docker_engine.answers():
        return CONTAINERS[name]
    if settings.install and install.possible():
        install.install(missing, say)
        if not program.missing():
            return program
    raise ServerUnavailable(
        f"{program.title} needs {' and '.join(missing)}, not found here, and no Docker engine answers: "
        f"run `{install.command(missing)}` as root, or start Docker, "
        f"or set HEADRACE_{name.upper()}_URL to a server that runs"
    )
