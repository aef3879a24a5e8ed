"""What several files of tests on real servers share."""

import os

import pytest
from typer.testing import CliRunner

from app.cli import root
from app.settings import settings as current
from tests.kube_lanes import NO_REAL, RealLane, StandInLane


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


@pytest.fixture(params=["stand-in", "real"])
def lane(request, tmp_path):
    if request.param == "real" and not os.environ.get("HEADRACE_KUBE_API"):
        pytest.skip(NO_REAL)
    made = (StandInLane if request.param == "stand-in" else RealLane)(tmp_path)
    yield made
    made.close()
