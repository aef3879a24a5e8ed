"""What the gateway answers to whoever is no browser: its headers, its updates, and what it says without Kafka."""

import json
import socket
import time
import urllib.request
from urllib.error import HTTPError

import pytest

from app.gateway.pages import BEAT_S
from app.stream import topics
from app.stream.topics import DECISIONS, JOURNAL, OUTCOMES, QUARANTINE
from tests import fresh
from tests.page_stage import Gateway
from tests.processes import wait_for

pytestmark = pytest.mark.timeout(150)


def test_records_that_cannot_be_read_are_counted_and_cost_nothing_else(gateway, stream):
    wait_for(lambda: gateway.standing() == "live", 30, "the page to be live")
    before = gateway.board()["left_out"]["unreadable"]
    for topic in (JOURNAL, DECISIONS, OUTCOMES, QUARANTINE):
        stream.put(topic, b"\xff not json")
        stream.put(topic, b"{}")
    stream.put(DECISIONS, None)
    stream.scaling("after")
    wait_for(lambda: any(one["service"] == "after" for one in gateway.board()["decisions"]), 20, "the decision after")
    wait_for(lambda: gateway.board()["left_out"]["unreadable"] == before + 9, 20, "all of them to be counted")
    assert gateway.standing() == "live"


def test_nothing_but_get_is_answered_and_each_answer_has_its_headers(gateway):
    seen = {}
    asked = [(path, "GET") for path in ("", "static/page.js", "api/board", "nowhere", "static/nowhere")]
    for path, method in [*asked, ("", "POST"), ("api/board", "POST"), ("api/live", "DELETE")]:
        request = urllib.request.Request(gateway.url + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                seen[path, method] = answer.status, answer.headers
        except HTTPError as error:
            seen[path, method] = error.code, error.headers
    assert [code for code, _ in seen.values()] == [200, 200, 200, 404, 404, 405, 405, 405]
    for code, headers in seen.values():
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';"), code
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
    assert seen["api/board", "GET"][1]["Cache-Control"] == "no-store"


def events(gateway, path="api/live", **headers):
    """The stream of updates, as an open answer."""
    return urllib.request.urlopen(urllib.request.Request(gateway.url + path, headers=headers), timeout=20)


def first(answer):
    """The first event of a stream: its id and its data."""
    fields = {}
    while not ("data" in fields and "id" in fields):
        line = answer.readline().decode().rstrip()
        name, _, value = line.partition(": ")
        fields[name] = value
    return int(fields["id"]), json.loads(fields["data"])


def test_updates_go_on_where_they_broke_off(gateway, stream):
    stream.scaling("early")
    wait_for(lambda: any(one["service"] == "early" for one in gateway.board()["decisions"]), 20, "the first decision")
    time.sleep(2 * BEAT_S)  # the number that a beat gives is that of its first question
    with events(gateway) as answer:
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert answer.headers["Cache-Control"] == "no-store"
        number, update = first(answer)
    assert update["full"]
    later = stream.scaling("late")
    wait_for(lambda: any(one["id"] == later for one in gateway.board()["decisions"]), 20, "the second decision")
    with events(gateway, **{"Last-Event-ID": str(number)}) as answer:
        resumed, update = first(answer)
    assert resumed > number
    assert not update["full"]
    assert later in [one["id"] for one in update["decisions"]]
    assert "early" not in [one["service"] for one in update["decisions"]]
    with events(gateway, f"api/live?since={10**15}9") as answer:
        assert first(answer)[1]["full"]


def test_one_page_too_many_is_told_so_and_finds_its_place_when_another_closes(gateway, stream):
    opened = [events(gateway) for _ in range(100)]
    try:
        for answer in opened:
            first(answer)
        with pytest.raises(HTTPError) as refused:
            events(gateway)
        assert refused.value.code == 503
        assert refused.value.headers["Retry-After"] == "10"
    finally:
        for answer in opened:
            answer.close()
    wait_for(lambda: answered(gateway), 20, "a place to be free")


def answered(gateway):
    try:
        with events(gateway):
            return True
    except HTTPError:
        return False


def test_it_starts_without_kafka_and_without_topics_and_says_which(own, kafka, stream):
    stream.ticking.clear()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = Gateway(own.model_copy(update={"kafka_url": f"kafka://127.0.0.1:{probe.getsockname()[1]}"})).start()
        wait_for(lambda: nobody.standing() == "kafka_away", 30, "it to say that Kafka is away")
        nobody.stop()
    fresh._delete_topics(fresh._admin(own))
    gateway = Gateway(own).start()
    try:
        wait_for(lambda: gateway.standing() == "no_topics", 30, "it to say that topics are missing")
        assert "headrace topics init" in gateway.board()["standing"]["sentence"]
        topics.init(own, sources=True)
        stream.ticking.set()
        stream.scaling("new")
        wait_for(lambda: gateway.standing() == "live", 60, "it to find them")
        wait_for(lambda: any(one["service"] == "new" for one in gateway.board()["decisions"]), 20, "the decision")
    finally:
        gateway.stop()
