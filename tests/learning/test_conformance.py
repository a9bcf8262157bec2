"""A whole run of one learner (rule ``gradient``, k = 1, staleness 0, uniform replay, no prefetch) is plain DQN.

On one side the real parameter server, table, limiter, loop, actor and environments, in one process or as services; on
the other ``plain_dqn``, which imports nothing of ADQL. Both start from the same seeds and nothing else is shared, so a
difference anywhere (an action, a row, a reward, a gradient, a clock) ends in different losses.
"""

import ast
import functools
import random
import time
from contextlib import closing
from typing import NamedTuple

import numpy as np
import pytest

from adql.agent import assembly
from adql.agent.activity import Stopwatch
from adql.agent.collector import Collector
from adql.agent.networks import make_network
from adql.agent.study import Study
from adql.config import RunSpecification, config_hash
from adql.types import Clocks
from adql.wire.parameter_client import ParameterClient
from adql.wire.replay_client import ReplayClient
from tests.agent.in_process import Run, assemble, specification
from tests.learning import plain_dqn
from tests.learning.plain_dqn import PlainDqn, Variant
from tests.services.parameter_process import ServerProcess
from tests.services.replay_process import running_replay
from tests.store_process import running_store

UPDATES = 520
RELATIVE = 5e-4
"""Of every loss. The plain side computes in float64, ADQL in float32: they differ by 1e-5 over 520 updates, and noise
of three roundings on every parameter after every update makes it 4e-5. The least of the planted bugs makes it 0.02."""
ABSOLUTE = 1e-4
"""Of every parameter at the end."""
SEEDS = (11, 15)
"""Chosen among 16, because there no argmax and no ReLU of any variant hangs on rounding (``Shaken``). Where one does,
the sides go apart from it on by 0.001 to whole other actions; without noise that happened in none of 60 runs."""
VARIANTS = {
    "plain-periodic": Variant(),
    "plain-soft": Variant(period=None),
    "double-3-steps-periodic": Variant(double=True, n_steps=3, sutton_barto_reward=True),
    "double-3-steps-soft": Variant(double=True, n_steps=3, period=None),
    "double-3-steps-3-copies": Variant(double=True, n_steps=3, copies=3),
}


def specification_of(variant: Variant, seed: int, *assignments: str) -> RunSpecification:
    """The run that ``plain_dqn`` describes, in ADQL's keys."""
    p = plain_dqn
    return specification(
        f"run.seed={seed}",
        "training.learners=1",
        f"environment.id={p.ENVIRONMENT}",
        f"environment.kwargs={{sutton_barto_reward: {variant.sutton_barto_reward}}}",
        f"environment.copies={variant.copies}",
        f"environment.max_episode_steps={p.MAX_EPISODE_STEPS}",
        f"network.hidden=[{p.HIDDEN}, {p.HIDDEN}]",
        f"algorithm.gamma={p.GAMMA}",
        f"algorithm.n_steps={variant.n_steps}",
        f"algorithm.double={variant.double}",
        f"algorithm.huber_delta={p.HUBER_DELTA}",
        f"algorithm.batch_size={p.BATCH}",
        f"algorithm.max_gradient_norm={p.MAX_NORM}",
        f"algorithm.learning_rate={linear(p.RATE_BEGIN, p.RATE_END, p.RATE_STEPS)}",
        f"algorithm.target={target_of(variant)}",
        f"exploration.epsilon={linear(p.EXPLORE_BEGIN, p.EXPLORE_END, p.EXPLORE_STEPS)}",
        f"algorithm.optimizer.epsilon={p.EPSILON}",
        "update.rule=gradient",
        "replay.sampler=uniform",
        "replay.prefetch=false",
        "replay.batches_per_request=1",
        f"replay.capacity={p.CAPACITY}",
        f"replay.min_size={p.MIN_SIZE}",
        f"replay.chunk_transitions={p.TRANSITIONS_A_TURN}",
        f"replay.samples_per_insert={p.SAMPLES_PER_INSERT}",
        # So many that a turn's transitions are never refused: plain DQN has no limiter that could refuse them.
        f"replay.max_error={4 * p.BATCH}",
        *assignments,
    )


def target_of(variant: Variant) -> str:
    if variant.period is None:
        return f"{{kind: soft, tau: {plain_dqn.TAU}}}"
    return f"{{kind: periodic, period_learner_steps: {variant.period}}}"


def linear(initial: float, final: float, steps: int) -> str:
    return f"{{kind: linear, initial: {initial}, final: {final}, steps: {steps}}}"


class Recording:
    """Stands before a learner and keeps the loss of every gradient that it is asked for."""

    def __init__(self, study: Study) -> None:
        self.losses: list[float] = []
        self._learner, study._learner = study._learner, self

    def __getattr__(self, name: str):
        return getattr(self._learner, name)

    def gradient(self, batch, weights):
        gradient, result = self._learner.gradient(batch, weights)
        self.losses.append(result.loss)
        return gradient, result


def recorded_epsilons(collector: Collector) -> list[float]:
    """Returns a list to which every step of all copies adds its ε."""
    epsilons, schedule = [], collector._epsilons

    def noted(environment_steps: int) -> np.ndarray:
        epsilons.append(schedule(environment_steps)[0])
        return schedule(environment_steps)

    collector._epsilons = noted
    return epsilons


class PlainNotes(PlainDqn):
    """Notes the ε of every step of all copies."""

    def __init__(self, variant: Variant, seed: int, table_rng: np.random.Generator) -> None:
        super().__init__(variant, seed, table_rng)
        self.epsilons: list[float] = []

    def act(self) -> list[tuple]:
        complete = super().act()
        self.epsilons.append(self.explore)
        return complete


class Sides(NamedTuple):
    """Both sides after as many updates."""

    run: Run
    losses: np.ndarray
    epsilons: list[float]
    plain: PlainNotes


@functools.cache
def both_sides(variant: Variant, seed: int) -> Sides:
    run = assemble(specification_of(variant, seed), learners=1)
    recording, epsilons = Recording(run.studies[0]), recorded_epsilons(run.collectors[0])
    run.until(UPDATES)
    plain = PlainNotes(variant, seed, table_rng=np.random.default_rng(seed + 1))
    plain.learn(UPDATES)
    return Sides(run, np.array(recording.losses), epsilons, plain)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_loss_of_a_whole_run_is_that_of_plain_dqn(name: str, seed: int, record_property) -> None:
    run, losses, epsilons, plain = both_sides(VARIANTS[name], seed)
    record_property("largest_relative_difference", f"{relative(losses, plain):.1e}")
    np.testing.assert_allclose(losses, plain.losses, rtol=RELATIVE)
    np.testing.assert_allclose(run.server.parameters.vector, flat(plain.online), rtol=0.0, atol=ABSOLUTE)
    np.testing.assert_allclose(run.studies[0]._learner.target_vector, flat(plain.target), rtol=0.0, atol=ABSOLUTE)
    # A wrong ε changes an action here and there, or none: it is compared itself.
    np.testing.assert_allclose(epsilons, plain.epsilons, rtol=1e-12)
    assert run.server.clocks == Clocks(plain.met["steps"], len(losses))
    assert run.server.staleness_counts == {0: len(losses)}
    assert len(losses) >= UPDATES


@pytest.mark.parametrize("name", VARIANTS)
def test_the_runs_that_are_compared_meet_what_could_differ(name: str) -> None:
    """Both ends of an episode, errors beyond Huber's bound, gradients beyond theirs, and a table that evicts."""
    plain = both_sides(VARIANTS[name], SEEDS[0]).plain
    assert min(plain.met["terminations"], plain.met["truncations"]) >= 5
    assert plain.met["outliers"] >= 100
    assert plain.met["steps"] > 2 * plain_dqn.CAPACITY


@pytest.mark.system
def test_every_loss_over_real_services_is_that_of_plain_dqn(tmp_path, record_property) -> None:
    """The same by HTTP: a parameter server with its store, a replay service, and the parts of a learner's process."""
    variant, seed, incarnation = Variant(double=True, n_steps=3), SEEDS[0], 1
    run = specification_of(variant, seed)
    (tmp_path / "replay" / "volume").mkdir(parents=True)
    (tmp_path / "replay" / "volume" / "incarnation").write_text(str(incarnation - 1))
    with (
        running_store(tmp_path / "store") as store,
        ServerProcess(tmp_path / "server", run, store.url) as server,
        running_replay(tmp_path / "replay", run) as replay,
        closing(server.client()) as parameters,
    ):
        losses = np.array(losses_of_a_learner(run, parameters, replay.address))
    plain = PlainDqn(variant, seed, table_rng=np.random.default_rng([seed, incarnation]))
    plain.learn(UPDATES)
    record_property("largest_relative_difference", f"{relative(losses, plain):.1e}")
    np.testing.assert_allclose(losses, plain.losses, rtol=RELATIVE)


def losses_of_a_learner(run: RunSpecification, parameters: ParameterClient, replay_address: str) -> list[float]:
    network, signature = make_network(run.network, run.environment.signature), run.environment.signature
    start = parameters.register()
    given = {"signature": signature, "session": parameters.session, "config_hash": config_hash(run)}
    real = {"token": lambda: None, "clock": time.monotonic, "sleep": time.sleep, "rng": random.Random(0)}
    with closing(ReplayClient(replay_address, **given, **real)) as replay:
        parts = assembly.Parts(run, network, parameters, replay, start, Stopwatch(time.monotonic), time.monotonic)
        learner = assembly.assemble("both", parts)
        recording = Recording(learner.study)
        while parameters.state.clocks.learner_steps < UPDATES:
            learner.loop.turn()
        learner.loop.close()
    return recording.losses


class Shaken(PlainDqn):
    """Moves every parameter by up to 2e-7 of itself after each update; float32 rounds by 6e-8."""

    def descend(self, gradient: plain_dqn.Layers, t: int) -> None:
        super().descend(gradient, t)
        noise = np.random.default_rng(t)
        self.online = [layer * (1.0 + noise.uniform(-2e-7, 2e-7, layer.shape)) for layer in self.online]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", VARIANTS)
def test_no_loss_hangs_on_rounding(name: str, seed: int) -> None:
    plain = both_sides(VARIANTS[name], seed).plain
    shaken = Shaken(VARIANTS[name], seed, table_rng=np.random.default_rng(seed + 1))
    shaken.learn(UPDATES)
    np.testing.assert_allclose(shaken.losses, plain.losses, rtol=RELATIVE)


def relative(losses: np.ndarray, plain: PlainDqn) -> float:
    return float(np.max(np.abs(losses / plain.losses - 1.0)))


def flat(layers: plain_dqn.Layers) -> np.ndarray:
    return np.concatenate([layer.ravel() for layer in layers])


def test_plain_dqn_imports_numpy_gymnasium_and_nothing_of_adql() -> None:
    with open(plain_dqn.__file__, encoding="utf-8") as file:
        nodes = list(ast.walk(ast.parse(file.read())))
    imported = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    imported |= {f"{'.' * node.level}{node.module}" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert imported == {"collections", "dataclasses", "gymnasium", "itertools", "numpy"}
