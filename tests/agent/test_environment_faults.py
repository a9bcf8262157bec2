"""What an environment does wrong is one line that names it, what, and the step."""

import numpy as np
import pytest

from adql.agent.environments import VectorEnvironment
from adql.agent.evaluation import play_episodes
from adql.config import EnvironmentSettings
from adql.errors import EnvironmentFailedError, EnvironmentUnusableError
from tests.agent import environment_doubles  # noqa: F401  registers the doubles
from tests.agent.test_actor import AlwaysOne


def train(settings: EnvironmentSettings) -> None:
    environment = VectorEnvironment(settings, seeds=[0, 1])
    environment.reset()
    for _ in range(3):
        environment.step(np.array([0, 1]))


def evaluate(settings: EnvironmentSettings) -> None:
    play_episodes(settings, AlwaysOne(), np.zeros(0), episodes=2, seed=0)


def ill(**kwargs) -> EnvironmentSettings:
    return EnvironmentSettings(id="Ill-v0", kwargs=kwargs)


@pytest.mark.parametrize("play", [train, evaluate])
@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"reward": float("nan")}, "gave reward nan at step 2;"),
        ({"reward": 1e39}, "gave reward 1e\\+39 at step 2;"),
        ({"observation": float("-inf")}, "gave observation -inf at step 2;"),
        ({"observation": float("nan"), "at": 0}, "gave observation nan at its reset;"),
    ],
)
def test_number_that_is_not_finite_is_refused_as_input(play, kwargs, said):
    with pytest.raises(EnvironmentUnusableError, match=f"environment.id='Ill-v0' {said}.*mend the environment"):
        play(ill(**kwargs))


@pytest.mark.parametrize("play", [train, evaluate])
@pytest.mark.parametrize(("at", "when"), [(0, "at its reset"), (2, "at step 2")])
@pytest.mark.parametrize(("raises", "what"), [("error", "RuntimeError: no screen"), ("end", "SystemExit: 7")])
def test_what_an_environment_raises_is_one_line_with_its_cause(play, at, when, raises, what):
    """It may ask the process to end, too: that would look like an end that the learner wanted."""
    with pytest.raises(EnvironmentFailedError, match=f"'Ill-v0' raised {what} {when}") as caught:
        play(ill(raises=raises, at=at))
    assert isinstance(caught.value.__cause__, RuntimeError | SystemExit) and caught.value.exit_code == 1


def test_largest_float32_reward_is_taken():
    train(ill(reward=float(np.finfo(np.float32).max)))
