"""The Celery application and the settings: names, queues, and what may not change them."""

import inspect
import os
import subprocess
import sys
from itertools import pairwise

import pytest

import tasks.main
from tasks import contract
from tasks.clients.targets import LONGEST_S
from tasks.keeper import TASK
from tasks.limits import Limit, limits
from tasks.main import build_app, runner
from tasks.settings import Settings


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://else:else@elsewhere:1//")
    monkeypatch.setenv("BROKER_URL", "amqp://else:else@elsewhere:1//")
    return build_app(Settings(rabbitmq_url="amqp://ours:ours@here:5672//"))


def ours(app):
    return {name for name in app.tasks if not name.startswith("celery.")}


def test_each_kind_has_a_task_and_each_task_a_kind_beside_the_keepers(made):
    assert ours(made) == {contract.task_name(kind) for kind in contract.Kind} | {TASK}


def test_each_kind_has_a_queue_that_the_worker_reads_and_each_queue_a_kind_beside_the_dead_letters(made):
    assert set(contract.QUEUES) == set(contract.Kind) == set(contract.EXPIRY_S)
    assert sorted(queue.name for queue in made.amqp.queues.values()) == sorted(
        [*contract.QUEUES.values(), contract.DEAD_QUEUE]
    )


def test_each_kind_has_a_function(tmp_path):
    assert set(runner().acts) == set(contract.Kind)


def test_every_action_of_the_contract_has_a_kind():
    tags = {one.__struct_config__.tag for one in contract.Action.__args__}
    assert tags == {kind.value for kind in contract.Kind}


def test_celerys_own_variables_change_nothing(made):
    assert made.connection_for_read().hostname == "here"
    assert made.connection_for_write().hostname == "here"


def test_the_settings_that_keep_deliveries_safe_are_in_force(made):
    conf = made.conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert not conf.task_acks_on_failure
    assert conf.worker_prefetch_multiplier == 1
    assert conf.worker_cancel_long_running_tasks_on_connection_loss
    assert conf.accept_content == ["json"]


def test_the_time_limits_are_above_the_longest_build_and_below_what_rabbitmq_waits(made):
    longest_build_s = next(one.le for one in Settings.model_fields["build_s"].metadata if hasattr(one, "le"))
    rabbitmq_s = 1800
    assert longest_build_s < made.tasks[contract.task_name(contract.Kind.BUILD)].soft_time_limit
    for name in ours(made):
        one = made.tasks[name]
        soft_s, hard_s = (
            one.soft_time_limit or made.conf.task_soft_time_limit,
            one.time_limit or made.conf.task_time_limit,
        )
        assert LONGEST_S < soft_s < hard_s < rabbitmq_s
    assert not made.conf.task_acks_on_timeout, "what is killed for its time would be lost"


def test_what_an_action_may_cost_is_set_by_kind_and_the_rest_stays(monkeypatch):
    monkeypatch.setenv("HEADRACE_LIMITS", '{"notify": {"seconds": 60}, "build": {"deaths": 2}}')
    config = Settings()
    app, found = build_app(config), limits(config.limits)
    tell, do = (app.tasks[contract.task_name(kind)] for kind in (contract.Kind.NOTIFY, contract.Kind.BUILD))
    assert (tell.soft_time_limit, tell.time_limit) == (60, 120)
    assert (do.soft_time_limit, found[contract.Kind.BUILD].deaths) == (1620, 2)
    assert found[contract.Kind.SCALE] == Limit()


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("less than or equal to 1620", '{"scale": {"seconds": 1700}}'),
        ("dance", '{"dance": {}}'),
        ("Extra inputs", '{"scale": {"minutes": 3}}'),
        ("the command has to end first", '{"build": {"seconds": 1200}}'),
    ],
)
def test_a_limit_that_cannot_be_is_refused(monkeypatch, words, limit):
    monkeypatch.setenv("HEADRACE_LIMITS", limit)
    with pytest.raises(ValueError, match=words):
        Settings()


def test_every_setting_says_why():
    source = inspect.getsource(tasks.main).partition("CONFIG:")[2].partition("\n}")[0]
    lines = source.splitlines()[1:]
    for before, line in pairwise(["", *lines]):
        if not line.strip().startswith("#"):
            assert "#" in line or before.strip().startswith("#"), f"{line.strip()} has no reason"


def test_importing_the_contract_loads_neither_celery_nor_redis():
    heavy = "{'celery', 'kombu', 'redis', 'faust', 'confluent_kafka', 'pydantic'}"
    code = f"import sys, tasks.contract; print({heavy} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert said.stdout.strip() == "set()"


def test_a_lease_too_short_to_be_kept_is_refused():
    with pytest.raises(ValueError, match="lease_s"):
        Settings(lease_s=0.5)
