"""Plain log lines: one every few seconds, and one for each new evaluation."""

from collections.abc import Callable
from typing import Any, TextIO

from adql.config import RunSpecification
from adql_services.local.rates import Rates
from adql_services.local.returns import return_text
from adql_services.local.watch import Observation

EVERY_SECONDS = 2.0


class ProgressLog:
    """Writes lines to ``stream``, for evaluations beyond the first ``evaluations``; ``clock`` is monotonic seconds."""

    def __init__(
        self, specification: RunSpecification, stream: TextIO, clock: Callable[[], float], evaluations: int = 0
    ) -> None:
        self._specification, self._stream, self._clock = specification, stream, clock
        self._start = self._last_time = clock()
        self._rates = Rates(clock)
        self._evaluations = evaluations

    def say(self, text: str) -> None:
        """Writes one line with the time since the start."""
        self._stream.write(f"[{self._clock() - self._start:7.1f} s] {text}\n")
        self._stream.flush()

    def show(self, observation: Observation, processes: dict[str, str]) -> None:
        """Writes what is new in ``observation``."""
        rates = self._rates.look(observation)
        for result in observation.evaluations[self._evaluations :]:
            self.say(evaluation_line(result, self._specification.goal))
        self._evaluations = max(self._evaluations, len(observation.evaluations))
        if observation.run and self._clock() - self._last_time >= EVERY_SECONDS:
            self._last_time = self._clock()
            self.say(self._line(observation, *rates))

    def close(self, status: str, last: Observation | None = None) -> None:
        """Nothing is held."""

    def _line(self, observation: Observation, environment_rate: float, learner_rate: float) -> str:
        budget = self._specification.training.environment_steps
        training = observation.training_return
        staleness = observation.staleness or {"mean": 0.0, "max": 0}
        return (
            f"{observation.status}: {observation.environment_steps} of {budget} environment steps "
            f"({environment_rate:.0f}/s), {observation.learner_steps} learner steps ({learner_rate:.0f}/s), "
            + (f"training return {return_text(training)}, " if training is not None else "")
            + f"{counted(observation.learners, 'learner')}, "
            + (f"{counted(observation.actors, 'actor')}, " if observation.actors else "")
            + f"version {observation.state.get('version', 0)}, "
            f"staleness mean {staleness['mean']:.2f} max {staleness['max']}, "
            f"replay {observation.table.get('size', 0)}"
        )


def counted(number: int, what: str) -> str:
    """Returns "1 learner", "2 learners", "1,304 updates"."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def evaluation_line(result: dict[str, Any], goal: float | None) -> str:
    """Returns one evaluation in words."""
    task = result["task"]
    what = "confirmation" if task["purpose"] == "confirm" else "evaluation"
    lowest, highest = return_text(result["lowest"]), return_text(result["highest"])
    target = "" if goal is None else f", goal {return_text(goal)}"
    return (
        f"{what} at {task['learner_steps']} learner steps: greedy mean return {return_text(result['mean'], goal)} "
        f"({lowest} to {highest}) over {counted(task['episodes'], 'episode')}{target}"
    )
