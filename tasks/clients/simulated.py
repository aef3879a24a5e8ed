"""The simulated fleet: services as hashes in Redis, for the demo, the tests and first steps.

A service's hash has `replicas` and `generation`, the last `action` with what it `found` and what
that `became`, and, if somebody wants it slow, `delay_ms`; the list beside it (`…:log`) has one
entry for each effect, so that effects can be counted.
"""

import json
import time
from typing import Final

from redis import Redis, RedisError

from tasks.contract import Scale, fleet_key
from tasks.errors import ConflictError, TemporaryError

SET: Final = """
local from, to, generation, note, id = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local s = redis.call('HMGET', KEYS[1], 'replicas', 'generation', 'action', 'found', 'became')
if s[3] == id then return {'set', tonumber(s[4]), tonumber(s[5])} end
if s[2] and tonumber(s[2]) > tonumber(generation) then return {'older', tonumber(s[2])} end
local found, became = tonumber(s[1] or from), to
if to > from then became = math.max(found, to) else became = math.min(found, to) end
redis.call('HSET', KEYS[1], 'replicas', became, 'generation', generation)
redis.call('HSET', KEYS[1], 'action', id, 'found', found, 'became', became)
if found ~= became then redis.call('RPUSH', KEYS[2], note) end
return {'set', found, became}
"""


class SimulatedFleet:
    """Scales simulated services; one script checks the generation, sets and notes the effect.

    A scale-up never lowers and a scale-down never raises what it finds: if somebody else has gone
    further in the same direction, that stands.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._set = redis.register_script(SET)

    def scale(self, action: Scale) -> tuple[int, int]:
        """Set the replicas of a simulated service; ConflictError if a newer generation was applied."""
        key = _key(action)
        try:
            self._be_slow(key)
            said, *numbers = self._set(
                keys=[key, f"{key}:log"],
                args=[action.from_replicas, action.to_replicas, action.generation, _note(action), action.id],
            )
        except RedisError as error:
            raise TemporaryError(f"the simulated fleet's Redis is away: {error}") from error
        if said == b"older":
            raise ConflictError(f"generation {numbers[0]} was applied before")
        found, became = numbers
        return found, became

    def applied(self, action: Scale) -> int | None:
        """The replicas that this very action has set, or None if it never did."""
        try:
            place = self._redis.lpos(f"{_key(action)}:log", _note(action))
        except RedisError as error:
            raise TemporaryError(f"the simulated fleet's Redis is away: {error}") from error
        return None if place is None else action.to_replicas

    def _be_slow(self, key: str) -> None:
        """Take as long as a real provider might, where the service asks for it."""
        delay_ms = self._redis.hget(key, "delay_ms")
        if delay_ms:
            time.sleep(float(delay_ms) / 1000)


def _key(action: Scale) -> str:
    return fleet_key(action.target or action.service)


def _note(action: Scale) -> str:
    return json.dumps({"id": action.id, "to": action.to_replicas, "generation": action.generation})
