"""Three Kafka nodes on loopback, each broker and controller: every record three times, two to acknowledge it.

Started by the fixtures of this folder, broken by `tests.chaos.faults`. A node that is killed loses
nothing that was acknowledged; who leads, and who is the controller, is asked of Kafka's own tools.
"""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confluent_kafka import ElectionType, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from app.local.kafka import Kafka, properties
from app.local.ports import HOST
from tests.processes import wait_for

NODES = (1, 2, 3)

_MORE = """\
node.id={node}
controller.quorum.voters={voters}
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
unclean.leader.election.enable=false
"""
"""What a node of three has otherwise; the last word on a property counts."""


class Node(Kafka):
    """One of the three."""

    def __init__(self, directory: Path, node: int) -> None:
        super().__init__(directory / str(node))
        self.node = node
        self.voters = ""

    def _properties(self, data: str) -> str:
        return properties(data, self.ports) + _MORE.format(node=self.node, voters=self.voters)


class Cluster:
    """The three together."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.nodes = {node: Node(directory, node) for node in NODES}
        voters = ",".join(f"{node}@{HOST}:{one.ports['controller']}" for node, one in self.nodes.items())
        for one in self.nodes.values():
            one.voters, one.cluster = voters, self.nodes[1].cluster
        self.bootstrap = ",".join(f"{HOST}:{one.ports['kafka']}" for one in self.nodes.values())
        self.proxied = ",".join(f"{HOST}:{one.ports['proxy']}" for one in self.nodes.values())
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def start(self) -> None:
        """Start those that do not run; a node serves when a majority is there, so all at once."""
        with ThreadPoolExecutor(len(NODES)) as pool:
            list(pool.map(lambda one: one.start(), self.nodes.values()))
        self.whole()

    def end(self) -> None:
        for one in self.nodes.values():
            one.kill()

    def whole(self, timeout_s: float = 120.0) -> None:
        """Wait until every partition has its three replicas in sync: before that, one more death is too many."""
        wait_for(self._whole, timeout_s, "all replicas in sync")

    def _whole(self) -> bool:
        try:
            metadata = self.admin.list_topics(timeout=10)
        except KafkaException:
            return False
        partitions = [one for topic in metadata.topics.values() for one in topic.partitions.values()]
        return len(metadata.brokers) == len(NODES) and all(
            one.leader > 0 and len(one.isrs) == len(one.replicas) for one in partitions
        )

    def leader(self, topic: str, partition: int = 0) -> int:
        """The node that leads a partition."""
        return self.admin.list_topics(topic, timeout=30).topics[topic].partitions[partition].leader

    def controller(self) -> int:
        """The node that is the controller; metadata name any broker there, the quorum knows."""
        said = self._tool("org.apache.kafka.tools.MetadataQuorumCommand", "describe", "--status")
        return int(re.search(r"LeaderId:\s+(\d+)", said)[1])

    def move_leaders(self, topic: str) -> int:
        """Give every partition of a topic another leader, while all replicas stay; how many were moved."""
        partitions = self.admin.list_topics(topic, timeout=30).topics[topic].partitions
        rows = [
            {"topic": topic, "partition": number, "replicas": _rotated(one.replicas, one.leader)}
            for number, one in partitions.items()
        ]
        plan = self.directory / "plan.json"
        plan.write_text(json.dumps({"version": 1, "partitions": rows}))
        tool = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
        self._tool(tool, "--reassignment-json-file", str(plan), "--execute")
        wanted = [TopicPartition(topic, number) for number in partitions]

        def moved() -> int:
            self.admin.elect_leaders(ElectionType.PREFERRED, wanted).result(60)
            time.sleep(1.0)  # the broker that is asked learns of it a moment later
            after = self.admin.list_topics(topic, timeout=30).topics[topic].partitions
            return sum(after[number].leader != one.leader for number, one in partitions.items())

        return wait_for(moved, 30, f"leaders of {topic} to move")

    def _tool(self, name: str, *arguments: str) -> str:
        return self.nodes[1].jars.run(name, "--bootstrap-server", self.bootstrap, *arguments)


def _rotated(replicas: list[int], leader: int) -> list[int]:
    """The same replicas, the one after the leader first: it is preferred then."""
    at = (replicas.index(leader) + 1) % len(replicas)
    return [*replicas[at:], *replicas[:at]]
