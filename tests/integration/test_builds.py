"""Builds without a Kafka: from a webhook, from any AMQP client, and ten thousand at once with a worker killed."""

import json
from collections import Counter
from time import monotonic, sleep

import pika
import pytest

from app.queue.message import of_action
from tests.processes import Running, wait_for
from tests.rig import worker

JOBS = 10_000


@pytest.fixture
def env(headrace_env, tmp_path):
    return headrace_env | {
        "HEADRACE_KAFKA_URL": "",
        "HEADRACE_LEASE_S": "2",
        "HEADRACE_BUILD_DIR": str(tmp_path / "builds"),
        "HEADRACE_BUILD_COMMAND": f'echo "$HEADRACE_REPO@$HEADRACE_BRANCH" >> {tmp_path}/built',
    }


def built(tmp_path):
    """What was built, each as often as its command was run."""
    file = tmp_path / "built"
    return Counter(file.read_text().splitlines()) if file.exists() else Counter()


def publish(url, jobs, **properties):
    """Put plain JSON on the queue of builds, as any AMQP client would, each confirmed."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    for number, job in enumerate(jobs):
        told = {name: value.format(number) for name, value in properties.items()}
        channel.basic_publish(
            "", "build_jobs", json.dumps(job).encode(), pika.BasicProperties(delivery_mode=2, **told), mandatory=True
        )
    connection.close()


def test_a_plain_job_of_any_client_is_a_build_and_one_delivered_three_times_is_one(rig, env, processes, tmp_path):
    worker(processes, env)
    publish(rig.settings.rabbitmq_url, [{"repo": "myapp", "branch": "main"}])
    publish(rig.settings.rabbitmq_url, [{"repo": "thrice", "branch": "b"}] * 3, message_id="one")
    wait_for(lambda: len(built(tmp_path)) == 2, 30, "both builds")
    sleep(1)
    assert built(tmp_path) == {"myapp@main": 1, "thrice@b": 1}


@pytest.mark.timeout(480)
def test_a_burst_of_ten_thousand_with_a_worker_killed_half_way_is_built_once_each(rig, env, processes, tmp_path):
    """Three workers of one process each; the figures are printed."""
    workers = [worker(processes, env, f"w{number}", children=1) for number in range(3)]
    began = monotonic()
    publish(rig.settings.rabbitmq_url, [{"repo": f"app-{n}"} for n in range(JOBS)], message_id="burst-{}")
    published_s = monotonic() - began
    wait_for(lambda: sum(built(tmp_path).values()) >= JOBS // 2, 400, "half of the builds")
    workers[0].kill()
    killed_s = monotonic() - began
    wait_for(lambda: len(built(tmp_path)) == JOBS, 400, "every build")
    took_s = monotonic() - began
    wait_for(lambda: rig.depth("build_jobs") == 0, 30, "an empty queue")
    counts = built(tmp_path)
    doubled = {name: count for name, count in counts.items() if count > 1}
    each = [done(one) for one in workers]
    print(
        f"\n{JOBS} builds, three workers, one killed after {killed_s:.0f} s: published in {published_s:.0f} s, "
        f"all built after {took_s:.0f} s ({JOBS / took_s:.0f}/s); by worker {each}; "
        f"lost {JOBS - len(counts)}, doubled {len(doubled)}"
    )
    assert doubled == {}
    assert rig.dead() == []


def done(one: Running) -> int:
    return one.text.count('"status": "done"')


def test_a_build_that_the_gateway_published_is_run_without_kafka(rig, env, processes, tmp_path):
    from app.gateway.github import build_of

    push = {"ref": "refs/heads/dev", "after": "abc", "repository": {"full_name": "o/r"}}
    worker(processes, env)
    message = of_action(build_of("push", "d-1", json.dumps(push).encode(), 4_000_000_000_000))
    rig.publish(*[("downstream_actions", message.routing_key, message.body, message.properties)] * 3)
    wait_for(lambda: built(tmp_path), 30, "the build")
    sleep(1)
    assert built(tmp_path) == {"o/r@dev": 1}
