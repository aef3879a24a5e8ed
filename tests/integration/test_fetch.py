"""How many messages a worker takes before it has done those it has, as RabbitMQ itself tells."""

from app.queue import api
from tasks.contract import DEAD_QUEUE, QUEUES, Kind
from tests.processes import wait_for
from tests.rig import worker

CHILDREN = 2


def test_a_worker_takes_one_message_to_spare_of_each_queue_and_none_of_builds(clean, headrace_env, processes):
    worker(processes, headrace_env, children=CHILDREN)
    queues = {*QUEUES.values(), DEAD_QUEUE}

    def counts():
        found = {one["queue"]["name"]: one["prefetch_count"] for one in api.call(clean, "GET", "consumers/{vhost}")}
        return found if found.keys() == queues else None

    builds = QUEUES[Kind.BUILD]
    assert wait_for(counts, 60, "the consumers") == dict.fromkeys(queues, CHILDREN + 1) | {builds: CHILDREN}
