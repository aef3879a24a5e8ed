"""Who may use the gateway."""

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.gateway.auth import Guard, mistake
from app.settings import Settings


def client(token):
    async def answer(_):
        return PlainTextResponse("here")

    routes = [Route(path, answer) for path in ("/", "/api/board", "/webhooks/github", "/livez")]
    base = "http://127.0.0.1:8650"
    return TestClient(base_url=base, app=Starlette(routes=routes, middleware=[Middleware(Guard, token=token)]))


def test_without_a_token_everybody_on_this_machine_may():
    assert client("").get("/").status_code == 200


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, 401),
        ({"auth": ("anybody", "s3cret")}, 200),
        ({"auth": ("anybody", "wrong")}, 401),
        ({"headers": {"Authorization": "Bearer s3cret"}}, 200),
        ({"headers": {"Authorization": "Bearer s3cre"}}, 401),
        ({"headers": {"Authorization": "Basic ???"}}, 401),
        ({"headers": {"Authorization": "s3cret"}}, 401),
        ({"headers": {"Authorization": "Bearer"}}, 401),
    ],
)
def test_with_one_it_is_asked_for(more, status):
    answer = client("s3cret").get("/api/board", **more)
    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize("path", ["/webhooks/github", "/livez"])
def test_what_is_signed_or_tells_nothing_needs_none(path):
    assert client("s3cret").get(path).status_code == 200


@pytest.mark.parametrize(
    ("host", "token", "may"),
    [
        ("127.0.0.1", "", True), ("::1", "", True), ("localhost", "", True),
        ("0.0.0.0", "", False), ("::", "", False), ("gateway.example.org", "", False), ("0.0.0.0", "t", True),
    ],
)  # fmt: skip
def test_the_gateway_is_not_opened_to_others_without_a_token(host, token, may):
    said = mistake(Settings(gateway_host=host, gateway_token=SecretStr(token)))
    assert (said == "") == may
    assert may or "HEADRACE_GATEWAY_TOKEN" in said


@pytest.mark.parametrize("host", ["localhost:8650", "127.0.0.1", "[::1]:8650"])
def test_a_request_that_names_this_machine_passes_without_a_token(host):
    assert client("").get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example.org", "evil.example.org:8650", "127.0.0.1.evil.org", "", "["])
def test_a_page_that_was_rebound_to_this_machine_learns_nothing(host):
    assert client("").get("/api/board", headers={"Host": host}).status_code == 403
    assert client("t").get("/api/board", headers={"Host": host}, auth=("a", "t")).status_code == 200


@pytest.mark.parametrize("token", ["", "t"])
@pytest.mark.parametrize("origin", ["https://evil.example.org", "null", "http://127.0.0.1:9"])
def test_what_another_sites_page_has_a_browser_send_is_refused(token, origin):
    assert client(token).get("/", headers={"Origin": origin}, auth=("a", "t")).status_code == 403
    own = client(token).get("/", headers={"Origin": "http://127.0.0.1:8650"}, auth=("a", "t"))
    assert own.status_code == 200
