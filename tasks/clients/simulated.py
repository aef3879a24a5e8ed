"""The simulated fleet: services as hashes in Redis, for the demo, the tests and first steps.

A service's hash has `replicas`, `generation` and, if somebody wants it slow, `delay_ms`; the list
beside it (`…:log`) has one entry for each effect, so that effects can be counted.
"""

import json
import time
from typing import Final

from redis import Redis, RedisError

from tasks.contract import Scale, fleet_key
from tasks.errors import ConflictError, TemporaryError

SET: Final = """
local s = redis.call('HMGET', KEYS[1], 'replicas', 'generation')
local found = tonumber(s[1] or ARGV[1])
if s[2] and tonumber(s[2]) > tonumber(ARGV[3]) then return {'older', tonumber(s[2])} end
if s[2] == ARGV[3] then return {'set', found} end
local up = tonumber(ARGV[2]) > tonumber(ARGV[1])
if found == tonumber(ARGV[2]) or (up and found > tonumber(ARGV[2])) or (not up and found < tonumber(ARGV[2])) then
  redis.call('HSET', KEYS[1], 'generation', ARGV[3])
  return {'there', found}
end
redis.call('HSET', KEYS[1], 'replicas', ARGV[2], 'generation', ARGV[3])
redis.call('RPUSH', KEYS[2], ARGV[4])
return {'set', found}
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
        key = fleet_key(action.target or action.service)
        try:
            self._be_slow(key)
            note = json.dumps({"id": action.id, "to": action.to_replicas, "generation": action.generation})
            said, number = self._set(
                keys=[key, f"{key}:log"], args=[action.from_replicas, action.to_replicas, action.generation, note]
            )
        except RedisError as error:
            raise TemporaryError(f"the simulated fleet's Redis is away: {error}") from error
        if said == b"older":
            raise ConflictError(f"generation {number} was applied before")
        return number, number if said == b"there" else action.to_replicas

    def _be_slow(self, key: str) -> None:
        """Take as long as a real provider might, where the service asks for it."""
        delay_ms = self._redis.hget(key, "delay_ms")
        if delay_ms:
            time.sleep(float(delay_ms) / 1000)
