"""The targets file: names, mistakes that are told with their place, and secrets that are not told."""

import pytest

from tasks.clients.receivers import Receivers
from tasks.clients.targets import Targets
from tasks.contract import Notify
from tasks.errors import PermanentError, TemporaryError

GOOD = """
[receivers]
team = "json://127.0.0.1:1"
oncall = ["json://127.0.0.1:1", "json://127.0.0.1:2"]
[balancers]
edge = "unix:/run/haproxy/admin.sock"
inner = "tcp://[::1]:9999"
[dashboards.main]
url = "https://grafana.example.org/sub/"
token_file = "/run/secrets/grafana"
[books.main]
prices = {default = 1, small = 0.02}
[webhooks.deploys]
url = "https://hooks.example.org/headrace?code=7"
secret_file = "/run/secrets/hook"
[webhooks.inner]
url = "http://10.0.0.7:8080"
secret_env = "HOOK"
private = true
"""


@pytest.fixture
def write(tmp_path):
    """Targets of a file with a text."""

    def made(text):
        file = tmp_path / "targets.toml"
        file.write_bytes(text.encode("latin-1"))
        return Targets(file)

    return made


def telling(receiver="team"):
    return Notify(id="a", receiver=receiver, title="t", body="b", service="web", decided_at_ms=1, expires_at_ms=2)


def test_each_name_has_what_the_file_says(write):
    targets = write(GOOD)
    assert targets.receiver("team") == ["json://127.0.0.1:1"]
    assert len(targets.receiver("oncall")) == 2
    assert targets.balancer("edge") == "unix:/run/haproxy/admin.sock"
    assert targets.balancer("inner") == "tcp://[::1]:9999"
    assert targets.dashboard("main").token_file == "/run/secrets/grafana"
    assert targets.book("main").url == "sqlite:///.headrace/costs.db"
    assert targets.book("main").prices == {"default": 1.0, "small": 0.02}
    assert targets.webhook("deploys").secret_file == "/run/secrets/hook"
    assert [targets.webhook(name).private for name in ("deploys", "inner")] == [False, True]


def test_a_name_that_is_not_there_is_refused_with_those_that_are(write):
    targets = write(GOOD)
    with pytest.raises(PermanentError, match=r"no receiver 'people' in .*targets\.toml; there are oncall, team"):
        targets.receiver("people")
    for ask, what in [
        (targets.balancer, "balancer"), (targets.dashboard, "dashboard"), (targets.book, "book"),
        (targets.webhook, "webhook"),
    ]:  # fmt: skip
        with pytest.raises(PermanentError, match=f"no {what} 'x'"):
            ask("x")
    with pytest.raises(PermanentError, match=r"no book 'main' in .*targets\.toml$"):
        write("").book("main")


def test_without_a_targets_file_the_setting_is_named():
    with pytest.raises(PermanentError, match="HEADRACE_TARGETS_FILE"):
        Targets(None).receiver("team")


def test_a_file_that_is_not_there_yet_is_waited_for(write, tmp_path):
    targets = Targets(tmp_path / "targets.toml")
    with pytest.raises(TemporaryError, match=r"targets\.toml"):
        targets.receiver("team")
    write(GOOD)
    assert targets.receiver("team")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[receivers", "end of document"),
        ("[receivers]\nteam = s3cret\n", "line 2"),
        ('receivers = "s3cret"', "`receivers`"),
        ("[receivers]\nteam = 3\n", "receivers.team"),
        ('[receivers]\nteam = ["s3cret", 3]\n', "receivers.team"),
        ("\xff", "utf-8"),
        ('[reciever]\nteam = "s3cret"\n', "`reciever`"),
        ('[balancers]\nedge = "/run/s3cret.sock"\n', "balancers.edge"),
        ('[balancers]\nedge = "unix:s3cret"\n', "balancers.edge"),
        ('[balancers]\nedge = "unix://s3cret/x"\n', "balancers.edge"),
        ('[balancers]\nedge = "tcp://127.0.0.1"\n', "balancers.edge"),
        ('[balancers]\nedge = "tcp://127.0.0.1:s3cret"\n', "balancers.edge"),
        ('[balancers]\nedge = "tcp://127.0.0.1:99999"\n', "balancers.edge"),
        ('[balancers]\nedge = "tcp://127.0.0.1:0"\n', "balancers.edge"),
        ("[balancers]\nedge = 9999\n", "balancers.edge"),
        ('[dashboards]\nmain = "https://s3cret"\n', "dashboards.main"),
        ("[dashboards.main]\n", "dashboards.main.*url"),
        ('[dashboards.main]\nurl = "grafana/s3cret"\n', "dashboards.main.*http"),
        ('[dashboards.main]\nurl = "ftp://s3cret"\n', "dashboards.main.*http"),
        ('[dashboards.main]\nurl = "http://u:s3cret@h"\n', "dashboards.main.*user"),
        ('[dashboards.main]\nurl = "http://u:s3cret"\n', "dashboards.main.*address"),
        ('[dashboards.main]\nurl = "http://[s3cret"\n', "dashboards.main.*address"),
        ('[dashboards.main]\nurl = "http://h/?key=s3cret"\n', "dashboards.main.*http"),
        ('[dashboards.main]\nurl = "http://h"\ntoken = "s3cret"\n', "dashboards.main.*token"),
        ('[dashboards.main]\nurl = "http://h"\ntoken_file = "a"\ntoken_env = "b"\n', "dashboards.main.*leave one out"),
        ('[books.main]\nurl = "sqlite:///x"\n', "books.main.*prices"),
        ("[books.main]\nprices = {default = -1}\n", "books.main.*`default`"),
        ("[books.main]\nprices = {default = nan}\n", "books.main.*`default`"),
        ("[books.main]\nprices = {default = inf}\n", "books.main.*`default`"),
        ('[books.main]\nprices = {default = "s3cret"}\n', "books.main.*prices"),
        ('[webhooks]\na = "https://s3cret"\n', "webhooks.a"),
        ('[webhooks.a]\nsecret_env = "A"\n', "webhooks.a.*url"),
        ('[webhooks.a]\nurl = "ftp://s3cret"\nsecret_env = "A"\n', "webhooks.a.*http"),
        ('[webhooks.a]\nurl = "http:///s3cret"\nsecret_env = "A"\n', "webhooks.a.*http"),
        ('[webhooks.a]\nurl = "http://h/#s3cret"\nsecret_env = "A"\n', "webhooks.a.*http"),
        ('[webhooks.a]\nurl = "http://u:s3cret@h/"\nsecret_env = "A"\n', "webhooks.a.*user"),
        ('[webhooks.a]\nurl = "http://h:s3cret/"\nsecret_env = "A"\n', "webhooks.a.*address"),
        ('[webhooks.a]\nurl = "http://h/s3cret"\n', "webhooks.a.*either"),
        ('[webhooks.a]\nurl = "http://h/s3cret"\nsecret_env = "A"\nsecret_file = "b"\n', "webhooks.a.*either"),
        ('[webhooks.a]\nurl = "http://h/"\nsecret = "s3cret"\n', "webhooks.a.*secret"),
        ('[webhooks.a]\nurl = "http://h/"\nsecret_env = "A"\nprivate = "s3cret"\n', "webhooks.a.*private"),
    ],
)
def test_a_mistake_is_told_with_its_place_without_its_words_and_the_file_is_read_again(write, text, place):
    targets = write(text)
    for _ in range(2):
        with pytest.raises(TemporaryError, match=rf"(?s)targets\.toml.*{place}") as told:
            targets.receiver("team")
        assert "s3cret" not in str(told.value)
    write(GOOD)
    assert targets.receiver("team")


def test_a_file_that_was_read_is_not_read_again(write):
    targets = write(GOOD)
    targets.receiver("team")
    write("[broken")
    assert targets.book("main")


@pytest.mark.parametrize(
    "url", ["nonsense-with-s3cret", "nope://user:s3cret@host", "slack://s3cret", "json://u:s3cret@:99999"]
)
def test_an_address_that_is_none_is_refused_and_neither_told_nor_logged(write, caplog, url):
    caplog.set_level("DEBUG")
    with pytest.raises(PermanentError, match="'team'") as refused:
        Receivers(write(f'[receivers]\nteam = "{url}"\n')).tell(telling())
    assert "s3cret" not in str(refused.value)
    assert "s3c" not in caplog.text
    assert "s...t" not in caplog.text


def test_a_receiver_that_cannot_be_reached_is_tried_again(write):
    with pytest.raises(TemporaryError, match="'team'"):
        Receivers(write(GOOD)).tell(telling())
