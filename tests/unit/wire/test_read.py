import pytest
from aiokafka.partitioner import murmur2 as kafkas_murmur2
from hypothesis import given
from hypothesis import strategies as st

from app.policy import facts
from app.policy.facts import Change, Command, Deploy, Instances, Phase, PolicySet, Reported, murmur2, partition_of
from app.policy.files import load
from app.wire.quarantine import KEPT, decode
from app.wire.read import read
from app.wire.rules import LARGEST
from tasks import contract
from tests.unit.policy.builders import policy
from tests.unit.wire.records import NOW_MS, RULES, raws


def taken(*values):
    """(service, name, labels, time, value, offset, item) of each sample, and the reasons of the refused."""
    found = read("metrics", raws(*values), RULES)
    rows = []
    for partition, packs in found.facts.items():
        for pack in packs:
            for i, at, value, offset, item in zip(
                pack.index, pack.at_ms, pack.value, pack.offset, pack.item, strict=True
            ):
                series = pack.series[i]
                assert partition_of(series.service, 4) == partition
                rows.append((series.service, series.name, series.labels, at, value, pack.source.first + offset, item))
    return sorted(rows, key=lambda row: row[-2:]), [one.reason for one in found.quarantined]


def test_a_plain_message_of_an_agent_works_as_it_is():
    assert taken({"host": "web-03", "cpu": 92}) == ([("web", "cpu", {"host": "web-03"}, NOW_MS - 5, 92.0, 0, 0)], [])


def test_a_full_message_and_its_other_spellings():
    full = {"service": "api", "timestamp": NOW_MS / 1000, "labels": {"zone": "a"}, "cpu": 1, "rps": 2.5}
    rows, _ = taken(full)
    assert [row[:5] for row in rows] == [
        ("api", "cpu", {"zone": "a"}, NOW_MS, 1.0),
        ("api", "rps", {"zone": "a"}, NOW_MS, 2.5),
    ]
    assert taken({"service": "api", "values": {"cpu": 1}})[0][0][1] == "cpu"
    assert taken({"service": "api", "name": "cpu", "value": 1})[0][0][1] == "cpu"


def test_a_host_beside_labels_is_one_of_them():
    rows, _ = taken({"host": "web-1", "labels": {"zone": "a"}, "cpu": 1}, {"host": "web-1", "labels": {}, "cpu": 1})
    assert [row[2] for row in rows] == [{"host": "web-1", "zone": "a"}, {"host": "web-1"}]


def test_an_array_is_many_messages_of_one_record():
    rows, _ = taken([{"host": "web-1", "cpu": 1}, {"host": "web-2", "cpu": 2, "mem": 3}])
    assert [(row[2]["host"], row[1], row[-1]) for row in rows] == [
        ("web-1", "cpu", 0), ("web-2", "cpu", 1), ("web-2", "mem", 2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "at",
    [NOW_MS / 1000, NOW_MS, NOW_MS * 1000, NOW_MS * 1_000_000, "2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00"],
)
def test_times_of_every_unit_are_understood(at):
    assert taken({"service": "api", "cpu": 1, "ts": at})[0][0][3] == NOW_MS


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"not json", "not JSON"),
        (b"", "empty"),
        (None, "tombstone"),
        (b"42", "must be a JSON object, not a number"),
        (b"[]", "no sample"),
        ({"host": "web-1"}, "no sample"),
        (b'{"host": "web-1", "cpu": NaN}', "not JSON"),
        (b'{"host": "web-1", "cpu": 1e999}', "not"),
        ({"host": "web-1", "cpu": "high"}, "'cpu' is a text"),
        ({"host": "web-1", "cpu": True}, "'cpu' is true or false"),
        ({"host": "web-1", "cpu": None}, "'cpu' is null"),
        ({"cpu": 1}, "neither a service nor a host"),
        ({"host": "localhost", "cpu": 1}, "no service is found in the host 'localhost'"),
        ({"host": 5, "cpu": 1}, "'host' is a number"),
        ({"service": "web", "cpu": 1, "ts": NOW_MS + 3_600_000}, "3600 s ahead"),
        ({"service": "web", "cpu": 1, "ts": "yesterday"}, "not ISO 8601"),
        ({"service": "web", "cpu": 1, "ts": -5}, "neither a number above 0"),
        ({"service": "web", "labels": {"a": 1}, "cpu": 1}, "'labels'"),
        ({"service": "web", "value": 1}, "has no 'name'"),
        (b'{"host": "web-1", "cpu": 1, "pad": "' + b"x" * 2_000_000 + b'"}', f"at most {LARGEST}"),
        ([{"host": "web-1", "cpu": 1}, {"host": "web-2", "cpu": "bad"}], "'cpu' is a text"),
    ],
)
def test_bad_input_costs_itself_only(value, why):
    good = {"host": "web-1", "cpu": 7}
    rows, reasons = taken(good, value, good)
    assert [row[-2] for row in rows] == [0, 2]
    assert len(reasons) == 1
    assert why in reasons[0]


def test_a_quarantined_record_keeps_its_place_its_hash_and_a_part_of_its_bytes():
    (one,) = read("metrics", raws(b"x" * 100_000), RULES).quarantined
    again = decode(one.encode())
    assert again == one
    assert (again.topic, again.partition, again.offset, again.size, again.cut) == ("topic", 3, 0, 100_000, True)
    assert len(again.value) == KEPT


@given(st.lists(st.sampled_from(["web-1", "api-2", "db-3", "bad"]), max_size=30), st.integers(1, 7))
def test_how_records_are_cut_into_fetches_changes_no_sample(hosts, size):
    records = raws(*({"host": host, "cpu": i} for i, host in enumerate(hosts)))

    def samples(parts):
        found = {}
        for part in parts:
            for partition, packs in read("metrics", part, RULES).facts.items():
                for pack in packs:
                    columns = zip(pack.index, pack.value, pack.offset, pack.item, strict=True)
                    found.setdefault(partition, []).extend(
                        (pack.series[i], v, pack.source.first + o, n) for i, v, o, n in columns
                    )
        return found

    assert samples([records]) == samples([records[i : i + size] for i in range(0, len(records), size)])


def test_many_samples_are_several_packs_in_order():
    found = read("metrics", raws(*({"host": "web-1", "cpu": i} for i in range(9000))), RULES)
    (packs,) = found.facts.values()
    assert [len(pack.value) for pack in packs] == [4000, 4000, 1000]
    assert [v for pack in packs for v in pack.value] == list(range(9000))
    assert max(len(facts.encode(pack)) for pack in packs) < 500_000


def only(kind, value):
    found = read(kind, raws(value), RULES)
    return [one.reason for one in found.quarantined] or [fact for each in found.facts.values() for fact in each]


def test_deploys_and_changes_in_plain_json():
    (fact,) = only("events", {"type": "deployed", "service": "web", "version": "1.4", "who": "ann"})
    assert isinstance(fact, Deploy)
    assert (fact.service, fact.phase, fact.version, fact.who, fact.at_ms) == (
        "web", Phase.FINISHED, "1.4", "ann", NOW_MS - 5
    )  # fmt: skip
    (fact,) = only("events", {"type": "config_changed", "service": "web", "what": "timeout 5s"})
    assert isinstance(fact, Change)


def test_a_cdevent_is_a_deploy_whatever_its_version_bare_or_in_a_cloud_event():
    context = {"type": "dev.cdevents.service.deployed.0.2.0", "timestamp": "2023-11-14T22:13:20Z", "source": "/ci"}
    content = {"environment": {"id": "prod"}, "artifactId": "pkg:oci/web@1.4"}
    bare = {"context": context, "subject": {"id": "web", "content": content}}
    for message in (bare, {"specversion": "1.0", "type": "x", "data": bare}):
        (fact,) = only("events", message)
        assert (fact.service, fact.phase, fact.environment, fact.version) == (
            "web", Phase.FINISHED, "prod", "pkg:oci/web@1.4"
        )  # fmt: skip


def test_an_unknown_event_is_refused_with_those_that_are_known():
    (why,) = only("events", {"type": "exploded", "service": "web"})
    assert "'exploded' is not known; known are config_changed, deploy_failed" in why
    assert "CDEvents type" in only("events", {"context": {"type": "dev.cdevents.pod.born.1.0.0"}})[0]


def test_instances_and_outcomes_become_facts():
    (fact,) = only("instances", {"service": "web", "wanted": 3, "ready": 2, "generation": 7, "at": NOW_MS})
    assert isinstance(fact, Instances)
    assert (fact.wanted, fact.ready, fact.generation) == (3, 2, 7)
    assert "'wanted' is not a count from 0" in only("instances", {"service": "web", "wanted": -1})[0]
    outcome = contract.Outcome(id="j-0-1-0", action=contract.Kind.SCALE, service="web", status=contract.Status.DONE)
    (fact,) = only("outcomes", contract.encode(outcome))
    assert isinstance(fact, Reported)
    assert fact.outcome == outcome


def policy_set(*texts):
    documents = load({str(i): text for i, text in enumerate(texts)})
    plain = [{"kind": d.kind, "name": d.name, "fingerprint": "believe me", "document": d.document} for d in documents]
    return {"kind": "policy_set", "policies": plain, "author": "ann", "message": "why", "at_ms": NOW_MS}


def test_control_reaches_every_partition_and_fingerprints_are_not_believed():
    found = read("control", raws(policy_set(policy())), RULES)
    assert sorted(found.facts) == [0, 1, 2, 3]
    (fact,) = found.facts[2]
    assert isinstance(fact, PolicySet)
    assert fact.policies == load({"0": policy()})
    command = {"kind": "command", "verb": "pause", "service": "web", "author": "ann", "reason": "lunch", "at_ms": 1}
    assert isinstance(only("control", command)[0], Command)


def test_a_set_with_a_mistake_is_refused_whole():
    message = policy_set(policy(), policy("api"))
    message["policies"][1]["document"]["spec"]["maxReplicas"] = -1
    (why,) = only("control", message)
    assert "mistake at spec.maxReplicas" in why


@given(st.binary(max_size=40))
def test_murmur2_is_kafkas(data):
    assert murmur2(data) == kafkas_murmur2(data) & 0xFFFFFFFF
