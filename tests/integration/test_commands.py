"""Scaling by a command: its arguments and environment, its ends, its time limit, and its death with its worker."""

import json
import stat

import pytest

from tasks.clients.commanded import Commanded
from tasks.contract import Scale, Status
from tasks.errors import PermanentError, TemporaryError
from tests.integration.test_downstream import SAME, targets
from tests.processes import wait_for
from tests.rig import LEASE_S, Rig, scaling, worker


def program(tmp_path, text, name="set-replicas"):
    """A script that can be run."""
    file = tmp_path / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def commanded(tmp_path, *scale, count=(), limit_s=10.0):
    more = f"count = {json.dumps(list(count))}\n" if count else ""
    return Commanded(
        targets(tmp_path, f"[commands.web]\nscale = {json.dumps(list(scale))}\nlimit_s = {limit_s}\n{more}")
    )


def wish(to=4, **more):
    given = {"id": "j-0-1-0", "from_replicas": 2, "generation": 7, "driver": "command", **SAME}
    return Scale(to_replicas=to, **given | more)


def test_the_wish_is_in_arguments_and_environment_and_no_setting_of_the_worker_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_RABBITMQ_URL", "amqp://u:s3cret@h")
    monkeypatch.setenv("KEPT", "yes")
    said = tmp_path / "said"
    run = program(tmp_path, f'printf "%s|" "$@" > {said}; env >> {said}')
    made = commanded(tmp_path, run, "--to", "{replicas}", "{from}-{generation} $(id) ; {odd}", "{id}")
    assert made.scale(wish()) == (2, 4)
    arguments, *environment = said.read_text().split("|")[:4], *said.read_text().split("|")[4].splitlines()
    assert arguments == ["--to", "4", "2-7 $(id) ; {odd}", "j-0-1-0"]
    assert {"HEADRACE_REPLICAS=4", "HEADRACE_FROM=2", "HEADRACE_SERVICE=web", "HEADRACE_ID=j-0-1-0", "KEPT=yes"} <= set(
        environment
    )
    assert "s3cret" not in said.read_text()


def test_a_count_tells_what_was_found_and_that_nothing_is_to_be_done(tmp_path):
    replicas = tmp_path / "replicas"
    replicas.write_text("3\n")
    run = program(tmp_path, f'echo "$1" > {replicas}; echo run >> {tmp_path}/runs')
    made = commanded(tmp_path, run, "{replicas}", count=["cat", str(replicas)])
    assert made.applied(wish()) is None
    assert made.scale(wish()) == (3, 4)
    assert made.applied(wish()) == 4
    assert made.scale(wish()) == (4, 4)
    assert (tmp_path / "runs").read_text() == "run\n"
    replicas.write_text("many\n")
    with pytest.raises(PermanentError, match="no number"):
        made.scale(wish())


def test_without_a_count_nobody_knows_what_a_worker_that_died_has_done(tmp_path):
    assert commanded(tmp_path, "true").applied(wish()) is None


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("echo no such host >&2; exit 3", PermanentError, "ended with 3: no such host"),
        ("echo busy; exit 75", TemporaryError, "asks to be tried again: busy"),
        ("kill -9 $$", PermanentError, "ended with -9"),
        ("head -c 100000 /dev/zero | tr '\\0' x; echo end; exit 1", PermanentError, "xxend"),
    ],
)
def test_how_a_command_ends_is_heeded_and_the_last_it_said_is_told(tmp_path, text, error, words):
    with pytest.raises(error, match=words) as raised:
        commanded(tmp_path, program(tmp_path, text)).scale(wish())
    assert len(str(raised.value)) < 400


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path):
    run = program(tmp_path, f"sleep 300 & echo $! > {tmp_path}/pid; sleep 300")
    with pytest.raises(TemporaryError, match=r"longer than 0\.5 s"):
        commanded(tmp_path, run, limit_s=0.5).scale(wish())
    wait_for(lambda: not runs(int((tmp_path / "pid").read_text())), 20, "what it started to end")


def runs(pid):
    try:
        return "\nState:\tZ" not in open(f"/proc/{pid}/status").read()  # noqa: PTH123
    except OSError:
        return False


def test_only_what_the_file_names_is_run(tmp_path):
    made = commanded(tmp_path, "/no/such/program")
    with pytest.raises(PermanentError, match="program cannot be run: No such file"):
        made.scale(wish())
    with pytest.raises(PermanentError, match=r"no command 'api' in .*; there are web"):
        made.scale(wish(target="api"))
    assert commanded(tmp_path, "true").scale(wish(service="other", target="web")) == (2, 4)


def test_a_worker_scales_by_a_command_in_the_order_of_generations_and_is_done_after_a_try(
    clean, headrace_env, processes, tmp_path
):
    run = program(tmp_path, f'test -e {tmp_path}/up || exit 75; echo "$1" >> {tmp_path}/set')
    commanded(tmp_path, run, "{replicas}")
    env = headrace_env | {"HEADRACE_LEASE_S": str(LEASE_S), "HEADRACE_TARGETS_FILE": str(tmp_path / "targets.toml")}
    rig = Rig(clean)
    running = worker(processes, env)
    rig.send(scaling("new-1", "web", generation=8, to=5, driver="command"))
    wait_for(lambda: rig.redis.hget("headrace:action:new-1", "state") == "waiting", 20, "a first try")
    (tmp_path / "up").touch()
    (outcome,) = rig.ended("new-1")
    assert (outcome.status, outcome.set, outcome.generation) == (Status.DONE, 5, 8)
    rig.send(scaling("old-1", "web", generation=7, to=9, driver="command"))
    assert rig.ended("old-1")[0].status is Status.CONFLICT
    assert (tmp_path / "set").read_text() == "5\n"
    assert running.alive


def test_a_command_dies_with_its_worker_and_the_next_one_does_it(clean, headrace_env, processes, tmp_path):
    up, pid, set_ = (tmp_path / name for name in ("up", "pid", "set"))
    run = program(tmp_path, f'if test -e {up}; then echo "$1" >> {set_}; exit; fi\necho $$ > {pid}; exec sleep 300')
    commanded(tmp_path, run, "{replicas}", limit_s=60.0)
    env = headrace_env | {"HEADRACE_LEASE_S": str(LEASE_S), "HEADRACE_TARGETS_FILE": str(tmp_path / "targets.toml")}
    rig = Rig(clean)
    first = worker(processes, env, "first")
    rig.send(scaling("cut-1", "web", to=5, driver="command"))
    began = wait_for(lambda: pid.exists() and pid.read_text().strip(), 20, "the command")
    first.kill()
    wait_for(lambda: not runs(int(began)), 20, "the command to die")
    up.touch()
    worker(processes, env, "second")
    (outcome,) = rig.ended("cut-1")
    assert (outcome.status, outcome.attempts) == (Status.DONE, 2)
    assert (tmp_path / "set").read_text() == "5\n"
