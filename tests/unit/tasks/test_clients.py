"""The build command; what speaks to a server is tested on a real one, in `tests/integration`."""

import threading
import time

import pytest

from tasks.clients.command import TOOK_TOO_LONG, CommandBuilder
from tasks.contract import Build
from tasks.errors import PermanentError, TemporaryError

TIMES = {"service": "web", "decided_at_ms": 1, "expires_at_ms": 2}


def job(id_="j-0-1-0", **more):
    return Build(id=id_, repo="app", branch="main", **TIMES, **more)


@pytest.fixture
def builds(tmp_path):
    """A builder for a command that can write beside its directory."""
    return lambda command, longest_s=20.0: CommandBuilder(command, tmp_path / "builds", longest_s)


def test_a_build_runs_once_by_its_id_and_knows_its_commit(builds, tmp_path):
    builder = builds(f'echo "$HEADRACE_REPO $HEADRACE_BRANCH $HEADRACE_COMMIT" >> {tmp_path}/runs')
    told = [builder.build(job(commit="abc")) for _ in range(2)]
    assert (tmp_path / "runs").read_text() == "app main abc\n"
    assert told[0] == told[1]
    builder.build(job("j-0-1-1"))
    assert (tmp_path / "runs").read_text() == "app main abc\napp main \n"


def test_a_failed_build_says_its_code_and_log_and_is_not_run_again(builds, tmp_path):
    builder = builds(f"echo broken; echo x >> {tmp_path}/runs; exit 3")
    for _ in range(2):
        with pytest.raises(PermanentError, match=r"ended with 3; see .*log"):
            builder.build(job())
    assert (tmp_path / "runs").read_text() == "x\n"
    assert (tmp_path / "builds" / "j-0-1-0" / "log").read_text() == "broken\n"


def test_a_build_that_takes_too_long_is_ended_with_all_it_started(builds, tmp_path):
    builder = builds(f"(sleep 1.5; echo survived > {tmp_path}/survived) & wait", longest_s=0.3)
    with pytest.raises(PermanentError, match=f"ended with {TOOK_TOO_LONG}"):
        builder.build(job())
    time.sleep(1.7)
    assert not (tmp_path / "survived").exists()


def test_a_build_that_still_runs_is_not_started_beside_itself(builds, tmp_path):
    builder = builds(f"echo x >> {tmp_path}/runs; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done")
    first = threading.Thread(target=builder.build, args=[job()])
    first.start()
    while not (tmp_path / "runs").exists():
        time.sleep(0.02)
    with pytest.raises(TemporaryError, match="still runs"):
        builder.build(job())
    assert builder.built(job()) is None
    (tmp_path / "go").touch()
    first.join()
    assert "built app@main" in builder.built(job())
    assert (tmp_path / "runs").read_text() == "x\n"


def test_a_build_that_was_killed_is_tried_again(builds, tmp_path):
    builder = builds(f"test -e {tmp_path}/second || {{ touch {tmp_path}/second; kill -9 0; }}")
    with pytest.raises(TemporaryError, match="killed"):
        builder.build(job())
    assert "built" in builder.build(job())


@pytest.mark.parametrize("id_", ["..", "../x", "/etc/x", "a/b", ".", "x" * 250, "ä", "a\0b"])
def test_an_id_never_leads_out_of_the_build_directory(builds, tmp_path, id_):
    builds("true").build(job(id_))
    (place,) = (tmp_path / "builds").iterdir()
    assert (place / "exit").exists()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["builds"]


def test_without_a_build_command_the_setting_is_named(builds):
    with pytest.raises(PermanentError, match="HEADRACE_BUILD_COMMAND"):
        builds("").build(job())
