"""The acting half of a learner: chunks, and the step at which it stops."""

import pytest

from adql.agent.environments import VectorEnvironment
from tests.agent import environment_doubles  # noqa: F401  registers the doubles
from tests.agent.in_process import Run, assemble, specification


def gathering(goes_on) -> Run:
    run = assemble(specification("algorithm.n_steps=1", "replay.chunk_transitions=64"), 1)
    run.collectors[0]._goes_on = goes_on
    return run


def gather(run: Run) -> int:
    """Returns how many transitions the chunk has."""
    run.collectors[0].gather(run.studies[0].vector, 0)
    return run.collectors[0].offer()


def test_service_is_asked_after_every_step_of_a_chunk():
    asked = []
    run = gathering(lambda: asked.append(run.collectors[0].environment_steps) or True)
    assert gather(run) >= 64
    assert asked == sorted(set(asked)) and len(asked) >= 64 / run.specification.environment.copies


def test_chunk_ends_at_the_step_after_which_the_service_may_not_go_on():
    answers = iter([True, True, False])
    run = gathering(lambda: next(answers))
    assert gather(run) == 3 * run.specification.environment.copies == run.collectors[0].environment_steps


def test_what_an_environment_raises_when_it_is_closed_is_a_warning(monkeypatch):
    environment = VectorEnvironment(specification("environment.id=Counting-v0").environment, [1])
    monkeypatch.setattr(environment, "_vector", None)
    with pytest.warns(UserWarning, match="'Counting-v0' raised AttributeError"):
        environment.close()
