"""Roles apart: actors feed the table, learners learn from it, with the real table and the real server in one thread."""

import numpy as np
import pytest

from adql.agent.acting import ActingLoop
from adql.agent.activity import Stopwatch
from adql.types import Clocks, Parameters, ReplaySample, RunState, TransitionBatch, Version
from tests.agent.in_process import SMALL, Run, assemble, specification


def run_of(learners: int, actors: int, *assignments: str) -> Run:
    return assemble(specification(*SMALL, *assignments), learners, actors)


def test_one_learner_fed_by_two_actors_keeps_the_law():
    run = run_of(1, 2)
    run.until(2_000)
    statistics = run.table.statistics()
    assert abs(statistics.error) <= statistics.bound
    assert statistics.samples / (statistics.inserts - 100) == pytest.approx(4, rel=0.2)


def test_actors_make_every_environment_step_and_learners_every_update():
    run = run_of(2, 2)
    run.until(500)
    for loop in run.loops:
        loop.close()
    sessions = run.server.sessions.live
    steps = {(s.role, s.slot): s.environment_steps for s in sessions}
    applied = {(s.role, s.slot): s.counts.applied for s in sessions}
    assert steps["learner", 0] == steps["learner", 1] == applied["actor", 0] == applied["actor", 1] == 0
    assert min(steps["actor", 0], steps["actor", 1], applied["learner", 0], applied["learner", 1]) > 0
    assert run.server.clocks.environment_steps == sum(e.environment_steps for e in run.collectors)


def test_only_learners_count_as_live_learners():
    run = run_of(1, 3)
    run.until(100)
    assert {source.state.learners for source in run.sources} == {1}
    assert run.table.statistics().learners == 1


@pytest.mark.parametrize("copies", [1, 4])
def test_the_actors_of_a_run_climb_the_whole_ladder_wherever_learners_stand(copies: int):
    ladder = ("exploration.kind=ladder", f"exploration.actors={3 * copies}", f"environment.copies={copies}")
    alone, beside = run_of(3, 0, *ladder), run_of(2, 3, *ladder)
    assert np.array_equal(epsilons(beside), epsilons(alone))
    assert len(np.unique(epsilons(beside))) == 3 * copies


def epsilons(run: Run) -> np.ndarray:
    return np.concatenate([collector._epsilons(0) for collector in run.collectors])


def test_equal_seeds_give_equal_runs():
    first, second = (run_of(1, 2) for _ in range(2))
    for run in (first, second):
        run.until(300)
    assert np.array_equal(first.server.parameters.vector, second.server.parameters.vector)


def test_actor_that_ends_leaves_its_chunk_and_its_steps():
    run = run_of(1, 1)
    run.until(50)
    while run.collectors[0]._chunk is None:
        run.loops[1].turn()  # until the table refuses
    for _ in range(5):
        run.loops[0].turn()
    expected = run.table.statistics().inserts + len(run.collectors[0]._chunk)
    run.loops[1].close()
    assert run.table.statistics().inserts == expected
    assert run.server.clocks.environment_steps == run.collectors[0].environment_steps


def test_learner_that_ends_gives_back_its_unused_batches():
    run = run_of(1, 1)
    run.until(200)
    assert run.studies[0]._sample_under_way
    before = run.table.statistics().samples
    run.loops[0].close()
    assert run.table.statistics().samples == before - 8 * 8


class RecordingReplay:
    """Does as its ``room`` says; remembers what it was asked and how long each request may wait."""

    def __init__(self, room: bool) -> None:
        self.room = room
        self.asked: list[tuple[str, float]] = []

    def insert(self, batch: TransitionBatch, wait_seconds: float = 0.0) -> bool:
        self.asked.append(("insert", wait_seconds))
        return self.room

    def begin_sample(self, batches: int, batch_size: int, wait_seconds: float = 0.0) -> None:
        self.asked.append(("sample", wait_seconds))

    def finish_sample(self) -> list[ReplaySample] | None:
        return [] if self.room else None


def test_refused_actor_waits_in_the_table_holds_one_chunk_and_tells_that_it_lives():
    run = run_of(1, 1)
    run.collectors[0]._replay = replay = RecordingReplay(room=False)
    for _ in range(3):
        run.loops[1].turn()
    assert replay.asked == [("insert", 0.0), ("insert", 1.0)] * 3
    assert run.server.clocks.environment_steps == run.collectors[0].environment_steps < 100


def test_starved_learner_waits_in_the_table_and_tells_that_it_lives(monkeypatch):
    run = run_of(1, 1)
    run.studies[0]._replay = replay = RecordingReplay(room=False)
    told: list[int] = []
    monkeypatch.setattr(run.sources[0], "progress", told.append)
    for _ in range(3):
        run.loops[0].turn()
    assert replay.asked == [("sample", 1.0)] * 3
    assert told == [0, 0, 0]


class TellingServer:
    """Has a ``newest`` version that grows by ``growth`` a report; a pull takes ``pull_seconds`` of its clock."""

    def __init__(self) -> None:
        self.now, self.pull_seconds, self.growth = 0.0, 0.0, 0
        self.newest, self.pulled, self.reports = 0, [], []
        self.state = self._told()

    def pull(self, newer_than: Version | None, wait_seconds: float = 0.0) -> Parameters | None:
        self.now += self.pull_seconds
        self.pulled.append((newer_than.number, self.newest))
        return Parameters(Version(1, self.newest), np.full(1, self.newest, np.float32))

    def progress(self, environment_steps: int) -> None:
        self.reports.append(environment_steps)
        self.newest += self.growth
        self.state = self._told()

    def _told(self) -> RunState:
        return RunState("run", Version(1, self.newest), Version(1, 0), Clocks(0, 0), "running", 1)


class CountingCollector:
    """Acts one step a chunk, and remembers under which parameters."""

    def __init__(self) -> None:
        self.environment_steps, self.versions = 0, []

    def gather(self, vector: np.ndarray, run_environment_steps: int) -> None:
        self.environment_steps += 1
        self.versions.append(int(vector[0]))

    def offer(self, wait_seconds: float = 0.0) -> int:
        return 1


def acting_loop() -> tuple[ActingLoop, TellingServer, CountingCollector]:
    server, collector = TellingServer(), CountingCollector()
    start = Parameters(Version(1, 0), np.zeros(1, np.float32))
    clock = lambda: server.now  # noqa: E731
    return ActingLoop(collector, server, start, Stopwatch(clock), clock), server, collector


def test_actor_acts_under_a_new_version_one_chunk_after_it_was_told_of_it():
    loop, server, collector = acting_loop()
    for server.newest in (0, 3, 3, 7, 7):
        loop.turn()
    assert collector.versions == [0, 0, 3, 3, 7]
    assert server.reports == [1, 2, 3, 4, 5]


def test_actor_asks_for_parameters_only_when_there_are_newer_ones():
    loop, server, _ = acting_loop()
    for server.newest in (0, 0, 3, 3, 3, 3):
        loop.turn()
    assert server.pulled == [(0, 3)]


@pytest.mark.parametrize(("pull_seconds", "pulls"), [(0.001, 100), (0.05, 20), (10.0, 10)])
def test_pulls_take_at_most_a_tenth_of_an_actors_time_and_one_a_second_is_always_allowed(pull_seconds, pulls):
    """For 100 chunks of 0.1 s beside the pulls; at the end of each the server has a newer version."""
    loop, server, _ = acting_loop()
    server.pull_seconds, server.growth = pull_seconds, 1
    for _ in range(100):
        server.now += 0.1
        loop.turn()
    assert len(server.pulled) == pytest.approx(pulls, abs=1)
