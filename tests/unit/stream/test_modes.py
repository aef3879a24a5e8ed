"""What the transport refuses, and how large a state may be: a sentence each."""

import asyncio
from types import SimpleNamespace

import pytest
from faust.exceptions import ImproperlyConfigured

from app.settings import Settings
from app.stream import ending
from app.stream.blocks import Fenced
from app.stream.build import blocks, build
from app.stream.checkpoint import _judge_size
from app.stream.topics import STATE_BYTES
from app.stream.transport import Transport, refuse_modes


@pytest.fixture
def app(tmp_path):
    return build("a", ["metrics"], Settings(datadir=tmp_path))


def mode(**more):
    plain = {"client_only": False, "in_transaction": False, "table_standby_replicas": 0} | more
    conf = SimpleNamespace(id="a", table_standby_replicas=plain["table_standby_replicas"])
    return SimpleNamespace(conf=conf, client_only=plain["client_only"], in_transaction=plain["in_transaction"])


def test_modes_that_the_cures_do_not_cover_are_refused_with_a_sentence():
    refuse_modes(mode())
    for name, value, word in (
        ("client_only", True, "client-only"),
        ("in_transaction", True, "exactly_once"),
        ("table_standby_replicas", 1, "standby"),
    ):
        with pytest.raises(ImproperlyConfigured, match=word):
            refuse_modes(mode(**{name: value}))


def test_the_transport_looks_at_the_mode(app):
    app.conf.table_standby_replicas = 1
    assert isinstance(app.transport, Transport)
    with pytest.raises(ImproperlyConfigured, match="app a cannot use the transport headrace://"):
        app.consumer  # noqa: B018 - it is made when it is first asked for


async def nothing(_):
    return None


def test_two_agents_on_one_topic_are_refused(app):
    blocks(app, "metrics", nothing)
    with pytest.raises(ImproperlyConfigured, match="topic metrics has an agent already"):
        blocks(app, "metrics", nothing)


def test_a_topic_that_is_not_declared_or_a_pattern_is_refused(app):
    with pytest.raises(ImproperlyConfigured, match="not among the topics"):
        blocks(app, "metrics.*", nothing)


def test_a_state_that_nears_its_limit_is_told_long_before_and_one_beyond_stops(monkeypatch):
    told = []
    monkeypatch.setattr("app.stream.checkpoint.log", SimpleNamespace(warning=lambda *a, **k: told.append((a, k))))
    _judge_size(3, int(STATE_BYTES * 0.69))
    assert not told
    _judge_size(3, int(STATE_BYTES * 0.71))
    assert told == [(("state_nearly_full",), {"partition": 3, "bytes": int(STATE_BYTES * 0.71), "most": STATE_BYTES})]
    with pytest.raises(ending.Halt, match=r"the state of headrace.journal\[3\] has"):
        _judge_size(3, STATE_BYTES + 1)


def test_what_must_not_be_gone_on_from_ends_the_process_with_70(monkeypatch):
    ended = []

    def end(code):
        ended.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(ending.os, "_exit", end)

    async def raises(error):
        raise error

    for error in (ending.Halt("a hole"), ValueError("a bug")):
        with pytest.raises(SystemExit):
            asyncio.run(ending.guarded(raises, error))
    with pytest.raises(Fenced):
        asyncio.run(ending.guarded(raises, Fenced()))
    assert ended == [70, 70]
