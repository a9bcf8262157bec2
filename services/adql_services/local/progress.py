"""Plain log lines: one every few seconds, and one for each new evaluation."""

from collections.abc import Callable
from typing import TextIO

from adql.config import RunSpecification
from adql_services.local.watch import Observation

EVERY_SECONDS = 2.0


class ProgressLog:
    """Writes lines to ``stream``; ``clock`` is monotonic, in seconds."""

    def __init__(self, specification: RunSpecification, stream: TextIO, clock: Callable[[], float]) -> None:
        self._specification, self._stream, self._clock = specification, stream, clock
        self._start = self._last_time = clock()
        self._last = Observation()
        self._reported = 0

    def say(self, text: str) -> None:
        """Writes one line with the time since the start."""
        self._stream.write(f"[{self._clock() - self._start:7.1f} s] {text}\n")
        self._stream.flush()

    def show(self, observation: Observation) -> None:
        """Writes what is new in ``observation``."""
        evaluations = observation.run.get("evaluations", {})
        if evaluations.get("reported", 0) > self._reported and evaluations["last"]:
            self._reported = evaluations["reported"]
            self.say(_evaluation(evaluations["last"], self._specification.goal))
        if self._clock() - self._last_time >= EVERY_SECONDS:
            self.say(self._rates(observation))
            self._last, self._last_time = observation, self._clock()

    def _rates(self, observation: Observation) -> str:
        seconds = self._clock() - self._last_time
        budget = self._specification.training.environment_steps
        steps, learned = observation.environment_steps, observation.learner_steps
        staleness = observation.run.get("staleness") or {"mean": 0.0, "max": 0}
        return (
            f"{observation.status}: {steps} of {budget} environment steps "
            f"({(steps - self._last.environment_steps) / seconds:.0f}/s), "
            f"{learned} learner steps ({(learned - self._last.learner_steps) / seconds:.0f}/s), "
            f"{observation.state.get('learners', 0)} learners, version {observation.state.get('version', 0)}, "
            f"staleness mean {staleness['mean']:.2f} max {staleness['max']}, "
            f"replay {observation.table.get('size', 0)}"
        )


def _evaluation(result: dict[str, object], goal: float | None) -> str:
    task = result["task"]
    assert isinstance(task, dict)
    target = "" if goal is None else f", goal {goal:g}"
    return (
        f"evaluation at {task['learner_steps']} learner steps: greedy mean return {result['mean']:.1f} "
        f"({result['lowest']:g} to {result['highest']:g}) over {task['episodes']} episodes{target}"
    )
