"""What was done, in Redis: an action takes effect once, whoever delivers it how often.

A claim is a lease with a token, never a mark that dies with its owner: who finds an expired lease
takes it over with a higher token, and the old owner's words do not count any more. Each step is
one script, so one round trip and no moment between; all times are Redis' own. An action that has
a target (a service to scale) leases that too and claims its generation in the same script: one of
them at a time, never an older one after a newer.

Keys: `headrace:action:<id>` and `headrace:target:<driver>:<target>`, hashes.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from redis import Redis

from tasks.contract import action_key, target_key
from tasks.line import Line, Script

CLAIM: Final = """
local owner, hash, lease, keep, generation, id, expires, began, redrive, begins = unpack(ARGV)
local now = redis.call('TIME'); now = now[1] * 1000 + math.floor(now[2] / 1000)
local a = redis.call('HMGET', KEYS[1], 'state', 'until', 'hash', 'outcome', 'redrive', 'undone')
if a[3] and a[3] ~= hash then return {'other'} end
if a[1] == 'done' and a[6] == '1' and tonumber(redrive) > tonumber(a[5] or '0') then
  redis.call('HDEL', KEYS[1], 'state', 'until', 'outcome', 'undone', 'began', 'deaths')
  a[1] = false
end
if a[1] == 'done' then return {'done', a[4], redis.call('HINCRBY', KEYS[1], 'repeats', 1)} end
local before = a[1] or ''
if a[1] and tonumber(a[2]) > now then return {'wait', tonumber(a[2]) - now} end
local answer, newest = 'go', '0'
if now >= tonumber(expires) then answer = 'late' end
if KEYS[2] then
  local t = redis.call('HMGET', KEYS[2], 'holder', 'until', 'generation')
  if t[3] and tonumber(t[3]) > tonumber(generation) then answer = 'older'; newest = t[3] end
  if answer == 'go' then
    if t[1] and t[1] ~= id and tonumber(t[2]) > now then return {'wait', tonumber(t[2]) - now} end
    redis.call('HSET', KEYS[2], 'holder', id, 'until', now + lease, 'generation', generation)
    redis.call('PEXPIRE', KEYS[2], keep)
  end
end
local token = redis.call('HINCRBY', KEYS[1], 'token', 1)
if before == 'leased' or before == 'started' then redis.call('HINCRBY', KEYS[1], 'deaths', 1) end
redis.call('HSETNX', KEYS[1], 'began', began)
local state = (before == 'started' or (answer == 'go' and begins == '1')) and 'started' or 'leased'
redis.call('HSET', KEYS[1], 'state', state, 'owner', owner, 'hash', hash, 'until', now + lease, 'redrive', redrive)
redis.call('PEXPIRE', KEYS[1], keep)
local told = redis.call('HMGET', KEYS[1], 'began', 'deaths')
return {answer, token, before, now, told[1], newest, told[2] or '0'}
"""

KEEP: Final = """
local now = redis.call('TIME'); now = now[1] * 1000 + math.floor(now[2] / 1000)
local a = redis.call('HMGET', KEYS[1], 'token', 'state')
if a[1] ~= ARGV[1] or a[2] == 'done' then return 0 end
redis.call('HSET', KEYS[1], 'until', now + ARGV[2])
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'state', 'started') end
if KEYS[2] and redis.call('HGET', KEYS[2], 'holder') == ARGV[3] then
  redis.call('HSET', KEYS[2], 'until', now + ARGV[2])
end
return 1
"""

RELEASE: Final = """
local a = redis.call('HMGET', KEYS[1], 'token', 'state')
if a[1] ~= ARGV[1] or a[2] == 'done' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'waiting', 'until', 0)
if KEYS[2] and redis.call('HGET', KEYS[2], 'holder') == ARGV[2] then
  redis.call('HDEL', KEYS[2], 'holder', 'until')
end
return 1
"""

FINISH: Final = """
local a = redis.call('HMGET', KEYS[1], 'token', 'state', 'outcome')
if a[2] == 'done' then return a[3] end
if a[1] ~= ARGV[1] then return false end
redis.call('HSET', KEYS[1], 'state', 'done', 'outcome', ARGV[2], 'until', 0, 'undone', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if KEYS[2] and redis.call('HGET', KEYS[2], 'holder') == ARGV[4] then
  redis.call('HDEL', KEYS[2], 'holder', 'until')
end
return ARGV[2]
"""

BURY: Final = """
local hash, keep, id, outcome, redrive = unpack(ARGV)
local now = redis.call('TIME'); now = now[1] * 1000 + math.floor(now[2] / 1000)
local a = redis.call('HMGET', KEYS[1], 'state', 'until', 'hash', 'outcome')
if a[3] and a[3] ~= hash then return {'other'} end
if a[1] == 'done' then return {'done', a[4], 0} end
if a[1] and tonumber(a[2]) > now then return {'wait', tonumber(a[2]) - now} end
redis.call('HINCRBY', KEYS[1], 'token', 1)
redis.call('HSET', KEYS[1], 'state', 'done', 'hash', hash, 'outcome', outcome, 'until', 0, 'undone', '1',
  'redrive', redrive)
redis.call('PEXPIRE', KEYS[1], keep)
if KEYS[2] and redis.call('HGET', KEYS[2], 'holder') == id then
  redis.call('HDEL', KEYS[2], 'holder', 'until')
end
return {'done', outcome, 0}
"""


class Answer(StrEnum):
    """What the ledger says to a claim."""

    GO = "go"  # it is yours
    LATE = "late"  # it is yours to end: it has expired
    OLDER = "older"  # it is yours to end: a newer action claimed the target before
    DONE = "done"  # it was done: the outcome is given back
    WAIT = "wait"  # somebody has it, or its target, for so many ms yet
    OTHER = "other"  # another payload had this id first


@dataclass(frozen=True)
class Claim:
    """An answer. `outcome` and `repeats` come with DONE, `wait_s` with WAIT, the others with GO, LATE and OLDER.

    `before` is the state that was found: empty for the first owner, `waiting` if one gave it back,
    `leased` or `started` if one died with it. `began_ms` is when the first owner's first line was, by
    its clock; `now_ms` is Redis' clock; `newest` is the generation that claimed the target before; `deaths`
    counts the owners that died with it, since it was sent last. `asked_s` is `now_s` just before the
    ledger was asked, from where on the lease lasts its whole time at least.
    """

    answer: Answer
    token: int = 0
    before: str = ""
    now_ms: int = 0
    began_ms: int = 0
    newest: int = 0
    deaths: int = 0
    outcome: bytes = b""
    repeats: int = 0
    wait_s: float = 0.0
    asked_s: float = 0.0

    @property
    def started(self) -> bool:
        """Whether an owner before this one died when it had begun the effect."""
        return self.before == "started"

    @property
    def taken_over(self) -> bool:
        """Whether an owner before this one died with it."""
        return self.before in {"leased", "started"}


@dataclass(frozen=True)
class Entry:
    """What is claimed: an action's id and payload hash, and for kinds that have one its target and generation.

    `redrive` is how often somebody sent it again after it was dead: a higher one than before begins
    anew what was not done.
    """

    id: str
    payload: str
    expires_at_ms: int
    target: str = ""
    generation: int = 0
    redrive: int = 0

    @property
    def keys(self) -> list[str]:
        """The Redis keys that the scripts work on."""
        return [action_key(self.id), *([target_key(self.target)] if self.target else [])]


class Ledger:
    """The ledger, for one worker. `owner` names it to people; the token is what counts."""

    def __init__(self, redis: Redis, owner: str, lease_s: float, keep_s: float) -> None:
        self._owner = owner
        self._lease_ms = round(lease_s * 1000)
        self._keep_ms = round(keep_s * 1000)
        line = Line(redis)
        self._claim = Script(line, CLAIM)
        self._keep = Script(line, KEEP)
        self._release = Script(line, RELEASE)
        self._finish = Script(line, FINISH)
        self._bury = Script(line, BURY)
        self._redis = redis

    def claim(self, entry: Entry, began_ms: int = 0, *, begins: bool = False) -> Claim:
        """Ask for an action; raises `redis.RedisError` if the ledger is away, and then nothing may be done.

        `begins`: if it is ours, note in the same step that its effect begins.
        """
        asked_s = now_s()
        leased = (self._owner, entry.payload, self._lease_ms, self._keep_ms)
        asked = (entry.generation, entry.id, entry.expires_at_ms, began_ms, entry.redrive, int(begins))
        arguments: list[str | int] = [*leased, *asked]
        said, *rest = self._claim(keys=entry.keys, args=arguments)
        match answer := Answer(said.decode()):
            case Answer.DONE:
                return Claim(answer, outcome=rest[0], repeats=rest[1])
            case Answer.WAIT:
                return Claim(answer, wait_s=rest[0] / 1000)
            case Answer.OTHER:
                return Claim(answer)
        token, before, now_ms, began, newest, deaths = rest
        return Claim(answer, token, before.decode(), now_ms, int(began), int(newest), int(deaths), asked_s=asked_s)

    def keep(self, entry: Entry, token: int, *, started: bool = False) -> bool:
        """Prolong a lease, and note that the effect begins; False if it is not ours any more."""
        arguments: list[str | int] = [token, self._lease_ms, entry.id, int(started)]
        return bool(self._keep(keys=entry.keys, args=arguments))

    def release(self, entry: Entry, token: int) -> bool:
        """Give an action back, for whoever gets its copy later; False if it is not ours any more."""
        return bool(self._release(keys=entry.keys, args=[token, entry.id]))

    def finish(self, entry: Entry, token: int, outcome: bytes, *, undone: bool = False) -> bytes | None:
        """Mark as ended; the outcome that counts, or None if the lease is not ours any more.

        `undone`: nothing was done, so that a redrive may try again.
        """
        found = self._finish(keys=entry.keys, args=[token, outcome, self._keep_ms, entry.id, int(undone)])
        return None if found is None else bytes(found)

    def bury(self, entry: Entry, outcome: bytes) -> Claim:
        """Mark as dead what no worker has and what did not end: DONE with the outcome that counts, WAIT or OTHER."""
        arguments: list[str | int | bytes] = [entry.payload, self._keep_ms, entry.id, outcome, entry.redrive]
        said, *rest = self._bury(keys=entry.keys, args=arguments)
        match answer := Answer(said.decode()):
            case Answer.DONE:
                return Claim(answer, outcome=rest[0])
            case Answer.WAIT:
                return Claim(answer, wait_s=rest[0] / 1000)
        return Claim(answer)

    def knows(self, action_id: str) -> bool:
        """Whether an action of this id was ever claimed."""
        return bool(self._redis.exists(action_key(action_id)))


def now_s() -> float:
    """Seconds by a clock of this machine that nobody sets, and that goes on while a process, or the machine, sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
