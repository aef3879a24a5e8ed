"""Notifications to a real Alertmanager, and by mail to a real SMTP server: what arrives there, and how often."""

import email
import json
import socket
from datetime import UTC, datetime
from email.policy import default
from http import HTTPStatus
from time import time

import msgspec
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from app.local.receiver import Receiver
from tasks.clients.receivers import Receivers
from tasks.contract import Alerted, Status
from tasks.errors import PermanentError, TemporaryError
from tests.alertmanager import Alertmanager
from tests.integration.test_downstream import had, targets, told
from tests.processes import wait_for
from tests.rig import LEASE_S, Rig, telling, worker

HOUR_MS = 3_600_000


@pytest.fixture
def hook():
    with Receiver() as running:
        yield running


@pytest.fixture
def alertmanager(tmp_path, hook):
    had(Alertmanager)
    running = Alertmanager(tmp_path, hook.url)
    running.start()
    yield running
    running.thaw()
    running.kill()


def people(tmp_path, url):
    return Receivers(targets(tmp_path, f'[receivers]\nteam = "{url}"\n'))


def now_ms():
    return int(time() * 1000)


def alert(service, ends_ms, name="hot", starts_ms=None, **labels):
    return Alerted(
        labels={"alertname": name, "service": service, "severity": "critical", **labels},
        annotations={"summary": f"{service} is hot"}, starts_ms=starts_ms or now_ms() - 60_000, ends_ms=ends_ms,
    )  # fmt: skip


def about(*alerts):
    return told(alerts=list(alerts))


def groups(hook):
    """What the webhook was told: (status, [(service, status)]) of each message."""
    found = [json.loads(body) for body in hook.bodies]
    return [(one["status"], sorted((a["labels"]["service"], a["status"]) for a in one["alerts"])) for one in found]


# Alertmanager


def test_alerts_of_several_services_are_one_group_there_and_their_end_is_told(alertmanager, hook, tmp_path):
    team, starts_ms, later_ms = people(tmp_path, alertmanager.url), now_ms() - 60_000, now_ms() + HOUR_MS
    team.tell(about(alert("web", later_ms, starts_ms=starts_ms)))
    team.tell(about(alert("api", later_ms)))
    wait_for(lambda: ("firing", [("api", "firing"), ("web", "firing")]) in groups(hook), 20, "the group to be told")
    (web,) = [one for one in alertmanager.alerts() if one["labels"]["service"] == "web"]
    assert web["labels"] == {"alertname": "hot", "service": "web", "severity": "critical"}
    assert web["annotations"] == {"summary": "web is hot"}
    assert web["startsAt"] == stamp(starts_ms)
    assert web["endsAt"] == stamp(later_ms)
    team.tell(about(alert("web", now_ms(), starts_ms=starts_ms)))
    wait_for(lambda: ("firing", [("api", "firing"), ("web", "resolved")]) in groups(hook), 20, "the end of one")
    team.tell(about(alert("api", now_ms())))
    wait_for(lambda: groups(hook)[-1][0] == "resolved", 20, "the end of all")


def stamp(at_ms):
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_what_is_posted_again_is_told_once(alertmanager, hook, tmp_path):
    team, one = people(tmp_path, alertmanager.url), about(alert("web", now_ms() + HOUR_MS))
    for _ in range(3):
        team.tell(one)
    wait_for(lambda: groups(hook), 20, "the alert to be told")
    team.tell(one)
    team.tell(about(alert("api", now_ms() + HOUR_MS, name="cold")))
    wait_for(lambda: len(groups(hook)) >= 2, 20, "the other group to be told")
    assert sorted(groups(hook)) == [("firing", [("api", "firing")]), ("firing", [("web", "firing")])]


def test_a_message_that_is_about_no_alert_is_one_of_its_own_for_five_minutes(alertmanager, hook, tmp_path):
    at_ms = now_ms()
    people(tmp_path, alertmanager.url).tell(told(id="j-0-1-0", decided_at_ms=at_ms))
    (one,) = alertmanager.alerts()
    assert one["labels"] == {"alertname": "headrace", "service": "web", "severity": "info", "decision": "j-0-1-0"}
    assert one["annotations"] == {"summary": "web", "description": "2 is deployed"}
    assert (one["startsAt"], one["endsAt"]) == (stamp(at_ms), stamp(at_ms + 300_000))


def test_labels_that_are_no_names_there_become_some(alertmanager, tmp_path):
    people(tmp_path, alertmanager.url).tell(
        about(alert("web", now_ms() + HOUR_MS, **{"team-name": "shop", "1st": "x"}))
    )
    (one,) = alertmanager.alerts()
    assert {"team_name": "shop", "_1st": "x"}.items() <= one["labels"].items()


def test_one_that_is_away_or_hangs_is_tried_again_and_one_that_refuses_is_not(alertmanager, tmp_path):
    team = people(tmp_path, alertmanager.url.replace("://", "://ann:s3cret@"))
    with pytest.raises(PermanentError, match="answers 400") as refused:
        team.tell(about(Alerted(labels={}, annotations={}, starts_ms=1, ends_ms=now_ms() + HOUR_MS)))
    alertmanager.freeze()
    with pytest.raises(TemporaryError, match="does not answer") as hung:
        team.tell(told())
    alertmanager.thaw()
    team.tell(told())
    alertmanager.kill()
    with pytest.raises(TemporaryError, match="does not answer") as away:
        team.tell(told())
    assert "s3cret" not in "".join(str(one.value) for one in (refused, hung, away))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (HTTPStatus.INTERNAL_SERVER_ERROR, TemporaryError), (HTTPStatus.SERVICE_UNAVAILABLE, TemporaryError),
        (HTTPStatus.TOO_MANY_REQUESTS, TemporaryError), (HTTPStatus.UNAUTHORIZED, PermanentError),
        (HTTPStatus.NOT_FOUND, PermanentError),
    ],
)  # fmt: skip
def test_each_answer_of_an_api_is_heeded_and_it_is_told_who_asks(hook, tmp_path, caplog, answer, error):
    caplog.set_level("DEBUG")
    address = hook.url.replace("http://", "alertmanager://ann:s3%40cret@").rstrip("/")
    hook.answer = answer
    with pytest.raises(error, match=str(int(answer))):
        people(tmp_path, f"{address}/am/").tell(told())
    assert hook.received[0].path == "/am/api/v2/alerts"
    assert hook.received[0].headers["Authorization"] == "Basic YW5uOnMzQGNyZXQ="
    assert "s3" not in caplog.text


@pytest.mark.parametrize(
    "address", ["alertmanager://", "alertmanager://u:s3cret@h:s3cret/", "alertmanager://h/?s3cret"]
)
def test_an_address_that_is_none_is_refused_and_not_shown(tmp_path, address):
    with pytest.raises(PermanentError, match="is none") as raised:
        people(tmp_path, address).tell(told())
    assert "s3cret" not in str(raised.value)


def test_a_worker_posts_the_alerts_of_a_message_once(clean, headrace_env, processes, alertmanager, hook, tmp_path):
    targets(tmp_path, f'[receivers]\nteam = "{alertmanager.url}"\n')
    env = headrace_env | {"HEADRACE_LEASE_S": str(LEASE_S), "HEADRACE_TARGETS_FILE": str(tmp_path / "targets.toml")}
    rig = Rig(clean)
    worker(processes, env)
    message = msgspec.structs.replace(telling("told-1"), alerts=[alert("web", now_ms() + HOUR_MS)])
    rig.send(message, message)
    assert {outcome.status for outcome in rig.ended("told-", 2)} == {Status.DONE}
    wait_for(lambda: groups(hook), 20, "the alert to be told")
    assert groups(hook) == [("firing", [("web", "firing")])]


# Mail


class Mailbox:
    """Takes mail of one user; answers `refuse` to the next message if that is set."""

    def __init__(self):
        self.mails, self.senders, self.refuse = [], [], ""

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        if self.refuse:
            answer, self.refuse = self.refuse, ""
            return answer
        self.mails.append(email.message_from_bytes(envelope.content, policy=default))
        self.senders.append((envelope.mail_from, envelope.rcpt_tos))
        return "250 taken"

    def known(self, server, session, envelope, mechanism, data):
        return AuthResult(success=(data.login, data.password) == (b"ann", b"s3cret"))


@pytest.fixture
def mailbox():
    found = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as server:
        found.port = server.getsockname()[1]
    running = Controller(
        found, hostname="127.0.0.1", port=found.port, authenticator=found.known, auth_required=True,
        auth_require_tls=False,
    )  # fmt: skip
    running.start()
    yield found
    running.stop()


def mail_to(mailbox, password="s3cret"):
    return (
        f"mailto://ann:{password}@127.0.0.1:{mailbox.port}?smtp=127.0.0.1&mode=insecure&format=text"
        "&from=headrace@example.org&to=team@example.org"
    )


def test_a_mail_has_its_subject_and_text_and_comes_once(mailbox, tmp_path):
    people(tmp_path, mail_to(mailbox)).tell(
        told(title="web: 2 → 3 replicas", body="cpu 90 is above 60.\nDecision j-0-1-0.")
    )
    (mail,) = mailbox.mails
    assert mail["Subject"] == "web: 2 → 3 replicas"
    assert mail.get_body(("plain",)).get_content().splitlines()[:2] == ["cpu 90 is above 60.", "Decision j-0-1-0."]
    assert mailbox.senders == [("headrace@example.org", ["team@example.org"])]


def test_a_mail_that_is_refused_for_now_is_told_again_and_a_wrong_password_to_nobody(mailbox, tmp_path, caplog):
    caplog.set_level("DEBUG")
    team = people(tmp_path, mail_to(mailbox))
    mailbox.refuse = "451 come again"
    with pytest.raises(TemporaryError, match="did not take") as raised:
        team.tell(told())
    assert mailbox.mails == []
    team.tell(told())
    assert len(mailbox.mails) == 1
    with pytest.raises(TemporaryError, match="did not take") as wrong:
        people(tmp_path, mail_to(mailbox, "s3cretly")).tell(told())
    assert "s3cret" not in str(raised.value) + str(wrong.value) + caplog.text


def test_workers_tell_each_message_once_whatever_is_delivered_again(clean, headrace_env, processes, mailbox, tmp_path):
    targets(tmp_path, f'[receivers]\nteam = "{mail_to(mailbox)}"\n')
    env = headrace_env | {"HEADRACE_LEASE_S": str(LEASE_S), "HEADRACE_TARGETS_FILE": str(tmp_path / "targets.toml")}
    rig = Rig(clean)
    worker(processes, env, "first")
    worker(processes, env, "second")
    mailbox.refuse = "451 come again"
    one, other = telling("told-1"), telling("told-2")
    rig.send(one, one, other, one)
    assert {outcome.status for outcome in rig.ended("told-", 4)} == {Status.DONE}
    texts = sorted(mail.get_body(("plain",)).get_content().strip() for mail in mailbox.mails)
    assert texts == ["says told-1", "says told-2"]
