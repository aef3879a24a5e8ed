"""Each downstream driver on the real thing: HAProxy with traffic, SQLite and PostgreSQL, a dashboard's API."""

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import create_engine, func, select

from app.local import servers
from app.local.grafana import Dashboard
from app.local.haproxy import SLOTS, HAProxy
from app.local.receiver import Receiver
from app.settings import Settings
from tasks.clients import books
from tasks.clients.books import COSTS, TOTALS, Books
from tasks.clients.dashboards import Dashboards
from tasks.clients.haproxy import HAProxy as Balancers
from tasks.clients.receivers import AppriseReceivers
from tasks.clients.targets import Targets
from tasks.contract import Annotate, Notify, RecordCost, UpdateLoadBalancer
from tasks.errors import PermanentError, TemporaryError
from tests.postgres import Postgres
from tests.processes import wait_for

HOUR_MS = 3_600_000
SAME = {"service": "web", "decided_at_ms": 1, "expires_at_ms": 2}


def had(program):
    """Install what a program needs where that is possible; skip, or fail in CI, where it is not."""
    if not servers.had(program, Settings()):
        why = f"{program.title} is not installed: {program.missing()}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


def targets(tmp_path, text):
    file = tmp_path / "targets.toml"
    file.write_text(text)
    return Targets(file)


# HAProxy


@pytest.fixture
def haproxy(tmp_path):
    had(HAProxy)
    running = HAProxy(tmp_path, ["web", "api"])
    running.start()
    yield running
    running.thaw()
    running.kill()


@pytest.fixture
def balancers(haproxy, tmp_path):
    return Balancers(targets(tmp_path, f'[balancers]\nedge = "{haproxy.url}"\n'))


@pytest.fixture(scope="module")
def pods():
    with Receiver() as one, Receiver() as two, Receiver() as three:
        yield one, two, three


def serve(*servers, backend="web", balancer="edge"):
    addresses = [one if isinstance(one, str) else one.url.split("/")[2] for one in servers]
    return UpdateLoadBalancer(id="a", balancer=balancer, backend=backend, servers=addresses, generation=1, **SAME)


def down(haproxy):
    """How many servers of `web` HAProxy has found dead though they are meant to serve."""
    rows = [line.split() for line in haproxy.ask("show servers state web").splitlines()[2:] if line]
    return sum(row[5] == "0" and not int(row[6]) & 0x01 for row in rows)


def reached(haproxy, pods):
    """Which instances requests reach."""
    before = [len(pod.received) for pod in pods]
    for _ in range(12):
        assert httpx2.post(haproxy.http, content=b"x", timeout=5).status_code == 200
    return [len(pod.received) > count for pod, count in zip(pods, before, strict=True)]


def test_requests_reach_exactly_the_wished_servers(haproxy, balancers, pods):
    one, two, three = pods
    assert balancers.update(serve(one, two)) == (0, 2, True)
    assert reached(haproxy, pods) == [True, True, False]
    assert balancers.update(serve(two, three)) == (2, 2, True)
    assert reached(haproxy, pods) == [False, True, True]
    assert haproxy.serving("api") == []


def test_the_same_wish_again_changes_nothing(balancers, pods):
    balancers.update(serve(*pods))
    assert balancers.update(serve(*pods, pods[0])) == (3, 3, False)
    assert balancers.applied(serve(*pods)) == 3
    assert balancers.applied(serve(pods[0])) is None


def test_many_deploys_do_not_use_up_the_slots_and_no_request_fails_meanwhile(haproxy, balancers, pods):
    balancers.update(serve(pods[0]))
    failures, ended = [], threading.Event()

    def ask():
        while not ended.is_set():
            if httpx2.post(haproxy.http, content=b"x", timeout=5).status_code != 200:
                failures.append(1)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for n in range(3 * SLOTS):
            balancers.update(serve(pods[n % 3]))
    finally:
        ended.set()
        asking.join()
    assert failures == []


def test_too_many_servers_are_refused_before_anything_is_changed(haproxy, balancers, pods):
    balancers.update(serve(pods[0]))
    with pytest.raises(PermanentError, match="slots"):
        balancers.update(serve(*[f"127.0.0.1:{9000 + n}" for n in range(SLOTS + 1)]))
    assert haproxy.serving("web") == [pods[0].url.split("/")[2]]


@pytest.mark.parametrize(
    "wish",
    [
        serve("127.0.0.1:80", backend="nope"), serve("127.0.0.1:80", backend="web; disable server web/web1"),
        serve("127.0.0.1:80; shutdown"), serve("web-1:80"), serve("127.0.0.1:99999"), serve("127.0.0.1"), serve(),
        serve("127.0.0.1:" + "8" * 5000), serve("127.0.0.1:+80"), serve("127.0.0.1:0"),
        serve("127.0.0.1:80", balancer="nobody"), serve("[fe80::1%x; disable frontend http]:80"),
        serve("[fe80::1%x\ndisable frontend http]:80"), serve("0.0.0.0:80"), serve("[::]:80"), serve("224.0.0.1:80"),
        serve("127.0.0.1:80", backend="web\ndisable frontend http"), serve("127.0.0.1:80", backend="web/web1"),
    ],
)  # fmt: skip
def test_what_can_never_be_is_refused_and_never_sent_as_a_command(balancers, haproxy, pods, wish):
    balancers.update(serve(pods[0]))
    with pytest.raises(PermanentError):
        balancers.update(wish)
    assert haproxy.serving("web") == [pods[0].url.split("/")[2]]
    assert httpx2.post(haproxy.http, content=b"x", timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("[::1]:9001", "[::1]:9001"), ("[0:0:0:0:0:0:0:1]:9001", "[::1]:9001"),
        ("[2001:DB8::1]:80", "[2001:db8::1]:80"),
        ("[::ffff:10.1.2.3]:80", "[::ffff:10.1.2.3]:80"), ("[::ffff:a01:203]:080", "[::ffff:10.1.2.3]:80"),
    ],
)  # fmt: skip
def test_an_address_in_any_spelling_is_known_when_it_is_read_back(balancers, given, kept):
    assert balancers.update(serve(given)) == (0, 1, True)
    assert [slot.address for slot in balancers._slots(serve(given)) if slot.serves] == [kept]
    assert balancers.update(serve(given)) == (1, 1, False)


def test_a_drained_slot_with_a_wished_address_is_taken_again(balancers, pods):
    balancers.update(serve(pods[0]))
    balancers.update(serve(pods[1]))
    balancers.update(serve(pods[0]))
    slots = balancers._slots(serve(pods[0]))
    assert [slot.name for slot in slots if slot.serves] == ["web1"]
    assert [slot.name for slot in slots if slot.drained] == ["web2"]


def test_no_server_serves_before_its_address_is_read_back(haproxy, balancers, pods, monkeypatch):
    """As if HAProxy had refused the address: the slot still has that of nobody."""
    ask, sent = balancers._ask, []

    def without_addresses(action, command):
        sent.append(command)
        return "Invalid addr." if " addr " in command else ask(action, command)

    monkeypatch.setattr(balancers, "_ask", without_addresses)
    with pytest.raises(TemporaryError, match=r"Invalid addr"):
        balancers.update(serve(pods[0]))
    assert not [command for command in sent if command.endswith(" ready")]
    assert haproxy.serving("web") == []


def test_health_checks_are_switched_on_and_a_dead_server_gets_no_requests(tmp_path, pods):
    had(HAProxy)
    running = HAProxy(tmp_path, ["web"], checked=True)
    running.start()
    try:
        running.ask("disable health web/web1")
        made = Balancers(targets(tmp_path, f'[balancers]\nedge = "{running.url}"\n'))
        with Receiver() as dying:
            assert made.update(serve(dying, pods[1])) == (0, 2, True)
            assert reached(running, pods) == [False, True, False]
            assert dying.received
        wait_for(lambda: down(running) == 1, 20, "a failed check")
        assert reached(running, pods) == [False, True, False]
        assert made.applied(serve(dying, pods[1])) == 2
        assert made.update(serve(dying, pods[1])) == (2, 2, False)
    finally:
        running.kill()


def test_a_unix_socket_is_reached_too(tmp_path, pods):
    had(HAProxy)
    running = HAProxy(tmp_path, ["web"])
    prepare, place = running._prepare, f"/tmp/headrace-{os.getpid()}.sock"

    def with_unix_socket():
        prepare()
        file = running.directory / "haproxy.cfg"
        file.write_text(file.read_text().replace("defaults", f"    stats socket {place} level admin\ndefaults"))

    running._prepare = with_unix_socket
    try:
        running.start()
        made = Balancers(targets(tmp_path, f'[balancers]\nedge = "unix:{place}"\n'))
        assert made.update(serve(pods[0])) == (0, 1, True)
        running.kill()
        with pytest.raises(TemporaryError, match="does not answer"):
            made.update(serve(pods[0]))
    finally:
        running.kill()
        Path(place).unlink(missing_ok=True)
    with pytest.raises(TemporaryError, match="does not answer"):
        made.update(serve(pods[0]))


def test_a_balancer_that_is_frozen_or_gone_is_tried_again(haproxy, balancers, pods):
    haproxy.freeze()
    with pytest.raises(TemporaryError, match="does not answer"):
        balancers.update(serve(pods[0]))
    haproxy.kill()
    with pytest.raises(TemporaryError, match="does not answer"):
        balancers.update(serve(pods[0]))
    haproxy.start()
    assert balancers.update(serve(pods[0])) == (0, 1, True)


def test_a_socket_that_may_only_read_is_said(tmp_path):
    had(HAProxy)
    running = HAProxy(tmp_path, ["web"])
    prepare = running._prepare

    def unprivileged():
        prepare()
        file = running.directory / "haproxy.cfg"
        file.write_text(file.read_text().replace("level admin", "level user"))

    running._prepare = unprivileged
    try:
        running.start()
        with pytest.raises(PermanentError, match="level admin"):
            Balancers(targets(tmp_path, f'[balancers]\nedge = "{running.url}"\n')).update(serve("127.0.0.1:80"))
    finally:
        running.kill()


# Books of costs: one suite, two databases


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
    books._engine.cache_clear()
    made = Books(
        targets(tmp_path, f'[books.main]\nurl = "{url}"\nprices = {{default = 0.05, small = 0.02, large = 1e6}}\n')
    )
    yield made, url
    if request.param == "postgresql":
        engine = create_engine(url)
        with engine.begin() as db:
            books._tables.drop_all(db)
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


def test_a_record_that_comes_late_is_kept_and_changes_no_total(book):
    made, url = book
    made.record(cost(1, replicas=2, at_ms=3 * HOUR_MS))
    made.record(cost(2, replicas=9, at_ms=1 * HOUR_MS))
    assert total(url) == (2, 100_000, 0)
    assert len(rows(url, COSTS)) == 2


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
    engine = create_engine(url)
    books._tables.drop_all(engine)
    engine.dispose()
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
    books._engine.cache_clear()
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
    engine = create_engine(postgres.url)
    books._tables.drop_all(engine)
    engine.dispose()


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
        books._engine.cache_clear()
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
    books._engine.cache_clear()
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
    books._engine.cache_clear()


# Dashboards


@pytest.fixture
def dashboard():
    with Dashboard() as running:
        yield running


@pytest.fixture
def dashboards(dashboard, tmp_path):
    (tmp_path / "token").write_text("t0ken\n")
    text = f'[dashboards.main]\nurl = "{dashboard.url}"\ntoken_file = "{tmp_path}/token"\n'
    return Dashboards(targets(tmp_path, text))


def mark(**more):
    given = {"dashboard": "main", "text": "web: 2 is deployed", "at_ms": 1_700_000_000_000, "tags": ["deployed"]}
    return Annotate(id="j-0-1-2", **SAME, **given | more)


def test_a_mark_has_its_text_time_and_tags_and_comes_with_the_token(dashboard, dashboards):
    assert dashboards.annotate(mark(), again=False)
    tags = ["deployed", "j-0-1-2"]
    assert dashboard.annotations == [{"time": 1_700_000_000_000, "text": "web: 2 is deployed", "tags": tags}]
    assert dashboard.authorizations == ["Bearer t0ken"]


def test_a_mark_whose_answer_was_lost_is_not_made_again(dashboard, dashboards):
    dashboard.answer = HTTPStatus.BAD_GATEWAY
    with pytest.raises(TemporaryError, match="502"):
        dashboards.annotate(mark(), again=False)
    dashboard.answer = HTTPStatus.OK
    assert not dashboards.annotate(mark(), again=True)
    assert len(dashboard.annotations) == 1


def test_a_mark_that_was_not_kept_is_made_again(dashboard, dashboards):
    dashboard.answer, dashboard.keeps = HTTPStatus.BAD_GATEWAY, False
    with pytest.raises(TemporaryError):
        dashboards.annotate(mark(), again=False)
    dashboard.answer, dashboard.keeps = HTTPStatus.OK, True
    assert dashboards.annotate(mark(), again=True)


@pytest.mark.parametrize(("told", "waits_s"), [("7", 7), ("3600", 60), ("", 1), ("Fri, 31 Dec 1999 23:59:59 GMT", 1)])
def test_a_dashboard_says_when_to_come_again_and_is_believed_up_to_a_minute(dashboard, dashboards, told, waits_s):
    dashboard.answer, dashboard.retry_after = HTTPStatus.TOO_MANY_REQUESTS, told
    with pytest.raises(TemporaryError, match="429") as raised:
        dashboards.annotate(mark(), again=False)
    assert raised.value.delay_s == waits_s


def test_a_token_may_be_in_the_environment(dashboard, tmp_path, monkeypatch):
    made = Dashboards(targets(tmp_path, f'[dashboards.main]\nurl = "{dashboard.url}/"\ntoken_env = "GRAFANA"\n'))
    with pytest.raises(TemporaryError, match="GRAFANA"):
        made.annotate(mark(), again=False)
    monkeypatch.setenv("GRAFANA", "t0ken")
    assert made.annotate(mark(), again=False)
    assert dashboard.authorizations == ["Bearer t0ken"]


@pytest.mark.parametrize("token", [b"s3cret\nmore", b"s3cret\xe9", "s3cr\u00e9t".encode(), b"", b"s3cret\x00"])
def test_a_token_that_is_none_is_said_and_not_shown(dashboards, tmp_path, token):
    (tmp_path / "token").write_bytes(token)
    with pytest.raises(TemporaryError, match="has no token") as raised:
        dashboards.annotate(mark(), again=False)
    assert "s3c" not in str(raised.value)
    (tmp_path / "token").unlink()
    with pytest.raises(TemporaryError, match="cannot be read"):
        dashboards.annotate(mark(), again=False)


def test_a_dashboard_that_hangs_is_left_after_five_seconds(dashboard, dashboards):
    dashboard.pause_s = 8
    with pytest.raises(TemporaryError, match="does not answer"):
        dashboards.annotate(mark(), again=False)


def test_a_dashboard_that_refuses_for_good_is_said(dashboard, dashboards, tmp_path):
    dashboard.answer = HTTPStatus.FORBIDDEN
    with pytest.raises(PermanentError, match="403"):
        dashboards.annotate(mark(), again=False)
    with pytest.raises(PermanentError, match="main"):
        dashboards.annotate(mark(dashboard="other"), again=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    gone = Dashboards(targets(tmp_path, f'[dashboards.main]\nurl = "http://127.0.0.1:{port}"\n'))
    with pytest.raises(TemporaryError, match="does not answer"):
        gone.annotate(mark(), again=False)


# Receivers


def told(**more):
    return Notify(**{"id": "a", "receiver": "team", "title": "web", "body": "2 is deployed", **SAME, **more})


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


@pytest.fixture
def people(receiver, tmp_path):
    url = receiver.url.replace("http://", "json://user:s3cret@")
    return AppriseReceivers(targets(tmp_path, f'[receivers]\nteam = "{url}"\nboth = ["{url}", "{url}?x=2"]\n'))


def test_people_are_told_through_every_address(receiver, people):
    people.tell(told())
    people.tell(told(receiver="both"))
    assert len(receiver.bodies) == 3
    assert "2 is deployed" in receiver.bodies[0]


def test_a_receiver_that_answers_500_is_told_again_and_its_password_to_nobody(receiver, people, caplog):
    caplog.set_level("DEBUG", logger="apprise")
    receiver.answer = HTTPStatus.INTERNAL_SERVER_ERROR
    with pytest.raises(TemporaryError, match="did not take") as raised:
        people.tell(told())
    receiver.answer = HTTPStatus.OK
    people.tell(told())
    assert "s3cret" not in str(raised.value) + caplog.text


def test_a_receiver_that_hangs_is_left(receiver, people):
    receiver.pause_s = 6
    with pytest.raises(TemporaryError, match="did not take"):
        people.tell(told())
