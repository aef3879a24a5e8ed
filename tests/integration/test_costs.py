"""What a book says of costs, its versions, its prices, and records that come at once: on SQLite and PostgreSQL."""

import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect
from typer.testing import CliRunner

from app.cli import root
from tasks.clients.books import Books
from tasks.clients.books.account import Accounts, Stretch
from tasks.clients.books.database import Database
from tasks.clients.books.tables import COSTS, PRICES, TABLES, TOTALS
from tasks.errors import PermanentError, TemporaryError
from tasks.settings import settings as worker_settings
from tests.integration.test_books import HOUR_MS, SAME, cost, emptied, postgres, rows  # noqa: F401 - a fixture
from tests.integration.test_downstream import had, targets
from tests.postgres import Postgres

DAY_MS = 24 * HOUR_MS
ALL = Stretch(0, 10**13, 100 * DAY_MS)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The address of an empty book."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/costs.db"
    else:
        found = request.getfixturevalue("postgres").url
        yield found
        emptied(found)


def written(tmp_path, url, prices="{default = 0.05}"):
    return targets(tmp_path, f'[books.main]\nurl = "{url}"\nprices = {prices}\n')


def spent(url):
    (found,) = rows(url, TOTALS)
    return found["spent"]


def test_the_migrations_make_the_tables_that_the_code_knows_and_a_second_time_nothing(url):
    database = Database("main", url)
    assert not database.there
    assert database.migrate()
    assert not database.migrate()
    assert database.there
    engine = create_engine(url)
    with engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), TABLES) == []
        assert {"costs", "cost_totals", "cost_prices", "alembic_version"} <= set(inspect(db).get_table_names())
    engine.dispose()


def test_a_migration_that_fails_half_way_leaves_nothing(url, monkeypatch):
    def failing(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("alembic.op.create_index", failing)
    database = Database("main", url)
    with pytest.raises(KeyboardInterrupt):
        database.migrate()
    engine = create_engine(url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    monkeypatch.undo()
    assert database.migrate()


def test_a_book_of_a_newer_version_is_left_as_it_is(url, tmp_path):
    made = Books(written(tmp_path, url))
    made.record(cost(1))
    engine = create_engine(url)
    with engine.begin() as db:
        db.exec_driver_sql("UPDATE alembic_version SET version_num = '999'")
    engine.dispose()
    with pytest.raises(TemporaryError, match=r"version 999.*start a newer one"):
        Books(written(tmp_path, url)).record(cost(2))
    with pytest.raises(PermanentError, match="headrace costs init"):
        Accounts(written(tmp_path, url)).days("main", ALL)
    assert [row["id"] for row in rows(url, COSTS)] == [cost(1).id]


def test_in_whatever_order_records_come_the_total_is_what_the_decisions_cost(url, tmp_path):
    """All orders of four, two of them of one moment, over a change of the price."""
    prices = "{default = [{price = 0.05}, {price = 0.07, from = 1970-01-02}]}"
    given = [
        cost(1, replicas=3, at_ms=HOUR_MS), cost(2, replicas=5, at_ms=30 * HOUR_MS + 7),
        cost(3, replicas=7, at_ms=30 * HOUR_MS + 7), cost(4, replicas=0, at_ms=60 * HOUR_MS + 11),
    ]  # fmt: skip
    found = set()
    for order in itertools.permutations(given):
        made = Books(written(tmp_path, url, prices))
        for one in order:
            assert made.record(one)
        decided = Accounts(written(tmp_path, url, prices)).decided("main", ALL)
        assert sum(one.cost for one in decided) == spent(url)
        found.add(spent(url))
        emptied(url)
    first = 3 * 23 * 50_000 + (3 * 70_000 * (6 * HOUR_MS + 7)) // HOUR_MS
    assert found == {first + 7 * 70_000 * (30 * HOUR_MS + 4) // HOUR_MS}


def test_a_price_that_begins_later_holds_from_its_day_on_for_what_is_booked_too(url, tmp_path):
    Books(written(tmp_path, url)).record(cost(1, replicas=2, at_ms=0))
    Books(written(tmp_path, url)).record(cost(2, replicas=2, at_ms=2 * DAY_MS))
    assert spent(url) == 2 * 48 * 50_000
    more = written(tmp_path, url, "{default = [{price = 0.05}, {price = 0.1, from = 1970-01-02}]}")
    assert not Books(more).record(cost(2, replicas=2, at_ms=2 * DAY_MS))
    assert spent(url) == 2 * 24 * 50_000 + 2 * 24 * 100_000
    assert not Books(written(tmp_path, url)).record(cost(2))  # an older file has less and contradicts nothing
    assert len(rows(url, PRICES)) == 2


def test_a_price_that_contradicts_the_book_is_said_and_put_right_by_init_alone(url, tmp_path):
    Books(written(tmp_path, url)).record(cost(1, replicas=2, at_ms=0))
    wrong = Books(written(tmp_path, url, "{default = 0.5}"))
    with pytest.raises(TemporaryError, match="headrace costs init"):
        wrong.record(cost(2, replicas=2, at_ms=HOUR_MS))
    assert Accounts(written(tmp_path, url, "{default = 0.5}")).init("main")[0] is False
    assert wrong.record(cost(2, replicas=2, at_ms=HOUR_MS))
    assert spent(url) == 1_000_000


def test_a_record_from_before_its_price_is_refused_and_init_leaves_none_without(url, tmp_path):
    late = written(tmp_path, url, "{default = [{price = 0.05, from = 1970-01-02}]}")
    with pytest.raises(PermanentError, match="says nothing of the time"):
        Books(late).record(cost(1, at_ms=0))
    assert rows(url, COSTS) == []
    Books(late).record(cost(1, at_ms=DAY_MS))
    with pytest.raises(PermanentError, match="which is booked"):
        Accounts(written(tmp_path, url, "{default = [{price = 0.05, from = 1970-01-03}]}")).init("main")
    assert [row["from_ms"] for row in rows(url, PRICES)] == [DAY_MS]


def test_days_add_up_to_decisions_and_a_stretch_has_its_part_of_them(url, tmp_path):
    made = Books(written(tmp_path, url))
    made.record(cost(1, replicas=2, at_ms=DAY_MS // 2))
    made.record(cost(2, replicas=4, at_ms=2 * DAY_MS))
    made.record(cost(3, replicas=1, at_ms=DAY_MS, **{**SAME, "service": "api"}))
    accounts = Accounts(written(tmp_path, url))
    stretch = Stretch(0, 3 * DAY_MS, 3 * DAY_MS)
    found = accounts.days("main", stretch)
    assert [(str(one.day), one.service, one.cost) for one in found] == [
        ("1970-01-01", "web", 12 * 100_000),
        ("1970-01-02", "api", 24 * 50_000),
        ("1970-01-02", "web", 24 * 100_000),
        ("1970-01-03", "api", 24 * 50_000),
        ("1970-01-03", "web", 24 * 200_000),
    ]
    decided = accounts.decided("main", stretch)
    assert sum(one.cost for one in decided) == sum(one.cost for one in found)
    assert [(one.record.id, one.runs) for one in decided] == [
        (cost(1).id, False),
        (cost(3).id, True),
        (cost(2).id, True),
    ]
    (part,) = accounts.decided("main", Stretch(DAY_MS, DAY_MS + HOUR_MS, 3 * DAY_MS), "web")
    assert (part.cost, part.runs) == (100_000, False)


PROGRAM = (
    "import sys; from pathlib import Path; from tasks.clients.books import Books;"
    "from tasks.clients.targets import Targets; from tests.integration.test_books import cost\n"
    "made = Books(Targets(Path(sys.argv[1])))\n"
    "for number in range(10): print(made.record(cost(1, at_ms=3600000)), flush=True)"
)


def test_ten_times_the_same_by_two_workers_is_counted_once(url, tmp_path):
    written(tmp_path, url)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    workers = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path / "targets.toml"], stdout=subprocess.PIPE, env=env)
        for _ in range(2)
    ]
    said = b"".join(one.communicate(timeout=60)[0] for one in workers).split()
    assert sorted(said) == [b"False"] * 19 + [b"True"]
    assert rows(url, TOTALS)[0]["records"] == 1
    assert len(rows(url, COSTS)) == 1


def test_a_database_that_is_killed_again_and_again_in_the_middle_has_each_record_once(tmp_path):
    had(Postgres)
    running = Postgres(tmp_path)
    running.start()
    made = Books(written(tmp_path, running.url))
    failures, ended = [], threading.Event()

    def work(numbers):
        for number in numbers:
            while not ended.is_set():
                try:
                    made.record(cost(number, replicas=number, at_ms=number * HOUR_MS))
                    made.record(cost(number, replicas=number, at_ms=number * HOUR_MS))
                except TemporaryError:
                    failures.append(number)
                    time.sleep(0.05)
                else:
                    break

    mixed = random.Random(7).sample(range(1, 301), 300)
    workers = [threading.Thread(target=work, args=(mixed[first::2] + mixed[:20],)) for first in (0, 1)]
    try:
        for one in workers:
            one.start()
        for _ in range(4):
            before = len(rows_or_none(running.url))
            deadline = time.monotonic() + 30
            while len(rows_or_none(running.url)) <= before and time.monotonic() < deadline:
                time.sleep(0.02)
            running.kill()
            running.start()
        for one in workers:
            one.join(120)
        assert not any(one.is_alive() for one in workers)
        assert failures
        (total,) = rows(running.url, TOTALS)
        assert (total["records"], len(rows(running.url, COSTS))) == (300, 300)
        assert total["spent"] == sum(range(1, 300)) * 50_000
    finally:
        ended.set()
        running.kill()


def rows_or_none(url):
    with suppress(Exception):
        return rows(url, COSTS)
    return []


def test_the_command_says_costs_by_day_and_by_decision(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/costs.db"
    written(tmp_path, url)
    monkeypatch.setenv("HEADRACE_TARGETS_FILE", str(tmp_path / "targets.toml"))
    worker_settings.cache_clear()

    def run(*arguments):
        return CliRunner().invoke(root, ["costs", *arguments])

    refused = run()
    assert (refused.exit_code, "run `headrace costs init`" in refused.output) == (1, True)
    assert not (tmp_path / "costs.db").exists()
    made = run("init")
    assert made.output == "book main: its tables were made\nprice default is 0.0500 an hour ever since\n"
    assert run("init").output == "book main: its tables are of this version\n"
    books = Books(written(tmp_path, url))
    books.record(cost(1, replicas=2, at_ms=DAY_MS - HOUR_MS))
    books.record(cost(2, replicas=0, at_ms=DAY_MS + 2 * HOUR_MS))
    told = run("--from", "1970-01-01").output
    assert [line.split() for line in told.splitlines()] == [
        ["day", "(UTC)", "service", "environment", "cost"],
        ["1970-01-01", "web", "prod", "0.1000"],
        *[["1970-01-02", "web", "prod", "0.2000"]],
        *[line.split() for line in told.splitlines()[3:-1]],
        ["all", "0.3000"],
    ]
    first, second = (
        json.loads(line) for line in run("--by", "decision", "--from", "1970-01-01", "-o", "json").output.splitlines()
    )
    assert (first["id"], first["cost"], first["runs"]) == (cost(1).id, 0.3, False)
    assert (second["cost"], second["runs"]) == (0, True)
    by_day = [
        json.loads(line) for line in run("--from", "1970-01-01", "--to", "1970-01-02", "-o", "json").output.splitlines()
    ]
    assert by_day == [{"day": "1970-01-01", "service": "web", "environment": "prod", "cost": 0.1}]
    assert run("--from", "1970-01-01", "--by", "decision").output.splitlines()[-1].split() == ["all", "0.3000"]
    assert "there is no book 'other'" in run("--book", "other").output
    assert run("--from", "now", "--to", "-1d").exit_code == 2
    worker_settings.cache_clear()
