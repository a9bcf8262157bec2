"""Whole runs in one thread, ended by the run's own law: two evaluations in a row over the goal, the later confirmed."""

import functools
import time
from dataclasses import asdict, dataclass

from adql.agent.evaluation import play_episodes
from adql.agent.networks import make_network
from adql.parameters import run_record
from tests.agent.in_process import Run, assemble, specification

SETTINGS = (
    # A turn is one push then, and L learners that take turns see the staleness of L processes, L − 1.
    "replay.chunk_transitions=32",
    # Runs are limited in learner steps.
    "training.environment_steps=9000000",
)
"""What differs from the defaults."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended; deterministic but for the seconds."""

    rule: str
    learners: int
    actors: int
    """0: every learner acts too."""
    seed: int
    confirmed: float | None
    """Mean return of the 100 confirming episodes; None: the goal was not reached within the limit."""
    learner_steps: int
    environment_steps: int
    cpu_seconds: float

    def record(self, record_property) -> None:
        """Lets the summary of the test session show it."""
        for name, value in asdict(self).items():
            record_property(name, value)


@functools.cache
def learned(rule: str, learners: int, seed: int, limit: int, actors: int = 0) -> Outcome:
    """Learns CartPole-v1 with the defaults of that many learners for at most ``limit`` learner steps."""
    spec = specification(*SETTINGS, f"update.rule={rule}", f"run.seed={seed}", f"training.learners={learners}")
    run = assemble(spec, learners, actors)
    start, every = time.process_time(), run.specification.evaluation.every_learner_steps
    while run.server.status != "reached" and run.server.clocks.learner_steps < limit:
        run.until((run.server.clocks.learner_steps // every + 1) * every)
        evaluate(run)
    reached, clocks = run.server.evaluations.reached, run.server.clocks
    seconds = round(time.process_time() - start, 1)
    confirmed = reached and reached.mean
    return Outcome(rule, learners, actors, seed, confirmed, clocks.learner_steps, clocks.environment_steps, seconds)


def evaluate(run: Run) -> None:
    """Does what the run's law wants evaluated now; the server's newest version stands for the committed one."""
    server, spec = run.server, run.specification
    network = make_network(spec.network, spec.environment.signature)
    if (due := run_record.due(server.evaluations, server.version, server.clocks, spec)) is not None:
        server.schedule(due)
    while (task := run_record.next_task(server.evaluations)) is not None:
        results = play_episodes(spec.environment, network, server.parameters.vector, task.episodes, task.seed)
        server.report(run_record.result_of(task, run_record.Episodes(results.returns, results.lengths, None, 0.0)))
