"""How many messages a worker takes before it has done those it has, as its queue tells."""

import time

from tasks.contract import QUEUES, Kind
from tests.processes import wait_for
from tests.rig import Rig, scaling, worker

CHILDREN = 2
SENT = 6


def test_a_worker_takes_one_message_to_spare_beside_those_it_works_on(clean, headrace_env, processes):
    rig = Rig(clean)
    for number in range(SENT):
        rig.fleet(f"slow{number}", delay_ms=60_000)
        rig.send(scaling(f"slow{number}-1", f"slow{number}"))
    wait_for(lambda: rig.depth(QUEUES[Kind.SCALE]) == SENT, 30, "all to be in the queue")
    worker(processes, headrace_env, children=CHILDREN)
    wait_for(lambda: rig.depth(QUEUES[Kind.SCALE]) <= SENT - CHILDREN - 1, 60, "the worker to take what it takes")
    time.sleep(2)
    assert rig.depth(QUEUES[Kind.SCALE]) == SENT - CHILDREN - 1
