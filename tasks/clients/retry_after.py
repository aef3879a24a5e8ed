"""What an HTTP answer says of trying again."""

from typing import Final

LONGEST_S: Final = 60.0
"""Longest that an answer may have us wait."""

_AGAIN: Final = frozenset({408, 425, 429})


def again(status: int) -> bool:
    """Whether a request that was answered so may do better later."""
    return status >= 500 or status in _AGAIN


def wait_s(retry_after: str) -> float:
    """Seconds that a header `Retry-After` asks for, a minute at most; 1 where it names a date or nothing."""
    return min(float(retry_after), LONGEST_S) if retry_after.isdecimal() else 1.0
