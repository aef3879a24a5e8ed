"""The Celery application: what `celery -A tasks worker` runs.

Builds the application, its queues and one task for each kind of action; the work is
`tasks.action`. Everything a task needs is made in the worker's own process, on first use.
"""

import os
import socket
import time
from functools import cache, partial
from typing import Any

import msgspec
import structlog
from billiard.common import terminate_handler_fired
from celery import Celery, Task, signals
from celery.exceptions import Reject, SoftTimeLimitExceeded
from kombu import Exchange
from redis import Redis

from tasks import log as logs
from tasks import metrics
from tasks.action import Runner
from tasks.actions.annotate import annotate, annotated
from tasks.actions.build import build, built
from tasks.actions.call_webhook import call_webhook
from tasks.actions.load_balancer import update, updated
from tasks.actions.notify import notify
from tasks.actions.record_cost import record, recorded
from tasks.actions.roll_back import Deployer, roll_back, rolled_back
from tasks.actions.scale import Fleet, scale, scaled
from tasks.clients.books import Books
from tasks.clients.cluster import Cluster
from tasks.clients.command import CommandBuilder
from tasks.clients.commanded import Commanded
from tasks.clients.dashboards import Dashboards
from tasks.clients.haproxy import HAProxy
from tasks.clients.kubernetes import Kubernetes
from tasks.clients.receivers import Receivers
from tasks.clients.simulated import SimulatedFleet
from tasks.clients.targets import Targets
from tasks.clients.webhooks import Webhooks
from tasks.contract import DEAD_EXCHANGE, DEAD_QUEUE, EXCHANGE, QUEUES, RETRY_S, Kind, Status, task_name
from tasks.errors import RejectedError
from tasks.fetch import Fetched
from tasks.incoming import beyond, decoded
from tasks.keeper import TASK, Keeper, Letter, redrive_of
from tasks.ledger import Ledger
from tasks.limits import KILL_S, LONGEST_S, limits
from tasks.outcomes import Outcomes
from tasks.request import Request
from tasks.retry import Later, Parking
from tasks.settings import Settings, settings
from tasks.tls import of_amqp

log = structlog.get_logger()

CONFIG: dict[str, Any] = {
    "task_acks_late": True,  # acknowledged when the outcome is on Kafka
    "task_reject_on_worker_lost": True,  # a killed child's message comes again instead of being acknowledged
    "task_acks_on_failure": False,  # what fails in spite of everything is dead-lettered, not lost
    "task_acks_on_timeout": False,  # what must be killed comes again, up to the delivery limit; acknowledged it is lost
    "task_soft_time_limit": LONGEST_S,  # of the keeper; each kind of action has its own in `tasks.limits`
    # RabbitMQ takes a delivery back, and the channel down, after 1800 (consumer_timeout)
    "task_time_limit": LONGEST_S + KILL_S,
    "worker_max_tasks_per_child": 10_000,  # what leaks in a library of a receiver does not grow for ever
    "worker_max_memory_per_child": 512_000,  # kB; looked at between two actions, which are never cut off by it
    "worker_prefetch_multiplier": 1,  # what waits in one worker, another cannot take; a little more: `tasks.fetch`
    "worker_cancel_long_running_tasks_on_connection_loss": True,  # else the copy runs beside the original
    # copies that come back later are confirmed; a RabbitMQ that is silent, as in an alarm, fails them in 20 s
    "broker_transport_options": {"confirm_publish": True, "confirm_timeout": 10, "read_timeout": 10},
    "broker_heartbeat": 10,  # a dead link is noticed in 20 s instead of 4 minutes
    "broker_connection_retry_on_startup": True,  # a worker may be started before RabbitMQ
    "broker_pool_acquire_timeout": 10,  # by default it waits for ever
    "broker_connection_max_retries": None,  # RabbitMQ may be away longer than a hundred tries
    "broker_channel_error_retry": True,  # a task over RabbitMQ's consumer timeout must not end the worker
    "worker_consumer": "tasks.consumer:Consumer",  # Celery's own ends on a malformed message, and loses others
    "worker_enable_remote_control": False,  # its exclusive queue locks out a restarted worker; and nobody asks it
    "worker_send_task_events": False,  # a third of the throughput, and nobody listens
    "worker_hijack_root_logger": False,  # our formatter stays
    "worker_redirect_stdouts": False,  # a library's print stays what it is
    "worker_proc_alive_timeout": 30,  # 4 s is short on a busy machine
    "task_create_missing_queues": False,  # a typo must not make a queue that nobody reads
    "task_ignore_result": True,  # outcomes are on Kafka
    "task_serializer": "json",  # anybody can read it, and it runs nothing
    "accept_content": ["json"],  # a pickle is code of whoever may publish
}


def build_app(config: Settings) -> Celery:
    """The application for some settings; RabbitMQ's address is theirs, whatever Celery finds elsewhere."""
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        os.environ.pop(name, None)  # they would win over the address given here
    made = Celery("tasks", broker=config.rabbitmq_url, set_as_current=False)
    exchange = Exchange(EXCHANGE, type="topic", no_declare=True)
    made.conf.update(CONFIG)
    made.conf.broker_use_ssl = of_amqp(config.rabbitmq_url)
    # the argument tells Celery that per-channel prefetch is refused; the queues are made by `headrace queues init`
    quorum = {"x-queue-type": "quorum"}
    made.conf.task_queues = [Fetched(q, exchange, no_declare=True, queue_arguments=quorum) for q in QUEUES.values()]
    dead = Exchange(DEAD_EXCHANGE, type="fanout", no_declare=True)
    made.conf.task_queues.append(Fetched(DEAD_QUEUE, dead, no_declare=True, queue_arguments=quorum))
    made.conf.task_default_queue = QUEUES[Kind.SCALE]
    for kind, limit in limits(config.limits).items():
        soft_s, hard_s = limit.seconds, limit.seconds + KILL_S
        # not shared: with another application in this process, one of them would have the other's limits
        mine = {"bind": True, "shared": False, "Request": Request}
        made.task(_do, name=task_name(kind), soft_time_limit=soft_s, time_limit=hard_s, **mine)
    made.task(_park, name=TASK, Request=Request)
    return made


def _do(task: Task, argument: Any) -> str:
    """Do the action in a message; what it ended as. A process that was told to end meanwhile does so now, whatever
    library kept it from it: Celery takes it for gone.
    """
    try:
        return _done(task, argument)
    finally:
        if terminate_handler_fired():
            raise SystemExit(0)


def _done(task: Task, argument: Any) -> str:
    """Do the action in a message; what it ended as. A message that is no action is dead-lettered."""
    redrive = redrive_of(task.request.headers)
    try:
        action = decoded(argument)
        more = beyond(argument, action)
        outcome = runner().run(action, redrive, more)
    except RejectedError as why:
        metrics.REJECTED.inc()
        log.error("message_rejected", why=str(why))
        raise Reject(str(why), requeue=False) from None
    except SoftTimeLimitExceeded:  # Redis or Kafka was away so long: RabbitMQ would take the delivery back
        Later(celery_app)(action, RETRY_S[-1], redrive, more)
        return "comes back later"
    if outcome is None:
        return "comes back later"
    if outcome.status is Status.DEAD:
        raise Reject(outcome.detail, requeue=False)
    return outcome.status.value


def _park(argument: Any) -> str:
    """Keep a dead letter; it stays where it is if even that fails, since nothing is behind its queue."""
    try:
        return keeper().keep(msgspec.convert(argument, Letter)).why
    except Exception as error:
        log.exception("letter_not_kept")
        time.sleep(1.0)
        raise Reject(str(error), requeue=True) from None


@cache
def keeper() -> Keeper:
    """What this process keeps dead letters with."""
    mine = runner()
    return Keeper(mine.ledger, mine.outcomes, Parking(celery_app), mine.worker)


@cache
def runner() -> Runner:
    """What this process does actions with."""
    config = settings()
    redis = Redis.from_url(config.redis_url, socket_timeout=5, socket_connect_timeout=5, retry_on_timeout=False)
    worker = f"{socket.gethostname()}:{os.getpid()}"
    builder = CommandBuilder(config.build_command, config.build_dir, config.build_s)
    targets, simulated = Targets(config.targets_file), SimulatedFleet(redis)
    cluster = Kubernetes(Cluster(config.kube_config, config.kube_context))
    deployers: dict[str, Deployer] = {"simulated": simulated, "kubernetes": cluster}
    fleets: dict[str, Fleet] = {"simulated": simulated, "kubernetes": cluster, "command": Commanded(targets)}
    balancers, dashboards, books = HAProxy(targets), Dashboards(targets), Books(targets)
    return Runner(
        acts={
            Kind.SCALE: partial(scale, fleets=fleets),
            Kind.NOTIFY: partial(notify, receivers=Receivers(targets)),
            Kind.BUILD: partial(build, builder=builder),
            Kind.LOAD_BALANCER: partial(update, balancers=balancers),
            Kind.ANNOTATE: partial(annotate, dashboards=dashboards),
            Kind.COST: partial(record, books=books),
            Kind.ROLL_BACK: partial(roll_back, deployers=deployers),
            Kind.WEBHOOK: partial(call_webhook, webhooks=Webhooks(targets)),
        },
        asks={
            Kind.SCALE: partial(scaled, fleets=fleets),
            Kind.BUILD: partial(built, builder=builder),
            Kind.LOAD_BALANCER: partial(updated, balancers=balancers),
            Kind.ANNOTATE: partial(annotated, dashboards=dashboards),
            Kind.COST: partial(recorded, books=books),
            Kind.ROLL_BACK: partial(rolled_back, deployers=deployers),
        },
        ledger=Ledger(redis, worker, config.lease_s, config.ledger_days * 86_400),
        outcomes=Outcomes(config),
        worker=worker,
        lease_s=config.lease_s,
        limits=limits(config.limits),
        too_long=(SoftTimeLimitExceeded,),
        later=Later(celery_app),
    )


@signals.setup_logging.connect
def _logging(**_: Any) -> None:
    logs.setup(settings())


@signals.worker_init.connect
def _serve(**_: Any) -> None:
    if settings().worker_metrics_port:
        metrics.serve(settings().worker_metrics_port)


celery_app = build_app(settings())

__all__ = ["Task", "build_app", "celery_app", "runner"]
