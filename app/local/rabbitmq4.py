"""A private RabbitMQ 4 where the system's own package is older: a small Debian 13 in a folder, the broker in it.

Started by the fault tests, which run one lane on it; `app.local.servers` takes what is installed. The folder is
fetched once, by debootstrap from Debian's own archive, into the cache. The broker is what `app.local.rabbitmq` starts,
with that folder as its root, seen by nobody else: its mounts are its own and end with it. Needs root.
"""

import fcntl
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from app.local.process import ServerUnavailable, is_root
from app.local.rabbitmq import RabbitMQ
from app.settings import settings

SUITE: Final = "trixie"
"""Debian 13, which has RabbitMQ 4.0 on Erlang 27."""
FETCH_S: Final = 900.0
"""Longest wait for debootstrap."""
BROKER: Final = "/usr/lib/rabbitmq/bin/rabbitmq-server"

_ENTER: Final = """\
root=$1 data=$2; shift 2
mount -t tmpfs none "$root/tmp" && mount --rbind /proc "$root/proc" && mount --rbind /dev "$root/dev" &&
mkdir -p "$root$data" && mount --rbind "$data" "$root$data" && exec chroot "$root" "$@"
"""
"""What the private mounts are, and the broker in the folder instead of this shell: one process to signal."""


class System:
    """The folder with Debian 13."""

    def __init__(self, cache: Path) -> None:
        """Look for it under `cache`; nothing is fetched before `fetch`."""
        self.folder = cache / f"rabbitmq-{SUITE}"

    @property
    def fetched(self) -> bool:
        """Whether it is there."""
        return (self.folder / BROKER.lstrip("/")).exists()

    def fetch(self) -> None:
        """Get it with debootstrap unless it is there (370 MB); raises ServerUnavailable."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self.folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.fetched:
                return
            if not settings().install:
                raise ServerUnavailable("RabbitMQ 4 is not here and HEADRACE_INSTALL=no forbids fetching it")
            with tempfile.TemporaryDirectory(dir=self.folder.parent) as scratch:
                made = Path(scratch) / "root"
                _debootstrap(made)
                (made / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
                made.rename(self.folder)

    @property
    def version(self) -> str:
        """The version of RabbitMQ in it; raises OSError if it is not there."""
        status = (self.folder / "var/lib/dpkg/status").read_text(encoding="utf-8")
        return status.split("\nPackage: rabbitmq-server\n")[1].split("\nVersion: ")[1].split("-")[0]


class RabbitMQ4(RabbitMQ):
    """One node of RabbitMQ 4, with its database in the directory."""

    title = "RabbitMQ 4"
    name = "rabbitmq4"

    @staticmethod
    def missing() -> list[str]:
        """Programs that are needed and not installed here."""
        needed = ["epmd"] if System(settings().cachedir).fetched else ["epmd", "debootstrap"]
        return [{"epmd": "rabbitmq-server"}.get(name, name) for name in needed if shutil.which(name) is None]

    @property
    def env(self) -> dict[str, str]:
        """The environment that leads a process of Headrace to it, and to its management API."""
        return {"HEADRACE_RABBITMQ_URL": self.url, "HEADRACE_RABBITMQ_API": self.api}

    def _prepare(self) -> None:
        if not is_root():
            raise ServerUnavailable("RabbitMQ 4 needs root here: it runs with a Debian 13 in a folder as its root")
        self._system().fetch()
        super()._prepare()

    def _broker(self) -> str:
        return BROKER

    def _command(self) -> list[str]:
        inside = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", *super()._command()]
        root, data = str(self._system().folder), str(self.directory)
        return ["unshare", "--mount", "sh", "-c", _ENTER, "enter", root, data, *inside]

    @staticmethod
    def _system() -> System:
        return System(settings().cachedir)


def _debootstrap(target: Path) -> None:
    # in a mount namespace of its own: what it mounts in the folder ends with it, however it ends
    command = [
        "unshare",
        "--mount",
        "debootstrap",
        "--variant=minbase",
        "--include=rabbitmq-server",
        SUITE,
        str(target),  # from where debootstrap gets it by itself: Debian's own archive
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FETCH_S)
    except (subprocess.TimeoutExpired, OSError) as error:
        raise ServerUnavailable(f"debootstrap did not fetch RabbitMQ 4 ({error}); is the network up?") from error
    if done.returncode:
        words = (done.stdout or done.stderr).strip().splitlines()[-1:]
        raise ServerUnavailable(f"debootstrap could not fetch RabbitMQ 4: {' '.join(words)}; is the network up?")
