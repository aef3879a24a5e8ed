"""How many messages a worker takes from each of its queues at a time."""

from copy import copy

import pytest

from tasks.contract import QUEUES, Kind
from tasks.fetch import Fetched


@pytest.mark.parametrize(("kind", "ahead"), [(Kind.SCALE, 3), (Kind.NOTIFY, 3), (Kind.BUILD, 2)])
def test_a_queue_has_one_message_to_spare_but_of_builds_and_so_have_its_copies(kind, ahead, monkeypatch):
    queue = Fetched(QUEUES[kind])
    monkeypatch.setattr(Fetched, "children", 2)  # kombu binds a copy of a queue to each channel
    assert (queue.ahead, copy(queue).ahead) == (ahead, ahead)
