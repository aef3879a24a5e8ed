"""What a message asks for: refusals that say what is wrong, and what an action claims."""

import hashlib
import json

import msgspec
import pytest

from tasks.contract import (
    Action,
    Alerted,
    Annotate,
    Build,
    CallWebhook,
    Notify,
    RecordCost,
    RollBack,
    Scale,
    UpdateLoadBalancer,
    encode,
)
from tasks.errors import RejectedError
from tasks.incoming import beyond, decoded, entry_of

SCALE = Scale(
    id="j-0-1-0", service="web", decided_at_ms=1, expires_at_ms=2, from_replicas=1, to_replicas=2, generation=7
)
BUILD = Build(id="j-0-1-1", service="app", decided_at_ms=1, expires_at_ms=2, repo="app", branch="main")
SERVED = UpdateLoadBalancer(
    id="j-0-1-2", service="web", decided_at_ms=1, expires_at_ms=2, balancer="edge", backend="api",
    servers=["10.0.0.1:80"], generation=8,
)  # fmt: skip
MARK = Annotate(id="j-0-1-3", service="web", decided_at_ms=1, expires_at_ms=2, dashboard="main", text="t", at_ms=5)
COST = RecordCost(
    id="j-0-1-4", service="web", decided_at_ms=1, expires_at_ms=2, book="main", environment="", version="", replicas=1,
    at_ms=5,
)  # fmt: skip

BACK = RollBack(
    id="j-0-1-5", service="web", decided_at_ms=1, expires_at_ms=2, environment="prod", from_version="2", to_version="1",
    generation=9,
)  # fmt: skip
HOOK = CallWebhook(
    id="j-0-1-6", service="web", decided_at_ms=1, expires_at_ms=2, webhook="deploys", event="rollout.failed",
    data={"score": 0.25, "checks": [{"name": "errors", "passed": False}], "none": None},
)  # fmt: skip


def plain(action=SCALE, **changed):
    return json.loads(encode(action)) | changed


@pytest.mark.parametrize("action", [SCALE, BUILD, SERVED, MARK, COST, BACK, HOOK])
def test_an_action_comes_out_as_it_went_in(action):
    assert decoded(plain(action)) == action


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (None, "object"),
        ([], "object"),
        ("web", "object"),
        ({}, "kind"),
        (plain(kind="dance"), "dance"),
        (plain(to_replicas="3"), "to_replicas"),
        (plain(to_replicas=True), "to_replicas"),
        (plain(to_replicas=-1), "to_replicas"),
        (plain(generation=2**53), "generation"),
        (plain(generation=1.5), "generation"),
        (plain(id=""), "`id`"),
        (plain(id="x" * 256), "256"),
        (plain(service=""), "`service`"),
        (plain(schema=2), "update the worker"),
        (plain(SERVED, servers=[]), "`servers` has 0"),
        (plain(SERVED, servers=["10.0.0.1:80"] * 1001), "1001"),
        (plain(SERVED, servers="10.0.0.1:80"), "servers"),
        (plain(SERVED, generation=2**53), "generation"),
        (plain(MARK, at_ms=-1), "at_ms"),
        (plain(MARK, tags=[1]), "tags"),
        (plain(COST, at_ms=2**53), "at_ms"),
        (plain(COST, replicas=-1), "replicas"),
        (plain(BACK, generation=2**53), "generation"),
        (plain(BACK, to_version=1), "to_version"),
        (plain(HOOK, data=[]), "data"),
        (plain(HOOK, webhook=None), "webhook"),
    ],
)
def test_what_is_no_action_is_refused_with_what_is_wrong(argument, words):
    with pytest.raises(RejectedError, match=words):
        decoded(argument)


def test_a_field_that_this_version_does_not_know_is_no_reason_to_refuse():
    assert decoded(plain(colour="red")) == SCALE


def test_a_scaling_claims_its_target_and_generation_too():
    assert (entry_of(SCALE).target, entry_of(SCALE).generation) == ("simulated:web", 7)
    other = msgspec.structs.replace(SCALE, target="web-blue", driver="kubernetes")
    assert entry_of(other).target == "kubernetes:web-blue"
    assert entry_of(BUILD).target == ""


def test_a_rollback_claims_the_same_target_as_a_scaling():
    assert (entry_of(BACK).target, entry_of(BACK).generation) == (entry_of(SCALE).target, 9)
    other = msgspec.structs.replace(BACK, target="web-blue", driver="kubernetes")
    assert entry_of(other).target == "kubernetes:web-blue"


def test_a_webhook_claims_its_id_and_all_of_its_data():
    assert entry_of(HOOK).target == ""
    reordered = msgspec.structs.replace(HOOK, data=dict(reversed(HOOK.data.items())))
    assert entry_of(reordered).payload == entry_of(HOOK).payload
    assert entry_of(msgspec.structs.replace(HOOK, data={"score": 0.5})).payload != entry_of(HOOK).payload


def test_servers_of_a_backend_claim_it_and_their_generation_too():
    assert (entry_of(SERVED).target, entry_of(SERVED).generation) == ("balancer:edge/api", 8)
    assert (entry_of(MARK).target, entry_of(COST).target) == ("", "")


def test_the_same_request_at_another_time_has_the_same_payload():
    later = msgspec.structs.replace(BUILD, decided_at_ms=99, expires_at_ms=100, trace="00-1-2-01")
    assert entry_of(later).payload == entry_of(BUILD).payload


@pytest.mark.parametrize("changed", [{"branch": "next"}, {"commit": "abc"}, {"repo": "web"}, {"service": "web"}])
def test_another_request_has_another_payload(changed):
    assert entry_of(msgspec.structs.replace(BUILD, **changed)).payload != entry_of(BUILD).payload


def test_a_later_version_with_a_new_field_says_the_same_payload_of_an_old_message():
    class Newer(Build, frozen=True, kw_only=True, tag="build", tag_field="kind"):
        cache: bool = True

    newer = msgspec.convert(plain(BUILD), Newer)
    assert entry_of(newer).payload == entry_of(BUILD).payload


def test_an_older_version_says_the_same_payload_of_a_message_with_a_new_field():
    class Newer(Build, frozen=True, kw_only=True, tag="build", tag_field="kind"):
        colour: str = ""

    for colour in ("", "red"):
        message = plain(BUILD, colour=colour)
        newer, older = msgspec.convert(message, Newer), decoded(message)
        assert beyond(message, newer) == {}
        assert entry_of(newer, {}).payload == entry_of(older, beyond(message, older)).payload
    assert entry_of(older, {"colour": "red"}).payload != entry_of(older, {"colour": "blue"}).payload


def test_every_field_of_an_action_that_may_be_left_out_is_empty_by_default_but_those_that_all_versions_know():
    """Else an older worker, which sees it in the message, would take it for another request than one without it."""
    filled = {
        (one.__name__, field.name)
        for one in Action.__args__
        for field in msgspec.structs.fields(one)
        if field.default is not msgspec.NODEFAULT and field.default
    } - {(one.__name__, "schema") for one in Action.__args__}
    assert filled == {
        ("Scale", "driver"), ("RollBack", "driver"), ("Notify", "severity"), ("RecordCost", "price"),
    }, "a new field has an empty default: see tasks/contract.py"  # fmt: skip


def test_kinds_do_not_share_payloads():
    told = Notify(id="a", service="s", decided_at_ms=1, expires_at_ms=2, receiver="r", title="t", body="b")
    assert entry_of(told).payload != entry_of(BUILD).payload


def test_what_is_asked_for_includes_the_alerts_of_a_message_and_no_empty_list():
    def told(*alerts):
        return Notify(
            id="a", service="web", decided_at_ms=1, expires_at_ms=2, receiver="team", title="web", body="hot",
            alerts=list(alerts),
        )  # fmt: skip

    one = Alerted(labels={"alertname": "hot"}, annotations={}, starts_ms=1, ends_ms=2)
    payloads = {entry_of(told(*alerts)).payload for alerts in ((), (one,), (one, one))}
    assert len(payloads) == 3
    plain = {"kind": "notify", "service": "web", "receiver": "team", "title": "web", "body": "hot"}
    assert entry_of(told()).payload == hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
