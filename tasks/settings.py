"""Settings of the workers; the only module of `tasks` that reads the environment.

Every name is the field's in capitals with the prefix `HEADRACE_`. Celery's own variables, such as
`CELERY_BROKER_URL`, change nothing.
"""

import sys
from functools import cache
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from tasks.contract import Kind
from tasks.limits import Limit, limits
from tasks.shared_settings import KafkaSettings, mistakes


class Settings(KafkaSettings):
    """Where the servers are, and how long things may take."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", extra="ignore", frozen=True)

    rabbitmq_url: str = Field(
        "amqp://guest:guest@127.0.0.1:5672//", description="RabbitMQ, as `amqp://user:password@host:port/vhost`."
    )
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Redis of the ledger; give it append-only files.")

    lease_s: float = Field(15.0, ge=2, description="Seconds after which the action of a dead worker is taken over.")
    ledger_days: float = Field(
        15.0, gt=0, description="Days an action is remembered: longer than the journal and any redrive."
    )
    targets_file: Path | None = Field(
        None,
        description="TOML file of what actions name: receivers, balancers, dashboards, books, webhooks and commands.",
    )
    build_command: str = Field(
        "",
        description="Command of a build, in its own directory, told HEADRACE_REPO, HEADRACE_BRANCH, HEADRACE_COMMIT.",
    )
    build_dir: Path = Field(Path(".headrace/builds"), description="Where builds have their directories and logs.")
    build_s: float = Field(1200.0, gt=0, le=1500, description="Longest a build may take; RabbitMQ gives up at 1800.")

    limits: dict[Kind, Limit] = Field(
        {},
        description="What an action may cost, by kind, as JSON: "
        '`{"notify": {"seconds": 60, "tries": 20, "deaths": 2}}`. '
        "`seconds` at a time (900; a build 1620, which is also the most), `tries` while its target is away (0: until "
        "it expires), `deaths` of workers before it is poison (5).",
    )

    kube_config: Path | None = Field(
        None,
        description="Kubeconfig file of the cluster that the driver `kubernetes` works on: address, CA, token or "
        "token file. Unset: the service account of the pod that the worker runs in.",
    )
    kube_context: str = Field("", description="Context of that file; empty: its current one.")

    log_json: bool | None = Field(None, description="Log as JSON lines; unset: where there is no terminal.")
    worker_metrics_port: int = Field(0, ge=0, le=65535, description="Port for Prometheus on loopback; 0 for none.")

    @model_validator(mode="after")
    def _builds_have_their_time(self) -> Self:
        seconds = limits(self.limits)[Kind.BUILD].seconds
        if seconds <= self.build_s:
            raise ValueError(
                f"HEADRACE_LIMITS gives a build {seconds} s and HEADRACE_BUILD_S its command {self.build_s:g} s: "
                "the command has to end first, so make that less"
            )
        return self


@cache
def settings() -> Settings:
    """The settings of this process, read once; ends it with a sentence if one is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        sys.exit(f"headrace: {mistakes(error)}.")
