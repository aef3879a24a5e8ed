"""GitHub's webhooks, read: whether one is signed, and the build that a push asks for. Pure.

`app.gateway.webhooks` calls it. Nothing is parsed before its signature was found right.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs

import msgspec

from tasks.contract import EXPIRY_S, Build, Kind

BRANCH: Final = "refs/heads/"
LONGEST: Final = 200
"""Characters of a repository, a branch or a delivery id; longer ones are nobody's."""


class MalformedError(Exception):
    """A webhook that cannot be read; the text says why."""


class Ignored(msgspec.Struct, frozen=True):
    """A webhook that asks for nothing, and why."""

    why: str


class _Repository(msgspec.Struct):
    full_name: str


class _Push(msgspec.Struct):
    ref: str
    after: str
    repository: _Repository
    deleted: bool = False


_push = msgspec.json.Decoder(_Push)


def signed(secrets: Sequence[str], body: bytes, signature: str) -> bool:
    """Whether `signature` (`sha256=<hex>`, as GitHub sends it) is of this body and one of the secrets."""
    found = False
    for secret in secrets:
        ours = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
        found |= hmac.compare_digest(ours.encode(), signature.encode())
    return found


def payload(body: bytes, content_type: str) -> bytes:
    """The JSON of a body: GitHub's form encoding has it in the field `payload`."""
    if not content_type.startswith("application/x-www-form-urlencoded"):
        return body
    try:
        return parse_qs(body.decode(), strict_parsing=True)["payload"][0].encode()
    except (ValueError, KeyError) as error:
        raise MalformedError("the form has no field `payload`") from error


def build_of(event: str, delivery: str, raw: bytes, now_ms: int) -> Build | Ignored:
    """What a signed webhook asks for; raises MalformedError. The delivery's id is the build's."""
    if event != "push":
        return Ignored(f"events of type {event!r} start no build")
    if not (delivery.replace("-", "").isalnum() and delivery.isascii() and len(delivery) <= LONGEST):
        raise MalformedError("X-GitHub-Delivery is no delivery id")
    try:
        push = _push.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"the push cannot be read: {error}") from error
    if not push.ref.startswith(BRANCH):
        return Ignored(f"{push.ref[:LONGEST]} is no branch")
    if push.deleted or set(push.after) <= {"0"}:
        return Ignored(f"branch {push.ref.removeprefix(BRANCH)[:LONGEST]} was deleted")
    repo, branch = push.repository.full_name, push.ref.removeprefix(BRANCH)
    for name, value in (("repository", repo), ("branch", branch), ("commit", push.after)):
        if not 0 < len(value.encode()) <= LONGEST:
            raise MalformedError(f"the {name} has {len(value.encode())} bytes; it may have 1 to {LONGEST}")
    return Build(
        id=f"github-{delivery}", service=repo, repo=repo, branch=branch, commit=push.after,
        decided_at_ms=now_ms, expires_at_ms=now_ms + EXPIRY_S[Kind.BUILD] * 1000, reason="push",
    )  # fmt: skip
