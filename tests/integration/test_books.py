"""Books of costs: one suite on SQLite and on a real PostgreSQL, then what only one of them can suffer."""

import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from sqlalchemy import create_engine, func, select

from tasks.clients.books import Books
from tasks.clients.books.tables import COSTS, TABLES, TOTALS
from tasks.contract import RecordCost
from tasks.errors import PermanentError, TemporaryError
from tests.integration.test_downstream import SAME, had, targets
from tests.postgres import Postgres

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    had(Postgres)
    running = Postgres(tmp_path_factory.mktemp("postgres"))
    running.start()
    yield running
    running.kill()


@pytest.fixture(params=["sqlite", "postgresql"])
def book(request, tmp_path):
    """(the driver, a connection to look with) of an empty book."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/deep/costs.db"
    else:
        url = request.getfixturevalue("postgres").url
    made = Books(
        targets(tmp_path, f'[books.main]\nurl = "{url}"\nprices = {{default = 0.05, small = 0.02, large = 1e6}}\n')
    )
    yield made, url
    if request.param == "postgresql":
        emptied(url)


def emptied(url):
    """As on the first day."""
    engine = create_engine(url)
    with engine.begin() as db:
        TABLES.drop_all(db)
        db.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
    engine.dispose()


def cost(number=1, replicas=2, at_ms=HOUR_MS, **more):
    given = {"book": "main", "environment": "prod", "version": "1", **SAME, **more}
    return RecordCost(id=f"j-0-{number}-0", replicas=replicas, at_ms=at_ms, **given)


def rows(url, table):
    engine = create_engine(url)
    with engine.connect() as db:
        found = db.execute(select(table)).mappings().all()
    engine.dispose()
    return found


def total(url):
    (found,) = rows(url, TOTALS)
    return found["records"], found["per_hour"], found["spent"]


def test_a_cost_that_comes_three_times_is_booked_once(book):
    made, url = book
    assert [made.record(cost()) for _ in range(3)] == [True, False, False]
    assert total(url) == (1, 100_000, 0)
    assert made.recorded(cost())
    assert not made.recorded(cost(9))


def test_a_newer_record_books_what_was_spent_until_then(book):
    made, url = book
    made.record(cost(1, replicas=2, at_ms=1 * HOUR_MS))
    made.record(cost(2, replicas=4, at_ms=3 * HOUR_MS, price="small"))
    assert total(url) == (2, 80_000, 200_000)


def test_a_record_that_comes_late_costs_until_the_one_after_it_and_ends_the_one_before(book):
    made, url = book
    made.record(cost(1, replicas=2, at_ms=1 * HOUR_MS))
    made.record(cost(2, replicas=2, at_ms=5 * HOUR_MS))
    assert total(url) == (2, 100_000, 400_000)
    made.record(cost(3, replicas=10, at_ms=4 * HOUR_MS))
    assert total(url) == (3, 100_000, 300_000 + 500_000)


def test_workers_that_book_at_once_lose_nothing(book):
    made, url = book
    failures = []

    def work(first):
        try:
            for number in range(first, first + 20):
                made.record(cost(number, at_ms=number * HOUR_MS))
                made.record(cost(number, at_ms=number * HOUR_MS))
        except (PermanentError, TemporaryError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 20, 40, 10)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failures == []
    assert len(rows(url, COSTS)) == 60
    assert total(url)[0] == 60


def test_a_price_that_is_not_known_is_refused(book):
    with pytest.raises(PermanentError, match="default, large, small"):
        book[0].record(cost(price="huge"))


@pytest.mark.parametrize("more", [{"version": "1" * 300}, {"version": "1\x00"}, {"environment": "e" * 300}])
def test_a_record_that_a_database_cannot_take_fails_for_good_or_is_booked_whole(book, more):
    made, url = book
    made.record(cost(1))
    with suppress(PermanentError):  # SQLite takes more than PostgreSQL
        assert made.record(cost(2, **more))
    kept = [row for row in rows(url, COSTS) if row["id"] == cost(2).id]
    assert all(row[name] == value for row in kept for name, value in more.items())
    assert sum(row["records"] for row in rows(url, TOTALS)) == 1 + len(kept)


def test_more_money_than_a_book_can_hold_is_refused_and_spoils_nothing(book):
    made, url = book
    with pytest.raises(PermanentError, match="more than a book can hold"):
        made.record(cost(1, replicas=2**40, price="large"))
    made.record(cost(2, replicas=2**40, price="small"))
    with pytest.raises(PermanentError, match="more than a book can hold"):
        made.record(cost(3, at_ms=2**53 - 1))
    assert [row["id"] for row in rows(url, COSTS)] == [cost(2).id]
    assert total(url) == (1, 20_000 * 2**40, 0)


def test_a_book_that_lost_its_tables_gets_them_again(book):
    made, url = book
    made.record(cost(1))
    emptied(url)
    with pytest.raises(TemporaryError, match="costs"):
        made.record(cost(2))
    assert made.record(cost(2))


def test_a_total_that_another_holds_is_waited_for_and_then_tried_again(book):
    made, url = book
    made.record(cost(1))
    engine = create_engine(url)
    with engine.begin() as db:
        db.execute(TOTALS.update().values(records=TOTALS.c.records))
        with pytest.raises(TemporaryError, match=r"locked|timeout"):
            made.record(cost(2))
    engine.dispose()
    assert made.record(cost(2))
    assert total(url)[0] == 2


@pytest.mark.parametrize(
    "url",
    [
        "nonsense", "mysql://u:s3cret@h/db", "postgresql+nope://u:s3cret@h/db", "postgresql://u:x@h:s3cret/db",
        "postgresql+asyncpg://u:s3cret@h/db", "sqlite://", "sqlite:///:memory:",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_without_its_password(tmp_path, url):
    made = Books(targets(tmp_path, f'[books.main]\nurl = "{url}"\nprices = {{default = 1}}\n'))
    with pytest.raises(PermanentError) as raised:
        made.record(cost())
    assert "s3cret" not in str(raised.value)


def test_a_book_that_may_not_be_written_is_tried_again(tmp_path):
    """By an address that opens it to be read; a file without the right to write is no hindrance for root."""
    file = tmp_path / "costs.db"
    writer = Books(targets(tmp_path, f'[books.main]\nurl = "sqlite:///{file}"\nprices = {{default = 1}}\n'))
    writer.record(cost(1))
    url = f"sqlite:///file:{file}?mode=ro&uri=true"
    reader = Books(targets(tmp_path, f'[books.main]\nurl = "{url}"\nprices = {{default = 1}}\n'))
    with pytest.raises(TemporaryError, match="readonly"):
        reader.record(cost(2))
    assert writer.record(cost(2))


def test_two_workers_that_open_a_new_book_at_once_make_its_tables_once(postgres, tmp_path):
    program = (
        "import sys; from pathlib import Path; from tasks.clients.books import Books;"
        "from tasks.clients.targets import Targets; from tasks.contract import RecordCost;"
        "Books(Targets(Path(sys.argv[1]))).record(RecordCost(id=sys.argv[2], service='web', decided_at_ms=1,"
        "expires_at_ms=2, book='main', environment='prod', version='1', replicas=1, at_ms=1))"
    )
    for url in (f"sqlite:///{tmp_path}/new.db", postgres.url):
        targets(tmp_path, f'[books.main]\nurl = "{url}"\nprices = {{default = 1}}\n')
        started = [
            subprocess.Popen([sys.executable, "-c", program, tmp_path / "targets.toml", f"j-0-{n}-0"]) for n in range(4)
        ]
        assert [one.wait(60) for one in started] == [0, 0, 0, 0]
        assert len(rows(url, COSTS)) == 4
    emptied(postgres.url)


def test_a_frozen_database_costs_a_worker_five_seconds_and_no_record(tmp_path):
    had(Postgres)
    running = Postgres(tmp_path)
    running.start()
    try:
        made = Books(targets(tmp_path, f'[books.main]\nurl = "{running.url}"\nprices = {{default = 1}}\n'))
        made.record(cost(1))
        running.freeze()
        with pytest.raises(TemporaryError, match="timeout"):
            made.record(cost(2))
        running.thaw()
        assert made.record(cost(2))
        assert len(rows(running.url, COSTS)) == 2
    finally:
        running.thaw()
        running.kill()


def test_a_database_that_goes_away_is_tried_again_and_books_once(tmp_path):
    had(Postgres)
    running = Postgres(tmp_path)
    running.start()
    try:
        text = (
            f'[books.main]\nurl = "{running.url.replace("postgres@", "postgres:s3cret@")}"\nprices = {{default = 1}}\n'
        )
        made = Books(targets(tmp_path, text))
        made.record(cost(1))
        running.kill()
        with pytest.raises(TemporaryError) as raised:
            made.record(cost(2))
        assert "s3cret" not in str(raised.value)
        running.start()
        made.record(cost(2))
        made.record(cost(1))
        assert len(rows(running.url, COSTS)) == 2
    finally:
        running.kill()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)  # pooled connections may still be open


def until_it_fails(made, booked):
    """Book costs until one cannot be; that one."""
    for number in range(1, 1000):
        try:
            made.record(cost(number))
        except TemporaryError:
            return cost(number)
        booked.append(number)
    raise AssertionError("the disk was never full")


def test_on_a_full_disk_a_cost_is_tried_again_and_none_is_lost_or_doubled(small_disk, tmp_path):
    made = Books(
        targets(tmp_path, f'[books.main]\nurl = "sqlite:///{small_disk}/costs.db"\nprices = {{default = 1}}\n')
    )
    made.record(cost(0))
    filler = small_disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 1000):
            pass
    booked = [0]
    with pytest.raises(TemporaryError, match=r"disk|full|I/O"):
        made.record(until_it_fails(made, booked))
    filler.unlink()
    for number in [*booked, len(booked)]:
        made.record(cost(number))
    engine = create_engine(f"sqlite:///{small_disk}/costs.db")
    with engine.connect() as db:
        assert db.execute(select(func.count()).select_from(COSTS)).scalar() == len(booked) + 1
        assert db.execute(select(TOTALS.c.records)).scalar() == len(booked) + 1
    engine.dispose()
