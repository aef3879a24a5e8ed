"""The receiver of notifications remembers what it was told, whatever it answers."""

from http import HTTPStatus

import httpx2

from app.local.receiver import Receiver


def test_bodies_are_remembered_in_order():
    with Receiver() as receiver:
        for text in ("one", "two"):
            assert httpx2.post(receiver.url + "notify", content=text, trust_env=False).status_code == HTTPStatus.OK
    assert receiver.bodies == ["one", "two"]
    assert receiver.received[0].path == "/notify"


def test_a_receiver_can_fail_and_still_remembers():
    with Receiver() as receiver:
        receiver.answer = HTTPStatus.SERVICE_UNAVAILABLE
        assert httpx2.post(receiver.url, content="lost", trust_env=False).status_code == 503
    assert receiver.bodies == ["lost"]
