"""The cluster of three and what runs on it, for the tests of this folder."""

import os
import time

import pytest

from app.local.process import ServerUnavailable
from app.settings import Settings
from app.stream import topics
from tests.chaos.cluster import Cluster
from tests.chaos.traffic import DEPLOYS, METRICS, make_topics

PARTITIONS = 12


@pytest.fixture(scope="session")
def seed():
    found = int(os.environ.get("HEADRACE_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"seed {found}; HEADRACE_TEST_SEED={found} repeats it")
    return found


@pytest.fixture
def cluster(tmp_path):
    """Three nodes with nothing on them."""
    try:
        three = Cluster(tmp_path / "kafka")
        three.start()
    except ServerUnavailable as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    yield three
    three.end()


@pytest.fixture
def chaos_env(cluster, tmp_path):
    """The environment of the product's programs on the cluster."""
    return {
        "HEADRACE_KAFKA_URL": f"kafka://{cluster.bootstrap}",
        "HEADRACE_METRIC_TOPICS": ",".join(METRICS),
        "HEADRACE_EVENT_TOPICS": DEPLOYS,
        "HEADRACE_INSTANCE_TOPICS": "",
        "HEADRACE_SNAPSHOT_S": "20",
        "HEADRACE_DATADIR": str(tmp_path / "faust"),
        "HEADRACE_LOG_JSON": "true",
    }


@pytest.fixture
def chaos_settings(cluster, seed):
    """The cluster for code that runs in the test itself, with every topic made."""
    settings = Settings(
        kafka_url=f"kafka://{cluster.bootstrap}", partitions=PARTITIONS, replication=3, metric_topics=",".join(METRICS),
        event_topics=DEPLOYS, instance_topics="",
    )  # fmt: skip
    make_topics(settings)
    topics.init(settings)
    cluster.whole()
    return settings
