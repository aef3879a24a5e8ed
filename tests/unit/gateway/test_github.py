"""GitHub's own example bodies, and what a hostile sender makes of them."""

import hashlib
import hmac
import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from app.gateway.github import Ignored, MalformedError, build_of, payload, signed
from tasks.contract import Build

BODIES = json.loads((Path(__file__).parents[2] / "data" / "github_webhooks.json").read_text(encoding="utf-8"))
PUSHES = BODIES["push"]


def signature(body, secret="s3cret"):
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def built(push, delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958", event="push"):
    return build_of(event, delivery, push if isinstance(push, bytes) else json.dumps(push).encode(), 1_000)


@pytest.mark.parametrize("push", PUSHES, ids=lambda push: f"{push['ref']}@{push['after'][:7]}")
def test_a_push_to_a_branch_is_a_build_and_every_other_push_says_why_not(push):
    made = built(push)
    if push["ref"].startswith("refs/heads/") and not push["deleted"]:
        assert isinstance(made, Build)
        assert (made.repo, made.branch) == (push["repository"]["full_name"], push["ref"].removeprefix("refs/heads/"))
        assert (made.commit, made.id) == (push["after"], "github-72d3162e-cc78-11e3-81ab-4c9367dc0958")
    else:
        assert isinstance(made, Ignored)
        assert "branch" in made.why


def test_the_examples_have_both():
    kinds = {type(built(push)) for push in PUSHES}
    assert kinds == {Build, Ignored}


def test_a_branch_that_was_deleted_is_not_built():
    gone = PUSHES[4] | {"after": "0" * 40, "deleted": True, "head_commit": None}
    assert "deleted" in built(gone).why


@pytest.mark.parametrize("event", [name for name in BODIES if name != "push"])
def test_other_events_start_no_build(event):
    assert event in built(BODIES[event][0], event=event).why


def test_one_delivery_is_one_build_however_often_it_comes():
    assert built(PUSHES[4]) == built(PUSHES[4])
    assert built(PUSHES[4], delivery="another").id != built(PUSHES[4]).id


@pytest.mark.parametrize(
    "push",
    [
        b"", b"{", b"[]", b"null", b'{"ref": 1}', b"\xff\xfe", b"[" * 100_000,
        PUSHES[4] | {"repository": {"full_name": "x" * 300}},
        PUSHES[4] | {"ref": "refs/heads/"},
        PUSHES[4] | {"ref": "refs/heads/" + "ü" * 150},
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_to_be_so(push):
    with pytest.raises(MalformedError):
        built(push)


@pytest.mark.parametrize("delivery", ["", "x" * 300, "../../etc", "a b", "ünicode", "a\nb"])
def test_a_delivery_id_that_is_none_is_refused(delivery):
    with pytest.raises(MalformedError, match="delivery"):
        built(PUSHES[4], delivery=delivery)


def test_a_signature_is_of_the_body_and_of_any_secret_that_is_set():
    body = b'{"a": 1}'
    assert signed(["new", "s3cret"], body, signature(body))
    assert not signed(["new"], body, signature(body))
    assert not signed(["s3cret"], body + b" ", signature(body))


@pytest.mark.parametrize("given", ["", "sha256=", "sha1=abc", "ü", signature(b"x").upper(), signature(b"x")[7:]])
def test_whatever_else_is_no_signature(given):
    assert not signed(["s3cret"], b"x", given)


def test_githubs_form_encoding_is_read_too():
    form = urlencode({"payload": json.dumps(PUSHES[4])}).encode()
    assert built(payload(form, "application/x-www-form-urlencoded")) == built(PUSHES[4])
    with pytest.raises(MalformedError, match="payload"):
        payload(b"a=b", "application/x-www-form-urlencoded")
