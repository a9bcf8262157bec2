import sys

import psutil
import pytest

from adql.errors import InputError, RunFailedError
from adql_services.local.processes import Child, Supervisor
from tests.clocks import Clock
from tests.waiting import wait_until


@pytest.fixture
def said():
    return []


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def supervisor(said, clock):
    supervisor = Supervisor(said.append, clock)
    yield supervisor
    supervisor.stop(list(supervisor.children), 5.0)


def child(tmp_path, program: str) -> Child:
    return Child("learner-0", [sys.executable, "-c", program], {}, tmp_path / "log")


def ended(supervisor: Supervisor) -> None:
    wait_until(lambda: supervisor.children["learner-0"].exit_code() is not None)


def test_dead_child_comes_back_after_a_pause(supervisor, tmp_path, clock, said):
    supervisor.start(child(tmp_path, "import time; time.sleep(60)"))
    first = supervisor.children["learner-0"].pid
    supervisor.children["learner-0"].send(9)
    ended(supervisor)
    supervisor.check()
    supervisor.check()
    assert (supervisor.state_of("learner-0"), said) == (
        "restarting",
        ["learner-0 ended with code -9; starting it again in 0.5 s"],
    )
    clock.now += 0.6
    supervisor.check()
    assert supervisor.state_of("learner-0") == "running" and supervisor.children["learner-0"].pid != first


def test_what_a_child_started_itself_ends_with_it(supervisor, tmp_path):
    place = tmp_path / "pid"
    program = (
        f"import os, time\nif os.fork() == 0:\n    open({str(place)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    )
    supervisor.start(child(tmp_path, program))
    pid = int(wait_until(lambda: place.exists() and place.read_text()))
    supervisor.stop(["learner-0"], 5.0)
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, seconds=5.0)


def test_crash_loop_ends_the_run_with_the_last_words(supervisor, tmp_path, clock):
    supervisor.start(child(tmp_path, "import sys; sys.exit('adql: error: no such thing')"))
    with pytest.raises(RunFailedError, match=r"4 times in a row .* exit code 1: no such thing; see"):
        for _ in range(4):
            ended(supervisor)
            supervisor.check()
            clock.now += 5.0
            supervisor.check()


def test_last_words_are_those_of_the_present_life(tmp_path):
    going = child(tmp_path, "pass")
    going.log.write_text("adql: error: long ago\n")
    going.start()
    assert going.wait(10.0) and going.last_words() == "no output"


def test_child_that_refuses_its_input_ends_the_run_at_once(supervisor, tmp_path):
    supervisor.start(
        child(tmp_path, "import sys; print('adql: error: wrong key'); print('Exception ignored'); sys.exit(2)")
    )
    ended(supervisor)
    with pytest.raises(InputError, match="learner-0: wrong key"):
        supervisor.check()


@pytest.mark.parametrize("last_words", ["", "print('[info] listening')"])
def test_child_that_something_else_ended_with_that_code_is_started_again(supervisor, tmp_path, last_words):
    """An environment may call sys.exit(2)."""
    supervisor.start(child(tmp_path, f"import sys; {last_words}; sys.exit(2)"))
    ended(supervisor)
    supervisor.check()
    assert supervisor.state_of("learner-0") == "restarting"


def test_child_that_ignores_sigterm_is_killed_after_the_grace(supervisor, tmp_path):
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    supervisor.start(child(tmp_path, program))
    going = supervisor.children["learner-0"]
    wait_until(lambda: "up" in going.log.read_text())
    supervisor.stop(["learner-0"], 0.1)
    assert supervisor.cpu_seconds() == going.cpu_seconds()
    assert (going.exit_code(), supervisor.killed) == (-9, ["learner-0"])


def test_child_that_was_stopped_can_be_started_again_and_is_looked_after_again(supervisor, tmp_path):
    supervisor.start(child(tmp_path, "import time; time.sleep(60)"))
    first = supervisor.children["learner-0"].pid
    wait_until(lambda: supervisor.cpu_seconds() > 0.0)
    used = supervisor.cpu_seconds()
    supervisor.stop(["learner-0"], 10.0)
    supervisor.start_again()
    assert supervisor.state_of("learner-0") == "running" and supervisor.children["learner-0"].pid != first
    assert supervisor.cpu_seconds() >= used
    supervisor.children["learner-0"].send(9)
    ended(supervisor)
    supervisor.check()
    assert supervisor.state_of("learner-0") == "restarting"


def test_child_that_waited_for_its_restart_when_it_was_stopped_is_started_again_once(supervisor, tmp_path, clock):
    supervisor.start(child(tmp_path, "import time; time.sleep(60)"))
    supervisor.children["learner-0"].send(9)
    ended(supervisor)
    supervisor.check()
    supervisor.stop(["learner-0"], 10.0)
    supervisor.start_again()
    only = supervisor.children["learner-0"].pid
    clock.now += 10.0
    supervisor.check()
    assert (supervisor.children["learner-0"].pid, supervisor.restarts) == (only, 0)


def test_child_that_fails_to_end_well_is_remembered_with_its_words(supervisor, tmp_path):
    program = (
        "import signal, sys, time\n"
        "signal.signal(15, lambda *_: sys.exit('adql: error: no room'))\n"
        "print('up', flush=True)\n"
        "time.sleep(60)"
    )
    supervisor.start(child(tmp_path, program))
    going = supervisor.children["learner-0"]
    wait_until(lambda: "up" in going.log.read_text())
    supervisor.stop(["learner-0"], 5.0)
    assert (supervisor.killed, supervisor.failed) == ([], ["learner-0 ended with code 1: no room"])
