"""Confirms against deliveries, as RabbitMQ may send them: late, grouped, refused, returned, never."""

from collections import defaultdict
from types import SimpleNamespace

import pytest

from app.queue import link as links
from app.queue.link import Link, Refused
from app.queue.message import of_action
from tasks.contract import Notify, Scale

SAME = {"service": "web", "decided_at_ms": 1, "expires_at_ms": 2}


def scale(n):
    return of_action(Scale(id=f"j-0-{n}-0", generation=n, from_replicas=1, to_replicas=2, **SAME))


def notify(n):
    return of_action(Notify(id=f"j-0-{n}-1", receiver="team", title="t", body="b", **SAME))


class Server:
    """A channel and connection whose answers are a script: each drain plays the next line of it."""

    def __init__(self):
        self.events = defaultdict(set)
        self.published = []
        self.script = []
        self.collected = False

    def channel(self):
        return self

    def confirm_select(self):
        pass

    def collect(self):
        self.collected = True

    def basic_publish(self, message, exchange, routing_key, mandatory):
        assert mandatory, "an action that no queue takes must come back"
        self.published.append(message)

    def drain_events(self, timeout):
        if not self.script:
            raise TimeoutError("nothing comes")
        for name, *args in self.script.pop(0):
            for answer in self.events[name]:
                answer(*args)

    def returned(self, place):
        return "basic_return", None, "x", "key", SimpleNamespace(properties=self.published[place].properties)


@pytest.fixture
def server(monkeypatch):
    one = Server()
    monkeypatch.setattr(links, "connect", lambda url: one)
    monkeypatch.setattr(links, "SILENCE_S", 0.0)
    return one


def send(server, messages, wanted=lambda: True, link=None):
    confirmed = set()
    try:
        (link or Link("amqp://x")).send(messages, confirmed, wanted)
    except (Refused, OSError) as why:
        return confirmed, why
    return confirmed, None


def test_single_and_grouped_confirms_are_understood(server):
    server.script = [[("basic_ack", 2, False)], [("basic_ack", 4, True)], [("basic_ack", 5, False)]]
    assert send(server, [scale(n) for n in range(5)]) == ({0, 1, 2, 3, 4}, None)


def test_a_confirm_of_something_else_confirms_nothing(server):
    server.script = [[("basic_ack", 9, False)], [("basic_ack", 1, False)]]
    confirmed, why = send(server, [scale(0), scale(1)])
    assert confirmed == {0}
    assert isinstance(why, TimeoutError), "one was never confirmed"


def test_a_refused_message_is_not_confirmed_and_its_neighbours_are(server):
    server.script = [[("basic_ack", 1, False), ("basic_nack", 2, False), ("basic_ack", 3, False)]]
    confirmed, why = send(server, [scale(0), scale(1), notify(2)])
    assert confirmed == {0, 2}
    assert str(why) == "RabbitMQ refuses actions of kind scale: is their queue full?"


def test_a_returned_message_is_not_confirmed_although_its_confirm_comes(server):
    messages = [scale(0), notify(1), scale(2)]
    link = Link("amqp://x")
    for one in messages:
        server.published.append(SimpleNamespace(properties=one.properties))
    server.script = [[server.returned(1), ("basic_ack", 3, True)]]
    confirmed, why = send(server, messages, link=link)
    assert confirmed == {0, 2}
    assert "takes actions of kind notify" in str(why)
    assert "headrace queues init" in str(why)


def test_two_returned_copies_of_a_message_are_two(server):
    messages = [notify(1), notify(1)]
    for one in messages:
        server.published.append(SimpleNamespace(properties=one.properties))
    server.script = [[server.returned(0), server.returned(1), ("basic_ack", 2, True)]]
    assert send(server, messages)[0] == set()


def test_the_same_reason_is_said_in_the_same_words_however_the_answers_come(server):
    link = Link("amqp://x")
    server.script = [[("basic_nack", 2, True)]]
    first = str(send(server, [scale(0), notify(1)], link=link)[1])
    server.script = [[("basic_nack", 4, False), ("basic_nack", 3, False)]]
    assert str(send(server, [scale(0), notify(1)], link=link)[1]) == first


def test_an_old_reason_is_not_said_again(server):
    link = Link("amqp://x")
    server.script = [[("basic_nack", 1, False)], [("basic_nack", 2, False)]]
    send(server, [scale(0)], link=link)
    assert "scale" not in str(send(server, [notify(1)], link=link)[1])


def test_no_more_than_the_window_is_under_way(server, monkeypatch):
    monkeypatch.setattr(links, "WINDOW", 3)
    confirmed, why = send(server, [scale(n) for n in range(10)])
    assert len(server.published) == 3
    assert (confirmed, type(why)) == (set(), TimeoutError)


def test_what_nobody_waits_for_any_more_is_given_up(server):
    assert send(server, [scale(0)], wanted=lambda: False) == (set(), None)
    assert server.published == []


def test_a_link_that_fails_while_it_is_made_leaves_no_socket(server):
    server.confirm_select = lambda: (_ for _ in ()).throw(ConnectionResetError("gone"))
    with pytest.raises(ConnectionResetError):
        Link("amqp://x")
    assert server.collected
