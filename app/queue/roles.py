"""RabbitMQ's users: one for each part of Headrace, each with the least that it needs. Made and compared from here.

`headrace queues init --users` and `queues check` use it, with `app.queue.topology`, as an administrator. Who may do
what is in `ROLES` and nowhere else. Passwords are given (see `app.settings`); none is made up and none is printed.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from app.queue.api import TopologyError, call
from app.settings import Settings
from tasks.contract import DEAD_QUEUE, EXCHANGE, QUEUES, RETRY_S, Kind, retry_exchange

NOTHING: Final = "^$"


class Role(NamedTuple):
    """A user and what it may do, as regular expressions: on names, and on routing keys of `EXCHANGE`."""

    user: str
    about: str
    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    keys_written: str = NOTHING
    keys_read: str = NOTHING

    @property
    def permissions(self) -> dict[str, str]:
        """What it may declare and delete, publish to and consume from."""
        return {"configure": self.configure, "write": self.write, "read": self.read}

    @property
    def topics(self) -> dict[str, str]:
        """What it may publish to and bind on the topic exchange."""
        return {"exchange": EXCHANGE, "write": self.keys_written, "read": self.keys_read}


def _any(*names: str) -> str:
    return f"^({'|'.join(names)})$"


ROLES: Final[dict[str, Role]] = {
    "router": Role(
        "headrace-router", "publishes actions and events, and reads nothing",
        write=_any(EXCHANGE), keys_written=r"^(action|event)\.",
    ),
    "worker": Role(
        "headrace-worker", "takes actions and dead letters, has copies come back, parks; declares and deletes nothing",
        # a queue is published to by its name through the default exchange: that is how a letter is parked
        write=_any(r"amq\.default", *map(retry_exchange, RETRY_S)), read=_any(*QUEUES.values(), DEAD_QUEUE),
    ),
    "gateway": Role(
        "headrace-gateway", "publishes builds, and nothing else",
        write=_any(EXCHANGE), keys_written=rf"^action\.{Kind.BUILD.value}\.",
    ),
    "reader": Role(
        "headrace-reader", "a foreign service: binds queues of its own, `foreign…`, to the enriched events",
        configure="^foreign", write="^foreign", read=f"^({EXCHANGE}|foreign.*)$", keys_read=r"^event\.",
    ),
}  # fmt: skip
"""Who may do what. A publish to `amq.default` is not limited by RabbitMQ to some queues: that is the worker's."""


def init(settings: Settings) -> list[str]:
    """Make the users that are missing and set what each may do; their names. Raises TopologyError.

    A user that is there keeps its password unless one is given. Nothing is made if one is needed and not given.
    """
    there = {one["name"] for one in call(settings, "GET", "users")}
    passwords = {name: settings.rabbitmq_password(name) for name in ROLES}
    if lacking := [name for name, role in ROLES.items() if role.user not in there and not passwords[name]]:
        raise TopologyError(
            f"no password is given for {', '.join(ROLES[name].user for name in lacking)}: set "
            f"{', '.join(f'HEADRACE_RABBITMQ_{name.upper()}_PASSWORD' for name in lacking)}, or put each into a file "
            "of the user's name in the folder HEADRACE_RABBITMQ_PASSWORDS"
        )
    for name, role in ROLES.items():
        if passwords[name]:
            call(settings, "PUT", f"users/{role.user}", {"password": passwords[name], "tags": ""})
        call(settings, "PUT", f"permissions/{{vhost}}/{role.user}", role.permissions)
        call(settings, "PUT", f"topic-permissions/{{vhost}}/{role.user}", role.topics)
    return [role.user for role in ROLES.values()]


def wrong(settings: Settings, *, wanted: bool) -> Iterator[str]:
    """What the users may do and should not, or the other way round; `wanted`: those that are missing are told too."""
    try:
        users = {one["name"]: one for one in call(settings, "GET", "users")}
        permissions = {one["user"]: one for one in call(settings, "GET", "permissions") if _ours(settings, one)}
        topics = [one for one in call(settings, "GET", "topic-permissions") if _ours(settings, one)]
    except TopologyError:
        if wanted:
            raise
        return  # only an administrator may look, and nobody asked
    mend = "`headrace queues init --users` mends it"
    for role in ROLES.values():
        if role.user not in users:
            if wanted:
                yield f"user {role.user} is missing; {mend}"
            continue
        if tags := users[role.user].get("tags"):
            told = tags if isinstance(tags, str) else ", ".join(tags)
            yield f"user {role.user} is {told} and should be a mere user; `rabbitmqctl set_user_tags {role.user}`"
        found = {name: permissions.get(role.user, {}).get(name) for name in role.permissions}
        for name, may in role.permissions.items():
            if found[name] != may:
                yield f"user {role.user} may {name} {found[name] or 'nothing'} and should {may}; {mend}"
        if [_plain(one, role.topics) for one in topics if one["user"] == role.user] != [role.topics]:
            yield f"user {role.user} is not limited to its routing keys on {EXCHANGE}; {mend}"


def _plain(found: dict[str, Any], wanted: dict[str, str]) -> dict[str, Any]:
    return {name: found.get(name) for name in wanted}


def _ours(settings: Settings, one: dict[str, Any]) -> bool:
    return bool(one["vhost"] == settings.rabbitmq_vhost)
