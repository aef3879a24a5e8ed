"""Installs servers that are missing, on Debian and Ubuntu, as root, after saying so.

Called by `app.local.servers` when a program is missing and no container engine answers. It never
installs anything where the settings forbid it, and never starts a system service.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterable
from typing import Final

from app.local.process import ServerUnavailable, is_root

PACKAGES: Final = {
    "java": "default-jre-headless",
    "mvn": "maven",
    "rabbitmq-server": "rabbitmq-server",
    "redis-server": "redis-server",
    "haproxy": "haproxy",
    "chromium": "chromium",
    "postgres": "postgresql",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "debootstrap": "debootstrap",
}
"""Program → the Debian package that brings it."""

_QUIET: Final = [
    "env", "DEBIAN_FRONTEND=noninteractive",
    "RUNLEVEL=1",  # package scripts start no service in this run level: the servers here are private ones
    "apt-get", "-qq", "-y", "-o", "Dpkg::Use-Pty=0",
]  # fmt: skip


def command(programs: Iterable[str]) -> str:
    """What a person would type to install these programs."""
    return f"apt-get install {' '.join(_packages(programs))}"


def possible() -> bool:
    """Whether this process could install packages."""
    return is_root() and shutil.which("apt-get") is not None


def install(programs: Iterable[str], say: Callable[[str], None]) -> None:
    """Install the packages of these programs; raises ServerUnavailable with apt's words if that fails."""
    packages = _packages(programs)
    say(f"installing {', '.join(packages)} with apt-get (HEADRACE_INSTALL=no forbids it)")
    for arguments in (["update"], ["install", "--no-install-recommends", *packages]):
        done = subprocess.run([*_QUIET, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise ServerUnavailable(f"`apt-get {' '.join(arguments)}` failed: {' '.join(words)}")


def _packages(programs: Iterable[str]) -> list[str]:
    return sorted({PACKAGES[program] for program in programs})
