"""Settings of the stream side; the only module of `app` that reads the environment.

Every name is the field's in capitals with the prefix `HEADRACE_`, for example
`HEADRACE_KAFKA_URL`. Neither Faust's `BROKER_URL` nor Celery's `CELERY_BROKER_URL` can change
any of it. `headrace doctor` prints the values in force and where each came from.
"""

from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from tasks.shared_settings import KafkaSettings


class Settings(KafkaSettings):
    """Where the servers are, how the topics are cut, what is read and how often state is kept."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", extra="ignore", frozen=True)

    rabbitmq_url: str = Field(
        "amqp://guest:guest@127.0.0.1:5672//",
        description="RabbitMQ, as `amqp://user:password@host:port/vhost`. RabbitMQ's own default, here. "
        "Set to nothing, decisions are made and recorded and nothing is done.",
    )
    rabbitmq_api: str = Field(
        "", description="RabbitMQ's management API, for policies. Unset: port 15672 of RabbitMQ's host, same user."
    )
    rabbitmq_passwords: Path | None = Field(
        None,
        description="Folder with the passwords of RabbitMQ's users, each in a file of the user's name "
        "(`headrace-router`, …), for `headrace queues init --users`.",
    )
    rabbitmq_router_password: SecretStr = Field(SecretStr(""), description="Password of RabbitMQ's `headrace-router`.")
    rabbitmq_worker_password: SecretStr = Field(SecretStr(""), description="Password of RabbitMQ's `headrace-worker`.")
    rabbitmq_gateway_password: SecretStr = Field(
        SecretStr(""), description="Password of RabbitMQ's `headrace-gateway`."
    )
    rabbitmq_reader_password: SecretStr = Field(SecretStr(""), description="Password of RabbitMQ's `headrace-reader`.")
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0", description="Redis of the workers' ledger; the stream side only looks at it."
    )

    partitions: int = Field(
        16,
        ge=1,
        le=1024,
        description="Partitions of a journal that is yet to be made: the most auto-scalers that can share it. "
        "Fixed once made; 16 leaves room to grow without making small set-ups slow.",
    )
    replication: int = Field(1, ge=1, description="Replicas of our topics; each start compares them. 3 in production.")
    metric_topics: str = Field("metrics", description="Topics of metrics to read, comma separated.")
    event_topics: str = Field("deploy_events", description="Topics of deploys and changes, comma separated.")
    instance_topics: str = Field("instances", description="Topics on which observers report instances.")

    service_pattern: str = Field(
        r"^(?P<service>.+?)-\d+$",
        description="Regular expression that finds the service in a host name where a sample names none, in its "
        "group `service`. The default takes `web` from `web-03`.",
    )
    future_s: float = Field(
        60.0, gt=0, description="Seconds a sample may be ahead of Kafka's clock before it is quarantined."
    )
    checkpoint_s: float = Field(
        1.0, gt=0, description="Least seconds between two writes of a partition's state: what a crash reads again."
    )
    snapshot_s: float = Field(600.0, gt=0, description="Seconds between two snapshots, where replay can start.")
    session_s: float = Field(
        10.0, ge=6, description="Seconds without a heartbeat after which Kafka gives a worker's partitions away."
    )
    stall_s: float = Field(
        30.0,
        ge=1,
        description="Seconds after which a stream process ends whose partition has something to read and does not "
        "move; while Kafka is away, or RabbitMQ is waited for, they do not count.",
    )
    instance: str = Field(
        "", description="Name of this process, unique: with one, a restart within the session keeps its partitions."
    )
    datadir: Path = Field(Path(".headrace/faust"), description="Where Faust keeps its files; nothing of value.")

    gateway_host: str = Field(
        "127.0.0.1", description="Address the gateway listens on. Any other than loopback needs a token."
    )
    gateway_port: int = Field(8650, ge=0, le=65535, description="Port of the gateway; 0 for a free one.")
    gateway_token: SecretStr = Field(
        SecretStr(""),
        description="What the gateway asks for, as bearer token or as password of any user; empty for nothing.",
    )
    github_secrets: SecretStr = Field(
        SecretStr(""), description="Secrets of GitHub webhooks, comma separated, so that one can follow another."
    )
    spool: Path = Field(
        Path(".headrace/spool.db"), description="Where the gateway keeps builds while RabbitMQ is away."
    )
    board_minutes: float = Field(30.0, gt=0, le=1440, description="Minutes of the past that the incident page shows.")

    kube_config: Path | None = Field(
        None,
        description="Kubeconfig file of the cluster that `headrace observe kubernetes` looks at. Unset: the service "
        "account of the pod that it runs in.",
    )
    kube_context: str = Field("", description="Context of that file; empty: its current one.")

    install: bool = Field(
        True, description="Whether `headrace local` may install missing servers with apt-get, as root. `no` forbids it."
    )
    cachedir: Path = Field(
        Path.home() / ".cache" / "headrace",
        description="Where `headrace local` keeps the jars of Kafka (45 MB), and `make chaos` a RabbitMQ 4 (370 MB).",
    )

    metrics_port: int = Field(0, ge=0, le=65535, description="Port for Prometheus on loopback; 0 for none.")
    log_json: bool | None = Field(None, description="Log as JSON lines; unset: where there is no terminal.")

    @property
    def sources(self) -> dict[str, str]:
        """What the intake reads: topic → what is on it (`metrics`, `events`, `instances`)."""
        kinds = {"metrics": self.metric_topics, "events": self.event_topics, "instances": self.instance_topics}
        return {name.strip(): kind for kind, names in kinds.items() for name in names.split(",") if name.strip()}

    @property
    def rabbitmq_vhost(self) -> str:
        """RabbitMQ's virtual host."""
        return unquote(urlsplit(self.rabbitmq_url).path[1:]) or "/"

    def rabbitmq_password(self, role: str) -> str:
        """The password that is given for a role's user, by its setting or its file; empty for none."""
        given: SecretStr = getattr(self, f"rabbitmq_{role}_password")
        file = self.rabbitmq_passwords and self.rabbitmq_passwords / f"headrace-{role}"
        if not given.get_secret_value() and file and file.exists():
            return file.read_text(encoding="utf-8").strip()
        return given.get_secret_value()

    @property
    def rabbitmq_management(self) -> str:
        """RabbitMQ's management API as `http://[user:password@]host:port`."""
        return self.rabbitmq_api or f"http://{urlsplit(self.rabbitmq_url).hostname}:15672"


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()


def masked(url: str) -> str:
    """A server's address without its password."""
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", ":***@") if parts.password else url
