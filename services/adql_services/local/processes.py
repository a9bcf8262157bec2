"""Child processes: each in a session of its own, with a log file, restarted with back-off when it dies."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from adql.errors import InputError, RunFailedError
from adql_services.local.cpu import CpuSeconds
from adql_services.local.last_words import last_line, said_since
from adql_services.runtime.failure import PREFIX
from adql_services.runtime.parent import tethered

STABLE_SECONDS = 30.0
"""Who lived this long has not crashed in a loop."""
MAX_CRASHES = 4
"""Deaths in a row, each before STABLE_SECONDS, that end the run."""
BAD_INPUT = 2
ENDED_WELL = (0, -signal.SIGTERM)
"""After SIGTERM; the second is one that had not begun to listen."""
KILLED_SECONDS = 1.0
"""How long the kernel may take to end a killed process."""


class Child:
    """One service process and its log file."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name, self.log = name, log
        self._command, self._environment = tethered(command), dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._cpu, self._log_start = CpuSeconds(), 0

    @property
    def pid(self) -> int | None:
        """Process id while it is started."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Starts the process; its output is appended to the log."""
        self._cpu.begin()
        with self.log.open("ab") as output:
            self._log_start = output.tell()
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
        self.clear()
        return True

    def kill(self) -> None:
        """Ends the process by SIGKILL."""
        self.send(signal.SIGKILL)
        self.wait(KILLED_SECONDS)

    def clear(self) -> None:
        """Ends what the process, which has ended, had started itself and left behind, such as an environment's."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def cpu_seconds(self) -> float:
        """User and system time of this child so far, of its earlier lives too."""
        runs = self._process is not None and self._process.poll() is None
        return self._cpu.look(self.pid if runs else None)

    def refused_its_input(self) -> bool:
        """Whether it ended because of bad input: an environment may end a process with that code, and say nothing."""
        return self.exit_code() == BAD_INPUT and self._complaint() is not None

    def last_words(self) -> str:
        """The last error that its present life told, else the last line that it wrote."""
        return self._complaint() or last_line(self.log, self._log_start)

    def _complaint(self) -> str | None:
        """Foreign code may write more while the interpreter ends."""
        lines = said_since(self.log, self._log_start).splitlines()
        return next((line.removeprefix(PREFIX) for line in reversed(lines) if line.startswith(PREFIX)), None)


class Supervisor:
    """Starts children, and restarts those that die; a crash loop ends the run."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self.children: dict[str, Child] = {}
        self._going: list[Child] = []
        self._retired: list[Child] = []
        self.killed: list[str] = []
        """Those that did not end when they were asked to."""
        self.failed: list[str] = []
        """Those that ended with an exit code when they were asked to, and what they said."""
        self._started: dict[str, float] = {}
        self._crashes: dict[str, int] = {}
        self._restart_at: dict[str, float] = {}
        self.restarts = 0

    def start(self, child: Child) -> None:
        """Starts ``child`` and looks after it from now on."""
        self.children[child.name] = child
        self._restart_at.pop(child.name, None)
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

    def cpu_seconds(self) -> float:
        """User and system time of all children so far, those that were stopped too."""
        return sum(child.cpu_seconds() for child in [*self.children.values(), *self._retired])

    def state_of(self, name: str) -> str:
        """running, restarting or stopped."""
        if name not in self.children:
            return "stopped"
        return "restarting" if name in self._restart_at else "running"

    def ask_to_stop(self, names: Sequence[str]) -> None:
        """Sends SIGTERM to the named children and looks after them no longer."""
        going = [self.children.pop(name) for name in names if name in self.children]
        self._retired += going
        self._going += [child for child in going if child.exit_code() is None]
        for child in going:
            child.send(signal.SIGTERM)

    def start_again(self) -> None:
        """Starts those that were asked to stop, and have, and looks after them again."""
        for child in self._retired:
            self.start(child)
        self._retired = []

    def wait(self, seconds: float) -> None:
        """Waits for those that were asked to stop; SIGKILL for who needs longer."""
        deadline = time.monotonic() + seconds
        for child in self._going:
            if not child.wait(deadline - time.monotonic()):
                child.kill()
                self.killed.append(child.name)
            elif (code := child.exit_code()) not in ENDED_WELL:
                self.failed.append(f"{child.name} ended with code {code}: {child.last_words()}")
        self._going = []

    def stop(self, names: Sequence[str], seconds: float) -> None:
        """Ends the named children together; SIGKILL for who needs longer."""
        self.ask_to_stop(names)
        self.wait(seconds)

    def kill(self) -> None:
        """Ends every child by SIGKILL."""
        for child in [*self.children.values(), *self._going]:
            child.kill()
        self.children, self._going = {}, []

    def _plan_restart(self, child: Child, code: int) -> None:
        if child.refused_its_input():
            raise InputError(f"{child.name}: {child.last_words()}")
        lived = self._clock() - self._started[child.name]
        crashes = self._crashes.get(child.name, 0) + 1 if lived < STABLE_SECONDS else 1
        self._crashes[child.name] = crashes
        if crashes >= MAX_CRASHES:
            raise RunFailedError(
                f"{child.name} ended {crashes} times in a row within {STABLE_SECONDS:g} s of its start, "
                f"last with exit code {code}: {child.last_words()}; see {child.log}"
            )
        child.clear()
        pause = 0.25 * 2**crashes
        self._say(f"{child.name} ended with code {code}; starting it again in {pause:g} s")
        self._restart_at[child.name] = self._clock() + pause

    def _restart_when_due(self, child: Child) -> None:
        if self._clock() >= self._restart_at[child.name]:
            self.restarts += 1
            self.start(child)
