"""How RabbitMQ 4 is fetched, and what is said where it is not; tests/chaos/test_rabbitmq4.py shows that it runs."""

import os

import pytest

from app.local import rabbitmq4
from app.local.process import ServerUnavailable
from app.local.rabbitmq4 import RabbitMQ4, System
from app.settings import settings


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A debootstrap of the test's own, which does what its one line of shell says."""

    def says(line):
        programs = tmp_path / "bin"
        programs.mkdir(exist_ok=True)
        program = programs / "unshare"  # it is called with debootstrap and its arguments
        program.write_text(f"#!/bin/sh\ntarget=$6\n{line}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    yield says
    settings.cache_clear()


MAKES = (
    'mkdir -p "$target/etc" "$target/usr/lib/rabbitmq/bin" "$target/var/lib/dpkg"\n'
    'touch "$target/usr/lib/rabbitmq/bin/rabbitmq-server"\n'
    "printf 'Package: adduser\\nVersion: 3.1\\n\\nPackage: rabbitmq-server\\nStatus: ok\\nVersion: 4.0.5-8\\n' "
    '> "$target/var/lib/dpkg/status"'
)


def test_it_is_fetched_once_and_knows_its_version(archive, tmp_path):
    archive(MAKES)
    system = System(tmp_path / "cache")
    assert not system.fetched
    system.fetch()
    assert (system.fetched, system.version) == (True, "4.0.5")
    archive("exit 1")
    system.fetch()
    assert sorted(one.name for one in system.folder.parent.iterdir()) == ["rabbitmq-trixie", "rabbitmq-trixie.lock"]


def test_what_cannot_be_fetched_is_said_and_leaves_nothing_half(archive, tmp_path):
    archive(f"{MAKES}\necho 'E: no such mirror'; exit 1")
    system = System(tmp_path / "cache")
    with pytest.raises(ServerUnavailable, match="no such mirror; is the network up"):
        system.fetch()
    assert not system.fetched


def test_where_nothing_may_be_installed_nothing_is_fetched(archive, tmp_path, monkeypatch):
    archive(MAKES)
    monkeypatch.setenv("HEADRACE_INSTALL", "no")
    settings.cache_clear()
    with pytest.raises(ServerUnavailable, match="HEADRACE_INSTALL=no"):
        System(tmp_path / "cache").fetch()


def test_without_root_it_is_said_what_it_is_needed_for(tmp_path, monkeypatch):
    monkeypatch.setattr(rabbitmq4, "is_root", lambda: False)
    with pytest.raises(ServerUnavailable, match="needs root"):
        RabbitMQ4(tmp_path).start()
