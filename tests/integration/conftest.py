"""What several files of tests on real servers share."""

import os
import shutil
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from app.cli import root
from app.local import install
from app.local.process import ServerUnavailable
from app.queue import api, topology
from app.settings import Settings
from app.settings import settings as current
from tests.kube_lanes import NO_REAL, RealLane, StandInLane
from tests.rig import Rig


@pytest.fixture
def apart(clean):
    """A virtual host of its own with the product's queues, for tests that delete some: a quorum queue that is
    deleted, made again and then loses its node can refuse everything for good (RabbitMQ 3.10)."""
    user = urlsplit(clean.rabbitmq_url).username
    own = clean.model_copy(update={"rabbitmq_url": clean.rabbitmq_url.rpartition("/")[0] + "/apart"})
    api.call(own, "PUT", "vhosts/{vhost}", {})
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    api.call(own, "PUT", f"permissions/{{vhost}}/{user}", everything)
    topology.init(own)
    yield own
    api.call(own, "DELETE", "vhosts/{vhost}")


@pytest.fixture
def run(clean, headrace_env, monkeypatch):
    """Runs a command against the servers of the session."""
    for name, value in headrace_env.items():
        monkeypatch.setenv(name, value)
    current.cache_clear()

    def run(*arguments):
        return CliRunner().invoke(root, list(arguments))

    yield run
    current.cache_clear()


@pytest.fixture(scope="session")
def chromium_program():
    """A browser; installed where that is allowed, skipped with its reason where it cannot be had, failed in CI."""
    without = pytest.fail if os.environ.get("CI") else pytest.skip
    program = _chromium()
    if program is None and Settings().install and install.possible():
        try:
            install.install(["chromium"], print)
        except ServerUnavailable as why:
            without(str(why))
        program = _chromium()
    if program is None:
        without(f"this is tested in Chromium, which is not here: `{install.command(['chromium'])}` as root")
    return program


def _chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def rig(clean):
    """Publishes what workers do, and looks for what became of it."""
    return Rig(clean)


@pytest.fixture(params=["stand-in", "real"])
def lane(request, tmp_path):
    if request.param == "real" and not os.environ.get("HEADRACE_KUBE_API"):
        pytest.skip(NO_REAL)
    made = (StandInLane if request.param == "stand-in" else RealLane)(tmp_path)
    yield made
    made.close()
