"""Downstream actions through workers: killed in the middle, delivered again, out of order, while a target is away."""

from http import HTTPStatus
from time import time

import msgspec
import pytest
from sqlalchemy import create_engine, select

from app.local.grafana import Dashboard
from app.local.haproxy import HAProxy
from app.local.receiver import Receiver
from tasks.clients.books.tables import COSTS, TOTALS
from tasks.contract import Annotate, RecordCost, Status, UpdateLoadBalancer
from tests.integration.test_downstream import had
from tests.processes import wait_for
from tests.rig import LEASE_S, telling, worker


@pytest.fixture
def dashboard():
    with Dashboard() as running:
        yield running


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


@pytest.fixture
def haproxy(tmp_path):
    had(HAProxy)
    running = HAProxy(tmp_path, ["web"])
    running.start()
    yield running
    running.thaw()
    running.kill()


@pytest.fixture
def env(headrace_env, tmp_path, dashboard, receiver):
    (tmp_path / "targets.toml").write_text(
        f'[receivers]\nteam = "json{receiver.url.removeprefix("http")}"\n'
        f'[dashboards.main]\nurl = "{dashboard.url}"\n'
        f'[books.main]\nurl = "sqlite:///{tmp_path}/costs.db"\nprices = {{default = 0.05}}\n'
    )
    return headrace_env | {
        "HEADRACE_LEASE_S": str(LEASE_S),
        "HEADRACE_TARGETS_FILE": str(tmp_path / "targets.toml"),
    }


@pytest.fixture
def balanced(env, haproxy, tmp_path):
    """The environment with a balancer `edge`."""
    with (tmp_path / "targets.toml").open("a") as file:
        file.write(f'[balancers]\nedge = "{haproxy.url}"\n')
    return env


def times(expires_in_s=60.0):
    now = int(time() * 1000)
    return {"service": "web", "decided_at_ms": now, "expires_at_ms": now + int(expires_in_s * 1000)}


def mark(id_, expires_in_s=60.0):
    return Annotate(id=id_, dashboard="main", text="web: 2 is deployed", at_ms=1_700_000_000_000, **times(expires_in_s))


def serve(id_, generation, *servers):
    return UpdateLoadBalancer(
        id=id_, balancer="edge", backend="web", servers=list(servers), generation=generation, **times()
    )


def cost(id_, **more):
    given = {"replicas": 2, "at_ms": 1_700_000_000_000} | times() | more
    return RecordCost(id=id_, book="main", environment="prod", version="1", **given)


def table(tmp_path, which):
    engine = create_engine(f"sqlite:///{tmp_path}/costs.db")
    with engine.connect() as db:
        found = db.execute(select(which)).mappings().all()
    engine.dispose()
    return found


@pytest.mark.parametrize("expires_in_s", [60.0, 4.0])
def test_a_mark_whose_worker_was_killed_before_the_answer_is_made_once(rig, env, processes, dashboard, expires_in_s):
    """The dashboard has it; whoever takes the action over asks there, though it be too late to make one."""
    dashboard.pause_s = 8
    first = worker(processes, env, "first")
    action = mark("mark-1", expires_in_s)
    rig.send(action)
    wait_for(lambda: dashboard.annotations, 20, "the dashboard to have the mark")
    first.kill()
    dashboard.pause_s = 0
    if expires_in_s < 10:
        wait_for(lambda: time() * 1000 > action.expires_at_ms + 100, 20, "the action to expire")
    worker(processes, env, "second")
    (outcome,) = rig.ended("mark-1")
    assert (outcome.status, outcome.attempts) == (Status.DONE, 2)
    assert "was marked" in outcome.detail
    assert [one["tags"] for one in dashboard.annotations] == [["mark-1"]]


def test_a_dashboard_that_fails_after_keeping_marks_has_each_once_when_it_is_back(rig, env, processes, dashboard):
    dashboard.answer = HTTPStatus.BAD_GATEWAY
    worker(processes, env)
    rig.send(mark("mark-1"))
    wait_for(lambda: dashboard.annotations, 20, "the dashboard to have the mark")
    dashboard.answer = HTTPStatus.OK
    (outcome,) = rig.ended("mark-1")
    assert outcome.status is Status.DONE
    assert len(dashboard.annotations) == 1


def test_a_cost_that_is_delivered_three_times_to_two_workers_is_one_row_and_three_equal_outcomes(
    rig, env, processes, tmp_path
):
    worker(processes, env, "first")
    worker(processes, env, "second")
    action = cost("cost-1")
    rig.send(action, action, action, cost("cost-2", replicas=4, at_ms=action.at_ms + 3_600_000))
    outcomes = rig.ended("cost-1", 3)
    rig.ended("cost-2")
    assert len({msgspec.json.encode(msgspec.structs.replace(one, repeats=0)) for one in outcomes}) == 1
    assert sorted(row["id"] for row in table(tmp_path, COSTS)) == ["cost-1", "cost-2"]
    (total,) = table(tmp_path, TOTALS)
    assert (total["records"], total["per_hour"]) == (2, 200_000)


def test_an_older_set_of_servers_that_comes_last_is_a_conflict_and_changes_nothing(rig, balanced, processes, haproxy):
    worker(processes, balanced)
    rig.send(serve("new-1", 8, "127.0.0.1:9002"))
    (outcome,) = rig.ended("new-1")
    assert (outcome.status, outcome.found, outcome.set, outcome.generation) == (Status.DONE, 0, 1, 8)
    rig.send(serve("old-1", 7, "127.0.0.1:9001"))
    (outcome,) = rig.ended("old-1")
    assert outcome.status is Status.CONFLICT
    rig.send(serve("same-1", 9, "127.0.0.1:9002"))
    (outcome,) = rig.ended("same-1")
    assert (outcome.status, outcome.generation) == (Status.SKIPPED, 9)
    assert haproxy.serving("web") == ["127.0.0.1:9002"]


def test_a_set_of_servers_whose_worker_was_killed_is_brought_about_by_the_next(rig, balanced, processes, haproxy):
    first = worker(processes, balanced, "first")
    haproxy.freeze()
    rig.send(serve("set-1", 1, "127.0.0.1:9001", "127.0.0.1:9002"))
    wait_for(lambda: rig.redis.hget("headrace:action:set-1", "owner"), 20, "the action to be begun")
    first.kill()
    haproxy.thaw()
    worker(processes, balanced, "second")
    (outcome,) = rig.ended("set-1")
    assert (outcome.status, outcome.attempts, outcome.set) == (Status.DONE, 2, 2)
    assert haproxy.serving("web") == ["127.0.0.1:9001", "127.0.0.1:9002"]


def test_a_mistake_in_the_targets_file_costs_time_and_no_action(rig, env, processes, receiver, tmp_path):
    file = tmp_path / "targets.toml"
    good = file.read_text()
    file.write_text(good.replace("[books.main]", "[book.main]"))
    running = worker(processes, env)
    rig.send(telling("told-1"), cost("cost-1"))
    wait_for(lambda: running.text.count("there is no table") >= 2, 30, "the log to say it of both")
    assert receiver.bodies == []
    file.write_text(good)
    assert [rig.ended(id_)[0].status for id_ in ("told-1", "cost-1")] == [Status.DONE, Status.DONE]
    assert len(receiver.bodies) == 1
    assert len(table(tmp_path, COSTS)) == 1


def test_what_names_nothing_in_the_file_fails_with_what_is_there(rig, env, processes):
    worker(processes, env)
    rig.send(cost("cost-1", price="huge"), serve("set-1", 1, "127.0.0.1:9001"), telling("told-1", "nobody"))
    found = {id_: rig.ended(id_)[0] for id_ in ("cost-1", "set-1", "told-1")}
    assert {one.status for one in found.values()} == {Status.FAILED}
    assert "there are default" in found["cost-1"].detail
    assert "no balancer 'edge'" in found["set-1"].detail
    assert "there are team" in found["told-1"].detail
