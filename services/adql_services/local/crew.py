"""All processes of one run, services and store: started, looked after, ended within a bound."""

import time
from collections.abc import Callable
from pathlib import Path

from adql.config import RunSpecification
from adql.parameters.size import state_bytes
from adql_services.local.addresses import Rendezvous
from adql_services.local.cpu import own_cpu_seconds
from adql_services.local.fleet import ACTOR_LEARNERS, Fleet
from adql_services.local.keeper import StoreKeeper, named_store
from adql_services.local.processes import Supervisor
from adql_services.local.run_directory import RunDirectory

STOP_SECONDS = 15.0
"""From a signal to the end of the last process; who needs longer is killed."""
ACTOR_LEARNERS_SECONDS = 8.0
"""Of these, for learners and actors; a healthy one needs less than 6 s."""


class Crew:
    """What a run consists of while it is under way; ``say`` shows one line."""

    def __init__(self, specification: RunSpecification, directory: RunDirectory, say: Callable[[str], None]) -> None:
        self._specification, self._directory, self._say = specification, directory, say
        self._supervisor = Supervisor(say)
        self._keeper: StoreKeeper | None = None

    def start(self, rendezvous: Rendezvous) -> None:
        """Starts the store, then everything else."""
        url, password_file = self.start_store()
        children = Fleet(self._specification, self._directory, rendezvous, url, password_file).children()
        self._say(f"{self._directory.path}: starting {', '.join(child.name for child in children)} and store")
        for child in children:
            self._supervisor.start(child)

    def start_store(self) -> tuple[str, Path | None]:
        """Returns address and password file of the weight store; starts the embedded one if no other is named."""
        if (named := named_store()) is not None:
            return named.redis_url, named.redis_password_file
        size = state_bytes(self._specification)
        self._keeper = StoreKeeper(self._directory.store, self._say, state_bytes=size)
        self._keeper.start()
        return self._keeper.url, None

    def check(self) -> None:
        """Starts again who died.

        Raises:
            AdqlError: one refused its input, or dies again and again.
        """
        self._supervisor.check()
        if self._keeper is not None:
            self._keeper.check()

    def states(self) -> dict[str, str]:
        """Returns running or restarting for each service by its name."""
        return {name: self._supervisor.state_of(name) for name in self._supervisor.children}

    @property
    def restarts(self) -> int:
        """How often a service was started again."""
        return self._supervisor.restarts

    def cpu_seconds(self) -> float:
        """User and system time of all processes so far, this one included."""
        store = self._keeper.cpu_seconds() if self._keeper else 0.0
        return self._supervisor.cpu_seconds() + store + own_cpu_seconds()

    def stop_actor_learners(self, *others: str) -> None:
        """Ends learners and actors, and ``others`` with them: what they send last is counted before the servers end."""
        actor_learners = [name for name in self._supervisor.children if name.startswith(ACTOR_LEARNERS)]
        self._supervisor.stop([*actor_learners, *others], ACTOR_LEARNERS_SECONDS)

    def start_actor_learners_again(self) -> None:
        """Brings back those that ``stop_actor_learners`` ended."""
        self._supervisor.start_again()

    def ask_to_stop(self) -> None:
        """Sends SIGTERM to every service that is left."""
        self._supervisor.ask_to_stop(list(self._supervisor.children))

    def wait(self, deadline: float) -> None:
        """Waits for their end, kills who is not done at ``deadline`` (monotonic), and ends the store."""
        self._supervisor.wait(deadline - time.monotonic())
        if self._keeper is not None and not self._keeper.stop(max(deadline - time.monotonic(), 1.0)):
            self._supervisor.killed.append("store")

    def kill(self) -> None:
        """Ends everything at once by SIGKILL."""
        self._supervisor.kill()
        if self._keeper is not None:
            self._keeper.stop(0.0)

    def complaint(self) -> str | None:
        """Returns who did not end well, None if all did."""
        killed = ", ".join(self._supervisor.killed)
        told = [f"{killed} did not end in time and had to be killed"] if killed else []
        return "; ".join([*told, *self._supervisor.failed]) or None
