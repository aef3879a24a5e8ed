"""`headrace observe kubernetes` on the stand-in, and on a real API server where HEADRACE_KUBE_API names one.

It has the rights of docker/kubernetes/rbac.yaml and no others.
"""

import asyncio
import json
import logging
import re
import signal
import threading
from time import monotonic, sleep, time

import msgspec
import pytest

from app.cli import checks
from app.observe.cluster import Api, ObserveError
from app.observe.messages import Messages
from app.observe.observer import Observer
from app.policy.facts import Source
from app.settings import Settings
from app.stream import client
from app.wire.internal import instances
from app.wire.rules import Raw, Rules
from tasks.clients.cluster import Cluster
from tasks.clients.kubernetes import Kubernetes
from tasks.contract import Scale
from tests.kube_lanes import CORE, MERGE, StandInLane, roles
from tests.kube_stand_in import answers, cuts
from tests.processes import wait_for

SCALE = Scale(
    id="j-0-1-0", service="web", decided_at_ms=1, expires_at_ms=2**45, from_replicas=2, to_replicas=4, generation=17
)


@pytest.fixture
def stand_in(tmp_path):
    made = StandInLane(tmp_path)
    yield made
    made.close()


class Observing:
    """An observer in a thread, and what it told; `failure` is what it ended with."""

    def __init__(self, lane, role="headrace-observer", labels="", every_s=30.0) -> None:
        self.told, self.failure = [], None
        self._settings = Settings(kube_config=lane.granted(role))
        self._arguments = (labels, self.told.append, every_s)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self):
        api = Api(self._settings)
        self.observer = Observer(api, "", *self._arguments)
        self._loop, self._task = asyncio.get_running_loop(), asyncio.ensure_future(self.observer.run())
        try:
            await self._task
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.failure = error
        finally:
            await api.close()

    def __enter__(self):
        self._thread.start()
        wait_for(lambda: hasattr(self, "_task"), 10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._task.cancel) if self._thread.is_alive() else None
        self._thread.join(20)
        assert not self._thread.is_alive()

    def last(self, service="web"):
        return next((one for one in reversed(self.told) if one["service"] == service), None)

    def has(self, service="web", **fields):
        """Wait until the newest message of a service says so."""

        def said():
            newest = self.last(service)
            return newest if newest is not None and fields.items() <= newest.items() else None

        return wait_for(said, 20, f"{service} to be told with {fields}")

    @property
    def lists(self):
        return [one.lists for one in self.observer.watched]


def fact(message):
    """What the intake makes of a message."""
    rules = Rules(4, re.compile("web"), 60_000, int(time() * 1000))
    raw = Raw("instances", "t", 0, 0, rules.now_ms, None, json.dumps(message).encode())
    return instances(raw, Source("t", "t", 0, 0, 0), rules)


def test_a_scaling_is_told_with_its_generation(lane):
    lane.deploy()
    with Observing(lane) as observing:
        observing.has(wanted=2, generation=0)
        Kubernetes(Cluster(lane.granted("headrace-workers"))).scale(SCALE)
        observing.has(wanted=4, generation=17)
    assert all(one["generation"] == 0 for one in observing.told if one["wanted"] == 2)
    assert fact(observing.last()).wanted == 4


def test_the_pods_are_told_one_by_one_with_what_they_request(lane):
    lane.deploy()
    with Observing(lane) as observing:
        (first, second) = wait_for(lambda: len(observing.has()["instances"]) == 2, 20) and observing.last()["instances"]
        assert [first["phase"], first["ready"], first["version"]] == ["Pending", False, "1"]
        since = "2026-11-28T08:00:00Z"
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": since}
        counts = [{"name": "main", "restartCount": 3, "ready": True, "image": "x", "imageID": "x"}]
        status = {"phase": "Running", "conditions": [ready], "startTime": since, "containerStatuses": counts}
        path = f"{CORE}/namespaces/{lane.namespace}/pods/{second['name']}/status"
        lane.ask("PATCH", path, {"status": status}, MERGE)
        wait_for(lambda: [one["ready"] for one in observing.last()["instances"]] == [False, True], 20)
    (_, seen) = fact(observing.last()).instances
    assert (seen.name, seen.phase, seen.restarts, seen.version) == (second["name"], "Running", 3, "1")
    assert seen.requests == {"cpu": 250, "memory": 64 * 2**20 * 1000}
    assert seen.since_ms == seen.started_ms == 1_795_852_800_000


def test_what_does_not_have_the_labels_is_not_told(lane):
    lane.deploy("web", labels={"team": "shop"})
    lane.deploy("db", plural="statefulsets", labels={"team": "shop", "app.kubernetes.io/name": "orders"})
    lane.deploy("other")
    with Observing(lane, labels="team in (shop)") as observing:
        observing.has("web")
        observing.has("orders", wanted=2)
        lane.patch({"metadata": {"labels": {"team": "shop"}}}, "other")
        observing.has("other")
    assert {one["service"] for one in observing.told} == {"web", "orders", "other"}


def test_two_workloads_of_one_service_are_told_as_neither(stand_in, caplog):
    stand_in.deploy()
    with Observing(stand_in) as observing, caplog.at_level(logging.WARNING):
        observing.has(wanted=2)
        stand_in.deploy("web-canary", labels={"app.kubernetes.io/name": "web"})
        stand_in.deploy("last")
        observing.has("last")
        told = len([one for one in observing.told if one["service"] == "web"])
        stand_in.set(5)
        stand_in.set(5, "last")
        observing.has("last", wanted=5)
        assert len([one for one in observing.told if one["service"] == "web"]) == told
        stand_in.ask("DELETE", stand_in.path("deployments", "web-canary"))
        observing.has("web", wanted=5)


def test_what_has_not_changed_is_told_again(stand_in):
    stand_in.deploy()
    with Observing(stand_in, every_s=1.0) as observing:
        wait_for(lambda: len(observing.told) >= 3, 20)
    first, *others = [{name: value for name, value in one.items() if name != "at"} for one in observing.told]
    assert all(one == first for one in others)
    assert len({one["at"] for one in observing.told}) == len(observing.told)


def test_a_watch_that_breaks_goes_on_where_it_was(stand_in):
    stand_in.deploy()
    with Observing(stand_in) as observing:
        observing.has(wanted=2)
        for count in range(3, 6):
            stand_in.server.break_watches()
            stand_in.set(count)
            observing.has(wanted=count)
    assert observing.lists == [1, 1, 1]
    assert observing.failure is None


def test_a_version_that_is_too_old_has_everything_listed_again(stand_in):
    stand_in.deploy()
    with Observing(stand_in) as observing:
        observing.has(wanted=2)
        stand_in.server.once("GET", r"/deployments\?.*watch", cuts, times=2)
        stand_in.server.break_watches()
        stand_in.set(7)
        stand_in.ask("DELETE", stand_in.path("deployments", "web"))
        stand_in.deploy("next")
        stand_in.server.store.oldest = stand_in.server.store.version
        observing.has("next", wanted=2)
        told = len(observing.told)
        stand_in.set(3, "next")
        observing.has("next", wanted=3)
        assert {one["service"] for one in observing.told[told:]} == {"next"}  # what is gone is told no more
    assert observing.lists[0] == 2


def test_a_bookmark_keeps_what_is_quiet_from_growing_old(stand_in):
    """Pods come and go while nothing happens to StatefulSets: their watch goes on from the last bookmark."""
    stand_in.deploy()
    with Observing(stand_in) as observing:
        observing.has(wanted=2)
        stand_in.set(6)
        observing.has(wanted=6)
        newest = str(stand_in.server.store.version)
        wait_for(lambda: all(one._version == newest for one in observing.observer.watched), 20, "bookmarks")
        stand_in.server.store.oldest = stand_in.server.store.version
        stand_in.server.break_watches()
        stand_in.set(3)
        observing.has(wanted=3)
    assert observing.lists == [1, 1, 1]


def test_while_the_api_is_away_nothing_is_told(stand_in):
    """What was seen last may be old, and told again it would look like news."""
    stand_in.deploy()
    with Observing(stand_in, every_s=0.2) as observing:
        observing.has(wanted=2)
        stand_in.server.stop()
        wait_for(lambda: not any(one.live for one in observing.observer.watched), 20)
        told = len(observing.told)
        sleep(1.5)
        assert len(observing.told) == told
        stand_in.server.start()
        stand_in.set(9)
        observing.has(wanted=9)
    assert observing.failure is None


@pytest.mark.parametrize(
    "act",
    [answers(500, b"{}", Content_Type="application/json"), answers(503), answers(200), answers(200, b"<p>\n"), cuts],
    ids=["500", "503", "nothing", "html", "cut"],
)
def test_an_api_that_never_serves_a_watch_is_asked_a_few_times_only(stand_in, act):
    stand_in.deploy()
    asked = []

    def counted(handler):
        asked.append(monotonic())
        return act(handler)

    stand_in.server.once("GET", "/deployments.*watch", counted, times=1000)
    with Observing(stand_in):
        sleep(4)
    assert 2 <= len(asked) <= 8
    print(f"asked {len(asked)} times in 4 s")


def test_a_right_that_is_missing_ends_it_with_a_sentence(lane):
    with Observing(lane, role="nobody") as observing:
        wait_for(lambda: observing.failure is not None, 20)
    assert isinstance(observing.failure, ObserveError)
    assert "(403)" in str(observing.failure)
    assert re.search(r"cannot list resource", str(observing.failure))


def test_it_only_reads(stand_in):
    stand_in.deploy()
    with Observing(stand_in) as observing:
        observing.has(wanted=2)
    verbs = {call.verb for call in stand_in.server.calls if call.user.endswith("observer")}
    assert verbs == {"list", "watch"}


def test_a_list_of_many_pages_is_read_to_its_end(stand_in, monkeypatch):
    monkeypatch.setattr("app.observe.cluster.PAGE", 2)
    for number in range(5):
        stand_in.deploy(f"web-{number}", replicas=1)
    with Observing(stand_in) as observing:
        wait_for(lambda: len({one["service"] for one in observing.told}) == 5, 20)
    assert sum(call.verb == "list" and "continue" in call.path for call in stand_in.server.calls) >= 4


@pytest.fixture
def command(processes):
    def start(lane, env, *options):
        told = env | {"HEADRACE_KUBE_CONFIG": str(lane.granted("headrace-observer"))}
        return processes.start(["headrace", "observe", "kubernetes", *options], told)

    return start


def reports(settings):
    low, high = client.borders(settings, "instances")
    return [msgspec.json.decode(one.value) for one in client.read_topic(settings, "instances", low, high)]


def test_the_command_writes_what_the_intake_reads_until_it_is_ended(clean, headrace_env, stand_in, command):
    stand_in.deploy()
    running = command(stand_in, headrace_env)
    wait_for(lambda: reports(clean), 30)
    stand_in.set(5)
    wait_for(lambda: reports(clean)[-1]["wanted"] == 5, 20)
    running.signal(signal.SIGTERM)
    wait_for(lambda: not running.alive, 20)
    assert running.code == 0, running.text
    assert fact(reports(clean)[-1]).service == "web"
    assert "token-of" not in running.text


def test_without_an_api_the_command_ends_with_a_sentence(headrace_env, tmp_path, processes):
    for config, said in (
        ("", "no Kubernetes API is known"),
        (str(tmp_path / "gone"), "not found; check HEADRACE_KUBE"),
    ):
        env = headrace_env | {"HEADRACE_KUBE_CONFIG": config} if config else headrace_env
        running = processes.start(["headrace", "observe", "kubernetes", "--dry-run"], env)
        wait_for(lambda: not running.alive, 40)  # noqa: B023 - asked at once
        assert running.code == 1
        assert said in running.text
        assert "Traceback" not in running.text


def test_the_rights_that_are_given_are_those_that_are_used(stand_in):
    stand_in.deploy()
    stand_in.deploy("db", plural="statefulsets")
    with Observing(stand_in) as observing:
        observing.has("db")
        wait_for(lambda: sum(call.verb == "watch" for call in stand_in.server.calls) >= 3, 20)
    used = {(call.verb, call.resource) for call in stand_in.server.calls if call.user.endswith("headrace-observer")}
    given = roles()["headrace-observer"]
    assert used == {(verb, what) for rule in given for verb in rule["verbs"] for what in rule["resources"]}


def test_doctor_says_whether_the_api_answers(stand_in):
    assert list(checks.kubernetes(Settings())) == []
    config = Settings(kube_config=stand_in.granted("headrace-observer"))
    (found,) = checks.kubernetes(config)
    assert (found.verdict, "v1.37.2" in found.text) == ("ok", True)
    stand_in.server.users.clear()
    (found,) = checks.kubernetes(config)
    assert (found.verdict, "401" in found.text) == ("wrong", True)
    stand_in.server.stop()
    (found,) = checks.kubernetes(config)
    assert (found.verdict, "does not serve" in found.text) == ("wrong", True)


def test_when_kafka_takes_nothing_it_ends_with_a_sentence(clean, kafka, monkeypatch):
    monkeypatch.setattr("app.observe.messages.PATIENCE_S", 2.0)

    def tells_until_it_fails(messages):
        for _ in range(200):
            messages.send({"service": "web"})
            sleep(0.1)

    messages = Messages(clean, "instances")
    messages.send({"service": "web"})
    wait_for(lambda: messages._producer.poll(0.1) or messages.sent, 20)
    kafka.kill()
    with pytest.raises(ObserveError, match="Kafka did not take what was observed for instances on"):
        tells_until_it_fails(messages)
