import pytest
import typer

from app.cli.send import kind_of
from app.cli.times import at_ms, duration_ms, optional_ms

NOW = 1_750_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-1h", NOW - 3_600_000),
        ("-1h30m", NOW - 5_400_000),
        ("2025-06-15T15:06:40Z", NOW),
        ("2025-06-15T15:06:40", NOW),
        ("2025-06-15 17:06:40.5+02:00", NOW + 500),
        ("2025-06-15", 1_749_945_600_000),
    ],
)
def test_a_time_can_be_written_in_these_ways(text, expected):
    assert at_ms(text, now=NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "-", "-1", "1h", "2025-13-01"])
def test_anything_else_is_wrong_usage(text):
    with pytest.raises(typer.BadParameter, match="is no time"):
        at_ms(text, now=NOW)


def test_a_time_may_be_left_out():
    assert optional_ms(None) is None


def test_a_duration_is_in_milliseconds():
    assert duration_ms("30m") == 1_800_000


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"host": "web-03", "cpu": 92}, "metrics"),
        ([{"host": "web-03", "cpu": 92}], "metrics"),
        ({"type": "deployed", "service": "web"}, "events"),
        ({"specversion": "1.0"}, "events"),
        ({"service": "web", "wanted": 3, "ready": 2}, "instances"),
        ({"service": "web", "wanted": 3}, "instances"),
        ({"service": "web", "instances": []}, "instances"),
        ([], "metrics"),
        ("text", "metrics"),
    ],
)
def test_a_message_goes_to_the_topic_of_its_kind(message, kind):
    assert kind_of(message) == kind
