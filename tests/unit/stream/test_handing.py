"""How an event goes from the transport to its agent: at once, or not beyond a suspension of the flow."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest
from faust.types.tuples import TP
from mode import Service

from app.stream.blocks import Block
from app.stream.positions import Positions
from app.stream.transport import Consumer

TP0 = TP("metrics", 0)


class HandsOn(Service):
    """The part of the transport's consumer that hands blocks on, for an agent that is not reached."""

    _deliver_blocks = Consumer._deliver_blocks
    _way_is_free = Consumer._way_is_free

    def __init__(self, *, active, locked=False):
        super().__init__()
        self.suspend_flow = asyncio.Event()
        self.positions = Positions(Counter(), lambda: None)
        self.positions.start(TP0, 0)
        self._read_offset, self.counts = {}, Counter()
        topics = SimpleNamespace(_tp_to_callback_lock=SimpleNamespace(locked=lambda: locked))
        monitor = SimpleNamespace(track_tp_end_offset=lambda *_: None)
        self.app = SimpleNamespace(
            flow_control=SimpleNamespace(is_active=lambda: active), topics=topics, monitor=monitor
        )
        self.handed = asyncio.Event()

    def _current(self, _generation):
        return True

    def highwater(self, _tp):
        return 0

    async def callback(self, _message):
        self.beside = len(asyncio.all_tasks())
        await self.handed.wait()


@pytest.mark.parametrize(("active", "locked"), [(False, False), (True, True)])
def test_an_event_that_does_not_reach_its_agent_is_given_up_when_the_flow_is_suspended(active, locked):
    async def run():
        one = HandsOn(active=active, locked=locked)
        handing = asyncio.create_task(one._deliver_blocks("metrics", [Block(TP0, 0, 5, [])], 1))
        await asyncio.sleep(0.01)
        assert not handing.done()
        one.suspend_flow.set()
        await asyncio.wait_for(handing, 30)

    asyncio.run(run())


def test_an_event_whose_way_is_free_costs_no_task():
    async def run():
        one = HandsOn(active=True)
        one.handed.set()
        await one._deliver_blocks("metrics", [Block(TP0, 0, 5, [])], 1)
        assert one.beside == 1
        assert one.positions.expected[TP0] == 5

    asyncio.run(run())
