"""The synchroniser: what is pushed when, how answers are merged, and how the target network follows the run's clock."""

import numpy as np
import pytest

from adql.agent.activity import Stopwatch
from adql.agent.learner import DqnLearner
from adql.agent.networks import make_network
from adql.agent.synchroniser import Synchroniser
from adql.config import NetworkSettings, RunSpecification, SignatureSettings
from adql.encodings import from_wire, to_wire
from adql.types import Clocks, Parameters, PushAnswer, RunState, Version
from tests.agent.in_process import specification

SIGNATURE = SignatureSettings(observations=2, observation_dtype="int64", actions=2)
SIZE = 4


class ScriptedServer:
    """A ParameterSource whose answers the test writes; remembers what was pushed."""

    def __init__(self) -> None:
        self.pushed: list[tuple[np.ndarray, Version, int, int]] = []
        self.answers: list[PushAnswer] = []
        self.clock, self.epoch = 0, 1
        self.unanswered = 0
        self.newest = parameters(0, 1.0)
        self.encoding = "float32"

    @property
    def state(self) -> RunState:
        return RunState("run", Version(self.epoch, 0), Version(1, 0), Clocks(0, self.clock), "running", 2)

    def pull(self, newer_than, wait_seconds=0.0) -> Parameters | None:
        return self.newest if self.newest.version != newer_than else None

    def begin_push(self, vector, based_on, learner_steps, environment_steps) -> np.ndarray:
        sent = from_wire(to_wire(vector.copy(), self.encoding))
        self.pushed.append((sent, based_on, learner_steps, environment_steps))
        self.unanswered += 1
        return sent

    def finish_push(self) -> PushAnswer:
        self.unanswered -= 1
        return self.answers.pop(0)


def parameters(number: int, value: float, epoch: int = 1) -> Parameters:
    return Parameters(Version(epoch, number), np.full(SIZE, value, np.float32))


def learner_under(spec: RunSpecification) -> tuple[DqnLearner, ScriptedServer, Synchroniser]:
    network = make_network(NetworkSettings(kind="tabular"), SIGNATURE)
    start = parameters(0, 1.0)
    learner, server = DqnLearner(network, spec.algorithm, start.vector), ScriptedServer()
    return learner, server, Synchroniser(learner, server, spec, start, Stopwatch(lambda: 0.0))


def steps(learner: DqnLearner, synchroniser: Synchroniser, count: int, change: float = 1.0) -> None:
    """Takes ``count`` local steps that add ``change`` to every parameter."""
    for _ in range(count):
        learner.vector += np.float32(change)
        synchroniser.after_step(environment_steps=10)


def test_pushes_every_k_steps_and_goes_on_before_the_answer():
    learner, server, synchroniser = learner_under(specification("update.sync_every=3"))
    steps(learner, synchroniser, 5)
    assert [(push[0].tolist(), push[1:]) for push in server.pushed] == [([4.0] * SIZE, (Version(1, 0), 3, 10))]
    assert server.unanswered == 1


def test_average_keeps_the_steps_since_the_push_on_top_of_the_answer():
    learner, server, synchroniser = learner_under(specification("update.sync_every=3"))
    server.answers = [PushAnswer("applied", parameters(1, 10.0))]
    steps(learner, synchroniser, 5)
    synchroniser.settle()
    assert learner.vector.tolist() == [12.0] * SIZE
    assert synchroniser.based_on == Version(1, 1)


def test_without_overlap_the_answer_is_taken_at_once():
    learner, server, synchroniser = learner_under(specification("update.sync_every=3", "update.overlap=false"))
    server.answers = [PushAnswer("applied", parameters(1, 10.0))]
    steps(learner, synchroniser, 3)
    assert (server.unanswered, learner.vector.tolist()) == (0, [10.0] * SIZE)


def test_elastic_moves_both_sides_by_the_same_difference():
    spec = specification("update.rule=elastic", "update.sync_every=2", "update.elastic_alpha=0.25")
    learner, server, synchroniser = learner_under(spec)
    server.answers = [PushAnswer("applied", parameters(1, 1.5))]
    steps(learner, synchroniser, 2)
    synchroniser.settle()
    assert server.pushed[0][0].tolist() == [0.5] * SIZE
    assert learner.vector.tolist() == [2.5] * SIZE


@pytest.mark.parametrize("encoding", ["float16", "bfloat16"])
def test_elastic_moves_both_sides_by_what_arrived(encoding):
    spec = specification("update.rule=elastic", "update.sync_every=1", "update.elastic_alpha=0.25")
    learner, server, synchroniser = learner_under(spec)
    server.encoding, server.answers = encoding, [PushAnswer("applied", parameters(1, 1.5))]
    steps(learner, synchroniser, 1, change=0.3)
    before = learner.vector.copy()
    synchroniser.settle()
    assert ((learner.vector - before) + server.pushed[0][0]).tolist() == [0.0] * SIZE


@pytest.mark.parametrize("rule", ["average", "delta"])
def test_what_the_encoding_rounded_off_stays_with_the_learner(rule):
    learner, server, synchroniser = learner_under(specification(f"update.rule={rule}", "update.sync_every=1"))
    server.encoding, exact = "bfloat16", np.float32(1.0) + np.float32(0.3)
    arrived = {"average": lambda: server.pushed[0][0], "delta": lambda: 1 + server.pushed[0][0]}[rule]
    steps(learner, synchroniser, 1, change=0.3)
    server.answers = [PushAnswer("applied", Parameters(Version(1, 1), arrived()))]
    synchroniser.settle()
    assert learner.vector.tolist() == [exact] * SIZE


def test_delta_sends_what_changed_since_its_base():
    learner, server, synchroniser = learner_under(specification("update.rule=delta", "update.sync_every=2"))
    server.answers = [PushAnswer("applied", parameters(1, 5.0)), PushAnswer("applied", parameters(2, 7.0))]
    steps(learner, synchroniser, 4)
    assert [push[0].tolist() for push in server.pushed] == [[2.0] * SIZE, [2.0] * SIZE]
    assert [push[1] for push in server.pushed] == [Version(1, 0), Version(1, 1)]


def test_gradient_is_pushed_each_step_and_the_answer_replaces_the_parameters():
    learner, server, synchroniser = learner_under(specification("update.rule=gradient"))
    server.answers = [PushAnswer("applied", parameters(1, -3.0))]
    synchroniser.push(np.full(SIZE, 0.5, np.float32), environment_steps=7)
    assert (server.unanswered, server.pushed[0][2:], learner.vector.tolist()) == (0, (1, 7), [-3.0] * SIZE)


@pytest.mark.parametrize("outcome", ["stale", "invalid"])
def test_refused_update_gives_way_to_the_pulled_parameters(outcome: str):
    learner, server, synchroniser = learner_under(specification("update.sync_every=3"))
    server.answers = [PushAnswer(outcome, parameters(9, 10.0))]
    steps(learner, synchroniser, 5)
    synchroniser.settle()
    assert learner.vector.tolist() == [10.0] * SIZE
    assert (synchroniser.based_on, synchroniser.outcomes) == (Version(1, 9), {outcome: 1})


def test_steps_that_a_refusal_took_back_are_neither_pushed_nor_counted():
    learner, server, synchroniser = learner_under(specification("update.sync_every=3"))
    server.answers = [PushAnswer("stale", parameters(9, 10.0)), PushAnswer("applied", parameters(10, 20.0))]
    steps(learner, synchroniser, 6)
    assert (len(server.pushed), server.unanswered) == (1, 0)
    steps(learner, synchroniser, 3)
    assert [(push[0].tolist(), push[1:]) for push in server.pushed[1:]] == [([13.0] * SIZE, (Version(1, 9), 3, 10))]


@pytest.mark.parametrize(
    ("newest", "base"), [(parameters(4, 30.0), Version(1, 4)), (parameters(1, 10.0), Version(1, 1))]
)
def test_giving_up_takes_the_answer_under_way_and_goes_back_to_the_newest_parameters(newest, base):
    learner, server, synchroniser = learner_under(specification("update.sync_every=3"))
    server.answers, server.newest = [PushAnswer("applied", parameters(1, 10.0))], newest
    steps(learner, synchroniser, 5)
    synchroniser.give_up()
    assert (learner.vector.tolist(), synchroniser.based_on) == (newest.vector.tolist(), base)
    steps(learner, synchroniser, 2)
    assert len(server.pushed) == 1
    steps(learner, synchroniser, 1)
    assert server.pushed[1][1:] == (base, 3, 10)


@pytest.mark.parametrize(("rule", "target"), [("average", 7.0), ("gradient", 8.5)])
def test_soft_target_moves_by_the_steps_of_one_learner_and_under_gradient_by_all(rule: str, target: float):
    """4 steps of the run, two live learners, τ = ½: a quarter of the way from 1 to 9 is left, or a sixteenth."""
    spec = specification(
        f"update.rule={rule}", "update.sync_every=1", "update.overlap=false", "algorithm.target.tau=0.5"
    )
    learner, server, synchroniser = learner_under(spec)
    server.clock, server.answers = 4, [PushAnswer("applied", parameters(1, 9.0))]
    synchroniser.push(learner.vector, 0) if rule == "gradient" else steps(learner, synchroniser, 1)
    assert learner.target_vector.tolist() == [target] * SIZE


@pytest.mark.parametrize(("rule", "clocks"), [("average", (19, 22, 38, 62)), ("gradient", (9, 11, 19, 31))])
def test_periodic_target_copies_the_servers_parameters_each_period_of_one_learner(rule: str, clocks):
    """Period 10, two live learners: 20 steps of the run, under ``gradient`` 10."""
    spec = specification(
        f"update.rule={rule}",
        "update.sync_every=1",
        "update.overlap=false",
        "algorithm.target={kind: periodic, period_learner_steps: 10}",
    )
    learner, server, synchroniser = learner_under(spec)
    targets = []
    for number, server.clock in enumerate(clocks, start=1):
        server.answers = [PushAnswer("applied", parameters(number, 10.0 * number))]
        synchroniser.push(learner.vector, 0) if rule == "gradient" else steps(learner, synchroniser, 1)
        targets.append(float(learner.target_vector[0]))
    assert targets == [1.0, 20.0, 20.0, 40.0]


@pytest.mark.parametrize(("clock", "target"), [(38, 1.0), (44, 30.0)])
def test_new_epoch_brings_the_copy_that_it_has_passed(clock: int, target: float):
    spec = specification(
        "update.sync_every=1", "algorithm.target={kind: periodic, period_learner_steps: 20}", "update.overlap=false"
    )
    learner, server, synchroniser = learner_under(spec)
    server.clock, server.answers = 36, [PushAnswer("applied", parameters(5, 20.0))]
    steps(learner, synchroniser, 1)
    server.epoch, server.clock, server.answers = 2, clock, [PushAnswer("stale", parameters(3, 30.0, epoch=2))]
    steps(learner, synchroniser, 1)
    assert learner.target_vector.tolist() == [target] * SIZE


def test_divergence_is_the_distance_to_the_servers_parameters():
    learner, server, synchroniser = learner_under(specification("update.sync_every=2", "update.overlap=false"))
    server.answers = [PushAnswer("applied", parameters(1, 1.0))]
    steps(learner, synchroniser, 2, change=0.25)
    assert synchroniser.divergence == pytest.approx(0.5)


def test_learner_clock_never_runs_backwards_at_an_overlapped_push():
    learner, _, synchroniser = learner_under(specification("update.sync_every=3"))
    clocks = []
    for _ in range(5):
        steps(learner, synchroniser, 1)
        clocks.append(synchroniser.learner_clock)
    assert clocks == [1, 2, 3, 4, 5]
