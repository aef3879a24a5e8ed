"""Dashboards by their real API, and receivers through apprise; what the tests of other drivers share."""

import os
import socket
from http import HTTPStatus

import pytest

from app.local import servers
from app.local.grafana import Dashboard
from app.local.receiver import Receiver
from app.settings import Settings
from tasks.clients.dashboards import Dashboards
from tasks.clients.receivers import Receivers
from tasks.clients.targets import Targets
from tasks.contract import Annotate, Notify
from tasks.errors import PermanentError, TemporaryError

SAME = {"service": "web", "decided_at_ms": 1, "expires_at_ms": 2}


def had(program):
    """Install what a program needs where that is possible; skip, or fail in CI, where it is not."""
    if not servers.had(program, Settings()):
        why = f"{program.title} is not installed: {program.missing()}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


def targets(tmp_path, text):
    file = tmp_path / "targets.toml"
    file.write_text(text)
    return Targets(file)


# Dashboards


@pytest.fixture
def dashboard():
    with Dashboard() as running:
        yield running


@pytest.fixture
def dashboards(dashboard, tmp_path):
    (tmp_path / "token").write_text("t0ken\n")
    text = f'[dashboards.main]\nurl = "{dashboard.url}"\ntoken_file = "{tmp_path}/token"\n'
    return Dashboards(targets(tmp_path, text))


def mark(**more):
    given = {"dashboard": "main", "text": "web: 2 is deployed", "at_ms": 1_700_000_000_000, "tags": ["deployed"]}
    return Annotate(id="j-0-1-2", **SAME, **given | more)


def test_a_mark_has_its_text_time_and_tags_and_comes_with_the_token(dashboard, dashboards):
    assert dashboards.annotate(mark(), again=False)
    tags = ["deployed", "j-0-1-2"]
    assert dashboard.annotations == [{"time": 1_700_000_000_000, "text": "web: 2 is deployed", "tags": tags}]
    assert dashboard.authorizations == ["Bearer t0ken"]


def test_a_mark_whose_answer_was_lost_is_not_made_again(dashboard, dashboards):
    dashboard.answer = HTTPStatus.BAD_GATEWAY
    with pytest.raises(TemporaryError, match="502"):
        dashboards.annotate(mark(), again=False)
    dashboard.answer = HTTPStatus.OK
    assert not dashboards.annotate(mark(), again=True)
    assert len(dashboard.annotations) == 1


def test_a_mark_that_was_not_kept_is_made_again(dashboard, dashboards):
    dashboard.answer, dashboard.keeps = HTTPStatus.BAD_GATEWAY, False
    with pytest.raises(TemporaryError):
        dashboards.annotate(mark(), again=False)
    dashboard.answer, dashboard.keeps = HTTPStatus.OK, True
    assert dashboards.annotate(mark(), again=True)


@pytest.mark.parametrize(("told", "waits_s"), [("7", 7), ("3600", 60), ("", 1), ("Fri, 31 Dec 1999 23:59:59 GMT", 1)])
def test_a_dashboard_says_when_to_come_again_and_is_believed_up_to_a_minute(dashboard, dashboards, told, waits_s):
    dashboard.answer, dashboard.retry_after = HTTPStatus.TOO_MANY_REQUESTS, told
    with pytest.raises(TemporaryError, match="429") as raised:
        dashboards.annotate(mark(), again=False)
    assert raised.value.delay_s == waits_s


def test_a_token_may_be_in_the_environment(dashboard, tmp_path, monkeypatch):
    made = Dashboards(targets(tmp_path, f'[dashboards.main]\nurl = "{dashboard.url}/"\ntoken_env = "GRAFANA"\n'))
    with pytest.raises(TemporaryError, match="GRAFANA"):
        made.annotate(mark(), again=False)
    monkeypatch.setenv("GRAFANA", "t0ken")
    assert made.annotate(mark(), again=False)
    assert dashboard.authorizations == ["Bearer t0ken"]


@pytest.mark.parametrize("token", [b"s3cret\nmore", b"s3cret\xe9", "s3cr\u00e9t".encode(), b"", b"s3cret\x00"])
def test_a_token_that_is_none_is_said_and_not_shown(dashboards, tmp_path, token):
    (tmp_path / "token").write_bytes(token)
    with pytest.raises(TemporaryError, match="has no token") as raised:
        dashboards.annotate(mark(), again=False)
    assert "s3c" not in str(raised.value)
    (tmp_path / "token").unlink()
    with pytest.raises(TemporaryError, match="cannot be read"):
        dashboards.annotate(mark(), again=False)


def test_a_dashboard_that_hangs_is_left_after_five_seconds(dashboard, dashboards):
    dashboard.pause_s = 8
    with pytest.raises(TemporaryError, match="does not answer"):
        dashboards.annotate(mark(), again=False)


def test_a_dashboard_that_refuses_for_good_is_said(dashboard, dashboards, tmp_path):
    dashboard.answer = HTTPStatus.FORBIDDEN
    with pytest.raises(PermanentError, match="403"):
        dashboards.annotate(mark(), again=False)
    with pytest.raises(PermanentError, match="main"):
        dashboards.annotate(mark(dashboard="other"), again=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    gone = Dashboards(targets(tmp_path, f'[dashboards.main]\nurl = "http://127.0.0.1:{port}"\n'))
    with pytest.raises(TemporaryError, match="does not answer"):
        gone.annotate(mark(), again=False)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (HTTPStatus.UNAUTHORIZED, PermanentError), (HTTPStatus.NOT_FOUND, PermanentError),
        (HTTPStatus.BAD_REQUEST, PermanentError), (HTTPStatus.REQUEST_TIMEOUT, TemporaryError),
        (HTTPStatus.INTERNAL_SERVER_ERROR, TemporaryError), (HTTPStatus.SERVICE_UNAVAILABLE, TemporaryError),
    ],
)  # fmt: skip
def test_each_answer_of_a_dashboard_is_heeded_and_its_token_is_in_none_of_the_words(
    dashboard, dashboards, caplog, answer, error
):
    caplog.set_level("DEBUG")
    dashboard.answer = answer
    with pytest.raises(error, match=f"answers {int(answer)}") as raised:
        dashboards.annotate(mark(), again=False)
    assert "t0ken" not in str(raised.value) + caplog.text


# Receivers


def told(**more):
    return Notify(**{"id": "a", "receiver": "team", "title": "web", "body": "2 is deployed", **SAME, **more})


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


@pytest.fixture
def people(receiver, tmp_path):
    url = receiver.url.replace("http://", "json://user:s3cret@")
    return Receivers(targets(tmp_path, f'[receivers]\nteam = "{url}"\nboth = ["{url}", "{url}?x=2"]\n'))


def test_people_are_told_through_every_address(receiver, people):
    people.tell(told())
    people.tell(told(receiver="both"))
    assert len(receiver.bodies) == 3
    assert "2 is deployed" in receiver.bodies[0]


def test_a_receiver_that_answers_500_is_told_again_and_its_password_to_nobody(receiver, people, caplog):
    caplog.set_level("DEBUG", logger="apprise")
    receiver.answer = HTTPStatus.INTERNAL_SERVER_ERROR
    with pytest.raises(TemporaryError, match="did not take") as raised:
        people.tell(told())
    receiver.answer = HTTPStatus.OK
    people.tell(told())
    assert "s3cret" not in str(raised.value) + caplog.text


def test_a_receiver_that_hangs_is_left(receiver, people):
    receiver.pause_s = 6
    with pytest.raises(TemporaryError, match="did not take"):
        people.tell(told())
