"""What a fetch names, and what the broker is told to forget: KIP-227, from the side that asks."""

import io

import pytest
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v4, FetchRequest_v11, FetchResponse_v11

from app.stream.sessions import Session, SessionFetch, in_sessions

SIZE = 1_000


def fetch(session, **positions):
    """A fetch of some partitions of one topic, by their names p0, p1, ..."""
    parts = [(int(name[1:]), at, SIZE) for name, at in positions.items()]
    return SessionFetch(FetchRequest(500, 1, 9_000, 1, [("journal", parts)] if parts else []), session)


def sent(request, kind=FetchRequest_v11):
    """The request as the broker reads it."""
    return FetchRequest_v11.decode(request.build(kind).encode())


def named(read):
    return {partition: offset for _, parts in read.topics for partition, _, offset, _, _ in parts}


def ask(session, answer=(0, 77), **positions):
    """What the broker reads of a fetch that it answers with an error code and a session."""
    built = fetch(session, **positions).build(FetchRequest_v11)
    if answer is not None:
        body = FetchResponse_v11(0, *answer, []).encode()
        assert built.RESPONSE_TYPE.decode(io.BytesIO(body)).session_id == answer[1]
    return FetchRequest_v11.decode(built.encode())


def test_the_first_names_all_and_asks_for_a_session():
    read = ask(Session(), p0=5, p1=7)
    assert (read.session_id, read.session_epoch) == (0, 0)
    assert named(read) == {0: 5, 1: 7}


def test_the_next_names_what_moved():
    session = Session()
    ask(session, p0=5, p1=7)
    read = ask(session, p0=5, p1=8)
    assert (read.session_id, read.session_epoch) == (77, 1)
    assert named(read) == {1: 8}
    assert not read.forgotten_topics_data
    assert ask(session, p0=5, p1=8).session_epoch == 2


def test_what_is_no_longer_wanted_is_forgotten_and_named_again_when_it_is():
    session = Session()
    ask(session, p0=5, p1=7)
    read = ask(session, p0=5)
    assert read.forgotten_topics_data == [("journal", [1])]
    assert named(read) == {}
    assert named(ask(session, p0=5, p1=7)) == {1: 7}


@pytest.mark.parametrize("error", [70, 71])
def test_a_broker_that_knows_the_session_no_more_is_told_all(error):
    session = Session()
    ask(session, p0=5, p1=7)
    ask(session, (error, 0), p0=6, p1=7)
    read = ask(session, p0=6, p1=7)
    assert (read.session_id, read.session_epoch) == (0, 0)
    assert named(read) == {0: 6, 1: 7}


def test_a_broker_without_room_for_sessions_is_always_told_all():
    session = Session()
    for _ in range(3):
        read = ask(session, (0, 0), p0=5, p1=7)
        assert (read.session_id, read.session_epoch) == (0, 0)
        assert named(read) == {0: 5, 1: 7}


def test_after_a_fetch_that_was_not_answered_all_is_named_and_the_session_ended():
    session = Session()
    ask(session, p0=5, p1=7)
    ask(session, None, p0=6, p1=7)
    read = ask(session, p0=6, p1=7)
    assert (read.session_id, read.session_epoch) == (77, 0)
    assert named(read) == {0: 6, 1: 7}


def test_epochs_begin_again_at_one():
    session = Session()
    ask(session, p0=5)
    session._epoch = 0x7FFF_FFFF
    assert ask(session, p0=5).session_epoch == 0x7FFF_FFFF
    assert ask(session, p0=5).session_epoch == 1


def test_an_older_broker_is_asked_without_sessions():
    session = Session()
    ask(session, p0=5)
    built = fetch(session, p0=5).build(FetchRequest_v4)
    assert built.topics == [("journal", [(0, 5, SIZE)])]
    assert built.RESPONSE_TYPE is FetchRequest_v4.RESPONSE_TYPE


def test_the_fetcher_finds_in_its_request_all_that_it_wanted():
    session = Session()
    ask(session, p0=5, p1=7)
    request = fetch(session, p0=5, p1=8)
    request.build(FetchRequest_v11)
    assert request.topics == [("journal", [(0, 5, SIZE), (1, 8, SIZE)])]


class Fetcher:
    """Wants the same of two brokers, whatever is assigned."""

    def _get_actions_per_node(self, assignment):
        request = FetchRequest(500, 1, 9_000, 1, [("journal", [(0, 5, SIZE)])])
        return [(1, request), (2, request)], {}, 0.2, False, []


def answered(requests):
    """How many partitions each of two requests named."""
    counts = []
    for _, request in requests:
        built = request.build(FetchRequest_v11)
        built.RESPONSE_TYPE.decode(io.BytesIO(FetchResponse_v11(0, 0, 7, []).encode()))
        counts.append(sum(len(parts) for _, parts in built.topics))
    return counts


def test_each_broker_has_a_session_and_each_assignment_begins_them_anew():
    fetcher = Fetcher()
    in_sessions(fetcher)
    first, second = object(), object()
    requests, *rest = fetcher._get_actions_per_node(first)
    assert rest == [{}, 0.2, False, []]
    assert answered(requests) == [1, 1]
    assert answered(fetcher._get_actions_per_node(first)[0]) == [0, 0]
    assert answered(fetcher._get_actions_per_node(second)[0]) == [1, 1]
