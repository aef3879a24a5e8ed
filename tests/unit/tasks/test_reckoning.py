"""What records cost: whole numbers, by the price of each moment, until the next record."""

import pytest

from tasks.clients.books.reckoning import DAY_MS, HOUR_MS, Price, Prices, Record, UnpricedError, days, in_order

PRICES = Prices([Price("small", 5 * HOUR_MS, 30_000), Price("small", 0, 20_000), Price("late", HOUR_MS, 1)])


def record(at_ms=0, replicas=2, price="small", id_="a", service="web", environment="prod"):
    return Record(id_, service, environment, "1", replicas, price, at_ms)


def test_a_record_costs_its_replicas_at_the_price_of_each_moment():
    assert PRICES.cost(record(), 5 * HOUR_MS) == 200_000
    assert PRICES.cost(record(), 7 * HOUR_MS) == 200_000 + 2 * 2 * 30_000
    assert PRICES.cost(record(6 * HOUR_MS), 7 * HOUR_MS) == 60_000
    assert PRICES.per_hour(record(5 * HOUR_MS)) == 60_000
    assert PRICES.per_hour(record(5 * HOUR_MS - 1)) == 40_000


def test_no_time_costs_nothing_and_a_part_of_an_hour_is_rounded_down_once():
    assert PRICES.cost(record(5), 5) == 0
    assert PRICES.cost(record(5), 3) == 0
    assert PRICES.cost(record(replicas=1), 539_999) == 2999


def test_a_time_without_a_price_is_said_and_not_free():
    with pytest.raises(UnpricedError, match=r"late.* of a$"):
        PRICES.cost(record(price="late"), 2 * HOUR_MS)
    with pytest.raises(UnpricedError, match="huge"):
        PRICES.per_hour(record(price="huge"))
    assert PRICES.per_hour(record(HOUR_MS, price="late")) == 2


def test_a_record_lasts_until_the_next_of_its_service_and_environment():
    rows = [record(1, id_="a"), record(3, id_="b"), record(2, environment="test"), record(9, service="x")]
    assert [until for _, until in in_order(rows)] == [3, None, None, None]
    assert list(in_order([])) == []


def test_a_stretch_is_cut_at_each_midnight():
    assert list(days(DAY_MS - 1, 2 * DAY_MS + 1)) == [
        (DAY_MS - 1, DAY_MS),
        (DAY_MS, 2 * DAY_MS),
        (2 * DAY_MS, 2 * DAY_MS + 1),
    ]
    assert list(days(DAY_MS, 2 * DAY_MS)) == [(DAY_MS, 2 * DAY_MS)]
