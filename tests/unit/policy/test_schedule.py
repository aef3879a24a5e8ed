"""Schedules: when their windows are open, also where clocks change, and what their limits do to a service."""

from datetime import UTC, datetime
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.policy import calendars
from app.policy.autoscale import Limits
from app.policy.calendars import cron, last_ms, next_ms, zone_name
from app.policy.files import PolicyError, load
from app.policy.model_schedule import Schedule
from app.policy.schedule import Calendar, window_at
from tests.unit.policy.builders import Journal, policy, reasons, scales
from tests.unit.policy.test_guards import with_spec

BERLIN = ZoneInfo("Europe/Berlin")
LIMITS = Limits(2, 10)
HOUR_MS = 3_600_000


def ms(text, zone=UTC, fold=0):
    return round(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp() * 1000)


def schedule(**more):
    given = {"name": "night", "start": "0 22 * * *", "end": "0 6 * * *", "timezone": "Europe/Berlin", "minReplicas": 1}
    if "duration" in more:
        given.pop("end")
    return Schedule.model_validate(given | more)


def limits(now_ms, *schedules):
    found = Calendar(schedules, LIMITS).at(now_ms)
    return found.limits.least, found.limits.most


@pytest.mark.parametrize(
    ("local", "is_open"),
    [
        ("2026-01-10T21:59:59", False), ("2026-01-10T22:00:00", True), ("2026-01-11T00:00:00", True),
        ("2026-01-11T05:59:59", True), ("2026-01-11T06:00:00", False), ("2026-01-11T12:00:00", False),
    ],
)  # fmt: skip
def test_a_window_over_midnight_has_its_start_and_not_its_end(local, is_open):
    assert (window_at(schedule(), ms(local, BERLIN)).opened_ms >= 0) is is_open
    assert (window_at(schedule(end=None, duration="8h"), ms(local, BERLIN)).opened_ms >= 0) is is_open


def test_a_night_is_an_hour_shorter_where_the_clock_is_put_forward_and_longer_where_it_is_put_back():
    for day, hours in (("2026-03-28", 7), ("2026-10-24", 9), ("2026-06-01", 8)):
        found = window_at(schedule(), ms(f"{day}T23:00", BERLIN))
        assert found.opened_ms == ms(f"{day}T22:00", BERLIN)
        assert found.closes_ms - found.opened_ms == hours * HOUR_MS
        lasting = window_at(schedule(duration="8h"), ms(f"{day}T23:00", BERLIN))
        assert lasting.closes_ms - lasting.opened_ms == 8 * HOUR_MS, "a duration is time that passes"


def test_what_falls_into_the_hour_that_is_left_out_comes_at_its_end():
    at = schedule(start="30 2 * * *", end="0 6 * * *")
    assert window_at(at, ms("2026-03-29T00:59:59")).opened_ms < 0
    found = window_at(at, ms("2026-03-29T01:00:00"))
    assert (found.opened_ms, found.closes_ms) == (ms("2026-03-29T01:00"), ms("2026-03-29T04:00"))
    assert last_ms("30 2 * * *", "Europe/Berlin", ms("2026-03-29T12:00")) == ms("2026-03-29T01:00")


def test_what_falls_into_the_hour_that_comes_twice_comes_the_first_time_only():
    first, second = ms("2026-10-25T02:30", BERLIN), ms("2026-10-25T02:30", BERLIN, fold=1)
    assert second - first == HOUR_MS
    zone = "Europe/Berlin"
    for now_ms in range(first, second + 3 * HOUR_MS, 600_000):
        assert last_ms("30 2 * * *", zone, now_ms) == first
        assert next_ms("30 2 * * *", zone, now_ms) == ms("2026-10-26T02:30", BERLIN)
    assert next_ms("30 2 * * *", zone, first - 1) == first
    at = schedule(start="30 2 * * *", end="45 2 * * *")
    assert window_at(at, second).opened_ms < 0, "it closed at the first 2:45"


MINUTES = st.integers(0, 59)
HOURS = st.integers(0, 23)
MOMENTS = st.integers(ms("2026-01-01T00:00"), ms("2027-01-01T00:00"))
WINDOWS = st.builds(
    lambda number, start, end, days, most: schedule(
        name=f"s{number}", start=f"{start[0]} {start[1]} * * {days}", end=f"{end[0]} {end[1]} * * *",
        minReplicas=number % 4 or None, maxReplicas=most,
    ),
    st.integers(0, 50), st.tuples(MINUTES, HOURS).map(lambda one: (one[0] // 2 * 2 + 1, one[1])),
    st.tuples(MINUTES, HOURS).map(lambda one: (one[0] // 2 * 2, one[1])),
    st.sampled_from(["*", "MON-FRI", "6,0"]), st.integers(4, 12),
)  # fmt: skip


@given(st.tuples(MINUTES, HOURS), st.tuples(MINUTES, HOURS), MOMENTS)
@settings(deadline=None)
def test_a_daily_window_is_open_as_the_clock_on_the_wall_says(start, end, now_ms):
    if start == end:
        return
    local = datetime.fromtimestamp(now_ms / 1000, BERLIN)
    if {2, 3} & {start[1], end[1]} or local.date().isoformat() in {"2026-03-29", "2026-10-25"}:
        return  # the hours that are left out and come twice have tests of their own
    begin, finish, now = (60 * one[1] + one[0] for one in (start, end, (local.minute, local.hour)))
    wall = begin <= now < finish if begin < finish else now >= begin or now < finish
    found = window_at(schedule(start="{} {} * * *".format(*start), end="{} {} * * *".format(*end)), now_ms)
    assert (found.opened_ms >= 0) is wall


@given(st.lists(WINDOWS, min_size=1, max_size=4), st.lists(MOMENTS, min_size=1, max_size=8), st.data())
@settings(deadline=None)
def test_what_a_calendar_remembers_is_what_it_would_find(schedules, moments, data):
    kept = Calendar(schedules, LIMITS)
    for now_ms in moments:
        found = kept.at(now_ms)
        assert found == Calendar(schedules, LIMITS).at(now_ms)
        assert found.from_ms <= now_ms < found.until_ms
        between = data.draw(st.integers(found.from_ms, found.until_ms - 1))
        assert Calendar(schedules, LIMITS).at(between) == found


@given(st.lists(WINDOWS, min_size=1, max_size=4), MOMENTS)
@settings(deadline=None)
def test_of_windows_that_overlap_the_highest_minimum_and_the_lowest_maximum_count(schedules, now_ms):
    opened = [one for one in schedules if window_at(one, now_ms).opened_ms >= 0]
    least = max((one.minReplicas for one in opened if one.minReplicas), default=2)
    most = min((one.maxReplicas for one in opened), default=10)
    assert limits(now_ms, *schedules) == (least, max(least, most))


def test_the_minimum_wins_where_windows_contradict():
    day = {"start": "0 8 * * *", "end": "0 20 * * *"}
    calm = schedule(name="calm", minReplicas=1, maxReplicas=3, **day)
    sale = schedule(name="sale", minReplicas=8, **day)
    assert limits(ms("2026-01-10T12:00"), calm, sale) == (8, 8)


def test_windows_that_meet_leave_no_moment_between_them():
    """KEDA #6665: where one cron trigger ended as the next began, the replicas went down and up again."""
    early = schedule(name="early", start="0 6 * * *", end="30 16 * * *", minReplicas=5)
    late = schedule(name="late", start="30 16 * * *", end="0 6 * * *", minReplicas=5)
    calendar = Calendar((early, late), LIMITS)
    meet = ms("2026-01-10T16:30", BERLIN)
    for now_ms in range(meet - 2000, meet + 2000, 100):
        assert calendar.at(now_ms).limits.least == 5
    again = schedule(name="again", start="0 */4 * * *", end="0 4 * * *")
    assert window_at(again, ms("2026-01-10T04:00", BERLIN)).opened_ms == ms("2026-01-10T04:00", BERLIN)


def test_zones_come_from_the_package_and_not_from_the_system(monkeypatch):
    class Package:
        """A tzdata in which Berlin's clocks are Tokyo's."""

        def joinpath(self, *parts):
            assert parts == ("Europe", "Berlin")
            return files("tzdata.zoneinfo").joinpath("Asia", "Tokyo")

    calendars._zone.cache_clear()
    monkeypatch.setattr(calendars, "files", {"tzdata.zoneinfo": Package()}.get)
    found = last_ms("0 22 * * *", "Europe/Berlin", ms("2026-09-20T20:00"))
    calendars._zone.cache_clear()
    assert found == ms("2026-09-20T13:00")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"start": "22:00"}, "is no cron expression: write minute, hour"),
        ({"start": "61 22 * * *"}, "is no cron expression (bad minute)"),
        ({"start": "0 0 22 * * *"}, "is no cron expression: write minute, hour"),
        ({"start": "0 0 31 2 *"}, "is no cron expression (bad day-of-month)"),
        ({"timezone": "Europe/Berlln"}, "is no time zone; did you mean Europe/Berlin?"),
        ({"timezone": "../../etc/passwd"}, "is no time zone; "),
        ({"duration": "8h", "end": "0 6 * * *"}, "an end or a duration, and not both"),
        ({"end": None}, "an end or a duration, and not both"),
        ({"duration": "0s"}, "duration must be above 0s"),
        ({"end": "0  22 * * *"}, "the window would never end"),
        ({"minReplicas": None}, "needs minReplicas, maxReplicas or both"),
    ],
)
def test_a_mistake_is_told_with_what_was_expected(more, expected):
    with pytest.raises(ValidationError) as told:
        schedule(**more)
    assert expected in str(told.value)


def test_a_schedule_fits_its_policy():
    def told(text):
        with pytest.raises(PolicyError) as error:
            load({"a.yaml": with_spec("web", schedules=text)})
        return str(error.value)

    night = "name: night, start: 0 22 * * *, duration: 8h"
    assert "in schedule night maxReplicas (10) is below minReplicas (12)" in told(f"[{{{night}, minReplicas: 12}}]")
    assert "minReplicas 0 needs a metric" in told(f"[{{{night}, minReplicas: 0}}]")
    twice = f"{{{night}, minReplicas: 3}}"
    assert "schedules must have names of their own; they are night, night" in told(f"[{twice}, {twice}]")


@given(st.text(alphabet="0123456789*/-,#LW MONFRI", max_size=30))
@settings(deadline=None)
def test_any_text_is_a_cron_expression_or_a_mistake(text):
    try:
        cron(text)
    except ValueError:
        return
    assert next_ms(text, "UTC", ms("2026-01-01T00:00")) is not None


def test_every_zone_of_the_package_can_be_asked():
    for name in ("UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Antarctica/Troll", "Australia/Lord_Howe"):
        assert zone_name(name) == name
        for days in range(0, 366, 5):
            now_ms = ms("2026-01-01T00:00") + days * 24 * HOUR_MS
            before, after = last_ms("30 2 * * *", name, now_ms), next_ms("30 2 * * *", name, now_ms)
            assert before <= now_ms < after
            assert after - before <= 25 * HOUR_MS


NIGHT = "[{name: night, start: 0 22 * * *, end: 0 6 * * *, timezone: UTC, minReplicas: 1, maxReplicas: 2}]"
RUSH = "[{name: rush, start: 0 22 * * *, duration: 1h, minReplicas: 6}]"


def at_evening(schedules, wanted, before_s=60):
    """A service some seconds before 22:00."""
    made = Journal()
    made.at_ms = ms("2026-01-10T22:00") - before_s * 1000
    made.policies(with_spec("web", schedules=schedules))
    made.instances(wanted)
    return made


def done(made, decided):
    for one in decided:
        if scales([one]):
            made.outcome(one.action)
    return decided


def test_a_minimum_is_there_with_the_window_and_needs_no_sample():
    made = at_evening(RUSH, wanted=3)
    made.samples(60, 60, 60)
    assert scales(made.tick(after_s=59)) == []
    (up,) = made.tick(after_s=1)
    assert (up.reason, scales([up])) == ("BELOW_MINIMUM", [(3, 6)])
    (window,) = up.evidence["schedule"]["windows"]
    assert window == {
        "name": "rush", "minReplicas": 6, "from_ms": ms("2026-01-10T22:00"), "until_ms": ms("2026-01-10T23:00")
    }  # fmt: skip
    done(made, [up])
    calm = done(made, made.samples(*[20] * 6, after_s=1))
    assert reasons(calm) == ["AT_MINIMUM"]
    assert calm[0].evidence["schedule"]["minReplicas"] == 6
    down = made.samples(*[20] * 6, after_s=3600)
    assert scales(down) == [(6, 2)]
    assert "schedule" not in down[0].evidence


def test_a_maximum_comes_and_goes_with_the_window():
    made = at_evening(NIGHT, wanted=3)
    assert reasons(made.samples(60, 60, 60)) == []
    (down,) = done(made, made.tick(after_s=60))
    assert (down.reason, scales([down])) == ("ABOVE_MAXIMUM", [(3, 2)])
    assert reasons(made.samples(95, 95, after_s=1)) == ["AT_MAXIMUM"]
    assert scales(made.samples(95, 95, after_s=8 * 3600)) == [(2, 4)]


def test_people_are_told_whose_limit_it_is():
    made = at_evening(RUSH, wanted=3)
    made.policies(with_spec("web", schedules=RUSH).replace('notify: ""', "notify: team"))
    _, told = made.tick(after_s=60)
    assert told.action.title == "web: 3 → 6 replicas: the minimum is 6 (schedule rush)"


def test_a_fallback_keeps_to_the_limits_of_the_window():
    made = at_evening(NIGHT, wanted=2, before_s=0)
    text = with_spec("web", schedules=NIGHT, fallback="{replicas: 7, after: 60s}")
    made.policies(text.replace("stale: 5m", "stale: 10s"))
    made.samples(60, 60)
    made.tick(after_s=20, behind_s=0)
    decided = made.tick(after_s=70, behind_s=0)
    assert (reasons(decided), scales(decided)) == (["FALLBACK"], []), "7 is cut to the night's 2, which there are"


def test_a_plain_policy_has_no_schedule_in_its_evidence():
    made = Journal()
    made.policies(policy())
    made.instances(2)
    assert "schedule" not in made.samples(95, 95)[0].evidence


def test_a_look_costs_no_cron(monkeypatch):
    made = at_evening(NIGHT, wanted=2, before_s=0)
    made.samples(60, 60)
    asked = []
    monkeypatch.setattr("app.policy.schedule.last_ms", lambda *args: asked.append(args))
    for _ in range(100):
        made.samples(60, 60, after_s=1)
    assert asked == []
