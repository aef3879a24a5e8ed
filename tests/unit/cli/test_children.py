import os
import signal
import subprocess
import sys
import time

import pytest

from app.cli.children import BACKOFF_S, STEADY_S, Child

SLEEPER = [sys.executable, "-u", "-c", "import time; print('up'); time.sleep(60)"]


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def child():
    made = Child("one", SLEEPER)
    yield made
    made.kill()


def test_a_child_is_asked_to_end_and_ends(child):
    lines = child.start()
    assert lines.readline() == "up\n"
    child.ask_to_end()
    assert child.process.wait(10) == -signal.SIGTERM
    assert not child.alive


def test_pauses_grow_while_a_child_keeps_dying():
    clock = Clock()
    dying = Child("one", ["true"], clock)
    pauses = []
    for _ in range(len(BACKOFF_S) + 1):
        dying.start()
        dying.process.wait(10)
        pauses.append(dying.died())
        assert dying.due_s == clock.now + pauses[-1]
        clock.now = dying.due_s
    assert pauses == [*BACKOFF_S, BACKOFF_S[-1]]


def test_a_child_that_ran_well_begins_with_the_short_pause():
    clock = Clock()
    dying = Child("one", ["true"], clock)
    for _ in range(3):
        dying.start()
        dying.process.wait(10)
        dying.died()
    dying.start()
    dying.process.wait(10)
    clock.now += STEADY_S
    assert dying.died() == BACKOFF_S[0]


PROGRAM = """
import sys
from app.cli.children import Child, Children
Children([Child("a", [sys.executable, "-u", "-c", "import os,time; print('pid', os.getpid()); time.sleep(60)"])]).run()
"""


@pytest.fixture
def running():
    started = subprocess.Popen([sys.executable, "-u", "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    yield started
    started.kill()
    started.wait(10)


def pid_of_child(running):
    for line in running.stdout:
        if "pid" in line:
            return int(line.rsplit(" ", 1)[1])
    raise AssertionError("the child said nothing")


def gone(pid):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_children_and_then_us(running, number):
    pid = pid_of_child(running)
    running.send_signal(number)
    assert running.wait(20) == 0
    assert gone(pid)


def test_a_child_that_dies_is_started_again(running):
    first = pid_of_child(running)
    os.kill(first, signal.SIGKILL)
    assert pid_of_child(running) != first


def test_children_end_with_us_even_if_we_are_killed(running):
    pid = pid_of_child(running)
    running.kill()
    assert gone(pid)
