"""The simulated fleet: services as hashes in Redis, for the demo, the tests and first steps.

A service's hash has `replicas`, the `version` that runs, where somebody has said which, and `generation`; the
last `action` with what it `found` and what that `became`; of the last rollback that changed the version
`rolled_back_by`, its action, `rolled_back_to`, `rolled_back_in`, its environment, and `rolled_back_at_ms`; and, if
somebody wants it slow, `delay_ms`. The list beside it (`…:log`) has one entry for each effect, so that effects can
be counted.
"""

import json
import time
from typing import Any, Final

from redis import Redis, RedisError

from tasks.contract import RollBack, Scale, fleet_key
from tasks.errors import ConflictError, TemporaryError
from tasks.line import Line, Script

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

ROLL_BACK: Final = """
local from, to, environment, generation, note, id = unpack(ARGV)
local s = redis.call('HMGET', KEYS[1], 'version', 'generation', 'action', 'found', 'became')
if s[3] == id then return {'set', s[4], s[5]} end
if s[2] and tonumber(s[2]) > tonumber(generation) then return {'older', tonumber(s[2])} end
local found = s[1] or from
if found ~= from and found ~= to then return {'other', found} end
redis.call('HSET', KEYS[1], 'version', to, 'generation', generation)
redis.call('HSET', KEYS[1], 'action', id, 'found', found, 'became', to)
if found ~= to then
  local now = redis.call('TIME'); now = now[1] * 1000 + math.floor(now[2] / 1000)
  redis.call('HSET', KEYS[1], 'rolled_back_by', id, 'rolled_back_to', to)
  redis.call('HSET', KEYS[1], 'rolled_back_in', environment, 'rolled_back_at_ms', now)
  redis.call('RPUSH', KEYS[2], note)
end
return {'set', found, to}
"""


class SimulatedFleet:
    """Scales and rolls back simulated services; one script checks the generation, sets and notes the effect.

    A scale-up never lowers and a scale-down never raises what it finds: if somebody else has gone
    further in the same direction, that stands. A rollback replaces no other version than it was decided for.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._line = Line(redis)
        self._set = Script(self._line, SET)
        self._roll_back = Script(self._line, ROLL_BACK)

    def scale(self, action: Scale) -> tuple[int, int]:
        """Set the replicas of a simulated service; ConflictError if a newer generation was applied."""
        found, became = self._run(self._set, action, [action.from_replicas, action.to_replicas])
        return found, became

    def applied(self, action: Scale) -> int | None:
        """The replicas that this very action has set, or None if it never did."""
        return action.to_replicas if self._noted(action) else None

    def roll_back(self, action: RollBack) -> tuple[str, str]:
        """Have a version run again; ConflictError if a newer generation was applied or yet another version runs."""
        wished: list[str | int] = [action.from_version, action.to_version, action.environment]
        found, became = self._run(self._roll_back, action, wished)
        return found.decode(), became.decode()

    def rolled_back(self, action: RollBack) -> str | None:
        """The version that this very action has had run again, or None if it never did."""
        return action.to_version if self._noted(action) else None

    def _run(self, script: Script, action: Scale | RollBack, wished: list[Any]) -> list[Any]:
        """What a script found and what that became; it takes as long as a real provider might, where that is wished."""
        key = _key(action)
        try:
            delay_ms = self._line("HGET", key, "delay_ms")
            if delay_ms:
                time.sleep(float(delay_ms) / 1000)
            arguments = [*wished, action.generation, _note(action), action.id]
            answer: list[Any] = script(keys=[key, f"{key}:log"], args=arguments)
        except RedisError as error:
            raise TemporaryError(f"the simulated fleet's Redis is away: {error}") from error
        said, found = answer[0], answer[1:]
        if said == b"older":
            raise ConflictError(f"generation {found[0]} was applied before")
        if said == b"other":
            raise ConflictError(f"version {found[0].decode()} runs by now, which is another one")
        return found

    def _noted(self, action: Scale | RollBack) -> bool:
        try:
            return self._redis.lpos(f"{_key(action)}:log", _note(action)) is not None
        except RedisError as error:
            raise TemporaryError(f"the simulated fleet's Redis is away: {error}") from error


def _key(action: Scale | RollBack) -> str:
    return fleet_key(action.target or action.service)


def _note(action: Scale | RollBack) -> str:
    to = action.to_replicas if isinstance(action, Scale) else action.to_version
    return json.dumps({"id": action.id, "to": to, "generation": action.generation})
