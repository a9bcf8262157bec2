"""The actor-learner, with the real table and the real server in one thread."""

import numpy as np
import pytest

from adql.types import ReplaySample, SampleInfo, TransitionBatch
from tests.agent import environment_doubles  # noqa: F401  registers the doubles
from tests.agent.in_process import SMALL, Run, assemble, specification


def run_of(learners: int, *assignments: str) -> Run:
    return assemble(specification(*SMALL, *assignments), learners)


def test_two_learners_share_the_updates_and_the_law():
    run = run_of(2)
    run.until(2_000)
    applied = [synchroniser.outcomes["applied"] for synchroniser in run.synchronisers]
    assert min(applied) >= 0.45 * sum(applied)
    statistics = run.table.statistics()
    assert abs(statistics.error) <= statistics.bound
    assert statistics.samples / (statistics.inserts - 100) == pytest.approx(4, rel=0.2)


def test_staleness_of_two_learners_is_about_one():
    run = run_of(2)
    run.until(2_000)
    staleness = run.sources[0].staleness[10:]
    assert 0.5 <= np.mean(staleness) <= 2.5


def test_nothing_is_learned_before_min_size():
    run = run_of(1, "replay.min_size=1000")
    while len(run.table) < 900:
        run.loops[0].turn()
    assert run.server.version.number == 0


def test_a_learner_that_only_fills_the_table_tells_the_server_its_steps():
    """Else its lease would run out, and ε would stand still, until the first push."""
    run = run_of(1, "replay.min_size=1000")
    while len(run.table) < 900:
        run.loops[0].turn()
        assert run.server.clocks.environment_steps == run.collectors[0].environment_steps


def test_a_learner_that_learns_without_a_push_yet_tells_the_server_its_steps():
    run = run_of(1, "update.sync_every=100000")
    while run.studies[0].record.learner_steps < 100:
        run.loops[0].turn()
        assert run.server.clocks.environment_steps == run.collectors[0].environment_steps
    assert run.server.version.number == 0


@pytest.mark.parametrize("rule", ["average", "elastic", "delta", "gradient"])
def test_every_rule_counts_each_learner_step_once(rule: str):
    run = run_of(2, f"update.rule={rule}")
    run.until(500)
    for loop in run.loops:
        loop.close()
    pushed = sum(s.outcomes["applied"] for s in run.synchronisers) * run.specification.update.steps_per_push
    assert run.server.clocks.learner_steps == pushed


def test_prioritised_replay_gets_the_td_errors_back():
    run = run_of(1, "replay.sampler=prioritised", "replay.samples_per_insert=null")
    run.until(200)
    drawn = run.table.sample("probe", 1, 64)
    assert len(np.unique(drawn.probabilities)) > 10


def test_prioritised_batch_is_learned_with_its_importance_weights():
    """N = 8, P = 1/8, 1/2 and 1/32 and β = 1 give N·P = 1, 4 and ¼: weights ¼, 1/16 and 1 of the batch's largest."""
    run = run_of(1, "replay.sampler=prioritised", "replay.importance_exponent.initial=1")
    transitions = TransitionBatch(
        observation=np.zeros((3, 4), np.float32),
        action=np.zeros(3, np.int32),
        reward=np.array([10.0, 20.0, 30.0], np.float32),
        discount=np.zeros(3, np.float32),
        next_observation=np.zeros((3, 4), np.float32),
    )
    study = run.studies[0]
    q = float(study._learner._network.q_values(study.vector, transitions.observation[:1])[0, 0])
    probabilities = np.array([1 / 8, 1 / 2, 1 / 32])
    study._learn(ReplaySample(transitions, SampleInfo(np.zeros(3, np.uint64), probabilities, 1, 8)), 0)
    huber = np.array([10.0, 20.0, 30.0]) - q - 0.5
    assert study.record.newest.loss == pytest.approx(np.mean(huber * [1 / 4, 1 / 16, 1]), rel=1e-5)


class RefusingReplay:
    """Refuses both verbs until ``room`` is set; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.room = False

    def insert(self, batch: TransitionBatch, wait_seconds: float = 0.0) -> bool:
        self.asked.append("wait" if wait_seconds else "insert")
        return self.room

    def begin_sample(self, batches: int, batch_size: int, wait_seconds: float = 0.0) -> None:
        self.asked.append("sample")

    def finish_sample(self) -> None:
        return None


def test_refused_by_both_verbs_it_waits_in_the_table_and_holds_one_chunk():
    run = run_of(1)
    replay = RefusingReplay()
    run.studies[0]._replay = run.collectors[0]._replay = replay
    for _ in range(3):
        run.loops[0].turn()
    assert replay.asked == ["insert", "sample", "wait"] * 3
    assert run.collectors[0].environment_steps < 100


def wild_batch(run: Run) -> ReplaySample:
    """One batch out of the table whose rewards are a million times too large."""
    columns = run.table.sample("probe", 1, 8).columns
    transitions = TransitionBatch.from_columns({**columns, "reward": columns["reward"] * 1e6})
    return ReplaySample(transitions, SampleInfo(np.zeros(8, np.uint64), np.ones(8), 1, 8))


@pytest.mark.parametrize("rule", ["average", "gradient"])
def test_wild_loss_is_dropped_and_the_learner_goes_back_to_the_servers_parameters(rule: str):
    run = run_of(1, f"update.rule={rule}", "update.outlier_deviations=6", "replay.samples_per_insert=null")
    run.until(500)
    study, before = run.studies[0], run.server.version.number
    dropped = study.record.outliers_dropped
    moments = {name: array.copy() for name, array in study._learner._optimizer.state().items()}
    study._learn(wild_batch(run), 0)
    study.synchroniser.settle()
    assert study.record.outliers_dropped == dropped + 1
    assert run.server.version.number == before
    assert np.array_equal(study.vector, run.server.parameters.vector)
    assert all(np.array_equal(array, moments[name]) for name, array in study._learner._optimizer.state().items())


def test_equal_seeds_give_equal_runs():
    first, second = (run_of(2) for _ in range(2))
    for run in (first, second):
        run.until(300)
    assert np.array_equal(first.server.parameters.vector, second.server.parameters.vector)


def test_a_learner_that_ends_gives_back_its_unused_batches_and_reports_its_steps():
    run = run_of(1)
    run.until(200)
    assert run.studies[0]._sample_under_way
    before = run.table.statistics().samples
    run.loops[0].close()
    assert run.table.statistics().samples == before - 8 * 8
    assert run.server.clocks.environment_steps == run.collectors[0].environment_steps


class PoisonedReplay:
    """Every third request carries a reward so large that the loss is not finite."""

    def __init__(self, inner) -> None:
        self._inner, self._requests, self.priorities = inner, 0, []

    def __getattr__(self, name: str):
        return getattr(self._inner, name)

    def finish_sample(self):
        samples = self._inner.finish_sample()
        self._requests += samples is not None
        if samples and self._requests % 3 == 0:
            samples[0].transitions.reward[:] = np.inf
        return samples

    def update_priorities(self, samples, td_errors) -> None:
        self.priorities += td_errors
        self._inner.update_priorities(samples, td_errors)


def test_a_batch_that_is_not_finite_is_skipped_and_its_priorities_are_not_sent():
    run = run_of(1, "replay.sampler=prioritised")
    study = run.studies[0]
    study._replay = replay = PoisonedReplay(study._replay)
    run.until(500)
    assert study.record.outliers_dropped > 3
    assert np.isfinite(run.server.parameters.vector).all()
    assert np.isfinite(study.vector).all()
    assert all(np.isfinite(errors).all() for errors in replay.priorities)
