"""What the driver `kubernetes` makes of every answer, of none, and of a server that dies in between."""

import json
import logging
import re
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from time import time

import pytest

from tasks.clients.cluster import Cluster, StaleError
from tasks.clients.kubernetes import TRIES, Kubernetes
from tasks.contract import Status
from tasks.errors import ConflictError, PermanentError, TemporaryError
from tests.integration.test_kubernetes import BACK, SCALE, annotations, but, two_versions
from tests.kube_lanes import StandInLane, roles
from tests.kube_stand_in import answers, cuts, hangs
from tests.processes import wait_for
from tests.rig import LEASE_S, Rig, rolling_back, scaling, worker

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "kubernetes_recorded.json").read_text("utf-8"))["calls"]
NOT_GOOD = [call for call in RECORDED if call["response"]["status"] >= 300]
MEANS = {400: PermanentError, 401: PermanentError, 403: PermanentError, 404: PermanentError, 409: StaleError,
         415: PermanentError, 422: PermanentError}  # fmt: skip
JSON = {"Content_Type": "application/json"}


@pytest.fixture
def lane(tmp_path):
    made = StandInLane(tmp_path, controllers=False)
    made.server.store.controllers = True
    yield made
    made.close()


@pytest.fixture
def driver(lane):
    return Kubernetes(Cluster(lane.granted("headrace-workers"), longest_s=0.5), pause=lambda _: None)


def effects(lane):
    """The different counts that the Deployment has had."""
    return lane.server.counts("deployments", "web")


@pytest.mark.parametrize("call", NOT_GOOD, ids=lambda call: call["name"])
def test_every_answer_that_was_recorded_has_its_meaning(lane, driver, call):
    """Answered with the recorded bytes to each of the driver's requests in turn."""
    status = call["response"]["status"]
    body = json.dumps(call["response"]["body"]).encode()
    lane.deploy()
    meant = TemporaryError if MEANS[status] is StaleError else MEANS[status]
    for method, pattern in (("GET", "/web$"), ("PATCH", "/scale"), ("PATCH", "/web[?]")):
        lane.server.once(method, pattern, answers(status, body, **JSON), times=TRIES)
        with pytest.raises(meant) as told:
            driver.scale(but(SCALE, id=pattern, to_replicas=SCALE.to_replicas + len(pattern)))
        lane.server.before.clear()
        assert len(str(told.value)) < 500
    if status == 403:
        assert re.search(r"cannot \w+ resource \"\S+\"", str(told.value))


def test_the_recorded_answers_are_all_there():
    assert Counter(call["response"]["status"] for call in NOT_GOOD) == {
        409: 4, 422: 5, 403: 3, 415: 1, 404: 1, 401: 1, 400: 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("act", "said", "delay_s"),
    [
        (answers(429, b"Too many requests", Content_Type="text/plain", Retry_After="7"), "answers 429", 7.0),
        (answers(429, b"", Retry_After="soon"), "answers 429", 1.0),
        (answers(500, b'{"message": "etcdserver: request timed out"}', **JSON), "etcdserver: request timed out", 1.0),
        (answers(503, b"<html>", Content_Type="text/html", Retry_After="86400"), "answers 503", 60.0),
        (answers(504, b"[]", **JSON), "answers 504", 1.0),
        (answers(200, b"<html>", Content_Type="text/html"), "no Kubernetes API", 2.0),
        (answers(200, b"[1]", **JSON), "no Kubernetes API", 2.0),
        (hangs, r"does not answer within 0\.5 s", 2.0),
        (cuts, "cannot be reached", 2.0),
    ],
    ids=["429", "429-soon", "500", "503", "504", "html", "list", "silent", "cut"],
)
def test_what_may_pass_is_tried_again_later(lane, driver, act, said, delay_s):
    lane.deploy()
    for method, pattern in (("GET", "/web$"), ("PATCH", "/scale"), ("PATCH", "/web[?]")):
        lane.server.once(method, pattern, act)
        with pytest.raises(TemporaryError, match=said) as told:
            driver.scale(SCALE)
        assert told.value.delay_s == delay_s
    assert driver.scale(SCALE)[1] == 4
    assert effects(lane) == [2, 4]


def test_a_redirect_is_not_followed(lane, driver):
    lane.deploy()
    lane.server.once("GET", "/web$", answers(302, b"", Location="http://127.0.0.1:1/"))
    with pytest.raises(PermanentError, match=r"refuses \(302\)"):
        driver.scale(SCALE)


def test_a_server_that_is_killed_between_reading_and_writing_has_one_effect_afterwards(lane, driver):
    """Killed at each of the three requests, before it is done and after, which nobody can tell from outside."""
    for number, (method, pattern) in enumerate((("GET", "/web$"), ("PATCH", "/scale"), ("PATCH", "/web[?]"))):
        for after in (False, True):
            lane.server.store.objects.clear()
            lane.server.store.events.clear()
            lane.deploy()
            action = but(SCALE, id=f"{number}-{after}", generation=SCALE.generation + number)
            lane.server.once(method, pattern, _dies(lane), after=after)
            with suppress(TemporaryError):  # the last answer may have been given
                driver.scale(action)
            with pytest.raises(TemporaryError, match="cannot be reached"):
                driver.scale(action)
            lane.server.start()
            assert driver.scale(action)[1] == 4
            assert driver.scale(action)[1] == 4
            assert effects(lane) == [2, 4]
            assert json.loads(annotations(lane.get())["headrace.dev/scaled"])["id"] == action.id


def _dies(lane):
    def act(handler):
        threading.Thread(target=lane.server.stop).start()
        handler.server.stand_in.stopping.wait(10)
        handler.close_connection = True
        return True

    return act


def test_an_answer_that_is_lost_is_no_second_effect(lane, driver):
    """The write was done and the connection cut: the next try finds it done, by whoever."""
    lane.deploy()
    lane.server.once("PATCH", "/scale", _done_and_cut)
    with pytest.raises(TemporaryError):
        driver.scale(SCALE)
    assert driver.scale(SCALE) == (4, 4)
    assert effects(lane) == [2, 4]
    two_versions(lane)
    lane.server.once("PATCH", "/web[?]", _done_and_cut)
    with pytest.raises(TemporaryError):
        driver.roll_back(but(BACK, generation=18))
    assert driver.roll_back(but(BACK, generation=18)) == ("2", "1")


def _done_and_cut(handler):
    handler.raw = lambda *_: cuts(handler)
    return False


@pytest.mark.parametrize(("to", "counts"), [(9, [2, 4, 9]), (1, [2, 4, 1, 4])], ids=["further", "back"])
def test_an_older_one_that_comes_between_the_two_writes_is_put_right(lane, driver, to, counts):
    """It saw no note of the newer one yet; the newer one's note meets with a conflict, and it looks again."""
    lane.deploy()
    older = but(SCALE, id="older", from_replicas=4, to_replicas=to, generation=16)
    lane.server.once("PATCH", "/web[?]", lambda _: Kubernetes(driver._cluster).scale(older) and False)
    assert driver.scale(SCALE) == (2, counts[-1])
    assert effects(lane) == counts
    assert annotations(lane.get())["headrace.dev/generation"] == "17"


def test_a_newer_one_that_comes_between_the_two_writes_is_left(lane, driver):
    lane.deploy()
    newer = but(SCALE, id="newer", from_replicas=4, to_replicas=12, generation=18)
    lane.server.once("PATCH", "/web[?]", lambda _: Kubernetes(driver._cluster).scale(newer) and False)
    with pytest.raises(ConflictError, match="generation 18"):
        driver.scale(SCALE)
    assert effects(lane) == [2, 4, 12]


def test_a_deploy_that_comes_between_is_not_rolled_back(lane, driver):
    two_versions(lane)
    lane.server.once("PATCH", "/web[?]fieldManager=headrace", lambda _: lane.deploy(version="3"))
    with pytest.raises(ConflictError, match="version 3 runs by now"):
        driver.roll_back(BACK)
    assert lane.get()["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":3")


def test_a_token_that_stands_in_the_kubeconfig_is_read_again_too(lane):
    lane.deploy()
    config = lane.granted("headrace-workers")
    told, right = json.loads(config.read_text()), config.with_name(f"{config.name}.token").read_text()
    driver = Kubernetes(Cluster(config))
    told["users"][0]["user"] = {"token": "wrong"}
    config.write_text(json.dumps(told))
    with pytest.raises(PermanentError, match="does not know who asks"):
        driver.scale(SCALE)
    told["users"][0]["user"] = {"token": right}
    config.write_text(json.dumps(told))
    assert driver.scale(SCALE) == (2, 4)


def test_a_workload_that_never_rests_is_tried_later(lane, driver):
    lane.deploy()
    lane.server.once(
        "PATCH", "/scale", lambda _: lane.patch({"metadata": {"labels": {"n": str(time())}}}) and False, 99
    )
    with pytest.raises(TemporaryError, match=f"Deployment {lane.namespace}/web was changed by others {TRIES} times"):
        driver.scale(SCALE)
    assert effects(lane) == [2]


def test_nobody_there_is_a_temporary_error(tmp_path, lane, driver):
    lane.deploy()
    lane.server.stop()
    for call, action in ((driver.scale, SCALE), (driver.applied, SCALE), (driver.roll_back, BACK),
                         (driver.rolled_back, BACK)):  # fmt: skip
        with pytest.raises(TemporaryError, match="cannot be reached"):
            call(action)


def test_no_token_is_in_a_log_or_an_error(lane, tmp_path, caplog):
    config = lane.granted("headrace-workers")
    secret = config.with_name(f"{config.name}.token").read_text()
    lane.deploy()
    driver = Kubernetes(Cluster(config, longest_s=0.5))
    told = []
    with caplog.at_level(logging.DEBUG):
        driver.scale(SCALE)
        for act in (answers(500), answers(401), hangs, cuts):
            lane.server.once("GET", "/web$", act, times=2)  # a token's file is read again at a 401
            with pytest.raises((TemporaryError, PermanentError)) as why:
                driver.scale(but(SCALE, id="x"))
            told.append(f"{why.value!r} {why.value.__cause__!r}")
            lane.server.before.clear()
        broken = tmp_path / "broken"
        for text in (
            f"users: [{{name: a, user: {{token: {secret}",
            f'{{"users": [{{"name": "a", "user": "{secret}"}}]}}',
        ):
            broken.write_text(text)
            with pytest.raises(TemporaryError, match="broken cannot be used") as why:
                Kubernetes(Cluster(broken)).scale(SCALE)
            told.append(str(why.value))
    assert secret not in "\n".join(told) + caplog.text
    assert "PATCH" in caplog.text  # something was logged


def test_without_a_cluster_it_is_said_how_to_name_one():
    with pytest.raises(PermanentError, match="set HEADRACE_KUBE_CONFIG"):
        Kubernetes(Cluster(None)).scale(SCALE)


def test_the_rights_that_are_given_are_those_that_are_used(lane):
    """Exactly: each one that is given is used, and nothing is used that is not given."""
    driver = Kubernetes(Cluster(lane.granted("headrace-workers")))
    two_versions(lane)
    driver.scale(SCALE)
    driver.roll_back(but(BACK, generation=18))
    for plural in ("statefulsets", "replicasets"):
        lane.deploy("db", plural=plural)
        driver.scale(but(SCALE, target=f"{plural}/db"))
    used = {(call.verb, call.resource) for call in lane.server.calls if call.user.endswith("headrace-workers")}
    assert used == granted("headrace-workers")


def granted(role):
    return {(verb, what) for rule in roles()[role] for verb in rule["verbs"] for what in rule["resources"]}


def test_a_worker_scales_and_rolls_back_each_once(clean, headrace_env, processes, lane):
    """From RabbitMQ to the API and back to Kafka; the API is away for a moment, and everything comes three times."""
    two_versions(lane)
    lane.server.stop()
    rig, target = Rig(clean), f"{lane.namespace}/Deployment/web"
    config = str(lane.granted("headrace-workers"))
    running = worker(processes, headrace_env | {"HEADRACE_LEASE_S": str(LEASE_S), "HEADRACE_KUBE_CONFIG": config})
    where = {"driver": "kubernetes", "target": target}
    rig.send(*[scaling("kube-1", "web", generation=5, **where)] * 3)
    wait_for(lambda: "cannot be reached" in running.text, 30, "the worker to find nobody")
    lane.server.start()
    outcomes = rig.ended("kube-1", 3, timeout=60)
    rig.send(*[rolling_back("kube-2", "web", generation=6, **where)] * 3)
    outcomes += rig.ended("kube-2", 3)
    rig.send(scaling("kube-3", "web", generation=4, to=9, **where))
    rig.send(scaling("kube-4", "web", generation=7, **where | {"target": "gone"}))
    outcomes += rig.ended("kube-3", 1) + rig.ended("kube-4", 1)
    ended = {one.id: one for one in outcomes}
    assert {one.status for one in outcomes if one.id in {"kube-1", "kube-2"}} == {Status.DONE}
    assert (ended["kube-1"].found, ended["kube-1"].set) == (2, 4)
    assert (ended["kube-3"].status, ended["kube-4"].status) == (Status.CONFLICT, Status.FAILED)
    assert '"gone" not found' in ended["kube-4"].detail
    assert effects(lane) == [2, 4]
    assert annotations(lane.get())["headrace.dev/generation"] == "6"
    assert "token-of" not in f"{running.text}{outcomes}"
