"""A process's line to Redis: one connection, and scripts that are asked for by it with as little work as there can be.

Made by the ledger and by the simulated fleet, for the steps that every action takes. A client's pool
and its own scripts do the same in three times the time.
"""

import threading
from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis import Redis
from redis.exceptions import NoScriptError, ResponseError


class Line:
    """One connection to a client's Redis, made when it is first needed, and anew after a failure.

    Failures are tried again as often as the client does. Threads take turns.
    """

    def __init__(self, redis: Redis) -> None:
        self._connection: Any = redis.connection_pool.make_connection()
        self._turn = threading.Lock()

    def __call__(self, *words: str | int | bytes) -> Any:
        """What Redis answers to a command; raises `redis.RedisError`."""
        with self._turn:
            return self._connection.retry.call_with_retry(lambda: self._once(words), lambda _: None)

    def _once(self, words: Sequence[str | int | bytes]) -> Any:
        try:
            self._connection.send_command(*words)
            return self._connection.read_response()
        except ResponseError:
            raise
        except BaseException:  # also a time limit's: an answer that nobody read would be taken for the next one's
            self._connection.disconnect()
            raise


class Script:
    """A Lua script: sent by its hash, and whole only where Redis does not know it yet, or has forgotten it."""

    def __init__(self, line: Line, text: str) -> None:
        self._line = line
        self._text = text
        self._hash = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        """What the script gives back; raises `redis.RedisError`."""
        try:
            return self._line("EVALSHA", self._hash, len(keys), *keys, *args)
        except NoScriptError:
            return self._line("EVAL", self._text, len(keys), *keys, *args)
