"""Time zones by name, from the pinned `tzdata` package and never from the machine: a journal decides alike anywhere."""

from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo


@lru_cache(maxsize=1000)
def zone(name: str) -> ZoneInfo:
    """A time zone such as `Europe/Berlin`; raises ValueError if there is none of that name."""
    if name not in _names():
        raise ValueError(f"{name!r} is no time zone; write it like Europe/Berlin or UTC")
    with files("tzdata.zoneinfo").joinpath(*name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())
