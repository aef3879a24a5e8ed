"""Time intervals in Alertmanager's words: hours of the day, weekdays, days of the month, months, years. Pure.

`app.policy.model_alerting` has them, `app.policy.telling` asks whether now is within one.
"""

from calendar import monthrange
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from app.policy.model import Strict
from app.policy.zones import zone

WEEKDAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip


def minute(text: str) -> int:
    """Minutes since midnight of `09:30`, up to `24:00`; raises ValueError."""
    hours, colon, minutes = text.partition(":")
    if colon and len(hours) == len(minutes) == 2 and (hours + minutes).isascii() and (hours + minutes).isdigit():
        found = int(hours) * 60 + int(minutes)
        if int(minutes) < 60 and found <= 1440:
            return found
    raise ValueError(f"{text!r} is no time of the day; write it like '09:30', from '00:00' to '24:00'")


def _span(text: str, number: Callable[[str], int]) -> tuple[int, int]:
    """First and last of `a:b`, or of `a` alone; `number` turns a word into its number."""
    first, colon, last = text.partition(":")
    begin = number(first.strip())
    end = number(last.strip()) if colon else begin
    return begin, end


def _weekday(word: str) -> int:
    if word.lower() not in WEEKDAYS:
        raise ValueError(f"{word!r} is no weekday; write it like monday, or monday:friday")
    return WEEKDAYS.index(word.lower())


def _month(word: str) -> int:
    if word.lower() in MONTHS:
        return MONTHS.index(word.lower()) + 1
    if word.isascii() and word.isdigit() and 1 <= int(word) <= 12:
        return int(word)
    raise ValueError(f"{word!r} is no month; write it like march, or january:march")


def _number(word: str) -> int:
    if not word.removeprefix("-").isascii() or not word.removeprefix("-").isdigit() or len(word) > 5:
        raise ValueError(f"{word!r} is no number")
    return int(word)


def _day(word: str) -> int:
    found = _number(word)
    if found == 0 or abs(found) > 31:
        raise ValueError(f"{word!r} is no day of a month; there are 1 to 31, and -1 is the last")
    return found


def _range(number: Callable[[str], int]) -> BeforeValidator:
    """Checks a range, and takes a number that stands alone for its text."""

    def check(given: object) -> object:
        text = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
        if isinstance(text, str):
            begin, end = _span(text, number)
            if number is _day and begin < 0 < end:
                raise ValueError(f"{text!r} begins from the end of the month, so it has to end there too")
            if _place(begin) > _place(end):
                raise ValueError(f"{text!r} ends before it begins; write two ranges")
        return text

    return BeforeValidator(check)


def _place(number: int) -> int:
    """Where a day is in a month of 31; other numbers are never negative."""
    return number + 32 if number < 0 else number


def _zone(name: str) -> str:
    zone(name)
    return name


def _minute(text: str) -> str:
    minute(text)
    return text


class Times(Strict):
    """Hours of a day; one that begins before midnight and ends after it is two."""

    start_time: Annotated[str, AfterValidator(_minute), Field(description="From when, like `09:00`.")]
    end_time: Annotated[str, AfterValidator(_minute), Field(description="Until when, not included; up to `24:00`.")]

    @model_validator(mode="after")
    def _begins_first(self) -> "Times":
        if minute(self.start_time) >= minute(self.end_time):
            raise ValueError(f"{self.start_time} is not before {self.end_time}; over midnight, write two ranges")
        return self


class TimeInterval(Strict):
    """A moment is within it if it fits everything that is given; of each list, one entry is enough."""

    times: Annotated[tuple[Times, ...], Field(description="Hours of the day; left out: all.")] = ()
    weekdays: Annotated[
        tuple[Annotated[str, _range(_weekday)], ...], Field(description="Like `monday:friday`; left out: all.")
    ] = ()
    days_of_month: Annotated[
        tuple[Annotated[str, _range(_day)], ...],
        Field(description="Like `1:7`; `-1` is the last day; left out: all."),
    ] = ()
    months: Annotated[
        tuple[Annotated[str, _range(_month)], ...], Field(description="Like `january:march`; left out: all.")
    ] = ()
    years: Annotated[
        tuple[Annotated[str, _range(_number)], ...], Field(description="Like `2026:2028`; left out: all.")
    ] = ()
    location: Annotated[str, AfterValidator(_zone), Field(description="The time zone, like `Europe/Berlin`.")] = "UTC"

    def contains(self, at_ms: int) -> bool:
        """Whether a moment, in milliseconds since the epoch, is within it."""
        at = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone(self.location))
        minutes = at.hour * 60 + at.minute
        return (
            _any(minute(one.start_time) <= minutes < minute(one.end_time) for one in self.times)
            and _any(_within(one, at) for one in self.days_of_month)
            and _any(_inside(_span(one, _month), at.month) for one in self.months)
            and _any(_inside(_span(one, _weekday), at.isoweekday() % 7) for one in self.weekdays)
            and _any(_inside(_span(one, _number), at.year) for one in self.years)
        )


def _any(found: Iterable[bool]) -> bool:
    """Whether one of a list is so; an empty list asks for nothing."""
    answers = list(found)
    return not answers or any(answers)


def _inside(span: tuple[int, int], number: int) -> bool:
    return span[0] <= number <= span[1]


def _within(text: str, at: datetime) -> bool:
    """Whether a day is within a range of days of its month, some of which may be counted from its end."""
    last = monthrange(at.year, at.month)[1]
    begin, end = (last + one + 1 if one < 0 else one for one in _span(text, _day))
    return begin <= at.day <= end


class NamedInterval(Strict):
    """Intervals under a name, by which routes know them."""

    name: Annotated[str, Field(min_length=1, description="Unique in the document.")]
    time_intervals: Annotated[
        tuple[TimeInterval, ...], Field(min_length=1, description="A moment is within if it is within one of them.")
    ]

    def contains(self, at_ms: int) -> bool:
        """Whether a moment is within it."""
        return any(one.contains(at_ms) for one in self.time_intervals)
