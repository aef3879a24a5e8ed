"""What several files of tests on real servers share."""

import pytest
from typer.testing import CliRunner

from app.cli import root
from app.settings import settings as current


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
