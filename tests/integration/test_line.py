"""The line to Redis of a worker's process, on a real Redis that is killed, forgets, and is waited for in vain."""

import pytest
from redis import ConnectionError as RedisAway
from redis import Redis

from tasks.line import Line, Script


@pytest.fixture
def line(redis_url):
    return Line(Redis.from_url(redis_url))


class TooLong(Exception):  # noqa: N818 - as Celery's is named
    pass


def test_a_script_that_redis_does_not_know_or_has_forgotten_runs_all_the_same(line):
    script = Script(line, "return {KEYS[1], ARGV[1], 7}")
    for _ in range(2):
        assert script(keys=["k"], args=["a"]) == [b"k", b"a", 7]
        line("SCRIPT", "FLUSH")


def test_an_answer_that_a_time_limit_cut_off_is_not_taken_for_the_next_ones(line, monkeypatch):
    connection = line._connection
    with monkeypatch.context() as patched:
        patched.setattr(connection, "read_response", lambda: (_ for _ in ()).throw(TooLong))
        with pytest.raises(TooLong):
            line("ECHO", "first")
    assert line("ECHO", "second") == b"second"


def test_a_line_is_made_when_it_is_needed_and_anew_when_redis_is_back(redis):
    line = Line(Redis(port=redis.ports["redis"]))
    assert line("ECHO", "before") == b"before"
    redis.kill()
    with pytest.raises(RedisAway):
        line("ECHO", "between")
    redis.start()
    assert line("ECHO", "after") == b"after"
