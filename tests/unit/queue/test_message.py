"""The hand-made message against Celery's own builder: an unmodified worker must run it."""

import json

import pytest
from celery import Celery

from app.policy.decision import Decision, Reason
from app.queue.message import argument, of_action, outgoing
from app.queue.topology import POLICIES, bindings, definitions, queues
from tasks.contract import (
    EXPIRY_S,
    PARKED_QUEUE,
    QUEUES,
    Build,
    CallWebhook,
    Event,
    Kind,
    Notify,
    RollBack,
    Scale,
    decode_action,
    event_key,
    task_name,
)

CARRIED = {"service": "web", "decided_at_ms": 1, "expires_at_ms": 2, "reason": "ABOVE_TARGET"}
ACTIONS = [
    Scale(id="j-0-5-0", from_replicas=1, to_replicas=3, generation=7, **CARRIED),
    Notify(id="j-0-5-1", receiver="team", title="web: 1 → 3", body="why", **CARRIED),
    Build(id="delivery", repo="myapp", branch="main", **CARRIED),
    RollBack(id="j-0-5-2", environment="prod", from_version="2", to_version="1", generation=8, **CARRIED),
    CallWebhook(id="j-0-5-3", webhook="deploys", event="rollout.failed", data={"score": 0.25}, **CARRIED),
]


def decision(reason=Reason.ROUTED, **more):
    same = {"at_ms": 1, "service": "web", "policy": "p", "fingerprint": "f", "evidence": {}}
    return Decision(id="j-0-1-0", reason=reason, **same, **more)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
def test_the_message_is_what_celery_itself_would_send(action):
    mine = of_action(action)
    theirs = Celery(set_as_current=False).amqp.as_task_v2(
        action.id, task_name(Kind(mine.kind)), args=[json.loads(mine.body)[0][0]], kwargs={},
        argsrepr="", kwargsrepr="",
        origin=mine.properties["application_headers"]["origin"], ignore_result=True, root_id=action.id,
    )  # fmt: skip
    assert mine.properties["application_headers"] == theirs.headers
    args, kwargs, embed = json.loads(mine.body)
    assert [args, kwargs, embed] == [list(theirs.body[0]), theirs.body[1], theirs.body[2]]
    assert mine.properties["correlation_id"] == theirs.properties["correlation_id"]
    assert mine.properties["delivery_mode"] == 2


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
def test_the_one_argument_is_the_action(action):
    message = of_action(action)
    assert decode_action(json.dumps(argument(message.body))) == action
    assert message.routing_key == f"action.{message.kind}.web"


def test_the_trace_goes_along():
    traced = Scale(id="x", from_replicas=1, to_replicas=2, generation=1, trace="00-a-b-01", **CARRIED)
    assert of_action(traced).properties["application_headers"]["traceparent"] == "00-a-b-01"


def test_a_refusal_is_never_sent():
    refusal = decision(reason=Reason.HELD)
    assert outgoing(refusal) == []


def test_an_action_on_trial_is_never_sent():
    assert outgoing(decision(action=ACTIONS[0], shadow=True)) == []
    assert [one.kind for one in outgoing(decision(action=ACTIONS[0]))] == ["scale"]


def test_an_event_is_plain_json_that_nobody_need_take():
    event = Event(id="j-0-1-0", event="deployed", service="web.eu", environment="prod.a", at_ms=1, version="2")
    (message,) = outgoing(decision(event=event))
    assert json.loads(message.body)["version"] == "2"
    assert (message.routing_key, message.mandatory) == ("event.deployed.prod_a.web.eu", False)
    assert message.properties["message_id"] == "j-0-1-0"
    assert "application_headers" not in message.properties


def test_a_routing_key_is_never_longer_than_rabbitmq_takes():
    event = Event(id="j", event="infrastructure_changed", service="ü" * 100, environment="e" * 200, at_ms=1)
    assert len(event_key(event).encode()) <= 255


def test_every_kind_has_its_queue_its_expiry_and_its_binding():
    assert set(QUEUES) == set(EXPIRY_S) == set(Kind)
    assert len(set(QUEUES.values())) == len(Kind)
    bound = {queue for _, queue, _ in bindings()}
    assert bound | {PARKED_QUEUE} == set(queues())  # published to by its name


def test_the_definitions_file_is_made_from_the_same_table():
    made = definitions("v")
    assert [queue["name"] for queue in made["queues"]] == queues()
    assert all(queue["arguments"] == {"x-queue-type": "quorum"} for queue in made["queues"])
    assert made["policies"][0]["definition"] == POLICIES["headrace-actions"]["definition"]
    assert len(made["bindings"]) == len(list(bindings()))
