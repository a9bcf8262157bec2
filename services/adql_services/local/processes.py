"""Child processes: each in a session of its own, with a log file, restarted with back-off when it dies."""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from adql.errors import InputError, RunFailedError
from adql_services.local.tether import last_line, tethered
from adql_services.runtime.failure import PREFIX

STABLE_SECONDS = 30.0
"""Who lived this long has not crashed in a loop."""
MAX_CRASHES = 4
"""Deaths in a row, each before STABLE_SECONDS, that end the run."""
BAD_INPUT = 2


class Child:
    """One service process and its log file."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name, self.log = name, log
        self._command, self._environment = tethered(command), dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._cpu_of_the_dead, self._cpu_seen = 0.0, 0.0

    @property
    def pid(self) -> int | None:
        """Process id while it is started."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Starts the process; its output is appended to the log."""
        self._cpu_of_the_dead, self._cpu_seen = self._cpu_of_the_dead + self._cpu_seen, 0.0
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def exit_code(self) -> int | None:
        """Exit code once it ended, None while it runs."""
        return self._process.poll() if self._process else None

    def send(self, signal_number: int) -> None:
        """Sends a signal unless it ended already."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal_number)

    def wait(self, seconds: float) -> bool:
        """Waits for the end; False if it still runs."""
        try:
            if self._process:
                self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def cpu_seconds(self) -> float:
        """User and system time of this child so far, of its earlier lives too."""
        try:
            if self._process and self._process.poll() is None:
                times = psutil.Process(self._process.pid).cpu_times()
                self._cpu_seen = times.user + times.system
        except psutil.Error:
            pass  # it ended between the two lines: what was seen last counts
        return self._cpu_of_the_dead + self._cpu_seen

    def last_words(self) -> str:
        """The last line of the log, without the mark of an error."""
        return last_line(self.log).removeprefix(PREFIX)


class Supervisor:
    """Starts children, and restarts those that die; a crash loop ends the run."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self.children: dict[str, Child] = {}
        self._started: dict[str, float] = {}
        self._crashes: dict[str, int] = {}
        self._restart_at: dict[str, float] = {}
        self.restarts = 0

    def start(self, child: Child) -> None:
        """Starts ``child`` and looks after it from now on."""
        self.children[child.name] = child
        self._started[child.name] = self._clock()
        child.start()

    def check(self) -> None:
        """Restarts who died and has waited long enough.

        Raises:
            RunFailedError: a child crashes in a loop.
            InputError: a child refused its input.
        """
        for name, child in self.children.items():
            if name in self._restart_at:
                self._restart_when_due(child)
            elif (code := child.exit_code()) is not None:
                self._plan_restart(child, code)

    def state_of(self, name: str) -> str:
        """running, restarting or stopped."""
        if name not in self.children:
            return "stopped"
        return "restarting" if name in self._restart_at else "running"

    def ask_to_stop(self, names: Sequence[str]) -> list[Child]:
        """Sends SIGTERM to the named children and looks after them no longer; returns them."""
        going = [self.children.pop(name) for name in names if name in self.children]
        for child in going:
            child.send(signal.SIGTERM)
        return going

    def stop(self, names: Sequence[str], grace_seconds: float) -> None:
        """Ends the named children together: SIGTERM, and SIGKILL for who needs longer than the grace."""
        wait_for(self.ask_to_stop(names), grace_seconds)

    def _plan_restart(self, child: Child, code: int) -> None:
        if code == BAD_INPUT:
            raise InputError(f"{child.name}: {child.last_words()}")
        lived = self._clock() - self._started[child.name]
        crashes = self._crashes.get(child.name, 0) + 1 if lived < STABLE_SECONDS else 1
        self._crashes[child.name] = crashes
        if crashes >= MAX_CRASHES:
            raise RunFailedError(
                f"{child.name} ended {crashes} times in a row within {STABLE_SECONDS:g} s of its start, "
                f"last with exit code {code}: {child.last_words()}; see {child.log}"
            )
        pause = 0.25 * 2**crashes
        self._say(f"{child.name} ended with code {code}; starting it again in {pause:g} s")
        self._restart_at[child.name] = self._clock() + pause

    def _restart_when_due(self, child: Child) -> None:
        if self._clock() >= self._restart_at[child.name]:
            del self._restart_at[child.name]
            self.restarts += 1
            self.start(child)


def wait_for(children: Sequence[Child], grace_seconds: float) -> None:
    """Waits for children that were asked to stop; SIGKILL for who needs longer than the grace."""
    deadline = time.monotonic() + grace_seconds
    for child in children:
        if not child.wait(deadline - time.monotonic()):
            child.send(signal.SIGKILL)
            child.wait(grace_seconds)
