"""The publisher's thread without a server: what it does with the answers of a link."""

import asyncio

import pytest
from structlog.testing import capture_logs

from app.queue import held
from app.queue import publisher as publishers
from app.queue.link import Refused
from app.queue.message import of_action
from app.queue.publisher import Publisher
from tasks.contract import Notify, Scale
from tests.processes import wait_for

SAME = {"service": "web", "decided_at_ms": 1, "expires_at_ms": 2}


def scale(n):
    return of_action(Scale(id=f"j-0-{n}-0", generation=n, from_replicas=1, to_replicas=2, **SAME))


def notify(n):
    return of_action(Notify(id=f"j-0-{n}-0", receiver="team", title="t", body="b", **SAME))


def messages(count):
    return [scale(n) for n in range(count)]


class FakeLink:
    """Answers each `send` by the next of `answers`, a function of (messages, confirmed); then it takes all."""

    def __init__(self):
        self.sent = []
        self.answers = []
        self.always = None
        self.made = 0
        self.dropped = 0

    def __call__(self, url):
        self.made += 1
        return self

    def send(self, messages, confirmed, wanted):
        self.sent.append([message.id for message in messages])
        if self.answers:
            self.answers.pop(0)(messages, confirmed)
        elif self.always:
            self.always(messages, confirmed)
        else:
            confirmed.update(range(len(messages)))

    def drop(self):
        self.dropped += 1


@pytest.fixture
def link(monkeypatch):
    fake = FakeLink()
    monkeypatch.setattr(publishers, "Link", fake)
    monkeypatch.setattr(publishers, "RETRY_S", (0.0,))
    return fake


@pytest.fixture
def publisher(link):
    one = Publisher("amqp://x")
    one.start()
    yield one
    one.stop()


def wait(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 10))


def refuse(*places):
    def answer(messages, confirmed):
        confirmed.update(set(range(len(messages))) - set(places))
        raise Refused("full")

    return answer


def lose(*confirmed_places):
    def answer(messages, confirmed):
        confirmed.update(confirmed_places)
        raise ConnectionResetError("gone")

    return answer


def test_only_what_was_refused_is_published_again_in_order_on_the_same_link(publisher, link):
    link.answers = [refuse(1, 3), refuse(0)]
    wait(publisher.publish(messages(5)))
    assert link.sent[1:] == [["j-0-1-0"], ["j-0-1-0"], ["j-0-3-0"]], "one of a service at a time, none overtakes"
    assert link.made == 1


def test_a_kind_that_is_refused_holds_back_what_comes_after_it_of_its_own_kind_and_nothing_else(publisher, link):
    full = True

    def answer(sent, confirmed):
        taken = {place for place, message in enumerate(sent) if not (full and message.kind == "scale")}
        confirmed.update(taken)
        if len(taken) < len(sent):
            raise Refused("full")

    async def main():
        nonlocal full
        rests = [await publisher.offer(batch) for batch in ([scale(0), notify(1)], [scale(2)], [notify(3)])]
        assert [rest is None for rest in rests] == [False, False, True]
        assert publisher.waits_for == "full"
        sent = [one for batch in link.sent for one in batch]
        assert "j-0-2-0" not in sent, "it waits behind the other one of its kind"
        full = False
        await asyncio.gather(*[rest for rest in rests if rest])
        await publisher.publish([scale(4)])

    link.always = answer
    wait(main())
    assert [batch for batch in link.sent if batch[0] in {"j-0-2-0", "j-0-4-0"}] == [["j-0-2-0"], ["j-0-4-0"]]
    assert publisher.waits_for == ""


def test_more_than_the_window_is_not_held_back(publisher, link, monkeypatch):
    monkeypatch.setattr(held, "MOST", 3)
    full = True

    def answer(sent, confirmed):
        if full:
            raise Refused("full")
        confirmed.update(range(len(sent)))

    async def main():
        nonlocal full
        rests = [await publisher.offer([scale(n)]) for n in range(3)]
        waiting = asyncio.create_task(publisher.offer([scale(3)]))
        behind = asyncio.create_task(publisher.offer([notify(4)]))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        assert not behind.done()
        full = False
        await asyncio.gather(*rests, waiting, behind)

    link.always = answer
    wait(main())


def test_held_messages_that_nobody_waits_for_any_more_are_not_published(publisher, link):
    async def main():
        link.answers = [refuse(0)] + [refuse(0)] * 100_000
        rest = await publisher.offer([scale(0)])
        rest.cancel()
        await asyncio.sleep(0.1)
        tried = len(link.sent)
        await asyncio.sleep(0.1)
        assert len(link.sent) == tried
        link.answers.clear()
        await publisher.publish([scale(1)])

    wait(main())
    assert link.sent[-1] == ["j-0-1-0"]


def test_after_a_lost_connection_what_was_not_confirmed_goes_over_a_new_one(publisher, link):
    link.answers = [lose(0, 2)]
    wait(publisher.publish(messages(4)))
    assert link.sent[1:] == [["j-0-1-0", "j-0-3-0"]]
    assert (link.made, link.dropped) == (2, 1)


def test_an_outage_is_one_line_and_another_reason_is_another(publisher, link):
    link.answers = [lose(), lose(), lose(), refuse(0), refuse(0)]
    with capture_logs() as lines:
        wait(publisher.publish(messages(1)))
        wait_for(lambda: len(lines) >= 3, 5, "the line of the end, which the thread writes")
    assert [line["event"] for line in lines] == [
        "publishing_stands_still", "held_back", "publishing_again"
    ]  # fmt: skip
    assert lines[1]["why"] == "full"


def test_a_wait_that_is_cancelled_the_moment_all_is_confirmed_does_not_end_the_thread(publisher, link):
    async def main():
        loop = asyncio.get_running_loop()
        first = asyncio.create_task(publisher.publish(messages(1)))

        def answer(messages, confirmed):
            confirmed.add(0)
            asyncio.run_coroutine_threadsafe(cancelled(first), loop).result(5)

        link.answers = [answer]
        with pytest.raises(asyncio.CancelledError):
            await first
        await publisher.publish(messages(2))

    async def cancelled(task):
        task.cancel()
        await asyncio.wait([task])

    wait(main())
    assert len(link.sent[-1]) == 2


def test_what_nobody_waits_for_any_more_is_not_tried_again(publisher, link):
    async def main():
        loop = asyncio.get_running_loop()
        first = asyncio.create_task(publisher.publish(messages(1)))

        def answer(messages, confirmed):
            asyncio.run_coroutine_threadsafe(cancelled(first), loop).result(5)
            raise Refused("full")

        link.answers = [answer]
        with pytest.raises(asyncio.CancelledError):
            await first
        await publisher.publish(messages(2))

    async def cancelled(task):
        task.cancel()
        await asyncio.wait([task])

    wait(main())
    assert [len(sent) for sent in link.sent] == [1, 2]
    assert link.made == 2, "late confirms of the first must not meet the second"


def test_nothing_to_publish_asks_nobody(publisher, link):
    wait(publisher.publish([]))
    assert link.made == 0


def test_a_publisher_that_never_started_can_be_stopped():
    Publisher("amqp://x").stop()
