"""Only half of it: the queue without a Kafka, the stream without a RabbitMQ, each with the other's broker absent."""

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from app.settings import Settings
from app.stream import client
from app.stream.topics import DECISIONS
from tests import fresh
from tests.processes import wait_for

POLICY = """
apiVersion: headrace/v1
kind: Scale
metadata: {name: web}
spec:
  service: web
  maxReplicas: 9
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]
"""
SAID = re.compile(r"the incident page is at (http://\S+/)")


def headrace(env, *arguments, code=0):
    program = str(Path(sys.executable).parent / "headrace")
    ours = os.environ | env | {"COLUMNS": "250"}
    done = subprocess.run([program, *arguments], env=ours, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def up(processes, env, *arguments):
    """`headrace up`, and a client of its gateway."""
    running = processes.start(["headrace", "up", "--workers", "1", *arguments], env)
    wait_for(lambda: SAID.search(running.text) or not running.alive, 60, "the gateway to listen")
    assert running.alive, running.text
    return running, httpx2.Client(base_url=SAID.search(running.text)[1], timeout=30)


@pytest.fixture
def queue_only(session, tmp_path):
    servers = session.have("rabbitmq", "redis")
    settings = Settings(
        kafka_url="", rabbitmq_url=servers.rabbitmq_url, redis_url=servers.redis_url,
        rabbitmq_api=servers.env.get("HEADRACE_RABBITMQ_API", ""),
    )  # fmt: skip
    fresh.queues(settings)
    fresh.keys(settings)
    own = {name: value for name, value in servers.env.items() if "KAFKA" not in name}
    return own | {
        "HEADRACE_KAFKA_URL": "", "HEADRACE_GATEWAY_PORT": "0", "HEADRACE_GITHUB_SECRETS": "s",
        "HEADRACE_SPOOL": str(tmp_path / "spool.db"), "HEADRACE_BUILD_DIR": str(tmp_path / "builds"),
        "HEADRACE_BUILD_COMMAND": f'echo "$HEADRACE_BRANCH" >> {tmp_path}/built',
    }  # fmt: skip


@pytest.fixture
def stream_only(session, tmp_path):
    servers = session.have("kafka")
    fresh.topics(Settings(kafka_url=servers.kafka_url, rabbitmq_url="", partitions=4))
    return {
        "HEADRACE_KAFKA_URL": servers.kafka_url, "HEADRACE_RABBITMQ_URL": "", "HEADRACE_PARTITIONS": "4",
        "HEADRACE_REDIS_URL": "redis://127.0.0.1:1/0", "HEADRACE_GATEWAY_PORT": "0",
        "HEADRACE_DATADIR": str(tmp_path / "faust"), "HEADRACE_SPOOL": str(tmp_path / "spool.db"),
    }  # fmt: skip


def test_the_queue_half_builds_what_a_webhook_asks_for_without_a_kafka(queue_only, processes, tmp_path):
    _, http = up(processes, queue_only)
    body = json.dumps({"ref": "refs/heads/dev", "after": "abc", "repository": {"full_name": "o/r"}}).encode()
    signature = f"sha256={hmac.new(b's', body, hashlib.sha256).hexdigest()}"
    headers = {"X-GitHub-Event": "push", "X-GitHub-Delivery": "d-1", "X-Hub-Signature-256": signature}
    for _ in range(2):
        assert http.post("webhooks/github", content=body, headers=headers).status_code == 202
    wait_for((tmp_path / "built").exists, 60, "the build")
    board = http.get("api/board").json()
    assert board["standing"]["state"] == "no_kafka"
    assert [one["branch"] for one in board["builds"]] == ["dev"]
    assert http.post("events", content=b'{"type": "deployed", "service": "web"}').status_code == 503
    told = headrace(queue_only, "doctor")
    assert "queue only" in told
    assert "HEADRACE_KAFKA_URL and run `headrace topics init`" in told
    assert (tmp_path / "built").read_text() == "dev\n"


def test_the_stream_half_decides_and_remembers_without_a_rabbitmq(stream_only, processes, tmp_path):
    running, http = up(processes, stream_only)
    policy = tmp_path / "web.yaml"
    policy.write_text(POLICY)
    headrace(stream_only, "policy", "apply", str(policy))
    settings = Settings(kafka_url=stream_only["HEADRACE_KAFKA_URL"], rabbitmq_url="")
    changed = b'"POLICIES_CHANGED"'
    wait_for(lambda: sum(changed in one for one in decisions(settings)) == 4, 60, "the policies in force")
    headrace(stream_only, "send", "web", "cpu=95", "--host", "web-01")
    wait_for(lambda: any(b'"COUNTING"' in one for one in decisions(settings)), 60, "a refusal on the stream")
    assert http.post("events", content=b'{"type": "deployed", "service": "web", "version": "2"}').status_code == 202
    wait_for(lambda: any(b'"EVENT_SEEN"' in one for one in decisions(settings)), 60, "the deploy on the stream")
    assert "EVENT_SEEN" in headrace(stream_only, "decisions")
    assert "equal" in headrace(stream_only, "replay")
    told = headrace(stream_only, "doctor")
    assert "stream only" in told
    assert "HEADRACE_RABBITMQ_URL and HEADRACE_REDIS_URL and run `headrace queues init`" in told
    assert running.alive


def decisions(settings):
    low, high = client.borders(settings, DECISIONS)
    return [message.value for message in client.read_topic(settings, DECISIONS, low, high)]
