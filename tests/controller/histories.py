"""Runs as the controller sees them: learners that bring so many updates, round after round."""

from collections.abc import Callable
from dataclasses import dataclass, field

from adql_services.controller.decision import Decision, Limits, Memory, Sight, decide
from adql_services.controller.observation import Window

LIMITS = Limits(minimum=1, maximum=8, cool_down_seconds=60, start_seconds=300, retry_seconds=1800)
ROUND_SECONDS = 10.0


def window(updates_per_second: float = 100.0, refused: float = 0.0, staleness: int = 1, bound: int = 8) -> Window:
    return Window(updates_per_second, refused, staleness, bound)


@dataclass
class History:
    """A Deployment whose learners all come at once, and what was decided for it."""

    limits: Limits = LIMITS
    replicas: int = 1
    now: float = 0.0
    run_id: str = "first"
    memory: Memory | None = None
    decisions: list[tuple[float, Decision]] = field(default_factory=list)

    def round(self, measured: Window | None, status: str | None = "running", learners: int | None = None) -> Decision:
        """One round later: what is decided, and done."""
        over = status in ("reached", "budget", "plateau")
        here = self.replicas if learners is None else learners
        self.now += ROUND_SECONDS
        sight = Sight(self.now, self.replicas, status, self.run_id if status else "", over, here, measured)
        decision, self.memory = decide(self.memory, sight, self.limits)
        self.decisions.append((self.now, decision))
        self.replicas = decision.replicas
        return decision

    def pass_time(
        self, seconds: float, measure: Callable[[int], Window | None], status: str | None = "running"
    ) -> None:
        """Rounds in which so many learners are measured as ``measure`` says."""
        end = self.now + seconds
        while self.now < end:
            self.round(measure(self.replicas), status)

    @property
    def counts(self) -> list[int]:
        """The numbers of learners in turn, each once."""
        found: list[int] = []
        for _, decision in self.decisions:
            if not found or found[-1] != decision.replicas:
                found.append(decision.replicas)
        return found

    @property
    def reasons(self) -> list[str]:
        """Why, in turn, each once."""
        found: list[str] = []
        for _, decision in self.decisions:
            if not found or found[-1] != decision.reason:
                found.append(decision.reason)
        return found
