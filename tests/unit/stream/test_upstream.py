"""The transport replaces or relies on these functions of Faust and aiokafka: a change must be read, not passed by.

When one of these fails after an upgrade, read what changed in the named function, see whether
app/stream still fits, run the chaos tests, and only then write the new hash.
"""

import hashlib
import importlib
import inspect
from functools import reduce

import pytest

KNOWN = {
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._create_worker_consumer": "c2701bfc3e6f6cad",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._fetch_records": "39a2c6c79fc1455a",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.getmany": "26fc5fc9f3b667e1",
    "faust.transport.consumer:Consumer._commit_tps": "a20e230b05ae8b15",
    "faust.transport.consumer:Consumer._commit_offsets": "1a69799041188441",
    "faust.transport.consumer:Consumer._drain_messages": "44a2500309e83c63",
    "faust.transport.consumer:Consumer._filter_tps_with_pending_acks": "f6f9239774234e7e",
    "faust.transport.consumer:Consumer._new_offset": "1d2c7ea89a7ad4f1",
    "faust.transport.consumer:Consumer._wait_next_records": "6218e1969a636b3f",
    "faust.transport.consumer:Consumer.on_partitions_revoked": "d04b7ae72c6fc206",
    "faust.transport.consumer:Consumer.on_stop": "45b1d2210ce2b526",
    "faust.transport.consumer:Consumer.perform_seek": "0e8c130ff4b0afd8",
    "faust.transport.consumer:Consumer.wait_empty": "e4662fe24f094819",
    "faust.transport.drivers.aiokafka:Producer._settings_extra": "a4c7bc41b6382223",
    "aiokafka.consumer.fetcher:Fetcher.fetched_records": "be4348896b9b66af",
    "aiokafka.consumer.fetcher:Fetcher._proc_fetch_request": "59bf948fff47eed5",
    "aiokafka.consumer.fetcher:FetchResult.check_assignment": "b5340df67e3f330f",
    "aiokafka.consumer.fetcher:FetchResult.getall": "3e717e30de5068d5",
    "aiokafka.consumer.fetcher:PartitionRecords._unpack_records": "b803e6d46480732c",
    "faust.transport.consumer:Consumer._should_commit": "5ce941793947ad42",
    "faust.transport.consumer:Consumer.resume_partitions": "afe6b7c02a41d63c",
    "faust.transport.consumer:ConsumerThread.on_partitions_assigned": "e59e8dda43724bd4",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.on_start": "38b4e8bd1e10723a",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.verify_event_path": "b983e7735f647cb3",
    "faust.transport.drivers.aiokafka:Producer.send": "0b5bd08f52e5e2a9",
    "faust.transport.conductor:ConductorCompiler.build": "837cf521368c1ee4",
    "faust.tables.base:Collection.send_changelog": "3dd3884e1b5fc0e1",
    "faust.app.base:App._on_partitions_assigned": "de932b7927db85b3",
    "aiokafka.consumer.fetcher:Fetcher._create_fetch_waiter": "61d840568746477e",
    "aiokafka.consumer.fetcher:Fetcher._get_actions_per_node": "1dab2cf937d165d0",
    "aiokafka.consumer.fetcher:Fetcher._fetch_requests_routine": "2a8ec5932644c9b0",
    "aiokafka.protocol.fetch:FetchRequest.build": "952ef0f41192efc3",
    "aiokafka.protocol.api:Request.prepare": "3a65d9fdefe34d3f",
    "aiokafka.conn:AIOKafkaConnection.send": "5909ea32f4efca49",
    "aiokafka.conn:AIOKafkaConnection._handle_frame": "46a7d9b8cf7ca222",
    "aiokafka.consumer.group_coordinator:GroupCoordinator._coordination_routine": "75273e127d4a4f5d",
    "aiokafka.consumer.group_coordinator:GroupCoordinator._do_heartbeat": "dc1d6632aaa68e96",
    "aiokafka.consumer.group_coordinator:GroupCoordinator._heartbeat_routine": "61d01028952239d0",
    "faust.app.base:App._on_partitions_revoked": "d5c895bbe57dc73a",
    "faust.app.base:App._stop_consumer": "55854a5de12c3f52",
    "faust.tables.recovery:Recovery.on_recovery_completed": "6ef567acf072e46d",
    "faust.transport.consumer:Consumer.stop_flow": "cf7e875a2b0d40e8",
    "faust.transport.consumer:Consumer.resume_flow": "db59630f25b5819b",
    "mode.utils.queues:FlowControlEvent.resume": "4dcdc1253fd0dcb4",
    "mode.utils.queues:FlowControlQueue.clear": "fa9a86f6b097c90f",
    "faust.tables.recovery:Recovery._resume_streams": "d986a6710c1aca98",
}


@pytest.mark.parametrize("name", KNOWN)
def test_upstream_is_as_it_was_read(name):
    module, path = name.split(":")
    function = reduce(getattr, path.split("."), importlib.import_module(module))
    found = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]
    assert found == KNOWN[name], f"{name} has changed: read it again before the hash"
